//! Where a ruling that a head is wrong ends: with the money of every ending, with and without an appeal, for each kind of
//! committee at each of its stages. Who appeals, and who hears it: `rulings.rs`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{Refusal, Settlement, outcome::Party};
use encompute_protocol::{
    Address, BasisPoints, BlockNumber, DisputeKind, JobId, Reason, Stage, Verdict, call::*, event::Event,
};
use std::collections::BTreeMap;
use world::{appeals::*, disputes::*, *};

/// With the tip.
const ESCROW: u128 = HEAD + TAIL + PROTOCOL + 13;
const STAKE: u128 = 3_406;
/// What an appeal takes.
const DEPOSIT: u128 = 3 * HEAD;
/// ⌊7.07 %⌋ and ⌊33.31 %⌋ of the stake: a half to the user, a fifth to who made the call, the rest to the treasury.
const SILENT: u128 = 240;
const SILENT_PARTS: [u128; 3] = [120, 48, 72];
const MINORITY: u128 = 1_134;
const MINORITY_PARTS: [u128; 3] = [567, 226, 341];

/// A job whose head a first committee has found wrong, saying this.
fn ruled(kind: DisputeKind, from: Stage, verdicts: [Verdict; 3]) -> (World, JobId, Vec<usize>) {
    let mut world = World::with_two_committees();
    let (job, jurors) = world.ruled(kind, from, verdicts);
    (world, job, jurors)
}

/// Each account once, in order.
fn sums(owed: impl IntoIterator<Item = (Address, u128)>) -> Owed {
    let mut all = BTreeMap::<Address, u128>::new();
    owed.into_iter().for_each(|(account, amount)| *all.entry(account).or_default() += amount);
    all.into_iter().filter(|(_, amount)| *amount > 0).collect()
}

/// What somebody loses who said something else than most, and whom it goes to.
fn minority(poker: Address) -> Owed {
    [USERS[0], poker, TREASURY].into_iter().zip(MINORITY_PARTS).collect()
}

/// The same of who said nothing.
fn silent(poker: Address) -> Owed {
    [USERS[0], poker, TREASURY].into_iter().zip(SILENT_PARTS).collect()
}

/// What a head that is wrong pays by the ruling of a first committee with these `winners`, the dispute's deposit among it.
fn as_ruled(kind: DisputeKind, winners: &[usize]) -> Owed {
    let count = winners.len() as u128;
    let (user, each, treasury) = match (kind, count) {
        (DisputeKind::Head, _) => (STAKE / 2 + 2 * HEAD, HEAD / count, STAKE - STAKE / 2 - count * (HEAD / count)),
        (DisputeKind::Witness, 2) => (3 * HEAD, HEAD, 0),
        (DisputeKind::Witness, _) => (3 * HEAD + 1, STAKE / 3, 0),
        // Of the treasury's deposit each has what the stake does not pay of a head fee.
        _ => (STAKE / 2, HEAD, STAKE / 2 + 3 * HEAD - count * HEAD),
    };
    let mut owed = vec![(USERS[0], ESCROW + user), (TREASURY, treasury)];
    owed.extend(winners.iter().map(|juror| (payout(*juror), each)));
    owed
}

/// What a dispute's deposit pays where three of a second committee find the head right.
fn as_overturned(kind: DisputeKind, second: &[usize]) -> Owed {
    let each = if kind == DisputeKind::Head { HEAD / 3 } else { HEAD };
    let mut owed: Owed = second.iter().map(|juror| (payout(*juror), each)).collect();
    if kind == DisputeKind::Head {
        owed.extend([(PAYOUTS[0], HEAD / 2), (TREASURY, 2 * HEAD - 3 * each - HEAD / 2)]);
    }
    owed
}

/// The worker appeals and a second committee says this: who that is, and what it credits.
fn heard_again(world: &mut World, job: JobId, verdicts: [Verdict; 3]) -> (Vec<usize>, Owed) {
    let mut second = Vec::new();
    let owed = world.credits_of(|world| {
        world.appeal(job).unwrap();
        world.draw(job);
        second = world.say_all(job, verdicts);
    });
    (second, owed)
}

