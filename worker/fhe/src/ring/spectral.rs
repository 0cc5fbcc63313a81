//! Products in the Fourier domain, rounded back to the exact integers.
//!
//! A coefficient modulo 2⁶⁴ is split into two signed 32-bit limbs, so that a sum of products with
//! 8-bit weights is an integer that a double holds with bits to spare. Two ciphertexts, two
//! polynomials each, two limbs each: the eight lanes of a batch.

use super::lanes::{LANES, Lanes};
use super::transform::{Batch, Transform};
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

/// Spectra of the weights of two outputs: for each root, input pair and output, real parts of the
/// pair's two weights, then imaginary parts.
struct OutputPair(Vec<f64>);

/// Clear weight polynomials, transformed.
pub(crate) struct Spectra {
    pairs: Vec<OutputPair>,
    /// Ranges of input pairs whose products are summed before rounding.
    groups: Vec<core::ops::Range<usize>>,
    input_pairs: usize,
}

/// One ciphertext's coefficients, or nothing.
type Source<'a> = Option<&'a Ciphertext>;

/// What the rounding found: the largest distance to an integer and the largest magnitude.
#[derive(Clone, Copy)]
pub(crate) struct Residue {
    pub distance: f64,
    pub magnitude: f64,
}

impl Residue {
    pub fn is_exact(self) -> bool {
        self.distance < DISTANCE_LIMIT && self.magnitude < MAGNITUDE_LIMIT
    }
}

/// Transforms two ciphertexts, in a batch of any content.
pub(crate) fn forward_pair<L: Lanes>(
    l: L,
    transform: &Transform,
    mut batch: Batch,
    low: Source<'_>,
    high: Source<'_>,
) -> Batch {
    l.run(
        #[inline(always)]
        || load(&mut batch, low, high),
    );
    transform.forward(l, &mut batch);
    batch
}

