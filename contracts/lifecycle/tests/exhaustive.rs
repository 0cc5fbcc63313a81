//! Every state that one job can reach, visited: nobody finds a way around the rules, and from each
//! state pokes alone give all money back to whom it belongs.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{Command, ReadState};
use encompute_protocol::{Address, JobId, Plancks, PolicyId, Reason, SplitIndex, Stage, VersionId, call::*};
use std::collections::{BTreeMap, VecDeque, btree_map::Entry};
use world::*;

const JOB: JobId = JobId(1);

/// What makes two states of the job different.
type Key = (Stage, Option<Reason>, u8, Option<Address>, bool, bool, u8, bool);

fn key(world: &World) -> Key {
    let progress = world.progress(JOB);
    let late = world.block > progress.deadline.0;
    let revoked = world.market.measurement(MEASUREMENTS[0]).unwrap().revoked_at;
    let in_time = revoked.is_some_and(|block| block <= progress.deadline);
    let version = world.market.version(VersionId(1)).unwrap().status as u8;
    (progress.stage, progress.reason, progress.timeouts, progress.worker, late, in_time, version, revoked.is_some())
}

/// Everything that anybody could try in a state.
fn attempts(world: &mut World) -> Vec<(Address, Command)> {
    let job = JOB;
    let mut attempts: Vec<(Address, Command)> = Vec::new();
    for caller in [USERS[0], USERS[1], CREATORS[0], CREATORS[1], WORKERS[0], WORKERS[1], STRANGER] {
        let (features, result) = (world.digest(), world.digest());
        attempts.push((caller, ClaimJob { job }.into()));
        attempts.push((caller, SendFeatures { job, policy: PolicyId(1), features }.into()));
        attempts.push((caller, CommitResult { job, result }.into()));
        attempts.push((caller, AcceptResult { job }.into()));
        attempts.push((caller, CancelJob { job }.into()));
        attempts.push((caller, RefuseFeatures { job }.into()));
    }
    for worker in [0, 1] {
        attempts.push((WORKERS[worker], world.commitment(worker, job).into()));
    }
    attempts.push((STRANGER, PokeJob { job }.into()));
    attempts.push((CREATORS[0], RevokeVersion { version: VersionId(1) }.into()));
    attempts.push((CREATORS[0], DeprecateVersion { version: VersionId(1) }.into()));
    attempts.push((GOVERNOR, RevokeMeasurement { measurement: MEASUREMENTS[0] }.into()));
    attempts
}

fn explore(split: SplitIndex) -> BTreeMap<Key, World> {
    let mut world = World::new();
    let message = world.request_message(VersionId(1), split);
    world.send_request(USERS[0], message).unwrap();
    let mut seen = BTreeMap::from([(key(&world), world.clone())]);
    let mut queue = VecDeque::from([world]);
    while let Some(mut world) = queue.pop_front() {
        let mut next = Vec::new();
        for (caller, command) in attempts(&mut world) {
            let mut world = world.clone();
            let at = world.at(caller, Plancks::ZERO);
            if world.market.execute_command(&at, &command).is_ok() {
                next.push(world);
            }
        }
        if !world.progress(JOB).stage.is_terminal() {
            let mut late = world.clone();
            late.past_deadline(JOB);
            late.block = late.block.max(world.block);
            next.push(late);
        }
        for world in next {
            if let Entry::Vacant(place) = seen.entry(key(&world)) {
                place.insert(world.clone());
                queue.push_back(world);
            }
        }
    }
    seen
}

#[test]
fn from_every_reachable_state_pokes_alone_end_the_job_and_leave_nothing_behind() {
    for split in [SplitIndex(0), SplitIndex(1)] {
        let seen = explore(split);
        assert!(seen.len() > 60, "only {} states", seen.len());
        for (state, mut world) in seen {
            for poke in 0.. {
                if world.progress(JOB).stage.is_terminal() {
                    break;
                }
                assert!(poke < 2, "{state:?} takes more than two pokes");
                world.block = world.block.max(world.progress(JOB).deadline.0 + 1);
                world.call(STRANGER, PokeJob { job: JOB }).unwrap_or_else(|refusal| panic!("{state:?}: {refusal}"));
            }
            let totals = world.market.totals();
            assert_eq!(totals.escrow, Plancks::ZERO, "{state:?}");
            let model = world.market.model(world.terms(JOB).model).unwrap();
            assert_eq!((model.bond_locked, model.open_jobs), (Plancks::ZERO, 0), "{state:?}");
            for worker in [0, 1] {
                let record = world.worker(worker);
                assert_eq!((record.stake_locked, record.in_flight), (Plancks::ZERO, 0), "{state:?}");
            }
            let sum = totals.stakes.0 + totals.bonds.0 + totals.credits.0;
            assert_eq!(world.market.balance(), Plancks(sum), "{state:?}");
        }
    }
}

#[test]
fn reasons_kept_for_later_are_never_reached() {
    let kept = [
        Reason::BadReceipt,
        Reason::HeadMismatch,
        Reason::BlobMissing,
        Reason::ResultMismatch,
        Reason::ResultWithheld,
        Reason::AttestationExpired,
        Reason::ArbiterTimeout,
        Reason::Paused,
    ];
    for (_, reason, ..) in explore(SplitIndex(0)).into_keys() {
        assert!(reason.is_none_or(|reason| !kept.contains(&reason)), "{reason:?}");
    }
}
