//! `open_dispute`: the user says what is wrong, and stakes money on it.

use super::{Opening, audit, deposit, must_be_new, quote, suspend};
use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    job::Job,
    outcome::Outcome,
    refusal::{Field, Refusal},
    state::ReadState,
};
use encompute_protocol::{
    BlockNumber, DisputeKind, Reason, Stage, blake2b::Blake2b, call::OpenDispute, dispute::Proceeding,
};

impl Decide for OpenDispute {
    /// The job's user, while the stage that it disputes lasts; of a head, and for witnesses of it, within the challenge
    /// window. Once for each kind and stage. Anybody opens an audit ([`audit`]) and demands a quote.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let at = scene.at;
        let job = Job::load(scene.state, self.job)?;
        let from = stage_of(self.kind, &job)?;
        match self.kind {
            DisputeKind::Audit => return audit::open(scene, job, from, self),
            DisputeKind::Quote => return quote::demand(scene, job, from, self),
            _ => {}
        }
        job.must_be_users(at.caller)?;
        job.must_be_on_time(at.block)?;
        let wanted = deposit(&job.terms, self.kind).ok_or(Refusal::AmountTooLarge)?;
        if at.value != wanted {
            return Err(Refusal::DepositMismatch { found: at.value, wanted });
        }
        if self.evidence.is_some_and(|evidence| evidence.is_zero()) {
            return Err(Refusal::Missing { field: Field::Evidence });
        }
        must_be_new(&job, self.kind, from)?;
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
        let mut draft = Draft::new(scene.state);
        draft.take_deposit(wanted)?;
        let opening = Opening { kind: self.kind, from, deposit: wanted, evidence: self.evidence, proceeding };
        suspend(scene, &mut draft, job, opening)?;
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

/// The job's stage, where a dispute of this kind can be opened at it.
fn stage_of(kind: DisputeKind, job: &Job) -> Result<Stage, Refusal> {
    use Stage::{FeaturesSent, HeadCommitted, ResultCommitted};
    let (first, later): (Stage, &[Stage]) = match kind {
        DisputeKind::Head | DisputeKind::Witness | DisputeKind::Attestation | DisputeKind::Quote => {
            (HeadCommitted, &[])
        }
        DisputeKind::Audit => (HeadCommitted, &[FeaturesSent, ResultCommitted]),
        DisputeKind::Missing => (HeadCommitted, &[ResultCommitted]),
        DisputeKind::Result => (ResultCommitted, &[]),
    };
    let found = job.progress.stage;
    if !later.contains(&found) {
        job.must_be(first)?;
    }
    Ok(found)
}

/// Everything back, at once, if the code or the machine that the worker attested when it committed has been revoked
/// since: nobody should decrypt what it gave. That is nobody's fault.
fn judge_attestation<S: ReadState, H: Host>(scene: &Scene<'_, S, H>, job: Job) -> Result<Decision<()>, Refusal> {
    let (reason, _) = revoked(scene, &job)?.ok_or(Refusal::NoGround)?;
    job.conclude(scene, Stage::Failed, Some(reason), Outcome::Refunded)
}

/// Whether the code or the machine that the worker attested when it committed has been revoked since, and when the first of
/// the two was.
pub(super) fn revoked<S: ReadState, H>(
    scene: &Scene<'_, S, H>,
    job: &Job,
) -> Result<Option<(Reason, BlockNumber)>, Refusal> {
    let (measurement, platform) = job.progress.measurement.zip(job.progress.platform).ok_or(Refusal::Inconsistent)?;
    let code = scene.state.measurement(measurement).ok_or(Refusal::Inconsistent)?.revoked_at;
    let machine = scene.state.platform(platform).ok_or(Refusal::Inconsistent)?.revoked_at;
    let code = code.map(|block| (Reason::MeasurementRevoked, block));
    let machine = machine.map(|block| (Reason::PlatformRevoked, block));
    Ok(code.into_iter().chain(machine).min_by_key(|(_, block)| *block))
}
