//! Money and prices. All arithmetic is checked; nothing wraps, nothing saturates silently.

use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// An amount of the chain's native token in its smallest unit. How many make a token, the network says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Plancks(pub u128);

impl Plancks {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The sum, or `None` above `u128::MAX`.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` below zero.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// `self × count`, or `None` above `u128::MAX`.
    pub fn checked_mul(self, count: u128) -> Option<Self> {
        self.0.checked_mul(count).map(Self)
    }

    /// `⌊self × share / 10⁴⌋`: what a party receives. `None` on overflow.
    pub fn share_floor(self, share: BasisPoints) -> Option<Self> {
        self.0.checked_mul(share.0.into()).map(|product| Self(product / BasisPoints::ONE))
    }

    /// `⌈self × share / 10⁴⌉`: what a party owes. `None` on overflow.
    pub fn share_ceil(self, share: BasisPoints) -> Option<Self> {
        self.0.checked_mul(share.0.into()).map(|product| Self(product.div_ceil(BasisPoints::ONE)))
    }

    /// The smaller of two amounts.
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// True for zero.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl core::fmt::Display for Plancks {
    /// `12345 plancks`, exactly: which token that is, and with how many decimals, only a network knows.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} plancks", self.0)
    }
}

/// A share in hundredths of a percent, 0 ..= 10 000 where it is a share of a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct BasisPoints(pub u16);

impl BasisPoints {
    /// The whole: 10 000 basis points.
    pub const ONE: u128 = 10_000;
}

/// The deterministic cost of one run of a head, as its compiler counts it: one unit is one ring
/// product of degree 2048 (or its equivalent). Part of the version, never reported by a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct CostUnits(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_round_towards_the_protocol() {
        let amount = Plancks(999);
        assert_eq!(amount.share_floor(BasisPoints(250)), Some(Plancks(24)));
        assert_eq!(amount.share_ceil(BasisPoints(250)), Some(Plancks(25)));
        assert_eq!(Plancks(u128::MAX).share_floor(BasisPoints(2)), None);
    }

    #[test]
    #[cfg(feature = "std")]
    fn amounts_print_what_the_chain_counts() {
        assert_eq!(Plancks(1_500_000_000_000).to_string(), "1500000000000 plancks");
    }
}
