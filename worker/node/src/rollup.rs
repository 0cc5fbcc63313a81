//! The worker behind an anchor: it reads the anchor's keys and queue, and posts what it says to the market as one
//! transaction that holds only if nobody was faster. It signs; a relayer pays. It has no account and no money.
//!
//! The client side of the protocol (what was read becomes a condition, what was written bumps a version, popping
//! locks the queue's head) is Phala's own crate. A relayer is believed nothing: whether a post arrived is read on chain.

use crate::keys::WorkerKeys;
use codec::{Decode, Encode};
use encompute_chain::{Block, BlockHash, Class, Client, OtherCall, ReadError, Refusal};
use encompute_envelope::SecretSeed;
use encompute_protocol::call::{Call, ReadJob};
use encompute_protocol::wire::Message;
use encompute_protocol::{BlockNumber, Blocks, ContractAddress, JobId, Stage, wire};
use encompute_rollup::call::{AnchorCall, AnchorRecord, GetValue, Prepare, ReadAnchor, ReadAttestor, answer};
use encompute_rollup::{
    Action, ForwardError, ForwardRequest, Key, RelayAnswer, RelayCall, RollupError, RollupTx, Value, bound, queue,
};
use pink_kv_session::rollup::{VersionLayout, rollup};
use pink_kv_session::traits::{BumpVersion, KvSession, KvSnapshot, QueueIndexCodec, QueueSession};
use pink_kv_session::{RwTracker, Session};
use std::collections::BTreeMap;
use tokio::sync::Mutex;
use tracing::{debug, info};

/// For how many blocks a request holds: what a relayer keeps back for longer is void.
const LIFE: Blocks = Blocks(64);
/// How often a post is made anew because somebody else's came first.
const TRIES: u32 = 4;
/// Messages of the queue that one post looks at.
const LOOKED_AT: u32 = 8;
/// Keys for posts about jobs.
const JOB_KEYS: u64 = 64;
/// What comes before a subject in its key.
const POST: &[u8] = b"post/";
/// What follows a key in the key of its version.
const VERSION_SUFFIX: &[u8] = b":ver";

/// The worker's way to the market over its anchor.
pub struct Rollup {
    client: Client,
    anchor: ContractAddress,
    record: AnchorRecord,
    from: [u8; 32],
    relay: String,
    http: reqwest::Client,
    /// Requests are numbered on chain: one at a time.
    turn: Mutex<()>,
}

/// A post that is not on chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostError {
    /// The chain cannot be read.
    #[error("read the anchor")]
    Read(#[from] ReadError),
    /// The address is no anchor's, or one of another version.
    #[error("contract at {anchor} is no anchor of this version: {message} answers 0x{}", hex_of(data))]
    OtherContract {
        /// The address.
        anchor: ContractAddress,
        /// What was asked.
        message: &'static str,
        /// What it answered.
        data: Vec<u8>,
    },
    /// The anchor belongs to another market or chain than the network names.
    #[error("anchor {anchor} is a worker of market {found}, the network's is {wanted}")]
    OtherMarket {
        /// The address.
        anchor: ContractAddress,
        /// Its market.
        found: ContractAddress,
        /// The network's.
        wanted: ContractAddress,
    },
    /// The anchor prepared something else than it was given.
    #[error("the node's word on the request to sign is not what was asked for")]
    Prepared,
    /// The owner has not named this worker's key.
    #[error(
        "anchor {anchor} does not know this worker's key 0x{}: its owner names it with `encompute worker anchor name`",
        hex_of(key)
    )]
    Nameless {
        /// The address.
        anchor: ContractAddress,
        /// The key, compressed.
        key: Vec<u8>,
    },
    /// The relayer cannot be reached, or did not do it.
    #[error("relayer {url} did not send it: {why}")]
    Relay {
        /// The relayer.
        url: String,
        /// Its words.
        why: String,
    },
    /// The anchor refuses.
    #[error("anchor refuses the post: {0}")]
    Refused(ForwardError),
    /// The market refuses what was said.
    #[error("market refuses {message}: {refusal}")]
    Market {
        /// What was said.
        message: &'static str,
        /// Why.
        refusal: Refusal,
    },
    /// Somebody else was first each time.
    #[error("{message} was overtaken {times} times")]
    Overtaken {
        /// What was said.
        message: &'static str,
        /// How often.
        times: u32,
    },
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl PostError {
    /// What kind of failure this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Read(error) => error.class(),
            Self::Relay { .. } => Class::Unreachable,
            Self::OtherContract { .. } | Self::Prepared => Class::Failed,
            Self::OtherMarket { .. }
            | Self::Nameless { .. }
            | Self::Refused(_)
            | Self::Market { .. }
            | Self::Overtaken { .. } => Class::Refused,
        }
    }
}

