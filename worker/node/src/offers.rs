//! Promises that are out: each takes a place until it is claimed or runs out.

use encompute_protocol::receipt::{OfferCall, SignedOffer};
use encompute_protocol::session::{SignedSessionOffer, calls::SessionCall};
use encompute_protocol::{Address, BlobDigest, BlockNumber, Blocks, JobId, SigningAddress, SplitIndex, VersionId};
use std::collections::{BTreeMap, BTreeSet};

/// How long an offer holds: long enough for one transaction, short enough that nobody can keep a
/// worker idle with offers that he never takes up.
pub const OFFER_LIFE: Blocks = Blocks(20);
/// An offer that holds for fewer blocks than this is made again rather than repeated.
const WORTH_REPEATING: Blocks = Blocks(10);

/// What makes two calls one: the same user asking for the same run of the same input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    user: Address,
    version: VersionId,
    split: SplitIndex,
    input: BlobDigest,
}

impl From<&OfferCall> for Subject {
    fn from(call: &OfferCall) -> Self {
        Self { user: call.user, version: call.version, split: call.split, input: call.input }
    }
}

/// Places of one worker: taken by jobs in hand and by offers that are out.
#[derive(Debug)]
pub struct Places {
    capacity: u16,
    jobs: BTreeSet<JobId>,
    offers: BTreeMap<Subject, Option<SignedOffer>>,
    /// Of sessions, those that have not opened; as many as there are places at most.
    sessions: Vec<SignedSessionOffer>,
    now: BlockNumber,
    closed: bool,
}

/// No place for another job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPlace {
    /// All places are taken.
    #[error("all {capacity} places are taken ({jobs} jobs, {offers} offers)")]
    Full {
        /// Places there are.
        capacity: u16,
        /// Taken by jobs.
        jobs: usize,
        /// Taken by offers.
        offers: usize,
    },
    /// The worker takes no new jobs: it renews its registration, or shuts down.
    #[error("the worker takes no new jobs at the moment")]
    Closed,
}

/// A place held for an offer that is being prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "made once a call and taken apart at once")]
pub enum Reserved {
    /// Prepare and sign one.
    New,
    /// The same call was answered; give the same promise.
    Repeat(SignedOffer),
}

impl Places {
    /// `capacity` places, all free.
    pub fn new(capacity: u16) -> Self {
        let (jobs, offers, sessions) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        Self { capacity, jobs, offers, sessions, now: BlockNumber(0), closed: false }
    }

    /// Moves the clock: offers that ran out free their places.
    pub fn advance(&mut self, now: BlockNumber) {
        self.now = self.now.max(now);
        let now = self.now;
        self.offers.retain(|_, offer| offer.as_ref().is_none_or(|offer| offer.offer.expires_at > now));
        self.sessions.retain(|offer| offer.offer.expires_at > now);
    }

    /// The last block seen.
    pub fn now(&self) -> BlockNumber {
        self.now
    }

    /// Stops or resumes taking new jobs.
    pub fn set_closed(&mut self, closed: bool) {
        self.closed = closed;
    }

    /// Jobs in hand.
    pub fn jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Offers out.
    pub fn offers(&self) -> usize {
        self.offers.len() + self.sessions.len()
    }

