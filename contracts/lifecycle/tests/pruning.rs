//! Invariant 21: what is removed of a job that is over, who gets its deposit, what stays.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{Ledger, ReadState, Refusal, ledger::LedgerError, prune::kept_until};
use encompute_protocol::{
    Address, BlockNumber, JobRecords, Plancks, PolicyId, Rating, RatingReason, SessionRecords, SplitIndex, Stage,
    VersionId,
    call::{AcceptResult, CommitResult, PokeJob, PokeSession, PruneJob, RateJob, SendFeatures, WithdrawCredit},
};
use world::*;

/// What the platform holds for an item with a job's number for a key, by the world's prices.
const fn item(value_bytes: u128) -> u128 {
    101 + 3 * (28 + value_bytes)
}
/// So has a session's record.
const SESSION: u128 = 20 + 4 + 4 + 1 + 1 + 20 + 20 + 4 + 4 * 16 + 2 + 4 + 4 + 1 + 4 + 3 * 4 + 32 + 4;
/// Terms without a sponsor.
const TERMS: u128 = 202;
/// Four digests are the worker's, one the creator's.
const WORKER: u128 = 3 * 128;
const CREATOR: u128 = 3 * 32;
/// What is the user's of a settled job's records.
const USER: u128 = item(TERMS) + item(SETTLED) - KEPT - WORKER - CREATOR;
/// The digest that stays, and the block.
const KEPT: u128 = item(36);
/// A credit's item.
const CREDIT: u128 = 101 + 3 * (40 + 16);
/// Progress of a settled job: seven options that are some, one that is none.
const SETTLED: u128 = 1 + 1 + 4 + 1 + 21 + 16 + 4 + 33 + 4 + 33 + 33 + 4 + 33 + 33 + 1 + 4 + 2 + 4 + 33;

#[test]
fn a_stranger_who_prunes_gives_everybody_back_what_he_paid() {
    let mut world = World::new();
    let job = world.settled();
    world.past_keeping(job);
    // The creator has a credit, of its tail fee; user and worker, whose fee is another account's, get their first.
    let (user, worker) = (USER - CREDIT, WORKER - CREDIT);
    let found = Plancks(user + worker + CREATOR - 1);
    let wanted = Plancks(found.0 + 1);
    assert_eq!(world.pay(STRANGER, found, PruneJob { job }), Err(Refusal::StorageMismatch { found, wanted }));
    let before = world.market.balance();
    let gained = world.credits_of(|world| world.pay(STRANGER, wanted, PruneJob { job }).unwrap());
    assert_eq!(gained, [(USERS[0], user), (CREATORS[0], CREATOR), (WORKERS[0], worker)]);
    assert_eq!(world.market.balance().0 - before.0, wanted.0);
}

#[test]
fn who_paid_for_the_records_and_prunes_sends_only_what_others_paid() {
    for (caller, own) in [(USERS[0], USER - CREDIT), (WORKERS[0], WORKER - CREDIT), (CREATORS[0], CREATOR)] {
        let mut world = World::new();
        let job = world.settled();
        world.past_keeping(job);
        let others = USER - CREDIT + WORKER - CREDIT + CREATOR - own;
        let gained = world.credits_of(|world| world.pay(caller, Plancks(others), PruneJob { job }).unwrap());
        assert!(gained.iter().all(|(account, _)| *account != caller), "the platform pays the caller: {gained:?}");
        assert_eq!(gained.iter().map(|(_, amount)| amount).sum::<u128>(), others);
    }
}

#[test]
fn a_creator_who_bought_from_itself_is_one_account_with_one_credit() {
    let mut world = World::new();
    let message = world.request_message(VersionId(1), SplitIndex(0));
    let job = world.send_request(CREATORS[0], message).unwrap();
    world.act(job, Stage::Requested, 0).unwrap();
    world.act(job, Stage::Claimed, 0).unwrap();
    let (features, result) = (world.digest(), world.digest());
    world.call(CREATORS[0], SendFeatures { job, policy: PolicyId(1), features }).unwrap();
    world.call(CREATORS[0], CommitResult { job, result }).unwrap();
    world.call(CREATORS[0], AcceptResult { job }).unwrap();
    world.call(CREATORS[0], WithdrawCredit { to: None }).unwrap();
    world.past_keeping(job);
    let (creator, worker) = (USER + CREATOR - CREDIT, WORKER - CREDIT);
    let value = Plancks(creator + worker);
    let gained = world.credits_of(|world| world.pay(STRANGER, value, PruneJob { job }).unwrap());
    assert_eq!(gained, [(CREATORS[0], creator), (WORKERS[0], worker)]);
}

