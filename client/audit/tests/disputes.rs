//! Audits of disputed jobs: the money is the table's, whatever the ruling, and a lie about it is found.
#![allow(clippy::unwrap_used)]

mod market;

use encompute_audit::audit_ledger;
use encompute_lifecycle::{ReadState, dispute};
use encompute_protocol::{
    Address, BasisPoints, BlobDigest, BlockNumber, DisputeKind, Plancks, PlatformId, Reason, Stage, Verdict,
    call::{CancelJob, OpenDispute, PostBlob, RequestJob},
    event::{Cause, Event, JurorDrawn, VerdictRevealed},
};
use market::*;

fn disputed(mut market: Market, kind: DisputeKind) -> Market {
    let deposit = dispute::deposit(&market.memory.job_terms(market.job).unwrap(), kind).unwrap();
    market.block += 1;
    market.call(USER, deposit.0, OpenDispute { job: market.job, kind, evidence: None }).unwrap();
    market
}

/// Nobody is there to judge: the market has one worker.
fn unresolved() -> Market {
    let mut market = disputed(Market::committed(), DisputeKind::Head);
    market.poke_late();
    market
}

fn withheld(market: Market, kind: DisputeKind) -> Market {
    let mut market = disputed(market, kind);
    market.poke_late();
    market
}

fn posted() -> Market {
    let mut market = disputed(Market::answered(), DisputeKind::Missing);
    market.block += 1;
    let post = PostBlob { job: market.job, at: 0, part: b"sealed result".to_vec(), last: true };
    market.call(CREATOR, 0, post).unwrap();
    market
}

/// A job that was drawn, after a stranger has said so; the treasury's account had bought and taken back a run.
fn audited(mut market: Market) -> Market {
    let terms = market.memory.job_terms(market.job).unwrap();
    let (version, split, tip) = (terms.version, terms.split, Plancks(10 * terms.fees.head.0));
    let request = RequestJob {
        version,
        split,
        policy: terms.policy,
        input: BlobDigest([9; 32]),
        tip,
        offer: None,
        sponsor: None,
    };
    let free = Plancks(terms.fees.total().unwrap().0 - terms.fees.tip.0);
    let job = market.call(TREASURY, free.0 + tip.0, request).unwrap();
    market.call(TREASURY, 0, CancelJob { job }).unwrap();
    market.block += 2;
    market.call(STRANGER, 0, OpenDispute { job: market.job, kind: DisputeKind::Audit, evidence: None }).unwrap();
    market
}

/// Nobody is there to run it again.
fn unaudited(market: Market) -> Market {
    let mut market = audited(market);
    market.poke_late();
    market
}

/// Those that have not ended.
const OPEN: [&str; 3] = ["open", "witnesses asked for", "audited"];

fn all() -> Vec<(&'static str, Market)> {
    vec![
        ("open", disputed(Market::committed(), DisputeKind::Head)),
        ("unresolved", unresolved()),
        ("transcript withheld", withheld(Market::committed(), DisputeKind::Missing)),
        ("result withheld", withheld(Market::answered(), DisputeKind::Missing)),
        ("result not answered for", withheld(Market::answered(), DisputeKind::Result)),
        ("posted", posted()),
        ("witnesses asked for", disputed(Market::committed(), DisputeKind::Witness)),
        ("no witnesses", withheld(Market::committed(), DisputeKind::Witness)),
        ("audited", audited(Market::answered())),
        ("not audited after its head", unaudited(Market::committed())),
        ("not audited after its features", unaudited(Market::sent())),
        ("not audited after its result", unaudited(Market::answered())),
    ]
}

#[test]
fn an_honest_record_of_any_dispute_holds_and_the_books_balance() {
    for (name, market) in all() {
        let report = market.audit();
        assert!(failed(&report).is_empty(), "{name}: {:?}", failed(&report));
        let (totals, balance) = (market.memory.totals(), market.memory.balance());
        let books = audit_ledger(market.memory.events(), 0, BlockNumber(market.block), &totals, balance);
        assert!(books.balanced, "{name}: {:?}", books.differences);
    }
}

