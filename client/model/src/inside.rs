//! The first layers of a head as one round that does not leave encryption: activations become tables.
//!
//! An activation is looked up by sixteen bins of equal width that cover what calibration saw in front of it, so
//! scales follow from ranges: an output of a linear map is worth what makes its range sixteen bins. What limits them
//! from below is noise: integer weights behind a table multiply its noise, and their norm is held to
//! [`NORM_LIMIT`].

mod stages;

use self::stages::{Stage, activated, check, largest_activation, refused, stages};
use crate::{
    lower::apply,
    onnx::{HeadNode, LinearMap},
    quantise::correlations,
    rounding::round_to_scales,
};
use encompute_fhe::TABLE_BINS;
use encompute_head::{Axis, ChainIndex, Layer, Node, Program, Shape, Step, TensorIndex};
use rayon::prelude::*;

/// Largest norm of the integer weights behind a table: as much noise as leaves a bin's width thirteen and a half
/// deviations, so that no sum is taken for one two bins away.
const NORM_LIMIT: f64 = 40.0;
/// Largest integer of a table that is read under encryption.
const TABLE_MOST: f64 = 127.0;
/// Largest integer of the last table: four bits, which share a ciphertext with many others.
const SENT_MOST: f64 = 15.0;
/// Least factor of a shortcut: smaller ones would round the range that they serve.
const LEAST_SHORTCUT: f64 = 4.0;
/// Share of a range that is added at either end: what leaves its range wraps.
const MARGIN: f64 = 0.06;
/// Widths tried for sums behind a table.
const WIDTHS: core::ops::RangeInclusive<u8> = 8..=22;
/// Points of a bin over which its table entry is the mean.
const BIN_POINTS: usize = 8;

/// Why layers cannot stay encrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InsideError {
    /// A node that cannot be computed under encryption where it is.
    #[error("node `{node}`: {reason}")]
    Node {
        /// The node.
        node: String,
        /// Why not.
        reason: &'static str,
    },
    /// Weights whose noise would hide the bins, however they are rounded.
    #[error(
        "node `{node}`: no scale fits both its weights and the sixteen bins behind it; fewer inputs to a sum, or \
         activations of a smaller range, leave more room"
    )]
    NoScale {
        /// The linear map.
        node: String,
    },
}

/// A round with its chain, and what its integers are worth.
pub(crate) struct Inside {
    pub layer: Layer,
    /// Of the round's layer, then of the chain's.
    pub weights: Vec<Vec<i8>>,
    pub links: Vec<InnerLink>,
    /// What an integer of each channel out is worth.
    pub scale: Vec<f64>,
    /// What the last tensor is over calibration, in floats and as the tables have it.
    pub exact: Vec<Vec<f64>>,
    pub quantised: Vec<Vec<f64>>,
}

/// A step of the chain before its widths are chosen.
pub(crate) enum InnerLink {
    Lookup {
        of: ChainIndex,
        ranges: Vec<[i64; 2]>,
        entries: Entries,
    },
    /// Its weights are the next of [`Inside::weights`].
    Linear {
        of: ChainIndex,
        layer: Layer,
    },
    Add {
        of: [ChainIndex; 2],
    },
}

/// What the tables of a lookup hold.
pub(crate) struct Entries {
    activation: Node,
    /// Integers of a bin.
    width: f64,
    channels: Vec<Channel>,
}

/// What integers of a channel are worth.
#[derive(Clone, Copy)]
struct Channel {
    /// In front of the lookup.
    scale: f64,
    /// Added there.
    missing: f64,
    /// Behind it.
    unit: f64,
}

impl Entries {
    /// The activation of a number in the middle of a bin: its mean over the bin.
    pub fn entry(&self, channel: usize, middle: f64) -> i16 {
        let Channel { scale, missing, unit } = self.channels[channel];
        (self.mean(scale, missing, middle) / unit).round() as i16
    }

