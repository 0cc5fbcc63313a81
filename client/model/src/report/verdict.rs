//! What a report says of the card's splits: what publishing goes by.

use super::{Extent, REPORT_FILE, Report, ReportError, SplitReport};
use crate::bench::{Bench, Obfuscate};
use encompute_leakage::Grade;
use serde::Deserialize;

/// Largest report that is read.
const REPORT_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

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
        Ok(Self { digest, splits: report.splits.iter().map(Verdict::from).collect() })
    }

    fn kept(bench: &Bench, digest: &str) -> Option<Self> {
        let path = bench.folder().join(REPORT_FILE);
        let length = std::fs::metadata(&path).ok()?.len();
        let bytes = (length <= REPORT_LIMIT_BYTES).then(|| std::fs::read(&path).ok())??;
        let mut kept: Self = serde_json::from_slice(&bytes).ok()?;
        kept.splits.retain(|verdict| verdict.on_card);
        let wanted: usize = bench.card().splits.iter().map(|split| split.policies.len()).sum();
        (kept.digest == digest && kept.splits.len() == wanted).then_some(kept)
    }

    /// The first that may not be listed; one of grade D may be where its creator says so.
    pub fn refused(&self, list_grade_d: bool) -> Option<&Verdict> {
        let consented = |verdict: &Verdict| verdict.grade != Grade::D || list_grade_d;
        self.splits.iter().find(|verdict| !(verdict.listable && consented(verdict)))
    }

    /// The letters, for what a version says of its limits: `features-16 (balanced B, private A)`.
    pub fn words(&self) -> String {
        let mut words = String::new();
        let mut before = None;
        for Verdict { name, policy, grade, .. } in &self.splits {
            let begin = match before {
                Some(same) if same == name => ", ".to_owned(),
                Some(_) => format!("), {name} ("),
                None => format!("{name} ("),
            };
            words += &format!("{begin}{policy} {grade}");
            before = Some(name);
        }
        words + if before.is_some() { ")" } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(name: &str, policy: &str, grade: Grade) -> Verdict {
        let (name, policy, reason) = (name.to_owned(), policy.to_owned(), String::new());
        Verdict { name, policy, on_card: true, grade, bits: 4.0, listable: grade != Grade::F, reason }
    }

    #[test]
    fn letters_are_told_split_by_split() {
        let splits = vec![
            verdict("late", "balanced", Grade::D),
            verdict("late", "private", Grade::A),
            verdict("early", "balanced", Grade::F),
        ];
        let verdicts = Verdicts { digest: String::new(), splits };
        assert_eq!(verdicts.words(), "late (balanced D, private A), early (balanced F)");
        let refused = |list_grade_d| verdicts.refused(list_grade_d).map(|verdict| verdict.name.as_str());
        assert_eq!([refused(true), refused(false)], [Some("early"), Some("late")]);
    }
}
