//! A version's report as its creator published it: what `encompute model split-report` writes, in the shape that others
//! read it in.

use encompute_protocol::disclosure::REPORT_LIMIT_BYTES;
use serde::{Deserialize, Serialize};

/// The fields that are known.
const SCHEMA: u32 = 1;
/// Most releases of a report: those on sale, and the places that its creator surveyed.
const SPLITS_LIMIT: usize = 1_024;
/// Most rows of pictures of one of them.
const ROWS_LIMIT: usize = 16;
/// Longest name, in bytes.
const NAME_LIMIT_BYTES: usize = 256;
/// Longest sentence, in bytes.
const WORDS_LIMIT_BYTES: usize = 2_000;

/// The parts of a report that are shown and checked. What is a stranger's is read into this shape, and nothing else of
/// it is handed on.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct PublishedReport {
    schema: u32,
    /// Where attackers' samples are from.
    pub population: String,
    /// The float model's right answers.
    pub float: PublishedShare,
    /// One for each release that was measured.
    pub splits: Vec<PublishedSplit>,
}

/// A share of samples.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct PublishedShare {
    /// The share, of 1.
    pub share: f64,
    /// Samples.
    pub samples: u32,
}

/// One way to cut and release.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct PublishedSplit {
    /// The split.
    pub name: String,
    /// The release policy.
    pub policy: String,
    /// Whether it was on the card, and so on sale.
    pub on_card: bool,
    /// Linear layers before the cut.
    pub depth: u32,
    /// Estimated milliseconds of the worker.
    pub ms: f64,
    /// Bytes to the worker.
    pub bytes_up: u64,
    /// Bytes from the worker.
    pub bytes_down: u64,
    /// Right answers, released; of 1.
    pub released_accuracy: f64,
    /// Bits that a release tells at most.
    pub bits: f64,
    /// Share of inputs that are named among 10,000.
    pub reid_10k: f64,
    /// Whether that is the share among fewer.
    pub reid_at_most: bool,
    /// One letter.
    pub grade: String,
    /// Why it is no better.
    pub reason: String,
    /// Held-out pictures, and what attackers made of them.
    #[serde(default)]
    pub strip: Vec<PublishedRow>,
    /// What the strongest attack has.
    pub leakage: PublishedLeakage,
}

/// A row of pictures: a PNG in base64.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct PublishedRow {
    /// What it shows.
    pub name: String,
    /// The PNG.
    pub png: String,
}

/// What the strongest attack has.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct PublishedLeakage {
    /// Its likeness to the input, less what the answer alone gives.
    pub above_floor: f64,
}

/// Why bytes are no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishedReportError {
    /// Longer than any report; nothing was read.
    #[error("the report has {found} bytes, at most {REPORT_LIMIT_BYTES} are allowed")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// Not JSON, or without a field that every report has.
    #[error("the report is none")]
    Json(#[source] serde_json::Error),
    /// Fields of another version.
    #[error("the report's schema is {found}, only {SCHEMA} is known")]
    Schema {
        /// Schema found.
        found: u32,
    },
    /// More of something than a report may have.
    #[error("the report has {found} {what}, at most {limit} are allowed")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// Found.
        found: usize,
        /// Allowed.
        limit: usize,
    },
}

impl PublishedReport {
    /// The report in `bytes`, all of them.
    ///
    /// # Errors
    /// [`PublishedReportError`]; the limit is checked before anything is read.
    pub fn from_json(bytes: &[u8]) -> Result<Self, PublishedReportError> {
        if bytes.len() > REPORT_LIMIT_BYTES as usize {
            return Err(PublishedReportError::TooLong { found: bytes.len() });
        }
        let report: Self = serde_json::from_slice(bytes).map_err(PublishedReportError::Json)?;
        if report.schema != SCHEMA {
            return Err(PublishedReportError::Schema { found: report.schema });
        }
        report.check()?;
        Ok(report)
    }

