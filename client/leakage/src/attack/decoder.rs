//! A decoder: a small network that is trained on released samples, with fresh noise in every epoch. It adds to what the
//! linear attacker makes of them, and begins with nothing: so it learns only what that one cannot see.

use super::linear::LinearAttack;
use crate::{
    channel::Channel,
    matrix::Matrix,
    random::{Purpose, Random, Seed},
    solve::means,
};

/// Values of the two inner layers.
const HIDDEN: usize = 256;
/// Samples of a step.
const BATCH: usize = 60;
/// One sample of so many judges when to stop, and is not learnt from.
const JUDGED_OF: usize = 10;
/// Epochs without a better judgement after which training stops.
const PATIENCE: usize = 4;
/// Step size of the first epoch; it falls in a line to a tenth over the epochs.
const RATE: f32 = 1.5e-3;
/// Adam's decay of the mean gradient.
const MEANS: f32 = 0.9;
/// Adam's decay of its square.
const SQUARES: f32 = 0.999;
/// What keeps Adam's quotient finite.
const LEAST: f32 = 1e-8;

/// A trained decoder.
pub struct Decoder {
    linear: LinearAttack,
    features: Scale,
    layers: Vec<Layer>,
    /// What is left of the zeros with which Adam's means and squares began.
    left: (f32, f32),
    /// Epochs that were run.
    pub epochs: usize,
}

/// Brings each column to mean 0 and variance 1.
#[derive(Clone)]
struct Scale {
    mean: Vec<f64>,
    spread: Vec<f64>,
}

#[derive(Clone)]
struct Layer {
    /// `[in, out]`.
    weights: Matrix,
    bias: Vec<f32>,
    moments: Moments,
}

/// Running means of gradients and of their squares: of the weights, then of the bias.
#[derive(Clone)]
struct Moments {
    mean: Vec<f32>,
    square: Vec<f32>,
}

/// How hard to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DecoderBudget {
    /// Epochs at most.
    pub epochs: usize,
}

impl Decoder {
    /// Trains on `[samples, features]`, clipped, released anew under `channel` in every epoch, and the inputs. `None`
    /// where numbers are not finite.
    pub fn train(
        clipped: &Matrix<f64>,
        inputs: &Matrix,
        (channel, seed, budget): (&Channel, Seed, DecoderBudget),
    ) -> Option<Self> {
        let (mut noise, mut random) = (Random::new(seed, Purpose::Learning), Random::new(seed, Purpose::Decoder));
        let first = channel.released(clipped, &mut noise);
        let linear = LinearAttack::learn(&first, inputs, seed)?;
        let sides = [clipped.columns(), HIDDEN, HIDDEN, inputs.columns()];
        let mut layers: Vec<Layer> =
            sides.windows(2).map(|sides| Layer::random(sides[0], sides[1], &mut random)).collect();
        layers.last_mut()?.weights.values_mut().fill(0.0);
        let mut decoder = Self { linear, features: Scale::of(&first), layers, left: (1.0, 1.0), epochs: 0 };
        let (judged, learnt): (Vec<usize>, Vec<usize>) =
            (0..clipped.rows()).partition(|sample| sample % JUDGED_OF == JUDGED_OF - 1);
        let judge = decoder.lesson(&channel.released(&clipped.chosen(&judged), &mut noise), &inputs.chosen(&judged));
        let mut best = (decoder.error(&judge), decoder.layers.clone(), 0);
        for epoch in 0..budget.epochs {
            let (given, wanted) = decoder.lesson(&channel.released(clipped, &mut noise), inputs);
            let rate = RATE * (1.0 - 0.9 * epoch as f32 / budget.epochs as f32);
            let order = random.order(learnt.len());
            for batch in order.chunks(BATCH) {
                let rows: Vec<usize> = batch.iter().map(|at| learnt[*at]).collect();
                decoder.step(&given.chosen(&rows), &wanted.chosen(&rows), rate);
            }
            decoder.epochs = epoch + 1;
            let error = decoder.error(&judge);
            if error < best.0 {
                best = (error, decoder.layers.clone(), epoch);
            } else if epoch >= best.2 + PATIENCE {
                break;
            }
        }
        decoder.layers = best.1;
        Some(decoder)
    }

    /// What it makes of releases: `[samples, features] → [samples, inputs]`.
    pub fn guess(&self, released: &Matrix<f64>) -> Matrix {
        let mut guess = self.linear.guess(released);
        if let Some(more) = self.forward(&self.features.to(released)).last() {
            guess.values_mut().iter_mut().zip(more.values()).for_each(|(value, more)| *value += more);
        }
        guess
    }

    /// What the network is given, and what it ought to add to the linear guess.
    fn lesson(&self, released: &Matrix<f64>, inputs: &Matrix) -> (Matrix, Matrix) {
        let mut missing = self.linear.guess(released);
        missing.values_mut().iter_mut().zip(inputs.values()).for_each(|(guess, value)| *guess = value - *guess);
        (self.features.to(released), missing)
    }

