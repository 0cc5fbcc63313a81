//! What a creator must not lose and must not show.
//!
//! `creator-key` holds the secret to which users seal features; `versions/<hash>` holds one version: its
//! manifest, the content key of each head's weights, each tail. Files are SCALE behind a version
//! byte, `0600`, replaced whole. Publishing writes while the service runs; nothing is ever rewritten.

use codec::{Decode, Encode};
use encompute_envelope::{ContentKey, RecipientSecret, SecretSeed};
use encompute_protocol::wire::{self, Message};
use encompute_protocol::{TailDigest, VersionHash, VersionManifest};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, Zeroizing};

const VERSION: u8 = 1;
const KEY_FILE: &str = "creator-key";
/// Version and one secret.
const KEY_FILE_BYTES: usize = 33;
/// Most bytes of one tail's ONNX file.
const TAIL_LIMIT_BYTES: usize = 64 * 1024 * 1024;
/// Most bytes of one version: its manifest and sixteen tails.
const VERSION_LIMIT_BYTES: usize = VersionManifest::LIMIT_BYTES + 256 * 1024 * 1024;

/// A creator's folder of secrets. Any number of processes may read it; publishing adds to it.
#[derive(Clone)]
pub struct Vault {
    root: PathBuf,
}

/// Everything of one version that is not public, with the manifest that it belongs to.
pub struct VersionMaterial {
    /// What was, or will be, published.
    pub manifest: VersionManifest,
    /// One entry for each split of the manifest.
    pub splits: Vec<SplitMaterial>,
}

/// The secrets of one split.
pub struct SplitMaterial {
    /// Opens the head's weights.
    pub content_key: ContentKey,
    /// The tail as ONNX bytes; none where nothing follows the head.
    pub tail: Option<Vec<u8>>,
}

/// Begins with the version of the manifest's encoding. That is 1 in files from before manifests told grades, which began
/// with a version of their own, 1: the same bytes.
#[derive(Encode, Decode)]
struct VersionFile {
    manifest: VersionManifest,
    splits: Vec<([u8; 32], Option<Vec<u8>>)>,
}

/// Vault that cannot be read or written, or material that does not belong together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
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
    /// Not what this program writes, or altered since.
    #[error("{path} is damaged or of another version")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The manifest names another key than this vault's: nobody could open its features.
    #[error("manifest is for another creator's key than this vault holds")]
    OtherKey,
    /// Not one entry for each split.
    #[error("material has {found} splits, the manifest {wanted}")]
    Splits {
        /// Entries found.
        found: usize,
        /// Splits of the manifest.
        wanted: usize,
    },
    /// A tail that the manifest does not commit to.
    #[error("tail of split {split} is {found}, the manifest commits to {wanted}")]
    Tail {
        /// Which split.
        split: usize,
        /// Digest found.
        found: TailDigest,
        /// Digest committed to.
        wanted: TailDigest,
    },
    /// A tail longer than the service takes.
    #[error("tail of split {split} has {found_bytes} bytes, at most {TAIL_LIMIT_BYTES} are allowed")]
    TooLong {
        /// Which split.
        split: usize,
        /// Bytes found.
        found_bytes: usize,
    },
}

