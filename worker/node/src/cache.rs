//! Compiled heads in memory, the least recently used ones dropped first.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Values by key, bounded by the bytes they take.
pub struct ByteCache<K, V> {
    limit_bytes: usize,
    held_bytes: usize,
    clock: u64,
    entries: BTreeMap<K, Entry<V>>,
}

struct Entry<V> {
    value: Arc<V>,
    bytes: usize,
    used: u64,
}

impl<K: Ord + Copy, V> ByteCache<K, V> {
    /// An empty cache that holds at most `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, held_bytes: 0, clock: 0, entries: BTreeMap::new() }
    }

    /// The value at `key`, which becomes the most recently used one.
    pub fn find(&mut self, key: &K) -> Option<Arc<V>> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(entry.value.clone())
    }

    /// Puts a value of `bytes`, dropping others until it fits. One that can never fit is not kept; false then.
    pub fn put(&mut self, key: K, value: Arc<V>, bytes: usize) -> bool {
        self.remove(&key);
        if bytes > self.limit_bytes {
            return false;
        }
        while self.held_bytes + bytes > self.limit_bytes {
            let Some(oldest) = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key) else {
                break;
            };
            self.remove(&oldest);
        }
        self.clock += 1;
        self.held_bytes += bytes;
        self.entries.insert(key, Entry { value, bytes, used: self.clock });
        true
    }

    /// Drops the value at `key`.
    pub fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.held_bytes -= entry.bytes;
        }
    }

    /// Keys held, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_value_makes_room() {
        let mut cache = ByteCache::new(10);
        cache.put(1, Arc::new("one"), 4);
        cache.put(2, Arc::new("two"), 4);
        assert!(cache.find(&1).is_some());
        cache.put(3, Arc::new("three"), 4);
        assert_eq!(cache.keys().copied().collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn a_value_larger_than_the_cache_is_not_kept_and_drops_nothing() {
        let mut cache = ByteCache::new(10);
        assert!(cache.put(1, Arc::new("one"), 4));
        assert!(!cache.put(2, Arc::new("two"), 11));
        assert_eq!(cache.keys().copied().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_replaced_value_gives_its_bytes_back() {
        let mut cache = ByteCache::new(10);
        for _ in 0..5 {
            cache.put(1, Arc::new("one"), 6);
        }
        cache.put(2, Arc::new("two"), 4);
        assert_eq!(cache.keys().count(), 2);
    }
}
