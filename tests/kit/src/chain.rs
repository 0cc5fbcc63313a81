//! The embedded chain with the contract on it.

use crate::process::{KitError, Process, built};
use codec::Encode;
use encompute_chain::{Account, Client, Signer, development};
use encompute_networks::{LocalServices, Network, RpcUrl, ServiceUrl, WordError};
use encompute_protocol::{BlockNumber, Blocks, ContractAddress, Params, Plancks, call::CONSTRUCTOR};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The contract as it is checked in; tests of the contract rebuild and compare it.
const CODE: &[u8] = include_bytes!("../../../contracts/marketplace/artifacts/marketplace.polkavm");
/// Who deploys and governs.
pub(crate) const GOVERNOR: &str = "//Alice";
/// A root certificate's outline: tests of the chain alone never judge a quote.
const NO_ROOT: [u8; 5] = [0x30, 0x82, 0, 1, 0];

/// A chain that seals a block for every transaction and none without, and the contract on it.
pub struct Chain {
    /// The network, for clients.
    pub network: Network,
    process: Option<Process>,
    client: Client,
    folder: TempDir,
}

impl Chain {
    /// Starts a chain and deploys the contract with the local network's parameters.
    ///
    /// # Errors
    /// [`KitError`].
    pub async fn start() -> Result<Self, KitError> {
        Self::start_with(|_| {}).await
    }

    /// Starts a chain and deploys the contract with parameters of the test's own.
    ///
    /// # Errors
    /// [`KitError`]; parameters outside their bounds are refused by the contract.
    pub async fn start_with(adjust: impl FnOnce(&mut Params)) -> Result<Self, KitError> {
        Self::start_bare().await?.with_contract(adjust).await
    }

    /// Starts a chain on which accounts are mapped for contracts by `revive.map_account` alone, as on most public
    /// chains, and deploys the contract.
    ///
    /// # Errors
    /// [`KitError`].
    pub async fn start_unmapped() -> Result<Self, KitError> {
        Self::start_of(&["--explicit-mapping"]).await?.with_contract(|_| {}).await
    }

    async fn with_contract(self, adjust: impl FnOnce(&mut Params)) -> Result<Self, KitError> {
        let mut chain = self;
        let contract = deploy(&chain.client, chain.network.deployment.params, adjust).await?;
        chain.network.chain.contract = Some(contract);
        chain.client = chain.client.at_contract(contract);
        Ok(chain)
    }

    /// Starts a chain without the contract.
    ///
    /// # Errors
    /// [`KitError`].
    pub async fn start_bare() -> Result<Self, KitError> {
        Self::start_of(&[]).await
    }

    async fn start_of(genesis: &[&str]) -> Result<Self, KitError> {
        let folder = tempfile::tempdir().map_err(|source| KitError::Start { what: "chain".to_owned(), source })?;
        let process = start_process(folder.path(), "127.0.0.1:0", genesis).await?;
        let network = network_of(&process)?;
        let client = Client::connect(&network).await?;
        Ok(Self { network, process: Some(process), client, folder })
    }

    /// A client about the contract.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The account of a development key, such as `//Alice`. Each has a million tokens.
    ///
    /// # Panics
    /// If `suri` is none: a test's mistake.
    pub fn account(&self, suri: &str) -> Account {
        signed(&self.client, suri)
    }

    /// Seals empty blocks, so that windows pass.
    ///
    /// # Errors
    /// [`KitError::Command`].
    pub async fn seal(&self, blocks: Blocks) -> Result<BlockNumber, KitError> {
        let sealed = development::seal_blocks(&self.client, blocks).await;
        sealed.map_err(|error| KitError::Command { what: "sealing blocks".to_owned(), why: error.to_string() })
    }

    /// Ends the chain as a power cut would, and starts it again on the same folder and port.
    ///
    /// # Errors
    /// [`KitError`].
    pub async fn kill_and_restart(&mut self) -> Result<(), KitError> {
        self.kill().await;
        self.restart().await
    }

    /// Ends the chain as a power cut would.
    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Starts the chain again on the same folder and port.
    ///
    /// # Errors
    /// [`KitError`].
    pub async fn restart(&mut self) -> Result<(), KitError> {
        let listen = self.network.chain.rpc.as_str().trim_start_matches("ws://").to_owned();
        self.process = Some(start_process(self.folder.path(), &listen, &[]).await?);
        Ok(())
    }
}

/// Puts the contract on a chain, governed by [`GOVERNOR`].
pub(crate) async fn deploy(
    client: &Client,
    params: Params,
    adjust: impl FnOnce(&mut Params),
) -> Result<ContractAddress, KitError> {
    let governor = signed(client, GOVERNOR);
    let facts = client.constants().await.map_err(|error| KitError::Command {
        what: "reading the chain's constants".to_owned(),
        why: error.to_string(),
    })?;
    let mut params = Params { treasury: governor.address(), storage: facts.storage, ..params };
    // Chance has no place in a test that does not ask for it.
    params.audit_share = encompute_protocol::BasisPoints(0);
    adjust(&mut params);
    let constructor = (CONSTRUCTOR.0, params, governor.address(), client.genesis()).encode();
    Ok(governor.deploy(CODE.to_vec(), constructor, Plancks::ZERO, None).await?.answer)
}

/// The chain as a development key.
pub(crate) fn signed(client: &Client, suri: &str) -> Account {
    client.signed_by(Signer::from_suri(suri).expect("tests name development keys that exist; qed"))
}

async fn start_process(folder: &Path, listen: &str, genesis: &[&str]) -> Result<Process, KitError> {
    let state: PathBuf = folder.join("chain");
    let state = state.to_string_lossy();
    let arguments =
        ["--listen", listen, "--state", &state, "--seal", "instant", "--block-time", "0s", "--finality-gap", "0ms"];
    Process::start("chain", &built("encompute-devchain")?, &[&arguments, genesis].concat(), folder).await
}

fn network_of(process: &Process) -> Result<Network, KitError> {
    let word = |error: WordError| KitError::Command { what: "reading a ready line".to_owned(), why: error.to_string() };
    let url = process.said("listen")?.replacen("http://", "ws://", 1);
    let genesis = process.said("genesis")?;
    let genesis = genesis.parse().map_err(|error: encompute_protocol::digest::ParseHexError| KitError::Command {
        what: "reading the genesis hash".to_owned(),
        why: error.to_string(),
    })?;
    let nowhere: ServiceUrl = "http://127.0.0.1:1".parse().map_err(word)?;
    Ok(Network::local(LocalServices {
        rpc: url.parse::<RpcUrl>().map_err(word)?,
        genesis,
        gateway: nowhere.clone(),
        collateral: nowhere,
        root_der: NO_ROOT.to_vec(),
    })?)
}
