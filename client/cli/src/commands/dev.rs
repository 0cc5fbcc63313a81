//! `encompute dev`: a local market for development: chain, gateway, attestation, worker, creator, two models.

use crate::{
    args::Common,
    context::{stop_signal, under},
    deployment,
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain},
    output,
    supervise::{Service, sibling},
};
use clap::{Args, Subcommand};
use encompute_attest::{
    ComposeHash,
    devservice::{self, DevServiceConfig},
    pki::{CollateralTerms, DevelopmentPki, DevelopmentSeed, PlatformTraits, development_measurement},
};
use encompute_chain::{Client, Signer};
use encompute_networks::{Flags, LocalServices, Network};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// What development attestation pretends to measure: the hash of this very program.
const APP_NAME: &str = "encompute-worker (development)";
/// All processes of one machine agree on the development keys through this label.
const SEED_LABEL: &str = "encompute development attestation v1";

/// Governs the contract and receives protocol fees on a development network.
pub const GOVERNOR: &str = "//Alice";
/// The worker's account on a development network.
pub const WORKER: &str = "//Bob";
/// The creator's account on a development network.
pub const CREATOR: &str = "//Charlie";

/// A local market for development
#[derive(Subcommand)]
pub enum Dev {
    /// Start chain, gateway, attestation, worker and creator, list two models, and run until Ctrl-C
    #[command(
        after_help = "Examples:\n  encompute dev up\n  encompute dev up --home ./play --listen 127.0.0.1:9944\n  encompute job submit --model digits --input 7.png --suri //Dave   (in another shell)"
    )]
    Up(Up),
    /// Serve development quotes and their collateral; they prove nothing about a machine
    #[command(after_help = "Examples:\n  encompute dev attest --listen 127.0.0.1:8600")]
    Attest(Attest),
}

/// How to start the market.
#[derive(Args, Clone)]
pub struct Up {
    /// The chain's address; gateway, attestation, creator and worker take the four ports after it.
    /// Port 0 takes any free ones
    #[arg(long, default_value = "127.0.0.1:9944", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Seconds between blocks when nothing happens
    #[arg(long, default_value_t = 6, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub block_time: u64,
    /// Folder of the models to publish: one folder each with model.toml
    #[arg(long, default_value = "scripts/models", value_name = "DIR")]
    pub models: PathBuf,
    /// Forget the chain when stopped
    #[arg(long)]
    pub in_memory: bool,
}

impl Up {
    /// The address so many ports after the chain's. Fixed ports outlive a restart: manifests name the creator's.
    fn beside(&self, offset: u16) -> String {
        let port = if self.listen.port() == 0 { 0 } else { self.listen.port().saturating_add(offset) };
        SocketAddr::new(self.listen.ip(), port).to_string()
    }
}

/// How to serve quotes.
#[derive(Args)]
pub struct Attest {
    /// Address to listen on; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
}

impl Dev {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        match self {
            Self::Up(up) => {
                // Dropping a half-started market ends what it has started.
                let mut market = tokio::select! {
                    market = Market::start(common, &up) => market?,
                    () = stop_signal() => return Err(Failure::new(Exit::Failed, "stopped while starting")),
                };
                market.announce(common)?;
                let ended = tokio::select! {
                    () = stop_signal() => None,
                    failure = market.any_ended() => Some(failure),
                };
                output::say("stopping …");
                market.stop().await;
                ended.map_or(Ok(()), Err)
            }
            Self::Attest(attest) => serve_attestation(attest).await,
        }
    }
}

fn pretended() -> Outcome<DevServiceConfig> {
    // The hash of the worker's program stands where the compose file's stands in a real enclave: another
    // build is another measurement, as it would be there.
    let program = sibling("encompute-worker")
        .and_then(|path| std::fs::read(&path).doing(Exit::Failed, "read the worker's program"))?;
    Ok(DevServiceConfig {
        seed: DevelopmentSeed::from_label(SEED_LABEL),
        app_name: APP_NAME.into(),
        measurement: development_measurement(ComposeHash::of_file(&program)),
        traits: PlatformTraits::default(),
        terms: CollateralTerms::current,
        clock: encompute_attest::UnixSeconds::now,
    })
}

