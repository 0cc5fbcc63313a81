//! `encompute model import` and `calibrate`: from an ONNX file and samples to a folder that can be published.

use crate::{
    failure::{Doing, Exit, Outcome},
    output, publish,
};
use clap::Args;
use encompute_model::{
    Bench,
    calibrate::{self, Calibrated},
    draft::{self, SampleFiles, Wishes},
};
use serde_json::json;
use std::path::PathBuf;

/// What to import.
#[derive(Args)]
pub struct Import {
    /// The float model: ONNX, as PyTorch or a converter of scikit-learn exports it, or weights in safetensors
    onnx: PathBuf,
    /// For safetensors: a TOML file that lists the layers, which such files do not
    #[arg(long, value_name = "FILE")]
    layers: Option<PathBuf>,
    /// The folder to write; it must not be there
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Its name in the gallery; the folder's if not given
    #[arg(long)]
    name: Option<String>,
    /// What it answers, in a sentence
    #[arg(long)]
    task: String,
    /// What its answer does not say: on what it was trained, what it takes for what
    #[arg(long)]
    limits: String,
    /// Samples with their classes: a folder of pictures (PNG, JPEG) or scans (DICOM, NIfTI) for each class, or a CSV file with a header
    #[arg(long, value_name = "PATH")]
    samples: PathBuf,
    /// The same of samples that training never saw; every fifth of the samples if not given
    #[arg(long, value_name = "PATH")]
    held_out: Option<PathBuf>,
    /// For a CSV file: the column that holds the class
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// Classes in the order of the model's scores; sorted, as most trainers have them, if not given
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    labels: Vec<String>,
    /// For pictures: what a byte is multiplied by to be the model's input
    #[arg(long, value_name = "N/D", default_value = "1/255", value_parser = scale)]
    scale: [u32; 2],
    /// For pictures of one mark on an even ground: scale it into so many pixels and centre it, as MNIST's were
    #[arg(long, value_name = "PIXELS")]
    ink_centred: Option<u16>,
    /// What one run of the tail costs
    #[arg(long, value_name = "AMOUNT", default_value = "0.25 UNIT")]
    tail_fee: String,
}

fn scale(text: &str) -> Result<[u32; 2], String> {
    let parts = text.split_once('/').and_then(|(above, below)| Some([above.parse().ok()?, below.parse().ok()?]));
    parts
        .filter(|parts| parts.iter().all(|part| *part > 0))
        .ok_or_else(|| format!("`{text}` is no fraction like 1/255"))
}

impl Import {
    /// Runs it.
    pub fn run(self, json: bool) -> Outcome {
        let folder = || self.into.file_name().map(|name| name.to_string_lossy().into_owned());
        let wishes = Wishes {
            name: self.name.clone().or_else(folder).unwrap_or_default(),
            task: self.task,
            limits: self.limits,
            labels: self.labels,
            label_column: self.label_column,
            ink_box: self.ink_centred,
            scale: self.scale,
            tail_fee: self.tail_fee,
            layers: self.layers,
        };
        let files = SampleFiles { samples: self.samples, held_out: self.held_out };
        output::say("reading the model and its samples …");
        let doing = format!("import {}", self.onnx.display());
        let drafted = draft::draft(&self.onnx, &files, &wishes, &self.into).doing(Exit::Failed, &doing)?;
        if drafted.held_out_of_samples {
            output::say(
                "no --held-out was given: every fifth sample is held out, and accuracy is honest only if training did not see these",
            );
        }
        if json {
            return output::json(&json!({ "folder": self.into, "imported": drafted }));
        }
        let others: Vec<String> =
            drafted.others.iter().map(|(after, depth)| format!("{after} ({depth} linear)")).collect();
        output::text(&format!(
            "{}\n  classes   {}\n  input     {:?}\n  samples   {}, held out {}\n  cut after {}{}{}\n\nnext: encompute model calibrate {}",
            self.into.display(),
            drafted.labels.join(", "),
            drafted.input,
            drafted.samples,
            drafted.held_out,
            drafted.after,
            if others.is_empty() { String::new() } else { format!("; also possible after {}", others.join(", ")) },
            drafted.not_deeper.map(|why| format!("\n  not deeper: {why}")).unwrap_or_default(),
            self.into.display(),
        ))
    }
}

/// What to calibrate.
#[derive(Args)]
pub struct Calibrate {
    /// A model's name in the models folder, or a folder with model.toml
    model: String,
    /// Show what was found; leave the card as it is
    #[arg(long)]
    dry_run: bool,
    /// Folder of the models
    #[arg(long, default_value = "scripts/models", value_name = "DIR")]
    models: PathBuf,
}

impl Calibrate {
    /// Runs it.
    pub fn run(self, json: bool) -> Outcome {
        let folder = publish::model_folder(&self.models, &self.model)?;
        let doing = format!("calibrate {}", self.model);
        let bench = Bench::open(&folder).doing(Exit::Failed, &doing)?;
        output::say("running the samples through every split …");
        let found = bench.calibrate().doing(Exit::Failed, &doing)?;
        let path = folder.join("model.toml");
        if !self.dry_run {
            let card = std::fs::read_to_string(&path).doing(Exit::Failed, "read the card")?;
            let card = calibrate::rewritten(&card, &found).doing(Exit::Failed, "change the card")?;
            output::file(&path, card.as_bytes())?;
        }
        if json {
            let splits: Vec<_> = found.iter().map(split_json).collect();
            return output::json(&json!({ "card": path, "written": !self.dry_run, "splits": splits }));
        }
        let mut rows = vec![["split", "features", "samples", "clip norm", "noise"].map(String::from).to_vec()];
        rows.extend(found.iter().map(|Calibrated { card, features, samples }| {
            let noise = card.policies.iter().map(|policy| format!("{} {}", policy.name, policy.sigma));
            vec![
                card.name.clone(),
                features.to_string(),
                samples.to_string(),
                card.clip.to_string(),
                noise.collect::<Vec<_>>().join(", "),
            ]
        }));
        let next = match self.dry_run {
            true => "nothing was written".to_owned(),
            false => format!("written to {}; next: encompute model split-report {}", path.display(), self.model),
        };
        output::text(&format!("{}\n\n{next}", output::table(&rows)))
    }
}

fn split_json(found: &Calibrated) -> serde_json::Value {
    let policies = found.card.policies.iter();
    let policies = policies.map(|policy| json!({ "name": policy.name, "sigma": policy.sigma, "bits": policy.bits }));
    json!({
        "name": found.card.name, "after": found.card.after, "features": found.features, "samples": found.samples,
        "clip": found.card.clip, "policies": policies.collect::<Vec<_>>(),
    })
}
