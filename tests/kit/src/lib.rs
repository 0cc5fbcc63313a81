//! Real processes for tests: a chain with the contract on it, or the whole market.
//!
//! Nothing is imitated and nothing is shared between tests: each starts its own processes on free
//! ports in a folder of its own, and they are gone when it ends.
//!
//! The types to know, and how they meet:
//!
//! * [`Process`] is one program that has said it is ready.
//! * [`Chain`] is the embedded chain with the contract deployed: what a client needs.
//! * [`Market`] is everything that `encompute dev up` starts, and the command line beside it.
//! * [`Services`] is the same as processes of the test's own, each of which can be killed, stopped and
//!   started again alone, on its folder and its port.
//! * [`S3Server`] is an object store of somebody else's make, for gateways that keep their blobs in one.
//! * [`Liar`] stands between two of them and says what it likes.
//! * [`Surroundings`] puts the world around them into the test's hands: [`Links`] to cut and slow down, a
//!   [`Room`] for each folder to fill, [`Clocks`] to set.
//!
//! The programs are those that the same build made, or those in `ENCOMPUTE_PROGRAMS`.
//!
//! ```no_run
//! # async fn example() -> Result<(), encompute_kit::KitError> {
//! let chain = encompute_kit::Chain::start().await?;
//! let alice = chain.account("//Alice");
//! # Ok(())
//! # }
//! ```

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test's kit fails loudly")]

mod chain;
mod clock;
mod habits;
mod liar;
mod links;
mod market;
mod process;
mod room;
mod s3;
mod services;
mod surroundings;

pub use chain::Chain;
pub use clock::Clocks;
pub use habits::{Between, Habits};
pub use liar::{Asked, Liar, Lie, Told};
pub use links::{Called, Caller, LINKS, Links, Weather};
pub use market::{Market, Ran, Running, command, encompute, program, root, signal};
pub use process::{Drained, KitError, Process};
pub use room::Room;
pub use s3::{S3Server, object_of};
pub use services::{CLIENT, Services, blob_file};
pub use surroundings::Surroundings;
