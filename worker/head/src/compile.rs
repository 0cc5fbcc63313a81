//! From plan and weights to a head that can run, or to the layer that cannot.

use encompute_fhe::{
    AccumulatorBits, BootstrapSet, Bootstrapper, CodePath, InputLayout, OutputLayout, ParameterSet, PreparedWeights,
    ResponseBits, Ring, RingError, UploadBits, WeightPolynomials,
};
use encompute_protocol::HeadDigest;
use zeroize::Zeroizing;

use crate::chain::{Chain, ChainError, Links, Step, prove_lookups};
use crate::cost::Cost;
use crate::geometry::{Geometry, GeometryError, Tiling};
use crate::layer::Layer;
use crate::noise::{FAILURE_LOG2_LIMIT, NoiseProof, Sent, add_log2, input_variance, prove, worst_sum_bits};
use crate::plan::{Domain, HeadPlan, RoundIndex, RoundPlan};
use crate::weights::{HeadWeights, WeightsError, head_digest};

/// A round is fitted to fail with at most two to this, so that 256 rounds stay below the limit.
pub(crate) const ROUND_FAILURE_LOG2: i32 = FAILURE_LOG2_LIMIT - 8;

/// How to compile.
#[derive(Clone, Copy, Debug)]
pub struct CompileOptions {
    /// Instructions to run on.
    pub path: CodePath,
    /// Whether to accept parameter sets that protect nothing. Tests do.
    pub allow_toy_parameters: bool,
    /// Most bootstraps of one segment, which is one call of a worker.
    pub bootstraps_per_call: u32,
}

impl CompileOptions {
    /// What two cores do in a minute, at [`crate::BOOTSTRAP_MICROSECONDS`] each.
    pub const BOOTSTRAPS_PER_CALL: u32 = 16_000;
}

impl Default for CompileOptions {
    fn default() -> Self {
        let bootstraps_per_call = Self::BOOTSTRAPS_PER_CALL;
        Self { path: CodePath::fastest(), allow_toy_parameters: false, bootstraps_per_call }
    }
}

/// Why a head was not compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// A set that protects nothing.
    #[error("parameter set {0} protects nothing")]
    ToyParameters(ParameterSet),
    /// Bootstraps that protect nothing.
    #[error("bootstraps of {0} protect nothing")]
    ToyBootstraps(BootstrapSet),
    /// Weights for another number of layers than the plan has.
    #[error("weights have {found} layers, the plan has {wanted} in its rounds and their chains")]
    LayerCount {
        /// Layers found.
        found: usize,
        /// Layers of the plan.
        wanted: usize,
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
    /// A linear layer of a chain whose weights have another number.
    #[error("step {step} of the chain of round {round} has {found} weights, its layer {wanted}")]
    ChainWeights {
        /// Index of the round.
        round: usize,
        /// Index of the step.
        step: usize,
        /// Weights found.
        found: usize,
        /// Weights wanted.
        wanted: usize,
    },
    /// More bootstraps than a call may take.
    #[error(
        "step {step} of round {round} brings its segment to {found} bootstraps, at most {limit} are run in one call; a \
         stride of 2 or average pooling before the step takes a quarter, mode `rounds` none"
    )]
    TooManyBootstraps {
        /// Index of the round.
        round: usize,
        /// Index of the step of its chain.
        step: usize,
        /// Bootstraps of its segment up to that step.
        found: u64,
        /// Bootstraps allowed.
        limit: u32,
    },
    /// More calls than a chain may take.
    #[error(
        "round {round} has {found} bootstraps, which {limit} segments of at most {per_call} do not hold as it can be \
         cut; end what stays encrypted at an earlier activation"
    )]
    TooManySegments {
        /// Index of the round.
        round: usize,
        /// Bootstraps of its chain.
        found: u64,
        /// Bootstraps of a segment.
        per_call: u32,
        /// Segments allowed.
        limit: usize,
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
    #[error(
        "sums of round {round} can take {found} bits, its accumulator has {limit}; smaller weights or fewer bits of \
         input make smaller sums"
    )]
    Overflow {
        /// Index of the round.
        round: usize,
        /// Bits of the largest sum.
        found: u8,
        /// Bits of the accumulator.
        limit: u8,
    },
    /// An accumulator wider than any set carries.
    #[error(
        "sums of round {round} can take {found} bits, at most {limit} can be carried; smaller weights, fewer bits of \
         input or fewer inputs make smaller sums"
    )]
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
        "outputs of round {round} are wrong with probability up to 2^{found_log2}, at most 2^{limit_log2} is accepted; \
         {}",
        more_room(*parameter_set)
    )]
    TooNoisy {
        /// Index of the round.
        round: usize,
        /// Bound found.
        found_log2: i32,
        /// Bound accepted.
        limit_log2: i32,
        /// Set of the round.
        parameter_set: ParameterSet,
    },
}

/// What leaves noise more room than there is.
fn more_room(parameter_set: ParameterSet) -> &'static str {
    match parameter_set {
        ParameterSet::Glwe4096V1 => "smaller weights or fewer bits of input leave more room",
        _ => "smaller weights, fewer bits of input or parameter set glwe-4096-v1 leave more room",
    }
}

