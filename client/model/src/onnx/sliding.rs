//! Nodes that slide a window over rows and columns: convolutions and pools, of one dimension and of two.

use super::{
    Conv2d, Dense, LinearMap, Operation,
    attributes::Attributes,
    head::{HeadReader, Read, Reason, Value},
    layer::windows,
    tensor,
};
use encompute_head::{Axis, Join, Node, TensorIndex};
use tract_onnx::pb::NodeProto;

/// Most weights of a transposed convolution written out as a dense layer: a tenth of a second of one core.
const WRITTEN_OUT_LIMIT: usize = 1 << 24;

/// What a window slides over: a value of two sides is one column.
struct Plane {
    tensor: TensorIndex,
    /// Channels, rows, columns.
    sides: [usize; 3],
    /// Channels and rows alone.
    single: bool,
}

impl Plane {
    /// Numbers for rows and columns, of which a plane of one column gives those for rows alone.
    fn pair(
        &self,
        attributes: &Attributes<'_>,
        name: &str,
        default: usize,
        least: usize,
    ) -> Result<[usize; 2], Reason> {
        match self.single {
            true => attributes.sizes(name, [default], least).map(|[rows]| [rows, default]),
            false => attributes.sizes(name, [default; 2], least),
        }
    }

    /// Zeros at top, left, bottom, right.
    fn padding(&self, attributes: &Attributes<'_>) -> Result<[usize; 4], Reason> {
        match self.single {
            true => attributes.sizes("pads", [0; 2], 0).map(|[before, after]| [before, 0, after, 0]),
            false => attributes.sizes("pads", [0; 4], 0),
        }
    }

    /// The sides of a result as the file has them.
    fn given(&self, sides: [usize; 3]) -> Vec<usize> {
        sides[..if self.single { 2 } else { 3 }].to_vec()
    }
}

/// A kernel: its first two sides, its rows and columns, its numbers.
struct Kernel {
    first: usize,
    second: usize,
    size: [usize; 2],
    numbers: Vec<f32>,
}

