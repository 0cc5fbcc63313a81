//! A network: what a checked file says.

use crate::error::NetworkError;
use crate::images::OsImage;
use crate::words::{AdvisoryName, NetworkName, ParameterName, QuoteKindName, RpcUrl, ServiceUrl, TcbStatusName};
use core::fmt;
use encompute_protocol::{ContractAddress, GenesisHash, MeasurementId, Params};
use sha2::{Digest, Sha256};
use std::path::Path;

const BUNDLED: [(&str, &str); 1] = [("paseo-hub", include_str!("../networks/paseo-hub.toml"))];
const LOCAL: &str = include_str!("../networks/local.toml");

/// Everything that differs between networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: NetworkName,
    /// The chain and the contract on it.
    pub chain: Chain,
    /// The chain's native token.
    pub token: Token,
    /// The blob gateway, where the network has one.
    pub gateway: Option<ServiceUrl>,
    /// Whose attestation counts, and what it may say.
    pub trust: Trust,
    /// Encryption parameter sets that inputs may use, at least one.
    pub parameters: Vec<ParameterName>,
    /// What a new contract is deployed with.
    pub deployment: Deployment,
}

/// The chain and the contract on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its node.
    pub rpc: RpcUrl,
    /// Its first block. Where pinned, a node of another chain is refused.
    pub genesis: Option<GenesisHash>,
    /// The marketplace; none before it is deployed.
    pub contract: Option<ContractAddress>,
}

/// A chain's native token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// How amounts are written, e.g. `UNIT`.
    pub symbol: String,
    /// One token is 10 to this many of its smallest unit; at most 18.
    pub decimals: u8,
    /// First bytes of the chain's SS58 addresses; at most 16,383.
    pub ss58_prefix: u16,
}

/// Whose attestation counts, and what it may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Whose signature ends every chain.
    pub root: Root,
    /// Kinds of quote accepted, at least one.
    pub quotes: Vec<QuoteKindName>,
    /// Patch levels accepted, at least one.
    pub tcb_statuses: Vec<TcbStatusName>,
    /// Platforms to which packages can be added later count.
    pub dynamic_platform: bool,
    /// Platforms whose keys Intel's registration service holds count.
    pub cached_keys: bool,
    /// Platforms with hyperthreading count.
    pub smt: bool,
    /// Where collateral is fetched: Intel's service, a cache of it, or a development one.
    pub collateral: ServiceUrl,
    /// Attested code that counts, besides being on the contract's list. Empty: the contract's list alone.
    pub measurements: Vec<MeasurementId>,
    /// Advisories that must not apply to a machine. Empty: its patch level alone counts.
    pub denied_advisories: Vec<AdvisoryName>,
    /// Oldest of Intel's judgements that counts, by number; 0 for any.
    pub min_tcb_evaluation: u32,
    /// Images that audits know by name. Empty: the measurement alone counts.
    pub images: Vec<OsImage>,
}

/// Whose signature ends every chain.
#[derive(Clone, PartialEq, Eq)]
pub enum Root {
    /// Intel's: quotes come from real hardware.
    Intel,
    /// A development root: quotes prove nothing about any machine.
    Development {
        /// The certificate.
        der: Vec<u8>,
        /// SHA-256 of it.
        fingerprint: [u8; 32],
    },
}

/// What a new contract is deployed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Parameters; the treasury is the zero address here and becomes whoever deploys.
    pub params: Params,
}

/// What only a running development network knows about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalServices {
    /// Its node.
    pub rpc: RpcUrl,
    /// Its first block.
    pub genesis: GenesisHash,
    /// Its blob gateway.
    pub gateway: ServiceUrl,
    /// Its collateral service.
    pub collateral: ServiceUrl,
    /// Its development root, as DER.
    pub root_der: Vec<u8>,
}

