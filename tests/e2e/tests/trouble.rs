//! Services in trouble that is nobody's fault: asked to end with a job in hand, a store that has become wrong.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::DIGIT;
use encompute_kit::{Called, Caller, Habits, Services, Surroundings, Weather, blob_file};
use encompute_protocol::{
    BlockNumber, Blocks, JobId, Stage, Windows,
    call::{ReadCounts, ReadJob},
};
use std::{process::Stdio, time::Duration};
use tokio::process::{Child, Command};

/// Windows that nothing here outlasts.
const LONG: Blocks = Blocks(600);

async fn market() -> Services {
    let surroundings = Surroundings { links: true, ..Surroundings::default() };
    let windows = Windows {
        claim: LONG,
        head: LONG,
        challenge: Blocks(10),
        features: LONG,
        creator: LONG,
        accept: LONG,
        dispute: LONG,
    };
    let models = ["scripts/models/digits"];
    Services::start_in(surroundings, Habits::default(), &models, |params| params.windows = windows).await.unwrap()
}

/// A user of a home and an account of its own, who orders a run.
fn order(market: &Services, home: &str, suri: &str) -> Child {
    let what = ["job", "submit", "--model", "digits", "--input", DIGIT, "--suri", suri, "--patience", "120"];
    let mut command = Command::from(market.encompute(home, &what));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

async fn finish(order: Child) {
    let output = order.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn stage(market: &Services, job: u64) -> Option<Stage> {
    let found = market.client().read(ReadJob { job: JobId(job) }).await.unwrap();
    found.map(|(_, progress)| progress.stage)
}

/// Waits, block by block, until a job stands somewhere.
async fn reach(market: &Services, job: u64, wanted: Stage) {
    let mut follow = market.client().follow(BlockNumber(1));
    while stage(market, job).await != Some(wanted) {
        follow.next().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_asked_to_end_takes_no_new_job_is_gone_within_eight_seconds_and_goes_on_where_it_was() {
    let mut market = market().await;
    // The user cannot reach the worker, which claims the open job and waits for its rounds.
    market.links().unwrap().set(Caller::Client, Called::Worker, Weather::Cut);
    let first = order(&market, "user-1", "//Dave");
    reach(&market, 1, Stage::Claimed).await;
    let second = order(&market, "user-2", "//Ferdie");
    let drained = market.drain("worker-1").await.unwrap();
    assert_eq!(drained.code, Some(0));
    assert!(drained.took > Duration::from_secs(5), "it goes on with what it holds: {drained:?}");
    assert!(drained.took < Duration::from_millis(8_500), "{drained:?}");
    reach(&market, 2, Stage::Requested).await;
    assert_eq!(stage(&market, 1).await, Some(Stage::Claimed));

    market.links().unwrap().clear();
    market.restart("worker-1").await.unwrap();
    finish(first).await;
    finish(second).await;
    assert_eq!((stage(&market, 1).await, stage(&market, 2).await), (Some(Stage::Settled), Some(Stage::Settled)));
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_that_became_larger_than_they_may_be_are_put_right_by_their_user_and_cost_nobody_anything() {
    let mut market = market().await;
    // The worker has the head's key from now on.
    finish(order(&market, "user-1", "//Dave")).await;
    market.kill("creator-1").await;
    let ordered = order(&market, "user-1", "//Dave");
    reach(&market, 2, Stage::FeaturesSent).await;
    let (terms, progress) = market.client().read(ReadJob { job: JobId(2) }).await.unwrap().unwrap();
    // More than the gateway takes, and less than that but more than features may have.
    for (digest, length) in [(terms.input, 65 << 20), (progress.features.unwrap(), 1 << 20)] {
        let file = std::fs::File::options().write(true).open(blob_file(market.home(), &digest)).unwrap();
        file.set_len(length).unwrap();
    }
    market.restart("creator-1").await.unwrap();
    finish(ordered).await;
    assert_eq!(stage(&market, 2).await, Some(Stage::Settled));
    assert_eq!(market.client().read(ReadCounts {}).await.unwrap().jobs, 2);
}
