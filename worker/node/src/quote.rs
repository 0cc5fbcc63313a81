//! Quotes that are demanded for jobs which this worker committed.

use crate::desk::Desk;
use crate::dispute::DisputeError;
use crate::rollup::Subject;
use crate::world::{AttestError, World};
use encompute_attest::{Evidence, ReceiptEvidence, RegistrationEvidence, bound, compact};
use encompute_protocol::call::ShowQuote;
use encompute_protocol::wire::Message;
use encompute_protocol::{
    BlobDigest, BlockNumber, Bytes, JobId, JobProgress, KeyParts, Nonce, Plancks, QuoteParts, Receipt, ReceiptDigest,
    Signed,
};
use encompute_store::{Blobs, ByteLimit};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

/// How long between two offers of evidence to a store that was away when its quote was shown.
const PUT_AGAIN: Duration = Duration::from_secs(15);
/// The last blocks of a window, however short it is: a quote is to be shown within them, perhaps after its key.
const LAST_BLOCKS: u32 = 5;

/// How near the end of a demand's window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Haste {
    /// Less than half of it is over.
    None,
    /// More than half of it is over.
    Half,
    /// It is in its last tenth, or in its last blocks.
    Last,
}

impl Haste {
    /// The haste in a block of a window.
    pub(crate) fn at(now: BlockNumber, begun: BlockNumber, deadline: BlockNumber) -> Self {
        let window = deadline.0.saturating_sub(begun.0);
        let left = deadline.0.saturating_sub(now.0);
        if left >= window.div_ceil(2) {
            Self::None
        } else if left > (window / 10).max(LAST_BLOCKS) {
            Self::Half
        } else {
            Self::Last
        }
    }
}

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
    /// Evidence for want of today's collateral: with that of the registration whose evidence is named, which is good for
    /// about a month. In the last blocks with none, if that cannot be had either: the contract asks for no collateral,
    /// but whoever judges the evidence has no other than it holds, and refuses it.
    async fn makeshift(
        &self,
        receipt: Receipt,
        (nonce, haste): (Nonce, Haste),
        registration: BlobDigest,
        why: AttestError,
    ) -> Result<ReceiptEvidence, AttestError> {
        let limit = ByteLimit(RegistrationEvidence::LIMIT_BYTES as u64);
        let found = self.gateway.get(registration, limit).await.ok();
        let collateral = match found.and_then(|blob| RegistrationEvidence::from_wire(&blob).ok()) {
            Some(evidence) => evidence.collateral,
            None if haste == Haste::Last => {
                Bytes::new(Vec::new()).map_err(|_| AttestError::TooLong { what: "collateral" })?
            }
            None => return Err(why),
        };
        let quote = self.guest.quote(bound(&receipt, &nonce)).await?.quote;
        let quote = Bytes::new(quote).map_err(|_| AttestError::TooLong { what: "quote" })?;
        warn!(
            error = &why as &dyn std::error::Error,
            collateral_bytes = collateral.as_slice().len(),
            "a quote is made without the collateral of today"
        );
        Ok(Evidence { quote, collateral, statement: receipt, nonce, hpke_key: self.keys.hpke_key() })
    }
}

impl Desk {
    /// Shows a quote over the receipt that this worker committed, and puts its evidence into the store. Once half of the
    /// window is over, a quote with the collateral of the registration, or whose evidence the store does not take now, is
    /// better than none. `false` for a job whose receipt it does not have.
    pub(crate) async fn show_quote(
        self: &Arc<Self>,
        job: JobId,
        progress: &JobProgress,
        (nonce, haste): (Nonce, Haste),
        made: &mut Option<MadeQuote>,
    ) -> Result<bool, DisputeError> {
        let Some(receipt) = self.committed_receipt(job, progress)? else {
            error!(job = job.0, "a quote is demanded over a receipt that is not in this worker's journal");
            return Ok(false);
        };
        if made.as_ref().is_none_or(|made| made.nonce != nonce) {
            let evidence = match self.kept_evidence(job, nonce) {
                Some(kept) => kept,
                None => match self.world.evidence(receipt, nonce).await {
                    Ok((evidence, _)) => evidence,
                    Err(error) if haste >= Haste::Half => {
                        self.world.makeshift(receipt, (nonce, haste), self.record().evidence, error).await?
                    }
                    Err(error) => return Err(error.into()),
                },
            };
            *made = Some(MadeQuote::of(&evidence)?);
        }
        let Some(MadeQuote { parts, key, blob, .. }) = made else { return Ok(false) };
        self.world.certify(key.clone()).await?;
        match self.world.gateway.put(blob.clone().into()).await {
            Ok(_) => {}
            Err(error) if haste >= Haste::Half => {
                warn!(
                    job = job.0,
                    error = &error as &dyn std::error::Error,
                    "the quote's evidence is not in the store yet"
                );
                self.keep_evidence_of(job, blob);
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

    /// Evidence for this demand that was written down before a restart. What cannot be read holds nothing up: another
    /// quote is made.
    fn kept_evidence(&self, job: JobId, nonce: Nonce) -> Option<ReceiptEvidence> {
        let blob = self.journal.evidence(job).ok()??;
        ReceiptEvidence::from_wire(&blob).ok().filter(|evidence| evidence.nonce == nonce)
    }

    /// Writes evidence down before the chain names it, and offers it to the store from then on.
    fn keep_evidence_of(self: &Arc<Self>, job: JobId, blob: &[u8]) {
        let kept = self.journal.evidence(job).ok().flatten();
        if kept.as_deref() == Some(blob) {
            return;
        }
        if let Err(error) = self.journal.keep_evidence(job, blob) {
            warn!(job = job.0, error = &error as &dyn std::error::Error, "a quote's evidence is not written down");
        }
        // What was kept before is being offered already, and this with it.
        if kept.is_none() {
            self.put_later(job);
        }
    }

    /// Offers the evidence that is kept of a job, if any is, to the store until it takes it.
    pub(crate) fn put_later(self: &Arc<Self>, job: JobId) {
        let desk = self.clone();
        tokio::spawn(async move {
            while let Ok(Some(blob)) = desk.journal.evidence(job) {
                if desk.world.gateway.put(blob.into()).await.is_err() {
                    tokio::time::sleep(PUT_AGAIN).await;
                    continue;
                }
                if let Err(error) = desk.journal.forget_evidence(job) {
                    warn!(job = job.0, error = &error as &dyn std::error::Error, "evidence that is in the store stays");
                }
                return;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haste_begins_after_half_of_the_window_and_is_greatest_in_its_last_tenth_or_its_last_blocks() {
        let at = |now: u32, window: u32| {
            Haste::at(BlockNumber(1_000 + now), BlockNumber(1_000), BlockNumber(1_000 + window))
        };
        assert_eq!((at(0, 200), at(100, 200)), (Haste::None, Haste::None));
        assert_eq!((at(101, 200), at(179, 200)), (Haste::Half, Haste::Half));
        assert_eq!((at(180, 200), at(200, 200)), (Haste::Last, Haste::Last));
        assert_eq!((at(6, 12), at(7, 12)), (Haste::None, Haste::Last));
    }
}
