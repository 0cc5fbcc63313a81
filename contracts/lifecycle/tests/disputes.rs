//! Disputes, kind by kind, with the money of every ruling to the last planck.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{Refusal, dispute::Heard, price};
use encompute_protocol::{
    BasisPoints, Blocks, DisputeKind, JobId, Params, Plancks, PolicyId, Reason, SplitIndex, Stage, VersionId, call::*,
    dispute::Proceeding, event::Event,
};
use std::collections::BTreeSet;
use world::{disputes::*, *};

/// With the tip.
const ESCROW: u128 = HEAD + TAIL + PROTOCOL + 13;
const STAKE: u128 = 3_406;
/// ⌊7.07 %⌋ and ⌊33.31 %⌋ of the stake, and a half, a fifth and the rest of each.
const SILENT: u128 = 240;
const SILENT_PARTS: [u128; 3] = [120, 48, 72];
const MINORITY: u128 = 1_134;
const MINORITY_PARTS: [u128; 3] = [567, 226, 341];

/// What a dispute of a committed head credits, given what its committee says, and the job behind it.
fn ruled(verdicts: [encompute_protocol::Verdict; 3]) -> (World, JobId, Vec<usize>, Owed) {
    let mut world = World::new();
    let (mut job, mut jurors) = (JobId(0), Vec::new());
    let owed = world.credits_of(|world| (job, jurors) = world.judged(verdicts));
    is_over(&world, job);
    (world, job, jurors, owed)
}

#[test]
fn a_head_that_all_find_wrong_costs_the_worker_its_stake_and_the_user_nothing() {
    let (world, job, jurors, owed) = ruled([WRONG; 3]);
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::HeadMismatch)));
    let (user, each) = (STAKE / 2, HEAD / 3);
    let mut wanted = vec![(USERS[0], ESCROW + 2 * HEAD + user), (TREASURY, STAKE - user - 3 * each)];
    wanted.extend(jurors.iter().map(|juror| (PAYOUTS[*juror], each)));
    assert_eq!(owed, sorted(wanted));
    assert_eq!(world.worker(0).stake, Plancks(40_000 - STAKE));
    assert_eq!(world.worker(0).stake_locked, Plancks::ZERO);
    for juror in jurors {
        assert_eq!((world.worker(juror).stake, world.worker(juror).stake_locked), (Plancks(40_000), Plancks::ZERO));
    }
}

#[test]
fn a_head_that_two_find_wrong_for_the_same_reason_is_wrong_and_the_third_is_slashed() {
    for third in [RIGHT, WRONG_OTHERWISE] {
        let (world, job, jurors, owed) = ruled([WRONG, third, WRONG]);
        assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::HeadMismatch)));
        let (user, each) = (STAKE / 2, HEAD / 2);
        let last = PAYOUTS[jurors[2]];
        // Who says that nobody has appealed in time makes the call that ends it: a fifth of the slash is its own.
        let wanted = vec![
            (USERS[0], ESCROW + 2 * HEAD + user + MINORITY_PARTS[0]),
            (STRANGER, MINORITY_PARTS[1]),
            (TREASURY, STAKE - user - 2 * each + MINORITY_PARTS[2]),
            (PAYOUTS[jurors[0]], each),
            (last, each),
        ];
        assert_eq!(owed, sorted(wanted));
        assert_eq!(world.worker(jurors[1]).stake, Plancks(40_000 - MINORITY));
    }
}

