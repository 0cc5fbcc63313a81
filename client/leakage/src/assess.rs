//! Everything that is measured of one way to release: floors, attacks, bounds, a grade.

use crate::{
    attack::{
        decoder::{Decoder, DecoderBudget},
        gradient::{Search, Slopes, Victims},
        linear::LinearAttack,
        naming::{Naming, naming},
        plausible, posterior,
        probe::{TraitFigures, probe, traits},
    },
    bounds::{InformationBound, Sensitivity, WorstCase, information_bound, naming_bound, worst_case},
    channel::{Channel, clipped},
    floor::floors,
    grade::{Grade, Graded, grade},
    likeness::Likeness,
    matrix::Matrix,
    metrics::mean_and_worst,
    random::{Purpose, Random, Seed},
    sample::{Kind, Subject, SubjectError},
};
use serde::Serialize;

/// Sizes of archives in which an input is looked for; the last one counts for the grade.
pub const ARCHIVES: [usize; 3] = [100, 1_000, 10_000];
/// How often an input is released for the curve of repeats.
pub const REPEATS: [usize; 4] = [1, 4, 16, 64];
/// Targets on which attackers with an archive are tried.
const NAMED: usize = 1_000;
/// Targets of the curve of repeats.
const REPEATED: usize = 200;
/// Inputs of a strip.
const SHOWN: usize = 8;

/// How an assessment is made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// What all randomness follows from.
    pub seed: Seed,
    /// How hard the decoder is trained; none for no decoder.
    pub decoder: Option<DecoderBudget>,
    /// Whether the curve of repeats is drawn.
    pub repeats: bool,
}

/// What an attack reached.
#[derive(Clone, Debug, Serialize)]
pub struct AttackFigures {
    /// Which attack.
    pub name: &'static str,
    /// How alike its guesses are.
    pub likeness: Likeness,
    /// Its similarity less that of the better floor.
    pub above_floor: f64,
    /// On how many targets it was tried.
    pub targets: usize,
}

/// Bits that a release tells.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Bits {
    /// The least of the bounds below.
    pub at_most: f64,
    /// Codes times their bits.
    pub capacity: f64,
    /// From covariances of held-out inputs.
    pub gaussian: InformationBound,
    /// Exact, for held-out inputs in an archive of all samples: the mean.
    pub posterior: f64,
    /// The same over the twentieth of inputs of which most is told.
    pub posterior_worst: f64,
    /// The most that it could be: the archive's own bits.
    pub archive: f64,
}

/// What is told if an input is released again and again with fresh noise.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Repeat {
    /// Releases that are averaged.
    pub times: usize,
    /// Similarity of the best attack without training, less that of the better floor.
    pub above_floor: f64,
    /// As [`Bits::posterior`].
    pub bits: f64,
    /// Share named among all samples.
    pub named: f64,
}

/// Pictures of a few targets: as they are, and as attackers see them.
#[derive(Clone, Debug, Default)]
pub struct Strip {
    /// What the pictures are; none where inputs are no pictures.
    pub kind: Option<Kind>,
    /// What a row shows.
    pub names: Vec<&'static str>,
    /// By row, then by target: all samples of a picture.
    pub rows: Vec<Vec<Vec<f32>>>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Assessment {
    /// Samples that attackers learnt from.
    pub reference: usize,
    /// Samples that they were tried on.
    pub targets: usize,
    /// The release.
    pub channel: Channel,
    /// The mean of all inputs as a guess.
    pub floor_mean: Likeness,
    /// The mean of the right class as a guess.
    pub floor_class: Likeness,
    /// The best linear attacker if nothing were clipped, noised or rounded.
    pub unprotected: Likeness,
    /// The attacks that count, on released features.
    pub attacks: Vec<AttackFigures>,
    /// The worst of them.
    pub above_floor: f64,
    /// What an attacker makes of it whose archive holds the input itself: naming in another form, not counted.
    pub in_archive: Likeness,
    /// Bits.
    pub bits: Bits,
    /// How often an input is found in archives of the sizes of [`ARCHIVES`].
    pub naming: Vec<Naming>,
    /// The share that no attacker exceeds among 10,000, by Fano's inequality.
    pub naming_bound: f64,
    /// Traits of the input.
    pub traits: Vec<TraitFigures>,
    /// By number of releases.
    pub repeats: Vec<Repeat>,
    /// Differential privacy.
    pub worst_case: WorstCase,
    /// How much features move with an input, where the caller measured it.
    pub sensitivity: Option<Sensitivity>,
    /// Epochs that the decoder was trained.
    pub decoder_epochs: usize,
    /// One letter.
    pub grade: Grade,
    /// Why it is no better.
    pub reason: String,
    /// A few targets, for people.
    #[serde(skip)]
    pub strip: Strip,
    /// For each target the reference sample that is most likely what was released.
    #[serde(skip)]
    pub nearest: Vec<usize>,
}

/// A subject as attackers meet it.
struct Scene<'a> {
    subject: &'a Subject,
    channel: &'a Channel,
    seed: Seed,
    /// Clipped features: of the reference, of the targets, of both.
    reference: Matrix<f64>,
    targets: Matrix<f64>,
    archive: Matrix<f64>,
    /// One release of each.
    learnt: Matrix<f64>,
    released: Matrix<f64>,
    /// Similarity of the better floor.
    floor: f64,
}

