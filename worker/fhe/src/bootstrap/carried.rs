//! Values that are put aside between two calls of a worker: as bytes, and back.
//!
//! A value that only a table is waiting for is kept as what its table will be turned by: twelve bits for each
//! coefficient of the small key. Key switching is done then, and nothing is lost: the table gives what it would have
//! given without the pause, bit for bit. A value that is read otherwise keeps its large mask, each coefficient rounded
//! to [`CARRIED_BITS`].

use super::fourier::SIZE;
use super::keyswitch::TURN_BITS;
use super::params::BootstrapSet;
use super::sample::LweCiphertext;
use crate::packing::{Packer, packed_len, padding_is_zero, unpack};

/// Width of an amount that a table is turned by.
const AMOUNT_BITS: u8 = 32 - TURN_BITS as u8;
/// Width of a coefficient of a value that is put aside whole: its rounding is a ten-thousandth of a fresh value's noise.
pub(crate) const CARRIED_BITS: u8 = 24;

/// A value behind key switching: how far a table is turned for each coefficient of the small key, and for the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turns(pub(crate) Vec<u16>);

impl Turns {
    /// Bytes of `count` values of `set`.
    pub fn packed_bytes(set: BootstrapSet, count: usize) -> usize {
        packed_len(count.saturating_mul(set.lwe_dimension().0 + 1), AMOUNT_BITS)
    }

    /// Appends values, one after another, to `bytes`.
    pub fn pack(values: &[Self], bytes: &mut Vec<u8>) {
        let mut packer = Packer::new(bytes, AMOUNT_BITS);
        values.iter().flat_map(|value| &value.0).for_each(|amount| packer.push(u64::from(*amount)));
        packer.finish();
    }

    /// `count` values of `set` from exactly their bytes; none from other bytes.
    pub fn unpack(set: BootstrapSet, count: usize, bytes: &[u8]) -> Option<Vec<Self>> {
        let of_one = set.lwe_dimension().0 + 1;
        let fits = bytes.len() == Self::packed_bytes(set, count) && padding_is_zero(bytes, AMOUNT_BITS, count * of_one);
        let mut amounts = fits.then(|| unpack(bytes, AMOUNT_BITS, count * of_one))?.map(|amount| amount as u16);
        Some((0..count).map(|_| Self(amounts.by_ref().take(of_one).collect())).collect())
    }
}

impl LweCiphertext {
    /// Bytes of `count` values that are put aside whole.
    pub fn packed_bytes(count: usize) -> usize {
        packed_len(count.saturating_mul(SIZE + 1), CARRIED_BITS)
    }

    /// Appends values, each coefficient rounded, to `bytes`: their noise grows by [`BootstrapSet::carried_variance`].
    pub fn pack_rounded(values: &[Self], bytes: &mut Vec<u8>) {
        let rest = 64 - u32::from(CARRIED_BITS);
        let mut packer = Packer::new(bytes, CARRIED_BITS);
        let coefficients = values.iter().flat_map(|value| value.mask.iter().chain([&value.body]));
        coefficients.for_each(|value| packer.push(value.wrapping_add(1 << (rest - 1)) >> rest));
        packer.finish();
    }

    /// `count` values from exactly their bytes; none from other bytes.
    pub fn unpack(count: usize, bytes: &[u8]) -> Option<Vec<Self>> {
        let coefficients = count.checked_mul(SIZE + 1)?;
        let fits = bytes.len() == Self::packed_bytes(count) && padding_is_zero(bytes, CARRIED_BITS, coefficients);
        let words = fits.then(|| unpack(bytes, CARRIED_BITS, coefficients))?;
        let mut words = words.map(|word| word << (64 - u32::from(CARRIED_BITS)));
        let value = |_| {
            let mask = words.by_ref().take(SIZE).collect();
            Some(Self { mask, body: words.next()? })
        };
        (0..count).map(value).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SET: BootstrapSet = BootstrapSet::ToyV1;

    #[test]
    fn turns_come_back_as_they_were() {
        let values: Vec<Turns> =
            (0..3u16).map(|value| Turns((0..17).map(|at| (at * 241 + value * 7) % 4096).collect())).collect();
        let mut bytes = Vec::new();
        Turns::pack(&values, &mut bytes);
        assert_eq!(bytes.len(), Turns::packed_bytes(SET, 3));
        assert_eq!(Turns::unpack(SET, 3, &bytes), Some(values));
    }

    #[test]
    fn values_come_back_rounded_to_the_nearest() {
        let word = |at: usize| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let values: Vec<LweCiphertext> = (0..2)
            .map(|value| LweCiphertext { mask: (0..SIZE).map(|at| word(at + value)).collect(), body: u64::MAX })
            .collect();
        let mut bytes = Vec::new();
        LweCiphertext::pack_rounded(&values, &mut bytes);
        assert_eq!(bytes.len(), LweCiphertext::packed_bytes(2));
        let back = LweCiphertext::unpack(2, &bytes).unwrap();
        let coefficients = |values: &[LweCiphertext]| -> Vec<u64> {
            values.iter().flat_map(|value| value.mask.iter().copied().chain([value.body])).collect()
        };
        for (found, wanted) in coefficients(&back).into_iter().zip(coefficients(&values)) {
            assert!((found.wrapping_sub(wanted) as i64).unsigned_abs() <= 1 << 39, "{found:x} for {wanted:x}");
        }
        // The topmost step of a body rounds up to the next turn, which is zero.
        assert_eq!(back[0].body, 0);
    }

    #[test]
    fn bytes_of_another_length_or_with_something_in_the_padding_are_refused() {
        let mut bytes = vec![0; Turns::packed_bytes(SET, 1)];
        assert!(Turns::unpack(SET, 1, &bytes).is_some());
        assert_eq!(Turns::unpack(SET, 1, &bytes[1..]), None);
        assert_eq!(Turns::unpack(SET, 2, &bytes), None);
        // Seventeen amounts of twelve bits leave half a byte.
        *bytes.last_mut().unwrap() = 0x10;
        assert_eq!(Turns::unpack(SET, 1, &bytes), None);
        let bytes = vec![0; LweCiphertext::packed_bytes(1)];
        assert!(LweCiphertext::unpack(1, &bytes).is_some());
        assert_eq!(LweCiphertext::unpack(1, &bytes[1..]), None);
    }
}
