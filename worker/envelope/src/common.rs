//! Bulk for whoever has a secret in common, the same bytes whoever locks it: what a worker puts aside between two
//! segments of a head, for workers that have the head. `SPEC.md` beside this crate gives the bytes.

use crate::bulk::{ContentKey, lock_under, unlock};
use crate::key::SecretSeed;
use crate::seal::{OpenError, SealError};
use encompute_protocol::digest::keccak_256;
use zeroize::Zeroizing;

const NAME_TAG: &[u8] = b"encompute/common-name/v1";
const KEY_TAG: &[u8] = b"encompute/common-key/v1";
const NAME_BYTES: usize = 32;

/// Encrypts `plaintext` under a key that follows from it and `secret`, so that the same plaintext has the same bytes
/// and two plaintexts never share a key. Whether two are the same and how long they are is not hidden.
///
/// # Errors
/// [`SealError::TooLong`].
pub fn lock_in_common(secret: &SecretSeed, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
    let name = name(secret, plaintext);
    let locked = lock_under(&key(secret, &name), plaintext)?;
    Ok([&name[..], &locked].concat())
}

/// Opens what [`lock_in_common`] made under the same secret, at most `limit_bytes` of plaintext, which is wiped when
/// dropped.
///
/// # Errors
/// [`OpenError`] by the first check that fails; no plaintext is given out before all of it has been authenticated, and
/// found to be what these bytes, and no others, are made for.
pub fn unlock_in_common(
    secret: &SecretSeed,
    locked: &[u8],
    limit_bytes: usize,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let found_bytes = locked.len();
    let (found, locked) = locked.split_first_chunk::<NAME_BYTES>().ok_or(OpenError::TooShort { found_bytes })?;
    let plaintext = unlock(&key(secret, found), locked, limit_bytes)?;
    match name(secret, &plaintext) == *found {
        true => Ok(plaintext),
        false => Err(OpenError::Key),
    }
}

fn name(secret: &SecretSeed, plaintext: &[u8]) -> [u8; NAME_BYTES] {
    keccak_256(&[NAME_TAG, secret.expose(), plaintext])
}

fn key(secret: &SecretSeed, name: &[u8; NAME_BYTES]) -> ContentKey {
    ContentKey::from_bytes(keccak_256(&[KEY_TAG, secret.expose(), name]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> SecretSeed {
        SecretSeed::from_bytes([byte; 32])
    }

    #[test]
    fn one_plaintext_has_the_same_bytes_whoever_locks_it_and_another_has_nothing_in_common_with_them() {
        let [one, again] = [(); 2].map(|()| lock_in_common(&secret(1), &[7; 100]).unwrap());
        assert_eq!(one, again);
        assert_eq!(unlock_in_common(&secret(1), &one, 100).unwrap().as_slice(), [7; 100]);
        let other = lock_in_common(&secret(1), &[8; 100]).unwrap();
        // Under one key their difference would be that of the plaintexts: fifteen in every byte.
        let same = one.iter().zip(&other).filter(|(one, other)| **one ^ **other == 15).count();
        assert!(same < 20, "{same} bytes");
    }

    #[test]
    fn what_was_altered_cut_or_locked_under_another_secret_does_not_open() {
        let locked = lock_in_common(&secret(1), &[7; 100]).unwrap();
        for at in [0, 31, 32, 33, 41, locked.len() - 1] {
            let mut altered = locked.clone();
            altered[at] ^= 1;
            assert!(unlock_in_common(&secret(1), &altered, 1_000).is_err(), "byte {at}");
        }
        for length in [0, 31, 40, locked.len() - 1] {
            assert!(unlock_in_common(&secret(1), &locked[..length], 1_000).is_err(), "{length} bytes");
        }
        assert_eq!(unlock_in_common(&secret(2), &locked, 1_000).err(), Some(OpenError::Chunk { index: 0 }));
        let refused = OpenError::TooLong { found_bytes: 100, limit_bytes: 99 };
        assert_eq!(unlock_in_common(&secret(1), &locked, 99).err(), Some(refused));
    }

    #[test]
    fn a_plaintext_under_a_name_that_is_not_its_own_does_not_open() {
        let name = [9; NAME_BYTES];
        let locked = lock_under(&key(&secret(1), &name), b"state").unwrap();
        let bytes = [&name[..], &locked].concat();
        assert_eq!(unlock_in_common(&secret(1), &bytes, 100).err(), Some(OpenError::Key));
    }
}
