//! The attack that a creator publishes for buyers to try.
#![allow(clippy::unwrap_used, clippy::panic)]

use codec::Encode;
use encompute_model::attack::AttackError;
use encompute_model::{Bench, PublishedAttack, clear_features};
use encompute_protocol::{ReleasePolicy, wire::DecodeError, wire::Message};
use encompute_release::{CheckedPolicy, obfuscate};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::path::PathBuf;

fn bench(model: &str) -> Bench {
    Bench::open(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scripts/models").join(model)).unwrap()
}

fn releasing(seed: u8) -> impl FnMut(&ReleasePolicy, &[i64]) -> Vec<i16> {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    move |policy, features| obfuscate(features, &CheckedPolicy::new(policy.clone()).unwrap(), &mut rng)
}

fn mean_square(pairs: impl Iterator<Item = (u8, u8)>) -> f64 {
    let (sum, count) = pairs
        .fold((0.0, 0.0), |(sum, count), (one, other)| (sum + f64::from(one.abs_diff(other)).powi(2), count + 1.0));
    sum / count
}

#[test]
fn it_rebuilds_held_out_rows_better_than_their_mean_does_and_as_well_as_it_says() {
    let bench = bench("breast-cancer");
    let attack = PublishedAttack::learn(&bench, &mut releasing(1)).unwrap();
    let split = bench.split(0).unwrap();
    let policies = split.policies();
    assert_eq!(attack.releases(), policies.len());
    let held_out = bench.held_out().unwrap();
    let mut release = releasing(2);
    for (index, policy) in policies.iter().enumerate() {
        let map = attack.release(index).unwrap();
        assert_eq!(map.features(), 1);
        let mean = map.rebuilt(&[0]).unwrap();
        let (mut guesses, mut means) = (0.0, 0.0);
        for sample in &held_out {
            let codes = release(policy, &clear_features(&split.compiled, &sample.tensor).unwrap());
            let guess = map.rebuilt(&codes).unwrap();
            let real = sample.tensor.values().iter().copied();
            guesses += mean_square(guess.into_iter().zip(real.clone())) / held_out.len() as f64;
            means += mean_square(mean.iter().copied().zip(real)) / held_out.len() as f64;
        }
        let said = map.usual_errors().iter().map(|error| f64::from(*error).powi(2)).sum::<f64>() / 30.0;
        assert!(guesses < 0.8 * means, "{}: {guesses} against {means}", policy.name);
        assert!((0.6..1.6).contains(&(guesses / said)), "{}: {guesses}, {said} was said", policy.name);
    }
}

#[test]
fn learning_it_again_gives_the_same_bytes() {
    let learn = || PublishedAttack::learn(&bench("breast-cancer"), &mut releasing(1)).unwrap().to_wire();
    assert!(learn() == learn());
}

#[test]
fn another_number_of_codes_rebuilds_nothing() {
    let attack = PublishedAttack::learn(&bench("breast-cancer"), &mut releasing(1)).unwrap();
    let map = attack.release(0).unwrap();
    assert!(map.rebuilt(&[]).is_none() && map.rebuilt(&[1, 2]).is_none() && attack.release(99).is_none());
}

#[test]
fn codes_of_any_size_give_bytes() {
    let attack = PublishedAttack::learn(&bench("breast-cancer"), &mut releasing(1)).unwrap();
    for code in [i16::MIN, -1, 0, 1, i16::MAX] {
        assert_eq!(attack.release(0).unwrap().rebuilt(&[code]).unwrap().len(), 30);
    }
}

/// A map's fields, in their order on the wire.
type Fields = (Vec<f32>, Vec<u8>, Vec<f32>, Vec<i8>);

fn refused(maps: &[Fields]) -> DecodeError {
    PublishedAttack::from_wire(&[vec![1], maps.to_vec().encode()].concat()).unwrap_err()
}

#[test]
fn an_attack_that_does_not_fit_itself_is_refused_by_its_defect() {
    let sound: Fields = (vec![1.0, 2.0], vec![3, 4], vec![0.5], vec![5, 6]);
    let read = PublishedAttack::from_wire(&[vec![1], vec![sound.clone()].encode()].concat()).unwrap();
    assert_eq!(read.release(0).unwrap().rebuilt(&[2]), Some(vec![6, 8]));
    let (offsets, errors, scales, weights) = sound;
    for (defect, fields) in [
        ("an offset that is no number", (vec![f32::NAN, 2.0], errors.clone(), scales.clone(), weights.clone())),
        ("an endless scale", (offsets.clone(), errors.clone(), vec![f32::INFINITY], weights.clone())),
        ("an error too few", (offsets.clone(), vec![3], scales.clone(), weights.clone())),
        ("a weight too many", (offsets.clone(), errors.clone(), scales.clone(), vec![5, 6, 7])),
        ("weights without features", (offsets.clone(), errors.clone(), vec![], weights.clone())),
    ] {
        assert_eq!(refused(&[fields]), DecodeError::Malformed, "{defect}");
    }
    let many = vec![(vec![], vec![], vec![], vec![]); 129];
    assert_eq!(refused(&many), DecodeError::TooMany { items: "releases", found: 129, limit: 128 });
}

#[test]
fn texts_have_none() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/sentence-model");
    let learnt = PublishedAttack::learn(&Bench::open(&folder).unwrap(), &mut releasing(1));
    assert!(matches!(learnt, Err(AttackError::Texts)));
}
