import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { words } from "../core/state";
import type { Model, Reading } from "../core/types";
import { bytes } from "../core/words";
import { Fault } from "./Entry";
import { Pixels } from "./Pixels";

const accepted = { image: "image/png,image/jpeg,.dcm,application/dicom,.nii,.nii.gz,.gz", table: ".csv,text/csv", text: ".txt,text/plain" } as const;
const asked = {
  image: "a PNG or JPEG picture, or a DICOM or NIfTI scan",
  table: "a CSV file with named columns and one row",
  text: "a text",
} as const;

interface Given {
  model: Model;
  onRead(read: boolean): void;
}

interface Seen extends Reading {
  name: string;
  values: Uint8Array;
  /** The file again, to take another slice of it. */
  contents: Uint8Array;
}

/** Takes a file: dropped, picked, photographed or typed; shows exactly what will be encrypted of it. */
export function FileEntry({ model, onRead }: Given) {
  const seen = useSignal<Seen | null>(null);
  const fault = useSignal("");
  const busy = useSignal(false);
  const over = useSignal(false);
  const typed = useSignal("");
  useEffect(() => onRead(false), [model.version]);
  const read = async (name: string, contents: Uint8Array, slice?: number) => {
    [seen.value, fault.value, busy.value] = [null, "", true];
    onRead(false);
    try {
      const reading = await api.read(model.version, contents, slice);
      seen.value = { ...reading, name, contents, values: await api.preview() };
      onRead(true);
    } catch (error) {
      fault.value = `${name}: ${words(error)}`;
    }
    busy.value = false;
  };
  const take = async (files: FileList | null | undefined) => {
    const file = files?.[0];
    if (file) await read(file.name, new Uint8Array(await file.arrayBuffer()));
  };
  const { kind } = model.input;
  return (
    <>
      <label
        class={`drop ${over.value ? "over" : ""}`}
        onDragOver={(event) => { event.preventDefault(); over.value = true; }}
        onDragLeave={() => (over.value = false)}
        onDrop={(event) => { event.preventDefault(); over.value = false; void take(event.dataTransfer?.files); }}
      >
        <span>Drop {asked[kind]} here, or pick one. It stays in this tab.</span>
        <input type="file" accept={accepted[kind]} onChange={(event) => void take(event.currentTarget.files)} />
      </label>
      {kind === "image" && (
        <label class="camera">
          <span>Or take a photo</span>
          <input type="file" accept="image/*" capture="environment" onChange={(event) => void take(event.currentTarget.files)} />
        </label>
      )}
      {model.input.kind === "text" && (
        <form class="row" onSubmit={(event) => { event.preventDefault(); void read("your text", new TextEncoder().encode(typed.value)); }}>
          <label class="field grow"><span>Or type it</span>
            <textarea rows={3} value={typed.value} onInput={(event) => (typed.value = event.currentTarget.value)} />
          </label>
          <button type="submit">Read it</button>
        </form>
      )}
      {model.input.kind === "text" && <p class="quiet">The model's word list, {bytes(model.input.bytes)}, is fetched once.</p>}
      {model.input.kind === "table" && (
        <details><summary>The {model.input.columns.length} columns that it reads</summary><p>{model.input.columns.join(", ")}</p></details>
      )}
      {busy.value && <p role="status">Reading…</p>}
      <Fault text={fault.value} />
      {seen.value && <Preview kind={kind} seen={seen.value} />}
      {seen.value?.slice && <Slices of={seen.value.slice} onChoose={(slice) => seen.value && void read(seen.value.name, seen.value.contents, slice)} />}
    </>
  );
}

/** Which slice of a scan is taken. */
function Slices({ of: { number, of }, onChoose }: { of: NonNullable<Reading["slice"]>; onChoose(slice: number): void }) {
  return (
    <label class="field">
      <span>Slice {number} of {of}</span>
      <input type="range" min={1} max={of} value={number} onChange={(event) => onChoose(event.currentTarget.valueAsNumber)} />
    </label>
  );
}

function Preview({ kind, seen }: { kind: Model["input"]["kind"]; seen: Seen }) {
  const [channels, height, width] = seen.shape;
  const label = `What the model will see of ${seen.name}`;
  return (
    <figure class="preview">
      {kind === "image" ? (
        <Pixels values={seen.values} channels={channels} width={width} height={height} label={label} />
      ) : (
        <p class="values" role="img" aria-label={label}>{[...seen.values.slice(0, 64)].join(" ")}{seen.values.length > 64 ? " …" : ""}</p>
      )}
      <figcaption>
        <strong>Exactly this will be encrypted:</strong> {channels} × {height} × {width} bytes from {seen.name}. Nothing else of the file is used.
        {seen.left_out > 0 && <> The text is too long: its last {seen.left_out} word pieces are left out.</>}
      </figcaption>
    </figure>
  );
}
