//! The path of a job, stage by stage, with the money of every outcome to the last planck.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{Outcome, ReadState, Refusal, Settlement, outcome::Party, refusal};
use encompute_protocol::{
    Address, BlockNumber, JobId, Plancks, PolicyId, Reason, SplitIndex, Stage, VersionId,
    call::*,
    event::{Event, JobStageChanged},
};
use world::*;

/// What a job of the world's first split costs: head 1003 + 7·100, tail 2001, ⌈3.33 %⌉, tip 13.
const TIP_PAID: u128 = 13;
const ESCROW: u128 = HEAD + TAIL + PROTOCOL + TIP_PAID;
/// Twice the head fee, above the floor.
const STAKE: u128 = 3_406;
/// Head fee and ⌈49.99 %⌉ of it.
const BOND: u128 = 2_555;

fn moves(world: &World, job: JobId) -> Vec<JobStageChanged> {
    let all = world.market.events().iter();
    all.filter_map(|(_, event)| match event {
        Event::JobStageChanged(moved) if moved.job == job => Some(moved.clone()),
        _ => None,
    })
    .collect()
}

fn sorted(mut credits: Vec<(Address, u128)>) -> Vec<(Address, u128)> {
    credits.retain(|(_, amount)| *amount > 0);
    credits.sort();
    credits
}

#[test]
fn a_job_settles_in_six_calls_and_everybody_is_paid() {
    let mut world = World::new();
    let job = world.answered();
    assert_eq!(world.market.totals().escrow, Plancks(ESCROW));
    let credits = world.credits_of(|world| world.call(USERS[0], AcceptResult { job }).unwrap());
    assert_eq!(credits, sorted(vec![(PAYOUTS[0], HEAD + TIP_PAID), (CREATORS[0], TAIL), (TREASURY, PROTOCOL)]));
    assert_eq!(stage(&world, job), (Stage::Settled, None));
    let path: Vec<_> = moves(&world, job).iter().map(|moved| moved.to).collect();
    assert_eq!(path, STAGES[..6]);
}

#[test]
fn an_offer_makes_it_five_calls_and_two_stage_events() {
    let mut world = World::new();
    let mut message = world.request_message(VersionId(1), SplitIndex(0));
    message.offer = Some(world.offer(1, USERS[0], &message));
    let job = world.send_request(USERS[0], message).unwrap();
    let moved = moves(&world, job);
    assert_eq!(
        moved.iter().map(|moved| (moved.from, moved.to, moved.by)).collect::<Vec<_>>(),
        [(None, Stage::Requested, USERS[0]), (Some(Stage::Requested), Stage::Claimed, WORKERS[1]),]
    );
    assert_eq!(world.worker(1).in_flight, 1);
    assert_eq!(world.worker(1).stake_locked, Plancks(STAKE));
}

#[test]
fn a_job_copies_prices_and_windows_and_locks_bond_and_stake() {
    let mut world = World::new();
    let job = world.claimed();
    let terms = world.terms(job);
    assert_eq!((terms.fees.head.0, terms.fees.tail.0, terms.fees.protocol.0), (HEAD, TAIL, PROTOCOL));
    assert_eq!((terms.job_stake.0, terms.job_bond.0), (STAKE, BOND));
    assert_eq!(terms.windows, params().windows);
    let model = world.market.model(terms.model).unwrap();
    assert_eq!((model.bond_locked.0, model.open_jobs), (BOND, 1));
    assert_eq!(world.progress(job).stake_held, Plancks(STAKE));
}

#[test]
fn nobody_claims_and_the_user_has_everything_back() {
    let mut world = World::new();
    let job = world.requested();
    world.past_deadline(job);
    let credits = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    assert_eq!(credits, [(USERS[0], ESCROW)]);
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::NoWorker)));
}

#[test]
fn a_requested_job_is_cancelled_for_nothing() {
    let mut world = World::new();
    let job = world.requested();
    let credits = world.credits_of(|world| world.call(USERS[0], CancelJob { job }).unwrap());
    assert_eq!(credits, [(USERS[0], ESCROW)]);
    assert_eq!(stage(&world, job), (Stage::Cancelled, Some(Reason::UserCancelled)));
}