/// Measures what `channel` gives away of `subject`'s targets; with `head`, also to an attacker who follows its slopes.
/// `progress` hears what is done next.
///
/// # Errors
/// [`SubjectError`]; a channel without noise is measured as one with next to none.
pub fn assess(
    subject: &Subject,
    head: Option<&dyn Slopes>,
    (channel, plan): (&Channel, &Plan),
    progress: &mut dyn FnMut(&'static str),
) -> Result<Assessment, SubjectError> {
    subject.check()?;
    progress("floors");
    let floors = floors(subject);
    let [floor_mean, floor_class] = [&floors.mean, &floors.class_mean].map(|guess| likeness(subject, guess));
    let floor = floor_mean.similarity().max(floor_class.similarity());
    let scene = Scene::new(subject, channel, plan.seed, floor);
    let mut strip = Strip::new(subject);
    strip.add("label alone", &floors.class_mean);
    progress("linear attack");
    let linear = scene.linear();
    strip.add("linear attack", &linear);
    let mut attacks = vec![scene.figures("linear", &linear)];
    let mut decoder_epochs = 0;
    if let Some(budget) = plan.decoder {
        progress("decoder");
        let how = (channel, plan.seed, budget);
        if let Some(decoder) = Decoder::train(&scene.reference, &subject.reference.inputs, how) {
            let guesses = plausible(&subject.kind, decoder.guess(&scene.released));
            strip.add("decoder", &guesses);
            attacks.push(scene.figures("decoder", &guesses));
            decoder_epochs = decoder.epochs;
        }
    }
    if let Some(head) = head {
        progress("search along the head's slopes");
        let (figures, guesses) = scene.searched(head, &linear, &floors.class_mean);
        strip.add("search", &guesses);
        attacks.push(figures);
    }
    progress("attackers with an archive");
    let archived = scene.archived();
    strip.add("posterior mean", &archived.without);
    attacks.push(scene.figures("posterior", &archived.without));
    let unprotected = scene.unprotected();
    let worst = attacks.iter().map(|attack| attack.above_floor).fold(f64::NEG_INFINITY, worse);
    let bits = scene.bits(&archived.bits);
    let named = archived.naming.last().map_or(1.0, |naming| naming.share);
    let pictures = floor_class.structural.is_some();
    let (letter, reason) = grade(&Graded { above_floor: worst, pictures, named, bits: bits.at_most });
    progress("traits and repeats");
    let told = traits(subject);
    let told = told.iter().filter_map(|wanted| probe(subject, wanted, [&scene.learnt, &scene.released], plan.seed));
    Ok(Assessment {
        reference: subject.reference.labels.len(),
        targets: subject.targets.labels.len(),
        channel: *channel,
        floor_mean,
        floor_class,
        unprotected,
        attacks,
        above_floor: worst,
        in_archive: archived.within,
        bits,
        naming: archived.naming,
        naming_bound: naming_bound(bits.at_most, ARCHIVES[2]),
        traits: told.collect(),
        repeats: if plan.repeats { scene.repeats() } else { Vec::new() },
        worst_case: worst_case(channel.sigma),
        sensitivity: None,
        decoder_epochs,
        grade: letter,
        reason,
        strip,
        nearest: archived.nearest,
    })
}

/// The larger; what is not a number is as bad as can be.
fn worse(one: f64, other: f64) -> f64 {
    if one.is_nan() || other.is_nan() { f64::NAN } else { one.max(other) }
}

/// Of guesses for all targets.
fn likeness(subject: &Subject, guess: &Matrix) -> Likeness {
    Likeness::of(&subject.kind, &subject.targets.inputs, guess)
}

/// What attackers with an archive reach.
struct Archived {
    /// The posterior's mean over an archive that lacks the input.
    without: Matrix,
    /// How alike its mean is over one that holds the input.
    within: Likeness,
    bits: Vec<f64>,
    naming: Vec<Naming>,
    nearest: Vec<usize>,
}

impl<'a> Scene<'a> {
    fn new(subject: &'a Subject, channel: &'a Channel, seed: Seed, floor: f64) -> Self {
        let (reference, targets) = (clipped(&subject.reference.features), clipped(&subject.targets.features));
        let learnt = channel.released(&reference, &mut Random::new(seed, Purpose::Learning));
        let released = channel.released(&targets, &mut Random::new(seed, Purpose::Victims));
        let archive = reference.above(&targets);
        Self { subject, channel, seed, reference, targets, archive, learnt, released, floor }
    }

    fn figures(&self, name: &'static str, guess: &Matrix) -> AttackFigures {
        let likeness = likeness(self.subject, guess);
        AttackFigures { name, above_floor: likeness.similarity() - self.floor, likeness, targets: self.targets.rows() }
    }

    /// What a search along the head's slopes reaches, on as many targets as it can afford.
    fn searched(&self, head: &dyn Slopes, linear: &Matrix, class_mean: &Matrix) -> (AttackFigures, Matrix) {
        let Subject { kind, reference, targets } = self.subject;
        let search = Search { kind, head, channel: self.channel, seed: self.seed };
        let (count, steps) = search.extent();
        let all = reference.inputs.rows();
        let few: Vec<usize> = (0..search.tuned().min(all)).map(|at| at * all / search.tuned().min(all)).collect();
        let learnt = self.learnt.chosen(&few);
        let guess = self.linear_from(&self.learnt, &learnt);
        let known = Victims { released: &learnt, linear: &guess, class_mean: &guess };
        let weight = search.weight(&known, &reference.inputs.chosen(&few), steps);
        let (chosen, _) = self.spread(count);
        let (released, truth) = (self.released.chosen(&chosen), targets.inputs.chosen(&chosen));
        let (linear, class_mean) = (linear.chosen(&chosen), class_mean.chosen(&chosen));
        let victims = Victims { released: &released, linear: &linear, class_mean: &class_mean };
        let guesses = search.guesses(&victims, weight, steps);
        let likeness = Likeness::of(kind, &truth, &guesses);
        let above_floor = likeness.similarity() - self.floor_of(&chosen, &truth);
        (AttackFigures { name: "search", above_floor, likeness, targets: chosen.len() }, guesses)
    }

    fn linear_from(&self, learnt: &Matrix<f64>, released: &Matrix<f64>) -> Matrix {
        let inputs = &self.subject.reference.inputs;
        let guess = LinearAttack::learn(learnt, inputs, self.seed).map(|attack| attack.guess(released));
        plausible(&self.subject.kind, guess.unwrap_or_else(|| Matrix::zeros(released.rows(), inputs.columns())))
    }

    fn linear(&self) -> Matrix {
        self.linear_from(&self.learnt, &self.released)
    }

    fn unprotected(&self) -> Likeness {
        let Subject { reference, targets, .. } = self.subject;
        let [learnt, released] = [&reference.features, &targets.features].map(|features| features.map(f64::from));
        likeness(self.subject, &self.linear_from(&learnt, &released))
    }

    /// Targets, at most `count`, evenly spread: which they are, and where they are in the archive.
    fn spread(&self, count: usize) -> (Vec<usize>, Vec<usize>) {
        let all = self.targets.rows();
        let count = count.min(all);
        let chosen: Vec<usize> = (0..count).map(|at| at * all / count).collect();
        let own = chosen.iter().map(|target| self.reference.rows() + target).collect();
        (chosen, own)
    }

    fn archived(&self) -> Archived {
        let (chosen, own) = self.spread(NAMED);
        let logs = posterior::log_likelihoods(self.channel, &self.archive, &self.released.chosen(&chosen));
        let inputs = self.subject.reference.inputs.above(&self.subject.targets.inputs);
        let truth = self.subject.targets.inputs.chosen(&chosen);
        let naming = ARCHIVES.iter().map(|candidates| naming(&logs, &own, *candidates)).collect();
        // Rebuilding is tried on all targets, so that it compares with the other attacks; the archive is the reference.
        let without = posterior::log_likelihoods(self.channel, &self.reference, &self.released);
        let most = |line: &[f64]| (1..line.len()).fold(0, |best, at| if line[at] > line[best] { at } else { best });
        Archived {
            nearest: without.each_row().map(most).collect(),
            without: posterior::weights(&without).times(&self.subject.reference.inputs),
            within: Likeness::of(&self.subject.kind, &truth, &posterior::weights(&logs).times(&inputs)),
            bits: posterior::information_bits(&logs, &own),
            naming,
        }
    }

    fn bits(&self, posterior: &[f64]) -> Bits {
        // Of what the model has not seen alone: features of what it was trained on lie closer together.
        let gaussian = information_bound(&self.targets, &self.subject.targets.labels, self.channel.sigma);
        let capacity = self.archive.columns() as f64 * f64::from(self.channel.bits);
        let (mean, worst) = mean_and_worst(posterior);
        Bits {
            at_most: gaussian.bits().min(capacity),
            capacity,
            gaussian,
            posterior: mean,
            posterior_worst: worst,
            archive: libm::log2(self.archive.rows() as f64),
        }
    }

    fn repeats(&self) -> Vec<Repeat> {
        let (chosen, own) = self.spread(REPEATED);
        let (targets, truth) = (self.targets.chosen(&chosen), self.subject.targets.inputs.chosen(&chosen));
        let floor = self.floor_of(&chosen, &truth);
        let mut random = Random::new(self.seed, Purpose::Repeats);
        let inputs = &self.subject.reference.inputs;
        let mut repeat = |times: usize| {
            let learnt = self.channel.released_mean(&self.reference, times, &mut random);
            let released = self.channel.released_mean(&targets, times, &mut random);
            let spread = self.channel.spread() / (times as f64).sqrt();
            let logs = posterior::gaussian(spread, &self.archive, &released);
            let without = posterior::gaussian(spread, &self.reference, &released);
            let guesses = [self.linear_from(&learnt, &released), posterior::weights(&without).times(inputs)];
            let alike = guesses.map(|guess| Likeness::of(&self.subject.kind, &truth, &guess).similarity());
            Repeat {
                times,
                above_floor: worse(alike[0], alike[1]) - floor,
                bits: mean_and_worst(&posterior::information_bits(&logs, &own)).0,
                named: naming(&logs, &own, self.archive.rows()).share,
            }
        };
        REPEATS.iter().map(|times| repeat(*times)).collect()
    }

    /// The better floor of some targets alone.
    fn floor_of(&self, chosen: &[usize], truth: &Matrix) -> f64 {
        let floors = floors(self.subject);
        let alike = [floors.mean, floors.class_mean]
            .map(|guess| Likeness::of(&self.subject.kind, truth, &guess.chosen(chosen)).similarity());
        worse(alike[0], alike[1])
    }
}

impl Strip {
    fn new(subject: &Subject) -> Self {
        let mut strip = Self { kind: Some(subject.kind.clone()), names: Vec::new(), rows: Vec::new() };
        strip.kind = strip.kind.filter(|kind| matches!(kind, Kind::Picture { .. }));
        strip.add("original", &subject.targets.inputs);
        strip
    }

    fn add(&mut self, name: &'static str, pictures: &Matrix) {
        if self.kind.is_none() {
            return;
        }
        let count = SHOWN.min(pictures.rows());
        let shown = (0..count).map(|at| pictures.row(at * pictures.rows() / count).to_vec());
        self.names.push(name);
        self.rows.push(shown.collect());
    }
}
