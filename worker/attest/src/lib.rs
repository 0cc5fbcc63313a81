//! Attestation: which code runs on which machine, by whose word.
//!
//! Judging evidence is a pure function of quote, collateral, root, policy and time. This crate
//! holds no clock and, without features, no network and no key that could sign a quote.
//!
//! The three types to know, and how they meet:
//!
//! * [`TrustRoot`] says whose signature ends the chain: Intel's, or a development root that every
//!   verdict names as such.
//! * [`Policy`] says what is good enough: measurements, patch levels, settings. Nothing in it has a default.
//! * [`Verdict`] is what [`verify`] gives for a quote that passes both; a [`Refusal`] says why not.
//!
//! A worker binds its keys into a quote's report data ([`bound`]) and publishes the quote as
//! [`RegistrationEvidence`]; anybody can then [`appraise_registration`] against the chain.
//!
//! What it refuses, whatever a policy says: debug mode, revoked platforms, a zero `MR_CONFIG_ID`,
//! bytes after a quote that are not padding.
//!
//! ```
//! use encompute_attest::{RootKind, TrustRoot};
//! assert_eq!(TrustRoot::intel().kind(), RootKind::Intel);
//! ```

mod appraisal;
mod claims;
mod collateral;
mod compact;
mod event_log;
mod evidence;
mod kind;
mod measurement;
mod platform;
mod policy;
mod refusal;
mod root;

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "development")]
pub mod devservice;
#[cfg(feature = "network")]
pub mod network;
#[cfg(feature = "development")]
pub mod pki;

pub use appraisal::{
    Appraisal, Attested, Check, EvidenceRefused, QuoteFacts, RegistrationFacts, appraise_head_key_request,
    appraise_receipt, appraise_registration,
};
pub use claims::{
    Claims, QUOTE_LIMIT_BYTES, ReportData, authenticate, quote_identity, unverified_measurement, unverified_report_data,
};
pub use collateral::{COLLATERAL_LIMIT_BYTES, Collateral, CollateralError};
pub use compact::compact;
pub use event_log::{EVENT_LOG_LIMIT_BYTES, EventLog, EventLogError, Launch};
pub use evidence::{Evidence, HPKE_KEY_BYTES, HeadKeyEvidence, HpkeKey, ReceiptEvidence, RegistrationEvidence, bound};
pub use kind::{ParseQuoteKindError, QuoteKind};
pub use measurement::{ComposeHash, Measurement, MrConfigId, Register, SgxMeasurement, TdxMeasurement};
pub use platform::{
    AdvisoryId, Fmspc, ParseTcbStatusError, PlatformSetting, Ppid, TcbEvaluationNumber, TcbStatus, UnixSeconds,
};
pub use policy::{Permission, Policy, Verdict, verify};
pub use refusal::Refusal;
pub use root::{ROOT_LIMIT_BYTES, RootError, RootFingerprint, RootKind, RootSummary, TrustRoot};
