//! Disputes in a market of real processes: a worker that commits a wrong head, a user that disputes a right one, a
//! transcript and a result that are lost from the store.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::{Court, DIGIT, INSIDE_ROW, segmented_model};
use encompute_kit::{
    Between::{GatewayAndClient, WorkerAndClient},
    Lie, Ran, Running, blob_file,
};
use encompute_protocol::{
    BlobDigest, Blocks, JobId, JobProgress, JobTerms, Plancks, Reason, RoundIndex, RoundReceipt, Stage, Transcript,
    call::SetCapacity,
    receipt::{RoundAnswer, RoundCall},
    wire::Message,
};
use encompute_store::Blobs;
use std::sync::{Arc, Mutex};

/// The one that runs heads, and three that judge them.
const WORKERS: u16 = 4;

/// How many jobs the workers behind the first take.
async fn others_take(court: &Court, capacity: u16) {
    for number in 2..=WORKERS {
        let account = court.services.account(&format!("//Bob/{number}"));
        account.submit(SetCapacity { capacity }, Plancks::ZERO).await.unwrap();
    }
}

/// The books balance, and nothing of the job is missing or contradicts the rest.
fn is_audited(court: &Court, job: JobId) {
    let audited = court.audit(job).done().json();
    assert_eq!(audited["verdict"], "pass", "{audited}");
    let books = Running::of(court.services.encompute("user", &["audit", "ledger", "--json"]));
    let books = books.finish().done().json();
    assert_eq!(books["balanced"], true, "{books}");
}

/// What the creator finds who runs the head again: exit code, and which lines fail of how many.
fn run_again(court: &Court, job: JobId) -> (i32, Vec<String>, usize) {
    let vault = court.services.home().join("creator-1");
    let words = ["audit", "job", &job.to_string(), "--rerun", vault.to_str().unwrap(), "--json"];
    let ran = Running::of(court.services.encompute("creator", &words)).finish();
    let report = ran.json();
    let lines = report["checks"].as_array().unwrap().iter();
    let lines: Vec<_> = lines.filter(|line| line["id"].as_str().unwrap().starts_with("rerun-")).collect();
    let failed = lines.iter().filter(|line| line["pass"] == false).map(|line| line["id"].as_str().unwrap().to_owned());
    (ran.code, failed.collect(), lines.len())
}

/// An honest job, to its end, and what the worker answered in it.
fn an_honest_job(court: &Court) -> Vec<RoundAnswer> {
    court.submit().finish().done();
    let heard = court.liar(WorkerAndClient).heard();
    let answers = heard.iter().filter(|(asked, _)| asked.round().is_some());
    answers.filter_map(|(_, told)| RoundAnswer::from_wire(&told.as_ref()?.body).ok()).collect()
}

/// A worker that gives two rounds as they are and another job's last response for the third, all well signed: what it
/// gives, in order.
fn answers_the_last_round_wrong(court: &Court, response: Vec<u8>) -> Arc<Mutex<Vec<RoundAnswer>>> {
    let key = Arc::new(court.workers_key());
    let given: Arc<Mutex<Vec<RoundAnswer>>> = Arc::default();
    let gave = given.clone();
    court.liar(WorkerAndClient).tell(move |asked| match asked.round() {
        Some(2) => {
            let order = RoundCall::from_wire(&asked.body).unwrap().order;
            let first = gave.lock().unwrap().first().unwrap_or_else(|| panic!("round 2 came first")).receipt;
            let (round, request, previous) = (RoundIndex(2), order.request, order.previous);
            let receipt = RoundReceipt { round, request, response: BlobDigest::of(&response), previous, ..first };
            let answer = RoundAnswer { receipt, signature: key.sign(&receipt), response: response.clone() };
            gave.lock().unwrap().push(answer.clone());
            Lie::Body(answer.to_wire())
        }
        Some(_) => {
            let gave = gave.clone();
            Lie::Altered(Box::new(move |told| {
                gave.lock().unwrap().push(RoundAnswer::from_wire(&told.body).unwrap());
                told.body
            }))
        }
        None => Lie::Truth,
    });
    given
}

