//! The run: prepare, request, drive.

use crate::{
    error::JobError,
    head::{JobHead, go_on, run_up_to},
    journal::{JobSecrets, Journal, Record},
    order::{plan_of, split_of},
    report::{Answer, Bytes, Ending, Step, Watch, awaited, begin, end},
    rounds::{Asked, Correspondence, NoAnswer, RoundTrip, Verified, encrypt},
    told::Told,
    turns::{Finding, Turns},
    workers::{CheckedWorker, checked_worker},
};
use encompute_audit::JobFacts;
use encompute_chain::{Class, SubmitError, SubmitJob};
use encompute_envelope::{Context, RecipientSecret, SecretSeed, Subject};
use encompute_host::clock::{self, Instant};
use encompute_keys::MachineSecret;
use encompute_networks::Network;
use encompute_protocol::{
    BlobDigest, BlockNumber, DisputeKind, HeadDigest, JobId, JobProgress, JobTerms, Plancks, Reason, RoundIndex,
    RoundReceiptDigest, Stage, VersionManifest,
    call::{AcceptResult, PokeJob, ReadJob, ReadSplit},
    event::Event,
    manifest::JobResult,
    signing::SigningKey,
    wire::Message,
};
use encompute_release::Releaser;
use encompute_store::{Blobs, ByteLimit, GatewayClient};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// What a run talks to.
pub struct Services<M> {
    /// The chain, as the user.
    pub market: M,
    /// The store.
    pub blobs: GatewayClient,
    /// Workers.
    pub http: reqwest::Client,
    /// Whose word counts.
    pub network: Network,
}

/// Drives jobs of one user.
pub struct Runner<M> {
    /// What it talks to.
    pub services: Services<M>,
    /// The one door for decrypted features.
    pub releaser: Releaser,
    /// Under which job keys are sealed on disk.
    pub machine: MachineSecret,
    /// Folder of journals.
    pub home: PathBuf,
    /// Whether results are accepted as soon as they are opened.
    pub accept: bool,
}

/// Pause before a worker is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// So many times it is asked between two looks at whether it can have what it needs.
const ASKED_PER_LOOK: u32 = 10;

/// What one run of the program knows of a job besides its journal.
#[derive(Default)]
pub(crate) struct InHand {
    /// The claim whose worker was asked again for everything that the journal has.
    pub(crate) agreed: Option<BlockNumber>,
    /// The client's half of the head.
    pub(crate) run: Option<JobHead>,
}

impl<M: SubmitJob> Runner<M> {
    /// Takes the job on from wherever it stands until it ends, or until `patience` is over.
    ///
    /// # Errors
    /// [`JobError`]; the job stays where it is and a later call goes on.
    pub async fn drive(
        &self,
        journal: &mut Journal,
        patience: Duration,
        watch: &mut (impl Watch + Send),
    ) -> Result<Ending, JobError> {
        let job =
            journal.record().job.ok_or_else(|| JobError::Plan { found: "the job was not requested yet".into() })?;
        let until = Instant::now() + patience;
        let head = self.services.market.head().await.map_err(JobError::Read)?.number;
        let mut follow = self.services.market.follow(head);
        let mut waiting: Option<(Step, Instant)> = None;
        let (mut told, mut turns) = (Told::nothing(job), Turns::default());
        let mut in_hand = InHand::default();
        loop {
            let (terms, progress) = self.job(job).await?;
            told.tell(&self.services.market, &terms, &progress, watch).await?;
            let waits_for = awaited(progress.stage, terms.custody);
            if waiting.is_some_and(|(step, _)| Some(step) != waits_for)
                && let Some((step, began)) = waiting.take()
            {
                end(watch, step, began);
            }
            match progress.stage {
                Stage::Requested => self.tell_turn(job, &mut turns, watch).await?,
                // The worker that has the key acts for the user.
                Stage::Claimed | Stage::HeadCommitted if terms.custody => {}
                Stage::Claimed => self.rounds(journal, job, terms, progress, &mut in_hand, watch).await?,
                Stage::HeadCommitted if self.is_past(progress.deadline).await? => self.poke(job).await,
                Stage::HeadCommitted if !self.is_quoted(journal, job, (terms, progress)).await? => {}
                Stage::HeadCommitted if !self.is_witnessed(journal, job, (terms, progress)).await? => {}
                Stage::HeadCommitted => self.release(journal, job, terms, progress, in_hand.run.take(), watch).await?,
                Stage::FeaturesSent | Stage::Disputed(_) => {}
                Stage::ResultCommitted => self.take_result(journal, job, progress, watch).await?,
                Stage::Settled => {
                    // It may have settled by itself while nobody was here to open what was paid for.
                    self.open_result(journal, job, progress).await?;
                    return self.ending(journal, job, progress).await;
                }
                Stage::Failed | Stage::Cancelled => return self.ending(journal, job, progress).await,
            }
            if progress.stage == Stage::ResultCommitted && !self.accept {
                return self.ending(journal, job, progress).await;
            }
            if let (None, Some(step)) = (waiting, waits_for) {
                waiting = Some((step, begin(watch, step)));
            }
            // Work was done at this stage: look again before waiting for somebody else.
            if progress.stage == Stage::ResultCommitted || progress.stage == Stage::HeadCommitted && !terms.custody {
                continue;
            }
            self.wait(journal, job, progress, &mut follow, until, patience).await?;
        }
    }

