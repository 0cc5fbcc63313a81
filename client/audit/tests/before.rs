//! Before a job is bought: is this worker who it says it is, is this version what its creator published?
#![allow(clippy::unwrap_used, clippy::panic, clippy::type_complexity)]

mod market;

use encompute_attest::{AdvisoryId, Policy, TcbEvaluationNumber, TrustRoot, network::OsImage};
use encompute_audit::{Judge, Report, VersionBundle, WorkerBundle, audit_version, audit_worker};
use encompute_lifecycle::ReadState;
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, Disclosure, Grade, Graded, NamedBlob, Plancks, SplitIndex, VersionId,
    VersionManifest,
    market::{MeasurementRecord, PlatformRecord},
    wire::Message,
};
use market::*;
use serde_json::json;

fn worker(market: &Market) -> WorkerBundle {
    let record = market.memory.worker(WORKER).unwrap();
    WorkerBundle {
        genesis: GENESIS,
        contract: CONTRACT,
        account: WORKER,
        record,
        measurement: market.memory.measurement(measurement_id()),
        platform: market.memory.platform(record.platform),
        at: BlockNumber(market.block),
        time: time_of(BlockNumber(market.block)),
        evidence: market.blobs.get(&record.evidence).cloned(),
    }
}

fn judged(market: &Market, alter: impl FnOnce(&mut WorkerBundle)) -> Report {
    let mut bundle = worker(market);
    alter(&mut bundle);
    audit_worker(&bundle, &market.judge())
}

#[test]
fn an_honest_worker_passes_and_the_report_says_as_of_when() {
    let market = Market::with_request();
    let report = judged(&market, |_| {});
    assert_eq!((report.verdict, failed(&report)), ("pass", vec![]));
    assert_eq!(report.subject, format!("worker {WORKER}"));
    assert_eq!(report.judged.as_ref().unwrap().block, market.block);
    assert!(report.limits[0].starts_with("SIMULATED"));
}

#[test]
fn every_lie_of_a_worker_fails_by_its_own_check() {
    let market = Market::with_request();
    let cases: [(&str, fn(&mut WorkerBundle)); 10] = [
        ("worker-evidence-digest", |bundle| bundle.evidence.as_mut().unwrap()[9] ^= 1),
        ("worker-evidence", |bundle| bundle.evidence = None),
        ("worker-statement-account", |bundle| bundle.account = Address([0xee; 20])),
        ("worker-statement-payout", |bundle| bundle.record.payout = Address([0xee; 20])),
        ("worker-quote-identity", |bundle| bundle.record.quote.0[0] ^= 1),
        ("worker-nonce", |bundle| bundle.record.nonce.0[0] ^= 1),
        ("worker-registration-holds", |bundle| bundle.at = bundle.record.expires_at),
        ("worker-measurement-allowed", |bundle| bundle.measurement = None),
        ("worker-platform-allowed", |bundle| bundle.platform = None),
        ("worker-stake-covers", |bundle| bundle.record.stake_locked = Plancks(bundle.record.stake.0 + 1)),
    ];
    for (expected, alter) in cases {
        let report = judged(&market, alter);
        assert_eq!(report.verdict, "fail", "{expected}");
        assert!(failed(&report).contains(&expected), "{expected}: {:?}", failed(&report));
    }
}

#[test]
fn a_revoked_measurement_or_machine_counts_from_its_block() {
    let market = Market::with_request();
    let valid_from = BlockNumber(0);
    let code = |block| {
        let revoked_at = Some(BlockNumber(block));
        judged(&market, |bundle| bundle.measurement = Some(MeasurementRecord { valid_from, revoked_at }))
    };
    let machine = |block| {
        let revoked_at = Some(BlockNumber(block));
        judged(&market, |bundle| bundle.platform = Some(PlatformRecord { valid_from, revoked_at }))
    };
    assert_eq!(failed(&code(market.block)), ["worker-measurement-allowed"]);
    assert_eq!(failed(&machine(market.block)), ["worker-platform-allowed"]);
    for report in [code(market.block + 1), machine(market.block + 1)] {
        assert_eq!(failed(&report), Vec::<&str>::new());
    }
}

