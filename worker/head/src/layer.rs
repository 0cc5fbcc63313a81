//! Linear layers by their shapes: what a head computes under encryption.

use codec::{Decode, Encode};
use core::fmt;

use crate::geometry::GeometryError;

/// A linear layer with 8-bit weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Layer {
    /// `[inputs] × [outputs, inputs] → [outputs]`.
    #[codec(index = 0)]
    Dense {
        /// Input values.
        inputs: u32,
        /// Output values.
        outputs: u32,
    },
    /// `[channels, rows.image, columns.image] × [out_channels, channels/groups, rows.kernel, columns.kernel] →
    /// [out_channels, rows.outputs(), columns.outputs()]`, cross-correlation. In one dimension it has one row; a
    /// matrix times a matrix is one too, see [`Layer::matmul`].
    #[codec(index = 1)]
    Conv2d {
        /// Input channels.
        channels: u32,
        /// Output channels.
        out_channels: u32,
        /// Parts into which both are cut: outputs of a part take inputs of the same part alone.
        groups: u32,
        /// From row to row.
        rows: Axis,
        /// From column to column.
        columns: Axis,
    },
}

/// How a kernel walks along one side of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Axis {
    /// Values of the image along it.
    pub image: u32,
    /// Taps of the kernel along it.
    pub kernel: u32,
    /// Step between neighbouring outputs.
    pub stride: u32,
    /// Step between neighbouring taps.
    pub dilation: u32,
    /// Zeros before the first value.
    pub before: u32,
    /// Zeros after the last value.
    pub after: u32,
}

/// Channels, rows and columns of a tensor; a vector has one row and one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
}

impl Shape {
    /// Values of a tensor of this shape.
    pub fn len(self) -> usize {
        self.channels * self.rows * self.columns
    }

    /// True if it holds no value.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

const DIMENSION_LIMIT: u64 = 1 << 16;
const VALUE_LIMIT: u64 = 1 << 22;
const WEIGHT_LIMIT: u64 = 1 << 26;

impl Axis {
    /// A kernel of `kernel` neighbouring taps that walks in steps of one over `image` values, without padding.
    pub const fn new(image: u32, kernel: u32) -> Self {
        Self { image, kernel, stride: 1, dilation: 1, before: 0, after: 0 }
    }

    /// The same in steps of `stride`.
    #[must_use]
    pub const fn strided(self, stride: u32) -> Self {
        Self { stride, ..self }
    }

    /// The same with taps `dilation` apart.
    #[must_use]
    pub const fn dilated(self, dilation: u32) -> Self {
        Self { dilation, ..self }
    }

    /// The same with zeros around the image.
    #[must_use]
    pub const fn padded(self, before: u32, after: u32) -> Self {
        Self { before, after, ..self }
    }

    /// Values of the image and the zeros around it.
    fn padded_image(self) -> u64 {
        u64::from(self.image) + u64::from(self.before) + u64::from(self.after)
    }

    /// Values from the first tap to the last.
    fn reach(self) -> u64 {
        u64::from(self.kernel.saturating_sub(1)) * u64::from(self.dilation) + 1
    }

    /// How many outputs it gives. Meaningful only for an axis that has a layout.
    pub fn outputs(self) -> usize {
        (self.padded_image().saturating_sub(self.reach()) / u64::from(self.stride.max(1)) + 1) as usize
    }

    /// How many remainders modulo the stride the taps fall on: tap `t` is on remainder `t mod phases`, in the
    /// order in which the first taps meet them. What no tap falls on is not sent.
    pub(crate) fn phases(self) -> usize {
        let (mut a, mut b) = (self.stride.max(1), self.dilation);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        (self.stride.max(1) / a).min(self.kernel.max(1)) as usize
    }

    /// True if every value of the image is under some tap of some output.
    fn meets_every_value(self) -> bool {
        let last = (self.outputs() as u64 - 1) * u64::from(self.stride) + self.reach();
        self.phases() as u64 == u64::from(self.stride) && last >= u64::from(self.before) + u64::from(self.image)
    }

    /// The remainder that phase `phase` stands for.
    pub(crate) fn remainder(self, phase: usize) -> usize {
        phase * self.dilation as usize % self.stride.max(1) as usize
    }

    /// Where tap `tap` falls among the values of its phase.
    pub(crate) fn place(self, tap: usize) -> usize {
        tap * self.dilation as usize / self.stride.max(1) as usize
    }

    /// The value of the image that stands at `place` of `phase`; none where there is padding.
    pub(crate) fn value(self, place: usize, phase: usize) -> Option<usize> {
        let padded = place * self.stride as usize + self.remainder(phase);
        padded.checked_sub(self.before as usize).filter(|at| *at < self.image as usize)
    }

