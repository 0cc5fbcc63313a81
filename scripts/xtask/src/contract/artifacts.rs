//! The checked-in results of a build, and how a rebuild is compared with them.

use super::{
    build::{Built, Contract, Record},
    imports,
    interface::{self, Interface},
};
use crate::repository;
use serde_json::Value;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why artifacts could not be read or written, or differ from a rebuild.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactsError {
    #[error("read or write {path}")]
    File {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{path} is not what a build writes")]
    Json {
        path: String,
        #[source]
        source: serde_json::Error,
    },
    #[error(
        "the sources have the digest {found}, the artifacts were built from {recorded}: build them again and commit them"
    )]
    Stale { found: String, recorded: String },
    #[error("{0} names other code than lies beside it")]
    Mixed(String),
    #[error(
        "the same compiler ({compiler}) builds other {what} from these sources: run `xtask contract build` and commit the artifacts"
    )]
    Bytes { what: &'static str, compiler: String },
    #[error("{found} built another interface than {recorded} did: {difference}")]
    Interface { found: String, recorded: String, difference: String },
    #[error("list imports")]
    Imports(#[from] imports::ImportsError),
    #[error("{found} built code that imports {imports}, the artifact of {recorded} imports {recorded_imports}")]
    OtherImports { found: String, imports: String, recorded: String, recorded_imports: String },
}

/// The three artifacts of a contract.
#[derive(Clone, Copy)]
enum Artifact {
    Code,
    Metadata,
    Record,
}

fn path(contract: Contract, artifact: Artifact) -> PathBuf {
    let name = match artifact {
        Artifact::Code => format!("{}.polkavm", contract.name()),
        Artifact::Metadata => format!("{}.json", contract.name()),
        Artifact::Record => "build.json".to_owned(),
    };
    contract.folder().join("artifacts").join(name)
}

/// The checked-in code.
///
/// # Errors
/// [`ArtifactsError::File`]
pub fn code(contract: Contract) -> Result<Vec<u8>, ArtifactsError> {
    read(&path(contract, Artifact::Code))
}

/// The checked-in metadata, or an empty object where there is none yet.
///
/// # Errors
/// [`ArtifactsError::Json`]
pub fn metadata(contract: Contract) -> Result<Value, ArtifactsError> {
    let path = path(contract, Artifact::Metadata);
    if path.exists() { json(&path) } else { Ok(Value::Object(serde_json::Map::new())) }
}

/// Writes all three.
///
/// # Errors
/// [`ArtifactsError::File`]
pub fn write(contract: Contract, built: &Built) -> Result<(), ArtifactsError> {
    put(&path(contract, Artifact::Code), &built.code)?;
    put(&path(contract, Artifact::Metadata), pretty(&built.metadata).as_bytes())?;
    put(&path(contract, Artifact::Record), pretty(&serde_json::json!(built.record)).as_bytes())?;
    eprintln!("xtask: {} bytes of code, hash {}", built.record.code_bytes, built.record.code_hash);
    Ok(())
}

/// Compares a rebuild with the artifacts: byte for byte where the compiler is the same, else by
/// metadata and imports, because compilers lay code out differently.
///
/// # Errors
/// [`ArtifactsError`], by the first difference.
pub fn compare(contract: Contract, built: &Built) -> Result<(), ArtifactsError> {
    let (described, recorded) = (path(contract, Artifact::Metadata), path(contract, Artifact::Record));
    let record: Record = json(&recorded)?;
    let metadata: Value = json(&described)?;
    let code = code(contract)?;
    let hash = format!("0x{}", hex::encode(encompute_protocol::digest::keccak_256(&[&code])));
    if record.code_hash != hash || record.code_bytes != code.len() {
        return Err(ArtifactsError::Mixed(repository::name(&recorded)));
    }
    if metadata["source"]["hash"] != hash.as_str() {
        return Err(ArtifactsError::Mixed(repository::name(&described)));
    }
    if record.compiler == built.record.compiler && record.linker == built.record.linker {
        let compiler = record.compiler.clone();
        if code != built.code {
            return Err(ArtifactsError::Bytes { what: "code", compiler });
        }
        if metadata != built.metadata {
            return Err(ArtifactsError::Bytes { what: "metadata", compiler });
        }
        eprintln!("xtask: the artifacts are what {} builds, byte for byte", record.compiler);
        return Ok(());
    }
    if record.sources != built.record.sources {
        return Err(ArtifactsError::Stale { found: built.record.sources.clone(), recorded: record.sources });
    }
    let (ours, theirs) = (Interface::of(&built.metadata), Interface::of(&metadata));
    if let Some(difference) = interface::difference(&ours, &theirs) {
        return Err(ArtifactsError::Interface {
            found: built.record.compiler.clone(),
            recorded: record.compiler,
            difference,
        });
    }
    let (ours, theirs) = (imports::names(&built.code)?, imports::names(&code)?);
    if ours != theirs {
        return Err(ArtifactsError::OtherImports {
            found: built.record.compiler.clone(),
            imports: ours.join(", "),
            recorded: record.compiler,
            recorded_imports: theirs.join(", "),
        });
    }
    eprintln!(
        "xtask: {} is not {}, which built the artifacts; interface and imports are the same, code was not compared",
        built.record.compiler, record.compiler
    );
    Ok(())
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn put(path: &Path, content: &[u8]) -> Result<(), ArtifactsError> {
    let write = || {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, content)
    };
    write().map_err(|source| ArtifactsError::File { path: repository::name(path), source })
}

fn read(path: &Path) -> Result<Vec<u8>, ArtifactsError> {
    std::fs::read(path).map_err(|source| ArtifactsError::File { path: repository::name(path), source })
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ArtifactsError> {
    serde_json::from_slice(&read(path)?).map_err(|source| ArtifactsError::Json { path: repository::name(path), source })
}
