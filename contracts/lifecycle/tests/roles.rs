//! What is refused and how: who is no creator or governor, escrow, forged receipts and offers. Who may do what: `matrix.rs`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::type_complexity)]

mod world;

use encompute_lifecycle::{
    Host, ReadState, ReceiptFacts, Refusal, Software,
    refusal::{Field, OfferField},
};
use encompute_protocol::{
    Address, BlockNumber, Plancks, Receipt, SplitIndex, Stage, VersionId, VersionStatus, call::*, event::Event,
};
use world::*;

#[test]
fn only_creators_touch_their_models_and_only_the_governor_governs() {
    let mut world = World::new();
    let (model, version) = (encompute_protocol::ModelId(1), VersionId(1));
    let draft = world.publish(CREATORS[0], model).unwrap();
    let not_yours = |caller| Refusal::NotYourModel { caller, wanted: CREATORS[0] };
    for caller in [CREATORS[1], GOVERNOR, STRANGER] {
        assert_eq!(world.publish(caller, model), Err(not_yours(caller)));
        assert_eq!(world.call(caller, ActivateVersion { version: draft }), Err(not_yours(caller)));
        assert_eq!(world.call(caller, DeprecateVersion { version }), Err(not_yours(caller)));
        assert_eq!(world.call(caller, AskBond { model, amount: Plancks(1) }), Err(not_yours(caller)));
        assert_eq!(world.call(caller, TakeBond { model }), Err(not_yours(caller)));
    }
    for caller in [CREATORS[0], TREASURY, STRANGER] {
        let refused = Refusal::NotGovernor { caller, wanted: GOVERNOR };
        assert_eq!(world.call(caller, AllowMeasurement { measurement: MEASUREMENTS[0] }), Err(refused));
        assert_eq!(world.call(caller, RevokeMeasurement { measurement: MEASUREMENTS[0] }), Err(refused));
        assert_eq!(world.call(caller, AllowPlatform { platform: PLATFORMS[0] }), Err(refused));
        assert_eq!(world.call(caller, RevokePlatform { platform: PLATFORMS[0] }), Err(refused));
        assert_eq!(world.call(caller, AnnounceParams { params: params() }), Err(refused));
        assert_eq!(world.call(caller, WithdrawParams {}), Err(refused));
        assert_eq!(world.call(caller, SetPaused { paused: true }), Err(refused));
        assert_eq!(world.call(caller, SetGovernor { governor: caller }), Err(refused));
    }
    assert_eq!(world.call(STRANGER, RevokeVersion { version }), Err(not_yours(STRANGER)));
    assert_eq!(world.call(GOVERNOR, RevokeVersion { version }), Ok(()), "for safety");
}

#[test]
fn a_version_only_moves_forward() {
    let mut world = World::new();
    let version = world.publish(CREATORS[0], encompute_protocol::ModelId(1)).unwrap();
    let wrong = |found, wanted| Err(Refusal::WrongVersionStatus { found, wanted });
    let request = |world: &mut World| {
        let message = world.request_message(version, SplitIndex(0));
        world.send_request(USERS[0], message)
    };
    assert_eq!(request(&mut world), Err(Refusal::VersionNotActive { found: VersionStatus::Draft }));
    let early = world.call(CREATORS[0], DeprecateVersion { version });
    assert_eq!(early, wrong(VersionStatus::Draft, VersionStatus::Active));
    world.call(CREATORS[0], ActivateVersion { version }).unwrap();
    let again = world.call(CREATORS[0], ActivateVersion { version });
    assert_eq!(again, wrong(VersionStatus::Active, VersionStatus::Draft));
    request(&mut world).unwrap();
    world.call(CREATORS[0], DeprecateVersion { version }).unwrap();
    assert_eq!(request(&mut world), Err(Refusal::VersionNotActive { found: VersionStatus::Deprecated }));
    world.call(CREATORS[0], RevokeVersion { version }).unwrap();
    let revoked_at = BlockNumber(world.block);
    assert_eq!(world.call(CREATORS[0], RevokeVersion { version }), Err(Refusal::VersionRevoked { revoked_at }));
}

#[test]
fn running_jobs_of_a_deprecated_version_finish() {
    let mut world = World::new();
    let job = world.requested();
    world.call(CREATORS[0], DeprecateVersion { version: VersionId(1) }).unwrap();
    world.claim(0, job).unwrap();
    let message = world.commitment(0, job);
    world.call(WORKERS[0], message).unwrap();
}

#[test]
fn invariant_6_a_second_end_is_refused_by_its_own_name() {
    let mut world = World::new();
    let job = world.settled();
    let ended = Err(Refusal::JobEnded { found: Stage::Settled });
    assert_eq!(world.call(USERS[0], AcceptResult { job }), ended);
    assert_eq!(world.call(STRANGER, PokeJob { job }), ended);
    assert_eq!(world.call(USERS[0], CancelJob { job }), ended);
    assert_eq!(world.call(TREASURY, WithdrawCredit { to: None }), Ok(Plancks(124)));
    assert_eq!(world.call(TREASURY, WithdrawCredit { to: None }), Err(Refusal::NothingToWithdraw));
}

