//! Rounds that go on under encryption: what they give, how often noise changes it, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use encompute_fhe::{AccumulatorBits, BootstrapSet, EncryptedFeatures, ParameterSet, PreparedEvaluationKey};
use encompute_head::*;
use kit::{Owner, random_inputs};
use rand::{Rng, SeedableRng, rngs::StdRng};

const RING: ParameterSet = ParameterSet::Glwe2048V1;
const SET: BootstrapSet = BootstrapSet::FourBitsV1;
const FIRST: RoundIndex = RoundIndex(0);
const FOUR_BITS: Domain = Domain { bits: 4, signed: false };
const ONE_BIT: Domain = Domain { bits: 1, signed: false };

type Weighted = (Layer, Domain, Vec<i8>);

fn lookup<'a>(of: u16, range: [i64; 2], function: Function<'a>) -> Link<'a> {
    Link::Lookup { of: ChainIndex(of), ranges: vec![range], function, by_channel: false }
}

fn plan_of(round: RoundPlan) -> Result<HeadPlan, PlanError> {
    HeadPlan::new(RING, Mode::Bootstrapped(SET), vec![round], Program::single_round(kit::WIDE))
}

fn compiled(round: RoundPlan, weights: Vec<Vec<i8>>) -> Result<CompiledHead, CompileError> {
    compile(plan_of(round).unwrap(), HeadWeights::new(weights), &CompileOptions::default())
}

fn a_head((layer, input, weights): Weighted, links: &[Link<'_>]) -> CompiledHead {
    let round = RoundPlan::fitted_chain(SET, (layer, input, &weights), links).unwrap();
    let following = links.iter().filter_map(|link| match link {
        Link::Linear { weights, .. } => Some(weights.to_vec()),
        _ => None,
    });
    let weights = std::iter::once(weights.clone()).chain(following).collect();
    compiled(round, weights).unwrap()
}

fn prepared(owner: &Owner, head: &CompiledHead) -> PreparedEvaluationKey {
    head.prepare_evaluation_key(&owner.key.evaluation_key(SET).unwrap()).unwrap()
}

fn read(owner: &Owner, head: &CompiledHead, response: &EncryptedFeatures) -> Vec<i64> {
    owner.read(head, FIRST, response, head.plan().rounds()[0].response_accumulator_bits())
}

fn signs(rng: &mut StdRng, count: usize) -> Vec<i8> {
    (0..count).map(|_| rng.random_range(-1..=1)).collect()
}

/// A block with a shortcut: convolution, ReLU, two convolutions with a step function between, their sum with the
/// shortcut, and a table for each channel. Every accumulator is a whole number of bins, so that all is exact.
fn a_block(rng: &mut StdRng) -> CompiledHead {
    let side = Axis::new(5, 3).padded(1, 1);
    let (first, inner) = (Layer::conv(1, 2, side, side), Layer::conv(2, 2, side, side));
    let pooled = Axis::new(5, 2).strided(2).padded(0, 1);
    let last = Layer::depthwise(2, pooled, pooled);
    let weights: Vec<i8> = signs(rng, first.weight_count()).iter().map(|weight| 16 * weight).collect();
    let (second, third) = (signs(rng, inner.weight_count()), signs(rng, last.weight_count()));
    let step = |_: usize, value: f64| if value > 0.0 { 8 } else { 0 };
    let other = |channel: usize, value: f64| if channel == 0 { value.max(0.0) as i16 / 8 } else { -3 };
    let links = [
        lookup(0, [-112, 128], &step),
        Link::Linear { of: ChainIndex(1), layer: inner, weights: &second },
        lookup(2, [-56, 64], &step),
        Link::Add { of: [ChainIndex(1), ChainIndex(3)], factors: [2, -1] },
        Link::Linear { of: ChainIndex(4), layer: last, weights: &third },
        Link::Lookup { of: ChainIndex(5), ranges: vec![[-56, 64]], function: &other, by_channel: true },
    ];
    a_head((first, ONE_BIT, weights), &links)
}

#[test]
fn a_block_with_a_shortcut_gives_the_clear_programs_integers() {
    let mut rng = StdRng::seed_from_u64(1);
    let head = a_block(&mut rng);
    let owner = Owner::new(RING);
    let key = prepared(&owner, &head);
    assert_eq!(head.plan().rounds()[0].sums(), Shape { channels: 2, rows: 3, columns: 3 });
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let inputs = random_inputs(&mut rng, ONE_BIT, 25);
        let clear = kit::clear(&head, FIRST, &inputs);
        assert_eq!(read(&owner, &head, &owner.response(&head, FIRST, &inputs, Some(&key))), clear);
        seen.extend(clear);
    }
    assert!(seen.len() > 2, "the head is nearly constant: {seen:?}");
}

