//! Jobs bought from an Ethereum wallet, with every process of the market and the command line.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_chain::{Client, Signer};
use encompute_e2e::{DIGIT, PATIENT, price, refusal, submit};
use encompute_kit::{Market, signal};
use encompute_networks::Network;
use encompute_protocol::Plancks;
use serde_json::{Value, json};

const ALITH: &str = "0xf24ff3a9cf04c71dbc94d0b566f7a27b94566cac";
const UNIT: u128 = 1_000_000_000_000;

/// What an account has and is owed, in plancks.
fn purse(market: &Market, identity: &[&str]) -> (u128, u128) {
    let said = market.encompute(&[&["wallet", "balance", "--json"], identity].concat()).done().json();
    let amount = |key: &str| said[key].as_str().unwrap().parse().unwrap();
    assert_eq!(said["mapped"], true, "{said}");
    (amount("free"), amount("credit"))
}

fn buy<'a>(model: &'a str, input: &'a str, wallet: &[&'a str]) -> Vec<&'a str> {
    [&["job", "submit", "--model", model, "--input", input, "--json"], wallet].concat()
}

fn books_balance(market: &Market, jobs: u64) {
    let books = market.encompute(&["audit", "ledger", "--json"]).done().json();
    assert_eq!((&books["balanced"], &books["jobs"]), (&json!(true), &json!(jobs)), "{books}");
}

#[test]
fn a_whole_job_is_bought_rated_and_audited_with_an_ethereum_key() {
    let market = Market::up();
    let (before, _) = purse(&market, &["--suri", "//Alith"]);
    let dry = market.encompute(&[&submit("digits", DIGIT, "//Alith")[..], &["--dry-run", "--json"]].concat());
    let dry = dry.done().json();
    assert!(!dry["fee"].is_null(), "{dry}");
    assert_eq!(purse(&market, &["--suri", "//Alith"]).0, before, "a dry run costs nothing");

    let done = market.encompute(&[&submit("digits", DIGIT, "//Alith")[..], &["--json"]].concat()).done().json();
    assert_eq!((&done["stage"], &done["prediction"]["label"]), (&json!("settled"), &json!("7")), "{done}");
    let job = market.encompute(&["job", "list", "--user", "//Alith", "--json"]).done().json()["jobs"][0].clone();
    assert_eq!((&job["user"], &job["stage"]), (&json!(ALITH), &json!("settled")), "{job}");
    let spent = before - purse(&market, &["--suri", "//Alith"]).0;
    let (before, _) = purse(&market, &["--suri", "//Dave"]);
    market.encompute(&submit("digits", DIGIT, "//Dave")).done();
    let others = before - purse(&market, &["--suri", "//Dave"]).0;
    assert!(
        spent > price(&market, "digits", "total") && spent.abs_diff(others) < UNIT / 50,
        "{spent}, //Dave {others}"
    );

    let rated = market.encompute(&["job", "rate", "1", "--grade", "5", "--suri", "//Alith", "--json"]).done().json();
    assert!(rated.is_object(), "{rated}");
    let stranger = market.encompute(&["job", "rate", "1", "--grade", "1", "--suri", "//Baltathar"]);
    assert_eq!(refusal(&stranger), (1, true), "{stranger:?}");
    let audit = market.encompute(&["audit", "job", "1", "--json"]).done().json();
    assert_eq!(audit["verdict"], "pass", "{audit}");
    assert!(audit["checks"].as_array().unwrap().iter().all(|check| check["pass"] == true), "{audit}");
    books_balance(&market, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_resumed_and_another_cancelled_and_its_refund_withdrawn_to_an_ethereum_wallet() {
    let market = Market::up();
    let password = market.home().join("password").display().to_string();
    std::fs::write(&password, "correct horse\n").unwrap();
    let erin = ["--wallet", "erin", "--password-file", &password];
    let made = ["wallet", "new", "erin", "--ethereum", "--password-file", &password, "--json"];
    let account = market.encompute(&made).done().json()["account"].as_str().unwrap().to_owned();
    let poor = market.encompute(&buy("digits", DIGIT, &erin));
    assert!(refusal(&poor) == (1, true) && poor.stderr.contains("has 0 UNIT free"), "{poor:?}");

    let network = Network::load(&market.home().join("networks/local.toml")).unwrap();
    let alice = Client::connect(&network).await.unwrap().signed_by(Signer::from_suri("//Alice").unwrap());
    alice.transfer(&account.parse().unwrap(), Plancks(1_000 * UNIT)).await.unwrap();
    let doctor: Value = serde_json::from_str(&market.encompute(&["doctor", "--json"]).stdout).unwrap();
    let wallets = doctor["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == "wallets").unwrap();
    assert_eq!(wallets["pass"], true, "{wallets}");

    // A worker that hangs: nobody claims, and the first client is lost.
    signal("STOP", market.pid("worker"));
    let mut lost = market.start(&buy("digits", DIGIT, &erin));
    lost.until(&["● requested"]);
    lost.kill();
    let mut regretted = market.start(&buy("breast-cancer", PATIENT, &erin));
    regretted.until(&["● requested"]);
    regretted.kill();
    let cancelled = market.encompute(&[&["job", "cancel", "2", "--json"], &erin[..]].concat()).done().json();
    assert_eq!(cancelled["stage"], "cancelled", "{cancelled}");
    let (before, owed) = purse(&market, &erin);
    assert_eq!(owed, price(&market, "breast-cancer", "total"));
    let taken = market.encompute(&[&["wallet", "withdraw", "--json"], &erin[..]].concat()).done().json();
    assert_eq!(taken["withdrawn"], owed.to_string(), "{taken}");
    let (after, left) = purse(&market, &erin);
    assert!(left == 0 && after > before && after < before + owed, "the refund less its fee: {before}, {after}");

    signal("CONT", market.pid("worker"));
    let resumed = market.encompute(&[&["job", "resume", "1", "--json"], &erin[..]].concat()).done().json();
    assert_eq!((&resumed["stage"], &resumed["prediction"]["label"]), (&json!("settled"), &json!("7")), "{resumed}");
    let job = market.encompute(&["job", "list", "--user", &account, "--json"]).done().json();
    assert_eq!(job["jobs"].as_array().map(Vec::len), Some(2), "{job}");
    let audit = market.encompute(&["audit", "job", "1", "--json"]).done().json();
    assert_eq!(audit["verdict"], "pass", "{audit}");
    books_balance(&market, 2);
}