#[test]
fn a_dispute_without_ground_costs_the_user_its_deposit_and_the_job_goes_on_with_what_was_left_of_its_window() {
    let mut world = World::new();
    let job = world.committed();
    world.block += 7;
    let left = world.progress(job).deadline.0 - world.block;
    let mut jurors = Vec::new();
    let owed = world.credits_of(|world| {
        world.open_dispute(USERS[0], job, DisputeKind::Head).unwrap();
        world.block += 2;
        world.call(STRANGER, PokeJob { job }).unwrap();
        jurors = world.jurors(job);
        jurors.clone().into_iter().for_each(|juror| world.seal(juror, job, RIGHT).unwrap());
        world.block += 31;
        jurors.clone().into_iter().for_each(|juror| world.reveal(juror, job, RIGHT).unwrap());
    });
    is_over(&world, job);
    assert_eq!(stage(&world, job), (Stage::HeadCommitted, Some(Reason::DisputeRejected)));
    assert_eq!(world.progress(job).deadline.0, world.block + left);
    let each = HEAD / 3;
    let mut wanted = vec![(PAYOUTS[0], HEAD / 2), (TREASURY, 2 * HEAD - 3 * each - HEAD / 2)];
    wanted.extend(jurors.iter().map(|juror| (PAYOUTS[*juror], each)));
    assert_eq!(owed, sorted(wanted));
    // The worker's stake is still the job's, which goes on and settles.
    assert_eq!(world.worker(0).stake_locked, Plancks(STAKE));
    let again = world.open_dispute(USERS[0], job, DisputeKind::Head);
    assert_eq!(again, Err(Refusal::DisputedBefore { kind: DisputeKind::Head }));
    let (features, result) = (world.digest(), world.digest());
    world.call(USERS[0], SendFeatures { job, policy: PolicyId(1), features }).unwrap();
    world.call(CREATORS[0], CommitResult { job, result }).unwrap();
    world.call(USERS[0], AcceptResult { job }).unwrap();
    assert_eq!(stage(&world, job).0, Stage::Settled);
}

#[test]
fn invariant_18_where_no_two_agree_the_head_stands_and_the_deposit_goes_back() {
    let (world, job, jurors, owed) = ruled([WRONG, RIGHT, WRONG_OTHERWISE]);
    assert_eq!(stage(&world, job), (Stage::HeadCommitted, Some(Reason::ArbiterTimeout)));
    assert_eq!(owed, [(USERS[0], 2 * HEAD)]);
    assert!(jurors.iter().all(|juror| world.worker(*juror).stake == Plancks(40_000)), "nobody is slashed");
}

#[test]
fn invariant_18_a_committee_that_says_nothing_is_slashed_and_the_head_stands() {
    let mut world = World::new();
    let (job, jurors) = world.drawn();
    world.seal(jurors[0], job, WRONG).unwrap();
    world.past_deadline(job);
    let owed = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    is_over(&world, job);
    assert_eq!(stage(&world, job), (Stage::HeadCommitted, Some(Reason::ArbiterTimeout)));
    let [user, poker, treasury] = SILENT_PARTS.map(|part| 3 * part);
    assert_eq!(owed, sorted(vec![(USERS[0], 2 * HEAD + user), (STRANGER, poker), (TREASURY, treasury)]));
    assert!(jurors.iter().all(|juror| world.worker(*juror).stake == Plancks(40_000 - SILENT)));
}

#[test]
fn two_who_reveal_the_same_are_most_though_the_third_is_silent() {
    let mut world = World::new();
    let (job, jurors) = world.drawn();
    jurors[..2].iter().for_each(|juror| world.seal(*juror, job, WRONG).unwrap());
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
    assert!(matches!(world.dispute(job).proceeding, Proceeding::Revealing(_)));
    let unsealed = world.reveal(jurors[2], job, WRONG);
    assert_eq!(unsealed, Err(Refusal::WrongSeal));
    jurors[..2].iter().for_each(|juror| world.reveal(*juror, job, WRONG).unwrap());
    world.let_stand(job);
    is_over(&world, job);
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::HeadMismatch)));
    assert_eq!(world.worker(jurors[2]).stake, Plancks(40_000 - SILENT));
}

#[test]
fn invariant_18_without_three_who_can_judge_the_head_stands() {
    let mut world = World::new();
    for worker in [WORKERS[1], WORKERS[2]] {
        world.call(worker, SetCapacity { capacity: 0 }).unwrap();
    }
    let job = world.disputed(DisputeKind::Head);
    world.block += 2;
    let owed = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    assert_eq!(owed, [(USERS[0], 2 * HEAD)]);
    assert_eq!(stage(&world, job), (Stage::HeadCommitted, Some(Reason::ArbiterTimeout)));
    is_over(&world, job);
}

