//! From plan and weights to a head that can run, or to the layer that cannot.

use encompute_fhe::{
    AccumulatorBits, CodePath, InputLayout, OutputLayout, ParameterSet, PreparedWeights, ResponseBits, Ring, RingError,
    UploadBits,
};
use encompute_protocol::HeadDigest;

use crate::cost::Cost;
use crate::geometry::{Geometry, GeometryError, Tiling};
use crate::layer::Layer;
use crate::noise::{FAILURE_LOG2_LIMIT, NoiseProof, add_log2, prove, worst_sum_bits};
use crate::plan::{Domain, HeadPlan, RoundIndex, RoundPlan};
use crate::weights::{HeadWeights, WeightsError, head_digest};

/// A round is fitted to fail with at most two to this, so that 256 rounds stay below the limit.
const ROUND_FAILURE_LOG2: i32 = FAILURE_LOG2_LIMIT - 8;

/// How to compile.
#[derive(Clone, Copy, Debug)]
pub struct CompileOptions {
    /// Instructions to run on.
    pub path: CodePath,
    /// Whether to accept parameter sets that protect nothing. Tests do.
    pub allow_toy_parameters: bool,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self { path: CodePath::fastest(), allow_toy_parameters: false }
    }
}

/// Why a head was not compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// A set that protects nothing.
    #[error("parameter set {0} protects nothing")]
    ToyParameters(ParameterSet),
    /// Weights for another number of layers than the plan has rounds.
    #[error("weights have {found} layers, the plan has {wanted} rounds")]
    LayerCount {
        /// Layers found.
        found: usize,
        /// Rounds of the plan.
        wanted: usize,
    },
    /// Weights for a layer are missing.
    #[error("weights do not fit the plan")]
    Weights(#[from] WeightsError),
    /// A layer that cannot be laid out, or whose weights have another number.
    #[error("round {round} cannot be laid out")]
    Geometry {
        /// Index of the round.
        round: usize,
        /// Why.
        #[source]
        source: GeometryError,
    },
    /// The ring refused the weights of a layer.
    #[error("weights of round {round} make no ring product")]
    Ring {
        /// Index of the round.
        round: usize,
        /// Why.
        #[source]
        source: RingError,
    },
    /// Sums that do not fit the plan's accumulator.
    #[error("sums of round {round} can take {found} bits, its accumulator has {limit}")]
    Overflow {
        /// Index of the round.
        round: usize,
        /// Bits of the largest sum.
        found: u8,
        /// Bits of the accumulator.
        limit: u8,
    },
    /// An accumulator wider than any set carries.
    #[error("sums of round {round} can take {found} bits, at most {limit} can be carried")]
    TooWide {
        /// Index of the round.
        round: usize,
        /// Bits of the largest sum.
        found: u8,
        /// Most bits.
        limit: u8,
    },
    /// Noise that is too likely to change an output.
    #[error(
        "outputs of round {round} are wrong with probability up to 2^{found_log2}, at most 2^{limit_log2} is accepted"
    )]
    TooNoisy {
        /// Index of the round.
        round: usize,
        /// Bound found.
        found_log2: i32,
        /// Bound accepted.
        limit_log2: i32,
    },
}

/// One round, ready to run.
pub(crate) struct CompiledRound {
    pub input_layout: InputLayout,
    pub output_layout: OutputLayout,
    pub weights: PreparedWeights,
}

/// A head that is proved exact and ready to run. Holds the weights in clear: it cannot be printed.
pub struct CompiledHead {
    plan: HeadPlan,
    weights: HeadWeights,
    digest: HeadDigest,
    ring: Ring,
    rounds: Vec<CompiledRound>,
    proofs: Vec<NoiseProof>,
    costs: Vec<Cost>,
}

impl CompiledHead {
    /// The public half.
    pub fn plan(&self) -> &HeadPlan {
        &self.plan
    }

    /// What receipts name it by.
    pub fn digest(&self) -> HeadDigest {
        self.digest
    }

    /// Why its outputs are exact, round by round.
    pub fn proofs(&self) -> &[NoiseProof] {
        &self.proofs
    }

    /// What it costs to run, all rounds together.
    pub fn cost(&self) -> Cost {
        self.costs.iter().fold(Cost::default(), |sum, round| sum.and(*round))
    }

    /// What each round costs.
    pub fn round_costs(&self) -> &[Cost] {
        &self.costs
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }

    pub(crate) fn weights(&self) -> &HeadWeights {
        &self.weights
    }

    pub(crate) fn round(&self, index: RoundIndex) -> Option<&CompiledRound> {
        self.rounds.get(usize::from(index.0))
    }
}

