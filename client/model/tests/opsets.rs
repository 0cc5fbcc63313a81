//! The same network as exporters of different years write it, and versions that are not read.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use encompute_model::{ImportError, TailLimits, TailModel, onnx::HeadGraph};
use kit::{filled, float, int, ints, model, node, read, weights};
use prost::Message;
use tract_onnx::pb::{AttributeProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto};

fn numbers(name: &str, values: &[i64]) -> TensorProto {
    let dims = vec![i64::try_from(values.len()).unwrap()];
    TensorProto { name: name.into(), dims, data_type: 7, int64_data: values.to_vec(), ..TensorProto::default() }
}

/// A node whose axes are an attribute before `since`, and an input from there on.
fn over(
    opset: i64,
    since: i64,
    name: &str,
    operator: &str,
    of: &str,
    axes: &[i64],
    more: Vec<AttributeProto>,
) -> NodeProto {
    match opset < since {
        true => node(name, operator, &[of], [vec![ints("axes", axes)], more].concat()),
        false => node(name, operator, &[of, &format!("{name}.axes")], more),
    }
}

/// What changed between opsets 11 and 21 in operators of a head: where axes stand, whether batch normalisation says that
/// it does not train, and which axis softmax takes if none is named.
fn exported(opset: i64) -> ModelProto {
    let normal = if opset < 14 { vec![] } else { vec![int("training_mode", 0)] };
    let normal = [normal, vec![float("epsilon", 1e-4)]].concat();
    let nodes = vec![
        node("conv", "Conv", &["input", "k"], vec![ints("pads", &[1, 1, 1, 1]), ints("kernel_shape", &[3, 3])]),
        node("norm", "BatchNormalization", &["conv.out", "scale", "shift", "mean", "variance"], normal),
        node("held", "Clip", &["norm.out", "least", "most"], vec![]),
        over(opset, 18, "means", "ReduceMean", "held.out", &[2, 3], vec![int("keepdims", 1)]),
        over(opset, 13, "row", "Squeeze", "means.out", &[2, 3], vec![]),
        over(opset, 13, "column", "Unsqueeze", "row.out", &[2], vec![]),
        over(opset, 13, "flat", "Squeeze", "column.out", &[2], vec![]),
        node("mixed", "Gemm", &["flat.out", "w", "b"], vec![]),
        node("weights", "Softmax", &["mixed.out"], vec![]),
        node("features", "Gemm", &["weights.out", "w2"], vec![]),
        node("scores", "Gemm", &["features.out", "w3"], vec![]),
    ];
    let tensors = vec![
        weights("k", &[4, 1, 3, 3], 1.0),
        weights("scale", &[4], 1.0),
        weights("shift", &[4], 0.3),
        weights("mean", &[4], 0.3),
        filled("variance", &[4], 0.8),
        filled("least", &[], 0.0),
        filled("most", &[], 6.0),
        weights("w", &[4, 8], 0.5),
        weights("b", &[8], 0.2),
        weights("w2", &[8, 8], 2.0),
        weights("w3", &[8, 3], 1.0),
    ];
    let axes = [("means", vec![2, 3], 18), ("row", vec![2, 3], 13), ("column", vec![2], 13), ("flat", vec![2], 13)];
    let axes = axes.iter().filter(|(.., since)| opset >= *since);
    let axes = axes.map(|(name, axes, _)| numbers(&format!("{name}.axes"), axes));
    let mut model = model(&[1, 12, 12], nodes, tensors.into_iter().chain(axes).collect(), 3);
    model.opset_import = vec![OperatorSetIdProto { version: opset, ..OperatorSetIdProto::default() }];
    model
}

fn head(opset: i64) -> HeadGraph {
    read(&exported(opset)).unwrap().head_until("features").unwrap()
}

#[test]
fn the_same_network_is_the_same_head_from_opset_11_to_21() {
    let newest = head(21);
    assert!(newest.nodes.iter().any(|node| node.name == "means"), "{newest:?}");
    for opset in 11..21 {
        assert_eq!(head(opset), newest, "opset {opset}");
    }
}

#[test]
fn its_tail_runs_alike_from_opset_11_to_21() {
    let input: Vec<f32> = (0..144).map(|at| (at * 37 % 101) as f32 / 101.0).collect();
    let whole = |opset| {
        let model = TailModel::load(&exported(opset).encode_to_vec(), TailLimits::default()).unwrap();
        model.run(&input).unwrap()
    };
    let newest = whole(21);
    for opset in 11..21 {
        let apart = whole(opset).iter().zip(&newest).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-6, "opset {opset}: {apart}");
    }
}

#[test]
fn operators_of_other_versions_are_refused_with_the_versions_that_are_read() {
    for opset in [1, 10, 22, i64::MAX] {
        let refused = read(&exported(opset)).err();
        let Some(ImportError::Opset { found, least: 11, most: 21 }) = refused else { panic!("{refused:?}") };
        assert_eq!(found, opset);
    }
}
