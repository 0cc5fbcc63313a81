//! The chain thread: owns the pool, makes the blocks, writes them. Nothing else writes.

use crate::{
    block::{Applied, BuildError, Draft, Sealed},
    chain::{Chain, Command, Head, QUEUE_LIMIT, ReadError, SealError, SubmitError},
    figures::{Fate, Figures},
    pool::{Candidate, Pool, PoolLimits, TxStatus, Watcher},
    runtime::{AccountId, BlockNumber, Hash, Nonce},
    state::State,
    store::{Store, StoreError},
};
use codec::{Decode, Encode};
use sp_runtime::{
    traits::{BlakeTwo256, Hash as _},
    transaction_validity::{
        InvalidTransaction, TransactionSource, TransactionValidity, TransactionValidityError, ValidTransaction,
    },
};
use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, OnceLock,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::{oneshot, watch};

/// When a block is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// As soon as a transaction is ready.
    Instant,
    /// As soon as a transaction is ready, but no two blocks closer than this; what comes between shares a block.
    Tick(Duration),
}

/// The chain thread's habits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) seal: Seal,
    /// An empty block is made when none was for so long; `None` never makes one.
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) limits: PoolLimits,
}

/// A block takes no further transaction after this long, so that requests are answered between blocks.
const FILL_TIME: Duration = Duration::from_millis(500);
/// Pooled transactions judged again after each block.
const JUDGED_PER_BLOCK: usize = 64;
/// A block is closed after so many ready transactions did not fit.
const MISFITS_PER_BLOCK: usize = 8;
/// Empty blocks made in one go between looking for requests; the last one is durable.
const EMPTY_BURST: u32 = 32;
/// Pause after a block that could not be made or written.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Decoding and contract calls recurse deeply, the more in unoptimised builds.
pub(crate) const STACK_BYTES: usize = 64 * 1024 * 1024;

struct Sealer {
    store: Arc<Store>,
    commands: Receiver<Command>,
    /// What everybody is told: the newest block that is on the disk.
    head: watch::Sender<Head>,
    /// The newest block; ahead of what everybody is told while many empty ones are made in one go.
    newest: Head,
    /// Why no further block can be kept; it ends the thread.
    fault: Fault,
    pool: Pool,
    habits: Habits,
    figures: Figures,
    last_sealed: Instant,
    not_before: Instant,
    /// Empty blocks asked for and not made yet.
    owed: VecDeque<(u32, oneshot::Sender<Result<BlockNumber, SealError>>)>,
}

/// Why the chain thread ended by itself, once it has.
pub(crate) type Fault = Arc<OnceLock<StoreError>>;

/// Starts the chain thread on a store that has its genesis. It ends by itself when a block cannot be written: the
/// store takes nothing more then, and a block that is not kept must not be announced.
pub(crate) fn start(
    store: Arc<Store>,
    habits: Habits,
    figures: Figures,
    fault: Fault,
) -> Result<(Chain, JoinHandle<()>), StartSealingError> {
    let reader = store.reader()?;
    let newest = reader.newest()?.ok_or(StoreError::Damaged { number: 0 })?;
    let genesis = reader.block(0)?.ok_or(StoreError::Damaged { number: 0 })?.hash();
    let waiting = reader.waiting()?;
    drop(reader);
    let (head_sender, head) = watch::channel(Head::of(&newest));
    let (sender, commands) = sync_channel(QUEUE_LIMIT);
    let now = Instant::now();
    figures.head(newest.header.number);
    let mut sealer = Sealer {
        store: store.clone(),
        commands,
        head: head_sender,
        newest: Head::of(&newest),
        fault,
        pool: Pool::new(habits.limits),
        habits,
        figures,
        last_sealed: now,
        not_before: now,
        owed: VecDeque::new(),
    };
    let thread = Builder::new()
        .name("chain".into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            sealer.take_back(waiting);
            sealer.run();
        })
        .map_err(StartSealingError::Thread)?;
    Ok((Chain { commands: sender, head, store, genesis }, thread))
}

/// The chain thread did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartSealingError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("start the chain thread")]
    Thread(#[source] io::Error),
}

