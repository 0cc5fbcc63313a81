//! `encompute demo`: two real jobs through every process, and what everybody saw and earned.

use crate::{
    args::{Common, Identity, Leash},
    commands::{
        audit,
        dev::{Market, Up},
        job::{Choice, Submit, ending_json},
        market,
        web::{WEB_FILES, Web},
    },
    context::Context,
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain},
    output,
    preview::Wish,
    publish,
    rail::Rail,
};
use clap::Args;
use encompute_chain::Client;
use encompute_model::ModelCard;
use encompute_networks::Token;
use encompute_protocol::{
    Address, BlockNumber, JobId, Plancks,
    event::{Cause, Credited, Event},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// The user's account in the demo.
const USER: &str = "//Dave";

/// A sample of each model of the repository, in the samples' folder; the first [`SHOWN`] are run if none is named.
const SAMPLES: [(&str, &str); 5] = [
    ("digits", "digits/grey-28x28-7.png"),
    ("breast-cancer", "breast-cancer/patient-malignant.csv"),
    ("digits-conv", "digits/grey-28x28-7.png"),
    ("brain-regions", "brain-regions/patch-32x32-cerebellum.png"),
    ("diagnoses", "diagnoses/heart-attack.txt"),
];
const SHOWN: usize = 2;

/// Run two real jobs end to end on an embedded chain, and show what everybody saw and earned
#[derive(Args)]
#[command(
    after_help = "Examples:\n  encompute demo\n  encompute demo --json\n  encompute demo --model brain-regions\n  encompute demo --model brain-regions --split features-16-inside\n  encompute demo --model diagnoses\n  encompute demo --model digits --input my-seven.jpg\n  encompute demo --web"
)]
pub struct Demo {
    /// A file of your own instead of the model's sample
    #[arg(long, value_name = "FILE", requires = "model")]
    input: Option<PathBuf>,
    /// This model alone, instead of digits and breast-cancer
    #[arg(long)]
    model: Option<String>,
    /// Split, by name; the model's first if not given
    #[arg(long, requires = "model")]
    split: Option<String>,
    /// Release policy, by name; the split's default if not given
    #[arg(long)]
    policy: Option<String>,
    /// How often to run each job
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Folder of the models: one folder each with model.toml
    #[arg(long, default_value = "scripts/models", value_name = "DIR")]
    models: PathBuf,
    /// Folder of the samples
    #[arg(long, default_value = "tests/fixtures", value_name = "DIR")]
    samples: PathBuf,
    /// Serve the page instead of running jobs, and open it where there is a screen; until Ctrl-C
    #[arg(long, conflicts_with = "input")]
    web: bool,
    /// Folder of the page's files
    #[arg(long, default_value = WEB_FILES, value_name = "DIR", requires = "web")]
    page: PathBuf,
    /// Keep the demo's folder: chain, blobs, logs, keys
    #[arg(long)]
    keep: bool,
}

/// One job of the demo, done.
struct Done {
    input: PathBuf,
    value: Value,
    words: String,
    audit: encompute_audit::Report,
    job: JobId,
}

