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
}

impl SessionAccount {
    pub(super) fn of(opened: &SessionOpened) -> Result<Self, LedgerError> {
        let SessionOpened { session, user, worker, version, jobs, fees, .. } = *opened;
        let one = fees.total().ok_or(LedgerError::TooLarge)?;
        let escrow = one.checked_mul(jobs.into()).ok_or(LedgerError::TooLarge)?;
        let credited = Plancks::ZERO;
        Ok(Self { session, user, worker, version, jobs, fees, escrow, credited, ended: false })
    }

    /// Enters a credit: only once it is over, only for what a session pays, and no more than its escrow.
    pub(super) fn credit(&mut self, event: &Credited) -> Result<(), LedgerError> {
        add(&mut self.credited, event.amount)?;
        let paid = matches!(event.cause, Cause::HeadFee | Cause::TailFee | Cause::ProtocolFee | Cause::Refund);
        if self.ended && paid && self.credited <= self.escrow {
            Ok(())
        } else {
            Err(LedgerError::Session(self.session))
        }
    }
}
