//! Audits: of jobs that were drawn a committee runs the head again at the treasury's cost, at every stage after it, with
//! the money of every ruling.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{Ledger, ReadState, Refusal, Settlement, dispute::Heard, outcome::Outcome};
use encompute_protocol::{
    BasisPoints, BlobDigest, BlockNumber, DisputeKind, JobId, JobTerms, Params, Plancks, Reason, Stage, Verdict,
    call::*, event::Event,
};
use std::collections::BTreeSet;
use world::{disputes::*, *};

const KIND: DisputeKind = DisputeKind::Audit;
const AFTER_HEAD: [Stage; 3] = [Stage::HeadCommitted, Stage::FeaturesSent, Stage::ResultCommitted];
/// With the tip.
const ESCROW: u128 = HEAD + TAIL + PROTOCOL + 13;
const STAKE: u128 = 3_406;
/// What the treasury stakes.
const DEPOSIT: u128 = 3 * HEAD;

/// A job that is audited from a stage, after its committee has said this: what that credits, and who they are.
fn ruled(from: Stage, verdicts: [Verdict; 3]) -> (World, JobId, Vec<usize>, Owed) {
    let mut world = World::new();
    let job = world.audited(from);
    let (jurors, owed) = heard_by(&mut world, job, verdicts);
    is_over(&world, job);
    (world, job, jurors, owed)
}

fn heard_by(world: &mut World, job: JobId, verdicts: [Verdict; 3]) -> (Vec<usize>, Owed) {
    let mut jurors = Vec::new();
    let owed = world.credits_of(|world| jurors = world.hear_all(job, verdicts));
    (jurors, owed)
}

fn heard(world: &World, job: JobId) -> Vec<Heard> {
    Heard::all(world.market.events().iter().map(|(_, event)| event).filter(|event| event.job() == Some(job)))
}

/// The treasury's part of what was slashed and staked, in one sum.
fn to_treasury(owed: &Owed) -> u128 {
    owed.iter().filter(|(account, _)| *account == TREASURY).map(|(_, amount)| amount).sum()
}

#[test]
fn exactly_the_share_of_all_jobs_is_drawn_and_every_larger_share_draws_them_too() {
    let world = World::new();
    for share in [0, 1, 100, 1_000, 5_000, 9_999, 10_000] {
        let drawn = (0..20_000).filter(|block| world.is_drawn(JobId(7), *block, BasisPoints(share))).count();
        let wanted = 2.0 * f64::from(share);
        let spread = (wanted * (1.0 - f64::from(share) / 10_000.0)).sqrt();
        assert!((drawn as f64 - wanted).abs() <= 4.0 * spread, "{share}: {drawn} of 20000");
    }
    let of =
        |job, share| (0..500).filter(|block| world.is_drawn(job, *block, BasisPoints(share))).collect::<BTreeSet<_>>();
    assert!(of(JobId(7), 100).is_subset(&of(JobId(7), 1_000)));
    assert_ne!(of(JobId(7), 5_000), of(JobId(8), 5_000), "each job has a number of its own in a block");
    let mut other = world.clone();
    other.contract.0[0] ^= 1;
    assert!((0..500).any(|block| world.is_drawn(JobId(7), block, BasisPoints(5_000))
        != other.is_drawn(JobId(7), block, BasisPoints(5_000))));
}

#[test]
fn a_job_that_was_not_drawn_is_not_audited() {
    let mut world = World::new();
    world.fund_treasury();
    world.until_drawn(false);
    let job = world.committed();
    world.block += 2;
    let refused = world.open_dispute(STRANGER, job, KIND);
    assert_eq!(refused, Err(Refusal::NotDrawn { job, share: BasisPoints(1_000) }));
    // A share of nothing draws none.
    let mut world = World::auditing(BasisPoints(0));
    let job = world.committed();
    world.block += 2;
    assert_eq!(world.open_dispute(STRANGER, job, KIND), Err(Refusal::NotDrawn { job, share: BasisPoints(0) }));
}

