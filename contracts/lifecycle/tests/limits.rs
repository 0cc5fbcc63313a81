//! At the edges: two who want the same in one block, blocks that jump, amounts next to nothing and next to too much.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{Ledger, ReadState, Refusal, price};
use encompute_protocol::{
    BasisPoints, CostUnits, Mode, ModelId, Params, Plancks, SplitIndex, Stage, TailDigest, VersionHash, VersionId,
    call::*,
};
use world::*;

/// Stages in which somebody must act.
const OPEN: [Stage; 5] =
    [Stage::Requested, Stage::Claimed, Stage::HeadCommitted, Stage::FeaturesSent, Stage::ResultCommitted];

fn books_balance(world: &World) {
    let ledger = Ledger::replay(world.market.events()).unwrap();
    assert_eq!(ledger.imbalances().count(), 0);
    assert_eq!((ledger.totals(), ledger.balance()), (Ok(world.market.totals()), Ok(world.market.balance())));
}

#[test]
fn of_two_claims_in_one_block_the_first_holds_and_the_second_loses_nothing() {
    let mut world = World::new();
    let job = world.requested();
    world.claim(0, job).unwrap();
    let before = world.worker(1);
    let wrong = Refusal::WrongStage { found: Stage::Claimed, wanted: Stage::Requested };
    assert_eq!(world.claim(1, job), Err(wrong));
    assert_eq!(world.claim(0, job), Err(wrong), "not the same worker twice either");
    assert_eq!((world.worker(1), world.worker(0).in_flight), (before, 1));
}

#[test]
fn of_two_ends_in_one_block_the_first_pays_and_the_second_is_refused() {
    for (first, second) in [(USERS[0], STRANGER), (STRANGER, USERS[0])] {
        let mut world = World::new();
        let job = world.answered();
        world.past_deadline(job);
        let end = |world: &mut World, caller| match caller {
            STRANGER => world.call(caller, PokeJob { job }),
            _ => world.call(caller, AcceptResult { job }),
        };
        end(&mut world, first).unwrap();
        let credits = world.market.totals().credits;
        assert_eq!(end(&mut world, second), Err(Refusal::JobEnded { found: Stage::Settled }));
        assert_eq!(world.market.totals().credits, credits);
        books_balance(&world);
    }
}

#[test]
fn a_jump_over_every_window_at_once_skips_no_stage_and_leaves_every_job_an_exit() {
    for stage in STAGES.into_iter().filter(|stage| !stage.is_terminal()) {
        let mut world = World::new();
        let job = world.at_stage(stage);
        // Two hundred years of six-second blocks.
        world.block += 1_000_000_000;
        let before = world.market.events().len();
        world.call(STRANGER, PokeJob { job }).unwrap();
        let moved = world.market.events()[before..].iter();
        let edges = moved.filter(|(_, event)| event.name() == "JobStageChanged").count();
        assert_eq!(edges, 1, "{stage:?}: one poke, one edge");
        for _ in 0..4 {
            if !world.progress(job).stage.is_terminal() {
                world.past_deadline(job);
                world.call(STRANGER, PokeJob { job }).unwrap();
            }
        }
        assert!(world.progress(job).stage.is_terminal(), "{stage:?}");
        books_balance(&world);
    }
}

/// A market whose first split costs as told, with bonds and stakes for it.
fn priced(params: Params, cost: u32, tail_fee: Plancks) -> Option<(World, VersionId)> {
    let mut world = World::new();
    world.govern(params);
    let (creator, model) = (CREATORS[0], ModelId(1));
    let split = SplitOffer {
        mode: Mode::Rounds,
        head: encompute_protocol::HeadDigest([1; 32]),
        tail: TailDigest([7; 32]),
        cost: CostUnits(cost),
        tail_fee,
        policies: 1,
    };
    let manifest = VersionHash(world.digest().0);
    let version = world.call(creator, PublishVersion { model, manifest, splits: vec![split] }).unwrap();
    world.call(creator, ActivateVersion { version }).unwrap();
    let record = world.market.split(version, SplitIndex(0)).unwrap();
    let price = price::Price::of(&world.market.params(), &record, Plancks::ZERO).ok()?;
    world.pay(creator, price.job_bond, AddBond { model }).unwrap();
    world.pay(WORKERS[0], price.job_stake, AddStake {}).unwrap();
    Some((world, version))
}

/// A job of a priced market at a stage, then poked until it ends.
fn ended(world: &mut World, version: VersionId, stage: Stage) {
    let mut message = world.request_message(version, SplitIndex(0));
    message.tip = Plancks::ZERO;
    let job = world.send_request(USERS[0], message).unwrap();
    for at in OPEN.into_iter().take_while(|at| *at != stage) {
        world.act(job, at, 0).unwrap();
    }
    for _ in 0..6 {
        if !world.progress(job).stage.is_terminal() {
            world.past_deadline(job);
            world.call(STRANGER, PokeJob { job }).unwrap();
        }
    }
    assert!(world.progress(job).stage.is_terminal(), "{stage:?}");
}

#[test]
fn a_job_of_one_planck_ends_every_way_and_nobody_is_credited_nothing() {
    let least = Params {
        head_fee_base: Plancks(1),
        head_fee_per_unit: Plancks::ZERO,
        job_stake_floor: Plancks::ZERO,
        protocol_fee: BasisPoints(0),
        bond_margin: BasisPoints(0),
        ..params()
    };
    for stage in OPEN {
        let (mut world, version) = priced(least, 0, Plancks::ZERO).unwrap();
        ended(&mut world, version, stage);
        let nothing = world.market.events().iter().find(|(_, event)| {
            matches!(event, encompute_protocol::event::Event::Credited(credited) if credited.amount.is_zero())
        });
        assert_eq!(nothing, None, "{stage:?}");
        books_balance(&world);
    }
}

#[test]
fn the_dearest_job_that_can_be_priced_ends_every_way_and_a_dearer_one_is_refused_at_the_request() {
    let dearest = Params {
        head_fee_base: price::LARGEST_PRICE,
        head_fee_per_unit: Plancks::ZERO,
        job_stake_floor: price::LARGEST_PRICE,
        protocol_fee: Params::PROTOCOL_FEE_CAP,
        bond_margin: BasisPoints(10_000),
        retry_slash: BasisPoints(10_000),
        fail_slash: BasisPoints(10_000),
        stop_fee: BasisPoints(10_000),
        ..params()
    };
    for stage in OPEN {
        // Three claims and three slashes of everything take three stakes.
        let (mut world, version) = priced(dearest, u32::MAX, price::LARGEST_PRICE).unwrap();
        let stake = Plancks(4 * price::LARGEST_PRICE.0);
        world.pay(WORKERS[0], stake, AddStake {}).unwrap();
        ended(&mut world, version, stage);
        books_balance(&world);
    }
    let beyond = Params { head_fee_per_unit: price::LARGEST_PRICE, ..dearest };
    assert!(priced(beyond, u32::MAX, price::LARGEST_PRICE).is_none(), "its price would overflow");
}
