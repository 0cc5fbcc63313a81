//! Noise of the values of a chain, and what it does to lookups and to the response.
//!
//! The noise of a bootstrapped value is that of the formulas of [`BootstrapSet`]: variances of sums whose terms are
//! taken to be independent, as the library's are; a layer in front of a chain is bounded as everywhere. Values of
//! one tensor that come out of different bootstraps are taken to be independent; what was added up from the same
//! values is not. Two bootstraps of one ciphertext by one table are one and the same: a head that repeats its
//! weights adds up more noise than is reckoned here, which changes how often an accumulator is taken for one of the
//! neighbouring bin, never how a response is decrypted, for the last step gives fresh noise whatever went in.
//!
//! A cut changes nothing for values that only its lookup reads: they are put aside behind key switching. Others are
//! rounded there.

use codec::{Decode, Encode};
use encompute_fhe::{BootstrapSet, Table};

use super::cut::{Aside, put_aside};
use super::{Links, Step};
use crate::layer::Layer;
use crate::noise::{add_log2, milli};

/// What was proved about one lookup of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LookupProof {
    /// Index of the step.
    pub step: u16,
    /// Bootstraps: values that are looked up.
    pub bootstraps: u32,
    /// Width of what is looked up, of which a table tells the upper five bits apart.
    pub accumulator_bits: u8,
    /// Variance of the noise of what is looked up, in units of 2⁻⁶⁴ of the torus; base-two logarithm in thousandths.
    pub input_variance_log2_milli: i32,
    /// Share of integers, spread evenly over a bin, that are expected to be taken for one of a neighbouring bin;
    /// base-two logarithm in thousandths, not below [`LookupProof::LEAST_SHARE_LOG2`].
    pub misrounded_log2_milli: i32,
    /// The chance that any is taken for one farther away than the neighbouring bin is at most two to this.
    pub farther_log2: i32,
}

impl LookupProof {
    /// What smaller shares are given as.
    pub const LEAST_SHARE_LOG2: i32 = -160;

    /// The share of integers that are expected to be taken for one of a neighbouring bin.
    pub fn misrounded_share(&self) -> f64 {
        (f64::from(self.misrounded_log2_milli) / 1_000.0).exp2()
    }
}

/// Noise of a tensor's values.
#[derive(Clone, Copy)]
struct Noise {
    variance: f64,
    /// Which draws it comes from: bit 0 is the request's, bit `n + 1` the bootstraps' of step `n`.
    sources: u128,
    /// Whether the values' noises are independent of each other.
    apart: bool,
}

impl Noise {
    /// The sum of two values, one of each, times these factors.
    fn plus(self, other: Self, [a, b]: [f64; 2]) -> Self {
        let (one, two) = (a * a * self.variance, b * b * other.variance);
        let variance = match self.sources & other.sources {
            0 => one + two,
            // The worst: both noises are one.
            _ => (one.sqrt() + two.sqrt()).powi(2),
        };
        Self { variance, sources: self.sources | other.sources, apart: self.apart && other.apart }
    }

    /// A layer of these values.
    fn behind(self, layer: &Layer, weights: &[i8]) -> Self {
        let magnitudes = || weights.chunks(layer.fan_in().max(1)).map(|row| row.iter().map(|w| w.unsigned_abs()));
        let factor = if self.apart {
            magnitudes().map(|row| row.map(|w| f64::from(w).powi(2)).sum()).fold(0.0, f64::max)
        } else {
            magnitudes().map(|row| row.map(f64::from).sum::<f64>().powi(2)).fold(0.0, f64::max)
        };
        Self { variance: self.variance * factor, apart: false, ..self }
    }
}

/// The lookups of a chain behind sums whose noise has `sums_variance`. `weights` are those of its linear layers.
pub(crate) fn prove<'a>(
    Links { chain, facts, set }: Links<'_>,
    sums_variance: f64,
    mut weights: impl Iterator<Item = &'a [i8]>,
) -> Vec<LookupProof> {
    let mut tensors = vec![Noise { variance: sums_variance, sources: 1, apart: false }];
    let mut proofs = Vec::new();
    let least = f64::from(LookupProof::LEAST_SHARE_LOG2).exp2();
    for (index, step) in chain.steps.iter().enumerate() {
        if chain.cuts.contains(&(index as u16)) {
            let rounded = put_aside(chain, facts, index).into_iter().filter(|(_, aside)| *aside == Aside::Values);
            rounded.for_each(|(tensor, _)| tensors[tensor].variance += set.carried_variance());
        }
        tensors.push(match step {
            Step::Lookup { of, .. } => {
                let (shape, bits) = (facts.shapes[of.place()], facts.bits[of.place()].0);
                let variance = tensors[of.place()].variance;
                let farther = set.misrounding_log2(variance, Table::BIN_WIDTH as f64);
                proofs.push(LookupProof {
                    step: index as u16,
                    bootstraps: shape.len() as u32,
                    accumulator_bits: bits,
                    input_variance_log2_milli: milli(variance.max(1.0).log2()),
                    misrounded_log2_milli: milli(misrounded(set, variance, step, bits).max(least).log2()),
                    farther_log2: (farther + (shape.len().max(1) as f64).log2()).ceil() as i32,
                });
                Noise { variance: set.output_variance(), sources: 1 << (index + 1), apart: true }
            }
            Step::Linear { of, layer } => tensors[of.place()].behind(layer, weights.next().unwrap_or_default()),
            Step::Add { of: [one, other], factors } => {
                tensors[one.place()].plus(tensors[other.place()], factors.map(f64::from))
            }
        });
    }
    proofs
}

