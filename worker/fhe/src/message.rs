//! The three messages that carry ciphertexts, and how their bytes are refused.
//!
//! Every decoder checks, in this order: length against a limit, version, encoding, then that the
//! parts fit each other and the parameter set. Nothing is expanded before all of that holds.

use codec::{Compact, Decode, Encode};
use encompute_protocol::{BlobDigest, wire};

use crate::packing::{Packer, packed_len, padding_is_zero, unpack};
use crate::params::{ParameterSet, ResponseBits, UploadBits};

/// The public seed from which both sides expand the masks of one message. One seed, one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MaskSeed(pub [u8; 16]);

/// Why bytes were refused as a message that carries ciphertexts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Too long, of another version, or not the encoding of this message.
    #[error("not a message of this kind")]
    Encoding(#[from] wire::DecodeError),
    /// A message without a single ciphertext.
    #[error("message holds no ciphertext")]
    Empty,
    /// Bodies do not fill whole ciphertexts of the parameter set.
    #[error(
        "bodies take {found_bytes} bytes, not a multiple of the {ciphertext_bytes} of one {parameter_set} ciphertext"
    )]
    PartialCiphertext {
        /// The message's set.
        parameter_set: ParameterSet,
        /// Bytes found.
        found_bytes: usize,
        /// Bytes of one ciphertext.
        ciphertext_bytes: usize,
    },
    /// A width that no request may have.
    #[error("uploaded bodies have {found} bits, allowed are {} to {}", UploadBits::MIN.0, UploadBits::MAX.0)]
    UploadBits {
        /// Bits found.
        found: u8,
    },
    /// A width that no response may have.
    #[error("response coefficients have {found} bits, allowed are {} to {}", ResponseBits::MIN.0, ResponseBits::MAX.0)]
    ResponseBits {
        /// Bits found.
        found: u8,
    },
    /// A response ciphertext with no body, or with more than the ring has coefficients.
    #[error("ciphertext {piece} holds {found} bodies, allowed are 1 to {limit}")]
    BodyCount {
        /// Index of the ciphertext.
        piece: usize,
        /// Bodies found.
        found: u32,
        /// The set's polynomial size.
        limit: usize,
    },
    /// The packed part is longer or shorter than its counts say.
    #[error("packed part has {found_bytes} bytes, its counts ask for {wanted_bytes}")]
    PackedLength {
        /// Bytes found.
        found_bytes: usize,
        /// Bytes wanted.
        wanted_bytes: usize,
    },
    /// Bits behind the last coefficient are not zero: a second encoding of the same response.
    #[error("ciphertext {piece} has bits set behind its last coefficient")]
    Padding {
        /// Index of the ciphertext.
        piece: usize,
    },
}

/// A request: seeded ciphertexts of one tensor, bodies rounded and packed.
///
/// Masks exist only as a seed: a worker that accepted masks of the sender's choice would hand out
/// its weights to the first mask `(1, 0, 0, …)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedTensor {
    parameter_set: ParameterSet,
    upload_bits: UploadBits,
    seed: MaskSeed,
    bodies: Vec<u8>,
}

/// The user's public key for re-randomising responses: one seeded encryption of zero, modulo two to
/// [`ParameterSet::blinding_bits`] with noise TUniform(3).
///
/// It is no evaluation key: it takes 12 KB, goes up once per case, and serves only to hide what a
/// response's mask would tell about the weights. A response keeps at most 48 bits of a coefficient, so
/// the modulus need not be larger, and small noise is all that each blinding has to draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlindingKey {
    parameter_set: ParameterSet,
    seed: MaskSeed,
    body: Vec<u8>,
}

/// A response: modulus-switched ciphertexts, each a full mask and the wanted bodies alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedFeatures {
    parameter_set: ParameterSet,
    response_bits: ResponseBits,
    body_counts: Vec<u16>,
    packed: Vec<u8>,
}

/// One ciphertext of a response, unpacked: values below 2^(response bits).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// All coefficients of the mask.
    pub mask: Vec<u64>,
    /// The wanted bodies, in the order of the output layout.
    pub bodies: Vec<u64>,
}

#[derive(Encode, Decode)]
struct SeededBodies {
    parameter_set: ParameterSet,
    upload_bits: UploadBits,
    seed: MaskSeed,
    bodies: Vec<u8>,
}

