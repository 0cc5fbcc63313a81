//! The whole market as processes that a test ends and starts again one by one.

use crate::{
    chain::{GOVERNOR, deploy, signed},
    clock::Clocks,
    habits::{Between, Habits},
    liar::Liar,
    links::{Called, Caller, Links},
    market::command,
    process::{Drained, KitError, Process, built},
    room::Room,
    s3::S3Server,
    surroundings::{Around, Surroundings},
};
use encompute_chain::{Account, Client, development};
use encompute_networks::{LocalServices, Network};
use encompute_protocol::{
    BlobDigest, BlockNumber, Blocks, MeasurementId, Params, Plancks, PlatformId,
    call::{AllowMeasurement, AllowPlatform},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    str::FromStr,
};
use tempfile::TempDir;

/// One program, how it was started, and the process while there is one.
struct Service {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    process: Option<Process>,
    ready: Value,
}

/// Chain, gateway, attestation, creators and workers, models on sale. Dropping it kills them all.
pub struct Services {
    /// The network, for clients.
    pub network: Network,
    client: Client,
    services: BTreeMap<String, Service>,
    liars: BTreeMap<Between, Liar>,
    /// After the processes, which have its folders open, and before the folder of everything.
    around: Around,
    home: TempDir,
}

/// The network file of a worker behind liars.
const LIED_TO: &str = "lied-to.toml";
/// The clock of the user's commands.
pub const CLIENT: &str = "client";
/// Each program's argument that names the address it listens on.
const LISTEN: &str = "--listen";

impl Services {
    /// Starts everything, deploys with the local network's parameters as `adjust` leaves them, and
    /// publishes each of `models`, folders of the repository, for every creator.
    ///
    /// # Errors
    /// [`KitError`], with the end of the log of what did not start.
    pub async fn start(habits: Habits, models: &[&str], adjust: impl FnOnce(&mut Params)) -> Result<Self, KitError> {
        Self::start_all((Surroundings::default(), None), habits, models, adjust).await
    }

    /// The same with blobs in an object store.
    ///
    /// # Errors
    /// As [`Services::start`].
    pub async fn start_on(
        objects: &S3Server,
        habits: Habits,
        models: &[&str],
        adjust: impl FnOnce(&mut Params),
    ) -> Result<Self, KitError> {
        Self::start_all((Surroundings::default(), Some(objects)), habits, models, adjust).await
    }

    /// The same in surroundings that the test has in its hands.
    ///
    /// # Errors
    /// [`KitError`]; also where these surroundings cannot be had on this machine.
    pub async fn start_in(
        surroundings: Surroundings,
        habits: Habits,
        models: &[&str],
        adjust: impl FnOnce(&mut Params),
    ) -> Result<Self, KitError> {
        Self::start_all((surroundings, None), habits, models, adjust).await
    }

    async fn start_all(
        (surroundings, objects): (Surroundings, Option<&S3Server>),
        habits: Habits,
        models: &[&str],
        adjust: impl FnOnce(&mut Params),
    ) -> Result<Self, KitError> {
        let home = tempfile::Builder::new().prefix("encompute-services-").tempdir();
        let home = home.map_err(|source| KitError::Start { what: "market".to_owned(), source })?;
        let mut around = Around::new(surroundings, home.path())?;
        let text = |name: &str| home.path().join(name).display().to_string();
        let block_time = format!("{}ms", habits.heartbeat_ms);
        let mut started = BTreeMap::new();
        let chain =
            ["--seal", "instant", "--finality-gap", "0ms", "--block-time", &block_time, "--state", &text("chain")];
        around.make_room(&home.path().join("chain"))?;
        start_one(&mut started, &around, home.path(), "chain", "encompute-devchain", &chain).await?;
        around.make_room(&home.path().join("blobs"))?;
        let store = objects.map_or_else(|| text("blobs"), |objects| objects.store("market"));
        let environment = objects.map(S3Server::environment).unwrap_or_default();
        let gateway = ["gateway", "serve", "--store", &store];
        start_one_in(&mut started, &around, home.path(), "gateway", "encompute", &gateway, environment).await?;
        let machines: Vec<String> = habits.machines().collect();
        let named = machines.iter().flat_map(|machine| ["--machine", machine]);
        let attest: Vec<&str> = ["dev", "attest", "--program", habits.program()].into_iter().chain(named).collect();
        start_one(&mut started, &around, home.path(), "attestation", "encompute", &attest).await?;
        let mut network = local_network(&started)?;
        let client = Client::connect(&network).await?;
        let contract = deploy(&client, network.deployment.params, adjust).await?;
        network.chain.contract = Some(contract);
        let client = client.at_contract(contract);
        let measurement: MeasurementId = parsed(&started, "attestation", "measurement")?;
        signed(&client, GOVERNOR).submit(AllowMeasurement { measurement }, Plancks::ZERO).await?;
        let platform: PlatformId = parsed(&started, "attestation", "platform")?;
        signed(&client, GOVERNOR).submit(AllowPlatform { platform }, Plancks::ZERO).await?;
        for machine in &machines {
            let platform: PlatformId = parsed(&started, "attestation", &format!("machines/{machine}"))?;
            signed(&client, GOVERNOR).submit(AllowPlatform { platform }, Plancks::ZERO).await?;
        }
        around.write_networks(&network, &home.path().join("networks"))?;
        let mut market = Self { network, client, services: started, liars: BTreeMap::new(), around, home };
        if habits.liars {
            market.start_liars().await?;
        }
        for number in 1..=habits.creators {
            market.start_creator(number, models).await?;
        }
        for number in 1..=habits.workers {
            market.start_worker(number, habits).await?;
        }
        Ok(market)
    }

