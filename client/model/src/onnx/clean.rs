//! What exporters put around a model: names of the classes beside the scores, notes, a scaler before the first layer.

use super::{ImportError, ONNX_LIMIT_BYTES, OnnxModel, attributes::Attributes, join::join_inputs, node_name, tensor};
use prost::Message;
use std::collections::BTreeSet;
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto::DataType, type_proto,
};

/// Domain of the operators that converters of classical models use.
const CLASSICAL: &str = "ai.onnx.ml";

impl OnnxModel {
    /// A file as an exporter wrote it, without what a marketplace has no use for: of several outputs the scores stay;
    /// what they do not need, notes and names of tools go; a scaler before the first linear layer becomes part of it;
    /// several inputs become one.
    ///
    /// # Errors
    /// As [`OnnxModel::read`], which judges what is left; [`ImportError::Unlike`] and [`ImportError::Unsupported`] of
    /// several inputs that cannot be joined.
    pub fn cleaned(bytes: &[u8]) -> Result<Self, ImportError> {
        if bytes.len() > ONNX_LIMIT_BYTES {
            return Err(ImportError::TooLong { found_bytes: bytes.len(), limit_bytes: ONNX_LIMIT_BYTES });
        }
        let mut proto = ModelProto::decode(bytes).map_err(ImportError::Parse)?;
        let mut graph = proto.graph.take().ok_or(ImportError::NoGraph)?;
        super::check_references(&graph)?;
        super::check_finite(&graph)?;
        keep_scores(&mut graph);
        skip_what_changes_nothing(&mut graph);
        put_channels_first(&mut graph);
        drop_unread(&mut graph);
        fold_scaling(&mut graph);
        join_inputs(&mut graph)?;
        // What is done to all of them together.
        fold_scaling(&mut graph);
        drop_unread(&mut graph);
        graph.doc_string.clear();
        graph.node.iter_mut().for_each(|node| node.doc_string.clear());
        let opset_import = proto.opset_import.into_iter().filter(|set| {
            let used = |node: &NodeProto| node.domain == set.domain;
            matches!(set.domain.as_str(), "" | "ai.onnx") || graph.node.iter().any(used)
        });
        let kept = ModelProto {
            ir_version: proto.ir_version,
            opset_import: opset_import.collect(),
            graph: Some(graph),
            functions: proto.functions,
            ..ModelProto::default()
        };
        Self::read(&kept.encode_to_vec())
    }
}

/// Of several outputs the one of floats, if there is just one: classifiers give the class's name beside its scores.
fn keep_scores(graph: &mut GraphProto) {
    let is_scores = |output: &&ValueInfoProto| match output.r#type.as_ref().and_then(|of| of.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => tensor.elem_type == DataType::Float as i32,
        _ => false,
    };
    if graph.output.len() < 2 {
        return;
    }
    let scores: Vec<_> = graph.output.iter().filter(is_scores).cloned().collect();
    if scores.len() == 1 {
        graph.output = scores;
    }
}

/// Joins what such nodes read to what reads them.
fn skip_what_changes_nothing(graph: &mut GraphProto) {
    let floats: BTreeSet<String> = graph.input.iter().map(|input| input.name.clone()).collect();
    let mut at = 0;
    while at < graph.node.len() {
        let node = &graph.node[at];
        let nothing = match node.op_type.as_str() {
            "Identity" => true,
            // Trained with it, run without.
            "Dropout" => node.input.get(2).is_none_or(String::is_empty),
            "Cast" => {
                let of_scaler = graph.node[..at].iter().any(|other| is_scaler(other) && other.output == node.input);
                let of_input = node.input.iter().all(|value| floats.contains(value));
                Attributes(node).integer("to", 0) == DataType::Float as i64 && (of_scaler || of_input)
            }
            _ => false,
        };
        let (Some(from), Some(to), true) = (node.input.first().cloned(), node.output.first().cloned(), nothing) else {
            at += 1;
            continue;
        };
        let last = graph.output.iter().any(|output| output.name == to);
        let given = graph.node[..at].iter().position(|node| node.output.contains(&from));
        match (last, given) {
            // The output keeps its name: what gave the value gives it under that one.
            (true, Some(given)) => {
                rename(&mut graph.node, &from, &to);
                graph.node[given]
                    .output
                    .iter_mut()
                    .filter(|output| **output == from)
                    .for_each(|name| *name = to.clone());
            }
            (true, None) => {
                at += 1;
                continue;
            }
            (false, _) => rename(&mut graph.node, &to, &from),
        }
        graph.node.remove(at);
    }
}

