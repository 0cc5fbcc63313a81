//! `encompute model features`: inputs, features and releases as numbers, for attacks of one's own.

use crate::{
    failure::{Doing, Exit, Failure, Outcome},
    npz::{Array, archive},
    output, publish,
};
use encompute_model::{
    Bench, BenchError, BenchSplit, Reader, Tensor, clear_features, clear_features_of, released_features,
};
use encompute_protocol::ReleasePolicy;
use serde_json::json;
use std::path::{Path, PathBuf};

/// What to export.
#[derive(clap::Args)]
pub struct Features {
    /// A model's name in the models folder, or a folder with model.toml
    model: String,
    /// Split, by name; the model's first if not given
    #[arg(long)]
    split: Option<String>,
    /// Release policy, by name; the default if not given
    #[arg(long)]
    policy: Option<String>,
    /// A file that the model reads, or a folder of them; the card's population and held-out samples, with their classes,
    /// if not given
    #[arg(long, value_name = "DIR|FILE")]
    inputs: Option<PathBuf>,
    /// Where to write: one .npz as numpy reads it; it must not exist yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Folder of the models
    #[arg(long, default_value = "scripts/models", value_name = "DIR")]
    models: PathBuf,
}

/// Samples with what is known of them.
#[derive(Default)]
struct Exported {
    inputs: Vec<Vec<f32>>,
    features: Vec<Vec<i64>>,
    /// Of the card's own samples: classes, and whether attackers may learn from them.
    labels: Vec<usize>,
    reference: Vec<bool>,
}

impl Features {
    /// Runs the samples through the head in clear, releases them once, and writes all of it.
    pub fn run(self, json: bool) -> Outcome {
        output::is_free(&self.out)?;
        output::has_folder(&self.out)?;
        let folder = publish::model_folder(&self.models, &self.model)?;
        let doing = format!("export features of {}", self.model);
        let bench = Bench::open(&folder).doing(Exit::Failed, &doing)?;
        let index = publish::split_index(&bench, self.split.as_deref())?;
        output::say(&format!("compiling {} …", self.model));
        let split = bench.split(index).doing(Exit::Failed, &doing)?;
        let policy = publish::policy_named(&split, self.policy.as_deref())?;
        let exported = match &self.inputs {
            Some(path) => of_files(&bench, &split, path)?,
            None => of_card(&bench, &split).doing(Exit::Failed, &doing)?,
        };
        output::say(&format!("running {} samples in clear …", exported.inputs.len()));
        let bytes = written(&exported, &policy).doing(Exit::Failed, &doing)?;
        output::file(&self.out, &bytes)?;
        let (samples, width) = (exported.inputs.len(), split.plan.feature_count());
        match json {
            true => output::json(&json!({
                "model": self.model, "split": split.card.name, "policy": policy.name.as_str(), "samples": samples,
                "features": width, "file": self.out.display().to_string(),
            })),
            false => output::text(&format!(
                "{}: {samples} samples, {width} features, split {}, policy {}",
                self.out.display(),
                split.card.name,
                policy.name
            )),
        }
    }
}

fn of_card(bench: &Bench, split: &BenchSplit) -> Result<Exported, BenchError> {
    let mut exported = Exported::default();
    let parts = [(bench.population()?.unwrap_or_default(), true), (bench.held_out()?, false)];
    for (samples, reference) in parts {
        let tensors: Vec<&Tensor> = samples.iter().map(|sample| &sample.tensor).collect();
        exported.features.extend(clear_features_of(&split.compiled, &tensors)?);
        for sample in samples {
            exported.inputs.push(sample.float);
            exported.labels.push(sample.label);
            exported.reference.push(reference);
        }
    }
    Ok(exported)
}

fn of_files(bench: &Bench, split: &BenchSplit, path: &Path) -> Outcome<Exported> {
    let reader = bench.preamble().clone().reader(bench.preamble_blob()).doing(Exit::Failed, "prepare to read")?;
    let mut exported = Exported::default();
    for file in inputs_in(path)? {
        let tensor = read(&reader, &file)?;
        let features = clear_features(&split.compiled, &tensor);
        exported.features.push(features.doing(Exit::Failed, &format!("run {}", file.display()))?);
        let grid = bench.preamble().grid();
        let axis = grid.offset.iter().zip(&grid.step).zip(tensor.values());
        exported.inputs.push(axis.map(|((offset, step), byte)| (offset + step * f64::from(*byte)) as f32).collect());
    }
    Ok(exported)
}

fn inputs_in(path: &Path) -> Outcome<Vec<PathBuf>> {
    let doing = format!("read {}", path.display());
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).doing(Exit::NotFound, &doing)?;
    let mut found =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().doing(Exit::Failed, &doing)?;
    found.retain(|file| file.is_file());
    found.sort();
    match found.is_empty() {
        true => Err(Failure::new(Exit::NotFound, format!("{} has no files", path.display()))),
        false => Ok(found),
    }
}

fn read(reader: &Reader, file: &Path) -> Outcome<Tensor> {
    let doing = format!("read {}", file.display());
    let bytes = std::fs::read(file).doing(Exit::NotFound, &doing)?;
    Ok(reader.read(&bytes).doing(Exit::Usage, &doing)?.tensor)
}

/// Arrays by name. Features and releases are in units of the clip norm, as the tail takes them.
fn written(exported: &Exported, policy: &ReleasePolicy) -> Result<Vec<u8>, zip::result::ZipError> {
    let mut obfuscate = publish::measuring();
    let released = exported.features.iter().map(|row| released_features(&obfuscate(policy, row), policy));
    let unit = policy.clip as f32;
    let features = exported.features.iter().map(|row| row.iter().map(|value| *value as f32 / unit).collect());
    let grid = |length: u64| length as f64 / policy.clip as f64;
    let mut arrays = vec![
        ("inputs", Array::floats(&exported.inputs)),
        ("features", Array::floats(&features.collect::<Vec<Vec<f32>>>())),
        ("released", Array::floats(&released.collect::<Vec<_>>())),
        ("sigma", Array::double(policy.sigma_milli as f64 / 1_000.0 / policy.clip as f64)),
        ("step", Array::double(grid(policy.step))),
        ("bits", Array::double(policy.bits.into())),
    ];
    if !exported.labels.is_empty() {
        arrays.push(("labels", Array::integers(exported.labels.iter().map(|label| *label as i64))));
        arrays.push(("reference", Array::integers(exported.reference.iter().map(|reference| i64::from(*reference)))));
    }
    archive(&arrays)
}
