//! The nodes before the cut, as a graph of linear maps and of what the client computes.

use super::{
    Dense, HeadGraph, HeadNode, ImportError, LinearMap, OnnxModel, Operation, Requests,
    attributes::Attributes,
    graph::{TENSOR_LIMIT, activation},
    instead, node_name, tensor,
};
use encompute_head::{Activation, Join, Node, Program, Real, TensorIndex};
use std::collections::BTreeMap;
use tract_onnx::pb::{NodeProto, TensorProto};

impl OnnxModel {
    /// What leads from the input to what node `after` gives.
    ///
    /// # Errors
    /// [`ImportError::NoSuchNode`]; [`ImportError::Unsupported`] naming the first node that the head cannot run;
    /// [`ImportError::NotFinite`].
    pub fn head_until(&self, after: &str) -> Result<HeadGraph, ImportError> {
        let (nodes, Value { tensor: features, .. }) = self.read_until(after)?;
        Ok(HeadGraph { nodes, features, requests: Requests::Calibrated }.simplified())
    }

    /// Sides of what node `after` gives, without the batch dimension; none where the head cannot run up to there.
    pub(super) fn sides_after(&self, after: &str) -> Option<Vec<usize>> {
        Some(self.read_until(after).ok()?.1.sides)
    }

    fn read_until(&self, after: &str) -> Result<(Vec<HeadNode>, Value), ImportError> {
        let last = self.position(after)?;
        let input = Value { tensor: Program::INPUT, sides: self.input_shape.clone() };
        let known = BTreeMap::from([(self.input.as_str(), input)]);
        let mut reader = HeadReader { model: self, known, nodes: Vec::new() };
        let nodes = &self.graph().node[..=last];
        nodes.iter().try_for_each(|node| reader.read(node))?;
        let result = nodes[last].output.first().and_then(|name| reader.known.get(name.as_str())).cloned();
        let result = result.ok_or_else(|| ImportError::Unsupported {
            node: after.to_owned(),
            operator: nodes[last].op_type.clone(),
            reason: "nothing of the input reaches it".to_owned(),
        })?;
        Ok((reader.nodes, result))
    }
}

/// A value that depends on the input, without its batch dimension.
#[derive(Clone)]
pub(super) struct Value {
    pub tensor: TensorIndex,
    pub sides: Vec<usize>,
}

/// Walks the nodes; `known` is what they have given so far.
pub(super) struct HeadReader<'a> {
    model: &'a OnnxModel,
    known: BTreeMap<&'a str, Value>,
    nodes: Vec<HeadNode>,
}

pub(super) type Reason = String;
/// What a node gives, or that it gives what it reads.
pub(super) type Read = Result<Option<(Operation, Vec<usize>)>, Reason>;

impl<'a> HeadReader<'a> {
    fn read(&mut self, node: &'a NodeProto) -> Result<(), ImportError> {
        let unsupported = |reason: Reason| ImportError::Unsupported {
            node: node_name(node).to_owned(),
            operator: node.op_type.clone(),
            reason,
        };
        if !matches!(node.domain.as_str(), "" | "ai.onnx") {
            return Err(unsupported(format!("operators of `{}` are not known", node.domain)));
        }
        if node.op_type == "Constant" {
            return Ok(());
        }
        let [output] = node.output.as_slice() else {
            return Err(unsupported(format!("it gives {} values, one is read", node.output.len())));
        };
        self.check_finite(node)?;
        let given = match self.operation(node).map_err(unsupported)? {
            None => self.value(node, 0).map_err(unsupported)?,
            Some((operation, sides)) => {
                let size = sides.iter().try_fold(1usize, |size, side| size.checked_mul(*side));
                if size.is_none_or(|size| size > TENSOR_LIMIT) {
                    let limit = format!("a tensor of a head has at most {TENSOR_LIMIT} values");
                    return Err(unsupported(format!("{limit}, here are sides {sides:?}")));
                }
                Value { tensor: self.push(node, operation).map_err(unsupported)?, sides }
            }
        };
        self.known.insert(output, given);
        Ok(())
    }

