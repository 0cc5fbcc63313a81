//! The market in maps: for simulators, tests and clients that want to know what a call would do.

use crate::{
    command::{Command, Decide},
    context::{Context, Host},
    price::check_params,
    refusal::{Field, Refusal},
    state::{Changes, ReadState, Write},
};
use alloc::{collections::BTreeMap, vec::Vec};
use encompute_protocol::{
    Address, AnnouncedParams, BlobDigest, BlockNumber, DisputeRecord, JobId, JobProgress, JobTerms, KeyDigest,
    MeasurementId, ModelId, ModelRecord, Nonce, Params, Plancks, PlatformId, PrunedRecord, Rating, SessionId,
    SessionRecord, SplitIndex, SplitRecord, Text, VersionId, VersionRecord, WorkerRecord,
    event::Event,
    market::{AttestationKeyRecord, Counts, MeasurementRecord, PlatformRecord, Totals},
};

/// A market in memory, with the money that it holds and everything that it said.
#[derive(Clone, Debug)]
pub struct Memory<H> {
    host: H,
    balance: Plancks,
    events: Vec<(BlockNumber, Event)>,
    params: Params,
    announced: Option<AnnouncedParams>,
    totals: Totals,
    counts: Counts,
    governor: Address,
    paused: bool,
    models: BTreeMap<ModelId, ModelRecord>,
    model_names: BTreeMap<ModelId, Text<64>>,
    versions: BTreeMap<VersionId, VersionRecord>,
    splits: BTreeMap<(VersionId, SplitIndex), SplitRecord>,
    workers: BTreeMap<Address, WorkerRecord>,
    worker_urls: BTreeMap<Address, Text<200>>,
    worker_order: BTreeMap<u32, Address>,
    measurements: BTreeMap<MeasurementId, MeasurementRecord>,
    platforms: BTreeMap<PlatformId, PlatformRecord>,
    attestation_keys: BTreeMap<KeyDigest, AttestationKeyRecord>,
    job_terms: BTreeMap<JobId, JobTerms>,
    job_progress: BTreeMap<JobId, JobProgress>,
    credits: BTreeMap<Address, Plancks>,
    disputes: BTreeMap<JobId, DisputeRecord>,
    ratings: BTreeMap<JobId, Rating>,
    pruned: BTreeMap<JobId, PrunedRecord>,
    nonces: BTreeMap<Address, Nonce>,
    inputs: BTreeMap<(Address, BlobDigest), JobId>,
    sessions: BTreeMap<SessionId, SessionRecord>,
    sessions_taken: BTreeMap<VersionId, u32>,
    allowances: BTreeMap<(Address, Address), Plancks>,
}

impl<H: Host> Memory<H> {
    /// An empty market.
    ///
    /// # Errors
    /// [`Refusal`] for a zero governor or parameters outside their bounds.
    pub fn new(governor: Address, params: Params, host: H) -> Result<Self, Refusal> {
        check_params(&params)?;
        if governor == Address::default() {
            return Err(Refusal::Missing { field: Field::Governor });
        }
        Ok(Self {
            host,
            balance: Plancks::ZERO,
            events: Vec::new(),
            params,
            announced: None,
            totals: Totals::default(),
            counts: Counts::default(),
            governor,
            paused: false,
            models: BTreeMap::new(),
            model_names: BTreeMap::new(),
            versions: BTreeMap::new(),
            splits: BTreeMap::new(),
            workers: BTreeMap::new(),
            worker_urls: BTreeMap::new(),
            worker_order: BTreeMap::new(),
            measurements: BTreeMap::new(),
            platforms: BTreeMap::new(),
            attestation_keys: BTreeMap::new(),
            job_terms: BTreeMap::new(),
            job_progress: BTreeMap::new(),
            credits: BTreeMap::new(),
            disputes: BTreeMap::new(),
            ratings: BTreeMap::new(),
            pruned: BTreeMap::new(),
            nonces: BTreeMap::new(),
            inputs: BTreeMap::new(),
            sessions: BTreeMap::new(),
            sessions_taken: BTreeMap::new(),
            allowances: BTreeMap::new(),
        })
    }

