//! The public half of a head: what is computed, in which rounds, and what the client does between.

use codec::{Decode, Encode};
use core::fmt;
use encompute_fhe::{AccumulatorBits, BootstrapSet, InputLayout, OutputLayout, ParameterSet, ResponseBits, UploadBits};
pub use encompute_protocol::RoundIndex;
use encompute_protocol::wire;

use crate::chain::{Chain, ChainError, Facts, Links, facts};
use crate::geometry::{Geometry, GeometryError, Tiling};
use crate::layer::{Layer, Shape};
use crate::program::{NodeError, Program, shapes};
use crate::segment::{Segment, SegmentState};

/// How a head with activations runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Mode {
    /// One linear map.
    #[codec(index = 0)]
    Linear,
    /// Linear maps on the worker, activations on the client between them.
    #[codec(index = 1)]
    Rounds,
    /// As `Rounds`, and in at least one round a [`Chain`] behind the linear map: activations on the worker, by
    /// bootstraps of this set.
    #[codec(index = 2)]
    Bootstrapped(BootstrapSet),
}

impl Mode {
    /// The set of the evaluation key that the head takes; none if it takes no key.
    pub fn bootstrap_set(self) -> Option<BootstrapSet> {
        match self {
            Self::Linear | Self::Rounds => None,
            Self::Bootstrapped(set) => Some(set),
        }
    }
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

/// One round: a linear layer on the worker, and what follows it there.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RoundPlan {
    /// The linear layer.
    pub layer: Layer,
    /// Range of the input values.
    pub input: Domain,
    /// How the layer is cut into ring products.
    pub tiling: Tiling,
    /// Width of the sums: every sum the weights can give fits, or in front of a chain every one that is expected.
    pub accumulator_bits: AccumulatorBits,
    /// Width of the request.
    pub upload_bits: UploadBits,
    /// Width of the response.
    pub response_bits: ResponseBits,
    /// What is done with the sums before they are sent, if anything.
    pub chain: Option<Chain>,
}

impl RoundPlan {
    /// Shape of what the client gets: the layer's sums, or the last tensor of the chain.
    pub fn sums(&self) -> Shape {
        let sums = self.layer.output_shape();
        self.chain.as_ref().and_then(|chain| chain.shapes(sums).last().copied()).unwrap_or(sums)
    }

    /// Width of what the client gets: what it decrypts the response with. Requests are encrypted with
    /// [`RoundPlan::accumulator_bits`], which is the same where there is no chain.
    pub fn response_accumulator_bits(&self) -> AccumulatorBits {
        self.chain.as_ref().map_or(self.accumulator_bits, Chain::response_accumulator_bits)
    }