    fn check(&self) -> Result<(), PublishedReportError> {
        let within = |what, found, limit| match found > limit {
            true => Err(PublishedReportError::TooMuch { what, found, limit }),
            false => Ok(()),
        };
        within("splits", self.splits.len(), SPLITS_LIMIT)?;
        within("bytes of its population's description", self.population.len(), WORDS_LIMIT_BYTES)?;
        for split in &self.splits {
            within("bytes of a name", split.name.len().max(split.policy.len()), NAME_LIMIT_BYTES)?;
            within("bytes of a letter", split.grade.len(), 1)?;
            within("bytes of a reason", split.reason.len(), WORDS_LIMIT_BYTES)?;
            within("rows of pictures", split.strip.len(), ROWS_LIMIT)?;
            for row in &split.strip {
                within("bytes of a name", row.name.len(), NAME_LIMIT_BYTES)?;
            }
        }
        Ok(())
    }

    /// What it says of a split under a policy that were on sale.
    pub fn of(&self, split: &str, policy: &str) -> Option<&PublishedSplit> {
        self.splits.iter().find(|found| found.on_card && found.name == split && found.policy == policy)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    const REPORT: &[u8] = include_bytes!("../../../scripts/models/diagnoses/report.json");

    fn altered(alter: impl FnOnce(&mut serde_json::Value)) -> PublishedReportError {
        let mut value = serde_json::from_slice(REPORT).unwrap();
        alter(&mut value);
        PublishedReport::from_json(value.to_string().as_bytes()).unwrap_err()
    }

    #[test]
    fn a_report_beside_a_model_is_read_and_a_release_is_found_by_its_names() {
        let report = PublishedReport::from_json(REPORT).unwrap();
        assert_eq!(report.of("features-8", "balanced").unwrap().grade, "C");
        assert_eq!((report.of("features-8", "nobody's"), report.of("head.0", "balanced")), (None, None));
    }

    #[test]
    fn every_defect_is_refused_by_the_check_for_it() {
        use PublishedReportError::*;
        let over = vec![b' '; REPORT_LIMIT_BYTES as usize + 1];
        assert!(matches!(PublishedReport::from_json(&over), Err(TooLong { .. })));
        let trailing = [REPORT, b"{}"].concat();
        assert!(matches!(PublishedReport::from_json(&trailing), Err(Json(_))));
        assert!(matches!(PublishedReport::from_json(b""), Err(Json(_))));
        assert!(matches!(altered(|report| report["schema"] = 2.into()), Schema { found: 2 }));
        assert!(matches!(altered(|report| drop(report.as_object_mut().unwrap().remove("schema"))), Json(_)));
        assert!(matches!(altered(|report| report["splits"][0]["bits"] = serde_json::Value::Null), Json(_)));
        assert!(matches!(altered(|report| report["splits"][0]["depth"] = (-1).into()), Json(_)));
        let too_much = |error: PublishedReportError| match error {
            TooMuch { what, .. } => what,
            other => panic!("{other}"),
        };
        let long = "x".repeat(WORDS_LIMIT_BYTES + 1);
        let first = |field: &'static str, value: serde_json::Value| {
            too_much(altered(move |report| report["splits"][0][field] = value))
        };
        assert_eq!(first("reason", long.as_str().into()), "bytes of a reason");
        assert_eq!(first("name", long.as_str().into()), "bytes of a name");
        assert_eq!(first("grade", "AA".into()), "bytes of a letter");
        let row = serde_json::json!({ "name": "inputs", "png": "" });
        assert_eq!(first("strip", vec![row; ROWS_LIMIT + 1].into()), "rows of pictures");
        let splits = |report: &mut serde_json::Value| {
            let one = report["splits"][0].clone();
            report["splits"] = vec![one; SPLITS_LIMIT + 1].into();
        };
        assert_eq!(too_much(altered(splits)), "splits");
    }
}
