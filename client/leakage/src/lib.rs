//! What released features tell of an input: attacks that know the head and the policy, bounds that hold for any
//! attacker, and a grade. Pure arithmetic: no clock, no network, no files; the same seed gives the same bits on every
//! machine, whatever its vectors and threads.
//!
//! A [`Subject`] holds inputs with the features that a head makes of them, for two parts of a population: what attackers
//! learn from, and what they are tried on. [`assess`] releases them through a [`Channel`] and gives an [`Assessment`]:
//! the linear attacker of least error, a decoder trained on released samples, a search along the head's [`Slopes`], the exact posterior over an archive (bits,
//! and how often an input is found among a hundred to ten thousand), traits, what repeats add, each against the
//! floor of what the answer alone gives away.
//!
//! Attacks say how bad it is at least; bounds say how bad it can be for the population; neither speaks for an input
//! unlike all of them. Refused: parts of fewer than sixteen samples, sizes that do not fit, numbers that are not finite.
//!
//! ```
//! use encompute_leakage::{Channel, Kind, Matrix, Plan, Samples, Seed, Subject, assess};
//! // Inputs of two numbers, of which the head shows the first.
//! let part = |shift: usize| {
//!     let inputs = Matrix::from_fn(64, 2, |row, column| ((row * 7 + column * 13 + shift) % 32) as f32 / 16.0 - 1.0);
//!     let features = Matrix::from_fn(64, 1, |row, _| inputs.row(row)[0]);
//!     Samples { features, labels: (0..64).map(|row| row % 2).collect(), inputs }
//! };
//! let names = vec!["shown".to_owned(), "hidden".to_owned()];
//! let subject = Subject { kind: Kind::Attributes { names }, reference: part(0), targets: part(1) };
//! let plan = Plan { seed: Seed(1), decoder: None, repeats: false };
//! let found = assess(&subject, None, (&Channel::reaching(0.05, 6), &plan), &mut |_| {}).unwrap();
//! let attributes = &found.attacks[0].likeness.attributes;
//! assert!(attributes[0].1 > 0.9 && attributes[1].1 < attributes[0].1);
//! ```

mod assess;
pub mod attack;
pub mod bounds;
mod channel;
mod floor;
mod grade;
mod likeness;
mod matrix;
pub mod metrics;
mod random;
mod sample;
mod solve;

pub use assess::{ARCHIVES, Assessment, AttackFigures, Bits, Plan, REPEATS, Repeat, Strip, assess};
pub use attack::{decoder::DecoderBudget, gradient::Slopes, linear::LinearAttack};
pub use channel::{Channel, clipped};
pub use floor::{Floors, floors};
pub use grade::{BITS_LIMIT, Grade, Graded, grade};
pub use likeness::{Likeness, Structural};
pub use matrix::{Matrix, Number};
pub use random::Seed;
pub use sample::{Kind, LEAST_SAMPLES, Samples, Subject, SubjectError};

/// Version of what is measured and how: figures of different versions do not compare.
pub const SUITE: u32 = 2;
