//! The audit of one job: everything that chain, blobs and quotes say, held against each other.

use crate::{
    report::{Checks, Report},
    trust::Judge,
};
use encompute_attest::{RegistrationFacts, RootKind, UnixSeconds, appraise_registration};
use encompute_lifecycle::{Outcome, ReceiptFacts, Settlement, outcome::Party, price::Price};
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, ContractAddress, GenesisHash, JobId, JobProgress, JobRequest, JobTerms, Params, Plancks,
    Reason, ReceiptDigest, RoundReceipt, RoundReceiptDigest, Signed, SplitRecord, Stage, Transcript, VersionManifest,
    VersionRecord, WorkerRecord,
    event::{Cause, Event, JobStageChanged},
    market::MeasurementRecord,
    wire::Message,
};
use std::collections::BTreeMap;

/// Everything that an audit of a job reads. Nothing in it is trusted: the chain's facts come from the
/// auditor's own node, blobs are named by their digests.
pub struct JobBundle {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The job.
    pub job: JobId,
    /// What was bought.
    pub terms: JobTerms,
    /// How far it came.
    pub progress: JobProgress,
    /// Its events in order, with their blocks.
    pub events: Vec<(BlockNumber, Event)>,
    /// The version.
    pub version: VersionRecord,
    /// The split.
    pub split: SplitRecord,
    /// The model's creator.
    pub creator: Address,
    /// Parameters now.
    pub params: Params,
    /// When parameters last changed, if they ever did.
    pub params_changed_at: Option<BlockNumber>,
    /// The worker and its registration at the block of the commitment, if it came so far.
    pub worker: Option<(Address, WorkerRecord)>,
    /// Its measurement's entry on the allow-list.
    pub measurement: Option<MeasurementRecord>,
    /// Blobs that could be fetched.
    pub blobs: BTreeMap<BlobDigest, Vec<u8>>,
}

/// Audits a job under a root and policy, at a time.
pub fn audit_job(bundle: &JobBundle, judge: &Judge, now: UnixSeconds) -> Report {
    let mut checks = Checks::default();
    let manifest = manifest(bundle, &mut checks);
    let request = request(bundle, &mut checks);
    price(bundle, &mut checks);
    stages(bundle, &mut checks);
    if bundle.progress.output.is_some() {
        worker(bundle, judge, now, &mut checks);
        receipt(bundle, &mut checks);
        transcript(bundle, request.as_ref(), &mut checks);
    }
    exchange(bundle, manifest.as_ref(), &mut checks);
    credits(bundle, &mut checks);
    checks.into_report(&judge.root, limits(bundle, judge))
}

fn limits(bundle: &JobBundle, judge: &Judge) -> Vec<String> {
    let mut limits = vec![
        "cannot check: what the image shows, or whether the prediction is right".to_owned(),
        "cannot check: that the features were released as the policy says; only the user saw them".to_owned(),
        "cannot check: that the tail which ran is the one committed to; its inputs and outputs are sealed".to_owned(),
        "cannot check: the head's arithmetic without its weights; their holder can re-run the job bit for bit".to_owned(),
    ];
    if judge.root.kind() == RootKind::Development {
        limits.insert(0, "SIMULATED attestation: quotes end in a development root and prove nothing about a machine".to_owned());
    }
    if bundle.params_changed_at.is_some_and(|changed| changed >= bundle.terms.requested_at) {
        limits.push("cannot check: the price, parameters have changed since the request".to_owned());
    }
    limits
}