    fn mean(&self, scale: f64, missing: f64, middle: f64) -> f64 {
        let point = |at: usize| {
            let place = (at as f64 + 0.5) / BIN_POINTS as f64 - 0.5;
            (middle + self.width * place) * scale + missing
        };
        let values = activated(&self.activation, &(0..BIN_POINTS).map(point).collect::<Vec<_>>());
        values.iter().sum::<f64>() / BIN_POINTS as f64
    }
}

/// What the bytes of the input are worth, and the bytes of each calibration sample.
pub(crate) struct Entry<'a> {
    /// The first map's weights for bytes.
    pub weights: &'a [f64],
    /// Of each sample.
    pub bytes: &'a [Vec<f64>],
    /// Of each sample, on the float model's axis.
    pub exact: &'a [Vec<f64>],
}

/// What an integer of a channel's sum is worth if its range is fifteen bins, from the middle of the first to that of
/// the last.
fn scale_of((least, most): (f64, f64), bits: u8) -> f64 {
    (most - least) / ((TABLE_BINS - 1) as f64 * bin_width(bits))
}

/// Integers of a bin.
fn bin_width(bits: u8) -> f64 {
    f64::from(bits - Step::LEAST_LOOKUP_BITS.0).exp2()
}

/// Scales of a stage's sums for sums of `bits` and tables worth `unit(tensor)`, and the norm of its integer weights;
/// none where a weight would be too large or a shortcut's factor too small.
fn fitted(
    stage: &Stage<'_>,
    weights: &[Vec<f64>],
    bits: u8,
    unit: impl Fn(TensorIndex) -> f64,
) -> Option<(Vec<f64>, f64)> {
    let mut scales: Vec<f64> = stage.ranges.iter().map(|range| scale_of(*range, bits)).collect();
    let mut squares = vec![0.0; scales.len()];
    let shortcut = stage.terms.iter().find(|term| term.map.is_none());
    if let Some(term) = shortcut {
        for (scale, square) in scales.iter_mut().zip(&mut squares) {
            let factor = (unit(term.of) / *scale).floor();
            if !(LEAST_SHORTCUT..=TABLE_MOST).contains(&factor) {
                return None;
            }
            *scale = unit(term.of) / factor;
            *square += factor * factor;
        }
    }
    for (term, weights) in stage.terms.iter().zip(weights).filter(|(term, _)| term.map.is_some()) {
        let of = if term.of == Program::INPUT { 1.0 } else { unit(term.of) };
        let rows = weights.chunks_exact((weights.len() / scales.len()).max(1));
        for ((row, scale), square) in rows.zip(&scales).zip(&mut squares) {
            let integers = row.iter().map(|weight| weight * of / scale);
            if integers.clone().any(|weight| weight.abs() > TABLE_MOST) {
                return None;
            }
            *square += integers.map(|weight| weight * weight).sum::<f64>();
        }
    }
    Some((scales, squares.into_iter().fold(0.0f64, f64::max).sqrt()))
}

/// What the tables of a stage hold.
struct Tabled {
    /// Place of the activation in the chain, once it has one.
    at: ChainIndex,
    /// What an integer is worth.
    unit: f64,
    /// Over calibration.
    integers: Vec<Vec<f64>>,
}

/// Takes the stages into a chain, one after another.
struct Builder<'a> {
    stages: Vec<Stage<'a>>,
    /// Where each stage's activation is among the head's tensors.
    tensors: Vec<TensorIndex>,
    bits: u8,
    tables: Vec<Tabled>,
    links: Vec<InnerLink>,
    weights: Vec<Vec<i8>>,
    /// What an integer of each channel of the last tables is worth.
    sent: Vec<f64>,
}

/// The first `nodes` of a head, all of them, as one round.
///
/// # Errors
/// [`InsideError`], naming the node.
pub(crate) fn inside(nodes: &[HeadNode], entry: &Entry<'_>) -> Result<Inside, InsideError> {
    let stages = stages(nodes, entry.exact)?;
    check(nodes, &stages)?;
    let place = |stage: &Stage<'_>| nodes.iter().position(|node| core::ptr::eq(node, stage.node)).unwrap_or(0) + 1;
    let tensors: Vec<TensorIndex> = stages.iter().map(|stage| TensorIndex(place(stage) as u16)).collect();
    let first = first_scale(&stages[0], entry.weights)?;
    let (bits, most) = behind_tables(&stages, &tensors)?;
    let mut builder =
        Builder { stages, tensors, bits, tables: Vec::new(), links: Vec::new(), weights: Vec::new(), sent: Vec::new() };
    let (accumulator_bits, scales) = first;
    builder.first(entry, &scales, accumulator_bits, most);
    for stage in 1..builder.stages.len() {
        builder.stage(stage, most)?;
    }
    builder.done()
}

