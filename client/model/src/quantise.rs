//! From a graph of floats to the integer program that runs under encryption.
//!
//! Weights are i8 with a scale per output; inputs and activations are u8 (i8 where calibration saw some below
//! zero), scaled to what it saw; features are integers on a grid of [`CLIP_UNITS`] to the clip norm. The accuracy of
//! the integer head is that of the very program that runs encrypted: `encompute_head`'s.

use crate::{
    inside::{self, InnerLink, InsideError, inside},
    lower::{apply, plus_bias},
    onnx::{HeadGraph, HeadNode, LinearMap, Operation, Requests},
    preamble::{InputGrid, Tensor},
    rounding::{Correlation, round_weights},
};
use encompute_fhe::{BootstrapSet, ParameterSet};
use encompute_head::{
    CompileError, CompileOptions, CompiledHead, Domain, Draft, Features, HeadPlan, HeadWeights, Link, Mode, Node,
    NodeError, PlanError, Program, Real, RoundPlan, Shape, TensorIndex, Unit, compile, compute, quantised,
    request_units,
};
use rayon::prelude::*;

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
    #[error(
        "the first layer pads with 0, which is not where its input's grid begins; leave out the padding there, or let inputs begin at 0"
    )]
    PaddingOffGrid,
    /// Numbers beyond 32-bit floats.
    #[error("node `{node}`: its scales or its bias are beyond what 32-bit floats hold")]
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
    /// No node of that name among those that the head has after folding.
    #[error("`inside` names `{found}`, which is no activation of the head; its activations are {known}")]
    NoInside {
        /// Name given.
        found: String,
        /// Names there are.
        known: String,
    },
    /// Layers that cannot stay encrypted.
    #[error("keep the first layers encrypted")]
    Inside(#[from] InsideError),
    /// A node behind the encrypted part that reads something within it.
    #[error("node `{node}` reads `{inner}`, which does not leave encryption")]
    Hidden {
        /// The node.
        node: String,
        /// What it reads.
        inner: String,
    },
    /// The head program refused what the client computes.
    #[error("the client cannot compute this head")]
    Node(#[source] NodeError),
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

const PARAMETER_SET: ParameterSet = ParameterSet::Glwe2048V1;

/// How a head is quantised.
pub(crate) struct Recipe<'a> {
    /// How it runs.
    pub mode: Mode,
    /// Name of the activation up to which nothing leaves encryption; for bootstrapped heads.
    pub inside: Option<&'a str>,
    /// Most bootstraps between two receipts there.
    pub bootstraps_per_segment: u32,
    /// The L2 norm, in the float model's units, that makes [`CLIP_UNITS`].
    pub clip: f64,
}

/// Quantises `graph` for inputs on `grid`, scaled by `calibration`.
pub(crate) fn quantise(
    graph: &HeadGraph,
    recipe: &Recipe<'_>,
    grid: &InputGrid,
    calibration: &[Tensor],
) -> Result<QuantisedHead, QuantiseError> {
    let Recipe { mode, inside, bootstraps_per_segment, clip } = *recipe;
    if calibration.is_empty() {
        return Err(QuantiseError::NoCalibration);
    }
    let unit = Real::new(clip / CLIP_UNITS as f64).filter(|unit| unit.get() > 0.0);
    let unit = unit.ok_or(QuantiseError::Clip { found: clip })?;
    let mut writer = Writer::new(grid, calibration, graph.requests);
    // What the nodes of the graph are called in the program, which has a node more where a client reads the input.
    let mut names = vec![Some(Program::INPUT)];
    let mut nodes = graph.nodes.as_slice();
    if let Some(until) = inside {
        let (inner, rest) = split_after(nodes, until)?;
        let given = writer.inside(inner, grid, bootstraps_per_segment)?;
        // Only what the encrypted part ends with comes out of it.
        names.resize(inner.len(), None);
        names.push(Some(given));
        nodes = rest;
    }
    for node in nodes {
        let hidden = node.operation.reads().into_iter().find(|of| names[usize::from(of.0)].is_none());
        if let Some(of) = hidden {
            let (node, inner) = (node.name.clone(), graph.nodes[usize::from(of.0) - 1].name.clone());
            return Err(QuantiseError::Hidden { node, inner });
        }
        let named = |of: TensorIndex| names[usize::from(of.0)].unwrap_or(Program::INPUT);
        let given = match &node.operation {
            Operation::Linear { of, map } => writer.round(&node.name, named(*of), map, grid)?,
            Operation::Client(client) => {
                let input = match client.reads().contains(&Program::INPUT) {
                    true => writer.real_input(&node.name, grid)?,
                    false => Program::INPUT,
                };
                writer.client(&client.clone().renamed(|of| if of == Program::INPUT { input } else { named(of) }))?
            }
        };
        names.push(Some(given));
    }
    let Writer { draft, rounds, weights, .. } = writer;
    let features = usize::from(graph.features.0);
    let of = names[features].ok_or_else(|| {
        let inner = graph.nodes[features - 1].name.clone();
        QuantiseError::Hidden { node: "features".to_owned(), inner }
    })?;
    let program = draft.give(Features { of, unit, domain: FEATURES });
    let plan = HeadPlan::new(PARAMETER_SET, mode, rounds, program).map_err(QuantiseError::Plan)?;
    let weights = HeadWeights::new(weights);
    let compiled =
        compile(plan.clone(), weights.clone(), &CompileOptions::default()).map_err(QuantiseError::Compile)?;
    Ok(QuantisedHead { plan, weights, compiled })
}

/// One tensor of a calibration sample, in floats and as the quantised program gives it.
struct Both {
    exact: Vec<f64>,
    quantised: Vec<f64>,
}

/// Writes the program node by node, and takes all calibration samples through it.
struct Writer {
    draft: Draft,
    rounds: Vec<RoundPlan>,
    weights: Vec<Vec<i8>>,
    /// By sample, then by tensor.
    samples: Vec<Vec<Both>>,
    shapes: Vec<Shape>,
    /// The input on the float model's axis, once something has read it there.
    real_input: Option<TensorIndex>,
    requests: Requests,
}

/// A layer's weights for what a request stands for, and how that becomes integers.
struct Entry {
    weights: Vec<f64>,
    unit: Unit,
    domain: Domain,
}

impl Writer {
    fn new(grid: &InputGrid, calibration: &[Tensor], requests: Requests) -> Self {
        let sample = |tensor: &Tensor| {
            let quantised: Vec<f64> = tensor.values().iter().map(|byte| f64::from(*byte)).collect();
            let axis = grid.offset.iter().zip(&grid.step);
            let exact = quantised.iter().zip(axis).map(|(value, (offset, step))| offset + step * value).collect();
            vec![Both { exact, quantised }]
        };
        let samples = calibration.iter().map(sample).collect();
        let shape = Shape { channels: grid.step.len(), rows: 1, columns: 1 };
        let shapes = vec![shape];
        let (rounds, weights) = (Vec::new(), Vec::new());
        Self { draft: Draft::default(), rounds, weights, samples, shapes, real_input: None, requests }
    }

    /// The input as the float model has it: the program's is in bytes.
    fn real_input(&mut self, name: &str, grid: &InputGrid) -> Result<TensorIndex, QuantiseError> {
        if let Some(known) = self.real_input {
            return Ok(known);
        }
        let of_channels = self.shapes[0].channels == grid.step.len();
        let numbers = |values: &[f64]| {
            let one = values.iter().all(|value| *value == values[0]);
            let values = if one { &values[..1] } else { values };
            let reals = values.iter().map(|value| Real::new(*value)).collect::<Option<Vec<Real>>>();
            reals.filter(|reals| reals.len() == 1 || of_channels)
        };
        let (Some(gain), Some(offset)) = (numbers(&grid.step), numbers(&grid.offset)) else {
            return Err(QuantiseError::Scale { node: name.to_owned() });
        };
        let given = self.client(&Node::Affine { of: Program::INPUT, gain, offset })?;
        for sample in &mut self.samples {
            // The floats of the input are on that axis already.
            let (exact, place) = (sample[0].exact.clone(), usize::from(given.0));
            sample[place].exact = exact;
        }
        self.real_input = Some(given);
        Ok(given)
    }

    /// What the client computes, on floats and on the program's numbers alike.
    fn client(&mut self, node: &Node) -> Result<TensorIndex, QuantiseError> {
        let reads: Vec<usize> = node.reads().iter().map(|of| usize::from(of.0)).collect();
        let shapes: Vec<Shape> = reads.iter().map(|of| self.shapes[*of]).collect();
        for sample in &mut self.samples {
            let of = |values: fn(&Both) -> &Vec<f64>| {
                let read: Vec<_> =
                    reads.iter().zip(&shapes).map(|(of, shape)| (values(&sample[*of]).as_slice(), *shape)).collect();
                compute(node, &read)
            };
            let both = Both { exact: of(|both| &both.exact), quantised: of(|both| &both.quantised) };
            sample.push(both);
        }
        self.shapes.push(node.shape_after(&shapes).map_err(QuantiseError::Node)?);
        Ok(self.draft.then(node.clone()))
    }

    fn round(
        &mut self,
        name: &str,
        of: TensorIndex,
        map: &LinearMap,
        grid: &InputGrid,
    ) -> Result<TensorIndex, QuantiseError> {
        let source = usize::from(of.0);
        let entry = if source == 0 { first_entry(map, grid)? } else { self.inner_entry(source, map) };
        let shape = map.head_layer().input_shape();
        let sent = |sample: &Vec<Both>| request(&sample[source].quantised, &entry, shape);
        let requests: Vec<Vec<f64>> = self.samples.par_iter().map(sent).collect();
        let (integers, scales) = rounded(map, &entry, &requests);
        let number = |value: f64| Real::new(value).ok_or_else(|| QuantiseError::Scale { node: name.to_owned() });
        let scale = scales.iter().map(|scale| number(*scale)).collect::<Result<Vec<_>, _>>()?;
        let rows = integers.chunks_exact(map.fan_in()).zip(&scale);
        let weights: Vec<f64> =
            rows.flat_map(|(row, scale)| row.iter().map(|weight| f64::from(*weight) * scale.get())).collect();
        let real: Vec<f64> = map.weights().iter().map(|weight| f64::from(*weight)).collect();
        let outputs = |sample: (&Vec<Both>, &Vec<f64>)| {
            let exact = plus_bias(apply(&real, &map.windows(&sample.0[source].exact)), map.bias());
            Both { exact, quantised: apply(&weights, &map.windows(sample.1)) }
        };
        let mut outputs: Vec<Both> = self.samples.par_iter().zip(&requests).map(outputs).collect();
        let bias = missing_bias(&outputs, scale.len()).into_iter().map(number).collect::<Result<Vec<_>, _>>()?;
        for both in &mut outputs {
            let positions = (both.quantised.len() / bias.len()).max(1);
            both.quantised.chunks_mut(positions).zip(&bias).for_each(|(channel, bias)| {
                channel.iter_mut().for_each(|value| *value += bias.get());
            });
        }
        self.samples.iter_mut().zip(outputs).for_each(|(sample, both)| sample.push(both));
        let plan = RoundPlan::fitted(PARAMETER_SET, map.head_layer(), entry.domain, &integers)
            .map_err(|source| QuantiseError::Layer { node: name.to_owned(), source })?;
        // The input has the shape that its first round gives it.
        if source == 0 {
            self.shapes[0] = plan.layer.input_shape();
        }
        self.shapes.push(plan.sums());
        self.rounds.push(plan);
        self.weights.push(integers);
        Ok(self.draft.then(Node::Round { of, unit: entry.unit, scale, bias }))
    }

    /// The first layers as one round that stays encrypted.
    fn inside(
        &mut self,
        nodes: &[HeadNode],
        grid: &InputGrid,
        bootstraps_per_segment: u32,
    ) -> Result<TensorIndex, QuantiseError> {
        let Some(HeadNode { name, operation: Operation::Linear { map, .. } }) = nodes.first() else {
            return Err(InsideError::Node { node: String::new(), reason: "the first node must be a linear map" }.into());
        };
        let entry = first_entry(map, grid)?;
        let (bytes, exact): (Vec<_>, Vec<_>) =
            self.samples.iter().map(|sample| (sample[0].quantised.clone(), sample[0].exact.clone())).unzip();
        let inside = inside(nodes, &inside::Entry { weights: &entry.weights, bytes: &bytes, exact: &exact })?;
        let number = |value: &f64| Real::new(*value).ok_or_else(|| QuantiseError::Scale { node: name.clone() });
        let scale = inside.scale.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        let (first, rest) = inside.weights.split_first().expect("the round's layer has weights; qed");
        let functions: Vec<_> = (inside.links.iter())
            .filter_map(|link| if let InnerLink::Lookup { entries, .. } = link { Some(entries) } else { None })
            .map(|entries| move |channel: usize, middle: f64| entries.entry(channel, middle))
            .collect();
        let (mut functions, mut weights) = (functions.iter(), rest.iter());
        let mut link = |link: &InnerLink| match link {
            InnerLink::Lookup { of, ranges, .. } => {
                Some(Link::Lookup { of: *of, ranges: ranges.clone(), function: functions.next()?, by_channel: true })
            }
            InnerLink::Linear { of, layer } => Some(Link::Linear { of: *of, layer: *layer, weights: weights.next()? }),
            InnerLink::Add { of } => Some(Link::Add { of: *of, factors: [1, 1] }),
        };
        let links: Vec<Link<'_>> = inside.links.iter().filter_map(&mut link).collect();
        let first = (inside.layer, entry.domain, first.as_slice());
        let plan = RoundPlan::fitted_segments(BootstrapSet::FourBitsV1, first, &links, bootstraps_per_segment);
        let plan = plan.map_err(|source| QuantiseError::Layer { node: name.clone(), source })?;
        self.shapes[0] = plan.layer.input_shape();
        self.shapes.push(plan.sums());
        let both = inside.exact.into_iter().zip(inside.quantised).map(|(exact, quantised)| Both { exact, quantised });
        self.samples.iter_mut().zip(both).for_each(|(sample, both)| sample.push(both));
        self.rounds.push(plan);
        self.weights.extend(inside.weights);
        let (unit, bias) = (Unit::Fixed(Real::ONE), Vec::new());
        Ok(self.draft.then(Node::Round { of: Program::INPUT, unit, scale, bias }))
    }

    fn inner_entry(&self, source: usize, map: &LinearMap) -> Entry {
        let weights = map.weights().iter().map(|weight| f64::from(*weight)).collect();
        if self.requests == Requests::PerPlace && !map.places_meet() {
            return Entry { weights, unit: Unit::DynamicPosition, domain: Domain::I8 };
        }
        let values = || self.samples.iter().flat_map(|sample| &sample[source].exact);
        let largest = values().fold(0.0f64, |largest, value| largest.max(value.abs()));
        let domain = if values().any(|value| *value < 0.0) { Domain::I8 } else { Domain::U8 };
        let unit = Real::new(largest / domain.max() as f64).filter(|unit| unit.get() > 0.0).unwrap_or(Real::ONE);
        Entry { weights, unit: Unit::Fixed(unit), domain }
    }
}

/// The nodes up to the one of that name, and the rest.
fn split_after<'a>(nodes: &'a [HeadNode], until: &str) -> Result<(&'a [HeadNode], &'a [HeadNode]), QuantiseError> {
    let activates = |node: &HeadNode| matches!(node.operation, Operation::Client(Node::Activate { .. }));
    let at = nodes.iter().position(|node| activates(node) && node.name == until).ok_or_else(|| {
        let known: Vec<&str> = nodes.iter().filter(|node| activates(node)).map(|node| node.name.as_str()).collect();
        QuantiseError::NoInside { found: until.to_owned(), known: known.join(", ") }
    })?;
    Ok(nodes.split_at(at + 1))
}

