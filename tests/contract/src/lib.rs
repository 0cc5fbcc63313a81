//! The built contract (`contracts/marketplace/artifacts`) on the runtime of the embedded chain.
//!
//! ink!'s own off-chain engine behaves differently where it matters, so nothing here uses it: the code
//! that is deployed runs in the pallet, on PolkaVM. [`Chain`] deploys it and calls it; [`Chain::repeat`]
//! makes the calls that a [`world`] of the rules' own tests made in memory, and says whether the contract
//! did the same.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's kit fails loudly")]

mod alterations;
pub mod anchor;
pub mod chain;
mod everything;
mod repeat;
#[path = "../../../contracts/lifecycle/tests/world/mod.rs"]
pub mod world;

pub use alterations::{ALTERATIONS, Alteration};
pub use chain::{Chain, Said, artifact};
pub use everything::everything;
pub use repeat::Difference;
