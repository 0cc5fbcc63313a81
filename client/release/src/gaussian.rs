//! The discrete Gaussian on the integers, exactly: Canonne, Kamath, Steinke, "The Discrete Gaussian
//! for Differential Privacy" (NeurIPS 2020), algorithms 1–3. Only integers are compared, so no
//! floating-point side channel and the same samples on every machine for the same seed.
//!
//! The number of trials depends on the noise alone, never on the features.

use num_bigint::BigUint;
use rand_core::RngCore;

/// A discrete Gaussian of mean 0, P(x) ∝ exp(−x²/2σ²), with σ in thousandths of a grid unit.
#[derive(Clone, Debug)]
pub struct DiscreteGaussian {
    /// σ² = `variance_num / 10⁶`.
    variance_num: BigUint,
    /// Scale of the Laplace that is rejected from: ⌊σ⌋ + 1.
    laplace_scale: u64,
}

const VARIANCE_DEN: u64 = 1_000_000;

impl DiscreteGaussian {
    /// Of standard deviation `sigma_milli / 1000`; `None` for 0, which is no distribution.
    pub fn new(sigma_milli: u64) -> Option<Self> {
        (sigma_milli > 0).then(|| Self {
            variance_num: BigUint::from(sigma_milli) * sigma_milli,
            laplace_scale: sigma_milli / 1000 + 1,
        })
    }

    /// One sample.
    pub fn sample(&self, rng: &mut impl RngCore) -> i64 {
        loop {
            let candidate = discrete_laplace(self.laplace_scale, rng);
            let (num, den) = self.rejection(candidate.unsigned_abs());
            if bernoulli_exp(&num, &den, rng) {
                return candidate;
            }
        }
    }

    /// γ = (|y| − σ²/t)² / 2σ² as a fraction: with σ² = v/d it is (|y|·t·d − v)² / (2·v·t²·d).
    fn rejection(&self, magnitude: u64) -> (BigUint, BigUint) {
        let scaled = BigUint::from(magnitude) * self.laplace_scale * VARIANCE_DEN;
        let distance =
            if scaled >= self.variance_num { scaled - &self.variance_num } else { &self.variance_num - scaled };
        let den = BigUint::from(2u8) * &self.variance_num * self.laplace_scale * self.laplace_scale * VARIANCE_DEN;
        (&distance * &distance, den)
    }
}

/// P(x) ∝ exp(−|x|/t).
fn discrete_laplace(scale: u64, rng: &mut impl RngCore) -> i64 {
    let (big_scale, one) = (BigUint::from(scale), BigUint::from(1u8));
    loop {
        let low = uniform_below(scale, rng);
        if !bernoulli_exp(&BigUint::from(low), &big_scale, rng) {
            continue;
        }
        let mut high: u64 = 0;
        while bernoulli_exp(&one, &one, rng) {
            high += 1;
        }
        let magnitude = low.saturating_add(scale.saturating_mul(high));
        let negative = rng.next_u32() & 1 == 1;
        if negative && magnitude == 0 {
            continue;
        }
        let magnitude = i64::try_from(magnitude).unwrap_or(i64::MAX);
        return if negative { -magnitude } else { magnitude };
    }
}

/// True with probability exp(−num/den).
fn bernoulli_exp(num: &BigUint, den: &BigUint, rng: &mut impl RngCore) -> bool {
    let (whole, rest) = (num / den, num % den);
    let mut left = whole;
    while left > BigUint::ZERO {
        if !bernoulli_exp_fraction(&BigUint::from(1u8), &BigUint::from(1u8), rng) {
            return false;
        }
        left -= 1u8;
    }
    bernoulli_exp_fraction(&rest, den, rng)
}