    async fn start_liars(&mut self) -> Result<(), KitError> {
        let gateway = said(&self.services, "gateway", "listen")?.to_owned();
        for between in Between::ALL {
            let liar = Liar::start().await?;
            liar.stands_before(&gateway);
            self.liars.insert(between, liar);
        }
        // A worker takes its gateway from the network file alone.
        let mut network = self.network.clone();
        let bad_url = |error: encompute_networks::WordError| KitError::Command {
            what: "reading a liar's address".to_owned(),
            why: error.to_string(),
        };
        network.gateway = Some(self.liar(Between::GatewayAndWorker).url().parse().map_err(bad_url)?);
        let written = network.write(&self.home.path().join("networks").join(LIED_TO));
        written.map_err(|error| KitError::Command { what: "writing a network file".to_owned(), why: error.to_string() })
    }

    /// Who stands between two services.
    ///
    /// # Panics
    /// Where the market was started without liars: a test's mistake.
    pub fn liar(&self, between: Between) -> &Liar {
        self.liars.get(&between).expect("the market was started with liars; qed")
    }

    async fn start_creator(&mut self, number: u16, models: &[&str]) -> Result<(), KitError> {
        let (name, suri) = (format!("creator-{number}"), numbered("//Charlie", number));
        let (network, vault) =
            (self.network_file(Some(Caller::Creator)), self.home.path().join(&name).display().to_string());
        let who = ["--network", &network, "--suri", &suri, "--vault", &vault];
        if number > 1 {
            self.fund(&suri).await?;
        }
        self.around.make_room(&self.home.path().join(&name))?;
        let gateway = self.liars.get(&Between::GatewayAndCreator).map(Liar::url);
        let through: Vec<&str> = gateway.iter().flat_map(|gateway| ["--gateway", gateway]).collect();
        let serve = [&["creator", "serve"], &who[..], &through].concat();
        start_one(&mut self.services, &self.around, self.home.path(), &name, "encompute", &serve).await?;
        let listen = said(&self.services, &name, "listen")?.to_owned();
        let url = match (self.liars.get(&Between::CreatorAndWorker), number) {
            (Some(liar), _) => {
                liar.stands_before(&listen);
                liar.url()
            }
            (None, 1) => self.around.url(Caller::Worker, Called::Creator, &listen)?.unwrap_or(listen),
            (None, _) => listen,
        };
        for model in models {
            let publish = [&["model", "publish", model, "--creator-url", &url], &who[..]].concat();
            self.run(&publish)?;
        }
        Ok(())
    }

    async fn start_worker(&mut self, number: u16, habits: Habits) -> Result<(), KitError> {
        let (name, suri) = (format!("worker-{number}"), numbered("//Bob", number));
        let capacity = habits.capacity.to_string();
        let state = self.home.path().join(&name).display().to_string();
        let liar = self.liars.get(&Between::WorkerAndClient).filter(|_| number == 1).map(Liar::url);
        let network = match liar {
            Some(_) => self.home.path().join("networks").join(LIED_TO).display().to_string(),
            None => self.network_file(Some(Caller::Worker)),
        };
        let link = self.around.links.as_ref().and_then(|links| links.address(Caller::Client, Called::Worker));
        let link = link.filter(|_| number == 1).map(|address| format!("http://{address}"));
        let url = liar.or(link);
        let known_as: Vec<&str> = url.iter().flat_map(|url| ["--url", url]).collect();
        let mut agent = said(&self.services, "attestation", "listen")?.to_owned();
        if habits.machines {
            agent = format!("{agent}/machines/{name}");
        }
        let who = ["run", "--network", &network, "--suri", &suri, "--state", &state];
        let how = ["--guest-agent", &agent, "--capacity", &capacity];
        let arguments = [&who[..], &how[..], &known_as].concat();
        if number > 1 {
            self.fund(&suri).await?;
        }
        self.around.make_room(&self.home.path().join(&name))?;
        let program = habits.program();
        start_one(&mut self.services, &self.around, self.home.path(), &name, program, &arguments).await?;
        let listen = said(&self.services, &name, "listen")?.to_owned();
        if let Some(liar) = self.liars.get(&Between::WorkerAndClient).filter(|_| number == 1) {
            liar.stands_before(&listen);
        }
        self.around.url(Caller::Client, Called::Worker, &listen).map(drop)
    }

