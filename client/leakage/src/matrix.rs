//! Dense matrices whose products have the same bits on every machine.
//!
//! Each element is summed over the inner side in order, with separate products and sums: wider vectors and more
//! threads change what is computed side by side, never an order.

use core::ops::{Add, Mul};
use pulp::Simd;
use rayon::prelude::*;

/// Columns of a panel: what a row of the kernel keeps in registers.
pub const PANEL: usize = 16;
/// Rows that a kernel computes at once.
pub const STRIP: usize = 6;
/// Rows that a thread takes at once.
const ROWS_A_TASK: usize = 5 * STRIP;

/// A number of a matrix: `f32` where millions are multiplied, `f64` where they are nearly dependent.
pub trait Number: Copy + Default + Send + Sync + Add<Output = Self> + Mul<Output = Self> {
    /// Sums of products of a strip of rows, packed column by column, with a panel of columns.
    fn kernel<S: Simd>(simd: S, strip: &[[Self; STRIP]], panel: &[[Self; PANEL]]) -> [[Self; PANEL]; STRIP];
}

/// The kernel, a vector of columns after another. Written out by vectors: left to itself the compiler takes rows.
macro_rules! number {
    ($number:ty, $splat:ident, $times:ident, $plus:ident, $vectors:ident, $vectors_mut:ident) => {
        impl Number for $number {
            #[inline(always)]
            fn kernel<S: Simd>(simd: S, strip: &[[Self; STRIP]], panel: &[[Self; PANEL]]) -> [[Self; PANEL]; STRIP] {
                let mut sums = [[0.0; PANEL]; STRIP];
                for vector in 0..S::$vectors(&[0.0; PANEL]).0.len() {
                    let mut rows = [simd.$splat(0.0); STRIP];
                    for (left, right) in strip.iter().zip(panel) {
                        let right = S::$vectors(right).0[vector];
                        for (row, left) in rows.iter_mut().zip(left) {
                            *row = simd.$plus(*row, simd.$times(simd.$splat(*left), right));
                        }
                    }
                    for (sums, row) in sums.iter_mut().zip(rows) {
                        S::$vectors_mut(sums).0[vector] = row;
                    }
                }
                sums
            }
        }
    };
}

number!(f32, splat_f32s, mul_f32s, add_f32s, as_simd_f32s, as_mut_simd_f32s);
number!(f64, splat_f64s, mul_f64s, add_f64s, as_simd_f64s, as_mut_simd_f64s);

/// `[rows, columns]`, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix<T = f32> {
    rows: usize,
    columns: usize,
    values: Vec<T>,
}

impl<T: Number> Matrix<T> {
    /// Of `values`, row by row; `None` if they do not fill `columns` to the last row.
    pub fn new(columns: usize, values: Vec<T>) -> Option<Self> {
        let rows = values.len().checked_div(columns)?;
        (rows * columns == values.len()).then_some(Self { rows, columns, values })
    }

    /// Zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![T::default(); rows * columns] }
    }

    /// What `value` gives for each row and column.
    pub fn from_fn(rows: usize, columns: usize, mut value: impl FnMut(usize, usize) -> T) -> Self {
        let mut values = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            values.extend((0..columns).map(|column| value(row, column)));
        }
        Self { rows, columns, values }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// A row.
    pub fn row(&self, row: usize) -> &[T] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// A row, to be changed.
    pub fn row_mut(&mut self, row: usize) -> &mut [T] {
        &mut self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// All rows in order.
    pub fn each_row(&self) -> impl ExactSizeIterator<Item = &[T]> {
        self.values.chunks_exact(self.columns.max(1))
    }

    /// All values, row by row.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// All values, to be changed.
    pub fn values_mut(&mut self) -> &mut [T] {
        &mut self.values
    }

    /// The rows that `chosen` names, in its order.
    pub fn chosen(&self, chosen: &[usize]) -> Self {
        let values = chosen.iter().flat_map(|row| self.row(*row).iter().copied()).collect();
        Self { rows: chosen.len(), columns: self.columns, values }
    }

    /// This matrix above another of as many columns.
    pub fn above(&self, below: &Self) -> Self {
        let values = self.values.iter().chain(&below.values).copied().collect();
        Self { rows: self.rows + below.rows, columns: self.columns, values }
    }

    /// `[rows, columns] → [columns, rows]`.
    pub fn transposed(&self) -> Self {
        Self::from_fn(self.columns, self.rows, |row, column| self.values[column * self.columns + row])
    }

    /// The same with every number as another kind.
    pub fn map<U: Number>(&self, number: impl Fn(T) -> U) -> Matrix<U> {
        let values = self.values.iter().map(|value| number(*value)).collect();
        Matrix { rows: self.rows, columns: self.columns, values }
    }

    /// `[rows, columns] × [columns, other] → [rows, other]`; columns that `right` lacks count as zeros.
    pub fn times(&self, right: &Self) -> Self {
        let mut product = Self::zeros(self.rows, right.columns);
        let inner = self.columns.min(right.rows);
        if inner == 0 || right.columns == 0 {
            return product;
        }
        let panels = panels(right, inner);
        let tasks = product.values.par_chunks_mut(ROWS_A_TASK * right.columns);
        tasks.enumerate().for_each(|(task, out)| {
            let first = task * ROWS_A_TASK;
            let width = right.columns;
            pulp::Arch::new().dispatch(Strips { left: self, first, inner, panels: &panels, out, width });
        });
        product
    }
}

