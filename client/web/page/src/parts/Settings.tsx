import { asks, setAsks } from "../core/state";

/** What this browser's user wants; kept in this browser. */
export function Settings() {
  return (
    <section class="card">
      <h2>Settings of this browser</h2>
      <label>
        <input type="checkbox" checked={asks.value} onChange={(event) => setAsks(event.currentTarget.checked)} /> Show me what the creator could rebuild of my file, and ask
        me, before anything is sent to it
      </label>
      <p class="quiet">Of models whose creators publish the attack. Without it, blurred numbers are sent as soon as the worker's receipt has been verified.</p>
    </section>
  );
}
