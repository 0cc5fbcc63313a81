//! What a poke of an overdue job is said to bring is what it brings.
#![allow(clippy::unwrap_used, clippy::panic)]

mod market;

use encompute_audit::{Payees, overdue, owed_by};
use encompute_lifecycle::ReadState;
use encompute_protocol::{BlockNumber, JobId, Plancks, call::PokeJob};
use market::*;

const JOB: JobId = JobId(1);

#[test]
fn what_a_poke_is_said_to_bring_each_party_is_what_it_credits() {
    let requested = Market::with_request();
    let mut claimed = Market::with_request();
    claimed.claim();
    // Its third claim is late; the two before were offered again.
    let (mut committed, mut last) = (Market::committed(), claimed);
    let mut again = 0;
    while last.memory.job_progress(JOB).unwrap().timeouts < 2 {
        last.poke_late();
        last.claim();
        again += 1;
    }
    assert_eq!(again, 2);
    committed.block += 1;
    for mut market in [requested, last, committed, Market::sent(), Market::answered()] {
        let (terms, progress) = (market.memory.job_terms(JOB).unwrap(), market.memory.job_progress(JOB).unwrap());
        let tail = !market.memory.split(terms.version, terms.split).unwrap().tail.is_zero();
        assert_eq!(overdue(&progress, tail, progress.deadline), None, "its actor has the whole window");
        let late = BlockNumber(progress.deadline.0 + 1);
        let outcome = overdue(&progress, tail, late).unwrap();
        let payees = Payees { worker: progress.worker.map(|_| PAYOUT), creator: CREATOR, treasury: TREASURY };
        let before = [USER, PAYOUT, CREATOR, TREASURY].map(|account| market.memory.credit(account));
        market.block = late.0;
        market.call(STRANGER, 0, PokeJob { job: JOB }).unwrap();
        for (account, before) in [USER, PAYOUT, CREATOR, TREASURY].into_iter().zip(before) {
            let gained = Plancks(market.memory.credit(account).0 - before.0);
            assert_eq!(owed_by(outcome, &terms, &payees, account), Some(gained), "{outcome:?} {account}");
        }
        let ended = market.memory.job_progress(JOB).unwrap();
        assert_eq!(overdue(&ended, tail, BlockNumber(u32::MAX)), None, "{:?} is over", ended.stage);
    }
}

#[test]
fn a_claim_that_is_offered_again_owes_nobody_anything_yet() {
    let mut market = Market::with_request();
    market.claim();
    let progress = market.memory.job_progress(JOB).unwrap();
    assert_eq!(overdue(&progress, true, BlockNumber(progress.deadline.0 + 1)), None);
}
