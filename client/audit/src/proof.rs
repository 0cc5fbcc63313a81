//! Who ran the head, by whose word, and what it signed: registration, receipt, transcript.

use crate::{
    job::JobBundle,
    report::Checks,
    when::{Counted, Judged},
};
use encompute_attest::{RegistrationFacts, Verdict, appraise_registration, network::Judge};
use encompute_head::HeadPlan;
use encompute_lifecycle::ReceiptFacts;
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, JobRequest, ReceiptDigest, RoundIndex, RoundReceipt, RoundReceiptDigest, Signed,
    Transcript, WorkerRecord,
    event::Event,
    market::{MeasurementRecord, PlatformRecord},
    wire::Message,
};

/// The worker's right to the job: its code allowed and its registration valid from the claim to the block
/// that counts, its evidence good as of that block. Says how the evidence was judged, if it was.
pub(crate) fn worker(bundle: &JobBundle, judge: &Judge, checks: &mut Checks) -> Option<Judged> {
    let counted = Counted::of(&bundle.events);
    if counted.is_none() && bundle.progress.worker.is_none() {
        return None;
    }
    let (Some((account, record)), Some(counted)) = (&bundle.worker, counted) else {
        checks.missing("worker-registration", "a registered worker and its claim", "chain: worker record, events");
        return None;
    };
    let (from, at) = (bundle.progress.claimed_at, counted.block);
    let (code, machine) = (bundle.measurement.map(Entry::from), bundle.platform.map(Entry::from));
    listed(record, code, machine, from, at, checks);
    let valid = record.registered_at <= from && at < record.expires_at;
    checks.holds(
        "worker-registration-valid",
        valid,
        format!("valid from block {from} to {at}"),
        format!("{} to {}", record.registered_at, record.expires_at),
        "chain: worker record",
    );
    let Some(evidence) = bundle.blobs.get(&record.evidence) else {
        checks.missing("worker-evidence", record.evidence, "chain: worker record");
        return None;
    };
    let Some(time) = bundle.counted_at else {
        checks.missing("worker-evidence-time", format!("the time of block {at}"), "chain: timestamp");
        return None;
    };
    let facts = RegistrationFacts { genesis: bundle.genesis, contract: bundle.contract, account: *account, record, at };
    let appraisal = appraise_registration(evidence, &facts, &judge.root, &judge.policy, time);
    let verdict = appraisal.verdict;
    for check in appraisal.checks {
        checks.holds(&format!("worker-{}", check.id), check.pass, check.expected, check.actual, check.source);
    }
    image(verdict.as_ref(), judge, checks);
    let collateral_expires_at = verdict.map(|verdict| verdict.claims.collateral_expires_at);
    Some(Judged { counted, time, collateral_expires_at })
}

/// The image that the worker's domain booted is one that the judge knows by name; nothing where no image is known.
pub(crate) fn image(verdict: Option<&Verdict>, judge: &Judge, checks: &mut Checks) {
    let Some(verdict) = verdict.filter(|_| !judge.images.is_empty()) else { return };
    let names: Vec<&str> = judge.images.iter().map(|image| image.name.as_str()).collect();
    let found = judge.image_of(&verdict.claims.measurement);
    let words =
        found.map_or_else(|| format!("registers of no such image: {:?}", verdict.claims.measurement), str::to_owned);
    let source = "table of images: MRTD and RTMR0 to RTMR2";
    checks.holds("worker-os-image", found.is_some(), format!("one of {}", names.join(", ")), words, source);
}

/// The worker's code and machine, each on the contract's list from one block to another.
pub(crate) fn listed(
    record: &WorkerRecord,
    code: Option<Entry>,
    machine: Option<Entry>,
    from: BlockNumber,
    to: BlockNumber,
    checks: &mut Checks,
) {
    let when = if from == to { format!("in block {to}") } else { format!("from block {from} to {to}") };
    checks.holds(
        "worker-measurement-allowed",
        Entry::held(code, from, to),
        format!("on the allow-list {when}"),
        Entry::words(code, record.measurement),
        "chain: measurements",
    );
    // The chain registered the worker only because this machine's key vouched for the quote's attestation key, which
    // signed the quote.
    checks.holds(
        "worker-platform-allowed",
        Entry::held(machine, from, to),
        format!("a machine listed {when}, under whose key the chain verified the quote"),
        Entry::words(machine, record.platform),
        "chain: platforms",
    );
}

