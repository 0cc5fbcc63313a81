//! As of when a worker's evidence is judged: when it counted, not when somebody audits.
#![allow(clippy::unwrap_used)]

mod market;

use encompute_attest::{Permission, UnixSeconds};
use encompute_audit::{Report, audit_job};
use encompute_protocol::BlockNumber;
use market::*;

/// The check of a name: what it expected and found.
fn quote(report: &Report) -> (bool, &str) {
    let check = report.checks.iter().find(|check| check.id == "worker-quote").unwrap();
    (check.pass, check.actual.as_str())
}

fn claimed() -> Market {
    let mut market = Market::with_request();
    market.claim();
    market
}

#[test]
fn a_job_audited_forty_days_later_passes_and_the_report_says_as_of_when_and_that_the_collateral_ran_out() {
    let market = Market::settled();
    let report = market.audit_after(40);
    assert_eq!((failed(&report), report.verdict), (vec![], "pass"));

    let committed = market.facts().progress.finished_at;
    let judged = report.judged.as_ref().unwrap();
    assert_eq!((judged.block, judged.time.as_str()), (committed.0, time_of(committed).to_string().as_str()));
    assert_eq!(judged.why, "the receipt was accepted in this block");
    let expiry = UnixSeconds(NOW.0 + 29 * DAY).to_string();
    assert_eq!(judged.collateral_expires_at.as_ref(), Some(&expiry));
    let said = |report: &Report, words: &str| report.limits.iter().any(|limit| limit.contains(words));
    assert!(said(&report, &format!("the collateral ran out at {expiry}")), "{:?}", report.limits);

    let today = market.audit();
    assert_eq!(today.checks, report.checks, "checks do not depend on the day of the audit");
    assert!(said(&today, &format!("the collateral runs out at {expiry}")), "{:?}", today.limits);
}

#[test]
fn evidence_whose_collateral_had_run_out_when_the_receipt_was_accepted_fails_on_any_day() {
    let market = Market::settled();
    let expiry = NOW.0 + 29 * DAY;
    for (counted_at, holds) in [(expiry - 1, true), (expiry, false)] {
        let mut bundle = market.bundle();
        bundle.counted_at = Some(UnixSeconds(counted_at));
        for audited_at in [NOW, UnixSeconds(expiry + 40 * DAY)] {
            let report = audit_job(&bundle, &market.judge(), audited_at);
            assert_eq!(quote(&report).0, holds, "{:?}", quote(&report));
            assert_eq!(report.verdict == "pass", holds);
        }
    }
}

#[test]
fn evidence_from_before_its_collateral_was_issued_fails() {
    let report = Market::settled().audit_with(|bundle| bundle.counted_at = Some(UnixSeconds(NOW.0 - 2 * DAY)));
    assert!(failed(&report).contains(&"worker-quote"), "{:?}", failed(&report));
}

#[test]
fn the_commitment_counts_and_without_one_the_last_claim() {
    let judged = |market: &Market| market.audit().judged.map(|judged| (judged.block, judged.why));
    assert_eq!(judged(&Market::with_request()), None);
    let claim = "the job was claimed in this block, and no receipt followed";
    assert_eq!(judged(&claimed()), Some((12, claim)));
    let mut again = claimed();
    again.poke_late();
    again.claim();
    assert_eq!(judged(&again), Some((again.block, claim)));
    assert_eq!(judged(&Market::committed()), Some((13, "the receipt was accepted in this block")));
}

#[test]
fn a_worker_without_good_evidence_fails_from_its_claim_on() {
    for market in [claimed(), Market::committed(), Market::settled()] {
        let mut judge = market.judge();
        judge.policy.development_root = Permission::Refused;
        let report = audit_job(&market.bundle(), &judge, NOW);
        assert!(failed(&report).contains(&"worker-quote"), "{:?}", failed(&report));
        let unlisted = market.audit_with(|bundle| bundle.measurement = None);
        assert!(failed(&unlisted).contains(&"worker-measurement-allowed"));
    }
}

#[test]
fn code_revoked_and_registrations_that_ran_out_between_claim_and_commitment_fail() {
    let market = Market::settled();
    let committed = market.facts().progress.finished_at;
    let revoked =
        |block| market.audit_with(|bundle| bundle.measurement.as_mut().unwrap().revoked_at = Some(BlockNumber(block)));
    assert_eq!(failed(&revoked(committed.0)), ["worker-measurement-allowed"]);
    assert_eq!(failed(&revoked(committed.0 + 1)), Vec::<&str>::new(), "a later revocation changes nothing");
    let expired = market.audit_with(|bundle| bundle.worker.as_mut().unwrap().1.expires_at = committed);
    assert!(failed(&expired).contains(&"worker-registration-valid"), "{:?}", failed(&expired));
}

#[test]
fn a_block_whose_time_nobody_knows_leaves_the_evidence_unjudged_and_fails() {
    let report = Market::settled().audit_with(|bundle| bundle.counted_at = None);
    assert_eq!(failed(&report), ["worker-evidence-time"]);
    assert_eq!(report.judged, None);
}
