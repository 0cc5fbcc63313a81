//! What follows a round's linear layer without leaving encryption: tables, linear layers and sums on single values.
//!
//! Tensor 0 of a chain is the layer's sums; tensor `n` is what step `n − 1` gives; the last is what is sent. Every
//! tensor holds integers modulo 2^p, one of which is worth 2^(64−p) on the torus scaled to 2⁶⁴, and only a
//! [`Step::Lookup`] chooses another p. Nothing reacts to an integer that has left its range: it wraps, here as in
//! the clear program, and everything goes on.
//!
//! What is sent is decrypted exactly, but which entry of a table it is may depend on noise: an integer near the edge
//! of a bin may be taken for the next bin's, as often as [`LookupProof`] says. So what a user releases of a chain tells
//! more about the noise of her keys than sums do, which are always exact: a key for every case, and the noise of the
//! release, are what that is left to.

use codec::{Compact, Decode, Encode, Error, Input};
use core::{fmt, ops::Range};
use encompute_fhe::{
    AccumulatorBits, BootstrapSet, LayoutError, MOST_PACKED, OutputLayout, ParameterSet, TABLE_BINS, WantedBody,
};

use crate::layer::{Layer, Shape};

mod check;
pub(crate) mod clear;
pub(crate) mod cut;
mod fit;
mod noise;
pub(crate) mod run;
mod show;

pub use check::ChainError;
pub(crate) use check::{Facts, facts};
pub use fit::{Function, Link};
pub use noise::LookupProof;
pub(crate) use noise::{farther_log2, prove as prove_lookups};

/// A tensor of a chain by its place; other than [`crate::TensorIndex`], which counts the client's tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct ChainIndex(pub u16);

impl ChainIndex {
    /// The linear layer's sums.
    pub const SUMS: Self = Self(0);

    pub(crate) fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// One step of a chain. It reads earlier tensors and gives one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Step {
    /// A table looked up on every value: activation and requantisation at once, and fresh noise.
    ///
    /// An integer `x` modulo 2^p is shifted to `v = x + offset`, rounded to the nearest multiple of 2^(p−5), halves
    /// up, and so falls into one of 32 bins. The first sixteen give what the table says; bin `16 + m` gives the
    /// negated value of bin `m`, which is what a bootstrap does.
    #[codec(index = 0)]
    Lookup {
        /// What is read; its p is at least [`Step::LEAST_LOOKUP_BITS`].
        of: ChainIndex,
        /// Twice `offset`, so that the edges between bins can lie between integers; one, or one for each channel;
        /// −2^p to 2^p.
        offset_half_units: Vec<i64>,
        /// What the first sixteen bins give, at most [`AccumulatorBits::bound`] of `bits` in magnitude; one table,
        /// or one for each channel.
        tables: Vec<[i16; TABLE_BINS]>,
        /// The p of what it gives.
        bits: AccumulatorBits,
    },
    /// A linear layer whose weights follow those of the round's layer; the same p.
    #[codec(index = 1)]
    Linear {
        /// What is read: a tensor of the layer's input shape, or for a dense layer of as many values.
        of: ChainIndex,
        /// The layer.
        layer: Layer,
    },
    /// A weighted sum of two tensors of one shape and one p.
    #[codec(index = 2)]
    Add {
        /// What is read.
        of: [ChainIndex; 2],
        /// What each is multiplied with.
        factors: [i8; 2],
    },
}

impl Step {
    /// Fewest bits of what a table is looked up on: sixteen bins and the padding bit.
    pub const LEAST_LOOKUP_BITS: AccumulatorBits = AccumulatorBits(5);

    /// The tensors that it reads.
    pub fn reads(&self) -> Vec<ChainIndex> {
        match self {
            Self::Lookup { of, .. } | Self::Linear { of, .. } => vec![*of],
            Self::Add { of, .. } => of.to_vec(),
        }
    }
}

/// What a round does behind its linear layer.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct Chain {
    /// The steps, in order; the last looks a table up.
    pub steps: Vec<Step>,
    /// How many values of the last tensor share a ciphertext of the response: a power of two up to
    /// [`Chain::MOST_TOGETHER`]. Packing multiplies them by it, so the last p is this many times that of the wire.
    pub together: u8,
    /// Steps in front of which the chain is cut into segments, in rising order. Each looks a table up, and behind the
    /// first of them nothing reads the layer's sums.
    pub cuts: Vec<u16>,
}

impl Chain {
    /// Most steps of a chain.
    pub const STEP_LIMIT: usize = 64;
    /// Most segments of a chain: with [`crate::CompileOptions::BOOTSTRAPS_PER_CALL`] of each, eight minutes of two cores.
    pub const SEGMENT_LIMIT: usize = 8;
    /// Most bytes that are put aside between two segments: what is sealed of them fits the store.
    pub const STATE_LIMIT_BYTES: usize = 32 << 20;
    /// Most values that share a ciphertext of the response.
    pub const MOST_TOGETHER: u8 = MOST_PACKED as u8;

