//! The worker's desk: offers it made, jobs it holds, rounds it answers, receipts it commits.

use crate::compute::{Input, segment_of};
use crate::custody::{Custodian, CustodyRefused, Entrust};
use crate::evaluation::{EXPANDED_BYTES, EvaluationKeys, KeyRefused};
use crate::figures::Figures;
use crate::handover::HandoverRefused;
use crate::heads::{Heads, LoadError, LoadedHead};
use crate::journal::Journal;
use crate::offers::{NoPlace, OFFER_LIFE, Places, Reserved};
use crate::pool::{Pool, PoolError};
use crate::request::{OpenedRequest, RequestFacts, RequestRefused};
use crate::rounds::{JobRun, OrderRefused, OrderVerdict};
use crate::sessions::{SessionRefused, Sessions};
use crate::state::{self, opened};
use crate::world::World;
use encompute_chain::ReadError;
use encompute_fhe::{EncryptedTensor, MessageError, PreparedBlindingKey};
use encompute_head::{EvaluateError, SegmentState};
use encompute_protocol::receipt::{OfferCall, RoundAnswer, RoundCall, SignedOffer};
use encompute_protocol::wire::Message;
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, JobId, JobRequest, Offer, RoundIndex, VersionStatus, WorkerRecord,
};
use encompute_store::StateError;
use encompute_store::{Blobs, ByteLimit, GetError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;
use tokio::sync::OnceCell;
use tracing::{debug, info, warn};

/// Rounds that take longer than this are not computed for an offer that may never be taken up.
const EAGER_LIMIT_MICROS: u64 = 1_000_000;

/// Everything that is on the desk.
pub struct Desk {
    pub(crate) world: Arc<World>,
    pub(crate) heads: Heads,
    pub(crate) evaluation_keys: EvaluationKeys,
    pub(crate) pool: Pool,
    pub(crate) journal: Journal,
    pub(crate) figures: Figures,
    pub(crate) sessions: Sessions,
    pub(crate) custodian: Option<Arc<dyn Custodian>>,
    places: Mutex<Places>,
    record: RwLock<WorkerRecord>,
    prepared: Mutex<BTreeMap<BlobDigest, (BlockNumber, Arc<Prepared>)>>,
    pub(crate) slots: Mutex<BTreeMap<JobId, Arc<Slot>>>,
}

/// A request that was opened, and the head that runs it.
pub(crate) struct Prepared {
    pub(crate) request: OpenedRequest,
    pub(crate) head: Arc<LoadedHead>,
    pub(crate) blinding: PreparedBlindingKey,
    pub(crate) first: OnceCell<Vec<u8>>,
}

/// A place for one job; opened by whoever needs it first, worked on by one at a time.
#[derive(Default)]
pub(crate) struct Slot(OnceCell<tokio::sync::Mutex<Held>>);

/// A job in hand.
pub(crate) struct Held {
    pub(crate) run: JobRun,
    /// Since which block without a break: its claim, or the restart that found it.
    pub(crate) since: BlockNumber,
    prepared: Option<Arc<Prepared>>,
}

/// A call that was not answered. Only public facts are named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Not a job of this worker, or not any more.
    #[error("job {job} is not in this worker's hands")]
    NotHeld {
        /// Which.
        job: JobId,
    },
    /// A round that has not been answered.
    #[error("round {round} of job {job} has not been answered")]
    NotAnswered {
        /// Which job.
        job: JobId,
        /// Which round.
        round: RoundIndex,
    },
    /// An order that does not count.
    #[error(transparent)]
    Order(#[from] OrderRefused),
    /// A request blob that is not what the job says.
    #[error(transparent)]
    Request(#[from] RequestRefused),
    /// Ciphertexts that are none.
    #[error("tensor is malformed: {0}")]
    Tensor(MessageError),
    /// Ciphertexts that do not fit the round.
    #[error("tensor does not fit the round: {0}")]
    Evaluate(#[from] EvaluateError),
    /// No place for another job.
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    /// Too much to compute.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// An evaluation key that is missing or none.
    #[error(transparent)]
    EvaluationKey(#[from] KeyRefused),
    /// The head cannot be run.
    #[error("head cannot be run here")]
    Head(#[from] LoadError),
    /// A head that takes no input; the compiler refuses such heads.
    #[error("the head's first round has no layout")]
    NoLayout,
    /// The version is not for sale.
    #[error("version is not active")]
    Inactive,
    /// The request blob cannot be fetched.
    #[error("request blob cannot be fetched")]
    Fetch(#[from] GetError),
    /// The chain cannot be read.
    #[error("chain cannot be read")]
    Read(#[from] ReadError),
    /// What lies between two segments cannot be sealed, or what was kept of it does not open.
    #[error("state between two segments")]
    State(#[from] state::SegmentStateError),
    /// Another worker's answers that are not gone on from.
    #[error(transparent)]
    Handover(#[from] HandoverRefused),
    /// A job's key that a worker without a custodian was sent.
    #[error("this worker takes no keys in custody")]
    NoCustody,
    /// A job's key that is not taken.
    #[error(transparent)]
    Custody(#[from] CustodyRefused),
    /// A call about a session that is not answered.
    #[error(transparent)]
    Session(#[from] SessionRefused),
    /// The journal cannot be written; nothing was sent that is not in it.
    #[error("journal cannot be kept")]
    Journal(#[from] StateError),
}

/// A place held for an offer; dropping it gives the place back unless the offer is out.
struct HeldPlace<'a> {
    desk: &'a Desk,
    call: &'a OfferCall,
}

impl Drop for HeldPlace<'_> {
    fn drop(&mut self) {
        self.desk.places().release(self.call);
    }
}

/// What a task of its own gives: whoever asked may hang up while a chain is computed, which is then not lost.
async fn finished(task: tokio::task::JoinHandle<Result<Vec<u8>, ServeError>>) -> Result<Vec<u8>, ServeError> {
    task.await.unwrap_or(Err(ServeError::Pool(PoolError::Ended)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// An empty desk of a registered worker.
    pub fn new(world: Arc<World>, heads: Heads, pool: Pool, journal: Journal, record: WorkerRecord) -> Self {
        Self {
            evaluation_keys: EvaluationKeys::new(world.clone(), pool.clone(), EXPANDED_BYTES),
            world,
            heads,
            pool,
            journal,
            figures: Figures::default(),
            sessions: Sessions::default(),
            custodian: None,
            places: Mutex::new(Places::new(record.capacity)),
            record: RwLock::new(record),
            prepared: Mutex::default(),
            slots: Mutex::default(),
        }
    }

    /// The registration that receipts name.
    pub fn record(&self) -> WorkerRecord {
        *self.record.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the registration, after a renewal.
    pub fn set_record(&self, record: WorkerRecord) {
        *self.record.write().unwrap_or_else(PoisonError::into_inner) = record;
    }

    /// Places taken and free.
    pub fn places(&self) -> MutexGuard<'_, Places> {
        lock(&self.places)
    }

    /// Moves the clock to a block: offers and what was prepared for them run out.
    pub fn advance(&self, now: BlockNumber) {
        self.places().advance(now);
        self.custodian.iter().for_each(|custodian| custodian.advance(now));
        lock(&self.prepared).retain(|_, (until, _)| *until > now);
    }

    /// A promise to run one input, good for [`OFFER_LIFE`]; the first round may be computed already.
    ///
    /// # Errors
    /// [`ServeError`]; no place is held then.
    pub async fn offer(self: &Arc<Self>, call: &OfferCall) -> Result<SignedOffer, ServeError> {
        self.offer_with(call, None).await
    }

    /// An offer, of custody where the custodian takes the key that came with the call.
    pub(crate) async fn offer_with(
        self: &Arc<Self>,
        call: &OfferCall,
        entrust: Option<&Entrust<'_>>,
    ) -> Result<SignedOffer, ServeError> {
        match self.places().reserve(call)? {
            Reserved::Repeat(offer) if offer.offer.custody == entrust.is_some() => return Ok(offer),
            Reserved::Repeat(_) | Reserved::New => {}
        }
        // Whoever asked may hang up, and this with it: the place is given back all the same.
        let place = HeldPlace { desk: self, call };
        let made = self.make_offer(call, entrust).await;
        if let Ok(offer) = &made {
            self.places().offered(call, *offer);
        }
        drop(place);
        made
    }

    async fn make_offer(
        self: &Arc<Self>,
        call: &OfferCall,
        entrust: Option<&Entrust<'_>>,
    ) -> Result<SignedOffer, ServeError> {
        let prepared = self.prepare(call.user, (call.version, call.split), call.input).await?;
        if prepared.head.version.status != VersionStatus::Active {
            return Err(ServeError::Inactive);
        }
        let now = self.world.client().head().await?.number;
        let offer = Offer {
            genesis: self.world.genesis(),
            contract: self.world.contract,
            worker: self.world.address(),
            user: call.user,
            version: call.version,
            split: call.split,
            input: call.input,
            expires_at: now.checked_add(OFFER_LIFE).unwrap_or(now),
            custody: entrust.is_some(),
        };
        if let Some(entrust) = entrust {
            entrust(&prepared, offer.expires_at)?;
        }
        lock(&self.prepared).insert(call.input, (offer.expires_at, prepared.clone()));
        if prepared.head.compiled.cost().estimated_microseconds <= EAGER_LIMIT_MICROS && self.pool.is_idle() {
            let desk = self.clone();
            tokio::spawn(async move {
                if let Err(error) = desk.first_response(&prepared).await {
                    debug!(%error, "first round not computed ahead");
                }
            });
        }
        info!(version = call.version.0, split = call.split.0, until = offer.expires_at.0, "offered");
        Ok(SignedOffer { offer, signature: self.world.keys.sign(&offer) })
    }

    /// Opens a request and loads its head.
    pub(crate) async fn prepare(
        &self,
        user: Address,
        name: crate::heads::HeadName,
        input: BlobDigest,
    ) -> Result<Arc<Prepared>, ServeError> {
        if let Some((_, prepared)) = lock(&self.prepared).get(&input) {
            return Ok(prepared.clone());
        }
        let head = self.heads.load(name).await?;
        let plan = head.compiled.plan();
        let layout = plan.rounds()[0].input_layout(plan.parameter_set());
        let layout = layout.map_err(|_| ServeError::NoLayout)?;
        let facts = RequestFacts {
            genesis: self.world.genesis(),
            contract: self.world.contract,
            user,
            manifest: head.version.manifest,
            split: name.1,
            input,
            parameter_set: plan.parameter_set(),
            ciphertexts: layout.ciphertext_count(),
            upload_bits: layout.upload_bits(),
            bootstraps: plan.mode().bootstrap_set().is_some(),
        };
        let began = Instant::now();
        let bytes = self.world.gateway.get(input, ByteLimit(JobRequest::LIMIT_BYTES as u64)).await?;
        self.figures.stages.ended("fetch", began);
        let began = Instant::now();
        let work = {
            let head = head.clone();
            move || {
                let request = OpenedRequest::open(&bytes, &facts)?;
                let blinding = head.compiled.prepare_key(&request.blinding)?;
                Ok::<_, ServeError>((request, blinding))
            }
        };
        let (request, blinding) = self.pool.run(work).await??;
        self.figures.stages.ended("open", began);
        // A key that is missing or malformed would cost the worker its stake once the job is claimed.
        self.evaluation_key(&head, &request).await?;
        Ok(Arc::new(Prepared { request, head, blinding, first: OnceCell::new() }))
    }

    /// The job, taken in hand if the chain says that it is this worker's.
    pub(crate) async fn hold(self: &Arc<Self>, job: JobId) -> Result<Arc<Slot>, ServeError> {
        let slot = lock(&self.slots).entry(job).or_default().clone();
        let opened = slot.0.get_or_try_init(|| self.open(job)).await;
        if let Err(error) = opened.map(|_| ()) {
            let mut slots = lock(&self.slots);
            // Whoever else waits for the slot may still open it: were another made meanwhile, a round could be
            // answered twice. Of two that are left here, the map's is one.
            if Arc::strong_count(&slot) == 2 {
                slots.remove(&job);
            }
            return Err(error);
        }
        Ok(slot)
    }

    async fn open(&self, job: JobId) -> Result<tokio::sync::Mutex<Held>, ServeError> {
        let claim = self.claim_of(job).await?;
        // A session holds the place of all its jobs.
        let takes_place = claim.runs && !claim.in_session;
        if let Some(run) = self.journal.resume(job)?.filter(|run| run.facts().claimed_at == claim.at) {
            if takes_place {
                self.places().claimed(job, claim.input);
            }
            let since = self.world.client().head().await?.number;
            return Ok(tokio::sync::Mutex::new(Held { run, since, prepared: None }));
        }
        if !claim.runs {
            return Err(ServeError::NotHeld { job });
        }
        let prepared = self.prepare(claim.user, (claim.version, claim.split), claim.input).await?;
        let facts = self.facts_of(job, &claim, &prepared);
        self.journal.begin(&facts)?;
        if takes_place {
            self.places().claimed(job, claim.input);
        }
        let (version, rounds, deadline) = (facts.version.0, facts.rounds, facts.deadline.0);
        info!(job = job.0, version, rounds, deadline, "job in hand");
        let since = facts.claimed_at;
        Ok(tokio::sync::Mutex::new(Held { run: JobRun::new(facts), since, prepared: Some(prepared) }))
    }

    /// The answer of a round: the first is computed if need be, later ones must have been ordered.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn answer(self: &Arc<Self>, job: JobId, round: RoundIndex) -> Result<Vec<u8>, ServeError> {
        let desk = self.clone();
        finished(tokio::spawn(async move { desk.answer_now(job, round).await })).await
    }

    async fn answer_now(self: &Arc<Self>, job: JobId, round: RoundIndex) -> Result<Vec<u8>, ServeError> {
        let slot = self.hold(job).await?;
        let mut held = slot.held(job)?.lock().await;
        if round.0 == 0 && held.run.answered() == 0 {
            return self.answer_first(&mut held).await;
        }
        self.journal.answered(job, round)?.ok_or(ServeError::NotAnswered { job, round })
    }

    async fn answer_first(self: &Arc<Self>, held: &mut Held) -> Result<Vec<u8>, ServeError> {
        let prepared = self.prepared_of(held).await?;
        let response = self.first_response(&prepared).await?;
        self.record_answer(held, prepared.request.tensor_digest, response, None)
    }

    /// Runs an ordered round, or gives the answer it had.
    ///
    /// # Errors
    /// [`ServeError`]; the round counts as answered only once its answer is in the journal.
    pub async fn order(
        self: &Arc<Self>,
        job: JobId,
        round: RoundIndex,
        call: RoundCall,
    ) -> Result<Vec<u8>, ServeError> {
        let desk = self.clone();
        finished(tokio::spawn(async move { desk.order_now(job, round, call).await })).await
    }

    async fn order_now(
        self: &Arc<Self>,
        job: JobId,
        round: RoundIndex,
        call: RoundCall,
    ) -> Result<Vec<u8>, ServeError> {
        let slot = self.hold(job).await?;
        let mut held = slot.held(job)?.lock().await;
        let tensor = (!call.request.is_empty()).then(|| BlobDigest::of(&call.request));
        match held.run.judge(round, &call.order, &call.signature, tensor)? {
            OrderVerdict::Repeat => {
                return self.journal.answered(job, round)?.ok_or(ServeError::NotAnswered { job, round });
            }
            OrderVerdict::Compute => {}
        }
        let prepared = self.prepared_of(&mut held).await?;
        let (input, digest) = match (segment_of(&prepared, round)?.is_first(), tensor) {
            (true, Some(digest)) => {
                (Input::Tensor(EncryptedTensor::from_bytes(&call.request).map_err(ServeError::Tensor)?), digest)
            }
            // What was judged: the order names what the segment before gave.
            (false, None) => (Input::State(self.state_before(&prepared, job, round)?), call.order.request),
            (takes_tensor, _) => return Err(OrderRefused::Input { round, takes_tensor }.into()),
        };
        let response = self.evaluate(prepared, round, input, digest).await?;
        self.record_answer(&mut held, digest, response, tensor.map(|_| call.request.as_slice()))
    }

    /// What the segment before gave, from the journal.
    fn state_before(&self, prepared: &Prepared, job: JobId, round: RoundIndex) -> Result<SegmentState, ServeError> {
        let before = RoundIndex(round.0.saturating_sub(1));
        let answer = self.journal.answered(job, before)?.and_then(|bytes| RoundAnswer::from_wire(&bytes).ok());
        let answer = answer.ok_or(ServeError::NotAnswered { job, round: before })?;
        Ok(opened(&prepared.head, &answer.response)?)
    }

    /// Signs, journals and only then gives out an answer; the last one closes the transcript.
    pub(crate) fn record_answer(
        self: &Arc<Self>,
        held: &mut Held,
        request: BlobDigest,
        response: Vec<u8>,
        tensor: Option<&[u8]>,
    ) -> Result<Vec<u8>, ServeError> {
        let receipt = held.run.next_receipt(request, BlobDigest::of(&response));
        let signature = self.world.keys.sign(&receipt);
        let answer = RoundAnswer { receipt, signature, response };
        self.journal.answer(&answer, tensor)?;
        let job = receipt.job;
        held.run.record(receipt, signature).ok_or(ServeError::NotHeld { job })?;
        debug!(job = job.0, round = receipt.round.0, bytes = answer.response.len(), "round answered");
        if held.run.is_complete() {
            self.commit_soon(job);
        }
        let plan = held.prepared.as_ref().map(|prepared| prepared.head.compiled.plan());
        if plan.is_some_and(|plan| plan.state_bytes(receipt.round).is_some()) {
            self.put_state_soon(job, receipt.round, answer.response.clone());
        }
        Ok(answer.to_wire())
    }

    /// What the job runs on; after a restart it is fetched and opened again.
    pub(crate) async fn prepared_of(&self, held: &mut Held) -> Result<Arc<Prepared>, ServeError> {
        if let Some(prepared) = &held.prepared {
            return Ok(prepared.clone());
        }
        let facts = held.run.facts();
        let user = self.claim_of(facts.job).await?.user;
        let prepared = self.prepare(user, (facts.version, facts.split), facts.input).await?;
        held.prepared = Some(prepared.clone());
        Ok(prepared)
    }

    /// Frees the place of a job whose head is committed; its answers can still be had.
    pub(crate) fn committed(&self, job: JobId) {
        if !self.sessions.holds(job) {
            self.places().done(job);
        }
    }

    /// Puts a job away that ended or went to another worker.
    pub fn put_away(&self, job: JobId) {
        self.committed(job);
        lock(&self.slots).remove(&job);
        self.custodian.iter().for_each(|custodian| custodian.put_away(job));
        if let Err(error) = self.journal.forget(job) {
            warn!(job = job.0, error = &error as &dyn std::error::Error, "journal of an ended job stays");
        }
    }

    /// Jobs on the desk.
    pub(crate) fn held_jobs(&self) -> Vec<(JobId, Arc<Slot>)> {
        lock(&self.slots).iter().map(|(job, slot)| (*job, slot.clone())).collect()
    }
}

impl Slot {
    /// The job, once it is open.
    pub(crate) fn held(&self, job: JobId) -> Result<&tokio::sync::Mutex<Held>, ServeError> {
        self.0.get().ok_or(ServeError::NotHeld { job })
    }
}