#[test]
fn a_late_worker_is_slashed_a_little_twice_and_then_fails_the_job() {
    let mut world = World::new();
    let job = world.claimed();
    for retry in 1..=2 {
        world.past_deadline(job);
        let credits = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
        // ⌊3406 · 7.07 %⌋ = 240: half to the user, a fifth to who poked, the rest to the treasury.
        assert_eq!(credits, sorted(vec![(USERS[0], 120), (STRANGER, 48), (TREASURY, 72)]));
        assert_eq!(stage(&world, job), (Stage::Requested, Some(Reason::WorkerTimeout)));
        assert_eq!(world.worker(0).stake.0, 40_000 - 240 * retry);
        assert_eq!((world.worker(0).stake_locked.0, world.worker(0).in_flight), (0, 0));
        world.claim(0, job).unwrap();
    }
    world.past_deadline(job);
    let credits = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    // ⌊3406 · 33.31 %⌋ = 1134.
    assert_eq!(credits, sorted(vec![(USERS[0], ESCROW + 567), (STRANGER, 226), (TREASURY, 341)]));
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::WorkerTimeout)));
    assert_eq!((world.worker(0).stake.0, world.worker(0).timeouts), (40_000 - 480 - 1_134, 3));
}

#[test]
fn a_user_may_cancel_a_claim_only_once_its_worker_is_late() {
    let mut world = World::new();
    let job = world.claimed();
    let deadline = world.progress(job).deadline;
    world.block = deadline.0;
    let refused = world.call(USERS[0], CancelJob { job });
    assert_eq!(refused, Err(Refusal::NotYetLate { deadline, block: deadline }));
    world.block += 1;
    let credits = world.credits_of(|world| world.call(USERS[0], CancelJob { job }).unwrap());
    assert_eq!(credits, sorted(vec![(USERS[0], ESCROW + 567 + 226), (TREASURY, 341)]));
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::WorkerTimeout)));
}

/// ⌊2001 · 11.11 %⌋ = 222; ⌈(1703 + 222) · 3.33 %⌉ = 65.
fn stopped() -> Vec<(Address, u128)> {
    sorted(vec![(PAYOUTS[0], HEAD), (CREATORS[0], 222), (TREASURY, 65), (USERS[0], ESCROW - HEAD - 222 - 65)])
}

#[test]
fn a_user_who_stops_after_the_head_pays_the_worker_and_a_part_of_the_tail() {
    let mut world = World::new();
    let job = world.committed();
    let credits = world.credits_of(|world| world.call(USERS[0], CancelJob { job }).unwrap());
    assert_eq!(credits, stopped());
    assert_eq!(stage(&world, job), (Stage::Cancelled, Some(Reason::UserCancelled)));
    assert_eq!(world.worker(0).stake_locked, Plancks::ZERO);
}

#[test]
fn a_user_who_says_nothing_after_the_head_pays_the_same() {
    let mut world = World::new();
    let job = world.committed();
    world.past_deadline(job);
    let credits = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    assert_eq!(credits, stopped());
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::UserNoShow)));
}

fn creator_failed() -> Vec<(Address, u128)> {
    sorted(vec![(PAYOUTS[0], HEAD), (USERS[0], ESCROW), (TREASURY, BOND - HEAD)])
}

#[test]
fn a_silent_creator_makes_the_user_whole_from_the_bond() {
    let mut world = World::new();
    let job = world.sent();
    world.past_deadline(job);
    let credits = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    assert_eq!(credits, creator_failed());
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::CreatorTimeout)));
    let model = world.market.model(world.terms(job).model).unwrap();
    assert_eq!((model.bond.0, model.bond_locked.0, model.open_jobs), (60_000 - BOND, 0, 0));
}

#[test]
fn a_creator_who_refuses_features_pays_the_same() {
    let mut world = World::new();
    let job = world.sent();
    let credits = world.credits_of(|world| world.call(CREATORS[0], RefuseFeatures { job }).unwrap());
    assert_eq!(credits, creator_failed());
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::CreatorRefused)));
}

#[test]
fn a_result_that_nobody_accepts_settles_by_itself() {
    let mut world = World::new();
    let job = world.answered();
    world.past_deadline(job);
    let credits = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    assert_eq!(credits, sorted(vec![(PAYOUTS[0], HEAD + TIP_PAID), (CREATORS[0], TAIL), (TREASURY, PROTOCOL)]));
    assert_eq!(stage(&world, job), (Stage::Settled, None));
}

#[test]
fn a_revoked_version_frees_jobs_without_a_head_at_once_and_nobody_is_slashed() {
    for at in [Stage::Requested, Stage::Claimed] {
        let mut world = World::new();
        let job = world.at_stage(at);
        world.call(CREATORS[0], RevokeVersion { version: VersionId(1) }).unwrap();
        if at == Stage::Claimed {
            let message = world.commitment(0, job);
            let revoked_at = BlockNumber(world.block);
            assert_eq!(world.call(WORKERS[0], message), Err(Refusal::VersionRevoked { revoked_at }));
        }
        let credits = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
        assert_eq!(credits, [(USERS[0], ESCROW)]);
        assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::VersionRevoked)));
        assert_eq!((world.worker(0).stake.0, world.worker(0).stake_locked.0), (40_000, 0));
    }
}

