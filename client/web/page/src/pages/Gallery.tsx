import { useSignal } from "@preact/signals";
import { models } from "../core/state";
import type { Model } from "../core/types";
import { bytes, milliseconds, percent } from "../core/words";

const kinds = { image: "a picture", table: "a row of a table", text: "a text" } as const;

export function Gallery() {
  const wanted = useSignal("");
  if (!models.value) return <p class="quiet" role="status">Reading what is on sale…</p>;
  const words = wanted.value.toLowerCase();
  const found = models.value.filter((model) => `${model.name} ${model.task}`.toLowerCase().includes(words));
  return (
    <>
      <h1>Run somebody else's model on data that nobody else may see</h1>
      <p class="lead">
        Choose a model. Your file is encrypted in this tab; a stranger's machine computes on it without reading it; you get the answer and can check every step.
      </p>
      <label class="field search">
        <span>Search</span>
        <input type="search" value={wanted.value} onInput={(event) => (wanted.value = event.currentTarget.value)} />
      </label>
      {found.length === 0 && <p role="status">Nothing on sale here fits.</p>}
      <ul class="cards">{found.map((model) => <Card key={model.version} model={model} />)}</ul>
    </>
  );
}

function Card({ model }: { model: Model }) {
  const [split] = model.splits;
  const policy = split?.policies[0];
  return (
    <li class="card">
      <h2><a href={`#/model/${model.version}`}>{model.name}</a></h2>
      <p>{model.task}</p>
      <dl class="facts">
        <div><dt>Reads</dt><dd>{kinds[model.input.kind]}</dd></div>
        <div><dt>Right, held-out</dt><dd>{policy ? percent(policy.accuracy.released) : "—"}</dd></div>
        <div><dt>Worker's time</dt><dd>{split ? milliseconds(split.ms) : "—"}</dd></div>
        <div><dt>Encrypted, up</dt><dd>{split ? bytes(split.bytes.up + split.bytes.key) : "—"}</dd></div>
        <div><dt>Tells at most</dt><dd>{policy ? `${policy.information_bits.toFixed(1)} bits` : "—"}</dd></div>
        <div><dt>Cuts offered</dt><dd>{model.splits.length}</dd></div>
      </dl>
    </li>
  );
}
