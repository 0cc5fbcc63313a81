//! The evaluation key: its bytes, and what they are expanded to.

use aes::Aes128;
use aes::cipher::KeyInit;
use codec::{Decode, Encode};
use encompute_protocol::{BlobDigest, wire};
use rayon::prelude::*;

use super::eights::Eights;
use super::fourier::{Fourier, POINTS, ROWS, SIZE};
use super::keyswitch::{KeyswitchKey, stride};
use super::params::{BootstrapSet, KEYSWITCH_LEVELS, PACKING_LEVELS};
use super::rotate::{KeyRow, Spectrum};
use crate::expand::{BLOCK_BYTES, fill};
use crate::message::{MaskSeed, round_and_pack, unpack_bodies};
use crate::packing::packed_len;
use crate::params::UploadBits;

/// Why bytes or bodies were refused as an evaluation key. Nothing has been allocated for them then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationKeyError {
    /// Too long, of another version, of an unknown set, or with bytes left over.
    #[error("not an evaluation key")]
    Encoding(#[from] wire::DecodeError),
    /// Fewer bytes than a key of its set has.
    #[error("evaluation key has {found_bytes} bytes, one of {set} has {wanted_bytes}")]
    Length {
        /// The key's set.
        set: BootstrapSet,
        /// Bytes found.
        found_bytes: usize,
        /// Bytes wanted.
        wanted_bytes: usize,
    },
    /// Not as many bodies as the set's keys have.
    #[error("{found} bodies of {part}, a key of {set} has {wanted}")]
    BodyCount {
        /// The key's set.
        set: BootstrapSet,
        /// Which key.
        part: &'static str,
        /// Bodies found.
        found: usize,
        /// Bodies wanted.
        wanted: usize,
    },
}

/// A user's evaluation key: seeds and rounded bodies, never masks. It opens nothing.
///
/// The keyswitch key encrypts each bit of the large key under the small one, at four levels, modulo 2³²; the
/// bootstrap key encrypts each bit of the small key under the large one, at one level of 23 bits, modulo 2⁶⁴; the
/// packing key encrypts the large key after six automorphisms under itself, at that level.
#[derive(Clone, PartialEq, Eq)]
pub struct EvaluationKey {
    set: BootstrapSet,
    keyswitch_seed: MaskSeed,
    bootstrap_seed: MaskSeed,
    packing_seed: MaskSeed,
    /// Keyswitch bodies, bootstrap bodies, packing bodies.
    bodies: Vec<u8>,
}

impl EvaluationKey {
    /// Most bytes an evaluation key may have.
    pub const LIMIT_BYTES: usize = 24 << 20;
    const VERSION: u8 = 2;
    /// Version, set and three seeds.
    const HEADER_BYTES: usize = 2 + 16 + 16 + 16;

    /// Bodies of a keyswitch key: `[large key, levels]`, lowest level first.
    pub fn keyswitch_bodies(set: BootstrapSet) -> usize {
        set.ring().polynomial_size().0 * KEYSWITCH_LEVELS
    }

    /// Bodies of a bootstrap key: `[small key, mask and body, coefficients]`.
    pub fn bootstrap_bodies(set: BootstrapSet) -> usize {
        set.lwe_dimension().0 * 2 * set.ring().polynomial_size().0
    }

    /// Bodies of a packing key: `[automorphisms, coefficients]`.
    pub fn packing_bodies(set: BootstrapSet) -> usize {
        PACKING_LEVELS * set.ring().polynomial_size().0
    }

    fn keyswitch_bytes(set: BootstrapSet) -> usize {
        4 * Self::keyswitch_bodies(set)
    }

    fn bootstrap_bytes(set: BootstrapSet) -> usize {
        packed_len(Self::bootstrap_bodies(set), set.body_bits().0)
    }

    /// Bytes of every key of `set`.
    pub fn byte_len(set: BootstrapSet) -> usize {
        let packing = packed_len(Self::packing_bodies(set), set.body_bits().0);
        Self::HEADER_BYTES + Self::keyswitch_bytes(set) + Self::bootstrap_bytes(set) + packing
    }