/// One round, ready to run.
pub(crate) struct CompiledRound {
    pub input_layout: InputLayout,
    pub output_layout: OutputLayout,
    pub weights: PreparedWeights,
    pub chain: Option<CompiledChain>,
}

/// What a chain needs besides its plan and weights.
pub(crate) struct CompiledChain {
    /// Where the sums are that it begins with.
    pub sums: OutputLayout,
    /// One, which packed ciphertexts are multiplied with when they are blinded.
    pub one: PreparedWeights,
}

/// A head that is proved exact and ready to run. Holds the weights in clear: it cannot be printed.
pub struct CompiledHead {
    plan: HeadPlan,
    weights: HeadWeights,
    digest: HeadDigest,
    ring: Ring,
    bootstrapper: Bootstrapper,
    rounds: Vec<CompiledRound>,
    proofs: Vec<NoiseProof>,
    /// Of each round, what its segments cost.
    costs: Vec<Vec<Cost>>,
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
        self.segment_costs().fold(Cost::default(), Cost::and)
    }

    /// What each round costs.
    pub fn round_costs(&self) -> Vec<Cost> {
        self.costs.iter().map(|segments| segments.iter().copied().fold(Cost::default(), Cost::and)).collect()
    }

    /// What each segment costs, in the order of [`HeadPlan::segments`].
    pub fn segment_costs(&self) -> impl Iterator<Item = Cost> {
        self.costs.iter().flatten().copied()
    }

    /// The secret under which what lies between two segments is sealed: see [`HeadWeights::state_secret`].
    pub fn state_secret(&self) -> Zeroizing<[u8; 32]> {
        self.weights.state_secret()
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }

    pub(crate) fn bootstrapper(&self) -> &Bootstrapper {
        &self.bootstrapper
    }

    /// The weights of a round's layer.
    pub(crate) fn weights(&self, round: RoundIndex) -> &[i8] {
        self.weights.layer(self.plan.first_layer(usize::from(round.0))).unwrap_or_default()
    }

    /// The weights of the linear layers of a round's chain, in order.
    pub(crate) fn chain_weights(&self, round: RoundIndex) -> impl Iterator<Item = &[i8]> {
        let first = self.plan.first_layer(usize::from(round.0)) + 1;
        (first..).map_while(|layer| self.weights.layer(layer).ok())
    }

    pub(crate) fn round(&self, index: RoundIndex) -> Option<&CompiledRound> {
        self.rounds.get(usize::from(index.0))
    }
}

/// Proves and prepares a head.
///
/// # Errors
/// [`CompileError`]: a parameter set that protects nothing, weights that do not fit, a round whose outputs would not
/// all be exact with probability 1 − 2⁻¹²⁸, named by its index, or one of more bootstraps than a call may take.
pub fn compile(plan: HeadPlan, weights: HeadWeights, options: &CompileOptions) -> Result<CompiledHead, CompileError> {
    let parameter_set = plan.parameter_set();
    if !options.allow_toy_parameters {
        if !parameter_set.is_production() {
            return Err(CompileError::ToyParameters(parameter_set));
        }
        if let Some(toy) = plan.mode().bootstrap_set().filter(|set| !set.is_production()) {
            return Err(CompileError::ToyBootstraps(toy));
        }
    }
    let (found, wanted) = (weights.layer_count(), plan.layer_count());
    if found != wanted {
        return Err(CompileError::LayerCount { found, wanted });
    }
    let ring = Ring::new(parameter_set, options.path);
    let (mut rounds, mut proofs, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    let mut failure = f64::NEG_INFINITY;
    for index in 0..plan.rounds().len() {
        let (round, proof, cost) = Compiling { plan: &plan, weights: &weights, ring: &ring, options }.round(index)?;
        failure = add_log2(failure, f64::from(proof.failure_log2));
        if failure > f64::from(FAILURE_LOG2_LIMIT) {
            let (found_log2, limit_log2) = (failure.ceil() as i32, FAILURE_LOG2_LIMIT);
            return Err(CompileError::TooNoisy { round: index, found_log2, limit_log2, parameter_set });
        }
        rounds.push(round);
        proofs.push(proof);
        costs.push(cost);
    }
    let digest = head_digest(&plan, &weights);
    let bootstrapper = Bootstrapper::new(options.path);
    Ok(CompiledHead { plan, weights, digest, ring, bootstrapper, rounds, proofs, costs })
}

/// What a round is compiled from.
struct Compiling<'a> {
    plan: &'a HeadPlan,
    weights: &'a HeadWeights,
    ring: &'a Ring,
    options: &'a CompileOptions,
}