#[test]
fn a_revocation_does_not_excuse_a_worker_that_was_late_before() {
    let mut world = World::new();
    let job = world.claimed();
    world.past_deadline(job);
    world.call(GOVERNOR, RevokeVersion { version: VersionId(1) }).unwrap();
    world.call(STRANGER, PokeJob { job }).unwrap();
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::WorkerTimeout)));
    assert_eq!(world.worker(0).stake.0, 40_000 - 1_134);
}

#[test]
fn a_head_on_chain_outlives_the_revocation_of_its_version_and_its_measurement() {
    let mut world = World::new();
    let job = world.committed();
    world.call(CREATORS[0], RevokeVersion { version: VersionId(1) }).unwrap();
    world.call(GOVERNOR, RevokeMeasurement { measurement: MEASUREMENTS[0] }).unwrap();
    let (features, result) = (world.digest(), world.digest());
    world.call(USERS[0], SendFeatures { job, policy: PolicyId(1), features }).unwrap();
    world.call(CREATORS[0], CommitResult { job, result }).unwrap();
    world.call(USERS[0], AcceptResult { job }).unwrap();
}

#[test]
fn a_revoked_measurement_stops_claims_and_commitments_and_frees_the_job() {
    let mut world = World::new();
    let (job, other) = (world.claimed(), world.requested());
    world.call(GOVERNOR, RevokeMeasurement { measurement: MEASUREMENTS[0] }).unwrap();
    let revoked = Refusal::MeasurementRevoked { revoked_at: BlockNumber(world.block) };
    let message = world.commitment(0, job);
    assert_eq!(world.call(WORKERS[0], message), Err(revoked));
    assert_eq!(world.claim(0, other), Err(revoked));
    let credits = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    assert_eq!(credits, [(USERS[0], ESCROW)]);
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::MeasurementRevoked)));
    assert_eq!(world.worker(0).stake.0, 40_000);
}

#[test]
fn a_revoked_platform_stops_claims_and_commitments_and_frees_the_job() {
    let mut world = World::new();
    let (job, other) = (world.claimed(), world.requested());
    let (platform, at) = (PLATFORMS[0], BlockNumber(world.block));
    world.call(GOVERNOR, RevokePlatform { platform }).unwrap();
    let revoked = Refusal::PlatformRevoked { revoked_at: at };
    let message = world.commitment(0, job);
    assert_eq!(world.call(WORKERS[0], message), Err(revoked));
    assert_eq!(world.claim(0, other), Err(revoked));
    let credits = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
    assert_eq!(credits, [(USERS[0], ESCROW)]);
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::PlatformRevoked)));
    assert_eq!(world.worker(0).stake.0, 40_000);
    // Another machine takes what was only requested; a head that is on chain outlives its machine.
    world.claim(1, other).unwrap();
    let message = world.commitment(1, other);
    world.call(WORKERS[1], message).unwrap();
    world.call(GOVERNOR, RevokePlatform { platform: PLATFORMS[1] }).unwrap();
    let (features, result) = (world.digest(), world.digest());
    world.call(USERS[0], SendFeatures { job: other, policy: PolicyId(1), features }).unwrap();
    world.call(CREATORS[0], CommitResult { job: other, result }).unwrap();
    world.call(USERS[0], AcceptResult { job: other }).unwrap();
}

#[test]
fn a_split_without_a_tail_ends_with_its_head() {
    let mut world = World::new();
    let request = |world: &mut World| {
        let message = world.request_message(VersionId(1), SplitIndex(1));
        let job = world.send_request(USERS[0], message).unwrap();
        world.claim(0, job).unwrap();
        let message = world.commitment(0, job);
        world.call(WORKERS[0], message).unwrap();
        job
    };
    let job = request(&mut world);
    let features = world.digest();
    let sent = world.call(USERS[0], SendFeatures { job, policy: PolicyId(1), features });
    assert_eq!(sent, Err(Refusal::NoTail));
    assert_eq!(world.call(USERS[0], CancelJob { job }), Err(Refusal::NoTail));
    world.call(USERS[0], AcceptResult { job }).unwrap();
    assert_eq!(stage(&world, job), (Stage::Settled, None));
    let job = request(&mut world);
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
    assert_eq!(stage(&world, job), (Stage::Settled, None));
}