/// A command of the user's, to its end.
fn user_says(court: &Court, words: &[&str]) -> Ran {
    Running::of(court.services.encompute("user", words)).finish()
}

/// Blocks that let a committee be drawn; what it says comes with its own transactions.
async fn lets_judge(court: &Court, job: JobId) -> (JobTerms, JobProgress) {
    court.services.seal(Blocks(2)).await.unwrap();
    let progress = court.ruled(job).await;
    (court.job(job).await.0, progress)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_head_is_found_by_three_who_run_it_again_and_costs_the_worker_its_stake() {
    finds_the_wrong_head(Court::over_with("digits", DIGIT, WORKERS).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_head_behind_look_ups_under_encryption_is_found_as_well() {
    let model = segmented_model();
    finds_the_wrong_head(Court::over_folder(model.path(), "inside", INSIDE_ROW, WORKERS).await).await;
}

/// A job of three receipts, the last of which is for what the head does not give.
async fn finds_the_wrong_head(court: Court) {
    others_take(&court, 0).await;
    let earlier = an_honest_job(&court);
    let response = earlier[2].response.clone();
    let given = answers_the_last_round_wrong(&court, response);
    let job = JobId(court.jobs().await.0 + 1);
    let mut client = court.submit();
    client.until(&["round 3 of 3"]);
    // What it has decrypted makes no sense to its user, who goes no further.
    client.kill();
    others_take(&court, 1).await;
    // It commits as every worker does: every response to the store, then the transcript.
    let given = given.lock().unwrap().clone();
    assert_eq!(given.len(), 3);
    for answer in &given {
        court.store().put(answer.response.clone().into()).await.unwrap();
    }
    let transcript = Transcript { rounds: given.iter().map(|answer| (answer.receipt, answer.signature)).collect() };
    court.store().put(transcript.to_wire().into()).await.unwrap();
    court.commit(job, BlobDigest::of(&transcript.to_wire())).await;

    let user = court.services.account("//Dave").address();
    let (had, staked) = (court.credit(user).await, court.stake(court.address("//Bob")).await);
    let shown = Running::of(court.services.encompute(
        "user",
        &["job", "dispute", &job.to_string(), "--kind", "head", "--suri", "//Dave", "--dry-run", "--json"],
    ));
    let shown = shown.finish().done().json();
    let opened = court.dispute(job, "head").done();
    assert!(opened.stdout.contains("disputed-head"), "{opened:?}");
    assert!(opened.stderr.contains("deposit"), "the deposit is shown before it is paid: {opened:?}");

    let (terms, progress) = lets_judge(&court, job).await;
    assert_eq!((progress.stage, progress.reason), (Stage::Failed, Some(Reason::HeadMismatch)));
    let (escrow, deposit) = (terms.fees.total().unwrap().0, 2 * terms.fees.head.0);
    assert_eq!(shown["deposit"], deposit.to_string());
    // The worker that committed is nobody's poker, so the user has exactly the table's.
    assert_eq!(court.credit(user).await - had, escrow + deposit + terms.job_stake.0 / 2);
    assert_eq!(staked - court.stake(court.address("//Bob")).await, terms.job_stake.0);
    for number in 2..=WORKERS {
        let juror = court.services.account(&format!("//Bob/{number}")).address();
        assert_eq!(court.credit(juror).await, terms.fees.head.0 / 3, "juror {number}");
    }
    is_audited(&court, job);
    // The user put his requests into the store, so whoever holds the head sees which answer is not its own.
    assert_eq!(run_again(&court, job), (5, vec!["rerun-2-response".to_owned()], 4));
    court.repent();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_head_is_found_right_and_the_job_goes_on_to_its_answer() {
    let court = Court::over_with("digits", DIGIT, WORKERS).await;
    others_take(&court, 0).await;
    let job = JobId(court.jobs().await.0 + 1);
    // The user's gateway garbles every transcript, so the user goes no further than the head.
    court.liar(GatewayAndClient).tell(|_| {
        Lie::Altered(Box::new(|told| match Transcript::from_wire(&told.body) {
            Ok(_) => b"garbled".to_vec(),
            Err(_) => told.body,
        }))
    });
    let stopped = court.submit().finish();
    assert_eq!(stopped.code, 5, "{stopped:?}");
    court.repent();
    assert_eq!(court.job(job).await.1.stage, Stage::HeadCommitted);
    others_take(&court, 1).await;
    let user = court.services.account("//Dave").address();
    let had = court.credit(user).await;
    court.dispute(job, "head").done();
    let (terms, progress) = lets_judge(&court, job).await;
    assert_eq!((progress.stage, progress.reason), (Stage::HeadCommitted, Some(Reason::DisputeRejected)));
    assert_eq!(court.credit(user).await, had, "the deposit is lost");
    let worker = court.worker().address();
    assert_eq!(court.credit(worker).await, terms.fees.head.0 / 2);
    let again = court.dispute(job, "head");
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains("the job had this dispute before"), "{again:?}");
    let done = court.resume(job).done();
    assert!(done.stdout.contains('7'), "{done:?}");
    assert_eq!(court.job(job).await.1.stage, Stage::Settled);
    is_audited(&court, job);
    assert_eq!(run_again(&court, job), (0, vec![], 4));

    // Who has paid may say what it was like, once.
    let id = job.to_string();
    let rated = || user_says(&court, &["job", "rate", &id, "--grade", "4", "--why", "time", "--suri", "//Dave"]);
    rated().done();
    assert!(rated().stderr.contains("was rated before"));
    let listed = user_says(&court, &["model", "list", "--json"]).done().json();
    assert_eq!(listed["models"][0]["ratings"]["mean"], 4.0, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_and_a_result_that_are_lost_are_posted_on_chain_and_are_back_in_the_store() {
    let court = Court::over("digits", DIGIT).await;
    let job = JobId(court.jobs().await.0 + 1);
    let lost = |court: &Court, blob: BlobDigest| std::fs::remove_file(blob_file(court.services.home(), &blob)).unwrap();
    let is_back =
        |court: &Court, blob: BlobDigest| assert!(blob_file(court.services.home(), &blob).is_file(), "{blob}");

    court.liar(GatewayAndClient).tell(|_| {
        Lie::Altered(Box::new(|told| match Transcript::from_wire(&told.body) {
            Ok(_) => b"garbled".to_vec(),
            Err(_) => told.body,
        }))
    });
    assert_eq!(court.submit().finish().code, 5);
    court.repent();
    let output = court.job(job).await.1.output.unwrap();
    lost(&court, output);
    court.dispute(job, "missing").done();
    let answered = |progress: &JobProgress| !matches!(progress.stage, Stage::Disputed(_));
    let progress = court.until(job, "the transcript on chain", answered).await;
    assert_eq!((progress.stage, progress.reason), (Stage::HeadCommitted, Some(Reason::DisputeRejected)));
    is_back(&court, output);

    // The result, too: what the user's gateway gives after the transcript is garbled.
    let mut is_next = false;
    court.liar(GatewayAndClient).tell(move |asked| {
        if asked.method != "GET" {
            return Lie::Truth;
        }
        let garbles = is_next;
        is_next |= asked.path == format!("/v1/blobs/{output}");
        if garbles { Lie::Body(b"garbled".to_vec()) } else { Lie::Truth }
    });
    let stopped = court.resume(job);
    assert_eq!(stopped.code, 5, "{stopped:?}");
    court.repent();
    let result = court.job(job).await.1.result.unwrap();
    lost(&court, result);
    court.dispute(job, "missing").done();
    let progress = court.until(job, "the result on chain", answered).await;
    assert_eq!((progress.stage, progress.reason), (Stage::ResultCommitted, Some(Reason::DisputeRejected)));
    is_back(&court, result);
    let done = court.resume(job).done();
    assert!(done.stdout.contains('7'), "{done:?}");
    is_audited(&court, job);
}
