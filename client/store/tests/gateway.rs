//! The gateway over real HTTP, and what strangers may try with it.
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use encompute_protocol::BlobDigest;
use encompute_store::{
    BlobStore, Blobs, ByteLimit, Class, GatewayClient, GatewayLimits, GetError, HttpLimits, PeerBudget, PutError,
    ServeError,
};
use std::{path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

const LIMIT: ByteLimit = ByteLimit(1 << 20);

struct Gateway {
    url: String,
    address: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Gateway {
    async fn over(folder: &Path, limits: GatewayLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let store = BlobStore::in_folder(folder).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move { drop(stopped.await) };
        let served = tokio::spawn(encompute_store::serve(listener, store, limits, shutdown));
        Self { url: format!("http://{address}"), address, stop, served }
    }

    fn client(&self) -> GatewayClient {
        GatewayClient::new(&self.url).unwrap()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }

    /// Sends bytes as they are and reads the answer until the gateway closes.
    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn small() -> GatewayLimits {
    GatewayLimits { blob: ByteLimit(1_000), quota: ByteLimit(1_500), ..GatewayLimits::default() }
}

fn blob(byte: u8, length: usize) -> Bytes {
    vec![byte; length].into()
}

fn put(digest: impl std::fmt::Display, length: usize, body: &[u8]) -> Vec<u8> {
    let head =
        format!("PUT /v1/blobs/{digest} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn a_blob_put_is_the_blob_got() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), GatewayLimits::default()).await;
    let client = gateway.client();
    let bytes = blob(7, 900_000);
    let digest = client.put(bytes.clone()).await.unwrap();
    assert_eq!(digest, BlobDigest::of(&bytes));
    assert!(client.has(digest).await.unwrap());
    assert_eq!(client.get(digest, LIMIT).await.unwrap(), bytes);
    assert_eq!(client.put(bytes).await.unwrap(), digest);
    gateway.stop().await;
}

#[tokio::test]
async fn blobs_outlive_a_restart_of_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    let digest = gateway.client().put(blob(1, 900)).await.unwrap();
    gateway.stop().await;
    let gateway = Gateway::over(folder.path(), small()).await;
    assert_eq!(gateway.client().get(digest, LIMIT).await.unwrap(), blob(1, 900));
    // What was kept before counts against the quota after.
    let full = gateway.client().put(blob(2, 700)).await;
    assert!(matches!(full, Err(PutError::Full { needed_bytes: 700, left_bytes: 600 })), "{full:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_blob_that_is_not_there_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    let (client, digest) = (gateway.client(), BlobDigest([1; 32]));
    let got = client.get(digest, LIMIT).await.unwrap_err();
    assert!(matches!(got, GetError::NotFound { .. }) && got.class() == Class::NotFound);
    assert!(!client.has(digest).await.unwrap());
    gateway.stop().await;
}

#[tokio::test]
async fn bytes_under_a_foreign_name_are_refused_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    let name = BlobDigest::of(b"this");
    let answer = gateway.raw(&put(name, 4, b"that")).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("announced"), "{answer}");
    assert!(!gateway.client().has(name).await.unwrap());
    // The room it was given is free again.
    gateway.client().put(blob(3, 1_000)).await.unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn a_blob_over_the_limit_is_refused_before_its_bytes_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    let refused = gateway.client().put(blob(1, 1_001)).await;
    let limit = ByteLimit(1_000);
    assert!(
        matches!(refused, Err(PutError::TooLarge { found_bytes: 1_001, limit_bytes, .. }) if limit_bytes == limit),
        "{refused:?}"
    );
    let answer = gateway.raw(&put(BlobDigest([1; 32]), 1 << 50, b"")).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_blob_without_a_length_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    let name = BlobDigest::of(b"blob");
    let head =
        format!("PUT /v1/blobs/{name} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n");
    let answer = gateway.raw(&[head.as_bytes(), b"4\r\nblob\r\n0\r\n\r\n"].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 411"), "{answer}");
    gateway.stop().await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing_and_gives_its_room_back() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    let bytes = blob(5, 1_000);
    let name = BlobDigest::of(&bytes);
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    stream.write_all(&put(name, 1_000, &bytes[..500])).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!gateway.client().has(name).await.unwrap());
    gateway.client().put(bytes).await.unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn names_that_are_no_digests_never_reach_the_store() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), b"secret").unwrap();
    let inner = folder.path().join("blobs");
    let gateway = Gateway::over(&inner, small()).await;
    for name in ["../secret", "..%2Fsecret", "%2e%2e%2fsecret", "..%5csecret", "0x12", "%00", "a".repeat(64).as_str()] {
        let answer = gateway.raw(&get(&format!("/v1/blobs/{name}"))).await;
        let refused = answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 404");
        assert!(refused && !answer.contains("secret\n") && !answer.ends_with("secret"), "{name}: {answer}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_blob_damaged_on_the_disk_breaks_off_before_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    let digest = gateway.client().put(blob(6, 1_000)).await.unwrap();
    let name = digest.to_string().trim_start_matches("0x").to_owned();
    std::fs::write(folder.path().join(&name[..2]).join(&name), vec![9; 1_000]).unwrap();
    // Nothing of it arrives; whether the answer's head does is a matter of timing.
    let got = gateway.client().get(digest, LIMIT).await.unwrap_err();
    let nothing = matches!(got, GetError::Truncated { found_bytes: 0, .. } | GetError::Unreachable { .. });
    assert!(nothing, "{got:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_damaged_blob_is_thrown_out_once_it_is_found_so_that_whoever_has_it_can_put_it_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    let digest = gateway.client().put(blob(6, 1_000)).await.unwrap();
    let name = digest.to_string().trim_start_matches("0x").to_owned();
    std::fs::write(folder.path().join(&name[..2]).join(&name), vec![9; 1_000]).unwrap();
    gateway.client().get(digest, LIMIT).await.unwrap_err();
    assert!(!gateway.client().has(digest).await.unwrap());
    gateway.client().put(blob(6, 1_000)).await.unwrap();
    assert_eq!(gateway.client().get(digest, LIMIT).await.unwrap(), blob(6, 1_000));
    gateway.stop().await;
}

#[tokio::test]
async fn the_callers_limit_stops_a_longer_blob() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    let digest = gateway.client().put(blob(6, 1_000)).await.unwrap();
    let got = gateway.client().get(digest, ByteLimit(999)).await;
    assert!(matches!(got, Err(GetError::TooLarge { found_bytes: 1_000, .. })), "{got:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_stops_talking_is_hung_up_on() {
    let folder = tempfile::tempdir().unwrap();
    let http = HttpLimits { idle: Duration::from_millis(200), connections: 1, ..HttpLimits::default() };
    let limits = GatewayLimits { http, ..small() };
    let gateway = Gateway::over(folder.path(), limits).await;
    // One place: nobody else is served until the silent ones are gone.
    let mut halfway_in_the_head = TcpStream::connect(&gateway.address).await.unwrap();
    halfway_in_the_head.write_all(b"PUT /v1/blobs/").await.unwrap();
    let mut halfway_in_the_body = TcpStream::connect(&gateway.address).await.unwrap();
    halfway_in_the_body.write_all(&put(BlobDigest([1; 32]), 1_000, b"x")).await.unwrap();
    assert!(gateway.client().put(blob(1, 10)).await.is_ok());
    let mut answer = Vec::new();
    let _ = halfway_in_the_head.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains(" 20"));
    gateway.stop().await;
}

#[tokio::test]
async fn an_upload_that_drips_is_refused_after_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let limits = GatewayLimits { request: Duration::from_millis(300), ..small() };
    let gateway = Gateway::over(folder.path(), limits).await;
    let answer = gateway.raw(&put(BlobDigest([1; 32]), 1_000, b"x")).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    gateway.client().put(blob(1, 1_000)).await.unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn a_peer_that_brings_too_much_is_told_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let budget = PeerBudget { bytes: ByteLimit(1_000), refill: Duration::from_secs(3_600) };
    let limits = GatewayLimits { quota: ByteLimit(1 << 20), peer: Some(budget), ..small() };
    let gateway = Gateway::over(folder.path(), limits).await;
    let client = gateway.client();
    client.put(blob(1, 1_000)).await.unwrap();
    let refused = client.put(blob(2, 500)).await.unwrap_err();
    // Half of an hour's budget, in half an hour.
    assert!(matches!(refused, PutError::TooMuch { wait_secs: 1_790..=1_800, .. }), "{refused:?}");
    assert_eq!(refused.class(), Class::Unreachable);
    // What is kept already costs nothing.
    client.put(blob(1, 1_000)).await.unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn figures_count_uploads_by_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    gateway.client().put(blob(1, 400)).await.unwrap();
    gateway.raw(&put(BlobDigest([1; 32]), 1 << 50, b"")).await;
    let text = gateway.raw(&get("/metrics")).await;
    for line in [
        "encompute_gateway_uploads_total{status=\"201\"} 1",
        "encompute_gateway_uploads_total{status=\"413\"} 1",
        "encompute_gateway_received_bytes_total 400",
        "encompute_gateway_used_bytes 400",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing: {text}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_upload_under_way_is_finished_before_the_gateway_stops() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    let bytes = blob(8, 1_000);
    let name = BlobDigest::of(&bytes);
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    stream.write_all(&put(name, 1_000, &bytes[..500])).await.unwrap();
    // The shelf is there as soon as the upload has begun.
    let shelf = folder.path().join(&name.to_string()[2..4]);
    while !shelf.exists() {
        tokio::task::yield_now().await;
    }
    let stopping = tokio::spawn(gateway.stop());
    stream.write_all(&bytes[500..]).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(&answer));
    stopping.await.unwrap();
    let store = BlobStore::in_folder(folder.path()).unwrap();
    assert_eq!(store.get(name, LIMIT).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_page_may_ask_for_blobs_and_bring_them_but_not_read_figures() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    let name = gateway.client().put(blob(1, 400)).await.unwrap();
    let ask = |method: &str, path: &str, more: &str| {
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\norigin: http://page\r\n{more}connection: close\r\n\r\n");
        head.into_bytes()
    };
    let path = format!("/v1/blobs/{name}");
    let before = gateway.raw(&ask("OPTIONS", &path, "access-control-request-method: PUT\r\n")).await;
    assert!(before.starts_with("HTTP/1.1 204") && before.contains("allow-methods: GET, HEAD, PUT, POST"), "{before}");
    for (method, path, status) in [("GET", &path, "200"), ("GET", &format!("/v1/blobs/{}", BlobDigest([9; 32])), "404")]
    {
        let answer = gateway.raw(&ask(method, path, "")).await;
        let open = answer.contains("access-control-allow-origin: *");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && open, "{answer}");
    }
    assert!(!gateway.raw(&ask("GET", "/metrics", "")).await.contains("access-control"));
    // A request that is no browser's question stays what it was.
    assert!(gateway.raw(&ask("OPTIONS", &path, "")).await.starts_with("HTTP/1.1 405"));
    gateway.stop().await;
}

#[tokio::test]
async fn health_says_how_full_the_store_is() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    gateway.client().put(blob(1, 400)).await.unwrap();
    let answer = gateway.raw(&get("/v1/health")).await;
    assert!(answer.contains("\"service\":\"gateway\"") && answer.contains("\"used_bytes\":400"), "{answer}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_unreachable_not_empty() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = GatewayClient::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let got = client.get(BlobDigest([1; 32]), LIMIT).await.unwrap_err();
    assert_eq!(got.class(), Class::Unreachable, "{got:?}");
    assert_eq!(client.put(blob(1, 1)).await.unwrap_err().class(), Class::Unreachable);
}

#[tokio::test]
async fn something_of_another_length_in_a_blobs_place_gives_way_to_the_right_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    let client = gateway.client();
    let digest = client.put(blob(1, 400)).await.unwrap();
    let name = digest.to_string().trim_start_matches("0x").to_owned();
    let file = folder.path().join(&name[..2]).join(&name);
    // Longer than it was, and longer than any blob may be.
    for length in [500, 5_000] {
        std::fs::File::options().write(true).open(&file).unwrap().set_len(length).unwrap();
        assert_eq!(client.length(digest).await.unwrap(), Some(length));
        assert_eq!(client.put(blob(1, 400)).await.unwrap(), digest);
        assert_eq!(client.get(digest, LIMIT).await.unwrap(), blob(1, 400));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_sound_blob_stays_whatever_length_a_stranger_announces() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::over(folder.path(), small()).await;
    let digest = gateway.client().put(blob(1, 400)).await.unwrap();
    let answer = gateway.raw(&put(digest, 3, b"lie")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(gateway.client().get(digest, LIMIT).await.unwrap(), blob(1, 400));
    gateway.stop().await;
}
