//! What a creator says that a version gives away: letters and bits as fields, the report that they are from, and the
//! attack that a buyer may try on his own input.

use crate::BlobDigest;
use alloc::vec::Vec;
use codec::{Decode, Encode, Error, Input};
use core::fmt;

/// Most bytes of a version's report.
pub const REPORT_LIMIT_BYTES: u32 = 8 * 1024 * 1024;
/// Most bytes of a version's attack.
pub const ATTACK_LIMIT_BYTES: u32 = 32 * 1024 * 1024;

/// What was measured of a version's releases, beside the manifest and pinned by it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Disclosure {
    /// The report, as JSON: `encompute model split-report` writes it.
    pub report: NamedBlob<REPORT_LIMIT_BYTES>,
    /// What the strongest linear attacker does, for buyers to try; none where the creator keeps it.
    pub attack: Option<NamedBlob<ATTACK_LIMIT_BYTES>>,
    /// One for each policy of each split, in the manifest's order.
    pub grades: Vec<Graded>,
}

/// A blob and its length, 1 ..= `LIMIT` bytes: whoever fetches it knows before how much will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub struct NamedBlob<const LIMIT: u32> {
    digest: BlobDigest,
    bytes: u32,
}

/// Bytes that are none, or more than their kind may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobLengthError {
    /// Bytes found.
    pub found: usize,
    /// Bytes allowed.
    pub limit: u32,
}

impl fmt::Display for BlobLengthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, 1 to {} are allowed", self.found, self.limit)
    }
}

impl core::error::Error for BlobLengthError {}

impl<const LIMIT: u32> NamedBlob<LIMIT> {
    /// The name of these bytes.
    ///
    /// # Errors
    /// [`BlobLengthError`].
    #[cfg(feature = "hash")]
    pub fn of(bytes: &[u8]) -> Result<Self, BlobLengthError> {
        match u32::try_from(bytes.len()) {
            Ok(length @ 1..) if length <= LIMIT => Ok(Self { digest: BlobDigest::of(bytes), bytes: length }),
            _ => Err(BlobLengthError { found: bytes.len(), limit: LIMIT }),
        }
    }

    /// Its name in stores.
    pub fn digest(&self) -> BlobDigest {
        self.digest
    }

    /// How long it is.
    pub fn bytes(&self) -> u32 {
        self.bytes
    }
}

impl<const LIMIT: u32> Decode for NamedBlob<LIMIT> {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let (digest, bytes) = <(BlobDigest, u32)>::decode(input)?;
        match digest != BlobDigest::default() && (1..=LIMIT).contains(&bytes) {
            true => Ok(Self { digest, bytes }),
            false => Err("no blob, or one longer than its kind allows".into()),
        }
    }
}

/// How a split's release under a policy was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Graded {
    /// One letter, on the worst attack.
    pub grade: Grade,
    /// What a release tells about an input of the report's population at most, in thousandths of a bit.
    pub millibits: u32,
}

/// One letter for what a release gives away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[repr(u8)]
pub enum Grade {
    /// Hardly more than the answer itself.
    #[codec(index = 0)]
    A = 0,
    /// A little more.
    #[codec(index = 1)]
    B = 1,
    /// Clearly more.
    #[codec(index = 2)]
    C = 2,
    /// An archive that holds the input finds it: listed only where buyers consent to that.
    #[codec(index = 3)]
    D = 3,
    /// Not to be listed, and refused by users' clients.
    #[codec(index = 4)]
    F = 4,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::F => "F",
        })
    }
}
