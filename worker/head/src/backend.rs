//! Running a round: on ciphertexts, or on integers by the same program.

use encompute_fhe::{
    BlindingKey, BlindingSeed, BootstrapError, BootstrapSet, Ciphertext, EncryptedFeatures, EncryptedTensor,
    EvaluationKey, InputLayout, OutputLayout, ParameterSet, PreparedBlindingKey, PreparedEvaluationKey, Ring,
    RingError, expand_tensor, respond,
};
use rayon::prelude::*;

use crate::chain::{
    Links, clear,
    run::{ChainRun, Machine},
};
use crate::compile::{CompiledChain, CompiledHead, CompiledRound};
use crate::layer::Layer;
use crate::plan::{RoundIndex, RoundPlan};
use crate::stepwise::{Given, RoundRun};

mod narrow;

/// Why a round was not evaluated. Nothing has been computed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// A round that the head does not have.
    #[error("round {found} of a head with {rounds} rounds")]
    NoRound {
        /// Round asked for.
        found: u16,
        /// Rounds of the head.
        rounds: usize,
    },
    /// A request or a blinding key of another parameter set.
    #[error("{what} is of {found}, the head of {wanted}")]
    ParameterSet {
        /// Which message.
        what: &'static str,
        /// Its set.
        found: ParameterSet,
        /// The head's set.
        wanted: ParameterSet,
    },
    /// A request whose bodies are rounded to another width than the proof assumes.
    #[error("request has bodies of {found} bits, the round takes {wanted}")]
    UploadBits {
        /// Width found.
        found: u8,
        /// Width of the round.
        wanted: u8,
    },
    /// A request with another number of ciphertexts, or values, than the round takes.
    #[error("request holds {found} {what}, the round takes {wanted}")]
    InputCount {
        /// What was counted.
        what: &'static str,
        /// Number found.
        found: usize,
        /// Number the round takes.
        wanted: usize,
    },
    /// A chain without a key.
    #[error("round {round} looks tables up and needs an evaluation key of {wanted}")]
    NoEvaluationKey {
        /// The round.
        round: u16,
        /// The head's set.
        wanted: BootstrapSet,
    },
    /// An evaluation key of another set.
    #[error("evaluation key is of {found}, the head of {wanted}")]
    EvaluationKey {
        /// The key's set.
        found: BootstrapSet,
        /// The head's set.
        wanted: BootstrapSet,
    },
    /// An evaluation key for a head that takes none.
    #[error("evaluation key for a head without bootstraps")]
    NoBootstraps,
    /// What a segment is to go on from is none, or of another set or length than it takes.
    #[error("segment {segment} of round {round} does not go on from this state")]
    State {
        /// The round.
        round: u16,
        /// The segment in it.
        segment: u8,
    },
    /// The ring refused its operands.
    #[error("ring product refused")]
    Ring(#[from] RingError),
    /// The bootstraps refused their operands.
    #[error("bootstraps refused")]
    Bootstrap(#[from] BootstrapError),
}

impl ClearBackend {
    /// What a round gives for every output, and behind a chain what the last lookup would give if noise took its
    /// accumulator to the bin below, or above. Without a chain the three are one.
    ///
    /// # Errors
    /// [`EvaluateError`].
    pub fn with_neighbours(
        &self,
        head: &CompiledHead,
        round: RoundIndex,
        tensor: &[i64],
    ) -> Result<Vec<[i64; 3]>, EvaluateError> {
        let sums = clear_layer(head, round, tensor)?;
        Ok(match head.plan().chain(round.0.into()) {
            None => sums.into_iter().map(|sum| [sum; 3]).collect(),
            Some(links) => clear::with_neighbours(links, sums, head.chain_weights(round)),
        })
    }
}

/// The sums of a round's layer.
fn clear_layer(head: &CompiledHead, round: RoundIndex, tensor: &[i64]) -> Result<Vec<i64>, EvaluateError> {
    let (plan, _) = find(head, round)?;
    let wanted = plan.layer.input_shape().len();
    if tensor.len() != wanted {
        return Err(EvaluateError::InputCount { what: "values", found: tensor.len(), wanted });
    }
    Ok(clear_sums(&plan.layer, head.weights(round), tensor))
}

/// Something that runs a compiled head's rounds.
pub trait Backend {
    /// What a round takes.
    type Tensor;
    /// What a round gives: the sums, before the client's step.
    type Features;

    /// Runs one round.
    ///
    /// # Errors
    /// [`EvaluateError`].
    fn evaluate(
        &self,
        head: &CompiledHead,
        round: RoundIndex,
        tensor: &Self::Tensor,
    ) -> Result<Self::Features, EvaluateError>;
}

/// The program on integers, computed from the layer's definition: no tiles, no ring.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClearBackend;

/// The program on ciphertexts, without blinding.
#[derive(Clone, Copy, Default)]
pub struct EncryptedBackend<'a> {
    /// What rounds with a chain need.
    pub evaluation: Option<&'a PreparedEvaluationKey>,
}

