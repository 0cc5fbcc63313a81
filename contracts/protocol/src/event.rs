//! What the contract says happened. Events alone rebuild every balance and every job.
//!
//! On chain each is an ink! event of the same name and fields; its topics are the fields named in
//! [`EVENTS`]. The data of an event is the SCALE of all its fields in order.

mod about;
#[cfg(feature = "hash")]
mod emitted;
mod money;

#[cfg(feature = "hash")]
pub use emitted::{decode_emitted, signature_topic};
pub use money::{AllowanceMovement, Cause, Movement};

use crate::{
    Address, BlobDigest, BlockNumber, DisputeKind, Fees, JobId, KeyDigest, MeasurementId, ModelId, Nonce, Params,
    Plancks, PlatformId, PolicyId, QuoteIdentity, Rating, Reason, ReceiptDigest, RecordsDigest, SessionId, SessionRoot,
    Signature, SigningAddress, SplitIndex, Stage, Verdict, VersionHash, VersionId, VersionStatus,
};
use codec::{Decode, Encode};
use scale_info::TypeInfo;

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident [$($topic:ident),*] { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type),* }

            impl From<$name> for Event {
                fn from(event: $name) -> Self {
                    Self::$name(event)
                }
            }
        )*

        /// Any of them.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(clippy::large_enum_variant, reason = "events are few and short-lived")]
        pub enum Event {
            $($(#[$doc])* $name($name)),*
        }

        impl Event {
            /// The event's name.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name)),* }
            }

            /// The event called `name` from its data, all of it; `None` for a name that is not known
            /// or data that is not its encoding.
            pub fn decode(name: &str, data: &[u8]) -> Option<Self> {
                match name {
                    $(stringify!($name) => crate::wire::decode_exact::<$name>(data, data.len()).ok().map(Self::$name),)*
                    _ => None,
                }
            }

            /// The data of the event: all its fields in order.
            pub fn data(&self) -> alloc::vec::Vec<u8> {
                match self { $(Self::$name(event) => event.encode()),* }
            }
        }

        /// Every event's name and the text whose BLAKE2b-256 is its first topic: `Name(type,type)`,
        /// types as they are written above.
        pub const SIGNATURES: &[(&str, &str)] =
            &[$((stringify!($name), concat!(stringify!($name), events!(@types [] $($type),*)))),*];

        /// Every event's name and topics.
        pub const EVENTS: &[(&str, &[&str])] = &[$((stringify!($name), &[$(stringify!($topic)),*])),*];
    };
    (@types [$($done:tt)*]) => { concat!("(", $($done)* ")") };
    (@types [] $type:ty $(, $rest:ty)*) => { events!(@types [stringify!($type),] $($rest),*) };
    (@types [$($done:tt)+] $type:ty $(, $rest:ty)*) => { events!(@types [$($done)+ ",", stringify!($type),] $($rest),*) };
}

