//! Quotes on demand in a market of real processes: who demands one has it shown over the receipt, and a worker that shows
//! none pays.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_drill::judge::Outcome;
use encompute_e2e::{Court, DIGIT};
use encompute_kit::{Ran, Running};
use encompute_protocol::{DisputeKind, JobId, Plancks, Reason, Stage, event::Event};

/// What the contract has said of a job, in order.
async fn said(court: &Court, job: JobId) -> Vec<Event> {
    let client = court.services.client();
    let (terms, _) = court.job(job).await;
    let head = client.head().await.unwrap().number;
    let blocks = client.events_in(terms.requested_at..=head).await.unwrap();
    let events = blocks.into_iter().flat_map(|block| block.events).map(|emitted| emitted.event);
    events.filter(|event| event.job() == Some(job)).collect()
}

/// Where among what was said an event first is.
fn place(events: &[Event], wanted: fn(&Event) -> bool) -> usize {
    events.iter().position(wanted).unwrap_or_else(|| panic!("not among {events:?}"))
}

/// A command of somebody's, to its end.
fn says(court: &Court, suri: &str, words: &[&str]) -> Ran {
    Running::of(court.services.encompute("other", &[words, &["--suri", suri]].concat())).finish()
}

/// A job whose receipt is on chain and whose user has gone.
async fn left_after_its_receipt(court: &Court) -> JobId {
    let job = JobId(court.jobs().await.0 + 1);
    let mut client = court.submit();
    client.until(&["round 3 of 3"]);
    client.kill();
    court.until(job, "a receipt", |progress| progress.stage == Stage::HeadCommitted).await;
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_a_quote_over_the_receipt_before_anything_is_released() {
    let court = Court::over("digits", DIGIT).await;
    let (worker, treasury) = (court.credit(court.address("//Bob")).await, court.credit(court.address("//Alice")).await);
    let ran = court.submit_with(&["--fresh-quote"]).finish().done();
    assert!(ran.stdout.contains('7'), "{ran:?}");
    let job = court.jobs().await;
    let (terms, progress) = court.job(job).await;
    assert_eq!(progress.stage, Stage::Settled);
    let events = said(&court, job).await;
    let shown = place(&events, |event| matches!(event, Event::QuoteShown(_)));
    assert!(place(&events, |event| matches!(event, Event::HeadCommitted(_))) < shown);
    assert!(shown < place(&events, |event| matches!(event, Event::FeaturesSent(_))));
    // Judged under the root of the network, and bound to this receipt.
    assert_eq!(court.audited(job, "quote-receipt"), progress.receipt.unwrap().to_string());
    court.audited(job, "quote-measurement");
    let head = terms.fees.head.0;
    assert_eq!(
        court.credit(court.address("//Bob")).await - worker,
        head + head / 2,
        "its fee, and half of the deposit"
    );
    let protocol = terms.fees.protocol.0;
    assert_eq!(court.credit(court.address("//Alice")).await - treasury, protocol + head - head / 2);
    court.judge("a quote was shown", job, Outcome::Settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_demands_a_quote_and_a_worker_that_was_away_shows_it_when_it_is_back() {
    let mut court = Court::over("digits", DIGIT).await;
    let job = left_after_its_receipt(&court).await;
    court.services.kill("worker-1").await;
    let number = job.to_string();
    let demand = ["job", "dispute", &number, "--kind", "quote"];
    let shown = says(&court, "//Eve", &[&demand[..], &["--dry-run"]].concat()).done();
    assert!(shown.stdout.contains("deposit") && shown.stdout.contains("half of it to the worker"), "{shown:?}");
    assert_eq!(court.job(job).await.1.stage, Stage::HeadCommitted, "nothing was sent");
    let opened = says(&court, "//Eve", &[&demand[..], &["--json"]].concat()).done().json();
    assert_eq!(opened["stage"], "disputed-quote", "{opened}");
    // What its user wants meanwhile waits.
    let stopped = court.cancel(job);
    assert_ne!(stopped.code, 0, "{stopped:?}");
    court.services.restart("worker-1").await.unwrap();
    let answered = court.until(job, "a quote", |progress| progress.stage == Stage::HeadCommitted).await;
    assert_eq!(answered.reason, Some(Reason::Quoted));
    let twice = says(&court, "//Eve", &demand);
    assert!(twice.code != 0 && twice.stderr.contains("had this dispute before"), "{twice:?}");
    let ended = court.resume(job).done();
    assert!(ended.stdout.contains('7'), "{ended:?}");
    court.audited(job, "quote-report-data");
    court.judge("a quote that a stranger demanded", job, Outcome::Settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_shows_no_quote_is_slashed_and_the_user_has_everything_back() {
    let mut court = Court::over("digits", DIGIT).await;
    let job = left_after_its_receipt(&court).await;
    court.services.kill("worker-1").await;
    let before = (court.credit(court.address("//Dave")).await, court.stake(court.address("//Bob")).await);
    says(&court, "//Ferdie", &["job", "dispute", &job.to_string(), "--kind", "quote"]).done();
    court.pass_window(job).await;
    court.poke(job).await;
    let (terms, progress) = court.job(job).await;
    assert_eq!((progress.stage, progress.reason), (Stage::Failed, Some(Reason::QuoteMissing)));
    let slash = terms.job_stake.share_floor(terms.fail_slash).unwrap().0;
    let paid = terms.fees.total().unwrap().0;
    assert_eq!(court.credit(court.address("//Dave")).await - before.0, paid + slash / 2);
    assert_eq!(before.1 - court.stake(court.address("//Bob")).await, slash);
    assert_eq!(court.credit(court.address("//Ferdie")).await, terms.fees.head.0, "the deposit comes back");
    assert_eq!(court.credit(court.address("//Eve")).await, slash / 5, "who ended it");
    let told = court.resume(job);
    assert!(told.stderr.contains("showed no quote") || told.stdout.contains("showed no quote"), "{told:?}");
    assert_eq!(court.audit(job).done().json()["verdict"], "pass");
    court.judge("no quote", job, Outcome::Refunded).await;
    assert_eq!(terms.fees.tip, Plancks::ZERO);
    assert!(progress.disputed & DisputeKind::Quote.bit(Stage::HeadCommitted) != 0);
}
