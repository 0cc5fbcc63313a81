//! Sessions on the chain's runtime: the contract says what the rules say, and a thousand jobs take two transactions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use encompute_contract_tests::{
    Chain,
    world::{sessions::*, *},
};
use encompute_lifecycle::{Memory, ReadState, Software};
use encompute_protocol::{
    Plancks, SessionStage, VersionId,
    call::*,
    session::{
        SessionOutcome,
        tree::{path, root_by},
    },
};

#[test]
fn sessions_that_end_in_every_way_end_on_the_chain_as_in_the_rules() {
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    // Paid for whole; ended by agreement; by a higher voucher; by nobody.
    let whole = world.opened(4);
    world.show(USERS[0], whole, (4, 0, 0)).unwrap();
    let agreed = world.opened(9);
    world.agree(agreed, (2, 1, 1)).unwrap();
    let fought = world.opened(10);
    let forgotten = world.opened(3);
    world.show(USERS[0], fought, (1, 0, 0)).unwrap();
    world.show(WORKERS[0], fought, (5, 1, 0)).unwrap();
    world.show(USERS[0], fought, (4, 0, 0)).unwrap_err();
    world.call(STRANGER, PokeSession { session: fought }).unwrap_err();
    world.past_session(fought);
    world.show(CREATORS[0], fought, (9, 0, 0)).unwrap_err();
    world.call(STRANGER, PokeSession { session: fought }).unwrap();
    world.past_session(forgotten);
    world.call(STRANGER, PokeSession { session: forgotten }).unwrap();
    world.settled();
    let done = chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    assert!(done > 30, "{done} calls");
    assert!(world.sessions().all(|id| world.session(id).stage == SessionStage::Closed));
    let report = chain.audit();
    assert!(report.balanced, "{report:#?}");
}

#[test]
fn a_thousand_jobs_take_two_transactions_and_each_is_provable() {
    const JOBS: u32 = 1_000;
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    world.call(CREATORS[0], TakeSessions { version: VersionId(1), jobs: JOBS }).unwrap();
    let mut rules = Memory::new(GOVERNOR, params(), Software).unwrap();
    chain.go_on(&mut rules, &world, 0).unwrap_or_else(|difference| panic!("{difference:#?}"));
    let (from, weighed, held) = (world.calls.len(), chain.weighed(), chain.held());

    let message = world.session_message(0, USERS[0], JOBS);
    let session = world.pay(USERS[0], world.session_escrow(JOBS), message).unwrap();
    let jobs = leaves(session, JOBS, 0, 0);
    let signed = world.voucher(session, &jobs);
    world.call(USERS[0], CloseSession { signed, agreed: None }).unwrap();
    chain.follow(&mut rules, &world, from).unwrap_or_else(|difference| panic!("{difference:#?}"));
    let (weight, held) = (chain.weighed() - weighed, chain.held().0.saturating_sub(held.0));
    assert_eq!(world.calls.len() - from, 2, "two transactions");
    chain.go_on(&mut rules, &world, world.calls.len()).unwrap_or_else(|difference| panic!("{difference:#?}"));

    let record = chain.read(&ReadSession { session }).unwrap();
    assert_eq!((record.stage, record.done, record.heads, record.tails), (SessionStage::Closed, JOBS, JOBS, JOBS));
    let way = path(&jobs, 637).unwrap();
    assert_eq!(root_by(&jobs[637], 637, record.done, &way), Some(record.root));
    let other = leaf(session, 637, SessionOutcome::Refunded);
    assert_ne!(root_by(&other, 637, record.done, &way), Some(record.root));
    assert_eq!(world.market.credit(PAYOUTS[0]), Plancks(u128::from(JOBS) * HEAD));
    println!(
        "{JOBS} jobs: {:.1} µs of reference time each, {} plancks held for each, a path of {} hashes",
        weight as f64 / 1e6 / f64::from(JOBS),
        held / u128::from(JOBS),
        way.len(),
    );
}
