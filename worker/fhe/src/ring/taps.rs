//! Products with few weights, by shifting and adding: exact by construction.

use super::lanes::Lanes;
use crate::expand::Ciphertext;

/// Most weights of one polynomial for which shifting and adding is worth it.
pub(crate) const TAPS_LIMIT: usize = 25;

/// The non-zero weights of one polynomial: where, and how much.
pub(crate) type Taps = Vec<(usize, i8)>;

/// The taps of a polynomial, or `None` if there are more than [`TAPS_LIMIT`].
pub(crate) fn taps(polynomial: &[i8]) -> Option<Taps> {
    let taps: Taps =
        polynomial.iter().enumerate().filter(|(_, weight)| **weight != 0).map(|(at, weight)| (at, *weight)).collect();
    (taps.len() <= TAPS_LIMIT).then_some(taps)
}

/// Adds `input · taps` to `sum`, modulo Xⁿ + 1 and 2⁶⁴.
pub(crate) fn add_product<L: Lanes>(l: L, sum: &mut Ciphertext, input: &Ciphertext, taps: &Taps) {
    l.run(
        #[inline(always)]
        || shift_and_add(sum, input, taps),
    );
}

#[inline(always)]
fn shift_and_add(sum: &mut Ciphertext, input: &Ciphertext, taps: &Taps) {
    for (sum, input) in [(&mut sum.mask, &input.mask), (&mut sum.body, &input.body)] {
        for (at, weight) in taps {
            let weight = i64::from(*weight) as u64;
            let (kept, wrapped) = input.split_at(input.len() - at);
            let (low, high) = sum.split_at_mut(*at);
            for (into, from) in high.iter_mut().zip(kept) {
                *into = into.wrapping_add(from.wrapping_mul(weight));
            }
            for (into, from) in low.iter_mut().zip(wrapped) {
                *into = into.wrapping_sub(from.wrapping_mul(weight));
            }
        }
    }
}