#[test]
fn invariant_7_a_credit_is_taken_by_its_owner_alone_and_where_he_says() {
    let mut world = World::new();
    world.settled();
    let before = world.market.balance();
    assert_eq!(world.call(STRANGER, WithdrawCredit { to: Some(PAYOUTS[0]) }), Err(Refusal::NothingToWithdraw));
    let amount = world.call(PAYOUTS[0], WithdrawCredit { to: Some(STRANGER) }).unwrap();
    assert_eq!(world.market.balance(), before.checked_sub(amount).unwrap());
    let nowhere = world.call(CREATORS[0], WithdrawCredit { to: Some(Address::default()) });
    assert_eq!(nowhere, Err(Refusal::Missing { field: Field::To }));
    let itself = Address(CONTRACT.0);
    let refused = world.call(CREATORS[0], WithdrawCredit { to: Some(itself) });
    assert_eq!(refused, Err(Refusal::PaymentFailed { to: itself }));
    // Nobody else's credit has moved.
    assert_eq!(world.market.credit(CREATORS[0]), Plancks(2_001));
}

#[test]
fn invariant_9_prices_that_overflow_are_refused_before_they_are_escrowed() {
    let mut world = World::new();
    let mut message = world.request_message(VersionId(1), SplitIndex(0));
    message.tip = Plancks(u128::MAX);
    assert_eq!(world.pay(USERS[0], Plancks(u128::MAX), message.clone()), Err(Refusal::AmountTooLarge));
    // The total fits, a share of it would not.
    message.tip = Plancks(u128::MAX / 2);
    assert_eq!(world.pay(USERS[0], Plancks(1), message), Err(Refusal::AmountTooLarge));
}

#[test]
fn the_escrow_is_exact() {
    let mut world = World::new();
    let message = world.request_message(VersionId(1), SplitIndex(0));
    let wanted = world.escrow(message.version, message.split, message.tip).unwrap();
    for found in [Plancks(wanted.0 - 1), Plancks(wanted.0 + 1), Plancks::ZERO] {
        assert_eq!(world.pay(USERS[0], found, message.clone()), Err(Refusal::EscrowMismatch { found, wanted }));
    }
    world.pay(USERS[0], wanted, message).unwrap();
}

#[test]
fn money_sent_to_a_message_that_takes_none_is_refused() {
    let mut world = World::new();
    let job = world.requested();
    let refused = Err(Refusal::ValueNotTaken { found: Plancks(1) });
    assert_eq!(world.pay(USERS[0], Plancks(1), CancelJob { job }), refused);
}

/// Every way to alter one field of a receipt.
fn alterations() -> Vec<(&'static str, fn(&mut Receipt))> {
    vec![
        ("genesis", |receipt| receipt.genesis.0[0] ^= 1),
        ("contract", |receipt| receipt.contract.0[0] ^= 1),
        ("job", |receipt| receipt.job.0 += 1),
        ("version", |receipt| receipt.version.0 += 1),
        ("manifest", |receipt| receipt.manifest.0[0] ^= 1),
        ("split", |receipt| receipt.split.0 ^= 1),
        ("head", |receipt| receipt.head.0[0] ^= 1),
        ("input", |receipt| receipt.input.0[0] ^= 1),
        ("evaluation_key", |receipt| receipt.evaluation_key.0[0] ^= 1),
        ("output", |receipt| receipt.output.0[0] ^= 1),
        ("tail", |receipt| receipt.tail.0[0] ^= 1),
        ("worker", |receipt| receipt.worker.0[0] ^= 1),
        ("measurement", |receipt| receipt.measurement.0[0] ^= 1),
        ("registration_nonce", |receipt| receipt.registration_nonce.0[0] ^= 1),
        ("claimed_at", |receipt| receipt.claimed_at.0 += 1),
        ("finished_at", |receipt| receipt.finished_at.0 += 1),
        ("expires_at", |receipt| receipt.expires_at.0 += 1),
    ]
}

