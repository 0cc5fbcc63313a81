//! The audit of one job: everything that chain, blobs and quotes say, held against each other.

use crate::{
    money, path, proof, quoted,
    report::{Checks, JudgedLine, Report, simulated},
    rerun::WITHOUT_WEIGHTS,
    version, witness,
};
use codec::{Decode, Encode};
use encompute_attest::{UnixSeconds, network::Judge};
use encompute_head::HeadPlan;
use encompute_lifecycle::price::Price;
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, ContractAddress, GenesisHash, JobId, JobProgress, JobRecords, JobRequest,
    JobTerms, Params, PrunedRecord, SplitRecord, VersionManifest, VersionRecord, WorkerRecord,
    event::Event,
    market::{MeasurementRecord, PlatformRecord},
    wire::Message,
};
use std::collections::{BTreeMap, BTreeSet};

/// A block of the chain, by height and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReadAt {
    /// Its height.
    pub block: BlockNumber,
    /// Its hash.
    pub hash: [u8; 32],
}

/// Everything that an audit of a job reads. Nothing in it is trusted: the chain's facts come from the
/// auditor's own node, blobs are named by their digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobBundle {
    /// The block as of which the chain was asked.
    pub read_at: ReadAt,
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
    /// Parameters as of the block of the request.
    pub params: Params,
    /// True where they changed within that block: then they may not be those that priced the job.
    pub params_unsure: bool,
    /// Every treasury named from the request's block to that of the last event.
    pub treasuries: BTreeSet<Address>,
    /// The last worker that claimed the job, with its registration as of that block: it cannot change
    /// before the worker has committed.
    pub worker: Option<(Address, WorkerRecord)>,
    /// Workers, the job's own and those that judged its disputes, each with every account that was its payout in a block in
    /// which the job credited somebody: the contract pays on the account of that block, and a worker may choose another later.
    pub payouts: BTreeSet<(Address, Address)>,
    /// Its measurement's entry on the allow-list.
    pub measurement: Option<MeasurementRecord>,
    /// Its platform's entry on the list of platforms.
    pub platform: Option<PlatformRecord>,
    /// Time of the block in which the worker's evidence counted ([`Counted::of`](crate::Counted::of) the
    /// events), by the chain's own clock.
    pub counted_at: Option<UnixSeconds>,
    /// Time of the block in which a quote for the job was shown ([`shown_in`](crate::shown_in)), by the chain's own clock.
    pub quoted_at: Option<UnixSeconds>,
    /// The hash of the block that says whether the job is audited, as contracts know it; none where it could not be read.
    pub drawing_hash: Option<[u8; 32]>,
    /// Events of the contract, in the same blocks, that this program cannot read.
    pub unread_events: u32,
    /// What the chain keeps of the job where its records were removed since; none while they are there. The other facts
    /// are then those of the block before.
    pub pruned: Option<PrunedRecord>,
    /// Blobs that could be fetched.
    pub blobs: BTreeMap<BlobDigest, Vec<u8>>,
}

/// Audits a job under a root and policy. Evidence is judged as of the block in which it counted; `now`
/// only tells whether its collateral has run out since.
pub fn audit_job(bundle: &JobBundle, judge: &Judge, now: UnixSeconds) -> Report {
    let mut checks = Checks::default();
    let manifest = manifest(bundle, &mut checks);
    let plan = manifest.as_ref().and_then(|manifest| plan(bundle, manifest, &mut checks));
    let request = request(bundle, &mut checks);
    price(bundle, &mut checks);
    pruned(bundle, &mut checks);
    checks.same("events-read", 0, bundle.unread_events, "protocol: every event of the contract can be read");
    path::stages(bundle, &mut checks);
    let judged = proof::worker(bundle, judge, &mut checks);
    proof::receipt(bundle, &mut checks);
    witness::machines(bundle, &mut checks);
    witness::asked(bundle, manifest.as_ref(), &mut checks);
    witness::audits(bundle, &mut checks);
    quoted::quotes(bundle, judge, &mut checks);
    let unseen = proof::transcript(bundle, request.as_ref(), plan.as_ref(), &mut checks);
    exchange(bundle, manifest.as_ref(), &mut checks);
    money::credits(bundle, &mut checks);
    money::deposits(bundle, &mut checks);
    let mut limits = limits(bundle, judge);
    limits.extend(judged.map(|judged| judged.limit(now)));
    limits.extend(unseen);
    checks.into_report(format!("job {}", bundle.job), &judge.root, judged.map(JudgedLine::from), limits)
}

