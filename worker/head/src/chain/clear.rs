//! A chain on integers, by its definition.

use encompute_fhe::{AccumulatorBits, TABLE_BINS};

use super::{ChainIndex, Links, Step, of_channel};
use crate::backend::clear_sums;
use crate::layer::Shape;

/// What a chain gives for the layer's sums. `weights` are those of its linear layers, in order.
pub(crate) fn run<'a>(
    Links { chain, facts, .. }: Links<'_>,
    sums: Vec<i64>,
    mut weights: impl Iterator<Item = &'a [i8]>,
) -> Vec<i64> {
    let mut tensors = vec![wrapped(sums, facts.bits[0])];
    for (index, step) in chain.steps.iter().enumerate() {
        let read = |of: ChainIndex| &tensors[of.place()];
        let given = match step {
            Step::Lookup { of, offset_half_units, tables, .. } => {
                let (shape, bits) = (facts.shapes[of.place()], facts.bits[of.place()]);
                lookup(read(*of), (shape, bits), offset_half_units, tables)
            }
            Step::Linear { of, layer } => clear_sums(layer, weights.next().unwrap_or_default(), read(*of)),
            Step::Add { of: [one, other], factors: [a, b] } => {
                let pairs = read(*one).iter().zip(read(*other));
                pairs.map(|(one, other)| i64::from(*a) * one + i64::from(*b) * other).collect()
            }
        };
        tensors.push(wrapped(given, facts.bits[index + 1]));
    }
    tensors.pop().unwrap_or_default()
}

/// What the last lookup gives for every value, and what it would if the value lay in the bin below, or above.
pub(crate) fn with_neighbours<'a>(
    links: Links<'_>,
    sums: Vec<i64>,
    weights: impl Iterator<Item = &'a [i8]>,
) -> Vec<[i64; 3]> {
    let shifted = |by: i64| {
        let mut chain = links.chain.clone();
        if let Some(Step::Lookup { of, offset_half_units, .. }) = chain.steps.last_mut() {
            let bin_width = 1i64 << (links.facts.bits[of.place()].0 - 4);
            offset_half_units.iter_mut().for_each(|offset| *offset += by * bin_width);
        }
        chain
    };
    let weights: Vec<&[i8]> = weights.collect();
    let [own, below, above] = [0, -1, 1].map(|by| {
        let chain = shifted(by);
        run(Links { chain: &chain, ..links }, sums.clone(), weights.iter().copied())
    });
    own.into_iter().zip(below.into_iter().zip(above)).map(|(own, (below, above))| [own, below, above]).collect()
}

/// The same integers modulo 2^bits, as signed numbers.
fn wrapped(values: Vec<i64>, bits: AccumulatorBits) -> Vec<i64> {
    let unused = bits.scale_log2();
    values.into_iter().map(|value| value << unused >> unused).collect()
}

fn lookup(
    values: &[i64],
    (shape, bits): (Shape, AccumulatorBits),
    offset_half_units: &[i64],
    tables: &[[i16; TABLE_BINS]],
) -> Vec<i64> {
    let positions = (shape.rows * shape.columns).max(1);
    let entry = |(at, value): (usize, &i64)| {
        let channel = at / positions;
        let offset = of_channel(offset_half_units, channel).copied().unwrap_or(0);
        let bin = bin(*value, offset, bits);
        let table = of_channel(tables, channel).unwrap_or(&[0; TABLE_BINS]);
        let entry = i64::from(table[bin % TABLE_BINS]);
        if bin < TABLE_BINS { entry } else { -entry }
    };
    values.iter().enumerate().map(entry).collect()
}

/// Which of the 32 bins `value` falls into, in front of a lookup with an offset of so many half units.
pub(crate) fn bin(value: i64, offset_half_units: i64, bits: AccumulatorBits) -> usize {
    let width_log2 = bits.0 - Step::LEAST_LOOKUP_BITS.0 + 1;
    let half_units = 2 * value + offset_half_units + (1 << (width_log2 - 1));
    (half_units >> width_log2).rem_euclid(2 * TABLE_BINS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_nearest_multiples_and_halves_go_up() {
        // Six bits: bins two units, four half units wide.
        let six = AccumulatorBits(6);
        assert_eq!([-3, -2, -1, 0, 1, 2, 3].map(|value| bin(value, 0, six)), [31, 31, 0, 0, 1, 1, 2]);
        assert_eq!([-1, 0, 1, 2].map(|value| bin(value, 1, six)), [0, 0, 1, 1]);
        assert_eq!([-1, 0, 1, 2].map(|value| bin(value, -1, six)), [31, 0, 0, 1]);
        // Five bits: an integer is a bin.
        assert_eq!([-16, -1, 0, 7, 15].map(|value| bin(value, 0, AccumulatorBits(5))), [16, 31, 0, 7, 15]);
    }

    #[test]
    fn a_bin_from_sixteen_on_gives_the_negated_value_of_the_one_sixteen_below() {
        let table = core::array::from_fn(|bin| bin as i16 + 1);
        let shape = Shape { channels: 1, rows: 1, columns: 4 };
        let found = lookup(&[0, 15, -16, -1], (shape, AccumulatorBits(5)), &[0], &[table]);
        assert_eq!(found, [1, 16, -1, -16]);
    }

    #[test]
    fn integers_wrap_to_the_nearest_signed_ones() {
        assert_eq!(wrapped(vec![7, 8, -8, -9, 16], AccumulatorBits(4)), [7, -8, -8, 7, 0]);
    }
}