impl Compiling<'_> {
    fn round(&self, index: usize) -> Result<(CompiledRound, NoiseProof, Vec<Cost>), CompileError> {
        let (parameter_set, round) = (self.plan.parameter_set(), &self.plan.rounds()[index]);
        let at = |source| CompileError::Geometry { round: index, source };
        let geometry = Geometry::new(parameter_set, round.layer, round.tiling).map_err(at)?;
        let first = self.plan.first_layer(index);
        let layer_weights = self.weights.layer(first)?;
        let polynomials = geometry.weight_polynomials(layer_weights).map_err(at)?;
        let energy = polynomials.largest_energy();
        let mut costs = vec![Cost::of(parameter_set, round, &geometry)];
        let links = self.plan.chain(index);
        let sent = match links {
            Some(links) => {
                self.check_chain_weights(index, links.chain)?;
                self.check_bootstraps(index, links)?;
                costs = costs[0].of_segments(parameter_set, round, links);
                let weights = (first + 1..).map_while(|layer| self.weights.layer(layer).ok());
                chain_sent(parameter_set, round, links, energy, weights)
            }
            None => {
                let worst_bits = worst_sum_bits(round.input, layer_weights, round.layer.output_shape().channels);
                sums_sent(parameter_set, round, &geometry, energy, worst_bits)
            }
        };
        let proof = prove(parameter_set, index, round, sent);
        check_proof(&proof, FAILURE_LOG2_LIMIT, parameter_set)?;
        let prepare =
            |weights| self.ring.prepare(weights).map_err(|source| CompileError::Ring { round: index, source });
        let chain = match links {
            None => None,
            Some(_) => {
                let one = WeightPolynomials::new(1, 1, vec![vec![1]]);
                let one = one.map_err(|source| CompileError::Ring { round: index, source })?;
                Some(CompiledChain { sums: geometry.output_layout(), one: prepare(one)? })
            }
        };
        let compiled = CompiledRound {
            input_layout: geometry.input_layout().at(round.upload_bits),
            output_layout: round.output_layout(parameter_set).map_err(at)?,
            weights: prepare(polynomials)?,
            chain,
        };
        Ok((compiled, proof, costs))
    }

    fn check_chain_weights(&self, round: usize, chain: &Chain) -> Result<(), CompileError> {
        let mut layer = self.plan.first_layer(round);
        for (step, kind) in chain.steps.iter().enumerate() {
            let Step::Linear { layer: of, .. } = kind else { continue };
            layer += 1;
            let (found, wanted) = (self.weights.layer(layer)?.len(), of.weight_count());
            if found != wanted {
                return Err(CompileError::ChainWeights { round, step, found, wanted });
            }
        }
        Ok(())
    }

    fn check_bootstraps(&self, round: usize, links: Links<'_>) -> Result<(), CompileError> {
        let limit = self.options.bootstraps_per_call;
        for segment in 0..links.chain.segment_count() {
            let steps = links.chain.segment_steps(segment);
            let mut found = 0;
            for (step, values) in links.lookups().filter(|(step, _)| steps.contains(step)) {
                found += values as u64;
                if found > u64::from(limit) {
                    return Err(CompileError::TooManyBootstraps { round, step, found, limit });
                }
            }
        }
        Ok(())
    }
}

/// What a round without a chain sends: its sums.
fn sums_sent(parameter_set: ParameterSet, round: &RoundPlan, geometry: &Geometry, energy: u64, worst_bits: u8) -> Sent {
    let variance = input_variance(parameter_set, round, energy);
    Sent { energy, variance, pieces: geometry.product_count(), worst_bits, lookups: Vec::new() }
}

/// What a round with a chain sends: bootstrapped values, packed.
pub(crate) fn chain_sent<'a>(
    parameter_set: ParameterSet,
    round: &RoundPlan,
    links: Links<'_>,
    energy: u64,
    weights: impl Iterator<Item = &'a [i8]>,
) -> Sent {
    let lookups = prove_lookups(links, input_variance(parameter_set, round, energy), weights);
    let variance = links.set.packed_variance(links.set.output_variance(), links.chain.together.into());
    Sent { energy, variance, pieces: links.pieces(), worst_bits: links.worst_bits(), lookups }
}

fn check_proof(proof: &NoiseProof, limit_log2: i32, parameter_set: ParameterSet) -> Result<(), CompileError> {
    let round = usize::from(proof.round);
    if proof.worst_sum_bits > proof.accumulator_bits {
        let (found, limit) = (proof.worst_sum_bits, proof.accumulator_bits);
        return Err(CompileError::Overflow { round, found, limit });
    }
    if !proof.holds(limit_log2) {
        return Err(CompileError::TooNoisy { round, found_log2: proof.failure_log2, limit_log2, parameter_set });
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
            let round = Self { layer, input, tiling, accumulator_bits, upload_bits, response_bits, chain: None };
            let sent = sums_sent(parameter_set, &round, &geometry, energy, found);
            let proof = prove(parameter_set, 0, &round, sent);
            least = least.min(proof.failure_log2);
            let bytes = geometry.request_bytes(upload_bits) + geometry.response_bytes(response_bits);
            if proof.holds(ROUND_FAILURE_LOG2) && best.as_ref().is_none_or(|(fewest, _)| bytes < *fewest) {
                best = Some((bytes, round));
            }
        }
        if let Some((_, round)) = best {
            return Ok(round);
        }
        Err(CompileError::TooNoisy { round: 0, found_log2: least, limit_log2: ROUND_FAILURE_LOG2, parameter_set })
    }
}
