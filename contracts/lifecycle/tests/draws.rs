//! Whose turn it is to claim a job: by the block after its request, by stake and score, and by nothing done afterwards.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_precision_loss)]

mod world;

use encompute_lifecycle::{Command, Context, Host, Look, Memory, ReadState, Refusal, Scene, Software, price, turn};
use encompute_protocol::{
    Address, BlockNumber, Blocks, Draw, JobId, Plancks, Reason, Signature, SigningAddress, SplitIndex, Stage,
    VersionId, Windows,
    call::{AddStake, AskStake, CancelJob, ClaimJob, PokeJob, ReadDraw, SetCapacity},
    quote::{P256Key, P256Signature},
};
use world::*;

/// A worker that was not drawn, 0 to 4.
fn other_than(drawn: &[Address]) -> usize {
    (0..WORKERS.len()).find(|at| !drawn.contains(&WORKERS[*at])).unwrap()
}

fn at(account: Address) -> usize {
    WORKERS.iter().position(|known| *known == account).unwrap()
}

fn drawn(world: &World, job: JobId) -> Vec<Address> {
    world.turns(job).unwrap().turns.iter().map(|turn| turn.worker).collect()
}

/// A job whose draw is known.
fn known() -> (World, JobId) {
    let mut world = World::new();
    let job = world.requested();
    world.block += 2;
    (world, job)
}

#[test]
fn nobody_claims_before_the_block_that_decides_is_known() {
    let mut world = World::new();
    let job = world.requested();
    let requested = world.block;
    for block in [requested, requested + 1] {
        world.block = block;
        let draw = world.turns(job).unwrap();
        assert_eq!(draw.decides.0, requested + 1);
        assert_eq!(draw.turns, vec![], "nobody can know them in block {block}");
        for worker in WORKERS {
            let early = Refusal::NotYourTurn { turn: None, from: draw.open_from, block: BlockNumber(block) };
            assert_eq!(world.call(worker, ClaimJob { job }), Err(early));
        }
    }
    world.block = requested + 2;
    let first = at(drawn(&world, job)[0]);
    world.call(WORKERS[first], ClaimJob { job }).unwrap();
}

#[test]
fn turns_come_one_after_the_other_and_then_anybody_may() {
    let (world, job) = known();
    let draw = world.turns(job).unwrap();
    let first = world.block;
    let from: Vec<_> = draw.turns.iter().map(|turn| turn.from.0).collect();
    assert_eq!((from, draw.open_from.0), (vec![first, first + 2, first + 4], first + 6));
    assert!(draw.open_from < world.progress(job).deadline, "a window of ten blocks has room for all of them");
    let last = other_than(&drawn(&world, job));
    for block in first..=draw.open_from.0 {
        for worker in WORKERS {
            let mut world = world.clone();
            world.block = block;
            let from = draw.first_of(worker);
            let said = world.call(worker, ClaimJob { job });
            if from.0 <= block {
                assert_eq!(said, Ok(()));
            } else {
                let turn = draw.whose(BlockNumber(block));
                assert_eq!(said, Err(Refusal::NotYourTurn { turn, from, block: BlockNumber(block) }));
            }
        }
    }
    let words =
        Refusal::NotYourTurn { turn: draw.whose(BlockNumber(first)), from: draw.open_from, block: BlockNumber(first) };
    let wanted = format!(
        "it is the turn of {}; the caller may claim from block {}, this is block {first}",
        draw.turns[0].worker, draw.open_from
    );
    assert_eq!(words.to_string(), wanted.replace("this is block", "this is"));
    assert_eq!(draw.first_of(WORKERS[last]), draw.open_from);
}

#[test]
fn a_turn_is_a_fifth_of_the_claim_window_and_one_block_at_least() {
    let of = |claim: u32| turn(&Windows { claim: Blocks(claim), ..price::default_params(TREASURY).windows });
    assert_eq!([2, 5, 9, 10, 60].map(of), [1, 1, 1, 2, 12].map(Blocks));
}

