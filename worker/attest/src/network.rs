//! What a network file says about attestation, as root and policy.

use crate::kind::{ParseQuoteKindError, QuoteKind};
use crate::measurement::Measurement;
use crate::platform::{AdvisoryId, ParseTcbStatusError, TcbEvaluationNumber};
use crate::policy::{Permission, Policy};
use crate::root::{RootError, TrustRoot};
pub use encompute_networks::OsImage;
use encompute_networks::{Root, Trust};
use encompute_protocol::MeasurementId;

/// Whose word a network takes, and what is good enough there.
#[derive(Clone, Debug)]
pub struct Judge {
    /// Whose signature ends the chain.
    pub root: TrustRoot,
    /// What is good enough.
    pub policy: Policy,
    /// Images that are known by name; none where only the measurement counts.
    pub images: Vec<OsImage>,
}

impl Judge {
    /// The network's judge over the measurements that the contract lists (`on_chain`).
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn of(trust: &Trust, on_chain: impl IntoIterator<Item = MeasurementId>) -> Result<Self, TrustError> {
        Ok(Self { root: root_of(trust)?, policy: policy_of(trust, on_chain)?, images: trust.images.clone() })
    }

    /// The name of the image that a domain booted: none for one that the table does not have, and for enclaves, which boot
    /// none.
    pub fn image_of(&self, measurement: &Measurement) -> Option<&str> {
        let Measurement::Tdx(found) = measurement else { return None };
        let rtmrs = [&found.rtmr0.0, &found.rtmr1.0, &found.rtmr2.0];
        self.images.iter().find(|image| image.is_of(&found.mr_td.0, rtmrs)).map(|image| image.name.as_str())
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
        denied_advisories: trust.denied_advisories.iter().map(|id| AdvisoryId::new(id.as_str())).collect(),
        min_tcb_evaluation: TcbEvaluationNumber(trust.min_tcb_evaluation),
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
    use std::collections::BTreeSet;

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
            denied_advisories: Vec::new(),
            min_tcb_evaluation: 0,
            images: Vec::new(),
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
    fn advisories_and_a_least_evaluation_of_the_file_are_the_policys() {
        let advisory: encompute_networks::AdvisoryName = "INTEL-SA-00837".parse().unwrap();
        let trust = Trust { denied_advisories: vec![advisory], min_tcb_evaluation: 18, ..trust(Root::Intel) };
        let policy = policy_of(&trust, []).unwrap();
        assert_eq!(policy.denied_advisories, BTreeSet::from([AdvisoryId::new("intel-sa-00837")]));
        assert_eq!(policy.min_tcb_evaluation, TcbEvaluationNumber(18));
    }

    #[test]
    fn an_image_is_named_by_all_four_registers_of_a_domain() {
        use crate::measurement::{ComposeHash, Register, SgxMeasurement, TdxMeasurement};
        let image = OsImage {
            name: "dstack-0.5.4".into(),
            mr_td: [1; 48],
            rtmr0: vec![[8; 48], [2; 48]],
            rtmr1: [3; 48],
            rtmr2: [4; 48],
        };
        let judge = Judge::of(&Trust { images: vec![image], ..trust(Root::Intel) }, []).unwrap();
        let domain = TdxMeasurement {
            mr_td: Register([1; 48]),
            rtmr0: Register([2; 48]),
            rtmr1: Register([3; 48]),
            rtmr2: Register([4; 48]),
            mr_config_id: ComposeHash([5; 32]).config_id_v1(),
            td_attributes: [0; 8],
            xfam: [0; 8],
        };
        assert_eq!(judge.image_of(&Measurement::Tdx(domain)), Some("dstack-0.5.4"));
        let alterations: [fn(&mut TdxMeasurement); 4] = [
            |domain| domain.mr_td.0[0] ^= 1,
            |domain| domain.rtmr0.0[0] ^= 1,
            |domain| domain.rtmr1.0[0] ^= 1,
            |domain| domain.rtmr2.0[0] ^= 1,
        ];
        for alter in alterations {
            let mut other = domain;
            alter(&mut other);
            assert_eq!(judge.image_of(&Measurement::Tdx(other)), None);
        }
        let enclave =
            SgxMeasurement { mr_enclave: [1; 32], mr_signer: [2; 32], isv_prod_id: 1, isv_svn: 1, attributes: [0; 16] };
        assert_eq!(judge.image_of(&Measurement::Sgx(enclave)), None);
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
