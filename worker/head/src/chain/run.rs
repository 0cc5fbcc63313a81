//! A chain on ciphertexts: bit for bit the same on every machine and any number of threads.

use core::ops::Range;
use encompute_fhe::{
    AccumulatorBits, BootstrapError, Bootstrapper, Ciphertext, LweCiphertext, OutputLayout, PreparedEvaluationKey,
    Table, Turns,
};
use rayon::prelude::*;
use std::borrow::Cow;

use super::cut::{Aside, put_aside};
use super::{ChainIndex, Links, Step, of_channel};
use crate::layer::{Layer, Shape};

/// Values that are taken out of their ciphertexts and bootstrapped at one time: many batches for every core, and
/// eight megabytes.
const TOGETHER: usize = 512;

/// Where each sum is: which product, and which coefficient of it.
#[derive(Clone, Copy, Default)]
struct Place {
    product: u32,
    coefficient: u16,
}

/// The values of one tensor.
enum Tensor {
    /// In products that hold many, from which each is taken when it is read.
    Sums { products: Vec<Ciphertext>, places: Vec<Place> },
    /// One by one.
    Values(Vec<LweCiphertext>),
}

impl Tensor {
    fn sums(products: Vec<Ciphertext>, layout: &OutputLayout) -> Self {
        let mut places = vec![Place::default(); layout.value_count()];
        for (product, wanted) in layout.pieces().iter().enumerate() {
            for body in wanted {
                places[body.value as usize] = Place { product: product as u32, coefficient: body.coefficient };
            }
        }
        Self::Sums { products, places }
    }

    fn len(&self) -> usize {
        match self {
            Self::Sums { places, .. } => places.len(),
            Self::Values(values) => values.len(),
        }
    }

    fn value(&self, at: usize) -> Cow<'_, LweCiphertext> {
        match self {
            Self::Values(values) => Cow::Borrowed(&values[at]),
            Self::Sums { products, places } => {
                let Place { product, coefficient } = places[at];
                let value = LweCiphertext::extract(&products[product as usize], usize::from(coefficient));
                Cow::Owned(value.expect("a layout's coefficients are the ring's; qed"))
            }
        }
    }

    fn values(&self) -> Cow<'_, [LweCiphertext]> {
        match self {
            Self::Values(values) => Cow::Borrowed(values),
            Self::Sums { .. } => {
                Cow::Owned((0..self.len()).into_par_iter().map(|at| self.value(at).into_owned()).collect())
            }
        }
    }
}

/// What a chain runs on.
pub(crate) struct Machine<'a> {
    pub bootstrapper: &'a Bootstrapper,
    pub key: &'a PreparedEvaluationKey,
}

/// A segment of a chain under way: the tensors that are still read, and how far it has come.
pub(crate) struct ChainRun {
    segment: usize,
    tensors: Vec<Option<Tensor>>,
    /// What the segment's first step, a lookup, turns its tables by, where that was put aside instead of a tensor.
    turned: Option<Vec<Turns>>,
    /// Values that the current step, a lookup, has given.
    found: Vec<LweCiphertext>,
}

impl ChainRun {
    /// A chain behind the products of a round's layer.
    pub fn begin(products: Vec<Ciphertext>, layout: &OutputLayout) -> Self {
        let sums = Tensor::sums(products, layout);
        Self { segment: 0, tensors: vec![Some(sums)], turned: None, found: Vec::new() }
    }

    /// A segment behind the first, from exactly the bytes that [`Self::put_aside`] made of the one before; none from
    /// other bytes, or for a segment that the chain does not have.
    pub fn take_up(Links { chain, facts, set }: Links<'_>, segment: usize, mut bytes: &[u8]) -> Option<Self> {
        let cut = usize::from(*chain.cuts.get(segment.checked_sub(1)?)?);
        let mut tensors: Vec<Option<Tensor>> = (0..=cut).map(|_| None).collect();
        let mut turned = None;
        for (tensor, aside) in put_aside(chain, facts, cut) {
            let count = facts.shapes[tensor].len();
            let (part, rest) = bytes.split_at_checked(aside.bytes(set, count))?;
            bytes = rest;
            match aside {
                Aside::Turns => turned = Some(Turns::unpack(set, count, part)?),
                Aside::Values => tensors[tensor] = Some(Tensor::Values(LweCiphertext::unpack(count, part)?)),
            }
        }
        bytes.is_empty().then_some(Self { segment, tensors, turned, found: Vec::new() })
    }

