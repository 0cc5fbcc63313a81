//! Sealing and opening. `SPEC.md` beside this crate gives the bytes.

use crate::chunks::{self, TAG_BYTES};
use crate::context::Context;
use crate::key::{RecipientPublic, RecipientSecret, SecretSeed};
use crate::{Aead, Kdf, Suite};
use encompute_protocol::KeyDigest;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

/// Most plaintext bytes that an envelope may hold: 256 MiB.
pub const PLAINTEXT_LIMIT_BYTES: usize = 256 * 1024 * 1024;

const VERSION: u8 = 1;
const ENCAPSULATED_BYTES: usize = 1120;
const WRAPPED_KEY_BYTES: usize = 32 + TAG_BYTES;
/// Version, recipient, plaintext length: authenticated as they stand.
const HEADER_BYTES: usize = 1 + 32 + 8;
const PREFIX_BYTES: usize = HEADER_BYTES + ENCAPSULATED_BYTES + WRAPPED_KEY_BYTES;

/// Bytes that an envelope adds to a plaintext of at most one chunk.
pub const OVERHEAD_BYTES: usize = PREFIX_BYTES + TAG_BYTES;

/// A sealed envelope: bytes that only its recipient can read, in its context.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope(Vec<u8>);

/// A plaintext cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Longer than an envelope may be.
    #[error("plaintext has {found_bytes} bytes, an envelope holds {PLAINTEXT_LIMIT_BYTES}")]
    TooLong {
        /// Bytes found.
        found_bytes: usize,
    },
    /// The recipient's key could not be used.
    #[error("key cannot be sealed to the recipient")]
    Encapsulate,
    /// The cipher refused a chunk. Cannot happen below the limit on length.
    #[error("chunk cannot be encrypted")]
    Chunk,
}

/// Bytes that do not open: for this recipient, in this context, or at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Too short for any envelope.
    #[error("envelope has {found_bytes} bytes, the shortest has {OVERHEAD_BYTES}")]
    TooShort {
        /// Bytes found.
        found_bytes: usize,
    },
    /// A version that this program does not know.
    #[error("envelope has version {found}, only {VERSION} is known")]
    Version {
        /// Version found.
        found: u8,
    },
    /// Sealed to somebody else.
    #[error("envelope is for the key {found}, not for {ours}")]
    Recipient {
        /// Recipient named in the envelope.
        found: KeyDigest,
        /// Recipient that tried to open it.
        ours: KeyDigest,
    },
    /// More plaintext than the opener allows; nothing was allocated.
    #[error("envelope holds {found_bytes} bytes, at most {limit_bytes} are allowed")]
    TooLong {
        /// Plaintext bytes that the header promises.
        found_bytes: u64,
        /// Bytes allowed.
        limit_bytes: usize,
    },
    /// Cut short, or something follows it.
    #[error("envelope has {found_bytes} bytes, its header promises {promised_bytes}")]
    Length {
        /// Bytes found.
        found_bytes: usize,
        /// Bytes that the header's length makes.
        promised_bytes: usize,
    },
    /// The key does not open: another context, another header, or altered bytes.
    #[error("envelope does not open: it was sealed for another context, or altered")]
    Key,
    /// A chunk is altered, missing or out of order.
    #[error("chunk {index} of the envelope does not open")]
    Chunk {
        /// Which chunk, from 0.
        index: usize,
    },
}

/// Seals `plaintext` to `recipient`: nobody else can open it, and nobody in another context.
/// The sender is not authenticated; whoever needs that signs the envelope's digest.
///
/// # Errors
/// [`SealError`].
pub fn seal(recipient: &RecipientPublic, context: &Context, plaintext: &[u8]) -> Result<Envelope, SealError> {
    if plaintext.len() > PLAINTEXT_LIMIT_BYTES {
        return Err(SealError::TooLong { found_bytes: plaintext.len() });
    }
    let key = SecretSeed::generate();
    let mut bytes = Vec::with_capacity(total_bytes(plaintext.len()));
    bytes.push(VERSION);
    bytes.extend_from_slice(&recipient.digest().0);
    bytes.extend_from_slice(&(plaintext.len() as u64).to_le_bytes());
    let (encapsulated, wrapped) = hpke::single_shot_seal::<Aead, Kdf, Suite>(
        &OpModeS::Base,
        recipient.inner(),
        &context.info(),
        key.expose(),
        &bytes,
    )
    .map_err(|_| SealError::Encapsulate)?;
    bytes.extend_from_slice(&encapsulated.to_bytes());
    bytes.extend_from_slice(&wrapped);

    chunks::encrypt(key.expose(), plaintext, &mut bytes)?;
    Ok(Envelope(bytes))
}

