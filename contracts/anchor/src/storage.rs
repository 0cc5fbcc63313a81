//! What an anchor keeps: its map, the keys that its owner has named, how many requests of each were accepted.

use encompute_protocol::{Address, JobId, SigningAddress};
use encompute_rollup::{Key, ReadKv, RollupError, Value, WriteKv, call::AnchorRecord};
use ink::storage::Mapping;

/// A record as a storage item: its SCALE bytes.
#[ink::scale_derive(Encode, Decode, TypeInfo)]
pub struct Stored<T>(T);

#[cfg(feature = "std")]
impl<T: ink::scale_info::TypeInfo + 'static> ink::storage::traits::StorageLayout for Stored<T> {
    fn layout(key: &ink::primitives::Key) -> ink::metadata::layout::Layout {
        use ink::metadata::layout::{Layout, LayoutKey, LeafLayout};
        Layout::Leaf(LeafLayout::from_key::<T>(LayoutKey::from(key)))
    }
}

/// Everything. The record alone is read before and written after each message as a whole, and nothing changes it.
#[ink::storage_item]
pub struct Store {
    record: Stored<AnchorRecord>,
    kv: Mapping<Key, Value>,
    signing: Mapping<[u8; 32], Stored<SigningAddress>>,
    senders: Mapping<Address, [u8; 32]>,
    nonces: Mapping<[u8; 32], u128>,
    queued: Mapping<JobId, u32>,
}

impl Store {
    /// Without keys.
    ///
    /// # Errors
    /// [`RollupError::NotAKey`] for an owner, payee, market or genesis hash of zeros.
    pub fn new(record: AnchorRecord) -> Result<Self, RollupError> {
        let nobody = Address::default();
        if record.owner == nobody || record.payout == nobody || record.market.0 == [0; 20] || record.genesis.is_zero() {
            return Err(RollupError::NotAKey);
        }
        Ok(Self {
            record: Stored(record),
            kv: Mapping::new(),
            signing: Mapping::new(),
            senders: Mapping::new(),
            nonces: Mapping::new(),
            queued: Mapping::new(),
        })
    }

    /// What the anchor was made with.
    pub fn record(&self) -> AnchorRecord {
        self.record.0
    }

    /// A sender's key, if the owner has named it.
    pub fn signing(&self, from: [u8; 32]) -> Option<SigningAddress> {
        self.signing.get(from).map(|stored| stored.0)
    }

    /// The key of the account that calls, if the owner has named it.
    pub fn signing_of_caller(&self, caller: Address) -> Option<SigningAddress> {
        self.signing(self.senders.get(caller)?)
    }

    /// Names a key.
    pub fn name(&mut self, from: [u8; 32], account: Address, signing: SigningAddress) {
        self.signing.insert(from, &Stored(signing));
        self.senders.insert(account, &from);
    }

    /// Takes a key's name away. Its count stays: were it named again, what it had signed before must not hold anew.
    pub fn drop_name(&mut self, from: [u8; 32], account: Address) {
        self.signing.remove(from);
        self.senders.remove(account);
    }

    /// How many requests of a sender were accepted.
    pub fn nonce(&self, from: [u8; 32]) -> u128 {
        self.nonces.get(from).unwrap_or(0)
    }

    /// Counts a request.
    pub fn count(&mut self, from: [u8; 32], next: u128) {
        self.nonces.insert(from, &next);
    }

    /// True for a job that was put on the queue, whether it is there still or not.
    pub fn was_queued(&self, job: JobId) -> bool {
        self.queued.get(job).is_some()
    }

    /// Remembers that a job was put on the queue.
    pub fn queued(&mut self, job: JobId, id: u32) {
        self.queued.insert(job, &id);
    }
}

impl ReadKv for Store {
    fn get(&self, key: &[u8]) -> Option<Value> {
        self.kv.get(key.to_vec())
    }
}

impl WriteKv for Store {
    fn set(&mut self, key: Key, value: Option<Value>) {
        match value {
            Some(value) => drop(self.kv.insert(key, &value)),
            None => self.kv.remove(key),
        }
    }
}
