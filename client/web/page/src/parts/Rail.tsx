import type { Job, Stage } from "../core/types";
import { blocks, disputes, stages } from "../core/words";

interface Stood {
  stages: { stage: Stage; block: number; deadline: number }[];
  /** The chain's last block, where it is known. */
  block?: number | undefined;
}

/** The stages of a job: where it was in which block, where it stands, who must act next and until when. */
export function Rail({ stages: seen, block }: Stood) {
  const last = seen.at(-1);
  const at = stages.findIndex(({ stage }) => stage === last?.stage);
  const ended = last?.stage === "failed" || last?.stage === "cancelled";
  const dispute = last && disputes[last.stage];
  const next = (who: string) => (
    <span class="next">
      Next: {who}, by block {last?.deadline}
      {block !== undefined && last && block <= last.deadline ? ` (${blocks(last.deadline - block)} to go)` : ""}
    </span>
  );
  return (
    <ol class="rail" aria-label="Stages">
      {stages.map(({ stage, name, who }, index) => {
        const when = seen.findLast((stood) => stood.stage === stage);
        const state = stage === last?.stage ? "now" : when && index < (at < 0 ? stages.length : at) ? "done" : "ahead";
        return (
          <li key={stage} class={state === "now" ? `now ${stage}` : state} aria-current={state === "now" ? "step" : undefined}>
            <span class="name">{name}</span>
            {when && <span class="quiet">block {when.block}</span>}
            {state === "now" && stage !== "settled" && next(who)}
          </li>
        );
      })}
      {dispute && <li class={["disputed-witness", "disputed-audit", "disputed-quote"].includes(last.stage) ? "now beside" : "now bad beside"} aria-current="step"><span class="name">{dispute.name}</span><span class="quiet">block {last.block}</span>{next(dispute.who)}</li>}
      {ended && <li class="now bad beside" aria-current="step"><span class="name">{last.stage === "failed" ? "Failed" : "Cancelled"}</span><span class="quiet">block {last.block}</span></li>}
    </ol>
  );
}

/** True where whoever had to act is late: anybody may then move the job on. */
export function isLate(job: Job): boolean {
  return job.block > job.deadline && !["settled", "failed", "cancelled"].includes(job.stage);
}
