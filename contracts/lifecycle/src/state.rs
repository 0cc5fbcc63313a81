//! What rules read, and what they answer.

use alloc::vec::Vec;
use encompute_protocol::{
    Address, AnnouncedParams, BlobDigest, DisputeRecord, JobId, JobProgress, JobTerms, KeyDigest, MeasurementId,
    ModelId, ModelRecord, Nonce, Params, Plancks, PlatformId, PrunedRecord, Rating, SessionId, SessionRecord,
    SplitIndex, SplitRecord, Text, VersionId, VersionRecord, WorkerRecord,
    event::Event,
    market::{AttestationKeyRecord, Counts, MeasurementRecord, PlatformRecord, Totals},
};

/// The market's state, read only. Every method is one storage item (or a part of the contract's root).
pub trait ReadState {
    /// Parameters of new jobs.
    fn params(&self) -> Params;
    /// Parameters that are announced.
    fn announced_params(&self) -> Option<AnnouncedParams>;
    /// The sums that the balance covers.
    fn totals(&self) -> Totals;
    /// How many of each there are.
    fn counts(&self) -> Counts;
    /// Who governs.
    fn governor(&self) -> Address;
    /// True while new jobs are stopped.
    fn paused(&self) -> bool;
    /// One model.
    fn model(&self, id: ModelId) -> Option<ModelRecord>;
    /// Its name.
    fn model_name(&self, id: ModelId) -> Option<Text<64>>;
    /// One version.
    fn version(&self, id: VersionId) -> Option<VersionRecord>;
    /// One split of a version.
    fn split(&self, version: VersionId, split: SplitIndex) -> Option<SplitRecord>;
    /// One worker.
    fn worker(&self, account: Address) -> Option<WorkerRecord>;
    /// Where it serves.
    fn worker_url(&self, account: Address) -> Option<Text<200>>;
    /// The n-th worker, from 0.
    fn worker_at(&self, index: u32) -> Option<Address>;
    /// One measurement.
    fn measurement(&self, id: MeasurementId) -> Option<MeasurementRecord>;
    /// One platform.
    fn platform(&self, id: PlatformId) -> Option<PlatformRecord>;
    /// One certified attestation key.
    fn attestation_key(&self, key: KeyDigest) -> Option<AttestationKeyRecord>;
    /// What a job's user bought.
    fn job_terms(&self, id: JobId) -> Option<JobTerms>;
    /// How far a job has come.
    fn job_progress(&self, id: JobId) -> Option<JobProgress>;
    /// What an account may withdraw; zero for one never seen.
    fn credit(&self, account: Address) -> Plancks;
    /// The open dispute of a job.
    fn dispute(&self, job: JobId) -> Option<DisputeRecord>;
    /// What a job's user thought of it.
    fn rating(&self, job: JobId) -> Option<Rating>;
    /// What is left of a job that was pruned, or of a session, by its first job.
    fn pruned(&self, job: JobId) -> Option<PrunedRecord>;
    /// The nonce that an account's registration must answer.
    fn registration_nonce(&self, account: Address) -> Option<Nonce>;
    /// The job for which this user has used this request blob, or the first job of the session that this offer opened. Per
    /// user, so that nobody can spend somebody else's digest by naming it first.
    fn input_used(&self, user: Address, input: BlobDigest) -> Option<JobId>;
    /// One session.
    fn session(&self, id: SessionId) -> Option<SessionRecord>;
    /// How many jobs a session of a version may have; 0 for one whose creator never said so.
    fn sessions_taken(&self, version: VersionId) -> u32;
    /// What is left of what a sponsor allows a user; zero for a pair never seen.
    fn allowance(&self, sponsor: Address, user: Address) -> Plancks;
}

/// One storage item to be written, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "writes are few and short-lived")]
pub enum Write {
    /// [`ReadState::params`].
    Params(Params),
    /// [`ReadState::announced_params`].
    AnnouncedParams(Option<AnnouncedParams>),
    /// [`ReadState::totals`].
    Totals(Totals),
    /// [`ReadState::counts`].
    Counts(Counts),
    /// [`ReadState::governor`].
    Governor(Address),
    /// [`ReadState::paused`].
    Paused(bool),
    /// [`ReadState::model`].
    Model(ModelId, ModelRecord),
    /// [`ReadState::model_name`].
    ModelName(ModelId, Text<64>),
    /// [`ReadState::version`].
    Version(VersionId, VersionRecord),
    /// [`ReadState::split`].
    Split(VersionId, SplitIndex, SplitRecord),
    /// [`ReadState::worker`].
    Worker(Address, WorkerRecord),
    /// [`ReadState::worker_url`].
    WorkerUrl(Address, Text<200>),
    /// [`ReadState::worker_at`].
    WorkerAt(u32, Address),
    /// [`ReadState::measurement`].
    Measurement(MeasurementId, MeasurementRecord),
    /// [`ReadState::platform`].
    Platform(PlatformId, PlatformRecord),
    /// [`ReadState::attestation_key`].
    AttestationKey(KeyDigest, AttestationKeyRecord),
    /// [`ReadState::job_terms`]; none removes the item.
    JobTerms(JobId, Option<JobTerms>),
    /// [`ReadState::job_progress`]; none removes the item.
    JobProgress(JobId, Option<JobProgress>),
    /// [`ReadState::credit`]; zero removes the item.
    Credit(Address, Plancks),
    /// [`ReadState::dispute`]; none removes the item.
    Dispute(JobId, Option<DisputeRecord>),
    /// [`ReadState::rating`]; none removes the item.
    Rating(JobId, Option<Rating>),
    /// [`ReadState::pruned`].
    Pruned(JobId, PrunedRecord),
    /// [`ReadState::registration_nonce`]; none removes the item.
    RegistrationNonce(Address, Option<Nonce>),
    /// [`ReadState::input_used`].
    InputUsed(Address, BlobDigest, JobId),
    /// [`ReadState::session`]; none removes the item.
    Session(SessionId, Option<SessionRecord>),
    /// [`ReadState::sessions_taken`]; zero removes the item.
    SessionsTaken(VersionId, u32),
    /// [`ReadState::allowance`], of sponsor and user; zero removes the item.
    Allowance(Address, Address, Plancks),
}

/// Money that leaves the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payout {
    /// Where to.
    pub to: Address,
    /// How much; never zero.
    pub amount: Plancks,
}

/// What a command does when it is not refused: apply every write, then emit every event, then pay.
/// If the payment fails, the whole call must be undone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Storage items, each at most once.
    pub writes: Vec<Write>,
    /// Events, in order.
    pub events: Vec<Event>,
    /// The one payment.
    pub pay: Option<Payout>,
}
