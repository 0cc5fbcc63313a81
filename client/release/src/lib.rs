//! Obfuscation of decrypted features: the only way out for a decrypted value.
//!
//! What decryption gives ([`encompute_keys::SecretFeatures`]) has no `Debug`, no encoding and one
//! consumer: [`Releaser::release`]. It takes them through the pipeline of a version's
//! [`ReleasePolicy`](encompute_protocol::ReleasePolicy): the exact grid that decryption rounds to,
//! a clip of the L2 norm ([`clip`]), an exact discrete Gaussian ([`gaussian`]), codes of a few bits
//! ([`pipeline`]). Noise is memoised: its seed is a keyed hash of input, version, split and policy
//! ([`seed`]), so that asking twice tells the creator nothing new. A [`ledger`] counts the bits that
//! each input has given away and refuses above the budget.
//!
//! It refuses a policy that is not one ([`PolicyError`]), features of another length than the
//! split's, and any release beyond the input's budget ([`ReleaseError::Budget`]). It never refuses
//! because of a value: clamping is the only reaction to content. A user who wants to be away grants one release
//! ([`Releaser::grant`]), which is charged at once and covers those terms alone.
//!
//! The three types, and how they meet: a [`CheckedPolicy`] and an [`InputIdentity`] go into a
//! [`Releaser`], which answers codes that [`encompute_protocol::manifest::ReleasedFeatures`] carries.

pub mod clip;
pub mod gaussian;
pub mod ledger;
pub mod pipeline;
pub mod policy;
pub mod seed;

pub use ledger::{Ledger, LedgerEntry, LedgerError};
pub use pipeline::{ReleaseError, ReleaseGrant, Released, Releaser, obfuscate};
pub use policy::{CheckedPolicy, PolicyError};
pub use seed::{InputIdentity, ReleaseContext, ReleaseSecret};