/// Every credit of a job is what its events say it should be, to whom they say.
fn is_told_by_events(world: &World, job: JobId) {
    let heard = heard(world, job);
    let dispute = heard.last().unwrap();
    let terms = world.terms(job);
    let mut money = dispute.settlement(&terms).unwrap();
    if stage(world, job).0 == Stage::Failed {
        money.lines.extend(Settlement::of(&terms, dispute.head_wrong()).unwrap().lines);
    }
    let winners = dispute.winners();
    let due = money.lines.iter().map(|line| {
        let account = match line.party {
            Party::User => terms.user,
            Party::Payer => terms.payer(),
            Party::Challenger => panic!("nobody has demanded a quote"),
            Party::Worker => PAYOUTS[0],
            Party::Creator => CREATORS[0],
            Party::Treasury => TREASURY,
            Party::Poker => dispute.ended.unwrap().1,
            Party::Juror(at) => payout(world.place(winners[usize::from(at)])),
        };
        (account, line.amount.0)
    });
    let credited = world.market.events().iter().filter_map(|(_, event)| match event {
        Event::Credited(credit) if credit.job == job => Some((credit.account, credit.amount.0)),
        _ => None,
    });
    assert_eq!(sums(credited), sums(due));
    assert!(!dispute.holds_stake());
}

#[test]
fn a_ruling_that_nobody_appeals_ends_the_job_by_anybodys_poke_as_it_was_ruled() {
    for (kind, from) in COMMITTEES {
        for (verdicts, winners) in
            [([WRONG; 3], 0..3), ([WRONG, WRONG, RIGHT], 0..2), ([WRONG, WRONG, WRONG_OTHERWISE], 0..2)]
        {
            let (mut world, job, jurors) = ruled(kind, from, verdicts);
            let owed = world.credits_of(|world| world.let_stand(job));
            let lost = if winners.len() < 3 { minority(STRANGER) } else { Vec::new() };
            assert_eq!(owed, sums([as_ruled(kind, &jurors[winners.clone()]), lost].concat()), "{kind:?} {from:?}");
            assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::HeadMismatch)));
            assert_eq!((world.worker(0).stake.0, world.worker(0).mismatches), (40_000 - STAKE, 1));
            is_over(&world, job);
            is_told_by_events(&world, job);
        }
    }
}

#[test]
fn a_second_committee_that_finds_the_head_wrong_too_is_paid_by_the_appeal_and_the_first_by_the_stake() {
    for (kind, from) in COMMITTEES {
        for verdicts in [[WRONG; 3], [WRONG_OTHERWISE; 3]] {
            let (mut world, job, first) = ruled(kind, from, [WRONG, RIGHT, WRONG]);
            let (second, owed) = heard_again(&mut world, job, verdicts);
            let poker = account(second[2]);
            let mut wanted = as_ruled(kind, &[first[0], first[2]]);
            wanted.extend(minority(poker));
            wanted.extend(second.iter().map(|juror| (payout(*juror), HEAD)));
            assert_eq!(owed, sums(wanted), "{kind:?} {from:?}");
            assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::HeadMismatch)));
            assert_eq!((world.worker(0).stake.0, world.worker(0).stake_locked.0), (40_000 - STAKE, 0));
            assert_eq!(world.worker(0).mismatches, 1);
            assert_eq!(stakes(&world, &first), [(40_000, 0), (40_000 - MINORITY, 0), (40_000, 0)]);
            assert_eq!(stakes(&world, &second), [(40_000, 0); 3]);
            is_over(&world, job);
            is_told_by_events(&world, job);
        }
    }
}

#[test]
fn of_the_appeals_deposit_the_treasury_has_what_a_minority_does_not_earn() {
    for (kind, from) in COMMITTEES {
        let (mut world, job, first) = ruled(kind, from, [WRONG; 3]);
        let (second, owed) = heard_again(&mut world, job, [WRONG, RIGHT, WRONG]);
        let mut wanted = as_ruled(kind, &first);
        wanted.extend(minority(account(second[2])));
        wanted.extend([(payout(second[0]), HEAD), (payout(second[2]), HEAD), (TREASURY, HEAD)]);
        assert_eq!(owed, sums(wanted), "{kind:?} {from:?}");
        assert_eq!(stakes(&world, &second), [(40_000, 0), (40_000 - MINORITY, 0), (40_000, 0)]);
        is_over(&world, job);
        is_told_by_events(&world, job);
    }
}

