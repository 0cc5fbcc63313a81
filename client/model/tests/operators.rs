//! Operators of creators' models in the head: each network as integers, and what is refused by its node.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use encompute_model::{Bench, BenchError, LowerError, onnx::Operation};
use kit::{conv_folder, conv_model, filled, float, int, ints, model, node, read, tensor, text, weights};
use tract_onnx::pb::{AttributeProto, ModelProto, TensorProto};

#[test]
fn a_convolution_with_pooling_runs_as_integers() {
    let folder = tempfile::tempdir().unwrap();
    conv_folder(folder.path(), "rounds", &conv_model());
    let bench = Bench::open(folder.path()).unwrap();
    let split = bench.split(0).unwrap();
    let measured = bench.measure(&split, &bench.held_out().unwrap()).unwrap();
    assert_eq!((measured.samples(), measured.float_correct), (100, 100));
    assert!(measured.quantised_correct >= 95, "{} of 100", measured.quantised_correct);
}

/// As mobile networks have them: a strided convolution padded as TensorFlow pads, a dilated depthwise one, one in
/// two groups of uneven strides, then features.
fn grouped_model() -> ModelProto {
    let strided = vec![ints("pads", &[0, 0, 1, 1]), ints("strides", &[2, 2])];
    let depthwise = vec![int("group", 6), ints("dilations", &[2, 2]), ints("pads", &[2, 2, 2, 2])];
    let grouped = vec![int("group", 2), ints("strides", &[2, 1])];
    let nodes = vec![
        node("first", "Conv", &["input", "k0", "b0"], strided),
        node("relu0", "Relu", &["first.out"], vec![]),
        node("depthwise", "Conv", &["relu0.out", "k1", "b1"], depthwise),
        node("relu1", "Relu", &["depthwise.out"], vec![]),
        node("grouped", "Conv", &["relu1.out", "k2"], grouped),
        node("relu2", "Relu", &["grouped.out"], vec![]),
        node("flat", "Flatten", &["relu2.out"], vec![]),
        node("features", "Gemm", &["flat.out", "w"], vec![]),
        node("scores", "Gemm", &["features.out", "w2"], vec![]),
    ];
    let tensors = vec![
        weights("k0", &[6, 1, 3, 3], 1.0),
        weights("b0", &[6], 0.1),
        weights("k1", &[6, 1, 3, 3], 1.0),
        weights("b1", &[6], 0.2),
        weights("k2", &[4, 3, 2, 2], 1.0),
        // 12×12 pictures give 6×6, then 6×6, then 3×5.
        weights("w", &[60, 8], 0.3),
        weights("w2", &[8, 3], 1.0),
    ];
    model(&[1, 12, 12], nodes, tensors, 3)
}

#[test]
fn convolutions_in_groups_with_dilation_and_uneven_sides_run_as_integers() {
    let folder = tempfile::tempdir().unwrap();
    conv_folder(folder.path(), "rounds", &grouped_model());
    let bench = Bench::open(folder.path()).unwrap();
    let split = bench.split(0).unwrap();
    let measured = bench.measure(&split, &bench.held_out().unwrap()).unwrap();
    assert_eq!((measured.samples(), measured.float_correct), (100, 100));
    assert!(measured.quantised_correct >= 90, "{} of 100", measured.quantised_correct);
}

