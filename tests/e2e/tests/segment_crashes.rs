//! A head that is cut into segments: whoever dies in one, the job goes on behind the last that was answered.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::{INSIDE_ROW, have_drawn, segmented_model, submit};
use encompute_kit::{Between, Habits, Lie, Running, Services};
use encompute_protocol::{
    Blocks, JobId, JobProgress, Stage, Transcript, Windows,
    call::{ReadCounts, ReadJob},
    wire::Message,
};
use encompute_store::{Blobs, ByteLimit, GatewayClient, http_client};

/// Short enough to be let pass at once: blocks come with transactions, and when the test seals some.
const SHORT: Blocks = Blocks(60);

async fn market(workers: u16) -> Services {
    let habits = Habits { heartbeat_ms: 0, liars: true, workers, ..Habits::default() };
    let windows = Windows {
        claim: SHORT,
        head: SHORT,
        challenge: Blocks(10),
        features: SHORT,
        creator: SHORT,
        accept: SHORT,
        dispute: SHORT,
    };
    let model = segmented_model();
    let folder = model.path().display().to_string();
    let services = Services::start(habits, &[&folder], |params| params.windows = windows).await.unwrap();
    tokio::spawn(have_drawn(services.client().clone()));
    services
}

/// The user's command, killed when it has verified the first segment's receipt: its order for the second reaches nobody.
fn stopped_behind_the_first_segment(services: &Services) {
    services.liar(Between::WorkerAndClient).tell(|asked| match asked.path.ends_with("/rounds/1") {
        true => Lie::Silence,
        false => Lie::Truth,
    });
    let mut client = Running::of(services.encompute("user", &submit("inside", INSIDE_ROW, "//Dave")));
    client.until(&["round 1 of 3"]);
    client.kill();
    services.liar(Between::WorkerAndClient).repent();
}

fn resume(services: &Services) {
    let resumed = Running::of(services.encompute("user", &["job", "resume", "1", "--suri", "//Dave"])).finish().done();
    assert!(resumed.stdout.contains("inside: "), "{resumed:?}");
}

async fn progress(services: &Services) -> JobProgress {
    services.client().read(ReadJob { job: JobId(1) }).await.unwrap().unwrap().1
}

/// How many rounds and segments a worker has computed since it was started.
async fn computed(services: &Services, worker: &str) -> u64 {
    let url = format!("{}/metrics", services.said(worker, "listen").unwrap());
    let text = http_client().unwrap().get(url).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find(|line| line.contains("stage_seconds_count") && line.contains("\"evaluate\""));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

async fn transcript(services: &Services) -> Transcript {
    let gateway = GatewayClient::new(services.network.gateway.as_ref().unwrap().as_str()).unwrap();
    let output = progress(services).await.output.unwrap();
    Transcript::from_wire(&gateway.get(output, ByteLimit(1 << 20)).await.unwrap()).unwrap()
}

/// Settled, paid once, and every segment's receipt goes on from what the one before gave, which is in the store.
async fn settled_and_chained(services: &Services) {
    assert_eq!(progress(services).await.stage, Stage::Settled);
    assert_eq!(services.client().read(ReadCounts {}).await.unwrap().jobs, 1);
    let receipts: Vec<_> = transcript(services).await.rounds.into_iter().map(|(receipt, _)| receipt).collect();
    assert_eq!(receipts.len(), 3);
    assert_eq!(receipts[1].request, receipts[0].response);
    assert_ne!(receipts[2].request, receipts[1].response);
    let run = |words: &[&str]| Running::of(services.encompute("user", words)).finish().done().json();
    let audit = run(&["audit", "job", "1", "--json"]);
    assert_eq!(audit["verdict"], "pass", "{audit}");
    let checks = audit["checks"].as_array().unwrap();
    for id in ["round-1-request", "round-0-response"] {
        assert!(checks.iter().any(|check| check["id"] == id && check["pass"] == true), "{id}: {audit}");
    }
    let books = run(&["audit", "ledger", "--json"]);
    assert_eq!(books["balanced"], true, "{books}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_goes_on_behind_the_last_segment_that_it_answered() {
    let mut services = market(1).await;
    stopped_behind_the_first_segment(&services);
    assert_eq!(computed(&services, "worker-1").await, 1);
    services.kill("worker-1").await;
    services.restart("worker-1").await.unwrap();
    resume(&services);
    // The second segment and the round behind it; the first is answered from the journal.
    assert_eq!(computed(&services, "worker-1").await, 2);
    settled_and_chained(&services).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_worker_goes_on_behind_the_last_segment_that_a_lost_one_answered() {
    let mut services = market(2).await;
    services.kill("worker-2").await;
    stopped_behind_the_first_segment(&services);
    let first = progress(&services).await;
    services.kill("worker-1").await;
    services.restart("worker-2").await.unwrap();
    // The first worker's window passes; the user's command says so on chain, and the other worker claims the job.
    let now = services.client().head().await.unwrap().number;
    services.seal(Blocks(first.deadline.0 + 1 - now.0)).await.unwrap();
    resume(&services);
    assert_ne!(progress(&services).await.worker, first.worker);
    // The second segment and the round behind it; the first is the lost worker's.
    assert_eq!(computed(&services, "worker-2").await, 2);
    settled_and_chained(&services).await;
}
