//! Starting and stopping: store, chain thread and server as one thing.

use crate::{
    block::{Verified, VerifyError},
    chain::{Chain, Command, SealError},
    figures::Figures,
    genesis::{self, Endowments, GenesisError},
    pool::PoolLimits,
    rpc::{Context, MethodCounts, ServeError, Server, ServerLimits, serve},
    runtime::{BlockNumber, Hash},
    sealing::{self, Habits, Seal, StartSealingError},
    store::{Place, Store, StoreError},
};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

/// How to run a chain.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to answer; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the state is kept.
    pub place: Place,
    /// When a block is made.
    pub seal: Seal,
    /// An empty block after so long without one; `None` for never.
    pub heartbeat: Option<Duration>,
    /// Who owns what at genesis. `None`: what the folder began with, or [`Endowments::development`] in a new one.
    pub endowments: Option<Endowments>,
    /// Accounts are mapped for contracts by `revive.map_account` alone, as on most public chains, instead of when they
    /// come into being. Asked of a folder whose chain does otherwise, it is refused.
    pub explicit_mapping: bool,
    /// Between `inBlock` and `finalized` of a watched transaction; polkadot.js misses the first without it.
    pub finality_gap: Duration,
    /// What the pool accepts at most.
    pub pool: PoolLimits,
    /// What the server accepts at most.
    pub server: ServerLimits,
}

impl Config {
    /// In memory, on a free port, with the defaults of the command line.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            place: Place::Memory,
            seal: Seal::Tick(Duration::from_millis(100)),
            heartbeat: Some(Duration::from_secs(6)),
            endowments: None,
            explicit_mapping: false,
            finality_gap: Duration::from_millis(150),
            pool: PoolLimits::default(),
            server: ServerLimits::default(),
        }
    }

    /// As [`Config::in_memory`], but kept in a folder.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { place: Place::Folder(folder.into()), ..Self::in_memory() }
    }
}

/// The chain did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store or the genesis in it.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// Somebody else answers on the port.
    #[error("{listen} is taken by another process")]
    PortTaken {
        /// The address asked for.
        listen: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("listen on {listen}")]
    Listen {
        /// The address asked for.
        listen: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Threads could not be started.
    #[error("start the chain's threads")]
    Threads(#[source] io::Error),
    /// Two methods have one name: a fault of this program.
    #[error("register the server's methods")]
    Methods(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Genesis(error.into())
    }
}

impl From<StartSealingError> for StartError {
    fn from(error: StartSealingError) -> Self {
        match error {
            StartSealingError::Store(error) => error.into(),
            StartSealingError::Thread(source) => Self::Threads(source),
        }
    }
}

impl From<ServeError> for StartError {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Threads(source) => Self::Threads(source),
            ServeError::Listen { listen, source } if source.kind() == io::ErrorKind::AddrInUse => {
                Self::PortTaken { listen }
            }
            ServeError::Listen { listen, source } => Self::Listen { listen, source },
            ServeError::Register(error) => Self::Methods(Box::new(error)),
        }
    }
}

/// Starts chains.
pub struct DevChain;

impl DevChain {
    /// Opens the state, starts the chain thread and answers on the port. Works in and outside of async code.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(config: Config) -> Result<Running, StartError> {
        let store = Arc::new(Store::open(&config.place)?);
        genesis::ensure(&store, config.endowments.as_ref(), config.explicit_mapping)?;
        let habits = Habits { seal: config.seal, heartbeat: config.heartbeat, limits: config.pool };
        let counts = MethodCounts::default();
        let figures = Figures::new(counts.clone());
        let fault = sealing::Fault::default();
        let (chain, thread) = sealing::start(store, habits, figures.clone(), fault.clone())?;
        let mut sealer = Sealer { chain: chain.clone(), thread: Some(thread), fault };
        let context = Context::new(chain, config.finality_gap);
        match serve(config.listen, config.server, context, counts, figures) {
            Ok(server) => Ok(Running { url: format!("ws://{}", server.listen), server, sealer }),
            Err(error) => {
                sealer.stop();
                Err(error.into())
            }
        }
    }
}

/// A chain that runs until [`Running::stop`] or until it is dropped.
pub struct Running {
    url: String,
    sealer: Sealer,
    server: Server,
}

struct Sealer {
    chain: Chain,
    thread: Option<JoinHandle<()>>,
    fault: sealing::Fault,
}

impl Sealer {
    fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.chain.commands.send(Command::Stop);
            let _ = thread.join();
        }
    }
}

impl Running {
    /// Where clients connect: `ws://ADDRESS:PORT`. HTTP answers on the same port.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address it listens on.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.server.listen
    }

    /// Direct access, without JSON in between.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.sealer.chain
    }

    /// Hash of block 0.
    #[must_use]
    pub fn genesis(&self) -> Hash {
        self.sealer.chain.genesis()
    }

    /// Seals that many empty blocks now and returns the new height. Blocks the calling thread.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal_blocks(&self, blocks: u32) -> Result<BlockNumber, SealError> {
        futures::executor::block_on(self.sealer.chain.seal_empty(blocks))
    }

    /// Re-executes every block up to the newest. Blocks the calling thread.
    ///
    /// # Errors
    /// The first [`VerifyError`] met.
    pub fn verify(&self) -> Result<Verified, VerifyError> {
        self.sealer.chain.verify()
    }

    /// Which methods were called, and how often.
    #[must_use]
    pub fn method_counts(&self) -> &MethodCounts {
        &self.server.counts
    }

    /// Returns when the chain thread has ended by itself, with what the store said: it ends when no further block
    /// can be kept. None is a fault of this program.
    pub async fn ended(&self) -> Option<&StoreError> {
        let mut heads = self.sealer.chain.heads();
        while heads.changed().await.is_ok() {}
        self.sealer.fault.get()
    }

    /// Seals what is ready, keeps the other pooled transactions for the next start, and stops answering.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        self.sealer.stop();
        self.server.stop();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shut_down();
    }
}
