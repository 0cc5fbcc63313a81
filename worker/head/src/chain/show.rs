//! A chain as text, one line a step.

use core::fmt;

use super::Step;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup { of, tables, bits, .. } => {
                let tables = tables.len();
                let tables = if tables == 1 { "a table".to_owned() } else { format!("{tables} tables") };
                write!(f, "{tables} looked up on {of}, to integers of {} bits", bits.0)
            }
            Self::Linear { of, layer } => write!(f, "{layer} of {of}"),
            Self::Add { of: [one, other], factors: [a, b] } => write!(f, "{a} * {one} + {b} * {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ChainIndex;
    use super::*;
    use crate::layer::Layer;
    use encompute_fhe::AccumulatorBits;

    #[test]
    fn a_chain_reads_like_a_plan() {
        let lookup = |of, tables| Step::Lookup {
            of,
            offset_half_units: vec![0],
            tables: vec![[0; 16]; tables],
            bits: AccumulatorBits(9),
        };
        let layer = Layer::Dense { inputs: 8, outputs: 4 };
        assert_eq!(lookup(ChainIndex::SUMS, 1).to_string(), "a table looked up on sums, to integers of 9 bits");
        assert_eq!(lookup(ChainIndex(2), 4).to_string(), "4 tables looked up on c2, to integers of 9 bits");
        assert_eq!(Step::Linear { of: ChainIndex(1), layer }.to_string(), "dense 8 -> 4 of c1");
        let add = Step::Add { of: [ChainIndex(1), ChainIndex(2)], factors: [2, -1] };
        assert_eq!(add.to_string(), "2 * c1 + -1 * c2");
    }
}
