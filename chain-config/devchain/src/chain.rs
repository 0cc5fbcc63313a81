//! The chain as everyone but its thread sees it: submit, ask for blocks, read any state.
//!
//! Writes go through one bounded queue to the chain thread ([`crate::sealing`]); reads take a snapshot of the store
//! and a root and run wherever the caller is, beside sealing and beside each other.

use crate::{
    block::{BuildError, Verified, VerifyError, verify},
    pool::{AdmitError, TxStatus, Watcher},
    runtime::{AccountId, BlockNumber, Hash, Header, Nonce},
    state::{CallError, ReadStateError, State},
    store::{Store, StoreError, StoredBlock},
};
use sp_runtime::{traits::Header as _, transaction_validity::TransactionValidityError};
use std::sync::{
    Arc,
    mpsc::{SyncSender, TrySendError},
};
use tokio::sync::{oneshot, watch};

/// The newest block. Every committed block is final: there is one sealer and no fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its hash.
    pub hash: Hash,
    /// Its header.
    pub header: Header,
}

impl Head {
    pub(crate) fn of(block: &StoredBlock) -> Self {
        Self { hash: block.hash(), header: block.header.clone() }
    }
}

/// A transaction was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The bytes are no transaction of this runtime.
    #[error("the bytes are no transaction: {0}")]
    Malformed(String),
    /// The runtime refuses it now.
    #[error("invalid transaction: {}", words(.0))]
    Invalid(TransactionValidityError),
    /// The pool does not take it.
    #[error(transparent)]
    Pool(#[from] AdmitError),
    /// The chain's own records cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The chain thread is behind or gone.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// The chain thread did not take or answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// Too many requests wait.
    #[error("the chain is busy: {limit} requests are waiting already")]
    Busy {
        /// How many may wait.
        limit: usize,
    },
    /// The node is stopping.
    #[error("the chain is stopping")]
    Stopping,
}