#[test]
fn a_ruling_that_is_overturned_costs_those_who_made_it_and_the_job_goes_on_where_it_stood() {
    for (kind, from) in COMMITTEES {
        for dissent in [RIGHT, WRONG_OTHERWISE] {
            let (mut world, job, first) = ruled(kind, from, [WRONG, dissent, WRONG]);
            let left = world.dispute(job).left.0;
            let before = world.worker(0);
            let (second, owed) = heard_again(&mut world, job, [RIGHT; 3]);
            let wrong = if dissent == RIGHT { 2 } else { 3 };
            let mut wanted = as_overturned(kind, &second);
            (0..wrong).for_each(|_| wanted.extend(minority(account(second[2]))));
            wanted.push((PAYOUTS[0], DEPOSIT));
            assert_eq!(owed, sums(wanted), "{kind:?} {from:?}");
            let reason = match kind {
                DisputeKind::Witness => Reason::Witnessed,
                DisputeKind::Audit => Reason::Audited,
                _ => Reason::DisputeRejected,
            };
            assert_eq!(stage(&world, job), (from, Some(reason)));
            assert_eq!(world.progress(job).deadline.0, world.block + left);
            let kept = if dissent == RIGHT { 40_000 } else { 40_000 - MINORITY };
            assert_eq!(stakes(&world, &first), [(40_000 - MINORITY, 0), (kept, 0), (40_000 - MINORITY, 0)]);
            assert_eq!(stakes(&world, &second), [(40_000, 0); 3]);
            // The worker is as it was, and has its stake back where its part was done.
            let held = if from == Stage::HeadCommitted { STAKE } else { 0 };
            let is = world.worker(0);
            assert_eq!((is.stake, is.stake_locked.0, world.progress(job).stake_held.0), (before.stake, held, held));
            assert_eq!((is.mismatches, is.timeouts, is.reputation), (0, 0, before.reputation));
            is_over(&world, job);
            is_told_by_events(&world, job);
            assert_eq!(
                world.open_dispute(if kind == DisputeKind::Audit { STRANGER } else { USERS[0] }, job, kind),
                Err(Refusal::DisputedBefore { kind })
            );
            for at in [Stage::HeadCommitted, Stage::FeaturesSent, Stage::ResultCommitted] {
                if world.progress(job).stage == at {
                    world.act(job, at, 0).unwrap();
                }
            }
            assert_eq!(stage(&world, job).0, Stage::Settled);
        }
    }
}

#[test]
fn a_second_committees_minority_loses_as_in_any_where_the_head_is_right() {
    let (mut world, job, first) = ruled(DisputeKind::Head, Stage::HeadCommitted, [WRONG; 3]);
    let (second, owed) = heard_again(&mut world, job, [RIGHT, WRONG, RIGHT]);
    let poker = account(second[2]);
    let mut wanted = vec![
        (payout(second[0]), HEAD / 2),
        (payout(second[2]), HEAD / 2),
        (PAYOUTS[0], HEAD / 2 + DEPOSIT),
        (TREASURY, 2 * HEAD - 2 * (HEAD / 2) - HEAD / 2),
    ];
    (0..4).for_each(|_| wanted.extend(minority(poker)));
    assert_eq!(owed, sums(wanted));
    assert_eq!(stakes(&world, &first), [(40_000 - MINORITY, 0); 3]);
    is_over(&world, job);
    is_told_by_events(&world, job);
}

/// A first committee two of whom find the head wrong, and the third says nothing.
fn ruled_by_two(world: &mut World) -> (JobId, Vec<usize>) {
    let (job, jurors) = world.drawn();
    jurors.iter().for_each(|juror| world.seal(*juror, job, WRONG).unwrap());
    jurors[..2].iter().for_each(|juror| world.reveal(*juror, job, WRONG).unwrap());
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
    assert!(world.is_ruled(job));
    (job, jurors)
}

