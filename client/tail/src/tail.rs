//! The rest of a model: from released features to scores.

use tract_onnx::prelude::*;

/// A tail ready to run: `f32[1, features] → f32[1, classes]`.
pub struct Tail {
    plan: Arc<TypedRunnableModel>,
    features: usize,
}

/// A tail that does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TailError {
    /// The ONNX bytes are no model that takes this many features.
    #[error("load the tail for {features} features")]
    Load {
        /// Features that it has to take.
        features: usize,
        /// What the engine says.
        source: TractError,
    },
    /// The model failed on an input.
    #[error("run the tail")]
    Run(#[source] TractError),
    /// Another number of features than the tail takes.
    #[error("{found} features, the tail takes {wanted}")]
    Count {
        /// Features found.
        found: usize,
        /// Features wanted.
        wanted: usize,
    },
    /// Nothing, several rows, or numbers that are none.
    #[error("the tail gives no scores")]
    Scores,
}

impl Tail {
    /// The tail in ONNX bytes, for one row of `features` numbers.
    ///
    /// # Errors
    /// [`TailError::Load`].
    pub fn from_onnx(onnx: &[u8], features: usize) -> Result<Self, TailError> {
        let load = |source| TailError::Load { features, source };
        let model = tract_onnx::onnx().model_for_read(&mut &onnx[..]).map_err(load)?;
        let model = model.with_input_fact(0, f32::fact([1, features]).into()).map_err(load)?;
        // The file may say more about its output's shape than one row of features makes true.
        let outputs = model.output_outlets().map_err(load)?.len();
        let model = (0..outputs).try_fold(model, |model, at| model.with_output_fact(at, Default::default())).map_err(load)?;
        let plan = model.into_optimized().and_then(|model| model.into_runnable()).map_err(load)?;
        Ok(Self { plan, features })
    }

    /// Scores of the classes, in the order of the manifest's labels: probabilities, or logits where
    /// the model stops before its softmax.
    ///
    /// # Errors
    /// [`TailError`].
    pub fn run(&self, features: &[f32]) -> Result<Vec<f32>, TailError> {
        if features.len() != self.features {
            return Err(TailError::Count { found: features.len(), wanted: self.features });
        }
        let input = Tensor::from_shape(&[1, features.len()], features).map_err(TailError::Run)?;
        let outputs = self.plan.run(tvec!(input.into())).map_err(TailError::Run)?;
        let first = outputs.first().ok_or(TailError::Scores)?;
        let scores = first.view().as_slice::<f32>().map_err(TailError::Run)?.to_vec();
        let one_row = first.shape().iter().rev().skip(1).all(|length| *length == 1);
        match one_row && !scores.is_empty() && scores.iter().all(|score| score.is_finite()) {
            true => Ok(scores),
            false => Err(TailError::Scores),
        }
    }
}
