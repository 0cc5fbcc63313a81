//! Every state that one job can reach, visited: nobody finds a way around the rules, and from each
//! state pokes alone give all money back to whom it belongs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod world;

use encompute_lifecycle::{Command, ReadState, Software};
use encompute_protocol::{
    Address, BasisPoints, DisputeKind, JobId, Plancks, PolicyId, Reason, SplitIndex, Stage, VersionId, call::*,
    dispute::Proceeding,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry},
    sync::OnceLock,
};
use world::{
    sponsors::{ALLOWED, SPONSOR},
    *,
};

/// The first is the treasury's, whose credit pays for audits.
const JOB: JobId = JobId(2);

/// What makes two states of the job different.
type Key = (Stage, Option<Reason>, u8, Option<Address>, bool, bool, u8, bool, (u8, bool, u8, Vec<u8>, u8));

fn key(world: &World) -> Key {
    let progress = world.progress(JOB);
    let late = world.block > progress.deadline.0;
    let revoked = world.market.measurement(MEASUREMENTS[0]).unwrap().revoked_at;
    let in_time = revoked.is_some_and(|block| block <= progress.deadline);
    let version = world.market.version(VersionId(1)).unwrap().status as u8;
    // Every job here is drawn: what is left to know is whether its audit may be opened.
    let known = progress.output.is_some() && world.block > progress.committed_at.0 + 1;
    let may_audit = known && progress.disputed & DisputeKind::Audit.bit(progress.stage) == 0;
    // An audit is opened at three stages, and goes back to its own.
    let came = u8::from(progress.features.is_some()) + u8::from(progress.result.is_some());
    let dispute = (progress.disputed, may_audit, came, proceeding(world), turn(world));
    // Once the head is committed no rule asks how often it was tried, by which of equals, or whether the version stands.
    let committed = progress.output.is_some();
    let before = |number: u8| if committed { 0 } else { number };
    (
        progress.stage,
        progress.reason,
        before(progress.timeouts),
        progress.worker.filter(|_| !committed),
        late,
        in_time && !committed,
        before(version),
        revoked.is_some(),
        dispute,
    )
}

/// How far the draw is: before it, at its first turn, or open to anybody.
fn turn(world: &World) -> u8 {
    let Some(draw) = world.turns(JOB) else { return 0 };
    1 + u8::from(world.block > draw.decides.0) + u8::from(world.block >= draw.open_from.0)
}

/// Where its dispute stands: how far the blob or the block that draws is, or what each of its committee has said.
fn proceeding(world: &World) -> Vec<u8> {
    let Some(record) = world.market.dispute(JOB) else { return Vec::new() };
    let said = |step: u8| {
        let each = world.jurors(JOB).into_iter().zip(record.jurors()).map(|(worker, juror)| {
            let sealed = world.sealed(worker, JOB).map(|verdict| 1 + u8::from(verdict.wrong));
            4 * u8::from(juror.verdict.is_some()) + sealed.unwrap_or(0)
        });
        // Three of one kind: who of them said what makes no difference.
        let mut each: Vec<u8> = each.collect();
        each.sort_unstable();
        let mut former: Vec<u8> = record.former_jurors().iter().map(|juror| 8 + juror.opinion as u8).collect();
        former.sort_unstable();
        [vec![step], former, each].concat()
    };
    match record.proceeding {
        Proceeding::Drawing => said(u8::from(world.block > record.opened_at.0 + 1)),
        Proceeding::Sealing(_) => said(2),
        Proceeding::Revealing(_) => said(3),
        Proceeding::Posting(posted) => vec![4, u8::from(posted.read_bytes() > 0)],
        Proceeding::Quoting { .. } => vec![6],
        Proceeding::Ruled(_) => said(5),
    }
}

