//! `encompute dev`: a local market for development: chain, gateway, attestation, worker, creator, models.

use crate::{
    args::{Common, Leash},
    context::{bare_home, stop_signal, stopped, under},
    deployment,
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain},
    output,
    supervise::{Incident, Launch, Service, sibling},
};
use clap::{Args, Subcommand};
use encompute_attest::{
    ComposeHash,
    devservice::{self, DevServiceConfig},
    pki::{CollateralTerms, DevelopmentPki, DevelopmentSeed, PlatformTraits, SEED_LABEL, development_measurement},
};
use encompute_chain::{Client, Signer};
use encompute_networks::{LocalServices, Network};
use encompute_protocol::ContractAddress;
use serde_json::{Map, Value, json};
use std::{
    fs::{File, TryLockError},
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The programs that a worker can be: one that can open nothing, and one that takes keys in custody.
const PLAIN: &str = "encompute-worker";
const CUSTODIAN: &str = "encompute-custodian";
/// What development attestation says of the app whose program it measures.
const APP_NAME: &str = "encompute-worker (development)";

/// Governs the contract and receives protocol fees on a development network.
pub const GOVERNOR: &str = "//Alice";
/// The worker's account on a development network.
pub const WORKER: &str = "//Bob";
/// The creator's account on a development network.
pub const CREATOR: &str = "//Charlie";

/// Stake of a worker that runs published encoders, in tokens: ten jobs at once.
const LARGE_STAKE: &str = "1000";

/// Stake in the anchor of a worker that runs nothing large, in tokens: eight jobs at once.
const ANCHOR_STAKE: &str = "200";

/// A local market for development
#[derive(Subcommand)]
pub enum Dev {
    /// Start chain, gateway, attestation, worker and creator, list the models, and run until Ctrl-C
    #[command(
        after_help = "Examples:\n  encompute dev up\n  encompute dev up --home ./play --listen 127.0.0.1:9944\n  encompute job submit --model digits --input 7.png --suri //Dave   (in another shell)"
    )]
    Up(Up),
    /// Serve development quotes and their collateral; they prove nothing about a machine
    #[command(
        after_help = "Examples:\n  encompute dev attest --listen 127.0.0.1:8600\n  encompute dev attest --machine second --machine third"
    )]
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
    /// Publish this model of that folder, too: one with a published encoder, which takes minutes
    #[arg(long, value_name = "NAME")]
    pub also: Vec<String>,
    /// Put the worker behind an anchor: it has no money, and a relayer pays for what it signs
    #[arg(long)]
    pub rollup: bool,
    /// Have the worker take keys in custody: another program, encompute-custodian, with another measurement
    #[arg(long, conflicts_with = "rollup")]
    pub custody: bool,
    /// Forget the chain when stopped
    #[arg(long)]
    pub in_memory: bool,
    /// When to stop
    #[command(flatten)]
    pub leash: Leash,
}

impl Up {
    /// The worker's program.
    fn worker(&self) -> &'static str {
        if self.custody { CUSTODIAN } else { PLAIN }
    }

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
    /// Whose code the quotes measure: the worker's program, by its name beside this one
    #[arg(long, default_value = PLAIN, value_parser = [PLAIN, CUSTODIAN])]
    program: String,
    /// Say the platform of this machine, too; workers on it ask at /machines/NAME
    #[arg(long, value_name = "NAME")]
    machine: Vec<String>,
    /// When to stop
    #[command(flatten)]
    leash: Leash,
}

impl Dev {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        match self {
            Self::Up(up) => {
                let stop = stopped(up.leash);
                tokio::pin!(stop);
                // Dropping a half-started market ends what it has started.
                let mut market = tokio::select! {
                    market = Market::start(common, &up) => market?,
                    () = &mut stop => return Err(Failure::new(Exit::Failed, "stopped while starting")),
                };
                market.announce(common)?;
                let ended = tokio::select! {
                    () = &mut stop => None,
                    failure = market.keep_up(common.json) => Some(failure),
                };
                output::say("stopping … (Ctrl-C again: at once)");
                tokio::select! {
                    () = market.stop() => {}
                    () = stop_signal() => {}
                }
                ended.map_or(Ok(()), Err)
            }
            Self::Attest(attest) => serve_attestation(attest).await,
        }
    }
}

