//! The worker as one process: from a configuration to a worker that serves, and down again.

use crate::custody::MakeCustodian;
use crate::desk::Desk;
use crate::heads::Heads;
use crate::health::Health;
use crate::http::router;
use crate::journal::Journal;
use crate::keys::WorkerKeys;
use crate::pool::{Pool, PoolLimits};
use crate::registration::{RegisterError, Wish};
use crate::rollup::{PostError, Rollup};
use crate::voice::Voice;
use crate::watch::Watch;
use crate::world::World;
use encompute_attest::client::{CollateralService, FetchError, GuestAgent, GuestError};
use encompute_attest::network::{TrustError, root_of};
use encompute_chain::{Client, ConnectError, ReadError, Signer};
use encompute_networks::Network;
use encompute_protocol::call::ReadParams;
use encompute_protocol::{Address, ContractAddress, CostUnits, Params, Plancks, Text};
use encompute_store::{ClientError, GatewayClient, HttpLimits, ListenError, StateDir, StateError, listen, serve_http};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// How long a connection may be silent. Longer than a round may take, for its client waits silently.
const IDLE: Duration = Duration::from_secs(90);
/// Bodies in memory, all together: 256 MiB.
const BODY_BYTES: usize = 256 * 1024 * 1024;
/// Compiled heads in memory: 4 GiB.
const HEAD_BYTES: usize = 4 * 1024 * 1024 * 1024;
/// Longest that one call may compute.
const CALL_TIME: Duration = Duration::from_secs(60);
/// Rounds that wait for each one that computes.
const WAITING_PER_RUNNING: usize = 8;
/// How long a worker that is to stop goes on with the jobs in its hands: with a second each for connections and
/// threads it has ended within eight.
const DRAIN_TIME: Duration = Duration::from_secs(6);

/// What a worker runs with.
pub struct WorkerConfig {
    /// The network.
    pub network: Network,
    /// Who registers, stakes, claims and commits.
    pub speaker: Speaker,
    /// Folder of keys and journal.
    pub state: PathBuf,
    /// Address to listen on; port 0 takes the one of the last start, else any free one.
    pub listen: SocketAddr,
    /// Where clients reach it; the address listened on if none is given.
    pub url: Option<Text<200>>,
    /// The guest agent: a socket or an URL; found as dstack's own clients find it if none is given.
    pub guest_agent: Option<String>,
    /// The collateral service; the network's if none is given.
    pub collateral: Option<String>,
    /// Most jobs held at once.
    pub capacity: u16,
    /// Least stake; see [`Wish::stake`].
    pub stake: Option<Plancks>,
    /// Who is credited; the account itself if none is given. An anchor's owner has said so for good.
    pub payout: Option<Address>,
    /// The costliest head that is run.
    pub cost_limit: CostUnits,
    /// Rounds computed at once.
    pub threads: usize,
    /// Who keeps keys for users who are away; a plain worker has nobody.
    pub custodian: Option<MakeCustodian>,
}

/// How a worker is to speak to the market.
pub enum Speaker {
    /// By an account that pays.
    Account(Signer),
    /// Over an anchor, by way of a relayer who pays.
    Anchor {
        /// The anchor.
        anchor: ContractAddress,
        /// The relayer's address.
        relay: String,
    },
}

/// What a worker is once it serves.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Address listened on.
    pub listen: SocketAddr,
    /// Where clients reach it.
    pub url: Text<200>,
    /// The worker's account.
    pub account: Address,
    /// Its registration.
    pub record: encompute_protocol::WorkerRecord,
    /// True where the trust root is a development one.
    pub development: bool,
}

