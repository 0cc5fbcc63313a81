//! Products in the Fourier domain, rounded back to the exact integers.
//!
//! A coefficient modulo 2⁶⁴ is split into two signed 32-bit limbs, so that a sum of products with
//! 8-bit weights is an integer that a double holds with bits to spare. Two ciphertexts, two
//! polynomials each, two limbs each: the eight lanes of a batch.

use super::lanes::{LANES, Lanes};
use super::transform::{Batch, CHUNK_ROWS, Transform};
use super::zeros::KeyTerm;
use crate::expand::Ciphertext;
use pulp::bytemuck::{cast_slice, cast_slice_mut};

/// Largest distance to an integer that is still rounded: beyond it the tile is done again exactly.
pub(crate) const DISTANCE_LIMIT: f64 = 0.35;
/// Sums reach at most this magnitude, so that adding [`ROUNDER`] rounds them to an integer.
const MAGNITUDE_LIMIT: f64 = (1u64 << 50) as f64;
/// 1.5 · 2⁵²: a double this large has no fractional bits.
const ROUNDER: f64 = (3u64 << 51) as f64;
/// Sum of squared weights that may meet in one coefficient before the sum is rounded.
///
/// Measured largest distances at 2048 coefficients: 0.025 at 2²⁷ (16 products with uniform 8-bit
/// weights), 0.17 at 2³¹ (256 products); they grow with the square root.
const GROUP_ENERGY: f64 = (1u64 << 31) as f64;

/// Spectra of the weights of two outputs: for each root and input, the real parts of the two outputs'
/// weights, then the imaginary parts.
struct OutputPair(Vec<f64>);

/// Clear weight polynomials, transformed.
pub(crate) struct Spectra {
    pairs: Vec<OutputPair>,
    /// Ranges of input pairs whose products are summed before rounding.
    groups: Vec<core::ops::Range<usize>>,
    inputs: usize,
}

/// What the rounding found: the largest distance to an integer and the largest magnitude.
#[derive(Clone, Copy)]
pub(crate) struct Residue {
    pub distance: f64,
    pub magnitude: f64,
}

impl Residue {
    /// Nothing was rounded.
    pub const NONE: Self = Self { distance: 0.0, magnitude: 0.0 };

    pub fn and(self, other: Self) -> Self {
        Self { distance: self.distance.max(other.distance), magnitude: self.magnitude.max(other.magnitude) }
    }

    pub fn is_exact(self) -> bool {
        self.distance < DISTANCE_LIMIT && self.magnitude < MAGNITUDE_LIMIT
    }
}

/// Transforms one or two ciphertexts, in a batch of any content: lane 4c + 2p + h holds limb h of polynomial p
/// of ciphertext c.
pub(crate) fn forward_pair<L: Lanes>(
    l: L,
    transform: &Transform,
    mut batch: Batch,
    low: &Ciphertext,
    high: Option<&Ciphertext>,
) -> Batch {
    let (mask, body) = high.map_or((&[][..], &[][..]), |high| (&high.mask, &high.body));
    let polynomials = [&low.mask, &low.body, mask, body];
    transform.forward(
        l,
        &mut batch,
        #[inline(always)]
        |row, re, im| {
            split(polynomials, row, re);
            split(polynomials, row + transform.rows(), im);
        },
    );
    batch
}

/// Splits coefficients from `first` on into limbs, those of one place a row; what is missing is zero.
#[inline(always)]
fn split(polynomials: [&[u64]; 4], first: usize, part: &mut [f64]) {
    let values = polynomials.map(|polynomial| {
        polynomial.get(first..first + CHUNK_ROWS).and_then(|values| values.try_into().ok()).unwrap_or([0; CHUNK_ROWS])
    });
    for (at, row) in part.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let [a, b, c, d] = values.map(|values| values[at]);
        *row = [
            low_limb(a),
            high_limb(a),
            low_limb(b),
            high_limb(b),
            low_limb(c),
            high_limb(c),
            low_limb(d),
            high_limb(d),
        ];
    }
}

#[inline(always)]
fn low_limb(value: u64) -> f64 {
    f64::from(value as i32)
}

