// What the page's Rust says, as JSON: the shapes of the command line's `--json`.

export interface About {
  network: string;
  development: boolean;
  token: { symbol: string; decimals: number };
  genesis: string;
  contract: string | null;
  block: number;
}

export interface Accuracy {
  samples: number;
  float: number;
  quantised: number;
  released: number;
}

export interface Policy {
  name: string;
  bits_per_code: number;
  information_bits: number;
  /** By the creator's own report: A to F. */
  grade: string | null;
  /** What a release tells at most, by the same report. */
  grade_bits: number | null;
  accuracy: Accuracy;
}

export interface Split {
  name: string;
  mode: "linear" | "rounds" | "bootstrapped";
  features: number;
  ms: number;
  failure_bits: number;
  bytes: { up: number; down: number; key: number };
  policies: Policy[];
}

export type Input =
  | { kind: "image"; shape: Shape }
  | { kind: "table"; shape: Shape; columns: string[] }
  | { kind: "text"; shape: Shape; bytes: number };

/** Channels, height, width. */
export type Shape = [number, number, number];

/** What a file came to. */
export interface Reading {
  shape: Shape;
  left_out: number;
  /** Of a scan of several slices: the one that was read. */
  slice: { number: number; of: number } | null;
}

export interface Model {
  version: number;
  name: string;
  task: string;
  creator: string;
  limits: string;
  /** Whether its creator published what was measured. */
  report: boolean;
  /** Whether its creator published an attack that users may try on their own release. */
  attack: boolean;
  /** How many witnesses its creator wants of every job; null where that is left to users. */
  witnesses: number | null;
  labels: string[];
  input: Input;
  splits: Split[];
}

/** What may change of a version on sale. */
export interface Price {
  version: number;
  /** All that one run of each split costs now, without a tip. */
  prices: (string | null)[];
  bond: string | null;
  rated: { count: number; mean: number | null } | null;
}

export interface Quote {
  /** Why this page runs no such split, where it does not. */
  refused: string | null;
  fee: { head: string; tail: string; protocol: string; total: string | null; witnesses: string };
  refunds: { outcome: string; back: string }[];
  windows_blocks: { claim: number; head: number; features: number; creator: number; accept: number };
}

export interface Account {
  account: string;
  address: string;
  development: boolean;
  free: string;
  credit: string;
}

export type Stage =
  | "requested"
  | "claimed"
  | "head-committed"
  | "features-sent"
  | "result-committed"
  | "settled"
  | "failed"
  | "cancelled"
  | "disputed-head"
  | "disputed-missing"
  | "disputed-result"
  | "disputed-attestation"
  | "disputed-witness"
  | "disputed-audit"
  | "disputed-quote";

export interface JobLine {
  id: number;
  stage: Stage;
  reason: number | null;
  user: string;
  version: number;
  worker: string | null;
  escrow: string | null;
  requested_at: number;
  changed_at: number;
  deadline: number;
}

/** A job whose records were removed long after its end, as lists have it. */
export interface PrunedLine {
  id: number;
  stage: "pruned";
}

/** So many numbers of jobs, the newest first, down to `from`. */
export interface JobLines {
  from: number;
  jobs: (JobLine | PrunedLine)[];
}

/** What is left of a job on chain once its records were removed. */
export interface Pruned {
  block: number;
  digest: string;
}

/** A pruned job whose last block the node has forgotten. */
export interface GoneJob {
  id: number;
  stage: null;
  pruned: Pruned;
}

export interface Job extends JobLine {
  /** Set where its records were removed; the rest is what the block before said. */
  pruned: Pruned | null;
  name: string;
  reason_words: string | null;
  input: string;
  /** The chain's last block when this was read. */
  block: number;
  stages: { stage: Stage; block: number; deadline: number }[];
  credits: { account: string; amount: string; cause: string; block: number }[];
}

export interface Prediction {
  label: string;
  probability: number | null;
  scores: { label: string; probability: number }[];
  limits: string;
}

