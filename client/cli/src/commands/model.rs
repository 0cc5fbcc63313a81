//! `encompute model`: what is on sale, and a creator's bench.

use super::{
    bring::{Calibrate, Import},
    explain::Explain,
    features::Features,
    rate,
    split_report::SplitReportOf,
    versions::{Change, Published, status_name},
};
use crate::{
    args::{Common, Identity},
    commands::market::{self, Listing},
    context::{Context, under},
    failure::{Exit, Failure, Outcome},
    output,
    publish::{self, Publication},
};
use clap::{Args, Subcommand};
use encompute_protocol::{Ratings, SplitIndex, SplitManifest, VersionManifest, Witnesses, call::ReadSplit};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Models on sale, and a creator's bench
#[derive(Subcommand)]
pub enum Model {
    /// What is on sale
    #[command(after_help = "Examples:\n  encompute model list\n  encompute model list --json")]
    List,
    /// Everything a version pins: splits, costs, policies, accuracy, limits
    #[command(after_help = "Examples:\n  encompute model show digits\n  encompute model show 1 --json")]
    Show {
        /// Model, by name or id
        model: String,
    },
    /// A folder that can be published, from an ONNX file and samples
    #[command(
        after_help = "Examples:\n  encompute model import wine.onnx --into wine --samples wine.csv --label-column cultivar --task \"Tells a wine's grower by its chemistry.\" --limits \"Knows three growers of one region.\"\n  encompute model import letters.onnx --into letters --samples letters/train --held-out letters/test --ink-centred 20 --task \"Reads a letter.\" --limits \"Latin capitals only.\"\n  encompute model import net.safetensors --layers net.toml --into net --samples net/train --task \"Tells cats from dogs.\" --limits \"Knows no other animal.\""
    )]
    Import(Import),
    /// Fits clip norms and noise of a card's splits to its samples
    #[command(
        after_help = "Examples:\n  encompute model calibrate wine\n  encompute model calibrate digits --dry-run --json"
    )]
    Calibrate(Calibrate),
    /// Quantise, compile, seal, upload and list a model
    #[command(
        after_help = "Examples:\n  encompute model publish scripts/models/digits --suri //Charlie --creator-url http://127.0.0.1:8700 --dry-run\n  encompute model publish scripts/models/digits --suri //Charlie --creator-url http://127.0.0.1:8700"
    )]
    Publish(Publish),
    /// Accuracy over the whole held-out set: float, quantised, released, and under encryption
    #[command(
        visible_alias = "test",
        after_help = "Examples:\n  encompute model eval digits --json\n  encompute model eval breast-cancer --policy private\n  encompute model eval brain-regions --encrypted 500\n  encompute model eval brain-regions --split features-16-inside"
    )]
    Eval(Eval),
    /// A model's encrypted head as a plan: rounds, proofs and costs, and what the user's side computes between
    #[command(
        after_help = "Examples:\n  encompute model explain digits\n  encompute model explain digits --split features-16 --json"
    )]
    Explain(Explain),
    /// What every way to cut a model costs, answers and gives away: attacks, bounds, a grade
    #[command(
        after_help = "Examples:\n  encompute model split-report digits\n  encompute model split-report breast-cancer --json\n  encompute model split-report digits --html digits.html\n  encompute model split-report digits --write\n  encompute model split-report digits --check"
    )]
    SplitReport(SplitReportOf),
    /// Inputs, features and releases of samples as one file for numpy: for attacks of your own
    #[command(
        after_help = "Examples:\n  encompute model features digits --out digits.npz\n  encompute model features breast-cancer --policy private --out private.npz\n  encompute model features digits --inputs tests/fixtures/digits/grey-28x28-7.png --out seven.npz"
    )]
    Features(Features),
    /// Takes a version off sale; jobs that run end as they would
    #[command(
        after_help = "Examples:\n  encompute model deprecate digits --suri //Charlie\n  encompute model deprecate 3 --suri //Charlie --dry-run"
    )]
    Deprecate(Published),
    /// Withdraws a version for safety: jobs whose head is not committed get everything back
    #[command(
        after_help = "Examples:\n  encompute model revoke 3 --suri //Charlie\n  encompute model revoke digits --wallet creator --json"
    )]
    Revoke(Published),
}

