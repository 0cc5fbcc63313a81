//! Sessions: what they cost, who may end them with what, and that every state of one has an exit by pokes alone.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{Command, Outcome, ReadState, Refusal, SessionSettlement, Settlement, outcome::Party};
use encompute_protocol::{
    Address, BasisPoints, Blocks, DisputeKind, JobTerms, Plancks, SessionId, SessionStage, SplitIndex, VersionId,
    call::*,
    session::{SessionEnd, SignedVoucher, Voucher},
};
use std::collections::{BTreeMap, VecDeque};
use world::{sessions::*, *};

fn session_terms(world: &mut World) -> JobTerms {
    let message = RequestJob { tip: Plancks::ZERO, ..world.request_message(VersionId(1), SplitIndex(0)) };
    let job = world.send_request(USERS[0], message).unwrap();
    world.terms(job)
}

#[test]
fn a_session_of_a_thousand_jobs_is_paid_in_two_calls_to_the_planck() {
    let mut world = World::new();
    let session = world.opened(1_000);
    let credits = world.credits_of(|world| world.show(STRANGER, session, (1_000, 0, 0)).unwrap());
    assert_eq!(
        credits,
        [(TREASURY, 1_000 * PROTOCOL), (CREATORS[0], 1_000 * TAIL), (PAYOUTS[0], 1_000 * HEAD)],
        "nothing is left for the user"
    );
    assert_eq!(world.session(session).stage, SessionStage::Closed);
    assert_eq!(world.market.totals().escrow, Plancks::ZERO);
}

#[test]
fn each_job_of_a_session_is_paid_as_a_single_one_that_ended_so() {
    let mut world = World::new();
    let session = world.opened(9);
    let terms = session_terms(&mut world);
    for (settled, alone) in [(0, 0), (1, 0), (0, 1), (4, 3), (9, 0), (0, 9), (5, 4)] {
        let mut record = world.session(session);
        (record.heads, record.tails) = (settled + alone, settled);
        let found = SessionSettlement::of(&record).unwrap();
        let single = |outcome, party| Settlement::of(&terms, outcome).unwrap().of_party(party).unwrap().0;
        let of = |party| {
            u128::from(settled) * single(Outcome::Settled, party)
                + u128::from(alone) * single(Outcome::TailRefunded, party)
                + u128::from(9 - settled - alone) * single(Outcome::Refunded, party)
        };
        let wanted = [Party::Worker, Party::Creator, Party::Treasury, Party::Payer].map(of);
        assert_eq!([found.worker.0, found.creator.0, found.treasury.0, found.user.0], wanted);
    }
}

#[test]
fn the_user_is_gone_and_the_worker_closes_by_its_last_voucher() {
    let mut world = World::new();
    let session = world.opened(10);
    world.show(WORKERS[0], session, (4, 0, 0)).unwrap();
    let record = world.session(session);
    assert_eq!((record.stage, record.deadline.0), (SessionStage::Closing, world.block + params().windows.challenge.0));
    let early = world.call(STRANGER, PokeSession { session });
    assert!(matches!(early, Err(Refusal::NotYetLate { .. })));
    world.block = record.deadline.0 + 1;
    let credits = world.credits_of(|world| world.call(STRANGER, PokeSession { session }).unwrap());
    let back = 6 * (HEAD + TAIL + PROTOCOL);
    assert_eq!(credits, [(TREASURY, 4 * PROTOCOL), (USERS[0], back), (CREATORS[0], 4 * TAIL), (PAYOUTS[0], 4 * HEAD)]);
}

#[test]
fn a_worker_that_is_silent_costs_the_user_nothing_and_the_user_closes_without_it() {
    let mut world = World::new();
    let session = world.opened(10);
    world.show(USERS[0], session, (0, 0, 0)).unwrap();
    world.block = world.session(session).deadline.0 + 1;
    let credits = world.credits_of(|world| world.call(STRANGER, PokeSession { session }).unwrap());
    assert_eq!(credits, [(USERS[0], 10 * (HEAD + TAIL + PROTOCOL))]);
}

