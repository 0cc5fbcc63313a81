//! Who pays for another: how an allowance grows, is spent and ends, and who has what of a job that it paid for.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{
    Ledger, ReadState, Refusal, View,
    ledger::LedgerError,
    refusal::{Field, OfferField},
};
use encompute_protocol::{
    Address, DisputeKind, JobId, Plancks, SplitIndex, Stage, VersionId,
    call::*,
    event::{AllowanceMoved, AllowanceMovement, Cause, Event},
};
use world::{disputes::*, sponsors::*, *};

/// What a job of the first split costs.
const ESCROW: Plancks = Plancks(HEAD + TAIL + PROTOCOL + TIP.0);

/// The first user asks for a job that somebody is to pay for.
fn request(world: &mut World, sponsor: Address) -> Result<JobId, Refusal> {
    let message = world.request_message(VersionId(1), SplitIndex(0));
    world.send_request(USERS[0], RequestJob { sponsor: Some(sponsor), ..message })
}

fn balanced(world: &World) {
    let ledger = Ledger::replay(world.market.events()).unwrap();
    assert_eq!(ledger.imbalances().count(), 0);
    assert_eq!((ledger.totals(), ledger.balance()), (Ok(world.market.totals()), Ok(world.market.balance())));
    assert_eq!(ledger.allowances, world.market.allowances().collect());
}

#[test]
fn a_sponsor_adds_to_what_it_allows_and_anybody_may_ask_how_much_is_left() {
    let mut world = World::new();
    world.allow(SPONSOR, USERS[0], Plancks(5_000)).unwrap();
    world.allow(SPONSOR, USERS[0], Plancks(1)).unwrap();
    world.allow(SPONSOR, USERS[1], Plancks(7)).unwrap();
    let left = |sponsor, user| ReadAllowance { sponsor, user }.view(&world.market);
    assert_eq!((left(SPONSOR, USERS[0]), left(SPONSOR, USERS[1])), (Plancks(5_001), Plancks(7)));
    assert_eq!((left(USERS[0], SPONSOR), left(STRANGER, USERS[0])), (Plancks::ZERO, Plancks::ZERO), "one way only");
    assert_eq!(world.market.totals().allowances, Plancks(5_008));
    balanced(&world);
}

#[test]
fn nothing_is_allowed_to_nobody_to_oneself_or_without_money() {
    let mut world = World::new();
    let nobody = Refusal::Missing { field: Field::User };
    assert_eq!(world.allow(SPONSOR, Address::default(), Plancks(1)), Err(nobody));
    assert_eq!(world.allow(SPONSOR, SPONSOR, Plancks(1)), Err(Refusal::SponsorsItself));
    assert_eq!(world.allow(SPONSOR, USERS[0], Plancks::ZERO), Err(Refusal::Missing { field: Field::Value }));
    assert_eq!(world.end(SPONSOR, Address::default()), Err(nobody));
    assert_eq!(world.end(SPONSOR, SPONSOR), Err(Refusal::SponsorsItself));
}

#[test]
fn a_request_that_names_a_sponsor_costs_the_user_nothing_and_the_sponsor_the_whole_escrow() {
    let mut world = World::new();
    world.allow(SPONSOR, USERS[0], Plancks(ESCROW.0 + 1)).unwrap();
    let before = world.market.balance();
    let job = request(&mut world, SPONSOR).unwrap();
    assert_eq!((world.allowance(SPONSOR), world.market.totals().escrow), (Plancks(1), ESCROW));
    assert_eq!(world.market.balance(), before);
    let terms = world.terms(job);
    assert_eq!((terms.user, terms.sponsor, terms.payer()), (USERS[0], Some(SPONSOR), SPONSOR));
    balanced(&world);
}

