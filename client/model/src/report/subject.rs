//! Samples as attackers and their judges see them.

use crate::{preamble::Preamble, samples::Sample};
use encompute_leakage::{Kind, Matrix, Samples, Subject};

/// Rows of pictures within 0 ..= 1, or of attributes with mean 0 and deviation 1 over what attackers have.
pub struct Axis {
    pub kind: Kind,
    /// What counts as nothing.
    pub mean: Vec<f32>,
    /// What counts as one for each number of the float model's input.
    pub units: Vec<f32>,
}

impl Axis {
    /// For inputs of a preamble, scaled by `reference`.
    pub fn new(preamble: &Preamble, reference: &[&Sample]) -> Self {
        let width = reference.first().map_or(0, |sample| sample.float.len());
        match preamble {
            Preamble::Image(image) => {
                let [channels, height, width_pixels] = preamble.shape();
                let kind = Kind::Picture { channels, height, width: width_pixels };
                Self { kind, mean: vec![0.0; width], units: vec![(255.0 * image.step()) as f32; width] }
            }
            Preamble::Table(table) => {
                let names = table.columns.iter().map(|column| column.name.as_str().to_owned()).collect();
                Self::of_attributes(names, reference, width)
            }
            Preamble::Text(_) => Self::of_attributes(
                (0..width).map(|at| format!("mean vector, number {at}")).collect(),
                reference,
                width,
            ),
        }
    }

    fn of_attributes(names: Vec<String>, reference: &[&Sample], width: usize) -> Self {
        let count = reference.len().max(1) as f64;
        let column = |at: usize| reference.iter().map(move |sample| f64::from(sample.float[at]));
        let mean: Vec<f64> = (0..width).map(|at| column(at).sum::<f64>() / count).collect();
        let deviation = |at: usize| {
            let square = column(at).map(|value| (value - mean[at]) * (value - mean[at])).sum::<f64>() / count;
            if square > 0.0 { square.sqrt() as f32 } else { 1.0 }
        };
        let units = (0..width).map(deviation).collect();
        Self { kind: Kind::Attributes { names }, mean: mean.iter().map(|value| *value as f32).collect(), units }
    }

    /// `[samples, inputs]`.
    pub fn inputs(&self, samples: &[&Sample]) -> Matrix {
        let value = |row: usize, column: usize| (samples[row].float[column] - self.mean[column]) / self.units[column];
        Matrix::from_fn(samples.len(), self.units.len(), value)
    }
}

/// Everything that attacks need.
pub fn subject(axis: &Axis, reference: (&[&Sample], Matrix), targets: (&[&Sample], Matrix)) -> Subject {
    let part = |(samples, features): (&[&Sample], Matrix)| Samples {
        inputs: axis.inputs(samples),
        features,
        labels: samples.iter().map(|sample| sample.label).collect(),
    };
    Subject { kind: axis.kind.clone(), reference: part(reference), targets: part(targets) }
}

/// Share of targets whose most likely reference sample is made of the very same bytes.
pub fn exact_match(reference: &[&Sample], targets: &[&Sample], nearest: &[usize]) -> f64 {
    let same = targets
        .iter()
        .zip(nearest)
        .filter(|(target, nearest)| reference.get(**nearest).is_some_and(|found| found.tensor == target.tensor));
    same.count() as f64 / targets.len().max(1) as f64
}
