//! Audits: this worker says which of the others' jobs were drawn, so that a committee runs their heads again.
//!
//! Anybody may, and nobody is paid for it but who is drawn; so every worker does, each after a time of its own, and the
//! trial before a transaction tells all but the first that it is done.

use crate::desk::Desk;
use crate::rollup::Subject;
use encompute_chain::Class;
use encompute_lifecycle::{Software, dispute::audit};
use encompute_protocol::call::{OpenDispute, ReadJob};
use encompute_protocol::dispute::AUDIT_BLOCKS;
use encompute_protocol::{Address, BasisPoints, BlockNumber, DisputeKind, JobId, JobProgress, Plancks, Stage};
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info};

/// Pause before a job that may have been drawn is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Workers begin within so many blocks of one another.
const SPREAD_BLOCKS: u64 = 8;

/// What is left to do about a job.
enum Left {
    /// Look again: the hash is not known, it is not this worker's turn, or somebody's dispute is open.
    Wait,
    /// Nothing: it was not drawn, is audited, or is over.
    Nothing,
}

impl Desk {
    /// Has a job audited, if it was drawn.
    pub(crate) async fn audit(self: Arc<Self>, job: JobId) {
        loop {
            match self.audit_now(job).await {
                Ok(Left::Nothing) => return,
                Ok(Left::Wait) => {}
                Err(error) => debug!(job = job.0, error = &*error, "job cannot be looked at for an audit"),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn audit_now(&self, job: JobId) -> Result<Left, Box<dyn std::error::Error + Send + Sync>> {
        let client = self.world.client();
        let Some((terms, progress)) = client.read(ReadJob { job }).await? else { return Ok(Left::Nothing) };
        if terms.audit_share == BasisPoints(0) {
            return Ok(Left::Nothing);
        }
        let head = client.head().await?;
        let now = head.number;
        let Some(decides) = may_be_audited(&progress, now) else { return Ok(Left::Nothing) };
        if now <= decides {
            return Ok(Left::Wait);
        }
        let hash = client.contract_hash_of(decides, head.hash).await?;
        let drawn =
            hash.is_some_and(|hash| audit::is_drawn(&Software, &hash, self.world.contract, job, terms.audit_share));
        if !drawn {
            return Ok(Left::Nothing);
        }
        let is_suspended = matches!(progress.stage, Stage::Disputed(_));
        if is_suspended || u64::from(now.0) <= u64::from(decides.0) + turn(self.world.address(), job) {
            return Ok(Left::Wait);
        }
        let message = OpenDispute { job, kind: DisputeKind::Audit, evidence: None };
        match self.world.say(Subject::job(job), message, Plancks::ZERO).await {
            Ok(()) => {
                info!(job = job.0, "drawn for an audit");
                Ok(Left::Nothing)
            }
            // Somebody was faster, the treasury is too poor now, or the stage is over: looked at again, for as long as it may be.
            Err(error) if error.class() == Class::Refused => Ok(Left::Wait),
            Err(error) => Err(error.into()),
        }
    }
}

/// The block that draws a job which may still be audited; none for one that may not.
fn may_be_audited(progress: &JobProgress, now: BlockNumber) -> Option<BlockNumber> {
    let had = progress.disputed & DisputeKind::Audit.bit(progress.stage) != 0;
    let is_over = progress.stage.is_terminal() || now.0 > progress.committed_at.0.saturating_add(AUDIT_BLOCKS.0);
    let decides = audit::drawing_block(progress)?;
    (!had && !is_over).then_some(decides)
}

/// How many blocks this worker waits after others could have begun: another number for each worker and job.
fn turn(worker: Address, job: JobId) -> u64 {
    let sum = worker.0.iter().fold(job.0, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    // The upper bits: the lowest hang on little of it.
    (sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % SPREAD_BLOCKS
}

#[cfg(test)]
mod tests {
    use super::*;
    use encompute_protocol::BlobDigest;

    fn committed(block: u32) -> JobProgress {
        JobProgress {
            stage: Stage::HeadCommitted,
            reason: None,
            deadline: BlockNumber(block + 50),
            timeouts: 0,
            worker: Some(Address([1; 20])),
            stake_held: Plancks(1),
            claimed_at: BlockNumber(block),
            output: Some(BlobDigest([1; 32])),
            finished_at: BlockNumber(block),
            features: None,
            result: None,
            changed_at: BlockNumber(block),
            measurement: None,
            platform: None,
            disputed: 0,
            workers: 1,
            late: Default::default(),
            committed_at: BlockNumber(block),
            receipt: None,
        }
    }

    #[test]
    fn a_job_is_looked_at_until_it_is_audited_or_over_or_too_old() {
        let at = |progress: &JobProgress, now| may_be_audited(progress, BlockNumber(now));
        let progress = committed(10);
        assert_eq!(at(&progress, 10), Some(BlockNumber(11)));
        assert_eq!(at(&progress, 210), Some(BlockNumber(11)));
        assert_eq!(at(&progress, 211), None, "too old");
        assert_eq!(at(&JobProgress { stage: Stage::Settled, ..progress }, 12), None);
        assert_eq!(at(&JobProgress { disputed: 64, ..progress }, 12), None);
        assert_eq!(at(&JobProgress { output: None, ..progress }, 12), None);
        assert_eq!(
            at(&JobProgress { disputed: 63, stage: Stage::ResultCommitted, ..progress }, 12),
            Some(BlockNumber(11))
        );
    }

    #[test]
    fn workers_begin_one_after_the_other_and_for_each_job_another_is_first() {
        let turns = |job| (0..40_u8).map(move |worker| turn(Address([worker; 20]), JobId(job)));
        let seen: std::collections::BTreeSet<u64> = turns(7).collect();
        assert_eq!(seen, (0..SPREAD_BLOCKS).collect());
        assert_ne!(turns(7).collect::<Vec<_>>(), turns(8).collect::<Vec<_>>());
    }
}
