//! What a ruling is until it stands: who may appeal from it, when and for how much, and who hears it then.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{Ledger, ReadState, Refusal};
use encompute_protocol::{
    Address, BlockNumber, DisputeKind, Plancks, Reason, Stage,
    call::*,
    dispute::{FormerJuror, Opinion, Proceeding},
    event::Event,
};
use std::collections::BTreeSet;
use world::{
    appeals::{COMMITTEES, heard, stakes},
    disputes::*,
    *,
};

const STAKE: u128 = 3_406;
/// What an appeal takes.
const DEPOSIT: u128 = 3 * HEAD;

#[test]
fn a_ruling_takes_nothing_and_gives_nothing_for_a_window() {
    for (kind, from) in COMMITTEES {
        let mut world = World::with_two_committees();
        let mut found = None;
        let job = if kind == DisputeKind::Audit { world.audited(from) } else { world.disputed(kind) };
        world.draw(job);
        let owed = world.credits_of(|world| found = Some(world.say_all(job, [WRONG, RIGHT, WRONG_OTHERWISE])));
        assert!(!world.is_ruled(job) && !owed.is_empty(), "no two agree: that is no ruling");

        let mut world = World::with_two_committees();
        let (job, jurors) = world.ruled(kind, from, [WRONG, RIGHT, WRONG]);
        assert_eq!(stage(&world, job), (Stage::Disputed(kind), Some(Reason::HeadMismatch)));
        let opinions = [Opinion::Wrong, Opinion::Right, Opinion::Wrong];
        let former: Vec<_> = jurors.iter().map(|juror| account(*juror)).zip(opinions).collect();
        let record = world.dispute(job);
        assert_eq!(
            record.former_jurors(),
            former
                .iter()
                .map(|(account, opinion)| FormerJuror { account: *account, opinion: *opinion })
                .collect::<Vec<_>>()
        );
        assert_eq!(world.progress(job).deadline.0, world.block + params().windows.dispute.0);
        assert_eq!(stakes(&world, &jurors), vec![(40_000, STAKE); 3]);
        assert_eq!(
            (world.worker(0).stake.0, world.worker(0).stake_locked.0, world.worker(0).mismatches),
            (40_000, STAKE, 0)
        );
        // Nobody hurries it.
        let deadline = world.progress(job).deadline;
        for block in [world.block, deadline.0] {
            world.block = block;
            let early = world.call(STRANGER, PokeJob { job });
            assert_eq!(early, Err(Refusal::NotYetLate { deadline, block: BlockNumber(block) }));
        }
        assert!(heard(&world, job)[0].holds_stake() && heard(&world, job)[0].ended.is_none());
    }
}

