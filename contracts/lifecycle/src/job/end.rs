//! Every way to end: cancel, refuse, poke, and the one function that moves the money.

use super::{Job, must_be};
use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    outcome::{Line, Outcome, Party, Settlement},
    refusal::Refusal,
    state::{ReadState, Write},
};
use encompute_protocol::{
    Address, Params, Reason, Stage, VersionStatus, WorkerRecord,
    call::{CancelJob, PokeJob, RefuseFeatures},
    event::Movement,
    reputation::HeadWeight,
};

impl Decide for CancelJob {
    /// The job's user: free while requested; while claimed only after the head window, and the worker
    /// is slashed; after the head the worker is paid and the creator keeps its stop fee.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let job = Job::load(scene.state, self.job)?;
        job.must_be_users(scene.at.caller)?;
        let cancelled = Some(Reason::UserCancelled);
        match job.progress.stage {
            Stage::Requested => job.conclude(scene, Stage::Cancelled, cancelled, Outcome::Refunded),
            Stage::Claimed => {
                let (reason, outcome) = match job.judge_claim(scene)? {
                    Claim::Withdrawn(reason) => (reason, Outcome::Refunded),
                    Claim::Late { .. } => (Reason::WorkerTimeout, Outcome::TimedOut),
                };
                job.conclude(scene, Stage::Failed, Some(reason), outcome)
            }
            Stage::HeadCommitted => {
                if job.split(scene.state)?.tail.is_zero() {
                    return Err(Refusal::NoTail);
                }
                job.conclude(scene, Stage::Cancelled, cancelled, Outcome::Stopped)
            }
            found @ (Stage::FeaturesSent | Stage::ResultCommitted | Stage::Disputed(_)) => {
                Err(Refusal::WrongStage { found, wanted: Stage::HeadCommitted })
            }
            found @ (Stage::Settled | Stage::Failed | Stage::Cancelled) => Err(Refusal::JobEnded { found }),
        }
    }
}

impl Decide for RefuseFeatures {
    /// The model's creator, within its window. It costs the bond that the job holds.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let job = Job::load(scene.state, self.job)?;
        job.must_be(Stage::FeaturesSent)?;
        must_be(scene.at.caller, job.model(scene.state)?.creator)?;
        job.must_be_on_time(scene.at.block)?;
        job.conclude(scene, Stage::Failed, Some(Reason::CreatorRefused), Outcome::CreatorFailed)
    }
}

impl Decide for PokeJob {
    /// Anybody, once whoever must act is late, or at once where a version, measurement or platform was revoked
    /// before the head was committed. One poke is one transition. A dispute moves on by [`crate::dispute`]'s rules.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let job = Job::load(scene.state, self.job)?;
        let block = scene.at.block;
        let (to, reason, outcome) = match job.progress.stage {
            Stage::Requested => {
                if job.version(scene.state)?.status == VersionStatus::Revoked {
                    (Stage::Failed, Some(Reason::VersionRevoked), Outcome::Refunded)
                } else {
                    job.must_be_late(block)?;
                    (Stage::Failed, Some(Reason::NoWorker), Outcome::Refunded)
                }
            }
            Stage::Claimed => match job.judge_claim(scene)? {
                Claim::Withdrawn(reason) => (Stage::Failed, Some(reason), Outcome::Refunded),
                Claim::Late { again: true } => (Stage::Requested, Some(Reason::WorkerTimeout), Outcome::Retried),
                Claim::Late { again: false } => (Stage::Failed, Some(Reason::WorkerTimeout), Outcome::TimedOut),
            },
            Stage::HeadCommitted => {
                job.must_be_late(block)?;
                if job.split(scene.state)?.tail.is_zero() {
                    (Stage::Settled, None, Outcome::Settled)
                } else if job.terms.custody {
                    (Stage::Failed, Some(Reason::WorkerTimeout), Outcome::TimedOut)
                } else {
                    (Stage::Failed, Some(Reason::UserNoShow), Outcome::Stopped)
                }
            }
            Stage::FeaturesSent => {
                job.must_be_late(block)?;
                (Stage::Failed, Some(Reason::CreatorTimeout), Outcome::CreatorFailed)
            }
            Stage::ResultCommitted => {
                job.must_be_late(block)?;
                (Stage::Settled, None, Outcome::Settled)
            }
            Stage::Disputed(_) => return crate::dispute::poke(scene, job),
            found @ (Stage::Settled | Stage::Failed | Stage::Cancelled) => return Err(Refusal::JobEnded { found }),
        };
        job.conclude(scene, to, reason, outcome)
    }
}

