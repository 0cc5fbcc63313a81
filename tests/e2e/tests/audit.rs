//! The auditor's command against a market of real processes: jobs at every kind of stage, proof that is
//! gone, roots that are not trusted.
#![allow(clippy::unwrap_used)]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use encompute_kit::{Market, Ran, blob_file};
use p256::{ecdsa::SigningKey, pkcs8::EncodePrivateKey};
use serde_json::Value;
use std::process::Command;

const DIGIT: &str = "tests/fixtures/digits/grey-28x28-7.png";

fn submit(market: &Market, more: &[&str]) -> Ran {
    let submit = ["job", "submit", "--model", "digits", "--input", DIGIT, "--suri", "//Dave"];
    market.encompute(&[&submit, more].concat())
}

fn audit(market: &Market, more: &[&str]) -> (i32, Value, String) {
    let ran = market.encompute(&[&["audit", "job", "--json"], more].concat());
    let report = if ran.stdout.is_empty() { Value::Null } else { ran.json() };
    (ran.code, report, ran.stderr)
}

fn failed(report: &Value) -> Vec<&str> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks.filter(|check| check["pass"] == false).map(|check| check["id"].as_str().unwrap()).collect()
}

fn signal(market: &Market, service: &str, signal: &str) {
    Command::new("kill").args([signal, &market.pid(service).to_string()]).status().unwrap();
}

#[test]
fn a_job_passes_while_it_runs_while_nobody_claims_it_and_once_it_is_cancelled() {
    let market = Market::up();
    submit(&market, &["--no-accept"]).done();
    let (code, running, words) = audit(&market, &["1"]);
    assert_eq!((code, &running["verdict"], failed(&running)), (0, &Value::from("pass"), vec![]), "{words}");
    assert_eq!(running["judged"]["why"], "the receipt was accepted in this block");
    let last = running["checks"].as_array().unwrap().iter().find(|check| check["id"] == "stage-last").unwrap();
    assert_eq!(last["actual"], "Some(ResultCommitted)");

    // A worker that answers nobody: the job is bought openly, and nobody claims it.
    signal(&market, "worker", "-STOP");
    let unclaimed = submit(&market, &["--patience", "1"]);
    let cancelled = market.encompute(&["job", "cancel", "2", "--suri", "//Dave"]);
    let (code, report, words) = audit(&market, &["2"]);
    signal(&market, "worker", "-CONT");
    assert_eq!((unclaimed.code, cancelled.code), (6, 0), "{unclaimed:?} {cancelled:?}");
    assert_eq!((code, &report["verdict"], failed(&report)), (0, &Value::from("pass"), vec![]), "{words}");
    assert_eq!(report["judged"], Value::Null);

    let ledger = market.encompute(&["audit", "ledger", "--json"]).done().json();
    assert_eq!((&ledger["balanced"], &ledger["jobs"]), (&Value::from(true), &Value::from(2)), "{ledger}");
    assert!(ledger["blocks"].as_u64().unwrap() > 0 && ledger["totals"]["escrow"].is_string(), "{ledger}");
}

#[test]
fn an_audit_that_cannot_confirm_says_which_proof_failed_is_gone_or_was_out_of_reach() {
    let market = Market::up();
    submit(&market, &[]).done();
    let (code, report, words) = audit(&market, &["1"]);
    assert_eq!((code, failed(&report)), (0, vec![]), "{words}");
    let shape = ["verdict", "trust_root", "judged", "checks", "limits"];
    assert!(shape.iter().all(|key| report.get(key).is_some()), "{report}");
    for check in ["worker-quote", "receipt-digest", "receipt-signature", "transcript-digest", "round-0-signature"] {
        assert!(report["checks"].as_array().unwrap().iter().any(|found| found["id"] == check), "{check}: {report}");
    }

    // Under Intel's root a development quote proves nothing, whatever the network says.
    let (code, report, _) = audit(&market, &["1", "--trust-root", "intel"]);
    assert_eq!((code, &report["verdict"], failed(&report)), (5, &Value::from("fail"), vec!["worker-quote"]));
    assert_eq!(report["trust_root"]["development"], false);

    // Sealed features that nobody keeps any more.
    let checks = report["checks"].as_array().unwrap();
    let features = checks.iter().find(|check| check["id"] == "features-digest").unwrap();
    let digest = features["expected"].as_str().unwrap().parse().unwrap();
    std::fs::remove_file(blob_file(market.home(), &digest)).unwrap();
    let (code, report, words) = audit(&market, &["1"]);
    assert_eq!((code, &report["verdict"], failed(&report)), (5, &Value::from("fail"), vec!["features-blob"]));
    assert!(words.contains("features-blob") && words.contains("hint: nothing contradicts it"), "{words}");

    let codes = [
        (&["99"][..], 3),
        (&["1", "--trust-root", "no-such-file"], 3),
        (&["1", "--trust-root", "README.md"], 2),
        (&["1", "--gateway", "http://127.0.0.1:9"], 4),
        (&["1", "--rpc", "ws://127.0.0.1:9"], 4),
    ];
    for (arguments, expected) in codes {
        let (code, report, words) = audit(&market, arguments);
        assert_eq!((code, report), (expected, Value::Null), "{arguments:?}: {words}");
    }
}

