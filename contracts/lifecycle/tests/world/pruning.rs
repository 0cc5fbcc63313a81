//! What it takes to remove the records of a job, or of a session.

use super::*;
use encompute_lifecycle::prune::session_kept_until;
use encompute_protocol::{SessionId, SessionStage};

impl World {
    /// What it takes of `caller` to prune a job, or the session that begins with it, now.
    pub fn owed_for_pruning(&self, caller: Address, job: JobId) -> Option<Plancks> {
        let price = self.market.params().storage;
        let (paid, parties) = match self.market.session(SessionId(job.0)) {
            Some(record) => (Paid::of_session(&price, &record)?, Parties::of_session(&record)),
            None => {
                let (terms, progress) = self.market.job_terms(job).zip(self.market.job_progress(job))?;
                let paid = Paid::of(&price, &terms, &progress, self.market.rating(job).as_ref())?;
                (paid, Parties::of(&terms, &progress, self.market.model(terms.model)?.creator))
            }
        };
        paid.owed(caller, parties, |account| self.market.credit(account)).map(|owed| owed.sum)
    }

    /// The last block in which an ended job, or a session that is over, keeps its records; none of one that runs.
    pub fn kept_until(&self, job: JobId) -> Option<BlockNumber> {
        if let Some(record) = self.market.session(SessionId(job.0)) {
            return (record.stage == SessionStage::Closed).then(|| session_kept_until(&record));
        }
        let (terms, progress) = self.market.job_terms(job).zip(self.market.job_progress(job))?;
        progress.stage.is_terminal().then(|| kept_until(&terms, &progress))
    }

    /// Moves to the first block in which an ended job may be pruned.
    pub fn past_keeping(&mut self, job: JobId) {
        self.block = self.kept_until(job).unwrap().0 + 1;
    }

    /// Removes a job's records, as `caller`.
    pub fn prune(&mut self, caller: Address, job: JobId) -> Result<(), Refusal> {
        let value = self.owed_for_pruning(caller, job).unwrap_or_default();
        self.pay(caller, value, PruneJob { job })
    }
}
