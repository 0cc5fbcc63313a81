//! Reading layers as stages: sums of linear maps, each behind an activation.

use super::{InsideError, MARGIN};
use crate::{
    lower::{apply, plus_bias},
    onnx::{Conv2d, HeadNode, LinearMap, Operation},
};
use encompute_head::{Axis, Join, Node, Program, Shape, TensorIndex, compute};
use rayon::prelude::*;

/// One linear summand of what an activation reads.
pub(super) struct Term<'a> {
    pub node: &'a HeadNode,
    pub of: TensorIndex,
    /// None where the tensor is added as it is.
    pub map: Option<LinearMap>,
}

/// An activation, and the sum in front of it.
pub(super) struct Stage<'a> {
    pub node: &'a HeadNode,
    pub activation: &'a Node,
    pub terms: Vec<Term<'a>>,
    /// Least and largest value of each channel of the sum, with the margin.
    pub ranges: Vec<(f64, f64)>,
    /// Of the sum, over calibration.
    pub exact: Vec<Vec<f64>>,
    pub shape: Shape,
}

pub(super) fn refused(node: &HeadNode, reason: &'static str) -> InsideError {
    InsideError::Node { node: node.name.clone(), reason }
}

/// The linear maps and shortcuts that a tensor is the sum of.
fn terms<'a>(nodes: &'a [HeadNode], of: TensorIndex) -> Result<Vec<Term<'a>>, InsideError> {
    let Some(at) = usize::from(of.0).checked_sub(1) else {
        return Err(InsideError::Node { node: "input".to_owned(), reason: "the input itself is not looked up" });
    };
    let node = &nodes[at];
    Ok(match &node.operation {
        Operation::Linear { of, map } => vec![Term { node, of: unshaped(nodes, *of), map: Some(map.clone()) }],
        Operation::Client(Node::Activate { .. }) => vec![Term { node, of, map: None }],
        Operation::Client(Node::Add { of: [one, other] }) => {
            let mut both = terms(nodes, *one)?;
            both.extend(terms(nodes, *other)?);
            both
        }
        Operation::Client(Node::Pool { of, join: Join::Average, rows, columns }) => {
            let map = pooled(node, *rows, *columns, nodes, *of)?;
            vec![Term { node, of: unshaped(nodes, *of), map: Some(map) }]
        }
        Operation::Client(_) => {
            return Err(refused(
                node,
                "under encryption there are linear maps, sums, average pooling and activations alone; end the \
                 encrypted part before it (`inside`)",
            ));
        }
    })
}

/// The tensor that has the same values before they were given another shape.
fn unshaped(nodes: &[HeadNode], of: TensorIndex) -> TensorIndex {
    let before = usize::from(of.0).checked_sub(1).map(|at| &nodes[at].operation);
    match before {
        Some(Operation::Client(Node::Reshape { of, .. })) => unshaped(nodes, *of),
        _ => of,
    }
}

/// Average pooling as the linear map that it is.
fn pooled(
    node: &HeadNode,
    rows: Axis,
    columns: Axis,
    nodes: &[HeadNode],
    of: TensorIndex,
) -> Result<LinearMap, InsideError> {
    if [rows, columns].iter().any(|axis| axis.before + axis.after > 0) {
        return Err(refused(node, "average pooling with padding that does not count is no linear map"));
    }
    let channels = channels_of(nodes, of).ok_or_else(|| refused(node, "the input itself is not pooled"))?;
    let kernel = [rows.kernel as usize, columns.kernel as usize];
    let size = kernel[0] * kernel[1];
    Ok(LinearMap::Conv2d(Conv2d {
        input: [channels, rows.image as usize, columns.image as usize],
        channels,
        kernel,
        stride: [rows.stride as usize, columns.stride as usize],
        dilation: [rows.dilation as usize, columns.dilation as usize],
        padding: [0; 4],
        groups: channels,
        weights: vec![1.0 / size as f32; channels * size],
        bias: vec![0.0; channels],
    }))
}

/// Channels of a tensor that a linear map leads to.
fn channels_of(nodes: &[HeadNode], of: TensorIndex) -> Option<usize> {
    let node = &nodes[usize::from(of.0).checked_sub(1)?];
    match &node.operation {
        Operation::Linear { map, .. } => Some(map.outputs()),
        Operation::Client(node) => channels_of(nodes, *node.reads().first()?),
    }
}

