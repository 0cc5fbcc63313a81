//! A committee of workers runs a head again, for a dispute or as witnesses: drawn, sealed, revealed, and what most of
//! them say holds.

use super::{Ending, appeal, close, load};
use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    job::Job,
    lottery::Numbers,
    outcome::Settlement,
    refusal::{Field, Refusal},
    state::{ReadState, Write},
};
use alloc::vec::Vec;
use encompute_protocol::{
    Address, BasisPoints, BlockNumber, DisputeKind, DisputeRecord, JobTerms, PlatformId, Reason, Signed, Stage,
    Verdict, WorkerRecord,
    call::{RevealVerdict, SealVerdict},
    dispute::{COMMITTEE, FormerJuror, Juror, MAJORITY, Opinion, Proceeding, VerdictStatement},
    event::{JurorDrawn, Movement, VerdictRevealed, VerdictSealed},
};

/// Domain of the hash that draws.
const DRAW_TAG: &[u8] = b"encompute/committee/v1";

/// Draws the committee, once the block after the one that opened the dispute, or appealed its ruling, is known; if
/// nobody did in time, or too few workers can be drawn, the head stands, or what was ruled.
pub(super) fn draw<S: ReadState, H: Host>(
    scene: &Scene<'_, S, H>,
    mut job: Job,
    record: DisputeRecord,
) -> Result<Decision<()>, Refusal> {
    let block = scene.at.block;
    let decides = BlockNumber(record.opened_at.0.checked_add(1).ok_or(Refusal::NumbersExhausted)?);
    if block <= decides {
        return Err(Refusal::NotYetLate { deadline: decides, block });
    }
    let hash = scene.host.block_hash(decides).filter(|_| block <= job.progress.deadline);
    let drawn = hash.map(|hash| pick(scene, &job, &record, &hash)).transpose()?.flatten();
    let mut draft = Draft::new(scene.state);
    let Some(drawn) = drawn else {
        // Whoever is busy now may be free later: an appeal ends unheard only once nobody can be drawn for it any more.
        if record.appealed.is_some() && hash.is_some() {
            return Err(Refusal::NotYetLate { deadline: job.progress.deadline, block });
        }
        match record.appealed {
            Some(_) => appeal::end(scene, &mut draft, job, &record, None)?,
            None => close(scene, &mut draft, job, &record, Ending::unresolved(), &[])?,
        }
        return Ok(Decision { changes: draft.finish(), answer: () });
    };
    for (account, mut worker) in drawn {
        draft.emit(JurorDrawn { job: job.id, juror: account, platform: worker.platform });
        draft.move_stake(account, &mut worker, Some(job.id), Movement::Locked, job.terms.job_stake)?;
        draft.write(Write::Worker(account, worker));
    }
    let jurors = drawn.map(|(account, _)| Juror { account, seal: None, verdict: None });
    go_on(scene, &mut draft, &mut job, record, (Proceeding::Sealing(jurors), None))?;
    Ok(Decision { changes: draft.finish(), answer: () })
}

/// The next step of a dispute, with a window of its own, and why it comes to it.
pub(super) fn go_on<S: ReadState, H>(
    scene: &Scene<'_, S, H>,
    draft: &mut Draft<'_, S>,
    job: &mut Job,
    record: DisputeRecord,
    (proceeding, reason): (Proceeding, Option<Reason>),
) -> Result<(), Refusal> {
    let window = Some(job.terms.windows.dispute);
    job.enter(draft, Stage::Disputed(record.kind), reason, scene.at.caller, scene.at.block, window)?;
    draft.write(Write::Dispute(job.id, Some(DisputeRecord { proceeding, ..record })));
    job.write_progress(draft);
    Ok(())
}

type Drawn = [(Address, WorkerRecord); COMMITTEE];

/// A worker that can judge, and where the hash puts it and its machine among all.
#[derive(Clone, Copy)]
struct Candidate {
    rank: u64,
    machine: u64,
    account: Address,
    worker: WorkerRecord,
}

