// Asks the worker.

import module from "../../.wasm/encompute_web_bg.wasm?url";
import type { Answered, Ask, Compiled, Signed, Tell } from "./messages";
import { signByWallet } from "./wallets";
import type {
  About, Account, Ending, GoneJob, Job, JobEvent, JobLines, Mine, Model, Pace, Parts, Party, Price, PublishedReport, Quote, Reading, Report, Said,
  WorkerRecord,
} from "./types";

interface Waiting {
  answer(value: unknown): void;
  fault(error: Error): void;
  event: ((event: JobEvent) => void) | undefined;
  /** Whether the release that was just previewed may be sent. */
  consent: (() => Promise<boolean>) | undefined;
}

// Compiled while it comes and the worker starts; the page's head tells the browser to fetch it at once.
const compiled = WebAssembly.compileStreaming(fetch(module));
const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
const waiting = new Map<number, Waiting>();
let asked = 0;

function start(module: Compiled["module"]): void {
  const message: Compiled = { module };
  worker.postMessage(message);
}
// A host that does not say what the file is has it compiled by the worker.
compiled.then(start, () => start(new URL(module, location.href).href));

worker.onmessage = ({ data }: MessageEvent<Tell>) => {
  if ("signing" in data) {
    void sign(data.signing, data.payload);
    return;
  }
  const asker = waiting.get(data.id);
  if (!asker) return;
  if ("event" in data) {
    asker.event?.(JSON.parse(data.event) as JobEvent);
    return;
  }
  if ("asking" in data) {
    // Who cannot be asked has not consented.
    void (asker.consent?.() ?? Promise.resolve(false)).then((yes) => worker.postMessage({ asking: data.asking, yes } satisfies Answered));
    return;
  }
  waiting.delete(data.id);
  if ("fault" in data) asker.fault(new Error(data.fault));
  else asker.answer(data.answer);
};

async function sign(signing: number, payload: string): Promise<void> {
  let answer: Signed;
  try {
    answer = { signing, signature: await signByWallet(payload) };
  } catch (fault) {
    answer = { signing, fault: fault instanceof Error ? fault.message : String(fault) };
  }
  worker.postMessage(answer);
}

worker.onerror = (error) => {
  for (const asker of waiting.values()) asker.fault(new Error(error.message || "the page's worker stopped"));
  waiting.clear();
};

function ask(method: string, args: unknown[] = [], event?: (event: JobEvent) => void, consent?: () => Promise<boolean>): Promise<unknown> {
  return new Promise((answer, fault) => {
    const id = ++asked;
    waiting.set(id, { answer, fault, event, consent });
    const message: Ask = { id, method, args };
    worker.postMessage(message);
  });
}

async function json<T>(method: string, args: unknown[] = [], event?: (event: JobEvent) => void): Promise<T> {
  return JSON.parse((await ask(method, args, event)) as string) as T;
}

async function done(method: string, args: unknown[] = []): Promise<void> {
  await ask(method, args);
}

export const api = {
  connect: () => json<About>("connect"),
  about: () => json<About>("about"),
  models: () => json<Model[]>("models"),
  prices: () => json<Price[]>("prices"),
  quote: (version: number, split: string, policy: string) => json<Quote>("quote", [version, split, policy]),
  /** Milliseconds between two blocks. */
  pace: () => json<number | null>("pace"),
  jobs: (limit: number, before?: number) => json<JobLines>("jobs", [limit, before]),
  job: (id: number) => json<Job | GoneJob>("job", [id]),
  report: (version: number) => json<PublishedReport | null>("report", [version]),
  paces: () => json<Pace[]>("paces"),
  workers: () => json<WorkerRecord[]>("workers"),
  party: (address: string) => json<Party>("party", [address]),
  parts: (address: string, limit: number, before?: number) => json<Parts>("parts", [address, limit, before]),
  events: (from: number, to: number) => json<Said>("events", [from, to]),
  withdraw: () => done("withdraw"),
  audit: (id: number) => json<Report>("audit", [id]),
  evidence: async (id: number) => (await ask("evidence", [id])) as Uint8Array<ArrayBuffer>,
  ciphertext: async (id: number, bytes: number) => (await ask("ciphertext", [id, bytes])) as Uint8Array,
  /** Answers that this browser keeps: they need no network. */
  keptAnswers: () => json<Mine[]>("keptAnswers"),
  hasHome: async () => (await ask("hasHome")) as boolean,
  unlock: (passphrase: string) => done("unlock", [passphrase]),
  lock: () => done("lock"),
  signAs: (suri: string) => done("signAs", [suri]),
  signByWallet: (account: string) => done("signByWallet", [account]),
  signByExport: (file: string, password: string) => done("signByExport", [file, password]),
  signOut: () => done("signOut"),
  account: () => json<Account | null>("account"),
  read: (version: number, bytes: Uint8Array, slice?: number) => json<Reading>("read", [version, bytes, slice]),
  preview: async () => (await ask("preview")) as Uint8Array,
  prepare: async (split: string, policy: string, looks: boolean, event: (event: JobEvent) => void) =>
    (await ask("prepare", [split, policy, looks], event)) as string,
  goOn: async (name: string, event: (event: JobEvent) => void, consent?: () => Promise<boolean>) =>
    JSON.parse((await ask("goOn", [name, consent !== undefined], event, consent)) as string) as Ending,
  /** Whether the file that was read last is what a job encrypted. */
  isInputOf: async (name: string) => (await ask("isInputOf", [name])) as boolean,
  mine: () => json<Mine[]>("mine"),
  rate: (id: number, grade: number, why: string) => done("rate", [id, grade, why]),
  rating: (id: number) => json<number | null>("rating", [id]),
  poke: (id: number) => done("poke", [id]),
  cancel: (id: number) => done("cancel", [id]),
};