/// Reads the nodes as stages: sums, each followed by an activation, the last node by none.
pub(super) fn stages<'a>(nodes: &'a [HeadNode], input: &[Vec<f64>]) -> Result<Vec<Stage<'a>>, InsideError> {
    let mut tensors: Vec<(Vec<Vec<f64>>, Shape)> =
        vec![(input.to_vec(), Shape { channels: input.first().map_or(0, Vec::len), rows: 1, columns: 1 })];
    let mut found = Vec::new();
    for node in nodes {
        let given = match &node.operation {
            Operation::Linear { of, map } => {
                let weights: Vec<f64> = map.weights().iter().map(|weight| f64::from(*weight)).collect();
                let (samples, _) = &tensors[usize::from(of.0)];
                let sums =
                    samples.par_iter().map(|values| plus_bias(apply(&weights, &map.windows(values)), map.bias()));
                (sums.collect(), map.head_layer().output_shape())
            }
            Operation::Client(client) => {
                let reads: Vec<usize> = client.reads().iter().map(|of| usize::from(of.0)).collect();
                let shapes: Vec<Shape> = reads.iter().map(|of| tensors[*of].1).collect();
                let shape =
                    client.shape_after(&shapes).map_err(|_| refused(node, "the shapes in front of it do not fit"))?;
                let of_sample = |sample: usize| {
                    let read = reads.iter().zip(&shapes).map(|(of, shape)| (tensors[*of].0[sample].as_slice(), *shape));
                    compute(client, &read.collect::<Vec<_>>())
                };
                let values = (0..input.len()).map(of_sample).collect();
                if let Node::Activate { of, .. } = client {
                    let (exact, shape) = tensors[usize::from(of.0)].clone();
                    let terms = terms(nodes, *of)?;
                    let ranges = ranges(&exact, shape.channels);
                    found.push(Stage { node, activation: client, terms, ranges, exact, shape });
                }
                (values, shape)
            }
        };
        tensors.push(given);
    }
    match nodes.last() {
        Some(node) if !matches!(node.operation, Operation::Client(Node::Activate { .. })) => {
            Err(refused(node, "the encrypted part must end with an activation"))
        }
        _ => Ok(found),
    }
}

/// Least and largest value of each channel, and the margin.
fn ranges(samples: &[Vec<f64>], channels: usize) -> Vec<(f64, f64)> {
    let range = |channel: usize| {
        let values = samples.iter().flat_map(|values| {
            let positions = values.len() / channels.max(1);
            &values[channel * positions..(channel + 1) * positions]
        });
        let (least, most) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(*value), most.max(*value)));
        let margin = ((most - least) * MARGIN).max(f64::MIN_POSITIVE.sqrt());
        (least - margin, most + margin)
    };
    (0..channels).map(range).collect()
}

/// The first stage reads the input through one linear map, and no other stage does.
pub(super) fn check(nodes: &[HeadNode], stages: &[Stage<'_>]) -> Result<(), InsideError> {
    let Some((first, rest)) = stages.split_first() else {
        let node = nodes.first().map(|node| node.name.clone()).unwrap_or_default();
        return Err(InsideError::Node { node, reason: "no activation follows it" });
    };
    match first.terms.as_slice() {
        [Term { of: Program::INPUT, map: Some(_), .. }] => {}
        _ => return Err(refused(first.node, "the first activation must follow one linear map of the input")),
    }
    for term in rest.iter().flat_map(|stage| &stage.terms) {
        if term.of == Program::INPUT {
            return Err(refused(term.node, "the input is read by the first linear map alone"));
        }
        let looked_up = |stage: &Stage<'_>| {
            nodes.get(usize::from(term.of.0) - 1).is_some_and(|node| core::ptr::eq(node, stage.node))
        };
        if !stages.iter().any(looked_up) {
            return Err(refused(term.node, "a linear map behind another needs an activation between them"));
        }
    }
    if rest.iter().any(|stage| stage.terms.iter().filter(|term| term.map.is_none()).count() > 1) {
        return Err(refused(first.node, "a sum has one shortcut at most"));
    }
    Ok(())
}

/// Largest magnitude of a stage's activation over its ranges.
pub(super) fn largest_activation(stage: &Stage<'_>) -> f64 {
    let points = |(least, most): &(f64, f64)| {
        let step = (most - least) / 64.0;
        (0..=64).map(move |at| least + step * f64::from(at)).collect::<Vec<_>>()
    };
    let values: Vec<f64> = stage.ranges.iter().flat_map(points).collect();
    activated(stage.activation, &values).into_iter().fold(f64::MIN_POSITIVE.sqrt(), |most, value| most.max(value.abs()))
}

pub(super) fn activated(activation: &Node, values: &[f64]) -> Vec<f64> {
    compute(activation, &[(values, Shape { channels: 1, rows: 1, columns: values.len() })])
}

impl Stage<'_> {
    pub fn real_weights(&self) -> Vec<Vec<f64>> {
        let of = |term: &Term<'_>| {
            let map = term.map.as_ref();
            map.map(|map| map.weights().iter().map(|weight| f64::from(*weight)).collect()).unwrap_or_default()
        };
        self.terms.iter().map(of).collect()
    }
}
