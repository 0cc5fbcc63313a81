//! Fresh encryptions of zero under the user's public key, which hide the weights in a response's mask.
//!
//! A response's mask is the request's public mask times the weights: whoever knows the first learns
//! much about the second. Each product therefore gets an encryption of zero added to it,
//! `u · key + (e₁, e₂)` with a ternary polynomial `u` and small noise. Its randomness comes from AES-256
//! keyed with a seed, so that whoever holds the seed can replay it.
//!
//! Why that hides them, for a user who made the key as told. All of this is modulo two to
//! [`ParameterSet::blinding_modulus`], 42 or more, scaled to 2⁶⁴; ring and secret are those of the set, and
//! the noise is relatively larger than a request's or as large as any may be:
//!
//! 1. For others, the key `(a, b) = (a, a·s + e)` cannot be told from two uniform polynomials, by ring
//!    learning with errors for the binary secret `s`; nor can its upper bits, which are uniform if it is.
//!    Then neither can `(u·a + e₁, u·b + e₂)`, two samples of the same problem for the secret `u`, which only
//!    the worker has. `u` is ternary with half its coefficients zero, as homomorphic encryption's
//!    standard has it: no easier to find than a binary one, and around zero, so that its products with `s` and
//!    with a key's rounding stay small. Bodies that are not sent need no noise: a part of a sample tells no
//!    more than all of it.
//! 2. A product plus something uniform, scaled, has uniform upper bits, as many as the modulus has,
//!    whatever the product is. A response rounds to at most so many bits; the lower ones matter in a
//!    carry alone, and a carry into something uniform leaves it uniform.
//! 3. For the user, who knows `s` and `e`, the mask `u·a + e₁` is still one sample for the secret `u`,
//!    and 2 holds for it. Decrypting gives her the sums, and behind them noise: that of her request
//!    times the weights, and `e′·u + e₂ − e₁·s`, one equation about `u` a body, under the rounding of
//!    the response. Modulo 2⁴², e′ is mostly the rounding of the key's mask times `s`, standard deviation 9,
//!    and the rounding of a response of 30 bits 2¹⁵: 2048 bodies together narrow the variance of a coefficient
//!    of `u` by a part in 2¹⁴. That this does not help is analysis, not proof.
//!
//! What this does not do: a user who sends a key that is no encryption of zero, but the encryption of
//! something large, learns more about `u` from the bodies than an honest one, and with many bodies a
//! response could take the blinding off. What is left then is the rounding of the response alone. The
//! defence against that user is the price and the number of queries, which any linear map needs
//! anyway: n queries of the honest kind solve it too.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes256, Block};
use pulp::bytemuck::{cast_slice, cast_slice_mut};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::expand::{BLOCK_BYTES, Ciphertext};
use crate::layout::WantedBody;
use crate::message::BlindingKey;
use crate::params::{ParameterSet, ResponseBits, UploadBits};
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
    /// The response's width, which decides the modulus of its encryptions of zero.
    pub response_bits: ResponseBits,
    /// Number of the first product in the response: each has an encryption of zero of its own.
    pub first: usize,
    /// The bodies of each product that the response holds.
    pub wanted: &'a [Vec<WantedBody>],
}

/// Polynomials that share a stream, a bit of each byte for each.
pub(crate) const POLYNOMIALS_TOGETHER: usize = 8;

/// Set in the number of a stream that holds polynomials; others hold noise.
const OF_POLYNOMIALS: u64 = 1 << 63;

/// Where the encryptions of zero of one response come from: streams of AES-256 in counter mode.
pub(crate) struct Source {
    cipher: Aes256,
    size: usize,
    scale_log2: u32,
}

impl Source {
    /// Encryptions of zero modulo two to `width`, from this seed.
    pub fn new(parameter_set: ParameterSet, width: UploadBits, seed: &BlindingSeed) -> Self {
        let size = parameter_set.polynomial_size().0;
        Self { cipher: Aes256::new(&seed.0.into()), size, scale_log2: 64 - u32::from(width.0) }
    }

    /// So many bytes of a stream, and what fills the last block up.
    fn stream(&self, number: u64, bytes: usize) -> Zeroizing<Vec<u128>> {
        let counter = |block: usize| ((u128::from(number) << 64) | block as u128).to_le();
        let mut stream = Zeroizing::new((0..bytes.div_ceil(BLOCK_BYTES)).map(counter).collect::<Vec<u128>>());
        self.cipher.encrypt_blocks(Block::cast_slice_from_core_mut(cast_slice_mut(&mut stream)));
        stream
    }