/// True with probability exp(−num/den) for num ≤ den: the parity of the first failure of
/// Bernoulli(γ/1), Bernoulli(γ/2), …
fn bernoulli_exp_fraction(num: &BigUint, den: &BigUint, rng: &mut impl RngCore) -> bool {
    let mut trial: u32 = 1;
    while uniform_big_below(&(den * trial), rng) < *num {
        trial += 1;
    }
    trial % 2 == 1
}

/// Uniform in 0 ..= bound − 1, by rejection; `bound` > 0.
fn uniform_below(bound: u64, rng: &mut impl RngCore) -> u64 {
    let mask = u64::MAX >> (bound - 1).leading_zeros().min(63);
    loop {
        let draw = rng.next_u64() & mask;
        if draw < bound {
            return draw;
        }
    }
}

/// Uniform in 0 ..= bound − 1, by rejection; `bound` > 0.
fn uniform_big_below(bound: &BigUint, rng: &mut impl RngCore) -> BigUint {
    let bits = bound.bits();
    let mut bytes = vec![0u8; bits.div_ceil(8) as usize];
    let spare = (bytes.len() as u64 * 8 - bits) as u32;
    loop {
        rng.fill_bytes(&mut bytes);
        if let Some(top) = bytes.last_mut() {
            *top = top.checked_shr(spare).unwrap_or(0);
        }
        let draw = BigUint::from_bytes_le(&bytes);
        if draw < *bound {
            return draw;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    /// The exact probabilities of −reach ..= reach, by summing exp in f64.
    fn law(sigma: f64, reach: i64) -> Vec<f64> {
        let weights: Vec<f64> = (-reach..=reach).map(|x| (-(x as f64).powi(2) / (2.0 * sigma * sigma)).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / total).collect()
    }

    #[test]
    fn samples_follow_the_law_of_the_discrete_gaussian() {
        for (sigma_milli, reach) in [(400u64, 5i64), (1_000, 8), (3_250, 25)] {
            let gaussian = DiscreteGaussian::new(sigma_milli).unwrap();
            let mut rng = ChaCha20Rng::from_seed([sigma_milli as u8; 32]);
            let draws = 40_000;
            let mut counts = vec![0u32; (2 * reach + 1) as usize];
            for _ in 0..draws {
                let sample = gaussian.sample(&mut rng);
                assert!(sample.abs() <= reach, "σ {sigma_milli}/1000 gave {sample}");
                counts[(sample + reach) as usize] += 1;
            }
            let (mut chi_square, mut cells) = (0.0, 0);
            for (count, probability) in counts.iter().zip(law(sigma_milli as f64 / 1000.0, reach)) {
                let expected = probability * f64::from(draws);
                if expected >= 5.0 {
                    chi_square += (f64::from(*count) - expected).powi(2) / expected;
                    cells += 1;
                }
            }
            // Mean cells − 1, deviation √(2(cells − 1)): five deviations up is 1 in 10⁶, and the seed is fixed.
            let degrees = f64::from(cells - 1);
            assert!(chi_square < degrees + 5.0 * (2.0 * degrees).sqrt(), "χ² {chi_square} at {degrees} degrees");
        }
    }

    #[test]
    fn a_wide_gaussian_has_its_variance() {
        let gaussian = DiscreteGaussian::new(5_000_000_000).unwrap();
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let draws = 4_000;
        let square: f64 = (0..draws).map(|_| (gaussian.sample(&mut rng) as f64 / 5e6).powi(2)).sum();
        // The sample variance of n normals deviates by √(2/n) = 0.022; five of those.
        assert!((square / f64::from(draws) - 1.0).abs() < 0.112);
    }

    #[test]
    fn equal_seeds_give_equal_noise() {
        let gaussian = DiscreteGaussian::new(123_456).unwrap();
        let draw = |seed| gaussian.sample(&mut ChaCha20Rng::from_seed([seed; 32]));
        assert_eq!(draw(1), draw(1));
        assert_ne!((draw(1), draw(2)), (draw(2), draw(1)));
        assert!(DiscreteGaussian::new(0).is_none());
    }
}
