//! The client's half of a head: a straight line of operations on real tensors, some of which are rounds.
//!
//! A tensor is `[channels, rows, columns]` of 64-bit floats; tensor 0 is the head's input, tensor `n` what node
//! `n − 1` gives. Every operation is one of IEEE 754 or of the `libm` crate, in a fixed order, so that a program
//! gives the same numbers on every machine, in the bench as in a user's client.

use codec::{Compact, Decode, Encode, Error, Input, Output as Sink};
use core::fmt;

use crate::layer::Axis;
use crate::plan::Domain;

mod check;
mod show;

pub use check::NodeError;
pub(crate) use check::shapes;

/// A finite number of a plan. Never made of a value of a user's.
#[derive(Clone, Copy, PartialEq)]
pub struct Real(f32);

impl Real {
    /// One.
    pub const ONE: Self = Self(1.0);
    /// Zero.
    pub const ZERO: Self = Self(0.0);

    /// The number, if it is finite as 32 bits.
    pub fn new(value: f64) -> Option<Self> {
        let value = value as f32;
        value.is_finite().then_some(Self(value))
    }

    /// The number.
    pub fn get(self) -> f64 {
        f64::from(self.0)
    }
}

// Finite numbers are equal to themselves.
impl Eq for Real {}

impl fmt::Debug for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Encode for Real {
    fn size_hint(&self) -> usize {
        4
    }

    fn encode_to<S: Sink + ?Sized>(&self, sink: &mut S) {
        self.0.encode_to(sink);
    }
}

impl Decode for Real {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        Self::new(f32::decode(input)?.into()).ok_or_else(|| "number is not finite".into())
    }
}

/// A tensor by its place: 0 is the head's input, `n` what node `n − 1` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct TensorIndex(pub u16);

/// What one integer of a round's request is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Unit {
    /// This much, for every input.
    #[codec(index = 0)]
    Fixed(Real),
    /// What puts the tensor's largest absolute value at the end of the round's domain.
    #[codec(index = 1)]
    Dynamic,
    /// The same for every row and column by itself. Only for rounds in which these do not meet.
    #[codec(index = 2)]
    DynamicPosition,
}

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Activation {
    /// `max(0, x)`.
    #[codec(index = 0)]
    Relu,
    /// `x` where it is positive, `slope · x` elsewhere.
    #[codec(index = 1)]
    LeakyRelu {
        /// Slope below zero.
        slope: Real,
    },
    /// `min(max(x, least), most)`.
    #[codec(index = 2)]
    Clip {
        /// Smallest value.
        least: Real,
        /// Largest value.
        most: Real,
    },
    /// `x · Φ(x)`, with the error function.
    #[codec(index = 3)]
    Gelu,
    /// Its approximation with the hyperbolic tangent.
    #[codec(index = 4)]
    GeluTanh,
    /// `x · sigmoid(x)`.
    #[codec(index = 5)]
    Silu,
    /// `1 / (1 + e^−x)`.
    #[codec(index = 6)]
    Sigmoid,
    /// The hyperbolic tangent.
    #[codec(index = 7)]
    Tanh,
    /// The error function.
    #[codec(index = 8)]
    Erf,
}

/// How neighbouring values are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Join {
    /// Their mean; padding does not count.
    #[codec(index = 0)]
    Average,
    /// The largest.
    #[codec(index = 1)]
    Max,
}

/// One operation. It reads tensors of earlier nodes and gives one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Node {
    /// The head's next round: the tensor is divided by the unit, rounded and held to the round's domain, encrypted
    /// and sent; the sums that come back become `sum · unit · scale + bias`.
    #[codec(index = 0)]
    Round {
        /// What is sent.
        of: TensorIndex,
        /// What an integer of it is worth.
        unit: Unit,
        /// What an integer of the weights is worth: one number, or one for each channel out.
        scale: Vec<Real>,
        /// Added to each channel out, or empty.
        bias: Vec<Real>,
    },
    /// A function of each value.
    #[codec(index = 1)]
    Activate {
        /// What is read.
        of: TensorIndex,
        /// The function.
        activation: Activation,
    },
    /// Windows of each channel, each joined to one value.
    #[codec(index = 2)]
    Pool {
        /// What is read.
        of: TensorIndex,
        /// How.
        join: Join,
        /// From row to row.
        rows: Axis,
        /// From column to column.
        columns: Axis,
    },
    /// The sum of two tensors of one shape.
    #[codec(index = 3)]
    Add {
        /// What is read.
        of: [TensorIndex; 2],
    },
    /// The product of two tensors, value by value; the second may have one value a channel, or one channel.
    #[codec(index = 4)]
    Multiply {
        /// What is read.
        of: [TensorIndex; 2],
    },
    /// `x · gain + offset`, with one number of each for all, or one for each channel.
    #[codec(index = 5)]
    Affine {
        /// What is read.
        of: TensorIndex,
        /// Factor.
        gain: Vec<Real>,
        /// Added.
        offset: Vec<Real>,
    },
    /// At every row and column: `(x − mean) / √(variance + epsilon) · gain + offset` over the channels.
    #[codec(index = 6)]
    Normalise {
        /// What is read.
        of: TensorIndex,
        /// Added to the variance; above 0.
        epsilon: Real,
        /// One for each channel.
        gain: Vec<Real>,
        /// One for each channel.
        offset: Vec<Real>,
    },
    /// At every row and column: `e^x` over its sum over the channels.
    #[codec(index = 7)]
    Softmax {
        /// What is read.
        of: TensorIndex,
    },
    /// Attention of every row (a token) to every row, `heads` times over equal parts of the channels: the softmax of
    /// `q · k / √(channels of a head)` weighs the values.
    #[codec(index = 8)]
    Attend {
        /// `[channels, tokens, 1]`.
        query: TensorIndex,
        /// `[channels, tokens, 1]`.
        key: TensorIndex,
        /// `[channels, tokens, 1]`.
        value: TensorIndex,
        /// Parts of the channels.
        heads: u16,
        /// `[1, tokens, 1]`: tokens where it is not above zero are given no weight. Where it is above zero nowhere,
        /// all are.
        mask: Option<TensorIndex>,
    },
    /// The same values in the same order under another shape.
    #[codec(index = 9)]
    Reshape {
        /// What is read.
        of: TensorIndex,
        /// Channels, rows and columns.
        to: [u32; 3],
    },
    /// Channels and rows change places.
    #[codec(index = 10)]
    Transpose {
        /// What is read.
        of: TensorIndex,
    },
    /// Channels of the first, then of the second.
    #[codec(index = 11)]
    Concatenate {
        /// What is read.
        of: [TensorIndex; 2],
    },
    /// Some channels, one after another.
    #[codec(index = 12)]
    Channels {
        /// What is read.
        of: TensorIndex,
        /// The first.
        first: u32,
        /// How many.
        count: u32,
    },
}

