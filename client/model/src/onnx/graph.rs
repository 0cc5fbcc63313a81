//! A head in floats: what its nodes compute, and of which.

use super::{Conv2d, Dense};
use encompute_head::{Activation, Node, Program, TensorIndex};

/// Most values of one tensor of a head, as the head program allows.
pub(super) const TENSOR_LIMIT: usize = 1 << 22;

/// A linear map with its bias.
#[derive(Clone, Debug, PartialEq)]
pub enum LinearMap {
    /// `y = W·x + b`.
    Dense(Dense),
    /// Two-dimensional convolution, plus a bias per channel.
    Conv2d(Conv2d),
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// A linear map with secret weights: runs under encryption.
    Linear {
        /// What it reads.
        of: TensorIndex,
        /// The map.
        map: LinearMap,
    },
    /// Anything else: the client computes it in clear.
    Client(Node),
}

/// A node of a head, and the node of the file that it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadNode {
    /// As errors name it.
    pub name: String,
    /// What it computes.
    pub operation: Operation,
}

/// A head in floats. Tensor 0 is the input, tensor `n` what node `n − 1` gives.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadGraph {
    /// Its nodes, in order.
    pub nodes: Vec<HeadNode>,
    /// The tensor at which it was cut.
    pub features: TensorIndex,
    /// How requests of its linear maps are scaled.
    pub requests: Requests,
}

/// How the requests of a head's linear maps are scaled to integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requests {
    /// By what calibration saw.
    #[default]
    Calibrated,
    /// By the largest value at each place, where places do not meet; otherwise by what calibration saw.
    PerPlace,
}

impl Operation {
    /// The tensors that it reads.
    pub fn reads(&self) -> Vec<TensorIndex> {
        match self {
            Self::Linear { of, .. } => vec![*of],
            Self::Client(node) => node.reads(),
        }
    }

    fn renamed(self, name: &impl Fn(TensorIndex) -> TensorIndex) -> Self {
        match self {
            Self::Linear { of, map } => Self::Linear { of: name(of), map },
            Self::Client(node) => Self::Client(node.renamed(name)),
        }
    }
}

impl HeadGraph {
    /// This head and one that takes what it gives, as one; requests are scaled as this one's.
    pub(crate) fn then(mut self, next: Self) -> Self {
        let (features, count) = (self.features, self.nodes.len());
        // The head program counts nodes, and refuses more than their names can be.
        let name = |of: TensorIndex| match of {
            Program::INPUT => features,
            TensorIndex(place) => TensorIndex(u16::try_from(count).unwrap_or(u16::MAX).saturating_add(place)),
        };
        let renamed =
            next.nodes.into_iter().map(|node| HeadNode { operation: node.operation.renamed(&name), name: node.name });
        self.nodes.extend(renamed);
        Self { nodes: self.nodes, features: name(next.features), requests: self.requests }
    }

    /// The same head with fewer nodes: what nothing reads is gone, shapes of the input are as its first reader has
    /// them, factors and summands of a linear map's outputs are in the map, dense layers that follow each other are
    /// one, and so are those that read the same: one round then carries what they read.
    pub(super) fn simplified(mut self) -> Self {
        self = self.without_reshaped_input();
        loop {
            let before = self.nodes.len();
            self = self.folded().pruned();
            if self.nodes.len() == before {
                break;
            }
        }
        while let Some(twins) = self.twins() {
            self = self.merged(twins);
        }
        self
    }

    /// The first two dense layers that read the same tensor.
    fn twins(&self) -> Option<[usize; 2]> {
        let reads = |node: &HeadNode| match &node.operation {
            Operation::Linear { of, map: LinearMap::Dense(_) } => Some(*of),
            _ => None,
        };
        (0..self.nodes.len()).find_map(|one| {
            let of = reads(&self.nodes[one])?;
            let other = (one + 1..self.nodes.len()).find(|other| reads(&self.nodes[*other]) == Some(of))?;
            Some([one, other])
        })
    }

    /// The same head with one dense layer in the place of two, and its outputs parted again.
    fn merged(self, [one, other]: [usize; 2]) -> Self {
        let dense = |at: usize| match &self.nodes[at].operation {
            Operation::Linear { map: LinearMap::Dense(dense), .. } => Some(dense.clone()),
            _ => None,
        };
        let Some((first, second)) = dense(one).zip(dense(other)) else { return self };
        let counts = [first.outputs, second.outputs].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        let both = LinearMap::Dense(first.beside(&second));
        let mut names = vec![Program::INPUT];
        let mut nodes: Vec<HeadNode> = Vec::with_capacity(self.nodes.len() + 1);
        let mut joint = Program::INPUT;
        for (at, node) in self.nodes.into_iter().enumerate() {
            let name = |of: TensorIndex| names[usize::from(of.0)];
            // The head program counts nodes, and refuses more than their names can be.
            let next = |nodes: &[HeadNode]| TensorIndex(u16::try_from(nodes.len()).unwrap_or(u16::MAX));
            if at == one {
                let of = node.operation.reads().first().map_or(Program::INPUT, |of| name(*of));
                let operation = Operation::Linear { of, map: both.clone() };
                nodes.push(HeadNode { name: node.name.clone(), operation });
                joint = next(&nodes);
            }
            let operation = match at {
                at if at == one => Operation::Client(Node::Channels { of: joint, first: 0, count: counts[0] }),
                at if at == other => {
                    Operation::Client(Node::Channels { of: joint, first: counts[0], count: counts[1] })
                }
                _ => node.operation.renamed(&name),
            };
            nodes.push(HeadNode { name: node.name, operation });
            names.push(next(&nodes));
        }
        Self { nodes, features: names[usize::from(self.features.0)], requests: self.requests }
    }

