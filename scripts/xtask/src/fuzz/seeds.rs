//! Where a target begins: golden vectors, fixtures, models, network files, published quotes.

use super::{FuzzError, file_error};
use crate::repository;
use encompute_protocol::event::SIGNATURES;
use std::path::{Path, PathBuf};

/// Files that a target begins with as they are: `(target, folder, ending)`.
const FILES: &[(&str, &str, &str)] = &[
    ("quotes", "worker/attest/tests/vectors/intel", "quote"),
    ("quotes", "worker/attest/tests/vectors/intel", "td15ex"),
    ("collateral", "worker/attest/tests/vectors/intel", "json"),
    ("networks", "chain-config/networks/networks", "toml"),
    ("onnx", "scripts/models/breast-cancer", "onnx"),
    ("tails", "scripts/models/breast-cancer", "onnx"),
    ("pictures", "tests/fixtures/digits", "png"),
    ("pictures", "tests/fixtures/digits", "jpg"),
    ("tables", "tests/fixtures/breast-cancer", "csv"),
];

/// Golden messages: `(name of the message, target, the byte before it, if the target reads several kinds)`.
const MESSAGES: &[(&str, &str, Option<u8>)] = &[
    ("JobRequest", "requests", Some(0)),
    ("OfferCall", "requests", Some(1)),
    ("RoundCall", "requests", Some(2)),
    ("ReleasedFeatures", "requests", Some(3)),
    ("JobResult", "requests", Some(4)),
    ("HeadKeyCall", "requests", Some(5)),
    ("HeadKeyAnswer", "requests", Some(6)),
    ("Transcript", "receipts", Some(0)),
    ("RoundAnswer", "receipts", Some(1)),
    ("SignedOffer", "receipts", Some(2)),
    ("VersionManifest", "manifests", None),
];

/// Calls that the target `calls` knows, by the byte before them.
const CALLS: [&str; 4] = ["request_job", "commit_head", "register_worker", "send_features"];

/// The target's seeds in the repository, if there are any.
pub fn checked_in(target: &str) -> Option<PathBuf> {
    Some(repository::root().join("tests/fuzz/corpus").join(target)).filter(|folder| folder.is_dir())
}

/// Writes a target's other seeds into `folder`.
///
/// # Errors
/// [`FuzzError`] if a source of them is missing or unreadable.
pub fn write(target: &str, folder: &Path) -> Result<(), FuzzError> {
    let mut seeds: Vec<(String, Vec<u8>)> = Vec::new();
    for (_, from, ending) in FILES.iter().filter(|(name, ..)| *name == target) {
        let from = repository::root().join(from);
        let files = repository::files(&from, &|path| path.to_string_lossy().ends_with(ending));
        for file in files.map_err(|source| file_error("list", &from, source))? {
            let bytes = std::fs::read(&file).map_err(|source| file_error("read", &file, source))?;
            seeds.push((file.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes));
        }
    }
    for vector in vectors("messages")? {
        let name = text(&vector, "name");
        if let Some((_, _, kind)) = MESSAGES.iter().find(|(message, to, _)| *to == target && *message == name) {
            seeds.push((name, kind.iter().copied().chain(bytes(&vector, "bytes")).collect()));
        }
    }
    if target == "calls" {
        for vector in vectors("calls")? {
            let name = text(&vector, "message");
            if let Some(kind) = CALLS.iter().position(|call| *call == name) {
                // Past the selector.
                let argument = bytes(&vector, "calldata").into_iter().skip(4);
                seeds.push((name, std::iter::once(kind as u8).chain(argument).collect()));
            }
        }
        for vector in vectors("events")? {
            let name = text(&vector, "event");
            if let Some(at) = SIGNATURES.iter().position(|(event, _)| *event == name) {
                // Any byte above the calls' that is `at` modulo the number of events.
                let kind = (at + SIGNATURES.len()) as u8;
                seeds.push((name, std::iter::once(kind).chain(bytes(&vector, "data")).collect()));
            }
        }
    }
    for (name, bytes) in seeds {
        let file = folder.join(name);
        std::fs::write(&file, bytes).map_err(|source| file_error("write", &file, source))?;
    }
    Ok(())
}

fn vectors(name: &str) -> Result<Vec<serde_json::Value>, FuzzError> {
    let file = repository::root().join(format!("tests/vectors/protocol/{name}.json"));
    let text = std::fs::read(&file).map_err(|source| file_error("read", &file, source))?;
    serde_json::from_slice(&text).map_err(|source| FuzzError::Vectors { path: repository::name(&file), source })
}

fn text(vector: &serde_json::Value, field: &str) -> String {
    vector[field].as_str().unwrap_or_default().to_owned()
}

fn bytes(vector: &serde_json::Value, field: &str) -> Vec<u8> {
    hex::decode(vector[field].as_str().unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_golden_message_named_here_is_there() {
        let names: Vec<String> = vectors("messages").unwrap().iter().map(|vector| text(vector, "name")).collect();
        for (name, ..) in MESSAGES {
            assert!(names.iter().any(|found| found == name), "{name} has no vector");
        }
    }

    #[test]
    fn every_target_begins_with_something() {
        let targets = super::super::chosen(&[]).unwrap();
        assert!(targets.len() >= 16);
        for target in targets {
            let folder = std::env::temp_dir().join(format!("encompute-seeds-{}-{target}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            write(&target, &folder).unwrap();
            let written = std::fs::read_dir(&folder).unwrap().count();
            std::fs::remove_dir_all(&folder).unwrap();
            assert!(written > 0 || checked_in(&target).is_some(), "{target} begins with nothing");
        }
    }
}
