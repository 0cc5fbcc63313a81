//! Random numbers that are the same everywhere: ChaCha20 from a seed and a purpose.

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// What all randomness of a report follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Seed(pub u64);

/// Which random numbers: no two purposes share any.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// Noise of what attackers learn from.
    Learning = 1,
    /// Noise of what they are tried on.
    Victims = 2,
    /// A decoder's first weights and the order of its samples.
    Decoder = 3,
    /// Directions in which an input is changed.
    Directions = 4,
    /// Noise of repeated releases.
    Repeats = 5,
    /// Where searches start.
    Starts = 6,
}

/// Uniform and normal numbers.
pub(crate) struct Random {
    source: ChaCha20Rng,
    spare: Option<f64>,
}

impl Random {
    pub fn new(seed: Seed, purpose: Purpose) -> Self {
        let mut source = ChaCha20Rng::seed_from_u64(seed.0);
        source.set_stream(purpose as u64);
        Self { source, spare: None }
    }

    /// Within `(0, 1)`, 53 bits.
    fn unit(&mut self) -> f64 {
        ((self.source.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let (radius, turn) = ((-2.0 * libm::log(self.unit())).sqrt(), core::f64::consts::TAU * self.unit());
        self.spare = Some(radius * libm::sin(turn));
        radius * libm::cos(turn)
    }

    /// `+1` or `−1`.
    pub fn sign(&mut self) -> f64 {
        if self.source.next_u32() & 1 == 0 { 1.0 } else { -1.0 }
    }

    /// The numbers below `count` in random order.
    pub fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for at in (1..count).rev() {
            // The bias of a remainder of 64 bits is below 2⁻⁴⁰ for any sample set.
            let other = (self.source.next_u64() % (at as u64 + 1)) as usize;
            order.swap(at, other);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_the_moments_of_the_normal_law() {
        let mut random = Random::new(Seed(7), Purpose::Victims);
        let numbers: Vec<f64> = (0..40_000).map(|_| random.normal()).collect();
        let moment = |power| numbers.iter().map(|number| number.powi(power)).sum::<f64>() / 40_000.0;
        assert!(moment(1).abs() < 0.02 && (moment(2) - 1.0).abs() < 0.03 && (moment(4) - 3.0).abs() < 0.15);
    }

    #[test]
    fn purposes_share_no_numbers_and_seeds_repeat() {
        let first = |seed, purpose| Random::new(Seed(seed), purpose).normal();
        assert_eq!(first(1, Purpose::Victims).to_bits(), first(1, Purpose::Victims).to_bits());
        assert_ne!(first(1, Purpose::Victims).to_bits(), first(1, Purpose::Decoder).to_bits());
    }
}
