//! Disputes: a user says that what was committed is wrong or missing, or wants it witnessed before it decrypts, stakes
//! money on it, and the job waits.
//!
//! Every step has a window, and a poke after it: whoever did not act loses, and where nobody can say, what was committed
//! stands. Each dispute is opened once for a job at a stage, so that none can be kept from ending.
//!
//! | kind | at | who acts | if nobody does |
//! |---|---|---|---|
//! | head | head committed, in the challenge window | a poke draws three workers; they seal, then reveal | the head stands |
//! | missing | head or result committed | worker or creator posts the blob | as a worker that is late; a creator that is |
//! | result | result committed | the creator posts the sealed result | the tail fee goes back |
//! | attestation | head committed | the chain, at once | |
//! | witness | head committed, in the challenge window | as of a head; each of the three on a machine of its own | nothing is witnessed |
//! | audit | after the head, of a job that was drawn, by anybody | as of witnesses, or as of a head where machines are few | the head stands |
//! | quote | head committed, by anybody | the worker shows a quote over its receipt | as a worker that is late |
//!
//! Where most of three find a head wrong, the dispute waits once more: its worker may appeal, and three others hear it.
//!
//! | step | who acts | if nobody does |
//! |---|---|---|
//! | ruled: the head is wrong | the worker appeals, for a head fee for each of a committee | the job fails, as it was ruled |
//! | appealed | a poke draws three others; they seal, then reveal; what most of them find is final | as it was ruled; the worker has its deposit back |
//!
//! What the chain knows itself, a time that is over or a revocation, is no vote: nobody appeals from it.

pub mod appeal;
pub mod audit;
mod committee;
mod history;
mod open;
mod post;
mod quote;
pub mod ruling;

pub use appeal::{Review, appeal_deposit, appeal_lines};
pub use committee::agreed;
pub use history::{Appealed, Heard};
pub use ruling::{Ruling, deposit, deposit_lines, sent};

use crate::{
    command::{Decision, Scene},
    context::Host,
    draft::Draft,
    job::Job,
    outcome::Outcome,
    refusal::Refusal,
    state::{ReadState, Write},
};
use encompute_protocol::{
    Address, BlobDigest, Blocks, DisputeKind, DisputeRecord, Plancks, Reason, Stage, dispute::Proceeding,
    event::DisputeOpened, market::SHORTEST_WINDOW,
};

/// The open dispute of a job at `kind`.
fn load<S: ReadState>(state: &S, job: &Job) -> Result<DisputeRecord, Refusal> {
    state.dispute(job.id).ok_or(Refusal::Inconsistent)
}

/// Refuses a dispute that a job has had at this stage.
fn must_be_new(job: &Job, kind: DisputeKind, from: Stage) -> Result<(), Refusal> {
    if job.progress.disputed & kind.bit(from) == 0 { Ok(()) } else { Err(Refusal::DisputedBefore { kind }) }
}

/// How a dispute begins, once all is checked and its deposit is taken.
struct Opening {
    kind: DisputeKind,
    from: Stage,
    deposit: Plancks,
    evidence: Option<BlobDigest>,
    proceeding: Proceeding,
}

/// Begins a dispute: the job waits, and what was left of its window with it. An audit, which may come after the worker has
/// its stake back, holds it again; [`close`] is its end.
fn suspend<S: ReadState, H>(
    scene: &Scene<'_, S, H>,
    draft: &mut Draft<'_, S>,
    mut job: Job,
    Opening { kind, from, deposit, evidence, proceeding }: Opening,
) -> Result<(), Refusal> {
    let at = scene.at;
    let left = Blocks(job.progress.deadline.0.saturating_sub(at.block.0));
    draft.emit(DisputeOpened { job: job.id, kind, by: at.caller, deposit, evidence });
    job.progress.disputed |= kind.bit(from);
    let window = Some(job.terms.windows.dispute);
    job.enter(draft, Stage::Disputed(kind), None, at.caller, at.block, window)?;
    if kind == DisputeKind::Audit {
        audit::hold_stake(scene, draft, &mut job)?;
    }
    let opened_at = at.block;
    let record = DisputeRecord { kind, from, left, deposit, opened_at, evidence, proceeding, appealed: None };
    draft.write(Write::Dispute(job.id, Some(record)));
    job.write_progress(draft);
    Ok(())
}

