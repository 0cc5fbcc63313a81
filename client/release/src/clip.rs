//! The clip: features longer than the policy's norm are scaled down to it, in integers.

/// Scales `features` so that their L2 norm is at most `clip`, give or take the rounding of each
/// coordinate to the grid (½ each). Shorter features are left as they are.
///
/// `⌈√Σz²⌉` is used for the norm, so scaling never leaves the ball by more than that rounding.
pub fn clip(features: &mut [i64], clip: u64) {
    let norm = norm_above(features);
    if norm <= u128::from(clip) {
        return;
    }
    for z in features {
        let scaled = scale(z.unsigned_abs(), clip, norm);
        *z = if *z < 0 { -scaled } else { scaled };
    }
}

/// `⌈√Σz²⌉`, or a little above it where the squares of very long features would not fit: those are
/// measured in units of a power of two, each rounded up.
fn norm_above(features: &[i64]) -> u128 {
    const FITTING_BITS: u32 = 48;
    let largest = features.iter().map(|z| z.unsigned_abs()).max().unwrap_or(0);
    let shift = (u64::BITS - largest.leading_zeros()).saturating_sub(FITTING_BITS);
    let unit = 1u64 << shift;
    // At most 2⁹⁶ each: 2³² features fit.
    let square: u128 = features.iter().map(|z| u128::from(z.unsigned_abs().div_ceil(unit)).pow(2)).sum();
    let floor = square.isqrt();
    let norm = if floor * floor == square { floor } else { floor + 1 };
    norm << shift
}

/// `round(z × clip / norm)` for `z ≤ norm`, hence at most `clip`.
fn scale(z: u64, clip: u64, norm: u128) -> i64 {
    let product = u128::from(z) * u128::from(clip);
    let (quotient, rest) = (product / norm, product % norm);
    let rounded = quotient + u128::from(rest >= norm - rest);
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::clip;
    use proptest::prelude::*;

    #[test]
    fn short_features_are_left_alone() {
        let mut features = [3, -4];
        clip(&mut features, 5);
        assert_eq!(features, [3, -4]);
    }

    #[test]
    fn long_features_keep_their_direction() {
        let mut features = [300, -400];
        clip(&mut features, 5);
        assert_eq!(features, [3, -4]);
    }

    #[test]
    fn the_longest_features_that_there_are_do_not_overflow() {
        let mut features = [i64::MIN; 32];
        clip(&mut features, 1_000_000);
        let each = 1e6 / 32f64.sqrt();
        assert!(features.iter().all(|z| (-*z as f64 - each).abs() < 1.0), "{features:?}");
    }

    proptest! {
        #[test]
        fn clipped_features_lie_in_the_ball(mut features in prop::collection::vec(any::<i64>(), 1..40), limit in 1u64..1 << 40) {
            clip(&mut features, limit);
            let norm = features.iter().map(|z| (*z as f64).powi(2)).sum::<f64>().sqrt();
            prop_assert!(norm <= limit as f64 + 0.5 * (features.len() as f64).sqrt() + 1e-6 * limit as f64);
        }
    }
}
