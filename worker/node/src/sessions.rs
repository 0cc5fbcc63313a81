//! Sessions: jobs that are ordered, receipted and paid for without a transaction.
//!
//! A session holds one place, and its jobs are run one after the other: the next only with the voucher for the one
//! before. So what a user can owe is one head fee. Vouchers are shown to the chain before the session's deadline, or as
//! soon as somebody else has shown a lower one.

mod tend;

use crate::claim::Claim;
use crate::desk::{Desk, ServeError};
use crate::offers::OFFER_LIFE;
use crate::voice::Voice;
use codec::{Decode, Encode};
use encompute_protocol::call::ReadSession;
use encompute_protocol::session::calls::{
    AgreedEnd, EndCall, SessionCall, SessionOrderCall, SignedReceipt, VoucherCall,
};
use encompute_protocol::session::count::{SessionCount, SessionName, VoucherRefused};
use encompute_protocol::session::due::closes_at;
use encompute_protocol::session::{
    SessionEnd, SessionOffer, SessionRecord, SessionStage, SignedSessionOffer, SignedVoucher,
};
use encompute_protocol::{BlobDigest, Blocks, JobId, ReceiptDigest, RoundIndex, SessionId, Signed, VersionStatus};
use encompute_store::StateError;
use std::collections::{BTreeMap, btree_map::Entry};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::{debug, info};

/// Most jobs of a session that is offered.
pub const JOBS_OFFERED: u32 = 10_000;
/// Longest session that is offered: twelve hours of 6-second blocks. Nobody can renew a registration under one.
pub const LONGEST_SESSION: Blocks = Blocks(7_200);
/// Sessions shorter than this are not worth a transaction.
const SHORTEST_SESSION: Blocks = Blocks(10);

/// The job of a session that is in hand.
#[derive(Clone, Copy, Debug, Encode, Decode)]
pub(crate) struct SessionJob {
    job: JobId,
    input: BlobDigest,
    /// Once its head is done and everything that it names is in the store.
    receipt: Option<SignedReceipt>,
}

/// A session in hand, as the journal has it.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct Held {
    /// As the chain had it last.
    pub(crate) record: SessionRecord,
    pub(crate) count: SessionCount,
    job: Option<SessionJob>,
    /// True once the end was agreed to: no further job.
    ended: bool,
}

/// Sessions of this worker that are not over.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<BTreeMap<SessionId, Held>>);

/// A call about a session that is not answered. Only public facts are named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionRefused {
    /// Not a session of this worker, or one that is over.
    #[error("session {session} is not in this worker's hands")]
    NotHeld {
        /// Which.
        session: SessionId,
    },
    /// The worker speaks over an anchor, which forwards no vouchers.
    #[error("a worker behind an anchor serves no sessions")]
    Anchored,
    /// More jobs than this worker offers, or none.
    #[error("a session of {found} jobs, from 1 to {} are offered", JOBS_OFFERED)]
    Jobs {
        /// Jobs asked for.
        found: u32,
    },
    /// The registration runs out too soon, or so little was asked for.
    #[error("a session of {found} blocks is all there can be, {} are the least", SHORTEST_SESSION.0)]
    TooShort {
        /// Blocks that it could have.
        found: u32,
    },
    /// For another session, chain or contract than it was sent to.
    #[error("the call names another {field}")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// Not signed with the session's key.
    #[error("the call is not signed with the session's key")]
    Signature,
    /// For another job than the next one, or another input than it was ordered with.
    #[error("job {found} cannot be ordered, {} can", .wanted.map_or("none".to_owned(), |job| job.to_string()))]
    OutOfTurn {
        /// Job named.
        found: JobId,
        /// The next one.
        wanted: Option<JobId>,
    },
    /// It closes soon, or does already.
    #[error("session {session} takes no further job")]
    Closing {
        /// Which.
        session: SessionId,
    },
    /// A voucher that is not taken.
    #[error(transparent)]
    Voucher(#[from] VoucherRefused),
    /// A voucher that does not pay for a head that was delivered.
    #[error("the voucher does not pay for the head of job {job}, whose receipt is {receipt}")]
    Unpaid {
        /// Which.
        job: JobId,
        /// What this worker signed.
        receipt: ReceiptDigest,
    },
    /// The head is not done.
    #[error("job {job} has no receipt yet")]
    NoReceipt {
        /// Which.
        job: JobId,
    },
    /// The voucher shown is not the last one.
    #[error("{found} jobs are over by this voucher, {wanted} by the last one")]
    NotLast {
        /// Jobs it names.
        found: u32,
        /// Jobs of the last one.
        wanted: u32,
    },
}

