//! Code size and weights: measured on the embedded chain by the contract's tests, compared here.

use crate::repository;
use std::{io, process::ExitStatus};

/// Why sizes and weights could not be measured, or are not the recorded ones.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    #[error("start cargo")]
    Start(#[from] io::Error),
    #[error(
        "measured sizes and weights differ from weights.json, or could not be measured ({0}); --write records them"
    )]
    Differs(ExitStatus),
}

/// Tells the test to record what it measures.
const WRITE: &str = "ENCOMPUTE_WRITE_SNAPSHOT";

/// Runs the test that measures.
///
/// # Errors
/// [`SnapshotError`]
pub fn run(write: bool) -> Result<(), SnapshotError> {
    let mut cargo = repository::cargo();
    cargo.args(["test", "--locked", "-p", "encompute-contract-tests", "--test", "weights"]);
    if write {
        cargo.env(WRITE, "1");
    }
    let status = cargo.status()?;
    if status.success() { Ok(()) } else { Err(SnapshotError::Differs(status)) }
}
