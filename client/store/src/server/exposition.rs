//! Figures for Prometheus.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::{encoding::text::encode, registry::Registry};

/// The body of `GET /metrics`: every figure of `registry` in the OpenMetrics text format. Figures are
/// counts, durations and sizes; none of them names a user, a job or a value.
pub fn exposition(registry: &Registry) -> Response {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        // A string takes everything; a figure that cannot say itself is a fault of ours.
        Err(error) => {
            tracing::error!(%error, "figures cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
