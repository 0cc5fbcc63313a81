//! Workers and the proof of what they run: renewed in time, refused where it does not count.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_attest::pki::{DevelopmentPki, DevelopmentSeed};
use encompute_chain::Client;
use encompute_drill::judge::Outcome;
use encompute_e2e::{Court, DIGIT, Ground, quotes, refusal, stage, submit};
use encompute_kit::{Market, Process, program};
use encompute_networks::{Network, Root};
use encompute_protocol::{Blocks, JobId, Stage, WorkerRecord, call::ReadWorker};
use std::path::PathBuf;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_renews_its_registration_before_it_runs_out() {
    let ground = Ground::new().await;
    let arguments = ground.worker("//Bob", &ground.attestation);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let worker =
        Process::start("worker", &program("encompute-worker"), &arguments, ground.folder.path()).await.unwrap();
    let first = ground.record("//Bob").await.unwrap();
    let mut follow = ground.chain.client().follow(ground.chain.client().head().await.unwrap().number);
    // Into the last third of its life, and not to its end.
    ground.chain.seal(Blocks(65)).await.unwrap();
    let renewed = loop {
        let block = follow.next().await.unwrap();
        let record = ground.record("//Bob").await.unwrap();
        if record.expires_at > first.expires_at {
            assert!(block.block.number < first.expires_at, "renewed at {}, too late", block.block.number);
            break record;
        }
    };
    assert_ne!(renewed.nonce, first.nonce, "with a fresh quote");
    assert_eq!((renewed.signing, renewed.stake), (first.signing, first.stake));
    assert!(worker.stop().await && ground.gateway.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_holds_although_its_worker_has_registered_anew_since() {
    let court = Court::renewing("digits", DIGIT).await;
    let job = JobId(court.jobs().await.0 + 1);
    let mut away = court.submit();
    away.until(&["round 3 of 3"]);
    away.kill();
    court.until(job, "a receipt", |progress| progress.stage == Stage::HeadCommitted).await;
    let chain = court.services.client();
    let first = registration(&court).await;
    let now = chain.head().await.unwrap().number;
    let mut follow = chain.follow(now);
    // As late as its worker lets it run: one head window before its end.
    let due = first.expires_at.0 - court.job(job).await.0.windows.head.0 - 1;
    court.services.seal(Blocks(due.saturating_sub(now.0))).await.unwrap();
    while registration(&court).await.nonce == first.nonce {
        let block = follow.next().await.unwrap();
        assert!(block.block.number < first.expires_at, "not renewed");
    }
    let ended = court.resume(job).done();
    assert!(ended.stdout.contains('7'), "{ended:?}");
    assert_eq!(court.audited(job, "receipt-signature"), first.signing.to_string());
    court.judge("a receipt under a registration before the last", job, Outcome::Settled).await;
}

async fn registration(court: &Court) -> WorkerRecord {
    let worker = court.worker().address();
    court.services.client().read(ReadWorker { worker }).await.unwrap().unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_unlisted_code_is_told_so_and_registers_nothing() {
    let ground = Ground::new().await;
    // The same platform under other code: what is measured is the worker's program beside the service's.
    let programs = tempfile::tempdir_in(program("encompute").parent().unwrap()).unwrap();
    let encompute: PathBuf = programs.path().join("encompute");
    std::fs::hard_link(program("encompute"), &encompute).unwrap();
    std::fs::write(programs.path().join("encompute-worker"), "other code").unwrap();
    let guest = quotes("other-code", &encompute, ground.folder.path()).await;
    let ran =
        std::process::Command::new(program("encompute-worker")).args(ground.worker("//Bob", &guest)).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.code() == Some(5) && said.contains("is not on the contract's list"), "{ran:?}");
    assert_eq!(ground.record("//Bob").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_machine_measures_is_what_its_worker_registers() {
    let ground = Ground::new().await;
    let home = ground.folder.path();
    let agent = ground.attestation.said("listen").unwrap();
    let measure = |agent: &str| {
        let words = ["worker", "measure", "--network", "local", "--guest-agent", agent, "--json"];
        encompute_kit::encompute(home, &words)
    };
    let measured = measure(agent).done().json();
    let run = ground.worker("//Bob", &ground.attestation);
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    let worker = Process::start("worker", &program("encompute-worker"), &run, home).await.unwrap();
    let record = ground.record("//Bob").await.unwrap();
    assert_eq!(measured["measurement"], record.measurement.to_string(), "{measured}");
    assert_eq!(measured["platform"], record.platform.to_string(), "{measured}");
    assert_eq!(refusal(&measure("/nowhere/dstack.sock")), (4, true));
    assert!(worker.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_trusts_another_root_gives_that_worker_nothing_to_decrypt() {
    let market = Market::up();
    let mut network = Network::load(&market.home().join("networks/local.toml")).unwrap();
    let other = DevelopmentPki::from_seed(DevelopmentSeed::from_label("another root")).unwrap();
    network.trust.root = Root::development(other.trust_root().der().to_vec());
    let file = market.home().join("networks/doubting.toml");
    network.write(&file).unwrap();
    let doubting = ["--network", "doubting"];
    let ran = encompute_kit::encompute(market.home(), &[&doubting[..], &submit("digits", DIGIT, "//Dave")].concat());
    assert!(refusal(&ran) == (5, true) && ran.stderr.contains("worker"), "{ran:?}");
    assert!(!ran.stderr.contains("decrypting") && !ran.stderr.contains("round 1"), "{ran:?}");
    // It was bought openly; the worker that nobody here trusts has claimed it and waits for the rounds.
    assert_eq!(stage(&market, 1), "claimed");
    let pages = std::fs::read_dir(market.home().join("ledger")).unwrap().count();
    assert_eq!(pages, 0, "nothing was released");
    assert!(Client::connect(&network).await.is_ok());
}
