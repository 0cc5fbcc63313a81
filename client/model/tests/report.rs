//! Reports of the repository's models: what is checked in is what the program finds.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_leakage::{Channel, Matrix, Seed};
use encompute_model::{
    Bench, BenchError, CLIP_UNITS, Report,
    report::{CutState, Extent, REPORT_FILE},
};
use encompute_protocol::ReleasePolicy;
use encompute_release::{CheckedPolicy, obfuscate};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use serde_json::Value;
use std::path::{Path, PathBuf};

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
    for name in ["digits", "breast-cancer"] {
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
