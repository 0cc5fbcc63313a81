//! What payers think of models.

use crate::Plancks;
use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// What settled payers thought of a model, each weighing what he paid for the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Ratings {
    /// Jobs that were rated.
    pub count: u32,
    /// Head and tail fees of those jobs.
    pub fees: Plancks,
    /// The same, each times its grade.
    pub graded_fees: Plancks,
}

impl Ratings {
    /// The mean grade in hundredths, 100 to 500, rounded down; none before anybody has rated.
    pub fn mean_hundredths(&self) -> Option<u32> {
        // Grades are 5 at most, so the quotient is 500 at most.
        let mean = self.graded_fees.0.checked_mul(100)?.checked_div(self.fees.0)?;
        u32::try_from(mean).ok()
    }
}

/// What a settled payer thinks of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Rating {
    /// 1, the worst, to 5, the best.
    pub grade: u8,
    /// Why.
    pub why: RatingReason,
}

impl Rating {
    /// The best grade.
    pub const BEST: u8 = 5;
}

/// Why a run was rated as it was. Numbers are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum RatingReason {
    /// Nothing in particular.
    #[codec(index = 0)]
    General,
    /// How right the answer was.
    #[codec(index = 1)]
    Answer,
    /// How long it took.
    #[codec(index = 2)]
    Time,
    /// How well the model is described.
    #[codec(index = 3)]
    Description,
    /// What it cost for what it gave.
    #[codec(index = 4)]
    Price,
}
