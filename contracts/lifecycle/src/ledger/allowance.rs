//! The books of what sponsors allow users.

use super::{Ledger, LedgerError, add};
use encompute_protocol::event::{AllowanceMoved, AllowanceMovement};

impl Ledger {
    /// Enters a movement of an allowance: what is added comes in, what is spent is the escrow of a job that the pair
    /// asked for, all of what is left becomes a credit.
    pub(super) fn allow(&mut self, event: &AllowanceMoved) -> Result<(), LedgerError> {
        let AllowanceMoved { sponsor, user, job, movement, amount } = *event;
        let contradicts = LedgerError::Allowance { sponsor, user };
        let allowance = self.allowances.entry((sponsor, user)).or_default();
        match (movement, job) {
            (AllowanceMovement::Added, None) => {
                add(allowance, amount)?;
                return add(&mut self.deposited, amount);
            }
            (AllowanceMovement::Spent, Some(id)) => {
                let job = self.jobs.get_mut(&id).ok_or(LedgerError::UnknownJob(id))?;
                let is_theirs = job.sponsor == Some(sponsor) && job.user == user;
                if !is_theirs || !job.paid_in.is_zero() || job.fees.total() != Some(amount) {
                    return Err(contradicts);
                }
                job.paid_in = amount;
            }
            (AllowanceMovement::Ended, None) if *allowance == amount => {
                add(self.credits.entry(sponsor).or_default(), amount)?;
            }
            _ => return Err(contradicts),
        }
        *allowance = allowance.checked_sub(amount).ok_or(contradicts)?;
        if allowance.is_zero() {
            self.allowances.remove(&(sponsor, user));
        }
        Ok(())
    }
}
