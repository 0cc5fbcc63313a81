//! Heads this worker can run: fetched, unsealed for its attested key, compiled, compared with the
//! chain, kept in memory.

use crate::cache::ByteCache;
use crate::pool::{Pool, PoolError};
use crate::world::{AttestError, World};
use encompute_chain::ReadError;
use encompute_envelope::{ContentKey, OpenError, unlock};
use encompute_head::{
    CompileError, CompileOptions, CompiledHead, HeadPlan, HeadWeights, PlanError, WeightsError, compile,
};
use encompute_protocol::call::{ReadSplit, ReadVersion};
use encompute_protocol::wire::{DecodeError, Message};
use encompute_protocol::{
    BlobDigest, CostUnits, SplitIndex, SplitManifest, SplitRecord, VersionHash, VersionId, VersionManifest,
    VersionRecord, VersionStatus,
};
use encompute_store::{Blobs, ByteLimit, GetError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::{info, warn};
use zeroize::Zeroizing;

/// A failed load is not tried again before this, so that nobody makes the worker hammer a creator.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A head ready to run.
pub struct LoadedHead {
    /// The version it belongs to, as the chain had it when it was loaded.
    pub version: VersionRecord,
    /// Its split on chain.
    pub split: SplitRecord,
    /// The program.
    pub compiled: CompiledHead,
    /// What only those have who have the weights.
    pub(crate) secret: Zeroizing<[u8; 32]>,
}

/// Names a head: version and split.
pub type HeadName = (VersionId, SplitIndex);

/// The heads of one worker.
pub struct Heads {
    world: Arc<World>,
    pool: Pool,
    cost_limit: CostUnits,
    loaded: Mutex<ByteCache<HeadName, LoadedHead>>,
    loading: Mutex<BTreeMap<HeadName, Arc<tokio::sync::Mutex<Option<Instant>>>>>,
}

/// A head that this worker cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The chain could not be read.
    #[error("read version {version} from the chain")]
    Read {
        /// Which version.
        version: VersionId,
        /// Why.
        source: ReadError,
    },
    /// No such version or split.
    #[error("version {version} has no split {split} on chain")]
    Unknown {
        /// Which version.
        version: VersionId,
        /// Which split.
        split: SplitIndex,
    },
    /// Not for sale, or withdrawn.
    #[error("version {version} is {status:?}")]
    Status {
        /// Which version.
        version: VersionId,
        /// Its status.
        status: VersionStatus,
    },
    /// Costs more than the operator allows.
    #[error("the head costs {found} units, this worker runs at most {limit}", found = found.0, limit = limit.0)]
    TooCostly {
        /// Units of the head.
        found: CostUnits,
        /// Units allowed.
        limit: CostUnits,
    },
    /// A blob could not be fetched.
    #[error("fetch the {what}")]
    Fetch {
        /// Manifest or weights.
        what: &'static str,
        /// Why.
        source: GetError,
    },
    /// The manifest is none.
    #[error("decode the manifest")]
    Manifest(#[source] DecodeError),
    /// The manifest says something else than the chain.
    #[error("manifest and chain differ in {field}")]
    Differs {
        /// In what.
        field: &'static str,
    },
    /// The plan is none.
    #[error("decode the plan")]
    Plan(#[from] PlanError),
    /// A parameter set that the network does not allow.
    #[error("parameter set {found} is not allowed on this network")]
    ParameterSet {
        /// Its name.
        found: &'static str,
    },
    /// The machine gave no evidence.
    #[error("attest to the creator's service")]
    Attest(#[from] AttestError),
    /// The creator's service could not be asked, or refused.
    #[error("ask {url} for the head's key: {reason}")]
    Creator {
        /// Its address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The key or the weights do not open.
    #[error("open the {what}")]
    Open {
        /// Key or weights.
        what: &'static str,
        /// Why.
        source: OpenError,
    },
    /// The weights are none.
    #[error("decode the weights")]
    Weights(#[from] WeightsError),
    /// The head is refused by the compiler.
    #[error("compile the head")]
    Compile(#[from] CompileError),
    /// Compiling took too long, or too much waits.
    #[error("compile the head")]
    Pool(#[from] PoolError),
    /// Failed a moment ago.
    #[error("loading it failed less than {RETRY_AFTER:?} ago")]
    JustFailed,
}

impl Heads {
    /// No heads yet; at most `limit_bytes` of them are kept.
    pub fn new(world: Arc<World>, pool: Pool, cost_limit: CostUnits, limit_bytes: usize) -> Self {
        Self { world, pool, cost_limit, loaded: Mutex::new(ByteCache::new(limit_bytes)), loading: Mutex::default() }
    }

    /// Names of the heads in memory.
    pub fn held(&self) -> Vec<HeadName> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Drops a version's heads from memory.
    pub fn forget(&self, version: VersionId) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<_> = loaded.keys().filter(|(held, _)| *held == version).copied().collect();
        gone.iter().for_each(|name| loaded.remove(name));
    }

    /// The head, loaded if it is not in memory. One load at a time for one head.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn load(&self, name: HeadName) -> Result<Arc<LoadedHead>, LoadError> {
        if let Some(head) = self.find(&name) {
            return Ok(head);
        }
        let turn = self.loading.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default().clone();
        let mut failed_at = turn.lock().await;
        if let Some(head) = self.find(&name) {
            return Ok(head);
        }
        if failed_at.is_some_and(|at| at.elapsed() < RETRY_AFTER) {
            return Err(LoadError::JustFailed);
        }
        let started = Instant::now();
        match self.fetch(name).await {
            Ok(head) => {
                let head = Arc::new(head);
                let bytes = head.memory_bytes();
                let kept = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).put(name, head.clone(), bytes);
                if !kept {
                    warn!(
                        version = name.0.0,
                        bytes, "the head takes more memory than heads may: it is loaded anew each time"
                    );
                }
                self.loading.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
                info!(
                    version = name.0.0,
                    split = name.1.0,
                    bytes,
                    ms = started.elapsed().as_millis() as u64,
                    "head ready"
                );
                Ok(head)
            }
            Err(error) => {
                *failed_at = Some(Instant::now());
                Err(error)
            }
        }
    }

    fn find(&self, name: &HeadName) -> Option<Arc<LoadedHead>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).find(name)
    }

    async fn fetch(&self, name: HeadName) -> Result<LoadedHead, LoadError> {
        let (version, record) = self.on_chain(name).await?;
        let manifest = self.manifest(version.manifest).await?;
        let published =
            manifest.splits.get(usize::from(name.1.0)).ok_or(LoadError::Differs { field: "number of splits" })?;
        same_split(published, &record)?;
        let plan = HeadPlan::from_bytes(published.plan.as_slice())?;
        let set = plan.parameter_set();
        if !self.world.network.allows_parameters(set.name()) {
            return Err(LoadError::ParameterSet { found: set.name() });
        }
        let sealed = self.sealed_weights(published);
        let key = self.world.head_key(name, version.manifest, manifest.creator_url.as_str());
        let (sealed, key) = futures::future::try_join(sealed, key).await?;
        let allow_toy_parameters = !set.is_production();
        let compiled = self.pool.run(move || open_and_compile(plan, &key, &sealed, allow_toy_parameters)).await??;
        if compiled.digest() != record.head {
            return Err(LoadError::Differs { field: "digest of the head" });
        }
        let secret = compiled.state_secret();
        Ok(LoadedHead { version, split: record, compiled, secret })
    }

    async fn on_chain(&self, (version, split): HeadName) -> Result<(VersionRecord, SplitRecord), LoadError> {
        let client = self.world.client();
        let read = |source| LoadError::Read { version, source };
        let unknown = LoadError::Unknown { version, split };
        let Some(found) = client.read(ReadVersion { version }).await.map_err(read)? else { return Err(unknown) };
        let Some(record) = client.read(ReadSplit { version, split }).await.map_err(read)? else { return Err(unknown) };
        match found.status {
            VersionStatus::Active | VersionStatus::Deprecated => {}
            status => return Err(LoadError::Status { version, status }),
        }
        if record.cost > self.cost_limit {
            return Err(LoadError::TooCostly { found: record.cost, limit: self.cost_limit });
        }
        Ok((found, record))
    }

    async fn manifest(&self, hash: VersionHash) -> Result<VersionManifest, LoadError> {
        let limit = ByteLimit(VersionManifest::LIMIT_BYTES as u64);
        let bytes = self.world.gateway.get(BlobDigest(hash.0), limit).await;
        let bytes = bytes.map_err(|source| LoadError::Fetch { what: "manifest", source })?;
        VersionManifest::from_wire(&bytes).map_err(LoadError::Manifest)
    }

    async fn sealed_weights(&self, split: &SplitManifest) -> Result<bytes::Bytes, LoadError> {
        // Weights, a header and 16 bytes a chunk of 64 KiB.
        let limit = HeadWeights::LIMIT_BYTES as u64 + HeadWeights::LIMIT_BYTES as u64 / 1024;
        let limit = ByteLimit(split.sealed_weights_bytes.min(limit));
        let bytes = self.world.gateway.get(split.sealed_weights, limit).await;
        bytes.map_err(|source| LoadError::Fetch { what: "weights", source })
    }
}

impl LoadedHead {
    /// About how many bytes it takes in memory: a prepared polynomial of weights, which have no limbs, is half as many
    /// complex numbers as the ring has coefficients.
    fn memory_bytes(&self) -> usize {
        let plan = self.compiled.plan();
        let polynomial = plan.parameter_set().polynomial_size().0 * 8;
        let polynomials = self.compiled.cost().ring_products as usize / 2;
        let weights: usize = plan.rounds().iter().map(|round| round.layer.weight_count()).sum();
        polynomials * polynomial + weights
    }
}

fn open_and_compile(
    plan: HeadPlan,
    key: &ContentKey,
    sealed: &[u8],
    allow_toy_parameters: bool,
) -> Result<CompiledHead, LoadError> {
    let opened = unlock(key, sealed, HeadWeights::LIMIT_BYTES);
    let opened = opened.map_err(|source| LoadError::Open { what: "weights", source })?;
    let weights = HeadWeights::from_bytes(&opened)?;
    Ok(compile(plan, weights, &CompileOptions { allow_toy_parameters, ..CompileOptions::default() })?)
}

fn same_split(published: &SplitManifest, record: &SplitRecord) -> Result<(), LoadError> {
    let fields = [
        ("mode", published.mode == record.mode),
        ("digest of the head", published.head == record.head),
        ("commitment of the tail", published.tail == record.tail),
        ("cost", published.cost.units == record.cost),
        ("number of policies", published.policies.len() == usize::from(record.policies)),
    ];
    match fields.into_iter().find(|(_, same)| !same) {
        Some((field, _)) => Err(LoadError::Differs { field }),
        None => Ok(()),
    }
}