    /// What the next segment goes on from, once the last step of this one, not the chain's last, is done.
    pub fn put_aside(
        self,
        machine: &Machine<'_>,
        Links { chain, facts, .. }: Links<'_>,
    ) -> Result<Vec<u8>, BootstrapError> {
        let cut = chain.segment_steps(self.segment).end;
        let mut bytes = Vec::new();
        for (at, aside) in put_aside(chain, facts, cut) {
            let tensor = read(&self.tensors, ChainIndex(at as u16));
            match (aside, &chain.steps[cut]) {
                (Aside::Turns, Step::Lookup { offset_half_units, tables, bits, .. }) => {
                    let (shape, read_bits) = (facts.shapes[at], facts.bits[at]);
                    let lookup = Lookup { offset_half_units, read_bits, tables, bits: *bits };
                    let shifted = lookup.shifted(tensor, shape, 0..tensor.len());
                    Turns::pack(&machine.bootstrapper.switch(machine.key, &shifted)?, &mut bytes);
                }
                _ => LweCiphertext::pack_rounded(&tensor.values(), &mut bytes),
            }
        }
        Ok(bytes)
    }

    /// Goes on by about `bootstraps` bootstraps; true once the last step of the segment is done. `weights` are those of the chain's
    /// linear layers, in order. Values are looked up [`TOGETHER`] at a time, and nothing is left half done by less.
    pub fn advance<'w>(
        &mut self,
        machine: &Machine<'_>,
        Links { chain, facts, .. }: Links<'_>,
        weights: impl Iterator<Item = &'w [i8]>,
        bootstraps: usize,
    ) -> Result<bool, BootstrapError> {
        let done = self.tensors.len() - 1;
        let linear_before = chain.steps[..done].iter().filter(|step| matches!(step, Step::Linear { .. })).count();
        let mut weights = weights.skip(linear_before);
        let mut left = bootstraps;
        let end = chain.segment_steps(self.segment).end;
        for (index, step) in chain.steps[..end].iter().enumerate().skip(done) {
            let read = |of: ChainIndex| read(&self.tensors, of);
            let given = match step {
                Step::Lookup { of, offset_half_units, tables, bits } => {
                    let (shape, read_bits) = (facts.shapes[of.place()], facts.bits[of.place()]);
                    let lookup = Lookup { offset_half_units, read_bits, tables, bits: *bits };
                    while self.found.len() < shape.len() {
                        if left == 0 {
                            return Ok(false);
                        }
                        let places = self.found.len()..shape.len().min(self.found.len() + TOGETHER);
                        let more = match &self.turned {
                            Some(turned) => machine.turn(&turned[places.clone()], shape, &lookup, places)?,
                            None => machine.lookup(read(*of), shape, &lookup, places)?,
                        };
                        left = left.saturating_sub(more.len());
                        self.found.extend(more);
                    }
                    self.turned = None;
                    core::mem::take(&mut self.found)
                }
                Step::Linear { of, layer } => linear(layer, weights.next().unwrap_or_default(), &read(*of).values()),
                Step::Add { of: [one, other], factors } => add(read(*one), read(*other), *factors),
            };
            for (tensor, last_read) in self.tensors.iter_mut().zip(&facts.last_read) {
                if *last_read <= index {
                    *tensor = None;
                }
            }
            self.tensors.push(Some(Tensor::Values(given)));
        }
        Ok(true)
    }

    /// The values of the last tensor, once the last step is done.
    pub fn values(mut self) -> Vec<LweCiphertext> {
        match self.tensors.pop() {
            Some(Some(Tensor::Values(values))) => values,
            _ => Vec::new(),
        }
    }
}

