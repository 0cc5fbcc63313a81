//! What a user orders.

use crate::{
    case::{CaseError, CaseName},
    custody::must_need_nobody,
    error::JobError,
    market::judged,
    turns::Finding,
};
use encompute_head::HeadPlan;
use encompute_networks::Network;
use encompute_protocol::{
    Address, Grade, Plancks, PolicyId, SplitIndex, SplitManifest, TailDigest, VersionHash, VersionId, VersionManifest,
    Witnesses,
};
use encompute_release::CheckedPolicy;
use zeroize::Zeroizing;

/// One run of one split on one tensor.
pub struct Order {
    /// The version's id on chain.
    pub version: VersionId,
    /// Its manifest, whose hash the chain pins.
    pub manifest: VersionManifest,
    /// Which split.
    pub split: SplitIndex,
    /// Under which policy features are released.
    pub policy: PolicyId,
    /// To the worker on top.
    pub tip: Plancks,
    /// Under whose key, for splits that need an evaluation key; its own if none is named.
    pub case: Option<CaseName>,
    /// How many witnesses must find what the worker committed before anything of it is released; none if none is asked.
    pub witnesses: Option<Witnesses>,
    /// Whether the worker must show a quote over its receipt before anything is released.
    pub quote: bool,
    /// Who pays, where that is not the user: out of what it allows the user.
    pub sponsor: Option<Address>,
    /// How its worker is found.
    pub finding: Finding,
    /// The tensor that the preamble made, in the plan's order.
    pub tensor: Zeroizing<Vec<u8>>,
}

impl Order {
    /// The split, from the manifest.
    ///
    /// # Errors
    /// [`JobError::Plan`] for an index that the manifest does not have.
    pub fn split(&self) -> Result<&SplitManifest, JobError> {
        split_of(&self.manifest, self.split)
    }

    /// Plan and policy, checked against network and tensor; nothing has been made yet.
    pub(crate) fn check(&self, network: &Network) -> Result<(HeadPlan, CheckedPolicy), JobError> {
        let (plan, policy) = offered(&self.manifest, self.split, self.policy, network)?;
        if self.case.is_some() && plan.mode().bootstrap_set().is_none() {
            return Err(CaseError::NotNeeded.into());
        }
        must_need_nobody(self.finding, self.witnesses.max(self.manifest.witnesses), self.quote)?;
        if self.tensor.len() != plan.input_count() {
            return Err(JobError::Input { found: self.tensor.len(), wanted: plan.input_count() });
        }
        Ok((plan, policy))
    }

    /// Hash of the manifest.
    pub fn hash(&self) -> VersionHash {
        self.manifest.hash()
    }
}

/// Plan and policy of a split that this client runs on this network: whatever a creator lists, it must have a tail, a
/// grade that may be listed, parameters that the network allows and a policy that keeps a promise.
///
/// # Errors
/// [`JobError`], with what it refuses.
pub fn offered(
    manifest: &VersionManifest,
    split: SplitIndex,
    policy: PolicyId,
    network: &Network,
) -> Result<(HeadPlan, CheckedPolicy), JobError> {
    let (index, split) = (split, split_of(manifest, split)?);
    if split.tail == TailDigest::default() {
        return Err(JobError::NoTail(split.name.as_str().into()));
    }
    let chosen = split.policies.iter().find(|each| each.id == policy);
    let judged = chosen.and_then(|chosen| judged(manifest, index, chosen));
    if judged.is_some_and(|judged| judged.grade == Grade::F) {
        return Err(JobError::GradedF { split: split.name.as_str().into() });
    }
    let plan = plan_of(split)?;
    let set = plan.parameter_set();
    let toy = !set.is_production() && !network.is_development();
    if toy || !network.allows_parameters(set.name()) {
        return Err(JobError::Parameters { found: set.name().into(), network: network.name.to_string() });
    }
    let toy = plan.mode().bootstrap_set().filter(|set| !set.is_production() && !network.is_development());
    if let Some(set) = toy {
        return Err(JobError::Parameters { found: set.name().into(), network: network.name.to_string() });
    }
    let policy = CheckedPolicy::of_split(split, policy).map_err(JobError::Policy)?;
    Ok((plan, policy))
}

