//! When whoever is paid by a session must act on chain.

use super::{SessionRecord, SessionStage, Voucher};
use crate::BlockNumber;

/// Longest time before its deadline at which payees close a session.
const LONGEST_MARGIN: u32 = 50;

/// What somebody who is paid by a session should do about it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionDue {
    /// Show the voucher.
    Close,
    /// End it.
    Poke,
}

/// From this block on a session takes no further job: so many before its deadline, a quarter of it at most, those who are
/// paid by it show their vouchers.
pub fn closes_at(record: &SessionRecord) -> BlockNumber {
    let length = record.deadline.0.saturating_sub(record.opened_at.0);
    BlockNumber(record.deadline.0.saturating_sub((length / 4).clamp(1, LONGEST_MARGIN)))
}

/// What is due in block `now`, for somebody whose last voucher is `best`.
pub fn due(record: &SessionRecord, best: Option<&Voucher>, now: BlockNumber) -> Option<SessionDue> {
    let pays_more = best.is_some_and(|best| best.heads > record.heads || best.tails > record.tails);
    match record.stage {
        SessionStage::Closed => None,
        _ if now > record.deadline => Some(SessionDue::Poke),
        // Nothing more can come: whoever sees it first ends it.
        SessionStage::Open
            if pays_more && (now >= closes_at(record) || best.is_some_and(|best| best.done == record.jobs)) =>
        {
            Some(SessionDue::Close)
        }
        SessionStage::Closing if pays_more => Some(SessionDue::Close),
        SessionStage::Open | SessionStage::Closing => None,
    }
}

#[cfg(test)]
#[path = "due_tests.rs"]
mod tests;