impl Backend for ClearBackend {
    type Tensor = Vec<i64>;
    type Features = Vec<i64>;

    fn evaluate(&self, head: &CompiledHead, round: RoundIndex, tensor: &Vec<i64>) -> Result<Vec<i64>, EvaluateError> {
        let sums = clear_layer(head, round, tensor)?;
        Ok(match head.plan().chain(round.0.into()) {
            None => sums,
            Some(links) => clear::run(links, sums, head.chain_weights(round)),
        })
    }
}

impl Backend for EncryptedBackend<'_> {
    type Tensor = EncryptedTensor;
    type Features = EncryptedFeatures;

    fn evaluate(
        &self,
        head: &CompiledHead,
        round: RoundIndex,
        tensor: &EncryptedTensor,
    ) -> Result<EncryptedFeatures, EvaluateError> {
        evaluate_unblinded(head, round, tensor, self.evaluation)
    }
}

/// Runs one round and blinds the response with encryptions of zero under `key`, drawn from `seed`. A round with a
/// chain needs the user's `evaluation` key; others leave it alone.
///
/// The same head, round, request, keys and seed give the same response on every machine.
///
/// # Errors
/// [`EvaluateError`], before anything is computed.
pub fn evaluate_round(
    head: &CompiledHead,
    round: RoundIndex,
    tensor: &EncryptedTensor,
    key: &PreparedBlindingKey,
    evaluation: Option<&PreparedEvaluationKey>,
    seed: &BlindingSeed,
) -> Result<EncryptedFeatures, EvaluateError> {
    check_key(head, key)?;
    let mut run = RoundRun::begin(head, round, tensor, evaluation)?;
    loop {
        while !run.advance(head, evaluation, usize::MAX)? {}
        let next = run.next();
        match run.finish(head, key, evaluation, seed)? {
            Given::Response(response) => return Ok(response),
            Given::State(state) => run = RoundRun::go_on(head, next, &state, evaluation)?,
        }
    }
}

pub(crate) fn check_key(head: &CompiledHead, key: &PreparedBlindingKey) -> Result<(), EvaluateError> {
    let (found, wanted) = (key.parameter_set(), head.plan().parameter_set());
    if found == wanted { Ok(()) } else { Err(EvaluateError::ParameterSet { what: "blinding key", found, wanted }) }
}

/// Runs one round and leaves the response as it is: for whoever holds the head and wants to compare two
/// machines without the blinding seed. Such a response must not go to a user, for its masks tell the
/// weights.
///
/// # Errors
/// [`EvaluateError`], before anything is computed.
pub fn evaluate_unblinded(
    head: &CompiledHead,
    round: RoundIndex,
    tensor: &EncryptedTensor,
    evaluation: Option<&PreparedEvaluationKey>,
) -> Result<EncryptedFeatures, EvaluateError> {
    let (plan, compiled) = find(head, round)?;
    let products = match linked(head, round, evaluation)? {
        Some(linked) => linked.packed(tensor)?,
        None => products(head, compiled, tensor, |ring, _, inputs| ring.multiply(inputs, &compiled.weights))?,
    };
    Ok(respond(&products, &compiled.output_layout, plan.response_bits)?)
}

/// A round with a chain, and the key that it runs under.
pub(crate) struct Linked<'a> {
    head: &'a CompiledHead,
    round: RoundIndex,
    pub links: Links<'a>,
    layer: &'a CompiledRound,
    pub compiled: &'a CompiledChain,
    key: &'a PreparedEvaluationKey,
}

/// The chain of a round, if it has one, and the key that it runs under.
pub(crate) fn linked<'a>(
    head: &'a CompiledHead,
    round: RoundIndex,
    evaluation: Option<&'a PreparedEvaluationKey>,
) -> Result<Option<Linked<'a>>, EvaluateError> {
    let (_, layer) = find(head, round)?;
    let Some((links, compiled)) = head.plan().chain(round.0.into()).zip(layer.chain.as_ref()) else { return Ok(None) };
    let wanted = links.set;
    let key = evaluation.ok_or(EvaluateError::NoEvaluationKey { round: round.0, wanted })?;
    match key.set() {
        found if found != wanted => Err(EvaluateError::EvaluationKey { found, wanted }),
        _ => Ok(Some(Linked { head, round, links, layer, compiled, key })),
    }
}

