import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { about, models, priceOf } from "../core/state";
import type { Model, Pace } from "../core/types";
import { blocks, bytes, milliseconds, money, percent, rating } from "../core/words";

const kinds = { image: "a picture", table: "a row of a table", text: "a text" } as const;

const price = (model: Model) => BigInt(priceOf(model.version)?.prices[0] ?? 0);
const policyOf = (model: Model) => model.splits[0]?.policies[0];

const bond = (model: Model) => BigInt(priceOf(model.version)?.bond ?? 0);
const mean = (model: Model) => priceOf(model.version)?.rated?.mean ?? 0;

/** How soon a version's jobs ended, by its number. */
type Paces = Map<number, Pace>;

/** The ways in which cards can stand, the best first; what is not known comes last. */
const orders: Record<string, { words: string; before(a: Model, b: Model, paces: Paces): number }> = {
  name: { words: "name", before: (a, b) => a.name.localeCompare(b.name) },
  price: { words: "price", before: (a, b) => (price(a) < price(b) ? -1 : price(a) > price(b) ? 1 : 0) },
  right: { words: "right answers", before: (a, b) => (policyOf(b)?.accuracy.released ?? 0) - (policyOf(a)?.accuracy.released ?? 0) },
  told: { words: "least told", before: (a, b) => (policyOf(a)?.information_bits ?? 0) - (policyOf(b)?.information_bits ?? 0) },
  time: { words: "worker's time", before: (a, b) => (a.splits[0]?.ms ?? 0) - (b.splits[0]?.ms ?? 0) },
  pace: { words: "request to end", before: (a, b, paces) => (paces.get(a.version)?.median ?? Infinity) - (paces.get(b.version)?.median ?? Infinity) || 0 },
  rating: { words: "rating", before: (a, b) => mean(b) - mean(a) },
  bond: { words: "creator's bond", before: (a, b) => (bond(a) > bond(b) ? -1 : bond(a) < bond(b) ? 1 : 0) },
};

export function Gallery() {
  const wanted = useSignal("");
  const kind = useSignal("");
  const grade = useSignal("");
  const order = useSignal("name");
  const paces = useSignal<Paces>(new Map());
  useEffect(() => {
    // Nice to have, and the cards stand without it.
    api.paces().then((found) => (paces.value = new Map(found.map((pace) => [pace.version, pace]))), () => undefined);
  }, [paces]);
  if (!models.value) return <p class="quiet" role="status">Reading what is on sale…</p>;
  const words = wanted.value.toLowerCase();
  const fits = (model: Model) =>
    `${model.name} ${model.task}`.toLowerCase().includes(words) &&
    (!kind.value || model.input.kind === kind.value) &&
    (!grade.value || (policyOf(model)?.grade ?? "Z") <= grade.value);
  const found = models.value.filter(fits).sort((a, b) => orders[order.value]?.before(a, b, paces.value) ?? 0);
  return (
    <>
      <h1>Run somebody else's model on data that nobody else may see</h1>
      <p class="lead">
        Choose a model. Your file is encrypted in this tab; a stranger's machine computes on it without reading it; you get the answer and can check every step.
      </p>
      <div class="row">
        <label class="field search"><span>Search</span>
          <input type="search" value={wanted.value} onInput={(event) => (wanted.value = event.currentTarget.value)} />
        </label>
        <label class="field"><span>Reads</span>
          <select value={kind.value} onChange={(event) => (kind.value = event.currentTarget.value)}>
            <option value="">anything</option>
            {Object.entries(kinds).map(([name, words]) => <option key={name} value={name}>{words}</option>)}
          </select>
        </label>
        <label class="field"><span>Leakage grade</span>
          <select value={grade.value} onChange={(event) => (grade.value = event.currentTarget.value)}>
            <option value="">any</option>
            {["A", "B", "C"].map((letter) => <option key={letter} value={letter}>{letter === "A" ? "A" : `${letter} or better`}</option>)}
          </select>
        </label>
        <label class="field"><span>Sort by</span>
          <select value={order.value} onChange={(event) => (order.value = event.currentTarget.value)}>
            {Object.entries(orders).map(([name, { words }]) => <option key={name} value={name}>{words}</option>)}
          </select>
        </label>
      </div>
      {found.length === 0 && <p role="status">Nothing on sale here fits.</p>}
      <ul class="cards">{found.map((model) => <Card key={model.version} model={model} pace={paces.value.get(model.version)} />)}</ul>
    </>
  );
}

function Card({ model, pace }: { model: Model; pace: Pace | undefined }) {
  const [split] = model.splits;
  const policy = policyOf(model);
  const network = about.value;
  const price = priceOf(model.version);
  if (!split || !policy || !network) return null;
  return (
    <li class="card">
      <h2><a href={`#/model/${model.version}`}>{model.name}</a></h2>
      <p>{model.task}</p>
      <dl class="facts">
        <div><dt>Reads</dt><dd>{kinds[model.input.kind]}</dd></div>
        <div><dt>Price</dt><dd>{price ? money(price.prices[0] ?? null, network, 4) : "…"}</dd></div>
        <div><dt>Right, held-out</dt><dd>{percent(policy.accuracy.released)}</dd></div>
        <div><dt>Leakage</dt><dd>{policy.grade ? <strong class={`grade grade-${policy.grade}`}>{policy.grade}</strong> : "no grade"} ≤ {policy.information_bits.toFixed(1)} bits</dd></div>
        <div><dt>Worker's time</dt><dd>{milliseconds(split.ms)}</dd></div>
        <div><dt>Encrypted, up</dt><dd>{bytes(split.bytes.up + split.bytes.key)}</dd></div>
        <div><dt>Request to end</dt><dd>{pace ? `${blocks(pace.median)}; 95 of 100 within ${pace.most}` : "no job yet"}</dd></div>
        <div><dt>Creator's bond</dt><dd>{price ? money(price.bond, network, 2) : "…"}</dd></div>
        <div><dt>Rated by payers</dt><dd>{price ? rating(price.rated) : "…"}</dd></div>
      </dl>
      {model.splits.length > 1 && <p class="quiet">{model.splits.length} places to cut it</p>}
    </li>
  );
}
