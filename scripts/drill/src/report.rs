//! What a drill prints: one row a run, their sums, a table.

use crate::{fault::Fault, judge::Outcome, plan::Scene};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// How a service ended that was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Drain {
    /// Its exit code; none if it had to be killed.
    pub code: Option<i32>,
    /// From SIGTERM to its end.
    pub ms: u64,
}

/// A service has ended so long after SIGTERM, whatever it holds; the system's own work on the exit comes on top.
const DRAINED_WITHIN_MS: u64 = 8_500;

impl Drain {
    /// True for a good end in time.
    pub fn is_good(self) -> bool {
        self.code == Some(0) && self.ms <= DRAINED_WITHIN_MS
    }
}

/// All drains of one kind of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drains {
    /// How many.
    pub drains: u32,
    /// That did not end well, or not in time.
    pub bad: u32,
    /// Half ended within this.
    pub p50_ms: u64,
    /// All did.
    pub max_ms: u64,
}

impl Drains {
    fn of(drains: &[Drain]) -> Self {
        let mut times: Vec<u64> = drains.iter().map(|drain| drain.ms).collect();
        times.sort_unstable();
        Self {
            drains: drains.len() as u32,
            bad: drains.iter().filter(|drain| !drain.is_good()).count() as u32,
            p50_ms: times.get(times.len() / 2).copied().unwrap_or(0),
            max_ms: times.last().copied().unwrap_or(0),
        }
    }
}

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
    /// How the victim ended that was asked to.
    pub drain: Option<Drain>,
    /// Which blob was spoilt, where it was there.
    pub blob: Option<&'static str>,
    /// Services that ended although nobody asked them to.
    pub fell: Vec<String>,
}

impl Row {
    /// What happened, in a word or two.
    pub fn failure(&self) -> String {
        let mut words = word(&self.scene.fault);
        if let Some(jump) = self.scene.jump_s {
            let (amount, unit) = if jump % 86_400 == 0 { (jump / 86_400, "d") } else { (jump / 3_600, "h") };
            // Writing to a String cannot fail.
            let _ = write!(words, " {amount:+}{unit}");
        }
        if let Some(blob) = self.blob.filter(|_| self.scene.fault == Fault::BlobTooLarge) {
            let _ = write!(words, " {blob}");
        }
        if self.scene.outlasts {
            words.push_str(if self.scene.jump_s.is_some() { ", stays" } else { ", long" });
        }
        words
    }

    /// Whose process or link.
    pub fn process(&self) -> String {
        let victim = word(&self.scene.victim);
        self.scene.called.map(|called| format!("{victim}>{}", word(&called))).unwrap_or(victim)
    }

    /// Services that ended and should not have. A chain that cannot write ends: it may say nothing that it cannot
    /// keep, and who watches over it starts it again.
    fn fell_wrongly(&self) -> usize {
        let fault = self.scene.fault;
        self.fell.iter().filter(|name| !(fault == Fault::DiskFull && name.as_str() == "chain")).count()
    }
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
    /// Services that ended although nobody asked them to, a chain with a full disk aside.
    pub fell: u32,
    /// From SIGTERM to the end, by service.
    pub drains: BTreeMap<String, Drains>,
    /// Faults that this machine does not allow, each with a sentence.
    pub left_out: Vec<(Fault, &'static str)>,
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
            fell: rows.iter().map(|row| row.fell_wrongly() as u32).sum(),
            drains: drains(&rows),
            left_out: Vec::new(),
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
            && self.fell == 0
            && self.drains.values().all(|drains| drains.bad == 0)
    }

