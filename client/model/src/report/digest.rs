//! What a report is of.

use super::{Extent, ReportError};
use crate::{bench::Bench, card::PreambleCard};
use encompute_leakage::SUITE;
use encompute_protocol::digest::blake2b_256;
use std::path::PathBuf;

/// Of model, card, samples, suite, seed and the decoder's budget, each file by its own digest. Whether other cuts are
/// surveyed changes nothing of the card's.
pub fn digest(bench: &Bench, extent: &Extent) -> Result<String, ReportError> {
    let (folder, card) = (bench.folder(), bench.card());
    let mut files: Vec<PathBuf> = ["model.onnx", "model.toml"].map(PathBuf::from).into();
    let data = &card.data;
    files.extend([data.calibration.clone(), data.held_out.clone()]);
    files.extend([&data.held_out_labels, &data.population, &data.population_labels].into_iter().flatten().cloned());
    if let PreambleCard::Text(text) = &card.preamble {
        files.extend(["config.json", "tokenizer.json", "model.safetensors"].map(|name| text.encoder.join(name)));
    }
    let mut all = format!("encompute report {SUITE}, seed {}, epochs {}", extent.seed.0, extent.epochs).into_bytes();
    for file in files {
        let path = folder.join(file);
        let bytes = std::fs::read(&path).map_err(|source| ReportError::Digest { path, source })?;
        all.extend(blake2b_256(&bytes));
    }
    // A table's columns are in a file of their own, and read already.
    all.extend(format!("{:?}", bench.preamble().grid()).as_bytes());
    Ok(blake2b_256(&all).iter().map(|byte| format!("{byte:02x}")).collect())
}