impl Sessions {
    pub(crate) fn all(&self) -> MutexGuard<'_, BTreeMap<SessionId, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a job of a session is a run of, if it is in hand.
    pub(crate) fn claim(&self, job: JobId) -> Option<Claim> {
        let all = self.all();
        let (_, held) = all.range(..=SessionId(job.0)).next_back()?;
        let SessionRecord { user, version, split, opened_at, deadline, .. } = held.record;
        let input = held.job.filter(|inside| inside.job == job)?.input;
        Some(Claim {
            user,
            version,
            split,
            input,
            at: opened_at,
            deadline,
            runs: true,
            in_session: true,
            custody: false,
        })
    }

    /// True for a job of a session that is in hand, whether it is over or not.
    pub(crate) fn holds(&self, job: JobId) -> bool {
        let all = self.all();
        let last = all.range(..=SessionId(job.0)).next_back();
        last.is_some_and(|(id, held)| held.record.index_of(*id, job).is_some())
    }
}

impl Desk {
    /// A promise to serve a session, good for [`OFFER_LIFE`].
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn offer_session(&self, call: &SessionCall) -> Result<SignedSessionOffer, ServeError> {
        if matches!(self.world.voice, Voice::Anchor(_)) {
            return Err(SessionRefused::Anchored.into());
        }
        if call.jobs == 0 || call.jobs > JOBS_OFFERED {
            return Err(SessionRefused::Jobs { found: call.jobs }.into());
        }
        if let Some(offer) = self.places().session_offer(call)? {
            return Ok(offer);
        }
        let head = self.heads.load((call.version, call.split)).await?;
        if head.version.status != VersionStatus::Active {
            return Err(ServeError::Inactive);
        }
        let now = self.world.client().head().await?.number;
        let left = self.record().expires_at.0.saturating_sub(now.0.saturating_add(OFFER_LIFE.0));
        // Half of what is left: under a session nobody renews a registration.
        let length = Blocks((left / 2).min(LONGEST_SESSION.0).min(call.length.0));
        if length < SHORTEST_SESSION {
            return Err(SessionRefused::TooShort { found: length.0 }.into());
        }
        let offer = SessionOffer {
            genesis: self.world.genesis(),
            contract: self.world.contract,
            worker: self.world.address(),
            user: call.user,
            version: call.version,
            split: call.split,
            key: call.key,
            jobs: call.jobs,
            length,
            expires_at: now.checked_add(OFFER_LIFE).unwrap_or(now),
        };
        let signed = SignedSessionOffer { offer, signature: self.world.keys.sign(&offer) };
        self.places().offered_session(signed)?;
        info!(version = call.version.0, split = call.split.0, jobs = call.jobs, length = length.0, "session offered");
        Ok(signed)
    }

