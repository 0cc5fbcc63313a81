//! Quotes on demand: who may have one shown, what is one, and what silence costs.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{
    Refusal,
    dispute::{Heard, Ruling, deposit_lines},
    outcome::{Outcome, Party, Settlement},
    refusal::{Field, QuoteCheck},
};
use encompute_protocol::{
    Address, BasisPoints, BlobDigest, BlockNumber, DisputeKind, JobId, JobTerms, Nonce, Plancks, Reason, Stage,
    call::{
        AllowPlatform, BeginRegistration, CertifyKey, OpenDispute, PokeJob, RevokeMeasurement, RevokePlatform,
        ShowQuote, WithdrawCredit,
    },
    dispute::AUDIT_BLOCKS,
    event::Event,
};
use world::{disputes::is_over, *};

const KIND: DisputeKind = DisputeKind::Quote;
const ESCROW: u128 = HEAD + TAIL + PROTOCOL + 13;
const DEMANDED: Stage = Stage::Disputed(KIND);
/// The stage at which quotes are demanded.
const FROM: Stage = Stage::HeadCommitted;

/// A market that audits no job: a demand waits for nothing.
fn unaudited() -> World {
    World::auditing(BasisPoints(0))
}

fn heard(world: &World, job: JobId) -> Vec<Heard> {
    Heard::all(world.market.events().iter().map(|(_, event)| event).filter(|event| event.job() == Some(job)))
}

fn demand(world: &mut World, who: Address, job: JobId, evidence: Option<BlobDigest>) -> Result<(), Refusal> {
    let deposit = world.to_send(job, KIND);
    world.pay(who, deposit, OpenDispute { job, kind: KIND, evidence })
}

#[test]
fn a_worker_that_shows_a_quote_has_half_of_the_deposit_and_the_job_goes_on() {
    let mut world = unaudited();
    let job = world.demanded(FROM);
    assert_eq!(stage(&world, job), (DEMANDED, None));
    let before = world.progress(job);
    let message = world.quote_for(job);
    let owed = world.credits_of(|world| world.call(WORKERS[0], message.clone()).unwrap());
    assert_eq!(stage(&world, job), (FROM, Some(Reason::Quoted)));
    assert_eq!(disputes::sorted(owed), disputes::sorted(vec![(PAYOUTS[0], HEAD / 2), (TREASURY, HEAD - HEAD / 2)]));
    let after = world.progress(job);
    assert_eq!(after.receipt, before.receipt);
    assert_eq!(after.stake_held.is_zero(), FROM == Stage::FeaturesSent, "its part was done, and is again");
    is_over(&world, job);
    let heard = heard(&world, job);
    assert_eq!((heard[0].kind, heard[0].from, heard[0].by), (KIND, FROM, STRANGER));
    assert_eq!(heard[0].quote.map(|(_, evidence)| evidence), Some(message.evidence));
    assert_eq!(heard[0].ended, Some((Ruling::Rejected { winners: 0 }, WORKERS[0])));
    world.act(job, FROM, 0).unwrap();
}

#[test]
fn a_worker_that_shows_none_pays_as_one_that_withholds_its_commitment() {
    let mut world = unaudited();
    let job = world.demanded(FROM);
    let (before, terms) = (world.worker(0), world.terms(job));
    world.past_deadline(job);
    let owed = world.credits_of(|world| world.call(USERS[1], PokeJob { job }).unwrap());
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::QuoteMissing)));
    let slash = terms.job_stake.share_floor(terms.fail_slash).unwrap().0;
    let (user, poker) = (slash / 2, slash / 5);
    let wanted = vec![(USERS[0], ESCROW + user), (USERS[1], poker), (TREASURY, slash - user - poker), (STRANGER, HEAD)];
    assert_eq!(disputes::sorted(owed), disputes::sorted(wanted), "{FROM:?}");
    let after = world.worker(0);
    assert_eq!((before.stake.0 - after.stake.0, after.stake_locked), (slash, Plancks::ZERO));
    assert_eq!((after.timeouts, after.mismatches), (1, 0));
    assert!(after.reputation.score().share() < before.reputation.score().share());
    is_over(&world, job);
    let heard = heard(&world, job);
    assert_eq!((heard[0].quote, heard[0].ended), (None, Some((Ruling::Upheld, USERS[1]))));
}

