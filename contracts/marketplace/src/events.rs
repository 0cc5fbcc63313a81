//! The events of [`protocol::event`](encompute_protocol::event) as ink! events of the same names, fields and topics.
//!
//! ink! hashes the text of the field types into an event's first topic, so they are written exactly
//! as the protocol writes them.

mod appeals;
mod quotes;
mod sessions;
mod sponsors;

pub use appeals::RulingAppealed;
pub use quotes::{QuoteDemanded, QuoteShown};
pub use sessions::{SessionClosed, SessionClosing, SessionOpened, SessionsTaken};
pub use sponsors::AllowanceMoved;

use encompute_protocol::{
    Address, BlobDigest, BlockNumber, DisputeKind, Fees, JobId, KeyDigest, MeasurementId, ModelId, Nonce, Params,
    Plancks, PlatformId, PolicyId, QuoteIdentity, Rating, Reason, ReceiptDigest, RecordsDigest, Signature, SplitIndex, Stage, Verdict,
    VersionHash, VersionId, VersionStatus,
    event::{self, Cause, Event, Movement},
};

/// A job exists and its escrow is locked. Always followed by its [`JobStageChanged`].
#[ink::event]
pub struct JobRequested {
    /// The job.
    #[ink(topic)]
    pub job: JobId,
    /// Who bought it.
    #[ink(topic)]
    pub user: Address,
    /// What was bought.
    #[ink(topic)]
    pub version: VersionId,
    /// Which split.
    pub split: SplitIndex,
    /// Which release policy.
    pub policy: PolicyId,
    /// The request blob.
    pub input: BlobDigest,
    /// The escrow by part.
    pub fees: Fees,
    /// Who pays for the user; an [`AllowanceMoved`] of the same call says that it did.
    pub sponsor: Option<Address>,
}

/// A job moved: on every transition, exactly once.
#[ink::event]
pub struct JobStageChanged {
    /// The job.
    #[ink(topic)]
    pub job: JobId,
    /// The stage before; none for a new job.
    pub from: Option<Stage>,
    /// The stage now.
    pub to: Stage,
    /// Why, where the stage alone does not say.
    pub reason: Option<Reason>,
    /// Who moved it.
    #[ink(topic)]
    pub by: Address,
    /// The worker that holds or held it.
    pub worker: Option<Address>,
    /// When the next actor is late.
    pub deadline: BlockNumber,
}

/// A receipt was accepted. Its other fields are facts on chain, so that anybody can rebuild it and
/// recover the key that signed it.
#[ink::event]
pub struct HeadCommitted {
    /// The job.
    #[ink(topic)]
    pub job: JobId,
    /// The worker.
    #[ink(topic)]
    pub worker: Address,
    /// The transcript blob.
    pub output: BlobDigest,
    /// What the worker signed.
    pub receipt: ReceiptDigest,
    /// Block in which the work was finished.
    pub finished_at: BlockNumber,
    /// The worker's signature over the receipt.
    pub signature: Signature,
}

/// Sealed features were named.
#[ink::event]
pub struct FeaturesSent {
    /// The job.
    #[ink(topic)]
    pub job: JobId,
    /// The sealed blob.
    pub features: BlobDigest,
}

/// A sealed result was named.
#[ink::event]
pub struct ResultCommitted {
    /// The job.
    #[ink(topic)]
    pub job: JobId,
    /// The sealed blob.
    pub result: BlobDigest,
}

/// The user of a settled job rated its model.
#[ink::event]
pub struct Rated {
    /// The job.
    #[ink(topic)]
    pub job: JobId,
    /// Its model.
    #[ink(topic)]
    pub model: ModelId,
    /// The rating.
    pub rating: Rating,
    /// What it weighs: the job's head and tail fee.
    pub weight: Plancks,
}

/// The user disputes something and stakes the deposit on it.
#[ink::event]
pub struct DisputeOpened {
    /// The job.
    #[ink(topic)]
    pub job: JobId,
    /// What is said to be wrong.
    pub kind: DisputeKind,
    /// Who says so.
    #[ink(topic)]
    pub by: Address,
    /// What it stakes.
    pub deposit: Plancks,
    /// A blob for the committee.
    pub evidence: Option<BlobDigest>,
}

/// A part of an account's credit was staked on a dispute: the treasury's, on an audit.
#[ink::event]
pub struct CreditStaked {
    /// Whose credit it was.
    #[ink(topic)]
    pub account: Address,
    /// The job that is audited.
    #[ink(topic)]
    pub job: JobId,
    /// How much.
    pub amount: Plancks,
}

