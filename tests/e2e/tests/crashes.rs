//! Whoever is killed in the middle of a job: the job goes on, and nothing is paid or drawn twice.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::{DIGIT, PATIENT, credit, cut_off, price, stage, submit};
use encompute_job::Journal;
use encompute_kit::{Market, signal};
use encompute_protocol::BlobDigest;

const RESUME: [&str; 4] = ["job", "resume", "--suri", "//Dave"];

/// The sealed features of the home's only job.
fn features(market: &Market) -> Option<BlobDigest> {
    let jobs = Journal::list(market.home()).unwrap();
    assert_eq!(jobs.len(), 1, "one job was ordered");
    jobs[0].features
}

/// Everything in the release ledger: one page an input.
fn ledger(market: &Market) -> Vec<Vec<u8>> {
    let pages = std::fs::read_dir(market.home().join("ledger")).unwrap().map(|entry| entry.unwrap().path());
    pages
        .filter(|path| path.extension().is_none_or(|kind| kind != "lock"))
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

#[test]
fn a_job_goes_on_whoever_is_killed_in_the_middle_of_it_and_nothing_is_paid_or_drawn_twice() {
    let mut market = Market::up();
    let before = ["//Bob", "//Charlie"].map(|suri| credit(&market, suri));

    // The client, once a worker holds the job; then the worker with the job in its hands.
    cut_off(&market, &submit("digits", DIGIT, "//Dave"), &["● claimed"]);
    assert_eq!(stage(&market, 1), "claimed");
    market.kill("worker");
    // Both again, between rounds.
    cut_off(&market, &RESUME, &["round 1 of 3", "round 2 of 3"]);
    market.kill("worker");
    // The client while it verifies, decrypts and draws noise; then with everything drawn and nothing sent.
    cut_off(&market, &RESUME, &["● head-committed"]);
    cut_off(&market, &RESUME, &["verifying, decrypting", "sending sealed features"]);
    let (drawn, page) = (features(&market), ledger(&market));
    assert!(drawn.is_some() && page.len() == 1, "{drawn:?}, {} pages", page.len());

    // The creator, with the features before it: frozen first, so that it has not answered yet.
    signal("STOP", market.pid("creator"));
    let mut client = market.start(&RESUME);
    client.until(&["● features-sent", "● result-committed"]);
    market.kill("creator");
    let done = client.finish().done();
    assert!(done.stdout.contains('7'), "{done:?}");

    assert_eq!((features(&market), ledger(&market)), (drawn, page), "the features were drawn once");
    let listed = market.encompute(&["job", "list", "--json"]).done().json();
    let jobs = listed["jobs"].as_array().unwrap();
    assert_eq!((jobs.len(), jobs[0]["stage"].as_str()), (1, Some("settled")), "{listed}");
    let earned = ["//Bob", "//Charlie"].map(|suri| credit(&market, suri));
    let due = [before[0] + price(&market, "digits", "head"), before[1] + price(&market, "digits", "tail")];
    assert_eq!(earned, due, "worker and creator are paid once");
    let audit = market.encompute(&["audit", "job", "1", "--json"]).done().json();
    assert_eq!(audit["verdict"], "pass", "{audit}");

    // What everybody stands on: the market starts it again, and the services find it.
    market.kill("gateway");
    market.kill("chain");
    market.encompute(&submit("breast-cancer", PATIENT, "//Dave")).done();
    let books = market.encompute(&["audit", "ledger", "--json"]).done().json();
    assert_eq!((books["balanced"].as_bool(), books["jobs"].as_u64()), (Some(true), Some(2)), "{books}");
}
