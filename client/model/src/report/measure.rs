//! Runs samples through cuts, and measures what comes out.

use super::{
    Extent, RefusedCut, ReportError, Share, SplitReport,
    cuts::{CutState, linear_layers},
    plain,
    policy::{Listing, listing},
    slopes::FloatHead,
    strip,
    subject::{Axis, exact_match, subject},
};
use crate::{
    bench::{Bench, BenchError, BenchSplit, Obfuscate, clear_features, feature_matrix},
    card::{ModeName, PolicyCard, SplitCard},
    package::units,
    preamble::Preamble,
    quantise::CLIP_UNITS,
    samples::{Sample, spread},
    tail::{TailLimits, TailModel},
};
use encompute_head::EvaluateError;
use encompute_leakage::{
    Assessment, Channel, DecoderBudget, Matrix, Plan, Slopes, Subject, assess,
    bounds::{Change, Sensitivity, fitted_sigma, sensitivity},
    clipped,
    metrics::wilson,
};
use encompute_protocol::ReleasePolicy;
use rayon::prelude::*;

/// Of held-out samples one in so many is a target where the card names no population.
const TARGETS_OF: usize = 3;
/// Releases of each sample for accuracy, so that one lucky noise does not decide a figure.
const DRAWS: usize = 5;
/// Samples that attackers have, and targets, of a cut that the card does not name.
const SURVEYED: [usize; 2] = [1_200, 300];
/// Bits of a code where the card names none.
const SURVEYED_BITS: u8 = 5;
/// Bits beyond the class for which noise is fitted there: what `balanced` promises.
const BEYOND_CLASS_BITS: f64 = 5.0;
/// Share of features that are shorter than the clip norm there.
const UNCLIPPED: f64 = 0.95;
/// Samples whose sensitivity is measured.
const SENSITIVE: usize = 40;
/// How far they are changed: far above the rounding of floats, far below what changes an answer.
const REACH: f64 = 1e-3;

/// A bench with its samples.
pub struct Measurer<'a> {
    bench: &'a Bench,
    extent: &'a Extent,
    held_out: Vec<Sample>,
    population: Option<Vec<Sample>>,
    float_correct: usize,
}

/// Which samples are whose.
struct Parts<'a> {
    reference: Vec<&'a Sample>,
    targets: Vec<&'a Sample>,
}

/// What was measured of a cut besides leakage.
struct Row<'a> {
    split: &'a BenchSplit,
    policy: &'a str,
    on_card: bool,
    accuracy: Share,
    released: f64,
    /// Share that the plainest tail would be right in, at least.
    plain: f64,
}

impl<'a> Measurer<'a> {
    pub fn new(bench: &'a Bench, extent: &'a Extent) -> Result<Self, ReportError> {
        // Names the node that is at fault; the float model's run would only say that something is.
        bench.card().splits.iter().try_for_each(|split| bench.graph(&split.after).map(drop))?;
        let (held_out, population) = (bench.held_out()?, bench.population()?);
        let float = TailModel::load(&bench.model().to_bytes(), TailLimits::default())?;
        let correct = held_out.par_iter().map(|sample| Ok(usize::from(float.answer(&sample.float)? == sample.label)));
        let float_correct = correct.collect::<Result<Vec<_>, ReportError>>()?.into_iter().sum();
        Ok(Self { bench, extent, held_out, population, float_correct })
    }

    /// Where attackers' samples are from, in words.
    pub fn population(&self) -> String {
        let Parts { reference, targets } = self.parts();
        match self.population {
            Some(_) => {
                format!("{} samples of the card's population, tried on {} held out", reference.len(), targets.len())
            }
            None => format!("{} of the held-out samples, tried on the other {}", reference.len(), targets.len()),
        }
    }

    pub fn float(&self) -> Share {
        share(self.float_correct as f64, self.held_out.len())
    }

