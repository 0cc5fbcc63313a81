// What the page knows, and how it comes to know it.

import { signal } from "@preact/signals";
import { api } from "./api";
import * as passkey from "./passkey";
import type { About, Account, Ending, JobEvent, Mine, Model, Preview, Price, Stage, Step } from "./types";

/** A job that this tab drives, or has driven. */
export interface Run {
  name: string;
  id: number | null;
  step: Step | null;
  round: { done: number; of: number } | null;
  took: Partial<Record<Step, number>>;
  stages: { stage: Stage; block: number; deadline: number }[];
  codes: number[] | null;
  uploaded: { done: number; of: number } | null;
  /** What the creator could rebuild of the input, once there is a release. */
  preview: Preview | null;
  /** Answers whether the release may be sent, while that is asked. */
  consent: ((yes: boolean) => void) | null;
  /** Set once the user said that it may not. */
  declined: boolean;
  ending: Ending | null;
  fault: string | null;
}

export const about = signal<About | null>(null);
export const models = signal<Model[] | null>(null);
/** What models cost now; later than they are. */
export const prices = signal<Price[] | null>(null);
export const account = signal<Account | null>(null);
export const unlocked = signal(false);
export const hasHome = signal(false);
export const mine = signal<Mine[]>([]);
export const runs = signal<Record<string, Run>>({});
/** Milliseconds between two blocks, once that is known. */
export const pace = signal<number | null>(null);
/** Why the page cannot go on at all. */
export const broken = signal<string | null>(null);

/** Which development account signed last; never a secret. */
const LAST_ACCOUNT = "development-account";
/** Set where the user does not want to be asked before a release is sent. */
const UNASKED = "send-unasked";

/** Whether this browser's user wants to see what could be rebuilt, and to be asked, before a release is sent. */
export const asks = signal(localStorage.getItem(UNASKED) === null);

export function setAsks(wanted: boolean): void {
  if (wanted) localStorage.removeItem(UNASKED);
  else localStorage.setItem(UNASKED, "yes");
  asks.value = wanted;
}

export function words(fault: unknown): string {
  return fault instanceof Error ? fault.message : String(fault);
}

export async function start(): Promise<void> {
  try {
    about.value = await api.connect();
    [hasHome.value, models.value] = await Promise.all([api.hasHome(), api.models()]);
    prices.value = await api.prices();
    // How long blocks take is nice to know, and a node may have forgotten.
    api.pace().then((found) => (pace.value = found), () => undefined);
  } catch (fault) {
    broken.value = words(fault);
    hasHome.value = await api.hasHome().catch(() => false);
  }
}

/** What a version costs now, once that is known. */
export function priceOf(version: number): Price | undefined {
  return prices.value?.find((price) => price.version === version);
}

export async function signAs(suri: string): Promise<void> {
  await api.signAs(suri);
  localStorage.setItem(LAST_ACCOUNT, suri);
  account.value = await api.account();
}

export function lastAccount(): string | null {
  return localStorage.getItem(LAST_ACCOUNT);
}

export async function signByWallet(address: string): Promise<void> {
  await api.signByWallet(address);
  account.value = await api.account();
}

export async function signByExport(file: string, password: string): Promise<void> {
  await api.signByExport(file, password);
  account.value = await api.account();
}

/** Reads again what the account has. */
export async function refreshAccount(): Promise<void> {
  account.value = await api.account();
}

/** Opens the home; with a passkey, too, from then on, where that is wanted. */
export async function unlock(passphrase: string, byPasskey = false): Promise<void> {
  // The authenticator first: a browser asks for it only soon after a click.
  const made = byPasskey && about.value ? await passkey.make(about.value.network, passphrase) : undefined;
  await api.unlock(passphrase);
  made?.keep();
  unlocked.value = hasHome.value = true;
  mine.value = await (broken.value === null ? api.mine() : api.keptAnswers());
}

export async function unlockByPasskey(): Promise<void> {
  if (about.value) await unlock(await passkey.passphraseOf(about.value.network));
}

export async function lock(): Promise<void> {
  // Nobody is there to say yes any more; the job stands where it is.
  for (const run of Object.values(runs.value)) run.consent?.(false);
  await api.lock();
  unlocked.value = false;
  [account.value, mine.value, runs.value] = [null, [], {}];
}

function change(name: string, changed: Partial<Run>): void {
  const run = runs.value[name] ?? begun(name);
  runs.value = { ...runs.value, [name]: { ...run, ...changed } };
}

function begun(name: string): Run {
  return { name, id: null, step: null, round: null, took: {}, stages: [], codes: null, uploaded: null, preview: null, consent: null, declined: false, ending: null, fault: null };
}

function heard(name: string, event: JobEvent): void {
  const run = runs.value[name] ?? begun(name);
  switch (event.event) {
    case "begins":
      return change(name, { step: event.step });
    case "ended":
      return change(name, { step: null, took: { ...run.took, [event.step]: event.ms } });
    case "round":
      return change(name, { round: { done: event.done, of: event.of } });
    case "released":
      return change(name, { codes: event.codes });
    case "stage": {
      const { stage, block, deadline } = event;
      const known = run.stages.some((seen) => seen.stage === stage && seen.block === block);
      return change(name, { id: event.job, stages: known ? run.stages : [...run.stages, { stage, block, deadline }] });
    }
    case "uploaded":
      return change(name, { uploaded: event });
    case "preview":
      return change(name, { preview: event });
  }
}

/** Puts to the user whether what the page shows may be sent. */
function consentTo(name: string): Promise<boolean> {
  return new Promise((answer) => {
    const consent = (yes: boolean) => {
      change(name, { consent: null, declined: !yes });
      answer(yes);
    };
    change(name, { consent });
  });
}

/** Encrypts the file that was read last and uploads it; gives the job's name. */
export async function prepare(split: string, policy: string, watch: (event: JobEvent) => void): Promise<string> {
  const took: Run["took"] = {};
  const name = await api.prepare(split, policy, asks.value, (event) => {
    if (event.event === "ended") took[event.step] = event.ms;
    watch(event);
  });
  change(name, { took });
  mine.value = await api.mine();
  return name;
}

/** Jobs that this tab is driving. */
const driven = new Set<string>();

/** Takes a job to its end; one that this tab drives already is left to it. */
export async function goOn(name: string): Promise<void> {
  if (driven.has(name)) return;
  driven.add(name);
  change(name, { fault: null, declined: false, ending: null });
  try {
    const ending = await api.goOn(name, (event) => heard(name, event), asks.value ? () => consentTo(name) : undefined);
    change(name, { ending, id: ending.id, step: null });
  } catch (fault) {
    change(name, { fault: words(fault), consent: null, step: null });
  }
  driven.delete(name);
  if (!unlocked.value) return;
  mine.value = await api.mine();
  account.value = await api.account();
}
