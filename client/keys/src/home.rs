//! A home in one sealed file: what a browser's tab keeps its keys, journals and ledgers in.
//!
//! The file only grows. Frames, each a length (4 bytes, little-endian) and a sealed secret ([`KeyLock`]): first 32
//! random bytes under the passphrase, then one change after another under those bytes. A change is a name and the
//! file's bytes, or none where it was taken away, and is sealed under its place in the file: none can be moved, left
//! out from the middle, or taken from another home. Whoever can write the file can cut its end off.

use crate::lock::{KdfCost, KeyLock, LockError, MachineSecret};
use codec::{Decode, Encode};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Names the first frame's content.
const KEY: &[u8] = b"encompute/home-key/v1";
/// Names the content of the others, with their number.
const CHANGE: &[u8] = b"encompute/home-change/v1";
/// Most bytes of a frame: the longest file of a home is a request.
const FRAME_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// Why a home was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenHomeError {
    /// The passphrase is not its own, or the first frame was altered.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// A frame is not what was written: the home was altered, or is of another program.
    #[error("the home is damaged at byte {at}")]
    Damaged {
        /// Where.
        at: usize,
    },
    /// The passphrase cannot be tried.
    #[error("the home's lock")]
    Lock(#[source] LockError),
}

/// Seals a home's changes.
pub struct HomeSeal {
    secret: MachineSecret,
    frames: u64,
}

/// A home, opened.
pub struct OpenedHome {
    /// Goes on with it.
    pub seal: HomeSeal,
    /// Its files.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// So many bytes of the file are whole frames; what is behind them was cut off while it was written.
    pub whole_bytes: usize,
}

/// One file's new state.
#[derive(Encode, Decode)]
struct Change {
    name: String,
    bytes: Option<Vec<u8>>,
}

impl HomeSeal {
    /// A new home under a passphrase, and the first bytes of its file.
    ///
    /// # Errors
    /// [`LockError::Cost`].
    pub fn create(passphrase: &str, cost: KdfCost) -> Result<(Self, Vec<u8>), LockError> {
        let secret = MachineSecret(rand::random());
        let sealed = KeyLock::Password(passphrase, cost).seal(KEY, &secret.0)?;
        Ok((Self { secret, frames: 1 }, frame(&sealed)))
    }

    /// Opens a home's file.
    ///
    /// # Errors
    /// [`OpenHomeError`].
    pub fn open(file: &[u8], passphrase: &str) -> Result<OpenedHome, OpenHomeError> {
        let damaged = |rest: &[u8]| OpenHomeError::Damaged { at: file.len() - rest.len() };
        let mut rest = file;
        let first = next_frame(&mut rest).ok_or(OpenHomeError::Damaged { at: 0 })?;
        // The cost is the file's own.
        let secret =
            KeyLock::Password(passphrase, KdfCost::STANDARD).open(KEY, first).map_err(|error| match error {
                LockError::WrongSecret => OpenHomeError::WrongPassphrase,
                error => OpenHomeError::Lock(error),
            })?;
        let secret = MachineSecret(secret.as_slice().try_into().map_err(|_| damaged(rest))?);
        let mut seal = Self { secret, frames: 1 };
        let mut files = BTreeMap::new();
        let mut whole = rest;
        while let Some(sealed) = next_frame(&mut rest) {
            let Ok(plain) = KeyLock::Machine(&seal.secret).open(&content(seal.frames), sealed) else {
                // A file that was being written when its machine stopped may end in bytes that never came.
                if rest.is_empty() {
                    break;
                }
                return Err(damaged(whole));
            };
            let Change { name, bytes } = Change::decode(&mut plain.as_slice()).map_err(|_| damaged(whole))?;
            match bytes {
                Some(bytes) => files.insert(name.into(), bytes),
                None => files.remove(Path::new(&name)),
            };
            seal.frames += 1;
            whole = rest;
        }
        Ok(OpenedHome { seal, files, whole_bytes: file.len() - whole.len() })
    }

    /// The bytes that a change adds to the file: `bytes` are the file's new ones, none where it is taken away. The
    /// change counts as written once [`Self::written`] is called.
    ///
    /// # Errors
    /// [`LockError::Malformed`] for more than a home keeps in one file.
    pub fn change(&self, name: &Path, bytes: Option<&[u8]>) -> Result<Vec<u8>, LockError> {
        let change = Change { name: name.to_string_lossy().into_owned(), bytes: bytes.map(<[u8]>::to_vec) };
        let plain = Zeroizing::new(change.encode());
        if plain.len() + 1024 > FRAME_LIMIT_BYTES {
            return Err(LockError::Malformed);
        }
        Ok(frame(&KeyLock::Machine(&self.secret).seal(&content(self.frames), &plain)?))
    }

