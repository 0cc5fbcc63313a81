//! The secret key of one case.

use codec::{Decode, Encode};
use encompute_fhe::{
    AccumulatorBits, BlindingKey, EncryptedFeatures, EncryptedTensor, InputLayout, MaskSeed, MessageError,
    OutputLayout, ParameterSet,
};
use encompute_protocol::BlobDigest;
use std::path::Path;
use tfhe::core_crypto::commons::generators::DeterministicSeeder;
use tfhe::core_crypto::commons::math::random::Seed;
use tfhe::core_crypto::prelude::{
    CiphertextModulus, DefaultRandomGenerator, DynamicDistribution, GlweCiphertextCount, GlweDimension, GlweSecretKey,
    GlweSecretKeyOwned, GlweSize, PlaintextList, PolynomialSize, SecretRandomGenerator, SeededGlweCiphertextList,
    allocate_and_generate_new_binary_glwe_secret_key, encrypt_seeded_glwe_ciphertext_list,
};
use zeroize::{Zeroize, Zeroizing};

use crate::features::{SecretFeatures, VerifiedResponse};
use crate::lock::{KeyLock, LockError};

/// Why a tensor was not encrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// A layout of another parameter set.
    #[error("layout is of {found}, the key of {wanted}")]
    ParameterSet {
        /// The layout's set.
        found: ParameterSet,
        /// The key's set.
        wanted: ParameterSet,
    },
    /// Another number of values than the layout has.
    #[error("{found} values, the layout has {wanted}")]
    ValueCount {
        /// Values found.
        found: usize,
        /// Values of the layout.
        wanted: usize,
    },
    /// A value that does not fit the accumulator. Quantised inputs always do.
    #[error("a value does not fit {bits} bits")]
    ValueTooLarge {
        /// Bits of the accumulator.
        bits: u8,
    },
    /// An accumulator width that no parameter set has.
    #[error("accumulators of {found} bits, allowed are {} to {}", AccumulatorBits::MIN.0, AccumulatorBits::MAX.0)]
    AccumulatorBits {
        /// Bits found.
        found: u8,
    },
    /// A layout that makes no message.
    #[error("layout makes no request")]
    Message(#[from] MessageError),
}

/// Why a response was not decrypted. Nothing has been decrypted then, and no reason depends on a
/// decrypted value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// Not the response whose receipt was verified.
    #[error("response has digest {found}, the verified receipt names {verified}")]
    NotVerified {
        /// The response's digest.
        found: BlobDigest,
        /// The digest of the receipt.
        verified: BlobDigest,
    },
    /// A response or layout of another parameter set.
    #[error("{what} is of {found}, the key of {wanted}")]
    ParameterSet {
        /// Which of the two.
        what: &'static str,
        /// Its set.
        found: ParameterSet,
        /// The key's set.
        wanted: ParameterSet,
    },
    /// A response whose ciphertexts or bodies are not those of the layout.
    #[error("response holds {found} bodies in ciphertext {piece}, the layout {wanted}")]
    Shape {
        /// Index of the ciphertext.
        piece: usize,
        /// Bodies found; none if there is no such ciphertext.
        found: usize,
        /// Bodies wanted; none if the layout has no such ciphertext.
        wanted: usize,
    },
    /// An accumulator width that the response cannot hold.
    #[error("accumulators of {found} bits in a response of {response} bits")]
    AccumulatorBits {
        /// Bits found.
        found: u8,
        /// Bits of the response.
        response: u8,
    },
}

/// The FHE secret key of one case: wiped when dropped, never printed, never serialised in clear.
///
/// ```compile_fail
/// fn print(key: &encompute_keys::SecretKey) { println!("{key:?}"); }
/// ```
/// ```compile_fail
/// fn print(key: &encompute_keys::SecretKey) { println!("{key}"); }
/// ```
/// ```compile_fail
/// fn write(key: &encompute_keys::SecretKey) -> String { serde_json::to_string(key).unwrap() }
/// ```
/// ```compile_fail
/// fn copy(key: &encompute_keys::SecretKey) -> encompute_keys::SecretKey { key.clone() }
/// ```
pub struct SecretKey {
    parameter_set: ParameterSet,
    /// Zeros and ones.
    coefficients: Zeroizing<Vec<u64>>,
    blinding: BlindingKey,
}

