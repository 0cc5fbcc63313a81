//! `dev up` itself: stopped early, cut off, started again.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::{DIGIT, refusal, stage, submit};
use encompute_kit::{Market, Running, encompute, signal};
use std::{fs::File, path::Path};

const SERVICES: [&str; 5] = ["chain", "gateway", "attestation", "creator", "worker"];

/// Whether a process runs. One that has ended and was not asked how has no command line.
fn runs(pid: &u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn doctor(home: &Path) -> (i32, serde_json::Value) {
    let ran = encompute(home, &["doctor", "--network", "local", "--json"]);
    (ran.code, ran.json())
}

#[test]
fn a_market_that_is_cut_off_leaves_nothing_running_and_goes_on_where_it_was() {
    let market = Market::up();
    market.encompute(&submit("digits", DIGIT, "//Dave")).done();
    let second = market.encompute(&["dev", "up", "--listen", "127.0.0.1:0"]);
    assert!(refusal(&second) == (1, true) && second.stderr.contains("a market runs in"), "{second:?}");
    assert_eq!(doctor(market.home()).0, 0);

    let processes = SERVICES.map(|service| market.pid(service));
    assert!(processes.iter().all(runs));
    let market = Market::up_in(market.power_cut());
    assert!(!processes.iter().any(runs), "services of the market that was cut off are gone");
    assert_eq!(stage(&market, 1), "settled");
    market.encompute(&submit("digits", DIGIT, "//Dave")).done();

    let home = market.stop();
    let (code, found) = doctor(home.path());
    let failed: Vec<_> =
        found["findings"].as_array().unwrap().iter().filter(|finding| finding["pass"] == false).collect();
    let named: Vec<_> = failed.iter().filter_map(|finding| finding["id"].as_str()).collect();
    assert_eq!((code, named), (1, vec!["gateway", "chain"]), "{found}");
    assert!(
        failed.iter().all(|finding| finding["advice"].as_str().is_some_and(|advice| !advice.is_empty())),
        "{found}"
    );
}

#[test]
fn a_start_that_is_stopped_while_a_model_is_measured_ends_with_its_services() {
    let home = tempfile::tempdir().unwrap();
    let mut starting = Running::start(home.path(), &["dev", "up", "--listen", "127.0.0.1:0"]);
    starting.until(&["publishing"]);
    signal("TERM", starting.pid());
    let stopped = starting.finish();
    assert!(refusal(&stopped) == (1, true) && stopped.stderr.contains("stopped while starting"), "{stopped:?}");
    // A service locks its log for as long as it lives.
    for service in &SERVICES[..4] {
        let log = File::open(home.path().join(format!("logs/{service}.log"))).unwrap();
        assert!(log.try_lock().is_ok(), "{service} still runs");
    }
}
