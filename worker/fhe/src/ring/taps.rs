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

/// A polynomial behind its own negation: its product with Xᵏ is a window of it.
pub(crate) struct Extended {
    mask: Vec<u64>,
    body: Vec<u64>,
}

impl Extended {
    /// Both polynomials of a ciphertext.
    pub fn new(input: &Ciphertext) -> Self {
        let extend = |polynomial: &[u64]| {
            polynomial.iter().map(|value| value.wrapping_neg()).chain(polynomial.iter().copied()).collect()
        };
        Self { mask: extend(&input.mask), body: extend(&input.body) }
    }
}

/// Adds to each output the products of all inputs with its row of `taps`, modulo Xⁿ + 1 and 2⁶⁴.
pub(crate) fn add_products<L: Lanes>(l: L, inputs: &[Extended], taps: &[Taps], outputs: &mut [Ciphertext]) {
    l.run(
        #[inline(always)]
        || {
            for (output, row) in outputs.iter_mut().zip(taps.chunks_exact(inputs.len())) {
                for (input, taps) in inputs.iter().zip(row) {
                    shift_and_add(&mut output.mask, &input.mask, taps);
                    shift_and_add(&mut output.body, &input.body, taps);
                }
            }
        },
    );
}

/// Coefficients that are summed before they are stored: as many as registers hold.
const HELD: usize = 32;

#[inline(always)]
fn shift_and_add(sum: &mut [u64], input: &[u64], taps: &Taps) {
    let size = sum.len();
    for (chunk, sum) in sum.as_chunks_mut::<HELD>().0.iter_mut().enumerate() {
        let mut held = *sum;
        for (at, weight) in taps {
            let weight = i64::from(*weight) as u64;
            let window = &input[size + chunk * HELD - at..][..HELD];
            for (held, value) in held.iter_mut().zip(window) {
                *held = held.wrapping_add(value.wrapping_mul(weight));
            }
        }
        *sum = held;
    }
}