#[test]
fn an_allowance_may_be_spent_to_the_last_planck_and_not_by_one_more() {
    let mut world = World::new();
    world.allow(SPONSOR, USERS[0], Plancks(2 * ESCROW.0 - 1)).unwrap();
    request(&mut world, SPONSOR).unwrap();
    let found = Plancks(ESCROW.0 - 1);
    let too_small = Refusal::AllowanceTooSmall { found, wanted: ESCROW };
    assert_eq!(request(&mut world, SPONSOR), Err(too_small));
    assert_eq!(world.allowance(SPONSOR), found, "a refused request spends nothing");
    world.allow(SPONSOR, USERS[0], Plancks(1)).unwrap();
    request(&mut world, SPONSOR).unwrap();
    assert_eq!(world.market.allowances().count(), 0, "nothing is kept of an allowance that is spent");
    assert_eq!(world.end(SPONSOR, USERS[0]), Err(Refusal::NothingAllowed { user: USERS[0] }));
    balanced(&world);
}

#[test]
fn a_request_that_names_a_sponsor_sends_nothing_along() {
    let mut world = World::sponsored();
    let message = RequestJob { sponsor: Some(SPONSOR), ..world.request_message(VersionId(1), SplitIndex(0)) };
    for found in [Plancks(1), ESCROW] {
        assert_eq!(world.pay(USERS[0], found, message.clone()), Err(Refusal::SponsorPays { found }));
    }
    assert_eq!(world.allowance(SPONSOR), ALLOWED);
}

#[test]
fn nobody_spends_what_another_is_allowed_and_nobody_pays_who_did_not_say_so() {
    let mut world = World::sponsored();
    let nothing = Err(Refusal::AllowanceTooSmall { found: Plancks::ZERO, wanted: ESCROW });
    for user in [USERS[1], STRANGER, CREATORS[0]] {
        let message = RequestJob { sponsor: Some(SPONSOR), ..world.request_message(VersionId(1), SplitIndex(0)) };
        assert_eq!(world.send_request(user, message), nothing);
    }
    assert_eq!(request(&mut world, STRANGER), nothing);
    assert_eq!(request(&mut world, USERS[0]), Err(Refusal::SponsorsItself));
    assert_eq!(request(&mut world, Address::default()), Err(Refusal::Missing { field: Field::Sponsor }));
    assert_eq!(world.allowance(SPONSOR), ALLOWED);
}

#[test]
fn an_offer_that_a_sponsor_pays_for_is_to_the_user() {
    let mut world = World::sponsored();
    let message = RequestJob { sponsor: Some(SPONSOR), ..world.request_message(VersionId(1), SplitIndex(0)) };
    let to_sponsor = Some(world.offer(0, SPONSOR, &message));
    let refused = world.send_request(USERS[0], RequestJob { offer: to_sponsor, ..message.clone() });
    assert_eq!(refused, Err(Refusal::OfferMismatch { field: OfferField::User }));
    let offer = Some(world.offer(0, USERS[0], &message));
    let job = world.send_request(USERS[0], RequestJob { offer, ..message }).unwrap();
    assert_eq!(world.progress(job).stage, Stage::Claimed);
}

#[test]
fn an_ended_allowance_is_a_credit_once_and_jobs_that_were_paid_for_go_on() {
    let mut world = World::sponsored();
    let job = world.requested();
    let left = Plancks(ALLOWED.0 - ESCROW.0);
    assert_eq!(world.end(SPONSOR, USERS[0]), Ok(left));
    assert_eq!(world.end(SPONSOR, USERS[0]), Err(Refusal::NothingAllowed { user: USERS[0] }));
    let owed = |world: &World| world.market.credit(SPONSOR);
    assert_eq!((owed(&world), world.market.totals().allowances), (left, Plancks::ZERO));
    assert_eq!(request(&mut world, SPONSOR), Err(Refusal::AllowanceTooSmall { found: Plancks::ZERO, wanted: ESCROW }));
    balanced(&world);
    world.call(USERS[0], CancelJob { job }).unwrap();
    assert_eq!(owed(&world), ALLOWED, "what comes back joins it");
    assert_eq!(world.call(SPONSOR, WithdrawCredit { to: None }), Ok(ALLOWED));
    balanced(&world);
}

