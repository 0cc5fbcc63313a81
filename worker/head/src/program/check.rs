//! What a program must hold to before it is run: shapes, counts, and bounds on what it makes a client do.

use super::{Activation, Node, Program, Real, TensorIndex, Unit};
use crate::geometry::GeometryError;
use crate::layer::{Axis, Layer, Shape};
use crate::plan::RoundPlan;

/// Most values of all tensors of a program together: 256 MiB as 64-bit floats.
const VALUE_LIMIT: u64 = 1 << 25;
/// Most values of one tensor.
const TENSOR_LIMIT: u64 = 1 << 22;
/// Most multiplications, comparisons or functions of a program: some ten seconds of one core.
const WORK_LIMIT: u64 = 1 << 33;

/// Why a node of a program was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// It reads a tensor that no node before it gives.
    #[error("reads tensor {found}, {known} are known there")]
    NotYet {
        /// Tensor read.
        found: u16,
        /// Tensors known.
        known: usize,
    },
    /// A first node that is not a round of the input as it is.
    #[error("the first node must send the head's input in units of one")]
    First,
    /// More rounds, or fewer, than the head has.
    #[error("the program has {found} rounds, the head {wanted}")]
    Rounds {
        /// Rounds found.
        found: usize,
        /// Rounds of the head.
        wanted: usize,
    },
    /// A tensor of a shape that the operation does not take.
    #[error("takes {wanted} as {what}, found {found}")]
    Shape {
        /// Which operand.
        what: &'static str,
        /// Its shape.
        found: Shape,
        /// What is taken.
        wanted: Shape,
    },
    /// Another number of numbers than channels.
    #[error("{what} has {found} numbers, {wanted} are needed")]
    Count {
        /// Which list.
        what: &'static str,
        /// Numbers found.
        found: usize,
        /// Numbers needed.
        wanted: usize,
    },
    /// A number that must lie above zero, or below another.
    #[error("{what} is {found:?}, it must be above {above:?}")]
    NotAbove {
        /// Which number.
        what: &'static str,
        /// The number.
        found: Real,
        /// Its bound.
        above: Real,
    },
    /// Windows that cannot be laid.
    #[error("its windows cannot be laid")]
    Window(#[from] GeometryError),
    /// A unit for each position in a round in which positions meet.
    #[error("positions meet in this round, they cannot have units of their own")]
    PositionsMeet,
    /// Heads that do not divide the channels.
    #[error("{heads} heads do not divide {channels} channels")]
    Heads {
        /// Heads found.
        heads: u16,
        /// Channels.
        channels: usize,
    },
    /// Channels that are not there.
    #[error("takes channels up to {end}, at least one, of {channels}")]
    Channels {
        /// One past the last.
        end: u64,
        /// Channels there are.
        channels: usize,
    },
    /// A shape of another number of values.
    #[error("{found} values cannot take a shape of {wanted}")]
    Reshape {
        /// Values found.
        found: usize,
        /// Values of the shape.
        wanted: u64,
    },
    /// A node that reads an input of which the first request carries a part alone: after a restart the rest is lost.
    #[error("it reads the input, of which no request carries every value")]
    NotSent,
    /// More than a client is asked to hold or to compute.
    #[error("{what} would be {found}, at most {limit} are allowed")]
    TooMuch {
        /// What is counted.
        what: &'static str,
        /// Count found.
        found: u64,
        /// Count allowed.
        limit: u64,
    },
}

/// Shapes found so far, and the rounds that are left.
struct Walk<'a> {
    shapes: Vec<Shape>,
    rounds: core::slice::Iter<'a, RoundPlan>,
    asked: usize,
    work: u64,
}

