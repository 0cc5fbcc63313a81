//! A float head, run forwards and backwards: how its features change with its input.

use super::subject::Axis;
use crate::onnx::{Conv2d, Dense, HeadGraph, LinearMap, Operation};
use encompute_head::{Activation, Axis as Window, Join, Node, Shape, TensorIndex, compute};
use encompute_leakage::Slopes;

/// How far a function's argument is moved to see its slope.
const REACH: f64 = 1e-5;

/// A head with everything that its slopes need.
pub struct FloatHead<'a> {
    nodes: Vec<FloatNode>,
    shapes: Vec<Shape>,
    features: usize,
    clip: f64,
    axis: &'a Axis,
    work: u64,
}

enum FloatNode {
    Dense { of: usize, inputs: usize, weights: Vec<f64>, bias: Vec<f64> },
    Conv { of: usize, conv: Conv2d, weights: Vec<f64> },
    Client(Node),
}

impl<'a> FloatHead<'a> {
    /// `None` for a head with a node whose slopes are not known here: attention, normalisation, softmax.
    pub fn new(graph: &HeadGraph, clip: f64, axis: &'a Axis) -> Option<Self> {
        let first = graph.nodes.iter().find_map(|node| match &node.operation {
            Operation::Linear { map, .. } => Some(map.head_layer().input_shape()),
            Operation::Client(_) => None,
        })?;
        if first.len() != axis.units.len() {
            return None;
        }
        let mut shapes = vec![first];
        let mut nodes = Vec::with_capacity(graph.nodes.len());
        let mut work = 0u64;
        for node in &graph.nodes {
            let (node, shape) = match &node.operation {
                Operation::Linear { of, map } => linear(usize::from(of.0), map)?,
                Operation::Client(Node::Normalise { .. } | Node::Softmax { .. } | Node::Attend { .. }) => return None,
                Operation::Client(client) => {
                    let read: Vec<Shape> = client.reads().iter().map(|of| shapes[usize::from(of.0)]).collect();
                    (FloatNode::Client(client.clone()), client.shape_after(&read).ok()?)
                }
            };
            work = work.saturating_add(node.work(shape));
            shapes.push(shape);
            nodes.push(node);
        }
        Some(Self { nodes, shapes, features: usize::from(graph.features.0), clip, axis, work })
    }

    fn forward(&self, input: &[f64]) -> Vec<Vec<f64>> {
        let mut tensors = Vec::with_capacity(self.nodes.len() + 1);
        let axis = self.axis.mean.iter().zip(&self.axis.units);
        let real = |(value, (mean, unit)): (&f64, (&f32, &f32))| f64::from(*mean) + value * f64::from(*unit);
        tensors.push(input.iter().zip(axis).map(real).collect::<Vec<f64>>());
        for (node, shape) in self.nodes.iter().zip(&self.shapes[1..]) {
            let given = match node {
                FloatNode::Dense { of, inputs, weights, bias } => dense(&tensors[*of], *inputs, weights, bias),
                FloatNode::Conv { of, conv, weights } => {
                    let places = shape.rows * shape.columns;
                    let mut given: Vec<f64> =
                        conv.bias.iter().flat_map(|bias| vec![f64::from(*bias); places]).collect();
                    let read = &tensors[*of];
                    taps(conv, *shape, |tap| {
                        let weight = weights[tap.weight];
                        let pairs =
                            given[tap.outputs()].iter_mut().zip(read[tap.first_input..].iter().step_by(tap.step));
                        pairs.for_each(|(sum, value)| *sum += weight * value);
                    });
                    given
                }
                FloatNode::Client(client) => {
                    let read =
                        |of: TensorIndex| (tensors[usize::from(of.0)].as_slice(), self.shapes[usize::from(of.0)]);
                    compute(client, &client.reads().into_iter().map(read).collect::<Vec<_>>())
                }
            };
            tensors.push(given);
        }
        tensors
    }
}

