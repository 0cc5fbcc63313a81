//! What one run of a program goes by: flag, then environment, then configuration file, then default.

use crate::error::NetworkError;
use crate::network::Network;
use crate::words::{NetworkName, RpcUrl, ServiceUrl};
use core::fmt;
use serde::{Deserialize, Serialize, Serializer};
use std::path::{Path, PathBuf};

/// The network of a run that names none.
const DEFAULT_NETWORK: &str = "local";

/// What the command line says. Each is `None` where it says nothing.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--home`: folder of configuration, networks, keys and journals.
    pub home: Option<PathBuf>,
    /// `--network`: a name, or the path of a network file.
    pub network: Option<String>,
    /// `--rpc`: another node of the network.
    pub rpc: Option<String>,
    /// `--gateway`: another blob gateway.
    pub gateway: Option<String>,
    /// `--contract`: another contract.
    pub contract: Option<String>,
}

/// Who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line.
    Flag(&'static str),
    /// A variable of the environment.
    Environment(&'static str),
    /// A file.
    File(PathBuf),
    /// Nobody.
    Default,
}

/// One setting and who set it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Which.
    pub key: &'static str,
    /// Its value in words.
    pub value: String,
    /// Who said so.
    pub origin: Origin,
}

/// What one run goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of configuration, networks, keys and journals.
    pub home: PathBuf,
    /// The network, with whatever replaces its node, gateway or contract.
    pub network: Network,
    /// Everything that was decided, in a stable order.
    pub entries: Vec<Setting>,
}