/// Three of the workers that can judge, each as likely as another; none where there are fewer. Witnesses are on machines
/// of their own, each machine as likely as another: whoever has one machine's key is one of them at most, and none
/// where the job's worker is its own, however many workers it registers there. Nobody hears an appeal from itself.
///
/// Everybody's place follows from the hash and its own name, and who has come since the dispute began has none: whoever
/// knows the hash and withdraws workers, or brings new ones, moves none of the others.
fn pick<S: ReadState, H: Host>(
    scene: &Scene<'_, S, H>,
    job: &Job,
    record: &DisputeRecord,
    hash: &[u8; 32],
) -> Result<Option<Drawn>, Refusal> {
    let kind = record.kind;
    let former = judged_before(scene.state, record)?;
    let mut numbers = Numbers::new(scene.host, DRAW_TAG, hash, job.id);
    let mut able = Vec::new();
    for account in numbers.sample(scene.state, job.progress.workers)? {
        let worker = scene.state.worker(account).ok_or(Refusal::Inconsistent)?;
        let came_after = worker.raised_at > record.opened_at;
        let has_judged = former.contains(&account) || former.contains(&worker.payout);
        if !came_after && !has_judged && can_judge(scene, job, account, &worker)? {
            let (rank, machine) = (numbers.of(&account.0), numbers.of(&worker.platform.0));
            able.push(Candidate { rank, machine, account, worker });
        }
    }
    if kind == DisputeKind::Head {
        return Ok(lowest(&able, None));
    }
    let apart = lowest(&able, Some(job.progress.platform));
    // Nobody has asked for machines of their own: an audit by three of one maker is better than none.
    Ok(if kind == DisputeKind::Audit { apart.or_else(|| lowest(&able, None)) } else { apart })
}

/// Those who have ruled on the head before, and where they are paid, which cannot change while their stake is locked: none
/// of them hears its appeal.
fn judged_before<S: ReadState>(state: &S, record: &DisputeRecord) -> Result<Vec<Address>, Refusal> {
    let mut all = Vec::new();
    for juror in record.former_jurors() {
        let worker = state.worker(juror.account).ok_or(Refusal::Inconsistent)?;
        all.extend([juror.account, worker.payout]);
    }
    Ok(all)
}

/// The three with the lowest places. If they must be `apart`, the first worker on each of the first three machines, none of
/// them the job's own. None where there are fewer.
fn lowest(able: &[Candidate], apart: Option<Option<PlatformId>>) -> Option<Drawn> {
    let mut drawn: Vec<Candidate> = Vec::with_capacity(COMMITTEE);
    while drawn.len() < COMMITTEE {
        let is_other = |found: &&Candidate| {
            let machine = Some(found.worker.platform);
            let is_apart = |own| own != machine && drawn.iter().all(|other| Some(other.worker.platform) != machine);
            apart.map_or_else(|| drawn.iter().all(|other| other.account != found.account), is_apart)
        };
        let place = |found: &&Candidate| (apart.map(|_| found.machine), found.rank, found.account);
        drawn.push(*able.iter().filter(is_other).min_by_key(place)?);
    }
    let three: &[Candidate; COMMITTEE] = drawn.first_chunk()?;
    Some(three.map(|found| (found.account, found.worker)))
}

/// True for a worker that is no party of the job, registered with code that is allowed until the verdict is due, takes jobs
/// and has the job's stake to lose. Its places may all be taken: else whoever fills them with sessions chose who judges.
fn can_judge<S: ReadState, H: Host>(
    scene: &Scene<'_, S, H>,
    job: &Job,
    account: Address,
    worker: &WorkerRecord,
) -> Result<bool, Refusal> {
    let window = job.terms.windows.dispute;
    let until = scene.at.block.checked_add(window).and_then(|block| block.checked_add(window));
    let until = until.ok_or(Refusal::NumbersExhausted)?;
    let (of_job, record) = job.worker(scene.state)?;
    let terms = &job.terms;
    let parties = [of_job, record.payout, terms.user, terms.payer(), job.model(scene.state)?.creator];
    let is_party = parties.contains(&account) || parties.contains(&worker.payout);
    Ok(!is_party
        && worker.expires_at > until
        && scene.measurement_must_be_usable(worker.measurement).is_ok()
        && scene.platform_must_be_usable(worker.platform).is_ok()
        && worker.capacity > 0
        && crate::worker::free_stake(worker)? >= job.terms.job_stake)
}

