//! Jobs that end otherwise than by a result, or begin without an offer; and whose the money is then.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_chain::{Client, Signer};
use encompute_drill::Outcome;
use encompute_e2e::{Court, DIGIT, PATIENT, credit, price, refusal, stage, submit};
use encompute_job::{history, said};
use encompute_kit::{Between, Lie, Market, signal};
use encompute_networks::Network;
use encompute_protocol::{
    Blocks, JobId, Plancks, PolicyId, Stage,
    call::{ReadJob, SendFeatures},
    event::Event,
};
use encompute_store::{Blobs, GatewayClient};
use serde_json::Value;

/// The newest job of an account.
fn newest(market: &Market, suri: &str) -> u64 {
    let listed = market.encompute(&["job", "list", "--user", suri, "--json"]).done().json();
    listed["jobs"][0]["id"].as_u64().unwrap()
}

fn names(stages: &Value) -> Vec<&str> {
    stages.as_array().unwrap().iter().filter_map(|stage| stage["stage"].as_str()).collect()
}

#[test]
fn a_job_that_no_worker_offered_to_run_is_claimed_from_the_chain_or_cancelled_for_all_its_money() {
    let market = Market::up();
    // A worker that hangs: it takes connections and says nothing, so nobody gets an offer.
    signal("STOP", market.pid("worker"));
    let mut dave = market.start(&[&submit("digits", DIGIT, "//Dave")[..], &["--json"]].concat());
    let mut eve = market.start(&submit("breast-cancer", PATIENT, "//Eve"));
    dave.until(&["● requested"]);
    eve.until(&["● requested"]);
    eve.kill();

    let (cancelled, escrow) = (newest(&market, "//Eve").to_string(), price(&market, "breast-cancer", "total"));
    let stranger = market.encompute(&["job", "cancel", &cancelled, "--suri", "//Ferdie"]);
    assert_eq!(refusal(&stranger), (1, true), "{stranger:?}");
    let ended = market.encompute(&["job", "cancel", &cancelled, "--suri", "//Eve", "--json"]).done().json();
    assert_eq!((ended["stage"].as_str(), credit(&market, "//Eve")), (Some("cancelled"), escrow), "{ended}");
    let owed = market.encompute(&["wallet", "balance", "--suri", "//Eve", "--json"]).done().json();
    assert_eq!(owed["credit"], escrow.to_string());
    let taken = market.encompute(&["wallet", "withdraw", "--suri", "//Eve", "--json"]).done().json();
    assert_eq!(taken["withdrawn"], escrow.to_string());

    signal("CONT", market.pid("worker"));
    let done = dave.finish().done().json();
    assert_eq!(&names(&done["stages"])[..2], ["requested", "claimed"], "{done}");
    assert_eq!((done["stage"].as_str(), done["prediction"]["label"].as_str()), (Some("settled"), Some("7")), "{done}");
    let late = market.encompute(&["job", "cancel", &newest(&market, "//Dave").to_string(), "--suri", "//Dave"]);
    assert_eq!(refusal(&late), (1, true), "{late:?}");
    let books = market.encompute(&["audit", "ledger", "--json"]).done().json();
    assert_eq!((books["balanced"].as_bool(), books["jobs"].as_u64()), (Some(true), Some(2)), "{books}");
}

