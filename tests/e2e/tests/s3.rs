//! Blobs in an object store that speaks S3: a SeaweedFS server of its own, asked through the gateway as its
//! operator starts it.
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use encompute_kit::{Habits, Process, Running, S3Server, Services, object_of, program};
use encompute_protocol::BlobDigest;
use encompute_store::{Blobs, ByteLimit, Class, GatewayClient, GetError, PutError};
use std::{path::Path, time::Instant};

const PREFIX: &str = "some/market";
const MIB: usize = 1024 * 1024;
const LIMIT: ByteLimit = ByteLimit(34 * MIB as u64);

/// A gateway over the bucket, and a client of it.
struct Gateway {
    process: Process,
    client: GatewayClient,
}

impl Gateway {
    async fn over(objects: &S3Server, folder: &Path, more: &[&str]) -> Self {
        let store = objects.store(PREFIX);
        let arguments = [&["gateway", "serve", "--store", &store], more].concat();
        let started =
            Process::start_in("gateway", &program("encompute"), &arguments, &objects.environment(), folder).await;
        let process = started.unwrap();
        let client = GatewayClient::new(process.said("listen").unwrap()).unwrap();
        Self { process, client }
    }
}

/// Bytes that no other seed gives.
fn blob(bytes: usize, seed: u64) -> Bytes {
    let mut state = seed | 1;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(next).collect::<Vec<u8>>().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_over_an_object_store_keeps_checks_counts_and_survives_what_its_folder_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut objects = S3Server::start().await.unwrap();
    let gateway = Gateway::over(&objects, folder.path(), &["--quota", "40"]).await;

    // Nothing, one byte, one part and several.
    let mut kept = Vec::new();
    for (seed, length) in [(1, 0), (2, 1), (3, 100_000), (4, 12 * MIB + 7)] {
        let bytes = blob(length, seed);
        let digest = BlobDigest::of(&bytes);
        assert!(!gateway.client.has(digest).await.unwrap(), "{length} bytes were there before");
        assert_eq!(gateway.client.put(bytes.clone()).await.unwrap(), digest, "{length} bytes");
        assert!(gateway.client.has(digest).await.unwrap(), "{length} bytes are not there");
        assert_eq!(gateway.client.get(digest, LIMIT).await.unwrap(), bytes, "{length} bytes");
        assert_eq!(gateway.client.put(bytes.clone()).await.unwrap(), digest, "{length} bytes again");
        kept.push((digest, bytes));
    }
    let missing = gateway.client.get(BlobDigest([7; 32]), LIMIT).await.unwrap_err();
    assert!(matches!(missing, GetError::NotFound { .. }), "{missing:?}");
    let short = gateway.client.get(kept[2].0, ByteLimit(99_999)).await.unwrap_err();
    assert!(matches!(short, GetError::TooLarge { .. }), "{short:?}");
    let large = gateway.client.put(blob(35 * MIB, 5)).await.unwrap_err();
    assert!(matches!(large, PutError::TooLarge { limit_bytes: LIMIT, .. }), "{large:?}");
    let full = gateway.client.put(blob(30 * MIB, 6)).await.unwrap_err();
    assert!(matches!(full, PutError::Full { .. }), "{full:?}");

    an_object_that_was_altered_is_thrown_out(&objects, &gateway, &kept[2]).await;

    // Gateway and object store, ended as a power cut ends them: what was kept is kept, and counted.
    gateway.process.kill().await;
    objects.restart().await.unwrap();
    let gateway = Gateway::over(&objects, folder.path(), &["--quota", "40"]).await;
    for (digest, bytes) in &kept {
        assert_eq!(gateway.client.get(*digest, LIMIT).await.unwrap(), bytes, "{digest}");
    }
    let full = gateway.client.put(blob(30 * MIB, 6)).await.unwrap_err();
    assert!(matches!(full, PutError::Full { left_bytes, .. } if left_bytes < 28 * MIB as u64), "{full:?}");

    a_store_that_is_away_is_named_in_time_and_used_again(&mut objects, &gateway, &kept[2]).await;
    assert!(gateway.process.stop().await);
}

async fn an_object_that_was_altered_is_thrown_out(
    objects: &S3Server,
    gateway: &Gateway,
    (digest, bytes): &(BlobDigest, Bytes),
) {
    let mut altered = bytes.to_vec();
    altered[50_000] ^= 1;
    objects.overwrite(&object_of(PREFIX, digest), &altered).await.unwrap();
    let refused = gateway.client.get(*digest, LIMIT).await.unwrap_err();
    assert!(matches!(refused, GetError::Truncated { .. }), "its last bytes never come: {refused:?}");
    assert!(!gateway.client.has(*digest).await.unwrap(), "it is thrown out");
    assert!(gateway.process.log().contains("blob is damaged; it is thrown out"), "{}", gateway.process.log());
    gateway.client.put(bytes.clone()).await.unwrap();
    assert_eq!(gateway.client.get(*digest, LIMIT).await.unwrap(), bytes);
}

