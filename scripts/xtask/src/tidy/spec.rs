//! `SPEC.md` and the wire types move together: the page holds the hash of the sources it describes.

use super::{Finding, TidyError};
use crate::repository::{self, code_of};
use encompute_protocol::digest::blake2b_256;
use std::path::{Path, PathBuf};

/// Before the hash, in `SPEC.md`.
const MARK: &str = "Wire sources: BLAKE2b-256 `";

fn page() -> PathBuf {
    repository::root().join("contracts/protocol/SPEC.md")
}

/// Compares the recorded hash with the sources.
///
/// # Errors
/// [`TidyError::Read`]
pub fn check() -> Result<Vec<Finding>, TidyError> {
    let page = page();
    let place = repository::name(&page);
    let Ok(text) = std::fs::read_to_string(&page) else {
        return Ok(vec![Finding { place, words: "is missing, but every byte on the wire is written down".to_owned() }]);
    };
    let found = hash()?;
    match recorded(&text) {
        Some(recorded) if recorded == found => Ok(Vec::new()),
        recorded => Ok(vec![Finding {
            place,
            words: format!(
                "was written for wire sources {}, they are {found}: bring the text up to date, then `xtask tidy --record-spec`",
                recorded.unwrap_or("unknown"),
            ),
        }]),
    }
}

/// Writes the hash of the sources as they are.
///
/// # Errors
/// [`TidyError::Read`]
pub fn record() -> Result<(), TidyError> {
    let page = page();
    let failed = |source| TidyError::Read { path: repository::name(&page), source };
    let text = std::fs::read_to_string(&page).map_err(failed)?;
    let line = format!("{MARK}{}`", hash()?);
    let text = match recorded(&text) {
        Some(old) => text.replace(&format!("{MARK}{old}`"), &line),
        None => format!("{}\n\n{line}\n", text.trim_end()),
    };
    std::fs::write(&page, text).map_err(failed)
}

fn recorded(text: &str) -> Option<&str> {
    text.split_once(MARK)?.1.split_once('`').map(|(hash, _)| hash)
}

/// Over the code of every module of the protocol: comments, blank lines and tests change no byte on the wire.
fn hash() -> Result<String, TidyError> {
    let folder = repository::root().join("contracts/protocol/src");
    let module = |path: &Path| {
        path.extension().is_some_and(|ending| ending == "rs")
            && !path.ends_with("lib.rs")
            && !path.ends_with("signing.rs")
    };
    let failed = |path: &Path| {
        let path = repository::name(path);
        move |source| TidyError::Read { path, source }
    };
    let mut bytes = Vec::new();
    for file in repository::files(&folder, &module).map_err(failed(&folder))? {
        let text = std::fs::read_to_string(&file).map_err(failed(&file))?;
        bytes.extend_from_slice(repository::name(&file).as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(code_of(&text).as_bytes());
        bytes.push(0);
    }
    Ok(hex::encode(blake2b_256(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_hash_is_read_back() {
        assert_eq!(recorded(&format!("# Spec\n{MARK}abc`\n")), Some("abc"));
        assert_eq!(recorded("# Spec\n"), None);
    }
}
