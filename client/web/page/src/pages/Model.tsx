import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { about, account, models, prepare, priceOf, unlocked, words } from "../core/state";
import type { Quote } from "../core/types";
import { money, rating, short, steps } from "../core/words";
import { Choices } from "../parts/Choices";
import { Entry, Fault } from "../parts/Entry";
import { FileEntry } from "../parts/FileEntry";
import { Price } from "../parts/Price";
import { Ahead, Report, useReport } from "../parts/Report";

/** How much of what the worker needs is in the store: an evaluation key has two dozen parts. */
function Parts({ uploaded }: { uploaded: { done: number; of: number } | null }) {
  if (!uploaded || uploaded.of < 2) return <progress aria-label="Under way" />;
  return <progress aria-label={`Part ${uploaded.done} of ${uploaded.of}`} value={uploaded.done} max={uploaded.of} />;
}

/** One model: read about it, give it a file, choose how, see the price, buy. */
export function ModelPage({ version }: { version: number }) {
  const model = models.value?.find((model) => model.version === version);
  const ready = useSignal(false);
  const chosen = useSignal({ split: 0, policy: 0 });
  const quote = useSignal<Quote | null>(null);
  const busy = useSignal("");
  const uploaded = useSignal<{ done: number; of: number } | null>(null);
  const fault = useSignal("");
  const report = useReport(version);
  const split = model?.splits[chosen.value.split];
  const policy = split?.policies[chosen.value.policy];
  useEffect(() => {
    quote.value = null;
    if (!split || !policy) return;
    api.quote(version, split.name, policy.name).then((found) => (quote.value = found), (error) => (fault.value = words(error)));
  }, [version, split, policy, quote, fault]);
  if (!models.value) return <p class="quiet" role="status">Reading what is on sale…</p>;
  if (!model || !split || !policy) return <p role="alert">There is no such model on sale.</p>;
  const buy = async () => {
    [busy.value, uploaded.value, fault.value] = [steps.encrypt, null, ""];
    try {
      const name = await prepare(split.name, policy.name, (event) => {
        if (event.event === "begins") busy.value = steps[event.step];
        if (event.event === "uploaded") uploaded.value = event;
      });
      location.hash = `#/mine/${name}`;
    } catch (error) {
      fault.value = words(error);
    }
    busy.value = "";
  };
  const price = priceOf(version);
  const refused = quote.value?.refused;
  const waits = refused ? "Choose another cut or policy." : !ready.value ? "Give it a file first." : !account.value || !unlocked.value ? "Choose an account and open your keys first." : "";
  return (
    <>
      <h1>{model.name}</h1>
      <p class="lead">{model.task}</p>
      <p class="quiet">By <a href={`#/party/${model.creator}`} title={model.creator}>{short(model.creator)}</a>{about.value && price?.bond && `, who stands in with ${money(price.bond, about.value, 2)}`}{price?.rated?.mean && `; graded ${rating(price.rated)}`}.</p>
      <p class="limits"><strong>What it does not say.</strong> {model.limits}</p>
      <section class="card">
        <h2>1. Your file</h2>
        <FileEntry model={model} onRead={(read) => (ready.value = read)} />
      </section>
      <section class="card">
        <h2>2. Where the model is cut, and how much may be told</h2>
        <Choices model={model} chosen={chosen.value} onChoose={(now) => (chosen.value = now)} />
        <Ahead model={model} report={report} split={split} policy={policy} />
      </section>
      {model.report && (
        <details class="group">
          <summary>What each choice costs, answers and gives away: the creator's report</summary>
          <Report report={report} split={split} policy={policy} />
        </details>
      )}
      <section class="card">
        <h2>3. Price, and what comes back</h2>
        {refused && <Fault text={`This page does not run it: ${refused}.`} />}
        {quote.value ? <Price quote={quote.value} /> : <p role="status">Asking the contract…</p>}
        {model.witnesses && quote.value && about.value && (
          <p>
            <strong>Witnessed.</strong> Its creator wants {model.witnesses} of three further workers to find what the first one committed before anything leaves this tab: you stake {money(quote.value.fee.witnesses, about.value)} more for
            them, and what they do not earn comes back.
          </p>
        )}
      </section>
      <section class="card">
        <h2>4. Buy</h2>
        <Entry />
        <p>
          <button type="button" class="main" disabled={waits !== "" || busy.value !== "" || !quote.value} onClick={() => void buy()}>
            Encrypt and pay {quote.value && about.value ? money(quote.value.fee.total, about.value) : ""}
          </button>
        </p>
        <p role="status" class="quiet">{busy.value ? `${busy.value}…` : waits}</p>
        {busy.value && <Parts uploaded={uploaded.value} />}
        <Fault text={fault.value} />
      </section>
    </>
  );
}
