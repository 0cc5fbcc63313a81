//! What is read of the market, and how programs read it: listings, quotes, jobs; the same JSON for the command line's
//! `--json` and for the page.

use encompute_chain::{ReadError, ReadMarket};
use encompute_protocol::{
    BasisPoints, BlobDigest, DisputeKind, Fees, Grade, JobId, JobProgress, JobTerms, ModelId, NamedBlob, Plancks,
    Reason, ReleasePolicy, SplitIndex, SplitManifest, Stage, VersionId, VersionManifest, VersionStatus, Windows,
    Witnesses,
    call::{QuoteJob, ReadCounts, ReadModel, ReadParams, ReadVersion},
    dispute::COMMITTEE,
    wire::{DecodeError, Message},
};
use encompute_store::{Blobs, ByteLimit, GatewayClient, GetError};
use serde_json::{Value, json};

pub use crate::events::event_json;

/// Why a listing or a price could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListingError {
    /// The chain could not be read.
    #[error("read the chain")]
    Read(#[source] ReadError),
    /// The chain does not know it.
    #[error("there is no version {0}")]
    NoVersion(VersionId),
    /// The store does not give its manifest.
    #[error("fetch the manifest of version {version}")]
    Fetch {
        /// Which version.
        version: VersionId,
        /// Why.
        #[source]
        source: GetError,
    },
    /// Its manifest is none.
    #[error("read the manifest of version {version}")]
    Manifest {
        /// Which version.
        version: VersionId,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// Its manifest has no splits.
    #[error("the manifest has no splits")]
    NoSplits,
    /// Nothing of that name or number is on sale.
    #[error("there is no model {wanted:?} on sale")]
    NoModel {
        /// What was asked for.
        wanted: String,
        /// What is on sale.
        known: Vec<String>,
    },
    /// Not active.
    #[error("version {0} is not on sale")]
    NotOnSale(VersionId),
    /// It has no split or policy of that name.
    #[error("the model has no {what} {name:?}")]
    NoPart {
        /// Split or policy.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What it has.
        known: Vec<String>,
    },
}

/// How a release was judged by its creator's report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// One letter.
    pub grade: Grade,
    /// What it tells at most, in bits; none of a version that said its letters in words.
    pub bits: Option<f64>,
}

/// How a split's release under a policy was judged; none where the version does not say.
pub fn judged(manifest: &VersionManifest, split: SplitIndex, policy: &ReleasePolicy) -> Option<Judged> {
    if manifest.disclosure.is_some() {
        let graded = manifest.graded(split, policy.id)?;
        return Some(Judged { grade: graded.grade, bits: Some(f64::from(graded.millibits) / 1000.0) });
    }
    let split = manifest.splits.get(usize::from(split.0))?;
    let grade = grade_in_words(manifest.limits.as_str(), split.name.as_str(), policy.name.as_str())?;
    Some(Judged { grade, bits: None })
}

/// In front of the letters, in what a version says of its limits that was published before manifests had a field for them.
const GRADES: &str = " Leakage by its own report: ";

fn grade_in_words(limits: &str, split: &str, policy: &str) -> Option<Grade> {
    let (_, grades) = limits.rsplit_once(GRADES)?;
    let of_split = grades.split("), ").find_map(|of| of.strip_prefix(split)?.strip_prefix(" ("))?;
    let letter =
        of_split.split(')').next()?.split(", ").find_map(|grade| grade.strip_prefix(policy)?.strip_prefix(' '))?;
    [Grade::A, Grade::B, Grade::C, Grade::D, Grade::F].into_iter().find(|grade| grade.to_string() == letter)
}

/// A version on sale, with its verified manifest.
pub struct Listing {
    /// The version.
    pub version: VersionId,
    /// What it is a version of.
    pub model: ModelId,
    /// Its life.
    pub status: VersionStatus,
    /// Everything it pins; its hash is the one on chain.
    pub manifest: VersionManifest,
}

