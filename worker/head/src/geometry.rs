//! How a linear layer becomes ring products.
//!
//! Every layer is first written as a convolution of stride one without padding, the *core*: a dense
//! layer has 1 × 1 images, and a stride of s makes up to s² channels of every channel, one for each
//! phase of the rows and columns that a tap falls on; dilation spreads the taps over phases and places. The core's output is cut into tiles; a tile's input, `tile_rows +
//! kernel − 1` by `tile_columns + kernel − 1` values a channel, is `area` coefficients in rows, and
//! `channels_per_ciphertext` channels follow each other in a ciphertext.
//!
//! Weights are laid in reverse: output `r` of a product with channel `q` and tap `(y, x)` at
//! `r·n·area + (n−1−q)·area + (kernel_rows−1−y)·stride + (kernel_columns−1−x)`, with
//! `n = channels_per_ciphertext`. Then the sum for output `r` at `(y, x)` is the coefficient
//! `(r·n + n−1)·area + (y+kernel_rows−1)·stride + (x+kernel_columns−1)` of the product. Nothing else
//! falls there: a carry out of a column, row or channel lands in front of the first wanted one, and
//! so does what wraps around the ring, as long as `n·area` fits at all. A product therefore takes
//! `⌊size / (n·area)⌋` outputs at once.

use codec::{Decode, Encode};
use encompute_fhe::{
    EncryptedFeatures, EncryptedTensor, InputLayout, LayoutError, OutputLayout, ParameterSet, ResponseBits, RingError,
    Slot, UploadBits, WantedBody, WeightPolynomials,
};

use crate::layer::{Axis, Layer, Shape, within};

/// How a layer is cut into ring products; public, because it shapes the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Tiling {
    /// Core channels that share a ciphertext.
    pub channels_per_ciphertext: u32,
    /// Output rows of a tile.
    pub tile_rows: u32,
    /// Output columns of a tile.
    pub tile_columns: u32,
}

