//! Following the chain: jobs to claim, jobs that moved on, a registration that runs out.

use crate::desk::{Desk, ServeError, Slot};
use crate::offers::OFFER_LIFE;
use crate::registration::{Wish, is_due};
use crate::rollup::Subject;
use crate::voice::Voice;
use encompute_chain::{BlockEvents, Class, ReadError};
use encompute_protocol::call::{ClaimJob, ReadCounts, ReadDraw, ReadJob, ReadParams, ReadSplit, ReadVersion};
use encompute_protocol::event::{Event, JobStageChanged};
use encompute_protocol::{BlockNumber, JobId, Params, Plancks, SplitIndex, Stage, VersionId, VersionStatus};
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::{debug, error, info, warn};

/// Most versions, the newest, whose heads are loaded before anybody asks.
const PRELOADED_VERSIONS: u32 = 16;
/// How long to wait before a registration that could not be renewed is tried again.
const RENEW_RETRY: Duration = Duration::from_secs(15);
/// How long to wait after the chain could not be read.
pub(crate) const READ_RETRY: Duration = Duration::from_secs(1);
/// How long to wait before an open job that could not be claimed is tried again, and how often it is tried. Blocks in
/// which it is another's turn do not count.
const CLAIM_RETRY: Duration = Duration::from_secs(1);
const CLAIM_TRIES: u32 = 20;
/// Of so many jobs of the whole market, the newest, a start looks for disputes and audits.
const LOOKED_BACK: u64 = 64;
/// An anchor's queue is looked at in every block whose number is a multiple of this.
const QUEUE_EVERY: u32 = 8;
/// The cursor is written at least this often, in blocks.
const CURSOR_EVERY: u32 = 32;

/// Follows the chain for a desk.
pub struct Watch {
    desk: Arc<Desk>,
    wish: Wish,
    params: Params,
    renewed_at: Option<Instant>,
    considered: Considered,
    attended: Attended,
    audited: Audited,
    seen: tokio::sync::watch::Sender<BlockNumber>,
}

/// What came of an attempt to claim a job.
enum Attempt {
    /// It is this worker's.
    Claimed,
    /// It is another's turn, or nobody's yet: nothing was sent.
    Waits,
    /// It is not open, or was claimed by another just now.
    Gone,
}

/// Disputes that this worker has or may have a part in, each with whether it is to be looked at once more.
type Attended = Arc<Mutex<BTreeMap<JobId, bool>>>;
/// Jobs that are looked at for an audit.
type Audited = Arc<Mutex<BTreeSet<JobId>>>;

/// Open jobs that are being considered, each with the block that said it is open.
type Considered = Arc<Mutex<BTreeMap<JobId, BlockNumber>>>;

impl Watch {
    /// A watch over a desk whose worker is registered.
    pub fn new(desk: Arc<Desk>, wish: Wish, params: Params) -> Self {
        let (considered, attended, audited) = (Considered::default(), Attended::default(), Audited::default());
        let (seen, _) = tokio::sync::watch::channel(BlockNumber(0));
        Self { desk, wish, params, renewed_at: None, considered, attended, audited, seen }
    }

