//! The platform's cryptography in software.

use crate::context::Host;
use encompute_protocol::{
    BlockNumber, Signature, SigningAddress, digest,
    quote::{P256Key, P256Signature},
};
use k256::ecdsa::{RecoveryId, VerifyingKey};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use sha2::{Digest, Sha256};

/// A [`Host`] that needs no platform: the same answers as the chain's Keccak host function and its
/// precompiles 0x01, 0x02 and 0x100, for simulators, clients and auditors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Software;

impl Host for Software {
    fn keccak_256(&self, bytes: &[u8]) -> [u8; 32] {
        digest::keccak_256(&[bytes])
    }

    fn recover(&self, digest: &[u8; 32], signature: &Signature) -> Option<SigningAddress> {
        let (rs, v) = signature.0.split_at(64);
        let parity = RecoveryId::from_byte(v.first()?.checked_sub(27)?)?;
        let rs = k256::ecdsa::Signature::from_slice(rs).ok()?;
        VerifyingKey::recover_from_prehash(digest, &rs, parity).ok().map(|key| address_of(&key))
    }

    /// No chain, no blocks: a hash that looks like one, the same for everybody.
    fn block_hash(&self, block: BlockNumber) -> Option<[u8; 32]> {
        Some(digest::keccak_256(&[b"encompute/simulated-block", &block.0.to_le_bytes()]))
    }

    fn sha_256(&self, bytes: &[u8]) -> Option<[u8; 32]> {
        Some(Sha256::digest(bytes).into())
    }

    fn p256_verify(&self, digest: &[u8; 32], signature: &P256Signature, key: &P256Key) -> bool {
        let mut point = [4; 65];
        point[1..].copy_from_slice(&key.0);
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point);
        let signature = p256::ecdsa::Signature::from_slice(&signature.0);
        key.is_ok_and(|key| signature.is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()))
    }
}

/// The address of a public key: Keccak-256 of its uncompressed point without the tag, last 20 bytes.
pub fn address_of(key: &VerifyingKey) -> SigningAddress {
    let point = key.to_encoded_point(false);
    let hash = digest::keccak_256(&[point.as_bytes().get(1..).unwrap_or_default()]);
    let mut address = [0; 20];
    address.copy_from_slice(&hash[12..]);
    SigningAddress(address)
}
