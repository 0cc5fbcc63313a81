import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { about, account, mine, runs, words } from "../core/state";
import type { Job } from "../core/types";
import { causes, money, short } from "../core/words";
import { Fault } from "../parts/Entry";
import { Rail, isLate } from "../parts/Rail";
import { Seen } from "../parts/Seen";

/** How often a job that has not ended is looked at. */
const LOOK_EVERY_MS = 3000;

const ended = (job: Job) => ["settled", "failed", "cancelled"].includes(job.stage);

export function JobPage({ id }: { id: number }) {
  const job = useSignal<Job | null>(null);
  const fault = useSignal("");
  const looks = useSignal(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let gone = false;
    const look = async () => {
      try {
        job.value = await api.job(id);
        fault.value = "";
      } catch (error) {
        fault.value = words(error);
      }
      if (!gone && !(job.value && ended(job.value))) timer = setTimeout(() => void look(), LOOK_EVERY_MS);
    };
    void look();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [id, looks.value, job, fault]);
  const ours = mine.value.find((mine) => mine.id === id);
  const codes = ours ? (runs.value[ours.name]?.codes ?? null) : null;
  const act = async (doing: (id: number) => Promise<void>) => {
    try {
      await doing(id);
      looks.value++;
    } catch (error) {
      fault.value = words(error);
    }
  };
  return (
    <>
      <h1>Job {id}{job.value ? `: ${job.value.name}` : ""}</h1>
      <Fault text={fault.value} />
      {!job.value && !fault.value && <p role="status">Reading the chain…</p>}
      {job.value && about.value && (
        <>
          {ours && <p><a href={`#/mine/${ours.name}`}>This is your job: its answer and progress</a></p>}
          <Rail stages={job.value.stages} block={job.value.block} />
          {job.value.reason_words && <p class="fault">{job.value.reason_words}</p>}
          <p class="row">
            <a class="button" href={`#/audit/${id}`}>Audit this job</a>
            {isLate(job.value) && (account.value
              ? <button type="button" onClick={() => void act(api.poke)}>Move it on: somebody is late</button>
              : <a class="button" href="#/account">Somebody is late: choose an account to move it on</a>)}
            {account.value?.address === job.value.user && job.value.stage === "requested" && (
              <button type="button" onClick={() => void act(api.cancel)}>Cancel and take everything back</button>
            )}
          </p>
          <Seen id={id} codes={codes} />
          <section>
            <h2>Who, and money</h2>
            <dl class="facts">
              <div><dt>Escrow</dt><dd>{money(job.value.escrow, about.value)}</dd></div>
              <div><dt>User</dt><dd><a href={`#/party/${job.value.user}`} title={job.value.user}>{short(job.value.user)}</a></dd></div>
              {job.value.worker && <div><dt>Worker</dt><dd><a href={`#/party/${job.value.worker}`} title={job.value.worker}>{short(job.value.worker)}</a></dd></div>}
              {job.value.credits.map((credit) => (
                <div key={credit.cause + credit.account}><dt>{causes[credit.cause] ?? credit.cause}, <span title={credit.account}>{short(credit.account)}</span></dt><dd>{money(credit.amount, about.value!)}</dd></div>
              ))}
            </dl>
          </section>
        </>
      )}
    </>
  );
}