/// As residual networks have them: batch norms, a shortcut as it is and one through a 1×1 convolution, channels
/// weighed by themselves, two pools put together.
fn residual_model() -> ModelProto {
    let same = || vec![ints("pads", &[1, 1, 1, 1])];
    let halved = || vec![ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])];
    let pool = || vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), ints("pads", &[1, 1, 0, 0])];
    let nodes = vec![
        node("first", "Conv", &["input", "k0"], same()),
        node("norm", "BatchNormalization", &["first.out", "scale", "shift", "mean", "variance"], vec![]),
        node("relu0", "Relu", &["norm.out"], vec![]),
        node("one", "Conv", &["relu0.out", "k1", "b1"], same()),
        node("shortcut", "Add", &["one.out", "relu0.out"], vec![]),
        node("relu1", "LeakyRelu", &["shortcut.out"], vec![float("alpha", 0.1)]),
        node("two", "Conv", &["relu1.out", "k2", "b1"], halved()),
        node("projected", "Conv", &["relu1.out", "k3"], vec![ints("strides", &[2, 2])]),
        node("sum", "Add", &["projected.out", "two.out"], vec![]),
        node("six", "Clip", &["sum.out", "zero", "large"], vec![]),
        node("pooled", "GlobalAveragePool", &["six.out"], vec![]),
        node("gate", "Sigmoid", &["pooled.out"], vec![]),
        node("gated", "Mul", &["gate.out", "six.out"], vec![]),
        node("largest", "MaxPool", &["gated.out"], pool()),
        node("average", "AveragePool", &["gated.out"], pool()),
        node("both", "Concat", &["largest.out", "average.out"], vec![int("axis", 1)]),
        node("doubled", "Mul", &["both.out", "two.0"], vec![]),
        node("lower", "Sub", &["doubled.out", "half"], vec![]),
        node("unread", "Tanh", &["lower.out"], vec![]),
        node(
            "shape",
            "Constant",
            &[],
            vec![tensor(
                "value",
                TensorProto { dims: vec![2], data_type: 7, int64_data: vec![0, -1], ..TensorProto::default() },
            )],
        ),
        node("flat", "Reshape", &["lower.out", "shape.out"], vec![]),
        node("features", "Gemm", &["flat.out", "w"], vec![]),
        node("scores", "Gemm", &["features.out", "w2"], vec![]),
    ];
    let tensors = vec![
        weights("k0", &[4, 1, 3, 3], 1.0),
        weights("scale", &[4], 1.0),
        weights("shift", &[4], 0.3),
        weights("mean", &[4], 0.3),
        filled("variance", &[4], 0.8),
        weights("k1", &[4, 4, 3, 3], 0.4),
        weights("b1", &[4], 0.2),
        weights("k2", &[4, 4, 3, 3], 0.4),
        weights("k3", &[4, 4, 1, 1], 0.6),
        filled("zero", &[], 0.0),
        filled("large", &[], 6.0),
        filled("two.0", &[1], 2.0),
        weights("half", &[1, 8, 1, 1], 0.5),
        // 6×6 in windows of three, two apart, padded before: 3×3 of eight channels.
        weights("w", &[72, 8], 0.3),
        weights("w2", &[8, 3], 1.0),
    ];
    model(&[1, 12, 12], nodes, tensors, 3)
}

/// What transformers and gated networks do with a vector.
fn vector_model() -> ModelProto {
    let nodes = vec![
        node("flat", "Flatten", &["input"], vec![]),
        node("first", "Gemm", &["flat.out", "w0", "b0"], vec![]),
        node("norm", "LayerNormalization", &["first.out", "gain", "b0"], vec![int("axis", -1)]),
        node("gelu", "Gelu", &["norm.out"], vec![text("approximate", "tanh")]),
        node("second", "MatMul", &["gelu.out", "w1"], vec![]),
        node("rest", "Add", &["second.out", "norm.out"], vec![]),
        // The other Gelu, as exporters before opset 20 write it.
        node("scaled", "Div", &["rest.out", "root"], vec![]),
        node("erf", "Erf", &["scaled.out"], vec![]),
        node("more", "Add", &["erf.out", "one"], vec![]),
        node("gated", "Mul", &["rest.out", "more.out"], vec![]),
        node("weights", "Softmax", &["gated.out"], vec![int("axis", 1)]),
        node("weighed", "Mul", &["weights.out", "gated.out"], vec![]),
        node("from", "Sub", &["one", "weighed.out"], vec![]),
        node("tanh", "Tanh", &["from.out"], vec![]),
        node("features", "Gemm", &["tanh.out", "w2"], vec![]),
        node("scores", "Gemm", &["features.out", "w3"], vec![]),
    ];
    let tensors = vec![
        weights("w0", &[144, 12], 0.5),
        weights("b0", &[12], 0.3),
        filled("gain", &[12], 1.5),
        weights("w1", &[12, 12], 0.6),
        filled("root", &[], core::f32::consts::SQRT_2),
        filled("one", &[], 1.0),
        weights("w2", &[12, 8], 2.0),
        weights("w3", &[8, 3], 1.0),
    ];
    model(&[1, 12, 12], nodes, tensors, 3)
}

/// Answers of the quantised head and tail that are those of the float model, of a hundred.
fn same_answers(model: &ModelProto) -> usize {
    let folder = tempfile::tempdir().unwrap();
    conv_folder(folder.path(), "rounds", model);
    let bench = Bench::open(folder.path()).unwrap();
    let split = bench.split(0).unwrap();
    let measured = bench.measure(&split, &bench.held_out().unwrap()).unwrap();
    assert_eq!((measured.samples(), measured.float_correct), (100, 100));
    measured.quantised_correct
}