    /// Takes up what a restart interrupted, then follows the chain for ever.
    pub async fn run(mut self) {
        let from = self.start().await;
        let mut follow = self.desk.world.client().follow(from);
        let mut written = from;
        loop {
            let block = match follow.next().await {
                Ok(block) => block,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "the chain cannot be followed at the moment");
                    tokio::time::sleep(READ_RETRY).await;
                    continue;
                }
            };
            let number = block.block.number;
            let noted = self.see(&block);
            self.seen.send_replace(number);
            self.desk.advance(number);
            self.desk.commit_overdue(number);
            self.desk.begin_overdue(number);
            self.desk.tend_sessions(number);
            if number.0.is_multiple_of(QUEUE_EVERY) {
                self.take_from_queue().await;
            }
            self.renew_if_due(number).await;
            if noted || number.0 >= written.0 + CURSOR_EVERY {
                written = number;
                if let Err(error) = self.desk.journal.seen(self.behind_us(number)) {
                    warn!(error = &error as &dyn std::error::Error, "last block seen is not written down");
                }
            }
        }
    }

    /// The last block of which nothing is left to do, up to `now`: after a restart, jobs that were being
    /// considered are to be seen again.
    fn behind_us(&self, now: BlockNumber) -> BlockNumber {
        let oldest = lock(&self.considered).values().min().copied();
        oldest.map_or(now, |open| now.min(BlockNumber(open.0.saturating_sub(1))))
    }

    /// The first block to read: after the last one seen, but never further back than any job can
    /// still be claimed or committed.
    async fn start(&self) -> BlockNumber {
        self.desk.sessions_again().await;
        for job in self.desk.journal.jobs().unwrap_or_default() {
            self.look_at(job);
        }
        for job in self.desk.journal.evidences().unwrap_or_default() {
            self.desk.put_later(job);
        }
        self.preload();
        self.attend_again().await;
        self.take_from_queue().await;
        let client = self.desk.world.client();
        let now = until_read(move || client.head()).await.number;
        let windows = self.params.windows;
        let reach = BlockNumber(now.0.saturating_sub(windows.claim.0 + windows.head.0));
        let seen = self.desk.journal.last_seen().ok().flatten();
        if let Some(seen) = seen {
            // Sessions that opened while this worker was away with offers that were out, before what is read again.
            let last = BlockNumber(reach.0.min(seen.0 + CURSOR_EVERY + OFFER_LIFE.0));
            match client.events_in(BlockNumber(seen.0 + 1)..=last).await {
                Ok(blocks) => self.desk.hold_sessions(&blocks),
                // A node may have forgotten them: nothing waits for that.
                Err(error) => warn!(error = &error as &dyn std::error::Error, "blocks that were missed stay unread"),
            }
        }
        seen.map_or(reach, |seen| BlockNumber(seen.0 + 1).max(reach)).min(now)
    }

    /// Acts on a block's events; true if any concerned this worker.
    fn see(&self, block: &BlockEvents) -> bool {
        let (mut moved, mut noted) = (BTreeMap::new(), false);
        for emitted in &block.events {
            match &emitted.event {
                Event::JobStageChanged(change) => {
                    moved.insert(change.job, change.clone());
                }
                Event::VersionStatusChanged(change) => {
                    self.desk.heads.forget(change.version);
                    if change.status == VersionStatus::Active {
                        self.preload_version(change.version);
                    }
                }
                Event::MeasurementRevoked(revoked) if revoked.measurement == self.desk.record().measurement => {
                    error!("this worker's measurement was revoked: no new jobs until other code is registered");
                    self.desk.places().set_closed(true);
                }
                Event::PlatformRevoked(revoked) if revoked.platform == self.desk.record().platform => {
                    error!("this machine's platform was revoked: no new jobs until it is listed and registered anew");
                    self.desk.places().set_closed(true);
                }
                Event::SessionOpened(opened) if opened.worker == self.desk.world.address() => {
                    self.desk.hold_session(opened.session);
                    noted = true;
                }
                Event::SessionClosing(_) | Event::SessionClosed(_) => noted |= self.desk.session_said(&emitted.event),
                Event::ParamsChanged(_) => debug!("parameters changed; they are read again at the next renewal"),
                _ => {}
            }
        }
        for (job, change) in moved {
            noted |= self.moved(block.block.number, job, &change);
        }
        noted
    }

    /// Only a job's last change in a block counts: the state it left is gone.
    fn moved(&self, block: BlockNumber, job: JobId, change: &JobStageChanged) -> bool {
        let mine = change.worker == Some(self.desk.world.address());
        match change.to {
            Stage::Requested => self.consider(block, job),
            Stage::Claimed if mine => self.look_at(job),
            Stage::HeadCommitted if mine => self.desk.committed(job),
            Stage::HeadCommitted => self.audit(job),
            Stage::Disputed(_) => self.attend(job),
            Stage::Settled | Stage::Failed | Stage::Cancelled if mine => self.desk.put_away(job),
            _ => return false,
        }
        true
    }

    /// Takes a job in hand that the chain says is ours: computes the first round before it is asked
    /// for, and finishes what an earlier start began.
    fn look_at(&self, job: JobId) {
        let desk = self.desk.clone();
        tokio::spawn(async move {
            match desk.resume(job).await {
                Ok(()) => {}
                Err(ServeError::NotHeld { .. }) => desk.put_away(job),
                Err(error) => {
                    warn!(job = job.0, error = &error as &dyn std::error::Error, "job cannot be run at the moment")
                }
            }
        });
    }

    /// Does this worker's part in a dispute, if it has one.
    fn attend(&self, job: JobId) {
        let (desk, attended) = (self.desk.clone(), self.attended.clone());
        {
            let mut attended = lock(&attended);
            // Under the lock: the dispute before this one may be forgotten at the same time.
            if let Err(error) = desk.journal.attend(job) {
                warn!(job = job.0, error = &error as &dyn std::error::Error, "a dispute is not written down");
            }
            // Whether it is to be looked at once more: something happened while it was attended.
            if attended.insert(job, true).is_some() {
                return;
            }
        }
        tokio::spawn(async move {
            while lock(&attended).insert(job, false) == Some(true) {
                desk.clone().attend(job).await;
                let mut attended = lock(&attended);
                if attended.get(&job) == Some(&false) {
                    attended.remove(&job);
                    if let Err(error) = desk.journal.forget_dispute(job) {
                        warn!(job = job.0, error = &error as &dyn std::error::Error, "a dispute that is over stays");
                    }
                    break;
                }
            }
        });
    }

    /// Has another's job audited, if it was drawn. Whose own it is has no wish for that.
    fn audit(&self, job: JobId) {
        let (desk, audited) = (self.desk.clone(), self.audited.clone());
        if !lock(&audited).insert(job) {
            return;
        }
        tokio::spawn(async move {
            desk.audit(job).await;
            lock(&audited).remove(&job);
        });
    }

    /// Takes up disputes and audits that a restart interrupted: of jobs and disputes that the journal knows, however old,
    /// and of the newest jobs of the market.
    async fn attend_again(&self) {
        let journal = &self.desk.journal;
        // Whoever attends asks the chain whether there is a dispute.
        for job in [journal.jobs(), journal.disputes()].into_iter().flat_map(Result::unwrap_or_default) {
            self.attend(job);
        }
        let client = self.desk.world.client();
        let counts = until_read(move || client.read(ReadCounts {})).await;
        let oldest = counts.jobs.saturating_sub(LOOKED_BACK) + 1;
        for job in (oldest..=counts.jobs).map(JobId) {
            let found = until_read(move || client.read(ReadJob { job })).await;
            let Some((_, progress)) = found else { continue };
            if matches!(progress.stage, Stage::Disputed(_)) {
                self.attend(job);
            }
            if progress.worker != Some(self.desk.world.address()) {
                self.audit(job);
            }
        }
    }

    /// Claims an open job as soon as it is this worker's turn and it can be run here, for a while.
    fn consider(&self, block: BlockNumber, job: JobId) {
        let (desk, considered, mut seen) = (self.desk.clone(), self.considered.clone(), self.seen.subscribe());
        match lock(&considered).entry(job) {
            // It is being tried already.
            Entry::Occupied(_) => return,
            Entry::Vacant(place) => place.insert(block),
        };
        tokio::spawn(async move {
            // A store that is away or a desk that is full now may be back or free before the window is over.
            let mut tries = 0;
            while tries < CLAIM_TRIES {
                match desk.claim(job).await {
                    Ok(Attempt::Claimed) => {
                        info!(job = job.0, "claimed");
                        break;
                    }
                    Ok(Attempt::Gone) => break,
                    // Until the next block, or in case the chain cannot be followed.
                    Ok(Attempt::Waits) => {
                        let _ = tokio::time::timeout(CLAIM_RETRY, seen.changed()).await;
                        continue;
                    }
                    Err(error) => debug!(job = job.0, error = &*error, "not claimed"),
                }
                tries += 1;
                tokio::time::sleep(CLAIM_RETRY).await;
            }
            lock(&considered).remove(&job);
        });
    }

    /// Considers what somebody has put on the anchor's queue: jobs that this worker missed, or gave up.
    async fn take_from_queue(&self) {
        let Voice::Anchor(rollup) = &self.desk.world.voice else { return };
        let (Ok(jobs), Ok(head)) = (rollup.queued().await, rollup.client().head().await) else { return };
        jobs.into_iter().for_each(|job| self.consider(head.number, job));
    }

    fn preload(&self) {
        let desk = self.desk.clone();
        let watch = Self::new(desk.clone(), self.wish.clone(), self.params);
        tokio::spawn(async move {
            let Ok(counts) = desk.world.client().read(ReadCounts {}).await else { return };
            let oldest = counts.versions.saturating_sub(PRELOADED_VERSIONS) + 1;
            (oldest..=counts.versions).rev().for_each(|version| watch.preload_version(VersionId(version)));
        });
    }

    /// Loads a version's heads before anybody asks; one that cannot be had now is tried when asked for.
    fn preload_version(&self, version: VersionId) {
        let desk = self.desk.clone();
        tokio::spawn(async move {
            let client = desk.world.client();
            let Ok(Some(record)) = client.read(ReadVersion { version }).await else { return };
            if record.status != VersionStatus::Active {
                return;
            }
            for split in (0..record.splits).map(SplitIndex) {
                let Ok(Some(_)) = client.read(ReadSplit { version, split }).await else { continue };
                if let Err(error) = desk.heads.load((version, split)).await {
                    warn!(
                        version = version.0,
                        split = split.0,
                        error = &error as &dyn std::error::Error,
                        "head cannot be run here"
                    );
                }
            }
        });
    }

    /// Renews in the last third of the registration's life: first no new jobs, then, once none is
    /// in hand, a fresh quote. Facts of a receipt must not move under a running job.
    async fn renew_if_due(&mut self, now: BlockNumber) {
        let record = self.desk.record();
        if !is_due(&record, &self.params, now) {
            return;
        }
        let busy = {
            let mut places = self.desk.places();
            places.set_closed(true);
            places.jobs() + places.offers() > 0
        };
        if busy || self.renewed_at.is_some_and(|at| at.elapsed() < RENEW_RETRY) {
            return;
        }
        self.renewed_at = Some(Instant::now());
        match self.desk.world.ensure_registered(&self.wish).await {
            Ok(record) => {
                self.desk.set_record(record);
                self.desk.places().set_closed(false);
                if let Ok(params) = self.desk.world.client().read(ReadParams {}).await {
                    self.params = params;
                }
                info!(until = record.expires_at.0, "registration renewed");
            }
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "registration not renewed; no new jobs until it is")
            }
        }
    }
}

