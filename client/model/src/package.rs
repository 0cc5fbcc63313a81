//! Everything about a version that the publish command seals, uploads and lists.

use crate::{
    bench::{Bench, BenchError, BenchSplit, Obfuscate},
    card::Fee,
    report::Verdicts,
};
use encompute_head::{HeadPlan, HeadWeights};
use encompute_protocol::{
    Address, BasisPoints, BlobDigest, Bytes, CostUnits, Disclosure, HeadDigest, Mode, NamedBlob, ReleasePolicy,
    SplitManifest, TailDigest, Text, VersionManifest, Witnesses,
    disclosure::BlobLengthError,
    manifest::{Accuracy, Cost},
    text::BoundError,
    wire::Message,
};
use std::path::Path;

/// Releases of each held-out sample, so that one lucky noise does not decide a figure.
const DRAWS: usize = 5;
/// No policy may promise to give away more, in bits.
const INFORMATION_LIMIT_BITS: f64 = 24.0;

/// A version in memory, before anything is sealed.
pub struct Package {
    /// Its name.
    pub name: Text<64>,
    /// What it answers.
    pub task: Text<280>,
    /// What its answer does not say.
    pub limits: Text<1_000>,
    /// Names of the classes.
    pub labels: Vec<Text<64>>,
    /// How a file becomes an input: [`crate::Preamble`], encoded.
    pub preamble: Vec<u8>,
    /// The blob that it names, if it names one: users fetch it, so it must be where they look.
    pub preamble_blob: Option<Vec<u8>>,
    /// What the creator asks for one run of the tail.
    pub tail_fee: Fee,
    /// Where the user may cut.
    pub splits: Vec<PackagedSplit>,
}

/// One split of a package.
pub struct PackagedSplit {
    /// Its name.
    pub name: Text<32>,
    /// How its head runs.
    pub mode: Mode,
    /// The public half of the head.
    pub plan: HeadPlan,
    /// The secret half: seal it before it goes anywhere.
    pub weights: HeadWeights,
    /// What receipts name.
    pub head: HeadDigest,
    /// The rest of the model: ONNX bytes, the creator's secret. `None` if nothing follows.
    pub tail: Option<Vec<u8>>,
    /// What one run of the head costs.
    pub cost: Cost,
    /// −log₂ of the probability that any number of the head is wrong.
    pub failure_bits: u16,
    /// How features may be released, measured; the default first.
    pub policies: Vec<ReleasePolicy>,
    /// Measured on held-out samples.
    pub accuracy: Accuracy,
}

/// Who publishes, and what became of the sealed weights.
#[derive(Clone)]
pub struct Publication {
    /// Who publishes.
    pub creator: Address,
    /// X-Wing public key to which features are sealed.
    pub creator_key: Vec<u8>,
    /// Where workers ask for head keys.
    pub creator_url: String,
    /// The sealed weights of each split, in order: blob and length.
    pub sealed_weights: Vec<(BlobDigest, u64)>,
    /// What was measured of what the version gives away; none where nothing is said of it.
    pub disclosure: Option<Disclosure>,
    /// How many witnesses every job wants; none where that is left to users.
    pub witnesses: Option<Witnesses>,
}

/// Why a model was not packaged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The bench.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// A policy that tells more than its name promises.
    #[error("policy `{policy}` tells up to {found:.2} bits about an input, `{policy}` may tell {limit:.2}")]
    Tells {
        /// The policy.
        policy: String,
        /// Bits found.
        found: f64,
        /// Bits allowed.
        limit: f64,
    },
    /// A text or a blob that does not fit its place in the manifest.
    #[error("{what} does not fit the manifest")]
    Bound {
        /// What it is.
        what: &'static str,
        /// Found and allowed.
        #[source]
        source: BoundError,
    },
    /// Another number of sealed weights than splits.
    #[error("{found} sealed weights were given for {wanted} splits")]
    Sealed {
        /// Found.
        found: usize,
        /// Wanted.
        wanted: usize,
    },
    /// A report or an attack that is none, or longer than others read.
    #[error("{what} cannot be published")]
    Length {
        /// What it is.
        what: &'static str,
        /// Found and allowed.
        #[source]
        source: BlobLengthError,
    },
    /// A report that leaves a release out.
    #[error("the report says nothing of split `{split}` under policy `{policy}`")]
    Ungraded {
        /// The split.
        split: String,
        /// The policy.
        policy: String,
    },
}

