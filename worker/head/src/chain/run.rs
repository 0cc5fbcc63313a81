//! A chain on ciphertexts: bit for bit the same on every machine and any number of threads.

use encompute_fhe::{
    AccumulatorBits, BootstrapError, Bootstrapper, Ciphertext, LweCiphertext, OutputLayout, PreparedEvaluationKey,
    Table,
};
use rayon::prelude::*;
use std::borrow::Cow;

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

/// A chain under way: its tensors that are still read, and how far it has come.
pub(crate) struct ChainRun {
    tensors: Vec<Option<Tensor>>,
    /// Values that the current step, a lookup, has given.
    found: Vec<LweCiphertext>,
}

impl ChainRun {
    /// A chain behind the products of a round's layer.
    pub fn begin(products: Vec<Ciphertext>, layout: &OutputLayout) -> Self {
        Self { tensors: vec![Some(Tensor::sums(products, layout))], found: Vec::new() }
    }

    /// Goes on by about `bootstraps` bootstraps; true once the last step is done. `weights` are those of the chain's
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
        for (index, step) in chain.steps.iter().enumerate().skip(done) {
            let tensors = &self.tensors;
            let read = |of: ChainIndex| {
                tensors[of.place()].as_ref().expect("a tensor is there up to the last step that reads it; qed")
            };
            let given = match step {
                Step::Lookup { of, offset_half_units, tables, bits } => {
                    let (shape, read_bits) = (facts.shapes[of.place()], facts.bits[of.place()]);
                    let lookup = Lookup { offset_half_units, read_bits, tables, bits: *bits };
                    let tensor = read(*of);
                    while self.found.len() < tensor.len() {
                        if left == 0 {
                            return Ok(false);
                        }
                        let more = machine.lookup(tensor, shape, &lookup, self.found.len())?;
                        left = left.saturating_sub(more.len());
                        self.found.extend(more);
                    }
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

    /// Looks values up, [`TOGETHER`] from number `from` on, or as many as there are.
    fn lookup(
        &self,
        tensor: &Tensor,
        shape: Shape,
        lookup: &Lookup<'_>,
        from: usize,
    ) -> Result<Vec<LweCiphertext>, BootstrapError> {
        let positions = (shape.rows * shape.columns).max(1);
        let places = from..tensor.len().min(from + TOGETHER);
        let shifted = places.clone().into_par_iter().map(|at| {
            let mut value = tensor.value(at).into_owned();
            value.add_clear(lookup.offset(at / positions));
            value
        });
        let shifted: Vec<LweCiphertext> = shifted.collect();
        let first = places.start / positions;
        let tables: Vec<Table> = match lookup.tables.len() {
            1 => vec![lookup.table(0)],
            _ => (first..=(places.end - 1) / positions).map(|channel| lookup.table(channel)).collect(),
        };
        let table = |at: usize| of_channel(&tables, at / positions - first).unwrap_or(&tables[0]);
        let pairs: Vec<_> = shifted.iter().zip(places).map(|(value, at)| (value, table(at))).collect();
        self.bootstrapper.apply_each(self.key, &pairs)
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
