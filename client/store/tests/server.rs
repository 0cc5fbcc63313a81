//! What a stranger can do to a connection, over real sockets: drip, stall, talk too much.
#![allow(clippy::unwrap_used)]

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use encompute_store::{HttpLimits, serve_http};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(300);
/// Longer than any socket's buffers hold.
const MUCH: usize = 64 * 1024 * 1024;

struct Server {
    address: String,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

/// Every limit out of reach, so that a test sets the one that it is about.
fn loose() -> HttpLimits {
    HttpLimits { head: LONG, idle: LONG, message: LONG, ..HttpLimits::default() }
}

impl Server {
    async fn with(limits: HttpLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = Router::new()
            .route("/", get(|| async { "here" }))
            .route("/much", get(|| async { Body::from(Bytes::from_static(&[0; MUCH])) }))
            .route(
                "/take",
                post(|body: Body| async {
                    axum::body::to_bytes(body, MUCH).await.map(|_| "taken").unwrap_or("broken")
                }),
            );
        let served = tokio::spawn(serve_http(listener, routes, limits, async move { drop(stopped.await) }));
        Self { address, stop: Some(stop), served }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    /// What comes back for these bytes until the server hangs up.
    async fn answer(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        let _ = stream.write_all(request).await;
        all_of(&mut stream).await
    }
}

async fn all_of(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends `piece` every twenty milliseconds until the server hangs up; says how long that took.
async fn drip(stream: &mut TcpStream, piece: &[u8]) -> Duration {
    let (started, mut every) = (Instant::now(), tokio::time::interval(Duration::from_millis(20)));
    loop {
        every.tick().await;
        if stream.write_all(piece).await.is_err() {
            return started.elapsed();
        }
    }
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let server = Server::with(loose()).await;
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(loose().head_bytes));
    assert!(server.answer(long.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(200));
    assert!(server.answer(many.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let fits = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(server.answer(fits).await.ends_with("here"));
}

#[tokio::test]
async fn a_head_that_drips_is_hung_up_on_after_its_time() {
    let server = Server::with(HttpLimits { head: SHORT, ..loose() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    assert!(drip(&mut stream, b"x").await >= SHORT);
}

#[tokio::test]
async fn a_connection_that_never_asks_is_hung_up_on() {
    let server = Server::with(HttpLimits { head: SHORT, ..loose() }).await;
    assert_eq!(all_of(&mut server.connect().await).await, "");
}

#[tokio::test]
async fn a_body_that_drips_is_hung_up_on_though_it_is_never_silent() {
    let server = Server::with(HttpLimits { idle: SHORT, ..loose() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST /take HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
    assert!(drip(&mut stream, b"x").await >= SHORT);
}

#[tokio::test]
async fn a_body_that_moves_steadily_outlives_the_silence_but_not_its_time() {
    let server = Server::with(HttpLimits { idle: SHORT, message: 4 * SHORT, ..loose() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST /take HTTP/1.1\r\nhost: x\r\ncontent-length: 60000000\r\n\r\n").await.unwrap();
    let lived = drip(&mut stream, &[0; 20_000]).await;
    assert!(lived >= 4 * SHORT, "{lived:?}");
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_hung_up_on() {
    let limits = HttpLimits { idle: SHORT, connections: 1, ..loose() };
    let server = Server::with(limits).await;
    let mut stalled = server.connect().await;
    stalled.write_all(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // There is one place: this is answered only once the reader that stalls has lost it.
    let answer = server.answer(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("here"));
    assert!(all_of(&mut stalled).await.len() < MUCH);
}

#[tokio::test]
async fn silence_counts_from_the_other_sides_last_word_not_from_ours() {
    let server = Server::with(HttpLimits { idle: SHORT, ..loose() }).await;
    let mut stream = server.connect().await;
    let mut every = tokio::time::interval(SHORT / 2);
    for _ in 0..6 {
        every.tick().await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 512];
        assert!(stream.read(&mut answer).await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_stop_closes_connections_that_wait_and_finishes_those_that_do_not() {
    let mut server = Server::with(loose()).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(idle.read(&mut [0; 512]).await.unwrap() > 0);
    let mut busy = server.connect().await;
    busy.write_all(b"POST /take HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n")
        .await
        .unwrap();
    // The handler reads: the request is under way.
    assert!(busy.read(&mut [0; 512]).await.unwrap() > 0);
    drop(server.stop.take());
    assert_eq!(all_of(&mut idle).await, "");
    busy.write_all(b"body").await.unwrap();
    assert!(all_of(&mut busy).await.ends_with("taken"));
    server.served.await.unwrap();
}