#[test]
fn exact_values_of_four_bits_are_looked_up_exactly_and_with_the_proved_noise() {
    let mut rng = StdRng::seed_from_u64(2);
    let count = 250;
    let layer = Layer::Dense { inputs: 16, outputs: count };
    let weights: Vec<i8> = (0..count * 16).map(|at| i8::from(at % 16 == at / 16 % 16)).collect();
    let head = a_head((layer, FOUR_BITS, weights), &[lookup(0, [0, 15], &|_, value| 3 * value as i16 - 20)]);
    let owner = Owner::new(RING);
    let key = prepared(&owner, &head);
    let inputs = random_inputs(&mut rng, FOUR_BITS, 16);
    let response = owner.response(&head, FIRST, &inputs, Some(&key));
    let clear = kit::clear(&head, FIRST, &inputs);
    assert_eq!(clear[..16], inputs.iter().map(|value| 3 * value - 20).collect::<Vec<_>>());
    assert_eq!(read(&owner, &head, &response), clear);

    let (plan, proof) = (&head.plan().rounds()[0], &head.proofs()[0]);
    assert!(plan.chain.as_ref().unwrap().together > 1, "values share ciphertexts");
    let wide = AccumulatorBits(plan.response_bits.0);
    let spare = wide.0 - plan.response_accumulator_bits().0;
    let unit = f64::from(64 - wide.0).exp2();
    let noise = owner.read(&head, FIRST, &response, wide).into_iter().zip(&clear);
    let squares: f64 = noise.map(|(read, exact)| ((read - (exact << spare)) as f64 * unit).powi(2)).sum();
    let ratio = squares / f64::from(count) / proof.variance();
    // The variance of 250 samples is off by a deviation of nine percent; the proof takes a heavy key.
    assert!((0.6..1.25).contains(&ratio), "{ratio}");
    assert!(proof.lookups[0].misrounded_log2_milli < -128_000, "{proof:?}");
    assert!(proof.failure_log2 <= -128);
}

#[test]
fn accumulators_near_an_edge_are_a_bin_off_as_often_as_the_proof_says_and_never_more() {
    let mut rng = StdRng::seed_from_u64(3);
    let layer = Layer::Dense { inputs: 64, outputs: 400 };
    let weights = kit::random_layer_weights(&mut rng, &layer);
    let inputs = random_inputs(&mut rng, Domain::U8, 64);
    let sum = |row: &[i8]| row.iter().zip(&inputs).map(|(weight, value)| i64::from(*weight) * value).sum::<i64>();
    let sums: Vec<i64> = weights.chunks(64).map(sum).collect();
    let range = [*sums.iter().min().unwrap(), *sums.iter().max().unwrap()];
    let width = (range[1] - range[0]) as f64 / 90.0;
    let tell_apart = |_: usize, value: f64| ((value - range[0] as f64) / width) as i16;
    let head = a_head((layer, Domain::U8, weights), &[lookup(0, range, &tell_apart)]);
    let owner = Owner::new(RING);
    let key = prepared(&owner, &head);
    let found = read(&owner, &head, &owner.response(&head, FIRST, &inputs, Some(&key)));
    let allowed = ClearBackend.with_neighbours(&head, FIRST, &inputs).unwrap();
    for (found, [own, below, above]) in found.iter().zip(&allowed) {
        assert!([own, below, above].contains(&found), "{found} is not {own}, {below} or {above}");
        assert!(own != below && own != above, "every bin has a value of its own");
    }
    let clear = kit::clear(&head, FIRST, &inputs);
    assert!(clear.iter().collect::<std::collections::BTreeSet<_>>().len() > 7);
    let off = found.iter().zip(&clear).filter(|(found, clear)| found != clear).count() as f64 / 400.0;
    let share = head.proofs()[0].lookups[0].misrounded_share();
    // A share of 3 % of 400 has a deviation of 0.9 %; five of them are more than ever.
    assert!((0.02..0.05).contains(&share), "{share}");
    assert!(off > 0.0 && off < share + 0.045, "{off} of {share}");
}

