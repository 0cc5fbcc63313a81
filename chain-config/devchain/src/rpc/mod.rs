//! The Substrate JSON-RPC that subxt and @polkadot/api call, and the little that Ethereum's wallets need, HTTP and
//! WebSocket on one port.
//!
//! Only complete groups are advertised: clients prefer the newer groups (`chainHead_v1`, …) as soon as one of their
//! methods is listed, and half of one hides errors. `payment_queryInfo` is left out too: its clients decode a weight
//! that no longer exists; fees are asked through `state_call`.

mod author;
mod chain;
mod count;
mod errors;
mod ethereum;
mod metrics;
mod state;
mod system;

pub use count::MethodCounts;

use crate::{chain::Chain, figures::Figures, sealing::STACK_BYTES};
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    server::{
        BatchRequestConfig, ServerBuilder, ServerConfig, SubscriptionMessage, SubscriptionSink,
        middleware::rpc::RpcServiceBuilder,
    },
};
use metrics::WithMetrics;
use serde::Serialize;
use std::{io, net::SocketAddr, thread::JoinHandle, time::Duration};
use tokio::sync::oneshot;

/// What the server accepts at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Open connections.
    pub connections: u32,
    /// Subscriptions of one connection.
    pub subscriptions_per_connection: u32,
    /// Bytes of one request; a 1 MiB contract is 2 MiB of hexadecimal.
    pub request_bytes: u32,
    /// Bytes of one response.
    pub response_bytes: u32,
    /// Calls in one batch.
    pub batch_calls: u32,
    /// Calls executed at the same time; more wait.
    pub parallel_calls: usize,
}

impl Default for ServerLimits {
    /// 256 connections, 256 subscriptions each, 8 MiB in, 32 MiB out, 128 calls a batch, 16 at a time.
    fn default() -> Self {
        Self {
            connections: 256,
            subscriptions_per_connection: 256,
            request_bytes: 8 * 1024 * 1024,
            response_bytes: 32 * 1024 * 1024,
            batch_calls: 128,
            parallel_calls: 16,
        }
    }
}

/// What every method works with.
pub(crate) struct Context {
    pub(crate) chain: Chain,
    /// Between `inBlock` and `finalized` of a watched transaction. A block is final as soon as it is written, but
    /// polkadot.js never reports `inBlock` when both arrive together.
    pub(crate) finality_gap: Duration,
    ethereum: ethereum::Index,
}

impl Context {
    pub(crate) fn new(chain: Chain, finality_gap: Duration) -> Self {
        Self { chain, finality_gap, ethereum: ethereum::Index::default() }
    }
}

type Module = RpcModule<Context>;

/// A server that answers until told to stop.
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    pub(crate) counts: MethodCounts,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The server did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("start the server's threads")]
    Threads(#[source] io::Error),
    #[error("listen on {listen}")]
    Listen {
        listen: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("register the methods")]
    Register(#[from] RegisterMethodError),
}

/// Serves on a thread and runtime of its own, so that callers may be synchronous or asynchronous.
pub(crate) fn serve(
    listen: SocketAddr,
    limits: ServerLimits,
    context: Context,
    counts: MethodCounts,
    figures: Figures,
) -> Result<Server, ServeError> {
    let module = module(context)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("rpc")
        .worker_threads(2)
        .max_blocking_threads(limits.parallel_calls)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(ServeError::Threads)?;
    let (ready, is_ready) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = counts.clone();
    let thread = std::thread::Builder::new()
        .name("rpc-main".into())
        .spawn(move || {
            runtime.block_on(async move {
                let middleware = RpcServiceBuilder::new().layer_fn(move |service| served.wrap(service));
                let metrics =
                    tower::ServiceBuilder::new().layer_fn(move |inner| WithMetrics { inner, figures: figures.clone() });
                let server = ServerBuilder::with_config(config(limits))
                    .set_rpc_middleware(middleware)
                    .set_http_middleware(metrics)
                    .build(listen);
                match server.await.and_then(|server| Ok((server.local_addr()?, server))) {
                    Err(source) => drop(ready.send(Err(ServeError::Listen { listen, source }))),
                    Ok((listen, server)) => {
                        let handle = server.start(module);
                        drop(ready.send(Ok(listen)));
                        // A dropped sender is a stop too.
                        let _ = stopped.await;
                        let _ = handle.stop();
                        // Open connections get a moment to read their last notifications.
                        let _ = tokio::time::timeout(Duration::from_secs(2), handle.stopped()).await;
                    }
                }
            });
            runtime.shutdown_timeout(Duration::from_secs(2));
        })
        .map_err(ServeError::Threads)?;
    match is_ready.recv() {
        Ok(Ok(listen)) => Ok(Server { listen, counts, stop: Some(stop), thread: Some(thread) }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ServeError::Threads(io::Error::other("the server's thread ended early"))),
    }
}

impl Server {
    /// Stops accepting, closes what is open, ends the threads.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn config(limits: ServerLimits) -> ServerConfig {
    ServerConfig::builder()
        .max_connections(limits.connections)
        .max_subscriptions_per_connection(limits.subscriptions_per_connection)
        .max_request_body_size(limits.request_bytes)
        .max_response_body_size(limits.response_bytes)
        .set_batch_request_config(BatchRequestConfig::Limit(limits.batch_calls))
        .set_tcp_no_delay(true)
        .build()
}

fn module(context: Context) -> Result<Module, RegisterMethodError> {
    let mut module = RpcModule::new(context);
    chain::register(&mut module)?;
    state::register(&mut module)?;
    author::register(&mut module)?;
    system::register(&mut module)?;
    ethereum::register(&mut module)?;
    let mut methods: Vec<&'static str> = module.method_names().collect();
    methods.push("rpc_methods");
    methods.sort_unstable();
    module.register_method("rpc_methods", move |_, _, _| serde_json::json!({ "methods": methods }))?;
    Ok(module)
}

/// Sends one notification; false when the subscriber is gone.
async fn send(sink: &SubscriptionSink, item: &impl Serialize) -> bool {
    let Ok(message) = SubscriptionMessage::new(sink.method_name(), sink.subscription_id(), item) else {
        return false;
    };
    sink.send(message).await.is_ok()
}
