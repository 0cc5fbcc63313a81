//! A service's own folder: keys and journal, each file replaced whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder that one process holds: `0700`, its files `0600`.
///
/// In a confidential machine the disk under it is the enclave's own, encrypted with a key that
/// only the same measured code gets; elsewhere these modes are all that protects it.
pub struct StateDir {
    root: PathBuf,
    _lock: File,
}

/// A file of the folder that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Two processes with one set of keys would answer one job twice.
    #[error("state folder {path} is held by another process")]
    Held {
        /// The folder.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Longer than such a file ever is.
    #[error("{path} has more than {limit_bytes} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Bytes allowed.
        limit_bytes: usize,
    },
    /// Not what this program writes.
    #[error("{path} is damaged or of another version")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl StateDir {
    /// Opens the folder, making it if it is missing, and holds it until dropped.
    ///
    /// # Errors
    /// [`StateError::Held`] while another process holds it.
    pub fn hold(root: &Path) -> Result<Self, StateError> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| StateError::Io { doing, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(failed("make", root))?;
        let path = root.join("lock");
        let options = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).clone();
        let lock = options.open(&path).map_err(failed("open", &path))?;
        lock.try_lock().map_err(|_| StateError::Held { path: root.to_owned() })?;
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    /// The file at `name`, or `None` if there is none.
    ///
    /// # Errors
    /// [`StateError::TooLong`] above `limit_bytes`; [`StateError::Io`].
    pub fn read(&self, name: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.root.join(name);
        let failed = |source| StateError::Io { doing: "read", path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(limit_bytes as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > limit_bytes {
            return Err(StateError::TooLong { path, limit_bytes });
        }
        Ok(Some(bytes))
    }

    /// Puts `bytes` at `name`: after a crash the file holds either what it held or all of `bytes`.
    ///
    /// # Errors
    /// [`StateError::Io`]; the old file stands then.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let path = self.root.join(name);
        let failed = |doing| {
            let path = path.clone();
            move |source| StateError::Io { doing, path, source }
        };
        let folder = path.parent().unwrap_or(&self.root);
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("make the folder of"))?;
        let new = path.with_extension("new");
        let options = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).clone();
        let mut file = options.open(&new).map_err(failed("write"))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write"))?;
        std::fs::rename(&new, &path).map_err(failed("replace"))?;
        // The rename itself is durable only once the folder is.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write the folder of"))
    }

    /// Removes a folder of files, if it is there.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn forget(&self, name: &str) -> Result<(), StateError> {
        let path = self.root.join(name);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StateError::Io { doing: "remove", path, source: error })
            }
            _ => Ok(()),
        }
    }

    /// Names of what lies in the folder `name`, in order; none if it is missing.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn list(&self, name: &str) -> Result<Vec<String>, StateError> {
        let path = self.root.join(name);
        let failed = |source| StateError::Io { doing: "list", path: path.clone(), source };
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry.map_err(failed)?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }

    /// That the file at `name` is damaged.
    pub fn damaged(&self, name: &str) -> StateError {
        StateError::Damaged { path: self.root.join(name) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_is_held_by_one_process_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let held = StateDir::hold(root.path()).unwrap();
        assert!(matches!(StateDir::hold(root.path()), Err(StateError::Held { .. })));
        drop(held);
        assert!(StateDir::hold(root.path()).is_ok());
    }

    #[test]
    fn files_are_the_owners_alone_and_replaced_whole() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::hold(root.path()).unwrap();
        state.write("jobs/7/round-0000", b"first").unwrap();
        state.write("jobs/7/round-0000", b"second").unwrap();
        assert_eq!(state.read("jobs/7/round-0000", 6).unwrap().unwrap(), b"second");
        let mode = std::fs::metadata(root.path().join("jobs/7/round-0000")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(state.list("jobs/7").unwrap(), ["round-0000"]);
        assert!(matches!(state.read("jobs/7/round-0000", 5), Err(StateError::TooLong { .. })));
        state.forget("jobs/7").unwrap();
        assert_eq!(state.read("jobs/7/round-0000", 6).unwrap(), None);
    }
}