#[test]
fn a_session_that_everybody_forgets_goes_back_to_its_user_by_a_poke() {
    let mut world = World::new();
    let session = world.opened(3);
    world.block = world.session(session).deadline.0;
    assert!(matches!(world.call(STRANGER, PokeSession { session }), Err(Refusal::NotYetLate { .. })));
    world.block += 1;
    assert!(matches!(world.show(WORKERS[0], session, (3, 0, 0)), Err(Refusal::TooLate { .. })));
    let credits = world.credits_of(|world| world.call(STRANGER, PokeSession { session }).unwrap());
    assert_eq!(credits, [(USERS[0], 3 * (HEAD + TAIL + PROTOCOL))]);
    assert_eq!(world.call(STRANGER, PokeSession { session }), Err(Refusal::SessionOver { session }));
    assert_eq!(world.worker(0).in_flight, 0);
}

#[test]
fn a_higher_voucher_beats_an_early_close_and_a_lower_one_is_refused() {
    let mut world = World::new();
    let session = world.opened(10);
    world.show(USERS[0], session, (2, 0, 0)).unwrap();
    let deadline = world.session(session).deadline;
    world.block = deadline.0;
    world.show(CREATORS[0], session, (7, 1, 0)).unwrap();
    assert_eq!(world.session(session).deadline, deadline, "a window is not drawn out");
    let (done, heads, tails) = (8, 8, 7);
    for lower in [(2, 0, 0), (7, 0, 0), (7, 1, 0)] {
        assert_eq!(world.show(USERS[0], session, lower), Err(Refusal::VoucherNotHigher { done, heads, tails }));
    }
    world.block += 1;
    world.call(STRANGER, PokeSession { session }).unwrap();
    let record = world.session(session);
    assert_eq!((record.done, record.heads, record.tails), (8, 8, 7));
    assert_eq!(record.root, world.voucher(session, &leaves(session, 7, 1, 0)).voucher.root);
}

#[test]
fn a_user_who_signs_vouchers_that_contradict_each_other_takes_nothing_from_anybody() {
    let mut world = World::new();
    let session = world.opened(10);
    // To the creator six settled jobs; to the chain nine jobs of which no tail is paid for.
    world.show(USERS[0], session, (0, 9, 0)).unwrap();
    world.show(CREATORS[0], session, (6, 0, 0)).unwrap();
    world.block = world.session(session).deadline.0 + 1;
    let credits = world.credits_of(|world| world.call(STRANGER, PokeSession { session }).unwrap());
    let paid = |account| credits.iter().find(|(known, _)| *known == account).unwrap().1;
    assert_eq!((paid(PAYOUTS[0]), paid(CREATORS[0])), (9 * HEAD, 6 * TAIL));
}

#[test]
fn worker_and_creator_end_a_session_early_at_once_and_neither_does_alone() {
    let mut world = World::new();
    let session = world.opened(10);
    let signed = world.voucher(session, &leaves(session, 3, 0, 0));
    let agreed = Some(key(0).sign(&SessionEnd { voucher: signed.voucher }));
    for who in [USERS[0], WORKERS[0], CREATORS[1], STRANGER] {
        let refused = world.call(who, CloseSession { signed, agreed });
        assert!(matches!(refused, Err(Refusal::NotYourModel { .. })), "{refused:?}");
    }
    let other = Some(key(1).sign(&SessionEnd { voucher: signed.voucher }));
    let refused = world.call(CREATORS[0], CloseSession { signed, agreed: other });
    assert!(matches!(refused, Err(Refusal::WrongSigner { .. })));
    let lower = world.voucher(session, &leaves(session, 2, 0, 0));
    let refused = world.call(CREATORS[0], CloseSession { signed: lower, agreed });
    assert!(matches!(refused, Err(Refusal::WrongSigner { .. })), "the worker agreed to another voucher");
    world.call(CREATORS[0], CloseSession { signed, agreed }).unwrap();
    assert_eq!(world.session(session).stage, SessionStage::Closed);
}

#[test]
fn vouchers_of_others_for_others_and_of_numbers_that_contradict_each_other_are_refused() {
    let mut world = World::new();
    let session = world.opened(4);
    let honest = world.voucher(session, &leaves(session, 2, 1, 1)).voucher;
    let mut shown = |voucher: Voucher, signer: &encompute_protocol::signing::SigningKey| {
        let signed = SignedVoucher { voucher, signature: signer.sign(&voucher) };
        world.call(WORKERS[0], CloseSession { signed, agreed: None }).unwrap_err()
    };
    let own = voucher_key();
    assert!(matches!(shown(honest, &key(0)), Refusal::WrongSigner { .. }));
    for altered in [
        Voucher { done: 5, ..honest },
        Voucher { heads: 5, ..honest },
        Voucher { tails: 4, ..honest },
        Voucher { root: Default::default(), ..honest },
        Voucher { done: 0, heads: 0, tails: 0, ..honest },
    ] {
        assert!(matches!(shown(altered, &own), Refusal::VoucherNumbers { .. }), "{altered:?}");
    }
    let genesis = Voucher { genesis: Default::default(), ..honest };
    assert!(matches!(shown(genesis, &own), Refusal::OfferMismatch { .. }));
    let contract = Voucher { contract: Default::default(), ..honest };
    assert!(matches!(shown(contract, &own), Refusal::OfferMismatch { .. }));
    let other = SessionId(session.0 + 1);
    assert_eq!(shown(Voucher { session: other, ..honest }, &own), Refusal::UnknownSession { session: other });
}