fn limits(bundle: &JobBundle, judge: &Judge) -> Vec<String> {
    let mut limits = vec![
        "cannot check: what the image shows, or whether the prediction is right".to_owned(),
        match bundle.terms.custody {
            false => "cannot check: that the features were released as the policy says; only the user saw them",
            true => {
                "cannot check: that the worker's enclave released as the policy says and kept the input to itself; it had \
                 the job's FHE key in custody, as the receipt says"
            }
        }
        .to_owned(),
        "cannot check: that the tail which ran is the one committed to; its inputs and outputs are sealed".to_owned(),
        format!("{WITHOUT_WEIGHTS}; their holder can re-run, bit for bit, every round whose request is in the store"),
    ];
    limits.splice(0..0, simulated(&judge.root));
    if bundle.params_unsure {
        limits.push("cannot check: the price, parameters changed in the block of the request".to_owned());
    }
    let audited = bundle.events.iter().any(|(_, event)| matches!(event, Event::CreditStaked(_)));
    if audited && bundle.drawing_hash.is_none() {
        limits.push(
            "cannot check: that the job was drawn for an audit, the node keeps no state of that block".to_owned(),
        );
    }
    limits
}

/// A pruned job's terms and progress are those whose digest the chain keeps.
fn pruned(bundle: &JobBundle, checks: &mut Checks) {
    let Some(record) = bundle.pruned else { return };
    let JobBundle { genesis, contract, job, terms, progress, .. } = *bundle;
    let found = JobRecords { genesis, contract, job, terms, progress }.records_digest();
    checks.same("pruned-digest", record.digest, found, &format!("chain: pruned in block {}", record.pruned_at));
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
    version::split(bundle.split, split, "split", checks);
    let policy = split.policies.iter().any(|policy| policy.id == bundle.terms.policy);
    checks.holds(
        "split-policy",
        policy,
        format!("policy {} in the manifest", bundle.terms.policy),
        policy,
        "chain: job terms",
    );
    Some(manifest)
}

/// The head's public half: which receipts begin with a request, and which go on from what the one before gave.
fn plan(bundle: &JobBundle, manifest: &VersionManifest, checks: &mut Checks) -> Option<HeadPlan> {
    let split = manifest.splits.get(usize::from(bundle.terms.split.0))?;
    let plan = HeadPlan::from_bytes(split.plan.as_slice());
    let words = plan.as_ref().map_or_else(ToString::to_string, |_| "a plan".to_owned());
    checks.holds("split-plan", plan.is_ok(), "a plan", words, "manifest");
    plan.ok()
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
            checks.same(
                "escrow-event",
                format!("{:?}", terms.fees),
                format!("{:?}", requested.fees),
                "chain: job terms",
            );
            checks.same("input-event", terms.input, requested.input, "chain: job terms");
            let sponsor = |sponsor: Option<Address>| sponsor.map_or("nobody".to_owned(), |sponsor| sponsor.to_string());
            checks.same("sponsor-event", sponsor(terms.sponsor), sponsor(requested.sponsor), "chain: job terms");
        }
        None => checks.missing("escrow-event", "a JobRequested event", "chain: events"),
    }
    if bundle.params_unsure {
        return;
    }
    let expected = Price::of(&bundle.params, &bundle.split, terms.fees.tip).map(|price| format!("{:?}", price.fees));
    let expected = expected.unwrap_or_else(|refusal| refusal.to_string());
    checks.same("price", expected, format!("{:?}", terms.fees), "chain: parameters and split record");
}

fn exchange(bundle: &JobBundle, manifest: Option<&VersionManifest>, checks: &mut Checks) {
    let named = |wanted: fn(&Event) -> Option<BlobDigest>| bundle.events.iter().find_map(|(_, event)| wanted(event));
    let features = named(|event| if let Event::FeaturesSent(sent) = event { Some(sent.features) } else { None });
    let result = named(|event| if let Event::ResultCommitted(sent) = event { Some(sent.result) } else { None });
    for (id, found, event) in
        [("features", bundle.progress.features, features), ("result", bundle.progress.result, result)]
    {
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
