// The thread that does the work: everything secret is in its WebAssembly memory, and nothing here looks into it.

import init, { Page, kept_answers, network_name, unlock as unlockHome } from "../../.wasm/encompute_web.js";
import { Home, exists } from "./home";
import type { Answered, Ask, Compiled, Signed, Tell } from "./messages";

/** Beside the page, wherever it is served: the worker itself is among the assets. */
const networkFile = new URL("../network.toml", self.location.href);

type Watch = (event: string) => void;
type Consent = () => Promise<boolean>;
type Method = (args: unknown[], watch: Watch, consent: Consent) => unknown;

let compiled: (module: Compiled["module"]) => void;
const module = new Promise<Compiled["module"]>((answer) => (compiled = answer));
let page: Page | undefined;
let home: Home | undefined;
let network = "";

function market(): Page {
  if (!page) throw new Error("the page is not connected to a network");
  return page;
}

async function connect(): Promise<string> {
  const [file] = await Promise.all([fetch(networkFile), module.then((module) => init({ module_or_path: module }))]);
  if (!file.ok) throw new Error("this host serves no network file");
  const text = await file.text();
  // Named before it answers: what is kept of it can be read while it does not.
  network = network_name(text);
  page = await Page.connect(text);
  return page.about();
}

async function unlock(passphrase: string): Promise<void> {
  const opened = home ?? (await Home.open(network));
  try {
    opened.cut(unlockHome(opened.bytes(), passphrase, (bytes: Uint8Array) => opened.append(bytes)));
    home = opened;
  } catch (fault) {
    opened.close();
    home = undefined;
    throw fault;
  }
}

function lock(): void {
  market().lock();
  home?.close();
  home = undefined;
}

const signings = new Map<number, { signed(signature: string): void; declined(why: Error): void }>();
let asked = 0;

/** Has the page ask the wallet. */
function sign(payload: string): Promise<string> {
  return new Promise((signed, declined) => {
    const signing = ++asked;
    signings.set(signing, { signed, declined });
    tell({ signing, payload });
  });
}

function answered(answer: Signed): void {
  const signing = signings.get(answer.signing);
  signings.delete(answer.signing);
  if ("fault" in answer) signing?.declined(new Error(answer.fault));
  else signing?.signed(answer.signature);
}

const consents = new Map<number, (yes: boolean) => void>();

/** Has the page ask its user whether a release may be sent. */
function consentTo(id: number): Promise<boolean> {
  return new Promise((answer) => {
    const asking = ++asked;
    consents.set(asking, answer);
    tell({ id, asking });
  });
}

const bigint = (number: unknown) => (number === undefined ? undefined : BigInt(number as number));

const methods: Record<string, Method> = {
  connect,
  about: () => market().about(),
  models: () => market().models(),
  prices: () => market().prices(),
  quote: ([version, split, policy]) => market().quote(version as number, split as string, policy as string),
  pace: () => market().pace(),
  jobs: ([limit, before]) => market().jobs(limit as number, bigint(before)),
  job: ([id]) => market().job(BigInt(id as number)),
  report: ([version]) => market().report(version as number),
  paces: () => market().paces(),
  workers: () => market().workers(),
  party: ([address]) => market().party(address as string),
  parts: ([address, limit, before]) => market().parts(address as string, limit as number, bigint(before)),
  events: ([from, to]) => market().events(from as number, to as number),
  withdraw: () => market().withdraw(),
  audit: ([id]) => market().audit(BigInt(id as number)),
  evidence: ([id]) => market().evidence(BigInt(id as number)),
  ciphertext: ([id, bytes]) => market().ciphertext(BigInt(id as number), bytes as number),
  keptAnswers: () => kept_answers(),
  hasHome: () => exists(network),
  unlock: ([passphrase]) => unlock(passphrase as string),
  lock,
  signAs: ([suri]) => market().sign_as(suri as string),
  signByWallet: ([account]) => market().sign_by_wallet(account as string, sign),
  signByExport: ([json, password]) => market().sign_by_export(json as string, password as string),
  signOut: () => market().sign_out(),
  account: () => market().account(),
  read: ([version, bytes, slice]) => market().read(version as number, bytes as Uint8Array, slice as number | undefined),
  preview: () => market().preview(),
  prepare: ([split, policy, looks], watch) => market().prepare(split as string, policy as string, looks as boolean, watch),
  goOn: ([name, asks], watch, consent) => market().go_on(name as string, watch, asks ? consent : undefined),
  isInputOf: ([name]) => market().is_input_of(name as string),
  mine: () => market().mine(),
  rate: ([id, grade, why]) => market().rate(BigInt(id as number), grade as number, why as string),
  rating: ([id]) => market().rating(BigInt(id as number)),
  poke: ([id]) => market().poke(BigInt(id as number)),
  cancel: ([id]) => market().cancel(BigInt(id as number)),
};

function tell(message: Tell): void {
  (self as unknown as { postMessage(message: Tell): void }).postMessage(message);
}

self.onmessage = async ({ data }: MessageEvent<Answered | Ask | Compiled | Signed>) => {
  if ("module" in data) return compiled(data.module);
  if ("signing" in data) return answered(data);
  if ("asking" in data) {
    consents.get(data.asking)?.(data.yes);
    consents.delete(data.asking);
    return;
  }
  const { id, method, args } = data;
  try {
    const answer = await methods[method]?.(args, (event) => tell({ id, event }), () => consentTo(id));
    tell({ id, answer });
  } catch (fault) {
    tell({ id, fault: fault instanceof Error ? fault.message : String(fault) });
  }
};
