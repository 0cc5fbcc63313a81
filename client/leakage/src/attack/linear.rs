//! The best linear attacker: least mean squared error from covariances; where head and release are linear and free of
//! noise this is the pseudo-inverse.

use crate::{
    matrix::Matrix,
    random::{Purpose, Random, Seed},
    solve::{centred, cholesky, means, solved},
};

/// Most features that enter: as many as any small picture has pixels. Wider ones are mixed at random to this many,
/// which loses nothing of a picture of fewer pixels.
pub const WIDTH_LIMIT: usize = 1_024;
/// What is added to every variance, in means of them: without noise, features may depend on each other.
const RIDGE: f64 = 1e-9;

/// A linear map from released features to the input.
pub struct LinearAttack {
    mixing: Option<Matrix<f64>>,
    features_mean: Vec<f64>,
    inputs_mean: Vec<f64>,
    /// `[features, inputs]`.
    weights: Matrix<f64>,
}

impl LinearAttack {
    /// Learns from `[samples, features]` that were released and `[samples, inputs]` that they were made of. `None`
    /// where numbers are not finite.
    pub fn learn(released: &Matrix<f64>, inputs: &Matrix, seed: Seed) -> Option<Self> {
        let mixing = (released.columns() > WIDTH_LIMIT).then(|| mixing(released.columns(), seed));
        let mixed = mixing.as_ref().map(|mixing| released.times(mixing));
        let features = mixed.as_ref().unwrap_or(released);
        let inputs = inputs.map(f64::from);
        let (features_mean, inputs_mean) = (means(features), means(&inputs));
        let across = centred(features, &features_mean).transposed();
        let mut covariance = across.times(&across.transposed());
        let mean = (0..covariance.rows()).map(|at| covariance.row(at)[at]).sum::<f64>() / covariance.rows() as f64;
        // Features that never vary tell nothing; any positive number lets the factor be taken.
        let ridge = (RIDGE * mean).max(f64::MIN_POSITIVE.sqrt());
        (0..covariance.rows()).for_each(|at| covariance.row_mut(at)[at] += ridge);
        let shared = across.times(&centred(&inputs, &inputs_mean));
        let weights = solved(&cholesky(covariance)?, &shared);
        Some(Self { mixing, features_mean, inputs_mean, weights })
    }

    /// Weights, `[features, inputs]`, and what is guessed where every feature is 0. `None` where features were mixed first.
    pub fn as_map(&self) -> Option<(Matrix<f64>, Vec<f64>)> {
        if self.mixing.is_some() {
            return None;
        }
        let mut offsets = self.inputs_mean.clone();
        for (mean, weights) in self.features_mean.iter().zip(self.weights.each_row()) {
            offsets.iter_mut().zip(weights).for_each(|(offset, weight)| *offset -= mean * weight);
        }
        Some((self.weights.clone(), offsets))
    }

    /// What it makes of releases: `[samples, features] → [samples, inputs]`.
    pub fn guess(&self, released: &Matrix<f64>) -> Matrix {
        let mixed = self.mixing.as_ref().map(|mixing| released.times(mixing));
        let centred = centred(mixed.as_ref().unwrap_or(released), &self.features_mean);
        let mut guess = centred.times(&self.weights);
        for row in 0..guess.rows() {
            guess.row_mut(row).iter_mut().zip(&self.inputs_mean).for_each(|(value, mean)| *value += mean);
        }
        guess.map(|value| value as f32)
    }
}

fn mixing(features: usize, seed: Seed) -> Matrix<f64> {
    let mut random = Random::new(seed, Purpose::Directions);
    Matrix::from_fn(features, WIDTH_LIMIT, |_, _| random.sign())
}