/// What a key file holds, before sealing.
#[derive(Encode, Decode, Zeroize)]
struct StoredKey {
    #[zeroize(skip)]
    parameter_set: ParameterSet,
    bits: Vec<u8>,
    blinding: Vec<u8>,
}

/// Names the content of a key file, so that another sealed file is not taken for one.
const KEY_FILE: &[u8] = b"encompute/fhe-key/v1";

impl SecretKey {
    /// A fresh key. One case, one key: what decryption gives away is then tied to that case alone.
    pub fn generate(parameter_set: ParameterSet) -> Self {
        let mut generator = SecretRandomGenerator::<DefaultRandomGenerator>::new(fresh_seed());
        let size = PolynomialSize(parameter_set.polynomial_size().0);
        let key: GlweSecretKeyOwned<u64> =
            allocate_and_generate_new_binary_glwe_secret_key(GlweDimension(1), size, &mut generator);
        Self::from_coefficients(parameter_set, Zeroizing::new(key.into_container()))
    }

    fn from_coefficients(parameter_set: ParameterSet, coefficients: Zeroizing<Vec<u64>>) -> Self {
        let zero = vec![0; parameter_set.polynomial_size().0];
        let modulus = CiphertextModulus::new(1 << parameter_set.blinding_bits().0);
        let noise = DynamicDistribution::new_t_uniform(BlindingKey::NOISE_BOUND_LOG2);
        let (seed, body) = encrypt_polynomials(parameter_set, &coefficients, zero, modulus, noise);
        let blinding = BlindingKey::from_body(parameter_set, seed, &body)
            .expect("the body of one ciphertext is one polynomial; qed");
        Self { parameter_set, coefficients, blinding }
    }

    /// The set of its ciphertexts.
    pub fn parameter_set(&self) -> ParameterSet {
        self.parameter_set
    }

    /// Zeros and ones.
    pub(crate) fn coefficients(&self) -> &[u64] {
        &self.coefficients
    }

    /// The public key that workers blind responses with. It is fixed when the key is made.
    pub fn blinding_key(&self) -> &BlindingKey {
        &self.blinding
    }

    /// A request: `values` placed as `layout` says, each times 2^(64 − bits), under fresh masks.
    ///
    /// # Errors
    /// [`EncryptError`]; nothing has been encrypted then.
    pub fn encrypt(
        &self,
        values: &[i64],
        layout: &InputLayout,
        bits: AccumulatorBits,
    ) -> Result<EncryptedTensor, EncryptError> {
        let (found, wanted) = (layout.parameter_set(), self.parameter_set);
        if found != wanted {
            return Err(EncryptError::ParameterSet { found, wanted });
        }
        if !(AccumulatorBits::MIN..=AccumulatorBits::MAX).contains(&bits) {
            return Err(EncryptError::AccumulatorBits { found: bits.0 });
        }
        if values.iter().any(|value| value.unsigned_abs() > bits.bound() as u64) {
            return Err(EncryptError::ValueTooLarge { bits: bits.0 });
        }
        let mut message = layout
            .spread(values)
            .ok_or(EncryptError::ValueCount { found: values.len(), wanted: layout.value_count() })?;
        let encoded = message.iter().map(|value| (*value as u64) << bits.scale_log2()).collect();
        message.zeroize();
        let noise = DynamicDistribution::new_t_uniform(self.parameter_set.noise_bound_log2());
        let modulus = CiphertextModulus::new_native();
        let (seed, bodies) = encrypt_polynomials(self.parameter_set, &self.coefficients, encoded, modulus, noise);
        Ok(EncryptedTensor::from_bodies_at(self.parameter_set, layout.upload_bits(), seed, &bodies)?)
    }

