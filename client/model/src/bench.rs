//! The creator's bench: a model's folder in, splits that can run and their measured accuracy out.

use crate::{
    card::{CardError, ModeName, ModelCard, SplitCard},
    input::{Input, InputError},
    lower::{self, LowerError},
    onnx::{HeadGraph, ImportError, OnnxModel},
    preamble::{Preamble, Tensor},
    quantise::{CLIP_UNITS, QuantiseError, Recipe, quantise},
    samples::{self, Sample, SamplesError},
    tail::{TailError, TailLimits, TailModel, released_features},
};
use encompute_fhe::BootstrapSet;
use encompute_head::{Backend, ClearBackend, CompileOptions, CompiledHead, EvaluateError, HeadPlan, HeadWeights, Mode};
use encompute_leakage::{
    Matrix,
    bounds::{InformationBound, information_bound},
    clipped,
};
use encompute_protocol::{BasisPoints, PolicyId, ReleasePolicy, Text};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Name of the float model beside the card.
const MODEL_FILE: &str = "model.onnx";

/// Obfuscates features under a policy, as the user's release does: clip, noise, codes.
pub type Obfuscate<'a> = dyn FnMut(&ReleasePolicy, &[i64]) -> Vec<i16> + 'a;

/// A model's folder, read and checked.
pub struct Bench {
    folder: PathBuf,
    card: ModelCard,
    model: OnnxModel,
    input: Input,
}

/// A split that can run: the head as integers, the tail as a file.
pub struct BenchSplit {
    /// What the card says about it.
    pub card: SplitCard,
    /// The public half of the head.
    pub plan: HeadPlan,
    /// The secret half.
    pub weights: HeadWeights,
    /// Both, proved and prepared.
    pub compiled: CompiledHead,
    /// The rest of the model as ONNX bytes, on features in units of the clip norm; `None` if nothing follows.
    pub tail: Option<Vec<u8>>,
}

/// Held-out samples through a split, once and for all policies.
pub struct Measured {
    labels: Vec<usize>,
    features: Vec<Vec<i64>>,
    tail: Option<TailModel>,
    /// Correct answers of the float model.
    pub float_correct: usize,
    /// Correct answers of the integer head and the tail.
    pub quantised_correct: usize,
}

/// Accuracy over held-out samples, each a share of 1.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Evaluation {
    /// How many samples.
    pub samples: usize,
    /// The creator's float model.
    pub float: f64,
    /// The integer head and the tail, without release.
    pub quantised: f64,
    /// With release under the policy, the mean over several draws of noise.
    pub released: f64,
    /// The policy's name.
    pub policy: String,
}

