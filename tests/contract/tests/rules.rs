//! The contract does what the rules say, call for call.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_contract_tests::{
    Chain, everything,
    world::{random::step, *},
};
use encompute_devchain::runtime::EXISTENTIAL_DEPOSIT;
use encompute_lifecycle::{ReadState, Refusal};
use encompute_protocol::{
    Address, JobId, ModelId, Plancks, Text,
    call::{
        AddBond, AllowMeasurement, AskBond, BeginRegistration, CancelJob, ClaimJob, ListModel, MESSAGES, ReadCredit,
        WithdrawCredit,
    },
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::collections::BTreeSet;

/// Random sequences and their length; the seeds are fixed, so that a failure comes back.
const SEQUENCES: u8 = 24;
const STEPS: usize = 80;

#[test]
fn a_contract_and_the_rules_agree_on_random_calls_event_for_event_and_planck_for_planck() {
    let mut chain = Chain::new();
    let mut done = 0;
    for seed in 0..SEQUENCES {
        let mut runner =
            TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]));
        let mut world = World::at_contract(chain.contract());
        for _ in 0..STEPS {
            world.take(&step().new_tree(&mut runner).unwrap().current());
        }
        done += chain.repeat(&world).unwrap_or_else(|difference| panic!("seed {seed}: {difference:#?}"));
        chain = Chain::new();
    }
    assert!(done > 600, "only {done} calls did something");
}

#[test]
fn every_message_that_changes_something_is_reached_and_does_what_the_rules_say() {
    let mut chain = Chain::new();
    let world = everything(chain.contract());
    let called: BTreeSet<&str> = world.calls.iter().map(|(_, command)| command.name()).collect();
    let missing: Vec<_> =
        MESSAGES.iter().filter(|(name, selector, _)| selector.0[3] < 0x80 && !called.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
}

#[test]
fn no_storage_item_is_longer_than_the_platform_allows() {
    let mut chain = Chain::new();
    let mut world = everything(chain.contract());
    world.call(CREATORS[0], AskBond { model: ModelId(1), amount: Plancks(1) }).unwrap();
    let name = Text::new("n".repeat(64)).unwrap();
    world.pay(USERS[0], Plancks(60_000), ListModel { name }).unwrap();
    world.call(WORKERS[0], BeginRegistration {}).unwrap();
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    let lengths = chain.item_bytes();
    assert!(lengths.len() > 60, "{} items", lengths.len());
    let longest = lengths.into_iter().max().unwrap();
    assert!(longest <= encompute_protocol::market::STORAGE_ITEM_LIMIT_BYTES, "{longest} bytes");
}

#[test]
fn a_withdrawal_reaches_the_account_that_it_names() {
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    let job = world.requested();
    world.call(USERS[0], CancelJob { job }).unwrap();
    let owed = world.market.credit(USERS[0]);
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    let before = chain.free(STRANGER);
    let paid = chain.call(USERS[0], Plancks::ZERO, &WithdrawCredit { to: Some(STRANGER) });
    assert_eq!(paid, Ok(owed));
    assert_eq!(chain.free(STRANGER).0 - before.0, owed.0);
    assert_eq!(chain.read(&ReadCredit { account: USERS[0] }), Plancks::ZERO);
}

#[test]
fn a_call_that_the_platform_stops_or_the_rules_refuse_takes_no_money() {
    let mut chain = Chain::new();
    let user: Address = USERS[0];
    let before = chain.free(user);
    let refused = chain.call(user, Plancks(5), &AddBond { model: ModelId(9) });
    assert_eq!(refused, Err(Refusal::UnknownModel { model: ModelId(9) }));
    let refused = chain.call(user, Plancks::ZERO, &ClaimJob { job: JobId(1) });
    assert!(refused.is_err());
    assert_eq!(chain.free(user), before);
    let measurement = MEASUREMENTS[0];
    assert!(chain.call(user, Plancks::ZERO, &AllowMeasurement { measurement }).is_err());
}

#[test]
fn a_payee_who_does_not_take_the_money_undoes_the_withdrawal() {
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    let job = world.requested();
    world.call(USERS[0], CancelJob { job }).unwrap();
    let owed = world.market.credit(USERS[0]);
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    let to = chain.somebody_who_takes_nothing();
    let before = chain.balance();
    let refused = chain.call(USERS[0], Plancks::ZERO, &WithdrawCredit { to: Some(to) });
    assert_eq!(refused, Err(Refusal::PaymentFailed { to }));
    assert_eq!(chain.read(&ReadCredit { account: USERS[0] }), owed);
    assert_eq!(chain.balance(), before);
}

#[test]
fn a_payee_who_does_not_exist_yet_comes_into_being() {
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    let job = world.requested();
    world.call(USERS[0], CancelJob { job }).unwrap();
    let owed = world.market.credit(USERS[0]);
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    let nobody = Address([0x77; 20]);
    let (before, paid) = (chain.free(USERS[0]), chain.balance());
    assert_eq!(chain.call(USERS[0], Plancks::ZERO, &WithdrawCredit { to: Some(nobody) }), Ok(owed));
    assert_eq!(paid.0 - chain.balance().0, owed.0, "the contract pays the credit and nothing else");
    // What keeps the new account alive is the caller's, not the market's.
    assert_eq!(chain.free(nobody).0, owed.0 + EXISTENTIAL_DEPOSIT);
    let charged = before.0 - chain.free(USERS[0]).0;
    assert!(charged > 0 && charged < EXISTENTIAL_DEPOSIT, "less only what the removed credit gave back: {charged}");
}
