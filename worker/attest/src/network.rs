//! What a network file says about attestation, as root and policy.

use crate::kind::{ParseQuoteKindError, QuoteKind};
use crate::platform::{ParseTcbStatusError, TcbEvaluationNumber};
use crate::policy::{Permission, Policy};
use crate::root::{RootError, TrustRoot};
use encompute_networks::{Root, Trust};
use encompute_protocol::MeasurementId;
use std::collections::BTreeSet;

/// Whose word a network takes, and what is good enough there.
#[derive(Clone, Debug)]
pub struct Judge {
    /// Whose signature ends the chain.
    pub root: TrustRoot,
    /// What is good enough.
    pub policy: Policy,
}

impl Judge {
    /// The network's judge over the measurements that the contract lists (`on_chain`).
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn of(trust: &Trust, on_chain: impl IntoIterator<Item = MeasurementId>) -> Result<Self, TrustError> {
        Ok(Self { root: root_of(trust)?, policy: policy_of(trust, on_chain)? })
    }
}

/// A network file whose words about attestation do not make a policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Its root is none.
    #[error("trust root of the network file")]
    Root(#[from] RootError),
    /// A kind of quote that nobody can judge here.
    #[error("kinds of quotes of the network file")]
    Kind(#[from] ParseQuoteKindError),
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
/// [`TrustError::TcbStatus`], [`TrustError::Kind`].
pub fn policy_of(trust: &Trust, on_chain: impl IntoIterator<Item = MeasurementId>) -> Result<Policy, TrustError> {
    let listed = |id: &MeasurementId| trust.measurements.is_empty() || trust.measurements.contains(id);
    let statuses = trust.tcb_statuses.iter().map(|word| word.as_str().parse());
    let development = matches!(trust.root, Root::Development { .. });
    let kinds = trust.quotes.iter().map(|word| word.as_str().parse::<QuoteKind>());
    Ok(Policy {
        kinds: kinds.collect::<Result<_, _>>()?,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::platform::TcbStatus;
    use crate::root::RootKind;

    fn trust(root: Root) -> Trust {
        Trust {
            root,
            quotes: vec!["tdx-v4".parse().unwrap()],
            tcb_statuses: vec!["UpToDate".parse().unwrap()],
            dynamic_platform: true,
            cached_keys: false,
            smt: true,
            collateral: "https://api.trustedservices.intel.com".parse().unwrap(),
            measurements: Vec::new(),
        }
    }

    #[test]
    fn a_network_under_intels_root_refuses_development_quotes() {
        let trust = trust(Root::Intel);
        assert_eq!(root_of(&trust).unwrap().kind(), RootKind::Intel);
        let policy = policy_of(&trust, [MeasurementId([1; 32])]).unwrap();
        assert_eq!(policy.development_root, Permission::Refused);
        assert_eq!((policy.dynamic_platform, policy.cached_keys), (Permission::Allowed, Permission::Refused));
        assert_eq!(policy.tcb_statuses, BTreeSet::from([TcbStatus::UpToDate]));
    }

    #[test]
    fn a_network_takes_the_kinds_of_quotes_that_it_names() {
        let policy = policy_of(&trust(Root::Intel), []).unwrap();
        assert_eq!(policy.kinds, BTreeSet::from([QuoteKind::TdxV4]));
        for kind in QuoteKind::ALL {
            let trust = Trust { quotes: vec![kind.to_string().parse().unwrap()], ..trust(Root::Intel) };
            assert_eq!(policy_of(&trust, []).unwrap().kinds, BTreeSet::from([kind]), "every word of a file has a kind");
        }
    }

    #[test]
    fn a_networks_own_list_narrows_the_contracts() {
        let mut trust = trust(Root::Intel);
        let on_chain = [MeasurementId([1; 32]), MeasurementId([2; 32])];
        assert_eq!(policy_of(&trust, on_chain).unwrap().measurements.len(), 2);
        trust.measurements = vec![MeasurementId([2; 32]), MeasurementId([3; 32])];
        assert_eq!(policy_of(&trust, on_chain).unwrap().measurements, BTreeSet::from([MeasurementId([2; 32])]));
    }
}
