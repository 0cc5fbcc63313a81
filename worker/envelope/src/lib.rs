//! Sealed envelopes: HPKE wraps a fresh key, STREAM carries the bulk.
//!
//! Head weights go to an attested worker in one, features to a creator, a prediction to a user.
//! An envelope opens only with its recipient's key and only in the context it was sealed for:
//! that chain, that contract, that job and step. Cut, extended, reordered or moved elsewhere, it
//! does not open. It hides contents, not length, and says nothing about who sealed it.
//!
//! The three types to know, and how they meet:
//!
//! * [`RecipientSecret`] opens what was sealed to its [`RecipientPublic`]; a party derives it from
//!   the one [`SecretSeed`] it keeps.
//! * [`Context`] says what the envelope is about; both sides must name the same one.
//! * [`Envelope`] is the result of [`seal`], and what [`open`] takes.
//!
//! ```
//! use encompute_envelope::{Context, RecipientSecret, Subject, open, seal};
//! use encompute_protocol::{ContractAddress, GenesisHash, JobId};
//!
//! let creator = RecipientSecret::generate();
//! let subject = Subject::Features { job: JobId(7) };
//! let context = Context { genesis: GenesisHash([1; 32]), contract: ContractAddress([2; 20]), subject };
//! let envelope = seal(creator.public(), &context, b"sixteen features")?;
//! let features = open(&creator, &context, envelope.as_bytes(), 1024)?;
//! assert_eq!(features.as_slice(), b"sixteen features");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Keys cannot be printed by accident:
//!
//! ```compile_fail
//! println!("{:?}", encompute_envelope::RecipientSecret::generate());
//! ```
//!
//! ```compile_fail
//! println!("{:?}", encompute_envelope::SecretSeed::generate());
//! ```

mod bulk;
mod chunks;
mod common;
mod context;
mod key;
mod seal;

pub use bulk::{ContentKey, lock, unlock};
pub use chunks::CHUNK_BYTES;
pub use common::{lock_in_common, unlock_in_common};
pub use context::{Context, Subject};
pub use key::{PUBLIC_KEY_BYTES, PublicKeyError, RecipientPublic, RecipientSecret, SecretSeed};
pub use seal::{Envelope, OVERHEAD_BYTES, OpenError, PLAINTEXT_LIMIT_BYTES, SealError, open, seal};

/// X-Wing (HPKE KEM 0x647a), HKDF-SHA256 (KDF 1), ChaCha20-Poly1305 (AEAD 3).
type Suite = hpke::kem::XWing;
type Kdf = hpke::kdf::HkdfSha256;
type Aead = hpke::aead::ChaCha20Poly1305;
