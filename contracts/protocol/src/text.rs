//! Bounded text and bytes: their decoders stop before they allocate more than the type allows.

use alloc::{string::String, vec::Vec};
use codec::{Compact, Decode, Encode, EncodeLike, Error, Input, MaxEncodedLen};
use core::fmt;
use scale_info::{Path, Type, TypeInfo, build::Fields};

/// UTF-8 text of at most `LIMIT` bytes, without control characters.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<const LIMIT: u32>(String);

/// Bytes, at most `LIMIT` of them.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes<const LIMIT: u32>(Vec<u8>);

/// Text or bytes that do not fit their type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundError {
    /// Longer than the type allows.
    TooLong {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: u32,
    },
    /// A control character (or a line break) in a text that has one line.
    ControlCharacter,
}

impl fmt::Display for BoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { found, limit } => write!(f, "{found} bytes, at most {limit} are allowed"),
            Self::ControlCharacter => f.write_str("control characters are not allowed"),
        }
    }
}

impl core::error::Error for BoundError {}

impl<const LIMIT: u32> Text<LIMIT> {
    /// The text, if it fits.
    ///
    /// # Errors
    /// [`BoundError`] with what was found and allowed.
    pub fn new(text: impl Into<String>) -> Result<Self, BoundError> {
        let text = text.into();
        if text.len() > LIMIT as usize {
            return Err(BoundError::TooLong { found: text.len(), limit: LIMIT });
        }
        if text.chars().any(char::is_control) {
            return Err(BoundError::ControlCharacter);
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const LIMIT: u32> Bytes<LIMIT> {
    /// The bytes, if they fit.
    ///
    /// # Errors
    /// [`BoundError::TooLong`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, BoundError> {
        let bytes = bytes.into();
        if bytes.len() > LIMIT as usize {
            return Err(BoundError::TooLong { found: bytes.len(), limit: LIMIT });
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

fn decode_bounded<I: Input>(input: &mut I, limit: u32) -> Result<Vec<u8>, Error> {
    let length = Compact::<u32>::decode(input)?.0;
    if length > limit {
        return Err("longer than its type allows".into());
    }
    if input.remaining_len()?.is_some_and(|left| left < length as usize) {
        return Err("shorter than it says".into());
    }
    let mut bytes = alloc::vec![0; length as usize];
    input.read(&mut bytes)?;
    Ok(bytes)
}

impl<const LIMIT: u32> Encode for Text<LIMIT> {
    fn size_hint(&self) -> usize {
        self.0.size_hint()
    }

    fn using_encoded<R, F: FnOnce(&[u8]) -> R>(&self, f: F) -> R {
        self.0.as_str().using_encoded(f)
    }
}

impl<const LIMIT: u32> EncodeLike for Text<LIMIT> {}

impl<const LIMIT: u32> Decode for Text<LIMIT> {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let text = String::from_utf8(decode_bounded(input, LIMIT)?).map_err(|_| Error::from("not UTF-8"))?;
        Self::new(text).map_err(|_| "control character in a one-line text".into())
    }
}

impl<const LIMIT: u32> MaxEncodedLen for Text<LIMIT> {
    fn max_encoded_len() -> usize {
        Compact::<u32>::max_encoded_len() + LIMIT as usize
    }
}

impl<const LIMIT: u32> TypeInfo for Text<LIMIT> {
    type Identity = Self;

    fn type_info() -> Type {
        Type::builder().path(Path::new("Text", module_path!())).composite(Fields::unnamed().field(|f| f.ty::<String>()))
    }
}

impl<const LIMIT: u32> Encode for Bytes<LIMIT> {
    fn size_hint(&self) -> usize {
        self.0.size_hint()
    }

    fn using_encoded<R, F: FnOnce(&[u8]) -> R>(&self, f: F) -> R {
        self.0.as_slice().using_encoded(f)
    }
}

impl<const LIMIT: u32> EncodeLike for Bytes<LIMIT> {}

impl<const LIMIT: u32> Decode for Bytes<LIMIT> {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        decode_bounded(input, LIMIT).map(Self)
    }
}

impl<const LIMIT: u32> MaxEncodedLen for Bytes<LIMIT> {
    fn max_encoded_len() -> usize {
        Compact::<u32>::max_encoded_len() + LIMIT as usize
    }
}

impl<const LIMIT: u32> TypeInfo for Bytes<LIMIT> {
    type Identity = Self;

    fn type_info() -> Type {
        Type::builder()
            .path(Path::new("Bytes", module_path!()))
            .composite(Fields::unnamed().field(|f| f.ty::<Vec<u8>>()))
    }
}

impl<const LIMIT: u32> fmt::Debug for Text<LIMIT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<const LIMIT: u32> fmt::Display for Text<LIMIT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const LIMIT: u32> fmt::Debug for Bytes<LIMIT> {
    /// The length alone: contents may be sealed or long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({} of {LIMIT})", self.0.len())
    }
}
