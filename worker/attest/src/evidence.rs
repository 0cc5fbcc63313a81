//! Evidence as it travels: a quote, the collateral of its day, the statement it binds, the key.
//!
//! The blob holds everything that a judge needs besides the root, the policy, the time and the
//! facts on chain, so anybody can judge it again later and get the same answer.

use crate::claims::{QUOTE_LIMIT_BYTES, ReportData};
use crate::collateral::COLLATERAL_LIMIT_BYTES;
use codec::{Decode, Encode};
use encompute_protocol::statement::report_data;
use encompute_protocol::wire::Message;
use encompute_protocol::{Bytes, HeadKeyStatement, KeyDigest, Nonce, Receipt, RegistrationStatement, Signed};

/// An X-Wing public key: ML-KEM-768, then X25519.
pub const HPKE_KEY_BYTES: usize = 1216;

/// The public key to which secrets for the attested code are sealed, in full: the chain and the
/// statement hold its digest only.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct HpkeKey(pub [u8; HPKE_KEY_BYTES]);

/// What a worker shows: to the chain's readers when it registers, to a creator when it asks for a
/// head's key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Evidence<S> {
    /// The quote, padding and all.
    pub quote: Bytes<{ QUOTE_LIMIT_BYTES as u32 }>,
    /// Collateral of its day, as JSON.
    pub collateral: Bytes<{ COLLATERAL_LIMIT_BYTES as u32 }>,
    /// What the quote's report data binds.
    pub statement: S,
    /// The nonce that it answers.
    pub nonce: Nonce,
    /// The key whose digest the statement names.
    pub hpke_key: HpkeKey,
}

/// The blob whose digest a registration puts on chain.
pub type RegistrationEvidence = Evidence<RegistrationStatement>;

/// What a worker sends a creator's service, which issued the nonce.
pub type HeadKeyEvidence = Evidence<HeadKeyStatement>;

/// The blob whose digest a worker names with a quote that was demanded for a job: it binds the job's receipt.
pub type ReceiptEvidence = Evidence<Receipt>;

/// Quote, collateral, key and a page for the rest.
const EVIDENCE_LIMIT_BYTES: usize = QUOTE_LIMIT_BYTES + COLLATERAL_LIMIT_BYTES + HPKE_KEY_BYTES + 1024;

impl Message for RegistrationEvidence {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = EVIDENCE_LIMIT_BYTES;
}

impl Message for HeadKeyEvidence {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = EVIDENCE_LIMIT_BYTES;
}

impl Message for ReceiptEvidence {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = EVIDENCE_LIMIT_BYTES;
}

impl<S: Signed> Evidence<S> {
    /// What the quote's report data must be: Keccak-256 of the tagged statement, then the nonce.
    pub fn expected_report_data(&self) -> ReportData {
        bound(&self.statement, &self.nonce)
    }
}

/// The report data to ask a quote for: Keccak-256 of the tagged `statement`, then `nonce`.
pub fn bound<S: Signed>(statement: &S, nonce: &Nonce) -> ReportData {
    ReportData(report_data(statement, nonce))
}

impl HpkeKey {
    /// Keccak-256 of the key: what statements and the chain hold.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(&self.0)
    }
}

impl core::fmt::Debug for HpkeKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "HpkeKey({})", self.digest())
    }
}
