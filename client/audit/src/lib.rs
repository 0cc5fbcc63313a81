//! Transcript in, verdict out; no network, no clock, no key.
//!
//! * [`preflight`]: what the user's client checks before it decrypts anything.
//! * [`audit_job`]: everything that chain, blobs and quotes say of a job ([`JobBundle`]), held against
//!   each other, as a [`Report`] of checks, a verdict, whose word it rests on, and what it cannot tell.
//!   Quotes are judged as of the block in which they [`Counted`].
//! * [`export`] writes such a bundle into a file, [`import`] reads it, and [`audit_exported`] judges it: without network,
//!   or against what the auditor's own node says.
//! * [`rerun()`] adds what the head gives when whoever holds it runs it again.
//! * [`audit_worker`], [`audit_version`]: a registration and an offer as of now, before a job is bought.
//! * [`audit_session`]: the money of many jobs by their vouchers, and one of them against the root on chain.
//! * [`audit_ledger`]: events alone rebuild every balance, which must be what the contract holds.
//!
//! A [`Judge`] is a network file's root and policy.

pub mod exported;
pub mod html;
pub mod job;
pub mod ledger;
mod money;
pub mod overdue;
mod path;
pub mod preflight;
mod proof;
pub mod published;
mod quoted;
pub mod report;
pub mod rerun;
pub mod session;
pub mod version;
pub mod when;
mod witness;
pub mod worker;

pub use encompute_attest::network::{Judge, TrustError};
pub use encompute_lifecycle::{
    Software,
    dispute::{
        Heard, appeal_deposit,
        audit::{drawing_block, is_drawn},
        deposit,
    },
    prune::{Paid, Parties, kept_until, session_kept_until},
};
pub use exported::{EXPORT_LIMIT_BYTES, ExportError, Own, audit_exported, export, import};
pub use job::{JobBundle, ReadAt, audit_job};
pub use ledger::{LedgerReport, audit_ledger};
pub use overdue::{Payees, overdue, owed_by};
pub use preflight::{CommitmentRefused, JobFacts, RoundRefused, VerifiedRound, verify_commitment, verify_round};
pub use published::{PublishedReport, PublishedReportError};
pub use quoted::shown_in;
pub use report::{CheckLine, JudgedLine, MISSING, Report, RootLine, Severity};
pub use rerun::rerun;
pub use session::{SessionBundle, SessionProof, audit_session};
pub use version::{VersionBundle, audit_version};
pub use when::{Counted, Why};
pub use witness::witnessed;
pub use worker::{WorkerBundle, audit_worker};