#[test]
fn the_records_of_a_job_that_a_sponsor_paid_for_are_the_users_whose_call_wrote_them() {
    let mut world = World::sponsored();
    let job = world.settled();
    world.past_keeping(job);
    // The sponsor's address is in the terms.
    let (user, worker) = (USER + 3 * 20 - CREDIT, WORKER - CREDIT);
    let value = Plancks(user + worker + CREATOR);
    let gained = world.credits_of(|world| world.pay(STRANGER, value, PruneJob { job }).unwrap());
    assert_eq!(gained, [(USERS[0], user), (CREATORS[0], CREATOR), (WORKERS[0], worker)]);
}

#[test]
fn a_rating_goes_with_the_job_and_its_deposit_to_the_user() {
    let mut world = World::new();
    let (rated, other) = (world.settled(), world.settled());
    world.call(USERS[0], RateJob { job: rated, rating: Rating { grade: 3, why: RatingReason::Time } }).unwrap();
    world.past_keeping(rated);
    let more = world.owed_for_pruning(STRANGER, rated).unwrap().0 - world.owed_for_pruning(STRANGER, other).unwrap().0;
    assert_eq!(more, item(2));
    world.prune(STRANGER, rated).unwrap();
    assert_eq!(world.market.rating(rated), None);
    assert_eq!(world.market.model(world.terms(other).model).unwrap().ratings.count, 1, "the mean stays");
    let late = world.call(USERS[0], RateJob { job: rated, rating: Rating { grade: 3, why: RatingReason::Time } });
    assert_eq!(late, Err(Refusal::JobPruned { job: rated }));
}

#[test]
fn nobody_prunes_a_job_that_runs_or_before_it_was_over_for_as_long_as_it_could_have_lived() {
    for stage in STAGES.into_iter().filter(|stage| !stage.is_terminal()) {
        let mut world = World::new();
        let job = world.at_stage(stage);
        world.block += 50_000;
        assert_eq!(world.prune(STRANGER, job), Err(Refusal::JobRunning { found: stage }));
    }
    for stage in [Stage::Settled, Stage::Failed, Stage::Cancelled] {
        let mut world = World::new();
        let job = world.at_stage(stage);
        let until = kept_until(&world.terms(job), &world.progress(job));
        world.block = until.0;
        assert_eq!(world.prune(USERS[0], job), Err(Refusal::KeptUntil { until, block: until }));
        world.block += 1;
        world.prune(USERS[0], job).unwrap();
        assert_eq!(world.prune(USERS[0], job), Err(Refusal::JobPruned { job }));
        assert_eq!(world.call(STRANGER, PokeJob { job }), Err(Refusal::JobPruned { job }));
    }
}

#[test]
fn a_pruned_job_leaves_its_digest_its_input_and_books_that_events_alone_rebuild() {
    let mut world = World::new();
    let mut message = world.request_message(VersionId(1), SplitIndex(0));
    message.offer = Some(world.offer(0, USERS[0], &message));
    let job = world.send_request(USERS[0], message.clone()).unwrap();
    world.past_deadline(job);
    world.call(USERS[0], encompute_protocol::call::CancelJob { job }).unwrap();
    let (terms, progress) = (world.terms(job), world.progress(job));
    world.past_keeping(job);
    world.prune(STRANGER, job).unwrap();
    assert_eq!((world.market.job_terms(job), world.market.job_progress(job)), (None, None));
    let record = world.market.pruned(job).unwrap();
    let records = JobRecords { genesis: GENESIS, contract: CONTRACT, job, terms, progress };
    assert_eq!((record.digest, record.pruned_at.0), (records.records_digest(), world.block));
    assert_eq!(world.send_request(USERS[0], message), Err(Refusal::InputUsed { job }));
    let ledger = Ledger::replay(world.market.events()).unwrap();
    assert_eq!(ledger.imbalances().count(), 0);
    assert_eq!((ledger.totals(), ledger.balance()), (Ok(world.market.totals()), Ok(world.market.balance())));
    assert!(ledger.jobs[&job].pruned.is_some_and(|returned| !returned.is_zero()));
}

