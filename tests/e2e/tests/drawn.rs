//! Jobs for which the chain draws a worker, and jobs that nobody accepts: who runs them, what they cost in transactions,
//! and where the money is then.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_drill::Outcome;
use encompute_e2e::{Court, DIGIT};
use encompute_kit::Running;
use encompute_protocol::{
    Address, Blocks, Draw, JobId, Plancks, Stage,
    call::{ReadCredit, ReadDraw, ReadJob, ReadWorker, SetCapacity},
};

const JOB: JobId = JobId(1);

/// The services and accounts of the two workers.
const WORKERS: [(&str, &str); 2] = [("worker-1", "//Bob"), ("worker-2", "//Bob/2")];

fn address(court: &Court, suri: &str) -> Address {
    court.services.account(suri).address()
}

/// Seals the block whose hash decides, and one behind it; then who was drawn.
async fn drawn(court: &Court, job: JobId) -> Draw {
    court.until(job, "requested", |progress| progress.stage == Stage::Requested).await;
    court.services.seal(Blocks(2)).await.unwrap();
    court.services.client().read(ReadDraw { job }).await.unwrap().unwrap()
}

fn audited(court: &Court, job: JobId) {
    let audited = court.audit(job).done().json();
    assert_eq!(audited["verdict"], "pass", "{audited}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drawn_job_is_run_by_the_worker_whose_turn_it_is_and_settles() {
    let court = Court::over_with("digits", DIGIT, 2).await;
    // Both are stopped while the draw is looked at: a worker claims as soon as it sees that it may.
    WORKERS.iter().for_each(|(service, _)| court.freeze(service));
    let mut submitted = court.submit_with(&["--draw", "--json"]);
    submitted.until(&["● requested"]);
    let draw = drawn(&court, JOB).await;
    let accounts = WORKERS.map(|(_, suri)| address(&court, suri));
    assert!(draw.turns.len() == 2 && draw.turns.iter().all(|turn| accounts.contains(&turn.worker)), "{draw:?}");
    submitted.until(&[&format!("the turn of {}", draw.turns[0].worker)]);
    let before = court.services.client().head().await.unwrap().number;
    WORKERS.iter().for_each(|(service, _)| court.thaw(service));
    let claimed = court.until(JOB, "claimed", |progress| progress.stage != Stage::Requested).await;
    assert_eq!(claimed.worker, Some(draw.turns[0].worker));
    assert!(claimed.claimed_at > draw.decides && claimed.claimed_at.0 < draw.turns[1].from.0, "{claimed:?}");
    let done = submitted.finish().done().json();
    assert_eq!((done["stage"].as_str(), done["prediction"]["label"].as_str()), (Some("settled"), Some("7")), "{done}");
    // Claim, commitment, features, result, acceptance: the other worker sent nothing.
    let after = court.services.client().head().await.unwrap().number;
    assert_eq!(after.0 - before.0, 5);
    court.judge("drawn", JOB, Outcome::Settled).await;
    audited(&court, JOB);
    // Its score is shown where workers are.
    let listed = Running::of(court.services.encompute("user", &["worker", "list", "--json"])).finish().done().json();
    let of = |account: Address| {
        let workers = listed["workers"].as_array().unwrap();
        workers.iter().find(|worker| worker["worker"] == account.to_string()).unwrap().clone()
    };
    let (ran, idle) = (of(draw.turns[0].worker), of(draw.turns[1].worker));
    assert_eq!((ran["heads"].as_u64(), idle["heads"].as_u64(), idle["score"].as_f64()), (Some(1), Some(0), Some(0.5)));
    assert!(ran["score"].as_f64() > Some(0.5) && ran["latency"]["half"].is_object(), "{ran}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drawn_worker_that_is_silent_is_followed_by_the_next_when_its_turn_comes() {
    let court = Court::over_with("digits", DIGIT, 2).await;
    WORKERS.iter().for_each(|(service, _)| court.freeze(service));
    let mut submitted = court.submit_with(&["--draw", "--json"]);
    submitted.until(&["● requested"]);
    let draw = drawn(&court, JOB).await;
    let service = |account: Address| WORKERS.iter().find(|(_, suri)| address(&court, suri) == account).unwrap().0;
    let (silent, next) = (draw.turns[0].worker, draw.turns[1].worker);
    court.thaw(service(next));
    // The user's command is killed meanwhile, and goes on from its journal.
    submitted.kill();
    let now = court.services.client().head().await.unwrap().number;
    let waits = draw.turns[1].from.0 - now.0;
    court.services.seal(Blocks(waits - 1)).await.unwrap();
    let (_, progress) = court.services.client().read(ReadJob { job: JOB }).await.unwrap().unwrap();
    assert_eq!((progress.stage, progress.worker), (Stage::Requested, None), "it is not the next one's turn yet");
    court.services.seal(Blocks(1)).await.unwrap();
    let claimed = court.until(JOB, "claimed", |progress| progress.stage != Stage::Requested).await;
    assert_eq!(claimed.worker, Some(next));
    assert!(claimed.claimed_at > draw.turns[1].from, "{claimed:?}");
    let done = court.resume(JOB).done();
    assert!(done.stdout.contains('7'), "{done:?}");
    court.judge("silent", JOB, Outcome::Settled).await;
    audited(&court, JOB);
    // The one that was silent claimed nothing, and nothing is held against it.
    court.thaw(service(silent));
    let (record, _) = court.services.client().read(ReadWorker { worker: silent }).await.unwrap().unwrap();
    assert_eq!((record.in_flight, record.timeouts, record.heads_committed), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_jobs_that_nobody_accepts_take_four_transactions_each_and_one_for_all() {
    const JOBS: u32 = 3;
    let court = Court::over("digits", DIGIT).await;
    let client = court.services.client();
    let head = async || client.head().await.unwrap().number.0;
    let credit = async |suri: &str| {
        let account = address(&court, suri);
        client.read(ReadCredit { account }).await.unwrap().0
    };
    // Blocks come with transactions alone: their number is that of transactions. The first job's have the mapping of
    // accounts among them.
    court.submit_with(&["--no-accept"]).finish().done();
    let payout = client.read(ReadWorker { worker: address(&court, "//Bob") }).await.unwrap().unwrap().0.payout;
    let before = head().await;
    for _ in 0..JOBS {
        let answered = court.submit_with(&["--no-accept", "--json"]).finish().done().json();
        assert_eq!(answered["prediction"]["label"], "7", "{answered}");
    }
    assert_eq!(head().await - before, 4 * JOBS, "request with its claim, commitment, features, result");
    let jobs: Vec<JobId> = (1..=u64::from(JOBS) + 1).map(JobId).collect();
    let (terms, _) = court.job(JOB).await;
    let (creator, treasury) = (credit("//Charlie").await, credit("//Alice").await);
    let withdraw = || {
        Running::of(court.services.encompute("creator", &["wallet", "withdraw", "--suri", "//Charlie", "--json"]))
            .finish()
    };
    // While their windows run nobody can settle them; there is nothing to withdraw, and nothing is sent.
    let early = (head().await, withdraw());
    assert!(early.1.code != 0 && head().await == early.0, "{early:?}");
    court.pass_window(*jobs.last().unwrap()).await;
    let before = head().await;
    let taken = withdraw().done().json();
    assert_eq!(head().await - before, 1, "one transaction for all of them: {taken}");
    let settled: Vec<JobId> =
        taken["settled"].as_array().unwrap().iter().map(|job| JobId(job.as_u64().unwrap())).collect();
    assert_eq!((settled, taken["transactions"].as_u64()), (jobs.clone(), Some(1)));
    let all = u128::from(JOBS) + 1;
    assert_eq!(taken["withdrawn"], (creator + all * terms.fees.tail.0).to_string());
    assert_eq!(credit("//Charlie").await, 0);
    assert_eq!(credit("//Alice").await - treasury, all * terms.fees.protocol.0);
    assert_eq!(client.read(ReadCredit { account: payout }).await.unwrap(), Plancks(all * terms.fees.head.0));
    for job in jobs {
        court.judge("lazy", job, Outcome::Settled).await;
        audited(&court, job);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_settle_the_same_jobs_at_once_all_get_what_is_theirs() {
    let court = Court::over("digits", DIGIT).await;
    let jobs = [JOB, JobId(2)];
    for _ in jobs {
        court.submit_with(&["--no-accept"]).finish().done();
    }
    court.pass_window(jobs[1]).await;
    let (terms, _) = court.job(JOB).await;
    let before = court.services.client().read(ReadCredit { account: address(&court, "//Alice") }).await.unwrap();
    let withdraw =
        |suri| Running::of(court.services.encompute("creator", &["wallet", "withdraw", "--suri", suri, "--json"]));
    let racing = ["//Charlie", "//Alice"].map(withdraw);
    let [creator, treasury] = racing.map(|taken| taken.finish().done().json());
    let all = jobs.len() as u128;
    assert_eq!(creator["withdrawn"], (all * terms.fees.tail.0).to_string(), "{creator} {treasury}");
    assert_eq!(treasury["withdrawn"], (before.0 + all * terms.fees.protocol.0).to_string(), "{creator} {treasury}");
    let settled = [&creator, &treasury].map(|taken| taken["settled"].as_array().unwrap().len());
    assert_eq!(settled.iter().sum::<usize>(), jobs.len(), "each job is settled once: {creator} {treasury}");
    for job in jobs {
        court.judge("raced", job, Outcome::Settled).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drawn_job_that_no_worker_has_a_place_for_is_refunded_after_its_window() {
    let court = Court::over("digits", DIGIT).await;
    court.worker().submit(SetCapacity { capacity: 0 }, Plancks::ZERO).await.unwrap();
    let mut submitted = court.submit_with(&["--draw"]);
    submitted.until(&["● requested"]);
    let draw = drawn(&court, JOB).await;
    assert_eq!(draw.turns, vec![], "nobody could claim it");
    submitted.kill();
    court.pass_window(JOB).await;
    let withdraw = ["wallet", "withdraw", "--suri", "//Dave", "--json"];
    let taken = Running::of(court.services.encompute("user", &withdraw)).finish().done().json();
    let (terms, progress) = court.job(JOB).await;
    assert_eq!(progress.stage, Stage::Failed);
    assert_eq!(taken["withdrawn"], terms.fees.total().unwrap().0.to_string(), "{taken}");
    court.judge("undrawn", JOB, Outcome::Refunded).await;
}
