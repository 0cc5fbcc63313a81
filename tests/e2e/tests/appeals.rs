//! A committee that lies, in a market of real processes: the worker has others hear its head, and has its stake.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_drill::judge::Outcome;
use encompute_e2e::{Court, DIGIT};
use encompute_kit::Running;
use encompute_protocol::{
    BlobDigest, Blocks, DisputeKind, JobId, Plancks, Reason, Signed, Stage, Verdict,
    call::{ReadDispute, RevealVerdict, SealVerdict, SetCapacity},
    dispute::{Proceeding, VerdictStatement},
};

/// The one that runs heads; three that lie about it; three that hear the appeal.
const WORKERS: u16 = 7;
const LIARS: [u16; 3] = [2, 3, 4];
const OTHERS: [u16; 3] = [5, 6, 7];
/// What the liars say: the same, for they have agreed on it.
const LIE: Verdict = Verdict { wrong: true, output: BlobDigest([0x66; 32]) };

fn suri(number: u16) -> String {
    format!("//Bob/{number}")
}

async fn take(court: &Court, numbers: [u16; 3], capacity: u16) {
    for number in numbers {
        let account = court.services.account(&suri(number));
        account.submit(SetCapacity { capacity }, Plancks::ZERO).await.unwrap();
    }
}

/// The committee that was drawn of the liars seals and reveals its lie.
async fn lies(court: &Court, job: JobId) {
    let client = court.services.client();
    let (genesis, contract, salt) = (client.genesis(), client.contract().unwrap(), [7; 32]);
    for number in LIARS {
        let account = court.services.account(&suri(number));
        let juror = account.address();
        let statement = VerdictStatement { genesis, contract, job, juror, verdict: LIE, salt };
        account.submit(SealVerdict { job, seal: statement.digest() }, Plancks::ZERO).await.unwrap();
    }
    for number in LIARS {
        let account = court.services.account(&suri(number));
        account.submit(RevealVerdict { job, verdict: LIE, salt }, Plancks::ZERO).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_right_head_a_committee_calls_wrong_appeals_by_itself_and_is_heard_by_others() {
    let mut court = Court::over_with("digits", DIGIT, WORKERS).await;
    take(&court, LIARS, 0).await;
    take(&court, OTHERS, 0).await;
    let job = JobId(court.jobs().await.0 + 1);
    let mut client = court.submit();
    client.until(&["round 3 of 3"]);
    client.kill();
    court.until(job, "a receipt", |progress| progress.stage == Stage::HeadCommitted).await;
    // Only liars have a place, and what they say is not what their machines would.
    for number in LIARS {
        court.services.kill(&format!("worker-{number}")).await;
    }
    take(&court, LIARS, 1).await;
    let honest = (court.stake(court.address("//Bob")).await, court.credit(court.address("//Bob")).await);
    let lied = court.stake(court.address(&suri(2))).await;
    court.dispute(job, "head").done();
    let opened = court.job(job).await.1.changed_at;
    court.services.seal(Blocks(2)).await.unwrap();
    court.until(job, "a committee", |progress| progress.changed_at > opened).await;
    let record = court.services.client().read(ReadDispute { job }).await.unwrap().unwrap();
    assert!(matches!(record.proceeding, Proceeding::Sealing(_)), "a committee of liars: {record:?}");
    take(&court, OTHERS, 1).await;
    lies(&court, job).await;
    // Nothing is taken yet, and its worker says at once that it will be heard.
    assert_eq!(court.stake(court.address("//Bob")).await, honest.0);
    let appealed = court.until(job, "an appeal", |progress| progress.reason != Some(Reason::HeadMismatch)).await;
    assert_eq!(appealed.stage, Stage::Disputed(DisputeKind::Head));
    let twice =
        Running::of(court.services.encompute("worker", &["worker", "appeal", &job.to_string(), "--suri", "//Bob"]));
    let twice = twice.finish();
    assert!(twice.code != 0 && twice.stderr.contains("was appealed before"), "{twice:?}");
    court.services.seal(Blocks(2)).await.unwrap();
    let ended = court.ruled(job).await;
    assert_eq!((ended.stage, ended.reason), (Stage::HeadCommitted, Some(Reason::DisputeRejected)));
    let (terms, _) = court.job(job).await;
    let head = terms.fees.head.0;
    // The user disputed a right head: of its deposit a head fee is the second committee's, half of the rest the worker's.
    assert_eq!(court.stake(court.address("//Bob")).await, honest.0);
    let appeal = 3 * head;
    assert_eq!(court.credit(court.address("//Bob")).await - honest.1, appeal + head / 2, "its own deposit comes back");
    let slash = terms.job_stake.share_floor(terms.fail_slash).unwrap().0;
    let mut earned = 0;
    for number in OTHERS {
        let credit = court.credit(court.address(&suri(number))).await;
        assert!(credit >= head / 3, "worker {number}: {credit}");
        earned += credit;
    }
    // Whoever was last to reveal has ended it: a fifth of what each liar loses is that one's.
    assert_eq!(earned, 3 * (head / 3) + 3 * (slash / 5));
    for number in LIARS {
        assert_eq!(court.credit(court.address(&suri(number))).await, 0, "worker {number}");
        assert_eq!(lied - court.stake(court.address(&suri(number))).await, slash, "worker {number}");
    }
    let done = court.resume(job).done();
    assert!(done.stdout.contains('7'), "{done:?}");
    let audited = court.audit(job).done().json();
    assert_eq!(audited["verdict"], "pass", "{audited}");
    court.judge("a committee that lied", job, Outcome::Settled).await;
}
