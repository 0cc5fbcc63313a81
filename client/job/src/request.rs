//! Before the job exists: encrypt, write down, upload, find a worker, pay.

use crate::{
    case::{JobKeys, Part, PartBytes},
    custody::Sealing,
    driver::{Runner, result_key, session},
    error::JobError,
    journal::{JobSecrets, Journal, Record},
    order::{Order, split_of},
    report::{Step, Watch},
    report::{begin, end},
    rounds::encrypt,
    turns::Finding,
    workers::{Wanted, find_offer},
};
use encompute_chain::{Submit, SubmitJob};
use encompute_head::HeadPlan;
use encompute_keys::SecretKey;
use encompute_protocol::{
    BlobDigest, Bytes, Fees, JobId, JobRequest, Plancks, RoundIndex,
    call::{QuoteJob, RequestJob},
    event::Event,
    receipt::OfferCall,
    wire::Message,
};
use encompute_release::{CheckedPolicy, InputIdentity, ReleaseContext};
use zeroize::Zeroizing;

impl<M: SubmitJob> Runner<M> {
    /// Encrypts, writes the journal, uploads the request blob. Nothing has been paid yet.
    ///
    /// # Errors
    /// [`JobError`]; what was written can be dropped.
    pub async fn prepare(&self, order: &Order, watch: &mut (impl Watch + Send)) -> Result<Journal, JobError> {
        let (plan, policy) = order.check(&self.services.network)?;
        let identity = InputIdentity::of_tensor(&order.tensor);
        let context = ReleaseContext { version: order.hash(), split: order.split, policy: order.policy };
        // Refused at the release itself, the head would have been paid for.
        self.releaser.allows(&identity, &context, &policy).map_err(JobError::Release)?;
        let began = begin(watch, Step::Encrypt);
        let head = self.services.market.head().await.map_err(JobError::Read)?;
        let JobKeys { key, parts } = self.keys(order, &plan)?;
        let values: Zeroizing<Vec<i64>> = Zeroizing::new(order.tensor.iter().map(|value| i64::from(*value)).collect());
        let tensor = encrypt(&key, &plan, RoundIndex(0), &values)?;
        let secrets = JobSecrets { session: random().into(), result: random().into() };
        let request = self.request_blob(order, &key, &parts, &secrets, &tensor.to_bytes())?;
        let blob = request.to_wire();
        let input = BlobDigest::of(&blob);
        let market = &self.services.market;
        let record = Record {
            genesis: market.genesis(),
            contract: request.contract,
            user: request.user,
            model: order.manifest.name.as_str().into(),
            version: order.version,
            manifest: request.manifest,
            split: order.split,
            policy: order.policy,
            tip: order.tip,
            witnesses: order.witnesses,
            quote: order.quote,
            sponsor: order.sponsor,
            finding: order.finding,
            input,
            tensor: tensor.digest(),
            identity: identity.to_bytes(),
            prepared_at: head.number,
            job: None,
            rounds: Vec::new(),
            features: None,
            scores: None,
            bytes: (blob.len() as u64, 0),
        };
        let journal = Journal::create(&self.home, record, &key, &secrets, &self.machine)?;
        journal.keep(&blob)?;
        for part in parts {
            match part.bytes {
                PartBytes::Fresh(bytes) => journal.keep(&bytes).map(drop)?,
                PartBytes::OfCase(file) => journal.adopt(&file, &part.digest)?,
            }
        }
        end(watch, Step::Encrypt, began);
        let began = begin(watch, Step::Upload);
        self.upload(&journal, watch).await?;
        end(watch, Step::Upload, began);
        Ok(journal)
    }

    /// The keys of a job: its case's, or its own.
    fn keys(&self, order: &Order, plan: &HeadPlan) -> Result<JobKeys, JobError> {
        let (ring, set) = (plan.parameter_set(), plan.mode().bootstrap_set());
        Ok(match (&order.case, set) {
            (Some(case), Some(set)) => JobKeys::of_case(&self.home, case, ring, set, &self.machine)?,
            _ => JobKeys::fresh(ring, set)?,
        })
    }

    /// Brings everything that the worker needs to the store, from the first blob on that is missing there.
    async fn upload(&self, journal: &Journal, watch: &mut (impl Watch + Send)) -> Result<(), JobError> {
        let blobs = journal.request_blobs()?;
        for (index, digest) in blobs.iter().enumerate() {
            let bytes = journal.kept(digest)?;
            match index {
                // Whatever lies in its place: it may have been spoilt since.
                0 => self.put("the request", bytes).await?,
                // A length that cannot be had now is found out by sending.
                _ if self.services.blobs.length(*digest).await.ok().flatten() == Some(bytes.len() as u64) => {}
                _ => self.put("the evaluation key", bytes).await?,
            }
            watch.uploaded(index + 1, blobs.len());
        }
        Ok(())
    }