#[test]
fn a_residual_network_runs_as_integers_with_its_shortcuts() {
    let head = read(&residual_model()).unwrap().head_until("features").unwrap();
    let names: Vec<&str> = head.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names.len(), 19, "{names:?}");
    let gone = ["norm", "unread", "shape"];
    assert!(names.iter().all(|name| !gone.contains(name)), "folded, unread, fixed: {names:?}");
    let same = same_answers(&residual_model());
    assert!(same >= 92, "{same} of 100");
}

#[test]
fn functions_of_transformers_run_on_what_is_decrypted() {
    let same = same_answers(&vector_model());
    assert!(same >= 92, "{same} of 100");
}

/// As networks over signals have them: 144 readings in a row, convolutions and pools of one dimension.
fn signal_model() -> ModelProto {
    let to = |name: &str, sides: &[i64]| {
        let dims = vec![i64::try_from(sides.len()).unwrap()];
        let values = TensorProto { dims, data_type: 7, int64_data: sides.to_vec(), ..TensorProto::default() };
        node(name, "Constant", &[], vec![tensor("value", values)])
    };
    let strided = vec![ints("strides", &[2]), ints("pads", &[2, 1]), ints("kernel_shape", &[5])];
    let dilated = vec![int("group", 3), ints("dilations", &[3]), ints("pads", &[3, 3])];
    let pool = || vec![ints("kernel_shape", &[3]), ints("strides", &[3])];
    let nodes = vec![
        to("row", &[0, 1, 144]),
        node("signal", "Reshape", &["input", "row.out"], vec![]),
        node("first", "Conv", &["signal.out", "k0", "b0"], strided),
        node("relu0", "Relu", &["first.out"], vec![]),
        node("dilated", "Conv", &["relu0.out", "k1"], dilated),
        node("relu1", "Relu", &["dilated.out"], vec![]),
        node("largest", "MaxPool", &["relu1.out"], pool()),
        node("average", "AveragePool", &["relu0.out"], pool()),
        node("both", "Concat", &["largest.out", "average.out"], vec![int("axis", -2)]),
        node("flat", "Flatten", &["both.out"], vec![]),
        node("features", "Gemm", &["flat.out", "w"], vec![]),
        node("scores", "Gemm", &["features.out", "w2"], vec![]),
    ];
    let tensors = vec![
        weights("k0", &[6, 1, 5], 1.0),
        weights("b0", &[6], 0.1),
        weights("k1", &[6, 2, 3], 1.0),
        // 144 readings give 72, then 24 of twelve channels.
        weights("w", &[288, 8], 0.2),
        weights("w2", &[8, 3], 1.0),
    ];
    model(&[1, 12, 12], nodes, tensors, 3)
}

#[test]
fn convolutions_and_pools_of_one_dimension_run_as_integers() {
    let same = same_answers(&signal_model());
    assert!(same >= 92, "{same} of 100");
}

/// As networks that go down and up again have them: every attribute that a transposed convolution has.
fn hourglass_model(transposed: Vec<AttributeProto>, kernel: [i64; 4], width: i64) -> ModelProto {
    let halved = vec![ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])];
    let nodes = vec![
        node("down", "Conv", &["input", "k0", "b0"], halved),
        node("relu0", "Relu", &["down.out"], vec![]),
        node("up", "ConvTranspose", &["relu0.out", "k1", "b1"], transposed),
        node("relu1", "Relu", &["up.out"], vec![]),
        node("mixed", "Conv", &["relu1.out", "k2"], vec![]),
        node("flat", "Flatten", &["mixed.out"], vec![]),
        node("features", "Gemm", &["flat.out", "w"], vec![]),
        node("scores", "Gemm", &["features.out", "w2"], vec![]),
    ];
    let tensors = vec![
        weights("k0", &[4, 1, 3, 3], 1.0),
        weights("b0", &[4], 0.1),
        weights("k1", &kernel, 0.7),
        weights("b1", &[4], 0.3),
        weights("k2", &[1, 4, 1, 1], 1.0),
        weights("w", &[width, 8], 0.3),
        weights("w2", &[8, 3], 1.0),
    ];
    model(&[1, 12, 12], nodes, tensors, 3)
}

#[test]
fn transposed_convolutions_run_as_the_dense_layers_that_they_are() {
    let doubling = vec![ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1]), ints("output_padding", &[1, 1])];
    let uneven =
        vec![int("group", 2), ints("strides", &[1, 2]), ints("dilations", &[2, 1]), ints("pads", &[1, 0, 2, 1])];
    for (attributes, kernel, sides) in
        [(doubling, [4, 4, 3, 3], 12 * 12), (uneven, [4, 2, 2, 3], 5 * 12), (vec![], [4, 4, 2, 2], 49)]
    {
        let same = same_answers(&hourglass_model(attributes, kernel, sides));
        assert!(same >= 92, "{kernel:?}: {same} of 100");
    }
}

