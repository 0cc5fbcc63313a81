//! One TOML a network: where the chain is, which contract, whose attestation counts.
//!
//! A network file is the only thing that tells one network from another; the programs are the same.
//! Reading one refuses what it does not know: a misspelt key, a TCB status Intel never wrote, a
//! development root without the words that nobody writes by accident.
//!
//! The three types to know, and how they meet:
//!
//! * [`Network`] is one file, checked.
//! * [`Trust`] is its part about attestation: the root, and what a quote under it may say.
//! * [`Settings`] is what one run of a program goes by: flag, then environment, then the
//!   configuration file, then the default, with the [`Origin`] of each.
//!
//! ```
//! use encompute_networks::Network;
//! let public = Network::bundled("paseo-hub").unwrap();
//! assert!(!public.is_development() && !public.allows_parameters("toy-256-v1"));
//! ```

mod amount;
mod error;
mod file;
mod images;
mod network;
mod settings;
mod words;

pub use amount::{ParseAmountError, format_amount, parse_amount};
pub use error::{NetworkError, WriteNetworkError};
pub use images::{OsImage, RegisterBytes};
pub use network::{Chain, Deployment, LocalServices, Network, Root, Token, Trust};
pub use settings::{Flags, Origin, Setting, Settings, SettingsError, home, resolve};
pub use words::{
    AdvisoryName, DEVELOPMENT_WORDS, NetworkName, ParameterName, QuoteKindName, RpcUrl, ServiceUrl, TcbStatusName,
    WordError,
};
