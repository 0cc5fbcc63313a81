//! Quotes on demand: whoever doubts that the enclave which signed a receipt is there, and genuine, has it shown.
//!
//! Anybody demands one, once for a job, from the commitment until features are sent, and stakes a deposit. The job's
//! worker must show a quote whose report data is the digest of its receipt, then a nonce that nobody knew before; it is
//! checked as a registration's is. A worker that shows none is one that withholds what it committed. Once features are
//! sent, its creator would pay for a worker's silence, so none can be demanded any more.

use super::{
    Ending, Opening, Ruling,
    audit::{drawing_block, is_drawn},
    close, deposit, load, must_be_new, suspend,
};
use crate::{
    attested::{Attested, Expected, attested},
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    job::{Job, must_be},
    outcome::Outcome,
    refusal::{Field, Refusal},
    state::ReadState,
};
use alloc::vec::Vec;
use encompute_protocol::{
    Address, BasisPoints, BlobDigest, BlockNumber, DisputeKind, DisputeRecord, Nonce, Reason, Stage,
    call::{OpenDispute, ShowQuote},
    dispute::{AUDIT_BLOCKS, Proceeding},
    event::{QuoteDemanded, QuoteShown},
};

/// Domain of the hash that gives nonces.
const NONCE_TAG: &[u8] = b"encompute/quote-nonce/v1";

/// Demands a quote, for anybody.
pub(super) fn demand<S: ReadState, H: Host>(
    scene: &Scene<'_, S, H>,
    job: Job,
    from: Stage,
    message: &OpenDispute,
) -> Result<Decision<()>, Refusal> {
    let (at, kind) = (scene.at, DisputeKind::Quote);
    job.must_be_on_time(at.block)?;
    let wanted = deposit(&job.terms, kind).ok_or(Refusal::AmountTooLarge)?;
    if at.value != wanted {
        return Err(Refusal::DepositMismatch { found: at.value, wanted });
    }
    let unguessed = message.evidence.filter(|bytes| !bytes.is_zero());
    let unguessed = unguessed.ok_or(Refusal::Missing { field: Field::Evidence })?;
    must_be_new(&job, kind, from)?;
    audit_must_not_be_due(scene, &job)?;
    let (id, nonce) = (job.id, nonce(scene, &job, unguessed));
    let mut draft = Draft::new(scene.state);
    draft.take_deposit(wanted)?;
    let proceeding = Proceeding::Quoting { nonce, by: at.caller };
    suspend(scene, &mut draft, job, Opening { kind, from, deposit: wanted, evidence: message.evidence, proceeding })?;
    draft.emit(QuoteDemanded { job: id, nonce });
    Ok(Decision { changes: draft.finish(), answer: () })
}

/// A demand suspends a job for longer than the platform knows the hash that draws audits. So none is made before that hash
/// is known, nor of a job that was drawn and that somebody can still have audited: or a worker could escape by its own demand.
fn audit_must_not_be_due<S: ReadState, H: Host>(scene: &Scene<'_, S, H>, job: &Job) -> Result<(), Refusal> {
    let (share, block) = (job.terms.audit_share, scene.at.block);
    let had = job.progress.disputed & DisputeKind::Audit.bit(job.progress.stage) != 0;
    if share == BasisPoints(0) || had {
        return Ok(());
    }
    let decides = drawing_block(&job.progress).ok_or(Refusal::Inconsistent)?;
    if block <= decides {
        return Err(Refusal::NotYetLate { deadline: decides, block });
    }
    let until = job.progress.committed_at.checked_add(AUDIT_BLOCKS).ok_or(Refusal::NumbersExhausted)?;
    let hash = scene.host.block_hash(decides).filter(|_| block <= until);
    let cost = deposit(&job.terms, DisputeKind::Audit).ok_or(Refusal::AmountTooLarge)?;
    let can_pay = scene.state.credit(scene.state.params().treasury) >= cost;
    let drawn = hash.is_some_and(|hash| is_drawn(scene.host, &hash, scene.at.contract, job.id, share));
    if drawn && can_pay { Err(Refusal::AuditDue { until }) } else { Ok(()) }
}

/// Made of bytes that only the caller knew before this block, and of the hash of the one before, which nobody knew long:
/// no quote is older, whoever demands it.
fn nonce<S: ReadState, H: Host>(scene: &Scene<'_, S, H>, job: &Job, unguessed: BlobDigest) -> Nonce {
    let at = scene.at;
    let before = BlockNumber(at.block.0.saturating_sub(1));
    let hash = scene.host.block_hash(before).unwrap_or_default();
    let mut bytes = Vec::with_capacity(224);
    for part in [
        NONCE_TAG,
        &at.genesis.0,
        &at.contract.0,
        &job.id.0.to_le_bytes(),
        &at.block.0.to_le_bytes(),
        &at.caller.0,
        &unguessed.0,
        &hash,
    ] {
        bytes.extend_from_slice(part);
    }
    Nonce(scene.host.keccak_256(&bytes))
}

impl Decide for ShowQuote {
    /// The job's worker, within the window: by the code that it attested when it committed, on any machine that is listed: its
    /// own may have a new key meanwhile. The job goes on where it stood.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let job = Job::load(scene.state, self.job)?;
        job.must_be(Stage::Disputed(DisputeKind::Quote))?;
        let record = load(scene.state, &job)?;
        let Proceeding::Quoting { nonce, by } = record.proceeding else { return Err(Refusal::Inconsistent) };
        let progress = &job.progress;
        must_be(scene.at.caller, progress.worker.ok_or(Refusal::Inconsistent)?)?;
        job.must_be_on_time(scene.at.block)?;
        if self.evidence.is_zero() {
            return Err(Refusal::Missing { field: Field::Evidence });
        }
        let code = progress.measurement.ok_or(Refusal::Inconsistent)?;
        scene.measurement_must_be_usable(code)?;
        scene.platform_of(&self.quote.attestation_key)?;
        let receipt = progress.receipt.ok_or(Refusal::Inconsistent)?;
        let expected = Expected { statement: receipt.0, nonce, tee: None };
        let Attested { measurement, quote } = attested(scene.host, &self.quote, &expected)?;
        if measurement != code {
            return Err(Refusal::MeasurementMismatch { found: measurement, wanted: code });
        }
        let mut draft = Draft::new(scene.state);
        draft.emit(QuoteShown { job: job.id, quote, evidence: self.evidence });
        let ending = Ending { reason: Reason::Quoted, outcome: None, ruling: Ruling::Rejected { winners: 0 } };
        close(scene, &mut draft, job, &record, ending, &[by])?;
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

/// After the window: no quote was shown. A worker whose code or machine was revoked within it could show none that counts.
pub(super) fn end<S: ReadState, H: Host>(
    scene: &Scene<'_, S, H>,
    job: Job,
    record: &DisputeRecord,
    by: Address,
) -> Result<Decision<()>, Refusal> {
    job.must_be_late(scene.at.block)?;
    let (reason, outcome) = match super::open::revoked(scene, &job)? {
        Some((reason, revoked_at)) if revoked_at <= job.progress.deadline => (reason, Outcome::Refunded),
        _ => (Reason::QuoteMissing, Outcome::QuoteMissing { stake: job.progress.stake_held }),
    };
    let mut draft = Draft::new(scene.state);
    let ending = Ending { reason, outcome: Some(outcome), ruling: Ruling::Upheld };
    close(scene, &mut draft, job, record, ending, &[by])?;
    Ok(Decision { changes: draft.finish(), answer: () })
}
