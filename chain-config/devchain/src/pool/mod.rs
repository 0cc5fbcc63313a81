//! Transactions that wait for a block: ordered by the tags they provide and require, within limits.
//!
//! A transaction is **ready** when every tag it requires is provided by a ready one before it; otherwise (a nonce
//! gap, because submissions overtake each other on the way) it is **parked** until the gap closes or its time is up.
//! The pool knows no runtime: whoever fills it brings the runtime's verdict, and time is an argument.

#[cfg(test)]
mod tests;

use crate::runtime::{BlockNumber, Hash};
use serde::Serialize;
use sp_runtime::transaction_validity::{TransactionTag, ValidTransaction};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    time::{Duration, Instant},
};
use tokio::sync::mpsc::UnboundedSender;

/// What the pool accepts at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Transactions, ready and parked.
    pub transactions: usize,
    /// Parked transactions.
    pub parked: usize,
    /// Bytes of all transactions together.
    pub bytes: usize,
    /// How long a transaction stays parked before it is dropped.
    pub parked_for: Duration,
}

impl Default for PoolLimits {
    /// 4096 transactions, 1024 of them parked, 32 MiB, five minutes.
    fn default() -> Self {
        Self { transactions: 4096, parked: 1024, bytes: 32 * 1024 * 1024, parked_for: Duration::from_secs(300) }
    }
}

/// Where a watched transaction is, in the words of `author_extrinsicUpdate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TxStatus {
    /// Parked: an earlier one is missing.
    Future,
    /// Waiting for a block.
    Ready,
    /// In the block of that hash.
    InBlock(Hash),
    /// In the block of that hash, which will not change.
    Finalized(Hash),
    /// Replaced by the transaction of that hash.
    Usurped(Hash),
    /// Thrown out: parked too long.
    Dropped,
    /// No longer valid.
    Invalid,
}

/// Receives the statuses of one transaction, in order.
pub type Watcher = UnboundedSender<TxStatus>;

/// A transaction with the runtime's verdict on it.
pub struct Candidate {
    /// BLAKE2b-256 of the bytes.
    pub hash: Hash,
    /// As the client sent them, length prefix included.
    pub bytes: Vec<u8>,
    /// The runtime's verdict at `judged_at`.
    pub verdict: ValidTransaction,
    /// The newest block when the verdict was given.
    pub judged_at: BlockNumber,
}

/// A valid transaction the pool does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmitError {
    /// The same bytes are in the pool already.
    #[error("transaction {0:?} is already in the pool")]
    Duplicate(Hash),
    /// Another one with the same nonce is in the pool and pays no less.
    #[error("priority {found} is not above {present} of the transaction it would replace")]
    Outbid {
        /// The newcomer's priority.
        found: u64,
        /// The highest priority among those it would replace.
        present: u64,
    },
    /// A limit is reached.
    #[error("the pool is full: {found} {what}, the limit is {limit}")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// What it would hold with the newcomer.
        found: usize,
        /// What it may hold.
        limit: usize,
    },
}

struct Entry {
    bytes: Vec<u8>,
    requires: Vec<TransactionTag>,
    provides: Vec<TransactionTag>,
    priority: u64,
    /// Arrival order; a replacement takes the place of what it replaces.
    order: u64,
    judged_at: BlockNumber,
    valid_through: u64,
    /// `None` when ready.
    parked_since: Option<Instant>,
    watchers: Vec<Watcher>,
}

/// The pool.
pub struct Pool {
    limits: PoolLimits,
    entries: HashMap<Hash, Entry>,
    owners: HashMap<TransactionTag, Hash>,
    bytes: usize,
    arrivals: u64,
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(limits: PoolLimits) -> Self {
        Self { limits, entries: HashMap::new(), owners: HashMap::new(), bytes: 0, arrivals: 0 }
    }

    /// Takes a transaction in, and says how many are ready thereafter.
    ///
    /// # Errors
    /// [`AdmitError`]; the pool is unchanged and the watcher has heard nothing.
    pub fn admit(&mut self, candidate: Candidate, watcher: Option<Watcher>, now: Instant) -> Result<usize, AdmitError> {
        let Candidate { hash, bytes, verdict, judged_at } = candidate;
        if self.entries.contains_key(&hash) {
            return Err(AdmitError::Duplicate(hash));
        }
        let replaced: HashSet<Hash> = verdict.provides.iter().filter_map(|tag| self.owners.get(tag)).copied().collect();
        self.check_price(&replaced, verdict.priority)?;
        self.check_room(&replaced, &verdict.requires, bytes.len())?;

        let mut order = self.arrivals;
        self.arrivals = self.arrivals.wrapping_add(1);
        for old in replaced {
            if let Some(entry) = self.remove(&old) {
                order = order.min(entry.order);
                tell(&entry.watchers, TxStatus::Usurped(hash));
            }
        }
        for tag in &verdict.provides {
            self.owners.insert(tag.clone(), hash);
        }
        self.bytes = self.bytes.saturating_add(bytes.len());
        self.entries.insert(
            hash,
            Entry {
                bytes,
                requires: verdict.requires,
                provides: verdict.provides,
                priority: verdict.priority,
                order,
                judged_at,
                valid_through: u64::from(judged_at).saturating_add(verdict.longevity),
                parked_since: Some(now),
                watchers: watcher.into_iter().collect(),
            },
        );
        let ready = self.settle(now);
        if let Some(entry) = self.entries.get(&hash).filter(|entry| entry.parked_since.is_some()) {
            tell(&entry.watchers, TxStatus::Future);
        }
        Ok(ready)
    }

