//! Workers behind anchors: no account, no money, and somebody else's transactions.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_chain::{AccountId, Client, OtherCall, Refusal};
use encompute_e2e::{DIGIT, Ground, stage, submit};
use encompute_kit::{Market, Process, encompute, program};
use encompute_networks::Network;
use encompute_node::keys::WorkerKeys;
use encompute_node::rollup::{PostError, Rollup, Subject};
use encompute_protocol::{
    Address, BlobDigest, Blocks, ContractAddress, CostUnits, HeadDigest, JobId, Mode, Plancks, PolicyId, SplitIndex,
    Stage, TailDigest, Text, VersionHash,
    call::{
        ActivateVersion, CancelJob, ClaimJob, ListModel, PublishVersion, QuoteJob, ReadJob, ReadParams, ReadWorker,
        RequestJob, RevokeMeasurement, SplitOffer,
    },
};
use encompute_rollup::call::{AnchorCall, QueueJob};
use encompute_rollup::{ForwardError, ForwardRequest, MAY_NOT};
use encompute_store::StateDir;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Has the money.
const OWNER: &str = "//Bob";
/// Pays for transactions, and has nothing to do with the worker.
const RELAYER: &str = "//Eve";

/// A worker that has registered behind an anchor, and was stopped.
struct Behind {
    ground: Ground,
    anchor: ContractAddress,
    relay: Process,
    state: PathBuf,
}

/// What a command of the owner's said.
fn owners(home: &Path, arguments: &[&str]) -> serde_json::Value {
    let ran = encompute(home, &[&["--network", "local", "worker", "anchor"], arguments, &["--suri", OWNER]].concat());
    let ran = ran.done();
    if ran.stdout.is_empty() { serde_json::Value::Null } else { ran.json() }
}

impl Behind {
    async fn new() -> Self {
        let ground = Ground::new().await;
        let (home, state) = (ground.folder.path(), ground.folder.path().join("worker"));
        let anchor = owners(home, &["new", "200", "--json"])["anchor"].as_str().unwrap().to_owned();
        let state_folder = state.display().to_string();
        let printed =
            Command::new(program("encompute-worker")).args(["key", "--state", &state_folder]).output().unwrap();
        let key = String::from_utf8(printed.stdout).unwrap().trim().to_owned();
        let folder = home.display().to_string();
        let network = ["--home", &folder, "--network", "local"];
        let relay =
            [&["relay", "--suri", RELAYER, "--anchor", &anchor, "--listen", "127.0.0.1:0"], &network[..]].concat();
        let relay = Process::start("relay", &program("encompute-worker"), &relay, home).await.unwrap();
        let agent = ground.attestation.said("listen").unwrap().to_owned();
        let way = ["--anchor", &anchor, "--relay", relay.said("listen").unwrap(), "--state", &state_folder];
        let run = [&["run", "--guest-agent", &agent], &network[..], &way[..]].concat();

        let nameless = Command::new(program("encompute-worker")).args(&run).output().unwrap();
        let words = String::from_utf8_lossy(&nameless.stderr);
        assert!(!nameless.status.success() && words.contains("does not know this worker's key"), "{nameless:?}");
        owners(home, &["name", &anchor, &key]);
        let worker = Process::start("worker", &program("encompute-worker"), &run, home).await.unwrap();
        assert_eq!(worker.said("account").unwrap(), anchor, "the anchor is the worker's account");
        assert!(worker.stop().await);
        Self { anchor: anchor.parse().unwrap(), relay, state, ground }
    }

    fn client(&self) -> &Client {
        self.ground.chain.client()
    }

    /// A process of the worker's keys, on a copy of its folder.
    async fn replica(&self, name: &str) -> (Rollup, WorkerKeys) {
        let folder = self.ground.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(self.state.join("keys"), folder.join("keys")).unwrap();
        let keys = WorkerKeys::open(&StateDir::hold(&folder).unwrap()).unwrap();
        let way = (self.anchor, self.relay.said("listen").unwrap().to_owned());
        let http = encompute_store::http_client().unwrap();
        (Rollup::open(self.client().clone(), way, &keys, http).await.unwrap(), keys)
    }

