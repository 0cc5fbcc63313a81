//! How talking to the chain fails. Whether nobody answered, or somebody said no, is never confused.

use crate::client::{Block, ExtrinsicHash};
use core::time::Duration;
use encompute_lifecycle::Refusal;
use encompute_protocol::{BlockNumber, ContractAddress, GenesisHash, Plancks};

/// What kind of failure an error is; programs choose their exit code by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// Nobody answered.
    Unreachable,
    /// The chain or the contract said no.
    Refused,
    /// An answer did not come in time.
    TimedOut,
    /// What was asked for does not exist.
    NotFound,
    /// Anything else.
    Failed,
}

/// A node that could not be asked. Says nothing about what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// There is no connection, and none can be made.
    #[error("node {url} cannot be reached: {reason}")]
    Unreachable {
        /// The node.
        url: String,
        /// What the connection said last.
        reason: String,
    },
    /// No answer in time.
    #[error("node {url} did not {what} within {} s", after.as_secs())]
    TimedOut {
        /// The node.
        url: String,
        /// What was waited for.
        what: &'static str,
        /// For how long.
        after: Duration,
    },
    /// An answer that is an error, or that is not understood.
    #[error("node {url} cannot {what}: {reason}")]
    Node {
        /// The node.
        url: String,
        /// What was asked.
        what: &'static str,
        /// Its words, or what is wrong with them.
        reason: String,
    },
}

/// A connection that was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The node could not be asked.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The node is of another chain than the network file pins.
    #[error("node {url} is of the chain with genesis {found}, the network pins {pinned}")]
    OtherGenesis {
        /// The node.
        url: String,
        /// Its chain's first block.
        found: GenesisHash,
        /// What the network file says.
        pinned: GenesisHash,
    },
    /// The node's chain has no contracts of this kind.
    #[error("the chain of node {url} has no pallet-revive, so no contract of this kind")]
    NoContracts {
        /// The node.
        url: String,
    },
}

/// A fact that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The node could not be asked.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The network names no contract.
    #[error("the network names no contract")]
    NoContract,
    /// There is nothing at the contract's address.
    #[error("there is no contract at {contract} on this chain")]
    NotThere {
        /// The address.
        contract: ContractAddress,
    },
    /// The chain is not that long, or the node forgot the block.
    #[error("block {number} is not there")]
    NoBlock {
        /// Which block.
        number: BlockNumber,
    },
    /// The contract refuses to answer.
    #[error("contract refuses {message}: {refusal}")]
    Refused {
        /// What was asked.
        message: &'static str,
        /// Why.
        refusal: Refusal,
    },
    /// The contract does not know the message, or answers with another type: it is another version.
    #[error("contract at {contract} is no marketplace of this version: {message} answers 0x{}", hex::encode(data))]
    OtherContract {
        /// The address.
        contract: ContractAddress,
        /// What was asked.
        message: &'static str,
        /// Beginning of what it answered.
        data: Vec<u8>,
    },
    /// The call could not be executed.
    #[error("{message} cannot be executed: {error}")]
    Dispatch {
        /// What was asked.
        message: &'static str,
        /// The chain's name for the error.
        error: String,
    },
}

