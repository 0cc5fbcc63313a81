//! Chains that are cut: where the compiler cuts them, that they give what they gave, and what is not taken up again.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use encompute_fhe::{BlindingSeed, BootstrapSet, EncryptedFeatures, ParameterSet, PreparedEvaluationKey};
use encompute_head::*;
use kit::{Owner, random_inputs};
use rand::{Rng, SeedableRng, rngs::StdRng};

const RING: ParameterSet = ParameterSet::Glwe2048V1;
const SET: BootstrapSet = BootstrapSet::FourBitsV1;
const FIRST: RoundIndex = RoundIndex(0);
const ONE_BIT: Domain = Domain { bits: 1, signed: false };

fn lookup<'a>(of: u16, range: [i64; 2], function: Function<'a>) -> Link<'a> {
    Link::Lookup { of: ChainIndex(of), ranges: vec![range], function, by_channel: false }
}

fn signs(rng: &mut StdRng, count: usize) -> Vec<i8> {
    (0..count).map(|_| rng.random_range(-1..=1)).collect()
}

fn plan_of(round: RoundPlan) -> Result<HeadPlan, PlanError> {
    plan_under(SET, round)
}

fn plan_under(set: BootstrapSet, round: RoundPlan) -> Result<HeadPlan, PlanError> {
    HeadPlan::new(RING, Mode::Bootstrapped(set), vec![round], Program::single_round(kit::WIDE))
}

/// Two residual blocks behind a first layer, on five by five pixels of two channels: five lookups of fifty values each.
/// Every accumulator is a whole number of bins, so that all is exact.
struct Blocks {
    first: Layer,
    inner: Layer,
    weights: Vec<Vec<i8>>,
}

impl Blocks {
    fn new(rng: &mut StdRng) -> Self {
        let side = Axis::new(5, 3).padded(1, 1);
        let (first, inner) = (Layer::conv(1, 2, side, side), Layer::conv(2, 2, side, side));
        let outer: Vec<i8> = signs(rng, first.weight_count()).iter().map(|weight| 16 * weight).collect();
        let weights = core::iter::once(outer).chain((0..4).map(|_| signs(rng, inner.weight_count()))).collect();
        Self { first, inner, weights }
    }

    fn round(&self, bootstraps_per_call: u32) -> Result<RoundPlan, CompileError> {
        self.round_under(SET, bootstraps_per_call)
    }

    fn round_under(&self, set: BootstrapSet, bootstraps_per_call: u32) -> Result<RoundPlan, CompileError> {
        let step = |_: usize, value: f64| if value > 0.0 { 8 } else { 0 };
        let last = |_: usize, value: f64| value.max(0.0) as i16 / 8;
        let conv = |of: u16, layer: usize| Link::Linear {
            of: ChainIndex(of),
            layer: self.inner,
            weights: &self.weights[layer],
        };
        let links = [
            lookup(0, [-112, 128], &step),
            conv(1, 1),
            lookup(2, [-56, 64], &step),
            conv(3, 2),
            Link::Add { of: [ChainIndex(1), ChainIndex(4)], factors: [2, 1] },
            lookup(5, [-56, 64], &step),
            conv(6, 3),
            lookup(7, [-56, 64], &step),
            conv(8, 4),
            Link::Add { of: [ChainIndex(6), ChainIndex(9)], factors: [2, 1] },
            lookup(10, [-56, 64], &last),
        ];
        RoundPlan::fitted_segments(set, (self.first, ONE_BIT, &self.weights[0]), &links, bootstraps_per_call)
    }

    fn head(&self, bootstraps_per_call: u32) -> CompiledHead {
        self.head_under(SET, bootstraps_per_call)
    }

    fn head_under(&self, set: BootstrapSet, bootstraps_per_call: u32) -> CompiledHead {
        let plan = plan_under(set, self.round_under(set, bootstraps_per_call).unwrap()).unwrap();
        let allow_toy_parameters = !set.is_production();
        let options = CompileOptions { bootstraps_per_call, allow_toy_parameters, ..CompileOptions::default() };
        compile(plan, HeadWeights::new(self.weights.clone()), &options).unwrap()
    }
}

fn cuts(round: &RoundPlan) -> &[u16] {
    &round.chain.as_ref().unwrap().cuts
}

