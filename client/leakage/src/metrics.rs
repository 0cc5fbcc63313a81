//! How alike an input and what an attacker makes of it are.

use crate::{matrix::Matrix, sample::Kind};
use rayon::prelude::*;

/// Side of the window over which two pictures are compared.
const WINDOW: usize = 7;
/// Constants of the structural similarity for samples within 0 ..= 1: (0.01 · 1)².
const LUMINANCE: f64 = 1e-4;
/// (0.03 · 1)².
const CONTRAST: f64 = 9e-4;

/// Mean squared difference over all values.
pub fn mean_squared_error(one: &Matrix, other: &Matrix) -> f64 {
    let squares = one.values().iter().zip(other.values()).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    squares.sum::<f64>() / one.values().len().max(1) as f64
}

/// Peak signal to noise of samples within 0 ..= 1, in dB; infinite for equal ones.
pub fn peak_signal_to_noise(mean_squared_error: f64) -> f64 {
    -10.0 * libm::log10(mean_squared_error)
}

/// Structural similarity of each pair of pictures, the mean over places and channels: windows of 7×7 that weigh all
/// pixels alike, unbiased covariances, data range 1, as `scikit-image`'s default. `None` for pictures smaller than a
/// window and for what is no picture.
pub fn structural_similarity(kind: &Kind, one: &Matrix, other: &Matrix) -> Option<Vec<f64>> {
    let Kind::Picture { height, width, .. } = *kind else { return None };
    if height < WINDOW || width < WINDOW {
        return None;
    }
    let of_pair = |sample: usize| {
        let planes = one.row(sample).chunks_exact(height * width).zip(other.row(sample).chunks_exact(height * width));
        let count = planes.len().max(1) as f64;
        planes.map(|(one, other)| similarity_of_planes(width, one, other)).sum::<f64>() / count
    };
    Some((0..one.rows().min(other.rows())).into_par_iter().map(of_pair).collect())
}

fn similarity_of_planes(width: usize, one: &[f32], other: &[f32]) -> f64 {
    let terms = |pixel: usize| {
        let (a, b) = (f64::from(one[pixel]), f64::from(other[pixel]));
        [a, b, a * a, b * b, a * b]
    };
    let height = one.len() / width;
    // Sums over the rows of a window, for each column; then over its columns.
    let (mut total, mut places) = (0.0, 0usize);
    for top in 0..=height - WINDOW {
        let column = |x: usize| (top..top + WINDOW).fold([0.0; 5], |sums, y| added(sums, terms(y * width + x)));
        let columns: Vec<[f64; 5]> = (0..width).map(column).collect();
        for window in columns.windows(WINDOW) {
            total += similarity(window.iter().fold([0.0; 5], |sums, column| added(sums, *column)));
            places += 1;
        }
    }
    total / places.max(1) as f64
}

fn added(one: [f64; 5], other: [f64; 5]) -> [f64; 5] {
    core::array::from_fn(|at| one[at] + other[at])
}

fn similarity(sums: [f64; 5]) -> f64 {
    let count = (WINDOW * WINDOW) as f64;
    let [a, b, aa, bb, ab] = sums.map(|sum| sum / count);
    let unbiased = count / (count - 1.0);
    let (va, vb, covariance) = (unbiased * (aa - a * a), unbiased * (bb - b * b), unbiased * (ab - a * b));
    ((2.0 * a * b + LUMINANCE) * (2.0 * covariance + CONTRAST)) / ((a * a + b * b + LUMINANCE) * (va + vb + CONTRAST))
}

/// Share of each column's variance over `truth` that `guess` explains: 1 for equal columns, 0 for the mean, negative
/// for worse. A column that does not vary counts as 0.
pub fn explained(truth: &Matrix, guess: &Matrix) -> Vec<f64> {
    let rows = truth.rows().max(1) as f64;
    let of_column = |column: usize| {
        let values = || (0..truth.rows()).map(|row| f64::from(truth.row(row)[column]));
        let mean = values().sum::<f64>() / rows;
        let total: f64 = values().map(|value| (value - mean).powi(2)).sum();
        let missed = (0..truth.rows()).map(|row| f64::from(truth.row(row)[column]) - f64::from(guess.row(row)[column]));
        let missed: f64 = missed.map(|error| error * error).sum();
        if total > 0.0 { 1.0 - missed / total } else { 0.0 }
    };
    (0..truth.columns()).map(of_column).collect()
}

