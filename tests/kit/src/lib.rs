//! A running marketplace for tests: chain, gateway, attestation, creator and worker as real processes.
//!
//! [`Market::up`] runs `encompute dev up` on free ports in a folder of its own; [`Market::encompute`]
//! runs any verb against it, as a user would, and gives exit code, stdout and stderr ([`Ran`]).
//! Dropping the market stops every process.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test's kit fails loudly")]

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// Its data.
    pub stdout: String,
    /// Its words.
    pub stderr: String,
}

impl Ran {
    /// The last line of stdout as JSON.
    pub fn json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The same, after making sure that the command succeeded.
    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// A program that the workspace's build made, beside the test's own.
pub fn program(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let found = here.ancestors().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not built: run `cargo build --workspace` first"))
}

/// Runs `encompute` on a home folder and waits for it.
pub fn encompute(home: &Path, arguments: &[&str]) -> Ran {
    let output = command(home, arguments).stdin(Stdio::null()).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `encompute` on a home folder, not started yet: nothing of the caller's configuration reaches it.
pub fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("encompute"));
    command.args(arguments).current_dir(root()).env("ENCOMPUTE_HOME", home).env("NO_COLOR", "1");
    for key in ["ENCOMPUTE_NETWORK", "ENCOMPUTE_RPC", "ENCOMPUTE_GATEWAY", "ENCOMPUTE_CONTRACT", "ENCOMPUTE_WALLET", "ENCOMPUTE_PASSWORD_FILE"] {
        command.env_remove(key);
    }
    command
}

/// A running market.
pub struct Market {
    child: Child,
    home: tempfile::TempDir,
    /// Its ready line.
    pub ready: Value,
}

impl Market {
    /// Starts everything and waits until it is ready.
    pub fn up() -> Self {
        let home = tempfile::Builder::new().prefix("encompute-test-").tempdir().unwrap();
        let mut child = command(home.path(), &["dev", "up", "--listen", "127.0.0.1:0", "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Ok(ready) = serde_json::from_str(&line) else {
            let mut words = String::new();
            child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
            panic!("the market did not start: {words}");
        };
        // Words of a running market are for its log; an unread pipe would block it.
        let mut stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { child, home, ready }
    }

    /// The market's home folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs a verb against it.
    pub fn encompute(&self, arguments: &[&str]) -> Ran {
        encompute(self.home(), &[&["--network", "local"], arguments].concat())
    }

    /// The process id of one of its services.
    pub fn pid(&self, service: &str) -> u32 {
        let services = self.ready["services"].as_array().unwrap();
        let found = services.iter().find(|found| found["name"] == service).unwrap();
        u32::try_from(found["pid"].as_u64().unwrap()).unwrap()
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
