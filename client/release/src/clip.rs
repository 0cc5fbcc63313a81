//! The clip: features longer than the policy's norm are scaled down to it, in integers.

/// Scales `features` so that their L2 norm is at most `clip`, give or take the rounding of each
/// coordinate to the grid (½ each). Shorter features are left as they are.
///
/// `⌈√Σz²⌉` is used for the norm, so scaling never leaves the ball by more than that rounding.
pub fn clip(features: &mut [i64], clip: u64) {
    let square: u128 = features.iter().map(|z| u128::from(z.unsigned_abs()).pow(2)).fold(0, u128::saturating_add);
    if square <= u128::from(clip).pow(2) {
        return;
    }
    let floor = square.isqrt();
    let norm = if floor * floor == square { floor } else { floor + 1 };
    for z in features {
        let scaled = scale(z.unsigned_abs(), clip, norm);
        *z = if *z < 0 { -scaled } else { scaled };
    }
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

    proptest! {
        #[test]
        fn clipped_features_lie_in_the_ball(mut features in prop::collection::vec(any::<i64>(), 1..40), limit in 1u64..1 << 40) {
            clip(&mut features, limit);
            let norm = features.iter().map(|z| (*z as f64).powi(2)).sum::<f64>().sqrt();
            prop_assert!(norm <= limit as f64 + 0.5 * (features.len() as f64).sqrt() + 1e-6 * limit as f64);
        }
    }
}
