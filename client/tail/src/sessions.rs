//! Sessions: features that come and results that go without a transaction.
//!
//! The next job's features are taken only with the voucher for the job before. So what a user can owe is one tail fee.
//! Vouchers are shown to the chain as the worker shows its own: before the deadline, or against a lower one.

mod tend;

pub(crate) use tend::tend_sessions;

use crate::desk::{Desk, JobError, RESULT_LIMIT_BYTES, Run};
use codec::{Decode, Encode};
use encompute_chain::{Class, ReadError, SubmitError};
use encompute_protocol::call::{CloseSession, ReadModel, ReadSession, ReadVersion};
use encompute_protocol::session::calls::{AgreedEnd, SessionFeaturesCall, SessionResult, VoucherCall};
use encompute_protocol::session::count::{SessionCount, SessionName, VoucherRefused};
use encompute_protocol::session::due::closes_at;
use encompute_protocol::session::{SessionRecord, SessionStage, SignedVoucher};
use encompute_protocol::{BlobDigest, BlockNumber, JobId, Plancks, SessionId};
use encompute_store::{Blobs, StateError};
use std::collections::{BTreeMap, btree_map::Entry};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::info;

/// Where sessions lie in the journal.
const SESSIONS: &str = "sessions";
/// A session holds a count, not its jobs.
const LIMIT_BYTES: usize = 16 * 1024;
const VERSION: u8 = 1;

/// The job of a session whose features came.
#[derive(Clone, Copy, Debug, Encode, Decode)]
struct SessionJob {
    job: JobId,
    features: BlobDigest,
    /// The sealed result, once its user may have it.
    result: Option<BlobDigest>,
}

/// A session on one of this creator's models, as the journal has it.
#[derive(Clone, Debug, Encode, Decode)]
struct Held {
    record: SessionRecord,
    count: SessionCount,
    job: Option<SessionJob>,
}

/// Sessions that are not over.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<BTreeMap<SessionId, Held>>);