impl Package {
    /// Packages the model in `folder`, measuring it on its held-out samples; `obfuscate` is the release that users
    /// will run.
    ///
    /// # Errors
    /// [`PackageError`].
    pub fn build(folder: &Path, obfuscate: &mut Obfuscate<'_>) -> Result<Self, PackageError> {
        let bench = Bench::open(folder)?;
        let held_out = bench.held_out()?;
        let card = bench.card();
        let mut splits = Vec::new();
        for index in 0..card.splits.len() {
            let split = bench.split(index)?;
            let measured = bench.measure(&split, &held_out)?;
            let mut policies = split.policies();
            for policy in &mut policies {
                let bits = measured.information(policy).bits();
                check_promise(policy.name.as_str(), bits, card.labels.len())?;
                policy.information_millibits = (bits * 1_000.0).ceil() as u32;
                policy.accuracy = basis_points(measured.released(policy, DRAWS, obfuscate)?);
            }
            let share = |correct: usize| basis_points(correct as f64 / measured.samples().max(1) as f64);
            let accuracy = Accuracy {
                samples: u32::try_from(measured.samples()).unwrap_or(u32::MAX),
                float: share(measured.float_correct),
                quantised: share(measured.quantised_correct),
            };
            splits.push(PackagedSplit::new(split, policies, accuracy)?);
        }
        Ok(Self {
            name: card.name.clone(),
            task: card.task.clone(),
            limits: card.limits.clone(),
            labels: card.labels.clone(),
            preamble: bench.preamble().to_wire(),
            preamble_blob: bench.preamble_blob().map(<[u8]>::to_vec),
            tail_fee: card.tail_fee.clone(),
            splits,
        })
    }

    /// What the report says of every release of this version. `attack` is what buyers may try, where its creator gives
    /// that away.
    ///
    /// # Errors
    /// [`PackageError::Ungraded`], [`PackageError::Length`].
    pub fn disclosure(&self, verdicts: &Verdicts, attack: Option<&[u8]>) -> Result<Disclosure, PackageError> {
        let length = |what| move |source| PackageError::Length { what, source };
        let releases = self.splits.iter().flat_map(|split| split.policies.iter().map(move |policy| (split, policy)));
        let graded = releases.map(|(split, policy)| {
            let (split, policy) = (split.name.as_str(), policy.name.as_str());
            let ungraded = || PackageError::Ungraded { split: split.to_owned(), policy: policy.to_owned() };
            verdicts.graded(split, policy).ok_or_else(ungraded)
        });
        Ok(Disclosure {
            report: NamedBlob::of(&verdicts.report).map_err(length("the report"))?,
            attack: attack.map(NamedBlob::of).transpose().map_err(length("the attack"))?,
            grades: graded.collect::<Result<_, _>>()?,
        })
    }

    /// The manifest of this version, once its weights are sealed.
    ///
    /// # Errors
    /// [`PackageError::Sealed`], [`PackageError::Bound`].
    pub fn manifest(&self, publication: &Publication) -> Result<VersionManifest, PackageError> {
        let (found, wanted) = (publication.sealed_weights.len(), self.splits.len());
        if found != wanted {
            return Err(PackageError::Sealed { found, wanted });
        }
        let bound = |what| move |source| PackageError::Bound { what, source };
        let splits = self.splits.iter().zip(&publication.sealed_weights).map(|(split, (blob, bytes))| {
            Ok(SplitManifest {
                name: split.name.clone(),
                mode: split.mode,
                plan: Bytes::new(split.plan.to_bytes()).map_err(bound("the head's plan"))?,
                head: split.head,
                sealed_weights: *blob,
                sealed_weights_bytes: *bytes,
                tail: split.tail_digest(),
                features: u32::try_from(split.plan.feature_count()).unwrap_or(u32::MAX),
                cost: split.cost,
                failure_bits: split.failure_bits,
                policies: split.policies.clone(),
                accuracy: split.accuracy,
            })
        });
        Ok(VersionManifest {
            name: self.name.clone(),
            task: self.task.clone(),
            creator: publication.creator,
            creator_key: Bytes::new(publication.creator_key.clone()).map_err(bound("the creator's key"))?,
            creator_url: Text::new(publication.creator_url.clone()).map_err(bound("the creator's address"))?,
            preamble: Bytes::new(self.preamble.clone()).map_err(bound("the preamble"))?,
            labels: self.labels.clone(),
            limits: self.limits.clone(),
            splits: splits.collect::<Result<_, PackageError>>()?,
            disclosure: publication.disclosure.clone(),
            witnesses: publication.witnesses,
        })
    }
}