/// What to publish.
#[derive(Args)]
pub struct Publish {
    /// Folder with model.toml and what it names
    folder: PathBuf,
    /// Who signs
    #[command(flatten)]
    identity: Identity,
    /// Where this creator's service will be reached by workers
    #[arg(long, value_name = "URL")]
    creator_url: String,
    /// Folder that keeps weights, tail and keys for `creator serve` [default: HOME/creator]
    #[arg(long, value_name = "DIR")]
    vault: Option<PathBuf>,
    /// The model's bond, in the network's token
    #[arg(long, default_value = "100", value_name = "AMOUNT")]
    bond: String,
    /// List splits of grade D, too: whoever holds an archive with an input in it finds it more often than not
    #[arg(long)]
    list_grade_d: bool,
    /// Publish the best linear attack on each release, so that buyers see on their own input what it comes to before they
    /// send anything. Whoever has it knows what the linear part of the head spans, up to its noise
    #[arg(long)]
    publish_attack: bool,
    /// Of every job, have three workers on machines of their own run the head again, at the user's cost; so many of them, 2
    /// or 3, must find what the worker committed before anything is released. Jobs in sessions are then not to be had
    #[arg(long, value_name = "N")]
    witnesses: Option<Witnesses>,
    /// Show version hash, cost and fees; send nothing
    #[arg(long)]
    dry_run: bool,
}

/// What to evaluate.
#[derive(Args)]
pub struct Eval {
    /// A model's name in the models folder, or a folder with model.toml
    model: String,
    /// Split, by name; the model's first if not given
    #[arg(long)]
    split: Option<String>,
    /// Release policy, by name; the default if not given
    #[arg(long)]
    policy: Option<String>,
    /// Run the first N samples under real encryption, too, a fresh key each, and compare every number with the
    /// program in clear; exit code 5 if one differs
    #[arg(long, value_name = "N")]
    encrypted: Option<usize>,
    /// Folder of the models
    #[arg(long, default_value = "scripts/models", value_name = "DIR")]
    models: PathBuf,
}

impl Model {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        match self {
            Self::List => list(&Context::load(common)?, common).await,
            Self::Show { model } => show(&Context::load(common)?, &model, common).await,
            Self::Publish(publish) => publish.run(&Context::load(common)?, common).await,
            Self::Import(import) => import.run(common.json),
            Self::Calibrate(calibrate) => calibrate.run(common.json),
            Self::Explain(explain) => explain.run(common.json),
            Self::SplitReport(report) => report.run(common).await,
            Self::Features(features) => features.run(common.json),
            Self::Deprecate(version) => version.run(Change::Deprecate, &Context::load(common)?, common).await,
            Self::Revoke(version) => version.run(Change::Revoke, &Context::load(common)?, common).await,
            Self::Eval(eval) => {
                output::say(&format!("measuring {} on its held-out samples …", eval.model));
                let figures = publish::evaluate(
                    &eval.models,
                    &eval.model,
                    (eval.split.as_deref(), eval.policy.as_deref()),
                    eval.encrypted,
                )?;
                match common.json {
                    true => output::json(&figures),
                    false => output::text(&figures.words()),
                }?;
                match figures.differs() {
                    true => Err(Failure::new(
                        Exit::Verification,
                        "the encrypted head gave other numbers than the clear one",
                    )),
                    false => Ok(()),
                }
            }
        }
    }
}

async fn list(context: &Context, common: &Common) -> Outcome {
    let client = context.chain().await?;
    let listings = market::all(&client, &context.gateway()?).await?;
    let mut rated = Vec::with_capacity(listings.len());
    for listing in &listings {
        rated.push(rate::ratings(&client, listing.version).await?);
    }
    if common.json {
        let models = listings.iter().zip(&rated).map(|(listing, ratings)| listing_json(listing, ratings));
        let models: Vec<Value> = models.collect();
        return output::json(&json!({ "models": models }));
    }
    if listings.is_empty() {
        output::say("nothing is on sale; publish a model: encompute model publish --help");
        return Ok(());
    }
    let mut rows = vec![["version", "model", "status", "rated", "splits", "task"].map(String::from).to_vec()];
    rows.extend(listings.iter().zip(&rated).map(|(listing, ratings)| {
        let splits: Vec<_> =
            (0..).map(SplitIndex).zip(&listing.manifest.splits).map(|at| split_words(&listing.manifest, at)).collect();
        vec![
            listing.version.to_string(),
            listing.manifest.name.to_string(),
            status_name(listing.status).into(),
            rate::ratings_words(ratings),
            splits.join(", "),
            listing.manifest.task.to_string(),
        ]
    }));
    output::text(&output::table(&rows))
}