impl Linked<'_> {
    pub fn machine(&self) -> Machine<'_> {
        Machine { bootstrapper: self.head.bootstrapper(), key: self.key }
    }

    /// The ciphertexts of the response, before blinding.
    fn packed(&self, tensor: &EncryptedTensor) -> Result<Vec<Ciphertext>, EvaluateError> {
        let weights = &self.layer.weights;
        let products = products(self.head, self.layer, tensor, |ring, _, inputs| ring.multiply(inputs, weights))?;
        let mut run = ChainRun::begin(products, &self.compiled.sums);
        let machine = self.machine();
        for next in 1..=self.links.chain.segment_count() {
            while !run.advance(&machine, self.links, self.head.chain_weights(self.round), usize::MAX)? {}
            if next < self.links.chain.segment_count() {
                let put_aside = run.put_aside(&machine, self.links)?;
                let refused = EvaluateError::State { round: self.round.0, segment: next as u8 };
                run = ChainRun::take_up(self.links, next, &put_aside).ok_or(refused)?;
            }
        }
        Ok(machine.pack(self.links, &run.values())?)
    }
}

impl CompiledHead {
    /// Where a round's input values go in its request.
    ///
    /// # Errors
    /// [`EvaluateError::NoRound`].
    pub fn input_layout(&self, round: RoundIndex) -> Result<&InputLayout, EvaluateError> {
        Ok(&find(self, round)?.1.input_layout)
    }

    /// Where what a round gives is in its response.
    ///
    /// # Errors
    /// [`EvaluateError::NoRound`].
    pub fn output_layout(&self, round: RoundIndex) -> Result<&OutputLayout, EvaluateError> {
        Ok(&find(self, round)?.1.output_layout)
    }

    /// A case's evaluation key, made ready for all rounds of the case: some 90 MB for bootstraps that protect. It is
    /// the same for every head of its set, so that it can be kept by the key's digest.
    ///
    /// # Errors
    /// [`EvaluateError::NoBootstraps`], [`EvaluateError::EvaluationKey`].
    pub fn prepare_evaluation_key(&self, key: &EvaluationKey) -> Result<PreparedEvaluationKey, EvaluateError> {
        let (found, wanted) = (key.set(), self.plan().mode().bootstrap_set().ok_or(EvaluateError::NoBootstraps)?);
        match found == wanted {
            true => Ok(self.bootstrapper().prepare(key)),
            false => Err(EvaluateError::EvaluationKey { found, wanted }),
        }
    }

    /// A case's blinding key, made ready for all rounds of the case.
    ///
    /// # Errors
    /// [`EvaluateError::ParameterSet`].
    pub fn prepare_key(&self, key: &BlindingKey) -> Result<PreparedBlindingKey, EvaluateError> {
        let (found, wanted) = (key.parameter_set(), self.plan().parameter_set());
        if found != wanted {
            return Err(EvaluateError::ParameterSet { what: "blinding key", found, wanted });
        }
        Ok(self.ring().prepare_key(key)?)
    }
}

pub(crate) fn find(head: &CompiledHead, round: RoundIndex) -> Result<(&RoundPlan, &CompiledRound), EvaluateError> {
    let rounds = head.plan().rounds().len();
    head.plan().round(round).zip(head.round(round)).ok_or(EvaluateError::NoRound { found: round.0, rounds })
}

/// What `multiply` makes of each tile's inputs, in the order of the output layout.
pub(crate) fn products(
    head: &CompiledHead,
    round: &CompiledRound,
    tensor: &EncryptedTensor,
    multiply: impl Fn(&Ring, usize, &[Ciphertext]) -> Result<Vec<Ciphertext>, RingError> + Sync,
) -> Result<Vec<Ciphertext>, EvaluateError> {
    let wanted = head.plan().parameter_set();
    if tensor.parameter_set() != wanted {
        return Err(EvaluateError::ParameterSet { what: "request", found: tensor.parameter_set(), wanted });
    }
    let (found, wanted) = (tensor.ciphertext_count(), round.input_layout.ciphertext_count());
    if found != wanted {
        return Err(EvaluateError::InputCount { what: "ciphertexts", found, wanted });
    }
    let (found, wanted) = (tensor.upload_bits(), round.input_layout.upload_bits());
    if found != wanted {
        return Err(EvaluateError::UploadBits { found: found.0, wanted: wanted.0 });
    }
    let inputs = expand_tensor(tensor);
    let tiles: Vec<Vec<Ciphertext>> = inputs
        .par_chunks(round.weights.inputs())
        .enumerate()
        .map(|(tile, inputs)| multiply(head.ring(), tile, inputs))
        .collect::<Result<_, _>>()?;
    Ok(tiles.into_iter().flatten().collect())
}