    /// The key for bodies at full width: those of the keyswitch key modulo 2³², those of the bootstrap key and the
    /// packing key modulo 2⁶⁴, which are rounded to [`BootstrapSet::body_bits`].
    ///
    /// # Errors
    /// [`EvaluationKeyError::BodyCount`].
    pub fn from_bodies(
        set: BootstrapSet,
        (keyswitch_seed, keyswitch): (MaskSeed, &[u32]),
        (bootstrap_seed, bootstrap): (MaskSeed, &[u64]),
        (packing_seed, packing): (MaskSeed, &[u64]),
    ) -> Result<Self, EvaluationKeyError> {
        let counts = [
            ("the keyswitch key", keyswitch.len(), Self::keyswitch_bodies(set)),
            ("the bootstrap key", bootstrap.len(), Self::bootstrap_bodies(set)),
            ("the packing key", packing.len(), Self::packing_bodies(set)),
        ];
        for (part, found, wanted) in counts {
            if found != wanted {
                return Err(EvaluationKeyError::BodyCount { set, part, found, wanted });
            }
        }
        let mut bodies: Vec<u8> = keyswitch.iter().flat_map(|body| body.to_le_bytes()).collect();
        bodies.extend(round_and_pack(bootstrap, set.body_bits()));
        bodies.extend(round_and_pack(packing, set.body_bits()));
        Ok(Self { set, keyswitch_seed, bootstrap_seed, packing_seed, bodies })
    }

    /// The key in `bytes`.
    ///
    /// # Errors
    /// [`EvaluationKeyError`], by the first check that fails.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EvaluationKeyError> {
        let (found_bytes, limit) = (bytes.len(), Self::LIMIT_BYTES);
        if found_bytes > limit {
            return Err(wire::DecodeError::TooLong { found: found_bytes, limit }.into());
        }
        let Some((header, bodies)) = bytes.split_at_checked(Self::HEADER_BYTES) else {
            return Err(wire::DecodeError::Malformed.into());
        };
        let (found, known) = (header[0], Self::VERSION);
        if found != known {
            return Err(wire::DecodeError::Version { found, known }.into());
        }
        let (set, keyswitch_seed, bootstrap_seed, packing_seed) =
            <(BootstrapSet, MaskSeed, MaskSeed, MaskSeed)>::decode(&mut &header[1..])
                .map_err(|_| wire::DecodeError::Malformed)?;
        let wanted_bytes = Self::byte_len(set);
        match found_bytes {
            longer if longer > wanted_bytes => Err(wire::DecodeError::Trailing { bytes: longer - wanted_bytes }.into()),
            shorter if shorter < wanted_bytes => Err(EvaluationKeyError::Length { set, found_bytes, wanted_bytes }),
            _ => Ok(Self { set, keyswitch_seed, bootstrap_seed, packing_seed, bodies: bodies.to_vec() }),
        }
    }

    /// The key's bytes: version, set, seeds, bodies.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::byte_len(self.set));
        bytes.push(Self::VERSION);
        (self.set, self.keyswitch_seed, self.bootstrap_seed, self.packing_seed).encode_to(&mut bytes);
        bytes.extend_from_slice(&self.bodies);
        bytes
    }

    /// The blob digest of the key's bytes: what an expanded key is cached by.
    pub fn digest(&self) -> BlobDigest {
        BlobDigest::of(&self.to_bytes())
    }

    /// The set it was made for.
    pub fn set(&self) -> BootstrapSet {
        self.set
    }

    fn keyswitch_part(&self) -> &[u8] {
        &self.bodies[..Self::keyswitch_bytes(self.set)]
    }

    fn bootstrap_part(&self) -> &[u8] {
        &self.bodies[Self::keyswitch_bytes(self.set)..][..Self::bootstrap_bytes(self.set)]
    }

    fn packing_part(&self) -> &[u8] {
        &self.bodies[Self::keyswitch_bytes(self.set) + Self::bootstrap_bytes(self.set)..]
    }
}

/// An evaluation key, masks expanded, bootstrap key and packing key transformed: 91 MB for the production set.
pub struct PreparedEvaluationKey {
    set: BootstrapSet,
    pub(crate) keyswitch: KeyswitchKey,
    /// `[small key, rows]`.
    pub(crate) bootstrap: Vec<KeyRow>,
    /// `[automorphisms, rows]`; what goes with the digits of a body is zero.
    pub(crate) packing: Vec<KeyRow>,
}

impl PreparedEvaluationKey {
    /// The set it belongs to.
    pub fn set(&self) -> BootstrapSet {
        self.set
    }

    /// Bytes of memory that every expanded key of `set` takes.
    pub fn memory_bytes(set: BootstrapSet) -> usize {
        let dimension = set.lwe_dimension().0;
        let keyswitch = EvaluationKey::keyswitch_bodies(set) * stride(dimension) * size_of::<u32>();
        keyswitch + (dimension + PACKING_LEVELS) * ROWS * size_of::<KeyRow>()
    }

