//! The contract draws whom the rules draw, block for block, and a market of many workers costs it no more than fits.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_contract_tests::{
    Chain, Said,
    world::{claims::further, *},
};
use encompute_lifecycle::{Memory, Software};
use encompute_protocol::{
    Plancks, SplitIndex, VersionId,
    call::{Call, ClaimJob, PokeJob, ReadDraw},
};
use sp_core::U256;

/// As many as are looked at.
const MANY: u8 = 32;
/// What any message may take of a block's time, and a seventh of its proof: two items are read of each worker, and the
/// platform counts 12 KB for each.
const MOST_PICOSECONDS: u64 = 37_500_000_000;
const MOST_PROOF_BYTES: u64 = 1_500 * 1024;

#[test]
fn turns_are_those_of_the_rules_in_every_block_of_a_job_that_is_offered_three_times() {
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    let mut rules = Memory::new(GOVERNOR, params(), Software).unwrap();
    let job = world.requested();
    let mut from = 0;
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..3 {
        let deadline = world.progress(job).deadline.0;
        while world.block <= deadline {
            let drawn = world.turns(job).unwrap();
            for worker in WORKERS {
                // In its last block the window is everybody's: the claim is left to who was drawn first.
                let waits = world.block < drawn.first_of(worker).0 || world.block <= drawn.decides.0;
                if waits {
                    world.call(worker, ClaimJob { job }).unwrap_err();
                    refused += 1;
                }
            }
            chain.follow(&mut rules, &world, from).unwrap_or_else(|difference| panic!("{difference:#?}"));
            from = world.calls.len();
            chain.ask_draw(&rules, &world, job).unwrap();
            world.block += 1;
        }
        world.block = deadline;
        let first = world.turns(job).unwrap().turns[0].worker;
        world.call(first, ClaimJob { job }).unwrap();
        taken += 1;
        world.past_deadline(job);
        world.call(STRANGER, PokeJob { job }).unwrap();
    }
    chain.go_on(&mut rules, &world, from).unwrap_or_else(|difference| panic!("{difference:#?}"));
    assert!(refused > 60 && taken == 3, "{refused} were refused");
}

#[test]
fn a_claim_among_as_many_workers_as_are_looked_at_fits_well_into_a_block() {
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    for number in 1..=MANY - WORKERS.len() as u8 {
        world.joins(number, Plancks(40_000)).unwrap();
    }
    world.block += 1;
    let message = world.request_message(VersionId(1), SplitIndex(0));
    let job = world.send_request(USERS[0], message).unwrap();
    world.block += 2;
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    let draw = world.turns(job).unwrap();
    assert_eq!((world.progress(job).workers, draw.turns.len()), (MANY.into(), 3));
    let first = draw.turns[0].worker;
    assert!(WORKERS.contains(&first) || (1..MANY).any(|number| further(number) == first));
    let read = chain.send(STRANGER, U256::zero(), ReadDraw { job }.calldata());
    let claimed = chain.send(first, U256::zero(), ClaimJob { job }.calldata());
    for (name, outcome) in [("draw", read), ("claim_job", claimed)] {
        assert!(matches!(outcome.said, Said::Returned(_)), "{:?}", outcome.said);
        let (picoseconds, proof_bytes) = (outcome.weight.ref_time(), outcome.weight.proof_size());
        println!("{name} among {MANY}: {picoseconds} ps, {proof_bytes} bytes of proof");
        assert!(picoseconds <= MOST_PICOSECONDS, "{name} takes {picoseconds} ps");
        assert!(proof_bytes <= MOST_PROOF_BYTES, "{name} takes {proof_bytes} bytes of proof");
    }
}
