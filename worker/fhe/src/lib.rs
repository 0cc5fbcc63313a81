//! Encrypted tensors, parameter sets, exact ring arithmetic, decoding limits.
//!
//! This crate holds what a worker needs in order to compute on ciphertexts, and nothing that could
//! open one: there is no secret key in it. It refuses bytes that are too long, of another version,
//! or not exactly a message, before it does any work on them.
//!
//! The types to know, and how they meet:
//!
//! * [`EncryptedTensor`] is a request: one seed and rounded bodies, never masks.
//! * [`Ring`] multiplies expanded [`Ciphertext`]s with clear weights, exactly modulo 2⁶⁴, so that
//!   one request has one response on every machine.
//! * [`EncryptedFeatures`] is the response: modulus-switched, holding only the wanted bodies.
//!
//! For heads that do not leave encryption between layers a [`Bootstrapper`] looks a [`Table`] up on single values,
//! [`LweCiphertext`]s, under a user's [`EvaluationKey`], and packs them; one input has one output on every machine here, too.
//!
//! ```
//! use encompute_fhe::{Ciphertext, CodePath, ParameterSet, Ring, WeightPolynomials};
//!
//! let ring = Ring::new(ParameterSet::Toy256V1, CodePath::fastest());
//! let size = ParameterSet::Toy256V1.polynomial_size().0;
//! let input = Ciphertext { mask: vec![u64::MAX; size], body: vec![1 << 40; size] };
//! let weights = WeightPolynomials::new(1, 1, vec![vec![-3; 1]])?;
//! let products = ring.multiply(&[input], &ring.prepare(weights)?)?;
//! assert_eq!(products[0].body[0], (1u64 << 40).wrapping_mul(3).wrapping_neg());
//! assert_eq!(products[0].mask[0], 3);
//! # Ok::<(), encompute_fhe::RingError>(())
//! ```

mod blinding;
mod bootstrap;
mod expand;
mod layout;
mod message;
mod packing;
mod params;
pub mod reference;
mod respond;
mod ring;

pub use blinding::{BLINDING_SEED_BYTES, Blinding, BlindingSeed, blinding_variance};
pub use bootstrap::{
    BootstrapError, BootstrapSet, Bootstrapper, Decomposition, EvaluationKey, EvaluationKeyError, LweCiphertext,
    LweDimension, MOST_PACKED, PreparedEvaluationKey, TABLE_BINS, Table, Turns,
};
pub use expand::{Ciphertext, expand_blinding_key, expand_tensor};
pub use layout::{InputLayout, LayoutError, OutputLayout, Slot, WantedBody};
pub use message::{BlindingKey, EncryptedFeatures, EncryptedTensor, MaskSeed, MessageError, Piece};
pub use params::{AccumulatorBits, ParameterSet, PolynomialSize, ResponseBits, UploadBits};
pub use respond::respond;
pub use ring::{CodePath, PreparedBlindingKey, PreparedWeights, Ring, RingError, WeightPolynomials};