/// What the contract's list says of a measurement or of a platform.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    valid_from: BlockNumber,
    revoked_at: Option<BlockNumber>,
}

impl From<MeasurementRecord> for Entry {
    fn from(MeasurementRecord { valid_from, revoked_at }: MeasurementRecord) -> Self {
        Self { valid_from, revoked_at }
    }
}

impl From<PlatformRecord> for Entry {
    fn from(PlatformRecord { valid_from, revoked_at }: PlatformRecord) -> Self {
        Self { valid_from, revoked_at }
    }
}

impl Entry {
    /// Whether it was listed, and not revoked, from one block to another.
    pub fn held(entry: Option<Self>, from: BlockNumber, to: BlockNumber) -> bool {
        entry.is_some_and(|entry| entry.valid_from <= from && entry.revoked_at.is_none_or(|revoked| revoked > to))
    }

    /// What was found of `id`.
    pub fn words(entry: Option<Self>, id: impl std::fmt::Display) -> String {
        match entry {
            None => format!("{id}, never listed"),
            Some(Self { valid_from, revoked_at: None }) => format!("{id}, from block {valid_from}"),
            Some(Self { valid_from, revoked_at: Some(revoked) }) => {
                format!("{id}, from block {valid_from}, revoked in block {revoked}")
            }
        }
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

/// The receipt, rebuilt from facts of the chain: its digest and signature are those of the event.
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
    let kept = bundle.progress.receipt.unwrap_or_default();
    checks.same("receipt-kept", digest, kept, "rebuilt from facts of the chain; chain: job progress");
    let signer = committed.signature.signer_over(&receipt).map_or("nobody".into(), |signer| signer.to_string());
    checks.same(
        "receipt-signature",
        record.signing,
        signer,
        "chain: worker record; recovered over the rebuilt receipt",
    );
    let finished = committed.finished_at;
    checks.same("receipt-finished", bundle.progress.finished_at, finished, "chain: job progress");
    let within = bundle.progress.claimed_at <= finished && finished <= block;
    checks.holds(
        "receipt-time",
        within,
        format!("between {} and {block}", bundle.progress.claimed_at),
        finished,
        "chain: events",
    );
}

/// Every round and segment: chained, about this job and head, signed by the registered key; a segment that goes on, from
/// what the one before gave. Says which responses could not be compared with what was signed, if any; their bytes prove
/// nothing more than their digests do.
pub(crate) fn transcript(
    bundle: &JobBundle,
    request: Option<&JobRequest>,
    plan: Option<&HeadPlan>,
    checks: &mut Checks,
) -> Option<String> {
    let (Some((_, record)), Some(output)) = (&bundle.worker, bundle.progress.output) else { return None };
    let Some(bytes) = bundle.blobs.get(&output) else {
        checks.missing("transcript-blob", output, "chain: job progress");
        return None;
    };
    checks.same("transcript-digest", output, BlobDigest::of(bytes), "chain: job progress");
    let transcript = match Transcript::from_wire(bytes) {
        Ok(transcript) => transcript,
        Err(error) => {
            checks.holds("transcript-bytes", false, "a transcript", error, "protocol");
            return None;
        }
    };
    let (found, most) = (transcript.rounds.len(), plan.map_or(usize::MAX, |plan| plan.segments().len()));
    let words = plan.map_or("at least one round".to_owned(), |_| format!("1 to {most} rounds and segments"));
    checks.holds("transcript-rounds", (1..=most).contains(&found), words, found, "manifest: plan");
    let mut previous = RoundReceiptDigest::default();
    let mut gave = BlobDigest::default();
    let mut unseen = Vec::new();
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
        if plan.and_then(|plan| plan.segment(RoundIndex(index as u16))).is_some_and(|segment| !segment.is_first()) {
            checks.same(&id("request"), gave, asked, "what the segment before gave");
        }
        gave = response;
        match bundle.blobs.get(&response) {
            Some(bytes) => checks.same(&id("response"), response, BlobDigest::of(bytes), "response blob"),
            None => unseen.push(index.to_string()),
        }
        let signer = signature.signer_over(receipt).map_or("nobody".into(), |signer| signer.to_string());
        checks.same(&id("signature"), record.signing, signer, "chain: worker record");
        previous = receipt.link();
    }
    (!unseen.is_empty()).then(|| {
        format!("cannot check: the bytes of the responses of rounds {}, which are not in the store", unseen.join(", "))
    })
}
