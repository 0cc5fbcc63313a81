//! Fresh encryptions of zero under the user's public key, which hide the weights in a response's mask.
//!
//! A response's mask is the request's public mask times the weights: whoever knows the first learns
//! much about the second. Each product therefore gets an encryption of zero added to it,
//! `u · key + (e₁, e₂)` with a uniform binary polynomial `u` and small noise. Its randomness comes from
//! ChaCha20 keyed with a seed, so that whoever holds the seed can replay it.
//!
//! Why that hides them, for a user who made the key as told. All of this is modulo two to
//! [`ParameterSet::blinding_bits`], 48 or more, scaled to 2⁶⁴; ring and secret are those of the set, and
//! the noise is relatively larger than a request's or as large as any may be:
//!
//! 1. For others, the key `(a, b) = (a, a·s + e)` cannot be told from two uniform polynomials, by ring
//!    learning with errors for the binary secret `s`; then neither can `(u·a + e₁, u·b + e₂)`, two
//!    samples of the same problem for the binary secret `u`, which only the worker has. Bodies that
//!    are not sent need no noise: a part of a sample tells no more than all of it.
//! 2. A product plus something uniform, scaled, has uniform upper bits, as many as the modulus has,
//!    whatever the product is. A response rounds to at most so many bits; the lower ones matter in a
//!    carry alone, and a carry into something uniform leaves it uniform.
//! 3. For the user, who knows `s` and `e`, the mask `u·a + e₁` is still one sample for the secret `u`,
//!    and 2 holds for it. Decrypting gives her the sums, and behind them noise: that of her request
//!    times the weights, and `e·u + e₂ − e₁·s`, one equation about `u` a body, under the rounding of
//!    the response (2¹³ times larger at 30 bits). That this does not help is analysis, not proof.
//!
//! What this does not do: a user who sends a key that is no encryption of zero, but the encryption of
//! something large, learns more about `u` from the bodies than an honest one, and with many bodies a
//! response could take the blinding off. What is left then is the rounding of the response alone. The
//! defence against that user is the price and the number of queries, which any linear map needs
//! anyway: n queries of the honest kind solve it too.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::expand::Ciphertext;
use crate::layout::WantedBody;
use crate::message::BlindingKey;
use crate::params::ParameterSet;
use crate::ring::PreparedBlindingKey;

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

/// What the products of one multiplication are blinded with.
pub struct Blinding<'a> {
    /// The user's key.
    pub key: &'a PreparedBlindingKey,
    /// The response's secret.
    pub seed: &'a BlindingSeed,
    /// Number of the first product in the response: each has an encryption of zero of its own.
    pub first: usize,
    /// The bodies of each product that the response holds.
    pub wanted: &'a [Vec<WantedBody>],
}

/// The random part of one encryption of zero.
///
/// The stream holds n/8 bytes, whose bits, lowest first, are `u`; then a byte for each coefficient of
/// the mask's noise; then one for each wanted body's.
pub(crate) struct Draw<'a> {
    stream: Zeroizing<Vec<u8>>,
    size: usize,
    /// What takes the key's modulus to 2⁶⁴, as a power of two.
    scale_log2: u32,
    wanted: &'a [WantedBody],
}

impl<'a> Draw<'a> {
    /// Encryption of zero number `index` of the response with this seed, with noise for these bodies.
    pub fn new(parameter_set: ParameterSet, seed: &BlindingSeed, index: usize, wanted: &'a [WantedBody]) -> Self {
        let size = parameter_set.polynomial_size().0;
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&(index as u64).to_le_bytes());
        let mut stream = Zeroizing::new(vec![0; size / 8 + size + wanted.len()]);
        ChaCha20::new(&seed.0.into(), &nonce.into()).apply_keystream(&mut stream);
        Self { stream, size, scale_log2: scale_log2(parameter_set), wanted }
    }

    /// The binary polynomial, eight coefficients a byte, lowest bit first.
    pub fn bits(&self) -> &[u8] {
        &self.stream[..self.size / 8]
    }

    /// The binary polynomial, a coefficient an element.
    pub fn binary(&self) -> Vec<i8> {
        self.bits().iter().flat_map(|byte| (0..8).map(move |bit| (byte >> bit & 1) as i8)).collect()
    }

    /// Adds the noise to the mask and the wanted bodies.
    #[inline(always)]
    pub fn add_noise(&self, product: &mut Ciphertext) {
        let (mask, bodies) = self.stream[self.size / 8..].split_at(self.size);
        for (coefficient, byte) in product.mask.iter_mut().zip(mask) {
            *coefficient = coefficient.wrapping_add(t_uniform(*byte) << self.scale_log2);
        }
        for (place, byte) in self.wanted.iter().zip(bodies) {
            let coefficient = &mut product.body[usize::from(place.coefficient)];
            *coefficient = coefficient.wrapping_add(t_uniform(*byte) << self.scale_log2);
        }
    }
}