/// Splits into limbs: lane 4c + 2p + h holds limb h of polynomial p of ciphertext c.
#[inline(always)]
fn load(batch: &mut Batch, low: Source<'_>, high: Source<'_>) {
    let rows = batch.re.len() / LANES;
    for (half, source) in [low, high].into_iter().enumerate() {
        let lanes = 4 * half..4 * half + 4;
        let Some(source) = source else {
            for row in batch.re.chunks_exact_mut(LANES).chain(batch.im.chunks_exact_mut(LANES)) {
                row[lanes.clone()].fill(0.0);
            }
            continue;
        };
        let halves = source.mask.split_at(rows);
        let bodies = source.body.split_at(rows);
        for (part, mask, body) in [(&mut batch.re, halves.0, bodies.0), (&mut batch.im, halves.1, bodies.1)] {
            for ((row, mask), body) in part.chunks_exact_mut(LANES).zip(mask).zip(body) {
                let limbs = [low_limb(*mask), high_limb(*mask), low_limb(*body), high_limb(*body)];
                row[lanes.clone()].copy_from_slice(&limbs);
            }
        }
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
    transform.forward(l, &mut batch);
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
        let (rows, input_pairs) = (transform.rows(), inputs.div_ceil(2));
        let mut pairs: Vec<OutputPair> =
            (0..outputs.div_ceil(2)).map(|_| OutputPair(vec![0.0; rows * input_pairs * LANES])).collect();
        let places: Vec<(usize, usize)> =
            (0..outputs).flat_map(|output| (0..inputs).map(move |input| (output, input))).collect();
        for chunk in places.chunks(LANES) {
            let polynomials: Vec<&[i8]> = chunk.iter().map(|(output, input)| weight(*output, *input)).collect();
            let batch = forward_weights(l, transform, &polynomials);
            for (lane, (output, input)) in chunk.iter().enumerate() {
                let place = (input / 2) * LANES + 4 * (output % 2) + input % 2;
                let spectra = pairs[output / 2].0.chunks_exact_mut(input_pairs * LANES);
                for ((row, re), im) in spectra.zip(batch.re.chunks_exact(LANES)).zip(batch.im.chunks_exact(LANES)) {
                    row[place] = re[lane];
                    row[place + 2] = im[lane];
                }
            }
        }
        Self { pairs, groups: groups(outputs, inputs, &weight), input_pairs }
    }

    /// Adds the products of all inputs with the weights of outputs `2·pair` and `2·pair + 1`.
    ///
    /// `sums` may hold anything; `outputs` are one or two. Nothing is promised about them unless the residue says that they are exact.
    pub fn add_products<L: Lanes>(
        &self,
        l: L,
        transform: &Transform,
        inputs: &[Batch],
        pair: usize,
        sums: &mut Batch,
        outputs: &mut [Ciphertext],
    ) -> Residue {
        let (low, high) = outputs.split_at_mut(1);
        let (low, mut high) = (&mut low[0], high.first_mut());
        let mut worst = Residue { distance: 0.0, magnitude: 0.0 };
        for group in &self.groups {
            l.run(
                #[inline(always)]
                || accumulate(l, &self.pairs[pair].0, self.input_pairs, &inputs[..], group.clone(), sums),
            );
            let residue = add_back(l, transform, sums, low, high.as_deref_mut());
            worst.distance = worst.distance.max(residue.distance);
            worst.magnitude = worst.magnitude.max(residue.magnitude);
        }
        worst
    }
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

/// Sums input pairs times weights for two outputs; both halves of a lane row end in one output's.
#[inline(always)]
fn accumulate<L: Lanes>(
    l: L,
    weights: &[f64],
    input_pairs: usize,
    inputs: &[Batch],
    group: core::ops::Range<usize>,
    sums: &mut Batch,
) {
    let inputs = &inputs[group.clone()];
    let rows = sums.re.chunks_exact_mut(LANES).zip(sums.im.chunks_exact_mut(LANES)).enumerate();
    for ((row, (re, im)), weights) in rows.zip(weights.chunks_exact(input_pairs * LANES)) {
        let weights = &weights[group.start * LANES..group.end * LANES];
        let span = row * LANES..(row + 1) * LANES;
        let mut halves = [[0.0; LANES]; 4];
        for part in 0..L::PARTS {
            let mut sum = [l.splat(0.0); 4];
            for (input, w) in inputs.iter().zip(weights.chunks_exact(LANES)) {
                let a = cast_slice::<_, L::V>(&input.re[span.clone()])[part];
                let b = cast_slice::<_, L::V>(&input.im[span.clone()])[part];
                for output in 0..2 {
                    let c = l.halves(w[4 * output], w[4 * output + 1], part);
                    let d = l.halves(w[4 * output + 2], w[4 * output + 3], part);
                    let product = (l.sub(l.mul(a, c), l.mul(b, d)), l.add(l.mul(a, d), l.mul(b, c)));
                    sum[2 * output] = l.add(sum[2 * output], product.0);
                    sum[2 * output + 1] = l.add(sum[2 * output + 1], product.1);
                }
            }
            for (half, sum) in halves.iter_mut().zip(sum) {
                cast_slice_mut::<_, L::V>(half)[part] = sum;
            }
        }
        for lane in 0..LANES / 2 {
            re[lane] = halves[0][lane] + halves[0][lane + 4];
            im[lane] = halves[1][lane] + halves[1][lane + 4];
            re[lane + 4] = halves[2][lane] + halves[2][lane + 4];
            im[lane + 4] = halves[3][lane] + halves[3][lane + 4];
        }
    }
}

/// Transforms back, rounds, and adds lanes 0–3 to `low` and 4–7 to `high`.
pub(crate) fn add_back<L: Lanes>(
    l: L,
    transform: &Transform,
    sums: &mut Batch,
    low: &mut Ciphertext,
    high: Option<&mut Ciphertext>,
) -> Residue {
    transform.inverse(l, sums);
    let residue = l.run(
        #[inline(always)]
        || {
            let (re, im) = (round(l, &mut sums.re), round(l, &mut sums.im));
            Residue { distance: re.distance.max(im.distance), magnitude: re.magnitude.max(im.magnitude) }
        },
    );
    let rows = transform.rows();
    for (half, ciphertext) in [Some(low), high].into_iter().enumerate() {
        let Some(ciphertext) = ciphertext else { continue };
        for (polynomial, coefficients) in [&mut ciphertext.mask, &mut ciphertext.body].into_iter().enumerate() {
            let lane = 4 * half + 2 * polynomial;
            let (first, second) = coefficients.split_at_mut(rows);
            l.run(
                #[inline(always)]
                || {
                    recombine(&sums.re, lane, first);
                    recombine(&sums.im, lane, second);
                },
            );
        }
    }
    residue
}

/// Replaces each value by itself plus [`ROUNDER`], whose low bits are the nearest integer.
#[inline(always)]
fn round<L: Lanes>(l: L, values: &mut [f64]) -> Residue {
    let rounder = l.splat(ROUNDER);
    let (mut distance, mut magnitude) = (l.splat(0.0), l.splat(0.0));
    for value in cast_slice_mut::<_, L::V>(values) {
        let shifted = l.add(*value, rounder);
        distance = l.max_abs(distance, l.sub(*value, l.sub(shifted, rounder)));
        magnitude = l.max_abs(magnitude, *value);
        *value = shifted;
    }
    let largest = |v: L::V| cast_slice::<_, f64>(&[v]).iter().copied().fold(0.0, f64::max);
    Residue { distance: largest(distance), magnitude: largest(magnitude) }
}

/// Adds low limb plus high limb · 2³² of one polynomial.
#[inline(always)]
fn recombine(rounded: &[f64], lane: usize, into: &mut [u64]) {
    let integer = |shifted: f64| shifted.to_bits().wrapping_sub(ROUNDER.to_bits());
    for (row, into) in rounded.chunks_exact(LANES).zip(into) {
        let value = integer(row[lane]).wrapping_add(integer(row[lane + 1]) << 32);
        *into = into.wrapping_add(value);
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
