//! A job whose key its worker has in custody: who may act for the user, and who answers for what is not done.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{ReadState, ReceiptFacts, Refusal};
use encompute_protocol::{
    Plancks, PolicyId, Reason, SplitIndex, Stage,
    call::{AcceptResult, CancelJob, ClaimJob, CommitResult, PokeJob, RevokeVersion, SendFeatures},
};
use world::*;

const TIP_PAID: u128 = 13;
const ESCROW: u128 = HEAD + TAIL + PROTOCOL + TIP_PAID;
/// Twice the head fee, above the floor.
const STAKE: u128 = 3_406;

/// What a late worker pays: the fail slash, half of it to the user, a fifth to who pokes, the rest to the treasury.
fn late_for_good() -> Vec<(encompute_protocol::Address, u128)> {
    let slashed = STAKE * u128::from(params().fail_slash.0) / 10_000;
    let (user, poker) = (slashed / 2, slashed / 5);
    let mut lines = vec![(USERS[0], ESCROW + user), (STRANGER, poker), (TREASURY, slashed - user - poker)];
    lines.sort();
    lines
}

#[test]
fn the_worker_that_has_the_key_sends_the_features_and_the_job_settles_with_the_user_away_until_the_result() {
    let mut world = World::new();
    let job = world.entrusted_and_committed();
    world.sent_for_the_user(0, job).unwrap();
    let result = world.digest();
    world.call(CREATORS[0], CommitResult { job, result }).unwrap();
    let credits = world.credits_of(|world| world.call(USERS[0], AcceptResult { job }).unwrap());
    let mut paid = vec![(PAYOUTS[0], HEAD + TIP_PAID), (CREATORS[0], TAIL), (TREASURY, PROTOCOL)];
    paid.sort();
    assert_eq!(credits, paid, "as without custody");
}

#[test]
fn nobody_but_the_user_and_the_worker_that_has_the_key_sends_the_features() {
    let mut world = World::new();
    let job = world.entrusted_and_committed();
    for caller in [WORKERS[1], PAYOUTS[0], CREATORS[0], USERS[1], STRANGER] {
        let features = world.digest();
        let refused = world.call(caller, SendFeatures { job, policy: PolicyId(1), features });
        assert_eq!(refused, Err(Refusal::NotYourJob { caller, wanted: USERS[0] }));
    }
    let features = world.digest();
    world.call(USERS[0], SendFeatures { job, policy: PolicyId(1), features }).unwrap();
}

#[test]
fn a_worker_without_the_key_acts_for_nobody() {
    let mut world = World::new();
    let mut message = world.request_message(encompute_protocol::VersionId(1), SplitIndex(0));
    message.offer = Some(world.offer(0, USERS[0], &message));
    let job = world.send_request(USERS[0], message).unwrap();
    world.act(job, Stage::Claimed, 0).unwrap();
    assert!(!world.terms(job).custody);
    let refused = world.sent_for_the_user(0, job);
    assert_eq!(refused, Err(Refusal::NotYourJob { caller: WORKERS[0], wanted: USERS[0] }));
}

#[test]
fn an_offer_of_custody_that_was_signed_without_it_or_the_other_way_round_is_refused() {
    for said in [true, false] {
        let mut world = World::new();
        let mut message = world.request_message(encompute_protocol::VersionId(1), SplitIndex(0));
        let mut offer = match said {
            true => world.offer(0, USERS[0], &message),
            false => world.custody_offer(0, USERS[0], &message),
        };
        offer.offer.custody = said;
        message.offer = Some(offer);
        let refused = world.send_request(USERS[0], message);
        assert!(matches!(refused, Err(Refusal::WrongSigner { .. })), "{refused:?}");
    }
}

#[test]
fn the_receipt_says_custody() {
    let mut world = World::new();
    let (with, without) = (world.entrusted(), world.claimed());
    let said = |world: &World, job| {
        let facts = ReceiptFacts::read(&world.market, GENESIS, world.contract, job).unwrap();
        facts.receipt(Default::default(), encompute_protocol::BlockNumber(world.block)).custody
    };
    assert_eq!((said(&world, with), said(&world, without)), (true, false));
    // A commitment over the receipt without it recovers another key.
    let mut message = world.commitment(0, with);
    let facts = ReceiptFacts::read(&world.market, GENESIS, world.contract, with).unwrap();
    let receipt = facts.receipt(message.output, message.finished_at);
    message.signature = key(0).sign(&encompute_protocol::Receipt { custody: false, ..receipt });
    assert!(matches!(world.call(WORKERS[0], message), Err(Refusal::WrongSigner { .. })));
}

#[test]
fn a_late_claim_is_offered_to_nobody_else_for_nobody_else_has_the_key() {
    let mut world = World::new();
    let job = world.entrusted();
    world.past_deadline(job);
    let credits = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    assert_eq!(credits, late_for_good());
    let progress = world.progress(job);
    assert_eq!((progress.stage, progress.reason), (Stage::Failed, Some(Reason::WorkerTimeout)));
    assert!(world.call(WORKERS[1], ClaimJob { job }).is_err());
}

#[test]
fn features_that_the_worker_does_not_send_cost_the_worker_and_not_the_user_who_is_away() {
    let mut world = World::new();
    let job = world.entrusted_and_committed();
    let good = world.worker(0).reputation.good;
    world.past_deadline(job);
    assert!(matches!(world.sent_for_the_user(0, job), Err(Refusal::TooLate { .. })));
    let credits = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    assert_eq!(credits, late_for_good());
    let (progress, worker) = (world.progress(job), world.worker(0));
    assert_eq!((progress.stage, progress.reason), (Stage::Failed, Some(Reason::WorkerTimeout)));
    assert_eq!((worker.timeouts, worker.stake_locked, worker.in_flight), (1, Plancks::ZERO, 0));
    assert!(worker.reputation.good < good, "the head that led nowhere is no success");
}

#[test]
fn the_user_may_still_stop_and_a_revoked_version_gives_everything_back() {
    let mut world = World::new();
    let stopped = world.entrusted_and_committed();
    world.call(USERS[0], CancelJob { job: stopped }).unwrap();
    assert_eq!(world.progress(stopped).stage, Stage::Cancelled);
    let revoked = world.entrusted();
    world.call(CREATORS[0], RevokeVersion { version: encompute_protocol::VersionId(1) }).unwrap();
    let credits = world.credits_of(|world| world.call(STRANGER, PokeJob { job: revoked }).unwrap());
    assert_eq!(credits, [(USERS[0], ESCROW)]);
}

#[test]
fn a_split_without_a_tail_ends_with_its_head_in_custody_too() {
    let mut world = World::new();
    let job = world.entrusted_of(SplitIndex(1));
    world.act(job, Stage::Claimed, 0).unwrap();
    assert_eq!(world.sent_for_the_user(0, job), Err(Refusal::NoTail));
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
    assert_eq!(world.progress(job).stage, Stage::Settled);
    assert!(world.market.job_terms(job).unwrap().custody);
}
