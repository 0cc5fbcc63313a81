//! Why a run stopped. The job itself is never lost: its journal and the chain know where it stands.

use crate::journal::JournalError;
use encompute_audit::{CommitmentRefused, RoundRefused, TrustError};
use encompute_protocol::{BlobDigest, JobId, RoundIndex, Stage, Witnesses, wire::DecodeError};

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The chain could not be read.
    #[error("read the chain")]
    Read(#[source] encompute_chain::ReadError),
    /// A transaction was not made.
    #[error("{doing}")]
    Submit {
        /// What it was to do.
        doing: &'static str,
        /// Why it was not made.
        #[source]
        source: encompute_chain::SubmitError,
    },
    /// A blob could not be fetched.
    #[error("fetch {what} {digest}")]
    Fetch {
        /// What it is.
        what: &'static str,
        /// Its digest.
        digest: BlobDigest,
        /// Why.
        #[source]
        source: encompute_store::GetError,
    },
    /// A blob could not be stored.
    #[error("store {what}")]
    Store {
        /// What it is.
        what: &'static str,
        /// Why.
        #[source]
        source: encompute_store::PutError,
    },
    /// The case that the job was to belong to.
    #[error("the job's case")]
    Case(#[from] crate::case::CaseError),
    /// The journal could not be read or written.
    #[error("the job's journal")]
    Journal(#[from] JournalError),
    /// The chain knows no such job.
    #[error("there is no job {0}")]
    NoJob(JobId),
    /// The job is not this user's.
    #[error("job {0} is somebody else's")]
    NotOurs(JobId),
    /// The network's trust cannot be used.
    #[error("the network's trust")]
    Trust(#[from] TrustError),
    /// The worker's attestation does not hold.
    #[error("worker {worker} is not attested: {check}: expected {expected}, found {actual}")]
    Unattested {
        /// The worker.
        worker: encompute_protocol::Address,
        /// The first check that failed.
        check: &'static str,
        /// What it should have been.
        expected: String,
        /// What it was.
        actual: String,
    },
    /// The worker renewed its registration since, and the node does not know the one that its receipt names.
    #[error(
        "worker {worker} has renewed its registration since block {at}, and the node does not say what it was then; ask \
         one that keeps old states"
    )]
    Forgotten {
        /// The worker.
        worker: encompute_protocol::Address,
        /// The block of its registration that counts.
        at: encompute_protocol::BlockNumber,
        /// What the node said.
        #[source]
        source: encompute_chain::ReadError,
    },
    /// A round's receipt does not hold; nothing was decrypted.
    #[error("the worker's receipt was refused, nothing was decrypted")]
    Round(#[from] RoundRefused),
    /// The commitment does not hold; the last response was not decrypted.
    #[error("the worker's commitment was refused, its response was not decrypted")]
    Commitment(#[from] CommitmentRefused),
    /// Bytes from somebody else were refused.
    #[error("{what} was refused")]
    Message {
        /// What they were to be.
        what: &'static str,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// A response that conforms to no parameter set was refused.
    #[error("response of round {round} was refused")]
    Response {
        /// Which round.
        round: RoundIndex,
        /// Why.
        #[source]
        source: encompute_fhe::MessageError,
    },
    /// A response of another shape than the plan's was refused; nothing was decrypted.
    #[error("response of round {round} was refused, nothing was decrypted")]
    Shape {
        /// Which round.
        round: RoundIndex,
        /// Why.
        #[source]
        source: encompute_keys::DecryptError,
    },
    /// The worker does not answer, or not as it should.
    #[error("worker at {url}: {found}")]
    Worker {
        /// Where it serves.
        url: String,
        /// What it said.
        found: String,
    },
    /// The plan of the split cannot be used.
    #[error("the split's plan cannot be used: {found}")]
    Plan {
        /// Why.
        found: String,
    },
    /// The input does not fit the split.
    #[error("the input has {found} values, the split takes {wanted}")]
    Input {
        /// Values found.
        found: usize,
        /// Values wanted.
        wanted: usize,
    },
    /// A split whose head is the whole model.
    #[error("split {0:?} has no tail; runs of such splits are not built yet")]
    NoTail(String),
    /// A split whose own creator's report says that it gives its input away.
    #[error("split {split:?} has grade F by its own report: what is released gives the input away")]
    GradedF {
        /// The split.
        split: String,
    },
    /// The parameter set is not allowed on this network.
    #[error("parameter set {found} is not allowed on network {network}")]
    Parameters {
        /// The plan's set.
        found: String,
        /// The network.
        network: String,
    },
    /// Encryption or decryption failed: a fault of program or plan, never of a value.
    #[error("{doing}: {found}")]
    Crypto {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        found: String,
    },
    /// Too few witnesses found what the worker committed: the last response was not decrypted.
    #[error(
        "{found} of three witnesses found what the worker of job {job} committed, {wanted} were asked for; nothing was \
         released"
    )]
    Unwitnessed {
        /// The job.
        job: JobId,
        /// Witnesses that found it.
        found: usize,
        /// Witnesses that must.
        wanted: Witnesses,
    },
    /// The quote that the worker showed over its receipt does not hold: the last response was not decrypted.
    #[error(
        "the quote that the worker of job {job} showed does not hold: {check}: expected {expected}, found {actual}; nothing \
         was released"
    )]
    Unquoted {
        /// The job.
        job: JobId,
        /// The first check that fails.
        check: &'static str,
        /// What it should have been.
        expected: String,
        /// What it was.
        actual: String,
    },
    /// A quote is judged by the user, who is away.
    #[error("a quote is asked for before anything is released, and a user who is away judges none")]
    CustodyUnquoted,
    /// Jobs in a session are not witnessed, and the version asks for it.
    #[error("the version asks for {wanted} witnesses of every job, jobs in a session have none")]
    SessionUnwitnessed {
        /// Witnesses that must find what the worker committed.
        wanted: Witnesses,
    },
    /// The user saw what would be sent, and did not send it.
    #[error("nothing was sent to the creator of job {0}")]
    Declined(JobId),
    /// The release was refused for privacy.
    #[error("the release was refused")]
    Release(#[source] encompute_release::ReleaseError),
    /// The release policy cannot be used.
    #[error("the release policy was refused")]
    Policy(#[source] encompute_release::PolicyError),
    /// The result does not open or is not of this job.
    #[error("the creator's result was refused: {found}")]
    Result {
        /// Why.
        found: String,
    },
    /// The client stopped between two rounds, and the worker has committed what it had run by then: there will be
    /// no answer. Nothing of the last round was decrypted.
    #[error(
        "job {job} has no answer: this side was away while the worker waited for round {answered} of {rounds}, \
         so it has committed the rounds before"
    )]
    Unfinished {
        /// The job.
        job: JobId,
        /// Rounds that the worker ran; the number of the one it waited for.
        answered: usize,
        /// Rounds of the head.
        rounds: usize,
    },
    /// The session cannot do this now.
    #[error("session: {found}")]
    Session {
        /// Why not.
        found: String,
    },
    /// No worker takes the job's key in custody.
    #[error("no worker takes the job's key in custody: {}", .reasons.join("; "))]
    NoCustodian {
        /// What each said.
        reasons: Vec<String>,
    },
    /// Witnesses are asked and paid by a user who is there.
    #[error("{wanted} witnesses are asked for by the user or the version, and a user who is away asks nobody")]
    CustodyUnwitnessed {
        /// Witnesses that must find what the worker committed.
        wanted: Witnesses,
    },
    /// No worker offers a session.
    #[error("no worker offers such a session: {}", .reasons.join("; "))]
    NoSession {
        /// What each said.
        reasons: Vec<String>,
    },
    /// The creator's service does not answer, or not as it should.
    #[error("creator at {url}: {found}")]
    Creator {
        /// Where it serves.
        url: String,
        /// What it said.
        found: String,
    },
    /// The job did not get on within the time that the caller gave.
    #[error("job {job} is still {stage:?} after {seconds} s")]
    TimedOut {
        /// The job.
        job: JobId,
        /// Where it stands.
        stage: Stage,
        /// How long the caller waited.
        seconds: u64,
    },
}
