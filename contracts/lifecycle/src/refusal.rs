//! Why a message was refused. Nothing has changed then.

use codec::{Decode, Encode};
use core::fmt;
use encompute_protocol::{
    Address, BasisPoints, BlobDigest, BlockNumber, Blocks, DisputeKind, JobId, KeyDigest, MeasurementId, ModelId,
    Plancks, PlatformId, PolicyId, SessionId, SigningAddress, SplitIndex, Stage, VersionId, VersionStatus,
    quote::QuoteFault,
};
use scale_info::TypeInfo;

/// A field of a message that is all zeros or empty. The platform reads missing calldata as zeros, so
/// zero never means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[allow(missing_docs, reason = "each is the field of the same name")]
pub enum Field {
    #[codec(index = 0)]
    Input,
    #[codec(index = 1)]
    Output,
    #[codec(index = 2)]
    Features,
    #[codec(index = 3)]
    Result,
    #[codec(index = 4)]
    Name,
    #[codec(index = 5)]
    Manifest,
    #[codec(index = 6)]
    Head,
    #[codec(index = 7)]
    Policies,
    #[codec(index = 8)]
    Signing,
    #[codec(index = 9)]
    Hpke,
    #[codec(index = 10)]
    Payout,
    #[codec(index = 11)]
    Measurement,
    #[codec(index = 12)]
    Quote,
    #[codec(index = 13)]
    Evidence,
    #[codec(index = 14)]
    Url,
    #[codec(index = 15)]
    Governor,
    #[codec(index = 16)]
    Treasury,
    #[codec(index = 17)]
    To,
    #[codec(index = 18)]
    Value,
    #[codec(index = 19)]
    Genesis,
    #[codec(index = 20)]
    Seal,
    #[codec(index = 21)]
    Part,
    #[codec(index = 24)]
    Platform,
    #[codec(index = 30)]
    User,
    #[codec(index = 31)]
    Sponsor,
}

/// A fact that an offer names otherwise than the request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[allow(missing_docs, reason = "each is the field of the same name")]
pub enum OfferField {
    #[codec(index = 0)]
    Genesis,
    #[codec(index = 1)]
    Contract,
    #[codec(index = 2)]
    User,
    #[codec(index = 3)]
    Version,
    #[codec(index = 4)]
    Split,
    #[codec(index = 5)]
    Input,
}

/// A parameter with bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[allow(missing_docs, reason = "each is the field of the same name")]
pub enum Param {
    #[codec(index = 0)]
    ProtocolFee,
    #[codec(index = 1)]
    StopFee,
    #[codec(index = 2)]
    RetrySlash,
    #[codec(index = 3)]
    FailSlash,
    #[codec(index = 4)]
    BondMargin,
    #[codec(index = 5)]
    RegistrationLimit,
    #[codec(index = 6)]
    Unbonding,
    #[codec(index = 7)]
    Notice,
    #[codec(index = 8)]
    ClaimWindow,
    #[codec(index = 9)]
    HeadWindow,
    #[codec(index = 10)]
    ChallengeWindow,
    #[codec(index = 11)]
    FeaturesWindow,
    #[codec(index = 12)]
    CreatorWindow,
    #[codec(index = 13)]
    AcceptWindow,
    #[codec(index = 14)]
    HeadFeeBase,
    #[codec(index = 15)]
    HeadFeePerUnit,
    #[codec(index = 16)]
    JobStakeFloor,
    #[codec(index = 17)]
    DisputeWindow,
    #[codec(index = 18)]
    StorageItem,
    #[codec(index = 19)]
    StorageByte,
    #[codec(index = 20)]
    AuditShare,
}