/// What a post is about, and whether the anchor's keys are written with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    key: Key,
    is_registration: bool,
}

impl Subject {
    /// What is said about a job: one post after the other. Jobs share a few keys, or whoever pays would hold a deposit for
    /// every job that ever was; those that meet wait for each other.
    pub fn job(job: JobId) -> Self {
        Self { key: [POST, b"job/", &(job.0 % JOB_KEYS).encode()].concat(), is_registration: false }
    }

    /// What is said about the worker itself.
    pub fn worker() -> Self {
        Self { key: [POST, b"worker"].concat(), is_registration: false }
    }

    /// What leads to a registration. Before there is one, no key may be written.
    pub fn registration() -> Self {
        Self { is_registration: true, ..Self::worker() }
    }
}

impl Rollup {
    /// The anchor at an address, for a worker with these keys.
    ///
    /// # Errors
    /// [`PostError`], where it is none, of another market, or does not know the key.
    pub async fn open(
        client: Client,
        (anchor, relay): (ContractAddress, String),
        keys: &WorkerKeys,
        http: reqwest::Client,
    ) -> Result<Self, PostError> {
        let wanted = client.contract().ok_or(ReadError::NoContract)?;
        let record = ask(&client, anchor, &ReadAnchor {}, None).await?.0;
        if record.market != wanted || record.genesis != client.genesis() {
            return Err(PostError::OtherMarket { anchor, found: record.market, wanted });
        }
        let key = keys.public_key();
        let from = ForwardRequest::sender(&key);
        let (known, _) = ask(&client, anchor, &ReadAttestor { from }, None).await?;
        if known.is_none() {
            return Err(PostError::Nameless { anchor, key: key.to_vec() });
        }
        Ok(Self { client, anchor, record, from, relay, http, turn: Mutex::default() })
    }

    /// What reads the chain.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The anchor, which is the worker's account in the market.
    pub fn anchor(&self) -> ContractAddress {
        self.anchor
    }

    /// What it was made with.
    pub fn record(&self) -> &AnchorRecord {
        &self.record
    }

    /// Jobs that somebody has put on the queue, oldest first.
    ///
    /// # Errors
    /// [`PostError`].
    pub async fn queued(&self) -> Result<Vec<JobId>, PostError> {
        let block = self.client.head().await?;
        let snapshot = self.snapshot(block, &[]).await?;
        Ok(snapshot.entries().filter_map(|(_, message)| job_of(message)).collect())
    }

    /// Says something to the market as the worker, and waits until it is on chain.
    ///
    /// # Errors
    /// [`PostError`].
    pub async fn post<C: Call>(&self, keys: &WorkerKeys, subject: &Subject, call: &C) -> Result<(), PostError> {
        let turn = self.turn.lock().await;
        for attempt in 1..=TRIES {
            // No other post ever has it.
            let tag = *SecretSeed::generate().expose();
            let block = self.client.head().await?;
            let data = self.transaction(block, subject, &tag, call.calldata()).await?.encode();
            let request = self.prepared(data).await?;
            let signature = keys.sign_request(&request);
            let answered = self.relay(&RelayCall { request: request.clone(), signature: signature.0 }).await;
            let at = match &answered {
                Ok(RelayAnswer::Sent { block }) => Some(self.client.block(BlockNumber(*block)).await?.hash),
                _ => None,
            };
            // Whatever the relayer says: what is on chain counts.
            if self.landed(subject, &tag, request.nonce, at).await? {
                drop(turn);
                debug!(message = C::NAME, block = block.number.0, "posted");
                return Ok(());
            }
            match answered? {
                RelayAnswer::Refused(error) if is_stale(&error) => {
                    info!(message = C::NAME, attempt, error = %error, "somebody was first; reading again");
                }
                RelayAnswer::Refused(error) => return Err(refused::<C>(error)),
                RelayAnswer::Failed(why) => return Err(self.relay_failed(why)),
                RelayAnswer::Sent { block } => {
                    return Err(self.relay_failed(format!("it names block {block}, which does not have it")));
                }
            }
        }
        Err(PostError::Overtaken { message: C::NAME, times: TRIES })
    }

