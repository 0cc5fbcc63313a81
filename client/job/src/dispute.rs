//! What a user shows with a dispute: the receipts that it was given, and the requests that it sent.

use crate::{driver::Runner, error::JobError, journal::Journal};
use encompute_chain::SubmitJob;
use encompute_protocol::{Address, BlobDigest, Transcript, wire::Message};

impl<M: SubmitJob> Runner<M> {
    /// Puts everything that this home has of a job's rounds where a committee finds it; the blob of the receipts that
    /// `worker` signed, none if it gave us none. Nothing that is decrypted is among it: receipts name ciphertexts.
    ///
    /// # Errors
    /// [`JobError::Store`]; nothing was submitted then.
    pub async fn show_rounds(&self, journal: &Journal, worker: Address) -> Result<Option<BlobDigest>, JobError> {
        let done = &journal.record().rounds;
        let given: Vec<_> = done.iter().filter(|done| done.worker == worker).map(|done| done.signed).collect();
        if given.is_empty() {
            return Ok(None);
        }
        let requests = journal.request_blobs().unwrap_or_default();
        for digest in requests.into_iter().chain(done.iter().map(|done| done.next)) {
            // What is not kept here the worker has put there with its commitment.
            if let Ok(bytes) = journal.kept(&digest) {
                self.put("a request of the job", bytes).await?;
            }
        }
        let shown = Transcript { rounds: given }.to_wire();
        let digest = BlobDigest::of(&shown);
        self.put("the receipts of the job", shown).await?;
        Ok(Some(digest))
    }
}
