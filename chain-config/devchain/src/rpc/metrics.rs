//! `GET /metrics`, beside JSON-RPC on the same port.

use crate::figures::Figures;
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};
use tower::Service;

/// Answers `GET /metrics` and hands everything else on.
#[derive(Clone)]
pub(super) struct WithMetrics<S> {
    pub(super) inner: S,
    pub(super) figures: Figures,
}

/// The answer of one or the other.
pub(super) enum Answer<F, E> {
    Metrics(Ready<Result<HttpResponse, E>>),
    Inner(Pin<Box<F>>),
}

impl<S, B> Service<HttpRequest<B>> for WithMetrics<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
{
    type Response = HttpResponse;
    type Error = S::Error;
    type Future = Answer<S::Future, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        if request.method() == "GET" && request.uri().path() == "/metrics" {
            return Answer::Metrics(ready(Ok(metrics(&self.figures))));
        }
        Answer::Inner(Box::pin(self.inner.call(request)))
    }
}

fn metrics(figures: &Figures) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::default());
    match figures.text() {
        Ok(text) => {
            if let Ok(kind) = "application/openmetrics-text; version=1.0.0; charset=utf-8".parse() {
                response.headers_mut().insert("content-type", kind);
            }
            *response.body_mut() = HttpBody::from(text);
        }
        // A string takes everything; a figure that cannot say itself is a fault of ours.
        Err(error) => tracing::error!(%error, "figures cannot be written"),
    }
    response
}

impl<F, E> Future for Answer<F, E>
where
    F: Future<Output = Result<HttpResponse, E>>,
{
    type Output = Result<HttpResponse, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Metrics(answer) => Pin::new(answer).poll(cx),
            Self::Inner(answer) => answer.as_mut().poll(cx),
        }
    }
}
