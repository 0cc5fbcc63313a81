//! A job in a file: the same verdict as over the wire, and nothing that a stranger puts into it is believed.
#![allow(clippy::unwrap_used, clippy::panic)]

mod market;

use encompute_attest::{TrustRoot, UnixSeconds};
use encompute_audit::{
    ExportError, JobBundle, Judge, Own, Severity, audit_exported, audit_job, audit_ledger, export, html, import,
};
use encompute_lifecycle::ReadState;
use encompute_protocol::{BlobDigest, BlockNumber, Plancks, event::Event, wire::DecodeError};
use market::*;

fn file() -> (Market, Vec<u8>) {
    let market = Market::settled();
    let bytes = export(&market.bundle()).unwrap();
    (market, bytes)
}

fn offline(bundle: &JobBundle, judge: &Judge) -> encompute_audit::Report {
    audit_exported(bundle, &Own::Nothing, judge, NOW)
}

#[test]
fn a_job_comes_out_of_a_file_as_it_went_in() {
    for market in [Market::with_request(), Market::committed(), Market::sent(), Market::settled()] {
        let bundle = market.bundle();
        let bytes = export(&bundle).unwrap();
        assert_eq!(import(&bytes).unwrap(), bundle);
        assert_eq!(export(&import(&bytes).unwrap()).unwrap(), bytes);
    }
}

#[test]
fn the_verdict_of_a_file_is_that_of_the_wire_and_says_whose_word_it_takes() {
    let (market, bytes) = file();
    let (report, wire) = (offline(&import(&bytes).unwrap(), &market.judge()), market.audit());
    assert_eq!((report.verdict, &report.checks, &report.trust_root), ("pass", &wire.checks, &wire.trust_root));
    assert_eq!(report.subject, "job 1, from a file");
    assert!(report.limits[0].starts_with("cannot check: that the chain says what the file says of it"), "{report:?}");
    assert_eq!(report.limits[1..], wire.limits);
}

#[test]
fn two_runs_over_one_file_give_the_same_bytes() {
    let (market, bytes) = file();
    let run = || {
        let report = offline(&import(&bytes).unwrap(), &market.judge());
        (serde_json::to_vec(&report).unwrap(), html::page(&report))
    };
    assert_eq!(run(), run());
}

#[test]
fn a_file_is_judged_under_the_root_of_the_auditors_choice() {
    let (market, bytes) = file();
    let judge = Judge { root: TrustRoot::intel(), ..market.judge() };
    let report = offline(&import(&bytes).unwrap(), &judge);
    assert_eq!((report.verdict, failed(&report)), ("fail", vec!["worker-quote"]));
    assert!(!report.trust_root.development);
}