impl Slopes for FloatHead<'_> {
    fn pull(&self, input: &[f64], slope: &mut dyn FnMut(&[f64]) -> Vec<f64>) -> Vec<f64> {
        let tensors = self.forward(input);
        let features: Vec<f64> = tensors[self.features].iter().map(|value| value / self.clip).collect();
        let mut slopes: Vec<Vec<f64>> = tensors.iter().map(|tensor| vec![0.0; tensor.len()]).collect();
        slopes[self.features] = slope(&features).into_iter().map(|slope| slope / self.clip).collect();
        for (at, node) in self.nodes.iter().enumerate().rev() {
            let (before, own) = slopes.split_at_mut(at + 1);
            let (slope, shape) = (own[0].as_slice(), self.shapes[at + 1]);
            match node {
                FloatNode::Dense { of, inputs, weights, .. } => {
                    for (row, slope) in weights.chunks_exact(*inputs).zip(slope) {
                        before[*of].iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight * slope);
                    }
                }
                FloatNode::Conv { of, conv, weights } => {
                    let read = &mut before[*of];
                    taps(conv, shape, |tap| {
                        let weight = weights[tap.weight];
                        let pairs = read[tap.first_input..].iter_mut().step_by(tap.step).zip(&slope[tap.outputs()]);
                        pairs.for_each(|(sum, slope)| *sum += weight * slope);
                    });
                }
                FloatNode::Client(client) => client_slopes(client, &tensors, &self.shapes, slope, before),
            }
        }
        let units = self.axis.units.iter().map(|unit| f64::from(*unit));
        slopes[0].iter().zip(units).map(|(slope, unit)| slope * unit).collect()
    }

    fn work(&self) -> u64 {
        self.work
    }
}

impl FloatNode {
    /// Multiplications forwards and backwards.
    fn work(&self, shape: Shape) -> u64 {
        let products = match self {
            Self::Dense { weights, .. } => weights.len(),
            Self::Conv { weights, .. } => weights.len() * shape.rows * shape.columns,
            Self::Client(Node::Pool { rows, columns, .. }) => shape.len() * (rows.kernel * columns.kernel) as usize,
            Self::Client(_) => shape.len(),
        };
        2 * products as u64
    }
}

fn linear(of: usize, map: &LinearMap) -> Option<(FloatNode, Shape)> {
    let weights = map.weights().iter().map(|weight| f64::from(*weight)).collect();
    Some(match map {
        LinearMap::Dense(Dense { inputs, outputs, bias, .. }) => {
            let bias = bias.iter().map(|bias| f64::from(*bias)).collect();
            let shape = Shape { channels: *outputs, rows: 1, columns: 1 };
            (FloatNode::Dense { of, inputs: *inputs, weights, bias }, shape)
        }
        LinearMap::Conv2d(conv) => {
            let [channels, rows, columns] = conv.output()?;
            (FloatNode::Conv { of, conv: conv.clone(), weights }, Shape { channels, rows, columns })
        }
    })
}

fn dense(read: &[f64], inputs: usize, weights: &[f64], bias: &[f64]) -> Vec<f64> {
    let row =
        |(row, bias): (&[f64], &f64)| bias + row.iter().zip(read).map(|(weight, value)| weight * value).sum::<f64>();
    weights.chunks_exact(inputs).zip(bias).map(row).collect()
}

/// One weight of a convolution on one row of outputs.
struct Tap {
    weight: usize,
    /// The first output that it meets, and how many follow each other.
    first_output: usize,
    count: usize,
    /// What the first output reads, and how far the next one's is.
    first_input: usize,
    step: usize,
}

impl Tap {
    fn outputs(&self) -> core::ops::Range<usize> {
        self.first_output..self.first_output + self.count
    }
}

/// Every weight on every row of outputs, always in the same order.
fn taps(conv: &Conv2d, shape: Shape, mut each: impl FnMut(Tap)) {
    let [channels, height, width] = conv.input;
    let (depth, of_group) = (channels / conv.groups.max(1), conv.channels / conv.groups.max(1));
    let [down, across] = conv.kernel;
    for (out, channel) in (0..conv.channels).flat_map(|out| (0..depth).map(move |channel| (out, channel))) {
        let plane = (out / of_group.max(1) * depth + channel) * height;
        for (y, x) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
            // Outputs whose tap lies on the picture: output · stride + shift within it.
            let met = |side: usize, tap: usize, image: usize, outputs: usize| {
                let (stride, shift) = (conv.stride[side], tap * conv.dilation[side]);
                let from = conv.padding[side].saturating_sub(shift).div_ceil(stride);
                let to = (image + conv.padding[side]).saturating_sub(shift).div_ceil(stride).min(outputs);
                (from, to.max(from))
            };
            let (rows, columns) = (met(0, y, height, shape.rows), met(1, x, width, shape.columns));
            for row in rows.0..rows.1 {
                if columns.0 == columns.1 {
                    continue;
                }
                let read_row = row * conv.stride[0] + y * conv.dilation[0] - conv.padding[0];
                let read_column = columns.0 * conv.stride[1] + x * conv.dilation[1] - conv.padding[1];
                each(Tap {
                    weight: ((out * depth + channel) * down + y) * across + x,
                    first_output: (out * shape.rows + row) * shape.columns + columns.0,
                    count: columns.1 - columns.0,
                    first_input: (plane + read_row) * width + read_column,
                    step: conv.stride[1],
                });
            }
        }
    }
}

