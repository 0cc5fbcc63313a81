//! Fresh encryptions of zero under the user's public key, which hide the weights in a response's mask.
//!
//! A response's mask is the request's public mask times the weights: whoever knows the first learns
//! much about the second. Adding an encryption of zero makes it pseudo-random. Its randomness comes
//! from ChaCha20 keyed with a seed, so that whoever holds the seed can replay it.
//!
//! What this does not do: a user who sends a key that is no encryption of zero, but the encryption of
//! something large, learns more about `u` from the bodies than an honest one, and with many bodies a
//! response could take the blinding off. What is left then is the rounding of the response alone. The
//! defence against that user is the price and the number of queries, which any linear map needs
//! anyway: n queries of the honest kind solve it too.
//!
//! Bytes drawn per encryption, nonce = its index, little-endian, then zeros: `n/8` bytes for the
//! binary polynomial `u`, then 4 bytes for each noise coefficient, mask first. The low b + 1 bits
//! are uniform and the highest bit adds one, which gives TUniform(b).

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use rayon::prelude::*;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::expand::{Ciphertext, expand_blinding_key};
use crate::message::BlindingKey;
use crate::params::{ParameterSet, UploadBits};
use crate::ring::{Ring, RingError, WeightPolynomials};

/// Bytes of a blinding seed.
pub const BLINDING_SEED_BYTES: usize = 32;

/// The secret that fixes the encryptions of zero of one response. Whoever knows it can take them
/// off again, so it never leaves the worker; one seed, one response.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct BlindingSeed([u8; BLINDING_SEED_BYTES]);

impl BlindingSeed {
    /// The seed with these bytes, which must be unpredictable to everyone else.
    pub fn new(bytes: [u8; BLINDING_SEED_BYTES]) -> Self {
        Self(bytes)
    }
}

/// The random part of one encryption of zero.
struct Draw {
    binary: Vec<i8>,
    noise: Ciphertext,
}

impl Draw {
    fn new(parameter_set: ParameterSet, seed: &BlindingSeed, index: u32) -> Self {
        let size = parameter_set.polynomial_size().0;
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&index.to_le_bytes());
        let mut stream = vec![0; size / 8 + 8 * size];
        ChaCha20::new(&seed.0.into(), &nonce.into()).apply_keystream(&mut stream);
        let (bits, rest) = stream.split_at(size / 8);
        let (mask, body) = rest.split_at(4 * size);
        let noise = |bytes: &[u8]| {
            let words = bytes.as_chunks::<4>().0;
            words.iter().map(|word| t_uniform(parameter_set, u32::from_le_bytes(*word))).collect()
        };
        let draw = Self {
            binary: bits.iter().flat_map(|byte| (0..8).map(move |bit| (byte >> bit & 1) as i8)).collect(),
            noise: Ciphertext { mask: noise(mask), body: noise(body) },
        };
        stream.zeroize();
        draw
    }
}

/// Uniform on ±2^b, the two ends half as likely: a uniform value of b + 1 bits, plus a coin.
fn t_uniform(parameter_set: ParameterSet, word: u32) -> u64 {
    let word = u64::from(word);
    let bound = 1u64 << parameter_set.noise_bound_log2();
    (word & (2 * bound - 1)).wrapping_add(word >> 31).wrapping_sub(bound)
}

impl Ring {
    /// `count` encryptions of zero under `key`, the `i`-th from the `i`-th stream of `seed`.
    ///
    /// Each is `u · key + noise` with a uniform binary `u`: its own noise has the variance that
    /// [`blinding_variance`] gives.
    ///
    /// # Errors
    /// [`RingError::InputSize`] if the key is of another parameter set.
    pub fn encryptions_of_zero(
        &self,
        key: &BlindingKey,
        seed: &BlindingSeed,
        count: usize,
    ) -> Result<Vec<Ciphertext>, RingError> {
        if key.parameter_set() != self.parameter_set() {
            return Err(RingError::InputSize { index: 0, parameter_set: self.parameter_set() });
        }
        let draws: Vec<Draw> =
            (0..count as u32).into_par_iter().map(|index| Draw::new(self.parameter_set(), seed, index)).collect();
        let (binary, noise): (Vec<_>, Vec<_>) = draws.into_iter().map(|draw| (draw.binary, draw.noise)).unzip();
        let weights = self.prepare(WeightPolynomials::new(count, 1, binary)?)?;
        let mut zeros = self.multiply(&[expand_blinding_key(key)], &weights)?;
        zeros.iter_mut().zip(&noise).for_each(|(zero, noise)| zero.add(noise));
        Ok(zeros)
    }
}

/// Variance of the noise that an encryption of zero adds to a body, in units of 2⁻⁶⁴ of the torus,
/// when `u` and the secret key have at most `weight` ones.
///
/// Noise is `e · u + e₂ − e₁ · s`, where `e` is the key's noise with its upload rounding.
pub fn blinding_variance(parameter_set: ParameterSet, weight: f64) -> f64 {
    let fresh = parameter_set.noise_variance();
    (fresh + UploadBits::BLINDING_KEY.variance()) * weight + fresh * (1.0 + weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blinding_noise_is_bounded_and_centred() {
        let seed = BlindingSeed::new([7; 32]);
        let set = ParameterSet::Glwe2048V1;
        let draw = Draw::new(set, &seed, 3);
        let noise: Vec<f64> =
            draw.noise.mask.iter().chain(&draw.noise.body).map(|value| *value as i64 as f64).collect();
        assert!(noise.iter().all(|value| value.abs() <= 17f64.exp2()));
        let variance = noise.iter().map(|value| value * value).sum::<f64>() / noise.len() as f64;
        assert!((0.9..1.1).contains(&(variance / set.noise_variance())), "{variance}");
        let ones = draw.binary.iter().filter(|bit| **bit == 1).count();
        assert!(ones.abs_diff(1024) < 150, "{ones}");
    }

    #[test]
    fn one_seed_gives_different_encryptions() {
        let seed = BlindingSeed::new([7; 32]);
        let [first, second] = [0, 1].map(|index| Draw::new(ParameterSet::Toy256V1, &seed, index));
        assert_ne!(first.binary, second.binary);
        assert_ne!(first.noise, second.noise);
    }
}