    /// Waits for the next block that concerns the job; pokes it when its actor is late.
    async fn wait(
        &self,
        journal: &Journal,
        job: JobId,
        progress: JobProgress,
        follow: &mut M::Follow,
        until: Instant,
        patience: Duration,
    ) -> Result<(), JobError> {
        use encompute_chain::FollowBlocks;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timed_out = || JobError::TimedOut { job, stage: progress.stage, seconds: patience.as_secs() };
            let block = clock::timeout(left, follow.next()).await.map_err(|_| timed_out())?.map_err(JobError::Read)?;
            let concerns = |event: &Event| matches!(event, Event::JobStageChanged(changed) if changed.job == job);
            if block.events.iter().any(|emitted| concerns(&emitted.event)) {
                return Ok(());
            }
            self.keep_in_store(journal, progress.stage).await;
            // A committee may be drawn long before the window to draw it is over.
            let has_committee = |kind| matches!(kind, DisputeKind::Head | DisputeKind::Witness | DisputeKind::Audit);
            // One that has found a head wrong waits for an appeal.
            let is_ruled = progress.reason == Some(Reason::HeadMismatch);
            let draws = matches!(progress.stage, Stage::Disputed(kind) if has_committee(kind) && !is_ruled)
                && block.block.number.0 > progress.changed_at.0.saturating_add(1);
            if draws || block.block.number > progress.deadline {
                self.poke(job).await;
                return Ok(());
            }
            // Another worker's turn may have begun.
            if progress.stage == Stage::Requested {
                return Ok(());
            }
        }
    }

    /// True once whoever had to act by then is late.
    pub(crate) async fn is_past(&self, deadline: BlockNumber) -> Result<bool, JobError> {
        Ok(self.services.market.head().await.map_err(JobError::Read)?.number > deadline)
    }

    /// Moves an overdue job on. Somebody else may have done so meanwhile; the chain then says so, and the caller
    /// looks again.
    async fn poke(&self, job: JobId) {
        if let Err(error) = self.services.market.submit(PokeJob { job }, Plancks::ZERO).await {
            tracing::info!(%job, %error, "poke was not taken");
        }
    }

    /// What came of a transaction, unless the chain refused it because the job was drawn for an audit meanwhile, or somebody
    /// demanded a quote: then it waits, and the caller looks again.
    pub(crate) async fn unless_suspended<T>(
        &self,
        job: JobId,
        sent: Result<T, SubmitError>,
        doing: &'static str,
    ) -> Result<(), JobError> {
        let Err(source) = sent else { return Ok(()) };
        if source.class() == Class::Refused
            && matches!(self.job(job).await?.1.stage, Stage::Disputed(kind) if kind.is_anybodys())
        {
            return Ok(());
        }
        Err(JobError::Submit { doing, source })
    }

    pub(crate) async fn job(&self, job: JobId) -> Result<(JobTerms, JobProgress), JobError> {
        self.services.market.read(ReadJob { job }).await.map_err(JobError::Read)?.ok_or(JobError::NoJob(job))
    }

    /// What round trips with the worker that holds the job need: what the chain says of both, the worker's
    /// evidence verified, and the job's keys.
    pub(crate) async fn correspondence(
        &self,
        journal: &Journal,
        job: JobId,
        terms: JobTerms,
        progress: JobProgress,
    ) -> Result<Correspondence, JobError> {
        let Services { market, blobs, network, http } = &self.services;
        let account = progress.worker.ok_or(JobError::NoJob(job))?;
        let CheckedWorker { record, url, .. } =
            checked_worker(market, blobs, network, account, progress.claimed_at).await?;
        let split =
            market.read(ReadSplit { version: terms.version, split: terms.split }).await.map_err(JobError::Read)?;
        let head = split.map(|split| split.head).unwrap_or(HeadDigest::default());
        let (genesis, contract) = (market.genesis(), market.contract().unwrap_or_default());
        Ok(Correspondence {
            facts: JobFacts { genesis, contract, job, terms, progress, worker: account, record, head },
            key: journal.key(&self.machine)?,
            session: session(&journal.secrets()?)?,
            url,
            http: http.clone(),
        })
    }

    /// All rounds but the decryption of the last, which waits for the commitment.
    pub(crate) async fn rounds(
        &self,
        journal: &mut Journal,
        job: JobId,
        terms: JobTerms,
        progress: JobProgress,
        in_hand: &mut InHand,
        watch: &mut (impl Watch + Send),
    ) -> Result<(), JobError> {
        let manifest = self.manifest(journal).await?;
        let plan = Arc::new(plan_of(split_of(&manifest, terms.split)?)?);
        let count = plan.segments().len();
        if in_hand.agreed == Some(progress.claimed_at) && journal.record().rounds.len() >= count {
            return Ok(());
        }
        let began = begin(watch, Step::Rounds);
        let correspondence = self.correspondence(journal, job, terms, progress).await?;
        let trip = correspondence.trip(&plan);
        if in_hand.agreed != Some(progress.claimed_at) {
            self.hand_over(journal, &trip).await;
            let Some(common) = self.agree(journal, &trip, progress.deadline).await? else { return Ok(()) };
            journal.update(|record| record.rounds.truncate(common))?;
            in_hand.agreed = Some(progress.claimed_at);
        }
        while journal.record().rounds.len() < count {
            let before = journal.record().rounds.len();
            let round = RoundIndex(before as u16);
            let Some(verified) = self.ask(journal, &trip, round, progress.deadline).await? else { return Ok(()) };
            let given = journal.keep(&verified.response())?;
            let (request, next) = if before + 1 == count {
                // The last waits for the commitment.
                (Vec::new(), BlobDigest::of(&[]))
            } else if trip.segment(round)?.is_last() {
                let mut run = run_up_to(before, in_hand.run.take(), journal, &trip)?;
                go_on(&mut run, &trip.decrypt(round, &verified)?)?;
                let request = next_request(&trip, RoundIndex(round.0 + 1), &run)?;
                in_hand.run = Some(run);
                let next = journal.keep(&request)?;
                (request, next)
            } else {
                // The next segment's request is what this one gave.
                (Vec::new(), given)
            };
            journal.update(|record| {
                record.rounds.push(trip.done(&verified, next));
                record.bytes.0 += request.len() as u64;
                record.bytes.1 += verified.bytes as u64;
            })?;
            watch.round(before + 1, count);
        }
        end(watch, Step::Rounds, began);
        Ok(())
    }

    /// How many rounds the worker that holds the job now has answered as the journal says; none when its window
    /// closed meanwhile. Another worker's receipts differ from the first on. One that holds the job anew has
    /// forgotten what it answered: it is asked everything again in turn, with the very bytes of the first time,
    /// for a round that was answered is never answered for other bytes.
    async fn agree(
        &self,
        journal: &Journal,
        trip: &RoundTrip<'_>,
        deadline: BlockNumber,
    ) -> Result<Option<usize>, JobError> {
        let done = &journal.record().rounds;
        for (index, round) in done.iter().enumerate() {
            let Some(verified) = self.ask(journal, trip, RoundIndex(index as u16), deadline).await? else {
                return Ok(None);
            };
            if verified.round.link() != round.link {
                return Ok(Some(index));
            }
            journal.keep(&verified.response())?;
        }
        Ok(Some(done.len()))
    }

    /// Puts request and features back where they are gone from the store, or something of another length lies in
    /// their place: whoever acts next may need them, and whoever cannot act pays for it.
    async fn keep_in_store(&self, journal: &Journal, stage: Stage) {
        let Record { input, features, .. } = journal.record();
        let needed: Vec<BlobDigest> = match stage {
            Stage::Requested | Stage::Claimed => journal.request_blobs().unwrap_or_default(),
            Stage::FeaturesSent => [*input].into_iter().chain(*features).collect(),
            // Whoever runs the head again is shown what it was run on, and the creator still wants the features.
            Stage::Disputed(_) => journal.request_blobs().unwrap_or_default().into_iter().chain(*features).collect(),
            _ => return,
        };
        for digest in needed {
            let (Ok(kept), Ok(bytes)) = (self.services.blobs.length(digest).await, journal.kept(&digest)) else {
                continue;
            };
            if kept != Some(bytes.len() as u64) {
                let put = self.put("a blob of the job", bytes).await;
                tracing::warn!(%digest, found_bytes = kept, ok = put.is_ok(), "a blob of the job was gone from the store; it is put there again");
            }
        }
    }

    /// Asks for a round until there is an answer; none when the job moved on or its window closed.
    async fn ask(
        &self,
        journal: &Journal,
        trip: &RoundTrip<'_>,
        round: RoundIndex,
        deadline: BlockNumber,
    ) -> Result<Option<Verified>, JobError> {
        let before = round.0.checked_sub(1).and_then(|index| journal.record().rounds.get(usize::from(index)).copied());
        let (previous, digest) =
            before.map_or((RoundReceiptDigest::default(), journal.record().tensor), |done| (done.link, done.next));
        let goes_on = !trip.segment(round)?.is_first();
        let tensor = if before.is_some() && !goes_on { journal.kept(&digest)? } else { Vec::new() };
        let mut until_look = 0;
        loop {
            let asked = match (before, goes_on) {
                (None, _) => Asked::First,
                (_, true) => Asked::GoOn,
                (_, false) => Asked::Tensor(&tensor),
            };
            match trip.ask(round, asked, digest, previous).await {
                Ok(verified) => return Ok(Some(verified)),
                Err(NoAnswer::Never(error)) => return Err(error),
                Err(NoAnswer::Later(found)) => tracing::info!(job = %trip.facts.job, %round, found, "no answer yet"),
            }
            if until_look == 0 {
                let facts = trip.facts;
                // A worker that waited long enough commits without us, and answers nothing after it.
                // A session's job is none of the chain's: its window alone ends the asking.
                let now = self.services.market.read(ReadJob { job: facts.job }).await.map_err(JobError::Read)?;
                let stands =
                    |now: &JobProgress| (now.stage, now.claimed_at) == (Stage::Claimed, facts.progress.claimed_at);
                if now.is_some_and(|(_, now)| !stands(&now)) {
                    return Ok(None);
                }
                self.keep_in_store(journal, Stage::Claimed).await;
                until_look = ASKED_PER_LOOK;
            }
            until_look -= 1;
            if self.is_past(deadline).await? {
                return Ok(None);
            }
            clock::sleep(ASK_AGAIN).await;
        }
    }

    /// Fetches and opens the result, and accepts it.
    async fn take_result(
        &self,
        journal: &mut Journal,
        job: JobId,
        progress: JobProgress,
        watch: &mut (impl Watch + Send),
    ) -> Result<(), JobError> {
        let began = begin(watch, Step::Accept);
        self.open_result(journal, job, progress).await?;
        if self.accept {
            let accepted = self.services.market.submit(AcceptResult { job }, Plancks::ZERO).await;
            self.unless_suspended(job, accepted, "accept the result").await?;
        }
        end(watch, Step::Accept, began);
        Ok(())
    }

    /// Fetches and opens the result, unless that is done.
    pub(crate) async fn open_result(
        &self,
        journal: &mut Journal,
        job: JobId,
        progress: JobProgress,
    ) -> Result<(), JobError> {
        let (None, Some(digest)) = (&journal.record().scores, progress.result) else { return Ok(()) };
        let limit = ByteLimit(JobResult::LIMIT_BYTES as u64 + 64 * 1024);
        let sealed = self.services.blobs.get(digest, limit).await;
        let sealed = sealed.map_err(|source| JobError::Fetch { what: "the sealed result", digest, source })?;
        let scores = self.scores(journal, job, progress, &sealed)?;
        let classes = self.manifest(journal).await?.labels.len();
        if scores.len() != classes {
            return Err(JobError::Result { found: format!("{} scores for {classes} classes", scores.len()) });
        }
        // Each probability is rounded to a millionth by itself.
        let sum: u64 = scores.iter().map(|score| u64::from(*score)).sum();
        if sum.abs_diff(1_000_000) > classes as u64 {
            return Err(JobError::Result { found: format!("its scores add up to {sum} millionths") });
        }
        journal.update(|record| record.scores = Some(scores)).map_err(JobError::Journal)
    }

    fn scores(
        &self,
        journal: &Journal,
        job: JobId,
        progress: JobProgress,
        sealed: &[u8],
    ) -> Result<Vec<u32>, JobError> {
        let record = journal.record();
        let context = Context { genesis: record.genesis, contract: record.contract, subject: Subject::Result { job } };
        let secret = result_key(&journal.secrets()?);
        let opened = encompute_envelope::open(&secret, &context, sealed, JobResult::LIMIT_BYTES);
        let opened = opened.map_err(|error| JobError::Result { found: error.to_string() })?;
        let result = JobResult::from_wire(&opened)
            .map_err(|source| JobError::Message { what: "the creator's result", source })?;
        match result.job == job && Some(result.features) == progress.features {
            true => Ok(result.scores),
            false => Err(JobError::Result { found: "it is for another job or other features".into() }),
        }
    }

    async fn ending(&self, journal: &Journal, job: JobId, progress: JobProgress) -> Result<Ending, JobError> {
        let answer = match &journal.record().scores {
            Some(scores) => Some(answer(scores, &self.manifest(journal).await?)),
            None => None,
        };
        let (up, down) = journal.record().bytes;
        let in_custody = journal.record().finding == Finding::Custody;
        Ok(Ending {
            job,
            stage: progress.stage,
            reason: progress.reason,
            answer,
            bytes: Bytes { up, down },
            in_custody,
        })
    }

    /// The version's manifest: its hash is its blob's digest, so the store cannot swap it.
    pub(crate) async fn manifest(&self, journal: &Journal) -> Result<VersionManifest, JobError> {
        let digest = BlobDigest(journal.record().manifest.0);
        let bytes = self.services.blobs.get(digest, ByteLimit(VersionManifest::LIMIT_BYTES as u64)).await;
        let bytes = bytes.map_err(|source| JobError::Fetch { what: "the manifest", digest, source })?;
        VersionManifest::from_wire(&bytes).map_err(|source| JobError::Message { what: "the manifest", source })
    }

    pub(crate) async fn put(&self, what: &'static str, bytes: Vec<u8>) -> Result<(), JobError> {
        self.services.blobs.put(bytes.into()).await.map(drop).map_err(|source| JobError::Store { what, source })
    }
}