fn pretended(program: &str) -> Outcome<DevServiceConfig> {
    // The hash of the worker's program stands where the compose file's stands in a real enclave: another
    // build is another measurement, as it would be there.
    let program =
        sibling(program).and_then(|path| std::fs::read(&path).doing(Exit::Failed, "read the worker's program"))?;
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
    let config = pretended(&attest.program)?;
    let pki = DevelopmentPki::from_seed(DevelopmentSeed::from_label(SEED_LABEL))
        .doing(Exit::Failed, "make the development PKI")?;
    let platform_of = |name: &str| {
        let machine = pki.platform(name, config.traits.clone()).doing(Exit::Failed, "make a development machine")?;
        machine.platform_id().doing(Exit::Failed, "name a development machine")
    };
    let platform = platform_of(devservice::DEFAULT_MACHINE)?;
    let mut machines = Map::new();
    for name in &attest.machine {
        machines.insert(name.clone(), platform_of(name)?.to_string().into());
    }
    let listener = tokio::net::TcpListener::bind(attest.listen)
        .await
        .doing(Exit::Failed, &format!("listen on {}", attest.listen))?;
    let address = listener.local_addr().doing(Exit::Failed, "read the address listened on")?;
    output::json(&json!({
        "ready": true, "service": "attestation", "listen": format!("http://{address}"),
        "measurement": config.measurement.id().to_string(),
        "platform": platform.to_string(), "machines": machines,
        "root_der": hex::encode(pki.trust_root().der()),
    }))?;
    devservice::serve(listener, config, stopped(attest.leash)).await.doing(Exit::Failed, "serve development quotes")
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
    /// Held for as long as this is the home's one market.
    _lock: File,
}

impl Market {
    /// Starts everything, deploys, publishes; a second start on the same folder finds what is there.
    ///
    /// # Errors
    /// With the service that did not start and the last line of its log; what was started is stopped.
    pub async fn start(common: &Common, up: &Up) -> Outcome<Self> {
        let home = bare_home(common)?;
        let lock = alone(&home)?;
        let logs = under(&home, &["logs"]);
        let text = |parts: &[&str]| under(&home, parts).display().to_string();
        let program = std::env::current_exe().doing(Exit::Failed, "find this program")?;
        let launch = |name, program: &Path, arguments: Vec<String>, offset| Launch {
            name,
            program: program.to_owned(),
            arguments,
            listen: up.beside(offset),
            logs: logs.clone(),
            again: name != "chain" || !up.in_memory,
        };

        output::say("starting the embedded chain …");
        let mut chain = vec!["--block-time".into(), format!("{}s", up.block_time)];
        match up.in_memory {
            true => chain.push("--in-memory".into()),
            false => chain.extend(["--state".into(), text(&["chain"])]),
        }
        let chain = Service::start(launch("chain", &sibling("encompute-devchain")?, chain, 0)).await?;
        output::say("starting gateway and development attestation …");
        let gateway = ["gateway", "serve", "--store", &text(&["blobs"])].map(String::from).to_vec();
        let gateway = Service::start(launch("gateway", &program, gateway, 1)).await?;
        let attestation = ["dev", "attest", "--program", up.worker()].map(String::from).to_vec();
        let attestation = Service::start(launch("attestation", &program, attestation, 2)).await?;

        let mut network = local_network(&chain, &gateway, &attestation)?;
        contract(&mut network, &home, &attestation).await?;
        let file = under(&home, &["networks", "local.toml"]);
        network.write(&file).doing(Exit::Failed, "write the network file")?;
        let file = file.display().to_string();
        let quotes = attestation.ready_text("listen")?;
        let mut services = vec![chain, gateway, attestation];

        output::say("starting the creator's service …");
        let vault = text(&["creator"]);
        let creator = ["creator", "serve", "--network", &file, "--suri", CREATOR, "--vault", &vault].map(String::from);
        let creator = Service::start(launch("creator", &program, creator.to_vec(), 3)).await?;
        let creator_url = creator.ready_text("listen")?;
        services.push(creator);
        let models =
            crate::publish::publish_all(&network, (&up.models, &up.also), CREATOR, Path::new(&vault), &creator_url)
                .await?;

        output::say("starting the worker: quote, registration, head keys …");
        let state = text(&["worker"]);
        let worker = ["run", "--network", &file, "--state", &state, "--guest-agent", &quotes];
        let mut worker = worker.map(String::from).to_vec();
        // A job locks twice its head's fee, and an encoder's is far above the least that workers stake.
        let stake = if up.also.is_empty() { None } else { Some(LARGE_STAKE) };
        if up.rollup {
            let anchor = anchor_of(&network, &home, stake.unwrap_or(ANCHOR_STAKE)).await?.to_string();
            let relay = ["relay", "--network", &file, "--suri", WORKER, "--anchor", &anchor].map(String::from);
            let relay = Service::start(launch("relay", &sibling("encompute-worker")?, relay.to_vec(), 5)).await?;
            let url = relay.ready_text("listen")?;
            worker.extend(["--anchor", &anchor, "--relay", &url].map(String::from));
            services.push(relay);
        } else {
            worker.extend(["--suri", WORKER].map(String::from));
            worker.extend(stake.iter().flat_map(|stake| ["--stake", stake]).map(String::from));
        }
        services.push(Service::start(launch("worker", &sibling(up.worker())?, worker, 4)).await?);
        Ok(Self { network, services, home, models, _lock: lock })
    }

