//! Learns the attack as the leakage report does: from the card's population, after the release is fixed.

use super::{LinearMap, PublishedAttack, RELEASES_LIMIT};
use crate::{
    bench::{Bench, BenchError, BenchSplit, Obfuscate, clear_features},
    samples::{Sample, spread},
};
use encompute_head::EvaluateError;
use encompute_leakage::{LinearAttack, Matrix, Seed};
use encompute_protocol::ReleasePolicy;
use rayon::prelude::*;

/// Samples that are learnt from, at most.
const LEARNT: usize = 4_000;
/// One in so many is left out, to say how far guesses are off.
const TRIED_OF: usize = 5;
/// Largest weight.
const WEIGHT: f64 = 127.0;

/// Why there is no attack to publish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttackError {
    /// The bench.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// The head.
    #[error("run the head")]
    Head(#[from] EvaluateError),
    /// Texts have no picture of themselves.
    #[error("the attack on texts is not one that a buyer could look at: leave it out")]
    Texts,
    /// Nothing to learn from.
    #[error("{found} samples of the population are too few to learn an attack from, {least} are needed")]
    TooFew {
        /// Samples found.
        found: usize,
        /// Samples needed.
        least: usize,
    },
    /// Numbers that no attack comes out of.
    #[error("no linear attack can be learnt of split `{split}` under policy `{policy}`")]
    Degenerate {
        /// The split.
        split: String,
        /// The policy.
        policy: String,
    },
}

impl PublishedAttack {
    /// Learns one for every policy of every split of the card; `obfuscate` is the release that users will run.
    ///
    /// # Errors
    /// [`AttackError`].
    pub fn learn(bench: &Bench, obfuscate: &mut Obfuscate<'_>) -> Result<Self, AttackError> {
        if bench.reads_text() {
            return Err(AttackError::Texts);
        }
        let population = match bench.population()? {
            Some(population) => population,
            None => bench.held_out()?,
        };
        let samples: Vec<&Sample> = spread(&population, LEARNT).collect();
        let least = encompute_leakage::LEAST_SAMPLES * TRIED_OF;
        if samples.len() < least {
            return Err(AttackError::TooFew { found: samples.len(), least });
        }
        let mut releases = Vec::new();
        for index in 0..bench.card().splits.len() {
            let split = bench.split(index)?;
            let features = samples.par_iter().map(|sample| clear_features(&split.compiled, &sample.tensor));
            let features = features.collect::<Result<Vec<_>, _>>()?;
            for policy in split.policies() {
                let codes: Vec<Vec<i16>> = features.iter().map(|features| obfuscate(&policy, features)).collect();
                releases.push(learnt(&samples, &codes).ok_or_else(|| degenerate(&split, &policy))?);
            }
        }
        debug_assert!(releases.len() <= RELEASES_LIMIT as usize);
        Ok(Self { releases })
    }
}

fn degenerate(split: &BenchSplit, policy: &ReleasePolicy) -> AttackError {
    AttackError::Degenerate { split: split.card.name.clone(), policy: policy.name.as_str().to_owned() }
}

fn learnt(samples: &[&Sample], codes: &[Vec<i16>]) -> Option<LinearMap> {
    let is_tried = |at: &usize| at % TRIED_OF == TRIED_OF - 1;
    let (tried, learnt): (Vec<usize>, Vec<usize>) = (0..samples.len()).partition(is_tried);
    let values = |at: usize| samples[at].tensor.values();
    let width = codes.first()?.len();
    let released = Matrix::from_fn(learnt.len(), width, |row, column| f64::from(codes[learnt[row]][column]));
    let inputs = samples.first()?.tensor.values().len();
    let wanted = Matrix::from_fn(learnt.len(), inputs, |row, column| f32::from(values(learnt[row])[column]));
    let (weights, offsets) = LinearAttack::learn(&released, &wanted, Seed(0))?.as_map()?;
    let mut map = quantised(&weights, &offsets);
    // Tried as it is published, rounded weights and all.
    let mut squares = vec![0.0; inputs];
    for at in &tried {
        let guess = map.rebuilt(&codes[*at])?;
        let off = guess.iter().zip(values(*at)).map(|(guess, value)| f64::from(guess.abs_diff(*value)));
        squares.iter_mut().zip(off).for_each(|(square, off)| *square += off * off);
    }
    let error = |square: &f64| (square / tried.len().max(1) as f64).sqrt().ceil().clamp(0.0, 255.0) as u8;
    map.errors = squares.iter().map(error).collect();
    map.fits().then_some(map)
}

/// Eight bits a weight: a code is of six, and a guess is rounded to eight.
fn quantised(weights: &Matrix<f64>, offsets: &[f64]) -> LinearMap {
    let largest = |row: &[f64]| row.iter().fold(0.0f64, |largest, weight| largest.max(weight.abs()));
    let scales: Vec<f32> = weights.each_row().map(|row| (largest(row) / WEIGHT) as f32).collect();
    let step = |scale: f32| if scale > 0.0 { f64::from(scale) } else { 1.0 };
    let rounded = weights.each_row().zip(&scales).flat_map(|(row, scale)| {
        row.iter().map(move |weight| (weight / step(*scale)).round().clamp(-WEIGHT, WEIGHT) as i8)
    });
    LinearMap {
        weights: rounded.collect(),
        offsets: offsets.iter().map(|offset| *offset as f32).collect(),
        errors: vec![0; offsets.len()],
        scales,
    }
}
