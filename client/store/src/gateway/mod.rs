//! A blob store behind HTTP, within limits.
//!
//! | request | answer |
//! |---|---|
//! | `PUT /v1/blobs/{digest}` | 201 kept, 200 was there; 400 other digest or no digest, 411 no length, 413 too large, 408 too slow, 507 full |
//! | `GET /v1/blobs/{digest}` | 200 and the bytes; 404; a damaged blob breaks off before its last bytes |
//! | `HEAD /v1/blobs/{digest}` | 200 and the length; 404 |
//! | `GET /v1/health` | 200 and `{"service":"gateway", …}` |
//!
//! Bytes are hashed as they arrive and become visible only under their own digest. An upload that
//! breaks off starts again from its first byte: resuming one is not offered.

mod connections;
mod quota;
mod routes;

use crate::blobs::{ByteLimit, Source};
use crate::store::BlobStore;
use core::time::Duration;
use quota::Quota;
use std::{future::Future, sync::Arc};
use tokio::net::TcpListener;

pub use connections::{Connection, LimitedListener};

/// What a gateway lets strangers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayLimits {
    /// Largest blob. The default, 64 MiB, is the largest message of the protocol.
    pub blob: ByteLimit,
    /// All blobs together. The default is 16 GiB.
    pub quota: ByteLimit,
    /// Connections served at once; more wait. The default is 256.
    pub connections: usize,
    /// How long a connection may be silent, in either direction. The default is 20 s.
    pub idle: Duration,
    /// How long one request's bytes may take to arrive. The default is 120 s.
    pub request: Duration,
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            blob: ByteLimit(64 * 1024 * 1024),
            quota: ByteLimit(16 * 1024 * 1024 * 1024),
            connections: 256,
            idle: Duration::from_secs(20),
            request: Duration::from_secs(120),
        }
    }
}

/// A gateway that cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The store's blobs cannot be counted.
    #[error("blobs in the store cannot be counted")]
    Count(#[source] Source),
    /// The listener failed.
    #[error("gateway cannot listen")]
    Listen(#[source] std::io::Error),
}

/// Serves `store` until `shutdown` is ready, then finishes what is under way.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    listener: TcpListener,
    store: BlobStore,
    limits: GatewayLimits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let used_bytes = store.used_bytes().await.map_err(ServeError::Count)?;
    tracing::info!(used_bytes, quota_bytes = limits.quota.0, "gateway serves");
    let gateway = routes::Gateway { store, limits, quota: Arc::new(Quota::new(limits.quota, used_bytes)) };
    let listener = LimitedListener::new(listener, limits.connections, limits.idle);
    let served = axum::serve(listener, routes::router(gateway)).with_graceful_shutdown(shutdown).await;
    served.map_err(ServeError::Listen)
}
