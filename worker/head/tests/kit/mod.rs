//! Heads, inputs and the user's side, for the tests of this crate.
#![allow(clippy::unwrap_used, dead_code)]

use encompute_fhe::{BlindingSeed, ParameterSet};
use encompute_head::*;
use encompute_keys::{SecretKey, VerifiedResponse};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Whether a head may be compiled under parameters that protect nothing.
#[derive(Clone, Copy, PartialEq)]
pub enum Toy {
    Allowed,
    Refused,
}

pub fn random_layer_weights(rng: &mut StdRng, layer: &Layer) -> Vec<i8> {
    (0..layer.weight_count()).map(|_| rng.random()).collect()
}

pub fn random_inputs(rng: &mut StdRng, domain: Domain, count: usize) -> Vec<i64> {
    (0..count).map(|_| rng.random_range(domain.min()..=domain.max())).collect()
}

/// A head whose rounds only clamp to the next round's input domain.
pub fn a_head(set: ParameterSet, layers: Vec<(Layer, Domain, Vec<i8>)>, toy: Toy) -> CompiledHead {
    let mut rounds = Vec::new();
    for (index, (layer, input, weights)) in layers.iter().enumerate() {
        let wide = Domain { bits: 24, signed: true };
        let output = layers.get(index + 1).map_or(wide, |(_, next, _)| *next);
        let round = RoundPlan::fitted(set, *layer, *input, ClientStep::identity(output), weights).unwrap();
        rounds.push(round);
    }
    let weights = HeadWeights::new(layers.into_iter().map(|(_, _, weights)| weights).collect());
    compiled(set, rounds, weights, toy)
}

pub fn compiled(set: ParameterSet, rounds: Vec<RoundPlan>, weights: HeadWeights, toy: Toy) -> CompiledHead {
    let mode = if rounds.len() == 1 { Mode::Linear } else { Mode::Rounds };
    let options = CompileOptions { allow_toy_parameters: toy == Toy::Allowed, ..CompileOptions::default() };
    compile(HeadPlan::new(set, mode, rounds).unwrap(), weights, &options).unwrap()
}

fn relu(bias: Vec<i64>, multiplier: u32, shift: u8, output: Domain) -> ClientStep {
    ClientStep {
        bias,
        activation: Activation::Relu,
        pooling: Pooling::None,
        rescale: Rescale { multipliers: vec![multiplier], shift },
        output,
    }
}

/// 784 → 128 → 64 → 16 with ReLU between, all 8-bit.
pub fn digits_head(rng: &mut StdRng) -> CompiledHead {
    let set = ParameterSet::Glwe2048V1;
    let sizes = [784u32, 128, 64, 16];
    let (mut rounds, mut layers) = (Vec::new(), Vec::new());
    for pair in sizes.windows(2) {
        let layer = Layer::Dense { inputs: pair[0], outputs: pair[1] };
        let weights: Vec<i8> = (0..layer.weight_count()).map(|_| rng.random_range(-40..=40)).collect();
        let bias = (0..pair[1]).map(|_| rng.random_range(-5000..5000)).collect();
        let step = if pair[1] == 16 {
            ClientStep::identity(Domain { bits: 24, signed: true })
        } else {
            relu(bias, 3, 9, Domain::U8)
        };
        rounds.push(RoundPlan::fitted(set, layer, Domain::U8, step, &weights).unwrap());
        layers.push(weights);
    }
    compiled(set, rounds, HeadWeights::new(layers), Toy::Refused)
}

