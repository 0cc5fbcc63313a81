//! Computing rounds: in calls of a few seconds each, however long a round takes.

use crate::desk::{Desk, Prepared, ServeError};
use crate::evaluation::KeyRefused;
use crate::heads::LoadedHead;
use crate::pool::PoolError;
use crate::request::OpenedRequest;
use encompute_fhe::{EncryptedTensor, PreparedEvaluationKey};
use encompute_head::{EvaluateError, RoundRun, evaluate_round};
use encompute_protocol::{BlobDigest, RoundIndex};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bootstraps of one call on the pool: some eight seconds of one core. Between two calls others have their turn.
const BOOTSTRAPS_PER_CALL: usize = 1_024;
/// Pause before a round under way asks for its turn again where too many wait.
const TURN_AGAIN: Duration = Duration::from_millis(100);

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
            self.evaluate(prepared.clone(), RoundIndex(0), tensor, digest).await
        });
        response.await.cloned()
    }

    /// Runs one round on the pool.
    pub(crate) async fn evaluate(
        &self,
        prepared: Arc<Prepared>,
        round: RoundIndex,
        tensor: EncryptedTensor,
        digest: BlobDigest,
    ) -> Result<Vec<u8>, ServeError> {
        let seed = self.world.keys.blinding_seed(&prepared.request.input, round, &digest);
        let index = encompute_head::RoundIndex(round.0);
        let evaluation = self.evaluation_key(&prepared.head, &prepared.request).await?;
        let began = Instant::now();
        if evaluation.is_none() {
            let work = move || {
                let (head, blinding) = (&prepared.head.compiled, &prepared.blinding);
                Ok::<_, EvaluateError>(evaluate_round(head, index, &tensor, blinding, None, &seed)?.to_bytes())
            };
            let response = self.pool.run(work).await??;
            self.figures.stages.ended("evaluate", began);
            return Ok(response);
        }
        let mut under_way = {
            let (prepared, evaluation) = (prepared.clone(), evaluation.clone());
            let begin = move || RoundRun::begin(&prepared.head.compiled, index, &tensor, evaluation.as_deref());
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
            Ok::<_, EvaluateError>(under_way.finish(head, blinding, evaluation.as_deref(), &seed)?.to_bytes())
        };
        let response = self.turn(finish).await??;
        self.figures.stages.ended("evaluate", began);
        Ok(response)
    }

    /// What `work` gives, which belongs to a round that is under way: it waits for its turn.
    async fn turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PoolError> {
        while !self.pool.has_room() {
            tokio::time::sleep(TURN_AGAIN).await;
        }
        self.pool.run(work).await
    }
}
