//! The whole market, as `encompute dev up` starts it, and the command line beside it.

use crate::process::built;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// What the command line goes by, so that nothing of the caller's configuration reaches it.
const VARIABLES: [&str; 6] = [
    "ENCOMPUTE_NETWORK",
    "ENCOMPUTE_RPC",
    "ENCOMPUTE_GATEWAY",
    "ENCOMPUTE_CONTRACT",
    "ENCOMPUTE_WALLET",
    "ENCOMPUTE_PASSWORD_FILE",
];

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// Its data.
    pub stdout: String,
    /// Its words.
    pub stderr: String,
}

impl Ran {
    /// The last line of stdout as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The same, after making sure that the command succeeded.
    ///
    /// # Panics
    /// If it did not.
    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

/// The repository's root.
///
/// # Panics
/// Never: this crate lies two folders below it.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// A program that the same build made, or one of those in `ENCOMPUTE_PROGRAMS`.
///
/// # Panics
/// If it was not built.
pub fn program(name: &str) -> PathBuf {
    built(name).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs `encompute` on a home folder and waits for it.
///
/// # Panics
/// If it cannot be run.
pub fn encompute(home: &Path, arguments: &[&str]) -> Ran {
    let output = command(home, arguments).stdin(Stdio::null()).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `encompute` on a home folder, not started yet.
pub fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("encompute"));
    command.args(arguments).current_dir(root()).env("ENCOMPUTE_HOME", home).env("NO_COLOR", "1");
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// Chain, gateway, attestation, creator and worker, two models on sale. Dropping it stops them all.
pub struct Market {
    child: Child,
    home: TempDir,
    /// Its ready line.
    pub ready: Value,
}

impl Market {
    /// Starts everything and waits until it is ready.
    ///
    /// # Panics
    /// If something does not start, with its words.
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
        // Words of a running market are in its logs; an unread pipe would block it.
        let mut stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { child, home, ready }
    }

    /// The market's home folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs a verb against it.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn encompute(&self, arguments: &[&str]) -> Ran {
        encompute(self.home(), &[&["--network", "local"], arguments].concat())
    }

    /// The process id of one of its services: `chain`, `gateway`, `attestation`, `creator`, `worker`.
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn pid(&self, service: &str) -> u32 {
        let services = self.ready["services"].as_array().unwrap();
        let found = services.iter().find(|found| found["name"] == service).unwrap();
        u32::try_from(found["pid"].as_u64().unwrap()).unwrap()
    }

    /// Ends one service as a power cut would.
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn kill(&self, service: &str) {
        Command::new("kill").args(["-KILL", &self.pid(service).to_string()]).status().unwrap();
    }

    /// The log of one of its services.
    pub fn log(&self, service: &str) -> String {
        std::fs::read_to_string(self.home().join("logs").join(format!("{service}.log"))).unwrap_or_default()
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
