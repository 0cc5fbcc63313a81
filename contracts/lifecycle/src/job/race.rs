//! The weighted race, in integers.

use core::cmp::Ordering;

/// Bits behind the point of a logarithm.
const FRACTION: u32 = 48;

/// When a worker arrives: `-ln u / weight` up to a factor that is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// `-log₂ u` in parts of 2⁴⁸.
    distance: u64,
    /// How fast: 1 to 2³².
    weight: u64,
}

impl Arrival {
    /// Of a worker to which `number` fell: `u` is `(number + 1) / 2⁶⁴`.
    pub(super) fn of(number: u64, weight: u64) -> Self {
        let whole = 64_u64 << FRACTION;
        Self { distance: whole.saturating_sub(log2(u128::from(number) + 1)), weight: weight.max(1) }
    }
}

impl Ord for Arrival {
    /// By `distance / weight`. The products are below 2⁵⁴ · 2³², so exact.
    fn cmp(&self, other: &Self) -> Ordering {
        let product = |distance: u64, weight: u64| u128::from(distance) * u128::from(weight);
        product(self.distance, other.weight).cmp(&product(other.distance, self.weight))
    }
}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `log₂ number` in parts of 2⁴⁸, for 1 to 2⁶⁴: the place of the highest bit, then a bit for each squaring of what is
/// left, a number from one to two. Each squaring drops less than 2⁻⁶³ of it, which 48 of them double to 2⁻¹⁵ of the
/// last bit's place at most.
fn log2(number: u128) -> u64 {
    // 64 at most.
    let place = 127_u32.saturating_sub(number.max(1).leading_zeros());
    let mut left = (number << 63) >> place;
    let mut log = u64::from(place);
    for _ in 0..FRACTION {
        left = (left * left) >> 63;
        let bit = left >> 64;
        left >>= bit;
        log = (log << 1) | bit as u64;
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_those_of_floating_point() {
        let one = (1_u64 << FRACTION) as f64;
        let mut number = 0x2545_f491_4f6c_dd1d_u64;
        for at in 0..20_000_u32 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(at.into());
            // Of every length.
            let number = number >> (at % 64);
            let wanted = (number as f64 + 1.0).log2();
            let found = log2(u128::from(number) + 1) as f64 / one;
            assert!((wanted - found).abs() < 1e-12, "{number}: {found}, {wanted}");
        }
        assert_eq!((log2(1), log2(1 << 64)), (0, 64 << FRACTION));
    }

    #[test]
    fn who_weighs_more_arrives_before_who_has_the_same_number() {
        assert!(Arrival::of(7, 2) < Arrival::of(7, 1));
        assert!(Arrival::of(8, 1) < Arrival::of(7, 1));
        assert_eq!(Arrival::of(u64::MAX, 1).cmp(&Arrival::of(u64::MAX, 1 << 32)), Ordering::Equal);
    }
}
