//! What holds after every step of any sequence: one function an invariant, for the tests that name them and for the long run.

pub use super::appeals::invariant_29_a_ruling_is_appealed_once_by_its_worker_in_time_and_heard_by_others;
pub use super::claims::{
    invariant_25_a_job_is_claimed_by_whose_turn_it_is,
    invariant_26_a_score_moves_only_with_what_was_done_and_in_its_direction,
};
pub use super::sponsors::{
    a_refund_is_credited_to_whom_the_money_came_from,
    an_allowance_changes_by_its_sponsors_word_and_its_users_jobs_alone,
};
use super::*;
use encompute_lifecycle::Ledger;
use encompute_protocol::{
    JobRecords, PrunedRecord, SessionId, SessionRecord, SessionRecords, SessionStage,
    call::PokeSession,
    event::{Cause, Event},
    market::Totals,
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use std::collections::BTreeMap;

/// Looks at the worlds before and after a step.
pub type Check = fn(&World, &World) -> TestCaseResult;

macro_rules! named {
    ($($name:ident,)*) => { &[$((stringify!($name), $name)),*] };
}

/// All of them, by the names of their tests.
pub const ALL: &[(&str, Check)] = named! {
    invariant_1_the_balance_is_escrows_stakes_bonds_deposits_and_credits,
    conservation_paid_and_held_is_what_was_deposited_and_events_alone_say_so,
    invariant_2_a_job_credits_exactly_its_escrow_and_what_was_slashed_for_it,
    invariant_3_credits_come_only_with_an_end_a_slash_or_a_ruling,
    invariant_4_a_job_ends_once,
    invariant_10_what_a_job_was_bought_for_never_changes,
    invariant_11_jobs_hold_no_more_than_there_is_and_only_free_money_leaves,
    invariant_12_a_workers_places_are_its_claimed_jobs_and_sessions,
    sessions_only_move_on_and_nothing_shown_is_taken_back,
    invariant_13_a_commitment_is_written_once,
    invariant_14_a_head_is_committed_only_under_the_registration_and_version_of_the_claim,
    invariant_15_what_a_worker_attested_holds_in_the_block_in_which_it_commits,
    invariant_19_witnesses_are_on_machines_of_their_own_and_none_on_the_workers,
    invariant_21_only_what_is_long_over_is_forgotten_and_its_digest_stays,
    invariant_24_a_step_moves_a_job_along_one_edge_whatever_the_block,
    invariant_25_a_job_is_claimed_by_whose_turn_it_is,
    invariant_26_a_score_moves_only_with_what_was_done_and_in_its_direction,
    invariant_27_only_drawn_jobs_are_audited_once_and_only_the_treasury_stakes_on_it,
    invariant_28_a_quote_is_demanded_once_and_shown_by_the_code_and_machine_that_committed,
    an_allowance_changes_by_its_sponsors_word_and_its_users_jobs_alone,
    a_refund_is_credited_to_whom_the_money_came_from,
    invariant_29_a_ruling_is_appealed_once_by_its_worker_in_time_and_heard_by_others,
};

pub fn progress(world: &World) -> BTreeMap<u64, (JobTerms, JobProgress)> {
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
    for session in world.sessions().map(|id| world.session(id)).filter(|session| session.stage != SessionStage::Closed)
    {
        totals.escrow.0 += session.fees.total().unwrap().0 * u128::from(session.jobs);
    }
    for worker in world.workers() {
        totals.stakes.0 += world.worker(worker).stake.0;
    }
    for model in 1..=world.market.counts().models {
        totals.bonds.0 += world.market.model(ModelId(model)).unwrap().bond.0;
    }
    totals.credits.0 = world.market.credits().map(|(_, amount)| amount.0).sum();
    totals.allowances.0 = world.market.allowances().map(|(_, amount)| amount.0).sum();
    for job in world.jobs() {
        let Some(open) = world.market.dispute(job) else { continue };
        totals.deposits.0 += open.deposit.0 + open.appealed.map_or(0, |_| world.appeal_deposit(job).0);
    }
    totals
}

pub fn invariant_1_the_balance_is_escrows_stakes_bonds_deposits_and_credits(
    _: &World,
    world: &World,
) -> TestCaseResult {
    let totals = world.market.totals();
    prop_assert_eq!(totals, added_up(world));
    let Totals { escrow, stakes, bonds, credits, deposits, allowances } = totals;
    let sum: u128 = [escrow, stakes, bonds, credits, deposits, allowances].iter().map(|sum| sum.0).sum();
    prop_assert_eq!(world.market.balance().0, sum);
    Ok(())
}

pub fn conservation_paid_and_held_is_what_was_deposited_and_events_alone_say_so(
    _: &World,
    world: &World,
) -> TestCaseResult {
    let ledger = Ledger::replay(world.market.events())
        .map_err(|(at, error)| TestCaseError::fail(format!("event {at}: {error}: {:?}", world.market.events()[at])))?;
    prop_assert_eq!(ledger.totals().unwrap(), world.market.totals());
    prop_assert_eq!(ledger.balance().unwrap(), world.market.balance());
    let credits: BTreeMap<Address, Plancks> = world.market.credits().collect();
    prop_assert_eq!(&ledger.credits, &credits);
    prop_assert_eq!(&ledger.allowances, &world.market.allowances().collect::<BTreeMap<_, _>>());
    for worker in world.workers() {
        let (record, stake) = (world.worker(worker), ledger.stakes[&account(worker)]);
        let found = (stake.amount, stake.locked, stake.leaving);
        prop_assert_eq!(found, (record.stake, record.stake_locked, record.stake_leaving));
    }
    for (model, bond) in &ledger.bonds {
        let record = world.market.model(*model).unwrap();
        let found = (bond.amount, bond.locked, bond.leaving);
        prop_assert_eq!(found, (record.bond, record.bond_locked, record.bond_leaving));
    }
    Ok(())
}

pub fn invariant_2_a_job_credits_exactly_its_escrow_and_what_was_slashed_for_it(
    _: &World,
    world: &World,
) -> TestCaseResult {
    let ledger = Ledger::replay(world.market.events()).unwrap();
    prop_assert_eq!(ledger.imbalances().chain(ledger.session_imbalances()).collect::<Vec<_>>(), vec![]);
    Ok(())
}

pub fn invariant_3_credits_come_only_with_an_end_a_slash_or_a_ruling(before: &World, world: &World) -> TestCaseResult {
    for (_, event) in &world.market.events()[before.market.events().len()..] {
        if let Event::Credited(credited) = event {
            if credited.cause == Cause::Storage {
                prop_assert!(before.market.pruned(credited.job) != world.market.pruned(credited.job));
                continue;
            }
            let session = SessionId(credited.job.0);
            if let Some(record) = world.market.session(session) {
                let was = before.market.session(session).map(|record| record.stage);
                prop_assert!(was != Some(SessionStage::Closed) && record.stage == SessionStage::Closed);
                continue;
            }
            let progress = world.progress(credited.job);
            let slashed = progress.timeouts > before.progress(credited.job).timeouts;
            let ruled = before.market.dispute(credited.job).is_some() && world.market.dispute(credited.job).is_none();
            prop_assert!(progress.stage.is_terminal() || slashed || ruled, "{credited:?}");
        }
    }
    Ok(())
}

pub fn invariant_4_a_job_ends_once(before: &World, world: &World) -> TestCaseResult {
    for (job, (_, was)) in progress(before) {
        if was.stage.is_terminal() && world.market.pruned(JobId(job)).is_none() {
            prop_assert_eq!(progress(world)[&job].1, was);
        }
    }
    Ok(())
}

pub fn invariant_10_what_a_job_was_bought_for_never_changes(before: &World, world: &World) -> TestCaseResult {
    for (job, (terms, _)) in progress(before) {
        if world.market.pruned(JobId(job)).is_none() {
            prop_assert_eq!(progress(world)[&job].0, terms);
        }
    }
    Ok(())
}

pub fn invariant_11_jobs_hold_no_more_than_there_is_and_only_free_money_leaves(
    _: &World,
    world: &World,
) -> TestCaseResult {
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
        let Some(record) = world.market.dispute(job) else { continue };
        let former = record.former_jurors().iter().map(|former| former.account);
        for juror in record.jurors().iter().map(|juror| juror.account).chain(former) {
            *stakes.entry(juror).or_default() += world.terms(job).job_stake.0;
        }
    }
    let (_, bonds) = held(|stage| !stage.is_terminal(), |terms, _| (terms.job_bond.0, Address::default(), terms.model));
    for worker in world.workers() {
        let record = world.worker(worker);
        prop_assert_eq!(record.stake_locked.0, stakes.get(&account(worker)).copied().unwrap_or(0));
        prop_assert!(record.stake_locked.0 + record.stake_leaving.0 <= record.stake.0);
    }
    for model in 1..=world.market.counts().models {
        let record = world.market.model(ModelId(model)).unwrap();
        prop_assert_eq!(record.bond_locked.0, bonds.get(&ModelId(model)).copied().unwrap_or(0));
        prop_assert!(record.bond_locked.0 + record.bond_leaving.0 <= record.bond.0);
    }
    Ok(())
}