    fn check_price(&self, replaced: &HashSet<Hash>, found: u64) -> Result<(), AdmitError> {
        let present = replaced.iter().filter_map(|old| self.entries.get(old)).map(|entry| entry.priority).max();
        match present {
            Some(present) if found <= present => Err(AdmitError::Outbid { found, present }),
            _ => Ok(()),
        }
    }

    fn check_room(
        &self,
        replaced: &HashSet<Hash>,
        requires: &[TransactionTag],
        bytes: usize,
    ) -> Result<(), AdmitError> {
        let count = self.entries.len().saturating_sub(replaced.len()).saturating_add(1);
        let freed: usize = replaced.iter().filter_map(|old| self.entries.get(old)).map(|entry| entry.bytes.len()).sum();
        let held = self.bytes.saturating_sub(freed).saturating_add(bytes);
        let parks = requires.iter().any(|tag| !self.is_ready_owner(tag));
        let parked = self.parked_count().saturating_add(1);
        for (what, found, limit) in [
            ("transactions", count, self.limits.transactions),
            ("bytes", held, self.limits.bytes),
            ("parked transactions", if parks { parked } else { 0 }, self.limits.parked),
        ] {
            if found > limit {
                return Err(AdmitError::Full { what, found, limit });
            }
        }
        Ok(())
    }

    fn is_ready_owner(&self, tag: &TransactionTag) -> bool {
        let owner = self.owners.get(tag).and_then(|hash| self.entries.get(hash));
        owner.is_some_and(|entry| entry.parked_since.is_none())
    }

    /// Ready transactions in the order a block should try them: what is required first, then the better paying,
    /// then the earlier.
    #[must_use]
    pub fn execution_order(&self) -> Vec<Hash> {
        let mut waiting: HashMap<Hash, usize> = HashMap::new();
        let mut unlocks: HashMap<Hash, Vec<Hash>> = HashMap::new();
        let mut free = BinaryHeap::new();
        for (hash, entry) in self.ready() {
            let before: HashSet<Hash> = entry.requires.iter().filter_map(|tag| self.owners.get(tag)).copied().collect();
            for earlier in &before {
                unlocks.entry(*earlier).or_default().push(*hash);
            }
            if before.is_empty() {
                free.push((entry.priority, Reverse(entry.order), *hash));
            } else {
                waiting.insert(*hash, before.len());
            }
        }
        let mut order = Vec::with_capacity(free.len().saturating_add(waiting.len()));
        while let Some((_, _, hash)) = free.pop() {
            order.push(hash);
            for later in unlocks.remove(&hash).into_iter().flatten() {
                let Some(missing) = waiting.get_mut(&later) else { continue };
                *missing = missing.saturating_sub(1);
                if let (0, Some(entry)) = (*missing, self.entries.get(&later)) {
                    free.push((entry.priority, Reverse(entry.order), later));
                }
            }
        }
        order
    }

    /// The bytes of a pooled transaction.
    #[must_use]
    pub fn bytes_of(&self, hash: &Hash) -> Option<&[u8]> {
        self.entries.get(hash).map(|entry| entry.bytes.as_slice())
    }

    /// All pooled bytes: ready ones in execution order, then the parked ones as they came.
    #[must_use]
    pub fn everything(&self) -> Vec<Vec<u8>> {
        let ready = self.execution_order().into_iter();
        let mut parked: Vec<_> = self.entries.iter().filter(|(_, entry)| entry.parked_since.is_some()).collect();
        parked.sort_by_key(|(_, entry)| entry.order);
        let hashes = ready.chain(parked.into_iter().map(|(hash, _)| *hash));
        hashes.filter_map(|hash| self.bytes_of(&hash).map(<[u8]>::to_vec)).collect()
    }

    /// Whether a pooled transaction, ready or parked, provides `tag`.
    #[must_use]
    pub fn provides(&self, tag: &TransactionTag) -> bool {
        self.owners.contains_key(tag)
    }

    /// How many transactions wait for a block.
    #[must_use]
    pub fn ready_count(&self) -> usize {
        self.entries.len().saturating_sub(self.parked_count())
    }

    /// How many are parked.
    #[must_use]
    pub fn parked_count(&self) -> usize {
        self.entries.values().filter(|entry| entry.parked_since.is_some()).count()
    }

    /// Takes out what a block contains and tells the watchers; what they provided is now in the state.
    pub fn included(&mut self, hashes: &[Hash], block: Hash, now: Instant) {
        let mut provided = HashSet::new();
        for hash in hashes {
            if let Some(entry) = self.remove(hash) {
                tell(&entry.watchers, TxStatus::InBlock(block));
                provided.extend(entry.provides);
            }
        }
        for entry in self.entries.values_mut() {
            entry.requires.retain(|tag| !provided.contains(tag));
        }
        self.settle(now);
    }