#[test]
fn an_auditor_elsewhere_judges_worker_version_and_a_job_in_a_file_and_twice_in_the_same_bytes() {
    let market = Market::up();
    submit(&market, &[]).done();
    let folder = market.home().join("auditor");
    std::fs::create_dir_all(&folder).unwrap();
    let (file, page) = (folder.join("job-1.audit"), folder.join("verdict.html"));
    let (file, page) = (file.to_str().unwrap(), page.to_str().unwrap());
    let said = market.encompute(&["audit", "export", "1", "--out", file, "--json"]).done().json();
    assert_eq!(said["bytes"].as_u64(), std::fs::metadata(file).ok().map(|found| found.len()), "{said}");
    let again = market.encompute(&["audit", "export", "1", "--out", file]);
    assert_eq!(again.code, 2, "a file that is there stays: {again:?}");

    let bundle = |more: &[&str]| market.encompute(&[&["audit", "bundle", file, "--json"], more].concat());
    let (first, second) = (bundle(&["--html", page]), bundle(&[]));
    assert_eq!((first.code, &first.stdout), (0, &second.stdout), "{first:?}");
    let confirmed = first.json();
    let checks = confirmed["checks"].as_array().unwrap();
    let ids: Vec<_> = checks.iter().filter_map(|check| check["id"].as_str()).collect();
    assert!(ids.contains(&"facts-events") && ids.contains(&"receipt-signature"), "{ids:?}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("Audit of job 1, from a file") && page.contains("Everything that can be checked holds."));

    // Everything is off: the file alone, under the root of the auditor's choice.
    let offline = ["--offline", "--rpc", "ws://127.0.0.1:9", "--gateway", "http://127.0.0.1:9"];
    let alone = bundle(&offline);
    assert_eq!((alone.code, alone.json()["verdict"].as_str()), (0, Some("pass")), "{alone:?}");
    assert!(alone.json()["limits"][0].as_str().unwrap().contains("what the file says of it"));
    let intel = bundle(&[&offline[..], &["--trust-root", "intel"]].concat());
    assert_eq!((intel.code, failed(&intel.json())), (5, vec!["worker-quote"]));
    assert_eq!(bundle(&[&offline[..], &["--trust-root", "development"]].concat()).stdout, alone.stdout);
    assert!(checks.iter().all(|check| check["severity"] == "ok"), "{confirmed}");

    let altered = folder.join("altered.audit");
    let mut bytes = std::fs::read(file).unwrap();
    // Behind version, block, genesis, contract and number: who paid.
    bytes[100] ^= 1;
    std::fs::write(&altered, &bytes).unwrap();
    let altered = market.encompute(&["audit", "bundle", altered.to_str().unwrap(), "--json", "--offline"]);
    assert_eq!(altered.code, 5, "{altered:?}");

    let check = |id: &str| checks.iter().find(|check| check["id"] == id).unwrap()["expected"].as_str().unwrap();
    let account = check("receipt-worker");
    let worker = market.encompute(&["audit", "worker", account, "--json"]);
    assert_eq!((worker.code, failed(&worker.json())), (0, vec![]), "{worker:?}");
    assert_eq!(market.encompute(&["audit", "worker", account, "--trust-root", "intel"]).code, 5);
    assert_eq!(market.encompute(&["audit", "worker", &format!("0x{}", "ee".repeat(20))]).code, 3);
    // Under a development root nobody takes the machine for one.
    let (key, token) = (folder.join("auditor.pem"), folder.join("verdict.jwt"));
    let auditors = SigningKey::from_slice(&[7; 32]).unwrap().to_pkcs8_pem(Default::default()).unwrap();
    std::fs::write(&key, &*auditors).unwrap();
    let (key, token) = (key.to_str().unwrap(), token.to_str().unwrap());
    market.encompute(&["audit", "job", "1", "--ear", token, "--ear-key", key]).done();
    let said = std::fs::read_to_string(token).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(said.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["submods"]["record"]["ear_status"], "affirming", "{claims}");
    assert_eq!(claims["submods"]["worker"]["ear_status"], "contraindicated", "{claims}");
    assert_eq!(claims["ear_status"], "contraindicated", "{claims}");
    let refused = market.encompute(&["audit", "job", "1", "--ear", token, "--ear-key", "README.md"]);
    assert!(refused.code == 2 && refused.stderr.contains("no P-256 key"), "{refused:?}");

    // Whoever holds the head runs it again: its creator, and anybody where its model is open.
    let vault = market.home().join("creator");
    for folder in [vault.to_str().unwrap(), "scripts/models/digits"] {
        let again = market.encompute(&["audit", "job", "1", "--rerun", folder, "--json"]);
        let report = again.json();
        let line = report["checks"].as_array().unwrap().iter().find(|check| check["id"] == "rerun-0-response");
        assert_eq!((again.code, &line.unwrap()["pass"]), (0, &Value::Bool(true)), "{folder}: {again:?}");
    }
    let other = market.encompute(&["audit", "job", "1", "--rerun", "scripts/models/breast-cancer", "--json"]);
    assert_eq!((other.code, failed(&other.json())), (5, vec!["rerun-head"]), "{other:?}");
    let none = market.encompute(&["audit", "job", "1", "--rerun", "README.md"]);
    assert!(none.code == 3 && none.stderr.contains("holds neither a model"), "{none:?}");
    let version = market.encompute(&["audit", "version", "1", "--json"]);
    assert_eq!((version.code, failed(&version.json())), (0, vec![]), "{version:?}");
    assert_eq!(market.encompute(&["audit", "version", "99"]).code, 3);
}