/// What a read of the chain gives, tried again until it gives something.
async fn until_read<T, F: Future<Output = Result<T, ReadError>>>(read: impl Fn() -> F) -> T {
    loop {
        match read().await {
            Ok(found) => return found,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "the chain cannot be read at the moment");
                tokio::time::sleep(READ_RETRY).await;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// Goes on with a job of ours: the first round, or the receipt that was to be submitted.
    async fn resume(self: &Arc<Self>, job: JobId) -> Result<(), ServeError> {
        let slot = self.hold(job).await?;
        if let Some(custodian) = self.custodian() {
            let facts = slot.held(job)?.lock().await.run.facts().clone();
            if facts.custody {
                custodian.act(job, facts.input);
            }
        }
        let (answered, finished) = {
            let held = slot.held(job)?.lock().await;
            (held.run.answered(), held.run.is_complete() || held.run.is_closed())
        };
        if answered == 0 {
            if !self.may_be_handed_over(&slot, job).await? {
                self.answer(job, encompute_protocol::RoundIndex(0)).await?;
            }
        } else if finished {
            self.commit_soon(job);
        }
        Ok(())
    }

    /// True for a job that another worker may have begun: its user has what that one answered in segments, and is given
    /// some time to hand it over before it is computed again.
    async fn may_be_handed_over(&self, slot: &Slot, job: JobId) -> Result<bool, ServeError> {
        let found = self.world.client().read(ReadJob { job }).await?;
        if found.is_none_or(|(_, progress)| progress.timeouts == 0) {
            return Ok(false);
        }
        let prepared = self.prepared_of(&mut *slot.held(job)?.lock().await).await?;
        Ok(prepared.head.compiled.plan().state_bytes(encompute_protocol::RoundIndex(0)).is_some())
    }

    /// Begins jobs that nobody has handed over, or could not be begun, within an eighth of their window.
    pub(crate) fn begin_overdue(self: &Arc<Self>, now: BlockNumber) {
        for (job, slot) in self.held_jobs() {
            let Ok(Ok(held)) = slot.held(job).map(|held| held.try_lock()) else { continue };
            let facts = held.run.facts();
            let waited = now.0.saturating_sub(facts.claimed_at.0);
            let due = waited > facts.deadline.0.saturating_sub(facts.claimed_at.0) / 8 && now <= facts.deadline;
            if due && held.run.answered() == 0 && !held.run.is_closed() {
                let desk = self.clone();
                tokio::spawn(async move {
                    if let Err(error) = desk.answer(job, encompute_protocol::RoundIndex(0)).await {
                        debug!(job = job.0, error = &error as &dyn std::error::Error, "job cannot be begun");
                    }
                });
            }
        }
    }

    /// Claims a job that is open and can be run, once it is this worker's turn: before that nothing is sent, for a claim
    /// that the contract refuses costs its fee.
    async fn claim(self: &Arc<Self>, job: JobId) -> Result<Attempt, Box<dyn std::error::Error + Send + Sync>> {
        let client = self.world.client();
        // No draw is of a job that is not open.
        let Some(draw) = client.read(ReadDraw { job }).await? else { return Ok(Attempt::Gone) };
        let now = client.head().await?.number;
        if now <= draw.decides || now < draw.first_of(self.world.address()) {
            return Ok(Attempt::Waits);
        }
        let Some((terms, _)) = client.read(ReadJob { job }).await? else { return Ok(Attempt::Gone) };
        // What an earlier claim of ours left is of no use to the next.
        self.put_away(job);
        self.places().check()?;
        let prepared = self.prepare(terms.user, (terms.version, terms.split), terms.input).await?;
        drop(prepared);
        // From here on the job may be ours: its place is taken, and a worker that is to stop waits for it.
        self.places().claimed(job, terms.input);
        match self.world.say(Subject::job(job), ClaimJob { job }, Plancks::ZERO).await {
            Ok(_) => {
                self.figures.jobs.count("claimed");
                self.resume(job).await?;
                Ok(Attempt::Claimed)
            }
            Err(error) => {
                self.places().done(job);
                // Another worker was faster, or the user gave up: nothing is wrong.
                if error.class() == Class::Refused { Ok(Attempt::Gone) } else { Err(error.into()) }
            }
        }
    }
}
