//! What events say of money: why it was credited, and what happened to a deposit.

use codec::{Decode, Encode};
use scale_info::TypeInfo;

/// Why money was credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, TypeInfo)]
pub enum Cause {
    /// The worker's head fee.
    #[codec(index = 0)]
    HeadFee,
    /// The worker's tip.
    #[codec(index = 1)]
    Tip,
    /// The creator's tail fee.
    #[codec(index = 2)]
    TailFee,
    /// The creator's part when the user stopped after the head.
    #[codec(index = 3)]
    StopFee,
    /// The protocol's fee.
    #[codec(index = 4)]
    ProtocolFee,
    /// Escrow that goes back to who paid it.
    #[codec(index = 5)]
    Refund,
    /// Part of a slashed stake or bond.
    #[codec(index = 6)]
    Slash,
    /// What was staked on a dispute, or part of it.
    #[codec(index = 7)]
    Deposit,
    /// What the platform held for records that were pruned.
    #[codec(index = 8)]
    Storage,
}

/// What happened to a stake or bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, TypeInfo)]
pub enum Movement {
    /// It grew by what was sent.
    #[codec(index = 0)]
    Added,
    /// A job holds a part.
    #[codec(index = 1)]
    Locked,
    /// A job holds a part no longer.
    #[codec(index = 2)]
    Released,
    /// A part held was taken; where it went is in the job's credits.
    #[codec(index = 3)]
    Slashed,
    /// So much in all was asked back.
    #[codec(index = 4)]
    Asked,
    /// What was asked back left.
    #[codec(index = 5)]
    Taken,
}

/// What happened to what a sponsor allows a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, TypeInfo)]
pub enum AllowanceMovement {
    /// It grew by what was sent.
    #[codec(index = 0)]
    Added,
    /// It paid the escrow of a job.
    #[codec(index = 1)]
    Spent,
    /// All of it became the sponsor's credit.
    #[codec(index = 2)]
    Ended,
}