#[test]
fn one_planck_is_an_allowance_and_comes_back() {
    let mut world = World::new();
    world.allow(SPONSOR, USERS[0], Plancks(1)).unwrap();
    assert_eq!(world.end(SPONSOR, USERS[0]), Ok(Plancks(1)));
    assert_eq!(world.call(SPONSOR, WithdrawCredit { to: None }), Ok(Plancks(1)));
    assert_eq!(world.market.allowances().count(), 0);
    balanced(&world);
}

#[test]
fn allowances_that_no_sum_can_hold_are_refused_and_the_largest_that_one_can_come_back() {
    let mut world = World::empty();
    let largest = Plancks(u128::MAX);
    world.allow(SPONSOR, USERS[0], Plancks(u128::MAX - 1)).unwrap();
    assert_eq!(world.allow(SPONSOR, USERS[0], Plancks(2)), Err(Refusal::AmountTooLarge));
    assert_eq!(world.allow(STRANGER, USERS[1], Plancks(2)), Err(Refusal::AmountTooLarge), "of all together");
    world.allow(SPONSOR, USERS[0], Plancks(1)).unwrap();
    assert_eq!(world.end(SPONSOR, USERS[0]), Ok(largest));
    assert_eq!(world.market.credit(SPONSOR), largest);
    balanced(&world);
}

#[test]
fn a_pause_stops_no_sponsor_and_keeps_no_allowance() {
    let mut world = World::sponsored();
    world.call(GOVERNOR, SetPaused { paused: true }).unwrap();
    world.allow(SPONSOR, USERS[0], Plancks(1)).unwrap();
    assert_eq!(request(&mut world, SPONSOR), Err(Refusal::Paused));
    assert_eq!(world.end(SPONSOR, USERS[0]), Ok(Plancks(ALLOWED.0 + 1)));
}

