//! The nodes after the cut, as an ONNX file of their own.

use super::{ImportError, OnnxModel, node_name};
use prost::Message;
use std::collections::BTreeSet;
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_proto::DataType, tensor_shape_proto, type_proto,
};

/// Name of the tail's input.
const FEATURES: &str = "released-features";
/// Name of the clip norm.
const CLIP: &str = "clip-norm";
/// Name of the node that multiplies by it.
const SCALING: &str = "in-units-of-the-model";
/// Name of the sides of features that are released in a line and were channels of rows, and of them before they are so again.
const SHAPE: &str = "shape-of-the-model";
const IN_A_LINE: &str = "features-in-a-line";

impl OnnxModel {
    /// Everything after node `after`, as an ONNX file: input `released-features` `[batch, width]` in units of the clip norm,
    /// which is `clip` on the model's own axis; the model's own output. `None` if nothing follows.
    ///
    /// # Errors
    /// [`ImportError::NoSuchNode`]; [`ImportError::TailReadsHead`] if more than the features crosses the cut;
    /// [`ImportError::Reserved`] if the model uses a name of what is put before the tail.
    pub fn tail_after(&self, after: &str, width: usize, clip: f32) -> Result<Option<Vec<u8>>, ImportError> {
        let last = self.position(after)?;
        let graph = self.graph();
        let (head, tail) = graph.node.split_at(last + 1);
        let features = head[last].output.first().map_or("", String::as_str);
        if tail.is_empty() || graph.output[0].name == features {
            return Ok(None);
        }
        let mut inside: BTreeSet<&str> = head.iter().flat_map(|node| &node.output).map(String::as_str).collect();
        inside.insert(&self.input);
        inside.remove(features);
        for node in tail {
            if let Some(value) = node.input.iter().find(|value| inside.contains(value.as_str())) {
                return Err(ImportError::TailReadsHead { node: node_name(node).to_owned(), value: value.clone() });
            }
        }
        let output = &graph.output[0].name;
        if !tail.iter().any(|node| node.output.contains(output)) {
            return Err(ImportError::TailReadsHead { node: "output".to_owned(), value: output.clone() });
        }
        let used = |name: &str| {
            graph.initializer.iter().any(|tensor| tensor.name == name)
                || graph.node.iter().any(|node| node.input.iter().chain(&node.output).any(|value| value == name))
        };
        if let Some(name) = [FEATURES, CLIP, SHAPE, IN_A_LINE].into_iter().find(|name| used(name)) {
            return Err(ImportError::Reserved { name });
        }
        let read: BTreeSet<&str> = tail.iter().flat_map(|node| &node.input).map(String::as_str).collect();
        let kept = graph.initializer.iter().filter(|tensor| read.contains(tensor.name.as_str())).cloned();
        let sides = self.sides_after(after).filter(|sides| sides.len() > 1);
        let (before, shape) = match &sides {
            None => (vec![scaling(features)], None),
            Some(sides) => (vec![scaling(IN_A_LINE), shaping(features)], Some(shape(sides))),
        };
        let cut = GraphProto {
            name: "tail".to_owned(),
            node: before.into_iter().chain(tail.iter().cloned()).collect(),
            initializer: kept.chain([single(CLIP, clip)]).chain(shape).collect(),
            input: vec![float_rows(FEATURES, width)],
            output: graph.output.clone(),
            ..GraphProto::default()
        };
        let proto = ModelProto { graph: Some(cut), ..self.proto.clone() };
        Ok(Some(proto.encode_to_vec()))
    }
}

impl OnnxModel {
    /// Everything up to node `after`, as an ONNX file: the model's own input; that node's first output.
    ///
    /// # Errors
    /// [`ImportError::NoSuchNode`].
    pub fn head_file(&self, after: &str) -> Result<Vec<u8>, ImportError> {
        let last = self.position(after)?;
        let graph = self.graph();
        let name = graph.node[last].output.first().cloned().unwrap_or_default();
        let cut = GraphProto {
            name: "head".to_owned(),
            node: graph.node[..=last].to_vec(),
            initializer: graph.initializer.clone(),
            input: graph.input.clone(),
            output: vec![ValueInfoProto { name, ..ValueInfoProto::default() }],
            ..GraphProto::default()
        };
        Ok(ModelProto { graph: Some(cut), ..self.proto.clone() }.encode_to_vec())
    }
}

/// Brings released features from units of the clip norm to the axis that the tail was trained on.
fn scaling(to: &str) -> NodeProto {
    NodeProto {
        input: vec![FEATURES.to_owned(), CLIP.to_owned()],
        output: vec![to.to_owned()],
        name: SCALING.to_owned(),
        op_type: "Mul".to_owned(),
        ..NodeProto::default()
    }
}

/// Features come in a line, whatever shape the node gives that they are cut after.
fn shaping(to: &str) -> NodeProto {
    NodeProto {
        input: vec![IN_A_LINE.to_owned(), SHAPE.to_owned()],
        output: vec![to.to_owned()],
        name: "shape".to_owned(),
        op_type: "Reshape".to_owned(),
        ..NodeProto::default()
    }
}

/// Any batch, then these sides.
fn shape(sides: &[usize]) -> TensorProto {
    let sides = sides.iter().map(|side| i64::try_from(*side).unwrap_or(i64::MAX));
    let values: Vec<i64> = std::iter::once(-1).chain(sides).collect();
    TensorProto {
        dims: vec![values.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: values,
        name: SHAPE.to_owned(),
        ..TensorProto::default()
    }
}

fn single(name: &str, value: f32) -> TensorProto {
    TensorProto {
        dims: vec![1],
        data_type: DataType::Float as i32,
        float_data: vec![value],
        name: name.to_owned(),
        ..TensorProto::default()
    }
}

fn float_rows(name: &str, width: usize) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension::Value};
    let side = |value| Dimension { value: Some(value), ..Dimension::default() };
    let width = i64::try_from(width).unwrap_or(i64::MAX);
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(TensorShapeProto {
            dim: vec![side(Value::DimParam("batch".to_owned())), side(Value::DimValue(width))],
        }),
    };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(r#type), ..ValueInfoProto::default() }
}
