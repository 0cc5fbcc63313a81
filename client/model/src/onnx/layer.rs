//! Layers of a head, in floats.

/// A layer and the node it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The node, as errors name it.
    pub node: String,
    /// What it does.
    pub layer: Layer,
    /// Shape of what it gives, without the batch dimension.
    pub output_shape: Vec<usize>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// `y = W·x + b`.
    Dense(Dense),
    /// Two-dimensional convolution, plus a bias per channel.
    Conv2d(Conv2d),
    /// Negative numbers become 0.
    Relu,
    /// Mean over windows.
    AveragePool(AveragePool),
    /// The same numbers in the same order under another shape.
    Reshape,
}

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

/// A mean over windows of each channel of `[channels, height, width]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AveragePool {
    /// Shape of what goes in.
    pub input: [usize; 3],
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Rows and columns between neighbouring windows.
    pub stride: [usize; 2],
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

impl AveragePool {
    /// `[channels, height, width]` of what comes out; `None` if the window is larger than the input.
    pub fn output(&self) -> Option<[usize; 3]> {
        let [channels, height, width] = self.input;
        Some([
            channels,
            windows(height, self.kernel[0], self.stride[0])?,
            windows(width, self.kernel[1], self.stride[1])?,
        ])
    }
}

fn windows(length: usize, kernel: usize, stride: usize) -> Option<usize> {
    length.checked_sub(kernel)?.checked_div(stride)?.checked_add(1)
}