    /// The value of the image under tap `tap` of output `output`; none where there is padding.
    pub(crate) fn under(self, output: usize, tap: usize) -> Option<usize> {
        let padded = output * self.stride as usize + tap * self.dilation as usize;
        padded.checked_sub(self.before as usize).filter(|at| *at < self.image as usize)
    }

    fn check(self, names: [&'static str; 6]) -> Result<(), GeometryError> {
        let Self { image, kernel, stride, dilation, before, after } = self;
        for (what, found) in names.into_iter().zip([image, kernel, stride, dilation]) {
            within(what, u64::from(found), DIMENSION_LIMIT)?;
        }
        for (what, found) in names.into_iter().skip(4).zip([before, after]) {
            within(what, u64::from(found) + 1, DIMENSION_LIMIT)?;
        }
        match (self.reach(), self.padded_image()) {
            (kernel, image) if kernel > image => Err(GeometryError::KernelTooLarge { kernel, image }),
            _ => Ok(()),
        }
    }
}

impl Axis {
    /// Refuses windows of a pooling that do not fit, or that may hold padding alone.
    pub(crate) fn check_window(self) -> Result<(), GeometryError> {
        self.check(WINDOW)?;
        within("padding of a window plus one", u64::from(self.before.max(self.after)) + 1, self.kernel.into())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} x {}", self.channels, self.rows, self.columns)
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kernel)?;
        if self.stride != 1 {
            write!(f, "/{}", self.stride)?;
        }
        if self.dilation != 1 {
            write!(f, " every {}", self.dilation)?;
        }
        Ok(())
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dense { inputs, outputs } => write!(f, "dense {inputs} -> {outputs}"),
            Self::Conv2d { groups, rows, columns, .. } => {
                write!(f, "conv {rows} x {columns}, {} -> {}", self.input_shape(), self.output_shape())?;
                if *groups > 1 { write!(f, ", {groups} groups") } else { Ok(()) }
            }
        }
    }
}

impl Layer {
    /// A convolution of all channels with all.
    pub const fn conv(channels: u32, out_channels: u32, rows: Axis, columns: Axis) -> Self {
        Self::Conv2d { channels, out_channels, groups: 1, rows, columns }
    }

    /// A convolution of each channel with a kernel of its own.
    pub const fn depthwise(channels: u32, rows: Axis, columns: Axis) -> Self {
        Self::Conv2d { channels, out_channels: channels, groups: channels, rows, columns }
    }

    /// The same dense layer for each of `rows` rows of a matrix, such as the tokens of a sentence:
    /// `[inputs, rows] × [outputs, inputs] → [outputs, rows]`, feature by feature.
    pub const fn matmul(rows: u32, inputs: u32, outputs: u32) -> Self {
        Self::conv(inputs, outputs, Axis::new(rows, 1), Axis::new(1, 1))
    }

    /// Shape of the input.
    pub fn input_shape(&self) -> Shape {
        match *self {
            Self::Dense { inputs, .. } => Shape { channels: inputs as usize, rows: 1, columns: 1 },
            Self::Conv2d { channels, rows, columns, .. } => {
                Shape { channels: channels as usize, rows: rows.image as usize, columns: columns.image as usize }
            }
        }
    }

    /// Shape of the sums. Meaningful only for a layer that has a layout.
    pub fn output_shape(&self) -> Shape {
        match *self {
            Self::Dense { outputs, .. } => Shape { channels: outputs as usize, rows: 1, columns: 1 },
            Self::Conv2d { out_channels, rows, columns, .. } => {
                Shape { channels: out_channels as usize, rows: rows.outputs(), columns: columns.outputs() }
            }
        }
    }

