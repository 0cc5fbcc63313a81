//! One transaction: conditions, updates, actions.

use crate::{
    bound,
    kv::{Changes, ITEM_LIMIT_BYTES, KEY_LIMIT_BYTES, Key, ReadKv, VERSION_SUFFIX, Value, version, written},
    queue,
};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use core::fmt;
use scale_info::TypeInfo;

/// Most conditions, updates and actions of each kind, and most messages popped at once.
pub const PARTS_LIMIT: usize = 64;

/// Something to do after the updates. The bytes are upstream's `HandleActionInput`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum Action {
    /// Says something to the market: selector and argument of one of its messages.
    #[codec(index = 0)]
    Reply(Vec<u8>),
    /// Removes the messages before this number from the queue.
    #[codec(index = 1)]
    SetQueueHead(u32),
    /// Upstream's way to make an account an attestor; refused here.
    #[codec(index = 2)]
    GrantAttestor([u8; 32]),
    /// Upstream's way to unmake one; refused here.
    #[codec(index = 3)]
    RevokeAttestor([u8; 32]),
}

/// What a worker sends: the arguments of `rollup_cond_eq`, and the data of a request that is forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct RollupTx {
    /// Keys with the values that they must have; none: absent.
    pub conditions: Vec<(Key, Option<Value>)>,
    /// Keys with their new values; none removes a key.
    pub updates: Vec<(Key, Option<Value>)>,
    /// What follows.
    pub actions: Vec<Action>,
}

/// Who may not: the bytes of upstream's `AccessControlError::MissingRole`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum MissingRole {
    /// Not the owner's worker, or its registration does not hold.
    #[codec(index = 1)]
    MissingRole,
}

/// Why a transaction was refused. Nothing has changed then. The first five are upstream's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[allow(missing_docs, reason = "fields are what was found and what was allowed")]
pub enum RollupError {
    /// The queue has no such place.
    #[codec(index = 0)]
    InvalidPopTarget,
    /// Somebody was faster: a condition does not hold.
    #[codec(index = 1)]
    ConditionNotMet,
    /// Bytes that are no transaction, or no message of the market.
    #[codec(index = 2)]
    FailedToDecode,
    /// An action, or a message of the market, that is not a worker's to ask for.
    #[codec(index = 3)]
    UnsupportedAction,
    /// Whoever sends it may not.
    #[codec(index = 4)]
    AccessControlError(MissingRole),
    /// An update touches what only the anchor itself may write.
    #[codec(index = 10)]
    ReservedKey { at: u32 },
    /// A key is empty or longer than the platform takes.
    #[codec(index = 11)]
    KeyLength { found: u32, limit: u32 },
    /// A value is longer than one storage item holds.
    #[codec(index = 12)]
    ValueTooLong { found: u32, limit: u32 },
    /// More parts than one transaction may have.
    #[codec(index = 13)]
    TooMany { found: u32, limit: u32 },
    /// The queue has numbered all that it can.
    #[codec(index = 14)]
    QueueFull,
    /// An update sets a version to something else than one more than it was.
    #[codec(index = 15)]
    VersionSkipped { at: u32 },
    /// The market said no to a reply: what it returned.
    #[codec(index = 16)]
    MarketRefused { reply: u32, said: Vec<u8> },
    /// A worker registers another key than its own, or another payee than the owner's.
    #[codec(index = 17)]
    OthersRegistration,
    /// Short or long calldata, which the platform would take for another argument.
    #[codec(index = 18)]
    CalldataLength { found: u64, wanted: u64 },
    /// The job is neither open nor this worker's, or was queued before.
    #[codec(index = 19)]
    NotQueueable,
    /// The money could not be paid out.
    #[codec(index = 20)]
    PaymentFailed,
    /// Bytes that are no secp256k1 key.
    #[codec(index = 21)]
    NotAKey,
}

/// The refusal of whoever may not.
pub const MAY_NOT: RollupError = RollupError::AccessControlError(MissingRole::MissingRole);

