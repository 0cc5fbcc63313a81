//! Parameter sets and the counts they fix.

use codec::{Decode, Encode};
use core::fmt;

/// Width of an uploaded body: the client rounds bodies from 2⁶⁴.
///
/// Masks are never uploaded, so no key coefficient multiplies this rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct UploadBits(pub u8);

impl UploadBits {
    /// Five bytes a coefficient: enough for most layers.
    pub const STANDARD: Self = Self(40);
    /// Fewest bits of an uploaded body.
    pub const MIN: Self = Self(32);
    /// Most bits of an uploaded body; more would be finer than the noise of the larger set.
    pub const MAX: Self = Self(60);

    /// Variance of rounding a body to this width, in units of 2⁻⁶⁴ of the torus.
    pub fn variance(self) -> f64 {
        rounding_variance(self.0)
    }
}

/// Coefficients of one ring polynomial: a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolynomialSize(pub usize);

/// Width of the plaintext: an accumulator is an integer of this many bits, sign included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct AccumulatorBits(pub u8);

impl AccumulatorBits {
    /// Fewest bits that make sense: a sign and a value.
    pub const MIN: Self = Self(2);
    /// Most bits any parameter set could carry exactly with its noise.
    pub const MAX: Self = Self(44);

    /// What one unit of the plaintext is worth on the torus scaled to 2⁶⁴, as a power of two.
    pub fn scale_log2(self) -> u32 {
        64 - u32::from(self.0)
    }

    /// Largest magnitude that an accumulator may reach: 2^(bits − 1) − 1.
    pub fn bound(self) -> i64 {
        (1i64 << (self.0 - 1)) - 1
    }
}

/// Width of a coefficient in a response, after the switch from 2⁶⁴.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct ResponseBits(pub u8);

impl ResponseBits {
    /// Fewest bits of a response coefficient.
    pub const MIN: Self = Self(8);
    /// Most bits of a response coefficient: what lies below the modulus of a blinding key is not hidden,
    /// so nothing of it may be sent.
    pub const MAX: Self = Self(48);

    /// Variance of rounding one coefficient to this width, in units of 2⁻⁶⁴ of the torus.
    pub fn variance(self) -> f64 {
        rounding_variance(self.0)
    }
}

/// Widest response that is blinded modulo two to [`NARROW_BLINDING`].
const NARROW_RESPONSE: u8 = 30;
/// Width of a blinding key that is rounded for narrow responses.
pub(crate) const NARROW_BLINDING: UploadBits = UploadBits(42);

/// A named set of encryption parameters: GLWE with one mask polynomial, native modulus 2⁶⁴, a
/// uniform binary key and bounded uniform noise.
///
/// The noise bounds of the two production sets are at least what the lattice estimator behind `tfhe`
/// 1.8.2 asks for 132 bits of security at 2048 and 4096 key coefficients
/// (`minimal_lwe_bound_for_132_bits_security_tuniform`), and never below 3; a test holds them to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum ParameterSet {
    /// 2048 coefficients, noise uniform on ±2¹⁷. What every small head uses.
    #[codec(index = 1)]
    Glwe2048V1,
    /// 4096 coefficients, noise uniform on ±2³: more noise budget, for large tiles.
    #[codec(index = 2)]
    Glwe4096V1,
    /// 256 coefficients: protects nothing, so that tests are quick. Refused outside tests.
    #[codec(index = 255)]
    Toy256V1,
}

impl ParameterSet {
    /// Coefficients of a polynomial, and of the secret key.
    pub fn polynomial_size(self) -> PolynomialSize {
        PolynomialSize(match self {
            Self::Glwe2048V1 => 2048,
            Self::Glwe4096V1 => 4096,
            Self::Toy256V1 => 256,
        })
    }

    /// Noise is uniform on ±2^this, the two ends half as likely.
    pub fn noise_bound_log2(self) -> u32 {
        match self {
            Self::Glwe2048V1 | Self::Toy256V1 => 17,
            Self::Glwe4096V1 => 3,
        }
    }