#[test]
fn a_session_is_opened_only_as_its_creator_and_its_worker_take_it() {
    let mut world = World::new();
    let message = world.session_message(0, USERS[0], 5);
    let escrow = world.session_escrow(5);
    assert_eq!(world.pay(USERS[0], escrow, message.clone()), Err(Refusal::SessionJobs { found: 5, limit: 0 }));
    for creator in [CREATORS[1], USERS[0], GOVERNOR] {
        let refused = world.call(creator, TakeSessions { version: VersionId(1), jobs: 5 });
        assert!(matches!(refused, Err(Refusal::NotYourModel { .. })));
    }
    let limit = encompute_protocol::session::JOBS_LIMIT;
    let refused = world.call(CREATORS[0], TakeSessions { version: VersionId(1), jobs: limit + 1 });
    assert_eq!(refused, Err(Refusal::SessionJobs { found: limit + 1, limit }));
    world.call(CREATORS[0], TakeSessions { version: VersionId(1), jobs: 5 }).unwrap();
    let mut refused = |who: Address, value: Plancks, message: OpenSession| world.pay(who, value, message).unwrap_err();
    assert!(matches!(refused(USERS[0], Plancks(escrow.0 - 1), message.clone()), Refusal::EscrowMismatch { .. }));
    assert!(matches!(refused(USERS[1], escrow, message.clone()), Refusal::OfferMismatch { .. }));
    let split = OpenSession { split: SplitIndex(1), ..message.clone() };
    assert_eq!(refused(USERS[0], escrow, split), Refusal::NoTailNoSession);
    let resigned = |alter: fn(&mut encompute_protocol::session::SessionOffer), by: usize| {
        let mut message = message.clone();
        alter(&mut message.offer.offer);
        message.offer.signature = key(by).sign(&message.offer.offer);
        message
    };
    let honest = |_: &mut encompute_protocol::session::SessionOffer| {};
    assert!(matches!(refused(USERS[0], escrow, resigned(honest, 1)), Refusal::WrongSigner { .. }));
    let none = resigned(|offer| offer.jobs = 0, 0);
    assert_eq!(refused(USERS[0], Plancks::ZERO, none), Refusal::SessionJobs { found: 0, limit: 5 });
    let many = resigned(|offer| offer.jobs = 6, 0);
    assert_eq!(refused(USERS[0], escrow, many), Refusal::SessionJobs { found: 6, limit: 5 });
    let short = resigned(|offer| offer.length = Blocks(1), 0);
    assert!(matches!(refused(USERS[0], escrow, short), Refusal::SessionLength { .. }));
    let long = resigned(|offer| offer.length = Blocks(20_000), 0);
    assert!(matches!(refused(USERS[0], escrow, long), Refusal::RegistrationEndsTooSoon { .. }));
    let late = resigned(|offer| offer.expires_at = encompute_protocol::BlockNumber(1), 0);
    assert!(matches!(refused(USERS[0], escrow, late), Refusal::OfferExpired { .. }));
    let nobody = resigned(|offer| offer.key = Default::default(), 0);
    assert!(matches!(refused(USERS[0], escrow, nobody), Refusal::Missing { .. }));
    world.pay(USERS[0], escrow, message).unwrap();
}

#[test]
fn a_sessions_jobs_have_numbers_of_their_own_and_hold_one_of_the_workers_places() {
    let mut world = World::new();
    let session = world.opened(7);
    assert_eq!(session, SessionId(1));
    let job = world.requested();
    assert_eq!(job.0, 8);
    assert_eq!(world.worker(0).in_flight, 1);
    let message = world.registration(0, world.block + 500);
    let refused = world.call(WORKERS[0], message);
    assert!(matches!(refused, Err(Refusal::JobsInFlight { found: 1 } | Refusal::NoNonce)), "{refused:?}");
    // A session's jobs are no jobs of the chain.
    let inside = session.job(3).unwrap();
    assert_eq!(world.claim(0, inside), Err(Refusal::UnknownJob { job: inside }));
}

