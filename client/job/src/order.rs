//! What a user orders.

use crate::{
    case::{CaseError, CaseName},
    error::JobError,
};
use encompute_head::HeadPlan;
use encompute_networks::Network;
use encompute_protocol::{
    Plancks, PolicyId, SplitIndex, SplitManifest, TailDigest, VersionHash, VersionId, VersionManifest,
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
        let split = self.split()?;
        if split.tail == TailDigest::default() {
            return Err(JobError::NoTail(split.name.as_str().into()));
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
        if self.case.is_some() && plan.mode().bootstrap_set().is_none() {
            return Err(CaseError::NotNeeded.into());
        }
        if self.tensor.len() != plan.input_count() {
            return Err(JobError::Input { found: self.tensor.len(), wanted: plan.input_count() });
        }
        let policy = CheckedPolicy::of_split(split, self.policy).map_err(JobError::Policy)?;
        Ok((plan, policy))
    }

    /// Hash of the manifest.
    pub fn hash(&self) -> VersionHash {
        self.manifest.hash()
    }
}

pub(crate) fn split_of(manifest: &VersionManifest, index: SplitIndex) -> Result<&SplitManifest, JobError> {
    let found = manifest.splits.get(usize::from(index.0));
    found.ok_or_else(|| JobError::Plan { found: format!("the manifest has no split {index}") })
}

pub(crate) fn plan_of(split: &SplitManifest) -> Result<HeadPlan, JobError> {
    HeadPlan::from_bytes(split.plan.as_slice()).map_err(|error| JobError::Plan { found: error.to_string() })
}
