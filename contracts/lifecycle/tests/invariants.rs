//! The market's invariants, each by name, after every step of random command sequences.
//!
//! The numbers are stable names; where each is shown:
//!
//! | invariants | file |
//! |---|---|
//! | 1 to 5, 8, 10 to 15, 17, 21, 24 | here |
//! | 5, from every state that one job can reach | `exhaustive.rs` |
//! | 6, 7, 9, 14, 16, 23 | `roles.rs` |
//! | 18, 19 | `disputes.rs` |
//! | 22 | `deposits.rs` |
//! | 21, to the planck | `pruning.rs` |
//! | 20 | `tests/contract/tests/succession.rs`: an upgrade is another contract |
#![allow(clippy::unwrap_used, clippy::panic, clippy::needless_range_loop)]

mod world;

use encompute_lifecycle::{Ledger, ReadState};
use encompute_protocol::{
    Address, DisputeKind, JobId, JobProgress, JobRecords, JobTerms, ModelId, Plancks, Stage,
    call::*,
    event::{Cause, Event},
    market::Totals,
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use std::collections::BTreeMap;
use world::{random::*, *};

/// Forty sequences, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 40 };
    ProptestConfig { cases, ..default }
}

/// Runs sequences, calling `check` with the worlds before and after every step.
fn always(check: impl Fn(&World, &World) -> TestCaseResult) {
    proptest!(config(), |(steps in prop::collection::vec(step(), 1..90))| {
        let mut world = World::new();
        for step in &steps {
            let before = world.clone();
            world.take(step);
            check(&before, &world)?;
        }
    });
}

fn progress(world: &World) -> BTreeMap<u64, (JobTerms, JobProgress)> {
    world.jobs().map(|job| (job.0, (world.terms(job), world.progress(job)))).collect()
}

/// Totals added up from the records themselves.
fn added_up(world: &World) -> Totals {
    let mut totals = Totals::default();
    for (terms, progress) in progress(world).into_values() {
        if !progress.stage.is_terminal() {
            totals.escrow.0 += terms.fees.total().unwrap().0;
        }
    }
    for worker in 0..WORKERS.len() {
        totals.stakes.0 += world.worker(worker).stake.0;
    }
    for model in 1..=world.market.counts().models {
        totals.bonds.0 += world.market.model(ModelId(model)).unwrap().bond.0;
    }
    totals.credits.0 = world.market.credits().map(|(_, amount)| amount.0).sum();
    totals.deposits.0 = world.jobs().filter_map(|job| world.market.dispute(job)).map(|open| open.deposit.0).sum();
    totals
}

#[test]
fn invariant_1_the_balance_is_escrows_stakes_bonds_deposits_and_credits() {
    always(|_, world| {
        let totals = world.market.totals();
        prop_assert_eq!(totals, added_up(world));
        let sum = totals.escrow.0 + totals.stakes.0 + totals.bonds.0 + totals.credits.0 + totals.deposits.0;
        prop_assert_eq!(world.market.balance().0, sum);
        Ok(())
    });
}

#[test]
fn conservation_paid_and_held_is_what_was_deposited_and_events_alone_say_so() {
    always(|_, world| {
        let ledger = Ledger::replay(world.market.events()).map_err(|(at, error)| {
            TestCaseError::fail(format!("event {at}: {error}: {:?}", world.market.events()[at]))
        })?;
        prop_assert_eq!(ledger.totals().unwrap(), world.market.totals());
        prop_assert_eq!(ledger.balance().unwrap(), world.market.balance());
        let credits: BTreeMap<Address, Plancks> = world.market.credits().collect();
        prop_assert_eq!(&ledger.credits, &credits);
        for worker in 0..WORKERS.len() {
            let (record, stake) = (world.worker(worker), ledger.stakes[&WORKERS[worker]]);
            let found = (stake.amount, stake.locked, stake.leaving);
            prop_assert_eq!(found, (record.stake, record.stake_locked, record.stake_leaving));
        }
        for (model, bond) in &ledger.bonds {
            let record = world.market.model(*model).unwrap();
            let found = (bond.amount, bond.locked, bond.leaving);
            prop_assert_eq!(found, (record.bond, record.bond_locked, record.bond_leaving));
        }
        Ok(())
    });
}

