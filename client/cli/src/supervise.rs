//! Processes that a command starts, watches and starts again: `dev up`, `demo`.
//!
//! Every service prints one JSON line on stdout when it is ready; its stderr goes to a log file. Two
//! pipes and a lock say who is alive, whatever ends whom:
//!
//! * The service's stdin is a leash: when this command is gone, killed or not, it ends, and the service stops.
//! * The service keeps its log locked for as long as it lives, because it inherits the file that was locked.
//!   A later start on the same folder waits for it, and never runs two of one kind.

use crate::failure::{Doing, Exit, Failure, Outcome};
use crate::output;
use serde_json::Value;
use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long a service of an earlier start may still take to end; it may be finishing a job.
const EARLIER_WITHIN: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Pause before the first start again; each one in a row doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A service that has run for so long is no longer one that cannot start.
const STEADY: Duration = Duration::from_secs(60);
/// Ends in a row after which it is given up.
const ENDS_LIMIT: u32 = 6;

/// What to start, and how to start it again.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What it is called in messages and the name of its log.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments, but for those of the leash and the address.
    pub arguments: Vec<String>,
    /// Where it is to listen. Port 0 takes any free one, and the same one at every later start.
    pub listen: String,
    /// Folder of its log.
    pub logs: PathBuf,
    /// Whether it is started again when it ends: not if what it knew is gone with it.
    pub again: bool,
}

/// A running service. Dropping it kills the process; [`Service::stop`] asks it first.
pub struct Service {
    /// Its ready line.
    pub ready: Value,
    launch: Launch,
    since: Instant,
    running: Running,
}

struct Running {
    child: Child,
    leash: Option<ChildStdin>,
    /// Where this process's own lines begin in the log, in bytes.
    log_from: u64,
}

/// What became of a service that ended by itself.
pub enum Incident<'a> {
    /// It ended, and is started again after a pause.
    Ended {
        /// Which.
        service: &'static str,
        /// How, with the last line of its log.
        why: &'a str,
        /// How long until the next start.
        pause: Duration,
    },
    /// It serves again.
    Started(&'a Service),
}

