//! Rounding weights to 8 bits so that the layer's outputs, not its weights, stay close.
//!
//! Column by column; what rounding one column does to the outputs is made up for by the columns that are still
//! to come, as the calibration inputs correlate them (E. Frantar et al., "GPTQ", 2022, after "Optimal Brain
//! Surgeon"). Layers with many inputs fall back to plain rounding: the factorisation is cubic.

/// Largest fan-in for which correlations are factored: 1,024³ / 3 products take about a second.
const FAN_IN_LIMIT: usize = 1_024;
/// Share of the mean diagonal added to it, so that inputs that never vary can be factored.
const DAMPING: f64 = 0.01;

/// Sums of products of inputs, over calibration.
pub(crate) struct Correlation {
    fan_in: usize,
    /// Upper triangle is kept.
    sums: Vec<f64>,
    windows: usize,
}

impl Correlation {
    pub fn new(fan_in: usize) -> Self {
        let kept = if fan_in <= FAN_IN_LIMIT { fan_in * fan_in } else { 0 };
        Self { fan_in, sums: vec![0.0; kept], windows: 0 }
    }

    pub fn add(&mut self, window: &[f64]) {
        self.windows += 1;
        for (row, sums) in self.sums.chunks_exact_mut(self.fan_in).enumerate() {
            let factor = window[row];
            if factor != 0.0 {
                sums[row..].iter_mut().zip(&window[row..]).for_each(|(sum, value)| *sum += factor * value);
            }
        }
    }

    /// Upper triangular `U` with `UᵀU = (mean correlation + damping)⁻¹`; `None` where it is not computed.
    fn inverse_factor(&self) -> Option<Vec<f64>> {
        let n = self.fan_in;
        if self.sums.is_empty() || self.windows == 0 {
            return None;
        }
        let count = self.windows as f64;
        let diagonal: f64 = (0..n).map(|i| self.sums[i * n + i]).sum::<f64>() / count / n as f64;
        let mut matrix = vec![0.0; n * n];
        for row in 0..n {
            for column in row..n {
                let value = self.sums[row * n + column] / count;
                matrix[row * n + column] = value;
                matrix[column * n + row] = value;
            }
            matrix[row * n + row] += DAMPING * diagonal + f64::MIN_POSITIVE;
        }
        // With the order of rows and columns reversed, H = L·Lᵀ; then U = L⁻¹ reversed back has UᵀU = H⁻¹.
        let reversed: Vec<f64> = (0..n * n).map(|index| matrix[n * n - 1 - index]).collect();
        let lower = cholesky(n, reversed)?;
        let inverse = invert_lower(n, &lower);
        Some((0..n * n).map(|index| inverse[n * n - 1 - index]).collect())
    }
}

/// 8-bit weights `[rows, fan in]` with a scale for each row: `weight ≈ integer · scale`.
pub(crate) fn round_weights(weights: &[f64], fan_in: usize, correlation: &Correlation) -> (Vec<i8>, Vec<f64>) {
    let factor = correlation.inverse_factor();
    let mut integers = Vec::with_capacity(weights.len());
    let mut scales = Vec::new();
    for row in weights.chunks_exact(fan_in) {
        let largest = row.iter().fold(0.0f64, |largest, weight| largest.max(weight.abs()));
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        integers.extend(round_row(row.to_vec(), scale, factor.as_deref()));
        scales.push(scale);
    }
    (integers, scales)
}

/// 8-bit weights `[rows, fan in]` with these scales, one a row.
pub(crate) fn round_to_scales(weights: &[f64], scales: &[f64], correlation: &Correlation) -> Vec<i8> {
    let factor = correlation.inverse_factor();
    let rows = weights.chunks_exact((weights.len() / scales.len().max(1)).max(1)).zip(scales);
    rows.flat_map(|(row, scale)| round_row(row.to_vec(), *scale, factor.as_deref())).collect()
}

fn round_row(mut row: Vec<f64>, scale: f64, factor: Option<&[f64]>) -> Vec<i8> {
    let n = row.len();
    let mut integers = Vec::with_capacity(n);
    for index in 0..n {
        let integer = (row[index] / scale).round().clamp(-127.0, 127.0);
        integers.push(integer as i8);
        if let Some(factor) = factor {
            let line = &factor[index * n..(index + 1) * n];
            let error = (row[index] - integer * scale) / line[index];
            row[index + 1..].iter_mut().zip(&line[index + 1..]).for_each(|(weight, share)| *weight -= error * share);
        }
    }
    integers
}

/// Lower triangular `L` with `L·Lᵀ = matrix`; `None` if the matrix is not positive definite.
pub(crate) fn cholesky(n: usize, mut matrix: Vec<f64>) -> Option<Vec<f64>> {
    for row in 0..n {
        for column in 0..=row {
            let dot: f64 = (0..column).map(|k| matrix[row * n + k] * matrix[column * n + k]).sum();
            let rest = matrix[row * n + column] - dot;
            matrix[row * n + column] = match column == row {
                true if rest > 0.0 => rest.sqrt(),
                true => return None,
                false => rest / matrix[column * n + column],
            };
        }
        matrix[row * n + row + 1..(row + 1) * n].fill(0.0);
    }
    Some(matrix)
}

/// The inverse of a lower triangular matrix.
fn invert_lower(n: usize, lower: &[f64]) -> Vec<f64> {
    let mut inverse = vec![0.0; n * n];
    for row in 0..n {
        let (done, rest) = inverse.split_at_mut(row * n);
        let line = &mut rest[..n];
        for (k, before) in done.chunks_exact(n).enumerate() {
            let factor = lower[row * n + k];
            if factor != 0.0 {
                line[..=k].iter_mut().zip(before).for_each(|(sum, value)| *sum -= factor * value);
            }
        }
        line[row] = 1.0;
        let pivot = lower[row * n + row];
        line[..=row].iter_mut().for_each(|value| *value /= pivot);
    }
    inverse
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lower_triangular_matrix_times_its_inverse_is_one() {
        let lower = [2.0, 0.0, 0.0, 1.0, 4.0, 0.0, -3.0, 0.5, 1.0];
        let inverse = invert_lower(3, &lower);
        for row in 0..3 {
            for column in 0..3 {
                let dot: f64 = (0..3).map(|k| lower[row * 3 + k] * inverse[k * 3 + column]).sum();
                assert!((dot - f64::from(u8::from(row == column))).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_not_factored() {
        assert!(cholesky(2, vec![1.0, 2.0, 2.0, 1.0]).is_none());
    }

    #[test]
    fn correlated_inputs_make_up_for_each_others_rounding() {
        // Both inputs are always equal, so only the sum of the weights matters: 0.4 + 0.4 of a unit is one unit.
        let mut correlation = Correlation::new(3);
        (0..50).for_each(|sample| correlation.add(&[f64::from(sample), f64::from(sample), 1.0]));
        let (integers, scales) = round_weights(&[0.4, 0.4, 127.0], 3, &correlation);
        assert_eq!((integers[0] + integers[1], scales[0]), (1, 1.0));
    }

    #[test]
    fn without_calibration_weights_are_rounded_to_the_nearest() {
        let (integers, _) = round_weights(&[0.4, 0.6, -127.0], 3, &Correlation::new(3));
        assert_eq!(integers, [0, 1, -127]);
    }
}
