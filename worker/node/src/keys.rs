//! The worker's keys: what its quote speaks for.

use codec::{Decode, Encode};
use encompute_attest::HpkeKey;
use encompute_envelope::{RecipientSecret, SecretSeed};
use encompute_protocol::signing::{PUBLIC_KEY_BYTES, SigningKey};
use encompute_protocol::{BlockNumber, JobId, Signature, Signed, SigningAddress, digest::keccak_256, wire};
use encompute_rollup::ForwardRequest;
use encompute_store::{StateDir, StateError};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const FILE: &str = "keys";
const VERSION: u8 = 1;
/// Version and three secrets.
const FILE_BYTES: usize = 1 + 3 * 32;
/// Keeps salts of verdicts apart from every other Keccak-256 digest of the protocol.
const SALT_TAG: &[u8] = b"encompute/verdict-salt/v1";
/// Keeps what a custodian seals apart from them.
const CUSTODY_TAG: &[u8] = b"encompute/custody-secret/v1";

/// The secrets of one worker. No part of it can be printed, and all of it is wiped when dropped.
pub struct WorkerKeys {
    signing: SigningKey,
    recipient: RecipientSecret,
    salt: Zeroizing<[u8; 32]>,
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
struct KeyFile {
    version: u8,
    signing: [u8; 32],
    recipient: [u8; 32],
    salt: [u8; 32],
}

impl WorkerKeys {
    /// The keys in the folder, made there if it has none.
    ///
    /// # Errors
    /// [`StateError`]; a damaged file is never replaced, for heads may be sealed to its key.
    pub fn open(state: &StateDir) -> Result<Self, StateError> {
        if let Some(bytes) = state.read(FILE, FILE_BYTES)?.map(Zeroizing::new) {
            let file: KeyFile = wire::decode_exact(&bytes, FILE_BYTES).map_err(|_| state.damaged(FILE))?;
            return Self::from_file(&file).filter(|_| file.version == VERSION).ok_or_else(|| state.damaged(FILE));
        }
        let secret = || *SecretSeed::generate().expose();
        let file = KeyFile { version: VERSION, signing: secret(), recipient: secret(), salt: secret() };
        let keys = Self::from_file(&file).ok_or_else(|| state.damaged(FILE))?;
        state.write(FILE, &Zeroizing::new(file.encode()))?;
        Ok(keys)
    }

    fn from_file(file: &KeyFile) -> Option<Self> {
        Some(Self {
            signing: SigningKey::from_secret(&file.signing).ok()?,
            recipient: RecipientSecret::from_seed(&file.recipient),
            salt: Zeroizing::new(file.salt),
        })
    }

    /// The address that receipts and offers recover to.
    pub fn signing_address(&self) -> SigningAddress {
        self.signing.address()
    }

    /// Signs an offer, a receipt, a statement.
    pub fn sign<S: Signed>(&self, value: &S) -> Signature {
        self.signing.sign(value)
    }

    /// The key that signs, compressed: what an anchor's owner names.
    pub fn public_key(&self) -> [u8; PUBLIC_KEY_BYTES] {
        self.signing.public_key()
    }

    /// Signs what a relayer is to send.
    pub fn sign_request(&self, request: &ForwardRequest) -> Signature {
        self.signing.sign_digest(&request.digest())
    }

    /// The key to which head keys are sealed.
    pub fn hpke_key(&self) -> HpkeKey {
        HpkeKey(self.recipient.public().to_bytes())
    }

    /// What opens head keys.
    pub fn recipient(&self) -> &RecipientSecret {
        &self.recipient
    }

    /// What a custodian seals on disk with: the same after a restart.
    pub fn custody_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(keccak_256(&[CUSTODY_TAG, self.salt.as_slice()]))
    }

    /// The salt of this worker's verdict on a job in the hearing that was opened in a block: the same after a restart, and
    /// known to nobody else before it is revealed.
    pub fn verdict_salt(&self, job: JobId, opened_at: BlockNumber) -> [u8; 32] {
        keccak_256(&[SALT_TAG, self.salt.as_slice(), &job.0.to_le_bytes(), &opened_at.0.to_le_bytes()])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_made_once_and_then_read() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::hold(root.path()).unwrap();
        let first = WorkerKeys::open(&state).unwrap();
        let second = WorkerKeys::open(&state).unwrap();
        assert_eq!(first.signing_address(), second.signing_address());
        assert_eq!(first.hpke_key().digest(), second.hpke_key().digest());
        let (opened, again) = (BlockNumber(5), BlockNumber(6));
        assert_eq!(first.verdict_salt(JobId(7), opened), second.verdict_salt(JobId(7), opened));
        assert_ne!(first.verdict_salt(JobId(7), opened), first.verdict_salt(JobId(8), opened));
        assert_ne!(
            first.verdict_salt(JobId(7), opened),
            first.verdict_salt(JobId(7), again),
            "no seal is unmasked by another"
        );
    }

    #[test]
    fn a_damaged_key_file_is_refused_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::hold(root.path()).unwrap();
        drop(WorkerKeys::open(&state).unwrap());
        let mut bytes = state.read(FILE, FILE_BYTES).unwrap().unwrap();
        bytes[0] = 9;
        state.write(FILE, &bytes).unwrap();
        assert!(matches!(WorkerKeys::open(&state), Err(StateError::Damaged { .. })));
        assert_eq!(state.read(FILE, FILE_BYTES).unwrap().unwrap(), bytes);
    }
}