/// An input whose channels come last, and that every reader turns around, comes with its channels first.
fn put_channels_first(graph: &mut GraphProto) {
    for input in &mut graph.input {
        let reads = |node: &&NodeProto| node.input.contains(&input.name);
        let sides = match input.r#type.as_mut().and_then(|of| of.value.as_mut()) {
            Some(type_proto::Value::TensorType(tensor)) => tensor.shape.as_mut().map(|shape| &mut shape.dim),
            _ => None,
        };
        let Some(sides) = sides.filter(|sides| sides.len() >= 3) else { continue };
        let last = sides.len() as i64 - 1;
        let order: Vec<i64> = [0, last].into_iter().chain(1..last).collect();
        let turned: Vec<String> =
            graph.node.iter().filter(reads).flat_map(|node| node.output.iter().cloned()).collect();
        let turns = |node: &NodeProto| node.op_type == "Transpose" && Attributes(node).integers("perm") == order;
        let is_result = turned.iter().any(|name| graph.output.iter().any(|output| output.name == *name));
        if turned.is_empty() || is_result || !graph.node.iter().filter(reads).all(turns) {
            continue;
        }
        sides[1..].rotate_right(1);
        graph.node.retain(|node| !node.input.contains(&input.name));
        turned.iter().for_each(|name| rename(&mut graph.node, name, &input.name));
    }
}

fn rename(nodes: &mut [NodeProto], from: &str, to: &str) {
    let inputs = nodes.iter_mut().flat_map(|node| &mut node.input);
    inputs.filter(|input| *input == from).for_each(|input| *input = to.to_owned());
}