/// A first block that stays encrypted, then a round of which the user gets the sums.
#[test]
fn a_head_whose_first_block_is_a_chain_goes_on_in_rounds() {
    let mut rng = StdRng::seed_from_u64(6);
    let (layer, dense) = (Layer::Dense { inputs: 9, outputs: 6 }, Layer::Dense { inputs: 6, outputs: 4 });
    // Sums of whole numbers of bins, so that all is exact.
    let first: Vec<i8> = signs(&mut rng, layer.weight_count()).iter().map(|weight| 16 * weight).collect();
    let last = kit::random_layer_weights(&mut rng, &dense);
    let links = [lookup(0, [-112, 128], &|_, value| (value.max(0.0) / 16.0) as i16)];
    let rounds = vec![
        RoundPlan::fitted_chain(SET, (layer, ONE_BIT, &first), &links).unwrap(),
        RoundPlan::fitted(RING, dense, Domain::U8, &last).unwrap(),
    ];
    let program = kit::chained(&rounds, kit::WIDE, |_, _, values| values);
    let plan = HeadPlan::new(RING, Mode::Bootstrapped(SET), rounds, program).unwrap();
    assert_eq!(HeadPlan::from_bytes(&plan.to_bytes()).unwrap(), plan);
    let head = compile(plan, HeadWeights::new(vec![first, last]), &CompileOptions::default()).unwrap();
    let owner = Owner::new(RING);
    let key = prepared(&owner, &head);
    let done = measure::encrypted(&head, &owner, &random_inputs(&mut rng, ONE_BIT, 9), || {
        encompute_fhe::BlindingSeed::new(rng.random())
    });
    let done = done.unwrap();
    assert_eq!((done.rounds, done.exact_rounds, done.integers, done.differing), (2, 2, 10, 0));
    // The second round needs no key, and leaves one alone.
    let values = [255, 0, 3, 4, 5, 6];
    let clear = kit::clear(&head, RoundIndex(1), &values);
    assert_eq!(owner.run(&head, RoundIndex(1), &values), clear);
    let response = owner.response(&head, RoundIndex(1), &values, Some(&key));
    let bits = head.plan().rounds()[1].response_accumulator_bits();
    assert_eq!(owner.read(&head, RoundIndex(1), &response, bits), clear);
}

#[test]
fn a_chain_without_its_key_is_refused_before_anything_is_computed() {
    let head = a_block(&mut StdRng::seed_from_u64(1));
    let owner = Owner::new(RING);
    let round = &head.plan().rounds()[0];
    let layout = round.input_layout(RING).unwrap();
    // Another number of ciphertexts, which only looking at the request would tell.
    let request = owner.key.encrypt(&[0; 25], &layout, round.accumulator_bits).unwrap();
    let wrong = encompute_fhe::EncryptedTensor::from_bodies_at(RING, round.upload_bits, request.seed(), &[0; 4096]);
    let blinding = head.prepare_key(owner.key.blinding_key()).unwrap();
    let seed = encompute_fhe::BlindingSeed::new([0; 32]);
    let refused = evaluate_round(&head, FIRST, &wrong.unwrap(), &blinding, None, &seed).err();
    assert_eq!(refused, Some(EvaluateError::NoEvaluationKey { round: 0, wanted: SET }));
    assert_eq!(evaluate_unblinded(&head, FIRST, &request, None).err(), refused);
}