    /// The polynomials of eight encryptions of zero from number `first` on.
    pub fn ternaries(&self, first: usize) -> Ternaries {
        let (group, shift) = ((first / POLYNOMIALS_TOGETHER) as u64, first % POLYNOMIALS_TOGETHER);
        let mut columns = self.stream(OF_POLYNOMIALS | group, 2 * self.size);
        if shift > 0 {
            let next = self.stream(OF_POLYNOMIALS | (group + 1), 2 * self.size);
            let bytes = cast_slice_mut::<_, u8>(&mut columns).iter_mut().zip(cast_slice::<_, u8>(&next));
            bytes.for_each(|(byte, next)| *byte = (*byte >> shift) | (next << (POLYNOMIALS_TOGETHER - shift)));
        }
        Ternaries { columns, size: self.size }
    }

    /// The noise of encryption of zero number `index`, for the mask and these bodies.
    pub fn noise<'a>(&self, index: usize, wanted: &'a [WantedBody]) -> Noise<'a> {
        let stream = self.stream(index as u64, self.size + wanted.len());
        Noise { stream, size: self.size, scale_log2: self.scale_log2, wanted }
    }
}

/// Eight polynomials with coefficients −1, 0 and 1, half of them 0.
pub(crate) struct Ternaries {
    /// A byte for each coefficient, then as many again: a polynomial's is its bit of the first minus that of
    /// the second.
    columns: Zeroizing<Vec<u128>>,
    size: usize,
}

impl Ternaries {
    /// For each coefficient, which polynomials have a one there, and which a minus one, or neither if in both.
    pub fn columns(&self) -> [&[u8]; 2] {
        let (plus, minus) = cast_slice::<_, u8>(&self.columns).split_at(self.size);
        [plus, minus]
    }

    /// One of the polynomials, a coefficient an element.
    pub fn polynomial(&self, at: usize) -> Vec<i8> {
        let [plus, minus] = self.columns();
        let bit = |byte: u8| (byte >> at & 1) as i8;
        plus.iter().zip(minus).map(|(plus, minus)| bit(*plus) - bit(*minus)).collect()
    }
}

/// The noise of one encryption of zero: a byte for each coefficient of the mask, then one for each wanted body.
pub(crate) struct Noise<'a> {
    // Wiped a block at a time: a byte at a time takes as long as drawing it.
    stream: Zeroizing<Vec<u128>>,
    size: usize,
    /// What takes the modulus to 2⁶⁴, as a power of two.
    scale_log2: u32,
    wanted: &'a [WantedBody],
}

impl Noise<'_> {
    /// Adds it to the mask and the wanted bodies.
    #[inline(always)]
    pub fn add_to(&self, product: &mut Ciphertext) {
        // A copy: what is read from self again after each store keeps the loop from being vectors.
        let scale_log2 = self.scale_log2;
        let (mask, bodies) = cast_slice::<_, u8>(&self.stream).split_at(self.size);
        for (coefficient, byte) in product.mask.iter_mut().zip(mask) {
            *coefficient = coefficient.wrapping_add(t_uniform(*byte) << scale_log2);
        }
        let body = product.body.as_mut_slice();
        for (place, byte) in self.wanted.iter().zip(bodies) {
            let coefficient = &mut body[usize::from(place.coefficient)];
            *coefficient = coefficient.wrapping_add(t_uniform(*byte) << scale_log2);
        }
    }
}

/// Uniform on ±2^b, the two ends half as likely: b + 1 uniform bits, plus the highest as a coin.
#[inline(always)]
fn t_uniform(byte: u8) -> u64 {
    const BOUND: u8 = 1 << BlindingKey::NOISE_BOUND_LOG2;
    const { assert!(BlindingKey::NOISE_BOUND_LOG2 + 2 <= 8, "a byte holds a value and a coin") };
    let value = (byte & (2 * BOUND - 1)) + (byte >> 7);
    u64::from(value).wrapping_sub(u64::from(BOUND))
}

