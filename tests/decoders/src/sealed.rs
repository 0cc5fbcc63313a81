//! Ciphertexts and envelopes.

use crate::target::is_one_in;
use encompute_envelope::{
    ContentKey, Context, OVERHEAD_BYTES, OpenError, RecipientPublic, RecipientSecret, Subject, open, unlock,
};
use encompute_fhe::{
    BlindingKey, Bootstrapper, CodePath, EncryptedFeatures, EncryptedTensor, EvaluationKey, LweCiphertext, Table,
};
use encompute_protocol::{ContractAddress, GenesisHash, JobId};
use std::sync::LazyLock;

/// Most plaintext that is taken.
const LIMIT_BYTES: usize = 1 << 20;
static OURS: LazyLock<RecipientSecret> = LazyLock::new(|| RecipientSecret::from_seed(&[7; 32]));
static BOOTSTRAPPER: LazyLock<Bootstrapper> = LazyLock::new(|| Bootstrapper::new(CodePath::fastest()));
static OUR_DIGEST: LazyLock<[u8; 32]> = LazyLock::new(|| OURS.public().digest().0);

/// The first byte picks request, response or blinding key.
pub(crate) fn tensors(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else { return false };
    let again = match kind % 3 {
        0 => EncryptedTensor::from_bytes(bytes).map(|tensor| tensor.to_bytes()),
        1 => EncryptedFeatures::from_bytes(bytes).map(|features| features.to_bytes()),
        _ => BlindingKey::from_bytes(bytes).map(|key| key.to_bytes()),
    };
    if let Ok(again) = &again {
        assert_eq!(again, bytes);
    }
    again.is_ok()
}

/// A key has one encoding.
pub(crate) fn evaluation_keys(bytes: &[u8]) -> bool {
    let key = EvaluationKey::from_bytes(bytes);
    if let Ok(key) = &key {
        assert!(key.to_bytes() == bytes, "a second encoding of one key");
    }
    key.is_ok()
}

/// What a worker does with a key whose bodies mean nothing: it computes something.
pub(crate) fn bootstrap(bytes: &[u8]) {
    if let Ok(key) = EvaluationKey::from_bytes(bytes) {
        let prepared = BOOTSTRAPPER.prepare(&key);
        let value = LweCiphertext { mask: vec![3 << 60; key.set().ring().polynomial_size().0], body: 5 << 60 };
        let outputs = BOOTSTRAPPER.apply(&prepared, &Table::of_four_bits(|bin| bin), &[value]);
        let packed = BOOTSTRAPPER.pack(&prepared, &outputs.expect("a mask of the set's length; qed"), 4);
        assert_eq!(packed.expect("a mask of the set's length; qed").len(), 1);
    }
}

/// The first byte picks envelope, bulk or a recipient's key. Nobody has a tag right, so nothing may open: accepted is
/// what fails only there.
pub(crate) fn envelopes(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else { return false };
    match kind % 3 {
        0 => envelope(bytes),
        1 => {
            // What is opened cannot be printed, so there is no `expect_err`.
            match unlock(&ContentKey::from_bytes([9; 32]), bytes, LIMIT_BYTES) {
                Ok(_) => panic!("a tag was guessed"),
                Err(refused) => matches!(refused, OpenError::Chunk { .. }),
            }
        }
        _ => RecipientPublic::from_bytes(bytes).is_ok(),
    }
}

fn envelope(bytes: &[u8]) -> bool {
    let mut envelope = bytes.to_vec();
    let promised = bytes.get(33..41).and_then(|length| length.try_into().ok()).map_or(0, u64::from_le_bytes);
    let is_whole = promised.checked_add(OVERHEAD_BYTES as u64) == Some(bytes.len() as u64);
    // Addressed to us, more than the address is read; but the key agreement behind a length that is right costs a
    // hundred times as much as all before it.
    if (!is_whole || is_one_in(256, bytes))
        && let Some(recipient) = envelope.get_mut(1..33)
    {
        recipient.copy_from_slice(&*OUR_DIGEST);
    }
    let subject = Subject::Features { job: JobId(7) };
    let context = Context { genesis: GenesisHash([1; 32]), contract: ContractAddress([2; 20]), subject };
    let Err(refused) = open(&OURS, &context, &envelope, LIMIT_BYTES) else { panic!("a tag was guessed") };
    is_whole && matches!(refused, OpenError::Key | OpenError::Chunk { .. } | OpenError::Recipient { .. })
}
