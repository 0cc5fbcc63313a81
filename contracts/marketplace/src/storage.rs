//! The market's records as storage items, each at most 416 bytes (asserted by the protocol's tests).

use encompute_lifecycle::{ReadState, Refusal, Write, price, refusal::Field};
use encompute_protocol::{
    Address, AnnouncedParams, BlobDigest, DisputeRecord, GenesisHash, JobId, JobProgress, JobTerms, KeyDigest, MeasurementId, ModelId,
    ModelRecord, Nonce, Params, Plancks, PlatformId, PrunedRecord, Rating, SessionId, SessionRecord, SplitIndex, SplitRecord, Text, VersionId, VersionRecord,
    WorkerRecord,
    market::{AttestationKeyRecord, Counts, MeasurementRecord, PlatformRecord, Totals},
};
use ink::{
    scale::{Encode, EncodeLike},
    storage::{
        Lazy, Mapping,
        traits::{Packed, StorageKey},
    },
};

/// A record of the protocol as a storage item: its SCALE bytes.
#[ink::scale_derive(Encode, Decode, TypeInfo)]
pub struct Stored<T>(T);

#[cfg(feature = "std")]
impl<T: ink::scale_info::TypeInfo + 'static> ink::storage::traits::StorageLayout for Stored<T> {
    fn layout(key: &ink::primitives::Key) -> ink::metadata::layout::Layout {
        use ink::metadata::layout::{Layout, LayoutKey, LeafLayout};
        Layout::Leaf(LeafLayout::from_key::<T>(LayoutKey::from(key)))
    }
}

/// What every call needs. It is the only part that the platform reads before and writes after each
/// message as a whole, so nothing is in it that a call in between could change: no money.
#[ink::scale_derive(Encode, Decode, TypeInfo)]
pub struct Root {
    governor: Address,
    paused: bool,
    genesis: GenesisHash,
}

/// Everything that the marketplace keeps.
#[ink::storage_item]
pub struct Market {
    root: Stored<Root>,
    params: Lazy<Stored<Params>>,
    announced: Lazy<Stored<Option<AnnouncedParams>>>,
    totals: Lazy<Stored<Totals>>,
    counts: Lazy<Stored<Counts>>,
    models: Mapping<ModelId, Stored<ModelRecord>>,
    model_names: Mapping<ModelId, Stored<Text<64>>>,
    versions: Mapping<VersionId, Stored<VersionRecord>>,
    splits: Mapping<(VersionId, SplitIndex), Stored<SplitRecord>>,
    workers: Mapping<Address, Stored<WorkerRecord>>,
    worker_urls: Mapping<Address, Stored<Text<200>>>,
    workers_in_order: Mapping<u32, Stored<Address>>,
    measurements: Mapping<MeasurementId, Stored<MeasurementRecord>>,
    platforms: Mapping<PlatformId, Stored<PlatformRecord>>,
    attestation_keys: Mapping<KeyDigest, Stored<AttestationKeyRecord>>,
    job_terms: Mapping<JobId, Stored<JobTerms>>,
    job_progress: Mapping<JobId, Stored<JobProgress>>,
    credits: Mapping<Address, Stored<Plancks>>,
    registration_nonces: Mapping<Address, Stored<Nonce>>,
    disputes: Mapping<JobId, Stored<DisputeRecord>>,
    ratings: Mapping<JobId, Stored<Rating>>,
    pruned: Mapping<JobId, Stored<PrunedRecord>>,
    inputs_used: Mapping<(Address, BlobDigest), Stored<JobId>>,
    sessions: Mapping<SessionId, Stored<SessionRecord>>,
    sessions_taken: Mapping<VersionId, Stored<u32>>,
    allowances: Mapping<(Address, Address), Stored<Plancks>>,
}