impl Launch {
    /// Starts the program and waits for its ready line.
    async fn start(&self) -> Outcome<(Running, Value)> {
        let Self { name, program, .. } = self;
        std::fs::create_dir_all(&self.logs).doing(Exit::Failed, &format!("make {}", self.logs.display()))?;
        let path = self.log();
        let log = File::options().create(true).append(true).open(&path);
        let log = log.doing(Exit::Failed, &format!("open {}", path.display()))?;
        self.outlive_the_earlier(&log).await?;
        let log_from = log.metadata().map_or(0, |log| log.len());
        let mut child = Command::new(program)
            .args(&self.arguments)
            .args(["--listen", &self.listen, "--stop-with-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Its own group: Ctrl-C reaches this command alone, which then stops services in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .doing(Exit::Failed, &format!("start {name} ({})", program.display()))?;
        let leash = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| Failure::new(Exit::Failed, format!("{name} has no stdout")))?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = match tokio::time::timeout(READY_WITHIN, lines.next_line()).await {
            Ok(Ok(Some(line))) => serde_json::from_str(&line).doing(Exit::Failed, &format!("ready line of {name}"))?,
            Ok(_) => return Err(last_words(&path, log_from, Exit::Failed, &format!("{name} ended early"))),
            Err(_) => {
                let doing = format!("{name} is not ready after {READY_WITHIN:?}");
                return Err(last_words(&path, log_from, Exit::TimedOut, &doing));
            }
        };
        // Later lines are for nobody, but an unread pipe would block the service.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok((Running { child, leash, log_from }, ready))
    }

    /// Takes the log's lock, which a process of an earlier start may still hold.
    async fn outlive_the_earlier(&self, log: &File) -> Outcome {
        let until = Instant::now() + EARLIER_WITHIN;
        let mut said = false;
        loop {
            match log.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {}
                Err(TryLockError::WouldBlock) => {
                    let words =
                        format!("a {} of an earlier start still runs and writes {}", self.name, self.log().display());
                    return Err(Failure::new(Exit::Failed, words).hint("end that process, or choose another --home"));
                }
                Err(TryLockError::Error(error)) => return Err(error).doing(Exit::Failed, "lock the service's log"),
            }
            if !said {
                output::say(&format!("waiting for the {} of an earlier start to end …", self.name));
                said = true;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn log(&self) -> PathBuf {
        self.logs.join(format!("{}.log", self.name))
    }
}

impl Service {
    /// Starts a program and waits for its ready line.
    ///
    /// # Errors
    /// When it cannot be started, ends early or is not ready within a minute: with the last line of its log.
    pub async fn start(mut launch: Launch) -> Outcome<Self> {
        let (running, ready) = launch.start().await?;
        let service = Self { ready, since: Instant::now(), running, launch: launch.clone() };
        let url = service.ready_text("listen")?;
        launch.listen = url.split_once("://").map_or(url.as_str(), |(_, address)| address).to_owned();
        Ok(Self { launch, ..service })
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.launch.name
    }

    /// Where its log is.
    pub fn log(&self) -> PathBuf {
        self.launch.log()
    }

    /// A text of the ready line.
    ///
    /// # Errors
    /// When the line has no such text.
    pub fn ready_text(&self, key: &str) -> Outcome<String> {
        let found = self.ready.get(key).and_then(Value::as_str);
        found
            .map(str::to_owned)
            .ok_or_else(|| Failure::new(Exit::Failed, format!("ready line of {} has no {key:?}", self.name())))
    }

    /// Starts the process again whenever it ends, after a pause that doubles with each end in a row.
    /// Comes back only when it gives up: with how the process ended, or why it cannot be started.
    pub async fn keep_up(&mut self, told: &impl Fn(&Incident<'_>)) -> Failure {
        let mut failure = self.ended().await;
        let mut ends = 1;
        loop {
            if ends >= ENDS_LIMIT || !self.launch.again {
                return failure;
            }
            let pause = FIRST_PAUSE * 2u32.pow(ends - 1);
            told(&Incident::Ended { service: self.name(), why: &failure.text, pause });
            tokio::time::sleep(pause).await;
            failure = match self.launch.start().await {
                Ok((running, ready)) => {
                    (self.running, self.ready, self.since) = (running, ready, Instant::now());
                    told(&Incident::Started(self));
                    let ended = self.ended().await;
                    if self.since.elapsed() > STEADY {
                        ends = 0;
                    }
                    ended
                }
                Err(failure) => failure,
            };
            ends += 1;
        }
    }

    /// Waits until the process ends by itself.
    async fn ended(&mut self) -> Failure {
        let status = self.running.child.wait().await;
        let how = status.as_ref().map_or_else(ToString::to_string, ToString::to_string);
        let words = format!("{} ended ({how})", self.name());
        match status.is_ok_and(|status| status.code().is_some()) {
            true => last_words(&self.log(), self.running.log_from, Exit::Failed, &words),
            // Whoever is killed has no last words; the log's last line says something else then.
            false => Failure::new(Exit::Failed, format!("{words}: see {}", self.log().display())),
        }
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.child.id()
    }

    /// Asks the process to finish by letting its leash go, and kills it when it does not.
    pub async fn stop(mut self) {
        drop(self.running.leash.take());
        if tokio::time::timeout(STOP_WITHIN, self.running.child.wait()).await.is_err() {
            // Nothing is left to do with a process that cannot be killed.
            let _ = self.running.child.kill().await;
        }
    }
}

/// The program beside this one, which the same build made.
///
/// # Errors
/// When it is not there, with the command that builds it.
pub fn sibling(name: &str) -> Outcome<PathBuf> {
    let here = std::env::current_exe().doing(Exit::Failed, "find this program")?;
    let path = here.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(Failure::new(Exit::Failed, format!("{} is not there", path.display()))
        .hint("build it: cargo build -p encompute-node -p encompute-devchain"))
}

/// The failure that a process's own part of its log ends with: its error and the hint after it, as every
/// program here says them, or else its last line.
fn last_words(log: &Path, from: u64, exit: Exit, doing: &str) -> Failure {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(bytes.get(usize::try_from(from).unwrap_or(0)..).unwrap_or_default());
    let after = |line: &str, mark: &str| line.split_once(mark).map(|(_, words)| words.to_owned());
    let last = || text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("its log is empty").to_owned();
    let words = text.lines().rev().find_map(|line| after(line, ": error: ")).unwrap_or_else(last);
    let hint = text.lines().rev().find_map(|line| after(line, ": hint: "));
    Failure { exit, text: format!("{doing}: {words}"), hint }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_ended_is_quoted_with_its_own_error_and_hint() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("chain.log");
        let earlier = "encompute-devchain: error: of an earlier start\n";
        let own = "INFO starting\nencompute-devchain: error: 127.0.0.1:9944 is taken\nencompute-devchain: hint: choose another\n";
        std::fs::write(&log, format!("{earlier}{own}")).unwrap();
        let failure = last_words(&log, earlier.len() as u64, Exit::Failed, "chain ended early");
        assert_eq!(failure.text, "chain ended early: 127.0.0.1:9944 is taken");
        assert_eq!(failure.hint.as_deref(), Some("choose another"));
        std::fs::write(&log, format!("{earlier}INFO ready\n\n")).unwrap();
        let failure = last_words(&log, earlier.len() as u64, Exit::Failed, "chain ended early");
        assert_eq!((failure.text.as_str(), failure.hint), ("chain ended early: INFO ready", None));
    }
}
