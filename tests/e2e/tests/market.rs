//! The market as its users meet it: real processes, real files, the command line.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_kit::{Market, Ran, encompute};
use serde_json::Value;

const DIGIT: &str = "tests/fixtures/digits/grey-28x28-7.png";

fn submit(market: &Market, model: &str, input: &str) -> Ran {
    market.encompute(&["job", "submit", "--model", model, "--input", input, "--suri", "//Dave"])
}

/// Exit code, and whether stderr says what happened in one sentence.
fn refusal(ran: &Ran) -> (i32, bool) {
    let errors = ran.stderr.lines().filter(|line| line.starts_with("encompute: error: ")).count();
    (ran.code, errors == 1)
}

#[test]
fn a_digit_and_a_patient_go_through_every_process_and_the_auditor_confirms_them() {
    let market = Market::up();
    let digit = submit(&market, "digits", DIGIT).done();
    assert!(digit.stdout.contains('7'), "{digit:?}");
    submit(&market, "breast-cancer", "tests/fixtures/breast-cancer/patient-benign.csv").done();

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
}

#[test]
fn wrong_use_gets_one_sentence_and_its_exit_code() {
    let market = Market::up();
    assert_eq!(refusal(&submit(&market, "nosuch", DIGIT)), (3, true));
    let unreadable = submit(&market, "digits", "README.md");
    assert!(unreadable.code != 0 && refusal(&unreadable).1, "{unreadable:?}");
    let nobody = format!("0x{}", "07".repeat(32));
    let poor = market.encompute(&["job", "submit", "--model", "digits", "--input", DIGIT, "--suri", &nobody]);
    assert!(refusal(&poor) == (1, true) && poor.stderr.contains("has 0 UNIT free"), "{poor:?}");
    let elsewhere = market.encompute(&["--rpc", "ws://127.0.0.1:9", "model", "list"]);
    assert_eq!(refusal(&elsewhere), (4, true), "{elsewhere:?}");
}

#[test]
fn a_market_that_nobody_started_is_said_to_be_missing() {
    let home = tempfile::tempdir().unwrap();
    let ran = encompute(home.path(), &["model", "list"]);
    assert!(refusal(&ran).1 && ran.code != 0 && ran.stderr.contains("dev up"), "{ran:?}");
}
