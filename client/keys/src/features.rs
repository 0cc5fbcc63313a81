//! Decrypted values, and the permission to decrypt them.

use encompute_protocol::BlobDigest;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The permission to decrypt one response: its receipt was verified, and it has this digest.
///
/// The client verifies before it decrypts, because a worker that ran another head could return the
/// raw input for the user to decrypt and hand on. Only the code that checks receipts calls
/// [`VerifiedResponse::after_receipt_verification`]; the name is there to be searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedResponse {
    digest: BlobDigest,
}

impl VerifiedResponse {
    /// The permission for the response with this digest, whose receipt names it and was verified.
    pub fn after_receipt_verification(digest: BlobDigest) -> Self {
        Self { digest }
    }

    /// Digest of the response that may be decrypted.
    pub fn digest(&self) -> BlobDigest {
        self.digest
    }
}

/// Decrypted sums of one round. They leave through one named door, and are wiped after.
///
/// They cannot be printed:
/// ```compile_fail
/// fn print(features: &encompute_keys::SecretFeatures) { println!("{features:?}"); }
/// ```
/// nor written out:
/// ```compile_fail
/// fn write(features: &encompute_keys::SecretFeatures) -> String { serde_json::to_string(features).unwrap() }
/// ```
/// nor copied:
/// ```compile_fail
/// fn copy(features: &encompute_keys::SecretFeatures) -> encompute_keys::SecretFeatures { features.clone() }
/// ```
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecretFeatures(Vec<i64>);

impl SecretFeatures {
    pub(crate) fn new(values: Vec<i64>) -> Self {
        Self(values)
    }

    /// The sums, for the client's half of the head: what it makes of them is encrypted again, or released.
    pub fn expose_to_client_run(&self) -> &[i64] {
        &self.0
    }

    /// Number of sums.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
