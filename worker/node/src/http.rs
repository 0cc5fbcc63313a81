//! What the worker answers over HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/offers` | 200 a signed offer; 400 no such request, 409 the version is not for sale, 503 no place |
//! | `POST /v1/custody` | as for offers, with the job's key; 404 this worker takes none, 400 not this key |
//! | `GET /v1/jobs/{job}/rounds/{round}` | 200 the round's answer; 404 not this worker's, or not answered |
//! | `POST /v1/jobs/{job}/rounds/{round}` | 200 the round's answer; 403 another signature, 409 out of turn, 503 too much to compute |
//! | `POST /v1/jobs/{job}/segments/{worker}` | 204 gone on from what that worker answered; 400 its receipts do not hold, 503 its states cannot be had |
//! | `GET /v1/jobs/{job}/receipt` | 200 the receipt of a session's job; 404 not this worker's, or not done |
//! | `POST /v1/sessions` | 200 a signed offer of a session; 400, 409, 503 as for offers |
//! | `POST /v1/sessions/{session}/jobs` | 204 the next job is in hand; 403 another signature, 409 out of turn |
//! | `POST /v1/sessions/{session}/vouchers` | 204 the voucher is kept; 402 it does not pay for a head that was delivered |
//! | `POST /v1/sessions/{session}/end` | 200 agreed; 409 there is a higher voucher |
//! | `GET /v1/health` | 200 and what the worker says of itself, as JSON |
//! | `GET /metrics` | 200 and figures for Prometheus |
//!
//! Bodies are SCALE octets. Every refusal is JSON, `{"error": code, "message": sentence}`, and names
//! public facts only. 503 carries `Retry-After`.

mod sessions;

use crate::desk::{Desk, ServeError};
use crate::evaluation::KeyRefused;
use crate::handover::HandoverRefused;
use crate::health::Health;
use crate::rounds::OrderRefused;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use encompute_protocol::receipt::{CustodyCall, OfferCall, RoundCall};
use encompute_protocol::wire::Message;
use encompute_protocol::{Address, JobId, RoundIndex, Transcript};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{error, warn};

/// Most bytes of a round's call: the largest tensor, and a page around it.
const ROUND_LIMIT_BYTES: usize = encompute_fhe::EncryptedTensor::LIMIT_BYTES + 4096;
/// Unit in which memory for bodies is counted.
const PERMIT_BYTES: usize = 4096;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(60);
/// Jobs looked up on chain at once because somebody asked for them.
const LOOKUPS: usize = 64;

/// What the routes share.
#[derive(Clone)]
pub struct Service {
    desk: Arc<Desk>,
    health: Arc<Health>,
    bodies: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
}

/// A call that is refused.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl ToString) -> Self {
        Self { status, code, message: message.to_string() }
    }

    fn busy(message: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.code, "message": self.message }));
        let mut response = (self.status, body).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<PathRejection> for Refusal {
    fn from(_: PathRejection) -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-route", "jobs and rounds are named by numbers")
    }
}

impl From<ServeError> for Refusal {
    fn from(error: ServeError) -> Self {
        let (status, code) = match &error {
            ServeError::NotHeld { .. } => (StatusCode::NOT_FOUND, "not-held"),
            ServeError::NotAnswered { .. } => (StatusCode::NOT_FOUND, "not-answered"),
            ServeError::Order(refused) => return Self::new(order_status(refused), "order", refused),
            ServeError::Request(_) => (StatusCode::BAD_REQUEST, "request"),
            ServeError::Tensor(_) | ServeError::Evaluate(_) => (StatusCode::BAD_REQUEST, "tensor"),
            ServeError::NoPlace(_) => (StatusCode::SERVICE_UNAVAILABLE, "no-place"),
            ServeError::EvaluationKey(refused) => return Self::new(key_status(refused), "evaluation-key", refused),
            ServeError::Handover(refused) => return Self::new(handover_status(refused), "handover", refused),
            ServeError::Session(refused) => return Self::new(sessions::status(refused), "session", refused),
            ServeError::Pool(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            ServeError::NoCustody => (StatusCode::NOT_FOUND, "no-custody"),
            ServeError::Custody(_) => (StatusCode::BAD_REQUEST, "custody"),
            ServeError::Inactive => (StatusCode::CONFLICT, "inactive"),
            ServeError::Fetch(error) if error.class() == encompute_store::Class::NotFound => {
                (StatusCode::BAD_REQUEST, "no-request")
            }
            ServeError::Head(_) | ServeError::NoLayout | ServeError::Fetch(_) | ServeError::Read(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "cannot-run")
            }
            ServeError::Journal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "journal"),
            ServeError::State(_) => (StatusCode::INTERNAL_SERVER_ERROR, "state"),
        };
        if status.is_server_error() {
            warn!(error = &error as &dyn std::error::Error, "call not answered");
        }
        Self::new(status, code, error)
    }
}

