//! The contract's messages: selector, then exactly one argument struct in SCALE.
//!
//! The platform reads missing calldata as zeros and ignores what follows, so the contract compares
//! the calldata's length with its argument's; [`Call::calldata`] is the only way to be accepted.

#[macro_use]
mod message;

pub use message::{Call, Selector};

use crate::{
    Address, BlobDigest, BlockNumber, CostUnits, DisputeKind, HeadDigest, JobId, KeyDigest, KeyParts, MeasurementId,
    Mode, ModelId, Params, Plancks, PlatformId, PolicyId, QuoteParts, SessionId, Signature, SigningAddress, SplitIndex,
    TailDigest, Text, Verdict, VersionHash, VersionId,
    receipt::SignedOffer,
    session::{SignedSessionOffer, SignedVoucher},
    statement::TeeKind,
};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use scale_info::TypeInfo;

/// Most splits that one version may offer.
pub const SPLITS_LIMIT: usize = 16;

/// Selector of the constructor, which takes `(Params, governor: Address, GenesisHash)`.
pub const CONSTRUCTOR: Selector = Selector([0, 0, 0, 1]);

calls! {
    /// Buys one run. The value sent must be exactly the escrow that [`QuoteJob`] answers plus the tip, or nothing if a
    /// sponsor pays. With an offer the job is claimed in the same call.
    0x10 request_job (payable) => RequestJob {
        /// The version to run; it must be active.
        version: VersionId,
        /// Which split of it.
        split: SplitIndex,
        /// Which release policy the user commits to, 1 ..= the split's policies.
        policy: PolicyId,
        /// The request blob; each may be used once.
        input: BlobDigest,
        /// To the worker on top, if the job settles.
        tip: Plancks,
        /// A worker's promise to take it.
        offer: Option<SignedOffer>,
        /// Who pays: the escrow comes out of what [`SponsorUser`] allowed the caller, and nothing is sent.
        sponsor: Option<Address>,
    } -> JobId;
    /// A registered worker takes a requested job, from its turn on.
    0x11 claim_job => ClaimJob {
        /// The job.
        job: JobId,
    } -> ();
    /// The worker that holds the job commits its receipt.
    0x12 commit_head => CommitHead {
        /// The job.
        job: JobId,
        /// The transcript blob.
        output: BlobDigest,
        /// Block in which the work was finished.
        finished_at: BlockNumber,
        /// Over the receipt, by the registered signing key.
        signature: Signature,
    } -> ();
    /// The user names the sealed features.
    0x13 send_features => SendFeatures {
        /// The job.
        job: JobId,
        /// The policy they were released under; the one the job names.
        policy: PolicyId,
        /// The sealed blob.
        features: BlobDigest,
    } -> ();
    /// The creator names the sealed result.
    0x14 commit_result => CommitResult {
        /// The job.
        job: JobId,
        /// The sealed blob.
        result: BlobDigest,
    } -> ();
    /// The user accepts the result; everybody is credited.
    0x15 accept_result => AcceptResult {
        /// The job.
        job: JobId,
    } -> ();
    /// The user ends the job where that is allowed.
    0x16 cancel_job => CancelJob {
        /// The job.
        job: JobId,
    } -> ();
    /// The creator refuses the features; the user is made whole from the bond.
    0x17 refuse_features => RefuseFeatures {
        /// The job.
        job: JobId,
    } -> ();
    /// Anybody moves a job on whose actor is late, or whose version was revoked.
    0x18 poke_job => PokeJob {
        /// The job.
        job: JobId,
    } -> ();
    /// The caller takes its credit out.
    0x19 withdraw_credit => WithdrawCredit {
        /// Where to; the caller itself if none.
        to: Option<Address>,
    } -> Plancks;
    /// The user says that something is wrong, with exactly the kind's deposit; anybody, with nothing, that an audit was drawn;
    /// anybody, with the deposit, that the worker must show a quote.
    0x1a open_dispute (payable) => OpenDispute {
        /// The job.
        job: JobId,
        /// What is wrong.
        kind: DisputeKind,
        /// A blob for the committee: a [`crate::Transcript`] of receipts that the worker signed and committed
        /// otherwise; only of a head. For a quote: 32 bytes that nobody can guess.
        evidence: Option<BlobDigest>,
    } -> ();
    /// A member of a committee seals its verdict.
    0x1b seal_verdict => SealVerdict {
        /// The disputed job.
        job: JobId,
        /// Keccak-256 of the tagged [`crate::dispute::VerdictStatement`].
        seal: [u8; 32],
    } -> ();
    /// A member of a committee reveals what it sealed.
    0x1c reveal_verdict => RevealVerdict {
        /// The disputed job.
        job: JobId,
        /// The verdict.
        verdict: Verdict,
        /// What it was sealed with.
        salt: [u8; 32],
    } -> ();
    /// The worker whose head most of a committee found wrong has another committee hear it. The value sent must be
    /// exactly a head fee for each of its members.
    0x63 appeal_ruling (payable) => AppealRuling {
        /// The disputed job.
        job: JobId,
    } -> ();
    /// Who committed a blob that is said to be missing posts it, part by part.
    0x1d post_blob => PostBlob {
        /// The disputed job.
        job: JobId,
        /// Where in the blob the part begins; 0 begins again.
        at: u64,
        /// At most [`crate::dispute::PART_LIMIT_BYTES`]; whole blocks of 128 but for the last.
        part: Vec<u8>,
        /// True for the last.
        last: bool,
    } -> ();

    /// The job's worker shows a quote over its receipt, made since it was demanded.
    0x60 show_quote => ShowQuote {
        /// The job.
        job: JobId,
        /// The quote: report data is the receipt's digest, then the nonce.
        quote: QuoteParts,
        /// Blob with the quote, its collateral and the receipt.
        evidence: BlobDigest,
    } -> ();

    /// The user of a settled job says what it thinks of the model.
    0x1e rate_job => RateJob {
        /// The job.
        job: JobId,
        /// Its rating; for good.
        rating: crate::Rating,
    } -> ();

    /// Anybody removes the records of a job that ended long ago, or of such a session. The platform gives their deposit to the caller, so the
    /// value sent must be exactly the part of it that others paid, to whom it is credited.
    0x1f prune_job (payable) => PruneJob {
        /// The job; of a session the first.
        job: JobId,
    } -> ();

    /// Opens a session. The value sent must be exactly the escrow that [`QuoteJob`] answers, for each of its jobs; no
    /// sponsor pays it.
    0x50 open_session (payable) => OpenSession {
        /// The version to run; it must be active, and its creator take sessions of so many jobs.
        version: VersionId,
        /// Which split of it.
        split: SplitIndex,
        /// Which release policy the user commits to.
        policy: PolicyId,
        /// The worker's promise: it names jobs, length and the key that signs vouchers.
        offer: SignedSessionOffer,
    } -> SessionId;
    /// Shows a voucher. The first begins the end, in which a higher one wins; one that nothing can be higher than, or
    /// that worker and creator agree on, ends the session at once.
    0x51 close_session => CloseSession {
        /// The user's word.
        signed: SignedVoucher,
        /// The worker's agreement, if the creator calls with it.
        agreed: Option<Signature>,
    } -> ();
    /// Anybody ends a session whose deadline is over.
    0x52 poke_session => PokeSession {
        /// The session.
        session: SessionId,
    } -> ();

    /// The value sent adds to what the caller pays for jobs of a user. Which jobs, and what they cost, is the user's to
    /// say: the whole allowance may be spent, on the user's own model, too. Sessions are not paid for by others.
    0x61 sponsor_user (payable) => SponsorUser {
        /// Whose jobs.
        user: Address,
    } -> ();
    /// What is left of the caller's allowance for a user becomes the caller's credit; jobs that were paid for go on.
    0x62 end_sponsoring => EndSponsoring {
        /// Whose jobs.
        user: Address,
    } -> Plancks;

    /// Lists a model; the value sent is its bond.
    0x20 list_model (payable) => ListModel {
        /// Its name: 1 ..= 64 bytes; not unique, ids are.
        name: Text<64>,
    } -> ModelId;
    /// Publishes a version as a draft.
    0x21 publish_version => PublishVersion {
        /// The caller's model.
        model: ModelId,
        /// Hash of the manifest, which must be in the store.
        manifest: VersionHash,
        /// Splits in the manifest's order, 1 ..= [`SPLITS_LIMIT`].
        splits: Vec<SplitOffer>,
    } -> VersionId;
    /// Puts a draft up for sale.
    0x22 activate_version => ActivateVersion {
        /// The version.
        version: VersionId,
    } -> ();
    /// No new jobs; running ones finish.
    0x23 deprecate_version => DeprecateVersion {
        /// The version.
        version: VersionId,
    } -> ();
    /// Withdraws a version for safety.
    0x24 revoke_version => RevokeVersion {
        /// The version.
        version: VersionId,
    } -> ();
    /// Adds the value sent to a model's bond.
    0x25 add_bond (payable) => AddBond {
        /// The model.
        model: ModelId,
    } -> ();
    /// Asks free bond back; it may be taken after the unbonding time.
    0x26 ask_bond => AskBond {
        /// The caller's model.
        model: ModelId,
        /// How much in all is to leave; replaces an earlier asking, 0 withdraws it.
        amount: Plancks,
    } -> ();
    /// Takes the bond that was asked back.
    0x27 take_bond => TakeBond {
        /// The caller's model.
        model: ModelId,
    } -> Plancks;

    /// The creator says how many jobs a session of a version may have; 0 takes no new ones.
    0x28 take_sessions => TakeSessions {
        /// The caller's version.
        version: VersionId,
        /// Most jobs of one session.
        jobs: u32,
    } -> ();

    /// Issues the nonce that the caller's next registration must answer.
    0x30 begin_registration => BeginRegistration {} -> crate::Nonce;
    /// Registers the caller as a worker or renews its registration; the value sent adds to its stake.
    0x31 register_worker (payable) => RegisterWorker {
        /// Signs offers and receipts.
        signing: SigningAddress,
        /// Receives sealed head keys.
        hpke: KeyDigest,
        /// Is credited.
        payout: Address,
        /// Which kind of enclave.
        tee: TeeKind,
        /// Attested code; must be on the allow-list, and the one in the quote.
        measurement: MeasurementId,
        /// The signed part of the quote over the [`crate::RegistrationStatement`] and the nonce; its attestation key
        /// must be certified, on a platform of the allow-list.
        quote: QuoteParts,
        /// Blob with the evidence.
        evidence: BlobDigest,
        /// First block at which the registration no longer holds.
        expires_at: BlockNumber,
        /// Most jobs held at once.
        capacity: u16,
        /// Where the worker serves, `http://` or `https://`.
        url: Text<200>,
        /// Over the [`crate::RegistrationStatement`], by the signing key.
        signature: Signature,
    } -> ();
    /// Adds the value sent to the caller's stake.
    0x32 add_stake (payable) => AddStake {} -> ();
    /// Asks free stake back; it may be taken after the unbonding time.
    0x33 ask_stake => AskStake {
        /// How much in all is to leave; replaces an earlier asking, 0 withdraws it.
        amount: Plancks,
    } -> ();
    /// Takes the stake that was asked back.
    0x34 take_stake => TakeStake {} -> Plancks;
    /// Sets how many jobs the caller holds at once; 0 takes no more.
    0x35 set_capacity => SetCapacity {
        /// Most jobs held at once.
        capacity: u16,
    } -> ();

    /// Anybody shows that an attestation key was made on a platform of the allow-list.
    0x36 certify_key => CertifyKey {
        /// What vouches for it.
        key: KeyParts,
    } -> PlatformId;

    /// The governor announces a measurement; it may be used after the delay.
    0x40 allow_measurement => AllowMeasurement {
        /// Identity of attested code.
        measurement: MeasurementId,
    } -> ();
    /// The governor revokes a measurement at once.
    0x41 revoke_measurement => RevokeMeasurement {
        /// Identity of attested code.
        measurement: MeasurementId,
    } -> ();
    /// The governor announces a platform; it may be used after the delay of measurements.
    0x45 allow_platform => AllowPlatform {
        /// Identity of a machine.
        platform: PlatformId,
    } -> ();
    /// The governor revokes a platform at once.
    0x46 revoke_platform => RevokePlatform {
        /// Identity of a machine.
        platform: PlatformId,
    } -> ();
    /// The governor announces parameters of new jobs, within their bounds; they replace those announced before.
    0x42 announce_params => AnnounceParams {
        /// All of them.
        params: Params,
    } -> ();
    /// The governor takes an announcement back.
    0x47 withdraw_params => WithdrawParams {} -> ();
    /// Anybody puts announced parameters in force, once their notice is over.
    0x48 enact_params => EnactParams {} -> ();
    /// The governor stops or resumes new jobs; exits always work.
    0x43 set_paused => SetPaused {
        /// True stops new jobs.
        paused: bool,
    } -> ();
    /// The governor hands its role on.
    0x44 set_governor => SetGovernor {
        /// The next governor.
        governor: Address,
    } -> ();

    /// Parameters of new jobs.
    0x80 params => ReadParams {} -> Params;
    /// The sums that the balance covers.
    0x81 totals => ReadTotals {} -> crate::market::Totals;
    /// How many of each there are.
    0x82 counts => ReadCounts {} -> crate::market::Counts;
    /// Who governs, and whether new jobs are stopped.
    0x83 governance => ReadGovernance {} -> (Address, bool);
    /// One model.
    0x84 model => ReadModel {
        /// Which.
        model: ModelId,
    } -> Option<(crate::ModelRecord, Text<64>)>;
    /// One version.
    0x85 version => ReadVersion {
        /// Which.
        version: VersionId,
    } -> Option<crate::VersionRecord>;
    /// One split of a version.
    0x86 split => ReadSplit {
        /// The version.
        version: VersionId,
        /// Which split.
        split: SplitIndex,
    } -> Option<crate::SplitRecord>;
    /// One worker and where it serves.
    0x87 worker => ReadWorker {
        /// Its account.
        worker: Address,
    } -> Option<(crate::WorkerRecord, Text<200>)>;
    /// The account of the n-th worker, from 0, in order of first registration.
    0x88 worker_at => ReadWorkerAt {
        /// Which.
        index: u32,
    } -> Option<Address>;
    /// One measurement.
    0x89 measurement => ReadMeasurement {
        /// Which.
        measurement: MeasurementId,
    } -> Option<crate::market::MeasurementRecord>;
    /// One job.
    0x8a job => ReadJob {
        /// Which.
        job: JobId,
    } -> Option<(crate::JobTerms, crate::JobProgress)>;
    /// What an account may withdraw.
    0x8b credit => ReadCredit {
        /// Whose.
        account: Address,
    } -> Plancks;
    /// The nonce that an account's registration must answer.
    0x8c registration_nonce => ReadNonce {
        /// Whose.
        account: Address,
    } -> Option<crate::Nonce>;
    /// What one run costs now: the escrow without tip, part by part, and the windows a job would get.
    0x8d quote_job => QuoteJob {
        /// The version.
        version: VersionId,
        /// Which split.
        split: SplitIndex,
    } -> Option<(crate::Fees, crate::Windows)>;
    /// The open dispute of a job.
    0x8e dispute => ReadDispute {
        /// Which job.
        job: JobId,
    } -> Option<crate::DisputeRecord>;
    /// What a job's user thought of it.
    0x8f rating => ReadRating {
        /// Which job.
        job: JobId,
    } -> Option<crate::Rating>;
    /// One platform.
    0x90 platform => ReadPlatform {
        /// Which.
        platform: PlatformId,
    } -> Option<crate::market::PlatformRecord>;
    /// One certified attestation key.
    0x91 attestation_key => ReadAttestationKey {
        /// Keccak-256 of its 64 bytes.
        key: KeyDigest,
    } -> Option<crate::market::AttestationKeyRecord>;
    /// Parameters that are announced.
    0x93 announced_params => ReadAnnouncedParams {} -> Option<crate::AnnouncedParams>;
    /// What is left of a job, or of a session, that was pruned.
    0x92 pruned_job => ReadPrunedJob {
        /// Which job; of a session the first.
        job: JobId,
    } -> Option<crate::PrunedRecord>;
    /// One session.
    0x94 session => ReadSession {
        /// Which.
        session: SessionId,
    } -> Option<crate::SessionRecord>;
    /// How many jobs a session of a version may have; 0 where its creator takes none.
    0x95 sessions_taken => ReadSessionsTaken {
        /// The version.
        version: VersionId,
    } -> u32;
    /// Whose turn it is to claim a requested job; none for one that is not.
    0x96 draw => ReadDraw {
        /// Which job.
        job: JobId,
    } -> Option<crate::Draw>;
    /// What a sponsor would still pay for jobs of a user.
    0x97 allowance => ReadAllowance {
        /// Who pays.
        sponsor: Address,
        /// Whose jobs.
        user: Address,
    } -> Plancks;
}

/// One split as its creator publishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SplitOffer {
    /// How its head runs.
    pub mode: Mode,
    /// What a receipt must say was run.
    pub head: HeadDigest,
    /// The rest of the model; zero where nothing follows.
    pub tail: TailDigest,
    /// Deterministic cost of the head.
    pub cost: CostUnits,
    /// What the creator asks for the tail.
    pub tail_fee: Plancks,
    /// How many release policies the manifest gives, ≥ 1.
    pub policies: u8,
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