/// Everything that anybody could try about a dispute.
fn quarrels(world: &mut World) -> Vec<(Address, Plancks, Command)> {
    let (job, mut attempts) = (JOB, Vec::new());
    let kinds = [
        DisputeKind::Head,
        DisputeKind::Missing,
        DisputeKind::Result,
        DisputeKind::Attestation,
        DisputeKind::Witness,
        DisputeKind::Audit,
        DisputeKind::Quote,
    ];
    for (user, kind) in USERS.into_iter().flat_map(|user| kinds.iter().map(move |kind| (user, *kind))) {
        let evidence = (kind == DisputeKind::Quote).then_some(demands::UNGUESSED);
        attempts.push((user, world.to_send(job, kind), OpenDispute { job, kind, evidence }.into()));
    }
    for (worker, account) in world.workers().map(|worker| (worker, account(worker))) {
        for verdict in [disputes::RIGHT, disputes::WRONG] {
            attempts.push((account, Plancks::ZERO, world.seal_message(worker, job, verdict).into()));
            attempts.push((account, Plancks::ZERO, RevealVerdict { job, verdict, salt: disputes::SALT }.into()));
        }
    }
    for caller in [WORKERS[0], WORKERS[1], USERS[0], STRANGER] {
        attempts.push((caller, world.appeal_deposit(job), AppealRuling { job }.into()));
    }
    for caller in [WORKERS[0], WORKERS[1], CREATORS[0], STRANGER] {
        let begun = PostBlob { job, at: 0, part: vec![7; 128], last: false };
        attempts.extend([begun, world.posting(job)].map(|post| (caller, Plancks::ZERO, post.into())));
    }
    for caller in [WORKERS[0], WORKERS[1], STRANGER] {
        attempts.push((caller, Plancks::ZERO, world.quote_for(job).into()));
    }
    attempts
}

/// Everything that anybody could try in a state.
fn attempts(world: &mut World) -> Vec<(Address, Plancks, Command)> {
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
    let free = attempts.into_iter().map(|(caller, command)| (caller, Plancks::ZERO, command));
    free.chain(quarrels(world)).collect()
}

/// How the job begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Open to every worker.
    Open,
    /// The same, of a split whose head is the whole model.
    WithoutTail,
    /// In the hands of the worker that has its key.
    Custody,
    /// Open to every worker, and somebody else pays.
    Sponsored,
    /// Found wrong by a committee, among enough workers for another: followed until the dispute is over.
    Ruled,
}

/// The states in which a job begins so.
fn begun(start: Start) -> Vec<World> {
    if start == Start::Ruled {
        let kinds = [DisputeKind::Head, DisputeKind::Witness, DisputeKind::Audit];
        let verdicts = [disputes::WRONG, disputes::RIGHT, disputes::WRONG_OTHERWISE]
            .map(|third| [disputes::WRONG, third, disputes::WRONG]);
        let each = kinds.into_iter().flat_map(|kind| verdicts.into_iter().map(move |verdicts| (kind, verdicts)));
        let ruled = |(kind, verdicts)| {
            let mut world = World::auditing(BasisPoints(10_000)).with_more();
            world.ruled(kind, Stage::ResultCommitted, verdicts);
            world
        };
        return each.map(ruled).collect();
    }
    let mut world = World::auditing(BasisPoints(10_000));
    let split = SplitIndex(u8::from(start == Start::WithoutTail));
    let mut message = world.request_message(VersionId(1), split);
    message.offer = (start == Start::Custody).then(|| world.custody_offer(0, USERS[0], &message));
    if start == Start::Sponsored {
        world.allow(SPONSOR, USERS[0], ALLOWED).unwrap();
        message.sponsor = Some(SPONSOR);
    }
    world.send_request(USERS[0], message).unwrap();
    vec![world]
}

/// Every state that a job can reach that began so, each with the way that leads there; found once.
fn explored(start: Start) -> &'static BTreeMap<Key, World> {
    static EXPLORED: [OnceLock<BTreeMap<Key, World>>; 5] = [const { OnceLock::new() }; 5];
    EXPLORED[start as usize].get_or_init(|| explore(start))
}

