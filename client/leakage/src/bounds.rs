//! What released features can tell at most: numbers from features alone, nothing trained.
//!
//! Bounds on information hold for any attacker who knows the model and the population, and for any law with these
//! second moments; an input unlike the population can give away more. Those of differential privacy hold for every
//! input, and are large.

use crate::{
    channel::clipped,
    matrix::Matrix,
    random::{Purpose, Random, Seed},
    solve::{centred, cholesky, means},
};
use std::collections::BTreeMap;

/// δ of the differential privacy that is stated.
const DELTA: f64 = 1e-5;
/// Directions in which an input is changed for its Fisher information.
const DIRECTIONS: usize = 20;

/// Upper bounds on the mutual information of input and release, in bits.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
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

/// Bounds for Gaussian noise of standard deviation `sigma`, in units of the clip norm, > 0, on clipped features
/// `[samples, features]` of a population and the class of each.
pub fn information_bound(clipped: &Matrix<f64>, labels: &[usize], sigma: f64) -> InformationBound {
    let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (sample, label) in labels.iter().enumerate().take(clipped.rows()) {
        classes.entry(*label).or_default().push(sample);
    }
    let total = clipped.rows().max(1) as f64;
    let by_class = classes.values().map(|members| {
        let share = members.len() as f64 / total;
        share * (gaussian_bits(&clipped.chosen(members), sigma) - libm::log2(share))
    });
    InformationBound { overall: gaussian_bits(clipped, sigma), by_class: by_class.sum() }
}

/// `½ log₂ det(1 + Σ/σ²)` of the rows' covariance.
fn gaussian_bits(rows: &Matrix<f64>, sigma: f64) -> f64 {
    let centred = centred(rows, &means(rows));
    let count = rows.rows().max(1) as f64;
    // Either product has the same determinant; the smaller one is less work.
    let product = match centred.rows() < centred.columns() {
        true => centred.times(&centred.transposed()),
        false => centred.transposed().times(&centred),
    };
    let mut matrix = product.map(|sum| sum / count / (sigma * sigma));
    (0..matrix.rows()).for_each(|at| matrix.row_mut(at)[at] += 1.0);
    // One plus a covariance is positive definite; only numbers that are not finite make it otherwise.
    let Some(lower) = cholesky(matrix) else { return f64::INFINITY };
    (0..lower.rows()).map(|at| libm::log2(lower.row(at)[at])).sum()
}

/// Differential privacy of one release, whatever the input: features within the clip norm, noise of `sigma` of it.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct WorstCase {
    /// ε for δ = 10⁻⁵ by the classic formula of the Gaussian mechanism; beyond its proven range an order of magnitude.
    pub epsilon: f64,
    /// μ of Gaussian differential privacy: two clip norms in standard deviations.
    pub mu: f64,
}

/// For `sigma` > 0 in units of the clip norm.
pub fn worst_case(sigma: f64) -> WorstCase {
    let mu = 2.0 / sigma;
    WorstCase { epsilon: mu * (2.0 * libm::log(1.25 / DELTA)).sqrt(), mu }
}

/// How often any attacker at all names the right one of `archive` equally likely inputs, at most, if a release tells
/// `bits`: Fano's inequality.
pub fn naming_bound(bits: f64, archive: usize) -> f64 {
    ((bits + 1.0) / libm::log2(archive.max(2) as f64)).min(1.0)
}

/// Diagonal Fisher information leakage: `‖J‖² / (inputs · σ²)` of the clipped features, by sample.
///
/// 1 divided by it bounds the error of *unbiased* attackers; real ones are biased and do better. It compares inputs
/// with each other: a large one stands out.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Sensitivity {
    /// Samples that were tried.
    pub samples: usize,
    /// Mean over them.
    pub mean: f64,
    /// Of the sample that is at 95 of 100.
    pub high: f64,
    /// The largest.
    pub most: f64,
}

/// How the numbers of an input are changed.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// What counts as one for each number: 1 for a picture's samples, a deviation for an attribute.
    pub units: &'a [f32],
    /// How far each is changed, in its units.
    pub reach: f64,
}

/// Changes each row of `inputs` a little in random directions: `‖J·v‖²` has the mean `‖J‖²` for random signs `v`.
/// `features` gives the unclipped features of a row, in units of the clip norm; `sigma` is in the same.
///
/// # Errors
/// Whatever `features` gives.
pub fn sensitivity<E>(
    inputs: &Matrix,
    change: Change<'_>,
    (sigma, seed): (f64, Seed),
    mut features: impl FnMut(&[f32]) -> Result<Vec<f32>, E>,
) -> Result<Sensitivity, E> {
    let mut random = Random::new(seed, Purpose::Directions);
    let mut found = Vec::with_capacity(inputs.rows());
    let inputs_count = inputs.columns().max(1) as f64;
    for row in inputs.each_row() {
        let mut total = 0.0;
        for _ in 0..DIRECTIONS {
            let signs: Vec<f32> = row.iter().map(|_| random.sign() as f32).collect();
            let moved = |by: f32| {
                row.iter().zip(change.units).zip(&signs).map(move |((value, unit), sign)| value + by * sign * unit)
            };
            let mut at = |by: f64| {
                let by = (by * change.reach) as f32;
                let features = features(&moved(by).collect::<Vec<_>>())?;
                Ok(Matrix::new(features.len().max(1), features).map(|row| clipped(&row)))
            };
            let (Some(after), Some(before)) = (at(1.0)?, at(-1.0)?) else { continue };
            let slopes =
                after.values().iter().zip(before.values()).map(|(after, before)| (after - before) / 2.0 / change.reach);
            total += slopes.map(|slope| slope * slope).sum::<f64>();
        }
        found.push(total / DIRECTIONS as f64 / inputs_count / (sigma * sigma));
    }
    found.sort_by(f64::total_cmp);
    let high = found.get((found.len() * 95 / 100).min(found.len().saturating_sub(1)));
    Ok(Sensitivity {
        samples: found.len(),
        mean: found.iter().sum::<f64>() / found.len().max(1) as f64,
        high: high.copied().unwrap_or(0.0),
        most: found.last().copied().unwrap_or(0.0),
    })
}