/// A check on a quote that did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum QuoteCheck {
    /// The statement names another kind of enclave.
    #[codec(index = 0)]
    TeeKind,
    /// The attested code can be read and changed from outside.
    #[codec(index = 1)]
    Debug,
    /// `MR_CONFIG_ID` is zero: the quote names no software.
    #[codec(index = 2)]
    NoSoftware,
    /// The quote binds another statement or nonce.
    #[codec(index = 3)]
    ReportData,
    /// Header and body are not signed by the attestation key.
    #[codec(index = 4)]
    QuoteSignature,
    /// The quoting enclave can be read and changed from outside.
    #[codec(index = 5)]
    QuotingEnclaveDebug,
    /// The quoting enclave's report binds another attestation key.
    #[codec(index = 6)]
    KeyBinding,
    /// The quoting enclave's report is not signed by the PCK key.
    #[codec(index = 7)]
    PckSignature,
    /// The platform has no SHA-256.
    #[codec(index = 8)]
    NoSha256,
}

macro_rules! refusals {
    ($($index:literal $(#[$doc:meta])* $name:ident $({ $($field:ident: $type:ty),* $(,)? })? => $text:literal $(, $argument:expr)*;)*) => {
        /// Why a message was refused. Indices are stable; nothing has changed when one comes back.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "fields are what was found and what was wanted")]
        pub enum Refusal {
            $($(#[$doc])* #[codec(index = $index)] $name $({ $($field: $type),* })?),*
        }

        impl fmt::Display for Refusal {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name $({ $($field),* })? => write!(f, $text $(, $argument)*)),*
                }
            }
        }
    };
}

refusals! {
    0 /// Money was sent to a message that takes none.
    ValueNotTaken { found: Plancks } => "{found} was sent to a message that takes no money";
    1 /// A field is all zeros or empty.
    Missing { field: Field } => "{field:?} is zero or empty";
    2 /// New jobs are stopped.
    Paused => "new jobs are stopped";
    3 /// An amount is too large to compute with.
    AmountTooLarge => "an amount is too large to compute with";
    4 /// No more of these can be numbered.
    NumbersExhausted => "no more numbers are left for new records";
    5 /// A record that must exist does not; the state is damaged.
    Inconsistent => "the market's records contradict each other";
    6 /// The calldata is not exactly the message: the platform reads what is missing as zeros.
    CalldataLength { found: u64, wanted: u64 } => "{found} bytes of calldata, the message has {wanted}";
    7 /// The value sent is no whole number of plancks; the remainder would be lost.
    ValueRemainder { found: u32, unit: u32 } => "the value leaves {found} of {unit} parts of a planck";
    8 /// The payee did not take the money.
    PaymentFailed { to: Address } => "{to} did not take the payment";

    10 /// There is no such model.
    UnknownModel { model: ModelId } => "there is no model {model}";
    11 /// There is no such version.
    UnknownVersion { version: VersionId } => "there is no version {version}";
    12 /// The version has no such split.
    UnknownSplit { found: SplitIndex, splits: u8 } => "there is no split {found}, the version has {splits}";
    13 /// The split has no such policy.
    UnknownPolicy { found: PolicyId, policies: u8 } => "there is no policy {found}, the split has 1 to {policies}";
    14 /// There is no such job.
    UnknownJob { job: JobId } => "there is no job {job}";
    15 /// The account is not registered as a worker.
    UnknownWorker { worker: Address } => "{worker} is not registered as a worker";
    16 /// The measurement was never allowed.
    UnknownMeasurement => "the measurement was never allowed";

    20 /// The version is not for sale.
    VersionNotActive { found: VersionStatus } => "the version is {found:?}, not Active";
    21 /// The version's status does not allow this.
    WrongVersionStatus { found: VersionStatus, wanted: VersionStatus } => "the version is {found:?}, not {wanted:?}";
    22 /// The version is revoked.
    VersionRevoked { revoked_at: BlockNumber } => "the version was revoked in block {revoked_at}";
    23 /// The number of splits is not allowed.
    SplitCount { found: u32, limit: u32 } => "{found} splits, from 1 to {limit} are allowed";

    30 /// The user has used this request blob before.
    InputUsed { job: JobId } => "this input was used for job {job}";
    31 /// The money sent is not the escrow.
    EscrowMismatch { found: Plancks, wanted: Plancks } => "{found} was sent, the escrow is {wanted}";
    32 /// The creator's free bond does not cover the job.
    FreeBondTooSmall { found: Plancks, wanted: Plancks } => "the model's free bond is {found}, the job needs {wanted}";
    33 /// The model's bond is below the least.
    BondBelowFloor { found: Plancks, wanted: Plancks } => "the model's bond is {found}, at least {wanted} is needed";
    34 /// The worker's free stake does not cover the job.
    FreeStakeTooSmall { found: Plancks, wanted: Plancks } => "the worker's free stake is {found}, the job needs {wanted}";
    35 /// The worker's stake is below the least.
    StakeBelowFloor { found: Plancks, wanted: Plancks } => "the worker's stake is {found}, at least {wanted} is needed";
    36 /// Every place of the worker is taken.
    CapacityFull { in_flight: u16, capacity: u16 } => "the worker holds {in_flight} jobs of at most {capacity}";
    37 /// More is asked back than is free.
    AskedTooMuch { found: Plancks, free: Plancks } => "{found} is asked back, {free} is not held by jobs";
    38 /// Nothing was asked back.
    NothingLeaving => "nothing was asked back";
    39 /// What was asked back is not free yet.
    NotYetLeaving { leaves_at: BlockNumber, block: BlockNumber } => "it may be taken from block {leaves_at}, this is {block}";
    40 /// The caller has no credit.
    NothingToWithdraw => "there is no credit to withdraw";

    50 /// The job is at another stage.
    WrongStage { found: Stage, wanted: Stage } => "the job is {found:?}, not {wanted:?}";
    51 /// The job has ended.
    JobEnded { found: Stage } => "the job has ended: {found:?}";
    52 /// The job is somebody else's to move.
    NotYourJob { caller: Address, wanted: Address } => "{caller} may not do this, {wanted} may";
    53 /// The model is somebody else's.
    NotYourModel { caller: Address, wanted: Address } => "{caller} may not do this, the creator {wanted} may";
    54 /// The caller does not govern.
    NotGovernor { caller: Address, wanted: Address } => "{caller} may not do this, the governor {wanted} may";
    55 /// The window is over.
    TooLate { deadline: BlockNumber, block: BlockNumber } => "the last block for this was {deadline}, this is {block}";
    56 /// The window is not over.
    NotYetLate { deadline: BlockNumber, block: BlockNumber } => "nobody is late before block {deadline} is over, this is {block}";
    57 /// Nothing follows the head.
    NoTail => "the split has no tail: accept the job instead";
    58 /// Released under another policy than the job names.
    PolicyMismatch { found: PolicyId, wanted: PolicyId } => "features of policy {found}, the job is for policy {wanted}";
    59 /// The receipt's time of finishing is outside the claim.
    FinishedOutside { found: BlockNumber, from: BlockNumber, to: BlockNumber } => "finished in block {found}, it must be {from} to {to}";

    60 /// A signature is not by the registered key.
    WrongSigner { found: Option<SigningAddress>, wanted: SigningAddress } => "signed by {}, the registered key is {wanted}", Signer(*found);
    61 /// The offer is for something else.
    OfferMismatch { field: OfferField } => "the offer names another {field:?} than the request";
    63 /// Others were drawn to claim the job before the caller, or nobody is drawn yet.
    NotYourTurn { turn: Option<Address>, from: BlockNumber, block: BlockNumber } => "it is the turn of {}; the caller may claim from block {from}, this is {block}", Anybody(*turn);
    62 /// The offer no longer holds.
    OfferExpired { expires_at: BlockNumber, block: BlockNumber } => "the offer ended before block {expires_at}, this is {block}";

    70 /// The registration ends before the work would.
    RegistrationEndsTooSoon { expires_at: BlockNumber, wanted: BlockNumber } => "the registration ends with block {expires_at}, the job needs it until {wanted}";
    71 /// The registration no longer holds.
    RegistrationExpired { expires_at: BlockNumber, block: BlockNumber } => "the registration ended before block {expires_at}, this is {block}";
    72 /// The registration would be too long or already over.
    RegistrationLength { expires_at: BlockNumber, from: BlockNumber, to: BlockNumber } => "a registration until {expires_at}, from {from} to {to} is allowed";
    73 /// No nonce was asked for.
    NoNonce => "no registration was begun";
    74 /// The quote was used for the registration before.
    QuoteReused => "the quote is the one of the registration before";
    75 /// The address is no web address.
    UrlScheme => "the address begins with neither http:// nor https://";
    76 /// Jobs are running under the present registration.
    JobsInFlight { found: u16 } => "{found} jobs run under the present registration";
    77 /// The measurement may not be used yet.
    MeasurementNotYet { valid_from: BlockNumber, block: BlockNumber } => "the measurement may be used from block {valid_from}, this is {block}";
    78 /// The measurement is revoked.
    MeasurementRevoked { revoked_at: BlockNumber } => "the measurement was revoked in block {revoked_at}";
    79 /// The measurement was announced before.
    MeasurementKnown { valid_from: BlockNumber } => "the measurement was announced before, for block {valid_from}";

    80 /// The machine was never allowed.
    UnknownPlatform { platform: PlatformId } => "platform {platform} was never allowed";
    81 /// The machine may not be used yet.
    PlatformNotYet { valid_from: BlockNumber, block: BlockNumber } => "the platform may be used from block {valid_from}, this is {block}";
    82 /// The machine is revoked.
    PlatformRevoked { revoked_at: BlockNumber } => "the platform was revoked in block {revoked_at}";
    83 /// The machine was announced before.
    PlatformKnown { valid_from: BlockNumber } => "the platform was announced before, for block {valid_from}";
    84 /// No platform has vouched for the attestation key.
    UnknownKey { key: KeyDigest } => "attestation key {key} was never certified";
    85 /// Header and body are those of no quote that is known.
    QuoteUnread { fault: QuoteFault } => "the quote is not read: {fault}";
    86 /// The quote does not count.
    QuoteRefused { check: QuoteCheck } => "the quote does not hold: {check:?}";
    87 /// The quote attests other code than the registration names, or than a job was committed by.
    MeasurementMismatch { found: MeasurementId, wanted: MeasurementId } => "the quote attests {found}, it must attest {wanted}";


    90 /// A parameter is outside its bounds.
    ParamOutOfBounds { param: Param, found: u128, lowest: u128, highest: u128 } => "{param:?} is {found}, from {lowest} to {highest} is allowed";
    100 /// The job had this dispute before.
    DisputedBefore { kind: DisputeKind } => "the job had this dispute before: {kind:?}";
    101 /// The money sent is not the deposit.
    DepositMismatch { found: Plancks, wanted: Plancks } => "{found} was sent, the deposit is {wanted}";
    102 /// The worker's code was attested when it committed, and is allowed.
    NoGround => "the worker's code was attested when it committed and has not been revoked";
    103 /// The caller is not of the committee.
    NotJuror { caller: Address } => "{caller} is not of this dispute's committee";
    104 /// The dispute is at another step.
    WrongStep => "the dispute is at another step";
    105 /// The verdict was sealed or revealed before.
    VerdictTwice => "the verdict was given before";
    106 /// What is revealed is not what was sealed.
    WrongSeal => "what is revealed is not what was sealed";
    107 /// A part of a blob that does not follow what was posted.
    PartOutOfPlace { found: u64, wanted: u64 } => "a part from byte {found}, the next is from byte {wanted}";
    108 /// A part of a blob whose length is not allowed.
    PartLength { found: u32 } => "a part of {found} bytes: whole blocks of 128 but for the last, at most 8192";
    110 /// A grade that there is not.
    GradeOutOfBounds { found: u8 } => "grade {found}, from 1 to 5 there are";
    111 /// The job was rated before.
    RatedBefore { job: JobId } => "job {job} was rated before";
    112 /// The job's records were removed.
    JobPruned { job: JobId } => "job {job} ended long ago, its records were removed";
    113 /// The job has not ended.
    JobRunning { found: Stage } => "the job has not ended: {found:?}";
    114 /// The job, or the session, has not been over for long enough.
    KeptUntil { until: BlockNumber, block: BlockNumber } => "the records are kept until block {until} is over, this is {block}";
    115 /// The money sent is not what others paid for the records.
    StorageMismatch { found: Plancks, wanted: Plancks } => "{found} was sent, others paid {wanted} for the records";
    116 /// No parameters are announced.
    NothingAnnounced => "no parameters are announced";
    117 /// The notice of announced parameters is not over.
    NoticeRuns { valid_from: BlockNumber, block: BlockNumber } => "the announced parameters may be put in force from block {valid_from}, this is {block}";
    120 /// There is no such session.
    UnknownSession { session: SessionId } => "there is no session {session}";
    121 /// The session is over.
    SessionOver { session: SessionId } => "session {session} is over";
    122 /// More jobs than a session of the version may have, or none.
    SessionJobs { found: u32, limit: u32 } => "a session of {found} jobs; at least one, at most {limit} are allowed";
    123 /// The session would be too short or too long.
    SessionLength { found: Blocks, lowest: Blocks, highest: Blocks } => "a session of {found} blocks, from {lowest} to {highest} are allowed";
    124 /// A voucher whose numbers contradict each other, or its session's.
    VoucherNumbers { done: u32, heads: u32, tails: u32, jobs: u32 } => "a voucher for {tails} tails of {heads} heads of {done} jobs of {jobs}";
    125 /// Nothing is higher in the voucher than in what was shown.
    VoucherNotHigher { done: u32, heads: u32, tails: u32 } => "a voucher for {tails} tails of {heads} heads of {done} jobs was shown before";
    126 /// Nothing follows the head.
    NoTailNoSession => "the split has no tail: it is sold job by job";
    127 /// The session is not over.
    SessionRunning { session: SessionId } => "session {session} is not over";
    128 /// The session's record was removed.
    SessionPruned { session: SessionId } => "session {session} ended long ago, its record was removed";
    109 /// Another blob than the one that was committed.
    WrongBlob { found: BlobDigest, wanted: BlobDigest } => "the blob is {found}, {wanted} was committed";

    130 /// The job is none of those that are audited.
    NotDrawn { job: JobId, share: BasisPoints } => "job {job} was not drawn for an audit, {} of 10000 jobs are", share.0;
    131 /// The treasury's credit does not pay a committee.
    TreasuryTooPoor { found: Plancks, wanted: Plancks } => "the treasury's credit is {found}, an audit takes {wanted} of it";
    132 /// An audit looks at what was committed alone.
    EvidenceNotTaken => "evidence was named, an audit takes none";
    133 /// The sponsor does not allow the caller as much as the job costs.
    AllowanceTooSmall { found: Plancks, wanted: Plancks } => "the sponsor allows {found}, the escrow is {wanted}";
    134 /// The caller allows the user nothing that could be ended.
    NothingAllowed { user: Address } => "nothing is left of what the caller allows {user}";
    135 /// Sponsor and user are the same account.
    SponsorsItself => "nobody is its own sponsor";
    136 /// Money was sent though a sponsor pays.
    SponsorPays { found: Plancks } => "{found} was sent, but the sponsor pays the escrow";
    137 /// The job was drawn for an audit, which comes first.
    AuditDue { until: BlockNumber } => "the job was drawn for an audit, which comes first: anybody may open it until block {until}";
    140 /// The dispute's ruling was appealed before.
    AppealedBefore { job: JobId } => "the ruling on job {job} was appealed before";
    141 /// Jobs hold stake of a worker that wants to be paid elsewhere.
    PayoutHeld { locked: Plancks } => "jobs hold {locked} of the worker's stake: until it is free its payout stays";
    142 /// The worker's promise has opened a session.
    OfferUsed { session: SessionId } => "the offer has opened session {session}";

    91 /// A share is more than the whole.
    ShareTooLarge { param: Param, found: BasisPoints } => "{param:?} is {} basis points, at most 10000 are allowed", found.0;
}

struct Anybody(Option<Address>);

impl fmt::Display for Anybody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("nobody"),
        }
    }
}

struct Signer(Option<SigningAddress>);

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("nobody"),
        }
    }
}

impl core::error::Error for Refusal {}
