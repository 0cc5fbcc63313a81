//! Several inputs as one: the first sides of all, one after the other. What read one of them reads its part.

use super::{ImportError, ONNX_LIMIT_BYTES, attributes::Attributes, node_name, tensor};
use std::collections::BTreeSet;
use tract_onnx::pb::{
    GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto::DataType, tensor_shape_proto::dimension::Value,
    type_proto,
};

/// Name of the one input.
const JOINED: &str = "joined-inputs";

/// One of several inputs.
struct Part {
    name: String,
    sides: Vec<usize>,
    /// Where its first side begins.
    from: usize,
}

/// All of them, in the order in which they are joined.
struct Parts {
    parts: Vec<Part>,
    /// First sides together.
    width: usize,
}

/// Makes several inputs one, and pads the weights of what reads one of them with zeros for the others.
///
/// # Errors
/// [`ImportError::InputShape`], [`ImportError::Unlike`]; [`ImportError::Unsupported`] naming a node that reads one of
/// several inputs and is neither a dense layer nor a convolution of one group nor a `Concat` of all;
/// [`ImportError::Reserved`].
pub(super) fn join_inputs(graph: &mut GraphProto) -> Result<(), ImportError> {
    let read: BTreeSet<String> = graph.node.iter().flat_map(|node| node.input.iter().cloned()).collect();
    let is_weights = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let (weights, inputs): (Vec<_>, Vec<_>) = graph.input.iter().cloned().partition(|input| is_weights(&input.name));
    if inputs.len() < 2 {
        return Ok(());
    }
    let inputs: Vec<ValueInfoProto> = inputs.into_iter().filter(|input| read.contains(&input.name)).collect();
    if inputs.len() < 2 {
        graph.input = weights.into_iter().chain(inputs).collect();
        return Ok(());
    }
    if read.contains(JOINED) || graph.node.iter().any(|node| node.output.iter().any(|output| output == JOINED)) {
        return Err(ImportError::Reserved { name: JOINED });
    }
    let parts = Parts::of(graph, &inputs)?;
    for at in 0..graph.node.len() {
        if graph.node[at].input.iter().any(|name| parts.find(name).is_some()) {
            let padded = parts.rewritten(graph, at)?;
            graph.initializer.extend(padded);
        }
    }
    let whole: Vec<String> = parts.parts.iter().map(|part| part.name.clone()).collect();
    let joined = |node: &NodeProto| node.input == whole;
    let outputs: Vec<String> =
        graph.node.iter().filter(|node| joined(node)).flat_map(|node| node.output.iter().cloned()).collect();
    graph.node.retain(|node| !joined(node));
    let reads = graph.node.iter_mut().flat_map(|node| &mut node.input);
    reads.filter(|name| outputs.contains(name)).for_each(|name| *name = JOINED.to_owned());
    graph.input = weights.into_iter().chain([parts.input(inputs)]).collect();
    Ok(())
}

impl Parts {
    fn of(graph: &GraphProto, inputs: &[ValueInfoProto]) -> Result<Self, ImportError> {
        let mut parts = Vec::new();
        for input in inputs {
            let sides =
                tensor::float_shape(input).ok_or_else(|| ImportError::InputShape { name: input.name.clone() })?;
            parts.push(Part { name: input.name.clone(), sides, from: 0 });
        }
        let first = &parts[0];
        if let Some(other) =
            parts.iter().find(|part| part.sides.len() != first.sides.len() || part.sides[1..] != first.sides[1..])
        {
            let named = |part: &Part| format!("`{}` has sides {:?}", part.name, part.sides);
            return Err(ImportError::Unlike { one: named(first), other: named(other) });
        }
        // Where the model itself puts all of them together, in that order.
        let of_all = |node: &&NodeProto| {
            node.op_type == "Concat"
                && node.input.len() == parts.len()
                && parts.iter().all(|part| node.input.contains(&part.name))
        };
        if let Some(concat) = graph.node.iter().find(of_all) {
            parts.sort_by_key(|part| concat.input.iter().position(|name| *name == part.name));
        }
        let mut width = 0;
        for part in &mut parts {
            part.from = width;
            width += part.sides[0];
        }
        Ok(Self { parts, width })
    }

