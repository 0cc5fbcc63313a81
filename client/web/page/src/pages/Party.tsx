import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { about, account, words } from "../core/state";
import type { PartLine, Party as Found } from "../core/types";
import { money, rating, short } from "../core/words";
import { Claim } from "../parts/Claim";
import { Entry, Fault } from "../parts/Entry";
import { Settings } from "../parts/Settings";
import { WorkerFacts } from "./Workers";

/** How many numbers of jobs are looked through at once. */
const atOnce = 25;

/** Who signs here: its credit, and what it is in this market. */
export function AccountPage() {
  return (
    <>
      {account.value ? <PartyPage key={account.value.address} address={account.value.address} own /> : (
        <>
          <h1>Your account</h1>
          <section class="card"><h2>Who are you?</h2><Entry /></section>
        </>
      )}
      <Settings />
    </>
  );
}

/** One account: what the chain says of it as user, creator and worker. */
export function PartyPage({ address, own = false }: { address: string; own?: boolean }) {
  const party = useSignal<Found | null>(null);
  const fault = useSignal("");
  const looks = useSignal(0);
  useEffect(() => {
    api.party(address).then((found) => (party.value = found), (error) => (fault.value = words(error)));
  }, [address, looks.value, party, fault]);
  const [found, network] = [party.value, about.value];
  return (
    <>
      <h1>{own ? "Your account" : "Account"}</h1>
      <p><code>{address}</code></p>
      <Fault text={fault.value} />
      {!found && !fault.value && <p role="status">Reading the chain…</p>}
      {found && network && (
        <>
          <section class="card">
            <h2>Credit</h2>
            {own && account.value ? <Claim onTaken={() => looks.value++} /> : <p>{money(found.credit, network)} may be taken out of the contract.</p>}
          </section>
          <Models found={found} />
          {found.worker && <section class="card"><h2>As a worker</h2><WorkerFacts worker={found.worker} /></section>}
          <Part address={address} />
        </>
      )}
    </>
  );
}

function Models({ found }: { found: Found }) {
  const network = about.value;
  if (!network || found.models.length === 0) return null;
  return (
    <section class="card">
      <h2>As a creator</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Models of this creator">
        <table>
          <thead><tr><th scope="col">Model</th><th scope="col">Versions</th><th scope="col">Open jobs</th><th scope="col">Rated</th><th scope="col">Bond</th><th scope="col">Held by jobs</th></tr></thead>
          <tbody>
            {found.models.map((model) => (
              <tr key={model.id}>
                <th scope="row">{model.version === null ? model.name : <a href={`#/model/${model.version}`}>{model.name}</a>}</th>
                <td>
                  <ul class="plain">
                    {model.versions.map((version) => <li key={version.id}>{version.id}: {version.status} <span class="quiet">since block {version.changed_at}</span></li>)}
                  </ul>
                </td>
                <td>{model.open_jobs}</td><td>{rating(model.rated)}</td><td>{money(model.bond, network)}</td><td>{money(model.locked, network)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

const isOver = (job: PartLine) => ["settled", "failed", "cancelled"].includes(job.stage);

/** The jobs that an account has a part in, the newest first, as far back as its reader goes. */
function Part({ address }: { address: string }) {
  const jobs = useSignal<PartLine[]>([]);
  const from = useSignal<number | undefined>(undefined);
  const pruned = useSignal(0);
  const busy = useSignal(false);
  const fault = useSignal("");
  const read = async () => {
    [busy.value, fault.value] = [true, ""];
    try {
      const found = await api.parts(address, atOnce, from.value);
      jobs.value = [...jobs.value, ...found.jobs];
      pruned.value += found.pruned;
      from.value = found.from;
    } catch (error) {
      fault.value = words(error);
    }
    busy.value = false;
  };
  useEffect(() => void read(), []);
  const network = about.value;
  if (!network) return null;
  const live = jobs.value.filter((job) => !isOver(job));
  const over = jobs.value.filter(isOver);
  const earned = jobs.value.reduce((sum, job) => sum + BigInt(job.earned), 0n);
  return (
    <section>
      <h2>Jobs with a part in them</h2>
      <p class="quiet" role="status">
        {from.value === undefined ? "Reading the chain…" : `${jobs.value.length} since job ${from.value}.`}
        {earned > 0n && ` They earned it ${money(String(earned), network)}.`}
        {pruned.value > 0 && ` ${pruned.value} in between were pruned; whose they were is in the events.`}
      </p>
      {live.length > 0 && <><h3>Running now</h3><Table jobs={live} name="Running jobs of this account" /></>}
      {over.length > 0 && <><h3>Over</h3><Table jobs={over} name="Ended jobs of this account" /></>}
      <Fault text={fault.value} />
      {from.value !== undefined && from.value > 1 && <p><button type="button" disabled={busy.value} onClick={() => void read()}>Look through older jobs</button></p>}
    </section>
  );
}

function Table({ jobs, name }: { jobs: PartLine[]; name: string }) {
  const network = about.value;
  if (!network) return null;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={name}>
      <table>
        <thead><tr><th scope="col">Job</th><th scope="col">As</th><th scope="col">Stage</th><th scope="col">Since block</th><th scope="col">Next by block</th><th scope="col">Earned</th><th scope="col">User</th></tr></thead>
        <tbody>
          {jobs.map((job) => (
            <tr key={`${job.id}-${job.role}`}>
              <th scope="row"><a href={`#/job/${job.id}`}>{job.id}</a></th>
              <td>{job.role}</td><td>{job.stage}</td><td>{job.changed_at}</td>
              <td>{isOver(job) ? "—" : job.deadline}</td>
              <td>{job.role === "user" ? "—" : money(job.earned, network)}</td><td title={job.user}>{short(job.user)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