#[test]
fn an_appeal_is_the_workers_alone_in_its_window_for_exactly_its_deposit_and_once() {
    for (kind, from) in COMMITTEES {
        let mut world = World::with_two_committees();
        let job = if kind == DisputeKind::Audit { world.audited(from) } else { world.disputed(kind) };
        assert_eq!(world.appeal(job), Err(Refusal::WrongStep), "while the committee is to be drawn");
        world.draw(job);
        assert_eq!(world.appeal(job), Err(Refusal::WrongStep), "while verdicts are sealed");
        let jurors = world.jurors(job);
        jurors.iter().for_each(|juror| world.seal(*juror, job, WRONG).unwrap());
        assert_eq!(world.appeal(job), Err(Refusal::WrongStep), "while verdicts are revealed");
        jurors.iter().for_each(|juror| world.reveal(*juror, job, WRONG).unwrap());
        for caller in [USERS[0], CREATORS[0], PAYOUTS[0], TREASURY, account(jurors[0]), STRANGER] {
            let refused = world.appeal_from(caller, job);
            assert_eq!(refused, Err(Refusal::NotYourJob { caller, wanted: WORKERS[0] }));
        }
        for found in [0, HEAD, DEPOSIT - 1, DEPOSIT + 1] {
            let refused = world.pay(WORKERS[0], Plancks(found), AppealRuling { job });
            assert_eq!(refused, Err(Refusal::DepositMismatch { found: Plancks(found), wanted: Plancks(DEPOSIT) }));
        }
        let deadline = world.progress(job).deadline;
        let mut late = world.clone();
        late.block = deadline.0 + 1;
        assert_eq!(late.appeal(job), Err(Refusal::TooLate { deadline, block: BlockNumber(late.block) }));
        late.let_stand(job);
        assert_eq!(late.appeal(job), Err(Refusal::JobEnded { found: Stage::Failed }));
        world.block = deadline.0;
        let before = world.market.totals();
        world.appeal(job).unwrap();
        assert_eq!(world.market.totals().deposits.0, before.deposits.0 + DEPOSIT);
        assert_eq!(world.progress(job).deadline.0, world.block + params().windows.dispute.0);
        for step in 0..3 {
            assert_eq!(world.appeal(job), Err(Refusal::AppealedBefore { job }), "{step}");
            match step {
                0 => world.draw(job),
                1 => world.jurors(job).iter().for_each(|juror| world.seal(*juror, job, RIGHT).unwrap()),
                _ => world.jurors(job).iter().for_each(|juror| world.reveal(*juror, job, RIGHT).unwrap()),
            }
        }
        let refused = world.appeal(job);
        assert!(matches!(refused, Err(Refusal::WrongStage { .. })), "{refused:?}");
    }
}

#[test]
fn what_the_chain_knows_itself_has_no_appeal() {
    for kind in [DisputeKind::Missing, DisputeKind::Result] {
        let mut world = World::with_two_committees();
        let job = world.disputed(kind);
        let refused =
            Err(Refusal::WrongStage { found: Stage::Disputed(kind), wanted: Stage::Disputed(DisputeKind::Head) });
        assert_eq!(world.appeal(job), refused);
        world.past_deadline(job);
        assert_eq!(world.appeal(job), refused);
        world.call(STRANGER, PokeJob { job }).unwrap();
        assert_eq!(stage(&world, job).0, Stage::Failed, "at once");
    }
    let mut world = World::with_two_committees();
    let job = world.claimed();
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
    assert_eq!(world.worker(0).timeouts, 1, "at once");
}

#[test]
fn invariant_19_a_second_committee_has_none_of_the_first_and_neither_the_jobs_parties() {
    for (kind, from) in COMMITTEES {
        let mut seen = BTreeSet::new();
        for more in 0..12 {
            let mut world = World::with_two_committees();
            world.block += more;
            let (job, first) = world.ruled(kind, from, [WRONG; 3]);
            world.appeal(job).unwrap();
            let decides = world.block + 1;
            let early = world.call(STRANGER, PokeJob { job });
            assert_eq!(
                early,
                Err(Refusal::NotYetLate { deadline: BlockNumber(decides), block: BlockNumber(world.block) })
            );
            world.draw(job);
            let second = world.jurors(job);
            let both: BTreeSet<_> = first.iter().chain(&second).copied().collect();
            assert!(both.len() == 6 && !both.contains(&0), "{first:?} {second:?}");
            if kind != DisputeKind::Head {
                let machines: BTreeSet<_> = second.iter().map(|juror| world.worker(*juror).platform).collect();
                assert!(machines.len() == 3 && !machines.contains(&PLATFORMS[0]));
            }
            // All six have a job's stake locked, and none of it leaves.
            for juror in both {
                assert_eq!(world.worker(juror).stake_locked.0, STAKE);
                let asked = world.call(account(juror), AskStake { amount: Plancks(40_001 - STAKE) });
                assert!(matches!(asked, Err(Refusal::AskedTooMuch { .. })), "{asked:?}");
            }
            // Who has spoken does not speak again.
            let refused = Refusal::NotJuror { caller: account(first[0]) };
            assert_eq!(world.seal(first[0], job, WRONG), Err(refused));
            world.say_all(job, [RIGHT; 3]);
            let dispute = &heard(&world, job)[0];
            let places = |jurors: &[Address]| jurors.iter().map(|juror| world.place(*juror)).collect::<Vec<_>>();
            assert_eq!((places(dispute.first()), places(dispute.second())), (first, second.clone()));
            let committees: Vec<_> = dispute.committees().collect();
            assert!(
                committees.len() == 2 && committees.iter().all(|(jurors, machines)| jurors.len() == machines.len())
            );
            seen.insert(second);
        }
        assert!(seen.len() > 6, "{kind:?}: {seen:?}");
    }
}

