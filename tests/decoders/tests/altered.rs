//! Every decoder on every seed, every regression, and thousands of altered inputs, under its limit on memory.
#![allow(clippy::unwrap_used)]

use cap::Cap;
use encompute_decoders::*;
use encompute_protocol::{Text, VersionManifest, wire::Message};
use std::{
    alloc::System,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);
/// The limit is the process's: one decoder at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Altered inputs a decoder gets. libFuzzer gives it millions: `xtask fuzz`.
const ALTERED: usize = 4_000;
/// No input may keep a decoder busy for longer, however it was built.
const LONGEST: Duration = Duration::from_secs(1);

/// Does something that may take so much memory: an allocation beyond it ends the process.
fn within(kib: usize, mut act: impl FnMut() -> bool) -> bool {
    MEMORY.set_limit(MEMORY.allocated() + (kib << 10)).unwrap();
    let mut timed = || {
        let started = Instant::now();
        let accepted = act();
        (accepted, started.elapsed())
    };
    let (accepted, took) = timed();
    // The machine may have been elsewhere: what is slow is slow again.
    assert!(took < LONGEST || timed().1 < LONGEST, "{took:?} for one input");
    MEMORY.set_limit(usize::MAX).unwrap();
    accepted
}

/// One input; what is accepted is judged if `judged` says so. True if it was accepted.
fn withstands_one(target: &Target, bytes: &[u8], judged: bool) -> bool {
    let accepted = within(target.memory_kib, || target.accepts(bytes));
    if accepted && judged {
        within(target.judge_memory_kib, || {
            target.judge(bytes);
            true
        });
    }
    accepted
}

fn withstands(target: &Target) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let seeds = seeds(target).unwrap();
    for seed in &seeds {
        // Once without limits: what is made on first use stays.
        assert!(target.accepts(&seed.bytes), "{} is refused", seed.name);
        target.judge(&seed.bytes);
        assert!(withstands_one(target, &seed.bytes, true), "{} is refused", seed.name);
    }
    for regression in corpus("regressions", target).unwrap() {
        withstands_one(target, &regression.bytes, true);
    }
    let altered = Alterations::of(&seeds, target.longest_bytes).take(ALTERED);
    let accepted = altered.filter(|input| withstands_one(target, input, target.judges(input))).count();
    println!("{}: {} seeds, {accepted} of {ALTERED} altered inputs accepted", target.name, seeds.len());
    // None would mean that alterations reach no further than the first check, all that nothing is checked.
    assert!((1..ALTERED).contains(&accepted), "{accepted} of {ALTERED} accepted");
}

#[test]
fn four_million_empty_labels_are_refused_before_they_take_a_megabyte() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = seeds(&MANIFESTS).unwrap().remove(0);
    let mut manifest = VersionManifest::from_wire(&seed.bytes).unwrap();
    // A byte each on the wire, 24 in memory.
    manifest.labels = vec![Text::default(); 4_000_000];
    let bytes = manifest.to_wire();
    assert!(bytes.len() <= VersionManifest::LIMIT_BYTES);
    assert!(!withstands_one(&MANIFESTS, &bytes, false));
}

macro_rules! withstand {
    ($($test:ident: $target:ident),* $(,)?) => {
        $(#[test]
        fn $test() {
            withstands(&$target);
        })*

        #[test]
        fn no_decoder_is_left_out() {
            assert_eq!(TARGETS.len(), [$($target),*].len());
        }
    };
}

withstand! {
    altered_requests_are_refused_or_accepted_within_their_limits: REQUESTS,
    altered_receipts_are_refused_or_accepted_within_their_limits: RECEIPTS,
    altered_calls_are_refused_or_accepted_within_their_limits: CALLS,
    altered_posts_are_refused_or_accepted_within_their_limits: POSTS,
    altered_sessions_are_refused_or_accepted_within_their_limits: SESSIONS,
    altered_networks_are_refused_or_accepted_within_their_limits: NETWORKS,
    altered_quotes_are_refused_or_accepted_within_their_limits: QUOTES,
    altered_collateral_are_refused_or_accepted_within_their_limits: COLLATERAL,
    altered_event_logs_are_refused_or_accepted_within_their_limits: EVENT_LOGS,
    altered_evidence_are_refused_or_accepted_within_their_limits: EVIDENCE,
    altered_exported_jobs_are_refused_or_accepted_within_their_limits: EXPORTED_JOBS,
    altered_tensors_are_refused_or_accepted_within_their_limits: TENSORS,
    altered_evaluation_keys_are_refused_or_accepted_within_their_limits: EVALUATION_KEYS,
    altered_envelopes_are_refused_or_accepted_within_their_limits: ENVELOPES,
    altered_manifests_are_refused_or_accepted_within_their_limits: MANIFESTS,
    altered_reports_are_refused_or_accepted_within_their_limits: REPORTS,
    altered_plans_are_refused_or_accepted_within_their_limits: PLANS,
    altered_preambles_are_refused_or_accepted_within_their_limits: PREAMBLES,
    altered_lexicons_are_refused_or_accepted_within_their_limits: LEXICONS,
    altered_pictures_are_refused_or_accepted_within_their_limits: PICTURES,
    altered_scans_are_refused_or_accepted_within_their_limits: SCANS,
    altered_tables_are_refused_or_accepted_within_their_limits: TABLES,
    altered_attacks_are_refused_or_accepted_within_their_limits: ATTACKS,
    altered_onnx_are_refused_or_accepted_within_their_limits: ONNX,
    altered_tails_are_refused_or_accepted_within_their_limits: TAILS,
}