/// A split's name, how it runs, and the letter of its default release where there is one.
fn split_words(manifest: &VersionManifest, (index, split): (SplitIndex, &SplitManifest)) -> String {
    let judged = split.policies.first().and_then(|policy| market::judged(manifest, index, policy));
    let grade = judged.map(|judged| format!(", {}", judged.grade)).unwrap_or_default();
    format!("{} ({}{grade})", split.name, market::mode_name(split.mode))
}

async fn show(context: &Context, model: &str, common: &Common) -> Outcome {
    let client = context.chain().await?;
    let listing = market::find(&client, &context.gateway()?, model).await?;
    if common.json {
        return output::json(&listing_json(&listing, &rate::ratings(&client, listing.version).await?));
    }
    let manifest = &listing.manifest;
    output::text(&format!(
        "{} — {}\n  version   {} ({}), {}\n  classes   {}\n  creator   {}\n  limits    {}",
        manifest.name,
        manifest.task,
        listing.version,
        status_name(listing.status),
        manifest.hash(),
        manifest.labels.iter().map(|label| label.as_str()).collect::<Vec<_>>().join(", "),
        manifest.creator,
        manifest.limits,
    ))?;
    for (index, split) in manifest.splits.iter().enumerate() {
        let index = SplitIndex(u8::try_from(index).unwrap_or(u8::MAX));
        let record = market::read(&client, ReadSplit { version: listing.version, split: index }).await?;
        let tail_fee = record.map(|record| record.tail_fee).unwrap_or_default();
        output::text(&format!(
            "\nsplit {}: {} numbers, tail fee {}",
            split.name,
            split.features,
            context.token().show(tail_fee)
        ))?;
        for policy in &split.policies {
            let quote = market::quote(&client, &listing, Some(split.name.as_str()), Some(policy.name.as_str())).await?;
            output::text(&format!("\n{}", market::quote_words(&quote, context.token())))?;
        }
    }
    Ok(())
}

fn listing_json(listing: &Listing, ratings: &Ratings) -> Value {
    let manifest = &listing.manifest;
    let splits: Vec<Value> = (0..)
        .map(SplitIndex)
        .zip(&manifest.splits)
        .map(|(index, split)| {
            let policies = split.policies.iter().map(|policy| market::policy_json(manifest, index, split, policy));
            let policies: Vec<Value> = policies.collect();
            json!({
                "name": split.name.as_str(), "mode": market::mode_name(split.mode), "head": split.head.to_string(), "features": split.features,
                "ms": split.cost.micros as f64 / 1000.0, "cost_units": split.cost.units.0, "failure_bits": split.failure_bits,
                "bytes": { "up": split.cost.bytes_up, "down": split.cost.bytes_down, "key": split.cost.key_bytes }, "policies": policies,
            })
        })
        .collect();
    json!({
        "version": listing.version.0, "name": manifest.name.as_str(), "status": status_name(listing.status), "task": manifest.task.as_str(),
        "hash": manifest.hash().to_string(), "creator": manifest.creator.to_string(), "labels": manifest.labels.iter().map(|label| label.as_str()).collect::<Vec<_>>(),
        "limits": manifest.limits.as_str(), "splits": splits, "leakage": market::disclosed_json(manifest),
        "ratings": rate::ratings_json(ratings),
    })
}

impl Publish {
    async fn run(self, context: &Context, common: &Common) -> Outcome {
        let account = context.account(&self.identity).await?;
        let vault = self.vault.clone().unwrap_or_else(|| under(context.home(), &["creator"]));
        let publication = Publication {
            folder: self.folder,
            vault,
            creator_url: self.creator_url,
            bond: context.amount("--bond", &self.bond)?,
            list_grade_d: self.list_grade_d,
            publish_attack: self.publish_attack,
            witnesses: self.witnesses,
        };
        output::say(&format!("packaging {}: quantise, compile, measure, seal …", publication.folder.display()));
        let prepared = publication.prepare(account.address(), context.token()).await?;
        let words = prepared.words(context.token());
        let summary = match self.dry_run {
            true => prepared.summary(None),
            false => prepared.send(&account, &context.gateway()?).await?.1,
        };
        match common.json {
            true => output::json(&summary),
            false if self.dry_run => output::text(&words),
            false => output::text(&format!("{words}\n  on sale as version {}", summary["version"])),
        }
    }
}
