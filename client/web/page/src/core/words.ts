// Numbers and words, as people read them.

import { pace } from "./state";
import type { About, Price, Split, Stage, Step } from "./types";

/** An amount of plancks in the network's token; with so many decimals at most, rounded down. */
export function money(plancks: string | null, { token }: About, decimals = token.decimals): string {
  if (plancks === null) return "—";
  const digits = plancks.padStart(token.decimals + 1, "0");
  const whole = digits.slice(0, -token.decimals).replace(/\B(?=(\d{3})+$)/g, ",");
  const part = digits.slice(-token.decimals).slice(0, decimals).replace(/0+$/, "");
  return `${whole}${part ? `.${part}` : ""} ${token.symbol}`;
}

/** How payers graded a model. */
export function rating(rated: Price["rated"]): string {
  return rated?.mean ? `${rated.mean.toFixed(1)} of 5, by ${rated.count}` : "not yet";
}

export function percent(share: number | null, digits = 1): string {
  return share === null ? "—" : `${(share * 100).toFixed(digits)} %`;
}

export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  if (count < 1_000_000) return `${(count / 1000).toFixed(0)} KB`;
  return `${(count / 1_000_000).toFixed(1)} MB`;
}

export function milliseconds(ms: number): string {
  if (ms < 1) return `${(ms * 1000).toFixed(0)} µs`;
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** So many blocks, and about how long that is. */
export function blocks(count: number): string {
  const words = `${count} ${count === 1 ? "block" : "blocks"}`;
  return pace.value === null ? words : `${words}, about ${span(count * pace.value)}`;
}

/** A length of time in one unit. */
function span(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return seconds < 36 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

export function short(text: string): string {
  return text.length > 16 ? `${text.slice(0, 8)}…${text.slice(-6)}` : text;
}

export const stages: { stage: Stage; name: string; who: string }[] = [
  { stage: "requested", name: "Paid for", who: "a worker claims it" },
  { stage: "claimed", name: "Claimed", who: "the worker computes on the encrypted input" },
  { stage: "head-committed", name: "Receipt on chain", who: "this page verifies, decrypts and blurs" },
  { stage: "features-sent", name: "Blurred numbers sent", who: "the creator finishes the model" },
  { stage: "result-committed", name: "Result on chain", who: "this page opens and accepts it" },
  { stage: "settled", name: "Settled", who: "nobody: everybody is paid" },
];

/** Disputes stand beside the way that jobs usually take. */
export const disputes: Partial<Record<Stage, { name: string; who: string }>> = {
  "disputed-head": { name: "Disputed: the computation", who: "a committee of workers computes it again" },
  "disputed-missing": { name: "Disputed: something is missing", who: "whoever committed it posts it on chain" },
  "disputed-result": { name: "Disputed: the result", who: "the creator answers for it" },
  "disputed-attestation": { name: "Disputed: the attestation", who: "an arbiter rules on it" },
  "disputed-witness": { name: "Witnesses compute it again", who: "three workers on machines of their own" },
  "disputed-audit": { name: "Drawn for an audit", who: "three workers, paid by the network; it goes on after" },
  "disputed-quote": { name: "A quote is demanded", who: "the worker proves anew what it runs; it goes on after" },
};

/** Why somebody was credited. */
export const causes: Record<string, string> = {
  HeadFee: "Worker's fee",
  Tip: "Tip",
  TailFee: "Creator's fee",
  StopFee: "Creator's part, for stopping",
  ProtocolFee: "Protocol's fee",
  Refund: "Back to the user",
  Slash: "From a slashed stake or bond",
  Deposit: "From what was staked on a dispute",
};

export const steps: Record<Step, string> = {
  encrypt: "Making keys and encrypting",
  upload: "Uploading the encrypted request",
  offer: "Checking workers' attestation, asking for an offer",
  request: "Paying for the run",
  rounds: "Running the head on encrypted data",
  commit: "Waiting for the worker's receipt on chain",
  witness: "Waiting for witnesses to run the head again",
  audit: "Waiting: the network drew this job for an audit, it goes on after",
  quote: "Waiting for the worker's quote over its receipt",
  release: "Verifying, decrypting, blurring",
  send: "Sending sealed numbers",
  tail: "Waiting for the creator's result",
  accept: "Opening the result, settling",
};

export const modes: Record<Split["mode"], string> = {
  linear: "one encrypted step",
  rounds: "encrypted layers, with steps in this tab between them",
  bootstrapped: "its first layers stay encrypted throughout",
};
