import { about, priceOf } from "../core/state";
import type { Model } from "../core/types";
import { bytes, milliseconds, modes, money, percent } from "../core/words";

interface Chosen {
  split: number;
  policy: number;
}

interface Offered {
  model: Model;
  chosen: Chosen;
  onChoose(chosen: Chosen): void;
}

/** Every split under every policy, side by side: one is chosen. */
export function Choices({ model, chosen, onChoose }: Offered) {
  // From what tells least to what tells most.
  const ladder = model.splits
    .flatMap((split, at) => split.policies.map((policy, index) => ({ split: at, policy: index, bits: policy.information_bits, right: policy.accuracy.released })))
    .sort((a, b) => a.bits - b.bits || a.right - b.right);
  const rung = ladder.findIndex((each) => each.split === chosen.split && each.policy === chosen.policy);
  return (
    <>
      {ladder.length > 1 && (
        <label class="field ladder">
          <span>From telling least to telling most</span>
          <input
            type="range" min={0} max={ladder.length - 1} value={rung} aria-valuetext={valueText(model, chosen)}
            onInput={(event) => { const to = ladder[event.currentTarget.valueAsNumber]; if (to) onChoose({ split: to.split, policy: to.policy }); }}
          />
        </label>
      )}
      <Table model={model} chosen={chosen} onChoose={onChoose} />
    </>
  );
}

function Table({ model, chosen, onChoose }: Offered) {
  const price = priceOf(model.version);
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Splits and policies">
      <table class="choices">
        <thead>
          <tr>
            <th scope="col"><span class="unseen">Chosen</span></th><th scope="col">Cut after</th><th scope="col">Policy</th>
            <th scope="col">Grade</th><th scope="col">Tells at most</th><th scope="col">Right, held-out</th><th scope="col">Worker's time</th><th scope="col">Encrypted, up and down</th><th scope="col">Price</th>
          </tr>
        </thead>
        <tbody>
          {model.splits.flatMap((split, at) =>
            split.policies.map((policy, index) => {
              const is = chosen.split === at && chosen.policy === index;
              const id = `choice-${at}-${index}`;
              const choose = () => onChoose({ split: at, policy: index });
              return (
                <tr key={id} class={is ? "chosen" : ""} onClick={choose}>
                  <td><input type="radio" name="choice" id={id} checked={is} onChange={choose} aria-label={`${split.name}, ${policy.name}`} /></td>
                  <td><label for={id}>{split.name}</label><span class="quiet block">{modes[split.mode]}</span></td>
                  <td>{policy.name}</td>
                  <td>{policy.grade ? <strong class={`grade grade-${policy.grade}`}>{policy.grade}</strong> : "—"}</td>
                  <td>{policy.information_bits.toFixed(1)} bits</td>
                  <td>{percent(policy.accuracy.released)} <span class="quiet">of {policy.accuracy.samples}</span></td>
                  <td>{milliseconds(split.ms)}</td>
                  <td>{bytes(split.bytes.up + split.bytes.key)}, {bytes(split.bytes.down)}</td>
                  <td>{about.value && price ? money(price.prices[at] ?? null, about.value, 4) : "…"}</td>
                </tr>
              );
            }),
          )}
        </tbody>
      </table>
    </div>
  );
}

function valueText(model: Model, { split: at, policy: index }: Chosen): string {
  const split = model.splits[at];
  const policy = split?.policies[index];
  return split && policy ? `${split.name}, ${policy.name}: tells at most ${policy.information_bits.toFixed(1)} bits, ${percent(policy.accuracy.released)} right` : "";
}