impl HeadReader<'_> {
    fn plane(&self, node: &NodeProto) -> Result<Plane, Reason> {
        let Value { tensor, sides } = self.value(node, 0)?;
        match sides.as_slice() {
            [channels, rows] => Ok(Plane { tensor, sides: [*channels, *rows, 1], single: true }),
            [channels, rows, columns] => Ok(Plane { tensor, sides: [*channels, *rows, *columns], single: false }),
            sides => Err(format!("channels and one or two sides are needed, there are {sides:?}")),
        }
    }

    fn kernel(&self, node: &NodeProto, plane: &Plane) -> Result<Kernel, Reason> {
        let tensor = self.weights(node, 1)?;
        let wanted = if plane.single { 3 } else { 4 };
        let sides = tensor::sides(tensor).filter(|sides| sides.len() == wanted && !sides.contains(&0));
        let Some(sides) = sides else {
            return Err(format!(
                "the kernel must have {wanted} sides, those of `{}` are {:?}",
                tensor.name, tensor.dims
            ));
        };
        let numbers = tensor::floats(tensor).ok_or("the kernel must hold floats")?;
        let size = [sides[2], sides.get(3).copied().unwrap_or(1)];
        Ok(Kernel { first: sides[0], second: sides[1], size, numbers })
    }

    pub(super) fn conv(&self, node: &NodeProto) -> Read {
        let attributes = Attributes(node);
        let plane = self.plane(node)?;
        let Kernel { first: channels, second: depth, size, numbers } = self.kernel(node, &plane)?;
        own_padding(&attributes)?;
        let groups = attributes.integer("group", 1);
        let cut = usize::try_from(groups).ok().filter(|groups| *groups > 0 && channels.is_multiple_of(*groups));
        let Some(groups) = cut.filter(|groups| depth.checked_mul(*groups) == Some(plane.sides[0])) else {
            let come_in = plane.sides[0];
            return Err(format!(
                "the kernel is for {depth} channels in each of {groups} groups, {come_in} come in and {channels} out"
            ));
        };
        let conv = Conv2d {
            input: plane.sides,
            channels,
            kernel: size,
            stride: plane.pair(&attributes, "strides", 1, 1)?,
            dilation: plane.pair(&attributes, "dilations", 1, 1)?,
            padding: plane.padding(&attributes)?,
            groups,
            weights: numbers,
            bias: self.optional_weights(node, 2, channels)?.unwrap_or_else(|| vec![0.0; channels]),
        };
        let output = conv.output().ok_or("the kernel is larger than its input")?;
        Ok(Some((Operation::Linear { of: plane.tensor, map: LinearMap::Conv2d(conv) }, plane.given(output))))
    }

    /// Reads a transposed convolution as the dense layer that it is, between two changes of shape. Its kernel would lie
    /// on zeros between the inputs: the matrix has as many numbers that are not zero, and keeps to one round.
    pub(super) fn conv_transpose(&mut self, node: &NodeProto) -> Read {
        let attributes = Attributes(node);
        let plane = self.plane(node)?;
        let kernel = self.kernel(node, &plane)?;
        own_padding(&attributes)?;
        let groups = usize::try_from(attributes.integer("group", 1)).unwrap_or(0);
        if kernel.first != plane.sides[0] || groups == 0 || !kernel.first.is_multiple_of(groups) {
            let (found, come_in) = (kernel.first, plane.sides[0]);
            return Err(format!("the kernel is for {found} channels in {groups} groups, {come_in} come in"));
        }
        if attributes.has("output_shape") {
            return Err("output_shape is not known, give pads and output_padding".to_owned());
        }
        let bias = self.optional_weights(node, 2, kernel.second * groups)?;
        let transposed = Transposed {
            input: plane.sides,
            groups,
            stride: plane.pair(&attributes, "strides", 1, 1)?,
            dilation: plane.pair(&attributes, "dilations", 1, 1)?,
            padding: plane.padding(&attributes)?,
            more: plane.pair(&attributes, "output_padding", 0, 0)?,
            kernel,
        };
        let output = transposed.output().ok_or("the padding is larger than what it is taken from")?;
        let dense = transposed.written_out(output, bias.as_deref())?;
        let flat = [plane.sides.iter().product(), 1, 1];
        let of = self.push(node, Operation::Client(Node::Reshape { of: plane.tensor, to: words(flat) }))?;
        let of = self.push(node, Operation::Linear { of, map: LinearMap::Dense(dense) })?;
        Ok(Some((Operation::Client(Node::Reshape { of, to: words(output) }), plane.given(output))))
    }

    pub(super) fn pool(&self, node: &NodeProto, join: Join) -> Read {
        let attributes = Attributes(node);
        own_padding(&attributes)?;
        let plane = self.plane(node)?;
        let dilations = plane.pair(&attributes, "dilations", 1, 1)?;
        if dilations != [1, 1] || attributes.integer("ceil_mode", 0) != 0 {
            return Err(format!("dilations are {dilations:?}; only 1, and no ceil_mode, are known"));
        }
        let pads = plane.padding(&attributes)?;
        if join == Join::Average && pads != [0; 4] && attributes.integer("count_include_pad", 0) != 0 {
            return Err("padding that counts is not known".to_owned());
        }
        let [channels, height, width] = plane.sides;
        // Without this attribute there is no window.
        let kernel = match attributes.has("kernel_shape") {
            true => plane.pair(&attributes, "kernel_shape", 1, 1)?,
            false => [0; 2],
        };
        let stride = plane.pair(&attributes, "strides", 1, 1)?;
        let side = |image: usize, side: usize| {
            let axis = Axis::new(image as u32, kernel[side] as u32).strided(stride[side] as u32);
            let padded = axis.padded(pads[side] as u32, pads[side + 2] as u32);
            windows(image + pads[side] + pads[side + 2], kernel[side], stride[side]).map(|count| (padded, count))
        };
        let fits = kernel != [0; 2] && (0..4).all(|at| pads[at] < kernel[at % 2]);
        let (Some((rows, down)), Some((columns, across)), true) = (side(height, 0), side(width, 1), fits) else {
            return Err("the window is larger than its input, or smaller than its padding".to_owned());
        };
        let pool = Node::Pool { of: plane.tensor, join, rows, columns };
        Ok(Some((Operation::Client(pool), plane.given([channels, down, across]))))
    }

    pub(super) fn global_average(&self, node: &NodeProto) -> Read {
        let plane = self.plane(node)?;
        let [channels, height, width] = plane.sides;
        let whole = |side: usize| Axis::new(side as u32, side as u32);
        let pool = Node::Pool { of: plane.tensor, join: Join::Average, rows: whole(height), columns: whole(width) };
        Ok(Some((Operation::Client(pool), plane.given([channels, 1, 1]))))
    }
}

