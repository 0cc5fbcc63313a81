//! Plans and weights from strangers, and heads that are refused, named by their defect.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use encompute_fhe::{AccumulatorBits, ParameterSet, ResponseBits, UploadBits};
use encompute_head::*;
use encompute_protocol::wire::DecodeError;
use kit::{Owner, random_layer_weights};
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

const SET: ParameterSet = ParameterSet::Glwe2048V1;

fn a_round() -> (RoundPlan, Vec<i8>) {
    let layer = Layer::Dense { inputs: 30, outputs: 8 };
    let weights = random_layer_weights(&mut StdRng::seed_from_u64(1), &layer);
    (RoundPlan::fitted(SET, layer, Domain::I8, &weights).unwrap(), weights)
}

const FEATURES: Domain = Domain { bits: 16, signed: true };

fn linear(round: RoundPlan) -> Result<HeadPlan, PlanError> {
    HeadPlan::new(SET, Mode::Linear, vec![round], Program::single_round(FEATURES))
}

fn a_plan() -> HeadPlan {
    linear(a_round().0).unwrap()
}

fn refused(round: RoundPlan) -> PlanError {
    linear(round).unwrap_err()
}

fn compile_error(round: RoundPlan, weights: Vec<i8>) -> CompileError {
    let plan = linear(round).unwrap();
    compile(plan, HeadWeights::new(vec![weights]), &CompileOptions::default()).err().unwrap()
}

#[test]
fn plans_and_weights_survive_the_wire() {
    let plan = a_plan();
    assert_eq!(HeadPlan::from_bytes(&plan.to_bytes()).unwrap(), plan);
    let weights = HeadWeights::new(vec![vec![1, -2, 127], vec![-128]]);
    assert!(HeadWeights::from_bytes(&weights.to_bytes()).unwrap() == weights);
}

#[test]
fn plan_with_trailing_byte_is_refused() {
    let bytes = [a_plan().to_bytes(), vec![0]].concat();
    assert_eq!(HeadPlan::from_bytes(&bytes), Err(PlanError::Encoding(DecodeError::Trailing { bytes: 1 })));
}

#[test]
fn weights_of_more_layers_than_rounds_are_refused_before_they_are_read() {
    let many = HeadWeights::new(vec![Vec::new(); 257]).to_bytes();
    assert!(HeadWeights::from_bytes(&many).err() == Some(WeightsError::Layers { found: 257, limit: 256 }));
    // The count alone decides: no layer of these is there.
    assert!(HeadWeights::from_bytes(&many[..5]).err() == Some(WeightsError::Layers { found: 257, limit: 256 }));
}

#[test]
fn plans_of_more_rounds_than_any_head_has_are_refused_before_a_round_is_read() {
    // Version, set, mode, 257 rounds, and none of them there.
    let refused = HeadPlan::from_bytes(&[HeadPlan::VERSION, 1, 1, 0x05, 0x04]);
    let many = DecodeError::TooMany { items: "rounds", found: 257, limit: 256 };
    assert_eq!(refused, Err(PlanError::Encoding(many)));
}

#[test]
fn plan_and_weights_of_another_version_are_refused() {
    let mut bytes = a_plan().to_bytes();
    bytes[0] = 9;
    let version = |known| DecodeError::Version { found: 9, known };
    assert_eq!(HeadPlan::from_bytes(&bytes), Err(PlanError::Encoding(version(HeadPlan::VERSION))));
    assert!(HeadWeights::from_bytes(&bytes).err() == Some(WeightsError::Encoding(version(HeadWeights::VERSION))));
}

#[test]
fn plan_without_a_round_is_refused() {
    let found = HeadPlan::new(SET, Mode::Rounds, vec![], Program::single_round(FEATURES)).unwrap_err();
    assert_eq!(found, PlanError::RoundCount { found: 0, limit: HeadPlan::ROUND_LIMIT });
}

#[test]
fn linear_plan_with_two_rounds_is_refused() {
    let found =
        HeadPlan::new(SET, Mode::Linear, vec![a_round().0, a_round().0], Program::single_round(FEATURES)).unwrap_err();
    assert_eq!(found, PlanError::RoundCount { found: 2, limit: 1 });
}

