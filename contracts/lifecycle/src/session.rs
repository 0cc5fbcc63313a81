//! Sessions: one escrow for many jobs, which are run and accounted for outside of the chain.
//!
//! Nothing of worker and creator is held: what they can lose is one job's price, for they go on only with the voucher
//! for the job before. The numbers of a voucher only grow, and each counts by the highest that was shown: nobody is paid
//! less than he can show, and a user whose vouchers contradict each other harms nobody else.

mod settlement;

pub use settlement::SessionSettlement;

use crate::{
    command::{Decide, Decision, Scene},
    context::{Host, signer_of},
    draft::Draft,
    price::Price,
    refusal::{Field, OfferField, Refusal},
    state::{ReadState, Write},
};
use encompute_protocol::{
    BlobDigest, PolicyId, SessionId, SessionRecord, SessionRoot, SessionStage, Signed, SigningAddress, SplitRecord,
    VersionRecord, VersionStatus, Voucher, WorkerRecord,
    call::{CloseSession, OpenSession, PokeSession, TakeSessions},
    event::{SessionClosed, SessionClosing, SessionOpened, SessionsTaken},
    market::{LONGEST_WINDOW, SHORTEST_WINDOW},
    reputation::HeadWeight,
    session::{JOBS_LIMIT, SessionEnd, SignedVoucher},
};

impl Decide for TakeSessions {
    /// The model's creator, for any of its versions. Sessions that are open go on.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let (version, state) = (self.version, scene.state);
        let record = state.version(version).ok_or(Refusal::UnknownVersion { version })?;
        must_be_creator(scene, &record)?;
        if self.jobs > JOBS_LIMIT {
            return Err(Refusal::SessionJobs { found: self.jobs, limit: JOBS_LIMIT });
        }
        let mut draft = Draft::new(state);
        draft.emit(SessionsTaken { version, jobs: self.jobs });
        draft.write(Write::SessionsTaken(version, self.jobs));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for OpenSession {
    /// Anybody, unless paused, once with a promise of a worker whose registration outlives the session. Locks the escrow of
    /// all jobs and takes one of the worker's places, so that what receipts name of it stays.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<SessionId>, Refusal> {
        let (state, at) = (scene.state, scene.at);
        let (version, split) = self.bought(scene)?;
        let offer = &self.offer.offer;
        let mut worker = self.check_offer(scene)?;
        let mark = BlobDigest(scene.host.keccak_256(&offer.preimage()));
        if let Some(first) = state.input_used(at.caller, mark) {
            return Err(Refusal::OfferUsed { session: SessionId(first.0) });
        }
        let params = state.params();
        let price = Price::of(&params, &split, Default::default())?;
        let one = price.fees.total().ok_or(Refusal::AmountTooLarge)?;
        let wanted = one.checked_mul(offer.jobs.into()).ok_or(Refusal::AmountTooLarge)?;
        if at.value != wanted {
            return Err(Refusal::EscrowMismatch { found: at.value, wanted });
        }
        let model = state.model(version.model).ok_or(Refusal::Inconsistent)?;
        crate::model::must_cover(&model, &params, Default::default())?;
        let (found, wanted) = (crate::worker::free_stake(&worker)?, price.job_stake);
        if found < wanted {
            return Err(Refusal::FreeStakeTooSmall { found, wanted });
        }

        let mut counts = state.counts();
        let first = counts.jobs.checked_add(1).ok_or(Refusal::NumbersExhausted)?;
        counts.jobs = counts.jobs.checked_add(offer.jobs.into()).ok_or(Refusal::NumbersExhausted)?;
        let session = SessionId(first);
        let deadline = at.block.checked_add(offer.length).ok_or(Refusal::NumbersExhausted)?;
        let record = SessionRecord {
            user: at.caller,
            version: self.version,
            model: version.model,
            split: self.split,
            policy: self.policy,
            worker: offer.worker,
            key: offer.key,
            jobs: offer.jobs,
            fees: price.fees,
            protocol_fee: params.protocol_fee,
            challenge: params.windows.challenge,
            opened_at: at.block,
            stage: SessionStage::Open,
            deadline,
            done: 0,
            heads: 0,
            tails: 0,
            root: SessionRoot::default(),
            changed_at: at.block,
        };
        // Every later sum is at most this.
        SessionSettlement::of(&record).ok_or(Refusal::AmountTooLarge)?;
        worker.in_flight = worker.in_flight.checked_add(1).ok_or(Refusal::NumbersExhausted)?;
        let mut draft = Draft::new(state);
        draft.emit(SessionOpened {
            session,
            user: record.user,
            version: record.version,
            split: record.split,
            policy: record.policy,
            worker: record.worker,
            key: record.key,
            jobs: record.jobs,
            fees: record.fees,
            deadline,
        });
        draft.lock_escrow(at.value)?;
        draft.write(Write::Counts(counts));
        draft.write(Write::Worker(offer.worker, worker));
        draft.write(Write::InputUsed(at.caller, mark, session.first()));
        draft.write(Write::Session(session, Some(record)));
        Ok(Decision { changes: draft.finish(), answer: session })
    }
}

