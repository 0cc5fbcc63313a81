//! The command line's Rust in a browser's tab.
//!
//! A [`Page`] reads the market, reads a file as a model's preamble says, and takes jobs from a tensor to an answer with
//! the very code that `encompute job` runs: encryption, verification before decryption, rounds, release, audit. It runs
//! in a worker of the page's; JavaScript hands it bytes and shows what it says. Keys, journals and ledgers are in the
//! [`home`], and leave this memory only sealed under the user's passphrase.
//!
//! Every answer is the JSON that the command line prints, so that one shape serves both.

mod attack;
mod failure;
mod home;
mod input;
mod market;
mod offline;
mod page;
mod parties;
mod report;
mod run;
mod wallet;
mod watch;

pub use page::Page;
