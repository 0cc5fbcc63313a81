//! What a run tells whoever watches it, and how it ends.

use encompute_host::clock::Instant;
use encompute_protocol::{Address, BlockNumber, DisputeKind, JobId, Reason, Stage};
use std::time::Duration;

/// A piece of work of the user's client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Key generation and encryption.
    Encrypt,
    /// The request blob goes to the gateway.
    Upload,
    /// A worker is found, its evidence verified, its offer taken.
    Offer,
    /// The transaction that pays.
    Request,
    /// Rounds: receipts verified, responses decrypted, activations, encryption again.
    Rounds,
    /// The worker's commitment appears on chain.
    Commit,
    /// Witnesses run the head again, each on a machine of its own.
    Witness,
    /// The worker shows a quote over its receipt, which somebody has demanded.
    Quote,
    /// The job was drawn for an audit: a committee runs the head again, at the treasury's cost.
    Audit,
    /// The commitment verified, the last response decrypted and released.
    Release,
    /// Sealed features go up and on chain.
    Send,
    /// The creator's result appears on chain.
    Tail,
    /// The result is fetched and opened, and accepted.
    Accept,
}

impl Step {
    /// Its name in `--json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Upload => "upload",
            Self::Offer => "offer",
            Self::Request => "request",
            Self::Rounds => "rounds",
            Self::Commit => "commit",
            Self::Witness => "witness",
            Self::Quote => "quote",
            Self::Audit => "audit",
            Self::Release => "release",
            Self::Send => "send",
            Self::Tail => "tail",
            Self::Accept => "accept",
        }
    }
}

/// Who watches a run.
pub trait Watch {
    /// A step begins.
    fn begins(&mut self, _step: Step) {}
    /// A step has ended after so long.
    fn ended(&mut self, _step: Step, _took: Duration) {}
    /// So many of the blobs that the worker needs are in the store.
    fn uploaded(&mut self, _done: usize, _blobs: usize) {}
    /// Round `done` of `rounds` has been decrypted.
    fn round(&mut self, _done: usize, _rounds: usize) {}
    /// Whether these codes, which the releaser has given, may go to the creator. `false` ends the run before anything is
    /// sent.
    fn consents(&mut self, _codes: &[i16]) -> impl Future<Output = bool> + Send {
        core::future::ready(true)
    }
    /// These codes go to the creator: all that it will see of the input, and nothing that was not released.
    fn released(&mut self, _codes: &[i16]) {}
    /// It is this worker's turn to claim the job, or nobody's; anybody may from a block on.
    fn turn(&mut self, _job: JobId, _whose: Option<Address>, _open_from: BlockNumber) {}
    /// The job stands here since this block; the next actor is late after `deadline`.
    fn stage(&mut self, _job: JobId, _stage: Stage, _since: BlockNumber, _deadline: BlockNumber) {}
}

/// Watches nothing.
impl Watch for () {}

/// Bytes between client and worker or store for the encrypted computation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Ciphertexts sent.
    pub up: u64,
    /// Ciphertexts received.
    pub down: u64,
}

/// The creator's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Index of the most probable class.
    pub best: usize,
    /// Its name.
    pub label: String,
    /// Probability of each class, in millionths.
    pub scores: Vec<u32>,
}

/// How a job ended, or where it was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The job.
    pub job: JobId,
    /// Its stage.
    pub stage: Stage,
    /// Why, where the stage alone does not say.
    pub reason: Option<Reason>,
    /// The answer, once there is one.
    pub answer: Option<Answer>,
    /// Bytes of ciphertext.
    pub bytes: Bytes,
    /// True where the worker has, or had, the job's FHE key in custody.
    pub in_custody: bool,
}

/// Which step the client is waiting through at a stage.
pub(crate) fn awaited(stage: Stage, custody: bool) -> Option<Step> {
    match stage {
        Stage::Claimed => Some(Step::Commit),
        Stage::HeadCommitted if custody => Some(Step::Send),
        Stage::FeaturesSent => Some(Step::Tail),
        Stage::Disputed(DisputeKind::Witness) => Some(Step::Witness),
        Stage::Disputed(DisputeKind::Audit) => Some(Step::Audit),
        Stage::Disputed(DisputeKind::Quote) => Some(Step::Quote),
        _ => None,
    }
}

pub(crate) fn begin(watch: &mut impl Watch, step: Step) -> Instant {
    watch.begins(step);
    Instant::now()
}

pub(crate) fn end(watch: &mut impl Watch, step: Step, began: Instant) {
    watch.ended(step, began.elapsed());
}