    /// The linear layers of the round, in the order of their weights.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        core::iter::once(&self.layer).chain(self.chain.iter().flat_map(Chain::layers))
    }

    /// Where the input values go in a request.
    pub fn input_layout(&self, parameter_set: ParameterSet) -> Result<InputLayout, GeometryError> {
        Ok(Geometry::new(parameter_set, self.layer, self.tiling)?.input_layout().at(self.upload_bits))
    }

    /// Where what the client gets is in a response.
    pub fn output_layout(&self, parameter_set: ParameterSet) -> Result<OutputLayout, GeometryError> {
        let geometry = Geometry::new(parameter_set, self.layer, self.tiling)?;
        match &self.chain {
            None => Ok(geometry.output_layout()),
            Some(chain) => Ok(chain.output_layout(parameter_set, self.sums().len())?),
        }
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
    /// Of every round, what is known of its chain's tensors.
    chains: Vec<Option<Facts>>,
    segments: Vec<Segment>,
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
    /// More segments than any head may have.
    #[error("head has {found} segments, at most {limit} are allowed")]
    SegmentCount {
        /// Segments found.
        found: usize,
        /// Segments allowed.
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
    /// A step of a chain that does not hold.
    #[error("step {step} of the chain of round {round}")]
    Chain {
        /// Index of the round.
        round: usize,
        /// Index of the step.
        step: usize,
        /// Why.
        #[source]
        source: ChainError,
    },
    /// A chain in a head that has no evaluation key.
    #[error("round {round} has a chain, which only a bootstrapped head may have")]
    ChainWithoutBootstraps {
        /// Index of the round.
        round: usize,
    },
    /// A bootstrapped head without a chain.
    #[error("no round of a bootstrapped head has a chain: its mode would be `rounds`")]
    NoChain,
    /// Bootstraps of another ring than the rounds'.
    #[error("bootstraps of {bootstraps} are under {wanted}, the head's rounds under {found}")]
    BootstrapRing {
        /// The bootstraps' set.
        bootstraps: BootstrapSet,
        /// The ring that it takes.
        wanted: ParameterSet,
        /// The head's ring.
        found: ParameterSet,
    },
    /// More linear layers in rounds and chains together than a head may have.
    #[error("head has {found} linear layers, at most {limit} are allowed")]
    LayerCount {
        /// Layers found.
        found: usize,
        /// Layers allowed.
        limit: usize,
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
    pub const VERSION: u8 = 5;
    /// Most bytes a plan may have.
    pub const LIMIT_BYTES: usize = 4 << 20;
    /// Most rounds a head may have, most segments, and most linear layers in rounds and chains together.
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
        check_mode(parameter_set, mode, &rounds)?;
        let set = mode.bootstrap_set();
        let chains = rounds.iter().enumerate().map(|(index, round)| check_round(parameter_set, set, index, round));
        let chains = chains.collect::<Result<_, _>>()?;
        let segments: Vec<Segment> = rounds.iter().enumerate().flat_map(segments).collect();
        if segments.len() > limit {
            return Err(PlanError::SegmentCount { found: segments.len(), limit });
        }
        let found = program.nodes().len();
        if mode == Mode::Linear && found != 1 {
            return Err(PlanError::NotLinear { found });
        }
        let features = program.features().domain;
        check_domain("bits of the features", rounds.len() - 1, features)?;
        let shapes = shapes(&program, &rounds).map_err(|(node, source)| PlanError::Node { node, source })?;
        check_input(&rounds[0], &program)?;
        Ok(Self { parameter_set, mode, rounds, program, shapes, chains, segments })
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

    /// What is answered one by one, in order: at least one for each round.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// What the receipt of this number is for, if the head has so many.
    pub fn segment(&self, receipt: RoundIndex) -> Option<Segment> {
        self.segments.get(usize::from(receipt.0)).copied()
    }

    /// Bytes of what the segment of this receipt gives for the next to go on from; none for one that gives a response.
    pub fn state_bytes(&self, receipt: RoundIndex) -> Option<u64> {
        let segment = self.segment(receipt).filter(|segment| !segment.is_last())?;
        let links = self.chain(segment.round.0.into())?;
        Some(SegmentState::HEADER_BYTES as u64 + links.state_bytes(segment.index.into()))
    }

    /// Index of the weights of a round's layer among those of all layers; those of its chain follow.
    pub(crate) fn first_layer(&self, round: usize) -> usize {
        self.rounds.iter().take(round).map(|round| round.layers().count()).sum()
    }

    /// Linear layers of all rounds and chains.
    pub(crate) fn layer_count(&self) -> usize {
        self.first_layer(self.rounds.len())
    }

    /// The chain of a round, if it has one.
    pub(crate) fn chain(&self, round: usize) -> Option<Links<'_>> {
        let (chain, facts) = self.rounds.get(round)?.chain.as_ref().zip(self.chains.get(round)?.as_ref())?;
        Some(Links { chain, facts, set: self.mode.bootstrap_set()? })
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

/// Refuses chains where there are no bootstraps, and bootstraps where there is no chain or another ring.
fn check_mode(parameter_set: ParameterSet, mode: Mode, rounds: &[RoundPlan]) -> Result<(), PlanError> {
    let chain = rounds.iter().position(|round| round.chain.is_some());
    match (mode.bootstrap_set(), chain) {
        (None, None) => {}
        (None, Some(round)) => return Err(PlanError::ChainWithoutBootstraps { round }),
        (Some(_), None) => return Err(PlanError::NoChain),
        (Some(bootstraps), Some(_)) => {
            let (found, wanted) = (parameter_set, bootstraps.ring());
            if found != wanted {
                return Err(PlanError::BootstrapRing { bootstraps, wanted, found });
            }
        }
    }
    let found = rounds.iter().map(|round| round.layers().count()).sum();
    let limit = HeadPlan::ROUND_LIMIT;
    if found > limit { Err(PlanError::LayerCount { found, limit }) } else { Ok(()) }
}

/// The segments of a round.
fn segments((round, plan): (usize, &RoundPlan)) -> impl Iterator<Item = Segment> + use<> {
    let count = plan.chain.as_ref().map_or(1, Chain::segment_count) as u8;
    (0..count).map(move |index| Segment { round: RoundIndex(round as u16), index, count })
}

fn check_round(
    parameter_set: ParameterSet,
    set: Option<BootstrapSet>,
    index: usize,
    round: &RoundPlan,
) -> Result<Option<Facts>, PlanError> {
    check_domain("bits of the input", index, round.input)?;
    let (p, u, q) = (round.accumulator_bits, round.upload_bits, round.response_bits);
    let width = |what, found: u8, min: u8, max: u8| within(what, index, found.into(), min.into(), max.into());
    width("accumulator width", p.0, AccumulatorBits::MIN.0, AccumulatorBits::MAX.0)?;
    width("upload width", u.0, UploadBits::MIN.0, UploadBits::MAX.0)?;
    width("response width", q.0, ResponseBits::MIN.0, ResponseBits::MAX.0)?;
    let geometry = Geometry::new(parameter_set, round.layer, round.tiling)
        .map_err(|source| PlanError::Geometry { round: index, source })?;
    let Some((chain, set)) = round.chain.as_ref().zip(set) else { return Ok(None) };
    // Elsewhere the sums are at least as wide as an input; here they may be cut to what is expected of them.
    width("accumulator width", p.0, least_bits(round.input).0, AccumulatorBits::MAX.0)?;
    let sums = (round.layer.output_shape(), p, geometry.product_count());
    let known = facts(chain, set, sums);
    known.map(Some).map_err(|(step, source)| PlanError::Chain { round: index, step, source })
}

/// Fewest bits that every value of a domain fits.
pub(crate) fn least_bits(domain: Domain) -> AccumulatorBits {
    // Requests are symmetric around zero: the smallest signed value asks for a bit more.
    AccumulatorBits(domain.bits + 1).max(AccumulatorBits::MIN)
}
