//! Asking for evidence: quotes from the machine, collateral from the service that signs it.

mod guest;
mod http;
mod pcs;

pub use guest::{ENDPOINT_VARIABLE, GuestAgent, GuestError, GuestInfo, GuestQuote, SOCKETS};
pub use http::AskError;
pub use pcs::{CollateralService, FetchError, INTEL_PCS};