/// A worker that could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The state folder cannot be used.
    #[error("open the state folder")]
    State(#[from] StateError),
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
    /// The chain cannot be read.
    #[error("read the contract's parameters")]
    Read(#[from] ReadError),
    /// The gateway's address is none.
    #[error("prepare the HTTP client")]
    Http(#[from] ClientError),
    /// There is no guest agent.
    #[error("find the guest agent")]
    Guest(#[from] GuestError),
    /// The collateral service's address is none.
    #[error("find the collateral service")]
    Collateral(#[from] FetchError),
    /// The address is taken, or not this machine's.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A fault of this program.
    #[error("the HTTP server ended")]
    Server,
    /// Longer than the contract keeps.
    #[error("the worker's address is longer than 200 bytes")]
    Url,
    /// A custodian that cannot keep anything.
    #[error("keep keys in custody: {0}")]
    Custody(String),
    /// The anchor is none of this worker's.
    #[error("speak over the anchor")]
    Anchor(#[from] PostError),
    /// The registration was refused.
    #[error("register")]
    Register(#[from] RegisterError),
}

/// Runs a worker until `shutdown` resolves: attests, registers, calls `ready`, serves. Then it takes
/// no new jobs, finishes those in its hands for at most six seconds, and stops; what is left
/// is in the journal and goes on at the next start.
///
/// # Errors
/// [`RunError`]; a worker that has once been ready stops for nothing but `shutdown` and its listener.
pub async fn run(
    config: WorkerConfig,
    ready: impl FnOnce(&Ready),
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), RunError> {
    let mut shutdown = core::pin::pin!(shutdown);
    // Heard from the beginning: a stop must not wait for a chain that is away, nor fall between start and service.
    let Started { desk, wish, params, listener, listen, development } = tokio::select! {
        started = start(config) => started?,
        () = &mut shutdown => return Ok(()),
    };
    let url = wish.url.clone();
    let (account, record) = (desk.world.address(), desk.record());
    let watch = tokio::spawn(Watch::new(desk.clone(), wish, params).run());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let routes = router(desk.clone(), Arc::new(Health { url: url.clone() }), BODY_BYTES);
    let limits = HttpLimits { idle: IDLE, ..HttpLimits::default() };
    let mut server = tokio::spawn(serve_http(listener, routes, limits, async { stopped.await.unwrap_or(()) }));
    ready(&Ready { listen, url, account, record, development });

    tokio::select! {
        () = &mut shutdown => {}
        _ = &mut server => return Err(RunError::Server),
    }
    drain(&desk).await;
    watch.abort();
    // The server may be gone already; there is nothing to tell it then.
    let _ = stop.send(());
    if tokio::time::timeout(Duration::from_secs(1), server).await.is_err() {
        warn!("connections that were still open are cut");
    }
    info!("stopped");
    Ok(())
}

/// A worker that is registered, before it serves.
struct Started {
    desk: Arc<Desk>,
    wish: Wish,
    params: Params,
    listener: tokio::net::TcpListener,
    listen: SocketAddr,
    development: bool,
}

async fn start(config: WorkerConfig) -> Result<Started, RunError> {
    let state = Arc::new(StateDir::hold(&config.state)?);
    let world = Arc::new(world(&config, WorkerKeys::open(&state)?).await?);
    let (listener, listen) = listen(&state, config.listen).await?;
    let url = match config.url {
        Some(url) => url,
        None => Text::new(format!("http://{listen}")).map_err(|_| RunError::Url)?,
    };
    let payout = match &world.voice {
        Voice::Anchor(rollup) => rollup.record().payout,
        Voice::Account(account) => config.payout.unwrap_or(account.address()),
    };
    let wish = Wish { capacity: config.capacity, stake: config.stake, url, payout };
    let record = world.ensure_registered(&wish).await?;
    let params = world.client().read(ReadParams {}).await?;
    let running = config.threads.max(1);
    let pool = Pool::new(PoolLimits { running, waiting: running * WAITING_PER_RUNNING, time: CALL_TIME });
    let heads = Heads::new(world.clone(), pool.clone(), config.cost_limit, HEAD_BYTES);
    let development = world.network.is_development();
    let custodian = match (config.custodian, &world.voice) {
        (None, _) => None,
        (Some(make), Voice::Account(account)) => {
            Some(make(world.custodian_config(account, config.state.join("custody")))?)
        }
        // What an anchor passes on is fixed, and no features are among it.
        (Some(_), Voice::Anchor(_)) => {
            return Err(RunError::Custody("a worker behind an anchor sends no features".into()));
        }
    };
    let desk = Desk::new(world, heads, pool, Journal::new(state), record).with_custodian(custodian);
    let desk = Arc::new(desk);
    Ok(Started { desk, wish, params, listener, listen, development })
}

/// Takes no new jobs, and waits for those in hand.
async fn drain(desk: &Desk) {
    desk.places().set_closed(true);
    let started = tokio::time::Instant::now();
    loop {
        let jobs = desk.places().jobs();
        if jobs == 0 {
            return;
        }
        if started.elapsed() > DRAIN_TIME {
            return warn!(jobs, "jobs in hand go on at the next start");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn world(config: &WorkerConfig, keys: WorkerKeys) -> Result<World, RunError> {
    let network = config.network.clone();
    let root = root_of(&network.trust)?;
    let contract = network.chain.contract.ok_or(RunError::NoContract)?;
    let gateway = network.gateway.as_ref().ok_or(RunError::NoGateway)?;
    let gateway = GatewayClient::new(gateway.as_str())?;
    let guest = match &config.guest_agent {
        Some(endpoint) => GuestAgent::at(endpoint)?,
        None => GuestAgent::locate()?,
    };
    let collateral = config.collateral.as_deref().unwrap_or(network.trust.collateral.as_str());
    let collateral = CollateralService::at(collateral)?;
    if root.kind() == encompute_attest::RootKind::Development {
        warn!("the network trusts a development root: quotes prove nothing about any machine");
    }
    let (client, http) = (Client::connect(&network).await?, encompute_store::http_client()?);
    let voice = match &config.speaker {
        Speaker::Account(signer) => Voice::Account(client.signed_by(signer.clone())),
        Speaker::Anchor { anchor, relay } => {
            let way = (*anchor, relay.clone());
            Voice::Anchor(Box::new(Rollup::open(client, way, &keys, http.clone()).await?))
        }
    };
    Ok(World { root, voice, contract, gateway, guest, collateral, http, keys: Arc::new(keys), network })
}
