//! What is left of a job or a session whose records were removed.

use crate::{
    BlockNumber, ContractAddress, GenesisHash, JobId, JobProgress, JobTerms, RecordsDigest, SessionId, SessionRecord,
    Signed,
};
use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Everything that the chain forgets of an ended job. Keccak-256 of it, tagged, stays there: a copy that somebody kept
/// can be told from a forgery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct JobRecords {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The job.
    pub job: JobId,
    /// What its user bought.
    pub terms: JobTerms,
    /// How it ended.
    pub progress: JobProgress,
}

impl Signed for JobRecords {
    const TAG: &'static [u8] = b"encompute/pruned-job/v1";
}

#[cfg(feature = "hash")]
impl JobRecords {
    /// What the chain keeps of them.
    pub fn records_digest(&self) -> RecordsDigest {
        RecordsDigest(self.digest())
    }
}

/// Everything that the chain forgets of a session that is over, as [`JobRecords`] of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct SessionRecords {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The session.
    pub session: SessionId,
    /// What its user bought, and how it ended.
    pub record: SessionRecord,
}

impl Signed for SessionRecords {
    const TAG: &'static [u8] = b"encompute/pruned-session/v1";
}

#[cfg(feature = "hash")]
impl SessionRecords {
    /// What the chain keeps of them.
    pub fn records_digest(&self) -> RecordsDigest {
        RecordsDigest(self.digest())
    }
}

/// What the chain keeps of a job or a session whose records were removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct PrunedRecord {
    /// Of the [`JobRecords`], or of the [`SessionRecords`].
    pub digest: RecordsDigest,
    /// Block in which they were removed: the state of the one before still has them.
    pub pruned_at: BlockNumber,
}
