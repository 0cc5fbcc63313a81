//! Blocks and trie nodes on disk (or in memory, through the same code): an archive, nothing is ever deleted.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | name | format version, runtime version, genesis endowments |
//! | `nodes` | trie prefix ‖ node hash | trie node |
//! | `blocks` | block number | SCALE [`StoredBlock`] |
//! | `numbers` | block hash | block number |
//! | `waiting` | position | transactions that were pooled when the node stopped |

use crate::runtime::{BlockNumber, Hash, Header};
use codec::{Decode, Encode};
use redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    backends::InMemoryBackend,
};
use sp_runtime::traits::BlakeTwo256;
use sp_state_machine::{BackendTransaction, DBValue, TrieBackendStorage};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const NODES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("nodes");
const BLOCKS: TableDefinition<u32, &[u8]> = TableDefinition::new("blocks");
const NUMBERS: TableDefinition<&[u8; 32], u32> = TableDefinition::new("numbers");
const WAITING: TableDefinition<u32, &[u8]> = TableDefinition::new("waiting");

const FILE_NAME: &str = "chain.redb";
const FORMAT_KEY: &str = "format";
const FORMAT: u32 = 1;
/// Reached within minutes of work, so that the node holds after an hour what it holds after a day.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Where a chain keeps its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a folder, made if absent; one process at a time.
    Folder(PathBuf),
    /// In memory, gone with the process.
    Memory,
}

/// The store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the folder open.
    #[error("the state folder {folder} is in use by another process")]
    Taken {
        /// The folder asked for.
        folder: PathBuf,
    },
    /// The folder cannot be made or read.
    #[error("open the state folder {folder}")]
    Folder {
        /// The folder asked for.
        folder: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The database failed.
    #[error("{operation} the chain's database")]
    Database {
        /// What was tried: "read", "write", …
        operation: &'static str,
        /// The database's reason.
        #[source]
        source: Box<redb::Error>,
    },
    /// The folder was written by another version of this program.
    #[error("the state folder has format {found:?}, this program reads format {supported}")]
    Format {
        /// What the folder says, if anything readable.
        found: Option<u32>,
        /// What this program reads.
        supported: u32,
    },
    /// A record does not decode.
    #[error("the record of block {number} is damaged")]
    Damaged {
        /// Which block.
        number: BlockNumber,
    },
}

impl StoreError {
    /// The error and what caused it, in one sentence.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            // redb repeats what caused it in its own words.
            let said = error.to_string();
            if !words.contains(&said) {
                words = format!("{words}: {said}");
            }
            cause = error.source();
        }
        words
    }
}

/// A block as stored: the header and the extrinsics with their length prefixes, as clients submit them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredBlock {
    /// The sealed header.
    pub header: Header,
    /// Extrinsics in execution order, inherents first.
    pub body: Vec<Vec<u8>>,
}

impl StoredBlock {
    /// The block's hash: BLAKE2b-256 of its SCALE header.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.header.hash()
    }
}

/// The database of one chain. Writes come from the chain thread only, reads from anywhere.
pub struct Store {
    db: Database,
}

/// A consistent snapshot of all tables.
pub struct Reader {
    nodes: ReadOnlyTable<&'static [u8], &'static [u8]>,
    blocks: ReadOnlyTable<u32, &'static [u8]>,
    numbers: ReadOnlyTable<&'static [u8; 32], u32>,
    meta: ReadOnlyTable<&'static str, &'static [u8]>,
    waiting: ReadOnlyTable<u32, &'static [u8]>,
}

/// The trie nodes of a snapshot.
pub struct NodeReader(ReadOnlyTable<&'static [u8], &'static [u8]>);

impl TrieBackendStorage<BlakeTwo256> for NodeReader {
    fn get(&self, key: &Hash, prefix: (&[u8], Option<u8>)) -> Result<Option<DBValue>, String> {
        let key = memory_db::prefixed_key::<BlakeTwo256>(key, prefix);
        let node = self.0.get(key.as_slice()).map_err(|error| error.to_string())?;
        Ok(node.map(|node| node.value().to_vec()))
    }
}