/// What has become of a claim that no receipt has answered.
enum Claim {
    /// Its version or its worker's measurement or platform was revoked while it was on time: nobody's fault.
    Withdrawn(Reason),
    /// Its worker is late. The job is offered again, or not: nobody else has the key of one in custody.
    Late { again: bool },
}

/// What a worker did wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It let a claim run out, or withheld what it had committed.
    Late,
    /// A committee found its head wrong.
    Wrong,
}

impl Fault {
    fn of(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Retried | Outcome::TimedOut | Outcome::QuoteMissing { .. } => Some(Self::Late),
            Outcome::HeadWrong { .. } | Outcome::WitnessedWrong { .. } | Outcome::AuditedWrong { .. } => {
                Some(Self::Wrong)
            }
            Outcome::Settled
            | Outcome::Refunded
            | Outcome::Stopped
            | Outcome::CreatorFailed
            | Outcome::TailRefunded => None,
        }
    }
}

impl Job {
    /// Judges a claim; refuses one that still runs. A revocation excuses the worker only up to the
    /// deadline that it has missed otherwise.
    fn judge_claim<S: ReadState, H>(&self, scene: &Scene<'_, S, H>) -> Result<Claim, Refusal> {
        let deadline = self.progress.deadline;
        let version = self.version(scene.state)?;
        let revoked = version.status == VersionStatus::Revoked;
        if revoked && version.changed_at <= deadline {
            return Ok(Claim::Withdrawn(Reason::VersionRevoked));
        }
        let (_, worker) = self.worker(scene.state)?;
        let measurement = scene.state.measurement(worker.measurement).ok_or(Refusal::Inconsistent)?;
        if measurement.revoked_at.is_some_and(|block| block <= deadline) {
            return Ok(Claim::Withdrawn(Reason::MeasurementRevoked));
        }
        let platform = scene.state.platform(worker.platform).ok_or(Refusal::Inconsistent)?;
        if platform.revoked_at.is_some_and(|block| block <= deadline) {
            return Ok(Claim::Withdrawn(Reason::PlatformRevoked));
        }
        self.must_be_late(scene.at.block)?;
        Ok(Claim::Late { again: self.progress.timeouts < Params::RETRIES && !revoked && !self.terms.custody })
    }

    /// Moves the job to `to` and every planck where `outcome` says.
    pub(crate) fn conclude<S: ReadState, H>(
        mut self,
        scene: &Scene<'_, S, H>,
        to: Stage,
        reason: Option<Reason>,
        outcome: Outcome,
    ) -> Result<Decision<()>, Refusal> {
        let mut draft = Draft::new(scene.state);
        self.conclude_in(scene, &mut draft, (to, reason), outcome, &[])?;
        self.write_progress(&mut draft);
        Ok(Decision { changes: draft.finish(), answer: () })
    }

