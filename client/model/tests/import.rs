//! ONNX files of creators, well formed and not.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_model::{Bench, BenchError, ImportError, OnnxModel, TailLimits, TailModel};
use image::{GrayImage, Luma};
use proptest::prelude::*;
use prost::Message;
use std::{fmt::Write, path::Path};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto::AttributeType, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension::Value as Size, type_proto,
};

fn weights(name: &str, dims: &[i64], scale: f32) -> TensorProto {
    let count = dims.iter().product::<i64>();
    // A fixed sequence without pattern: multiples of the golden ratio.
    let value = |index: i64| scale * ((index as f32 * 0.618_034 + dims.len() as f32 * 0.3).fract() - 0.5);
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: 1,
        float_data: (0..count).map(value).collect(),
        ..TensorProto::default()
    }
}

fn node(name: &str, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        name: name.into(),
        op_type: operator.into(),
        input: inputs.iter().map(|input| (*input).to_owned()).collect(),
        output: vec![format!("{name}.out")],
        attribute: attributes,
        ..NodeProto::default()
    }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints: ints.to_vec(),
        ..AttributeProto::default()
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i, ..AttributeProto::default() }
}

fn value(name: &str, sides: &[i64]) -> ValueInfoProto {
    let side = |size| Dimension { value: Some(size), ..Dimension::default() };
    let dim = std::iter::once(side(Size::DimParam("batch".into())));
    let dim = dim.chain(sides.iter().map(|size| side(Size::DimValue(*size)))).collect();
    let tensor = type_proto::Tensor { elem_type: 1, shape: Some(TensorShapeProto { dim }) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..ValueInfoProto::default() }
}