fn malformed(why: encompute_protocol::wire::DecodeError) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "encoding", why)
}

fn key_status(refused: &KeyRefused) -> StatusCode {
    match refused {
        KeyRefused::Fetch { source, .. } if source.class() != encompute_store::Class::NotFound => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        KeyRefused::Pool(_) => StatusCode::SERVICE_UNAVAILABLE,
        KeyRefused::Parts { .. } | KeyRefused::Fetch { .. } | KeyRefused::Malformed(_) | KeyRefused::Set { .. } => {
            StatusCode::BAD_REQUEST
        }
    }
}

fn handover_status(refused: &HandoverRefused) -> StatusCode {
    match refused {
        HandoverRefused::Fetch { .. } | HandoverRefused::Read(_) | HandoverRefused::Trust(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::BAD_REQUEST,
    }
}

fn order_status(refused: &OrderRefused) -> StatusCode {
    match refused {
        OrderRefused::Signature => StatusCode::FORBIDDEN,
        OrderRefused::Field { .. } | OrderRefused::Digest { .. } | OrderRefused::Input { .. } => {
            StatusCode::BAD_REQUEST
        }
        OrderRefused::NoRound { .. } => StatusCode::NOT_FOUND,
        OrderRefused::TooEarly { .. }
        | OrderRefused::Previous { .. }
        | OrderRefused::Answered { .. }
        | OrderRefused::Closed => StatusCode::CONFLICT,
    }
}

/// The worker's routes. Bodies in memory take at most `body_bytes` together.
pub fn router(desk: Arc<Desk>, health: Arc<Health>, body_bytes: usize) -> Router {
    let bodies = Arc::new(Semaphore::new(body_bytes / PERMIT_BYTES));
    let service = Service { desk, health, bodies, lookups: Arc::new(Semaphore::new(LOOKUPS)) };
    let routes = Router::new()
        .route("/v1/offers", post(offer))
        .route("/v1/custody", post(custody))
        .route("/v1/jobs/{job}/rounds/{round}", get(answer).post(order))
        .route("/v1/jobs/{job}/segments/{worker}", post(handover))
        .route("/v1/jobs/{job}/receipt", get(sessions::receipt))
        .route("/v1/sessions", post(sessions::offer))
        .route("/v1/sessions/{session}/jobs", post(sessions::order))
        .route("/v1/sessions/{session}/vouchers", post(sessions::voucher))
        .route("/v1/sessions/{session}/end", post(sessions::end))
        .route("/v1/health", get(health_of))
        .route("/metrics", get(metrics))
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "no-route", "there is nothing here") })
        .with_state(service);
    encompute_store::open_to_pages(routes)
}

async fn health_of(State(service): State<Service>) -> Response {
    Json(service.health.report(&service.desk)).into_response()
}

async fn metrics(State(service): State<Service>) -> Response {
    service.desk.figures.exposition(&service.desk)
}

async fn offer(State(service): State<Service>, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    let offered = service.offer(&headers, body).await;
    service.desk.figures.offers.count(code_of(&offered));
    Ok(service.octets(offered?))
}

async fn custody(State(service): State<Service>, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    let offered = service.custody(&headers, body).await;
    service.desk.figures.offers.count(code_of(&offered));
    Ok(service.octets(offered?))
}

/// The word under which an answer is counted.
fn code_of<T>(answered: &Result<T, Refusal>) -> &'static str {
    answered.as_ref().map_or_else(|refusal| refusal.code, |_| "answered")
}