events! {
    /// A job exists and its escrow is locked. Always followed by its [`JobStageChanged`].
    JobRequested [job, user, version] {
        /// The job.
        job: JobId,
        /// Who bought it.
        user: Address,
        /// What was bought.
        version: VersionId,
        /// Which split.
        split: SplitIndex,
        /// Which release policy.
        policy: PolicyId,
        /// The request blob.
        input: BlobDigest,
        /// The escrow by part.
        fees: Fees,
        /// Who pays for the user; an [`AllowanceMoved`] of the same call says that it did.
        sponsor: Option<Address>,
    }
    /// A job moved: on every transition, exactly once.
    JobStageChanged [job, by] {
        /// The job.
        job: JobId,
        /// The stage before; none for a new job.
        from: Option<Stage>,
        /// The stage now.
        to: Stage,
        /// Why, where the stage alone does not say.
        reason: Option<Reason>,
        /// Who moved it.
        by: Address,
        /// The worker that holds or held it.
        worker: Option<Address>,
        /// When the next actor is late.
        deadline: BlockNumber,
    }
    /// A receipt was accepted. Its other fields are facts on chain, so that anybody can rebuild it and
    /// recover the key that signed it.
    HeadCommitted [job, worker] {
        /// The job.
        job: JobId,
        /// The worker.
        worker: Address,
        /// The transcript blob.
        output: BlobDigest,
        /// What the worker signed.
        receipt: ReceiptDigest,
        /// Block in which the work was finished.
        finished_at: BlockNumber,
        /// The worker's signature over the receipt.
        signature: Signature,
    }
    /// Sealed features were named.
    FeaturesSent [job] {
        /// The job.
        job: JobId,
        /// The sealed blob.
        features: BlobDigest,
    }
    /// A sealed result was named.
    ResultCommitted [job] {
        /// The job.
        job: JobId,
        /// The sealed blob.
        result: BlobDigest,
    }
    /// An account is owed more.
    Credited [account, job] {
        /// Who is owed.
        account: Address,
        /// By which job; a session is named by its first.
        job: JobId,
        /// How much.
        amount: Plancks,
        /// What for.
        cause: Cause,
    }
    /// A credit left the contract.
    Withdrawn [account] {
        /// Whose credit it was.
        account: Address,
        /// Where it went.
        to: Address,
        /// How much.
        amount: Plancks,
    }
    /// A worker's stake changed.
    StakeMoved [worker, job] {
        /// The worker.
        worker: Address,
        /// By which job.
        job: Option<JobId>,
        /// How.
        movement: Movement,
        /// How much.
        amount: Plancks,
    }
    /// A model's bond changed.
    BondMoved [model, job] {
        /// The model.
        model: ModelId,
        /// By which job.
        job: Option<JobId>,
        /// How.
        movement: Movement,
        /// How much.
        amount: Plancks,
    }
    /// What a sponsor allows a user changed.
    AllowanceMoved [sponsor, user, job] {
        /// Who pays.
        sponsor: Address,
        /// Whose jobs.
        user: Address,
        /// By which job.
        job: Option<JobId>,
        /// How.
        movement: AllowanceMovement,
        /// How much.
        amount: Plancks,
    }
    /// A quote for a job is demanded; it must answer the nonce.
    QuoteDemanded [job] {
        /// The job.
        job: JobId,
        /// What the quote's report data must end with.
        nonce: Nonce,
    }
    /// The worker showed one.
    QuoteShown [job] {
        /// The job.
        job: JobId,
        /// Its identity.
        quote: QuoteIdentity,
        /// Blob with the quote, its collateral and the receipt.
        evidence: BlobDigest,
    }
    /// A model is listed.
    ModelListed [model, creator] {
        /// The model.
        model: ModelId,
        /// Who lists it.
        creator: Address,
    }
    /// A version exists, as a draft.
    VersionPublished [version, model] {
        /// The version.
        version: VersionId,
        /// Its model.
        model: ModelId,
        /// Hash of its manifest.
        manifest: VersionHash,
    }
    /// A version's life moved on.
    VersionStatusChanged [version] {
        /// The version.
        version: VersionId,
        /// Its status now.
        status: VersionStatus,
    }
    /// A nonce was issued.
    NonceIssued [worker] {
        /// To whom.
        worker: Address,
        /// The nonce.
        nonce: Nonce,
    }
    /// A worker registered or renewed.
    WorkerRegistered [worker, measurement, platform] {
        /// The worker.
        worker: Address,
        /// Its attested code.
        measurement: MeasurementId,
        /// The machine that attests it.
        platform: PlatformId,
        /// Identity of its quote.
        quote: QuoteIdentity,
        /// Blob with the evidence.
        evidence: BlobDigest,
        /// First block at which it no longer holds.
        expires_at: BlockNumber,
    }
    /// A worker changed how many jobs it holds at once.
    CapacityChanged [worker] {
        /// The worker.
        worker: Address,
        /// Most jobs held at once.
        capacity: u16,
    }
    /// A measurement was announced.
    MeasurementAllowed [measurement] {
        /// Which.
        measurement: MeasurementId,
        /// First block at which it may be used.
        valid_from: BlockNumber,
    }
    /// A measurement was revoked.
    MeasurementRevoked [measurement] {
        /// Which.
        measurement: MeasurementId,
    }
    /// A platform was announced.
    PlatformAllowed [platform] {
        /// Which.
        platform: PlatformId,
        /// First block at which it may be used.
        valid_from: BlockNumber,
    }
    /// A platform was revoked.
    PlatformRevoked [platform] {
        /// Which.
        platform: PlatformId,
    }
    /// An attestation key is vouched for.
    KeyCertified [key, platform] {
        /// Keccak-256 of the key.
        key: KeyDigest,
        /// The machine that made it.
        platform: PlatformId,
    }
    /// Parameters of new jobs were announced.
    ParamsAnnounced [] {
        /// All of them.
        params: Params,
        /// First block in which they may be put in force.
        valid_from: BlockNumber,
    }
    /// Announced parameters were taken back.
    ParamsWithdrawn [] {
        /// When they could have been put in force.
        valid_from: BlockNumber,
    }
    /// Parameters of new jobs changed.
    ParamsChanged [] {
        /// All of them.
        params: Params,
    }
    /// New jobs were stopped or resumed.
    PausedChanged [] {
        /// True: stopped.
        paused: bool,
    }
    /// The governor changed.
    GovernorChanged [governor] {
        /// The governor now.
        governor: Address,
    }
    /// The user of a settled job rated its model.
    Rated [job, model] {
        /// The job.
        job: JobId,
        /// Its model.
        model: ModelId,
        /// The rating.
        rating: Rating,
        /// What it weighs: the job's head and tail fee.
        weight: Plancks,
    }
    /// The user disputes something and stakes the deposit on it; of an audit the deposit is a [`CreditStaked`] before.
    DisputeOpened [job, by] {
        /// The job.
        job: JobId,
        /// What is said to be wrong.
        kind: DisputeKind,
        /// Who says so.
        by: Address,
        /// What it stakes.
        deposit: Plancks,
        /// A blob for the committee.
        evidence: Option<BlobDigest>,
    }
    /// A part of an account's credit was staked on a dispute: the treasury's, on an audit.
    CreditStaked [account, job] {
        /// Whose credit it was.
        account: Address,
        /// The job that is audited.
        job: JobId,
        /// How much.
        amount: Plancks,
    }
    /// A worker was drawn to run a head again.
    JurorDrawn [job, juror] {
        /// The disputed job.
        job: JobId,
        /// The worker.
        juror: Address,
        /// The machine that it runs on.
        platform: PlatformId,
    }
    /// A member of a committee sealed its verdict.
    VerdictSealed [job, juror] {
        /// The disputed job.
        job: JobId,
        /// Whose verdict.
        juror: Address,
    }
    /// A member of a committee revealed its verdict.
    VerdictRevealed [job, juror] {
        /// The disputed job.
        job: JobId,
        /// Whose verdict.
        juror: Address,
        /// The verdict.
        verdict: Verdict,
    }
    /// The worker appeals the ruling that its head is wrong, and stakes the deposit on it: another committee is drawn.
    RulingAppealed [job, by] {
        /// The disputed job.
        job: JobId,
        /// The worker.
        by: Address,
        /// What it stakes.
        deposit: Plancks,
    }
    /// A part of a blob that was said to be missing is in this transaction's calldata.
    BlobPosted [job] {
        /// The disputed job.
        job: JobId,
        /// Where in the blob the part begins.
        at: u64,
        /// Its length.
        bytes: u32,
        /// The whole blob, if this was the last part of it.
        blob: Option<BlobDigest>,
    }
    /// The records of an ended job, or of a session that is over, were removed.
    JobPruned [job, by] {
        /// The job; of a session the first.
        job: JobId,
        /// Who removed them.
        by: Address,
        /// Of what was removed.
        digest: RecordsDigest,
        /// What was sent along for those who paid for them.
        returned: Plancks,
    }
    /// A session is open and its escrow is locked.
    SessionOpened [session, user, worker] {
        /// The session.
        session: SessionId,
        /// Who paid.
        user: Address,
        /// What was bought.
        version: VersionId,
        /// Which split.
        split: SplitIndex,
        /// Which release policy.
        policy: PolicyId,
        /// Who runs the heads.
        worker: Address,
        /// Signs vouchers.
        key: SigningAddress,
        /// Jobs at most, numbered from the session's number on.
        jobs: u32,
        /// The escrow of each by part.
        fees: Fees,
        /// Last block in which a voucher may be shown.
        deadline: BlockNumber,
    }
    /// A voucher was shown: a higher one wins until the deadline.
    SessionClosing [session, by] {
        /// The session.
        session: SessionId,
        /// Who showed it.
        by: Address,
        /// Jobs that are over.
        done: u32,
        /// Heads that would be paid.
        heads: u32,
        /// Tails that would be paid.
        tails: u32,
        /// Root over the jobs.
        root: SessionRoot,
        /// Last block in which a higher one may be shown.
        deadline: BlockNumber,
    }
    /// A session is over. Always followed by what it credits.
    SessionClosed [session, by] {
        /// The session.
        session: SessionId,
        /// Who ended it.
        by: Address,
        /// Jobs that are over.
        done: u32,
        /// Heads that are paid.
        heads: u32,
        /// Tails that are paid.
        tails: u32,
        /// Root over the jobs.
        root: SessionRoot,
    }
    /// A creator said how many jobs a session may have.
    SessionsTaken [version] {
        /// Of which version.
        version: VersionId,
        /// Most jobs of one; 0 for none.
        jobs: u32,
    }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
