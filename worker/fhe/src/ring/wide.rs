//! Products of many inputs with many outputs, a block of roots at a time.
//!
//! What an output takes from all its inputs at one root lies far apart when every input is a batch of its own:
//! with hundreds of inputs each step of a sum waits for memory, and every output waits again. Here the inputs
//! are laid side by side, root by root; a block of roots stays in the cache while the weights of all outputs
//! stream past it once.

use rayon::prelude::*;

use super::lanes::{LANES, Lanes};
use super::spectral::{Back, Residue, Spectra, add_back, add_product};
use super::transform::{Batch, Scratch, Transform};
use super::zeros::Keys;
use crate::expand::Ciphertext;
use pulp::bytemuck::cast_slice_mut;

/// From so many inputs on it pays to lay them side by side.
///
/// Measured on one core of a Zen 4 with AVX-512, four outputs a product: at 16 inputs both ways are even.
pub(crate) const LEAST_INPUTS: usize = 24;
/// Roots of a block, at most; a power of two.
const BLOCK_ROWS: usize = 16;
/// Bytes of a block's inputs, at most: half of what a core's second-level cache has.
const BLOCK_BYTES: usize = 256 << 10;
/// Doubles of one root of two ciphertexts: real parts, then imaginary parts.
const ROOT: usize = 2 * LANES;
/// Pairs of outputs that are summed together, so that one's additions need not wait for each other.
const TOGETHER: usize = 2;

/// Adds to `products` those of all inputs with their weights, and the key's with its ternary polynomials if there
/// are any; says of each pair of outputs whether it is exact.
pub(crate) fn add_products<L: Lanes>(
    l: L,
    (transform, scratch): (&Transform, &Scratch),
    spectra: &Spectra,
    inputs: &[Batch],
    keys: Option<Keys<'_>>,
    products: &mut [Ciphertext],
) -> Vec<Residue> {
    let (rows, pairs) = (transform.rows(), products.len().div_ceil(2));
    let mut residues = vec![Residue::NONE; pairs];
    for (at, group) in spectra.groups().iter().enumerate() {
        let batches = &inputs[group.clone()];
        let block_rows = block_rows(batches.len(), rows);
        let beside = side_by_side(batches, rows);
        let block = Block { spectra, first: group.start, inputs: batches.len(), rows: block_rows };
        let keys = keys.filter(|_| at == 0);
        let mut sums = vec![0.0; rows * pairs * ROOT];
        let blocks = sums.par_chunks_mut(block_rows * pairs * ROOT);
        blocks.zip(beside.par_chunks(block_rows * batches.len() * ROOT)).enumerate().for_each(
            |(at, (sums, inputs))| {
                l.run(
                    #[inline(always)]
                    || block.accumulate(l, at * block_rows, inputs, keys, sums),
                );
            },
        );
        products.par_chunks_mut(2).zip(&mut residues).enumerate().for_each(|(pair, (outputs, residue))| {
            let mut batch = scratch.take(rows);
            gather(&sums, (pair, pairs), block_rows, &mut batch);
            *residue = residue.and(add_back(l, &mut Back { transform, sums: &mut batch, outputs }));
            scratch.give([batch]);
        });
    }
    residues
}

/// As many roots as fit the cache, a power of two of at least one.
fn block_rows(inputs: usize, rows: usize) -> usize {
    let fit = BLOCK_BYTES / (inputs.max(1) * ROOT * size_of::<f64>());
    (1 << fit.max(1).ilog2()).min(BLOCK_ROWS).min(rows)
}

/// `[root, input pair, real and imaginary lanes]`.
fn side_by_side(batches: &[Batch], rows: usize) -> Vec<f64> {
    let mut beside = vec![0.0; rows * batches.len() * ROOT];
    beside.par_chunks_mut(batches.len() * ROOT).enumerate().for_each(|(row, beside)| {
        for (batch, into) in batches.iter().zip(beside.as_chunks_mut::<ROOT>().0) {
            into[..LANES].copy_from_slice(&batch.re[row * LANES..][..LANES]);
            into[LANES..].copy_from_slice(&batch.im[row * LANES..][..LANES]);
        }
    });
    beside
}