/// What leaves the program: one tensor as integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Features {
    /// Which.
    pub of: TensorIndex,
    /// What an integer is worth; above 0.
    pub unit: Real,
    /// Where the integers are held to.
    pub domain: Domain,
}

/// The client's half of a head.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct Program {
    nodes: Vec<Node>,
    features: Features,
}

/// Nodes of a program that is being written.
#[derive(Clone, Debug, Default)]
pub struct Draft(Vec<Node>);

impl Draft {
    /// Adds a node, and names what it gives.
    pub fn then(&mut self, node: Node) -> TensorIndex {
        self.0.push(node);
        // A program of more nodes than can be named is refused by its check.
        TensorIndex(u16::try_from(self.0.len()).unwrap_or(u16::MAX))
    }

    /// Adds the next round, of whole numbers: an integer of request and weights is worth one.
    pub fn round(&mut self, of: TensorIndex) -> TensorIndex {
        self.then(Node::Round { of, unit: Unit::Fixed(Real::ONE), scale: vec![Real::ONE], bias: Vec::new() })
    }

    /// Ends the program.
    pub fn give(self, features: Features) -> Program {
        Program { nodes: self.0, features }
    }

    /// Ends it with whole numbers.
    pub fn give_integers(self, of: TensorIndex, domain: Domain) -> Program {
        self.give(Features { of, unit: Real::ONE, domain })
    }
}

impl Program {
    /// The head's input.
    pub const INPUT: TensorIndex = TensorIndex(0);
    /// Most nodes.
    pub const NODE_LIMIT: usize = 4_096;

    /// One round and nothing else, in whole numbers.
    pub fn single_round(domain: Domain) -> Program {
        let mut draft = Draft::default();
        let sums = draft.round(Self::INPUT);
        draft.give_integers(sums, domain)
    }

    /// The nodes, in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What leaves it.
    pub fn features(&self) -> Features {
        self.features
    }
}

impl Decode for Program {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let Compact(count) = Compact::<u32>::decode(input)?;
        // A node is a few bytes here and a hundred in memory.
        if count as usize > Self::NODE_LIMIT {
            return Err("too many nodes".into());
        }
        let nodes = (0..count).map(|_| Node::decode(input)).collect::<Result<_, _>>()?;
        Ok(Self { nodes, features: Features::decode(input)? })
    }
}

/// How windows lie next to each other along a side: `size` values each, what does not fill one dropped.
pub fn side_by_side(image: u32, size: u32) -> Axis {
    Axis::new(image, size).strided(size)
}

impl Node {
    /// The tensors that it reads.
    pub fn reads(&self) -> Vec<TensorIndex> {
        match self {
            Self::Round { of, .. }
            | Self::Activate { of, .. }
            | Self::Pool { of, .. }
            | Self::Affine { of, .. }
            | Self::Normalise { of, .. }
            | Self::Softmax { of }
            | Self::Reshape { of, .. }
            | Self::Transpose { of }
            | Self::Channels { of, .. } => vec![*of],
            Self::Add { of } | Self::Multiply { of } | Self::Concatenate { of } => of.to_vec(),
            Self::Attend { query, key, value, mask, .. } => [*query, *key, *value].into_iter().chain(*mask).collect(),
        }
    }

    /// The same node, reading the tensors that these are called now.
    #[must_use]
    pub fn renamed(mut self, name: impl Fn(TensorIndex) -> TensorIndex) -> Self {
        match &mut self {
            Self::Round { of, .. }
            | Self::Activate { of, .. }
            | Self::Pool { of, .. }
            | Self::Affine { of, .. }
            | Self::Normalise { of, .. }
            | Self::Softmax { of }
            | Self::Reshape { of, .. }
            | Self::Transpose { of }
            | Self::Channels { of, .. } => *of = name(*of),
            Self::Add { of } | Self::Multiply { of } | Self::Concatenate { of } => *of = of.map(name),
            Self::Attend { query, key, value, mask, .. } => {
                [*query, *key, *value] = [*query, *key, *value].map(&name);
                *mask = mask.map(name);
            }
        }
        self
    }
}
