//! Jobs whose features came: open, check, run the tail, seal the result, commit it.

use crate::features::{self, FeaturesRefused, scores_in_millionths};
use crate::figures::Figures;
use crate::sessions::Sessions;
use crate::vault::{Vault, VaultError, VersionMaterial};
use encompute_chain::{Account, Class, ReadError, SubmitError};
use encompute_envelope::{Context, OVERHEAD_BYTES, RecipientPublic, RecipientSecret, SealError, Subject, open, seal};
use encompute_model::{TailError, TailLimits, TailModel};
use encompute_protocol::call::{CommitResult, ReadJob, ReadVersion, RefuseFeatures};
use encompute_protocol::manifest::{JobResult, ReleasedFeatures};
use encompute_protocol::wire::Message;
use encompute_protocol::{
    BlobDigest, BlockNumber, ContractAddress, JobId, JobRequest, JobTerms, Plancks, PolicyId, SplitIndex, Stage,
    VersionHash,
};
use encompute_store::{Blobs, ByteLimit, GatewayClient, GetError, PutError, StateDir, StateError};
use serde::Serialize;
use std::collections::{BTreeMap, btree_map::Entry};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tracing::{error, info, warn};

/// Jobs worked on at once.
const AT_ONCE: usize = 4;
/// Tails kept in memory, ready to run.
const TAILS: usize = 16;
/// How long to wait before a job that could not be finished is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Features that the store does not give are waited for until this many blocks before the deadline.
const LAST_BLOCKS: u32 = 2;
/// Outcomes that the health report counts too.
const COMMITTED: &str = "committed";
const REFUSED: &str = "refused";
/// Most bytes of a sealed result.
pub(crate) const RESULT_LIMIT_BYTES: usize = JobResult::LIMIT_BYTES + 2 * OVERHEAD_BYTES + 1024;

/// True where a job waits that was drawn for an audit, or for which a quote was demanded: it goes on after.
fn is_suspended(stage: Stage) -> bool {
    matches!(stage, Stage::Disputed(kind) if kind.is_anybodys())
}

/// Tails in memory, each with when it was last used.
type LoadedTails = BTreeMap<(VersionHash, SplitIndex), (Instant, Arc<TailModel>)>;

/// The jobs of one creator.
pub(crate) struct Desk {
    pub(crate) account: Account,
    pub(crate) contract: ContractAddress,
    pub(crate) gateway: GatewayClient,
    pub(crate) vault: Vault,
    pub(crate) key: RecipientSecret,
    pub(crate) state: StateDir,
    pub(crate) figures: Figures,
    pub(crate) sessions: Sessions,
    pub(crate) places: Semaphore,
    tails: Mutex<LoadedTails>,
    /// Each with the block in which its features came; none for one from the journal, where it stays.
    at_work: Mutex<BTreeMap<JobId, Option<BlockNumber>>>,
}

/// Body of `GET /v1/health`.
#[derive(Serialize)]
pub(crate) struct Health {
    ready: bool,
    service: &'static str,
    version: &'static str,
    account: String,
    block: i64,
    jobs_at_work: usize,
    results_committed: u64,
    features_refused: u64,
    versions: usize,
}

/// What the tail is run for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) job: JobId,
    pub(crate) split: SplitIndex,
    pub(crate) policy: PolicyId,
    pub(crate) input: BlobDigest,
    pub(crate) features: BlobDigest,
    /// Last block in which the result is of use.
    pub(crate) deadline: BlockNumber,
}