#[test]
fn in_the_shortest_window_anybody_may_claim_in_its_last_block() {
    let mut world = World::new();
    let mut short = params();
    short.windows.claim = Blocks(2);
    world.govern(short);
    let job = world.requested();
    world.block = world.progress(job).deadline.0;
    for worker in WORKERS {
        world.clone().call(worker, ClaimJob { job }).unwrap();
    }
}

#[test]
fn whom_the_draw_finds_unable_is_passed_over_and_an_empty_draw_blocks_nobody() {
    let (mut world, job) = known();
    let order = drawn(&world, job);
    world.call(order[0], SetCapacity { capacity: 0 }).unwrap();
    assert_eq!(drawn(&world, job)[..2], order[1..], "those behind it move up, the others do not");
    for worker in WORKERS {
        world.call(worker, SetCapacity { capacity: 0 }).unwrap();
    }
    let draw = world.turns(job).unwrap();
    assert_eq!((draw.turns, draw.open_from.0), (vec![], world.block));
    // Two are left: anybody may claim when the third turn would begin.
    for worker in &order[..2] {
        world.call(*worker, SetCapacity { capacity: 1 }).unwrap();
    }
    let draw = world.turns(job).unwrap();
    assert_eq!((draw.turns.len(), draw.open_from.0), (2, world.block + 4));
}

#[test]
fn stake_that_comes_after_the_request_does_not_count_in_its_draw() {
    let (world, job) = known();
    let order = drawn(&world, job);
    let last = WORKERS[other_than(&order)];
    let raised = |how: &dyn Fn(&mut World)| {
        let mut world = world.clone();
        how(&mut world);
        drawn(&world, job)
    };
    let more = |world: &mut World| world.pay(last, Plancks(10_000_000), AddStake {}).unwrap();
    assert_eq!(raised(&more), order, "who adds stake is out of this draw, and nobody else moves");
    let own = |world: &mut World| world.pay(order[2], Plancks(10_000_000), AddStake {}).unwrap();
    assert_eq!(raised(&own)[..2], order[..2]);
    assert!(!raised(&own).contains(&order[2]));
    let renewed = |world: &mut World| world.register(at(last), Plancks(10_000_000)).unwrap();
    assert_eq!(raised(&renewed), order);
    let back = |world: &mut World| {
        world.call(order[0], AskStake { amount: Plancks(30_000) }).unwrap();
        world.call(order[0], AskStake { amount: Plancks(1) }).unwrap();
    };
    assert!(!raised(&back).contains(&order[0]), "nor does stake that was asked back and is left after all");
    // A registration that is only renewed takes part.
    let mut renewing = world.clone();
    renewing.register(at(order[0]), Plancks::ZERO).unwrap();
    assert_eq!(drawn(&renewing, job), order);
}

#[test]
fn workers_that_join_after_the_request_change_no_draw_however_many() {
    let mut world = World::new();
    // More than are looked at: then the sample follows from how many there were.
    for number in 1..=35 {
        world.joins(number, Plancks(40_000)).unwrap();
    }
    world.block += 1;
    let job = world.requested();
    world.block += 2;
    let order = drawn(&world, job);
    assert_eq!((order.len(), world.progress(job).workers), (3, 40));
    for number in 36..=60 {
        world.joins(number, Plancks(40_000)).unwrap();
        assert_eq!(drawn(&world, job), order, "{number} more");
    }
}