async fn serve_attestation(attest: Attest) -> Outcome {
    let config = pretended()?;
    let pki = DevelopmentPki::from_seed(DevelopmentSeed::from_label(SEED_LABEL))
        .doing(Exit::Failed, "make the development PKI")?;
    let listener = tokio::net::TcpListener::bind(attest.listen)
        .await
        .doing(Exit::Failed, &format!("listen on {}", attest.listen))?;
    let address = listener.local_addr().doing(Exit::Failed, "read the address listened on")?;
    output::json(&json!({
        "ready": true, "service": "attestation", "listen": format!("http://{address}"),
        "measurement": config.measurement.id().to_string(),
        "root_der": hex::encode(pki.trust_root().der()),
    }))?;
    devservice::serve(listener, config, stop_signal()).await.doing(Exit::Failed, "serve development quotes")
}

/// Everything that `dev up` runs.
pub struct Market {
    /// The network file that the other commands use.
    pub network: Network,
    /// Its services, in the order in which they were started.
    pub services: Vec<Service>,
    /// Home of keys and jobs of this market.
    pub home: PathBuf,
    /// Models on sale.
    pub models: Vec<Value>,
}

impl Market {
    /// Starts everything, deploys, publishes; a second start on the same folder finds what is there.
    ///
    /// # Errors
    /// With the service that did not start and the last line of its log; what was started is stopped.
    pub async fn start(common: &Common, up: &Up) -> Outcome<Self> {
        let flags = Flags { home: common.home.clone(), ..Flags::default() };
        let home = encompute_networks::home(&flags, &|key| std::env::var(key).ok())
            .doing(Exit::Usage, "find the home folder")?;
        let logs = under(&home, &["logs"]);
        let text = |parts: &[&str]| under(&home, parts).display().to_string();
        let program = std::env::current_exe().doing(Exit::Failed, "find this program")?;

        output::say("starting the embedded chain …");
        let mut chain =
            vec!["--listen".into(), up.listen.to_string(), "--block-time".into(), format!("{}s", up.block_time)];
        match up.in_memory {
            true => chain.push("--in-memory".into()),
            false => chain.extend(["--state".into(), text(&["chain"])]),
        }
        let chain = Service::start("chain", &sibling("encompute-devchain")?, &chain, &logs).await?;
        output::say("starting gateway and development attestation …");
        let gateway = ["gateway", "serve", "--listen", &up.beside(1), "--store", &text(&["blobs"])].map(String::from);
        let gateway = Service::start("gateway", &program, &gateway, &logs).await?;
        let attestation = Service::start(
            "attestation",
            &program,
            &["dev", "attest", "--listen", &up.beside(2)].map(String::from),
            &logs,
        )
        .await?;

        let mut network = local_network(&chain, &gateway, &attestation)?;
        contract(&mut network, &home, &attestation).await?;
        let file = under(&home, &["networks", "local.toml"]);
        network.write(&file).doing(Exit::Failed, "write the network file")?;
        let mut market = Self { network, services: vec![chain, gateway, attestation], home, models: Vec::new() };
        market.serve_and_publish(&file, &program, &logs, up).await?;
        Ok(market)
    }

    async fn serve_and_publish(&mut self, file: &Path, program: &Path, logs: &Path, up: &Up) -> Outcome {
        let text = |parts: &[&str]| under(&self.home, parts).display().to_string();
        let network = file.display().to_string();
        let vault = text(&["creator"]);
        output::say("starting the creator's service …");
        let creator = [
            "creator",
            "serve",
            "--network",
            &network,
            "--suri",
            CREATOR,
            "--vault",
            &vault,
            "--listen",
            &up.beside(3),
        ]
        .map(String::from);
        let creator = Service::start("creator", program, &creator, logs).await?;
        let creator_url = creator.ready_text("listen")?;
        self.services.push(creator);
        self.models =
            super::model::publish_all(&self.network, &up.models, CREATOR, Path::new(&vault), &creator_url).await?;
        output::say("starting the worker: quote, registration, head keys …");
        let attestation = self.services[2].ready_text("listen")?;
        let state = text(&["worker"]);
        let listen = up.beside(4);
        let worker = [
            "run",
            "--network",
            &network,
            "--suri",
            WORKER,
            "--state",
            &state,
            "--guest-agent",
            &attestation,
            "--listen",
            &listen,
        ];
        let worker = worker.map(String::from);
        let worker = Service::start("worker", &sibling("encompute-worker")?, &worker, logs).await?;
        self.services.push(worker);
        Ok(())
    }

