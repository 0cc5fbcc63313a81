//! The public half of a head: what is computed, in which rounds, and what the client does between.

use codec::{Decode, Encode};
use encompute_fhe::{AccumulatorBits, InputLayout, OutputLayout, ParameterSet, ResponseBits, UploadBits};
pub use encompute_protocol::RoundIndex;
use encompute_protocol::wire;

use crate::geometry::{Geometry, GeometryError, Tiling};
use crate::layer::{Layer, Shape};

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

/// What the client applies to each value, after the bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Activation {
    /// Nothing.
    #[codec(index = 0)]
    Identity,
    /// `max(0, x)`.
    #[codec(index = 1)]
    Relu,
}

/// How the client joins neighbouring values, after the activation. Rows and columns that do not
/// fill a window are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Pooling {
    /// Not at all.
    #[codec(index = 0)]
    None,
    /// The sum over `size × size` windows: an average, whose division the rescale carries.
    #[codec(index = 1)]
    Average {
        /// Rows and columns of a window.
        size: u8,
    },
    /// The largest value of `size × size` windows.
    #[codec(index = 2)]
    Max {
        /// Rows and columns of a window.
        size: u8,
    },
}

/// Fixed-point scaling: `floor((x · multiplier + 2^(shift−1)) / 2^shift)`, then clamped.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rescale {
    /// One multiplier for all channels, or one for each.
    pub multipliers: Vec<u32>,
    /// Binary digits after the point, 0 to 62.
    pub shift: u8,
}

/// What the client does in clear with the decrypted sums of a round: bias, activation, pooling,
/// rescale, clamp to the output domain.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ClientStep {
    /// Added first: one value for each output channel, or empty for none.
    pub bias: Vec<i64>,
    /// Applied second.
    pub activation: Activation,
    /// Applied third.
    pub pooling: Pooling,
    /// Applied fourth.
    pub rescale: Rescale,
    /// Where the results are clamped to: the next round's input domain, or the features'.
    pub output: Domain,
}

impl ClientStep {
    /// The step that only clamps to `output`.
    pub fn identity(output: Domain) -> Self {
        Self {
            bias: Vec::new(),
            activation: Activation::Identity,
            pooling: Pooling::None,
            rescale: Rescale { multipliers: vec![1], shift: 0 },
            output,
        }
    }
}

/// One round: a linear layer on the worker, then a step on the client.
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
    /// What the client does with the sums.
    pub step: ClientStep,
}

impl RoundPlan {
    /// Shape of the sums, before the client's step.
    pub fn sums(&self) -> Shape {
        self.layer.output_shape()
    }

    /// Shape of what the client's step gives.
    pub fn outputs(&self) -> Shape {
        let sums = self.sums();
        match self.step.pooling {
            Pooling::None => sums,
            Pooling::Average { size } | Pooling::Max { size } => Shape {
                rows: sums.rows / usize::from(size.max(1)),
                columns: sums.columns / usize::from(size.max(1)),
                ..sums
            },
        }
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
    /// A round that does not take what the one before gives.
    #[error("round {round} takes {wanted} values of {domain:?}, round {} gives {found} of {found_domain:?}", round - 1)]
    Chain {
        /// Index of the later round.
        round: usize,
        /// Values it takes.
        wanted: usize,
        /// Their domain.
        domain: Domain,
        /// Values it would get.
        found: usize,
        /// Their domain.
        found_domain: Domain,
    },
}

#[derive(Encode, Decode)]
struct PlanBody {
    parameter_set: ParameterSet,
    mode: Mode,
    rounds: Vec<RoundPlan>,
}

impl HeadPlan {
    /// Version of the encoding.
    pub const VERSION: u8 = 2;
    /// Most bytes a plan may have.
    pub const LIMIT_BYTES: usize = 4 << 20;
    /// Most rounds a head may have.
    pub const ROUND_LIMIT: usize = 256;

    /// A plan of these rounds.
    ///
    /// # Errors
    /// [`PlanError`], by the first check that fails.
    pub fn new(parameter_set: ParameterSet, mode: Mode, rounds: Vec<RoundPlan>) -> Result<Self, PlanError> {
        let limit = if mode == Mode::Linear { 1 } else { Self::ROUND_LIMIT };
        if rounds.is_empty() || rounds.len() > limit {
            return Err(PlanError::RoundCount { found: rounds.len(), limit });
        }
        for (index, round) in rounds.iter().enumerate() {
            check_round(parameter_set, index, round)?;
        }
        for (before, pair) in rounds.windows(2).enumerate() {
            let (found, wanted) = (pair[0].outputs().len(), pair[1].layer.input_shape().len());
            if found != wanted || pair[0].step.output != pair[1].input {
                return Err(PlanError::Chain {
                    round: before + 1,
                    wanted,
                    domain: pair[1].input,
                    found,
                    found_domain: pair[0].step.output,
                });
            }
        }
        Ok(Self { parameter_set, mode, rounds })
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
        let PlanBody { parameter_set, mode, rounds } = wire::decode_exact(value, Self::LIMIT_BYTES)?;
        Self::new(parameter_set, mode, rounds)
    }

    /// The plan's bytes: version, set, mode, rounds.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![Self::VERSION];
        let body = PlanBody { parameter_set: self.parameter_set, mode: self.mode, rounds: self.rounds.clone() };
        body.encode_to(&mut bytes);
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

    /// How many values the head takes.
    pub fn input_count(&self) -> usize {
        self.rounds[0].layer.input_shape().len()
    }

    /// How many features the head gives.
    pub fn feature_count(&self) -> usize {
        self.rounds[self.rounds.len() - 1].outputs().len()
    }
}

fn check_round(parameter_set: ParameterSet, index: usize, round: &RoundPlan) -> Result<(), PlanError> {
    let within = |what, found: i64, min: i64, max: i64| {
        if (min..=max).contains(&found) {
            Ok(())
        } else {
            Err(PlanError::OutOfRange { what, round: index, found, min, max })
        }
    };
    for (what, domain) in [("bits of the input", round.input), ("bits of the output", round.step.output)] {
        within(what, domain.bits.into(), 1 + i64::from(domain.signed), Domain::MAX_BITS.into())?;
    }
    let (p, u, q) = (round.accumulator_bits, round.upload_bits, round.response_bits);
    within("accumulator width", p.0.into(), AccumulatorBits::MIN.0.into(), AccumulatorBits::MAX.0.into())?;
    within("upload width", u.0.into(), UploadBits::MIN.0.into(), UploadBits::MAX.0.into())?;
    within("response width", q.0.into(), ResponseBits::MIN.0.into(), ResponseBits::MAX.0.into())?;
    Geometry::new(parameter_set, round.layer, round.tiling)
        .map_err(|source| PlanError::Geometry { round: index, source })?;
    let channels = round.sums().channels as i64;
    let step = &round.step;
    if !step.bias.is_empty() {
        within("number of biases", step.bias.len() as i64, channels, channels)?;
    }
    for bias in &step.bias {
        within("bias", *bias, -(1 << 47), 1 << 47)?;
    }
    if step.rescale.multipliers.len() != 1 {
        within("number of multipliers", step.rescale.multipliers.len() as i64, channels, channels)?;
    }
    within("shift", step.rescale.shift.into(), 0, 62)?;
    if let Pooling::Average { size } | Pooling::Max { size } = step.pooling {
        let largest = round.sums().rows.min(round.sums().columns).min(64) as i64;
        within("pooling window", size.into(), 1, largest)?;
    }
    Ok(())
}
