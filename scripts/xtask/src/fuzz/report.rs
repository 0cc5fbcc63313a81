//! What libFuzzer said, as a table.

use serde::Serialize;
use std::{fmt::Write, time::Duration};

/// What came of one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Which.
    pub target: String,
    /// Inputs that it was run on.
    pub executions: u64,
    /// How long that took.
    pub seconds: u64,
    /// Edges that were reached.
    pub edges: u64,
    /// Inputs that crashed it, took too long or too much memory. It ends at the first.
    pub crashes: u64,
    /// Most memory of the process, libFuzzer's own included, in MiB.
    pub rss_mb: u64,
    /// Longest time for one input, in whole seconds.
    pub slowest_seconds: u64,
    /// The first line about the crash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Outcome {
    /// The outcome in a target's words.
    pub fn read(target: &str, words: &str, ended_well: bool, took: Duration) -> Self {
        let number = |text: &str| text.trim().split(' ').next().and_then(|number| number.parse().ok());
        let last = |mark: &str| words.lines().rev().find_map(|line| number(line.split_once(mark)?.1));
        // A target that crashes prints no statistics of its end; its last line of progress begins with a number.
        let progress =
            || words.lines().rev().find_map(|line| number(line.trim().strip_prefix('#')?.split('\t').next()?));
        let reason = words.lines().find(|line| line.contains("panicked at") || line.contains("ERROR: libFuzzer"));
        Self {
            target: target.to_owned(),
            executions: last("stat::number_of_executed_units:").or_else(progress).unwrap_or(0),
            seconds: took.as_secs(),
            edges: last("cov: ").unwrap_or(0),
            crashes: u64::from(!ended_well),
            rss_mb: last("stat::peak_rss_mb:").unwrap_or(0),
            slowest_seconds: last("stat::slowest_unit_time_sec:").unwrap_or(0),
            reason: reason.filter(|_| !ended_well).map(|line| line.trim().to_owned()),
        }
    }
}

/// All outcomes, by name.
#[derive(Serialize)]
pub struct Table {
    targets: Vec<Outcome>,
    executions: u64,
    crashes: u64,
}

impl Table {
    /// The outcomes in order.
    pub fn of(mut targets: Vec<Outcome>) -> Self {
        targets.sort_by(|one, other| one.target.cmp(&other.target));
        let executions = targets.iter().map(|outcome| outcome.executions).sum();
        let crashes = targets.iter().map(|outcome| outcome.crashes).sum();
        Self { targets, executions, crashes }
    }

    /// How many targets crashed.
    pub fn crashed(&self) -> u64 {
        self.crashes
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!(self)
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{:<12} {:>12} {:>8} {:>9} {:>7} {:>7}  crash\n",
            "target", "executions", "seconds", "a second", "edges", "MiB"
        );
        for outcome in &self.targets {
            let Outcome { target, executions, seconds, edges, rss_mb, .. } = outcome;
            let rate = executions / seconds.max(&1);
            let crash = if outcome.crashes > 0 { outcome.reason.as_deref().unwrap_or("yes") } else { "none" };
            // Writing to a String cannot fail.
            let _ =
                writeln!(text, "{target:<12} {executions:>12} {seconds:>8} {rate:>9} {edges:>7} {rss_mb:>7}  {crash}");
        }
        let _ = writeln!(text, "{:<12} {:>12} executions, {} crashes", "all", self.executions, self.crashes);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_to_its_end_is_read_from_its_statistics() {
        let words = "#2\tINITED cov: 7 ft: 8\n#900\tDONE   cov: 42 ft: 80 corp: 5/9b\nstat::number_of_executed_units: 901\nstat::peak_rss_mb:              56\n";
        let outcome = Outcome::read("tables", words, true, Duration::from_secs(3));
        assert_eq!((outcome.executions, outcome.edges, outcome.crashes, outcome.rss_mb), (901, 42, 0, 56));
        assert_eq!(outcome.reason, None);
    }

    #[test]
    fn a_crash_is_read_with_its_reason() {
        let words = "#512\tREDUCE cov: 42 ft: 80\nthread '<unnamed>' panicked at src/x.rs:1:2:\n==1== ERROR: libFuzzer: deadly signal\n";
        let outcome = Outcome::read("tables", words, false, Duration::from_secs(3));
        assert_eq!((outcome.executions, outcome.crashes), (512, 1));
        assert!(outcome.reason.unwrap_or_default().contains("src/x.rs:1:2"));
    }
}