/// What makes two states of a session different: where it stands, what was shown, whether it is late.
type Key = (SessionStage, u32, u32, u32, bool);

fn key_of(world: &World, session: SessionId) -> Key {
    let record = world.session(session);
    (record.stage, record.done, record.heads, record.tails, world.block > record.deadline.0)
}

#[test]
fn from_every_state_that_a_session_can_reach_pokes_alone_give_everything_back() {
    const JOBS: u32 = 3;
    let mut world = World::new();
    let session = world.opened(JOBS);
    let ends: Vec<(u32, u32, u32)> = (0..=JOBS)
        .flat_map(|settled| (0..=JOBS - settled).map(move |alone| (settled, alone)))
        .flat_map(|(settled, alone)| (0..=JOBS - settled - alone).map(move |refunded| (settled, alone, refunded)))
        .collect();
    let mut seen = BTreeMap::from([(key_of(&world, session), world.clone())]);
    let mut queue = VecDeque::from([world]);
    while let Some(world) = queue.pop_front() {
        let mut attempts: Vec<(Address, Command)> = vec![(STRANGER, PokeSession { session }.into())];
        for ends in &ends {
            let signed = world.voucher(session, &leaves(session, ends.0, ends.1, ends.2));
            let agreed = Some(key(0).sign(&SessionEnd { voucher: signed.voucher }));
            attempts.push((USERS[0], CloseSession { signed, agreed: None }.into()));
            attempts.push((CREATORS[0], CloseSession { signed, agreed }.into()));
        }
        let mut next = vec![world.clone()];
        next[0].block = world.session(session).deadline.0 + 1;
        for (caller, command) in attempts {
            let mut after = world.clone();
            let at = after.at(caller, Plancks::ZERO);
            if after.market.execute_command(&at, &command).is_ok() {
                next.push(after);
            }
        }
        for after in next {
            if seen.insert(key_of(&after, session), after.clone()).is_none() {
                queue.push_back(after);
            }
        }
    }
    let stages = |stage| seen.keys().filter(|key| key.0 == stage).count();
    // Twenty ways in which three jobs can have ended, each on time and late; the one with every tail paid closes at once.
    let found = [SessionStage::Open, SessionStage::Closing, SessionStage::Closed].map(stages);
    assert_eq!(found, [2, 38, 40]);
    for (state, world) in seen {
        always::invariant_1_the_balance_is_escrows_stakes_bonds_deposits_and_credits(&world, &world).unwrap();
        always::drained(world).unwrap_or_else(|error| panic!("{state:?}: {error}"));
    }
}

#[test]
fn an_offer_opens_one_session_whatever_places_are_free() {
    let mut world = World::new();
    world.call(WORKERS[0], SetCapacity { capacity: 9 }).unwrap();
    let first = world.opened(3);
    let message = world.session_message(0, USERS[0], 3);
    let again = world.pay(USERS[0], world.session_escrow(3), message.clone());
    assert_eq!(again, Err(Refusal::OfferUsed { session: first }));
    assert_eq!(world.worker(0).in_flight, 1);
    // Another offer is another session, although all it says is the same but for its end.
    world.block += 1;
    let message = world.session_message(0, USERS[0], 3);
    world.pay(USERS[0], world.session_escrow(3), message).unwrap();
    assert_eq!(world.worker(0).in_flight, 2);
}

#[test]
fn who_fills_places_with_sessions_keeps_nobody_from_judging() {
    let mut world = World::auditing(BasisPoints(0));
    let job = world.disputed(DisputeKind::Head);
    world.call(CREATORS[0], TakeSessions { version: VersionId(1), jobs: 1_000 }).unwrap();
    for worker in 1..WORKERS.len() {
        while world.worker(worker).in_flight < world.worker(worker).capacity {
            world.block += 1;
            let message = world.session_message(worker, USERS[1], 1);
            world.pay(USERS[1], world.session_escrow(1), message).unwrap();
        }
    }
    world.block = world.block.max(world.dispute(job).opened_at.0 + 2);
    world.call(STRANGER, PokeJob { job }).unwrap();
    assert_eq!(world.jurors(job).len(), 3);
}
