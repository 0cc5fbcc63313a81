//! secp256k1 keys: a worker's registered key signs offers and receipts, a job's session key signs
//! its rounds.
//!
//! Every signature is over Keccak-256(tag ‖ SCALE(value)) of a [`Signed`] value, recoverable, with
//! the lower of the two possible `s`: the other one would be a second signature for one statement.

use crate::{Signature, Signed, SigningAddress, digest::keccak_256};
use k256::{
    AffinePoint, ProjectivePoint, Scalar, U256,
    ecdsa::{RecoveryId, Signature as Scalars, SigningKey as Inner, VerifyingKey},
    elliptic_curve::{
        PrimeField,
        ops::{Invert, LinearCombination, Reduce},
        point::DecompressPoint,
    },
};
use zeroize::Zeroizing;

/// Bytes of a compressed public key.
pub const PUBLIC_KEY_BYTES: usize = 33;

/// A secret signing key. It is wiped when dropped and has no text form.
pub struct SigningKey(Inner);

/// A secret that is zero or not below the order of the curve, which chance never gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASecretKey;

impl core::fmt::Display for NotASecretKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("32 bytes that are no secp256k1 secret key")
    }
}

impl core::error::Error for NotASecretKey {}

impl SigningKey {
    /// The key with this secret, 32 bytes from a cryptographic generator.
    ///
    /// # Errors
    /// [`NotASecretKey`] for zero and for numbers not below the curve's order.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, NotASecretKey> {
        Inner::from_slice(secret).map(Self).map_err(|_| NotASecretKey)
    }

    /// The secret, for the key file of whoever holds the key.
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The public key, compressed.
    pub fn public_key(&self) -> [u8; PUBLIC_KEY_BYTES] {
        compressed(self.0.verifying_key())
    }

    /// The address that the contract recovers from this key's signatures.
    pub fn address(&self) -> SigningAddress {
        address(self.0.verifying_key())
    }

    /// The signature over `value`; the same value always gives the same signature (RFC 6979).
    pub fn sign<S: Signed>(&self, value: &S) -> Signature {
        self.sign_digest(&value.digest())
    }

    /// The signature over a digest that another protocol gives: an anchor's request is no [`Signed`] value. Whoever calls
    /// this has made the digest himself, from words of his own.
    pub fn sign_digest(&self, digest: &[u8; 32]) -> Signature {
        let (scalars, recovery) = self
            .0
            .sign_prehash_recoverable(digest)
            .expect("a 32-byte prehash is never shorter than half the field; qed");
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&scalars.to_bytes());
        bytes[64] = 27 + recovery.to_byte();
        Signature(bytes)
    }
}

impl Signature {
    /// The compressed key that signed `value`, or `None` where no key can have.
    pub fn key_over<S: Signed>(&self, value: &S) -> Option<[u8; PUBLIC_KEY_BYTES]> {
        self.recover(value).as_ref().map(compressed)
    }

    /// The address of the key that signed `value`, or `None` where no key can have.
    pub fn signer_over<S: Signed>(&self, value: &S) -> Option<SigningAddress> {
        self.recover(value).as_ref().map(address)
    }

    /// True if the key at `address` signed `value`.
    pub fn is_by<S: Signed>(&self, signer: &SigningAddress, value: &S) -> bool {
        self.signer_over(value).as_ref() == Some(signer)
    }

    fn recover<S: Signed>(&self, value: &S) -> Option<VerifyingKey> {
        let recovery = RecoveryId::from_byte(self.0[64].checked_sub(27)?).filter(|id| !id.is_x_reduced())?;
        let scalars = Scalars::from_slice(&self.0[..64]).ok()?;
        if scalars.normalize_s().is_some() {
            return None;
        }
        signer(&value.digest(), &scalars, recovery.is_y_odd())
    }
}

/// The key behind a signature over `digest`: (s·R - z·G) / r, where R is the point whose x is r.
///
/// The curve crate's own recovery verifies the signature under the key that it has found, which holds whatever the
/// signature is: with this key, (z/s)·G + (r/s)·Q is R again. It takes as long as the recovery itself.
fn signer(digest: &[u8; 32], scalars: &Scalars, y_is_odd: bool) -> Option<VerifyingKey> {
    let (r, s) = scalars.split_scalars();
    let z = <Scalar as Reduce<U256>>::reduce_bytes(&(*digest).into());
    let point = AffinePoint::decompress(&r.to_repr(), u8::from(y_is_odd).into());
    let point = ProjectivePoint::from(Option::<AffinePoint>::from(point)?);
    let inverse = *r.invert();
    let key = ProjectivePoint::lincomb(&ProjectivePoint::GENERATOR, &-(inverse * z), &point, &(inverse * *s));
    // Of a point that is none there is no key.
    VerifyingKey::from_affine(key.to_affine()).ok()
}