    /// Failure × stage × process → outcome, money, time.
    pub fn table(&self) -> String {
        let mut groups: BTreeMap<(Fault, String, String, String), Vec<&Row>> = BTreeMap::new();
        for row in &self.rows {
            let stage = row.stage.clone().unwrap_or_else(|| "before the job".to_owned());
            groups.entry((row.scene.fault, row.failure(), row.process(), stage)).or_default().push(row);
        }
        let mut text = format!(
            "{:<26} {:<15} {:<16} {:>4} {:>7} {:>8} {:>5} {:>5} {:>6}  {:>8} {:>8}\n",
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
        for ((_, failure, process, stage), rows) in groups {
            let part = Self::of(rows.iter().map(|row| (*row).clone()).collect());
            let mut times: Vec<u64> = rows.iter().map(|row| row.recovery_ms).collect();
            times.sort_unstable();
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{failure:<26} {process:<15} {stage:<16} {:>4} {:>7} {:>8} {:>5} {:>5} {:>6}  {:>8} {:>8}",
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
             redrawn, {} times books unbalanced, {} audits failed, {} without their answer, {} services fell",
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
            self.unanswered,
            self.fell
        );
        for (service, drains) in &self.drains {
            let Drains { drains, bad, p50_ms, max_ms } = drains;
            let _ = writeln!(
                text,
                "SIGTERM to the end, {service}: {drains} times, p50 {p50_ms} ms, most {max_ms} ms, {bad} not well"
            );
        }
        for (fault, why) in &self.left_out {
            let _ = writeln!(text, "left out: {}: {why}", word(fault));
        }
        text
    }
}

fn drains(rows: &[Row]) -> BTreeMap<String, Drains> {
    let mut by_service: BTreeMap<String, Vec<Drain>> = BTreeMap::new();
    for row in rows {
        if let Some(drain) = row.drain {
            by_service.entry(word(&row.scene.victim)).or_default().push(drain);
        }
    }
    by_service.into_iter().map(|(service, drains)| (service, Drains::of(&drains))).collect()
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
        Row {
            scene: Scene::new(Victim::Worker, Step::Rounds, Fault::KillTwice),
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
            drain: None,
            blob: None,
            fell: Vec::new(),
        }
    }

    #[test]
    fn sums_count_every_run_once_and_one_lost_unit_is_not_clean() {
        let report = Report::of(vec![row(Outcome::Settled, 0), row(Outcome::Refunded, 0)]);
        assert_eq!((report.runs, report.kills, report.settled, report.refunded, report.stuck), (2, 4, 1, 1, 0));
        assert!(report.is_clean());
        let line = report.table().lines().find(|line| line.starts_with("kill-twice")).unwrap_or_default().to_owned();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["kill-twice", "worker", "Claimed", "2", "1", "1", "0", "0", "0", "5", "5"]);
        assert!(!Report::of(vec![row(Outcome::Settled, 1)]).is_clean());
        assert!(!Report::of(vec![row(Outcome::Stuck, 0)]).is_clean());
    }

    #[test]
    fn a_drain_that_ends_late_or_badly_is_not_clean_and_all_are_timed_by_service() {
        let drained = |code, ms| {
            let scene = Scene::new(Victim::Creator, Step::Sent, Fault::Drain);
            Row { scene, drain: Some(Drain { code, ms }), ..row(Outcome::Settled, 0) }
        };
        let report = Report::of(vec![drained(Some(0), 900), drained(Some(0), 30), drained(Some(0), 40)]);
        assert!(report.is_clean());
        assert_eq!(report.drains["creator"], Drains { drains: 3, bad: 0, p50_ms: 40, max_ms: 900 });
        assert!(report.table().contains("SIGTERM to the end, creator: 3 times, p50 40 ms, most 900 ms, 0 not well"));
        assert!(!Report::of(vec![drained(Some(0), 9_000)]).is_clean());
        assert!(!Report::of(vec![drained(Some(1), 10)]).is_clean());
        assert!(!Report::of(vec![drained(None, 30_000)]).is_clean());
    }

    #[test]
    fn a_service_that_fell_is_not_clean_but_a_chain_that_cannot_write() {
        let fallen = |fault, name: &str| {
            let scene = Scene::new(Victim::Chain, Step::Sent, fault);
            Report::of(vec![Row { scene, fell: vec![name.to_owned()], ..row(Outcome::Settled, 0) }])
        };
        assert!(fallen(Fault::DiskFull, "chain").is_clean());
        assert!(!fallen(Fault::DiskFull, "worker-1").is_clean());
        assert!(!fallen(Fault::Cut, "chain").is_clean());
    }

    #[test]
    fn a_row_is_named_by_what_happened_to_whom() {
        let named = |scene| {
            let row = Row { scene, ..row(Outcome::Settled, 0) };
            (row.failure(), row.process())
        };
        let cut =
            Scene { called: Some(Victim::Chain), outlasts: true, ..Scene::new(Victim::Client, Step::Sent, Fault::Cut) };
        assert_eq!(named(cut), ("cut, long".to_owned(), "client>chain".to_owned()));
        let jump = Scene { jump_s: Some(-7_200), ..Scene::new(Victim::Worker, Step::Sent, Fault::ClockJump) };
        assert_eq!(named(jump), ("clock-jump -2h".to_owned(), "worker".to_owned()));
    }
}
