//! A gateway that lies, between honest processes: to the user's command, to the worker, to the creator.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_drill::Outcome;
use encompute_e2e::{Court, PATIENT, refusal};
use encompute_kit::{Asked, Between, Lie, Ran};
use encompute_protocol::{
    BlobDigest, JobId, Stage, Transcript,
    call::{ReadVersion, ReadWorker},
    wire::Message,
};
use std::collections::BTreeMap;

const MODEL: &str = "breast-cancer";

/// What the user's command fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Manifest,
    Evidence,
    Transcript,
    Result,
}

/// What an earlier job's blobs are by name, so that they can be told from each other and played again.
#[derive(Clone)]
struct Earlier {
    manifest: String,
    evidence: String,
    blobs: BTreeMap<What, Vec<u8>>,
}

fn path(digest: BlobDigest) -> String {
    format!("/v1/blobs/{digest}")
}

impl Earlier {
    /// Runs an honest job and keeps what the gateway gave the user's command.
    async fn job(court: &Court) -> Self {
        court.submit().finish().done();
        let (terms, progress) = court.job(court.jobs().await).await;
        let client = court.services.client();
        let manifest = client.read(ReadVersion { version: terms.version }).await.unwrap().unwrap().manifest;
        let worker = client.read(ReadWorker { worker: progress.worker.unwrap() }).await.unwrap().unwrap().0;
        let mut earlier =
            Self { manifest: path(BlobDigest(manifest.0)), evidence: path(worker.evidence), blobs: BTreeMap::new() };
        for (asked, told) in court.liar(Between::GatewayAndClient).heard() {
            if let (Some(told), true) = (told, asked.method == "GET") {
                earlier.blobs.insert(earlier.what(&asked, &told.body), told.body);
            }
        }
        assert_eq!(earlier.blobs.len(), 4, "manifest, evidence, transcript and result were fetched");
        earlier
    }

    fn what(&self, asked: &Asked, truth: &[u8]) -> What {
        match asked.path.as_str() {
            path if path == self.manifest => What::Manifest,
            path if path == self.evidence => What::Evidence,
            _ if Transcript::from_wire(truth).is_ok() => What::Transcript,
            _ => What::Result,
        }
    }
}

/// One lie: its name, about which blob, what is said instead given the truth and all that was said before,
/// exit code and words of the user's command.
type Row = (&'static str, What, fn(Vec<u8>, &Earlier) -> Vec<u8>, i32, &'static str);

fn announced(length: u64, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n").as_bytes(), body].concat()
}

fn said(body: &[u8]) -> Vec<u8> {
    announced(body.len() as u64, body)
}

const DAMAGED: &str = "is damaged: its bytes have the digest";
const TO_THE_CLIENT: [Row; 11] = [
    ("another blob for the manifest", What::Manifest, |_, earlier| said(&earlier.blobs[&What::Evidence]), 5, DAMAGED),
    ("a manifest with one bit changed", What::Manifest, |truth, _| said(&flipped(truth)), 5, DAMAGED),
    ("another blob for the evidence", What::Evidence, |_, earlier| said(&earlier.blobs[&What::Manifest]), 5, DAMAGED),
    ("evidence of a terabyte", What::Evidence, |truth, _| announced(1 << 40, &truth), 5, "1099511627776 bytes or more"),
    ("an old transcript", What::Transcript, |_, earlier| said(&earlier.blobs[&What::Transcript]), 5, DAMAGED),
    ("a transcript longer than announced", What::Transcript, |truth, _| announced(7, &truth), 5, DAMAGED),
    (
        "a transcript of a megabyte",
        What::Transcript,
        |truth, _| announced(1_000_000, &truth),
        5,
        "1000000 bytes or more",
    ),
    (
        "a transcript shorter than announced",
        What::Transcript,
        |truth, _| announced(truth.len() as u64 + 1, &truth),
        4,
        "broke off",
    ),
    ("another job's result", What::Result, |_, earlier| said(&earlier.blobs[&What::Result]), 5, DAMAGED),
    ("a result with one bit changed", What::Result, |truth, _| said(&flipped(truth)), 5, DAMAGED),
    (
        "a result that was never there",
        What::Result,
        |_, _| b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n".to_vec(),
        3,
        "is not there",
    ),
];

fn flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

