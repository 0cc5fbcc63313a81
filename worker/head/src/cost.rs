//! What a head costs to run, before anyone pays for it.

use codec::{Decode, Encode};
use encompute_fhe::{EvaluationKey, ParameterSet};

use crate::chain::{Links, Step};
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
    /// Bootstraps: values that tables are looked up on.
    pub bootstraps: u64,
    /// Bytes of the user's evaluation key, sent once per case; none without bootstraps.
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

/// Processor time of one bootstrap, keyswitch and packing included, on the reference machine: release build, a batch of
/// eight.
pub const BOOTSTRAP_MICROSECONDS: u64 = 7_500;
/// Processor time of one value times one weight: 2049 multiplications and additions of 64 bits, without instructions
/// beyond those of every 64-bit processor.
const VALUE_PRODUCT_NS: u64 = 720;

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
            bootstraps: 0,
            evaluation_key_bytes: 0,
            estimated_microseconds: (nanoseconds * scale / 2048).div_ceil(1000),
        }
    }

    /// What the segments of a round cost whose layer costs this, with its chain: the first takes the request, each gives
    /// what the next goes on from, the last the response.
    pub(crate) fn of_segments(self, parameter_set: ParameterSet, round: &RoundPlan, links: Links<'_>) -> Vec<Self> {
        let (pieces, size) = (links.pieces() as u64, parameter_set.polynomial_size().0 as u64);
        let coefficients = pieces * size + links.sent() as u64;
        let response = coefficients * u64::from(round.response_bits.0) / 8 + 3 * pieces;
        let count = links.chain.segment_count();
        let segment = |index: usize| {
            let steps = links.chain.segment_steps(index);
            let own = links.lookups().filter(|(step, _)| steps.contains(step));
            let bootstraps = own.map(|(_, values)| values as u64).sum::<u64>();
            let products: u64 = links.chain.steps[steps].iter().map(products_of).sum();
            let sent = if index + 1 == count { pieces } else { 0 };
            let nanoseconds = products * VALUE_PRODUCT_NS + sent * CIPHERTEXT_OUT_NS;
            let base = if index == 0 { self } else { Self::default() };
            Self {
                response_bytes: if index + 1 == count { MESSAGE_BYTES + response } else { links.state_bytes(index) },
                bootstraps,
                evaluation_key_bytes: EvaluationKey::byte_len(links.set) as u64,
                estimated_microseconds: base.estimated_microseconds
                    + bootstraps * BOOTSTRAP_MICROSECONDS
                    + nanoseconds.div_ceil(1000),
                ..base
            }
        };
        (0..count).map(segment).collect()
    }

    /// Both together; the keys go up once.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            ring_products: self.ring_products + other.ring_products,
            request_bytes: self.request_bytes + other.request_bytes,
            response_bytes: self.response_bytes + other.response_bytes,
            blinding_key_bytes: self.blinding_key_bytes.max(other.blinding_key_bytes),
            bootstraps: self.bootstraps + other.bootstraps,
            evaluation_key_bytes: self.evaluation_key_bytes.max(other.evaluation_key_bytes),
            estimated_microseconds: self.estimated_microseconds + other.estimated_microseconds,
        }
    }
}

/// Products of values by weights that a step takes.
fn products_of(step: &Step) -> u64 {
    match step {
        Step::Linear { layer, .. } => (layer.output_shape().len() * layer.fan_in()) as u64,
        _ => 0,
    }
}