/// Adds to the slopes of what a node reads.
fn client_slopes(node: &Node, tensors: &[Vec<f64>], shapes: &[Shape], slope: &[f64], before: &mut [Vec<f64>]) {
    let reads: Vec<usize> = node.reads().iter().map(|of| usize::from(of.0)).collect();
    let (of, shape) = (reads[0], shapes[reads[0]]);
    let places = (shape.rows * shape.columns).max(1);
    match node {
        Node::Activate { activation, .. } => {
            let moved = |by: f64| -> Vec<f64> {
                let values: Vec<f64> = tensors[of].iter().map(|value| value + by).collect();
                compute(&Node::Activate { of: TensorIndex(0), activation: *activation }, &[(&values, shape)])
            };
            let rises: Vec<f64> = match activation {
                Activation::Relu => tensors[of].iter().map(|value| f64::from(u8::from(*value > 0.0))).collect(),
                _ => moved(REACH).iter().zip(moved(-REACH)).map(|(up, down)| (up - down) / (2.0 * REACH)).collect(),
            };
            let sums = before[of].iter_mut().zip(slope.iter().zip(rises));
            sums.for_each(|(sum, (slope, rise))| *sum += slope * rise);
        }
        Node::Pool { join, rows, columns, .. } => {
            pool_slopes(*join, (*rows, *columns), (&tensors[of], shape), slope, &mut before[of]);
        }
        Node::Add { .. } => reads.iter().for_each(|of| added(&mut before[*of], slope)),
        Node::Multiply { .. } => {
            let other = reads[1];
            let at = |place: usize| match shapes[other] {
                found if found == shape => place,
                found if found.channels == 1 => place % places,
                _ => place / places,
            };
            for (place, slope) in slope.iter().enumerate() {
                let (one, two) = (tensors[of][place], tensors[other][at(place)]);
                before[of][place] += slope * two;
                before[other][at(place)] += slope * one;
            }
        }
        Node::Affine { gain, .. } => {
            for (place, slope) in slope.iter().enumerate() {
                let gain = gain.get(place / places).or(gain.first()).map_or(1.0, |gain| gain.get());
                before[of][place] += slope * gain;
            }
        }
        Node::Reshape { .. } => added(&mut before[of], slope),
        Node::Transpose { .. } => {
            let turned = Shape { channels: shape.rows, rows: shape.channels, ..shape };
            added(&mut before[of], &compute(node, &[(slope, turned)]));
        }
        Node::Concatenate { .. } => {
            let (one, other) = slope.split_at(tensors[of].len());
            added(&mut before[of], one);
            added(&mut before[reads[1]], other);
        }
        Node::Channels { first, .. } => added(&mut before[of][*first as usize * places..], slope),
        // `FloatHead::new` refuses heads that have one.
        Node::Round { .. } | Node::Normalise { .. } | Node::Softmax { .. } | Node::Attend { .. } => {}
    }
}

fn added(sums: &mut [f64], slope: &[f64]) {
    sums.iter_mut().zip(slope).for_each(|(sum, slope)| *sum += slope);
}