    fn request_blob(
        &self,
        order: &Order,
        key: &SecretKey,
        parts: &[Part],
        secrets: &JobSecrets,
        tensor: &[u8],
    ) -> Result<JobRequest, JobError> {
        let market = &self.services.market;
        let too_long = |what| {
            move |error: encompute_protocol::text::BoundError| JobError::Plan { found: format!("{what}: {error}") }
        };
        Ok(JobRequest {
            genesis: market.genesis(),
            contract: market
                .contract()
                .ok_or_else(|| JobError::Plan { found: "the network names no contract".into() })?,
            user: Submit::<RequestJob>::address(market),
            manifest: order.hash(),
            split: order.split,
            policy: order.policy,
            session_key: session(secrets)?.public_key(),
            result_key: Bytes::new(result_key(secrets).public().to_bytes().to_vec()).map_err(too_long("result key"))?,
            rerandomisation: Bytes::new(key.blinding_key().to_bytes()).map_err(too_long("blinding key"))?,
            salt: random(),
            evaluation_key: parts.iter().map(|part| part.digest).collect(),
            tensor: Bytes::new(tensor.to_vec()).map_err(too_long("tensor"))?,
        })
    }

    /// Buys the run: with a worker's offer if one offers, openly if none does or the chain is to draw one. If an earlier call was cut
    /// off, finds the job that it made.
    ///
    /// # Errors
    /// [`JobError`]; if the transaction was made after all, the next call finds it.
    pub async fn request(&self, journal: &mut Journal, watch: &mut (impl Watch + Send)) -> Result<JobId, JobError> {
        if let Some(job) = self.already_requested(journal).await? {
            return Ok(job);
        }
        let crate::driver::Services { market, blobs, http, network } = &self.services;
        let record = journal.record().clone();
        let Record { version, split, policy, input, user, tip, sponsor, .. } = record;
        // The upload of an interrupted run may be missing, or spoilt since.
        self.upload(journal, watch).await?;
        let offer = match record.finding {
            Finding::Draw => None,
            Finding::Offer | Finding::Custody => {
                let began = begin(watch, Step::Offer);
                let sealing = match record.finding {
                    Finding::Custody => Some(self.sealing(journal).await?),
                    _ => None,
                };
                let call = OfferCall { user, version, split, policy, input };
                let wanted = Wanted { call, custody: sealing.as_ref() };
                let (offer, passed_over) = find_offer(market, blobs, http, network, &wanted).await?;
                if offer.is_none() && sealing.is_some() {
                    return Err(JobError::NoCustodian { reasons: passed_over });
                }
                passed_over.iter().for_each(|reason| tracing::info!(reason, "worker passed over"));
                end(watch, Step::Offer, began);
                offer
            }
        };
        let began = begin(watch, Step::Request);
        let fees = self.quote(&record).await?;
        let price = fees.total().ok_or_else(|| JobError::Plan { found: "the price is beyond all numbers".into() })?;
        let value = if sponsor.is_some() { Plancks::ZERO } else { price };
        let offer = offer.map(|(_, signed)| signed);
        let call = RequestJob { version, split, policy, input, tip, offer, sponsor };
        let submitted = market.submit(call, value).await;
        let submitted = submitted.map_err(|source| JobError::Submit { doing: "request the job", source })?;
        let job = submitted.answer;
        journal.update(|record| record.job = Some(job))?;
        end(watch, Step::Request, began);
        Ok(job)
    }

    /// What an enclave is to be given that acts for the user. The release is charged to the input's budget now.
    async fn sealing(&self, journal: &Journal) -> Result<Sealing, JobError> {
        let Record { manifest: version, split, policy, identity, .. } = *journal.record();
        let manifest = self.manifest(journal).await?;
        let checked = CheckedPolicy::of_split(split_of(&manifest, split)?, policy).map_err(JobError::Policy)?;
        let context = ReleaseContext { version, split, policy };
        let granted = self.releaser.grant(&InputIdentity::from_bytes(identity), &context, &checked);
        Sealing::of(journal, &self.machine, &granted.map_err(JobError::Release)?)
    }

    /// The escrow of a record's run, tip included.
    async fn quote(&self, record: &Record) -> Result<Fees, JobError> {
        let quote = self.services.market.read(QuoteJob { version: record.version, split: record.split }).await;
        let (fees, _) = quote
            .map_err(JobError::Read)?
            .ok_or_else(|| JobError::Plan { found: "the split is not for sale".into() })?;
        Ok(Fees { tip: record.tip, ..fees })
    }

    /// A job's input is unique, so an interrupted request is found by it.
    async fn already_requested(&self, journal: &mut Journal) -> Result<Option<JobId>, JobError> {
        if let Some(job) = journal.record().job {
            return Ok(Some(job));
        }
        let market = &self.services.market;
        let head = market.head().await.map_err(JobError::Read)?.number;
        let from = journal.record().prepared_at;
        if head <= from {
            return Ok(None);
        }
        let input = journal.record().input;
        let blocks = market.events_in(from..=head).await.map_err(JobError::Read)?;
        let found = blocks.iter().flat_map(|block| &block.events).find_map(|emitted| match &emitted.event {
            Event::JobRequested(requested) if requested.input == input => Some(requested.job),
            _ => None,
        });
        if let Some(job) = found {
            journal.update(|record| record.job = Some(job))?;
        }
        Ok(found)
    }
}

pub(crate) fn random<const LEN: usize>() -> [u8; LEN] {
    let mut bytes = [0; LEN];
    rand::fill(&mut bytes);
    bytes
}