async fn answer(
    State(service): State<Service>,
    path: Result<Path<(u64, u16)>, PathRejection>,
) -> Result<Response, Refusal> {
    let answered = service.answer(path).await;
    service.desk.figures.rounds.count(code_of(&answered));
    Ok(service.octets(answered?))
}

async fn order(
    State(service): State<Service>,
    path: Result<Path<(u64, u16)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let answered = service.order(path, &headers, body).await;
    service.desk.figures.rounds.count(code_of(&answered));
    Ok(service.octets(answered?))
}

async fn handover(
    State(service): State<Service>,
    path: Result<Path<(u64, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let Path((job, worker)) = path?;
    let worker = account(&worker)
        .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "no-route", "workers are named by twenty bytes in hex"))?;
    let (bytes, _room) = service.read(&headers, body, Transcript::LIMIT_BYTES).await?;
    let handed = Transcript::from_wire(&bytes).map_err(malformed)?;
    service.desk.take_over(JobId(job), worker, &handed).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An account, written as addresses are.
fn account(text: &str) -> Option<Address> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 40 && digits.is_ascii())?;
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    let bytes: Vec<u8> = (0..40).step_by(2).map(byte).collect::<Option<_>>()?;
    Some(Address(bytes.try_into().ok()?))
}

impl Service {
    async fn offer(&self, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refusal> {
        let (bytes, _room) = self.read(headers, body, OfferCall::LIMIT_BYTES).await?;
        let call = OfferCall::from_wire(&bytes).map_err(malformed)?;
        Ok(self.desk.offer(&call).await?.to_wire())
    }

    async fn custody(&self, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refusal> {
        let (bytes, _room) = self.read(headers, body, CustodyCall::LIMIT_BYTES).await?;
        let asked = CustodyCall::from_wire(&bytes).map_err(malformed)?;
        Ok(self.desk.offer_custody(&asked).await?.to_wire())
    }

    async fn answer(&self, path: Result<Path<(u64, u16)>, PathRejection>) -> Result<Vec<u8>, Refusal> {
        let Path((job, round)) = path?;
        let place = self.lookups.clone().try_acquire_owned();
        let _place = place.map_err(|_| Refusal::busy("too many jobs are looked up"))?;
        Ok(self.desk.answer(JobId(job), RoundIndex(round)).await?)
    }

    async fn order(
        &self,
        path: Result<Path<(u64, u16)>, PathRejection>,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Vec<u8>, Refusal> {
        let Path((job, round)) = path?;
        let (bytes, room) = self.read(headers, body, ROUND_LIMIT_BYTES).await?;
        let call = RoundCall::from_wire(&bytes).map_err(malformed)?;
        drop(bytes);
        // The client may hang up; the round it ordered is computed and journaled all the same, so that
        // it finds the answer when it comes back.
        let desk = self.desk.clone();
        let served = tokio::spawn(async move {
            let answer = desk.order(JobId(job), RoundIndex(round), call).await;
            drop(room);
            answer
        });
        match served.await {
            Ok(answer) => Ok(answer?),
            Err(ended) => {
                error!(job, round, error = %ended, "round ended without an answer");
                Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "ended", "the round ended without an answer"))
            }
        }
    }

    fn octets(&self, bytes: Vec<u8>) -> Response {
        self.desk.figures.sent(bytes.len());
        ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
    }

    /// The body, and the room in memory that it takes until the room is dropped.
    async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        limit: usize,
    ) -> Result<(bytes::Bytes, OwnedSemaphorePermit), Refusal> {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        let length = length
            .ok_or_else(|| Refusal::new(StatusCode::LENGTH_REQUIRED, "no-length", "Content-Length is missing"))?;
        if length > limit {
            let message = format!("{length} bytes, at most {limit} are allowed");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too-long", message));
        }
        let permits = (length.div_ceil(PERMIT_BYTES)).max(1) as u32;
        let room = self.bodies.clone().try_acquire_many_owned(permits);
        let room = room.map_err(|_| Refusal::busy("memory for requests is taken"))?;
        let read = tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, length));
        match read.await {
            Ok(Ok(bytes)) => {
                self.desk.figures.received(bytes.len());
                Ok((bytes, room))
            }
            Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "body", "the body does not arrive whole")),
            Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body takes too long")),
        }
    }
}