impl Store {
    /// Opens or makes the store and its tables.
    ///
    /// # Errors
    /// [`StoreError::Taken`], [`StoreError::Folder`], [`StoreError::Format`] or a database failure; nothing is written.
    pub fn open(place: &Place) -> Result<Self, StoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let db = match place {
            Place::Memory => builder.create_with_backend(InMemoryBackend::new()).map_err(database("open"))?,
            Place::Folder(folder) => {
                fs::create_dir_all(folder).map_err(|source| StoreError::Folder { folder: folder.clone(), source })?;
                builder.create(folder.join(FILE_NAME)).map_err(|error| open_error(folder, error))?
            }
        };
        let store = Self { db };
        // A store that was made before is only read: one on a disk that is full still opens.
        match store.format() {
            Ok(found) if found == Some(FORMAT) => {}
            Ok(found) => return Err(StoreError::Format { found, supported: FORMAT }),
            Err(_) => store.make_tables()?,
        }
        Ok(store)
    }

    /// What the store says of its format; an error in one that has no tables yet.
    fn format(&self) -> Result<Option<u32>, StoreError> {
        let noted = self.reader()?.noted(FORMAT_KEY)?;
        Ok(noted.and_then(|bytes| u32::decode(&mut bytes.as_slice()).ok()))
    }

    fn make_tables(&self) -> Result<(), StoreError> {
        let write = self.db.begin_write().map_err(database("write"))?;
        {
            let mut meta = write.open_table(META).map_err(database("write"))?;
            let found = meta.get(FORMAT_KEY).map_err(database("read"))?.map(|bytes| bytes.value().to_vec());
            match found {
                None => {
                    meta.insert(FORMAT_KEY, FORMAT.encode().as_slice()).map_err(database("write"))?;
                }
                Some(bytes) => {
                    let found = u32::decode(&mut bytes.as_slice()).ok();
                    if found != Some(FORMAT) {
                        return Err(StoreError::Format { found, supported: FORMAT });
                    }
                }
            }
            write.open_table(NODES).map_err(database("write"))?;
            write.open_table(BLOCKS).map_err(database("write"))?;
            write.open_table(NUMBERS).map_err(database("write"))?;
            write.open_table(WAITING).map_err(database("write"))?;
        }
        write.commit().map_err(database("write"))
    }

    /// A snapshot of everything committed so far.
    ///
    /// # Errors
    /// A database failure.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        let read = self.db.begin_read().map_err(database("read"))?;
        Ok(Reader {
            nodes: read.open_table(NODES).map_err(database("read"))?,
            blocks: read.open_table(BLOCKS).map_err(database("read"))?,
            numbers: read.open_table(NUMBERS).map_err(database("read"))?,
            meta: read.open_table(META).map_err(database("read"))?,
            waiting: read.open_table(WAITING).map_err(database("read"))?,
        })
    }

    /// Adds a block and the trie nodes it made, all or nothing. `durable: false` leaves the flush to a later durable
    /// commit: a crash in between loses the block, never the store.
    pub(crate) fn add_block(
        &self,
        block: &StoredBlock,
        mut nodes: BackendTransaction<BlakeTwo256>,
        durable: bool,
    ) -> Result<(), StoreError> {
        let mut write = self.db.begin_write().map_err(database("write"))?;
        let durability = if durable { Durability::Immediate } else { Durability::None };
        write.set_durability(durability).map_err(database("write"))?;
        {
            let mut table = write.open_table(NODES).map_err(database("write"))?;
            for (key, (node, references)) in nodes.drain() {
                // An archive: nodes that the new root no longer reaches stay for the older roots.
                if references > 0 {
                    table.insert(key.as_slice(), node.as_slice()).map_err(database("write"))?;
                }
            }
            let number = block.header.number;
            let mut blocks = write.open_table(BLOCKS).map_err(database("write"))?;
            blocks.insert(number, block.encode().as_slice()).map_err(database("write"))?;
            let mut numbers = write.open_table(NUMBERS).map_err(database("write"))?;
            numbers.insert(&block.hash().0, number).map_err(database("write"))?;
        }
        write.commit().map_err(database("write"))
    }

    /// Records a fact about the whole chain, durably.
    pub(crate) fn note(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let write = self.db.begin_write().map_err(database("write"))?;
        write.open_table(META).map_err(database("write"))?.insert(name, value).map_err(database("write"))?;
        write.commit().map_err(database("write"))
    }

    /// Replaces the transactions kept for the next start, durably.
    pub(crate) fn keep_waiting(&self, extrinsics: &[Vec<u8>]) -> Result<(), StoreError> {
        let write = self.db.begin_write().map_err(database("write"))?;
        {
            let mut waiting = write.open_table(WAITING).map_err(database("write"))?;
            waiting.retain(|_, _| false).map_err(database("write"))?;
            for (position, extrinsic) in (0u32..).zip(extrinsics) {
                waiting.insert(position, extrinsic.as_slice()).map_err(database("write"))?;
            }
        }
        write.commit().map_err(database("write"))
    }
}

