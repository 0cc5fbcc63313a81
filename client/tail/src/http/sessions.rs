//! Routes about sessions.

use super::{Refusal, Service, octets, read};
use crate::sessions::SessionRefused;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use encompute_protocol::SessionId;
use encompute_protocol::session::calls::{AgreedEnd, SessionFeaturesCall, VoucherCall};
use encompute_protocol::wire::Message;
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

type Number = Result<Path<u64>, PathRejection>;

impl From<PathRejection> for Refusal {
    fn from(_: PathRejection) -> Self {
        Self(StatusCode::NOT_FOUND, "no-route", "sessions are named by numbers".to_owned())
    }
}

impl From<SessionRefused> for Refusal {
    fn from(refused: SessionRefused) -> Self {
        let status = match &refused {
            SessionRefused::NotHeld { .. } => StatusCode::NOT_FOUND,
            SessionRefused::Signature => StatusCode::FORBIDDEN,
            SessionRefused::Unpaid { .. } => StatusCode::PAYMENT_REQUIRED,
            SessionRefused::OutOfTurn { .. } | SessionRefused::NotLast { .. } => StatusCode::CONFLICT,
            SessionRefused::Field { .. } | SessionRefused::Voucher(_) => StatusCode::BAD_REQUEST,
            SessionRefused::Job(error) if !error.is_passing() => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        warn!(refused = &refused as &dyn std::error::Error, "call about a session not answered");
        Self(status, "session", refused.to_string())
    }
}

/// A call, and its place among those that are judged at once.
async fn message<M: Message>(
    service: &Service,
    headers: &HeaderMap,
    body: Body,
) -> Result<(M, OwnedSemaphorePermit), Refusal> {
    let place = service.place()?;
    let bytes = read(headers, body, M::LIMIT_BYTES).await?;
    let message = M::from_wire(&bytes);
    Ok((message.map_err(|why| Refusal(StatusCode::BAD_REQUEST, "encoding", why.to_string()))?, place))
}

pub(super) async fn features(
    State(service): State<Service>,
    path: Number,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let Path(session) = path?;
    let (call, _place) = message::<SessionFeaturesCall>(&service, &headers, body).await?;
    Ok(octets(service.desk.session_features(SessionId(session), &call).await?.to_wire()))
}

pub(super) async fn voucher(
    State(service): State<Service>,
    path: Number,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let Path(session) = path?;
    let (call, _place) = message::<VoucherCall>(&service, &headers, body).await?;
    service.desk.session_voucher(SessionId(session), &call).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn end(
    State(service): State<Service>,
    path: Number,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let Path(session) = path?;
    let (call, _place) = message::<AgreedEnd>(&service, &headers, body).await?;
    service.desk.end_session(SessionId(session), &call).await?;
    Ok(StatusCode::NO_CONTENT)
}
