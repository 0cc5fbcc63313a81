//! Results that are said to be missing or to open to nothing: the creator posts what it committed.

use crate::desk::{Desk, RESULT_LIMIT_BYTES};
use encompute_protocol::call::{PostBlob, ReadDispute, ReadJob};
use encompute_protocol::dispute::PART_LIMIT_BYTES;
use encompute_protocol::{BlobDigest, JobId, Plancks, Stage};
use encompute_store::{Blobs, StateError};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// Folder of the results of jobs that have not ended.
pub(crate) const RESULTS: &str = "results";
/// How long to wait before a result that could not be posted is posted again.
const AGAIN: Duration = Duration::from_secs(1);

fn folder(job: JobId) -> String {
    format!("{RESULTS}/{job:020}")
}

impl Desk {
    /// Keeps a sealed result until its job has ended.
    pub(crate) fn keep_result(&self, job: JobId, sealed: &[u8]) -> Result<(), StateError> {
        self.state.write(&format!("{}/sealed", folder(job)), sealed)
    }

    /// Forgets the result of a job that has ended.
    pub(crate) fn put_away(&self, job: JobId) {
        if let Err(error) = self.state.forget(&folder(job)) {
            warn!(job = job.0, error = &error as &dyn Error, "the result of an ended job stays");
        }
    }

    /// Answers a dispute about a result of ours, if there is one, until it is answered or over.
    pub(crate) fn answer_for(self: &Arc<Self>, job: JobId) {
        let desk = self.clone();
        tokio::spawn(async move {
            loop {
                match desk.post(job).await {
                    Ok(()) => return,
                    Err(error) => warn!(job = job.0, error = &*error, "the result is not posted yet"),
                }
                tokio::time::sleep(AGAIN).await;
            }
        });
    }

    /// Posts the sealed result, part by part, and puts it back into the store.
    async fn post(&self, job: JobId) -> Result<(), Box<dyn Error + Send + Sync>> {
        let Some(sealed) = self.state.read(&format!("{}/sealed", folder(job)), RESULT_LIMIT_BYTES)? else {
            return Ok(());
        };
        let client = self.account.client();
        let Some((_, progress)) = client.read(ReadJob { job }).await? else { return Ok(()) };
        if progress.stage.is_terminal() {
            self.put_away(job);
            return Ok(());
        }
        let dispute = client.read(ReadDispute { job }).await?;
        let is_ours = progress.result == Some(BlobDigest::of(&sealed));
        if !is_ours || dispute.is_none_or(|dispute| dispute.from != Stage::ResultCommitted) {
            return Ok(());
        }
        if let Err(error) = self.gateway.put(sealed.clone().into()).await {
            warn!(job = job.0, error = &error as &dyn Error, "the result is not back in the store");
        }
        let parts = sealed.chunks(PART_LIMIT_BYTES);
        let last = parts.len().saturating_sub(1);
        for (index, part) in parts.enumerate() {
            let at = (index * PART_LIMIT_BYTES) as u64;
            let message = PostBlob { job, at, part: part.to_vec(), last: index == last };
            self.account.submit(message, Plancks::ZERO).await?;
        }
        info!(job = job.0, bytes = sealed.len(), "result posted on chain");
        Ok(())
    }
}