/// The version with its manifest.
///
/// # Errors
/// [`ListingError`].
pub async fn of_version(
    market: &impl ReadMarket,
    blobs: &GatewayClient,
    version: VersionId,
) -> Result<Listing, ListingError> {
    let record = market.read(ReadVersion { version }).await.map_err(ListingError::Read)?;
    let record = record.ok_or(ListingError::NoVersion(version))?;
    let limit = ByteLimit(VersionManifest::LIMIT_BYTES as u64);
    // The manifest's hash is its blob's name, so a store cannot hand out another.
    let bytes = blobs.get(BlobDigest(record.manifest.0), limit).await;
    let bytes = bytes.map_err(|source| ListingError::Fetch { version, source })?;
    let manifest = VersionManifest::from_wire(&bytes).map_err(|source| ListingError::Manifest { version, source })?;
    Ok(Listing { version, model: record.model, status: record.status, manifest })
}

/// Every version, in order.
///
/// # Errors
/// [`ListingError`].
pub async fn all(market: &impl ReadMarket, blobs: &GatewayClient) -> Result<Vec<Listing>, ListingError> {
    let counts = market.read(ReadCounts {}).await.map_err(ListingError::Read)?;
    let mut listings = Vec::new();
    for id in 1..=counts.versions {
        listings.push(of_version(market, blobs, VersionId(id)).await?);
    }
    Ok(listings)
}

/// The newest active version of a model, by its id or name.
///
/// # Errors
/// [`ListingError::NoModel`], with the names that are on sale.
pub async fn find(market: &impl ReadMarket, blobs: &GatewayClient, model: &str) -> Result<Listing, ListingError> {
    let none = |known| ListingError::NoModel { wanted: model.to_owned(), known };
    if let Ok(id) = model.parse() {
        let found = market.read(ReadModel { model: ModelId(id) }).await.map_err(ListingError::Read)?;
        let current = found.and_then(|(record, _)| record.current);
        return of_version(market, blobs, current.ok_or_else(|| none(Vec::new()))?).await;
    }
    let listings = all(market, blobs).await?;
    let names = listings.iter().map(|listing| listing.manifest.name.as_str().to_owned()).collect();
    let active = |listing: &Listing| listing.status == VersionStatus::Active && listing.manifest.name.as_str() == model;
    listings.into_iter().rev().find(active).ok_or_else(|| none(names))
}

impl Listing {
    /// Split and policy by name; the first of each if not given.
    ///
    /// # Errors
    /// [`ListingError::NoPart`], with the names there are.
    pub fn choose(
        &self,
        split: Option<&str>,
        policy: Option<&str>,
    ) -> Result<(SplitIndex, ReleasePolicy), ListingError> {
        let splits = &self.manifest.splits;
        let index = match split {
            None => 0,
            Some(name) => splits
                .iter()
                .position(|split| split.name.as_str() == name)
                .ok_or_else(|| missing("split", name, splits.iter().map(|split| split.name.as_str())))?,
        };
        let chosen = splits.get(index).ok_or(ListingError::NoSplits)?;
        let policies = &chosen.policies;
        let found = match policy {
            None => policies.first(),
            Some(name) => policies.iter().find(|policy| policy.name.as_str() == name),
        };
        let found = found.ok_or_else(|| {
            missing("policy", policy.unwrap_or("default"), policies.iter().map(|policy| policy.name.as_str()))
        })?;
        Ok((SplitIndex(u8::try_from(index).unwrap_or(u8::MAX)), found.clone()))
    }

    /// The split at an index.
    pub fn split(&self, index: SplitIndex) -> Option<&SplitManifest> {
        self.manifest.splits.get(usize::from(index.0))
    }

    /// The answer as `--json` has it.
    pub fn prediction(&self, scores: &[u32]) -> Value {
        let best = best_of(scores);
        let label = |index: usize| self.manifest.labels.get(index).map(|label| label.as_str()).unwrap_or("?");
        json!({
            "label": label(best),
            "probability": scores.get(best).map(|score| f64::from(*score) / 1e6),
            "scores": scores.iter().enumerate().map(|(index, score)| json!({ "label": label(index), "probability": f64::from(*score) / 1e6 })).collect::<Vec<_>>(),
            "limits": self.manifest.limits.as_str(),
        })
    }

