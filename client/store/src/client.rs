//! Blobs behind somebody's gateway.

use crate::blobs::{Blobs, ByteLimit, GetError, PutError};
use crate::http::{ClientError, SILENCE, http_client};
use bytes::{Bytes, BytesMut};
use core::{future::Future, pin::pin, time::Duration};
use encompute_host::{clock, sendable};
use encompute_protocol::BlobDigest;
use futures::StreamExt;
use reqwest::{StatusCode, header::CONTENT_LENGTH};

/// Most of a refusal's words that are kept.
const REASON_CHARS: usize = 200;
/// How long one blob may take, however steadily its bytes drip.
const MESSAGE_TIME: Duration = Duration::from_secs(15 * 60);
/// Memory taken on a gateway's word for a length, before the first byte has come.
const TRUSTED_BYTES: u64 = 1024 * 1024;

/// Talks to a gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub struct GatewayClient {
    http: reqwest::Client,
    base: String,
    message: Duration,
}

impl GatewayClient {
    /// A client of the gateway at this base URL. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn new(url: &str) -> Result<Self, ClientError> {
        let named = ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
        if !named {
            return Err(ClientError::Url { found: url.to_owned() });
        }
        Ok(Self { http: http_client()?, base: url.trim_end_matches('/').to_owned(), message: MESSAGE_TIME })
    }

    /// The same client, which gives a blob this long to arrive whole, or to be taken whole. A gateway may
    /// be silent for a minute at most whatever is said here.
    pub fn within(self, message: Duration) -> Self {
        Self { message, ..self }
    }

    /// The gateway's base URL.
    pub fn url(&self) -> &str {
        &self.base
    }

    fn blob_url(&self, digest: BlobDigest) -> String {
        format!("{}/v1/blobs/{digest}", self.base)
    }

    /// What comes of waiting for the gateway. A browser has no patience of its own that ends: without this one, a gateway
    /// that takes a question and falls silent would be waited for as long as the tab is open.
    async fn heard<T>(&self, digest: BlobDigest, next: impl Future<Output = T>) -> Result<T, GetError> {
        let silent = |_| GetError::TimedOut { url: self.base.clone(), digest };
        clock::timeout(SILENCE, next).await.map_err(silent)
    }

    fn get_error(&self, digest: BlobDigest, error: reqwest::Error) -> GetError {
        let url = self.base.clone();
        match error.is_timeout() {
            true => GetError::TimedOut { url, digest },
            false => GetError::Unreachable { url, source: error.into() },
        }
    }

    /// Length of a blob as the gateway keeps it, none if it keeps none. Where the length is another than the
    /// blob's, its bytes are others, too.
    ///
    /// # Errors
    /// [`GetError`].
    pub async fn length(&self, digest: BlobDigest) -> Result<Option<u64>, GetError> {
        let sent = self.heard(digest, self.http.head(self.blob_url(digest)).send()).await?;
        let answer = sent.map_err(|error| self.get_error(digest, error))?;
        match answer.status() {
            StatusCode::OK => Ok(Some(told(&answer, reqwest::header::CONTENT_LENGTH.as_str()))),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.refused(digest, answer).await),
        }
    }

    async fn refused(&self, digest: BlobDigest, answer: reqwest::Response) -> GetError {
        let status = answer.status();
        match status {
            StatusCode::NOT_FOUND => GetError::NotFound { digest },
            StatusCode::REQUEST_TIMEOUT => GetError::TimedOut { url: self.base.clone(), digest },
            _ => {
                let (url, status) = (self.base.clone(), status.as_u16());
                GetError::Refused { url, digest, status, reason: reason(answer).await }
            }
        }
    }
}

