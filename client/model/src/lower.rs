//! Linear maps as the head program lays them out, and what their weights meet.

use crate::onnx::{Conv2d, HeadGraph, LinearMap, Operation};
use encompute_head::Program;

/// Why a graph does not make a head.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// The head has no linear layer.
    #[error("nothing before the cut is a linear layer, so there is nothing to run under encryption")]
    Empty,
    /// Something is computed of the input before it is encrypted.
    #[error(
        "node `{node}` comes before the first linear layer; put it into the preamble, or into that layer's weights"
    )]
    First {
        /// The node.
        node: String,
    },
    /// A linear head with something besides its layer.
    #[error("mode `linear` allows one linear layer alone, the head has {found} nodes; use mode `rounds`")]
    NotLinear {
        /// Nodes found.
        found: usize,
    },
}

/// Refuses a graph that does not begin with a linear map of its input.
pub(crate) fn check(graph: &HeadGraph, linear: bool) -> Result<(), LowerError> {
    if !graph.nodes.iter().any(|node| matches!(node.operation, Operation::Linear { .. })) {
        return Err(LowerError::Empty);
    }
    match graph.nodes.first() {
        Some(node) if !matches!(node.operation, Operation::Linear { of: Program::INPUT, .. }) => {
            Err(LowerError::First { node: node.name.clone() })
        }
        _ if linear && graph.nodes.len() > 1 => Err(LowerError::NotLinear { found: graph.nodes.len() }),
        _ => Ok(()),
    }
}

impl LinearMap {
    /// True where an output reads more than its own row and column.
    pub(crate) fn places_meet(&self) -> bool {
        let Self::Conv2d(conv) = self else { return true };
        (conv.kernel, conv.stride, conv.padding) != ([1, 1], [1, 1], [0; 4])
    }

    /// For each group every list of `fan_in` inputs that a row of its weights meets: one for a dense layer, one a
    /// position for a convolution. What lies in the padding is 0.
    pub(crate) fn windows(&self, input: &[f64]) -> Vec<Vec<Vec<f64>>> {
        match self {
            Self::Dense(_) => vec![vec![input.to_vec()]],
            Self::Conv2d(conv) => (0..conv.groups).map(|group| conv_windows(conv, group, input)).collect(),
        }
    }

    /// The layer as the head program knows it; sizes beyond its 32 bits are refused by its own checks.
    pub(crate) fn head_layer(&self) -> encompute_head::Layer {
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

/// `[outputs, fan in] × [groups, windows, fan in] → [outputs, windows]`, flat.
pub(crate) fn apply(weights: &[f64], groups: &[Vec<Vec<f64>>]) -> Vec<f64> {
    let of_group = |(windows, weights): (&Vec<Vec<f64>>, &[f64])| {
        let rows = weights.chunks_exact(windows.first().map_or(1, Vec::len));
        rows.flat_map(|row| windows.iter().map(move |window| dot(row, window))).collect::<Vec<f64>>()
    };
    groups.iter().zip(weights.chunks_exact(weights.len() / groups.len().max(1))).flat_map(of_group).collect()
}

/// A sum of products, in lanes: one sum alone would wait for each of its additions.
fn dot(row: &[f64], window: &[f64]) -> f64 {
    let ((rows, row_rest), (windows, window_rest)) = (row.as_chunks::<8>(), window.as_chunks::<8>());
    let mut lanes = [0.0; 8];
    for (row, window) in rows.iter().zip(windows) {
        for (lane, (weight, value)) in lanes.iter_mut().zip(row.iter().zip(window)) {
            *lane += weight * value;
        }
    }
    let rest: f64 = row_rest.iter().zip(window_rest).map(|(weight, value)| weight * value).sum();
    lanes.iter().sum::<f64>() + rest
}

pub(crate) fn plus_bias(mut sums: Vec<f64>, bias: &[f32]) -> Vec<f64> {
    let positions = sums.len() / bias.len();
    for (sums, bias) in sums.chunks_exact_mut(positions.max(1)).zip(bias) {
        sums.iter_mut().for_each(|sum| *sum += f64::from(*bias));
    }
    sums
}
