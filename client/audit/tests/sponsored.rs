//! Audits of jobs that a sponsor has paid for: what comes back is his, and a lie about it is found.
#![allow(clippy::unwrap_used, clippy::panic)]

mod market;

use encompute_audit::{Payees, audit_ledger, overdue, owed_by};
use encompute_lifecycle::{ReadState, View};
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, JobRequest, Plancks,
    call::{CancelJob, EndSponsoring, QuoteJob, RequestJob, SponsorUser},
    event::{Cause, Event},
    wire::Message,
};
use market::*;

const SPONSOR: Address = Address([0x51; 20]);

/// A job of the user's that a sponsor pays for.
fn sponsored() -> Market {
    let mut market = Market::with_request();
    let first = market.memory.job_terms(market.job).unwrap();
    let request = JobRequest::from_wire(&market.blobs[&first.input]).unwrap();
    let input = market.keep(JobRequest { salt: [6; 32], ..request }.to_wire());
    let (version, split) = (first.version, first.split);
    let (fees, _) = QuoteJob { version, split }.view(&market.memory).unwrap();
    market.call(SPONSOR, 2 * fees.total().unwrap().0, SponsorUser { user: USER }).unwrap();
    let (policy, tip, sponsor) = (first.policy, Plancks(77), Some(SPONSOR));
    let message = RequestJob { version, split, policy, input, tip, offer: None, sponsor };
    market.job = market.call(USER, 0, message).unwrap();
    market
}

/// The same, stopped by its user once its head was committed.
fn stopped() -> Market {
    let mut market = sponsored();
    market.claim();
    let transcript = market.transcript();
    market.commit(&transcript);
    market.block += 1;
    market.call(USER, 0, CancelJob { job: market.job }).unwrap();
    market
}

#[test]
fn a_job_that_another_paid_for_passes_wherever_it_stands_and_the_books_balance() {
    let late = {
        let mut market = sponsored();
        market.poke_late();
        market
    };
    let mut ended = stopped();
    ended.call(SPONSOR, 0, EndSponsoring { user: USER }).unwrap();
    for (name, market) in [("requested", sponsored()), ("nobody came", late), ("stopped", stopped()), ("ended", ended)]
    {
        let report = market.audit();
        assert!(report.holds(), "{name}: {:?}", failed(&report));
        let (totals, balance) = (market.memory.totals(), market.memory.balance());
        let books = audit_ledger(market.memory.events(), 0, BlockNumber(market.block), &totals, balance);
        assert!(books.balanced, "{name}: {:?}", books.differences);
        assert_eq!(books.totals["allowances"], totals.allowances.0.to_string(), "{name}");
    }
}

#[test]
fn a_refund_that_went_to_the_user_or_a_sponsor_that_was_another_is_found() {
    let market = stopped();
    let to_user = market.audit_with(|bundle| {
        for (_, event) in &mut bundle.events {
            if let Event::Credited(credit) = event
                && credit.cause == Cause::Refund
            {
                credit.account = USER;
            }
        }
    });
    assert_eq!(failed(&to_user), ["paid-payer"]);
    let another = market.audit_with(|bundle| bundle.terms.sponsor = Some(STRANGER));
    assert!(failed(&another).contains(&"sponsor-event"), "{:?}", failed(&another));
    let nobody = market.audit_with(|bundle| bundle.terms.sponsor = None);
    assert!(failed(&nobody).contains(&"sponsor-event"), "{:?}", failed(&nobody));
}

#[test]
fn what_an_overdue_job_owes_its_sponsor_is_the_sponsors() {
    let mut market = sponsored();
    let (terms, progress) =
        (market.memory.job_terms(market.job).unwrap(), market.memory.job_progress(market.job).unwrap());
    market.block = progress.deadline.0 + 1;
    let outcome = overdue(&progress, true, BlockNumber(market.block)).unwrap();
    let payees = Payees { worker: None, creator: CREATOR, treasury: TREASURY };
    let owed = |account| owed_by(outcome, &terms, &payees, account).unwrap();
    assert_eq!((owed(SPONSOR), owed(USER)), (terms.fees.total().unwrap(), Plancks::ZERO));
    assert_ne!(terms.input, BlobDigest::default());
}