    /// Decides and applies one message.
    ///
    /// # Errors
    /// The message's [`Refusal`]; nothing has changed then, and the money sent stays with the caller.
    pub fn execute<C: Decide>(&mut self, at: &Context, message: &C) -> Result<C::Answer, Refusal> {
        let decision = message.run(self, &self.host, at)?;
        self.settle(at, decision.changes)?;
        Ok(decision.answer)
    }

    /// Decides and applies any command.
    ///
    /// # Errors
    /// As [`Memory::execute`].
    pub fn execute_command(&mut self, at: &Context, command: &Command) -> Result<Changes, Refusal> {
        let changes = command.run(self, &self.host, at)?;
        self.settle(at, changes.clone())?;
        Ok(changes)
    }

    /// Takes the money, pays, applies. The payment is covered or nothing happens.
    fn settle(&mut self, at: &Context, changes: Changes) -> Result<(), Refusal> {
        let with_value = self.balance.checked_add(at.value).ok_or(Refusal::AmountTooLarge)?;
        let paid = changes.pay.map_or(Plancks::ZERO, |payout| payout.amount);
        self.balance = with_value.checked_sub(paid).ok_or(Refusal::Inconsistent)?;
        changes.writes.into_iter().for_each(|write| self.write(write));
        self.events.extend(changes.events.into_iter().map(|event| (at.block, event)));
        Ok(())
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Params(value) => self.params = value,
            Write::AnnouncedParams(value) => self.announced = value,
            Write::Totals(value) => self.totals = value,
            Write::Counts(value) => self.counts = value,
            Write::Governor(value) => self.governor = value,
            Write::Paused(value) => self.paused = value,
            Write::Model(id, value) => drop(self.models.insert(id, value)),
            Write::ModelName(id, value) => drop(self.model_names.insert(id, value)),
            Write::Version(id, value) => drop(self.versions.insert(id, value)),
            Write::Split(version, split, value) => drop(self.splits.insert((version, split), value)),
            Write::Worker(account, value) => drop(self.workers.insert(account, value)),
            Write::WorkerUrl(account, value) => drop(self.worker_urls.insert(account, value)),
            Write::WorkerAt(index, account) => drop(self.worker_order.insert(index, account)),
            Write::Measurement(id, value) => drop(self.measurements.insert(id, value)),
            Write::Platform(id, value) => drop(self.platforms.insert(id, value)),
            Write::AttestationKey(key, value) => drop(self.attestation_keys.insert(key, value)),
            Write::JobTerms(id, None) => drop(self.job_terms.remove(&id)),
            Write::JobTerms(id, Some(value)) => drop(self.job_terms.insert(id, value)),
            Write::JobProgress(id, None) => drop(self.job_progress.remove(&id)),
            Write::JobProgress(id, Some(value)) => drop(self.job_progress.insert(id, value)),
            Write::Credit(account, Plancks::ZERO) => drop(self.credits.remove(&account)),
            Write::Credit(account, value) => drop(self.credits.insert(account, value)),
            Write::Dispute(job, None) => drop(self.disputes.remove(&job)),
            Write::Dispute(job, Some(value)) => drop(self.disputes.insert(job, value)),
            Write::Rating(job, None) => drop(self.ratings.remove(&job)),
            Write::Rating(job, Some(value)) => drop(self.ratings.insert(job, value)),
            Write::Pruned(job, value) => drop(self.pruned.insert(job, value)),
            Write::RegistrationNonce(account, None) => drop(self.nonces.remove(&account)),
            Write::RegistrationNonce(account, Some(value)) => drop(self.nonces.insert(account, value)),
            Write::InputUsed(user, input, job) => drop(self.inputs.insert((user, input), job)),
            Write::Session(id, None) => drop(self.sessions.remove(&id)),
            Write::Session(id, Some(value)) => drop(self.sessions.insert(id, value)),
            Write::SessionsTaken(version, 0) => drop(self.sessions_taken.remove(&version)),
            Write::SessionsTaken(version, jobs) => drop(self.sessions_taken.insert(version, jobs)),
            Write::Allowance(sponsor, user, Plancks::ZERO) => drop(self.allowances.remove(&(sponsor, user))),
            Write::Allowance(sponsor, user, value) => drop(self.allowances.insert((sponsor, user), value)),
        }
    }
}