/// Width and scales of the first sums: as wide as 8-bit weights reach, for a request has next to no noise.
fn first_scale(stage: &Stage<'_>, weights: &[f64]) -> Result<(u8, Vec<f64>), InsideError> {
    let weights = [weights.to_vec()];
    let fits = |bits: u8| fitted(stage, &weights, bits, |_| 1.0).map(|(scales, _)| (bits, scales));
    WIDTHS.rev().find_map(fits).ok_or_else(|| InsideError::NoScale { node: stage.terms[0].node.name.clone() })
}

/// Width of all sums behind tables, and the largest integer of those tables: as fine as noise allows.
fn behind_tables(stages: &[Stage<'_>], tensors: &[TensorIndex]) -> Result<(u8, f64), InsideError> {
    let largest: Vec<f64> = stages.iter().map(largest_activation).collect();
    let mut worst = None;
    let fits = |bits: u8, most: f64, worst: &mut Option<String>| {
        stages[1..].iter().all(|stage| {
            let unit = |of: TensorIndex| {
                tensors.iter().position(|tensor| *tensor == of).map_or(1.0, |table| largest[table] / most)
            };
            let fits = fitted(stage, &stage.real_weights(), bits, unit).is_some_and(|(_, norm)| norm <= NORM_LIMIT);
            if !fits {
                *worst = Some(stage.terms[0].node.name.clone());
            }
            fits
        })
    };
    for bits in WIDTHS.rev() {
        let least = SENT_MOST as u32..=TABLE_MOST as u32;
        if let Some(most) = least.map(f64::from).find(|most| fits(bits, *most, &mut worst)) {
            return Ok((bits, most));
        }
    }
    Err(InsideError::NoScale { node: worst.unwrap_or_default() })
}

impl Builder<'_> {
    fn first(&mut self, entry: &Entry<'_>, scales: &[f64], bits: u8, most: f64) {
        let stage = &self.stages[0];
        let Some(map) = &stage.terms[0].map else { return };
        let weights = rounded(map, entry.weights, scales, entry.bytes);
        let sums = summed(map, &weights, entry.bytes);
        self.weights.push(weights);
        self.look_up(0, ChainIndex::SUMS, (scales, bits), sums, most);
    }

    fn stage(&mut self, index: usize, most: f64) -> Result<(), InsideError> {
        let stage = &self.stages[index];
        let unit = |of: TensorIndex| self.table(of).map_or(1.0, |table| table.unit);
        let fitted = fitted(stage, &stage.real_weights(), self.bits, unit);
        let (scales, _) = fitted.ok_or_else(|| InsideError::NoScale { node: stage.terms[0].node.name.clone() })?;
        let (mut links, mut weights, mut total) = (Vec::new(), Vec::new(), None::<(ChainIndex, Vec<Vec<f64>>)>);
        let mut next = self.links.len() as u16;
        for term in &stage.terms {
            let Some(table) = self.table(term.of) else { continue };
            let (layer, integers, sums) = match &term.map {
                Some(map) => {
                    let real: Vec<f64> = map.weights().iter().map(|weight| f64::from(*weight) * table.unit).collect();
                    let integers = rounded(map, &real, &scales, &table.integers);
                    let sums = summed(map, &integers, &table.integers);
                    (map.head_layer(), integers, sums)
                }
                None => shortcut(stage.shape, table, &scales),
            };
            links.push(InnerLink::Linear { of: table.at, layer });
            weights.push(integers);
            next += 1;
            total = Some(match total {
                None => (ChainIndex(next), sums),
                Some((before, mut both)) => {
                    links.push(InnerLink::Add { of: [before, ChainIndex(next)] });
                    next += 1;
                    let add =
                        |(both, sums): (&mut Vec<f64>, Vec<f64>)| both.iter_mut().zip(sums).for_each(|(a, b)| *a += b);
                    both.iter_mut().zip(sums).for_each(add);
                    (ChainIndex(next), both)
                }
            });
        }
        let (of, sums) = total.unwrap_or((ChainIndex::SUMS, Vec::new()));
        self.links.extend(links);
        self.weights.extend(weights);
        self.look_up(index, of, (&scales, self.bits), sums, most);
        Ok(())
    }

    fn table(&self, of: TensorIndex) -> Option<&Tabled> {
        self.tables.get(self.tensors.iter().position(|tensor| *tensor == of)?)
    }

    /// Adds the tables of a stage behind its sums, and takes calibration through them.
    fn look_up(&mut self, index: usize, of: ChainIndex, (scales, bits): (&[f64], u8), sums: Vec<Vec<f64>>, most: f64) {
        let (stage, last) = (&self.stages[index], index + 1 == self.stages.len());
        let channels = scales.len();
        let real: Vec<Vec<f64>> = sums.iter().map(|sums| by_channel(sums, scales)).collect();
        let missing = mean_difference(&stage.exact, &real, channels);
        let mut entries =
            Entries { activation: stage.activation.clone(), width: bin_width(bits), channels: Vec::new() };
        let largest = largest_activation(stage);
        let (mut ranges, mut bins) = (Vec::new(), Vec::new());
        for (((least, most_seen), scale), missing) in stage.ranges.iter().zip(scales).zip(&missing) {
            let range = [least, most_seen].map(|end| ((end - missing) / scale).round() as i64);
            let of_channel = Bins::of(range, bits);
            // What is sent may have a unit for each channel; what is read under encryption has one for all.
            let means = || (0..TABLE_BINS).map(|bin| entries.mean(*scale, *missing, of_channel.middle(bin)).abs());
            let unit = match last {
                true => means().fold(f64::MIN_POSITIVE.sqrt(), f64::max) / SENT_MOST,
                false => largest / most,
            };
            ranges.push(range);
            bins.push(of_channel);
            entries.channels.push(Channel { scale: *scale, missing: *missing, unit });
        }
        let tables: Vec<[i16; TABLE_BINS]> = (bins.iter().enumerate())
            .map(|(channel, bins)| core::array::from_fn(|bin| entries.entry(channel, bins.middle(bin))))
            .collect();
        let integers: Vec<Vec<f64>> = sums.iter().map(|sums| looked_up(sums, &bins, &tables)).collect();
        self.sent = entries.channels.iter().map(|channel| channel.unit).collect();
        self.links.push(InnerLink::Lookup { of, ranges, entries });
        let at = ChainIndex(self.links.len() as u16);
        self.tables.push(Tabled { at, unit: self.sent[0], integers });
    }
}

