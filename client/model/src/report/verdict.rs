//! What a report says of the card's splits: what publishing goes by.

use super::{Extent, REPORT_FILE, Report, ReportError, SplitReport};
use crate::bench::{Bench, Obfuscate};
use encompute_leakage::Grade;
use encompute_protocol::{Graded, disclosure::REPORT_LIMIT_BYTES};
use serde::Deserialize;

/// What a report says of one split under one policy.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Verdict {
    /// The split.
    pub name: String,
    /// The policy.
    pub policy: String,
    /// Whether the card names it.
    pub on_card: bool,
    /// One letter.
    pub grade: Grade,
    /// Bits that a release tells at most.
    pub bits: f64,
    /// Whether it may be listed.
    pub listable: bool,
    /// Why, or why it is no better.
    pub reason: String,
}

/// What a report says of every split of the card under every policy.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Verdicts {
    /// Digest of what the report is of.
    pub digest: String,
    /// Split by split, policy by policy.
    pub splits: Vec<Verdict>,
    /// The report itself, as JSON: what is published.
    #[serde(skip)]
    pub report: Vec<u8>,
}

impl From<&SplitReport> for Verdict {
    fn from(split: &SplitReport) -> Self {
        Self {
            name: split.name.clone(),
            policy: split.policy.clone(),
            on_card: split.on_card,
            grade: split.grade,
            bits: split.bits,
            listable: split.listable,
            reason: split.reason.clone(),
        }
    }
}

impl Verdicts {
    /// From the report beside the model, if it is of this model, card and samples, and this suite's; measured otherwise,
    /// which takes up to a minute a split.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn of(
        bench: &Bench,
        obfuscate: &mut Obfuscate<'_>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Self, ReportError> {
        let extent = Extent::default();
        let digest = Report::digest_of(bench, &extent)?;
        if let Some(kept) = Self::kept(bench, &digest) {
            return Ok(kept);
        }
        progress("there is no report of this model, card and samples beside it: measuring what its splits give away");
        let report = Report::build(bench, &Extent { survey: false, ..extent }, obfuscate, progress)?;
        let splits = report.splits.iter().map(Verdict::from).collect();
        Ok(Self { digest, splits, report: serde_json::to_vec(&report).map_err(ReportError::Json)? })
    }

    fn kept(bench: &Bench, digest: &str) -> Option<Self> {
        let path = bench.folder().join(REPORT_FILE);
        let length = std::fs::metadata(&path).ok()?.len();
        let bytes = (length <= u64::from(REPORT_LIMIT_BYTES)).then(|| std::fs::read(&path).ok())??;
        let mut kept: Self = serde_json::from_slice(&bytes).ok()?;
        kept.splits.retain(|verdict| verdict.on_card);
        let wanted: usize = bench.card().splits.iter().map(|split| split.policies.len()).sum();
        let fits = kept.digest == digest && kept.splits.len() == wanted;
        kept.report = bytes;
        fits.then_some(kept)
    }

    /// The first that may not be listed; one of grade D may be where its creator says so.
    pub fn refused(&self, list_grade_d: bool) -> Option<&Verdict> {
        let consented = |verdict: &Verdict| verdict.grade != Grade::D || list_grade_d;
        self.splits.iter().find(|verdict| !(verdict.listable && consented(verdict)))
    }

    /// What the report says of a split under a policy, as a manifest has it; none where it says nothing of it.
    pub fn graded(&self, split: &str, policy: &str) -> Option<Graded> {
        let found = self.splits.iter().find(|verdict| verdict.name == split && verdict.policy == policy)?;
        Some(Graded { grade: as_published(found.grade), millibits: (found.bits * 1_000.0).ceil() as u32 })
    }
}

fn as_published(grade: Grade) -> encompute_protocol::Grade {
    match grade {
        Grade::A => encompute_protocol::Grade::A,
        Grade::B => encompute_protocol::Grade::B,
        Grade::C => encompute_protocol::Grade::C,
        Grade::D => encompute_protocol::Grade::D,
        Grade::F => encompute_protocol::Grade::F,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(name: &str, policy: &str, grade: Grade) -> Verdict {
        let (name, policy, reason) = (name.to_owned(), policy.to_owned(), String::new());
        Verdict { name, policy, on_card: true, grade, bits: 4.000_5, listable: grade != Grade::F, reason }
    }

    #[test]
    fn grades_are_told_split_by_split_and_f_is_refused() {
        let splits = vec![
            verdict("late", "balanced", Grade::D),
            verdict("late", "private", Grade::A),
            verdict("early", "balanced", Grade::F),
        ];
        let verdicts = Verdicts { digest: String::new(), splits, report: Vec::new() };
        let asked = [("late", "balanced"), ("late", "private"), ("early", "balanced"), ("early", "private")];
        let found = asked.map(|(split, policy)| verdicts.graded(split, policy));
        let graded = |grade| Some(Graded { grade, millibits: 4_001 });
        use encompute_protocol::Grade as Published;
        assert_eq!(found, [graded(Published::D), graded(Published::A), graded(Published::F), None]);
        let refused = |list_grade_d| verdicts.refused(list_grade_d).map(|verdict| verdict.name.as_str());
        assert_eq!([refused(true), refused(false)], [Some("early"), Some("late")]);
    }
}
