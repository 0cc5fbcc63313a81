//! What a gateway answers.

use super::{
    GatewayLimits, ServeError,
    figures::Figures,
    names::Nameless,
    peers::{PeerBudget, Peers},
    quota::Quota,
};
use crate::blobs::{GetError, PutError, Source};
use crate::server::{exposition, open_to_pages};
use crate::store::{BlobStore, BlobStream, Upload};
use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use blake2::{Blake2b, Digest, digest::consts::U32};
use bytes::Bytes;
use core::time::Duration;
use encompute_protocol::BlobDigest;
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use std::{net::SocketAddr, sync::Arc, time::Instant};
use tokio::sync::RwLock;

#[derive(Clone)]
pub(super) struct Gateway {
    pub(super) store: BlobStore,
    pub(super) limits: GatewayLimits,
    pub(super) quota: Arc<Quota>,
    pub(super) nameless: Arc<Nameless>,
    /// Held for reading while somebody is told that a blob is there, for writing while one is removed.
    pub(super) relying: Arc<RwLock<()>>,
    pub(super) figures: Arc<Figures>,
    peers: Option<Arc<Peers>>,
}

impl Gateway {
    pub(super) async fn new(store: BlobStore, limits: GatewayLimits) -> Result<Self, ServeError> {
        let used_bytes = store.used_bytes().await.map_err(ServeError::Count)?;
        tracing::info!(used_bytes, quota_bytes = limits.quota.0, "gateway serves");
        // A budget below the largest blob would never let one in.
        let at_least = |budget: PeerBudget| PeerBudget { bytes: budget.bytes.max(limits.blob), ..budget };
        Ok(Self {
            store,
            limits,
            quota: Arc::new(Quota::new(limits.quota, used_bytes)),
            nameless: Arc::default(),
            relying: Arc::default(),
            figures: Arc::default(),
            peers: limits.peer.map(|budget| Arc::new(Peers::new(at_least(budget)))),
        })
    }

    /// The blob's length, if it is kept; it will be for as long as a new one, whoever asks.
    async fn rely_on(&self, digest: BlobDigest) -> Result<u64, GetError> {
        let _kept = self.relying.read().await;
        let length = self.store.length(digest).await?;
        self.nameless.relied_on(digest);
        Ok(length)
    }
}

#[derive(Serialize)]
struct Health {
    service: &'static str,
    version: &'static str,
    used_bytes: u64,
    quota_bytes: u64,
    blob_limit_bytes: u64,
}

/// Why a request is refused: a status, a sentence, and perhaps a number for programs.
struct Refusal {
    status: StatusCode,
    sentence: String,
    number: Option<(&'static str, u64)>,
}

impl Refusal {
    fn new(status: StatusCode, sentence: impl ToString) -> Self {
        Self { status, sentence: sentence.to_string(), number: None }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.sentence).into_response();
        if let Some((name, number)) = self.number {
            response.headers_mut().insert(name, number.into());
        }
        // What is left of a refused body is not worth reading.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

impl From<PutError> for Refusal {
    fn from(error: PutError) -> Self {
        let status = match &error {
            PutError::OtherDigest { .. } => StatusCode::BAD_REQUEST,
            PutError::Store { source, .. } if is_full(&**source) => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::error!(error = &error as &dyn std::error::Error, "blob is not kept");
        }
        Self::new(status, error)
    }
}

/// True where the disk, or what is set aside for us of it, is full.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && matches!(error.kind(), StorageFull | QuotaExceeded)
        {
            return true;
        }
        next = error.source();
    }
    false
}

impl From<GetError> for Refusal {
    fn from(error: GetError) -> Self {
        let status = match &error {
            GetError::NotFound { .. } => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::error!(error = &error as &dyn std::error::Error, "blob is not served");
        }
        Self::new(status, error)
    }
}

