//! What the contract keeps: parameters, models, versions, splits, workers, jobs.
//!
//! Every record is one storage item and fits the platform's 416 bytes; its tests assert it.

use crate::{
    Address, BasisPoints, BlobDigest, BlockNumber, Blocks, CostUnits, HeadDigest, KeyDigest, MeasurementId, ModelId,
    Nonce, Plancks, PlatformId, PolicyId, QuoteIdentity, Ratings, Reason, ReceiptDigest, SigningAddress, SplitIndex,
    TailDigest, VersionHash, VersionId,
    dispute::DisputeKind,
    reputation::{Latency, Reputation},
};
use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Most bytes that one storage item of the platform may have.
pub const STORAGE_ITEM_LIMIT_BYTES: usize = 416;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum Stage {
    /// Escrow is locked; a worker may claim.
    #[codec(index = 0)]
    Requested,
    /// A worker holds the job; its stake is locked and one of its places is taken.
    #[codec(index = 1)]
    Claimed,
    /// The worker's receipt is on chain; the user verifies, decrypts, releases.
    #[codec(index = 2)]
    HeadCommitted,
    /// Sealed features are on their way; the creator runs the tail.
    #[codec(index = 3)]
    FeaturesSent,
    /// The sealed result is on its way; the user accepts.
    #[codec(index = 4)]
    ResultCommitted,
    /// Everybody has been credited. Terminal.
    #[codec(index = 5)]
    Settled,
    /// Ended by a failure, for the job's [`Reason`]. Terminal.
    #[codec(index = 6)]
    Failed,
    /// Ended by its user. Terminal.
    #[codec(index = 7)]
    Cancelled,
    /// The user says that something is wrong; the stage that it was at waits.
    #[codec(index = 8)]
    Disputed(DisputeKind),
}

impl Stage {
    /// True where nothing can happen any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Settled | Self::Failed | Self::Cancelled)
    }
}

/// How long each actor has, in blocks. Copied into a job at its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Windows {
    /// Requested → claimed.
    pub claim: Blocks,
    /// Claimed → head committed.
    pub head: Blocks,
    /// Head committed → head may be disputed.
    pub challenge: Blocks,
    /// Head committed → features sent.
    pub features: Blocks,
    /// Features sent → result committed.
    pub creator: Blocks,
    /// Result committed → accepted by itself.
    pub accept: Blocks,
    /// Each step of a dispute: draw, seal, reveal, post.
    pub dispute: Blocks,
}

/// What the platform holds for what a contract stores: whoever writes pays, whoever removes is paid. The contract
/// cannot ask for it, so parameters say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct StoragePrice {
    /// For each item.
    pub item: Plancks,
    /// For each byte of an item and of its key.
    pub byte: Plancks,
}

/// Shortest window that parameters may set.
pub const SHORTEST_WINDOW: Blocks = Blocks(2);
/// Longest window that parameters may set: a week of 6-second blocks.
pub const LONGEST_WINDOW: Blocks = Blocks(100_800);

/// Longest life of a registration that parameters may set: a day of 6-second blocks, less on a faster chain. A
/// fault in a verifier is contained no later than that.
pub const LONGEST_REGISTRATION: Blocks = Blocks(14_400);