    fn announce(&self, common: &Common) -> Outcome {
        let ready = json!({
            "ready": true, "service": "market", "home": self.home, "network": under(&self.home, &["networks", "local.toml"]),
            "rpc": self.network.chain.rpc.as_str(), "contract": self.network.chain.contract.map(|contract| contract.to_string()),
            "services": self.services.iter().map(|service| {
                json!({ "name": service.name, "pid": service.pid(), "log": service.log, "ready": service.ready })
            }).collect::<Vec<_>>(),
            "models": self.models,
        });
        if common.json {
            return output::json(&ready);
        }
        let home = self.home.display();
        let names: Vec<_> = self.models.iter().filter_map(|model| model["name"].as_str()).collect();
        output::text(&format!(
            "The local market is up.\n  chain     {}\n  contract  {}\n  models    {}\n  logs      {home}/logs\n\nIn another shell:\n  \
             export ENCOMPUTE_HOME={home} ENCOMPUTE_NETWORK=local\n  encompute model list\n  \
             encompute job submit --model digits --input tests/fixtures/digits/grey-28x28-7.png --suri //Dave\n\nCtrl-C stops it; nothing is lost.",
            self.network.chain.rpc.as_str(),
            self.network.chain.contract.map(|contract| contract.to_string()).unwrap_or_default(),
            names.join(", "),
        ))
    }

    /// Waits until a service ends by itself.
    pub async fn any_ended(&mut self) -> Failure {
        let waits = self.services.iter_mut().map(|service| Box::pin(service.ended()));
        futures::future::select_all(waits).await.0
    }

    /// Stops services in reverse: nobody loses the ones it needs while it drains.
    pub async fn stop(self) {
        for service in self.services.into_iter().rev() {
            service.stop().await;
        }
    }
}

/// The network file of these services.
fn local_network(chain: &Service, gateway: &Service, attestation: &Service) -> Outcome<Network> {
    let services = LocalServices {
        rpc: chain.ready_text("listen")?.parse().map_err(Exit::Failed.saying("the chain's address"))?,
        genesis: chain.ready_text("genesis")?.parse().map_err(Exit::Failed.saying("the chain's genesis"))?,
        gateway: gateway.ready_text("listen")?.parse().map_err(Exit::Failed.saying("the gateway's address"))?,
        collateral: attestation
            .ready_text("listen")?
            .parse()
            .map_err(Exit::Failed.saying("the attestation's address"))?,
        root_der: hex::decode(attestation.ready_text("root_der")?).doing(Exit::Failed, "read the development root")?,
    };
    Network::local(services).doing(Exit::Failed, "make the network file")
}

impl Exit {
    /// Turns a library's error into a failure; for `map_err`.
    fn saying<E: std::error::Error + 'static>(self, what: &'static str) -> impl Fn(E) -> Failure {
        move |error| Failure::of(self, &format!("read {what}"), &error)
    }
}

/// Finds the contract of an earlier start on this chain, or deploys one; announces the measurement.
async fn contract(network: &mut Network, home: &Path, attestation: &Service) -> Outcome {
    let connect = |error: encompute_chain::ConnectError| {
        Failure::of(exit_of_chain(error.class()), "connect to the embedded chain", &error)
    };
    let client = Client::connect(network).await.map_err(connect)?;
    let governor = client.signed_by(Signer::from_suri(GOVERNOR).doing(Exit::Failed, "read the governor's key")?);
    let earlier = Network::load(&under(home, &["networks", "local.toml"])).ok();
    let earlier = earlier
        .filter(|earlier| earlier.chain.genesis == Some(client.genesis()))
        .and_then(|earlier| earlier.chain.contract);
    let known = match earlier {
        Some(address) => {
            client.at_contract(address).read(encompute_protocol::call::ReadCounts {}).await.is_ok().then_some(address)
        }
        None => None,
    };
    let address = match known {
        Some(address) => address,
        None => {
            output::say("deploying the contract …");
            deployment::deploy(&governor, network.deployment.params).await?
        }
    };
    network.chain.contract = Some(address);
    let measurement = attestation.ready_text("measurement")?.parse().map_err(Exit::Failed.saying("the measurement"))?;
    deployment::allow(
        &client
            .at_contract(address)
            .signed_by(Signer::from_suri(GOVERNOR).doing(Exit::Failed, "read the governor's key")?),
        measurement,
    )
    .await
}
