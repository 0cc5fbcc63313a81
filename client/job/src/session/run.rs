//! One job of a session: ordered, run, verified, released, answered, vouched for.

use super::{
    Book,
    mail::{Addresses, insist},
};
use crate::{
    driver::{InHand, Runner, answer},
    error::JobError,
    journal::Journal,
    order::Order,
    report::{Answer, Step, Watch},
    report::{begin, end},
};
use encompute_chain::SubmitJob;
use encompute_host::clock::Instant;
use encompute_protocol::{
    BlobDigest, BlockNumber, JobId, JobProgress, JobTerms, Plancks, Receipt, ReceiptDigest, SessionRecord, Signed,
    Stage, VersionManifest, Windows,
    call::{ReadSession, ReadSplit, ReadWorker},
    session::{
        SessionLeaf, SessionOutcome, SessionStage,
        calls::{SessionFeatures, SessionFeaturesCall, SessionOrder, SessionOrderCall, SessionResult, SignedReceipt},
    },
    wire::Message,
};
use encompute_store::Blobs;
use std::time::Duration;

/// How one job of a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionJobEnded {
    /// The job.
    pub job: JobId,
    /// The answer.
    pub answer: Answer,
    /// What was said about it.
    pub leaf: SessionLeaf,
}

impl<M: SubmitJob> Runner<M> {
    /// Takes the session's next job from a tensor to its answer and the voucher for it.
    ///
    /// # Errors
    /// [`JobError`]; the job stays in hand, and the same call with the same order goes on with it.
    pub async fn run_in_session(
        &self,
        book: &mut Book,
        order: &Order,
        patience: Duration,
        watch: &mut (impl Watch + Send),
    ) -> Result<SessionJobEnded, JobError> {
        let until = Instant::now() + patience;
        let record = self.session_of(book).await?;
        if record.stage != SessionStage::Open {
            return Err(JobError::Session { found: format!("session {} takes no further job", book.session()) });
        }
        let job = book.record().count.next();
        let job = job.ok_or_else(|| JobError::Session { found: "all its jobs are over; open another".into() })?;
        let addresses = self.addresses(book, &order.manifest).await?;
        // Whoever was away when a voucher was signed has it before the next job.
        if let Some((payee, found)) = self.deliver(book, &addresses, until).await?.into_iter().next() {
            return Err(JobError::Session { found: format!("the {payee:?} does not take the last voucher: {found}") });
        }
        let mut journal = match book.record().current {
            Some(input) => Journal::open_input(&self.home, &input)?,
            None => {
                let journal = self.prepare(order, watch).await?;
                book.update(|record| record.current = Some(journal.record().input))?;
                journal
            }
        };
        journal.update(|record| record.job = Some(job))?;
        let head = self.session_head(book, &mut journal, (job, &record), &addresses, until, watch).await?;
        let result = self.session_tail(book, &mut journal, (job, &record), &head, &addresses, until, watch).await?;
        let leaf = SessionLeaf {
            job,
            input: journal.record().input,
            receipt: ReceiptDigest(head.receipt.digest()),
            features: journal.record().features.unwrap_or_default(),
            result,
            outcome: SessionOutcome::Settled,
        };
        let scores = journal.record().scores.clone().unwrap_or_default();
        book.sign(leaf)?;
        // The answer is there: a payee that is away has its voucher before the next job, or at the end.
        self.deliver(book, &addresses, Instant::now()).await?;
        Ok(SessionJobEnded { job, answer: answer(&scores, &order.manifest), leaf })
    }

    /// The session, as the chain has it.
    pub(super) async fn session_of(&self, book: &Book) -> Result<SessionRecord, JobError> {
        let session = book.session();
        let found = self.services.market.read(ReadSession { session }).await.map_err(JobError::Read)?;
        found.ok_or_else(|| JobError::Session { found: format!("there is no session {session}") })
    }