/// How often a score is higher for one that has a trait than for one that has not; ties count half. `None` where all
/// or none have it.
pub fn area_under_curve(scores: &[f64], has: &[bool]) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut ranks, mut at) = (0.0, 0);
    while at < order.len() {
        let tied = order[at..].iter().take_while(|other| scores[**other] == scores[order[at]]).count().max(1);
        // Ranks count from 1; those of equal scores are their mean.
        let rank = at as f64 + (tied as f64 + 1.0) / 2.0;
        ranks += rank * order[at..at + tied].iter().filter(|sample| has[**sample]).count() as f64;
        at += tied;
    }
    let with = has.iter().filter(|has| **has).count() as f64;
    let without = has.len() as f64 - with;
    (with > 0.0 && without > 0.0).then(|| (ranks - with * (with + 1.0) / 2.0) / (with * without))
}

/// Share of texts that were rebuilt word for word.
pub fn exact_match(truth: &[String], guess: &[String]) -> f64 {
    let equal = truth.iter().zip(guess).filter(|(truth, guess)| truth == guess).count();
    equal as f64 / truth.len().max(1) as f64
}

/// Mean, and the mean of the twentieth that is largest.
pub fn mean_and_worst(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    (mean(&sorted), mean(&sorted[..sorted.len().div_ceil(20)]))
}

/// Lower and upper end of Wilson's interval, 95 %, of a share of `right` among `all`.
pub fn wilson(right: f64, all: usize) -> [f64; 2] {
    const Z: f64 = 1.959_963_984_540_054;
    let (count, share) = (all.max(1) as f64, right / all.max(1) as f64);
    let middle = share + Z * Z / (2.0 * count);
    let half = Z * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
    let whole = 1.0 + Z * Z / count;
    [((middle - half) / whole).max(0.0), ((middle + half) / whole).min(1.0)]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn explained_variance_is_one_for_equals_and_nothing_for_the_mean() {
        let truth = Matrix::new(2, vec![1.0f32, 5.0, 3.0, 5.0, 5.0, 5.0]).unwrap();
        assert_eq!(explained(&truth, &truth), [1.0, 0.0]);
        assert_eq!(explained(&truth, &Matrix::from_fn(3, 2, |_, _| 3.0)), [0.0, 0.0]);
    }

    #[test]
    fn a_score_that_sorts_has_area_one_and_equal_scores_a_half() {
        let has = [false, true, false, true];
        assert_eq!(area_under_curve(&[0.1, 0.9, 0.2, 0.8], &has), Some(1.0));
        assert_eq!(area_under_curve(&[0.5; 4], &has), Some(0.5));
        assert_eq!(area_under_curve(&[0.1, 0.3, 0.2, 0.15], &has), Some(0.75));
        assert_eq!(area_under_curve(&[0.5; 4], &[true; 4]), None);
    }

    #[test]
    fn wilsons_interval_is_the_textbooks() {
        // 8 of 10: 0.4902 to 0.9433 (Newcombe 1998, method 3).
        let [low, high] = wilson(8.0, 10);
        assert!((low - 0.4902).abs() < 1e-4 && (high - 0.9433).abs() < 1e-4);
    }

    #[test]
    fn texts_match_word_for_word_or_not() {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(exact_match(&texts(&["asthma", "gout"]), &texts(&["asthma", "Gout"])), 0.5);
    }

    #[test]
    fn the_worst_twentieth_is_the_largest() {
        assert_eq!(mean_and_worst(&(0..40).map(f64::from).collect::<Vec<_>>()), (19.5, 38.5));
    }
}