    /// Takes the next job of a session in hand, and begins it.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn session_order(
        self: &Arc<Self>,
        session: SessionId,
        call: &SessionOrderCall,
    ) -> Result<(), ServeError> {
        self.take_session(session).await?;
        let order = &call.order;
        for (field, same) in [
            ("chain", order.genesis == self.world.genesis()),
            ("contract", order.contract == self.world.contract),
            ("session", order.session == session),
        ] {
            if !same {
                return Err(SessionRefused::Field { field }.into());
            }
        }
        let now = self.world.client().head().await?.number;
        let begun = self.change(session, |held| {
            if !call.signature.is_by(&held.record.key, order) {
                return Err(SessionRefused::Signature);
            }
            let wanted = held.count.next();
            let same = |job: &SessionJob| (job.job, job.input) == (order.job, order.input);
            match held.job {
                Some(job) if same(&job) => return Ok(false),
                Some(_) => return Err(SessionRefused::OutOfTurn { found: order.job, wanted: None }),
                None if wanted != Some(order.job) => {
                    return Err(SessionRefused::OutOfTurn { found: order.job, wanted });
                }
                None => {}
            }
            let closes = held.record.stage != SessionStage::Open || now >= closes_at(&held.record);
            if held.ended || closes {
                return Err(SessionRefused::Closing { session });
            }
            held.job = Some(SessionJob { job: order.job, input: order.input, receipt: None });
            Ok(true)
        })?;
        if begun {
            info!(session = session.0, job = order.job.0, "job of a session in hand");
            let (desk, job) = (self.clone(), order.job);
            tokio::spawn(async move {
                if let Err(error) = desk.answer(job, RoundIndex(0)).await {
                    debug!(job = job.0, error = &error as &dyn std::error::Error, "job cannot be begun");
                }
            });
        }
        Ok(())
    }

    /// Takes the voucher for the job in hand, and puts the job away.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn session_voucher(&self, session: SessionId, call: &VoucherCall) -> Result<(), ServeError> {
        self.take_session(session).await?;
        let over = self.change(session, |held| {
            let again = held.count.voucher() == Some(&call.signed);
            let inside = held.job.filter(|job| job.job == call.leaf.job);
            if let Some(SignedReceipt { receipt, .. }) = inside.and_then(|job| job.receipt).filter(|_| !again) {
                let receipt = ReceiptDigest(receipt.digest());
                if call.leaf.outcome.pays().0 == 0 || call.leaf.receipt != receipt {
                    return Err(SessionRefused::Unpaid { job: call.leaf.job, receipt });
                }
            }
            held.count.take(call)?;
            Ok(if again { None } else { held.job.take() })
        })?;
        if let Some(SessionJob { job, .. }) = over {
            self.figures.jobs.count("vouched");
            self.put_away(job);
        }
        Ok(())
    }

    /// The receipt of the job in hand.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn session_receipt(&self, job: JobId) -> Result<SignedReceipt, ServeError> {
        let all = self.sessions.all();
        let inside = all.values().filter_map(|held| held.job).find(|inside| inside.job == job);
        let inside = inside.ok_or(ServeError::NotHeld { job })?;
        inside.receipt.ok_or_else(|| SessionRefused::NoReceipt { job }.into())
    }

    /// Agrees to end a session with its last voucher, and takes no further job of it.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn end_session(&self, session: SessionId, call: &EndCall) -> Result<AgreedEnd, ServeError> {
        self.take_session(session).await?;
        let SignedVoucher { voucher, signature } = call.signed;
        let job = self.change(session, |held| {
            let wanted = held.count.present();
            if voucher.done != wanted.done {
                return Err(SessionRefused::NotLast { found: voucher.done, wanted: wanted.done });
            }
            if voucher != wanted {
                return Err(VoucherRefused::Count { found: voucher, wanted }.into());
            }
            if !signature.is_by(&held.record.key, &voucher) {
                return Err(SessionRefused::Signature);
            }
            // A head that was delivered is paid for before anything ends.
            if let Some(SignedReceipt { receipt, .. }) = held.job.and_then(|job| job.receipt) {
                return Err(SessionRefused::Unpaid { job: receipt.job, receipt: ReceiptDigest(receipt.digest()) });
            }
            held.ended = true;
            Ok(held.job.take())
        })?;
        if let Some(SessionJob { job, .. }) = job {
            self.put_away(job);
        }
        Ok(AgreedEnd { signed: call.signed, agreed: self.world.keys.sign(&SessionEnd { voucher }) })
    }

    /// That a job's receipt is signed and everything that it names in the store. True for a job of a session.
    pub(crate) fn session_receipted(&self, signed: SignedReceipt) -> Result<bool, StateError> {
        let job = signed.receipt.job;
        let mut all = self.sessions.all();
        let held = all.iter_mut().find(|(_, held)| held.job.is_some_and(|inside| inside.job == job));
        let Some((session, held)) = held else { return Ok(false) };
        if let Some(inside) = &mut held.job {
            inside.receipt = Some(signed);
        }
        self.journal.session(*session, held)?;
        Ok(true)
    }

    /// Changes a session and writes it down before anything is said about it.
    fn change<T>(
        &self,
        session: SessionId,
        change: impl FnOnce(&mut Held) -> Result<T, SessionRefused>,
    ) -> Result<T, ServeError> {
        let mut all = self.sessions.all();
        let held = all.get_mut(&session).ok_or(SessionRefused::NotHeld { session })?;
        let mut next = held.clone();
        let answer = change(&mut next)?;
        self.journal.session(session, &next)?;
        *held = next;
        Ok(answer)
    }

    /// Takes a session in hand, if the chain says that it is this worker's and open.
    pub(crate) async fn take_session(&self, session: SessionId) -> Result<(), ServeError> {
        if self.sessions.all().contains_key(&session) {
            return Ok(());
        }
        let found = self.world.client().read(ReadSession { session }).await?;
        let mine = found.filter(|record| record.worker == self.world.address() && record.stage == SessionStage::Open);
        let record = mine.ok_or(SessionRefused::NotHeld { session })?;
        let name = SessionName {
            genesis: self.world.genesis(),
            contract: self.world.contract,
            session,
            key: record.key,
            jobs: record.jobs,
        };
        let held = Held { record, count: SessionCount::new(name), job: None, ended: false };
        let mut all = self.sessions.all();
        // Somebody else may have been faster; what it counted must stay.
        if let Entry::Vacant(place) = all.entry(session) {
            self.journal.session(session, &held)?;
            place.insert(held);
            self.places().opened(session.first(), record.user, record.key);
            info!(session = session.0, jobs = record.jobs, deadline = record.deadline.0, "session in hand");
        }
        Ok(())
    }
}