/// Why a layer has no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// A dimension that is zero or beyond what any head may have.
    #[error("{what} is {found}, allowed are 1 to {limit}")]
    Dimension {
        /// Which dimension.
        what: &'static str,
        /// Value found.
        found: u64,
        /// Largest allowed.
        limit: u64,
    },
    /// A kernel that is larger than the padded image.
    #[error("kernel reaches over {kernel} rows or columns, the padded image has {image}; more padding would hold it")]
    KernelTooLarge {
        /// Rows or columns from the kernel's first tap to its last.
        kernel: u64,
        /// The same of the padded image.
        image: u64,
    },
    /// Groups that do not cut the channels into equal parts.
    #[error("{groups} groups do not cut {channels} input and {out_channels} output channels into equal parts")]
    Groups {
        /// Groups found.
        groups: u32,
        /// Input channels.
        channels: u32,
        /// Output channels.
        out_channels: u32,
    },
    /// A tile that does not fit the ring, or is larger than the output.
    #[error(
        "a tile takes {found} coefficients of a {parameter_set} polynomial, which has {limit}; fewer channels a \
         ciphertext, or lower or narrower tiles, take less"
    )]
    TileTooLarge {
        /// Coefficients wanted.
        found: u64,
        /// Coefficients there are.
        limit: u64,
        /// The parameter set.
        parameter_set: ParameterSet,
    },
    /// A request or a response longer than the protocol allows.
    #[error(
        "a {message} would take {found_bytes} bytes, the limit is {limit_bytes}; a smaller image or fewer channels \
         take less"
    )]
    MessageTooLarge {
        /// Which message.
        message: &'static str,
        /// Bytes wanted.
        found_bytes: u64,
        /// Bytes allowed.
        limit_bytes: u64,
    },
    /// Another number of weights than the layer has.
    #[error("{found} weights, the layer has {wanted}")]
    WeightCount {
        /// Weights found.
        found: usize,
        /// Weights wanted.
        wanted: usize,
    },
    /// The ring refused the weights.
    #[error("weights make no ring product")]
    Ring(#[from] RingError),
    /// Values that have no place in a response.
    #[error("values have no place in a response")]
    Layout(#[from] LayoutError),
}

/// A transformed weight polynomial takes 16 KiB: at most a gigabyte a layer.
const POLYNOMIAL_LIMIT: u64 = 1 << 16;

/// A layer as a convolution of stride one, without padding.
#[derive(Clone, Copy)]
struct Core {
    rows: Axis,
    columns: Axis,
    channels: usize,
    kernel_rows: usize,
    kernel_columns: usize,
    outputs: Shape,
    /// Channels of the image in a group, and output channels in it.
    group: (usize, usize),
}

impl Core {
    fn of(layer: &Layer) -> Self {
        let (outputs, fan_in) = (layer.output_shape(), layer.input_shape().channels);
        let (rows, columns, groups) = match *layer {
            Layer::Dense { .. } => (Axis::new(1, 1), Axis::new(1, 1), 1),
            Layer::Conv2d { rows, columns, groups, .. } => (rows, columns, groups as usize),
        };
        let kernel = |axis: Axis| axis.place(axis.kernel as usize - 1) + 1;
        Self {
            rows,
            columns,
            channels: fan_in * rows.phases() * columns.phases(),
            kernel_rows: kernel(rows),
            kernel_columns: kernel(columns),
            outputs,
            group: (fan_in / groups, outputs.channels / groups),
        }
    }

    /// Image channel and phases of a core channel.
    fn phases(&self, channel: usize) -> (usize, usize, usize) {
        let (rest, column) = (channel / self.columns.phases(), channel % self.columns.phases());
        (rest / self.rows.phases(), rest % self.rows.phases(), column)
    }
}

/// A layer cut for one ring: checked, so that what it derives cannot fail.
pub(crate) struct Geometry {
    parameter_set: ParameterSet,
    layer: Layer,
    core: Core,
    channels_per_ciphertext: usize,
    tile_rows: usize,
    tile_columns: usize,
}

impl Geometry {
    /// The layer cut as `tiling` says.
    pub fn new(parameter_set: ParameterSet, layer: Layer, tiling: Tiling) -> Result<Self, GeometryError> {
        layer.check()?;
        let core = Core::of(&layer);
        within("channels per ciphertext", tiling.channels_per_ciphertext.into(), core.channels as u64)?;
        within("tile rows", tiling.tile_rows.into(), core.outputs.rows as u64)?;
        within("tile columns", tiling.tile_columns.into(), core.outputs.columns as u64)?;
        let geometry = Self {
            parameter_set,
            layer,
            core,
            channels_per_ciphertext: tiling.channels_per_ciphertext as usize,
            tile_rows: tiling.tile_rows as usize,
            tile_columns: tiling.tile_columns as usize,
        };
        let found = geometry.channels_per_ciphertext as u64 * geometry.area() as u64;
        let limit = geometry.size() as u64;
        if found > limit {
            return Err(GeometryError::TileTooLarge { found, limit, parameter_set });
        }
        let polynomials = geometry.inputs_per_tile() * geometry.products_per_tile();
        within("number of weight polynomials", polynomials as u64, POLYNOMIAL_LIMIT)?;
        let messages = [
            ("request", geometry.request_bytes(UploadBits::MAX), EncryptedTensor::LIMIT_BYTES),
            ("response", geometry.response_bytes(ResponseBits::MAX), EncryptedFeatures::LIMIT_BYTES),
        ];
        for (message, found, limit) in messages {
            // A tenth is left for counts and padding to whole bytes.
            if found > limit / 10 * 9 {
                return Err(GeometryError::MessageTooLarge {
                    message,
                    found_bytes: found as u64,
                    limit_bytes: limit as u64,
                });
            }
        }
        Ok(geometry)
    }

    /// The tiling with the fewest bytes up and down.
    pub fn smallest(
        parameter_set: ParameterSet,
        layer: Layer,
        upload: UploadBits,
        response: ResponseBits,
    ) -> Result<Tiling, GeometryError> {
        layer.check()?;
        let core = Core::of(&layer);
        // Cutting into `count` parts: the part sizes that differ, largest first.
        let parts = |whole: usize| {
            let mut sizes: Vec<u32> = (1..=whole).map(|count| whole.div_ceil(count) as u32).collect();
            sizes.dedup();
            sizes
        };
        let (rows, channels) = (parts(core.outputs.rows), parts(core.channels));
        let mut best: Option<(usize, Tiling)> = None;
        let mut refused = None;
        for tile_columns in parts(core.outputs.columns) {
            for (tile_rows, channels_per_ciphertext) in
                rows.iter().flat_map(|rows| channels.iter().map(move |channels| (*rows, *channels)))
            {
                let tiling = Tiling { channels_per_ciphertext, tile_rows, tile_columns };
                match Self::new(parameter_set, layer, tiling) {
                    Ok(geometry) => {
                        let bytes = geometry.request_bytes(upload) + geometry.response_bytes(response);
                        if best.is_none_or(|(fewest, _)| bytes < fewest) {
                            best = Some((bytes, tiling));
                        }
                    }
                    Err(error) => refused = Some(error),
                }
            }
            // Narrower tiles only repeat columns, so they are for images too wide for the ring.
            if best.is_some() {
                break;
            }
        }
        match (best, refused) {
            (Some((_, tiling)), _) => Ok(tiling),
            (None, Some(error)) => Err(error),
            (None, None) => Err(GeometryError::Dimension { what: "outputs", found: 0, limit: 1 }),
        }
    }

    fn size(&self) -> usize {
        self.parameter_set.polynomial_size().0
    }

    fn stride(&self) -> usize {
        self.tile_columns + self.core.kernel_columns - 1
    }

    /// Coefficients of one channel of a tile's input.
    fn area(&self) -> usize {
        (self.tile_rows + self.core.kernel_rows - 1) * self.stride()
    }

    /// Output channels of one product.
    fn outputs_per_product(&self) -> usize {
        (self.size() / (self.channels_per_ciphertext * self.area())).min(self.core.outputs.channels)
    }

    /// Ciphertexts that one tile takes.
    pub fn inputs_per_tile(&self) -> usize {
        self.core.channels.div_ceil(self.channels_per_ciphertext)
    }

    /// Products that one tile gives.
    pub fn products_per_tile(&self) -> usize {
        self.core.outputs.channels.div_ceil(self.outputs_per_product())
    }

    /// First row and column of each tile.
    fn tiles(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let columns = move || (0..self.core.outputs.columns).step_by(self.tile_columns);
        (0..self.core.outputs.rows)
            .step_by(self.tile_rows)
            .flat_map(move |row| columns().map(move |column| (row, column)))
    }

    /// Number of tiles.
    pub fn tile_count(&self) -> usize {
        self.core.outputs.rows.div_ceil(self.tile_rows) * self.core.outputs.columns.div_ceil(self.tile_columns)
    }

    /// Products of all tiles.
    pub fn product_count(&self) -> usize {
        self.tile_count() * self.products_per_tile()
    }

    /// Bytes of the bodies of a request.
    pub fn request_bytes(&self, upload: UploadBits) -> usize {
        self.tile_count() * self.inputs_per_tile() * self.size() * usize::from(upload.0) / 8
    }

    /// Bytes of the coefficients of a response.
    pub fn response_bytes(&self, response: ResponseBits) -> usize {
        let coefficients = self.product_count() * self.size() + self.core.outputs.len();
        (coefficients * usize::from(response.0)).div_ceil(8)
    }

    /// Where the input values go; padding has no slot.
    pub fn input_layout(&self) -> InputLayout {
        let image = self.layer.input_shape();
        let mut slots = Vec::with_capacity(image.len());
        for (tile, (first_row, first_column)) in self.tiles().enumerate() {
            for channel in 0..self.core.channels {
                let (of_image, phase_row, phase_column) = self.core.phases(channel);
                let ciphertext = tile * self.inputs_per_tile() + channel / self.channels_per_ciphertext;
                let offset = (channel % self.channels_per_ciphertext) * self.area();
                for place in 0..self.area() {
                    let row = self.core.rows.value(first_row + place / self.stride(), phase_row);
                    let column = self.core.columns.value(first_column + place % self.stride(), phase_column);
                    if let (Some(row), Some(column)) = (row, column) {
                        slots.push(Slot {
                            ciphertext: ciphertext as u32,
                            coefficient: (offset + place) as u16,
                            value: ((of_image * image.rows + row) * image.columns + column) as u32,
                        });
                    }
                }
            }
        }
        let ciphertexts = self.tile_count() * self.inputs_per_tile();
        InputLayout::new(self.parameter_set, ciphertexts, image.len(), slots)
            .expect("every slot is inside its tile, and tiles, channels and places are walked once; qed")
    }

    /// Where the sums are: tile by tile, product by product.
    pub fn output_layout(&self) -> OutputLayout {
        let outputs = self.core.outputs;
        let per_product = self.outputs_per_product();
        let mut pieces = Vec::with_capacity(self.product_count());
        for (first_row, first_column) in self.tiles() {
            let rows = self.tile_rows.min(outputs.rows - first_row);
            let columns = self.tile_columns.min(outputs.columns - first_column);
            for first in (0..outputs.channels).step_by(per_product) {
                let channels = first..outputs.channels.min(first + per_product);
                let mut wanted = Vec::with_capacity(channels.len() * rows * columns);
                for (r, channel) in channels.enumerate() {
                    let block = ((r + 1) * self.channels_per_ciphertext - 1) * self.area();
                    for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                        let place = (y + self.core.kernel_rows - 1) * self.stride() + x + self.core.kernel_columns - 1;
                        let value = (channel * outputs.rows + first_row + y) * outputs.columns + first_column + x;
                        wanted.push(WantedBody { coefficient: (block + place) as u16, value: value as u32 });
                    }
                }
                pieces.push(wanted);
            }
        }
        OutputLayout::new(self.parameter_set, outputs.len(), pieces)
            .expect("tiles and products partition the outputs, and a block ends inside the ring; qed")
    }

    /// The weight polynomials of one tile; all tiles share them.
    pub fn weight_polynomials(&self, weights: &[i8]) -> Result<WeightPolynomials, GeometryError> {
        let wanted = self.layer.weight_count();
        if weights.len() != wanted {
            return Err(GeometryError::WeightCount { found: weights.len(), wanted });
        }
        let (n, area) = (self.channels_per_ciphertext, self.area());
        let per_product = self.outputs_per_product();
        let mut polynomials = Vec::with_capacity(self.products_per_tile() * self.inputs_per_tile());
        for first in (0..self.core.outputs.channels).step_by(per_product) {
            for input in 0..self.inputs_per_tile() {
                let mut polynomial = Vec::new();
                for r in 0..per_product.min(self.core.outputs.channels - first) {
                    for q in 0..n.min(self.core.channels - input * n) {
                        // What meets nothing of its group stays empty, and costs nothing.
                        let Some(kernel) = self.kernel(weights, first + r, input * n + q) else { continue };
                        polynomial.resize(per_product * n * area, 0i8);
                        let block = (r * n + n - 1 - q) * area;
                        self.place_kernel(kernel, input * n + q, &mut polynomial[block..block + area]);
                    }
                }
                polynomials.push(polynomial);
            }
        }
        Ok(WeightPolynomials::new(self.products_per_tile(), self.inputs_per_tile(), polynomials)?)
    }

    /// The weights with which a core channel enters an output, all phases together; none from another group.
    fn kernel<'a>(&self, weights: &'a [i8], output: usize, channel: usize) -> Option<&'a [i8]> {
        let (inputs, outputs) = self.core.group;
        let (of_image, _, _) = self.core.phases(channel);
        let taps = self.core.rows.kernel as usize * self.core.columns.kernel as usize;
        (of_image / inputs == output / outputs)
            .then(|| &weights[(output * inputs + of_image % inputs) * taps..][..taps])
    }

    /// Lays one phase of a kernel in reverse at the start of its block.
    fn place_kernel(&self, kernel: &[i8], channel: usize, block: &mut [i8]) {
        let (rows, columns) = (self.core.rows, self.core.columns);
        let (_, phase_row, phase_column) = self.core.phases(channel);
        for y in (phase_row..rows.kernel as usize).step_by(rows.phases()) {
            for x in (phase_column..columns.kernel as usize).step_by(columns.phases()) {
                let row = self.core.kernel_rows - 1 - rows.place(y);
                let column = self.core.kernel_columns - 1 - columns.place(x);
                block[row * self.stride() + column] = kernel[y * columns.kernel as usize + x];
            }
        }
    }
}