/// Where the bins of a channel lie, as a fitted chain has them.
struct Bins {
    offset_half_units: i64,
    width_half_units_log2: u8,
}

impl Bins {
    /// Those that have a range in their middle.
    fn of([least, most]: [i64; 2], bits: u8) -> Self {
        let width_half_units_log2 = bits - Step::LEAST_LOOKUP_BITS.0 + 1;
        let (turn, bin) = (1i64 << bits, 1i64 << width_half_units_log2);
        Self { offset_half_units: (turn - bin) / 2 - (least + most), width_half_units_log2 }
    }

    fn middle(&self, bin: usize) -> f64 {
        (((bin as i64) << self.width_half_units_log2) - self.offset_half_units) as f64 / 2.0
    }

    fn bin(&self, sum: i64) -> usize {
        let half_units = 2 * sum + self.offset_half_units + (1 << (self.width_half_units_log2 - 1));
        (half_units >> self.width_half_units_log2).rem_euclid(2 * TABLE_BINS as i64) as usize
    }
}

impl Builder<'_> {
    fn done(mut self) -> Result<Inside, InsideError> {
        let (Some(last), Some(table)) = (self.stages.pop(), self.tables.pop()) else {
            return Err(InsideError::Node { node: String::new(), reason: "nothing is looked up" });
        };
        let layer = match &self.stages.first().unwrap_or(&last).terms[0].map {
            Some(map) => map.head_layer(),
            None => return Err(refused(last.node, "the first activation must follow one linear map of the input")),
        };
        Ok(Inside {
            layer,
            weights: self.weights,
            links: self.links,
            exact: last.exact.iter().map(|sums| activated(last.activation, sums)).collect(),
            quantised: table.integers.iter().map(|integers| by_channel(integers, &self.sent)).collect(),
            scale: self.sent,
        })
    }
}

