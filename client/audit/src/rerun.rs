//! The head, run again by whoever holds it: the worker signed what the head gives, and nothing else.

use crate::{
    job::JobBundle,
    report::{Checks, Report},
};
use encompute_envelope::{SecretSeed, lock_in_common};
use encompute_fhe::{BlindingKey, EncryptedTensor, EvaluationKey, PreparedBlindingKey, PreparedEvaluationKey};
use encompute_head::{BlindedFor, CompiledHead, Given, RoundRun, Segment, SegmentState};
use encompute_protocol::{BlobDigest, JobRequest, RoundIndex, RoundReceipt, Transcript, wire::Message};
use zeroize::Zeroizing;

/// Begins the limit of a report that a rerun takes away.
pub(crate) const WITHOUT_WEIGHTS: &str = "cannot check: the head's arithmetic without its weights";

/// Adds to a job's report what its head gives when it is run again: every round whose request is in the bundle, segment
/// by segment, to the bit. The report says which were not compared.
///
/// `key` is the user's evaluation key, for a head with look-ups under encryption.
pub fn rerun(mut report: Report, bundle: &JobBundle, head: &CompiledHead, key: Option<&EvaluationKey>) -> Report {
    let mut checks = Checks::default();
    let unseen = compare(bundle, head, key, &mut checks);
    report.limits.retain(|limit| !limit.starts_with(WITHOUT_WEIGHTS));
    report.limits.extend(unseen);
    report.checks.append(&mut checks.0);
    if !report.holds() {
        report.verdict = "fail";
    }
    report
}

/// Says what could not be compared, if anything.
fn compare(
    bundle: &JobBundle,
    head: &CompiledHead,
    key: Option<&EvaluationKey>,
    checks: &mut Checks,
) -> Option<String> {
    checks.same("rerun-head", bundle.split.head, head.digest(), "chain: split record");
    if bundle.split.head != head.digest() {
        return None;
    }
    if bundle.progress.output.is_none() {
        return Some("cannot check: the head's arithmetic, no worker has committed to any".to_owned());
    }
    let (transcript, mut machine) = machine(bundle, head, key, checks)?;
    let mut unseen = Vec::new();
    for (number, (signed, _)) in (0..).map(RoundIndex).zip(&transcript.rounds) {
        let given = match machine.give(bundle, number, signed) {
            None => {
                unseen.push(number.to_string());
                continue;
            }
            Some(given) => given,
        };
        // An honest worker signs no answer to what is no request.
        let given = given.map_or_else(|refusal| format!("nothing: {refusal}"), |digest| digest.to_string());
        checks.same(&format!("rerun-{number}-response"), given, signed.response, "the head, run again");
    }
    (!unseen.is_empty()).then(|| {
        format!("cannot check: the arithmetic of rounds {}, whose requests are not in the store", unseen.join(", "))
    })
}

/// A head about to be run again for one job.
struct Machine<'a> {
    head: &'a CompiledHead,
    secret: Zeroizing<[u8; 32]>,
    tensor: EncryptedTensor,
    blinding: PreparedBlindingKey,
    evaluation: Option<PreparedEvaluationKey>,
    /// What the last segment gave for the next to go on from.
    state: Option<SegmentState>,
}

