//! What lies between two segments of a head: sealed for whoever has the head, opened, and put in the store.
//!
//! The user gets the sealed bytes and cannot open them; another worker of the head can, and goes on from them.

use crate::desk::Desk;
use crate::heads::LoadedHead;
use encompute_envelope::{OpenError, SealError, SecretSeed, lock_in_common, unlock_in_common};
use encompute_head::SegmentState;
use encompute_protocol::wire::DecodeError;
use encompute_protocol::{BlobDigest, JobId, RoundIndex};
use encompute_store::Blobs;
use tracing::warn;

/// A state that is not sealed, or bytes that are no state of this head.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentStateError {
    /// It cannot be sealed.
    #[error("state cannot be sealed")]
    Seal(#[from] SealError),
    /// Not sealed under this head, or altered.
    #[error("state does not open")]
    Open(#[from] OpenError),
    /// Sealed, but no state.
    #[error("state is malformed")]
    Malformed(#[from] DecodeError),
}

fn secret(head: &LoadedHead) -> SecretSeed {
    SecretSeed::from_bytes(*head.secret)
}

/// The bytes that a segment's receipt names: the same whichever worker of the head seals them.
pub(crate) fn sealed(head: &LoadedHead, state: &SegmentState) -> Result<Vec<u8>, SegmentStateError> {
    Ok(lock_in_common(&secret(head), &state.to_bytes())?)
}

/// The state in sealed bytes: limit, version, conformance, then what they say.
pub(crate) fn opened(head: &LoadedHead, sealed: &[u8]) -> Result<SegmentState, SegmentStateError> {
    let bytes = unlock_in_common(&secret(head), sealed, SegmentState::LIMIT_BYTES)?;
    Ok(SegmentState::from_bytes(&bytes)?)
}

impl Desk {
    /// Brings a sealed state to the store, where another worker finds it should this one be gone. A store that is away
    /// holds nothing up: the user has the bytes, too.
    pub(crate) fn put_state_soon(&self, job: JobId, round: RoundIndex, sealed: Vec<u8>) {
        let gateway = self.world.gateway.clone();
        tokio::spawn(async move {
            let digest = BlobDigest::of(&sealed);
            if let Err(error) = gateway.put(sealed.into()).await {
                let error = &error as &dyn std::error::Error;
                warn!(job = job.0, round = round.0, %digest, error, "a state is not in the store");
            }
        });
    }
}