/// A way for a job to end, by its name, and whether a slash pays the head fee back.
type Ending = (&'static str, bool, fn(&mut World));

/// Every outcome.
const ENDINGS: [Ending; 13] = [
    ("settled", false, |world| {
        world.settled();
    }),
    ("cancelled", false, |world| {
        world.at_stage(Stage::Cancelled);
    }),
    ("no worker", false, |world| {
        world.at_stage(Stage::Failed);
    }),
    ("late, and late again until nobody comes", false, |world| {
        let job = world.claimed();
        for worker in [1, 2] {
            poke(world, job);
            world.claim(worker, job).unwrap();
        }
        poke(world, job);
    }),
    ("stopped", false, |world| {
        let job = world.committed();
        world.call(USERS[0], CancelJob { job }).unwrap();
    }),
    ("features refused", true, |world| {
        let job = world.sent();
        world.call(CREATORS[0], RefuseFeatures { job }).unwrap();
    }),
    ("result withheld", true, |world| {
        let job = world.answered();
        world.open_dispute(USERS[0], job, DisputeKind::Missing).unwrap();
        poke(world, job);
    }),
    ("head withheld", false, |world| {
        let job = world.disputed(DisputeKind::Missing);
        poke(world, job);
    }),
    ("quote not shown", false, |world| {
        let job = world.demanded(Stage::HeadCommitted);
        poke(world, job);
    }),
    ("result that opens to nothing", false, |world| {
        let job = world.disputed(DisputeKind::Result);
        poke(world, job);
    }),
    ("head found wrong", false, |world| {
        world.judged([WRONG, RIGHT, WRONG]);
    }),
    ("head witnessed wrong", false, |world| {
        world.judged_by(DisputeKind::Witness, [WRONG, RIGHT, WRONG]);
    }),
    ("head audited wrong", false, |world| {
        world.audited_and_heard(Stage::FeaturesSent, [WRONG, RIGHT, WRONG]);
    }),
];

fn poke(world: &mut World, job: JobId) {
    world.past_deadline(job);
    world.call(STRANGER, PokeJob { job }).unwrap();
}

/// What was credited for the first user's job, in order.
fn credited(world: &World) -> Vec<(Address, Plancks, Cause)> {
    let jobs: Vec<_> = world.jobs().filter(|job| world.terms(*job).user == USERS[0]).collect();
    let credit = |event: &Event| match event {
        Event::Credited(credit) if jobs.contains(&credit.job) => Some((credit.account, credit.amount, credit.cause)),
        _ => None,
    };
    assert_eq!(jobs.len(), 1);
    world.market.events().iter().filter_map(|(_, event)| credit(event)).collect()
}

#[test]
fn whatever_becomes_of_the_job_what_comes_back_is_the_sponsors_and_what_a_fault_costs_the_users() {
    for (name, pays_head_back, end) in ENDINGS {
        let (mut own, mut sponsored) = (World::new(), World::sponsored());
        end(&mut own);
        end(&mut sponsored);
        let is_payers = |cause, amount| {
            cause == Cause::Refund || pays_head_back && (cause, amount) == (Cause::Slash, Plancks(HEAD))
        };
        let wanted = credited(&own).into_iter().map(|(account, amount, cause)| {
            let moves = account == USERS[0] && is_payers(cause, amount);
            (if moves { SPONSOR } else { account }, amount, cause)
        });
        assert_eq!(credited(&sponsored), wanted.collect::<Vec<_>>(), "{name}");
        assert_eq!(sponsored.allowance(SPONSOR).0, ALLOWED.0 - ESCROW.0, "{name}: an allowance is not refilled");
        balanced(&sponsored);
    }
}

#[test]
fn the_sponsor_is_whole_in_every_failure_that_is_not_the_users_own() {
    for (name, _, end) in ENDINGS {
        let mut world = World::sponsored();
        end(&mut world);
        let fee = HEAD + 57;
        let wanted = match name {
            "settled" => 0,
            // What the worker and, of a stop, the creator and the protocol have.
            "stopped" => ESCROW.0 - HEAD - 222 - 65,
            "result that opens to nothing" => ESCROW.0 - fee,
            _ => ESCROW.0,
        };
        assert_eq!(world.market.credit(SPONSOR).0, wanted, "{name}");
    }
}

#[test]
fn a_user_that_disputes_without_ground_loses_its_own_deposit_and_no_sponsors_money() {
    let mut world = World::sponsored();
    let before = world.market.balance();
    let (job, _) = world.judged([RIGHT; 3]);
    assert_eq!(world.market.balance().0, before.0 + 2 * HEAD, "the user sent it");
    assert_eq!((world.market.credit(SPONSOR), world.allowance(SPONSOR).0), (Plancks::ZERO, ALLOWED.0 - ESCROW.0));
    assert_eq!(world.progress(job).stage, Stage::HeadCommitted);
}

#[test]
fn invariant_19_a_sponsor_and_a_worker_that_is_paid_to_it_judge_no_job_that_it_pays_for() {
    for sponsor in [WORKERS[1], PAYOUTS[1]] {
        let sponsored = World::new().with_sponsor(sponsor);
        let committee = |beginning: &World, more: u32| {
            let mut world = World { block: beginning.block + more, ..beginning.clone() };
            world.drawn().1
        };
        for more in 0..20 {
            let mut jurors = committee(&sponsored, more);
            jurors.sort_unstable();
            assert_eq!(jurors, [2, 3, 4], "{sponsor}");
        }
        let unsponsored = World { sponsor: None, ..sponsored };
        assert!((0..20).any(|more| committee(&unsponsored, more).contains(&1)), "{sponsor} judges what others pay for");
    }
}

#[test]
fn a_user_is_paid_for_by_whom_it_names_among_several() {
    let mut world = World::sponsored();
    world.allow(STRANGER, USERS[0], ESCROW).unwrap();
    let (first, second) = (request(&mut world, STRANGER).unwrap(), request(&mut world, SPONSOR).unwrap());
    assert_eq!((world.allowance(STRANGER).0, world.allowance(SPONSOR).0), (0, ALLOWED.0 - ESCROW.0));
    world.call(USERS[0], CancelJob { job: first }).unwrap();
    world.call(USERS[0], CancelJob { job: second }).unwrap();
    assert_eq!((world.market.credit(STRANGER), world.market.credit(SPONSOR)), (ESCROW, ESCROW));
    assert_eq!(world.market.credit(USERS[0]), Plancks::ZERO);
}

/// A history in which an allowance is added to, spent and ended.
fn history() -> Vec<(encompute_protocol::BlockNumber, Event)> {
    let mut world = World::sponsored();
    world.requested();
    world.end(SPONSOR, USERS[0]).unwrap();
    world.market.events().to_vec()
}

fn altered(movement: AllowanceMovement, alter: impl Fn(&mut AllowanceMoved)) -> Option<LedgerError> {
    let mut events = history();
    for (_, event) in &mut events {
        if let Event::AllowanceMoved(moved) = event
            && moved.movement == movement
        {
            alter(moved);
        }
    }
    Ledger::replay(&events).err().map(|(_, error)| error)
}

#[test]
fn the_books_refuse_allowances_that_contradict_themselves() {
    use AllowanceMovement::{Added, Ended, Spent};
    let of = |sponsor, user| Some(LedgerError::Allowance { sponsor, user });
    let theirs = of(SPONSOR, USERS[0]);
    assert_eq!(altered(Added, |moved| moved.amount.0 += 0), None);
    assert_eq!(altered(Added, |moved| moved.amount = Plancks(ESCROW.0 - 1)), theirs, "spends more than there is");
    assert_eq!(altered(Added, |moved| moved.amount.0 += 1), theirs, "ends less than there is");
    assert_eq!(altered(Added, |moved| moved.job = Some(JobId(1))), theirs, "is added to by a job");
    assert_eq!(altered(Spent, |moved| moved.amount.0 -= 1), theirs, "is no escrow");
    assert_eq!(altered(Spent, |moved| moved.job = None), theirs, "is spent on nothing");
    assert_eq!(altered(Spent, |moved| moved.job = Some(JobId(9))), Some(LedgerError::UnknownJob(JobId(9))));
    assert_eq!(altered(Spent, |moved| moved.user = USERS[1]), of(SPONSOR, USERS[1]), "is another's job");
    assert_eq!(altered(Spent, |moved| moved.sponsor = STRANGER), of(STRANGER, USERS[0]), "pays for a job of others");
    assert_eq!(altered(Ended, |moved| moved.amount.0 += 1), theirs, "ends more than there is");
}

#[test]
fn a_job_that_nobody_paid_for_is_an_imbalance() {
    let mut events = history();
    let is_spent = |event: &Event| matches!(event, Event::AllowanceMoved(moved) if moved.job.is_some());
    let at = events.iter().position(|(_, event)| is_spent(event)).unwrap();
    let spent = events.remove(at);
    // What then would be left of the allowance ends, too.
    for (_, event) in &mut events {
        if let Event::AllowanceMoved(moved) = event
            && moved.movement == AllowanceMovement::Ended
        {
            moved.amount = ALLOWED;
        }
    }
    assert_eq!(Ledger::replay(&events).unwrap().imbalances().count(), 1);
    // Nor does anybody pay twice.
    let mut twice = history();
    twice.insert(at, spent);
    assert_eq!(Ledger::replay(&twice).unwrap_err().1, LedgerError::Allowance { sponsor: SPONSOR, user: USERS[0] });
}
