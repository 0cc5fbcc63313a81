//! The books refuse events that contradict each other, each by its own name.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{Ledger, ledger::LedgerError};
use encompute_protocol::{
    BlockNumber, JobId, Plancks, Stage,
    event::{Cause, Credited, Event, JobStageChanged, Movement, StakeMoved, Withdrawn},
};
use world::*;

type Events = Vec<(BlockNumber, Event)>;

fn settled() -> Events {
    let mut world = World::new();
    world.settled();
    world.market.events().to_vec()
}

fn error(alter: impl FnOnce(&mut Events)) -> LedgerError {
    let mut events = settled();
    alter(&mut events);
    Ledger::replay(&events).unwrap_err().1
}

fn stage(events: &mut Events, to: Stage) -> &mut JobStageChanged {
    events
        .iter_mut()
        .find_map(|(_, event)| match event {
            Event::JobStageChanged(step) if step.to == to => Some(step),
            _ => None,
        })
        .unwrap()
}

#[test]
fn an_honest_history_replays() {
    let ledger = Ledger::replay(&settled()).unwrap();
    assert_eq!(ledger.imbalances().count(), 0);
    assert!(ledger.jobs[&JobId(1)].has_ended());
}

#[test]
fn histories_with_one_contradiction_are_refused_by_it() {
    let job = JobId(1);
    let last = |events: &Events| events.last().unwrap().0;
    let append = |event: Event| {
        move |events: &mut Events| {
            let block = last(events);
            events.push((block, event));
        }
    };
    let back = error(|events| {
        events.push((BlockNumber(0), Withdrawn { account: USERS[0], to: USERS[0], amount: Plancks(0) }.into()))
    });
    assert!(matches!(back, LedgerError::BlockGoesBack { .. }));
    let unknown = Credited { account: USERS[0], job: JobId(9), amount: Plancks(1), cause: Cause::Tip };
    assert_eq!(error(append(unknown.into())), LedgerError::UnknownJob(JobId(9)));
    let overdrawn = Credited { account: USERS[0], job, amount: Plancks(1), cause: Cause::Refund };
    assert_eq!(error(append(overdrawn.into())), LedgerError::Overdrawn(job));
    let slash = Credited { account: USERS[0], job, amount: Plancks(1), cause: Cause::Slash };
    assert_eq!(error(append(slash.into())), LedgerError::Overdrawn(job));
    let stolen = Withdrawn { account: TREASURY, to: USERS[0], amount: Plancks(125) };
    assert!(matches!(error(append(stolen.into())), LedgerError::WrongWithdrawal { .. }));
    let taken = StakeMoved { worker: WORKERS[0], job: None, movement: Movement::Taken, amount: Plancks(1) };
    assert_eq!(error(append(taken.into())), LedgerError::StakeOverdrawn(WORKERS[0]));
    let idle = StakeMoved { worker: WORKERS[0], job: None, movement: Movement::Locked, amount: Plancks(1) };
    assert_eq!(error(append(idle.into())), LedgerError::UnknownJob(JobId(0)));

    let skipped = error(|events| stage(events, Stage::FeaturesSent).from = Some(Stage::Claimed));
    assert!(matches!(skipped, LedgerError::WrongStage { .. }));
    let twice = error(|events| {
        let step = stage(events, Stage::Settled).clone();
        let block = last(events);
        events.push((block, step.into()));
    });
    assert_eq!(twice, LedgerError::MovesAfterEnd(job));
    let early = error(|events| {
        let at = events.iter().position(|(_, event)| matches!(event, Event::Credited(_))).unwrap();
        let credit = events.remove(at).1;
        let claimed = events
            .iter()
            .position(|(_, event)| matches!(event, Event::JobStageChanged(step) if step.to == Stage::Claimed))
            .unwrap();
        let block = events[claimed].0;
        events.insert(claimed + 1, (block, credit));
    });
    assert_eq!(early, LedgerError::CreditBeforeEnd(job));
}

#[test]
fn an_ended_job_that_keeps_escrow_or_deposits_is_an_imbalance() {
    for hidden in ["Credited", "StakeMoved", "BondMoved"] {
        let mut events = settled();
        let at = events.iter().rposition(|(_, event)| event.name() == hidden).unwrap();
        events.remove(at);
        let imbalances: Vec<_> = Ledger::replay(&events).unwrap().imbalances().collect();
        assert_eq!(imbalances.len(), 1, "{hidden}: {imbalances:?}");
    }
}