#[test]
fn the_share_is_the_one_of_the_jobs_request() {
    let mut world = World::auditing(BasisPoints(10_000));
    let job = world.committed();
    world.govern(Params { audit_share: BasisPoints(0), ..params() });
    assert_eq!(world.terms(job).audit_share, BasisPoints(10_000));
    world.open_dispute(STRANGER, job, KIND).unwrap();
    let later = world.committed();
    world.block += 2;
    assert_eq!(world.open_dispute(STRANGER, later, KIND), Err(Refusal::NotDrawn { job: later, share: BasisPoints(0) }));
}

#[test]
fn no_change_audits_more_than_one_job_of_ten() {
    use encompute_lifecycle::refusal::Param;
    let mut world = World::new();
    let announce = |share| AnnounceParams { params: Params { audit_share: BasisPoints(share), ..params() } };
    let refused = world.call(GOVERNOR, announce(1_001));
    assert_eq!(
        refused,
        Err(Refusal::ParamOutOfBounds { param: Param::AuditShare, found: 1_001, lowest: 0, highest: 1_000 })
    );
    world.call(GOVERNOR, announce(1_000)).unwrap();
    let all = encompute_lifecycle::price::check_params(&announce(10_001).params);
    assert_eq!(all, Err(Refusal::ShareTooLarge { param: Param::AuditShare, found: BasisPoints(10_001) }));
}

#[test]
fn what_is_found_right_goes_on_where_it_stood_and_the_treasury_pays_a_head_fee_each() {
    for from in AFTER_HEAD {
        let (mut world, job, jurors, owed) = ruled(from, [RIGHT; 3]);
        assert_eq!(stage(&world, job), (from, Some(Reason::Audited)), "{from:?}");
        assert_eq!(owed, sorted(jurors.iter().map(|juror| (PAYOUTS[*juror], HEAD)).collect()));
        let held = if from == Stage::HeadCommitted { STAKE } else { 0 };
        assert_eq!((world.progress(job).stake_held.0, world.worker(0).stake_locked.0), (held, held), "{from:?}");
        assert_eq!(world.open_dispute(STRANGER, job, KIND), Err(Refusal::DisputedBefore { kind: KIND }));
        // The job ends as if nothing had been.
        for at in AFTER_HEAD.into_iter().skip_while(|at| *at != from) {
            world.act(job, at, 0).unwrap();
        }
        assert_eq!(stage(&world, job).0, Stage::Settled);
        assert_eq!(world.worker(0).stake, Plancks(40_000));
    }
}

#[test]
fn the_time_that_was_left_is_left_after_it() {
    for from in AFTER_HEAD {
        let mut world = World::new();
        let job = world.drawn_at(from);
        let left = world.progress(job).deadline.0 - world.block;
        world.open_dispute(STRANGER, job, KIND).unwrap();
        world.hear_all(job, [RIGHT; 3]);
        assert_eq!(world.progress(job).deadline.0 - world.block, left, "{from:?}");
    }
}

#[test]
fn what_one_of_three_does_not_earn_is_the_treasurys_and_it_loses_as_in_any_committee() {
    let (_, _, jurors, owed) = ruled(Stage::FeaturesSent, [RIGHT, WRONG, RIGHT]);
    // ⌊33.31 %⌋ of the stake: a half to the user, a fifth to who made the last call, the rest to the treasury.
    let wanted = vec![
        (USERS[0], 567),
        (WORKERS[jurors[2]], 226),
        (TREASURY, 341 + HEAD),
        (PAYOUTS[jurors[0]], HEAD),
        (PAYOUTS[jurors[2]], HEAD),
    ];
    assert_eq!(owed, sorted(wanted));
}

#[test]
fn a_wrong_head_makes_the_user_whole_and_pays_the_committee_at_every_stage() {
    for from in AFTER_HEAD {
        let (world, job, jurors, owed) = ruled(from, [WRONG; 3]);
        assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::HeadMismatch)), "{from:?}");
        // The half that is not the user's gives ⌊1703 / 3⌋ each, the deposit the rest of a head fee.
        let each = HEAD / 3;
        let mut wanted = vec![(USERS[0], ESCROW + HEAD), (TREASURY, DEPOSIT - 3 * (HEAD - each) + HEAD - 3 * each)];
        wanted.extend(jurors.iter().map(|juror| (PAYOUTS[*juror], HEAD)));
        assert_eq!(owed, sorted(wanted), "{from:?}");
        assert_eq!(world.worker(0).stake, Plancks(40_000 - STAKE));
        assert_eq!(world.worker(0).stake_locked, Plancks::ZERO);
    }
}