/// Settings that do not make sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// No `--home`, no `ENCOMPUTE_HOME`, no `HOME`.
    #[error("no folder for configuration and keys: neither --home nor ENCOMPUTE_HOME nor HOME is set")]
    NoHome,
    /// The configuration file is refused.
    #[error("{file}: {reason}")]
    Configuration {
        /// Which file.
        file: PathBuf,
        /// Why, in the parser's or the system's words.
        reason: String,
    },
    /// No network of that name.
    #[error("network {found:?} ({origin}) is not known: no {file} and none of {known}")]
    UnknownNetwork {
        /// The name.
        found: String,
        /// Who said so.
        origin: Origin,
        /// The file that would describe it.
        file: PathBuf,
        /// Names that come with the program.
        known: String,
    },
    /// A network file is refused.
    #[error("network file is refused")]
    Network(#[from] NetworkError),
    /// A setting with a value that is not allowed.
    #[error("{key} is {found:?} ({origin}), allowed is {allowed}")]
    Value {
        /// Which setting.
        key: &'static str,
        /// What it is.
        found: String,
        /// Who said so.
        origin: Origin,
        /// What it may be.
        allowed: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigurationFile {
    network: Option<String>,
    rpc: Option<String>,
    gateway: Option<String>,
    contract: Option<String>,
}

/// What a run with these flags in this environment goes by.
///
/// Read are `ENCOMPUTE_HOME`, `ENCOMPUTE_NETWORK`, `ENCOMPUTE_RPC`, `ENCOMPUTE_GATEWAY`,
/// `ENCOMPUTE_CONTRACT`, `HOME`, the file `config.toml` in the home folder, and the network's file:
/// `networks/<name>.toml` there, or a bundled one.
///
/// # Errors
/// [`SettingsError`].
pub fn resolve(flags: &Flags, environment: &dyn Fn(&str) -> Option<String>) -> Result<Settings, SettingsError> {
    let (home, home_origin) = home_folder(flags, environment)?;
    let file = home.join("config.toml");
    let layers = Layers { written: read_configuration(&file)?, file, environment };

    let (name, origin) = layers
        .pick(flags.network.clone(), "--network", "ENCOMPUTE_NETWORK", |written| &written.network)
        .unwrap_or_else(|| (DEFAULT_NETWORK.to_owned(), Origin::Default));
    let (mut network, network_origin) = find_network(&home, &name, &origin)?;
    let mut entries = vec![
        Setting { key: "home", value: home.display().to_string(), origin: home_origin },
        Setting { key: "network", value: name, origin },
    ];

    let rpc = layers.pick(flags.rpc.clone(), "--rpc", "ENCOMPUTE_RPC", |written| &written.rpc);
    if let Some((found, origin)) = rpc.clone() {
        network.chain.rpc = RpcUrl::new(&found).map_err(|allowed| refuse("rpc", &found, &origin, allowed))?;
    }
    let gateway = layers.pick(flags.gateway.clone(), "--gateway", "ENCOMPUTE_GATEWAY", |written| &written.gateway);
    if let Some((found, origin)) = gateway.clone() {
        let url = ServiceUrl::new(&found).map_err(|allowed| refuse("gateway", &found, &origin, allowed))?;
        network.gateway = Some(url);
    }
    let contract = layers.pick(flags.contract.clone(), "--contract", "ENCOMPUTE_CONTRACT", |written| &written.contract);
    if let Some((found, origin)) = contract.clone() {
        let address = found.parse().map_err(|why| refuse("contract", &found, &origin, why))?;
        network.chain.contract = Some(address);
    }

    let from = |picked: Option<(String, Origin)>| picked.map_or_else(|| network_origin.clone(), |(_, origin)| origin);
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    let chain = &network.chain;
    entries.push(Setting { key: "rpc", value: chain.rpc.to_string(), origin: from(rpc) });
    entries.push(Setting {
        key: "gateway",
        value: or_none(network.gateway.as_ref().map(ToString::to_string)),
        origin: from(gateway),
    });
    entries.push(Setting {
        key: "contract",
        value: or_none(chain.contract.map(|contract| contract.to_string())),
        origin: from(contract),
    });
    entries.push(Setting {
        key: "trust-root",
        value: format!("{:?}", network.trust.root),
        origin: network_origin.clone(),
    });
    Ok(Settings { home, network, entries })
}

/// The folder of configuration, networks, keys and journals alone: for commands that make a network.
///
/// # Errors
/// [`SettingsError::NoHome`].
pub fn home(flags: &Flags, environment: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf, SettingsError> {
    home_folder(flags, environment).map(|(home, _)| home)
}

fn home_folder(
    flags: &Flags,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(PathBuf, Origin), SettingsError> {
    if let Some(home) = &flags.home {
        return Ok((home.clone(), Origin::Flag("--home")));
    }
    if let Some(home) = environment("ENCOMPUTE_HOME") {
        return Ok((home.into(), Origin::Environment("ENCOMPUTE_HOME")));
    }
    let home = environment("HOME").ok_or(SettingsError::NoHome)?;
    Ok((Path::new(&home).join(".encompute"), Origin::Default))
}

fn read_configuration(file: &Path) -> Result<ConfigurationFile, SettingsError> {
    let refused = |reason: String| SettingsError::Configuration { file: file.to_owned(), reason };
    match std::fs::read_to_string(file) {
        Ok(text) => toml::from_str(&text).map_err(|error| refused(error.to_string().trim_end().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ConfigurationFile::default()),
        Err(error) => Err(refused(error.to_string())),
    }
}

fn find_network(home: &Path, name: &str, origin: &Origin) -> Result<(Network, Origin), SettingsError> {
    let is_path = name.contains('/') || name.ends_with(".toml");
    let file = if is_path { PathBuf::from(name) } else { home.join("networks").join(format!("{name}.toml")) };
    if !is_path {
        NetworkName::new(name).map_err(|allowed| refuse("network", name, origin, allowed))?;
    }
    if is_path || file.exists() {
        return Ok((Network::load(&file)?, Origin::File(file)));
    }
    match Network::bundled(name) {
        Some(network) => Ok((network, Origin::Default)),
        None => Err(SettingsError::UnknownNetwork {
            found: name.to_owned(),
            origin: origin.clone(),
            file,
            known: Network::bundled_names().collect::<Vec<_>>().join(", "),
        }),
    }
}

fn refuse(key: &'static str, found: &str, origin: &Origin, allowed: impl fmt::Display) -> SettingsError {
    SettingsError::Value { key, found: found.to_owned(), origin: origin.clone(), allowed: allowed.to_string() }
}

struct Layers<'a> {
    written: ConfigurationFile,
    file: PathBuf,
    environment: &'a dyn Fn(&str) -> Option<String>,
}

impl Layers<'_> {
    fn pick(
        &self,
        flag: Option<String>,
        flag_name: &'static str,
        variable: &'static str,
        written: impl FnOnce(&ConfigurationFile) -> &Option<String>,
    ) -> Option<(String, Origin)> {
        // An empty variable is one that somebody unset the short way.
        let from_environment = || (self.environment)(variable).filter(|value| !value.is_empty());
        flag.map(|value| (value, Origin::Flag(flag_name)))
            .or_else(|| from_environment().map(|value| (value, Origin::Environment(variable))))
            .or_else(|| written(&self.written).clone().map(|value| (value, Origin::File(self.file.clone()))))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::File(file) => write!(f, "file {}", file.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn origins(settings: &Settings) -> Vec<(&'static str, String)> {
        settings.entries.iter().map(|setting| (setting.key, setting.origin.to_string())).collect()
    }

    #[test]
    fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config.toml");
        std::fs::write(&file, "network = \"paseo-hub\"\nrpc = \"ws://file:1\"\ngateway = \"http://file:2\"\n").unwrap();
        let flags = Flags { home: Some(home.path().into()), rpc: Some("ws://flag:1".into()), ..Flags::default() };
        let environment = |name: &str| match name {
            "ENCOMPUTE_RPC" => Some("ws://environment:1".to_owned()),
            "ENCOMPUTE_GATEWAY" => Some("http://environment:2".to_owned()),
            _ => None,
        };
        let settings = resolve(&flags, &environment).unwrap();
        assert_eq!(settings.network.chain.rpc.as_str(), "ws://flag:1");
        assert_eq!(settings.network.gateway.as_ref().unwrap().as_str(), "http://environment:2");
        let file_origin = format!("file {}", file.display());
        let expected = [
            ("home", "flag --home"),
            ("network", file_origin.as_str()),
            ("rpc", "flag --rpc"),
            ("gateway", "environment ENCOMPUTE_GATEWAY"),
            ("contract", "default"),
            ("trust-root", "default"),
        ];
        assert_eq!(origins(&settings), expected.map(|(key, origin)| (key, origin.to_owned())));
    }

    #[test]
    fn a_network_that_nobody_started_is_named_with_the_file_that_is_missing() {
        let home = tempfile::tempdir().unwrap();
        let flags = Flags { home: Some(home.path().into()), ..Flags::default() };
        let said = resolve(&flags, &|_| None).unwrap_err().to_string();
        assert!(said.contains("\"local\" (default)") && said.contains("networks/local.toml"), "{said}");
    }

    #[test]
    fn a_network_is_found_by_the_path_of_its_file() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("mine.toml");
        Network::bundled("paseo-hub").unwrap().write(&file).unwrap();
        let network = Some(file.display().to_string());
        let flags = Flags { home: Some(home.path().into()), network, ..Flags::default() };
        assert_eq!(resolve(&flags, &|_| None).unwrap().network.name.as_str(), "paseo-hub");
    }

    #[test]
    fn wrong_settings_say_who_set_them() {
        let home = tempfile::tempdir().unwrap();
        let flags = Flags { home: Some(home.path().into()), network: Some("paseo-hub".into()), ..Flags::default() };
        let contract = |name: &str| (name == "ENCOMPUTE_CONTRACT").then(|| "0x12".to_owned());
        let said = resolve(&flags, &contract).unwrap_err().to_string();
        assert!(said.contains("contract is \"0x12\" (environment ENCOMPUTE_CONTRACT)"), "{said}");
        std::fs::write(home.path().join("config.toml"), "netwrok = \"x\"").unwrap();
        let said = resolve(&flags, &|_| None).unwrap_err().to_string();
        assert!(said.contains("config.toml") && said.contains("netwrok"), "{said}");
    }
}
