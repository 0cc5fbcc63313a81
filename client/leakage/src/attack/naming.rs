//! Naming the right one among candidates.

use crate::matrix::Matrix;

/// How often the attacker's first guess among candidates is right.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Naming {
    /// Candidates, the right one among them.
    pub candidates: usize,
    /// Share of releases that are named.
    pub share: f64,
    /// The share of guessing.
    pub chance: f64,
    /// Whether there were fewer candidates than that: the share is then one among all there were, and no less than
    /// the true one.
    pub at_most: bool,
}

/// How many others are at least as likely as the right candidate, release by release: `(more likely, as likely)`.
fn rivals(log_likelihoods: &Matrix<f64>, own: &[usize]) -> Vec<(usize, usize)> {
    let of_release = |(line, own): (&[f64], &usize)| {
        let mine = line[*own];
        let above = line.iter().filter(|other| **other > mine).count();
        let equal = line.iter().enumerate().filter(|(at, other)| at != own && **other == mine).count();
        (above, equal)
    };
    log_likelihoods.each_row().zip(own).map(of_release).collect()
}

/// The expected share over all archives of `candidates` that hold the right one: which others are in it is drawn
/// from those that `log_likelihoods` has, without replacement. Of equals the attacker takes one at random.
pub fn naming(log_likelihoods: &Matrix<f64>, own: &[usize], candidates: usize) -> Naming {
    let others = log_likelihoods.columns().saturating_sub(1);
    let drawn = candidates.saturating_sub(1).min(others);
    let share = |(above, equal): (usize, usize)| {
        // No draw takes one of those above: (n−a choose k) / (n choose k), factor by factor.
        let none = (0..above).map(|at| {
            let left = others.saturating_sub(at);
            left.saturating_sub(drawn) as f64 / left.max(1) as f64
        });
        let beside = equal as f64 * drawn as f64 / others.max(1) as f64;
        none.product::<f64>() / (1.0 + beside)
    };
    let rivals = rivals(log_likelihoods, own);
    let found = rivals.iter().copied().map(share).sum::<f64>() / rivals.len().max(1) as f64;
    Naming { candidates, share: found, chance: 1.0 / candidates.max(1) as f64, at_most: drawn + 1 < candidates }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_most_likely_of_all_is_always_named_and_the_second_by_luck() {
        let logs = Matrix::new(5, vec![5.0, 4.0, 3.0, 2.0, 1.0]).unwrap();
        assert_eq!(naming(&logs, &[0], 5).share, 1.0);
        assert_eq!(naming(&logs, &[1], 5).share, 0.0);
        // One of four others is drawn, and it is the one above every fourth time.
        assert!((naming(&logs, &[1], 2).share - 0.75).abs() < 1e-12);
        let beyond = naming(&logs, &[0], 100);
        assert!(beyond.at_most && beyond.share == 1.0);
    }

    #[test]
    fn among_equals_the_guess_is_chance() {
        let logs = Matrix::<f64>::zeros(3, 10);
        assert!((naming(&logs, &[0, 4, 9], 10).share - 0.1).abs() < 1e-12);
    }
}
