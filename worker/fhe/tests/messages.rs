//! Bytes from strangers become messages, or are refused for the defect they have.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_fhe::{
    BlindingKey, Ciphertext, EncryptedFeatures, EncryptedTensor, MaskSeed, MessageError, OutputLayout, ParameterSet,
    ResponseBits, UploadBits, WantedBody, expand_blinding_key, expand_tensor, respond,
};
use encompute_protocol::wire::DecodeError;
use proptest::prelude::*;

const SET: ParameterSet = ParameterSet::Toy256V1;
const SIZE: usize = 256;

fn a_tensor(ciphertexts: usize) -> EncryptedTensor {
    let bodies: Vec<u64> = (0..(ciphertexts * SIZE) as u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    EncryptedTensor::from_bodies(SET, MaskSeed([7; 16]), &bodies).unwrap()
}

fn some_features() -> EncryptedFeatures {
    let body = |coefficient, value| WantedBody { coefficient, value };
    let layout = OutputLayout::new(SET, 3, vec![vec![body(3, 0), body(255, 2)], vec![body(0, 1)]]).unwrap();
    let product = |factor: u64| Ciphertext {
        mask: (0..SIZE as u64).map(|at| at.wrapping_mul(factor)).collect(),
        body: (0..SIZE as u64).map(|at| at.wrapping_mul(!factor)).collect(),
    };
    respond(&[product(1 << 55), product(3 << 54)], &layout, ResponseBits(29)).unwrap()
}

#[test]
fn a_tensor_survives_the_wire_rounded_to_forty_bits() {
    let tensor = a_tensor(2);
    let bytes = tensor.to_bytes();
    assert_eq!(EncryptedTensor::from_bytes(&bytes).unwrap(), tensor);
    assert!(bytes.len() < 2 * SIZE * 5 + 32, "five bytes a coefficient");
    let ciphertexts = expand_tensor(&tensor);
    assert_eq!(ciphertexts.len(), 2);
    assert!(ciphertexts.iter().flat_map(|ciphertext| &ciphertext.body).all(|body| body % (1 << 24) == 0));
    let sent = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(300);
    let error = ciphertexts[1].body[300 - SIZE].wrapping_sub(sent) as i64;
    assert!(error.abs() <= 1 << 23, "{error}");
}

#[test]
fn masks_depend_on_the_seed_alone() {
    let masks = |seed, factor: u64| {
        let bodies: Vec<u64> = (0..SIZE as u64).map(|at| at.wrapping_mul(factor)).collect();
        expand_tensor(&EncryptedTensor::from_bodies(SET, MaskSeed(seed), &bodies).unwrap())[0].mask.clone()
    };
    assert_eq!(masks([1; 16], 5), masks([1; 16], 1 << 60));
    assert_ne!(masks([1; 16], 5), masks([2; 16], 5));
}

#[test]
fn a_blinding_key_survives_the_wire() {
    let key = BlindingKey::from_body(SET, MaskSeed([9; 16]), &[1 << 60; SIZE]).unwrap();
    assert_eq!(BlindingKey::from_bytes(&key.to_bytes()).unwrap(), key);
    assert_eq!(expand_blinding_key(&key).body, [1 << 60; SIZE]);
}

#[test]
fn features_survive_the_wire_and_hold_the_wanted_bodies() {
    let features = some_features();
    assert_eq!(EncryptedFeatures::from_bytes(&features.to_bytes()).unwrap(), features);
    let pieces: Vec<_> = features.pieces().collect();
    assert_eq!(pieces[0].mask[1], 1 << 20);
    let body = |at: u64, factor: u64| at.wrapping_mul(!factor).wrapping_add(1 << 34) >> 35;
    assert_eq!(pieces[0].bodies, [body(3, 1 << 55), body(255, 1 << 55)]);
    assert_eq!(pieces[1].bodies, [body(0, 3 << 54)]);
}

#[test]
fn tensor_with_trailing_byte_is_refused() {
    let bytes = [a_tensor(1).to_bytes(), vec![0]].concat();
    assert_eq!(EncryptedTensor::from_bytes(&bytes), Err(MessageError::Encoding(DecodeError::Trailing { bytes: 1 })));
}

#[test]
fn tensor_of_another_version_is_refused() {
    let mut bytes = a_tensor(1).to_bytes();
    bytes[0] = 2;
    let refused = MessageError::Encoding(DecodeError::Version { found: 2, known: 1 });
    assert_eq!(EncryptedTensor::from_bytes(&bytes), Err(refused));
}

#[test]
fn tensor_over_the_limit_is_refused_before_it_is_read() {
    let bytes = vec![9; EncryptedTensor::LIMIT_BYTES + 1];
    let found = bytes.len();
    let refused = MessageError::Encoding(DecodeError::TooLong { found, limit: EncryptedTensor::LIMIT_BYTES });
    assert_eq!(EncryptedTensor::from_bytes(&bytes), Err(refused));
}

#[test]
fn tensor_of_an_unknown_parameter_set_is_refused() {
    let mut bytes = a_tensor(1).to_bytes();
    bytes[1] = 77;
    assert_eq!(EncryptedTensor::from_bytes(&bytes), Err(MessageError::Encoding(DecodeError::Malformed)));
}

#[test]
fn tensor_without_a_ciphertext_is_refused() {
    assert_eq!(EncryptedTensor::from_bodies(SET, MaskSeed([0; 16]), &[]), Err(MessageError::Empty));
}

#[test]
fn tensor_with_half_a_ciphertext_is_refused() {
    let refused = MessageError::PartialCiphertext { parameter_set: SET, found_bytes: 640, ciphertext_bytes: 1280 };
    assert_eq!(EncryptedTensor::from_bodies(SET, MaskSeed([0; 16]), &[0; 128]), Err(refused));
}

#[test]
fn tensor_that_claims_more_bytes_than_it_has_is_refused() {
    let mut bytes = a_tensor(1).to_bytes();
    // The compact length of the bodies stands behind version, set, width and seed.
    bytes[19] |= 0x80;
    assert_eq!(EncryptedTensor::from_bytes(&bytes), Err(MessageError::Encoding(DecodeError::Malformed)));
}

#[test]
fn tensor_of_a_width_that_no_request_has_is_refused() {
    for found in [0, 31, 61, 64, 255] {
        let mut bytes = a_tensor(1).to_bytes();
        bytes[2] = found;
        assert_eq!(EncryptedTensor::from_bytes(&bytes), Err(MessageError::UploadBits { found }));
    }
}

#[test]
fn tensors_of_every_width_survive_the_wire() {
    let bodies: Vec<u64> = (0..SIZE as u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    for bits in UploadBits::MIN.0..=UploadBits::MAX.0 {
        let tensor = EncryptedTensor::from_bodies_at(SET, UploadBits(bits), MaskSeed([7; 16]), &bodies).unwrap();
        assert_eq!(EncryptedTensor::from_bytes(&tensor.to_bytes()).unwrap(), tensor);
        let expanded = expand_tensor(&tensor).remove(0).body;
        let error = |at: usize| expanded[at].wrapping_sub(bodies[at]) as i64;
        assert!((0..SIZE).all(|at| error(at).unsigned_abs() <= 1 << (63 - bits)), "{bits} bits");
    }
}

#[test]
fn blinding_key_of_two_polynomials_is_refused() {
    let refused = MessageError::PartialCiphertext { parameter_set: SET, found_bytes: 3072, ciphertext_bytes: 1536 };
    assert_eq!(BlindingKey::from_body(SET, MaskSeed([0; 16]), &[0; 2 * SIZE]), Err(refused));
}

#[test]
fn blinding_key_of_the_version_with_a_larger_modulus_is_refused() {
    let mut bytes = BlindingKey::from_body(SET, MaskSeed([0; 16]), &[0; SIZE]).unwrap().to_bytes();
    bytes[0] = 1;
    let refused = MessageError::Encoding(DecodeError::Version { found: 1, known: 2 });
    assert_eq!(BlindingKey::from_bytes(&bytes), Err(refused));
}

#[test]
fn a_blinding_key_is_a_multiple_of_its_unit() {
    let key = BlindingKey::from_body(SET, MaskSeed([5; 16]), &[0x1234_5678_9abc_0000; SIZE]).unwrap();
    let expanded = expand_blinding_key(&key);
    assert_eq!(expanded.body, [0x1234_5678_9abc_0000; SIZE]);
    assert!(expanded.mask.iter().all(|value| value % (1 << 16) == 0));
    assert!(expanded.mask.iter().any(|value| value >> 63 == 1) && expanded.mask.iter().any(|value| value >> 63 == 0));
}

#[test]
fn features_wider_than_any_response_are_refused() {
    let mut bytes = some_features().to_bytes();
    bytes[2] = 64;
    assert_eq!(EncryptedFeatures::from_bytes(&bytes), Err(MessageError::ResponseBits { found: 64 }));
}

#[test]
fn features_with_a_missing_byte_are_refused() {
    let mut bytes = some_features().to_bytes();
    // Version, set, width, two counts of one byte and their number, then the packed length.
    let length = bytes.len() - 6 - 2;
    assert_eq!(u16::from_le_bytes([bytes[6], bytes[7]]) >> 2, length as u16);
    bytes[6..8].copy_from_slice(&(((length as u16 - 1) << 2) | 1).to_le_bytes());
    bytes.pop();
    let refused = MessageError::PackedLength { found_bytes: length - 1, wanted_bytes: length };
    assert_eq!(EncryptedFeatures::from_bytes(&bytes), Err(refused));
}

#[test]
fn features_with_bits_behind_the_last_coefficient_are_refused() {
    let mut bytes = some_features().to_bytes();
    *bytes.last_mut().unwrap() |= 0x80;
    assert_eq!(EncryptedFeatures::from_bytes(&bytes), Err(MessageError::Padding { piece: 1 }));
}

#[test]
fn features_with_an_empty_ciphertext_are_refused() {
    let mut bytes = some_features().to_bytes();
    bytes[4] = 0;
    let refused = MessageError::BodyCount { piece: 0, found: 0, limit: SIZE };
    assert_eq!(EncryptedFeatures::from_bytes(&bytes), Err(refused));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = EncryptedTensor::from_bytes(&bytes);
        let _ = BlindingKey::from_bytes(&bytes);
        let _ = EncryptedFeatures::from_bytes(&bytes);
    }

    #[test]
    fn altered_messages_are_refused_or_whole(at in 0usize..5000, to in any::<u8>(), cut in 0usize..3000) {
        let (tensor, features) = (a_tensor(1).to_bytes(), some_features().to_bytes());
        for original in [tensor, features] {
            let mut bytes = original.clone();
            let at = at % bytes.len();
            bytes[at] = to;
            bytes.truncate(bytes.len() - cut % bytes.len());
            if let Ok(tensor) = EncryptedTensor::from_bytes(&bytes) {
                prop_assert_eq!(tensor.to_bytes(), bytes.clone());
                prop_assert_eq!(expand_tensor(&tensor).len(), tensor.ciphertext_count());
            }
            if let Ok(features) = EncryptedFeatures::from_bytes(&bytes) {
                prop_assert_eq!(features.to_bytes(), bytes);
                prop_assert_eq!(features.pieces().count(), features.piece_count());
            }
        }
    }
}
