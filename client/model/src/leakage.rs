//! How much released features say about the input: numbers for a given population, nothing trained.
//!
//! The bounds hold for any attacker who knows the model and the population, and for any law with these second
//! moments; an input unlike the population can give away more.

use crate::rounding::cholesky;
use std::collections::BTreeMap;

/// Clipped features of a population, one row a sample, and each sample's class.
pub struct Population<'a> {
    /// `[samples][features]`, in units of the clip norm.
    pub features: &'a [Vec<f64>],
    /// One a sample.
    pub labels: &'a [usize],
}

/// Upper bounds on the mutual information of input and release, in bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InformationBound {
    /// `½ log₂ det(1 + Σ/σ²)` over the whole population.
    pub overall: f64,
    /// `H(L) + Σ p(l) · ½ log₂ det(1 + Σ_l/σ²)`: the label, and what the features say beyond it. From
    /// `I(X;Y) ≤ I(L;Y) + I(X;Y|L)`. Tighter where classes lie apart from each other.
    pub by_class: f64,
}

impl InformationBound {
    /// The smaller one; both hold.
    pub fn bits(&self) -> f64 {
        self.overall.min(self.by_class)
    }
}

/// Bounds for Gaussian noise of standard deviation `sigma`, in units of the clip norm, > 0.
pub fn information_bound(population: &Population<'_>, sigma: f64) -> InformationBound {
    let everyone: Vec<&[f64]> = population.features.iter().map(Vec::as_slice).collect();
    let mut classes: BTreeMap<usize, Vec<&[f64]>> = BTreeMap::new();
    for (features, label) in population.features.iter().zip(population.labels) {
        classes.entry(*label).or_default().push(features);
    }
    let total = everyone.len().max(1) as f64;
    let by_class = classes.values().map(|members| {
        let share = members.len() as f64 / total;
        share * (gaussian_bits(members, sigma) - share.log2())
    });
    InformationBound { overall: gaussian_bits(&everyone, sigma), by_class: by_class.sum() }
}

/// `½ log₂ det(1 + Σ/σ²)` of the rows' covariance.
fn gaussian_bits(rows: &[&[f64]], sigma: f64) -> f64 {
    let width = rows.first().map_or(0, |row| row.len());
    let count = rows.len().max(1) as f64;
    let mean: Vec<f64> = (0..width).map(|k| rows.iter().map(|row| row[k]).sum::<f64>() / count).collect();
    let mut matrix = vec![0.0; width * width];
    for row in rows {
        for i in 0..width {
            for j in 0..=i {
                matrix[i * width + j] += (row[i] - mean[i]) * (row[j] - mean[j]) / count / (sigma * sigma);
            }
        }
    }
    for i in 0..width {
        matrix[i * width + i] += 1.0;
        for j in 0..i {
            matrix[j * width + i] = matrix[i * width + j];
        }
    }
    // One plus a covariance is positive definite; only numbers that are not finite make it otherwise.
    let Some(lower) = cholesky(width, matrix) else { return f64::INFINITY };
    (0..width).map(|i| lower[i * width + i].log2()).sum()
}

/// Scales a row of grid features to at most the clip norm, in units of it, as the release does.
pub(crate) fn clipped(features: &[i64], clip: u64) -> Vec<f64> {
    let unit = clip.max(1) as f64;
    let row: Vec<f64> = features.iter().map(|value| *value as f64 / unit).collect();
    let norm = row.iter().map(|value| value * value).sum::<f64>().sqrt();
    row.into_iter().map(|value| value / norm.max(1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_gaussian_feature_carries_the_capacity_of_its_channel() {
        let features: Vec<Vec<f64>> = (0..1000).map(|i| vec![f64::from(i % 2) * 2.0 - 1.0]).collect();
        let labels = vec![0; 1000];
        let bound = information_bound(&Population { features: &features, labels: &labels }, 0.5);
        assert!((bound.overall - 0.5 * 5.0f64.log2()).abs() < 1e-9);
        assert!((bound.by_class - bound.overall).abs() < 1e-9);
    }

    #[test]
    fn features_that_say_only_the_label_carry_the_labels_entropy() {
        let features: Vec<Vec<f64>> = (0..1000).map(|i| vec![f64::from(i % 4), 0.0]).collect();
        let labels: Vec<usize> = (0..1000).map(|i| i % 4).collect();
        let bound = information_bound(&Population { features: &features, labels: &labels }, 0.001);
        assert!((bound.by_class - 2.0).abs() < 1e-9 && bound.bits() == bound.by_class);
    }

    #[test]
    fn long_features_are_clipped_and_short_ones_kept() {
        assert_eq!(clipped(&[300, -400], 100), [0.6, -0.8]);
        assert_eq!(clipped(&[30, -40], 100), [0.3, -0.4]);
    }
}
