//! What the client computes: each operation by its definition, and programs that are refused, named by their defect.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use encompute_fhe::ParameterSet;
use encompute_head::*;
use encompute_protocol::wire::DecodeError;
use kit::{Owner, Toy, WIDE, compiled, random_inputs, random_layer_weights};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

const SET: ParameterSet = ParameterSet::Toy256V1;

fn real(number: f64) -> Real {
    Real::new(number).unwrap()
}

fn reals(numbers: &[f64]) -> Vec<Real> {
    numbers.iter().map(|number| real(*number)).collect()
}

fn shape(channels: usize, rows: usize, columns: usize) -> Shape {
    Shape { channels, rows, columns }
}

/// A layer that gives back what it takes: one weight of one for each channel and place.
fn identity(of: Shape) -> Layer {
    Layer::depthwise(of.channels as u32, Axis::new(of.rows as u32, 1), Axis::new(of.columns as u32, 1))
}

fn round_of(layer: Layer, input: Domain) -> RoundPlan {
    RoundPlan::fitted(SET, layer, input, &vec![1; layer.weight_count()]).unwrap()
}

/// What a node gives for tensors of these shapes.
fn gives(node: &Node, reads: &[(&[f64], Shape)]) -> (Vec<f64>, Shape) {
    let shapes: Vec<Shape> = reads.iter().map(|(_, shape)| *shape).collect();
    let given = node.shape_after(&shapes).unwrap();
    let values = compute(node, reads);
    assert_eq!(values.len(), given.len(), "{node}");
    (values, given)
}

const X: TensorIndex = TensorIndex(1);

fn near(found: &[f64], wanted: &[f64]) {
    let far = found.iter().zip(wanted).any(|(found, wanted)| (found - wanted).abs() > 1e-6);
    assert!(found.len() == wanted.len() && !far, "{found:?} is not {wanted:?}");
}

#[test]
fn functions_of_one_number_have_the_values_of_the_tables() {
    let values = [-2.0, -0.5, 0.0, 1.0, 3.0];
    let of = |activation| gives(&Node::Activate { of: X, activation }, &[(&values, shape(5, 1, 1))]).0;
    near(&of(Activation::Relu), &[0.0, 0.0, 0.0, 1.0, 3.0]);
    near(&of(Activation::LeakyRelu { slope: real(0.5) }), &[-1.0, -0.25, 0.0, 1.0, 3.0]);
    near(&of(Activation::Clip { least: real(-1.0), most: real(2.0) }), &[-1.0, -0.5, 0.0, 1.0, 2.0]);
    near(&of(Activation::Gelu), &[-0.045_500_26, -0.154_268_77, 0.0, 0.841_344_75, 2.995_950_3]);
    near(&of(Activation::GeluTanh), &[-0.045_402_3, -0.154_286_0, 0.0, 0.841_191_99, 2.996_362_6]);
    near(&of(Activation::Silu), &[-0.238_405_84, -0.188_770_33, 0.0, 0.731_058_58, 2.857_722_4]);
    near(&of(Activation::Sigmoid), &[0.119_202_92, 0.377_540_67, 0.5, 0.731_058_58, 0.952_574_13]);
    near(&of(Activation::Tanh), &[-0.964_027_58, -0.462_117_16, 0.0, 0.761_594_16, 0.995_054_75]);
    near(&of(Activation::Erf), &[-0.995_322_27, -0.520_499_88, 0.0, 0.842_700_79, 0.999_977_91]);
}

#[test]
fn pooling_joins_windows_and_does_not_count_their_padding() {
    let values: Vec<f64> = (1..=9).map(f64::from).collect();
    let axis = Axis::new(3, 2).padded(1, 0).strided(2);
    let pool = |join| gives(&Node::Pool { of: X, join, rows: axis, columns: axis }, &[(&values, shape(1, 3, 3))]);
    // Windows: 1; 2 3; 4 7; 5 6 8 9.
    assert_eq!(pool(Join::Average), (vec![1.0, 2.5, 5.5, 7.0], shape(1, 2, 2)));
    assert_eq!(pool(Join::Max).0, [1.0, 3.0, 7.0, 9.0]);
    let negative: Vec<f64> = values.iter().map(|value| -value).collect();
    let max = Node::Pool { of: X, join: Join::Max, rows: axis, columns: axis };
    assert_eq!(gives(&max, &[(&negative, shape(1, 3, 3))]).0, [-1.0, -2.0, -4.0, -5.0], "padding is not a zero");
}