    /// Width of a blinding key: it is an encryption modulo two to this, in whole bytes.
    ///
    /// Large enough for every response, and for [`BlindingKey::NOISE_BOUND_LOG2`] to leave the room that
    /// the set's accumulators need: 2¹⁶ and 2⁸ times the noise, against 2¹⁷ and 2³ of a request.
    ///
    /// [`BlindingKey::NOISE_BOUND_LOG2`]: crate::BlindingKey::NOISE_BOUND_LOG2
    pub const fn blinding_bits(self) -> UploadBits {
        match self {
            Self::Glwe2048V1 | Self::Toy256V1 => UploadBits(48),
            Self::Glwe4096V1 => UploadBits(56),
        }
    }

    /// Modulus of the encryptions of zero that blind a response of this width, as a power of two: that of
    /// the key, or 42 for a response of at most 30 bits.
    ///
    /// Products modulo 2⁴² fit a double whole, so that they need half the transforms: a sum of 2048 of them
    /// by ones and minus ones should come within 0.07 of an integer, by the growth of what is measured in
    /// `ring::spectral`, and is done again exactly if it comes within 0.35 only. What
    /// the key loses to rounding is noise below the rounding of so narrow a response.
    pub fn blinding_modulus(self, response: ResponseBits) -> UploadBits {
        if response.0 <= NARROW_RESPONSE { NARROW_BLINDING } else { self.blinding_bits() }
    }

    /// Variance of the noise of one fresh coefficient, in units of 2⁻⁶⁴ of the torus.
    ///
    /// Source: variance of TUniform(b), (2^(2b+1) + 1) / 6.
    pub fn noise_variance(self) -> f64 {
        (f64::from(2 * self.noise_bound_log2() + 1).exp2() + 1.0) / 6.0
    }

    /// False for sets that protect nothing. Everything that handles somebody's data asks.
    pub fn is_production(self) -> bool {
        !matches!(self, Self::Toy256V1)
    }

    /// The set's name in words, plans and listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Glwe2048V1 => "glwe-2048-v1",
            Self::Glwe4096V1 => "glwe-4096-v1",
            Self::Toy256V1 => "toy-256-v1",
        }
    }
}

/// Variance of an error that is uniform over one step of `bits`, in units of 2⁻⁶⁴ of the torus.
fn rounding_variance(bits: u8) -> f64 {
    f64::from(2 * (64 - u32::from(bits))).exp2() / 12.0
}

impl fmt::Display for ParameterSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::BlindingKey;
    use tfhe::core_crypto::commons::noise_formulas::secure_noise::minimal_lwe_bound_for_132_bits_security_tuniform;
    use tfhe::core_crypto::prelude::LweDimension;

    #[test]
    fn production_noise_is_at_least_what_the_estimator_asks_for() {
        for set in [ParameterSet::Glwe2048V1, ParameterSet::Glwe4096V1] {
            assert!(set.is_production());
            let wanted =
                minimal_lwe_bound_for_132_bits_security_tuniform(LweDimension(set.polynomial_size().0), 64f64.exp2());
            assert!(set.noise_bound_log2() >= wanted.max(3), "{set} wants {wanted}");
            assert!(set.blinding_bits().0 >= ResponseBits::MAX.0 && set.blinding_bits().0.is_multiple_of(8), "{set}");
            for response in ResponseBits::MIN.0..=ResponseBits::MAX.0 {
                let width = set.blinding_modulus(ResponseBits(response)).0;
                assert!((response..=set.blinding_bits().0).contains(&width), "{set} at {response}");
                let (size, modulus) = (LweDimension(set.polynomial_size().0), f64::from(width).exp2());
                let wanted = minimal_lwe_bound_for_132_bits_security_tuniform(size, modulus);
                assert!(BlindingKey::NOISE_BOUND_LOG2 >= wanted.max(3), "{set} wants {wanted} for blinding");
            }
        }
    }

    #[test]
    fn the_toy_set_is_no_production_set() {
        assert!(!ParameterSet::Toy256V1.is_production());
    }
}
