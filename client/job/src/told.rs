//! Every transition of a job told once, in order: those too that were over before anybody looked.

use crate::{error::JobError, report::Watch};
use encompute_chain::ReadMarket;
use encompute_protocol::{BlockNumber, JobId, JobProgress, JobTerms, event::Event};

/// Most blocks that are searched for transitions; of a job that slept longer only the stage is told.
const SEARCHED_BLOCKS: u32 = 64;

/// What a watcher was told of a job.
pub struct Told {
    job: JobId,
    /// First block whose transitions were not told.
    from: BlockNumber,
}

impl Told {
    /// Nothing yet.
    pub fn nothing(job: JobId) -> Self {
        Self { job, from: BlockNumber(0) }
    }

    /// Tells what is new up to `progress`.
    ///
    /// # Errors
    /// [`JobError::Read`]; nothing was told then.
    pub async fn tell(
        &mut self,
        market: &impl ReadMarket,
        terms: &JobTerms,
        progress: &JobProgress,
        watch: &mut (impl Watch + Send),
    ) -> Result<(), JobError> {
        let (from, until) = (self.from.max(terms.requested_at), progress.changed_at);
        if until < from {
            return Ok(());
        }
        if until.0 - from.0 > SEARCHED_BLOCKS {
            watch.stage(self.job, progress.stage, until, progress.deadline);
        } else {
            for block in market.events_in(from..=until).await.map_err(JobError::Read)? {
                for emitted in block.events {
                    if let Event::JobStageChanged(changed) = emitted.event
                        && changed.job == self.job
                    {
                        watch.stage(self.job, changed.to, block.block.number, changed.deadline);
                    }
                }
            }
        }
        self.from = BlockNumber(until.0.saturating_add(1));
        Ok(())
    }
}