#[test]
fn a_worker_that_asked_its_stake_back_is_slashed_all_the_same() {
    let mut world = World::new();
    let job = world.drawn_at(Stage::ResultCommitted);
    let all = world.worker(0).stake;
    world.call(WORKERS[0], AskStake { amount: all }).unwrap();
    world.open_dispute(STRANGER, job, KIND).unwrap();
    let worker = world.worker(0);
    assert_eq!((worker.stake_locked.0, worker.stake_leaving.0), (STAKE, 40_000 - STAKE));
    let (_, owed) = heard_by(&mut world, job, [WRONG; 3]);
    assert!(owed.contains(&(USERS[0], ESCROW + HEAD)));
    assert_eq!(world.worker(0).stake, Plancks(40_000 - STAKE));
    is_over(&world, job);
}

#[test]
fn of_a_stake_that_other_jobs_hold_an_audit_takes_what_there_is_and_its_committee_is_paid_anyway() {
    for left in [0, 1, 999] {
        // Two jobs hold all that the worker came with.
        let share = BasisPoints(10_000);
        let mut world =
            World::auditing_with(Params { audit_share: share, job_stake_floor: Plancks(20_000), ..params() });
        let job = world.drawn_at(Stage::FeaturesSent);
        world.claimed();
        world.claimed();
        world.pay(WORKERS[0], Plancks(left), AddStake {}).ok();
        world.open_dispute(STRANGER, job, KIND).unwrap();
        assert_eq!(world.progress(job).stake_held.0, left);
        let (jurors, owed) = heard_by(&mut world, job, [WRONG; 3]);
        assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::HeadMismatch)));
        assert!(owed.contains(&(USERS[0], ESCROW + left / 2)), "{owed:?}");
        assert!(jurors.iter().all(|juror| owed.contains(&(PAYOUTS[*juror], HEAD))), "{owed:?}");
        assert_eq!(to_treasury(&owed), left - left / 2, "the deposit is spent, but for what the stake pays");
        assert_eq!(world.worker(0).mismatches, 1, "what it cannot pay for counts all the same");
        is_over(&world, job);
    }
}

#[test]
fn where_nobody_can_say_the_treasury_has_its_deposit_back_and_the_job_goes_on() {
    for from in AFTER_HEAD {
        let (world, job, _, owed) = ruled(from, [RIGHT, WRONG, WRONG_OTHERWISE]);
        assert_eq!(stage(&world, job), (from, Some(Reason::ArbiterTimeout)));
        assert_eq!(owed, [(TREASURY, DEPOSIT)]);
        let (world, job, jurors, owed) = ruled(from, [Verdict::NOTHING_SHOWN; 3]);
        assert_eq!(stage(&world, job), (from, Some(Reason::ArbiterTimeout)));
        assert_eq!(owed, [(TREASURY, DEPOSIT)]);
        assert!(jurors.iter().all(|juror| world.worker(*juror).stake == Plancks(40_000)));
    }
}

#[test]
fn invariant_18_an_audit_moves_on_by_pokes_alone() {
    for from in AFTER_HEAD {
        let mut world = World::new();
        let job = world.audited(from);
        let owed = world.credits_of(|world| {
            world.past_deadline(job);
            world.call(STRANGER, PokeJob { job }).unwrap();
        });
        assert_eq!((stage(&world, job), owed), ((from, Some(Reason::ArbiterTimeout)), vec![(TREASURY, DEPOSIT)]));
        is_over(&world, job);
        // Drawn, and silent.
        let mut world = World::new();
        let job = world.audited(from);
        world.draw(job);
        world.past_deadline(job);
        world.call(STRANGER, PokeJob { job }).unwrap();
        assert_eq!(stage(&world, job), (from, Some(Reason::ArbiterTimeout)));
        is_over(&world, job);
    }
}