/// A transposed convolution: every input adds the kernel, times itself, to the outputs around its place.
struct Transposed {
    input: [usize; 3],
    groups: usize,
    stride: [usize; 2],
    dilation: [usize; 2],
    /// Outputs left out at top, left, bottom, right.
    padding: [usize; 4],
    /// Rows and columns added at the end.
    more: [usize; 2],
    kernel: Kernel,
}

impl Transposed {
    /// Channels, rows and columns of what comes out.
    fn output(&self) -> Option<[usize; 3]> {
        let side = |side: usize| {
            let steps = self.stride[side].checked_mul(self.input[1 + side].checked_sub(1)?)?;
            let reach = self.dilation[side].checked_mul(self.kernel.size[side].checked_sub(1)?)?;
            let whole = steps.checked_add(reach)?.checked_add(1)?.checked_add(self.more[side])?;
            whole.checked_sub(self.padding[side])?.checked_sub(self.padding[side + 2]).filter(|left| *left > 0)
        };
        Some([self.kernel.second.checked_mul(self.groups)?, side(0)?, side(1)?])
    }

    fn written_out(&self, output: [usize; 3], bias: Option<&[f32]>) -> Result<Dense, Reason> {
        let count = |sides: [usize; 3]| sides.iter().try_fold(1usize, |size, side| size.checked_mul(*side));
        let (inputs, outputs) = (count(self.input), count(output));
        let size = inputs.zip(outputs).and_then(|(inputs, outputs)| inputs.checked_mul(outputs));
        let (Some(inputs), Some(outputs), Some(size)) =
            (inputs, outputs, size.filter(|size| *size <= WRITTEN_OUT_LIMIT))
        else {
            let (from, to) = (self.input, output);
            return Err(format!(
                "as a dense layer from {from:?} to {to:?} it has more than {WRITTEN_OUT_LIMIT} weights"
            ));
        };
        let mut weights = vec![0.0; size];
        let [channels, height, width] = self.input;
        let (of_group, [_, rows, columns]) = (channels / self.groups, output);
        let place = |side: usize, at: usize, tap: usize, limit: usize| {
            let to = at * self.stride[side] + tap * self.dilation[side];
            to.checked_sub(self.padding[side]).filter(|to| *to < limit)
        };
        let [taps_down, taps_across] = self.kernel.size;
        let taps = || (0..taps_down).flat_map(|down| (0..taps_across).map(move |across| (down, across)));
        for channel in 0..channels {
            for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
                let from = (channel * height + row) * width + column;
                for (out, (down, across)) in (0..self.kernel.second).flat_map(|out| taps().map(move |tap| (out, tap))) {
                    let to = place(0, row, down, rows).zip(place(1, column, across, columns));
                    let Some((to_row, to_column)) = to else { continue };
                    let number = ((channel * self.kernel.second + out) * taps_down + down) * taps_across + across;
                    let out = channel / of_group * self.kernel.second + out;
                    weights[((out * rows + to_row) * columns + to_column) * inputs + from] +=
                        self.kernel.numbers[number];
                }
            }
        }
        let places = rows * columns;
        let bias = (0..outputs).map(|output| bias.map_or(0.0, |bias| bias[output / places])).collect();
        Ok(Dense { inputs, outputs, weights, bias })
    }
}

fn words(sides: [usize; 3]) -> [u32; 3] {
    // Tensors of a head have at most 2²² values.
    sides.map(|side| u32::try_from(side).unwrap_or(u32::MAX))
}

/// Refuses padding that only the run time would choose.
fn own_padding(attributes: &Attributes<'_>) -> Result<(), Reason> {
    match attributes.text("auto_pad") {
        b"" | b"NOTSET" | b"VALID" => Ok(()),
        other => Err(format!("auto_pad `{}` is not known, give pads", String::from_utf8_lossy(other))),
    }
}
