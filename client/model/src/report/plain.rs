//! The plainest tail there is: it names the class whose mean features are nearest to what was released.
//!
//! It needs no training and no thought. A tail that was made for its release is not far behind it; one that met bare
//! features alone can be, however good it is on those.

use encompute_leakage::{Channel, Matrix, Samples, Seed, Subject, clipped, metrics::wilson};

/// Share of a subject's targets that it names rightly, at least: the lower end of the 95 % interval.
pub fn at_least(subject: &Subject, channel: &Channel, seed: Seed) -> f64 {
    let means = class_means(&subject.reference);
    let released = channel.releases(&subject.targets.features, seed);
    let named = released.each_row().map(|row| nearest(&means, row));
    let right = named.zip(&subject.targets.labels).filter(|(named, label)| *named == Some(**label)).count();
    wilson(right as f64, released.rows())[0]
}

/// By class: its mean in units of the clip norm, where it has samples.
fn class_means(samples: &Samples) -> Vec<Option<Vec<f64>>> {
    let features: Matrix<f64> = clipped(&samples.features);
    let classes = samples.labels.iter().max().map_or(0, |most| most + 1);
    let mean = |class: usize| {
        let mut sums = vec![0.0; features.columns()];
        let mut count = 0u32;
        for (row, _) in features.each_row().zip(&samples.labels).filter(|(_, label)| **label == class) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            count += 1;
        }
        (count > 0).then(|| sums.iter().map(|sum| sum / f64::from(count)).collect())
    };
    (0..classes).map(mean).collect()
}

fn nearest(means: &[Option<Vec<f64>>], row: &[f64]) -> Option<usize> {
    let apart = |mean: &[f64]| mean.iter().zip(row).map(|(one, other)| (one - other) * (one - other)).sum::<f64>();
    let distances = means.iter().enumerate().filter_map(|(class, mean)| Some((class, apart(mean.as_deref()?))));
    distances.min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(class, _)| class)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use encompute_leakage::Kind;

    #[test]
    fn classes_that_lie_apart_are_named_and_those_that_lie_together_are_not() {
        let samples = |apart: f32| {
            let features = Matrix::from_fn(200, 2, |row, column| if row % 2 == column { apart } else { 0.0 });
            Samples { inputs: Matrix::zeros(200, 1), features, labels: (0..200).map(|row| row % 2).collect() }
        };
        let share = |apart| {
            let kind = Kind::Attributes { names: vec!["one".to_owned()] };
            let subject = Subject { kind, reference: samples(apart), targets: samples(apart) };
            at_least(&subject, &Channel::reaching(0.1, 6), Seed(1))
        };
        assert!(share(0.9) > 0.97, "{}", share(0.9));
        assert!((0.35..0.5).contains(&share(0.0)), "{}", share(0.0));
    }
}