    fn relay_failed(&self, why: String) -> PostError {
        PostError::Relay { url: self.relay.clone(), why }
    }

    /// The transaction for a reply: bound to chain and time, on condition that the subject's key is as it was read, and
    /// with what is done taken off the queue.
    async fn transaction(
        &self,
        block: Block,
        subject: &Subject,
        tag: &[u8],
        reply: Vec<u8>,
    ) -> Result<RollupTx, PostError> {
        let end = BlockNumber(block.number.0.saturating_add(LIFE.0));
        let (chain, before) = (bound::chain_key(&self.client.genesis()), bound::before_key(end));
        let snapshot = self.snapshot(block, &[&chain, &before, &subject.key]).await?;
        let done = if subject.is_registration { 0 } else { self.done(&snapshot).await? };
        let kv = |error: pink_kv_session::Error| PostError::OtherContract {
            anchor: self.anchor,
            message: GetValue::NAME,
            data: format!("{error:?}").into_bytes(),
        };
        let mut session = Session::<_, _, Numbers>::new(snapshot, RwTracker::new(), queue::PREFIX).map_err(kv)?;
        for key in [&chain, &before, &subject.key] {
            session.get(key).map_err(kv)?;
        }
        if !subject.is_registration {
            session.put(&subject.key, tag.to_vec());
        }
        for _ in 0..done {
            session.pop().map_err(kv)?;
        }
        let (tracked, snapshot) = session.commit();
        let layout = VersionLayout::Standalone { key_postfix: VERSION_SUFFIX.to_vec() };
        let transaction = rollup(&snapshot, tracked, layout).map_err(kv)?;
        let mut actions = vec![Action::Reply(reply)];
        actions.extend(transaction.queue_head.map(Action::SetQueueHead));
        Ok(RollupTx { conditions: transaction.conditions, updates: transaction.updates, actions })
    }

    /// How many messages at the queue's head are about jobs that are neither open nor this worker's.
    async fn done(&self, snapshot: &Snapshot) -> Result<u32, PostError> {
        let mut done = 0;
        for (_, message) in snapshot.entries() {
            let Some(job) = job_of(message) else { return Ok(done) };
            let found = self.client.read_at(ReadJob { job }, snapshot.block).await?;
            let waits = found.is_some_and(|(_, progress)| match progress.stage {
                Stage::Requested => true,
                Stage::Claimed => progress.worker.is_some_and(|worker| worker.0 == self.anchor.0),
                _ => false,
            });
            if waits {
                return Ok(done);
            }
            done += 1;
        }
        Ok(done)
    }

    /// The queue's beginning and these keys, with their versions, as they were after a block.
    async fn snapshot(&self, block: Block, keys: &[&Key]) -> Result<Snapshot, PostError> {
        let mut values = BTreeMap::new();
        let mut wanted: Vec<Key> = vec![queue::HEAD.to_vec(), queue::TAIL.to_vec()];
        wanted.extend(keys.iter().flat_map(|key| [(*key).clone(), [key.as_slice(), VERSION_SUFFIX].concat()]));
        for key in wanted {
            values.insert(key.clone(), ask(&self.client, self.anchor, &GetValue { key }, Some(block.hash)).await?.0);
        }
        let mut snapshot = Snapshot { block: block.hash, values };
        let (head, tail) = snapshot.pointers();
        for number in head..tail.min(head.saturating_add(LOOKED_AT)) {
            let key = queue::key(number);
            let found = ask(&self.client, self.anchor, &GetValue { key: key.clone() }, Some(block.hash)).await?.0;
            snapshot.values.insert(key, found);
        }
        Ok(snapshot)
    }

    /// The request to sign, which must be ours to the last byte.
    async fn prepared(&self, data: Vec<u8>) -> Result<ForwardRequest, PostError> {
        let (found, _) = ask(&self.client, self.anchor, &Prepare { from: self.from, data: data.clone() }, None).await?;
        let (request, digest) = found.map_err(PostError::Refused)?;
        let ours = ForwardRequest {
            from: self.from,
            to: encompute_rollup::account_of(&self.anchor),
            nonce: request.nonce,
            data,
        };
        if request == ours && request.digest() == digest { Ok(request) } else { Err(PostError::Prepared) }
    }

