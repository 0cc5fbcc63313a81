//! Audits: of some jobs a committee runs the head again although nobody complains, and the treasury pays for it.
//!
//! Which jobs those are follows from the hash of the block after the commitment, so nobody knows it who commits. Anybody
//! may say it, once; then the job waits as in any other dispute.

use super::{Opening, deposit, must_be_new, suspend};
use crate::{
    command::{Decision, Scene},
    context::Host,
    draft::Draft,
    job::Job,
    refusal::Refusal,
    state::{ReadState, Write},
    worker::free_stake,
};
use alloc::vec::Vec;
use encompute_protocol::{
    BasisPoints, BlockNumber, ContractAddress, DisputeKind, JobId, JobProgress, Plancks, Stage,
    call::OpenDispute,
    dispute::{AUDIT_BLOCKS, Proceeding},
    event::{CreditStaked, Movement},
};

/// Domain of the hash that draws jobs.
const DRAW_TAG: &[u8] = b"encompute/audit/v1";

/// The block whose hash says whether a job is audited: the one after its head was committed. `None` before that.
pub fn drawing_block(progress: &JobProgress) -> Option<BlockNumber> {
    progress.output.and(progress.committed_at.0.checked_add(1)).map(BlockNumber)
}

/// True for `share` of all jobs: where the number that follows from the hash of [`drawing_block`] is below it.
pub fn is_drawn<H: Host>(host: &H, hash: &[u8; 32], contract: ContractAddress, job: JobId, share: BasisPoints) -> bool {
    let mut bytes = Vec::with_capacity(80);
    for part in [DRAW_TAG, hash, &contract.0, &job.0.to_le_bytes()] {
        bytes.extend_from_slice(part);
    }
    let [one, two, three, four, five, six, seven, eight, ..] = host.keccak_256(&bytes);
    let number = u64::from_le_bytes([one, two, three, four, five, six, seven, eight]);
    // Of 2⁶⁴ numbers the last part that 10,000 does not divide is a 2⁻⁵⁰ of all.
    u128::from(number).checked_rem(BasisPoints::ONE).is_some_and(|number| number < share.0.into())
}

/// Opens an audit, for anybody: of a job that was drawn, at any stage after its head, once, while the platform knows the
/// hash. The deposit is the treasury's, the caller sends nothing.
pub(super) fn open<S: ReadState, H: Host>(
    scene: &Scene<'_, S, H>,
    job: Job,
    from: Stage,
    message: &OpenDispute,
) -> Result<Decision<()>, Refusal> {
    let (at, kind) = (scene.at, DisputeKind::Audit);
    job.must_be_on_time(at.block)?;
    if !at.value.is_zero() {
        return Err(Refusal::DepositMismatch { found: at.value, wanted: Plancks::ZERO });
    }
    // Nobody is a party: what somebody shows to some of a committee must not divide it.
    if message.evidence.is_some() {
        return Err(Refusal::EvidenceNotTaken);
    }
    must_be_new(&job, kind, from)?;
    must_be_drawn(scene, &job)?;
    let wanted = deposit(&job.terms, kind).ok_or(Refusal::AmountTooLarge)?;
    let treasury = scene.state.params().treasury;
    let found = scene.state.credit(treasury);
    if found < wanted {
        return Err(Refusal::TreasuryTooPoor { found, wanted });
    }
    let mut draft = Draft::new(scene.state);
    draft.stake_credit(treasury, wanted)?;
    draft.emit(CreditStaked { account: treasury, job: job.id, amount: wanted });
    let opening = Opening { kind, from, deposit: wanted, evidence: None, proceeding: Proceeding::Drawing };
    suspend(scene, &mut draft, job, opening)?;
    Ok(Decision { changes: draft.finish(), answer: () })
}

/// Refuses a job before and after the blocks in which an audit may be opened, and one that was not drawn.
fn must_be_drawn<S: ReadState, H: Host>(scene: &Scene<'_, S, H>, job: &Job) -> Result<(), Refusal> {
    let block = scene.at.block;
    let decides = drawing_block(&job.progress).ok_or(Refusal::Inconsistent)?;
    if block <= decides {
        return Err(Refusal::NotYetLate { deadline: decides, block });
    }
    let deadline = job.progress.committed_at.checked_add(AUDIT_BLOCKS).ok_or(Refusal::NumbersExhausted)?;
    let too_late = Refusal::TooLate { deadline, block };
    if block > deadline {
        return Err(too_late);
    }
    let hash = scene.host.block_hash(decides).ok_or(too_late)?;
    let share = job.terms.audit_share;
    if is_drawn(scene.host, &hash, scene.at.contract, job.id, share) {
        Ok(())
    } else {
        Err(Refusal::NotDrawn { job: job.id, share })
    }
}

/// Locks what the job does not hold of its worker's stake, as far as there is any: what is free, then what was asked back.
/// It is released with the features, and unbonding takes longer than a job: a worker cannot have left with it, but
/// other jobs may hold it.
pub(super) fn hold_stake<S: ReadState, H>(
    scene: &Scene<'_, S, H>,
    draft: &mut Draft<'_, S>,
    job: &mut Job,
) -> Result<(), Refusal> {
    let held = job.progress.stake_held;
    let wanted = job.terms.job_stake.checked_sub(held).ok_or(Refusal::Inconsistent)?;
    if wanted.is_zero() {
        return Ok(());
    }
    let (account, mut worker) = job.worker(scene.state)?;
    let free = free_stake(&worker)?;
    let called_back = wanted.checked_sub(free).unwrap_or_default().min(worker.stake_leaving);
    if !called_back.is_zero() {
        let leaving = worker.stake_leaving.checked_sub(called_back).ok_or(Refusal::Inconsistent)?;
        draft.move_stake(account, &mut worker, None, Movement::Asked, leaving)?;
    }
    let locked = wanted.min(free.checked_add(called_back).ok_or(Refusal::AmountTooLarge)?);
    draft.move_stake(account, &mut worker, Some(job.id), Movement::Locked, locked)?;
    job.progress.stake_held = held.checked_add(locked).ok_or(Refusal::AmountTooLarge)?;
    draft.write(Write::Worker(account, worker));
    Ok(())
}

/// The job goes on at `from`: a worker whose part was done has its stake back.
pub(super) fn release_stake<S: ReadState, H>(
    scene: &Scene<'_, S, H>,
    draft: &mut Draft<'_, S>,
    job: &mut Job,
    from: Stage,
) -> Result<(), Refusal> {
    if from == Stage::HeadCommitted || job.progress.stake_held.is_zero() {
        return Ok(());
    }
    let (account, mut worker) = job.worker(scene.state)?;
    let held = core::mem::take(&mut job.progress.stake_held);
    draft.move_stake(account, &mut worker, Some(job.id), Movement::Released, held)?;
    draft.write(Write::Worker(account, worker));
    Ok(())
}
