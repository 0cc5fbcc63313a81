//! Ratings: by settled payers alone, once a job, weighed by what they paid.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{ReadState, Refusal};
use encompute_protocol::{Plancks, Rating, RatingReason, Ratings, Stage, call::RateJob};
use world::*;

/// Head and tail fee of the world's first split.
const WEIGHT: u128 = 3_704;

fn rating(grade: u8) -> Rating {
    Rating { grade, why: RatingReason::Answer }
}

#[test]
fn a_settled_payer_rates_its_job_once_and_the_mean_weighs_what_was_paid() {
    let mut world = World::new();
    let first = world.settled();
    let second = world.settled();
    let before = world.market.balance();
    world.call(USERS[0], RateJob { job: first, rating: rating(5) }).unwrap();
    world.call(USERS[0], RateJob { job: second, rating: rating(2) }).unwrap();
    let again = world.call(USERS[0], RateJob { job: first, rating: rating(1) });
    assert_eq!(again, Err(Refusal::RatedBefore { job: first }));
    let ratings = world.market.model(world.terms(first).model).unwrap().ratings;
    let wanted = Ratings { count: 2, fees: Plancks(2 * WEIGHT), graded_fees: Plancks(7 * WEIGHT) };
    assert_eq!((ratings, ratings.mean_hundredths()), (wanted, Some(350)));
    assert_eq!(world.market.rating(first), Some(rating(5)));
    assert_eq!(world.market.balance(), before, "a rating moves no money");
}

#[test]
fn nobody_rates_a_job_that_has_not_settled_or_is_somebody_elses() {
    let stages = STAGES.into_iter().filter(|stage| *stage != Stage::Settled);
    for stage in stages {
        let mut world = World::new();
        let job = world.at_stage(stage);
        let refused = world.call(USERS[0], RateJob { job, rating: rating(5) });
        assert_eq!(refused, Err(Refusal::WrongStage { found: stage, wanted: Stage::Settled }));
    }
    let mut world = World::new();
    let job = world.settled();
    for caller in [USERS[1], CREATORS[0], WORKERS[0], GOVERNOR, STRANGER] {
        let refused = world.call(caller, RateJob { job, rating: rating(5) });
        assert_eq!(refused, Err(Refusal::NotYourJob { caller, wanted: USERS[0] }));
    }
}

#[test]
fn a_grade_is_one_to_five() {
    let mut world = World::new();
    let job = world.settled();
    for found in [0, 6, 255] {
        let refused = world.call(USERS[0], RateJob { job, rating: rating(found) });
        assert_eq!(refused, Err(Refusal::GradeOutOfBounds { found }));
    }
    assert_eq!(Ratings::default().mean_hundredths(), None);
}

#[test]
fn rating_ones_own_model_costs_the_protocols_fee_for_all_that_it_weighs() {
    let mut world = World::new();
    let message = world.request_message(encompute_protocol::VersionId(1), encompute_protocol::SplitIndex(0));
    let job = world.send_request(CREATORS[0], message).unwrap();
    let treasury = world.market.credit(TREASURY);
    world.claim(0, job).unwrap();
    let message = world.commitment(0, job);
    world.call(WORKERS[0], message).unwrap();
    let (features, result) = (world.digest(), world.digest());
    let policy = encompute_protocol::PolicyId(1);
    world.call(CREATORS[0], encompute_protocol::call::SendFeatures { job, policy, features }).unwrap();
    world.call(CREATORS[0], encompute_protocol::call::CommitResult { job, result }).unwrap();
    world.call(CREATORS[0], encompute_protocol::call::AcceptResult { job }).unwrap();
    world.call(CREATORS[0], RateJob { job, rating: rating(5) }).unwrap();
    let weight = world.market.model(world.terms(job).model).unwrap().ratings.fees;
    let fee = world.market.credit(TREASURY).checked_sub(treasury).unwrap();
    assert!(fee >= weight.share_floor(params().protocol_fee).unwrap());
}