pub fn invariant_12_a_workers_places_are_its_claimed_jobs_and_sessions(_: &World, world: &World) -> TestCaseResult {
    for (worker, account) in world.workers().map(|worker| (worker, account(worker))) {
        let claimed = progress(world)
            .values()
            .filter(|(_, progress)| progress.stage == Stage::Claimed && progress.worker == Some(account))
            .count();
        let serves = |session: &SessionRecord| session.stage != SessionStage::Closed && session.worker == account;
        let sessions = world.sessions().filter(|id| serves(&world.session(*id))).count();
        prop_assert_eq!(usize::from(world.worker(worker).in_flight), claimed + sessions);
    }
    Ok(())
}

pub fn invariant_13_a_commitment_is_written_once(before: &World, world: &World) -> TestCaseResult {
    for (job, (_, was)) in progress(before) {
        let Some((_, is)) = progress(world).remove(&job) else { continue };
        for (was, is) in [(was.output, is.output), (was.features, is.features), (was.result, is.result)] {
            prop_assert!(was.is_none() || was == is, "job {job}");
        }
    }
    Ok(())
}

pub fn invariant_14_a_head_is_committed_only_under_the_registration_and_version_of_the_claim(
    before: &World,
    world: &World,
) -> TestCaseResult {
    for (terms, was, is) in committed(before, world) {
        let worker = world.market.worker(was.worker.unwrap()).unwrap();
        prop_assert!(worker.registered_at <= was.claimed_at && is.measurement == Some(worker.measurement));
        prop_assert_eq!(is.platform, Some(worker.platform));
        let version = world.market.version(terms.version).unwrap();
        prop_assert!(version.status != encompute_protocol::VersionStatus::Revoked);
        prop_assert!(was.claimed_at <= is.finished_at && is.finished_at.0 <= world.block);
    }
    Ok(())
}