#[test]
fn a_worker_whose_code_or_machine_is_revoked_within_the_window_can_show_none_and_pays_nothing() {
    let revocations: [fn(&mut World); 2] = [revoke_code, revoke_machine];
    for (revoke, reason) in revocations.into_iter().zip([Reason::MeasurementRevoked, Reason::PlatformRevoked]) {
        let mut world = unaudited();
        let job = world.demanded(Stage::HeadCommitted);
        let before = world.worker(0).stake;
        revoke(&mut world);
        let message = world.quote_for(job);
        let shown = world.call(WORKERS[0], message);
        assert!(
            matches!(shown, Err(Refusal::MeasurementRevoked { .. } | Refusal::PlatformRevoked { .. })),
            "{shown:?}"
        );
        world.past_deadline(job);
        let owed = world.credits_of(|world| world.call(STRANGER, PokeJob { job }).unwrap());
        assert_eq!(stage(&world, job), (Stage::Failed, Some(reason)));
        assert_eq!(disputes::sorted(owed), disputes::sorted(vec![(USERS[0], ESCROW), (STRANGER, HEAD)]));
        assert_eq!(world.worker(0).stake, before);
        is_over(&world, job);
    }
}

fn revoke_code(world: &mut World) {
    world.call(GOVERNOR, RevokeMeasurement { measurement: MEASUREMENTS[0] }).unwrap();
}

fn revoke_machine(world: &mut World) {
    world.call(GOVERNOR, RevokePlatform { platform: PLATFORMS[0] }).unwrap();
}

#[test]
fn of_two_revocations_the_one_within_the_window_counts() {
    type Revoke = fn(&mut World);
    for (within, after, reason) in [
        (revoke_machine as Revoke, revoke_code as Revoke, Reason::PlatformRevoked),
        (revoke_code, revoke_machine, Reason::MeasurementRevoked),
    ] {
        let mut world = unaudited();
        let job = world.demanded(FROM);
        within(&mut world);
        world.past_deadline(job);
        after(&mut world);
        world.call(STRANGER, PokeJob { job }).unwrap();
        assert_eq!(stage(&world, job), (Stage::Failed, Some(reason)));
        assert_eq!(world.worker(0).timeouts, 0);
    }
}

#[test]
fn a_revocation_after_the_window_excuses_nobody() {
    let mut world = unaudited();
    let job = world.demanded(Stage::HeadCommitted);
    world.past_deadline(job);
    world.call(GOVERNOR, RevokePlatform { platform: PLATFORMS[0] }).unwrap();
    world.call(STRANGER, PokeJob { job }).unwrap();
    assert_eq!(stage(&world, job), (Stage::Failed, Some(Reason::QuoteMissing)));
}

