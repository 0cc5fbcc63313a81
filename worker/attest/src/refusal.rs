//! Why a quote was refused. A refusal is an answer: it can be shown, stored and compared.

use crate::kind::QuoteKind;
use crate::platform::{AdvisoryId, PlatformSetting, TcbEvaluationNumber, TcbStatus};
use crate::root::RootKind;
use encompute_protocol::MeasurementId;

/// Why a quote does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Longer than any quote; nothing was parsed.
    #[error("quote has {found_bytes} bytes, at most {limit_bytes} are allowed")]
    QuoteTooLong {
        /// Bytes found.
        found_bytes: usize,
        /// Bytes allowed.
        limit_bytes: usize,
    },
    /// Not a quote of version 3, 4 or 5.
    #[error("bytes are not a DCAP quote")]
    QuoteMalformed,
    /// Something other than zero padding follows the quote.
    #[error("{bytes} bytes that are not zero padding follow the quote")]
    QuoteTrailing {
        /// Bytes after the quote's end.
        bytes: usize,
    },
    /// The collateral that came with the quote is no collateral.
    #[error("collateral is not the expected JSON")]
    CollateralMalformed,
    /// Neither a TDX domain's report nor an SGX enclave's.
    #[error("quote holds a report of an unknown kind")]
    UnknownReport,
    /// The quote does not carry the certificate of the machine's key.
    #[error("quote carries no PCK certificate with a P-256 key")]
    PckCertificate,
    /// The code can be read and changed from outside. Never allowed.
    #[error("quote is from a machine in debug mode")]
    Debug,
    /// The platform's keys are known to be compromised. Never allowed.
    #[error("platform or certificate is revoked: its keys cannot be trusted any more")]
    Revoked,
    /// Collateral or a certificate has run out, or is not valid yet.
    #[error("collateral is not valid at the time of judgement: {detail}")]
    CollateralExpired {
        /// Which piece, in the verifier's words.
        detail: String,
    },
    /// The signatures do not lead to the root.
    #[error("quote does not verify under the {root} root: {detail}")]
    Chain {
        /// Root that was asked for.
        root: RootKind,
        /// Which link broke, in the verifier's words.
        detail: String,
    },
    /// A development root where the policy does not allow one.
    #[error(
        "quote was judged under a DEVELOPMENT root, which this network refuses: it proves nothing about any machine"
    )]
    DevelopmentRoot,
    /// Of a kind that the policy does not take.
    #[error("quote is of kind {found}, the policy allows {}", words(.allowed))]
    Kind {
        /// Kind found.
        found: QuoteKind,
        /// Kinds allowed.
        allowed: Vec<QuoteKind>,
    },
    /// The quote names no software.
    #[error("MR_CONFIG_ID is zero: the quote names no software")]
    ZeroConfigId,
    /// Unknown software or settings.
    #[error("measurement {found} is not on the list of {listed}")]
    Measurement {
        /// Measurement found.
        found: MeasurementId,
        /// How many measurements the policy lists.
        listed: usize,
    },
    /// Not patched well enough.
    #[error("platform is {found}, the policy allows {}", words(.allowed))]
    TcbStatus {
        /// Status found.
        found: TcbStatus,
        /// Statuses allowed.
        allowed: Vec<TcbStatus>,
    },
    /// An advisory applies that the policy names.
    #[error("advisory {0} applies to the platform and the policy denies it")]
    Advisory(AdvisoryId),
    /// The judgement itself is too old.
    #[error("collateral has TCB evaluation number {found}, at least {minimum} is required")]
    TcbEvaluation {
        /// Number found.
        found: TcbEvaluationNumber,
        /// Number required.
        minimum: TcbEvaluationNumber,
    },
    /// A weakening setting is on and the policy does not allow it.
    #[error("platform has {0} switched on, which the policy does not allow")]
    Setting(PlatformSetting),
}

fn words<T: ToString>(allowed: &[T]) -> String {
    let names: Vec<_> = allowed.iter().map(T::to_string).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Refusal {
    /// Sorts the verifier's words into expired, revoked or broken. The words are those of the
    /// pinned `dcap-qvl`; unknown ones count as broken, so a change there cannot turn a refusal
    /// into an acceptance.
    pub(crate) fn of_chain(detail: &str, root: RootKind) -> Self {
        const EXPIRED: [&str; 6] = [
            "TCBInfo expired",
            "QE Identity expired",
            "issue date is in the future",
            "CertExpired",
            "CertNotValidYet",
            "CrlExpired",
        ];
        const REVOKED: [&str; 2] = ["TCB status is invalid: Revoked", "CertRevoked"];
        if REVOKED.iter().any(|word| detail.contains(word)) {
            return Self::Revoked;
        }
        let detail = detail.to_owned();
        if EXPIRED.iter().any(|word| detail.contains(word)) {
            return Self::CollateralExpired { detail };
        }
        Self::Chain { root, detail }
    }
}