fn is_refused(row: &str, ran: &Ran, code: i32, says: &str) {
    assert_eq!(refusal(ran), (code, true), "{row}: {ran:?}");
    assert!(ran.stderr.contains(says), "{row}: {says:?} is not in {}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateways_lie_to_the_user_is_named_and_the_job_goes_on_with_the_truth() {
    let court = Court::over(MODEL, PATIENT).await;
    let earlier = Earlier::job(&court).await;
    let pages = || std::fs::read_dir(court.home().join("ledger")).unwrap().count();
    let pages_before = pages();
    for (row, what, lie, code, says) in TO_THE_CLIENT {
        court.repent();
        let (jobs_before, known) = (court.jobs().await, earlier.clone());
        court.liar(Between::GatewayAndClient).tell(move |asked| {
            let (asked, known) = (asked.clone(), known.clone());
            match asked.method.as_str() {
                "GET" => Lie::Retold(Box::new(move |told| {
                    let about = known.what(&asked, &told.body) == what;
                    if about { lie(told.body, &known) } else { said(&told.body) }
                })),
                _ => Lie::Truth,
            }
        });
        let ran = court.submit().finish();
        is_refused(row, &ran, code, says);
        let job = court.jobs().await;
        if what == What::Manifest {
            assert_eq!(job, jobs_before, "{row}: something was paid for");
            continue;
        }
        assert_eq!(job.0, jobs_before.0 + 1, "{row}");
        let (record, stage) = (court.record(job), court.job(job).await.1.stage);
        if what == What::Result {
            assert_eq!((record.scores, stage), (None, Stage::ResultCommitted), "{row}: accepted unseen");
        } else {
            assert_eq!((record.features, pages()), (None, pages_before), "{row}: something was released");
        }
        court.repent();
        court.resume(job).done();
        court.judge(row, job, Outcome::Settled).await;
    }
    // A gateway that drips for ever is cut off at the blob's limit.
    court.liar(Between::GatewayAndClient).tell(|asked| match asked.method.as_str() {
        "GET" => Lie::Endless,
        _ => Lie::Truth,
    });
    is_refused("a manifest without an end", &court.submit().finish(), 5, "bytes or more, 8388608 are allowed");
}

/// What a gateway tells a service of ours for a while; nothing that it says may cost the service money.
type Told = (&'static str, fn(&Asked) -> Lie);

fn on(asked: &Asked, method: &str, lie: impl FnOnce() -> Lie) -> Lie {
    if asked.method == method { lie() } else { Lie::Truth }
}

fn status(line: &str) -> Lie {
    Lie::Raw(format!("HTTP/1.1 {line}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").into_bytes())
}

const READS: [Told; 5] = [
    ("other bytes", |asked| on(asked, "GET", || Lie::Body(vec![7; 1_000]))),
    ("a body without an end", |asked| on(asked, "GET", || Lie::Endless)),
    ("a terabyte", |asked| on(asked, "GET", || Lie::Announced(1 << 40, vec![7; 1_000]))),
    ("nothing there", |asked| on(asked, "GET", || status("404 No"))),
    ("no entry", |asked| on(asked, "GET", || status("403 No"))),
];

const WRITES: [Told; 4] = [
    ("a blob of another digest", |asked| on(asked, "PUT", || status("400 No"))),
    ("too large", |asked| on(asked, "PUT", || status("413 No"))),
    ("no such place", |asked| on(asked, "PUT", || status("404 No"))),
    ("full", |asked| on(asked, "PUT", || status("507 No"))),
];

/// Waits until a liar was asked by such a method.
async fn is_asked(court: &Court, between: Between, method: &str) {
    while !court.liar(between).heard().iter().any(|(asked, _)| asked.method == method) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateways_lie_costs_neither_worker_nor_creator_their_money() {
    let court = Court::over(MODEL, PATIENT).await;
    Earlier::job(&court).await;
    let tables = [
        ("the worker is told", Between::GatewayAndWorker, "GET", &READS[..]),
        ("the worker is told", Between::GatewayAndWorker, "PUT", &WRITES[..]),
        ("the creator is told", Between::GatewayAndCreator, "GET", &READS[..]),
        ("the creator is told", Between::GatewayAndCreator, "PUT", &WRITES[..]),
    ];
    for (who, between, method, lies) in tables {
        for (lie, told) in lies {
            let row = format!("{who}: {lie}");
            court.repent();
            court.liar(between).tell(told);
            let job = JobId(court.jobs().await.0 + 1);
            let client = court.submit();
            is_asked(&court, between, method).await;
            court.repent();
            client.finish().done();
            court.judge(&row, job, Outcome::Settled).await;
        }
    }
}
