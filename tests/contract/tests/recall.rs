//! A drill: a machine and a kind of code are revoked while a hundred jobs are open, at every stage.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_contract_tests::{Chain, world::*};
use encompute_lifecycle::{ReadState, Refusal};
use encompute_protocol::{JobId, ModelId, Plancks, Reason, SplitIndex, Stage, VersionId, call::*};

const JOBS: usize = 100;
const OPEN: [Stage; 5] =
    [Stage::Requested, Stage::Claimed, Stage::HeadCommitted, Stage::FeaturesSent, Stage::ResultCommitted];
/// On the machine that is revoked, of the code that is revoked, and of neither.
const RECALLED: [usize; 2] = [0, 1];
const UNTOUCHED: usize = 2;
/// As in `failures.rs`: head fee, tail fee, protocol fee, and all of it with the tip.
const ESCROW: u128 = HEAD + TAIL + PROTOCOL + TIP.0;

/// A world with a hundred open jobs: each stage twenty times, spread over the three workers.
fn busy(chain: &Chain) -> (World, Vec<(JobId, usize)>) {
    let mut world = World::at_contract(chain.contract());
    world.pay(CREATORS[0], Plancks(1_000_000), AddBond { model: ModelId(1) }).unwrap();
    for worker in WORKERS {
        world.pay(worker, Plancks(500_000), AddStake {}).unwrap();
        world.call(worker, SetCapacity { capacity: JOBS as u16 }).unwrap();
    }
    let jobs = (0..JOBS).map(|at| {
        let (worker, stage) = (at % 3, OPEN[at % 5]);
        let mut message = world.request_message(VersionId(1), SplitIndex(0));
        if stage != Stage::Requested {
            // At once: a hundred draws would take longer than any window.
            message.offer = Some(world.offer(worker, USERS[0], &message));
        }
        let job = world.send_request(USERS[0], message).unwrap();
        while world.progress(job).stage != stage {
            let at = world.progress(job).stage;
            world.act(job, at, worker).unwrap();
        }
        (job, worker)
    });
    let jobs = jobs.collect();
    (world, jobs)
}

#[test]
fn a_machine_and_a_code_revoked_under_a_hundred_open_jobs_lose_none_and_pay_none_wrongly() {
    let mut chain = Chain::new();
    let (mut world, jobs) = busy(&chain);
    let stakes = WORKERS.map(|worker| world.market.worker(worker).unwrap().stake);
    world.call(GOVERNOR, RevokePlatform { platform: PLATFORMS[0] }).unwrap();
    world.call(GOVERNOR, RevokeMeasurement { measurement: MEASUREMENTS[1] }).unwrap();
    let (mut refunded, mut settled) = ([0_u128; 2], [0_u128; WORKERS.len()]);
    for (job, worker) in jobs {
        let recalled = RECALLED.contains(&worker);
        let worker = match (world.progress(job).stage, recalled) {
            (Stage::Claimed, true) => {
                let refusal = world.act(job, Stage::Claimed, worker).unwrap_err();
                let by_machine = matches!(refusal, Refusal::PlatformRevoked { .. });
                assert!(by_machine || matches!(refusal, Refusal::MeasurementRevoked { .. }), "{refusal:?}");
                world.call(STRANGER, PokeJob { job }).unwrap();
                let reason = if by_machine { Reason::PlatformRevoked } else { Reason::MeasurementRevoked };
                let progress = world.progress(job);
                assert_eq!((progress.stage, progress.reason), (Stage::Failed, Some(reason)));
                refunded[worker] += 1;
                continue;
            }
            (Stage::Requested, true) => {
                world.act(job, Stage::Requested, worker).unwrap_err();
                UNTOUCHED
            }
            _ => worker,
        };
        while world.progress(job).stage != Stage::Settled {
            let at = world.progress(job).stage;
            world.act(job, at, worker).unwrap();
        }
        settled[worker] += 1;
    }
    // Twenty were claimed; the third of them whose worker is untouched went on.
    assert_eq!(refunded.iter().sum::<u128>() + settled.iter().sum::<u128>(), JOBS as u128);
    assert_eq!(refunded, [7, 7]);
    assert_eq!(WORKERS.map(|worker| world.market.worker(worker).unwrap().stake), stakes, "nobody is slashed");
    assert!(WORKERS.iter().all(|worker| world.market.worker(*worker).unwrap().in_flight == 0));

    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    let mut owed = |account| chain.read(&ReadCredit { account }).0;
    assert_eq!(owed(USERS[0]), refunded.iter().sum::<u128>() * ESCROW);
    assert_eq!(PAYOUTS.map(&mut owed), settled.map(|jobs| jobs * (HEAD + TIP.0)));
    let all = settled.iter().sum::<u128>();
    assert_eq!((owed(CREATORS[0]), owed(TREASURY), owed(STRANGER)), (all * TAIL, all * PROTOCOL, 0));
    assert_eq!(chain.read(&ReadTotals {}).escrow, Plancks::ZERO);
    let report = chain.audit();
    assert!(report.balanced, "{report:#?}");
}
