//! The head is committed: verify, decrypt, release, seal, send.

use crate::{
    driver::Runner,
    error::JobError,
    head::{JobHead, go_on, run_up_to},
    journal::{Journal, Record, RoundDone},
    order::{plan_of, split_of},
    report::{Step, Watch},
    report::{begin, end},
    rounds::{Correspondence, RoundTrip, Verified},
};
use encompute_audit::verify_commitment;
use encompute_chain::SubmitJob;
use encompute_envelope::{Context, RecipientPublic, Subject};
use encompute_head::HeadPlan;
use encompute_protocol::{
    BlobDigest, JobId, JobProgress, JobTerms, Plancks, RoundIndex, Transcript, VersionManifest, call::SendFeatures,
    manifest::ReleasedFeatures, wire::Message,
};
use encompute_release::{CheckedPolicy, InputIdentity, ReleaseContext};
use encompute_store::{Blobs, ByteLimit};
use std::sync::Arc;

/// A commitment that holds; nothing of its last response is decrypted yet.
pub(crate) struct Committed {
    plan: Arc<HeadPlan>,
    correspondence: Correspondence,
    last: RoundIndex,
    verified: Verified,
}

impl<M: SubmitJob> Runner<M> {
    /// Verifies the commitment, decrypts the last response, releases, seals and sends.
    pub(crate) async fn release(
        &self,
        journal: &mut Journal,
        job: JobId,
        terms: JobTerms,
        progress: JobProgress,
        in_hand: Option<JobHead>,
        watch: &mut (impl Watch + Send),
    ) -> Result<(), JobError> {
        let manifest = self.manifest(journal).await?;
        if journal.record().features.is_none() {
            let began = begin(watch, Step::Release);
            let sealed = self.sealed_features(journal, job, (terms, progress), &manifest, in_hand, watch).await?;
            let digest = journal.keep(&sealed)?;
            journal.update(|record| record.features = Some(digest))?;
            end(watch, Step::Release, began);
        }
        let Some(features) = journal.record().features else { return Ok(()) };
        let began = begin(watch, Step::Send);
        self.put("the sealed features", journal.kept(&features)?).await?;
        let sent =
            self.services.market.submit(SendFeatures { job, policy: terms.policy, features }, Plancks::ZERO).await;
        self.unless_suspended(job, sent, "send the features").await?;
        end(watch, Step::Send, began);
        Ok(())
    }

    /// The transcript that the chain names.
    async fn transcript(&self, progress: &JobProgress) -> Result<Vec<u8>, JobError> {
        let digest = progress.output.unwrap_or_default();
        let limit = ByteLimit(Transcript::LIMIT_BYTES as u64);
        let bytes = self.services.blobs.get(digest, limit).await;
        bytes.map(Into::into).map_err(|source| JobError::Fetch { what: "the transcript", digest, source })
    }

    /// A head may be committed before the client has its last answer: it need not ask for the only one, and
    /// may have been cut off while it waited. The answer is in the store then, and is checked like one that
    /// the worker sends. `count` rounds are at least one.
    async fn adopt_last_round(
        &self,
        journal: &mut Journal,
        trip: &RoundTrip<'_>,
        count: usize,
        transcript: &[u8],
    ) -> Result<(), JobError> {
        let round = RoundIndex(count as u16 - 1);
        let digest = trip.response_in(round, transcript)?;
        let limit = ByteLimit(encompute_fhe::EncryptedFeatures::LIMIT_BYTES as u64);
        let response = self.services.blobs.get(digest, limit).await;
        let response = response.map_err(|source| JobError::Fetch { what: "the worker's response", digest, source })?;
        let Record { rounds, tensor, .. } = journal.record();
        let verified = trip.recheck(round, rounds, *tensor, &response, transcript)?;
        journal.keep(&response)?;
        journal
            .update(|record| {
                record.rounds.truncate(count - 1);
                record.rounds.push(trip.done(&verified, BlobDigest::of(&[])));
                record.bytes.1 += verified.bytes as u64;
            })
            .map_err(JobError::Journal)
    }

