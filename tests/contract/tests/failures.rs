//! Every way in which a job fails, on the chain's runtime with the built contract: where it ends, where
//! every planck ends, and that an auditor who has the events alone arrives at the same books.
//!
//! The amounts are those of the README's table for the world's odd prices, worked out by hand.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_contract_tests::{ALTERATIONS, Chain, everything, world::*};
use encompute_devchain::runtime::EXISTENTIAL_DEPOSIT;
use encompute_lifecycle::{ReceiptFacts, Refusal};
use encompute_protocol::{
    Address, BlockNumber, ContractAddress, JobId, Plancks, Reason, Receipt, SplitIndex, Stage, VersionId, call::*,
};
use std::sync::LazyLock;

/// 1003 + 7·100.
const HEAD: u128 = 1_703;
const TAIL: u128 = 2_001;
/// ⌈(1703 + 2001) · 3.33 %⌉.
const PROTOCOL: u128 = 124;
const ESCROW: u128 = HEAD + TAIL + PROTOCOL + TIP.0;
/// Head fee and ⌈49.99 %⌉ of it.
const BOND: u128 = 2_555;
/// Of the stake of twice the head fee, ⌊7.07 %⌋ = 240 for a retry: half, a fifth, the rest.
const RETRY: [u128; 3] = [120, 48, 72];
/// ⌊33.31 %⌋ = 1134 for the last timeout: half, a fifth, the rest.
const TIMEOUT: [u128; 3] = [567, 226, 341];
/// ⌊2001 · 11.11 %⌋.
const STOP: u128 = 222;
/// ⌈(1703 + 222) · 3.33 %⌉.
const STOP_PROTOCOL: u128 = 65;
const USER: Address = USERS[0];

/// Stages in which somebody must act.
const OPEN: [Stage; 5] =
    [Stage::Requested, Stage::Claimed, Stage::HeadCommitted, Stage::FeaturesSent, Stage::ResultCommitted];

type Owed = Vec<(Address, u128)>;

/// Rows of the README's table.
fn settled() -> Owed {
    vec![(PAYOUTS[0], HEAD + TIP.0), (CREATORS[0], TAIL), (TREASURY, PROTOCOL)]
}

fn refunded() -> Owed {
    vec![(USER, ESCROW)]
}

fn stopped() -> Owed {
    let user = ESCROW - HEAD - STOP - STOP_PROTOCOL;
    vec![(PAYOUTS[0], HEAD), (CREATORS[0], STOP), (TREASURY, STOP_PROTOCOL), (USER, user)]
}

fn creator_failed() -> Owed {
    vec![(PAYOUTS[0], HEAD), (USER, ESCROW), (TREASURY, BOND - HEAD)]
}

