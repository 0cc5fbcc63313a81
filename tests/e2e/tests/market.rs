//! The market as its users meet it: real processes, real files, the command line.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::{DIGIT, PATIENT, refusal, submit};
use encompute_kit::{Market, encompute};
use serde_json::Value;

#[test]
fn a_digit_and_a_patient_go_through_every_process_and_the_auditor_confirms_them() {
    let market = Market::up();
    let digit = market.encompute(&submit("digits", DIGIT, "//Dave")).done();
    assert!(digit.stdout.contains('7'), "{digit:?}");
    market.encompute(&submit("breast-cancer", PATIENT, "//Dave")).done();

    let listed = market.encompute(&["job", "list", "--json"]).done().json();
    let stages: Vec<_> = listed["jobs"].as_array().unwrap().iter().map(|job| job["stage"].clone()).collect();
    assert_eq!(stages, ["settled", "settled"]);
    for job in ["1", "2"] {
        let audit = market.encompute(&["audit", "job", job, "--json"]).done().json();
        assert_eq!(audit["verdict"], "pass", "{audit}");
        assert_eq!(audit["trust_root"]["development"], true);
        assert!(audit["checks"].as_array().unwrap().iter().all(|check| check["pass"] == true), "{audit}");
    }
    let ledger = market.encompute(&["audit", "ledger", "--json"]).done().json();
    assert_eq!((&ledger["balanced"], &ledger["jobs"]), (&Value::from(true), &Value::from(2)), "{ledger}");
    every_verb_answers_in_json(&market);
}

/// The verbs that are in no other test of this folder, each with something that it must say.
fn every_verb_answers_in_json(market: &Market) {
    let worker = market.service("worker")["ready"]["listen"].as_str().unwrap();
    let publish = ["scripts/models/breast-cancer", "--suri", "//Charlie", "--creator-url", "http://127.0.0.1:1"];
    let verbs: [(&[&str], &str); 16] = [
        (&["doctor"], "findings"),
        (&["model", "list"], "models"),
        (&["model", "show", "digits"], "splits"),
        (&[&["model", "publish"], &publish[..], &["--dry-run"]].concat(), "hash"),
        (&["model", "eval", "breast-cancer"], "released"),
        (&["job", "quote", "--model", "digits"], "refunds"),
        (&[&submit("digits", DIGIT, "//Dave")[..], &["--dry-run"]].concat(), "fee"),
        (&["job", "watch", "1"], "stage"),
        (&["job", "result", "1"], "prediction"),
        (&["job", "resume", "1", "--suri", "//Dave"], "prediction"),
        (&["creator", "withdraw", "--suri", "//Charlie"], "withdrawn"),
        (&["worker", "status", "--url", worker], "registered_until"),
        (&["model", "explain", "breast-cancer"], "program"),
        (&["bench", "head", "--only", "dense-784x64"], "rows"),
        (&["bench", "noise", "--encryptions", "20"], "measured_variance"),
        (&["bench", "exact", "--outputs", "100"], "rows"),
    ];
    for (verb, key) in verbs {
        let answer = market.encompute(&[verb, &["--json"]].concat()).done().json();
        assert!(!answer[key].is_null(), "{verb:?} says nothing of {key}: {answer}");
    }
}