impl Network {
    /// The development network `local` around services that run, its contract not yet deployed.
    ///
    /// # Errors
    /// [`NetworkError`] if `local.toml` or the root certificate is refused.
    pub fn local(services: LocalServices) -> Result<Self, NetworkError> {
        let text = LOCAL
            .replace("@rpc@", services.rpc.as_str())
            .replace("@genesis@", &services.genesis.to_string())
            .replace("@gateway@", services.gateway.as_str())
            .replace("@collateral@", services.collateral.as_str())
            .replace("@root@", &format!("0x{}", hex::encode(services.root_der)));
        Self::parse(&text, Path::new("local.toml"))
    }

    /// A network that comes with the programs: `paseo-hub`, an example for a public chain that was
    /// never tried. `local` is none of them: it exists where somebody started it.
    pub fn bundled(name: &str) -> Option<Self> {
        let (name, text) = BUNDLED.iter().find(|(bundled, _)| *bundled == name)?;
        // A test reads every bundled file.
        Self::parse(text, Path::new(name)).ok()
    }

    /// Names of the bundled networks.
    pub fn bundled_names() -> impl Iterator<Item = &'static str> {
        BUNDLED.iter().map(|(name, _)| *name)
    }

    /// True where a development root is trusted: only there may keys be public (`//Alice`) and
    /// parameters protect nothing.
    pub fn is_development(&self) -> bool {
        matches!(self.trust.root, Root::Development { .. })
    }

    /// True where inputs may be encrypted under the parameter set called `name`.
    pub fn allows_parameters(&self, name: &str) -> bool {
        self.parameters.iter().any(|allowed| allowed.as_str() == name)
    }
}

impl Root {
    /// The development root with this certificate, as DER. Whether it is one, the verifier says.
    pub fn development(der: Vec<u8>) -> Self {
        let fingerprint = Sha256::digest(&der).into();
        Self::Development { der, fingerprint }
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intel => f.write_str("Intel"),
            Self::Development { fingerprint, .. } => write!(f, "Development({})", hex::encode(fingerprint)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn services() -> LocalServices {
        LocalServices {
            rpc: RpcUrl::new("ws://127.0.0.1:1").unwrap(),
            genesis: GenesisHash([7; 32]),
            gateway: ServiceUrl::new("http://127.0.0.1:2").unwrap(),
            collateral: ServiceUrl::new("http://127.0.0.1:3").unwrap(),
            root_der: vec![0x30, 0x82, 0, 1, 0],
        }
    }

    #[test]
    fn every_bundled_network_reads_and_survives_being_written() {
        for (name, text) in BUNDLED {
            let network = Network::parse(text, Path::new(name)).unwrap();
            assert_eq!(network.name.as_str(), name);
            assert_eq!(Network::bundled(name), Some(network.clone()));
            assert_eq!(Network::parse(&network.to_toml(), Path::new(name)).unwrap(), network);
        }
        assert_eq!(Network::bundled("mainnet"), None);
    }

    #[test]
    fn the_local_network_is_a_development_network_around_its_services() {
        let local = Network::local(services()).unwrap();
        assert_eq!(local.chain.genesis, Some(GenesisHash([7; 32])));
        assert_eq!(local.chain.contract, None);
        assert!(local.is_development() && local.allows_parameters("glwe-2048-v1"));
        assert!(matches!(&local.trust.root, Root::Development { der, .. } if *der == services().root_der));
        assert_eq!(Network::parse(&local.to_toml(), Path::new("local.toml")).unwrap(), local);
    }

    #[test]
    fn only_development_networks_allow_parameters_that_protect_nothing() {
        for name in Network::bundled_names() {
            let network = Network::bundled(name).unwrap();
            assert!(!network.is_development() && network.parameters.iter().all(ParameterName::is_production), "{name}");
        }
    }

    #[test]
    fn every_shipped_deployment_is_one_that_the_contract_accepts() {
        let shipped = Network::bundled_names().filter_map(Network::bundled).chain(Network::local(services()));
        for network in shipped {
            let params = Params { treasury: encompute_protocol::Address([1; 20]), ..network.deployment.params };
            assert_eq!(encompute_lifecycle::price::check_params(&params), Ok(()), "{}", network.name);
        }
    }
}