/// Proves and prepares a head.
///
/// # Errors
/// [`CompileError`]: a parameter set that protects nothing, weights that do not fit, or a round whose
/// outputs would not all be exact with probability 1 − 2⁻¹²⁸, named by its index.
pub fn compile(plan: HeadPlan, weights: HeadWeights, options: &CompileOptions) -> Result<CompiledHead, CompileError> {
    let parameter_set = plan.parameter_set();
    if !parameter_set.is_production() && !options.allow_toy_parameters {
        return Err(CompileError::ToyParameters(parameter_set));
    }
    let (found, wanted) = (weights.layer_count(), plan.rounds().len());
    if found != wanted {
        return Err(CompileError::LayerCount { found, wanted });
    }
    let ring = Ring::new(parameter_set, options.path);
    let (mut rounds, mut proofs, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    let mut failure = f64::NEG_INFINITY;
    for (index, round) in plan.rounds().iter().enumerate() {
        let at = |source| CompileError::Geometry { round: index, source };
        let geometry = Geometry::new(parameter_set, round.layer, round.tiling).map_err(at)?;
        let cost = Cost::of(parameter_set, round, &geometry);
        let layer_weights = weights.layer(index)?;
        let polynomials = geometry.weight_polynomials(layer_weights).map_err(at)?;
        let pieces = geometry.tile_count() * geometry.products_per_tile();
        let worst = worst_sum_bits(round.input, layer_weights, round.sums().channels);
        let proof = prove(parameter_set, index, round, polynomials.largest_energy(), pieces, worst);
        failure = add_log2(failure, f64::from(proof.failure_log2));
        check_proof(&proof, FAILURE_LOG2_LIMIT)?;
        if failure > f64::from(FAILURE_LOG2_LIMIT) {
            let found_log2 = failure.ceil() as i32;
            return Err(CompileError::TooNoisy { round: index, found_log2, limit_log2: FAILURE_LOG2_LIMIT });
        }
        let prepared = ring.prepare(polynomials).map_err(|source| CompileError::Ring { round: index, source })?;
        rounds.push(CompiledRound {
            input_layout: geometry.input_layout().at(round.upload_bits),
            output_layout: geometry.output_layout(),
            weights: prepared,
        });
        proofs.push(proof);
        costs.push(cost);
    }
    let digest = head_digest(&plan, &weights);
    Ok(CompiledHead { plan, weights, digest, ring, rounds, proofs, costs })
}

fn check_proof(proof: &NoiseProof, limit_log2: i32) -> Result<(), CompileError> {
    let round = usize::from(proof.round);
    if proof.worst_sum_bits > proof.accumulator_bits {
        let (found, limit) = (proof.worst_sum_bits, proof.accumulator_bits);
        return Err(CompileError::Overflow { round, found, limit });
    }
    if !proof.holds(limit_log2) {
        return Err(CompileError::TooNoisy { round, found_log2: proof.failure_log2, limit_log2 });
    }
    Ok(())
}

/// The widths worth trying: a response's rounding alone asks for eight bits above the accumulator.
fn widths(accumulator: AccumulatorBits) -> impl Iterator<Item = (UploadBits, ResponseBits)> {
    let first = (accumulator.0 + 7).max(ResponseBits::MIN.0);
    let responses = first..=(first + 5).min(ResponseBits::MAX.0);
    let uploads = (UploadBits::MIN.0..=UploadBits::MAX.0).step_by(4);
    uploads.flat_map(move |upload| responses.clone().map(move |response| (UploadBits(upload), ResponseBits(response))))
}

impl RoundPlan {
    /// The round with the narrowest accumulator that holds every sum of these weights, and the tiling
    /// and widths with the fewest bytes up and down that keep all outputs exact.
    ///
    /// # Errors
    /// [`CompileError`] with round 0, if there is none: sums too wide, or a layer too large.
    pub fn fitted(
        parameter_set: ParameterSet,
        layer: Layer,
        input: Domain,
        weights: &[i8],
    ) -> Result<Self, CompileError> {
        let at = |source| CompileError::Geometry { round: 0, source };
        // The check comes before the weights are looked at: they might not be what the layer says.
        Geometry::smallest(parameter_set, layer, UploadBits::STANDARD, ResponseBits(32)).map_err(at)?;
        let found = worst_sum_bits(input, weights, layer.output_shape().channels).max(AccumulatorBits::MIN.0);
        let limit = AccumulatorBits::MAX.0;
        if found > limit {
            return Err(CompileError::TooWide { round: 0, found, limit });
        }
        let accumulator_bits = AccumulatorBits(found);
        let (mut least, mut best) = (i32::MAX, None);
        let mut energies: Vec<(Tiling, u64)> = Vec::new();
        for (upload_bits, response_bits) in widths(accumulator_bits) {
            let tiling = Geometry::smallest(parameter_set, layer, upload_bits, response_bits).map_err(at)?;
            let geometry = Geometry::new(parameter_set, layer, tiling).map_err(at)?;
            let energy = match energies.iter().find(|(of, _)| *of == tiling) {
                Some((_, energy)) => *energy,
                None => geometry.weight_polynomials(weights).map_err(at)?.largest_energy(),
            };
            energies.push((tiling, energy));
            let round = Self { layer, input, tiling, accumulator_bits, upload_bits, response_bits };
            let pieces = geometry.tile_count() * geometry.products_per_tile();
            let proof = prove(parameter_set, 0, &round, energy, pieces, found);
            least = least.min(proof.failure_log2);
            let bytes = geometry.request_bytes(upload_bits) + geometry.response_bytes(response_bits);
            if proof.holds(ROUND_FAILURE_LOG2) && best.as_ref().is_none_or(|(fewest, _)| bytes < *fewest) {
                best = Some((bytes, round));
            }
        }
        if let Some((_, round)) = best {
            return Ok(round);
        }
        Err(CompileError::TooNoisy { round: 0, found_log2: least, limit_log2: ROUND_FAILURE_LOG2 })
    }
}