#[test]
fn invariant_14_a_receipt_with_any_field_altered_is_refused() {
    let mut world = World::new();
    let job = world.claimed();
    world.block += 1;
    let facts = ReceiptFacts::read(&world.market, GENESIS, CONTRACT, job).unwrap();
    let (output, finished_at) = (world.digest(), BlockNumber(world.block));
    for (field, alter) in alterations() {
        let mut receipt = facts.receipt(output, finished_at);
        alter(&mut receipt);
        let signature = key(0).sign(&receipt);
        let refused = world.call(WORKERS[0], CommitHead { job, output, finished_at, signature });
        assert!(matches!(refused, Err(Refusal::WrongSigner { .. })), "{field}: {refused:?}");
    }
    let signature = key(0).sign(&facts.receipt(output, finished_at));
    world.call(WORKERS[0], CommitHead { job, output, finished_at, signature }).unwrap();
    let digest = Software.keccak_256(&encompute_protocol::Signed::preimage(&facts.receipt(output, finished_at)));
    let said = world.market.events().iter().any(
        |(_, event)| matches!(event, Event::HeadCommitted(head) if head.receipt.0 == digest && head.output == output),
    );
    assert!(said);
}

#[test]
fn a_receipt_of_another_key_a_malleated_one_and_garbage_are_refused() {
    let mut world = World::new();
    let job = world.claimed();
    let message = world.commitment(1, job);
    let found = Some(key(1).address());
    let wanted = key(0).address();
    assert_eq!(world.call(WORKERS[0], message.clone()), Err(Refusal::WrongSigner { found, wanted }));
    let mut high = world.commitment(0, job);
    high.signature.0[32] |= 0x80;
    assert_eq!(world.call(WORKERS[0], high), Err(Refusal::WrongSigner { found: None, wanted }));
    for v in [0, 1, 26, 29, 255] {
        let mut message = world.commitment(0, job);
        message.signature.0[64] = v;
        assert_eq!(world.call(WORKERS[0], message), Err(Refusal::WrongSigner { found: None, wanted }));
    }
}

#[test]
fn a_receipt_that_finished_before_the_claim_or_in_the_future_is_refused() {
    let mut world = World::new();
    let job = world.claimed();
    let from = BlockNumber(world.block);
    world.block += 2;
    let to = BlockNumber(world.block);
    for found in [BlockNumber(from.0 - 1), BlockNumber(to.0 + 1), BlockNumber(0)] {
        let mut message = world.commitment(0, job);
        message.finished_at = found;
        assert_eq!(world.call(WORKERS[0], message), Err(Refusal::FinishedOutside { found, from, to }));
    }
}

#[test]
fn invariant_23_nothing_signed_for_one_job_serves_another() {
    let mut world = World::new();
    // An offer is for one input, and an input is used once.
    let mut message = world.request_message(VersionId(1), SplitIndex(0));
    message.offer = Some(world.offer(0, USERS[0], &message));
    let job = world.send_request(USERS[0], message.clone()).unwrap();
    assert_eq!(world.send_request(USERS[0], message.clone()), Err(Refusal::InputUsed { job }));
    // Somebody else may name the same blob, but not with this offer.
    let mismatch = Err(Refusal::OfferMismatch { field: OfferField::User });
    assert_eq!(world.send_request(USERS[1], message), mismatch);
    // A receipt of one job is none of another.
    let other = world.requested();
    world.claim(0, other).unwrap();
    let first = world.commitment(0, job);
    let replayed = CommitHead { job: other, ..first };
    assert!(matches!(world.call(WORKERS[0], replayed), Err(Refusal::WrongSigner { .. })));
}

#[test]
fn an_offer_for_anything_else_is_refused() {
    let mut world = World::new();
    let message = world.request_message(VersionId(1), SplitIndex(0));
    let good = world.offer(0, USERS[0], &message);
    let alterations: [(OfferField, fn(&mut encompute_protocol::Offer)); 6] = [
        (OfferField::Genesis, |offer| offer.genesis.0[0] ^= 1),
        (OfferField::Contract, |offer| offer.contract.0[0] ^= 1),
        (OfferField::User, |offer| offer.user.0[0] ^= 1),
        (OfferField::Version, |offer| offer.version.0 += 1),
        (OfferField::Split, |offer| offer.split.0 ^= 1),
        (OfferField::Input, |offer| offer.input.0[0] ^= 1),
    ];
    for (field, alter) in alterations {
        let mut signed = good;
        alter(&mut signed.offer);
        signed.signature = key(0).sign(&signed.offer);
        let refused = world.send_request(USERS[0], RequestJob { offer: Some(signed), ..message.clone() });
        assert_eq!(refused, Err(Refusal::OfferMismatch { field }));
    }
    let mut longer = good;
    longer.offer.expires_at.0 += 1;
    let refused = world.send_request(USERS[0], RequestJob { offer: Some(longer), ..message.clone() });
    assert!(matches!(refused, Err(Refusal::WrongSigner { .. })), "{refused:?}");
    world.block = good.offer.expires_at.0;
    let refused = world.send_request(USERS[0], RequestJob { offer: Some(good), ..message });
    assert_eq!(refused, Err(Refusal::OfferExpired { expires_at: good.offer.expires_at, block: good.offer.expires_at }));
    assert_eq!(world.market.counts().jobs, 0, "a refused offer leaves no job behind");
}