    /// The weights and inputs that meet in an output, by their places. Meaningful only for a layer that has a layout.
    pub(crate) fn meets(&self, output: usize) -> Vec<(usize, usize)> {
        let Self::Conv2d { channels, out_channels, groups, rows, columns } = *self else {
            let inputs = self.fan_in();
            return (0..inputs).map(|input| (output * inputs + input, input)).collect();
        };
        let (image, sums) = (self.input_shape(), self.output_shape());
        let (inputs, outputs) = ((channels / groups) as usize, (out_channels / groups) as usize);
        let (channel, place) = (output / (sums.rows * sums.columns), output % (sums.rows * sums.columns));
        let (y, x) = (place / sums.columns, place % sums.columns);
        let (height, width) = (rows.kernel as usize, columns.kernel as usize);
        let mut met = Vec::with_capacity(self.fan_in());
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            let (Some(from_row), Some(from_column)) = (rows.under(y, row), columns.under(x, column)) else { continue };
            for input in 0..inputs {
                let weight = ((channel * inputs + input) * height + row) * width + column;
                let of = channel / outputs * inputs + input;
                met.push((weight, (of * image.rows + from_row) * image.columns + from_column));
            }
        }
        met
    }

    /// True if every input meets a weight, so that a request holds all of them. Meaningful only for a layer that has
    /// a layout.
    pub(crate) fn meets_every_input(&self) -> bool {
        match self {
            Self::Dense { .. } => true,
            Self::Conv2d { rows, columns, .. } => rows.meets_every_value() && columns.meets_every_value(),
        }
    }

    /// Number of weights that one output meets.
    pub fn fan_in(&self) -> usize {
        match *self {
            Self::Dense { inputs, .. } => inputs as usize,
            Self::Conv2d { channels, groups, rows, columns, .. } => {
                (channels / groups.max(1)) as usize * rows.kernel as usize * columns.kernel as usize
            }
        }
    }

    /// Number of weights.
    pub fn weight_count(&self) -> usize {
        self.output_shape().channels * self.fan_in()
    }

    pub(crate) fn check(&self) -> Result<(), GeometryError> {
        let mut factors = match *self {
            Self::Dense { inputs, outputs } => {
                within("inputs", inputs.into(), DIMENSION_LIMIT)?;
                within("outputs", outputs.into(), DIMENSION_LIMIT)?;
                vec![u64::from(inputs)]
            }
            Self::Conv2d { channels, out_channels, groups, rows, columns } => {
                within("channels", channels.into(), DIMENSION_LIMIT)?;
                within("output channels", out_channels.into(), DIMENSION_LIMIT)?;
                within("groups", groups.into(), u64::from(channels.min(out_channels)))?;
                if channels % groups != 0 || out_channels % groups != 0 {
                    return Err(GeometryError::Groups { groups, channels, out_channels });
                }
                rows.check(ROWS)?;
                columns.check(COLUMNS)?;
                vec![u64::from(channels / groups), rows.kernel.into(), columns.kernel.into()]
            }
        };
        // A factor is below 2¹⁹, so three of them fit 64 bits and the fourth is checked.
        let product = |factors: &[u64]| {
            factors.iter().try_fold(1u64, |product, factor| product.checked_mul(*factor)).unwrap_or(u64::MAX)
        };
        let values = |shape: Shape| product(&[shape.channels, shape.rows, shape.columns].map(|side| side as u64));
        factors.push(self.output_shape().channels as u64);
        within("number of weights", product(&factors), WEIGHT_LIMIT)?;
        within("number of inputs", values(self.input_shape()), VALUE_LIMIT)?;
        within("number of outputs", values(self.output_shape()), VALUE_LIMIT)
    }
}

const ROWS: [&str; 6] =
    ["height", "kernel height", "row stride", "row dilation", "padding above plus one", "padding below plus one"];
const COLUMNS: [&str; 6] =
    ["width", "kernel width", "column stride", "column dilation", "padding left plus one", "padding right plus one"];

const WINDOW: [&str; 6] =
    ["side", "window side", "step of windows", "dilation", "padding before plus one", "padding after plus one"];

pub(crate) fn within(what: &'static str, found: u64, limit: u64) -> Result<(), GeometryError> {
    if (1..=limit).contains(&found) { Ok(()) } else { Err(GeometryError::Dimension { what, found, limit }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_on_few_remainders_make_few_phases() {
        assert_eq!(Axis::new(9, 3).strided(2).phases(), 2);
        // Taps two apart, in steps of two: all on the even values.
        assert_eq!(Axis::new(9, 3).strided(2).dilated(2).phases(), 1);
        // Taps 0, 2, 4, 6 in steps of three are on remainders 0, 2, 1, 0, at places 0, 0, 1, 2.
        let axis = Axis::new(20, 4).strided(3).dilated(2);
        assert_eq!((axis.phases(), [0, 1, 2].map(|phase| axis.remainder(phase))), (3, [0, 2, 1]));
        assert_eq!([0, 1, 2, 3].map(|tap| axis.place(tap)), [0, 0, 1, 2]);
        assert_eq!(Axis::new(9, 1).strided(4).phases(), 1);
    }

    #[test]
    fn outputs_count_padding_and_reach() {
        assert_eq!(Axis::new(224, 7).strided(2).padded(3, 3).outputs(), 112);
        assert_eq!(Axis::new(10, 3).dilated(3).padded(0, 1).outputs(), 5);
    }
}