#[test]
fn keys_of_another_set_or_for_heads_without_bootstraps_are_refused() {
    let toy = kit::random_evaluation_key(BootstrapSet::ToyV1, &mut StdRng::seed_from_u64(4));
    let head = a_block(&mut StdRng::seed_from_u64(1));
    let wanted = EvaluateError::EvaluationKey { found: BootstrapSet::ToyV1, wanted: SET };
    assert_eq!(head.prepare_evaluation_key(&toy).err(), Some(wanted.clone()));
    let prepared = encompute_fhe::Bootstrapper::new(encompute_fhe::CodePath::fastest()).prepare(&toy);
    let owner = Owner::new(RING);
    let round = &head.plan().rounds()[0];
    let request = owner.key.encrypt(&[0; 25], &round.input_layout(RING).unwrap(), round.accumulator_bits).unwrap();
    assert_eq!(evaluate_unblinded(&head, FIRST, &request, Some(&prepared)).err(), Some(wanted));
    let linear =
        kit::a_head(RING, vec![(Layer::Dense { inputs: 1, outputs: 1 }, Domain::U8, vec![1])], kit::Toy::Refused);
    assert_eq!(linear.prepare_evaluation_key(&toy).err(), Some(EvaluateError::NoBootstraps));
}

/// Four values looked up, summed to two, and looked up again.
fn a_round() -> RoundPlan {
    let layer = Layer::Dense { inputs: 4, outputs: 4 };
    let (weights, next) = ([1; 16], [1; 8]);
    let links = [
        lookup(0, [0, 60], &|_, value| value as i16 / 15),
        Link::Linear { of: ChainIndex(1), layer: Layer::Dense { inputs: 4, outputs: 2 }, weights: &next },
        lookup(2, [0, 15], &|_, value| value as i16),
    ];
    RoundPlan::fitted_chain(SET, (layer, FOUR_BITS, &weights), &links).unwrap()
}

fn weights_of_a_round() -> Vec<Vec<i8>> {
    vec![vec![1; 16], vec![1; 8]]
}

fn chain(round: &mut RoundPlan) -> &mut Chain {
    round.chain.as_mut().unwrap()
}

#[test]
fn plans_with_chains_survive_the_wire() {
    let plan = plan_of(a_round()).unwrap();
    assert_eq!(HeadPlan::from_bytes(&plan.to_bytes()).unwrap(), plan);
    assert_eq!(plan.mode().bootstrap_set(), Some(SET));
    let cost = compiled(a_round(), weights_of_a_round()).unwrap().cost();
    assert_eq!(cost.bootstraps, 6);
    assert_eq!(cost.evaluation_key_bytes, encompute_fhe::EvaluationKey::byte_len(SET) as u64);
}

fn refused(change: fn(&mut RoundPlan)) -> (usize, ChainError) {
    let mut round = a_round();
    change(&mut round);
    match plan_of(round) {
        Err(PlanError::Chain { round: 0, step, source }) => (step, source),
        other => panic!("{other:?}"),
    }
}

#[test]
fn chain_of_no_step_is_refused() {
    assert_eq!(refused(|round| chain(round).steps.clear()), (0, ChainError::Steps { found: 0, limit: 64 }));
}

#[test]
fn chain_of_too_many_steps_is_refused_before_a_step_is_read() {
    let mut round = a_round();
    let lookup = chain(&mut round).steps[0].clone();
    chain(&mut round).steps = vec![lookup; 65];
    assert!(matches!(
        plan_of(round.clone()),
        Err(PlanError::Chain { step: 0, source: ChainError::Steps { found: 65, limit: 64 }, .. })
    ));
    let mut bytes = codec::Encode::encode(round.chain.as_ref().unwrap());
    bytes.truncate(2);
    let error = <Chain as codec::Decode>::decode(&mut &bytes[..]).unwrap_err();
    assert_eq!(error.to_string(), "too many steps");
}

#[test]
fn step_that_reads_what_is_not_there_yet_is_refused() {
    let refused = refused(|round| match &mut chain(round).steps[1] {
        Step::Linear { of, .. } => of.0 = 2,
        _ => unreachable!(),
    });
    assert_eq!(refused, (1, ChainError::NotYet { found: 2, known: 2 }));
}

#[test]
fn step_that_nothing_reads_is_refused() {
    let refused = refused(|round| {
        let first = chain(round).steps[0].clone();
        chain(round).steps.insert(0, first);
        let Step::Linear { of, .. } = &mut chain(round).steps[2] else { unreachable!() };
        of.0 = 2;
        let Step::Lookup { of, .. } = &mut chain(round).steps[3] else { unreachable!() };
        of.0 = 3;
    });
    assert_eq!(refused, (0, ChainError::Unread));
}