#[test]
fn who_let_a_job_run_out_is_not_drawn_for_it_again() {
    let (mut world, job) = known();
    let mut late = Vec::new();
    for timeouts in 1..=2_u8 {
        let first = drawn(&world, job)[0];
        assert!(!late.contains(&first));
        world.call(first, ClaimJob { job }).unwrap();
        late.push(first);
        world.past_deadline(job);
        world.call(STRANGER, PokeJob { job }).unwrap();
        assert_eq!(stage(&world, job), (Stage::Requested, Some(Reason::WorkerTimeout)));
        assert_eq!(world.progress(job).timeouts, timeouts);
        // The draw of a second try follows from the block after the poke.
        assert_eq!(world.turns(job).unwrap().decides.0, world.block + 1);
        world.block += 2;
        assert!(drawn(&world, job).iter().all(|worker| !late.contains(worker)), "{late:?}");
    }
    assert_eq!(world.progress(job).late.map(Option::unwrap).as_slice(), late);
    // Only the draw passes them over: where nobody else comes, they may.
    world.block = world.turns(job).unwrap().open_from.0;
    world.call(late[0], ClaimJob { job }).unwrap();
}

#[test]
fn an_offer_pins_its_worker_and_no_draw_is_asked() {
    let mut world = World::new();
    let mut message = world.request_message(VersionId(1), SplitIndex(0));
    message.offer = Some(world.offer(3, USERS[0], &message));
    let job = world.send_request(USERS[0], message).unwrap();
    assert_eq!((world.turns(job), world.progress(job).worker), (None, Some(WORKERS[3])));
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
    world.block += 2;
    assert!(!drawn(&world, job).contains(&WORKERS[3]), "it let the job run out");
}

#[test]
fn a_job_that_nobody_can_draw_for_is_there_for_anybody() {
    /// A platform that has forgotten every block.
    struct Forgetful;
    impl Host for Forgetful {
        fn keccak_256(&self, bytes: &[u8]) -> [u8; 32] {
            Software.keccak_256(bytes)
        }
        fn recover(&self, digest: &[u8; 32], signature: &Signature) -> Option<SigningAddress> {
            Software.recover(digest, signature)
        }
        fn block_hash(&self, _: BlockNumber) -> Option<[u8; 32]> {
            None
        }
        fn sha_256(&self, bytes: &[u8]) -> Option<[u8; 32]> {
            Software.sha_256(bytes)
        }
        fn p256_verify(&self, _: &[u8; 32], _: &P256Signature, _: &P256Key) -> bool {
            false
        }
    }
    let (world, job) = known();
    let at = world.at(WORKERS[other_than(&drawn(&world, job))], Plancks::ZERO);
    let claim = Command::from(ClaimJob { job });
    assert!(claim.run(&world.market, &Software, &at).is_err());
    claim.run(&world.market, &Forgetful, &at).unwrap();
    let draw = ReadDraw { job }.look(&Scene { state: &world.market, host: &Forgetful, at: &at }).unwrap();
    assert_eq!((draw.turns, draw.open_from.0), (vec![], world.block));
}

#[test]
fn only_a_requested_job_has_a_draw() {
    let (mut world, job) = known();
    assert_eq!(world.turns(JobId(99)), None);
    world.call(USERS[0], CancelJob { job }).unwrap();
    assert_eq!(world.turns(job), None);
}

/// A platform whose blocks have the hashes of one seed.
#[derive(Clone, Copy)]
struct Seeded(u64);

impl Host for Seeded {
    fn keccak_256(&self, bytes: &[u8]) -> [u8; 32] {
        Software.keccak_256(bytes)
    }
    fn recover(&self, digest: &[u8; 32], signature: &Signature) -> Option<SigningAddress> {
        Software.recover(digest, signature)
    }
    fn block_hash(&self, block: BlockNumber) -> Option<[u8; 32]> {
        Some(Software.keccak_256(&[self.0.to_le_bytes(), u64::from(block.0).to_le_bytes()].concat()))
    }
    fn sha_256(&self, bytes: &[u8]) -> Option<[u8; 32]> {
        Software.sha_256(bytes)
    }
    fn p256_verify(&self, _: &[u8; 32], _: &P256Signature, _: &P256Key) -> bool {
        false
    }
}

