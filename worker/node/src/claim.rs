//! What a job in hand is a run of: as the chain says for a single one, as its session says for one of many.

use crate::desk::{Desk, Prepared, ServeError};
use crate::rounds::JobFacts;
use encompute_protocol::call::ReadJob;
use encompute_protocol::{Address, BlobDigest, BlockNumber, JobId, SplitIndex, Stage, VersionId};

/// A job that is this worker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) user: Address,
    pub(crate) version: VersionId,
    pub(crate) split: SplitIndex,
    pub(crate) input: BlobDigest,
    /// Block of the claim, or in which its session was opened.
    pub(crate) at: BlockNumber,
    /// Last block in which its head is of use.
    pub(crate) deadline: BlockNumber,
    /// False once its head is committed.
    pub(crate) runs: bool,
    /// True for a job whose session holds the place.
    pub(crate) in_session: bool,
    /// True for a job whose key is in this worker's custody.
    pub(crate) custody: bool,
}

impl Desk {
    /// The job, if it is this worker's.
    pub(crate) async fn claim_of(&self, job: JobId) -> Result<Claim, ServeError> {
        if let Some(claim) = self.sessions.claim(job) {
            return Ok(claim);
        }
        let found = self.world.client().read(ReadJob { job }).await?;
        let (terms, progress) = found.ok_or(ServeError::NotHeld { job })?;
        if progress.worker != Some(self.world.address()) {
            return Err(ServeError::NotHeld { job });
        }
        Ok(Claim {
            user: terms.user,
            version: terms.version,
            split: terms.split,
            input: terms.input,
            at: progress.claimed_at,
            deadline: progress.deadline,
            runs: progress.stage == Stage::Claimed,
            in_session: false,
            custody: terms.custody,
        })
    }

    /// What the receipts of a job name.
    pub(crate) fn facts_of(&self, job: JobId, claim: &Claim, prepared: &Prepared) -> JobFacts {
        let (head, record) = (&prepared.head, self.record());
        JobFacts {
            genesis: self.world.genesis(),
            contract: self.world.contract,
            job,
            version: claim.version,
            manifest: head.version.manifest,
            split: claim.split,
            head: head.split.head,
            tail: head.split.tail,
            input: claim.input,
            worker: self.world.address(),
            measurement: record.measurement,
            registration_nonce: record.nonce,
            expires_at: record.expires_at,
            claimed_at: claim.at,
            deadline: claim.deadline,
            rounds: head.compiled.plan().segments().len() as u16,
            session_key: prepared.request.session_key,
            custody: claim.custody,
        }
    }
}
