//! The suite under the envelopes against another implementation's vectors.
#![allow(clippy::unwrap_used, clippy::panic)]

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, Serializable, setup_receiver};
use serde_json::Value;

fn bytes(vector: &Value, field: &str) -> Vec<u8> {
    hex::decode(vector[field].as_str().unwrap()).unwrap()
}

#[test]
fn another_implementations_messages_open() {
    let vector: Value =
        serde_json::from_str(include_str!("vectors/hpke-xwing-hkdf-sha256-chacha20poly1305.json")).unwrap();
    let secret = <XWing as Kem>::PrivateKey::from_bytes(&bytes(&vector, "skRm")).unwrap();
    assert_eq!(XWing::sk_to_pk(&secret).to_bytes().as_slice(), bytes(&vector, "pkRm"));
    let encapsulated = <XWing as Kem>::EncappedKey::from_bytes(&bytes(&vector, "enc")).unwrap();
    let info = bytes(&vector, "info");
    let mut receiver =
        setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeR::Base, &secret, &encapsulated, &info).unwrap();
    let messages = vector["encryptions"].as_array().unwrap();
    assert_eq!(messages.len(), 3);
    for message in messages {
        let plaintext = receiver.open(&bytes(message, "ct"), &bytes(message, "aad")).unwrap();
        assert_eq!(plaintext, bytes(message, "pt"));
    }
}
