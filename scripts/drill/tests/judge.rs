//! The judge holds every ending against the refund table, and sees one planck too few or too many.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../../contracts/lifecycle/tests/world/mod.rs"]
mod world;

use encompute_drill::judge::{Judgement, Outcome, Parties, judge};
use encompute_protocol::{
    DisputeKind, JobId, Plancks, Reason, Stage,
    call::{CancelJob, PokeJob, RefuseFeatures},
    event::{Credited, Event},
};
use world::*;

const PARTIES: Parties = Parties { creator: CREATORS[0], treasury: TREASURY };

/// The judgement of a job after `alter` has been at its events. Workers of the world are paid elsewhere than on
/// their own accounts; the drill's are not.
fn judged(world: &World, job: JobId, alter: impl FnOnce(&mut Vec<Event>)) -> Judgement {
    let mut events: Vec<Event> = world.market.events().iter().map(|(_, event)| event.clone()).collect();
    for event in &mut events {
        if let Event::Credited(credit) = event
            && let Some(worker) = PAYOUTS.iter().position(|payout| *payout == credit.account)
        {
            credit.account = WORKERS[worker];
        }
    }
    alter(&mut events);
    judge(job, &world.terms(job), &PARTIES, &events)
}

fn clean(outcome: Outcome, reason: Option<Reason>) -> Judgement {
    Judgement { outcome, reason, lost: Plancks::ZERO, double_payments: 0 }
}

fn late(world: &mut World, job: JobId) {
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
}

#[test]
fn every_ending_by_the_table_is_clean() {
    let mut world = World::new();
    let settled = world.settled();
    let cancelled = world.at_stage(Stage::Cancelled);
    let stopped = world.committed();
    world.call(USERS[0], CancelJob { job: stopped }).unwrap();
    let refused = world.sent();
    world.call(CREATORS[0], RefuseFeatures { job: refused }).unwrap();
    let silent = world.claimed();
    for _ in 0..2 {
        late(&mut world, silent);
        world.claim(1, silent).unwrap();
    }
    late(&mut world, silent);
    let unseen = world.requested();
    late(&mut world, unseen);
    let all = [
        (settled, Outcome::Settled, None),
        (cancelled, Outcome::Refunded, Some(Reason::UserCancelled)),
        (stopped, Outcome::Refunded, Some(Reason::UserCancelled)),
        (refused, Outcome::Refunded, Some(Reason::CreatorRefused)),
        (silent, Outcome::Refunded, Some(Reason::WorkerTimeout)),
        (unseen, Outcome::Refunded, Some(Reason::NoWorker)),
    ];
    for (job, outcome, reason) in all {
        assert_eq!(judged(&world, job, |_| ()), clean(outcome, reason));
    }
}

#[test]
fn every_ruling_of_every_dispute_is_clean_and_a_planck_that_a_juror_lacks_is_lost() {
    use disputes::{RIGHT, WRONG, WRONG_OTHERWISE};
    for verdicts in
        [[WRONG; 3], [WRONG, RIGHT, WRONG], [RIGHT; 3], [RIGHT, WRONG, RIGHT], [RIGHT, WRONG, WRONG_OTHERWISE]]
    {
        let mut world = World::new();
        let job = world.judged(verdicts).0;
        let judgement = judged(&world, job, |_| ());
        assert_eq!((judgement.lost, judgement.double_payments), (Plancks::ZERO, 0), "{verdicts:?}");
        let robbed = judged(&world, job, |events| {
            let at = events.iter().rposition(|event| matches!(event, Event::Credited(_))).unwrap();
            events.remove(at);
        });
        assert!(robbed.lost > Plancks::ZERO, "{verdicts:?}");
    }
    for kind in [DisputeKind::Head, DisputeKind::Missing, DisputeKind::Result] {
        let mut world = World::new();
        let job = world.disputed(kind);
        while !world.progress(job).stage.is_terminal() {
            late(&mut world, job);
        }
        let judgement = judged(&world, job, |_| ());
        assert_eq!((judgement.lost, judgement.double_payments), (Plancks::ZERO, 0), "{kind:?}");
    }
}

#[test]
fn what_is_sent_along_for_a_pruned_job_is_credited_whole() {
    let mut world = World::new();
    let job = world.settled();
    let terms = world.terms(job);
    world.past_keeping(job);
    world.prune(STRANGER, job).unwrap();
    let mut events: Vec<Event> = world.market.events().iter().map(|(_, event)| event.clone()).collect();
    let own = |event: &mut Event| {
        if let Event::Credited(credit) = event
            && credit.account == PAYOUTS[0]
        {
            credit.account = WORKERS[0];
        }
    };
    events.iter_mut().for_each(own);
    assert_eq!(judge(job, &terms, &PARTIES, &events), clean(Outcome::Settled, None));
    events.pop();
    assert!(judge(job, &terms, &PARTIES, &events).lost > Plancks::ZERO);
}

#[test]
fn a_job_that_has_not_ended_is_stuck() {
    let mut world = World::new();
    let job = world.sent();
    assert_eq!(judged(&world, job, |_| ()), clean(Outcome::Stuck, None));
}

#[test]
fn a_planck_that_was_not_credited_is_lost_and_one_too_many_is_a_double_payment() {
    let mut world = World::new();
    let job = world.settled();
    let change = |by: fn(u128) -> u128| {
        judged(&world, job, |events| {
            let credit = events.iter_mut().find_map(|event| match event {
                Event::Credited(credit) => Some(credit),
                _ => None,
            });
            let amount = &mut credit.unwrap().amount;
            *amount = Plancks(by(amount.0));
        })
    };
    assert_eq!(change(|amount| amount - 1).lost, Plancks(1));
    assert_eq!(change(|amount| amount + 1).double_payments, 1);
    let twice = judged(&world, job, |events| {
        let paid: Vec<Event> = events.iter().filter(|event| matches!(event, Event::Credited(_))).cloned().collect();
        events.extend(paid);
    });
    assert_eq!((twice.lost, twice.double_payments), (Plancks::ZERO, 4));
}

#[test]
fn money_that_went_to_somebody_else_is_lost_and_paid_too_much() {
    let mut world = World::new();
    let job = world.settled();
    let stolen = judged(&world, job, |events| {
        let tail =
            |event: &&mut Event| matches!(event, Event::Credited(Credited { account, .. }) if *account == CREATORS[0]);
        if let Some(Event::Credited(credit)) = events.iter_mut().find(tail) {
            credit.account = STRANGER;
        }
    });
    assert_eq!((stolen.lost, stolen.double_payments), (Plancks(2_001), 1));
}
