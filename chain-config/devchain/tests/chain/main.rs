//! The embedded chain through the eyes of its clients: subxt, @polkadot/api, Ethereum wallets, raw JSON-RPC, and the shell.
#![allow(clippy::unwrap_used, clippy::panic)]

mod contract;
mod ethereum;
mod hostile;
mod limits;
mod polkadot_js;
mod process;
mod raw;
mod subxt_client;
mod support;
