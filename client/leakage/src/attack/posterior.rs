//! The best of all attackers who hold an archive of candidates: Bayes' rule over what noise and rounding can do.
//!
//! Nothing is trained. For each candidate the probability of the very codes that were released follows from its
//! features in closed form, rounding and the ends of the code range included.

use crate::{channel::Channel, matrix::Matrix};
use rayon::prelude::*;

/// Features up to which each code's probability is exact; of more, or of finer codes, the codes count as numbers
/// with Gaussian noise of the same spread.
const EXACT_FEATURES: usize = 64;
/// Bits of a code up to which its probability is exact.
const EXACT_BITS: u8 = 8;

/// `ln p(release | candidate)`, up to a number that is the same for all candidates: `[releases, candidates]`.
pub fn log_likelihoods(channel: &Channel, candidates: &Matrix<f64>, released: &Matrix<f64>) -> Matrix<f64> {
    if candidates.columns() <= EXACT_FEATURES && channel.bits <= EXACT_BITS && channel.sigma > 0.0 {
        return exact(channel, candidates, released);
    }
    gaussian(channel.spread(), candidates, released)
}

/// The same for numbers with Gaussian noise of standard deviation `spread`.
pub fn gaussian(spread: f64, candidates: &Matrix<f64>, released: &Matrix<f64>) -> Matrix<f64> {
    let norms: Vec<f64> = candidates.each_row().map(|row| row.iter().map(|value| value * value).sum()).collect();
    let mut found = released.times(&candidates.transposed());
    let scale = 1.0 / (spread * spread).max(f64::MIN_POSITIVE.sqrt());
    for row in 0..found.rows() {
        found.row_mut(row).iter_mut().zip(&norms).for_each(|(value, norm)| *value = (*value - norm / 2.0) * scale);
    }
    found
}

fn exact(channel: &Channel, candidates: &Matrix<f64>, released: &Matrix<f64>) -> Matrix<f64> {
    let (least, most) = channel.code_range();
    let codes = (most - least + 1) as usize;
    let by_feature = candidates.transposed();
    // For each feature a line of candidates for every code: looked up and added, release by release.
    let tables: Vec<Matrix<f64>> = (0..by_feature.rows())
        .into_par_iter()
        .map(|feature| {
            let line = by_feature.row(feature);
            Matrix::from_fn(codes, line.len(), |code, at| log_probability(channel, least + code as i32, line[at]))
        })
        .collect();
    let mut found = Matrix::zeros(released.rows(), candidates.rows());
    let width = candidates.rows().max(1);
    found.values_mut().par_chunks_mut(width).enumerate().for_each(|(row, sums)| {
        for (value, table) in released.row(row).iter().zip(&tables) {
            let line = table.row((channel.code(*value) - least) as usize);
            sums.iter_mut().zip(line).for_each(|(sum, more)| *sum += more);
        }
    });
    found
}

/// `ln` of the probability that `value`, noised, has that code.
fn log_probability(channel: &Channel, code: i32, value: f64) -> f64 {
    let (least, most) = channel.code_range();
    let end = |half: f64| ((f64::from(code) + half) * channel.step - value) / channel.sigma;
    let low = if code == least { f64::NEG_INFINITY } else { end(-0.5) };
    let high = if code == most { f64::INFINITY } else { end(0.5) };
    // The nearer tail keeps its digits; of the other, 1 would be left.
    let (near, far) = if low > -high { (low, high) } else { (-high, -low) };
    let probability =
        0.5 * (libm::erfc(near / core::f64::consts::SQRT_2) - libm::erfc(far / core::f64::consts::SQRT_2));
    match probability > 1e-280 {
        true => libm::log(probability),
        // Mills' ratio, where the tail is beyond what a number holds; the far end does not count there.
        false => -0.5 * near * near - libm::log(near.max(1.0) * core::f64::consts::TAU.sqrt()),
    }
}

/// What each candidate is worth to the attacker: `[releases, candidates]`, each row sums to 1.
pub fn weights(log_likelihoods: &Matrix<f64>) -> Matrix {
    let mut found = log_likelihoods.map(|value| value as f32);
    let width = found.columns().max(1);
    found.values_mut().par_chunks_mut(width).enumerate().for_each(|(row, out)| {
        let line = log_likelihoods.row(row);
        let most = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = line.iter().map(|value| libm::exp(value - most)).collect();
        let total: f64 = weights.iter().sum();
        out.iter_mut().zip(&weights).for_each(|(out, weight)| *out = (weight / total) as f32);
    });
    found
}

/// Bits that each release tells of an archive in which its own candidate is `own`: `log₂ p(y|x) − log₂ mean p(y|·)`.
/// The mean over releases is the mutual information if all candidates are as likely.
pub fn information_bits(log_likelihoods: &Matrix<f64>, own: &[usize]) -> Vec<f64> {
    let of_release = |(line, own): (&[f64], &usize)| {
        let most = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mean = line.iter().map(|value| libm::exp(value - most)).sum::<f64>() / line.len() as f64;
        (line[*own] - most - libm::log(mean)) / core::f64::consts::LN_2
    };
    log_likelihoods.each_row().zip(own).map(of_release).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_probabilities_of_all_codes_sum_to_one() {
        for (sigma, bits) in [(0.15, 5), (0.02, 4), (1.5, 6)] {
            let channel = Channel::reaching(sigma, bits);
            let (least, most) = channel.code_range();
            for value in [-1.0, -0.31, 0.0, 0.9999] {
                let total: f64 = (least..=most).map(|code| log_probability(&channel, code, value).exp()).sum();
                assert!((total - 1.0).abs() < 1e-12, "{channel:?} {value}: {total}");
            }
        }
    }

    #[test]
    fn a_code_far_away_is_as_unlikely_as_the_law_of_its_tail() {
        let channel = Channel { sigma: 0.01, step: 0.1, bits: 8 };
        // Codes 5 and 6 from 0: the tails beyond 45 and 55 deviations.
        let (five, six) = (log_probability(&channel, 5, 0.0), log_probability(&channel, 6, 0.0));
        assert!((five - (-1012.5 - (45.0f64 * 2.506_628).ln())).abs() < 0.01, "{five}");
        assert!((six - five + 500.2).abs() < 0.01 && (log_probability(&channel, -5, 0.0) - five).abs() < 1e-9);
    }

    #[test]
    fn one_of_two_far_apart_tells_one_bit_and_one_of_two_equals_none() {
        let channel = Channel::reaching(0.05, 6);
        let released = Matrix::new(1, vec![0.95, -0.95]).unwrap();
        let bits = |candidates: Vec<f64>| {
            let candidates = Matrix::new(1, candidates).unwrap();
            information_bits(&log_likelihoods(&channel, &candidates, &released), &[0, 1])
        };
        assert!(bits(vec![0.9, -0.9]).iter().all(|bits| (bits - 1.0).abs() < 1e-9));
        assert!(bits(vec![0.9, 0.9]).iter().all(|bits| bits.abs() < 1e-9));
    }

    #[test]
    fn candidates_that_are_as_likely_have_equal_weight() {
        let logs = Matrix::new(3, vec![-1_000.0, -1_000.0, -2_000.0]).unwrap();
        assert_eq!(weights(&logs).values(), [0.5, 0.5, 0.0]);
    }
}