/// What governs new jobs. Changes never touch jobs that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Params {
    /// Receives protocol fees, its part of slashes and the remainders of rounding.
    pub treasury: Address,
    /// Share of head and tail fee that the protocol takes on top; at most [`Params::PROTOCOL_FEE_CAP`].
    pub protocol_fee: BasisPoints,
    /// Share of the tail fee that the creator keeps when the user stops after the head.
    pub stop_fee: BasisPoints,
    /// Head fee of a head with no cost units.
    pub head_fee_base: Plancks,
    /// Head fee per cost unit.
    pub head_fee_per_unit: Plancks,
    /// Least stake locked for a job; else twice its head fee.
    pub job_stake_floor: Plancks,
    /// Share of the job's stake slashed for a timeout after which the job is offered again.
    pub retry_slash: BasisPoints,
    /// Share of the job's stake slashed for the timeout that fails the job.
    pub fail_slash: BasisPoints,
    /// Bond locked for a job beyond its head fee, as a share of the head fee.
    pub bond_margin: BasisPoints,
    /// Least stake of a registered worker.
    pub worker_stake_floor: Plancks,
    /// Least bond of a listed model.
    pub model_bond_floor: Plancks,
    /// Longest life of a registration.
    pub registration_limit: Blocks,
    /// From asking for a stake or bond back to having it.
    pub unbonding: Blocks,
    /// From announcing a measurement, a platform or parameters to their first use.
    pub notice: Blocks,
    /// Windows of new jobs.
    pub windows: Windows,
    /// What who prunes a job gives back to those who paid for its records.
    pub storage: StoragePrice,
    /// Share of jobs whose head is run again at the treasury's cost; changes set at most [`Params::AUDIT_SHARE_CAP`].
    pub audit_share: BasisPoints,
}

impl Params {
    /// Ten percent: no parameter change may take more.
    pub const PROTOCOL_FEE_CAP: BasisPoints = BasisPoints(1_000);
    /// One job of ten: no parameter change may suspend more, or spend the treasury faster.
    pub const AUDIT_SHARE_CAP: BasisPoints = BasisPoints(1_000);
    /// How often a job may go back to be claimed again.
    pub const RETRIES: u8 = 2;
}

/// Parameters that the governor has announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct AnnouncedParams {
    /// All of them.
    pub params: Params,
    /// First block in which they may be put in force.
    pub valid_from: BlockNumber,
}

/// How a head with activations runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum Mode {
    /// One linear map.
    #[codec(index = 0)]
    Linear,
    /// Linear maps on the worker, activations on the client between them.
    #[codec(index = 1)]
    Rounds,
    /// As rounds; some activations are looked up under encryption, with an evaluation key of the user's.
    #[codec(index = 2)]
    Bootstrapped,
}

/// What a creator lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct ModelRecord {
    /// Who lists it, is paid for its tail and answers for it.
    pub creator: Address,
    /// Makes users whole when the creator fails them.
    pub bond: Plancks,
    /// Part of the bond that open jobs hold.
    pub bond_locked: Plancks,
    /// Part of the bond that the creator asked back.
    pub bond_leaving: Plancks,
    /// When `bond_leaving` may be taken.
    pub bond_leaves_at: BlockNumber,
    /// Jobs that have not ended.
    pub open_jobs: u32,
    /// The version that was activated last.
    pub current: Option<VersionId>,
    /// What its users thought of it.
    pub ratings: Ratings,
}

/// A version's life. It only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum VersionStatus {
    /// Published, not yet for sale.
    #[codec(index = 0)]
    Draft,
    /// For sale.
    #[codec(index = 1)]
    Active,
    /// No new jobs; running ones finish.
    #[codec(index = 2)]
    Deprecated,
    /// Withdrawn for safety: jobs whose head is not committed are refunded.
    #[codec(index = 3)]
    Revoked,
}

/// One immutable version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct VersionRecord {
    /// The model it belongs to.
    pub model: ModelId,
    /// Hash of its manifest, which pins everything else.
    pub manifest: VersionHash,
    /// How many splits it offers.
    pub splits: u8,
    /// Where it stands.
    pub status: VersionStatus,
    /// When it was published.
    pub published_at: BlockNumber,
    /// When its status last changed.
    pub changed_at: BlockNumber,
}

/// One split of a version: what receipts and prices need of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct SplitRecord {
    /// How its head runs.
    pub mode: Mode,
    /// What a receipt must say was run.
    pub head: HeadDigest,
    /// The rest of the model; zero where the split is at the very end.
    pub tail: TailDigest,
    /// Deterministic cost of the head.
    pub cost: CostUnits,
    /// What the creator asks for the tail.
    pub tail_fee: Plancks,
    /// Release policies are numbered 1 ..= this.
    pub policies: u8,
}