    /// The last change is in the file.
    pub fn written(&mut self) {
        self.frames += 1;
    }
}

fn content(frame: u64) -> Vec<u8> {
    [CHANGE, &frame.to_le_bytes()].concat()
}

fn frame(sealed: &[u8]) -> Vec<u8> {
    [&(sealed.len() as u32).to_le_bytes(), sealed].concat()
}

/// The next whole frame; none at the end, and none where the length cannot be one.
fn next_frame<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > FRAME_LIMIT_BYTES {
        return None;
    }
    let (frame, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(frame)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CHEAP: KdfCost = KdfCost { memory_kib: 8, passes: 1, lanes: 1 };

    /// A home with two files, one written twice, and one that was taken away; the byte at which each frame ends.
    fn home() -> (Vec<u8>, Vec<usize>) {
        let (mut seal, mut file) = HomeSeal::create("a passphrase", CHEAP).unwrap();
        let mut ends = vec![file.len()];
        let changes: [(&str, Option<&[u8]>); 5] = [
            ("jobs/1", Some(b"one")),
            ("gone", Some(b"here")),
            ("jobs/2", Some(b"two")),
            ("jobs/1", Some(b"uno")),
            ("gone", None),
        ];
        for (name, bytes) in changes {
            file.extend(seal.change(Path::new(name), bytes).unwrap());
            seal.written();
            ends.push(file.len());
        }
        (file, ends)
    }

    fn names(home: &OpenedHome) -> Vec<(&str, &[u8])> {
        home.files.iter().map(|(name, bytes)| (name.to_str().unwrap(), bytes.as_slice())).collect()
    }

    #[test]
    fn a_home_has_what_was_written_last() {
        let (file, _) = home();
        let opened = HomeSeal::open(&file, "a passphrase").unwrap();
        assert_eq!(names(&opened), [("jobs/1", &b"uno"[..]), ("jobs/2", &b"two"[..])]);
        assert_eq!(opened.whole_bytes, file.len());
    }

    #[test]
    fn a_home_that_was_cut_off_while_it_was_written_has_what_was_whole() {
        let (file, ends) = home();
        for cut in ends[3] + 1..ends[4] {
            let opened = HomeSeal::open(&file[..cut], "a passphrase").unwrap();
            assert_eq!((names(&opened).len(), opened.whole_bytes), (3, ends[3]));
        }
        let mut zeros = file[..ends[3]].to_vec();
        zeros.extend([0; 4]);
        assert_eq!(HomeSeal::open(&zeros, "a passphrase").unwrap().whole_bytes, ends[3]);
    }

    #[test]
    fn a_home_goes_on_where_it_was_cut_off() {
        let (file, ends) = home();
        let OpenedHome { mut seal, whole_bytes, .. } = HomeSeal::open(&file[..ends[4] - 1], "a passphrase").unwrap();
        let mut file = file[..whole_bytes].to_vec();
        file.extend(seal.change(Path::new("jobs/3"), Some(b"three")).unwrap());
        seal.written();
        assert_eq!(names(&HomeSeal::open(&file, "a passphrase").unwrap()).len(), 4);
    }

    #[test]
    fn another_passphrase_opens_nothing() {
        let (file, _) = home();
        assert!(matches!(HomeSeal::open(&file, "another"), Err(OpenHomeError::WrongPassphrase)));
        assert!(matches!(HomeSeal::open(&[], "a passphrase"), Err(OpenHomeError::Damaged { at: 0 })));
    }

    #[test]
    fn altered_moved_and_missing_changes_are_noticed() {
        let (file, ends) = home();
        let refused = |file: &[u8]| matches!(HomeSeal::open(file, "a passphrase"), Err(OpenHomeError::Damaged { .. }));
        let mut altered = file.clone();
        altered[ends[1] + 70] ^= 1;
        assert!(refused(&altered));
        let (second, third) = (&file[ends[1]..ends[2]], &file[ends[2]..ends[3]]);
        assert!(refused(&[&file[..ends[1]], third, second, &file[ends[3]..]].concat()));
        assert!(refused(&[&file[..ends[1]], &file[ends[2]..]].concat()));
    }

    #[test]
    fn nothing_that_is_kept_can_be_read_from_the_file() {
        let (mut seal, mut file) = HomeSeal::create("a passphrase", CHEAP).unwrap();
        file.extend(seal.change(Path::new("fhe.key"), Some(&[7; 64])).unwrap());
        seal.written();
        assert!(!file.windows(8).any(|window| window == [7; 8]));
        assert!(!file.windows(7).any(|window| window == b"fhe.key"));
    }
}
