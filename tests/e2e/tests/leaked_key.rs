//! Witnesses in a market of real processes: a worker whose machine's attestation key has leaked is caught before its user
//! decrypts; an honest one is paid, and so are who witness it.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_drill::Outcome;
use encompute_e2e::{Court, DIGIT, Forger, Secrets, files, refusal};
use encompute_kit::{Between::WorkerAndClient, Running, root};
use encompute_protocol::{
    Address, Blocks, DisputeKind, JobId, JobProgress, Plancks, Reason, Stage, call::SetCapacity, event::Event,
    receipt::RoundAnswer, wire::Message,
};
use std::collections::BTreeSet;

/// The machine whose key has leaked, and three others.
const WORKERS: u16 = 4;

async fn take(court: &Court, workers: std::ops::RangeInclusive<u16>, capacity: u16) {
    for number in workers {
        let suri = if number == 1 { "//Bob".to_owned() } else { format!("//Bob/{number}") };
        court.services.account(&suri).submit(SetCapacity { capacity }, Plancks::ZERO).await.unwrap();
    }
}

/// Files of the user's ledger: a page an input, once something of it was released.
fn pages(court: &Court) -> usize {
    let folder = court.home().join("ledger");
    if folder.is_dir() { files(&folder).len() } else { 0 }
}

/// Waits until witnesses are asked for, and lets them be drawn and say what they find.
async fn let_witness(court: &Court, job: JobId) -> JobProgress {
    let asked = |progress: &JobProgress| progress.stage == Stage::Disputed(DisputeKind::Witness);
    court.until(job, "witnesses are asked for", asked).await;
    court.services.seal(Blocks(2)).await.unwrap();
    court.ruled(job).await
}

/// Who was drawn, from the contract's events.
async fn witnesses(court: &Court, job: JobId) -> BTreeSet<Address> {
    let client = court.services.client();
    let (terms, progress) = court.job(job).await;
    let blocks = client.events_in(terms.requested_at..=progress.changed_at).await.unwrap();
    let events = blocks.iter().flat_map(|block| &block.events);
    let drawn = events.filter_map(|emitted| match &emitted.event {
        Event::JurorDrawn(drawn) if drawn.job == job => Some(drawn.juror),
        _ => None,
    });
    drawn.collect()
}

