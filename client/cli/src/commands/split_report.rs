//! `encompute model split-report`: what every way to cut a model costs, answers and gives away.

use crate::{
    args::Common,
    context::Context,
    failure::{Doing, Exit, Failure, Outcome},
    output, publish,
};
use encompute_leakage::Seed;
use encompute_model::{
    Bench, Report, SplitReport,
    report::{Extent, REPORT_FILE, REPORT_PAGE},
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

/// What to report on.
#[derive(clap::Args)]
pub struct SplitReportOf {
    /// A model's name in the models folder, or a folder with model.toml
    model: String,
    /// Also write one page with tables, plots and pictures; it must not exist yet
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write report.json and report.html beside the model, in the place of those that are there: publishing takes the
    /// report from there as long as model, card and samples stay as they are
    #[arg(long)]
    write: bool,
    /// Compare with report.json beside the model: the same seed on any machine gives the same bytes. Ends with 5 if not
    #[arg(long, conflicts_with = "write")]
    check: bool,
    /// The card's splits alone
    #[arg(long)]
    card_only: bool,
    /// What all randomness follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder of the models
    #[arg(long, default_value = "scripts/models", value_name = "DIR")]
    models: PathBuf,
}

impl SplitReportOf {
    /// Measures, prints, and writes what was asked for once everything is known.
    pub async fn run(self, common: &Common) -> Outcome {
        let folder = publish::model_folder(&self.models, &self.model)?;
        if let Some(page) = &self.html {
            output::is_free(page)?;
            output::has_folder(page)?;
        }
        let kept = if self.check { Some(kept(&folder.join(REPORT_FILE))?) } else { None };
        let extent = Extent { seed: Seed(self.seed), survey: !self.card_only, ..Extent::default() };
        let (of, model) = (folder.clone(), self.model.clone());
        // Minutes of arithmetic: on a thread of its own.
        let report = tokio::task::spawn_blocking(move || measured(&of, &model, &extent)).await;
        let report = report.doing(Exit::Failed, "measure the splits")??;
        output::say(&format!(
            "{}, suite {}, seed {}; digest of model, card and samples {}",
            report.tool, report.suite, report.seed.0, report.digest
        ));
        let mut value = serde_json::to_value(&report).doing(Exit::Failed, "encode JSON")?;
        let text = serde_json::to_string(&value).doing(Exit::Failed, "encode JSON")? + "\n";
        if let Some(kept) = kept {
            same(&self.model, &kept, &text)?;
            output::say(&format!("{} is what was measured, to the last digit", folder.join(REPORT_FILE).display()));
        }
        if self.write {
            output::file(&folder.join(REPORT_FILE), text.as_bytes())?;
            output::file(&folder.join(REPORT_PAGE), report.html().as_bytes())?;
        }
        if let Some(path) = &self.html {
            output::file(path, report.html().as_bytes())?;
        }
        let prices = prices(&report, common);
        match common.json {
            true => {
                add_prices(&mut value, &prices);
                output::json(&value)
            }
            false => output::text(&words(&report, &prices)),
        }
    }
}

fn measured(folder: &Path, model: &str, extent: &Extent) -> Outcome<Report> {
    let doing = format!("report on {model}");
    let bench = Bench::open(folder).doing(Exit::Failed, &doing)?;
    let mut clock = Clock { of: String::new(), began: Instant::now() };
    let mut progress = |step: &str| {
        clock.step(step.split(':').next().unwrap_or_default());
        output::say(&format!("  {step} …"));
    };
    let report = Report::build(&bench, extent, &mut publish::measuring(), &mut progress).doing(Exit::Failed, &doing);
    clock.step("");
    report
}

/// Says how long each split under each policy took.
struct Clock {
    of: String,
    began: Instant,
}

impl Clock {
    fn step(&mut self, of: &str) {
        if self.of == of {
            return;
        }
        if !self.of.is_empty() {
            output::say(&format!("  {} took {:.1} s", self.of, self.began.elapsed().as_secs_f64()));
        }
        (self.of, self.began) = (of.to_owned(), Instant::now());
    }
}

/// The report beside a model.
fn kept(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::of(Exit::NotFound, &format!("read {}", path.display()), &error)
            .hint("make one: encompute model split-report MODEL --write")
    })
}

