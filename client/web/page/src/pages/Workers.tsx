import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { about, words } from "../core/state";
import type { WorkerRecord } from "../core/types";
import { money, percent, short } from "../core/words";
import { Fault } from "../parts/Entry";

/** Every worker: whether its registration holds, what it stakes, how busy it is. */
export function Workers() {
  const workers = useSignal<WorkerRecord[] | null>(null);
  const fault = useSignal("");
  useEffect(() => {
    api.workers().then((found) => (workers.value = found), (error) => (fault.value = words(error)));
  }, [workers, fault]);
  return (
    <>
      <h1>Workers</h1>
      <p class="lead">Strangers' machines that compute on encrypted inputs. Each has an attested registration and a stake that it loses if it fails a job.</p>
      <Fault text={fault.value} />
      {!workers.value && !fault.value && <p role="status">Reading the chain…</p>}
      {workers.value?.length === 0 && <p role="status">None has registered yet.</p>}
      <ul class="cards">
        {workers.value?.map((worker) => (
          <li key={worker.address} class="card">
            <h2><a href={`#/party/${worker.address}`}>{short(worker.address)}</a></h2>
            <WorkerFacts worker={worker} />
          </li>
        ))}
      </ul>
    </>
  );
}

/** How many of the jobs that a worker was done with it had computed. */
function score({ heads, timeouts }: WorkerRecord): string {
  const over = heads + timeouts;
  return over === 0 ? "no job yet" : `${percent(heads / over, 0)}: ${heads} computed, ${timeouts} let run out`;
}

export function WorkerFacts({ worker }: { worker: WorkerRecord }) {
  const network = about.value;
  if (!network) return null;
  return (
    <dl class="facts">
      <div><dt>Registration</dt><dd class={worker.holds ? "ok" : "bad"}>{worker.holds ? `holds until block ${worker.expires_at}` : `ran out at block ${worker.expires_at}`}</dd></div>
      <div><dt>Queue</dt><dd>{worker.in_flight} of at most {worker.capacity} at once</dd></div>
      <div><dt>Score</dt><dd>{score(worker)}</dd></div>
      <div><dt>Stake</dt><dd>{money(worker.stake, network)}</dd></div>
      <div><dt>Held by jobs</dt><dd>{money(worker.locked, network)}</dd></div>
      <div><dt>Serves at</dt><dd>{worker.url}</dd></div>
      <div><dt>Runs code</dt><dd title={worker.measurement}><code>{short(worker.measurement)}</code></dd></div>
      <div><dt>Is paid to</dt><dd title={worker.payout}><code>{short(worker.payout)}</code></dd></div>
    </dl>
  );
}
