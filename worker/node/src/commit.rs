//! The end of a job: transcript and responses to the store, the signed receipt to the chain.

use crate::desk::{Desk, ServeError};
use crate::journal::Commitment;
use crate::rollup::Subject;
use crate::rounds::JobRun;
use crate::voice::SayError;
use encompute_chain::Class;
use encompute_protocol::call::{CommitHead, ReadJob};
use encompute_protocol::receipt::RoundAnswer;
use encompute_protocol::session::calls::SignedReceipt;
use encompute_protocol::wire::Message;
use encompute_protocol::{BlockNumber, JobId, Plancks, RoundIndex, Stage};
use encompute_store::{Blobs, PutError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// How long to wait before a receipt that could not be submitted is submitted again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why a receipt is not on chain yet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The journal or the chain says otherwise.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The store does not take it.
    #[error("upload a round")]
    Upload(#[from] PutError),
    /// The chain does not take it.
    #[error("submit the receipt")]
    Submit(#[from] SayError),
    /// There is nothing to commit.
    #[error("nothing has been answered")]
    Empty,
}

impl CommitError {
    /// True where trying again may help.
    fn is_passing(&self) -> bool {
        match self {
            Self::Submit(error) => error.class() != Class::Refused,
            // A gateway's word costs nobody a stake: it may lie, or be mended. The job's window ends the trying.
            Self::Upload(_) => true,
            Self::Serve(error) => matches!(error, ServeError::Read(_) | ServeError::Fetch(_) | ServeError::Journal(_)),
            Self::Empty => false,
        }
    }
}

/// What became of a receipt.
enum Outcome {
    Committed,
    /// The chain has moved on without it.
    Overtaken,
}

impl Desk {
    /// Closes a job's transcript and brings its receipt on chain, trying again while that can help.
    pub(crate) fn commit_soon(self: &Arc<Self>, job: JobId) {
        let desk = self.clone();
        tokio::spawn(async move {
            loop {
                let began = Instant::now();
                let ended = desk.commit(job).await;
                desk.figures.stages.ended("commit", began);
                match ended {
                    Ok(Outcome::Committed) => {
                        desk.committed(job);
                        desk.figures.jobs.count("committed");
                        return info!(job = job.0, "head committed");
                    }
                    Ok(Outcome::Overtaken) => {
                        desk.figures.jobs.count("overtaken");
                        return warn!(job = job.0, "the job moved on before its receipt was accepted");
                    }
                    Err(error) if error.is_passing() => {
                        warn!(job = job.0, error = &error as &dyn std::error::Error, "receipt not submitted yet");
                        tokio::time::sleep(RETRY_AFTER).await;
                    }
                    Err(error) => {
                        desk.figures.jobs.count("refused");
                        return error!(job = job.0, error = &error as &dyn std::error::Error, "receipt refused");
                    }
                }
            }
        });
    }

    /// Commits what has been answered of jobs whose user went silent: a worker that served a round
    /// would otherwise lose its stake over a client that never asks for the next one.
    pub(crate) fn commit_overdue(self: &Arc<Self>, now: BlockNumber) {
        for (job, slot) in self.held_jobs() {
            // A job that is being worked on is not silent.
            let Ok(Ok(mut held)) = slot.held(job).map(|held| held.try_lock()) else { continue };
            let (since, run) = (held.since, &mut held.run);
            if run.answered() > 0 && !run.is_closed() && !run.is_complete() && now >= run.closes_at(since) {
                warn!(
                    job = job.0,
                    answered = run.answered(),
                    rounds = run.facts().rounds,
                    "the client stopped; committing what was answered"
                );
                run.close();
                self.commit_soon(job);
            }
        }
    }

    async fn commit(self: &Arc<Self>, job: JobId) -> Result<Outcome, CommitError> {
        let slot = self.hold(job).await?;
        let mut held = slot.held(job)?.lock().await;
        held.run.close();
        let commitment = self.commitment(&held.run).await?;
        self.upload(&held.run).await?;
        let signed =
            SignedReceipt { receipt: held.run.receipt(commitment.finished_at), signature: commitment.signature };
        drop(held);
        // What single jobs bring on chain, sessions give to their user.
        if self.session_receipted(signed).map_err(ServeError::from)? {
            return Ok(Outcome::Committed);
        }
        match self.stage(job).await? {
            Some((Stage::Claimed, _)) => {}
            Some((_, Some(output))) if output == commitment.output => return Ok(Outcome::Committed),
            _ => return Ok(Outcome::Overtaken),
        }
        let Commitment { output, finished_at, signature } = commitment;
        let message = CommitHead { job, output, finished_at, signature };
        let submitted = self.world.say(Subject::job(job), message, Plancks::ZERO).await;
        match submitted {
            Ok(_) => Ok(Outcome::Committed),
            // The transaction may have got through although its answer did not.
            Err(error) => match self.stage(job).await {
                Ok(Some((_, Some(found)))) if found == output => Ok(Outcome::Committed),
                _ => Err(error.into()),
            },
        }
    }

    async fn stage(&self, job: JobId) -> Result<Option<(Stage, Option<encompute_protocol::BlobDigest>)>, ServeError> {
        let found = self.world.client().read(ReadJob { job }).await?;
        let mine = found.filter(|(_, progress)| progress.worker == Some(self.world.address()));
        Ok(mine.map(|(_, progress)| (progress.stage, progress.output)))
    }

    /// The receipt to submit: the one that was written down before, or a new one, written down now.
    async fn commitment(&self, run: &JobRun) -> Result<Commitment, CommitError> {
        let job = run.facts().job;
        if run.answered() == 0 {
            return Err(CommitError::Empty);
        }
        if let Some(commitment) = self.journal.commitment(job).map_err(ServeError::from)? {
            return Ok(commitment);
        }
        let now = self.world.client().head().await.map_err(ServeError::from)?.number;
        let receipt = run.receipt(now.max(run.facts().claimed_at));
        let signature = self.world.keys.sign(&receipt);
        let commitment = Commitment { output: receipt.output, finished_at: receipt.finished_at, signature };
        self.journal.commit(job, &commitment).map_err(ServeError::from)?;
        Ok(commitment)
    }

    /// Puts every digest that the transcript names where an auditor finds it, then the transcript.
    pub(crate) async fn upload(&self, run: &JobRun) -> Result<(), CommitError> {
        let job = run.facts().job;
        for round in (0..run.answered()).map(RoundIndex) {
            let answer = self.journal.answered(job, round).map_err(ServeError::from)?;
            let answer = answer.and_then(|bytes| RoundAnswer::from_wire(&bytes).ok());
            let answer = answer.ok_or(ServeError::NotAnswered { job, round })?;
            self.world.gateway.put(answer.response.into()).await?;
            if let Some(request) = self.journal.request(job, round).map_err(ServeError::from)? {
                self.world.gateway.put(request.into()).await?;
            }
        }
        self.world.gateway.put(run.transcript().to_wire().into()).await?;
        Ok(())
    }
}
