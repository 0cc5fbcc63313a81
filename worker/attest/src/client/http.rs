//! One way of talking HTTP: short timeouts, bounded answers, no redirects.

use core::time::Duration;
use reqwest::redirect::Policy;

/// How long one request may take. A quote takes tens of milliseconds, Intel's service seconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A service that could not be asked, or did not answer as the protocol says. Says nothing about
/// any quote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The client could not be set up.
    #[error("HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
    /// No answer.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why there was no answer.
        source: reqwest::Error,
    },
    /// An answer with another status than success.
    #[error("{url} answered with status {status}: {body}")]
    Status {
        /// What was asked.
        url: String,
        /// HTTP status.
        status: u16,
        /// Start of the answer's text.
        body: String,
    },
    /// A longer answer than this service ever gives.
    #[error("{url} answered with more than {limit_bytes} bytes")]
    TooLong {
        /// What was asked.
        url: String,
        /// Bytes allowed.
        limit_bytes: usize,
    },
    /// An answer that is not what the protocol says.
    #[error("{url} answered without {wanted}")]
    Answer {
        /// What was asked.
        url: String,
        /// What was missing or malformed.
        wanted: &'static str,
    },
}

/// An answer within its limit.
pub(super) struct Answer {
    pub(super) url: String,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn wrong(&self, wanted: &'static str) -> AskError {
        AskError::Answer { url: self.url.clone(), wanted }
    }
}

/// A client for TCP, or for one unix socket.
pub(super) fn client(socket: Option<&std::path::Path>) -> Result<reqwest::Client, AskError> {
    // reqwest is built without a TLS provider of its own. A provider that is already there stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none());
    let builder = match socket {
        Some(path) => builder.unix_socket(path),
        None => builder,
    };
    builder.build().map_err(AskError::Client)
}

/// Sends a request and reads the answer, stopping at `limit_bytes`.
pub(super) async fn ask(request: reqwest::RequestBuilder, url: &str, limit_bytes: usize) -> Result<Answer, AskError> {
    let unreachable = |source| AskError::Unreachable { url: url.to_owned(), source };
    let mut response = request.send().await.map_err(unreachable)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > limit_bytes {
            return Err(AskError::TooLong { url: url.to_owned(), limit_bytes });
        }
        body.extend_from_slice(&chunk);
    }
    if !status.is_success() {
        let body = String::from_utf8_lossy(&body).chars().take(200).collect();
        return Err(AskError::Status { url: url.to_owned(), status: status.as_u16(), body });
    }
    Ok(Answer { url: url.to_owned(), headers, body })
}