/// The rest above the signed low limb: it borrows one where the low limb is negative.
#[inline(always)]
fn high_limb(value: u64) -> f64 {
    f64::from((value.wrapping_add(1 << 31) >> 32) as i32)
}

/// Transforms up to eight short integer polynomials, one per lane, scaled for the way back.
pub(crate) fn forward_weights<L: Lanes>(l: L, transform: &Transform, polynomials: &[&[i8]]) -> Batch {
    let rows = transform.rows();
    let scale = 1.0 / rows as f64;
    let mut batch = Batch::zero(rows);
    for (lane, polynomial) in polynomials.iter().enumerate() {
        for (at, weight) in polynomial.iter().enumerate() {
            let part = if at < rows { &mut batch.re } else { &mut batch.im };
            part[(at % rows) * LANES + lane] = f64::from(*weight) * scale;
        }
    }
    transform.forward(
        l,
        &mut batch,
        #[inline(always)]
        |_, _, _| (),
    );
    batch
}

impl Spectra {
    /// Transforms `weight(output, input)` for all outputs and inputs.
    pub fn new<'a, L: Lanes>(
        l: L,
        transform: &Transform,
        outputs: usize,
        inputs: usize,
        weight: impl Fn(usize, usize) -> &'a [i8],
    ) -> Self {
        let rows = transform.rows();
        let mut pairs: Vec<OutputPair> =
            (0..outputs.div_ceil(2)).map(|_| OutputPair(vec![0.0; rows * 4 * inputs])).collect();
        let places: Vec<(usize, usize)> =
            (0..outputs).flat_map(|output| (0..inputs).map(move |input| (output, input))).collect();
        for chunk in places.chunks(LANES) {
            let polynomials: Vec<&[i8]> = chunk.iter().map(|(output, input)| weight(*output, *input)).collect();
            let batch = forward_weights(l, transform, &polynomials);
            for (lane, (output, input)) in chunk.iter().enumerate() {
                let place = 4 * input + output % 2;
                let spectra = pairs[output / 2].0.chunks_exact_mut(4 * inputs);
                for ((row, re), im) in spectra.zip(batch.re.chunks_exact(LANES)).zip(batch.im.chunks_exact(LANES)) {
                    row[place] = re[lane];
                    row[place + 2] = im[lane];
                }
            }
        }
        Self { pairs, groups: groups(outputs, inputs, &weight), inputs }
    }

    /// Ranges of input pairs whose products are summed before rounding.
    pub fn groups(&self) -> &[core::ops::Range<usize>] {
        &self.groups
    }

    /// The weights of a pair of outputs at one root, for `count` input pairs from `first` on.
    #[inline(always)]
    pub fn weights_at(&self, pair: usize, row: usize, first: usize, count: usize) -> &[[f64; 4]] {
        let inputs = 2 * first..self.inputs.min(2 * (first + count));
        self.pairs[pair].0[4 * (row * self.inputs + inputs.start)..][..4 * inputs.len()].as_chunks().0
    }

    /// Adds the products of all inputs with the weights of outputs `2·pair` and `2·pair + 1`, and the
    /// key's with its ternary polynomials if there are any. Nothing is promised about the outputs unless
    /// the residue says that they are exact.
    pub fn add_products<L: Lanes>(
        &self,
        l: L,
        inputs: &[Batch],
        pair: usize,
        key: Option<KeyTerm<'_>>,
        mut back: Back<'_>,
    ) -> Residue {
        let mut worst = Residue::NONE;
        for (at, group) in self.groups.iter().enumerate() {
            let terms = Terms {
                inputs: inputs[group.clone()].iter().map(|batch| (&batch.re[..], &batch.im[..])).collect(),
                weights: &self.pairs[pair].0,
                stride: 4 * self.inputs,
                first: 8 * group.start,
                count: self.inputs.min(2 * group.end) - 2 * group.start,
                key: key.filter(|_| at == 0),
            };
            worst = worst.and(terms.add_to(l, &mut back));
        }
        worst
    }
}