#[test]
fn invariant_18_a_committee_that_nobody_draws_in_time_is_none() {
    let mut world = World::new();
    let job = world.disputed(DisputeKind::Head);
    world.past_deadline(job);
    let owed = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    assert_eq!(owed, [(USERS[0], 2 * HEAD)]);
    assert_eq!(stage(&world, job), (Stage::HeadCommitted, Some(Reason::ArbiterTimeout)));
}

#[test]
fn invariant_19_a_committee_has_neither_the_jobs_worker_nor_its_user_nor_anybody_twice() {
    let mut drawn = BTreeSet::new();
    for more in 0..200 {
        let mut world = World::new();
        world.block += more;
        let (job, jurors) = world.drawn();
        let known: BTreeSet<_> = jurors.iter().copied().collect();
        assert_eq!(known.len(), 3);
        assert!(!known.contains(&0), "the job's own worker");
        for juror in &jurors {
            assert_eq!(world.worker(*juror).stake_locked, world.terms(job).job_stake);
            assert_eq!(world.worker(*juror).in_flight, 0, "judging takes no place");
        }
        drawn.insert(jurors);
    }
    assert_eq!(drawn.len(), 24, "every order of every three of four comes up");

    // A worker that buys, or is paid where the disputed worker is, judges nothing of its own.
    let mut world = World::new();
    let message = world.request_message(VersionId(1), SplitIndex(0));
    let job = world.send_request(WORKERS[1], message).unwrap();
    world.claim(0, job).unwrap();
    let message = world.commitment(0, job);
    world.call(WORKERS[0], message).unwrap();
    world.open_dispute(WORKERS[1], job, DisputeKind::Head).unwrap();
    world.block += 2;
    world.call(STRANGER, PokeJob { job }).unwrap();
    assert_eq!(world.jurors(job).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([2, 3, 4]));
}

#[test]
fn who_knows_the_hash_moves_nobody_elses_place_by_withdrawing_workers_or_bringing_new_ones() {
    for kind in [DisputeKind::Head, DisputeKind::Witness] {
        let mut world = World::auditing(BasisPoints(0)).with_more();
        let job = world.disputed(kind);
        world.block += 2;
        let drawn = |mut world: World| {
            world.call(STRANGER, PokeJob { job }).unwrap();
            world.jurors(job).into_iter().collect::<BTreeSet<usize>>()
        };
        let all = drawn(world.clone());
        for worker in world.workers() {
            let mut without = world.clone();
            without.call(account(worker), SetCapacity { capacity: 0 }).unwrap();
            let found = drawn(without);
            let stay: BTreeSet<usize> = all.iter().copied().filter(|juror| *juror != worker).collect();
            assert!(found.len() == 3 && found.is_superset(&stay), "{kind:?} without {worker}: {found:?}, not {all:?}");
        }
        for worker in world.workers().filter(|worker| !all.contains(worker)) {
            let mut with = world.clone();
            with.pay(account(worker), Plancks(1), AddStake {}).unwrap();
            assert_eq!(drawn(with), all, "{kind:?}");
        }
    }
}

#[test]
fn a_committee_is_not_drawn_before_the_block_that_decides_is_known() {
    let mut world = World::new();
    let job = world.disputed(DisputeKind::Head);
    let decides = world.dispute(job).opened_at.0 + 1;
    for block in [decides - 1, decides] {
        world.block = block;
        let early = world.call(STRANGER, PokeJob { job });
        let (deadline, block) = (encompute_protocol::BlockNumber(decides), encompute_protocol::BlockNumber(block));
        assert_eq!(early, Err(Refusal::NotYetLate { deadline, block }));
    }
    world.block = decides + 1;
    world.call(STRANGER, PokeJob { job }).unwrap();
}

