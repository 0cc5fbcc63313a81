//! The embedded chain: a FRAME runtime with pallet-revive behind Substrate JSON-RPC.
fn main() {}
