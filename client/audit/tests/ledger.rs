//! The audit of all money.
#![allow(clippy::unwrap_used)]

mod market;

use encompute_audit::{LedgerReport, audit_ledger};
use encompute_lifecycle::ReadState;
use encompute_protocol::{BlockNumber, Plancks, event::Event};
use market::*;

fn audit(market: &Market, alter: impl FnOnce(&mut Vec<(BlockNumber, Event)>)) -> LedgerReport {
    let mut events = market.memory.events().to_vec();
    alter(&mut events);
    audit_ledger(&events, 0, BlockNumber(market.block), &market.memory.totals(), market.memory.balance())
}

#[test]
fn the_books_of_an_honest_market_balance_whatever_became_of_its_job() {
    let mut slashed = Market::sent();
    slashed.poke_late();
    let mut retried = Market::with_request();
    retried.claim();
    retried.poke_late();
    let mut paid_out = Market::settled();
    paid_out.call(PAYOUT, 0, encompute_protocol::call::WithdrawCredit { to: None }).unwrap();
    for market in [Market::with_request(), Market::sent(), Market::settled(), slashed, retried, paid_out] {
        let report = audit(&market, |_| {});
        assert!(report.balanced, "{:?}", report.differences);
        assert_eq!((report.jobs, report.blocks), (1, market.block));
    }
}

#[test]
fn any_credit_or_deposit_changed_hidden_or_doubled_unbalances_the_books() {
    let market = Market::settled();
    let money = |event: &Event| {
        matches!(event, Event::Credited(_) | Event::JobRequested(_) | Event::StakeMoved(_) | Event::BondMoved(_))
    };
    let count = market.memory.events().iter().filter(|(_, event)| money(event)).count();
    assert!(count >= 9);
    for wanted in 0..count {
        let at = |events: &[(BlockNumber, Event)]| {
            events.iter().enumerate().filter(|(_, (_, event))| money(event)).nth(wanted).unwrap().0
        };
        let hidden = audit(&market, |events| {
            events.remove(at(events));
        });
        assert!(!hidden.balanced, "event {wanted} hidden");
        let doubled = audit(&market, |events| {
            let index = at(events);
            events.insert(index, events[index].clone());
        });
        assert!(!doubled.balanced, "event {wanted} doubled");
    }
}

#[test]
fn a_contract_that_holds_less_than_the_books_is_not_balanced_and_one_that_was_given_more_is() {
    let market = Market::settled();
    let (events, totals, balance) = (market.memory.events(), market.memory.totals(), market.memory.balance());
    let less = audit_ledger(events, 0, BlockNumber(99), &totals, Plancks(balance.0 - 1));
    assert!(!less.balanced);
    let more = audit_ledger(events, 0, BlockNumber(99), &totals, Plancks(balance.0 + 5));
    assert!(more.balanced, "a gift unbalances nothing");
    assert_eq!(more.totals["surplus"], "5");
}

#[test]
fn a_contract_that_states_other_sums_is_not_balanced() {
    let market = Market::settled();
    let mut totals = market.memory.totals();
    totals.credits.0 -= 1;
    let report = audit_ledger(market.memory.events(), 0, BlockNumber(99), &totals, market.memory.balance());
    assert!(!report.balanced);
    assert!(report.differences[0].starts_with("credits:"), "{:?}", report.differences);
}

#[test]
fn books_with_an_event_that_nobody_can_read_are_not_balanced() {
    let market = Market::settled();
    let (totals, balance) = (market.memory.totals(), market.memory.balance());
    let report = audit_ledger(market.memory.events(), 1, BlockNumber(99), &totals, balance);
    assert!(!report.balanced);
    assert!(report.differences[0].contains("cannot be read"), "{:?}", report.differences);
}