/// The shape of every tensor, the input first; or the node that does not hold.
pub(crate) fn shapes(program: &Program, rounds: &[RoundPlan]) -> Result<Vec<Shape>, (usize, NodeError)> {
    let nodes = program.nodes();
    if nodes.len() > Program::NODE_LIMIT {
        let (found, limit) = (nodes.len() as u64, Program::NODE_LIMIT as u64);
        return Err((0, NodeError::TooMuch { what: "nodes", found, limit }));
    }
    let first = |node: &Node| matches!(node, Node::Round { of: Program::INPUT, unit: Unit::Fixed(Real::ONE), .. });
    let Some(input) =
        rounds.first().map(|round| round.layer.input_shape()).filter(|_| nodes.first().is_some_and(first))
    else {
        return Err((0, NodeError::First));
    };
    let mut walk = Walk { shapes: vec![input], rounds: rounds.iter(), asked: 0, work: 0 };
    let mut values = input.len() as u64;
    for (index, node) in nodes.iter().enumerate() {
        let at = |error| (index, error);
        let shape = walk.shape_of(node, rounds.len()).map_err(at)?;
        values += shape.len() as u64;
        limited("values of one tensor", shape.len() as u64, TENSOR_LIMIT).map_err(at)?;
        limited("values of all tensors", values, VALUE_LIMIT).map_err(at)?;
        limited("operations", walk.work, WORK_LIMIT).map_err(at)?;
        walk.shapes.push(shape);
    }
    let last = nodes.len().saturating_sub(1);
    if walk.asked != rounds.len() {
        return Err((last, NodeError::Rounds { found: walk.asked, wanted: rounds.len() }));
    }
    let features = program.features();
    walk.shape(features.of)
        .and_then(|_| above("the features' unit", features.unit, Real::ZERO))
        .map_err(|e| (last, e))?;
    Ok(walk.shapes)
}

impl Node {
    /// The shape of what a node other than a round gives for tensors of these shapes.
    ///
    /// # Errors
    /// [`NodeError`]; [`NodeError::Rounds`] for a round.
    pub fn shape_after(&self, reads: &[Shape]) -> Result<Shape, NodeError> {
        let mut walk = Walk { shapes: Vec::new(), rounds: [].iter(), asked: 0, work: 0 };
        walk.given(self, reads, 0)
    }
}

impl Walk<'_> {
    fn shape(&self, of: TensorIndex) -> Result<Shape, NodeError> {
        let known = self.shapes.len();
        self.shapes.get(usize::from(of.0)).copied().ok_or(NodeError::NotYet { found: of.0, known })
    }

    fn shape_of(&mut self, node: &Node, all_rounds: usize) -> Result<Shape, NodeError> {
        let read = node.reads().into_iter().map(|of| self.shape(of)).collect::<Result<Vec<_>, _>>()?;
        self.given(node, &read, all_rounds)
    }

    fn given(&mut self, node: &Node, read: &[Shape], all_rounds: usize) -> Result<Shape, NodeError> {
        let shape = read[0];
        self.work += shape.len() as u64;
        match node {
            Node::Round { unit, scale, bias, .. } => {
                self.asked += 1;
                let past = NodeError::Rounds { found: self.asked, wanted: all_rounds };
                let round = self.rounds.next().ok_or(past)?;
                same("the round's input", shape, round.layer.input_shape())?;
                let sums = round.sums();
                one_or_each("scale", scale, sums.channels)?;
                none_or_each("bias", bias, sums.channels)?;
                match unit {
                    Unit::Fixed(unit) => above("the unit", *unit, Real::ZERO)?,
                    Unit::Dynamic => {}
                    Unit::DynamicPosition if meets(&round.layer) => return Err(NodeError::PositionsMeet),
                    Unit::DynamicPosition => {}
                }
                Ok(sums)
            }
            Node::Activate { activation: Activation::Clip { least, most }, .. } => {
                above("the largest value", *most, *least)?;
                Ok(shape)
            }
            Node::Activate { .. } | Node::Softmax { .. } => Ok(shape),
            Node::Pool { rows, columns, .. } => self.pooled(shape, *rows, *columns),
            Node::Add { .. } => same("the second summand", read[1], shape).map(|()| shape),
            Node::Multiply { .. } if read[1] == (Shape { rows: 1, columns: 1, ..shape }) => Ok(shape),
            Node::Multiply { .. } if read[1] == (Shape { channels: 1, ..shape }) => Ok(shape),
            Node::Multiply { .. } => same("the second factor", read[1], shape).map(|()| shape),
            Node::Affine { gain, offset, .. } => {
                one_or_each("gain", gain, shape.channels)?;
                one_or_each("offset", offset, shape.channels)?;
                Ok(shape)
            }
            Node::Normalise { epsilon, gain, offset, .. } => {
                above("epsilon", *epsilon, Real::ZERO)?;
                counted("gain", gain, shape.channels)?;
                counted("offset", offset, shape.channels)?;
                Ok(shape)
            }
            Node::Attend { heads, .. } => self.attended(read, *heads),
            Node::Reshape { to, .. } => reshaped(shape, *to),
            Node::Transpose { .. } => Ok(Shape { channels: shape.rows, rows: shape.channels, ..shape }),
            Node::Channels { first, count, .. } => channels(shape, *first, *count),
            Node::Concatenate { .. } => {
                same("the second part", Shape { channels: shape.channels, ..read[1] }, shape)?;
                Ok(Shape { channels: shape.channels + read[1].channels, ..shape })
            }
        }
    }

    fn pooled(&mut self, shape: Shape, rows: Axis, columns: Axis) -> Result<Shape, NodeError> {
        let wanted = Shape { rows: rows.image as usize, columns: columns.image as usize, ..shape };
        same("its image", shape, wanted)?;
        rows.check_window()?;
        columns.check_window()?;
        let pooled = Shape { rows: rows.outputs(), columns: columns.outputs(), ..shape };
        self.work += pooled.len() as u64 * u64::from(rows.kernel) * u64::from(columns.kernel);
        Ok(pooled)
    }

    fn attended(&mut self, read: &[Shape], heads: u16) -> Result<Shape, NodeError> {
        let query = read[0];
        same("the query", query, Shape { columns: 1, ..query })?;
        for (what, found) in [("the key", read[1]), ("the value", read[2])] {
            same(what, found, query)?;
        }
        if let Some(mask) = read.get(3) {
            same("the mask", *mask, Shape { channels: 1, ..query })?;
        }
        if heads == 0 || !query.channels.is_multiple_of(usize::from(heads)) {
            return Err(NodeError::Heads { heads, channels: query.channels });
        }
        let pairs = (query.rows as u64).saturating_mul(query.rows as u64);
        self.work = self.work.saturating_add(pairs.saturating_mul(2 * query.channels as u64 + u64::from(heads)));
        Ok(query)
    }
}

