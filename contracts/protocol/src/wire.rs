//! How bytes become values: limit first, then the whole value, then nothing left over.

use alloc::vec::Vec;
use codec::{Compact, Decode, Encode};
use core::fmt;

/// Why bytes from somebody else were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// More bytes than this kind of message may have; nothing was decoded.
    TooLong {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The first byte names a version that this program does not know.
    Version {
        /// Version found.
        found: u8,
        /// Version this program writes.
        known: u8,
    },
    /// The bytes end early or hold a value outside the type.
    Malformed,
    /// More items in a list than are allowed; none of them was read.
    TooMany {
        /// What they are.
        items: &'static str,
        /// Items announced.
        found: u32,
        /// Items allowed.
        limit: u32,
    },
    /// The value is whole, but bytes follow it.
    Trailing {
        /// Bytes left over.
        bytes: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { found, limit } => write!(f, "{found} bytes, at most {limit} are allowed"),
            Self::Version { found, known } => write!(f, "version {found} of the encoding, only {known} is known"),
            Self::TooMany { items, found, limit } => write!(f, "{found} {items}, at most {limit} are allowed"),
            Self::Malformed => f.write_str("bytes are not a value of this type"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes follow the value"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// The SCALE bytes of a value.
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    value.encode()
}

/// The value in `bytes`, all of them.
///
/// # Errors
/// [`DecodeError`]; the limit is checked before anything is read.
pub fn decode_exact<T: Decode>(bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong { found: bytes.len(), limit });
    }
    let mut rest = bytes;
    let value = T::decode(&mut rest).map_err(|_| DecodeError::Malformed)?;
    match rest.len() {
        0 => Ok(value),
        bytes => Err(DecodeError::Trailing { bytes }),
    }
}

/// The count that a list begins with; `rest` is then at its first item.
///
/// # Errors
/// [`DecodeError::TooMany`], [`DecodeError::Malformed`].
pub fn count(rest: &mut &[u8], items: &'static str, limit: u32) -> Result<u32, DecodeError> {
    match Compact::<u32>::decode(rest) {
        Ok(Compact(found)) if found > limit => Err(DecodeError::TooMany { items, found, limit }),
        Ok(Compact(found)) => Ok(found),
        Err(_) => Err(DecodeError::Malformed),
    }
}

/// Moves `rest` behind a value.
///
/// # Errors
/// [`DecodeError::Malformed`].
pub fn skip<T: Decode>(rest: &mut &[u8]) -> Result<(), DecodeError> {
    T::skip(rest).map_err(|_| DecodeError::Malformed)
}

/// A message whose first byte is the version of its encoding.
pub trait Message: Encode + Decode {
    /// The version written, and the only one read.
    const VERSION: u8;
    /// Most bytes that any message of this kind may have, its version byte included.
    const LIMIT_BYTES: usize;

    /// Refuses lists that announce more items than are allowed, before the value is read: an item may be one byte here
    /// and a hundred in memory. Nothing to refuse where items are as long here as there.
    ///
    /// # Errors
    /// [`DecodeError::TooMany`]; [`DecodeError::Malformed`] if the bytes end before the last list.
    fn check_counts(_value: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }

    /// Version byte, then the value.
    fn to_wire(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + self.size_hint());
        bytes.push(Self::VERSION);
        self.encode_to(&mut bytes);
        bytes
    }

    /// The message in `bytes`: limit, version, counts, value, nothing left over.
    ///
    /// # Errors
    /// [`DecodeError`], by the first check that fails.
    fn from_wire(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > Self::LIMIT_BYTES {
            return Err(DecodeError::TooLong { found: bytes.len(), limit: Self::LIMIT_BYTES });
        }
        match bytes.split_first() {
            None => Err(DecodeError::Malformed),
            Some((&found, _)) if found != Self::VERSION => Err(DecodeError::Version { found, known: Self::VERSION }),
            Some((_, value)) => {
                Self::check_counts(value)?;
                decode_exact(value, Self::LIMIT_BYTES)
            }
        }
    }
}
