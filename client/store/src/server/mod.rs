//! HTTP for every service of the house, within limits that strangers cannot stretch.

mod connection;
mod exposition;
mod figures;
mod listen;
mod pages;

use axum::{Router, extract::ConnectInfo};
use connection::{Connection, Patience};
use core::{pin::pin, time::Duration};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{future::Future, io, net::SocketAddr, sync::Arc};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};
use tower::Service;

pub use exposition::exposition;
pub use figures::{Outcomes, StageSeconds};
pub use listen::{ListenError, listen};
pub use pages::open_to_pages;

/// How long to wait after the system would not accept a connection, e.g. for want of files.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of a connection that wait to be read or written: 256 connections hold 32 MiB at most.
const BUFFER_BYTES: usize = 64 * 1024;

/// What a service lets one connection, and all of them, use. Bodies have limits of their own, for
/// how long one may be depends on what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections served at once; more wait in the system's queue.
    pub connections: usize,
    /// Bytes of a request's head. A longer one gets 431.
    pub head_bytes: usize,
    /// How long a request's head may take to arrive, and how long a kept connection may wait for one.
    pub head: Duration,
    /// How long either side may take to move 16 KiB, or what is left of its message.
    pub idle: Duration,
    /// How long one message may take in either direction, however steadily it moves.
    pub message: Duration,
}

impl Default for HttpLimits {
    /// 256 connections; 32 KiB and 15 s for a head; 20 s of silence; 15 minutes a message.
    fn default() -> Self {
        Self {
            connections: 256,
            head_bytes: 32 * 1024,
            head: Duration::from_secs(15),
            idle: Duration::from_secs(20),
            message: Duration::from_secs(15 * 60),
        }
    }
}

/// Serves `router` until `shutdown` is ready, then finishes what is under way. Handlers find the
/// other side's address as [`ConnectInfo<SocketAddr>`].
pub async fn serve_http(
    listener: TcpListener,
    router: Router,
    limits: HttpLimits,
    shutdown: impl Future<Output = ()> + Send,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let (stop, stopped) = watch::channel(());
    let mut served = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, peer, place) = accept(&listener, &places) => {
                let connection = Connection::new(stream, limits.patience(), place);
                served.spawn(serve_connection(connection, peer, router.clone(), limits, stopped.clone()));
            }
            Some(_) = served.join_next() => {}
        }
    }
    drop((listener, stop));
    while served.join_next().await.is_some() {}
}

impl HttpLimits {
    fn patience(&self) -> Patience {
        Patience { idle: self.idle, message: self.message }
    }
}

/// The next connection for which there is a place.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = places.clone().acquire_owned().await.expect("nobody closes the semaphore; qed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are small and awaited; a connection that cannot be tuned fails soon enough.
                let _ = stream.set_nodelay(true);
                return (stream, peer, place);
            }
            // The other side was gone before it was accepted.
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "connections are not accepted at the moment");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers one connection's requests; `stopped` closes it after the one under way.
async fn serve_connection(
    connection: Connection,
    peer: SocketAddr,
    router: Router,
    limits: HttpLimits,
    mut stopped: watch::Receiver<()>,
) {
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        // A router is always ready.
        router.clone().call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(BUFFER_BYTES));
    let mut serving = pin!(http.serve_connection(TokioIo::new(connection), answer));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        // Only the sender's end is waited for.
        _ = stopped.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended early");
    }
}