/// The classes' scores as an answer.
pub(crate) fn answer(scores: &[u32], manifest: &VersionManifest) -> Answer {
    // The first of equals, so that two clients say the same.
    let best = scores
        .iter()
        .enumerate()
        .max_by_key(|(index, score)| (**score, std::cmp::Reverse(*index)))
        .map_or(0, |(index, _)| index);
    let label = manifest.labels.get(best).map(|label| label.as_str().to_owned()).unwrap_or_default();
    Answer { best, label, scores: scores.to_vec() }
}

/// Encrypts what the client's half asks for next.
fn next_request(trip: &RoundTrip<'_>, receipt: RoundIndex, run: &JobHead) -> Result<Vec<u8>, JobError> {
    let none = || JobError::Plan { found: "the client's half asks for no further round".into() };
    let (_, values) = run.request().ok_or_else(none)?;
    Ok(encrypt(trip.key, trip.plan, receipt, values)?.to_bytes())
}

pub(crate) fn session(secrets: &JobSecrets) -> Result<SigningKey, JobError> {
    SigningKey::from_secret(&secrets.session)
        .map_err(|error| JobError::Crypto { doing: "read the session key", found: error.to_string() })
}

pub(crate) fn result_key(secrets: &JobSecrets) -> RecipientSecret {
    SecretSeed::from_bytes(*secrets.result).recipient()
}