#[test]
fn a_development_worker_proves_nothing_under_intels_root() {
    let market = Market::with_request();
    let judge = Judge { root: TrustRoot::intel(), ..market.judge() };
    let report = audit_worker(&worker(&market), &judge);
    assert_eq!(failed(&report), ["worker-quote"]);
}

fn version(market: &Market) -> VersionBundle {
    let id = VersionId(1);
    let record = market.memory.version(id).unwrap();
    let manifest = market.blobs.get(&BlobDigest(record.manifest.0)).cloned();
    let named = VersionManifest::from_wire(manifest.as_ref().unwrap()).unwrap();
    VersionBundle {
        version: id,
        record,
        splits: (0..record.splits).map(|split| market.memory.split(id, SplitIndex(split))).collect(),
        creator: market.memory.model(record.model).unwrap().creator,
        name: named.name.as_str().to_owned(),
        params: market.memory.params(),
        manifest,
        report: None,
        attack: None,
    }
}

/// The version with a report, in which its release has this letter and these bits, and an attack.
fn graded(market: &Market, grade: Grade, bits: f64, alter: impl FnOnce(&mut Disclosure)) -> VersionBundle {
    let mut bundle = version(market);
    let mut manifest = VersionManifest::from_wire(bundle.manifest.as_ref().unwrap()).unwrap();
    let release = json!({
        "name": manifest.splits[0].name.as_str(), "policy": "balanced", "on_card": true, "depth": 2, "ms": 1.0,
        "bytes_up": 1, "bytes_down": 1, "released_accuracy": 0.9, "bits": bits, "reid_10k": 0.1, "reid_at_most": true,
        "grade": grade.to_string(), "reason": "as a test wants it", "leakage": { "above_floor": 0.01 },
    });
    let report =
        json!({ "schema": 1, "population": "made up", "float": { "share": 1.0, "samples": 9 }, "splits": [release] });
    let (report, attack) = (report.to_string().into_bytes(), b"a matrix".to_vec());
    let mut told = Disclosure {
        report: NamedBlob::of(&report).unwrap(),
        attack: Some(NamedBlob::of(&attack).unwrap()),
        grades: vec![Graded { grade: Grade::B, millibits: 4_322 }],
    };
    alter(&mut told);
    manifest.disclosure = Some(told);
    bundle.record.manifest = manifest.hash();
    VersionBundle { manifest: Some(manifest.to_wire()), report: Some(report), attack: Some(attack), ..bundle }
}