    /// Adds what a node computes, or a part of it.
    pub(super) fn push(&mut self, node: &NodeProto, operation: Operation) -> Result<TensorIndex, Reason> {
        if self.nodes.len() >= Program::NODE_LIMIT {
            return Err(format!("a head has at most {} nodes", Program::NODE_LIMIT));
        }
        self.nodes.push(HeadNode { name: node_name(node).to_owned(), operation });
        // NODE_LIMIT nodes have names of sixteen bits.
        Ok(TensorIndex(self.nodes.len() as u16))
    }

    fn operation(&mut self, node: &'a NodeProto) -> Read {
        let attributes = Attributes(node);
        let number = |name, default| real(attributes.float(name, default).into());
        match node.op_type.as_str() {
            "Gemm" => self.gemm(node),
            "MatMul" => self.matmul(node),
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node),
            "BatchNormalization" => self.batch_normalisation(node),
            "LayerNormalization" => self.layer_normalisation(node),
            "Conv" => self.conv(node),
            "ConvTranspose" => self.conv_transpose(node),
            "AveragePool" => self.pool(node, Join::Average),
            "MaxPool" => self.pool(node, Join::Max),
            "GlobalAveragePool" => self.global_average(node),
            "Relu" => self.activated(node, Activation::Relu),
            "LeakyRelu" => self.activated(node, Activation::LeakyRelu { slope: number("alpha", 0.01)? }),
            "Clip" => self.clip(node),
            "Sigmoid" => self.activated(node, Activation::Sigmoid),
            "Tanh" => self.activated(node, Activation::Tanh),
            "Erf" => self.activated(node, Activation::Erf),
            "Gelu" if attributes.text("approximate") == b"tanh" => self.activated(node, Activation::GeluTanh),
            "Gelu" => self.activated(node, Activation::Gelu),
            "HardSigmoid" => self.hard_sigmoid(node, [number("alpha", 0.2)?, number("beta", 0.5)?]),
            "HardSwish" => self.hard_swish(node),
            "Softmax" => self.softmax(node),
            "Concat" => self.concatenate(node),
            "Flatten" => self.flatten(node),
            "Reshape" => self.reshape(node),
            "Transpose" => self.turned(node),
            "Squeeze" => self.squeezed(node),
            "Unsqueeze" => self.unsqueezed(node),
            "ReduceMean" => self.mean(node),
            "Identity" => Ok(None),
            _ => Err(instead::of(&node.op_type)),
        }
    }

    fn check_finite(&self, node: &NodeProto) -> Result<(), ImportError> {
        for name in &node.input {
            let Some(values) = self.model.constant(name).and_then(tensor::floats) else { continue };
            // Clip means "no bound" by numbers that are none.
            if node.op_type != "Clip" && values.iter().any(|value| !value.is_finite()) {
                return Err(ImportError::NotFinite { node: node_name(node).to_owned(), tensor: name.clone() });
            }
        }
        Ok(())
    }

    pub(super) fn value(&self, node: &NodeProto, index: usize) -> Result<Value, Reason> {
        let name = node.input.get(index).ok_or_else(|| format!("input {index} is missing"))?;
        self.known.get(name.as_str()).cloned().ok_or_else(|| format!("`{name}` must depend on the model's input"))
    }

    pub(super) fn weights(&self, node: &NodeProto, index: usize) -> Result<&'a TensorProto, Reason> {
        let name = node.input.get(index).ok_or_else(|| format!("input {index} is missing"))?;
        self.model.constant(name).ok_or_else(|| format!("`{name}` must be fixed weights"))
    }

    pub(super) fn optional_weights(
        &self,
        node: &NodeProto,
        index: usize,
        width: usize,
    ) -> Result<Option<Vec<f32>>, Reason> {
        match node.input.get(index).filter(|name| !name.is_empty()) {
            Some(_) => spread(self.weights(node, index)?, width).map(Some),
            None => Ok(None),
        }
    }

    /// Fixed weights with two sides.
    fn matrix(&self, node: &NodeProto, index: usize) -> Result<(usize, usize, Vec<f32>), Reason> {
        let tensor = self.weights(node, index)?;
        match (tensor::sides(tensor).as_deref(), tensor::floats(tensor)) {
            (Some(&[rows, columns]), Some(values)) if rows > 0 && columns > 0 => Ok((rows, columns, values)),
            _ => Err(format!("`{}` must be a matrix of floats, its sides are {:?}", tensor.name, tensor.dims)),
        }
    }

    fn gemm(&self, node: &NodeProto) -> Read {
        let attributes = Attributes(node);
        if attributes.integer("transA", 0) != 0 {
            return Err("the input must not be transposed".to_owned());
        }
        let (rows, columns, values) = self.matrix(node, 1)?;
        let transposed = attributes.integer("transB", 0) != 0;
        let weights = if transposed { values } else { transpose(rows, columns, &values) };
        let (outputs, inputs) = if transposed { (rows, columns) } else { (columns, rows) };
        let (alpha, beta) = (attributes.float("alpha", 1.0), attributes.float("beta", 1.0));
        let bias = self.optional_weights(node, 2, outputs)?.unwrap_or_else(|| vec![0.0; outputs]);
        let dense = Dense {
            inputs,
            outputs,
            weights: weights.iter().map(|weight| weight * alpha).collect(),
            bias: bias.iter().map(|bias| bias * beta).collect(),
        };
        self.dense(node, dense)
    }

    fn matmul(&self, node: &NodeProto) -> Read {
        let (inputs, outputs, values) = self.matrix(node, 1)?;
        let weights = transpose(inputs, outputs, &values);
        self.dense(node, Dense { inputs, outputs, weights, bias: vec![0.0; outputs] })
    }

    fn dense(&self, node: &NodeProto, dense: Dense) -> Read {
        let Value { tensor: of, sides } = self.value(node, 0)?;
        let width = match sides.as_slice() {
            [width] => *width,
            sides => return Err(format!("a flat input is needed, this one has sides {sides:?}")),
        };
        if width != dense.inputs {
            return Err(format!("weights are for {} inputs, {width} come in", dense.inputs));
        }
        let sides = vec![dense.outputs];
        Ok(Some((Operation::Linear { of, map: LinearMap::Dense(dense) }, sides)))
    }

    /// Sums, differences, products and quotients: of two values, or of one value and fixed numbers.
    fn arithmetic(&self, node: &NodeProto) -> Read {
        match (self.value(node, 0), self.value(node, 1)) {
            (Ok(one), Ok(other)) => between(&node.op_type, &one, &other),
            (Ok(value), Err(_)) => self.with_numbers(node, &value, 1),
            (Err(_), Ok(value)) => self.with_numbers(node, &value, 0),
            (Err(reason), Err(_)) => Err(reason),
        }
    }

    fn with_numbers(&self, node: &NodeProto, value: &Value, at: usize) -> Read {
        let numbers = per_channel(self.weights(node, at)?, &value.sides)?;
        let map = |of: fn(f32) -> f32| numbers.iter().map(|number| real(of(*number).into())).collect::<Result<_, _>>();
        let (gain, offset): (Vec<Real>, Vec<Real>) = match (node.op_type.as_str(), at) {
            ("Add", _) => (vec![Real::ONE], map(|number| number)?),
            ("Sub", 1) => (vec![Real::ONE], map(|number| -number)?),
            ("Sub", _) => (vec![real(-1.0)?], map(|number| number)?),
            ("Mul", _) => (map(|number| number)?, vec![Real::ZERO]),
            ("Div", 1) => (map(f32::recip)?, vec![Real::ZERO]),
            _ => return Err("numbers cannot be divided by a value of the head".to_owned()),
        };
        Ok(Some((Operation::Client(Node::Affine { of: value.tensor, gain, offset }), value.sides.clone())))
    }

    /// As one factor and one summand a channel.
    fn batch_normalisation(&self, node: &NodeProto) -> Read {
        let value = self.value(node, 0)?;
        let channels = value.sides.first().copied().unwrap_or(0);
        let numbers = |index| spread(self.weights(node, index)?, channels);
        let (scale, shift, mean, variance) = (numbers(1)?, numbers(2)?, numbers(3)?, numbers(4)?);
        let epsilon = f64::from(Attributes(node).float("epsilon", 1e-5));
        let factors: Vec<f64> = scale
            .iter()
            .zip(&variance)
            .map(|(scale, variance)| f64::from(*scale) / (f64::from(*variance) + epsilon).sqrt())
            .collect();
        let summands = factors.iter().zip(mean.iter().zip(&shift));
        let summand =
            |(factor, (mean, shift)): (&f64, (&f32, &f32))| real(f64::from(*shift) - factor * f64::from(*mean));
        let offset = summands.map(summand).collect::<Result<_, _>>()?;
        let gain = factors.iter().map(|factor| real(*factor)).collect::<Result<_, _>>()?;
        Ok(Some((Operation::Client(Node::Affine { of: value.tensor, gain, offset }), value.sides)))
    }

    fn layer_normalisation(&self, node: &NodeProto) -> Read {
        let Value { tensor: of, sides } = self.value(node, 0)?;
        let ([channels], 1 | -1) = (sides.as_slice(), Attributes(node).integer("axis", -1)) else {
            return Err(format!("a flat input is needed, this one has sides {sides:?}"));
        };
        let gain = reals(&spread(self.weights(node, 1)?, *channels)?)?;
        let offset = self.optional_weights(node, 2, *channels)?.unwrap_or_else(|| vec![0.0; *channels]);
        let epsilon = real(Attributes(node).float("epsilon", 1e-5).into())?;
        Ok(Some((Operation::Client(Node::Normalise { of, epsilon, gain, offset: reals(&offset)? }), sides)))
    }

    fn activated(&self, node: &NodeProto, function: Activation) -> Read {
        let Value { tensor, sides } = self.value(node, 0)?;
        Ok(Some((activation(tensor, function), sides)))
    }

    fn clip(&self, node: &NodeProto) -> Read {
        let attributes = Attributes(node);
        let bound = |index, name, none: f32| match self.optional_weights(node, index, 1)?.as_deref() {
            Some([bound]) => Ok(*bound),
            _ => Ok::<f32, Reason>(attributes.float(name, none)),
        };
        let held = |bound: f32| real(bound.clamp(f32::MIN, f32::MAX).into());
        let (least, most) = (held(bound(1, "min", f32::MIN)?)?, held(bound(2, "max", f32::MAX)?)?);
        self.activated(node, Activation::Clip { least, most })
    }

    /// `x · slope + offset`, held to 0 and 1.
    fn hard_sigmoid(&mut self, node: &NodeProto, [slope, offset]: [Real; 2]) -> Read {
        let Value { tensor: of, sides } = self.value(node, 0)?;
        let line = Node::Affine { of, gain: vec![slope], offset: vec![offset] };
        let of = self.push(node, Operation::Client(line))?;
        Ok(Some((activation(of, Activation::Clip { least: Real::ZERO, most: Real::ONE }), sides)))
    }

    fn hard_swish(&mut self, node: &NodeProto) -> Read {
        let value = self.value(node, 0)?;
        match self.hard_sigmoid(node, [real(1.0 / 6.0)?, real(0.5)?])? {
            Some((gate, sides)) => {
                let of = [value.tensor, self.push(node, gate)?];
                Ok(Some((Operation::Client(Node::Multiply { of }), sides)))
            }
            None => Ok(None),
        }
    }

    fn softmax(&self, node: &NodeProto) -> Read {
        let Value { tensor: of, sides } = self.value(node, 0)?;
        match (sides.as_slice(), Attributes(node).integer("axis", -1)) {
            ([_], 1 | -1) => Ok(Some((Operation::Client(Node::Softmax { of }), sides))),
            (sides, axis) => Err(format!("a flat input and its axis are needed, there are axis {axis} of {sides:?}")),
        }
    }

    fn concatenate(&self, node: &NodeProto) -> Read {
        let (one, other) = (self.value(node, 0)?, self.value(node, 1)?);
        let rank = one.sides.len() as i64;
        let axis = Attributes(node).integer("axis", 1);
        let beside = one.sides.len() == other.sides.len() && one.sides.get(1..) == other.sides.get(1..);
        if node.input.len() != 2 || !(axis == 1 || axis == -rank) || !beside {
            return Err("two values of the same sides but the first are put together, along that one".to_owned());
        }
        let mut sides = one.sides;
        sides[0] += other.sides[0];
        Ok(Some((Operation::Client(Node::Concatenate { of: [one.tensor, other.tensor] }), sides)))
    }
}

