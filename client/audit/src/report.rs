//! What an audit says: checks with expected and actual, a verdict, whose word it rests on, and limits.

use crate::when::Judged;
use encompute_attest::{RootKind, TrustRoot};
use serde::Serialize;
use std::fmt::Display;

/// What a check found that wanted something which is not there.
pub const MISSING: &str = "missing";

/// What it means that a check has this outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It holds.
    Ok,
    /// What it needs is not there: the proof is incomplete, and nothing contradicts it.
    Missing,
    /// Somebody said what is not so.
    Contradiction,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckLine {
    /// Stable name.
    pub id: String,
    /// Whether it holds.
    pub pass: bool,
    /// What it should have been.
    pub expected: String,
    /// What it was.
    pub actual: String,
    /// Where the expected value comes from.
    pub source: String,
    /// What its outcome means.
    pub severity: Severity,
}

/// Whose signature ends the chain of every quote in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RootLine {
    /// Its name.
    pub name: String,
    /// True for a development root, whose quotes prove nothing about a machine.
    pub development: bool,
    /// Its fingerprint.
    pub fingerprint: String,
}

/// As of when a worker's evidence was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JudgedLine {
    /// The block in which the evidence counted.
    pub block: u32,
    /// The block's time by the chain's clock, as RFC 3339 writes it.
    pub time: String,
    /// Why this block.
    pub why: &'static str,
    /// When the collateral runs out; none where the quote does not hold.
    pub collateral_expires_at: Option<String>,
}

/// The whole report. It depends on what was read and on nothing else: two runs over the same give the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was audited.
    pub subject: String,
    /// `pass` or `fail`.
    pub verdict: &'static str,
    /// Whose word it rests on.
    pub trust_root: RootLine,
    /// As of when evidence was judged; none where no worker has claimed the job, or no time is known.
    pub judged: Option<JudgedLine>,
    /// Every check, in a fixed order.
    pub checks: Vec<CheckLine>,
    /// What this audit cannot tell.
    pub limits: Vec<String>,
}

impl Report {
    /// True when every check holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.pass)
    }
}

impl From<&TrustRoot> for RootLine {
    fn from(root: &TrustRoot) -> Self {
        let (name, development) = match root.kind() {
            RootKind::Intel => ("Intel SGX Root CA", false),
            RootKind::Development => ("development root: anybody can forge its quotes", true),
        };
        Self { name: name.into(), development, fingerprint: root.fingerprint().to_string() }
    }
}

impl From<Judged> for JudgedLine {
    fn from(judged: Judged) -> Self {
        Self {
            block: judged.counted.block.0,
            time: judged.time.to_string(),
            why: judged.counted.why.words(),
            collateral_expires_at: judged.collateral_expires_at.map(|expiry| expiry.to_string()),
        }
    }
}

/// What a development root means for everything that rests on it, said first.
pub(crate) fn simulated(root: &TrustRoot) -> Option<String> {
    (root.kind() == RootKind::Development)
        .then(|| "SIMULATED attestation: quotes end in a development root and prove nothing about a machine".to_owned())
}

/// Collects checks.
#[derive(Default)]
pub(crate) struct Checks(pub Vec<CheckLine>);

impl Checks {
    /// Two values must be equal.
    pub fn same(&mut self, id: &str, expected: impl Display, actual: impl Display, source: &str) {
        let (expected, actual) = (expected.to_string(), actual.to_string());
        self.holds(id, expected == actual, expected, actual, source);
    }

    /// A condition must hold.
    pub fn holds(&mut self, id: &str, pass: bool, expected: impl Display, actual: impl Display, source: &str) {
        let (expected, actual) = (expected.to_string(), actual.to_string());
        let severity = match pass {
            true => Severity::Ok,
            false if actual == MISSING => Severity::Missing,
            false => Severity::Contradiction,
        };
        self.0.push(CheckLine { id: id.into(), pass, expected, actual, source: source.into(), severity });
    }

    /// Something that has to be there is not.
    pub fn missing(&mut self, id: &str, expected: impl Display, source: &str) {
        self.holds(id, false, expected, MISSING, source);
    }

    pub fn into_report(
        self,
        subject: String,
        root: &TrustRoot,
        judged: Option<JudgedLine>,
        limits: Vec<String>,
    ) -> Report {
        let verdict = if self.0.iter().all(|check| check.pass) { "pass" } else { "fail" };
        Report { subject, verdict, trust_root: root.into(), judged, checks: self.0, limits }
    }
}