/// A worker was drawn to run a head again.
#[ink::event]
pub struct JurorDrawn {
    /// The disputed job.
    #[ink(topic)]
    pub job: JobId,
    /// The worker.
    #[ink(topic)]
    pub juror: Address,
    /// The machine that it runs on.
    pub platform: PlatformId,
}

/// A member of a committee sealed its verdict.
#[ink::event]
pub struct VerdictSealed {
    /// The disputed job.
    #[ink(topic)]
    pub job: JobId,
    /// Whose verdict.
    #[ink(topic)]
    pub juror: Address,
}

/// A member of a committee revealed its verdict.
#[ink::event]
pub struct VerdictRevealed {
    /// The disputed job.
    #[ink(topic)]
    pub job: JobId,
    /// Whose verdict.
    #[ink(topic)]
    pub juror: Address,
    /// The verdict.
    pub verdict: Verdict,
}

/// A part of a blob that was said to be missing is in this transaction's calldata.
#[ink::event]
pub struct BlobPosted {
    /// The disputed job.
    #[ink(topic)]
    pub job: JobId,
    /// Where in the blob the part begins.
    pub at: u64,
    /// Its length.
    pub bytes: u32,
    /// The whole blob, if this was the last part of it.
    pub blob: Option<BlobDigest>,
}

/// The records of an ended job, or of a session that is over, were removed.
#[ink::event]
pub struct JobPruned {
    /// The job; of a session the first.
    #[ink(topic)]
    pub job: JobId,
    /// Who removed them.
    #[ink(topic)]
    pub by: Address,
    /// Of what was removed.
    pub digest: RecordsDigest,
    /// What was sent along for those who paid for them.
    pub returned: Plancks,
}

/// An account is owed more.
#[ink::event]
pub struct Credited {
    /// Who is owed.
    #[ink(topic)]
    pub account: Address,
    /// By which job; a session is named by its first.
    #[ink(topic)]
    pub job: JobId,
    /// How much.
    pub amount: Plancks,
    /// What for.
    pub cause: Cause,
}

/// A credit left the contract.
#[ink::event]
pub struct Withdrawn {
    /// Whose credit it was.
    #[ink(topic)]
    pub account: Address,
    /// Where it went.
    pub to: Address,
    /// How much.
    pub amount: Plancks,
}

/// A worker's stake changed.
#[ink::event]
pub struct StakeMoved {
    /// The worker.
    #[ink(topic)]
    pub worker: Address,
    /// By which job.
    #[ink(topic)]
    pub job: Option<JobId>,
    /// How.
    pub movement: Movement,
    /// How much.
    pub amount: Plancks,
}

/// A model's bond changed.
#[ink::event]
pub struct BondMoved {
    /// The model.
    #[ink(topic)]
    pub model: ModelId,
    /// By which job.
    #[ink(topic)]
    pub job: Option<JobId>,
    /// How.
    pub movement: Movement,
    /// How much.
    pub amount: Plancks,
}

/// A model is listed.
#[ink::event]
pub struct ModelListed {
    /// The model.
    #[ink(topic)]
    pub model: ModelId,
    /// Who lists it.
    #[ink(topic)]
    pub creator: Address,
}

/// A version exists, as a draft.
#[ink::event]
pub struct VersionPublished {
    /// The version.
    #[ink(topic)]
    pub version: VersionId,
    /// Its model.
    #[ink(topic)]
    pub model: ModelId,
    /// Hash of its manifest.
    pub manifest: VersionHash,
}

/// A version's life moved on.
#[ink::event]
pub struct VersionStatusChanged {
    /// The version.
    #[ink(topic)]
    pub version: VersionId,
    /// Its status now.
    pub status: VersionStatus,
}

/// A nonce was issued.
#[ink::event]
pub struct NonceIssued {
    /// To whom.
    #[ink(topic)]
    pub worker: Address,
    /// The nonce.
    pub nonce: Nonce,
}

/// A worker registered or renewed.
#[ink::event]
pub struct WorkerRegistered {
    /// The worker.
    #[ink(topic)]
    pub worker: Address,
    /// Its attested code.
    #[ink(topic)]
    pub measurement: MeasurementId,
    /// The machine that attests it.
    #[ink(topic)]
    pub platform: PlatformId,
    /// Identity of its quote.
    pub quote: QuoteIdentity,
    /// Blob with the evidence.
    pub evidence: BlobDigest,
    /// First block at which it no longer holds.
    pub expires_at: BlockNumber,
}

