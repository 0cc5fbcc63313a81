//! Disputes that concern this worker: its own commitment, which it posts when it is said to be missing and over whose receipt
//! it shows a quote when one is demanded, and others', which it judges when it is drawn.

use crate::commit::CommitError;
use crate::compute::{Input, segment_of};
use crate::desk::{Desk, Prepared, ServeError};
use crate::evaluation::KeyRefused;
use crate::quote::{Haste, MadeQuote};
use crate::registration::RegisterError;
use crate::rollup::Subject;
use crate::state::opened;
use crate::verdict::{DisputedHead, Fault, Finding};
use crate::voice::{SayError, Voice};
use crate::world::AttestError;
use encompute_chain::ReadError;
use encompute_fhe::EncryptedTensor;
use encompute_head::BlindedFor;
use encompute_lifecycle::dispute::appeal_deposit;
use encompute_protocol::call::{
    AppealRuling, PokeJob, PostBlob, ReadDispute, ReadJob, ReadWorker, RevealVerdict, SealVerdict,
};
use encompute_protocol::dispute::{Juror, PART_LIMIT_BYTES, Proceeding, VerdictStatement};
use encompute_protocol::wire::Message;
use encompute_protocol::{
    BlobDigest, DisputeRecord, JobId, JobProgress, JobTerms, Plancks, RoundIndex, Signed, Stage, Transcript,
};
use encompute_store::{Blobs, ByteLimit, GetError, PutError, StateError};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

