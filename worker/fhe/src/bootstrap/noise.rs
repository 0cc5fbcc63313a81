//! The noise of a bootstrap, and what follows from it.
//!
//! Variances are in units of 2⁻⁶⁴ of the torus, squared. Formulas: those of `tfhe` 1.8.2
//! (`noise_formulas::lwe_programmable_bootstrap`, `lwe_keyswitch`, and the centred modulus switch), written for
//! binary keys; a test holds them to it, and others hold bootstraps to them.

use super::carried::CARRIED_BITS;
use super::eights::{DIGIT_BITS, REST_BITS};
use super::fourier::SIZE;
use super::keyswitch::TURN_BITS;
use super::params::{BootstrapSet, KEYSWITCH_DIGIT_BITS, KEYSWITCH_LEVELS};
use super::table::Table;

/// Variance of what rounding in doubles adds to each coefficient of mask and body, at each step of a rotation.
///
/// A bound on what random steps have against exact products, and close to it: a test in `rotate` holds it to both. The
/// key multiplies what is added to the mask, which makes 2^86.8 of it, beside 2^86.9 of the key's noise.
pub(crate) const STEP_ROUNDING_VARIANCE: f64 = 1.7 * (1u128 << 76) as f64;

/// Mean of the square of a signed digit of `bits`: that of a uniform one, and of its mean of −½.
fn digit_energy(bits: u32) -> f64 {
    f64::from(2 * bits).exp2() / 12.0 + 1.0 / 6.0
}

/// Variance of TUniform(b).
fn uniform_variance(bound_log2: u32) -> f64 {
    (f64::from(2 * bound_log2 + 1).exp2() + 1.0) / 6.0
}

/// Variance of a value rounded to a multiple of 2^`bits`.
fn step_variance(bits: u32) -> f64 {
    f64::from(2 * bits).exp2() / 12.0
}

impl BootstrapSet {
    /// Variance of the noise of every bootstrapped value, whatever went in.
    ///
    /// Per bit of the small key: the noise of the bootstrap key and the rounding of its bodies, times 2·2048 digits
    /// of 23 bits; what the digits leave off, half of the time; and the rounding of doubles, in the body and, times the
    /// key, in the mask.
    pub fn output_variance(self) -> f64 {
        let key = self.ring().noise_variance() + self.body_bits().variance();
        let products = 2.0 * SIZE as f64 * digit_energy(DIGIT_BITS) * key;
        let rounded = (step_variance(REST_BITS) / 2.0 + STEP_ROUNDING_VARIANCE) * (1.0 + SIZE as f64 / 2.0);
        self.lwe_dimension().0 as f64 * (products + rounded)
    }

    /// Variance of each of `together` values that were packed into one ciphertext, of `input_variance` before.
    ///
    /// A value and its noise are doubled at each of the log₂ `together` levels, exactly, and its level adds the noise of
    /// one change of key, which the levels behind it double: t²·input + (4ˡ⁻¹ + … + 4 + 1)·change, t being 2ˡ.
    /// A change of key: the noise of the packing key and the rounding of its bodies, times 2048 digits of 23 bits; what
    /// the digits leave off, half of the time; and half the rounding of a step, which has twice the products.
    ///
    /// Source: Chen, Dai, Kim, Song, "Efficient homomorphic conversion between (ring) LWE ciphertexts", algorithm 2, of
    /// whose automorphisms none moves a coefficient that a value is in.
    pub fn packed_variance(self, input_variance: f64, together: usize) -> f64 {
        let key = self.ring().noise_variance() + self.body_bits().variance();
        let products = SIZE as f64 * digit_energy(DIGIT_BITS) * key;
        let left_off = step_variance(REST_BITS) * SIZE as f64 / 2.0;
        let rounding = STEP_ROUNDING_VARIANCE / 2.0 * (1.0 + SIZE as f64 / 2.0);
        let change = products + left_off + rounding;
        let squared = together as f64 * together as f64;
        squared * input_variance + (squared - 1.0) / 3.0 * change
    }

    /// Variance that a value gains where it is put aside whole between two calls: the rounding of its body and of every
    /// coefficient of its mask, for a key of ones, the heaviest that there is.
    pub fn carried_variance(self) -> f64 {
        step_variance(64 - u32::from(CARRIED_BITS)) * (1.0 + self.ring().polynomial_size().0 as f64)
    }

    /// Variance of what key switching and modulus switching add before a table decides.
    ///
    /// The keyswitch key's noise times 2048·4 digits of four bits; what the digits leave off, half of the time; the
    /// rounding to turns, whose expectation is taken off, of the mask at a quarter of its variance, and of the body.
    pub fn decision_variance(self) -> f64 {
        let key = uniform_variance(self.lwe_noise_bound_log2()) * 64f64.exp2();
        let inputs = self.ring().polynomial_size().0 as f64;
        let products = inputs * KEYSWITCH_LEVELS as f64 * digit_energy(KEYSWITCH_DIGIT_BITS) * key;
        let left_off = inputs / 2.0 * step_variance(64 - KEYSWITCH_DIGIT_BITS * KEYSWITCH_LEVELS as u32);
        let turn = step_variance(32 + TURN_BITS);
        products + left_off + turn * (self.lwe_dimension().0 as f64 / 4.0 + 1.0)
    }