#[test]
fn silence_in_a_first_committee_costs_the_same_whatever_a_second_finds() {
    for (verdict, others) in [(WRONG, 40_000), (RIGHT, 40_000 - MINORITY)] {
        let mut world = World::with_two_committees();
        let (job, first) = ruled_by_two(&mut world);
        let (second, owed) = heard_again(&mut world, job, [verdict; 3]);
        let poker = account(second[2]);
        let mut wanted = silent(poker);
        if verdict == WRONG {
            wanted.extend(as_ruled(DisputeKind::Head, &first[..2]));
            wanted.extend(second.iter().map(|juror| (payout(*juror), HEAD)));
        } else {
            wanted.extend(as_overturned(DisputeKind::Head, &second));
            wanted.extend([minority(poker), minority(poker), vec![(PAYOUTS[0], DEPOSIT)]].concat());
        }
        assert_eq!(owed, sums(wanted));
        assert_eq!(stakes(&world, &first), [(others, 0), (others, 0), (40_000 - SILENT, 0)]);
        is_over(&world, job);
        is_told_by_events(&world, job);
    }
}

#[test]
fn a_second_committee_that_does_not_agree_leaves_the_first_ruling_and_gives_the_deposit_back() {
    for (kind, from) in COMMITTEES {
        let nothing = Verdict::NOTHING_SHOWN;
        for verdicts in [[WRONG, RIGHT, WRONG_OTHERWISE], [nothing; 3], [nothing, nothing, RIGHT]] {
            let (mut world, job, first) = ruled(kind, from, [WRONG, RIGHT, WRONG]);
            let (second, owed) = heard_again(&mut world, job, verdicts);
            let mut wanted = as_ruled(kind, &[first[0], first[2]]);
            wanted.extend(minority(account(second[2])));
            wanted.push((PAYOUTS[0], DEPOSIT));
            assert_eq!(owed, sums(wanted), "{kind:?} {from:?} {verdicts:?}");
            assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::HeadMismatch)));
            assert_eq!(stakes(&world, &second), [(40_000, 0); 3], "nobody is slashed who had no majority against it");
            is_over(&world, job);
            is_told_by_events(&world, job);
        }
    }
}

#[test]
fn invariant_18_a_second_committee_that_says_nothing_leaves_the_first_ruling() {
    // So many seal, and nobody reveals.
    for (kind, from) in COMMITTEES {
        for sealed in 0..=3 {
            let (mut world, job, first) = ruled(kind, from, [WRONG; 3]);
            let mut second = Vec::new();
            let owed = world.credits_of(|world| {
                world.appeal(job).unwrap();
                world.draw(job);
                second = world.jurors(job);
                second[..sealed].iter().for_each(|juror| world.seal(*juror, job, RIGHT).unwrap());
                while !world.progress(job).stage.is_terminal() {
                    world.past_deadline(job);
                    world.call(STRANGER, PokeJob { job }).unwrap();
                }
            });
            let mut wanted = as_ruled(kind, &first);
            (0..3).for_each(|_| wanted.extend(silent(STRANGER)));
            wanted.push((PAYOUTS[0], DEPOSIT));
            assert_eq!(owed, sums(wanted), "{kind:?} {from:?} {sealed}");
            assert_eq!(stakes(&world, &second), [(40_000 - SILENT, 0); 3]);
            assert_eq!(stakes(&world, &first), [(40_000, 0); 3]);
            is_over(&world, job);
            is_told_by_events(&world, job);
        }
    }
}

