//! Weights in safetensors under a list of layers: the same head as from ONNX, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use encompute_model::{
    OnnxModel,
    onnx::{HeadGraph, StackError},
};
use kit::{conv_model, filled, float, node, read, weights};
use prost::Message;
use safetensors::{Dtype, tensor::TensorView};
use tract_onnx::pb::{ModelProto, TensorProto};

const LAYERS: &str = r#"
input = [1, 12, 12]
layers = [
  { kind = "conv", weights = "k", padding = 1 },
  { kind = "relu" },
  { kind = "average-pool", size = 2 },
  { kind = "flatten" },
  { kind = "dense", weights = "features" },
  { kind = "dense", weights = "scores" },
]
"#;

/// As PyTorch saves them: a dense layer's by outputs.
fn tensors() -> Vec<TensorProto> {
    let graph = conv_model().graph.unwrap();
    let find = |name: &str| graph.initializer.iter().find(|tensor| tensor.name == name).unwrap().clone();
    let turned = |name: &str, to: &str| {
        let TensorProto { dims, float_data, .. } = find(name);
        let (rows, columns) = (dims[0] as usize, dims[1] as usize);
        let at = |at: usize| float_data[at % rows * columns + at / rows];
        let values = (0..rows * columns).map(at).collect();
        TensorProto { name: to.into(), dims: vec![dims[1], dims[0]], float_data: values, ..find(name) }
    };
    let named = |name: &str, to: &str| TensorProto { name: to.into(), ..find(name) };
    vec![named("k", "k.weight"), named("kb", "k.bias"), turned("w", "features.weight"), turned("w2", "scores.weight")]
}

fn saved(tensors: &[TensorProto]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|tensor| tensor.float_data.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|(tensor, bytes)| {
        let shape = tensor.dims.iter().map(|side| *side as usize).collect();
        (tensor.name.clone(), TensorView::new(Dtype::F32, shape, bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

fn refused(tensors: &[TensorProto], layers: &str) -> String {
    OnnxModel::stacked(&saved(tensors), layers).err().unwrap().to_string()
}

#[test]
fn listed_layers_over_weights_are_the_head_that_onnx_gives() {
    let stacked = OnnxModel::stacked(&saved(&tensors()), LAYERS).unwrap();
    let exported = read(&conv_model()).unwrap().head_until("features").unwrap();
    let ours = stacked.head_until("features").unwrap();
    let operations = |head: &HeadGraph| head.nodes.iter().map(|node| node.operation.clone()).collect::<Vec<_>>();
    assert_eq!(operations(&ours), operations(&exported));
    assert_eq!(stacked.input_shape(), [1, 12, 12]);
}

#[test]
fn batch_normalisation_is_read_with_what_training_saw() {
    let mut model: ModelProto = conv_model();
    let graph = model.graph.as_mut().unwrap();
    let names = ["n.weight", "n.bias", "n.running_mean", "n.running_var"];
    let numbers = [
        weights(names[0], &[4], 1.0),
        weights(names[1], &[4], 0.3),
        weights(names[2], &[4], 0.2),
        filled(names[3], &[4], 0.8),
    ];
    graph.initializer.extend(numbers.clone());
    let inputs = ["conv.out", names[0], names[1], names[2], names[3]];
    graph.node.insert(1, node("n", "BatchNormalization", &inputs, vec![float("epsilon", 1e-5)]));
    graph.node[2].input = vec!["n.out".into()];
    let exported = read(&model).unwrap().head_until("features").unwrap();
    let counted = TensorProto { dims: vec![], ..filled("n.num_batches_tracked", &[], 3.0) };
    let all = [&tensors()[..], &numbers, &[counted]].concat();
    let layers =
        LAYERS.replace("{ kind = \"relu\" }", "{ kind = \"batch-norm\", weights = \"n\" }, { kind = \"relu\" }");
    let ours = OnnxModel::stacked(&saved(&all), &layers).unwrap().head_until("features").unwrap();
    assert_eq!(ours.nodes[0].operation, exported.nodes[0].operation);
    // A list that forgets it forgets what was trained.
    assert_eq!(refused(&all, LAYERS), "weights `n.bias` are read by no layer: one is missing from the list");
}

#[test]
fn what_does_not_fit_is_refused_by_its_layer_or_its_weights() {
    let other = |from: &str, to: &str| refused(&tensors(), &LAYERS.replace(from, to));
    let missing = other("\"features\"", "\"fc\"");
    assert!(missing.starts_with("layer 5 (dense): there are no weights `fc.weight`; there are "), "{missing}");
    assert!(
        other("\"dense\", weights = \"features\"", "\"dense\", weights = \"k\"")
            .starts_with("layer 5 (dense): weights of two sides")
    );
    assert!(other("kind = \"relu\"", "kind = \"swish\"").contains("list of layers cannot be read"));
    assert!(other("padding", "pad").contains("list of layers cannot be read"));
    let mut whole = tensors();
    whole[0] = TensorProto { dims: vec![36], ..whole[0].clone() };
    assert_eq!(refused(&whole, LAYERS), "layer 1 (conv): a kernel is needed, the weights have sides [36]");
}

#[test]
fn bytes_that_are_no_safetensors_are_refused() {
    let stacked = |bytes: &[u8]| OnnxModel::stacked(bytes, LAYERS).err();
    assert!(matches!(stacked(b"not weights"), Some(StackError::NoWeights)));
    assert!(matches!(stacked(&conv_model().encode_to_vec()), Some(StackError::NoWeights)));
    let whole = saved(&tensors());
    for length in [9, 40, whole.len() - 1] {
        let refused = stacked(&whole[..length]);
        assert!(matches!(refused, Some(StackError::NoWeights | StackError::Weights(_))), "{length}: {refused:?}");
    }
}