/// Whether two reports are one, byte by byte; the failure names the first split that is another.
fn same(model: &str, kept: &str, measured: &str) -> Outcome {
    if kept == measured {
        return Ok(());
    }
    let splits = |text: &str| -> Vec<Value> {
        let report: Value = serde_json::from_str(text).unwrap_or_default();
        report["splits"].as_array().cloned().unwrap_or_default()
    };
    let (kept, measured) = (splits(kept), splits(measured));
    let other = measured.iter().enumerate().find(|(at, split)| kept.get(*at) != Some(*split));
    let name = |field: &str| other.and_then(|(_, split)| split[field].as_str()).unwrap_or_default().to_owned();
    let place = match other {
        Some(_) => format!("split {} under policy {} is another", name("name"), name("policy")),
        None => "what stands around the splits is another".to_owned(),
    };
    Err(Failure::new(Exit::Verification, format!("the report beside {model} is not what was measured: {place}"))
        .hint("if model, card or samples have changed: encompute model split-report MODEL --write"))
}

/// What a head's run costs on the network in use, split by split; none where no network is configured.
fn prices(report: &Report, common: &Common) -> Vec<Option<String>> {
    let context = Context::load(common).ok();
    let price = |split: &SplitReport| {
        let network = context.as_ref()?.network();
        let params = &network.deployment.params;
        let units = params.head_fee_per_unit.checked_mul(split.cost_units.into())?;
        Some(network.token.show(params.head_fee_base.checked_add(units)?))
    };
    report.splits.iter().map(price).collect()
}

fn add_prices(report: &mut Value, prices: &[Option<String>]) {
    let splits = report.get_mut("splits").and_then(Value::as_array_mut);
    for (split, price) in splits.into_iter().flatten().zip(prices) {
        split["head_fee"] = price.clone().into();
    }
}

fn words(report: &Report, prices: &[Option<String>]) -> String {
    let head = [
        "split",
        "policy",
        "grade",
        "mode",
        "ms",
        "KB up",
        "down",
        "PBS",
        "head fee",
        "right",
        "released",
        "above floor",
        "bits",
        "named of 10^4",
        "may be listed",
    ];
    let mut rows = vec![head.map(String::from).to_vec()];
    for (split, price) in report.splits.iter().zip(prices) {
        let at_most = if split.reid_at_most { "<=" } else { "" };
        rows.push(vec![
            split.name.clone(),
            split.policy.clone(),
            split.grade.to_string(),
            split.mode.to_owned(),
            format!("{:.1}", split.ms),
            format!("{:.0}", split.bytes_up as f64 / 1e3),
            format!("{:.0}", split.bytes_down as f64 / 1e3),
            split.pbs.to_string(),
            price.clone().unwrap_or_else(|| format!("{} units", split.cost_units)),
            format!("{:.2} %", split.accuracy * 100.0),
            format!("{:.2} %", split.released_accuracy * 100.0),
            format!("{:.3}", split.leakage.above_floor),
            format!("{:.1}", split.bits),
            format!("{at_most}{:.1} %", split.reid_10k * 100.0),
            format!("{}: {}", if split.listable { "yes" } else { "no" }, split.reason),
        ]);
    }
    let mut text = format!(
        "{}: float {:.2} % of {} held out; attackers learnt from {}\n{}",
        report.model,
        report.float.share * 100.0,
        report.float.samples,
        report.population,
        output::table(&rows)
    );
    for cut in &report.refused {
        text += &format!("\nnot after {}: {}", cut.after, cut.reason);
    }
    text
}
