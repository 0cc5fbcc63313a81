//! The receipt that a job wants, from facts on chain alone.

use crate::state::ReadState;
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, ContractAddress, GenesisHash, JobId, JobTerms, Receipt, SplitRecord,
    VersionRecord, WorkerRecord,
};

/// Everything that a receipt states besides what the worker says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptFacts {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The job.
    pub job: JobId,
    /// What was bought.
    pub terms: JobTerms,
    /// Block of the claim.
    pub claimed_at: BlockNumber,
    /// The version that was bought.
    pub version: VersionRecord,
    /// Its split.
    pub split: SplitRecord,
    /// The worker's account.
    pub worker: Address,
    /// Its registration while it held the job.
    pub registration: WorkerRecord,
}

impl ReceiptFacts {
    /// The facts for a job as `state` has them; `None` unless a worker holds or held the job.
    /// A registration cannot change while its worker holds a job, so they are the claim's facts as
    /// long as the job is claimed.
    pub fn read<S: ReadState>(state: &S, genesis: GenesisHash, contract: ContractAddress, job: JobId) -> Option<Self> {
        let (terms, progress) = (state.job_terms(job)?, state.job_progress(job)?);
        let worker = progress.worker?;
        Some(Self {
            genesis,
            contract,
            job,
            terms,
            claimed_at: progress.claimed_at,
            version: state.version(terms.version)?,
            split: state.split(terms.version, terms.split)?,
            worker,
            registration: state.worker(worker)?,
        })
    }

    /// The receipt, given the two things that only the worker knows: the transcript blob and the block
    /// in which the work was finished.
    pub fn receipt(&self, output: BlobDigest, finished_at: BlockNumber) -> Receipt {
        Receipt {
            genesis: self.genesis,
            contract: self.contract,
            job: self.job,
            version: self.terms.version,
            manifest: self.version.manifest,
            split: self.terms.split,
            head: self.split.head,
            input: self.terms.input,
            evaluation_key: BlobDigest::default(),
            output,
            tail: self.split.tail,
            worker: self.worker,
            measurement: self.registration.measurement,
            registration_nonce: self.registration.nonce,
            claimed_at: self.claimed_at,
            finished_at,
            expires_at: self.registration.expires_at,
            custody: self.terms.custody,
        }
    }
}
