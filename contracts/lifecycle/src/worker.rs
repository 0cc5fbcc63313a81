//! Workers: registration, stake, capacity.

use crate::{
    attested::{Attested, Expected, attested, quote_identity},
    command::{Decide, Decision, Scene},
    context::{Host, is_canonical},
    draft::Draft,
    model::must_have_left,
    refusal::{Field, Refusal},
    state::{ReadState, Write},
};
use alloc::vec::Vec;
use encompute_protocol::{
    Address, BlockNumber, Nonce, Params, Plancks, PlatformId, QuoteIdentity, RegistrationStatement, Signed,
    WorkerRecord,
    call::{AddStake, AskStake, BeginRegistration, RegisterWorker, SetCapacity, TakeStake},
    event::{CapacityChanged, Movement, NonceIssued, WorkerRegistered},
};

/// Stake that neither jobs hold nor the worker asked back.
pub(crate) fn free_stake(worker: &WorkerRecord) -> Result<Plancks, Refusal> {
    let unlocked = worker.stake.checked_sub(worker.stake_locked);
    unlocked.and_then(|stake| stake.checked_sub(worker.stake_leaving)).ok_or(Refusal::Inconsistent)
}

fn load<S: ReadState>(state: &S, account: Address) -> Result<WorkerRecord, Refusal> {
    state.worker(account).ok_or(Refusal::UnknownWorker { worker: account })
}

/// Domain of the hash that gives nonces.
const NONCE_TAG: &[u8] = b"encompute/registration-nonce/v1";

impl Decide for BeginRegistration {
    /// Anybody. The nonce chains the one pending and the one registered, so that no two of an account
    /// are the same; it replaces the one pending.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<Nonce>, Refusal> {
        let (at, state) = (scene.at, scene.state);
        let pending = state.registration_nonce(at.caller).unwrap_or_default();
        let registered = state.worker(at.caller).map(|worker| worker.nonce).unwrap_or_default();
        let mut bytes = Vec::with_capacity(256);
        for part in [
            NONCE_TAG,
            &at.genesis.0,
            &at.contract.0,
            &at.caller.0,
            &at.block.0.to_le_bytes(),
            &at.entropy,
            &pending.0,
            &registered.0,
        ] {
            bytes.extend_from_slice(part);
        }
        let nonce = Nonce(scene.host.keccak_256(&bytes));
        let mut draft = Draft::new(state);
        draft.emit(NonceIssued { worker: at.caller, nonce });
        draft.write(Write::RegistrationNonce(at.caller, Some(nonce)));
        Ok(Decision { changes: draft.finish(), answer: nonce })
    }
}

impl Decide for RegisterWorker {
    /// Anybody with a nonce, and a quote over it by allowed code on an allowed platform. Refused while jobs run under the present
    /// registration: what their receipts name stays as it was at the claim. Claims stop one head window
    /// before a registration ends, so a worker that wants to renew is never kept from it for longer.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let (at, state) = (scene.at, scene.state);
        // Read once: a registration is the dearest of all messages.
        let (before, params) = (state.worker(at.caller), state.params());
        let proved = self.check(scene, before.as_ref(), &params)?;
        let mut worker = self.record(before.as_ref(), &proved, at.block);
        let mut draft = Draft::new(state);
        if before.is_none() {
            let mut counts = state.counts();
            draft.write(Write::WorkerAt(counts.workers, at.caller));
            counts.workers = counts.workers.checked_add(1).ok_or(Refusal::NumbersExhausted)?;
            draft.write(Write::Counts(counts));
        }
        draft.emit(WorkerRegistered {
            worker: at.caller,
            measurement: self.measurement,
            platform: proved.platform,
            quote: proved.quote,
            evidence: self.evidence,
            expires_at: self.expires_at,
        });
        if before.is_none_or(|before| before.capacity != self.capacity) {
            draft.emit(CapacityChanged { worker: at.caller, capacity: self.capacity });
        }
        draft.move_stake(at.caller, &mut worker, None, Movement::Added, at.value)?;
        if !at.value.is_zero() {
            worker.raised_at = at.block;
        }
        let staying = worker.stake.checked_sub(worker.stake_leaving).ok_or(Refusal::Inconsistent)?;
        let wanted = params.worker_stake_floor;
        if staying < wanted {
            return Err(Refusal::StakeBelowFloor { found: staying, wanted });
        }
        draft.write(Write::Worker(at.caller, worker));
        draft.write(Write::WorkerUrl(at.caller, self.url.clone()));
        draft.write(Write::RegistrationNonce(at.caller, None));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

/// What the contract found out itself about a registration.
struct Proved {
    nonce: Nonce,
    platform: PlatformId,
    quote: QuoteIdentity,
}

trait RegistrationRules {
    fn check<S: ReadState, H: Host>(
        &self,
        scene: &Scene<'_, S, H>,
        before: Option<&WorkerRecord>,
        params: &Params,
    ) -> Result<Proved, Refusal>;
    fn check_words<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>, params: &Params) -> Result<(), Refusal>;
    fn record(&self, before: Option<&WorkerRecord>, proved: &Proved, block: BlockNumber) -> WorkerRecord;
}