/// A registered worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct WorkerRecord {
    /// Signs offers and receipts.
    pub signing: SigningAddress,
    /// Receives sealed head keys.
    pub hpke: KeyDigest,
    /// Is credited.
    pub payout: Address,
    /// Identity of its attested code.
    pub measurement: MeasurementId,
    /// Identity of the machine that attests it.
    pub platform: PlatformId,
    /// Identity of the quote that attests it.
    pub quote: QuoteIdentity,
    /// Blob with the quote, its collateral and the statement.
    pub evidence: BlobDigest,
    /// The nonce that the quote answers.
    pub nonce: Nonce,
    /// First block of the registration.
    pub registered_at: BlockNumber,
    /// First block at which the registration no longer holds.
    pub expires_at: BlockNumber,
    /// Everything it has staked.
    pub stake: Plancks,
    /// Part of the stake that jobs hold: those it runs, and those whose disputes it judges.
    pub stake_locked: Plancks,
    /// Part of the stake that it asked back.
    pub stake_leaving: Plancks,
    /// When `stake_leaving` may be taken.
    pub stake_leaves_at: BlockNumber,
    /// Most jobs in [`Stage::Claimed`] at once; 0 takes none.
    pub capacity: u16,
    /// Jobs in [`Stage::Claimed`] now.
    pub in_flight: u16,
    /// Jobs whose head it committed.
    pub heads_committed: u32,
    /// Claims it let run out.
    pub timeouts: u32,
    /// Heads of its that a committee found wrong.
    pub mismatches: u32,
    /// What its heads have earned it.
    pub reputation: Reputation,
    /// How long its heads took.
    pub latency: Latency,
    /// When it last came to count for more in a draw: first registered, added stake, or took back what it had asked for.
    pub raised_at: BlockNumber,
}

/// An identity of attested code that registrations may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct MeasurementRecord {
    /// First block at which it may be used.
    pub valid_from: BlockNumber,
    /// When it was revoked, if it was.
    pub revoked_at: Option<BlockNumber>,
}

impl MeasurementRecord {
    /// True where it may be used in `block`: announced for then or before, and never revoked.
    pub fn is_usable_at(&self, block: BlockNumber) -> bool {
        self.valid_from <= block && self.revoked_at.is_none()
    }
}

/// A machine whose quotes registrations may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct PlatformRecord {
    /// First block at which it may be used.
    pub valid_from: BlockNumber,
    /// When it was revoked, if it was.
    pub revoked_at: Option<BlockNumber>,
}

impl PlatformRecord {
    /// True where it may be used in `block`: announced for then or before, and never revoked.
    pub fn is_usable_at(&self, block: BlockNumber) -> bool {
        self.valid_from <= block && self.revoked_at.is_none()
    }
}

/// An attestation key that a platform's PCK key vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct AttestationKeyRecord {
    /// The machine whose quoting enclave made it.
    pub platform: PlatformId,
    /// When that was shown last.
    pub certified_at: BlockNumber,
}

/// What a job costs, part by part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Fees {
    /// To the worker.
    pub head: Plancks,
    /// To the creator.
    pub tail: Plancks,
    /// To the treasury, on top.
    pub protocol: Plancks,
    /// To the worker on top, if the job settles; else back to who paid.
    pub tip: Plancks,
}

impl Fees {
    /// Their sum: the escrow. `None` on overflow.
    pub fn total(&self) -> Option<Plancks> {
        self.head.checked_add(self.tail)?.checked_add(self.protocol)?.checked_add(self.tip)
    }
}

