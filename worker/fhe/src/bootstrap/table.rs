//! Functions of four bits, as polynomials.

use super::fourier::SIZE;
use super::rotate::Polynomial;

/// Bins that a table tells apart.
pub const TABLE_BINS: usize = 16;
/// Coefficients of one bin.
const BIN: usize = SIZE / TABLE_BINS;

/// What a bootstrap puts in the place of its input: one value for each of sixteen bins.
///
/// An input is a number from 0 to 16 times 2⁵⁹ with whatever lies below: bin `m` is what is nearest to m·2⁵⁹. So an
/// accumulator of any width that is scaled to stay below 2⁶³ is activated and requantised in one step. The topmost
/// bit is padding: an input that has it set gets the negated value of the bin sixteen below.
#[derive(Clone)]
pub struct Table {
    polynomial: Box<Polynomial>,
}

impl Table {
    /// Distance of two bins, scaled to 2⁶⁴.
    pub const BIN_WIDTH: u64 = 1 << 59;

    /// The table of these values, each scaled to 2⁶⁴.
    pub fn new(values: [u64; TABLE_BINS]) -> Self {
        let at = |coefficient: usize| match (coefficient + BIN / 2) / BIN {
            bin if bin < TABLE_BINS => values[bin],
            _ => values[0].wrapping_neg(),
        };
        Self { polynomial: Box::new(Polynomial(core::array::from_fn(at))) }
    }

    /// The table that gives `function(bin)`, a number of four bits, at the scale of its input.
    pub fn of_four_bits(function: impl Fn(u8) -> u8) -> Self {
        Self::new(core::array::from_fn(|bin| u64::from(function(bin as u8)).wrapping_mul(Self::BIN_WIDTH)))
    }

    pub(crate) fn polynomial(&self) -> &Polynomial {
        &self.polynomial
    }
}
