//! The house rules that a program can check.

mod crates;
mod edges;
mod spec;
mod text;

use std::io;

/// Arguments of `tidy`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Records the hash of the protocol's wire sources in SPEC.md, after the text was brought up to date.
    #[arg(long)]
    record_spec: bool,
}

/// Why the house is not tidy, or could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TidyError {
    #[error("read {path}")]
    Read {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("ask cargo for the crates")]
    Metadata(#[from] cargo_metadata::Error),
    #[error("read {path}")]
    Manifest {
        path: String,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("{0} broken house rules, listed above")]
    Untidy(usize),
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where: a path with a line, or a crate.
    pub place: String,
    /// What is wrong, and what the rule wants.
    pub words: String,
}

/// Checks every rule and prints each finding on a line of its own.
///
/// # Errors
/// [`TidyError::Untidy`] if there is any finding.
pub fn run(arguments: Arguments) -> Result<(), TidyError> {
    if arguments.record_spec {
        spec::record()?;
    }
    let mut findings = edges::check()?;
    findings.extend(text::check()?);
    findings.extend(spec::check()?);
    findings.extend(crates::check()?);
    findings.sort();
    for finding in &findings {
        eprintln!("{}: {}", finding.place, finding.words);
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(TidyError::Untidy(count)),
    }
}
