//! Transcript in, verdict out; no network.
//!
//! [`preflight`] is what the user's client checks before it decrypts anything; [`trust`] turns a network file
//! into the root and policy that judge quotes.

pub mod preflight;
pub mod trust;

pub use preflight::{CommitmentRefused, JobFacts, RoundRefused, VerifiedRound, verify_commitment, verify_round};
pub use trust::{Judge, TrustError};