impl fmt::Display for RollupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidPopTarget => f.write_str("the queue has no such place"),
            Self::ConditionNotMet => f.write_str("a condition does not hold any more"),
            Self::FailedToDecode => f.write_str("bytes are no rollup transaction, or no message of the market"),
            Self::UnsupportedAction => f.write_str("an action is not one that workers may ask for"),
            Self::AccessControlError(_) => f.write_str("sender is no worker of this anchor whose registration holds"),
            Self::ReservedKey { at } => write!(f, "update {at} touches what the anchor keeps itself"),
            Self::KeyLength { found, limit } => write!(f, "a key of {found} bytes, 1 to {limit} are allowed"),
            Self::ValueTooLong { found, limit } => write!(f, "a value of {found} bytes, at most {limit} are allowed"),
            Self::TooMany { found, limit } => write!(f, "{found} parts, at most {limit} are allowed"),
            Self::QueueFull => f.write_str("the queue can number no more messages"),
            Self::VersionSkipped { at } => write!(f, "update {at} sets a version otherwise than one higher"),
            Self::MarketRefused { reply, .. } => write!(f, "the market refuses reply {reply}"),
            Self::OthersRegistration => f.write_str("a registration of another key, or for another payee"),
            Self::CalldataLength { found, wanted } => write!(f, "{found} bytes of calldata, wanted {wanted}"),
            Self::NotQueueable => f.write_str("the job is neither open nor this worker's, or was queued before"),
            Self::PaymentFailed => f.write_str("the payee did not take the money"),
            Self::NotAKey => f.write_str("bytes are no secp256k1 key"),
        }
    }
}

impl core::error::Error for RollupError {}

impl RollupTx {
    /// The transaction in `bytes`, all of them.
    ///
    /// # Errors
    /// [`RollupError::FailedToDecode`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RollupError> {
        let mut rest = bytes;
        let transaction = Self::decode(&mut rest).map_err(|_| RollupError::FailedToDecode)?;
        if rest.is_empty() { Ok(transaction) } else { Err(RollupError::FailedToDecode) }
    }

    /// What the worker says to the market, in order.
    pub fn replies(&self) -> impl Iterator<Item = &[u8]> {
        self.actions.iter().filter_map(|action| match action {
            Action::Reply(reply) => Some(reply.as_slice()),
            _ => None,
        })
    }

    /// What the transaction does: nothing unless every condition holds, byte for byte.
    ///
    /// # Errors
    /// [`RollupError`], by the first check that fails.
    pub fn decide<K: ReadKv>(self, anchor: &K) -> Result<Changes, RollupError> {
        for found in [self.conditions.len(), self.updates.len(), self.actions.len()] {
            if found > PARTS_LIMIT {
                return Err(RollupError::TooMany { found: found as u32, limit: PARTS_LIMIT as u32 });
            }
        }
        for (key, wanted) in &self.conditions {
            check_key(key)?;
            if anchor.get(key) != *wanted {
                return Err(RollupError::ConditionNotMet);
            }
        }
        for (at, (key, value)) in (0..).zip(&self.updates) {
            check_key(key)?;
            if [queue::PREFIX, bound::PREFIX].iter().any(|reserved| key.starts_with(reserved)) {
                return Err(RollupError::ReservedKey { at });
            }
            if let Some(of) = key.strip_suffix(VERSION_SUFFIX)
                && *value != version(anchor, of).checked_add(1).map(written)
            {
                return Err(RollupError::VersionSkipped { at });
            }
            check_value(value.as_deref().unwrap_or_default())?;
        }
        let mut changes = Changes { writes: self.updates, ..Changes::default() };
        for action in self.actions {
            match action {
                Action::Reply(reply) => changes.replies.push(reply),
                Action::SetQueueHead(target) => queue::pop_to(&mut changes, anchor, target)?,
                Action::GrantAttestor(_) | Action::RevokeAttestor(_) => return Err(RollupError::UnsupportedAction),
            }
        }
        Ok(changes)
    }
}

fn check_key(key: &[u8]) -> Result<(), RollupError> {
    match key.len() {
        1..=KEY_LIMIT_BYTES => Ok(()),
        found => Err(RollupError::KeyLength { found: found as u32, limit: KEY_LIMIT_BYTES as u32 }),
    }
}

fn check_value(value: &[u8]) -> Result<(), RollupError> {
    match value.len() {
        0..=ITEM_LIMIT_BYTES => Ok(()),
        found => Err(RollupError::ValueTooLong { found: found as u32, limit: ITEM_LIMIT_BYTES as u32 }),
    }
}
