//! What holds on one chain, and for a while, as keys that can be read and made a condition of.
//!
//! Upstream's digest names neither chain nor end. Adding them to it would leave its clients behind, so the anchor answers
//! two kinds of key by itself: a client that reads one has it among its conditions, like any other that it has read.

use crate::kv::{Key, ReadKv, VERSION_SUFFIX, Value, version_key, written};
use codec::{Decode, Encode};
use encompute_protocol::{BlockNumber, Blocks, GenesisHash};

/// What every key begins with that the anchor answers by itself. Nobody's updates may touch them.
pub const PREFIX: &[u8] = b"!/";
/// Before the genesis hash: holds on that chain.
const CHAIN: &[u8] = b"!/chain/";
/// Before the SCALE of a block number: holds in every block before it.
const BEFORE: &[u8] = b"!/before/";
/// What such a key has for value and version where it holds; elsewhere it has none.
const HOLDS: u32 = 1;

/// Longest life of a request that is forwarded, in blocks: an hour at six seconds each.
pub const LIFE_LIMIT: Blocks = Blocks(600);

/// The key that holds on the chain with this first block.
pub fn chain_key(genesis: &GenesisHash) -> Key {
    [CHAIN, &genesis.0].concat()
}

/// The key that holds before a block.
pub fn before_key(block: BlockNumber) -> Key {
    [BEFORE, &block.0.encode()].concat()
}

/// An anchor's map on a chain, in a block: what the contract answers to `get_value`.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a, K> {
    /// What is stored.
    pub kv: &'a K,
    /// The chain's first block.
    pub genesis: GenesisHash,
    /// The block that executes the call.
    pub block: BlockNumber,
}

impl<K: ReadKv> ReadKv for Here<'_, K> {
    fn get(&self, key: &[u8]) -> Option<Value> {
        if !key.starts_with(PREFIX) {
            return self.kv.get(key);
        }
        let of = key.strip_suffix(VERSION_SUFFIX).unwrap_or(key);
        let holds = match (of.strip_prefix(CHAIN), end_of(of)) {
            (Some(genesis), _) => genesis == self.genesis.0,
            (None, Some(end)) => self.block < end,
            (None, None) => false,
        };
        holds.then(|| written(HOLDS))
    }
}

/// The block that such a key names.
fn end_of(key: &[u8]) -> Option<BlockNumber> {
    let mut rest = key.strip_prefix(BEFORE)?;
    let block = u32::decode(&mut rest).ok()?;
    rest.is_empty().then_some(BlockNumber(block))
}

/// True if the conditions bind a transaction to one chain, and to blocks before one that is at most [`LIFE_LIMIT`]
/// ahead. Whether they hold is a question like that of any other condition.
pub(crate) fn is_bound(conditions: &[(Key, Option<Value>)], block: BlockNumber) -> bool {
    let holds = Some(written(HOLDS));
    let latest = block.checked_add(LIFE_LIMIT);
    let (mut on_a_chain, mut for_a_while) = (false, false);
    for (key, _) in conditions.iter().filter(|(_, value)| *value == holds) {
        let Some(of) = key.strip_suffix(VERSION_SUFFIX) else { continue };
        on_a_chain |= of.strip_prefix(CHAIN).is_some_and(|genesis| genesis.len() == 32);
        for_a_while |= end_of(of).is_some_and(|end| latest.is_some_and(|latest| end <= latest));
    }
    on_a_chain && for_a_while
}

/// The two conditions that bind a transaction, for a client that writes them itself.
pub fn conditions(genesis: &GenesisHash, end: BlockNumber) -> [(Key, Option<Value>); 2] {
    [chain_key(genesis), before_key(end)].map(|key| (version_key(&key), Some(written(HOLDS))))
}