#[test]
fn a_deposit_that_went_elsewhere_is_found() {
    for (name, market) in all().into_iter().filter(|(name, _)| !OPEN.contains(name)) {
        let report = market.audit_with(|bundle| {
            for (_, event) in &mut bundle.events {
                if let Event::Credited(credit) = event
                    && credit.cause == Cause::Deposit
                {
                    credit.amount = Plancks(credit.amount.0 - 1);
                }
            }
        });
        assert!(failed(&report).contains(&"credit-deposit"), "{name}: {:?}", failed(&report));
    }
}

#[test]
fn a_ruling_before_its_time_or_by_another_reason_is_found() {
    let early = withheld(Market::committed(), DisputeKind::Missing).audit_with(|bundle| {
        let (at, _) = bundle.events.iter().rev().find(|(_, event)| matches!(event, Event::DisputeOpened(_))).unwrap();
        let opened = *at;
        let last = bundle.events.iter_mut().rev();
        let moved = |event: &Event| matches!(event, Event::JobStageChanged(step) if step.to == Stage::Failed);
        last.filter(|(_, event)| moved(event)).for_each(|(block, _)| *block = opened);
    });
    assert!(failed(&early).iter().any(|id| id.ends_with("-window")), "{:?}", failed(&early));
    let other = withheld(Market::answered(), DisputeKind::Result).audit_with(|bundle| {
        bundle.progress.reason = Some(Reason::ResultWithheld);
    });
    assert!(failed(&other).contains(&"bond-slashed"), "{:?}", failed(&other));
    let longer = posted().audit_with(|bundle| {
        let step = bundle.events.iter_mut().rev().find_map(|(_, event)| match event {
            Event::JobStageChanged(step) => Some(step),
            _ => None,
        });
        step.unwrap().deadline.0 += 1;
    });
    assert!(failed(&longer).iter().any(|id| id.ends_with("-deadline")), "{:?}", failed(&longer));
}

/// The lines about witnesses of a job that nobody witnessed, after three were written into its events: on these machines,
/// with this to say.
fn witnessed(platforms: [PlatformId; 3], verdict: Option<Verdict>) -> Vec<(String, bool, String)> {
    let market = withheld(Market::committed(), DisputeKind::Witness);
    let report = market.audit_with(|bundle| {
        let opened = bundle.events.iter().position(|(_, event)| matches!(event, Event::DisputeOpened(_))).unwrap();
        let (block, job, at) = (bundle.events[opened].0, bundle.job, opened + 2);
        for (number, platform) in (1..).zip(platforms) {
            let juror = Address([number; 20]);
            bundle.events.insert(at, (block, JurorDrawn { job, juror, platform }.into()));
            if let Some(verdict) = verdict {
                bundle.events.insert(at + 1, (block, VerdictRevealed { job, juror, verdict }.into()));
            }
        }
    });
    let lines = report.checks.into_iter().filter(|check| check.id.starts_with("witness-"));
    lines.map(|check| (check.id, check.pass, check.actual)).collect()
}

