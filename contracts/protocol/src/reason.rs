//! Why a job did not simply settle.

use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Why a job ended otherwise than settled, or went back to be claimed again. Numbers are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum Reason {
    /// Nobody claimed within the claim window.
    #[codec(index = 10)]
    NoWorker,
    /// The worker committed nothing within the head window.
    #[codec(index = 11)]
    WorkerTimeout,
    /// Kept for disputes.
    #[codec(index = 12)]
    BadReceipt,
    /// Most of a committee found that the head gives something else than the worker committed.
    #[codec(index = 13)]
    HeadMismatch,
    /// The worker did not post the transcript that it had committed.
    #[codec(index = 14)]
    BlobMissing,
    /// The worker showed no quote for its receipt within the window in which it was demanded.
    #[codec(index = 15)]
    QuoteMissing,
    /// The user sent no features within the features window.
    #[codec(index = 20)]
    UserNoShow,
    /// The user cancelled, or stopped after the head.
    #[codec(index = 21)]
    UserCancelled,
    /// The creator committed no result within the creator window.
    #[codec(index = 30)]
    CreatorTimeout,
    /// The creator refused the features.
    #[codec(index = 31)]
    CreatorRefused,
    /// The creator did not answer for a result that opens to nothing.
    #[codec(index = 32)]
    ResultMismatch,
    /// The creator did not post the sealed result that it had committed.
    #[codec(index = 33)]
    ResultWithheld,
    /// The version was revoked before the head was committed.
    #[codec(index = 40)]
    VersionRevoked,
    /// The worker's registration was over when it committed.
    #[codec(index = 41)]
    AttestationExpired,
    /// The worker's measurement was revoked before it committed, or before its head was of use.
    #[codec(index = 42)]
    MeasurementRevoked,
    /// The machine that the worker runs on was revoked before it committed, or before its head was of use.
    #[codec(index = 43)]
    PlatformRevoked,
    /// A dispute ended without a ruling: the job goes on where it stood.
    #[codec(index = 50)]
    ArbiterTimeout,
    /// A dispute was found to be without ground: the job goes on where it stood.
    #[codec(index = 51)]
    DisputeRejected,
    /// Witnesses found what the worker committed: the job goes on where it stood.
    #[codec(index = 52)]
    Witnessed,
    /// A committee that was drawn for an audit found what the worker committed: the job goes on where it stood.
    #[codec(index = 53)]
    Audited,
    /// The worker showed a quote for its receipt: the job goes on where it stood.
    #[codec(index = 54)]
    Quoted,
    /// Kept: the market was paused.
    #[codec(index = 60)]
    Paused,
}

impl Reason {
    /// The stable number that events, tables and manuals use.
    pub fn number(self) -> u8 {
        let mut number = 0;
        self.using_encoded(|bytes| number = bytes.first().copied().unwrap_or(0));
        number
    }
}
