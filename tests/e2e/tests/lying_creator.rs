//! A creator that lies, between honest processes: in the head key it releases to workers, and in what it
//! commits as a result.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_drill::Outcome;
use encompute_e2e::{Court, PATIENT, refusal};
use encompute_envelope::{ContentKey, Context, RecipientPublic, Subject, seal};
use encompute_kit::{Between::CreatorAndWorker, Lie, Ran};
use encompute_protocol::{
    BlobDigest, Bytes, HeadKeyAnswer, JobId, JobRequest, Plancks, SplitIndex, Stage, VersionId,
    call::{CommitResult, RefuseFeatures},
    manifest::JobResult,
    wire::Message,
};
use encompute_store::{Blobs, ByteLimit};

const MODEL: &str = "breast-cancer";

fn is_refused(row: &str, ran: &Ran, code: i32, says: &str) {
    assert_eq!(refusal(ran), (code, true), "{row}: {ran:?}");
    assert!(ran.stderr.contains(says), "{row}: {says:?} is not in {}", ran.stderr);
}

/// What the creator names as a job's result: its own earlier one's digest, or a blob made of the job.
enum Named {
    Earlier,
    Missing,
    Garbage,
    /// Sealed to the job's user.
    Sealed(fn(JobResult) -> JobResult),
    /// Sealed to the job's user, but not a result.
    SealedBytes(&'static [u8]),
}

/// One lie: its name, what is named, exit code and words of the user's command.
type Row = (&'static str, Named, i32, &'static str);

const RESULTS: [Row; 10] = [
    ("another job's result", Named::Earlier, 5, "the creator's result was refused"),
    ("a result that is in no store", Named::Missing, 3, "fetch the sealed result"),
    ("bytes that are sealed to nobody", Named::Garbage, 5, "the creator's result was refused"),
    ("sealed bytes that are no result", Named::SealedBytes(b"a result"), 5, "the creator's result was refused"),
    (
        "a result that names another job",
        Named::Sealed(|result| JobResult { job: JobId(result.job.0 - 1), ..result }),
        5,
        "it is for another job or other features",
    ),
    (
        "a result of other features",
        Named::Sealed(|result| JobResult { features: BlobDigest([7; 32]), ..result }),
        5,
        "it is for another job or other features",
    ),
    (
        "a class too many",
        Named::Sealed(|result| JobResult { scores: vec![500_000, 250_000, 250_000], ..result }),
        5,
        "3 scores for 2 classes",
    ),
    ("no class at all", Named::Sealed(|result| JobResult { scores: vec![], ..result }), 5, "0 scores for 2 classes"),
    (
        "more certain than certain",
        Named::Sealed(|result| JobResult { scores: vec![u32::MAX, u32::MAX], ..result }),
        5,
        "its scores add up to 8589934590 millionths",
    ),
    (
        "no class is likely",
        Named::Sealed(|result| JobResult { scores: vec![0, 0], ..result }),
        5,
        "its scores add up to 0 millionths",
    ),
];

/// Puts what is to be named into the store, and gives its name.
async fn named(court: &Court, job: JobId, what: &Named, earlier: BlobDigest) -> BlobDigest {
    let (terms, progress) = court.job(job).await;
    let blob = match what {
        Named::Earlier => return earlier,
        Named::Missing => return BlobDigest([7; 32]),
        Named::Garbage => vec![7; 1_500],
        Named::Sealed(_) | Named::SealedBytes(_) => {
            let request = court.store().get(terms.input, ByteLimit(JobRequest::LIMIT_BYTES as u64)).await.unwrap();
            let request = JobRequest::from_wire(&request).unwrap();
            let user = RecipientPublic::from_bytes(request.result_key.as_slice()).unwrap();
            let honest = JobResult { job, features: progress.features.unwrap(), scores: vec![600_000, 400_000] };
            let plain = match what {
                Named::Sealed(alter) => alter(honest).to_wire(),
                Named::SealedBytes(bytes) => bytes.to_vec(),
                _ => unreachable!("the others are not sealed"),
            };
            let context =
                Context { genesis: request.genesis, contract: request.contract, subject: Subject::Result { job } };
            seal(&user, &context, &plain).unwrap().into_bytes()
        }
    };
    court.store().put(blob.into()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_none_is_named_and_never_accepted_and_only_the_first_counts() {
    let court = Court::over(MODEL, PATIENT).await;
    let creator = court.services.account("//Charlie");
    court.submit().finish().done();
    let earlier = court.job(court.jobs().await).await.1.result.unwrap();
    // The honest service sleeps: what the creator says is said here.
    court.freeze("creator-1");
    for (row, what, code, says) in RESULTS {
        let job = JobId(court.jobs().await.0 + 1);
        let client = court.submit();
        court.until(job, row, |progress| progress.stage == Stage::FeaturesSent).await;
        let result = named(&court, job, &what, earlier).await;
        creator.submit(CommitResult { job, result }, Plancks::ZERO).await.unwrap();
        let ran = client.finish();
        is_refused(row, &ran, code, says);
        let progress = court.job(job).await.1;
        assert_eq!((progress.stage, progress.result), (Stage::ResultCommitted, Some(result)), "{row}: accepted");
        assert_eq!(court.record(job).scores, None, "{row}");

        // It cannot think better of it, nor take the job back.
        let second = creator.submit(CommitResult { job, result: BlobDigest([8; 32]) }, Plancks::ZERO).await;
        assert!(second.is_err(), "{row}: answered twice");
        let refused = creator.submit(RefuseFeatures { job }, Plancks::ZERO).await;
        assert!(refused.is_err(), "{row}: refused what it had answered");
        assert_eq!(court.job(job).await.1, progress, "{row}");
        court.pass_window(job).await;
        court.poke(job).await;
        court.judge(row, job, Outcome::Settled).await;
    }

    // A creator that refuses features which are right pays for it.
    let job = JobId(court.jobs().await.0 + 1);
    let client = court.submit();
    court.until(job, "refusing", |progress| progress.stage == Stage::FeaturesSent).await;
    creator.submit(RefuseFeatures { job }, Plancks::ZERO).await.unwrap();
    is_refused("refusing", &client.finish(), 1, "the creator refused the features");
    let late = creator.submit(CommitResult { job, result: earlier }, Plancks::ZERO).await;
    assert!(late.is_err(), "answered after it had refused");
    court.judge("refusing", job, Outcome::Refunded).await;
    court.thaw("creator-1");
}

/// One lie about a head's key: its name, and what is said instead of the envelope.
type Key = (&'static str, fn(&RecipientPublic, &Context) -> Lie);

fn envelope(key: ContentKey, worker: &RecipientPublic, context: &Context) -> Lie {
    let envelope = key.seal_to(worker, context).unwrap().into_bytes();
    Lie::Body(HeadKeyAnswer { envelope: Bytes::new(envelope).unwrap() }.to_wire())
}

const KEYS: [Key; 6] = [
    ("another key", |worker, context| envelope(ContentKey::from_bytes([7; 32]), worker, context)),
    ("a key for another head", |worker, context| {
        let subject = Subject::Head { version: VersionId(9), split: SplitIndex(0) };
        envelope(ContentKey::from_bytes([7; 32]), worker, &Context { subject, ..*context })
    }),
    ("an envelope of noise", |_, _| {
        Lie::Body(HeadKeyAnswer { envelope: Bytes::new(vec![7; 1_200]).unwrap() }.to_wire())
    }),
    ("bytes that are no answer", |_, _| Lie::Body(b"a key".to_vec())),
    ("an answer without an end", |_, _| Lie::Endless),
    ("no answer", |_, _| Lie::Silence),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_head_key_makes_a_worker_that_runs_nothing_and_loses_nothing() {
    let mut court = Court::over(MODEL, PATIENT).await;
    let client = court.services.client().clone();
    let (genesis, contract) = (client.genesis(), client.contract().unwrap());
    let context = Context { genesis, contract, subject: Subject::Head { version: VersionId(1), split: SplitIndex(0) } };
    let worker = court.workers_hpke_key();
    for (row, lie) in KEYS {
        let (worker, told) = (RecipientPublic::from_bytes(&worker).unwrap(), context);
        court.liar(CreatorAndWorker).tell(move |asked| match asked.path.as_str() {
            "/v1/head-key" => lie(&worker, &told),
            _ => Lie::Truth,
        });
        // It forgets the head that it was given before.
        assert!(court.services.stop("worker-1").await, "{row}");
        court.services.restart("worker-1").await.unwrap();
        let job = JobId(court.jobs().await.0 + 1);
        let mut user = court.submit();
        user.until(&["cannot be run"]);
        court.until(job, row, |progress| progress.stage == Stage::Requested).await;
        let lied = court.liar(CreatorAndWorker).heard();
        assert!(lied.iter().any(|(asked, told)| asked.path == "/v1/head-key" && told.is_none()), "{row}: {lied:?}");
        user.kill();
        assert_eq!(court.job(job).await.1.worker, None, "{row}: it claimed what it cannot run");
        court.cancel(job).done();
        court.judge(row, job, Outcome::Refunded).await;
        court.repent();
    }
    // With the right key it runs what it could not.
    court.submit().finish().done();
    court.judge("the truth", court.jobs().await, Outcome::Settled).await;
}