/// Each window's slope goes to its largest value, or to all of them alike.
fn pool_slopes(
    join: Join,
    (rows, columns): (Window, Window),
    (values, shape): (&[f64], Shape),
    slope: &[f64],
    sums: &mut [f64],
) {
    let inside = |window: Window, output: usize, image: usize| {
        let taps = 0..window.kernel as usize;
        let place = move |tap: usize| output * window.stride as usize + tap * window.dilation as usize;
        taps.filter_map(move |tap| place(tap).checked_sub(window.before as usize)).filter(move |at| *at < image)
    };
    let [down, across] = [rows.outputs(), columns.outputs()];
    for (place, slope) in slope.iter().enumerate() {
        let (channel, row, column) = (place / (down * across), place / across % down, place % across);
        let in_window: Vec<usize> = inside(rows, row, shape.rows)
            .flat_map(|y| inside(columns, column, shape.columns).map(move |x| (y, x)))
            .map(|(y, x)| (channel * shape.rows + y) * shape.columns + x)
            .collect();
        match join {
            Join::Average => {
                let share = slope / in_window.len().max(1) as f64;
                in_window.iter().for_each(|at| sums[*at] += share);
            }
            Join::Max => {
                let largest =
                    in_window.into_iter().reduce(|best, at| if values[at] > values[best] { at } else { best });
                if let Some(at) = largest {
                    sums[at] += slope;
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::onnx::{HeadNode, Requests};
    use encompute_head::Real;
    use encompute_leakage::Kind;

    fn real(number: f64) -> Real {
        Real::new(number).unwrap()
    }

    /// Numbers without a pattern, within ±0.5.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|at| (((at * 37 + seed * 101 + 13) * 7919 % 1009) as f32) / 1009.0 - 0.5).collect()
    }

    fn conv(input: [usize; 3], channels: usize, (kernel, stride, groups): (usize, usize, usize)) -> Conv2d {
        Conv2d {
            input,
            channels,
            kernel: [kernel; 2],
            stride: [stride, 1],
            dilation: [1, 2],
            padding: [1, 2, 0, 1],
            groups,
            weights: numbers(channels * input[0] / groups * kernel * kernel, channels),
            bias: numbers(channels, 5),
        }
    }

    /// One of every node that slopes are known of.
    fn graph() -> HeadGraph {
        let of = TensorIndex;
        let first = conv([2, 5, 4], 4, (2, 2, 1));
        let [channels, rows, columns] = first.output().unwrap();
        let size = channels * rows * columns;
        let word = |size: usize| u32::try_from(size).unwrap();
        let window = |side: usize| Window::new(word(side), 2).padded(1, 0);
        let pool = |of, join| Node::Pool { of, join, rows: window(rows), columns: window(columns) };
        let dense = |inputs: usize, outputs: usize| {
            LinearMap::Dense(Dense {
                inputs,
                outputs,
                weights: numbers(inputs * outputs, 3),
                bias: numbers(outputs, 4),
            })
        };
        let operations = vec![
            Operation::Linear { of: of(0), map: LinearMap::Conv2d(first.clone()) },
            Operation::Client(Node::Activate { of: of(1), activation: Activation::Silu }),
            Operation::Linear {
                of: of(2),
                map: LinearMap::Conv2d(Conv2d {
                    padding: [0; 4],
                    dilation: [1, 1],
                    kernel: [1, 1],
                    stride: [1, 1],
                    weights: numbers(8, 9),
                    input: [channels, rows, columns],
                    groups: 2,
                    ..first.clone()
                }),
            },
            Operation::Client(Node::Add { of: [of(2), of(3)] }),
            Operation::Client(pool(of(4), Join::Max)),
            Operation::Client(pool(of(4), Join::Average)),
            Operation::Client(Node::Multiply { of: [of(5), of(6)] }),
            Operation::Client(Node::Affine {
                of: of(7),
                gain: (0..channels).map(|at| real(0.5 + at as f64)).collect(),
                offset: vec![real(0.1)],
            }),
            Operation::Client(Node::Pool {
                of: of(8),
                join: Join::Average,
                rows: Window::new(word(rows), word(rows)),
                columns: Window::new(word(columns), word(columns)),
            }),
            Operation::Client(Node::Multiply { of: [of(8), of(9)] }),
            Operation::Client(Node::Reshape { of: of(10), to: [word(channels), word(rows * columns), 1] }),
            Operation::Client(Node::Transpose { of: of(11) }),
            Operation::Client(Node::Reshape { of: of(12), to: [word(size), 1, 1] }),
            Operation::Client(Node::Channels { of: of(13), first: 1, count: 5 }),
            Operation::Client(Node::Concatenate { of: [of(14), of(13)] }),
            Operation::Linear { of: of(15), map: dense(size + 5, 3) },
            Operation::Client(Node::Activate { of: of(16), activation: Activation::LeakyRelu { slope: real(0.2) } }),
        ];
        let node = |operation| HeadNode { name: String::new(), operation };
        HeadGraph {
            nodes: operations.into_iter().map(node).collect(),
            features: of(17),
            requests: Requests::Calibrated,
        }
    }

    #[test]
    fn slopes_through_every_node_are_those_of_small_changes() {
        let graph = graph();
        let names = vec![String::new(); 40];
        let axis = Axis { kind: Kind::Attributes { names }, mean: numbers(40, 8), units: vec![1.5; 40] };
        let head = FloatHead::new(&graph, 2.0, &axis).unwrap();
        let input: Vec<f64> = numbers(40, 2).into_iter().map(f64::from).collect();
        let weights = [0.7, -1.1, 0.4];
        let value = |input: &[f64]| {
            let mut value = 0.0;
            head.pull(input, &mut |features| {
                value = features.iter().zip(weights).map(|(feature, weight)| feature * weight).sum();
                weights.to_vec()
            });
            value
        };
        let slope = head.pull(&input, &mut |_| weights.to_vec());
        assert!(slope.iter().filter(|slope| **slope != 0.0).count() > 20);
        for at in 0..input.len() {
            let moved = |by: f64| {
                let mut input = input.clone();
                input[at] += by;
                value(&input)
            };
            let wanted = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((slope[at] - wanted).abs() < 1e-4 * wanted.abs().max(0.1), "{at}: {} for {wanted}", slope[at]);
        }
    }
}
