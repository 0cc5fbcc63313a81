//! What an envelope is about: part of its key, so that it opens for nothing else.

use codec::{Decode, Encode, MaxEncodedLen};
use encompute_protocol::{BlobDigest, ContractAddress, GenesisHash, JobId, SplitIndex, VersionId};

/// Separates envelopes from every other use of the same recipient key.
const TAG: &[u8] = b"encompute/envelope/v1";

/// What is inside, and for which job or head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen)]
pub enum Subject {
    /// A head's weights: creator → attested worker.
    #[codec(index = 0)]
    Head {
        /// The version.
        version: VersionId,
        /// Which split's head.
        split: SplitIndex,
    },
    /// Released features: user → creator.
    #[codec(index = 1)]
    Features {
        /// The job.
        job: JobId,
    },
    /// The prediction: creator → user.
    #[codec(index = 2)]
    Result {
        /// The job.
        job: JobId,
    },
    /// The user's FHE key, in the opt-in custody mode: user → attested worker.
    #[codec(index = 3)]
    CustodyKey {
        /// The request blob: the key is given before there is a job.
        input: BlobDigest,
    },
}

/// Chain, contract and subject. Sealer and opener must agree on all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen)]
pub struct Context {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// What is inside.
    pub subject: Subject,
}

impl Context {
    /// HPKE's `info`: the tag, then the SCALE bytes.
    pub(crate) fn info(&self) -> Vec<u8> {
        let mut info = TAG.to_vec();
        self.encode_to(&mut info);
        info
    }
}