#[test]
fn a_quote_is_refused_for_the_one_thing_that_is_wrong_with_it() {
    let mut world = unaudited();
    let job = world.demanded(Stage::HeadCommitted);
    let right = world.wanted_report_data(job);
    let refused = |check| Err(Refusal::QuoteRefused { check });
    let altered = |at: usize| {
        let mut data = right;
        data[at] ^= 1;
        data
    };
    let evidence = BlobDigest([7; 32]);
    let show = |who: Address, message: ShowQuote| world.clone().call(who, message);
    // Of another receipt, or of another demand.
    for at in [0, 31, 32, 63] {
        let quote = MACHINES[0].sign(quotes::signed(0, &altered(at)));
        assert_eq!(show(WORKERS[0], ShowQuote { job, quote, evidence }), refused(QuoteCheck::ReportData), "byte {at}");
    }
    let quote = MACHINES[0].sign(quotes::signed(0, &right));
    let whole = ShowQuote { job, quote: quote.clone(), evidence };
    // By other code, listed or not.
    for code in [1, quotes::OTHER_CODE] {
        let quote = MACHINES[0].sign(quotes::signed(code, &right));
        let (found, wanted) = (quotes::measurement_of(code), MEASUREMENTS[0]);
        assert_eq!(
            show(WORKERS[0], ShowQuote { job, quote, evidence }),
            Err(Refusal::MeasurementMismatch { found, wanted })
        );
    }
    // On a machine that is not listed any more, or whose key nobody has certified.
    let mut unlisted = world.clone();
    unlisted.call(GOVERNOR, RevokePlatform { platform: PLATFORMS[1] }).unwrap();
    let elsewhere = ShowQuote { job, quote: MACHINES[1].sign(quotes::signed(0, &right)), evidence };
    assert!(matches!(unlisted.call(WORKERS[0], elsewhere), Err(Refusal::PlatformRevoked { .. })));
    let unknown = quotes::Machine::new(77).sign(quotes::signed(0, &right));
    assert!(matches!(show(WORKERS[0], ShowQuote { job, quote: unknown, evidence }), Err(Refusal::UnknownKey { .. })));
    // With a signature of something else.
    let mut forged = quote.clone();
    forged.signature = MACHINES[0].sign(quotes::signed(0, &altered(0))).signature;
    assert_eq!(show(WORKERS[0], ShowQuote { job, quote: forged, evidence }), refused(QuoteCheck::QuoteSignature));
    let missing = Err(Refusal::Missing { field: Field::Evidence });
    assert_eq!(show(WORKERS[0], ShowQuote { evidence: BlobDigest::default(), ..whole.clone() }), missing);
    for caller in [WORKERS[1], USERS[0], STRANGER] {
        let wanted = WORKERS[0];
        assert_eq!(show(caller, whole.clone()), Err(Refusal::NotYourJob { caller, wanted }));
    }
    assert_eq!(show(WORKERS[0], whole.clone()), Ok(()));
    world.past_deadline(job);
    assert!(matches!(world.call(WORKERS[0], whole), Err(Refusal::TooLate { .. })));
}

#[test]
fn a_quote_that_was_shown_answers_no_other_demand() {
    let mut world = unaudited();
    let first = world.demanded(Stage::HeadCommitted);
    let mut message = world.quote_for(first);
    world.call(WORKERS[0], message.clone()).unwrap();
    let second = world.demanded(Stage::HeadCommitted);
    message.job = second;
    assert_eq!(world.call(WORKERS[0], message.clone()), Err(Refusal::QuoteRefused { check: QuoteCheck::ReportData }));
    message.job = first;
    let found = world.progress(first).stage;
    assert_eq!(world.call(WORKERS[0], message), Err(Refusal::WrongStage { found, wanted: DEMANDED }));
}

#[test]
fn nobody_knows_a_nonce_before_its_block_and_no_two_are_the_same() {
    let mut world = unaudited();
    let job = world.committed();
    let nonce = |who: Address, unguessed: u8, later: u32| {
        let mut world = world.clone();
        world.block += later;
        demand(&mut world, who, job, Some(BlobDigest([unguessed; 32]))).unwrap();
        world.nonce_of(job)
    };
    let all = [nonce(STRANGER, 1, 0), nonce(STRANGER, 2, 0), nonce(USERS[0], 1, 0), nonce(STRANGER, 1, 1)];
    for (index, one) in all.iter().enumerate() {
        assert_ne!(*one, Nonce::default());
        assert!(!all[..index].contains(one));
    }
    // With nothing that its caller alone knew it could be reckoned in advance.
    let missing = Err(Refusal::Missing { field: Field::Evidence });
    for evidence in [None, Some(BlobDigest::default())] {
        assert_eq!(demand(&mut world, STRANGER, job, evidence), missing);
    }
}