impl Demo {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        // A market takes a while to start: what can be said before is said before.
        for (_, input) in self.inputs()? {
            std::fs::metadata(&input).doing(Exit::NotFound, &format!("read {}", input.display()))?;
        }
        if let Some(model) = &self.model {
            let folder = publish::model_folder(&self.models, model)?;
            let card = ModelCard::read(&folder).doing(Exit::Failed, &format!("read {}", folder.display()))?;
            card.check_encoder(&folder).doing(Exit::NotFound, model)?;
        }
        let folder =
            tempfile::Builder::new().prefix("encompute-demo-").tempdir().doing(Exit::Failed, "make a folder")?;
        let home = common.home.clone().unwrap_or_else(|| folder.path().to_owned());
        let common = Common { home: Some(home.clone()), network: Some("local".into()), ..common.clone() };
        let up = Up {
            listen: ([127, 0, 0, 1], 0).into(),
            block_time: 6,
            models: self.models.clone(),
            also: self.model.iter().cloned().collect(),
            rollup: false,
            custody: false,
            in_memory: false,
            leash: Leash::default(),
        };
        let starting = Common { network: None, ..common.clone() };
        let mut market = tokio::select! {
            market = Market::start(&starting, &up) => market?,
            () = crate::context::stop_signal() => return Err(Failure::new(Exit::Failed, "stopped while starting")),
        };
        let outcome = tokio::select! {
            outcome = self.show(&common) => outcome,
            failure = market.keep_up(false) => Err(failure),
            () = crate::context::stop_signal() => Err(Failure::new(Exit::Failed, "stopped")),
        };
        market.stop().await;
        if self.keep || outcome.is_err() {
            let kept = folder.keep();
            if kept.exists() && home == kept {
                output::say(&format!("logs and state are kept in {}", kept.display()));
            }
        }
        outcome
    }

    fn inputs(&self) -> Outcome<Vec<(String, PathBuf)>> {
        let sample = |(model, file): &(&str, &str)| ((*model).to_owned(), self.samples.join(file));
        match (&self.model, &self.input) {
            (Some(model), Some(input)) => Ok(vec![(model.clone(), input.clone())]),
            (Some(model), None) => {
                let known = SAMPLES.iter().find(|(name, _)| name == model).map(|known| vec![sample(known)]);
                known.ok_or_else(|| {
                    Failure::new(Exit::Usage, format!("there is no sample for model {model:?}"))
                        .hint("name a file of your own: --input FILE")
                })
            }
            _ => Ok(SAMPLES[..SHOWN].iter().map(sample).collect()),
        }
    }

    async fn show(&self, common: &Common) -> Outcome {
        if !self.web {
            return self.jobs(common).await;
        }
        let web = Web { listen: ([127, 0, 0, 1], 0).into(), files: self.page.clone(), leash: Leash::default() };
        let ready = |url: &str| {
            open_in_browser(url);
            output::text(&format!("The page is at {url} — Ctrl-C ends the market behind it."))
        };
        web.serve(&Context::load(common)?, ready, std::future::pending()).await
    }

    async fn jobs(&self, common: &Common) -> Outcome {
        let context = Context::load(common)?;
        let client = context.chain().await?;
        let mut done = Vec::new();
        for (model, input) in self.inputs()? {
            for _ in 0..self.runs {
                done.push(self.one(&context, &client, &model, &input).await?);
            }
        }
        let head = client
            .head()
            .await
            .map_err(|error| Failure::of(exit_of_chain(error.class()), "read the chain", &error))?
            .number;
        let books = Books::read(&client, head).await?;
        if common.json {
            let jobs: Vec<Value> = done.iter().map(|done| done.value.clone()).collect();
            let most = done.iter().map(|done| books.transactions(done.job)).max().unwrap_or(0);
            return output::json(&json!({
                "jobs": jobs,
                "chain": { "blocks": head.0, "transactions_per_job": most },
                "request_to_head_ms_median": median(done.iter().filter_map(|done| done.value["steps_ms"]["request_to_head"].as_f64())),
            }));
        }
        done.iter().try_for_each(|done| closing(done, &books, context.token()))
    }

    async fn one(&self, context: &Context, client: &Client, model: &str, input: &std::path::Path) -> Outcome<Done> {
        output::say(&format!("\n── {model}: {}", input.display()));
        let submit = Submit {
            choice: Choice { model: model.to_owned(), split: self.split.clone(), policy: self.policy.clone() },
            input: input.to_owned(),
            identity: Identity { suri: Some(USER.into()), ..Identity::default() },
            tip: "0".into(),
            case: None,
            witnesses: None,
            fresh_quote: false,
            sponsor: None,
            draw: false,
            custody: false,
            dry_run: false,
            slice: None,
            look: Wish { preview: None, yes: true },
            no_accept: false,
            patience: 600,
        };
        let mut rail = Rail::new();
        let (ending, listing) = submit.run(context, &mut rail).await?;
        let ending = ending.ok_or_else(|| Failure::new(Exit::Failed, "nothing was run"))?;
        let report = audit::judge_job(context, client, ending.job).await?;
        let (index, policy) = market::choose(&listing, self.split.as_deref(), self.policy.as_deref())?;
        let split = listing.split(index).ok_or_else(|| Failure::new(Exit::Failed, "the split is gone"))?;
        let mut value = ending_json(&ending, &listing, &rail);
        value["split"] = split.name.as_str().into();
        value["mode"] = market::mode_name(split.mode).into();
        value["policy"] = policy.name.as_str().into();
        value["bytes"]["key"] = split.cost.key_bytes.into();
        value["input"] = input.display().to_string().into();
        value["audit"] = serde_json::to_value(&report).doing(Exit::Failed, "encode the audit")?;
        let words = ending.answer.as_ref().map(|answer| listing.prediction_words(&answer.scores)).unwrap_or_default();
        Ok(Done { input: input.to_owned(), value, words, audit: report, job: ending.job })
    }
}

