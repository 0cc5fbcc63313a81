import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { about, hasHome, mine, runs, unlocked, words } from "../core/state";
import type { JobLine, PrunedLine } from "../core/types";
import { money, short } from "../core/words";
import { Entry, Fault } from "../parts/Entry";

/** How many numbers are looked at once. */
const atOnce = 25;

type Line = JobLine | PrunedLine;

export function Jobs() {
  const jobs = useSignal<Line[] | null>(null);
  const from = useSignal<number | undefined>(undefined);
  const busy = useSignal(false);
  const fault = useSignal("");
  const wanted = useSignal("");
  const read = async () => {
    [busy.value, fault.value] = [true, ""];
    try {
      const found = await api.jobs(atOnce, from.value);
      jobs.value = [...(jobs.value ?? []), ...found.jobs];
      from.value = found.from;
    } catch (error) {
      fault.value = words(error);
    }
    busy.value = false;
  };
  useEffect(() => void read(), []);
  return (
    <>
      <h1>Jobs</h1>
      {unlocked.value ? <Ours /> : hasHome.value && (
        <section class="card"><h2>Yours</h2><Entry /></section>
      )}
      <section>
        <h2>Of this market</h2>
        <p>Anybody may audit any of them; it needs no account.</p>
        <form class="row" onSubmit={(event) => { event.preventDefault(); location.hash = `#/audit/${wanted.value}`; }}>
          <label class="field"><span>Job number</span>
            <input type="number" min={1} required value={wanted.value} onInput={(event) => (wanted.value = event.currentTarget.value)} />
          </label>
          <button type="submit">Audit</button>
        </form>
        <Fault text={fault.value} />
        {jobs.value?.length === 0 && <p role="status">There are none yet.</p>}
        {jobs.value && jobs.value.length > 0 && <Table jobs={jobs.value} />}
        {from.value !== undefined && from.value > 1 && <p><button type="button" disabled={busy.value} onClick={() => void read()}>Older jobs</button></p>}
      </section>
    </>
  );
}

function Ours() {
  return (
    <section>
      <h2>Yours</h2>
      {mine.value.length === 0 && <p>You have none in this browser yet.</p>}
      <ul class="list">
        {mine.value.map((job) => (
          <li key={job.name}>
            <a href={`#/mine/${job.name}`}>{job.model}{job.id === null ? "" : `, job ${job.id}`}</a>
            <span class="quiet">{job.prediction ? "answered" : runs.value[job.name]?.consent ? "waits for you" : job.id === null ? "not paid for yet" : "not answered yet"}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Table({ jobs }: { jobs: Line[] }) {
  const network = about.value;
  if (!network) return null;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Jobs of this market">
      <table>
        <thead><tr><th scope="col">Job</th><th scope="col">Stage</th><th scope="col">Escrow</th><th scope="col">Since block</th><th scope="col">User</th><th scope="col"><span class="unseen">Audit</span></th></tr></thead>
        <tbody>
          {jobs.map((job) => (
            <tr key={job.id}>
              <th scope="row"><a href={`#/job/${job.id}`}>{job.id}</a></th>
              <td>{job.stage}</td>
              {job.stage === "pruned" ? <td colSpan={3} class="quiet">over for long, records removed</td> : (
                <>
                  <td>{money(job.escrow, network)}</td>
                  <td>{job.changed_at}</td>
                  <td title={job.user}>{short(job.user)}</td>
                </>
              )}
              <td><a href={`#/audit/${job.id}`} aria-label={`Audit job ${job.id}`}>audit</a></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