#[test]
fn a_quote_is_demanded_once_for_a_job_on_time_and_with_exactly_the_deposit() {
    let mut world = unaudited();
    let job = world.committed();
    for found in [0, HEAD - 1, HEAD + 1] {
        let message = OpenDispute { job, kind: KIND, evidence: Some(demands::UNGUESSED) };
        let (found, wanted) = (Plancks(found), Plancks(HEAD));
        assert_eq!(world.pay(STRANGER, found, message), Err(Refusal::DepositMismatch { found, wanted }));
    }
    let mut late = world.clone();
    late.past_deadline(job);
    assert!(matches!(demand(&mut late, STRANGER, job, Some(demands::UNGUESSED)), Err(Refusal::TooLate { .. })));
    demand(&mut world, USERS[1], job, Some(demands::UNGUESSED)).unwrap();
    let message = world.quote_for(job);
    world.call(WORKERS[0], message).unwrap();
    let again = demand(&mut world, STRANGER, job, Some(demands::UNGUESSED));
    assert_eq!(again, Err(Refusal::DisputedBefore { kind: KIND }));
}

#[test]
fn once_features_are_sent_nobody_takes_what_the_creator_earns_by_a_workers_silence() {
    let mut world = unaudited();
    let job = world.committed();
    for from in [FROM, Stage::FeaturesSent] {
        world.act(job, from, 0).unwrap();
        let found = stage(&world, job).0;
        let late = demand(&mut world, STRANGER, job, Some(demands::UNGUESSED));
        assert_eq!(late, Err(Refusal::WrongStage { found, wanted: FROM }));
    }
}

#[test]
fn the_window_that_a_demand_interrupted_goes_on_where_it_stood() {
    let mut world = unaudited();
    let job = world.at_stage(FROM);
    world.block += 3;
    let left = world.progress(job).deadline.0 - world.block;
    demand(&mut world, STRANGER, job, Some(demands::UNGUESSED)).unwrap();
    assert_eq!(world.progress(job).deadline.0, world.block + world.terms(job).windows.dispute.0);
    world.block += 2;
    let message = world.quote_for(job);
    world.call(WORKERS[0], message).unwrap();
    assert_eq!(world.progress(job).deadline.0, world.block + left, "{FROM:?}");
}

#[test]
fn a_machine_whose_key_was_certified_anew_shows_a_quote_all_the_same() {
    let mut world = unaudited();
    let job = world.demanded(Stage::HeadCommitted);
    let patched = quotes::Machine::patched(0);
    let platform = encompute_lifecycle::attested::platform_id(&encompute_lifecycle::Software, &patched.parts);
    world.call(GOVERNOR, AllowPlatform { platform }).unwrap();
    world.block += params().notice.0;
    // By anybody, who might have hoped that the worker could not answer then.
    world.call(STRANGER, CertifyKey { key: patched.parts.clone() }).unwrap();
    world.block = world.block.min(world.progress(job).deadline.0);
    let message = world.quote_for(job);
    world.call(WORKERS[0], message).unwrap();
    assert_eq!(stage(&world, job), (Stage::HeadCommitted, Some(Reason::Quoted)));
}

#[test]
fn a_demand_puts_off_no_audit() {
    let mut world = World::auditing(BasisPoints(5_000));
    world.until_drawn(true);
    let job = world.at_stage(FROM);
    let committed_at = world.progress(job).committed_at;
    // Nobody knows yet whether the job is drawn.
    world.block = committed_at.0 + 1;
    let early = demand(&mut world, WORKERS[1], job, Some(demands::UNGUESSED));
    let deadline = BlockNumber(committed_at.0 + 1);
    assert_eq!(early, Err(Refusal::NotYetLate { deadline, block: deadline }), "{FROM:?}");
    world.block += 1;
    let until = BlockNumber(committed_at.0 + AUDIT_BLOCKS.0);
    let escapes = demand(&mut world, WORKERS[1], job, Some(demands::UNGUESSED));
    assert_eq!(escapes, Err(Refusal::AuditDue { until }), "{FROM:?}");
    // Where the treasury could not pay for it there is nothing to wait for.
    let mut poor = world.clone();
    poor.call(TREASURY, WithdrawCredit { to: None }).unwrap();
    demand(&mut poor, STRANGER, job, Some(demands::UNGUESSED)).unwrap();
    world.open_dispute(STRANGER, job, DisputeKind::Audit).unwrap();
    world.hear_all(job, [disputes::RIGHT; 3]);
    demand(&mut world, STRANGER, job, Some(demands::UNGUESSED)).unwrap();
    let message = world.quote_for(job);
    world.call(WORKERS[0], message).unwrap();
    assert_eq!(stage(&world, job).0, FROM);
    // One that is not drawn is not kept FROM a demand.
    let mut world = World::auditing(BasisPoints(5_000));
    world.until_drawn(false);
    let job = world.at_stage(FROM);
    world.block = world.progress(job).committed_at.0 + 2;
    demand(&mut world, STRANGER, job, Some(demands::UNGUESSED)).unwrap();
}