#[tokio::test(flavor = "multi_thread")]
async fn features_that_nobody_can_open_are_refused_and_the_creators_bond_makes_the_user_whole() {
    let market = Market::up();
    let before = ["//Dave", "//Bob", "//Charlie"].map(|suri| credit(&market, suri));
    // A client that broke after the head was committed, and sends what is sealed to nobody.
    let mut client = market.start(&submit("digits", DIGIT, "//Dave"));
    client.until(&["● head-committed"]);
    client.kill();
    assert_eq!(stage(&market, 1), "head-committed");
    let network = Network::load(&market.home().join("networks/local.toml")).unwrap();
    let gateway = GatewayClient::new(network.gateway.as_ref().unwrap().as_str()).unwrap();
    let features = gateway.put(vec![7; 2_000].into()).await.unwrap();
    let dave = Client::connect(&network).await.unwrap().signed_by(Signer::from_suri("//Dave").unwrap());
    let send = SendFeatures { job: JobId(1), policy: PolicyId(1), features };
    dave.submit(send, Plancks::ZERO).await.unwrap();

    let ended = market.encompute(&["job", "watch", "1", "--json"]).done().json();
    assert_eq!(ended["stage"], "failed", "{ended}");
    assert!(market.log("creator").contains("features refused"), "the creator says why");
    let after = ["//Dave", "//Bob", "//Charlie"].map(|suri| credit(&market, suri));
    let (escrow, head) = (price(&market, "digits", "total"), price(&market, "digits", "head"));
    assert_eq!(after, [before[0] + escrow, before[1] + head, before[2]], "user, worker, creator");
    let resumed = market.encompute(&["job", "resume", "1", "--suri", "//Dave"]);
    assert!(refusal(&resumed) == (1, true) && resumed.stderr.contains("withdraw"), "{resumed:?}");
    let books = market.encompute(&["audit", "ledger", "--json"]).done().json();
    assert_eq!(books["balanced"], true, "{books}");

    // What is found by the blocks in which the job changed is what every block since its request has to say of it.
    let client = dave.client();
    let (terms, progress) = client.read(ReadJob { job: JobId(1) }).await.unwrap().unwrap();
    let said = said(client, terms.requested_at..=client.head().await.unwrap().number).await.unwrap().events;
    let whole: Vec<_> = said.into_iter().filter(|(_, event)| event.job() == Some(JobId(1))).collect();
    let stages = whole.iter().filter(|(_, event)| matches!(event, Event::JobStageChanged(_))).count();
    assert!(stages >= 5 && whole.iter().any(|(_, event)| matches!(event, Event::Credited(_))), "{whole:?}");
    for known in 0..=whole.len() {
        let whole_blocks = known == 0 || known == whole.len() || whole[known - 1].0 != whole[known].0;
        let found = history(client, JobId(1), (&terms, &progress), &whole[..known]).await.unwrap();
        assert!(!whole_blocks || found == whole, "{known} known: {found:?}");
    }
}

/// A liar that lets a user's command ask for the first round alone.
fn nothing_is_heard_after_the_first_round(court: &Court) {
    court.liar(Between::WorkerAndClient).tell(|asked| match asked.path.ends_with("/rounds/1") {
        true => Lie::Silence,
        false => Lie::Truth,
    });
}

/// A job whose user was killed while the second round was asked for.
async fn stopped_between_rounds(court: &Court) -> JobId {
    let mut client = court.submit();
    client.until(&["round 1 of 3"]);
    client.kill();
    court.jobs().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_stays_away_between_two_rounds_pays_the_worker_alone_and_no_worker_makes_that_of_its_own_absence() {
    let mut court = Court::over("digits", DIGIT).await;
    nothing_is_heard_after_the_first_round(&court);

    let job = stopped_between_rounds(&court).await;
    let progress = court.job(job).await.1;
    let last_quarter = progress.deadline.0 - (progress.deadline.0 - progress.claimed_at.0) / 4;
    let until = |from: u32| Blocks(last_quarter - from);
    court.services.seal(until(court.services.client().head().await.unwrap().number.0)).await.unwrap();
    court.until(job, "the worker commits what it ran", |progress| progress.stage == Stage::HeadCommitted).await;
    let told = court.resume(job);
    assert_eq!(refusal(&told), (6, true), "{told:?}");
    for words in ["waited for round 1 of 3", &format!("encompute job cancel {job}")] {
        assert!(told.stderr.contains(words), "{words:?} is not in {}", told.stderr);
    }
    court.cancel(job).done();
    court.judge("away between two rounds", job, Outcome::Refunded).await;

    // The worker was away as well, until its window is nearly over: the user is not to blame, and is waited for.
    let job = stopped_between_rounds(&court).await;
    court.services.kill("worker-1").await;
    let progress = court.job(job).await.1;
    let now = court.services.client().head().await.unwrap().number;
    court.services.seal(Blocks(progress.deadline.0 - 14 - now.0)).await.unwrap();
    court.services.restart("worker-1").await.unwrap();
    court.repent();
    // It sees blocks of the last quarter go by: those of a job of its own.
    court.submit().finish().done();
    let done = court.resume(job).done();
    assert!(done.stdout.contains('7'), "{done:?}");
    court.judge("the worker was away between two rounds", job, Outcome::Settled).await;
}