/// The first layer takes bytes: their step goes into the weights; their offset ends up in the bias, which comes
/// from the float outputs over calibration.
fn first_entry(map: &LinearMap, grid: &InputGrid) -> Result<Entry, QuantiseError> {
    let (found, wanted) = (grid.step.len(), map.inputs());
    if found != wanted {
        return Err(QuantiseError::Inputs { found, wanted });
    }
    let weights = map.weights().iter().map(|weight| f64::from(*weight));
    let weights = match map {
        LinearMap::Dense(_) => weights.zip(grid.step.iter().cycle()).map(|(weight, step)| weight * step).collect(),
        LinearMap::Conv2d(conv) => {
            let (step, offset) = (grid.step[0], grid.offset[0]);
            let uneven =
                grid.offset.iter().any(|other| *other != offset) || grid.step.iter().any(|other| *other != step);
            if uneven || (offset != 0.0 && conv.padding != [0; 4]) {
                return Err(QuantiseError::PaddingOffGrid);
            }
            weights.map(|weight| weight * step).collect()
        }
    };
    Ok(Entry { weights, unit: Unit::Fixed(Real::ONE), domain: Domain::U8 })
}

/// What a round's request stands for: the tensor, rounded to its integers.
fn request(tensor: &[f64], entry: &Entry, shape: Shape) -> Vec<f64> {
    let units = request_units(&entry.unit, tensor, shape, entry.domain);
    let integers = quantised(tensor, &units, entry.domain);
    let real = |(at, integer): (usize, &i64)| *integer as f64 * units[at % units.len()];
    integers.expose().iter().enumerate().map(real).collect()
}