fn manifest(bundle: &JobBundle, checks: &mut Checks) -> Option<VersionManifest> {
    let digest = BlobDigest(bundle.version.manifest.0);
    let Some(bytes) = bundle.blobs.get(&digest) else {
        checks.missing("manifest-blob", digest, "chain: version record");
        return None;
    };
    checks.same("manifest-hash", digest, BlobDigest::of(bytes), "chain: version record");
    let manifest = match VersionManifest::from_wire(bytes) {
        Ok(manifest) => manifest,
        Err(error) => {
            checks.holds("manifest-bytes", false, "a version manifest", error, "protocol");
            return None;
        }
    };
    checks.same("manifest-creator", bundle.creator, manifest.creator, "chain: model record");
    let Some(split) = manifest.splits.get(usize::from(bundle.terms.split.0)) else {
        checks.missing("manifest-split", format!("split {}", bundle.terms.split), "chain: job terms");
        return Some(manifest);
    };
    checks.same("split-head", bundle.split.head, split.head, "chain: split record");
    checks.same("split-tail", bundle.split.tail, split.tail, "chain: split record");
    checks.same("split-cost", bundle.split.cost.0, split.cost.units.0, "chain: split record");
    let policy = split.policies.iter().any(|policy| policy.id == bundle.terms.policy);
    checks.holds("split-policy", policy, format!("policy {} in the manifest", bundle.terms.policy), policy, "chain: job terms");
    checks.holds("failure-bound", split.failure_bits >= 128, "at least 128 bits", split.failure_bits, "manifest");
    Some(manifest)
}

fn request(bundle: &JobBundle, checks: &mut Checks) -> Option<JobRequest> {
    let terms = &bundle.terms;
    let Some(bytes) = bundle.blobs.get(&terms.input) else {
        checks.missing("request-blob", terms.input, "chain: job terms");
        return None;
    };
    checks.same("request-digest", terms.input, BlobDigest::of(bytes), "chain: job terms");
    let request = match JobRequest::from_wire(bytes) {
        Ok(request) => request,
        Err(error) => {
            checks.holds("request-bytes", false, "a job request", error, "protocol");
            return None;
        }
    };
    checks.same("request-genesis", bundle.genesis, request.genesis, "chain: genesis");
    checks.same("request-contract", bundle.contract, request.contract, "chain: contract");
    checks.same("request-user", terms.user, request.user, "chain: job terms");
    checks.same("request-manifest", bundle.version.manifest, request.manifest, "chain: version record");
    checks.same("request-split", terms.split, request.split, "chain: job terms");
    checks.same("request-policy", terms.policy, request.policy, "chain: job terms");
    Some(request)
}

fn price(bundle: &JobBundle, checks: &mut Checks) {
    let terms = &bundle.terms;
    let requested = bundle.events.iter().find_map(|(_, event)| match event {
        Event::JobRequested(requested) => Some(requested),
        _ => None,
    });
    match requested {
        Some(requested) => {
            checks.same("escrow-event", format!("{:?}", terms.fees), format!("{:?}", requested.fees), "chain: job terms");
            checks.same("input-event", terms.input, requested.input, "chain: job terms");
        }
        None => checks.missing("escrow-event", "a JobRequested event", "chain: events"),
    }
    if bundle.params_changed_at.is_some_and(|changed| changed >= terms.requested_at) {
        return;
    }
    let expected = Price::of(&bundle.params, &bundle.split, terms.fees.tip).map(|price| format!("{:?}", price.fees));
    let expected = expected.unwrap_or_else(|refusal| refusal.to_string());
    checks.same("price", expected, format!("{:?}", terms.fees), "chain: parameters and split record");
}

/// Which stage may follow which.
fn follows(from: Option<Stage>, to: Stage) -> bool {
    use Stage::{Cancelled, Claimed, Failed, FeaturesSent, HeadCommitted, Requested, ResultCommitted, Settled};
    matches!(
        (from, to),
        (None, Requested)
            | (Some(Requested), Claimed | Failed | Cancelled)
            | (Some(Claimed), Requested | HeadCommitted | Failed)
            | (Some(HeadCommitted), FeaturesSent | Settled | Failed | Cancelled)
            | (Some(FeaturesSent), ResultCommitted | Failed)
            | (Some(ResultCommitted), Settled)
    )
}