#[test]
fn wrong_use_gets_one_sentence_and_its_exit_code() {
    let market = Market::up();
    let buy = |model, input, suri| market.encompute(&submit(model, input, suri));
    assert_eq!(refusal(&buy("nosuch", DIGIT, "//Dave")), (3, true));
    let unreadable = buy("digits", "README.md", "//Dave");
    assert!(unreadable.code != 0 && refusal(&unreadable).1, "{unreadable:?}");
    let poor = buy("digits", DIGIT, &format!("0x{}", "07".repeat(32)));
    assert!(refusal(&poor) == (1, true) && poor.stderr.contains("has 0 UNIT free"), "{poor:?}");
    let elsewhere = market.encompute(&["--rpc", "ws://127.0.0.1:9", "model", "list"]);
    assert_eq!(refusal(&elsewhere), (4, true), "{elsewhere:?}");
    let nobody = market.encompute(&["job", "submit", "--model", "digits", "--input", DIGIT]);
    assert!(refusal(&nobody) == (2, true) && nobody.stderr.contains("--suri"), "{nobody:?}");

    // The word that nobody can miss is what makes a development root count.
    let file = market.home().join("networks/local.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let strict = market.home().join("networks/strict.toml");
    std::fs::write(&strict, text.replace("i-understand-anybody-can-forge-these", "yes")).unwrap();
    let development = encompute(market.home(), &["model", "list", "--network", "strict"]);
    assert!(refusal(&development) == (2, true) && development.stderr.contains("forge"), "{development:?}");

    a_wallet_opens_with_its_password_alone(&market);
    broken_parts_are_named(&market);
}

fn a_wallet_opens_with_its_password_alone(market: &Market) {
    let password = |name: &str, text: &str| {
        let path = market.home().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (right, wrong) = (password("right", "correct horse"), password("wrong", "battery staple"));
    market.encompute(&["wallet", "new", "anna", "--password-file", &right]).done();
    let earnings =
        |file: &str| market.encompute(&["creator", "earnings", "--wallet", "anna", "--password-file", file, "--json"]);
    assert_eq!(earnings(&right).done().json()["credit"], "0");
    let refused = earnings(&wrong);
    assert!(refusal(&refused) == (1, true) && refused.stderr.contains("wrong password"), "{refused:?}");
    let missing = earnings("/nowhere/password");
    assert!(refusal(&missing).1 && missing.stderr.contains("/nowhere/password"), "{missing:?}");
    let file = market.home().join("wallets/anna.json");
    let kept = std::fs::read(&file).unwrap();
    std::fs::write(&file, &kept[..kept.len() / 2]).unwrap();
    let damaged = earnings(&right);
    assert!(refusal(&damaged) == (1, true) && damaged.stderr.contains("anna.json"), "{damaged:?}");
    assert!(!damaged.stderr.contains("password"), "the password is not what is wrong: {damaged:?}");
    let found = market.encompute(&["doctor"]);
    assert!(refusal(&found) == (1, true) && found.stdout.contains("wallet anna is damaged"), "{found:?}");
    std::fs::write(&file, kept).unwrap();
}

/// `doctor` finds what is broken and says what to do; `config show` says where each setting comes from.
fn broken_parts_are_named(market: &Market) {
    for (flag, url, part) in [("--rpc", "ws://127.0.0.1:9", "chain"), ("--gateway", "http://127.0.0.1:9", "gateway")] {
        let ran = market.encompute(&["doctor", flag, url, "--json"]);
        let report = ran.json();
        let failed: Vec<_> =
            report["findings"].as_array().unwrap().iter().filter(|found| found["pass"] == false).collect();
        assert_eq!((refusal(&ran), failed.len()), ((1, true), 1), "{report}");
        assert_eq!((&failed[0]["id"], failed[0]["advice"].is_string()), (&Value::from(part), true));

        let shown = market.encompute(&["config", "show", flag, url, "--json"]).done().json();
        let origin = |key: &str| {
            let settings = shown["settings"].as_array().unwrap();
            settings.iter().find(|setting| setting["key"] == key).unwrap()["origin"].as_str().unwrap()
        };
        let key = flag.trim_start_matches('-');
        assert_eq!((origin(key), origin("home")), (format!("flag {flag}").as_str(), "environment ENCOMPUTE_HOME"));
        assert_eq!(origin("network"), "flag --network");
        assert!(origin("contract").starts_with("file ") && origin("contract").ends_with("local.toml"), "{shown}");
    }
}

#[test]
fn a_market_that_nobody_started_is_said_to_be_missing() {
    let home = tempfile::tempdir().unwrap();
    let ran = encompute(home.path(), &["model", "list"]);
    assert!(refusal(&ran) == (4, true) && ran.stderr.contains("dev up"), "{ran:?}");
    let ran = encompute(home.path(), &["doctor", "--json"]);
    let network = ran.json()["findings"].as_array().unwrap().iter().find(|found| found["id"] == "network").cloned();
    assert_eq!((ran.code, network.unwrap()["advice"].as_str().unwrap().contains("dev up")), (1, true), "{ran:?}");
}

#[test]
fn the_demo_runs_a_digit_and_a_patient_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let scratch = home.path().display().to_string();
    let mut demo = encompute_kit::command(home.path(), &["demo", "--json"]);
    let ran = demo.env("TMPDIR", &scratch).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let report: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let jobs = report["jobs"].as_array().unwrap();
    let labels: Vec<_> = jobs.iter().map(|job| job["prediction"]["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["7", "malignant"], "{report}");
    assert!(jobs.iter().all(|job| job["stage"] == "settled" && job["audit"]["verdict"] == "pass"), "{report}");
    assert_eq!(report["chain"]["transactions_per_job"], 5, "{report}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "the demo's folder is gone");
}