/// A transaction that did not do what it was sent for. Unless it says otherwise, nothing has changed
/// on chain, except that a fee may have been paid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The node could not be asked; nothing was sent.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The network names no contract.
    #[error("the network names no contract")]
    NoContract,
    /// There is nothing at the contract's address.
    #[error("there is no contract at {contract} on this chain")]
    NotThere {
        /// The address.
        contract: ContractAddress,
    },
    /// The contract refuses; nothing was sent and nothing was paid.
    #[error("contract refuses {message}: {refusal}")]
    Refused {
        /// What was asked.
        message: &'static str,
        /// Why.
        refusal: Refusal,
    },
    /// The contract does not know the message: it is another version. Nothing was sent.
    #[error("contract at {contract} is no marketplace of this version: {message} answers 0x{}", hex::encode(data))]
    OtherContract {
        /// The address.
        contract: ContractAddress,
        /// What was asked.
        message: &'static str,
        /// Beginning of what it answered.
        data: Vec<u8>,
    },
    /// The account has not enough.
    #[error("account has {free} free, {message} needs {needed} and the fee")]
    Funds {
        /// What was asked.
        message: &'static str,
        /// What it costs without the fee.
        needed: Plancks,
        /// What the account has.
        free: Plancks,
    },
    /// The call cannot be executed; nothing was sent.
    #[error("{message} cannot be executed: {error}")]
    Dispatch {
        /// What was asked.
        message: &'static str,
        /// The chain's name for the error.
        error: String,
    },
    /// The wallet did not sign; nothing was sent.
    #[error("the wallet did not sign: {reason}")]
    NotSigned {
        /// The wallet's words.
        reason: String,
    },
    /// The node does not take the transaction.
    #[error("node does not take the transaction: {reason} (code {code})")]
    Rejected {
        /// JSON-RPC error code.
        code: i32,
        /// The node's words.
        reason: String,
    },
    /// It was tried with success, but failed in its block, because the state had changed: somebody
    /// was first. The fee is paid.
    #[error("{message} failed in block {} after it was tried with success: {}", block.number, why(error, refusal))]
    Overtaken {
        /// What was asked.
        message: &'static str,
        /// The block.
        block: Block,
        /// The chain's name for the error.
        error: String,
        /// Why the contract refuses it now, if it does.
        refusal: Option<Refusal>,
    },
    /// The node dropped it from its pool; it is in no block.
    #[error("transaction {extrinsic} was dropped by the node: {reason}")]
    Dropped {
        /// The transaction.
        extrinsic: ExtrinsicHash,
        /// The node's words.
        reason: String,
    },
    /// It was sent, but did not become final in time. **It may yet.**
    #[error("transaction {extrinsic} is not final after {} s; it may yet become so", after.as_secs())]
    NotFinal {
        /// The transaction.
        extrinsic: ExtrinsicHash,
        /// For how long was waited.
        after: Duration,
    },
    /// It was sent, and the node was lost. **It may be in a block.**
    #[error("transaction {extrinsic} was sent, then the node was lost: {fault}")]
    Lost {
        /// The transaction.
        extrinsic: ExtrinsicHash,
        /// What happened to the node.
        fault: Fault,
    },
    /// It succeeded, but the contract's events do not say what it answers.
    #[error("{message} succeeded in block {}, but its events do not tell its outcome", block.number)]
    NoOutcome {
        /// What was asked.
        message: &'static str,
        /// The block.
        block: Block,
    },
}

fn why(error: &str, refusal: &Option<Refusal>) -> String {
    refusal.as_ref().map_or_else(|| error.to_owned(), |refusal| format!("{refusal} ({error})"))
}

impl Fault {
    /// What kind of failure this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } => Class::Unreachable,
            Self::TimedOut { .. } => Class::TimedOut,
            Self::Node { .. } => Class::Failed,
        }
    }
}

impl ConnectError {
    /// What kind of failure this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Fault(fault) => fault.class(),
            Self::OtherGenesis { .. } | Self::NoContracts { .. } => Class::Refused,
        }
    }
}

impl ReadError {
    /// What kind of failure this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Fault(fault) => fault.class(),
            Self::NoContract | Self::NotThere { .. } | Self::NoBlock { .. } => Class::NotFound,
            Self::Refused { .. } => Class::Refused,
            Self::OtherContract { .. } | Self::Dispatch { .. } => Class::Failed,
        }
    }
}

impl SubmitError {
    /// What kind of failure this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Fault(fault) => fault.class(),
            Self::Lost { fault, .. } => fault.class(),
            Self::NotFinal { .. } => Class::TimedOut,
            Self::NoContract | Self::NotThere { .. } => Class::NotFound,
            Self::Refused { .. }
            | Self::Funds { .. }
            | Self::NotSigned { .. }
            | Self::Rejected { .. }
            | Self::Overtaken { .. } => Class::Refused,
            Self::OtherContract { .. } | Self::Dispatch { .. } | Self::Dropped { .. } | Self::NoOutcome { .. } => {
                Class::Failed
            }
        }
    }

    /// Why the contract refused, if it was the contract: before sending, or in the block.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            Self::Overtaken { refusal, .. } => refusal.as_ref(),
            _ => None,
        }
    }

    /// The transaction whose fate is unknown, if there is one: look for it before sending again.
    pub fn may_be_included(&self) -> Option<ExtrinsicHash> {
        match self {
            Self::NotFinal { extrinsic, .. } | Self::Lost { extrinsic, .. } => Some(*extrinsic),
            _ => None,
        }
    }
}

impl From<ReadError> for SubmitError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Fault(fault) => Self::Fault(fault),
            ReadError::NoContract => Self::NoContract,
            ReadError::NotThere { contract } => Self::NotThere { contract },
            ReadError::Refused { message, refusal } => Self::Refused { message, refusal },
            ReadError::OtherContract { contract, message, data } => Self::OtherContract { contract, message, data },
            ReadError::Dispatch { message, error } => Self::Dispatch { message, error },
            ReadError::NoBlock { number } => {
                Self::Dispatch { message: "a read", error: format!("block {number} is not there") }
            }
        }
    }
}