#[test]
fn chain_that_ends_with_a_layer_is_refused() {
    let refused = refused(|round| {
        chain(round).steps.pop();
    });
    assert_eq!(refused, (1, ChainError::Last));
}

#[test]
fn layer_for_another_shape_is_refused() {
    let refused = refused(|round| match &mut chain(round).steps[1] {
        Step::Linear { layer, .. } => *layer = Layer::Dense { inputs: 5, outputs: 2 },
        _ => unreachable!(),
    });
    let [found, wanted] = [4, 5].map(|channels| Shape { channels, rows: 1, columns: 1 });
    assert_eq!(refused, (1, ChainError::Shape { what: "its input", found, wanted }));
}

#[test]
fn sum_of_different_units_is_refused() {
    let refused = refused(|round| {
        chain(round).steps[1] = Step::Add { of: [ChainIndex(0), ChainIndex(1)], factors: [1, 1] };
    });
    assert!(matches!(refused, (1, ChainError::Units { .. })), "{refused:?}");
}

#[test]
fn numbers_of_a_lookup_out_of_range_are_refused() {
    let with = |change: fn(&mut Step)| {
        let mut round = a_round();
        change(&mut chain(&mut round).steps[2]);
        match plan_of(round) {
            Err(PlanError::Chain { step: 2, source: ChainError::OutOfRange { what, .. }, .. }) => what,
            Err(PlanError::Chain { step: 2, source: ChainError::Count { what, .. }, .. }) => what,
            other => panic!("{other:?}"),
        }
    };
    type Parts<'a> = (&'a mut Vec<i64>, &'a mut Vec<[i16; 16]>, &'a mut AccumulatorBits);
    fn parts(step: &mut Step) -> Parts<'_> {
        match step {
            Step::Lookup { offset_half_units, tables, bits, .. } => (offset_half_units, tables, bits),
            _ => unreachable!(),
        }
    }
    assert_eq!(with(|step| *parts(step).0 = vec![0; 3]), "offsets");
    assert_eq!(with(|step| parts(step).0[0] = 1 << 40), "twice an offset");
    assert_eq!(with(|step| parts(step).1.clear()), "tables");
    assert_eq!(with(|step| parts(step).1[0][3] = 16), "a sent value");
    assert_eq!(with(|step| parts(step).2.0 = 45), "bits of what tables give");
    assert_eq!(with(|step| parts(step).1[0][3] = i16::MIN), "a table's value");
}

#[test]
fn values_that_cannot_share_a_ciphertext_are_refused() {
    for found in [0, 3, 128] {
        let mut round = a_round();
        chain(&mut round).together = found;
        let refused = plan_of(round).unwrap_err();
        assert!(
            matches!(refused, PlanError::Chain { step: 2, source: ChainError::Together { .. }, .. }),
            "{refused:?}"
        );
    }
}

#[test]
fn tensors_that_would_fill_a_workers_memory_or_hour_are_refused() {
    let with = |layer: Layer| {
        let (weights, links) = (vec![0; layer.weight_count()], [lookup(0, [0, 15], &|_, _| 0)]);
        match RoundPlan::fitted_chain(SET, (layer, ONE_BIT, &weights), &links) {
            Err(CompileError::Chain { source: ChainError::TooMuch { what, .. }, .. }) => what,
            other => panic!("{:?}", other.err()),
        }
    };
    let pixels = |side| Layer::conv(1, 1, Axis::new(side, 1), Axis::new(side, 1));
    assert_eq!(with(pixels(300)), "bytes of values at one time");
    let mut round = a_round();
    chain(&mut round).steps[1] =
        Step::Linear { of: ChainIndex(1), layer: Layer::Dense { inputs: 4, outputs: 1 << 16 } };
    let next = Step::Linear { of: ChainIndex(2), layer: Layer::Dense { inputs: 1 << 16, outputs: 1 << 10 } };
    chain(&mut round).steps.insert(2, next);
    let refused = plan_of(round).unwrap_err();
    let source = |source| matches!(source, ChainError::TooMuch { what: "products of values by weights", .. });
    assert!(matches!(refused, PlanError::Chain { step: 2, source: error, .. } if source(error.clone())));
}

