import { useEffect } from "preact/hooks";
import { about, account, goOn, mine, runs, unlocked, type Run } from "../core/state";
import { saveJson } from "../core/save";
import type { Step } from "../core/types";
import { bytes, milliseconds, steps } from "../core/words";
import { Answer } from "../parts/Answer";
import { Entry } from "../parts/Entry";
import { Look } from "../parts/Look";
import { Rail } from "../parts/Rail";
import { Rate } from "../parts/Rate";
import { Seen } from "../parts/Seen";

/** A job of this browser's: it goes on as soon as account and keys are open. */
export function Mine({ name }: { name: string }) {
  const job = mine.value.find((job) => job.name === name);
  const run = runs.value[name];
  const ready = unlocked.value && account.value !== null && job !== undefined;
  const answered = Boolean(job?.prediction);
  useEffect(() => {
    if (ready && !answered) void goOn(name);
  }, [ready, name, answered]);
  if (!unlocked.value || (!account.value && !answered)) {
    return (
      <section class="card">
        <h1>Go on with your job</h1>
        <p>Nothing is lost. Its keys are in this browser, sealed; once account and keys are open it goes on from where the chain says that it stands.</p>
        <p class="quiet">
          Until then nobody goes on for you: rounds, decryption and the answer need these keys, which no other browser has. What the chain allows each stage runs meanwhile;
          who is late has the refund table applied.
        </p>
        <Entry />
      </section>
    );
  }
  if (!job) {
    return (
      <section class="card" role="alert">
        <h1>This browser has no such job</h1>
        <p>A job's keys and answer are only where it was bought. What the chain says of any job is under <a href="#/jobs">Jobs</a>.</p>
      </section>
    );
  }
  const prediction = run?.ending?.prediction ?? job.prediction;
  const id = run?.id ?? job.id;
  return (
    <>
      <h1>{job.model}{id === null ? "" : `, job ${id}`}</h1>
      {run && <Progress run={run} />}
      {run && !prediction && <Look job={job} run={run} />}
      {prediction && <Answer prediction={prediction} />}
      {run?.ending?.reason && <p class="fault" role="alert">It ended without an answer: {run.ending.reason}. What comes back is a credit of your account.</p>}
      {run?.fault && !run.declined && (
        <section class="card fault" role="alert">
          <h2>It stopped here</h2>
          <p>{run.fault}</p>
          <button type="button" onClick={() => void goOn(name)}>Go on</button>
        </section>
      )}
      {id !== null && (
        <p class="row">
          <a class="button" href={`#/audit/${id}`}>Check the proof</a>
          <a class="button" href={`#/job/${id}`}>What the chain says</a>
          {prediction && <button type="button" onClick={() => saveJson(`encompute-job-${id}.json`, { job: id, model: job.model, version: job.version, ...prediction })}>Save</button>}
          {prediction && <button type="button" onClick={() => print()}>Print</button>}
        </p>
      )}
      {id !== null && prediction && <p class="print-only">Job {id} of {about.value?.network}, contract {about.value?.contract}; model {job.model}, version {job.version}. Printed {new Date().toLocaleString()}.</p>}
      {id !== null && (job.prediction || run?.ending?.stage === "settled") && account.value && <Rate id={id} />}
      {id !== null && <Seen id={id} codes={run?.codes ?? null} preview={run?.preview ?? null} />}
    </>
  );
}

function Progress({ run }: { run: Run }) {
  const took = Object.entries(run.took) as [Step, number][];
  return (
    <section aria-label="Progress">
      {run.stages.length > 0 && <Rail stages={run.stages} />}
      <p role="status" class="doing">
        {run.consent ? "Waiting for you." : run.step ? `${steps[run.step]}…` : run.ending ? "Done." : run.fault ? "" : "…"}
        {run.step === "rounds" && run.round ? ` round ${run.round.done} of ${run.round.of}` : ""}
      </p>
      <details>
        <summary>How long each step took</summary>
        <dl class="facts wide">
          {took.map(([step, ms]) => <div key={step}><dt>{steps[step]}</dt><dd>{milliseconds(ms)}</dd></div>)}
          {run.ending && <div><dt>Ciphertext, up and down</dt><dd>{bytes(run.ending.bytes.up)}, {bytes(run.ending.bytes.down)}</dd></div>}
        </dl>
      </details>
    </section>
  );
}