/// What the events say of every job: who was credited what for, and in how many transactions.
struct Books {
    credits: BTreeMap<JobId, Vec<(Address, Cause, Plancks)>>,
    transactions: BTreeMap<JobId, BTreeSet<(BlockNumber, u32)>>,
}

impl Books {
    async fn read(client: &Client, head: BlockNumber) -> Outcome<Self> {
        let mut books = Self { credits: BTreeMap::new(), transactions: BTreeMap::new() };
        let blocks = client.events_in(BlockNumber(1)..=head).await;
        for block in blocks.map_err(|error| Failure::of(exit_of_chain(error.class()), "read the events", &error))? {
            for emitted in block.events {
                let Some(job) = emitted.event.job() else { continue };
                if let Event::Credited(Credited { account, amount, cause, .. }) = emitted.event {
                    books.credits.entry(job).or_default().push((account, cause, amount));
                }
                books.transactions.entry(job).or_default().insert((block.block.number, emitted.extrinsic.unwrap_or(0)));
            }
        }
        Ok(books)
    }

    fn transactions(&self, job: JobId) -> usize {
        self.transactions.get(&job).map_or(0, BTreeSet::len)
    }
}

fn closing(done: &Done, books: &Books, token: &Token) -> Outcome {
    let value = &done.value;
    let number = |value: &Value| value.as_f64().map(|number| format!("{number:.1}")).unwrap_or_default();
    let mut rows = vec![vec![
        "job".to_owned(),
        format!("{} ({} / {}, {})", done.job, text(&value["model"]), text(&value["split"]), text(&value["mode"])),
    ]];
    rows.push(vec!["input".into(), done.input.display().to_string()]);
    for (at, line) in done.words.lines().enumerate() {
        rows.push(vec![if at == 0 { "prediction".into() } else { String::new() }, line.to_owned()]);
    }
    let stages = value["stages"].as_array().cloned().unwrap_or_default();
    let stages: Vec<_> = stages.iter().map(|stage| format!("{} @{}", text(&stage["stage"]), stage["block"])).collect();
    rows.push(vec!["stages".into(), stages.join(" → ")]);
    let steps = value["steps_ms"].as_object().cloned().unwrap_or_default();
    let steps: Vec<_> = steps.iter().map(|(step, took)| format!("{step} {}", number(took))).collect();
    rows.push(vec!["ms".into(), steps.join(", ")]);
    rows.push(vec![
        "ciphertext".into(),
        format!(
            "{} bytes up, {} down, evaluation key {}",
            value["bytes"]["up"], value["bytes"]["down"], value["bytes"]["key"]
        ),
    ]);
    for (account, cause, amount) in books.credits.get(&done.job).into_iter().flatten() {
        rows.push(vec!["credited".into(), format!("{} to {account} ({cause:?})", token.show(*amount))]);
    }
    rows.push(vec!["transactions".into(), books.transactions(done.job).to_string()]);
    let failed = done.audit.checks.iter().filter(|check| !check.pass).count();
    let root = &done.audit.trust_root;
    let simulated = if root.development { " — DEVELOPMENT root: attestation is simulated" } else { "" };
    rows.push(vec![
        "audit".into(),
        format!("{} ({} checks, {failed} failed)", done.audit.verdict, done.audit.checks.len()),
    ]);
    rows.push(vec!["trust root".into(), format!("{}{simulated}", root.name)]);
    output::text(&format!("\n{}", output::table(&rows)))
}

/// Opens an address in the user's browser, where there is a screen to show it on.
fn open_in_browser(url: &str) {
    let shown =
        cfg!(target_os = "macos") || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if shown && std::process::Command::new(opener).arg(url).spawn().is_err() {
        output::say(&format!("there is no {opener} here: open {url} yourself"));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
