import { useId } from "preact/hooks";
import type { Prediction } from "../core/types";
import { percent } from "../core/words";

const shown = 5;

/** An answer with how sure it is and what it does not say: never a class alone. */
export function Answer({ prediction }: { prediction: Prediction }) {
  const id = useId();
  const scores = [...prediction.scores].sort((a, b) => b.probability - a.probability).slice(0, shown);
  return (
    <section class="card answer" aria-labelledby={id}>
      <h2 id={id}>The model's answer</h2>
      <p class="big">
        <strong>{prediction.label}</strong> <span>{percent(prediction.probability)} by the model's own estimate</span>
      </p>
      <ul class="scores">
        {scores.map((score) => (
          <li key={score.label}>
            <span>{score.label}</span>
            <meter min={0} max={1} value={score.probability} aria-label={`${score.label}: ${percent(score.probability)}`} />
            <span>{percent(score.probability)}</span>
          </li>
        ))}
      </ul>
      <p class="limits"><strong>What it does not say.</strong> {prediction.limits}</p>
    </section>
  );
}
