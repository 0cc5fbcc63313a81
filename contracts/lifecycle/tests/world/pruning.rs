//! What it takes to remove a job's records.

use super::*;

impl World {
    /// What it takes of `caller` to prune a job now.
    pub fn owed_for_pruning(&self, caller: Address, job: JobId) -> Option<Plancks> {
        let (terms, progress) = self.market.job_terms(job).zip(self.market.job_progress(job))?;
        let paid = Paid::of(&self.market.params().storage, &terms, &progress, self.market.rating(job).as_ref())?;
        let parties = Parties::of(&terms, &progress, self.market.model(terms.model)?.creator);
        paid.owed(caller, parties, |account| self.market.credit(account)).map(|owed| owed.sum)
    }

    /// Moves to the first block in which an ended job may be pruned.
    pub fn past_keeping(&mut self, job: JobId) {
        self.block = kept_until(&self.terms(job), &self.progress(job)).0 + 1;
    }

    /// Removes a job's records, as `caller`.
    pub fn prune(&mut self, caller: Address, job: JobId) -> Result<(), Refusal> {
        let value = self.owed_for_pruning(caller, job).unwrap_or_default();
        self.pay(caller, value, PruneJob { job })
    }
}
