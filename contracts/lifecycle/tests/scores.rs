//! What moves a worker's score: a head in time, a claim that runs out, a head found wrong; at once, on every path.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{Outcome, Refusal, Settlement, outcome::Party, price};
use encompute_protocol::{
    BasisPoints, Blocks, DisputeKind, JobTerms, Params, Plancks, Reputation, Stage, Verdict, WorkerRecord,
    call::{AnnounceParams, CancelJob, PokeJob},
    reputation::{HeadWeight, Score, Took},
};
use proptest::prelude::*;
use world::*;

/// What a head of the world's first split weighs.
fn one() -> HeadWeight {
    HeadWeight::of(Plancks(HEAD), params().head_fee_base)
}

fn of(world: &World) -> (u32, u32, u32, Reputation) {
    let WorkerRecord { heads_committed, timeouts, mismatches, reputation, .. } = world.worker(0);
    (heads_committed, timeouts, mismatches, reputation)
}

#[test]
fn a_worker_of_whom_nothing_is_known_has_half_a_score() {
    let world = World::new();
    assert_eq!(of(&world), (0, 0, 0, Reputation::default()));
    assert_eq!(world.worker(0).reputation.score(), Score::PRIOR);
}

#[test]
fn a_head_in_time_counts_when_it_is_committed_with_how_long_it_took() {
    let mut world = World::new();
    let job = world.claimed();
    world.block += 3;
    let message = world.commitment(0, job);
    world.call(WORKERS[0], message).unwrap();
    let success = Reputation::default().with_success(one());
    assert_eq!(of(&world), (1, 0, 0, success));
    assert!(success.score() > Score::PRIOR);
    assert_eq!(world.worker(0).latency.of_share(BasisPoints(5_000)), Some(Took::Within(Blocks(4))));
    // What its user does then is nothing to the worker.
    world.call(USERS[0], CancelJob { job }).unwrap();
    assert_eq!(of(&world), (1, 0, 0, success));
}

#[test]
fn a_claim_that_runs_out_counts_on_every_path() {
    let failure = Reputation::default().with_failure(one());
    for by in [USERS[0], STRANGER] {
        let mut world = World::new();
        let job = world.claimed();
        world.past_deadline(job);
        if by == STRANGER {
            world.call(by, PokeJob { job }).unwrap();
        } else {
            world.call(by, CancelJob { job }).unwrap();
        }
        assert_eq!(of(&world), (0, 1, 0, failure));
        assert!(failure.score() < Score::PRIOR);
    }
    // A blob that is not there, though its digest was committed: the success is taken back.
    let mut world = World::new();
    let job = world.disputed(DisputeKind::Missing);
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
    assert_eq!(stage(&world, job).0, Stage::Failed);
    assert_eq!(of(&world), (1, 1, 0, Reputation::default().with_failure(one())));
}

#[test]
fn a_head_found_wrong_takes_its_success_back_and_counts_as_a_failure() {
    let failure = Reputation::default().with_failure(one());
    for kind in [DisputeKind::Head, DisputeKind::Witness] {
        let mut world = World::new();
        let verdict: [Verdict; 3] = [disputes::WRONG; 3];
        world.judged_by(kind, verdict);
        let (heads, timeouts, mismatches, reputation) = of(&world);
        assert_eq!((heads, timeouts, mismatches), (1, 0, 1), "{kind:?}");
        assert_eq!(reputation, failure, "{kind:?}");
        let success = Reputation::default().with_success(one());
        assert!(reputation.score() < success.with_failure(one()).score(), "heavier than a failure after a success");
    }
    let mut world = World::new();
    world.judged([disputes::RIGHT; 3]);
    assert_eq!(of(&world), (1, 0, 0, Reputation::default().with_success(one())));
}

#[test]
fn nobodys_fault_is_no_failure() {
    let mut world = World::new();
    let job = world.claimed();
    world.call(CREATORS[0], encompute_protocol::call::RevokeVersion { version: world.terms(job).version }).unwrap();
    world.call(STRANGER, PokeJob { job }).unwrap();
    assert_eq!(of(&world), (0, 0, 0, Reputation::default()));
}

#[test]
fn a_registration_that_is_renewed_keeps_what_was_earned() {
    let mut world = World::new();
    world.settled();
    let (before, latency) = (of(&world), world.worker(0).latency);
    world.register(0, Plancks::ZERO).unwrap();
    assert_eq!((of(&world), world.worker(0).latency), (before, latency));
}

/// Every end of a job whose head counts as a success.
const SUCCESSES: [Outcome; 4] = [Outcome::Settled, Outcome::Stopped, Outcome::CreatorFailed, Outcome::TailRefunded];

/// What somebody who is user, worker and creator of a job in one loses by it: what is not credited to one of them, of
/// what they sent, and of the bond.
fn costs(terms: &JobTerms, outcome: Outcome) -> u128 {
    let settlement = Settlement::of(terms, outcome).unwrap();
    let gets = [Party::User, Party::Payer, Party::Worker, Party::Creator, Party::Poker]
        .map(|party| settlement.of_party(party).unwrap().0);
    terms.fees.total().unwrap().0 + settlement.bond_slashed.0 - gets.iter().sum::<u128>()
}

proptest! {
    #[test]
    fn a_success_that_one_deals_oneself_costs_the_protocol_fee_on_its_head_at_least(
        base in 1_u128..1_000_000, unit in 0_u128..1_000, cost in 0_u32..10_000, tail in 0_u128..1_000_000,
        fee in 1_u16..=1_000, more in 0_u16..=9_000, stop in 0_u16..=10_000, tip in 0_u128..1_000,
    ) {
        let mut world = World::new();
        let wanted = Params {
            head_fee_base: Plancks(base),
            head_fee_per_unit: Plancks(unit),
            protocol_fee: BasisPoints(fee),
            bond_margin: BasisPoints(fee + more),
            stop_fee: BasisPoints(stop),
            ..params()
        };
        prop_assert_eq!(price::check_params(&wanted), Ok(()));
        let job = world.requested();
        let mut split = encompute_lifecycle::ReadState::split(&world.market, world.terms(job).version, world.terms(job).split).unwrap();
        (split.cost, split.tail_fee) = (encompute_protocol::CostUnits(cost), Plancks(tail));
        let price = price::Price::of(&wanted, &split, Plancks(tip)).unwrap();
        let terms = JobTerms {
            fees: price.fees,
            job_stake: price.job_stake,
            job_bond: price.job_bond,
            stop_fee: wanted.stop_fee,
            protocol_fee: wanted.protocol_fee,
            ..world.terms(job)
        };
        let least = terms.fees.head.share_ceil(wanted.protocol_fee).unwrap().0;
        for outcome in SUCCESSES {
            prop_assert!(costs(&terms, outcome) >= least && least > 0, "{:?}", outcome);
        }
    }
}

#[test]
fn a_bond_margin_below_the_protocol_fee_is_refused() {
    let mut world = World::new();
    let wrong = Params { bond_margin: BasisPoints(332), ..params() };
    let said = world.call(GOVERNOR, AnnounceParams { params: wrong });
    let param = encompute_lifecycle::refusal::Param::BondMargin;
    assert_eq!(said, Err(Refusal::ParamOutOfBounds { param, found: 332, lowest: 333, highest: 10_000 }));
}
