//! The stage rail: what a job is doing, as it does it, on stderr.

use crate::{commands::market::stage_name, preview::Preview};
use encompute_job::{Step, Watch};
use encompute_protocol::{Address, BlockNumber, JobId, Stage};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    io::IsTerminal,
    time::{Duration, Instant},
};

/// Watches one job and remembers what took how long.
pub struct Rail {
    began: Instant,
    terminal: bool,
    spinner: Option<ProgressBar>,
    steps: BTreeMap<Step, Duration>,
    stages: Vec<(Stage, BlockNumber)>,
    head_committed: Option<Duration>,
    requested: Option<Duration>,
    preview: Option<Preview>,
}

impl Rail {
    /// A rail for one job.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
            spinner: None,
            steps: BTreeMap::new(),
            stages: Vec::new(),
            head_committed: None,
            requested: None,
            preview: None,
        }
    }

    /// Shows this before anything is sent.
    pub fn shows(&mut self, preview: Option<Preview>) {
        self.preview = preview;
    }

    /// Milliseconds per step, and from the request to the head's commitment.
    pub fn steps_ms(&self) -> Value {
        let mut map: Map<String, Value> =
            self.steps.iter().map(|(step, took)| (step.name().into(), millis(*took))).collect();
        if let (Some(requested), Some(committed)) = (self.requested, self.head_committed) {
            map.insert("request_to_head".into(), millis(committed.saturating_sub(requested)));
        }
        map.insert("total".into(), millis(self.began.elapsed()));
        Value::Object(map)
    }

    /// The stages seen, with their blocks.
    pub fn stages_json(&self) -> Value {
        self.stages.iter().map(|(stage, block)| json!({ "stage": stage_name(*stage), "block": block.0 })).collect()
    }

    /// The job stands at a stage.
    pub fn stands(&mut self, job: JobId, stage: Stage, since: BlockNumber, deadline: BlockNumber) {
        if self.stages.last() == Some(&(stage, since)) {
            return;
        }
        self.stages.push((stage, since));
        if stage == Stage::HeadCommitted {
            self.head_committed.get_or_insert(self.began.elapsed());
        }
        let next = if stage.is_terminal() { String::new() } else { format!(", next by block {deadline}") };
        self.line(&format!("job {job}  ● {:<16} block {since}{next}", stage_name(stage)));
    }

    fn line(&self, text: &str) {
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }
}

fn millis(took: Duration) -> Value {
    json!((took.as_secs_f64() * 10_000.0).round() / 10.0)
}

fn words(step: Step) -> &'static str {
    match step {
        Step::Encrypt => "making keys and encrypting",
        Step::Upload => "uploading the encrypted request",
        Step::Offer => "checking workers' attestation, asking for an offer",
        Step::Request => "paying for the run",
        Step::Rounds => "running the head on encrypted data",
        Step::Commit => "waiting for the worker's receipt on chain",
        Step::Audit => "waiting: the network drew this job for an audit, it goes on after",
        Step::Quote => "waiting for the worker's quote over its receipt",
        Step::Witness => "waiting for witnesses to run the head again",
        Step::Release => "verifying, decrypting, obfuscating",
        Step::Send => "sending sealed features",
        Step::Tail => "waiting for the creator's result",
        Step::Accept => "opening the result, settling",
    }
}

impl Watch for Rail {
    fn begins(&mut self, step: Step) {
        if step == Step::Request {
            self.requested = Some(self.began.elapsed());
        }
        if self.terminal {
            let spinner = ProgressBar::new_spinner().with_message(words(step));
            let style = ProgressStyle::with_template("        {spinner} {msg} {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            spinner.set_style(style);
            spinner.enable_steady_tick(Duration::from_millis(100));
            self.spinner = Some(spinner);
        }
    }

    fn ended(&mut self, step: Step, took: Duration) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
        *self.steps.entry(step).or_default() += took;
        self.line(&format!("        {:<52} {:>8.1} ms", words(step), took.as_secs_f64() * 1000.0));
    }

    fn uploaded(&mut self, done: usize, blobs: usize) {
        // One blob says nothing; of a key's two dozen, a line for each would be too many.
        if blobs > 1
            && let Some(spinner) = &self.spinner
        {
            spinner.set_message(format!("{}: {done} of {blobs} parts", words(Step::Upload)));
        }
    }

    fn round(&mut self, done: usize, rounds: usize) {
        match &self.spinner {
            Some(spinner) => spinner.set_message(format!("{}: round {done} of {rounds}", words(Step::Rounds))),
            None => self.line(&format!("          round {done} of {rounds}")),
        }
    }

    fn turn(&mut self, job: JobId, whose: Option<Address>, open_from: BlockNumber) {
        match whose {
            Some(worker) => self
                .line(&format!("job {job}  ● drawn            the turn of {worker}, anybody's from block {open_from}")),
            None => self.line(&format!("job {job}  ● drawn            anybody may claim")),
        }
    }

    async fn consents(&mut self, codes: &[i16]) -> bool {
        let Some(preview) = &self.preview else { return true };
        // Nothing turns where somebody reads and answers.
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
        preview.consents(codes).await
    }

    fn stage(&mut self, job: JobId, stage: Stage, since: BlockNumber, deadline: BlockNumber) {
        self.stands(job, stage, since, deadline);
    }
}
