//! The attacker who searches for an input that would have been released so: descent along the head's own slopes on the
//! likelihood of the codes, with a prior that pictures are smooth and that numbers lie where the population's do.

use crate::{
    channel::Channel,
    matrix::Matrix,
    random::{Purpose, Random, Seed},
    sample::Kind,
};
use rayon::prelude::*;

/// A head that slopes can be taken through.
pub trait Slopes: Sync {
    /// Runs the head on an input of the subject's, gives its features (in units of the clip norm, before they are clipped)
    /// to `slope`, and answers the input's slope for the features' slope that comes back.
    fn pull(&self, input: &[f64], slope: &mut dyn FnMut(&[f64]) -> Vec<f64>) -> Vec<f64>;

    /// Multiplications of one such run.
    fn work(&self) -> u64;
}

/// Multiplications that a whole attack may take: some ten seconds of two cores.
const WORK: u64 = 20_000_000_000;
/// Targets at most, and at least.
const TARGETS: [usize; 2] = [8, 32];
/// Reference samples on which the weight of the prior is chosen.
const TUNED: usize = 6;
/// Weights of the prior that are tried.
const WEIGHTS: [f64; 3] = [0.02, 0.2, 2.0];
/// Steps of a descent at most, and at least.
const STEPS: [u64; 2] = [60, 400];
/// Where a descent starts: the linear attacker's guess, the mean of the answer's class, noise around it.
const STARTS: u64 = 3;
/// Size of the first step; it falls in a line to a tenth over the descent.
const RATE: f64 = 0.05;
/// Adam's decay of the mean slope, and of its square.
const DECAY: [f64; 2] = [0.9, 0.999];
/// What keeps quotients and roots finite.
const LEAST: f64 = 1e-8;

/// What is known of some samples, row by row.
pub(crate) struct Victims<'a> {
    /// Codes times the step.
    pub released: &'a Matrix<f64>,
    /// What the linear attacker makes of them.
    pub linear: &'a Matrix,
    /// Means of the classes that the answers name.
    pub class_mean: &'a Matrix,
}

/// How a head is searched.
pub(crate) struct Search<'a> {
    pub kind: &'a Kind,
    pub head: &'a dyn Slopes,
    pub channel: &'a Channel,
    pub seed: Seed,
}

