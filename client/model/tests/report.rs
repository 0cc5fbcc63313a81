//! Reports of the repository's models: what is checked in is what the program finds.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_leakage::{Channel, Matrix, Seed};
use encompute_model::{
    Bench, BenchError, CLIP_UNITS, Report,
    report::{CutState, Extent, REPORT_FILE},
};
use encompute_protocol::ReleasePolicy;
use encompute_release::{CheckedPolicy, obfuscate};
use prost::Message;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tract_onnx::pb::ModelProto;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/models").join(name)
}

fn checked_in(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder(name).join(REPORT_FILE)).unwrap()).unwrap()
}

/// The release that users run, with the noise that the command line measures with.
fn release() -> impl FnMut(&ReleasePolicy, &[i64]) -> Vec<i16> {
    let mut rng = ChaCha20Rng::from_seed(*b"encompute/held-out release/v1...");
    move |policy, features| {
        let unmeasured = ReleasePolicy { information_millibits: 0, ..policy.clone() };
        obfuscate(features, &CheckedPolicy::new(unmeasured).unwrap(), &mut rng)
    }
}

#[test]
fn a_checked_in_report_is_of_the_model_beside_it() {
    for name in ["digits", "digits-conv", "breast-cancer", "brain-regions"] {
        let digest = Report::digest_of(&Bench::open(&folder(name)).unwrap(), &Extent::default()).unwrap();
        let remake = format!("encompute model split-report {name} --write");
        assert_eq!(checked_in(name)["digest"], Value::from(digest), "model, card or samples have changed: {remake}");
    }
}

#[test]
fn the_cards_figures_of_breast_cancer_are_found_again_to_the_last_digit() {
    let bench = Bench::open(&folder("breast-cancer")).unwrap();
    let extent = Extent { survey: false, ..Extent::default() };
    let found = Report::build(&bench, &extent, &mut release(), &mut |_| {}).unwrap();
    let checked_in = checked_in("breast-cancer");
    assert_eq!(found.splits.len(), 3);
    for (found, kept) in found.splits.iter().zip(checked_in["splits"].as_array().unwrap()) {
        assert_eq!(&serde_json::from_str::<Value>(&serde_json::to_string(found).unwrap()).unwrap(), kept);
    }
}

/// The breast-cancer model in a folder of its own, its tail answering the other class.
fn with_a_tail_that_is_wrong(home: &Path) -> Bench {
    for name in ["columns.toml", "calibration.csv"] {
        std::fs::copy(folder("breast-cancer").join(name), home.join(name)).unwrap();
    }
    let fixtures = folder("../../tests/fixtures/breast-cancer");
    for name in ["held-out.csv", "population.csv"] {
        std::fs::copy(fixtures.join(name), home.join(name)).unwrap();
    }
    let card = std::fs::read_to_string(folder("breast-cancer").join("model.toml")).unwrap();
    std::fs::write(home.join("model.toml"), card.replace("../../../tests/fixtures/breast-cancer/", "")).unwrap();
    let whole = std::fs::read(folder("breast-cancer").join("model.onnx")).unwrap();
    let mut model = ModelProto::decode(&*whole).unwrap();
    let tail = model.graph.as_mut().unwrap().initializer.iter_mut().filter(|tensor| tensor.name.starts_with("tail."));
    for tensor in tail {
        for number in tensor.raw_data.as_chunks_mut::<4>().0 {
            *number = (-f32::from_le_bytes(*number)).to_le_bytes();
        }
    }
    std::fs::write(home.join("model.onnx"), model.encode_to_vec()).unwrap();
    Bench::open(home).unwrap()
}

#[test]
fn a_tail_that_fails_under_its_release_is_not_listed() {
    let home = tempfile::tempdir().unwrap();
    let bench = with_a_tail_that_is_wrong(home.path());
    let extent = Extent { survey: false, epochs: 1, ..Extent::default() };
    let report = Report::build(&bench, &extent, &mut release(), &mut |_| {}).unwrap();
    assert_eq!(report.splits.len(), 3);
    for split in report.splits {
        let told =
            split.reason.starts_with("its tail fails under this release: naming the class with the nearest mean");
        assert!(told && !split.listable && split.released_accuracy < 0.1, "{}: {}", split.policy, split.reason);
    }
}

#[test]
fn every_node_of_digits_is_a_cut_or_says_why_not() {
    let cuts = Bench::open(&folder("digits")).unwrap().cuts();
    let depths: Vec<(&str, Option<usize>)> = cuts
        .iter()
        .map(|cut| {
            let depth = match &cut.state {
                CutState::Possible { depth, .. } => Some(*depth),
                CutState::Refused(_) => None,
            };
            (cut.after.as_str(), depth)
        })
        .collect();
    // Nothing runs under encryption before the first layer.
    let head = [("flatten", None), ("head.0", Some(1)), ("head.0.relu", Some(1)), ("head.1", Some(2))];
    let rest = [("head.1.relu", Some(2)), ("head.2", Some(3)), ("tail.0", Some(3)), ("tail.0.relu", Some(3))];
    assert_eq!(depths[..8], [head, rest].concat());
    let (flatten, last) = (&cuts[0].state, &cuts.last().unwrap().state);
    assert!(matches!(flatten, CutState::Refused(BenchError::Lower(_))));
    assert!(matches!(last, CutState::Possible { has_tail: false, .. }));
}

#[test]
fn the_suites_release_is_that_of_users() {
    let split = Bench::open(&folder("digits")).unwrap().split(0).unwrap();
    let policy = &split.policies()[0];
    let clip = policy.clip as f64;
    let channel =
        Channel { sigma: policy.sigma_milli as f64 / 1e3 / clip, step: policy.step as f64 / clip, bits: policy.bits };
    const TIMES: usize = 20_000;
    for value in [-1.0, -0.33, 0.0, 0.71] {
        let features = Matrix::from_fn(TIMES, 1, |_, _| value as f32);
        let ours = channel.releases(&features, Seed(9));
        let mut theirs = release();
        let row = [(value * CLIP_UNITS as f64).round() as i64];
        let theirs: Vec<f64> = (0..TIMES).map(|_| f64::from(theirs(policy, &row)[0]) * channel.step).collect();
        let moments = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / TIMES as f64;
            (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / TIMES as f64)
        };
        let ((mean, variance), (other_mean, other_variance)) = (moments(ours.values()), moments(&theirs));
        // Five standard errors of a difference of means of 20,000 numbers each.
        assert!(
            (mean - other_mean).abs() < 5.0 * (2.0 * variance / TIMES as f64).sqrt(),
            "{value}: {mean} {other_mean}"
        );
        assert!((variance / other_variance - 1.0).abs() < 0.08, "{value}: {variance} {other_variance}");
    }
}
