//! Audits in a market of real processes: a wrong head is found although its user never complained, and an honest job that
//! is audited goes on where it stood and settles. Every job is drawn here.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_drill::Outcome;
use encompute_e2e::{Court, DIGIT, Forger, refusal};
use encompute_kit::{Between::WorkerAndClient, Running};
use encompute_protocol::{
    Blocks, DisputeKind, JobId, JobProgress, Plancks, Reason, Stage, call::SetCapacity, receipt::RoundAnswer,
    wire::Message,
};

/// The machine whose key has leaked, and three others.
const WORKERS: u16 = 4;
const SUSPENDED: Stage = Stage::Disputed(DisputeKind::Audit);

fn suri(number: u16) -> String {
    if number == 1 { "//Bob".to_owned() } else { format!("//Bob/{number}") }
}

async fn take(court: &Court, workers: std::ops::RangeInclusive<u16>, capacity: u16) {
    for number in workers {
        let account = court.services.account(&suri(number));
        account.submit(SetCapacity { capacity }, Plancks::ZERO).await.unwrap();
    }
}

/// What each of the market's workers may withdraw.
async fn wages(court: &Court) -> Vec<u128> {
    let mut all = Vec::new();
    for number in 1..=WORKERS {
        all.push(court.credit(court.address(&suri(number))).await);
    }
    all
}

/// Lets every worker's turn to say so pass, until one has.
async fn let_audit(court: &Court, job: JobId) {
    court.services.seal(Blocks(10)).await.unwrap();
    let bit = DisputeKind::Audit.bit(SUSPENDED);
    court.until(job, "an audit", |progress| progress.disputed & bit != 0).await;
}

/// Lets a job run to its end, through an audit for which there is no committee, if one comes.
async fn let_settle(court: &Court, job: JobId) {
    let stands = |progress: &JobProgress| progress.stage.is_terminal() || progress.stage == SUSPENDED;
    if court.until(job, "its end", stands).await.stage == SUSPENDED {
        court.services.seal(Blocks(2)).await.unwrap();
        court.until(job, "its end", |progress| progress.stage.is_terminal()).await;
    }
}