trait OpenRules {
    fn bought<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<(VersionRecord, SplitRecord), Refusal>;
    fn check_offer<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<WorkerRecord, Refusal>;
}

impl OpenRules for OpenSession {
    /// Version and split, if they are for sale in sessions of so many jobs.
    fn bought<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<(VersionRecord, SplitRecord), Refusal> {
        let state = scene.state;
        if state.paused() {
            return Err(Refusal::Paused);
        }
        let version = state.version(self.version).ok_or(Refusal::UnknownVersion { version: self.version })?;
        if version.status != VersionStatus::Active {
            return Err(Refusal::VersionNotActive { found: version.status });
        }
        let unknown = Refusal::UnknownSplit { found: self.split, splits: version.splits };
        let split = state.split(self.version, self.split).ok_or(unknown)?;
        if split.tail.is_zero() {
            return Err(Refusal::NoTailNoSession);
        }
        if self.policy < PolicyId(1) || self.policy > PolicyId(split.policies) {
            return Err(Refusal::UnknownPolicy { found: self.policy, policies: split.policies });
        }
        let (found, limit) = (self.offer.offer.jobs, state.sessions_taken(self.version));
        if found == 0 || found > limit {
            return Err(Refusal::SessionJobs { found, limit });
        }
        Ok((version, split))
    }

    /// The promising worker, if the promise is for exactly this call, signed by its registered key, and can be kept.
    fn check_offer<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<WorkerRecord, Refusal> {
        let (offer, at) = (&self.offer.offer, scene.at);
        for (same, field) in [
            (offer.genesis == at.genesis, OfferField::Genesis),
            (offer.contract == at.contract, OfferField::Contract),
            (offer.user == at.caller, OfferField::User),
            (offer.version == self.version, OfferField::Version),
            (offer.split == self.split, OfferField::Split),
        ] {
            if !same {
                return Err(Refusal::OfferMismatch { field });
            }
        }
        if offer.key == SigningAddress::default() {
            return Err(Refusal::Missing { field: Field::Signing });
        }
        if at.block >= offer.expires_at {
            return Err(Refusal::OfferExpired { expires_at: offer.expires_at, block: at.block });
        }
        let (found, lowest, highest) = (offer.length, SHORTEST_WINDOW, LONGEST_WINDOW);
        if !(lowest..=highest).contains(&found) {
            return Err(Refusal::SessionLength { found, lowest, highest });
        }
        let worker = scene.state.worker(offer.worker).ok_or(Refusal::UnknownWorker { worker: offer.worker })?;
        let found = signer_of(scene.host, offer, &self.offer.signature);
        if found != Some(worker.signing) {
            return Err(Refusal::WrongSigner { found, wanted: worker.signing });
        }
        let until = at.block.checked_add(offer.length).ok_or(Refusal::NumbersExhausted)?;
        if worker.expires_at <= until {
            return Err(Refusal::RegistrationEndsTooSoon { expires_at: worker.expires_at, wanted: until });
        }
        scene.measurement_must_be_usable(worker.measurement)?;
        scene.platform_must_be_usable(worker.platform)?;
        if worker.in_flight >= worker.capacity {
            return Err(Refusal::CapacityFull { in_flight: worker.in_flight, capacity: worker.capacity });
        }
        Ok(worker)
    }
}

impl Decide for CloseSession {
    /// Whoever has a voucher, up to the deadline. It ends the session at once if nothing is left that a higher one could
    /// pay, or if those agree who could have a higher one: the creator calls, with the worker's signature.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let SignedVoucher { voucher, signature } = &self.signed;
        let session = voucher.session;
        let mut record = load(scene.state, session)?;
        let (block, by) = (scene.at.block, scene.at.caller);
        if block > record.deadline {
            return Err(Refusal::TooLate { deadline: record.deadline, block });
        }
        check_voucher(scene, &record, voucher)?;
        let found = signer_of(scene.host, voucher, signature);
        if found != Some(record.key) {
            return Err(Refusal::WrongSigner { found, wanted: record.key });
        }
        if let Some(agreed) = &self.agreed {
            let version = scene.state.version(record.version).ok_or(Refusal::Inconsistent)?;
            must_be_creator(scene, &version)?;
            let wanted = scene.state.worker(record.worker).ok_or(Refusal::Inconsistent)?.signing;
            let found = signer_of(scene.host, &SessionEnd { voucher: *voucher }, agreed);
            if found != Some(wanted) {
                return Err(Refusal::WrongSigner { found, wanted });
            }
        }
        let was_open = record.stage == SessionStage::Open;
        if !raise(&mut record, voucher) && !was_open && self.agreed.is_none() {
            return Err(Refusal::VoucherNotHigher { done: record.done, heads: record.heads, tails: record.tails });
        }
        if self.agreed.is_some() || record.tails == record.jobs {
            return end(scene, session, record);
        }
        if was_open {
            record.stage = SessionStage::Closing;
            record.deadline = block.checked_add(record.challenge).ok_or(Refusal::NumbersExhausted)?;
        }
        record.changed_at = block;
        let SessionRecord { done, heads, tails, root, deadline, .. } = record;
        let mut draft = Draft::new(scene.state);
        draft.emit(SessionClosing { session, by, done, heads, tails, root, deadline });
        draft.write(Write::Session(session, Some(record)));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for PokeSession {
    /// Anybody, once the deadline is over: by what was shown, everything else back.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let record = load(scene.state, self.session)?;
        let (deadline, block) = (record.deadline, scene.at.block);
        if block <= deadline {
            return Err(Refusal::NotYetLate { deadline, block });
        }
        end(scene, self.session, record)
    }
}