fn model(sides: &[i64], nodes: Vec<NodeProto>, initializer: Vec<TensorProto>, classes: i64) -> ModelProto {
    let output = nodes.last().unwrap().output[0].clone();
    let graph = GraphProto {
        name: "test".into(),
        node: nodes,
        initializer,
        input: vec![value("input", sides)],
        output: vec![value(&output, &[classes])],
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { version: 17, ..OperatorSetIdProto::default() }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

/// 8 → 6 → ReLU → 4 features → 3 scores.
fn dense_model() -> ModelProto {
    let nodes = vec![
        node("first", "MatMul", &["input", "w0"], vec![]),
        node("first.bias", "Add", &["b0", "first.out"], vec![]),
        node("relu", "Relu", &["first.bias.out"], vec![]),
        node("features", "Gemm", &["relu.out", "w1", "b1"], vec![int("transB", 1)]),
        node("scores", "Gemm", &["features.out", "w2"], vec![]),
    ];
    let tensors = vec![
        weights("w0", &[8, 6], 1.0),
        weights("b0", &[6], 0.2),
        weights("w1", &[4, 6], 1.0),
        weights("b1", &[4], 0.2),
        weights("w2", &[4, 3], 1.0),
    ];
    model(&[8], nodes, tensors, 3)
}

/// Convolution, ReLU, pooling, flattening, features, scores, over 12×12 pictures.
fn conv_model() -> ModelProto {
    let nodes = vec![
        node("conv", "Conv", &["input", "k", "kb"], vec![ints("pads", &[1, 1, 1, 1]), ints("kernel_shape", &[3, 3])]),
        node("relu", "Relu", &["conv.out"], vec![]),
        node("pool", "AveragePool", &["relu.out"], vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]),
        node("flat", "Flatten", &["pool.out"], vec![]),
        node("features", "Gemm", &["flat.out", "w"], vec![]),
        node("scores", "Gemm", &["features.out", "w2"], vec![]),
    ];
    let tensors = vec![
        weights("k", &[4, 1, 3, 3], 1.0),
        weights("kb", &[4], 0.1),
        weights("w", &[144, 8], 0.3),
        weights("w2", &[8, 3], 1.0),
    ];
    model(&[1, 12, 12], nodes, tensors, 3)
}

fn read(model: &ModelProto) -> Result<OnnxModel, ImportError> {
    OnnxModel::read(&model.encode_to_vec())
}

fn with(change: impl FnOnce(&mut GraphProto)) -> ModelProto {
    let mut model = dense_model();
    change(model.graph.as_mut().unwrap());
    model
}

#[test]
fn the_head_ends_where_the_card_says() {
    let steps = read(&dense_model()).unwrap().head_until("features").unwrap();
    let nodes: Vec<_> = steps.iter().map(|step| step.node.as_str()).collect();
    assert_eq!(nodes, ["first", "relu", "features"]);
}

#[test]
fn the_first_operator_that_cannot_run_is_named() {
    let strange = with(|graph| graph.node[2].op_type = "Gelu".into());
    let error = read(&strange).unwrap().head_until("features").unwrap_err();
    assert!(error.to_string().starts_with("node `relu` (Gelu) cannot run in the head"), "{error}");
}

#[test]
fn operators_after_the_cut_are_the_engines_business() {
    let strange = with(|graph| graph.node[4].op_type = "Gelu".into());
    assert!(read(&strange).unwrap().head_until("features").is_ok());
}

#[test]
fn weights_that_are_not_finite_are_refused_with_their_node() {
    for bad in [f32::NAN, f32::INFINITY] {
        let broken = with(|graph| graph.initializer[2].float_data[3] = bad);
        let error = read(&broken).unwrap().head_until("features").unwrap_err();
        assert!(matches!(error, ImportError::NotFinite { node, tensor } if node == "features" && tensor == "w1"));
    }
}

#[test]
fn a_cut_at_an_unknown_node_names_the_known_ones() {
    let error = read(&dense_model()).unwrap().head_until("layer7").unwrap_err();
    assert!(error.to_string().contains("first, first.bias, relu"), "{error}");
}

#[test]
fn weights_for_another_width_are_refused() {
    let broken = with(|graph| graph.initializer[0].dims = vec![6, 8]);
    assert!(
        matches!(read(&broken).unwrap().head_until("features"), Err(ImportError::Unsupported { node, .. }) if node == "first")
    );
}

#[test]
fn a_value_that_nothing_gives_is_refused() {
    let broken = with(|graph| graph.node[2].input[0] = "nowhere".into());
    assert!(
        matches!(read(&broken), Err(ImportError::Dangling { node, value }) if node == "relu" && value == "nowhere")
    );
}

#[test]
fn a_value_given_twice_is_refused() {
    let broken = with(|graph| graph.node[2].output[0] = "first.out".into());
    assert!(matches!(read(&broken), Err(ImportError::GivenTwice { node, .. }) if node == "relu"));
}

#[test]
fn weights_outside_the_file_are_refused() {
    let entry = StringStringEntryProto { key: "location".into(), value: "/etc/passwd".into() };
    let broken = with(|graph| graph.initializer[0].external_data.push(entry));
    assert!(matches!(read(&broken), Err(ImportError::External { tensor }) if tensor == "w0"));
}

#[test]
fn a_tail_that_reads_inside_the_head_is_refused() {
    let skip =
        with(|graph| graph.node[4] = node("scores", "Concat", &["features.out", "relu.out"], vec![int("axis", 1)]));
    let error = read(&skip).unwrap().tail_after("features", 4, 1.0).unwrap_err();
    assert!(matches!(error, ImportError::TailReadsHead { node, value } if node == "scores" && value == "relu.out"));
}

#[test]
fn an_output_that_no_node_computes_is_refused() {
    // Found by the fuzz target `onnx`: the tail of such a model was none.
    for name in ["w2", "input", "nowhere"] {
        let constant = with(|graph| graph.output[0].name = name.into());
        assert!(matches!(read(&constant), Err(ImportError::NotComputed { value }) if value == name), "{name}");
    }
}

#[test]
fn an_output_from_inside_the_head_leaves_no_tail_to_cut() {
    let early = with(|graph| graph.output[0].name = "relu.out".into());
    let error = read(&early).unwrap().tail_after("features", 4, 1.0).unwrap_err();
    assert!(matches!(error, ImportError::TailReadsHead { node, value } if node == "output" && value == "relu.out"));
}

#[test]
fn two_sets_of_weights_of_one_name_are_refused() {
    let twice = with(|graph| graph.initializer[2].name = "w0".into());
    assert!(matches!(read(&twice), Err(ImportError::WeightsTwice { tensor }) if tensor == "w0"));
}

#[test]
fn names_that_a_tail_needs_for_itself_are_refused_when_it_is_cut() {
    let renamed = with(|graph| {
        graph.node[4].input[1] = "clip-norm".into();
        graph.initializer[4].name = "clip-norm".into();
    });
    let error = read(&renamed).unwrap().tail_after("features", 4, 1.0).unwrap_err();
    assert!(matches!(error, ImportError::Reserved { name: "clip-norm" }), "{error}");
}

#[test]
fn a_cut_at_the_end_leaves_no_tail() {
    assert!(read(&dense_model()).unwrap().tail_after("scores", 3, 1.0).unwrap().is_none());
}

#[test]
fn the_tail_takes_features_in_units_of_the_clip_norm() {
    let bytes = read(&dense_model()).unwrap().tail_after("features", 4, 2.0).unwrap().unwrap();
    let tail = TailModel::load(&bytes, TailLimits::default()).unwrap();
    let w2 = weights("w2", &[4, 3], 1.0).float_data;
    let scores = tail.run(&[0.0, 1.0, 0.0, 0.0]).unwrap();
    assert!(scores.iter().zip(&w2[3..6]).all(|(score, weight)| (score - 2.0 * weight).abs() < 1e-6));
}

#[test]
fn a_tail_refuses_features_of_another_width_and_numbers_that_are_not_finite() {
    let bytes = read(&dense_model()).unwrap().tail_after("features", 4, 1.0).unwrap().unwrap();
    let tail = TailModel::load(&bytes, TailLimits::default()).unwrap();
    assert!(tail.run(&[0.0; 3]).is_err());
    assert!(tail.run(&[0.0, f32::NAN, 0.0, 0.0]).is_err());
    assert!(TailModel::load(&bytes, TailLimits { bytes: 10, ..TailLimits::default() }).is_err());
    assert!(TailModel::load(&bytes, TailLimits { width: 3, ..TailLimits::default() }).is_err());
}

/// A folder with the convolutional model, a card, and noise pictures labelled by the float model itself.
fn conv_folder(folder: &Path, mode: &str, model: &ModelProto) {
    let bytes = model.encode_to_vec();
    std::fs::write(folder.join("model.onnx"), &bytes).unwrap();
    let noise = |x: u32, y: u32| (x.wrapping_mul(2_654_435_761).wrapping_add(y * 40_503 + x * y * 97) >> 7) as u8;
    let sheet = GrayImage::from_fn(12 * 10, 12 * 10, |x, y| Luma([noise(x / 2, y / 3)]));
    sheet.save(folder.join("sheet.png")).unwrap();
    let float = TailModel::load(&bytes, TailLimits::default()).unwrap();
    let mut labels = String::new();
    for (row, column) in (0..10).flat_map(|row| (0..10).map(move |column| (row, column))) {
        let tile = image::imageops::crop_imm(&sheet, column * 12, row * 12, 12, 12).to_image();
        let input: Vec<f32> = tile.as_raw().iter().map(|byte| f32::from(*byte) / 255.0).collect();
        let scores = float.run(&input).unwrap();
        let best = (0..3).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
        writeln!(labels, "{best}").unwrap();
    }
    std::fs::write(folder.join("labels"), labels).unwrap();
    let card = format!(
        r#"
format = 1
name = "conv"
task = "A test."
limits = "None."
labels = ["a", "b", "c"]
fees = {{ tail = "1 UNIT" }}
data = {{ calibration = "sheet.png", held_out = "sheet.png", held_out_labels = "labels" }}
preamble.image = {{ channels = 1, height = 12, width = 12, fit = "whole", scale = [1, 255] }}
[[splits]]
name = "late"
after = "features"
mode = "{mode}"
clip = 1.0
policies = [{{ name = "accurate", sigma = 0.1, bits = 6 }}]
"#
    );
    std::fs::write(folder.join("model.toml"), card).unwrap();
}

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

#[test]
fn groups_that_do_not_fit_the_channels_are_refused_with_the_node() {
    for (group, at) in [(4, 2), (5, 2), (0, 2), (-1, 2), (3, 4)] {
        let mut broken = grouped_model();
        broken.graph.as_mut().unwrap().node[at].attribute[0] = int("group", group);
        let error = read(&broken).unwrap().head_until("features").unwrap_err().to_string();
        assert!(error.contains(&format!("in each of {group} groups")), "{error}");
    }
}

#[test]
fn a_linear_head_with_an_activation_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    conv_folder(folder.path(), "linear", &conv_model());
    let error = Bench::open(folder.path()).unwrap().split(0).err().unwrap();
    assert!(matches!(error, BenchError::Lower(_)), "{error}");
}

#[test]
fn a_card_with_an_unknown_field_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    conv_folder(folder.path(), "rounds", &conv_model());
    let path = folder.path().join("model.toml");
    let card = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, card.replace("clip = 1.0", "clip = 1.0\nclop = 2.0")).unwrap();
    assert!(matches!(Bench::open(folder.path()), Err(BenchError::Card(_))));
}

proptest! {
    #[test]
    fn no_bytes_make_the_importer_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), at in 0usize..900) {
        let mut file = dense_model().encode_to_vec();
        let at = at.min(file.len());
        file.splice(at..(at + bytes.len()).min(file.len()), bytes);
        if let Ok(model) = OnnxModel::read(&file) {
            let _ = model.head_until("features");
            let _ = model.tail_after("features", 4, 1.0);
        }
    }
}
