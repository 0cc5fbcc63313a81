//! The contracts outside the workspace: from sources to artifacts, and back to be sure.

mod artifacts;
mod build;
mod imports;
mod interface;
mod snapshot;
pub mod toolchain;

use build::Contract;
use clap::{Args, Subcommand};

/// What can be done with the contracts.
#[derive(Subcommand)]
pub enum Task {
    /// Builds code and metadata into contracts/*/artifacts.
    Build(Build),
    /// Checks the functions that the built code imports against the allow-list.
    Imports,
    /// Compares code size and the weight of every message of the market on the embedded chain with its weights.json.
    Snapshot(Snapshot),
}

/// Arguments of `contract build`.
#[derive(Args)]
pub struct Build {
    /// This contract alone.
    #[arg(long, value_name = "CONTRACT")]
    only: Option<build::Contract>,
    /// Changes nothing: builds elsewhere and compares. Byte for byte where the compiler is the one that built the
    /// artifacts, else by metadata and imports.
    #[arg(long)]
    check: bool,
    /// Leaves the metadata as it is but for the hash of the code: for work on code whose interface stays.
    #[arg(long, conflicts_with = "check")]
    code_only: bool,
}

/// Arguments of `contract snapshot`.
#[derive(Args)]
pub struct Snapshot {
    /// Records what is measured instead of comparing.
    #[arg(long)]
    write: bool,
}

/// Why a contract task failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContractError {
    #[error("find a Rust toolchain with library sources for PolkaVM")]
    Toolchain(#[from] toolchain::ToolchainError),
    #[error("build the contract")]
    Build(#[from] build::BuildError),
    #[error("compare the artifacts")]
    Artifacts(#[from] artifacts::ArtifactsError),
    #[error("list the imports of the built code")]
    Imports(#[from] imports::ImportsError),
    #[error("compare sizes and weights")]
    Snapshot(#[from] snapshot::SnapshotError),
}

/// Does `task`.
///
/// # Errors
/// [`ContractError`]; with `--check` a difference is an error too.
pub fn run(task: Task) -> Result<(), ContractError> {
    match task {
        Task::Build(Build { only, check, code_only }) => {
            let toolchain = toolchain::find()?;
            eprintln!("xtask: building with {} in {}", toolchain.compiler, toolchain.folder.display());
            for contract in Contract::ALL.into_iter().filter(|contract| only.is_none_or(|only| only == *contract)) {
                let metadata = if code_only { Some(artifacts::metadata(contract)?) } else { None };
                let built = build::build(contract, &toolchain, metadata)?;
                imports::check(contract, &built.code)?;
                if check { artifacts::compare(contract, &built)? } else { artifacts::write(contract, &built)? }
            }
        }
        Task::Imports => {
            for contract in Contract::ALL {
                imports::check(contract, &artifacts::code(contract)?)?;
            }
        }
        Task::Snapshot(Snapshot { write }) => snapshot::run(write)?,
    }
    Ok(())
}
