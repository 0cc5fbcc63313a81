//! `prune_job`: the records of a job that ended long ago are removed, by anybody; so is the record of a session, which has
//! the number of its first job.
//!
//! The platform holds a deposit for what a contract stores, from whoever wrote it, and gives it to whoever removes it.
//! So who removes a job's records sends along what others paid for them, and the rules credit it to them: nobody gains
//! by pruning, and nobody loses because somebody else was faster.
//!
//! What stays: a digest of what was removed, the events, and the mark that this user has used this input, or the
//! request could be bought once more under the same session key.

use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    job::Job,
    price::longest_job,
    refusal::Refusal,
    state::{ReadState, Write},
};
use alloc::{vec, vec::Vec};
use codec::{Encode, MaxEncodedLen};
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, JobId, JobProgress, JobRecords, JobTerms, MeasurementId, Plancks, PlatformId,
    PrunedRecord, Rating, ReceiptDigest, RecordsDigest, SessionId, SessionRecord, SessionRecords, SessionStage, Signed,
    StoragePrice,
    call::PruneJob,
    event::{Cause, JobPruned},
};

/// Bytes that the platform counts of an item beside its value and its key: 16, and the mapping's name of 4.
const ITEM_BYTES: usize = 20;

/// What the platform holds for an item, at today's prices.
fn item(price: &StoragePrice, key_bytes: usize, value_bytes: usize) -> Option<Plancks> {
    price.item.checked_add(bytes(price, ITEM_BYTES + key_bytes + value_bytes)?)
}

fn bytes(price: &StoragePrice, count: usize) -> Option<Plancks> {
    price.byte.checked_mul(u128::try_from(count).ok()?)
}

/// What the platform holds for the records of one ended job or session, by who paid for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paid {
    /// The user, for the records themselves: less what it takes to keep their digest.
    pub user: Plancks,
    /// The worker, for its commitment; nothing without one.
    pub worker: Plancks,
    /// The creator, for its result; nothing without one.
    pub creator: Plancks,
    /// Not of the job: what an account's credit takes that has none yet. Who withdraws it has that back.
    pub credit: Plancks,
}

impl Paid {
    /// For a job, at today's prices. `None` on overflow, which the bounds of prices rule out.
    pub fn of(price: &StoragePrice, terms: &JobTerms, progress: &JobProgress, rating: Option<&Rating>) -> Option<Self> {
        let item = |length: usize| item(price, JobId::max_encoded_len(), length);
        let removed = item(terms.encoded_size())?.checked_add(item(progress.encoded_size())?)?;
        let removed = removed.checked_add(rating.map_or(Some(Plancks::ZERO), |rating| item(rating.encoded_size()))?)?;
        let commitment = BlobDigest::max_encoded_len()
            + MeasurementId::max_encoded_len()
            + PlatformId::max_encoded_len()
            + ReceiptDigest::max_encoded_len();
        let worker = progress.output.map_or(Some(Plancks::ZERO), |_| bytes(price, commitment))?;
        let creator = progress.result.map_or(Some(Plancks::ZERO), |_| bytes(price, BlobDigest::max_encoded_len()))?;
        let others = worker.checked_add(creator)?;
        Self::beside_digest(price, removed, others).map(|paid| Self { worker, creator, ..paid })
    }

    /// For a session, all of whose record its user paid for. `None` on overflow.
    pub fn of_session(price: &StoragePrice, record: &SessionRecord) -> Option<Self> {
        let removed = item(price, SessionId::max_encoded_len(), record.encoded_size())?;
        Self::beside_digest(price, removed, Plancks::ZERO)
    }

    /// What was removed, less the digest that stays, is the user's but for what `others` paid.
    fn beside_digest(price: &StoragePrice, removed: Plancks, others: Plancks) -> Option<Self> {
        let kept = item(price, JobId::max_encoded_len(), PrunedRecord::max_encoded_len())?;
        let user = removed.checked_sub(kept)?.checked_sub(others)?;
        let credit = item(price, Address::max_encoded_len(), Plancks::max_encoded_len())?;
        Some(Self { user, credit, ..Self::default() })
    }

    /// What `by` has to send along, for whom: everybody's but its own, less what a first credit takes; what does not even
    /// come to that is left to who prunes. `credit_of` is what an account is owed already. `None` on overflow.
    pub fn owed(&self, by: Address, parties: Parties, credit_of: impl Fn(Address) -> Plancks) -> Option<Owed> {
        let mut owed = Owed::default();
        let each = [(parties.user, self.user), (parties.worker, self.worker), (parties.creator, self.creator)];
        for (at, (account, _)) in each.into_iter().enumerate() {
            let is_known = each.iter().take(at).any(|(known, _)| *known == account);
            if is_known || account == by {
                continue;
            }
            let mut all = each.iter().filter(|(other, _)| *other == account);
            let all = all.try_fold(Plancks::ZERO, |sum, (_, amount)| sum.checked_add(*amount))?;
            let first = if credit_of(account).is_zero() { self.credit } else { Plancks::ZERO };
            let amount = all.checked_sub(first).unwrap_or_default();
            owed.sum = owed.sum.checked_add(amount)?;
            owed.lines.push((account, amount));
        }
        Some(owed)
    }
}

