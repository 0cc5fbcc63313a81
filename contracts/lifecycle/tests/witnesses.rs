//! Witnesses: three on machines of their own run a head again before its user decrypts, with the money of every ruling.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{Refusal, Settlement, dispute::Heard, outcome::Outcome};
use encompute_protocol::{
    Address, BlockNumber, DisputeKind, JobId, Plancks, PolicyId, Reason, Stage, Verdict, call::*, event::Event,
};
use std::collections::BTreeSet;
use world::{disputes::*, *};

/// With the tip.
const ESCROW: u128 = HEAD + TAIL + PROTOCOL + 13;
const STAKE: u128 = 3_406;
/// ⌊33.31 %⌋ of the stake, and a half, a fifth and the rest of it.
const MINORITY_PARTS: [u128; 3] = [567, 226, 341];

/// What three witnesses of a committed head credit, given what they find, and the job behind them.
fn ruled(verdicts: [Verdict; 3]) -> (World, JobId, Vec<usize>, Owed) {
    let mut world = World::new();
    let (mut job, mut jurors) = (JobId(0), Vec::new());
    let owed = world.credits_of(|world| (job, jurors) = world.judged_by(DisputeKind::Witness, verdicts));
    is_over(&world, job);
    (world, job, jurors, owed)
}

/// The disputes of a job, from its events.
fn heard(world: &World, job: JobId) -> Vec<Heard> {
    Heard::all(world.market.events().iter().map(|(_, event)| event).filter(|event| event.job() == Some(job)))
}

#[test]
fn witnesses_of_a_right_head_have_a_head_fee_each_and_the_job_goes_on() {
    let (mut world, job, jurors, owed) = ruled([RIGHT; 3]);
    assert_eq!(stage(&world, job), (Stage::HeadCommitted, Some(Reason::Witnessed)));
    assert_eq!(owed, sorted(jurors.iter().map(|juror| (PAYOUTS[*juror], HEAD)).collect()));
    let again = world.open_dispute(USERS[0], job, DisputeKind::Witness);
    assert_eq!(again, Err(Refusal::DisputedBefore { kind: DisputeKind::Witness }));
    // What three have seen may still be disputed.
    world.clone().open_dispute(USERS[0], job, DisputeKind::Head).unwrap();
    let (features, result) = (world.digest(), world.digest());
    world.call(USERS[0], SendFeatures { job, policy: PolicyId(1), features }).unwrap();
    world.call(CREATORS[0], CommitResult { job, result }).unwrap();
    world.call(USERS[0], AcceptResult { job }).unwrap();
    assert_eq!(stage(&world, job).0, Stage::Settled);
    assert_eq!(world.worker(0).stake, Plancks(40_000));
}

#[test]
fn what_one_of_three_does_not_earn_goes_back_to_the_user_and_it_loses_as_in_any_committee() {
    let (world, job, jurors, owed) = ruled([RIGHT, WRONG, RIGHT]);
    assert_eq!(stage(&world, job), (Stage::HeadCommitted, Some(Reason::Witnessed)));
    let wanted = vec![
        (USERS[0], HEAD + MINORITY_PARTS[0]),
        (WORKERS[jurors[2]], MINORITY_PARTS[1]),
        (TREASURY, MINORITY_PARTS[2]),
        (PAYOUTS[jurors[0]], HEAD),
        (PAYOUTS[jurors[2]], HEAD),
    ];
    assert_eq!(owed, sorted(wanted));
}