impl Market {
    /// A market without records.
    ///
    /// # Errors
    /// [`Refusal::Missing`] without governor or genesis hash, then those of [`price::check_params`].
    pub fn new(params: Params, governor: Address, genesis: GenesisHash) -> Result<Self, Refusal> {
        if governor == Address::default() {
            return Err(Refusal::Missing { field: Field::Governor });
        }
        if genesis.is_zero() {
            return Err(Refusal::Missing { field: Field::Genesis });
        }
        price::check_params(&params)?;
        let mut market = Self {
            root: Stored(Root { governor, paused: false, genesis }),
            params: Lazy::new(),
            announced: Lazy::new(),
            totals: Lazy::new(),
            counts: Lazy::new(),
            models: Mapping::new(),
            model_names: Mapping::new(),
            versions: Mapping::new(),
            splits: Mapping::new(),
            workers: Mapping::new(),
            worker_urls: Mapping::new(),
            workers_in_order: Mapping::new(),
            measurements: Mapping::new(),
            platforms: Mapping::new(),
            attestation_keys: Mapping::new(),
            job_terms: Mapping::new(),
            job_progress: Mapping::new(),
            credits: Mapping::new(),
            registration_nonces: Mapping::new(),
            disputes: Mapping::new(),
            ratings: Mapping::new(),
            pruned: Mapping::new(),
            inputs_used: Mapping::new(),
            sessions: Mapping::new(),
            sessions_taken: Mapping::new(),
            allowances: Mapping::new(),
        };
        market.params.set(&Stored(params));
        market.announced.set(&Stored(None));
        market.totals.set(&Stored(Totals::default()));
        market.counts.set(&Stored(Counts::default()));
        Ok(market)
    }

    /// The chain that the market was created for.
    pub fn genesis(&self) -> GenesisHash {
        self.root.0.genesis
    }

    /// Writes one item.
    pub fn write(&mut self, write: Write) {
        match write {
            Write::Params(params) => self.params.set(&Stored(params)),
            Write::AnnouncedParams(announced) => self.announced.set(&Stored(announced)),
            Write::Totals(totals) => self.totals.set(&Stored(totals)),
            Write::Counts(counts) => self.counts.set(&Stored(counts)),
            Write::Governor(governor) => self.root.0.governor = governor,
            Write::Paused(paused) => self.root.0.paused = paused,
            Write::Model(id, model) => insert(&mut self.models, id, model),
            Write::ModelName(id, name) => insert(&mut self.model_names, id, name),
            Write::Version(id, version) => insert(&mut self.versions, id, version),
            Write::Split(version, index, split) => insert(&mut self.splits, (version, index), split),
            Write::Worker(account, worker) => insert(&mut self.workers, account, worker),
            Write::WorkerUrl(account, url) => insert(&mut self.worker_urls, account, url),
            Write::WorkerAt(index, account) => insert(&mut self.workers_in_order, index, account),
            Write::Measurement(id, measurement) => insert(&mut self.measurements, id, measurement),
            Write::Platform(id, platform) => insert(&mut self.platforms, id, platform),
            Write::AttestationKey(key, record) => insert(&mut self.attestation_keys, key, record),
            Write::JobTerms(id, None) => self.job_terms.remove(id),
            Write::JobTerms(id, Some(terms)) => insert(&mut self.job_terms, id, terms),
            Write::JobProgress(id, None) => self.job_progress.remove(id),
            Write::JobProgress(id, Some(progress)) => insert(&mut self.job_progress, id, progress),
            Write::Credit(account, Plancks::ZERO) => self.credits.remove(account),
            Write::Credit(account, amount) => insert(&mut self.credits, account, amount),
            Write::Dispute(job, None) => self.disputes.remove(job),
            Write::Dispute(job, Some(dispute)) => insert(&mut self.disputes, job, dispute),
            Write::Rating(job, None) => self.ratings.remove(job),
            Write::Rating(job, Some(rating)) => insert(&mut self.ratings, job, rating),
            Write::Pruned(job, record) => insert(&mut self.pruned, job, record),
            Write::RegistrationNonce(account, None) => self.registration_nonces.remove(account),
            Write::RegistrationNonce(account, Some(nonce)) => insert(&mut self.registration_nonces, account, nonce),
            Write::InputUsed(user, input, job) => insert(&mut self.inputs_used, (user, input), job),
            Write::Session(id, None) => self.sessions.remove(id),
            Write::Session(id, Some(session)) => insert(&mut self.sessions, id, session),
            Write::SessionsTaken(version, 0) => self.sessions_taken.remove(version),
            Write::SessionsTaken(version, jobs) => insert(&mut self.sessions_taken, version, jobs),
            Write::Allowance(sponsor, user, Plancks::ZERO) => self.allowances.remove((sponsor, user)),
            Write::Allowance(sponsor, user, amount) => insert(&mut self.allowances, (sponsor, user), amount),
        }
    }
}

