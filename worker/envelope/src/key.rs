//! Recipient keys: X-Wing, that is ML-KEM-768 and X25519 together, so that either may fall.

use crate::Suite;
use encompute_protocol::KeyDigest;
use hpke::{Deserializable, Kem, Serializable};
use zeroize::Zeroizing;

/// Bytes of a public key: 1184 of ML-KEM-768, 32 of X25519.
pub const PUBLIC_KEY_BYTES: usize = 1216;

/// Keeps a recipient's key apart from every other key that is derived from the same secret.
const DERIVATION_LABEL: &[u8] = b"encompute/recipient-key/v1";

type Secret = <Suite as Kem>::PrivateKey;
type Public = <Suite as Kem>::PublicKey;

/// The key that opens envelopes. Wiped when dropped; it has no `Debug` and no way out.
pub struct RecipientSecret {
    secret: Secret,
    public: RecipientPublic,
}

/// The key that envelopes are sealed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientPublic(Public);

/// Bytes that are no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// Another length than [`PUBLIC_KEY_BYTES`].
    #[error("recipient key has {found_bytes} bytes instead of {PUBLIC_KEY_BYTES}")]
    Length {
        /// Bytes found.
        found_bytes: usize,
    },
    /// The ML-KEM half holds a coefficient outside its field.
    #[error("recipient key is not an X-Wing key")]
    Invalid,
}

impl RecipientSecret {
    /// The key that follows from a 32-byte secret: the same secret gives the same key, and nothing
    /// about other keys derived from it.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let mut material = Zeroizing::new([0; DERIVATION_LABEL.len() + 32]);
        material[..DERIVATION_LABEL.len()].copy_from_slice(DERIVATION_LABEL);
        material[DERIVATION_LABEL.len()..].copy_from_slice(seed);
        let (secret, public) = Suite::derive_keypair(material.as_slice());
        Self { secret, public: RecipientPublic(public) }
    }

    /// A fresh key that nobody can derive again, e.g. one job's.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    pub fn generate() -> Self {
        let (secret, public) = Suite::gen_keypair();
        Self { secret, public: RecipientPublic(public) }
    }

    /// The key to hand out.
    pub fn public(&self) -> &RecipientPublic {
        &self.public
    }

    pub(crate) fn inner(&self) -> &Secret {
        &self.secret
    }
}

impl RecipientPublic {
    /// Reads a public key.
    ///
    /// # Errors
    /// [`PublicKeyError`] for another length, or coefficients that ML-KEM does not allow.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        if bytes.len() != PUBLIC_KEY_BYTES {
            return Err(PublicKeyError::Length { found_bytes: bytes.len() });
        }
        Public::from_bytes(bytes).map(Self).map_err(|_| PublicKeyError::Invalid)
    }

    /// The key's bytes.
    pub fn to_bytes(&self) -> [u8; PUBLIC_KEY_BYTES] {
        let mut bytes = [0; PUBLIC_KEY_BYTES];
        bytes.copy_from_slice(&self.0.to_bytes());
        bytes
    }

    /// Keccak-256 of the key: what the chain holds.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(&self.to_bytes())
    }

    pub(crate) fn inner(&self) -> &Public {
        &self.0
    }
}

/// 32 random bytes from which a party's keys are derived: the one secret it has to keep.
pub struct SecretSeed(Zeroizing<[u8; 32]>);

impl SecretSeed {
    /// Fresh from the operating system.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    pub fn generate() -> Self {
        use chacha20poly1305::aead::{OsRng, rand_core::RngCore};
        let mut seed = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(seed.as_mut_slice());
        Self(seed)
    }

    /// From where it was kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret itself, for the file that keeps it and for deriving keys.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The recipient key that follows from it.
    pub fn recipient(&self) -> RecipientSecret {
        RecipientSecret::from_seed(self.expose())
    }
}
