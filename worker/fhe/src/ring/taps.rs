//! Products with few weights, by shifting and adding: exact by construction.

use super::lanes::Lanes;
use crate::expand::Ciphertext;

/// Nanoseconds at 2048 coefficients on one core with AVX-512: of adding one tap of a ciphertext; of transforming
/// one ciphertext there or back, two limbs of mask and body; of one product of spectra. All grow with the size.
///
/// Source: lower quartiles of the heads in `encompute-head`'s `measure`, and of 128×768 · 768×768 both ways.
const TAP_NS: usize = 430;
const TRANSFORM_NS: usize = 8_000;
const PRODUCT_NS: usize = 1_400;

/// The non-zero weights of one polynomial: where, and how much.
pub(crate) type Taps = Vec<(usize, i8)>;

/// The taps of all polynomials, if shifting and adding them is cheaper than going through spectra.
pub(crate) fn cheaper(inputs: usize, outputs: usize, polynomials: &[Vec<i8>]) -> Option<Vec<Taps>> {
    let found: usize = polynomials.iter().flatten().filter(|weight| **weight != 0).count();
    let spectra = (inputs + outputs) * TRANSFORM_NS + inputs * outputs * PRODUCT_NS;
    (found * TAP_NS <= spectra).then(|| polynomials.iter().map(|polynomial| taps(polynomial)).collect())
}

fn taps(polynomial: &[i8]) -> Taps {
    polynomial.iter().enumerate().filter(|(_, weight)| **weight != 0).map(|(at, weight)| (at, *weight)).collect()
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
