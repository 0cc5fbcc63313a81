//! What a gateway answers.

use super::{GatewayLimits, quota::Quota};
use crate::blobs::{GetError, PutError, Source};
use crate::store::{BlobStore, BlobStream, Upload};
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use blake2::{Blake2b, Digest, digest::consts::U32};
use bytes::Bytes;
use encompute_protocol::BlobDigest;
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use std::sync::Arc;

#[derive(Clone)]
pub(super) struct Gateway {
    pub(super) store: BlobStore,
    pub(super) limits: GatewayLimits,
    pub(super) quota: Arc<Quota>,
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
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::error!(error = &error as &dyn std::error::Error, "blob is not kept");
        }
        Self::new(status, error)
    }
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
    Router::new().route("/v1/blobs/{digest}", blob).route("/v1/health", get(health)).with_state(gateway)
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

/// Only a digest is a name. Everything else, `..` and slashes in any disguise included, ends here.
fn named(name: &str) -> Result<BlobDigest, Refusal> {
    name.parse().map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, format!("blob name is no digest: {why}")))
}

async fn measure(State(gateway): State<Gateway>, Path(name): Path<String>) -> Result<Response, Refusal> {
    let digest = named(&name)?;
    let length = gateway.store.length(digest).await?;
    Ok(blob_response(digest, length, Body::empty()))
}

async fn fetch(State(gateway): State<Gateway>, Path(name): Path<String>) -> Result<Response, Refusal> {
    let digest = named(&name)?;
    let blob = gateway.store.open(digest).await?;
    let length = blob.length_bytes;
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
                        tracing::error!(%digest, %found, "blob is damaged; it is thrown out");
                        match gateway.store.discard(digest).await {
                            Ok(()) => gateway.quota.give_back(length),
                            Err(error) => tracing::error!(%digest, error, "damaged blob stays"),
                        }
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
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let digest = named(&name)?;
    let length = announced_length(&headers)?;
    let limit = gateway.limits.blob.0;
    if length > limit {
        let mut refusal = Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("blob {digest} has {length} bytes, the gateway takes {limit}"),
        );
        refusal.number = Some(("encompute-limit-bytes", limit));
        return Err(refusal);
    }
    if gateway.store.length(digest).await.is_ok() {
        return Ok(StatusCode::OK);
    }
    let room = gateway.quota.reserve(length).map_err(|left| {
        let sentence = format!("store is full: {length} bytes were to be kept, {left} are left");
        let number = Some(("encompute-left-bytes", left));
        Refusal { number, ..Refusal::new(StatusCode::INSUFFICIENT_STORAGE, sentence) }
    })?;
    let mut upload = gateway.store.upload(digest).await?;
    let received = tokio::time::timeout(gateway.limits.request, receive(&mut upload, body)).await;
    let refusal = match received {
        Ok(Ok(())) => {
            let new = upload.finish().await?;
            if new {
                room.keep();
            }
            return Ok(if new { StatusCode::CREATED } else { StatusCode::OK });
        }
        Ok(Err(refusal)) => refusal,
        Err(_) => Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("blob {digest} did not arrive within {} s", gateway.limits.request.as_secs()),
        ),
    };
    upload.abandon().await;
    Err(refusal)
}

fn announced_length(headers: &HeaderMap) -> Result<u64, Refusal> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    length.ok_or_else(|| Refusal::new(StatusCode::LENGTH_REQUIRED, "a blob is sent with its length (content-length)"))
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
