//! The books of one session.

use super::{LedgerError, add};
use encompute_protocol::{
    Address, Fees, Plancks, SessionId, VersionId,
    event::{Cause, Credited, SessionOpened},
};

/// One session, as events tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionAccount {
    /// Its number.
    pub session: SessionId,
    /// Who paid.
    pub user: Address,
    /// Who runs its heads.
    pub worker: Address,
    /// What was bought.
    pub version: VersionId,
    /// Jobs at most.
    pub jobs: u32,
    /// The escrow of each by part.
    pub fees: Fees,
    /// The escrow of all.
    pub escrow: Plancks,
    /// Credited from it.
    pub credited: Plancks,
    /// True once it is over.
    pub ended: bool,
    /// What was sent along when its record was removed.
    pub pruned: Option<Plancks>,
    /// Credited from that.
    pub from_pruned: Plancks,
}

impl SessionAccount {
    pub(super) fn of(opened: &SessionOpened) -> Result<Self, LedgerError> {
        let SessionOpened { session, user, worker, version, jobs, fees, .. } = *opened;
        let one = fees.total().ok_or(LedgerError::TooLarge)?;
        let escrow = one.checked_mul(jobs.into()).ok_or(LedgerError::TooLarge)?;
        let (credited, from_pruned) = (Plancks::ZERO, Plancks::ZERO);
        let (ended, pruned) = (false, None);
        Ok(Self { session, user, worker, version, jobs, fees, escrow, credited, ended, pruned, from_pruned })
    }

    /// Its record was removed: only once it is over, and once.
    pub(super) fn prune(&mut self, returned: Plancks) -> Result<(), LedgerError> {
        if !self.ended || self.pruned.replace(returned).is_some() {
            return Err(LedgerError::Session(self.session));
        }
        Ok(())
    }

    /// The first sum that is not what it should be, and what it should be.
    pub(super) fn off_balance(&self) -> Option<(Plancks, Plancks)> {
        let (returned, credited) = (self.pruned.unwrap_or_default(), self.credited);
        let sums = [(self.ended, credited, self.escrow), (true, self.from_pruned, returned)];
        sums.into_iter().find_map(|(counts, found, wanted)| (counts && found != wanted).then_some((found, wanted)))
    }

    /// Enters a credit: only once it is over, only for what a session pays, and no more than its escrow; or, once its record
    /// was removed, no more than was sent along.
    pub(super) fn credit(&mut self, event: &Credited) -> Result<(), LedgerError> {
        if event.cause == Cause::Storage {
            add(&mut self.from_pruned, event.amount)?;
            let covered = self.pruned.is_some_and(|returned| self.from_pruned <= returned);
            return if covered { Ok(()) } else { Err(LedgerError::Session(self.session)) };
        }
        add(&mut self.credited, event.amount)?;
        let paid = matches!(event.cause, Cause::HeadFee | Cause::TailFee | Cause::ProtocolFee | Cause::Refund);
        if self.ended && paid && self.credited <= self.escrow {
            Ok(())
        } else {
            Err(LedgerError::Session(self.session))
        }
    }
}