#[test]
fn a_chain_is_cut_where_least_is_put_aside_into_as_few_segments_as_hold_it() {
    let blocks = Blocks::new(&mut StdRng::seed_from_u64(1));
    let found = |per_call| blocks.round(per_call).map(|round| cuts(&round).to_vec());
    assert_eq!(found(250).unwrap(), [0u16; 0], "all of it is one segment's");
    // Between the blocks one tensor is left, within a block its shortcut as well: two and three, not three and two. In
    // front of the last lookup one is left, too, but four and one would be longer.
    assert_eq!(found(150).unwrap(), [5]);
    assert_eq!(found(249).unwrap(), [5]);
    assert_eq!(found(100).unwrap(), [5, 10]);
    assert_eq!(found(50).unwrap(), [2, 5, 7, 10]);
    let refused = CompileError::TooManyBootstraps { round: 0, step: 0, found: 50, limit: 49 };
    assert_eq!(found(49), Err(refused));
}

#[test]
fn a_cut_chain_costs_what_it_puts_aside_and_each_segment_its_own_bootstraps() {
    let blocks = Blocks::new(&mut StdRng::seed_from_u64(2));
    let (whole, cut) = (blocks.head(250), blocks.head(150));
    let costs: Vec<Cost> = cut.segment_costs().collect();
    assert_eq!(costs.iter().map(|cost| cost.bootstraps).collect::<Vec<_>>(), [100, 150]);
    // Fifty values of 919 amounts of twelve bits, and version and set.
    let aside = (50 * 919 * 12u64).div_ceil(8);
    assert_eq!(cut.plan().state_bytes(FIRST), Some(aside + 2));
    assert_eq!(cut.cost().response_bytes, whole.cost().response_bytes + aside);
    let alike = |cost: Cost| (cost.request_bytes, cost.bootstraps, cost.evaluation_key_bytes, cost.blinding_key_bytes);
    assert_eq!(alike(cut.cost()), alike(whole.cost()));
    assert_eq!(cut.round_costs(), [cut.cost()]);
    let within = |a: u64, b: u64| a.abs_diff(b) <= 2;
    assert!(within(cut.cost().estimated_microseconds, whole.cost().estimated_microseconds), "each is rounded up");
}

#[test]
fn segments_are_numbered_through_the_head_as_receipts_are() {
    let blocks = Blocks::new(&mut StdRng::seed_from_u64(3));
    let dense = Layer::Dense { inputs: 50, outputs: 4 };
    let last = kit::random_layer_weights(&mut StdRng::seed_from_u64(3), &dense);
    let rounds = vec![blocks.round(100).unwrap(), RoundPlan::fitted(RING, dense, Domain::U8, &last).unwrap()];
    let program = kit::chained(&rounds, kit::WIDE, |_, _, values| values);
    let plan = HeadPlan::new(RING, Mode::Bootstrapped(SET), rounds, program).unwrap();
    let segments = plan.segments();
    let numbers: Vec<_> = segments.iter().map(|segment| (segment.round.0, segment.index, segment.count)).collect();
    assert_eq!(numbers, [(0, 0, 3), (0, 1, 3), (0, 2, 3), (1, 0, 1)]);
    assert_eq!(segments.iter().map(|segment| segment.is_first()).collect::<Vec<_>>(), [true, false, false, true]);
    assert_eq!(segments.iter().map(|segment| segment.is_last()).collect::<Vec<_>>(), [false, false, true, true]);
    assert_eq!((plan.segment(RoundIndex(2)), plan.segment(RoundIndex(4))), (Some(segments[2]), None));
    assert_eq!(HeadPlan::from_bytes(&plan.to_bytes()).unwrap(), plan);
}

/// What a segment gives that goes on from the bytes of the one before, or begins.
fn run(
    (head, owner, key): (&CompiledHead, &Owner, &PreparedEvaluationKey),
    inputs: &[i64],
    segment: Segment,
    before: Option<&SegmentState>,
) -> Result<Given, EvaluateError> {
    let plan = head.plan().round(segment.round).unwrap();
    let mut run = match before {
        Some(state) => {
            RoundRun::go_on(head, segment, &SegmentState::from_bytes(&state.to_bytes()).unwrap(), Some(key))?
        }
        None => {
            let layout = plan.input_layout(RING).unwrap();
            let request = owner.key.encrypt(inputs, &layout, plan.accumulator_bits).unwrap();
            RoundRun::begin(head, segment.round, &request, Some(key))?
        }
    };
    while !run.advance(head, Some(key), 64)? {}
    let blinding = head.prepare_key(owner.key.blinding_key())?;
    run.finish(head, &blinding, Some(key), &BlindingSeed::new([7; 32]))
}

