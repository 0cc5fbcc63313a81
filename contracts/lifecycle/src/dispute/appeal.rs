//! Appeals: that most of a committee find a head wrong is a vote and no proof. So nothing is taken for a window, in which
//! the job's worker may have another committee hear the head, once.
//!
//! What the second rules is final. Where it rules nothing, because it cannot be drawn or does not agree, the first has
//! ruled. Both committees' stakes are locked until then.

use super::{
    Ending,
    committee::{go_on, of_head, release},
};
use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    job::{Job, must_be},
    outcome::{Line, Party, Settlement},
    refusal::Refusal,
    state::{ReadState, Write},
};
use alloc::vec::Vec;
use encompute_protocol::{
    Address, BasisPoints, DisputeRecord, JobTerms, Plancks, Verdict,
    call::AppealRuling,
    dispute::{COMMITTEE, FormerJuror, Opinion, Proceeding},
    event::{Cause, RulingAppealed},
};

/// How an appeal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    /// The second committee found the head wrong, too: the job fails as the first has ruled.
    Confirmed {
        /// How many of the first were of its opinion; they come first among those who are paid.
        first: u8,
        /// How many of the second were.
        second: u8,
    },
    /// The second found the head right: the job goes on, and the first has voted wrong.
    Overturned,
    /// There was no second, or it did not agree: the job fails as the first has ruled.
    Unheard,
}

/// What a worker stakes on an appeal: a head fee for each of the second committee. `None` on overflow, which a price
/// rules out.
pub fn appeal_deposit(terms: &JobTerms) -> Option<Plancks> {
    terms.fees.head.checked_mul(COMMITTEE as u128)
}

/// Who has that deposit: the worker, unless its head was found wrong again. Then each of the second committee who found
/// so has a head fee of it, the treasury what is left. `None` on overflow.
pub fn appeal_lines(terms: &JobTerms, review: Review) -> Option<Vec<Line>> {
    let all = appeal_deposit(terms)?;
    let mut settlement = Settlement::default();
    match review {
        Review::Confirmed { first, second } => {
            for at in 0..second {
                settlement.owe(Party::Juror(first.checked_add(at)?), terms.fees.head, Cause::Deposit);
            }
            let paid = terms.fees.head.checked_mul(second.into())?;
            settlement.owe(Party::Treasury, all.checked_sub(paid)?, Cause::Deposit);
        }
        Review::Overturned | Review::Unheard => settlement.owe(Party::Worker, all, Cause::Deposit),
    }
    Some(settlement.lines)
}

/// What a member of a first committee loses of its stake: silence and another opinion than most's cost it as in any
/// committee, and where most were wrong it is those who found the head wrong whose opinion was another.
pub(super) fn lost_by(terms: &JobTerms, opinion: Opinion, overturned: bool) -> Option<BasisPoints> {
    match opinion {
        Opinion::Silent => Some(terms.retry_slash),
        Opinion::Right => (!overturned).then_some(terms.fail_slash),
        Opinion::Wrong => overturned.then_some(terms.fail_slash),
        Opinion::WrongOtherwise => Some(terms.fail_slash),
    }
}

impl Decide for AppealRuling {
    /// The job's worker, on the account that it works with, once in a dispute, within the window after the ruling.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let at = scene.at;
        let (mut job, record) = of_head(scene.state, self.job)?;
        if record.appealed.is_some() {
            return Err(Refusal::AppealedBefore { job: job.id });
        }
        let Proceeding::Ruled(jurors) = record.proceeding else { return Err(Refusal::WrongStep) };
        must_be(at.caller, job.progress.worker.ok_or(Refusal::Inconsistent)?)?;
        job.must_be_on_time(at.block)?;
        let wanted = appeal_deposit(&job.terms).ok_or(Refusal::AmountTooLarge)?;
        if at.value != wanted {
            return Err(Refusal::DepositMismatch { found: at.value, wanted });
        }
        let mut draft = Draft::new(scene.state);
        draft.take_deposit(wanted)?;
        draft.emit(RulingAppealed { job: job.id, by: at.caller, deposit: wanted });
        let record = DisputeRecord { opened_at: at.block, appealed: Some(jurors), ..record };
        go_on(scene, &mut draft, &mut job, record, (Proceeding::Drawing, None))?;
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

/// What a second committee has ruled, and where those are paid who were of this opinion.
pub(super) type Second = (Verdict, Vec<Address>);

/// Nobody has appealed in time, so what the committee found holds.
pub(super) fn accept<S: ReadState, H>(
    scene: &Scene<'_, S, H>,
    job: Job,
    record: &DisputeRecord,
) -> Result<Decision<()>, Refusal> {
    job.must_be_late(scene.at.block)?;
    let mut draft = Draft::new(scene.state);
    end(scene, &mut draft, job, record, None)?;
    Ok(Decision { changes: draft.finish(), answer: () })
}

/// Ends a dispute in which a committee has found the head wrong, by what a `second` has ruled; none where there was no
/// appeal, and where the second ruled nothing.
pub(super) fn end<S: ReadState, H>(
    scene: &Scene<'_, S, H>,
    draft: &mut Draft<'_, S>,
    job: Job,
    record: &DisputeRecord,
    second: Option<Second>,
) -> Result<(), Refusal> {
    let overturned = second.as_ref().is_some_and(|(found, _)| !found.wrong);
    let mut winners = dismiss(scene, draft, &job, record.former_jurors(), overturned)?;
    // COMMITTEE at most, each.
    let first = winners.len() as u8;
    let review = match second {
        Some((_, right)) if overturned => {
            winners = right;
            Review::Overturned
        }
        Some((_, same)) => {
            let second = same.len() as u8;
            winners.extend(same);
            Review::Confirmed { first, second }
        }
        None => Review::Unheard,
    };
    if record.appealed.is_some() {
        let lines = appeal_lines(&job.terms, review).ok_or(Refusal::AmountTooLarge)?;
        draft.give_deposit(appeal_deposit(&job.terms).ok_or(Refusal::AmountTooLarge)?)?;
        job.credit(scene, draft, &lines, &winners)?;
    }
    let ending = if overturned {
        Ending::right(record.kind, winners.len() as u8)
    } else {
        Ending::wrong(record.kind, first, job.progress.stake_held)
    };
    super::close(scene, draft, job, record, ending, &winners)
}

/// Gives a first committee its stakes back, less what its members lose. Gives where those are paid whose opinion holds.
fn dismiss<S: ReadState, H>(
    scene: &Scene<'_, S, H>,
    draft: &mut Draft<'_, S>,
    job: &Job,
    jurors: &[FormerJuror],
    overturned: bool,
) -> Result<Vec<Address>, Refusal> {
    let mut winners = Vec::with_capacity(COMMITTEE);
    for juror in jurors {
        let mut worker = scene.state.worker(juror.account).ok_or(Refusal::Inconsistent)?;
        if juror.opinion == Opinion::Wrong && !overturned {
            winners.push(worker.payout);
        }
        let lost = lost_by(&job.terms, juror.opinion, overturned);
        release(scene, draft, job, (juror.account, &mut worker), lost)?;
        draft.write(Write::Worker(juror.account, worker));
    }
    Ok(winners)
}
