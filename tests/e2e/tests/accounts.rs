//! Accounts and amounts on a chain that is not like the local one: it maps no account by itself.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_chain::Account;
use encompute_e2e::refusal;
use encompute_kit::{Chain, Ran, encompute};
use encompute_protocol::{
    BlobDigest, Blocks, CostUnits, HeadDigest, JobId, Mode, Plancks, PolicyId, SplitIndex, TailDigest, Text,
    VersionHash, VersionId, Windows,
    call::{ActivateVersion, CancelJob, ListModel, PublishVersion, QuoteJob, RequestJob, SplitOffer},
};
use serde_json::Value;
use std::path::Path;

/// A home with the chain's network file, its token written down as told.
fn home(chain: &Chain, symbol: &str, decimals: u8) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let mut network = chain.network.clone();
    network.token.symbol = symbol.to_owned();
    network.token.decimals = decimals;
    std::fs::create_dir_all(home.path().join("networks")).unwrap();
    network.write(&home.path().join("networks/local.toml")).unwrap();
    std::fs::write(home.path().join("password"), "correct horse\n").unwrap();
    home
}

fn run(home: &Path, arguments: &[&str]) -> Ran {
    encompute(home, &[&["--network", "local"], arguments].concat())
}

/// What `doctor` finds under a name.
fn finding(home: &Path, id: &str) -> Value {
    let found: Value = serde_json::from_str(&run(home, &["doctor", "--json"]).stdout).unwrap();
    found["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == id).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmapped_account_is_found_mapped_once_and_not_paid_before() {
    let chain = Chain::start_unmapped().await.unwrap();
    let home = home(&chain, "UNIT", 12);
    let password = home.path().join("password").display().to_string();
    let anna = ["--wallet", "anna", "--password-file", &password, "--json"];
    let made = run(home.path(), &["wallet", "new", "anna", "--password-file", &password, "--json"]).done().json();
    let account = made["account"].as_str().unwrap();
    let poor = finding(home.path(), "wallets");
    assert!(poor["pass"] == true && poor["found"].as_str().unwrap().contains("no money yet in anna"), "{poor}");

    chain.account("//Alice").transfer(&account.parse().unwrap(), Plancks(5_000_000_000_000)).await.unwrap();
    let unknown = finding(home.path(), "wallets");
    assert!(
        unknown["pass"] == false && unknown["advice"].as_str().unwrap().contains("wallet map --wallet anna"),
        "{unknown}"
    );
    let unpaid = run(home.path(), &["wallet", "withdraw", "--suri", "//Dave", "--to", account]);
    assert!(refusal(&unpaid) == (1, true) && unpaid.stderr.contains("wallet map"), "{unpaid:?}");

    let verb = |verb| run(home.path(), &[&["wallet", verb], &anna[..]].concat()).done().json();
    assert_eq!(verb("balance")["mapped"], false);
    assert_eq!(verb("map")["mapped"], "now");
    assert_eq!((verb("map")["mapped"].as_str(), verb("balance")["mapped"].as_bool()), (Some("before"), Some(true)));
    let known = finding(home.path(), "wallets");
    assert_eq!(known["pass"], true, "{known}");
    let nothing = run(home.path(), &["wallet", "withdraw", "--suri", "//Dave", "--to", account]);
    assert!(refusal(&nothing) == (1, true) && !nothing.stderr.contains("wallet map"), "owed nothing: {nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_follow_the_network_file_and_one_that_the_chain_contradicts_is_found() {
    let chain = Chain::start_unmapped().await.unwrap();
    let (right, wrong) = (home(&chain, "UNIT", 12), home(&chain, "PAS", 10));
    let said = finding(right.path(), "token");
    assert!(said["pass"] == true && said["found"] == "UNIT with 12 decimals", "{said}");
    let said = finding(wrong.path(), "token");
    assert!(said["pass"] == false && said["advice"].as_str().unwrap().contains("token.decimals"), "{said}");

    let shown = |home: &Path| run(home, &["wallet", "balance", "--suri", "//Dave"]).done().stdout;
    assert!(shown(right.path()).contains("has 1000000 UNIT free"), "{}", shown(right.path()));
    assert!(shown(wrong.path()).contains("has 100000000 PAS free"), "{}", shown(wrong.path()));
    let tip = |home: &Path| {
        let file = ["--model", "none", "--input", "README.md", "--suri", "//Dave", "--tip", "0.000000000001"];
        run(home, &[&["job", "submit"], &file[..]].concat())
    };
    let fine = tip(wrong.path());
    assert!(refusal(&fine) == (2, true) && fine.stderr.contains("the token has 10"), "{fine:?}");
    assert_ne!(refusal(&tip(right.path())).0, 2);
    let nobody = format!("0x{}", "07".repeat(32));
    let bond = ["model", "publish", "scripts/models/digits", "--creator-url", "http://127.0.0.1:1", "--dry-run"];
    let other = run(wrong.path(), &[&bond[..], &["--suri", &nobody]].concat());
    assert!(refusal(&other) == (2, true) && other.stderr.contains("0.25 UNIT"), "a fee in another token: {other:?}");
}

/// Serves blobs to the chain's network file: there are none.
async fn empty_gateway(chain: &mut Chain) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    chain.network.gateway = Some(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    let store = encompute_store::BlobStore::in_folder(folder.path()).unwrap();
    let served = encompute_store::serve(listener, store, Default::default(), std::future::pending());
    tokio::spawn(async move { served.await.unwrap() });
    folder
}

/// What buys a run of the first split, and its escrow.
async fn request(user: &Account, version: VersionId, input: u8) -> (RequestJob, Plancks) {
    let split = SplitIndex(0);
    let (fees, _) = user.client().read(QuoteJob { version, split }).await.unwrap().unwrap();
    let input = BlobDigest([input; 32]);
    let message =
        RequestJob { version, split, policy: PolicyId(1), input, tip: Plancks::ZERO, offer: None, sponsor: None };
    (message, fees.total().unwrap())
}

/// A job of //Dave's that nobody claims.
async fn requested(chain: &Chain, version: VersionId, input: u8) -> JobId {
    let dave = chain.account("//Dave");
    let (message, escrow) = request(&dave, version, input).await;
    dave.submit(message, escrow).await.unwrap().answer
}

/// One that is cancelled.
async fn cancelled(chain: &Chain, version: VersionId) -> JobId {
    let job = requested(chain, version, 9).await;
    chain.account("//Dave").submit(CancelJob { job }, Plancks::ZERO).await.unwrap();
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_long_over_is_pruned_by_a_stranger_and_audited_from_what_is_left() {
    let chain = Chain::start_with(|params| {
        let [claim, head, challenge, features, creator, accept, dispute] = [Blocks(2); 7];
        params.windows = Windows { claim, head, challenge, features, creator, accept, dispute };
        params.unbonding = UNBONDING;
    });
    let mut chain = chain.await.unwrap();
    let _blobs = empty_gateway(&mut chain).await;
    let home = home(&chain, "UNIT", 12);
    let version = on_sale(&chain.account("//Charlie")).await;
    let job = cancelled(&chain, version).await.to_string();
    let prune =
        |more: &[&str]| run(home.path(), &[&["job", "prune", &job, "--suri", "//Eve", "--json"], more].concat());

    let early = prune(&[]);
    assert!(refusal(&early) == (1, true) && early.stderr.contains("records are kept until"), "{early:?}");
    let told = prune(&["--dry-run"]).done().json();
    assert!(told["sent"] == false && told["digest"].is_null(), "{told}");
    let ends = run(home.path(), &["job", "list", "--json"]).done().json()["jobs"][0]["changed_at"].as_u64().unwrap();
    let from = told["from_block"].as_u64().unwrap();
    chain.seal(Blocks(u32::try_from(from - ends).unwrap())).await.unwrap();
    let credit = |suri: &str| {
        let said = run(home.path(), &["wallet", "balance", "--suri", suri, "--json"]).done().json();
        said["credit"].as_str().unwrap().parse::<u128>().unwrap()
    };
    let before = credit("//Dave");
    let pruned = prune(&[]).done().json();
    let value: u128 = pruned["value"].as_str().unwrap().parse().unwrap();
    assert!(value > 0 && credit("//Dave") - before == value, "what the records held is the payer's: {pruned}");

    for verb in [&["job", "watch"][..], &["job", "prune", "--suri", "//Eve"]] {
        let gone = run(home.path(), &[verb, &[&job]].concat());
        assert!(refusal(&gone) == (3, true) && gone.stderr.contains("was pruned in block"), "{gone:?}");
    }
    let listed = run(home.path(), &["job", "list", "--json"]).done().json();
    assert_eq!(listed["jobs"].as_array().map(Vec::len), Some(0), "{listed}");
    let audited = run(home.path(), &["audit", "job", &job, "--json"]);
    let report = audited.json();
    let checks = report["checks"].as_array().unwrap();
    let digest = checks.iter().find(|check| check["id"] == "pruned-digest").unwrap();
    assert!(digest["pass"] == true && digest["expected"] == pruned["digest"], "{digest}");
    assert!(checks.iter().all(|check| check["severity"] != "contradiction"), "only its blobs are missing: {report}");
    let ledger = run(home.path(), &["audit", "ledger", "--json"]).done().json();
    assert!(ledger["balanced"] == true && ledger["jobs"] == 1, "{ledger}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_announced_waited_for_and_put_in_force_and_a_pause_stops_new_jobs_alone() {
    let chain = Chain::start_with(|params| params.notice = Blocks(5)).await.unwrap();
    let home = home(&chain, "UNIT", 12);
    let version = on_sale(&chain.account("//Charlie")).await;
    let mut network = chain.network.clone();
    network.deployment.params.head_fee_base = Plancks(30_000_000_000);
    network.deployment.params.notice = Blocks(5);
    network.write(&home.path().join("networks/local.toml")).unwrap();
    let params = |verb: &[&str]| run(home.path(), &[&["govern", "params"], verb, &["--json"]].concat());
    let fee = |said: &Value| said["in_force"]["head_fee_base"].as_str().map(str::to_owned);

    let stranger = params(&["announce", "--suri", "//Dave"]);
    assert!(refusal(&stranger) == (1, true) && stranger.stderr.contains("the governor"), "{stranger:?}");
    let dry = params(&["announce", "--suri", "//Alice", "--dry-run"]).done().json();
    assert!(dry["announced"] == false && dry["next"]["head_fee_base"] == "0.03", "{dry}");
    let said = params(&["announce", "--suri", "//Alice"]).done().json();
    assert!(said["announced"] == true && fee(&said).as_deref() == Some("0.01"), "{said}");
    let early = params(&["enact", "--suri", "//Alice"]);
    assert!(refusal(&early) == (1, true) && early.stderr.contains("from block"), "{early:?}");
    params(&["withdraw", "--suri", "//Alice"]).done();
    params(&["announce", "--suri", "//Alice"]).done();
    chain.seal(Blocks(5)).await.unwrap();
    let said = params(&["enact", "--suri", "//Dave"]).done().json();
    assert!(said["announced"] == false && fee(&said).as_deref() == Some("0.03"), "{said}");

    let govern = |verb: &str| run(home.path(), &["govern", verb, "--suri", "//Alice", "--json"]).done().json();
    let job = requested(&chain, version, 1).await;
    assert_eq!(govern("pause")["paused"], true);
    let dave = chain.account("//Dave");
    dave.submit(CancelJob { job }, Plancks::ZERO).await.unwrap();
    run(home.path(), &["wallet", "withdraw", "--suri", "//Dave"]).done();
    let stopped = dave.submit(request(&dave, version, 2).await.0, Plancks(1)).await;
    assert!(stopped.is_err_and(|error| error.to_string().contains("stopped")), "no new jobs");
    assert_eq!(govern("resume")["paused"], false);
    requested(&chain, version, 3).await;
    let handed = run(home.path(), &["govern", "hand-over", "//Bob", "--suri", "//Alice", "--json"]).done().json();
    assert_eq!(handed["governor"], chain.account("//Bob").address().to_string());
}

/// A little longer than the longest job.
const UNBONDING: Blocks = Blocks(800);

/// A model with one version on sale, as `model publish` leaves them on the chain.
async fn on_sale(creator: &Account) -> VersionId {
    let bond = Plancks(100_000_000_000_000);
    let model = creator.submit(ListModel { name: Text::new("heart").unwrap() }, bond).await.unwrap().answer;
    let split = SplitOffer {
        mode: Mode::Rounds,
        head: HeadDigest([1; 32]),
        tail: TailDigest([2; 32]),
        cost: CostUnits(1),
        tail_fee: Plancks(1),
        policies: 1,
    };
    let publish = PublishVersion { model, manifest: VersionHash([3; 32]), splits: vec![split] };
    let version = creator.submit(publish, Plancks::ZERO).await.unwrap().answer;
    creator.submit(ActivateVersion { version }, Plancks::ZERO).await.unwrap();
    version
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creator_takes_a_version_off_sale_and_gets_the_bond_back() {
    let chain = Chain::start_with(|params| {
        let [claim, head, challenge, features, creator, accept, dispute] = [Blocks(20); 7];
        params.windows = Windows { claim, head, challenge, features, creator, accept, dispute };
        params.unbonding = UNBONDING;
    });
    let chain = chain.await.unwrap();
    let home = home(&chain, "UNIT", 12);
    let version = on_sale(&chain.account("//Charlie")).await.to_string();
    let charlie = |arguments: &[&str]| run(home.path(), &[arguments, &["--suri", "//Charlie", "--json"]].concat());
    let status = |ran: Ran| ran.done().json()["status"].as_str().unwrap().to_owned();

    let foreign = run(home.path(), &["model", "deprecate", &version, "--suri", "//Dave"]);
    assert!(refusal(&foreign) == (1, true), "somebody else's: {foreign:?}");
    let unknown = charlie(&["model", "revoke", "lungs"]);
    assert!(refusal(&unknown) == (3, true) && unknown.stderr.contains("no model \"lungs\""), "{unknown:?}");
    assert_eq!(status(charlie(&["model", "deprecate", "heart", "--dry-run"])), "active");
    assert_eq!(status(charlie(&["model", "deprecate", "heart"])), "deprecated");
    let again = charlie(&["model", "deprecate", &version]);
    assert!(refusal(&again) == (1, true), "once: {again:?}");
    assert_eq!(status(charlie(&["model", "revoke", &version])), "revoked");

    let bond = |arguments: &[&str]| charlie(&[&["creator", "bond"], arguments].concat());
    let amounts = |ran: Ran| {
        let said = ran.done().json();
        ["all", "held", "leaving"].map(|key| said[key].as_str().unwrap().parse::<u128>().unwrap() / 1_000_000_000_000)
    };
    assert_eq!(amounts(bond(&["show", "heart"])), [100, 0, 0]);
    assert_eq!(amounts(bond(&["add", "heart", "20"])), [120, 0, 0]);
    assert_eq!(amounts(bond(&["ask", "heart", "50", "--dry-run"])), [120, 0, 0]);
    let much = bond(&["ask", "heart", "121"]);
    assert!(refusal(&much) == (1, true), "{much:?}");
    assert_eq!(amounts(bond(&["ask", "heart", "120"])), [120, 0, 120]);
    let early = bond(&["take", "heart"]);
    assert!(refusal(&early) == (1, true), "{early:?}");
    chain.seal(UNBONDING).await.unwrap();
    assert_eq!(amounts(bond(&["take", "1"])), [0, 0, 0]);
    let nothing = bond(&["take", "heart"]);
    assert!(refusal(&nothing) == (1, true), "{nothing:?}");

    let never = run(home.path(), &["worker", "stake", "show", "--suri", "//Dave"]);
    assert!(refusal(&never) == (3, true) && never.stderr.contains("never registered"), "{never:?}");
}
