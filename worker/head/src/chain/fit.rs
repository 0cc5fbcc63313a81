//! From tables and ranges to a chain: widths, offsets, and how many values share a ciphertext.

use encompute_fhe::{AccumulatorBits, BootstrapSet, ResponseBits, TABLE_BINS, UploadBits};

use super::cut::{Uncut, cuts};
use super::{Chain, ChainIndex, Links, Step, facts};
use crate::compile::{CompileError, CompileOptions, ROUND_FAILURE_LOG2, chain_sent};
use crate::geometry::Geometry;
use crate::layer::Layer;
use crate::noise::prove;
use crate::plan::{Domain, RoundPlan, least_bits};

/// What a table gives for a channel and a number in the unit of what is looked up.
pub type Function<'a> = &'a dyn Fn(usize, f64) -> i16;

/// A step of a chain whose widths are still to be chosen.
#[derive(Clone)]
pub enum Link<'a> {
    /// A function looked up on every value.
    Lookup {
        /// What is read.
        of: ChainIndex,
        /// Smallest and largest integer that is expected, of all channels or of each. Integers outside are not
        /// clamped: far outside they come around on the other side.
        ranges: Vec<[i64; 2]>,
        /// The function, of which the table holds the values in the middles of its sixteen bins. These reach up to a
        /// range's length beyond it: a function that is held to its ends there keeps the values small.
        function: Function<'a>,
        /// Whether channels have functions of their own.
        by_channel: bool,
    },
    /// A linear layer and its weights.
    Linear {
        /// What is read.
        of: ChainIndex,
        /// The layer.
        layer: Layer,
        /// Its weights.
        weights: &'a [i8],
    },
    /// A weighted sum.
    Add {
        /// What is read.
        of: [ChainIndex; 2],
        /// What each is multiplied with.
        factors: [i8; 2],
    },
}