fn explore(start: Start) -> BTreeMap<Key, World> {
    let mut queue = VecDeque::from(begun(start));
    let mut seen: BTreeMap<Key, World> = queue.iter().map(|world| (key(world), world.clone())).collect();
    while let Some(mut world) = queue.pop_front() {
        if start == Start::Ruled && world.market.dispute(JOB).is_none() {
            continue;
        }
        let mut next = Vec::new();
        for (caller, value, command) in attempts(&mut world) {
            let at = world.at(caller, value);
            // Most are refused: a world is copied only for one that is not.
            if command.run(&world.market, &Software, &at).is_ok() {
                let mut world = world.clone();
                world.market.execute_command(&at, &command).unwrap();
                next.push(world);
            }
        }
        if matches!(
            world.progress(JOB).stage,
            Stage::Disputed(DisputeKind::Head | DisputeKind::Witness | DisputeKind::Audit)
        ) {
            let mut known = world.clone();
            known.block = known.block.max(known.dispute(JOB).opened_at.0 + 2);
            next.push(known);
        }
        if let Some(draw) = world.turns(JOB) {
            // The block in which only the first that was drawn may claim, and the one in which anybody may.
            let mut drawn = world.clone();
            drawn.block = drawn.block.max(draw.decides.0 + 1);
            let mut open = drawn.clone();
            open.block = open.block.max(draw.open_from.0.min(open.progress(JOB).deadline.0));
            next.extend([drawn, open]);
        }
        let progress = world.progress(JOB);
        let audited = progress.disputed & DisputeKind::Audit.bit(progress.stage) != 0;
        if progress.output.is_some() && !audited && !progress.stage.is_terminal() {
            let block = progress.committed_at.0 + 2;
            if (world.block + 1..=progress.deadline.0).contains(&block) {
                next.push(World { block, ..world.clone() });
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
    let starts = [
        (Start::Open, 3_000),
        (Start::WithoutTail, 3_000),
        (Start::Custody, 1_000),
        (Start::Sponsored, 3_000),
        (Start::Ruled, 500),
    ];
    for (start, least) in starts {
        let seen = explored(start);
        println!("{start:?}: {} states", seen.len());
        assert!(seen.len() > least, "only {} states", seen.len());
        for (state, world) in seen {
            let mut world = world.clone();
            for poke in 0.. {
                if world.progress(JOB).stage.is_terminal() {
                    break;
                }
                assert!(poke < 4, "{state:?} takes more than four pokes");
                world.block = world.block.max(world.progress(JOB).deadline.0 + 1);
                world.call(STRANGER, PokeJob { job: JOB }).unwrap_or_else(|refusal| panic!("{state:?}: {refusal}"));
            }
            let totals = world.market.totals();
            assert_eq!(totals.escrow, Plancks::ZERO, "{state:?}");
            let model = world.market.model(world.terms(JOB).model).unwrap();
            assert_eq!((model.bond_locked, model.open_jobs), (Plancks::ZERO, 0), "{state:?}");
            for worker in world.workers() {
                let record = world.worker(worker);
                assert_eq!((record.stake_locked, record.in_flight), (Plancks::ZERO, 0), "{state:?}");
            }
            assert_eq!(totals.deposits, Plancks::ZERO, "{state:?}");
            let paid = world.terms(JOB).sponsor.and_then(|_| world.terms(JOB).fees.total()).unwrap_or_default();
            let allowed = if start == Start::Sponsored { ALLOWED.0 - paid.0 } else { 0 };
            assert_eq!(totals.allowances, Plancks(allowed), "{state:?}");
            let sum = totals.stakes.0 + totals.bonds.0 + totals.credits.0 + totals.allowances.0;
            assert_eq!(world.market.balance(), Plancks(sum), "{state:?}");
        }
    }
}

#[test]
fn a_worker_loses_by_a_ruling_once_it_stands_and_not_before() {
    let (mut stood, mut fell) = (0, 0);
    for (state, world) in explored(Start::Ruled) {
        let (worker, progress) = (world.worker(0), world.progress(JOB));
        let failed = progress.stage == Stage::Failed;
        let lost = if failed { world.terms(JOB).job_stake.0 } else { 0 };
        assert_eq!((worker.stake.0, worker.mismatches), (40_000 - lost, u32::from(failed)), "{state:?}");
        stood += u32::from(failed);
        fell += u32::from(world.market.dispute(JOB).is_none() && !failed);
    }
    assert!(stood > 3 && fell > 3, "{stood} stood, {fell} were overturned");
}

#[test]
fn a_job_in_custody_never_fails_by_its_users_silence_and_is_never_offered_again() {
    for (state, world) in explored(Start::Custody) {
        let progress = world.progress(JOB);
        assert_ne!(progress.reason, Some(Reason::UserNoShow), "{state:?}");
        assert_ne!(progress.stage, Stage::Requested, "{state:?}");
    }
}

#[test]
fn reasons_kept_for_later_are_never_reached() {
    let kept = [Reason::BadReceipt, Reason::AttestationExpired, Reason::Paused];
    let reached: BTreeSet<_> = explored(Start::Open).keys().filter_map(|(_, reason, ..)| *reason).collect();
    assert!(kept.iter().all(|reason| !reached.contains(reason)), "{reached:?}");
    // Every other is.
    assert_eq!(reached.len(), 18, "{reached:?}");
}
