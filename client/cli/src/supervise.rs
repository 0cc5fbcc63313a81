//! Processes that a command starts and watches: `dev up`, `demo`.
//!
//! Every service prints one JSON line on stdout when it is ready; its stderr goes to a log file.

use crate::failure::{Doing, Exit, Failure, Outcome};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// A running service. Dropping it kills the process; [`Service::stop`] asks it first.
pub struct Service {
    /// What it is called in messages.
    pub name: &'static str,
    /// Its ready line.
    pub ready: Value,
    /// Where its log is.
    pub log: PathBuf,
    child: Child,
}

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(10);

impl Service {
    /// Starts a program and waits for its ready line.
    ///
    /// # Errors
    /// When it cannot be started, ends early or is not ready within a minute: with the last line of its log.
    pub async fn start(name: &'static str, program: &Path, args: &[String], logs: &Path) -> Outcome<Self> {
        std::fs::create_dir_all(logs).doing(Exit::Failed, &format!("make {}", logs.display()))?;
        let log = logs.join(format!("{name}.log"));
        let stderr = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .doing(Exit::Failed, &format!("open {}", log.display()))?;
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // Its own group: Ctrl-C reaches this command alone, which then stops services in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .doing(Exit::Failed, &format!("start {name} ({})", program.display()))?;
        let stdout = child.stdout.take().ok_or_else(|| Failure::new(Exit::Failed, format!("{name} has no stdout")))?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = match tokio::time::timeout(READY_WITHIN, lines.next_line()).await {
            Ok(Ok(Some(line))) => serde_json::from_str(&line).doing(Exit::Failed, &format!("ready line of {name}"))?,
            Ok(_) => return Err(Failure::new(Exit::Failed, format!("{name} ended early: {}", last_line(&log)))),
            Err(_) => {
                return Err(Failure::new(
                    Exit::TimedOut,
                    format!("{name} is not ready after {READY_WITHIN:?}: {}", last_line(&log)),
                ));
            }
        };
        // Later lines are for nobody, but an unread pipe would block the service.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { name, ready, log, child })
    }

    /// A text of the ready line.
    ///
    /// # Errors
    /// When the line has no such text.
    pub fn ready_text(&self, key: &str) -> Outcome<String> {
        let found = self.ready.get(key).and_then(Value::as_str);
        found
            .map(str::to_owned)
            .ok_or_else(|| Failure::new(Exit::Failed, format!("ready line of {} has no {key:?}", self.name)))
    }

    /// Waits until the process ends by itself.
    pub async fn ended(&mut self) -> Failure {
        let status = self.child.wait().await;
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        Failure::new(Exit::Failed, format!("{} ended ({how}): {}", self.name, last_line(&self.log)))
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks the process to finish (SIGTERM), and kills it when it does not.
    pub async fn stop(mut self) {
        if let Some(pid) = self.child.id() {
            let asked = Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await;
            if asked.is_ok_and(|status| status.success())
                && tokio::time::timeout(STOP_WITHIN, self.child.wait()).await.is_ok()
            {
                return;
            }
        }
        // Nothing is left to do with a process that cannot be killed.
        let _ = self.child.kill().await;
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

fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("its log is empty").to_owned()
}
