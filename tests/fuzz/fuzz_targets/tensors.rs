//! Ciphertexts: the first byte picks request, response or blinding key.
#![no_main]

use encompute_fhe::{BlindingKey, EncryptedFeatures, EncryptedTensor};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 3 {
        0 => {
            if let Ok(tensor) = EncryptedTensor::from_bytes(bytes) {
                assert_eq!(tensor.to_bytes(), bytes);
            }
        }
        1 => {
            if let Ok(features) = EncryptedFeatures::from_bytes(bytes) {
                assert_eq!(features.to_bytes(), bytes);
            }
        }
        _ => {
            if let Ok(key) = BlindingKey::from_bytes(bytes) {
                assert_eq!(key.to_bytes(), bytes);
            }
        }
    }
});
