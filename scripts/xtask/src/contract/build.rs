//! Sources → ELF → PolkaVM, and metadata: what `cargo contract build --release` does, without its
//! hundreds of crates.

use super::toolchain::Toolchain;
use crate::repository;
use encompute_protocol::digest::{blake2b_256, keccak_256};
use polkavm_linker::{Config, ProgramFromElfError, TargetInstructionSet, program_from_elf};
use serde_json::{Value, json};
use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

/// A built contract.
pub struct Built {
    /// The PolkaVM program.
    pub code: Vec<u8>,
    /// ink!'s metadata with the hash of the code.
    pub metadata: Value,
    /// What goes into `build.json`.
    pub record: Record,
}

/// How artifacts came to be: enough to know whether a rebuild must give the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// What `rustc --version` said.
    pub compiler: String,
    /// The linker.
    pub linker: String,
    /// BLAKE2b-256 over the sources, by path.
    pub sources: String,
    /// Keccak-256 of the code: its name on chain.
    pub code_hash: String,
    /// Length of the code, in bytes.
    pub code_bytes: usize,
}

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    #[error("read or write {path}")]
    File {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("start {program}")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("cargo ended with {status} while it built {what}")]
    Cargo { what: &'static str, status: ExitStatus },
    #[error("the PolkaVM linker refused the ELF file")]
    Link(#[source] ProgramFromElfError),
    #[error("the metadata program printed no JSON")]
    Metadata(#[source] serde_json::Error),
    #[error("Cargo.lock of the contract names no version of {package}")]
    Lock { package: &'static str },
}

/// The linker that is built into this task.
pub const LINKER: &str = "polkavm-linker 0.35.0";
/// The target's name is its file's.
const TARGET: &str = "riscv64emac-unknown-none-polkavm";
/// The linker's two pages are too few: one call's argument, records and changes live on the stack together,
/// and a stack that overflows is a trap without a word.
const STACK_BYTES: u32 = 64 * 1024;
/// What cargo-contract gives every release build: no unwinding and no panic texts. The stack's size here is
/// the ELF's; PolkaVM's is [`STACK_BYTES`]. And words that are not aligned are read and written whole, as PolkaVM does: the
/// target says nothing of it, so that every copied digest would be 32 loads and stores of a byte, which are paid for one by one.
const FLAGS: &[&str] = &[
    "-Clinker-plugin-lto",
    "-Clink-arg=-zstack-size=4096",
    "--cfg",
    "substrate_runtime",
    "-Zunstable-options",
    "-Cpanic=immediate-abort",
    "-Ctarget-feature=+unaligned-scalar-mem",
];

/// A contract of this repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Contract {
    /// The market.
    Marketplace,
    /// A worker's account that speaks the off-chain rollup protocol.
    Anchor,
}

impl Contract {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Marketplace, Self::Anchor];

    /// Its name: of its folder, its program, its artifacts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Marketplace => "marketplace",
            Self::Anchor => "anchor",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Marketplace => "The marketplace as an ink! contract: a shell over encompute-lifecycle",
            Self::Anchor => "A worker's account on chain as an ink! contract: a shell over encompute-rollup",
        }
    }

    /// Folders of the crates that its code is made of.
    fn sources(self) -> [&'static str; 3] {
        match self {
            Self::Marketplace => ["protocol", "lifecycle", "marketplace"],
            Self::Anchor => ["protocol", "rollup", "anchor"],
        }
    }

    /// Its folder.
    pub fn folder(self) -> PathBuf {
        repository::root().join("contracts").join(self.name())
    }
}

/// Builds code and metadata; `metadata` stands in for the interface if it is known. The working
/// tree's artifacts stay as they are.
///
/// # Errors
/// [`BuildError`]
pub fn build(contract: Contract, toolchain: &Toolchain, metadata: Option<Value>) -> Result<Built, BuildError> {
    let output = output_folder();
    let code = code(contract, toolchain, &output)?;
    let record = Record {
        compiler: toolchain.compiler.clone(),
        linker: LINKER.to_owned(),
        sources: hex::encode(sources(contract)?),
        code_hash: format!("0x{}", hex::encode(keccak_256(&[&code]))),
        code_bytes: code.len(),
    };
    let mut metadata = metadata.map_or_else(|| interface(contract, toolchain, &output), Ok)?;
    describe(contract, &mut metadata, toolchain, &record)?;
    Ok(Built { code, metadata, record })
}

/// Where builds go: beside the workspace's own.
fn output_folder() -> PathBuf {
    let workspace =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository::root().join("target"), PathBuf::from);
    repository::root().join(workspace).join("contract")
}

fn code(contract: Contract, toolchain: &Toolchain, output: &Path) -> Result<Vec<u8>, BuildError> {
    let place = Place::take()?;
    let target = place.0.join(format!("target/contract/{TARGET}.json"));
    write_if_changed(&target, polkavm_linker::TARGET_JSON_64_BIT_NEW.as_bytes())?;
    let (mut cargo, name) = (toolchain.cargo(), contract.name());
    cargo
        .current_dir(contract.folder())
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"))
        .args(["build", "--locked", "--release", "--no-default-features", &format!("--bin={name}")])
        .arg(format!("--manifest-path={}", place.0.join("contracts").join(name).join("Cargo.toml").display()))
        .args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"])
        .arg(format!("--target={}", target.display()))
        .arg(format!("--target-dir={}", output.display()));
    run(cargo, "the contract's code")?;

    let elf = read(&output.join(TARGET).join("release").join(name))?;
    let mut config = Config::default();
    config.set_strip(true);
    config.set_optimize(true);
    config.set_min_stack_size(STACK_BYTES);
    program_from_elf(config, TargetInstructionSet::ReviveV1, &elf).map_err(BuildError::Link)
}