    async fn relay(&self, call: &RelayCall) -> Result<RelayAnswer, PostError> {
        let failed = |error: reqwest::Error| self.relay_failed(error.to_string());
        let url = format!("{}/v1/relay", self.relay.trim_end_matches('/'));
        let answer = self.http.post(url).body(call.to_wire()).send().await.map_err(failed)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(failed)?;
        if !status.is_success() {
            return Err(self.relay_failed(format!("{status}: {}", String::from_utf8_lossy(&bytes))));
        }
        RelayAnswer::from_wire(&bytes).map_err(|error| self.relay_failed(error.to_string()))
    }

    /// True if the post is on chain: the key has the tag that only this post writes, or, where none is written, the
    /// request's turn is over.
    async fn landed(
        &self,
        subject: &Subject,
        tag: &[u8],
        nonce: u128,
        at: Option<BlockHash>,
    ) -> Result<bool, PostError> {
        if subject.is_registration {
            let prepare = Prepare { from: self.from, data: Vec::new() };
            let (found, _) = ask(&self.client, self.anchor, &prepare, at).await?;
            return Ok(found.map_err(PostError::Refused)?.0.nonce > nonce);
        }
        let (found, _) = ask(&self.client, self.anchor, &GetValue { key: subject.key.clone() }, at).await?;
        Ok(found.as_deref() == Some(tag))
    }
}

/// True where what was read is not so any more: reading again may help.
fn is_stale(error: &ForwardError) -> bool {
    matches!(error, ForwardError::RollupAnchorError(RollupError::ConditionNotMet) | ForwardError::NonceTooLow)
}

fn refused<C: Call>(error: ForwardError) -> PostError {
    if let ForwardError::RollupAnchorError(RollupError::MarketRefused { said, .. }) = &error
        && let Some((0, answer)) = said.split_first()
        && let Ok(Err(refusal)) = wire::decode_exact::<Result<(), Refusal>>(answer, answer.len())
    {
        return PostError::Market { message: C::NAME, refusal };
    }
    PostError::Refused(error)
}

fn job_of(message: &Value) -> Option<JobId> {
    wire::decode_exact(message, message.len()).ok()
}

async fn ask<C: AnchorCall>(
    client: &Client,
    anchor: ContractAddress,
    call: &C,
    block: Option<BlockHash>,
) -> Result<(C::Answer, Block), PostError> {
    let other = OtherCall { contract: anchor, message: C::NAME, calldata: call.calldata() };
    let answered = client.ask(&other, block).await?;
    match answer::<C>(&answered.data) {
        Some(found) => Ok((found, answered.block)),
        None => Err(PostError::OtherContract { anchor, message: C::NAME, data: answered.data }),
    }
}

/// Keys as they were after one block.
struct Snapshot {
    block: BlockHash,
    values: BTreeMap<Key, Option<Value>>,
}

impl Snapshot {
    fn pointers(&self) -> (u32, u32) {
        let number = |key: &[u8]| {
            let value = self.values.get(key).cloned().flatten();
            value.and_then(|bytes| u32::decode(&mut bytes.as_slice()).ok()).unwrap_or(0)
        };
        (number(queue::HEAD), number(queue::TAIL))
    }

    /// Messages that were read, from the queue's head on.
    fn entries(&self) -> impl Iterator<Item = (u32, &Value)> {
        let (head, tail) = self.pointers();
        (head..tail).map_while(|number| Some((number, self.values.get(&queue::key(number))?.as_ref()?)))
    }
}

impl KvSnapshot for Snapshot {
    fn snapshot_id(&self) -> pink_kv_session::Result<Value> {
        Ok(self.block.0.to_vec())
    }

    fn get(&self, key: &[u8]) -> pink_kv_session::Result<Option<Value>> {
        // What was not read before is not guessed.
        self.values.get(key).cloned().ok_or(pink_kv_session::Error::FailedToGetStorage)
    }
}

impl BumpVersion for Snapshot {
    fn bump_version(&self, version: Option<Value>) -> pink_kv_session::Result<Value> {
        let before = version.map_or(Ok(0), Numbers::decode)?;
        Ok(before.saturating_add(1).encode())
    }
}

/// Numbers as the protocol writes them.
struct Numbers;

impl QueueIndexCodec for Numbers {
    fn encode(number: u32) -> Vec<u8> {
        number.encode()
    }

    fn decode(raw: impl AsRef<[u8]>) -> pink_kv_session::Result<u32> {
        u32::decode(&mut raw.as_ref()).map_err(|_| pink_kv_session::Error::FailedToDecode)
    }
}