#[test]
fn a_platform_that_takes_nothing_for_storage_gives_nothing_back() {
    let mut world = World::new();
    let mut params = params();
    params.storage = Default::default();
    world.govern(params);
    let job = world.settled();
    world.past_keeping(job);
    let gained = world.credits_of(|world| world.pay(STRANGER, Plancks::ZERO, PruneJob { job }).unwrap());
    assert_eq!(gained, [] as [(Address, u128); 0]);
}

#[test]
fn the_record_of_a_session_that_is_long_over_goes_and_its_deposit_is_its_users() {
    let mut world = World::new();
    let session = world.opened(3);
    let job = session.first();
    assert_eq!(world.prune(STRANGER, job), Err(Refusal::SessionRunning { session }));
    world.show(WORKERS[0], session, (1, 1, 0)).unwrap();
    assert_eq!(world.prune(STRANGER, job), Err(Refusal::SessionRunning { session }));
    world.past_session(session);
    world.call(STRANGER, PokeSession { session }).unwrap();
    let record = world.session(session);
    let until = BlockNumber(world.block + (record.deadline.0 - record.opened_at.0) + record.challenge.0);
    world.block = until.0;
    assert_eq!(world.prune(USERS[0], job), Err(Refusal::KeptUntil { until, block: until }));
    world.block += 1;
    // The user has a credit, of what came back.
    let (found, wanted) = (Plancks(item(SESSION) - KEPT - 1), Plancks(item(SESSION) - KEPT));
    assert_eq!(world.pay(STRANGER, found, PruneJob { job }), Err(Refusal::StorageMismatch { found, wanted }));
    let mut by_user = world.clone();
    let gained = by_user.credits_of(|world| world.pay(USERS[0], Plancks::ZERO, PruneJob { job }).unwrap());
    assert_eq!(gained, [], "the platform pays the caller");
    let gained = world.credits_of(|world| world.pay(STRANGER, wanted, PruneJob { job }).unwrap());
    assert_eq!(gained, [(USERS[0], wanted.0)]);
    let left = world.market.pruned(job).unwrap();
    let records = SessionRecords { genesis: GENESIS, contract: CONTRACT, session, record };
    assert_eq!((left.digest, left.pruned_at.0), (records.records_digest(), world.block));
    assert_eq!(world.market.session(session), None);
    assert_eq!(world.prune(STRANGER, job), Err(Refusal::JobPruned { job }));
    assert_eq!(world.call(STRANGER, PokeSession { session }), Err(Refusal::SessionPruned { session }));
    assert_eq!(world.show(WORKERS[0], session, (2, 1, 0)), Err(Refusal::SessionPruned { session }));
    // Another job of the session has no records of its own.
    let second = session.job(1).unwrap();
    assert_eq!(world.prune(STRANGER, second), Err(Refusal::UnknownJob { job: second }));
    let ledger = Ledger::replay(world.market.events()).unwrap();
    assert_eq!(ledger.imbalances().count() + ledger.session_imbalances().count(), 0);
    assert_eq!((ledger.totals(), ledger.balance()), (Ok(world.market.totals()), Ok(world.market.balance())));
}

#[test]
fn the_books_refuse_a_session_that_is_pruned_before_its_end_or_twice() {
    let mut world = World::new();
    let session = world.opened(3);
    let open = world.market.events().to_vec();
    world.past_session(session);
    world.call(STRANGER, PokeSession { session }).unwrap();
    world.past_keeping(session.first());
    world.prune(USERS[0], session.first()).unwrap();
    let all = world.market.events().to_vec();
    let pruned = all.last().unwrap().clone();
    for (mut events, last) in [(open, pruned.clone()), (all, pruned)] {
        events.push((events.last().unwrap().0, last.1));
        let at = events.len() - 1;
        assert_eq!(Ledger::replay(&events).err(), Some((at, LedgerError::Session(session))));
    }
}