    /// Throws transactions out; what requires them is parked.
    pub fn discard(&mut self, hashes: &[Hash], status: TxStatus, now: Instant) {
        let mut any = false;
        for hash in hashes {
            if let Some(entry) = self.remove(hash) {
                any = true;
                tell(&entry.watchers, status);
            }
        }
        if any {
            self.settle(now);
        }
    }

    /// Throws out what was parked too long or whose validity ends before the next block.
    pub fn expire(&mut self, newest: BlockNumber, now: Instant) {
        let parked_for = self.limits.parked_for;
        let too_long =
            |entry: &Entry| entry.parked_since.is_some_and(|since| now.saturating_duration_since(since) >= parked_for);
        let tired = self.hashes_where(too_long);
        let ended = self.hashes_where(|entry| entry.valid_through <= u64::from(newest));
        self.discard(&tired, TxStatus::Dropped, now);
        self.discard(&ended, TxStatus::Invalid, now);
    }

    /// When the next parked transaction's time is up.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        let since = self.entries.values().filter_map(|entry| entry.parked_since).min()?;
        since.checked_add(self.limits.parked_for)
    }

    /// At most `limit` transactions last judged before block `newest`, oldest verdict first.
    #[must_use]
    pub fn to_judge_again(&self, newest: BlockNumber, limit: usize) -> Vec<Hash> {
        let mut old: Vec<_> = self.entries.iter().filter(|(_, entry)| entry.judged_at < newest).collect();
        old.sort_by_key(|(_, entry)| (entry.judged_at, entry.order));
        old.into_iter().take(limit).map(|(hash, _)| *hash).collect()
    }

    /// Replaces the verdict on a pooled transaction.
    pub fn judged_again(&mut self, hash: &Hash, verdict: ValidTransaction, newest: BlockNumber, now: Instant) {
        let Some(entry) = self.entries.get_mut(hash) else { return };
        entry.judged_at = newest;
        entry.valid_through = u64::from(newest).saturating_add(verdict.longevity);
        if entry.requires != verdict.requires {
            entry.requires = verdict.requires;
            self.settle(now);
        }
    }

    fn ready(&self) -> impl Iterator<Item = (&Hash, &Entry)> {
        self.entries.iter().filter(|(_, entry)| entry.parked_since.is_none())
    }

    fn hashes_where(&self, condition: impl Fn(&Entry) -> bool) -> Vec<Hash> {
        self.entries.iter().filter(|(_, entry)| condition(entry)).map(|(hash, _)| *hash).collect()
    }

    fn remove(&mut self, hash: &Hash) -> Option<Entry> {
        let entry = self.entries.remove(hash)?;
        self.bytes = self.bytes.saturating_sub(entry.bytes.len());
        for tag in &entry.provides {
            if self.owners.get(tag) == Some(hash) {
                self.owners.remove(tag);
            }
        }
        Some(entry)
    }

    /// Tells watchers whose transaction became ready or parked, and says how many are ready.
    fn settle(&mut self, now: Instant) -> usize {
        let ready = self.ready_by_tags();
        for (hash, entry) in &mut self.entries {
            match (ready.contains(hash), entry.parked_since) {
                (true, Some(_)) => {
                    entry.parked_since = None;
                    tell(&entry.watchers, TxStatus::Ready);
                }
                (false, None) => {
                    entry.parked_since = Some(now);
                    tell(&entry.watchers, TxStatus::Future);
                }
                _ => {}
            }
        }
        ready.len()
    }

    /// Which transactions are ready, decided anew from the tags alone. Linear in the pool: slow and obvious, and the
    /// pool is bounded.
    fn ready_by_tags(&self) -> HashSet<Hash> {
        let mut missing: HashMap<Hash, usize> = HashMap::new();
        let mut unlocks: HashMap<&TransactionTag, Vec<Hash>> = HashMap::new();
        let mut queue = Vec::new();
        for (hash, entry) in &self.entries {
            if entry.requires.is_empty() {
                queue.push(*hash);
            } else {
                missing.insert(*hash, entry.requires.len());
            }
            for tag in &entry.requires {
                unlocks.entry(tag).or_default().push(*hash);
            }
        }
        let mut ready = HashSet::new();
        while let Some(hash) = queue.pop() {
            ready.insert(hash);
            let provides = self.entries.get(&hash).map(|entry| entry.provides.as_slice()).unwrap_or_default();
            for later in provides.iter().filter_map(|tag| unlocks.remove(tag)).flatten() {
                let Some(left) = missing.get_mut(&later) else { continue };
                *left = left.saturating_sub(1);
                if *left == 0 {
                    queue.push(later);
                }
            }
        }
        ready
    }
}

fn tell(watchers: &[Watcher], status: TxStatus) {
    for watcher in watchers {
        // A watcher that has hung up is not missed.
        let _ = watcher.send(status);
    }
}
