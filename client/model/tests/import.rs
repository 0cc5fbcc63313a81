//! ONNX files of creators, well formed and not.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use encompute_model::{Bench, BenchError, ImportError, OnnxModel, TailLimits, TailModel};
use kit::{conv_folder, conv_model, int, model, node, read, weights};
use proptest::prelude::*;
use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto, StringStringEntryProto};

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

fn with(change: impl FnOnce(&mut GraphProto)) -> ModelProto {
    let mut model = dense_model();
    change(model.graph.as_mut().unwrap());
    model
}

#[test]
fn the_head_ends_where_the_card_says() {
    let head = read(&dense_model()).unwrap().head_until("features").unwrap();
    let nodes: Vec<_> = head.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(nodes, ["first", "relu", "features"], "the bias is in the layer before it");
}

#[test]
fn the_first_operator_that_cannot_run_is_named() {
    let strange = with(|graph| graph.node[2].op_type = "Sin".into());
    let error = read(&strange).unwrap().head_until("features").unwrap_err();
    let instead = "node `relu` (Sin) cannot run in the head: a Relu, Sigmoid or Tanh in its place";
    assert!(error.to_string().starts_with(instead) && error.to_string().contains("known are Add"), "{error}");
    let stranger = with(|graph| graph.node[2].op_type = "Stranger".into());
    let error = read(&stranger).unwrap().head_until("features").unwrap_err().to_string();
    assert!(error.starts_with("node `relu` (Stranger) cannot run in the head: known are Add"), "{error}");
}

#[test]
fn operators_after_the_cut_are_the_engines_business() {
    let strange = with(|graph| graph.node[4].op_type = "Sin".into());
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
fn a_tail_behind_channels_of_rows_gives_their_shape_back() {
    let model = conv_model();
    let bytes = read(&model).unwrap().tail_after("relu", 4 * 12 * 12, 2.0).unwrap().unwrap();
    let tail = TailModel::load(&bytes, TailLimits::default()).unwrap();
    let input: Vec<f32> = (0..144).map(|at| (at * 37 % 101) as f32 / 101.0).collect();
    let load = |bytes: &[u8]| TailModel::load(bytes, TailLimits::default()).unwrap();
    let features = load(&read(&model).unwrap().head_file("relu").unwrap()).run(&input).unwrap();
    let scores = tail.run(&features.iter().map(|value| value / 2.0).collect::<Vec<_>>()).unwrap();
    let whole = load(&model.encode_to_vec()).run(&input).unwrap();
    assert!(scores.iter().zip(&whole).all(|(one, other)| (one - other).abs() < 1e-4), "{scores:?} {whole:?}");
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
