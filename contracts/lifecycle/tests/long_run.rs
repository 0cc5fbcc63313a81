//! The long run: many random sequences, after each of their steps every invariant that `world/always.rs` names, and at
//! their end everybody leaves with everything.
//!
//! `cargo run -p encompute-xtask -- sequences 1000000` runs a million; the suite takes a sample.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod world;

use proptest::{
    prelude::prop,
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};
use world::{always, random::*};

/// Longest sequence, in steps.
const STEPS: usize = 90;

/// A number from the environment.
fn told(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, no number")))
}

/// One sequence; gives its steps, and how many changed something.
fn run(seed: u64) -> (u64, u64) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let steps = prop::collection::vec(step(), 1..STEPS).new_tree(&mut runner).unwrap().current();
    let mut world = beginning(seed);
    let mut changed = 0;
    for (at, step) in steps.iter().enumerate() {
        let before = world.clone();
        changed += u64::from(world.take(step));
        for (name, check) in always::ALL {
            check(&before, &world).unwrap_or_else(|error| panic!("sequence {seed}, step {at}, {name}: {error}"));
        }
    }
    always::drained(world).unwrap_or_else(|error| panic!("sequence {seed}, at its end: {error}"));
    (steps.len() as u64, changed)
}

#[test]
fn every_invariant_holds_after_every_step_of_many_sequences() {
    let (first, count) = (told("ENCOMPUTE_FIRST_SEQUENCE", 0), told("ENCOMPUTE_SEQUENCES", 60));
    let (next, steps, changed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        break;
                    }
                    let (taken, done) = run(first + at);
                    steps.fetch_add(taken, Ordering::Relaxed);
                    changed.fetch_add(done, Ordering::Relaxed);
                }
            });
        }
    });
    let (steps, changed) = (steps.into_inner(), changed.into_inner());
    let seconds = began.elapsed().as_secs_f64();
    println!("{count} sequences from {first}, {steps} steps, {changed} of which changed something, {seconds:.1} s");
    assert!(changed > steps / 10, "nearly all steps were refused: {changed} of {steps}");
}
