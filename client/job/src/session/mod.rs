//! The user's side of a session: one payment, then jobs one after the other, each answered for by a voucher.
//!
//! [`Runner::open_session`] pays for all jobs, [`Runner::run_in_session`] takes one of them from a tensor to its answer
//! without a transaction, [`Runner::close_session`] ends it and has back what was not used. Everything is in a [`Book`]
//! before it is said, so that a later call goes on from wherever this one was cut off. What must be verified before
//! anything is decrypted is verified by the same code as for a single job.

mod book;
mod close;
mod gather;
mod mail;
mod open;
mod run;

pub use book::{Book, BookRecord};
pub use close::SessionEnding;
pub use gather::gather_session;
pub use open::SessionAsked;
pub use run::SessionJobEnded;
