//! The figures of `encompute bench head`: what a round costs here, and that its outputs are exact.

use encompute_fhe::{
    AccumulatorBits, BlindingKey, BlindingSeed, EncryptedFeatures, EncryptedTensor, InputLayout, OutputLayout,
    ParameterSet,
};
use std::time::Instant;

use crate::backend::{Backend, ClearBackend, EvaluateError, evaluate_round};
use crate::compile::{CompileError, CompileOptions, CompiledHead, compile};
use crate::plan::{
    Activation, ClientStep, Domain, HeadPlan, Layer, Mode, PlanError, Pooling, Rescale, RoundIndex, RoundPlan,
};
use crate::step::{StepError, client_step};
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
}

/// Whatever kept the owner from encrypting or decrypting.
pub type OwnerError = Box<dyn core::error::Error + Send + Sync>;

/// One measured head.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What was measured.
    pub name: &'static str,
    /// Median over the runs of the worker's time for all rounds, blinding included, in milliseconds.
    pub ms_median: f64,
    /// Bytes of all requests.
    pub bytes_up: u64,
    /// Bytes of all responses.
    pub bytes_down: u64,
    /// Bytes of evaluation keys.
    pub key_bytes: u64,
    /// Bytes of the user's blinding key, sent once per case.
    pub blinding_key_bytes: u64,
    /// Whether every output of every run equalled the clear program.
    pub exact: bool,
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
}

/// The parameter set of all measured heads.
pub const PARAMETER_SET: ParameterSet = ParameterSet::Glwe2048V1;

/// Measures the three heads of the table, `runs` times each, at least once.
///
/// # Errors
/// [`MeasureError`].
pub fn rows(owner: &impl TensorOwner, runs: usize) -> Result<Vec<Row>, MeasureError> {
    heads()?.into_iter().map(|(name, head)| row(name, &head, owner, runs.max(1))).collect()
}

/// The measured heads: uniform 8-bit weights, 8-bit inputs.
///
/// # Errors
/// [`MeasureError`].
pub fn heads() -> Result<Vec<(&'static str, CompiledHead)>, MeasureError> {
    let dense = |inputs, outputs| Layer::Dense { inputs, outputs };
    let conv = Layer::Conv2d {
        channels: 1,
        height: 28,
        width: 28,
        kernel_height: 3,
        kernel_width: 3,
        stride: 1,
        padding: 0,
        out_channels: 8,
    };
    Ok(vec![
        ("dense-784x64", head(&[dense(784, 64)])?),
        ("conv-3x3-28x28x8", head(&[conv])?),
        ("rounds-3x-28x28", head(&[dense(784, 128), dense(128, 64), dense(64, 16)])?),
    ])
}

fn head(layers: &[Layer]) -> Result<CompiledHead, MeasureError> {
    let mut numbers = Numbers(1);
    let weights: Vec<Vec<i8>> =
        layers.iter().map(|layer| (0..layer.weight_count()).map(|_| numbers.next() as i8).collect()).collect();
    let mut rounds = Vec::with_capacity(layers.len());
    for (index, (layer, weights)) in layers.iter().zip(&weights).enumerate() {
        let last = index + 1 == layers.len();
        let step = ClientStep {
            bias: Vec::new(),
            activation: if last { Activation::Identity } else { Activation::Relu },
            pooling: Pooling::None,
            rescale: Rescale { multipliers: vec![1], shift: if last { 0 } else { 12 } },
            output: if last { Domain { bits: 24, signed: true } } else { Domain::U8 },
        };
        rounds.push(RoundPlan::fitted(PARAMETER_SET, *layer, Domain::U8, step, weights)?);
    }
    let mode = if rounds.len() == 1 { Mode::Linear } else { Mode::Rounds };
    let plan = HeadPlan::new(PARAMETER_SET, mode, rounds)?;
    Ok(compile(plan, HeadWeights::new(weights), &CompileOptions::default())?)
}

fn row(name: &'static str, head: &CompiledHead, owner: &impl TensorOwner, runs: usize) -> Result<Row, MeasureError> {
    let mut numbers = Numbers(2);
    let mut row = Row {
        name,
        ms_median: 0.0,
        bytes_up: 0,
        bytes_down: 0,
        key_bytes: head.cost().evaluation_key_bytes,
        blinding_key_bytes: owner.blinding_key().to_bytes().len() as u64,
        exact: true,
    };
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let (mut milliseconds, mut up, mut down) = (0.0, 0, 0);
        let mut values: Vec<i64> = (0..head.plan().input_count()).map(|_| (numbers.next() % 256) as i64).collect();
        for (index, plan) in head.plan().rounds().iter().enumerate() {
            let round = RoundIndex(index as u16);
            let request = owner
                .encrypt(&values, head.input_layout(round)?, plan.accumulator_bits)
                .map_err(MeasureError::Owner)?;
            let seed = BlindingSeed::new([numbers.next() as u8; 32]);
            let start = Instant::now();
            let response = evaluate_round(head, round, &request, owner.blinding_key(), &seed)?;
            milliseconds += start.elapsed().as_secs_f64() * 1000.0;
            up += request.to_bytes().len() as u64;
            down += response.features.to_bytes().len() as u64;
            let sums = owner
                .decrypt(&response.features, head.output_layout(round)?, plan.accumulator_bits)
                .map_err(MeasureError::Owner)?;
            row.exact &= sums == ClearBackend.evaluate(head, round, &values)?;
            values = client_step(plan, &sums)?.expose().to_vec();
        }
        times.push(milliseconds);
        (row.bytes_up, row.bytes_down) = (up, down);
    }
    times.sort_by(f64::total_cmp);
    row.ms_median = times[times.len() / 2];
    Ok(row)
}

/// SplitMix64: the same weights and inputs everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