/// 8-bit weights where an integer of each output is worth what `scales` says.
fn rounded(map: &LinearMap, weights: &[f64], scales: &[f64], inputs: &[Vec<f64>]) -> Vec<i8> {
    let groups = map.groups().max(1);
    let correlations = correlations(map, inputs);
    let (rows, outputs) = (weights.len() / groups, scales.len() / groups);
    let parts = weights.chunks_exact(rows.max(1)).zip(scales.chunks_exact(outputs.max(1))).zip(&correlations);
    parts.flat_map(|((weights, scales), correlation)| round_to_scales(weights, scales, correlation)).collect()
}

/// Sums of integers over calibration.
fn summed(map: &LinearMap, weights: &[i8], inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let weights: Vec<f64> = weights.iter().map(|weight| f64::from(*weight)).collect();
    inputs.par_iter().map(|values| apply(&weights, &map.windows(values))).collect()
}

/// A tensor that is added as it is: each channel times what makes its integers those of the sum.
fn shortcut(shape: Shape, table: &Tabled, scales: &[f64]) -> (Layer, Vec<i8>, Vec<Vec<f64>>) {
    let factors: Vec<i8> = scales.iter().map(|scale| (table.unit / scale).round() as i8).collect();
    let axis = |side: usize| Axis::new(side as u32, 1);
    let channels = shape.channels as u32;
    let layer = Layer::Conv2d {
        channels,
        out_channels: channels,
        groups: channels,
        rows: axis(shape.rows),
        columns: axis(shape.columns),
    };
    let times: Vec<f64> = factors.iter().map(|factor| f64::from(*factor)).collect();
    let sums = table.integers.iter().map(|values| by_channel(values, &times)).collect();
    (layer, factors, sums)
}

/// Each channel's values times its factor.
fn by_channel(values: &[f64], factors: &[f64]) -> Vec<f64> {
    let positions = (values.len() / factors.len().max(1)).max(1);
    values.iter().enumerate().map(|(at, value)| value * factors[at / positions]).collect()
}

/// What tables give for integer sums, as [`Step::Lookup`] says.
fn looked_up(sums: &[f64], bins: &[Bins], tables: &[[i16; TABLE_BINS]]) -> Vec<f64> {
    let positions = (sums.len() / tables.len().max(1)).max(1);
    let entry = |(at, sum): (usize, &f64)| {
        let channel = at / positions;
        let bin = bins[channel].bin(*sum as i64);
        let entry = f64::from(tables[channel][bin % TABLE_BINS]);
        if bin < TABLE_BINS { entry } else { -entry }
    };
    sums.iter().enumerate().map(entry).collect()
}

/// Mean of exact less quantised values, channel by channel.
fn mean_difference(exact: &[Vec<f64>], quantised: &[Vec<f64>], channels: usize) -> Vec<f64> {
    let mut means = vec![0.0; channels];
    for (exact, quantised) in exact.iter().zip(quantised) {
        let positions = (exact.len() / channels.max(1)).max(1);
        let parts = exact.chunks_exact(positions).zip(quantised.chunks_exact(positions));
        for (mean, (exact, quantised)) in means.iter_mut().zip(parts) {
            let difference: f64 = exact.iter().zip(quantised).map(|(exact, quantised)| exact - quantised).sum();
            *mean += difference / positions as f64;
        }
    }
    means.iter_mut().for_each(|mean| *mean /= exact.len().max(1) as f64);
    means
}
