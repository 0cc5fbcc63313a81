//! Sessions: many jobs of one user for one split, under one escrow and two transactions.
//!
//! Opening a session numbers its jobs: that of index `k` has the number of the first and `k`. So everything that is
//! signed or sealed for a job is so for one job of one session, with no field more. What becomes of each is told to the
//! chain by the user alone, in a cumulative [`Voucher`]: one signature for all jobs so far.

pub mod calls;
#[cfg(feature = "hash")]
pub mod count;
pub mod due;
#[cfg(feature = "hash")]
pub mod tree;

use crate::{
    Address, BasisPoints, BlobDigest, BlockNumber, Blocks, ContractAddress, Fees, GenesisHash, JobId, ModelId,
    PolicyId, ReceiptDigest, SessionId, SessionRoot, Signature, Signed, SigningAddress, SplitIndex, VersionId,
};
use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Most jobs that one session may have.
pub const JOBS_LIMIT: u32 = 100_000;

/// A worker's promise to serve a session, good until a block. It is carried in the call that opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct SessionOffer {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// Who promises.
    pub worker: Address,
    /// To whom.
    pub user: Address,
    /// The version to run.
    pub version: VersionId,
    /// Its split.
    pub split: SplitIndex,
    /// Signs the session's vouchers.
    pub key: SigningAddress,
    /// How many jobs at most.
    pub jobs: u32,
    /// From the opening to the last block in which a voucher may be shown.
    pub length: Blocks,
    /// First block at which the offer no longer holds.
    pub expires_at: BlockNumber,
}

impl Signed for SessionOffer {
    const TAG: &'static [u8] = b"encompute/session-offer/v1";
}

/// A session's promise with the worker's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct SignedSessionOffer {
    /// The promise.
    pub offer: SessionOffer,
    /// By the worker's registered key.
    pub signature: Signature,
}

/// The user's word on everything that was done so far: what the chain pays by. Each one replaces those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Voucher {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The session.
    pub session: SessionId,
    /// Jobs that are over, in order from the first: leaves of the tree.
    pub done: u32,
    /// Of those, jobs whose head is paid for.
    pub heads: u32,
    /// Of those, jobs whose tail is paid for.
    pub tails: u32,
    /// Root over the leaves; zero without any.
    pub root: SessionRoot,
}

impl Signed for Voucher {
    const TAG: &'static [u8] = b"encompute/voucher/v1";
}

/// A voucher with its user's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct SignedVoucher {
    /// The word.
    pub voucher: Voucher,
    /// By the session's key.
    pub signature: Signature,
}

/// The worker's word that it has no higher voucher and takes no further job: with the creator's call, a session ends at
/// once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct SessionEnd {
    /// The last voucher.
    pub voucher: Voucher,
}

impl Signed for SessionEnd {
    const TAG: &'static [u8] = b"encompute/session-end/v1";
}

/// What became of one job of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum SessionOutcome {
    /// Everybody did their part: head, tail and protocol are paid.
    #[codec(index = 0)]
    Settled,
    /// There is a head but no result, for whatever reason: the head is paid.
    #[codec(index = 1)]
    HeadOnly,
    /// There is no head that holds: nothing is paid.
    #[codec(index = 2)]
    Refunded,
}

impl SessionOutcome {
    /// Heads and tails that it pays for.
    pub fn pays(self) -> (u32, u32) {
        match self {
            Self::Settled => (1, 1),
            Self::HeadOnly => (1, 0),
            Self::Refunded => (0, 0),
        }
    }
}

/// One job of a session, as the tree has it: what single jobs write on chain. What there was not is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct SessionLeaf {
    /// The job.
    pub job: JobId,
    /// Its request blob.
    pub input: BlobDigest,
    /// What the worker signed.
    pub receipt: ReceiptDigest,
    /// Its sealed features.
    pub features: BlobDigest,
    /// Its sealed result.
    pub result: BlobDigest,
    /// What became of it.
    pub outcome: SessionOutcome,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum SessionStage {
    /// Jobs are run.
    #[codec(index = 0)]
    Open,
    /// A voucher was shown; a higher one wins until the deadline.
    #[codec(index = 1)]
    Closing,
    /// Everybody has been credited. Terminal.
    #[codec(index = 2)]
    Closed,
}

/// A session, as the contract keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct SessionRecord {
    /// Who pays.
    pub user: Address,
    /// The version that was bought.
    pub version: VersionId,
    /// Its model.
    pub model: ModelId,
    /// Which split.
    pub split: SplitIndex,
    /// Which release policy the user committed to.
    pub policy: PolicyId,
    /// Who runs the heads. Its registration stays as it is until the session is closed.
    pub worker: Address,
    /// Signs vouchers.
    pub key: SigningAddress,
    /// Jobs at most.
    pub jobs: u32,
    /// Escrow of one job by part.
    pub fees: Fees,
    /// Share of what is paid that the protocol takes.
    pub protocol_fee: BasisPoints,
    /// How long a voucher may be answered with a higher one.
    pub challenge: Blocks,
    /// Block of the opening.
    pub opened_at: BlockNumber,
    /// Where it stands.
    pub stage: SessionStage,
    /// Last block in which a voucher may be shown; the last deadline once closed.
    pub deadline: BlockNumber,
    /// Jobs that are over by the highest voucher shown.
    pub done: u32,
    /// Heads paid for.
    pub heads: u32,
    /// Tails paid for.
    pub tails: u32,
    /// Root of the voucher that named most of them.
    pub root: SessionRoot,
    /// Block of the last change.
    pub changed_at: BlockNumber,
}

impl SessionId {
    /// The session's job of index `index`, from 0; `None` past the end of numbers.
    pub fn job(self, index: u32) -> Option<JobId> {
        self.0.checked_add(index.into()).map(JobId)
    }

    /// The first job: events about the money of a session name it.
    pub fn first(self) -> JobId {
        JobId(self.0)
    }
}

impl SessionRecord {
    /// The index of `job` in this session, of number `id`.
    pub fn index_of(&self, id: SessionId, job: JobId) -> Option<u32> {
        let index = job.0.checked_sub(id.0)?;
        u32::try_from(index).ok().filter(|index| *index < self.jobs)
    }
}
