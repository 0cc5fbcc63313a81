//! The seed that blinds a response: whoever holds the head and a round's request finds it again.

use encompute_fhe::BlindingSeed;
use encompute_protocol::{BlobDigest, RoundIndex, digest::keccak_256};
use zeroize::Zeroizing;

/// What a response is blinded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlindedFor {
    /// The user.
    Job,
    /// Nobody: its digest shows a verdict's juror to have computed it.
    Dispute,
}

impl BlindedFor {
    /// The seed that blinds one response. It follows from the head's secret
    /// ([`CompiledHead::state_secret`](crate::CompiledHead::state_secret)), the job's input, the receipt's number and
    /// the digest of what that round was asked: a repeat gives the same bytes, two requests never share one, and
    /// everybody who has the head gives what every other does, so that a response can be judged. Who has not the weights
    /// cannot tell it from noise.
    pub fn seed(
        self,
        secret: &[u8; 32],
        input: &BlobDigest,
        receipt: RoundIndex,
        request: &BlobDigest,
    ) -> BlindingSeed {
        let tag: &[u8] = match self {
            Self::Job => b"encompute/blinding-seed/v2",
            Self::Dispute => b"encompute/dispute-blinding-seed/v1",
        };
        let parts: [&[u8]; 5] = [tag, secret, &input.0, &receipt.0.to_le_bytes(), &request.0];
        BlindingSeed::new(*Zeroizing::new(keccak_256(&parts)))
    }
}