    /// Verifies what the worker committed, down to the bytes of the last response.
    pub(crate) async fn verified_commitment(
        &self,
        journal: &mut Journal,
        job: JobId,
        (terms, progress): (JobTerms, JobProgress),
        manifest: &VersionManifest,
    ) -> Result<Committed, JobError> {
        let plan = Arc::new(plan_of(split_of(manifest, terms.split)?)?);
        let correspondence = self.correspondence(journal, job, terms, progress).await?;
        let (facts, trip) = (&correspondence.facts, correspondence.trip(&plan));
        let transcript = self.transcript(&progress).await?;
        let (done, count) = (&journal.record().rounds, plan.segments().len());
        if let Some(answered) = rounds_without_us(done, count, &transcript) {
            return Err(JobError::Unfinished { job, answered, rounds: count });
        }
        // A worker that took over has answered the only round without being asked.
        let other =
            count == 1 && done.first().map(|done| done.response) != Some(trip.response_in(RoundIndex(0), &transcript)?);
        if done.len() + 1 == count || other {
            self.adopt_last_round(journal, &trip, count, &transcript).await?;
        }
        let rounds = &journal.record().rounds;
        let last =
            rounds.last().copied().ok_or_else(|| JobError::Plan { found: "no round of this job was seen".into() })?;
        let links: Vec<_> = rounds.iter().map(|round| round.link).collect();
        verify_commitment(facts, &transcript, count, &links)?;
        let index = RoundIndex(rounds.len() as u16 - 1);
        let verified =
            trip.recheck(index, rounds, journal.record().tensor, &journal.kept(&last.response)?, &transcript)?;
        Ok(Committed { plan, correspondence, last: index, verified })
    }

    pub(crate) async fn sealed_features(
        &self,
        journal: &mut Journal,
        job: JobId,
        (terms, progress): (JobTerms, JobProgress),
        manifest: &VersionManifest,
        in_hand: Option<JobHead>,
        watch: &mut (impl Watch + Send),
    ) -> Result<Vec<u8>, JobError> {
        let split = split_of(manifest, terms.split)?;
        let committed = self.verified_commitment(journal, job, (terms, progress), manifest).await?;
        let Committed { plan, correspondence, last, verified } = committed;
        let (facts, trip) = (&correspondence.facts, correspondence.trip(&plan));
        let mut run = run_up_to(usize::from(last.0), in_hand, journal, &trip)?;
        go_on(&mut run, &trip.decrypt(last, &verified)?)?;
        let unfinished = || JobError::Plan { found: "the client's half asks for a further round".into() };
        let features = run.features().ok_or_else(unfinished)?;
        let policy = CheckedPolicy::of_split(split, terms.policy).map_err(JobError::Policy)?;
        let context = ReleaseContext { version: manifest.hash(), split: terms.split, policy: terms.policy };
        let identity = InputIdentity::from_bytes(journal.record().identity);
        let released = self.releaser.release(&features, &identity, &context, &policy).map_err(JobError::Release)?;
        if !watch.consents(&released.codes).await {
            return Err(JobError::Declined(job));
        }
        watch.released(&released.codes);
        let message = ReleasedFeatures { job, policy: terms.policy, codes: released.codes };
        let sealing = |found: String| JobError::Crypto { doing: "seal the features", found };
        let creator =
            RecipientPublic::from_bytes(manifest.creator_key.as_slice()).map_err(|error| sealing(error.to_string()))?;
        let context = Context { genesis: facts.genesis, contract: facts.contract, subject: Subject::Features { job } };
        let envelope = encompute_envelope::seal(&creator, &context, &message.to_wire())
            .map_err(|error| sealing(error.to_string()))?;
        Ok(envelope.as_bytes().to_vec())
    }
}

/// How many rounds a worker has committed that waited in vain for the next: all that we saw, perhaps more that
/// were answered while we were gone, but not all `count`. None for anything else, a transcript of fewer rounds than
/// it gave us answers to among it: that is a worker's lie, and refused as one.
fn rounds_without_us(done: &[RoundDone], count: usize, transcript: &[u8]) -> Option<usize> {
    let rounds = Transcript::from_wire(transcript).ok()?.rounds;
    let are_ours = rounds.iter().zip(done).all(|((receipt, _), done)| receipt.link() == done.link);
    (are_ours && done.len() <= rounds.len() && rounds.len() < count).then_some(rounds.len())
}