    /// Base-two logarithm of an upper bound on the probability that a value is taken for one of another bin, if its
    /// noise has `input_variance` and the nearest edge of its bin is `distance` away, both scaled to 2⁶⁴.
    ///
    /// An exact four-bit value lies half a [`Table::BIN_WIDTH`] from either edge. A wide accumulator may lie anywhere:
    /// then the bin that its noise carries it to is the next one, at worst.
    pub fn misrounding_log2(self, input_variance: f64, distance: f64) -> f64 {
        let deviations = distance / (input_variance + self.decision_variance()).sqrt();
        two_sided_tail_log2(deviations)
    }

    /// The same for an exact four-bit value.
    pub fn failure_log2(self, input_variance: f64) -> f64 {
        self.misrounding_log2(input_variance, Table::BIN_WIDTH as f64 / 2.0)
    }

    /// Share of uniformly spread accumulators that are taken for the neighbouring bin: mean noise over the bin width.
    pub fn misrounded_share(self, input_variance: f64) -> f64 {
        let deviation = (input_variance + self.decision_variance()).sqrt();
        deviation * core::f64::consts::FRAC_2_PI.sqrt() / Table::BIN_WIDTH as f64
    }
}

/// log₂ of an upper bound on P(|x| ≥ z) for a standard normal x: the Chernoff bound below one deviation, then
/// Mills' ratio, √(2/π)·exp(−z²/2)/z.
fn two_sided_tail_log2(z: f64) -> f64 {
    let chernoff = 1.0 - z * z / 2.0 * core::f64::consts::LOG2_E;
    let mills = 0.5 * core::f64::consts::FRAC_2_PI.log2() - z * z / 2.0 * core::f64::consts::LOG2_E - z.log2();
    if z >= 1.0 { mills } else { chernoff.min(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfhe::core_crypto::commons::noise_formulas::lwe_keyswitch::keyswitch_additive_variance_132_bits_security_tuniform;
    use tfhe::core_crypto::commons::noise_formulas::lwe_programmable_bootstrap::pbs_variance_132_bits_security_tuniform_fft_mul;
    use tfhe::core_crypto::commons::noise_formulas::secure_noise::minimal_lwe_bound_for_132_bits_security_tuniform;
    use tfhe::core_crypto::prelude::{
        DecompositionBaseLog, DecompositionLevelCount, GlweDimension, LweDimension, PolynomialSize,
    };

    const SET: BootstrapSet = BootstrapSet::FourBitsV1;

    #[test]
    fn noise_of_the_small_key_is_at_least_what_the_estimator_asks_for() {
        let dimension = LweDimension(SET.lwe_dimension().0);
        assert!(
            SET.lwe_noise_bound_log2() >= minimal_lwe_bound_for_132_bits_security_tuniform(dimension, 32f64.exp2())
        );
        assert!(SET.is_production() && !BootstrapSet::ToyV1.is_production());
    }

    #[test]
    fn variances_are_those_of_the_library_up_to_the_rounding_of_doubles_and_bodies() {
        let scale = 128f64.exp2();
        let (dimension, modulus) = (LweDimension(SET.lwe_dimension().0), 64f64.exp2());
        let keyswitch = keyswitch_additive_variance_132_bits_security_tuniform(
            LweDimension(SIZE),
            dimension,
            DecompositionBaseLog(4),
            DecompositionLevelCount(4),
            modulus,
            32f64.exp2(),
        );
        let turns = step_variance(32 + TURN_BITS) * (SET.lwe_dimension().0 as f64 / 4.0 + 1.0);
        let ratio = (SET.decision_variance() - turns) / (keyswitch.0 * scale);
        assert!((0.95..1.05).contains(&ratio), "keyswitch {ratio}");
        // The library's term for the rounding of doubles was fitted to its own transform.
        let rotation = pbs_variance_132_bits_security_tuniform_fft_mul(
            dimension,
            GlweDimension(1),
            PolynomialSize(SIZE),
            DecompositionBaseLog(23),
            DecompositionLevelCount(1),
            53.0,
            modulus,
        );
        let ratio = SET.output_variance() / (rotation.0 * scale);
        assert!((0.95..1.15).contains(&ratio), "rotation {ratio}");
    }

    #[test]
    fn a_value_that_is_put_aside_gains_a_thousandth_of_a_fresh_ones_noise_at_most() {
        assert!(SET.carried_variance() < SET.output_variance() / 1_000.0, "{}", SET.carried_variance());
    }

    #[test]
    fn a_fresh_and_a_summed_value_fail_less_often_than_once_in_two_to_the_128() {
        let output = SET.output_variance();
        assert!(SET.failure_log2(SET.ring().noise_variance()) < -128.0);
        assert!(SET.failure_log2(output) < -128.0);
        // The library's largest sum of bootstrapped values: a 2-norm of five.
        assert!(SET.failure_log2(25.0 * output) < -128.0, "{}", SET.failure_log2(25.0 * output));
        assert!(SET.failure_log2(400.0 * output) > -128.0);
    }
}
