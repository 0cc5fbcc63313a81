//! Every decoder of bytes from strangers, as a function from bytes to whether they were accepted.
//!
//! The suite calls each on every seed and on thousands of altered ones (`tests/altered.rs`), libFuzzer on millions
//! (`tests/fuzz`). A decoder refuses or accepts; it never panics, hangs, or takes more memory than its limit.
//!
//! The types to know, and how they meet:
//!
//! * [`Target`] is one decoder: [`Target::accepts`] gives it bytes.
//! * [`Seed`] is where its fuzzing begins: a golden message, a fixture, a published quote. Every one is accepted.
//! * [`Alterations`] are a seed's bytes altered, the same ones each time.
//!
//! ```
//! let calls = encompute_decoders::target("calls").unwrap();
//! assert!(!calls.accepts(&[0, 1, 2]), "three bytes are no call");
//! ```

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test's kit fails loudly")]

mod alter;
mod evidence;
mod exported;
mod messages;
mod models;
mod sealed;
mod seeds;
mod target;

pub use alter::Alterations;
pub use encompute_model::preamble::inside_decoder;
pub use seeds::{Seed, SeedError, corpus, seeds};
pub use target::*;