impl Machine<'_> {
    /// The values that a chain gives as ciphertexts of a response.
    pub fn pack(&self, links: Links<'_>, values: &[LweCiphertext]) -> Result<Vec<Ciphertext>, BootstrapError> {
        self.bootstrapper.pack(self.key, values, links.chain.together.into())
    }

    /// Looks the values at some places of a tensor up.
    fn lookup(
        &self,
        tensor: &Tensor,
        shape: Shape,
        lookup: &Lookup<'_>,
        places: Range<usize>,
    ) -> Result<Vec<LweCiphertext>, BootstrapError> {
        let shifted = lookup.shifted(tensor, shape, places.clone());
        let tables = Tables::of(lookup, shape, &places);
        let pairs: Vec<_> = shifted.iter().zip(places).map(|(value, at)| (value, tables.at(at))).collect();
        self.bootstrapper.apply_each(self.key, &pairs)
    }

    /// The same for values that were put aside.
    fn turn(
        &self,
        turned: &[Turns],
        shape: Shape,
        lookup: &Lookup<'_>,
        places: Range<usize>,
    ) -> Result<Vec<LweCiphertext>, BootstrapError> {
        let tables = Tables::of(lookup, shape, &places);
        let pairs: Vec<_> = turned.iter().zip(places).map(|(turns, at)| (turns, tables.at(at))).collect();
        self.bootstrapper.turn(self.key, &pairs)
    }
}

/// The tensor at a place that a step reads.
fn read(tensors: &[Option<Tensor>], of: ChainIndex) -> &Tensor {
    tensors[of.place()].as_ref().expect("a tensor is there up to the last step that reads it; qed")
}

/// The tables for some places of a tensor: one, or one for each channel that they lie in.
struct Tables {
    tables: Vec<Table>,
    positions: usize,
    first: usize,
}

impl Tables {
    fn of(lookup: &Lookup<'_>, shape: Shape, places: &Range<usize>) -> Self {
        let positions = (shape.rows * shape.columns).max(1);
        let first = places.start / positions;
        let tables = match lookup.tables.len() {
            1 => vec![lookup.table(0)],
            _ => (first..=(places.end - 1) / positions).map(|channel| lookup.table(channel)).collect(),
        };
        Self { tables, positions, first }
    }

    fn at(&self, place: usize) -> &Table {
        of_channel(&self.tables, place / self.positions - self.first).unwrap_or(&self.tables[0])
    }
}

/// The numbers of a lookup.
struct Lookup<'a> {
    offset_half_units: &'a [i64],
    read_bits: AccumulatorBits,
    tables: &'a [[i16; 16]],
    bits: AccumulatorBits,
}

impl Lookup<'_> {
    /// The values at some places of a tensor, with their channels' offsets.
    fn shifted(&self, tensor: &Tensor, shape: Shape, places: Range<usize>) -> Vec<LweCiphertext> {
        let positions = (shape.rows * shape.columns).max(1);
        let shifted = places.into_par_iter().map(|at| {
            let mut value = tensor.value(at).into_owned();
            value.add_clear(self.offset(at / positions));
            value
        });
        shifted.collect()
    }

    /// A channel's offset, scaled to 2⁶⁴.
    fn offset(&self, channel: usize) -> u64 {
        let half_units = of_channel(self.offset_half_units, channel).copied().unwrap_or(0);
        (half_units as u64) << (self.read_bits.scale_log2() - 1)
    }

    /// A channel's table, scaled to 2⁶⁴.
    fn table(&self, channel: usize) -> Table {
        let values = of_channel(self.tables, channel).copied().unwrap_or_default();
        Table::new(values.map(|value| (i64::from(value) as u64) << self.bits.scale_log2()))
    }
}

/// Sums of values times weights, exactly modulo 2⁶⁴; padding is the encryption of zero without a mask.
fn linear(layer: &Layer, weights: &[i8], values: &[LweCiphertext]) -> Vec<LweCiphertext> {
    let outputs = (0..layer.output_shape().len()).into_par_iter();
    let sum = |output: usize| {
        let mut sum = zero(values);
        for (weight, value) in layer.meets(output) {
            match weights[weight] {
                0 => {}
                weight => sum.add_product(&values[value], weight.into()),
            }
        }
        sum
    };
    outputs.map(sum).collect()
}

fn add(one: &Tensor, other: &Tensor, [a, b]: [i8; 2]) -> Vec<LweCiphertext> {
    let sum = |at: usize| {
        let one = one.value(at);
        let mut sum = zero(core::slice::from_ref(one.as_ref()));
        sum.add_product(&one, a.into());
        sum.add_product(&other.value(at), b.into());
        sum
    };
    (0..one.len()).into_par_iter().map(sum).collect()
}

/// Zero, under any key that these are under.
fn zero(values: &[LweCiphertext]) -> LweCiphertext {
    LweCiphertext { mask: vec![0; values.first().map_or(0, |value| value.mask.len())], body: 0 }
}
