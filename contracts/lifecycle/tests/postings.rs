//! Disputes about blobs: posted in time, or not, with the money to the last planck.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{ReadState, Refusal};
use encompute_protocol::{DisputeKind, Plancks, Reason, Stage, call::*};
use world::{disputes::*, *};

/// With the tip.
const ESCROW: u128 = HEAD + TAIL + PROTOCOL + 13;
/// ⌊33.31 %⌋ of the stake, and a half, a fifth and the rest of it.
const MINORITY: u128 = 1_134;
const MINORITY_PARTS: [u128; 3] = [567, 226, 341];

#[test]
fn a_transcript_that_is_not_posted_ends_as_if_the_worker_had_been_late() {
    let mut world = World::new();
    let job = world.disputed(DisputeKind::Missing);
    world.past_deadline(job);
    let owed = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    is_over(&world, job);
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::BlobMissing)));
    let [user, poker, treasury] = MINORITY_PARTS;
    assert_eq!(owed, sorted(vec![(USERS[0], ESCROW + HEAD + user), (STRANGER, poker), (TREASURY, treasury)]));
    assert_eq!(world.worker(0).stake, Plancks(40_000 - MINORITY));
}

#[test]
fn a_result_that_is_not_posted_ends_as_if_the_creator_had_been_late() {
    let mut world = World::new();
    let job = world.answered();
    world.open_dispute(USERS[0], job, DisputeKind::Missing).unwrap();
    world.past_deadline(job);
    let owed = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    is_over(&world, job);
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::ResultWithheld)));
    let bond = world.terms(job).job_bond.0;
    assert_eq!(owed, sorted(vec![(PAYOUTS[0], HEAD), (USERS[0], ESCROW + HEAD), (TREASURY, bond - HEAD)]));
}

#[test]
fn a_result_that_its_creator_does_not_answer_for_costs_it_the_tail_fee_and_no_bond() {
    let mut world = World::new();
    let job = world.disputed(DisputeKind::Result);
    let bond = world.market.model(world.terms(job).model).unwrap().bond;
    world.past_deadline(job);
    let owed = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    is_over(&world, job);
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::ResultMismatch)));
    // ⌈3.33 %⌉ of the head fee.
    let protocol = 57;
    assert_eq!(
        owed,
        sorted(vec![(PAYOUTS[0], HEAD), (TREASURY, protocol), (USERS[0], ESCROW - HEAD - protocol + HEAD)])
    );
    let model = world.market.model(world.terms(job).model).unwrap();
    assert_eq!((model.bond, model.bond_locked), (bond, Plancks::ZERO));
}

#[test]
fn a_blob_that_is_posted_costs_the_user_the_deposit_of_which_the_other_side_has_a_half() {
    for (kind, at, caller, payout) in [
        (DisputeKind::Missing, Stage::HeadCommitted, WORKERS[0], PAYOUTS[0]),
        (DisputeKind::Missing, Stage::ResultCommitted, CREATORS[0], CREATORS[0]),
        (DisputeKind::Result, Stage::ResultCommitted, CREATORS[0], CREATORS[0]),
    ] {
        let mut world = World::new();
        let job = world.at_stage(at);
        let left = world.progress(job).deadline.0 - world.block;
        world.open_dispute(USERS[0], job, kind).unwrap();
        world.block += 9;
        let message = world.posting(job);
        for other in [USERS[0], WORKERS[1], STRANGER] {
            let refused = world.call(other, message.clone());
            assert_eq!(refused, Err(Refusal::NotYourJob { caller: other, wanted: caller }));
        }
        let owed = world.credits_of(|world| world.call(caller, message).unwrap());
        is_over(&world, job);
        assert_eq!(owed, sorted(vec![(payout, HEAD / 2), (TREASURY, HEAD - HEAD / 2)]), "{kind:?} {at:?}");
        assert_eq!(stage(&world, job), (at, Some(Reason::DisputeRejected)));
        assert_eq!(world.progress(job).deadline.0, world.block + left);
        assert_eq!(world.open_dispute(USERS[0], job, kind), Err(Refusal::DisputedBefore { kind }));
    }
}

#[test]
fn a_long_blob_is_posted_in_parts_and_a_part_that_does_not_follow_is_refused() {
    let mut world = World::new();
    let job = world.claimed();
    let blob: Vec<u8> = (0..20_000_u32).map(|at| (at >> 3) as u8).collect();
    let mut message = world.commitment(0, job);
    message.output = encompute_protocol::BlobDigest::of(&blob);
    let facts = encompute_lifecycle::ReceiptFacts::read(&world.market, GENESIS, CONTRACT, job).unwrap();
    message.signature = key(0).sign(&facts.receipt(message.output, message.finished_at));
    world.call(WORKERS[0], message).unwrap();
    world.open_dispute(USERS[0], job, DisputeKind::Missing).unwrap();
    let post = |world: &mut World, at: u64, part: &[u8], last| {
        world.call(WORKERS[0], PostBlob { job, at, part: part.to_vec(), last })
    };
    assert_eq!(post(&mut world, 0, &blob[..127], false), Err(Refusal::PartLength { found: 127 }));
    assert_eq!(post(&mut world, 0, &blob[..8_320], false), Err(Refusal::PartLength { found: 8_320 }));
    assert_eq!(post(&mut world, 0, &blob[5..8_192], true).unwrap_err().to_string()[..11], *"the blob is");
    post(&mut world, 0, &blob[..8_192], false).unwrap();
    let gap = post(&mut world, 8_320, &blob[8_320..], true);
    assert_eq!(gap, Err(Refusal::PartOutOfPlace { found: 8_320, wanted: 8_192 }));
    // From the beginning again, as after a crash.
    post(&mut world, 0, &blob[..8_192], false).unwrap();
    post(&mut world, 8_192, &blob[8_192..16_384], false).unwrap();
    assert!(world.waits_for_blob(job));
    post(&mut world, 16_384, &blob[16_384..], true).unwrap();
    assert_eq!(stage(&world, job), (Stage::HeadCommitted, Some(Reason::DisputeRejected)));
}
