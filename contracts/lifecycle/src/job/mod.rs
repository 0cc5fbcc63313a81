//! Jobs: request, claim, commit, features, result, and every way to end.

mod claim;
mod commit;
pub(crate) mod draw;
pub(crate) mod end;
mod race;
pub(crate) mod receipt;
mod request;
mod result;

use crate::{
    command::Scene,
    draft::Draft,
    refusal::Refusal,
    state::{ReadState, Write},
};
use encompute_protocol::{
    Address, BlockNumber, Blocks, JobId, JobProgress, JobTerms, ModelRecord, Reason, SplitRecord, Stage, VersionRecord,
    VersionStatus, WorkerRecord, event::JobStageChanged,
};

/// A job as a rule holds it.
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) terms: JobTerms,
    pub(crate) progress: JobProgress,
}

impl Job {
    pub(crate) fn load<S: ReadState>(state: &S, id: JobId) -> Result<Self, Refusal> {
        match (state.job_terms(id), state.job_progress(id)) {
            (Some(terms), Some(progress)) => Ok(Self { id, terms, progress }),
            _ if state.pruned(id).is_some() => Err(Refusal::JobPruned { job: id }),
            _ => Err(Refusal::UnknownJob { job: id }),
        }
    }

    /// Refuses any other stage; an ended job by its own name.
    pub(crate) fn must_be(&self, wanted: Stage) -> Result<(), Refusal> {
        let found = self.progress.stage;
        if found == wanted {
            Ok(())
        } else if found.is_terminal() {
            Err(Refusal::JobEnded { found })
        } else {
            Err(Refusal::WrongStage { found, wanted })
        }
    }

    /// Refuses after the deadline.
    pub(crate) fn must_be_on_time(&self, block: BlockNumber) -> Result<(), Refusal> {
        let deadline = self.progress.deadline;
        if block <= deadline { Ok(()) } else { Err(Refusal::TooLate { deadline, block }) }
    }

    /// Refuses up to the deadline.
    pub(crate) fn must_be_late(&self, block: BlockNumber) -> Result<(), Refusal> {
        let deadline = self.progress.deadline;
        if block > deadline { Ok(()) } else { Err(Refusal::NotYetLate { deadline, block }) }
    }

    pub(crate) fn must_be_users(&self, caller: Address) -> Result<(), Refusal> {
        must_be(caller, self.terms.user)
    }

    /// Refuses everybody but the user, and the worker that has the job's key in custody.
    pub(crate) fn must_be_custodians(&self, caller: Address) -> Result<(), Refusal> {
        let acts_for_user = self.terms.custody && self.progress.worker == Some(caller);
        if acts_for_user { Ok(()) } else { self.must_be_users(caller) }
    }

    /// Moves the job and says so. `window` is the next actor's; none leaves the last deadline.
    pub(crate) fn enter<S: ReadState>(
        &mut self,
        draft: &mut Draft<'_, S>,
        to: Stage,
        reason: Option<Reason>,
        by: Address,
        block: BlockNumber,
        window: Option<Blocks>,
    ) -> Result<(), Refusal> {
        let from = self.progress.stage;
        if let Some(window) = window {
            self.progress.deadline = block.checked_add(window).ok_or(Refusal::NumbersExhausted)?;
        }
        self.progress.stage = to;
        self.progress.reason = reason;
        self.progress.changed_at = block;
        let (worker, deadline) = (self.progress.worker, self.progress.deadline);
        draft.emit(JobStageChanged { job: self.id, from: Some(from), to, reason, by, worker, deadline });
        Ok(())
    }

    pub(crate) fn write_progress<S: ReadState>(&self, draft: &mut Draft<'_, S>) {
        draft.write(Write::JobProgress(self.id, Some(self.progress)));
    }

    pub(crate) fn version<S: ReadState>(&self, state: &S) -> Result<VersionRecord, Refusal> {
        state.version(self.terms.version).ok_or(Refusal::Inconsistent)
    }

    /// The version, unless it was revoked.
    pub(crate) fn version_must_stand<S: ReadState, H>(
        &self,
        scene: &Scene<'_, S, H>,
    ) -> Result<VersionRecord, Refusal> {
        let version = self.version(scene.state)?;
        match version.status {
            VersionStatus::Revoked => Err(Refusal::VersionRevoked { revoked_at: version.changed_at }),
            VersionStatus::Draft | VersionStatus::Active | VersionStatus::Deprecated => Ok(version),
        }
    }

    pub(crate) fn split<S: ReadState>(&self, state: &S) -> Result<SplitRecord, Refusal> {
        state.split(self.terms.version, self.terms.split).ok_or(Refusal::Inconsistent)
    }

    pub(crate) fn model<S: ReadState>(&self, state: &S) -> Result<ModelRecord, Refusal> {
        state.model(self.terms.model).ok_or(Refusal::Inconsistent)
    }

    /// The worker that holds or held the job, with its record.
    pub(crate) fn worker<S: ReadState>(&self, state: &S) -> Result<(Address, WorkerRecord), Refusal> {
        let account = self.progress.worker.ok_or(Refusal::Inconsistent)?;
        Ok((account, state.worker(account).ok_or(Refusal::Inconsistent)?))
    }
}

/// Refuses every caller but one.
pub(crate) fn must_be(caller: Address, wanted: Address) -> Result<(), Refusal> {
    if caller == wanted { Ok(()) } else { Err(Refusal::NotYourJob { caller, wanted }) }
}

impl<S: ReadState, H> Scene<'_, S, H> {
    /// Refuses code that may not be used in this block.
    pub(crate) fn measurement_must_be_usable(&self, id: encompute_protocol::MeasurementId) -> Result<(), Refusal> {
        let record = self.state.measurement(id).ok_or(Refusal::UnknownMeasurement)?;
        if let Some(revoked_at) = record.revoked_at {
            return Err(Refusal::MeasurementRevoked { revoked_at });
        }
        let (valid_from, block) = (record.valid_from, self.at.block);
        if valid_from > block { Err(Refusal::MeasurementNotYet { valid_from, block }) } else { Ok(()) }
    }
}