    /// The sums in `features`, each rounded to the exact integer that the worker computed.
    ///
    /// # Errors
    /// [`DecryptError`], from public facts alone; nothing has been decrypted then.
    pub fn decrypt(
        &self,
        features: &EncryptedFeatures,
        layout: &OutputLayout,
        bits: AccumulatorBits,
        verified: &VerifiedResponse,
    ) -> Result<SecretFeatures, DecryptError> {
        let found = features.digest();
        if found != verified.digest() {
            return Err(DecryptError::NotVerified { found, verified: verified.digest() });
        }
        let wanted = self.parameter_set;
        for (what, found) in [("response", features.parameter_set()), ("layout", layout.parameter_set())] {
            if found != wanted {
                return Err(DecryptError::ParameterSet { what, found, wanted });
            }
        }
        let response = features.response_bits();
        if bits < AccumulatorBits::MIN || bits.0 > response.0 {
            return Err(DecryptError::AccumulatorBits { found: bits.0, response: response.0 });
        }
        let found: Vec<usize> = features.body_counts().collect();
        let wanted: Vec<usize> = layout.pieces().iter().map(Vec::len).collect();
        if found != wanted {
            let count = |counts: &[usize], piece: usize| counts.get(piece).copied().unwrap_or(0);
            let differs = |piece: &usize| count(&found, *piece) != count(&wanted, *piece);
            let piece = (0..found.len().max(wanted.len())).find(differs).unwrap_or(0);
            let (found, wanted) = (count(&found, piece), count(&wanted, piece));
            return Err(DecryptError::Shape { piece, found, wanted });
        }
        let mut values = vec![0; layout.value_count()];
        for (piece, wanted) in features.pieces().zip(layout.pieces()) {
            for (body, place) in piece.bodies.iter().zip(wanted) {
                let phase = body.wrapping_sub(self.mask_times_key(&piece.mask, usize::from(place.coefficient)));
                values[place.value as usize] = round_phase(phase, response.0, bits.0);
            }
        }
        Ok(SecretFeatures::new(values))
    }

    /// The values of a request that this key made: what went into it, for going on after a restart. A value that
    /// the request does not carry is 0.
    ///
    /// # Errors
    /// [`DecryptError`], from public facts alone.
    pub fn read_request(
        &self,
        request: &EncryptedTensor,
        layout: &InputLayout,
        bits: AccumulatorBits,
    ) -> Result<Zeroizing<Vec<i64>>, DecryptError> {
        let wanted = self.parameter_set;
        for (what, found) in [("request", request.parameter_set()), ("layout", layout.parameter_set())] {
            if found != wanted {
                return Err(DecryptError::ParameterSet { what, found, wanted });
            }
        }
        if !(AccumulatorBits::MIN..=AccumulatorBits::MAX).contains(&bits) {
            return Err(DecryptError::AccumulatorBits { found: bits.0, response: 64 });
        }
        let (found, wanted) = (request.ciphertext_count(), layout.ciphertext_count());
        if found != wanted {
            return Err(DecryptError::Shape { piece: found.min(wanted), found, wanted });
        }
        let ciphertexts = encompute_fhe::expand_tensor(request);
        let value = |slot: Option<encompute_fhe::Slot>| {
            let slot = slot?;
            let (ciphertext, at) = (ciphertexts.get(slot.ciphertext as usize)?, usize::from(slot.coefficient));
            let phase = ciphertext.body[at].wrapping_sub(self.mask_times_key(&ciphertext.mask, at));
            Some(round_phase(phase, 64, bits.0))
        };
        Ok(Zeroizing::new(layout.first_slots().into_iter().map(|slot| value(slot).unwrap_or(0)).collect()))
    }

    /// Coefficient `at` of mask times key, modulo Xⁿ + 1 and 2⁶⁴. The same instructions whatever
    /// the key is.
    fn mask_times_key(&self, mask: &[u64], at: usize) -> u64 {
        let (low, high) = self.coefficients.split_at(at + 1);
        let straight = low.iter().rev().zip(mask).map(|(key, mask)| key.wrapping_mul(*mask));
        let wrapped = high.iter().rev().zip(&mask[at + 1..]).map(|(key, mask)| key.wrapping_mul(*mask));
        straight.fold(0, u64::wrapping_add).wrapping_sub(wrapped.fold(0, u64::wrapping_add))
    }

    /// Writes the key to a new file that only its owner can read, sealed under `lock`.
    ///
    /// # Errors
    /// [`LockError`]; an existing file is never overwritten.
    pub fn seal_to_file(&self, path: &Path, lock: &KeyLock<'_>) -> Result<(), LockError> {
        crate::lock::write_new(path, &lock.seal(KEY_FILE, &self.expose_to_custodian())?)
    }