impl RegistrationRules for RegisterWorker {
    /// What the quote proves, if everything but the stake is right.
    fn check<S: ReadState, H: Host>(
        &self,
        scene: &Scene<'_, S, H>,
        before: Option<&WorkerRecord>,
        params: &Params,
    ) -> Result<Proved, Refusal> {
        let (at, state) = (scene.at, scene.state);
        self.check_words(scene, params)?;
        let nonce = state.registration_nonce(at.caller).ok_or(Refusal::NoNonce)?;
        if let Some(before) = before {
            if before.in_flight > 0 {
                return Err(Refusal::JobsInFlight { found: before.in_flight });
            }
            // Who is paid where decides who may judge whom.
            if before.payout != self.payout && !before.stake_locked.is_zero() {
                return Err(Refusal::PayoutHeld { locked: before.stake_locked });
            }
            if before.quote == quote_identity(scene.host, &self.quote) {
                return Err(Refusal::QuoteReused);
            }
        }
        let statement = RegistrationStatement {
            genesis: at.genesis,
            contract: at.contract,
            account: at.caller,
            signing: self.signing,
            hpke: self.hpke,
            payout: self.payout,
            tee: self.tee,
            expires_at: self.expires_at,
        };
        let statement = scene.host.keccak_256(&statement.preimage());
        let found = if is_canonical(&self.signature) { scene.host.recover(&statement, &self.signature) } else { None };
        if found != Some(self.signing) {
            return Err(Refusal::WrongSigner { found, wanted: self.signing });
        }
        let platform = scene.platform_of(&self.quote.attestation_key)?;
        let expected = Expected { statement, nonce, tee: Some(self.tee) };
        let Attested { measurement, quote } = attested(scene.host, &self.quote, &expected)?;
        if measurement != self.measurement {
            return Err(Refusal::MeasurementMismatch { found: measurement, wanted: self.measurement });
        }
        Ok(Proved { nonce, platform, quote })
    }

