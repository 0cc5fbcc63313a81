//! Invariant 20. An upgrade is another contract beside the old one: what began under the old rules ends by them.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_contract_tests::{Chain, world::*};
use encompute_lifecycle::{Memory, Refusal, Software};
use encompute_protocol::{Plancks, SplitIndex, Stage, VersionId, call::*};

fn balanced(chain: &mut Chain) {
    let report = chain.audit();
    assert!(report.balanced, "{report:#?}");
    assert_eq!(report.totals["surplus"], "0");
}

#[test]
fn invariant_20_jobs_of_a_market_that_is_succeeded_end_by_its_own_rules_and_nothing_is_left_in_it() {
    let mut chain = Chain::new();
    let old = chain.contract();
    let mut world = World::at_contract(old);
    let open = STAGES.into_iter().filter(|stage| !stage.is_terminal());
    let jobs: Vec<_> = open.map(|stage| (stage, world.at_stage(stage))).collect();
    let message = world.request_message(VersionId(1), SplitIndex(0));
    world.call(GOVERNOR, SetPaused { paused: true }).unwrap();
    assert_eq!(world.send_request(USERS[0], message), Err(Refusal::Paused));
    let mut rules = Memory::new(GOVERNOR, params(), Software).unwrap();
    chain.go_on(&mut rules, &world, 0).unwrap_or_else(|difference| panic!("{difference:#?}"));
    let before = world.calls.len();

    let new = chain.another();
    chain.turn_to(new);
    let mut next = World::since(new, world.block);
    next.settled();
    chain.repeat(&next).unwrap_or_else(|difference| panic!("{difference:#?}"));
    balanced(&mut chain);

    chain.turn_to(old);
    world.block = next.block;
    for (stage, job) in &jobs {
        // Everybody who is on time goes on, and is paid; the rest is poked.
        let first = STAGES.iter().position(|found| found == stage).unwrap();
        for at in STAGES.into_iter().take(5).skip(first) {
            if world.block <= world.progress(*job).deadline.0 {
                world.act(*job, at, 0).unwrap_or_else(|refusal| panic!("{at:?}: {refusal}"));
            }
        }
        while !world.progress(*job).stage.is_terminal() {
            world.block = world.block.max(world.progress(*job).deadline.0 + 1);
            world.call(STRANGER, PokeJob { job: *job }).unwrap();
        }
    }
    let settled = jobs.iter().filter(|(_, job)| world.progress(*job).stage == Stage::Settled).count();
    // The one that nobody had claimed was drawn for too late.
    assert!(settled >= 3, "{settled} settled");
    world.everybody_leaves();
    chain.go_on(&mut rules, &world, before).unwrap_or_else(|difference| panic!("{difference:#?}"));
    balanced(&mut chain);
    assert_eq!((world.market.balance(), chain.balance()), (Plancks::ZERO, Plancks::ZERO));

    chain.turn_to(new);
    balanced(&mut chain);
    assert!(chain.balance() > Plancks::ZERO, "the new market is as it was");
}
