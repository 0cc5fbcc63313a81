//! Network files that are refused.

use core::fmt::Display;
use std::path::{Path, PathBuf};

/// A network file that is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The file, or the certificate it names, cannot be read.
    #[error("{file} cannot be read")]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Longer than any network file.
    #[error("{file} has {found_bytes} bytes, at most {limit_bytes} are allowed")]
    TooLong {
        /// Which file.
        file: PathBuf,
        /// Bytes found.
        found_bytes: u64,
        /// Bytes allowed.
        limit_bytes: u64,
    },
    /// No TOML, a key that is not known, a key that is missing.
    #[error("{file}: {reason}")]
    Shape {
        /// Which file.
        file: PathBuf,
        /// Line, key, what was found and what is allowed, in the parser's words.
        reason: String,
    },
    /// A key whose value is not allowed.
    #[error("{file}: {key} is {found:?}, allowed is {allowed}")]
    Value {
        /// Which file.
        file: PathBuf,
        /// Which key.
        key: &'static str,
        /// What it says.
        found: String,
        /// What it may say.
        allowed: String,
    },
}

impl NetworkError {
    pub(crate) fn value(file: &Path, key: &'static str, found: impl Display, allowed: impl Display) -> Self {
        Self::Value { file: file.to_owned(), key, found: found.to_string(), allowed: allowed.to_string() }
    }
}

/// A network file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{file} cannot be written")]
pub struct WriteNetworkError {
    /// Which file.
    pub file: PathBuf,
    /// What the system says.
    #[source]
    pub source: std::io::Error,
}