pub fn invariant_15_what_a_worker_attested_holds_in_the_block_in_which_it_commits(
    before: &World,
    world: &World,
) -> TestCaseResult {
    for (_, was, _) in committed(before, world) {
        let worker = world.market.worker(was.worker.unwrap()).unwrap();
        let block = encompute_protocol::BlockNumber(world.block);
        prop_assert!(worker.expires_at > block);
        prop_assert!(world.market.measurement(worker.measurement).unwrap().is_usable_at(block));
        prop_assert!(world.market.platform(worker.platform).unwrap().is_usable_at(block));
    }
    Ok(())
}

pub fn invariant_19_witnesses_are_on_machines_of_their_own_and_none_on_the_workers(
    before: &World,
    world: &World,
) -> TestCaseResult {
    let new = world.market.events()[before.market.events().len()..].iter();
    let drawn = new.filter_map(|(_, event)| match event {
        Event::JurorDrawn(drawn) if world.dispute(drawn.job).kind == DisputeKind::Witness => Some(drawn),
        _ => None,
    });
    let mut seen = Vec::new();
    for drawn in drawn {
        prop_assert_eq!(world.market.worker(drawn.juror).unwrap().platform, drawn.platform);
        prop_assert!(world.progress(drawn.job).platform != Some(drawn.platform), "the worker's own: {drawn:?}");
        prop_assert!(!seen.contains(&drawn.platform), "twice: {drawn:?}");
        seen.push(drawn.platform);
    }
    Ok(())
}

/// Jobs whose head this step committed: what was bought, and how far they were and are.
fn committed(before: &World, world: &World) -> Vec<(JobTerms, JobProgress, JobProgress)> {
    let mut after = progress(world);
    let moved =
        progress(before).into_iter().filter_map(|(job, (terms, was))| Some((terms, was, after.remove(&job)?.1)));
    moved.filter(|(_, was, is)| was.stage == Stage::Claimed && is.stage == Stage::HeadCommitted).collect()
}

