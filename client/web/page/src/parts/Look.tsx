import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { api } from "../core/api";
import { about, goOn, words, type Run } from "../core/state";
import type { Mine, Preview } from "../core/types";
import { money } from "../core/words";
import { Fault } from "./Entry";
import { Pixels } from "./Pixels";

type Rebuilt = Extract<Preview, { fault: null }>;

interface Shown {
  job: Mine;
  run: Run;
}

/** What the creator could rebuild of one's own file from what is about to be sent, and whether it may be. */
export function Look({ job, run }: Shown) {
  const card = useRef<HTMLElement>(null);
  const asked = run.consent !== null;
  useEffect(() => {
    if (asked) card.current?.focus();
  }, [asked]);
  const { preview } = run;
  if (run.declined) return <Stopped job={job} run={run} />;
  if (!preview) return null;
  return (
    <section class="card look" ref={card} tabIndex={-1} aria-labelledby="look">
      <h2 id="look">{asked ? "Look before you send: what the creator could rebuild" : "What the creator could rebuild"}</h2>
      {preview.fault !== null ? <p>It cannot be shown: {preview.fault}.</p> : <Compared job={job} preview={preview} />}
      {asked && <Answer job={job} run={run} />}
    </section>
  );
}

function Compared({ job, preview }: { job: Mine; preview: Rebuilt }) {
  const again = useSignal<number[] | null>(null);
  const input = preview.input ?? again.value;
  const { rebuilt, rows, usual } = preview;
  const [channels, height, width] = preview.shape;
  const isPicture = rows === null && height > 1;
  const shape = { channels, height, width };
  const apart = preview.apart ?? (input && rootMeanSquare(input, rebuilt));
  return (
    <>
      <p>By the best linear attack, which knows the model's weights, from the blurred numbers that this job sends and nothing else.</p>
      {isPicture && (
        <div class="pair">
          <figure>
            {input
              ? <Pixels values={Uint8Array.from(input)} {...shape} label="What was encrypted" />
              : <Again job={job} onRead={(values) => (again.value = values)} />}
            <figcaption><strong>Yours,</strong> as it was encrypted.</figcaption>
          </figure>
          <figure>
            <Pixels values={Uint8Array.from(rebuilt)} {...shape} label="What could be rebuilt" />
            <figcaption><strong>The creator's guess</strong> at it.</figcaption>
          </figure>
        </div>
      )}
      {rows && <Rows rows={rows} />}
      <p>
        {apart === null ? "" : `It is off by ${apart.toFixed(0)} of 255 on average; `}for other files such guesses are usually off by {usual.toFixed(0)}.
      </p>
    </>
  );
}

function rootMeanSquare(one: number[], other: number[]): number {
  return Math.sqrt(one.reduce((sum, value, at) => sum + (value - (other[at] ?? 0)) ** 2, 0) / Math.max(1, one.length));
}

/** After a reload the file is gone from this tab: who wants to compare gives it again. */
function Again({ job, onRead }: { job: Mine; onRead(values: number[]): void }) {
  const fault = useSignal("");
  const read = async (file: File | undefined) => {
    if (!file) return;
    fault.value = "";
    try {
      await api.read(job.version, new Uint8Array(await file.arrayBuffer()));
      if (await api.isInputOf(job.name)) onRead([...(await api.preview())]);
      else fault.value = "This is another file than the one that this job encrypted, or another slice of it.";
    } catch (error) {
      fault.value = words(error);
    }
  };
  return (
    <>
      <label class="field">
        <span>This browser keeps no copy of your file. Give it again to see it beside the guess; it stays in this tab.</span>
        <input type="file" onChange={(event) => void read(event.currentTarget.files?.[0])} />
      </label>
      <Fault text={fault.value} />
    </>
  );
}

function Rows({ rows }: { rows: NonNullable<Rebuilt["rows"]> }) {
  const plain = (value: number | null) => (value === null ? "not in this tab" : String(Number(value.toPrecision(4))));
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Your values and the creator's guesses">
      <table>
        <thead><tr><th scope="col">Column</th><th scope="col">Yours</th><th scope="col">The creator's guess</th><th scope="col">Usually off by</th></tr></thead>
        <tbody>
          {rows.map((row) => <tr key={row.name}><th scope="row">{row.name}</th><td>{plain(row.value)}</td><td>{plain(row.rebuilt)}</td><td>{plain(row.off)}</td></tr>)}
        </tbody>
      </table>
    </div>
  );
}

/** What is back for whoever sends nothing: the refund table's line of it. */
const stopped = "stopped after the head, or never sent features";

function useBack(job: Mine): string {
  const back = useSignal("");
  useEffect(() => {
    const network = about.value;
    if (!network || job.split === null || job.policy === null) return;
    const told = ({ fee, refunds }: Awaited<ReturnType<typeof api.quote>>) => {
      const line = refunds.find(({ outcome }) => outcome === stopped);
      if (line) back.value = `${money(line.back, network)} of ${money(fee.total, network)}`;
    };
    // What a version costs that is no longer sold is not known; the rest stands.
    api.quote(job.version, job.split, job.policy).then(told, () => undefined);
  }, [job, back]);
  return back.value;
}

function Answer({ job, run }: Shown) {
  const back = useBack(job);
  const deadline = run.stages.at(-1)?.deadline;
  return (
    <>
      <p>
        If you send nothing, the worker has done its part and keeps its fee; {back ? `${back} come back` : "the rest comes back"} when you stop the job.
        {deadline !== undefined && ` Block ${deadline} is the last for an answer; after it the job ends as if you had stopped it.`}
      </p>
      <p class="row">
        <button type="button" class="main" onClick={() => run.consent?.(true)}>Send these numbers to the creator</button>
        <button type="button" onClick={() => run.consent?.(false)}>Send nothing</button>
      </p>
      <p class="quiet">Not to be asked any more: the settings on your <a href="#/account">account's page</a>.</p>
    </>
  );
}

/** Nothing was sent: the job still stands, and its user stops it or thinks again. */
function Stopped({ job, run }: Shown) {
  const back = useBack(job);
  const busy = useSignal(false);
  const fault = useSignal("");
  const stop = async () => {
    if (run.id === null) return;
    [busy.value, fault.value] = [true, ""];
    try {
      await api.cancel(run.id);
      await goOn(run.name);
    } catch (error) {
      fault.value = words(error);
    }
    busy.value = false;
  };
  return (
    <section class="card" role="alert">
      <h2>Nothing was sent</h2>
      <p>The creator has nothing of your file. The job waits: stop it{back && `, and ${back} come back`}, or look at it again.</p>
      <p class="row">
        <button type="button" disabled={busy.value} onClick={() => void stop()}>Stop the job</button>
        <button type="button" disabled={busy.value} onClick={() => void goOn(run.name)}>Look again</button>
      </p>
      <Fault text={fault.value} />
    </section>
  );
}