    /// The answer in words, with what it does not say.
    pub fn prediction_words(&self, scores: &[u32]) -> String {
        let best = best_of(scores);
        let label = self.manifest.labels.get(best).map(|label| label.as_str()).unwrap_or("?");
        let probability = scores.get(best).map_or(0.0, |score| f64::from(*score) / 1e4);
        format!("{}: {label} ({probability:.1} %)\n{}", self.manifest.name, self.manifest.limits)
    }
}

fn best_of(scores: &[u32]) -> usize {
    scores
        .iter()
        .enumerate()
        .max_by_key(|(index, score)| (**score, std::cmp::Reverse(*index)))
        .map_or(0, |(index, _)| index)
}

fn missing<'a>(what: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> ListingError {
    ListingError::NoPart { what, name: name.to_owned(), known: known.map(str::to_owned).collect() }
}

/// What one run costs now.
pub struct Quote {
    /// The model's name.
    pub model: String,
    /// The split.
    pub split: SplitManifest,
    /// The release policy.
    pub policy: ReleasePolicy,
    /// How its creator's report judges such a release.
    pub judged: Option<Judged>,
    /// How many witnesses the version asks for; none where that is left to the user.
    pub wanted_witnesses: Option<Witnesses>,
    /// What is paid, without a tip.
    pub fees: Fees,
    /// How long everybody has.
    pub windows: Windows,
    stop_fee: BasisPoints,
    protocol_fee: BasisPoints,
}

/// Reads what one run costs now.
///
/// # Errors
/// [`ListingError`]; [`ListingError::NotOnSale`] for a version that is not.
pub async fn quote(
    market: &impl ReadMarket,
    listing: &Listing,
    split: Option<&str>,
    policy: Option<&str>,
) -> Result<Quote, ListingError> {
    let (index, policy) = listing.choose(split, policy)?;
    let quoted = market.read(QuoteJob { version: listing.version, split: index }).await.map_err(ListingError::Read)?;
    let (fees, windows) = quoted.ok_or(ListingError::NotOnSale(listing.version))?;
    let params = market.read(ReadParams {}).await.map_err(ListingError::Read)?;
    let split = listing.split(index).cloned().ok_or(ListingError::NoSplits)?;
    let model = listing.manifest.name.as_str().to_owned();
    let judged = judged(&listing.manifest, index, &policy);
    Ok(Quote {
        model,
        split,
        policy,
        judged,
        wanted_witnesses: listing.manifest.witnesses,
        fees,
        windows,
        stop_fee: params.stop_fee,
        protocol_fee: params.protocol_fee,
    })
}

/// The ending of a job whose user sends no features, in [`Quote::refunds`].
pub const STOPPED: &str = "stopped after the head, or never sent features";

impl Quote {
    /// What three witnesses cost beside the price, if the user or the version asks for them: a head fee each.
    pub fn witnesses(&self) -> Plancks {
        self.fees.head.checked_mul(COMMITTEE as u128).unwrap_or_default()
    }

    /// As `--json` has it.
    pub fn json(&self) -> Value {
        let Self { split, policy, judged, fees, windows, .. } = self;
        json!({
            "model": self.model, "split": split.name.as_str(), "mode": mode_name(split.mode), "policy": policy.name.as_str(),
            "fee": { "head": plancks(fees.head), "tail": plancks(fees.tail), "protocol": plancks(fees.protocol),
                     "total": fees.total().map(plancks), "witnesses": plancks(self.witnesses()) },
            "wanted_witnesses": self.wanted_witnesses.map(Witnesses::count),
            "ms": split.cost.micros as f64 / 1000.0,
            "bytes": { "up": split.cost.bytes_up, "down": split.cost.bytes_down, "key": split.cost.key_bytes },
            "failure_bits": split.failure_bits,
            "information_bits": f64::from(policy.information_millibits) / 1000.0,
            "grade": grade_json(*judged), "grade_bits": judged.and_then(|judged| judged.bits),
            "accuracy": accuracy_json(split, policy),
            "windows_blocks": { "claim": windows.claim.0, "head": windows.head.0, "features": windows.features.0,
                                "creator": windows.creator.0, "accept": windows.accept.0, "dispute": windows.dispute.0 },
            "refunds": self.refunds().iter().map(|(outcome, back)| json!({ "outcome": outcome, "back": plancks(*back) })).collect::<Vec<_>>(),
        })
    }

