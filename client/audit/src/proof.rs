//! Who ran the head, by whose word, and what it signed: registration, receipt, transcript.

use crate::{job::JobBundle, report::Checks, trust::Judge};
use encompute_attest::{RegistrationFacts, UnixSeconds, appraise_registration};
use encompute_lifecycle::ReceiptFacts;
use encompute_protocol::{
    Address, BlobDigest, JobRequest, ReceiptDigest, RoundReceipt, RoundReceiptDigest, Signed, Transcript, WorkerRecord,
    event::Event, wire::Message,
};

pub(crate) fn worker(bundle: &JobBundle, judge: &Judge, now: UnixSeconds, checks: &mut Checks) {
    let Some((account, record)) = &bundle.worker else {
        return checks.missing("worker-registration", "a registered worker", "chain: worker record");
    };
    let at = bundle.progress.claimed_at;
    let allowed = bundle
        .measurement
        .is_some_and(|entry| entry.valid_from <= at && entry.revoked_at.is_none_or(|revoked| revoked > at));
    checks.holds(
        "worker-measurement-allowed",
        allowed,
        format!("on the allow-list at block {at}"),
        record.measurement,
        "chain: measurements",
    );
    let valid = record.registered_at <= at && at < record.expires_at;
    checks.holds(
        "worker-registration-valid",
        valid,
        format!("valid at block {at}"),
        format!("{} to {}", record.registered_at, record.expires_at),
        "chain: worker record",
    );
    let Some(evidence) = bundle.blobs.get(&record.evidence) else {
        return checks.missing("worker-evidence", record.evidence, "chain: worker record");
    };
    let facts = RegistrationFacts { genesis: bundle.genesis, contract: bundle.contract, account: *account, record, at };
    for check in appraise_registration(evidence, &facts, &judge.root, &judge.policy, now).checks {
        checks.holds(&format!("worker-{}", check.id), check.pass, check.expected, check.actual, check.source);
    }
}

/// What the chain says that the receipt must say.
fn receipt_facts(bundle: &JobBundle, worker: Address, registration: WorkerRecord) -> ReceiptFacts {
    ReceiptFacts {
        genesis: bundle.genesis,
        contract: bundle.contract,
        job: bundle.job,
        terms: bundle.terms,
        claimed_at: bundle.progress.claimed_at,
        version: bundle.version,
        split: bundle.split,
        worker,
        registration,
    }
}

pub(crate) fn receipt(bundle: &JobBundle, checks: &mut Checks) {
    let (Some((account, record)), Some(output)) = (&bundle.worker, bundle.progress.output) else { return };
    let committed = bundle.events.iter().find_map(|(block, event)| match event {
        Event::HeadCommitted(committed) => Some((*block, committed)),
        _ => None,
    });
    let Some((block, committed)) = committed else {
        return checks.missing("receipt-event", "a HeadCommitted event", "chain: events");
    };
    checks.same("receipt-worker", account, committed.worker, "chain: job progress");
    checks.same("receipt-output", output, committed.output, "chain: job progress");
    let receipt = receipt_facts(bundle, *account, *record).receipt(output, bundle.progress.finished_at);
    let digest = ReceiptDigest(receipt.digest());
    checks.same("receipt-digest", digest, committed.receipt, "rebuilt from facts of the chain");
    let finished = committed.finished_at;
    let within = bundle.progress.claimed_at <= finished && finished <= block;
    checks.holds(
        "receipt-time",
        within,
        format!("between {} and {block}", bundle.progress.claimed_at),
        finished,
        "chain: events",
    );
}

pub(crate) fn transcript(bundle: &JobBundle, request: Option<&JobRequest>, checks: &mut Checks) {
    let (Some((_, record)), Some(output)) = (&bundle.worker, bundle.progress.output) else { return };
    let Some(bytes) = bundle.blobs.get(&output) else {
        return checks.missing("transcript-blob", output, "chain: job progress");
    };
    checks.same("transcript-digest", output, BlobDigest::of(bytes), "chain: job progress");
    let transcript = match Transcript::from_wire(bytes) {
        Ok(transcript) => transcript,
        Err(error) => return checks.holds("transcript-bytes", false, "a transcript", error, "protocol"),
    };
    checks.holds(
        "transcript-rounds",
        !transcript.rounds.is_empty(),
        "at least one round",
        transcript.rounds.len(),
        "protocol",
    );
    let mut previous = RoundReceiptDigest::default();
    for (index, (receipt, signature)) in transcript.rounds.iter().enumerate() {
        let id = |what: &str| format!("round-{index}-{what}");
        let RoundReceipt {
            genesis,
            contract,
            job,
            round,
            head,
            request: asked,
            response,
            previous: before,
            registration_nonce,
        } = *receipt;
        checks.same(&id("genesis"), bundle.genesis, genesis, "chain: genesis");
        checks.same(&id("contract"), bundle.contract, contract, "chain: contract");
        checks.same(&id("job"), bundle.job, job, "chain: job");
        checks.same(&id("index"), index, round, "order in the transcript");
        checks.same(&id("head"), bundle.split.head, head, "chain: split record");
        checks.same(&id("nonce"), record.nonce, registration_nonce, "chain: worker record");
        checks.same(&id("link"), previous, before, "receipt of the round before");
        if let (0, Some(request)) = (index, request) {
            checks.same(&id("request"), BlobDigest::of(request.tensor.as_slice()), asked, "request blob");
        }
        if let Some(bytes) = bundle.blobs.get(&response) {
            checks.same(&id("response"), response, BlobDigest::of(bytes), "response blob");
        }
        let signer = signature.signer_over(receipt).map_or("nobody".into(), |signer| signer.to_string());
        checks.same(&id("signature"), record.signing, signer, "chain: worker record");
        previous = receipt.link();
    }
}