    /// Orders the head, runs its rounds with the worker, and has its receipt.
    async fn session_head(
        &self,
        book: &Book,
        journal: &mut Journal,
        (job, record): (JobId, &SessionRecord),
        addresses: &Addresses,
        until: Instant,
        watch: &mut (impl Watch + Send),
    ) -> Result<SignedReceipt, JobError> {
        let name = *book.record().count.name();
        let input = journal.record().input;
        let order = SessionOrder { genesis: name.genesis, contract: name.contract, session: name.session, job, input };
        let body = SessionOrderCall { order, signature: book.signature(&order)? }.to_wire();
        let worker = |found: String| JobError::Worker { url: addresses.worker.clone(), found };
        let http = &self.services.http;
        insist(http, &addresses.worker, &format!("/v1/sessions/{}/jobs", name.session), Some(&body), until)
            .await
            .map_err(worker)?;
        let (terms, progress) = virtual_job(record, input, Stage::Claimed);
        let mut in_hand = InHand::default();
        self.rounds(journal, job, terms, progress, &mut in_hand, watch).await?;
        let began = begin(watch, Step::Commit);
        let body = insist(http, &addresses.worker, &format!("/v1/jobs/{job}/receipt"), None, until).await;
        let body = body.map_err(worker)?;
        let signed = SignedReceipt::from_wire(&body)
            .map_err(|source| JobError::Message { what: "the worker's receipt", source })?;
        self.check_receipt(book, (job, record), input, &signed).await?;
        book.keep_receipt(book.record().count.done(), &signed)?;
        end(watch, Step::Commit, began);
        if journal.record().features.is_none() {
            let began = begin(watch, Step::Release);
            let manifest = self.manifest(journal).await?;
            let (terms, mut progress) = virtual_job(record, input, Stage::HeadCommitted);
            progress.output = Some(signed.receipt.output);
            let run = in_hand.run.take();
            let sealed = self.sealed_features(journal, job, (terms, progress), &manifest, run, watch).await?;
            let digest = journal.keep(&sealed)?;
            journal.update(|record| record.features = Some(digest))?;
            end(watch, Step::Release, began);
        }
        Ok(signed)
    }

    /// Every field of a receipt is a fact on chain, of the session and its worker's registration, but for the transcript
    /// and the block in which the work was finished.
    async fn check_receipt(
        &self,
        book: &Book,
        (job, record): (JobId, &SessionRecord),
        input: BlobDigest,
        signed: &SignedReceipt,
    ) -> Result<(), JobError> {
        let market = &self.services.market;
        let (version, split) = (record.version, record.split);
        let refused = |found: String| JobError::Worker { url: record.worker.to_string(), found };
        let found = market.read(ReadWorker { worker: record.worker }).await.map_err(JobError::Read)?;
        let (worker, _) = found.ok_or_else(|| refused("it is not registered".into()))?;
        let sold = market.read(ReadSplit { version, split }).await.map_err(JobError::Read)?;
        let sold = sold.ok_or_else(|| refused("the split is not there".into()))?;
        let receipt = &signed.receipt;
        let name = book.record().count.name();
        let expected = Receipt {
            genesis: name.genesis,
            contract: name.contract,
            job,
            version,
            manifest: book.record().manifest,
            split,
            head: sold.head,
            input,
            evaluation_key: BlobDigest::default(),
            output: receipt.output,
            tail: sold.tail,
            worker: record.worker,
            measurement: worker.measurement,
            registration_nonce: worker.nonce,
            claimed_at: record.opened_at,
            finished_at: receipt.finished_at,
            expires_at: worker.expires_at,
            custody: false,
        };
        if *receipt != expected || !(record.opened_at..=record.deadline).contains(&receipt.finished_at) {
            return Err(refused(format!("its receipt for job {job} says otherwise than the chain")));
        }
        if !signed.signature.is_by(&worker.signing, receipt) {
            return Err(refused(format!("its receipt for job {job} is not signed by the registered key")));
        }
        Ok(())
    }

    /// Sends what was released to the creator, and opens what comes back.
    #[allow(clippy::too_many_arguments, reason = "one job's facts, by name")]
    async fn session_tail(
        &self,
        book: &Book,
        journal: &mut Journal,
        (job, record): (JobId, &SessionRecord),
        head: &SignedReceipt,
        addresses: &Addresses,
        until: Instant,
        watch: &mut (impl Watch + Send),
    ) -> Result<BlobDigest, JobError> {
        let Some(features) = journal.record().features else {
            return Err(JobError::Plan { found: "nothing was released".into() });
        };
        let began = begin(watch, Step::Tail);
        self.put("the sealed features", journal.kept(&features)?).await?;
        let name = *book.record().count.name();
        let said = SessionFeatures {
            genesis: name.genesis,
            contract: name.contract,
            session: name.session,
            job,
            input: journal.record().input,
            receipt: ReceiptDigest(head.receipt.digest()),
            features,
        };
        let body = SessionFeaturesCall { features: said, signature: book.signature(&said)? }.to_wire();
        let path = format!("/v1/sessions/{}/features", name.session);
        let creator = |found: String| JobError::Creator { url: addresses.creator.clone(), found };
        let body = insist(&self.services.http, &addresses.creator, &path, Some(&body), until).await.map_err(creator)?;
        let answered = SessionResult::from_wire(&body)
            .map_err(|source| JobError::Message { what: "the creator's answer", source })?;
        if answered.job != job {
            return Err(creator(format!("it answers for job {}, asked was {job}", answered.job)));
        }
        let (_, mut progress) = virtual_job(record, journal.record().input, Stage::ResultCommitted);
        (progress.features, progress.result) = (Some(features), Some(answered.result));
        self.open_result(journal, job, progress).await?;
        end(watch, Step::Tail, began);
        Ok(answered.result)
    }

