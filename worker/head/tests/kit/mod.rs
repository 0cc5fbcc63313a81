//! Heads, inputs and the user's side, for the tests of this crate.
#![allow(clippy::unwrap_used, dead_code)]

use encompute_fhe::{
    AccumulatorBits, BlindingKey, BlindingSeed, BootstrapSet, EncryptedFeatures, EncryptedTensor, EvaluationKey,
    InputLayout, MaskSeed, OutputLayout, ParameterSet, PreparedEvaluationKey,
};
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

/// What the client does where rounds follow each other: `between` adds its nodes, then the next round is asked for in
/// units of the largest value.
pub fn chained(
    rounds: &[RoundPlan],
    domain: Domain,
    mut between: impl FnMut(usize, &mut Draft, TensorIndex) -> TensorIndex,
) -> Program {
    let mut draft = Draft::default();
    let mut last = draft.round(Program::INPUT);
    for (index, round) in rounds.iter().enumerate().skip(1) {
        let of = between(index, &mut draft, last);
        let Shape { channels, rows, columns } = round.layer.input_shape();
        let of = draft.then(Node::Reshape { of, to: [channels, rows, columns].map(|side| side as u32) });
        last = draft.then(Node::Round { of, unit: Unit::Dynamic, scale: vec![Real::ONE], bias: Vec::new() });
    }
    draft.give_integers(last, domain)
}

pub const WIDE: Domain = Domain { bits: 24, signed: true };

/// A head whose client only divides between rounds.
pub fn a_head(set: ParameterSet, layers: Vec<(Layer, Domain, Vec<i8>)>, toy: Toy) -> CompiledHead {
    let fitted = |(layer, input, weights): &(Layer, Domain, Vec<i8>)| RoundPlan::fitted(set, *layer, *input, weights);
    let rounds: Vec<RoundPlan> = layers.iter().map(|layer| fitted(layer).unwrap()).collect();
    let weights = HeadWeights::new(layers.into_iter().map(|(_, _, weights)| weights).collect());
    let program = chained(&rounds, WIDE, |_, _, last| last);
    compiled(set, rounds, program, weights, toy)
}

pub fn compiled(
    set: ParameterSet,
    rounds: Vec<RoundPlan>,
    program: Program,
    weights: HeadWeights,
    toy: Toy,
) -> CompiledHead {
    let mode = if rounds.len() == 1 { Mode::Linear } else { Mode::Rounds };
    let options = CompileOptions { allow_toy_parameters: toy == Toy::Allowed, ..CompileOptions::default() };
    compile(HeadPlan::new(set, mode, rounds, program).unwrap(), weights, &options).unwrap()
}

/// A bias for each channel, then a ReLU.
fn biased_relu(draft: &mut Draft, of: TensorIndex, bias: &[i64]) -> TensorIndex {
    let offset = bias.iter().map(|bias| Real::new(*bias as f64).unwrap()).collect();
    let of = draft.then(Node::Affine { of, gain: vec![Real::ONE], offset });
    draft.then(Node::Activate { of, activation: Activation::Relu })
}

/// 784 → 128 → 64 → 16 with ReLU between, all 8-bit.
pub fn digits_head(rng: &mut StdRng) -> CompiledHead {
    let set = ParameterSet::Glwe2048V1;
    let sizes = [784u32, 128, 64, 16];
    let (mut rounds, mut layers, mut biases) = (Vec::new(), Vec::new(), Vec::new());
    for pair in sizes.windows(2) {
        let layer = Layer::Dense { inputs: pair[0], outputs: pair[1] };
        let weights: Vec<i8> = (0..layer.weight_count()).map(|_| rng.random_range(-40..=40)).collect();
        biases.push((0..pair[1]).map(|_| rng.random_range(-5000..5000)).collect::<Vec<i64>>());
        rounds.push(RoundPlan::fitted(set, layer, Domain::U8, &weights).unwrap());
        layers.push(weights);
    }
    let program = chained(&rounds, WIDE, |index, draft, last| biased_relu(draft, last, &biases[index - 1]));
    compiled(set, rounds, program, HeadWeights::new(layers), Toy::Refused)
}

/// A convolution with pooling, then a dense layer.
pub fn pooling_head(rng: &mut StdRng) -> CompiledHead {
    let set = ParameterSet::Toy256V1;
    let side = Axis::new(8, 3).padded(1, 1);
    let conv = Layer::conv(1, 2, side, side);
    let small = Domain { bits: 4, signed: false };
    let weights: Vec<Vec<i8>> = [18, 96].map(|count| (0..count).map(|_| rng.random_range(-9..=9)).collect()).to_vec();
    let dense = Layer::Dense { inputs: 32, outputs: 3 };
    let rounds = [(conv, &weights[0]), (dense, &weights[1])]
        .map(|(layer, weights)| RoundPlan::fitted(set, layer, small, weights).unwrap())
        .to_vec();
    let program = chained(&rounds, Domain { bits: 16, signed: true }, |_, draft, last| {
        let of = biased_relu(draft, last, &[5, -5]);
        let axis = side_by_side(8, 2);
        draft.then(Node::Pool { of, join: Join::Average, rows: axis, columns: axis })
    });
    compiled(set, rounds, program, HeadWeights::new(weights), Toy::Allowed)
}

