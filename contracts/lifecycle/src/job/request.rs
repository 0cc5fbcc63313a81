//! `request_job`: a user buys one run, with or without a worker's offer.

use super::Job;
use crate::{
    command::{Decide, Decision, Scene},
    context::{Host, signer_of},
    draft::Draft,
    price::Price,
    refusal::{Field, OfferField, Refusal},
    sponsor::must_be_paid,
    state::{ReadState, Write},
};
use encompute_protocol::{
    BlobDigest, BlockNumber, JobId, JobProgress, JobTerms, ModelRecord, Params, PolicyId, Stage, VersionStatus,
    WorkerRecord,
    call::RequestJob,
    event::{AllowanceMovement, JobRequested, JobStageChanged, Movement},
    receipt::SignedOffer,
};

impl Decide for RequestJob {
    /// Anybody, unless paused. Locks the escrow, the caller's or its sponsor's, and the creator's bond; with an offer the
    /// job is claimed in the same call, as if the offering worker had called `claim_job`.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<JobId>, Refusal> {
        let (terms, mut model) = self.terms(scene)?;
        let mut counts = scene.state.counts();
        counts.jobs = counts.jobs.checked_add(1).ok_or(Refusal::NumbersExhausted)?;
        let block = scene.at.block;
        let deadline = block.checked_add(terms.windows.claim).ok_or(Refusal::NumbersExhausted)?;
        let progress = fresh(block, deadline, counts.workers);
        let mut job = Job { id: JobId(counts.jobs), terms, progress };

        let mut draft = Draft::new(scene.state);
        let (id, user, fees) = (job.id, terms.user, terms.fees);
        let Self { version, split, policy, input, sponsor, .. } = *self;
        draft.emit(JobRequested { job: id, user, version, split, policy, input, fees, sponsor });
        draft.emit(JobStageChanged {
            job: id,
            from: None,
            to: Stage::Requested,
            reason: None,
            by: user,
            worker: None,
            deadline,
        });
        let escrow = fees.total().ok_or(Refusal::AmountTooLarge)?;
        if let Some(sponsor) = sponsor {
            draft.move_allowance((sponsor, user), Some(id), AllowanceMovement::Spent, escrow)?;
        }
        draft.lock_escrow(escrow)?;
        draft.move_bond(terms.model, &mut model, Some(id), Movement::Locked, terms.job_bond)?;
        model.open_jobs = model.open_jobs.checked_add(1).ok_or(Refusal::NumbersExhausted)?;
        if let Some(offer) = &self.offer {
            let worker = self.check_offer(scene, offer)?;
            job.claim(scene, &mut draft, offer.offer.worker, worker)?;
        }
        draft.write(Write::Counts(counts));
        draft.write(Write::Model(terms.model, model));
        draft.write(Write::JobTerms(id, Some(terms)));
        draft.write(Write::InputUsed(user, input, id));
        job.write_progress(&mut draft);
        Ok(Decision { changes: draft.finish(), answer: id })
    }
}

fn fresh(block: BlockNumber, deadline: BlockNumber, workers: u32) -> JobProgress {
    JobProgress {
        stage: Stage::Requested,
        reason: None,
        deadline,
        timeouts: 0,
        worker: None,
        stake_held: Default::default(),
        claimed_at: BlockNumber(0),
        output: None,
        finished_at: BlockNumber(0),
        features: None,
        result: None,
        changed_at: block,
        measurement: None,
        platform: None,
        disputed: 0,
        workers,
        late: [None; Params::RETRIES as usize],
        committed_at: BlockNumber(0),
        receipt: None,
    }
}

trait RequestRules {
    fn terms<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<(JobTerms, ModelRecord), Refusal>;
    fn check_offer<S: ReadState, H: Host>(
        &self,
        scene: &Scene<'_, S, H>,
        offer: &SignedOffer,
    ) -> Result<WorkerRecord, Refusal>;
}

impl RequestRules for RequestJob {
    /// What is bought, with every fee, share and window copied, and the model that answers for it.
    fn terms<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<(JobTerms, ModelRecord), Refusal> {
        let (state, at) = (scene.state, scene.at);
        if state.paused() {
            return Err(Refusal::Paused);
        }
        let version = state.version(self.version).ok_or(Refusal::UnknownVersion { version: self.version })?;
        if version.status != VersionStatus::Active {
            return Err(Refusal::VersionNotActive { found: version.status });
        }
        let unknown = Refusal::UnknownSplit { found: self.split, splits: version.splits };
        let split = state.split(self.version, self.split).ok_or(unknown)?;
        if self.policy < PolicyId(1) || self.policy > PolicyId(split.policies) {
            return Err(Refusal::UnknownPolicy { found: self.policy, policies: split.policies });
        }
        if self.input == BlobDigest::default() {
            return Err(Refusal::Missing { field: Field::Input });
        }
        if let Some(job) = state.input_used(at.caller, self.input) {
            return Err(Refusal::InputUsed { job });
        }
        let params = state.params();
        let price = Price::of(&params, &split, self.tip)?;
        let wanted = price.fees.total().ok_or(Refusal::AmountTooLarge)?;
        must_be_paid(scene, self.sponsor, wanted)?;
        let model = state.model(version.model).ok_or(Refusal::Inconsistent)?;
        crate::model::must_cover(&model, &params, price.job_bond)?;
        let terms = JobTerms {
            user: at.caller,
            version: self.version,
            model: version.model,
            split: self.split,
            policy: self.policy,
            input: self.input,
            fees: price.fees,
            job_stake: price.job_stake,
            job_bond: price.job_bond,
            retry_slash: params.retry_slash,
            fail_slash: params.fail_slash,
            stop_fee: params.stop_fee,
            protocol_fee: params.protocol_fee,
            windows: params.windows,
            requested_at: at.block,
            audit_share: params.audit_share,
            custody: self.offer.is_some_and(|signed| signed.offer.custody),
            sponsor: self.sponsor,
        };
        Ok((terms, model))
    }

    /// The offering worker, if the offer is for exactly this request and signed by its registered key.
    fn check_offer<S: ReadState, H: Host>(
        &self,
        scene: &Scene<'_, S, H>,
        signed: &SignedOffer,
    ) -> Result<WorkerRecord, Refusal> {
        let (offer, at) = (&signed.offer, scene.at);
        for (same, field) in [
            (offer.genesis == at.genesis, OfferField::Genesis),
            (offer.contract == at.contract, OfferField::Contract),
            (offer.user == at.caller, OfferField::User),
            (offer.version == self.version, OfferField::Version),
            (offer.split == self.split, OfferField::Split),
            (offer.input == self.input, OfferField::Input),
        ] {
            if !same {
                return Err(Refusal::OfferMismatch { field });
            }
        }
        if at.block >= offer.expires_at {
            return Err(Refusal::OfferExpired { expires_at: offer.expires_at, block: at.block });
        }
        let unknown = Refusal::UnknownWorker { worker: offer.worker };
        let worker = scene.state.worker(offer.worker).ok_or(unknown)?;
        let found = signer_of(scene.host, offer, &signed.signature);
        if found != Some(worker.signing) {
            return Err(Refusal::WrongSigner { found, wanted: worker.signing });
        }
        Ok(worker)
    }
}
