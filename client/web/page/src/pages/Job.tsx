import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { about, account, hasHome, mine, runs, unlocked, words } from "../core/state";
import type { GoneJob, Job, Pruned } from "../core/types";
import { causes, money, short } from "../core/words";
import { Claim } from "../parts/Claim";
import { Entry, Fault } from "../parts/Entry";
import { Rail, isLate } from "../parts/Rail";
import { Rate } from "../parts/Rate";
import { Seen } from "../parts/Seen";

/** How often a job that has not ended is looked at. */
const LOOK_EVERY_MS = 3000;

const ended = (job: Job) => ["settled", "failed", "cancelled"].includes(job.stage);
const isGone = (job: Job | GoneJob | null): job is GoneJob => job !== null && job.stage === null;

export function JobPage({ id }: { id: number }) {
  const found = useSignal<Job | GoneJob | null>(null);
  const fault = useSignal("");
  const looks = useSignal(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let gone = false;
    const look = async () => {
      try {
        found.value = await api.job(id);
        fault.value = "";
      } catch (error) {
        fault.value = words(error);
      }
      const over = found.value && (isGone(found.value) || ended(found.value));
      if (!gone && !over) timer = setTimeout(() => void look(), LOOK_EVERY_MS);
    };
    void look();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [id, looks.value, found, fault]);
  const act = async (doing: (id: number) => Promise<void>) => {
    try {
      await doing(id);
      looks.value++;
    } catch (error) {
      fault.value = words(error);
    }
  };
  const job = found.value;
  return (
    <>
      <h1>Job {id}{job && !isGone(job) ? `: ${job.name}` : ""}</h1>
      <Fault text={fault.value} />
      {!job && !fault.value && <p role="status">Reading the chain…</p>}
      {job?.pruned && <Removed id={id} pruned={job.pruned} forgotten={isGone(job)} />}
      {job && !isGone(job) && <Standing job={job} act={act} />}
    </>
  );
}

/** A job that was over for so long that its records were removed: what is kept of it, and where the rest is. */
function Removed({ id, pruned, forgotten }: { id: number; pruned: Pruned; forgotten: boolean }) {
  return (
    <section class="card" aria-labelledby="pruned">
      <h2 id="pruned">Pruned: its records are no longer on chain</h2>
      <p>
        It was over for as long as it could have lived, so somebody removed its records in block {pruned.block} and gave back what was deposited for them. Kept are their
        digest, <code>{pruned.digest}</code>, the mark of its input, so that nobody pays for the same request twice, and every event.
      </p>
      <p>
        {forgotten
          ? "The node that this page asks no longer has the block before. Who exported the job before, or asks a node that keeps old states, can still audit it:"
          : "Below is what the block before said, which this page's node still has."}
        {forgotten && <> <code>encompute audit bundle job-{id}.audit</code></>}
      </p>
    </section>
  );
}

function Standing({ job, act }: { job: Job; act(doing: (id: number) => Promise<void>): Promise<void> }) {
  const network = about.value;
  if (!network) return null;
  const { id } = job;
  const ours = mine.value.find((mine) => mine.id === id);
  const run = ours && runs.value[ours.name];
  const paidHere = account.value?.address === job.user && !job.pruned;
  const owed = account.value && job.credits.some((credit) => credit.account === account.value?.address);
  return (
    <>
      {ours ? <p><a href={`#/mine/${ours.name}`}>This is your job: its answer and progress</a></p> : <Elsewhere job={job} />}
      <Rail stages={job.stages} block={job.pruned ? undefined : job.block} />
      {job.reason_words && <p class="fault">{job.reason_words}</p>}
      <p class="row">
        <a class="button" href={`#/audit/${id}`}>Audit this job</a>
        {!job.pruned && isLate(job) && (account.value
          ? <button type="button" onClick={() => void act(api.poke)}>Move it on: somebody is late</button>
          : <a class="button" href="#/account">Somebody is late: choose an account to move it on</a>)}
        {paidHere && job.stage === "requested" && <button type="button" onClick={() => void act(api.cancel)}>Cancel and take everything back</button>}
        {paidHere && job.stage === "head-committed" && <button type="button" onClick={() => void act(api.cancel)}>Stop it: send nothing to the creator</button>}
      </p>
      {paidHere && job.stage === "settled" && <Rate id={id} />}
      {owed && <section class="card"><h2>Your credit</h2><Claim /></section>}
      <Seen id={id} codes={run?.codes ?? null} preview={run?.preview ?? null} />
      <section>
        <h2>Who, and money</h2>
        <dl class="facts">
          <div><dt>Escrow</dt><dd>{money(job.escrow, network)}</dd></div>
          <div><dt>User</dt><dd><a href={`#/party/${job.user}`} title={job.user}>{short(job.user)}</a></dd></div>
          {job.worker && <div><dt>Worker</dt><dd><a href={`#/party/${job.worker}`} title={job.worker}>{short(job.worker)}</a></dd></div>}
          {job.credits.map((credit) => (
            <div key={credit.cause + credit.account}><dt>{causes[credit.cause] ?? credit.cause}, <span title={credit.account}>{short(credit.account)}</span></dt><dd>{money(credit.amount, network)}</dd></div>
          ))}
        </dl>
      </section>
    </>
  );
}

/** What can and cannot be done about a job whose keys are not open in this tab. */
function Elsewhere({ job }: { job: Job }) {
  const over = ended(job);
  return (
    <details class="group">
      <summary>Is this your job? What can be done here, and what cannot</summary>
      <p>
        Anybody, here: follow it, audit it, move it on when somebody is late. As the account that paid{over ? "" : ", cancel it while no worker has it, stop it before anything was sent"}
        {job.stage === "settled" ? ", rate the model" : ""}, take credit out.
      </p>
      <p>
        Only where it was bought: {over ? "reading its answer" : "going on with it, and reading its answer"}. Its keys never leave that browser (or that command line's home), sealed
        under its passphrase; no account, wallet or passphrase brings them here.{!over && " If nobody goes on with it there in time, it ends by itself and the refund table applies."}
      </p>
      {hasHome.value && !unlocked.value
        ? <><p>If it was this browser, open your jobs:</p><Entry /></>
        : <p class="quiet">{unlocked.value ? "Your jobs are open in this tab, and this is none of them." : "This browser keeps no jobs for this network."}</p>}
    </details>
  );
}
