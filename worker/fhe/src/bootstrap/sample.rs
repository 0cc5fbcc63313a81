//! Single values out of ring ciphertexts, and sums of them.

use crate::expand::Ciphertext;

/// One encrypted value: a ciphertext under the ring's key, read as 2048 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LweCiphertext {
    /// One coefficient for each of the key.
    pub mask: Vec<u64>,
    /// Mask times key, plus noise, plus message.
    pub body: u64,
}

impl LweCiphertext {
    /// The value that `ciphertext` holds at `coefficient`, or nothing if there is no such coefficient.
    pub fn extract(ciphertext: &Ciphertext, coefficient: usize) -> Option<Self> {
        let body = *ciphertext.body.get(coefficient)?;
        let (low, high) = ciphertext.mask.split_at_checked(coefficient + 1)?;
        // Coefficient c of a product with the key takes the mask's c − j, and above c, negated, those from the end.
        let wrapped = high.iter().rev().map(|value| value.wrapping_neg());
        Some(Self { mask: low.iter().rev().copied().chain(wrapped).collect(), body })
    }

    /// Adds `weight` times `other`, exactly modulo 2⁶⁴.
    pub fn add_product(&mut self, other: &Self, weight: i64) {
        for (into, from) in self.mask.iter_mut().zip(&other.mask) {
            *into = into.wrapping_add(from.wrapping_mul(weight as u64));
        }
        self.body = self.body.wrapping_add(other.body.wrapping_mul(weight as u64));
    }

    /// Adds a clear value, scaled to 2⁶⁴.
    pub fn add_clear(&mut self, value: u64) {
        self.body = self.body.wrapping_add(value);
    }
}
