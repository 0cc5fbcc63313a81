//! Sessions over real processes: many jobs in two transactions, and every silence paid for by nobody else.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::{DIGIT, refusal};
use encompute_job::said;
use encompute_kit::{Habits, Ran, Running, Services, signal};
use encompute_protocol::{
    Address, BlockNumber, Blocks, Fees, Plancks, SessionId, SessionRecord, SessionStage,
    call::{ReadCredit, ReadSession},
};
use serde_json::Value;
use std::time::Duration;

/// A market of one model, one creator and one worker, in which blocks come with transactions and when the test seals
/// some; and a session in it.
struct Served {
    services: Services,
    session: SessionId,
    parties: [Address; 3],
    before: [Plancks; 3],
}

const CHALLENGE: Blocks = Blocks(10);

impl Served {
    /// A session of so many jobs over so many blocks at most.
    async fn of(jobs: &str, blocks: &str) -> Self {
        let habits = Habits { heartbeat_ms: 0, ..Habits::default() };
        let short = |params: &mut encompute_protocol::Params| params.windows.challenge = CHALLENGE;
        let services = Services::start(habits, &["scripts/models/digits"], short).await.unwrap();
        let taken = ["creator", "sessions", "--model", "digits", "--jobs", "20", "--suri", "//Charlie", "--json"];
        assert_eq!(run(&services, &taken).done().json()["jobs"], 20);
        let open = ["session", "open", "--model", "digits", "--jobs", jobs, "--blocks", blocks];
        let opened = run(&services, &[&open[..], &["--suri", "//Dave", "--json"]].concat()).done().json();
        let session = SessionId(opened["session"].as_u64().unwrap());
        let parties = ["//Dave", "//Bob", "//Charlie"].map(|suri| services.account(suri).address());
        let mut served = Self { services, session, parties, before: [Plancks::ZERO; 3] };
        served.before = served.credits().await;
        served
    }

    /// What user, worker and creator may withdraw.
    async fn credits(&self) -> [Plancks; 3] {
        let mut credits = [Plancks::ZERO; 3];
        for (credit, account) in credits.iter_mut().zip(self.parties) {
            *credit = self.services.client().read(ReadCredit { account }).await.unwrap();
        }
        credits
    }

    async fn record(&self) -> SessionRecord {
        self.services.client().read(ReadSession { session: self.session }).await.unwrap().unwrap()
    }

    /// Waits until the session is at a stage.
    async fn until(&self, stage: SessionStage) -> SessionRecord {
        let client = self.services.client();
        let mut follow = client.follow(client.head().await.unwrap().number);
        loop {
            let record = self.record().await;
            if record.stage == stage {
                return record;
            }
            let next = tokio::time::timeout(Duration::from_secs(60), follow.next()).await;
            next.unwrap_or_else(|_| panic!("not {stage:?} within a minute: {record:?}")).unwrap();
        }
    }

    /// Runs the same picture so many times.
    fn submit(&self, inputs: usize, more: &[&str]) -> Ran {
        let session = self.session.to_string();
        let words = ["session", "submit", &session, "--suri", "//Dave", "--json"];
        run(&self.services, &[&words[..], &["--input", DIGIT].repeat(inputs), more].concat())
    }

    fn close(&self) -> Ran {
        let session = self.session.to_string();
        run(&self.services, &["session", "close", &session, "--suri", "//Dave", "--patience", "2", "--json"])
    }

    fn audit(&self, more: &[&str]) -> Ran {
        let session = self.session.to_string();
        run(&self.services, &[&["audit", "session", &session, "--json"][..], more].concat())
    }

    /// Lets the session's deadline pass.
    async fn pass(&self) {
        let (deadline, client) = (self.record().await.deadline, self.services.client());
        let now = client.head().await.unwrap().number;
        self.services.seal(Blocks(deadline.0.saturating_sub(now.0) + 1)).await.unwrap();
    }

    /// What the contract said about sessions, in order.
    async fn said(&self) -> Vec<&'static str> {
        let client = self.services.client();
        let head = client.head().await.unwrap().number;
        let said = said(client, BlockNumber(1)..=head).await.unwrap().events;
        said.iter().filter(|(_, event)| event.session().is_some()).map(|(_, event)| event.name()).collect()
    }

    /// User, worker and creator have what so many tails and heads of so many jobs pay, to the planck; the books balance,
    /// and an audit finds nothing.
    async fn paid(&self, heads: u128, tails: u128) {
        let record = self.record().await;
        let Fees { head, tail, protocol, .. } = record.fees;
        let of_head = head.share_ceil(record.protocol_fee).unwrap().0;
        let escrow = record.fees.total().unwrap().0 * u128::from(record.jobs);
        let kept = heads * head.0 + tails * (tail.0 + protocol.0) + (heads - tails) * of_head;
        let wanted = [escrow - kept, heads * head.0, tails * tail.0];
        let after = self.credits().await;
        let gained: Vec<u128> = self.before.iter().zip(after).map(|(before, after)| after.0 - before.0).collect();
        assert_eq!(gained, wanted, "user, worker, creator");
        let audited = self.audit(&[]).done().json();
        assert_eq!(audited["verdict"], "pass", "{audited}");
        let books = run(&self.services, &["audit", "ledger", "--json"]).done().json();
        assert_eq!(books["balanced"], true, "{books}");
    }
}

fn run(services: &Services, arguments: &[&str]) -> Ran {
    Running::of(services.encompute("user", arguments)).finish()
}

