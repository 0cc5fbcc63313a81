//! From options to things: settings, the chain, the gateway, a signer.

use crate::{
    args::{Common, Identity, Leash},
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain, exit_of_store},
};
use encompute_chain::{Account, Client, Signer};
use encompute_networks::{Flags, Network, Settings, SettingsError, Token, resolve};
use encompute_protocol::Plancks;
use encompute_store::GatewayClient;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Everything a command may need of its surroundings.
pub struct Context {
    /// What was configured, with origins.
    pub settings: Settings,
}

impl Context {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Usage, with the file, the key and what was allowed.
    pub fn load(common: &Common) -> Outcome<Self> {
        let flags = Flags {
            home: common.home.clone(),
            network: common.network.clone(),
            rpc: common.rpc.clone(),
            gateway: common.gateway.clone(),
            contract: common.contract.clone(),
        };
        let resolved = resolve(&flags, &|key| std::env::var(key).ok());
        let settings = resolved.map_err(|error| match &error {
            // The default network of a machine on which nobody has started it yet.
            SettingsError::UnknownNetwork { found, .. } if found == "local" => {
                Failure::of(Exit::Unreachable, "there is no local market in this home", &error)
                    .hint("start one: encompute dev up")
            }
            _ => Failure::of(Exit::Usage, "read the configuration", &error),
        })?;
        Ok(Self { settings })
    }

    /// The network in use.
    pub fn network(&self) -> &Network {
        &self.settings.network
    }

    /// The folder of keys and jobs.
    pub fn home(&self) -> &Path {
        &self.settings.home
    }

    /// An amount that somebody wrote, in the network's token.
    ///
    /// # Errors
    /// [`Exit::Usage`], with what was written and what is allowed.
    pub fn amount(&self, option: &str, text: &str) -> Outcome<Plancks> {
        self.token().amount(text).doing(Exit::Usage, option)
    }

    /// The network's token.
    pub fn token(&self) -> &Token {
        &self.network().token
    }

    /// A connection to the chain.
    ///
    /// # Errors
    /// [`Exit::Unreachable`] with a hint on how to start a local one.
    pub async fn chain(&self) -> Outcome<Client> {
        let network = self.network();
        Client::connect(network).await.map_err(|error| {
            let failure = Failure::of(exit_of_chain(error.class()), "connect to the chain", &error);
            match network.is_development() {
                true => failure.hint("start a local market: encompute dev up"),
                false => failure.hint("check `chain.rpc` with: encompute config show"),
            }
        })
    }

    /// The chain as one account.
    ///
    /// # Errors
    /// As [`Context::chain`] and [`Context::signer`].
    pub async fn account(&self, identity: &Identity) -> Outcome<Account> {
        let signer = self.signer(identity)?;
        Ok(self.chain().await?.signed_by(signer))
    }

    /// Who signs: a development key, or a wallet whose password is asked for.
    ///
    /// # Errors
    /// [`Exit::Usage`] without an identity or with a development key elsewhere; [`Exit::NotFound`] for a
    /// wallet that is not there; [`Exit::Failed`] for a wrong password.
    pub fn signer(&self, identity: &Identity) -> Outcome<Signer> {
        match (&identity.suri, &identity.wallet) {
            (Some(suri), _) if self.network().is_development() => {
                Signer::from_suri(suri).doing(Exit::Usage, "read --suri")
            }
            (Some(_), _) => Err(Failure::new(
                Exit::Usage,
                format!("--suri is for development networks, {} is none", self.network().name),
            )
            .hint("use a wallet: encompute wallet new NAME")),
            (None, Some(name)) => crate::commands::wallet::open(self.home(), name, identity.password_file.as_deref()),
            (None, None) => Err(Failure::new(Exit::Usage, "nobody signs: give --suri or --wallet")
                .hint("on a development network: --suri //Dave; else: encompute wallet new NAME")),
        }
    }

    /// The blob gateway.
    ///
    /// # Errors
    /// [`Exit::Usage`] when the network names none.
    pub fn gateway(&self) -> Outcome<GatewayClient> {
        let Some(url) = &self.network().gateway else {
            return Err(Failure::new(Exit::Usage, format!("network {} names no gateway", self.network().name))
                .hint("give --gateway URL"));
        };
        GatewayClient::new(url.as_str()).doing(Exit::Failed, "open the gateway")
    }
}

/// The folder of keys and jobs, for what needs no network.
///
/// # Errors
/// [`Exit::Usage`] when nothing names one.
pub fn bare_home(common: &Common) -> Outcome<PathBuf> {
    let flags = Flags { home: common.home.clone(), ..Flags::default() };
    encompute_networks::home(&flags, &|key| std::env::var(key).ok()).doing(Exit::Usage, "find the home folder")
}

/// A password: from its file, or asked for on the terminal without echo.
///
/// # Errors
/// When there is neither.
pub fn password(file: Option<&Path>, prompt: &str) -> Outcome<Zeroizing<String>> {
    if let Some(path) = file {
        let text =
            std::fs::read_to_string(path).doing(Exit::Failed, &format!("read password file {}", path.display()))?;
        return Ok(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()));
    }
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .doing(Exit::Usage, "ask for the password")
        .map_err(|failure| failure.hint("without a terminal: --password-file FILE"))
}

/// Stops for a signal: Ctrl-C or SIGTERM.
pub async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            let _ = tokio::signal::ctrl_c().await;
            return;
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
}

/// Stops for a signal; on a leash, for the end of stdin as well.
pub async fn stopped(leash: Leash) {
    tokio::select! {
        () = stop_signal() => {}
        () = encompute_store::stdin_ended(), if leash.stop_with_stdin => {}
    }
}

/// The failure of a blob look-up, with its exit code.
pub fn blob_failure(doing: &str, error: &encompute_store::GetError) -> Failure {
    Failure::of(exit_of_store(error.class()), doing, error)
}

/// A path of the home folder.
pub fn under(home: &Path, parts: &[&str]) -> PathBuf {
    parts.iter().fold(home.to_owned(), |path, part| path.join(part))
}