/// `layer` with random weights and bias and a ReLU, then a dense layer that takes what comes out.
pub fn two_rounds(rng: &mut StdRng, set: ParameterSet, layer: Layer, input: Domain, toy: Toy) -> CompiledHead {
    let first = random_layer_weights(rng, &layer);
    let bias: Vec<i64> = (0..layer.output_shape().channels).map(|_| rng.random_range(-900..900)).collect();
    let dense = Layer::Dense { inputs: layer.output_shape().len() as u32, outputs: rng.random_range(1..9) };
    let last = random_layer_weights(rng, &dense);
    let between = Domain { bits: 5, signed: false };
    let rounds = [(layer, input, &first), (dense, between, &last)]
        .map(|(layer, input, weights)| RoundPlan::fitted(set, layer, input, weights).unwrap())
        .to_vec();
    let program = chained(&rounds, WIDE, |_, draft, sums| biased_relu(draft, sums, &bias));
    compiled(set, rounds, program, HeadWeights::new(vec![first, last]), toy)
}

/// The client's loop over all rounds.
pub fn all_rounds(
    head: &CompiledHead,
    input: &[i64],
    mut sums: impl FnMut(RoundIndex, &[i64]) -> Vec<i64>,
) -> Vec<i64> {
    let mut run = head.plan().run(input).unwrap();
    while let Some((round, values)) = run.request() {
        let sums = sums(round, values);
        run.answer(&sums).unwrap();
    }
    run.features().unwrap().expose().to_vec()
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
        let features = self.response(head, round, inputs, None);
        let bits = head.plan().round(round).unwrap().response_accumulator_bits();
        self.read(head, round, &features, bits)
    }

    /// A round's response, from bytes to bytes.
    pub fn response(
        &self,
        head: &CompiledHead,
        round: RoundIndex,
        inputs: &[i64],
        evaluation: Option<&PreparedEvaluationKey>,
    ) -> EncryptedFeatures {
        let plan = head.plan().round(round).unwrap();
        let set = head.plan().parameter_set();
        let request = self.key.encrypt(inputs, &plan.input_layout(set).unwrap(), plan.accumulator_bits).unwrap();
        let request = EncryptedTensor::from_bytes(&request.to_bytes()).unwrap();
        let seed = BlindingSeed::new(StdRng::from_os_rng().random());
        let key = head.prepare_key(self.key.blinding_key()).unwrap();
        let response = evaluate_round(head, round, &request, &key, evaluation, &seed).unwrap();
        EncryptedFeatures::from_bytes(&response.to_bytes()).unwrap()
    }

    /// The integers of a response, read at this width.
    pub fn read(
        &self,
        head: &CompiledHead,
        round: RoundIndex,
        features: &EncryptedFeatures,
        bits: AccumulatorBits,
    ) -> Vec<i64> {
        let verified = VerifiedResponse::after_receipt_verification(features.digest());
        let layout = head.plan().round(round).unwrap().output_layout(head.plan().parameter_set()).unwrap();
        let secret = self.key.decrypt(features, &layout, bits, &verified).unwrap();
        secret.expose_to_client_run().to_vec()
    }
}

impl measure::TensorOwner for Owner {
    fn encrypt(
        &self,
        values: &[i64],
        layout: &InputLayout,
        bits: AccumulatorBits,
    ) -> Result<EncryptedTensor, measure::OwnerError> {
        Ok(self.key.encrypt(values, layout, bits)?)
    }

    fn decrypt(
        &self,
        features: &EncryptedFeatures,
        layout: &OutputLayout,
        bits: AccumulatorBits,
    ) -> Result<Vec<i64>, measure::OwnerError> {
        let permission = VerifiedResponse::after_receipt_verification(features.digest());
        Ok(self.key.decrypt(features, layout, bits, &permission)?.expose_to_client_run().to_vec())
    }

    fn blinding_key(&self) -> &BlindingKey {
        self.key.blinding_key()
    }

    fn evaluation_key(&self, set: BootstrapSet) -> Result<EvaluationKey, measure::OwnerError> {
        Ok(self.key.evaluation_key(set)?)
    }
}

/// A key of random bodies: a worker cannot tell it from one that encrypts something.
pub fn random_evaluation_key(set: BootstrapSet, rng: &mut StdRng) -> EvaluationKey {
    let mut bodies = |count: usize| -> Vec<u64> { (0..count).map(|_| rng.random()).collect() };
    let keyswitch: Vec<u32> =
        bodies(EvaluationKey::keyswitch_bodies(set)).into_iter().map(|body| (body >> 32) as u32).collect();
    let (bootstrap, packing) =
        (bodies(EvaluationKey::bootstrap_bodies(set)), bodies(EvaluationKey::packing_bodies(set)));
    let seed = |byte| MaskSeed([byte; 16]);
    EvaluationKey::from_bodies(set, (seed(1), &keyswitch), (seed(2), &bootstrap), (seed(3), &packing)).unwrap()
}