impl Sealer {
    fn run(&mut self) {
        loop {
            let now = Instant::now();
            let wait = self.next_moment(now).saturating_duration_since(now);
            match self.commands.recv_timeout(wait) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(command) => self.answer(command),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.seal_what_is_due();
            self.figures.pool(&self.pool);
            if let Some(error) = self.fault.get() {
                let kept = self.head.borrow().header.number;
                let lost = self.pool.everything().len();
                let error = error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    kept,
                    lost,
                    "a block cannot be written: the chain ends; every block announced is kept, transactions that waited are not"
                );
                return;
            }
        }
        self.put_down();
    }

    /// When there is something to do without being asked.
    fn next_moment(&self, now: Instant) -> Instant {
        let far = now + Duration::from_secs(3600);
        let mut moment = self.habits.heartbeat.map_or(far, |pause| self.last_sealed + pause);
        if self.pool.ready_count() > 0 {
            moment = moment.min(self.tick());
        }
        if !self.owed.is_empty() {
            moment = now;
        }
        if let Some(expiry) = self.pool.next_expiry() {
            moment = moment.min(expiry);
        }
        moment.max(self.not_before)
    }

    fn tick(&self) -> Instant {
        match self.habits.seal {
            Seal::Instant => self.last_sealed,
            Seal::Tick(pause) => self.last_sealed + pause,
        }
    }

    fn seal_what_is_due(&mut self) {
        let now = Instant::now();
        if now < self.not_before {
            return;
        }
        self.pool.expire(self.newest.header.number, now);
        let outcome = if !self.owed.is_empty() {
            self.pay_blocks()
        } else if self.pool.ready_count() > 0 && now >= self.tick() {
            self.seal(Contents::Pool).map(drop)
        } else if self.habits.heartbeat.is_some_and(|pause| now >= self.last_sealed + pause) {
            self.seal(Contents::Heartbeat).map(drop)
        } else {
            Ok(())
        };
        if let Err(error) = outcome {
            tracing::error!(error = &error as &dyn std::error::Error, "no block sealed");
            self.not_before = Instant::now() + RETRY_AFTER;
        }
    }

    fn answer(&mut self, command: Command) {
        // A requester that has hung up is not missed: hence the ignored sends.
        match command {
            Command::Submit { extrinsic, watcher, reply } => {
                let submitted = self.submit(extrinsic, watcher);
                self.figures.transactions(if submitted.is_ok() { Fate::Accepted } else { Fate::Refused }, 1);
                let _ = reply.send(submitted);
            }
            Command::Pending { reply } => {
                let _ = reply.send(self.pool.everything());
            }
            Command::NextNonce { account, reply } => {
                let _ = reply.send(self.next_nonce(&account));
            }
            Command::SealEmpty { blocks: 0, reply } => {
                let _ = reply.send(Ok(self.newest.header.number));
            }
            Command::SealEmpty { blocks, reply } => self.owed.push_back((blocks, reply)),
            Command::Stop => {}
        }
    }

    fn state(&self) -> Result<State, StoreError> {
        let root = self.newest.header.state_root;
        Ok(State::new(self.store.reader()?.into_nodes(), root))
    }

    fn submit(&mut self, extrinsic: Vec<u8>, watcher: Option<Watcher>) -> Result<Hash, SubmitError> {
        let hash = BlakeTwo256::hash(&extrinsic);
        if self.pool.bytes_of(&hash).is_some() {
            return Err(crate::pool::AdmitError::Duplicate(hash).into());
        }
        let judged_at = self.newest.header.number;
        let verdict = self.judge(&extrinsic)?;
        self.pool.admit(Candidate { hash, bytes: extrinsic, verdict, judged_at }, watcher, Instant::now())?;
        Ok(hash)
    }

    /// The runtime's verdict on a transaction, on top of the newest block.
    fn judge(&self, extrinsic: &[u8]) -> Result<ValidTransaction, SubmitError> {
        let state = self.state().map_err(ReadError::from)?;
        let mut arguments = TransactionSource::External.encode();
        arguments.extend_from_slice(extrinsic);
        self.newest.hash.encode_to(&mut arguments);
        let verdict = state
            .call("TaggedTransactionQueue_validate_transaction", &arguments)
            .map_err(|error| SubmitError::Malformed(error.to_string()))?;
        TransactionValidity::decode(&mut verdict.as_slice())
            .map_err(|_| ReadError::Nonsense("TaggedTransactionQueue_validate_transaction"))?
            .map_err(SubmitError::Invalid)
    }

    fn next_nonce(&self, account: &AccountId) -> Result<Nonce, ReadError> {
        const METHOD: &str = "AccountNonceApi_account_nonce";
        let answer = self.state()?.call(METHOD, &account.encode())?;
        let mut nonce = Nonce::decode(&mut answer.as_slice()).map_err(|_| ReadError::Nonsense(METHOD))?;
        // The tag of the nonce check: account and nonce.
        while self.pool.provides(&(account, nonce).encode()) {
            nonce = nonce.saturating_add(1);
        }
        Ok(nonce)
    }

    fn pay_blocks(&mut self) -> Result<(), SealError> {
        let Some((blocks, reply)) = self.owed.pop_front() else { return Ok(()) };
        let burst = blocks.min(EMPTY_BURST);
        for left in (0..burst).rev() {
            if let Err(error) = self.seal(Contents::Nothing { durable: left == 0 }) {
                let _ = reply.send(Err(error));
                return Ok(());
            }
        }
        match blocks.saturating_sub(burst) {
            0 => {
                let _ = reply.send(Ok(self.newest.header.number));
            }
            left => self.owed.push_front((left, reply)),
        }
        Ok(())
    }

    /// Makes, writes and announces a block. A pool of which nothing could be included makes none.
    fn seal(&mut self, contents: Contents) -> Result<Option<BlockNumber>, SealError> {
        let begun = Instant::now();
        let parent = self.newest.header.clone();
        let state = self.state()?;
        let mut draft = Draft::open(&state, &parent, unix_ms())?;
        let mut tried = Tried::default();
        if contents == Contents::Pool {
            tried = self.fill(&mut draft)?;
            self.drop_refused(&tried);
            if tried.included.is_empty() {
                return Ok(None);
            }
        }
        let sealed = match draft.close() {
            Ok(sealed) => sealed,
            Err(error) => {
                // Whatever the transactions did, they must not stop the chain for good.
                self.pool.discard(&tried.included, TxStatus::Invalid, Instant::now());
                return Err(error.into());
            }
        };
        let Sealed { block, nodes } = sealed;
        let durable = contents != Contents::Nothing { durable: false };
        if let Err(error) = self.store.add_block(&block, nodes, durable) {
            return Err(SealError::Ended { why: self.fault.get_or_init(|| error).words() });
        }
        self.newest = Head::of(&block);
        let (number, hash) = (self.newest.header.number, self.newest.hash);
        tracing::debug!(number, transactions = tried.included.len(), "sealed");
        self.last_sealed = Instant::now();
        self.figures.sealed(number, self.last_sealed - begun);
        self.figures.transactions(Fate::Included, tried.included.len());
        // Every block that is announced is final: a crash, or a disk that is full, may not take it back.
        if durable {
            self.head.send_replace(self.newest.clone());
        }
        self.pool.included(&tried.included, hash, self.last_sealed);
        self.judge_again(number);
        Ok(Some(number))
    }

    fn fill(&self, draft: &mut Draft<'_>) -> Result<Tried, BuildError> {
        let begun = Instant::now();
        let mut tried = Tried::default();
        let mut misfits = 0;
        for hash in self.pool.execution_order() {
            let Some(bytes) = self.pool.bytes_of(&hash) else { continue };
            match draft.apply(bytes)? {
                Applied::Included => tried.included.push(hash),
                Applied::Refused(TransactionValidityError::Invalid(InvalidTransaction::ExhaustsResources)) => {
                    misfits += 1;
                }
                // Its predecessor was refused or did not fit: it waits.
                Applied::Refused(TransactionValidityError::Invalid(InvalidTransaction::Future)) => {}
                Applied::Refused(_) | Applied::Broken => tried.refused.push(hash),
            }
            if misfits >= MISFITS_PER_BLOCK || begun.elapsed() >= FILL_TIME {
                break;
            }
        }
        // Alone in an empty block and still too big: it will never fit.
        if tried.included.is_empty() && misfits > 0 {
            tried.refused.extend(self.pool.execution_order().into_iter().take(misfits));
        }
        Ok(tried)
    }

    fn drop_refused(&mut self, tried: &Tried) {
        self.figures.transactions(Fate::Discarded, tried.refused.len());
        self.pool.discard(&tried.refused, TxStatus::Invalid, Instant::now());
    }

    /// What is left in the pool may have become stale, unpayable or ready through the new block.
    fn judge_again(&mut self, newest: BlockNumber) {
        for hash in self.pool.to_judge_again(newest, JUDGED_PER_BLOCK) {
            let Some(bytes) = self.pool.bytes_of(&hash) else { continue };
            let now = Instant::now();
            match self.judge(bytes) {
                Ok(verdict) => self.pool.judged_again(&hash, verdict, newest, now),
                Err(SubmitError::Read(error)) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "pool not judged again");
                    return;
                }
                Err(_) => {
                    self.figures.transactions(Fate::Discarded, 1);
                    self.pool.discard(&[hash], TxStatus::Invalid, now);
                }
            }
        }
    }

    /// Takes back what the last stop kept.
    fn take_back(&mut self, waiting: Vec<Vec<u8>>) {
        if waiting.is_empty() {
            return;
        }
        let found = waiting.len();
        let taken = waiting.into_iter().filter_map(|bytes| self.submit(bytes, None).ok()).count();
        tracing::info!(found, taken, "took back transactions kept at the last stop");
        if let Err(error) = self.store.keep_waiting(&[]) {
            tracing::error!(error = &error as &dyn std::error::Error, "kept transactions not cleared");
        }
    }

    /// Seals what is ready and keeps the rest for the next start.
    fn put_down(&mut self) {
        if self.pool.ready_count() > 0
            && let Err(error) = self.seal(Contents::Pool)
        {
            tracing::error!(error = &error as &dyn std::error::Error, "last block not sealed");
        }
        let rest = self.pool.everything();
        if let Err(error) = self.store.keep_waiting(&rest) {
            tracing::error!(error = &error as &dyn std::error::Error, lost = rest.len(), "pool not kept");
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contents {
    Pool,
    Heartbeat,
    Nothing { durable: bool },
}

#[derive(Default)]
struct Tried {
    included: Vec<Hash>,
    refused: Vec<Hash>,
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