/// The layer by its definition, modulo 2⁶⁴.
pub(crate) fn clear_sums(layer: &Layer, weights: &[i8], values: &[i64]) -> Vec<i64> {
    narrow::sums(layer, weights, values).unwrap_or_else(|| wide_sums(layer, weights, values))
}

/// Values of any size.
fn wide_sums(layer: &Layer, weights: &[i8], values: &[i64]) -> Vec<i64> {
    let product = |(weight, value): (&i8, &i64)| i64::from(*weight).wrapping_mul(*value);
    let dot = |row: &[i8]| row.iter().zip(values).map(product).fold(0, i64::wrapping_add);
    let Layer::Conv2d { channels, out_channels, groups, rows, columns } = *layer else {
        return weights.chunks(values.len().max(1)).map(dot).collect();
    };
    let (image, sums) = (layer.input_shape(), layer.output_shape());
    let (inputs, outputs) = ((channels / groups) as usize, (out_channels / groups) as usize);
    let (height, width) = (rows.kernel as usize, columns.kernel as usize);
    // Which output column meets which of the image's, by tap: the same for every row and channel.
    let meets = |tap: usize| (0..sums.columns).filter_map(move |at| Some((at, columns.under(at, tap)?)));
    let across: Vec<Vec<(usize, usize)>> = (0..width).map(|tap| meets(tap).collect()).collect();
    let mut totals = vec![0i64; sums.len()];
    for (output, totals) in totals.chunks_exact_mut((sums.rows * sums.columns).max(1)).enumerate() {
        for (tap, weight) in weights[output * layer.fan_in()..][..layer.fan_in()].iter().enumerate() {
            let channel = output / outputs * inputs + tap / (height * width);
            for (y, totals) in totals.chunks_exact_mut(sums.columns.max(1)).enumerate() {
                let Some(row) = rows.under(y, tap / width % height) else { continue };
                let row = &values[(channel * image.rows + row) * image.columns..][..image.columns];
                for (at, from) in &across[tap % width] {
                    totals[*at] = totals[*at].wrapping_add(product((weight, &row[*from])));
                }
            }
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Axis;
    use proptest::prelude::*;

    fn axis() -> impl Strategy<Value = Axis> {
        (1u32..4, 1u32..3, 1u32..3, 0u32..3, 0u32..3, 0u32..6).prop_map(
            |(kernel, stride, dilation, before, after, more)| {
                Axis::new((kernel - 1) * dilation + 1 + more, kernel)
                    .strided(stride)
                    .dilated(dilation)
                    .padded(before, after)
            },
        )
    }

    fn layers() -> impl Strategy<Value = Layer> {
        let convolution =
            (1u32..3, 1u32..4, 1u32..4, axis(), axis()).prop_map(|(groups, inputs, outputs, rows, columns)| {
                Layer::Conv2d { channels: groups * inputs, out_channels: groups * outputs, groups, rows, columns }
            });
        let dense = (1u32..40, 1u32..10).prop_map(|(inputs, outputs)| Layer::Dense { inputs, outputs });
        prop_oneof![convolution, dense, (1u32..11, 1u32..30, 1u32..9).prop_map(|(r, i, o)| Layer::matmul(r, i, o))]
    }

    proptest! {
        #[test]
        fn narrow_sums_are_those_of_the_definition(layer in layers(), seed: u64, largest in 1i64..i64::from(i16::MAX)) {
            let mut numbers = crate::measure::Numbers::new(seed);
            let weights: Vec<i8> = (0..layer.weight_count()).map(|_| numbers.next() as i8).collect();
            let count = layer.input_shape().len();
            let values: Vec<i64> = (0..count).map(|_| (numbers.next() as i64).rem_euclid(2 * largest + 1) - largest).collect();
            prop_assert_eq!(narrow::sums(&layer, &weights, &values), Some(wide_sums(&layer, &weights, &values)));
        }
    }

    #[test]
    fn sums_that_need_more_than_thirty_two_bits_are_left_to_the_definition() {
        let layer = Layer::Dense { inputs: 600, outputs: 1 };
        let (weights, largest) = (vec![-128; 600], i64::from(i16::MAX));
        assert_eq!(narrow::sums(&layer, &weights, &vec![largest; 600]), None);
        assert_eq!(clear_sums(&layer, &weights, &vec![largest; 600]), [-128 * 600 * largest]);
        assert_eq!(narrow::sums(&layer, &weights, &vec![largest + 1; 600]), None);
    }
}
