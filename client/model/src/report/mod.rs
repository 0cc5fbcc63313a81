//! What each way to cut a model costs, answers and gives away: the report that creators publish by and users read.
//!
//! Every split of the card is measured under every policy, with all attacks of `encompute_leakage`. Every other node at
//! which the model could be cut is surveyed: on fewer samples, without the trained decoder, under noise that is
//! fitted to the same bits everywhere, so that depths compare.

mod cuts;
mod digest;
mod html;
mod measure;
mod plain;
mod plots;
mod policy;
mod slopes;
mod strip;
mod subject;
mod verdict;

pub use cuts::{Cut, CutState};
pub(crate) use measure::{features_of, fitted_clip, in_units_of, words};
pub use policy::{Listing, listing};
pub use strip::StripRow;
pub use verdict::{Verdict, Verdicts};

use crate::{
    bench::{Bench, BenchError, Obfuscate},
    onnx::ImportError,
    tail::TailError,
};
use encompute_leakage::{Assessment, Grade, SUITE, Seed, SubjectError};
use serde::Serialize;

/// Name of a report beside its model.
pub const REPORT_FILE: &str = "report.json";
/// Name of the same as a page.
pub const REPORT_PAGE: &str = "report.html";
/// Version of the report's fields.
pub const SCHEMA: u32 = 1;

/// Everything about a model's splits.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The model's name.
    pub model: String,
    /// What made the report.
    pub tool: String,
    /// Version of what is measured and how.
    pub suite: u32,
    /// What all randomness follows from.
    pub seed: Seed,
    /// Digest of model, card, samples and suite: a report with another one is of something else.
    pub digest: String,
    /// Where attackers' samples are from.
    pub population: String,
    /// Classes.
    pub classes: usize,
    /// Share of held-out samples that the float model answers rightly, with its 95 % interval.
    pub float: Share,
    /// One a split and policy of the card; then one a place that the card does not name.
    pub splits: Vec<SplitReport>,
    /// Nodes after which the model cannot be cut.
    pub refused: Vec<RefusedCut>,
}

/// A share of samples with its 95 % interval (Wilson's).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Share {
    /// The share.
    pub share: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Samples.
    pub samples: usize,
}

/// A node after which the model cannot be cut.
#[derive(Clone, Debug, Serialize)]
pub struct RefusedCut {
    /// The node.
    pub after: String,
    /// Why.
    pub reason: String,
}

/// One way to cut and release.
#[derive(Clone, Debug, Serialize)]
pub struct SplitReport {
    /// The split's name; the node's, where the card does not name it.
    pub name: String,
    /// The release policy; `fitted` where the card does not name the cut.
    pub policy: String,
    /// The node after which it is cut.
    pub after: String,
    /// Whether the card names it.
    pub on_card: bool,
    /// How many linear layers lie before the cut.
    pub depth: usize,
    /// How the head runs.
    pub mode: &'static str,
    /// Estimated milliseconds of the worker, on the reference machine.
    pub ms: f64,
    /// Bytes to the worker, blinding key included.
    pub bytes_up: u64,
    /// Bytes from the worker.
    pub bytes_down: u64,
    /// Bytes of evaluation key, once a case.
    pub key_bytes: u64,
    /// Bootstraps.
    pub pbs: u64,
    /// What is priced.
    pub cost_units: u32,
    /// Numbers that are released.
    pub features: usize,
    /// Share of right answers of the integer head and the tail, unreleased.
    pub accuracy: f64,
    /// Its interval.
    pub accuracy_interval: [f64; 2],
    /// The same, released.
    pub released_accuracy: f64,
    /// Its interval.
    pub released_interval: [f64; 2],
    /// Structural similarity of the worst attack above the floor of the answer; null where inputs are no pictures.
    pub ssim_above_floor: Option<f64>,
    /// Explained variance of the worst attack above that floor; null where inputs are pictures.
    pub r2_above_floor: Option<f64>,
    /// Of texts: share of inputs that the best guess among other texts is, word piece for word piece.
    pub exact_match: Option<f64>,
    /// Bits that a release tells at most, for the population.
    pub bits: f64,
    /// Bits that it tells of held-out inputs in an archive of all samples.
    pub posterior_bits: f64,
    /// Share of inputs that are named among 10,000.
    pub reid_10k: f64,
    /// Whether that is the share among all samples there were, fewer than 10,000.
    pub reid_at_most: bool,
    /// One letter.
    pub grade: Grade,
    /// Whether it may be listed.
    pub listable: bool,
    /// Why, or why it is no better.
    pub reason: String,
    /// Pictures of held-out inputs and of what attackers made of them; of splits of the card, where inputs are pictures.
    pub strip: Vec<StripRow>,
    /// Everything that was measured.
    pub leakage: Assessment,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The bench.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// Too few samples, or none that can be assessed.
    #[error("measure what `{split}` gives away")]
    Subject {
        /// The split.
        split: String,
        /// Why not.
        #[source]
        source: SubjectError,
    },
    /// A file that the report is of could not be read again.
    #[error("digest {path}")]
    Digest {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The page's pictures could not be written.
    #[error("draw a picture of the report")]
    Picture(#[source] image::ImageError),
    /// The report could not be written as JSON.
    #[error("write the report as JSON")]
    Json(#[source] serde_json::Error),
}

impl From<ImportError> for ReportError {
    fn from(error: ImportError) -> Self {
        BenchError::from(error).into()
    }
}

impl From<TailError> for ReportError {
    fn from(error: TailError) -> Self {
        BenchError::from(error).into()
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// What all randomness follows from.
    pub seed: Seed,
    /// Epochs of the decoder at most.
    pub epochs: usize,
    /// Whether cuts are surveyed that the card does not name.
    pub survey: bool,
}

impl Default for Extent {
    fn default() -> Self {
        Self { seed: Seed(1), epochs: 30, survey: true }
    }
}

impl Report {
    /// Measures every split of the card under every policy, and surveys the other cuts. `obfuscate` is the release that
    /// users will run; `progress` hears what is done next.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn build(
        bench: &Bench,
        extent: &Extent,
        obfuscate: &mut Obfuscate<'_>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Self, ReportError> {
        let measurer = measure::Measurer::new(bench, extent)?;
        let mut splits = measurer.card(obfuscate, progress)?;
        let mut refused = Vec::new();
        if extent.survey {
            measurer.survey(&mut splits, &mut refused, progress)?;
        }
        Ok(Self {
            schema: SCHEMA,
            model: bench.card().name.as_str().to_owned(),
            tool: concat!("encompute ", env!("CARGO_PKG_VERSION")).to_owned(),
            suite: SUITE,
            seed: extent.seed,
            digest: Self::digest_of(bench, extent)?,
            population: measurer.population(),
            classes: bench.card().labels.len(),
            float: measurer.float(),
            splits,
            refused,
        })
    }

    /// Digest of everything that a report of this model would be of.
    ///
    /// # Errors
    /// [`ReportError::Digest`].
    pub fn digest_of(bench: &Bench, extent: &Extent) -> Result<String, ReportError> {
        digest::digest(bench, extent)
    }

    /// One page that needs nothing else: tables, plots and pictures.
    pub fn html(&self) -> String {
        html::page(self)
    }
}
