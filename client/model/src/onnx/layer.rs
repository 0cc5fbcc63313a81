//! Linear maps of a head, in floats.

/// A dense layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Numbers in.
    pub inputs: usize,
    /// Numbers out.
    pub outputs: usize,
    /// `[outputs, inputs]`, row by row.
    pub weights: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

/// A convolution over `[channels, height, width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    /// Shape of what goes in.
    pub input: [usize; 3],
    /// Channels out.
    pub channels: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Rows and columns between neighbouring outputs.
    pub stride: [usize; 2],
    /// Rows and columns between neighbouring taps of the kernel.
    pub dilation: [usize; 2],
    /// Zeros added at top, left, bottom, right.
    pub padding: [usize; 4],
    /// Parts into which channels in and out are cut: outputs of a part take inputs of the same part alone.
    pub groups: usize,
    /// `[channels, input channels / groups, kernel height, kernel width]`.
    pub weights: Vec<f32>,
    /// `[channels]`.
    pub bias: Vec<f32>,
}

impl Dense {
    /// This layer's outputs, then those of another that takes the same.
    pub(super) fn beside(self, other: &Self) -> Self {
        let Self { inputs, outputs, mut weights, mut bias } = self;
        weights.extend(&other.weights);
        bias.extend(&other.bias);
        Self { inputs, outputs: outputs + other.outputs, weights, bias }
    }

    /// This layer and one that takes what it gives, as one.
    pub(super) fn followed_by(&self, after: &Self) -> Self {
        let row_of = |row: &[f32]| {
            let mut sums = vec![0.0f64; self.inputs];
            for (weight, source) in row.iter().zip(self.weights.chunks_exact(self.inputs)) {
                sums.iter_mut().zip(source).for_each(|(sum, value)| *sum += f64::from(*weight) * f64::from(*value));
            }
            sums.into_iter().map(|sum| sum as f32).collect::<Vec<_>>()
        };
        let rows = || after.weights.chunks_exact(after.inputs);
        let bias = rows().zip(&after.bias).map(|(row, bias)| {
            let carried: f64 = row.iter().zip(&self.bias).map(|(w, b)| f64::from(*w) * f64::from(*b)).sum();
            (carried + f64::from(*bias)) as f32
        });
        Self {
            inputs: self.inputs,
            outputs: after.outputs,
            weights: rows().flat_map(row_of).collect(),
            bias: bias.collect(),
        }
    }
}

impl Conv2d {
    /// `[channels, height, width]` of what comes out; `None` if the kernel is larger than the padded input.
    pub fn output(&self) -> Option<[usize; 3]> {
        let [_, height, width] = self.input;
        let [top, left, bottom, right] = self.padding;
        let reach = |side: usize| (self.kernel[side].checked_sub(1)?.checked_mul(self.dilation[side])?).checked_add(1);
        let rows = windows(height + top + bottom, reach(0)?, self.stride[0])?;
        let columns = windows(width + left + right, reach(1)?, self.stride[1])?;
        Some([self.channels, rows, columns])
    }
}

/// How many windows of `kernel` values lie on `length`, `stride` apart.
pub(super) fn windows(length: usize, kernel: usize, stride: usize) -> Option<usize> {
    length.checked_sub(kernel)?.checked_div(stride)?.checked_add(1)
}
