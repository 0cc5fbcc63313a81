//! Running a round: on ciphertexts, or on integers by the same program.

use encompute_fhe::{
    Blinding, BlindingKey, BlindingSeed, Ciphertext, EncryptedFeatures, EncryptedTensor, InputLayout, OutputLayout,
    ParameterSet, PreparedBlindingKey, Ring, RingError, expand_tensor, respond,
};
use rayon::prelude::*;

use crate::compile::{CompiledHead, CompiledRound};
use crate::layer::{Axis, Layer};
use crate::plan::{RoundIndex, RoundPlan};

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
    /// The ring refused its operands.
    #[error("ring product refused")]
    Ring(#[from] RingError),
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
#[derive(Clone, Copy, Debug, Default)]
pub struct EncryptedBackend;

impl Backend for ClearBackend {
    type Tensor = Vec<i64>;
    type Features = Vec<i64>;

    fn evaluate(&self, head: &CompiledHead, round: RoundIndex, tensor: &Vec<i64>) -> Result<Vec<i64>, EvaluateError> {
        let (plan, _) = find(head, round)?;
        let wanted = plan.layer.input_shape().len();
        if tensor.len() != wanted {
            return Err(EvaluateError::InputCount { what: "values", found: tensor.len(), wanted });
        }
        let weights = head.weights().layer(usize::from(round.0)).unwrap_or_default();
        Ok(clear_sums(&plan.layer, weights, tensor))
    }
}

impl Backend for EncryptedBackend {
    type Tensor = EncryptedTensor;
    type Features = EncryptedFeatures;

    fn evaluate(
        &self,
        head: &CompiledHead,
        round: RoundIndex,
        tensor: &EncryptedTensor,
    ) -> Result<EncryptedFeatures, EvaluateError> {
        evaluate_unblinded(head, round, tensor)
    }
}

/// Runs one round and blinds the response with encryptions of zero under `key`, drawn from `seed`.
///
/// The same head, round, request, key and seed give the same response on every machine.
///
/// # Errors
/// [`EvaluateError`], before anything is computed.
pub fn evaluate_round(
    head: &CompiledHead,
    round: RoundIndex,
    tensor: &EncryptedTensor,
    key: &PreparedBlindingKey,
    seed: &BlindingSeed,
) -> Result<EncryptedFeatures, EvaluateError> {
    let wanted = head.plan().parameter_set();
    if key.parameter_set() != wanted {
        return Err(EvaluateError::ParameterSet { what: "blinding key", found: key.parameter_set(), wanted });
    }
    let (plan, compiled) = find(head, round)?;
    let products = products(head, compiled, tensor, |ring, tile, inputs| {
        let outputs = compiled.weights.outputs();
        let first = tile * outputs;
        let wanted = &compiled.output_layout.pieces()[first..first + outputs];
        let blinding = Blinding { key, seed, response_bits: plan.response_bits, first, wanted };
        ring.multiply_blinded(inputs, &compiled.weights, &blinding)
    })?;
    Ok(respond(&products, &compiled.output_layout, plan.response_bits)?)
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
) -> Result<EncryptedFeatures, EvaluateError> {
    let (plan, compiled) = find(head, round)?;
    let products = products(head, compiled, tensor, |ring, _, inputs| ring.multiply(inputs, &compiled.weights))?;
    Ok(respond(&products, &compiled.output_layout, plan.response_bits)?)
}

impl CompiledHead {
    /// Where a round's input values go in its request.
    ///
    /// # Errors
    /// [`EvaluateError::NoRound`].
    pub fn input_layout(&self, round: RoundIndex) -> Result<&InputLayout, EvaluateError> {
        Ok(&find(self, round)?.1.input_layout)
    }

    /// Where a round's sums are in its response.
    ///
    /// # Errors
    /// [`EvaluateError::NoRound`].
    pub fn output_layout(&self, round: RoundIndex) -> Result<&OutputLayout, EvaluateError> {
        Ok(&find(self, round)?.1.output_layout)
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

fn find(head: &CompiledHead, round: RoundIndex) -> Result<(&RoundPlan, &CompiledRound), EvaluateError> {
    let rounds = head.plan().rounds().len();
    head.plan().round(round).zip(head.round(round)).ok_or(EvaluateError::NoRound { found: round.0, rounds })
}

/// What `multiply` makes of each tile's inputs, in the order of the output layout.
fn products(
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

/// The layer by its definition.
fn clear_sums(layer: &Layer, weights: &[i8], values: &[i64]) -> Vec<i64> {
    let dot = |row: &[i8]| row.iter().zip(values).map(|(weight, value)| i64::from(*weight) * value).sum();
    let Layer::Conv2d { channels, out_channels, groups, rows, columns } = *layer else {
        return weights.chunks(values.len().max(1)).map(dot).collect();
    };
    let (image, sums) = (layer.input_shape(), layer.output_shape());
    let (inputs, outputs) = ((channels / groups) as usize, (out_channels / groups) as usize);
    let value = |axis: Axis, output: usize, tap: usize| {
        let padded = output * axis.stride as usize + tap * axis.dilation as usize;
        padded.checked_sub(axis.before as usize).filter(|at| *at < axis.image as usize)
    };
    let (height, width) = (rows.kernel as usize, columns.kernel as usize);
    // Which output column meets which of the image's, by tap: the same for every row and channel.
    let meets = |tap: usize| (0..sums.columns).filter_map(move |at| Some((at, value(columns, at, tap)?)));
    let across: Vec<Vec<(usize, usize)>> = (0..width).map(|tap| meets(tap).collect()).collect();
    let mut totals = vec![0; sums.len()];
    for (output, totals) in totals.chunks_exact_mut((sums.rows * sums.columns).max(1)).enumerate() {
        for (tap, weight) in weights[output * layer.fan_in()..][..layer.fan_in()].iter().enumerate() {
            let channel = output / outputs * inputs + tap / (height * width);
            for (y, totals) in totals.chunks_exact_mut(sums.columns.max(1)).enumerate() {
                let Some(row) = value(rows, y, tap / width % height) else { continue };
                let row = &values[(channel * image.rows + row) * image.columns..][..image.columns];
                for (at, from) in &across[tap % width] {
                    totals[*at] += i64::from(*weight) * row[*from];
                }
            }
        }
    }
    totals
}