/// True where an output reads more than its own row and column.
fn meets(layer: &Layer) -> bool {
    let alone = |axis: &Axis| *axis == Axis::new(axis.image, 1);
    !matches!(layer, Layer::Conv2d { rows, columns, .. } if alone(rows) && alone(columns))
}

fn reshaped(shape: Shape, to: [u32; 3]) -> Result<Shape, NodeError> {
    let wanted = to.iter().try_fold(1u64, |product, side| product.checked_mul(u64::from(*side))).unwrap_or(u64::MAX);
    if wanted != shape.len() as u64 {
        return Err(NodeError::Reshape { found: shape.len(), wanted });
    }
    let [channels, rows, columns] = to.map(|side| side as usize);
    Ok(Shape { channels, rows, columns })
}

fn channels(shape: Shape, first: u32, count: u32) -> Result<Shape, NodeError> {
    let end = u64::from(first) + u64::from(count);
    match count > 0 && end <= shape.channels as u64 {
        true => Ok(Shape { channels: count as usize, ..shape }),
        false => Err(NodeError::Channels { end, channels: shape.channels }),
    }
}

fn same(what: &'static str, found: Shape, wanted: Shape) -> Result<(), NodeError> {
    if found == wanted { Ok(()) } else { Err(NodeError::Shape { what, found, wanted }) }
}

fn counted(what: &'static str, numbers: &[Real], wanted: usize) -> Result<(), NodeError> {
    let found = numbers.len();
    if found == wanted { Ok(()) } else { Err(NodeError::Count { what, found, wanted }) }
}

fn one_or_each(what: &'static str, numbers: &[Real], channels: usize) -> Result<(), NodeError> {
    if numbers.len() == 1 { Ok(()) } else { counted(what, numbers, channels) }
}

fn none_or_each(what: &'static str, numbers: &[Real], channels: usize) -> Result<(), NodeError> {
    if numbers.is_empty() { Ok(()) } else { counted(what, numbers, channels) }
}

fn above(what: &'static str, found: Real, above: Real) -> Result<(), NodeError> {
    if found.get() > above.get() { Ok(()) } else { Err(NodeError::NotAbove { what, found, above }) }
}

fn limited(what: &'static str, found: u64, limit: u64) -> Result<(), NodeError> {
    if found <= limit { Ok(()) } else { Err(NodeError::TooMuch { what, found, limit }) }
}
