//! Keys of the development PKI, all derived from one seed so that every process agrees on them.

use super::PkiError;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use sha2::{Digest, Sha256};

/// Where every key of a development PKI comes from. Not a secret worth keeping: whoever has it
/// can issue quotes that only a development root accepts, which is what it is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DevelopmentSeed(pub [u8; 32]);

impl DevelopmentSeed {
    /// The seed named by a label, so that processes started by hand agree.
    pub fn from_label(label: &str) -> Self {
        Self(derive(&[0; 32], "label", label))
    }

    /// 32 bytes for one purpose and one name.
    pub(super) fn bytes(&self, purpose: &str, name: &str) -> [u8; 32] {
        derive(&self.0, purpose, name)
    }
}

fn derive(seed: &[u8; 32], purpose: &str, name: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"encompute/development-pki/v1");
    hasher.update(seed);
    // Lengths first: no purpose and name can be read as another purpose and name.
    for part in [purpose, name] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// A P-256 key that signs certificates, collateral and quotes. Signatures are deterministic
/// (RFC 6979), so the same seed gives the same root certificate everywhere.
pub(super) struct Key {
    secret: SigningKey,
    /// `04 ‖ x ‖ y`.
    point: Vec<u8>,
}

impl Key {
    pub(super) fn derive(seed: &DevelopmentSeed, purpose: &str, name: &str) -> Result<Self, PkiError> {
        // One candidate in 2³² is no scalar of the curve; the next counter is taken then.
        let candidates = (0..8).map(|counter| seed.bytes(purpose, &format!("{name}#{counter}")));
        let secret =
            candidates.into_iter().find_map(|bytes| SigningKey::from_slice(&bytes).ok()).ok_or(PkiError::NoKey)?;
        let point = secret.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Ok(Self { secret, point })
    }

    /// `r ‖ s`, as quotes and collateral carry it.
    pub(super) fn sign_raw(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.secret.sign(message);
        signature.to_bytes().into()
    }

    /// `x ‖ y`, as quotes carry it.
    pub(super) fn coordinates(&self) -> [u8; 64] {
        let mut coordinates = [0; 64];
        coordinates.copy_from_slice(&self.point[1..]);
        coordinates
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = self.secret.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}