#[test]
fn a_verdict_is_sealed_once_by_its_own_juror_and_revealed_as_it_was_sealed() {
    let mut world = World::new();
    let (job, jurors) = world.drawn();
    let outsider = (1..WORKERS.len()).find(|worker| !jurors.contains(worker)).unwrap();
    assert_eq!(world.seal(outsider, job, RIGHT), Err(Refusal::NotJuror { caller: WORKERS[outsider] }));
    assert_eq!(world.reveal(jurors[0], job, RIGHT), Err(Refusal::WrongStep), "nothing is revealed while others seal");
    world.seal(jurors[0], job, RIGHT).unwrap();
    assert_eq!(world.seal(jurors[0], job, WRONG), Err(Refusal::VerdictTwice));
    // A seal that is copied says nothing: it names its juror.
    let copied = world.seal_message(jurors[0], job, RIGHT);
    world.call(WORKERS[jurors[1]], copied).unwrap();
    world.seal(jurors[2], job, RIGHT).unwrap();
    assert_eq!(world.seal(jurors[2], job, RIGHT), Err(Refusal::WrongStep));
    assert_eq!(world.reveal(jurors[1], job, RIGHT), Err(Refusal::WrongSeal));
    assert_eq!(world.reveal(jurors[0], job, WRONG), Err(Refusal::WrongSeal));
    world.reveal(jurors[0], job, RIGHT).unwrap();
    assert_eq!(world.reveal(jurors[0], job, RIGHT), Err(Refusal::VerdictTwice));
    let late = world.progress(job).deadline;
    world.block = late.0 + 1;
    let block = encompute_protocol::BlockNumber(world.block);
    assert_eq!(world.reveal(jurors[2], job, RIGHT), Err(Refusal::TooLate { deadline: late, block }));
}

#[test]
fn a_head_is_disputed_in_the_challenge_window_for_exactly_the_deposit() {
    let mut world = World::new();
    let job = world.committed();
    for found in [0, 2 * HEAD - 1, 2 * HEAD + 1] {
        let refused = world.pay(USERS[0], Plancks(found), OpenDispute { job, kind: DisputeKind::Head, evidence: None });
        assert_eq!(refused, Err(Refusal::DepositMismatch { found: Plancks(found), wanted: Plancks(2 * HEAD) }));
    }
    let mut last = world.clone();
    last.block += params().windows.challenge.0;
    last.open_dispute(USERS[0], job, DisputeKind::Head).unwrap();
    world.block += params().windows.challenge.0 + 1;
    let late = world.open_dispute(USERS[0], job, DisputeKind::Head);
    assert!(matches!(late, Err(Refusal::TooLate { .. })), "{late:?}");
    // A blob can be missed as long as it is needed.
    world.open_dispute(USERS[0], job, DisputeKind::Missing).unwrap();
}

#[test]
fn code_revoked_after_it_committed_gives_everything_back_at_once_and_costs_nobody_anything() {
    let mut world = World::new();
    let job = world.committed();
    let kind = DisputeKind::Attestation;
    assert_eq!(world.open_dispute(USERS[0], job, kind), Err(Refusal::NoGround));
    // Other code than the one that ran says nothing.
    world.call(GOVERNOR, RevokeMeasurement { measurement: MEASUREMENTS[1] }).unwrap();
    assert_eq!(world.open_dispute(USERS[0], job, kind), Err(Refusal::NoGround));
    world.call(GOVERNOR, RevokeMeasurement { measurement: MEASUREMENTS[0] }).unwrap();
    let owed = world.credits_of(|world| world.open_dispute(USERS[0], job, kind).unwrap());
    assert_eq!(owed, [(USERS[0], ESCROW)]);
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::MeasurementRevoked)));
    assert_eq!((world.worker(0).stake, world.worker(0).stake_locked), (Plancks(40_000), Plancks::ZERO));
    is_over(&world, job);
}

#[test]
fn a_machine_revoked_after_it_committed_gives_everything_back_whatever_machine_the_worker_is_on_by_then() {
    let mut world = World::new();
    let job = world.committed();
    world.moves_to(1, 0);
    let kind = DisputeKind::Attestation;
    world.call(GOVERNOR, RevokePlatform { platform: PLATFORMS[1] }).unwrap();
    assert_eq!(world.open_dispute(USERS[0], job, kind), Err(Refusal::NoGround), "it did not run there");
    world.call(GOVERNOR, RevokePlatform { platform: PLATFORMS[0] }).unwrap();
    let owed = world.credits_of(|world| world.open_dispute(USERS[0], job, kind).unwrap());
    assert_eq!(owed, [(USERS[0], ESCROW)]);
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::PlatformRevoked)));
    assert_eq!((world.worker(0).stake, world.worker(0).stake_locked), (Plancks(40_000), Plancks::ZERO));
    is_over(&world, job);
}