#[test]
fn sums_products_and_factors_go_by_channel() {
    let (values, shape2) = ([1.0, 2.0, 3.0, 4.0], shape(2, 2, 1));
    let add = Node::Add { of: [X, X] };
    assert_eq!(gives(&add, &[(&values, shape2), (&[10.0, 20.0, 30.0, 40.0], shape2)]).0, [11.0, 22.0, 33.0, 44.0]);
    let multiply = Node::Multiply { of: [X, X] };
    assert_eq!(gives(&multiply, &[(&values, shape2), (&values, shape2)]).0, [1.0, 4.0, 9.0, 16.0]);
    assert_eq!(gives(&multiply, &[(&values, shape2), (&[2.0, -1.0], shape(2, 1, 1))]).0, [2.0, 4.0, -3.0, -4.0]);
    let affine = Node::Affine { of: X, gain: reals(&[2.0, 3.0]), offset: reals(&[1.0]) };
    assert_eq!(gives(&affine, &[(&values, shape2)]).0, [3.0, 5.0, 10.0, 13.0]);
}

#[test]
fn normalisation_and_softmax_go_along_the_channels_of_each_place() {
    // Two channels, two places: (1, 3) and (2, −2).
    let (values, of) = ([1.0, 2.0, 3.0, -2.0], shape(2, 1, 2));
    let normalise =
        Node::Normalise { of: X, epsilon: real(1e-12), gain: reals(&[1.0, 10.0]), offset: reals(&[0.0, 1.0]) };
    near(&gives(&normalise, &[(&values, of)]).0, &[-1.0, 1.0, 11.0, -9.0]);
    let softmax = gives(&Node::Softmax { of: X }, &[(&values, of)]).0;
    near(&softmax, &[0.119_202_92, 0.982_013_79, 0.880_797_08, 0.017_986_21]);
    let large = gives(&Node::Softmax { of: X }, &[(&[1e300, 1e300], shape(2, 1, 1))]).0;
    near(&large, &[0.5, 0.5]);
}