#[test]
fn invariant_2_a_job_credits_exactly_its_escrow_and_what_was_slashed_for_it() {
    always(|_, world| {
        let ledger = Ledger::replay(world.market.events()).unwrap();
        prop_assert_eq!(ledger.imbalances().collect::<Vec<_>>(), vec![]);
        Ok(())
    });
}

#[test]
fn invariant_3_credits_come_only_with_an_end_a_slash_or_a_ruling() {
    always(|before, world| {
        for (_, event) in &world.market.events()[before.market.events().len()..] {
            if let Event::Credited(credited) = event {
                if credited.cause == Cause::Storage {
                    prop_assert!(before.market.pruned(credited.job) != world.market.pruned(credited.job));
                    continue;
                }
                let progress = world.progress(credited.job);
                let slashed = progress.timeouts > before.progress(credited.job).timeouts;
                let ruled =
                    before.market.dispute(credited.job).is_some() && world.market.dispute(credited.job).is_none();
                prop_assert!(progress.stage.is_terminal() || slashed || ruled, "{credited:?}");
            }
        }
        Ok(())
    });
}

#[test]
fn invariant_4_a_job_ends_once() {
    always(|before, world| {
        for (job, (_, was)) in progress(before) {
            if was.stage.is_terminal() && world.market.pruned(JobId(job)).is_none() {
                prop_assert_eq!(progress(world)[&job].1, was);
            }
        }
        Ok(())
    });
}

#[test]
fn invariant_5_pokes_alone_end_every_job_and_everybody_gets_everything_out() {
    proptest!(config(), |(steps in prop::collection::vec(step(), 1..120))| {
        let mut world = World::new();
        for step in &steps { world.take(step); }
        for job in world.jobs() {
            let stage = world.progress(job).stage;
            if !stage.is_terminal() {
                world.block = world.block.max(world.progress(job).deadline.0 + 1);
                // A retry waits for a claim, which nobody makes; a dispute is sealed, revealed, and the job goes on:
                // four pokes are enough for any stage.
                for _ in 0..4 {
                    if !world.progress(job).stage.is_terminal() {
                        world.block = world.block.max(world.progress(job).deadline.0 + 1);
                        world.call(STRANGER, PokeJob { job }).unwrap();
                    }
                }
            }
            prop_assert!(world.progress(job).stage.is_terminal());
        }
        prop_assert_eq!(world.market.totals().escrow, Plancks::ZERO);
        world.everybody_leaves();
        prop_assert_eq!(world.market.balance(), Plancks::ZERO);
    });
}

#[test]
fn invariant_8_nothing_is_ever_negative_and_rounding_favours_the_treasury() {
    // Plancks has no sign and every difference is checked: what is left to show is that no command
    // ever meets a contradiction in the records.
    proptest!(config(), |(steps in prop::collection::vec(step(), 1..90))| {
        let mut world = World::new();
        for step in &steps {
            if let Some((caller, value, command)) = world.command(step) {
                let at = world.at(caller, value);
                let refusal = world.market.execute_command(&at, &command).err();
                let damaged = matches!(
                    refusal,
                    Some(encompute_lifecycle::Refusal::Inconsistent | encompute_lifecycle::Refusal::AmountTooLarge)
                );
                prop_assert!(!damaged, "{command:?}: {refusal:?}");
            } else {
                world.take(step);
            }
        }
    });
}

#[test]
fn invariant_10_what_a_job_was_bought_for_never_changes() {
    always(|before, world| {
        for (job, (terms, _)) in progress(before) {
            if world.market.pruned(JobId(job)).is_none() {
                prop_assert_eq!(progress(world)[&job].0, terms);
            }
        }
        Ok(())
    });
}

