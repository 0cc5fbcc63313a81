//! The world around the market's programs: what lies between them, under them and above them.

use crate::{
    clock::Clocks,
    links::{Called, Caller, Links},
    process::KitError,
    room::Room,
};
use encompute_networks::Network;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// What of the world a test wants in its hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// A link of its own from each kind of caller to each it calls.
    pub links: bool,
    /// A file system of its own for each folder in which a program keeps something; see [`Room::can_be_made`].
    pub rooms: bool,
    /// A clock of its own for each program; see [`Clocks::library`].
    pub clocks: bool,
}

/// The world as it is.
pub(crate) struct Around {
    pub(crate) links: Option<Links>,
    pub(crate) clocks: Option<Clocks>,
    pub(crate) rooms: BTreeMap<PathBuf, Room>,
    has_rooms: bool,
}

impl Around {
    pub(crate) fn new(wanted: Surroundings, home: &Path) -> Result<Self, KitError> {
        let links = match wanted.links {
            true => Some(Links::lay().map_err(|source| KitError::Start { what: "the links".to_owned(), source })?),
            false => None,
        };
        let clocks = if wanted.clocks { Some(Clocks::right(&home.join("clocks"))?) } else { None };
        Ok(Self { links, clocks, rooms: BTreeMap::new(), has_rooms: wanted.rooms })
    }

    /// Gives a folder a file system of its own, where folders have them and it has none yet.
    pub(crate) fn make_room(&mut self, folder: &Path) -> Result<(), KitError> {
        if self.has_rooms && !self.rooms.contains_key(folder) {
            self.rooms.insert(folder.to_owned(), Room::over(folder)?);
        }
        Ok(())
    }

    /// What a program of this name is started with.
    pub(crate) fn variables(&self, name: &str) -> Result<Vec<(String, String)>, KitError> {
        self.clocks.as_ref().map_or(Ok(Vec::new()), |clocks| clocks.variables(name))
    }

    /// Aims links at a service that listens at `listen`; the URL at which a caller finds it, where there are links.
    pub(crate) fn url(&self, caller: Caller, called: Called, listen: &str) -> Result<Option<String>, KitError> {
        let Some(links) = &self.links else { return Ok(None) };
        links.aim(called, address_of(listen)?);
        Ok(links.address(caller, called).map(|address| format!("http://{address}")))
    }

    /// Writes the network as it is and, where there are links, as each caller finds it.
    pub(crate) fn write_networks(&self, network: &Network, folder: &Path) -> Result<(), KitError> {
        let failed = |why: String| KitError::Command { what: "writing the network file".to_owned(), why };
        let write = |network: &Network, file: PathBuf| network.write(&file).map_err(|error| failed(error.to_string()));
        write(network, self.network_file(None, folder))?;
        let Some(links) = &self.links else { return Ok(()) };
        let gateway = network.gateway.as_ref().map(|gateway| gateway.as_str()).unwrap_or_default();
        links.aim(Called::Chain, address_of(network.chain.rpc.as_str())?);
        links.aim(Called::Gateway, address_of(gateway)?);
        for caller in [Caller::Client, Caller::Worker, Caller::Creator] {
            let mut seen = network.clone();
            if let Some(address) = links.address(caller, Called::Chain) {
                seen.chain.rpc = format!("ws://{address}").parse().map_err(|why| failed(format!("{why}")))?;
            }
            if let Some(address) = links.address(caller, Called::Gateway) {
                seen.gateway = Some(format!("http://{address}").parse().map_err(|why| failed(format!("{why}")))?);
            }
            write(&seen, self.network_file(Some(caller), folder))?;
        }
        Ok(())
    }

    /// The file of the network as a caller finds it, or as it is.
    pub(crate) fn network_file(&self, caller: Option<Caller>, folder: &Path) -> PathBuf {
        let name = match caller.filter(|_| self.links.is_some()) {
            None => "local.toml",
            Some(Caller::Client) => "client.toml",
            Some(Caller::Worker) => "worker.toml",
            Some(Caller::Creator) => "creator.toml",
        };
        folder.join(name)
    }
}

fn address_of(url: &str) -> Result<SocketAddr, KitError> {
    let address = url.rsplit("//").next().unwrap_or(url).trim_end_matches('/');
    let wrong =
        |why: std::net::AddrParseError| KitError::Command { what: format!("reading {url}"), why: why.to_string() };
    address.parse().map_err(wrong)
}