#[test]
fn a_head_that_witnesses_find_wrong_costs_the_worker_its_stake_which_pays_them() {
    let (world, job, jurors, owed) = ruled([WRONG; 3]);
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::HeadMismatch)));
    // The stake is two head fees here: a third of it each, and one planck for the user beside everything that it paid.
    let each = STAKE / 3;
    let mut wanted = vec![(USERS[0], ESCROW + 3 * HEAD + 1)];
    wanted.extend(jurors.iter().map(|juror| (PAYOUTS[*juror], each)));
    assert_eq!(owed, sorted(wanted));
    assert_eq!(world.worker(0).stake, Plancks(40_000 - STAKE));

    let (world, job, jurors, owed) = ruled([WRONG, WRONG, RIGHT]);
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::HeadMismatch)));
    // Who says that nobody has appealed in time makes the call that ends it.
    let wanted = vec![
        (USERS[0], ESCROW + 3 * HEAD + MINORITY_PARTS[0]),
        (STRANGER, MINORITY_PARTS[1]),
        (TREASURY, MINORITY_PARTS[2]),
        (PAYOUTS[jurors[0]], HEAD),
        (PAYOUTS[jurors[1]], HEAD),
    ];
    assert_eq!(owed, sorted(wanted));
}

#[test]
fn of_a_stake_above_all_head_fees_the_user_has_a_half_at_most_and_the_treasury_the_rest() {
    let mut world = World::new();
    let job = world.committed();
    let terms = encompute_protocol::JobTerms { job_stake: Plancks(20_001), ..world.terms(job) };
    let settlement = Settlement::of(&terms, Outcome::WitnessedWrong { winners: 3 }).unwrap();
    use encompute_lifecycle::outcome::Party::{Juror, Payer, Treasury, User};
    let of = |party| settlement.of_party(party).unwrap().0;
    let fees = terms.fees.total().unwrap().0;
    assert_eq!((of(Payer), of(User), of(Juror(0)), of(Juror(2))), (fees, 10_000, HEAD, HEAD));
    assert_eq!((of(Treasury), settlement.stake_slashed.0), (20_001 - 10_000 - 3 * HEAD, 20_001));
    let tight = encompute_protocol::JobTerms { job_stake: Plancks(3 * HEAD + 7), ..terms };
    let settlement = Settlement::of(&tight, Outcome::WitnessedWrong { winners: 3 }).unwrap();
    assert_eq!(settlement.of_party(User).unwrap().0, 7);
    assert_eq!(settlement.of_party(Treasury).unwrap().0, 0);
    assert_eq!(Settlement::of(&terms, Outcome::WitnessedWrong { winners: 0 }), None, "nobody rules alone");
}

#[test]
fn witnesses_who_were_shown_nothing_have_witnessed_nothing_and_nobody_loses() {
    for last in [Verdict::NOTHING_SHOWN, RIGHT] {
        let (world, job, jurors, owed) = ruled([Verdict::NOTHING_SHOWN, Verdict::NOTHING_SHOWN, last]);
        assert_eq!(stage(&world, job), (Stage::HeadCommitted, Some(Reason::ArbiterTimeout)));
        assert_eq!(owed, [(USERS[0], 3 * HEAD)]);
        assert!(jurors.iter().all(|juror| world.worker(*juror).stake == Plancks(40_000)));
        assert_eq!(heard(&world, job)[0].winners(), Vec::<Address>::new());
    }
    // In a dispute what cannot be shown stands.
    let mut world = World::new();
    let (job, _) = world.judged([Verdict::NOTHING_SHOWN; 3]);
    assert_eq!(stage(&world, job), (Stage::HeadCommitted, Some(Reason::DisputeRejected)));
}

#[test]
fn witnesses_are_never_on_the_machine_that_the_head_was_committed_from() {
    for more in 0..60 {
        let mut world = World::new();
        world.block += more;
        // A second worker of the same machine, as whoever has its key can make any number of; and the first one goes
        // elsewhere once it has committed.
        world.moves_to(0, 1);
        let job = world.committed();
        world.moves_to(4, 0);
        world.open_dispute(USERS[0], job, DisputeKind::Witness).unwrap();
        world.draw(job);
        assert_eq!(world.jurors(job).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([2, 3, 4]));
        // A dispute's committee looks at workers alone.
        let mut world = World::new();
        world.moves_to(0, 1);
        world.block += more;
        world.drawn();
    }
}

