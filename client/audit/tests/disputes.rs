//! Audits of disputed jobs: the money is the table's, whatever the ruling, and a lie about it is found.
#![allow(clippy::unwrap_used)]

mod market;

use encompute_audit::audit_ledger;
use encompute_lifecycle::{ReadState, dispute};
use encompute_protocol::{
    BlockNumber, DisputeKind, Plancks, Reason, Stage,
    call::{OpenDispute, PostBlob},
    event::{Cause, Event},
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

fn all() -> Vec<(&'static str, Market)> {
    vec![
        ("open", disputed(Market::committed(), DisputeKind::Head)),
        ("unresolved", unresolved()),
        ("transcript withheld", withheld(Market::committed(), DisputeKind::Missing)),
        ("result withheld", withheld(Market::answered(), DisputeKind::Missing)),
        ("result not answered for", withheld(Market::answered(), DisputeKind::Result)),
        ("posted", posted()),
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
    for (name, market) in all().into_iter().skip(1) {
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
