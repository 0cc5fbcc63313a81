//! The user's side of one job: from a tensor to a prediction.
//!
//! [`Runner::prepare`] encrypts and writes everything that a later run needs into a [`Journal`];
//! [`Runner::request`] buys the run; [`Runner::drive`] takes the job on from wherever it stands on
//! chain, until it ends. After a crash the same call goes on: intents are written before each send.
//!
//! Nothing is decrypted before its receipt is verified (module `rounds`), nothing decrypted leaves but
//! through [`encompute_release::Releaser`], and nothing here reacts to a decrypted value: only to
//! signatures, digests, sizes and windows.
//!
//! A user who wants to be away gives the job's key to the enclave that runs it (module `custody`), which then does all
//! this in the user's place.

mod case;
mod commitment;
mod custody;
mod dispute;
mod driver;
mod error;
mod events;
mod gather;
mod handover;
mod head;
mod journal;
pub mod market;
mod order;
mod payouts;
mod quoted;
mod report;
mod request;
mod rounds;
mod session;
mod told;
mod turns;
mod witness;
mod workers;

pub use case::{CaseError, CaseName, JOBS_LIMIT};
pub use custody::{Custody, CustodyError, CustodyFacts};
pub use driver::{Runner, Services};
pub use error::JobError;
pub use gather::{GatherError, Said, gather, gather_requests, gather_version, gather_worker, history, own_of, said};
pub use journal::{Journal, JournalError, Record};
pub use order::{Order, offered};
pub use quoted::unguessed;
pub use report::{Answer, Bytes, Ending, Step, Watch};
pub use session::{Book, BookRecord, SessionAsked, SessionEnding, SessionJobEnded, gather_session};
pub use turns::Finding;
