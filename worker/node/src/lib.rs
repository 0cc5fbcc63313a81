//! The worker: attest, register, offer, claim, run, commit.
//!
//! It computes on ciphertexts and cannot open one: this crate never links the user's keys, the
//! release or the tail. Keys of users who are away are a [`custody::Custodian`]'s, of which it knows the door. It refuses requests that are not exactly what the chain says was bought,
//! rounds out of turn, and a second question for a round that it answered.
//!
//! The types to know, and how they meet:
//!
//! * [`run`] takes a [`WorkerConfig`], attests and registers, and serves until it is told to stop.
//! * [`rounds::JobRun`] is one job as a pure state machine: which order counts, what is signed next.
//! * [`journal::Journal`] keeps what was said, so that a restart says the same.
//!
//! Bounds, all stated where they are: 256 connections, 256 MiB of bodies, 4 GiB of compiled heads, 512 MiB
//! of expanded evaluation keys, 60 s a call, eight waiting rounds for each running one, [`offers::OFFER_LIFE`] for an offer.
//!
//! Modules in reading order: [`service`], [`voice`], [`rollup`], [`relay`], [`registration`], [`watch`], [`desk`], [`rounds`], [`commit`], [`sessions`],
//! [`dispute`].

mod args;
mod audit;
pub mod cache;
mod claim;
pub mod commit;
mod compute;
pub mod custody;
pub mod desk;
pub mod dispute;
pub mod evaluation;
pub mod figures;
pub mod handover;
pub mod head_key;
pub mod heads;
pub mod health;
pub mod http;
pub mod journal;
pub mod keys;
pub mod offers;
pub mod pool;
pub mod program;
mod quote;
pub mod registration;
pub mod relay;
pub mod request;
pub mod rollup;
pub mod rounds;
pub mod service;
pub mod sessions;
mod state;
pub mod verdict;
pub mod voice;
pub mod watch;
pub mod world;

pub use health::HealthReport;
pub use service::{Ready, RunError, Speaker, WorkerConfig, run};
