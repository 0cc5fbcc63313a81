//! Memoised noise: the same input under the same policy gives the same release, on every run.

use encompute_keys::SecretFileError;
use encompute_protocol::{PolicyId, SplitIndex, VersionHash};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::path::Path;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Which input: BLAKE2b-256 of the tensor that the preamble made of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InputIdentity([u8; 32]);

impl InputIdentity {
    /// Of the tensor's values in order.
    pub fn of_tensor(values: &[u8]) -> Self {
        Self(encompute_protocol::digest::blake2b_256(values))
    }

    /// As written into a job's journal, which is for its owner alone: of a guessable input it tells the input.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// From a journal.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Under which terms an input is released. Two releases with equal terms are the same release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleaseContext {
    /// The version.
    pub version: VersionHash,
    /// The split.
    pub split: SplitIndex,
    /// The policy.
    pub policy: PolicyId,
}

/// The client's secret behind all its noise. Whoever has it and an input can take the noise away.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ReleaseSecret([u8; 32]);

impl ReleaseSecret {
    /// The secret in a file, made at first use for its owner alone. It is never overwritten: a new secret
    /// would draw new noise for old inputs.
    ///
    /// # Errors
    /// [`SecretFileError`]; an existing file is left as it is.
    pub fn open_or_create(path: &Path) -> Result<Self, SecretFileError> {
        encompute_keys::secret_file::open_or_create(path).map(|secret| Self(*secret))
    }

    /// The seed of the noise of one release.
    pub(crate) fn noise_seed(&self, input: &InputIdentity, context: &ReleaseContext) -> [u8; 32] {
        self.keyed(b"encompute/release-noise/v1", &[&input.0, &context.version.0, &[context.split.0, context.policy.0]])
    }

    /// What the ledger calls an input: without the secret it says nothing about the input.
    pub(crate) fn ledger_name(&self, input: &InputIdentity) -> [u8; 32] {
        self.keyed(b"encompute/release-ledger/v1", &[&input.0])
    }

    fn keyed(&self, tag: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        #[allow(clippy::expect_used, reason = "the length is fixed here")]
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.0).expect("HMAC takes keys of any length; qed");
        mac.update(tag);
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn context(policy: u8) -> ReleaseContext {
        ReleaseContext { version: VersionHash([1; 32]), split: SplitIndex(0), policy: PolicyId(policy) }
    }

    #[test]
    fn the_same_noise_is_drawn_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.secret");
        let input = InputIdentity::of_tensor(&[1, 2, 3]);
        let first = ReleaseSecret::open_or_create(&path).unwrap().noise_seed(&input, &context(1));
        assert_eq!(first, ReleaseSecret::open_or_create(&path).unwrap().noise_seed(&input, &context(1)));
    }

    #[test]
    fn another_policy_draws_other_noise() {
        let secret = ReleaseSecret([5; 32]);
        let input = InputIdentity::of_tensor(&[1]);
        assert_ne!(secret.noise_seed(&input, &context(1)), secret.noise_seed(&input, &context(2)));
    }
}
