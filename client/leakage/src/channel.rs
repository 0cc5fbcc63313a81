//! What becomes of features when they are released: the twin, in floats, of `encompute_release`'s pipeline.
//!
//! Attackers train on thousands of releases of each sample, which an exact sampler would take minutes for. The
//! client's integers lie 2¹⁴ to the clip norm, so the two differ by less than a thousandth of any noise in use.

use crate::{
    matrix::Matrix,
    random::{Purpose, Random, Seed},
};

/// A release policy in units of the clip norm.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Channel {
    /// Standard deviation of the noise; 0 for none.
    pub sigma: f64,
    /// Distance between neighbouring codes; > 0.
    pub step: f64,
    /// Bits of a code, two's complement.
    pub bits: u8,
}

impl Channel {
    /// One whose codes reach four standard deviations beyond the clip norm.
    pub fn reaching(sigma: f64, bits: u8) -> Self {
        Self { sigma, step: (1.0 + 4.0 * sigma) / f64::from((1u32 << (bits.clamp(2, 16) - 1)) - 1), bits }
    }

    /// Smallest and largest code.
    pub fn code_range(&self) -> (i32, i32) {
        let half = 1i32 << (self.bits.clamp(2, 16) - 1);
        (-half, half - 1)
    }

    /// The code of a number, ties away from zero.
    pub fn code(&self, value: f64) -> i32 {
        let (least, most) = self.code_range();
        // Held within the range first: a cast of a larger number would be held to the ends of its type.
        libm::round(value / self.step).clamp(f64::from(least), f64::from(most)) as i32
    }

    /// The standard deviation of noise and of rounding together.
    pub fn spread(&self) -> f64 {
        (self.sigma * self.sigma + self.step * self.step / 12.0).sqrt()
    }

    /// Releases features once, clipped first: `[samples, features]`, as the tail takes them.
    pub fn releases(&self, features: &Matrix, seed: Seed) -> Matrix<f64> {
        self.released(&clipped(features), &mut Random::new(seed, Purpose::Victims))
    }

    /// Releases clipped features once: `[samples, features]` codes times the step, as the tail takes them.
    pub(crate) fn released(&self, clipped: &Matrix<f64>, random: &mut Random) -> Matrix<f64> {
        let noised = clipped.values().iter().map(|value| value + self.sigma * random.normal());
        let values = noised.map(|value| f64::from(self.code(value)) * self.step).collect();
        Matrix::new(clipped.columns(), values).unwrap_or_else(|| clipped.clone())
    }

    /// The mean of several releases with fresh noise.
    pub(crate) fn released_mean(&self, clipped: &Matrix<f64>, times: usize, random: &mut Random) -> Matrix<f64> {
        let mut total = self.released(clipped, random);
        for _ in 1..times {
            let more = self.released(clipped, random);
            total.values_mut().iter_mut().zip(more.values()).for_each(|(sum, value)| *sum += value);
        }
        total.map(|sum| sum / times.max(1) as f64)
    }
}

/// Features held to the clip norm, in units of it.
pub fn clipped(features: &Matrix) -> Matrix<f64> {
    let mut clipped = features.map(f64::from);
    for row in 0..clipped.rows() {
        let row = clipped.row_mut(row);
        let norm = row.iter().map(|value| value * value).sum::<f64>().sqrt().max(1.0);
        row.iter_mut().for_each(|value| *value /= norm);
    }
    clipped
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_rounded_and_held_to_their_range() {
        let channel = Channel { sigma: 0.0, step: 0.1, bits: 4 };
        assert_eq!([0.04, 0.06, -0.25, 9.0, -9.0].map(|value| channel.code(value)), [0, 1, -3, 7, -8]);
        assert_eq!(Channel::reaching(0.15, 5).step, 1.6 / 15.0);
    }

    #[test]
    fn the_mean_of_sixteen_releases_has_a_quarter_of_the_spread() {
        let (channel, zeros) = (Channel::reaching(0.2, 8), Matrix::zeros(4_000, 1));
        let mut random = Random::new(Seed(3), Purpose::Victims);
        let mut spread = |times| {
            let released = channel.released_mean(&zeros, times, &mut random);
            (released.values().iter().map(|value| value * value).sum::<f64>() / 4_000.0).sqrt()
        };
        assert!(
            (spread(1) / channel.spread() - 1.0).abs() < 0.05 && (spread(16) / channel.spread() - 0.25).abs() < 0.02
        );
    }

    #[test]
    fn long_features_are_clipped_and_short_ones_kept() {
        let clipped = clipped(&Matrix::new(2, vec![3.0, -4.0, 0.3, -0.4]).unwrap());
        let wanted = [0.6, -0.8, 0.3, -0.4];
        clipped.values().iter().zip(wanted).for_each(|(found, wanted)| assert!((found - wanted).abs() < 1e-7));
    }
}