pub(crate) fn split_of(manifest: &VersionManifest, index: SplitIndex) -> Result<&SplitManifest, JobError> {
    let found = manifest.splits.get(usize::from(index.0));
    found.ok_or_else(|| JobError::Plan { found: format!("the manifest has no split {index}") })
}

pub(crate) fn plan_of(split: &SplitManifest) -> Result<HeadPlan, JobError> {
    HeadPlan::from_bytes(split.plan.as_slice()).map_err(|error| JobError::Plan { found: error.to_string() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use encompute_protocol::{
        Address, BasisPoints, BlobDigest, Bytes, Disclosure, Graded, HeadDigest, Mode, NamedBlob, ReleasePolicy, Text,
        manifest::{Accuracy, Cost},
    };

    fn manifest(tail: TailDigest, grade: Option<Grade>) -> VersionManifest {
        let policy = ReleasePolicy {
            id: PolicyId(1),
            name: Text::new("balanced").unwrap(),
            clip: 100,
            sigma_milli: 1_000,
            step: 1,
            bits: 8,
            information_millibits: 4_000,
            accuracy: BasisPoints(9_000),
        };
        let split = SplitManifest {
            name: Text::new("early").unwrap(),
            mode: Mode::Rounds,
            plan: Bytes::new(vec![]).unwrap(),
            head: HeadDigest([1; 32]),
            sealed_weights: BlobDigest([2; 32]),
            sealed_weights_bytes: 1,
            tail,
            features: 16,
            cost: Cost::default(),
            failure_bits: 140,
            policies: vec![policy],
            accuracy: Accuracy::default(),
        };
        let report = NamedBlob::of(b"{}").unwrap();
        let grades = grade.map(|grade| vec![Graded { grade, millibits: 4_000 }]);
        VersionManifest {
            name: Text::new("digits").unwrap(),
            task: Text::new("Which digit is it?").unwrap(),
            creator: Address([1; 20]),
            creator_key: Bytes::new(vec![1; 1_216]).unwrap(),
            creator_url: Text::new("http://127.0.0.1:1").unwrap(),
            preamble: Bytes::new(vec![]).unwrap(),
            labels: vec![],
            limits: Text::new("Leaks. Leakage by its own report: early (balanced F).").unwrap(),
            splits: vec![split],
            disclosure: grades.map(|grades| Disclosure { report, attack: None, grades }),
            witnesses: None,
        }
    }

    fn refused(manifest: &VersionManifest) -> JobError {
        let template = include_str!("../../../chain-config/networks/networks/local.toml");
        let text = template.replace("@rpc@", "ws://127.0.0.1:1").replace("@gateway@", "http://127.0.0.1:1");
        let text = text.replace("@genesis@", &format!("0x{}", "07".repeat(32))).replace("@root@", "0x3082");
        let text = text.replace("@collateral@", "http://127.0.0.1:2");
        let network = Network::parse(&text, std::path::Path::new("local.toml")).unwrap();
        offered(manifest, SplitIndex(0), PolicyId(1), &network).err().unwrap()
    }

    #[test]
    fn a_split_of_grade_f_in_a_field_or_in_words_is_refused_and_so_is_one_without_a_tail() {
        let tail = TailDigest([8; 32]);
        assert!(matches!(refused(&manifest(tail, Some(Grade::F))), JobError::GradedF { split } if split == "early"));
        assert!(matches!(refused(&manifest(tail, None)), JobError::GradedF { .. }));
        assert!(matches!(refused(&manifest(TailDigest::default(), Some(Grade::A))), JobError::NoTail(_)));
        // One that may be listed is refused for its plan alone, which here is none.
        assert!(matches!(refused(&manifest(tail, Some(Grade::D))), JobError::Plan { .. }));
    }
}
