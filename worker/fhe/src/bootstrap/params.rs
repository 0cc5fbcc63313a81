//! The sizes and noises of a bootstrap.

use codec::{Decode, Encode};
use core::fmt;

use super::eights::DIGIT_BITS;
use crate::params::{ParameterSet, UploadBits};

/// Coefficients of the small key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LweDimension(pub usize);

/// Width of one digit of the keyswitch, in bits.
pub(crate) const KEYSWITCH_DIGIT_BITS: u32 = 4;
/// Digits of the keyswitch.
pub(crate) const KEYSWITCH_LEVELS: usize = 4;
/// Levels of packing, each of which has a key.
pub(crate) const PACKING_LEVELS: usize = 6;

/// How a coefficient is written in digits: so many, of so many bits, from the topmost bit on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decomposition {
    /// Width of a digit, in bits.
    pub digit_bits: u32,
    /// Digits.
    pub levels: usize,
}

/// A named set of parameters for programmable bootstraps of four bits under a bit of padding.
///
/// Source: `V1_8_PARAM_MESSAGE_2_CARRY_2_KS32_PBS_TUNIFORM_2M128` of `tfhe` 1.8.2, which has the numbers of
/// `…_KS_PBS_…` with the small key's ciphertexts modulo 2³² instead of 2⁶⁴; noise and modulus are divided alike, and
/// key switching takes half the memory and a third of the time. A test holds the noise to the estimator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum BootstrapSet {
    /// 918 coefficients of the small key, under `glwe-2048-v1`.
    #[codec(index = 1)]
    FourBitsV1,
    /// 16 coefficients of the small key: protects nothing, so that tests are quick. Refused outside tests.
    #[codec(index = 255)]
    ToyV1,
}

impl BootstrapSet {
    /// The ring whose ciphertexts go in and come out.
    pub fn ring(self) -> ParameterSet {
        ParameterSet::Glwe2048V1
    }

    /// Coefficients of the small key, uniform bits.
    pub fn lwe_dimension(self) -> LweDimension {
        LweDimension(match self {
            Self::FourBitsV1 => 918,
            Self::ToyV1 => 16,
        })
    }

    /// Digits of a coefficient that changes from the large key to the small one.
    pub fn keyswitch_decomposition(self) -> Decomposition {
        Decomposition { digit_bits: KEYSWITCH_DIGIT_BITS, levels: KEYSWITCH_LEVELS }
    }

    /// Digits of a coefficient that is multiplied with the bootstrap key or the packing key.
    pub fn rotation_decomposition(self) -> Decomposition {
        Decomposition { digit_bits: DIGIT_BITS, levels: 1 }
    }

    /// What X is put to the power of, at each level of packing: part l of the packing key encrypts the ring's key with
    /// that done to it.
    pub fn packing_exponents(self) -> [usize; PACKING_LEVELS] {
        core::array::from_fn(|level| (2 << level) + 1)
    }

    /// Noise of the keyswitch key is uniform on ±2^this modulo 2³², the two ends half as likely.
    pub fn lwe_noise_bound_log2(self) -> u32 {
        13
    }

    /// Width of the bodies of a bootstrap key on the wire: whole bytes, and a rounding whose variance is a
    /// sixteenth of the noise's.
    pub const fn body_bits(self) -> UploadBits {
        UploadBits(48)
    }

    /// False for sets that protect nothing. Everything that handles somebody's data asks.
    pub fn is_production(self) -> bool {
        !matches!(self, Self::ToyV1)
    }

    /// The set's name in words, plans and listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::FourBitsV1 => "pbs-4bit-v1",
            Self::ToyV1 => "pbs-toy-v1",
        }
    }
}

impl fmt::Display for BootstrapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