    /// What the user has back at each way a job can end, to the last unit.
    pub fn refunds(&self) -> Vec<(&'static str, Plancks)> {
        let Fees { head, tail, protocol, tip } = self.fees;
        let total = self.fees.total().unwrap_or_default();
        let stop = tail.share_floor(self.stop_fee).unwrap_or_default();
        let paid = head.checked_add(stop).unwrap_or_default();
        let fee = paid.share_ceil(self.protocol_fee).unwrap_or_default().min(protocol);
        let head_fee = head.share_ceil(self.protocol_fee).unwrap_or_default().min(protocol);
        let sum = |parts: &[Plancks]| {
            parts.iter().try_fold(Plancks::ZERO, |sum, part| sum.checked_add(*part)).unwrap_or_default()
        };
        vec![
            ("settled", Plancks::ZERO),
            ("no worker, cancelled in time, version revoked", total),
            ("worker failed (and half of its slashed stake)", total),
            (STOPPED, total.checked_sub(sum(&[head, stop, fee])).unwrap_or_default()),
            ("creator failed (head fee from its bond)", sum(&[head, tail, protocol, tip])),
            ("head found wrong by a committee (and half of the worker's stake)", total),
            (
                "result that its creator does not answer for",
                total.checked_sub(sum(&[head, head_fee])).unwrap_or_default(),
            ),
        ]
    }
}

/// Accuracy figures of a split under a policy, as shares of 1.
pub fn accuracy_json(split: &SplitManifest, policy: &ReleasePolicy) -> Value {
    let share = |points: BasisPoints| f64::from(points.0) / 10_000.0;
    json!({ "samples": split.accuracy.samples, "float": share(split.accuracy.float), "quantised": share(split.accuracy.quantised), "released": share(policy.accuracy) })
}

/// A policy of a split as `--json` and the page have it.
pub fn policy_json(
    manifest: &VersionManifest,
    index: SplitIndex,
    split: &SplitManifest,
    policy: &ReleasePolicy,
) -> Value {
    let judged = judged(manifest, index, policy);
    json!({
        "name": policy.name.as_str(), "bits_per_code": policy.bits,
        "information_bits": f64::from(policy.information_millibits) / 1000.0,
        "grade": grade_json(judged), "grade_bits": judged.and_then(|judged| judged.bits),
        "accuracy": accuracy_json(split, policy),
    })
}

fn grade_json(judged: Option<Judged>) -> Value {
    judged.map(|judged| judged.grade.to_string()).into()
}

/// How a release was judged, in words.
pub fn judged_words(judged: Option<Judged>) -> String {
    match judged {
        None => "not graded".to_owned(),
        Some(Judged { grade, bits: None }) => format!("grade {grade}"),
        Some(Judged { grade, bits: Some(bits) }) => format!("grade {grade}, at most {bits:.1} bits by its report"),
    }
}

/// The blobs that a version names of what it gives away, as `--json` has them: its report, and the attack to try.
pub fn disclosed_json(manifest: &VersionManifest) -> Value {
    fn named<const LIMIT: u32>(blob: &NamedBlob<LIMIT>) -> Value {
        json!({ "digest": blob.digest().to_string(), "bytes": blob.bytes() })
    }
    let told = manifest.disclosure.as_ref();
    json!({ "report": told.map(|told| named(&told.report)), "attack": told.and_then(|told| told.attack.as_ref()).map(named) })
}

/// An amount as `--json` has it: plancks, as text, because JSON numbers are floats to many readers.
pub fn plancks(amount: Plancks) -> Value {
    Value::String(amount.0.to_string())
}

/// A mode's word.
pub fn mode_name(mode: encompute_protocol::Mode) -> &'static str {
    match mode {
        encompute_protocol::Mode::Linear => "linear",
        encompute_protocol::Mode::Rounds => "rounds",
        encompute_protocol::Mode::Bootstrapped => "bootstrapped",
    }
}