/// Of two values of the head.
fn between(operator: &str, one: &Value, other: &Value) -> Read {
    let of = [one.tensor, other.tensor];
    let per_channel = |value: &Value, image: &Value| {
        let (channels, rest) = value.sides.split_first().unwrap_or((&0, &[]));
        image.sides.first() == Some(channels)
            && rest.iter().all(|side| *side == 1)
            && rest.len() + 1 == image.sides.len()
    };
    match operator {
        "Add" if one.sides == other.sides => Ok(Some((Operation::Client(Node::Add { of }), one.sides.clone()))),
        "Mul" if one.sides == other.sides || per_channel(other, one) => {
            Ok(Some((Operation::Client(Node::Multiply { of }), one.sides.clone())))
        }
        "Mul" if per_channel(one, other) => {
            let of = [other.tensor, one.tensor];
            Ok(Some((Operation::Client(Node::Multiply { of }), other.sides.clone())))
        }
        "Add" | "Mul" => Err(format!("sides {:?} and {:?} do not fit each other", one.sides, other.sides)),
        _ => Err("of two values of the head only sums and products are known".to_owned()),
    }
}

fn transpose(rows: usize, columns: usize, values: &[f32]) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// `width` numbers, or one number for all.
fn spread(tensor: &TensorProto, width: usize) -> Result<Vec<f32>, Reason> {
    match tensor::floats(tensor) {
        Some(values) if values.len() == width => Ok(values),
        Some(values) if values.len() == 1 => Ok(vec![values[0]; width]),
        Some(values) => Err(format!("`{}` holds {} numbers where {width} are needed", tensor.name, values.len())),
        None => Err(format!("`{}` must hold floats", tensor.name)),
    }
}

/// One number, or one for each channel of a value of these sides.
fn per_channel(tensor: &TensorProto, sides: &[usize]) -> Result<Vec<f32>, Reason> {
    let numbers = tensor::floats(tensor).ok_or_else(|| format!("`{}` must hold floats", tensor.name))?;
    let channels = sides.first().copied().unwrap_or(0);
    let mut wanted = vec![1; sides.len()];
    wanted[0] = channels as i64;
    match numbers.len() {
        1 => Ok(numbers),
        count if count == channels && tensor.dims.ends_with(&wanted) => Ok(numbers),
        _ => Err(format!("a number per channel is needed, the sides of `{}` are {:?}", tensor.name, tensor.dims)),
    }
}

fn real(number: f64) -> Result<Real, Reason> {
    Real::new(number).ok_or_else(|| format!("its numbers give {number}, which is not finite"))
}

fn reals(numbers: &[f32]) -> Result<Vec<Real>, Reason> {
    numbers.iter().map(|number| real(f64::from(*number))).collect()
}