#[test]
fn transposed_convolutions_that_cannot_be_read_are_refused_with_their_node() {
    let cases = [
        (vec![ints("output_shape", &[12, 12])], [4, 4, 3, 3], "output_shape is not known"),
        (vec![ints("pads", &[9, 9, 9, 9])], [4, 4, 3, 3], "the padding is larger than what it is taken from"),
        (vec![text("auto_pad", "SAME_UPPER")], [4, 4, 3, 3], "auto_pad `SAME_UPPER`"),
        (vec![], [3, 4, 3, 3], "the kernel is for 3 channels in 1 groups, 4 come in"),
        (vec![int("group", 3)], [4, 4, 3, 3], "the kernel is for 4 channels in 3 groups"),
        (vec![ints("strides", &[400, 400])], [4, 4, 3, 3], "it has more than 16777216 weights"),
    ];
    for (attributes, kernel, reason) in cases {
        let error =
            read(&hourglass_model(attributes, kernel, 1)).unwrap().head_until("features").unwrap_err().to_string();
        assert!(error.starts_with("node `up` (ConvTranspose)") && error.contains(reason), "{error}");
    }
}

/// As networks for phones have them, exported with their channels last.
fn phone_model() -> ModelProto {
    let nodes = vec![
        node("first", "Conv", &["input", "k0", "b0"], vec![ints("strides", &[2, 2])]),
        node("swish", "HardSwish", &["first.out"], vec![]),
        node("squeezed", "ReduceMean", &["swish.out"], vec![ints("axes", &[2, 3])]),
        node("gate", "HardSigmoid", &["squeezed.out"], vec![float("alpha", 0.3)]),
        node("gated", "Mul", &["swish.out", "gate.out"], vec![]),
        node("behind", "Transpose", &["gated.out"], vec![ints("perm", &[0, 2, 3, 1])]),
        node("before", "Transpose", &["behind.out"], vec![ints("perm", &[0, 3, 1, 2])]),
        node("second", "Conv", &["before.out", "k1"], vec![]),
        node("turned", "Transpose", &["second.out"], vec![ints("perm", &[0, 2, 3, 1])]),
        node("flat", "Flatten", &["turned.out"], vec![]),
        node("mean", "ReduceMean", &["gated.out"], vec![ints("axes", &[2, -1]), int("keepdims", 0)]),
        node("column", "Unsqueeze", &["mean.out", "last"], vec![]),
        node("row", "Squeeze", &["column.out", "last"], vec![]),
        node("left", "Gemm", &["flat.out", "w0"], vec![]),
        node("right", "Gemm", &["row.out", "w1"], vec![]),
        node("features", "Add", &["left.out", "right.out"], vec![]),
        node("scores", "Gemm", &["features.out", "w2"], vec![]),
    ];
    let tensors = vec![
        weights("k0", &[4, 1, 3, 3], 1.0),
        weights("b0", &[4], 0.1),
        weights("k1", &[3, 4, 2, 2], 1.0),
        TensorProto { dims: vec![1], data_type: 7, int64_data: vec![2], name: "last".into(), ..TensorProto::default() },
        // 12×12 pictures give 5×5, then 4×4 of three channels.
        weights("w0", &[48, 8], 0.3),
        weights("w1", &[4, 8], 0.3),
        weights("w2", &[8, 3], 1.0),
    ];
    model(&[1, 12, 12], nodes, tensors, 3)
}

#[test]
fn channels_go_behind_the_other_sides_and_means_over_pictures_run_as_integers() {
    let mut model = phone_model();
    let same = same_answers(&model);
    assert!(same >= 92, "{same} of 100");
    let graph = model.graph.as_mut().unwrap();
    for (at, attribute, reason) in [
        (5, ints("perm", &[0, 2, 1, 3]), "perm is [0, 2, 1, 3]; channels may go behind the other sides"),
        (10, ints("axes", &[3]), "over all sides but the channels, its axes are [3] of 4 sides"),
    ] {
        let before = graph.node[at].clone();
        graph.node[at].attribute = vec![attribute];
        graph.node[at].input.truncate(1);
        let error = read(&ModelProto { graph: Some(graph.clone()), ..ModelProto::default() });
        let error = error.unwrap().head_until("features").unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        graph.node[at] = before;
    }
}

