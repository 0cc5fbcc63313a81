//! What a drill prints: one row a run, their sums, a table.

use crate::{
    judge::Outcome,
    plan::{Fault, Scene},
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was done.
    #[serde(flatten)]
    pub scene: Scene,
    /// Where the job stood on chain then; none before it was there.
    pub stage: Option<String>,
    /// Its number.
    pub job: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, where it did not settle.
    pub reason: Option<String>,
    /// Plancks that somebody should have been credited and was not.
    pub lost_units: u128,
    /// Credits above the table, and jobs beyond the one that was ordered.
    pub double_payments: u32,
    /// True when the user's input was released with other noise than before.
    pub redrawn_noise: bool,
    /// True when an auditor rebuilds the books from events alone and they are the contract's.
    pub balanced: bool,
    /// The auditor's verdict of a settled job.
    pub audited: Option<bool>,
    /// True when the user of a settled job has its answer.
    pub answered: Option<bool>,
    /// From the end of the fault to the end of the job.
    pub recovery_ms: u64,
    /// Commands that the user gave.
    pub commands: u32,
}

/// All runs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// How many.
    pub runs: u32,
    /// Processes killed.
    pub kills: u32,
    /// Jobs that settled.
    pub settled: u32,
    /// Jobs that ended otherwise, by the table.
    pub refunded: u32,
    /// Jobs that did not end.
    pub stuck: u32,
    /// Plancks that somebody should have been credited and was not.
    pub lost_units: u128,
    /// Credits above the table.
    pub double_payments: u32,
    /// Releases of one input with other noise than before.
    pub redrawn_noise: u32,
    /// Runs after which the books did not balance.
    pub unbalanced: u32,
    /// Settled jobs whose audit failed.
    pub failed_audits: u32,
    /// Settled jobs whose user has no answer.
    pub unanswered: u32,
    /// Every run.
    pub rows: Vec<Row>,
}

impl Report {
    /// The sums of these runs.
    pub fn of(rows: Vec<Row>) -> Self {
        let count = |wanted: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| wanted(row)).count() as u32;
        Self {
            runs: rows.len() as u32,
            kills: rows.iter().map(|row| row.scene.fault.kills()).sum(),
            settled: count(&|row| row.outcome == Outcome::Settled),
            refunded: count(&|row| row.outcome == Outcome::Refunded),
            stuck: count(&|row| row.outcome == Outcome::Stuck),
            lost_units: rows.iter().map(|row| row.lost_units).sum(),
            double_payments: rows.iter().map(|row| row.double_payments).sum(),
            redrawn_noise: count(&|row| row.redrawn_noise),
            unbalanced: count(&|row| !row.balanced),
            failed_audits: count(&|row| row.audited == Some(false)),
            unanswered: count(&|row| row.answered == Some(false)),
            rows,
        }
    }

    /// True when nothing was lost, paid twice, drawn again or left behind.
    pub fn is_clean(&self) -> bool {
        self.stuck == 0
            && self.lost_units == 0
            && self.double_payments == 0
            && self.redrawn_noise == 0
            && self.unbalanced == 0
            && self.failed_audits == 0
            && self.unanswered == 0
    }

    /// Failure × stage × process → outcome, money, time.
    pub fn table(&self) -> String {
        let mut groups: BTreeMap<(Fault, String, String), Vec<&Row>> = BTreeMap::new();
        for row in &self.rows {
            let stage = row.stage.clone().unwrap_or_else(|| "before the job".to_owned());
            groups.entry((row.scene.fault, word(&row.scene.victim), stage)).or_default().push(row);
        }
        let mut text = format!(
            "{:<18} {:<8} {:<16} {:>4} {:>7} {:>8} {:>5} {:>5} {:>6}  {:>8} {:>8}\n",
            "failure",
            "process",
            "stage",
            "runs",
            "settled",
            "refunded",
            "stuck",
            "lost",
            "double",
            "p50 ms",
            "most ms"
        );
        for ((fault, victim, stage), rows) in groups {
            let part = Self::of(rows.iter().map(|row| (*row).clone()).collect());
            let mut times: Vec<u64> = rows.iter().map(|row| row.recovery_ms).collect();
            times.sort_unstable();
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{:<18} {victim:<8} {stage:<16} {:>4} {:>7} {:>8} {:>5} {:>5} {:>6}  {:>8} {:>8}",
                word(&fault),
                part.runs,
                part.settled,
                part.refunded,
                part.stuck,
                part.lost_units,
                part.double_payments,
                times.get(times.len() / 2).copied().unwrap_or(0),
                times.last().copied().unwrap_or(0),
            );
        }
        let _ = writeln!(
            text,
            "\n{} runs, {} kills: {} settled, {} refunded, {} stuck; {} units lost, {} double payments, {} times noise \
             redrawn, {} times books unbalanced, {} audits failed, {} without their answer",
            self.runs,
            self.kills,
            self.settled,
            self.refunded,
            self.stuck,
            self.lost_units,
            self.double_payments,
            self.redrawn_noise,
            self.unbalanced,
            self.failed_audits,
            self.unanswered
        );
        text
    }
}

/// The word that JSON has for it.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Step, Victim};

    fn row(outcome: Outcome, lost_units: u128) -> Row {
        let (victim, step, fault) = (Victim::Worker, Step::Rounds, Fault::KillTwice);
        Row {
            scene: Scene { run: 0, victim, step, fault, delay_ms: 0, down_ms: 0 },
            stage: Some("Claimed".to_owned()),
            job: 1,
            outcome,
            reason: None,
            lost_units,
            double_payments: 0,
            redrawn_noise: false,
            balanced: true,
            audited: None,
            answered: Some(true),
            recovery_ms: 5,
            commands: 1,
        }
    }

    #[test]
    fn sums_count_every_run_once_and_one_lost_unit_is_not_clean() {
        let report = Report::of(vec![row(Outcome::Settled, 0), row(Outcome::Refunded, 0)]);
        assert_eq!((report.runs, report.kills, report.settled, report.refunded, report.stuck), (2, 4, 1, 1, 0));
        assert!(report.is_clean());
        assert!(report.table().contains("kill-twice         worker   Claimed             2       1        1"));
        assert!(!Report::of(vec![row(Outcome::Settled, 1)]).is_clean());
        assert!(!Report::of(vec![row(Outcome::Stuck, 0)]).is_clean());
    }
}
