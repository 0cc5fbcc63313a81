//! From float rounds to the integer program that runs under encryption.
//!
//! Weights are i8 with a scale per output; inputs and activations are u8 (i8 where no ReLU precedes them), scaled
//! to what calibration saw; features are integers on a grid of [`CLIP_UNITS`] to the clip norm. The accuracy of
//! the integer head is that of the very program that runs encrypted: `encompute_head`'s.

use crate::{
    lower::{FloatRound, LinearMap},
    preamble::{InputGrid, Tensor},
    rounding::{Correlation, round_weights},
};
use encompute_fhe::ParameterSet;
use encompute_head::{
    Activation, ClientStep, CompileError, CompileOptions, CompiledHead, Domain, HeadPlan, HeadWeights, Mode, PlanError,
    Pooling, Rescale, RoundPlan, compile,
};

/// Grid units in the clip norm: rounding to the grid is far below any noise that a policy adds.
pub const CLIP_UNITS: u64 = 1 << 14;
/// A feature on the grid: 512 clip norms either way, then it is held to the end.
const FEATURES: Domain = Domain { bits: 24, signed: true };
/// Windows of a convolution that enter the correlation, at most.
const CORRELATED_WINDOWS: usize = 20_000;

/// Why a head was not quantised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantiseError {
    /// No calibration inputs.
    #[error("no calibration inputs: activations cannot be scaled")]
    NoCalibration,
    /// The head and the preamble do not fit.
    #[error("the preamble gives {found} values, the first layer takes {wanted}")]
    Inputs {
        /// Values that the preamble gives.
        found: usize,
        /// Values that the layer takes.
        wanted: usize,
    },
    /// The clip norm is not a positive number.
    #[error("the clip norm is {found}, a positive number is needed")]
    Clip {
        /// What was given.
        found: f64,
    },
    /// Padding means 0.0, and the first layer's inputs have no byte for it.
    #[error("the first layer pads with 0, which is not on its input's grid")]
    PaddingOffGrid,
    /// Numbers too far apart for fixed point.
    #[error("node `{node}`: its scales span more than fixed point holds")]
    Scale {
        /// The linear layer.
        node: String,
    },
    /// The head program refused a layer.
    #[error("node `{node}`: the encrypted head cannot hold this layer")]
    Layer {
        /// The linear layer.
        node: String,
        /// Why.
        #[source]
        source: CompileError,
    },
    /// The head program refused the plan.
    #[error("the rounds do not make a head")]
    Plan(#[source] PlanError),
    /// The head program refused the whole.
    #[error("the head does not compile")]
    Compile(#[source] CompileError),
}

/// Both halves of a head, and the compiled program.
pub(crate) struct QuantisedHead {
    pub plan: HeadPlan,
    pub weights: HeadWeights,
    pub compiled: CompiledHead,
}

/// Quantises `rounds` for inputs on `grid`, scaled by `calibration`. `clip` is the L2 norm, in the float model's
/// units, that makes [`CLIP_UNITS`].
pub(crate) fn quantise(
    rounds: &[FloatRound],
    mode: Mode,
    grid: &InputGrid,
    calibration: &[Tensor],
    clip: f64,
) -> Result<QuantisedHead, QuantiseError> {
    if calibration.is_empty() {
        return Err(QuantiseError::NoCalibration);
    }
    if !(clip.is_finite() && clip > 0.0) {
        return Err(QuantiseError::Clip { found: clip });
    }
    let mut samples = Samples::new(grid, calibration);
    let (mut plans, mut weights) = (Vec::new(), Vec::new());
    for (index, round) in rounds.iter().enumerate() {
        let last = index + 1 == rounds.len();
        let entry = if index == 0 { first_entry(round, grid)? } else { Entry::inner(&samples, round) };
        let (plan, integers) = samples.advance(round, &entry, last.then_some(clip / CLIP_UNITS as f64))?;
        plans.push(plan);
        weights.push(integers);
    }
    let plan = HeadPlan::new(PARAMETER_SET, mode, plans).map_err(QuantiseError::Plan)?;
    let weights = HeadWeights::new(weights);
    let compiled =
        compile(plan.clone(), weights.clone(), &CompileOptions::default()).map_err(QuantiseError::Compile)?;
    Ok(QuantisedHead { plan, weights, compiled })
}

const PARAMETER_SET: ParameterSet = ParameterSet::Glwe2048V1;

/// A layer's real weights, for inputs counted in integers.
struct Entry {
    weights: Vec<f64>,
    domain: Domain,
}

/// The first layer takes bytes: their step goes into the weights; their offset ends up in the bias, which comes
/// from the float outputs over calibration.
fn first_entry(round: &FloatRound, grid: &InputGrid) -> Result<Entry, QuantiseError> {
    let weights = round.map.weights().iter().map(|weight| f64::from(*weight));
    match &round.map {
        LinearMap::Dense(dense) => {
            if dense.inputs != grid.step.len() {
                return Err(QuantiseError::Inputs { found: grid.step.len(), wanted: dense.inputs });
            }
            let weights = weights.zip(grid.step.iter().cycle()).map(|(weight, step)| weight * step);
            Ok(Entry { weights: weights.collect(), domain: Domain::U8 })
        }
        LinearMap::Conv2d(conv) => {
            let wanted = conv.input.iter().product();
            if wanted != grid.step.len() {
                return Err(QuantiseError::Inputs { found: grid.step.len(), wanted });
            }
            let step = grid.step[0];
            if grid.offset.iter().any(|offset| *offset != 0.0) || grid.step.iter().any(|other| *other != step) {
                return Err(QuantiseError::PaddingOffGrid);
            }
            Ok(Entry { weights: weights.map(|weight| weight * step).collect(), domain: Domain::U8 })
        }
    }
}

impl Entry {
    fn inner(samples: &Samples, round: &FloatRound) -> Self {
        Self {
            weights: round.map.weights().iter().map(|weight| f64::from(*weight) * samples.unit).collect(),
            domain: samples.domain,
        }
    }
}

/// The calibration inputs on their way through the head, in floats and in integers.
struct Samples {
    float: Vec<Vec<f64>>,
    integer: Vec<Vec<f64>>,
    /// Float worth of one integer step.
    unit: f64,
    domain: Domain,
}

impl Samples {
    fn new(grid: &InputGrid, calibration: &[Tensor]) -> Self {
        let bytes = |tensor: &Tensor| tensor.values().iter().map(|byte| f64::from(*byte)).collect::<Vec<_>>();
        let on_axis = |values: &Vec<f64>| {
            let axis = grid.offset.iter().zip(&grid.step);
            values.iter().zip(axis).map(|(value, (offset, step))| offset + step * value).collect()
        };
        let integer: Vec<Vec<f64>> = calibration.iter().map(bytes).collect();
        Self { float: integer.iter().map(on_axis).collect(), integer, unit: 1.0, domain: Domain::U8 }
    }

    /// Takes all samples through one round and returns its plan and weights. `grid_unit` is given for the last
    /// round: the float worth of a grid unit.
    fn advance(
        &mut self,
        round: &FloatRound,
        entry: &Entry,
        grid_unit: Option<f64>,
    ) -> Result<(RoundPlan, Vec<i8>), QuantiseError> {
        let fan_in = round.map.fan_in();
        let windows: Vec<Vec<Vec<Vec<f64>>>> = self.integer.iter().map(|sample| round.map.windows(sample)).collect();
        let (mut integers, mut scales) = (Vec::new(), Vec::new());
        for (group, weights) in entry.weights.chunks_exact(entry.weights.len() / round.map.groups()).enumerate() {
            let rounded = round_weights(weights, fan_in, &correlate(&windows, group, fan_in));
            integers.extend(rounded.0);
            scales.extend(rounded.1);
        }
        let weights: Vec<f64> = integers.iter().map(|weight| f64::from(*weight)).collect();
        let sums: Vec<Vec<f64>> = windows.iter().map(|windows| apply(&weights, windows)).collect();
        let real: Vec<f64> = round.map.weights().iter().map(|weight| f64::from(*weight)).collect();
        let exact: Vec<Vec<f64>> = self
            .float
            .iter()
            .map(|sample| plus_bias(apply(&real, &round.map.windows(sample)), round.map.bias()))
            .collect();
        let bias = corrected_bias(&exact, &sums, &scales);
        self.float = exact.into_iter().map(|sums| activated(round, sums)).collect();
        let output = match (grid_unit, round.relu) {
            (Some(_), _) => FEATURES,
            (None, true) => Domain::U8,
            (None, false) => Domain::I8,
        };
        let largest = self.float.iter().flatten().fold(0.0f64, |largest, value| largest.max(value.abs()));
        let unit = grid_unit.unwrap_or(if largest > 0.0 { largest / output.max() as f64 } else { 1.0 });
        let area = (round.pool * round.pool) as f64;
        let ratios: Vec<f64> = scales.iter().map(|scale| scale / (unit * area)).collect();
        let rescale = fixed_point(&ratios).ok_or_else(|| QuantiseError::Scale { node: round.node.clone() })?;
        let step = ClientStep {
            bias,
            activation: if round.relu { Activation::Relu } else { Activation::Identity },
            pooling: match u8::try_from(round.pool) {
                Ok(size @ 2..) => Pooling::Average { size },
                _ => Pooling::None,
            },
            rescale,
            output,
        };
        let layer = round.map.head_layer();
        let plan = RoundPlan::fitted(PARAMETER_SET, layer, entry.domain, step, &integers)
            .map_err(|source| QuantiseError::Layer { node: round.node.clone(), source })?;
        self.integer = sums.iter().map(|sums| stepped(&plan, sums)).collect();
        (self.unit, self.domain) = (unit, output);
        Ok((plan, integers))
    }
}

/// The correlation of what meets one group's weights, over all samples.
fn correlate(samples: &[Vec<Vec<Vec<f64>>>], group: usize, fan_in: usize) -> Correlation {
    let mut correlation = Correlation::new(fan_in);
    let windows = || samples.iter().filter_map(|groups| groups.get(group)).flatten();
    let every = windows().count().div_ceil(CORRELATED_WINDOWS).max(1);
    windows().step_by(every).for_each(|window| correlation.add(window));
    correlation
}

/// `[outputs, fan in] × [groups, windows, fan in] → [outputs, windows]`, flat.
fn apply(weights: &[f64], groups: &[Vec<Vec<f64>>]) -> Vec<f64> {
    let dot = |row: &[f64], window: &[f64]| row.iter().zip(window).map(|(weight, value)| weight * value).sum();
    let of_group = |(windows, weights): (&Vec<Vec<f64>>, &[f64])| {
        let rows = weights.chunks_exact(windows.first().map_or(1, Vec::len));
        rows.flat_map(|row| windows.iter().map(move |window| dot(row, window))).collect::<Vec<f64>>()
    };
    groups.iter().zip(weights.chunks_exact(weights.len() / groups.len().max(1))).flat_map(of_group).collect()
}

fn plus_bias(mut sums: Vec<f64>, bias: &[f32]) -> Vec<f64> {
    let positions = sums.len() / bias.len();
    for (sums, bias) in sums.chunks_exact_mut(positions.max(1)).zip(bias) {
        sums.iter_mut().for_each(|sum| *sum += f64::from(*bias));
    }
    sums
}

/// The bias, in integer sums, that makes the mean over calibration right: it takes the rounding of weights and
/// of everything before into account.
fn corrected_bias(exact: &[Vec<f64>], sums: &[Vec<f64>], scales: &[f64]) -> Vec<i64> {
    let mean = |samples: &[Vec<f64>], output: usize| {
        let channel = samples.iter().flat_map(|sums| {
            let positions = sums.len() / scales.len();
            &sums[output * positions..(output + 1) * positions]
        });
        let (count, total) = channel.fold((0u64, 0.0), |(count, total), value| (count + 1, total + value));
        total / count.max(1) as f64
    };
    let missing = |(output, scale): (usize, &f64)| (mean(exact, output) / scale - mean(sums, output)).round();
    // A float beyond i64 saturates; the plan's own check then refuses it.
    scales.iter().enumerate().map(|entry| missing(entry) as i64).collect()
}

/// Activation and pooling in floats.
fn activated(round: &FloatRound, mut values: Vec<f64>) -> Vec<f64> {
    if round.relu {
        values.iter_mut().for_each(|value| *value = value.max(0.0));
    }
    let (LinearMap::Conv2d(conv), 2..) = (&round.map, round.pool) else { return values };
    let [channels, rows, columns] = conv.output().unwrap_or([0; 3]);
    let side = round.pool;
    let mean = |channel: usize, row: usize, column: usize| {
        let places = (0..side * side).map(|place| (row * side + place / side, column * side + place % side));
        places.map(|(y, x)| values[(channel * rows + y) * columns + x]).sum::<f64>() / (side * side) as f64
    };
    let targets = (0..channels)
        .flat_map(|channel| (0..rows / side).flat_map(move |row| (0..columns / side).map(move |c| (channel, row, c))));
    targets.map(|(channel, row, column)| mean(channel, row, column)).collect()
}

/// One sample's sums through the very step that the client takes.
fn stepped(plan: &RoundPlan, sums: &[f64]) -> Vec<f64> {
    let sums: Vec<i64> = sums.iter().map(|sum| *sum as i64).collect();
    let values = encompute_head::client_step(plan, &sums).expect("the plan was fitted to this layer's sums; qed");
    values.expose().iter().map(|value| *value as f64).collect()
}

/// The ratios as `multiplier / 2^shift`, the largest multiplier between 2^30 and 2^31; `None` if the largest
/// ratio needs a shift outside 0 ..= 62.
fn fixed_point(ratios: &[f64]) -> Option<Rescale> {
    let largest = ratios.iter().copied().fold(0.0, f64::max);
    let shift = 30.0 - largest.log2().floor();
    if !(0.0..=62.0).contains(&shift) {
        return None;
    }
    let multipliers = ratios.iter().map(|ratio| (ratio * shift.exp2()).round() as u32).collect();
    Some(Rescale { multipliers, shift: shift as u8 })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ratios_become_multipliers_of_thirty_bits() {
        let rescale = fixed_point(&[0.5, 0.25]).unwrap();
        assert_eq!((rescale.multipliers.as_slice(), rescale.shift), (&[1 << 30, 1 << 29][..], 31));
    }

    #[test]
    fn ratios_out_of_reach_are_refused() {
        assert!(fixed_point(&[1e-12]).is_none());
        assert!(fixed_point(&[0.0]).is_none());
        assert!(fixed_point(&[f64::NAN]).is_none());
    }
}
