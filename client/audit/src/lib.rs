//! Transcript in, verdict out; no network, no clock, no key.
//!
//! * [`preflight`]: what the user's client checks before it decrypts anything.
//! * [`audit_job`]: everything that chain, blobs and quotes say of a job ([`JobBundle`]), held against
//!   each other, as a [`Report`] of checks, a verdict, whose word it rests on, and what it cannot tell.
//!   Quotes are judged as of the block in which they [`Counted`].
//! * [`audit_ledger`]: events alone rebuild every balance, which must be what the contract holds.
//!
//! A [`Judge`] is a network file's root and policy.

pub mod job;
pub mod ledger;
mod money;
mod path;
pub mod preflight;
mod proof;
pub mod report;
pub mod when;

pub use encompute_attest::network::{Judge, TrustError};
pub use encompute_lifecycle::dispute::{Heard, deposit};
pub use job::{JobBundle, audit_job};
pub use ledger::{LedgerReport, audit_ledger};
pub use preflight::{CommitmentRefused, JobFacts, RoundRefused, VerifiedRound, verify_commitment, verify_round};
pub use report::{CheckLine, JudgedLine, MISSING, Report, RootLine};
pub use when::{Counted, Why};
