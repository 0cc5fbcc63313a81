//! Calls to worker and creator about a session.

use super::Book;
use crate::{driver::Runner, error::JobError, workers::read_limited};
use encompute_chain::SubmitJob;
use encompute_host::clock::{self, Instant};
use encompute_protocol::{VersionManifest, call::ReadWorker, wire::Message};
use std::time::Duration;

/// How long one call may take: a tail runs within it.
const WITHIN: Duration = Duration::from_secs(70);
/// What it may take at least, though there is no more time.
const LEAST: Duration = Duration::from_secs(1);
/// Pause before the same call is made again.
const AGAIN: Duration = Duration::from_millis(100);
/// Longest answer.
const ANSWER_LIMIT_BYTES: usize = 4096;

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payee {
    Worker,
    Creator,
}

/// Where worker and creator of a session serve.
pub(super) struct Addresses {
    pub(super) worker: String,
    pub(super) creator: String,
}

/// A call that was not answered as it should be.
pub(super) enum NotAnswered {
    /// It is away, busy, or not that far.
    Later(String),
    /// It will never be.
    Never(String),
}

impl NotAnswered {
    pub(super) fn words(self) -> String {
        match self {
            Self::Later(found) | Self::Never(found) => found,
        }
    }
}

/// One call; the body of the answer.
pub(super) async fn call(
    http: &reqwest::Client,
    url: &str,
    path: &str,
    body: Option<Vec<u8>>,
    within: Duration,
) -> Result<Vec<u8>, NotAnswered> {
    let url = format!("{}{path}", url.trim_end_matches('/'));
    let request = match body {
        Some(body) => http.post(url).header("content-type", "application/octet-stream").body(body),
        None => http.get(url),
    };
    let later = |error: &dyn std::error::Error| NotAnswered::Later(error.to_string());
    let answer = request.timeout(within.clamp(LEAST, WITHIN)).send().await.map_err(|error| later(&error))?;
    let status = answer.status();
    let body = read_limited(answer, ANSWER_LIMIT_BYTES).await.map_err(|error| later(&error))?;
    if status.is_success() {
        return Ok(body);
    }
    let words = String::from_utf8_lossy(&body[..body.len().min(300)]).trim().to_owned();
    let found = format!("{status}: {words}");
    match status.as_u16() {
        404 | 425 | 429 | 500..=599 => Err(NotAnswered::Later(found)),
        _ => Err(NotAnswered::Never(found)),
    }
}

/// The same until it is answered, or `until`.
pub(super) async fn insist(
    http: &reqwest::Client,
    url: &str,
    path: &str,
    body: Option<&[u8]>,
    until: Instant,
) -> Result<Vec<u8>, String> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match call(http, url, path, body.map(<[u8]>::to_vec), left).await {
            Ok(answer) => return Ok(answer),
            Err(NotAnswered::Never(found)) => return Err(found),
            Err(NotAnswered::Later(found)) if Instant::now() >= until => return Err(found),
            Err(NotAnswered::Later(found)) => tracing::debug!(path, found, "no answer yet"),
        }
        clock::sleep(AGAIN).await;
    }
}

impl<M: SubmitJob> Runner<M> {
    pub(super) async fn addresses(&self, book: &Book, manifest: &VersionManifest) -> Result<Addresses, JobError> {
        let worker = book.record().worker;
        let found = self.services.market.read(ReadWorker { worker }).await.map_err(JobError::Read)?;
        let (_, url) =
            found.ok_or_else(|| JobError::Session { found: format!("worker {worker} is not registered") })?;
        Ok(Addresses { worker: url.as_str().into(), creator: manifest.creator_url.as_str().into() })
    }

    /// Brings every voucher that they have not taken to worker and creator, in order. Whoever is away has them the next
    /// time; gives what each of the two that was left behind said.
    pub(super) async fn deliver(
        &self,
        book: &mut Book,
        addresses: &Addresses,
        until: Instant,
    ) -> Result<Vec<(Payee, String)>, JobError> {
        let path = format!("/v1/sessions/{}/vouchers", book.session());
        let mut behind = Vec::new();
        for payee in [Payee::Worker, Payee::Creator] {
            let url = if payee == Payee::Worker { &addresses.worker } else { &addresses.creator };
            loop {
                let told = book.record().told;
                let index = if payee == Payee::Worker { told.0 } else { told.1 };
                if index >= book.record().count.done() {
                    break;
                }
                let body = book.voucher(index)?.to_wire();
                if let Err(found) = insist(&self.services.http, url, &path, Some(&body), until).await {
                    tracing::warn!(?payee, found, "a voucher was not taken");
                    behind.push((payee, found));
                    break;
                }
                book.update(|record| match payee {
                    Payee::Worker => record.told.0 = index + 1,
                    Payee::Creator => record.told.1 = index + 1,
                })?;
            }
        }
        Ok(behind)
    }
}
