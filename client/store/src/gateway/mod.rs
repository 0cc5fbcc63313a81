//! A blob store behind HTTP, within limits.
//!
//! | request | answer |
//! |---|---|
//! | `PUT /v1/blobs/{digest}` | 201 kept, 200 was there; 400 other digest or no digest, 411 no length, 413 too large, 408 too slow, 429 too much from this peer, 507 full |
//! | `GET /v1/blobs/{digest}` | 200 and the bytes; 404; a damaged blob breaks off before its last bytes |
//! | `HEAD /v1/blobs/{digest}` | 200 and the length; 404 |
//! | `GET /v1/health` | 200 and `{"service":"gateway", …}` |
//! | `GET /metrics` | 200 and figures for Prometheus |
//!
//! Bytes are hashed as they arrive and become visible only under their own digest. An upload that
//! breaks off starts again from its first byte: resuming one is not offered.
//!
//! A request blob comes before the job that names it, so no upload can be held against a job. What
//! bounds strangers instead: the largest blob, a [`PeerBudget`], a quota for all blobs, and, with
//! [`serve_forgetting`], an end to blobs that no chain fact has named within a while. A client that finds its blob
//! kept (`HEAD`, `PUT`) has the whole while again, for it is about to have it named.

mod figures;
mod forgetting;
mod names;
mod peers;
mod quota;
mod routes;

use crate::blobs::{ByteLimit, Source};
use crate::server::{HttpLimits, serve_http};
use crate::store::BlobStore;
use core::time::Duration;
use std::{future::Future, sync::Arc};
use tokio::net::TcpListener;

pub use names::Names;
pub use peers::PeerBudget;

/// What a gateway lets strangers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayLimits {
    /// Largest blob. The default, 64 MiB, is the largest message of the protocol.
    pub blob: ByteLimit,
    /// All blobs together. The default is 16 GiB.
    pub quota: ByteLimit,
    /// What one peer may bring; `None` behind a proxy, where all peers are one. The default is 4 GiB an hour.
    pub peer: Option<PeerBudget>,
    /// How long one blob may take to arrive. The default is 120 s.
    pub request: Duration,
    /// Connections and heads.
    pub http: HttpLimits,
}

impl Default for GatewayLimits {
    fn default() -> Self {
        const GIB: u64 = 1024 * 1024 * 1024;
        Self {
            blob: ByteLimit(64 * 1024 * 1024),
            quota: ByteLimit(16 * GIB),
            peer: Some(PeerBudget { bytes: ByteLimit(4 * GIB), refill: Duration::from_secs(3_600) }),
            request: Duration::from_secs(120),
            http: HttpLimits::default(),
        }
    }
}

/// When blobs without a name are forgotten.
#[derive(Clone)]
pub struct Forgetting {
    /// What the chain names, kept up to date by somebody who follows it.
    pub names: Arc<Names>,
    /// How long a blob may be without a name: longer than any upload is ahead of its transaction.
    pub after: Duration,
}

/// A gateway that cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The store's blobs cannot be counted.
    #[error("blobs in the store cannot be counted")]
    Count(#[source] Source),
}

/// Serves `store` until `shutdown` is ready, then finishes what is under way. Blobs are kept for ever.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    listener: TcpListener,
    store: BlobStore,
    limits: GatewayLimits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let gateway = routes::Gateway::new(store, limits).await?;
    serve_http(listener, routes::router(gateway), limits.http, shutdown).await;
    Ok(())
}

/// As [`serve`], but a blob that no chain fact names is forgotten after a while.
///
/// # Errors
/// [`ServeError`].
pub async fn serve_forgetting(
    listener: TcpListener,
    store: BlobStore,
    limits: GatewayLimits,
    forgetting: Forgetting,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let gateway = routes::Gateway::new(store, limits).await?;
    let sweeping = tokio::spawn(forgetting::sweep(gateway.clone(), forgetting));
    serve_http(listener, routes::router(gateway), limits.http, shutdown).await;
    sweeping.abort();
    Ok(())
}
