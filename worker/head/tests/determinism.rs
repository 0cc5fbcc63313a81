//! One response on every machine: golden digests, all code paths, any number of threads.
#![allow(clippy::unwrap_used, clippy::panic)]

mod responses;

use encompute_fhe::{BlindingKey, BlindingSeed, BootstrapSet, CodePath, MaskSeed};
use encompute_head::*;
use responses::{Case, cases, chained, digests, vector};
use serde_json::Value;
use std::path::Path;

#[test]
fn responses_have_the_recorded_digests_on_every_code_path() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/responses.json");
    let found: Vec<Value> = cases()
        .iter()
        .map(|(name, case)| {
            let mut all: Vec<Vec<String>> = CodePath::available().iter().map(|path| digests(case, *path)).collect();
            let names: Vec<_> = CodePath::available().iter().map(|path| path.name()).collect();
            assert!(all.iter().all(|digests| *digests == all[0]), "{name} differs on {names:?}: {all:?}");
            vector(name, all.remove(0))
        })
        .collect();
    // Set this after a change of the format, and look at the difference before committing it.
    if std::env::var_os("ENCOMPUTE_WRITE_VECTORS").is_some() {
        std::fs::write(&file, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
    }
    let recorded: Vec<Value> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(found, recorded);
}

#[test]
fn a_cut_where_one_tensor_is_left_changes_nothing_in_the_response() {
    let set = BootstrapSet::ToyV1;
    let [whole, cut] = [96, 50].map(|per_call| digests(&chained(set, 6, per_call), CodePath::fastest()));
    assert_eq!((whole.len(), cut.len()), (3, 4), "one state lies between two segments");
    assert_ne!(whole[0], cut[0], "the plan says where it is cut, and so does the head's digest");
    assert_eq!(whole[1..3], cut[1..3]);
}

#[test]
fn responses_do_not_depend_on_the_number_of_threads() {
    let with_threads = |case: &Case, count| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
        pool.install(|| digests(case, CodePath::fastest()))
    };
    for (name, case) in cases() {
        let one = with_threads(&case, 1);
        for count in [2, 4, 5] {
            assert_eq!(with_threads(&case, count), one, "{name}, {count} threads");
        }
    }
}

#[test]
fn another_seed_or_key_gives_another_blinded_response() {
    let (_, case) = cases().remove(1);
    let head = compile(case.plan, case.weights, &CompileOptions::default()).unwrap();
    let other = BlindingKey::from_body(case.key.parameter_set(), MaskSeed([9; 16]), &[1 << 40; 2048]).unwrap();
    let digest = |key, seed| {
        let key = head.prepare_key(key).unwrap();
        evaluate_round(&head, RoundIndex(0), &case.request, &key, None, &BlindingSeed::new(seed)).unwrap().digest()
    };
    let first = digest(&case.key, [1; 32]);
    assert_eq!(digest(&case.key, [1; 32]), first);
    assert_ne!(digest(&case.key, [2; 32]), first);
    assert_ne!(digest(&other, [1; 32]), first);
}