/// Makes the calls of `world` on a chain, where each must answer as the rules do.
fn on_chain(world: &World) -> Chain {
    let mut chain = Chain::new();
    chain.repeat(world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    chain
}

/// A market whose contract has the address that it gets on every new chain.
fn a_world() -> World {
    static ADDRESS: LazyLock<ContractAddress> = LazyLock::new(|| Chain::new().contract());
    World::at_contract(*ADDRESS)
}

fn stage(chain: &mut Chain, job: JobId) -> (Stage, Option<Reason>) {
    let (_, progress) = chain.read(&ReadJob { job }).unwrap();
    (progress.stage, progress.reason)
}

/// What the chain owes to whom.
fn owed(chain: &mut Chain) -> Owed {
    let everybody = [&USERS[..], &CREATORS, &WORKERS, &PAYOUTS, &[GOVERNOR, TREASURY, STRANGER]].concat();
    let credits = everybody.into_iter().map(|account| (account, chain.read(&ReadCredit { account }).0));
    let mut owed: Owed = credits.filter(|(_, amount)| *amount > 0).collect();
    owed.sort();
    owed
}

/// The job has ended so, for ever; the money went so, to the last planck; the books balance from events
/// alone; everybody can take what is theirs, and nothing is left that belongs to nobody.
fn ends(world: &World, job: JobId, stage_wanted: Stage, reason: Option<Reason>, mut wanted: Owed) {
    let mut chain = on_chain(world);
    ends_on(&mut chain, job, stage_wanted, reason, &mut wanted);
}

fn ends_on(chain: &mut Chain, job: JobId, found: Stage, reason: Option<Reason>, wanted: &mut Owed) {
    wanted.retain(|(_, amount)| *amount > 0);
    wanted.sort();
    assert_eq!(stage(chain, job), (found, reason));
    assert_eq!(&owed(chain), wanted);
    let ended = Err(Refusal::JobEnded { found });
    assert_eq!(chain.call(STRANGER, Plancks::ZERO, &PokeJob { job }), ended);
    assert_eq!(chain.call(USER, Plancks::ZERO, &CancelJob { job }), ended);
    assert_eq!(&owed(chain), wanted, "an ended job pays nobody twice");
    balances(chain);
    for (at, (account, amount)) in wanted.iter().enumerate() {
        let purse = Address([0xf0 + u8::try_from(at).unwrap(); 20]);
        let paid = chain.call(*account, Plancks::ZERO, &WithdrawCredit { to: Some(purse) });
        assert_eq!(paid, Ok(Plancks(*amount)));
        // What keeps the new account alive comes from who withdraws, not from the market.
        assert_eq!(chain.free(purse).0, amount + EXISTENTIAL_DEPOSIT);
    }
    let totals = chain.read(&ReadTotals {});
    assert_eq!((totals.escrow, totals.credits), (Plancks::ZERO, Plancks::ZERO));
    assert_eq!(chain.balance().0, totals.stakes.0 + totals.bonds.0, "only deposits are left");
    balances(chain);
}

fn balances(chain: &mut Chain) {
    let report = chain.audit();
    assert!(report.balanced, "{report:#?}");
    assert_eq!(report.totals["surplus"], "0");
}

/// Takes a job on from `from` until it has settled, everybody doing their part.
fn finish(world: &mut World, job: JobId, from: Stage) {
    let at = STAGES.iter().position(|stage| *stage == from).unwrap();
    for stage in &STAGES[at..5] {
        world.act(job, *stage, 0).unwrap_or_else(|refusal| panic!("{stage:?}: {refusal}"));
    }
}

/// What an overdue job's poke comes to, from a fresh claim on.
fn poked(at: Stage) -> (Stage, Option<Reason>, Owed) {
    match at {
        Stage::Requested => (Stage::Failed, Some(Reason::NoWorker), refunded()),
        Stage::Claimed => (
            Stage::Requested,
            Some(Reason::WorkerTimeout),
            vec![(USER, RETRY[0]), (STRANGER, RETRY[1]), (TREASURY, RETRY[2])],
        ),
        Stage::HeadCommitted => (Stage::Failed, Some(Reason::UserNoShow), stopped()),
        Stage::FeaturesSent => (Stage::Failed, Some(Reason::CreatorTimeout), creator_failed()),
        Stage::ResultCommitted => (Stage::Settled, None, settled()),
        Stage::Settled | Stage::Failed | Stage::Cancelled | Stage::Disputed(_) => panic!("nobody pokes at {at:?}"),
    }
}

#[test]
fn no_worker_and_the_user_has_everything_back() {
    let mut world = a_world();
    let job = world.requested();
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
    ends(&world, job, Stage::Failed, Some(Reason::NoWorker), refunded());
}

#[test]
fn a_worker_that_is_silent_three_times_is_slashed_three_times_and_the_user_gains() {
    let mut world = a_world();
    let job = world.claimed();
    for _ in 0..2 {
        world.past_deadline(job);
        world.call(STRANGER, PokeJob { job }).unwrap();
        world.claim(0, job).unwrap();
    }
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
    let [user, stranger, treasury] = [0, 1, 2].map(|part| 2 * RETRY[part] + TIMEOUT[part]);
    let owed = vec![(USER, ESCROW + user), (STRANGER, stranger), (TREASURY, treasury)];
    let mut chain = on_chain(&world);
    let (worker, _) = chain.read(&ReadWorker { worker: WORKERS[0] }).unwrap();
    assert_eq!((worker.stake.0, worker.stake_locked.0, worker.in_flight), (40_000 - 2 * 240 - 1_134, 0, 0));
    ends_on(&mut chain, job, Stage::Failed, Some(Reason::WorkerTimeout), &mut owed.clone());
}

#[test]
fn another_worker_takes_over_from_a_silent_one_and_the_job_settles() {
    let mut world = a_world();
    let job = world.claimed();
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
    world.act(job, Stage::Requested, 1).unwrap();
    world.act(job, Stage::Claimed, 1).unwrap();
    finish(&mut world, job, Stage::HeadCommitted);
    let mut owed = vec![(PAYOUTS[1], HEAD + TIP.0), (CREATORS[0], TAIL), (TREASURY, PROTOCOL + RETRY[2])];
    owed.extend([(USER, RETRY[0]), (STRANGER, RETRY[1])]);
    ends(&world, job, Stage::Settled, None, owed);
}

#[test]
fn a_receipt_with_any_field_altered_changes_nothing_and_its_worker_is_late_like_a_silent_one() {
    let mut world = a_world();
    let job = world.claimed();
    let mut chain = on_chain(&world);
    let facts = ReceiptFacts::read(&world.market, GENESIS, world.contract, job).unwrap();
    let honest = facts.receipt(world.digest(), BlockNumber(world.block));
    let picture = |chain: &mut Chain| {
        let worker = chain.read(&ReadWorker { worker: WORKERS[0] });
        (chain.read(&ReadJob { job }), worker, chain.read(&ReadTotals {}), chain.balance(), owed(chain))
    };
    let before = picture(&mut chain);
    for (field, alter) in ALTERATIONS {
        let mut altered = honest;
        alter(&mut altered);
        for (signed, said) in [(altered, honest), (honest, altered), (altered, altered)] {
            let Receipt { output, finished_at, .. } = said;
            let message = CommitHead { job, output, finished_at, signature: key(0).sign(&signed) };
            // What the message carries may be altered with its signature: that is another receipt, honestly signed.
            let honest_after_all = signed == facts.receipt(output, finished_at);
            if honest_after_all && field != "finished at" {
                continue;
            }
            let refused = chain.call(WORKERS[0], Plancks::ZERO, &message);
            let known = matches!(refused, Err(Refusal::WrongSigner { .. } | Refusal::FinishedOutside { .. }));
            assert!(known, "{field}: {refused:?}");
            assert_eq!(picture(&mut chain), before, "{field}");
        }
    }
    let deadline = world.progress(job).deadline;
    chain.at_block(deadline.0 + 1);
    assert_eq!(chain.call(STRANGER, Plancks::ZERO, &PokeJob { job }), Ok(()));
    assert_eq!(stage(&mut chain, job), (Stage::Requested, Some(Reason::WorkerTimeout)));
    assert_eq!(chain.call(USER, Plancks::ZERO, &CancelJob { job }), Ok(()));
    let mut owed = vec![(USER, ESCROW + RETRY[0]), (STRANGER, RETRY[1]), (TREASURY, RETRY[2])];
    ends_on(&mut chain, job, Stage::Cancelled, Some(Reason::UserCancelled), &mut owed);
}

#[test]
fn a_silent_user_pays_the_worker_and_a_part_of_the_tail() {
    let mut world = a_world();
    let job = world.committed();
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
    ends(&world, job, Stage::Failed, Some(Reason::UserNoShow), stopped());
}

#[test]
fn a_user_who_stops_after_the_head_pays_the_same() {
    let mut world = a_world();
    let job = world.committed();
    world.call(USER, CancelJob { job }).unwrap();
    ends(&world, job, Stage::Cancelled, Some(Reason::UserCancelled), stopped());
}

#[test]
fn a_silent_creator_pays_everybody_from_the_bond() {
    let mut world = a_world();
    let job = world.sent();
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
    ends(&world, job, Stage::Failed, Some(Reason::CreatorTimeout), creator_failed());
}

#[test]
fn a_creator_who_refuses_pays_the_same() {
    let mut world = a_world();
    let job = world.sent();
    world.call(CREATORS[0], RefuseFeatures { job }).unwrap();
    ends(&world, job, Stage::Failed, Some(Reason::CreatorRefused), creator_failed());
}

#[test]
fn a_deprecated_version_sells_nothing_and_finishes_what_it_sold_from_every_stage() {
    for at in OPEN {
        let mut world = a_world();
        let job = world.at_stage(at);
        world.call(CREATORS[0], DeprecateVersion { version: VersionId(1) }).unwrap();
        let message = world.request_message(VersionId(1), SplitIndex(0));
        let refused = world.pay(USER, Plancks(ESCROW), message);
        assert!(matches!(refused, Err(Refusal::VersionNotActive { .. })), "{at:?}: {refused:?}");
        finish(&mut world, job, at);
        ends(&world, job, Stage::Settled, None, settled());
    }
}

#[test]
fn a_revoked_version_refunds_before_the_head_and_settles_after_it() {
    for at in OPEN {
        let mut world = a_world();
        let job = world.at_stage(at);
        world.call(GOVERNOR, RevokeVersion { version: VersionId(1) }).unwrap();
        if matches!(at, Stage::Requested | Stage::Claimed) {
            let refused = world.act(job, at, 0);
            assert!(matches!(refused, Err(Refusal::VersionRevoked { .. })), "{at:?}: {refused:?}");
            world.call(STRANGER, PokeJob { job }).unwrap();
            ends(&world, job, Stage::Failed, Some(Reason::VersionRevoked), refunded());
        } else {
            finish(&mut world, job, at);
            ends(&world, job, Stage::Settled, None, settled());
        }
    }
}

#[test]
fn code_or_machine_revoked_after_the_claim_refunds_and_slashes_nobody() {
    for (caller, reason) in [STRANGER, USER]
        .into_iter()
        .flat_map(|caller| [(caller, Reason::MeasurementRevoked), (caller, Reason::PlatformRevoked)])
    {
        let mut world = a_world();
        let job = world.at_stage(Stage::Claimed);
        match reason {
            Reason::PlatformRevoked => world.call(GOVERNOR, RevokePlatform { platform: PLATFORMS[0] }).unwrap(),
            _ => world.call(GOVERNOR, RevokeMeasurement { measurement: MEASUREMENTS[0] }).unwrap(),
        }
        let refused = world.act(job, Stage::Claimed, 0).unwrap_err();
        assert!(matches!(refused, Refusal::MeasurementRevoked { .. } | Refusal::PlatformRevoked { .. }), "{refused:?}");
        match caller {
            USER => world.call(caller, CancelJob { job }).unwrap(),
            _ => world.call(caller, PokeJob { job }).unwrap(),
        }
        assert_eq!(world.worker(0).stake, Plancks(40_000));
        ends(&world, job, Stage::Failed, Some(reason), refunded());
    }
}

#[test]
fn a_measurement_revoked_at_any_other_stage_stops_no_job() {
    for at in OPEN.into_iter().filter(|at| *at != Stage::Claimed) {
        let mut world = a_world();
        let job = world.at_stage(at);
        world.call(GOVERNOR, RevokeMeasurement { measurement: MEASUREMENTS[0] }).unwrap();
        let mut owed = settled();
        if at == Stage::Requested {
            let refused = world.act(job, at, 0);
            assert!(matches!(refused, Err(Refusal::MeasurementRevoked { .. })), "{refused:?}");
            // A worker with other code takes it.
            world.act(job, Stage::Requested, 1).unwrap();
            world.act(job, Stage::Claimed, 1).unwrap();
            finish(&mut world, job, Stage::HeadCommitted);
            owed[0].0 = PAYOUTS[1];
        } else {
            finish(&mut world, job, at);
        }
        ends(&world, job, Stage::Settled, None, owed);
    }
}

#[test]
fn a_registration_that_would_run_out_under_a_job_claims_none_and_one_that_just_lasts_is_paid() {
    let head_window = params().windows.head.0;
    for (spare, claims) in [(0, false), (1, true)] {
        let mut world = a_world();
        let job = world.requested();
        world.block = world.turns(job).unwrap().open_from.0;
        world.call(WORKERS[0], BeginRegistration {}).unwrap();
        let message = world.registration(0, world.block + head_window + spare);
        world.call(WORKERS[0], message).unwrap();
        let claimed = world.call(WORKERS[0], ClaimJob { job });
        if claims {
            assert_eq!(claimed, Ok(()));
            world.block = world.progress(job).deadline.0;
            assert_eq!(world.block + 1, world.worker(0).expires_at.0);
            finish(&mut world, job, Stage::Claimed);
            ends(&world, job, Stage::Settled, None, settled());
        } else {
            assert!(matches!(claimed, Err(Refusal::RegistrationEndsTooSoon { .. })), "{claimed:?}");
            world.past_deadline(job);
            world.call(STRANGER, PokeJob { job }).unwrap();
            ends(&world, job, Stage::Failed, Some(Reason::NoWorker), refunded());
        }
    }
}

#[test]
fn a_registration_does_not_change_under_a_job_in_hand() {
    let mut world = a_world();
    let job = world.claimed();
    world.call(WORKERS[0], BeginRegistration {}).unwrap();
    let message = world.registration(0, world.block + 5_000);
    let refused = world.call(WORKERS[0], message);
    assert!(matches!(refused, Err(Refusal::JobsInFlight { .. })), "{refused:?}");
    finish(&mut world, job, Stage::Claimed);
    ends(&world, job, Stage::Settled, None, settled());
}

#[test]
fn a_user_cancels_where_the_table_allows_it_and_nowhere_else() {
    for at in OPEN {
        let mut world = a_world();
        let job = world.at_stage(at);
        let cancelled = world.call(USER, CancelJob { job });
        match at {
            Stage::Requested => {
                assert_eq!(cancelled, Ok(()));
                ends(&world, job, Stage::Cancelled, Some(Reason::UserCancelled), refunded());
            }
            Stage::Claimed => {
                assert!(matches!(cancelled, Err(Refusal::NotYetLate { .. })), "{cancelled:?}");
                world.past_deadline(job);
                world.call(USER, CancelJob { job }).unwrap();
                let owed = vec![(USER, ESCROW + TIMEOUT[0] + TIMEOUT[1]), (TREASURY, TIMEOUT[2])];
                ends(&world, job, Stage::Failed, Some(Reason::WorkerTimeout), owed);
            }
            Stage::HeadCommitted => {
                assert_eq!(cancelled, Ok(()));
                ends(&world, job, Stage::Cancelled, Some(Reason::UserCancelled), stopped());
            }
            _ => {
                let refused = Err(Refusal::WrongStage { found: at, wanted: Stage::HeadCommitted });
                assert_eq!(cancelled, refused);
                finish(&mut world, job, at);
                ends(&world, job, Stage::Settled, None, settled());
            }
        }
    }
}

#[test]
fn nobody_but_its_user_cancels_a_job() {
    for at in OPEN {
        let mut world = a_world();
        let job = world.at_stage(at);
        for caller in [USERS[1], CREATORS[0], WORKERS[0], GOVERNOR, STRANGER] {
            let refused = world.call(caller, CancelJob { job });
            assert!(matches!(refused, Err(Refusal::NotYourJob { .. })), "{at:?}: {refused:?}");
        }
        finish(&mut world, job, at);
        ends(&world, job, Stage::Settled, None, settled());
    }
}

#[test]
fn a_strangers_poke_changes_nothing_in_time_and_moves_every_late_stage_by_the_table() {
    for at in OPEN {
        let mut world = a_world();
        let job = world.at_stage(at);
        world.block = world.progress(job).deadline.0;
        let early = world.call(STRANGER, PokeJob { job });
        assert!(matches!(early, Err(Refusal::NotYetLate { .. })), "{at:?}: {early:?}");
        world.block += 1;
        world.call(STRANGER, PokeJob { job }).unwrap();
        let (to, reason, mut wanted) = poked(at);
        if to.is_terminal() {
            ends(&world, job, to, reason, wanted);
            continue;
        }
        let mut chain = on_chain(&world);
        wanted.sort();
        assert_eq!((stage(&mut chain, job), owed(&mut chain)), ((to, reason), wanted));
        balances(&mut chain);
    }
}

#[test]
fn a_pause_stops_new_jobs_and_nobody_elses_way_out() {
    for at in OPEN {
        let mut world = a_world();
        let (job, other) = (world.at_stage(at), world.at_stage(at));
        world.call(GOVERNOR, SetPaused { paused: true }).unwrap();
        let message = world.request_message(VersionId(1), SplitIndex(0));
        assert_eq!(world.send_request(USER, message), Err(Refusal::Paused));
        finish(&mut world, job, at);
        world.past_deadline(other);
        world.call(STRANGER, PokeJob { job: other }).unwrap();
        let (to, _, more) = poked(at);
        if !to.is_terminal() {
            // Offered again: taken by another worker while the pause lasts.
            world.act(other, Stage::Requested, 0).unwrap();
            finish(&mut world, other, Stage::Claimed);
        }
        let rest = if to.is_terminal() { more } else { [more, settled()].concat() };
        ends(&world, job, Stage::Settled, None, summed(&[settled(), rest].concat()));
    }
}

/// One entry an account.
fn summed(lines: &[(Address, u128)]) -> Owed {
    let mut sums = std::collections::BTreeMap::new();
    lines.iter().for_each(|(account, amount)| *sums.entry(*account).or_default() += amount);
    sums.into_iter().collect()
}

#[test]
fn the_books_of_a_market_in_which_everything_happens_balance_from_events_alone() {
    let world = everything(Chain::new().contract());
    let mut chain = on_chain(&world);
    balances(&mut chain);
    let report = chain.audit();
    assert!(report.jobs > 10, "{report:?}");
}
