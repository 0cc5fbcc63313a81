//! The marketplace as a pure state machine: state × command × block → state × payment × events.
//!
//! Nothing here talks to a chain, keeps state or hashes by itself. The contract is a shell over this
//! crate; simulators, auditors and tests run the same rules in memory.
//!
//! The three types to know, and how they meet:
//!
//! * [`ReadState`] is what rules may look at. It cannot write, so that no rule can write before its
//!   last check.
//! * [`Decide`] is a message of [`encompute_protocol::call`] with its rules: given a state it answers
//!   a [`Decision`] or a [`Refusal`].
//! * [`Changes`] is the decision's effect: writes, at most one payment, events. [`Memory`] applies
//!   them to maps; the contract applies them to storage.
//!
//! ```
//! use encompute_lifecycle::{Context, Memory, Software, price};
//! use encompute_protocol::{Address, BlockNumber, Plancks, Text, call::ListModel};
//!
//! let (governor, creator) = (Address([1; 20]), Address([2; 20]));
//! let mut market = Memory::new(governor, price::default_params(governor), Software).unwrap();
//! let at = Context { caller: creator, block: BlockNumber(1), value: Plancks(50_000_000_000_000), ..Context::default() };
//! let model = market.execute(&at, &ListModel { name: Text::new("digits").unwrap() }).unwrap();
//! assert_eq!(model.0, 1);
//! assert_eq!(market.balance(), Plancks(50_000_000_000_000));
//! ```
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod attested;
pub mod command;
pub mod context;
mod credit;
pub mod deposit;
pub mod dispute;
mod draft;
mod govern;
mod job;
pub mod ledger;
mod lottery;
pub mod memory;
mod model;
pub mod outcome;
pub mod price;
pub mod prune;
mod rating;
pub mod refusal;
pub mod session;
#[cfg(feature = "recover")]
pub mod software;
mod sponsor;
pub mod state;
pub mod view;
mod worker;

pub use command::{Command, Decide, Decision, Scene};
pub use context::{Context, Host};
pub use deposit::Deposit;
pub use job::{draw::turn, receipt::ReceiptFacts};
pub use ledger::Ledger;
pub use memory::Memory;
pub use outcome::{Outcome, Settlement};
pub use refusal::Refusal;
pub use session::SessionSettlement;
#[cfg(feature = "recover")]
pub use software::Software;
pub use state::{Changes, Payout, ReadState, Write};
pub use view::{Look, View};
