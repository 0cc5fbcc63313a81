//! `open_dispute`: the user says what is wrong, and stakes money on it.

use super::{audit, deposit, quote};
use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    job::Job,
    outcome::Outcome,
    refusal::{Field, Refusal},
    state::{ReadState, Write},
};
use encompute_protocol::{
    BlockNumber, Blocks, DisputeKind, DisputeRecord, Reason, Stage, blake2b::Blake2b, call::OpenDispute,
    dispute::Proceeding, event::DisputeOpened,
};

impl Decide for OpenDispute {
    /// The job's user, while the stage that it disputes lasts; of a head, and for witnesses of it, within the challenge
    /// window. Once for each kind and stage. Anybody opens an audit ([`audit`]) and demands a quote.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let at = scene.at;
        let mut job = Job::load(scene.state, self.job)?;
        if self.kind == DisputeKind::Audit {
            return audit::open(scene, job, self);
        }
        if self.kind == DisputeKind::Quote {
            return quote::demand(scene, job, self);
        }
        let from = stage_of(self.kind, &job)?;
        job.must_be_users(at.caller)?;
        job.must_be_on_time(at.block)?;
        let wanted = deposit(&job.terms, self.kind).ok_or(Refusal::AmountTooLarge)?;
        if at.value != wanted {
            return Err(Refusal::DepositMismatch { found: at.value, wanted });
        }
        if self.evidence.is_some_and(|evidence| evidence.is_zero()) {
            return Err(Refusal::Missing { field: Field::Evidence });
        }
        if job.progress.disputed & self.kind.bit(from) != 0 {
            return Err(Refusal::DisputedBefore { kind: self.kind });
        }
        let proceeding = match self.kind {
            DisputeKind::Attestation => return judge_attestation(scene, job),
            DisputeKind::Head | DisputeKind::Witness | DisputeKind::Audit | DisputeKind::Quote => {
                let challenge = job.terms.windows.challenge;
                let deadline = job.progress.changed_at.checked_add(challenge).ok_or(Refusal::NumbersExhausted)?;
                if at.block > deadline {
                    return Err(Refusal::TooLate { deadline, block: at.block });
                }
                Proceeding::Drawing
            }
            DisputeKind::Missing | DisputeKind::Result => Proceeding::Posting(Blake2b::new()),
        };
        let record = DisputeRecord {
            kind: self.kind,
            from,
            left: Blocks(job.progress.deadline.0.saturating_sub(at.block.0)),
            deposit: wanted,
            opened_at: at.block,
            evidence: self.evidence,
            proceeding,
            appealed: None,
        };
        let mut draft = Draft::new(scene.state);
        draft.take_deposit(wanted)?;
        draft.emit(DisputeOpened {
            job: job.id,
            kind: self.kind,
            by: at.caller,
            deposit: wanted,
            evidence: self.evidence,
        });
        job.progress.disputed |= self.kind.bit(from);
        let window = Some(job.terms.windows.dispute);
        job.enter(&mut draft, Stage::Disputed(self.kind), None, at.caller, at.block, window)?;
        draft.write(Write::Dispute(job.id, Some(record)));
        job.write_progress(&mut draft);
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

/// The stage that a dispute is opened at, which is the job's.
fn stage_of(kind: DisputeKind, job: &Job) -> Result<Stage, Refusal> {
    let wanted = match (kind, job.progress.stage) {
        (DisputeKind::Missing, Stage::ResultCommitted) | (DisputeKind::Result, _) => Stage::ResultCommitted,
        _ => Stage::HeadCommitted,
    };
    job.must_be(wanted)?;
    Ok(wanted)
}

/// Everything back, at once, if the code or the machine that the worker attested when it committed has been revoked
/// since: nobody should decrypt what it gave. That is nobody's fault.
fn judge_attestation<S: ReadState, H: Host>(scene: &Scene<'_, S, H>, job: Job) -> Result<Decision<()>, Refusal> {
    let (reason, _) = revoked(scene, &job)?.ok_or(Refusal::NoGround)?;
    job.conclude(scene, Stage::Failed, Some(reason), Outcome::Refunded)
}

/// Whether the code or the machine that the worker attested when it committed has been revoked since, and when.
pub(super) fn revoked<S: ReadState, H>(
    scene: &Scene<'_, S, H>,
    job: &Job,
) -> Result<Option<(Reason, BlockNumber)>, Refusal> {
    let (measurement, platform) = job.progress.measurement.zip(job.progress.platform).ok_or(Refusal::Inconsistent)?;
    let code = scene.state.measurement(measurement).ok_or(Refusal::Inconsistent)?.revoked_at;
    let machine = scene.state.platform(platform).ok_or(Refusal::Inconsistent)?.revoked_at;
    let code = code.map(|block| (Reason::MeasurementRevoked, block));
    Ok(code.or(machine.map(|block| (Reason::PlatformRevoked, block))))
}
