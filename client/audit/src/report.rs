//! What an audit says: checks with expected and actual, a verdict, whose word it rests on, and limits.

use encompute_attest::{RootKind, TrustRoot};
use serde::Serialize;
use std::fmt::Display;

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

/// The whole report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `pass` or `fail`.
    pub verdict: &'static str,
    /// Whose word it rests on.
    pub trust_root: RootLine,
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

/// Collects checks.
#[derive(Default)]
pub(crate) struct Checks(pub Vec<CheckLine>);

impl Checks {
    /// Two values must be equal.
    pub fn same(&mut self, id: &str, expected: impl Display, actual: impl Display, source: &str) {
        let (expected, actual) = (expected.to_string(), actual.to_string());
        self.0.push(CheckLine { id: id.into(), pass: expected == actual, expected, actual, source: source.into() });
    }

    /// A condition must hold.
    pub fn holds(&mut self, id: &str, pass: bool, expected: impl Display, actual: impl Display, source: &str) {
        let (expected, actual) = (expected.to_string(), actual.to_string());
        self.0.push(CheckLine { id: id.into(), pass, expected, actual, source: source.into() });
    }

    /// Something that has to be there is not.
    pub fn missing(&mut self, id: &str, expected: impl Display, source: &str) {
        self.holds(id, false, expected, "missing", source);
    }

    pub fn into_report(self, root: &TrustRoot, limits: Vec<String>) -> Report {
        let verdict = if self.0.iter().all(|check| check.pass) { "pass" } else { "fail" };
        Report { verdict, trust_root: root.into(), checks: self.0, limits }
    }
}