fn prepared(owner: &Owner, head: &CompiledHead) -> PreparedEvaluationKey {
    head.prepare_evaluation_key(&owner.key.evaluation_key(SET).unwrap()).unwrap()
}

fn read(owner: &Owner, head: &CompiledHead, response: &EncryptedFeatures) -> Vec<i64> {
    owner.read(head, FIRST, response, head.plan().rounds()[0].response_accumulator_bits())
}

#[test]
fn segment_after_segment_gives_the_clear_programs_integers_also_behind_a_shortcut_that_was_put_aside() {
    let mut rng = StdRng::seed_from_u64(4);
    let head = Blocks::new(&mut rng).head(50);
    assert_eq!(head.plan().segments().len(), 5);
    let owner = Owner::new(RING);
    let key = prepared(&owner, &head);
    let inputs = random_inputs(&mut rng, ONE_BIT, 25);
    let mut before = None;
    for segment in head.plan().segments() {
        match run((&head, &owner, &key), &inputs, *segment, before.as_ref()).unwrap() {
            Given::State(state) => before = Some(state),
            Given::Response(response) => {
                let clear = kit::clear(&head, FIRST, &inputs);
                assert_eq!(read(&owner, &head, &response), clear);
                assert!(clear.iter().any(|value| *value != clear[0]), "the head is constant: {clear:?}");
                return;
            }
        }
    }
    panic!("no segment gives the response");
}

#[test]
fn a_value_that_is_put_aside_whole_is_looked_up_with_the_noise_that_the_proof_adds() {
    let blocks = Blocks::new(&mut StdRng::seed_from_u64(5));
    // Under the toy set a fresh value's noise is so small that the rounding shows in thousandths of a bit.
    let [whole, cut] = [250, 50].map(|per_call| blocks.head_under(BootstrapSet::ToyV1, per_call));
    let variance = |head: &CompiledHead, step: u16| {
        let found = head.proofs()[0].lookups.iter().find(|lookup| lookup.step == step).unwrap();
        found.input_variance_log2_milli
    };
    // Step 5 reads the first block's shortcut, which a cut has rounded; step 2 reads turns.
    assert_eq!(variance(&whole, 2), variance(&cut, 2));
    let more = variance(&cut, 5) - variance(&whole, 5);
    assert!((1..40).contains(&more), "{more} thousandths");
    assert!(cut.proofs()[0].failure_log2 <= -128);
}

#[test]
fn a_state_of_another_segment_set_or_length_is_not_taken_up() {
    let mut rng = StdRng::seed_from_u64(6);
    let head = Blocks::new(&mut rng).head(50);
    let owner = Owner::new(RING);
    let key = prepared(&owner, &head);
    let segments = head.plan().segments();
    let inputs = random_inputs(&mut rng, ONE_BIT, 25);
    let Ok(Given::State(state)) = run((&head, &owner, &key), &inputs, segments[0], None) else { panic!("a state") };
    let refused =
        |segment: Segment, state: &SegmentState| RoundRun::go_on(&head, segment, state, Some(&key)).err().unwrap();
    let because = |segment: u8| EvaluateError::State { round: 0, segment };
    assert!(RoundRun::go_on(&head, segments[1], &state, Some(&key)).is_ok());
    // Behind the second cut two tensors were put aside as well, behind the fourth too; behind the third one.
    assert_eq!(refused(segments[2], &state), because(2));
    assert_eq!(refused(segments[0], &state), because(0), "a first segment goes on from nothing");
    assert_eq!(refused(Segment { index: 5, ..segments[1] }, &state), because(5), "there is no sixth");
    assert_eq!(refused(Segment { count: 4, ..segments[1] }, &state), because(1), "of another plan");
    let bytes = state.to_bytes();
    let of = |bytes: &[u8]| SegmentState::from_bytes(bytes).unwrap();
    assert_eq!(refused(segments[1], &of(&bytes[..bytes.len() - 1])), because(1), "a byte short");
    assert_eq!(refused(segments[1], &of(&[&bytes[..], &[0]].concat())), because(1), "a byte more");
    assert_eq!(refused(segments[1], &of(&[&bytes[..1], &[255], &bytes[2..]].concat())), because(1), "another set");
    let none = RoundRun::go_on(&head, segments[1], &state, None).err();
    assert_eq!(none, Some(EvaluateError::NoEvaluationKey { round: 0, wanted: SET }));
}

