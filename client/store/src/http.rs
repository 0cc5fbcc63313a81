//! One HTTP client for every service of the house.

use core::time::Duration;

/// How long it may take to reach a service.
#[cfg(not(target_arch = "wasm32"))]
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a service may be silent in the middle of an answer.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

/// An HTTP client that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// TLS or the resolver cannot be set up.
    #[error("HTTP client cannot be set up")]
    Setup(#[source] reqwest::Error),
    /// A gateway that is no HTTP URL.
    #[error("gateway {found:?} is no URL that begins with http:// or https://")]
    Url {
        /// What was given.
        found: String,
    },
}

/// Makes ring the TLS provider of this process, unless one is there already.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn install_tls_provider() {
    // The only error is that somebody was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client for services of the house: TLS by ring, five seconds to connect, no redirects (a
/// redirect is how a service that was named becomes one that was not), no proxy from the environment.
///
/// # Errors
/// [`ClientError::Setup`].
#[cfg(not(target_arch = "wasm32"))]
pub fn http_client() -> Result<reqwest::Client, ClientError> {
    install_tls_provider();
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .build()
        .map_err(ClientError::Setup)
}

/// A client over the browser's `fetch`: connections and their security are the browser's; how long to wait for an answer
/// is the caller's to say.
///
/// # Errors
/// [`ClientError::Setup`].
#[cfg(target_arch = "wasm32")]
pub fn http_client() -> Result<reqwest::Client, ClientError> {
    reqwest::Client::builder().build().map_err(ClientError::Setup)
}
