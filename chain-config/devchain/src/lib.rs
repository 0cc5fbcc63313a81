//! The embedded chain: a real FRAME runtime with pallet-revive, executed natively in one process behind the
//! JSON-RPC of a Substrate node. For development, tests and the demo; a public network takes its place by its
//! network file alone.
//!
//! Signed extrinsics, fees, nonces, events and storage deposits are the real pallets. What it has not: peers,
//! consensus, a wasm runtime, runtime upgrades, read proofs, Ethereum RPC, the `chainHead_v1` methods.
//!
//! ```
//! use encompute_devchain::{Config, DevChain};
//!
//! let chain = DevChain::start(Config::in_memory())?;
//! assert!(chain.url().starts_with("ws://127.0.0.1:"));
//! assert_eq!(chain.seal_blocks(10)?, 10);
//! assert_eq!(chain.verify()?.blocks, 10);
//! chain.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The rooms, in reading order:
//!
//! - [`runtime`]: pallets, prices, APIs;
//! - [`store`]: blocks and trie nodes on disk; [`state`]: one root of it, read or executed upon;
//! - [`genesis`]: block 0; [`block`]: making a block and executing a finished one again;
//! - [`pool`]: transactions that wait; [`sealing`]: the one thread that owns the pool and writes;
//! - [`chain`]: the handle everyone else has on that thread; [`rpc`]: the same over HTTP and WebSocket;
//! - [`node`]: starting and stopping all of it.

pub mod block;
pub mod chain;
mod depth;
mod figures;
pub mod genesis;
pub mod node;
pub mod pool;
pub mod rpc;
pub mod runtime;
pub mod sealing;
pub mod state;
pub mod store;

pub use block::{Verified, VerifyError, verify};
pub use chain::{Chain, Head};
pub use genesis::{DEV_ACCOUNTS, DEV_ENDOWMENT, ETHEREUM_DEV_ACCOUNTS, Endowments};
pub use node::{Config, DevChain, Running, StartError};
pub use rpc::{MethodCounts, ServerLimits};
pub use sealing::Seal;
pub use state::inside_runtime;
pub use store::{Place, Store};
