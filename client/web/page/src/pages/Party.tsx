import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { about, account, refreshAccount, words } from "../core/state";
import type { Party as Found } from "../core/types";
import { money, short } from "../core/words";
import { Entry, Fault } from "../parts/Entry";
import { WorkerFacts } from "./Workers";

/** Who signs here: its credit, and what it is in this market. */
export function AccountPage() {
  if (!account.value) {
    return (
      <>
        <h1>Your account</h1>
        <section class="card"><h2>Who are you?</h2><Entry /></section>
      </>
    );
  }
  return <PartyPage key={account.value.address} address={account.value.address} own />;
}

/** One account: what the chain says of it as user, creator and worker. */
export function PartyPage({ address, own = false }: { address: string; own?: boolean }) {
  const party = useSignal<Found | null>(null);
  const fault = useSignal("");
  const busy = useSignal(false);
  const looks = useSignal(0);
  useEffect(() => {
    api.party(address).then((found) => (party.value = found), (error) => (fault.value = words(error)));
  }, [address, looks.value, party, fault]);
  const withdraw = async () => {
    [busy.value, fault.value] = [true, ""];
    try {
      await api.withdraw();
      await refreshAccount();
      looks.value++;
    } catch (error) {
      fault.value = words(error);
    }
    busy.value = false;
  };
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
            <p>{money(found.credit, network)} may be taken out of the contract.{own && account.value && ` Free on the account: ${money(account.value.free, network, 4)}.`}</p>
            {own && <button type="button" disabled={busy.value || found.credit === "0"} onClick={() => void withdraw()}>Withdraw</button>}
          </section>
          <Models found={found} />
          {found.worker && <section class="card"><h2>As a worker</h2><WorkerFacts worker={found.worker} /></section>}
          <Part found={found} />
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
          <thead><tr><th scope="col">Model</th><th scope="col">Version on sale</th><th scope="col">Open jobs</th><th scope="col">Bond</th><th scope="col">Held by jobs</th></tr></thead>
          <tbody>
            {found.models.map((model) => (
              <tr key={model.id}>
                <th scope="row">{model.version === null ? model.name : <a href={`#/model/${model.version}`}>{model.name}</a>}</th>
                <td>{model.version ?? "none"}</td><td>{model.open_jobs}</td><td>{money(model.bond, network)}</td><td>{money(model.locked, network)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Part({ found }: { found: Found }) {
  const network = about.value;
  if (!network) return null;
  const earned = found.jobs.reduce((sum, job) => sum + BigInt(job.earned), 0n);
  return (
    <section>
      <h2>Jobs with a part in them</h2>
      <p class="quiet">Among the newest {found.looked_at}.{earned > 0n && ` They earned it ${money(String(earned), network)}.`}</p>
      {found.jobs.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Jobs of this account">
          <table>
            <thead><tr><th scope="col">Job</th><th scope="col">As</th><th scope="col">Stage</th><th scope="col">Since block</th><th scope="col">Next by block</th><th scope="col">Earned</th><th scope="col">User</th></tr></thead>
            <tbody>
              {found.jobs.map((job) => (
                <tr key={`${job.id}-${job.role}`}>
                  <th scope="row"><a href={`#/job/${job.id}`}>{job.id}</a></th>
                  <td>{job.role}</td><td>{job.stage}</td><td>{job.changed_at}</td>
                  <td>{["settled", "failed", "cancelled"].includes(job.stage) ? "—" : job.deadline}</td>
                  <td>{job.role === "user" ? "—" : money(job.earned, network)}</td><td title={job.user}>{short(job.user)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
