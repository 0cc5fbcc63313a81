//! The figures of `encompute bench head` and `encompute model eval --encrypted`: what a round costs here, and that its
//! outputs are exact.

use codec::{Compact, Encode, MaxEncodedLen};
use core::hint::black_box;
use encompute_fhe::{
    AccumulatorBits, BlindingKey, BlindingSeed, BootstrapSet, EncryptedFeatures, EncryptedTensor, EvaluationKey,
    InputLayout, MessageError, OutputLayout, ParameterSet, PreparedBlindingKey, PreparedEvaluationKey,
};
use encompute_protocol::BlobDigest;
use encompute_protocol::receipt::{RoundOrder, RoundReceipt, Signature};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use crate::backend::{Backend, ClearBackend, EvaluateError, evaluate_round, evaluate_unblinded};
use crate::chain::{ChainIndex, Function, Link};
use crate::compile::{CompileError, CompileOptions, CompiledHead, compile};
use crate::layer::{Axis, Layer};
use crate::plan::{Domain, HeadPlan, Mode, PlanError, RoundIndex, RoundPlan};
use crate::program::{Activation, Draft, Node, Program, Real, Unit};
use crate::run::StepError;
use crate::weights::HeadWeights;

/// The user's side of a measured head: whoever measures holds a secret key, this crate does not.
pub trait TensorOwner {
    /// Encrypts `values`, or says why not.
    ///
    /// # Errors
    /// The owner's own.
    fn encrypt(
        &self,
        values: &[i64],
        layout: &InputLayout,
        bits: AccumulatorBits,
    ) -> Result<EncryptedTensor, OwnerError>;
    /// Decrypts all sums, or says why not.
    ///
    /// # Errors
    /// The owner's own.
    fn decrypt(
        &self,
        features: &EncryptedFeatures,
        layout: &OutputLayout,
        bits: AccumulatorBits,
    ) -> Result<Vec<i64>, OwnerError>;
    /// The key to blind responses with.
    fn blinding_key(&self) -> &BlindingKey;
    /// A key to bootstrap with, or says why not.
    ///
    /// # Errors
    /// The owner's own.
    fn evaluation_key(&self, set: BootstrapSet) -> Result<EvaluationKey, OwnerError>;
}

/// Whatever kept the owner from encrypting or decrypting.
pub type OwnerError = Box<dyn core::error::Error + Send + Sync>;

/// One measured head, all its rounds together.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What was measured.
    pub name: &'static str,
    /// Median in milliseconds of the product path: from decoded request to response, blinded, as a worker runs it.
    pub ms_median: f64,
    /// Median of the same without blinding: what the protection of the weights is compared with. Not measured with
    /// bootstraps, beside which it is nothing.
    pub ms_unblinded: Option<f64>,
    /// Median of the same with what is around it: reading and hashing the request, writing and hashing the response.
    pub ms_bytes_to_bytes: f64,
    /// Bytes of all requests, each with its signed order.
    pub bytes_up: u64,
    /// Bytes of all responses, each with its signed receipt.
    pub bytes_down: u64,
    /// Bytes of the user's evaluation key, sent once per case.
    pub key_bytes: u64,
    /// Bootstraps of all rounds.
    pub bootstraps: u64,
    /// Bytes of the user's blinding key, sent once per case.
    pub blinding_key_bytes: u64,
    /// Whether every decrypted output of every run, blinded or not, equalled the clear program's; where a table was
    /// looked up on a wide accumulator, that or what the table has in a neighbouring bin.
    pub exact: bool,
    /// Share of outputs that were of a neighbouring bin.
    pub misrounded_share: f64,
}

impl Row {
    /// Milliseconds for a bootstrap, the rest of the head included; none without bootstraps.
    pub fn ms_per_bootstrap(&self) -> Option<f64> {
        (self.bootstraps > 0).then(|| self.ms_median / self.bootstraps as f64)
    }
}