/// Variance of the noise that an encryption of zero adds to a body of a response of this width, in units of
/// 2⁻⁶⁴ of the torus, when `u` has at most `weight` coefficients that are not zero and the secret key at most
/// as many ones. Strictly: what bounds its tail as the variance of a normal distribution does, but for a
/// chance of two to `tail_log2` a key; without that the mean over keys.
///
/// Noise is `e′ · u + e₂ − e₁ · s`, where `e′` is the key's noise.
pub fn blinding_variance(
    parameter_set: ParameterSet,
    response: ResponseBits,
    weight: f64,
    tail_log2: Option<f64>,
) -> f64 {
    // Source: variance of TUniform(b), (2^(2b+1) + 1) / 6.
    let fresh = (f64::from(2 * BlindingKey::NOISE_BOUND_LOG2 + 1).exp2() + 1.0) / 6.0;
    let (full, width) = (parameter_set.blinding_bits().0, parameter_set.blinding_modulus(response).0);
    let of_key = if width == full {
        fresh * weight
    } else {
        // A rounded key's e′ is e, smaller by what was dropped, and the rounding of its body and of its mask
        // times s. Times s its coefficients depend on each other, so that only their largest square bounds what
        // u makes of them: a coefficient of u has variance 1/2.
        let size = parameter_set.polynomial_size().0 as f64;
        let dropped = f64::from(2 * (full - width)).exp2();
        let coefficient = fresh / dropped + (1.0 + weight) / 12.0;
        let tail = |log2: f64| 2.0 * (1.0 + size.log2() - log2) * core::f64::consts::LN_2;
        let largest_square = coefficient * tail_log2.map_or(1.0, tail);
        size * largest_square / 2.0
    };
    f64::from(2 * (64 - u32::from(width))).exp2() * (fresh * (1.0 + weight) + of_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: ParameterSet = ParameterSet::Glwe2048V1;

    fn bodies() -> Vec<WantedBody> {
        (0..64).map(|at| WantedBody { coefficient: 3 * at, value: u32::from(at) }).collect()
    }

    fn noise_of(noise: &Noise<'_>) -> Ciphertext {
        let mut product = Ciphertext::zero(SET);
        noise.add_to(&mut product);
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
        let noise = noise_of(&Source::new(SET, SET.blinding_bits(), &seed).noise(3, &wanted));
        let in_units: Vec<f64> = noise.mask.iter().map(|value| *value as i64 as f64 / 16f64.exp2()).collect();
        assert!(in_units.iter().all(|value| value.abs() <= 8.0 && value.fract() == 0.0));
        let mean = in_units.iter().sum::<f64>() / 2048.0;
        let variance = in_units.iter().map(|value| value * value).sum::<f64>() / 2048.0;
        assert!(mean.abs() < 0.5, "{mean}");
        assert!((0.9..1.1).contains(&(variance / 21.5)), "{variance}");
        assert!(noise.body.iter().filter(|value| **value != 0).count() > 50);
        assert!(noise.body.iter().enumerate().all(|(at, value)| at % 3 == 0 && at < 192 || *value == 0));
    }

    #[test]
    fn half_of_a_drawn_polynomial_is_zero_and_a_quarter_each_one_and_minus_one() {
        let drawn = Source::new(SET, SET.blinding_bits(), &BlindingSeed::new([7; 32])).ternaries(0);
        for at in 0..POLYNOMIALS_TOGETHER {
            let polynomial = drawn.polynomial(at);
            let [minus, zero, plus] = [-1, 0, 1].map(|wanted| polynomial.iter().filter(|x| **x == wanted).count());
            assert_eq!(minus + zero + plus, 2048);
            assert!(zero.abs_diff(1024) < 150 && minus.abs_diff(512) < 130, "{minus}, {zero}, {plus}");
        }
    }

    #[test]
    fn a_polynomial_does_not_depend_on_those_that_it_is_drawn_with() {
        let source = Source::new(SET, SET.blinding_bits(), &BlindingSeed::new([7; 32]));
        let alone = source.ternaries(13).polynomial(0);
        assert_eq!(source.ternaries(8).polynomial(5), alone);
        assert_eq!(source.ternaries(10).polynomial(3), alone);
        assert_ne!(source.ternaries(10).polynomial(2), alone);
    }

    #[test]
    fn one_seed_gives_different_encryptions() {
        let seed = BlindingSeed::new([7; 32]);
        let wanted = bodies();
        let source = Source::new(SET, SET.blinding_bits(), &seed);
        let [first, second] = [0, 1].map(|index| source.noise(index, &wanted));
        assert_ne!(noise_of(&first), noise_of(&second));
    }
}
