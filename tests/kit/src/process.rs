//! One program as a process: started, ready, stopped.

use core::time::Duration;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

/// How long a program may take to say that it is ready. Generous: test machines are busy.
const READY_WITHIN: Duration = Duration::from_secs(180);
/// How long a program may take to stop when asked.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Most of a log that an error repeats, in bytes from its end.
const SHOWN_LOG_BYTES: usize = 2_000;

/// A process or a chain that did not do what a test needs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KitError {
    /// The program was not built.
    #[error("{program} is not in {folder}; build it first: cargo build --workspace --bins")]
    NotBuilt {
        /// Which program.
        program: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A program of somebody else's was not installed.
    #[error("{program} is not in {folder}; install it first: ./scripts/setup --tests")]
    NotInstalled {
        /// Which program.
        program: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The system did not start the program, or its folder could not be made.
    #[error("{what} cannot be started")]
    Start {
        /// What was to start.
        what: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The program ended, said something else, or nothing in time.
    #[error("{what} is not ready ({why}); its log ends with:\n{log}")]
    NotReady {
        /// What was started.
        what: String,
        /// What happened instead.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// The ready line lacks something.
    #[error("ready line of {what} has no {key:?}: {line}")]
    ReadyLine {
        /// What was started.
        what: String,
        /// What is missing.
        key: String,
        /// The line.
        line: String,
    },
    /// A command of the market's failed.
    #[error("{what} failed ({why})")]
    Command {
        /// What was run.
        what: String,
        /// Its exit code and what it said.
        why: String,
    },
    /// The network file is refused.
    #[error("network file is refused")]
    Network(#[from] encompute_networks::NetworkError),
    /// The chain cannot be connected to.
    #[error("chain cannot be connected to")]
    Connect(#[from] encompute_chain::ConnectError),
    /// The contract cannot be deployed.
    #[error("contract cannot be deployed")]
    Deploy(#[from] encompute_chain::SubmitError),
}

/// How a program ended that was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// From the asking to the end.
    pub took: Duration,
}

/// Cargo's target folder, which this test was built into.
///
/// # Errors
/// [`KitError::Start`] where the system does not know this program's own path.
pub(crate) fn target_folder() -> Result<PathBuf, KitError> {
    let this = std::env::current_exe();
    let this = this.map_err(|source| KitError::Start { what: "test".to_owned(), source })?;
    // TARGET/PROFILE/deps/TEST
    Ok(this.ancestors().nth(3).unwrap_or(Path::new(".")).to_owned())
}

/// The path of a program that the same build made.
///
/// # Errors
/// [`KitError::NotBuilt`].
pub(crate) fn built(name: &str) -> Result<PathBuf, KitError> {
    let folder = match std::env::var_os("ENCOMPUTE_PROGRAMS") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let this = std::env::current_exe();
            let this = this.map_err(|source| KitError::Start { what: name.to_owned(), source })?;
            // Tests are built into `deps`, programs beside it.
            this.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).unwrap_or(Path::new(".")).to_owned()
        }
    };
    let path = folder.join(name);
    if path.is_file() { Ok(path) } else { Err(KitError::NotBuilt { program: name.to_owned(), folder }) }
}

/// A program that has said it is ready. Dropping it kills it.
pub struct Process {
    what: String,
    ready: Value,
    log: PathBuf,
    child: Child,
    /// Ends with the test's process, whatever ends that, and the program stops.
    _leash: Option<ChildStdin>,
}

impl Process {
    /// Starts a program and waits for its ready line. Its log goes to `<folder>/<what>.log`.
    ///
    /// # Errors
    /// [`KitError`], with the end of its log.
    pub async fn start(what: &str, program: &Path, arguments: &[&str], folder: &Path) -> Result<Self, KitError> {
        Self::start_in(what, program, arguments, &[], folder).await
    }

    /// The same with more variables in its environment.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub async fn start_in(
        what: &str,
        program: &Path,
        arguments: &[&str],
        environment: &[(String, String)],
        folder: &Path,
    ) -> Result<Self, KitError> {
        let failed = |source| KitError::Start { what: what.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let log = folder.join(format!("{what}.log"));
        let stderr = std::fs::File::options().create(true).append(true).open(&log).map_err(failed)?;
        let mut child = Command::new(program)
            .args(arguments)
            .arg("--stop-with-stdin")
            // What a crash would tell at most.
            .env("RUST_BACKTRACE", "full")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let leash = child.stdin.take();
        let not_ready = |why: String| KitError::NotReady { what: what.to_owned(), why, log: end_of(&log) };
        let stdout = child.stdout.take().ok_or_else(|| not_ready("it has no stdout".to_owned()))?;
        let mut lines = BufReader::new(stdout).lines();
        let line = match tokio::time::timeout(READY_WITHIN, lines.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(_) => return Err(not_ready(ending(&mut child).await)),
            Err(_) => return Err(not_ready(format!("nothing within {} s", READY_WITHIN.as_secs()))),
        };
        let ready: Value = serde_json::from_str(&line).map_err(|_| not_ready(format!("it said {line:?}")))?;
        // Nobody needs later lines, but an unread pipe would block the program.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { what: what.to_owned(), ready, log, child, _leash: leash })
    }

    /// A text of its ready line.
    ///
    /// # Errors
    /// [`KitError::ReadyLine`].
    pub fn said(&self, key: &str) -> Result<&str, KitError> {
        let (what, line) = (self.what.clone(), self.ready.to_string());
        self.ready.get(key).and_then(Value::as_str).ok_or(KitError::ReadyLine { what, key: key.to_owned(), line })
    }

    /// Its ready line.
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        end_of(&self.log)
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// True once it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to stop and waits; kills it if it does not. True if it ended well.
    pub async fn stop(self) -> bool {
        self.drain().await.code == Some(0)
    }

    /// Asks it to stop and waits for its end; kills it if that does not come.
    pub async fn drain(mut self) -> Drained {
        let asked = Instant::now();
        if let Some(id) = self.child.id() {
            // A process that is gone needs no signal.
            drop(Command::new("kill").arg("-TERM").arg(id.to_string()).stderr(Stdio::null()).status().await);
        }
        let ended = tokio::time::timeout(STOP_WITHIN, self.child.wait()).await;
        let took = asked.elapsed();
        match ended {
            Ok(Ok(status)) => Drained { code: status.code(), took },
            _ => {
                self.kill().await;
                Drained { code: None, took }
            }
        }
    }

    /// Ends it at once, as a power cut would.
    pub async fn kill(mut self) {
        // What cannot be killed is gone already.
        let _ = self.child.kill().await;
    }
}

async fn ending(child: &mut Child) -> String {
    match tokio::time::timeout(Duration::from_secs(5), child.wait()).await {
        Ok(Ok(status)) => status.to_string(),
        _ => "it closed its stdout".to_owned(),
    }
}

fn end_of(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let from = bytes.len().saturating_sub(SHOWN_LOG_BYTES);
    String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
}