impl RoundPlan {
    /// The round whose lookups tell most apart in the ranges that are expected, and whose request and response are the
    /// smallest that keep every sent value exact.
    ///
    /// A p is that of all tensors between two lookups: the smallest whose half holds every range that is looked up
    /// there. Where a range fills half of that, a table has eight bins for it; weights times another number, or a
    /// range twice as wide, may use all sixteen.
    ///
    /// A chain of more bootstraps than a call takes, [`CompileOptions::BOOTSTRAPS_PER_CALL`], is cut into segments.
    ///
    /// # Errors
    /// [`CompileError`] with round 0: a layer or chain that cannot be, more bootstraps than segments hold, or noise that
    /// leaves no room.
    pub fn fitted_chain(
        set: BootstrapSet,
        first: (Layer, Domain, &[i8]),
        links: &[Link<'_>],
    ) -> Result<Self, CompileError> {
        Self::fitted_segments(set, first, links, CompileOptions::BOOTSTRAPS_PER_CALL)
    }

    /// The same, cut into segments of at most so many bootstraps each.
    ///
    /// # Errors
    /// As [`RoundPlan::fitted_chain`].
    pub fn fitted_segments(
        set: BootstrapSet,
        (layer, input, weights): (Layer, Domain, &[i8]),
        links: &[Link<'_>],
        bootstraps_per_call: u32,
    ) -> Result<Self, CompileError> {
        let parameter_set = set.ring();
        let at = |source| CompileError::Geometry { round: 0, source };
        // The request alone is paid for, and any width of it will do beside the noise of a lookup.
        let tiling = Geometry::smallest(parameter_set, layer, UploadBits::MIN, ResponseBits(0)).map_err(at)?;
        let geometry = Geometry::new(parameter_set, layer, tiling).map_err(at)?;
        let energy = geometry.weight_polynomials(weights).map_err(at)?.largest_energy();
        let channels = layer.output_shape().channels;
        let groups = Groups::of(links, least_bits(input), channels)?;
        let mut round = Self {
            layer,
            input,
            tiling,
            accumulator_bits: groups.bits(ChainIndex::SUMS),
            upload_bits: UploadBits::MIN,
            response_bits: ResponseBits::MAX,
            chain: None,
        };
        let following = || {
            links.iter().filter_map(|link| if let Link::Linear { weights, .. } = link { Some(*weights) } else { None })
        };
        let (mut least, mut most_together) = (i32::MAX, Chain::MOST_TOGETHER);
        let mut cut = None;
        while most_together > 0 {
            let mut chain = groups.chain(links, channels, most_together);
            let sent = chain.shapes(layer.output_shape()).last().map_or(0, |shape| shape.len());
            if sent.next_power_of_two() < usize::from(most_together) {
                // A group that is not full takes as many bytes.
                most_together = sent.next_power_of_two() as u8;
                chain = groups.chain(links, channels, most_together);
            }
            let sums = (layer.output_shape(), round.accumulator_bits, geometry.product_count());
            let known =
                facts(&chain, set, sums).map_err(|(step, source)| CompileError::Chain { round: 0, step, source })?;
            chain.cuts = match cut.take() {
                Some(cuts) => cuts,
                None => cuts(&chain, &known, set, bootstraps_per_call)
                    .map_err(|uncut| too_many(uncut, bootstraps_per_call))?,
            };
            cut = Some(chain.cuts.clone());
            round.chain = Some(chain.clone());
            let first = chain.response_accumulator_bits().0 + 7;
            for response in first.max(ResponseBits::MIN.0)..=(first + 5).min(ResponseBits::MAX.0) {
                round.response_bits = ResponseBits(response);
                let links = Links { chain: &chain, facts: &known, set };
                let sent = chain_sent(parameter_set, &round, links, energy, following());
                let proof = prove(parameter_set, 0, &round, sent);
                least = least.min(proof.failure_log2);
                // Twice as many together halve the response; a bit less of width takes off a twentieth.
                if proof.holds(ROUND_FAILURE_LOG2) {
                    return Ok(round);
                }
            }
            most_together /= 2;
        }
        Err(CompileError::TooNoisy { round: 0, found_log2: least, limit_log2: ROUND_FAILURE_LOG2, parameter_set })
    }
}

/// Why a chain takes more bootstraps than its segments may.
fn too_many(uncut: Uncut, limit: u32) -> CompileError {
    match uncut {
        Uncut::Step { step, found } => CompileError::TooManyBootstraps { round: 0, step, found, limit },
        Uncut::Segments { bootstraps: found } => {
            CompileError::TooManySegments { round: 0, found, per_call: limit, limit: Chain::SEGMENT_LIMIT }
        }
    }
}

/// Which tensors share a p, and which.
struct Groups {
    /// Of each tensor, the first of its group.
    first: Vec<usize>,
    /// Bits of the group that begins with a tensor.
    bits: Vec<AccumulatorBits>,
}

impl Groups {
    fn of(links: &[Link<'_>], least: AccumulatorBits, channels: usize) -> Result<Self, CompileError> {
        let mut groups = Self { first: vec![0], bits: vec![least.max(Step::LEAST_LOOKUP_BITS)] };
        for (index, link) in links.iter().enumerate() {
            let new = index + 1;
            groups.bits.push(Step::LEAST_LOOKUP_BITS);
            let first = match link {
                Link::Lookup { of, ranges, .. } => {
                    let wanted = ranges.iter().map(|range| bits_for(*range)).max().unwrap_or(Step::LEAST_LOOKUP_BITS);
                    groups.widen(of.place(), wanted);
                    new
                }
                Link::Linear { of, .. } => groups.first_of(of.place()),
                Link::Add { of: [one, other], .. } => groups.joined(one.place(), other.place()),
            };
            groups.first.push(first);
        }
        // A table's values may need more than what is looked up behind it, and another offset gives other values.
        while groups.widen_to_tables(links, channels) {}
        let (found, limit) = (groups.bits.iter().map(|bits| bits.0).max().unwrap_or(0), AccumulatorBits::MAX.0);
        if found > limit { Err(CompileError::TooWide { round: 0, found, limit }) } else { Ok(groups) }
    }

    /// True if a group had to be widened to hold the values of tables. None is widened to more than 17 bits by this.
    fn widen_to_tables(&mut self, links: &[Link<'_>], channels: usize) -> bool {
        if self.bits.iter().any(|bits| *bits > AccumulatorBits::MAX) {
            return false;
        }
        let before = self.bits.clone();
        let chain = self.chain(links, channels, 1);
        for (index, step) in chain.steps.iter().enumerate() {
            if let Step::Lookup { tables, .. } = step {
                self.widen(index + 1, value_bits(tables));
            }
        }
        self.bits != before
    }

    /// The first tensor of a group; of one that is not there yet, which the chain's check refuses, the sums.
    fn first_of(&self, tensor: usize) -> usize {
        self.first.get(tensor).copied().unwrap_or(0)
    }

    fn widen(&mut self, tensor: usize, wanted: AccumulatorBits) {
        let first = self.first_of(tensor);
        self.bits[first] = self.bits[first].max(wanted);
    }

    fn joined(&mut self, one: usize, other: usize) -> usize {
        let (one, other) = (self.first_of(one), self.first_of(other));
        let (kept, gone) = (one.min(other), one.max(other));
        self.bits[kept] = self.bits[kept].max(self.bits[gone]);
        self.first.iter_mut().filter(|first| **first == gone).for_each(|first| *first = kept);
        kept
    }

    fn bits(&self, of: ChainIndex) -> AccumulatorBits {
        self.bits[self.first_of(of.place())]
    }

    /// The chain with these widths; the last is as wide as its tables' values ask for, times `together`.
    fn chain(&self, links: &[Link<'_>], channels: usize, together: u8) -> Chain {
        let mut channels_of = vec![channels];
        let mut steps = Vec::with_capacity(links.len());
        for (index, link) in links.iter().enumerate() {
            let channels = |of: ChainIndex| channels_of.get(of.place()).copied().unwrap_or(1);
            let (step, gives) = match link {
                Link::Lookup { of, ranges, function, by_channel } => {
                    let read = self.bits(*of);
                    let own = *by_channel || ranges.len() > 1;
                    let tables: Vec<[i16; TABLE_BINS]> = (0..if own { channels(*of) } else { 1 })
                        .map(|channel| {
                            let range = super::of_channel(ranges, channel).copied().unwrap_or_default();
                            core::array::from_fn(|bin| function(channel, middle(bin, range, read)))
                        })
                        .collect();
                    let bits = match index + 1 == links.len() {
                        true => AccumulatorBits(value_bits(&tables).0 + together.ilog2() as u8),
                        false => self.bits(ChainIndex((index + 1) as u16)),
                    };
                    let offset_half_units = ranges.iter().map(|range| offset(*range, read)).collect();
                    (Step::Lookup { of: *of, offset_half_units, tables, bits }, channels(*of))
                }
                Link::Linear { of, layer, .. } => {
                    (Step::Linear { of: *of, layer: *layer }, layer.output_shape().channels)
                }
                Link::Add { of, factors } => (Step::Add { of: *of, factors: *factors }, channels(of[0])),
            };
            channels_of.push(gives);
            steps.push(step);
        }
        Chain { steps, together, cuts: Vec::new() }
    }
}

/// Bits whose sixteen bins hold a range.
fn bits_for([least, most]: [i64; 2]) -> AccumulatorBits {
    // Half of the 2^p integers lie in the sixteen bins.
    let apart = most.saturating_sub(least).max(0) as u64;
    AccumulatorBits(65 - apart.leading_zeros() as u8).max(Step::LEAST_LOOKUP_BITS)
}

/// What puts the middle of a range into the middle of the bins, with no integer on an edge between two.
fn offset([least, most]: [i64; 2], bits: AccumulatorBits) -> i64 {
    // Bins are 2^(p−4) half units wide, and the first reaches half of that below zero.
    let (turn, bin) = (1i64 << bits.0, 1i64 << (bits.0 - 4));
    let middle = (turn - bin) / 2;
    let centred = middle - least.saturating_add(most);
    // At five bits an integer is a bin and belongs in its middle; at more an odd number keeps integers off edges.
    let odd = bits > Step::LEAST_LOOKUP_BITS;
    let offset = if (centred.rem_euclid(2) == 1) == odd { centred } else { centred - 1 };
    // Only its remainder modulo two turns counts.
    let wrapped = offset.rem_euclid(2 * turn);
    if wrapped > turn { wrapped - 2 * turn } else { wrapped }
}

/// The number in the middle of what is rounded to a bin, in the unit of what is looked up.
fn middle(bin: usize, range: [i64; 2], bits: AccumulatorBits) -> f64 {
    let (turn, width) = (2i64 << bits.0, 1i64 << (bits.0 - 4));
    // All that differ by whole turns are looked up alike: the one that is meant lies nearest to the range.
    let centre = range[0].saturating_add(range[1]);
    let from_centre = (bin as i64 * width - offset(range, bits)).wrapping_sub(centre).rem_euclid(turn);
    let nearest = if from_centre > turn / 2 { from_centre - turn } else { from_centre };
    (centre as f64 + nearest as f64) / 2.0
}

/// Bits that the values of tables need, sign included.
fn value_bits(tables: &[[i16; TABLE_BINS]]) -> AccumulatorBits {
    let worst = tables.iter().flatten().map(|value| value.unsigned_abs()).max().unwrap_or(0);
    AccumulatorBits((17 - worst.leading_zeros()) as u8).max(AccumulatorBits::MIN)
}

#[cfg(test)]
mod tests {
    use super::super::clear::bin;
    use super::*;

    const RANGES: [[i64; 2]; 8] =
        [[0, 15], [-7, 8], [-100, 27], [0, 16], [5_000, 6_000], [-80_000, -20_000], [-1, 0], [-131_072, 131_071]];

    #[test]
    fn a_range_fills_bins_from_the_first_to_the_last_and_more_than_half_of_them() {
        for range in RANGES {
            let bits = bits_for(range);
            let ends = range.map(|end| bin(end, offset(range, bits), bits));
            assert!(ends[0] <= ends[1] && ends[1] < TABLE_BINS, "{range:?} in {bits:?}: {ends:?}");
            assert!(bits == Step::LEAST_LOOKUP_BITS || ends[1] - ends[0] >= 7, "{range:?} in {bits:?}: {ends:?}");
        }
    }

    #[test]
    fn every_integer_is_looked_up_within_half_a_bin_of_it() {
        for range in RANGES {
            let bits = bits_for(range);
            let half = f64::from(bits.0 - 5).exp2() / 2.0;
            for value in (range[0]..=range[1]).step_by(((range[1] - range[0]) / 1_000 + 1) as usize) {
                let middle = middle(bin(value, offset(range, bits), bits), range, bits);
                assert!((middle - value as f64).abs() <= half - 0.5, "{value} of {range:?}: {middle}");
            }
        }
    }

    #[test]
    fn no_integer_lies_on_an_edge() {
        for range in RANGES {
            let bits = bits_for(range);
            let (offset, width) = (offset(range, bits), 1i64 << (bits.0 - 4));
            for value in range[0]..=range[1].min(range[0] + 4_096) {
                assert_ne!((2 * value + offset - width / 2).rem_euclid(width), 0, "{value} of {range:?}");
            }
        }
    }
}