#[test]
fn plan_whose_rounds_do_not_fit_each_other_is_refused() {
    let rounds = vec![a_round().0, a_round().0];
    let mut draft = Draft::default();
    let sums = draft.round(Program::INPUT);
    let last = draft.round(sums);
    let found = HeadPlan::new(SET, Mode::Rounds, rounds, draft.give_integers(last, FEATURES)).unwrap_err();
    let [found_shape, wanted] = [8, 30].map(|channels| Shape { channels, rows: 1, columns: 1 });
    let source = NodeError::Shape { what: "the round's input", found: found_shape, wanted };
    assert_eq!(found, PlanError::Node { node: 1, source });
}

#[test]
fn rounds_with_numbers_out_of_range_are_refused() {
    let with = |change: fn(&mut RoundPlan)| {
        let (mut round, _) = a_round();
        change(&mut round);
        match refused(round) {
            PlanError::OutOfRange { what, .. } => what,
            PlanError::Geometry { source: GeometryError::Dimension { what, .. }, .. } => what,
            PlanError::Geometry { source: GeometryError::TileTooLarge { .. }, .. } => "tile",
            other => panic!("{other}"),
        }
    };
    assert_eq!(with(|round| round.input.bits = 0), "bits of the input");
    assert_eq!(with(|round| round.accumulator_bits = AccumulatorBits(64)), "accumulator width");
    assert_eq!(with(|round| round.upload_bits = UploadBits(61)), "upload width");
    assert_eq!(with(|round| round.response_bits = ResponseBits(64)), "response width");
    assert_eq!(with(|round| round.tiling.channels_per_ciphertext = 0), "channels per ciphertext");
    assert_eq!(with(|round| round.tiling.tile_rows = 2), "tile rows");
    assert_eq!(with(|round| round.layer = Layer::Dense { inputs: 0, outputs: 8 }), "inputs");
    assert_eq!(with(|round| round.layer = Layer::Dense { inputs: 1 << 16, outputs: 1 << 16 }), "number of weights");
}

#[test]
fn kernel_larger_than_the_padded_image_is_refused() {
    let (mut round, _) = a_round();
    round.layer = Layer::conv(1, 1, Axis::new(3, 6).padded(1, 1), Axis::new(9, 2));
    let source = GeometryError::KernelTooLarge { kernel: 6, image: 5 };
    assert_eq!(refused(round), PlanError::Geometry { round: 0, source });
}

#[test]
fn groups_that_do_not_cut_the_channels_evenly_are_refused() {
    let (mut round, _) = a_round();
    let side = Axis::new(5, 3);
    round.layer = Layer::Conv2d { channels: 6, out_channels: 4, groups: 3, rows: side, columns: side };
    let source = GeometryError::Groups { groups: 3, channels: 6, out_channels: 4 };
    assert_eq!(refused(round), PlanError::Geometry { round: 0, source });
}

#[test]
fn toy_parameters_are_refused_outside_tests() {
    let layer = Layer::Dense { inputs: 2, outputs: 1 };
    let set = ParameterSet::Toy256V1;
    let round = RoundPlan::fitted(set, layer, Domain::U8, &[1, 2]).unwrap();
    let plan = HeadPlan::new(set, Mode::Linear, vec![round], Program::single_round(FEATURES)).unwrap();
    let found = compile(plan, HeadWeights::new(vec![vec![1, 2]]), &CompileOptions::default()).err();
    assert_eq!(found, Some(CompileError::ToyParameters(set)));
}

#[test]
fn weights_of_another_number_are_refused() {
    let (round, mut weights) = a_round();
    weights.pop();
    let source = GeometryError::WeightCount { found: 239, wanted: 240 };
    assert_eq!(compile_error(round.clone(), weights), CompileError::Geometry { round: 0, source });
    let plan = linear(round).unwrap();
    let found = compile(plan, HeadWeights::new(vec![]), &CompileOptions::default()).err();
    assert_eq!(found, Some(CompileError::LayerCount { found: 0, wanted: 1 }));
}

#[test]
fn accumulator_too_narrow_for_the_weights_is_refused_with_its_round() {
    let (mut round, weights) = a_round();
    round.accumulator_bits.0 -= 1;
    let found = compile_error(round, weights);
    assert!(matches!(found, CompileError::Overflow { round: 0, found, limit } if found == limit + 1), "{found}");
}

#[test]
fn response_too_narrow_for_the_noise_is_refused_with_its_round() {
    let (mut round, weights) = a_round();
    round.response_bits.0 -= 2;
    let found = compile_error(round, weights);
    assert!(matches!(found, CompileError::TooNoisy { round: 0, limit_log2: -128, .. }), "{found}");
}

