//! Bulk under a content key: a head's weights lie in the store for years, and the key goes to one
//! attested worker after another. `SPEC.md` beside this crate gives the bytes.

use crate::chunks;
use crate::seal::{OpenError, PLAINTEXT_LIMIT_BYTES, SealError};
use crate::{Context, Envelope, RecipientPublic, RecipientSecret, SecretSeed, open, seal};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
/// Version, plaintext length.
const HEADER_BYTES: usize = 1 + 8;

/// The key of one locked blob: 32 random bytes, for one plaintext only. It is wiped when dropped
/// and cannot be printed.
pub struct ContentKey(SecretSeed);

impl ContentKey {
    /// From where it was kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(SecretSeed::from_bytes(bytes))
    }

    /// The key itself, for the file that keeps it.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The key in an envelope to `recipient`.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal_to(&self, recipient: &RecipientPublic, context: &Context) -> Result<Envelope, SealError> {
        seal(recipient, context, self.expose())
    }

    /// The key in an envelope that [`Self::seal_to`] made.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_from(recipient: &RecipientSecret, context: &Context, envelope: &[u8]) -> Result<Self, OpenError> {
        let bytes = open(recipient, context, envelope, 32)?;
        let found_bytes = bytes.len();
        let key = bytes.as_slice().try_into().map_err(|_| OpenError::TooShort { found_bytes })?;
        Ok(Self::from_bytes(key))
    }
}

/// Encrypts `plaintext` under a fresh key: the bytes for the store, and the one key that opens them.
/// Lengths are not hidden, and nothing says what is inside: whoever unlocks compares a digest.
///
/// # Errors
/// [`SealError::TooLong`].
pub fn lock(plaintext: &[u8]) -> Result<(Vec<u8>, ContentKey), SealError> {
    let key = ContentKey(SecretSeed::generate());
    Ok((lock_under(&key, plaintext)?, key))
}

/// The same under a key that never encrypts anything else.
pub(crate) fn lock_under(key: &ContentKey, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
    if plaintext.len() > PLAINTEXT_LIMIT_BYTES {
        return Err(SealError::TooLong { found_bytes: plaintext.len() });
    }
    let mut bytes = Vec::with_capacity(total_bytes(plaintext.len()));
    bytes.push(VERSION);
    bytes.extend_from_slice(&(plaintext.len() as u64).to_le_bytes());
    chunks::encrypt(key.expose(), plaintext, &mut bytes)?;
    Ok(bytes)
}

/// Opens what [`lock`] made, at most `limit_bytes` of plaintext, which is wiped when dropped.
///
/// # Errors
/// [`OpenError`] by the first check that fails; no plaintext is given out before all of it has
/// been authenticated.
pub fn unlock(key: &ContentKey, locked: &[u8], limit_bytes: usize) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let plaintext_bytes = plaintext_bytes(locked, limit_bytes)?;
    chunks::decrypt(key.expose(), &locked[HEADER_BYTES..], plaintext_bytes)
}

/// The plaintext's length, once it is within the limit and makes exactly the bytes found.
fn plaintext_bytes(locked: &[u8], limit_bytes: usize) -> Result<usize, OpenError> {
    let found_bytes = locked.len();
    let (&version, rest) = locked.split_first().ok_or(OpenError::TooShort { found_bytes })?;
    if version != VERSION {
        return Err(OpenError::Version { found: version });
    }
    let (length, _) = rest.split_first_chunk::<8>().ok_or(OpenError::TooShort { found_bytes })?;
    let promised = u64::from_le_bytes(*length);
    let limit_bytes = limit_bytes.min(PLAINTEXT_LIMIT_BYTES);
    let plaintext_bytes = usize::try_from(promised)
        .ok()
        .filter(|bytes| *bytes <= limit_bytes)
        .ok_or(OpenError::TooLong { found_bytes: promised, limit_bytes })?;
    match total_bytes(plaintext_bytes) {
        promised_bytes if promised_bytes == found_bytes => Ok(plaintext_bytes),
        promised_bytes => Err(OpenError::Length { found_bytes, promised_bytes }),
    }
}

fn total_bytes(plaintext_bytes: usize) -> usize {
    HEADER_BYTES + chunks::sealed_bytes(plaintext_bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::chunks::{CHUNK_BYTES, TAG_BYTES};

    #[test]
    fn what_is_locked_unlocks_at_every_length_around_a_chunk() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES] {
            let plaintext: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let (locked, key) = lock(&plaintext).unwrap();
            assert_eq!(unlock(&key, &locked, length).unwrap().as_slice(), plaintext, "{length} bytes");
        }
    }

    #[test]
    fn altered_cut_or_extended_bytes_do_not_unlock() {
        let (locked, key) = lock(&[7; CHUNK_BYTES + 9]).unwrap();
        for at in [0, 1, HEADER_BYTES, HEADER_BYTES + CHUNK_BYTES, locked.len() - 1] {
            let mut altered = locked.clone();
            altered[at] ^= 1;
            assert!(unlock(&key, &altered, 1 << 20).is_err(), "byte {at}");
        }
        assert!(unlock(&key, &locked[..locked.len() - 1], 1 << 20).is_err());
        assert!(unlock(&key, &[locked.as_slice(), &[0]].concat(), 1 << 20).is_err());
        let (_, other) = lock(b"").unwrap();
        assert_eq!(unlock(&other, &locked, 1 << 20).err(), Some(OpenError::Chunk { index: 0 }));
    }

    #[test]
    fn a_blob_cut_at_a_chunk_with_its_length_rewritten_does_not_unlock() {
        let (locked, key) = lock(&[7; 2 * CHUNK_BYTES]).unwrap();
        let mut cut = locked[..HEADER_BYTES + CHUNK_BYTES + TAG_BYTES].to_vec();
        cut[1..HEADER_BYTES].copy_from_slice(&(CHUNK_BYTES as u64).to_le_bytes());
        assert_eq!(unlock(&key, &cut, 1 << 20).err(), Some(OpenError::Chunk { index: 0 }));
    }

    #[test]
    fn more_plaintext_than_allowed_is_refused_before_any_of_it_is_read() {
        let (locked, key) = lock(&[7; 100]).unwrap();
        assert_eq!(unlock(&key, &locked, 99).err(), Some(OpenError::TooLong { found_bytes: 100, limit_bytes: 99 }));
    }
}