#[test]
fn a_worker_that_registered_other_code_since_answers_for_what_it_committed_with() {
    let mut world = unaudited();
    let job = world.committed();
    let account = WORKERS[0];
    world.call(account, BeginRegistration {}).unwrap();
    let message = world.registration_of(1, 0, world.block + 9_000);
    world.call(account, message).unwrap();
    demand(&mut world, STRANGER, job, Some(demands::UNGUESSED)).unwrap();
    let right = world.wanted_report_data(job);
    let now = world.quote_with((0, 1), job, &right);
    assert!(matches!(world.call(account, now), Err(Refusal::MeasurementMismatch { .. })));
    let then = world.quote_with((0, 0), job, &right);
    world.call(account, then).unwrap();
}

#[test]
fn nothing_is_lost_whatever_stake_the_job_holds() {
    let mut world = unaudited();
    let job = world.committed();
    let terms = JobTerms { job_stake: Plancks(50_001), ..world.terms(job) };
    let most = terms.job_stake.share_floor(terms.fail_slash).unwrap().0;
    for stake in [0, 1, 2, 3, 9, 10, most - 1, most, most + 1, 50_001] {
        let settlement = Settlement::of(&terms, Outcome::QuoteMissing { stake: Plancks(stake) }).unwrap();
        assert_eq!(settlement.stake_slashed.0, stake.min(most));
        let all: u128 = settlement.lines.iter().map(|line| line.amount.0).sum();
        assert_eq!(all, ESCROW + stake.min(most), "{stake}");
        assert_eq!(settlement.from_escrow(), Some(Plancks(ESCROW)));
    }
    for ruling in [Ruling::Upheld, Ruling::Rejected { winners: 0 }] {
        let lines = deposit_lines(&terms, KIND, Stage::FeaturesSent, ruling).unwrap();
        assert_eq!(lines.iter().map(|line| line.amount.0).sum::<u128>(), HEAD);
        assert_eq!(lines[0].party == Party::Challenger, ruling == Ruling::Upheld);
    }
}

#[test]
fn what_a_demand_moves_is_told_by_events_alone() {
    for shown in [true, false] {
        let mut world = unaudited();
        let job = world.demanded(FROM);
        if shown {
            let message = world.quote_for(job);
            world.call(WORKERS[0], message).unwrap();
        } else {
            world.past_deadline(job);
            world.call(STRANGER, PokeJob { job }).unwrap();
        }
        let heard = heard(&world, job);
        let terms = world.terms(job);
        let mut money = heard[0].settlement(&terms).unwrap();
        if !shown {
            money.lines.extend(Settlement::of(&terms, Outcome::QuoteMissing { stake: heard[0].stake }).unwrap().lines);
        }
        let due: u128 = money.lines.iter().map(|line| line.amount.0).sum();
        let credited = world.market.events().iter().filter_map(|(_, event)| match event {
            Event::Credited(credit) if credit.job == job => Some(credit.amount.0),
            _ => None,
        });
        assert_eq!(credited.sum::<u128>(), due, "shown {shown}");
    }
}