#[test]
fn sums_too_wide_for_the_small_ring_fit_the_large_one() {
    let layer = Layer::Dense { inputs: 20_000, outputs: 8 };
    let weights = random_layer_weights(&mut StdRng::seed_from_u64(4), &layer);
    let fit = |set| RoundPlan::fitted(set, layer, Domain { bits: 16, signed: false }, &weights);
    assert!(matches!(fit(SET), Err(CompileError::TooNoisy { round: 0, .. })));
    assert!(fit(ParameterSet::Glwe4096V1).is_ok());
}

#[test]
fn requests_for_another_head_are_refused() {
    let (round, weights) = a_round();
    let head = kit::compiled(
        SET,
        vec![round.clone()],
        Program::single_round(FEATURES),
        HeadWeights::new(vec![weights]),
        kit::Toy::Refused,
    );
    let owner = Owner::new(SET);
    let seed = encompute_fhe::BlindingSeed::new([0; 32]);
    let key = head.prepare_key(owner.key.blinding_key()).unwrap();
    let evaluate = |round, request: &encompute_fhe::EncryptedTensor| {
        evaluate_round(&head, RoundIndex(round), request, &key, None, &seed).err()
    };
    let layout = round.input_layout(SET).unwrap();
    let good = owner.key.encrypt(&[1; 30], &layout, round.accumulator_bits).unwrap();
    assert_eq!(evaluate(0, &good), None);
    assert_eq!(evaluate(1, &good), Some(EvaluateError::NoRound { found: 1, rounds: 1 }));
    let two = encompute_fhe::EncryptedTensor::from_bodies_at(SET, round.upload_bits, good.seed(), &[0; 4096]).unwrap();
    let count = EvaluateError::InputCount { what: "ciphertexts", found: 2, wanted: 1 };
    assert_eq!(evaluate(0, &two), Some(count));
    let coarse = UploadBits(round.upload_bits.0 - 1);
    let coarse_request = owner.key.encrypt(&[1; 30], &layout.clone().at(coarse), round.accumulator_bits).unwrap();
    let width = EvaluateError::UploadBits { found: coarse.0, wanted: round.upload_bits.0 };
    assert_eq!(evaluate(0, &coarse_request), Some(width));
    let other = ParameterSet::Glwe4096V1;
    let other_request = encompute_fhe::EncryptedTensor::from_bodies(other, good.seed(), &[0; 4096]).unwrap();
    let set = EvaluateError::ParameterSet { what: "request", found: other, wanted: SET };
    assert_eq!(evaluate(0, &other_request), Some(set));
    let other_key = Owner::new(other);
    let set = EvaluateError::ParameterSet { what: "blinding key", found: other, wanted: SET };
    assert_eq!(head.prepare_key(other_key.key.blinding_key()).err(), Some(set.clone()));
    let other_ring = encompute_fhe::Ring::new(other, encompute_fhe::CodePath::fastest());
    let prepared = other_ring.prepare_key(other_key.key.blinding_key()).unwrap();
    assert_eq!(evaluate_round(&head, RoundIndex(0), &good, &prepared, None, &seed).err(), Some(set));
}

#[test]
fn the_digest_depends_on_plan_and_weights() {
    let plan = a_plan();
    let digest = |plan: &HeadPlan, first| head_digest(plan, &HeadWeights::new(vec![vec![first; 240]]));
    let narrow = Program::single_round(Domain { bits: 15, ..FEATURES });
    let other = HeadPlan::new(SET, Mode::Linear, vec![a_round().0], narrow).unwrap();
    assert_eq!(digest(&plan, 1), digest(&plan, 1));
    assert_ne!(digest(&plan, 1), digest(&plan, 2));
    assert_ne!(digest(&plan, 1), digest(&other, 1));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = HeadPlan::from_bytes(&bytes);
        let _ = HeadWeights::from_bytes(&bytes);
    }

    #[test]
    fn altered_plans_are_refused_or_whole(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = a_plan().to_bytes();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        if let Ok(plan) = HeadPlan::from_bytes(&bytes) {
            prop_assert_eq!(plan.to_bytes(), bytes);
            // Whatever a checked plan says, its layouts can be made.
            for round in plan.rounds() {
                prop_assert!(round.input_layout(plan.parameter_set()).is_ok());
                prop_assert!(round.output_layout(plan.parameter_set()).is_ok());
            }
        }
    }
}