/// The transcript of a job, and its head with everything that it takes; nothing in the job has been checked before,
/// except that blobs have their digests.
fn machine<'a>(
    bundle: &JobBundle,
    head: &'a CompiledHead,
    key: Option<&EvaluationKey>,
    checks: &mut Checks,
) -> Option<(Transcript, Machine<'a>)> {
    let blob = |digest: BlobDigest| bundle.blobs.get(&digest);
    let transcript = blob(bundle.progress.output?).map(|bytes| Transcript::from_wire(bytes));
    let request = blob(bundle.terms.input).map(|bytes| JobRequest::from_wire(bytes));
    let (Some(transcript), Some(request)) = (transcript, request) else {
        checks.missing("rerun-request", "the job's request and transcript", "chain: job terms and progress");
        return None;
    };
    let set = head.plan().mode().bootstrap_set();
    if set != key.map(EvaluationKey::set) {
        let words = |set: Option<_>| set.map_or("none".to_owned(), |set| format!("one of {set}"));
        let found = key.map_or(crate::MISSING.to_owned(), |key| words(Some(key.set())));
        checks.holds("rerun-evaluation-key", false, words(set), found, "request blob");
        return None;
    }
    // What is no transcript or no request has failed by its own check already.
    let (transcript, request) = (transcript.ok()?, request.ok()?);
    let tensor = EncryptedTensor::from_bytes(request.tensor.as_slice()).map_err(|error| error.to_string());
    let blinding = BlindingKey::from_bytes(request.rerandomisation.as_slice()).map_err(|error| error.to_string());
    let blinding = blinding.and_then(|key| head.prepare_key(&key).map_err(|error| error.to_string()));
    let evaluation = key.map(|key| head.prepare_evaluation_key(key).map_err(|error| error.to_string())).transpose();
    match (tensor, blinding, evaluation) {
        (Ok(tensor), Ok(blinding), Ok(evaluation)) => {
            let secret = head.state_secret();
            Some((transcript, Machine { head, secret, tensor, blinding, evaluation, state: None }))
        }
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
            checks.holds("rerun-request", false, "a request for this head", error, "request blob");
            None
        }
    }
}

impl Machine<'_> {
    /// What a receipt of this number should name as its response; none where its request is not at hand.
    fn give(
        &mut self,
        bundle: &JobBundle,
        number: RoundIndex,
        signed: &RoundReceipt,
    ) -> Option<Result<BlobDigest, String>> {
        let Some(segment) = self.head.plan().segment(number) else {
            return Some(Err("the head has no such round".to_owned()));
        };
        let tensor = match (segment.is_first(), number) {
            (false, _) => None,
            (true, RoundIndex(0)) => Some(self.tensor.clone()),
            (true, _) => match EncryptedTensor::from_bytes(bundle.blobs.get(&signed.request)?) {
                Ok(tensor) => Some(tensor),
                Err(error) => return Some(Err(error.to_string())),
            },
        };
        let state = self.state.take();
        // Behind a round that was not run there is nothing to go on from.
        if tensor.is_none() && state.is_none() {
            return None;
        }
        let seed = BlindedFor::Job.seed(&self.secret, &bundle.terms.input, number, &signed.request);
        Some(self.run(segment, tensor, state, &seed))
    }

    fn run(
        &mut self,
        segment: Segment,
        tensor: Option<EncryptedTensor>,
        state: Option<SegmentState>,
        seed: &encompute_fhe::BlindingSeed,
    ) -> Result<BlobDigest, String> {
        let (head, evaluation) = (self.head, self.evaluation.as_ref());
        let begun = match (tensor, state) {
            (Some(tensor), _) => RoundRun::begin(head, segment.round, &tensor, evaluation),
            (None, Some(state)) => RoundRun::go_on(head, segment, &state, evaluation),
            (None, None) => return Err("nothing to go on from".to_owned()),
        };
        let words = |error: encompute_head::EvaluateError| error.to_string();
        let mut run = begun.map_err(words)?;
        while !run.advance(head, evaluation, usize::MAX).map_err(words)? {}
        match run.finish(head, &self.blinding, evaluation, seed).map_err(words)? {
            Given::Response(response) => Ok(BlobDigest::of(&response.to_bytes())),
            Given::State(state) => {
                let secret = SecretSeed::from_bytes(*self.secret);
                let sealed = lock_in_common(&secret, &state.to_bytes()).map_err(|error| error.to_string())?;
                self.state = Some(state);
                Ok(BlobDigest::of(&sealed))
            }
        }
    }
}