#[test]
fn witnesses_on_one_machine_or_on_the_workers_and_a_ruling_that_they_did_not_give_are_found() {
    let own = Market::committed().memory.job_progress(Market::committed().job).unwrap().platform.unwrap();
    let [one, two, three] = [1, 2, 3].map(|number| PlatformId([number; 32]));
    let machines = |platforms| {
        let lines = witnessed(platforms, None);
        assert_eq!(lines[0].0, "witness-machines");
        (lines[0].1, lines[0].2.clone())
    };
    assert_eq!(machines([one, two, three]), (true, "3".to_owned()));
    assert_eq!(machines([one, two, one]), (false, "2".to_owned()));
    assert_eq!(machines([one, own, three]), (false, "2".to_owned()));

    let verdicts = |verdict| witnessed([one, two, three], verdict).remove(1);
    let unknown = "nothing that most agree on: 0 of 3".to_owned();
    assert_eq!(verdicts(None), ("witness-verdicts".to_owned(), true, unknown.clone()));
    assert_eq!(verdicts(Some(Verdict::NOTHING_SHOWN)).2, unknown);
    // The chain said that they found nothing, and they did.
    let right = Verdict { wrong: false, output: BlobDigest([7; 32]) };
    let (_, pass, actual) = verdicts(Some(right));
    assert_eq!((pass, actual.as_str()), (false, "what the worker committed: 3 of 3"));
    let (_, pass, actual) = verdicts(Some(Verdict { wrong: true, ..right }));
    assert_eq!((pass, actual.as_str()), (false, "something else than the worker committed: 3 of 3"));
}

#[test]
fn a_job_whose_machine_at_its_commitment_is_another_than_at_its_claim_is_found() {
    let moved = Market::committed().audit_with(|bundle| bundle.progress.platform = Some(PlatformId([9; 32])));
    assert!(failed(&moved).contains(&"platform-at-commit"), "{:?}", failed(&moved));
}

#[test]
fn an_audit_of_a_job_that_was_not_drawn_and_a_share_that_nobody_set_are_found() {
    let market = unaudited(Market::sent());
    let audited = market.audit();
    assert!(audited.checks.iter().any(|check| check.id == "audit-drawn" && check.pass));
    let other = market.audit_with(|bundle| bundle.terms.audit_share = BasisPoints(99));
    assert!(failed(&other).contains(&"audit-share"), "{:?}", failed(&other));
    let none = market.audit_with(|bundle| {
        (bundle.terms.audit_share, bundle.params.audit_share) = (BasisPoints(0), BasisPoints(0));
    });
    assert!(failed(&none).contains(&"audit-drawn"), "{:?}", failed(&none));
    let unread = market.audit_with(|bundle| bundle.drawing_hash = None);
    assert!(unread.limits.iter().any(|limit| limit.contains("drawn for an audit")), "{:?}", unread.limits);
}

#[test]
fn an_audit_that_its_committee_did_not_rule_so_is_found() {
    let lines = |verdict: Verdict| {
        let report = unaudited(Market::sent()).audit_with(|bundle| {
            let opened = bundle.events.iter().position(|(_, event)| matches!(event, Event::DisputeOpened(_))).unwrap();
            let (block, job) = (bundle.events[opened].0, bundle.job);
            for number in 1..=3 {
                let (juror, platform) = (Address([number; 20]), PlatformId([number; 32]));
                bundle.events.insert(opened + 2, (block, JurorDrawn { job, juror, platform }.into()));
                bundle.events.insert(opened + 3, (block, VerdictRevealed { job, juror, verdict }.into()));
            }
        });
        let line = report.checks.into_iter().find(|check| check.id == "audit-verdicts").unwrap();
        (line.pass, line.actual)
    };
    let wrong = Verdict { wrong: true, output: BlobDigest([7; 32]) };
    assert_eq!(lines(wrong), (false, "something else than the worker committed: 3 of 3".to_owned()));
    assert_eq!(lines(Verdict::NOTHING_SHOWN), (true, "nothing that most agree on: 0 of 3".to_owned()));
}

#[test]
fn a_treasury_whose_credit_was_not_said_to_be_staked_unbalances_the_books() {
    let market = unaudited(Market::sent());
    let (totals, balance) = (market.memory.totals(), market.memory.balance());
    let mut events = market.memory.events().to_vec();
    let at = events.iter().position(|(_, event)| matches!(event, Event::CreditStaked(_))).unwrap();
    let doubled = [&events[..=at], &events[at..]].concat();
    events.remove(at);
    for events in [events, doubled] {
        assert!(!audit_ledger(&events, 0, BlockNumber(market.block), &totals, balance).balanced);
    }
}