/// The disputed job and its dispute; refuses any other stage.
pub(super) fn of_head<S: ReadState>(
    state: &S,
    job: encompute_protocol::JobId,
) -> Result<(Job, DisputeRecord), Refusal> {
    let job = Job::load(state, job)?;
    let kind = match job.progress.stage {
        Stage::Disputed(kind @ (DisputeKind::Witness | DisputeKind::Audit)) => kind,
        _ => DisputeKind::Head,
    };
    job.must_be(Stage::Disputed(kind))?;
    let record = load(state, &job)?;
    Ok((job, record))
}

fn juror(jurors: &mut [Juror; COMMITTEE], caller: Address) -> Result<&mut Juror, Refusal> {
    jurors.iter_mut().find(|juror| juror.account == caller).ok_or(Refusal::NotJuror { caller })
}

impl Decide for SealVerdict {
    /// A member of the committee, once, while verdicts are sealed. With the last the revealing begins.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let (mut job, record) = of_head(scene.state, self.job)?;
        let Proceeding::Sealing(mut jurors) = record.proceeding else { return Err(Refusal::WrongStep) };
        let found = juror(&mut jurors, scene.at.caller)?;
        job.must_be_on_time(scene.at.block)?;
        if self.seal == [0; 32] {
            return Err(Refusal::Missing { field: Field::Seal });
        }
        if found.seal.replace(self.seal).is_some() {
            return Err(Refusal::VerdictTwice);
        }
        let mut draft = Draft::new(scene.state);
        draft.emit(VerdictSealed { job: job.id, juror: scene.at.caller });
        if jurors.iter().all(|juror| juror.seal.is_some()) {
            go_on(scene, &mut draft, &mut job, record, (Proceeding::Revealing(jurors), None))?;
        } else {
            let proceeding = Proceeding::Sealing(jurors);
            draft.write(Write::Dispute(job.id, Some(DisputeRecord { proceeding, ..record })));
        }
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for RevealVerdict {
    /// A member of the committee, what it sealed, while verdicts are revealed. The last one to be revealed rules.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let (job, record) = of_head(scene.state, self.job)?;
        let Proceeding::Revealing(mut jurors) = record.proceeding else { return Err(Refusal::WrongStep) };
        let found = juror(&mut jurors, scene.at.caller)?;
        job.must_be_on_time(scene.at.block)?;
        let statement = VerdictStatement {
            genesis: scene.at.genesis,
            contract: scene.at.contract,
            job: job.id,
            juror: scene.at.caller,
            verdict: self.verdict,
            salt: self.salt,
        };
        if found.seal != Some(scene.host.keccak_256(&statement.preimage())) {
            return Err(Refusal::WrongSeal);
        }
        if found.verdict.replace(self.verdict).is_some() {
            return Err(Refusal::VerdictTwice);
        }
        let revealed = VerdictRevealed { job: job.id, juror: scene.at.caller, verdict: self.verdict };
        if jurors.iter().all(|juror| juror.verdict.is_some() || juror.seal.is_none()) {
            return rule_after(scene, job, record, jurors, Some(revealed));
        }
        let mut draft = Draft::new(scene.state);
        draft.emit(revealed);
        let proceeding = Proceeding::Revealing(jurors);
        draft.write(Write::Dispute(job.id, Some(DisputeRecord { proceeding, ..record })));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

/// After the window to seal: those who did reveal, if they can still be most; else they have ruled nothing.
pub(super) fn end_sealing<S: ReadState, H: Host>(
    scene: &Scene<'_, S, H>,
    mut job: Job,
    record: DisputeRecord,
    jurors: [Juror; COMMITTEE],
) -> Result<Decision<()>, Refusal> {
    job.must_be_late(scene.at.block)?;
    if jurors.iter().filter(|juror| juror.seal.is_some()).count() < MAJORITY {
        return rule(scene, job, record, jurors);
    }
    let mut draft = Draft::new(scene.state);
    go_on(scene, &mut draft, &mut job, record, (Proceeding::Revealing(jurors), None))?;
    Ok(Decision { changes: draft.finish(), answer: () })
}

/// Rules by what most have revealed; if they do not agree, the head stands, or what was ruled before an appeal.
pub(super) fn rule<S: ReadState, H: Host>(
    scene: &Scene<'_, S, H>,
    job: Job,
    record: DisputeRecord,
    jurors: [Juror; COMMITTEE],
) -> Result<Decision<()>, Refusal> {
    rule_after(scene, job, record, jurors, None)
}

fn rule_after<S: ReadState, H: Host>(
    scene: &Scene<'_, S, H>,
    mut job: Job,
    record: DisputeRecord,
    jurors: [Juror; COMMITTEE],
    revealed: Option<VerdictRevealed>,
) -> Result<Decision<()>, Refusal> {
    let agreed = agreed(record.kind, record.appealed.is_some(), || jurors.iter().filter_map(|juror| juror.verdict));
    let mut draft = Draft::new(scene.state);
    if let Some(revealed) = revealed {
        draft.emit(revealed);
    }
    if let Some(found) = agreed.filter(|found| found.wrong && record.appealed.is_none()) {
        let opinion = |juror: Juror| Opinion::of(juror.verdict, found);
        let former = jurors.map(|juror| FormerJuror { account: juror.account, opinion: opinion(juror) });
        go_on(scene, &mut draft, &mut job, record, (Proceeding::Ruled(former), Some(Reason::HeadMismatch)))?;
        return Ok(Decision { changes: draft.finish(), answer: () });
    }
    let mut winners = Vec::with_capacity(COMMITTEE);
    for juror in jurors {
        let mut worker = scene.state.worker(juror.account).ok_or(Refusal::Inconsistent)?;
        if agreed.is_some() && juror.verdict == agreed {
            winners.push(worker.payout);
        }
        release(scene, &mut draft, &job, (juror.account, &mut worker), lost_by(&job.terms, juror.verdict, agreed))?;
        draft.write(Write::Worker(juror.account, worker));
    }
    if record.appealed.is_some() {
        appeal::end(scene, &mut draft, job, &record, agreed.map(|found| (found, winners)))?;
    } else {
        // COMMITTEE at most.
        let right = agreed.map(|_| Ending::right(record.kind, winners.len() as u8));
        close(scene, &mut draft, job, &record, right.unwrap_or(Ending::unresolved()), &winners)?;
    }
    Ok(Decision { changes: draft.finish(), answer: () })
}

/// What most of a committee have revealed, word for word. Witnesses and auditors that were shown nothing have agreed on nothing: what
/// they did not see does not stand. Nor has a committee that hears an appeal: who appeals has to show what it committed.
pub fn agreed<I: Iterator<Item = Verdict>>(
    kind: DisputeKind,
    on_appeal: bool,
    verdicts: impl Fn() -> I,
) -> Option<Verdict> {
    let most = verdicts().find(|verdict| verdicts().filter(|other| other == verdict).count() >= MAJORITY);
    let must_see = on_appeal || matches!(kind, DisputeKind::Witness | DisputeKind::Audit);
    most.filter(|verdict| !must_see || *verdict != Verdict::NOTHING_SHOWN)
}

/// What a member of a committee loses of its stake: for silence, or for saying what most did not.
pub(super) fn lost_by(terms: &JobTerms, found: Option<Verdict>, agreed: Option<Verdict>) -> Option<BasisPoints> {
    match (found, agreed) {
        (None, _) => Some(terms.retry_slash),
        (found, Some(_)) if found != agreed => Some(terms.fail_slash),
        _ => None,
    }
}

/// Gives a member of the committee its stake back, less the share that it has lost. The caller writes the record.
pub(super) fn release<S: ReadState, H>(
    scene: &Scene<'_, S, H>,
    draft: &mut Draft<'_, S>,
    job: &Job,
    (account, worker): (Address, &mut WorkerRecord),
    lost: Option<BasisPoints>,
) -> Result<(), Refusal> {
    let slash = lost.map(|share| Settlement::of_juror(&job.terms, share).ok_or(Refusal::AmountTooLarge)).transpose()?;
    let slash = slash.unwrap_or_default();
    let kept = job.terms.job_stake.checked_sub(slash.stake_slashed).ok_or(Refusal::Inconsistent)?;
    draft.move_stake(account, worker, Some(job.id), Movement::Slashed, slash.stake_slashed)?;
    draft.move_stake(account, worker, Some(job.id), Movement::Released, kept)?;
    job.credit(scene, draft, &slash.lines, &[])
}
