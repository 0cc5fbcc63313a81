//! Operators of creators' models in the head: each network as integers, and what is refused by its node.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use encompute_model::{Bench, BenchError, LowerError};
use kit::{conv_folder, conv_model, filled, float, int, ints, model, node, read, tensor, text, weights};
use tract_onnx::pb::{ModelProto, TensorProto};

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