#[test]
fn a_worker_that_registers_other_code_after_it_committed_does_not_hide_what_ran() {
    let mut world = World::new();
    let job = world.committed();
    let account = WORKERS[0];
    world.call(account, BeginRegistration {}).unwrap();
    let message = world.registration_of(1, 0, world.block + 9_000);
    assert_ne!(message.measurement, MEASUREMENTS[0]);
    world.call(account, message).unwrap();
    world.call(GOVERNOR, RevokeMeasurement { measurement: MEASUREMENTS[0] }).unwrap();
    world.open_dispute(USERS[0], job, DisputeKind::Attestation).unwrap();
    assert_eq!(stage(&world, job).0, Stage::Failed);
}

#[test]
fn while_a_job_is_disputed_nothing_else_happens_to_it() {
    let kinds =
        [DisputeKind::Head, DisputeKind::Missing, DisputeKind::Result, DisputeKind::Witness, DisputeKind::Quote];
    for kind in kinds {
        let mut world = World::new();
        let job = world.disputed(kind);
        let found = Stage::Disputed(kind);
        let (features, result) = (world.digest(), world.digest());
        let wrong = |wanted| Err(Refusal::WrongStage { found, wanted });
        assert_eq!(world.call(USERS[0], CancelJob { job }), wrong(Stage::HeadCommitted));
        assert_eq!(world.call(USERS[0], AcceptResult { job }), wrong(Stage::ResultCommitted));
        assert_eq!(world.claim(1, job), wrong(Stage::Requested));
        assert_eq!(world.call(CREATORS[0], CommitResult { job, result }), wrong(Stage::FeaturesSent));
        let sent = world.call(USERS[0], SendFeatures { job, policy: PolicyId(1), features });
        assert_eq!(sent, wrong(Stage::HeadCommitted));
        let twice = world.open_dispute(USERS[0], job, kind);
        assert!(matches!(twice, Err(Refusal::WrongStage { .. })), "{twice:?}");
    }
}

#[test]
fn a_locked_jurors_stake_cannot_be_asked_back_before_the_ruling() {
    let mut world = World::new();
    let (_, jurors) = world.drawn();
    let free = world.worker(jurors[0]).stake.0 - STAKE;
    let asked = world.call(WORKERS[jurors[0]], AskStake { amount: Plancks(free + 1) });
    assert_eq!(asked, Err(Refusal::AskedTooMuch { found: Plancks(free + 1), free: Plancks(free) }));
    world.call(WORKERS[jurors[0]], AskStake { amount: Plancks(free) }).unwrap();
}

#[test]
fn unbonding_takes_longer_than_the_longest_job_with_all_its_disputes() {
    let params = price::default_params(TREASURY);
    let windows = params.windows;
    let without = price::longest_job(&encompute_protocol::Windows { dispute: Blocks(0), ..windows });
    assert!(price::longest_job(&windows) >= without + 24 * u64::from(windows.dispute.0));
    assert!(u64::from(params.unbonding.0) > price::longest_job(&windows));
    let short = Params { unbonding: Blocks(price::longest_job(&windows) as u32), ..params };
    let refused = price::check_params(&short);
    assert!(matches!(
        refused,
        Err(Refusal::ParamOutOfBounds { param: encompute_lifecycle::refusal::Param::Unbonding, .. })
    ));
    price::check_params(&Params { unbonding: Blocks(short.unbonding.0 + 1), ..short }).unwrap();
}