#[derive(Encode, Decode)]
struct SeededKey {
    parameter_set: ParameterSet,
    seed: MaskSeed,
    body: Vec<u8>,
}

#[derive(Encode, Decode)]
struct PackedPieces {
    parameter_set: ParameterSet,
    response_bits: u8,
    body_counts: Vec<Compact<u16>>,
    packed: Vec<u8>,
}

/// What follows the byte of `version`.
fn split_version(bytes: &[u8], version: u8, limit: usize) -> Result<&[u8], wire::DecodeError> {
    if bytes.len() > limit {
        return Err(wire::DecodeError::TooLong { found: bytes.len(), limit });
    }
    match bytes.split_first() {
        None => Err(wire::DecodeError::Malformed),
        Some((&found, _)) if found != version => Err(wire::DecodeError::Version { found, known: version }),
        Some((_, rest)) => Ok(rest),
    }
}

fn versioned(version: u8, value: &impl Encode) -> Vec<u8> {
    let mut bytes = vec![version];
    value.encode_to(&mut bytes);
    bytes
}

/// Bytes of the body of one uploaded ciphertext: whole ones, since sizes are multiples of eight.
fn ciphertext_bytes(parameter_set: ParameterSet, bits: UploadBits) -> usize {
    packed_len(parameter_set.polynomial_size().0, bits.0)
}

/// Rounds 2⁶⁴-scaled bodies to `bits` and packs them.
pub(crate) fn round_and_pack(bodies: &[u64], bits: UploadBits) -> Vec<u8> {
    let drop_bits = 64 - u32::from(bits.0);
    let mut packed = Vec::with_capacity(packed_len(bodies.len(), bits.0));
    let mut packer = Packer::new(&mut packed, bits.0);
    bodies.iter().for_each(|body| packer.push(body.wrapping_add(1 << (drop_bits - 1)) >> drop_bits));
    packer.finish();
    packed
}

/// Bodies at full width.
pub(crate) fn unpack_bodies(packed: &[u8], bits: UploadBits) -> Vec<u64> {
    let count = packed.len() * 8 / usize::from(bits.0);
    unpack(packed, bits.0, count).map(|body| body << (64 - u32::from(bits.0))).collect()
}

impl EncryptedTensor {
    /// Most bytes a request may have.
    pub const LIMIT_BYTES: usize = 16 << 20;
    const VERSION: u8 = 1;

    /// The request for bodies at full width, `polynomial size` of them per ciphertext, rounded to
    /// [`UploadBits::STANDARD`].
    ///
    /// # Errors
    /// [`MessageError::Empty`], [`MessageError::PartialCiphertext`].
    pub fn from_bodies(parameter_set: ParameterSet, seed: MaskSeed, bodies: &[u64]) -> Result<Self, MessageError> {
        Self::from_bodies_at(parameter_set, UploadBits::STANDARD, seed, bodies)
    }

    /// The same, rounded to `upload_bits`.
    ///
    /// # Errors
    /// [`MessageError::UploadBits`], [`MessageError::Empty`], [`MessageError::PartialCiphertext`].
    pub fn from_bodies_at(
        parameter_set: ParameterSet,
        upload_bits: UploadBits,
        seed: MaskSeed,
        bodies: &[u64],
    ) -> Result<Self, MessageError> {
        if !(UploadBits::MIN..=UploadBits::MAX).contains(&upload_bits) {
            return Err(MessageError::UploadBits { found: upload_bits.0 });
        }
        Self { parameter_set, upload_bits, seed, bodies: round_and_pack(bodies, upload_bits) }.conform()
    }