#[test]
fn only_who_has_the_weights_has_the_secret_that_states_are_sealed_under() {
    let [one, other] = [1, 2].map(|value| HeadWeights::new(vec![vec![value; 16]]));
    assert_ne!(one.state_secret(), other.state_secret());
    assert_eq!(one.state_secret(), HeadWeights::from_bytes(&one.to_bytes()).unwrap().state_secret());
}

fn refused(change: fn(&mut Vec<u16>)) -> (usize, ChainError) {
    let mut round = Blocks::new(&mut StdRng::seed_from_u64(7)).round(250).unwrap();
    change(&mut round.chain.as_mut().unwrap().cuts);
    match plan_of(round) {
        Err(PlanError::Chain { round: 0, step, source }) => (step, source),
        other => panic!("{other:?}"),
    }
}

#[test]
fn cut_in_front_of_the_first_step_is_refused() {
    assert_eq!(refused(|cuts| *cuts = vec![0]), (0, ChainError::CutOrder));
}

#[test]
fn cuts_that_do_not_rise_are_refused() {
    assert_eq!(refused(|cuts| *cuts = vec![5, 2]), (2, ChainError::CutOrder));
    assert_eq!(refused(|cuts| *cuts = vec![5, 5]), (5, ChainError::CutOrder));
}

#[test]
fn cut_in_front_of_a_layer_or_behind_the_end_is_refused() {
    assert_eq!(refused(|cuts| *cuts = vec![3]), (3, ChainError::CutStep));
    assert_eq!(refused(|cuts| *cuts = vec![11]), (11, ChainError::CutStep));
}

#[test]
fn cut_in_front_of_a_step_that_needs_the_first_sums_is_refused() {
    let layer = Layer::Dense { inputs: 4, outputs: 4 };
    let function = |_: usize, value: f64| value as i16 / 15;
    let links = [
        lookup(0, [0, 60], &function),
        lookup(0, [0, 60], &function),
        Link::Add { of: [ChainIndex(1), ChainIndex(2)], factors: [1, 1] },
        lookup(3, [0, 8], &|_, value| value as i16),
    ];
    let four_bits = Domain { bits: 4, signed: false };
    let mut round = RoundPlan::fitted_chain(SET, (layer, four_bits, &[1; 16]), &links).unwrap();
    round.chain.as_mut().unwrap().cuts = vec![1];
    let Err(PlanError::Chain { step: 1, source, .. }) = plan_of(round) else { panic!("it is cut there") };
    assert_eq!(source, ChainError::CutSums);
}

#[test]
fn more_segments_than_a_chain_may_have_are_refused_before_a_cut_is_read() {
    let refused = refused(|cuts| *cuts = (1..=8).collect());
    assert_eq!(refused, (0, ChainError::Segments { found: 9, limit: 8 }));
    let mut round = Blocks::new(&mut StdRng::seed_from_u64(7)).round(250).unwrap();
    round.chain.as_mut().unwrap().cuts = (1..=8).collect();
    let bytes = codec::Encode::encode(round.chain.as_ref().unwrap());
    let error = <Chain as codec::Decode>::decode(&mut &bytes[..bytes.len() - 16]).unwrap_err();
    assert_eq!(error.to_string(), "too many cuts");
}

#[test]
fn a_chain_that_segments_do_not_hold_is_refused_with_what_would_help() {
    let layer = Layer::Dense { inputs: 4, outputs: 10 };
    let function = |_: usize, value: f64| value as i16 / 4;
    let links: Vec<Link<'_>> = (0..9).map(|of| lookup(of, [0, 60], &function)).collect();
    let four_bits = Domain { bits: 4, signed: false };
    let fitted = |per_call| RoundPlan::fitted_segments(SET, (layer, four_bits, &[1; 40]), &links, per_call);
    let found = fitted(10).err().unwrap();
    assert_eq!(found, CompileError::TooManySegments { round: 0, found: 90, per_call: 10, limit: 8 });
    assert!(found.to_string().ends_with("end what stays encrypted at an earlier activation"), "{found}");
    assert_eq!(fitted(20).map(|round| cuts(&round).len()), Ok(4));
    assert_eq!(Chain::SEGMENT_LIMIT, 8);
}
