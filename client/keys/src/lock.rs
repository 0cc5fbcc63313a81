//! Secrets at rest: Argon2id over a password, or a machine's own secret, then XChaCha20-Poly1305.
//!
//! Bytes: `"ECLK"`, version 1, kind (0 machine secret, 1 password), cost (memory KiB, passes, lanes:
//! 4 bytes each, little-endian, zeros for kind 0), salt (16 bytes), nonce (24 bytes), ciphertext
//! with tag. Everything before the ciphertext, and the name of what is sealed, is authenticated.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const MAGIC: &[u8; 4] = b"ECLK";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 4 + 1 + 1 + 12 + 16 + 24;
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// How much work it takes to try one password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl KdfCost {
    /// 64 MiB and three passes: a tenth to half a second. Source: RFC 9106 §4, second choice.
    pub const STANDARD: Self = Self { memory_kib: 64 << 10, passes: 3, lanes: 4 };
    /// Most that a file may ask for: whoever wrote it must not make us use all our memory.
    pub const LIMIT: Self = Self { memory_kib: 1 << 20, passes: 16, lanes: 16 };
    const NONE: Self = Self { memory_kib: 0, passes: 0, lanes: 0 };
}

/// 32 random bytes that a machine keeps for itself, for keys that no human unlocks.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MachineSecret(pub [u8; 32]);

/// What a secret at rest is sealed under.
pub enum KeyLock<'a> {
    /// A password, stretched.
    Password(&'a str, KdfCost),
    /// A secret of the machine, used as it is.
    Machine(&'a MachineSecret),
}

/// Why a secret was not sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The password or machine secret is not the one it was sealed under, or the file was altered.
    #[error("wrong password or secret")]
    WrongSecret,
    /// Sealed under a password and opened with a machine secret, or the other way round.
    #[error("sealed under {found}")]
    OtherLock {
        /// What it is sealed under.
        found: &'static str,
    },
    /// Not a sealed secret of this kind.
    #[error("not a sealed secret of this kind")]
    Malformed,
    /// A version that this program does not know.
    #[error("version {found} of the sealed format, only {VERSION} is known")]
    Version {
        /// Version found.
        found: u8,
    },
    /// A cost outside what is allowed.
    #[error("key derivation asks for {found:?}, at most {limit:?} is accepted")]
    Cost {
        /// Cost found.
        found: KdfCost,
        /// Cost allowed.
        limit: KdfCost,
    },
    /// A file that is there already.
    #[error("{0} exists and is not overwritten")]
    Exists(PathBuf),
    /// A file that is not there.
    #[error("{0} does not exist")]
    NotFound(PathBuf),
    /// The file system refused.
    #[error("{action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

struct Header {
    bytes: [u8; HEADER_BYTES],
}

impl Header {
    fn new(kind: u8, cost: KdfCost) -> Self {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..6].copy_from_slice(&[VERSION, kind]);
        for (at, value) in [cost.memory_kib, cost.passes, cost.lanes].into_iter().enumerate() {
            bytes[6 + 4 * at..10 + 4 * at].copy_from_slice(&value.to_le_bytes());
        }
        bytes[18..34].copy_from_slice(&rand::random::<[u8; 16]>());
        bytes[34..].copy_from_slice(&rand::random::<[u8; 24]>());
        Self { bytes }
    }

    fn read(sealed: &[u8]) -> Result<(Self, &[u8]), LockError> {
        let (bytes, rest) = sealed.split_first_chunk::<HEADER_BYTES>().ok_or(LockError::Malformed)?;
        match &bytes[..5] {
            [magic @ .., _] if magic != MAGIC => Err(LockError::Malformed),
            [.., found] if *found != VERSION => Err(LockError::Version { found: *found }),
            _ => Ok((Self { bytes: *bytes }, rest)),
        }
    }

    fn kind(&self) -> u8 {
        self.bytes[5]
    }

    fn cost(&self) -> KdfCost {
        let value = |at: usize| self.bytes[6 + 4 * at..10 + 4 * at].iter().rev().fold(0, |v, b| v << 8 | u32::from(*b));
        KdfCost { memory_kib: value(0), passes: value(1), lanes: value(2) }
    }

    fn salt(&self) -> &[u8] {
        &self.bytes[18..34]
    }

    fn nonce(&self) -> &XNonce {
        XNonce::from_slice(&self.bytes[34..])
    }

    fn associated(&self, content: &[u8]) -> Vec<u8> {
        [&self.bytes[..], content].concat()
    }
}

impl KeyLock<'_> {
    /// Seals `plain`, naming it `content`.
    pub(crate) fn seal(&self, content: &[u8], plain: &[u8]) -> Result<Vec<u8>, LockError> {
        let header = match self {
            Self::Machine(_) => Header::new(0, KdfCost::NONE),
            Self::Password(_, cost) => Header::new(1, *cost),
        };
        let associated = header.associated(content);
        let ciphertext = self
            .cipher(&header)?
            .encrypt(header.nonce(), Payload { msg: plain, aad: &associated })
            .map_err(|_| LockError::Malformed)?;
        Ok([&header.bytes[..], &ciphertext].concat())
    }

    /// Opens what [`Self::seal`] sealed under the same name. The cost is the one it was sealed with.
    pub(crate) fn open(&self, content: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, LockError> {
        let (header, ciphertext) = Header::read(sealed)?;
        match (self, header.kind()) {
            (Self::Machine(_), 0) | (Self::Password(..), 1) => {}
            (_, 0) => return Err(LockError::OtherLock { found: "a machine secret" }),
            (_, 1) => return Err(LockError::OtherLock { found: "a password" }),
            _ => return Err(LockError::Malformed),
        }
        let associated = header.associated(content);
        self.cipher(&header)?
            .decrypt(header.nonce(), Payload { msg: ciphertext, aad: &associated })
            .map(Zeroizing::new)
            .map_err(|_| LockError::WrongSecret)
    }

    fn cipher(&self, header: &Header) -> Result<XChaCha20Poly1305, LockError> {
        let (password, found) = match self {
            Self::Machine(secret) => return Ok(XChaCha20Poly1305::new((&secret.0).into())),
            Self::Password(password, _) => (password, header.cost()),
        };
        let limit = KdfCost::LIMIT;
        let refused = LockError::Cost { found, limit };
        if found.memory_kib > limit.memory_kib || found.passes > limit.passes || found.lanes > limit.lanes {
            return Err(refused);
        }
        let Ok(params) = Params::new(found.memory_kib, found.passes, found.lanes, Some(32)) else {
            return Err(refused);
        };
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password.as_bytes(), header.salt(), &mut key[..])
            .map_err(|_| refused)?;
        Ok(XChaCha20Poly1305::new((&*key).into()))
    }
}

/// Writes a file that was not there before and that only its owner can read.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), LockError> {
    encompute_host::files::create(path, bytes).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => LockError::Exists(path.to_owned()),
        _ => LockError::Io { action: "write", path: path.to_owned(), source },
    })
}

/// Reads a file of limited length.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LockError> {
    let read = encompute_host::files::read_at_most(path, FILE_LIMIT_BYTES + 1);
    let bytes = read.map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => LockError::NotFound(path.to_owned()),
        _ => LockError::Io { action: "read", path: path.to_owned(), source },
    })?;
    if bytes.len() as u64 > FILE_LIMIT_BYTES { Err(LockError::Malformed) } else { Ok(bytes) }
}