/// What a bootstrap is priced at, in products. It takes the time of a thousand, which the locks of a network whose
/// prices are made for products would not bear: a job locks twice its price of its creator's bond.
const BOOTSTRAP_UNITS: u64 = 20;

/// What is priced of a head.
pub(crate) fn units(ring_products: u64, bootstraps: u64) -> CostUnits {
    let units = bootstraps.saturating_mul(BOOTSTRAP_UNITS).saturating_add(ring_products);
    CostUnits(u32::try_from(units).unwrap_or(u32::MAX))
}

impl PackagedSplit {
    fn new(split: BenchSplit, policies: Vec<ReleasePolicy>, accuracy: Accuracy) -> Result<Self, PackageError> {
        let name = Text::new(split.card.name.clone());
        let cost = split.compiled.cost();
        Ok(Self {
            name: name.map_err(|source| PackageError::Bound { what: "the split's name", source })?,
            mode: match split.plan.mode() {
                encompute_head::Mode::Linear => Mode::Linear,
                encompute_head::Mode::Rounds => Mode::Rounds,
                encompute_head::Mode::Bootstrapped(_) => Mode::Bootstrapped,
            },
            head: split.compiled.digest(),
            cost: Cost {
                units: units(cost.ring_products, cost.bootstraps),
                micros: cost.estimated_microseconds,
                bytes_up: cost.request_bytes + cost.blinding_key_bytes,
                bytes_down: cost.response_bytes,
                key_bytes: cost.evaluation_key_bytes,
            },
            failure_bits: failure_bits(&split),
            plan: split.plan,
            weights: split.weights,
            tail: split.tail,
            policies,
            accuracy,
        })
    }

    /// The commitment to the tail; zero where nothing follows.
    pub fn tail_digest(&self) -> TailDigest {
        self.tail.as_deref().map_or_else(TailDigest::default, TailDigest::of)
    }
}

/// −log₂ of the sum of all rounds' failure probabilities, rounded down.
fn failure_bits(split: &BenchSplit) -> u16 {
    let rounds = split.compiled.proofs().iter().map(|proof| f64::from(proof.failure_log2));
    let worst = rounds.clone().fold(f64::NEG_INFINITY, f64::max);
    let total = worst + rounds.map(|round| (round - worst).exp2()).sum::<f64>().log2();
    (-total).floor().clamp(0.0, f64::from(u16::MAX)) as u16
}

/// A preset's name is a promise: `private` tells at most the label and one bit, `balanced` the label and five.
pub(crate) fn promised_bits(policy: &str, classes: usize) -> Option<f64> {
    let label = (classes as f64).log2();
    match policy {
        "private" => Some(label + 1.0),
        "balanced" => Some(label + 5.0),
        _ => None,
    }
}

fn check_promise(policy: &str, found: f64, classes: usize) -> Result<(), PackageError> {
    let limit = promised_bits(policy, classes).unwrap_or(INFORMATION_LIMIT_BITS);
    // Not `found > limit`: a bound that is not a number keeps no promise either.
    if found <= limit.min(INFORMATION_LIMIT_BITS) {
        return Ok(());
    }
    Err(PackageError::Tells { policy: policy.to_owned(), found, limit })
}

fn basis_points(share: f64) -> BasisPoints {
    BasisPoints((share * 10_000.0).round().clamp(0.0, 10_000.0) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_that_tells_more_than_its_name_is_refused() {
        assert!(check_promise("private", 4.3, 10).is_ok());
        assert!(check_promise("private", 4.4, 10).is_err());
        assert!(check_promise("balanced", 8.3, 10).is_ok());
        assert!(check_promise("accurate", 23.9, 10).is_ok());
        assert!(check_promise("accurate", f64::NAN, 10).is_err());
    }
}
