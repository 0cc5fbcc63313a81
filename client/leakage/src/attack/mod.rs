//! Attackers who know head, policy and population, and have never seen the input.

pub mod decoder;
pub mod gradient;
pub mod linear;
pub mod naming;
pub mod posterior;
pub mod probe;

use crate::{matrix::Matrix, sample::Kind};

/// Held within what pictures can be; other numbers as they are.
pub(crate) fn plausible(kind: &Kind, mut guess: Matrix) -> Matrix {
    if matches!(kind, Kind::Picture { .. }) {
        guess.values_mut().iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
    }
    guess
}