#[test]
fn invariant_18_without_three_others_or_a_draw_in_time_the_first_ruling_stands_and_the_deposit_goes_back() {
    for (kind, from) in COMMITTEES {
        for late in [false, true] {
            // Five workers are too few for two committees beside the job's own.
            let mut world = if late { World::with_two_committees() } else { World::auditing(BasisPoints(10_000)) };
            let (job, first) = world.ruled(kind, from, [WRONG, WRONG, RIGHT]);
            let owed = world.credits_of(|world| {
                world.appeal(job).unwrap();
                world.block += 2;
                if !late {
                    // Whoever is missing now may still come.
                    let (deadline, block) = (world.progress(job).deadline, BlockNumber(world.block));
                    let early = world.call(STRANGER, PokeJob { job });
                    assert_eq!(early, Err(Refusal::NotYetLate { deadline, block }));
                }
                world.past_deadline(job);
                world.call(STRANGER, PokeJob { job }).unwrap();
            });
            let mut wanted = as_ruled(kind, &first[..2]);
            wanted.extend([minority(STRANGER), vec![(PAYOUTS[0], DEPOSIT)]].concat());
            assert_eq!(owed, sums(wanted), "{kind:?} {from:?}");
            assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::HeadMismatch)));
            is_over(&world, job);
            is_told_by_events(&world, job);
        }
    }
}

#[test]
fn an_appeal_for_which_nobody_is_free_waits_for_those_who_become_free() {
    let mut world = World::with_two_committees();
    let (job, first) = world.ruled(DisputeKind::Head, Stage::HeadCommitted, [WRONG; 3]);
    let others: Vec<usize> = world
        .workers()
        .filter(|worker| !first.contains(worker) && Some(account(*worker)) != world.progress(job).worker)
        .collect();
    let set = |world: &mut World, capacity| {
        others.iter().for_each(|worker| world.call(account(*worker), SetCapacity { capacity }).unwrap());
    };
    set(&mut world, 0);
    world.appeal(job).unwrap();
    world.block += 2;
    assert!(matches!(world.call(STRANGER, PokeJob { job }), Err(Refusal::NotYetLate { .. })));
    set(&mut world, 1);
    world.block += 5;
    world.call(STRANGER, PokeJob { job }).unwrap();
    let second = world.jurors(job);
    assert!(second.iter().all(|juror| others.contains(juror)), "{second:?}");
    world.say_all(job, [RIGHT; 3]);
    assert_eq!(stage(&world, job), (Stage::HeadCommitted, Some(Reason::DisputeRejected)));
}

#[test]
fn nobody_hears_an_appeal_who_is_paid_where_one_of_the_first_committee_is() {
    let mut world = World::with_two_committees();
    let (job, first) = world.ruled(DisputeKind::Head, Stage::HeadCommitted, [WRONG; 3]);
    let sibling = world.workers().find(|worker| !first.contains(worker) && *worker != 0 && *worker < 5);
    let sibling = sibling.unwrap();
    world.call(account(sibling), BeginRegistration {}).unwrap();
    let message = world.registration_paid_to(sibling, payout(first[0]));
    world.call(account(sibling), message).unwrap();
    world.appeal(job).unwrap();
    world.block += 2;
    world.call(STRANGER, PokeJob { job }).unwrap();
    assert!(!world.jurors(job).contains(&sibling));
}

#[test]
fn while_its_stake_is_locked_nobody_is_paid_elsewhere_so_a_first_committee_excludes_no_honest_worker_from_the_second() {
    let mut world = World::with_two_committees();
    let (job, first) = world.ruled(DisputeKind::Head, Stage::HeadCommitted, [WRONG; 3]);
    let honest = world.workers().find(|worker| !first.contains(worker) && *worker != 0).unwrap();
    let liar = first[0];
    let locked = world.worker(liar).stake_locked;
    world.call(account(liar), BeginRegistration {}).unwrap();
    let elsewhere = world.registration_paid_to(liar, payout(honest));
    assert_eq!(world.call(account(liar), elsewhere), Err(Refusal::PayoutHeld { locked }));
    // It may register anew as it is.
    let same = world.registration_paid_to(liar, payout(liar));
    world.call(account(liar), same).unwrap();
    world.appeal(job).unwrap();
    world.draw(job);
    world.say_all(job, [RIGHT; 3]);
    is_over(&world, job);
    world.call(account(liar), BeginRegistration {}).unwrap();
    let elsewhere = world.registration_paid_to(liar, payout(honest));
    world.call(account(liar), elsewhere).unwrap();
}