    /// The linear layers of the steps, in order: those whose weights follow the round's.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.steps.iter().filter_map(|step| match step {
            Step::Linear { layer, .. } => Some(layer),
            _ => None,
        })
    }

    /// Shapes of all tensors behind `sums`, the first. Meaningful only for a chain that a plan has.
    pub fn shapes(&self, sums: Shape) -> Vec<Shape> {
        let mut shapes = vec![sums];
        for step in &self.steps {
            shapes.push(match step {
                Step::Linear { layer, .. } => layer.output_shape(),
                Step::Lookup { of, .. } | Step::Add { of: [of, _], .. } => {
                    shapes.get(of.place()).copied().unwrap_or(sums)
                }
            });
        }
        shapes
    }

    /// The p of the response, whose integers are those of the last tables. Meaningful only for a chain that a plan
    /// has.
    pub fn response_accumulator_bits(&self) -> AccumulatorBits {
        match self.steps.last() {
            Some(Step::Lookup { bits, .. }) => AccumulatorBits(bits.0.saturating_sub(self.together_log2())),
            _ => AccumulatorBits(0),
        }
    }

    /// Segments that the chain is cut into, at least one.
    pub fn segment_count(&self) -> usize {
        self.cuts.len() + 1
    }

    /// The steps of a segment, which are none for one that the chain does not have.
    pub fn segment_steps(&self, segment: usize) -> Range<usize> {
        let at = |cut: usize| self.cuts.get(cut).map_or(self.steps.len(), |step| usize::from(*step));
        segment.checked_sub(1).map_or(0, at)..at(segment)
    }

    pub(crate) fn together_log2(&self) -> u8 {
        self.together.checked_ilog2().unwrap_or(0) as u8
    }

    /// Where `values` values are in the response: value `i` of a group at coefficient `i · size / together`.
    pub(crate) fn output_layout(
        &self,
        parameter_set: ParameterSet,
        values: usize,
    ) -> Result<OutputLayout, LayoutError> {
        let together = usize::from(self.together).max(1);
        let apart = parameter_set.polynomial_size().0 / together;
        let body = |value: usize| WantedBody { coefficient: (value % together * apart) as u16, value: value as u32 };
        let groups = (0..values).step_by(together);
        let pieces = groups.map(|first| (first..values.min(first + together)).map(body).collect()).collect();
        OutputLayout::new(parameter_set, values, pieces)
    }
}

impl Decode for Chain {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let Compact(count) = Compact::<u32>::decode(input)?;
        // A step may be some ten bytes here, and is a hundred in memory.
        if count as usize > Self::STEP_LIMIT {
            return Err("too many steps".into());
        }
        let steps = (0..count).map(|_| Step::decode(input)).collect::<Result<_, _>>()?;
        let together = u8::decode(input)?;
        let Compact(count) = Compact::<u32>::decode(input)?;
        if count as usize >= Self::SEGMENT_LIMIT {
            return Err("too many cuts".into());
        }
        let cuts = (0..count).map(|_| u16::decode(input)).collect::<Result<_, _>>()?;
        Ok(Self { steps, together, cuts })
    }
}

/// The chain of a plan's round.
#[derive(Clone, Copy)]
pub(crate) struct Links<'a> {
    pub chain: &'a Chain,
    pub facts: &'a Facts,
    pub set: BootstrapSet,
}

impl<'a> Links<'a> {
    /// Each lookup by its step, and how many values it is of.
    pub fn lookups(self) -> impl Iterator<Item = (usize, usize)> + 'a {
        self.chain.steps.iter().enumerate().filter_map(move |(index, step)| match step {
            Step::Lookup { of, .. } => Some((index, self.facts.shapes[of.place()].len())),
            _ => None,
        })
    }

    /// Bytes that are put aside behind a segment that is not the last.
    pub fn state_bytes(self, segment: usize) -> u64 {
        let cut = self.chain.cuts.get(segment);
        cut.map_or(0, |cut| cut::put_aside_bytes(self.chain, self.facts, self.set, usize::from(*cut)))
    }

    /// How many values are sent.
    pub fn sent(self) -> usize {
        self.facts.shapes.last().map_or(0, |shape| shape.len())
    }

    /// Ciphertexts of the response.
    pub fn pieces(self) -> usize {
        self.sent().div_ceil(usize::from(self.chain.together).max(1))
    }

    /// Bits of the largest value of the last tables, sign included.
    pub fn worst_bits(self) -> u8 {
        let Some(Step::Lookup { tables, .. }) = self.chain.steps.last() else { return 0 };
        let worst = tables.iter().flatten().map(|value| value.unsigned_abs()).max().unwrap_or(0);
        (17 - worst.leading_zeros()) as u8
    }
}

/// The one of all channels, or the channel's own.
pub(crate) fn of_channel<T>(all: &[T], channel: usize) -> Option<&T> {
    match all {
        [one] => Some(one),
        each => each.get(channel),
    }
}

impl fmt::Display for ChainIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::SUMS => f.write_str("sums"),
            Self(place) => write!(f, "c{place}"),
        }
    }
}