export interface Mine {
  name: string;
  id: number | null;
  model: string;
  version: number;
  split: string | null;
  policy: string | null;
  user: string;
  rounds: number;
  /** Whether the release has left this browser. */
  sent: boolean;
  prediction: Prediction | null;
}

export interface Ending {
  id: number;
  model: string;
  stage: Stage;
  reason: string | null;
  prediction: Prediction | null;
  bytes: { up: number; down: number };
}

export interface Check {
  id: string;
  pass: boolean;
  expected: string;
  actual: string;
  source: string;
}

export interface Report {
  verdict: "pass" | "fail";
  trust_root: { name: string; development: boolean; fingerprint: string };
  judged: { block: number; time: string; why: string; collateral_expires_at: string | null } | null;
  checks: Check[];
  limits: string[];
}

export type Step =
  | "encrypt"
  | "upload"
  | "offer"
  | "request"
  | "rounds"
  | "commit"
  | "witness"
  | "audit"
  | "quote"
  | "release"
  | "send"
  | "tail"
  | "accept";

export type JobEvent =
  | { event: "begins"; step: Step }
  | { event: "ended"; step: Step; ms: number }
  | { event: "uploaded"; done: number; of: number }
  | { event: "round"; done: number; of: number }
  | { event: "released"; codes: number[] }
  | ({ event: "preview" } & Preview)
  | { event: "stage"; job: number; stage: Stage; block: number; deadline: number };

/** What the creator could rebuild of an input, by the attack that it publishes; or why that cannot be shown. */
export type Preview =
  | { fault: string }
  | {
      fault: null;
      shape: Shape;
      /** What was encrypted, where this tab still knows it. */
      input: number[] | null;
      rebuilt: number[];
      /** Of a table, in the units of its file. */
      rows: { name: string; value: number | null; rebuilt: number; off: number }[] | null;
      /** How far off the guess is, of 255, in the root of the mean square; and how far it usually is. */
      apart: number | null;
      usual: number;
    };

/** Blocks from request to end of a version's newest settled jobs. */
export interface Pace {
  version: number;
  jobs: number;
  median: number;
  most: number;
}

export interface WorkerRecord {
  address: string;
  url: string;
  measurement: string;
  payout: string;
  registered_at: number;
  expires_at: number;
  holds: boolean;
  stake: string;
  locked: string;
  leaving: string;
  capacity: number;
  in_flight: number;
  /** Heads that it committed. */
  heads: number;
  /** Claims that it let run out. */
  timeouts: number;
}

export interface ModelLine {
  id: number;
  name: string;
  version: number | null;
  bond: string;
  locked: string;
  leaving: string;
  open_jobs: number;
  rated: NonNullable<Price["rated"]>;
  versions: { id: number; status: string; splits: number; published_at: number; changed_at: number }[];
}

export interface Party {
  address: string;
  block: number;
  credit: string;
  models: ModelLine[];
  worker: WorkerRecord | null;
}

/** A job that an account has a part in. */
export type PartLine = JobLine & { role: "user" | "sponsor" | "creator" | "worker"; earned: string };

/** Those among so many numbers, the newest first, down to `from`; `pruned` of them have no records any more. */
export interface Parts {
  from: number;
  jobs: PartLine[];
  pruned: number;
}

/** One event of the contract. */
export interface Happening {
  block: number;
  kind: string;
  job: number | null;
  subject: string;
  who: string | null;
  amount: string | null;
  words: string;
}

export interface Said {
  from: number;
  to: number;
  events: Happening[];
  unread: number;
}

export interface ReportedSplit {
  name: string;
  policy: string;
  on_card: boolean;
  depth: number;
  ms: number;
  bytes_up: number;
  bytes_down: number;
  released_accuracy: number;
  bits: number;
  reid_10k: number;
  reid_at_most: boolean;
  grade: string;
  reason: string;
  strip: { name: string; png: string }[];
  leakage: { above_floor: number };
}

/** What a creator measured of every split. */
export interface PublishedReport {
  population: string;
  float: { share: number; samples: number };
  splits: ReportedSplit[];
}