    /// As [`Job::conclude`], in a draft with more in it. `jurors` are credited for a committee's verdict.
    pub(crate) fn conclude_in<S: ReadState, H>(
        &mut self,
        scene: &Scene<'_, S, H>,
        draft: &mut Draft<'_, S>,
        (to, reason): (Stage, Option<Reason>),
        outcome: Outcome,
        jurors: &[Address],
    ) -> Result<(), Refusal> {
        let settlement = Settlement::of(&self.terms, outcome).ok_or(Refusal::AmountTooLarge)?;
        let from = self.progress.stage;
        let window = (!to.is_terminal()).then_some(self.terms.windows.claim);
        let fault = Fault::of(outcome);
        if fault == Some(Fault::Late) {
            let at = usize::from(self.progress.timeouts);
            if let Some(place) = self.progress.late.get_mut(at) {
                *place = self.progress.worker;
            }
            self.progress.timeouts = self.progress.timeouts.saturating_add(1);
        }
        if to == Stage::Requested {
            self.progress.workers = scene.state.counts().workers;
        }
        self.enter(draft, to, reason, scene.at.caller, scene.at.block, window)?;

        let worker = match self.progress.worker {
            Some(_) => Some(self.worker(scene.state)?),
            None => None,
        };
        if let Some((account, mut record)) = worker
            && (from == Stage::Claimed || !self.progress.stake_held.is_zero() || fault.is_some())
        {
            self.free_worker(draft, account, &mut record, from, &settlement)?;
            if let Some(fault) = fault {
                self.blame(scene, &mut record, fault);
            }
            draft.write(Write::Worker(account, record));
        }
        let mut model = self.model(scene.state)?;
        if to.is_terminal() {
            draft.unlock_escrow(settlement.from_escrow().ok_or(Refusal::AmountTooLarge)?)?;
            let kept = self.terms.job_bond.checked_sub(settlement.bond_slashed).ok_or(Refusal::Inconsistent)?;
            let (id, job) = (self.terms.model, Some(self.id));
            draft.move_bond(id, &mut model, job, Movement::Slashed, settlement.bond_slashed)?;
            draft.move_bond(id, &mut model, job, Movement::Released, kept)?;
            model.open_jobs = model.open_jobs.checked_sub(1).ok_or(Refusal::Inconsistent)?;
            draft.write(Write::Model(id, model));
        }
        self.credit(scene, draft, &settlement.lines, jurors)
    }

    /// Credits every line to its party's account. `jurors` are those of a committee; of a quote it is who demanded it.
    pub(crate) fn credit<S: ReadState, H>(
        &self,
        scene: &Scene<'_, S, H>,
        draft: &mut Draft<'_, S>,
        lines: &[Line],
        jurors: &[Address],
    ) -> Result<(), Refusal> {
        for line in lines {
            let account = match line.party {
                Party::User => self.terms.user,
                Party::Payer => self.terms.payer(),
                Party::Worker => self.worker(scene.state)?.1.payout,
                Party::Creator => self.model(scene.state)?.creator,
                Party::Treasury => scene.state.params().treasury,
                Party::Poker => scene.at.caller,
                Party::Challenger => *jurors.first().ok_or(Refusal::Inconsistent)?,
                Party::Juror(at) => *jurors.get(usize::from(at)).ok_or(Refusal::Inconsistent)?,
            };
            draft.credit(account, self.id, line.amount, line.cause)?;
        }
        Ok(())
    }

    /// Gives the worker back its place and what is left of the stake that the job held.
    fn free_worker<S: ReadState>(
        &mut self,
        draft: &mut Draft<'_, S>,
        account: Address,
        record: &mut WorkerRecord,
        from: Stage,
        settlement: &Settlement,
    ) -> Result<(), Refusal> {
        if from == Stage::Claimed {
            record.in_flight = record.in_flight.checked_sub(1).ok_or(Refusal::Inconsistent)?;
        }
        let (slashed, job) = (settlement.stake_slashed, Some(self.id));
        let held = core::mem::take(&mut self.progress.stake_held);
        let kept = held.checked_sub(slashed).ok_or(Refusal::Inconsistent)?;
        draft.move_stake(account, record, job, Movement::Slashed, slashed)?;
        draft.move_stake(account, record, job, Movement::Released, kept)
    }

    /// Counts a fault of the worker, at once. A head that was committed and is none takes its success back, too.
    fn blame<S: ReadState, H>(&self, scene: &Scene<'_, S, H>, record: &mut WorkerRecord, fault: Fault) {
        let weight = self.head_weight(&scene.state.params());
        if self.progress.output.is_some() {
            record.reputation = record.reputation.without_success(weight);
        }
        record.reputation = record.reputation.with_failure(weight);
        // Statistics: they may stop growing, a job may not.
        match fault {
            Fault::Late => record.timeouts = record.timeouts.saturating_add(1),
            Fault::Wrong => record.mismatches = record.mismatches.saturating_add(1),
        }
    }

    /// What its head counts for its worker, against a head of the base fee that is in force.
    pub(super) fn head_weight(&self, params: &Params) -> HeadWeight {
        HeadWeight::of(self.terms.fees.head, params.head_fee_base)
    }
}
