//! The money of one job: what was credited, to whom, and what stake and bond were held for it.

use crate::{job::JobBundle, report::Checks};
use encompute_lifecycle::{Outcome, Settlement, dispute::Heard, outcome::Party};
use encompute_protocol::{
    Address, DisputeKind, JobProgress, Plancks, Reason, Stage,
    event::{Cause, Credited, Event, Movement},
};
use std::collections::BTreeSet;

const TABLE: &str = "refund table over the job's terms";

/// Its disputes, as its events tell them.
fn disputes(bundle: &JobBundle) -> Vec<Heard> {
    Heard::all(bundle.events.iter().map(|(_, event)| event))
}

/// How the job ended, as far as money goes; none while it runs.
fn outcome(bundle: &JobBundle) -> Option<Outcome> {
    let progress: &JobProgress = &bundle.progress;
    match (progress.stage, progress.reason) {
        (Stage::Settled, _) => Some(Outcome::Settled),
        // Whose silence after the head it is depends on who had to send the features.
        (Stage::Failed, Some(Reason::UserNoShow)) if bundle.terms.custody => Some(Outcome::TimedOut),
        (Stage::Failed, Some(Reason::WorkerTimeout)) if progress.output.is_some() && !bundle.terms.custody => {
            Some(Outcome::Stopped)
        }
        (Stage::Failed, Some(Reason::WorkerTimeout | Reason::BlobMissing)) => Some(Outcome::TimedOut),
        (Stage::Failed, Some(Reason::CreatorTimeout | Reason::CreatorRefused | Reason::ResultWithheld)) => {
            Some(Outcome::CreatorFailed)
        }
        (Stage::Failed, Some(Reason::HeadMismatch)) => {
            Some(disputes(bundle).last().map_or(Outcome::HeadWrong { winners: 0 }, Heard::head_wrong))
        }
        (Stage::Failed, Some(Reason::QuoteMissing)) => {
            let stake = disputes(bundle).last().map_or(Plancks::ZERO, |heard| heard.stake);
            Some(Outcome::QuoteMissing { stake })
        }
        (Stage::Failed, Some(Reason::ResultMismatch)) => Some(Outcome::TailRefunded),
        (Stage::Failed, Some(Reason::UserNoShow)) => Some(Outcome::Stopped),
        (Stage::Cancelled, _) if progress.output.is_some() => Some(Outcome::Stopped),
        (Stage::Failed | Stage::Cancelled, _) => Some(Outcome::Refunded),
        (Stage::Requested | Stage::Claimed | Stage::HeadCommitted, _)
        | (Stage::FeaturesSent | Stage::ResultCommitted | Stage::Disputed(_), _) => None,
    }
}

fn credited(bundle: &JobBundle) -> impl Iterator<Item = &Credited> {
    bundle.events.iter().filter_map(|(_, event)| match event {
        Event::Credited(credited) => Some(credited),
        _ => None,
    })
}

/// Sums are of amounts that existed on chain; a forged list that overflows reads as the largest sum,
/// which no table gives.
fn sum(amounts: impl Iterator<Item = Plancks>) -> Plancks {
    Plancks(amounts.fold(0, |sum, amount| sum.saturating_add(amount.0)))
}

fn sum_of(bundle: &JobBundle, wanted: impl Fn(&Credited) -> bool) -> Plancks {
    sum(credited(bundle).filter(|credit| wanted(credit)).map(|credit| credit.amount))
}

/// Every credit is the refund table's: by cause, by party, and to nobody else.
pub(crate) fn credits(bundle: &JobBundle, checks: &mut Checks) {
    let ended = outcome(bundle);
    let Some(settlement) = settlement(bundle, ended) else {
        return checks.missing("credits-table", "a computable settlement", "chain: job terms");
    };
    if ended.is_none() {
        let paid = sum_of(bundle, |credit| !matches!(credit.cause, Cause::Slash | Cause::Deposit));
        checks.same("credits-none-yet", Plancks::ZERO, paid, "lifecycle: escrow is credited at the end");
    }
    for (id, cause) in [
        ("credit-head-fee", Cause::HeadFee),
        ("credit-tip", Cause::Tip),
        ("credit-tail-fee", Cause::TailFee),
        ("credit-stop-fee", Cause::StopFee),
        ("credit-protocol-fee", Cause::ProtocolFee),
        ("credit-refund", Cause::Refund),
        ("credit-slash", Cause::Slash),
        ("credit-deposit", Cause::Deposit),
    ] {
        let due = sum(settlement.lines.iter().filter(|line| line.cause == cause).map(|line| line.amount));
        checks.same(id, due, sum_of(bundle, |credit| credit.cause == cause), TABLE);
    }
    recipients(bundle, &settlement, checks);
}

/// Everything that should have been credited so far: each retry's slash, each dispute's deposit, and the ending.
fn settlement(bundle: &JobBundle, ended: Option<Outcome>) -> Option<Settlement> {
    let mut all = ended.map_or(Some(Settlement::default()), |outcome| Settlement::of(&bundle.terms, outcome))?;
    let last = u8::from(matches!(ended, Some(Outcome::TimedOut | Outcome::QuoteMissing { .. })));
    for _ in 0..bundle.progress.timeouts.saturating_sub(last) {
        let retry = Settlement::of(&bundle.terms, Outcome::Retried)?;
        all.lines.extend(retry.lines);
        all.stake_slashed = all.stake_slashed.checked_add(retry.stake_slashed)?;
    }
    for heard in disputes(bundle) {
        let own = heard.settlement(&bundle.terms)?;
        all.lines.extend(own.lines);
        all.stake_slashed = all.stake_slashed.checked_add(own.stake_slashed)?;
    }
    Some(all)
}