impl<H> Memory<H> {
    /// What the contract's account would hold.
    pub fn balance(&self) -> Plancks {
        self.balance
    }

    /// What was said since this was asked last, taken out: of a market that lives long.
    pub fn take_events(&mut self) -> Vec<(BlockNumber, Event)> {
        core::mem::take(&mut self.events)
    }

    /// Everything said so far, with its block.
    pub fn events(&self) -> &[(BlockNumber, Event)] {
        &self.events
    }

    /// Every account with a credit, in order.
    pub fn credits(&self) -> impl Iterator<Item = (Address, Plancks)> {
        self.credits.iter().map(|(account, amount)| (*account, *amount))
    }

    /// Every sponsor and user with an allowance, in order.
    pub fn allowances(&self) -> impl Iterator<Item = ((Address, Address), Plancks)> {
        self.allowances.iter().map(|(pair, amount)| (*pair, *amount))
    }
}

impl<H> ReadState for Memory<H> {
    fn params(&self) -> Params {
        self.params
    }

    fn announced_params(&self) -> Option<AnnouncedParams> {
        self.announced
    }

    fn totals(&self) -> Totals {
        self.totals
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn governor(&self) -> Address {
        self.governor
    }

    fn paused(&self) -> bool {
        self.paused
    }

    fn model(&self, id: ModelId) -> Option<ModelRecord> {
        self.models.get(&id).copied()
    }

    fn model_name(&self, id: ModelId) -> Option<Text<64>> {
        self.model_names.get(&id).cloned()
    }

    fn version(&self, id: VersionId) -> Option<VersionRecord> {
        self.versions.get(&id).copied()
    }

    fn split(&self, version: VersionId, split: SplitIndex) -> Option<SplitRecord> {
        self.splits.get(&(version, split)).copied()
    }

    fn worker(&self, account: Address) -> Option<WorkerRecord> {
        self.workers.get(&account).copied()
    }

    fn worker_url(&self, account: Address) -> Option<Text<200>> {
        self.worker_urls.get(&account).cloned()
    }

    fn worker_at(&self, index: u32) -> Option<Address> {
        self.worker_order.get(&index).copied()
    }

    fn measurement(&self, id: MeasurementId) -> Option<MeasurementRecord> {
        self.measurements.get(&id).copied()
    }

    fn platform(&self, id: PlatformId) -> Option<PlatformRecord> {
        self.platforms.get(&id).copied()
    }

    fn attestation_key(&self, key: KeyDigest) -> Option<AttestationKeyRecord> {
        self.attestation_keys.get(&key).copied()
    }

    fn job_terms(&self, id: JobId) -> Option<JobTerms> {
        self.job_terms.get(&id).copied()
    }

    fn job_progress(&self, id: JobId) -> Option<JobProgress> {
        self.job_progress.get(&id).copied()
    }

    fn credit(&self, account: Address) -> Plancks {
        self.credits.get(&account).copied().unwrap_or_default()
    }

    fn dispute(&self, job: JobId) -> Option<DisputeRecord> {
        self.disputes.get(&job).copied()
    }

    fn rating(&self, job: JobId) -> Option<Rating> {
        self.ratings.get(&job).copied()
    }

    fn pruned(&self, job: JobId) -> Option<PrunedRecord> {
        self.pruned.get(&job).copied()
    }

    fn registration_nonce(&self, account: Address) -> Option<Nonce> {
        self.nonces.get(&account).copied()
    }

    fn input_used(&self, user: Address, input: BlobDigest) -> Option<JobId> {
        self.inputs.get(&(user, input)).copied()
    }

    fn session(&self, id: SessionId) -> Option<SessionRecord> {
        self.sessions.get(&id).copied()
    }

    fn sessions_taken(&self, version: VersionId) -> u32 {
        self.sessions_taken.get(&version).copied().unwrap_or_default()
    }

    fn allowance(&self, sponsor: Address, user: Address) -> Plancks {
        self.allowances.get(&(sponsor, user)).copied().unwrap_or_default()
    }
}
