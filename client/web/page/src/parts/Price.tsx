import { about } from "../core/state";
import type { Quote } from "../core/types";
import { blocks, money } from "../core/words";

/** What a run costs, and what comes back at each way it can end: before anything is signed. */
export function Price({ quote }: { quote: Quote }) {
  const network = about.value;
  if (!network) return null;
  const { fee, refunds, windows_blocks: windows } = quote;
  const acts = [
    ["a worker to claim it", windows.claim], ["the worker to compute, and commit its receipt", windows.head],
    ["you, in this page, to verify, decrypt and send", windows.features], ["the creator to answer", windows.creator],
    ["you to accept the answer; after it the job settles by itself", windows.accept],
  ] as const;
  return (
    <>
      <dl class="facts">
        <div><dt>Worker</dt><dd>{money(fee.head, network)}</dd></div>
        <div><dt>Creator</dt><dd>{money(fee.tail, network)}</dd></div>
        <div><dt>Protocol</dt><dd>{money(fee.protocol, network)}</dd></div>
        <div><dt>In all</dt><dd><strong>{money(fee.total, network)}</strong></dd></div>
      </dl>
      <table>
        <caption>What you have back if the job ends otherwise</caption>
        <thead><tr><th scope="col">If the job is</th><th scope="col">You have back</th></tr></thead>
        <tbody>
          {refunds.map(({ outcome, back }) => <tr key={outcome}><td>{outcome}</td><td>{money(back, network)}</td></tr>)}
        </tbody>
      </table>
      <details>
        <summary>Who must act, and how long each has at most</summary>
        <table>
          <thead><tr><th scope="col">It is for</th><th scope="col">Within</th></tr></thead>
          <tbody>{acts.map(([who, window]) => <tr key={who}><td>{who}</td><td>{blocks(window)}</td></tr>)}</tbody>
        </table>
        <p class="quiet">Who is late loses: anybody may then move the job on, and the table above says what comes back.</p>
      </details>
      <p class="quiet">The chain's own fee for each of about three transactions comes on top.</p>
    </>
  );
}
