//! Reads an ONNX file into layers that can run under encryption, and cuts off the rest as a file of its own.
//!
//! Bytes are limited first, then parsed by `tract-onnx`'s protobuf types, then every reference is checked,
//! so that nothing downstream meets a dangling name. The graph must have one input with a leading batch
//! dimension and one output. In the head every operator must be known here; in the tail, to tract.

mod attributes;
mod clean;
mod cut;
mod graph;
mod head;
mod instead;
mod join;
mod layer;
mod shapes;
mod sliding;
mod stack;
mod tensor;

pub use graph::{HeadGraph, HeadNode, LinearMap, Operation, Requests};
pub use layer::{Conv2d, Dense};
pub use stack::StackError;
pub(crate) use stack::is_safetensors;

use core::ops::RangeInclusive;
use prost::Message;
use std::collections::BTreeSet;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, tensor_proto::DataLocation};

/// Most bytes of an ONNX file.
pub const ONNX_LIMIT_BYTES: usize = 512 * 1024 * 1024;

/// Versions of ONNX's operators whose meanings are known here.
pub const OPSETS: RangeInclusive<i64> = 11..=21;

/// An ONNX file whose references all hold.
#[derive(Clone)]
pub struct OnnxModel {
    proto: ModelProto,
    input: String,
    input_shape: Vec<usize>,
}

/// Why an ONNX file cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Too long to be read.
    #[error("the ONNX file has {found_bytes} bytes, at most {limit_bytes} are read")]
    TooLong {
        /// Bytes found.
        found_bytes: usize,
        /// Bytes allowed.
        limit_bytes: usize,
    },
    /// Not an ONNX file.
    #[error("not an ONNX file")]
    Parse(#[source] prost::DecodeError),
    /// The file holds no graph.
    #[error("the ONNX file holds no graph")]
    NoGraph,
    /// Operators of a version that is not known.
    #[error(
        "the model's operators are of opset {found}, {least} to {most} are read; export it with another `opset_version`"
    )]
    Opset {
        /// The version found.
        found: i64,
        /// The earliest that is known.
        least: i64,
        /// The latest that is known.
        most: i64,
    },
    /// Not one input and one output.
    #[error(
        "the graph has {inputs} inputs and {outputs} outputs, one of each is read (`model import` joins inputs, and keeps the scores of outputs)"
    )]
    Ends {
        /// Inputs that are not weights.
        inputs: usize,
        /// Outputs.
        outputs: usize,
    },
    /// Several inputs that cannot be joined.
    #[error("several inputs are joined along their first side, the others must be the same: {one}, {other}")]
    Unlike {
        /// One of them.
        one: String,
        /// Another.
        other: String,
    },
    /// The input's shape is not batch, then fixed numbers.
    #[error("input `{name}` must be floats with a batch dimension and fixed sizes after it")]
    InputShape {
        /// The input.
        name: String,
    },
    /// A node reads what nothing before it gives.
    #[error("node `{node}` reads `{value}`, which nothing before it gives")]
    Dangling {
        /// The node.
        node: String,
        /// What it reads.
        value: String,
    },
    /// Two things give the same value.
    #[error("node `{node}` gives `{value}`, which is given already")]
    GivenTwice {
        /// The later node.
        node: String,
        /// The value.
        value: String,
    },
    /// Two sets of weights of one name: which of them counts, every program decides for itself.
    #[error("there are two sets of weights named `{tensor}`")]
    WeightsTwice {
        /// The weights.
        tensor: String,
    },
    /// A result that does not depend on the input.
    #[error("no node computes the model's output `{value}`")]
    NotComputed {
        /// The output.
        value: String,
    },
    /// A name that a tail needs for itself.
    #[error("the model calls something `{name}`, a name that its tail needs for itself; rename it")]
    Reserved {
        /// The name.
        name: &'static str,
    },
    /// Weights outside the file.
    #[error("weights `{tensor}` lie outside the ONNX file; save the model with its weights inside")]
    External {
        /// The weights.
        tensor: String,
    },
    /// No node of this name.
    #[error("the graph has no node `{name}`; it has {known}")]
    NoSuchNode {
        /// The name looked for.
        name: String,
        /// The first few names there are.
        known: String,
    },
    /// An operator, or a use of it, that the encrypted head does not know.
    #[error("node `{node}` ({operator}) cannot run in the head: {reason}")]
    Unsupported {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// What about it.
        reason: String,
    },
    /// A weight that is not a finite number.
    #[error("node `{node}`: weights `{tensor}` hold a number that is not finite")]
    NotFinite {
        /// The node.
        node: String,
        /// The weights.
        tensor: String,
    },
    /// The rest of the model reads something that stays in the head.
    #[error("node `{node}` of the tail reads `{value}` from inside the head; cut the model elsewhere")]
    TailReadsHead {
        /// The node.
        node: String,
        /// What it reads.
        value: String,
    },
}

impl OnnxModel {
    /// The model in `bytes`.
    ///
    /// # Errors
    /// [`ImportError`], by the first check that fails: length, form, opset, references, ends.
    pub fn read(bytes: &[u8]) -> Result<Self, ImportError> {
        if bytes.len() > ONNX_LIMIT_BYTES {
            return Err(ImportError::TooLong { found_bytes: bytes.len(), limit_bytes: ONNX_LIMIT_BYTES });
        }
        let proto = ModelProto::decode(bytes).map_err(ImportError::Parse)?;
        let graph = proto.graph.as_ref().ok_or(ImportError::NoGraph)?;
        check_opset(&proto)?;
        check_references(graph)?;
        let (input, input_shape) = single_input(graph)?;
        Ok(Self { input, input_shape, proto })
    }