#[test]
fn of_two_workers_on_one_machine_one_is_a_witness_and_machines_are_as_likely_as_one_another() {
    let mut together = BTreeSet::new();
    for more in 0..60 {
        let mut world = World::new();
        world.block += more;
        world.moves_to(2, 1);
        let (job, jurors) = world.drawn_for(DisputeKind::Witness);
        let drawn: BTreeSet<_> = jurors.iter().copied().collect();
        assert!(drawn.contains(&3) && drawn.contains(&4), "{drawn:?}: the other machines have one worker each");
        assert_eq!(drawn.len(), 3);
        together.insert(drawn);
        let platforms = &heard(&world, job)[0].platforms;
        assert_eq!(platforms.iter().collect::<BTreeSet<_>>().len(), 3);
        assert!(platforms.iter().all(|platform| *platform != PLATFORMS[0]));
    }
    assert_eq!(together.len(), 2, "either of the two comes up");
}

#[test]
fn invariant_18_without_three_machines_nothing_is_witnessed_and_the_deposit_goes_back() {
    let mut world = World::new();
    world.moves_to(2, 1);
    world.moves_to(4, 3);
    let job = world.disputed(DisputeKind::Witness);
    let owed = world.credits_of(|world| world.draw(job));
    assert_eq!(owed, [(USERS[0], 3 * HEAD)]);
    assert_eq!(stage(&world, job), (Stage::HeadCommitted, Some(Reason::ArbiterTimeout)));
    is_over(&world, job);
    // Five workers on two machines are enough for a dispute.
    let mut world = World::new();
    world.moves_to(2, 1);
    world.moves_to(4, 3);
    assert_eq!(world.drawn().1.len(), 3);
}

#[test]
fn witnesses_are_asked_for_a_head_fee_each_and_within_the_challenge_window() {
    let mut world = World::new();
    let job = world.committed();
    let kind = DisputeKind::Witness;
    for found in [0, 3 * HEAD - 1, 3 * HEAD + 1] {
        let refused = world.pay(USERS[0], Plancks(found), OpenDispute { job, kind, evidence: None });
        assert_eq!(refused, Err(Refusal::DepositMismatch { found: Plancks(found), wanted: Plancks(3 * HEAD) }));
    }
    for stranger in [WORKERS[0], CREATORS[0], USERS[1], STRANGER] {
        let refused = world.open_dispute(stranger, job, kind);
        assert_eq!(refused, Err(Refusal::NotYourJob { caller: stranger, wanted: USERS[0] }));
    }
    world.block += params().windows.challenge.0 + 1;
    let late = world.open_dispute(USERS[0], job, kind);
    let deadline = BlockNumber(world.block - 1);
    assert_eq!(late, Err(Refusal::TooLate { deadline, block: BlockNumber(world.block) }));
}

#[test]
fn what_witnesses_earn_is_told_by_events_alone() {
    for verdicts in [[RIGHT; 3], [RIGHT, WRONG, RIGHT], [WRONG; 3], [WRONG, RIGHT, WRONG], [Verdict::NOTHING_SHOWN; 3]]
    {
        let (world, job, ..) = ruled(verdicts);
        let heard = heard(&world, job);
        let terms = world.terms(job);
        let mut money = heard[0].settlement(&terms).unwrap();
        if stage(&world, job).0 == Stage::Failed {
            money.lines.extend(Settlement::of(&terms, heard[0].head_wrong()).unwrap().lines);
        }
        let due: u128 = money.lines.iter().map(|line| line.amount.0).sum();
        let credited = world.market.events().iter().filter_map(|(_, event)| match event {
            Event::Credited(credit) if credit.job == job => Some(credit.amount.0),
            _ => None,
        });
        assert_eq!(credited.sum::<u128>(), due, "{verdicts:?}");
    }
}