    /// Holds a place for an offer, or finds the one that the same call was given.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub fn reserve(&mut self, call: &OfferCall) -> Result<Reserved, NoPlace> {
        let subject = Subject::from(call);
        let worth = self.now.checked_add(WORTH_REPEATING).unwrap_or(self.now);
        match self.offers.get(&subject) {
            Some(Some(offer)) if offer.offer.expires_at > worth => return Ok(Reserved::Repeat(*offer)),
            Some(_) => return Ok(Reserved::New),
            None => {}
        }
        self.check()?;
        self.offers.insert(subject, None);
        Ok(Reserved::New)
    }

    /// Records the offer that was signed for a place held.
    pub fn offered(&mut self, call: &OfferCall, offer: SignedOffer) {
        self.offers.insert(Subject::from(call), Some(offer));
    }

    /// The offer of a session that the same call was given and that holds for a while; none where there is a place for
    /// another.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub fn session_offer(&self, call: &SessionCall) -> Result<Option<SignedSessionOffer>, NoPlace> {
        let worth = self.now.checked_add(WORTH_REPEATING).unwrap_or(self.now);
        let is_same = |signed: &&SignedSessionOffer| {
            let offer = &signed.offer;
            (offer.user, offer.key, offer.version, offer.split, offer.jobs)
                == (call.user, call.key, call.version, call.split, call.jobs)
                && offer.length <= call.length
                && offer.expires_at > worth
        };
        let found = self.sessions.iter().find(is_same).copied();
        if found.is_none() {
            self.check()?;
        }
        Ok(found)
    }

    /// Holds a place for a session that is about to be offered, until it opens or the offer runs out.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub fn offered_session(&mut self, offer: SignedSessionOffer) -> Result<(), NoPlace> {
        self.check()?;
        self.sessions.push(offer);
        Ok(())
    }

    /// That a session is in hand, as its first job; its offer gives its place to it.
    pub fn opened(&mut self, session: JobId, user: Address, key: SigningAddress) {
        let is_its = |signed: &SignedSessionOffer| (signed.offer.user, signed.offer.key) == (user, key);
        if let Some(at) = self.sessions.iter().position(is_its) {
            self.sessions.swap_remove(at);
        }
        self.jobs.insert(session);
    }

    /// Gives a place back whose offer came to nothing; an offer that is out stays.
    pub fn release(&mut self, call: &OfferCall) {
        if let Some(None) = self.offers.get(&Subject::from(call)) {
            self.offers.remove(&Subject::from(call));
        }
    }

    /// That a job is in hand; the offer it was claimed with gives its place to it.
    pub fn claimed(&mut self, job: JobId, input: BlobDigest) {
        self.offers.retain(|subject, _| subject.input != input);
        self.jobs.insert(job);
    }

    /// That a job is in hand no longer.
    pub fn done(&mut self, job: JobId) {
        self.jobs.remove(&job);
    }

    /// Whether there is a place for one more job.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub fn check(&self) -> Result<(), NoPlace> {
        let (jobs, offers) = (self.jobs(), self.offers());
        match () {
            () if self.closed => Err(NoPlace::Closed),
            () if jobs + offers >= usize::from(self.capacity) => {
                Err(NoPlace::Full { capacity: self.capacity, jobs, offers })
            }
            () => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use encompute_protocol::{Offer, PolicyId, Signature, session::SessionOffer};

    fn call(input: u8) -> OfferCall {
        OfferCall {
            user: Address([1; 20]),
            version: VersionId(1),
            split: SplitIndex(0),
            policy: PolicyId(1),
            input: BlobDigest([input; 32]),
        }
    }

    fn offer(call: &OfferCall, expires_at: u32) -> SignedOffer {
        let offer = Offer {
            genesis: Default::default(),
            contract: Default::default(),
            worker: Address([2; 20]),
            user: call.user,
            version: call.version,
            split: call.split,
            input: call.input,
            expires_at: BlockNumber(expires_at),
            custody: false,
        };
        SignedOffer { offer, signature: Signature([0; 65]) }
    }

    #[test]
    fn an_offer_takes_a_place_until_it_runs_out() {
        let mut places = Places::new(1);
        places.advance(BlockNumber(100));
        assert_eq!(places.reserve(&call(1)), Ok(Reserved::New));
        places.offered(&call(1), offer(&call(1), 120));
        assert_eq!(places.reserve(&call(2)), Err(NoPlace::Full { capacity: 1, jobs: 0, offers: 1 }));
        places.advance(BlockNumber(119));
        assert!(places.check().is_err());
        places.advance(BlockNumber(120));
        assert_eq!(places.reserve(&call(2)), Ok(Reserved::New));
    }

    #[test]
    fn the_same_call_gets_the_same_offer_and_no_second_place() {
        let mut places = Places::new(1);
        places.advance(BlockNumber(100));
        assert_eq!(places.reserve(&call(1)), Ok(Reserved::New));
        places.offered(&call(1), offer(&call(1), 120));
        assert_eq!(places.reserve(&call(1)), Ok(Reserved::Repeat(offer(&call(1), 120))));
        places.advance(BlockNumber(112));
        assert_eq!(places.reserve(&call(1)), Ok(Reserved::New));
    }

    #[test]
    fn a_claim_turns_its_offer_into_a_job() {
        let mut places = Places::new(1);
        places.reserve(&call(1)).unwrap();
        places.offered(&call(1), offer(&call(1), 20));
        places.claimed(JobId(1), call(1).input);
        assert_eq!((places.jobs(), places.offers()), (1, 0));
        places.done(JobId(1));
        assert_eq!(places.check(), Ok(()));
    }

    #[test]
    fn an_offer_that_came_to_nothing_gives_its_place_back() {
        let mut places = Places::new(1);
        places.reserve(&call(1)).unwrap();
        places.release(&call(1));
        assert_eq!(places.check(), Ok(()));
    }

    #[test]
    fn an_offer_of_a_session_takes_a_place_until_it_opens_or_runs_out() {
        let call = |key: u8| SessionCall {
            user: Address([1; 20]),
            version: VersionId(1),
            split: SplitIndex(0),
            policy: PolicyId(1),
            key: SigningAddress([key; 20]),
            jobs: 3,
            length: Blocks(50),
        };
        let offer = |call: &SessionCall, expires_at| {
            let offer = SessionOffer {
                genesis: Default::default(),
                contract: Default::default(),
                worker: Address([2; 20]),
                user: call.user,
                version: call.version,
                split: call.split,
                key: call.key,
                jobs: call.jobs,
                length: call.length,
                expires_at: BlockNumber(expires_at),
            };
            SignedSessionOffer { offer, signature: Signature([0; 65]) }
        };
        let full = |jobs, offers| Err(NoPlace::Full { capacity: 1, jobs, offers });
        let mut places = Places::new(1);
        places.advance(BlockNumber(100));
        assert_eq!(places.session_offer(&call(1)), Ok(None));
        places.offered_session(offer(&call(1), 120)).unwrap();
        // Not one that was made meanwhile either.
        assert_eq!(places.offered_session(offer(&call(2), 120)), full(0, 1));
        assert_eq!(places.session_offer(&call(1)), Ok(Some(offer(&call(1), 120))), "the same call, the same offer");
        assert_eq!(places.session_offer(&SessionCall { jobs: 4, ..call(1) }).err(), full(0, 1).err());
        places.advance(BlockNumber(120));
        assert_eq!(places.session_offer(&call(2)), Ok(None));
        places.offered_session(offer(&call(2), 140)).unwrap();
        places.opened(JobId(5), Address([1; 20]), SigningAddress([2; 20]));
        assert_eq!((places.jobs(), places.offers()), (1, 0));
        assert_eq!(places.session_offer(&call(1)).err(), full(1, 0).err());
    }

    #[test]
    fn a_closed_worker_takes_nothing_new() {
        let mut places = Places::new(1);
        places.set_closed(true);
        assert_eq!(places.reserve(&call(1)), Err(NoPlace::Closed));
    }
}
