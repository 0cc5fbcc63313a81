//! Whose word a network takes: from its file to the root and policy that judge quotes.

use encompute_attest::{Permission, Policy, RootError, TcbEvaluationNumber, TcbStatus, TrustRoot};
use encompute_networks::{Network, Root};
use encompute_protocol::MeasurementId;

/// A root and a policy.
#[derive(Clone, Debug)]
pub struct Judge {
    /// Whose signature ends the chain.
    pub root: TrustRoot,
    /// What is good enough.
    pub policy: Policy,
}

/// A network file whose trust cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The development root is no certificate.
    #[error("development root of network {network}")]
    Root {
        /// Which network.
        network: String,
        /// Why.
        #[source]
        source: RootError,
    },
    /// A patch level that nobody knows.
    #[error("network {network} allows TCB status {found:?}, which is none of Intel's")]
    TcbStatus {
        /// Which network.
        network: String,
        /// What it says.
        found: String,
    },
}

impl Judge {
    /// The network's judge over `measurements`: those that the contract allows; the network's own list, where it
    /// has one, narrows them.
    ///
    /// # Errors
    /// [`TrustError`], with what the network file says.
    pub fn of_network(
        network: &Network,
        measurements: impl IntoIterator<Item = MeasurementId>,
    ) -> Result<Self, TrustError> {
        let trust = &network.trust;
        let name = || network.name.to_string();
        let (root, development_root) = match &trust.root {
            Root::Intel => (TrustRoot::intel(), Permission::Refused),
            Root::Development { der, .. } => {
                let root = TrustRoot::development(der.clone())
                    .map_err(|source| TrustError::Root { network: name(), source })?;
                (root, Permission::Allowed)
            }
        };
        let status = |word: &str| {
            word.parse::<TcbStatus>().map_err(|_| TrustError::TcbStatus { network: name(), found: word.into() })
        };
        let permission = |allowed| if allowed { Permission::Allowed } else { Permission::Refused };
        let pinned = &trust.measurements;
        let policy = Policy {
            measurements: measurements.into_iter().filter(|id| pinned.is_empty() || pinned.contains(id)).collect(),
            tcb_statuses: trust.tcb_statuses.iter().map(|word| status(word.as_str())).collect::<Result<_, _>>()?,
            denied_advisories: Default::default(),
            min_tcb_evaluation: TcbEvaluationNumber(0),
            dynamic_platform: permission(trust.dynamic_platform),
            cached_keys: permission(trust.cached_keys),
            smt: permission(trust.smt),
            development_root,
        };
        Ok(Self { root, policy })
    }
}
