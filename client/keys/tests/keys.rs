//! Keys encrypt, decrypt only what was verified, and rest under a lock.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_fhe::{
    AccumulatorBits, Ciphertext, EncryptedFeatures, InputLayout, OutputLayout, ParameterSet, ResponseBits, Slot,
    WantedBody, expand_blinding_key, expand_tensor, respond,
};
use encompute_keys::{
    DecryptError, EncryptError, KdfCost, KeyLock, LockError, MachineSecret, SecretKey, VerifiedResponse,
};
use encompute_protocol::BlobDigest;

const BITS: AccumulatorBits = AccumulatorBits(20);
/// Cheap, for tests alone.
const COST: KdfCost = KdfCost { memory_kib: 64, passes: 1, lanes: 1 };

fn input(set: ParameterSet, values: u32) -> InputLayout {
    let slots = (0..values).map(|value| Slot { ciphertext: value % 2, coefficient: (value * 3) as u16, value });
    InputLayout::new(set, 2, values as usize, slots.collect()).unwrap()
}

/// The same places, as a response of unchanged ciphertexts has them.
fn output(set: ParameterSet, values: u32) -> OutputLayout {
    let piece =
        |of: u32| (of..values).step_by(2).map(|value| WantedBody { coefficient: (value * 3) as u16, value }).collect();
    OutputLayout::new(set, values as usize, vec![piece(0), piece(1)]).unwrap()
}

fn echo(key: &SecretKey, values: &[i64]) -> (EncryptedFeatures, OutputLayout) {
    let set = key.parameter_set();
    let count = values.len() as u32;
    let request = key.encrypt(values, &input(set, count), BITS).unwrap();
    let layout = output(set, count);
    (respond(&expand_tensor(&request), &layout, ResponseBits(30)).unwrap(), layout)
}

fn open(key: &SecretKey, features: &EncryptedFeatures, layout: &OutputLayout) -> Result<Vec<i64>, DecryptError> {
    let verified = VerifiedResponse::after_receipt_verification(features.digest());
    Ok(key.decrypt(features, layout, BITS, &verified)?.expose_to_client_run().to_vec())
}

#[test]
fn what_is_encrypted_is_decrypted() {
    for set in [ParameterSet::Toy256V1, ParameterSet::Glwe2048V1, ParameterSet::Glwe4096V1] {
        let key = SecretKey::generate(set);
        let values = [0, 1, -1, 255, -128, BITS.bound(), -BITS.bound(), 77];
        let (features, layout) = echo(&key, &values);
        assert_eq!(open(&key, &features, &layout).unwrap(), values, "{set}");
    }
}

#[test]
fn the_blinding_key_encrypts_zero_with_noise_and_nothing_else() {
    // At 48 bits, what is decrypted is the noise itself for the set whose modulus that is, and far
    // below one step, but for the rounding of the mask, for the set whose modulus is larger.
    for (set, bound, fewest) in [(ParameterSet::Glwe2048V1, 8, 13), (ParameterSet::Glwe4096V1, 500, 2)] {
        let key = SecretKey::generate(set);
        let zero: Ciphertext = expand_blinding_key(key.blinding_key());
        let layout = output(set, 600);
        let features = respond(&[zero.clone(), zero], &layout, ResponseBits::MAX).unwrap();
        let verified = VerifiedResponse::after_receipt_verification(features.digest());
        let width = AccumulatorBits(ResponseBits::MAX.0);
        let noise = key.decrypt(&features, &layout, width, &verified).unwrap().expose_to_client_run().to_vec();
        assert!(noise.iter().all(|value| value.abs() <= bound), "{set}: {noise:?}");
        let distinct: std::collections::BTreeSet<_> = noise.iter().collect();
        assert!(distinct.len() >= fewest, "{set}: {distinct:?}");
    }
}

#[test]
fn nothing_is_decrypted_without_the_receipt_of_that_response() {
    let key = SecretKey::generate(ParameterSet::Toy256V1);
    let (features, layout) = echo(&key, &[5, 6]);
    let verified = BlobDigest([3; 32]);
    let found = key.decrypt(&features, &layout, BITS, &VerifiedResponse::after_receipt_verification(verified)).err();
    assert_eq!(found, Some(DecryptError::NotVerified { found: features.digest(), verified }));
}

#[test]
fn another_key_decrypts_to_something_else() {
    let [key, other] = [(); 2].map(|()| SecretKey::generate(ParameterSet::Toy256V1));
    let values: Vec<i64> = (0..40).collect();
    let (features, layout) = echo(&key, &values);
    assert_ne!(open(&other, &features, &layout).unwrap(), values);
}

