//! The nodes before the cut, as layers.

use super::{
    AveragePool, Conv2d, Dense, ImportError, Layer, OnnxModel, Step, attributes::Attributes, node_name, tensor,
};
use tract_onnx::pb::{NodeProto, TensorProto};

impl OnnxModel {
    /// The layers from the input up to and including node `after`.
    ///
    /// # Errors
    /// [`ImportError::NoSuchNode`]; [`ImportError::Unsupported`] naming the first node that the head cannot run;
    /// [`ImportError::NotFinite`].
    pub fn head_until(&self, after: &str) -> Result<Vec<Step>, ImportError> {
        let last = self.position(after)?;
        let mut reader =
            HeadReader { model: self, value: self.input.clone(), shape: self.input_shape.clone(), steps: Vec::new() };
        for node in &self.graph().node[..=last] {
            reader.read(node)?;
        }
        Ok(reader.steps)
    }
}

/// Walks a chain of nodes; `value` is what the last one gave.
struct HeadReader<'a> {
    model: &'a OnnxModel,
    value: String,
    shape: Vec<usize>,
    steps: Vec<Step>,
}

type Reason = String;

impl HeadReader<'_> {
    fn read(&mut self, node: &NodeProto) -> Result<(), ImportError> {
        let unsupported = |reason: Reason| ImportError::Unsupported {
            node: node_name(node).to_owned(),
            operator: node.op_type.clone(),
            reason,
        };
        if !matches!(node.domain.as_str(), "" | "ai.onnx") {
            return Err(unsupported(format!("operators of `{}` are not known", node.domain)));
        }
        let reads_chain = node.input.iter().filter(|value| **value == self.value).count();
        if reads_chain != 1 || node.output.len() != 1 {
            return Err(unsupported(format!("the head is a chain, and this node does not continue `{}`", self.value)));
        }
        self.check_finite(node)?;
        let step = match node.op_type.as_str() {
            "Gemm" => self.gemm(node),
            "MatMul" => self.matmul(node),
            "Add" => self.add(node),
            "Conv" => self.conv(node),
            "AveragePool" => self.average_pool(node),
            "Relu" => Ok(Some((Layer::Relu, self.shape.clone()))),
            "Flatten" => self.flatten(node),
            "Reshape" => self.reshape(node),
            "Identity" => Ok(None),
            _ => Err("known are Gemm, MatMul, Add, Relu, Flatten, Reshape, Conv, AveragePool, Identity".to_owned()),
        };
        if let Some((layer, output_shape)) = step.map_err(unsupported)? {
            self.shape.clone_from(&output_shape);
            self.steps.push(Step { node: node_name(node).to_owned(), layer, output_shape });
        }
        self.value.clone_from(&node.output[0]);
        Ok(())
    }

    fn check_finite(&self, node: &NodeProto) -> Result<(), ImportError> {
        for name in &node.input {
            let Some(values) = self.model.initialiser(name).and_then(tensor::floats) else { continue };
            if values.iter().any(|value| !value.is_finite()) {
                return Err(ImportError::NotFinite { node: node_name(node).to_owned(), tensor: name.clone() });
            }
        }
        Ok(())
    }

    fn weights(&self, node: &NodeProto, index: usize) -> Result<&TensorProto, Reason> {
        let name = node.input.get(index).ok_or_else(|| format!("input {index} is missing"))?;
        self.model.initialiser(name).ok_or_else(|| format!("`{name}` must be fixed weights"))
    }

    /// Fixed weights with two sides.
    fn matrix(&self, node: &NodeProto, index: usize) -> Result<(usize, usize, Vec<f32>), Reason> {
        let tensor = self.weights(node, index)?;
        match (tensor::sides(tensor).as_deref(), tensor::floats(tensor)) {
            (Some(&[rows, columns]), Some(values)) if rows > 0 && columns > 0 => Ok((rows, columns, values)),
            _ => Err(format!("`{}` must be a matrix of floats, its sides are {:?}", tensor.name, tensor.dims)),
        }
    }

    fn width(&self) -> Result<usize, Reason> {
        match self.shape.as_slice() {
            [width] => Ok(*width),
            shape => Err(format!("a flat input is needed, this one has sides {shape:?}")),
        }
    }

    fn gemm(&self, node: &NodeProto) -> Result<Option<(Layer, Vec<usize>)>, Reason> {
        let attributes = Attributes(node);
        if node.input[0] != self.value || attributes.integer("transA", 0) != 0 {
            return Err("the input must be the left factor, not transposed".to_owned());
        }
        let (rows, columns, values) = self.matrix(node, 1)?;
        let transposed = attributes.integer("transB", 0) != 0;
        let weights = if transposed { values } else { transpose(rows, columns, &values) };
        let (outputs, inputs) = if transposed { (rows, columns) } else { (columns, rows) };
        let (alpha, beta) = (attributes.float("alpha", 1.0), attributes.float("beta", 1.0));
        let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(_) => spread(self.weights(node, 2)?, outputs)?,
            None => vec![0.0; outputs],
        };
        self.dense(Dense {
            inputs,
            outputs,
            weights: weights.iter().map(|weight| weight * alpha).collect(),
            bias: bias.iter().map(|bias| bias * beta).collect(),
        })
    }

    fn matmul(&self, node: &NodeProto) -> Result<Option<(Layer, Vec<usize>)>, Reason> {
        if node.input[0] != self.value {
            return Err("the input must be the left factor".to_owned());
        }
        let (inputs, outputs, values) = self.matrix(node, 1)?;
        self.dense(Dense { inputs, outputs, weights: transpose(inputs, outputs, &values), bias: vec![0.0; outputs] })
    }

    fn dense(&self, dense: Dense) -> Result<Option<(Layer, Vec<usize>)>, Reason> {
        let width = self.width()?;
        if width != dense.inputs {
            return Err(format!("weights are for {} inputs, {width} come in", dense.inputs));
        }
        let shape = vec![dense.outputs];
        Ok(Some((Layer::Dense(dense), shape)))
    }

    /// A bias after a linear layer becomes part of it.
    fn add(&mut self, node: &NodeProto) -> Result<Option<(Layer, Vec<usize>)>, Reason> {
        let other = usize::from(node.input[0] == self.value);
        let tensor = self.weights(node, other)?.clone();
        let bias = match self.steps.last_mut().map(|step| &mut step.layer) {
            Some(Layer::Dense(dense)) => &mut dense.bias,
            Some(Layer::Conv2d(conv)) => {
                let per_channel = [conv.channels as i64, 1, 1];
                if tensor.dims.iter().product::<i64>() != 1 && !tensor.dims.ends_with(&per_channel) {
                    return Err(format!("a bias per channel is needed, its sides are {:?}", tensor.dims));
                }
                &mut conv.bias
            }
            _ => return Err("a sum is known only as the bias of the linear layer before it".to_owned()),
        };
        let added = spread(&tensor, bias.len())?;
        bias.iter_mut().zip(added).for_each(|(bias, added)| *bias += added);
        Ok(None)
    }

    fn image(&self) -> Result<[usize; 3], Reason> {
        <[usize; 3]>::try_from(self.shape.as_slice())
            .map_err(|_| format!("channels, height and width are needed, the input has sides {:?}", self.shape))
    }

    fn conv(&self, node: &NodeProto) -> Result<Option<(Layer, Vec<usize>)>, Reason> {
        let attributes = Attributes(node);
        let input = self.image()?;
        let tensor = self.weights(node, 1)?;
        let sides = tensor::sides(tensor).and_then(|sides| <[usize; 4]>::try_from(sides).ok());
        let ([channels, depth, rows, columns], Some(weights)) = (
            sides.filter(|sides| !sides.contains(&0)).ok_or("the kernel must have four sides")?,
            tensor::floats(tensor),
        ) else {
            return Err("the kernel must hold floats".to_owned());
        };
        own_padding(&attributes)?;
        let groups = attributes.integer("group", 1);
        let cut = usize::try_from(groups).ok().filter(|groups| *groups > 0 && channels.is_multiple_of(*groups));
        let Some(groups) = cut.filter(|groups| depth.checked_mul(*groups) == Some(input[0])) else {
            let come_in = input[0];
            return Err(format!(
                "the kernel is for {depth} channels in each of {groups} groups, {come_in} come in and {channels} out"
            ));
        };
        let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(_) => spread(self.weights(node, 2)?, channels)?,
            None => vec![0.0; channels],
        };
        let conv = Conv2d {
            input,
            channels,
            kernel: [rows, columns],
            stride: attributes.sizes("strides", [1, 1], 1)?,
            dilation: attributes.sizes("dilations", [1, 1], 1)?,
            padding: attributes.sizes("pads", [0; 4], 0)?,
            groups,
            weights,
            bias,
        };
        let output = conv.output().ok_or("the kernel is larger than its input")?;
        Ok(Some((Layer::Conv2d(conv), output.to_vec())))
    }

    fn average_pool(&self, node: &NodeProto) -> Result<Option<(Layer, Vec<usize>)>, Reason> {
        let attributes = Attributes(node);
        own_padding(&attributes)?;
        match attributes.sizes("dilations", [1, 1], 1)? {
            [1, 1] => {}
            dilations => return Err(format!("dilations are {dilations:?}, only 1 is known")),
        }
        if attributes.sizes("pads", [0; 4], 0)? != [0; 4] || attributes.integer("ceil_mode", 0) != 0 {
            return Err("padding and ceil_mode are not known".to_owned());
        }
        let kernel = attributes.sizes("kernel_shape", [0; 2], 1)?;
        let pool = AveragePool { input: self.image()?, kernel, stride: attributes.sizes("strides", [1, 1], 1)? };
        let output = pool.output().filter(|_| kernel != [0; 2]).ok_or("the window is larger than its input")?;
        Ok(Some((Layer::AveragePool(pool), output.to_vec())))
    }

    fn flatten(&self, node: &NodeProto) -> Result<Option<(Layer, Vec<usize>)>, Reason> {
        match Attributes(node).integer("axis", 1) {
            1 => Ok(Some((Layer::Reshape, vec![self.shape.iter().product()]))),
            axis => Err(format!("axis is {axis}, only 1 is known")),
        }
    }

    fn reshape(&self, node: &NodeProto) -> Result<Option<(Layer, Vec<usize>)>, Reason> {
        let target = tensor::integers(self.weights(node, 1)?).ok_or("the shape must be 64-bit integers")?;
        let size: usize = self.shape.iter().product();
        let (batch, sides) = target.split_first().ok_or("the shape is empty")?;
        let free = sides.iter().filter(|side| **side == -1).count();
        let fixed: Option<Vec<usize>> =
            sides.iter().filter(|side| **side != -1).map(|side| usize::try_from(*side).ok()).collect();
        let product = fixed.and_then(|fixed| fixed.iter().try_fold(1usize, |size, side| size.checked_mul(*side)));
        let fits = matches!((product, free), (Some(product), 0) if product == size)
            || matches!((product, free), (Some(product), 1) if product > 0 && size.is_multiple_of(product) && *batch != -1);
        if !fits || !(-1..=1).contains(batch) || sides.is_empty() {
            return Err(format!("{target:?} must keep the batch and all {size} numbers of a sample"));
        }
        let filled = sides.iter().map(|side| usize::try_from(*side).unwrap_or(size / product.unwrap_or(1).max(1)));
        Ok(Some((Layer::Reshape, filled.collect())))
    }
}

/// Refuses padding that only the run time would choose.
fn own_padding(attributes: &Attributes<'_>) -> Result<(), Reason> {
    match attributes.text("auto_pad") {
        b"" | b"NOTSET" | b"VALID" => Ok(()),
        other => Err(format!("auto_pad `{}` is not known, give pads", String::from_utf8_lossy(other))),
    }
}

fn transpose(rows: usize, columns: usize, values: &[f32]) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// A bias of `width` numbers, or one number for all.
fn spread(tensor: &TensorProto, width: usize) -> Result<Vec<f32>, Reason> {
    match tensor::floats(tensor) {
        Some(values) if values.len() == width => Ok(values),
        Some(values) if values.len() == 1 => Ok(vec![values[0]; width]),
        Some(values) => Err(format!("`{}` holds {} numbers where {width} are needed", tensor.name, values.len())),
        None => Err(format!("`{}` must hold floats", tensor.name)),
    }
}