/// The way back from sums of products: where they are transformed, and what they are added to.
pub(crate) struct Back<'a> {
    pub transform: &'a Transform,
    /// May hold anything.
    pub sums: &'a mut Batch,
    /// One or two.
    pub outputs: &'a mut [Ciphertext],
}

/// What one rounding takes: inputs, two a batch, each with four weights a root, and a key.
pub(super) struct Terms<'a> {
    inputs: Vec<(&'a [f64], &'a [f64])>,
    weights: &'a [f64],
    /// Weights of a root.
    stride: usize,
    /// The first of them that meets an input.
    first: usize,
    /// Number of inputs.
    count: usize,
    key: Option<KeyTerm<'a>>,
}

impl<'a> Terms<'a> {
    /// The key's products alone.
    pub fn of_key(key: KeyTerm<'a>) -> Self {
        Self { inputs: Vec::new(), weights: &[], stride: 0, first: 0, count: 0, key: Some(key) }
    }

    pub fn add_to<L: Lanes>(&self, l: L, back: &mut Back<'_>) -> Residue {
        l.run(
            #[inline(always)]
            || self.accumulate(l, back.sums),
        );
        add_back(l, back)
    }

    /// Sums inputs times weights for two outputs: lanes 0–3 are the first's, 4–7 the second's.
    #[inline(always)]
    fn accumulate<L: Lanes>(&self, l: L, sums: &mut Batch) {
        let inputs: Vec<_> = self.inputs.iter().map(|(re, im)| (rows(re), rows(im))).collect();
        let into = sums.re.chunks_exact_mut(LANES).zip(sums.im.chunks_exact_mut(LANES));
        for (row, (re, im)) in into.enumerate() {
            let weights = self.weights[row * self.stride + self.first..][..4 * self.count].as_chunks::<4>().0;
            for part in 0..L::PARTS {
                let mut sum = (l.splat(0.0), l.splat(0.0));
                if let Some(key) = self.key {
                    sum = key.add_at(l, sum, row, part);
                }
                for (pair, (re, im)) in weights.chunks(2).zip(&inputs) {
                    for (half, weights) in pair.iter().enumerate() {
                        let input = (l.twice(&re[row], half, part), l.twice(&im[row], half, part));
                        sum = add_product(l, sum, input, weights, part);
                    }
                }
                cast_slice_mut::<_, L::V>(re)[part] = sum.0;
                cast_slice_mut::<_, L::V>(im)[part] = sum.1;
            }
        }
    }
}

/// Adds the product with one weight in the lower half of a row and another in the upper: their real
/// parts come first, then their imaginary parts.
#[inline(always)]
pub(super) fn add_product<L: Lanes>(
    l: L,
    sum: (L::V, L::V),
    (a, b): (L::V, L::V),
    weights: &[f64; 4],
    part: usize,
) -> (L::V, L::V) {
    let (c, d) = (l.halves(weights[0], weights[1], part), l.halves(weights[2], weights[3], part));
    (l.sub_mul(b, d, l.mul_add(a, c, sum.0)), l.mul_add(b, c, l.mul_add(a, d, sum.1)))
}

pub(super) fn rows(values: &[f64]) -> &[[f64; LANES]] {
    values.as_chunks().0
}

/// Splits the input pairs so that no sum collects more than [`GROUP_ENERGY`].
fn groups<'a>(
    outputs: usize,
    inputs: usize,
    weight: &impl Fn(usize, usize) -> &'a [i8],
) -> Vec<core::ops::Range<usize>> {
    let energy = |output, input| weight(output, input).iter().map(|w| f64::from(*w).powi(2)).sum::<f64>();
    let mut held = vec![0.0; outputs];
    let (mut groups, mut start) = (Vec::new(), 0);
    for pair in 0..inputs.div_ceil(2) {
        let of_pair = |output| (2 * pair..inputs.min(2 * pair + 2)).map(|input| energy(output, input)).sum::<f64>();
        let with: Vec<f64> = held.iter().enumerate().map(|(output, held)| held + of_pair(output)).collect();
        if pair > start && with.iter().any(|energy| *energy > GROUP_ENERGY) {
            groups.push(start..pair);
            start = pair;
            held = (0..outputs).map(of_pair).collect();
        } else {
            held = with;
        }
    }
    groups.push(start..inputs.div_ceil(2));
    groups
}

