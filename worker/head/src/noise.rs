//! Why every output of a head is exact.
//!
//! All noise terms are symmetric and bounded, and uniform, TUniform and rounding errors are strictly
//! sub-Gaussian: a weighted sum with variance `v` exceeds `t` with probability at most
//! `2·exp(−t²/2v)`. That is a bound, not an estimate, and slightly stronger than the usual quantiles
//! of a normal distribution (13.4σ instead of 13.1σ for 2⁻¹²⁸). What comes out of bootstraps has the variance of
//! the formulas that are known for them, which take digits of ciphertexts for random ones.

use codec::{Decode, Encode};
use encompute_fhe::{ParameterSet, blinding_variance};

use crate::chain::{LookupProof, farther_log2};
use crate::plan::RoundPlan;

/// A head is refused unless the chance that any of its outputs is wrong is at most 2 to this.
pub const FAILURE_LOG2_LIMIT: i32 = -128;

/// Two to this bounds the chance that a key or a blinding polynomial has more coefficients that are not zero
/// than [`largest_weight`], and that of a blinding key with larger noise than is reckoned with.
const WEIGHT_TAIL_LOG2: f64 = -160.0;

/// What was proved about one round: part of the version, and printed for its user.
///
/// Logarithms are base two, in thousandths, rounded up; variances are in units of 2⁻⁶⁴ of the torus.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NoiseProof {
    /// Index of the round.
    pub round: u16,
    /// Number of outputs that are all exact.
    pub outputs: u32,
    /// Bits of the largest integer that is sent, sign included: the largest sum that the weights and the input domain
    /// can give, or the largest value of the last tables.
    pub worst_sum_bits: u8,
    /// Bits that the plan has for what is sent.
    pub accumulator_bits: u8,
    /// Euclidean norm of the weights that meet in one product.
    pub weight_norm_log2_milli: i32,
    /// Variance of encryption and upload rounding, behind the weights; of bootstraps and packing behind a chain.
    pub input_variance_log2_milli: i32,
    /// Variance of the response's rounding.
    pub response_variance_log2_milli: i32,
    /// Variance of the encryption of zero that blinds the response.
    pub blinding_variance_log2_milli: i32,
    /// Noise up to this magnitude is rounded away.
    pub margin_log2: u8,
    /// The chance that any output of the round is wrong is at most 2 to this: that it is decrypted to another integer,
    /// or that a lookup takes an accumulator for one farther away than the neighbouring bin.
    pub failure_log2: i32,
    /// The lookups of the round's chain.
    pub lookups: Vec<LookupProof>,
}

/// More ones than this a uniform binary polynomial has with a chance of at most 2^−160; and no ternary one
/// whose coefficients are zero half the time has more that are not.
///
/// Source: Hoeffding, P(weight ≥ n/2 + t) ≤ exp(−2t²/n).
fn largest_weight(parameter_set: ParameterSet) -> f64 {
    let size = parameter_set.polynomial_size().0 as f64;
    size / 2.0 + (size * -WEIGHT_TAIL_LOG2 * core::f64::consts::LN_2 / 2.0).sqrt()
}

/// log₂(2^a + 2^b).
pub(crate) fn add_log2(a: f64, b: f64) -> f64 {
    let (large, small) = if a > b { (a, b) } else { (b, a) };
    large + (small - large).exp2().ln_1p() / core::f64::consts::LN_2
}

pub(crate) fn milli(log2: f64) -> i32 {
    (log2 * 1000.0).ceil() as i32
}

/// The largest and smallest sums that one row of weights can give.
fn extremes(weights: &[i8], low: i64, high: i64) -> (i64, i64) {
    weights.iter().map(|weight| i64::from(*weight)).fold((0, 0), |(least, most), weight| {
        let (a, b) = (weight * low, weight * high);
        (least + a.min(b).min(0), most + a.max(b).max(0))
    })
}

/// Bits of the largest sum over all outputs, sign included.
pub(crate) fn worst_sum_bits(round_input: crate::plan::Domain, weights: &[i8], outputs: usize) -> u8 {
    let per_output = weights.len() / outputs.max(1);
    let worst = weights
        .chunks(per_output.max(1))
        .map(|row| extremes(row, round_input.min(), round_input.max()))
        .map(|(least, most)| most.max(-least))
        .max()
        .unwrap_or(0);
    // A sum of magnitude `worst` needs 2^(bits − 1) > worst.
    (65 - worst.leading_zeros()) as u8
}