    /// The request in `bytes`.
    ///
    /// # Errors
    /// [`MessageError`], by the first check that fails.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MessageError> {
        let value = split_version(bytes, Self::VERSION, Self::LIMIT_BYTES)?;
        let SeededBodies { parameter_set, upload_bits, seed, bodies } = wire::decode_exact(value, Self::LIMIT_BYTES)?;
        Self { parameter_set, upload_bits, seed, bodies }.conform()
    }

    fn conform(self) -> Result<Self, MessageError> {
        if !(UploadBits::MIN..=UploadBits::MAX).contains(&self.upload_bits) {
            return Err(MessageError::UploadBits { found: self.upload_bits.0 });
        }
        let ciphertext_bytes = ciphertext_bytes(self.parameter_set, self.upload_bits);
        match self.bodies.len() {
            0 => Err(MessageError::Empty),
            found_bytes if found_bytes % ciphertext_bytes != 0 => Err(MessageError::PartialCiphertext {
                parameter_set: self.parameter_set,
                found_bytes,
                ciphertext_bytes,
            }),
            _ => Ok(self),
        }
    }

    /// The message's bytes: version, set, width, seed, bodies.
    pub fn to_bytes(&self) -> Vec<u8> {
        versioned(
            Self::VERSION,
            &SeededBodies {
                parameter_set: self.parameter_set,
                upload_bits: self.upload_bits,
                seed: self.seed,
                bodies: self.bodies.clone(),
            },
        )
    }

    /// The blob digest of the message's bytes.
    pub fn digest(&self) -> BlobDigest {
        BlobDigest::of(&self.to_bytes())
    }

    /// The set it was encrypted under.
    pub fn parameter_set(&self) -> ParameterSet {
        self.parameter_set
    }

    /// Width of its bodies.
    pub fn upload_bits(&self) -> UploadBits {
        self.upload_bits
    }

    /// The seed of its masks.
    pub fn seed(&self) -> MaskSeed {
        self.seed
    }

    /// How many ciphertexts it holds, at least one.
    pub fn ciphertext_count(&self) -> usize {
        self.bodies.len() / ciphertext_bytes(self.parameter_set, self.upload_bits)
    }

    /// The bodies of each ciphertext, at full width.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = Vec<u64>> + '_ {
        let ciphertexts = self.bodies.chunks_exact(ciphertext_bytes(self.parameter_set, self.upload_bits));
        ciphertexts.map(|packed| unpack_bodies(packed, self.upload_bits))
    }
}

impl BlindingKey {
    /// Most bytes a blinding key may have.
    pub const LIMIT_BYTES: usize = 64 << 10;
    /// Noise of the key, and of the encryptions of zero made from it, is uniform on ±2^this modulo two to
    /// [`ParameterSet::blinding_bits`], the two ends half as likely.
    ///
    /// Source: the estimator behind `tfhe` 1.8.2 asks for 1 at 2048 key coefficients and that modulus, and
    /// for less at 4096; never below 3, as for [`ParameterSet`]. A test holds it to that.
    pub const NOISE_BOUND_LOG2: u32 = 3;
    const VERSION: u8 = 2;

    /// The key for one body polynomial, scaled from the key's modulus to 2⁶⁴.
    ///
    /// # Errors
    /// [`MessageError::PartialCiphertext`] if it is not exactly one polynomial.
    pub fn from_body(parameter_set: ParameterSet, seed: MaskSeed, body: &[u64]) -> Result<Self, MessageError> {
        Self { parameter_set, seed, body: round_and_pack(body, parameter_set.blinding_bits()) }.conform()
    }

    /// The key in `bytes`.
    ///
    /// # Errors
    /// [`MessageError`], by the first check that fails.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MessageError> {
        let value = split_version(bytes, Self::VERSION, Self::LIMIT_BYTES)?;
        let SeededKey { parameter_set, seed, body } = wire::decode_exact(value, Self::LIMIT_BYTES)?;
        Self { parameter_set, seed, body }.conform()
    }

    fn conform(self) -> Result<Self, MessageError> {
        let ciphertext_bytes = ciphertext_bytes(self.parameter_set, self.parameter_set.blinding_bits());
        if self.body.len() != ciphertext_bytes {
            return Err(MessageError::PartialCiphertext {
                parameter_set: self.parameter_set,
                found_bytes: self.body.len(),
                ciphertext_bytes,
            });
        }
        Ok(self)
    }

    /// The message's bytes: version, set, seed, body.
    pub fn to_bytes(&self) -> Vec<u8> {
        versioned(
            Self::VERSION,
            &SeededKey { parameter_set: self.parameter_set, seed: self.seed, body: self.body.clone() },
        )
    }

    /// The blob digest of the message's bytes.
    pub fn digest(&self) -> BlobDigest {
        BlobDigest::of(&self.to_bytes())
    }

    /// The set it belongs to.
    pub fn parameter_set(&self) -> ParameterSet {
        self.parameter_set
    }

    /// The seed of its mask.
    pub fn seed(&self) -> MaskSeed {
        self.seed
    }

    pub(crate) fn body(&self) -> Vec<u64> {
        unpack_bodies(&self.body, self.parameter_set.blinding_bits())
    }
}