fn others(court: &Court) -> BTreeSet<Address> {
    (2..=WORKERS).map(|number| court.services.account(&format!("//Bob/{number}")).address()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_attestation_key_gets_a_wrong_head_past_every_check_but_not_past_witnesses() {
    let court = Court::over_machines("digits", DIGIT, WORKERS).await;
    take(&court, 2..=WORKERS, 0).await;
    court.submit().finish().done();
    let heard = court.liar(WorkerAndClient).heard();
    let answers = heard.iter().filter(|(asked, _)| asked.round().is_some());
    let earlier: Vec<_> = answers.filter_map(|(_, told)| RoundAnswer::from_wire(&told.as_ref()?.body).ok()).collect();
    assert_eq!(earlier.len(), 3);
    let pages_before = pages(&court);

    // The machine of the first worker: one forged worker takes jobs, two more would judge it.
    take(&court, 1..=1, 0).await;
    let forger = Forger::registered(&court, "//Eve/1", "worker-1", 1).await;
    let fellows = [
        Forger::registered(&court, "//Eve/2", "worker-1", 0).await,
        Forger::registered(&court, "//Eve/3", "worker-1", 0).await,
    ];
    forger.serves(&court, earlier);
    let user = court.services.account("//Dave").address();
    let (had, staked) = (court.credit(user).await, court.stake(forger.account.address()).await);
    let job = JobId(court.jobs().await.0 + 1);
    let mut client = court.submit_with(&["--witnesses", "3"]);
    client.until(&["round 3 of 3"]);
    assert_eq!(court.job(job).await.1.worker, Some(forger.account.address()), "every check of the client held");
    for fellow in &fellows {
        fellow.account.submit(SetCapacity { capacity: 1 }, Plancks::ZERO).await.unwrap();
    }
    take(&court, 1..=WORKERS, 1).await;
    forger.commits(&court, job).await;
    let progress = let_witness(&court, job).await;
    assert_eq!((progress.stage, progress.reason), (Stage::Failed, Some(Reason::HeadMismatch)));
    assert_eq!(witnesses(&court, job).await, others(&court), "nobody of the leaked machine, however many they are");

    let ran = client.finish();
    assert_eq!(refusal(&ran), (1, true), "{ran:?}");
    assert!(ran.stderr.contains("the head gives something else"), "{ran:?}");
    let record = court.record(job);
    assert_eq!((record.features, progress.features), (None, None), "nothing was sent");
    assert_eq!(pages(&court), pages_before, "nothing was released");
    let (terms, head) = (court.job(job).await.0, court.job(job).await.0.fees.head.0);
    let paid: u128 = terms.fees.total().unwrap().0 + 3 * head;
    let slashed = terms.job_stake.0;
    let to_user = (slashed / 2).min(slashed - 3 * head.min(slashed / 3));
    assert_eq!(court.credit(user).await - had, paid + to_user);
    assert_eq!(staked - court.stake(forger.account.address()).await, slashed);
    for witness in others(&court) {
        assert_eq!(court.credit(witness).await, head.min(slashed / 3));
    }
    assert_eq!(court.audited(job, "witness-verdicts"), "something else than the worker committed: 3 of 3");

    // And all that the forger was told, or that lies anywhere but with the user, is encrypted.
    let mut secrets = Secrets::none();
    secrets.add_picture(&root().join("scripts/models/digits"), &root().join(DIGIT));
    for file in files(&court.home().join("jobs")).iter().filter(|file| file.ends_with("fhe.key")) {
        secrets.add_fhe_key(&court.home(), file.parent().unwrap());
    }
    assert!(forger.heard().len() > 10_000, "it was told something");
    assert_eq!(secrets.found_in(&forger.heard()), BTreeSet::new());
    for file in files(&court.services.home().join("blobs")) {
        assert_eq!(secrets.found_in(&std::fs::read(&file).unwrap()), BTreeSet::new(), "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_job_with_witnesses_settles_and_each_of_them_has_a_head_fee() {
    let court = Court::over_machines("digits", DIGIT, WORKERS).await;
    take(&court, 2..=WORKERS, 0).await;
    let job = JobId(court.jobs().await.0 + 1);
    let client = court.submit_with(&["--witnesses", "3", "--json"]);
    court.until(job, "claimed", |progress| progress.worker.is_some()).await;
    take(&court, 2..=WORKERS, 1).await;
    let progress = let_witness(&court, job).await;
    assert_eq!(progress.stage, Stage::HeadCommitted, "{progress:?}");
    let done = client.finish().done().json();
    assert_eq!((done["stage"].as_str(), done["prediction"]["label"].as_str()), (Some("settled"), Some("7")), "{done}");
    assert!(done["steps_ms"]["witness"].is_number(), "{done}");
    assert_eq!(witnesses(&court, job).await, others(&court));
    let head = court.job(job).await.0.fees.head.0;
    for witness in others(&court) {
        assert_eq!(court.credit(witness).await, head);
    }
    court.judge("witnessed", job, Outcome::Settled).await;
    assert_eq!(court.audited(job, "witness-verdicts"), "what the worker committed: 3 of 3");
    assert_eq!(court.audited(job, "witness-machines"), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_too_few_machines_are_nothing_is_decrypted_until_the_user_trusts_the_worker_alone() {
    let court = Court::over_with("digits", DIGIT, WORKERS).await;
    take(&court, 2..=WORKERS, 0).await;
    let user = court.services.account("//Dave").address();
    let job = JobId(court.jobs().await.0 + 1);
    let client = court.submit_with(&["--witnesses", "2"]);
    court.until(job, "claimed", |progress| progress.worker.is_some()).await;
    take(&court, 2..=WORKERS, 1).await;
    let progress = let_witness(&court, job).await;
    assert_eq!((progress.stage, progress.reason), (Stage::HeadCommitted, Some(Reason::ArbiterTimeout)));
    let ran = client.finish();
    assert_eq!(refusal(&ran), (5, true), "{ran:?}");
    assert!(ran.stderr.contains("0 of three witnesses found what the worker of job 1 committed, 2 were asked for"));
    assert_eq!((court.record(job).features, pages(&court)), (None, 0));
    let head = court.job(job).await.0.fees.head.0;
    assert_eq!(court.credit(user).await, 3 * head, "the deposit is back");
    let again = court.resume(job);
    assert_eq!(refusal(&again), (5, true), "{again:?}");
    let words = ["job", "resume", &job.to_string(), "--without-witnesses", "--suri", "//Dave"];
    let done = Running::of(court.services.encompute("user", &words)).finish().done();
    assert!(done.stdout.contains('7'), "{done:?}");
    court.judge("not witnessed", job, Outcome::Settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_version_asks_for_witnesses_nobody_has_to_and_nobody_goes_without() {
    let court = Court::over_machines("digits", DIGIT, WORKERS).await;
    court.publish_again(&["--witnesses", "3"]);
    take(&court, 2..=WORKERS, 0).await;
    let quote = ["job", "quote", "--model", "digits", "--json"];
    let quote = Running::of(court.services.encompute("user", &quote)).finish().done().json();
    assert_eq!(quote["wanted_witnesses"], 3, "{quote}");
    let session = ["session", "open", "--model", "digits", "--jobs", "2", "--suri", "//Dave"];
    let refused = Running::of(court.services.encompute("user", &session)).finish();
    assert!(refused.stderr.contains("the version asks for 3 witnesses of every job"), "{refused:?}");

    // Nobody to witness: the job waits, and its user cannot do without, either.
    let job = JobId(court.jobs().await.0 + 1);
    let client = court.submit();
    let_witness(&court, job).await;
    let ran = client.finish();
    assert_eq!(refusal(&ran), (5, true), "{ran:?}");
    let words = ["job", "resume", &job.to_string(), "--without-witnesses", "--suri", "//Dave"];
    let ran = Running::of(court.services.encompute("user", &words)).finish();
    assert_eq!(refusal(&ran), (2, true), "{ran:?}");
    assert!(ran.stderr.contains("nothing is released without them"), "{ran:?}");
    assert_eq!((court.record(job).features, pages(&court)), (None, 0));

    let job = JobId(court.jobs().await.0 + 1);
    let client = court.submit_with(&["--json"]);
    court.until(job, "claimed", |progress| progress.worker.is_some()).await;
    take(&court, 2..=WORKERS, 1).await;
    let_witness(&court, job).await;
    let done = client.finish().done().json();
    assert_eq!(done["stage"].as_str(), Some("settled"), "{done}");
    assert_eq!(court.audited(job, "witnesses-asked"), "3");
}