#[test]
fn a_version_whose_report_says_what_the_manifest_does_passes_and_every_other_fails_by_its_own_check() {
    let market = Market::with_request();
    let root = market.judge().root;
    let failing = |bundle: VersionBundle| {
        let report = audit_version(&bundle, &root);
        failed(&report).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let honest = || graded(&market, Grade::B, 4.321_4, |_| {});
    assert_eq!(failing(honest()), Vec::<String>::new());
    assert_eq!(failing(graded(&market, Grade::C, 4.321_4, |_| {})), ["split-0-grade-1"]);
    assert_eq!(failing(graded(&market, Grade::B, 4.5, |_| {})), ["split-0-grade-1"]);
    assert_eq!(failing(VersionBundle { report: None, ..honest() }), ["report-blob"]);
    assert_eq!(failing(VersionBundle { attack: None, ..honest() }), ["attack-blob"]);
    assert_eq!(failing(VersionBundle { attack: Some(vec![7; 8]), ..honest() }), ["attack-digest"]);
    let other = |bytes: &[u8]| VersionBundle { report: Some(bytes.to_vec()), ..honest() };
    assert_eq!(failing(other(b"{}")), ["report-digest", "report-bytes"]);
    let none = graded(&market, Grade::B, 4.321_4, |told| told.report = NamedBlob::of(b"{}").unwrap());
    assert_eq!(failing(VersionBundle { report: Some(b"{}".to_vec()), ..none }), ["report-fields"]);
}

#[test]
fn an_honest_version_passes_and_every_other_story_fails_by_its_own_check() {
    let market = Market::with_request();
    let root = market.judge().root;
    let report = audit_version(&version(&market), &root);
    assert_eq!((report.verdict, failed(&report), report.subject.as_str()), ("pass", vec![], "version 1"));
    let cases: [(&str, fn(&mut VersionBundle)); 8] = [
        ("manifest-hash", |bundle| bundle.record.manifest.0[0] ^= 1),
        ("manifest-blob", |bundle| bundle.manifest = None),
        ("manifest-creator", |bundle| bundle.creator = Address([0xee; 20])),
        ("manifest-name", |bundle| bundle.name.push('x')),
        ("splits", |bundle| bundle.record.splits += 1),
        ("split-0-head", |bundle| bundle.splits[0].as_mut().unwrap().head.0[0] ^= 1),
        ("split-0-cost", |bundle| bundle.splits[0].as_mut().unwrap().cost.0 += 1),
        ("split-0", |bundle| bundle.splits[0] = None),
    ];
    for (expected, alter) in cases {
        let mut bundle = version(&market);
        alter(&mut bundle);
        let report = audit_version(&bundle, &root);
        assert!(failed(&report).contains(&expected), "{expected}: {:?}", failed(&report));
    }
}

#[test]
fn a_worker_whose_image_the_auditor_has_a_name_for_is_called_by_it_and_any_other_fails() {
    let market = Market::with_request();
    let bundle = worker(&market);
    let line = |images: Vec<OsImage>| {
        let report = audit_worker(&bundle, &Judge { images, ..market.judge() });
        let line = report.checks.iter().find(|check| check.id == "worker-os-image").cloned();
        (report.verdict, line.map(|line| (line.pass, line.expected, line.actual)))
    };
    assert_eq!(line(Vec::new()), ("pass", None), "without a table the measurement alone counts");
    let booted = measurement();
    let registers = [&booted.rtmr0, &booted.rtmr1, &booted.rtmr2].map(|register| register.0);
    let image = |name: &str, [rtmr0, rtmr1, rtmr2]: [[u8; 48]; 3]| OsImage {
        name: name.to_owned(),
        mr_td: booted.mr_td.0,
        rtmr0: vec![[7; 48], rtmr0],
        rtmr1,
        rtmr2,
    };
    let [rtmr0, rtmr1, rtmr2] = registers;
    let (older, ours) = (image("dstack-0.5.3", [rtmr0, [8; 48], rtmr2]), image("dstack-0.5.4", [rtmr0, rtmr1, rtmr2]));
    let (verdict, found) = line(vec![older.clone(), ours]);
    let expected = "one of dstack-0.5.3, dstack-0.5.4".to_owned();
    assert_eq!((verdict, found), ("pass", Some((true, expected, "dstack-0.5.4".to_owned()))));
    let (verdict, found) = line(vec![older]);
    let (pass, _, actual) = found.unwrap();
    assert_eq!((verdict, pass), ("fail", false));
    assert!(actual.contains(&booted.mr_td.to_string()), "its registers are shown: {actual}");
}

#[test]
fn a_worker_under_a_judgement_that_the_network_calls_too_old_or_an_advisory_that_it_denies_fails_by_its_quote() {
    let market = Market::with_request();
    let bundle = worker(&market);
    let found = |alter: fn(&mut Policy)| {
        let mut judge = market.judge();
        alter(&mut judge.policy);
        let report = audit_worker(&bundle, &judge);
        let quote = report.checks.iter().find(|check| check.id == "worker-quote").unwrap();
        (report.verdict, quote.actual.clone())
    };
    let (verdict, actual) = found(|policy| policy.min_tcb_evaluation = TcbEvaluationNumber(u32::MAX));
    assert_eq!(verdict, "fail");
    assert!(actual.contains(&u32::MAX.to_string()), "{actual}");
    let (verdict, _) = found(|policy| policy.denied_advisories = [AdvisoryId::new("INTEL-SA-99999")].into());
    assert_eq!(verdict, "pass", "an advisory that does not apply");
}
