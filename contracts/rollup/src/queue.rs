//! The queue of messages to workers: entries under `q/` and a number, pointers under `q/_head` and `q/_tail`.

use crate::{
    kv::{Changes, ITEM_LIMIT_BYTES, Key, ReadKv, Value, number, written},
    rollup::{PARTS_LIMIT, RollupError},
};
use codec::Encode;

/// What every key of the queue begins with. Nobody's updates may touch them.
pub const PREFIX: &[u8] = b"q/";
/// Number of the first message that is still there.
pub const HEAD: &[u8] = b"q/_head";
/// Number of the next message.
pub const TAIL: &[u8] = b"q/_tail";

/// The key of a message.
pub fn key(number: u32) -> Key {
    [PREFIX, &number.encode()].concat()
}

/// Number of the first message that is still there.
pub fn head<K: ReadKv>(anchor: &K) -> u32 {
    number(anchor.get(HEAD))
}

/// Number of the next message.
pub fn tail<K: ReadKv>(anchor: &K) -> u32 {
    number(anchor.get(TAIL))
}

/// A message that was not popped.
pub fn message<K: ReadKv>(anchor: &K, number: u32) -> Option<Value> {
    anchor.get(&key(number))
}

/// Puts a message at the end: its number, and what is written.
///
/// # Errors
/// [`RollupError::ValueTooLong`]; [`RollupError::QueueFull`] after 2³² − 1 messages.
pub fn push<K: ReadKv>(anchor: &K, message: Value) -> Result<(u32, Changes), RollupError> {
    if message.len() > ITEM_LIMIT_BYTES {
        return Err(RollupError::ValueTooLong { found: message.len() as u32, limit: ITEM_LIMIT_BYTES as u32 });
    }
    let number = tail(anchor);
    let next = number.checked_add(1).ok_or(RollupError::QueueFull)?;
    let writes = [(key(number), Some(message)), (TAIL.to_vec(), Some(written(next)))];
    Ok((number, Changes { writes: writes.into(), ..Changes::default() }))
}

/// Removes every message before `target`, which may be the tail.
pub(crate) fn pop_to(changes: &mut Changes, anchor: &impl ReadKv, target: u32) -> Result<(), RollupError> {
    let (head, tail) = (number(changes.get(anchor, HEAD)), number(changes.get(anchor, TAIL)));
    if target < head || target > tail {
        return Err(RollupError::InvalidPopTarget);
    }
    if target == head {
        return Ok(());
    }
    let found = target - head;
    if found > PARTS_LIMIT as u32 {
        return Err(RollupError::TooMany { found, limit: PARTS_LIMIT as u32 });
    }
    changes.writes.extend((head..target).map(|number| (key(number), None)));
    changes.writes.push((HEAD.to_vec(), Some(written(target))));
    changes.processed_to = Some(target);
    Ok(())
}
