//! A file of 32 random bytes that a machine keeps for itself: made once, for its owner alone.

use crate::lock::MachineSecret;
use encompute_host::files;
use std::{
    io,
    path::{Path, PathBuf},
};
use zeroize::{Zeroize, Zeroizing};

/// The secret's file could not be read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretFileError {
    /// Reading or writing failed.
    #[error("secret file {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not one.
    #[error("secret file {path} has {found} bytes, it must have 32")]
    Length {
        /// Which file.
        path: PathBuf,
        /// Bytes found.
        found: usize,
    },
}

/// Reads a secret, or makes one (mode 0600). It is never overwritten: what was sealed or drawn under it
/// would be lost.
///
/// # Errors
/// [`SecretFileError`]; an existing file is left as it is.
pub fn open_or_create(path: &Path) -> Result<Zeroizing<[u8; 32]>, SecretFileError> {
    let failed = |source| SecretFileError::File { path: path.to_owned(), source };
    match files::read(path) {
        Ok(mut bytes) => {
            let found = bytes.len();
            let secret = <[u8; 32]>::try_from(bytes.as_slice()).map(Zeroizing::new);
            bytes.zeroize();
            secret.map_err(|_| SecretFileError::Length { path: path.to_owned(), found })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path),
        Err(error) => Err(failed(error)),
    }
}

fn create(path: &Path) -> Result<Zeroizing<[u8; 32]>, SecretFileError> {
    let failed = |source| SecretFileError::File { path: path.to_owned(), source };
    let secret = Zeroizing::new(rand::random::<[u8; 32]>());
    if let Some(folder) = path.parent() {
        files::make_folder(folder).map_err(failed)?;
    }
    // Of two processes one wins.
    match files::create_whole(path, &*secret) {
        Ok(()) => Ok(secret),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open_or_create(path),
        Err(error) => Err(failed(error)),
    }
}

impl MachineSecret {
    /// The machine's secret in a file, made at first use.
    ///
    /// # Errors
    /// [`SecretFileError`].
    pub fn open_or_create(path: &Path) -> Result<Self, SecretFileError> {
        open_or_create(path).map(|secret| Self(*secret))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_secret_survives_a_restart_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/machine.secret");
        let first = open_or_create(&path).unwrap();
        assert_eq!(*first, *open_or_create(&path).unwrap());
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
    }

    #[test]
    fn a_truncated_secret_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("machine.secret");
        fs::write(&path, [1, 2]).unwrap();
        assert!(matches!(open_or_create(&path), Err(SecretFileError::Length { found: 2, .. })));
        assert_eq!(fs::read(&path).unwrap(), [1, 2]);
    }
}