impl Vault {
    /// The vault in a folder, which is made if it is missing.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    pub fn open(root: &Path) -> Result<Self, VaultError> {
        let versions = root.join("versions");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&versions);
        made.map_err(|source| VaultError::Io { doing: "make", path: versions, source })?;
        Ok(Self { root: root.to_owned() })
    }

    /// The key to which users seal features: made once, never replaced.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn creator_key(&self) -> Result<RecipientSecret, VaultError> {
        let path = self.root.join(KEY_FILE);
        let fresh = SecretSeed::generate();
        let bytes = Zeroizing::new([&[VERSION], fresh.expose().as_slice()].concat());
        // Whoever comes second finds the first one's key.
        write_new(&path, &bytes)?;
        let found = Zeroizing::new(read(&path, KEY_FILE_BYTES)?.unwrap_or_default());
        match found.split_first() {
            Some((&VERSION, seed)) if seed.len() == 32 => {
                let mut secret = [0; 32];
                secret.copy_from_slice(seed);
                Ok(SecretSeed::from_bytes(secret).recipient())
            }
            _ => Err(VaultError::Damaged { path }),
        }
    }

    /// Keeps a version's material under its manifest's hash. Adding it again changes nothing.
    ///
    /// # Errors
    /// [`VaultError`]; nothing is kept of material that does not belong together.
    pub fn add(&self, material: &VersionMaterial) -> Result<VersionHash, VaultError> {
        check(material)?;
        if material.manifest.creator_key.as_slice() != self.creator_key()?.public().to_bytes() {
            return Err(VaultError::OtherKey);
        }
        let hash = material.manifest.hash();
        let splits = material.splits.iter().map(|split| (*split.content_key.expose(), split.tail.clone())).collect();
        let mut file = VersionFile { manifest: material.manifest.clone(), splits };
        let bytes = Zeroizing::new(file.encode());
        file.wipe();
        write_new(&self.version_path(hash), &bytes)?;
        Ok(hash)
    }

    /// The material of the version with this manifest hash, if it is this creator's.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn find(&self, hash: VersionHash) -> Result<Option<VersionMaterial>, VaultError> {
        let path = self.version_path(hash);
        let Some(bytes) = read(&path, VERSION_LIMIT_BYTES)?.map(Zeroizing::new) else { return Ok(None) };
        let damaged = || VaultError::Damaged { path: path.clone() };
        let mut file: VersionFile = wire::decode_exact(&bytes, VERSION_LIMIT_BYTES).map_err(|_| damaged())?;
        if file.manifest.hash() != hash {
            return Err(damaged());
        }
        let splits = file.splits.iter_mut();
        let splits =
            splits.map(|(key, tail)| SplitMaterial { content_key: ContentKey::from_bytes(*key), tail: tail.take() });
        let material = VersionMaterial { manifest: file.manifest.clone(), splits: splits.collect() };
        file.wipe();
        check(&material)?;
        Ok(Some(material))
    }

    /// Hashes of all versions kept, in order.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    pub fn versions(&self) -> Result<Vec<VersionHash>, VaultError> {
        let path = self.root.join("versions");
        let failed = |source| VaultError::Io { doing: "list", path: path.clone(), source };
        let mut hashes = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            hashes.extend(name.to_str().and_then(|name| name.parse::<VersionHash>().ok()));
        }
        hashes.sort();
        Ok(hashes)
    }

    /// Folder of the running service's journal and release log.
    pub(crate) fn service_folder(&self) -> PathBuf {
        self.root.join("service")
    }

    fn version_path(&self, hash: VersionHash) -> PathBuf {
        self.root.join("versions").join(hash.to_string())
    }
}

impl VersionFile {
    fn wipe(&mut self) {
        self.splits.iter_mut().for_each(|(key, _)| key.zeroize());
    }
}

fn check(material: &VersionMaterial) -> Result<(), VaultError> {
    let (found, wanted) = (material.splits.len(), material.manifest.splits.len());
    if found != wanted {
        return Err(VaultError::Splits { found, wanted });
    }
    for (split, (ours, published)) in material.splits.iter().zip(&material.manifest.splits).enumerate() {
        if let Some(found_bytes) = ours.tail.as_ref().map(Vec::len).filter(|bytes| *bytes > TAIL_LIMIT_BYTES) {
            return Err(VaultError::TooLong { split, found_bytes });
        }
        let found = ours.tail.as_deref().map(TailDigest::of).unwrap_or_default();
        if found != published.tail {
            return Err(VaultError::Tail { split, found, wanted: published.tail });
        }
    }
    Ok(())
}

fn read(path: &Path, limit_bytes: usize) -> Result<Option<Vec<u8>>, VaultError> {
    let failed = |source| VaultError::Io { doing: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(limit_bytes as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() > limit_bytes {
        true => Err(VaultError::Damaged { path: path.to_owned() }),
        false => Ok(Some(bytes)),
    }
}

/// Puts `bytes` at `path` unless something is there; after a crash there is all of it or nothing.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let failed = |doing| move |source| VaultError::Io { doing, path: path.to_owned(), source };
    if path.exists() {
        return Ok(());
    }
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let options = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).clone();
    let mut file = options.open(&new).map_err(failed("write"))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write"))?;
    // A link fails where a rename would replace what another process put there meanwhile.
    match std::fs::hard_link(&new, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed("write")(error)),
        _ => {}
    }
    std::fs::remove_file(&new).map_err(failed("finish"))?;
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write the folder of"))
}

#[cfg(test)]
#[path = "vault_tests.rs"]
pub(crate) mod tests;