/// A worker changed how many jobs it holds at once.
#[ink::event]
pub struct CapacityChanged {
    /// The worker.
    #[ink(topic)]
    pub worker: Address,
    /// Most jobs held at once.
    pub capacity: u16,
}

/// A measurement was announced.
#[ink::event]
pub struct MeasurementAllowed {
    /// Which.
    #[ink(topic)]
    pub measurement: MeasurementId,
    /// First block at which it may be used.
    pub valid_from: BlockNumber,
}

/// A measurement was revoked.
#[ink::event]
pub struct MeasurementRevoked {
    /// Which.
    #[ink(topic)]
    pub measurement: MeasurementId,
}

/// A platform was announced.
#[ink::event]
pub struct PlatformAllowed {
    /// Which.
    #[ink(topic)]
    pub platform: PlatformId,
    /// First block at which it may be used.
    pub valid_from: BlockNumber,
}

/// A platform was revoked.
#[ink::event]
pub struct PlatformRevoked {
    /// Which.
    #[ink(topic)]
    pub platform: PlatformId,
}

/// An attestation key is vouched for.
#[ink::event]
pub struct KeyCertified {
    /// Keccak-256 of the key.
    #[ink(topic)]
    pub key: KeyDigest,
    /// The machine that made it.
    #[ink(topic)]
    pub platform: PlatformId,
}

/// Parameters of new jobs were announced.
#[ink::event]
pub struct ParamsAnnounced {
    /// All of them.
    pub params: Params,
    /// First block in which they may be put in force.
    pub valid_from: BlockNumber,
}

/// Announced parameters were taken back.
#[ink::event]
pub struct ParamsWithdrawn {
    /// When they could have been put in force.
    pub valid_from: BlockNumber,
}

/// Parameters of new jobs changed.
#[ink::event]
pub struct ParamsChanged {
    /// All of them.
    pub params: Params,
}

/// New jobs were stopped or resumed.
#[ink::event]
pub struct PausedChanged {
    /// True: stopped.
    pub paused: bool,
}

/// The governor changed.
#[ink::event]
pub struct GovernorChanged {
    /// The governor now.
    #[ink(topic)]
    pub governor: Address,
}

macro_rules! emitted {
    ($emitted:expr; $($name:ident { $($field:ident),* })*) => {
        match $emitted {
            // Taking the event apart names every field, so a field that is added cannot be forgotten here.
            $(Event::$name(event::$name { $($field),* }) => {
                ink::env::emit_event($name { $($field),* });
            })*
        }
    };
}

/// Emits `event`.
pub fn emit(event: Event) {
    emitted! { event;
        JobRequested { job, user, version, split, policy, input, fees, sponsor }
        JobStageChanged { job, from, to, reason, by, worker, deadline }
        HeadCommitted { job, worker, output, receipt, finished_at, signature }
        FeaturesSent { job, features }
        ResultCommitted { job, result }
        DisputeOpened { job, kind, by, deposit, evidence }
        CreditStaked { account, job, amount }
        JurorDrawn { job, juror, platform }
        VerdictSealed { job, juror }
        VerdictRevealed { job, juror, verdict }
        RulingAppealed { job, by, deposit }
        BlobPosted { job, at, bytes, blob }
        QuoteDemanded { job, nonce }
        QuoteShown { job, quote, evidence }
        Rated { job, model, rating, weight }
        JobPruned { job, by, digest, returned }
        Credited { account, job, amount, cause }
        Withdrawn { account, to, amount }
        StakeMoved { worker, job, movement, amount }
        BondMoved { model, job, movement, amount }
        AllowanceMoved { sponsor, user, job, movement, amount }
        ModelListed { model, creator }
        VersionPublished { version, model, manifest }
        VersionStatusChanged { version, status }
        NonceIssued { worker, nonce }
        WorkerRegistered { worker, measurement, platform, quote, evidence, expires_at }
        CapacityChanged { worker, capacity }
        MeasurementAllowed { measurement, valid_from }
        MeasurementRevoked { measurement }
        PlatformAllowed { platform, valid_from }
        PlatformRevoked { platform }
        KeyCertified { key, platform }
        ParamsAnnounced { params, valid_from }
        ParamsWithdrawn { valid_from }
        ParamsChanged { params }
        PausedChanged { paused }
        GovernorChanged { governor }
        SessionOpened { session, user, version, split, policy, worker, key, jobs, fees, deadline }
        SessionClosing { session, by, done, heads, tails, root, deadline }
        SessionClosed { session, by, done, heads, tails, root }
        SessionsTaken { version, jobs }
    }
}