impl EncryptedFeatures {
    /// Most bytes a response may have.
    pub const LIMIT_BYTES: usize = 48 << 20;
    const VERSION: u8 = 1;

    /// The response with these counts of bodies, whose ciphertexts are packed one after another.
    pub(crate) fn from_packed(
        parameter_set: ParameterSet,
        response_bits: ResponseBits,
        body_counts: Vec<u16>,
        packed: Vec<u8>,
    ) -> Self {
        Self { parameter_set, response_bits, body_counts, packed }
    }

    /// The response in `bytes`.
    ///
    /// # Errors
    /// [`MessageError`], by the first check that fails.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MessageError> {
        let value = split_version(bytes, Self::VERSION, Self::LIMIT_BYTES)?;
        let found: PackedPieces = wire::decode_exact(value, Self::LIMIT_BYTES)?;
        Self {
            parameter_set: found.parameter_set,
            response_bits: ResponseBits(found.response_bits),
            body_counts: found.body_counts.into_iter().map(|count| count.0).collect(),
            packed: found.packed,
        }
        .conform()
    }

    fn conform(self) -> Result<Self, MessageError> {
        if !(ResponseBits::MIN..=ResponseBits::MAX).contains(&self.response_bits) {
            return Err(MessageError::ResponseBits { found: self.response_bits.0 });
        }
        let limit = self.parameter_set.polynomial_size().0;
        for (piece, count) in self.body_counts.iter().enumerate() {
            if *count == 0 || usize::from(*count) > limit {
                return Err(MessageError::BodyCount { piece, found: u32::from(*count), limit });
            }
        }
        let wanted_bytes = (0..self.piece_count()).map(|piece| self.piece_len(piece)).sum();
        match self.packed.len() {
            found_bytes if found_bytes != wanted_bytes => {
                return Err(MessageError::PackedLength { found_bytes, wanted_bytes });
            }
            0 => return Err(MessageError::Empty),
            _ => {}
        }
        let mut rest = self.packed.as_slice();
        for piece in 0..self.piece_count() {
            let (this, behind) = rest.split_at(self.piece_len(piece));
            if !padding_is_zero(this, self.response_bits.0, self.coefficients(piece)) {
                return Err(MessageError::Padding { piece });
            }
            rest = behind;
        }
        Ok(self)
    }

    fn coefficients(&self, piece: usize) -> usize {
        self.parameter_set.polynomial_size().0 + usize::from(self.body_counts[piece])
    }

    fn piece_len(&self, piece: usize) -> usize {
        packed_len(self.coefficients(piece), self.response_bits.0)
    }

    /// The message's bytes: version, set, width, body counts, packed pieces.
    pub fn to_bytes(&self) -> Vec<u8> {
        versioned(
            Self::VERSION,
            &PackedPieces {
                parameter_set: self.parameter_set,
                response_bits: self.response_bits.0,
                body_counts: self.body_counts.iter().map(|count| Compact(*count)).collect(),
                packed: self.packed.clone(),
            },
        )
    }

    /// The blob digest of the message's bytes: the response hash of receipts.
    pub fn digest(&self) -> BlobDigest {
        BlobDigest::of(&self.to_bytes())
    }

    /// The set it was computed under.
    pub fn parameter_set(&self) -> ParameterSet {
        self.parameter_set
    }

    /// Width of its coefficients.
    pub fn response_bits(&self) -> ResponseBits {
        self.response_bits
    }

    /// How many ciphertexts it holds, at least one.
    pub fn piece_count(&self) -> usize {
        self.body_counts.len()
    }

    /// How many bodies each ciphertext holds.
    pub fn body_counts(&self) -> impl Iterator<Item = usize> + '_ {
        self.body_counts.iter().map(|count| usize::from(*count))
    }

    /// Its ciphertexts, unpacked.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        let size = self.parameter_set.polynomial_size().0;
        let mut start = 0;
        (0..self.piece_count()).map(move |piece| {
            let end = start + self.piece_len(piece);
            let mut values = unpack(&self.packed[start..end], self.response_bits.0, self.coefficients(piece));
            start = end;
            Piece { mask: values.by_ref().take(size).collect(), bodies: values.collect() }
        })
    }
}