/// Each party has what the table gives it, and every credit is some party's.
fn recipients(bundle: &JobBundle, settlement: &Settlement, checks: &mut Checks) {
    let pokers: BTreeSet<Address> = bundle
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::JobStageChanged(step) if matches!(step.to, Stage::Requested | Stage::Failed) => Some(step.by),
            Event::JobStageChanged(step) if matches!(step.from, Some(Stage::Disputed(_))) => Some(step.by),
            _ => None,
        })
        .collect();
    let paid_on =
        |worker: Address| bundle.payouts.iter().filter(move |(of, _)| *of == worker).map(|(_, payout)| *payout);
    let payouts = bundle.worker.as_ref().map_or_else(BTreeSet::new, |(account, record)| {
        let found: BTreeSet<Address> = paid_on(*account).collect();
        if found.is_empty() { BTreeSet::from([record.payout]) } else { found }
    });
    let accounts = |party| match party {
        Party::User => BTreeSet::from([bundle.terms.user]),
        Party::Payer => BTreeSet::from([bundle.terms.payer()]),
        Party::Worker => payouts.clone(),
        Party::Creator => BTreeSet::from([bundle.creator]),
        Party::Treasury => bundle.treasuries.clone(),
        Party::Poker => pokers.clone(),
        Party::Challenger => {
            disputes(bundle).iter().filter(|heard| heard.kind == DisputeKind::Quote).map(|heard| heard.by).collect()
        }
        Party::Juror(at) => disputes(bundle)
            .iter()
            .filter_map(|heard| heard.winners().get(usize::from(at)).copied())
            .flat_map(paid_on)
            .collect(),
    };
    let parties = [
        ("paid-user", Party::User),
        ("paid-payer", Party::Payer),
        ("paid-worker", Party::Worker),
        ("paid-creator", Party::Creator),
        ("paid-treasury", Party::Treasury),
        ("paid-poker", Party::Poker),
        ("paid-challenger", Party::Challenger),
        ("paid-juror-1", Party::Juror(0)),
        ("paid-juror-2", Party::Juror(1)),
        ("paid-juror-3", Party::Juror(2)),
        // Where a second committee confirms the first, those of both who found so.
        ("paid-juror-4", Party::Juror(3)),
        ("paid-juror-5", Party::Juror(4)),
        ("paid-juror-6", Party::Juror(5)),
    ];
    for (id, party) in parties {
        let accounts = accounts(party);
        let Some(due) = settlement.of_party(party).filter(|due| !due.is_zero() && !accounts.is_empty()) else {
            continue;
        };
        // An account may be more than one party: then it has at least what this one is due.
        let causes: BTreeSet<Cause> =
            settlement.lines.iter().filter(|line| line.party == party).map(|line| line.cause).collect();
        let paid = sum_of(bundle, |credit| accounts.contains(&credit.account) && causes.contains(&credit.cause));
        let to = accounts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        checks.holds(id, paid >= due, format!("{due} to {to}"), paid, TABLE);
    }
    if !payouts.is_empty() || bundle.progress.worker.is_none() {
        let known: BTreeSet<Address> = parties.iter().flat_map(|(_, party)| accounts(*party)).collect();
        let stranger = credited(bundle).find(|credit| !known.contains(&credit.account));
        let found = stranger.map_or("nobody".to_owned(), |credit| credit.account.to_string());
        checks.same("paid-nobody-else", "nobody", found, "parties of the job");
    }
}

/// Stake and bond that the job holds are what it should hold now, and what was slashed is the table's.
pub(crate) fn deposits(bundle: &JobBundle, checks: &mut Checks) {
    let moved = |bond: bool, wanted: Movement| {
        sum(bundle.events.iter().filter_map(|(_, event)| match event {
            Event::StakeMoved(moved) if !bond && moved.movement == wanted => Some(moved.amount),
            Event::BondMoved(moved) if bond && moved.movement == wanted => Some(moved.amount),
            _ => None,
        }))
    };
    let held = |bond: bool| {
        let gone = sum([moved(bond, Movement::Released), moved(bond, Movement::Slashed)].into_iter());
        moved(bond, Movement::Locked).checked_sub(gone).map_or("less than nothing".to_owned(), |held| held.to_string())
    };
    let ended = outcome(bundle);
    let bond = if ended.is_some() { Plancks::ZERO } else { bundle.terms.job_bond };
    checks.same("bond-locked", bundle.terms.job_bond, moved(true, Movement::Locked), "chain: job terms");
    checks.same("bond-held", bond, held(true), "lifecycle: held until the job ends");
    let committee = disputes(bundle).iter().filter(|heard| heard.holds_stake()).map(|heard| heard.jurors.len()).sum();
    let of_committee = std::iter::repeat_n(bundle.terms.job_stake, committee);
    let stake = sum(of_committee.chain([bundle.progress.stake_held]));
    checks.same("stake-held", stake, held(false), "chain: job progress, and its committee's");
    if let Some(settlement) = settlement(bundle, ended) {
        checks.same("stake-slashed", settlement.stake_slashed, moved(false, Movement::Slashed), TABLE);
        checks.same("bond-slashed", settlement.bond_slashed, moved(true, Movement::Slashed), TABLE);
    }
}