    /// The key's bytes, for the envelope to the enclave that is to act in its user's place.
    pub fn expose_to_custodian(&self) -> Zeroizing<Vec<u8>> {
        let bits = self.coefficients.chunks(8);
        let mut stored = StoredKey {
            parameter_set: self.parameter_set,
            bits: bits.map(|eight| eight.iter().rev().fold(0, |byte, bit| byte << 1 | *bit as u8)).collect(),
            blinding: self.blinding.to_bytes(),
        };
        let plain = Zeroizing::new(stored.encode());
        stored.zeroize();
        plain
    }

    /// The key in a file that [`Self::seal_to_file`] wrote.
    ///
    /// # Errors
    /// [`LockError::WrongSecret`] if the password or secret is not the one it was sealed under;
    /// [`LockError::Malformed`] if it is no key file.
    pub fn open_file(path: &Path, lock: &KeyLock<'_>) -> Result<Self, LockError> {
        let plain = lock.open(KEY_FILE, &crate::lock::read(path)?)?;
        Self::in_custody(&plain).ok_or(LockError::Malformed)
    }

    /// The key in bytes that [`Self::expose_to_custodian`] gave; none for any others.
    pub fn in_custody(plain: &[u8]) -> Option<Self> {
        let mut rest = plain;
        let stored = Zeroizing::new(StoredKey::decode(&mut rest).ok()?);
        let blinding = BlindingKey::from_bytes(&stored.blinding).ok()?;
        let parameter_set = stored.parameter_set;
        let whole = rest.is_empty() && stored.bits.len() * 8 == parameter_set.polynomial_size().0;
        if !whole || blinding.parameter_set() != parameter_set {
            return None;
        }
        // At its full length from the beginning: one that grows leaves pieces of itself behind.
        let mut coefficients = Zeroizing::new(Vec::with_capacity(parameter_set.polynomial_size().0));
        coefficients.extend(stored.bits.iter().flat_map(|byte| (0..8).map(move |bit| u64::from(byte >> bit & 1))));
        Some(Self { parameter_set, coefficients, blinding })
    }
}

/// The integer that `phase`, of `response_bits`, is nearest to when 2^`accumulator_bits` of them
/// fill the torus; as a signed number.
fn round_phase(phase: u64, response_bits: u8, accumulator_bits: u8) -> i64 {
    let spare = u32::from(response_bits - accumulator_bits);
    let half = (1u64 << spare) >> 1;
    let unsigned = phase.wrapping_add(half) >> spare;
    let shift = 64 - u32::from(accumulator_bits);
    (unsigned << shift) as i64 >> shift
}

/// A seed from the operating system's randomness.
pub(crate) fn fresh_seed() -> Seed {
    Seed(rand::random())
}

/// Encrypts encoded polynomials, one after another, under fresh masks; gives seed and bodies, scaled to
/// 2⁶⁴ if `modulus` is smaller, a power of two.
pub(crate) fn encrypt_polynomials(
    parameter_set: ParameterSet,
    key: &[u64],
    encoded: Vec<u64>,
    modulus: CiphertextModulus<u64>,
    noise: DynamicDistribution<u64>,
) -> (MaskSeed, Vec<u64>) {
    let size = parameter_set.polynomial_size().0;
    let seed = fresh_seed();
    let mut list = SeededGlweCiphertextList::new(
        0,
        GlweSize(2),
        PolynomialSize(size),
        GlweCiphertextCount(encoded.len() / size),
        seed.into(),
        modulus,
    );
    let key = GlweSecretKey::from_container(key, PolynomialSize(size));
    let mut seeder = DeterministicSeeder::<DefaultRandomGenerator>::new(fresh_seed());
    let plain = PlaintextList::from_container(encoded);
    encrypt_seeded_glwe_ciphertext_list(&key, &mut list, &plain, noise, &mut seeder);
    plain.into_container().zeroize();
    (MaskSeed(seed.0.to_le_bytes()), list.into_container())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_rounded_to_the_nearest_signed_integer() {
        // 4 bits of accumulator in 8 of response: sixteen steps to a unit.
        assert_eq!(round_phase(0x10, 8, 4), 1);
        assert_eq!(round_phase(0x17, 8, 4), 1);
        assert_eq!(round_phase(0x18, 8, 4), 2);
        assert_eq!(round_phase(0xf0, 8, 4), -1);
        assert_eq!(round_phase(0xfff8, 8, 4), 0);
        assert_eq!(round_phase(0x80, 8, 4), -8);
    }
}
