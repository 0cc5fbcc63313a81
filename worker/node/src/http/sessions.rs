//! Routes about sessions.

use super::{Refusal, Service, malformed};
use crate::sessions::SessionRefused;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use encompute_protocol::session::calls::{EndCall, SessionCall, SessionOrderCall, VoucherCall};
use encompute_protocol::wire::Message;
use encompute_protocol::{JobId, SessionId};
use tokio::sync::OwnedSemaphorePermit;

type Number = Result<Path<u64>, PathRejection>;

pub(super) fn status(refused: &SessionRefused) -> StatusCode {
    match refused {
        SessionRefused::NotHeld { .. } | SessionRefused::NoReceipt { .. } => StatusCode::NOT_FOUND,
        SessionRefused::Signature => StatusCode::FORBIDDEN,
        SessionRefused::Unpaid { .. } => StatusCode::PAYMENT_REQUIRED,
        SessionRefused::OutOfTurn { .. } | SessionRefused::Closing { .. } | SessionRefused::NotLast { .. } => {
            StatusCode::CONFLICT
        }
        SessionRefused::Anchored | SessionRefused::TooShort { .. } => StatusCode::SERVICE_UNAVAILABLE,
        SessionRefused::Jobs { .. } | SessionRefused::Field { .. } | SessionRefused::Voucher(_) => {
            StatusCode::BAD_REQUEST
        }
    }
}

impl Service {
    /// A call, and its place among those that may have the chain asked.
    async fn message<M: Message>(&self, headers: &HeaderMap, body: Body) -> Result<(M, OwnedSemaphorePermit), Refusal> {
        let place = self.lookups.clone().try_acquire_owned();
        let place = place.map_err(|_| Refusal::busy("too many sessions are looked up"))?;
        let (bytes, _room) = self.read(headers, body, M::LIMIT_BYTES).await?;
        Ok((M::from_wire(&bytes).map_err(malformed)?, place))
    }
}

pub(super) async fn offer(State(service): State<Service>, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    let (call, _place) = service.message::<SessionCall>(&headers, body).await?;
    Ok(service.octets(service.desk.offer_session(&call).await?.to_wire()))
}

pub(super) async fn order(
    State(service): State<Service>,
    path: Number,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let Path(session) = path?;
    let (call, _place) = service.message::<SessionOrderCall>(&headers, body).await?;
    service.desk.session_order(SessionId(session), &call).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn voucher(
    State(service): State<Service>,
    path: Number,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let Path(session) = path?;
    let (call, _place) = service.message::<VoucherCall>(&headers, body).await?;
    service.desk.session_voucher(SessionId(session), &call).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn end(
    State(service): State<Service>,
    path: Number,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let Path(session) = path?;
    let (call, _place) = service.message::<EndCall>(&headers, body).await?;
    Ok(service.octets(service.desk.end_session(SessionId(session), &call).await?.to_wire()))
}

pub(super) async fn receipt(State(service): State<Service>, path: Number) -> Result<Response, Refusal> {
    let Path(job) = path?;
    Ok(service.octets(service.desk.session_receipt(JobId(job))?.to_wire()))
}