#[test]
fn each_dispute_of_a_job_has_an_appeal_of_its_own() {
    let mut world = World::with_two_committees();
    let (job, _) = world.ruled(DisputeKind::Audit, Stage::HeadCommitted, [WRONG; 3]);
    for kind in [None, Some(DisputeKind::Witness), Some(DisputeKind::Head)] {
        if let Some(kind) = kind {
            world.open_dispute(USERS[0], job, kind).unwrap();
            world.draw(job);
            world.say_all(job, [WRONG; 3]);
        }
        world.appeal(job).unwrap();
        world.draw(job);
        world.say_all(job, [RIGHT; 3]);
        assert_eq!(world.progress(job).stage, Stage::HeadCommitted);
    }
    assert_eq!(heard(&world, job).iter().filter(|heard| heard.appealed.is_some()).count(), 3);
    world.act(job, Stage::HeadCommitted, 0).unwrap();
    is_over(&world, job);
}

#[test]
fn seals_and_words_of_a_second_committee_are_those_of_a_first() {
    let mut world = World::with_two_committees();
    let (job, _) = world.ruled(DisputeKind::Head, Stage::HeadCommitted, [WRONG; 3]);
    world.appeal(job).unwrap();
    world.draw(job);
    let second = world.jurors(job);
    assert!(matches!(world.dispute(job).proceeding, Proceeding::Sealing(_)));
    assert_eq!(world.reveal(second[0], job, RIGHT), Err(Refusal::WrongStep));
    second.iter().for_each(|juror| world.seal(*juror, job, RIGHT).unwrap());
    assert_eq!(world.reveal(second[0], job, WRONG), Err(Refusal::WrongSeal));
    world.reveal(second[0], job, RIGHT).unwrap();
    assert_eq!(world.reveal(second[0], job, RIGHT), Err(Refusal::VerdictTwice));
    world.past_deadline(job);
    let late = world.reveal(second[1], job, RIGHT);
    assert!(matches!(late, Err(Refusal::TooLate { .. })), "{late:?}");
}

#[test]
fn a_ledger_without_the_workers_appeal_is_found_to_be_wrong() {
    for verdict in [RIGHT, WRONG] {
        let mut world = World::with_two_committees();
        let (job, _) = world.ruled(DisputeKind::Witness, Stage::HeadCommitted, [WRONG; 3]);
        world.appeal(job).unwrap();
        world.draw(job);
        world.say_all(job, [verdict; 3]);
        let all = world.market.events().to_vec();
        assert_eq!(Ledger::replay(&all).unwrap().imbalances().count(), 0);
        let without: Vec<_> =
            all.iter().filter(|(_, event)| !matches!(event, Event::RulingAppealed(_))).cloned().collect();
        assert!(Ledger::replay(&without).is_err(), "credits of a deposit that nobody staked");
        let mut more = all;
        for (_, event) in &mut more {
            if let Event::RulingAppealed(appealed) = event {
                appealed.deposit.0 += 1;
            }
        }
        assert_eq!(Ledger::replay(&more).unwrap().imbalances().count(), 1, "a planck of it is nobody's");
    }
}