/// Transforms back, rounds, and adds lanes 0–3 to the first output and 4–7 to the second if there is one.
pub(super) fn add_back<L: Lanes>(l: L, back: &mut Back<'_>) -> Residue {
    let transform = back.transform;
    let mut into: [&mut [u64]; 4] = Default::default();
    for (halves, output) in into.chunks_exact_mut(2).zip(&mut *back.outputs) {
        (halves[0], halves[1]) = (&mut output.mask, &mut output.body);
    }
    rounded(
        l,
        transform,
        back.sums,
        #[inline(always)]
        |_, _, _| (),
        #[inline(always)]
        |lanes, first| recombine(lanes, first, &mut into),
    )
}

/// Transforms back what `load` writes, or what is there, rounds, and hands on [`CHUNK_ROWS`] values of each lane and the place of their first, each
/// an integer by [`shifted_integer`].
#[inline(always)]
pub(super) fn rounded<L: Lanes>(
    l: L,
    transform: &Transform,
    sums: &mut Batch,
    load: impl Fn(usize, &mut [f64], &mut [f64]),
    mut finish: impl FnMut(&[[f64; CHUNK_ROWS]; LANES], usize),
) -> Residue {
    let (mut distance, mut magnitude) = (l.splat(0.0), l.splat(0.0));
    transform.inverse(
        l,
        sums,
        load,
        #[inline(always)]
        |row, re, im| {
            for (first, part) in [(row, re), (row + transform.rows(), im)] {
                let found = round(l, part);
                (distance, magnitude) = (l.max_abs(distance, found.0), l.max_abs(magnitude, found.1));
                if let [rows] = part.as_chunks::<LANES>().0.as_chunks::<CHUNK_ROWS>().0 {
                    finish(&l.transposed(rows), first);
                }
            }
        },
    );
    let largest = |v: L::V| cast_slice::<_, f64>(&[v]).iter().copied().fold(0.0, f64::max);
    Residue { distance: largest(distance), magnitude: largest(magnitude) }
}

/// The integer that adding [`ROUNDER`] has left in the low bits.
#[inline(always)]
pub(super) fn shifted_integer(shifted: f64) -> u64 {
    shifted.to_bits().wrapping_sub(ROUNDER.to_bits())
}

/// Replaces each value by itself plus [`ROUNDER`], whose low bits are the nearest integer; gives the
/// largest distance to one and the largest magnitude.
#[inline(always)]
fn round<L: Lanes>(l: L, values: &mut [f64]) -> (L::V, L::V) {
    let rounder = l.splat(ROUNDER);
    let (mut distance, mut magnitude) = (l.splat(0.0), l.splat(0.0));
    for value in cast_slice_mut::<_, L::V>(values) {
        let shifted = l.add(*value, rounder);
        distance = l.max_abs(distance, l.sub(*value, l.sub(shifted, rounder)));
        magnitude = l.max_abs(magnitude, *value);
        *value = shifted;
    }
    (distance, magnitude)
}

/// Adds low limbs plus high limbs · 2³² to the coefficients from `first` on.
#[inline(always)]
fn recombine(lanes: &[[f64; CHUNK_ROWS]; LANES], first: usize, into: &mut [&mut [u64]; 4]) {
    for ([low, high], into) in lanes.as_chunks::<2>().0.iter().zip(into) {
        let Some(into) = into.get_mut(first..first + CHUNK_ROWS) else { continue };
        for ((low, high), into) in low.iter().zip(high).zip(into) {
            let value = shifted_integer(*low).wrapping_add(shifted_integer(*high) << 32);
            *into = into.wrapping_add(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limbs_recombine_to_the_value() {
        for value in [0, 1, u64::MAX, 1 << 31, (1 << 31) - 1, 0x7fff_ffff_8000_0000, 0x8000_0000_7fff_ffff, 1 << 63] {
            let both = (low_limb(value) as i64 as u64).wrapping_add((high_limb(value) as i64 as u64) << 32);
            assert_eq!(both, value, "{value:#x}");
        }
    }
}