/// Why a model was not brought to the bench.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// No such model here.
    #[error("no model in {folder}: it has no `{MODEL_FILE}`")]
    NoModel {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The card.
    #[error("read the model card")]
    Card(#[from] CardError),
    /// The float model.
    #[error("import the float model")]
    Import(#[from] ImportError),
    /// Inputs.
    #[error("read inputs")]
    Input(#[from] InputError),
    /// Samples.
    #[error("read samples")]
    Samples(#[from] SamplesError),
    /// No such split.
    #[error("the model has no split {found}, it has {known}")]
    NoSplit {
        /// Index asked for.
        found: usize,
        /// How many there are.
        known: usize,
    },
    /// Layers that are not rounds.
    #[error("cut the head")]
    Lower(#[from] LowerError),
    /// Rounds that are not integers.
    #[error("quantise the head")]
    Quantise(#[from] QuantiseError),
    /// The integer head did not run.
    #[error("run the integer head")]
    Evaluate(#[from] EvaluateError),
    /// The float model or the tail did not run.
    #[error("run the float model")]
    Tail(#[from] TailError),
    /// Scores that are not one a class.
    #[error("the model gives {found} scores for {wanted} classes")]
    Scores {
        /// Scores found.
        found: usize,
        /// Classes of the card.
        wanted: usize,
    },
}

impl Bench {
    /// Reads a model's folder: `model.toml` and `model.onnx`, and the encoder that a card of texts names.
    ///
    /// # Errors
    /// [`BenchError`] for the card, the float model and the encoder.
    pub fn open(folder: &Path) -> Result<Self, BenchError> {
        let path = folder.join(MODEL_FILE);
        let missing = |source| BenchError::NoModel { folder: folder.to_owned(), source };
        let length = std::fs::metadata(&path).map_err(missing)?.len();
        let limit_bytes = crate::onnx::ONNX_LIMIT_BYTES;
        if length > limit_bytes as u64 {
            let found_bytes = usize::try_from(length).unwrap_or(usize::MAX);
            return Err(ImportError::TooLong { found_bytes, limit_bytes }.into());
        }
        let model = OnnxModel::read(&std::fs::read(&path).map_err(missing)?)?;
        model.check_finite()?;
        let card = ModelCard::read(folder)?;
        let input = Input::open(folder, &card)?;
        Ok(Self { folder: folder.to_owned(), card, model, input })
    }

    /// How users' files become inputs.
    pub fn preamble(&self) -> &Preamble {
        self.input.preamble()
    }

    /// The blob that users read files with; most models need none.
    pub fn preamble_blob(&self) -> Option<&[u8]> {
        self.input.blob()
    }

    /// What the creator says about the model.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Cuts, quantises and compiles split `index` of the card.
    ///
    /// # Errors
    /// [`BenchError`], naming the node that cannot run.
    pub fn split(&self, index: usize) -> Result<BenchSplit, BenchError> {
        let known = self.card.splits.len();
        self.cut(self.card.splits.get(index).ok_or(BenchError::NoSplit { found: index, known })?)
    }

    /// Cuts, quantises and compiles at a place that the card need not name.
    ///
    /// # Errors
    /// [`BenchError`], naming the node that cannot run.
    pub fn cut(&self, card: &SplitCard) -> Result<BenchSplit, BenchError> {
        let graph = self.graph(&card.after)?;
        let mode = match card.mode {
            ModeName::Rounds => Mode::Rounds,
            ModeName::Linear => Mode::Linear,
            ModeName::Bootstrapped => Mode::Bootstrapped(BootstrapSet::FourBitsV1),
        };
        lower::check(&graph, mode == Mode::Linear)?;
        let calibration = samples::calibration(&self.folder, &self.card, &self.input)?;
        let bootstraps_per_segment = card.bootstraps_per_segment.unwrap_or(CompileOptions::BOOTSTRAPS_PER_CALL);
        let recipe = Recipe { mode, inside: card.inside.as_deref(), bootstraps_per_segment, clip: card.clip };
        let head = quantise(&graph, &recipe, &self.preamble().grid(), &calibration)?;
        let tail = self.model.tail_after(&card.after, head.plan.feature_count(), card.clip as f32)?;
        Ok(BenchSplit { card: card.clone(), plan: head.plan, weights: head.weights, compiled: head.compiled, tail })
    }

    /// The held-out samples.
    ///
    /// # Errors
    /// [`BenchError::Samples`].
    pub fn held_out(&self) -> Result<Vec<Sample>, BenchError> {
        Ok(samples::held_out(&self.folder, &self.card, &self.input)?)
    }

    /// What attackers have, if the card names it.
    ///
    /// # Errors
    /// [`BenchError::Samples`].
    pub fn population(&self) -> Result<Option<Vec<Sample>>, BenchError> {
        Ok(samples::population(&self.folder, &self.card, &self.input)?)
    }

    /// The float model.
    pub fn model(&self) -> &OnnxModel {
        &self.model
    }

    /// Whether a published encoder stands in front of the float model.
    pub fn reads_text(&self) -> bool {
        matches!(self.input, Input::Text(_))
    }

    /// The folder that it was read from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The head that would be cut off after a node, in floats, the encoder of texts included.
    ///
    /// # Errors
    /// [`ImportError`], naming the node that cannot run.
    pub(crate) fn graph(&self, after: &str) -> Result<HeadGraph, ImportError> {
        Ok(self.input.head(self.model.head_until(after)?))
    }

    /// Runs the held-out samples through the float model and through the split.
    ///
    /// # Errors
    /// [`BenchError`].
    pub fn measure(&self, split: &BenchSplit, held_out: &[Sample]) -> Result<Measured, BenchError> {
        let float = TailModel::load(&self.model.to_bytes(), TailLimits::default())?;
        let answers = held_out.par_iter().map(|sample| Ok(answer(&float.run(&sample.float)?)));
        let float_answers: Vec<usize> = answers.collect::<Result<_, TailError>>()?;
        let features = held_out.par_iter().map(|sample| clear_features(&split.compiled, &sample.tensor));
        let features: Vec<Vec<i64>> = features.collect::<Result<_, EvaluateError>>()?;
        let tail = split.tail.as_deref().map(|bytes| TailModel::load(bytes, TailLimits::default())).transpose()?;
        let labels: Vec<usize> = held_out.iter().map(|sample| sample.label).collect();
        let mut measured =
            Measured { float_correct: hits(&float_answers, &labels), labels, features, tail, quantised_correct: 0 };
        if let Some(row) = measured.features.first() {
            let found = measured.scores(unreleased(row))?.len();
            if found != self.card.labels.len() {
                return Err(BenchError::Scores { found, wanted: self.card.labels.len() });
            }
        }
        measured.quantised_correct = measured.correct(measured.features.iter().map(|row| unreleased(row)).collect())?;
        Ok(measured)
    }
}

impl BenchSplit {
    /// The split's policies on the feature grid, without what only measuring tells (accuracy and information are 0).
    pub fn policies(&self) -> Vec<ReleasePolicy> {
        let grid = |length: f64| length / self.card.clip * CLIP_UNITS as f64;
        let policy = |(index, card): (usize, &crate::card::PolicyCard)| ReleasePolicy {
            id: PolicyId(index as u8 + 1),
            name: Text::new(card.name.clone()).unwrap_or_default(),
            clip: CLIP_UNITS,
            sigma_milli: (grid(card.sigma) * 1_000.0).round() as u64,
            // Four standard deviations beyond the clip norm still have a code of their own.
            step: (grid(self.card.clip + 4.0 * card.sigma) / f64::from((1u32 << (card.bits - 1)) - 1)).round() as u64,
            bits: card.bits,
            information_millibits: 0,
            accuracy: BasisPoints(0),
        };
        self.card.policies.iter().enumerate().map(policy).collect()
    }
}

impl Measured {
    /// How many samples were measured.
    pub fn samples(&self) -> usize {
        self.labels.len()
    }

    /// What the integer head gives for each sample, in clear.
    pub fn features(&self) -> &[Vec<i64>] {
        &self.features
    }

    /// The class of each sample.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The class that the tail answers on features that were not released.
    ///
    /// # Errors
    /// [`BenchError::Tail`].
    pub fn answer(&self, features: &[i64]) -> Result<usize, BenchError> {
        Ok(answer(&self.scores(unreleased(features))?))
    }

    /// Bounds on what a policy's release says about an input of the held-out population.
    pub fn information(&self, policy: &ReleasePolicy) -> InformationBound {
        let sigma = policy.sigma_milli as f64 / 1_000.0 / policy.clip as f64;
        information_bound(&clipped(&feature_matrix(&self.features, policy.clip)), &self.labels, sigma)
    }

    /// Share of correct answers when every sample is released `draws` times under `policy`.
    ///
    /// # Errors
    /// [`BenchError::Tail`].
    pub fn released(
        &self,
        policy: &ReleasePolicy,
        draws: usize,
        obfuscate: &mut Obfuscate<'_>,
    ) -> Result<f64, BenchError> {
        let mut correct = 0;
        for _ in 0..draws {
            let released = self.features.iter().map(|row| released_features(&obfuscate(policy, row), policy));
            correct += self.correct(released.collect())?;
        }
        Ok(correct as f64 / (self.samples() * draws).max(1) as f64)
    }

    /// The figures that `model eval` prints, for one policy.
    ///
    /// # Errors
    /// [`BenchError::Tail`].
    pub fn evaluation(
        &self,
        policy: &ReleasePolicy,
        draws: usize,
        obfuscate: &mut Obfuscate<'_>,
    ) -> Result<Evaluation, BenchError> {
        let share = |correct: usize| correct as f64 / self.samples().max(1) as f64;
        Ok(Evaluation {
            samples: self.samples(),
            float: share(self.float_correct),
            quantised: share(self.quantised_correct),
            released: self.released(policy, draws, obfuscate)?,
            policy: policy.name.as_str().to_owned(),
        })
    }

    fn scores(&self, features: Vec<f32>) -> Result<Vec<f32>, TailError> {
        match &self.tail {
            Some(tail) => tail.run(&features),
            None => Ok(features),
        }
    }

    fn correct(&self, rows: Vec<Vec<f32>>) -> Result<usize, TailError> {
        let answers = rows.into_par_iter().map(|row| Ok(answer(&self.scores(row)?)));
        Ok(hits(&answers.collect::<Result<Vec<_>, TailError>>()?, &self.labels))
    }
}

/// What a head gives for an input, in clear: the very integers that a user decrypts at the end.
///
/// # Errors
/// [`EvaluateError`] if the input has another size than the head takes.
pub fn clear_features(head: &CompiledHead, input: &Tensor) -> Result<Vec<i64>, EvaluateError> {
    let input: Vec<i64> = input.values().iter().map(|byte| i64::from(*byte)).collect();
    let wanted = head.plan().input_count();
    let other_size = |_| EvaluateError::InputCount { what: "values", found: input.len(), wanted };
    let mut run = head.plan().run(&input).map_err(other_size)?;
    while let Some((round, values)) = run.request() {
        let sums = ClearBackend.evaluate(head, round, &values.to_vec())?;
        run.answer(&sums).expect("the backend gives the round's sums; qed");
    }
    let features = run.features().expect("a run that asks for nothing has its features; qed");
    Ok(features.expose().to_vec())
}

/// The same for many inputs, in their order, on all cores.
///
/// # Errors
/// As [`clear_features`].
pub fn clear_features_of(head: &CompiledHead, inputs: &[&Tensor]) -> Result<Vec<Vec<i64>>, EvaluateError> {
    inputs.par_iter().map(|input| clear_features(head, input)).collect()
}

/// Features in units of the clip norm, `[samples, features]`. A feature has at most 24 bits, as many as a float holds.
pub(crate) fn feature_matrix(features: &[Vec<i64>], clip: u64) -> Matrix {
    let columns = features.first().map_or(0, Vec::len);
    let value = |row: usize, column: usize| (features[row][column] as f64 / clip.max(1) as f64) as f32;
    Matrix::from_fn(features.len(), columns, value)
}

/// Features in units of the clip norm, neither clipped nor noised.
fn unreleased(features: &[i64]) -> Vec<f32> {
    features.iter().map(|value| (*value as f64 / CLIP_UNITS as f64) as f32).collect()
}

/// The class with the highest score, the first of equals.
pub(crate) fn answer(scores: &[f32]) -> usize {
    let best = scores
        .iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (class, score)| if *score > best.1 { (class, *score) } else { best });
    best.0
}

fn hits(answers: &[usize], labels: &[usize]) -> usize {
    answers.iter().zip(labels).filter(|(answer, label)| answer == label).count()
}
