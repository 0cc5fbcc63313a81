//! What the creator's service answers over HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/head-key/nonce` | 200 and 32 bytes |
//! | `POST /v1/head-key` | 200 an envelope with the head's key; 400 malformed, 403 not released, 503 too many at once |
//! | `POST /v1/sessions/{session}/features` | 200 where the result of a session's job is; 403 another signature, 409 out of turn |
//! | `POST /v1/sessions/{session}/vouchers` | 204 the voucher is kept; 402 it does not pay for a tail that was delivered |
//! | `POST /v1/sessions/{session}/end` | 204 the session is closed; 409 there is a higher voucher |
//! | `GET /v1/health` | 200 and what the service says of itself, as JSON |
//! | `GET /metrics` | 200 and figures for Prometheus |
//!
//! Bodies are SCALE octets; a refusal is JSON, `{"error": code, "message": sentence}`.

mod sessions;

use crate::desk::Desk;
use crate::head_key::{HeadKeys, ReleaseRefused};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use encompute_protocol::HeadKeyCall;
use encompute_protocol::wire::Message;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

/// Head-key requests read and judged at once; each takes at most a megabyte and some milliseconds.
const REQUESTS: usize = 8;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(20);

#[derive(Clone)]
struct Service {
    keys: Arc<HeadKeys>,
    desk: Arc<Desk>,
    requests: Arc<Semaphore>,
}

struct Refusal(StatusCode, &'static str, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, code, message) = self;
        let mut response = (status, Json(json!({ "error": code, "message": message }))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<ReleaseRefused> for Refusal {
    fn from(refused: ReleaseRefused) -> Self {
        let (status, code) = match &refused {
            ReleaseRefused::Encoding(_) => (StatusCode::BAD_REQUEST, "encoding"),
            ReleaseRefused::Nonce(_) => (StatusCode::FORBIDDEN, "nonce"),
            ReleaseRefused::NotRegistered { .. } | ReleaseRefused::Expired { .. } => {
                (StatusCode::FORBIDDEN, "not-registered")
            }
            ReleaseRefused::Measurement { .. } => (StatusCode::FORBIDDEN, "measurement"),
            ReleaseRefused::Platform { .. } => (StatusCode::FORBIDDEN, "platform"),
            ReleaseRefused::NotOurs { .. } | ReleaseRefused::Status { .. } => (StatusCode::FORBIDDEN, "version"),
            ReleaseRefused::Signature => (StatusCode::FORBIDDEN, "signature"),
            ReleaseRefused::Evidence(_) | ReleaseRefused::Key(_) => (StatusCode::FORBIDDEN, "evidence"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        warn!(refused = &refused as &dyn std::error::Error, ours = refused.is_ours(), "head key not released");
        Self(status, code, refused.to_string())
    }
}

pub(crate) fn router(keys: Arc<HeadKeys>, desk: Arc<Desk>) -> Router {
    let service = Service { keys, desk, requests: Arc::new(Semaphore::new(REQUESTS)) };
    Router::new()
        .route("/v1/head-key/nonce", get(nonce))
        .route("/v1/head-key", post(head_key))
        .route("/v1/sessions/{session}/features", post(sessions::features))
        .route("/v1/sessions/{session}/vouchers", post(sessions::voucher))
        .route("/v1/sessions/{session}/end", post(sessions::end))
        .route("/v1/health", get(health))
        .route("/metrics", get(metrics))
        .fallback(|| async { Refusal(StatusCode::NOT_FOUND, "no-route", "there is nothing here".to_owned()) })
        .with_state(service)
}

async fn nonce(State(service): State<Service>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, service.keys.nonce().0.to_vec()).into_response()
}

async fn metrics(State(service): State<Service>) -> Response {
    service.desk.exposition()
}

async fn head_key(State(service): State<Service>, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    let released = release(&service, &headers, body).await;
    service.desk.figures.head_keys.count(released.as_ref().map_or_else(|refused| refused.1, |_| "released"));
    released
}

async fn release(service: &Service, headers: &HeaderMap, body: Body) -> Result<Response, Refusal> {
    let _place = service.place()?;
    let body = read(headers, body, HeadKeyCall::LIMIT_BYTES).await?;
    let answer = service.keys.release(&body).await?;
    Ok(octets(answer.to_wire()))
}

fn octets(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
}

impl Service {
    /// One of the calls that are read and judged at once.
    fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let busy = |_| Refusal(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many requests at once".to_owned());
        self.requests.clone().try_acquire_owned().map_err(busy)
    }
}

/// The body, at most `limit` bytes of it.
async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    match length {
        None => return Err(Refusal(StatusCode::LENGTH_REQUIRED, "no-length", "Content-Length is missing".to_owned())),
        Some(length) if length > limit => {
            let message = format!("{length} bytes, at most {limit} are allowed");
            return Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, "too-long", message));
        }
        Some(_) => {}
    }
    match tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(Refusal(StatusCode::BAD_REQUEST, "body", "the body does not arrive whole".to_owned())),
        Err(_) => Err(Refusal(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body takes too long".to_owned())),
    }
}

async fn health(State(service): State<Service>) -> Response {
    Json(service.desk.health()).into_response()
}