/// The beginning of what a refusal says. Read piecewise: its length is the other side's choice.
async fn reason(answer: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    let mut chunks = pin!(answer.bytes_stream());
    while let Some(Ok(chunk)) = chunks.next().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= 4 * REASON_CHARS {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    text.chars().filter(|c| !c.is_control()).take(REASON_CHARS).collect()
}

impl GatewayClient {
    async fn bring(&self, bytes: Bytes) -> Result<BlobDigest, PutError> {
        let digest = BlobDigest::of(&bytes);
        let found_bytes = bytes.len() as u64;
        let url = self.base.clone();
        // A gateway that has the blob need not be sent it; one that cannot say, or has something else in its
        // place, is sent it.
        if self.length(digest).await.is_ok_and(|kept| kept == Some(found_bytes)) {
            return Ok(digest);
        }
        // Said here, because a client leaves the length of an empty body unsaid, and a gateway asks for it.
        let put = self.http.put(self.blob_url(digest)).timeout(self.message).header(CONTENT_LENGTH, found_bytes);
        let answer = match put.body(bytes).send().await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => return Err(PutError::TimedOut { url, digest }),
            Err(error) => return Err(PutError::Unreachable { url, source: error.into() }),
        };
        match answer.status() {
            StatusCode::OK | StatusCode::CREATED => Ok(digest),
            StatusCode::PAYLOAD_TOO_LARGE => Err(PutError::TooLarge {
                digest,
                found_bytes,
                limit_bytes: ByteLimit(told(&answer, "encompute-limit-bytes")),
            }),
            StatusCode::INSUFFICIENT_STORAGE => {
                Err(PutError::Full { needed_bytes: found_bytes, left_bytes: told(&answer, "encompute-left-bytes") })
            }
            StatusCode::REQUEST_TIMEOUT => Err(PutError::TimedOut { url, digest }),
            StatusCode::TOO_MANY_REQUESTS => Err(PutError::TooMuch { wait_secs: told(&answer, "retry-after"), url }),
            status => {
                let status = status.as_u16();
                Err(PutError::Refused { url, digest, status, reason: reason(answer).await })
            }
        }
    }

    async fn fetch(&self, digest: BlobDigest, limit: ByteLimit) -> Result<Bytes, GetError> {
        let sent = self.heard(digest, self.http.get(self.blob_url(digest)).timeout(self.message).send()).await?;
        let answer = sent.map_err(|error| self.get_error(digest, error))?;
        if answer.status() != StatusCode::OK {
            return Err(self.refused(digest, answer).await);
        }
        let too_large = |found_bytes| GetError::TooLarge { digest, found_bytes, limit_bytes: limit };
        let announced = answer.content_length().unwrap_or(0);
        if announced > limit.0 {
            return Err(too_large(announced));
        }
        let mut bytes = BytesMut::with_capacity(announced.min(TRUSTED_BYTES) as usize);
        let mut chunks = pin!(answer.bytes_stream());
        while let Some(chunk) = self.heard(digest, chunks.next()).await? {
            match chunk {
                Ok(chunk) => {
                    let so_far = bytes.len() as u64 + chunk.len() as u64;
                    if so_far > limit.0 {
                        return Err(too_large(so_far));
                    }
                    bytes.extend_from_slice(&chunk);
                }
                Err(error) if error.is_timeout() => {
                    return Err(GetError::TimedOut { url: self.base.clone(), digest });
                }
                Err(error) => {
                    let found_bytes = bytes.len() as u64;
                    return Err(GetError::Truncated { digest, found_bytes, source: error.into() });
                }
            }
        }
        match BlobDigest::of(&bytes) {
            found if found == digest => Ok(bytes.freeze()),
            found => Err(GetError::Damaged { digest, found }),
        }
    }
}

impl Blobs for GatewayClient {
    fn put(&self, bytes: Bytes) -> impl Future<Output = Result<BlobDigest, PutError>> + Send {
        sendable(self.bring(bytes))
    }

    fn get(&self, digest: BlobDigest, limit: ByteLimit) -> impl Future<Output = Result<Bytes, GetError>> + Send {
        sendable(self.fetch(digest, limit))
    }

    fn has(&self, digest: BlobDigest) -> impl Future<Output = Result<bool, GetError>> + Send {
        sendable(async move { Ok(self.length(digest).await?.is_some()) })
    }
}

fn told(answer: &reqwest::Response, header: &str) -> u64 {
    answer.headers().get(header).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}