/// The check that finds it, and what is altered.
type Alteration = (&'static str, fn(&mut JobBundle));

#[test]
fn facts_that_the_auditors_node_does_not_confirm_are_named() {
    let market = Market::settled();
    let own = market.bundle();
    let alterations: [Alteration; 8] = [
        ("facts-chain", |bundle| bundle.read_at.hash[0] ^= 1),
        ("facts-terms", |bundle| bundle.terms.fees.tip = Plancks(bundle.terms.fees.tip.0 + 1)),
        ("facts-progress", |bundle| bundle.progress.finished_at = BlockNumber(bundle.progress.finished_at.0 + 1)),
        ("facts-events", |bundle| bundle.events.truncate(bundle.events.len() - 1)),
        ("facts-version", |bundle| bundle.version.splits += 1),
        ("facts-params", |bundle| bundle.params_unsure = true),
        ("facts-worker", |bundle| bundle.counted_at = Some(UnixSeconds(0))),
        ("facts-worker", |bundle| bundle.payouts.extend([(WORKER, STRANGER)])),
    ];
    for (expected, alter) in alterations {
        let mut told = own.clone();
        alter(&mut told);
        let told = import(&export(&told).unwrap()).unwrap();
        let report = audit_exported(&told, &Own::Facts(own.clone()), &market.judge(), NOW);
        assert_eq!(report.verdict, "fail");
        assert!(failed(&report).contains(&expected), "{expected}: {:?}", failed(&report));
        assert!(failed(&report).iter().filter(|id| id.starts_with("facts-")).count() == 1, "{:?}", failed(&report));
    }
    let confirmed = audit_exported(&own, &Own::Facts(own.clone()), &market.judge(), NOW);
    assert_eq!((confirmed.verdict, failed(&confirmed)), ("pass", vec![]));
    assert!(!confirmed.limits[0].contains("what the file says"), "{:?}", confirmed.limits);
}

#[test]
fn a_file_of_a_pruned_job_is_held_against_the_digest_that_the_chain_keeps() {
    let mut market = Market::settled();
    let told = import(&export(&market.bundle()).unwrap()).unwrap();
    let record = market.prune();
    let report = audit_exported(&told, &Own::Digest(record), &market.judge(), NOW);
    assert_eq!((report.verdict, failed(&report)), ("pass", vec![]));
    assert!(report.checks.iter().any(|check| check.id == "pruned-digest"), "{report:?}");
    assert!(report.limits[0].contains("your node does not keep the blocks before"), "{:?}", report.limits);
    let alterations: [fn(&mut JobBundle); 4] = [
        |bundle| bundle.terms.job_stake = Plancks(bundle.terms.job_stake.0 + 1),
        |bundle| bundle.progress.timeouts += 1,
        |bundle| bundle.job.0 += 1,
        |bundle| bundle.contract.0[0] ^= 1,
    ];
    for alter in alterations {
        let mut altered = told.clone();
        alter(&mut altered);
        let report = audit_exported(&altered, &Own::Digest(record), &market.judge(), NOW);
        assert!(failed(&report).contains(&"pruned-digest"), "{:?}", failed(&report));
    }
}

#[test]
fn a_pruned_job_is_audited_from_the_block_before_and_the_books_still_balance() {
    let mut market = Market::settled();
    let mut bundle = market.bundle();
    bundle.pruned = Some(market.prune());
    let report = audit_job(&bundle, &market.judge(), NOW);
    assert_eq!((report.verdict, failed(&report)), ("pass", vec![]));
    let (totals, balance) = (market.memory.totals(), market.memory.balance());
    let books = audit_ledger(market.memory.events(), 0, BlockNumber(market.block), &totals, balance);
    assert!(books.balanced, "{books:?}");
    let mut lost: Vec<_> = market.memory.events().to_vec();
    let at = lost.iter().rposition(|(_, event)| event.name() == "Credited").unwrap();
    lost.remove(at);
    assert!(!audit_ledger(&lost, 0, BlockNumber(market.block), &totals, balance).balanced);
}

/// An alteration of the file's writer: what is signed or named by a digest still catches it without a node.
#[test]
fn what_blobs_and_signatures_say_is_checked_without_a_node() {
    let market = Market::settled();
    let mut told = market.bundle();
    let output = told.progress.output.unwrap();
    let mut transcript = told.blobs.remove(&output).unwrap();
    *transcript.last_mut().unwrap() ^= 1;
    told.blobs.insert(BlobDigest::of(&transcript), transcript);
    let report = offline(&import(&export(&told).unwrap()).unwrap(), &market.judge());
    assert_eq!((report.verdict, failed(&report)), ("fail", vec!["transcript-blob"]));
    let missing = report.checks.iter().find(|check| !check.pass).unwrap();
    assert_eq!(missing.severity, Severity::Missing);

    let mut told = market.bundle();
    for (_, event) in &mut told.events {
        if let Event::HeadCommitted(committed) = event {
            committed.signature.0[3] ^= 1;
        }
    }
    let report = offline(&import(&export(&told).unwrap()).unwrap(), &market.judge());
    assert_eq!(failed(&report), ["receipt-signature"]);
    let contradicted = report.checks.iter().find(|check| !check.pass).unwrap();
    assert_eq!(contradicted.severity, Severity::Contradiction);
}

#[test]
fn bytes_that_are_no_exported_job_are_refused() {
    let (_, bytes) = file();
    assert_eq!(import(&[]), Err(ExportError::Bytes(DecodeError::Malformed)));
    assert_eq!(import(&bytes[..bytes.len() - 1]), Err(ExportError::Bytes(DecodeError::Malformed)));
    let version = [&[1], &bytes[1..]].concat();
    assert_eq!(import(&version), Err(ExportError::Bytes(DecodeError::Version { found: 1, known: 6 })));
    let trailing = [bytes.as_slice(), &[0]].concat();
    assert_eq!(import(&trailing), Err(ExportError::Bytes(DecodeError::Trailing { bytes: 1 })));
}

#[test]
fn a_list_that_announces_millions_is_refused_before_any_of_it_is_read() {
    let bundle = Market::with_request().bundle();
    let mut bytes = export(&bundle).unwrap();
    // The blobs are the last list: replaced by nothing but a count of 2³⁰ − 1.
    let blobs: usize = 1 + bundle.blobs.values().map(|blob| blob.len() + length_of(blob.len())).sum::<usize>();
    bytes.truncate(bytes.len() - blobs);
    bytes.extend(0xffff_fffe_u32.to_le_bytes());
    let refused = import(&bytes);
    assert!(matches!(refused, Err(ExportError::Bytes(DecodeError::TooMany { items: "blobs", .. }))), "{refused:?}");
}

/// Bytes of a compact length.
fn length_of(length: usize) -> usize {
    match length {
        0..=63 => 1,
        64..=16_383 => 2,
        _ => 4,
    }
}

#[test]
fn the_page_for_people_shows_the_verdict_the_root_and_what_cannot_be_told() {
    let (market, bytes) = file();
    let bundle = import(&bytes).unwrap();
    let page = html::page(&offline(&bundle, &market.judge()));
    for words in
        ["pass: Everything that can be checked holds.", "Simulated attestation", "cannot check:", "receipt-signature"]
    {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("<script") && !page.contains("http"), "nothing runs, nothing is fetched");
    let intel = Judge { root: TrustRoot::intel(), ..market.judge() };
    let page = html::page(&audit_job(&bundle, &intel, NOW));
    assert!(page.contains("fail: Something does not hold.") && !page.contains("Simulated attestation"));
}