/// Share of integers, spread evenly over a bin, that noise takes into a neighbouring one: the largest over the
/// offsets of a lookup.
fn misrounded(set: BootstrapSet, variance: f64, step: &Step, bits: u8) -> f64 {
    let Step::Lookup { offset_half_units, .. } = step else { return 0.0 };
    let per_bin_log2 = bits.saturating_sub(Step::LEAST_LOOKUP_BITS.0);
    // So many integers to a bin are as good as a line.
    const LINE_LOG2: u8 = 10;
    if per_bin_log2 > LINE_LOG2 {
        return set.misrounded_share(variance);
    }
    let deviation = (variance + set.decision_variance()).sqrt();
    let bin = Table::BIN_WIDTH as f64;
    let tail = |distance: f64| libm::erfc(distance / deviation * core::f64::consts::FRAC_1_SQRT_2) / 2.0;
    // The upper edge of bin 0 lies half a bin above its middle: so far, in half units, from an integer below it.
    let half_units = 2i64 << per_bin_log2;
    let share = |offset: i64| {
        let places = (0..half_units).step_by(2).map(|value| (value + offset + half_units / 2).rem_euclid(half_units));
        let below = places.map(|place| place as f64 / half_units as f64 * bin);
        below.map(|below| tail(below) + tail(bin - below)).sum::<f64>() / (half_units / 2) as f64
    };
    let mut parities: Vec<i64> = offset_half_units.iter().map(|offset| offset.rem_euclid(2)).collect();
    parities.sort_unstable();
    parities.dedup();
    parities.into_iter().map(share).fold(0.0, f64::max)
}

/// The chance that anything of a chain goes farther than to a neighbouring bin.
pub(crate) fn farther_log2(lookups: &[LookupProof]) -> f64 {
    lookups.iter().map(|lookup| f64::from(lookup.farther_log2)).fold(f64::NEG_INFINITY, add_log2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const APART: Noise = Noise { variance: 4.0, sources: 0b10, apart: true };

    #[test]
    fn noise_of_other_bootstraps_adds_by_its_square_and_noise_of_the_same_ones_by_itself() {
        let other = Noise { variance: 9.0, sources: 0b100, apart: true };
        assert_eq!(APART.plus(other, [1.0, 2.0]).variance, 4.0 + 36.0);
        assert_eq!(APART.plus(Noise { variance: 9.0, ..APART }, [1.0, -2.0]).variance, 64.0);
        assert_eq!(APART.plus(other, [1.0, 1.0]).sources, 0b110);
    }

    #[test]
    fn a_layer_of_sums_takes_their_noises_for_one() {
        let layer = Layer::Dense { inputs: 2, outputs: 2 };
        let first = APART.behind(&layer, &[1, 0, 3, -4]);
        assert_eq!((first.variance, first.apart), (100.0, false));
        assert_eq!(first.behind(&layer, &[1, -1, 0, 1]).variance, 400.0);
    }

    #[test]
    fn integers_that_lie_in_the_middle_of_their_bins_are_hardly_ever_misrounded_and_a_line_of_them_by_the_formula() {
        let set = BootstrapSet::FourBitsV1;
        let share = |bits, offset| {
            let step = Step::Lookup {
                of: super::super::ChainIndex::SUMS,
                offset_half_units: vec![offset],
                tables: vec![[0; 16]],
                bits: encompute_fhe::AccumulatorBits(bits),
            };
            misrounded(set, 0.0, &step, bits)
        };
        assert!(share(5, 0).log2() < -128.0);
        // Every other integer of six bits lies on an edge, and goes either way; half a unit farther none does.
        assert!((0.24..0.26).contains(&share(6, 0)), "{}", share(6, 0));
        assert!(share(6, 1).log2() < -30.0, "{}", share(6, 1).log2());
        let line = set.misrounded_share(0.0);
        for bits in [12, 15, 16, 30] {
            assert!((share(bits, 1) / line - 1.0).abs() < 0.02, "{bits} bits: {} of {line}", share(bits, 1));
        }
    }
}