#[test]
fn modes_and_chains_that_do_not_belong_together_are_refused() {
    let program = || Program::single_round(kit::WIDE);
    let of = |ring, mode, round| HeadPlan::new(ring, mode, vec![round], program()).err();
    let refused = Some(PlanError::ChainWithoutBootstraps { round: 0 });
    assert_eq!(of(RING, Mode::Linear, a_round()), refused);
    assert_eq!(of(RING, Mode::Rounds, a_round()), refused);
    assert_eq!(of(RING, Mode::Bootstrapped(SET), RoundPlan { chain: None, ..a_round() }), Some(PlanError::NoChain));
    let found = ParameterSet::Glwe4096V1;
    let refused = Some(PlanError::BootstrapRing { bootstraps: SET, wanted: RING, found });
    assert_eq!(of(found, Mode::Bootstrapped(SET), a_round()), refused);
}

#[test]
fn accumulator_narrower_than_an_input_is_refused() {
    let mut round = a_round();
    round.accumulator_bits = AccumulatorBits(4);
    let what = "accumulator width";
    assert_eq!(plan_of(round), Err(PlanError::OutOfRange { what, round: 0, found: 4, min: 5, max: 44 }));
}

#[test]
fn bootstraps_that_protect_nothing_are_refused_outside_tests() {
    let plan =
        HeadPlan::new(RING, Mode::Bootstrapped(BootstrapSet::ToyV1), vec![a_round()], Program::single_round(kit::WIDE));
    let found = compile(plan.unwrap(), HeadWeights::new(weights_of_a_round()), &CompileOptions::default()).err();
    assert_eq!(found, Some(CompileError::ToyBootstraps(BootstrapSet::ToyV1)));
}

#[test]
fn weights_of_a_chain_that_are_missing_or_of_another_number_are_refused() {
    let of = |weights| compiled(a_round(), weights).err();
    assert_eq!(of(vec![vec![1; 16]]), Some(CompileError::LayerCount { found: 1, wanted: 2 }));
    let refused = CompileError::ChainWeights { round: 0, step: 1, found: 7, wanted: 8 };
    assert_eq!(of(vec![vec![1; 16], vec![1; 7]]), Some(refused));
}

#[test]
fn more_bootstraps_than_a_call_takes_are_refused_with_the_step_and_what_would_help() {
    let options = CompileOptions { bootstraps_per_call: 5, ..CompileOptions::default() };
    let found = compile(plan_of(a_round()).unwrap(), HeadWeights::new(weights_of_a_round()), &options).err().unwrap();
    assert_eq!(found, CompileError::TooManyBootstraps { round: 0, step: 2, found: 6, limit: 5 });
    assert!(
        found.to_string().ends_with("average pooling before the step takes a quarter, mode `rounds` none"),
        "{found}"
    );
    assert_eq!(CompileOptions::default().bootstraps_per_call, 16_000);
}

#[test]
fn response_too_narrow_for_the_noise_of_bootstraps_is_refused() {
    let mut round = a_round();
    round.response_bits.0 = 8.max(round.response_accumulator_bits().0 + 4);
    let found = compiled(round, weights_of_a_round()).err().unwrap();
    assert!(matches!(found, CompileError::TooNoisy { round: 0, .. }), "{found}");
}

#[test]
fn a_chain_of_which_accumulators_leave_their_range_goes_on_with_the_negated_table() {
    let mut round = a_round();
    let Step::Lookup { tables, .. } = &chain(&mut round).steps[2] else { unreachable!() };
    assert_eq!(tables[0], core::array::from_fn(|bin| bin as i16));
    let head = compiled(a_round(), vec![vec![1; 16], vec![5; 8]]).unwrap();
    // Four sums of 47, each looked up as 3; times 5 and added up, 60 = 32 + 28: bin 28 is bin 12, negated.
    assert_eq!(kit::clear(&head, FIRST, &[15, 15, 15, 2]), [-12, -12]);
    // Of 45, each looked up as 2: 40 = 32 + 8.
    assert_eq!(kit::clear(&head, FIRST, &[15, 15, 15, 0]), [8, 8]);
}
