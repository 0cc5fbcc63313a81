//! How a worker asks a creator's service for a head's key.
//!
//! `GET {creator_url}/v1/head-key/nonce` answers 32 bytes: a [`crate::Nonce`] for one request.
//! `POST {creator_url}/v1/head-key` takes a [`HeadKeyCall`] and answers a [`HeadKeyAnswer`].

use crate::{Bytes, Signature, wire::Message};
use codec::{Decode, Encode};

/// Most bytes of the evidence: a quote and its collateral.
pub const HEAD_KEY_EVIDENCE_LIMIT_BYTES: u32 = 1024 * 1024;

/// Body of `POST /v1/head-key`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HeadKeyCall {
    /// `encompute_attest::HeadKeyEvidence`, encoded: a fresh quote over the
    /// [`crate::HeadKeyStatement`] and the service's nonce.
    pub evidence: Bytes<HEAD_KEY_EVIDENCE_LIMIT_BYTES>,
    /// Over the statement, by the worker's registered signing key.
    pub signature: Signature,
}

impl Message for HeadKeyCall {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = HEAD_KEY_EVIDENCE_LIMIT_BYTES as usize + 128;
}

/// Body of its answer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HeadKeyAnswer {
    /// The head's content key in an envelope to the attested key, with subject `Head`.
    pub envelope: Bytes<4_096>,
}

impl Message for HeadKeyAnswer {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 4_200;
}
