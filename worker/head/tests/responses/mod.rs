//! Cases made from a name alone, whose responses have the digests in `tests/vectors/responses.json` wherever they are
//! computed: in this crate's tests, and in the page's WebAssembly (`client/web/vectors`).

use encompute_fhe::{
    BlindingKey, BlindingSeed, BootstrapSet, CodePath, EncryptedTensor, EvaluationKey, MaskSeed, ParameterSet,
    PreparedEvaluationKey,
};
use encompute_head::*;
use encompute_protocol::BlobDigest;
use serde_json::{Value, json};

/// SplitMix64: the vectors must not change when a crate of random numbers does.
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn many(&mut self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// A head, a request and keys made from a name alone. Ciphertexts are random bits: a worker cannot tell them from
/// encryptions.
pub struct Case {
    pub plan: HeadPlan,
    pub weights: HeadWeights,
    pub request: EncryptedTensor,
    pub key: BlindingKey,
    evaluation: Option<EvaluationKey>,
}

fn case(set: ParameterSet, layer: Layer, seed: u64) -> Case {
    let mut stream = Stream(seed);
    let weights: Vec<i8> = (0..layer.weight_count()).map(|_| stream.next() as i8).collect();
    let round = RoundPlan::fitted(set, layer, Domain::U8, &weights).unwrap();
    of_round(set, Mode::Linear, round, vec![weights], stream)
}

fn of_round(set: ParameterSet, mode: Mode, round: RoundPlan, weights: Vec<Vec<i8>>, mut stream: Stream) -> Case {
    let size = set.polynomial_size().0;
    let ciphertexts = round.input_layout(set).unwrap().ciphertext_count();
    let bodies = stream.many(ciphertexts * size);
    let request = EncryptedTensor::from_bodies_at(set, round.upload_bits, MaskSeed([3; 16]), &bodies).unwrap();
    let key = BlindingKey::from_body(set, MaskSeed([4; 16]), &stream.many(size)).unwrap();
    let program = Program::single_round(Domain { bits: 24, signed: true });
    let plan = HeadPlan::new(set, mode, vec![round], program).unwrap();
    let evaluation = mode.bootstrap_set().map(|set| evaluation_key(set, &mut stream));
    Case { plan, weights: HeadWeights::new(weights), request, key, evaluation }
}

fn evaluation_key(set: BootstrapSet, stream: &mut Stream) -> EvaluationKey {
    let keyswitch = stream.many(EvaluationKey::keyswitch_bodies(set));
    let keyswitch: Vec<u32> = keyswitch.into_iter().map(|body| (body >> 32) as u32).collect();
    let [bootstrap, packing] =
        [EvaluationKey::bootstrap_bodies(set), EvaluationKey::packing_bodies(set)].map(|count| stream.many(count));
    let [first, second, third] = [5, 6, 7].map(|byte| MaskSeed([byte; 16]));
    EvaluationKey::from_bodies(set, (first, &keyswitch), (second, &bootstrap), (third, &packing)).unwrap()
}

/// A convolution and a ReLU, a convolution over both and padding, added to a shortcut, and tables of the channels' own;
/// in segments of at most so many bootstraps.
pub fn chained(set: BootstrapSet, seed: u64, bootstraps_per_call: u32) -> Case {
    let mut stream = Stream(seed);
    let (first, next) = (conv(1, 7, 3, 2, 1, 3), conv(3, 4, 3, 1, 1, 3));
    let weights = weights_of(&mut stream, [first, next]);
    let relu = |_: usize, value: f64| (value.max(0.0) / 4_096.0) as i16;
    let own = |channel: usize, value: f64| (value / 256.0) as i16 + channel as i16;
    let one = |of, range, function| Link::Lookup { of, ranges: vec![range], function, by_channel: false };
    let links = [
        one(ChainIndex::SUMS, [-60_000, 60_000], &relu),
        Link::Linear { of: ChainIndex(1), layer: next, weights: &weights[1] },
        Link::Add { of: [ChainIndex(1), ChainIndex(2)], factors: [7, 1] },
        Link::Lookup { of: ChainIndex(3), ranges: vec![[-4_000, 4_000]; 3], function: &own, by_channel: true },
    ];
    let round = RoundPlan::fitted_segments(set, (first, Domain::U8, &weights[0]), &links, bootstraps_per_call).unwrap();
    assert!(round.chain.as_ref().unwrap().together > 1);
    of_round(set.ring(), Mode::Bootstrapped(set), round, weights.to_vec(), stream)
}

/// A residual block in three segments: what the shortcut adds is read in front of a cut and behind two of them.
fn block(set: BootstrapSet, seed: u64) -> Case {
    let mut stream = Stream(seed);
    let (first, inner) = (conv(1, 7, 3, 2, 1, 3), conv(3, 4, 3, 1, 1, 3));
    let weights = weights_of(&mut stream, [first, inner, inner]);
    let relu = |_: usize, value: f64| (value.max(0.0) / 4_096.0) as i16;
    let small = |_: usize, value: f64| (value / 256.0) as i16;
    let one = |of, range, function| Link::Lookup { of, ranges: vec![range], function, by_channel: false };
    let links = [
        one(ChainIndex::SUMS, [-60_000, 60_000], &relu),
        Link::Linear { of: ChainIndex(1), layer: inner, weights: &weights[1] },
        one(ChainIndex(2), [-4_000, 4_000], &small),
        Link::Linear { of: ChainIndex(3), layer: inner, weights: &weights[2] },
        Link::Add { of: [ChainIndex(1), ChainIndex(4)], factors: [7, 1] },
        one(ChainIndex(5), [-4_000, 4_000], &small),
    ];
    let round = RoundPlan::fitted_segments(set, (first, Domain::U8, &weights[0]), &links, 50).unwrap();
    assert_eq!(round.chain.as_ref().unwrap().cuts, [2, 5]);
    of_round(set.ring(), Mode::Bootstrapped(set), round, weights.to_vec(), stream)
}

fn weights_of<const LAYERS: usize>(stream: &mut Stream, layers: [Layer; LAYERS]) -> [Vec<i8>; LAYERS] {
    layers.map(|layer| (0..layer.weight_count()).map(|_| stream.next() as i8).collect())
}

fn conv(channels: u32, side: u32, kernel: u32, stride: u32, padding: u32, out_channels: u32) -> Layer {
    let axis = Axis::new(side, kernel).strided(stride).padded(padding, padding);
    Layer::conv(channels, out_channels, axis, axis)
}

/// Every case, by name.
pub fn cases() -> Vec<(&'static str, Case)> {
    let small = ParameterSet::Glwe2048V1;
    vec![
        ("dense-784x64", case(small, Layer::Dense { inputs: 784, outputs: 64 }, 1)),
        ("dense-30x8", case(small, Layer::Dense { inputs: 30, outputs: 8 }, 2)),
        ("conv-3x3-28x28x8", case(small, conv(1, 28, 3, 1, 0, 8), 3)),
        ("conv-5x5s2p2-3x28x28x4", case(small, conv(3, 28, 5, 2, 2, 4), 4)),
        ("dense-784x64-glwe-4096", case(ParameterSet::Glwe4096V1, Layer::Dense { inputs: 784, outputs: 64 }, 5)),
        ("chain-7x7-toy-bootstraps", chained(BootstrapSet::ToyV1, 6, 96)),
        ("chain-7x7-toy-bootstraps-two-segments", chained(BootstrapSet::ToyV1, 6, 50)),
        ("block-7x7-toy-bootstraps-three-segments", block(BootstrapSet::ToyV1, 7)),
    ]
}

/// Digests of the head, and of its response before and after blinding; then of what lies between its segments.
pub fn digests(case: &Case, path: CodePath) -> Vec<String> {
    let options = CompileOptions { path, allow_toy_parameters: true, ..CompileOptions::default() };
    let head = compile(case.plan.clone(), case.weights.clone(), &options).unwrap();
    let evaluation = case.evaluation.as_ref().map(|key| head.prepare_evaluation_key(key).unwrap());
    let evaluation = evaluation.as_ref();
    let seed = BlindingSeed::new([5; 32]);
    let key = head.prepare_key(&case.key).unwrap();
    let blinded = evaluate_round(&head, RoundIndex(0), &case.request, &key, evaluation, &seed).unwrap();
    let plain = evaluate_unblinded(&head, RoundIndex(0), &case.request, evaluation).unwrap();
    assert_ne!(plain.digest(), blinded.digest());
    let (states, response) = segment_by_segment(&head, case, evaluation);
    assert_eq!(response, blinded.digest(), "in one go as segment by segment");
    let digests = [head.digest().to_string(), plain.digest().to_string(), blinded.digest().to_string()];
    digests.into_iter().chain(states).collect()
}

/// Digests of what lies between segments, each run from bytes to bytes as by a worker of its own, and of the response.
fn segment_by_segment(
    head: &CompiledHead,
    case: &Case,
    evaluation: Option<&PreparedEvaluationKey>,
) -> (Vec<String>, BlobDigest) {
    let key = head.prepare_key(&case.key).unwrap();
    let mut states: Vec<Vec<u8>> = Vec::new();
    for (receipt, segment) in (0..).map(RoundIndex).zip(head.plan().segments()) {
        let mut run = match states.last() {
            None => RoundRun::begin(head, segment.round, &case.request, evaluation),
            Some(bytes) => RoundRun::go_on(head, *segment, &SegmentState::from_bytes(bytes).unwrap(), evaluation),
        }
        .unwrap();
        while !run.advance(head, evaluation, 20).unwrap() {}
        match run.finish(head, &key, evaluation, &BlindingSeed::new([5; 32])).unwrap() {
            Given::State(state) => {
                let bytes = state.to_bytes();
                assert_eq!(Some(bytes.len() as u64), head.plan().state_bytes(receipt));
                states.push(bytes);
            }
            Given::Response(response) => {
                assert_eq!(head.plan().state_bytes(receipt), None);
                return (states.iter().map(|state| BlobDigest::of(state).to_string()).collect(), response.digest());
            }
        }
    }
    panic!("no segment gives the response");
}

/// As the file has it.
pub fn vector(name: &str, digests: Vec<String>) -> Value {
    let mut found = digests.into_iter();
    let mut next = || found.next().unwrap();
    let (head, response, blinded) = (next(), next(), next());
    let states: Vec<String> = found.collect();
    json!({ "name": name, "head": head, "response": response, "blinded_response": blinded, "states": states })
}
