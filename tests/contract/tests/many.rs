//! Many jobs on the chain's runtime, each hurt in its own way: the contract says what the rules say, nothing is stuck, the
//! books balance from events alone, and pruning gives the deposits back.
//!
//! `ENCOMPUTE_JOBS=10000 cargo test --workspace --test many -- --nocapture` is the long run; the suite takes a sample.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::needless_range_loop)]

use encompute_contract_tests::{
    Chain,
    world::{
        sponsors::{ALLOWED, SPONSOR},
        *,
    },
};
use encompute_lifecycle::{Memory, ReadState, Software};
use encompute_protocol::{
    DisputeKind, JobId, ModelId, Plancks, PolicyId, Reason, SplitIndex, Stage, VersionId, call::*, event::Event,
};
use std::{collections::BTreeSet, time::Instant};

/// Ways to go wrong, and to go right.
const WAYS: u64 = 30;
/// Every reason that a job can have which is not the last one's.
const REASONS: [Reason; 14] = [
    Reason::QuoteMissing,
    Reason::Quoted,
    Reason::NoWorker,
    Reason::WorkerTimeout,
    Reason::HeadMismatch,
    Reason::BlobMissing,
    Reason::UserNoShow,
    Reason::UserCancelled,
    Reason::CreatorTimeout,
    Reason::CreatorRefused,
    Reason::ResultMismatch,
    Reason::ResultWithheld,
    Reason::DisputeRejected,
    Reason::Witnessed,
];

/// Pokes a job until it has ended.
fn poked(world: &mut World, job: JobId) {
    while !world.progress(job).stage.is_terminal() {
        world.block = world.block.max(world.progress(job).deadline.0 + 1);
        world.call(STRANGER, PokeJob { job }).unwrap();
    }
}

/// One job, in the way that its number says.
fn one(world: &mut World, way: u64) -> JobId {
    use disputes::{RIGHT, WRONG};
    let job = match way {
        0..=2 => world.settled(),
        3 => world.requested(),
        4 => {
            let job = world.claimed();
            for _ in 0..2 {
                world.past_deadline(job);
                world.call(STRANGER, PokeJob { job }).unwrap();
                world.claim(1, job).unwrap();
            }
            job
        }
        5 => world.committed(),
        6 => world.at_stage(Stage::Cancelled),
        7 => world.sent(),
        8 => {
            let job = world.sent();
            world.call(CREATORS[0], RefuseFeatures { job }).unwrap();
            job
        }
        9 => world.judged([WRONG, RIGHT, WRONG]).0,
        10 => world.judged([RIGHT, RIGHT, WRONG]).0,
        11 => world.disputed(DisputeKind::Missing),
        12 => world.disputed(DisputeKind::Result),
        13 => {
            let job = world.answered();
            world.open_dispute(USERS[0], job, DisputeKind::Missing).unwrap();
            job
        }
        14 => {
            let job = world.disputed(DisputeKind::Missing);
            let message = world.posting(job);
            world.call(WORKERS[0], message).unwrap();
            let features = world.digest();
            world.call(USERS[0], SendFeatures { job, policy: PolicyId(1), features }).unwrap();
            job
        }
        15 => world.judged_by(DisputeKind::Witness, [WRONG, RIGHT, WRONG]).0,
        16 => world.judged_by(DisputeKind::Witness, [RIGHT, RIGHT, WRONG]).0,
        17 => world.judged_by(DisputeKind::Witness, [encompute_protocol::Verdict::NOTHING_SHOWN; 3]).0,
        18 => world.audited_and_heard(Stage::HeadCommitted, [RIGHT, RIGHT, WRONG]),
        19 => world.audited_and_heard(Stage::FeaturesSent, [WRONG, RIGHT, WRONG]),
        20 => world.audited_and_heard(Stage::ResultCommitted, [encompute_protocol::Verdict::NOTHING_SHOWN; 3]),
        21 => world.audited(Stage::FeaturesSent),
        22 => world.entrusted(),
        23 => world.entrusted_and_committed(),
        24 => {
            let job = world.entrusted_and_committed();
            world.sent_for_the_user(0, job).unwrap();
            world.act(job, Stage::FeaturesSent, 0).unwrap();
            job
        }
        25 => world.demanded(Stage::HeadCommitted),
        26 => {
            let job = world.demanded(Stage::HeadCommitted);
            let message = world.quote_for(job);
            world.call(WORKERS[0], message).unwrap();
            job
        }
        27 => {
            // Nobody is left to hear it.
            let (job, _) = world.ruled(DisputeKind::Head, Stage::HeadCommitted, [WRONG, WRONG, RIGHT]);
            world.appeal(job).unwrap();
            job
        }
        28 => {
            world.allow(SPONSOR, USERS[0], ALLOWED).unwrap();
            let mut message = world.request_message(VersionId(1), SplitIndex(0));
            message.sponsor = Some(SPONSOR);
            let job = world.send_request(USERS[0], message).unwrap();
            world.end(SPONSOR, USERS[0]).unwrap();
            job
        }
        _ => world.disputed(DisputeKind::Head),
    };
    poked(world, job);
    job
}

/// Workers and creators make good what they lost, and workers stay registered.
fn tend(world: &mut World) {
    for worker in 0..WORKERS.len() {
        let record = world.worker(worker);
        if record.stake < Plancks(30_000) {
            world.pay(WORKERS[worker], Plancks(20_000), AddStake {}).unwrap();
        }
        if record.expires_at.0 < world.block + 4_000 {
            world.register(worker, Plancks::ZERO).unwrap();
        }
    }
    if world.market.model(ModelId(1)).unwrap().bond < Plancks(30_000) {
        world.pay(CREATORS[0], Plancks(50_000), AddBond { model: ModelId(1) }).unwrap();
    }
}

