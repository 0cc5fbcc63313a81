//! The chain and the contract on it, in the protocol's types.
//!
//! Nothing here decides anything: it encodes a call, tries it, signs it, watches it to finality and
//! says what the contract's events say happened. It refuses a node of another chain, a contract
//! that is none, and answers that are not exactly the type that was asked for.
//!
//! The three types to know, and how they meet:
//!
//! * [`Client`] reads: facts at a block, events of a range, every block from one on ([`Follow`]).
//! * [`Account`] is a client and a [`Signer`]; it submits what the signer may do.
//! * [`Submitted`] is what came of it: block, fee, the contract's events, the answer.
//!
//! Services take capabilities instead ([`SubmitJob`], [`WorkJob`], [`ServeTail`], [`Govern`]), so
//! that a worker cannot list models and a test can stand in for the chain.
//!
//! ```no_run
//! use encompute_chain::{Client, Signer};
//! use encompute_networks::Network;
//! use encompute_protocol::{JobId, Plancks, call::{AcceptResult, ReadCounts}};
//! # async fn example(network: &Network) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect(network).await?;
//! let jobs = client.read(ReadCounts {}).await?.jobs;
//! let alice = client.signed_by(Signer::from_suri("//Alice")?);
//! let accepted = alice.submit(AcceptResult { job: JobId(jobs) }, Plancks::ZERO).await?;
//! println!("accepted in block {} for {}", accepted.block.number, accepted.fee);
//! # Ok(())
//! # }
//! ```

mod account;
mod account_id;
mod act;
mod batch;
mod capability;
mod carry;
mod client;
mod contract;
mod deploy;
pub mod development;
mod error;
mod ethereum;
mod events;
mod extrinsic;
mod follow;
mod mapping;
mod other;
mod outside;
mod signer;
mod wire;

pub use account::{Account, Deposit, Estimate, Submitted, Weight};
pub use account_id::{AccountId, ParseAccountError};
pub use act::{Act, Fact};
pub use batch::Entry;
pub use capability::{FollowBlocks, Govern, ReadMarket, ServeTail, Submit, SubmitJob, WorkJob};
pub use client::{Balance, Block, BlockHash, ChainFacts, Client, ExtrinsicHash};
pub use encompute_lifecycle::Refusal;
pub use error::{Class, ConnectError, Fault, ReadError, SubmitError};
pub use events::{BlockEvents, Emitted};
pub use follow::Follow;
pub use mapping::Mapping;
pub use other::{Answered, OtherCall, OtherError};
pub use outside::{Declined, Signing, Unsigned, Wallet};
pub use signer::{Signer, SignerError, new_phrase};