/// Rows from which a fit is made: more change it by less than the population's own spread.
const FITTED_ROWS: usize = 600;

/// The least noise, in units of the clip norm, for which clipped features tell at most `bits` of an input.
pub fn fitted_sigma(clipped: &Matrix<f64>, labels: &[usize], bits: f64) -> f64 {
    let step = clipped.rows().div_ceil(FITTED_ROWS).max(1);
    let chosen: Vec<usize> = (0..clipped.rows()).step_by(step).collect();
    let (rows, labels) = (clipped.chosen(&chosen), chosen.iter().map(|row| labels[*row]).collect::<Vec<_>>());
    // Twenty halvings of five decades: to a hundred-thousandth of itself.
    let (mut least, mut most) = (1e-3f64, 1e2f64);
    for _ in 0..20 {
        let middle = (least * most).sqrt();
        match information_bound(&rows, &labels, middle).bits() > bits {
            true => least = middle,
            false => most = middle,
        }
    }
    most
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_fitted_noise_keeps_to_its_bits() {
        let features = Matrix::from_fn(400, 3, |row, column| ((row * (column + 3)) % 17) as f64 / 17.0);
        let labels: Vec<usize> = (0..400).map(|row| row % 2).collect();
        let sigma = fitted_sigma(&features, &labels, 4.0);
        let bits = |sigma| information_bound(&features, &labels, sigma).bits();
        assert!(bits(sigma) <= 4.0 && bits(sigma * 0.999) > 4.0 - 1e-3, "{sigma} {}", bits(sigma));
    }

    #[test]
    fn wide_features_have_the_bound_of_their_few_samples() {
        let narrow = Matrix::from_fn(8, 3, |row, column| ((row * 5 + column * 3) % 7) as f64);
        let wide = Matrix::from_fn(8, 30, |row, column| if column < 3 { narrow.row(row)[column] } else { 0.0 });
        let [one, other] = [&narrow, &wide].map(|rows| information_bound(rows, &[0; 8], 0.5).overall);
        assert!((one - other).abs() < 1e-9);
    }

    #[test]
    fn one_gaussian_feature_carries_the_capacity_of_its_channel() {
        let features = Matrix::from_fn(1000, 1, |row, _| (row % 2) as f64 * 2.0 - 1.0);
        let bound = information_bound(&features, &[0; 1000], 0.5);
        assert!((bound.overall - 0.5 * 5.0f64.log2()).abs() < 1e-9);
        assert!((bound.by_class - bound.overall).abs() < 1e-9);
    }

    #[test]
    fn features_that_say_only_the_label_carry_the_labels_entropy() {
        let features = Matrix::from_fn(1000, 2, |row, column| if column == 0 { (row % 4) as f64 } else { 0.0 });
        let labels: Vec<usize> = (0..1000).map(|row| row % 4).collect();
        let bound = information_bound(&features, &labels, 0.001);
        assert!((bound.by_class - 2.0).abs() < 1e-9 && bound.bits() == bound.by_class);
    }

    #[test]
    fn a_tenth_of_noise_is_an_epsilon_of_97() {
        let found = worst_case(0.1);
        assert!((found.epsilon - 96.9).abs() < 0.1 && (found.mu - 20.0).abs() < 1e-12);
    }

    #[test]
    fn ten_bits_name_one_of_a_million_at_most_every_other_time() {
        assert!((naming_bound(9.0, 1 << 20) - 0.5).abs() < 1e-12 && naming_bound(30.0, 1 << 20) == 1.0);
    }

    #[test]
    fn the_sensitivity_of_a_linear_map_is_the_norm_of_its_matrix() {
        // Features 0.01·x and 0.02·x of two inputs: ‖J‖² is 5e-4 whatever the direction.
        let inputs = Matrix::from_fn(5, 2, |row, column| (row + column) as f32 / 10.0);
        let head = |x: &[f32]| Ok::<_, ()>(vec![0.01 * x[0], 0.02 * x[1]]);
        let found = sensitivity(&inputs, Change { units: &[2.0; 2], reach: 0.1 }, (0.1, Seed(1)), head).unwrap();
        let wanted = 4.0 * 5e-4 / 2.0 / 0.01;
        assert!((found.mean / wanted - 1.0).abs() < 1e-4 && (found.most / wanted - 1.0).abs() < 1e-4, "{found:?}");
    }
}