/// A stage's word, as `--json` has it.
pub fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Requested => "requested",
        Stage::Claimed => "claimed",
        Stage::HeadCommitted => "head-committed",
        Stage::FeaturesSent => "features-sent",
        Stage::ResultCommitted => "result-committed",
        Stage::Settled => "settled",
        Stage::Failed => "failed",
        Stage::Cancelled => "cancelled",
        Stage::Disputed(DisputeKind::Head) => "disputed-head",
        Stage::Disputed(DisputeKind::Missing) => "disputed-missing",
        Stage::Disputed(DisputeKind::Result) => "disputed-result",
        Stage::Disputed(DisputeKind::Attestation) => "disputed-attestation",
        Stage::Disputed(DisputeKind::Witness) => "disputed-witness",
        Stage::Disputed(DisputeKind::Audit) => "disputed-audit",
        Stage::Disputed(DisputeKind::Quote) => "disputed-quote",
    }
}

/// Why a job ended otherwise than settled, in words; the number beside them is what events and tables use.
pub fn reason_words(reason: Reason) -> String {
    let words = match reason {
        Reason::NoWorker => "no worker claimed it in time",
        Reason::WorkerTimeout => "the worker did not do its part in time",
        Reason::UserNoShow => "the user sent no features in time",
        Reason::UserCancelled => "the user ended it",
        Reason::CreatorTimeout => "the creator gave no result in time",
        Reason::CreatorRefused => "the creator refused the features",
        Reason::VersionRevoked => "the version was revoked before the head was committed",
        Reason::AttestationExpired => "the worker's registration ran out before it committed",
        Reason::MeasurementRevoked => "the worker's code was revoked",
        Reason::PlatformRevoked => "the worker's machine was revoked",
        Reason::HeadMismatch => "a committee found that the head gives something else than the worker committed",
        Reason::BlobMissing => "the worker did not post the transcript that it had committed",
        Reason::ResultMismatch => "the creator did not answer for a result that opens to nothing",
        Reason::ResultWithheld => "the creator did not post the result that it had committed",
        Reason::ArbiterTimeout => "the dispute ended without a ruling, and the job goes on",
        Reason::DisputeRejected => "the dispute was without ground, and the job goes on",
        Reason::Witnessed => "witnesses found what the worker committed, and the job goes on",
        Reason::QuoteMissing => "the worker showed no quote over its receipt in time",
        Reason::Quoted => "the worker showed a quote over its receipt, and the job goes on",
        Reason::Audited => "an audit found what the worker committed, and the job goes on",
        Reason::BadReceipt | Reason::Paused => "a reason that no rule of this version gives",
    };
    format!("{words} (reason {})", reason.number())
}

/// A job as `--json` has it.
pub fn job_json(job: JobId, terms: &JobTerms, progress: &JobProgress) -> Value {
    json!({
        "id": job.0, "stage": stage_name(progress.stage), "reason": progress.reason.map(|reason| reason.number()),
        "user": terms.user.to_string(), "sponsor": terms.sponsor.map(|sponsor| sponsor.to_string()), "model": terms.model.0, "version": terms.version.0, "split": terms.split.0, "policy": terms.policy.0,
        "worker": progress.worker.map(|worker| worker.to_string()), "escrow": terms.fees.total().map(plancks),
        "requested_at": terms.requested_at.0, "changed_at": progress.changed_at.0, "deadline": progress.deadline.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_in_words_is_that_of_split_and_policy_alone() {
        let told = "Knows digits. Leakage by its own report: late (balanced B, private A), early (balanced F).";
        let asked = [
            ("late", "balanced"),
            ("late", "private"),
            ("early", "balanced"),
            ("early", "private"),
            ("ate", "balanced"),
        ];
        let found = asked.map(|(split, policy)| grade_in_words(told, split, policy));
        assert_eq!(found, [Some(Grade::B), Some(Grade::A), Some(Grade::F), None, None]);
        assert_eq!(grade_in_words("Knows digits.", "late", "balanced"), None);
    }
}