#[test]
fn one_tensor_is_never_encrypted_under_one_seed_twice() {
    let key = SecretKey::generate(ParameterSet::Toy256V1);
    let layout = input(ParameterSet::Toy256V1, 2);
    let [first, second] = [(); 2].map(|()| key.encrypt(&[1, 2], &layout, BITS).unwrap());
    assert_ne!(first.seed(), second.seed());
    assert_ne!(first.digest(), second.digest());
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let key = SecretKey::generate(ParameterSet::Toy256V1);
    let layout = input(ParameterSet::Toy256V1, 2);
    let refuse = |values: &[i64], layout: &InputLayout, bits| key.encrypt(values, layout, bits).err();
    assert_eq!(refuse(&[1], &layout, BITS), Some(EncryptError::ValueCount { found: 1, wanted: 2 }));
    let large = BITS.bound() + 1;
    assert_eq!(refuse(&[0, large], &layout, BITS), Some(EncryptError::ValueTooLarge { bits: 20 }));
    assert_eq!(refuse(&[0, i64::MIN], &layout, BITS), Some(EncryptError::ValueTooLarge { bits: 20 }));
    let width = AccumulatorBits(64);
    assert_eq!(refuse(&[0, 1], &layout, width), Some(EncryptError::AccumulatorBits { found: 64 }));
    let found = ParameterSet::Glwe2048V1;
    let set = EncryptError::ParameterSet { found, wanted: ParameterSet::Toy256V1 };
    assert_eq!(refuse(&[0, 1], &input(found, 2), BITS), Some(set));
}

#[test]
fn responses_of_another_shape_are_refused() {
    let key = SecretKey::generate(ParameterSet::Toy256V1);
    let (features, _) = echo(&key, &[1, 2, 3, 4]);
    let refused = open(&key, &features, &output(ParameterSet::Toy256V1, 5)).unwrap_err();
    assert_eq!(refused, DecryptError::Shape { piece: 0, found: 2, wanted: 3 });
    let set = open(&key, &features, &output(ParameterSet::Glwe2048V1, 4)).unwrap_err();
    assert!(matches!(set, DecryptError::ParameterSet { what: "layout", .. }));
    let verified = VerifiedResponse::after_receipt_verification(features.digest());
    let layout = output(ParameterSet::Toy256V1, 4);
    let wide = key.decrypt(&features, &layout, AccumulatorBits(31), &verified).err();
    assert_eq!(wide, Some(DecryptError::AccumulatorBits { found: 31, response: 30 }));
}

#[test]
fn a_key_file_opens_under_its_lock_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::generate(ParameterSet::Glwe2048V1);
    let (features, layout) = echo(&key, &[5, -6]);
    let [secret, other] = [[1; 32], [2; 32]].map(MachineSecret);
    let locks = [KeyLock::Machine(&secret), KeyLock::Password("correct horse", COST)];
    let wrong = [KeyLock::Machine(&other), KeyLock::Password("battery staple", COST)];
    for (name, (lock, wrong)) in ["machine", "password"].into_iter().zip(locks.iter().zip(&wrong)) {
        let path = folder.path().join(name);
        key.seal_to_file(&path, lock).unwrap();
        let again = SecretKey::open_file(&path, lock).unwrap();
        assert_eq!(open(&again, &features, &layout).unwrap(), [5, -6]);
        assert_eq!(again.blinding_key(), key.blinding_key());
        assert!(matches!(SecretKey::open_file(&path, wrong), Err(LockError::WrongSecret)));
        assert!(matches!(key.seal_to_file(&path, lock), Err(LockError::Exists(_))));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
    let crossed = SecretKey::open_file(&folder.path().join("machine"), &locks[1]);
    assert!(matches!(crossed, Err(LockError::OtherLock { found: "a machine secret" })));
    let missing = SecretKey::open_file(&folder.path().join("nothing"), &locks[0]);
    assert!(matches!(missing, Err(LockError::NotFound(_))));
}

#[test]
fn altered_key_files_are_refused_at_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::generate(ParameterSet::Toy256V1);
    let secret = MachineSecret([1; 32]);
    let lock = KeyLock::Machine(&secret);
    let path = folder.path().join("key");
    key.seal_to_file(&path, &lock).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(13).chain(0..60) {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        std::fs::write(&path, &altered).unwrap();
        assert!(SecretKey::open_file(&path, &lock).is_err(), "byte {at}");
    }
    std::fs::write(&path, &bytes[..40]).unwrap();
    assert!(matches!(SecretKey::open_file(&path, &lock), Err(LockError::Malformed)));
}

#[test]
fn a_file_cannot_ask_for_all_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let lock = KeyLock::Password("a", COST);
    SecretKey::generate(ParameterSet::Toy256V1).seal_to_file(&path, &lock).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[6..10].copy_from_slice(&u32::MAX.to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(SecretKey::open_file(&path, &lock), Err(LockError::Cost { .. })));
}
