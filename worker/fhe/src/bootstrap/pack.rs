//! Many values in one ring ciphertext.
//!
//! Two ciphertexts with values at the multiples of 2n/t become one with values at those of n/t: the second, times
//! X^(n/t), added to the first, and their difference after X ↦ X^(t + 1) added to that. The automorphism leaves the
//! multiples of 2n/t where they are and negates what lies in the middle between two of them; so values are doubled, and
//! at each value's place what the other ciphertext has there goes away. After an automorphism the key is another
//! polynomial, and the digits of the mask are multiplied with an encryption of that one.
//!
//! Source: Chen, Dai, Kim, Song, "Efficient homomorphic conversion between (ring) LWE ciphertexts" (2020), algorithm 2,
//! without the trace that clears the other coefficients: nobody is sent those.

use super::eights::Eights;
use super::fourier::{Fourier, ROWS, SIZE};
use super::key::PreparedEvaluationKey;
use super::params::PACKING_LEVELS;
use super::rotate::{Accumulator, KeyRow, Polynomial, Workspace, add_switched, turned};
use super::sample::LweCiphertext;
use crate::expand::Ciphertext;

/// Most values that [`Bootstrapper::pack`](crate::Bootstrapper::pack) brings into one ciphertext.
pub const MOST_PACKED: usize = 1 << PACKING_LEVELS;

impl PreparedEvaluationKey {
    /// At most `together` values, a power of two, in one ciphertext.
    pub(crate) fn pack<L: Eights>(
        &self,
        l: L,
        fourier: &Fourier,
        values: &[LweCiphertext],
        together: usize,
    ) -> Ciphertext {
        let mut workspace = Workspace::new();
        let mut parts: Vec<Accumulator> = values.iter().map(Accumulator::of_one).collect();
        parts.resize_with(together, Accumulator::zero);
        let levels = self.packing.chunks_exact(ROWS).zip(self.set().packing_exponents());
        for (rows, exponent) in levels.take(together.ilog2() as usize) {
            let half = parts.len() / 2;
            let (even, odd) = parts.split_at_mut(half);
            for (even, odd) in even.iter_mut().zip(&*odd) {
                join(l, fourier, rows, exponent, even, odd, &mut workspace);
            }
            parts.truncate(half);
        }
        let Accumulator { mask, body } = &parts[0];
        Ciphertext { mask: mask.0.to_vec(), body: body.0.to_vec() }
    }
}

/// Puts the values of `odd` in the middle between those of `even`, and doubles all.
fn join<L: Eights>(
    l: L,
    fourier: &Fourier,
    key: &[KeyRow],
    exponent: usize,
    even: &mut Accumulator,
    odd: &Accumulator,
    workspace: &mut Workspace,
) {
    // An exponent is the number of values after it, plus one.
    let apart = (SIZE / (exponent - 1)) as u16;
    let differences = [(&mut even.mask, &odd.mask), (&mut even.body, &odd.body)].map(|(even, odd)| {
        let mut difference = turned(odd, apart);
        for (even, odd) in even.0.iter_mut().zip(&mut difference.0) {
            (*even, *odd) = (even.wrapping_add(*odd), even.wrapping_sub(*odd));
        }
        substituted(&difference, exponent)
    });
    let [mask, body] = differences;
    even.body.0.iter_mut().zip(&body.0).for_each(|(into, from)| *into = into.wrapping_add(*from));
    add_switched(l, fourier, key, &mask, even, workspace);
}

/// The polynomial with X to the `exponent`, an odd one, in the place of X.
fn substituted(polynomial: &Polynomial, exponent: usize) -> Polynomial {
    let mut substituted = Polynomial([0; SIZE]);
    for (at, value) in polynomial.0.iter().enumerate() {
        match at * exponent % (2 * SIZE) {
            to if to < SIZE => substituted.0[to] = *value,
            to => substituted.0[to - SIZE] = value.wrapping_neg(),
        }
    }
    substituted
}

impl Accumulator {
    fn zero() -> Self {
        Self { mask: Polynomial([0; SIZE]), body: Polynomial([0; SIZE]) }
    }

    /// The ciphertext that holds `value`, of whole length, in front: what [`Self::first_value`] takes out of it.
    fn of_one(value: &LweCiphertext) -> Self {
        let mut ciphertext = Self::zero();
        ciphertext.body.0[0] = value.body;
        ciphertext.mask.0[0] = value.mask[0];
        let wrapped = ciphertext.mask.0[1..].iter_mut().zip(value.mask[1..].iter().rev());
        wrapped.for_each(|(into, from)| *into = from.wrapping_neg());
        ciphertext
    }
}