    fn find(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// Lets a node read the one input; the weights that it needs for that.
    fn rewritten(&self, graph: &mut GraphProto, at: usize) -> Result<Option<TensorProto>, ImportError> {
        let node = &graph.node[at];
        let refused = || ImportError::Unsupported {
            node: node_name(node).to_owned(),
            operator: node.op_type.clone(),
            reason:
                "it reads one of several inputs, which are joined along their first side: each must go into a dense \
                     layer, a convolution of one group, or one Concat of them all"
                    .to_owned(),
        };
        let attributes = Attributes(node);
        if node.op_type == "Concat" {
            let rank = self.parts[0].sides.len() as i64;
            let axis = attributes.integer("axis", 1);
            let whole = node.input.iter().eq(self.parts.iter().map(|part| &part.name));
            return if whole && (axis == 1 || axis == -rank) { Ok(None) } else { Err(refused()) };
        }
        let part = node.input.first().and_then(|name| self.find(name)).ok_or_else(refused)?;
        if node.input[1..].iter().any(|name| self.find(name).is_some()) {
            return Err(refused());
        }
        let kernel = graph.initializer.iter().find(|tensor| Some(&tensor.name) == node.input.get(1));
        let padded = kernel.and_then(|kernel| {
            let across = match node.op_type.as_str() {
                "Gemm" if attributes.integer("transA", 0) != 0 => return None,
                "Gemm" => usize::from(attributes.integer("transB", 0) != 0),
                "MatMul" => 0,
                "Conv" if attributes.integer("group", 1) == 1 => 1,
                _ => return None,
            };
            padded(kernel, across, part, self.width)
        });
        let mut padded = padded.ok_or_else(refused)?;
        padded.name = format!("{}.{}.joined", node_name(node), padded.name);
        let node = &mut graph.node[at];
        node.input[0] = JOINED.to_owned();
        node.input[1].clone_from(&padded.name);
        Ok(Some(padded))
    }

    /// The first input, widened.
    fn input(&self, mut inputs: Vec<ValueInfoProto>) -> ValueInfoProto {
        let mut input = inputs.swap_remove(0);
        input.name = JOINED.to_owned();
        if let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_mut().and_then(|of| of.value.as_mut())
            && let Some(side) = tensor.shape.as_mut().and_then(|shape| shape.dim.get_mut(1))
        {
            side.value = Some(Value::DimValue(i64::try_from(self.width).unwrap_or(i64::MAX)));
        }
        input
    }
}

/// The same weights with zeros for the other inputs along side `across`; `None` if they are not for this one.
fn padded(kernel: &TensorProto, across: usize, part: &Part, width: usize) -> Option<TensorProto> {
    let sides = tensor::sides(kernel)?;
    let numbers = tensor::floats(kernel)?;
    let own = *sides.get(across)?;
    if own != part.sides[0] || own == 0 {
        return None;
    }
    let inner: usize = sides[across + 1..].iter().product();
    // As much as a file of weights may hold.
    (numbers.len() / own).checked_mul(width).filter(|count| *count <= ONNX_LIMIT_BYTES / size_of::<f32>())?;
    let before = vec![0.0; part.from * inner];
    let after = vec![0.0; (width - part.from - own) * inner];
    let rows = numbers.chunks_exact((own * inner).max(1));
    let float_data = rows.flat_map(|row| before.iter().chain(row).chain(&after).copied()).collect();
    let mut dims = kernel.dims.clone();
    dims[across] = i64::try_from(width).ok()?;
    let data_type = DataType::Float as i32;
    Some(TensorProto { dims, data_type, float_data, name: kernel.name.clone(), ..TensorProto::default() })
}
