//! JSON-RPC over a WebSocket that is made anew when it breaks.

use crate::error::Fault;
use core::time::Duration;
use std::sync::{Arc, OnceLock};
use subxt::{
    ext::jsonrpsee::core::{
        client::{Client as Socket, ClientT, Error as SocketError},
        traits::ToRpcParams,
    },
    rpcs::{
        self,
        client::{RawRpcFuture, RawRpcSubscription, RawValue, RpcClientT},
    },
};
use tokio::sync::Mutex;

/// How long it may take to reach the node.
#[cfg(not(target_arch = "wasm32"))]
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one answer may take. Operations of several requests have their own, shorter patience.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest answer taken: a block of 10 MiB in hexadecimal fits twice.
#[cfg(not(target_arch = "wasm32"))]
const ANSWER_LIMIT_BYTES: u32 = 48 * 1024 * 1024;
/// Notifications kept for a reader that is behind.
const NOTIFICATIONS_KEPT: usize = 4_096;

/// One node. Requests that find the connection broken make a new one; those that may be repeated
/// are, once. A node that comes back with another chain is not spoken to.
pub(crate) struct Wire {
    url: String,
    socket: Mutex<Option<Arc<Socket>>>,
    genesis: OnceLock<String>,
}

struct Params(Option<Box<RawValue>>);

impl ToRpcParams for Params {
    fn to_rpc_params(self) -> Result<Option<Box<RawValue>>, serde_json::Error> {
        Ok(self.0)
    }
}

impl Wire {
    pub(crate) fn new(url: &str) -> Arc<Self> {
        Arc::new(Self { url: url.to_owned(), socket: Mutex::new(None), genesis: OnceLock::new() })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// True while a connection stands. After a failed request it tells a lost node from a refusal.
    pub(crate) async fn stands(&self) -> bool {
        self.socket.lock().await.as_ref().is_some_and(|socket| socket.is_connected())
    }

    /// Connects, unless it stands.
    pub(crate) async fn connect(&self) -> Result<(), Fault> {
        self.live().await.map(drop).map_err(|error| Fault::Unreachable {
            url: self.url.clone(),
            reason: match error {
                rpcs::Error::Client(cause) => cause.to_string(),
                error => error.to_string(),
            },
        })
    }

    async fn live(&self) -> Result<Arc<Socket>, rpcs::Error> {
        let mut slot = self.socket.lock().await;
        if let Some(socket) = slot.as_ref().filter(|socket| socket.is_connected()) {
            return Ok(socket.clone());
        }
        *slot = None;
        let socket = Arc::new(self.dial().await?);
        let genesis: String = socket.request("chain_getBlockHash", Params(raw("[0]"))).await?;
        let known = self.genesis.get_or_init(|| genesis.clone());
        if *known != genesis {
            let reason = format!("it came back with another chain: genesis {genesis}, before it was {known}");
            return Err(rpcs::Error::Client(reason.into()));
        }
        *slot = Some(socket.clone());
        Ok(socket)
    }

    #[cfg(not(target_arch = "wasm32"))]
    async fn dial(&self) -> Result<Socket, rpcs::Error> {
        use subxt::ext::jsonrpsee::client_transport::ws::{Url, WsTransportClientBuilder};
        let failed = |error: &dyn std::error::Error| rpcs::Error::Client(words(error).into());
        let url = Url::parse(&self.url).map_err(|error| failed(&error))?;
        let transport = WsTransportClientBuilder::default()
            .connection_timeout(CONNECT_TIMEOUT)
            .max_response_size(ANSWER_LIMIT_BYTES)
            .max_request_size(ANSWER_LIMIT_BYTES);
        let (sender, receiver) = transport.build(url).await.map_err(|error| failed(&error))?;
        Ok(Socket::builder()
            .request_timeout(REQUEST_TIMEOUT)
            .max_buffer_capacity_per_subscription(NOTIFICATIONS_KEPT)
            .enable_ws_ping(Default::default())
            .build_with_tokio(sender, receiver))
    }

    /// The browser opens the socket; how long an answer it takes is its own choice.
    #[cfg(target_arch = "wasm32")]
    async fn dial(&self) -> Result<Socket, rpcs::Error> {
        let dialling = subxt::ext::jsonrpsee::wasm_client::WasmClientBuilder::default()
            .request_timeout(REQUEST_TIMEOUT)
            .max_buffer_capacity_per_subscription(NOTIFICATIONS_KEPT)
            .build(&self.url);
        encompute_host::sendable(dialling).await.map_err(|error| rpcs::Error::Client(words(&error).into()))
    }
}

/// An error and what caused it, in one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        source = cause.source();
    }
    words
}

fn raw(json: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(json.to_owned()).ok()
}

/// True for what can be asked twice: everything but handing a transaction in.
fn may_be_repeated(method: &str) -> bool {
    !method.starts_with("author_submit") && !method.starts_with("transaction")
}

fn is_gone(error: &SocketError) -> bool {
    matches!(error, SocketError::RestartNeeded(_) | SocketError::Transport(_) | SocketError::ServiceDisconnect)
}

impl RpcClientT for Wire {
    fn request_raw<'a>(&'a self, method: &'a str, params: Option<Box<RawValue>>) -> RawRpcFuture<'a, Box<RawValue>> {
        Box::pin(async move {
            let socket = self.live().await?;
            match ClientT::request(&*socket, method, Params(params.clone())).await {
                Err(error) if is_gone(&error) && may_be_repeated(method) => {
                    tracing::debug!(url = self.url, method, %error, "connection broke; asking again");
                    let socket = self.live().await?;
                    Ok(ClientT::request(&*socket, method, Params(params)).await?)
                }
                answer => Ok(answer?),
            }
        })
    }

    fn subscribe_raw<'a>(
        &'a self,
        sub: &'a str,
        params: Option<Box<RawValue>>,
        unsub: &'a str,
    ) -> RawRpcFuture<'a, RawRpcSubscription> {
        Box::pin(async move { self.live().await?.subscribe_raw(sub, params, unsub).await })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_node_that_is_not_there_is_unreachable_and_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        drop(listener);
        let fault = Wire::new(&url).connect().await.unwrap_err();
        assert!(matches!(&fault, Fault::Unreachable { url: named, .. } if *named == url), "{fault}");
    }

    #[test]
    fn transactions_are_never_handed_in_twice_by_the_wire() {
        assert!(!may_be_repeated("author_submitAndWatchExtrinsic"));
        assert!(!may_be_repeated("transactionWatch_v1_submitAndWatch"));
        assert!(may_be_repeated("state_call"));
    }
}