/// Moves a dispute on: draws a committee, has verdicts revealed, or rules against whoever said nothing.
pub(crate) fn poke<S: ReadState, H: Host>(scene: &Scene<'_, S, H>, job: Job) -> Result<Decision<()>, Refusal> {
    let record = load(scene.state, &job)?;
    match record.proceeding {
        Proceeding::Drawing => committee::draw(scene, job, record),
        Proceeding::Sealing(jurors) => committee::end_sealing(scene, job, record, jurors),
        Proceeding::Revealing(jurors) => {
            job.must_be_late(scene.at.block)?;
            committee::rule(scene, job, record, jurors)
        }
        Proceeding::Quoting { by, .. } => quote::end(scene, job, &record, by),
        Proceeding::Ruled(_) => appeal::accept(scene, job, &record),
        Proceeding::Posting(_) => {
            job.must_be_late(scene.at.block)?;
            let (reason, outcome) = match (record.kind, record.from) {
                (DisputeKind::Result, _) => (Reason::ResultMismatch, Outcome::TailRefunded),
                (_, Stage::ResultCommitted) => (Reason::ResultWithheld, Outcome::CreatorFailed),
                _ => (Reason::BlobMissing, Outcome::TimedOut),
            };
            let mut draft = Draft::new(scene.state);
            close(
                scene,
                &mut draft,
                job,
                &record,
                Ending { reason, outcome: Some(outcome), ruling: Ruling::Upheld },
                &[],
            )?;
            Ok(Decision { changes: draft.finish(), answer: () })
        }
    }
}

/// How a dispute ends: the job fails with an outcome, or goes on with none.
struct Ending {
    reason: Reason,
    outcome: Option<Outcome>,
    ruling: Ruling,
}

impl Ending {
    /// Most of a committee of this kind found the head wrong, while the job held `stake`.
    fn wrong(kind: DisputeKind, winners: u8, stake: Plancks) -> Self {
        Self {
            reason: Reason::HeadMismatch,
            outcome: Some(Outcome::head_wrong(kind, winners, stake)),
            ruling: Ruling::head_wrong(kind, winners, stake),
        }
    }

    /// Most of a committee of this kind found the head right.
    fn right(kind: DisputeKind, winners: u8) -> Self {
        let reason = match kind {
            DisputeKind::Witness => Reason::Witnessed,
            DisputeKind::Audit => Reason::Audited,
            _ => Reason::DisputeRejected,
        };
        Self { reason, outcome: None, ruling: Ruling::Rejected { winners } }
    }

    /// Nobody can say.
    fn unresolved() -> Self {
        Self { reason: Reason::ArbiterTimeout, outcome: None, ruling: Ruling::Unresolved }
    }
}

/// Ends a dispute: the job fails or goes on where it stood, and the deposit goes where the ruling says. `jurors` are those
/// of a committee who agreed; of a quote it is who demanded it.
fn close<S: ReadState, H>(
    scene: &Scene<'_, S, H>,
    draft: &mut Draft<'_, S>,
    mut job: Job,
    record: &DisputeRecord,
    ending: Ending,
    jurors: &[Address],
) -> Result<(), Refusal> {
    let reason = Some(ending.reason);
    match ending.outcome {
        Some(outcome) => job.conclude_in(scene, draft, (Stage::Failed, reason), outcome, jurors)?,
        None => {
            if record.kind == DisputeKind::Audit {
                audit::release_stake(scene, draft, &mut job, record.from)?;
            }
            let window = Some(Blocks(record.left.0.max(SHORTEST_WINDOW.0)));
            job.enter(draft, record.from, reason, scene.at.caller, scene.at.block, window)?;
        }
    }
    let lines = deposit_lines(&job.terms, record.kind, record.from, ending.ruling).ok_or(Refusal::AmountTooLarge)?;
    draft.give_deposit(record.deposit)?;
    job.credit(scene, draft, &lines, jurors)?;
    draft.write(Write::Dispute(job.id, None));
    job.write_progress(draft);
    Ok(())
}