#[test]
fn an_audit_is_opened_once_the_hash_is_known_and_within_two_hundred_blocks() {
    let mut world = World::new();
    let job = world.drawn_at(Stage::HeadCommitted);
    let committed = world.progress(job).committed_at.0;
    for early in [committed, committed + 1] {
        world.block = early;
        let refused = world.open_dispute(STRANGER, job, KIND);
        let deadline = BlockNumber(committed + 1);
        assert_eq!(refused, Err(Refusal::NotYetLate { deadline, block: BlockNumber(early) }));
    }
    world.block = committed + 201;
    let late = world.open_dispute(STRANGER, job, KIND);
    assert_eq!(
        late,
        Err(Refusal::TooLate { deadline: BlockNumber(committed + 200), block: BlockNumber(committed + 201) })
    );
    world.block = committed + 200;
    world.open_dispute(STRANGER, job, KIND).unwrap();
    // Nor while somebody else is late.
    let mut world = World::new();
    let job = world.drawn_at(Stage::FeaturesSent);
    world.past_deadline(job);
    assert!(matches!(world.open_dispute(STRANGER, job, KIND), Err(Refusal::TooLate { .. })));
}

#[test]
fn a_treasury_that_is_too_poor_a_payment_and_evidence_are_refused_by_name() {
    let mut world = World::new();
    let job = world.drawn_at(Stage::HeadCommitted);
    let paid = world.pay(STRANGER, Plancks(1), OpenDispute { job, kind: KIND, evidence: None });
    assert_eq!(paid, Err(Refusal::DepositMismatch { found: Plancks(1), wanted: Plancks::ZERO }));
    let evidence = Some(BlobDigest([1; 32]));
    let shown = world.call(STRANGER, OpenDispute { job, kind: KIND, evidence });
    assert_eq!(shown, Err(Refusal::EvidenceNotTaken));
    world.call(TREASURY, WithdrawCredit { to: None }).unwrap();
    let refused = world.open_dispute(STRANGER, job, KIND);
    assert_eq!(refused, Err(Refusal::TreasuryTooPoor { found: Plancks::ZERO, wanted: Plancks(DEPOSIT) }));
    world.fund_treasury();
    world.open_dispute(STRANGER, job, KIND).unwrap();
    assert_eq!(world.market.totals().deposits, Plancks(DEPOSIT));
}

#[test]
fn jobs_without_a_head_and_jobs_that_ended_are_not_audited() {
    for at in [Stage::Requested, Stage::Claimed] {
        let mut world = World::auditing(BasisPoints(10_000));
        let job = world.at_stage(at);
        world.block += 2;
        let refused = world.open_dispute(STRANGER, job, KIND);
        assert_eq!(refused, Err(Refusal::WrongStage { found: at, wanted: Stage::HeadCommitted }));
    }
    for at in [Stage::Settled, Stage::Failed, Stage::Cancelled] {
        let mut world = World::auditing(BasisPoints(10_000));
        let job = world.at_stage(at);
        world.block += 2;
        assert_eq!(world.open_dispute(STRANGER, job, KIND), Err(Refusal::JobEnded { found: at }));
    }
}

#[test]
fn auditors_are_on_machines_of_their_own_where_there_are_enough_and_else_a_committee() {
    let mut world = World::new();
    world.moves_to(0, 1);
    let job = world.audited(Stage::HeadCommitted);
    world.draw(job);
    assert_eq!(world.jurors(job).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([2, 3, 4]));
    let mut world = World::new();
    world.moves_to(2, 1);
    world.moves_to(4, 3);
    let job = world.audited(Stage::HeadCommitted);
    world.draw(job);
    assert_eq!(world.jurors(job).len(), 3);
}

#[test]
fn a_job_may_be_audited_and_disputed_and_witnessed_one_after_the_other() {
    let mut world = World::new();
    let job = world.audited(Stage::HeadCommitted);
    world.hear_all(job, [RIGHT; 3]);
    for kind in [DisputeKind::Witness, DisputeKind::Head] {
        world.open_dispute(USERS[0], job, kind).unwrap();
        let refused = world.open_dispute(STRANGER, job, KIND);
        assert_eq!(refused, Err(Refusal::WrongStage { found: Stage::Disputed(kind), wanted: Stage::HeadCommitted }));
        world.hear_all(job, [RIGHT; 3]);
    }
    world.act(job, Stage::HeadCommitted, 0).unwrap();
    is_over(&world, job);
}