    /// A job that nobody has claimed.
    async fn requested(&self) -> JobId {
        let creator = self.ground.chain.account("//Charlie");
        let bond = Plancks(self.client().read(ReadParams {}).await.unwrap().model_bond_floor.0 * 2);
        let model = creator.submit(ListModel { name: Text::new("listed").unwrap() }, bond).await.unwrap().answer;
        let split = SplitOffer {
            mode: Mode::Linear,
            head: HeadDigest([1; 32]),
            tail: TailDigest([2; 32]),
            cost: CostUnits(1),
            tail_fee: Plancks(1_000_000_000),
            policies: 1,
        };
        let publish = PublishVersion { model, manifest: VersionHash([3; 32]), splits: vec![split] };
        let version = creator.submit(publish, Plancks::ZERO).await.unwrap().answer;
        creator.submit(ActivateVersion { version }, Plancks::ZERO).await.unwrap();
        let split = SplitIndex(0);
        let (fees, _) = self.client().read(QuoteJob { version, split }).await.unwrap().unwrap();
        let (policy, input) = (PolicyId(1), BlobDigest::of(&version.0.to_le_bytes()));
        let request = RequestJob { version, split, policy, input, tip: Plancks::ZERO, offer: None, sponsor: None };
        self.ground.chain.account("//Dave").submit(request, fees.total().unwrap()).await.unwrap().answer
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_with_one_key_one_claims_and_the_other_reads_again_and_is_refused() {
    let behind = Behind::new().await;
    let worker = Address(behind.anchor.0);
    let (record, _) = behind.client().read(ReadWorker { worker }).await.unwrap().unwrap();
    let ((one, ones_keys), (two, twos_keys)) = (behind.replica("one").await, behind.replica("two").await);
    assert_eq!(record.signing, ones_keys.signing_address());
    let own_account = AccountId(ForwardRequest::sender(&ones_keys.public_key()));
    assert_eq!(behind.client().balance(&own_account).await.unwrap().free, Plancks::ZERO, "it never had any money");

    // Somebody wants the worker to see a job; it is gone before the worker says anything.
    let gone = behind.requested().await;
    let call = QueueJob { job: gone };
    let call = OtherCall { contract: behind.anchor, message: QueueJob::NAME, calldata: call.calldata() };
    behind.ground.chain.account("//Ferdie").call(&call, Plancks::ZERO).await.unwrap();
    assert_eq!(one.queued().await.unwrap(), [gone]);
    behind.ground.chain.account("//Dave").submit(CancelJob { job: gone }, Plancks::ZERO).await.unwrap();

    let job = behind.requested().await;
    // The hash of the next block draws the one worker that there is.
    behind.ground.chain.seal(Blocks(2)).await.unwrap();
    let (subject, claim) = (Subject::job(job), ClaimJob { job });
    let (first, second) = tokio::join!(one.post(&ones_keys, &subject, &claim), two.post(&twos_keys, &subject, &claim));
    let (won, lost) = if first.is_ok() { (first, second) } else { (second, first) };
    assert!(won.is_ok(), "{won:?} {lost:?}");
    let Err(PostError::Market { refusal, .. }) = lost else { panic!("{lost:?}") };
    assert_eq!(refusal, Refusal::WrongStage { found: Stage::Claimed, wanted: Stage::Requested });
    let (_, progress) = behind.client().read(ReadJob { job }).await.unwrap().unwrap();
    assert_eq!((progress.stage, progress.worker), (Stage::Claimed, Some(worker)));
    let (after, _) = behind.client().read(ReadWorker { worker }).await.unwrap().unwrap();
    assert_eq!((record.in_flight, after.in_flight), (0, 1));
    assert_eq!(two.queued().await.unwrap(), [], "whoever won took off the queue what is done");

    // Code that was revoked says nothing any more, whoever would pay for it.
    let governor = behind.ground.chain.account("//Alice");
    governor.submit(RevokeMeasurement { measurement: record.measurement }, Plancks::ZERO).await.unwrap();
    let refused = one.post(&ones_keys, &subject, &claim).await;
    let may_not = ForwardError::RollupAnchorError(MAY_NOT);
    assert!(matches!(&refused, Err(PostError::Refused(error)) if *error == may_not), "{refused:?}");
    assert!(behind.relay.stop().await && behind.ground.gateway.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_an_account_finishes_jobs_though_its_relayer_dies_between() {
    let home = tempfile::Builder::new().prefix("encompute-test-").tempdir().unwrap();
    let mut market = Market::up_with(home, &["--rollup"]);
    let network = Network::load(&market.home().join("networks/local.toml")).unwrap();
    let client = Client::connect(&network).await.unwrap();
    let said = market.service("worker")["ready"]["account"].as_str().unwrap().to_owned();
    let anchor: ContractAddress = said.parse().unwrap();
    for job in 1..=2 {
        market.encompute(&submit("digits", DIGIT, "//Dave")).done();
        assert_eq!(stage(&market, job), "settled");
        let (_, progress) = client.read(ReadJob { job: JobId(job) }).await.unwrap().unwrap();
        assert_eq!(progress.worker, Some(Address(anchor.0)));
        market.kill("relay");
    }
    let keys = market.home().join("worker");
    assert!(keys.join("keys").exists());
    let (record, _) = client.read(ReadWorker { worker: Address(anchor.0) }).await.unwrap().unwrap();
    assert_eq!(record.heads_committed, 2);
}
