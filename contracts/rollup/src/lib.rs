//! The anchor of the off-chain rollup protocol as pure rules: wire-compatible with Phala's, without its gaps.
//!
//! A worker off chain reads a snapshot of the anchor's keys, computes, and sends one transaction: conditions that must
//! still hold, updates, actions. If anybody was faster, a condition fails and nothing happens: a stale worker loses
//! cleanly. Nothing here talks to a chain or asks a clock; the contract `anchor` is a shell over it. `SPEC.md` of
//! the protocol gives the bytes.
//!
//! The three types to know, and how they meet:
//!
//! * [`ReadKv`] is what the rules look at: one map from bytes to bytes; [`Here`] adds what holds on this chain, now.
//! * [`RollupTx`] is what a worker sends, directly or inside a signed [`ForwardRequest`] that somebody else pays for.
//! * [`Changes`] is what [`RollupTx::decide`] answers: writes and replies. Nothing is written before the last check.
//!
//! What differs from upstream, by intent: updates touch neither the queue nor what the anchor itself answers, and a
//! version only goes up by one; whoever attests is a worker whose registration holds ([`Standing`]), and no action makes
//! or unmakes one; a request that is forwarded names its chain and its end ([`bound`]).
//!
//! ```
//! use encompute_rollup::{Action, RollupError, RollupTx, queue};
//! use std::collections::BTreeMap;
//! let mut anchor: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
//! let (number, changes) = queue::push(&anchor, b"a job".to_vec()).unwrap();
//! changes.apply(&mut anchor);
//! assert_eq!((number, queue::message(&anchor, 0)), (0, Some(b"a job".to_vec())));
//! let pop = RollupTx { conditions: vec![], updates: vec![], actions: vec![Action::SetQueueHead(2)] };
//! assert_eq!(pop.decide(&anchor), Err(RollupError::InvalidPopTarget));
//! ```
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod bound;
pub mod call;
mod forward;
mod kv;
pub mod queue;
mod relay;
mod rollup;
mod standing;

pub use bound::Here;
pub use forward::{ForwardError, ForwardRequest, Recover, account_of};
pub use kv::{Changes, ITEM_LIMIT_BYTES, KEY_LIMIT_BYTES, Key, ReadKv, Value, WriteKv, version, version_key};
pub use relay::{RelayAnswer, RelayCall};
pub use rollup::{Action, MAY_NOT, MissingRole, PARTS_LIMIT, RollupError, RollupTx};
pub use standing::{Attestor, Facts, Standing, takes_stake};