pub(super) fn router(gateway: Gateway) -> Router {
    // A handler for GET would answer HEAD as well, by reading the whole blob.
    let blob = get(fetch).head(measure).put(keep);
    let routes = Router::new()
        .route("/v1/blobs/{digest}", blob)
        .route("/v1/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(gateway);
    open_to_pages(routes)
}

async fn health(State(gateway): State<Gateway>) -> Json<Health> {
    Json(Health {
        service: "gateway",
        version: env!("CARGO_PKG_VERSION"),
        used_bytes: gateway.quota.used(),
        quota_bytes: gateway.quota.limit(),
        blob_limit_bytes: gateway.limits.blob.0,
    })
}

async fn metrics(State(gateway): State<Gateway>) -> Response {
    gateway.figures.used_bytes.set(gateway.quota.used() as i64);
    exposition(&gateway.figures.registry)
}

/// Only a digest is a name. Everything else, `..` and slashes in any disguise included, ends here.
fn named(name: &str) -> Result<BlobDigest, Refusal> {
    name.parse().map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, format!("blob name is no digest: {why}")))
}

async fn measure(State(gateway): State<Gateway>, Path(name): Path<String>) -> Result<Response, Refusal> {
    let digest = named(&name)?;
    let length = gateway.rely_on(digest).await?;
    Ok(blob_response(digest, length, Body::empty()))
}

async fn fetch(State(gateway): State<Gateway>, Path(name): Path<String>) -> Result<Response, Refusal> {
    let digest = named(&name)?;
    let blob = gateway.store.open(digest).await?;
    let length = blob.length_bytes;
    gateway.figures.sent_bytes.inc_by(length);
    Ok(blob_response(digest, length, Body::from_stream(checked(gateway, digest, blob))))
}

fn blob_response(digest: BlobDigest, length: u64, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{digest}\"")) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// The blob's bytes, the last piece held back until the whole has its digest. One that has another is thrown
/// out: while it lay there, nobody who still has the right bytes could put them in its place.
fn checked(gateway: Gateway, digest: BlobDigest, blob: BlobStream) -> impl Stream<Item = Result<Bytes, Source>> {
    let length = blob.length_bytes;
    let state = (gateway, blob.bytes, Blake2b::<U32>::new(), None::<Bytes>);
    stream::unfold(Some(state), move |state| async move {
        let (gateway, mut bytes, mut hasher, mut held) = state?;
        loop {
            match bytes.next().await {
                Some(Ok(piece)) => {
                    hasher.update(&piece);
                    if let Some(ready) = held.replace(piece) {
                        return Some((Ok(ready), Some((gateway, bytes, hasher, held))));
                    }
                }
                Some(Err(error)) => return Some((Err(error), None)),
                None => {
                    let found = BlobDigest(hasher.finalize().into());
                    if found != digest {
                        gateway.throw_out(digest, length).await;
                        return Some((Err(GetError::Damaged { digest, found }.into()), None));
                    }
                    return held.map(|last| (Ok(last), None));
                }
            }
        }
    })
}

async fn keep(
    State(gateway): State<Gateway>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(name): Path<String>,
    headers: HeaderMap,
    mut body: Body,
) -> Result<StatusCode, Refusal> {
    let kept = gateway.keep(peer, &name, &headers, &mut body).await;
    if kept.is_err() {
        let_pass(body, gateway.limits.blob.0.saturating_mul(2)).await;
    }
    let outcome = match &kept {
        Ok(status) => status,
        Err(refusal) => &refusal.status,
    };
    gateway.figures.uploads.get_or_create(&super::figures::Upload { status: outcome.as_u16() }).inc();
    kept
}

