//! The clear rest of a model: runs an ONNX file on released features, or a whole model on an input.

use crate::onnx::{ImportError, OnnxModel};
use encompute_protocol::ReleasePolicy;
use std::sync::Arc;
use tract_onnx::prelude::*;

/// Most numbers in or out of a tail.
pub const WIDTH_LIMIT: usize = 1 << 20;

/// What a tail may be.
#[derive(Clone, Copy, Debug)]
pub struct TailLimits {
    /// Most bytes of the ONNX file.
    pub bytes: usize,
    /// Most numbers in the input, and in the output.
    pub width: usize,
}

impl Default for TailLimits {
    fn default() -> Self {
        Self { bytes: crate::onnx::ONNX_LIMIT_BYTES, width: WIDTH_LIMIT }
    }
}

/// An ONNX model ready to run: floats in, floats out.
#[derive(Clone)]
pub struct TailModel {
    plan: Arc<TypedRunnableModel>,
    shape: Vec<usize>,
}

/// Why an ONNX file cannot run, or did not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TailError {
    /// Longer than allowed.
    #[error("the ONNX file has {found_bytes} bytes, at most {limit_bytes} are allowed")]
    TooLong {
        /// Bytes found.
        found_bytes: usize,
        /// Bytes allowed.
        limit_bytes: usize,
    },
    /// Not a model whose references hold.
    #[error("read the ONNX file")]
    Import(#[from] ImportError),
    /// More numbers than allowed.
    #[error("the model takes {found} numbers, at most {limit} are allowed")]
    Width {
        /// Numbers found.
        found: usize,
        /// Numbers allowed.
        limit: usize,
    },
    /// The inference engine refused it.
    #[error("the inference engine refused the model")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another number of features than the model takes.
    #[error("{found} numbers were given, the model takes {wanted}")]
    Input {
        /// Numbers given.
        found: usize,
        /// Numbers wanted.
        wanted: usize,
    },
    /// A number that is not finite came in or out.
    #[error("the {end} holds a number that is not finite")]
    NotFinite {
        /// `input` or `output`.
        end: &'static str,
    },
}

impl TailModel {
    /// Prepares the model in `bytes` for one sample at a time.
    ///
    /// # Errors
    /// [`TailError`]: the length is checked first, then every reference, then the engine reads it.
    pub fn load(bytes: &[u8], limits: TailLimits) -> Result<Self, TailError> {
        if bytes.len() > limits.bytes {
            return Err(TailError::TooLong { found_bytes: bytes.len(), limit_bytes: limits.bytes });
        }
        let model = OnnxModel::read(bytes)?;
        let shape = model.input_shape().to_vec();
        let width = shape.iter().product();
        if width > limits.width {
            return Err(TailError::Width { found: width, limit: limits.width });
        }
        let plan = prepare(bytes, &shape).map_err(|error| TailError::Engine(error.into()))?;
        Ok(Self { plan, shape })
    }

    /// How many numbers one sample has.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// The class with the highest score of one sample, the first of equals.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn answer(&self, sample: &[f32]) -> Result<usize, TailError> {
        Ok(crate::bench::answer(&self.run(sample)?))
    }

    /// Runs one sample: `[width]` → the output's numbers, flat.
    ///
    /// # Errors
    /// [`TailError::Input`], [`TailError::NotFinite`], [`TailError::Engine`].
    pub fn run(&self, sample: &[f32]) -> Result<Vec<f32>, TailError> {
        if sample.len() != self.width() {
            return Err(TailError::Input { found: sample.len(), wanted: self.width() });
        }
        check_finite(sample, "input")?;
        let engine = |error: TractError| TailError::Engine(error.into());
        let shape: Vec<usize> = std::iter::once(1).chain(self.shape.iter().copied()).collect();
        let input = Tensor::from_shape(&shape, sample).map_err(engine)?;
        let outputs = self.plan.run(tvec!(input.into())).map_err(engine)?;
        let scores: Vec<f32> = match outputs.first() {
            Some(output) => {
                let floats = output.cast_to::<f32>().map_err(engine)?;
                floats.to_plain_array_view::<f32>().map_err(engine)?.iter().copied().collect()
            }
            None => Vec::new(),
        };
        check_finite(&scores, "output")?;
        Ok(scores)
    }
}

fn prepare(bytes: &[u8], shape: &[usize]) -> TractResult<Arc<TypedRunnableModel>> {
    let sample: TVec<usize> = std::iter::once(1).chain(shape.iter().copied()).collect();
    tract_onnx::onnx()
        .model_for_read(&mut &bytes[..])?
        .with_input_fact(0, f32::fact(&sample).into())?
        // Not optimised: the engine's rewriting gives one of its nodes the name of another and then refuses
        // the graph. Tails are small.
        .into_typed()?
        .into_runnable()
}

fn check_finite(values: &[f32], end: &'static str) -> Result<(), TailError> {
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(TailError::NotFinite { end }),
    }
}

/// Released codes as the tail takes them, in units of the clip norm: `code · step / clip`.
pub fn released_features(codes: &[i16], policy: &ReleasePolicy) -> Vec<f32> {
    let unit = policy.step as f64 / policy.clip.max(1) as f64;
    codes.iter().map(|code| (f64::from(*code) * unit) as f32).collect()
}
