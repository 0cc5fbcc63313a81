//! The secret half of a head, and the digest over both.

use codec::{Compact, Decode, Encode};
use encompute_protocol::{HeadDigest, digest::keccak_256, wire};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::plan::HeadPlan;

/// Domain of the secret that states of a head are sealed under.
const STATE_TAG: &[u8] = b"encompute/segment-state/v1";
/// Domain of the digest over a head.
const HEAD_TAG: &[u8] = b"encompute/head/v1";

/// The 8-bit weights of every layer: the creator's secret, so it cannot be printed.
///
/// A dense layer's are `[outputs, inputs]`, a convolution's `[out_channels, channels, rows, columns]`.
#[derive(Zeroize, ZeroizeOnDrop, Encode, Decode, Clone, PartialEq, Eq)]
pub struct HeadWeights {
    layers: Vec<Vec<i8>>,
}

/// Why weights were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// Too long, of another version, or not the encoding of weights.
    #[error("not head weights")]
    Encoding(#[from] wire::DecodeError),
    /// More layers than a plan can have.
    #[error("head weights of {found} layers, a plan has at most {limit}")]
    Layers {
        /// Layers announced.
        found: u32,
        /// Layers allowed.
        limit: usize,
    },
    /// Weights for another number of layers than asked for.
    #[error("layer {index} of weights that have {found} layers")]
    NoLayer {
        /// Layer asked for.
        index: usize,
        /// Layers found.
        found: usize,
    },
}

impl HeadWeights {
    /// Version of the encoding.
    pub const VERSION: u8 = 1;
    /// Most bytes that weights may have.
    pub const LIMIT_BYTES: usize = 64 << 20;

    /// Weights of these layers, in the order of the rounds; the layers of a chain follow that of its round.
    pub fn new(layers: Vec<Vec<i8>>) -> Self {
        Self { layers }
    }

    /// The weights in `bytes`.
    ///
    /// # Errors
    /// [`WeightsError::Encoding`], [`WeightsError::Layers`]. Whether they fit a plan is checked when they are compiled.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WeightsError> {
        let value = versioned(bytes, Self::VERSION, Self::LIMIT_BYTES)?;
        // An empty layer is one byte here and 24 in memory: count them before they are read.
        let Compact(found) = Compact::<u32>::decode(&mut &*value).map_err(|_| wire::DecodeError::Malformed)?;
        if found as usize > HeadPlan::ROUND_LIMIT {
            return Err(WeightsError::Layers { found, limit: HeadPlan::ROUND_LIMIT });
        }
        Ok(wire::decode_exact(value, Self::LIMIT_BYTES)?)
    }

    /// The weights' bytes: version, layers. The caller seals them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![Self::VERSION];
        self.encode_to(&mut bytes);
        bytes
    }

    /// Number of layers.
    pub fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// The weights of one layer.
    ///
    /// # Errors
    /// [`WeightsError::NoLayer`].
    pub fn layer(&self, index: usize) -> Result<&[i8], WeightsError> {
        let found = self.layers.len();
        self.layers.get(index).map(Vec::as_slice).ok_or(WeightsError::NoLayer { index, found })
    }
}

impl HeadWeights {
    /// What only those have who have the weights: the secret under which they seal what lies between two segments.
    pub fn state_secret(&self) -> Zeroizing<[u8; 32]> {
        let bytes = Zeroizing::new(self.to_bytes());
        Zeroizing::new(keccak_256(&[STATE_TAG, &bytes]))
    }
}

/// What a receipt names as the head that was run: Keccak-256 over tag, plan bytes, weight bytes.
pub fn head_digest(plan: &HeadPlan, weights: &HeadWeights) -> HeadDigest {
    let mut bytes = weights.to_bytes();
    let digest = HeadDigest(keccak_256(&[HEAD_TAG, &plan.to_bytes(), &bytes]));
    bytes.zeroize();
    digest
}

/// The bytes behind the version byte: limit first, then version.
pub(crate) fn versioned(bytes: &[u8], known: u8, limit: usize) -> Result<&[u8], wire::DecodeError> {
    if bytes.len() > limit {
        return Err(wire::DecodeError::TooLong { found: bytes.len(), limit });
    }
    match bytes.split_first() {
        None => Err(wire::DecodeError::Malformed),
        Some((&found, _)) if found != known => Err(wire::DecodeError::Version { found, known }),
        Some((_, value)) => Ok(value),
    }
}