#[test]
fn attention_weighs_each_tokens_values_by_the_softmax_of_its_scores() {
    let mut rng = StdRng::seed_from_u64(3);
    let (width, tokens, heads) = (6, 5, 2);
    let of = shape(width, tokens, 1);
    let [query, key, value] = [(); 3].map(|()| (0..30).map(|_| rng.random_range(-2.0..2.0)).collect::<Vec<f64>>());
    let node = Node::Attend { query: X, key: X, value: X, heads, mask: None };
    let found = gives(&node, &[(&query, of), (&key, of), (&value, of)]).0;
    // By the definition, token by token.
    for head in 0..2 {
        for token in 0..tokens {
            let channels = || head * 3..(head + 1) * 3;
            let score = |other: usize| {
                channels().map(|c| query[c * tokens + token] * key[c * tokens + other]).sum::<f64>() / 3f64.sqrt()
            };
            let weights: Vec<f64> = (0..tokens).map(|other| score(other).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for c in channels() {
                let wanted: f64 = (0..tokens).map(|other| weights[other] / sum * value[c * tokens + other]).sum();
                near(&[found[c * tokens + token]], &[wanted]);
            }
        }
    }
}

#[test]
fn attention_gives_masked_tokens_no_weight() {
    let mut rng = StdRng::seed_from_u64(4);
    let of = shape(4, 5, 1);
    let [query, key, value] = [(); 3].map(|()| (0..20).map(|_| rng.random_range(-2.0..2.0)).collect::<Vec<f64>>());
    let masked = |mask: Option<&[f64]>, values: [&[f64]; 3], of| {
        let node = Node::Attend { query: X, key: X, value: X, heads: 2, mask: mask.map(|_| X) };
        let mask = mask.map(|mask| (mask, Shape { channels: 1, ..of }));
        gives(&node, &values.map(|values| (values, of)).into_iter().chain(mask).collect::<Vec<_>>()).0
    };
    let all = [&query[..], &key[..], &value[..]];
    let found = masked(Some(&[1.0, 0.0, 0.5, -3.0, 2.0]), all, of);
    // The same without the second and the fourth token.
    let kept = |tensor: &[f64]| -> Vec<f64> { tensor.chunks(5).flat_map(|row| [row[0], row[2], row[4]]).collect() };
    let [fewer_q, fewer_k, fewer_v] = all.map(kept);
    let fewer = masked(None, [&fewer_q, &fewer_k, &fewer_v], shape(4, 3, 1));
    near(&kept(&found), &fewer);
    near(&masked(Some(&[0.0; 5]), all, of), &masked(None, all, of));
}

#[test]
fn some_channels_and_one_channels_factors_go_by_place() {
    let values: Vec<f64> = (0..6).map(f64::from).collect();
    let some = Node::Channels { of: X, first: 1, count: 2 };
    assert_eq!(gives(&some, &[(&values, shape(3, 2, 1))]), (vec![2.0, 3.0, 4.0, 5.0], shape(2, 2, 1)));
    let multiply = Node::Multiply { of: [X, X] };
    let found = gives(&multiply, &[(&values, shape(3, 2, 1)), (&[1.0, 10.0], shape(1, 2, 1))]).0;
    assert_eq!(found, [0.0, 10.0, 2.0, 30.0, 4.0, 50.0]);
}

#[test]
fn shapes_change_without_a_value_changing() {
    let values: Vec<f64> = (0..12).map(f64::from).collect();
    let (transposed, of) = gives(&Node::Transpose { of: X }, &[(&values, shape(2, 3, 2))]);
    assert_eq!(of, shape(3, 2, 2));
    assert_eq!(transposed, [0.0, 1.0, 6.0, 7.0, 2.0, 3.0, 8.0, 9.0, 4.0, 5.0, 10.0, 11.0]);
    let reshape = Node::Reshape { of: X, to: [4, 1, 3] };
    assert_eq!(gives(&reshape, &[(&values, shape(2, 3, 2))]), (values.clone(), shape(4, 1, 3)));
    let beside = Node::Concatenate { of: [X, X] };
    let (both, of) = gives(&beside, &[(&values, shape(2, 3, 2)), (&values[..6], shape(1, 3, 2))]);
    assert_eq!((both.len(), of), (18, shape(3, 3, 2)));
}

/// A first round of `layer`, then what `program` does with its sums.
fn planned(
    layers: &[Layer],
    program: impl FnOnce(&mut Draft, TensorIndex) -> TensorIndex,
) -> Result<HeadPlan, PlanError> {
    let rounds = layers.iter().map(|layer| round_of(*layer, Domain::I8)).collect();
    let mut draft = Draft::default();
    let sums = draft.round(Program::INPUT);
    let last = program(&mut draft, sums);
    HeadPlan::new(SET, Mode::Rounds, rounds, draft.give_integers(last, WIDE))
}

const OF: Shape = Shape { channels: 4, rows: 3, columns: 2 };

/// Why the node after the first round is refused.
fn refused(node: Node) -> NodeError {
    let plan = planned(&[identity(OF)], |draft, _| draft.then(node));
    match plan.unwrap_err() {
        PlanError::Node { node: 1, source } => source,
        other => panic!("{other}"),
    }
}

#[test]
fn nodes_that_do_not_hold_are_refused_by_their_defect() {
    let sums = TensorIndex(1);
    let later = refused(Node::Add { of: [sums, TensorIndex(2)] });
    assert_eq!(later, NodeError::NotYet { found: 2, known: 2 });
    assert!(matches!(refused(Node::Reshape { of: sums, to: [5, 5, 1] }), NodeError::Reshape { found: 24, wanted: 25 }));
    let huge = refused(Node::Reshape { of: sums, to: [u32::MAX; 3] });
    assert_eq!(huge, NodeError::Reshape { found: 24, wanted: u64::MAX });
    let gain = refused(Node::Affine { of: sums, gain: reals(&[1.0; 3]), offset: reals(&[0.0]) });
    assert_eq!(gain, NodeError::Count { what: "gain", found: 3, wanted: 4 });
    let none = refused(Node::Affine { of: sums, gain: Vec::new(), offset: reals(&[0.0]) });
    assert_eq!(none, NodeError::Count { what: "gain", found: 0, wanted: 4 });
    let normalise = |epsilon, count| Node::Normalise {
        of: sums,
        epsilon: real(epsilon),
        gain: reals(&vec![1.0; count]),
        offset: reals(&[0.0; 4]),
    };
    let zero = NodeError::NotAbove { what: "epsilon", found: Real::ZERO, above: Real::ZERO };
    assert_eq!(refused(normalise(0.0, 4)), zero);
    assert_eq!(refused(normalise(1.0, 1)), NodeError::Count { what: "gain", found: 1, wanted: 4 });
    let upside_down = Activation::Clip { least: real(2.0), most: real(1.0) };
    assert!(matches!(refused(Node::Activate { of: sums, activation: upside_down }), NodeError::NotAbove { .. }));
    let attend = |heads| Node::Attend { query: sums, key: sums, value: sums, heads, mask: None };
    assert!(matches!(refused(attend(2)), NodeError::Shape { what: "the query", .. }), "two columns");
    for (first, count, end) in [(3, 2, 5), (0, 0, 0), (u32::MAX, 1, 1 << 32)] {
        let found = refused(Node::Channels { of: sums, first, count });
        assert_eq!(found, NodeError::Channels { end, channels: 4 });
    }
    let pool = |rows, columns| Node::Pool { of: sums, join: Join::Max, rows, columns };
    assert!(matches!(refused(pool(Axis::new(4, 2), Axis::new(2, 2))), NodeError::Shape { what: "its image", .. }));
    assert!(matches!(refused(pool(Axis::new(3, 4), Axis::new(2, 2))), NodeError::Window(_)));
    let all_padding = pool(Axis::new(3, 2).padded(2, 0), Axis::new(2, 2));
    assert!(matches!(refused(all_padding), NodeError::Window(_)), "a window of padding alone");
    assert!(matches!(refused(pool(Axis::new(3, 2).strided(0), Axis::new(2, 2))), NodeError::Window(_)));
    let third = Node::Round { of: sums, unit: Unit::Dynamic, scale: reals(&[1.0]), bias: Vec::new() };
    assert_eq!(refused(third), NodeError::Rounds { found: 2, wanted: 1 });
    assert!(matches!(refused(Node::Multiply { of: [Program::INPUT, TensorIndex(7)] }), NodeError::NotYet { .. }));
}

#[test]
fn programs_whose_rounds_are_not_the_heads_are_refused() {
    let flat = Layer::Dense { inputs: 4, outputs: 4 };
    let missing = planned(&[flat, flat], |_, sums| sums).unwrap_err();
    let wanted = NodeError::Rounds { found: 1, wanted: 2 };
    assert_eq!(missing, PlanError::Node { node: 0, source: wanted });
    let bias = |bias: &[f64]| Node::Round { of: X, unit: Unit::Dynamic, scale: reals(&[1.0]), bias: reals(bias) };
    let short = planned(&[flat, flat], |draft, _| draft.then(bias(&[1.0; 3]))).unwrap_err();
    assert_eq!(short, PlanError::Node { node: 1, source: NodeError::Count { what: "bias", found: 3, wanted: 4 } });
    let meeting = Node::Round { of: X, unit: Unit::DynamicPosition, scale: reals(&[1.0]), bias: Vec::new() };
    let found = planned(&[flat, flat], |draft, _| draft.then(meeting)).unwrap_err();
    assert_eq!(found, PlanError::Node { node: 1, source: NodeError::PositionsMeet });
    let zero = Node::Round { of: X, unit: Unit::Fixed(Real::ZERO), scale: reals(&[1.0]), bias: Vec::new() };
    let found = planned(&[flat, flat], |draft, _| draft.then(zero)).unwrap_err();
    assert!(matches!(found, PlanError::Node { node: 1, source: NodeError::NotAbove { what: "the unit", .. } }));
}

#[test]
fn a_program_must_begin_with_the_input_as_it_is() {
    let layer = Layer::Dense { inputs: 4, outputs: 4 };
    let first = |node: Node| {
        let mut draft = Draft::default();
        let last = draft.then(node);
        let plan = HeadPlan::new(SET, Mode::Rounds, vec![round_of(layer, Domain::I8)], draft.give_integers(last, WIDE));
        plan.unwrap_err()
    };
    let wanted = PlanError::Node { node: 0, source: NodeError::First };
    assert_eq!(first(Node::Activate { of: Program::INPUT, activation: Activation::Relu }), wanted);
    let halves =
        Node::Round { of: Program::INPUT, unit: Unit::Fixed(real(0.5)), scale: reals(&[1.0]), bias: Vec::new() };
    assert_eq!(first(halves), wanted);
}

#[test]
fn a_program_that_reads_an_input_which_is_not_wholly_sent_is_refused() {
    // Every second value is never met by the kernel, so it is not in the request, and lost with the first process.
    let layer = Layer::conv(1, 1, Axis::new(4, 1).strided(2), Axis::new(1, 1));
    let reads = |draft: &mut Draft, sums| {
        let to = [1, 2, 1];
        let half =
            Node::Pool { of: Program::INPUT, join: Join::Max, rows: side_by_side(4, 2), columns: Axis::new(1, 1) };
        let pooled = draft.then(half);
        let sums = draft.then(Node::Reshape { of: sums, to });
        draft.then(Node::Add { of: [sums, pooled] })
    };
    assert_eq!(planned(&[layer], reads).unwrap_err(), PlanError::Node { node: 1, source: NodeError::NotSent });
    assert!(planned(&[layer], |_, sums| sums).is_ok());
}

#[test]
fn a_program_that_would_fill_a_clients_memory_or_day_is_refused() {
    let side = Axis::new(64, 1);
    let layer = Layer::depthwise(64, side, side);
    let many = planned(&[layer], |draft, sums| {
        (0..130).fold(sums, |of, _| draft.then(Node::Activate { of, activation: Activation::Relu }))
    });
    let too_many = |error: PlanError| match error {
        PlanError::Node { source: NodeError::TooMuch { what, .. }, .. } => what,
        other => panic!("{other}"),
    };
    assert_eq!(too_many(many.unwrap_err()), "values of all tensors");
    let tokens = Layer::matmul(1 << 14, 4, 4);
    let long = planned(&[tokens], |draft, sums| {
        (0..8).fold(sums, |of, _| draft.then(Node::Attend { query: of, key: of, value: of, heads: 1, mask: None }))
    });
    assert_eq!(too_many(long.unwrap_err()), "operations");
    let doubled =
        planned(&[layer], |draft, sums| (0..6).fold(sums, |of, _| draft.then(Node::Concatenate { of: [of, of] })));
    assert_eq!(too_many(doubled.unwrap_err()), "values of one tensor");
}

#[test]
fn more_nodes_than_any_program_has_are_refused_before_a_node_is_read() {
    let plan = planned(&[identity(OF)], |_, sums| sums).unwrap();
    let bytes = plan.to_bytes();
    // The program is one node and the features: its count is the byte before them.
    let tail = codec::Encode::encode(plan.program()).len();
    let mut many = bytes[..bytes.len() - tail].to_vec();
    codec::Encode::encode_to(&codec::Compact(Program::NODE_LIMIT as u32 + 1), &mut many);
    assert_eq!(HeadPlan::from_bytes(&many), Err(PlanError::Encoding(DecodeError::Malformed)));
    let mut nan = bytes.clone();
    let unit = bytes.len() - 2 - 4;
    nan[unit..unit + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(
        HeadPlan::from_bytes(&nan),
        Err(PlanError::Encoding(DecodeError::Malformed)),
        "a unit that is no number"
    );
}

#[test]
fn a_linear_head_has_no_more_than_its_round() {
    let mut draft = Draft::default();
    let sums = draft.round(Program::INPUT);
    let last = draft.then(Node::Activate { of: sums, activation: Activation::Relu });
    let rounds = vec![round_of(identity(OF), Domain::I8)];
    let found = HeadPlan::new(SET, Mode::Linear, rounds, draft.give_integers(last, WIDE)).unwrap_err();
    assert_eq!(found, PlanError::NotLinear { found: 2 });
}

#[test]
fn a_run_takes_only_what_it_asked_for() {
    let layer = Layer::Dense { inputs: 4, outputs: 3 };
    let plan = planned(&[layer], |_, sums| sums).unwrap();
    assert!(plan.run(&[1; 5]).is_err());
    let mut run = plan.run(&[1; 4]).unwrap();
    assert!(run.features().is_none());
    assert!(run.answer(&[1; 4]).is_err());
    run.answer(&[1, -2, 3]).unwrap();
    assert!(run.answer(&[1, -2, 3]).is_err() && run.request().is_none());
    assert_eq!(run.features().unwrap().expose(), [1, -2, 3]);
}

/// A residual block, a squeeze of its channels, attention over places, and a function: every operation that meets
/// another round.
fn deep_plan(rng: &mut StdRng, set: ParameterSet) -> (HeadPlan, HeadWeights) {
    let side = Axis::new(6, 3).padded(1, 1);
    let (conv, dense) = (Layer::conv(4, 4, side, side), Layer::Dense { inputs: 144, outputs: 5 });
    let tokens = Layer::matmul(36, 4, 4);
    let layers = [(conv, Domain::U8), (conv, Domain::I8), (tokens, Domain::I8), (dense, Domain::I8)];
    let weights: Vec<Vec<i8>> = layers.iter().map(|(layer, _)| random_layer_weights(rng, layer)).collect();
    let fitted = |((layer, input), weights): (&(Layer, Domain), &Vec<i8>)| {
        RoundPlan::fitted(set, *layer, *input, weights).unwrap()
    };
    let rounds = layers.iter().zip(&weights).map(fitted).collect();
    let round = |of, unit| Node::Round { of, unit, scale: reals(&[0.01]), bias: Vec::new() };
    let mut draft = Draft::default();
    let first = draft.round(Program::INPUT);
    let first = draft.then(Node::Activate { of: first, activation: Activation::Silu });
    let second = draft.then(round(first, Unit::Dynamic));
    let sum = draft.then(Node::Add { of: [first, second] });
    let sum = draft.then(Node::Add { of: [sum, Program::INPUT] });
    let tokens = draft.then(Node::Reshape { of: sum, to: [4, 36, 1] });
    let (gain, offset) = (reals(&[1.0; 4]), reals(&[0.5; 4]));
    let tokens = draft.then(Node::Normalise { of: tokens, epsilon: real(1e-5), gain, offset });
    let mixed = draft.then(round(tokens, Unit::DynamicPosition));
    let mixed = draft.then(Node::Attend { query: mixed, key: tokens, value: mixed, heads: 2, mask: None });
    let mixed = draft.then(Node::Activate { of: mixed, activation: Activation::Gelu });
    let flat = draft.then(Node::Reshape { of: mixed, to: [144, 1, 1] });
    let last = draft.then(round(flat, Unit::Dynamic));
    let program = draft.give(Features { of: last, unit: real(0.001), domain: WIDE });
    (HeadPlan::new(set, Mode::Rounds, rounds, program).unwrap(), HeadWeights::new(weights))
}

#[test]
fn a_deep_head_with_a_shortcut_and_attention_gives_the_same_encrypted_and_in_clear() {
    let mut rng = StdRng::seed_from_u64(21);
    let (plan, weights) = deep_plan(&mut rng, ParameterSet::Glwe2048V1);
    assert_eq!(HeadPlan::from_bytes(&plan.to_bytes()).unwrap(), plan);
    let head = compile(plan, weights, &CompileOptions::default()).unwrap();
    let owner = Owner::new(ParameterSet::Glwe2048V1);
    let input = random_inputs(&mut rng, Domain::U8, 144);
    let encrypted = kit::all_rounds(&head, &input, |round, values| owner.run(&head, round, values));
    let clear = kit::all_rounds(&head, &input, |round, values| kit::clear(&head, round, values));
    assert_eq!(encrypted, clear);
    assert!(encrypted.iter().any(|feature| *feature != encrypted[0]), "the head is not constant");
}

#[test]
fn a_program_gives_the_recorded_numbers_on_every_machine() {
    let mut rng = StdRng::seed_from_u64(22);
    let (plan, weights) = deep_plan(&mut rng, SET);
    let head = compiled(SET, plan.rounds().to_vec(), plan.program().clone(), weights, Toy::Allowed);
    let input: Vec<i64> = (0..144).map(|at| at * 37 % 256).collect();
    let found = kit::all_rounds(&head, &input, |round, values| kit::clear(&head, round, values));
    assert_eq!(found, RECORDED);
}

/// From a first run; the same on every platform, for every operation is one of IEEE 754 or of `libm`.
const RECORDED: [i64; 5] = [12_934, 1_305, 3_459, -2_901, 4_908];

#[test]
fn what_a_key_encrypted_it_reads_again() {
    let mut rng = StdRng::seed_from_u64(23);
    let side = Axis::new(20, 5).padded(2, 2);
    let round = round_of(Layer::conv(3, 4, side, side), Domain::I8);
    let (owner, layout) = (Owner::new(SET), round.input_layout(SET).unwrap());
    let input = random_inputs(&mut rng, Domain::I8, 1_200);
    let request = owner.key.encrypt(&input, &layout, round.accumulator_bits).unwrap();
    assert_eq!(*owner.key.read_request(&request, &layout, round.accumulator_bits).unwrap(), input);
    let other = round_of(Layer::Dense { inputs: 4, outputs: 1 }, Domain::I8);
    let small = other.input_layout(SET).unwrap();
    assert!(owner.key.read_request(&request, &small, other.accumulator_bits).is_err());
    assert!(Owner::new(ParameterSet::Glwe2048V1).key.read_request(&request, &layout, round.accumulator_bits).is_err());
}

#[test]
fn a_program_reads_like_a_plan() {
    let (plan, _) = deep_plan(&mut StdRng::seed_from_u64(24), SET);
    let lines: Vec<String> = plan.program().nodes().iter().map(ToString::to_string).collect();
    assert_eq!(lines[..4], ["round of input", "silu of t1", "round of t2 in units of its largest value", "t2 + t3"]);
    assert!(lines.contains(&"attention of t8 to t7, 2 heads over t8".to_owned()), "{lines:?}");
}

proptest! {
    #[test]
    fn a_program_that_may_read_the_input_finds_all_of_it_in_the_request(
        kernel in 1u32..5, stride in 1u32..4, dilation in 1u32..4, before in 0u32..3, after in 0u32..3, more in 0u32..9,
        seed in any::<u64>(),
    ) {
        let reach = (kernel - 1) * dilation + 1;
        let axis = Axis::new(reach + more, kernel).strided(stride).dilated(dilation).padded(before, after);
        let layer = Layer::conv(2, 1, axis, Axis::new(3, 1));
        let taken = planned(&[layer], |draft, sums| {
            draft.then(Node::Activate { of: Program::INPUT, activation: Activation::Relu });
            sums
        });
        if let Ok(plan) = taken {
            let (owner, round) = (Owner::new(SET), &plan.rounds()[0]);
            let layout = round.input_layout(SET).unwrap();
            let input = random_inputs(&mut StdRng::seed_from_u64(seed), Domain::I8, layer.input_shape().len());
            let request = owner.key.encrypt(&input, &layout, round.accumulator_bits).unwrap();
            prop_assert_eq!(&*owner.key.read_request(&request, &layout, round.accumulator_bits).unwrap(), &input);
        }
    }

    #[test]
    fn whatever_is_decrypted_every_request_is_in_its_domain(sums in prop::collection::vec(any::<i64>(), 144), seed in any::<u64>()) {
        let mut rng = StdRng::seed_from_u64(seed);
        let (plan, _) = deep_plan(&mut rng, SET);
        let mut run = plan.run(&random_inputs(&mut rng, Domain::U8, 144)).unwrap();
        while let Some((round, values)) = run.request() {
            let domain = plan.rounds()[usize::from(round.0)].input;
            prop_assert!(values.iter().all(|value| (domain.min()..=domain.max()).contains(value)));
            let count = plan.rounds()[usize::from(round.0)].sums().len();
            run.answer(&sums[..count]).unwrap();
        }
        let features = run.features().unwrap();
        prop_assert!(features.expose().iter().all(|value| (WIDE.min()..=WIDE.max()).contains(value)));
    }
}