fn compressed(key: &VerifyingKey) -> [u8; PUBLIC_KEY_BYTES] {
    let point = key.to_encoded_point(true);
    let mut bytes = [0; PUBLIC_KEY_BYTES];
    bytes.copy_from_slice(point.as_bytes());
    bytes
}

fn address(key: &VerifyingKey) -> SigningAddress {
    let point = key.to_encoded_point(false);
    let hash = keccak_256(&[&point.as_bytes()[1..]]);
    let mut address = [0; 20];
    address.copy_from_slice(&hash[12..]);
    SigningAddress(address)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{BlockNumber, receipt::Offer};

    fn offer(expires_at: u32) -> Offer {
        Offer {
            genesis: Default::default(),
            contract: Default::default(),
            worker: Default::default(),
            user: Default::default(),
            version: Default::default(),
            split: Default::default(),
            input: Default::default(),
            expires_at: BlockNumber(expires_at),
            custody: false,
        }
    }

    #[test]
    fn the_address_is_the_one_ethereum_tools_give() {
        // The private key 1, whose address every Ethereum tool knows.
        let mut one = [0; 32];
        one[31] = 1;
        let address = SigningKey::from_secret(&one).unwrap().address();
        assert_eq!(address.to_string(), "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf");
    }

    #[test]
    fn a_signature_names_its_key_and_nothing_else() {
        let key = SigningKey::from_secret(&[7; 32]).unwrap();
        let signature = key.sign(&offer(1));
        assert_eq!(signature.key_over(&offer(1)), Some(key.public_key()));
        assert!(signature.is_by(&key.address(), &offer(1)));
        assert!(!signature.is_by(&key.address(), &offer(2)));
        assert!(matches!(signature.0[64], 27 | 28));
    }

    #[test]
    fn the_other_signature_with_the_higher_s_is_refused() {
        use k256::elliptic_curve::scalar::IsHigh;
        let key = SigningKey::from_secret(&[7; 32]).unwrap();
        let mut bytes = key.sign(&offer(1)).0;
        let scalars = Scalars::from_slice(&bytes[..64]).unwrap();
        let high = -*scalars.s();
        assert!(bool::from(high.is_high()));
        bytes[32..64].copy_from_slice(&high.to_bytes());
        bytes[64] = 27 + ((bytes[64] - 27) ^ 1);
        assert_eq!(Signature(bytes).signer_over(&offer(1)), None);
    }

    #[test]
    fn the_key_found_is_the_one_that_the_curve_crate_finds_and_verifies_and_where_it_finds_none_there_is_none() {
        let (mut found, mut none) = (0, 0);
        for seed in 1..=40_u8 {
            let key = SigningKey::from_secret(&[seed; 32]).unwrap();
            let signed = key.sign(&offer(seed.into()));
            // The signature, one with a bit turned in r, in s, and both parities; another statement's digest.
            for (at, bit) in [(0, 0), (3, 1), (31, 4), (40, 2), (64, 3)] {
                let mut bytes = signed.0;
                match (at, bit) {
                    (64, _) => bytes[64] = 55 - bytes[64],
                    (_, 0) => {}
                    (at, bit) => bytes[at] ^= 1 << bit,
                }
                let Ok(scalars) = Scalars::from_slice(&bytes[..64]) else { continue };
                let recovery = RecoveryId::from_byte(bytes[64] - 27).unwrap();
                for digest in [offer(seed.into()).digest(), offer(7).digest(), [0; 32], [255; 32]] {
                    let wanted = VerifyingKey::recover_from_prehash(&digest, &scalars, recovery).ok();
                    if scalars.normalize_s().is_none() {
                        assert_eq!(signer(&digest, &scalars, recovery.is_y_odd()), wanted, "{seed} {at} {bit}");
                        found += usize::from(wanted.is_some());
                        none += usize::from(wanted.is_none());
                    }
                }
            }
        }
        assert!(found > 400 && none > 40, "{found} keys, {none} times none");
    }

    #[test]
    fn recovery_bytes_outside_27_and_28_are_refused() {
        let mut bytes = SigningKey::from_secret(&[7; 32]).unwrap().sign(&offer(1)).0;
        for v in [0, 1, 26, 29, 30, 255] {
            bytes[64] = v;
            assert_eq!(Signature(bytes).signer_over(&offer(1)), None);
        }
    }

    #[test]
    fn zero_is_no_secret_key() {
        assert_eq!(SigningKey::from_secret(&[0; 32]).err(), Some(NotASecretKey));
    }
}
