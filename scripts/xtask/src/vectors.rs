//! Golden vectors: each is made and checked by a test of the crate that owns the bytes.

use crate::repository;
use std::{io, process::ExitStatus};

/// Arguments of `vectors`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Makes the files anew instead of checking them; read the difference before you commit it.
    #[arg(long)]
    write: bool,
}

/// Why vectors could not be checked or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VectorsError {
    #[error("start cargo")]
    Start(#[from] io::Error),
    #[error("the vectors of {package} do not hold ({status})")]
    Differ { package: &'static str, status: ExitStatus },
}

/// Tells the tests to write what they would compare.
const WRITE: &str = "ENCOMPUTE_WRITE_VECTORS";
/// Crates with vectors of their own making, and the tests that hold them. (Vectors that others published
/// are checked by the tests beside them and never written.)
const OWNERS: &[(&str, &str)] = &[("encompute-protocol", "vectors"), ("encompute-head", "determinism")];

/// Runs the owners' tests.
///
/// # Errors
/// [`VectorsError`], with the first crate whose vectors do not hold.
pub fn run(arguments: Arguments) -> Result<(), VectorsError> {
    for (package, test) in OWNERS {
        let mut cargo = repository::cargo();
        cargo.args(["test", "--locked", "-p", package, "--test", test]);
        if arguments.write {
            cargo.env(WRITE, "1");
        }
        let status = cargo.status()?;
        if !status.success() {
            return Err(VectorsError::Differ { package, status });
        }
    }
    Ok(())
}