/// Variances of an output's noise where the products meet weights of squared norm `energy` and the key has `weight`
/// ones: of encryption and upload, of the response's rounding, of blinding.
/// What blinding adds is expected, or bounds all but keys of a chance of two to `tail_log2`.
pub(crate) fn variances(
    parameter_set: ParameterSet,
    round: &RoundPlan,
    energy: u64,
    weight: f64,
    tail_log2: Option<f64>,
) -> [f64; 3] {
    let [response, blinding] = response_variances(parameter_set, round, weight, tail_log2);
    [input_variance(parameter_set, round, energy), response, blinding]
}

/// Variance of encryption and upload rounding behind weights of squared norm `energy`.
pub(crate) fn input_variance(parameter_set: ParameterSet, round: &RoundPlan, energy: u64) -> f64 {
    energy as f64 * (parameter_set.noise_variance() + round.upload_bits.variance())
}

fn response_variances(parameter_set: ParameterSet, round: &RoundPlan, weight: f64, tail_log2: Option<f64>) -> [f64; 2] {
    let response = round.response_bits.variance() * (1.0 + weight);
    [response, blinding_variance(parameter_set, round.response_bits, weight, tail_log2)]
}

/// What a round sends, and with what noise.
pub(crate) struct Sent {
    /// Squared norm of the weights that meet in one product of the round's layer.
    pub energy: u64,
    /// Variance of what is sent, before blinding and the response's rounding.
    pub variance: f64,
    /// Ciphertexts of the response.
    pub pieces: usize,
    /// Bits of the largest integer, sign included.
    pub worst_bits: u8,
    /// The lookups behind it.
    pub lookups: Vec<LookupProof>,
}

/// What can be proved about `round`, which sends this.
pub(crate) fn prove(parameter_set: ParameterSet, index: usize, round: &RoundPlan, sent: Sent) -> NoiseProof {
    let outputs = round.sums().len();
    let weight = largest_weight(parameter_set);
    let [response, blinding] = response_variances(parameter_set, round, weight, Some(WEIGHT_TAIL_LOG2));
    let accumulator_bits = round.response_accumulator_bits().0;
    let margin_log2 = 63 - accumulator_bits;
    let margin = f64::from(margin_log2).exp2();
    let exponent = margin * margin / (2.0 * (sent.variance + response + blinding)) * core::f64::consts::LOG2_E;
    let noise = 1.0 + (outputs.max(1) as f64).log2() - exponent;
    // The key, the blinding key, and one ternary polynomial for each blinded ciphertext.
    let heavy = WEIGHT_TAIL_LOG2 + (2.0 + sent.pieces as f64).log2();
    let failure = add_log2(add_log2(noise, heavy), farther_log2(&sent.lookups));
    NoiseProof {
        round: index as u16,
        outputs: outputs as u32,
        worst_sum_bits: sent.worst_bits,
        accumulator_bits,
        weight_norm_log2_milli: milli((sent.energy.max(1) as f64).log2() / 2.0),
        input_variance_log2_milli: milli(sent.variance.max(1.0).log2()),
        response_variance_log2_milli: milli(response.log2()),
        blinding_variance_log2_milli: milli(blinding.log2()),
        margin_log2,
        failure_log2: failure.ceil() as i32,
        lookups: sent.lookups,
    }
}

impl NoiseProof {
    /// Variance of an output's noise as the proof bounds it, in units of 2⁻⁶⁴ of the torus.
    pub fn variance(&self) -> f64 {
        let terms =
            [self.input_variance_log2_milli, self.response_variance_log2_milli, self.blinding_variance_log2_milli];
        terms.iter().map(|milli| (f64::from(*milli) / 1_000.0).exp2()).sum()
    }

    /// True if nothing that is sent can overflow and the failure bound is below two to `limit_log2`.
    pub fn holds(&self, limit_log2: i32) -> bool {
        self.worst_sum_bits <= self.accumulator_bits && self.failure_log2 <= limit_log2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Domain;

    #[test]
    fn worst_sums_take_the_domain_into_account() {
        assert_eq!(extremes(&[3, -2], 0, 255), (-510, 765));
        assert_eq!(extremes(&[3, -2], -128, 127), (-3 * 128 - 2 * 127, 3 * 127 + 2 * 128));
        // 765 needs ten bits and a sign; 510 alone would need nine.
        assert_eq!(worst_sum_bits(Domain::U8, &[3, -2], 1), 11);
        assert_eq!(worst_sum_bits(Domain::U8, &[0, 0], 2), 1);
    }

    #[test]
    fn small_terms_do_not_vanish_from_a_sum_of_probabilities() {
        assert!((add_log2(-130.0, -130.0) + 129.0).abs() < 1e-9);
        assert!((add_log2(-200.0, -130.0) + 130.0).abs() < 1e-9);
    }
}
