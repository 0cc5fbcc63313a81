//! The public half of a head: what is computed, in which rounds, and what the client does between.

use codec::{Decode, Encode};
use core::fmt;
use encompute_fhe::{AccumulatorBits, InputLayout, OutputLayout, ParameterSet, ResponseBits, UploadBits};
pub use encompute_protocol::RoundIndex;
use encompute_protocol::wire;

use crate::geometry::{Geometry, GeometryError, Tiling};
use crate::layer::{Layer, Shape};
use crate::program::{NodeError, Program, shapes};

/// How a head with activations runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Mode {
    /// One linear map.
    #[codec(index = 0)]
    Linear,
    /// Linear maps on the worker, activations on the client between them.
    #[codec(index = 1)]
    Rounds,
}

/// A range of integers: `[0, 2^bits)`, or `[−2^(bits−1), 2^(bits−1))` if signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Domain {
    /// Bits of a value, its sign included; 1 to 24.
    pub bits: u8,
    /// Whether values may be negative.
    pub signed: bool,
}

impl Domain {
    /// 0 to 255.
    pub const U8: Self = Self { bits: 8, signed: false };
    /// −128 to 127.
    pub const I8: Self = Self { bits: 8, signed: true };
    /// Most bits of a domain.
    pub const MAX_BITS: u8 = 24;

    /// The smallest value.
    pub fn min(self) -> i64 {
        if self.signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    /// The largest value.
    pub fn max(self) -> i64 {
        (1 << (self.bits - u8::from(self.signed))) - 1
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.signed { "i" } else { "u" }, self.bits)
    }
}

/// One round: a linear layer on the worker.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RoundPlan {
    /// The linear layer.
    pub layer: Layer,
    /// Range of the input values.
    pub input: Domain,
    /// How the layer is cut into ring products.
    pub tiling: Tiling,
    /// Width of the sums: every sum the weights can give fits.
    pub accumulator_bits: AccumulatorBits,
    /// Width of the request.
    pub upload_bits: UploadBits,
    /// Width of the response.
    pub response_bits: ResponseBits,
}

impl RoundPlan {
    /// Shape of the sums.
    pub fn sums(&self) -> Shape {
        self.layer.output_shape()
    }

    /// Where the input values go in a request.
    pub fn input_layout(&self, parameter_set: ParameterSet) -> Result<InputLayout, GeometryError> {
        Ok(Geometry::new(parameter_set, self.layer, self.tiling)?.input_layout().at(self.upload_bits))
    }

    /// Where the sums are in a response.
    pub fn output_layout(&self, parameter_set: ParameterSet) -> Result<OutputLayout, GeometryError> {
        Ok(Geometry::new(parameter_set, self.layer, self.tiling)?.output_layout())
    }
}

/// The public half of a head. Anyone may read it; its bytes are part of the head's digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadPlan {
    parameter_set: ParameterSet,
    mode: Mode,
    rounds: Vec<RoundPlan>,
    program: Program,
    /// Of every tensor of the program, the input first.
    shapes: Vec<Shape>,
}

/// Why a plan was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Too long, of another version, or not the encoding of a plan.
    #[error("not a head plan")]
    Encoding(#[from] wire::DecodeError),
    /// No round, several in a linear head, or more than any head may have.
    #[error("head has {found} rounds, its mode allows 1 to {limit}")]
    RoundCount {
        /// Rounds found.
        found: usize,
        /// Rounds allowed.
        limit: usize,
    },
    /// A layer without a layout.
    #[error("round {round} has no layout")]
    Geometry {
        /// Index of the round.
        round: usize,
        /// Why.
        #[source]
        source: GeometryError,
    },
    /// A number outside its range.
    #[error("{what} of round {round} is {found}, allowed are {min} to {max}")]
    OutOfRange {
        /// What the number is.
        what: &'static str,
        /// Index of the round.
        round: usize,
        /// Number found.
        found: i64,
        /// Smallest allowed.
        min: i64,
        /// Largest allowed.
        max: i64,
    },
    /// A node of the client's program that does not hold.
    #[error("node {node} of the client's program")]
    Node {
        /// Index of the node.
        node: usize,
        /// Why.
        #[source]
        source: NodeError,
    },
    /// A linear head with more than its round.
    #[error("a linear head has one round and {found} nodes, its program may have that round alone")]
    NotLinear {
        /// Nodes found.
        found: usize,
    },
}

#[derive(Decode)]
struct PlanBody {
    parameter_set: ParameterSet,
    mode: Mode,
    rounds: Vec<RoundPlan>,
    program: Program,
}

impl HeadPlan {
    /// Version of the encoding.
    pub const VERSION: u8 = 3;
    /// Most bytes a plan may have.
    pub const LIMIT_BYTES: usize = 4 << 20;
    /// Most rounds a head may have.
    pub const ROUND_LIMIT: usize = 256;