/// Version, code and machine revoked under jobs in hand: once, for nothing is sold there afterwards.
fn withdrawn(world: &mut World) -> Vec<JobId> {
    for worker in [WORKERS[0], WORKERS[1]] {
        world.call(worker, SetCapacity { capacity: 4 }).unwrap();
    }
    let [version, machine, code] = [(); 3].map(|()| world.claimed_by_two());
    let judged = world.committed();
    world.call(GOVERNOR, RevokePlatform { platform: PLATFORMS[1] }).unwrap();
    world.call(STRANGER, PokeJob { job: machine[1] }).unwrap();
    world.call(GOVERNOR, RevokeMeasurement { measurement: MEASUREMENTS[0] }).unwrap();
    world.call(STRANGER, PokeJob { job: code[0] }).unwrap();
    let kind = DisputeKind::Attestation;
    world.call(USERS[0], OpenDispute { job: judged, kind, evidence: None }).unwrap();
    world.call(CREATORS[0], RevokeVersion { version: VersionId(1) }).unwrap();
    let all: Vec<_> = [version, machine, code].into_iter().flatten().chain([judged]).collect();
    all.iter().for_each(|job| poked(world, *job));
    all
}

/// Two jobs, one in the hands of each of the first two workers.
trait ClaimedByTwo {
    fn claimed_by_two(&mut self) -> [JobId; 2];
}

impl ClaimedByTwo for World {
    fn claimed_by_two(&mut self) -> [JobId; 2] {
        // By offers: a draw takes blocks, and the first of them would run out before the last is there.
        [0, 1].map(|worker| {
            let mut message = self.request_message(VersionId(1), SplitIndex(0));
            message.offer = Some(self.offer(worker, USERS[0], &message));
            self.send_request(USERS[0], message).unwrap()
        })
    }
}

#[test]
fn jobs_that_go_wrong_in_every_way_end_on_the_chain_as_in_the_rules_and_no_planck_is_lost() {
    let jobs: u64 = std::env::var("ENCOMPUTE_JOBS").map_or(2 * WAYS, |text| text.parse().unwrap());
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    let mut rules = Memory::new(GOVERNOR, params(), Software).unwrap();
    let (mut calls, mut reasons) = (0, BTreeSet::new());
    // What was compared is let go of: worlds that look ahead copy what they have.
    let mut step = |chain: &mut Chain, world: &mut World| {
        chain.follow(&mut rules, world, 0).unwrap_or_else(|difference| panic!("{difference:#?}"));
        calls += core::mem::take(&mut world.calls).len();
        reasons.extend(world.market.take_events().iter().filter_map(|(_, event)| reason(event)));
        rules.take_events();
        (calls, reasons.clone())
    };
    step(&mut chain, &mut world);
    let (empty, weighed, began) = (chain.held(), chain.weighed(), Instant::now());
    let mut ended = Vec::new();
    for job in 0..jobs {
        tend(&mut world);
        ended.push(one(&mut world, job % WAYS));
        step(&mut chain, &mut world);
    }
    let seconds = began.elapsed().as_secs_f64();
    let (full, weight) = (chain.held(), chain.weighed() - weighed);
    let (calls, reasons) = step(&mut chain, &mut world);
    let missing: Vec<_> = REASONS.iter().filter(|reason| !reasons.contains(reason)).collect();
    assert!(missing.is_empty() || jobs < WAYS, "{missing:?} never came: {reasons:?}");

    let last = withdrawn(&mut world);
    let revoked = [Reason::VersionRevoked, Reason::MeasurementRevoked, Reason::PlatformRevoked];
    let (_, reasons) = step(&mut chain, &mut world);
    assert!(revoked.iter().all(|reason| reasons.contains(reason)), "{reasons:?}");
    assert!(chain.audit().balanced, "{:#?}", chain.audit());
    let before = chain.held();

    for job in ended.iter().chain(&last) {
        world.block =
            world.block.max(encompute_lifecycle::prune::kept_until(&world.terms(*job), &world.progress(*job)).0 + 1);
    }
    for job in ended.iter().chain(&last) {
        world.prune(USERS[0], *job).unwrap();
    }
    step(&mut chain, &mut world);
    let after = chain.held();
    let report = chain.audit();
    assert!(report.balanced, "{report:#?}");
    assert_eq!(chain.read(&ReadTotals {}).escrow, Plancks::ZERO);
    world.everybody_leaves();
    step(&mut chain, &mut world);
    assert_eq!((world.market.balance(), chain.balance()), (Plancks::ZERO, Plancks::ZERO), "nothing is stuck");
    println!(
        "{jobs} jobs, {calls} calls, {:.1} a second, {:.0} µs of reference time a job, {} µUNIT held a job, {} µUNIT after pruning",
        jobs as f64 / seconds,
        weight as f64 / 1e6 / jobs as f64,
        (full.0 - empty.0) / 1_000_000 / u128::from(jobs),
        (after.0.saturating_sub(empty.0)) / 1_000_000 / u128::from(jobs + last.len() as u64),
    );
    assert!(after < before);
}

fn reason(event: &Event) -> Option<Reason> {
    match event {
        Event::JobStageChanged(moved) => moved.reason,
        _ => None,
    }
}
