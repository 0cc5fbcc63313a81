//! How many bytes a gateway may still take.

use crate::blobs::ByteLimit;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts bytes kept and bytes on their way.
pub(super) struct Quota {
    limit: u64,
    used: Mutex<u64>,
}

/// Room for one blob; given back when dropped, unless it was used.
pub(super) struct Room {
    quota: Arc<Quota>,
    bytes: u64,
}

impl Quota {
    pub(super) fn new(limit: ByteLimit, used: u64) -> Self {
        Self { limit: limit.0, used: Mutex::new(used) }
    }

    /// Room for `bytes`, or how many are left.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Room, u64> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match used.checked_add(bytes) {
            Some(sum) if sum <= self.limit => {
                *used = sum;
                Ok(Room { quota: self.clone(), bytes })
            }
            _ => Err(self.limit.saturating_sub(*used)),
        }
    }

    /// Frees the room of a blob that was kept and is kept no longer.
    pub(super) fn give_back(&self, bytes: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.saturating_sub(bytes);
    }

    pub(super) fn used(&self) -> u64 {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }
}

impl Room {
    /// The blob is kept: its room stays taken.
    pub(super) fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.quota.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn room_that_was_not_used_is_given_back() {
        let quota = Arc::new(Quota::new(ByteLimit(10), 3));
        let room = quota.reserve(7).ok().unwrap();
        assert_eq!(quota.reserve(1).err(), Some(0));
        drop(room);
        quota.reserve(5).ok().unwrap().keep();
        assert_eq!(quota.used(), 8);
        assert_eq!(quota.reserve(u64::MAX).err(), Some(2));
    }
}