/// Pause before a dispute is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Pause after a step that could not be taken.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A step of a dispute that could not be taken now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DisputeError {
    /// The chain cannot be read.
    #[error("chain cannot be read")]
    Read(#[from] ReadError),
    /// The chain did not take it.
    #[error("submit a step of the dispute")]
    Submit(#[from] SayError),
    /// A blob cannot be fetched at the moment.
    #[error("fetch a blob of the dispute")]
    Fetch(#[from] GetError),
    /// The head cannot be run here.
    #[error("run the disputed head")]
    Serve(#[from] ServeError),
    /// There is no quote that would be accepted.
    #[error("attest")]
    Attest(#[from] AttestError),
    /// A blob cannot be put into the store at the moment.
    #[error("upload the evidence")]
    Upload(#[from] PutError),
    /// What vouches for the machine's key cannot be shown to the contract.
    #[error("certify the attestation key")]
    Certify(#[from] RegisterError),
    /// What was committed cannot be put into the store again.
    #[error("put back what was committed")]
    PutBack(#[from] CommitError),
    /// A committee found a head of this worker's wrong, and what it was run on is in no store: an appeal would be lost.
    #[error("a committee found the head of job {0} wrong, and what it was run on is not in the store: no appeal yet")]
    NotShown(JobId),
    /// The journal cannot be read.
    #[error("journal cannot be read")]
    Journal(#[from] StateError),
    /// What the job names is not there any more, which the chain rules out.
    #[error("job {0} has lost its worker or version")]
    Lost(JobId),
}

/// What this worker keeps of a dispute from one step to the next.
#[derive(Default)]
struct Kept {
    /// What it has found when it ran the head again.
    found: Option<Finding>,
    /// What the user has shown to the committee.
    evidence: Option<Vec<u8>>,
    /// The quote that it shows.
    quote: Option<MadeQuote>,
}

/// Whether a dispute still concerns this worker.
enum Concern {
    /// Look again.
    Ours,
    /// Others', or over.
    Nothing,
}

impl Desk {
    /// Does this worker's part in a dispute until it has none.
    pub(crate) async fn attend(self: Arc<Self>, job: JobId) {
        let mut kept = Kept::default();
        loop {
            let pause = match self.step(job, &mut kept).await {
                Ok(Concern::Nothing) => return,
                Ok(Concern::Ours) => LOOK_AGAIN,
                Err(error) => {
                    warn!(
                        job = job.0,
                        error = &error as &dyn std::error::Error,
                        "no step of the dispute at the moment"
                    );
                    RETRY_AFTER
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn step(self: &Arc<Self>, job: JobId, kept: &mut Kept) -> Result<Concern, DisputeError> {
        let client = self.world.client();
        let Some((terms, progress)) = client.read(ReadJob { job }).await? else { return Ok(Concern::Nothing) };
        if !matches!(progress.stage, Stage::Disputed(_)) {
            return Ok(Concern::Nothing);
        }
        let Some(record) = client.read(ReadDispute { job }).await? else { return Ok(Concern::Ours) };
        let now = client.head().await?.number;
        match &record.proceeding {
            Proceeding::Drawing => {
                self.keep_evidence(&record, kept).await;
                // Of all who try one is first, and the trial tells the others so for nothing.
                if now > record.opened_at {
                    let _ = self.world.say(Subject::job(job), PokeJob { job }, Plancks::ZERO).await;
                }
                return Ok(Concern::Ours);
            }
            Proceeding::Quoting { nonce, .. } => {
                let is_ours = progress.worker == Some(self.world.address()) && now <= progress.deadline;
                let haste = Haste::at(now, progress.changed_at, progress.deadline);
                let shown = is_ours && self.show_quote(job, &progress, (*nonce, haste), &mut kept.quote).await?;
                return Ok(if shown { Concern::Ours } else { Concern::Nothing });
            }
            Proceeding::Posting(_) => return self.post(job, &progress, &record).await,
            Proceeding::Ruled(_) if progress.worker == Some(self.world.address()) => {
                if now <= progress.deadline {
                    self.appeal(job, (terms, progress), &record, kept).await?;
                }
            }
            Proceeding::Ruled(_) if !self.has_ruled(&record) => return Ok(Concern::Nothing),
            // Its stake is locked until the ruling holds, and others are to see what it saw.
            Proceeding::Ruled(_) => self.keep_evidence(&record, kept).await,
            Proceeding::Sealing(jurors) | Proceeding::Revealing(jurors) => {
                match jurors.iter().find(|juror| juror.account == self.world.address()) {
                    Some(me) => self.judge(job, (terms, progress), &record, me, kept).await?,
                    None if self.has_ruled(&record) => {}
                    None => return Ok(Concern::Nothing),
                }
            }
        }
        if now > progress.deadline {
            let _ = self.world.say(Subject::job(job), PokeJob { job }, Plancks::ZERO).await;
        }
        Ok(Concern::Ours)
    }

    /// Seals what this worker finds, then reveals it.
    async fn judge(
        self: &Arc<Self>,
        job: JobId,
        (terms, progress): (JobTerms, JobProgress),
        record: &DisputeRecord,
        me: &Juror,
        kept: &mut Kept,
    ) -> Result<(), DisputeError> {
        let reveals = matches!(record.proceeding, Proceeding::Revealing(_));
        let is_done = if reveals { me.verdict.is_some() || me.seal.is_none() } else { me.seal.is_some() };
        if is_done {
            return Ok(());
        }
        let finding = match kept.found {
            Some(finding) => finding,
            None => self.run_again(job, (terms, progress), record, kept).await?,
        };
        kept.found = Some(finding);
        let verdict = finding.said(record.kind, record.appealed.is_some());
        let salt = self.world.keys.verdict_salt(job, record.opened_at);
        if reveals {
            self.world.say(Subject::job(job), RevealVerdict { job, verdict, salt }, Plancks::ZERO).await?;
            return Ok(());
        }
        let (genesis, contract, juror) = (self.world.genesis(), self.world.contract, self.world.address());
        let statement = VerdictStatement { genesis, contract, job, juror, verdict, salt };
        let message = SealVerdict { job, seal: statement.digest() };
        self.world.say(Subject::job(job), message, Plancks::ZERO).await?;
        info!(job = job.0, wrong = verdict.wrong, "verdict sealed");
        Ok(())
    }

    /// Has another committee hear a head of this worker's that one found wrong, if it finds it right again itself. What is
    /// not in the store for that is put there first: who hears an appeal believes nothing that it does not see.
    async fn appeal(
        self: &Arc<Self>,
        job: JobId,
        (terms, progress): (JobTerms, JobProgress),
        record: &DisputeRecord,
        kept: &mut Kept,
    ) -> Result<(), DisputeError> {
        let finding = match kept.found {
            Some(finding) => finding,
            None => {
                if let Some(run) = self.journal.resume(job)? {
                    self.upload(&run).await?;
                }
                self.run_again(job, (terms, progress), record, kept).await?
            }
        };
        if finding.is_right() && matches!(self.world.voice, Voice::Anchor(_)) {
            if kept.found.replace(finding).is_none() {
                error!(
                    job = job.0,
                    "a committee found a head wrong that is right, and an anchor sends no money for an appeal"
                );
            }
            return Ok(());
        }
        if finding.is_right() {
            kept.found = Some(finding);
            let deposit = appeal_deposit(&terms).ok_or(DisputeError::Lost(job))?;
            self.world.say(Subject::job(job), AppealRuling { job }, deposit).await?;
            info!(job = job.0, %deposit, "a committee found a head wrong that is right: appealed");
            return Ok(());
        }
        match kept.found {
            Some(_) => Ok(()),
            None if finding.is_complete() => {
                kept.found = Some(finding);
                warn!(job = job.0, "a committee found this head wrong, and so it is found here: no appeal");
                Ok(())
            }
            None => Err(DisputeError::NotShown(job)),
        }
    }

    /// Puts back what the user has shown to a committee, where it is gone while another may hear the head.
    async fn keep_evidence(&self, record: &DisputeRecord, kept: &Kept) {
        let (Some(digest), Some(bytes)) = (record.evidence, &kept.evidence) else { return };
        if matches!(self.world.gateway.length(digest).await, Ok(None)) {
            let put = self.world.gateway.put(bytes.clone().into()).await;
            warn!(%digest, ok = put.is_ok(), "evidence of a dispute was gone from the store; it is put there again");
        }
    }

    /// True for one of the committee that has found the head wrong.
    fn has_ruled(&self, record: &DisputeRecord) -> bool {
        record.former_jurors().iter().any(|juror| juror.account == self.world.address())
    }

    /// Runs the rounds of a disputed head again, as far as their blobs can be had.
    async fn run_again(
        self: &Arc<Self>,
        job: JobId,
        (terms, progress): (JobTerms, JobProgress),
        record: &DisputeRecord,
        kept: &mut Kept,
    ) -> Result<Finding, DisputeError> {
        let client = self.world.client();
        let worker = progress.worker.ok_or(DisputeError::Lost(job))?;
        let claimed = client.block(progress.claimed_at).await?;
        let (registration, _) =
            client.read_at(ReadWorker { worker }, claimed.hash).await?.ok_or(DisputeError::Lost(job))?;
        let head = self.heads.load((terms.version, terms.split)).await.map_err(ServeError::from)?;
        let disputed = DisputedHead {
            genesis: self.world.genesis(),
            contract: self.world.contract,
            job,
            head: head.split.head,
            signing: registration.signing,
            nonce: registration.nonce,
            receipts: head.compiled.plan().segments().len(),
            opened_at: record.opened_at,
        };
        // What is in no store shows nothing.
        let Shown::Bytes(transcript) = self.shown(progress.output.unwrap_or_default()).await? else {
            return Ok(Finding::unseen(disputed.verdict(None, &[])));
        };
        let evidence = match record.evidence {
            Some(evidence) => self.shown(evidence).await?,
            None => Shown::Nothing,
        };
        if let Shown::Bytes(bytes) = &evidence {
            kept.evidence = Some(bytes.clone());
        }
        let evidence = evidence.transcript();
        let prepared = match self.prepare(terms.user, (terms.version, terms.split), terms.input).await {
            Ok(prepared) => Some(prepared),
            Err(ServeError::Fetch(GetError::NotFound { .. }) | ServeError::Request(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let transcript = Transcript::from_wire(&transcript).ok();
        let tensor = prepared.as_ref().map(|prepared| prepared.request.tensor_digest);
        let fault = disputed.fault(transcript.as_ref(), tensor, evidence.as_ref());
        let (Some(transcript), Some(prepared), None) = (transcript, prepared, fault) else {
            let verdict = disputed.verdict(fault, &[]);
            return Ok(if fault.is_none() { Finding::unseen(verdict) } else { Finding::seen(verdict) });
        };
        self.compare(&disputed, prepared, &transcript).await
    }

    /// Compares every response, and everything between two segments, with what the head gives.
    async fn compare(
        self: &Arc<Self>,
        disputed: &DisputedHead,
        prepared: Arc<Prepared>,
        transcript: &Transcript,
    ) -> Result<Finding, DisputeError> {
        let mut computed = Vec::with_capacity(transcript.rounds.len());
        let mut before = Vec::new();
        for (number, (receipt, _)) in (0..).map(RoundIndex).zip(&transcript.rounds) {
            let wrong = Some((Fault::Response, number));
            let segment = segment_of(&prepared, number).map_err(ServeError::from)?;
            let input = match (segment.is_first(), number) {
                (true, RoundIndex(0)) => Input::Tensor(prepared.request.tensor.clone()),
                (true, _) => match self.shown(receipt.request).await? {
                    Shown::Nothing => return Ok(Finding::unseen(disputed.verdict(None, &computed))),
                    // An honest worker answers no request that is none.
                    Shown::Bytes(bytes) => match EncryptedTensor::from_bytes(&bytes) {
                        Ok(tensor) => Input::Tensor(tensor),
                        Err(_) => return Ok(Finding::seen(disputed.verdict(wrong, &computed))),
                    },
                },
                (false, _) if receipt.request != BlobDigest::of(&before) => {
                    return Ok(Finding::seen(disputed.verdict(Some((Fault::Receipt, number)), &computed)));
                }
                (false, _) => Input::State(opened(&prepared.head, &before).map_err(ServeError::from)?),
            };
            let run = |blinded, input| self.evaluate_for(blinded, prepared.clone(), number, input, receipt.request);
            let given = match run(BlindedFor::Job, input.clone()).await {
                Ok(given) => given,
                Err(ServeError::EvaluationKey(KeyRefused::Fetch { source: GetError::NotFound { .. }, .. })) => {
                    return Ok(Finding::unseen(disputed.verdict(None, &computed)));
                }
                Err(
                    ServeError::Evaluate(_)
                    | ServeError::EvaluationKey(
                        KeyRefused::Parts { .. } | KeyRefused::Malformed(_) | KeyRefused::Set { .. },
                    ),
                ) => return Ok(Finding::seen(disputed.verdict(wrong, &computed))),
                Err(error) => return Err(error.into()),
            };
            // What lies between two segments is blinded for nobody: every juror gives what the worker gave.
            computed.push(match segment.is_last() {
                true => BlobDigest::of(&run(BlindedFor::Dispute, input).await?),
                false => BlobDigest::of(&given),
            });
            if BlobDigest::of(&given) != receipt.response {
                return Ok(Finding::seen(disputed.verdict(wrong, &computed)));
            }
            before = given;
        }
        Ok(Finding::seen(disputed.verdict(None, &computed)))
    }

    async fn shown(&self, digest: BlobDigest) -> Result<Shown, GetError> {
        match self.world.gateway.get(digest, ByteLimit(EncryptedTensor::LIMIT_BYTES as u64)).await {
            Ok(bytes) => Ok(Shown::Bytes(bytes.to_vec())),
            Err(GetError::NotFound { .. }) => Ok(Shown::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Posts the transcript that this worker committed, and puts it back into the store.
    async fn post(
        self: &Arc<Self>,
        job: JobId,
        progress: &JobProgress,
        record: &DisputeRecord,
    ) -> Result<Concern, DisputeError> {
        if progress.worker != Some(self.world.address()) || record.from != Stage::HeadCommitted {
            return Ok(Concern::Nothing);
        }
        let Some(run) = self.journal.resume(job)? else { return Ok(Concern::Nothing) };
        let blob = run.transcript().to_wire();
        if progress.output != Some(BlobDigest::of(&blob)) {
            return Ok(Concern::Nothing);
        }
        if let Err(error) = self.world.gateway.put(blob.clone().into()).await {
            warn!(job = job.0, error = &error as &dyn std::error::Error, "the transcript is not back in the store");
        }
        let parts = blob.chunks(PART_LIMIT_BYTES);
        let last = parts.len().saturating_sub(1);
        for (index, part) in parts.enumerate() {
            let at = (index * PART_LIMIT_BYTES) as u64;
            let message = PostBlob { job, at, part: part.to_vec(), last: index == last };
            self.world.say(Subject::job(job), message, Plancks::ZERO).await?;
        }
        info!(job = job.0, bytes = blob.len(), "transcript posted on chain");
        Ok(Concern::Ours)
    }
}

/// What a store has under a digest.
enum Shown {
    Bytes(Vec<u8>),
    Nothing,
}

impl Shown {
    fn transcript(&self) -> Option<Transcript> {
        match self {
            Self::Bytes(bytes) => Transcript::from_wire(bytes).ok(),
            Self::Nothing => None,
        }
    }
}