/// Where the compiler sees the repository, wherever it lies. Cargo hashes the paths of packages outside of the
/// contract's own folder, and the path of the target, into every symbol; symbols decide in which order functions lie.
const PLACE: &str = "/tmp/encompute-contract";

/// [`PLACE`], which points at this repository as long as this lives: another build waits.
struct Place(PathBuf, #[expect(dead_code, reason = "unlocks when it is dropped")] std::fs::File);

impl Place {
    fn take() -> Result<Self, BuildError> {
        let failed = |path: &str| {
            let path = path.to_owned();
            move |source| BuildError::File { path, source }
        };
        let name = format!("{PLACE}.lock");
        let lock = std::fs::File::create(&name).map_err(failed(&name))?;
        lock.lock().map_err(failed(&name))?;
        match std::fs::remove_file(PLACE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(PLACE)(error)),
            _ => {}
        }
        std::os::unix::fs::symlink(repository::root(), PLACE).map_err(failed(PLACE))?;
        Ok(Self(PathBuf::from(PLACE), lock))
    }
}

/// What the contract, built for the host, prints of itself.
fn interface(contract: Contract, toolchain: &Toolchain, output: &Path) -> Result<Value, BuildError> {
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(contract.folder())
        .args(["run", "--locked", "--quiet", "--features=std", &format!("--bin={}", contract.name())])
        .arg(format!("--target-dir={}", output.display()))
        .stdout(Stdio::piped());
    let printed = run(cargo, "the contract's metadata")?;
    serde_json::from_slice(&printed).map_err(BuildError::Metadata)
}

/// Adds what the code cannot know of itself.
fn describe(
    contract: Contract,
    metadata: &mut Value,
    toolchain: &Toolchain,
    record: &Record,
) -> Result<(), BuildError> {
    if let Some(fields) = metadata.as_object_mut() {
        fields.insert(
            "source".to_owned(),
            json!({
                "hash": record.code_hash,
                "language": format!("ink! {}", locked_version(contract, "ink")?),
                "compiler": format!("rustc {}", toolchain.version),
            }),
        );
        fields.insert(
            "contract".to_owned(),
            json!({
                "name": format!("encompute-{}", contract.name()),
                "version": env!("CARGO_PKG_VERSION"),
                "authors": ["Encompute"],
                "description": contract.description(),
                "license": "Apache-2.0",
            }),
        );
    }
    Ok(())
}

/// BLAKE2b-256 over every file that the code is made of: path, length, bytes; of Rust sources only the lines
/// that become a program.
///
/// # Errors
/// [`BuildError::File`]
fn sources(contract: Contract) -> Result<[u8; 32], BuildError> {
    let mut bytes = Vec::new();
    for package in contract.sources() {
        let folder = repository::root().join("contracts").join(package);
        let source = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
        let mut files = repository::files(&folder.join("src"), &source)
            .map_err(|source| BuildError::File { path: repository::name(&folder), source })?;
        files.push(folder.join("Cargo.toml"));
        files.extend(Some(folder.join("Cargo.lock")).filter(|lock| lock.exists()));
        for file in files {
            let mut content = read(&file)?;
            if source(&file) {
                content = repository::code_of(&String::from_utf8_lossy(&content)).into_bytes();
            }
            bytes.extend_from_slice(repository::name(&file).as_bytes());
            bytes.push(0);
            bytes.extend_from_slice(&(content.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&content);
        }
    }
    Ok(blake2b_256(&bytes))
}

fn locked_version(contract: Contract, package: &'static str) -> Result<String, BuildError> {
    let lock = read(&contract.folder().join("Cargo.lock"))?;
    let lock = String::from_utf8_lossy(&lock).into_owned();
    lock.split("[[package]]")
        .find(|entry| entry.contains(&format!("name = \"{package}\"\n")))
        .and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next().map(str::to_owned))
        .ok_or(BuildError::Lock { package })
}

fn run(mut command: Command, what: &'static str) -> Result<Vec<u8>, BuildError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command.spawn().map_err(|source| BuildError::Start { program: program.clone(), source })?;
    let output = child.wait_with_output().map_err(|source| BuildError::Start { program, source })?;
    if output.status.success() { Ok(output.stdout) } else { Err(BuildError::Cargo { what, status: output.status }) }
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    std::fs::read(path).map_err(|source| BuildError::File { path: repository::name(path), source })
}

/// A newer file would make cargo build everything again.
fn write_if_changed(path: &Path, content: &[u8]) -> Result<(), BuildError> {
    if std::fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    let write = || {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, content)
    };
    write().map_err(|source| BuildError::File { path: repository::name(path), source })
}
