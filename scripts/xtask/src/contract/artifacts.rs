//! The checked-in results of a build, and how a rebuild is compared with them.

use super::{
    build::{self, Built, Record},
    imports,
    interface::{self, Interface},
};
use crate::repository;
use serde_json::Value;
use std::{io, path::PathBuf};

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
    #[error("{0} names other code than marketplace.polkavm holds")]
    Mixed(&'static str),
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

const CODE: &str = "marketplace.polkavm";
const METADATA: &str = "marketplace.json";
const RECORD: &str = "build.json";

/// Path of an artifact.
pub fn path(name: &str) -> PathBuf {
    build::folder().join("artifacts").join(name)
}

/// The checked-in code.
///
/// # Errors
/// [`ArtifactsError::File`]
pub fn code() -> Result<Vec<u8>, ArtifactsError> {
    read(CODE)
}

/// The checked-in metadata, or an empty object where there is none yet.
///
/// # Errors
/// [`ArtifactsError::Json`]
pub fn metadata() -> Result<Value, ArtifactsError> {
    if path(METADATA).exists() { json(METADATA) } else { Ok(Value::Object(serde_json::Map::new())) }
}

/// Writes all three.
///
/// # Errors
/// [`ArtifactsError::File`]
pub fn write(built: &Built) -> Result<(), ArtifactsError> {
    put(CODE, &built.code)?;
    put(METADATA, pretty(&built.metadata).as_bytes())?;
    put(RECORD, pretty(&serde_json::json!(built.record)).as_bytes())?;
    eprintln!("xtask: {} bytes of code, hash {}", built.record.code_bytes, built.record.code_hash);
    Ok(())
}

/// Compares a rebuild with the artifacts: byte for byte where the compiler is the same, else by
/// metadata and imports, because compilers lay code out differently.
///
/// # Errors
/// [`ArtifactsError`], by the first difference.
pub fn compare(built: &Built) -> Result<(), ArtifactsError> {
    let record: Record = json(RECORD)?;
    let metadata: Value = json(METADATA)?;
    let code = code()?;
    let hash = format!("0x{}", hex::encode(encompute_protocol::digest::keccak_256(&[&code])));
    if record.code_hash != hash || record.code_bytes != code.len() {
        return Err(ArtifactsError::Mixed(RECORD));
    }
    if metadata["source"]["hash"] != hash.as_str() {
        return Err(ArtifactsError::Mixed(METADATA));
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

fn put(name: &str, content: &[u8]) -> Result<(), ArtifactsError> {
    let path = path(name);
    let write = || {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(&path, content)
    };
    write().map_err(|source| ArtifactsError::File { path: repository::name(&path), source })
}

fn read(name: &str) -> Result<Vec<u8>, ArtifactsError> {
    let path = path(name);
    std::fs::read(&path).map_err(|source| ArtifactsError::File { path: repository::name(&path), source })
}

fn json<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, ArtifactsError> {
    serde_json::from_slice(&read(name)?)
        .map_err(|source| ArtifactsError::Json { path: repository::name(&path(name)), source })
}
