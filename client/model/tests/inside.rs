//! Layers that stay encrypted with their activations: what becomes of them, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_head::Mode;
use encompute_model::{Bench, BenchSplit};
use std::path::{Path, PathBuf};

const FIXTURE: &str = "tests/fixtures/inside-model";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(FIXTURE)
}

/// The fixture with one line of its card changed.
fn changed(from: &str, to: &str) -> Result<BenchSplit, String> {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join("model.toml");
    let card = std::fs::read_to_string(&path).unwrap();
    assert!(card.contains(from), "{from}");
    std::fs::write(&path, card.replace(from, to)).unwrap();
    let words = |error: &dyn std::error::Error| {
        let mut words = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            words = format!("{words}: {error}");
            source = error.source();
        }
        words
    };
    let bench = Bench::open(folder.path()).map_err(|error| words(&error))?;
    bench.split(0).map_err(|error| words(&error))
}

#[test]
fn a_model_whose_first_layers_stay_encrypted_answers_nearly_as_in_floats() {
    let bench = Bench::open(&fixture()).unwrap();
    let split = bench.split(0).unwrap();
    assert!(matches!(split.plan.mode(), Mode::Bootstrapped(set) if set.is_production()));
    let (rounds, cost) = (split.plan.rounds(), split.compiled.cost());
    // The chain, and the dense layer behind it.
    assert_eq!((rounds.len(), cost.bootstraps), (2, 24));
    for proof in split.compiled.proofs() {
        assert!(proof.failure_log2 <= -128 && proof.lookups.iter().all(|lookup| lookup.farther_log2 <= -128));
    }
    let held_out = bench.held_out().unwrap();
    let measured = bench.measure(&split, &held_out).unwrap();
    let evaluation = measured.evaluation(&split.policies()[0], 1, &mut |_, _| vec![0; 2]).unwrap();
    assert!(evaluation.float > 0.99 && evaluation.quantised > 0.94, "{} {}", evaluation.float, evaluation.quantised);
}

#[test]
fn what_cannot_stay_encrypted_is_named() {
    let refused = |from: &str, to: &str| changed(from, to).err().unwrap();
    let inside = "inside = \"head.1.relu\"";
    let unknown = refused(inside, "inside = \"head.9\"");
    assert!(unknown.contains("`head.9`") && unknown.contains("head.0.relu, head.1.relu"), "{unknown}");
    let linear = refused(inside, "inside = \"head.2\"");
    assert!(linear.contains("no activation of the head"), "{linear}");
    let missing = refused(inside, "");
    assert!(missing.contains("`inside` must name the activation"), "{missing}");
    let rounds = refused("mode = \"bootstrapped\"", "mode = \"rounds\"");
    assert!(rounds.contains("which only a bootstrapped split has"), "{rounds}");
    // With one activation inside, the other is the client's.
    let shorter = changed(inside, "inside = \"head.0.relu\"").unwrap();
    assert_eq!((shorter.plan.rounds().len(), shorter.compiled.cost().bootstraps), (3, 16));
}

#[test]
fn a_card_may_ask_for_segments_shorter_than_a_call_and_the_answers_stay_the_same() {
    let inside = "inside = \"head.1.relu\"";
    let asked = |per_segment: &str| changed(inside, &format!("{inside}\nbootstraps_per_segment = {per_segment}"));
    let (whole, cut) = (changed(inside, inside).unwrap(), asked("16").unwrap());
    assert_eq!((whole.plan.segments().len(), cut.plan.segments().len()), (2, 3));
    let bootstraps: Vec<u64> = cut.compiled.segment_costs().map(|cost| cost.bootstraps).collect();
    assert_eq!(bootstraps, [16, 8, 0]);
    let chain = |split: &BenchSplit| split.plan.rounds()[0].chain.clone().unwrap();
    assert_eq!(chain(&whole).steps, chain(&cut).steps);
    let refused = |per_segment: &str| asked(per_segment).err().unwrap();
    for wrong in ["0", "16001"] {
        assert!(refused(wrong).contains("1 to 16000 are allowed"), "{}", refused(wrong));
    }
    let small = refused("15");
    assert!(small.contains("16 bootstraps, at most 15 are run in one call"), "{small}");
    let rounds =
        changed("mode = \"bootstrapped\"\ninside = \"head.1.relu\"", "mode = \"rounds\"\nbootstraps_per_segment = 9");
    assert!(rounds.err().unwrap().contains("which only a bootstrapped split has"));
}