/// A session that is not over.
fn load<S: ReadState>(state: &S, session: SessionId) -> Result<SessionRecord, Refusal> {
    let record = match state.session(session) {
        Some(record) => record,
        None if state.pruned(session.first()).is_some() => return Err(Refusal::SessionPruned { session }),
        None => return Err(Refusal::UnknownSession { session }),
    };
    if record.stage == SessionStage::Closed { Err(Refusal::SessionOver { session }) } else { Ok(record) }
}

fn must_be_creator<S: ReadState, H: Host>(scene: &Scene<'_, S, H>, version: &VersionRecord) -> Result<(), Refusal> {
    let wanted = scene.state.model(version.model).ok_or(Refusal::Inconsistent)?.creator;
    let caller = scene.at.caller;
    if caller == wanted { Ok(()) } else { Err(Refusal::NotYourModel { caller, wanted }) }
}

/// Refuses a voucher for something else, or one whose numbers contradict each other.
fn check_voucher<S, H>(scene: &Scene<'_, S, H>, record: &SessionRecord, voucher: &Voucher) -> Result<(), Refusal> {
    for (same, field) in [
        (voucher.genesis == scene.at.genesis, OfferField::Genesis),
        (voucher.contract == scene.at.contract, OfferField::Contract),
    ] {
        if !same {
            return Err(Refusal::OfferMismatch { field });
        }
    }
    let Voucher { done, heads, tails, root, .. } = *voucher;
    let holds = tails <= heads && heads <= done && done <= record.jobs && (done == 0) == root.is_zero();
    if holds { Ok(()) } else { Err(Refusal::VoucherNumbers { done, heads, tails, jobs: record.jobs }) }
}

/// Takes from a voucher what is higher than what was shown; true if anything is.
fn raise(record: &mut SessionRecord, voucher: &Voucher) -> bool {
    let raised = voucher.done > record.done || voucher.heads > record.heads || voucher.tails > record.tails;
    if raised && voucher.done >= record.done {
        (record.done, record.root) = (voucher.done, voucher.root);
    }
    record.heads = record.heads.max(voucher.heads);
    record.tails = record.tails.max(voucher.tails);
    raised
}

/// Ends a session: its worker's place is free, and everybody is credited.
fn end<S: ReadState, H: Host>(
    scene: &Scene<'_, S, H>,
    session: SessionId,
    mut record: SessionRecord,
) -> Result<Decision<()>, Refusal> {
    let settlement = SessionSettlement::of(&record).ok_or(Refusal::AmountTooLarge)?;
    record.stage = SessionStage::Closed;
    record.changed_at = scene.at.block;
    let SessionRecord { done, heads, tails, root, .. } = record;
    let params = scene.state.params();
    let mut worker = scene.state.worker(record.worker).ok_or(Refusal::Inconsistent)?;
    worker.in_flight = worker.in_flight.checked_sub(1).ok_or(Refusal::Inconsistent)?;
    // A statistic: it may stop growing, a session may not.
    worker.heads_committed = worker.heads_committed.saturating_add(heads);
    // As one head that all of them paid for: one user's word is one success, however it is divided.
    worker.reputation = worker.reputation.with_success(HeadWeight::of(settlement.worker, params.head_fee_base));
    let mut draft = Draft::new(scene.state);
    draft.emit(SessionClosed { session, by: scene.at.caller, done, heads, tails, root });
    draft.unlock_escrow(settlement.total().ok_or(Refusal::AmountTooLarge)?)?;
    let creator = scene.state.model(record.model).ok_or(Refusal::Inconsistent)?.creator;
    for (account, amount, cause) in settlement.lines(worker.payout, creator, params.treasury, record.user) {
        draft.credit(account, session.first(), amount, cause)?;
    }
    draft.write(Write::Worker(record.worker, worker));
    draft.write(Write::Session(session, Some(record)));
    Ok(Decision { changes: draft.finish(), answer: () })
}