    fn parts(&self) -> Parts<'_> {
        let is_target = |at: &usize| self.population.is_some() || at % TARGETS_OF == TARGETS_OF - 1;
        let targets = (0..self.held_out.len()).filter(is_target).map(|at| &self.held_out[at]).collect();
        let rest = (0..self.held_out.len()).filter(|at| !is_target(at)).map(|at| &self.held_out[at]);
        Parts { reference: self.population.iter().flatten().chain(rest).collect(), targets }
    }

    /// Every split of the card under every policy.
    pub fn card(
        &self,
        obfuscate: &mut Obfuscate<'_>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Vec<SplitReport>, ReportError> {
        let parts = self.parts();
        let axis = Axis::new(self.bench.preamble(), &parts.reference);
        let mut reports = Vec::new();
        for index in 0..self.bench.card().splits.len() {
            let name = &self.bench.card().splits[index].name;
            progress(&format!(
                "{name}: quantise, compile, run {} samples",
                parts.reference.len() + self.held_out.len()
            ));
            let split = self.bench.split(index)?;
            let measured = self.bench.measure(&split, &self.held_out)?;
            let features = |samples: &[&Sample]| features_of(&split, samples);
            let reference = (parts.reference.as_slice(), features(&parts.reference)?);
            let subject = subject(&axis, reference, (&parts.targets, features(&parts.targets)?));
            let head = self.bench.graph(&split.card.after)?;
            let head = FloatHead::new(&head, split.card.clip, &axis).filter(|_| !self.bench.reads_text());
            let head = head.as_ref().map(|head| head as &dyn Slopes);
            for policy in split.policies() {
                let of = format!("{name}, {}", policy.name);
                let released_by = channel(&policy);
                let leakage = self.assessed((&of, head), &subject, &released_by, progress, true)?;
                progress(&format!("{of}: accuracy"));
                let row = Row {
                    split: &split,
                    policy: policy.name.as_str(),
                    on_card: true,
                    accuracy: share(measured.quantised_correct as f64, measured.samples()),
                    released: measured.released(&policy, DRAWS, obfuscate)?,
                    plain: plain::at_least(&subject, &released_by, self.extent.seed),
                };
                let sensitivity = self.sensitivity(&split.card, &axis, &parts.targets, leakage.channel.sigma)?;
                reports.push(self.report(&row, &parts, leakage, sensitivity)?);
            }
        }
        Ok(reports)
    }

    /// Every other place at which the model could be cut. Texts' encoders are not looked into.
    pub fn survey(
        &self,
        splits: &mut Vec<SplitReport>,
        refused: &mut Vec<RefusedCut>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), ReportError> {
        if self.bench.reads_text() {
            return Ok(());
        }
        let all = self.parts();
        let parts = Parts {
            reference: spread(&all.reference, SURVEYED[0]).copied().collect(),
            targets: spread(&all.targets, SURVEYED[1]).copied().collect(),
        };
        let axis = Axis::new(self.bench.preamble(), &parts.reference);
        let named: Vec<String> = self.bench.card().splits.iter().map(|split| split.after.clone()).collect();
        for cut in self.bench.cuts().into_iter().filter(|cut| !named.contains(&cut.after)) {
            let linear = match cut.state {
                CutState::Possible { linear, .. } => linear,
                CutState::Refused(error) => {
                    refused.push(RefusedCut { reason: words(&error), after: cut.after });
                    continue;
                }
            };
            progress(&format!("survey {}", cut.after));
            match self.surveyed(&cut.after, linear, &parts, &axis) {
                Ok(report) => splits.push(report),
                // A place where the head cannot be quantised is no fault of the model's.
                Err(ReportError::Bench(error)) => refused.push(RefusedCut { reason: words(&error), after: cut.after }),
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    fn surveyed(&self, after: &str, linear: bool, parts: &Parts<'_>, axis: &Axis) -> Result<SplitReport, ReportError> {
        let mode = if linear { ModeName::Linear } else { ModeName::Rounds };
        let card = SplitCard {
            name: after.to_owned(),
            after: after.to_owned(),
            mode,
            inside: None,
            bootstraps_per_segment: None,
            clip: 1.0,
            policies: vec![PolicyCard { name: "fitted".to_owned(), sigma: 1.0, bits: SURVEYED_BITS }],
        };
        let mut split = self.bench.cut(&card)?;
        let [reference, targets] = [&parts.reference, &parts.targets].map(|part| features_of(&split, part));
        let (reference, targets) = (reference?, targets?);
        let clip = fitted_clip(&reference);
        split.card.clip = clip;
        split.tail = self.bench.model().tail_after(after, split.plan.feature_count(), clip as f32)?;
        let [reference, targets] = [reference, targets].map(|features| in_units_of(clip, features));
        let subject = subject(axis, (&parts.reference, reference), (&parts.targets, targets));
        let promised = (self.bench.card().labels.len() as f64).log2() + BEYOND_CLASS_BITS;
        let sigma = fitted_sigma(&clipped(&subject.reference.features), &subject.reference.labels, promised);
        let channel = Channel::reaching(sigma, SURVEYED_BITS);
        let leakage = self.assessed((after, None), &subject, &channel, &mut |_| {}, false)?;
        let tail = split.tail.as_deref().map(|bytes| TailModel::load(bytes, TailLimits::default())).transpose()?;
        let correct = |rows: &Matrix| {
            let right = rows.each_row().zip(&subject.targets.labels).map(|(row, label)| {
                let answer = match &tail {
                    Some(tail) => tail.answer(row)?,
                    None => crate::bench::answer(row),
                };
                Ok::<_, ReportError>(f64::from(u8::from(answer == *label)))
            });
            Ok::<_, ReportError>(right.collect::<Result<Vec<f64>, _>>()?.iter().sum::<f64>())
        };
        let released = channel.releases(&subject.targets.features, self.extent.seed).map(|value| value as f32);
        let accuracy = share(correct(&subject.targets.features)?, parts.targets.len());
        let released = correct(&released)? / parts.targets.len().max(1) as f64;
        let row = Row { split: &split, policy: "fitted", on_card: false, accuracy, released, plain: 0.0 };
        self.report(&row, parts, leakage, None)
    }

    fn assessed(
        &self,
        (of, head): (&str, Option<&dyn Slopes>),
        subject: &Subject,
        channel: &Channel,
        progress: &mut dyn FnMut(&str),
        whole: bool,
    ) -> Result<Assessment, ReportError> {
        let decoder = whole.then_some(DecoderBudget { epochs: self.extent.epochs });
        let plan = Plan { seed: self.extent.seed, decoder, repeats: whole };
        let named = |source| ReportError::Subject { split: of.to_owned(), source };
        assess(subject, head, (channel, &plan), &mut |step| progress(&format!("{of}: {step}"))).map_err(named)
    }

    /// How much features move with an input; of the float head, whose numbers are not rounded.
    fn sensitivity(
        &self,
        card: &SplitCard,
        axis: &Axis,
        targets: &[&Sample],
        sigma: f64,
    ) -> Result<Option<Sensitivity>, ReportError> {
        if matches!(self.bench.preamble(), Preamble::Text(_)) {
            return Ok(None);
        }
        let head = TailModel::load(&self.bench.model().head_file(&card.after)?, TailLimits::default())?;
        let few: Vec<&Sample> = spread(targets, SENSITIVE).copied().collect();
        let width = axis.units.len();
        let inputs = Matrix::from_fn(few.len(), width, |row, column| few[row].float[column]);
        let change = Change { units: &axis.units, reach: REACH };
        let clip = card.clip as f32;
        let features =
            |input: &[f32]| Ok::<_, ReportError>(head.run(input)?.iter().map(|value| value / clip).collect());
        sensitivity(&inputs, change, (sigma, self.extent.seed), features).map(Some)
    }

    fn report(
        &self,
        row: &Row<'_>,
        parts: &Parts<'_>,
        mut leakage: Assessment,
        sensitivity: Option<Sensitivity>,
    ) -> Result<SplitReport, ReportError> {
        leakage.sensitivity = sensitivity;
        if self.bench.reads_text() {
            // Hundreds of numbers without a name say nothing one by one.
            let floors = [&mut leakage.floor_mean, &mut leakage.floor_class];
            let rest = [&mut leakage.unprotected, &mut leakage.in_archive];
            let attacks = leakage.attacks.iter_mut().map(|attack| &mut attack.likeness);
            floors.into_iter().chain(rest).chain(attacks).for_each(|likeness| likeness.attributes.clear());
        }
        let Row { split, accuracy, released, on_card, plain, .. } = *row;
        let cost = split.compiled.cost();
        let (pictures, last) = (leakage.floor_class.structural.is_some(), leakage.naming.last().copied());
        let judged = Listing {
            grade: leakage.grade,
            has_tail: split.tail.is_some(),
            on_card,
            lost_points: (accuracy.share - released) * 100.0,
            plain_points: (plain - released) * 100.0,
        };
        let (listable, why) = listing(&judged);
        let reason = match why {
            Some(why) => why,
            None if on_card => leakage.reason.clone(),
            None => format!("not on the card; {}", leakage.reason),
        };
        let strip = if on_card { strip::rows(&leakage.strip)? } else { Vec::new() };
        let exact = |_: &()| exact_match(&parts.reference, &parts.targets, &leakage.nearest);
        Ok(SplitReport {
            name: split.card.name.clone(),
            policy: row.policy.to_owned(),
            after: split.card.after.clone(),
            on_card,
            depth: linear_layers(&self.bench.graph(&split.card.after)?),
            mode: match split.plan.mode() {
                encompute_head::Mode::Linear => "linear",
                encompute_head::Mode::Rounds => "rounds",
                encompute_head::Mode::Bootstrapped(_) => "bootstrapped",
            },
            ms: cost.estimated_microseconds as f64 / 1_000.0,
            bytes_up: cost.request_bytes + cost.blinding_key_bytes,
            bytes_down: cost.response_bytes,
            key_bytes: cost.evaluation_key_bytes,
            pbs: cost.bootstraps,
            cost_units: units(cost.ring_products, cost.bootstraps).0,
            features: split.plan.feature_count(),
            accuracy: accuracy.share,
            accuracy_interval: [accuracy.low, accuracy.high],
            released_accuracy: released,
            released_interval: wilson(released * accuracy.samples as f64, accuracy.samples),
            ssim_above_floor: pictures.then_some(leakage.above_floor),
            r2_above_floor: (!pictures).then_some(leakage.above_floor),
            exact_match: self.bench.reads_text().then_some(()).as_ref().map(exact),
            bits: leakage.bits.at_most,
            posterior_bits: leakage.bits.posterior,
            reid_10k: last.map_or(1.0, |naming| naming.share),
            reid_at_most: last.is_none_or(|naming| naming.at_most),
            grade: leakage.grade,
            listable,
            reason,
            strip,
            leakage,
        })
    }
}

pub(crate) fn words(error: &BenchError) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

fn share(right: f64, samples: usize) -> Share {
    let [low, high] = wilson(right, samples);
    Share { share: right / samples.max(1) as f64, low, high, samples }
}

/// What the integer head gives for samples, in units of the clip norm.
pub(crate) fn features_of(split: &BenchSplit, samples: &[&Sample]) -> Result<Matrix, BenchError> {
    let features = samples.par_iter().map(|sample| clear_features(&split.compiled, &sample.tensor));
    Ok(feature_matrix(&features.collect::<Result<Vec<_>, EvaluateError>>()?, CLIP_UNITS))
}

/// A clip norm for features that were cut with the norm 1: most are shorter; 1 where all are 0.
pub(crate) fn fitted_clip(rows: &Matrix) -> f64 {
    let norm = |row: &[f32]| row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    let mut norms: Vec<f64> = rows.each_row().map(norm).collect();
    norms.sort_by(f64::total_cmp);
    let at = ((norms.len() as f64 * UNCLIPPED) as usize).min(norms.len().saturating_sub(1));
    norms.get(at).copied().filter(|norm| *norm > 0.0).unwrap_or(1.0)
}

/// Features that were cut with the norm 1, in units of another.
pub(crate) fn in_units_of(clip: f64, mut features: Matrix) -> Matrix {
    features.values_mut().iter_mut().for_each(|value| *value = (f64::from(*value) / clip) as f32);
    features
}

/// A policy as the leakage suite has it.
pub(crate) fn channel(policy: &ReleasePolicy) -> Channel {
    let clip = policy.clip.max(1) as f64;
    Channel { sigma: policy.sigma_milli as f64 / 1_000.0 / clip, step: policy.step as f64 / clip, bits: policy.bits }
}
