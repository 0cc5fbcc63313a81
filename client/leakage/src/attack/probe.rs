//! Guessing one trait of the input: is it above the median?

use super::linear::LinearAttack;
use crate::{
    matrix::Matrix,
    metrics::area_under_curve,
    random::Seed,
    sample::{Kind, Subject},
};

/// A trait that an attacker looks for.
pub struct Trait {
    /// What it is called.
    pub name: String,
    /// Of each reference sample, and of each target.
    pub reference: Vec<f64>,
    /// Of each target.
    pub targets: Vec<f64>,
}

/// How well a trait is told: areas under the curve, 0.5 for a coin.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct TraitFigures {
    /// What it is called.
    pub name: String,
    /// From released features.
    pub area: f64,
    /// From the right class alone.
    pub floor: f64,
}

/// How much ink, where it lies and how it leans, for pictures of one channel. None for others: the variance that is
/// explained of each attribute says more.
pub fn traits(subject: &Subject) -> Vec<Trait> {
    let Kind::Picture { channels: 1, height, width } = subject.kind else { return Vec::new() };
    type Of = fn(&[f32], usize, usize) -> f64;
    let known: [(&str, Of); 3] = [
        ("brightness", |pixels, _, _| pixels.iter().map(|pixel| f64::from(*pixel)).sum()),
        ("width", |pixels, height, width| moments(pixels, height, width)[0]),
        ("lean", |pixels, height, width| moments(pixels, height, width)[1]),
    ];
    let of = |inputs: &Matrix, value: Of| inputs.each_row().map(|row| value(row, height, width)).collect();
    let found = known.map(|(name, value)| Trait {
        name: name.to_owned(),
        reference: of(&subject.reference.inputs, value),
        targets: of(&subject.targets.inputs, value),
    });
    found.into()
}

/// Variance of the columns of what is bright, and its covariance with the rows.
fn moments(pixels: &[f32], height: usize, width: usize) -> [f64; 2] {
    let mut sums = [0.0; 5];
    for (at, pixel) in pixels.iter().enumerate().take(height * width) {
        let (y, x, weight) = ((at / width) as f64, (at % width) as f64, f64::from(*pixel));
        for (sum, term) in sums.iter_mut().zip([1.0, x, y, x * x, x * y]) {
            *sum += weight * term;
        }
    }
    let [weight, x, y, xx, xy] = sums;
    let weight = weight.max(1e-9);
    [xx / weight - (x / weight) * (x / weight), xy / weight - x / weight * (y / weight)]
}

/// Learns which released features go with a trait above the reference's median, and tells the targets'.
pub fn probe(subject: &Subject, wanted: &Trait, released: [&Matrix<f64>; 2], seed: Seed) -> Option<TraitFigures> {
    let mut sorted = wanted.reference.clone();
    sorted.sort_by(f64::total_cmp);
    let median = *sorted.get(sorted.len() / 2)?;
    let has: Vec<bool> = wanted.targets.iter().map(|value| *value > median).collect();
    let sign = |value: &f64| if *value > median { 1.0f32 } else { -1.0 };
    let signs: Vec<f32> = wanted.reference.iter().map(sign).collect();
    let attack = LinearAttack::learn(released[0], &Matrix::new(1, signs.clone())?, seed)?;
    let scores: Vec<f64> = attack.guess(released[1]).values().iter().map(|score| f64::from(*score)).collect();
    let of_class = |class: &usize| {
        let members = signs.iter().zip(&subject.reference.labels).filter(|(_, label)| *label == class);
        let (sum, count) = members.fold((0.0, 0.0), |(sum, count), (sign, _)| (sum + f64::from(*sign), count + 1.0));
        sum / f64::max(count, 1.0)
    };
    let by_class: Vec<f64> = subject.targets.labels.iter().map(of_class).collect();
    Some(TraitFigures {
        name: wanted.name.clone(),
        area: area_under_curve(&scores, &has)?,
        floor: area_under_curve(&by_class, &has)?,
    })
}