    /// The input is whatever shape its first round takes.
    fn without_reshaped_input(self) -> Self {
        let input = TensorIndex(0);
        let is_input = |place: usize| {
            let reshapes = |node: &HeadNode| matches!(&node.operation, Operation::Client(Node::Reshape { of, .. }) if *of == input);
            place.checked_sub(1).and_then(|at| self.nodes.get(at)).is_some_and(reshapes)
        };
        let name = |of: TensorIndex| if is_input(usize::from(of.0)) { input } else { of };
        let renamed = self.nodes.iter().cloned();
        let nodes =
            renamed.map(|node| HeadNode { operation: node.operation.renamed(&name), name: node.name }).collect();
        Self { nodes, features: name(self.features), requests: self.requests }
    }

    /// How many nodes read each tensor; the features count as read.
    fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.nodes.len() + 1];
        let read = self.nodes.iter().flat_map(|node| node.operation.reads()).chain([self.features]);
        read.for_each(|of| readers[usize::from(of.0)] += 1);
        readers
    }

    /// Folds each node that can be into the linear map before it. What was folded is read by nothing any more.
    fn folded(mut self) -> Self {
        let readers = self.readers();
        for at in 0..self.nodes.len() {
            let Some(source) = self.nodes[at].operation.reads().first().map(|of| usize::from(of.0)) else { continue };
            let Some(before) = source.checked_sub(1).filter(|_| readers[source] == 1) else { continue };
            let Operation::Linear { of, map } = &self.nodes[before].operation else { continue };
            if let Some(map) = followed(map, &self.nodes[at].operation) {
                let (of, name) = (*of, self.nodes[before].name.clone());
                self.nodes[at] = HeadNode { name, operation: Operation::Linear { of, map } };
            }
        }
        self
    }

    /// Leaves out what the features do not depend on.
    fn pruned(self) -> Self {
        let mut needed = vec![false; self.nodes.len() + 1];
        needed[usize::from(self.features.0)] = true;
        for (at, node) in self.nodes.iter().enumerate().rev() {
            if needed[at + 1] {
                node.operation.reads().into_iter().for_each(|of| needed[usize::from(of.0)] = true);
            }
        }
        let mut places = vec![TensorIndex(0)];
        let mut next = 0;
        for needed in &needed[1..] {
            next += u16::from(*needed);
            places.push(TensorIndex(next));
        }
        let name = |of: TensorIndex| places[usize::from(of.0)];
        let kept = self.nodes.into_iter().zip(&needed[1..]).filter(|(_, needed)| **needed);
        let nodes = kept.map(|(node, _)| HeadNode { operation: node.operation.renamed(&name), name: node.name });
        Self { nodes: nodes.collect(), features: name(self.features), requests: self.requests }
    }
}

/// `after ∘ map` as one map, where that is one.
fn followed(map: &LinearMap, after: &Operation) -> Option<LinearMap> {
    match (map, after) {
        (LinearMap::Dense(before), Operation::Linear { map: LinearMap::Dense(after), .. }) => {
            Some(LinearMap::Dense(before.followed_by(after)))
        }
        (_, Operation::Client(Node::Affine { gain, offset, .. })) => {
            let of = |numbers: &[encompute_head::Real], output: usize| match numbers {
                [one] => one.get() as f32,
                each => each.get(output).map_or(0.0, |number| number.get() as f32),
            };
            let mut map = map.clone();
            let (fan_in, (weights, bias)) = (map.fan_in(), map.numbers_mut());
            for (output, (row, bias)) in weights.chunks_exact_mut(fan_in).zip(bias).enumerate() {
                let (gain, offset) = (of(gain, output), of(offset, output));
                row.iter_mut().for_each(|weight| *weight *= gain);
                *bias = *bias * gain + offset;
            }
            Some(map)
        }
        _ => None,
    }
}

impl LinearMap {
    /// Outputs, or channels out.
    pub fn outputs(&self) -> usize {
        self.bias().len()
    }

    /// One number an output, or a channel out.
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

    fn numbers_mut(&mut self) -> (&mut [f32], &mut [f32]) {
        match self {
            Self::Dense(dense) => (&mut dense.weights, &mut dense.bias),
            Self::Conv2d(conv) => (&mut conv.weights, &mut conv.bias),
        }
    }

    /// Weights that one output meets.
    pub fn fan_in(&self) -> usize {
        self.weights().len() / self.outputs().max(1)
    }

    /// Parts into which inputs and outputs are cut.
    pub fn groups(&self) -> usize {
        match self {
            Self::Dense(_) => 1,
            Self::Conv2d(conv) => conv.groups,
        }
    }

    /// How many values it takes.
    pub fn inputs(&self) -> usize {
        match self {
            Self::Dense(dense) => dense.inputs,
            Self::Conv2d(conv) => conv.input.iter().product(),
        }
    }
}

/// A function of each value of a tensor.
pub(super) fn activation(of: TensorIndex, activation: Activation) -> Operation {
    Operation::Client(Node::Activate { of, activation })
}
