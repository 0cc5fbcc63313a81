//! Before anything is released: three workers, each on a machine of its own, run the head again.
//!
//! A worker whose machine's keys have leaked signs receipts for whatever it likes, and they verify. Heads are exact, so
//! who runs the same one gives the same bytes; and the contract draws no witness from the worker's machine, and no two
//! from one. What most of them find is ruled on chain (SPEC.md §9); how many must have found it is the user's to say, or the
//! version's, whichever is more.

use crate::{driver::Runner, error::JobError, journal::Journal};
use encompute_audit::{deposit, witnessed};
use encompute_chain::SubmitJob;
use encompute_protocol::{DisputeKind, JobId, JobProgress, JobTerms, Stage, call::OpenDispute, event::Event};

impl<M: SubmitJob> Runner<M> {
    /// Whether the release may go on: at once where no witness was asked for, else once enough have found what the worker
    /// committed. `false` where they have just been asked: what was committed has been verified before they are paid for.
    ///
    /// # Errors
    /// [`JobError::Unwitnessed`] where they have answered and are too few; [`JobError`] for a commitment that does not hold.
    pub(crate) async fn is_witnessed(
        &self,
        journal: &mut Journal,
        job: JobId,
        (terms, progress): (JobTerms, JobProgress),
    ) -> Result<bool, JobError> {
        if journal.record().features.is_some() {
            return Ok(true);
        }
        let manifest = self.manifest(journal).await?;
        let Some(wanted) = journal.record().witnesses.max(manifest.witnesses) else { return Ok(true) };
        let market = &self.services.market;
        if progress.disputed & DisputeKind::Witness.bit(Stage::HeadCommitted) == 0 {
            self.verified_commitment(journal, job, (terms, progress), &manifest).await?;
            let worker = progress.worker.ok_or(JobError::NoJob(job))?;
            let evidence = self.show_rounds(journal, worker).await?;
            let beyond = || JobError::Plan { found: "the deposit is beyond all numbers".into() };
            let deposit = deposit(&terms, DisputeKind::Witness).ok_or_else(beyond)?;
            let call = OpenDispute { job, kind: DisputeKind::Witness, evidence };
            let opened = market.submit(call, deposit).await;
            self.unless_suspended(job, opened, "ask for witnesses").await?;
            return Ok(false);
        }
        let blocks = market.events_in(progress.claimed_at..=progress.changed_at).await.map_err(JobError::Read)?;
        let events = blocks.into_iter().flat_map(|block| block.events).map(|emitted| emitted.event);
        let events: Vec<Event> = events.filter(|event| event.job() == Some(job)).collect();
        match witnessed(&events) {
            found if found >= usize::from(wanted.count()) => Ok(true),
            found => Err(JobError::Unwitnessed { job, found, wanted }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use encompute_protocol::{
        Address, BlobDigest, BlockNumber, Plancks, PlatformId, Reason, Verdict,
        event::{DisputeOpened, JobStageChanged, JurorDrawn, VerdictRevealed},
    };

    const JOB: JobId = JobId(7);
    const RIGHT: Verdict = Verdict { wrong: false, output: BlobDigest([1; 32]) };
    const WRONG: Verdict = Verdict { wrong: true, output: BlobDigest([2; 32]) };

    fn step(from: Stage, to: Stage, reason: Option<Reason>) -> Event {
        let (from, by) = (Some(from), Address([9; 20]));
        JobStageChanged { job: JOB, from, to, reason, by, worker: None, deadline: BlockNumber(1) }.into()
    }

    /// What the contract says of one committee.
    fn judged(kind: DisputeKind, verdicts: [Verdict; 3], ended: Option<(Stage, Reason)>) -> Vec<Event> {
        let (by, deposit) = (Address([9; 20]), Plancks(3));
        let mut events = vec![
            DisputeOpened { job: JOB, kind, by, deposit, evidence: None }.into(),
            step(Stage::HeadCommitted, Stage::Disputed(kind), None),
        ];
        let jurors = [1, 2, 3].map(|number| (Address([number; 20]), PlatformId([number; 32])));
        events.extend(jurors.map(|(juror, platform)| JurorDrawn { job: JOB, juror, platform }.into()));
        let revealed = jurors.into_iter().zip(verdicts);
        events.extend(revealed.map(|((juror, _), verdict)| VerdictRevealed { job: JOB, juror, verdict }.into()));
        events.extend(ended.map(|(to, reason)| step(Stage::Disputed(kind), to, Some(reason))));
        events
    }

    #[test]
    fn witnesses_count_who_found_the_same_and_only_once_the_contract_has_ruled() {
        let stands = Some((Stage::HeadCommitted, Reason::Witnessed));
        let of = |verdicts, ended| witnessed(&judged(DisputeKind::Witness, verdicts, ended));
        assert_eq!(of([RIGHT; 3], stands), 3);
        assert_eq!(of([RIGHT, WRONG, RIGHT], stands), 2);
        assert_eq!(of([RIGHT; 3], None), 0, "not ruled yet");
        assert_eq!(of([WRONG, WRONG, RIGHT], Some((Stage::Failed, Reason::HeadMismatch))), 0);
        let unresolved = Some((Stage::HeadCommitted, Reason::ArbiterTimeout));
        assert_eq!(of([Verdict::NOTHING_SHOWN; 3], unresolved), 0);
        assert_eq!(of([RIGHT, WRONG, Verdict::NOTHING_SHOWN], unresolved), 0);
        assert_eq!(witnessed(&[]), 0);
    }

    #[test]
    fn a_dispute_that_was_without_ground_is_no_witness() {
        let rejected = Some((Stage::HeadCommitted, Reason::DisputeRejected));
        assert_eq!(witnessed(&judged(DisputeKind::Head, [RIGHT; 3], rejected)), 0);
        let by_three = judged(DisputeKind::Witness, [RIGHT; 3], Some((Stage::HeadCommitted, Reason::Witnessed)));
        let both = [by_three, judged(DisputeKind::Head, [RIGHT, RIGHT, WRONG], rejected)].concat();
        assert_eq!(witnessed(&both), 3);
    }
}