    /// Whether every weight is a number, those of the tail, too.
    ///
    /// # Errors
    /// [`ImportError::NotFinite`].
    pub(crate) fn check_finite(&self) -> Result<(), ImportError> {
        check_finite(self.graph())
    }

    /// Shape of the input without its batch dimension.
    pub fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    /// Names of the nodes, in order.
    pub fn node_names(&self) -> Vec<&str> {
        self.graph().node.iter().map(node_name).collect()
    }

    /// The whole file again.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    fn graph(&self) -> &GraphProto {
        self.proto.graph.as_ref().expect("read() refuses a model without a graph; qed")
    }

    fn position(&self, name: &str) -> Result<usize, ImportError> {
        self.graph().node.iter().position(|node| node_name(node) == name).ok_or_else(|| {
            let known: Vec<&str> = self.node_names().into_iter().take(12).collect();
            ImportError::NoSuchNode { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// Fixed numbers of that name: beside the nodes, or what a `Constant` gives.
    fn constant(&self, name: &str) -> Option<&TensorProto> {
        let given = |node: &&NodeProto| node.op_type == "Constant" && node.output.iter().any(|output| output == name);
        let graph = self.graph();
        graph.initializer.iter().find(|tensor| tensor.name == name).or_else(|| {
            let constant = graph.node.iter().find(given)?;
            constant.attribute.iter().find(|attribute| attribute.name == "value")?.t.as_ref()
        })
    }
}

/// A node's name; exporters may leave it out, then its first output names it.
fn node_name(node: &NodeProto) -> &str {
    match (node.name.as_str(), node.output.first()) {
        ("", Some(output)) => output,
        (name, _) => name,
    }
}

/// Operators of classical models have versions of their own, which what reads them knows.
fn check_opset(proto: &ModelProto) -> Result<(), ImportError> {
    let mut sets = proto.opset_import.iter().filter(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    match sets.find(|set| !OPSETS.contains(&set.version)) {
        Some(set) => {
            let (least, most) = (*OPSETS.start(), *OPSETS.end());
            Err(ImportError::Opset { found: set.version, least, most })
        }
        None => Ok(()),
    }
}

fn check_references(graph: &GraphProto) -> Result<(), ImportError> {
    for tensor in &graph.initializer {
        if tensor.data_location == Some(DataLocation::External as i32) || !tensor.external_data.is_empty() {
            return Err(ImportError::External { tensor: tensor.name.clone() });
        }
    }
    let mut given = BTreeSet::new();
    if let Some(tensor) = graph.initializer.iter().find(|tensor| !given.insert(tensor.name.as_str())) {
        return Err(ImportError::WeightsTwice { tensor: tensor.name.clone() });
    }
    given.extend(graph.input.iter().map(|input| input.name.as_str()));
    for node in &graph.node {
        for value in node.input.iter().filter(|value| !value.is_empty()) {
            if !given.contains(value.as_str()) {
                return Err(ImportError::Dangling { node: node_name(node).to_owned(), value: value.clone() });
            }
        }
        for value in node.output.iter().filter(|value| !value.is_empty()) {
            if !given.insert(value) {
                return Err(ImportError::GivenTwice { node: node_name(node).to_owned(), value: value.clone() });
            }
        }
    }
    let is_computed = |value: &String| graph.node.iter().any(|node| node.output.contains(value));
    match graph.output.iter().find(|output| !is_computed(&output.name)) {
        Some(output) => Err(ImportError::NotComputed { value: output.name.clone() }),
        None => Ok(()),
    }
}

/// Refuses weights that are no numbers by the first node that reads them, wherever the model will be cut.
fn check_finite(graph: &GraphProto) -> Result<(), ImportError> {
    let constants = graph.node.iter().filter(|node| node.op_type == "Constant").filter_map(|node| {
        let value = node.attribute.iter().find(|attribute| attribute.name == "value")?;
        Some((node.output.first()?.as_str(), value.t.as_ref()?))
    });
    let fixed = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).chain(constants);
    let is_finite =
        |tensor: &TensorProto| tensor::floats(tensor).is_none_or(|values| values.iter().all(|value| value.is_finite()));
    for (name, _) in fixed.filter(|(_, tensor)| !is_finite(tensor)) {
        // Clip means "no bound" by numbers that are none.
        let reads = |node: &&NodeProto| node.op_type != "Clip" && node.input.iter().any(|input| input == name);
        if let Some(node) = graph.node.iter().find(reads) {
            return Err(ImportError::NotFinite { node: node_name(node).to_owned(), tensor: name.to_owned() });
        }
    }
    Ok(())
}

fn single_input(graph: &GraphProto) -> Result<(String, Vec<usize>), ImportError> {
    let is_weights = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs: Vec<_> = graph.input.iter().filter(|input| !is_weights(&input.name)).collect();
    let ([input], [_]) = (inputs.as_slice(), graph.output.as_slice()) else {
        return Err(ImportError::Ends { inputs: inputs.len(), outputs: graph.output.len() });
    };
    let shape = tensor::float_shape(input).ok_or_else(|| ImportError::InputShape { name: input.name.clone() })?;
    Ok((input.name.clone(), shape))
}