pub fn invariant_21_only_what_is_long_over_is_forgotten_and_its_digest_stays(
    before: &World,
    world: &World,
) -> TestCaseResult {
    for (job, (terms, was)) in progress(before) {
        let Some(record) = world.market.pruned(JobId(job)) else { continue };
        prop_assert!(was.stage.is_terminal());
        let lived = encompute_lifecycle::price::longest_job(&terms.windows);
        prop_assert!(u64::from(world.block) > u64::from(was.changed_at.0) + lived);
        let records = JobRecords { genesis: GENESIS, contract: CONTRACT, job: JobId(job), terms, progress: was };
        prop_assert_eq!(record.digest, records.records_digest());
        prop_assert_eq!(record.pruned_at.0, world.block);
    }
    for session in before.sessions().filter(|id| world.market.session(*id).is_none()) {
        let record = before.session(session);
        prop_assert_eq!(record.stage, SessionStage::Closed);
        let life = record.deadline.0 - record.opened_at.0 + record.challenge.0;
        prop_assert!(world.block > record.changed_at.0 + life);
        let records = SessionRecords { genesis: GENESIS, contract: CONTRACT, session, record };
        let kept = PrunedRecord { digest: records.records_digest(), pruned_at: BlockNumber(world.block) };
        prop_assert_eq!(world.market.pruned(session.first()), Some(kept));
    }
    Ok(())
}

pub fn invariant_24_a_step_moves_a_job_along_one_edge_whatever_the_block(
    before: &World,
    world: &World,
) -> TestCaseResult {
    let edges = |from: Stage, to: Stage| {
        use Stage::*;
        from == to
            || matches!(
                (from, to),
                (Requested, Claimed | Failed | Cancelled)
                    | (Claimed, Requested | HeadCommitted | Failed)
                    | (HeadCommitted, FeaturesSent | Settled | Failed | Cancelled)
                    | (HeadCommitted, Disputed(DisputeKind::Head | DisputeKind::Missing | DisputeKind::Witness))
                    | (FeaturesSent, ResultCommitted | Failed)
                    | (HeadCommitted | FeaturesSent | ResultCommitted, Disputed(DisputeKind::Audit))
                    | (Disputed(DisputeKind::Audit), HeadCommitted | FeaturesSent | ResultCommitted | Failed)
                    | (HeadCommitted | FeaturesSent, Disputed(DisputeKind::Quote))
                    | (Disputed(DisputeKind::Quote), HeadCommitted | FeaturesSent | Failed)
                    | (ResultCommitted, Settled | Disputed(DisputeKind::Missing | DisputeKind::Result))
                    | (Disputed(DisputeKind::Head | DisputeKind::Witness), HeadCommitted | Failed)
                    | (Disputed(DisputeKind::Missing), HeadCommitted | ResultCommitted | Failed)
                    | (Disputed(DisputeKind::Result), ResultCommitted | Failed)
            )
    };
    for (job, (_, was)) in progress(before) {
        // A job whose records go was over before: invariant 21.
        let Some((_, is)) = progress(world).remove(&job) else { continue };
        prop_assert!(edges(was.stage, is.stage), "job {job}: {:?} to {:?}", was.stage, is.stage);
    }
    let moved = |event: &Event| matches!(event, Event::JobStageChanged(moved) if moved.from.is_some());
    let new = world.market.events()[before.market.events().len()..].iter();
    prop_assert!(new.filter(|(_, event)| moved(event)).count() <= 1, "one edge, one event");
    Ok(())
}

