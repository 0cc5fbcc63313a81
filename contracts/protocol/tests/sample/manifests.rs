//! What a version pins, and what it discloses.

use super::*;

pub fn manifest() -> VersionManifest {
    let policy = ReleasePolicy {
        id: PolicyId(1),
        name: text("balanced"),
        clip: 4_096,
        sigma_milli: 1_500,
        step: 16,
        bits: 8,
        information_millibits: 12_345,
        accuracy: BasisPoints(9_700),
    };
    let split = SplitManifest {
        name: text("dense-3"),
        mode: Mode::Rounds,
        plan: Bytes::new(vec![1, 2, 3]).unwrap(),
        head: HeadDigest(b32(9)),
        sealed_weights: BlobDigest(b32(20)),
        sealed_weights_bytes: 54_321,
        tail: TailDigest(b32(11)),
        features: 16,
        cost: Cost { units: CostUnits(42), micros: 7_000, bytes_up: 30_000, bytes_down: 20_000, key_bytes: 0 },
        failure_bits: 140,
        policies: vec![policy],
        accuracy: Accuracy { samples: 1_000, float: BasisPoints(9_810), quantised: BasisPoints(9_805) },
    };
    VersionManifest {
        name: text("digits"),
        task: text("Which digit is written."),
        creator: Address(b20(21)),
        creator_key: Bytes::new(vec![22; HPKE]).unwrap(),
        creator_url: text("http://127.0.0.1:4000"),
        preamble: Bytes::new(vec![4, 5]).unwrap(),
        labels: vec![text("zero"), text("one")],
        limits: text("Not for handwriting other than digits."),
        splits: vec![split],
        disclosure: Some(disclosure()),
        witnesses: Some(Witnesses::new(2).unwrap()),
    }
}

pub fn disclosure() -> Disclosure {
    Disclosure {
        report: NamedBlob::of(b"a report").unwrap(),
        attack: Some(NamedBlob::of(b"an attack").unwrap()),
        grades: vec![Graded { grade: Grade::B, millibits: 4_321 }],
    }
}

/// As manifests were before they told grades.
pub fn undisclosed() -> VersionManifest {
    VersionManifest { disclosure: None, witnesses: None, ..manifest() }
}

/// As manifests are that leave it to the user whether witnesses are asked for.
pub fn unwitnessed() -> VersionManifest {
    VersionManifest { witnesses: None, ..manifest() }
}