#[test]
fn invariant_11_jobs_hold_no_more_than_there_is_and_only_free_money_leaves() {
    always(|_, world| {
        let held = |stage: fn(Stage) -> bool, of: fn(&JobTerms, &JobProgress) -> (u128, Address, ModelId)| {
            let mut by_worker = BTreeMap::<Address, u128>::new();
            let mut by_model = BTreeMap::<ModelId, u128>::new();
            for (terms, progress) in progress(world).values().filter(|(_, progress)| stage(progress.stage)) {
                let (amount, worker, model) = of(terms, progress);
                *by_worker.entry(worker).or_default() += amount;
                *by_model.entry(model).or_default() += amount;
            }
            (by_worker, by_model)
        };
        let (stakes, _) = held(
            |stage| !stage.is_terminal(),
            |terms, progress| (progress.stake_held.0, progress.worker.unwrap_or_default(), terms.model),
        );
        let mut stakes = stakes;
        for job in world.jobs() {
            for juror in world.market.dispute(job).iter().flat_map(|record| record.jurors()) {
                *stakes.entry(juror.account).or_default() += world.terms(job).job_stake.0;
            }
        }
        let (_, bonds) =
            held(|stage| !stage.is_terminal(), |terms, _| (terms.job_bond.0, Address::default(), terms.model));
        for (worker, account) in WORKERS.into_iter().enumerate() {
            let record = world.worker(worker);
            prop_assert_eq!(record.stake_locked.0, stakes.get(&account).copied().unwrap_or(0));
            prop_assert!(record.stake_locked.0 + record.stake_leaving.0 <= record.stake.0);
        }
        for model in 1..=world.market.counts().models {
            let record = world.market.model(ModelId(model)).unwrap();
            prop_assert_eq!(record.bond_locked.0, bonds.get(&ModelId(model)).copied().unwrap_or(0));
            prop_assert!(record.bond_locked.0 + record.bond_leaving.0 <= record.bond.0);
        }
        Ok(())
    });
}

#[test]
fn invariant_12_a_workers_places_are_its_claimed_jobs() {
    always(|_, world| {
        for (worker, account) in WORKERS.into_iter().enumerate() {
            let claimed = progress(world)
                .values()
                .filter(|(_, progress)| progress.stage == Stage::Claimed && progress.worker == Some(account))
                .count();
            prop_assert_eq!(usize::from(world.worker(worker).in_flight), claimed);
        }
        Ok(())
    });
}

#[test]
fn invariant_13_a_commitment_is_written_once() {
    always(|before, world| {
        for (job, (_, was)) in progress(before) {
            let Some((_, is)) = progress(world).remove(&job) else { continue };
            for (was, is) in [(was.output, is.output), (was.features, is.features), (was.result, is.result)] {
                prop_assert!(was.is_none() || was == is, "job {job}");
            }
        }
        Ok(())
    });
}

#[test]
fn invariant_14_a_head_is_committed_only_under_the_registration_and_version_of_the_claim() {
    always(|before, world| {
        for (job, (terms, was)) in progress(before) {
            let Some((_, is)) = progress(world).remove(&job) else { continue };
            if was.stage == Stage::Claimed && is.stage == Stage::HeadCommitted {
                let worker = world.market.worker(was.worker.unwrap()).unwrap();
                // Invariant 15 with it: the registration holds in the block of the commitment.
                prop_assert!(worker.registered_at <= was.claimed_at && worker.expires_at.0 > world.block);
                let measurement = world.market.measurement(worker.measurement).unwrap();
                prop_assert!(measurement.revoked_at.is_none());
                let platform = world.market.platform(worker.platform).unwrap();
                prop_assert!(platform.revoked_at.is_none());
                let version = world.market.version(terms.version).unwrap();
                prop_assert!(version.status != encompute_protocol::VersionStatus::Revoked);
                prop_assert!(was.claimed_at <= is.finished_at && is.finished_at.0 <= world.block);
            }
        }
        Ok(())
    });
}

#[test]
fn invariant_24_a_step_moves_a_job_along_one_edge_whatever_the_block() {
    let edges = |from: Stage, to: Stage| {
        use Stage::*;
        from == to
            || matches!(
                (from, to),
                (Requested, Claimed | Failed | Cancelled)
                    | (Claimed, Requested | HeadCommitted | Failed)
                    | (HeadCommitted, FeaturesSent | Settled | Failed | Cancelled)
                    | (HeadCommitted, Disputed(DisputeKind::Head | DisputeKind::Missing))
                    | (FeaturesSent, ResultCommitted | Failed)
                    | (ResultCommitted, Settled | Disputed(DisputeKind::Missing | DisputeKind::Result))
                    | (Disputed(DisputeKind::Head), HeadCommitted | Failed)
                    | (Disputed(DisputeKind::Missing), HeadCommitted | ResultCommitted | Failed)
                    | (Disputed(DisputeKind::Result), ResultCommitted | Failed)
            )
    };
    always(|before, world| {
        for (job, (_, was)) in progress(before) {
            // A job whose records go was over before: invariant 21.
            let Some((_, is)) = progress(world).remove(&job) else { continue };
            prop_assert!(edges(was.stage, is.stage), "job {job}: {:?} to {:?}", was.stage, is.stage);
        }
        let moved = |event: &Event| matches!(event, Event::JobStageChanged(moved) if moved.from.is_some());
        let new = world.market.events()[before.market.events().len()..].iter();
        prop_assert!(new.filter(|(_, event)| moved(event)).count() <= 1, "one edge, one event");
        Ok(())
    });
}

