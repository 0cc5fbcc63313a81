//! What is compared with the vectors' files, and what every message refuses.

use codec::{Decode, Encode};
use encompute_protocol::{
    Signed,
    market::STORAGE_ITEM_LIMIT_BYTES,
    signing::SigningKey,
    wire::{DecodeError, Message, decode_exact},
};
use serde_json::{Value, json};
use std::path::PathBuf;

pub fn folder() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/protocol")
}

/// Compares `found` with the file, or writes the file when told to.
pub fn hold(file: &str, found: &Value) {
    let path = folder().join(file);
    let text = format!("{}\n", serde_json::to_string_pretty(found).unwrap());
    if std::env::var_os("ENCOMPUTE_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // As values: whether an object's members are sorted depends on features that other crates ask for.
    let wanted: Value = serde_json::from_str(&wanted).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        wanted == *found,
        "{file} differs; if that is meant, run `cargo xtask vectors --write` and read the change"
    );
}

pub fn message<M: Message + PartialEq + std::fmt::Debug>(name: &str, value: &M) -> Value {
    let bytes = value.to_wire();
    assert_eq!(M::from_wire(&bytes).as_ref(), Ok(value), "{name}");
    json!({ "name": name, "version": bytes[0], "limit_bytes": M::LIMIT_BYTES, "bytes": hex::encode(bytes) })
}

/// For messages without `Debug`, which may hold what a person must not read in a log.
pub fn sealed<M: Message + PartialEq>(name: &str, value: &M) -> Value {
    let bytes = value.to_wire();
    assert!(M::from_wire(&bytes).is_ok_and(|read| read == *value), "{name}");
    json!({ "name": name, "version": M::VERSION, "limit_bytes": M::LIMIT_BYTES, "bytes": hex::encode(bytes) })
}

pub fn statement<S: Signed + Decode + PartialEq + std::fmt::Debug>(name: &str, value: &S) -> Value {
    let key = SigningKey::from_secret(&[7; 32]).unwrap();
    let signature = key.sign(value);
    assert!(signature.is_by(&key.address(), value));
    assert_eq!(decode_exact::<S>(&value.encode(), 4_096).as_ref(), Ok(value));
    json!({
        "name": name,
        "tag": std::str::from_utf8(S::TAG).unwrap(),
        "bytes": hex::encode(value.encode()),
        "keccak": hex::encode(value.digest()),
        "signer": key.address().to_string(),
        "signature": hex::encode(signature.0),
    })
}

pub fn record<R: Encode + Decode + PartialEq + std::fmt::Debug>(name: &str, value: &R) -> Value {
    let bytes = value.encode();
    assert_eq!(decode_exact::<R>(&bytes, STORAGE_ITEM_LIMIT_BYTES).as_ref(), Ok(value), "{name}");
    json!({ "record": name, "bytes": hex::encode(bytes) })
}

/// One defect: what it is, the bytes, how they are refused.
pub struct Defect {
    pub of: &'static str,
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub error: DecodeError,
}

pub fn words(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::TooLong { .. } => "too long",
        DecodeError::Version { .. } => "version",
        DecodeError::Malformed => "malformed",
        DecodeError::TooMany { .. } => "too many",
        DecodeError::Trailing { .. } => "trailing",
    }
}

/// What every kind of message refuses, whatever its fields.
pub fn common<M: Message>(of: &'static str, value: &M, defects: &mut Vec<Defect>) {
    let good = value.to_wire();
    let mut defect = |name, bytes: Vec<u8>| {
        let error = M::from_wire(&bytes).err().unwrap_or_else(|| panic!("{of} with {name} is accepted"));
        defects.push(Defect { of, name, bytes, error });
    };
    defect("no bytes at all", Vec::new());
    defect("version 0", [&[0][..], &good[1..]].concat());
    defect("the next version", [&[M::VERSION + 1][..], &good[1..]].concat());
    defect("the version alone", vec![M::VERSION]);
    defect("the last byte missing", good[..good.len() - 1].to_vec());
    defect("a byte after the value", [&good[..], &[0]].concat());
    // Longer than the limit: refused for its length, before anything is read. Not written to the file.
    let over = vec![M::VERSION; M::LIMIT_BYTES + 1];
    let found = over.len();
    assert_eq!(M::from_wire(&over).err(), Some(DecodeError::TooLong { found, limit: M::LIMIT_BYTES }), "{of}");
}
