//! Opening: a key for vouchers, a worker that takes the session, one payment for all jobs.

use super::{Book, BookRecord, mail};
use crate::{
    driver::Runner,
    error::JobError,
    order::offered,
    request::random,
    workers::{CheckedWorker, checked_worker},
};
use encompute_chain::{Submit, SubmitJob};
use encompute_protocol::{
    Address, Blocks, PolicyId, SessionId, SplitIndex, VersionId, VersionManifest,
    call::{OpenSession, QuoteJob, ReadCounts, ReadSession, ReadSessionsTaken, ReadWorkerAt},
    event::Event,
    session::{
        SessionOffer, SignedSessionOffer,
        calls::SessionCall,
        count::{SessionCount, SessionName},
    },
    signing::SigningKey,
    wire::Message,
};
use std::time::Duration;

/// What a session is asked for.
pub struct SessionAsked {
    /// The version's id on chain.
    pub version: VersionId,
    /// Its manifest, whose hash the chain pins.
    pub manifest: VersionManifest,
    /// Which split.
    pub split: SplitIndex,
    /// Under which policy features are released.
    pub policy: PolicyId,
    /// How many jobs at most.
    pub jobs: u32,
    /// How long at most.
    pub length: Blocks,
}

/// How long one worker may take to answer.
const OFFER_WITHIN: Duration = Duration::from_secs(10);
/// Most workers that are asked for one session.
const ASKED_LIMIT: u32 = 32;

impl<M: SubmitJob> Runner<M> {
    /// Finds a worker, pays for all jobs, and gives the book of the session.
    ///
    /// # Errors
    /// [`JobError`]; a book that was begun is found again by [`Runner::find_session`], should the payment have been made.
    pub async fn open_session(&self, asked: &SessionAsked) -> Result<Book, JobError> {
        offered(&asked.manifest, asked.split, asked.policy, &self.services.network)?;
        if let Some(wanted) = asked.manifest.witnesses {
            return Err(JobError::SessionUnwitnessed { wanted });
        }
        let market = &self.services.market;
        let plan = |found: &str| JobError::Plan { found: found.into() };
        let (genesis, contract) =
            (market.genesis(), market.contract().ok_or_else(|| plan("the network names no contract"))?);
        let taken = market.read(ReadSessionsTaken { version: asked.version }).await.map_err(JobError::Read)?;
        if asked.jobs == 0 || asked.jobs > taken {
            let found = format!("{} jobs, the version's creator takes sessions of 1 to {taken}", asked.jobs);
            return Err(JobError::Session {
                found: if taken == 0 { "the version's creator takes none".into() } else { found },
            });
        }
        let quoted =
            market.read(QuoteJob { version: asked.version, split: asked.split }).await.map_err(JobError::Read)?;
        let (fees, _) = quoted.ok_or_else(|| plan("the split is not for sale"))?;
        let value = fees.total().and_then(|one| one.checked_mul(asked.jobs.into()));
        let value = value.ok_or_else(|| plan("the price is beyond all numbers"))?;
        let key = SigningKey::from_secret(&random())
            .map_err(|error| JobError::Crypto { doing: "make the session's key", found: error.to_string() })?;
        let user = Submit::<OpenSession>::address(market);
        let SessionAsked { version, split, policy, jobs, length, .. } = *asked;
        let call = SessionCall { user, version, split, policy, key: key.address(), jobs, length };
        let (worker, offer) = self.find_session_offer(&call).await?;
        let name = SessionName { genesis, contract, session: SessionId(0), key: key.address(), jobs };
        let record = BookRecord {
            user,
            model: asked.manifest.name.as_str().into(),
            version,
            manifest: asked.manifest.hash(),
            split,
            policy,
            worker,
            prepared_at: market.head().await.map_err(JobError::Read)?.number,
            count: SessionCount::new(name),
            current: None,
            told: (0, 0),
        };
        let mut book = Book::create(&self.home, record, &key)?;
        let submitted = market.submit(OpenSession { version, split, policy, offer }, value).await;
        let submitted = submitted.map_err(|source| JobError::Submit { doing: "open the session", source })?;
        named(&mut book, submitted.answer)?;
        Ok(book)
    }