/// One pair's sums from `[block, pair, root of the block, lanes]`.
fn gather(sums: &[f64], (pair, pairs): (usize, usize), block_rows: usize, batch: &mut Batch) {
    let piece = block_rows * ROOT;
    for (at, block) in sums.chunks_exact(pairs * piece).enumerate() {
        for (row, lanes) in block[pair * piece..][..piece].as_chunks::<ROOT>().0.iter().enumerate() {
            let first = (at * block_rows + row) * LANES;
            batch.re[first..][..LANES].copy_from_slice(&lanes[..LANES]);
            batch.im[first..][..LANES].copy_from_slice(&lanes[LANES..]);
        }
    }
}

/// What all blocks of one group share.
struct Block<'a> {
    spectra: &'a Spectra,
    /// First input pair.
    first: usize,
    /// Input pairs.
    inputs: usize,
    /// Roots.
    rows: usize,
}

impl Block<'_> {
    /// `sums` is `[pair, root of the block, lanes]`, `inputs` `[root of the block, input pair, lanes]`.
    #[inline(always)]
    fn accumulate<L: Lanes>(&self, l: L, first_row: usize, inputs: &[f64], keys: Option<Keys<'_>>, sums: &mut [f64]) {
        let piece = self.rows * ROOT;
        let whole = sums.len() / piece / TOGETHER * TOGETHER;
        let (together, last) = sums.split_at_mut(whole * piece);
        for (at, sums) in together.chunks_exact_mut(TOGETHER * piece).enumerate() {
            self.sum_pairs::<L, TOGETHER>(l, at * TOGETHER, first_row, inputs, keys, sums);
        }
        if !last.is_empty() {
            self.sum_pairs::<L, 1>(l, whole, first_row, inputs, keys, last);
        }
    }

    /// Sums of `K` pairs of outputs from `first_pair` on.
    #[inline(always)]
    fn sum_pairs<L: Lanes, const K: usize>(
        &self,
        l: L,
        first_pair: usize,
        first_row: usize,
        inputs: &[f64],
        keys: Option<Keys<'_>>,
        sums: &mut [f64],
    ) {
        let roots = inputs.chunks_exact(self.inputs * ROOT);
        for (at, inputs) in roots.enumerate() {
            let row = first_row + at;
            let inputs = inputs.as_chunks::<LANES>().0.as_chunks::<2>().0;
            let weights: [&[[f64; 4]]; K] =
                core::array::from_fn(|k| self.spectra.weights_at(first_pair + k, row, self.first, self.inputs));
            for part in 0..L::PARTS {
                let mut sum = [(l.splat(0.0), l.splat(0.0)); K];
                if let Some(keys) = keys {
                    for (k, sum) in sum.iter_mut().enumerate() {
                        *sum = keys.of(first_pair + k).add_at(l, *sum, row, part);
                    }
                }
                for (pair, [re, im]) in inputs.iter().enumerate() {
                    for half in 0..2 {
                        let value = (l.twice(re, half, part), l.twice(im, half, part));
                        for (sum, weights) in sum.iter_mut().zip(weights) {
                            // Of an odd number of inputs the last has no partner.
                            if let Some(weights) = weights.get(2 * pair + half) {
                                *sum = add_product(l, *sum, value, weights, part);
                            }
                        }
                    }
                }
                for (k, (re, im)) in sum.into_iter().enumerate() {
                    let into = &mut sums[(k * self.rows + at) * ROOT..][..ROOT];
                    let (into_re, into_im) = into.split_at_mut(LANES);
                    cast_slice_mut::<_, L::V>(into_re)[part] = re;
                    cast_slice_mut::<_, L::V>(into_im)[part] = im;
                }
            }
        }
    }
}
