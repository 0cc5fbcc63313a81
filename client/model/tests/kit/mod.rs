//! ONNX files written by hand, and model folders around them.
#![allow(clippy::unwrap_used, dead_code)]

use encompute_model::{ImportError, OnnxModel, TailLimits, TailModel};
use image::{GrayImage, Luma};
use prost::Message;
use std::{fmt::Write, path::Path};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto::AttributeType, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension::Value as Size, type_proto,
};

pub fn weights(name: &str, dims: &[i64], scale: f32) -> TensorProto {
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

pub fn node(name: &str, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        name: name.into(),
        op_type: operator.into(),
        input: inputs.iter().map(|input| (*input).to_owned()).collect(),
        output: vec![format!("{name}.out")],
        attribute: attributes,
        ..NodeProto::default()
    }
}

pub fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints: ints.to_vec(),
        ..AttributeProto::default()
    }
}

pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i, ..AttributeProto::default() }
}

pub fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Float as i32, f, ..AttributeProto::default() }
}

pub fn text(name: &str, text: &str) -> AttributeProto {
    let s = text.as_bytes().to_vec();
    AttributeProto { name: name.into(), r#type: AttributeType::String as i32, s, ..AttributeProto::default() }
}

pub fn tensor(name: &str, t: TensorProto) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Tensor as i32, t: Some(t), ..AttributeProto::default() }
}

/// The same number everywhere.
pub fn filled(name: &str, dims: &[i64], number: f32) -> TensorProto {
    let count = usize::try_from(dims.iter().product::<i64>()).unwrap();
    TensorProto { float_data: vec![number; count], ..weights(name, dims, 1.0) }
}

pub fn value(name: &str, sides: &[i64]) -> ValueInfoProto {
    let side = |size| Dimension { value: Some(size), ..Dimension::default() };
    let dim = std::iter::once(side(Size::DimParam("batch".into())));
    let dim = dim.chain(sides.iter().map(|size| side(Size::DimValue(*size)))).collect();
    let tensor = type_proto::Tensor { elem_type: 1, shape: Some(TensorShapeProto { dim }) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..ValueInfoProto::default() }
}

pub fn model(sides: &[i64], nodes: Vec<NodeProto>, initializer: Vec<TensorProto>, classes: i64) -> ModelProto {
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

/// Convolution, ReLU, pooling, flattening, features, scores, over 12×12 pictures.
pub fn conv_model() -> ModelProto {
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

pub fn read(model: &ModelProto) -> Result<OnnxModel, ImportError> {
    OnnxModel::read(&model.encode_to_vec())
}

/// A folder with the convolutional model, a card, and noise pictures labelled by the float model itself.
pub fn conv_folder(folder: &Path, mode: &str, model: &ModelProto) {
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
