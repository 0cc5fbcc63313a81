//! What a head costs to run, before anyone pays for it.

use codec::{Decode, Encode};
use encompute_fhe::ParameterSet;

use crate::geometry::Geometry;
use crate::plan::RoundPlan;

/// Where the unit times of [`Cost::estimated_microseconds`] were measured.
pub const REFERENCE_MACHINE: &str = "one core of an AMD EPYC at 2.6 GHz (Zen 4), AVX-512";

/// Work and traffic of a head, all rounds together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Cost {
    /// Products of two ring polynomials modulo 2⁶⁴.
    pub ring_products: u64,
    /// Bytes of all requests.
    pub request_bytes: u64,
    /// Bytes of all responses.
    pub response_bytes: u64,
    /// Bytes of the user's blinding key, sent once per case.
    pub blinding_key_bytes: u64,
    /// Bytes of evaluation keys: none in these modes.
    pub evaluation_key_bytes: u64,
    /// Estimated time on the worker with blinding, on [`REFERENCE_MACHINE`].
    pub estimated_microseconds: u64,
}

/// Nanoseconds at 2048 coefficients on the reference machine.
///
/// Source: release build, lower quartile of `evaluate_round` of the heads in `measure` on a busy machine,
/// blinding and both encodings included.
const CIPHERTEXT_IN_NS: u64 = 14_000;
const CIPHERTEXT_OUT_NS: u64 = 24_000;
const PRODUCT_NS: u64 = 700;

/// Bytes of a message around its ciphertexts: version, set, seed, lengths.
const MESSAGE_BYTES: u64 = 32;

impl Cost {
    /// What `round` costs.
    pub(crate) fn of(parameter_set: ParameterSet, round: &RoundPlan, geometry: &Geometry) -> Self {
        let tiles = geometry.tile_count() as u64;
        let (inputs, outputs) = (geometry.inputs_per_tile() as u64, geometry.products_per_tile() as u64);
        let scale = parameter_set.polynomial_size().0 as u64;
        let nanoseconds =
            tiles * (inputs * CIPHERTEXT_IN_NS + outputs * CIPHERTEXT_OUT_NS + inputs * outputs * 2 * PRODUCT_NS);
        Self {
            ring_products: 2 * tiles * inputs * outputs,
            request_bytes: MESSAGE_BYTES + geometry.request_bytes(round.upload_bits) as u64,
            response_bytes: MESSAGE_BYTES + geometry.response_bytes(round.response_bits) as u64 + 3 * tiles * outputs,
            blinding_key_bytes: MESSAGE_BYTES + scale * u64::from(parameter_set.blinding_bits().0) / 8,
            evaluation_key_bytes: 0,
            estimated_microseconds: (nanoseconds * scale / 2048).div_ceil(1000),
        }
    }

    /// Both together; the blinding key goes up once.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            ring_products: self.ring_products + other.ring_products,
            request_bytes: self.request_bytes + other.request_bytes,
            response_bytes: self.response_bytes + other.response_bytes,
            blinding_key_bytes: self.blinding_key_bytes.max(other.blinding_key_bytes),
            evaluation_key_bytes: self.evaluation_key_bytes + other.evaluation_key_bytes,
            estimated_microseconds: self.estimated_microseconds + other.estimated_microseconds,
        }
    }
}
