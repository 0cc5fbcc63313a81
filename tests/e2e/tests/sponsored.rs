//! Jobs that somebody else pays for, in a market of real processes.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_drill::judge::Outcome;
use encompute_e2e::{Court, DIGIT};
use encompute_kit::{Ran, Running};
use encompute_protocol::{JobId, Plancks, Stage, call::ReadAllowance};

/// A command of the sponsor's, to its end.
fn sponsor_says(court: &Court, words: &[&str]) -> Ran {
    Running::of(court.services.encompute("sponsor", &[words, &["--suri", "//Eve"]].concat())).finish()
}

async fn left(court: &Court) -> u128 {
    let (sponsor, user) = (court.address("//Eve"), court.address("//Dave"));
    court.services.client().read(ReadAllowance { sponsor, user }).await.unwrap().0
}

/// The sponsor allows the user so much.
fn allows(court: &Court, amount: &str) {
    let said = sponsor_says(court, &["wallet", "sponsor", "//Dave", "--amount", amount, "--json"]).done().json();
    assert_eq!(said["ended"], serde_json::Value::Null, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sponsor_pays_the_price_and_the_user_has_the_result() {
    let court = Court::over("digits", DIGIT).await;
    allows(&court, "10");
    let before = left(&court).await;
    let ran = court.submit_with(&["--sponsor", "//Eve", "--tip", "0.01"]).finish().done();
    assert!(ran.stdout.contains('7'), "{ran:?}");
    let job = court.jobs().await;
    let (terms, progress) = court.job(job).await;
    assert_eq!(progress.stage, Stage::Settled);
    assert_eq!((terms.user, terms.sponsor), (court.address("//Dave"), Some(court.address("//Eve"))));
    assert_eq!(before - left(&court).await, terms.fees.total().unwrap().0);
    assert_eq!(court.audited(job, "sponsor-event"), court.address("//Eve").to_string());
    court.judge("a sponsor paid", job, Outcome::Settled).await;

    // What is not spent goes back.
    let rest = left(&court).await;
    let ended = sponsor_says(&court, &["wallet", "sponsor", "//Dave", "--end"]).done();
    assert!(ended.stdout.contains("pays for no job"), "{ended:?}");
    assert_eq!((left(&court).await, court.credit(court.address("//Eve")).await), (0, rest));
    let twice = sponsor_says(&court, &["wallet", "sponsor", "//Dave", "--end"]);
    assert_ne!(twice.code, 0, "{twice:?}");
    sponsor_says(&court, &["wallet", "withdraw"]).done();
    let books = Running::of(court.services.encompute("user", &["audit", "ledger", "--json"])).finish().done().json();
    assert_eq!((&books["balanced"], &books["totals"]["allowances"]), (&true.into(), &"0".into()), "{books}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_of_a_price_comes_back_to_whom_it_came_from() {
    let court = Court::over("digits", DIGIT).await;
    allows(&court, "10");
    let job = JobId(court.jobs().await.0 + 1);
    let mut client = court.submit_with(&["--sponsor", "//Eve"]);
    client.until(&["round 3 of 3"]);
    client.kill();
    court.until(job, "a receipt", |progress| progress.stage == Stage::HeadCommitted).await;
    let (user, sponsor) = (court.credit(court.address("//Dave")).await, court.credit(court.address("//Eve")).await);
    court.cancel(job).done();
    let (terms, _) = court.job(job).await;
    let stop = terms.fees.tail.share_floor(terms.stop_fee).unwrap();
    let paid = terms.fees.head.checked_add(stop).unwrap();
    let kept = paid.checked_add(paid.share_ceil(terms.protocol_fee).unwrap()).unwrap();
    let back = terms.fees.total().unwrap().checked_sub(kept).unwrap().0;
    assert_eq!(court.credit(court.address("//Eve")).await - sponsor, back);
    assert_eq!(court.credit(court.address("//Dave")).await, user);
    assert_eq!(court.audit(job).done().json()["verdict"], "pass");
    court.judge("a sponsored job that its user stopped", job, Outcome::Refunded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_costs_more_than_is_allowed_is_refused_before_anything_is_encrypted() {
    let court = Court::over("digits", DIGIT).await;
    let refused = court.submit_with(&["--sponsor", "//Eve"]).finish();
    assert!(refused.code != 0 && refused.stderr.contains("pays for no job of"), "{refused:?}");
    allows(&court, "0.000001");
    let refused = court.submit_with(&["--sponsor", "//Eve"]).finish();
    assert!(refused.code != 0 && refused.stderr.contains("this one costs"), "{refused:?}");
    assert!(refused.stderr.contains("wallet sponsor"), "{refused:?}");
    assert_eq!(court.jobs().await, JobId(0));
    assert!(
        !court.home().join("jobs").exists() || std::fs::read_dir(court.home().join("jobs")).unwrap().next().is_none()
    );
    for (words, told) in [
        (&["wallet", "sponsor", "//Dave", "--amount", "0"][..], "--amount is 0"),
        (&["wallet", "sponsor", "nobody", "--amount", "1"], "read account"),
        (&["wallet", "sponsor", "//Eve", "--amount", "1"], "its own sponsor"),
    ] {
        let refused = sponsor_says(&court, words);
        assert!(refused.code != 0 && refused.stderr.contains(told), "{words:?}: {refused:?}");
    }
    assert_eq!(Plancks(left(&court).await), Plancks(1_000_000));
}
