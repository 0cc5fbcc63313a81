//! Pruning on the chain's runtime: whose deposit the platform pays, to the planck.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_contract_tests::{Chain, world::*};
use encompute_devchain::runtime::{DEPOSIT_PER_BYTE, DEPOSIT_PER_CONTRACT_ITEM};
use encompute_lifecycle::{ReadState, Refusal};
use encompute_protocol::{Address, JobId, Params, Plancks, Rating, RatingReason, StoragePrice, call::*};

/// The platform gives shares of what it holds, rounded down: one planck for items, one for bytes.
const ROUNDED: u128 = 2;

/// A rated job that may be pruned, at the chain's own price of storage.
fn long_over() -> (Chain, World, JobId) {
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    let storage = StoragePrice { item: Plancks(DEPOSIT_PER_CONTRACT_ITEM), byte: Plancks(DEPOSIT_PER_BYTE) };
    world.govern(Params { storage, ..params() });
    let job = world.settled();
    world.call(USERS[0], RateJob { job, rating: Rating { grade: 4, why: RatingReason::Price } }).unwrap();
    world.past_keeping(job);
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    chain.at_block(world.block);
    (chain, world, job)
}

/// What the caller has after pruning, less what it had before.
fn gained(chain: &mut Chain, caller: Address, value: Plancks, job: JobId) -> i128 {
    let before = chain.free(caller).0 as i128;
    assert_eq!(chain.call(caller, value, &PruneJob { job }), Ok(()));
    chain.free(caller).0 as i128 - before
}

#[test]
fn a_stranger_who_prunes_neither_gains_nor_loses() {
    let (mut chain, world, job) = long_over();
    let value = world.owed_for_pruning(STRANGER, job).unwrap();
    let credit = chain.read(&ReadCredit { account: USERS[0] });
    let gained = gained(&mut chain, STRANGER, value, job);
    // The worker's 128 bytes are not worth a credit: they are left to who prunes.
    let left = (128 * DEPOSIT_PER_BYTE) as i128;
    assert!((left - ROUNDED as i128..=left).contains(&gained), "{gained}");
    let returned = chain.read(&ReadCredit { account: USERS[0] }).0 - credit.0;
    assert!(returned > 3 * DEPOSIT_PER_CONTRACT_ITEM / 2, "{returned}");
    assert!(chain.audit().balanced);
}

#[test]
fn a_user_who_prunes_has_the_deposit_of_its_records_from_the_platform() {
    let (mut chain, world, job) = long_over();
    let value = world.owed_for_pruning(USERS[0], job).unwrap();
    let all = world.owed_for_pruning(STRANGER, job).unwrap().0 - value.0;
    let gained = gained(&mut chain, USERS[0], value, job);
    // What a stranger would have sent it, and the item of a credit that it needs not.
    let wanted = (all + DEPOSIT_PER_CONTRACT_ITEM + 56 * DEPOSIT_PER_BYTE + 128 * DEPOSIT_PER_BYTE) as i128;
    assert!((wanted - ROUNDED as i128..=wanted).contains(&gained), "{gained} of {wanted}");
}

#[test]
fn what_is_left_of_a_pruned_job_is_an_item_of_thirty_six_bytes() {
    let (mut chain, mut world, job) = long_over();
    let before = chain.item_bytes();
    let value = world.owed_for_pruning(STRANGER, job).unwrap();
    chain.call(STRANGER, value, &PruneJob { job }).unwrap();
    let after = chain.item_bytes();
    // Terms, progress and rating went; digest and the user's credit came.
    assert_eq!(after.len() + 1, before.len());
    assert!(after.iter().sum::<usize>() + 300 < before.iter().sum::<usize>());
    world.prune(STRANGER, job).unwrap();
    assert_eq!(chain.read(&ReadPrunedJob { job }), world.market.pruned(job));
    assert_eq!(chain.read(&ReadJob { job }), None);
    let again = chain.call(STRANGER, Plancks::ZERO, &PruneJob { job });
    assert_eq!(again, Err(Refusal::JobPruned { job }));
}

#[test]
fn a_user_has_the_deposit_of_a_sessions_record_back_whoever_prunes_it() {
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    let storage = StoragePrice { item: Plancks(DEPOSIT_PER_CONTRACT_ITEM), byte: Plancks(DEPOSIT_PER_BYTE) };
    world.govern(Params { storage, ..params() });
    let session = world.opened(4);
    world.show(WORKERS[0], session, (2, 1, 0)).unwrap();
    world.past_session(session);
    world.call(STRANGER, PokeSession { session }).unwrap();
    world.past_keeping(session.first());
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    chain.at_block(world.block);
    let job = session.first();
    let value = world.owed_for_pruning(STRANGER, job).unwrap();
    assert!(value.0 > 100 * DEPOSIT_PER_BYTE, "{value}");
    let items = chain.item_bytes();
    let credit = chain.read(&ReadCredit { account: USERS[0] });
    let gained = gained(&mut chain, STRANGER, value, job);
    assert!((-(ROUNDED as i128)..=0).contains(&gained), "who prunes neither gains nor loses: {gained}");
    assert_eq!(chain.read(&ReadCredit { account: USERS[0] }).0 - credit.0, value.0);
    // The record went, its digest came.
    assert_eq!(chain.item_bytes().len(), items.len());
    assert_eq!(chain.read(&ReadSession { session }), None);
    world.prune(STRANGER, job).unwrap();
    assert_eq!(chain.read(&ReadPrunedJob { job }), world.market.pruned(job));
    let again = chain.call(STRANGER, Plancks::ZERO, &PokeSession { session });
    assert_eq!(again, Err(Refusal::SessionPruned { session }));
    assert!(chain.audit().balanced);
}
