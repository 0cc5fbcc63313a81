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
pub(crate) fn unpack(bytes: &[u8], width_bits: u8, count: usize) -> impl Iterator<Item = u64> + '_ {
    let low = u64::MAX >> (64 - width_bits);
    // The word at a byte, and the byte behind it: together they hold any value that starts in the first.
    let window = move |at: usize| match bytes.get(at..at + 9).and_then(|nine| nine.split_first_chunk()) {
        Some((word, next)) => (u64::from_le_bytes(*word), u64::from(next[0])),
        None => {
            let mut last = [0; 8];
            let rest = &bytes[at.min(bytes.len())..];
            last[..rest.len().min(8)].copy_from_slice(&rest[..rest.len().min(8)]);
            (u64::from_le_bytes(last), 0)
        }
    };
    (0..count).map(move |index| {
        let bit = index * usize::from(width_bits);
        let (word, next) = window(bit / 8);
        (word >> (bit % 8) | next << 1 << (63 - bit % 8)) & low
    })
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
            prop_assert_eq!(unpack(&bytes, width, values.len()).collect::<Vec<_>>(), values);
        }
    }
}