/// Who paid for the records of a job or a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parties {
    /// Who bought it.
    pub user: Address,
    /// Who claimed it last; the zero address where nobody did.
    pub worker: Address,
    /// Whose model it ran.
    pub creator: Address,
}

impl Parties {
    /// Those of a job with these terms and this end.
    pub fn of(terms: &JobTerms, progress: &JobProgress, creator: Address) -> Self {
        Self { user: terms.user, worker: progress.worker.unwrap_or_default(), creator }
    }

    /// Those of a session: nobody else wrote into its record more than was there.
    pub fn of_session(record: &SessionRecord) -> Self {
        Self { user: record.user, worker: Address::default(), creator: Address::default() }
    }
}

/// What has to be sent along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// All of it.
    pub sum: Plancks,
    /// For whom: each account once, nothing for some.
    pub lines: Vec<(Address, Plancks)>,
}

/// The last block for which an ended job's records are kept for certain: as long after its end as it could have lived,
/// so that whoever had a window in it has had it once more to read.
pub fn kept_until(terms: &JobTerms, progress: &JobProgress) -> BlockNumber {
    let until = u64::from(progress.changed_at.0) + longest_job(&terms.windows);
    BlockNumber(u32::try_from(until).unwrap_or(u32::MAX))
}

/// The same of a session that is over.
pub fn session_kept_until(record: &SessionRecord) -> BlockNumber {
    let life = u64::from(record.deadline.0).saturating_sub(record.opened_at.0.into()) + u64::from(record.challenge.0);
    BlockNumber(u32::try_from(u64::from(record.changed_at.0) + life).unwrap_or(u32::MAX))
}

impl Decide for PruneJob {
    /// Anybody, once the job or the session has been over for as long as it could have lived. Takes exactly what others
    /// paid for its records.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let (state, session) = (scene.state, SessionId(self.job.0));
        let forgotten = match state.session(session) {
            Some(record) => Forgotten::session(scene, session, record)?,
            None => Forgotten::job(scene, Job::load(state, self.job)?)?,
        };
        forgotten.forget(scene, self.job)
    }
}

/// What is removed, and what that takes.
struct Forgotten {
    until: BlockNumber,
    paid: Paid,
    parties: Parties,
    /// Preimage of the digest that stays.
    records: Vec<u8>,
    removed: Vec<Write>,
}

impl Forgotten {
    fn session<S: ReadState, H>(
        scene: &Scene<'_, S, H>,
        session: SessionId,
        record: SessionRecord,
    ) -> Result<Self, Refusal> {
        if record.stage != SessionStage::Closed {
            return Err(Refusal::SessionRunning { session });
        }
        let (genesis, contract) = (scene.at.genesis, scene.at.contract);
        Ok(Self {
            until: session_kept_until(&record),
            paid: Paid::of_session(&scene.state.params().storage, &record).ok_or(Refusal::AmountTooLarge)?,
            parties: Parties::of_session(&record),
            records: SessionRecords { genesis, contract, session, record }.preimage(),
            removed: vec![Write::Session(session, None)],
        })
    }

    fn job<S: ReadState, H>(scene: &Scene<'_, S, H>, job: Job) -> Result<Self, Refusal> {
        let Job { id, terms, progress } = job;
        if !progress.stage.is_terminal() {
            return Err(Refusal::JobRunning { found: progress.stage });
        }
        let (state, genesis, contract) = (scene.state, scene.at.genesis, scene.at.contract);
        let rating = state.rating(id);
        let paid = Paid::of(&state.params().storage, &terms, &progress, rating.as_ref());
        let creator = state.model(terms.model).ok_or(Refusal::Inconsistent)?.creator;
        let mut removed = vec![Write::JobTerms(id, None), Write::JobProgress(id, None)];
        if rating.is_some() {
            removed.push(Write::Rating(id, None));
        }
        Ok(Self {
            until: kept_until(&terms, &progress),
            paid: paid.ok_or(Refusal::AmountTooLarge)?,
            parties: Parties::of(&terms, &progress, creator),
            records: JobRecords { genesis, contract, job: id, terms, progress }.preimage(),
            removed,
        })
    }

    fn forget<S: ReadState, H: Host>(self, scene: &Scene<'_, S, H>, id: JobId) -> Result<Decision<()>, Refusal> {
        let (state, at) = (scene.state, scene.at);
        let Self { until, paid, parties, records, removed } = self;
        if at.block <= until {
            return Err(Refusal::KeptUntil { until, block: at.block });
        }
        let owed = paid.owed(at.caller, parties, |account| state.credit(account)).ok_or(Refusal::AmountTooLarge)?;
        let wanted = owed.sum;
        if at.value != wanted {
            return Err(Refusal::StorageMismatch { found: at.value, wanted });
        }
        let digest = RecordsDigest(scene.host.keccak_256(&records));
        let mut draft = Draft::new(state);
        draft.emit(JobPruned { job: id, by: at.caller, digest, returned: wanted });
        for (account, amount) in owed.lines {
            draft.credit(account, id, amount, Cause::Storage)?;
        }
        removed.into_iter().for_each(|write| draft.write(write));
        draft.write(Write::Pruned(id, PrunedRecord { digest, pruned_at: at.block }));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}
