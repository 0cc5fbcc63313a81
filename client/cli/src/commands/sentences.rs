//! `encompute bench sentences`: a sentence encoder, its every projection encrypted, against the float model.

use crate::{
    commands::bench::Owner,
    failure::{Doing, Exit, Failure, Outcome},
    output,
};
use encompute_fhe::BlindingSeed;
use encompute_head::{
    Backend, ClearBackend, CompiledHead, EvaluateError, RoundIndex, evaluate_round,
    measure::{MeasureError, PARAMETER_SET, TensorOwner},
};
use encompute_keys::SecretKey;
use encompute_model::{Sentence, SentenceEncoder, Tensor};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Sentences that scale the grid and round the weights; none of them is measured.
const CALIBRATION: usize = 24;
/// Sentences whose encrypted embedding is compared with the clear program's, number by number.
const COMPARED: usize = 5;

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

/// One sentence through the encrypted head.
struct Run {
    embedding: Vec<i64>,
    worker: Duration,
    bytes: (usize, usize),
}

impl Sentences {
    /// Runs it.
    pub fn run(self, json: bool) -> Outcome {
        let failed = "measure the encoder";
        let encoder = SentenceEncoder::read(&self.model, self.tokens).doing(Exit::NotFound, "read the encoder")?;
        let sentences = sentences(&encoder, &self.text, CALIBRATION + self.count)?;
        let (calibration, measured) = sentences.split_at(CALIBRATION);
        let grid = encoder.grid(calibration);
        output::say(&format!("rounding weights for {CALIBRATION} sentences …"));
        let tensors: Vec<Tensor> = calibration.iter().map(|sentence| encoder.tensor(sentence, &grid)).collect();
        let head = encoder.compile(&grid, &tensors).doing(Exit::Failed, failed)?;
        let (mut cosines, mut times, mut bytes, mut unequal) = (Vec::new(), Vec::new(), (0, 0), 0);
        for (number, sentence) in measured.iter().enumerate() {
            if number % 20 == 0 {
                output::say(&format!("encrypted sentence {number} of {} …", measured.len()));
            }
            let tensor = encoder.tensor(sentence, &grid);
            let input: Vec<i64> = tensor.values().iter().map(|byte| i64::from(*byte)).collect();
            let run = encrypted(&head, &input).doing(Exit::Failed, failed)?;
            if number < COMPARED && clear(&head, &input).doing(Exit::Failed, failed)? != run.embedding {
                unequal += 1;
            }
            cosines.push(cosine(&run.embedding, &encoder.embed(sentence).doing(Exit::Failed, failed)?));
            times.push(run.worker.as_secs_f64() * 1_000.0);
            bytes = run.bytes;
        }
        let (least, mean) = (cosines.iter().copied().fold(1.0, f64::min), mean(&cosines));
        times.sort_by(f64::total_cmp);
        let (ms, rounds) = (times[times.len() / 2], head.plan().rounds().len());
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        if json {
            output::json(&json!({
                "sentences": cosines.len(), "tokens": self.tokens, "rounds": rounds, "cosine_min": least,
                "cosine_mean": mean, "worker_ms_median": ms, "threads": threads, "bytes_up": bytes.0,
                "bytes_down": bytes.1, "compared": COMPARED.min(cosines.len()), "unequal": unequal,
            }))?;
        } else {
            output::text(&format!(
                "{} sentences of up to {} tokens, {rounds} rounds each, on {threads} threads\n  \
                 cosine with the float model  at least {least:.5}, mean {mean:.5}\n  \
                 worker                       {ms:.0} ms (median)\n  \
                 traffic                      {:.1} MB up, {:.1} MB down\n  \
                 equal to the clear program   {} of {}",
                cosines.len(),
                self.tokens,
                bytes.0 as f64 / 1e6,
                bytes.1 as f64 / 1e6,
                COMPARED.min(cosines.len()) - unequal,
                COMPARED.min(cosines.len()),
            ))?;
        }
        match unequal {
            0 => Ok(()),
            _ => Err(Failure::new(Exit::Failed, format!("{unequal} embeddings are not what the clear program gives"))),
        }
    }
}

/// Sentences of a text: what ends with a full stop, a question or an exclamation mark, of four words or more.
fn sentences(encoder: &SentenceEncoder, path: &Path, wanted: usize) -> Outcome<Vec<Sentence>> {
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
    let read = found.into_iter().map(|sentence| encoder.sentence(sentence));
    read.collect::<Result<_, _>>().doing(Exit::Failed, "tokenize")
}

/// All rounds as a job runs them: encrypted under a fresh key, evaluated with blinding, decrypted.
fn encrypted(head: &CompiledHead, input: &[i64]) -> Result<Run, MeasureError> {
    let owner = Owner(SecretKey::generate(PARAMETER_SET));
    let key = head.prepare_key(owner.blinding_key())?;
    let mut run = head.plan().run(input)?;
    let (mut worker, mut bytes) = (Duration::ZERO, (0, 0));
    while let Some((round, values)) = run.request() {
        let plan = head.plan().round(round).ok_or(EvaluateError::NoRound { found: round.0, rounds: 0 })?;
        let request = owner.encrypt(values, head.input_layout(round)?, plan.accumulator_bits);
        let request = request.map_err(MeasureError::Owner)?;
        let seed = BlindingSeed::new(request.digest().0);
        let began = Instant::now();
        let response = evaluate_round(head, round, &request, &key, &seed)?;
        worker += began.elapsed();
        bytes.0 += request.to_bytes().len();
        bytes.1 += response.to_bytes().len();
        let sums = owner.decrypt(&response, head.output_layout(round)?, plan.accumulator_bits);
        run.answer(&sums.map_err(MeasureError::Owner)?)?;
    }
    let features = run.features().ok_or(EvaluateError::NoRound { found: 0, rounds: 0 })?;
    Ok(Run { embedding: features.expose().to_vec(), worker, bytes })
}

fn clear(head: &CompiledHead, input: &[i64]) -> Result<Vec<i64>, MeasureError> {
    let mut run = head.plan().run(input)?;
    while let Some((round, values)) = run.request() {
        let sums = ClearBackend.evaluate(head, RoundIndex(round.0), &values.to_vec())?;
        run.answer(&sums)?;
    }
    let features = run.features().ok_or(EvaluateError::NoRound { found: 0, rounds: 0 })?;
    Ok(features.expose().to_vec())
}

fn cosine(found: &[i64], wanted: &[f64]) -> f64 {
    let found: Vec<f64> = found.iter().map(|value| *value as f64).collect();
    let dot = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f64>();
    dot(&found, wanted) / (dot(&found, &found) * dot(wanted, wanted)).sqrt()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / (values.len() as f64).max(1.0)
}