/// Lets a committee be drawn and say what it finds.
async fn let_rule(court: &Court, job: JobId) -> JobProgress {
    court.services.seal(Blocks(2)).await.unwrap();
    court.ruled(job).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_head_is_found_by_an_audit_although_its_user_never_complained() {
    let court = Court::auditing("digits", DIGIT, WORKERS).await;
    take(&court, 2..=WORKERS, 0).await;
    let job = JobId(court.jobs().await.0 + 1);
    let honest = court.submit();
    let_settle(&court, job).await;
    honest.finish().done();
    let heard = court.liar(WorkerAndClient).heard();
    let answers = heard.iter().filter(|(asked, _)| asked.round().is_some());
    let earlier: Vec<_> = answers.filter_map(|(_, told)| RoundAnswer::from_wire(&told.as_ref()?.body).ok()).collect();
    assert_eq!(earlier.len(), 3);

    take(&court, 1..=1, 0).await;
    let forger = Forger::registered(&court, "//Eve/1", "worker-1", 1).await;
    forger.serves(&court, earlier);
    let (user, treasury) = (court.services.account("//Dave").address(), court.services.account("//Alice").address());
    let had = (court.credit(user).await, court.credit(treasury).await);
    let job = JobId(court.jobs().await.0 + 1);
    // The creator is slow: an audit comes before the end.
    court.freeze("creator-1");
    let mut client = court.submit();
    client.until(&["round 3 of 3"]);
    take(&court, 2..=WORKERS, 1).await;
    let earned = wages(&court).await;
    forger.commits(&court, job).await;
    court.until(job, "features", |progress| progress.features.is_some()).await;
    let_audit(&court, job).await;
    let terms = court.job(job).await.0;
    let progress = let_rule(&court, job).await;
    assert_eq!((progress.stage, progress.reason), (Stage::Failed, Some(Reason::HeadMismatch)));
    court.thaw("creator-1");

    let ran = client.finish();
    assert_eq!(refusal(&ran), (1, true), "{ran:?}");
    assert!(ran.stderr.contains("the head gives something else"), "{ran:?}");
    let (head, slashed) = (terms.fees.head.0, terms.job_stake.0);
    assert_eq!(court.credit(user).await - had.0, terms.fees.total().unwrap().0 + slashed / 2);
    // Whoever is on the leaked machine is none of them.
    let gained: Vec<_> = wages(&court).await.into_iter().zip(earned).map(|(now, before)| now - before).collect();
    assert_eq!(gained, [0, head, head, head]);
    assert_eq!(court.credit(treasury).await + 3 * head - had.1, slashed - slashed / 2, "by the slash, or the deposit");
    court.judge("a wrong head that was audited", job, Outcome::Refunded).await;
    assert_eq!(court.audited(job, "audit-verdicts"), "something else than the worker committed: 3 of 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_job_is_audited_while_its_creator_works_and_settles() {
    let court = Court::auditing("digits", DIGIT, WORKERS).await;
    let job = JobId(court.jobs().await.0 + 1);
    court.freeze("creator-1");
    let client = court.submit_with(&["--json"]);
    court.until(job, "features", |progress| progress.features.is_some()).await;
    court.services.seal(Blocks(1)).await.unwrap();
    let trial = ["job", "audit", &job.to_string(), "--dry-run", "--json"];
    let trial = Running::of(court.services.encompute("stranger", &trial)).finish().done().json();
    assert_eq!((trial["drawn"].as_bool(), trial["share_bp"].as_u64()), (Some(true), Some(10_000)), "{trial}");
    let_audit(&court, job).await;
    // The creator hears of the features while the job waits, and goes on after.
    court.thaw("creator-1");
    let_rule(&court, job).await;
    let done = client.finish().done().json();
    assert_eq!((done["stage"].as_str(), done["prediction"]["label"].as_str()), (Some("settled"), Some("7")), "{done}");
    assert!(done["steps_ms"]["audit"].is_number(), "{done}");
    // One of the four ran the head, three ran it again.
    let head = court.job(job).await.0.fees.head.0;
    assert_eq!(wages(&court).await, [head; 4]);
    court.judge("audited", job, Outcome::Settled).await;
    assert_eq!(court.audited(job, "audit-verdicts"), "what the worker committed: 3 of 3");
    assert_eq!(court.audited(job, "audit-drawn"), "below");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creator_that_comes_back_while_its_job_is_audited_answers_when_that_is_over() {
    let mut court = Court::auditing("digits", DIGIT, WORKERS).await;
    let job = JobId(court.jobs().await.0 + 1);
    court.freeze("creator-1");
    let client = court.submit_with(&["--json"]);
    let sent = court.until(job, "features", |progress| progress.features.is_some()).await.changed_at;
    court.services.kill("creator-1").await;
    let_audit(&court, job).await;
    (1..=WORKERS).for_each(|number| court.freeze(&format!("worker-{number}")));
    // The features came longer ago than a creator has for them, but the job waits.
    let now = court.services.client().head().await.unwrap().number;
    let window = court.job(job).await.0.windows.creator;
    court.services.seal(Blocks((sent.0 + window.0 + 2).saturating_sub(now.0))).await.unwrap();
    assert_eq!(court.job(job).await.1.stage, SUSPENDED);
    court.services.restart("creator-1").await.unwrap();
    // Nobody draws a committee, so the head stands.
    court.pass_window(job).await;
    court.poke(job).await;
    (1..=WORKERS).for_each(|number| court.thaw(&format!("worker-{number}")));
    let done = client.finish().done().json();
    assert_eq!((done["stage"].as_str(), done["prediction"]["label"].as_str()), (Some("settled"), Some("7")), "{done}");
    court.judge("a creator that was away", job, Outcome::Settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_away_when_its_job_was_audited_waits_and_goes_on() {
    let court = Court::auditing("digits", DIGIT, WORKERS).await;
    let job = JobId(court.jobs().await.0 + 1);
    let mut client = court.submit();
    client.until(&["round 3 of 3"]);
    client.kill();
    court.until(job, "a head", |progress| progress.output.is_some()).await;
    let_audit(&court, job).await;
    let resumed = court.start_resume(job);
    let progress = let_rule(&court, job).await;
    assert_eq!((progress.stage, progress.reason), (Stage::HeadCommitted, Some(Reason::Audited)), "{progress:?}");
    let done = resumed.finish().done();
    assert!(done.stdout.contains('7'), "{done:?}");
    assert!(done.stderr.contains("the network drew this job for an audit, it goes on after"), "{done:?}");
    court.judge("audited before its release", job, Outcome::Settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_result_nobody_has_accepted_is_audited_and_its_window_runs_on() {
    let court = Court::auditing("digits", DIGIT, WORKERS).await;
    let job = JobId(court.jobs().await.0 + 1);
    let answered = court.submit_with(&["--no-accept", "--json"]).finish().done().json();
    assert_eq!(answered["prediction"]["label"], "7", "{answered}");
    assert_eq!(court.job(job).await.1.stage, Stage::ResultCommitted);
    let_audit(&court, job).await;
    let progress = let_rule(&court, job).await;
    assert_eq!((progress.stage, progress.reason), (Stage::ResultCommitted, Some(Reason::Audited)), "{progress:?}");
    court.pass_window(job).await;
    court.poke(job).await;
    let head = court.job(job).await.0.fees.head.0;
    assert_eq!(wages(&court).await, [head; 4], "one ran the head, three ran it again");
    court.judge("audited after its result", job, Outcome::Settled).await;
    assert_eq!(court.audited(job, "audit-verdicts"), "what the worker committed: 3 of 3");
}
