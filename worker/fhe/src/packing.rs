//! Integers of any width, one after another, least significant bit first.

/// Bytes that `count` values of `width_bits` take.
pub(crate) fn packed_len(count: usize, width_bits: u8) -> usize {
    (count * usize::from(width_bits)).div_ceil(8)
}

/// Appends `values`, each below 2^`width_bits`, to `out`; the last byte is filled up with zeros.
pub(crate) fn pack(values: impl IntoIterator<Item = u64>, width_bits: u8, out: &mut Vec<u8>) {
    let (mut held, mut held_bits) = (0u128, 0u32);
    for value in values {
        held |= u128::from(value) << held_bits;
        held_bits += u32::from(width_bits);
        if held_bits >= 64 {
            out.extend_from_slice(&(held as u64).to_le_bytes());
            held >>= 64;
            held_bits -= 64;
        }
    }
    let bytes = held_bits.div_ceil(8) as usize;
    out.extend_from_slice(&(held as u64).to_le_bytes()[..bytes]);
}

/// The first `count` values of `width_bits` in `bytes`, which are exactly [`packed_len`] long.
pub(crate) fn unpack(bytes: &[u8], width_bits: u8, count: usize) -> Vec<u64> {
    let low = u64::MAX >> (64 - u32::from(width_bits));
    let mut words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    let (mut held, mut held_bits) = (0u128, 0u32);
    (0..count)
        .map(|_| {
            if held_bits < u32::from(width_bits) {
                held |= u128::from(words.next().unwrap_or(0)) << held_bits;
                held_bits += 64;
            }
            let value = held as u64 & low;
            held >>= width_bits;
            held_bits -= u32::from(width_bits);
            value
        })
        .collect()
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
            pack(values.iter().copied(), width, &mut bytes);
            prop_assert_eq!(bytes.len(), packed_len(values.len(), width));
            prop_assert!(padding_is_zero(&bytes, width, values.len()));
            prop_assert_eq!(unpack(&bytes, width, values.len()), values);
        }
    }
}