fn scale_log2(parameter_set: ParameterSet) -> u32 {
    64 - u32::from(parameter_set.blinding_bits().0)
}

/// Uniform on ±2^b, the two ends half as likely: b + 1 uniform bits, plus the highest as a coin.
#[inline(always)]
fn t_uniform(byte: u8) -> u64 {
    const BOUND: u8 = 1 << BlindingKey::NOISE_BOUND_LOG2;
    const { assert!(BlindingKey::NOISE_BOUND_LOG2 + 2 <= 8, "a byte holds a value and a coin") };
    let value = (byte & (2 * BOUND - 1)) + (byte >> 7);
    u64::from(value).wrapping_sub(u64::from(BOUND))
}

/// Variance of the noise that an encryption of zero adds to a body, in units of 2⁻⁶⁴ of the torus,
/// when `u` and the secret key have at most `weight` ones.
///
/// Noise is `e · u + e₂ − e₁ · s`, where `e` is the key's noise.
pub fn blinding_variance(parameter_set: ParameterSet, weight: f64) -> f64 {
    // Source: variance of TUniform(b), (2^(2b+1) + 1) / 6.
    let fresh = (f64::from(2 * BlindingKey::NOISE_BOUND_LOG2 + 1).exp2() + 1.0) / 6.0;
    f64::from(2 * scale_log2(parameter_set)).exp2() * fresh * (1.0 + 2.0 * weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: ParameterSet = ParameterSet::Glwe2048V1;

    fn bodies() -> Vec<WantedBody> {
        (0..64).map(|at| WantedBody { coefficient: 3 * at, value: u32::from(at) }).collect()
    }

    fn noise_of(draw: &Draw<'_>) -> Ciphertext {
        let mut product = Ciphertext::zero(SET);
        draw.add_noise(&mut product);
        product
    }

    #[test]
    fn blinding_noise_has_the_stated_distribution() {
        let mut counts = [0u32; 17];
        for byte in 0..=255 {
            counts[(t_uniform(byte) as i64 + 8) as usize] += 1;
        }
        let mut wanted = [16; 17];
        (wanted[0], wanted[16]) = (8, 8);
        assert_eq!(counts, wanted);
    }

    #[test]
    fn drawn_noise_is_bounded_and_centred_and_reaches_every_mask_coefficient_and_wanted_body() {
        let seed = BlindingSeed::new([7; 32]);
        let wanted = bodies();
        let draw = Draw::new(SET, &seed, 3, &wanted);
        let noise = noise_of(&draw);
        let in_units: Vec<f64> = noise.mask.iter().map(|value| *value as i64 as f64 / 16f64.exp2()).collect();
        assert!(in_units.iter().all(|value| value.abs() <= 8.0 && value.fract() == 0.0));
        let mean = in_units.iter().sum::<f64>() / 2048.0;
        let variance = in_units.iter().map(|value| value * value).sum::<f64>() / 2048.0;
        assert!(mean.abs() < 0.5, "{mean}");
        assert!((0.9..1.1).contains(&(variance / 21.5)), "{variance}");
        assert!(noise.body.iter().filter(|value| **value != 0).count() > 50);
        assert!(noise.body.iter().enumerate().all(|(at, value)| at % 3 == 0 && at < 192 || *value == 0));
        let ones = draw.binary().iter().filter(|bit| **bit == 1).count();
        assert!(ones.abs_diff(1024) < 150, "{ones}");
    }

    #[test]
    fn one_seed_gives_different_encryptions() {
        let seed = BlindingSeed::new([7; 32]);
        let wanted = bodies();
        let [first, second] = [0, 1].map(|index| Draw::new(SET, &seed, index, &wanted));
        assert_ne!(first.bits(), second.bits());
        assert_ne!(noise_of(&first), noise_of(&second));
    }
}
