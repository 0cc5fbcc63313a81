//! The whole market, as `encompute dev up` starts it.

use crate::process::{KitError, Process, program, signal};
use core::time::Duration;
use encompute_networks::Network;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};
use tempfile::TempDir;
use tokio::process::Command;

/// How long one command of the command line may take.
const COMMAND_WITHIN: Duration = Duration::from_secs(300);

/// Chain, gateway, attestation, creator and worker, two models on sale, and a home folder for the
/// command line. Everything is gone when it is dropped.
pub struct Market {
    /// What the services and the command line go by.
    pub network: Network,
    process: Process,
    home: TempDir,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Words.
    pub stderr: String,
}

impl Said {
    /// The last line of its data as JSON, `Null` if it is none.
    pub fn json(&self) -> Value {
        let last = self.stdout.trim().lines().last().unwrap_or_default();
        serde_json::from_str(self.stdout.trim()).or_else(|_| serde_json::from_str(last)).unwrap_or(Value::Null)
    }
}

impl Market {
    /// Starts everything in a folder of its own, publishing the repository's models.
    ///
    /// # Errors
    /// [`KitError`], with the end of the log of what did not start.
    pub async fn start() -> Result<Self, KitError> {
        let home = tempfile::tempdir().map_err(|source| KitError::Start { what: "market".to_owned(), source })?;
        let folder = home.path().to_string_lossy().into_owned();
        let models = repository().join("scripts/models");
        let models = models.to_string_lossy();
        let arguments = ["dev", "up", "--json", "--home", &folder, "--listen", "127.0.0.1:0", "--models", &models];
        let process = Process::start("market", &program("encompute")?, &arguments, home.path()).await?;
        let network = Network::load(Path::new(process.said("network")?))?;
        Ok(Self { network, process, home })
    }

    /// What `dev up` said when everything was ready.
    pub fn ready(&self) -> &Value {
        self.process.ready()
    }

    /// The home folder of its command line: keys, journals, blobs, logs.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The end of a service's log: `chain`, `gateway`, `attestation`, `creator` or `worker`.
    pub fn log(&self, service: &str) -> String {
        let log = self.home.path().join("logs").join(format!("{service}.log"));
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let from = text.len().saturating_sub(2_000);
        text.get(from..).unwrap_or(&text).to_owned()
    }

    /// Runs a command of the command line in this market.
    ///
    /// # Errors
    /// [`KitError`] if it cannot be run or takes too long; that it fails is for the test to judge.
    pub async fn command(&self, arguments: &[&str]) -> Result<Said, KitError> {
        let what = format!("encompute {}", arguments.join(" "));
        let run = Command::new(program("encompute")?)
            .args(arguments)
            .env("ENCOMPUTE_HOME", self.home.path())
            .env("ENCOMPUTE_NETWORK", "local")
            .current_dir(repository())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        match tokio::time::timeout(COMMAND_WITHIN, run).await {
            Ok(Ok(Output { status, stdout, stderr })) => Ok(Said {
                code: status.code(),
                stdout: String::from_utf8_lossy(&stdout).into_owned(),
                stderr: String::from_utf8_lossy(&stderr).into_owned(),
            }),
            Ok(Err(source)) => Err(KitError::Start { what, source }),
            Err(_) => Err(KitError::Command { what, why: format!("not done within {} s", COMMAND_WITHIN.as_secs()) }),
        }
    }

    /// Ends one service as a power cut would. `dev up` then stops the others.
    ///
    /// # Errors
    /// [`KitError::ReadyLine`] for a service that it did not name.
    pub async fn kill_service(&self, name: &str) -> Result<(), KitError> {
        let services = self.process.ready().get("services").and_then(Value::as_array);
        let service =
            services.into_iter().flatten().find(|service| service.get("name").and_then(Value::as_str) == Some(name));
        let id = service.and_then(|service| service.get("pid")?.as_u64()).and_then(|id| u32::try_from(id).ok());
        let line = self.process.ready().to_string();
        let id = id.ok_or(KitError::ReadyLine { what: "market".to_owned(), key: name.to_owned(), line })?;
        signal(id, "-KILL").await;
        Ok(())
    }

    /// Stops everything in order. True if all ended well.
    pub async fn stop(self) -> bool {
        self.process.stop().await
    }
}

/// The repository's root, two folders above this crate.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}
