//! A round in steps, for whoever must not be away for as long as a chain takes.

use encompute_fhe::{
    Blinding, BlindingSeed, EncryptedFeatures, EncryptedTensor, PreparedBlindingKey, PreparedEvaluationKey, respond,
};
use rayon::prelude::*;

use crate::backend::{EvaluateError, check_key, find, linked, products};
use crate::chain::run::ChainRun;
use crate::compile::CompiledHead;
use crate::plan::RoundIndex;
use crate::segment::{Segment, SegmentState};

/// A segment under way, for whoever must not be away for as long as a chain takes: it goes on by so many bootstraps at
/// a time. The response of the last one is that of [`evaluate_round`](crate::evaluate_round) in any case. Holds
/// ciphertexts alone, at most a gigabyte of them.
pub struct RoundRun {
    segment: Segment,
    work: Work,
}

enum Work {
    /// Nothing is left but the linear map.
    Layer(EncryptedTensor),
    Chain(ChainRun),
}

/// What a segment gives.
pub enum Given {
    /// The round's response, blinded.
    Response(EncryptedFeatures),
    /// What the next segment goes on from: not for the user's eyes.
    State(SegmentState),
}

impl RoundRun {
    /// Begins a round, with its first segment: of one with a chain, the linear map is computed.
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
        let mut count = 1;
        let work = match linked(head, round, evaluation)? {
            None => Work::Layer(tensor.clone()),
            Some(linked) => {
                count = linked.links.chain.segment_count() as u8;
                let weights = &compiled.weights;
                let products = products(head, compiled, tensor, |ring, _, inputs| ring.multiply(inputs, weights))?;
                Work::Chain(ChainRun::begin(products, &linked.compiled.sums))
            }
        };
        Ok(Self { segment: Segment { round, index: 0, count }, work })
    }

    /// Goes on with a segment behind a round's first, from what the one before gave.
    ///
    /// # Errors
    /// [`EvaluateError`], before anything is computed: [`EvaluateError::State`] for a state of another set or length
    /// than the segment goes on from, or a segment that goes on from none.
    pub fn go_on(
        head: &CompiledHead,
        segment: Segment,
        state: &SegmentState,
        evaluation: Option<&PreparedEvaluationKey>,
    ) -> Result<Self, EvaluateError> {
        let refused = EvaluateError::State { round: segment.round.0, segment: segment.index };
        let Some(linked) = linked(head, segment.round, evaluation)? else { return Err(refused) };
        if state.set() != linked.links.set || usize::from(segment.count) != linked.links.chain.segment_count() {
            return Err(refused);
        }
        let run = ChainRun::take_up(linked.links, segment.index.into(), state.put_aside()).ok_or(refused)?;
        Ok(Self { segment, work: Work::Chain(run) })
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
        let round = self.segment.round;
        match (&mut self.work, linked(head, round, evaluation)?) {
            (Work::Chain(run), Some(linked)) => {
                let weights = head.chain_weights(round);
                Ok(run.advance(&linked.machine(), linked.links, weights, bootstraps)?)
            }
            _ => Ok(true),
        }
    }

    /// Puts aside what the next segment goes on from, or behind the last blinds what the round gives, as
    /// [`evaluate_round`](crate::evaluate_round) does. To be called once [`Self::advance`] says so.
    ///
    /// # Errors
    /// [`EvaluateError`].
    pub fn finish(
        self,
        head: &CompiledHead,
        key: &PreparedBlindingKey,
        evaluation: Option<&PreparedEvaluationKey>,
        seed: &BlindingSeed,
    ) -> Result<Given, EvaluateError> {
        check_key(head, key)?;
        let round = self.segment.round;
        let (plan, compiled) = find(head, round)?;
        let blinding = |first, wanted| Blinding { key, seed, response_bits: plan.response_bits, first, wanted };
        let pieces = compiled.output_layout.pieces();
        let products = match (self.work, linked(head, round, evaluation)?) {
            (Work::Chain(run), Some(linked)) if !self.segment.is_last() => {
                let put_aside = run.put_aside(&linked.machine(), linked.links)?;
                return Ok(Given::State(SegmentState::new(linked.links.set, put_aside)));
            }
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
        Ok(Given::Response(respond(&products, &compiled.output_layout, plan.response_bits)?))
    }

    /// The segment behind this one.
    pub(crate) fn next(&self) -> Segment {
        Segment { index: self.segment.index + 1, ..self.segment }
    }
}