    /// The book of a session; of one that was cut off while it was paid for, too.
    ///
    /// # Errors
    /// [`JobError::Session`] if this home has none of this number.
    pub async fn find_session(&self, session: SessionId) -> Result<Book, JobError> {
        let market = &self.services.market;
        let (genesis, contract) = (market.genesis(), market.contract());
        let ours = Book::list(&self.home)?.into_iter().filter(|record| {
            let name = record.count.name();
            name.genesis == genesis && Some(name.contract) == contract
        });
        let found = market.read(ReadSession { session }).await.map_err(JobError::Read)?;
        let key = found.ok_or_else(|| JobError::Session { found: format!("there is no session {session}") })?.key;
        let known = ours.into_iter().any(|record| record.count.name().key == key);
        if !known {
            return Err(JobError::Session { found: format!("this home has no session {session}; see --home") });
        }
        let mut book = Book::open(&self.home, &key)?;
        if book.session() != session {
            named(&mut book, session)?;
        }
        Ok(book)
    }

    /// Asks workers in turn.
    async fn find_session_offer(&self, call: &SessionCall) -> Result<(Address, SignedSessionOffer), JobError> {
        let crate::driver::Services { market, blobs, network, http } = &self.services;
        let at = market.head().await.map_err(JobError::Read)?.number;
        let counts = market.read(ReadCounts {}).await.map_err(JobError::Read)?;
        let workers = counts.workers.min(ASKED_LIMIT);
        let first = u32::from(call.key.0[0]) % workers.max(1);
        let mut reasons = Vec::new();
        for turn in 0..workers {
            let index = (first + turn) % workers;
            let Some(account) = market.read(ReadWorkerAt { index }).await.map_err(JobError::Read)? else { continue };
            let worker = match checked_worker(market, blobs, network, account, at).await {
                Ok(worker) => worker,
                Err(error @ (JobError::Unattested { .. } | JobError::Fetch { .. })) => {
                    reasons.push(error.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            match mail::call(http, &worker.url, "/v1/sessions", Some(call.to_wire()), OFFER_WITHIN).await {
                Ok(answer) => match self.holds(call, &worker, &answer) {
                    Ok(offer) => return Ok((account, offer)),
                    Err(reason) => reasons.push(format!("worker {account}: {reason}")),
                },
                Err(unanswered) => reasons.push(format!("worker {account}: {}", unanswered.words())),
            }
        }
        Err(JobError::NoSession { reasons })
    }

    /// The offer in a worker's answer, if it is for exactly this session and by its registered key.
    fn holds(&self, call: &SessionCall, worker: &CheckedWorker, answer: &[u8]) -> Result<SignedSessionOffer, String> {
        let signed = SignedSessionOffer::from_wire(answer).map_err(|error| format!("offer: {error}"))?;
        let market = &self.services.market;
        let expected = SessionOffer {
            genesis: market.genesis(),
            contract: market.contract().unwrap_or_default(),
            worker: worker.account,
            user: call.user,
            version: call.version,
            split: call.split,
            key: call.key,
            jobs: call.jobs,
            length: signed.offer.length,
            expires_at: signed.offer.expires_at,
        };
        let asked = signed.offer.length <= call.length;
        match asked && signed.offer == expected && signed.signature.is_by(&worker.record.signing, &signed.offer) {
            true => Ok(signed),
            false => Err("its offer is for something else or not signed by its registered key".into()),
        }
    }

    /// The sessions of this home that were cut off while they were paid for are found by their keys.
    ///
    /// # Errors
    /// [`JobError::Read`].
    pub async fn sessions_paid(&self) -> Result<(), JobError> {
        let market = &self.services.market;
        let unnamed = Book::list(&self.home)?.into_iter().filter(|record| record.count.name().session == SessionId(0));
        for record in unnamed {
            let head = market.head().await.map_err(JobError::Read)?.number;
            if head <= record.prepared_at {
                continue;
            }
            let blocks = market.events_in(record.prepared_at..=head).await.map_err(JobError::Read)?;
            let key = record.count.name().key;
            let found = blocks.iter().flat_map(|block| &block.events).find_map(|emitted| match &emitted.event {
                Event::SessionOpened(opened) if opened.key == key => Some(opened.session),
                _ => None,
            });
            if let Some(session) = found {
                named(&mut Book::open(&self.home, &key)?, session)?;
            }
        }
        Ok(())
    }
}

/// Writes down how the chain named a session.
fn named(book: &mut Book, session: SessionId) -> Result<(), JobError> {
    let name = SessionName { session, ..*book.record().count.name() };
    Ok(book.update(|record| record.count = SessionCount::new(name))?)
}
