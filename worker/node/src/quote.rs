//! Quotes that are demanded for jobs which this worker committed.

use crate::desk::Desk;
use crate::dispute::DisputeError;
use crate::rollup::Subject;
use crate::world::{AttestError, World};
use encompute_attest::{Evidence, ReceiptEvidence, bound, compact};
use encompute_protocol::call::ShowQuote;
use encompute_protocol::wire::Message;
use encompute_protocol::{
    BlobDigest, Bytes, JobId, JobProgress, KeyParts, Nonce, Plancks, QuoteParts, Receipt, ReceiptDigest, Signed,
};
use encompute_store::Blobs;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

/// How often evidence is offered to a store that was away when its quote was shown, and how long between two tries.
const PUT_TRIES: u32 = 120;
const PUT_AGAIN: Duration = Duration::from_secs(15);

/// A quote for a demand, made once: another would be another quote, with another name for its evidence.
pub(crate) struct MadeQuote {
    nonce: Nonce,
    parts: QuoteParts,
    key: KeyParts,
    blob: Vec<u8>,
}

impl MadeQuote {
    fn of(evidence: &ReceiptEvidence) -> Result<Self, AttestError> {
        let (parts, key) = compact(evidence.quote.as_slice())?;
        Ok(Self { nonce: evidence.nonce, parts, key, blob: evidence.to_wire() })
    }
}

impl World {
    /// Evidence without collateral: a quote that the contract takes, and that others judge with collateral of their own.
    async fn bare_evidence(&self, receipt: Receipt, nonce: Nonce) -> Result<ReceiptEvidence, AttestError> {
        let quote = self.guest.quote(bound(&receipt, &nonce)).await?.quote;
        let quote = Bytes::new(quote).map_err(|_| AttestError::TooLong { what: "quote" })?;
        let collateral = Bytes::new(Vec::new()).map_err(|_| AttestError::TooLong { what: "collateral" })?;
        Ok(Evidence { quote, collateral, statement: receipt, nonce, hpke_key: self.keys.hpke_key() })
    }
}

impl Desk {
    /// Shows a quote over the receipt that this worker committed, and puts its evidence into the store. Where time is
    /// pressing, a quote without collateral, or whose evidence the store does not take now, is better than none. `false`
    /// for a job whose receipt it does not have.
    pub(crate) async fn show_quote(
        self: &Arc<Self>,
        job: JobId,
        progress: &JobProgress,
        (nonce, is_pressing): (Nonce, bool),
        made: &mut Option<MadeQuote>,
    ) -> Result<bool, DisputeError> {
        let Some(receipt) = self.committed_receipt(job, progress)? else {
            error!(job = job.0, "a quote is demanded over a receipt that is not in this worker's journal");
            return Ok(false);
        };
        let is_made = made.as_ref().is_some_and(|made| made.nonce == nonce);
        if !is_made {
            let evidence = match self.world.evidence(receipt, nonce).await {
                Ok((evidence, _)) => evidence,
                Err(error) if is_pressing => {
                    warn!(
                        job = job.0,
                        error = &error as &dyn std::error::Error,
                        "the quote is shown without collateral"
                    );
                    self.world.bare_evidence(receipt, nonce).await?
                }
                Err(error) => return Err(error.into()),
            };
            *made = Some(MadeQuote::of(&evidence)?);
        }
        let Some(MadeQuote { parts, key, blob, .. }) = made else { return Ok(false) };
        self.world.certify(key.clone()).await?;
        match self.world.gateway.put(blob.clone().into()).await {
            Ok(_) => {}
            Err(error) if is_pressing => {
                warn!(
                    job = job.0,
                    error = &error as &dyn std::error::Error,
                    "the quote's evidence is not in the store yet"
                );
                self.put_later(blob.clone());
            }
            Err(error) => return Err(error.into()),
        }
        let message = ShowQuote { job, quote: parts.clone(), evidence: BlobDigest::of(blob) };
        self.world.say(Subject::job(job), message, Plancks::ZERO).await?;
        info!(job = job.0, "a quote was demanded, and shown");
        Ok(true)
    }

    /// The receipt of a job as it was committed.
    fn committed_receipt(&self, job: JobId, progress: &JobProgress) -> Result<Option<Receipt>, DisputeError> {
        let found = self.journal.resume(job)?.zip(self.journal.commitment(job)?);
        let receipt = found.map(|(run, commitment)| run.receipt(commitment.finished_at));
        Ok(receipt.filter(|receipt| progress.receipt == Some(ReceiptDigest(receipt.digest()))))
    }

    fn put_later(self: &Arc<Self>, blob: Vec<u8>) {
        let desk = self.clone();
        tokio::spawn(async move {
            for _ in 0..PUT_TRIES {
                tokio::time::sleep(PUT_AGAIN).await;
                if desk.world.gateway.put(blob.clone().into()).await.is_ok() {
                    return;
                }
            }
        });
    }
}
