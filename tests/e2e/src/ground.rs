//! What a worker needs to be one, and nothing else.

use encompute_kit::{Chain, Process, program};
use encompute_networks::{LocalServices, Network};
use encompute_protocol::{
    Blocks, Plancks, WorkerRecord,
    call::{AllowMeasurement, AllowPlatform, ReadWorker},
};
use std::path::Path;

/// A chain, a gateway and quotes: all that a worker needs to be one.
pub struct Ground {
    /// The chain.
    pub chain: Chain,
    /// Everybody's home.
    pub folder: tempfile::TempDir,
    /// Blobs.
    pub gateway: Process,
    /// Quotes.
    pub attestation: Process,
}

impl Ground {
    /// With registrations of at most 90 blocks.
    ///
    /// # Panics
    /// If something does not start.
    pub async fn new() -> Self {
        let chain = Chain::start_with(|params| {
            (params.windows.head, params.windows.dispute) = (Blocks(20), Blocks(20));
            params.registration_limit = Blocks(90);
        });
        let chain = chain.await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("blobs").display().to_string();
        let gateway = ["gateway", "serve", "--listen", "127.0.0.1:0", "--store", &store];
        let gateway = Process::start("gateway", &program("encompute"), &gateway, folder.path()).await.unwrap();
        let attestation = quotes("attestation", &program("encompute"), folder.path()).await;
        let network = Network::local(LocalServices {
            rpc: chain.network.chain.rpc.clone(),
            genesis: chain.network.chain.genesis.unwrap(),
            gateway: gateway.said("listen").unwrap().parse().unwrap(),
            collateral: attestation.said("listen").unwrap().parse().unwrap(),
            root_der: root_of(&attestation),
        });
        let mut network = network.unwrap();
        network.chain.contract = chain.network.chain.contract;
        network.write(&folder.path().join("networks/local.toml")).unwrap();
        let measurement = attestation.said("measurement").unwrap().parse().unwrap();
        chain.account("//Alice").submit(AllowMeasurement { measurement }, Plancks::ZERO).await.unwrap();
        let platform = attestation.said("platform").unwrap().parse().unwrap();
        chain.account("//Alice").submit(AllowPlatform { platform }, Plancks::ZERO).await.unwrap();
        Self { chain, folder, gateway, attestation }
    }

    /// The arguments of a worker whose quotes come from `guest`.
    ///
    /// # Panics
    /// If `guest` is no service of quotes.
    pub fn worker(&self, suri: &str, guest: &Process) -> Vec<String> {
        let state = self.folder.path().join(suri.trim_start_matches('/')).display().to_string();
        let home = self.folder.path().display().to_string();
        let guest = guest.said("listen").unwrap();
        ["run", "--home", &home, "--network", "local", "--suri", suri, "--state", &state, "--guest-agent", guest]
            .map(String::from)
            .to_vec()
    }

    /// The registration of an account.
    ///
    /// # Panics
    /// If the chain cannot be read.
    pub async fn record(&self, suri: &str) -> Option<WorkerRecord> {
        let worker = self.chain.account(suri).address();
        self.chain.client().read(ReadWorker { worker }).await.unwrap().map(|(record, _)| record)
    }
}

/// A service of development quotes.
///
/// # Panics
/// If it does not start.
pub async fn quotes(name: &str, program: &Path, folder: &Path) -> Process {
    Process::start(name, program, &["dev", "attest", "--listen", "127.0.0.1:0"], folder).await.unwrap()
}

fn root_of(attestation: &Process) -> Vec<u8> {
    let digits = attestation.said("root_der").unwrap().as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
