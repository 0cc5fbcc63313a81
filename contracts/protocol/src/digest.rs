//! Digests: what they are of is in their type.
//!
//! Blobs are named by BLAKE2b-256, as the chain's own tools do. Everything that the contract must
//! recompute (receipts, offers, statements, keys) is Keccak-256, the cheapest hash there.

use codec::{Decode, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident[$len:literal]) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, MaxEncodedLen, TypeInfo)]
        pub struct $name(pub [u8; $len]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl $name {
            /// True for the all-zero value, which missing calldata decodes to and which names nothing.
            pub fn is_zero(&self) -> bool {
                self.0.iter().all(|byte| *byte == 0)
            }
        }

        impl core::str::FromStr for $name {
            type Err = ParseHexError;

            fn from_str(text: &str) -> Result<Self, ParseHexError> {
                parse_hex(text).map(Self)
            }
        }
    };
}

digest!(
    /// BLAKE2b-256 of a blob's bytes: its name in every store and on chain.
    BlobDigest[32]
);
digest!(
    /// BLAKE2b-256 of a [`crate::VersionManifest`]'s encoding.
    VersionHash[32]
);
digest!(
    /// Keccak-256 over a head's public plan and secret weights: what a receipt says was run.
    HeadDigest[32]
);
digest!(
    /// BLAKE2b-256 of the tail's ONNX bytes: the creator's commitment to the rest of the model.
    TailDigest[32]
);
digest!(
    /// Keccak-256 of a public key's bytes (a 1216-byte X-Wing key is too long for the chain).
    KeyDigest[32]
);
digest!(
    /// Identity of attested code: Keccak-256 over the measured registers a policy pins.
    MeasurementId[32]
);
digest!(
    /// Identity of a machine that may attest: Keccak-256 over its PCK key and its quoting enclave's signer and
    /// product ([`crate::KeyParts::platform_preimage`]).
    PlatformId[32]
);
digest!(
    /// Identity of a quote: Keccak-256 over its signed header and body, never over the whole quote,
    /// whose unsigned parts anyone can alter.
    QuoteIdentity[32]
);
digest!(
    /// A value used once, issued by the contract or by a creator's service.
    Nonce[32]
);
digest!(
    /// The chain's first block: binds every signature to one chain.
    GenesisHash[32]
);
digest!(
    /// Keccak-256 of a tagged [`crate::Receipt`]: what the worker signs.
    ReceiptDigest[32]
);
digest!(
    /// Keccak-256 of a tagged [`crate::RoundReceipt`].
    RoundReceiptDigest[32]
);
digest!(
    /// Root of the tree over a session's jobs.
    SessionRoot[32]
);
digest!(
    /// Keccak-256 of tagged [`crate::JobRecords`]: what stays on chain of a job that was pruned.
    RecordsDigest[32]
);
digest!(
    /// The contract's address.
    ContractAddress[20]
);
digest!(
    /// Address of a secp256k1 signing key: Keccak-256 of the uncompressed point, last 20 bytes.
    SigningAddress[20]
);

/// A text that is not the hexadecimal form of a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseHexError {
    /// Another number of hexadecimal digits than the type has.
    Length {
        /// Digits found, without `0x`.
        found: usize,
        /// Digits wanted.
        wanted: usize,
    },
    /// A character outside `0-9a-fA-F`.
    Character(char),
}

impl fmt::Display for ParseHexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found, wanted } => write!(f, "{found} hexadecimal digits, wanted {wanted}"),
            Self::Character(found) => write!(f, "{found:?} is no hexadecimal digit"),
        }
    }
}

impl core::error::Error for ParseHexError {}

fn parse_hex<const LEN: usize>(text: &str) -> Result<[u8; LEN], ParseHexError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let found = digits.chars().count();
    if found != 2 * LEN {
        return Err(ParseHexError::Length { found, wanted: 2 * LEN });
    }
    let mut bytes = [0; LEN];
    for (at, digit) in digits.chars().enumerate() {
        let value = digit.to_digit(16).ok_or(ParseHexError::Character(digit))? as u8;
        bytes[at / 2] |= if at % 2 == 0 { value << 4 } else { value };
    }
    Ok(bytes)
}

pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    write!(f, "0x")?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// BLAKE2b-256 of `bytes`.
#[cfg(feature = "hash")]
pub fn blake2b_256(bytes: &[u8]) -> [u8; 32] {
    use blake2::{Blake2b, Digest, digest::consts::U32};
    Blake2b::<U32>::digest(bytes).into()
}

/// Keccak-256 of the concatenation of `parts`.
#[cfg(feature = "hash")]
pub fn keccak_256(parts: &[&[u8]]) -> [u8; 32] {
    use sha3::{Digest, Keccak256};
    let mut hasher = Keccak256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

#[cfg(feature = "hash")]
impl BlobDigest {
    /// The name of a blob with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake2b_256(bytes))
    }
}

#[cfg(feature = "hash")]
impl TailDigest {
    /// The commitment to a tail with these ONNX bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake2b_256(bytes))
    }
}

#[cfg(feature = "hash")]
impl KeyDigest {
    /// The digest of a public key with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(keccak_256(&[bytes]))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hexadecimal_text_is_read_exactly() {
        let address: SigningAddress = "0x00112233445566778899aabbccddeeff00112233".parse().unwrap();
        assert_eq!(address.0[15], 0xff);
        assert_eq!("0x00".parse::<SigningAddress>(), Err(ParseHexError::Length { found: 2, wanted: 40 }));
        let bad = "zz112233445566778899aabbccddeeff00112233".parse::<SigningAddress>();
        assert_eq!(bad, Err(ParseHexError::Character('z')));
    }
}
