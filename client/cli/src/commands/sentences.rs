//! `encompute bench sentences`: a sentence encoder, its every projection encrypted, against the float model.

use crate::{
    commands::bench::Owner,
    failure::{Doing, Exit, Failure, Outcome},
    output,
};
use encompute_fhe::BlindingSeed;
use encompute_head::measure::{self, PARAMETER_SET};
use encompute_keys::SecretKey;
use encompute_model::{PreambleError, Reader, SentenceEncoder, SentenceError, Tensor};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Sentences that scale the grid and round the weights; none of them is measured.
const CALIBRATION: usize = 24;

/// What to measure.
#[derive(clap::Args)]
pub struct Sentences {
    /// Folder with config.json, tokenizer.json and model.safetensors
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Text, cut into sentences; the first 24 calibrate
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// Sentences to measure
    #[arg(long, default_value_t = 200, value_name = "N")]
    count: usize,
    /// Tokens of the head; longer sentences are cut off
    #[arg(long, default_value_t = 32, value_name = "N")]
    tokens: usize,
}

impl Sentences {
    /// Runs it.
    pub fn run(self, json: bool) -> Outcome {
        let failed = "measure the encoder";
        let encoder = SentenceEncoder::read(&self.model, self.tokens).doing(Exit::NotFound, "read the encoder")?;
        let texts = sentences(&self.text, CALIBRATION + self.count)?;
        let (calibration, measured) = texts.split_at(CALIBRATION);
        let reader = reader(&encoder, calibration).doing(Exit::Failed, failed)?;
        output::say(&format!("rounding weights for {CALIBRATION} sentences …"));
        let tensor = |text: &String| Ok::<Tensor, PreambleError>(reader.read(text.as_bytes())?.tensor);
        let tensors = calibration.iter().map(tensor).collect::<Result<Vec<_>, _>>().doing(Exit::Failed, failed)?;
        let head = encoder.compile(reader.preamble(), &tensors).doing(Exit::Failed, failed)?;
        let (mut cosines, mut times, mut bytes, mut exact) = (Vec::new(), Vec::new(), (0, 0), 0);
        for (number, text) in measured.iter().enumerate() {
            if number % 20 == 0 {
                output::say(&format!("encrypted sentence {number} of {} …", measured.len()));
            }
            let owner = Owner(SecretKey::generate(PARAMETER_SET));
            let tensor = tensor(text).doing(Exit::Failed, failed)?;
            let input: Vec<i64> = tensor.values().iter().map(|byte| i64::from(*byte)).collect();
            // Worker and user are one process here, so blinding hides nothing.
            let mut round = 0;
            let next = || {
                round += 1;
                seed(number as u64, round)
            };
            let done = measure::encrypted(&head, &owner, &input, next).doing(Exit::Failed, failed)?;
            exact += usize::from(done.exact_rounds == done.rounds);
            let sentence = encoder.sentence(text).doing(Exit::Failed, failed)?;
            cosines.push(cosine(&done.features, &encoder.embed(&sentence).doing(Exit::Failed, failed)?));
            times.push(done.worker_ms);
            bytes = (done.bytes_up, done.bytes_down);
        }
        let (least, mean) = (cosines.iter().copied().fold(1.0, f64::min), mean(&cosines));
        times.sort_by(f64::total_cmp);
        let (ms, rounds) = (times[times.len() / 2], head.plan().rounds().len());
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        if json {
            output::json(&json!({
                "sentences": cosines.len(), "tokens": self.tokens, "rounds": rounds, "cosine_min": least,
                "cosine_mean": mean, "worker_ms_median": ms, "threads": threads, "bytes_up": bytes.0,
                "bytes_down": bytes.1, "exact": exact,
            }))?;
        } else {
            output::text(&format!(
                "{} sentences of up to {} tokens, {rounds} rounds each, on {threads} threads\n  \
                 cosine with the float model  at least {least:.5}, mean {mean:.5}\n  \
                 worker                       {ms:.0} ms (median)\n  \
                 traffic                      {:.1} MB up, {:.1} MB down\n  \
                 equal to the clear program   {exact} of {}",
                cosines.len(),
                self.tokens,
                bytes.0 as f64 / 1e6,
                bytes.1 as f64 / 1e6,
                cosines.len(),
            ))?;
        }
        match cosines.len() - exact {
            0 => Ok(()),
            other => Err(Failure::new(
                Exit::Verification,
                format!("the encrypted head gave {other} sentences other numbers than the clear one"),
            )),
        }
    }
}

/// What users would read sentences with, on a grid that holds these.
fn reader(encoder: &SentenceEncoder, texts: &[String]) -> Result<Reader, SentenceError> {
    let sentences = texts.iter().map(|text| encoder.sentence(text)).collect::<Result<Vec<_>, _>>()?;
    let (preamble, lexicon) = encoder.preamble(&sentences);
    Ok(preamble.reader(Some(&lexicon))?)
}

/// Sentences of a text: what ends with a full stop, a question or an exclamation mark, of four words or more.
fn sentences(path: &Path, wanted: usize) -> Outcome<Vec<String>> {
    let text = std::fs::read_to_string(path).doing(Exit::NotFound, &format!("read {}", path.display()))?;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let ends = |end: char| matches!(end, '.' | '?' | '!');
    let found: Vec<&str> = text
        .split_inclusive(ends)
        .map(str::trim)
        .filter(|sentence| sentence.split(' ').filter(|word| word.chars().all(char::is_alphabetic)).count() >= 4)
        .take(wanted)
        .collect();
    if found.len() < wanted {
        let (found, path) = (found.len(), path.display());
        return Err(Failure::new(Exit::Usage, format!("{path} has {found} sentences, {wanted} are needed")));
    }
    Ok(found.into_iter().map(str::to_owned).collect())
}

/// A blinding seed of its own for every round of every sentence.
fn seed(sentence: u64, round: u64) -> BlindingSeed {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&sentence.to_le_bytes());
    bytes[8..16].copy_from_slice(&round.to_le_bytes());
    BlindingSeed::new(bytes)
}

fn cosine(found: &[i64], wanted: &[f64]) -> f64 {
    let found: Vec<f64> = found.iter().map(|value| *value as f64).collect();
    let dot = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f64>();
    dot(&found, wanted) / (dot(&found, &found) * dot(wanted, wanted)).sqrt()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / (values.len() as f64).max(1.0)
}
