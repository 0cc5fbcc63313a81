//! Users' evaluation keys: fetched in parts, checked, expanded, kept in memory.

use crate::cache::ByteCache;
use crate::pool::{Pool, PoolError};
use crate::world::World;
use codec::Encode;
use encompute_fhe::{BootstrapSet, Bootstrapper, CodePath, EvaluationKey, EvaluationKeyError, PreparedEvaluationKey};
use encompute_protocol::BlobDigest;
use encompute_protocol::manifest::EVALUATION_KEY_PART_BYTES;
use encompute_store::{Blobs, ByteLimit, GetError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tracing::info;

/// Expanded keys in memory, the least recently used dropped first: 512 MiB, five keys of the production set.
pub const EXPANDED_BYTES: usize = 512 * 1024 * 1024;

/// The evaluation keys of one worker's users. Keys open nothing; what is cached is named by the digest of a key's
/// parts, so that nobody is given another's.
pub struct EvaluationKeys {
    world: Arc<World>,
    pool: Pool,
    bootstrapper: Arc<Bootstrapper>,
    expanded: Mutex<ByteCache<BlobDigest, PreparedEvaluationKey>>,
    /// One key at a time is fetched and expanded: it takes 24 MB more meanwhile.
    turn: tokio::sync::Mutex<()>,
}

/// An evaluation key that this worker does not compute with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRefused {
    /// Not in as many parts as a key of the set has.
    #[error("evaluation key has {found} parts, one of {set} has {wanted}")]
    Parts {
        /// The set.
        set: BootstrapSet,
        /// Parts named in the request.
        found: usize,
        /// Parts of every key of the set.
        wanted: usize,
    },
    /// A part that cannot be fetched.
    #[error("part {part} of the evaluation key cannot be fetched")]
    Fetch {
        /// Index of the part.
        part: usize,
        /// Why.
        source: GetError,
    },
    /// Not an evaluation key.
    #[error("evaluation key is malformed")]
    Malformed(#[from] EvaluationKeyError),
    /// A key of another set.
    #[error("evaluation key is of {found}, the head takes {wanted}")]
    Set {
        /// The key's set.
        found: BootstrapSet,
        /// The head's set.
        wanted: BootstrapSet,
    },
    /// Too much to compute.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

impl EvaluationKeys {
    /// No keys yet; at most `limit_bytes` of expanded ones are kept.
    pub fn new(world: Arc<World>, pool: Pool, limit_bytes: usize) -> Self {
        let bootstrapper = Arc::new(Bootstrapper::new(CodePath::fastest()));
        let expanded = Mutex::new(ByteCache::new(limit_bytes));
        Self { world, pool, bootstrapper, expanded, turn: tokio::sync::Mutex::default() }
    }

    /// The key in these parts, expanded; fetched if it is not in memory.
    ///
    /// # Errors
    /// [`KeyRefused`], by the first check that fails: as many parts as a key has, before any is fetched.
    pub async fn load(
        &self,
        parts: &[BlobDigest],
        set: BootstrapSet,
    ) -> Result<Arc<PreparedEvaluationKey>, KeyRefused> {
        let bytes = EvaluationKey::byte_len(set);
        let (found, wanted) = (parts.len(), bytes.div_ceil(EVALUATION_KEY_PART_BYTES));
        if found != wanted {
            return Err(KeyRefused::Parts { set, found, wanted });
        }
        let name = BlobDigest::of(&parts.encode());
        if let Some(key) = self.find(&name) {
            return Ok(key);
        }
        let _turn = self.turn.lock().await;
        if let Some(key) = self.find(&name) {
            return Ok(key);
        }
        let began = Instant::now();
        let mut whole = Vec::with_capacity(bytes);
        for (part, digest) in parts.iter().enumerate() {
            let limit = ByteLimit(EVALUATION_KEY_PART_BYTES as u64);
            let fetched = self.world.gateway.get(*digest, limit).await;
            whole.extend_from_slice(&fetched.map_err(|source| KeyRefused::Fetch { part, source })?);
        }
        let bootstrapper = self.bootstrapper.clone();
        let key = self.pool.run(move || expand(&bootstrapper, &whole, set)).await??;
        let key = Arc::new(key);
        let memory = PreparedEvaluationKey::memory_bytes(set);
        self.expanded.lock().unwrap_or_else(PoisonError::into_inner).put(name, key.clone(), memory);
        info!(%name, bytes, ms = began.elapsed().as_millis() as u64, "evaluation key expanded");
        Ok(key)
    }

    fn find(&self, name: &BlobDigest) -> Option<Arc<PreparedEvaluationKey>> {
        self.expanded.lock().unwrap_or_else(PoisonError::into_inner).find(name)
    }
}

fn expand(
    bootstrapper: &Bootstrapper,
    bytes: &[u8],
    wanted: BootstrapSet,
) -> Result<PreparedEvaluationKey, KeyRefused> {
    let key = EvaluationKey::from_bytes(bytes)?;
    match key.set() {
        found if found != wanted => Err(KeyRefused::Set { found, wanted }),
        _ => Ok(bootstrapper.prepare(&key)),
    }
}