    pub(crate) fn new<L: Eights>(l: L, fourier: &Fourier, key: &EvaluationKey) -> Self {
        let bits = key.set.body_bits();
        let bootstrap = expand_rows::<_, 2>(l, fourier, key.bootstrap_seed, key.bootstrap_part(), bits);
        let packing = expand_rows::<_, 1>(l, fourier, key.packing_seed, key.packing_part(), bits);
        Self { set: key.set, keyswitch: expand_keyswitch(key), bootstrap, packing }
    }
}

/// Masks are the stream of the seed, four bytes a coefficient, one ciphertext after another.
fn expand_keyswitch(key: &EvaluationKey) -> KeyswitchKey {
    let dimension = key.set.lwe_dimension().0;
    let cipher = Aes128::new(&key.keyswitch_seed.0.into());
    let mut expanded = KeyswitchKey::zero(key.set);
    let blocks: Vec<_> = expanded.blocks().zip(key.keyswitch_part().chunks_exact(4 * KEYSWITCH_LEVELS)).collect();
    let block_bytes = 4 * KEYSWITCH_LEVELS * dimension;
    blocks.into_par_iter().enumerate().for_each(|(at, (rows, bodies))| {
        let mask = mask_bytes(&cipher, at, block_bytes);
        let masks = mask.chunks_exact(4 * dimension).zip(bodies.as_chunks::<4>().0);
        for (row, (mask, body)) in rows.chunks_exact_mut(stride(dimension)).zip(masks) {
            for (into, from) in row.iter_mut().zip(mask.as_chunks::<4>().0.iter().chain([body])) {
                *into = u32::from_le_bytes(*from);
            }
        }
    });
    expanded
}

/// Piece number `at` of a stream that is cut into pieces of `bytes`, whole blocks.
fn mask_bytes(cipher: &Aes128, at: usize, bytes: usize) -> Vec<u8> {
    let mut blocks = vec![Default::default(); bytes / BLOCK_BYTES];
    fill(cipher, &mut ((at * blocks.len()) as u128), &mut blocks);
    blocks.into_iter().flatten().collect()
}

/// Each `CIPHERTEXTS` ciphertexts, one for the digits of a mask and one, if there are two, for those of a body, are the
/// rows of one product. Masks are the stream of the seed, eight bytes a coefficient, one ciphertext after another.
fn expand_rows<L: Eights, const CIPHERTEXTS: usize>(
    l: L,
    fourier: &Fourier,
    seed: MaskSeed,
    bodies: &[u8],
    bits: UploadBits,
) -> Vec<KeyRow> {
    let cipher = Aes128::new(&seed.0.into());
    let packed = bodies.par_chunks_exact(packed_len(CIPHERTEXTS * SIZE, bits.0));
    let mut expanded = vec![KeyRow::ZERO; packed.len() * ROWS];
    expanded.par_chunks_exact_mut(ROWS).zip(packed).enumerate().for_each(|(at, (rows, packed))| {
        let masks = mask_bytes(&cipher, at, CIPHERTEXTS * 8 * SIZE);
        let masks: Vec<u64> = masks.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let bodies = unpack_bodies(packed, bits);
        let mut spectrum = Box::new(Spectrum::ZERO);
        let polynomials = masks.chunks_exact(SIZE).zip(bodies.chunks_exact(SIZE)).flat_map(|(mask, body)| [mask, body]);
        for (polynomial, values) in polynomials.enumerate() {
            transform(l, fourier, values, &mut spectrum);
            for (row, (re, im)) in rows.iter_mut().zip(spectrum.re.iter().zip(&spectrum.im)) {
                (row.0[2 * polynomial], row.0[2 * polynomial + 1]) = (*re, *im);
            }
        }
    });
    expanded
}

/// Values of a key's polynomial at the roots, for coefficients where one stands for 2⁶⁴, scaled for the way back.
fn transform<L: Eights>(l: L, fourier: &Fourier, values: &[u64], spectrum: &mut Spectrum) {
    let scale = 64f64.exp2().recip() / POINTS as f64;
    for (part, values) in [&mut spectrum.re, &mut spectrum.im].into_iter().zip(values.chunks_exact(POINTS)) {
        for (into, from) in part.as_flattened_mut().iter_mut().zip(values) {
            *into = (*from as i64) as f64 * scale;
        }
    }
    fourier.forward(l, &mut spectrum.re, &mut spectrum.im);
}
