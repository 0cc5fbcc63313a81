//! The audit of a version: what its creator published, held against what the contract lists and prices.

use crate::{
    published::PublishedReport,
    report::{Checks, Report, simulated},
};
use encompute_attest::TrustRoot;
use encompute_head::HeadPlan;
use encompute_lifecycle::price::Price;
use encompute_protocol::{
    Address, BlobDigest, Disclosure, NamedBlob, Params, Plancks, SplitIndex, SplitRecord, VersionId, VersionManifest,
    VersionRecord, manifest::SplitManifest, wire::Message,
};

/// Everything that an audit of a version reads.
#[derive(Clone, Debug)]
pub struct VersionBundle {
    /// Which.
    pub version: VersionId,
    /// What the contract says of it.
    pub record: VersionRecord,
    /// Its splits, in order; none where the contract has none of that number.
    pub splits: Vec<Option<SplitRecord>>,
    /// The model's creator.
    pub creator: Address,
    /// The model's name on the contract.
    pub name: String,
    /// What jobs are priced by now.
    pub params: Params,
    /// The manifest, where the store has it.
    pub manifest: Option<Vec<u8>>,
    /// The report that the manifest names, where it names one and the store has it.
    pub report: Option<Vec<u8>>,
    /// The same of the attack that buyers may try.
    pub attack: Option<Vec<u8>>,
}

/// Audits a version: a buyer's questions before the first job.
pub fn audit_version(bundle: &VersionBundle, root: &TrustRoot) -> Report {
    let mut checks = Checks::default();
    manifest(bundle, &mut checks);
    for (index, split) in bundle.splits.iter().enumerate() {
        let priced = split.as_ref().map(|split| Price::of(&bundle.params, split, Plancks(0)));
        if let Some(priced) = priced {
            let words = priced.as_ref().map_or_else(ToString::to_string, |price| format!("{:?}", price.fees));
            checks.holds(
                &format!("split-{index}-price"),
                priced.is_ok(),
                "a price",
                words,
                "chain: parameters and split record",
            );
        }
    }
    let mut limits: Vec<_> = simulated(root).into_iter().collect();
    limits.extend([
        "cannot check: that the sealed weights are those of the head that the manifest names; workers do, when they open \
         them"
        .to_owned(),
        "cannot check: the accuracy and the grades that the manifest states; `model eval` and `split-report` measure them \
         where the samples are"
            .to_owned(),
        "cannot check: that the tail which runs is the one committed to".to_owned(),
    ]);
    checks.into_report(format!("version {}", bundle.version), root, None, limits)
}

fn manifest(bundle: &VersionBundle, checks: &mut Checks) {
    let digest = BlobDigest(bundle.record.manifest.0);
    let Some(bytes) = &bundle.manifest else {
        return checks.missing("manifest-blob", digest, "chain: version record");
    };
    checks.same("manifest-hash", digest, BlobDigest::of(bytes), "chain: version record");
    let manifest = match VersionManifest::from_wire(bytes) {
        Ok(manifest) => manifest,
        Err(error) => return checks.holds("manifest-bytes", false, "a version manifest", error, "protocol"),
    };
    checks.same("manifest-creator", bundle.creator, manifest.creator, "chain: model record");
    checks.same("manifest-name", &bundle.name, manifest.name.as_str(), "chain: model record");
    checks.same("splits", bundle.record.splits, manifest.splits.len(), "chain: version record");
    checks.holds("labels", manifest.labels.len() >= 2, "at least two classes", manifest.labels.len(), "manifest");
    for (index, stated) in manifest.splits.iter().enumerate() {
        let prefix = format!("split-{index}");
        match bundle.splits.get(index).copied().flatten() {
            Some(record) => split(record, stated, &prefix, checks),
            None => checks.missing(&prefix, format!("split {index} of the manifest"), "chain: split record"),
        }
        let plan = HeadPlan::from_bytes(stated.plan.as_slice());
        let words = plan.as_ref().map_or_else(ToString::to_string, |_| "a plan".to_owned());
        checks.holds(&format!("{prefix}-plan"), plan.is_ok(), "a plan", words, "manifest");
    }
    if let Some(told) = &manifest.disclosure {
        disclosed(bundle, &manifest, told, checks);
    }
}

/// What the manifest states of its report and attack against the blobs themselves.
fn disclosed(bundle: &VersionBundle, manifest: &VersionManifest, told: &Disclosure, checks: &mut Checks) {
    if let Some(attack) = &told.attack {
        named("attack", attack, bundle.attack.as_deref(), checks);
    }
    let Some(bytes) = named("report", &told.report, bundle.report.as_deref(), checks) else { return };
    let report = match PublishedReport::from_json(bytes) {
        Ok(report) => report,
        Err(error) => return checks.holds("report-fields", false, "a split report", error, "store"),
    };
    for (index, split) in (0..).map(SplitIndex).zip(&manifest.splits) {
        for policy in &split.policies {
            let (split, policy_name) = (split.name.as_str(), policy.name.as_str());
            let stated = manifest.graded(index, policy.id);
            let stated = stated.map(|graded| format!("{}, {} millibits", graded.grade, graded.millibits));
            let found = report.of(split, policy_name);
            let found = found.map(|of| format!("{}, {} millibits", of.grade, (of.bits * 1_000.0).ceil() as u32));
            let none = || "nothing said".to_owned();
            let id = format!("split-{index}-grade-{}", policy.id);
            checks.same(&id, stated.unwrap_or_else(none), found.unwrap_or_else(none), "store: report");
        }
    }
}

/// A blob that the manifest names, if the store has it and it is the one.
fn named<'a, const LIMIT: u32>(
    what: &str,
    name: &NamedBlob<LIMIT>,
    bytes: Option<&'a [u8]>,
    checks: &mut Checks,
) -> Option<&'a [u8]> {
    let id = |check: &str| format!("{what}-{check}");
    let Some(bytes) = bytes else {
        checks.missing(&id("blob"), name.digest(), "manifest");
        return None;
    };
    checks.same(&id("digest"), name.digest(), BlobDigest::of(bytes), "manifest");
    checks.same(&id("bytes"), name.bytes(), bytes.len(), "manifest");
    (BlobDigest::of(bytes) == name.digest()).then_some(bytes)
}

/// What the contract says of a split against what the manifest does.
pub(crate) fn split(record: SplitRecord, stated: &SplitManifest, prefix: &str, checks: &mut Checks) {
    const CHAIN: &str = "chain: split record";
    let id = |what: &str| format!("{prefix}-{what}");
    checks.same(&id("head"), record.head, stated.head, CHAIN);
    checks.same(&id("tail"), record.tail, stated.tail, CHAIN);
    checks.same(&id("mode"), format!("{:?}", record.mode), format!("{:?}", stated.mode), CHAIN);
    checks.same(&id("policies"), record.policies, stated.policies.len(), CHAIN);
    checks.same(&id("cost"), record.cost.0, stated.cost.units.0, CHAIN);
    let bound = if prefix == "split" { "failure-bound".to_owned() } else { id("failure-bound") };
    checks.holds(&bound, stated.failure_bits >= 128, "at least 128 bits", stated.failure_bits, "manifest");
}