/// 8-bit weights, and what an integer of each output's is worth.
fn rounded(map: &LinearMap, entry: &Entry, requests: &[Vec<f64>]) -> (Vec<i8>, Vec<f64>) {
    let (fan_in, groups) = (map.fan_in(), map.groups().max(1));
    let (mut integers, mut scales) = (Vec::new(), Vec::new());
    let parts = entry.weights.chunks_exact(entry.weights.len() / groups);
    for (weights, correlation) in parts.zip(&correlations(map, requests)) {
        let of_group = round_weights(weights, fan_in, correlation);
        integers.extend(of_group.0);
        scales.extend(of_group.1);
    }
    (integers, scales)
}

/// How what a map reads correlates over calibration, for each of its groups.
pub(crate) fn correlations(map: &LinearMap, inputs: &[Vec<f64>]) -> Vec<Correlation> {
    let mut correlations: Vec<Correlation> = (0..map.groups().max(1)).map(|_| Correlation::new(map.fan_in())).collect();
    // Sample by sample: the windows of all together are many times the samples.
    let mut every = None;
    let mut seen = 0;
    for input in inputs {
        let windows = map.windows(input);
        let count = windows.first().map_or(0, Vec::len);
        let every = *every.get_or_insert((inputs.len() * count).div_ceil(CORRELATED_WINDOWS).max(1));
        for (correlation, windows) in correlations.iter_mut().zip(&windows) {
            let first = (every - seen % every) % every;
            windows.iter().skip(first).step_by(every).for_each(|window| correlation.add(window));
        }
        seen += count;
    }
    correlations
}

/// The bias that makes the mean over calibration right: it takes the rounding of weights and of everything before
/// into account.
fn missing_bias(samples: &[Both], channels: usize) -> Vec<f64> {
    let mean = |channel: usize| {
        let missing = samples.iter().flat_map(|both| {
            let positions = both.exact.len() / channels.max(1);
            let place = channel * positions..(channel + 1) * positions;
            both.exact[place.clone()].iter().zip(&both.quantised[place]).map(|(exact, quantised)| exact - quantised)
        });
        let (count, total) = missing.fold((0u64, 0.0), |(count, total), value| (count + 1, total + value));
        total / count.max(1) as f64
    };
    (0..channels).map(mean).collect()
}
