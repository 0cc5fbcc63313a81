//! Everything that is said of how alike guesses are.

use crate::{
    matrix::Matrix,
    metrics::{explained, mean_and_worst, mean_squared_error, peak_signal_to_noise, structural_similarity},
    sample::Kind,
};
use serde::Serialize;

/// How alike guesses and inputs are.
#[derive(Clone, Debug, Serialize)]
pub struct Likeness {
    /// Mean squared error.
    pub mean_squared_error: f64,
    /// Of pictures, in dB.
    pub peak_signal_to_noise: Option<f64>,
    /// Of pictures of at least 7×7 pixels.
    pub structural: Option<Structural>,
    /// Share of the inputs' variance that is explained, the mean over all numbers that vary.
    pub explained: f64,
    /// The same of each attribute, with its name; empty for pictures.
    pub attributes: Vec<(String, f64)>,
}

/// Structural similarity.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Structural {
    /// Mean over samples.
    pub mean: f64,
    /// Half the width of the mean's 95 % interval.
    pub error: f64,
    /// Mean over the twentieth of samples that is most alike.
    pub worst: f64,
}

impl Likeness {
    /// Of `[samples, inputs]` and guesses of them.
    pub fn of(kind: &Kind, truth: &Matrix, guess: &Matrix) -> Self {
        let mean_squared_error = mean_squared_error(truth, guess);
        let by_number = explained(truth, guess);
        let varies = |column: &usize| (1..truth.rows()).any(|row| truth.row(row)[*column] != truth.row(0)[*column]);
        let varying: Vec<f64> = (0..truth.columns()).filter(varies).map(|column| by_number[column]).collect();
        let (attributes, peak) = match kind {
            Kind::Picture { .. } => (Vec::new(), Some(peak_signal_to_noise(mean_squared_error))),
            Kind::Attributes { names } => (names.iter().cloned().zip(by_number).collect(), None),
        };
        Self {
            mean_squared_error,
            peak_signal_to_noise: peak.filter(|peak| peak.is_finite()),
            structural: structural_similarity(kind, truth, guess).map(|all| Structural::of(&all)),
            explained: varying.iter().sum::<f64>() / varying.len().max(1) as f64,
            attributes,
        }
    }

    /// The one number that grades go by: structural similarity of pictures, explained variance of anything else.
    pub fn similarity(&self) -> f64 {
        self.structural.map_or(self.explained, |structural| structural.mean)
    }
}

impl Structural {
    fn of(values: &[f64]) -> Self {
        let (mean, worst) = mean_and_worst(values);
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let count = values.len().max(2) as f64;
        Self { mean, error: 1.96 * (squares / (count - 1.0) / count).sqrt(), worst }
    }
}