pub fn invariant_27_only_drawn_jobs_are_audited_once_and_only_the_treasury_stakes_on_it(
    before: &World,
    world: &World,
) -> TestCaseResult {
    for (_, event) in &world.market.events()[before.market.events().len()..] {
        let Event::CreditStaked(staked) = event else { continue };
        let (was, is, terms) = (before.progress(staked.job), world.progress(staked.job), world.terms(staked.job));
        let bit = DisputeKind::Audit.bit(was.stage);
        prop_assert!(was.disputed & bit == 0 && is.disputed & bit != 0, "once: {staked:?}");
        prop_assert!(world.is_drawn(staked.job, was.committed_at.0, terms.audit_share), "drawn: {staked:?}");
        prop_assert_eq!((staked.account, staked.amount.0), (TREASURY, 3 * terms.fees.head.0));
        let left = before.market.credit(TREASURY).0 - staked.amount.0;
        prop_assert_eq!(world.market.credit(TREASURY).0, left);
        // Nobody sends anything.
        prop_assert_eq!(world.market.balance(), before.market.balance());
    }
    for (job, (terms, progress)) in progress(world) {
        prop_assert!(progress.stake_held <= terms.job_stake, "job {job}");
        let is_done = matches!(progress.stage, Stage::FeaturesSent | Stage::ResultCommitted);
        prop_assert!(!is_done || progress.stake_held == Plancks::ZERO, "job {job} holds a stake whose part is done");
    }
    Ok(())
}

pub fn invariant_28_a_quote_is_demanded_once_and_shown_by_the_code_and_machine_that_committed(
    before: &World,
    world: &World,
) -> TestCaseResult {
    for (_, event) in &world.market.events()[before.market.events().len()..] {
        match event {
            Event::QuoteDemanded(demanded) => {
                let (was, is) = (before.progress(demanded.job), world.progress(demanded.job));
                let bit = DisputeKind::Quote.bit(was.stage);
                prop_assert!(was.disputed & bit == 0 && is.disputed & bit != 0, "once: {demanded:?}");
                let twice =
                    before.market.events().iter().any(
                        |(_, event)| matches!(event, Event::QuoteDemanded(other) if other.nonce == demanded.nonce),
                    );
                prop_assert!(!twice, "a nonce twice: {demanded:?}");
            }
            Event::QuoteShown(shown) => {
                let (was, is) = (before.progress(shown.job), world.progress(shown.job));
                prop_assert!(world.block <= was.deadline.0 && was.receipt.is_some() && was.receipt == is.receipt);
                prop_assert_eq!(is.reason, Some(encompute_protocol::Reason::Quoted));
                let block = BlockNumber(world.block);
                prop_assert!(world.market.measurement(was.measurement.unwrap()).unwrap().is_usable_at(block));
            }
            _ => {}
        }
    }
    Ok(())
}

pub fn sessions_only_move_on_and_nothing_shown_is_taken_back(before: &World, world: &World) -> TestCaseResult {
    for id in before.sessions() {
        let was = before.session(id);
        // One whose record goes was over before: invariant 21.
        let Some(is) = world.market.session(id) else { continue };
        prop_assert!(was.stage <= is.stage && was.done <= is.done && was.heads <= is.heads && was.tails <= is.tails);
        prop_assert!(is.tails <= is.heads && is.heads <= is.jobs && is.done <= is.jobs);
        let bought = |record: SessionRecord| {
            (record.user, record.worker, record.key, record.jobs, record.fees, record.protocol_fee, record.challenge)
        };
        prop_assert_eq!(bought(was), bought(is));
        if was.stage == SessionStage::Closed {
            prop_assert_eq!(was, is);
        }
        // A deadline moves once: when the end begins.
        if was.stage == is.stage {
            prop_assert_eq!(was.deadline, is.deadline);
        }
    }
    Ok(())
}

/// Invariant 5: pokes alone end every job, and then everybody gets everything out.
pub fn drained(mut world: World) -> TestCaseResult {
    for job in world.jobs() {
        // A retry waits for a claim, which nobody makes; a dispute is sealed, revealed, ruled, or the job goes on: five
        // pokes are enough for any stage.
        for _ in 0..5 {
            if !world.progress(job).stage.is_terminal() {
                world.block = world.block.max(world.progress(job).deadline.0 + 1);
                world.call(STRANGER, PokeJob { job }).unwrap();
            }
        }
        prop_assert!(world.progress(job).stage.is_terminal());
    }
    for session in world.sessions().collect::<Vec<_>>() {
        if world.session(session).stage != SessionStage::Closed {
            world.block = world.block.max(world.session(session).deadline.0 + 1);
            world.call(STRANGER, PokeSession { session }).unwrap();
        }
        prop_assert_eq!(world.session(session).stage, SessionStage::Closed);
    }
    prop_assert_eq!(world.market.totals().escrow, Plancks::ZERO);
    world.everybody_leaves();
    prop_assert_eq!(world.market.balance(), Plancks::ZERO);
    Ok(())
}