fn insert<K, V, Key>(items: &mut Mapping<K, Stored<V>, Key>, key: K, value: V)
where
    K: Encode + EncodeLike,
    Stored<V>: Packed + EncodeLike,
    Key: StorageKey,
{
    items.insert(key, &Stored(value));
}

/// The constructor writes the four items that always exist, and nothing removes them.
const WRITTEN: &str = "written by the constructor and never removed; qed";

impl ReadState for Market {
    fn params(&self) -> Params {
        self.params.get().expect(WRITTEN).0
    }

    fn announced_params(&self) -> Option<AnnouncedParams> {
        self.announced.get().expect(WRITTEN).0
    }

    fn totals(&self) -> Totals {
        self.totals.get().expect(WRITTEN).0
    }

    fn counts(&self) -> Counts {
        self.counts.get().expect(WRITTEN).0
    }

    fn governor(&self) -> Address {
        self.root.0.governor
    }

    fn paused(&self) -> bool {
        self.root.0.paused
    }

    fn model(&self, id: ModelId) -> Option<ModelRecord> {
        self.models.get(id).map(record)
    }

    fn model_name(&self, id: ModelId) -> Option<Text<64>> {
        self.model_names.get(id).map(record)
    }

    fn version(&self, id: VersionId) -> Option<VersionRecord> {
        self.versions.get(id).map(record)
    }

    fn split(&self, version: VersionId, split: SplitIndex) -> Option<SplitRecord> {
        self.splits.get((version, split)).map(record)
    }

    fn worker(&self, account: Address) -> Option<WorkerRecord> {
        self.workers.get(account).map(record)
    }

    fn worker_url(&self, account: Address) -> Option<Text<200>> {
        self.worker_urls.get(account).map(record)
    }

    fn worker_at(&self, index: u32) -> Option<Address> {
        self.workers_in_order.get(index).map(record)
    }

    fn measurement(&self, id: MeasurementId) -> Option<MeasurementRecord> {
        self.measurements.get(id).map(record)
    }

    fn platform(&self, id: PlatformId) -> Option<PlatformRecord> {
        self.platforms.get(id).map(record)
    }

    fn attestation_key(&self, key: KeyDigest) -> Option<AttestationKeyRecord> {
        self.attestation_keys.get(key).map(record)
    }

    fn job_terms(&self, id: JobId) -> Option<JobTerms> {
        self.job_terms.get(id).map(record)
    }

    fn job_progress(&self, id: JobId) -> Option<JobProgress> {
        self.job_progress.get(id).map(record)
    }

    fn credit(&self, account: Address) -> Plancks {
        self.credits.get(account).map_or(Plancks::ZERO, record)
    }

    fn dispute(&self, job: JobId) -> Option<DisputeRecord> {
        self.disputes.get(job).map(record)
    }

    fn rating(&self, job: JobId) -> Option<Rating> {
        self.ratings.get(job).map(record)
    }

    fn pruned(&self, job: JobId) -> Option<PrunedRecord> {
        self.pruned.get(job).map(record)
    }

    fn registration_nonce(&self, account: Address) -> Option<Nonce> {
        self.registration_nonces.get(account).map(record)
    }

    fn input_used(&self, user: Address, input: BlobDigest) -> Option<JobId> {
        self.inputs_used.get((user, input)).map(record)
    }

    fn session(&self, id: SessionId) -> Option<SessionRecord> {
        self.sessions.get(id).map(record)
    }

    fn sessions_taken(&self, version: VersionId) -> u32 {
        self.sessions_taken.get(version).map_or(0, record)
    }

    fn allowance(&self, sponsor: Address, user: Address) -> Plancks {
        self.allowances.get((sponsor, user)).map_or(Plancks::ZERO, record)
    }
}

fn record<T>(stored: Stored<T>) -> T {
    stored.0
}
