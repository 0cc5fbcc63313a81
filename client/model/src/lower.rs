//! From layers to rounds: one linear map each, then what the client does in clear.

use crate::onnx::{AveragePool, Conv2d, Dense, Layer, Step};

/// One round in floats.
#[derive(Clone, Debug)]
pub(crate) struct FloatRound {
    /// The node that errors name: the linear layer's.
    pub node: String,
    pub map: LinearMap,
    pub relu: bool,
    /// Side of the square windows that are averaged after the activation; 1 for none.
    pub pool: usize,
}

/// A linear map.
#[derive(Clone, Debug)]
pub(crate) enum LinearMap {
    Dense(Dense),
    Conv2d(Conv2d),
}

/// Why layers do not make a head.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// The head has no linear layer.
    #[error("nothing before the cut is a linear layer, so there is nothing to run under encryption")]
    Empty,
    /// A layer that does not fit into a round.
    #[error("node `{node}` cannot run in the head: {reason}")]
    Unsupported {
        /// The node.
        node: String,
        /// Why.
        reason: &'static str,
    },
    /// A linear head with something between its layers.
    #[error("mode `linear` allows one linear layer, the head has {found} rounds; use mode `rounds`")]
    NotLinear {
        /// Rounds found.
        found: usize,
    },
}

/// The rounds of a head.
pub(crate) fn rounds(steps: &[Step]) -> Result<Vec<FloatRound>, LowerError> {
    let mut rounds: Vec<FloatRound> = Vec::new();
    for step in steps {
        let refuse = |reason| LowerError::Unsupported { node: step.node.clone(), reason };
        match (&step.layer, rounds.last_mut()) {
            (Layer::Dense(dense), Some(FloatRound { map: LinearMap::Dense(before), relu: false, pool: 1, .. })) => {
                *before = folded(before, dense);
            }
            (Layer::Dense(dense), _) => rounds.push(round(step, LinearMap::Dense(dense.clone()))),
            (Layer::Conv2d(conv), _) => rounds.push(round(step, LinearMap::Conv2d(conv.clone()))),
            (Layer::Reshape, _) => {}
            (_, None) => return Err(refuse("it comes before the first linear layer")),
            (Layer::Relu, Some(last)) if last.pool > 1 => return Err(refuse("a ReLU must come before the pooling")),
            (Layer::Relu, Some(last)) => last.relu = true,
            (Layer::AveragePool(pool), Some(last)) => last.pool = window(pool, last).map_err(refuse)?,
        }
    }
    if rounds.is_empty() { Err(LowerError::Empty) } else { Ok(rounds) }
}

fn round(step: &Step, map: LinearMap) -> FloatRound {
    FloatRound { node: step.node.clone(), map, relu: false, pool: 1 }
}

fn window(pool: &AveragePool, last: &FloatRound) -> Result<usize, &'static str> {
    let side = pool.kernel[0];
    if pool.kernel != [side; 2] || pool.stride != [side; 2] || side > 64 {
        return Err("windows must be square, at most 64 a side, and lie next to each other");
    }
    match &last.map {
        LinearMap::Conv2d(conv) if last.pool == 1 && conv.output() == Some(pool.input) => Ok(side),
        _ => Err("pooling must directly follow a convolution and its ReLU"),
    }
}

/// `after ∘ before` as one layer.
fn folded(before: &Dense, after: &Dense) -> Dense {
    let row_of = |row: &[f32]| {
        let mut sums = vec![0.0f64; before.inputs];
        for (weight, source) in row.iter().zip(before.weights.chunks_exact(before.inputs)) {
            sums.iter_mut().zip(source).for_each(|(sum, value)| *sum += f64::from(*weight) * f64::from(*value));
        }
        sums.into_iter().map(|sum| sum as f32).collect::<Vec<_>>()
    };
    let rows = || after.weights.chunks_exact(after.inputs);
    let bias = rows().zip(&after.bias).map(|(row, bias)| {
        let carried: f64 = row.iter().zip(&before.bias).map(|(w, b)| f64::from(*w) * f64::from(*b)).sum();
        (carried + f64::from(*bias)) as f32
    });
    Dense {
        inputs: before.inputs,
        outputs: after.outputs,
        weights: rows().flat_map(row_of).collect(),
        bias: bias.collect(),
    }
}

