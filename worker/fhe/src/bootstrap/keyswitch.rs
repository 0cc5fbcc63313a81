//! From the large key to the small one, and from 2³² to the 4096 turns of a table.

use super::eights::Eights;
use super::params::{BootstrapSet, KEYSWITCH_DIGIT_BITS, KEYSWITCH_LEVELS};
use super::sample::LweCiphertext;

/// Values of 32 bits that a row is filled up to, so that every register is whole.
const LINE: usize = 16;
/// Half the range of a digit.
const DIGIT_HALF: u64 = 1 << (KEYSWITCH_DIGIT_BITS - 1);
/// Bits of a coefficient that are decomposed.
const DECOMPOSED_BITS: u32 = KEYSWITCH_DIGIT_BITS * KEYSWITCH_LEVELS as u32;
/// Bits of 2³² below one turn of a table, of which there are 4096.
pub(crate) const TURN_BITS: u32 = 32 - 12;

/// The encryptions of the large key's bits, each at all levels, lowest first: rows of mask, body, zeros.
pub(crate) struct KeyswitchKey {
    pub rows: Vec<u32>,
    lwe_dimension: usize,
}

impl KeyswitchKey {
    pub fn zero(set: BootstrapSet) -> Self {
        let lwe_dimension = set.lwe_dimension().0;
        let inputs = set.ring().polynomial_size().0;
        Self { rows: vec![0; inputs * KEYSWITCH_LEVELS * stride(lwe_dimension)], lwe_dimension }
    }

    /// The rows of one bit of the large key.
    pub fn blocks(&mut self) -> core::slice::ChunksExactMut<'_, u32> {
        self.rows.chunks_exact_mut(KEYSWITCH_LEVELS * stride(self.lwe_dimension))
    }

    /// How far each table must turn: for each input the amounts of the mask, then that of the body.
    ///
    /// The key is read once for all inputs, so a batch should have several.
    pub fn turns<L: Eights>(&self, l: L, inputs: &[&LweCiphertext]) -> Vec<Vec<u16>> {
        let stride = stride(self.lwe_dimension);
        let mut switched = vec![0u32; inputs.len() * stride];
        l.run(
            #[inline(always)]
            || {
                for (at, rows) in self.rows.chunks_exact(KEYSWITCH_LEVELS * stride).enumerate() {
                    for (input, into) in inputs.iter().zip(switched.chunks_exact_mut(stride)) {
                        subtract_products(l, &digits(input.mask[at]), rows, into);
                    }
                }
            },
        );
        let bodies = inputs.iter().map(|input| (input.body.wrapping_add(1 << 31) >> 32) as u32);
        let switched = switched.chunks_exact(stride).zip(bodies);
        switched
            .map(|(row, body)| turns(&row[..self.lwe_dimension], row[self.lwe_dimension].wrapping_add(body)))
            .collect()
    }
}

/// Values of one row.
pub(crate) fn stride(lwe_dimension: usize) -> usize {
    (lwe_dimension + 1).next_multiple_of(LINE)
}

/// The signed digits of the nearest multiple of 2⁴⁸, lowest first, modulo 2³².
#[inline(always)]
fn digits(value: u64) -> [u32; KEYSWITCH_LEVELS] {
    let mut rest = value.wrapping_add(1 << (63 - DECOMPOSED_BITS)) >> (64 - DECOMPOSED_BITS);
    core::array::from_fn(
        #[inline(always)]
        |_| {
            let digit = rest & (2 * DIGIT_HALF - 1);
            let borrowed = u64::from(digit >= DIGIT_HALF);
            rest = (rest >> KEYSWITCH_DIGIT_BITS) + borrowed;
            (digit as u32).wrapping_sub((borrowed as u32) << KEYSWITCH_DIGIT_BITS)
        },
    )
}

/// Subtracts the rows of one bit of the large key, times the digits.
#[inline(always)]
fn subtract_products<L: Eights>(l: L, digits: &[u32; KEYSWITCH_LEVELS], rows: &[u32], into: &mut [u32]) {
    let (first, second) = rows.split_at(2 * into.len());
    let ((a, b), (c, d)) = (first.split_at(into.len()), second.split_at(into.len()));
    let [a, b, c, d] = [lines(a), lines(b), lines(c), lines(d)];
    for ((((into, a), b), c), d) in into.as_chunks_mut().0.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        l.subtract_products(digits, [a, b, c, d], into);
    }
}

#[inline(always)]
fn lines(row: &[u32]) -> &[[u32; LINE]] {
    row.as_chunks().0
}

/// Mask and body in turns of a table.
///
/// Rounding the mask adds an error that is its rounding errors times the bits of the key. Its expectation, half the
/// sum of the rounding errors, is known and taken off, which leaves half the deviation; the body is then rounded
/// down, since a table's entry `t` stands for what lies between `t` and `t + 1`.
fn turns(mask: &[u32], body: u32) -> Vec<u16> {
    let mut error = 0i64;
    let mut turns = Vec::with_capacity(mask.len() + 1);
    for value in mask {
        let rounded = value.wrapping_add(1 << (TURN_BITS - 1)) >> TURN_BITS;
        error += i64::from((rounded << TURN_BITS).wrapping_sub(*value) as i32);
        turns.push(rounded as u16);
    }
    turns.push((body.wrapping_add((error >> 1) as u32) >> TURN_BITS) as u16);
    turns
}
