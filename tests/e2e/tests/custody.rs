//! Jobs whose key the user gave to the worker's enclave: the user goes, the job goes on.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_drill::Outcome;
use encompute_e2e::{Court, DIGIT, Secrets, files};
use encompute_kit::{Between, Lie, Running};
use encompute_protocol::{JobId, Reason, Stage};
use std::{collections::BTreeSet, fs, path::PathBuf};

const JOB: JobId = JobId(1);

/// Submits with custody, and comes back when the command has ended.
fn leave(court: &Court) -> serde_json::Value {
    let left = court.submit_with(&["--custody", "--json"]).finish().done();
    assert!(left.stderr.contains("you may go away") && left.stderr.contains("job resume 1"), "{left:?}");
    left.json()
}

fn custody(court: &Court) -> Vec<PathBuf> {
    files(&court.services.home().join("worker-1").join("custody"))
}

/// The user's FHE key, in every form that a program may have it in.
fn key(court: &Court) -> Secrets {
    let mut secrets = Secrets::none();
    secrets.add_fhe_key(&court.home(), &court.home().join("jobs").join(court.record(JOB).input.to_string()));
    secrets
}

/// Keys, journal, envelope: nothing is left in the enclave's folder, and the key is nowhere in its memory.
async fn wiped(court: &Court) {
    while !custody(court).is_empty() {
        tokio::task::yield_now().await;
    }
    let key = key(court);
    let (found, read) = key.found_in_memory_of(court.services.id("worker-1").unwrap());
    assert!(read > 1_000_000, "only {read} bytes were read");
    assert_eq!(found, BTreeSet::new(), "in the memory of the enclave that is done");
}

/// What the job's audit says of who could read what.
fn limits(court: &Court) -> String {
    let audited = court.audit(JOB).done().json();
    assert_eq!(audited["verdict"], "pass", "{audited}");
    audited["limits"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_away_from_submit_to_result_comes_back_to_the_answer_and_the_enclave_has_wiped_the_key() {
    let court = Court::in_custody("digits", DIGIT).await;
    let left = leave(&court);
    assert_eq!((left["custody"].as_bool(), left["prediction"].is_null()), (Some(true), true), "{left}");
    // No process of the user runs from here on.
    let answered = court.until(JOB, "answered", |progress| progress.stage == Stage::ResultCommitted).await;
    let (terms, _) = court.job(JOB).await;
    assert!(terms.custody && answered.features.is_some());
    // The release was charged to the input's budget at home before the key left.
    let pages = files(&court.home().join("ledger")).into_iter().filter(|page| page.extension().is_none());
    assert_eq!(pages.count(), 1);
    wiped(&court).await;
    let done = court.resume_with(JOB, &["--json"]).done().json();
    assert_eq!((done["stage"].as_str(), done["prediction"]["label"].as_str()), (Some("settled"), Some("7")), "{done}");
    court.judge("custody", JOB, Outcome::Settled).await;
    let limits = limits(&court);
    assert!(limits.contains("in custody, as the receipt says"), "{limits}");

    // The same input again, the key at home: the same noise, and nothing more of its budget.
    let (before, after) = (court.codes(JOB).await, JobId(2));
    court.submit().finish().done();
    assert_eq!(court.codes(after).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_that_is_killed_between_rounds_goes_on_from_what_it_has_on_disk() {
    let mut court = Court::in_custody("digits", DIGIT).await;
    // The enclave asks its own address, as a user does: its order for the second round reaches nobody.
    court.liar(Between::WorkerAndClient).tell(|asked| match asked.path.ends_with("/rounds/1") {
        true => Lie::Silence,
        false => Lie::Truth,
    });
    leave(&court);
    let second = |court: &Court| court.liar(Between::WorkerAndClient).heard();
    while !second(&court).iter().any(|(asked, _)| asked.path.ends_with("/rounds/1")) {
        tokio::task::yield_now().await;
    }
    // What is on disk opens nothing by itself: the user's key is nowhere in clear.
    let key = key(&court);
    let kept = custody(&court);
    assert!(kept.iter().any(|path| path.ends_with("fhe.key")), "{kept:?}");
    for path in kept {
        assert_eq!(key.found_in(&fs::read(&path).unwrap()), BTreeSet::new(), "{}", path.display());
    }
    let (found, _) = key.found_in_memory_of(court.services.id("worker-1").unwrap());
    assert!(!found.is_empty(), "the enclave works with the key: the search finds it");
    court.services.kill("worker-1").await;
    court.liar(Between::WorkerAndClient).repent();
    court.services.restart("worker-1").await.unwrap();
    let listen = court.services.said("worker-1", "listen").unwrap().to_owned();
    court.liar(Between::WorkerAndClient).stands_before(&listen);
    court.until(JOB, "answered", |progress| progress.stage == Stage::ResultCommitted).await;
    let done = court.resume(JOB).done();
    assert!(done.stdout.contains('7'), "{done:?}");
    court.judge("killed", JOB, Outcome::Settled).await;
    wiped(&court).await;
    assert!(limits(&court).contains("in custody"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_that_does_nothing_pays_for_it_and_the_user_has_everything_back() {
    let court = Court::in_custody("digits", DIGIT).await;
    court.liar(Between::WorkerAndClient).tell(|asked| match asked.path.contains("/rounds/") {
        true => Lie::Silence,
        false => Lie::Truth,
    });
    leave(&court);
    court.until(JOB, "claimed", |progress| progress.stage == Stage::Claimed).await;
    court.freeze("worker-1");
    court.pass_window(JOB).await;
    court.poke(JOB).await;
    let (_, progress) = court.job(JOB).await;
    assert_eq!((progress.stage, progress.reason), (Stage::Failed, Some(Reason::WorkerTimeout)));
    court.thaw("worker-1");
    let told = court.resume(JOB);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.stderr.contains("the worker did not do its part in time"), "{told:?}");
    court.judge("idle", JOB, Outcome::Refunded).await;
    assert!(limits(&court).contains("in custody"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_worker_takes_no_key_and_nothing_is_paid() {
    let court = Court::over("digits", DIGIT).await;
    let refused = court.submit_with(&["--custody"]).finish();
    assert_eq!(refused.code, 3, "{refused:?}");
    for words in ["this worker takes no keys in custody", "nothing was paid", "encompute-custodian"] {
        assert!(refused.stderr.contains(words), "{words}: {refused:?}");
    }
    assert_eq!(court.jobs().await, JobId(0));
    for (more, found) in [
        (["--custody", "--draw"].as_slice(), "cannot be used with"),
        (&["--custody", "--witnesses", "2"], "cannot be used with"),
    ] {
        let refused = court.submit_with(more).finish();
        assert!(refused.code == 2 && refused.stderr.contains(found), "{refused:?}");
    }
    // The prepared job is no less good without: the key stays at home.
    let done = Running::of(court.services.encompute("user", &["job", "resume", "--suri", "//Dave"])).finish();
    assert_ne!(done.code, 0, "a job that was to be in custody is not quietly run without: {done:?}");
}
