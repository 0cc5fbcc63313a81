import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { about, words } from "../core/state";
import type { Happening } from "../core/types";
import { money, short } from "../core/words";
import { Fault } from "../parts/Entry";

/** How many blocks are read at once. */
const blocks = 100;

/** What the contract said, the newest first, by kind, job and account. */
export function Events() {
  const events = useSignal<Happening[]>([]);
  const from = useSignal<number | null>(null);
  const busy = useSignal(false);
  const fault = useSignal("");
  const kind = useSignal("");
  const wanted = useSignal("");
  const read = async () => {
    [busy.value, fault.value] = [true, ""];
    try {
      const to = from.value === null ? (await api.about()).block : from.value - 1;
      const said = await api.events(Math.max(1, to - blocks + 1), to);
      events.value = [...events.value, ...said.events];
      from.value = said.from;
    } catch (error) {
      fault.value = words(error);
    }
    busy.value = false;
  };
  useEffect(() => void read(), []);
  const text = wanted.value.trim().toLowerCase();
  const fits = (event: Happening) =>
    (!kind.value || event.kind === kind.value) &&
    (!text || String(event.job ?? "") === text || `${event.subject} ${event.who ?? ""} ${event.words}`.toLowerCase().includes(text));
  const found = events.value.filter(fits);
  const kinds = [...new Set(events.value.map((event) => event.kind))].sort();
  return (
    <>
      <h1>Events</h1>
      <p class="lead">Everything that the contract said. Every balance and every job can be rebuilt from it.</p>
      <div class="row">
        <label class="field"><span>Kind</span>
          <select value={kind.value} onChange={(event) => (kind.value = event.currentTarget.value)}>
            <option value="">all</option>
            {kinds.map((each) => <option key={each} value={each}>{each}</option>)}
          </select>
        </label>
        <label class="field"><span>Job number, address or word</span>
          <input type="search" value={wanted.value} onInput={(event) => (wanted.value = event.currentTarget.value)} />
        </label>
      </div>
      <p role="status" class="quiet">{busy.value ? "Reading the chain…" : `${found.length} of ${events.value.length} events since block ${from.value ?? 1}`}</p>
      <Fault text={fault.value} />
      {found.length > 0 && <Table events={found} />}
      <p><button type="button" disabled={busy.value || from.value === 1} onClick={() => void read()}>{from.value === 1 ? "That is all there is" : "Read earlier blocks"}</button></p>
    </>
  );
}

function Table({ events }: { events: Happening[] }) {
  const network = about.value;
  if (!network) return null;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Events">
      <table>
        <thead><tr><th scope="col">Block</th><th scope="col">Event</th><th scope="col">Of</th><th scope="col">Who</th><th scope="col">Amount</th><th scope="col">Details</th></tr></thead>
        <tbody>
          {events.map((event, at) => (
            <tr key={at}>
              <td>{event.block}</td>
              <td>{event.kind}</td>
              <td>{event.job === null ? event.subject : <a href={`#/job/${event.job}`}>job {event.job}</a>}</td>
              <td>{event.who && <a href={`#/party/${event.who}`} title={event.who}>{short(event.who)}</a>}</td>
              <td>{event.amount === null ? "" : money(event.amount, network)}</td>
              <td class="words">{event.words}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