/// Why a head was not measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The head was refused.
    #[error("head cannot be compiled")]
    Compile(#[from] CompileError),
    /// The plan was refused.
    #[error("head cannot be planned")]
    Plan(#[from] PlanError),
    /// A round was refused.
    #[error("round cannot be evaluated")]
    Evaluate(#[from] EvaluateError),
    /// A step was refused.
    #[error("step cannot be taken")]
    Step(#[from] StepError),
    /// The owner could not encrypt or decrypt.
    #[error("request or response cannot be made or read")]
    Owner(#[source] OwnerError),
    /// A message was refused on its way.
    #[error("request is no message")]
    Message(#[from] MessageError),
    /// The threads to measure on could not be started.
    #[error("no threads to measure on")]
    Thread(#[from] rayon::ThreadPoolBuildError),
}

/// The parameter set of all measured heads.
pub const PARAMETER_SET: ParameterSet = ParameterSet::Glwe2048V1;
/// The set of their bootstraps.
pub const BOOTSTRAP_SET: BootstrapSet = BootstrapSet::FourBitsV1;

/// A head of the table: uniform 8-bit weights, 8-bit inputs.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its row's name.
    pub name: &'static str,
    /// Whether it takes minutes, so that it should be measured only where it is asked for.
    pub takes_minutes: bool,
    of: Kind,
}

/// What is measured.
#[derive(Clone, Debug)]
enum Kind {
    /// Rounds of these layers.
    Rounds(Vec<Layer>),
    /// So many exact 4-bit values, each looked up once.
    Lookups(u32),
    /// A layer with a ReLU to four bits behind it.
    Activated(Layer),
}

impl Measured {
    /// The head, ready to run.
    ///
    /// # Errors
    /// [`MeasureError`].
    pub fn compile(&self) -> Result<CompiledHead, MeasureError> {
        match &self.of {
            Kind::Rounds(layers) => head(layers),
            Kind::Lookups(count) => lookups(*count),
            Kind::Activated(layer) => activated(*layer),
        }
    }

    /// Measures it on so many threads, `runs` times, or at least thrice if that takes longer than [`ROW_TIME`].
    ///
    /// # Errors
    /// [`MeasureError`].
    pub fn measure(
        &self,
        owner: &(impl TensorOwner + Sync),
        runs: usize,
        threads: NonZeroUsize,
    ) -> Result<Row, MeasureError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build()?;
        let head = self.compile()?;
        pool.install(|| row(self.name, &head, owner, runs))
    }
}

/// A row is not measured for much longer, its own preparations included.
pub const ROW_TIME: Duration = Duration::from_secs(20);
/// The median of fewer says nothing.
const LEAST_RUNS: usize = 3;

/// The measured heads.
pub fn heads() -> Vec<Measured> {
    let dense = |inputs, outputs| Layer::Dense { inputs, outputs };
    let conv = Layer::conv(1, 8, Axis::new(28, 3), Axis::new(28, 3));
    let of = |name, layers: &[Layer]| Measured { name, takes_minutes: false, of: Kind::Rounds(layers.to_vec()) };
    let stem = Axis::new(224, 7).strided(2).padded(3, 3);
    let depthwise = Axis::new(28, 3).padded(1, 1);
    // A block's projections one after another: the linear work of it, whatever the client does between.
    let block = |width: u32, of: &dyn Fn(u32, u32) -> Layer| {
        let square = (0..4).map(|_| of(width, width));
        square.chain([of(width, 4 * width), of(4 * width, width)]).collect::<Vec<_>>()
    };
    let transformer = |blocks: usize, width, of: &dyn Fn(u32, u32) -> Layer| {
        (0..blocks).flat_map(|_| block(width, of)).collect::<Vec<_>>()
    };
    vec![
        of("dense-784x64", &[dense(784, 64)]),
        of("conv-3x3-28x28x8", &[conv]),
        of("depthwise-3x3-28x28x32", &[Layer::depthwise(32, depthwise, depthwise)]),
        of("rounds-3x-28x28", &[dense(784, 128), dense(128, 64), dense(64, 16)]),
        of("stem-224", &[Layer::conv(3, 64, stem, stem)]),
        of("matmul-128x768x768", &[Layer::matmul(128, 768, 768)]),
        of("minilm-32-tokens", &transformer(6, 384, &|inputs, outputs| Layer::matmul(32, inputs, outputs))),
        of("gpt2-token", &transformer(12, 768, &dense)),
        Measured { name: "pbs-4bit", takes_minutes: false, of: Kind::Lookups(64) },
        Measured { name: "conv-3x3-28x28-pbs", takes_minutes: true, of: Kind::Activated(conv) },
    ]
}

fn head(layers: &[Layer]) -> Result<CompiledHead, MeasureError> {
    let mut numbers = Numbers(1);
    let weights: Vec<Vec<i8>> =
        layers.iter().map(|layer| (0..layer.weight_count()).map(|_| numbers.next() as i8).collect()).collect();
    let fitted = |(layer, weights): (&Layer, &Vec<i8>)| RoundPlan::fitted(PARAMETER_SET, *layer, Domain::U8, weights);
    let rounds = layers.iter().zip(&weights).map(fitted).collect::<Result<Vec<_>, _>>()?;
    let (mut draft, mut last) = (Draft::default(), Program::INPUT);
    for index in 0..layers.len() {
        last = match index {
            0 => draft.round(last),
            _ => draft.then(Node::Round { of: last, unit: Unit::Dynamic, scale: vec![Real::ONE], bias: Vec::new() }),
        };
        if index + 1 < layers.len() {
            last = draft.then(Node::Activate { of: last, activation: Activation::Relu });
        }
    }
    let mode = if rounds.len() == 1 { Mode::Linear } else { Mode::Rounds };
    let program = draft.give_integers(last, Domain { bits: 24, signed: true });
    let plan = HeadPlan::new(PARAMETER_SET, mode, rounds, program)?;
    Ok(compile(plan, HeadWeights::new(weights), &CompileOptions::default())?)
}

/// One layer and one lookup.
pub(crate) fn bootstrapped(
    (layer, input, weights): (Layer, Domain, Vec<i8>),
    range: [i64; 2],
    function: Function<'_>,
) -> Result<CompiledHead, MeasureError> {
    let link = Link::Lookup { of: ChainIndex::SUMS, ranges: vec![range], function, by_channel: false };
    let round = RoundPlan::fitted_chain(BOOTSTRAP_SET, (layer, input, &weights), &[link])?;
    let program = Program::single_round(Domain { bits: 24, signed: true });
    let plan = HeadPlan::new(PARAMETER_SET, Mode::Bootstrapped(BOOTSTRAP_SET), vec![round], program)?;
    Ok(compile(plan, HeadWeights::new(vec![weights]), &CompileOptions::default())?)
}

/// Values as they are, through a table that mixes them up.
fn lookups(count: u32) -> Result<CompiledHead, MeasureError> {
    let layer = Layer::Dense { inputs: count, outputs: count };
    let weights = (0..count * count).map(|at| i8::from(at / count == at % count)).collect();
    let input = Domain { bits: 4, signed: false };
    bootstrapped((layer, input, weights), [0, 15], &|_, value| (7 * value as i16 + 3) % 16)
}

fn activated(layer: Layer) -> Result<CompiledHead, MeasureError> {
    let mut numbers = Numbers(1);
    let weights: Vec<i8> = (0..layer.weight_count()).map(|_| numbers.next() as i8).collect();
    // Uniform weights and inputs: a sum has a deviation of some √(fan-in)·74·148, and is seldom three away.
    let most = (layer.fan_in() as f64).sqrt() * 74.0 * 148.0 * 3.0;
    let relu = |_: usize, sum: f64| (sum.clamp(0.0, most) / most * 15.0).round() as i16;
    bootstrapped((layer, Domain::U8, weights), [-(most as i64), most as i64], &relu)
}

/// What one input became under encryption.
#[derive(Clone, Debug, PartialEq)]
pub struct Encrypted {
    /// What the user has at the end.
    pub features: Vec<i64>,
    /// Rounds of the head.
    pub rounds: usize,
    /// Rounds of which all that was decrypted was the clear program's for the same request.
    pub exact_rounds: usize,
    /// Decrypted integers of all rounds.
    pub integers: usize,
    /// Of these, how many were not the clear program's: none but behind a chain, where noise may take an accumulator
    /// to a neighbouring bin.
    pub differing: usize,
    /// Milliseconds that the worker took for all rounds: from a request's bytes to the response's, with their digests.
    pub worker_ms: f64,
    /// Bytes of all requests, each with its signed order.
    pub bytes_up: u64,
    /// Bytes of all responses, each with its signed receipt.
    pub bytes_down: u64,
}

/// Takes one input through all rounds as a job does: encrypted, evaluated and blinded, decrypted, in between only
/// bytes. `seed` gives a fresh seed for every round.
///
/// # Errors
/// [`MeasureError`].
pub fn encrypted(
    head: &CompiledHead,
    owner: &impl TensorOwner,
    input: &[i64],
    mut seed: impl FnMut() -> BlindingSeed,
) -> Result<Encrypted, MeasureError> {
    let keys = Keys::new(head, owner)?;
    let mut client = head.plan().run(input)?;
    let rounds = head.plan().rounds().len();
    let mut done = Encrypted {
        features: Vec::new(),
        rounds,
        exact_rounds: 0,
        integers: 0,
        differing: 0,
        worker_ms: 0.0,
        bytes_up: 0,
        bytes_down: 0,
    };
    while let Some((round, values)) = client.request() {
        let plan = head.plan().round(round).ok_or(EvaluateError::NoRound { found: round.0, rounds })?;
        let request = owner.encrypt(values, head.input_layout(round)?, plan.accumulator_bits);
        let request = request.map_err(MeasureError::Owner)?.to_bytes();
        let (took, sent) = timed(|| bytes_to_bytes(head, round, &request, &keys, &seed()));
        let (response, _) = sent?;
        let features = EncryptedFeatures::from_bytes(&response)?;
        let bits = plan.response_accumulator_bits();
        let sums = owner.decrypt(&features, head.output_layout(round)?, bits).map_err(MeasureError::Owner)?;
        let clear = ClearBackend.evaluate(head, round, &values.to_vec())?;
        let differing = sums.iter().zip(&clear).filter(|(sum, clear)| sum != clear).count();
        done.exact_rounds += usize::from(sums == clear);
        done.integers += sums.len();
        done.differing += differing;
        done.worker_ms += took;
        done.bytes_up += framed::<RoundOrder>(request.len());
        done.bytes_down += framed::<RoundReceipt>(response.len());
        client.answer(&sums)?;
    }
    done.features = client.features().map(|features| features.expose().to_vec()).unwrap_or_default();
    Ok(done)
}

fn row(name: &'static str, head: &CompiledHead, owner: &impl TensorOwner, runs: usize) -> Result<Row, MeasureError> {
    let mut numbers = Numbers(2);
    let keys = Keys::new(head, owner)?;
    let least_runs = if keys.evaluation.is_some() { 1 } else { LEAST_RUNS };
    let (mut bytes_up, mut bytes_down, mut exact) = (0, 0, true);
    let (mut outputs, mut misrounded) = (0, 0);
    let mut runs_ms = [(); 3].map(|()| Vec::with_capacity(runs));
    let began = Instant::now();
    for run in 0..runs.max(least_runs) {
        if run >= least_runs && began.elapsed() > ROW_TIME {
            break;
        }
        (bytes_up, bytes_down) = (0, 0);
        let mut run_ms = [0.0; 3];
        let inputs = head.plan().rounds()[0].input.max() as u64 + 1;
        let input: Vec<i64> = (0..head.plan().input_count()).map(|_| (numbers.next() % inputs) as i64).collect();
        let mut client = head.plan().run(&input)?;
        while let Some((round, values)) = client.request() {
            let plan = head.plan().round(round).ok_or(EvaluateError::NoRound { found: round.0, rounds: 0 })?;
            let request = owner.encrypt(values, head.input_layout(round)?, plan.accumulator_bits);
            let request = request.map_err(MeasureError::Owner)?;
            let seed = BlindingSeed::new(core::array::from_fn(|_| numbers.next() as u8));
            let measured = measured_round(head, round, &request, &keys, &seed)?;
            run_ms.iter_mut().zip(measured.ms).for_each(|(sum, time)| *sum += time);
            bytes_up += framed::<RoundOrder>(measured.request_bytes);
            bytes_down += framed::<RoundReceipt>(measured.response_bytes);
            exact &= measured.one_digest;
            let clear = ClearBackend.with_neighbours(head, round, values)?;
            let mut sums = Vec::new();
            for response in measured.responses {
                let bits = plan.response_accumulator_bits();
                sums = owner.decrypt(&response, head.output_layout(round)?, bits).map_err(MeasureError::Owner)?;
                let wrong = sums.iter().zip(&clear).filter(|(sum, clear)| **sum != clear[0]).count();
                let far = sums.iter().zip(&clear).any(|(sum, clear)| !clear.contains(sum));
                exact &= !far && sums.len() == clear.len();
                (outputs, misrounded) = (outputs + sums.len(), misrounded + wrong);
            }
            client.answer(&sums)?;
        }
        runs_ms.iter_mut().zip(run_ms).for_each(|(runs, run)| runs.push(run));
    }
    let [ms_median, ms_bytes_to_bytes, unblinded] = runs_ms.map(median);
    Ok(Row {
        name,
        ms_median,
        ms_unblinded: keys.evaluation.is_none().then_some(unblinded),
        ms_bytes_to_bytes,
        bytes_up,
        bytes_down,
        key_bytes: head.cost().evaluation_key_bytes,
        bootstraps: head.cost().bootstraps,
        blinding_key_bytes: owner.blinding_key().to_bytes().len() as u64,
        exact,
        misrounded_share: misrounded as f64 / (outputs as f64).max(1.0),
    })
}

/// One round, run in every way that is measured.
struct MeasuredRound {
    /// Blinded, from bytes to bytes, unblinded.
    ms: [f64; 3],
    request_bytes: usize,
    response_bytes: usize,
    /// Whether all blinded responses were one.
    one_digest: bool,
    responses: Vec<EncryptedFeatures>,
}

fn measured_round(
    head: &CompiledHead,
    round: RoundIndex,
    request: &EncryptedTensor,
    keys: &Keys,
    seed: &BlindingSeed,
) -> Result<MeasuredRound, MeasureError> {
    let evaluation = keys.evaluation.as_ref();
    let evaluate = || evaluate_round(head, round, request, &keys.blinding, evaluation, seed);
    let request_bytes = request.to_bytes();
    let bootstraps = head.round_costs().get(usize::from(round.0)).is_some_and(|cost| cost.bootstraps > 0);
    // Encrypting has filled the caches with something else: the first run would pay for that alone.
    let warm = if bootstraps { None } else { Some(evaluate()?.digest()) };
    let unblinded = (!bootstraps).then(|| timed(|| evaluate_unblinded(head, round, request, None)));
    let (blinded_ms, response) = timed(evaluate);
    let (whole_ms, sent) = timed(|| bytes_to_bytes(head, round, &request_bytes, keys, seed));
    let (response, (response_bytes, digest)) = (response?, sent?);
    let one_digest = response.digest() == digest && warm.is_none_or(|warm| warm == digest);
    let mut responses = Vec::with_capacity(2);
    let mut unblinded_ms = 0.0;
    if let Some((took, plain)) = unblinded {
        unblinded_ms = took;
        responses.push(plain?);
    }
    responses.push(response);
    Ok(MeasuredRound {
        ms: [blinded_ms, whole_ms, unblinded_ms],
        request_bytes: request_bytes.len(),
        response_bytes: response_bytes.len(),
        one_digest,
        responses,
    })
}

/// A user's keys, made ready for all rounds.
pub(crate) struct Keys {
    pub(crate) blinding: PreparedBlindingKey,
    pub(crate) evaluation: Option<PreparedEvaluationKey>,
}

impl Keys {
    pub(crate) fn new(head: &CompiledHead, owner: &impl TensorOwner) -> Result<Self, MeasureError> {
        let evaluation = match head.plan().mode().bootstrap_set() {
            None => None,
            Some(set) => {
                let key = owner.evaluation_key(set).map_err(MeasureError::Owner)?;
                Some(head.prepare_evaluation_key(&key)?)
            }
        };
        Ok(Self { blinding: head.prepare_key(owner.blinding_key())?, evaluation })
    }
}

/// One round from the request's bytes to the response's, with the digests that its receipt names.
fn bytes_to_bytes(
    head: &CompiledHead,
    round: RoundIndex,
    request: &[u8],
    keys: &Keys,
    seed: &BlindingSeed,
) -> Result<(Vec<u8>, BlobDigest), MeasureError> {
    let tensor = EncryptedTensor::from_bytes(request)?;
    black_box(BlobDigest::of(request));
    let response = evaluate_round(head, round, &tensor, &keys.blinding, keys.evaluation.as_ref(), seed)?.to_bytes();
    let digest = BlobDigest::of(&response);
    Ok((response, digest))
}

/// Milliseconds that `work` took, and what it gave.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let done = black_box(work());
    (start.elapsed().as_secs_f64() * 1000.0, done)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Bytes that a message takes on its way, behind what is signed about it: version, statement,
/// signature, length, message.
fn framed<Statement: MaxEncodedLen>(message_bytes: usize) -> u64 {
    let length = Compact(message_bytes as u32).encoded_size();
    (1 + Statement::max_encoded_len() + Signature::max_encoded_len() + length + message_bytes) as u64
}

/// SplitMix64: the same weights and inputs everywhere.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