fn labels(ran: &Value) -> Vec<&str> {
    ran["jobs"].as_array().unwrap().iter().filter_map(|job| job["prediction"]["label"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_several_jobs_settles_in_two_transactions_and_each_job_is_proved() {
    let served = Served::of("3", "900").await;
    let done = served.submit(3, &[]).done().json();
    assert_eq!(labels(&done), ["7", "7", "7"], "{done}");
    let ended = served.close().done().json();
    assert_eq!((ended["stage"].as_str(), ended["tails"].as_u64()), (Some("closed"), Some(3)), "{ended}");
    assert_eq!(served.said().await, ["SessionOpened", "SessionClosed"], "two transactions");
    served.paid(3, 3).await;
    for job in ["0", "2"] {
        let proved = served.audit(&["--job", job]).done().json();
        let ids: Vec<_> =
            proved["checks"].as_array().unwrap().iter().filter_map(|check| check["id"].as_str()).collect();
        assert!(ids.contains(&"job.in-the-tree") && ids.contains(&"transcript.signatures"), "{proved}");
    }
    assert_eq!(refusal(&served.audit(&["--job", "3"])), (3, true));
    let late = served.submit(1, &[]);
    assert_eq!(refusal(&late), (1, true), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_end_is_agreed_to_at_once_and_what_was_not_used_comes_back() {
    let served = Served::of("5", "60").await;
    served.submit(2, &[]).done();
    let ended = served.close().done().json();
    assert_eq!((ended["stage"].as_str(), ended["tails"].as_u64()), (Some("closed"), Some(2)), "{ended}");
    assert_eq!(served.said().await, ["SessionOpened", "SessionClosed"], "two transactions");
    served.paid(2, 2).await;
    pruned(&served).await;
}

/// Long after the end a stranger removes the session's record: what its user paid for it comes back, and its jobs are
/// proved as before.
async fn pruned(served: &Served) {
    let session = served.session.to_string();
    let prune = |more: &[&str]| {
        run(&served.services, &[&["session", "prune", &session, "--suri", "//Eve", "--json"][..], more].concat())
    };
    let early = prune(&[]);
    assert!(refusal(&early) == (1, true) && early.stderr.contains("records are kept until"), "{early:?}");
    let told = prune(&["--dry-run"]).done().json();
    let from = u32::try_from(told["from_block"].as_u64().unwrap()).unwrap();
    let now = served.services.client().head().await.unwrap().number;
    served.services.seal(Blocks(from - now.0)).await.unwrap();
    let before = served.credits().await[0];
    let pruned = prune(&[]).done().json();
    let value: u128 = pruned["value"].as_str().unwrap().parse().unwrap();
    assert!(value > 0 && served.credits().await[0].0 - before.0 == value, "{pruned}");
    let gone = run(&served.services, &["session", "status", &session]);
    assert!(refusal(&gone) == (3, true) && gone.stderr.contains("was pruned in block"), "{gone:?}");
    let audited = served.audit(&["--job", "1"]).done().json();
    let digest = audited["checks"].as_array().unwrap().iter().find(|check| check["id"] == "pruned-digest").unwrap();
    assert!(digest["pass"] == true && digest["expected"] == pruned["digest"], "{digest}");
    let ledger = run(&served.services, &["audit", "ledger", "--json"]).done().json();
    assert_eq!(ledger["balanced"], true, "{ledger}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_falls_silent_is_paid_for_what_it_did_and_the_rest_comes_back_without_it() {
    let served = Served::of("4", "900").await;
    served.submit(1, &[]).done();
    let worker = served.services.id("worker-1").unwrap();
    signal("STOP", worker);
    let silent = served.submit(1, &["--patience", "1"]);
    assert_eq!(refusal(&silent), (1, true), "{silent:?}");
    let closing = served.close().done().json();
    assert_eq!(closing["stage"], "closing", "{closing}");
    served.pass().await;
    // Creator or user: whoever sees first that the window is over ends it.
    served.close().done();
    let over = served.until(SessionStage::Closed).await;
    assert_eq!((over.done, over.heads, over.tails), (2, 1, 1));
    served.paid(1, 1).await;
    signal("CONT", worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_gone_half_way_has_paid_for_what_was_done_and_those_who_did_it_close() {
    let served = Served::of("4", "60").await;
    served.submit(2, &[]).done();
    // Nobody of the user's side does anything more. The deadline comes near, and passes.
    let near = encompute_protocol::session::due::closes_at(&served.record().await);
    let now = served.services.client().head().await.unwrap().number;
    served.services.seal(Blocks(near.0.saturating_sub(now.0))).await.unwrap();
    served.until(SessionStage::Closing).await;
    served.pass().await;
    let over = served.until(SessionStage::Closed).await;
    assert_eq!((over.heads, over.tails), (2, 2));
    served.paid(2, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_closes_with_an_old_voucher_is_answered_with_the_last_one() {
    let served = Served::of("4", "900").await;
    served.submit(1, &[]).done();
    let home = served.services.home().join("user/sessions");
    let book = std::fs::read_dir(&home).unwrap().next().unwrap().unwrap().path();
    let old = std::fs::read(book.join("record")).unwrap();
    served.submit(2, &[]).done();
    // The user forgets two jobs, and keeps worker and creator from being asked.
    std::fs::write(book.join("record"), old).unwrap();
    let closing = served.close().done().json();
    assert_ne!(closing["stage"], "open", "{closing}");
    let _ = served.until(SessionStage::Closing).await;
    loop {
        let record = served.record().await;
        if (record.heads, record.tails) == (3, 3) {
            break;
        }
        served.services.seal(Blocks(1)).await.unwrap();
        assert_eq!(record.stage, SessionStage::Closing, "{record:?}");
    }
    served.pass().await;
    served.until(SessionStage::Closed).await;
    served.paid(3, 3).await;
}
