//! Random sequences over the rules of the market, as many as are asked for: the long run of `long_run.rs`.

use crate::repository;
use std::{io, process::ExitStatus};

/// Arguments of `sequences`.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many sequences, of 1 to 90 steps each.
    #[arg(default_value_t = 1_000_000)]
    count: u64,
    /// The first one's number; each number is one sequence, on every machine.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// With the profile of tests, not of releases: many times slower, and nothing to compile.
    #[arg(long)]
    debug: bool,
}

/// Why the run did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SequencesError {
    #[error("start cargo")]
    Start(#[from] io::Error),
    #[error("an invariant does not hold, or the run was stopped ({0})")]
    Broken(ExitStatus),
}

/// Runs them; the sequence, step and invariant that fails is named.
///
/// # Errors
/// [`SequencesError`].
pub fn run(arguments: &Arguments) -> Result<(), SequencesError> {
    let mut cargo = repository::cargo();
    cargo.args(["test", "--locked"]);
    match arguments.debug {
        true => cargo.arg("--workspace"),
        false => cargo.args(["--release", "-p", "encompute-lifecycle"]),
    };
    cargo.args(["--test", "long_run", "--", "--nocapture"]);
    cargo.env("ENCOMPUTE_SEQUENCES", arguments.count.to_string());
    cargo.env("ENCOMPUTE_FIRST_SEQUENCE", arguments.first.to_string());
    let status = cargo.status()?;
    if status.success() { Ok(()) } else { Err(SequencesError::Broken(status)) }
}
