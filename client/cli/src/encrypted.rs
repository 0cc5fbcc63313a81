//! Held-out samples under real encryption: `encompute model eval --encrypted`.

use crate::{
    commands::bench::Owner,
    failure::{Doing, Exit, Failure, Outcome},
    output,
};
use encompute_fhe::BlindingSeed;
use encompute_head::measure::{self, TensorOwner};
use encompute_keys::SecretKey;
use encompute_model::{BenchSplit, Measured, samples::Sample};
use indicatif::{ProgressBar, ProgressStyle};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use serde::Serialize;
use std::io::IsTerminal;

/// How many samples lie between two lines of progress where there is no terminal.
const LINE_EVERY: usize = 50;

/// What became of the first held-out samples, each encrypted under a key of its own, beside the clear program.
#[derive(Serialize)]
pub struct EncryptedFigures {
    /// How many.
    samples: usize,
    /// Of how many every feature was the clear program's, to the bit.
    equal_features: usize,
    /// Of how many the answer was the clear program's.
    equal_answers: usize,
    /// Whether tables are looked up under encryption: a sum near the edge between two bins may be taken for one of
    /// the other.
    bootstrapped: bool,
    /// Rounds in all, and of how many every decrypted sum was exact.
    rounds: usize,
    exact_rounds: usize,
    /// Share of right answers, with encryption and without.
    accuracy: f64,
    clear_accuracy: f64,
    /// Milliseconds that the worker took for all rounds of a sample, blinding included: the median.
    worker_ms_median: f64,
    /// Bytes of all requests and of all responses of a sample, with their signed orders and receipts, and of the
    /// blinding key, sent once.
    bytes_up: u64,
    bytes_down: u64,
    blinding_key_bytes: u64,
}

/// Runs the first `count` held-out samples, or all if there are fewer.
///
/// # Errors
/// [`Exit::Failed`] when a sample cannot be encrypted, evaluated or decrypted. Numbers that differ are figures, not
/// errors: [`EncryptedFigures::differs`].
pub fn evaluate(
    split: &BenchSplit,
    held_out: &[Sample],
    measured: &Measured,
    count: usize,
) -> Outcome<EncryptedFigures> {
    let samples = count.min(held_out.len());
    let mut figures = EncryptedFigures::none(samples);
    figures.bootstrapped = split.plan.mode().bootstrap_set().is_some();
    let mut worker_ms = Vec::with_capacity(samples);
    let (mut right, mut right_in_clear) = (0usize, 0usize);
    let progress = Progress::new(samples);
    // Worker and user are one process here, so blinding hides nothing; it only has to be other in every round.
    let mut rng = ChaCha20Rng::from_seed(*b"encompute/held-out blinding/v1..");
    let known = held_out.iter().zip(measured.features()).zip(measured.labels()).take(samples);
    for (index, ((sample, clear), label)) in known.enumerate() {
        let owner = Owner(SecretKey::generate(split.plan.parameter_set()));
        let input: Vec<i64> = sample.tensor.values().iter().map(|byte| i64::from(*byte)).collect();
        let done = measure::encrypted(&split.compiled, &owner, &input, || {
            let mut seed = [0; 32];
            rng.fill_bytes(&mut seed);
            BlindingSeed::new(seed)
        });
        let done = done.doing(Exit::Failed, &format!("run held-out sample {} under encryption", index + 1))?;
        let answer = |features: &[i64]| {
            measured.answer(features).map_err(|error| Failure::of(Exit::Failed, "run the tail", &error))
        };
        let (encrypted, plain) = (answer(&done.features)?, answer(clear)?);
        figures.equal_features += usize::from(done.features == *clear);
        figures.equal_answers += usize::from(encrypted == plain);
        right += usize::from(encrypted == *label);
        right_in_clear += usize::from(plain == *label);
        figures.rounds += done.rounds;
        figures.exact_rounds += done.exact_rounds;
        (figures.bytes_up, figures.bytes_down) = (done.bytes_up, done.bytes_down);
        figures.blinding_key_bytes = owner.blinding_key().to_bytes().len() as u64;
        worker_ms.push(done.worker_ms);
        progress.done(index + 1, figures.equal_features);
    }
    worker_ms.sort_by(f64::total_cmp);
    figures.worker_ms_median = worker_ms.get(samples / 2).copied().unwrap_or(0.0);
    figures.accuracy = right as f64 / samples.max(1) as f64;
    figures.clear_accuracy = right_in_clear as f64 / samples.max(1) as f64;
    Ok(figures)
}

impl EncryptedFigures {
    fn none(samples: usize) -> Self {
        Self {
            samples,
            equal_features: 0,
            equal_answers: 0,
            bootstrapped: false,
            rounds: 0,
            exact_rounds: 0,
            accuracy: 0.0,
            clear_accuracy: 0.0,
            worker_ms_median: 0.0,
            bytes_up: 0,
            bytes_down: 0,
            blinding_key_bytes: 0,
        }
    }

    /// Whether any number under encryption was another than in clear, where that is a fault: not behind a table that
    /// was looked up under encryption.
    pub fn differs(&self) -> bool {
        !self.bootstrapped && self.differs_somewhere()
    }

    fn differs_somewhere(&self) -> bool {
        self.equal_features < self.samples || self.exact_rounds < self.rounds
    }

    /// In words.
    pub fn words(&self) -> String {
        format!(
            "{:.2} % of {} samples, each under a key of its own; in clear {:.2} %\n             features equal to the bit on {}, answers on {}; {} of {} rounds exact\n             worker {:.1} ms a sample (median), {} bytes up, {} down, blinding key {}{}",
            self.accuracy * 100.0,
            self.samples,
            self.clear_accuracy * 100.0,
            self.equal_features,
            self.equal_answers,
            self.exact_rounds,
            self.rounds,
            self.worker_ms_median,
            self.bytes_up,
            self.bytes_down,
            self.blinding_key_bytes,
            match self.bootstrapped && self.differs_somewhere() {
                true =>
                    "\n             a sum near the edge of a bin may be taken for one of the next: `model explain` says how often",
                false => "",
            },
        )
    }
}

/// A bar on a terminal, a line now and then elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    samples: usize,
}

impl Progress {
    fn new(samples: usize) -> Self {
        let style = ProgressStyle::with_template("  encrypted {bar:30} {pos} of {len}, {msg}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(samples as u64).with_style(style));
        Self { bar, samples }
    }

    fn done(&self, done: usize, equal: usize) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(format!("{equal} equal"));
                bar.set_position(done as u64);
            }
            None if done.is_multiple_of(LINE_EVERY) || done == self.samples => {
                output::say(&format!("  encrypted {done} of {}, {equal} equal", self.samples));
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