/// Opens an envelope of at most `limit_bytes` of plaintext. The plaintext is wiped when dropped.
///
/// # Errors
/// [`OpenError`] by the first check that fails; no plaintext is given out before all of it has
/// been authenticated.
pub fn open(
    recipient: &RecipientSecret,
    context: &Context,
    envelope: &[u8],
    limit_bytes: usize,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let header = Header::read(envelope)?;
    let ours = recipient.public().digest();
    if header.recipient != ours {
        return Err(OpenError::Recipient { found: header.recipient, ours });
    }
    let plaintext_bytes = header.check_lengths(envelope.len(), limit_bytes)?;
    let (prefix, body) = envelope.split_at(PREFIX_BYTES);
    let key = unwrap_key(recipient, context, prefix)?;
    chunks::decrypt(&key, body, plaintext_bytes)
}

fn unwrap_key(recipient: &RecipientSecret, context: &Context, prefix: &[u8]) -> Result<Zeroizing<[u8; 32]>, OpenError> {
    let (header, rest) = prefix.split_at(HEADER_BYTES);
    let (encapsulated, wrapped) = rest.split_at(ENCAPSULATED_BYTES);
    let encapsulated = <Suite as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| OpenError::Key)?;
    let info = context.info();
    let opened = hpke::single_shot_open::<Aead, Kdf, Suite>(
        &OpModeR::Base,
        recipient.inner(),
        &encapsulated,
        &info,
        wrapped,
        header,
    )
    .map(Zeroizing::new)
    .map_err(|_| OpenError::Key)?;
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(opened.get(..32).ok_or(OpenError::Key)?);
    Ok(key)
}

struct Header {
    recipient: KeyDigest,
    plaintext_bytes: u64,
}

impl Header {
    fn read(envelope: &[u8]) -> Result<Self, OpenError> {
        let too_short = OpenError::TooShort { found_bytes: envelope.len() };
        let (&found, rest) = envelope.split_first().ok_or(too_short)?;
        if found != VERSION {
            return Err(OpenError::Version { found });
        }
        let (recipient, rest) = rest.split_first_chunk::<32>().ok_or(too_short)?;
        let (plaintext_bytes, _) = rest.split_first_chunk::<8>().ok_or(too_short)?;
        if envelope.len() < OVERHEAD_BYTES {
            return Err(too_short);
        }
        Ok(Self { recipient: KeyDigest(*recipient), plaintext_bytes: u64::from_le_bytes(*plaintext_bytes) })
    }

    /// The plaintext's length, once it is within the limit and makes exactly `found_bytes`.
    fn check_lengths(&self, found_bytes: usize, limit_bytes: usize) -> Result<usize, OpenError> {
        let limit_bytes = limit_bytes.min(PLAINTEXT_LIMIT_BYTES);
        let too_long = OpenError::TooLong { found_bytes: self.plaintext_bytes, limit_bytes };
        let plaintext_bytes = usize::try_from(self.plaintext_bytes).map_err(|_| too_long)?;
        if plaintext_bytes > limit_bytes {
            return Err(too_long);
        }
        match total_bytes(plaintext_bytes) {
            promised_bytes if promised_bytes == found_bytes => Ok(plaintext_bytes),
            promised_bytes => Err(OpenError::Length { found_bytes, promised_bytes }),
        }
    }
}

/// Bytes of an envelope over a plaintext of at most [`PLAINTEXT_LIMIT_BYTES`].
fn total_bytes(plaintext_bytes: usize) -> usize {
    PREFIX_BYTES + chunks::sealed_bytes(plaintext_bytes)
}

impl Envelope {
    /// The envelope's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The envelope's bytes, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl core::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Envelope({} bytes)", self.0.len())
    }
}