/// `right` in panels of columns, each row by row; what lies beyond its last column is 0.
fn panels<T: Number>(right: &Matrix<T>, inner: usize) -> Vec<Vec<[T; PANEL]>> {
    let panel = |first: usize| {
        let width = PANEL.min(right.columns - first);
        let line = |row: usize| {
            let mut line = [T::default(); PANEL];
            line[..width].copy_from_slice(&right.row(row)[first..first + width]);
            line
        };
        (0..inner).map(line).collect()
    };
    (0..right.columns).step_by(PANEL).map(panel).collect()
}

/// Rows of a product from `first` on, as many as `out` has.
struct Strips<'a, T> {
    left: &'a Matrix<T>,
    first: usize,
    inner: usize,
    panels: &'a [Vec<[T; PANEL]>],
    out: &'a mut [T],
    width: usize,
}

impl<T: Number> pulp::WithSimd for Strips<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, first, inner, panels, out, width } = self;
        let rows = out.len() / width;
        let mut packed = vec![[T::default(); STRIP]; inner];
        for strip in (0..rows).step_by(STRIP) {
            let count = STRIP.min(rows - strip);
            for row in 0..STRIP {
                // Rows beyond the last repeat it: their sums go nowhere.
                let line = &left.row(first + strip + row.min(count - 1))[..inner];
                packed.iter_mut().zip(line).for_each(|(packed, value)| packed[row] = *value);
            }
            for (panel, block) in panels.iter().enumerate() {
                let sums = T::kernel(simd, &packed, block);
                let (from, to) = (panel * PANEL, (panel * PANEL + PANEL).min(width));
                for (row, sums) in sums.iter().enumerate().take(count) {
                    let at = (strip + row) * width;
                    out[at + from..at + to].copy_from_slice(&sums[..to - from]);
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_product_is_the_sums_in_order_to_the_bit(
            (rows, inner, columns) in (1usize..70, 1usize..40, 1usize..40), seed in any::<u32>()
        ) {
            let number = |at: usize| ((at as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32 / 1e6 - 8.0;
            let left = Matrix::from_fn(rows, inner, |row, column| number(row * inner + column));
            let right = Matrix::from_fn(inner, columns, |row, column| number(90_000 + row * columns + column));
            let product = left.times(&right);
            for row in 0..rows {
                for column in 0..columns {
                    let sum = (0..inner).fold(0.0f32, |sum, at| sum + left.row(row)[at] * right.row(at)[column]);
                    prop_assert_eq!(product.row(row)[column].to_bits(), sum.to_bits());
                }
            }
        }
    }

    #[test]
    fn what_does_not_fill_its_rows_is_no_matrix() {
        assert!(Matrix::new(3, vec![0.0f32; 7]).is_none() && Matrix::<f32>::new(0, Vec::new()).is_none());
        assert_eq!(Matrix::new(3, vec![0.0f32; 6]).unwrap().transposed().rows(), 3);
    }
}