    fn error(&self, (given, wanted): &(Matrix, Matrix)) -> f64 {
        self.forward(given).last().map_or(f64::INFINITY, |found| squares(found, wanted))
    }

    /// What each layer gives, the last without an activation.
    fn forward(&self, input: &Matrix) -> Vec<Matrix> {
        let mut given: Vec<Matrix> = Vec::with_capacity(self.layers.len());
        for (at, layer) in self.layers.iter().enumerate() {
            let mut sums = given.last().unwrap_or(input).times(&layer.weights);
            for row in 0..sums.rows() {
                let row = sums.row_mut(row).iter_mut().zip(&layer.bias);
                match at + 1 < self.layers.len() {
                    true => row.for_each(|(sum, bias)| *sum = (*sum + bias).max(0.0)),
                    false => row.for_each(|(sum, bias)| *sum += bias),
                }
            }
            given.push(sums);
        }
        given
    }

    /// One step of Adam on the mean squared error of a batch.
    fn step(&mut self, input: &Matrix, wanted: &Matrix, rate: f32) {
        let given = self.forward(input);
        let Some(last) = given.last() else { return };
        // The mean over samples, the sum over outputs: Adam divides by the size of gradients, so that a factor is free.
        let count = wanted.rows().max(1) as f32;
        let mut slope = Matrix::from_fn(last.rows(), last.columns(), |row, column| {
            2.0 * (last.row(row)[column] - wanted.row(row)[column]) / count
        });
        self.left = (self.left.0 * MEANS, self.left.1 * SQUARES);
        let corrected = rate * (1.0 - self.left.1).sqrt() / (1.0 - self.left.0);
        for at in (0..self.layers.len()).rev() {
            let below = if at == 0 { input } else { &given[at - 1] };
            let weights = below.transposed().times(&slope);
            let mut bias = vec![0.0f32; slope.columns()];
            slope.each_row().for_each(|row| bias.iter_mut().zip(row).for_each(|(sum, value)| *sum += value));
            let next = (at > 0).then(|| {
                let mut next = slope.times(&self.layers[at].weights.transposed());
                let passed = next.values_mut().iter_mut().zip(below.values());
                passed.for_each(|(slope, value)| *slope *= f32::from(u8::from(*value > 0.0)));
                next
            });
            self.layers[at].adam(weights.values(), &bias, corrected);
            if let Some(next) = next {
                slope = next;
            }
        }
    }
}

impl Scale {
    fn of(rows: &Matrix<f64>) -> Self {
        let mean = means(rows);
        let count = rows.rows().max(1) as f64;
        let mut spread = vec![0.0; rows.columns()];
        for row in rows.each_row() {
            let squares = row.iter().zip(&mean).map(|(value, mean)| (value - mean) * (value - mean));
            spread.iter_mut().zip(squares).for_each(|(sum, square)| *sum += square / count);
        }
        let spread = spread.into_iter().map(|square| if square > 1e-24 { square.sqrt() } else { 1.0 }).collect();
        Self { mean, spread }
    }

    fn to(&self, rows: &Matrix<f64>) -> Matrix {
        let scaled = |row: usize, column: usize| (rows.row(row)[column] - self.mean[column]) / self.spread[column];
        Matrix::from_fn(rows.rows(), rows.columns(), |row, column| scaled(row, column) as f32)
    }
}

impl Layer {
    fn random(inputs: usize, outputs: usize, random: &mut Random) -> Self {
        let spread = (2.0 / inputs as f64).sqrt();
        let weights = Matrix::from_fn(inputs, outputs, |_, _| (random.normal() * spread) as f32);
        let count = (inputs + 1) * outputs;
        Self {
            weights,
            bias: vec![0.0; outputs],
            moments: Moments { mean: vec![0.0; count], square: vec![0.0; count] },
        }
    }

    /// `rate` is corrected for the zeros with which moments began.
    fn adam(&mut self, weights: &[f32], bias: &[f32], rate: f32) {
        let numbers = self.weights.values_mut().iter_mut().chain(&mut self.bias);
        let moments = self.moments.mean.iter_mut().zip(&mut self.moments.square);
        for ((number, slope), (mean, square)) in numbers.zip(weights.iter().chain(bias)).zip(moments) {
            *mean = MEANS * *mean + (1.0 - MEANS) * slope;
            *square = SQUARES * *square + (1.0 - SQUARES) * slope * slope;
            *number -= rate * *mean / (square.sqrt() + LEAST);
        }
    }
}

fn squares(one: &Matrix, other: &Matrix) -> f64 {
    let squares = one.values().iter().zip(other.values()).map(|(a, b)| f64::from((a - b) * (a - b)));
    squares.sum::<f64>() / one.values().len().max(1) as f64
}
