//! What worker and relayer say to each other.

use crate::forward::{ForwardError, ForwardRequest};
use alloc::string::String;
use codec::{Decode, Encode};
use encompute_protocol::wire::{self, DecodeError, Message};

/// Body of `POST /v1/relay`: a request and the worker's signature.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RelayCall {
    /// What was signed.
    pub request: ForwardRequest,
    /// By the worker's key: r, s, v.
    pub signature: [u8; 65],
}

impl Message for RelayCall {
    const VERSION: u8 = 1;
    // What the contract's one buffer takes.
    const LIMIT_BYTES: usize = 16 * 1024;
}

/// What came of it, in the relayer's words.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RelayAnswer {
    /// It is in this block, which is final.
    #[codec(index = 0)]
    Sent {
        /// The block.
        block: u32,
    },
    /// The anchor refuses it.
    #[codec(index = 1)]
    Refused(ForwardError),
    /// Nobody can say.
    #[codec(index = 2)]
    Failed(String),
}

impl Message for RelayAnswer {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 4 * 1024;

    fn check_counts(value: &[u8]) -> Result<(), DecodeError> {
        match value.split_first() {
            Some((2, mut words)) => wire::count(&mut words, "bytes of words", Self::LIMIT_BYTES as u32).map(drop),
            _ => Ok(()),
        }
    }
}
