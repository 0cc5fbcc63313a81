//! Covariances, and systems of linear equations with them.

use crate::matrix::Matrix;

/// Mean of each column.
pub fn means(rows: &Matrix<f64>) -> Vec<f64> {
    let mut sums = vec![0.0; rows.columns()];
    for row in rows.each_row() {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    let count = rows.rows().max(1) as f64;
    sums.into_iter().map(|sum| sum / count).collect()
}

/// Rows less `mean`.
pub fn centred(rows: &Matrix<f64>, mean: &[f64]) -> Matrix<f64> {
    Matrix::from_fn(rows.rows(), rows.columns(), |row, column| rows.row(row)[column] - mean[column])
}

/// The lower factor of a symmetric positive definite matrix; `None` if it is none.
pub fn cholesky(mut matrix: Matrix<f64>) -> Option<Matrix<f64>> {
    let side = matrix.rows();
    for row in 0..side {
        let (done, rest) = matrix.values_mut().split_at_mut(row * side);
        let line = &mut rest[..side];
        for (column, above) in done.chunks_exact(side).enumerate() {
            line[column] = (line[column] - dot(&line[..column], &above[..column])) / above[column];
        }
        let rest = line[row] - dot(&line[..row], &line[..row]);
        // Not `rest <= 0`: what is not a number is not positive either.
        if !(rest > 0.0 && rest.is_finite()) {
            return None;
        }
        line[row] = rest.sqrt();
        line[row + 1..].fill(0.0);
    }
    Some(matrix)
}

/// What solves `L·Lᵀ·X = right`: `[n, n], [n, columns] → [n, columns]`.
pub fn solved(lower: &Matrix<f64>, right: &Matrix<f64>) -> Matrix<f64> {
    let (side, mut found) = (lower.rows(), right.clone());
    let width = found.columns();
    for row in 0..side {
        let (done, rest) = found.values_mut().split_at_mut(row * width);
        let line = &mut rest[..width];
        for (at, before) in done.chunks_exact(width).enumerate() {
            subtract(line, lower.row(row)[at], before);
        }
        line.iter_mut().for_each(|value| *value /= lower.row(row)[row]);
    }
    for row in (0..side).rev() {
        let (head, done) = found.values_mut().split_at_mut((row + 1) * width);
        let line = &mut head[row * width..];
        for (at, after) in done.chunks_exact(width).enumerate() {
            subtract(line, lower.row(row + 1 + at)[row], after);
        }
        line.iter_mut().for_each(|value| *value /= lower.row(row)[row]);
    }
    found
}

fn subtract(line: &mut [f64], factor: f64, other: &[f64]) {
    line.iter_mut().zip(other).for_each(|(value, other)| *value -= factor * other);
}

/// A sum of products in eight lanes of fixed order: one sum alone would wait for each of its additions.
pub fn dot(one: &[f64], other: &[f64]) -> f64 {
    let ((ones, one_rest), (others, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let mut lanes = [0.0; 8];
    for (one, other) in ones.iter().zip(others) {
        for (lane, (one, other)) in lanes.iter_mut().zip(one.iter().zip(other)) {
            *lane += one * other;
        }
    }
    let rest: f64 = one_rest.iter().zip(other_rest).map(|(one, other)| one * other).sum();
    lanes.iter().sum::<f64>() + rest
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_solution_solves() {
        let root = Matrix::from_fn(5, 5, |row, column| f64::from((row * 7 + column * 3) as u32 % 11) - 4.0);
        let mut matrix = root.transposed().times(&root);
        (0..5).for_each(|at| matrix.row_mut(at)[at] += 1.0);
        let wanted = Matrix::from_fn(5, 2, |row, column| row as f64 - 3.0 * column as f64);
        let found = solved(&cholesky(matrix.clone()).unwrap(), &matrix.times(&wanted));
        found.values().iter().zip(wanted.values()).for_each(|(found, wanted)| assert!((found - wanted).abs() < 1e-9));
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_has_no_factor() {
        assert!(cholesky(Matrix::zeros(2, 2)).is_none());
        assert!(cholesky(Matrix::from_fn(1, 1, |_, _| f64::NAN)).is_none());
    }
}