impl Search<'_> {
    /// How many targets of a run are affordable, and how many steps each.
    pub fn extent(&self) -> (usize, u64) {
        let runs = WORK / self.head.work().max(1);
        let tuned = (TUNED * WEIGHTS.len()) as u64;
        let all = tuned + STARTS * TARGETS[1] as u64;
        let steps = (runs / all).clamp(STEPS[0], STEPS[1]);
        let targets = (runs / steps).saturating_sub(tuned) / STARTS;
        let targets = usize::try_from(targets).unwrap_or(usize::MAX).clamp(TARGETS[0], TARGETS[1]);
        // As many times the least: so the pictures that a report shows are among them.
        (targets / TARGETS[0] * TARGETS[0], steps)
    }

    /// How many reference samples are wanted.
    pub fn tuned(&self) -> usize {
        TUNED
    }

    /// The weight of the prior under which reference samples are rebuilt with the least error.
    pub fn weight(&self, samples: &Victims<'_>, inputs: &Matrix, steps: u64) -> f64 {
        let error = |weight: f64| {
            let found =
                |row: usize| self.descended(samples.released.row(row), samples.linear.row(row), weight, steps).1;
            let missed = |row: usize| {
                let pairs = found(row).into_iter().zip(inputs.row(row).iter().map(|value| f64::from(*value)));
                pairs.map(|(found, wanted)| (found - wanted) * (found - wanted)).sum::<f64>()
            };
            let missed: Vec<f64> = (0..inputs.rows()).into_par_iter().map(missed).collect();
            missed.iter().sum::<f64>()
        };
        let errors = WEIGHTS.map(error);
        let best = (1..WEIGHTS.len()).fold(0, |best, at| if errors[at] < errors[best] { at } else { best });
        WEIGHTS[best]
    }

    /// Guesses for all victims: of three descents the one that explains the codes best.
    pub fn guesses(&self, victims: &Victims<'_>, weight: f64, steps: u64) -> Matrix {
        let width = victims.linear.columns();
        let mut random = Random::new(self.seed, Purpose::Starts);
        let noise = Matrix::from_fn(victims.linear.rows(), width, |_, _| (0.25 * random.normal()) as f32);
        let guess = |row: usize| {
            let mean = victims.class_mean.row(row);
            let around: Vec<f32> = mean.iter().zip(noise.row(row)).map(|(mean, noise)| mean + noise).collect();
            let starts = [victims.linear.row(row), mean, &around];
            let found = starts.map(|start| self.descended(victims.released.row(row), start, weight, steps));
            let best = found.into_iter().reduce(|best, other| if other.0 < best.0 { other } else { best });
            best.map(|(_, guess)| guess).unwrap_or_default()
        };
        let guesses: Vec<Vec<f64>> = (0..victims.linear.rows()).into_par_iter().map(guess).collect();
        Matrix::from_fn(guesses.len(), width, |row, column| guesses[row].get(column).map_or(0.0, |value| *value as f32))
    }

    /// Where a descent ends, and how unlikely that is.
    fn descended(&self, released: &[f64], start: &[f32], weight: f64, steps: u64) -> (f64, Vec<f64>) {
        let mut guess: Vec<f64> = start.iter().map(|value| f64::from(*value)).collect();
        let (mut mean, mut square) = (vec![0.0; guess.len()], vec![0.0; guess.len()]);
        let mut left = [1.0, 1.0];
        let mut best = (f64::INFINITY, guess.clone());
        for step in 0..=steps {
            let (unlikely, slope) = self.slope(&guess, released, weight);
            if unlikely < best.0 {
                best = (unlikely, guess.clone());
            }
            left = [left[0] * DECAY[0], left[1] * DECAY[1]];
            let rate = RATE * (1.0 - 0.9 * step as f64 / steps as f64) * (1.0 - left[1]).sqrt() / (1.0 - left[0]);
            let moments = mean.iter_mut().zip(&mut square);
            for ((value, slope), (mean, square)) in guess.iter_mut().zip(slope).zip(moments) {
                *mean = DECAY[0] * *mean + (1.0 - DECAY[0]) * slope;
                *square = DECAY[1] * *square + (1.0 - DECAY[1]) * slope * slope;
                *value -= rate * *mean / (square.sqrt() + LEAST);
            }
            if matches!(self.kind, Kind::Picture { .. }) {
                guess.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
            }
        }
        best
    }

    /// How unlikely codes and guess are together, and its slope.
    fn slope(&self, guess: &[f64], released: &[f64], weight: f64) -> (f64, Vec<f64>) {
        let precision = 1.0 / self.channel.spread().powi(2).max(LEAST);
        let mut unlikely = 0.0;
        let mut slope = self.head.pull(guess, &mut |features| {
            let norm = features.iter().map(|value| value * value).sum::<f64>().sqrt().max(1.0);
            let missed: Vec<f64> = features.iter().zip(released).map(|(value, code)| value / norm - code).collect();
            unlikely = 0.5 * precision * missed.iter().map(|missed| missed * missed).sum::<f64>();
            // What is clipped moves on a sphere: the part along the features themselves is lost.
            let along = match norm > 1.0 {
                true => features.iter().zip(&missed).map(|(value, missed)| value * missed).sum::<f64>() / (norm * norm),
                false => 0.0,
            };
            features.iter().zip(&missed).map(|(value, missed)| precision * (missed - value * along) / norm).collect()
        });
        unlikely += weight * self.prior(guess, weight, &mut slope);
        (unlikely, slope)
    }

    /// Total variation of pictures, half the square of other numbers; `weight` times its slope is added.
    fn prior(&self, guess: &[f64], weight: f64, slope: &mut [f64]) -> f64 {
        let Kind::Picture { height, width, .. } = *self.kind else {
            slope.iter_mut().zip(guess).for_each(|(slope, value)| *slope += weight * value);
            return 0.5 * guess.iter().map(|value| value * value).sum::<f64>();
        };
        let mut total = 0.0;
        for plane in (0..guess.len()).step_by((height * width).max(1)) {
            for (row, column) in (0..height - 1).flat_map(|row| (0..width - 1).map(move |column| (row, column))) {
                let [here, right, below] = [0, 1, width].map(|by| plane + row * width + column + by);
                let (across, down) = (guess[right] - guess[here], guess[below] - guess[here]);
                let length = (across * across + down * down + 1e-6).sqrt();
                total += length;
                slope[right] += weight * across / length;
                slope[below] += weight * down / length;
                slope[here] -= weight * (across + down) / length;
            }
        }
        total
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Features are the first numbers of the input.
    struct First(usize);

    impl Slopes for First {
        fn pull(&self, input: &[f64], slope: &mut dyn FnMut(&[f64]) -> Vec<f64>) -> Vec<f64> {
            let mut pulled = slope(&input[..self.0]);
            pulled.resize(input.len(), 0.0);
            pulled
        }

        fn work(&self) -> u64 {
            1_000_000
        }
    }

    fn search<'a>(kind: &'a Kind, channel: &'a Channel, head: &'a First) -> Search<'a> {
        Search { kind, head, channel, seed: Seed(1) }
    }

    #[test]
    fn slopes_are_those_of_what_is_minimised() {
        let channel = Channel::reaching(0.3, 6);
        let picture = Kind::Picture { channels: 2, height: 3, width: 3 };
        let numbers = Kind::Attributes { names: vec![String::new(); 18] };
        for kind in [&picture, &numbers] {
            let head = First(4);
            let search = search(kind, &channel, &head);
            for scale in [0.2, 2.0] {
                let guess: Vec<f64> = (0..18).map(|at| scale * f64::from(at * 7 % 11) / 11.0).collect();
                let codes = [0.1, -0.4, 0.3, 0.2];
                let (_, slope) = search.slope(&guess, &codes, 0.3);
                for at in 0..guess.len() {
                    let moved = |by: f64| {
                        let mut guess = guess.clone();
                        guess[at] += by;
                        search.slope(&guess, &codes, 0.3).0
                    };
                    let wanted = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    assert!((slope[at] - wanted).abs() < 1e-3 * wanted.abs().max(1.0), "{at}: {} {wanted}", slope[at]);
                }
            }
        }
    }

    #[test]
    fn what_is_shown_is_found_and_what_is_not_stays_where_the_population_is() {
        let channel = Channel::reaching(0.01, 10);
        let kind = Kind::Attributes { names: vec![String::new(); 4] };
        let head = First(2);
        let search = search(&kind, &channel, &head);
        let released = Matrix::new(2, vec![0.6, -0.3, -0.5, 0.5]).unwrap();
        let zeros = Matrix::zeros(2, 4);
        let victims = Victims { released: &released, linear: &zeros, class_mean: &zeros };
        let found = search.guesses(&victims, 0.02, 400);
        for (row, shown) in [[0.6, -0.3], [-0.5, 0.5]].into_iter().enumerate() {
            let found = found.row(row);
            assert!((0..2).all(|at| (f64::from(found[at]) - shown[at]).abs() < 0.02), "{found:?}");
            assert!(found[2..].iter().all(|value| value.abs() < 0.1), "{found:?}");
        }
    }

    #[test]
    fn a_larger_head_is_searched_for_fewer_inputs() {
        struct Large;
        impl Slopes for Large {
            fn pull(&self, _: &[f64], slope: &mut dyn FnMut(&[f64]) -> Vec<f64>) -> Vec<f64> {
                slope(&[])
            }
            fn work(&self) -> u64 {
                10_000_000
            }
        }
        let (channel, kind) = (Channel::reaching(0.1, 5), Kind::Attributes { names: Vec::new() });
        let extent = |head: &dyn Slopes| Search { kind: &kind, head, channel: &channel, seed: Seed(1) }.extent();
        assert_eq!(extent(&First(1)), (32, 175));
        assert_eq!(extent(&Large), (8, 60));
    }
}
