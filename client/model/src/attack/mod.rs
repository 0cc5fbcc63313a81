//! What a creator could rebuild of an input from what is released: the best linear attack, as a blob of a version, so
//! that users see it on their own input before anything is sent.
//!
//! It is applied to codes that have passed the release's one door, and to no other numbers. A creator who gives it away
//! gives away how the linear part of the head lies, up to what noise hides; so it is theirs to publish.

#[cfg(feature = "bench")]
mod learn;

use codec::{Decode, Encode};
use encompute_protocol::wire::{self, DecodeError, Message};

#[cfg(feature = "bench")]
pub use learn::AttackError;

/// Most releases that a version has: eight splits of sixteen policies.
const RELEASES_LIMIT: u32 = 128;

/// The attacks on a version's releases, policy by policy of split by split, in the manifest's order.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct PublishedAttack {
    releases: Vec<LinearMap>,
}

impl Message for PublishedAttack {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 32 * 1024 * 1024;

    fn check_counts(mut value: &[u8]) -> Result<(), DecodeError> {
        wire::count(&mut value, "releases", RELEASES_LIMIT).map(drop)
    }
}

impl PublishedAttack {
    /// The attack on the release at `index`: policies of earlier splits counted.
    pub fn release(&self, index: usize) -> Option<&LinearMap> {
        self.releases.get(index)
    }

    /// How many releases it is on.
    pub fn releases(&self) -> usize {
        self.releases.len()
    }
}

/// From codes to bytes of the preamble's tensor: `[features] → [inputs]`.
#[derive(Clone, Debug, PartialEq, Encode)]
pub struct LinearMap {
    /// What codes of zero are taken for.
    offsets: Vec<f32>,
    /// How far the guess is off in the root of the mean square, in the tensor's bytes, rounded up.
    errors: Vec<u8>,
    /// What a weight of one is worth, for each feature.
    scales: Vec<f32>,
    /// Feature by feature, input by input.
    weights: Vec<i8>,
}

impl Decode for LinearMap {
    fn decode<I: codec::Input>(input: &mut I) -> Result<Self, codec::Error> {
        let (offsets, errors, scales, weights) = Decode::decode(input)?;
        let map = Self { offsets, errors, scales, weights };
        if map.fits() { Ok(map) } else { Err("numbers that are not finite, or not as many as they must be".into()) }
    }
}

impl LinearMap {
    fn fits(&self) -> bool {
        let finite = self.offsets.iter().chain(&self.scales).all(|value| value.is_finite());
        let (inputs, features) = (self.offsets.len(), self.scales.len());
        finite && self.errors.len() == inputs && inputs.checked_mul(features) == Some(self.weights.len())
    }

    /// What an attacker makes of released codes: as many bytes as the preamble's tensor has. None where the codes are
    /// not as many as the release's features.
    pub fn rebuilt(&self, codes: &[i16]) -> Option<Vec<u8>> {
        if codes.len() != self.scales.len() {
            return None;
        }
        let mut sums: Vec<f64> = self.offsets.iter().map(|offset| f64::from(*offset)).collect();
        let inputs = sums.len().max(1);
        for ((code, scale), weights) in codes.iter().zip(&self.scales).zip(self.weights.chunks_exact(inputs)) {
            let factor = f64::from(*code) * f64::from(*scale);
            sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += factor * f64::from(*weight));
        }
        Some(sums.into_iter().map(|sum| sum.round().clamp(0.0, 255.0) as u8).collect())
    }

    /// How far such a guess is off, usually, value by value: in bytes of the tensor.
    pub fn usual_errors(&self) -> &[u8] {
        &self.errors
    }

    /// Codes that it takes.
    pub fn features(&self) -> usize {
        self.scales.len()
    }
}
