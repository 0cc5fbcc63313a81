//! Layers over the weights of a safetensors file, as an ONNX model. Such a file names weights and says nothing of what is
//! computed with them; a list of layers beside it does.

use super::{ImportError, OnnxModel};
use prost::Message;
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use serde::Deserialize;
use std::collections::BTreeSet;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension::Value as Size, type_proto,
};

/// Opset of what is written here.
const OPSET: i64 = 17;
/// What training counts beside its weights.
const COUNTED: &str = "num_batches_tracked";

/// Why weights and layers are no model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// Weights without layers.
    #[error(
        "a safetensors file holds weights and not what is computed with them: list the layers (--layers), or export ONNX"
    )]
    NoLayers,
    /// Layers beside a file that says itself what they are.
    #[error("layers are listed for a safetensors file, this is none")]
    NoWeights,
    /// The weights are not a file of safetensors.
    #[error("not a safetensors file")]
    Weights(#[from] SafeTensorError),
    /// The list cannot be read.
    #[error("the list of layers cannot be read")]
    List(#[source] Box<toml::de::Error>),
    /// A layer that its weights do not fit, or that has none.
    #[error("layer {at} ({kind}): {reason}")]
    Layer {
        /// Which, from 1.
        at: usize,
        /// What it is.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Weights that were trained for something.
    #[error("weights `{name}` are read by no layer: one is missing from the list")]
    Unread {
        /// Their name.
        name: String,
    },
    /// What came out is not a model that is read.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// What `--layers` names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stack {
    /// Sides of an input, without the batch.
    input: Vec<i64>,
    layers: Vec<Layer>,
}

/// One layer; `weights` is what their names begin with, as PyTorch saves them.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Layer {
    Dense { weights: String },
    Conv { weights: String, stride: Option<i64>, padding: Option<i64>, groups: Option<i64> },
    BatchNorm { weights: String, epsilon: Option<f32> },
    MaxPool { size: i64, stride: Option<i64> },
    AveragePool { size: i64, stride: Option<i64> },
    GlobalAveragePool {},
    Flatten {},
    Relu {},
    LeakyRelu { slope: f32 },
    Sigmoid {},
    Tanh {},
    Softmax {},
}

/// Whether bytes begin as safetensors do: the length of a header, and the header.
pub(crate) fn is_safetensors(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map(|length| u64::from_le_bytes(*length));
    length.is_some_and(|length| length <= bytes.len() as u64) && bytes.get(8) == Some(&b'{')
}

impl OnnxModel {
    /// The model of these layers over those weights. `layers` is TOML.
    ///
    /// # Errors
    /// [`StackError`], naming the layer or the weights.
    pub fn stacked(weights: &[u8], layers: &str) -> Result<Self, StackError> {
        if !is_safetensors(weights) {
            return Err(StackError::NoWeights);
        }
        let tensors = SafeTensors::deserialize(weights)?;
        let stack: Stack = toml::from_str(layers).map_err(|error| StackError::List(Box::new(error)))?;
        let mut builder = Builder { tensors, read: BTreeSet::new(), graph: GraphProto::default(), scores: None };
        let mut from = "input".to_owned();
        for (at, layer) in stack.layers.iter().enumerate() {
            let failed = |reason| StackError::Layer { at: at + 1, kind: layer.kind(), reason };
            from = builder.add(at + 1, layer, &from).map_err(failed)?;
        }
        builder.model(&stack.input, &from)
    }
}

impl Layer {
    fn kind(&self) -> &'static str {
        match self {
            Self::Dense { .. } => "dense",
            Self::Conv { .. } => "conv",
            Self::BatchNorm { .. } => "batch-norm",
            Self::MaxPool { .. } => "max-pool",
            Self::AveragePool { .. } => "average-pool",
            Self::GlobalAveragePool {} => "global-average-pool",
            Self::Flatten {} => "flatten",
            Self::Relu {} => "relu",
            Self::LeakyRelu { .. } => "leaky-relu",
            Self::Sigmoid {} => "sigmoid",
            Self::Tanh {} => "tanh",
            Self::Softmax {} => "softmax",
        }
    }
}

struct Builder<'a> {
    tensors: SafeTensors<'a>,
    read: BTreeSet<String>,
    graph: GraphProto,
    /// Outputs of the last dense layer.
    scores: Option<i64>,
}