#[test]
fn every_window_ends_with_its_deadline_and_not_a_block_earlier() {
    for at in [Stage::Requested, Stage::Claimed, Stage::HeadCommitted, Stage::FeaturesSent, Stage::ResultCommitted] {
        let mut world = World::new();
        let job = world.at_stage(at);
        let deadline = world.progress(job).deadline;
        world.block = deadline.0;
        let early = world.call(STRANGER, PokeJob { job });
        assert_eq!(early, Err(Refusal::NotYetLate { deadline, block: deadline }), "{at:?}");
        let mut on_time = world.clone();
        on_time.act(job, at, 0).unwrap_or_else(|refusal| panic!("{at:?} on time: {refusal}"));
        world.block += 1;
        let late = world.act(job, at, 0);
        if at == Stage::ResultCommitted {
            assert_eq!(late, Ok(()), "accepting late does what a poke does");
        } else {
            assert_eq!(late, Err(Refusal::TooLate { deadline, block: BlockNumber(world.block) }), "{at:?}");
            world.call(STRANGER, PokeJob { job }).unwrap();
        }
    }
}

#[test]
fn the_table_gives_every_planck_to_somebody_for_any_prices() {
    let outcomes = [
        Outcome::Settled,
        Outcome::Refunded,
        Outcome::Retried,
        Outcome::TimedOut,
        Outcome::Stopped,
        Outcome::CreatorFailed,
        Outcome::HeadWrong { winners: 2 },
        Outcome::HeadWrong { winners: 3 },
        Outcome::QuoteMissing { stake: Plancks(1) },
        Outcome::TailRefunded,
    ];
    let mut world = World::new();
    let job = world.claimed();
    for scale in [0_u128, 1, 2, 3, 7, 9_999, 10_001, 1 << 70] {
        let mut terms = world.terms(job);
        terms.fees.tail = Plancks(scale);
        terms.fees.tip = Plancks(scale / 2);
        terms.fees.head = Plancks(scale + 1);
        terms.job_stake = Plancks(2 * scale + 2);
        terms.job_bond = Plancks(scale + 1 + scale / 3);
        let base = Plancks(2 * scale + 1);
        terms.fees.protocol = base.share_ceil(terms.protocol_fee).unwrap();
        for outcome in outcomes {
            let settlement = Settlement::of(&terms, outcome).unwrap();
            let escrow = if outcome == Outcome::Retried { Plancks::ZERO } else { terms.fees.total().unwrap() };
            assert_eq!(settlement.from_escrow(), Some(escrow), "{outcome:?} at {scale}");
            let slashed = settlement.stake_slashed.checked_add(settlement.bond_slashed).unwrap();
            let parties = [Party::User, Party::Payer, Party::Worker, Party::Creator, Party::Treasury, Party::Poker];
            let jurors = [Party::Juror(0), Party::Juror(1), Party::Juror(2)];
            let all = parties.iter().chain(&jurors).map(|party| settlement.of_party(*party).unwrap().0).sum::<u128>();
            assert_eq!(all, escrow.0 + slashed.0, "{outcome:?} at {scale}");
        }
    }
}

#[test]
fn who_paid_is_whole_in_every_failure_that_is_not_the_users_own() {
    let mut world = World::new();
    let job = world.claimed();
    let failures = [Outcome::Refunded, Outcome::TimedOut, Outcome::CreatorFailed, Outcome::HeadWrong { winners: 3 }];
    for outcome in failures {
        let payer = Settlement::of(&world.terms(job), outcome).unwrap().of_party(Party::Payer).unwrap();
        assert_eq!(payer.0, ESCROW, "{outcome:?}");
    }
}

#[test]
fn zeros_that_the_platform_reads_for_missing_bytes_are_refused() {
    let mut world = World::new();
    let mut message = world.request_message(VersionId(1), SplitIndex(0));
    message.input = Default::default();
    let missing = |field| Refusal::Missing { field };
    assert_eq!(world.send_request(USERS[0], message.clone()), Err(missing(refusal::Field::Input)));
    message.policy = PolicyId(0);
    let unknown = Err(Refusal::UnknownPolicy { found: PolicyId(0), policies: 3 });
    assert_eq!(world.send_request(USERS[0], message), unknown);
    let job = JobId(0);
    assert_eq!(world.call(STRANGER, PokeJob { job }), Err(Refusal::UnknownJob { job }));
    let job = world.claimed();
    let mut message = world.commitment(0, job);
    message.output = Default::default();
    assert_eq!(world.call(WORKERS[0], message), Err(missing(refusal::Field::Output)));
}
