//! The creator's service: release head keys, open features, run the tail, seal results, settle.
//!
//! It sees released codes and nothing else of a user: no decrypted value has a name in this crate.
//! It refuses to release a head's key to code that the contract does not list, and features that
//! are not exactly what the job's policy allows.
//!
//! The three types to know, and how they meet:
//!
//! * [`Vault`] keeps what a creator must not lose or show: the envelope key, content keys, tails.
//!   Publishing a version writes [`VersionMaterial`] into it; the service reads it.
//! * [`serve`] runs the service with a [`ServeConfig`] until it is told to stop.
//! * [`FeaturesRefused`] says why features that came do not count, in public facts alone.

mod desk;
mod dispute;
mod features;
mod figures;
mod head_key;
mod http;
mod nonces;
mod release_log;
mod service;
mod sessions;
mod vault;
mod watch;

pub use features::{FeaturesRefused, scores_in_millionths};
pub use service::{Ready, ServeConfig, ServeError, serve};
pub use vault::{SplitMaterial, Vault, VaultError, VersionMaterial};