impl Gateway {
    /// Takes the body only where it is to be kept.
    async fn keep(
        &self,
        peer: SocketAddr,
        name: &str,
        headers: &HeaderMap,
        body: &mut Body,
    ) -> Result<StatusCode, Refusal> {
        let digest = named(name)?;
        let length = announced_length(headers)?;
        let limit = self.limits.blob.0;
        if length > limit {
            let sentence = format!("blob {digest} has {length} bytes, the gateway takes {limit}");
            let number = Some(("encompute-limit-bytes", limit));
            return Err(Refusal { number, ..Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, sentence) });
        }
        if let Ok(kept) = self.rely_on(digest).await
            && (kept == length || self.is_sound(digest, kept).await)
        {
            return Ok(StatusCode::OK);
        }
        self.within_budget(peer, length)?;
        let room = self.quota.reserve(length).map_err(|left| {
            let sentence = format!("store is full: {length} bytes were to be kept, {left} are left");
            let number = Some(("encompute-left-bytes", left));
            Refusal { number, ..Refusal::new(StatusCode::INSUFFICIENT_STORAGE, sentence) }
        })?;
        let mut upload = self.store.upload(digest).await?;
        let received = tokio::time::timeout(self.limits.request, receive(&mut upload, core::mem::take(body))).await;
        let refusal = match received {
            Ok(Ok(())) => {
                let _kept = self.relying.read().await;
                let new = upload.finish().await?;
                self.nameless.relied_on(digest);
                if new {
                    room.keep();
                    self.figures.received_bytes.inc_by(length);
                }
                return Ok(if new { StatusCode::CREATED } else { StatusCode::OK });
            }
            Ok(Err(refusal)) => refusal,
            Err(_) => Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("blob {digest} did not arrive within {} s", self.limits.request.as_secs()),
            ),
        };
        upload.abandon().await;
        Err(refusal)
    }

    /// Reads a blob whose length somebody doubts; one that is damaged is thrown out, so that the right bytes can come.
    async fn is_sound(&self, digest: BlobDigest, length: u64) -> bool {
        // It was not let in like that, and need not be read.
        if length <= self.limits.blob.0 {
            let Ok(mut blob) = self.store.open(digest).await else { return false };
            let mut hasher = Blake2b::<U32>::new();
            while let Some(piece) = blob.bytes.next().await {
                let Ok(piece) = piece else { return false };
                hasher.update(&piece);
            }
            if BlobDigest(hasher.finalize().into()) == digest {
                return true;
            }
        }
        self.throw_out(digest, length).await;
        false
    }

    /// Removes a blob that is damaged.
    async fn throw_out(&self, digest: BlobDigest, length: u64) {
        match self.store.discard(digest).await {
            Ok(()) => {
                tracing::error!(%digest, length, "blob is damaged; it is thrown out");
                self.quota.give_back(length);
            }
            Err(error) => tracing::error!(%digest, error, "damaged blob stays"),
        }
    }

    fn within_budget(&self, peer: SocketAddr, length: u64) -> Result<(), Refusal> {
        let Some(peers) = &self.peers else { return Ok(()) };
        peers.take(peer.ip(), length, Instant::now()).map_err(|wait| {
            let seconds = wait.as_secs().max(1);
            let sentence = format!("{} has brought as much as it may for now; try again in {seconds} s", peer.ip());
            let number = Some((header::RETRY_AFTER.as_str(), seconds));
            Refusal { number, ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, sentence) }
        })
    }
}

fn announced_length(headers: &HeaderMap) -> Result<u64, Refusal> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    length.ok_or_else(|| Refusal::new(StatusCode::LENGTH_REQUIRED, "a blob is sent with its length (content-length)"))
}

/// How long the next piece of a body that is refused is waited for.
const PASSING: Duration = Duration::from_secs(1);

/// Lets a refused body pass, up to `limit_bytes` and as long as it keeps coming: a connection that is closed while
/// the other side still sends loses the refusal, and the other side would take the gateway for unreachable.
async fn let_pass(body: Body, limit_bytes: u64) {
    let (mut pieces, mut passed) = (body.into_data_stream(), 0);
    while let Ok(Some(Ok(piece))) = tokio::time::timeout(PASSING, pieces.next()).await {
        passed += piece.len() as u64;
        if passed > limit_bytes {
            return;
        }
    }
}

/// Takes the body in. Its length needs no check: the server reads exactly as much as was announced.
async fn receive(upload: &mut Upload, body: Body) -> Result<(), Refusal> {
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let broke_off = |error| Refusal::new(StatusCode::BAD_REQUEST, format!("blob broke off: {error}"));
        upload.write(piece.map_err(broke_off)?).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_from_one_that_failed() {
        let refusal = |kind: std::io::ErrorKind| {
            let source =
                object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(std::io::Error::from(kind)) };
            Refusal::from(PutError::Store { digest: BlobDigest([1; 32]), source: source.into() }).status
        };
        assert_eq!(refusal(std::io::ErrorKind::StorageFull), StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(refusal(std::io::ErrorKind::PermissionDenied), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
