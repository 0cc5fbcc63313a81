//! The anchor's one map, and how far a key has been written.

use alloc::vec::Vec;
use codec::{Decode, Encode};

/// A key of the anchor.
pub type Key = Vec<u8>;
/// A value of the anchor.
pub type Value = Vec<u8>;

/// Most bytes of a key: the platform takes 128 with what the contract puts before it.
pub const KEY_LIMIT_BYTES: usize = 96;
/// Most bytes of a value: with its length it fits the platform's item of 416.
pub const ITEM_LIMIT_BYTES: usize = 400;

/// What follows a key in the key of its version.
pub(crate) const VERSION_SUFFIX: &[u8] = b":ver";

/// The anchor's map, read only.
pub trait ReadKv {
    /// The value under a key, if there is one.
    fn get(&self, key: &[u8]) -> Option<Value>;
}

/// The anchor's map.
pub trait WriteKv: ReadKv {
    /// Sets a value; none removes it.
    fn set(&mut self, key: Key, value: Option<Value>);
}

/// What a decision does: every write, in order, then every reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys with their new values; none removes a key.
    pub writes: Vec<(Key, Option<Value>)>,
    /// What the worker says to the market, in order.
    pub replies: Vec<Vec<u8>>,
    /// Where the queue begins now, if it was moved.
    pub processed_to: Option<u32>,
}

impl Changes {
    /// Writes everything; gives back the replies.
    pub fn apply<K: WriteKv>(self, anchor: &mut K) -> Vec<Vec<u8>> {
        for (key, value) in self.writes {
            anchor.set(key, value);
        }
        self.replies
    }

    /// The value under a key as these changes leave it.
    pub(crate) fn get<K: ReadKv>(&self, anchor: &K, key: &[u8]) -> Option<Value> {
        match self.writes.iter().rev().find(|(written, _)| written == key) {
            Some((_, value)) => value.clone(),
            None => anchor.get(key),
        }
    }
}

/// The key under which the version of `key` is kept.
pub fn version_key(key: &[u8]) -> Key {
    [key, VERSION_SUFFIX].concat()
}

/// How often a key has been written by those who keep versions; 0 if never.
pub fn version<K: ReadKv>(anchor: &K, key: &[u8]) -> u32 {
    number(anchor.get(&version_key(key)))
}

/// A number as the protocol writes them; 0 where there is none.
pub(crate) fn number(value: Option<Value>) -> u32 {
    value.and_then(|bytes| u32::decode(&mut bytes.as_slice()).ok()).unwrap_or(0)
}

/// A number as the protocol writes them.
pub(crate) fn written(number: u32) -> Value {
    number.encode()
}

#[cfg(feature = "std")]
impl ReadKv for std::collections::BTreeMap<Key, Value> {
    fn get(&self, key: &[u8]) -> Option<Value> {
        self.get(key).cloned()
    }
}

#[cfg(feature = "std")]
impl WriteKv for std::collections::BTreeMap<Key, Value> {
    fn set(&mut self, key: Key, value: Option<Value>) {
        match value {
            Some(value) => drop(self.insert(key, value)),
            None => drop(self.remove(&key)),
        }
    }
}
