//! The whole market, as `encompute dev up` starts it, and the command line beside it.

use crate::process::built;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Mutex, mpsc::Receiver},
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

/// A command that runs, its words read as it says them. Dropping it kills it.
pub struct Running {
    child: Child,
    words: BufReader<ChildStderr>,
    said: String,
}

impl Running {
    /// Starts `encompute` on a home folder.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(home: &Path, arguments: &[&str]) -> Self {
        Self::of(command(home, arguments))
    }

    /// Starts a command.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let words = BufReader::new(child.stderr.take().unwrap());
        Self { child, words, said: String::new() }
    }

    /// Waits until it says a line with one of `texts` in it; gives back which.
    ///
    /// # Panics
    /// If it ends before, with all that it said.
    pub fn until(&mut self, texts: &[&str]) -> usize {
        loop {
            let from = self.said.len();
            let read = self.words.read_line(&mut self.said).unwrap();
            assert!(read > 0, "it ended without saying one of {texts:?}:\n{}", self.said);
            if let Some(found) = texts.iter().position(|text| self.said[from..].contains(text)) {
                return found;
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut would.
    ///
    /// # Panics
    /// If it ended by itself before.
    pub fn kill(mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "it ended by itself: {}", self.said);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If its output cannot be read.
    pub fn finish(mut self) -> Ran {
        self.words.read_to_string(&mut self.said).unwrap();
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        Ran { code, stdout, stderr: std::mem::take(&mut self.said) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What has ended cannot be killed, and need not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process, by the signal's name.
///
/// # Panics
/// If there is no such process.
pub fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "SIG{name} to {pid}");
}

/// Chain, gateway, attestation, creator and worker, two models on sale. Dropping it stops them all;
/// so does the end of the test's process, for their stdin ends with it.
pub struct Market {
    child: Child,
    home: TempDir,
    events: Mutex<Receiver<Value>>,
    /// Its ready line.
    pub ready: Value,
}

/// A folder with the two models that the tests' jobs buy: to measure all that there are costs every market seconds.
fn models_for_tests(home: &Path) -> String {
    let folder = home.join("models");
    std::fs::create_dir_all(&folder).unwrap();
    for model in ["breast-cancer", "digits"] {
        let link = folder.join(model);
        // An earlier market on the same home has made it.
        if !link.exists() {
            std::os::unix::fs::symlink(root().join("scripts/models").join(model), link).unwrap();
        }
    }
    folder.display().to_string()
}

impl Market {
    /// Starts everything and waits until it is ready.
    ///
    /// # Panics
    /// If something does not start, with its words.
    pub fn up() -> Self {
        Self::up_in(tempfile::Builder::new().prefix("encompute-test-").tempdir().unwrap())
    }

    /// The same on a home folder, where an earlier one may have run.
    ///
    /// # Panics
    /// As [`Market::up`].
    pub fn up_in(home: TempDir) -> Self {
        Self::up_with(home, &[])
    }

    /// The same with more options of `dev up`.
    ///
    /// # Panics
    /// As [`Market::up`].
    pub fn up_with(home: TempDir, options: &[&str]) -> Self {
        let models = models_for_tests(home.path());
        let arguments = ["dev", "up", "--listen", "127.0.0.1:0", "--json", "--stop-with-stdin", "--models", &models];
        let arguments = [&arguments[..], options].concat();
        let mut child = command(home.path(), &arguments)
            .stdin(Stdio::piped())
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
        let (said, events) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let lines = stdout.lines().map_while(Result::ok);
            // A test that is over listens no more.
            lines.filter_map(|line| serde_json::from_str(&line).ok()).all(|event| said.send(event).is_ok());
        });
        Self { child, home, events: Mutex::new(events), ready }
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

    /// Starts a verb against it, to be interrupted.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.home(), &[&["--network", "local"], arguments].concat())
    }

    /// What a service said when it was ready: `chain`, `gateway`, `attestation`, `creator`, `worker`.
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn service(&self, name: &str) -> &Value {
        let services = self.ready["services"].as_array().unwrap();
        services.iter().find(|found| found["name"] == name).unwrap_or_else(|| panic!("no service {name}"))
    }

    /// The process id of one of its services, as long as it was never killed.
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn pid(&self, service: &str) -> u32 {
        u32::try_from(self.service(service)["pid"].as_u64().unwrap()).unwrap()
    }

    /// Ends one service as a power cut would, and waits until the market has started it again.
    ///
    /// # Panics
    /// If there is none of that name, or it does not come back.
    pub fn kill(&mut self, service: &str) {
        signal("KILL", self.pid(service));
        let events = self.events.get_mut().unwrap();
        let back = events.iter().find(|event| event["event"] == "started" && event["service"] == service);
        let back = back.unwrap_or_else(|| panic!("the market ended over {service}"));
        let services = self.ready["services"].as_array_mut().unwrap();
        let entry = services.iter_mut().find(|found| found["name"] == service).unwrap();
        (entry["pid"], entry["ready"]) = (back["pid"].clone(), back["ready"].clone());
    }

    /// Ends the market's own process as a power cut would; the services notice. Its home stays.
    ///
    /// # Panics
    /// If it ended before.
    pub fn power_cut(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // The destructor finds a process that has ended.
        std::mem::replace(&mut self.home, tempfile::tempdir().unwrap())
    }

    /// Stops everything in order. Its home stays.
    ///
    /// # Panics
    /// If it did not end well.
    pub fn stop(mut self) -> TempDir {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success(), "the market did not end well");
        std::mem::replace(&mut self.home, tempfile::tempdir().unwrap())
    }

    /// The log of one of its services.
    pub fn log(&self, service: &str) -> String {
        std::fs::read_to_string(self.home().join("logs").join(format!("{service}.log"))).unwrap_or_default()
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        // Its leash: it stops its services in order, and ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
