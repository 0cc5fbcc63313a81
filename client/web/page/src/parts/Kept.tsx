import { hasHome, mine, unlocked } from "../core/state";
import { Answer } from "./Answer";
import { Passphrase } from "./Entry";

/** Answers that this browser keeps, while the network is away. */
export function Kept() {
  if (!hasHome.value) return null;
  return (
    <section class="card">
      <h2>Your answers are in this browser</h2>
      {unlocked.value ? <Answers /> : <Passphrase />}
    </section>
  );
}

function Answers() {
  if (mine.value.length === 0) return <p>There are none yet.</p>;
  return (
    <>
      {mine.value.map((job) => job.prediction && (
        <details key={job.name} class="group">
          <summary>{job.model}, job {job.id}</summary>
          <Answer prediction={job.prediction} />
        </details>
      ))}
    </>
  );
}
