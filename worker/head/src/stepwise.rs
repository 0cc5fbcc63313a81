//! A round in steps, for whoever must not be away for as long as a chain takes.

use encompute_fhe::{
    Blinding, BlindingSeed, EncryptedFeatures, EncryptedTensor, PreparedBlindingKey, PreparedEvaluationKey, respond,
};
use rayon::prelude::*;

use crate::backend::{EvaluateError, check_key, find, linked, products};
use crate::chain::run::ChainRun;
use crate::compile::CompiledHead;
use crate::plan::RoundIndex;

/// A round under way, for whoever must not be away for as long as a chain takes: it goes on by so many bootstraps at
/// a time. The response is that of [`evaluate_round`](crate::evaluate_round) in any case. Holds ciphertexts alone, at most a
/// gigabyte of them.
pub struct RoundRun {
    round: RoundIndex,
    work: Work,
}

enum Work {
    /// Nothing is left but the linear map.
    Layer(EncryptedTensor),
    Chain(ChainRun),
}

impl RoundRun {
    /// Begins a round: of one with a chain, the linear map is computed.
    ///
    /// # Errors
    /// [`EvaluateError`], before anything is computed.
    pub fn begin(
        head: &CompiledHead,
        round: RoundIndex,
        tensor: &EncryptedTensor,
        evaluation: Option<&PreparedEvaluationKey>,
    ) -> Result<Self, EvaluateError> {
        let (_, compiled) = find(head, round)?;
        let work = match linked(head, round, evaluation)? {
            None => Work::Layer(tensor.clone()),
            Some(linked) => {
                let weights = &compiled.weights;
                let products = products(head, compiled, tensor, |ring, _, inputs| ring.multiply(inputs, weights))?;
                Work::Chain(ChainRun::begin(products, &linked.compiled.sums))
            }
        };
        Ok(Self { round, work })
    }

    /// Goes on by about `bootstraps` bootstraps; true once nothing is left but [`Self::finish`].
    ///
    /// # Errors
    /// [`EvaluateError`] for another head or key than it was begun with.
    pub fn advance(
        &mut self,
        head: &CompiledHead,
        evaluation: Option<&PreparedEvaluationKey>,
        bootstraps: usize,
    ) -> Result<bool, EvaluateError> {
        match (&mut self.work, linked(head, self.round, evaluation)?) {
            (Work::Chain(run), Some(linked)) => {
                let weights = head.chain_weights(self.round);
                Ok(run.advance(&linked.machine(), linked.links, weights, bootstraps)?)
            }
            _ => Ok(true),
        }
    }

    /// Blinds what the round gives, as [`evaluate_round`](crate::evaluate_round) does. To be called once [`Self::advance`] says so.
    ///
    /// # Errors
    /// [`EvaluateError`].
    pub fn finish(
        self,
        head: &CompiledHead,
        key: &PreparedBlindingKey,
        evaluation: Option<&PreparedEvaluationKey>,
        seed: &BlindingSeed,
    ) -> Result<EncryptedFeatures, EvaluateError> {
        check_key(head, key)?;
        let (plan, compiled) = find(head, self.round)?;
        let blinding = |first, wanted| Blinding { key, seed, response_bits: plan.response_bits, first, wanted };
        let pieces = compiled.output_layout.pieces();
        let products = match (self.work, linked(head, self.round, evaluation)?) {
            (Work::Chain(run), Some(linked)) => {
                let packed = linked.machine().pack(linked.links, &run.values())?;
                let blinded = packed.into_par_iter().enumerate().map(|(at, packed)| {
                    head.ring().multiply_blinded(&[packed], &linked.compiled.one, &blinding(at, &pieces[at..=at]))
                });
                blinded.collect::<Result<Vec<_>, _>>()?.concat()
            }
            (Work::Chain(_), None) => Vec::new(),
            (Work::Layer(tensor), _) => products(head, compiled, &tensor, |ring, tile, inputs| {
                let outputs = compiled.weights.outputs();
                let first = tile * outputs;
                ring.multiply_blinded(inputs, &compiled.weights, &blinding(first, &pieces[first..first + outputs]))
            })?,
        };
        Ok(respond(&products, &compiled.output_layout, plan.response_bits)?)
    }
}
