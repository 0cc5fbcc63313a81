//! What an attacker has without any feature: the mean of all inputs, and of those of the right class.

use crate::{
    matrix::Matrix,
    sample::{Samples, Subject},
};

/// Guesses that use no feature, one a target.
pub struct Floors {
    /// The mean input of the reference.
    pub mean: Matrix,
    /// The mean input of the target's own class: what the answer alone gives away.
    pub class_mean: Matrix,
}

/// The guesses for a subject's targets. A class that the reference lacks has the mean of all.
pub fn floors(subject: &Subject) -> Floors {
    let Samples { inputs, labels, .. } = &subject.reference;
    let classes = labels.iter().chain(&subject.targets.labels).max().map_or(0, |most| most + 1);
    let width = inputs.columns();
    let mut sums = vec![vec![0.0f64; width]; classes + 1];
    let mut counts = vec![0usize; classes + 1];
    for (row, label) in inputs.each_row().zip(labels) {
        for of in [*label, classes] {
            sums[of].iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
            counts[of] += 1;
        }
    }
    let mean = |class: usize| {
        let class = if counts[class] == 0 { classes } else { class };
        let count = counts[class].max(1) as f64;
        sums[class].iter().map(|sum| (sum / count) as f32).collect::<Vec<_>>()
    };
    let means: Vec<Vec<f32>> = (0..=classes).map(mean).collect();
    let targets = &subject.targets.labels;
    Floors {
        mean: Matrix::from_fn(targets.len(), width, |_, column| means[classes][column]),
        class_mean: Matrix::from_fn(targets.len(), width, |row, column| means[targets[row]][column]),
    }
}
