//! What a network file says about attestation, as root and policy.

use crate::platform::{ParseTcbStatusError, TcbEvaluationNumber};
use crate::policy::{Permission, Policy};
use crate::root::{RootError, TrustRoot};
use encompute_networks::{Root, Trust};
use encompute_protocol::MeasurementId;
use std::collections::BTreeSet;

/// A network file whose words about attestation do not make a policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Its root is none.
    #[error("trust root of the network file")]
    Root(#[from] RootError),
    /// A patch level that Intel never wrote.
    #[error("patch levels of the network file")]
    TcbStatus(#[from] ParseTcbStatusError),
}

/// The root that a network trusts.
///
/// # Errors
/// [`TrustError::Root`].
pub fn root_of(trust: &Trust) -> Result<TrustRoot, TrustError> {
    match &trust.root {
        Root::Intel => Ok(TrustRoot::intel()),
        Root::Development { der, .. } => Ok(TrustRoot::development(der.clone())?),
    }
}

/// The policy of a network: its own words, and of the measurements that the contract lists
/// (`on_chain`) those that the file lists too, or all of them where the file lists none.
///
/// # Errors
/// [`TrustError::TcbStatus`].
pub fn policy_of(trust: &Trust, on_chain: impl IntoIterator<Item = MeasurementId>) -> Result<Policy, TrustError> {
    let listed = |id: &MeasurementId| trust.measurements.is_empty() || trust.measurements.contains(id);
    let statuses = trust.tcb_statuses.iter().map(|word| word.as_str().parse());
    let development = matches!(trust.root, Root::Development { .. });
    Ok(Policy {
        measurements: on_chain.into_iter().filter(listed).collect(),
        tcb_statuses: statuses.collect::<Result<_, _>>()?,
        denied_advisories: BTreeSet::new(),
        min_tcb_evaluation: TcbEvaluationNumber(0),
        dynamic_platform: permission(trust.dynamic_platform),
        cached_keys: permission(trust.cached_keys),
        smt: permission(trust.smt),
        development_root: permission(development),
    })
}

fn permission(allowed: bool) -> Permission {
    if allowed { Permission::Allowed } else { Permission::Refused }
}
