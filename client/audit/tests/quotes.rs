//! Audits of jobs for which a quote was demanded: what was shown is judged, and silence costs what the table says.
#![allow(clippy::unwrap_used, clippy::panic)]

mod market;

use encompute_attest::{HpkeKey, ReceiptEvidence, Register, bound, compact, pki::CollateralTerms};
use encompute_audit::{audit_ledger, shown_in};
use encompute_lifecycle::{ReadState, ReceiptFacts, dispute};
use encompute_protocol::{
    BlobDigest, BlockNumber, Bytes, DisputeKind, JobId, Nonce, Plancks, Reason, Receipt, Stage,
    call::{AcceptResult, OpenDispute, ShowQuote},
    dispute::Proceeding,
    event::{Event, QuoteShown},
    wire::Message,
};
use market::*;

/// A stranger has demanded a quote.
fn demanded(mut market: Market) -> Market {
    let kind = DisputeKind::Quote;
    let deposit = dispute::deposit(&market.memory.job_terms(market.job).unwrap(), kind).unwrap();
    market.block += 2;
    let message = OpenDispute { job: market.job, kind, evidence: Some(BlobDigest([0x5b; 32])) };
    market.call(STRANGER, deposit.0, message).unwrap();
    market
}

/// The receipt that was committed.
fn receipt(market: &Market) -> Receipt {
    let progress = market.memory.job_progress(market.job).unwrap();
    let facts = ReceiptFacts::read(&market.memory, GENESIS, CONTRACT, market.job).unwrap();
    facts.receipt(progress.output.unwrap(), progress.finished_at)
}

/// The worker shows the quote that is demanded; its evidence says that it is over `statement`.
fn show(market: &mut Market, statement: Receipt) {
    market.block += 1;
    let Proceeding::Quoting { nonce, .. } = market.memory.dispute(market.job).unwrap().proceeding else {
        panic!("nothing is demanded")
    };
    let platform = market.machine();
    let quote = platform.quote(&measurement(), Register([9; 48]), bound(&receipt(market), &nonce));
    let collateral = market.pki.collateral(platform.traits(), &CollateralTerms::current(NOW)).unwrap();
    let (parts, _) = compact(&quote).unwrap();
    let evidence = ReceiptEvidence {
        quote: Bytes::new(quote).unwrap(),
        collateral: Bytes::new(collateral.to_json()).unwrap(),
        statement,
        nonce,
        hpke_key: HpkeKey([9; 1_216]),
    };
    let evidence = market.keep(evidence.to_wire());
    market.call(WORKER, 0, ShowQuote { job: market.job, quote: parts, evidence }).unwrap();
}

fn shown(market: Market) -> Market {
    let mut market = demanded(market);
    let statement = receipt(&market);
    show(&mut market, statement);
    market
}

fn silent(market: Market) -> Market {
    let mut market = demanded(market);
    market.poke_late();
    market
}

#[test]
fn demands_that_were_answered_pass_and_so_does_silence_with_its_price() {
    let cases = [
        ("demanded", demanded(Market::committed())),
        ("shown", shown(Market::committed())),
        ("silent", silent(Market::committed())),
    ];
    for (name, market) in cases {
        let report = market.audit();
        assert!(report.holds(), "{name}: {:?}", failed(&report));
        let (totals, balance) = (market.memory.totals(), market.memory.balance());
        let books = audit_ledger(market.memory.events(), 0, BlockNumber(market.block), &totals, balance);
        assert!(books.balanced, "{name}: {:?}", books.differences);
        let ids: Vec<_> = report.checks.iter().map(|check| check.id.as_str()).collect();
        let judged =
            ["quote-receipt", "quote-nonce", "quote-quote", "quote-measurement"].iter().all(|id| ids.contains(id));
        assert_eq!(judged, name.starts_with("shown"), "{name}: {ids:?}");
    }
}

#[test]
fn a_settled_job_still_tells_what_was_shown_for_it() {
    let mut market = shown(Market::committed());
    market.send();
    market.answer();
    market.call(USER, 0, AcceptResult { job: market.job }).unwrap();
    assert_eq!(market.memory.job_progress(market.job).unwrap().stage, Stage::Settled);
    let report = market.audit();
    assert!(report.holds(), "{:?}", failed(&report));
    assert!(report.checks.iter().any(|check| check.id == "quote-report-data" && check.pass));
}

#[test]
fn evidence_of_something_else_is_found() {
    let mut market = demanded(Market::committed());
    let committed = receipt(&market);
    show(&mut market, Receipt { job: JobId(committed.job.0 + 1), ..committed });
    assert_eq!(failed(&market.audit()), ["quote-receipt", "quote-report-data"]);

    let market = shown(Market::committed());
    let swapped = market.audit_with(|bundle| {
        let evidence = shown_event(bundle).evidence;
        bundle.blobs.insert(evidence, b"something else".to_vec());
    });
    assert_eq!(failed(&swapped), ["quote-evidence-digest", "quote-evidence-bytes"]);
    let gone = market.audit_with(|bundle| {
        let evidence = shown_event(bundle).evidence;
        bundle.blobs.remove(&evidence);
    });
    assert_eq!(failed(&gone), ["quote-evidence"]);
    let timeless = market.audit_with(|bundle| bundle.quoted_at = None);
    assert_eq!(failed(&timeless), ["quote-time"]);
}

fn shown_event(bundle: &mut encompute_audit::JobBundle) -> &mut QuoteShown {
    let found = bundle.events.iter_mut().find_map(|(_, event)| match event {
        Event::QuoteShown(shown) => Some(shown),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn each_lie_about_a_demand_is_found_by_the_check_for_it() {
    let market = shown(Market::committed());
    let other = market.audit_with(|bundle| shown_event(bundle).quote.0[0] ^= 1);
    assert_eq!(failed(&other), ["quote-identity"]);
    let nonce = market.audit_with(|bundle| {
        for (_, event) in &mut bundle.events {
            if let Event::QuoteDemanded(demanded) = event {
                demanded.nonce = Nonce([7; 32]);
            }
        }
    });
    assert_eq!(failed(&nonce), ["quote-nonce"]);
    let receipt = market.audit_with(|bundle| bundle.progress.receipt = None);
    assert_eq!(failed(&receipt), ["receipt-kept", "quote-receipt"]);
    // Silence that is told of a worker that spoke in time, or before the window was over.
    let early = silent(Market::committed()).audit_with(|bundle| {
        let ended = bundle.events.iter().position(
            |(_, event)| matches!(event, Event::JobStageChanged(step) if step.reason == Some(Reason::QuoteMissing)),
        );
        for (block, _) in &mut bundle.events[ended.unwrap()..] {
            *block = BlockNumber(block.0 - 2);
        }
    });
    assert!(failed(&early).iter().any(|id| id.ends_with("-window")), "{:?}", failed(&early));
    let richer = silent(Market::committed()).audit_with(|bundle| {
        for (_, event) in &mut bundle.events {
            if let Event::Credited(credit) = event
                && credit.account == STRANGER
            {
                credit.amount = Plancks(credit.amount.0 + 1);
            }
        }
    });
    assert!(failed(&richer).iter().any(|id| id.starts_with("credit-")), "{:?}", failed(&richer));
}

#[test]
fn the_block_in_which_a_quote_was_shown_is_the_one_that_counts_for_it() {
    let market = shown(Market::committed());
    assert_eq!(shown_in(market.memory.events()), Some(BlockNumber(market.block)));
    assert_eq!(shown_in(silent(Market::committed()).memory.events()), None);
}