impl Reader {
    /// The newest block, `None` before genesis is written.
    ///
    /// # Errors
    /// A database failure or a damaged record.
    pub fn newest(&self) -> Result<Option<StoredBlock>, StoreError> {
        let last = self.blocks.last().map_err(database("read"))?;
        last.map(|(number, record)| decode_block(number.value(), record.value())).transpose()
    }

    /// The block of that number, if there is one.
    ///
    /// # Errors
    /// As [`Reader::newest`].
    pub fn block(&self, number: BlockNumber) -> Result<Option<StoredBlock>, StoreError> {
        let record = self.blocks.get(number).map_err(database("read"))?;
        record.map(|record| decode_block(number, record.value())).transpose()
    }

    /// The number of the block with that hash, if there is one.
    ///
    /// # Errors
    /// A database failure.
    pub fn number(&self, hash: Hash) -> Result<Option<BlockNumber>, StoreError> {
        Ok(self.numbers.get(&hash.0).map_err(database("read"))?.map(|number| number.value()))
    }

    /// The trie nodes of this snapshot.
    #[must_use]
    pub fn into_nodes(self) -> NodeReader {
        NodeReader(self.nodes)
    }

    /// A fact noted about the whole chain.
    pub(crate) fn noted(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.get(name).map_err(database("read"))?.map(|value| value.value().to_vec()))
    }

    /// The transactions kept when the node last stopped.
    pub(crate) fn waiting(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut extrinsics = Vec::new();
        for entry in self.waiting.iter().map_err(database("read"))? {
            extrinsics.push(entry.map_err(database("read"))?.1.value().to_vec());
        }
        Ok(extrinsics)
    }

    /// How many blocks there are, genesis included.
    ///
    /// # Errors
    /// A database failure.
    pub fn block_count(&self) -> Result<u64, StoreError> {
        self.blocks.len().map_err(database("read"))
    }
}

fn decode_block(number: BlockNumber, mut record: &[u8]) -> Result<StoredBlock, StoreError> {
    let block = StoredBlock::decode(&mut record).map_err(|_| StoreError::Damaged { number })?;
    if record.is_empty() { Ok(block) } else { Err(StoreError::Damaged { number }) }
}

fn open_error(folder: &Path, error: redb::DatabaseError) -> StoreError {
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => StoreError::Taken { folder: folder.into() },
        redb::DatabaseError::Storage(redb::StorageError::Io(source)) => {
            StoreError::Folder { folder: folder.into(), source }
        }
        other => StoreError::Database { operation: "open", source: Box::new(other.into()) },
    }
}

fn database<E: Into<redb::Error>>(operation: &'static str) -> impl Fn(E) -> StoreError {
    move |error| StoreError::Database { operation, source: Box::new(error.into()) }
}
