//! The drill: jobs through the real programs, one of which is killed, asked to end, frozen, robbed of its files,
//! its disk, its network or its clock at every step; then the outcome is judged.
//!
//! What is to happen ([`mod@plan`]) and what its outcome is worth ([`mod@judge`]) are pure and tested alone;
//! processes are in a thin shell around them. Money is judged from the contract's events against the
//! refund table, never by what a program says of itself.
//!
//! * [`Scene`] is one run: who is hurt, at which step, how, for how long.
//! * [`Judgement`] is what became of its job, and of every planck.
//! * [`Report`] adds them up; `xtask drill` prints it.
//!
//! [`load()`] is another way to break a market: many jobs at once. [`soak()`] is the third: jobs for an hour.

mod actor;
mod fault;
mod hurt;
pub mod judge;
mod load;
mod market;
mod means;
pub mod plan;
mod report;
mod run;
mod soak;

pub use fault::Fault;
pub use judge::{Judgement, Outcome};
pub use load::{Load, LoadArguments, carry, load};
pub use market::DrillError;
pub use means::Means;
pub use plan::{Choice, Scene, Step, Victim, plan};
pub use report::{Drain, Drains, Report, Row};
pub use run::{Arguments, drill, play};
pub use soak::{FLAT_KIB, FLAT_PERCENT, Held, Soak, SoakArguments, soak};
