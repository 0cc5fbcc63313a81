//! What scores can be, and what moves them.

use super::*;

/// Numbers that look drawn and are the same every time.
fn weights() -> impl Iterator<Item = (HeadWeight, bool)> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    core::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (HeadWeight((state >> 24) % (HeadWeight::ONE.0 + 1)), state >> 63 == 1)
    })
}

#[test]
fn a_head_weighs_its_part_of_its_fee_and_the_reference() {
    let reference = Plancks(100_000_000_000);
    assert_eq!(HeadWeight::of(reference, reference), HeadWeight(1 << 31));
    assert_eq!(HeadWeight::of(Plancks(300_000_000_000), reference), HeadWeight(3 << 30));
    assert_eq!(HeadWeight::of(Plancks::ZERO, reference), HeadWeight(0));
    assert_eq!(HeadWeight::of(Plancks::ZERO, Plancks::ZERO), HeadWeight(0));
    assert_eq!(HeadWeight::of(Plancks(u128::MAX), Plancks(1)), HeadWeight::ONE);
    assert_eq!(HeadWeight::of(Plancks(u128::MAX), Plancks(u128::MAX)), HeadWeight(1 << 31));
}

#[test]
fn a_score_is_never_none_and_never_all_whatever_happens() {
    let mut reputation = Reputation::default();
    assert_eq!(reputation.score(), Score::PRIOR);
    for (weight, good) in weights().take(20_000) {
        reputation = if good { reputation.with_success(weight) } else { reputation.with_failure(weight) };
        assert!(reputation.good <= HeadWeight::ALL && reputation.bad <= HeadWeight::ALL);
    }
    let always = |with: fn(Reputation, HeadWeight) -> Reputation| {
        (0..10_000).fold(Reputation::default(), |reputation, _| with(reputation, HeadWeight::ONE))
    };
    let (best, worst) = (always(Reputation::with_success), always(Reputation::with_failure));
    assert!(best.good <= HeadWeight::ALL && worst.bad <= HeadWeight::ALL);
    assert_eq!(best.score().share(), BasisPoints(9_807), "51 of 52");
    assert_eq!(worst.score().share(), BasisPoints(192), "1 of 52");
}

#[test]
fn a_success_never_lowers_a_score_and_a_failure_never_raises_it() {
    let mut reputation = Reputation::default();
    for (weight, good) in weights().take(20_000) {
        let (up, down) = (reputation.with_success(weight), reputation.with_failure(weight));
        assert!(up.score() >= reputation.score(), "{reputation:?} {weight:?}");
        assert!(down.score() <= reputation.score(), "{reputation:?} {weight:?}");
        assert!(down.without_success(weight).score() <= down.score());
        reputation = if good { up } else { down };
    }
}

#[test]
fn what_was_long_ago_fades() {
    let failed = Reputation::default().with_failure(HeadWeight::ONE);
    let after = |heads: usize| (0..heads).fold(failed, |reputation, _| reputation.with_success(HeadWeight::ONE));
    assert_eq!(failed.score().share(), BasisPoints(3_333));
    // 0.98³⁴ is about a half.
    let half = after(34).bad.0 as f64 / HeadWeight::ONE.0 as f64;
    assert!((half - 0.98_f64.powi(34)).abs() < 1e-6, "{half}");
    assert!(after(500).bad.0 < HeadWeight::ONE.0 / 10_000);
}

#[test]
fn many_cheap_heads_wash_out_no_more_than_they_weigh() {
    let failed = Reputation::default().with_failure(HeadWeight::ONE);
    let cheap = HeadWeight(HeadWeight::ONE.0 / 1_000);
    let washed = (0..100).fold(failed, |reputation, _| reputation.with_success(cheap));
    let one_dear = failed.with_success(HeadWeight::ONE);
    assert!(washed.bad > one_dear.bad, "a hundred cheap heads together weigh a tenth of a dear one");
    assert!(washed.score() < one_dear.score());
}

#[test]
fn latencies_are_told_by_the_bound_below_which_a_share_of_heads_lies() {
    let (half, most) = (BasisPoints(5_000), BasisPoints(9_500));
    assert_eq!(Latency::default().of_share(half), None);
    let quick = (0..94).fold(Latency::default(), |latency, _| latency.with(Blocks(0)));
    let mixed = quick.with(Blocks(3)).with(Blocks(4)).with(Blocks(5)).with(Blocks(64)).with(Blocks(65));
    assert_eq!(mixed.0, [94, 0, 2, 1, 0, 0, 1, 1]);
    assert_eq!(mixed.of_share(half), Some(Took::Within(Blocks(1))));
    assert_eq!(mixed.of_share(most), Some(Took::Within(Blocks(4))));
    assert_eq!(mixed.of_share(BasisPoints(10_000)), Some(Took::Beyond(Blocks(64))));
}