/// What a user bought: fixed when the job is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct JobTerms {
    /// Who buys, receives the result and, without a sponsor, pays.
    pub user: Address,
    /// The version that was bought.
    pub version: VersionId,
    /// Its model.
    pub model: ModelId,
    /// Which split.
    pub split: SplitIndex,
    /// Which release policy the user committed to.
    pub policy: PolicyId,
    /// The request blob: encrypted input and keys.
    pub input: BlobDigest,
    /// Escrow by part.
    pub fees: Fees,
    /// Stake that a claim locks.
    pub job_stake: Plancks,
    /// Bond that the job locks.
    pub job_bond: Plancks,
    /// Share of `job_stake` slashed for a timeout that is retried.
    pub retry_slash: BasisPoints,
    /// Share of `job_stake` slashed for the timeout that fails the job.
    pub fail_slash: BasisPoints,
    /// Share of the tail fee that the creator keeps when the user stops.
    pub stop_fee: BasisPoints,
    /// Share of what is paid that the protocol takes.
    pub protocol_fee: BasisPoints,
    /// How long each actor has.
    pub windows: Windows,
    /// Block of the request.
    pub requested_at: BlockNumber,
    /// Share of jobs that are drawn for an audit.
    pub audit_share: BasisPoints,
    /// True where the worker has the job's FHE key in custody: it alone runs the job, and sends the features.
    pub custody: bool,
    /// Who pays for the user.
    pub sponsor: Option<Address>,
}

impl JobTerms {
    /// Who paid the escrow, and has what comes back of it.
    pub fn payer(&self) -> Address {
        self.sponsor.unwrap_or(self.user)
    }
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct JobProgress {
    /// Where it stands.
    pub stage: Stage,
    /// Why it ended or was offered again.
    pub reason: Option<Reason>,
    /// When the actor of this stage is late; the last deadline once terminal.
    pub deadline: BlockNumber,
    /// Timeouts so far.
    pub timeouts: u8,
    /// Who holds or held it.
    pub worker: Option<Address>,
    /// Part of the worker's stake that the job holds now.
    pub stake_held: Plancks,
    /// Block of the last claim.
    pub claimed_at: BlockNumber,
    /// The worker's commitment: digest of the transcript blob of its signed rounds.
    pub output: Option<BlobDigest>,
    /// Block that the receipt says the work was finished in.
    pub finished_at: BlockNumber,
    /// Sealed features.
    pub features: Option<BlobDigest>,
    /// Sealed result.
    pub result: Option<BlobDigest>,
    /// Block of the last change.
    pub changed_at: BlockNumber,
    /// The code that the worker's registration attested when it committed.
    pub measurement: Option<MeasurementId>,
    /// The machine that it attested then.
    pub platform: Option<PlatformId>,
    /// Disputes that the job has had, by [`DisputeKind::bit`].
    pub disputed: u8,
    /// Workers that were registered when it was last offered: those among whom is drawn.
    pub workers: u32,
    /// Who let it run out, in order: they are not drawn for it again.
    pub late: [Option<Address>; Params::RETRIES as usize],
    /// Block of the commitment: the hash of the one after it draws audits.
    pub committed_at: BlockNumber,
    /// Digest of the worker's receipt: what a quote for the job binds.
    pub receipt: Option<ReceiptDigest>,
}

/// The sums that the contract's balance must cover, kept with every transition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Totals {
    /// Escrow of jobs that have not ended.
    pub escrow: Plancks,
    /// Stakes of workers.
    pub stakes: Plancks,
    /// Bonds of models.
    pub bonds: Plancks,
    /// Credits that their owners have not withdrawn.
    pub credits: Plancks,
    /// What users, and for audits the treasury, staked on open disputes.
    pub deposits: Plancks,
    /// What sponsors allow users.
    pub allowances: Plancks,
}

/// How many of each there are; ids run from 1 to these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Counts {
    /// Models listed.
    pub models: u32,
    /// Versions published.
    pub versions: u32,
    /// Workers ever registered.
    pub workers: u32,
    /// Jobs requested.
    pub jobs: u64,
}

#[cfg(test)]
#[path = "market_tests.rs"]
mod tests;