    /// Gives a derived development account money; the plain ones have theirs at genesis.
    ///
    /// # Errors
    /// [`KitError`].
    pub async fn fund(&self, suri: &str) -> Result<(), KitError> {
        const GIFT: Plancks = Plancks(10_000_000_000_000_000);
        let to = self.account(suri).id();
        self.account("//Ferdie").transfer(&to, GIFT).await?;
        Ok(())
    }

    /// The network as a caller finds it, or as it is.
    fn network_file(&self, caller: Option<Caller>) -> String {
        self.around.network_file(caller, &self.home.path().join("networks")).display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Result<(), KitError> {
        let failed = |why: String| KitError::Command { what: arguments.join(" "), why };
        let ran = command(self.home.path(), arguments).stdin(Stdio::null()).output();
        let ran = ran.map_err(|error| failed(error.to_string()))?;
        match ran.status.success() {
            true => Ok(()),
            false => Err(failed(String::from_utf8_lossy(&ran.stderr).into_owned())),
        }
    }

    /// Folder of everything: `blobs`, `creator-1`, `worker-1`, logs.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A client about the contract.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The account of a development key.
    ///
    /// # Panics
    /// If `suri` is none: a test's mistake.
    pub fn account(&self, suri: &str) -> Account {
        signed(&self.client, suri)
    }

    /// Names of all services, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// `encompute` on a home of its own below the market's, knowing the market's network; not started yet.
    pub fn encompute(&self, home: &str, arguments: &[&str]) -> std::process::Command {
        let network = self.network_file(Some(Caller::Client));
        let gateway = self.liars.get(&Between::GatewayAndClient).map(Liar::url);
        let through: Vec<&str> = gateway.iter().flat_map(|gateway| ["--gateway", gateway]).collect();
        let arguments = [&["--network", &network], &through[..], arguments].concat();
        let mut command = command(&self.home.path().join(home), &arguments);
        command.envs(self.around.variables(CLIENT).unwrap_or_default());
        command
    }

    /// The links between callers and called, where [`Surroundings`] has them.
    pub fn links(&self) -> Option<&Links> {
        self.around.links.as_ref()
    }

    /// The clocks, by the names of services and [`CLIENT`], where [`Surroundings`] has them.
    pub fn clocks(&self) -> Option<&Clocks> {
        self.around.clocks.as_ref()
    }

    /// The room of a folder below the home, made now if it has none; none where [`Surroundings`] has no rooms.
    ///
    /// # Errors
    /// [`KitError`].
    pub fn room(&mut self, folder: &str) -> Result<Option<&Room>, KitError> {
        let folder = self.home.path().join(folder);
        self.around.make_room(&folder)?;
        Ok(self.around.rooms.get(&folder))
    }

    /// What a service said under a key when it was ready, such as `listen`.
    ///
    /// # Errors
    /// [`KitError::ReadyLine`].
    pub fn said(&self, name: &str, key: &str) -> Result<&str, KitError> {
        said(&self.services, name, key)
    }

    /// Process id of a service that runs.
    pub fn id(&self, name: &str) -> Option<u32> {
        self.services.get(name)?.process.as_ref()?.id()
    }

    /// Ends a service as a power cut would.
    pub async fn kill(&mut self, name: &str) {
        if let Some(process) = self.services.get_mut(name).and_then(|service| service.process.take()) {
            process.kill().await;
        }
    }

    /// Asks a service to end, as an operator would; true if it did so by itself.
    pub async fn stop(&mut self, name: &str) -> bool {
        match self.services.get_mut(name).and_then(|service| service.process.take()) {
            Some(process) => process.stop().await,
            None => true,
        }
    }

    /// Asks a service to end, as an operator would, and says how it did; none if it does not run.
    pub async fn drain(&mut self, name: &str) -> Option<Drained> {
        let process = self.services.get_mut(name)?.process.take()?;
        Some(process.drain().await)
    }

    /// Names of services that have ended although nobody asked them to.
    pub fn fallen(&mut self) -> Vec<String> {
        let ended = |service: &mut Service| service.process.as_mut().is_some_and(Process::has_ended);
        self.services.iter_mut().filter_map(|(name, service)| ended(service).then(|| name.clone())).collect()
    }

    /// Starts a service that was ended, on its folder and its port.
    ///
    /// # Errors
    /// [`KitError`], with the end of its log.
    pub async fn restart(&mut self, name: &str) -> Result<(), KitError> {
        let unknown = || KitError::Command { what: format!("starting {name}"), why: "there is no such service".into() };
        let service = self.services.get_mut(name).ok_or_else(unknown)?;
        let arguments: Vec<&str> = service.arguments.iter().map(String::as_str).collect();
        let environment = [service.environment.clone(), self.around.variables(name)?].concat();
        let started = Process::start_in(name, &service.program, &arguments, &environment, self.home.path()).await;
        service.process = Some(started?);
        Ok(())
    }

    /// Seals empty blocks, so that windows pass.
    ///
    /// # Errors
    /// [`KitError::Command`].
    pub async fn seal(&self, blocks: Blocks) -> Result<BlockNumber, KitError> {
        let sealed = development::seal_blocks(&self.client, blocks).await;
        sealed.map_err(|error| KitError::Command { what: "sealing blocks".to_owned(), why: error.to_string() })
    }
}

fn numbered(suri: &str, number: u16) -> String {
    if number == 1 { suri.to_owned() } else { format!("{suri}/{number}") }
}

/// Starts a program on a free port, which it keeps when it is started again.
async fn start_one(
    services: &mut BTreeMap<String, Service>,
    around: &Around,
    folder: &Path,
    name: &str,
    program: &str,
    arguments: &[&str],
) -> Result<(), KitError> {
    start_one_in(services, around, folder, name, program, arguments, Vec::new()).await
}

/// The same with more variables in its environment.
async fn start_one_in(
    services: &mut BTreeMap<String, Service>,
    around: &Around,
    folder: &Path,
    name: &str,
    program: &str,
    arguments: &[&str],
    environment: Vec<(String, String)>,
) -> Result<(), KitError> {
    let program = built(program)?;
    let first = [arguments, &[LISTEN, "127.0.0.1:0"]].concat();
    let variables = [environment.clone(), around.variables(name)?].concat();
    let process = Process::start_in(name, &program, &first, &variables, folder).await?;
    let address = process.said("listen")?.trim_start_matches("http://").trim_start_matches("ws://");
    let again = [arguments, &[LISTEN, address]].concat().into_iter().map(str::to_owned).collect();
    let ready = process.ready().clone();
    services.insert(name.to_owned(), Service { program, arguments: again, environment, process: Some(process), ready });
    Ok(())
}

/// What a service said under a key, or under a key inside another: `machines/worker-1`.
fn said<'a>(services: &'a BTreeMap<String, Service>, name: &str, key: &str) -> Result<&'a str, KitError> {
    let ready = services.get(name).map(|service| &service.ready);
    let missing = || KitError::ReadyLine {
        what: name.to_owned(),
        key: key.to_owned(),
        line: ready.map(Value::to_string).unwrap_or_default(),
    };
    ready.and_then(|ready| ready.pointer(&format!("/{key}"))).and_then(Value::as_str).ok_or_else(missing)
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(
    services: &BTreeMap<String, Service>,
    name: &str,
    key: &str,
) -> Result<T, KitError> {
    let unread = |error: T::Err| KitError::Command { what: format!("reading {key} of {name}"), why: error.to_string() };
    said(services, name, key)?.parse().map_err(unread)
}

/// Where the gateway of a market with this home keeps a blob.
pub fn blob_file(home: &Path, digest: &BlobDigest) -> PathBuf {
    let name = digest.to_string();
    let name = name.trim_start_matches("0x");
    home.join("blobs").join(&name[..2]).join(name)
}

fn local_network(services: &BTreeMap<String, Service>) -> Result<Network, KitError> {
    let root = said(services, "attestation", "root_der")?;
    let unread = |error: hex::FromHexError| KitError::Command {
        what: "reading the development root".to_owned(),
        why: error.to_string(),
    };
    let rpc = said(services, "chain", "listen")?.replacen("http://", "ws://", 1);
    let bad_rpc = |error: encompute_networks::WordError| KitError::Command {
        what: "reading the chain's address".to_owned(),
        why: error.to_string(),
    };
    Ok(Network::local(LocalServices {
        rpc: rpc.parse().map_err(bad_rpc)?,
        genesis: parsed(services, "chain", "genesis")?,
        gateway: parsed(services, "gateway", "listen")?,
        collateral: parsed(services, "attestation", "listen")?,
        root_der: hex::decode(root).map_err(unread)?,
    })?)
}