impl LinearMap {
    pub fn outputs(&self) -> usize {
        self.bias().len()
    }

    pub fn bias(&self) -> &[f32] {
        match self {
            Self::Dense(dense) => &dense.bias,
            Self::Conv2d(conv) => &conv.bias,
        }
    }

    /// `[outputs, fan in]`.
    pub fn weights(&self) -> &[f32] {
        match self {
            Self::Dense(dense) => &dense.weights,
            Self::Conv2d(conv) => &conv.weights,
        }
    }

    pub fn fan_in(&self) -> usize {
        self.weights().len() / self.outputs()
    }

    /// Parts into which inputs and outputs are cut.
    pub fn groups(&self) -> usize {
        match self {
            Self::Dense(_) => 1,
            Self::Conv2d(conv) => conv.groups,
        }
    }

    /// For each group every list of `fan_in` inputs that a row of its weights meets: one for a dense layer, one a
    /// position for a convolution. What lies in the padding is 0.
    pub fn windows(&self, input: &[f64]) -> Vec<Vec<Vec<f64>>> {
        match self {
            Self::Dense(_) => vec![vec![input.to_vec()]],
            Self::Conv2d(conv) => (0..conv.groups).map(|group| conv_windows(conv, group, input)).collect(),
        }
    }

    /// The layer as the head program knows it; sizes beyond its 32 bits are refused by its own checks.
    pub fn head_layer(&self) -> encompute_head::Layer {
        let word = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        match self {
            Self::Dense(dense) => {
                encompute_head::Layer::Dense { inputs: word(dense.inputs), outputs: word(dense.outputs) }
            }
            Self::Conv2d(conv) => {
                let axis = |side: usize| encompute_head::Axis {
                    image: word(conv.input[1 + side]),
                    kernel: word(conv.kernel[side]),
                    stride: word(conv.stride[side]),
                    dilation: word(conv.dilation[side]),
                    before: word(conv.padding[side]),
                    after: word(conv.padding[2 + side]),
                };
                encompute_head::Layer::Conv2d {
                    channels: word(conv.input[0]),
                    out_channels: word(conv.channels),
                    groups: word(conv.groups),
                    rows: axis(0),
                    columns: axis(1),
                }
            }
        }
    }
}

fn conv_windows(conv: &Conv2d, group: usize, input: &[f64]) -> Vec<Vec<f64>> {
    let [channels, height, width] = conv.input;
    let of_group = channels / conv.groups;
    let [_, rows, columns] = conv.output().unwrap_or([0; 3]);
    let at = |channel: usize, row: usize, column: usize| {
        let inside = |place: usize, padding: usize, limit: usize| place.checked_sub(padding).filter(|at| *at < limit);
        match (inside(row, conv.padding[0], height), inside(column, conv.padding[1], width)) {
            (Some(row), Some(column)) => input[(channel * height + row) * width + column],
            _ => 0.0,
        }
    };
    let window = |row: usize, column: usize| {
        let taps = (group * of_group..(group + 1) * of_group).flat_map(|channel| {
            (0..conv.kernel[0]).flat_map(move |y| (0..conv.kernel[1]).map(move |x| (channel, y, x)))
        });
        let place = |side: usize, output: usize, tap: usize| output * conv.stride[side] + tap * conv.dilation[side];
        taps.map(|(channel, y, x)| at(channel, place(0, row, y), place(1, column, x))).collect()
    };
    (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))).map(|(r, c)| window(r, c)).collect()
}