#[test]
fn the_longest_job_that_can_be_made_ends_within_what_unbonding_waits_for() {
    let mut world = World::auditing(encompute_protocol::BasisPoints(10_000)).with_more();
    let job = world.requested();
    let began = world.block;
    for _ in 0..3 {
        world.block = world.progress(job).deadline.0;
        world.claim(0, job).unwrap();
        if world.progress(job).timeouts < Params::RETRIES {
            world.past_deadline(job);
            world.call(STRANGER, PokeJob { job }).unwrap();
        }
    }
    let at_its_end = |world: &mut World| world.block = world.progress(job).deadline.0;
    at_its_end(&mut world);
    let message = world.commitment(0, job);
    world.call(WORKERS[0], message).unwrap();
    // An audit is opened once its hash is known.
    world.block += 2;
    for kind in [DisputeKind::Audit, DisputeKind::Witness, DisputeKind::Head] {
        world.open_dispute(USERS[0], job, kind).unwrap();
        at_its_end(&mut world);
        // Registrations do not last as long.
        (1..WORKERS.len()).for_each(|worker| world.register(worker, Plancks::ZERO).unwrap());
        world.call(STRANGER, PokeJob { job }).unwrap();
        for verdict in [WRONG, RIGHT] {
            let jurors = world.jurors(job);
            at_its_end(&mut world);
            jurors.iter().for_each(|juror| world.seal(*juror, job, verdict).unwrap());
            at_its_end(&mut world);
            jurors.iter().for_each(|juror| world.reveal(*juror, job, verdict).unwrap());
            if verdict == WRONG {
                at_its_end(&mut world);
                world.appeal(job).unwrap();
                at_its_end(&mut world);
                (1..=3).for_each(|number| world.joins(number, Plancks::ZERO).unwrap());
                world.call(STRANGER, PokeJob { job }).unwrap();
            }
        }
        // The challenge window begins anew.
        world.block = world.progress(job).deadline.0.min(world.block + params().windows.challenge.0);
    }
    at_its_end(&mut world);
    world.open_dispute(USERS[0], job, DisputeKind::Missing).unwrap();
    at_its_end(&mut world);
    let message = world.posting(job);
    world.call(WORKERS[0], message).unwrap();
    at_its_end(&mut world);
    world.open_dispute(STRANGER, job, DisputeKind::Quote).unwrap();
    at_its_end(&mut world);
    let message = world.quote_for(job);
    world.call(WORKERS[0], message).unwrap();
    at_its_end(&mut world);
    let (features, result) = (world.digest(), world.digest());
    world.call(USERS[0], SendFeatures { job, policy: PolicyId(1), features }).unwrap();
    at_its_end(&mut world);
    world.call(CREATORS[0], CommitResult { job, result }).unwrap();
    for kind in [DisputeKind::Missing, DisputeKind::Result] {
        at_its_end(&mut world);
        world.open_dispute(USERS[0], job, kind).unwrap();
        at_its_end(&mut world);
        let message = world.posting(job);
        world.call(CREATORS[0], message).unwrap();
    }
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
    let (took, longest) = (u64::from(world.block - began), price::longest_job(&params().windows));
    assert!(took <= longest + 4, "{took} blocks, {longest} at most");
    assert!(took + 60 > longest, "the bound is not far from what can be: {took} of {longest}");
}

#[test]
fn disputes_are_heard_from_events_as_they_were_ruled() {
    for (verdicts, winners) in [([WRONG; 3], 3), ([RIGHT, WRONG, RIGHT], 2), ([RIGHT, WRONG, WRONG_OTHERWISE], 0)] {
        let (world, job, jurors, _) = ruled(verdicts);
        let events = world.market.events().iter().map(|(_, event)| event).filter(|event| event.job() == Some(job));
        let events: Vec<&Event> = events.collect();
        let heard = Heard::all(events.iter().copied());
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0].jurors, jurors.iter().map(|juror| WORKERS[*juror]).collect::<Vec<_>>());
        assert_eq!((heard[0].winners().len(), heard[0].from), (winners, Stage::HeadCommitted));
        let credited = events.iter().filter_map(|event| match event {
            Event::Credited(credit) if credit.cause == encompute_protocol::event::Cause::Deposit => {
                Some(credit.amount.0)
            }
            _ => None,
        });
        let money = heard[0].settlement(&world.terms(job)).unwrap();
        let deposits = money.lines.iter().filter(|line| line.cause == encompute_protocol::event::Cause::Deposit);
        assert_eq!(credited.sum::<u128>(), deposits.map(|line| line.amount.0).sum::<u128>());
    }
}
