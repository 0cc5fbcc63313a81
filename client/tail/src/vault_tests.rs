#![allow(clippy::unwrap_used)]
use super::*;
use encompute_protocol::manifest::{Accuracy, Cost};
use encompute_protocol::{
    Address, BasisPoints, BlobDigest, Bytes, Disclosure, Grade, Graded, HeadDigest, Mode, NamedBlob, PolicyId,
    ReleasePolicy, SplitManifest, Text,
};
use std::os::unix::fs::PermissionsExt;

pub(crate) fn a_policy() -> ReleasePolicy {
    ReleasePolicy {
        id: PolicyId(1),
        name: Text::new("balanced").unwrap(),
        clip: 400,
        sigma_milli: 1_000,
        step: 4,
        bits: 8,
        information_millibits: 1_000,
        accuracy: BasisPoints(9_500),
    }
}

pub(crate) fn a_split(tail: Option<&[u8]>) -> SplitManifest {
    SplitManifest {
        name: Text::new("dense-1").unwrap(),
        mode: Mode::Rounds,
        plan: Bytes::new(vec![1]).unwrap(),
        head: HeadDigest([1; 32]),
        sealed_weights: BlobDigest([2; 32]),
        sealed_weights_bytes: 10,
        tail: tail.map(TailDigest::of).unwrap_or_default(),
        features: 3,
        cost: Cost::default(),
        failure_bits: 128,
        policies: vec![a_policy()],
        accuracy: Accuracy::default(),
    }
}

pub(crate) fn a_version(vault: &Vault, tail: Option<&[u8]>) -> VersionMaterial {
    let manifest = VersionManifest {
        name: Text::new("digits").unwrap(),
        task: Text::new("Which digit is it?").unwrap(),
        creator: Address([1; 20]),
        creator_key: Bytes::new(vault.creator_key().unwrap().public().to_bytes()).unwrap(),
        creator_url: Text::new("http://127.0.0.1:1").unwrap(),
        preamble: Bytes::new(vec![]).unwrap(),
        labels: vec![Text::new("zero").unwrap(), Text::new("one").unwrap()],
        limits: Text::new("A demonstration.").unwrap(),
        splits: vec![a_split(tail)],
        disclosure: None,
        witnesses: None,
    };
    let (_, content_key) = encompute_envelope::lock(b"weights").unwrap();
    VersionMaterial { manifest, splits: vec![SplitMaterial { content_key, tail: tail.map(<[u8]>::to_vec) }] }
}

#[test]
fn a_version_comes_back_as_it_was_added() {
    let root = tempfile::tempdir().unwrap();
    let vault = Vault::open(root.path()).unwrap();
    let material = a_version(&vault, Some(b"onnx"));
    let hash = vault.add(&material).unwrap();
    assert_eq!(vault.add(&material).unwrap(), hash);
    assert_eq!(vault.versions().unwrap(), [hash]);
    let found = vault.find(hash).unwrap().unwrap();
    assert_eq!(found.manifest, material.manifest);
    assert_eq!(found.splits[0].content_key.expose(), material.splits[0].content_key.expose());
    assert_eq!(found.splits[0].tail.as_deref(), Some(b"onnx".as_slice()));
    assert!(vault.find(VersionHash([0; 32])).unwrap().is_none());
}

#[test]
fn a_version_with_grades_comes_back_and_one_kept_before_there_were_grades_still_opens() {
    let root = tempfile::tempdir().unwrap();
    let vault = Vault::open(root.path()).unwrap();
    let mut graded = a_version(&vault, Some(b"onnx"));
    graded.manifest.disclosure = Some(Disclosure {
        report: NamedBlob::of(b"{}").unwrap(),
        attack: None,
        grades: vec![Graded { grade: Grade::B, millibits: 4_000 }],
    });
    let hash = vault.add(&graded).unwrap();
    assert_eq!(vault.find(hash).unwrap().unwrap().manifest, graded.manifest);

    let VersionMaterial { manifest, splits } = a_version(&vault, Some(b"onnx"));
    let VersionManifest { name, task, creator, creator_key, creator_url, preamble, labels, limits, .. } = &manifest;
    let fields = (name, task, creator, creator_key, creator_url, preamble, labels, limits, &manifest.splits);
    let secrets = vec![(*splits[0].content_key.expose(), splits[0].tail.clone())];
    std::fs::write(vault.version_path(manifest.hash()), (1u8, fields, secrets).encode()).unwrap();
    let found = vault.find(manifest.hash()).unwrap().unwrap();
    assert_eq!(found.manifest, manifest);
    assert_eq!(found.splits[0].content_key.expose(), splits[0].content_key.expose());
}

#[test]
fn secrets_are_the_owners_alone() {
    let root = tempfile::tempdir().unwrap();
    let vault = Vault::open(root.path()).unwrap();
    let hash = vault.add(&a_version(&vault, None)).unwrap();
    for file in [root.path().join(KEY_FILE), vault.version_path(hash)] {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn the_creators_key_is_made_once() {
    let root = tempfile::tempdir().unwrap();
    let first = Vault::open(root.path()).unwrap().creator_key().unwrap();
    let second = Vault::open(root.path()).unwrap().creator_key().unwrap();
    assert_eq!(first.public(), second.public());
}

#[test]
fn material_that_does_not_belong_together_is_not_kept() {
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let vault = Vault::open(root.path()).unwrap();
    let mut other_tail = a_version(&vault, Some(b"onnx"));
    other_tail.splits[0].tail = Some(b"another".to_vec());
    assert!(matches!(vault.add(&other_tail), Err(VaultError::Tail { split: 0, .. })));
    let mut missing = a_version(&vault, None);
    missing.splits.clear();
    assert!(matches!(vault.add(&missing), Err(VaultError::Splits { found: 0, wanted: 1 })));
    let others = a_version(&Vault::open(other.path()).unwrap(), None);
    assert!(matches!(vault.add(&others), Err(VaultError::OtherKey)));
    assert!(vault.versions().unwrap().is_empty());
}

#[test]
fn an_altered_version_file_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let vault = Vault::open(root.path()).unwrap();
    let hash = vault.add(&a_version(&vault, Some(b"onnx"))).unwrap();
    let path = vault.version_path(hash);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(vault.find(hash), Err(VaultError::Damaged { .. })));
}
