//! What a worker's heads have earned it: a score that the chain counts itself, and how long it took.
//!
//! The score is the mean of a beta distribution: `(good + 1) / (good + bad + 2)`. A head that was committed in time adds
//! its weight to `good`, a claim that ran out and a head that was found wrong to `bad`. A head weighs what was paid for
//! it, `fee / (fee + reference)`, and what was before it fades by 2 % at full weight and by as much less as it weighs
//! less: so neither fades without bound, many cheap heads wash nothing out that one dear one did, and a success never
//! lowers the score, a failure never raises it.

use crate::{BasisPoints, Blocks, Plancks};
use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// How much one head counts, in parts of 2³²; [`HeadWeight::ONE`] at most for one, fifty for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct HeadWeight(pub u64);

impl HeadWeight {
    /// The most that one head can weigh.
    pub const ONE: Self = Self(1 << 32);
    /// What they come to at most: each fades by a fiftieth where it would be more.
    pub const ALL: Self = Self(FADES_IN * Self::ONE.0);

    /// `fee / (fee + reference)`: a half for a fee of the reference. Nothing for a fee of nothing.
    pub fn of(fee: Plancks, reference: Plancks) -> Self {
        // Both are shifted as far as the larger one needs: 2⁻⁶³ of it is nothing.
        let shift = 65_u32.saturating_sub(fee.0.max(reference.0).leading_zeros());
        let (fee, reference) = (fee.0 >> shift, reference.0 >> shift);
        // Below 2⁶³ each, so neither sum nor product overflows, and the quotient is ONE at most.
        let quotient = (fee * u128::from(Self::ONE.0)).checked_div(fee + reference).unwrap_or(0);
        Self(quotient as u64)
    }

    /// What is left of it after a head of `weight`.
    fn faded(self, weight: Self) -> u64 {
        // 2³⁸ · 2³² at most.
        let lost = u128::from(self.0) * u128::from(weight.0) / u128::from(Self::ALL.0);
        self.0.saturating_sub(lost as u64)
    }
}

/// Heads of full weight over which the past fades: 1 / (1 − 0.98).
const FADES_IN: u64 = 50;

/// A share of one in parts of 2¹⁶, never none and never all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Score(pub u16);

impl Score {
    /// Of somebody of whom nothing is known: a half.
    pub const PRIOR: Self = Self(1 << 15);

    /// In ten-thousandths, rounded down.
    pub fn share(self) -> BasisPoints {
        BasisPoints(((u64::from(self.0) * BasisPoints::ONE as u64) >> 16) as u16)
    }
}

/// The heads of a worker, each by its weight, the older the less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Reputation {
    /// Committed in time, and not found wrong since.
    pub good: HeadWeight,
    /// Run out, or found wrong.
    pub bad: HeadWeight,
}

impl Reputation {
    /// With a head that was committed in time.
    #[must_use]
    pub fn with_success(self, weight: HeadWeight) -> Self {
        Self { good: HeadWeight(self.good.faded(weight) + weight.0), bad: HeadWeight(self.bad.faded(weight)) }
    }

    /// With a head that was not, or was found wrong.
    #[must_use]
    pub fn with_failure(self, weight: HeadWeight) -> Self {
        Self { good: HeadWeight(self.good.faded(weight)), bad: HeadWeight(self.bad.faded(weight) + weight.0) }
    }

    /// Without a success that was none, as far as it is still there.
    #[must_use]
    pub fn without_success(self, weight: HeadWeight) -> Self {
        Self { good: HeadWeight(self.good.0.saturating_sub(weight.0)), ..self }
    }

    /// `(good + 1) / (good + bad + 2)`: with fifty of each at most, from 1/52 to 51/52.
    pub fn score(self) -> Score {
        let one = u128::from(HeadWeight::ONE.0);
        let (good, bad) = (u128::from(self.good.0) + one, u128::from(self.bad.0) + one);
        // The divisor is two at least, the quotient below one.
        let share = (good << 16) / (good + bad);
        Score(share.clamp(1, u128::from(u16::MAX)) as u16)
    }
}

/// The last block counted from a claim that each of [`Latency`]'s numbers is of; the last is of all that took longer.
pub const LATENCY_BOUNDS: [Blocks; 7] =
    [Blocks(1), Blocks(2), Blocks(4), Blocks(8), Blocks(16), Blocks(32), Blocks(64)];

/// How many heads took how long from claim to commitment, by [`LATENCY_BOUNDS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Latency(pub [u32; 8]);

/// How long a share of heads took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    /// No longer than this.
    Within(Blocks),
    /// Longer than this.
    Beyond(Blocks),
}

impl Latency {
    /// With a head that took so long. A statistic: it may stop growing, a job may not.
    #[must_use]
    pub fn with(mut self, took: Blocks) -> Self {
        let at = LATENCY_BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(LATENCY_BOUNDS.len());
        if let Some(count) = self.0.get_mut(at) {
            *count = count.saturating_add(1);
        }
        self
    }

    /// How long the quickest `share` of all heads took; none before the first.
    pub fn of_share(&self, share: BasisPoints) -> Option<Took> {
        let all: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        let wanted = (all * u64::from(share.0)).div_ceil(BasisPoints::ONE as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.0.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                let beyond = || LATENCY_BOUNDS.last().copied().map(Took::Beyond);
                return LATENCY_BOUNDS.get(at).copied().map(Took::Within).or_else(beyond);
            }
        }
        None
    }
}

#[cfg(test)]
#[path = "reputation_tests.rs"]
mod tests;
