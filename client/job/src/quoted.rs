//! Before anything is released: the worker shows a quote over its receipt that was made since it was demanded.
//!
//! A registration's quote may be hours old when a receipt is signed, and says that the key was an enclave's then. A quote
//! over the receipt and a nonce that nobody knew before says that the enclave which signed it is there now. The chain
//! checks its signatures; here it is judged under the network's root and policy, with collateral of its day.

use crate::{driver::Runner, error::JobError, journal::Journal};
use encompute_attest::{QuoteFacts, ReceiptEvidence, appraise_receipt, network::Judge};
use encompute_audit::{Heard, deposit};
use encompute_chain::{Class, Refusal, SubmitJob};
use encompute_host::clock;
use encompute_protocol::{
    BasisPoints, BlobDigest, DisputeKind, JobId, JobProgress, JobTerms, Plancks, Stage, call::OpenDispute,
    event::Event, wire::Message,
};
use encompute_store::{Blobs, ByteLimit};
use std::time::Duration;

/// Pause before a demand that has to wait is made again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl<M: SubmitJob> Runner<M> {
    /// Whether the release may go on: at once where no quote was asked for, else once one was shown that holds. `false`
    /// where it has just been demanded: what was committed has been verified before it is paid for.
    ///
    /// # Errors
    /// [`JobError::Unquoted`] for a quote that does not hold; [`JobError`] for a commitment that does not.
    pub(crate) async fn is_quoted(
        &self,
        journal: &mut Journal,
        job: JobId,
        (terms, progress): (JobTerms, JobProgress),
    ) -> Result<bool, JobError> {
        if !journal.record().quote || journal.record().features.is_some() {
            return Ok(true);
        }
        let market = &self.services.market;
        if progress.disputed & DisputeKind::Quote.bit(Stage::HeadCommitted) == 0 {
            let manifest = self.manifest(journal).await?;
            self.verified_commitment(journal, job, (terms, progress), &manifest).await?;
            let beyond = || JobError::Plan { found: "the deposit is beyond all numbers".into() };
            let deposit = deposit(&terms, DisputeKind::Quote).ok_or_else(beyond)?;
            let call = OpenDispute { job, kind: DisputeKind::Quote, evidence: Some(unguessed()) };
            match market.submit(call, deposit).await {
                // Whether the job is audited was not known yet, and may be by now: the refusal says so, not the head.
                Err(error) if matches!(error.refusal(), Some(Refusal::NotYetLate { .. })) => {
                    clock::sleep(LOOK_AGAIN).await;
                }
                // Where the job was drawn for an audit that comes first.
                Err(error) if error.class() == Class::Refused && self.is_audited(job, &terms, &progress).await => {
                    clock::sleep(LOOK_AGAIN).await;
                }
                opened => self.unless_suspended(job, opened, "demand a quote").await?,
            }
            return Ok(false);
        }
        self.judge_quote(job, progress).await.map(|()| true)
    }

    /// True where a demand has to wait for an audit of the job: anybody may open it, so this client has.
    async fn is_audited(&self, job: JobId, terms: &JobTerms, progress: &JobProgress) -> bool {
        if terms.audit_share == BasisPoints(0) || progress.disputed & DisputeKind::Audit.bit(progress.stage) != 0 {
            return false;
        }
        let call = OpenDispute { job, kind: DisputeKind::Audit, evidence: None };
        self.services.market.submit(call, Plancks::ZERO).await.is_ok()
    }

    /// Judges the quote that was shown for a job.
    async fn judge_quote(&self, job: JobId, progress: JobProgress) -> Result<(), JobError> {
        let market = &self.services.market;
        let refused = |check, expected: &str, actual: &str| JobError::Unquoted {
            job,
            check,
            expected: expected.to_owned(),
            actual: actual.to_owned(),
        };
        let blocks = market.events_in(progress.claimed_at..=progress.changed_at).await.map_err(JobError::Read)?;
        let events: Vec<Event> = blocks
            .into_iter()
            .flat_map(|block| block.events)
            .map(|emitted| emitted.event)
            .filter(|event| event.job() == Some(job))
            .collect();
        let heard = Heard::all(&events);
        let demanded = heard.iter().rfind(|heard| heard.kind == DisputeKind::Quote);
        let shown = demanded.and_then(|heard| heard.nonce.zip(heard.quote));
        let (nonce, (quote, evidence)) = shown.ok_or_else(|| refused("quote", "one that was shown", "none"))?;
        let committed = progress.receipt.zip(progress.measurement);
        let (receipt, measurement) = committed.ok_or_else(|| refused("receipt", "one on chain", "none"))?;
        let limit = ByteLimit(ReceiptEvidence::LIMIT_BYTES as u64);
        let blob = self.services.blobs.get(evidence, limit).await;
        let what = "the evidence of the worker's quote";
        let blob = blob.map_err(|source| JobError::Fetch { what, digest: evidence, source })?;
        let judge = Judge::of(&self.services.network.trust, [measurement])?;
        let facts = QuoteFacts { receipt, measurement, nonce, quote, evidence };
        let appraisal = appraise_receipt(&blob, &facts, &judge.root, &judge.policy, clock::now().into());
        match appraisal.checks.iter().find(|check| !check.pass) {
            Some(check) => Err(refused(check.id, &check.expected, &check.actual)),
            None => Ok(()),
        }
    }
}

/// Bytes that nobody can guess, for a nonce that nobody knew before.
pub fn unguessed() -> BlobDigest {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes);
    BlobDigest(bytes)
}
