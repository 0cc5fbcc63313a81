//! The user's command as a process, followed by what it says; signals to any process.

use crate::plan::Step;
use core::time::Duration;
use std::{
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
};

/// How a line of the user's command begins once a step is behind it. Waiting for somebody else is
/// said only where there was something to wait for, so a later step stands for every earlier one.
const SIGNS: [(&str, Step); 11] = [
    ("making keys and encrypting", Step::Encrypted),
    ("uploading the encrypted request", Step::Uploaded),
    ("checking workers' attestation", Step::Offered),
    ("paying for the run", Step::Requested),
    ("round 1 of", Step::FirstRound),
    ("round 2 of", Step::SecondRound),
    ("running the head", Step::Rounds),
    ("waiting for the worker's receipt", Step::Committed),
    ("verifying, decrypting", Step::Released),
    ("sending sealed features", Step::Sent),
    ("waiting for the creator's result", Step::Answered),
];

/// How far a command has come, by its own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    step: Option<Step>,
    over: bool,
}

/// A running `encompute job submit` or `job resume`. Dropping it kills it.
pub struct Actor {
    child: Child,
    progress: watch::Receiver<Progress>,
    words: Arc<Mutex<Vec<String>>>,
}

impl Actor {
    /// Starts a command; its words are followed, its data is for nobody.
    pub fn start(command: std::process::Command) -> std::io::Result<Self> {
        let mut command = Command::from(command);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().ok_or_else(|| std::io::Error::other("the command has no stderr"))?;
        let (said, progress) = watch::channel(Progress::default());
        let words = Arc::new(Mutex::new(Vec::new()));
        let kept = words.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(step) = step_of(&line) {
                    said.send_modify(|progress| progress.step = progress.step.max(Some(step)));
                }
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
            said.send_modify(|progress| progress.over = true);
        });
        Ok(Self { child, progress, words })
    }

    /// Waits until a step is behind it, or it has ended; true if the step was seen.
    pub async fn reach(&mut self, step: Step) -> bool {
        if step == Step::Started {
            return true;
        }
        let reached = self.progress.wait_for(|progress| progress.over || progress.step >= Some(step)).await;
        reached.is_ok_and(|progress| progress.step >= Some(step))
    }

    /// Its exit code once it has ended, -1 for a signal; none if it goes on for longer than this.
    pub async fn ended_within(&mut self, limit: Duration) -> Option<i32> {
        let ended = tokio::time::timeout(limit, self.child.wait()).await.ok()?;
        Some(ended.ok().and_then(|status| status.code()).unwrap_or(-1))
    }

    /// Ends it as a power cut would.
    pub async fn kill(&mut self) {
        // What cannot be killed has ended.
        let _ = self.child.kill().await;
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// What it has said.
    pub fn words(&self) -> Vec<String> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn step_of(line: &str) -> Option<Step> {
    let line = line.trim_start();
    SIGNS.iter().find(|(sign, _)| line.starts_with(sign)).map(|(_, step)| *step)
}

/// Sends a signal by name; a process that is gone needs none.
pub async fn signal(id: u32, name: &str) {
    let kill = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).stderr(Stdio::null()).status();
    drop(kill.await);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn says(script: &str) -> Actor {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]);
        Actor::start(command).unwrap()
    }

    #[test]
    fn every_step_but_the_start_has_its_sign_in_order() {
        let steps: Vec<_> = SIGNS.iter().map(|(_, step)| *step).collect();
        assert_eq!(steps, crate::plan::STEPS[1..]);
        assert_eq!(step_of("        round 2 of 3"), Some(Step::SecondRound));
        assert_eq!(step_of("job 7  ● Claimed"), None);
    }

    #[tokio::test]
    async fn a_later_step_stands_for_an_earlier_one_and_an_end_for_none() {
        let mut actor = says("echo '   sending sealed features   3 ms' >&2; exec sleep 60");
        assert!(actor.reach(Step::Committed).await);
        actor.kill().await;
        assert!(!actor.reach(Step::Answered).await);
        let mut actor = says("exit 4");
        assert!(!actor.reach(Step::Encrypted).await);
        assert_eq!(actor.ended_within(Duration::from_secs(60)).await, Some(4));
    }
}