fn drop_unread(graph: &mut GraphProto) {
    let mut read: BTreeSet<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    let mut kept = Vec::new();
    for node in std::mem::take(&mut graph.node).into_iter().rev() {
        if node.output.iter().any(|output| read.contains(output)) {
            read.extend(node.input.iter().cloned());
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
    graph.initializer.retain(|tensor| read.contains(&tensor.name));
    graph.value_info.clear();
}

fn is_scaler(node: &NodeProto) -> bool {
    node.domain == CLASSICAL && node.op_type == "Scaler"
}

/// What a node does to each column of a row: `x · scale + offset`; one number of each for all columns, or one a column.
struct Affine {
    scale: Vec<f64>,
    offset: Vec<f64>,
}

impl Affine {
    /// What `node` does to its first input, if it is such a node.
    fn of(graph: &GraphProto, node: &NodeProto) -> Option<Self> {
        if is_scaler(node) {
            let found = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
            let list = |name: &str, default: f64| {
                found(name).map_or(vec![default], |of| of.floats.iter().map(|value| f64::from(*value)).collect())
            };
            let (scale, offset) = (list("scale", 1.0), list("offset", 0.0));
            let times = |(at, offset): (usize, &f64)| Some(-offset * scale.get(at % scale.len().max(1))?);
            let columns = scale.len().max(offset.len());
            let offset = offset.iter().cycle().take(columns).enumerate().map(times).collect::<Option<_>>()?;
            return Some(Self { scale, offset });
        }
        let tensor = graph.initializer.iter().find(|tensor| Some(&tensor.name) == node.input.get(1))?;
        // `[columns]`, or with sides of one before.
        let (_, before) = tensor.dims.split_last().unwrap_or((&1, &[]));
        let values = tensor::floats(tensor).filter(|_| before.iter().all(|side| *side == 1))?;
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let plain = matches!(node.domain.as_str(), "" | "ai.onnx");
        match node.op_type.as_str() {
            "Add" if plain => Some(Self { scale: vec![1.0], offset: values }),
            "Sub" if plain => Some(Self { scale: vec![1.0], offset: values.iter().map(|value| -value).collect() }),
            "Mul" if plain => Some(Self { scale: values, offset: vec![0.0] }),
            "Div" if plain => Some(Self { scale: values.iter().map(|value| 1.0 / value).collect(), offset: vec![0.0] }),
            _ => None,
        }
    }
}

/// `(x · scale + offset) · W` is `x · (scale · W) + offset · W`: what is done to the columns of an input before a dense
/// layer becomes part of it.
fn fold_scaling(graph: &mut GraphProto) {
    while let Some((at, Folded { linear, weights, constants })) = folded(graph) {
        let first = graph.node[at].clone();
        let name = node_name(&first).to_owned();
        let shift = TensorProto {
            dims: vec![constants.len() as i64],
            data_type: DataType::Float as i32,
            float_data: constants,
            name: format!("{name}.shift"),
            ..TensorProto::default()
        };
        let layer = &mut graph.node[linear];
        let (result, scaled) = (layer.output[0].clone(), format!("{name}.scaled"));
        layer.input[0] = first.input[0].clone();
        layer.input[1] = weights.name.clone();
        layer.output[0] = scaled.clone();
        let add = NodeProto {
            name: format!("{name}.shifted"),
            op_type: "Add".to_owned(),
            input: vec![scaled, shift.name.clone()],
            output: vec![result],
            ..NodeProto::default()
        };
        graph.initializer.extend([weights, shift]);
        graph.node.insert(linear + 1, add);
        graph.node.remove(at);
    }
}

struct Folded {
    linear: usize,
    weights: TensorProto,
    constants: Vec<f32>,
}

/// The last node between an input and its dense layer, and what comes of both; nothing where every such layer reads its
/// input, or something else is in between: then the import names it.
fn folded(graph: &GraphProto) -> Option<(usize, Folded)> {
    let dense = |node: &NodeProto| matches!(node.op_type.as_str(), "MatMul" | "Gemm");
    (0..graph.node.len()).filter(|at| dense(&graph.node[*at])).find_map(|linear| folded_into(graph, linear))
}

/// True if nothing but sums and products with fixed numbers lies between an input and this value.
fn is_scaled_input(graph: &GraphProto, name: &str) -> bool {
    let mut name = name;
    while let Some(node) = graph.node.iter().find(|node| node.output.iter().any(|output| output == name)) {
        match node.input.first() {
            Some(from) if Affine::of(graph, node).is_some() => name = from,
            _ => return false,
        }
    }
    graph.input.iter().any(|input| input.name == name)
}

fn folded_into(graph: &GraphProto, linear: usize) -> Option<(usize, Folded)> {
    let node = &graph.node[linear];
    let read = node.input.first()?;
    let at = graph.node[..linear].iter().position(|before| before.output.contains(read))?;
    let readers = graph.node.iter().filter(|node| node.input.contains(read)).count();
    let affine = Affine::of(graph, &graph.node[at])?;
    let attributes = Attributes(node);
    let plain = attributes.integer("transA", 0) == 0 && attributes.float("alpha", 1.0) == 1.0;
    if readers != 1 || !plain || !is_scaled_input(graph, read) {
        return None;
    }
    let across = attributes.integer("transB", 0) != 0;
    let tensor = graph.initializer.iter().find(|tensor| Some(&tensor.name) == node.input.get(1))?;
    let [rows, columns] = tensor.dims.as_slice() else { return None };
    let (inputs, outputs) = if across { (*columns, *rows) } else { (*rows, *columns) };
    let (inputs, outputs) = (usize::try_from(inputs).ok()?, usize::try_from(outputs).ok()?);
    let mut values = tensor::floats(tensor)?;
    let fits = |list: &[f64]| list.len() == 1 || list.len() == inputs;
    if values.len() != inputs.checked_mul(outputs)? || !fits(&affine.scale) || !fits(&affine.offset) {
        return None;
    }
    let one = |list: &[f64], input: usize| list[input % list.len()];
    let mut constants = vec![0.0; outputs];
    for input in 0..inputs {
        for (output, constant) in constants.iter_mut().enumerate() {
            let value = &mut values[if across { output * inputs + input } else { input * outputs + output }];
            *constant += f64::from(*value) * one(&affine.offset, input);
            *value = (f64::from(*value) * one(&affine.scale, input)) as f32;
        }
    }
    let weights = TensorProto {
        dims: tensor.dims.clone(),
        data_type: DataType::Float as i32,
        float_data: values,
        name: format!("{}.scaled", tensor.name),
        ..TensorProto::default()
    };
    Some((at, Folded { linear, weights, constants: constants.into_iter().map(|value: f64| value as f32).collect() }))
}