/// A job that was not finished this time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error(transparent)]
    Refused(#[from] FeaturesRefused),
    #[error("read the chain")]
    Read(#[from] ReadError),
    #[error("fetch a blob")]
    Get(#[from] GetError),
    #[error("upload the result")]
    Put(#[from] PutError),
    #[error("read the vault")]
    Vault(#[from] VaultError),
    #[error("keep the journal")]
    State(#[from] StateError),
    #[error("run the tail")]
    Tail(#[from] TailError),
    #[error("seal the result")]
    Seal(#[from] SealError),
    #[error("submit")]
    Submit(#[from] SubmitError),
    #[error("the manifest has no split or policy that the job names")]
    Manifest,
    #[error("the tail ended without an answer")]
    Ended,
    #[error("the job was drawn for an audit, it goes on after")]
    Suspended,
}

impl JobError {
    /// True where trying again may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Submit(error) => matches!(error.class(), Class::Unreachable | Class::TimedOut),
            // A gateway's word costs nobody a bond: it may lie, or be mended. The job's window ends the trying.
            Self::Put(_) | Self::Get(_) => true,
            Self::Read(_) | Self::State(_) | Self::Suspended => true,
            _ => false,
        }
    }
}

/// What became of a job.
enum Done {
    Committed,
    /// Not ours, or not waiting for us.
    Nothing,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(crate) fn new(
        account: Account,
        contract: ContractAddress,
        gateway: GatewayClient,
        vault: Vault,
        key: RecipientSecret,
        state: StateDir,
    ) -> Self {
        let (figures, tails, at_work) = (Figures::default(), Mutex::default(), Mutex::default());
        let places = Semaphore::new(AT_ONCE);
        let sessions = Sessions::default();
        Self { account, contract, gateway, vault, key, state, figures, sessions, places, tails, at_work }
    }

    pub(crate) fn health(&self) -> Health {
        Health {
            ready: true,
            service: "creator",
            version: env!("CARGO_PKG_VERSION"),
            account: self.account.address().to_string(),
            block: self.figures.block.get(),
            jobs_at_work: self.jobs_at_work(),
            results_committed: self.figures.jobs.counted(COMMITTED),
            features_refused: self.figures.jobs.counted(REFUSED),
            versions: self.versions(),
        }
    }

    /// The answer to `GET /metrics`.
    pub(crate) fn exposition(&self) -> axum::response::Response {
        self.figures.at_work.set(self.jobs_at_work() as i64);
        self.figures.versions.set(self.versions() as i64);
        encompute_store::exposition(&self.figures.registry)
    }

    fn versions(&self) -> usize {
        self.vault.versions().map_or(0, |versions| versions.len())
    }

    pub(crate) fn saw(&self, block: BlockNumber) {
        self.figures.block.set(block.0.into());
    }

    pub(crate) fn jobs_at_work(&self) -> usize {
        lock(&self.at_work).len()
    }

    /// The first block of which something is left to do, up to `now`.
    pub(crate) fn oldest_at_work(&self, now: BlockNumber) -> BlockNumber {
        lock(&self.at_work).values().flatten().copied().fold(now, BlockNumber::min)
    }

    /// Works on a job until it is settled with it; once at a time for one job. `came` is the block of its features.
    pub(crate) fn take_up(self: &Arc<Self>, job: JobId, came: Option<BlockNumber>) {
        match lock(&self.at_work).entry(job) {
            Entry::Occupied(_) => return,
            Entry::Vacant(place) => place.insert(came),
        };
        let desk = self.clone();
        tokio::spawn(async move {
            desk.work(job).await;
            lock(&desk.at_work).remove(&job);
        });
    }

    async fn work(&self, job: JobId) {
        loop {
            let Ok(_place) = self.places.acquire().await else { return };
            match self.finish(job).await {
                Ok(Done::Nothing) => return,
                Ok(Done::Committed) => {
                    self.figures.jobs.count(COMMITTED);
                    return info!(job = job.0, "result committed");
                }
                Err(JobError::Refused(reason)) => {
                    warn!(job = job.0, reason = %reason, "features refused");
                    match self.account.submit(RefuseFeatures { job }, Plancks::ZERO).await {
                        Ok(_) => return self.figures.jobs.count(REFUSED),
                        Err(error) if matches!(error.class(), Class::Unreachable | Class::TimedOut) => {}
                        Err(_) if self.is_suspended(job).await => {}
                        Err(error) => return error!(job = job.0, error = &error as &dyn Error, "refusal not accepted"),
                    }
                }
                Err(error) if error.is_passing() => {
                    self.figures.jobs.count("put-off");
                    warn!(job = job.0, error = &error as &dyn Error, "job not finished yet");
                }
                Err(error) => {
                    self.figures.jobs.count("failed");
                    return error!(job = job.0, error = &error as &dyn Error, "job cannot be finished");
                }
            }
            drop(_place);
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// True while an audit or a demand keeps a job from moving.
    async fn is_suspended(&self, job: JobId) -> bool {
        let found = self.account.client().read(ReadJob { job }).await.ok().flatten();
        found.is_some_and(|(_, progress)| is_suspended(progress.stage))
    }

    async fn finish(&self, job: JobId) -> Result<Done, JobError> {
        let client = self.account.client();
        let Some((terms, progress)) = client.read(ReadJob { job }).await? else { return Ok(Done::Nothing) };
        let features = match (progress.stage, progress.features) {
            (Stage::FeaturesSent, Some(features)) => features,
            (stage, Some(_)) if is_suspended(stage) && progress.result.is_none() => {
                return Err(JobError::Suspended);
            }
            _ => return Ok(Done::Nothing),
        };
        let Some(version) = client.read(ReadVersion { version: terms.version }).await? else {
            return Ok(Done::Nothing);
        };
        let Some(material) = self.vault.find(version.manifest)? else { return Ok(Done::Nothing) };
        let folder = format!("jobs/{job:020}");
        let file = format!("{folder}/result");
        let sealed = match self.state.read(&file, RESULT_LIMIT_BYTES)? {
            Some(sealed) => sealed,
            None => {
                let JobTerms { split, policy, input, .. } = terms;
                let run = Run { job, split, policy, input, features, deadline: progress.deadline };
                let sealed = self.result(&run, version.manifest, material).await?;
                // Sealing is random: the blob is kept before anybody hears of it, so that a restart
                // names the same one.
                self.state.write(&file, &sealed)?;
                sealed
            }
        };
        let (bytes, began) = (sealed.len() as u64, Instant::now());
        let result = self.gateway.put(sealed.into()).await?;
        self.figures.stages.ended("upload", began);
        self.figures.results_bytes.inc_by(bytes);
        let began = Instant::now();
        match self.account.submit(CommitResult { job, result }, Plancks::ZERO).await {
            Ok(_) => {}
            // The transaction may have got through although its answer did not.
            Err(error) => match client.read(ReadJob { job }).await? {
                Some((_, progress)) if progress.result == Some(result) => {}
                Some((_, progress)) if is_suspended(progress.stage) => return Err(JobError::Suspended),
                _ => return Err(error.into()),
            },
        }
        self.figures.stages.ended("commit", began);
        // Whoever says that the result is missing is answered with it.
        if let Some(sealed) = self.state.read(&file, RESULT_LIMIT_BYTES)? {
            self.keep_result(job, &sealed)?;
        }
        self.state.forget(&folder)?;
        Ok(Done::Committed)
    }

    /// The sealed result of a job.
    pub(crate) async fn result(
        &self,
        run: &Run,
        manifest: VersionHash,
        material: VersionMaterial,
    ) -> Result<Vec<u8>, JobError> {
        let Run { job, features, .. } = *run;
        let at = usize::from(run.split.0);
        let split = material.manifest.splits.get(at).ok_or(JobError::Manifest)?;
        let policy = features::policy_of(split, run.policy).ok_or(JobError::Manifest)?;
        let began = Instant::now();
        let sealed = self.sealed_features(features, split.features, run.deadline).await?;
        self.figures.stages.ended("fetch", began);
        self.figures.features_bytes.inc_by(sealed.len() as u64);
        let context = |subject| Context { genesis: self.account.client().genesis(), contract: self.contract, subject };
        let opened = open(&self.key, &context(Subject::Features { job }), &sealed, ReleasedFeatures::LIMIT_BYTES);
        let opened = opened.map_err(FeaturesRefused::Sealed)?;
        let numbers = features::read(&opened, job, policy, split.features)?;
        let recipient = self.result_key(run.input).await?;

        let onnx = material.splits.into_iter().nth(at).and_then(|split| split.tail);
        let scores = match onnx {
            Some(onnx) => {
                let tail = self.tail(manifest, run.split, onnx).await?;
                let began = Instant::now();
                let scores = tokio::task::spawn_blocking(move || tail.run(&numbers)).await;
                self.figures.stages.ended("tail", began);
                scores.map_err(|_| JobError::Ended)??
            }
            // Nothing follows the head: its features are the scores.
            None => numbers,
        };
        let result = JobResult { job, features, scores: scores_in_millionths(&scores) };
        Ok(seal(&recipient, &context(Subject::Result { job }), &result.to_wire())?.into_bytes())
    }

    async fn sealed_features(
        &self,
        features: BlobDigest,
        count: u32,
        deadline: BlockNumber,
    ) -> Result<bytes::Bytes, JobError> {
        // Two bytes a code, and a page for envelope and header.
        let limit_bytes = u64::from(count) * 2 + OVERHEAD_BYTES as u64 + 4096;
        match self.gateway.get(features, ByteLimit(limit_bytes)).await {
            Ok(sealed) => Ok(sealed),
            Err(error) if self.account.client().head().await?.number.0 + LAST_BLOCKS < deadline.0 => Err(error.into()),
            Err(GetError::NotFound { .. }) => Err(FeaturesRefused::Missing.into()),
            Err(GetError::TooLarge { .. }) => Err(FeaturesRefused::TooLong { limit_bytes }.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// The key to which the user wants the result sealed, from the request blob.
    async fn result_key(&self, input: BlobDigest) -> Result<RecipientPublic, JobError> {
        let bytes = self.gateway.get(input, ByteLimit(JobRequest::LIMIT_BYTES as u64)).await?;
        let request = JobRequest::from_wire(&bytes).map_err(|_| FeaturesRefused::ResultKey)?;
        Ok(RecipientPublic::from_bytes(request.result_key.as_slice()).map_err(|_| FeaturesRefused::ResultKey)?)
    }

    /// The tail, from memory or loaded now.
    async fn tail(&self, manifest: VersionHash, split: SplitIndex, onnx: Vec<u8>) -> Result<Arc<TailModel>, JobError> {
        let name = (manifest, split);
        if let Some((used, tail)) = lock(&self.tails).get_mut(&name) {
            *used = Instant::now();
            return Ok(tail.clone());
        }
        let loaded = tokio::task::spawn_blocking(move || TailModel::load(&onnx, TailLimits::default())).await;
        let tail = Arc::new(loaded.map_err(|_| JobError::Ended)??);
        let mut tails = lock(&self.tails);
        if tails.len() >= TAILS {
            let oldest = tails.iter().min_by_key(|(_, (used, _))| *used).map(|(name, _)| *name);
            oldest.and_then(|name| tails.remove(&name));
        }
        tails.insert(name, (Instant::now(), tail.clone()));
        Ok(tail)
    }
}