fn stages(bundle: &JobBundle, checks: &mut Checks) {
    let changes: Vec<(BlockNumber, &JobStageChanged)> = bundle
        .events
        .iter()
        .filter_map(|(block, event)| match event {
            Event::JobStageChanged(changed) => Some((*block, changed)),
            _ => None,
        })
        .collect();
    let mut at = None;
    let mut deadline = BlockNumber(u32::MAX);
    for (block, changed) in &changes {
        let step = format!("{:?} → {:?}", changed.from, changed.to);
        let allowed = changed.from == at && follows(changed.from, changed.to);
        checks.holds("stage-order", allowed, format!("a step from {at:?}"), &step, "lifecycle");
        // Whoever acts for the job's progress acts in time; failing and settling late is what pokes are for.
        let in_time = matches!(changed.to, Stage::Claimed | Stage::HeadCommitted | Stage::FeaturesSent | Stage::ResultCommitted);
        if in_time {
            checks.holds("stage-window", *block <= deadline, format!("{step} by block {deadline}"), block, "chain: events");
        }
        (at, deadline) = (Some(changed.to), changed.deadline);
    }
    checks.same("stage-last", format!("{:?}", Some(bundle.progress.stage)), format!("{at:?}"), "chain: job progress");
}

fn worker(bundle: &JobBundle, judge: &Judge, now: UnixSeconds, checks: &mut Checks) {
    let Some((account, record)) = &bundle.worker else {
        return checks.missing("worker-registration", "a registered worker", "chain: worker record");
    };
    let at = bundle.progress.claimed_at;
    let allowed = bundle.measurement.is_some_and(|entry| entry.valid_from <= at && entry.revoked_at.is_none_or(|revoked| revoked > at));
    checks.holds("worker-measurement-allowed", allowed, format!("on the allow-list at block {at}"), record.measurement, "chain: measurements");
    let valid = record.registered_at <= at && at < record.expires_at;
    checks.holds("worker-registration-valid", valid, format!("valid at block {at}"), format!("{} to {}", record.registered_at, record.expires_at), "chain: worker record");
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

fn receipt(bundle: &JobBundle, checks: &mut Checks) {
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
    checks.holds("receipt-time", within, format!("between {} and {block}", bundle.progress.claimed_at), finished, "chain: events");
}

fn transcript(bundle: &JobBundle, request: Option<&JobRequest>, checks: &mut Checks) {
    let (Some((_, record)), Some(output)) = (&bundle.worker, bundle.progress.output) else { return };
    let Some(bytes) = bundle.blobs.get(&output) else {
        return checks.missing("transcript-blob", output, "chain: job progress");
    };
    checks.same("transcript-digest", output, BlobDigest::of(bytes), "chain: job progress");
    let transcript = match Transcript::from_wire(bytes) {
        Ok(transcript) => transcript,
        Err(error) => return checks.holds("transcript-bytes", false, "a transcript", error, "protocol"),
    };
    checks.holds("transcript-rounds", !transcript.rounds.is_empty(), "at least one round", transcript.rounds.len(), "protocol");
    let mut previous = RoundReceiptDigest::default();
    for (index, (receipt, signature)) in transcript.rounds.iter().enumerate() {
        let id = |what: &str| format!("round-{index}-{what}");
        let RoundReceipt { genesis, contract, job, round, head, request: asked, response, previous: before, registration_nonce } = *receipt;
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

fn exchange(bundle: &JobBundle, manifest: Option<&VersionManifest>, checks: &mut Checks) {
    let named = |wanted: fn(&Event) -> Option<BlobDigest>| bundle.events.iter().find_map(|(_, event)| wanted(event));
    let features = named(|event| if let Event::FeaturesSent(sent) = event { Some(sent.features) } else { None });
    let result = named(|event| if let Event::ResultCommitted(sent) = event { Some(sent.result) } else { None });
    for (id, found, event) in [("features", bundle.progress.features, features), ("result", bundle.progress.result, result)] {
        let Some(digest) = found else { continue };
        checks.same(&format!("{id}-event"), digest, event.unwrap_or_default(), "chain: events");
        match bundle.blobs.get(&digest) {
            Some(bytes) => checks.same(&format!("{id}-digest"), digest, BlobDigest::of(bytes), "chain: job progress"),
            None => checks.missing(&format!("{id}-blob"), digest, "chain: job progress"),
        }
    }
    if let Some(manifest) = manifest {
        checks.holds("labels", manifest.labels.len() >= 2, "at least two classes", manifest.labels.len(), "manifest");
    }
}

/// How the job ended, as far as money goes; none while it runs.
fn outcome(progress: &JobProgress) -> Option<Outcome> {
    match (progress.stage, progress.reason) {
        (Stage::Settled, _) => Some(Outcome::Settled),
        (Stage::Failed, Some(Reason::WorkerTimeout)) => Some(Outcome::TimedOut),
        (Stage::Failed, Some(Reason::CreatorTimeout | Reason::CreatorRefused)) => Some(Outcome::CreatorFailed),
        (Stage::Failed, Some(Reason::UserNoShow)) => Some(Outcome::Stopped),
        (Stage::Cancelled, _) if progress.output.is_some() => Some(Outcome::Stopped),
        (Stage::Failed | Stage::Cancelled, _) => Some(Outcome::Refunded),
        _ => None,
    }
}

fn credits(bundle: &JobBundle, checks: &mut Checks) {
    let credited = |wanted: &dyn Fn(Cause) -> bool| -> u128 {
        let amounts = bundle.events.iter().filter_map(|(_, event)| match event {
            Event::Credited(credited) if wanted(credited.cause) => Some(credited.amount.0),
            _ => None,
        });
        amounts.sum()
    };
    let Some(outcome) = outcome(&bundle.progress) else {
        let paid = credited(&|cause| cause != Cause::Slash);
        return checks.same("credits-none-yet", 0, paid, "lifecycle: escrow is credited at the end");
    };
    let Some(settlement) = Settlement::of(&bundle.terms, outcome) else {
        return checks.missing("credits-table", "a computable settlement", "job terms");
    };
    // Retries slashed earlier, each by the table of its own.
    let retried = Settlement::of(&bundle.terms, Outcome::Retried).map_or(0, |retry| retry.stake_slashed.0);
    let retries = u128::from(bundle.progress.timeouts) - u128::from(outcome == Outcome::TimedOut && bundle.progress.timeouts > 0);
    for cause in [Cause::HeadFee, Cause::Tip, Cause::TailFee, Cause::StopFee, Cause::ProtocolFee, Cause::Refund] {
        let due: u128 = settlement.lines.iter().filter(|line| line.cause == cause).map(|line| line.amount.0).sum();
        let id = format!("credit-{cause:?}").to_lowercase();
        checks.same(&id, Plancks(due), Plancks(credited(&|found| found == cause)), "refund table over the job's terms");
    }
    let slashed = settlement.stake_slashed.0 + settlement.bond_slashed.0 + retries * retried;
    checks.same("credit-slash", Plancks(slashed), Plancks(credited(&|cause| cause == Cause::Slash)), "refund table over the job's terms");
    recipients(bundle, &settlement, checks);
}

/// Each line of the table went to the account it is due to. The treasury is whoever parameters named then.
fn recipients(bundle: &JobBundle, settlement: &Settlement, checks: &mut Checks) {
    let payout = bundle.worker.as_ref().map(|(_, record)| record.payout);
    for line in &settlement.lines {
        let due = match line.party {
            Party::User => Some(bundle.terms.user),
            Party::Worker => payout,
            Party::Creator => Some(bundle.creator),
            Party::Treasury | Party::Poker => None,
        };
        let Some(due) = due else { continue };
        let paid = bundle.events.iter().any(|(_, event)| {
            matches!(event, Event::Credited(credited) if credited.account == due && credited.cause == line.cause && credited.amount == line.amount)
        });
        let id = format!("paid-{:?}-{:?}", line.party, line.cause).to_lowercase();
        checks.holds(&id, paid, format!("{} to {due}", line.amount), if paid { "credited" } else { "not credited" }, "chain: events");
    }
}
