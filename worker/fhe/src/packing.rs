//! Integers of any width, one after another, least significant bit first.

/// Bytes that `count` values of `width_bits` take.
pub(crate) fn packed_len(count: usize, width_bits: u8) -> usize {
    (count * usize::from(width_bits)).div_ceil(8)
}

/// Writes values of `width_bits` one after another.
pub(crate) struct Packer<'a> {
    out: &'a mut Vec<u8>,
    width_bits: u32,
    held: u64,
    held_bits: u32,
}

impl<'a> Packer<'a> {
    /// Appends to `out`.
    pub(crate) fn new(out: &'a mut Vec<u8>, width_bits: u8) -> Self {
        Self { out, width_bits: width_bits.into(), held: 0, held_bits: 0 }
    }

    /// Appends a value below 2^`width_bits`.
    #[inline(always)]
    pub(crate) fn push(&mut self, value: u64) {
        self.held |= value << self.held_bits;
        self.held_bits += self.width_bits;
        if self.held_bits >= 64 {
            self.out.extend_from_slice(&self.held.to_le_bytes());
            self.held_bits -= 64;
            // The bits that did not fit; none if the value ended with the word.
            self.held = value.checked_shr(self.width_bits - self.held_bits).unwrap_or(0);
        }
    }

    /// Fills the last byte up with zeros.
    pub(crate) fn finish(self) {
        let bytes = self.held_bits.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.held.to_le_bytes()[..bytes]);
    }
}

/// The first `count` values of `width_bits` in `bytes`, which are exactly [`packed_len`] long.
pub(crate) fn unpack(bytes: &[u8], width_bits: u8, count: usize) -> Vec<u64> {
    let width_bits = u32::from(width_bits);
    let low = u64::MAX >> (64 - width_bits);
    let (whole, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let mut words = whole.iter().chain(core::iter::once(&last));
    let (mut held, mut held_bits) = (0u64, 0u32);
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let value = if held_bits >= width_bits {
            let value = held;
            held = held.checked_shr(width_bits).unwrap_or(0);
            held_bits -= width_bits;
            value
        } else {
            let next = words.next().map_or(0, |word| u64::from_le_bytes(*word));
            let value = held | next << held_bits;
            held = next.checked_shr(width_bits - held_bits).unwrap_or(0);
            held_bits += 64 - width_bits;
            value
        };
        values.push(value & low);
    }
    values
}

/// True if the bits after the last value are zero, so that one list has one encoding.
pub(crate) fn padding_is_zero(bytes: &[u8], width_bits: u8, count: usize) -> bool {
    let used = (count * usize::from(width_bits)) % 8;
    used == 0 || bytes.last().is_none_or(|last| last >> used == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_values_come_back(values in prop::collection::vec(any::<u64>(), 0..70), width in 1u8..=64) {
            let values: Vec<u64> = values.into_iter().map(|value| value >> (64 - width)).collect();
            let mut bytes = Vec::new();
            let mut packer = Packer::new(&mut bytes, width);
            values.iter().for_each(|value| packer.push(*value));
            packer.finish();
            prop_assert_eq!(bytes.len(), packed_len(values.len(), width));
            prop_assert!(padding_is_zero(&bytes, width, values.len()));
            prop_assert_eq!(unpack(&bytes, width, values.len()), values);
        }
    }
}