/// A call about a session that is not answered. Only public facts are named.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionRefused {
    #[error("session {session} is none of this creator's, or is over")]
    NotHeld { session: SessionId },
    #[error("the call names another {field}")]
    Field { field: &'static str },
    #[error("the call is not signed with the session's key")]
    Signature,
    #[error("features of job {found} came, {} is next", .wanted.map_or("none".to_owned(), |job| job.to_string()))]
    OutOfTurn { found: JobId, wanted: Option<JobId> },
    #[error("session {session} takes no further job")]
    Closing { session: SessionId },
    #[error(transparent)]
    Voucher(#[from] VoucherRefused),
    #[error("the voucher does not pay for the tail of job {job}, whose result is {result}")]
    Unpaid { job: JobId, result: BlobDigest },
    #[error("{found} jobs are over by this voucher, {wanted} by the last one")]
    NotLast { found: u32, wanted: u32 },
    #[error(transparent)]
    Job(#[from] JobError),
    #[error("the chain cannot be read")]
    Read(#[from] ReadError),
    #[error("the session is not closed yet")]
    Submit(#[from] SubmitError),
    #[error("the journal cannot be kept")]
    State(#[from] StateError),
}

/// From this block on no further job is answered: what is paid for the last one must still be shown before the deadline, that
/// of the session or of its closing.
fn serves_until(record: &SessionRecord) -> BlockNumber {
    let margin = match record.stage {
        SessionStage::Open => record.deadline.0.saturating_sub(closes_at(record).0),
        SessionStage::Closing | SessionStage::Closed => record.challenge.0,
    };
    BlockNumber(record.deadline.0.saturating_sub(margin / 2 + 1))
}

fn folder(session: SessionId) -> String {
    format!("{SESSIONS}/{session:020}")
}

fn result_folder(session: SessionId, job: JobId) -> String {
    format!("{}/{job:020}", folder(session))
}

impl Sessions {
    fn all(&self) -> MutexGuard<'_, BTreeMap<SessionId, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Runs the tail on the features of a session's next job; gives where its sealed result is.
    pub(crate) async fn session_features(
        &self,
        session: SessionId,
        call: &SessionFeaturesCall,
    ) -> Result<SessionResult, SessionRefused> {
        self.take_session(session).await?;
        let said = &call.features;
        for (field, same) in [
            ("chain", said.genesis == self.account.client().genesis()),
            ("contract", said.contract == self.contract),
            ("session", said.session == session),
        ] {
            if !same {
                return Err(SessionRefused::Field { field });
            }
        }
        let now = self.account.client().head().await?.number;
        let (record, done) = self.change(session, |held| {
            if !call.signature.is_by(&held.record.key, said) {
                return Err(SessionRefused::Signature);
            }
            let wanted = held.count.next();
            match held.job {
                // Whoever could have two results for one job would average them.
                Some(job) if job.job == said.job && job.features == said.features => {}
                Some(job) => return Err(SessionRefused::OutOfTurn { found: said.job, wanted: Some(job.job) }),
                None if wanted != Some(said.job) => {
                    return Err(SessionRefused::OutOfTurn { found: said.job, wanted });
                }
                None if now >= serves_until(&held.record) => return Err(SessionRefused::Closing { session }),
                None => held.job = Some(SessionJob { job: said.job, features: said.features, result: None }),
            }
            Ok((held.record, held.job.and_then(|job| job.result)))
        })?;
        let job = said.job;
        if let Some(result) = done {
            return Ok(SessionResult { job, result });
        }
        let result = self.session_result(session, &record, said.input, job, said.features).await?;
        self.change(session, |held| {
            if let Some(inside) = held.job.as_mut().filter(|inside| inside.job == job) {
                inside.result = Some(result);
            }
            Ok(())
        })?;
        self.figures.jobs.count("answered");
        info!(session = session.0, job = job.0, "result of a session's job");
        Ok(SessionResult { job, result })
    }

    async fn session_result(
        &self,
        session: SessionId,
        record: &SessionRecord,
        input: BlobDigest,
        job: JobId,
        features: BlobDigest,
    ) -> Result<BlobDigest, SessionRefused> {
        let _place = self.places.acquire().await.map_err(|_| JobError::Ended)?;
        let file = format!("{}/result", result_folder(session, job));
        let sealed = match self.state.read(&file, RESULT_LIMIT_BYTES)? {
            Some(sealed) => sealed,
            None => {
                let version = self.account.client().read(ReadVersion { version: record.version }).await?;
                let manifest = version.ok_or(SessionRefused::NotHeld { session })?.manifest;
                let material = self.vault.find(manifest).map_err(JobError::from)?;
                let material = material.ok_or(SessionRefused::NotHeld { session })?;
                let SessionRecord { split, policy, deadline, .. } = *record;
                let run = Run { job, split, policy, input, features, deadline };
                let sealed = self.result(&run, manifest, material).await?;
                // Sealing is random: a restart, and a call beside this one, name the same one.
                let _one_at_a_time = self.sessions.all();
                match self.state.read(&file, RESULT_LIMIT_BYTES)? {
                    Some(before) => before,
                    None => {
                        self.state.write(&file, &sealed)?;
                        sealed
                    }
                }
            }
        };
        Ok(self.gateway.put(sealed.into()).await.map_err(JobError::from)?)
    }

    /// Takes the voucher for the next job.
    pub(crate) async fn session_voucher(&self, session: SessionId, call: &VoucherCall) -> Result<(), SessionRefused> {
        self.take_session(session).await?;
        let over = self.change(session, |held| {
            let again = held.count.voucher() == Some(&call.signed);
            let delivered = held.job.filter(|inside| inside.job == call.leaf.job).and_then(|inside| inside.result);
            if let Some(result) = delivered.filter(|_| !again)
                && (call.leaf.outcome.pays().1 == 0 || call.leaf.result != result)
            {
                return Err(SessionRefused::Unpaid { job: call.leaf.job, result });
            }
            held.count.take(call)?;
            Ok(if again { None } else { held.job.take() })
        })?;
        if let Some(SessionJob { job, .. }) = over {
            self.state.forget(&result_folder(session, job))?;
        }
        Ok(())
    }

    /// Closes a session that its worker has agreed to end, with the last voucher there is.
    pub(crate) async fn end_session(&self, session: SessionId, call: &AgreedEnd) -> Result<(), SessionRefused> {
        self.take_session(session).await?;
        let SignedVoucher { voucher, signature } = call.signed;
        {
            let all = self.sessions.all();
            let held = all.get(&session).ok_or(SessionRefused::NotHeld { session })?;
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
            // A result that was delivered is paid for before anything ends.
            if let Some((job, result)) = held.job.and_then(|inside| Some((inside.job, inside.result?))) {
                return Err(SessionRefused::Unpaid { job, result });
            }
        }
        let call = CloseSession { signed: call.signed, agreed: Some(call.agreed) };
        self.account.submit(call, Plancks::ZERO).await?;
        Ok(())
    }

    /// Changes a session and writes it down before anything is said about it.
    fn change<T>(
        &self,
        session: SessionId,
        change: impl FnOnce(&mut Held) -> Result<T, SessionRefused>,
    ) -> Result<T, SessionRefused> {
        let mut all = self.sessions.all();
        let held = all.get_mut(&session).ok_or(SessionRefused::NotHeld { session })?;
        let mut next = held.clone();
        let answer = change(&mut next)?;
        self.write_session(session, &next)?;
        *held = next;
        Ok(answer)
    }

    fn write_session(&self, session: SessionId, held: &Held) -> Result<(), StateError> {
        self.state.write(&format!("{}/held", folder(session)), &(VERSION, held).encode())
    }

    /// Takes a session in hand, if the chain says that it is on a model of this creator, and open.
    async fn take_session(&self, session: SessionId) -> Result<(), SessionRefused> {
        if self.sessions.all().contains_key(&session) {
            return Ok(());
        }
        let client = self.account.client();
        let none = SessionRefused::NotHeld { session };
        let found = client.read(ReadSession { session }).await?;
        let Some(record) = found.filter(|record| record.stage == SessionStage::Open) else { return Err(none) };
        let model = client.read(ReadModel { model: record.model }).await?;
        if model.is_none_or(|(model, _)| model.creator != self.account.address()) {
            return Err(none);
        }
        let (genesis, contract) = (client.genesis(), self.contract);
        let name = SessionName { genesis, contract, session, key: record.key, jobs: record.jobs };
        let held = Held { record, count: SessionCount::new(name), job: None };
        let mut all = self.sessions.all();
        if let Entry::Vacant(place) = all.entry(session) {
            self.write_session(session, &held)?;
            place.insert(held);
            info!(session = session.0, jobs = record.jobs, "session in hand");
        }
        Ok(())
    }
}

/// True for a failure of the chain that may pass.
fn may_pass(error: &SubmitError) -> bool {
    matches!(error.class(), Class::Unreachable | Class::TimedOut)
}

/// What is shared with the watch.
type Shared = Arc<Desk>;
