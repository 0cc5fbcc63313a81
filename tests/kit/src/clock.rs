//! System clocks of single programs that a test can set: libfaketime between a program and its C library.

use crate::process::KitError;
use std::path::{Path, PathBuf};

/// Where Debian's package puts the library for programs with threads, by architecture.
const LIBRARIES: &str = "/usr/lib";
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The clocks of a market's programs, each in a file that the library reads whenever the time is asked for.
///
/// Only the time of day jumps: what measures how long something takes goes on evenly, as on a machine whose
/// clock is set.
pub struct Clocks {
    library: PathBuf,
    folder: PathBuf,
}

impl Clocks {
    /// The library, where it is installed.
    pub fn library() -> Option<PathBuf> {
        let architectures = std::fs::read_dir(LIBRARIES).ok()?.flatten();
        architectures.map(|folder| folder.path().join(LIBRARY)).find(|library| library.is_file())
    }

    /// Clocks that are right, kept in a folder.
    ///
    /// # Errors
    /// [`KitError`] where the library is not installed, or the folder cannot be made.
    pub fn right(folder: &Path) -> Result<Self, KitError> {
        let missing = || KitError::Command {
            what: "finding libfaketime".to_owned(),
            why: format!("there is no {LIBRARIES}/*/{LIBRARY}; install the package libfaketime"),
        };
        let library = Self::library().ok_or_else(missing)?;
        std::fs::create_dir_all(folder).map_err(failed)?;
        Ok(Self { library, folder: folder.to_owned() })
    }

    /// What a program is started with, so that it goes by the clock of this name.
    ///
    /// # Errors
    /// [`KitError`] if the clock cannot be written.
    pub fn variables(&self, name: &str) -> Result<Vec<(String, String)>, KitError> {
        let file = self.file(name);
        if !file.exists() {
            self.set(name, 0)?;
        }
        let variables = [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_RESET", "1".to_owned()),
            // The name of this variable changed between versions.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ];
        Ok(variables.map(|(name, value)| (name.to_owned(), value)).to_vec())
    }

    /// Sets the clock of this name so many seconds before or after the right time, at once.
    ///
    /// # Errors
    /// [`KitError`] if the clock cannot be written.
    pub fn set(&self, name: &str, seconds: i64) -> Result<(), KitError> {
        let file = self.file(name);
        // A program may read the file at any moment: it is replaced whole.
        let new = file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}s\n")).map_err(failed)?;
        std::fs::rename(&new, &file).map_err(failed)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.clock"))
    }
}

fn failed(source: std::io::Error) -> KitError {
    KitError::Start { what: "the clocks".to_owned(), source }
}
