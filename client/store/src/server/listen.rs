//! An address that survives a restart.

use crate::state::{StateDir, StateError};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Where the last port is written down.
const FILE: &str = "port";
/// Digits of the longest port.
const FILE_BYTES: usize = 5;

/// A service that cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The port cannot be written down, or the last one not be read.
    #[error("keep the port")]
    State(#[from] StateError),
    /// The address is taken, or not this machine's.
    #[error("listen on {address}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Listens on `wanted`; where its port is 0, on the port of the last start if that is free, else on
/// any. Chain and manifests name a service's address for ever, so a restart takes the same one if it can.
///
/// # Errors
/// [`ListenError`].
pub async fn listen(state: &StateDir, wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), ListenError> {
    let last = match wanted.port() {
        0 => last_port(state)?,
        _ => None,
    };
    let again = match last {
        Some(port) => TcpListener::bind((wanted.ip(), port)).await.ok(),
        None => None,
    };
    let failed = |source| ListenError::Address { address: wanted, source };
    let listener = match again {
        Some(listener) => listener,
        None => TcpListener::bind(wanted).await.map_err(failed)?,
    };
    let address = listener.local_addr().map_err(failed)?;
    state.write(FILE, address.port().to_string().as_bytes())?;
    Ok((listener, address))
}

/// The port of the last start. A file that holds none is as good as no file: the port is a convenience.
fn last_port(state: &StateDir) -> Result<Option<u16>, StateError> {
    let bytes = match state.read(FILE, FILE_BYTES) {
        Err(StateError::TooLong { .. }) => None,
        read => read?,
    };
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::Ipv4Addr;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[tokio::test]
    async fn a_restart_takes_the_port_of_the_last_start() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::hold(root.path()).unwrap();
        let (listener, first) = listen(&state, ANY).await.unwrap();
        drop(listener);
        assert_eq!(listen(&state, ANY).await.unwrap().1, first);
    }

    #[tokio::test]
    async fn a_port_that_somebody_else_took_is_given_up() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::hold(root.path()).unwrap();
        let (_taken, first) = listen(&state, ANY).await.unwrap();
        let (_listener, second) = listen(&state, ANY).await.unwrap();
        assert_ne!(second, first);
    }

    #[tokio::test]
    async fn a_port_asked_for_is_that_one_or_a_reason() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::hold(root.path()).unwrap();
        let (_taken, first) = listen(&state, ANY).await.unwrap();
        assert!(matches!(listen(&state, first).await, Err(ListenError::Address { address, .. }) if address == first));
    }

    #[tokio::test]
    async fn a_damaged_port_file_costs_the_port_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::hold(root.path()).unwrap();
        for damage in [&b"654321"[..], b"none", b"\xff", b""] {
            state.write(FILE, damage).unwrap();
            assert!(listen(&state, ANY).await.is_ok());
        }
    }
}