#[test]
fn dense_layers_that_read_the_same_go_in_one_round() {
    let nodes = vec![
        node("flat", "Flatten", &["input"], vec![]),
        node("left", "Gemm", &["flat.out", "w0"], vec![]),
        node("gate", "Gemm", &["flat.out", "w1", "b1"], vec![]),
        node("more", "MatMul", &["flat.out", "w0"], vec![]),
        node("open", "Sigmoid", &["gate.out"], vec![]),
        node("gated", "Mul", &["left.out", "open.out"], vec![]),
        node("sum", "Add", &["gated.out", "more.out"], vec![]),
        node("features", "Gemm", &["sum.out", "w2"], vec![]),
        node("scores", "Gemm", &["features.out", "w3"], vec![]),
    ];
    let tensors = vec![
        weights("w0", &[144, 10], 0.3),
        weights("w1", &[144, 10], 0.2),
        weights("b1", &[10], 1.0),
        weights("w2", &[10, 8], 1.0),
        weights("w3", &[8, 3], 1.0),
    ];
    let model = model(&[1, 12, 12], nodes, tensors, 3);
    let head = read(&model).unwrap().head_until("features").unwrap();
    let rounds = head.nodes.iter().filter(|node| matches!(node.operation, Operation::Linear { .. })).count();
    assert_eq!(rounds, 2);
    let same = same_answers(&model);
    assert!(same >= 95, "{same} of 100");
}

#[test]
fn a_shortcut_from_the_input_itself_is_on_the_models_axis() {
    let nodes = vec![
        node("conv", "Conv", &["input", "k", "kb"], vec![ints("pads", &[1, 1, 1, 1])]),
        node("shortcut", "Add", &["conv.out", "input"], vec![]),
        node("relu", "Relu", &["shortcut.out"], vec![]),
        node("again", "Conv", &["input", "k"], vec![ints("pads", &[1, 1, 1, 1])]),
        node("both", "Add", &["relu.out", "again.out"], vec![]),
        node("flat", "Flatten", &["both.out"], vec![]),
        node("features", "Gemm", &["flat.out", "w"], vec![]),
        node("scores", "Gemm", &["features.out", "w2"], vec![]),
    ];
    let tensors = vec![
        weights("k", &[1, 1, 3, 3], 0.5),
        filled("kb", &[1], -0.2),
        weights("w", &[144, 8], 0.5),
        weights("w2", &[8, 3], 1.0),
    ];
    let same = same_answers(&model(&[1, 12, 12], nodes, tensors, 3));
    assert!(same >= 95, "{same} of 100");
}

#[test]
fn what_comes_before_the_first_linear_layer_is_refused_with_its_node() {
    let mut early = conv_model();
    let graph = early.graph.as_mut().unwrap();
    graph.node[0].input[0] = "early.out".into();
    graph.node.insert(0, node("early", "Tanh", &["input"], vec![]));
    let folder = tempfile::tempdir().unwrap();
    conv_folder(folder.path(), "rounds", &early);
    let error = Bench::open(folder.path()).unwrap().split(0).err().unwrap();
    assert!(matches!(&error, BenchError::Lower(LowerError::First { node }) if node == "early"), "{error}");
}

#[test]
fn values_of_other_sides_are_refused_with_the_node() {
    let cases = [
        ("shortcut", ["input", "one.out"], "sides [1, 12, 12] and [4, 12, 12] do not fit each other"),
        ("both", ["largest.out", "relu1.out"], "of the same sides but the first"),
        ("doubled", ["two.0", "two.0"], "`two.0` must depend on the model's input"),
        ("lower", ["doubled.out", "k1"], "a number per channel is needed"),
    ];
    for (name, inputs, reason) in cases {
        let mut broken = residual_model();
        let graph = broken.graph.as_mut().unwrap();
        let at = graph.node.iter().position(|node| node.name == name).unwrap();
        graph.node[at].input = inputs.map(str::to_owned).to_vec();
        let error = read(&broken).unwrap().head_until("features").unwrap_err().to_string();
        assert!(error.starts_with(&format!("node `{name}`")) && error.contains(reason), "{error}");
    }
}

#[test]
fn groups_that_do_not_fit_the_channels_are_refused_with_the_node() {
    for (group, at) in [(4, 2), (5, 2), (0, 2), (-1, 2), (3, 4)] {
        let mut broken = grouped_model();
        broken.graph.as_mut().unwrap().node[at].attribute[0] = int("group", group);
        let error = read(&broken).unwrap().head_until("features").unwrap_err().to_string();
        assert!(error.contains(&format!("in each of {group} groups")), "{error}");
    }
}