    /// A plan of these rounds, in the order in which the program asks for them.
    ///
    /// # Errors
    /// [`PlanError`], by the first check that fails.
    pub fn new(
        parameter_set: ParameterSet,
        mode: Mode,
        rounds: Vec<RoundPlan>,
        program: Program,
    ) -> Result<Self, PlanError> {
        let limit = if mode == Mode::Linear { 1 } else { Self::ROUND_LIMIT };
        if rounds.is_empty() || rounds.len() > limit {
            return Err(PlanError::RoundCount { found: rounds.len(), limit });
        }
        for (index, round) in rounds.iter().enumerate() {
            check_round(parameter_set, index, round)?;
        }
        let found = program.nodes().len();
        if mode == Mode::Linear && found != 1 {
            return Err(PlanError::NotLinear { found });
        }
        let features = program.features().domain;
        check_domain("bits of the features", rounds.len() - 1, features)?;
        let shapes = shapes(&program, &rounds).map_err(|(node, source)| PlanError::Node { node, source })?;
        check_input(&rounds[0], &program)?;
        Ok(Self { parameter_set, mode, rounds, program, shapes })
    }

    /// The plan in `bytes`.
    ///
    /// # Errors
    /// [`PlanError`], by the first check that fails.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlanError> {
        let value = crate::weights::versioned(bytes, Self::VERSION, Self::LIMIT_BYTES)?;
        // A round is some twenty bytes here and two hundred in memory: count them before they are read.
        let mut rest = value;
        wire::skip::<(ParameterSet, Mode)>(&mut rest)?;
        wire::count(&mut rest, "rounds", Self::ROUND_LIMIT as u32)?;
        let PlanBody { parameter_set, mode, rounds, program } = wire::decode_exact(value, Self::LIMIT_BYTES)?;
        Self::new(parameter_set, mode, rounds, program)
    }

    /// The plan's bytes: version, set, mode, rounds, program.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![Self::VERSION];
        (self.parameter_set, self.mode, &self.rounds, &self.program).encode_to(&mut bytes);
        bytes
    }

    /// The set that requests must be encrypted under.
    pub fn parameter_set(&self) -> ParameterSet {
        self.parameter_set
    }

    /// How the head runs.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The rounds, at least one.
    pub fn rounds(&self) -> &[RoundPlan] {
        &self.rounds
    }

    /// The round at `index`, if there is one.
    pub fn round(&self, index: RoundIndex) -> Option<&RoundPlan> {
        self.rounds.get(usize::from(index.0))
    }

    /// What the client computes.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// How many values the head takes.
    pub fn input_count(&self) -> usize {
        self.rounds[0].layer.input_shape().len()
    }

    /// How many features the head gives.
    pub fn feature_count(&self) -> usize {
        self.shape(usize::from(self.program.features().of.0)).len()
    }

    /// Shape of a tensor of the program, by its place.
    pub(crate) fn shape(&self, tensor: usize) -> Shape {
        self.shapes[tensor]
    }
}

/// A client that was restarted has of its input what the first request carries.
fn check_input(first: &RoundPlan, program: &Program) -> Result<(), PlanError> {
    let reads = |node: &crate::program::Node| node.reads().contains(&Program::INPUT);
    let later = program.nodes().iter().skip(1).position(reads).map(|place| place + 1);
    let Some(node) = later.or_else(|| (program.features().of == Program::INPUT).then_some(0)) else { return Ok(()) };
    match first.layer.meets_every_input() {
        true => Ok(()),
        false => Err(PlanError::Node { node, source: NodeError::NotSent }),
    }
}

/// Refuses a domain that no integer here has.
fn check_domain(what: &'static str, round: usize, domain: Domain) -> Result<(), PlanError> {
    within(what, round, domain.bits.into(), 1 + i64::from(domain.signed), Domain::MAX_BITS.into())
}

fn within(what: &'static str, round: usize, found: i64, min: i64, max: i64) -> Result<(), PlanError> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(PlanError::OutOfRange { what, round, found, min, max }) }
}

fn check_round(parameter_set: ParameterSet, index: usize, round: &RoundPlan) -> Result<(), PlanError> {
    check_domain("bits of the input", index, round.input)?;
    let (p, u, q) = (round.accumulator_bits, round.upload_bits, round.response_bits);
    let width = |what, found: u8, min: u8, max: u8| within(what, index, found.into(), min.into(), max.into());
    width("accumulator width", p.0, AccumulatorBits::MIN.0, AccumulatorBits::MAX.0)?;
    width("upload width", u.0, UploadBits::MIN.0, UploadBits::MAX.0)?;
    width("response width", q.0, ResponseBits::MIN.0, ResponseBits::MAX.0)?;
    Geometry::new(parameter_set, round.layer, round.tiling)
        .map_err(|source| PlanError::Geometry { round: index, source })?;
    Ok(())
}
