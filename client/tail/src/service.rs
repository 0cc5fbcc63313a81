//! The creator's service as one running thing: from a configuration until it is told to stop.

use crate::desk::Desk;
use crate::head_key::HeadKeys;
use crate::http::router;
use crate::nonces::Nonces;
use crate::release_log::ReleaseLog;
use crate::vault::{Vault, VaultError};
use crate::watch;
use encompute_attest::network::{TrustError, root_of};
use encompute_chain::{Client, ConnectError, Signer};
use encompute_networks::Network;
use encompute_protocol::{Address, KeyDigest};
use encompute_store::{ClientError, GatewayClient, HttpLimits, ListenError, StateDir, StateError, listen, serve_http};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Connections served at once; more wait in the system's queue.
const CONNECTIONS: usize = 128;
/// How long a connection may be silent: a head key is released after several looks at the chain.
const IDLE: Duration = Duration::from_secs(30);
/// How long a service that is to stop goes on with the jobs in its hands: with a second each for connections and
/// threads it has ended within eight.
const DRAIN_TIME: Duration = Duration::from_secs(6);

/// What the service runs with.
pub struct ServeConfig {
    /// The network.
    pub network: Network,
    /// The creator's account.
    pub signer: Signer,
    /// Folder of the vault; journal and release log lie under it.
    pub vault: PathBuf,
    /// Address to listen on; port 0 takes the one of the last start, else any free one.
    pub listen: SocketAddr,
}

/// What the service is once it serves.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Address listened on: what goes into manifests, unless a proxy stands before it.
    pub listen: SocketAddr,
    /// The creator's account.
    pub account: Address,
    /// To which users seal features.
    pub creator_key: KeyDigest,
    /// Versions in the vault.
    pub versions: usize,
}

/// A service that could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The vault cannot be used.
    #[error("open the vault")]
    Vault(#[from] VaultError),
    /// The journal cannot be used, or another process holds it.
    #[error("open the journal")]
    State(#[from] StateError),
    /// The release log cannot be written.
    #[error("open the release log")]
    Log(#[source] std::io::Error),
    /// The network file has no contract.
    #[error("the network file names no contract; deploy one first")]
    NoContract,
    /// The network file has no gateway.
    #[error("the network file names no blob gateway")]
    NoGateway,
    /// The network's trust root is none.
    #[error("read the network's trust root")]
    Trust(#[from] TrustError),
    /// The chain cannot be reached, or is another one.
    #[error("connect to the chain")]
    Connect(#[from] ConnectError),
    /// The gateway's address is none.
    #[error("prepare the HTTP client")]
    Http(#[from] ClientError),
    /// The address is taken, or not this machine's.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A fault of this program.
    #[error("the HTTP server ended")]
    Server,
}

/// Serves until `shutdown` resolves; calls `ready` once it answers. Then it finishes jobs in its
/// hands for at most six seconds; what is left is taken up again at the next start.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    config: ServeConfig,
    ready: impl FnOnce(&Ready),
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let vault = Vault::open(&config.vault)?;
    let key = vault.creator_key()?;
    let state = StateDir::hold(&vault.service_folder())?;
    let log = ReleaseLog::open(&vault.service_folder().join("releases.jsonl")).map_err(ServeError::Log)?;
    let network = config.network;
    let root = root_of(&network.trust)?;
    let contract = network.chain.contract.ok_or(ServeError::NoContract)?;
    let gateway = GatewayClient::new(network.gateway.as_ref().ok_or(ServeError::NoGateway)?.as_str())?;
    if network.is_development() {
        warn!("the network trusts a development root: head keys go to machines that prove nothing");
    }
    let mut shutdown = core::pin::pin!(shutdown);
    // Heard from the beginning: a stop must not fall between start and service.
    let account = tokio::select! {
        connected = Client::connect(&network) => connected?.signed_by(config.signer),
        () = &mut shutdown => return Ok(()),
    };
    let (listener, listen) = listen(&state, config.listen).await?;
    let facts = Ready {
        listen,
        account: account.address(),
        creator_key: key.public().digest(),
        versions: vault.versions()?.len(),
    };
    let nonces = Mutex::new(Nonces::new());
    let (started, keys_vault, keys_account) = (Instant::now(), vault.clone(), account.clone());
    let keys = HeadKeys { network, root, account: keys_account, contract, vault: keys_vault, log, nonces, started };
    let desk = Arc::new(Desk::new(account, contract, gateway, vault, key, state));
    let watch = tokio::spawn(watch::run(desk.clone()));

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let routes = router(Arc::new(keys), desk.clone());
    let limits = HttpLimits { connections: CONNECTIONS, idle: IDLE, ..HttpLimits::default() };
    let mut server = tokio::spawn(serve_http(listener, routes, limits, async { stopped.await.unwrap_or(()) }));
    ready(&facts);
    tokio::select! {
        () = &mut shutdown => {}
        _ = &mut server => return Err(ServeError::Server),
    }
    watch.abort();
    // The server may be gone already; there is nothing to tell it then.
    let _ = stop.send(());
    drain(&desk).await;
    if tokio::time::timeout(Duration::from_secs(1), server).await.is_err() {
        warn!("connections that were still open are cut");
    }
    info!("stopped");
    Ok(())
}

async fn drain(desk: &Desk) {
    let started = Instant::now();
    while desk.jobs_at_work() > 0 {
        if started.elapsed() > DRAIN_TIME {
            return warn!(jobs = desk.jobs_at_work(), "jobs at work are taken up again at the next start");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