#[test]
fn what_an_audit_moves_is_told_by_events_alone() {
    let all = [[RIGHT; 3], [RIGHT, WRONG, RIGHT], [WRONG; 3], [WRONG, RIGHT, WRONG], [Verdict::NOTHING_SHOWN; 3]];
    for (from, verdicts) in AFTER_HEAD.into_iter().flat_map(|from| all.map(|verdicts| (from, verdicts))) {
        let (world, job, ..) = ruled(from, verdicts);
        let heard = heard(&world, job);
        assert_eq!((heard[0].kind, heard[0].from), (KIND, from));
        let terms = world.terms(job);
        let mut money = heard[0].settlement(&terms).unwrap();
        if stage(&world, job).0 == Stage::Failed {
            money.lines.extend(Settlement::of(&terms, heard[0].head_wrong()).unwrap().lines);
        }
        let due: u128 = money.lines.iter().map(|line| line.amount.0).sum();
        let credited = world.market.events().iter().filter_map(|(_, event)| match event {
            Event::Credited(credit) if credit.job == job => Some(credit.amount.0),
            _ => None,
        });
        assert_eq!(credited.sum::<u128>(), due, "{from:?}: {verdicts:?}");
    }
}

#[test]
fn a_ledger_without_the_treasurys_word_is_found_to_be_wrong() {
    let (world, ..) = ruled(Stage::FeaturesSent, [RIGHT; 3]);
    let events: Vec<_> = world.market.events().to_vec();
    let at = events.iter().position(|(_, event)| matches!(event, Event::CreditStaked(_))).unwrap();
    let without: Vec<_> =
        events.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, event)| event.clone()).collect();
    assert!(Ledger::replay(&without).is_err(), "credits of a deposit that nobody staked");
    let mut more = events;
    let Event::CreditStaked(staked) = &mut more[at].1 else { panic!() };
    staked.amount.0 += 10_000_000;
    assert!(Ledger::replay(&more).is_err(), "more than the treasury had");
}

#[test]
fn the_committee_has_the_same_whatever_it_finds_and_nothing_is_lost_whatever_the_stake() {
    let mut world = World::new();
    let job = world.committed();
    let terms = JobTerms { job_stake: Plancks(50_000), ..world.terms(job) };
    use encompute_lifecycle::{
        dispute::{Ruling, deposit_lines},
        outcome::Party,
    };
    for (stake, winners) in
        [0, 1, 2, 3, 1_702, 1_703, 3_406, 10_217, 10_218, 50_000].into_iter().flat_map(|stake| [(stake, 2), (stake, 3)])
    {
        let stake = Plancks(stake);
        let slash = Settlement::of(&terms, Outcome::AuditedWrong { winners, stake }).unwrap();
        let deposit = deposit_lines(&terms, KIND, Stage::FeaturesSent, Ruling::Found { winners, stake }).unwrap();
        let of = |party| {
            let both = slash.lines.iter().chain(&deposit).filter(move |line| line.party == party);
            both.map(|line| line.amount.0).sum::<u128>()
        };
        assert_eq!(of(Party::Juror(0)), HEAD);
        assert_eq!(of(Party::Juror(winners - 1)), HEAD);
        assert_eq!((of(Party::Payer), of(Party::User)), (ESCROW, stake.0 / 2));
        let all: u128 = slash.lines.iter().chain(&deposit).map(|line| line.amount.0).sum();
        assert_eq!(all, ESCROW + stake.0 + DEPOSIT, "{stake:?}, {winners}");
        assert_eq!(deposit.iter().map(|line| line.amount.0).sum::<u128>(), DEPOSIT);
    }
    assert_eq!(
        Settlement::of(&terms, Outcome::AuditedWrong { winners: 0, stake: Plancks(1) }),
        None,
        "nobody rules alone"
    );
}