async fn a_store_that_is_away_is_named_in_time_and_used_again(
    objects: &mut S3Server,
    gateway: &Gateway,
    (digest, bytes): &(BlobDigest, Bytes),
) {
    objects.kill().await;
    let began = Instant::now();
    let get = gateway.client.get(*digest, LIMIT).await.unwrap_err();
    assert!(matches!(get, GetError::Refused { status: 500, .. }) && get.class() == Class::Failed, "{get:?}");
    assert!(get.to_string().contains("cannot be read"), "{get}");
    let put = gateway.client.put(blob(10, 9)).await.unwrap_err();
    assert!(matches!(put, PutError::Refused { status: 500, .. }) && put.class() == Class::Failed, "{put:?}");
    assert!(began.elapsed().as_secs() < 50, "it took {:?} to say so", began.elapsed());
    objects.restart().await.unwrap();
    assert_eq!(gateway.client.get(*digest, LIMIT).await.unwrap(), bytes);
    gateway.client.put(blob(10, 9)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_may_not_use_its_bucket_says_so_and_ends() {
    let objects = S3Server::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let wrong = |name: &str, value: &str| {
        let mut environment = objects.environment();
        environment.iter_mut().filter(|(key, _)| key == name).for_each(|(_, old)| *old = value.to_owned());
        environment
    };
    let rows = [
        ("another secret", wrong("AWS_SECRET_ACCESS_KEY", "another"), objects.store(PREFIX), "403"),
        ("an unknown key", wrong("AWS_ACCESS_KEY_ID", "nobody"), objects.store(PREFIX), "403"),
        ("no such server", wrong("AWS_ENDPOINT", "http://127.0.0.1:1"), objects.store(PREFIX), "127.0.0.1:1"),
        ("a URL of no store", objects.environment(), "gs://blobs".to_owned(), "supported are a folder and s3://"),
        ("no TLS where it was not allowed", wrong("AWS_ALLOW_HTTP", "false"), objects.store(PREFIX), "blob"),
    ];
    for (row, environment, store, says) in rows {
        let mut command = encompute_kit::command(folder.path(), &["gateway", "serve", "--store", &store]);
        command.envs(environment);
        let ran = Running::of(command).finish();
        assert_eq!(ran.code, 1, "{row}: {ran:?}");
        let error = ran.stderr.lines().find(|line| line.starts_with("encompute: error: ")).unwrap_or_default();
        assert!(error.contains(says), "{row}: {says:?} is not in {:?}", ran.stderr);
        assert!(!ran.stderr.contains("a secret of the tests"), "{row}: it says the secret");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_on_a_market_whose_blobs_are_in_an_object_store_and_unnamed_ones_are_forgotten() {
    let objects = S3Server::start().await.unwrap();
    let model = "scripts/models/breast-cancer";
    let services = Services::start_on(&objects, Habits::default(), &[model], |_| {}).await.unwrap();
    let input = "tests/fixtures/breast-cancer/patient-malignant.csv";
    let run = |arguments: &[&str]| Running::of(services.encompute("user", arguments)).finish().done();
    let done = run(&["job", "submit", "--model", "breast-cancer", "--input", input, "--suri", "//Dave"]);
    assert!(done.stdout.contains("malignant"), "{done:?}");
    assert!(!services.home().join("blobs").exists(), "there is no folder of blobs");

    // A second gateway over the same bucket forgets what no fact on chain names, and nothing else.
    let folder = tempfile::tempdir().unwrap();
    let network = services.home().join("networks/local.toml").display().to_string();
    let store = objects.store("market");
    let forgetful = ["gateway", "serve", "--store", &store, "--network", &network, "--forget-unnamed", "0.0001"];
    let forgetful =
        Process::start_in("forgetful", &program("encompute"), &forgetful, &objects.environment(), folder.path()).await;
    let forgetful = forgetful.unwrap();
    let client = GatewayClient::new(forgetful.said("listen").unwrap()).unwrap();
    let nameless = client.put("nobody asked for this".into()).await.unwrap();
    let until = Instant::now();
    while client.get(nameless, LIMIT).await.is_ok() {
        assert!(until.elapsed().as_secs() < 60, "it is not forgotten: {}", forgetful.log());
    }
    let audit = run(&["audit", "job", "1", "--json"]).json();
    assert_eq!(audit["verdict"], "pass", "{audit}");
}