/// A block or a state could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No block has that hash.
    #[error("no block has hash {0:?}")]
    UnknownBlock(Hash),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A trie node is missing.
    #[error(transparent)]
    State(#[from] ReadStateError),
    /// The runtime refused a call.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The runtime's answer does not decode.
    #[error("the runtime answered {0} with nonsense")]
    Nonsense(&'static str),
}

/// Blocks asked for were not sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// More at once than one request may ask for.
    #[error("{found} blocks asked for, one request may ask for {limit}")]
    TooMany {
        /// What was asked for.
        found: u32,
        /// What may be asked for.
        limit: u32,
    },
    /// The block could not be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The chain's records could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A block could not be written, which ends the chain.
    #[error("no further block can be kept, the chain ends: {why}")]
    Ended {
        /// What the store says.
        why: String,
    },
    /// The chain thread is behind or gone.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Most blocks one [`Chain::seal_empty`] may ask for.
pub const SEAL_LIMIT_BLOCKS: u32 = 10_000;

/// Requests that may wait for the chain thread.
pub(crate) const QUEUE_LIMIT: usize = 1024;

pub(crate) enum Command {
    Submit { extrinsic: Vec<u8>, watcher: Option<Watcher>, reply: oneshot::Sender<Result<Hash, SubmitError>> },
    Pending { reply: oneshot::Sender<Vec<Vec<u8>>> },
    NextNonce { account: AccountId, reply: oneshot::Sender<Result<Nonce, ReadError>> },
    SealEmpty { blocks: u32, reply: oneshot::Sender<Result<BlockNumber, SealError>> },
    Stop,
}

/// A handle on a running chain; clones are the same chain.
#[derive(Clone)]
pub struct Chain {
    pub(crate) commands: SyncSender<Command>,
    pub(crate) head: watch::Receiver<Head>,
    pub(crate) store: Arc<Store>,
    pub(crate) genesis: Hash,
}

impl Chain {
    /// Hash of block 0.
    #[must_use]
    pub fn genesis(&self) -> Hash {
        self.genesis
    }

    /// The newest block.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head.borrow().clone()
    }

    /// Announces every new head; a slow listener sees the newest only.
    #[must_use]
    pub fn heads(&self) -> watch::Receiver<Head> {
        self.head.clone()
    }

    /// Hands in a transaction (bytes with their length prefix) and returns its hash once it is in the pool.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was pooled and the watcher hears nothing.
    pub async fn submit(&self, extrinsic: Vec<u8>, watcher: Option<Watcher>) -> Result<Hash, SubmitError> {
        self.ask(|reply| Command::Submit { extrinsic, watcher, reply }).await?
    }

    /// The transactions in the pool, ready ones first.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn pending(&self) -> Result<Vec<Vec<u8>>, QueueError> {
        self.ask(|reply| Command::Pending { reply }).await
    }

    /// The nonce the account's next transaction needs, those in the pool counted.
    ///
    /// # Errors
    /// [`QueueError`] outside, [`ReadError`] inside.
    pub async fn next_nonce(&self, account: AccountId) -> Result<Result<Nonce, ReadError>, QueueError> {
        self.ask(|reply| Command::NextNonce { account, reply }).await
    }

    /// Seals that many empty blocks (0 to [`SEAL_LIMIT_BLOCKS`]), one after the other, and returns the new height.
    /// They are durable when it returns.
    ///
    /// # Errors
    /// [`SealError`]; blocks sealed before the failure stay.
    pub async fn seal_empty(&self, blocks: u32) -> Result<BlockNumber, SealError> {
        if blocks > SEAL_LIMIT_BLOCKS {
            return Err(SealError::TooMany { found: blocks, limit: SEAL_LIMIT_BLOCKS });
        }
        self.ask(|reply| Command::SealEmpty { blocks, reply }).await?
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, QueueError> {
        let (reply, answer) = oneshot::channel();
        self.commands.try_send(command(reply)).map_err(|error| match error {
            TrySendError::Full(_) => QueueError::Busy { limit: QUEUE_LIMIT },
            TrySendError::Disconnected(_) => QueueError::Stopping,
        })?;
        answer.await.map_err(|_| QueueError::Stopping)
    }

    /// The block with that hash, or the newest.
    ///
    /// # Errors
    /// [`ReadError::UnknownBlock`] or a store failure.
    pub fn block(&self, hash: Option<Hash>) -> Result<StoredBlock, ReadError> {
        let hash = hash.unwrap_or_else(|| self.head().hash);
        let reader = self.store.reader()?;
        let number = reader.number(hash)?.ok_or(ReadError::UnknownBlock(hash))?;
        reader.block(number)?.ok_or(ReadError::UnknownBlock(hash))
    }

    /// The block with that number, if it is sealed.
    ///
    /// # Errors
    /// A store failure.
    pub fn block_numbered(&self, number: BlockNumber) -> Result<Option<StoredBlock>, ReadError> {
        // What is being made is not announced, and may never be.
        if number > self.head().header.number {
            return Ok(None);
        }
        Ok(self.store.reader()?.block(number)?)
    }

    /// The state after the block with that hash, or after the newest.
    ///
    /// # Errors
    /// As [`Chain::block`].
    pub fn state(&self, hash: Option<Hash>) -> Result<State, ReadError> {
        let root = match hash {
            None => *self.head().header.state_root(),
            Some(hash) => *self.block(Some(hash))?.header.state_root(),
        };
        Ok(State::new(self.store.reader()?.into_nodes(), root))
    }

    /// Re-executes every block up to the newest.
    ///
    /// # Errors
    /// The first [`VerifyError`] met.
    pub fn verify(&self) -> Result<Verified, VerifyError> {
        verify(&self.store)
    }
}

fn words(reason: &TransactionValidityError) -> &'static str {
    (*reason).into()
}

/// Whether nothing follows this status for the watcher of a transaction.
#[must_use]
pub(crate) fn is_last(status: TxStatus) -> bool {
    matches!(status, TxStatus::Finalized(_) | TxStatus::Usurped(_) | TxStatus::Dropped | TxStatus::Invalid)
}