#[test]
fn invariant_17_a_pause_stops_requests_and_nothing_else() {
    proptest!(config(), |(steps in prop::collection::vec(step(), 1..60), last in step())| {
        let mut world = World::new();
        for step in &steps { world.take(step); }
        let _ = world.call(GOVERNOR, SetPaused { paused: false });
        let mut paused = world.clone();
        paused.call(GOVERNOR, SetPaused { paused: true }).unwrap();
        let (open, shut) = (world.command(&last), paused.command(&last));
        if let (Some((caller, value, command)), Some(_)) = (open, shut) {
            let at = world.at(caller, value);
            let with = paused.market.execute_command(&at, &command);
            let without = world.market.execute_command(&at, &command);
            match command {
                encompute_lifecycle::Command::RequestJob(_) => {
                    prop_assert_eq!(with, Err(encompute_lifecycle::Refusal::Paused));
                }
                _ => prop_assert_eq!(with, without),
            }
        }
    });
}

#[test]
fn invariant_21_only_what_is_long_over_is_forgotten_and_its_digest_stays() {
    always(|before, world| {
        for (job, (terms, was)) in progress(before) {
            let Some(record) = world.market.pruned(JobId(job)) else { continue };
            prop_assert!(was.stage.is_terminal());
            let lived = encompute_lifecycle::price::longest_job(&terms.windows);
            prop_assert!(u64::from(world.block) > u64::from(was.changed_at.0) + lived);
            let records = JobRecords { genesis: GENESIS, contract: CONTRACT, job: JobId(job), terms, progress: was };
            prop_assert_eq!(record.digest, records.records_digest());
            prop_assert_eq!(record.pruned_at.0, world.block);
        }
        Ok(())
    });
}

#[test]
fn the_random_steps_reach_every_stage_and_every_ending() {
    // Without this, a generator that never gets anywhere would prove everything.
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeMap::<(Stage, Option<u8>), u32>::new();
    let mut pruned = 0;
    for _ in 0..600 {
        let steps = prop::collection::vec(step(), 90).new_tree(&mut runner).unwrap().current();
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        for (_, event) in world.market.events() {
            pruned += u32::from(matches!(event, Event::JobPruned(_)));
            if let Event::JobStageChanged(moved) = event {
                *reached.entry((moved.to, moved.reason.map(|reason| reason.number()))).or_default() += 1;
            }
        }
    }
    let wanted = [
        (Stage::Requested, None),
        (Stage::Requested, Some(11)),
        (Stage::Claimed, None),
        (Stage::HeadCommitted, None),
        (Stage::FeaturesSent, None),
        (Stage::ResultCommitted, None),
        (Stage::Settled, None),
        (Stage::Failed, Some(10)),
        (Stage::Failed, Some(11)),
        (Stage::Failed, Some(20)),
        (Stage::Failed, Some(30)),
        (Stage::Failed, Some(31)),
        (Stage::Failed, Some(40)),
        (Stage::Failed, Some(42)),
        (Stage::Cancelled, Some(21)),
        (Stage::Disputed(DisputeKind::Head), None),
        (Stage::Disputed(DisputeKind::Missing), None),
        (Stage::Disputed(DisputeKind::Result), None),
        (Stage::HeadCommitted, Some(50)),
        (Stage::HeadCommitted, Some(51)),
        (Stage::ResultCommitted, Some(51)),
        (Stage::Failed, Some(13)),
        // 14, 32 and 33 take a blob that nobody posts, which is rare here; `exhaustive.rs` reaches them.
    ];
    for state in wanted {
        assert!(reached.contains_key(&state), "{state:?} is never reached; reached: {reached:?}");
    }
    assert!(pruned > 50, "{pruned} jobs pruned");
}
