//! What happens to sessions.

use encompute_protocol::{
    Address, BlockNumber, Fees, PolicyId, SessionId, SessionRoot, SigningAddress, SplitIndex, VersionId,
};

/// A session is open and its escrow is locked.
#[ink::event]
pub struct SessionOpened {
    /// The session.
    #[ink(topic)]
    pub session: SessionId,
    /// Who paid.
    #[ink(topic)]
    pub user: Address,
    /// What was bought.
    pub version: VersionId,
    /// Which split.
    pub split: SplitIndex,
    /// Which release policy.
    pub policy: PolicyId,
    /// Who runs the heads.
    #[ink(topic)]
    pub worker: Address,
    /// Signs vouchers.
    pub key: SigningAddress,
    /// Jobs at most, numbered from the session's number on.
    pub jobs: u32,
    /// The escrow of each by part.
    pub fees: Fees,
    /// Last block in which a voucher may be shown.
    pub deadline: BlockNumber,
}

/// A voucher was shown: a higher one wins until the deadline.
#[ink::event]
pub struct SessionClosing {
    /// The session.
    #[ink(topic)]
    pub session: SessionId,
    /// Who showed it.
    #[ink(topic)]
    pub by: Address,
    /// Jobs that are over.
    pub done: u32,
    /// Heads that would be paid.
    pub heads: u32,
    /// Tails that would be paid.
    pub tails: u32,
    /// Root over the jobs.
    pub root: SessionRoot,
    /// Last block in which a higher one may be shown.
    pub deadline: BlockNumber,
}

/// A session is over. Always followed by what it credits.
#[ink::event]
pub struct SessionClosed {
    /// The session.
    #[ink(topic)]
    pub session: SessionId,
    /// Who ended it.
    #[ink(topic)]
    pub by: Address,
    /// Jobs that are over.
    pub done: u32,
    /// Heads that are paid.
    pub heads: u32,
    /// Tails that are paid.
    pub tails: u32,
    /// Root over the jobs.
    pub root: SessionRoot,
}

/// A creator said how many jobs a session may have.
#[ink::event]
pub struct SessionsTaken {
    /// Of which version.
    #[ink(topic)]
    pub version: VersionId,
    /// Most jobs of one; 0 for none.
    pub jobs: u32,
}