fn seeded(market: &Memory<Software>, at: &Context, job: JobId, seed: u64) -> Draw {
    ReadDraw { job }.look(&Scene { state: market, host: &Seeded(seed), at }).unwrap()
}

#[test]
fn over_many_draws_each_is_first_with_its_share_of_stake_times_score() {
    const DRAWS: u64 = 20_000;
    let mut world = World::new();
    // Stakes of 40,000 to 80,000; the fourth has let a claim run out, the fifth committed a head. Beyond ten times
    // the least, 100,070, nothing counts: the first has 500,000 more than that.
    world.pay(WORKERS[0], Plancks(560_000), AddStake {}).unwrap();
    world.pay(WORKERS[1], Plancks(20_000), AddStake {}).unwrap();
    world.pay(WORKERS[2], Plancks(40_000), AddStake {}).unwrap();
    let late = world.requested();
    world.claim(3, late).unwrap();
    world.past_deadline(late);
    world.call(STRANGER, PokeJob { job: late }).unwrap();
    let good = world.requested();
    world.claim(4, good).unwrap();
    let message = world.commitment(4, good);
    world.call(WORKERS[4], message).unwrap();
    world.block += 1;
    let job = world.requested();
    world.block += 2;
    let weights: Vec<f64> = (0..WORKERS.len())
        .map(|worker| {
            let record = world.worker(worker);
            let stake = record.stake.0.min(10 * world.market.params().worker_stake_floor.0) as f64;
            stake * f64::from(record.reputation.score().0)
        })
        .collect();
    assert!(weights[4] > 1.2 * weights[3] && weights[0] > 2.0 * weights[4], "they differ: {weights:?}");
    let context = world.at(STRANGER, Plancks::ZERO);
    let mut firsts = [0_u64; 5];
    let mut seconds = [[0_u64; 5]; 5];
    for seed in 0..DRAWS {
        let draw = seeded(&world.market, &context, job, seed);
        let [first, second] = [draw.turns[0].worker, draw.turns[1].worker].map(at);
        firsts[first] += 1;
        seconds[first][second] += 1;
    }
    let chi_square = |found: &[u64], weights: &[f64]| -> f64 {
        let (all, sum) = (found.iter().sum::<u64>() as f64, weights.iter().sum::<f64>());
        let wanted = weights.iter().map(|weight| all * weight / sum);
        found
            .iter()
            .zip(wanted)
            .filter(|(_, wanted)| *wanted > 0.0)
            .map(|(found, wanted)| (*found as f64 - wanted).powi(2) / wanted)
            .sum()
    };
    // Of four degrees of freedom one in a thousand is beyond 18.5, of three beyond 16.3; seeds are fixed.
    let first = chi_square(&firsts, &weights);
    assert!(first < 18.5, "{first}: {firsts:?}");
    // After each first the rest race on as if it had never been there.
    for (first, seconds) in seconds.iter().enumerate() {
        let mut rest = weights.clone();
        rest[first] = 0.0;
        let found = chi_square(seconds, &rest);
        assert!(found < 16.3, "after {first}: {found}: {seconds:?}");
    }
}

#[test]
fn whoever_steps_back_moves_nobody_but_those_behind_it() {
    let (world, job) = known();
    for seed in 0..200 {
        let context = world.at(STRANGER, Plancks::ZERO);
        let order: Vec<_> = seeded(&world.market, &context, job, seed).turns;
        for (rank, turn) in order.iter().enumerate() {
            let mut without = world.clone();
            without.call(turn.worker, SetCapacity { capacity: 0 }).unwrap();
            let rest = seeded(&without.market, &context, job, seed).turns;
            let left: Vec<_> = order.iter().map(|turn| turn.worker).filter(|worker| *worker != turn.worker).collect();
            let found: Vec<_> = rest.iter().map(|turn| turn.worker).take(2).collect();
            assert_eq!(found, left, "without the one of rank {rank}");
        }
    }
}