impl Builder<'_> {
    /// Adds a layer that reads `from`; what it gives.
    fn add(&mut self, at: usize, layer: &Layer, from: &str) -> Result<String, String> {
        let pool = |size: &i64, stride: &Option<i64>| {
            vec![ints("kernel_shape", &[*size; 2]), ints("strides", &[stride.unwrap_or(*size); 2])]
        };
        let (operator, named, inputs, attributes) = match layer {
            Layer::Dense { weights } => {
                let sides = self.weights(&format!("{weights}.weight"))?;
                let [outputs, _] = sides[..] else {
                    return Err(format!("weights of two sides are needed, these have {sides:?}"));
                };
                self.scores = Some(outputs);
                ("Gemm", Some(weights), self.with_bias(weights)?, vec![int("transB", 1)])
            }
            Layer::Conv { weights, stride, padding, groups } => {
                let sides = self.weights(&format!("{weights}.weight"))?;
                let [_, _, kernel @ ..] = &sides[..] else {
                    return Err(format!("a kernel is needed, the weights have sides {sides:?}"));
                };
                let each = |number: i64, times: usize| vec![number; kernel.len() * times];
                let attributes = vec![
                    ints("kernel_shape", kernel),
                    ints("strides", &each(stride.unwrap_or(1), 1)),
                    ints("pads", &each(padding.unwrap_or(0), 2)),
                    int("group", groups.unwrap_or(1)),
                ];
                ("Conv", Some(weights), self.with_bias(weights)?, attributes)
            }
            Layer::BatchNorm { weights, epsilon } => {
                let names = ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{weights}.{part}"));
                names.iter().try_for_each(|name| self.weights(name).map(drop))?;
                ("BatchNormalization", Some(weights), names.to_vec(), vec![float("epsilon", epsilon.unwrap_or(1e-5))])
            }
            Layer::MaxPool { size, stride } => ("MaxPool", None, vec![], pool(size, stride)),
            Layer::AveragePool { size, stride } => ("AveragePool", None, vec![], pool(size, stride)),
            Layer::GlobalAveragePool {} => ("GlobalAveragePool", None, vec![], vec![]),
            Layer::Flatten {} => ("Flatten", None, vec![], vec![]),
            Layer::Relu {} => ("Relu", None, vec![], vec![]),
            Layer::LeakyRelu { slope } => ("LeakyRelu", None, vec![], vec![float("alpha", *slope)]),
            Layer::Sigmoid {} => ("Sigmoid", None, vec![], vec![]),
            Layer::Tanh {} => ("Tanh", None, vec![], vec![]),
            Layer::Softmax {} => ("Softmax", None, vec![], vec![int("axis", -1)]),
        };
        let name = named.cloned().unwrap_or_else(|| format!("{}.{at}", layer.kind()));
        let output = format!("{name}.out");
        self.graph.node.push(NodeProto {
            input: std::iter::once(from.to_owned()).chain(inputs).collect(),
            output: vec![output.clone()],
            name,
            op_type: operator.to_owned(),
            attribute: attributes,
            ..NodeProto::default()
        });
        Ok(output)
    }

    /// Names of a layer's weights, and of its bias if there is one.
    fn with_bias(&mut self, weights: &str) -> Result<Vec<String>, String> {
        let bias = format!("{weights}.bias");
        let mut names = vec![format!("{weights}.weight")];
        if self.tensors.tensor(&bias).is_ok() {
            self.weights(&bias)?;
            names.push(bias);
        }
        Ok(names)
    }

    /// Adds weights; their sides.
    fn weights(&mut self, name: &str) -> Result<Vec<i64>, String> {
        let missing = |_| {
            let known: Vec<&str> = self.tensors.names().into_iter().take(12).collect();
            format!("there are no weights `{name}`; there are {}", known.join(", "))
        };
        let tensor = self.tensors.tensor(name).map_err(missing)?;
        let dims: Option<Vec<i64>> = tensor.shape().iter().map(|side| i64::try_from(*side).ok()).collect();
        let dims = dims.ok_or_else(|| format!("weights `{name}` have sides that are no numbers"))?;
        let values = floats(&tensor)
            .ok_or_else(|| format!("weights `{name}` are {:?}; F32, F64 and BF16 are read", tensor.dtype()))?;
        if self.read.insert(name.to_owned()) {
            let data_type = DataType::Float as i32;
            self.graph.initializer.push(TensorProto {
                name: name.to_owned(),
                dims: dims.clone(),
                data_type,
                float_data: values,
                ..TensorProto::default()
            });
        }
        Ok(dims)
    }

    fn model(mut self, input: &[i64], last: &str) -> Result<OnnxModel, StackError> {
        let is_unread = |name: &&str| !self.read.contains(*name) && !name.ends_with(COUNTED);
        let mut unread: Vec<&str> = self.tensors.names().into_iter().filter(is_unread).collect();
        unread.sort_unstable();
        if let Some(name) = unread.first() {
            return Err(StackError::Unread { name: (*name).to_owned() });
        }
        let scores = self.scores.ok_or_else(|| StackError::Layer {
            at: self.graph.node.len(),
            kind: "the last",
            reason: "a dense layer must give a score for each class".to_owned(),
        })?;
        self.graph.name = "layers".to_owned();
        self.graph.input = vec![value("input", input)];
        self.graph.output = vec![value(last, &[scores])];
        let proto = ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { version: OPSET, ..OperatorSetIdProto::default() }],
            graph: Some(self.graph),
            ..ModelProto::default()
        };
        Ok(OnnxModel::cleaned(&proto.encode_to_vec())?)
    }
}

fn floats(tensor: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = tensor.data();
    Some(match tensor.dtype() {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect(),
        Dtype::F64 => bytes.as_chunks::<8>().0.iter().map(|word| f64::from_le_bytes(*word) as f32).collect(),
        // The upper half of a float.
        Dtype::BF16 => {
            bytes.as_chunks::<2>().0.iter().map(|[low, high]| f32::from_le_bytes([0, 0, *low, *high])).collect()
        }
        _ => return None,
    })
}

fn value(name: &str, sides: &[i64]) -> ValueInfoProto {
    let side = |size| Dimension { value: Some(size), ..Dimension::default() };
    let fixed = sides.iter().map(|size| side(Size::DimValue(*size)));
    let dim = std::iter::once(side(Size::DimParam("batch".to_owned()))).chain(fixed).collect();
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(r#type), ..ValueInfoProto::default() }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: kind as i32, ..AttributeProto::default() }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { i, ..attribute(name, AttributeType::Int) }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { ints: ints.to_vec(), ..attribute(name, AttributeType::Ints) }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { f, ..attribute(name, AttributeType::Float) }
}