/// A convolution with pooling, then a dense layer.
pub fn pooling_head(rng: &mut StdRng) -> CompiledHead {
    let set = ParameterSet::Toy256V1;
    let side = Axis::new(8, 3).padded(1, 1);
    let conv = Layer::conv(1, 2, side, side);
    let small = Domain { bits: 4, signed: false };
    let weights: Vec<Vec<i8>> = [18, 96].map(|count| (0..count).map(|_| rng.random_range(-9..=9)).collect()).to_vec();
    let step = ClientStep { pooling: Pooling::Average { size: 2 }, ..relu(vec![5, -5], 1, 6, small) };
    let first = RoundPlan::fitted(set, conv, small, step, &weights[0]).unwrap();
    let dense = Layer::Dense { inputs: 32, outputs: 3 };
    let last = ClientStep::identity(Domain { bits: 16, signed: true });
    let second = RoundPlan::fitted(set, dense, small, last, &weights[1]).unwrap();
    compiled(set, vec![first, second], HeadWeights::new(weights), Toy::Allowed)
}

/// `layer` with random weights and bias and a ReLU, then a dense layer that takes what comes out.
pub fn two_rounds(rng: &mut StdRng, set: ParameterSet, layer: Layer, input: Domain, toy: Toy) -> CompiledHead {
    let first = random_layer_weights(rng, &layer);
    let bias = (0..layer.output_shape().channels).map(|_| rng.random_range(-900..900)).collect();
    let step = relu(bias, rng.random_range(1..9), 8, Domain { bits: 5, signed: false });
    let between = step.output;
    let rounds = vec![RoundPlan::fitted(set, layer, input, step, &first).unwrap()];
    let dense = Layer::Dense { inputs: layer.output_shape().len() as u32, outputs: rng.random_range(1..9) };
    let last = random_layer_weights(rng, &dense);
    let step = ClientStep::identity(Domain { bits: 24, signed: true });
    let second = RoundPlan::fitted(set, dense, between, step, &last).unwrap();
    compiled(set, [rounds, vec![second]].concat(), HeadWeights::new(vec![first, last]), toy)
}

/// The client's loop over all rounds.
pub fn all_rounds(
    head: &CompiledHead,
    input: &[i64],
    mut sums: impl FnMut(RoundIndex, &[i64]) -> Vec<i64>,
) -> Vec<i64> {
    let mut values = input.to_vec();
    for (index, round) in head.plan().rounds().iter().enumerate() {
        let sums = sums(RoundIndex(index as u16), &values);
        values = client_step(round, &sums).unwrap().expose().to_vec();
    }
    values
}

pub fn clear(head: &CompiledHead, round: RoundIndex, inputs: &[i64]) -> Vec<i64> {
    ClearBackend.evaluate(head, round, &inputs.to_vec()).unwrap()
}

/// The user: holds the key.
pub struct Owner {
    pub key: SecretKey,
}

impl Owner {
    pub fn new(set: ParameterSet) -> Self {
        Self { key: SecretKey::generate(set) }
    }

    pub fn parameter_set(&self) -> ParameterSet {
        self.key.parameter_set()
    }

    /// One round as a job runs it: encrypt, send bytes, evaluate with blinding, send bytes, decrypt.
    pub fn run(&self, head: &CompiledHead, round: RoundIndex, inputs: &[i64]) -> Vec<i64> {
        let plan = head.plan().round(round).unwrap();
        let set = head.plan().parameter_set();
        let request = self.key.encrypt(inputs, &plan.input_layout(set).unwrap(), plan.accumulator_bits).unwrap();
        let request = encompute_fhe::EncryptedTensor::from_bytes(&request.to_bytes()).unwrap();
        let seed = BlindingSeed::new(StdRng::from_os_rng().random());
        let key = head.prepare_key(self.key.blinding_key()).unwrap();
        let response = evaluate_round(head, round, &request, &key, &seed).unwrap();
        let features = encompute_fhe::EncryptedFeatures::from_bytes(&response.to_bytes()).unwrap();
        let verified = VerifiedResponse::after_receipt_verification(features.digest());
        let layout = plan.output_layout(set).unwrap();
        let secret = self.key.decrypt(&features, &layout, plan.accumulator_bits, &verified).unwrap();
        secret.expose_to_client_step().to_vec()
    }
}