    /// Refuses what is missing, a life outside its bounds, code that is not listed.
    fn check_words<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>, params: &Params) -> Result<(), Refusal> {
        let at = scene.at;
        for (missing, field) in [
            (self.signing.is_zero(), Field::Signing),
            (self.hpke.is_zero(), Field::Hpke),
            (self.payout == Address::default(), Field::Payout),
            (self.measurement.is_zero(), Field::Measurement),
            (self.quote.signed.as_slice().is_empty(), Field::Quote),
            (self.evidence.is_zero(), Field::Evidence),
            (self.url.as_str().is_empty(), Field::Url),
        ] {
            if missing {
                return Err(Refusal::Missing { field });
            }
        }
        if !self.url.as_str().starts_with("http://") && !self.url.as_str().starts_with("https://") {
            return Err(Refusal::UrlScheme);
        }
        let limit = params.registration_limit;
        let from = BlockNumber(at.block.0.checked_add(1).ok_or(Refusal::NumbersExhausted)?);
        let to = at.block.checked_add(limit).ok_or(Refusal::NumbersExhausted)?;
        if self.expires_at < from || self.expires_at > to {
            return Err(Refusal::RegistrationLength { expires_at: self.expires_at, from, to });
        }
        scene.measurement_must_be_usable(self.measurement)
    }

    /// The new record, with stake and history of the one before.
    fn record(&self, before: Option<&WorkerRecord>, proved: &Proved, block: BlockNumber) -> WorkerRecord {
        WorkerRecord {
            signing: self.signing,
            hpke: self.hpke,
            payout: self.payout,
            measurement: self.measurement,
            platform: proved.platform,
            quote: proved.quote,
            evidence: self.evidence,
            nonce: proved.nonce,
            registered_at: block,
            expires_at: self.expires_at,
            stake: before.map(|worker| worker.stake).unwrap_or_default(),
            stake_locked: before.map(|worker| worker.stake_locked).unwrap_or_default(),
            stake_leaving: before.map(|worker| worker.stake_leaving).unwrap_or_default(),
            stake_leaves_at: before.map(|worker| worker.stake_leaves_at).unwrap_or_default(),
            capacity: self.capacity,
            in_flight: 0,
            heads_committed: before.map_or(0, |worker| worker.heads_committed),
            timeouts: before.map_or(0, |worker| worker.timeouts),
            mismatches: before.map_or(0, |worker| worker.mismatches),
            reputation: before.map(|worker| worker.reputation).unwrap_or_default(),
            latency: before.map(|worker| worker.latency).unwrap_or_default(),
            raised_at: before.map_or(block, |worker| worker.raised_at),
        }
    }
}

impl Decide for AddStake {
    /// A registered worker.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let account = scene.at.caller;
        let mut worker = load(scene.state, account)?;
        if scene.at.value.is_zero() {
            return Err(Refusal::Missing { field: Field::Value });
        }
        let mut draft = Draft::new(scene.state);
        draft.move_stake(account, &mut worker, None, Movement::Added, scene.at.value)?;
        worker.raised_at = scene.at.block;
        draft.write(Write::Worker(account, worker));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for AskStake {
    /// A registered worker; no more than jobs do not hold.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let account = scene.at.caller;
        let mut worker = load(scene.state, account)?;
        let free = worker.stake.checked_sub(worker.stake_locked).ok_or(Refusal::Inconsistent)?;
        if self.amount > free {
            return Err(Refusal::AskedTooMuch { found: self.amount, free });
        }
        let unbonding = scene.state.params().unbonding;
        if self.amount < worker.stake_leaving {
            worker.raised_at = scene.at.block;
        }
        worker.stake_leaves_at = scene.at.block.checked_add(unbonding).ok_or(Refusal::NumbersExhausted)?;
        let mut draft = Draft::new(scene.state);
        draft.move_stake(account, &mut worker, None, Movement::Asked, self.amount)?;
        draft.write(Write::Worker(account, worker));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for TakeStake {
    /// A registered worker, once the unbonding time is over.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<Plancks>, Refusal> {
        let account = scene.at.caller;
        let mut worker = load(scene.state, account)?;
        let amount = worker.stake_leaving;
        must_have_left(amount, worker.stake_leaves_at, scene.at.block)?;
        let mut draft = Draft::new(scene.state);
        draft.move_stake(account, &mut worker, None, Movement::Taken, amount)?;
        draft.pay(account, amount);
        draft.write(Write::Worker(account, worker));
        Ok(Decision { changes: draft.finish(), answer: amount })
    }
}

impl Decide for SetCapacity {
    /// A registered worker. Below what it holds now it takes no more until jobs are done.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let account = scene.at.caller;
        let mut worker = load(scene.state, account)?;
        worker.capacity = self.capacity;
        let mut draft = Draft::new(scene.state);
        draft.emit(CapacityChanged { worker: account, capacity: self.capacity });
        draft.write(Write::Worker(account, worker));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}
