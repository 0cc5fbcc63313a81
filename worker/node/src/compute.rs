//! Computing rounds and their segments: in calls of a few seconds each, however long one takes.

use crate::desk::{Desk, Prepared, ServeError};
use crate::evaluation::KeyRefused;
use crate::heads::LoadedHead;
use crate::pool::PoolError;
use crate::request::OpenedRequest;
use crate::rounds::OrderRefused;
use crate::state::sealed;
use encompute_fhe::{EncryptedTensor, PreparedEvaluationKey};
use encompute_head::{BlindedFor, EvaluateError, Given, RoundRun, Segment, SegmentState, evaluate_round};
use encompute_protocol::{BlobDigest, RoundIndex};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bootstraps of one call on the pool: some eight seconds of one core. Between two calls others have their turn.
const BOOTSTRAPS_PER_CALL: usize = 1_024;
/// Pause before a round under way asks for its turn again where too many wait.
const TURN_AGAIN: Duration = Duration::from_millis(100);

/// What a segment is computed on.
#[derive(Clone)]
pub(crate) enum Input {
    /// The user's ciphertexts.
    Tensor(EncryptedTensor),
    /// What the segment before gave.
    State(SegmentState),
}

/// The segment that a receipt of this number is for.
pub(crate) fn segment_of(prepared: &Prepared, receipt: RoundIndex) -> Result<Segment, OrderRefused> {
    let plan = prepared.head.compiled.plan();
    let last = (plan.segments().len() as u16).saturating_sub(1);
    plan.segment(receipt).ok_or(OrderRefused::NoRound { found: receipt, last })
}

impl Desk {
    /// The evaluation key of a request, where the head needs one.
    pub(crate) async fn evaluation_key(
        &self,
        head: &LoadedHead,
        request: &OpenedRequest,
    ) -> Result<Option<Arc<PreparedEvaluationKey>>, KeyRefused> {
        let Some(set) = head.compiled.plan().mode().bootstrap_set() else { return Ok(None) };
        let began = Instant::now();
        let key = self.evaluation_keys.load(&request.evaluation_key, set).await?;
        self.figures.stages.ended("key", began);
        Ok(Some(key))
    }

    /// The first round's response, computed once.
    pub(crate) async fn first_response(&self, prepared: &Arc<Prepared>) -> Result<Vec<u8>, ServeError> {
        let response = prepared.first.get_or_try_init(|| async {
            let request = &prepared.request;
            let (tensor, digest) = (request.tensor.clone(), request.tensor_digest);
            self.evaluate(prepared.clone(), RoundIndex(0), Input::Tensor(tensor), digest).await
        });
        response.await.cloned()
    }

    /// Runs on the pool what a receipt of this number is for: the bytes of a response, or of a sealed state.
    pub(crate) async fn evaluate(
        &self,
        prepared: Arc<Prepared>,
        receipt: RoundIndex,
        input: Input,
        digest: BlobDigest,
    ) -> Result<Vec<u8>, ServeError> {
        self.evaluate_for(BlindedFor::Job, prepared, receipt, input, digest).await
    }

    /// [`Desk::evaluate`], blinded for somebody.
    pub(crate) async fn evaluate_for(
        &self,
        blinded: BlindedFor,
        prepared: Arc<Prepared>,
        receipt: RoundIndex,
        input: Input,
        digest: BlobDigest,
    ) -> Result<Vec<u8>, ServeError> {
        let seed = blinded.seed(&prepared.head.secret, &prepared.request.input, receipt, &digest);
        let segment = segment_of(&prepared, receipt)?;
        let evaluation = self.evaluation_key(&prepared.head, &prepared.request).await?;
        let began = Instant::now();
        let input = match (&evaluation, input) {
            (None, Input::Tensor(tensor)) => {
                let work = move || {
                    let (head, blinding) = (&prepared.head.compiled, &prepared.blinding);
                    let response = evaluate_round(head, segment.round, &tensor, blinding, None, &seed)?;
                    Ok::<_, EvaluateError>(response.to_bytes())
                };
                let response = self.pool.run(work).await??;
                self.figures.stages.ended("evaluate", began);
                return Ok(response);
            }
            (_, input) => input,
        };
        let mut under_way = {
            let (prepared, evaluation) = (prepared.clone(), evaluation.clone());
            let begin = move || {
                let (head, key) = (&prepared.head.compiled, evaluation.as_deref());
                match input {
                    Input::Tensor(tensor) => RoundRun::begin(head, segment.round, &tensor, key),
                    Input::State(state) => RoundRun::go_on(head, segment, &state, key),
                }
            };
            self.pool.run(begin).await??
        };
        loop {
            let (prepared, evaluation) = (prepared.clone(), evaluation.clone());
            let (run, done) = self
                .turn(move || {
                    let done =
                        under_way.advance(&prepared.head.compiled, evaluation.as_deref(), BOOTSTRAPS_PER_CALL)?;
                    Ok::<_, EvaluateError>((under_way, done))
                })
                .await??;
            under_way = run;
            if done {
                break;
            }
        }
        let finish = move || {
            let (head, blinding) = (&prepared.head.compiled, &prepared.blinding);
            Ok::<_, ServeError>(match under_way.finish(head, blinding, evaluation.as_deref(), &seed)? {
                Given::Response(response) => response.to_bytes(),
                Given::State(state) => sealed(&prepared.head, &state)?,
            })
        };
        let given = self.turn(finish).await??;
        self.figures.stages.ended("evaluate", began);
        Ok(given)
    }

    /// What `work` gives, which belongs to a round that is under way: it waits for its turn.
    async fn turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PoolError> {
        while !self.pool.has_room() {
            tokio::time::sleep(TURN_AGAIN).await;
        }
        self.pool.run(work).await
    }
}