    fn announce(&self, common: &Common) -> Outcome {
        let ready = json!({
            "ready": true, "service": "market", "home": self.home, "network": under(&self.home, &["networks", "local.toml"]),
            "rpc": self.network.chain.rpc.as_str(), "contract": self.network.chain.contract.map(|contract| contract.to_string()),
            "services": self.services.iter().map(|service| {
                json!({ "name": service.name(), "pid": service.pid(), "log": service.log(), "ready": service.ready })
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

    /// Starts again whatever ends, and says so: in words, and with `events` as JSON lines on stdout too.
    /// Comes back only when a service cannot be kept up.
    pub async fn keep_up(&mut self, events: bool) -> Failure {
        let told = |incident: &Incident<'_>| tell(incident, events);
        let kept = self.services.iter_mut().map(|service| Box::pin(service.keep_up(&told)));
        futures::future::select_all(kept).await.0
    }

    /// Stops services in reverse: nobody loses the ones it needs while it drains.
    pub async fn stop(self) {
        for service in self.services.into_iter().rev() {
            service.stop().await;
        }
    }
}

/// The anchor of an earlier start on this contract, or a new one with `stake`; it knows the worker's key.
async fn anchor_of(network: &Network, home: &Path, stake: &str) -> Outcome<ContractAddress> {
    let connected = Client::connect(network).await;
    let client =
        connected.map_err(|error| Failure::of(exit_of_chain(error.class()), "connect to the chain", &error))?;
    let owner = client.signed_by(Signer::from_suri(WORKER).doing(Exit::Failed, "read the worker's owner")?);
    let file = under(home, &["anchor"]);
    let earlier = std::fs::read_to_string(&file).ok();
    let earlier = earlier.and_then(|text| {
        let (market, anchor) = text.trim().split_once(' ')?;
        (Some(market.to_owned()) == network.chain.contract.map(|market| market.to_string()))
            .then(|| anchor.parse().ok())?
    });
    if let Some(anchor) = earlier {
        return Ok(anchor);
    }
    output::say("deploying the worker's anchor …");
    let stake = network.token.amount(stake).doing(Exit::Failed, "read the stake")?;
    let anchor = super::anchor::deploy(&owner, owner.address(), stake).await?;
    let state = under(home, &["worker"]).display().to_string();
    let printed = std::process::Command::new(sibling("encompute-worker")?).args(["key", "--state", &state]).output();
    let printed = printed.doing(Exit::Failed, "ask for the worker's key")?;
    let key = super::anchor::parse_key(&String::from_utf8_lossy(&printed.stdout))?;
    super::anchor::name(&owner, anchor, key).await?;
    let market = network.chain.contract.map(|market| market.to_string()).unwrap_or_default();
    std::fs::write(&file, format!("{market} {anchor}\n")).doing(Exit::Failed, "note the anchor")?;
    Ok(anchor)
}

/// The lock of a home's one market; another process that holds it runs one there.
fn alone(home: &Path) -> Outcome<File> {
    std::fs::create_dir_all(home).doing(Exit::Failed, &format!("make {}", home.display()))?;
    let path = under(home, &["market.lock"]);
    let lock = File::options().create(true).append(true).open(&path);
    let lock = lock.doing(Exit::Failed, &format!("open {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(Failure::new(Exit::Failed, format!("a market runs in {} already", home.display()))
                .hint("use it: --network local; or start another one elsewhere: --home DIR"))
        }
        Err(TryLockError::Error(error)) => Err(error).doing(Exit::Failed, &format!("lock {}", path.display())),
    }
}

/// Says what became of a service.
fn tell(incident: &Incident<'_>, events: bool) {
    let (words, event) = match incident {
        Incident::Ended { service, why, pause } => (
            format!("{why}\n{service} is started again in {pause:?}"),
            json!({ "event": "ended", "service": service, "why": why }),
        ),
        Incident::Started(service) => (
            format!("{} serves again", service.name()),
            json!({ "event": "started", "service": service.name(), "pid": service.pid(), "ready": service.ready }),
        ),
    };
    output::say(&words);
    if events {
        // Nobody reads a closed stdout; the market runs all the same.
        let _ = output::json(&event);
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

/// Finds the contract of an earlier start on this chain, or deploys one; announces measurement and platform.
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
    let platform = attestation.ready_text("platform")?.parse().map_err(Exit::Failed.saying("the platform"))?;
    let governor = client
        .at_contract(address)
        .signed_by(Signer::from_suri(GOVERNOR).doing(Exit::Failed, "read the governor's key")?);
    deployment::allow(&governor, measurement).await?;
    deployment::allow_platform(&governor, platform).await
}