    /// What is to be said about the job in hand when the session ends: its head is paid for if there is one that holds.
    pub(super) async fn given_up(
        &self,
        book: &Book,
        record: &SessionRecord,
        addresses: &Addresses,
    ) -> Result<Option<SessionLeaf>, JobError> {
        let (Some(input), Some(job)) = (book.record().current, book.record().count.next()) else { return Ok(None) };
        let none = SessionLeaf {
            job,
            input,
            receipt: ReceiptDigest::default(),
            features: BlobDigest::default(),
            result: BlobDigest::default(),
            outcome: SessionOutcome::Refunded,
        };
        let path = format!("/v1/jobs/{job}/receipt");
        let found = insist(&self.services.http, &addresses.worker, &path, None, Instant::now()).await;
        let Some(signed) = found.ok().and_then(|body| SignedReceipt::from_wire(&body).ok()) else {
            return Ok(Some(none));
        };
        let holds = self.check_receipt(book, (job, record), input, &signed).await.is_ok();
        let there = self.services.blobs.length(signed.receipt.output).await.ok().flatten().is_some();
        if !(holds && there) {
            return Ok(Some(none));
        }
        book.keep_receipt(book.record().count.done(), &signed)?;
        let features = Journal::open_input(&self.home, &input)?.record().features.unwrap_or_default();
        let receipt = ReceiptDigest(signed.receipt.digest());
        Ok(Some(SessionLeaf { receipt, features, outcome: SessionOutcome::HeadOnly, ..none }))
    }
}

/// A session's job as a single one would stand: what checks, rounds and release take.
fn virtual_job(record: &SessionRecord, input: BlobDigest, stage: Stage) -> (JobTerms, JobProgress) {
    let zero = Plancks::ZERO;
    let window = record.challenge;
    let terms = JobTerms {
        user: record.user,
        version: record.version,
        model: record.model,
        split: record.split,
        policy: record.policy,
        input,
        fees: record.fees,
        job_stake: zero,
        job_bond: zero,
        retry_slash: Default::default(),
        fail_slash: Default::default(),
        stop_fee: Default::default(),
        protocol_fee: record.protocol_fee,
        windows: Windows {
            claim: window,
            head: window,
            challenge: window,
            features: window,
            creator: window,
            accept: window,
            dispute: window,
        },
        requested_at: record.opened_at,
        // Nobody audits what the chain does not see.
        audit_share: Default::default(),
        custody: false,
        sponsor: None,
    };
    let progress = JobProgress {
        stage,
        reason: None,
        deadline: record.deadline,
        timeouts: 0,
        worker: Some(record.worker),
        stake_held: zero,
        claimed_at: record.opened_at,
        output: None,
        finished_at: BlockNumber(0),
        features: None,
        result: None,
        changed_at: record.opened_at,
        measurement: None,
        platform: None,
        disputed: 0,
        workers: 0,
        late: Default::default(),
        committed_at: BlockNumber(0),
        receipt: None,
    };
    (terms, progress)
}

/// The manifest of a book's version.
impl<M: SubmitJob> Runner<M> {
    pub(super) async fn manifest_of(&self, book: &Book) -> Result<VersionManifest, JobError> {
        let digest = BlobDigest(book.record().manifest.0);
        let limit = encompute_store::ByteLimit(VersionManifest::LIMIT_BYTES as u64);
        let bytes = self.services.blobs.get(digest, limit).await;
        let bytes = bytes.map_err(|source| JobError::Fetch { what: "the manifest", digest, source })?;
        VersionManifest::from_wire(&bytes).map_err(|source| JobError::Message { what: "the manifest", source })
    }
}
