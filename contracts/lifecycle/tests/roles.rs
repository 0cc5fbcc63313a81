//! Who may do what, what is refused and how: the role matrix, forged receipts and offers,
//! registrations, deposits.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{
    Command, Context, Host, ReadState, ReceiptFacts, Refusal, Software,
    price::{self, check_params},
    refusal::{Field, OfferField, Param},
};
use encompute_protocol::{
    Address, BasisPoints, BlobDigest, BlockNumber, Blocks, JobId, Nonce, Plancks, PolicyId, Receipt, SplitIndex, Stage,
    Text, VersionHash, VersionId, VersionStatus, call::*, event::Event,
};
use world::*;

#[test]
fn invariant_16_no_one_but_the_stages_actor_does_anything_at_any_stage() {
    let callers = [GOVERNOR, TREASURY, USERS[0], USERS[1], CREATORS[0], CREATORS[1], WORKERS[0], WORKERS[1], STRANGER];
    let mut allowed = Vec::new();
    for stage in STAGES {
        let mut world = World::new();
        let job = world.at_stage(stage);
        let commit = world.commitment(0, job);
        let (features, result) = (world.digest(), world.digest());
        let commands: [Command; 8] = [
            ClaimJob { job }.into(),
            commit.into(),
            SendFeatures { job, policy: PolicyId(1), features }.into(),
            CommitResult { job, result }.into(),
            AcceptResult { job }.into(),
            CancelJob { job }.into(),
            RefuseFeatures { job }.into(),
            PokeJob { job }.into(),
        ];
        for command in &commands {
            for caller in callers {
                let at = world.at(caller, Plancks::ZERO);
                if world.market.clone().execute_command(&at, command).is_ok() {
                    allowed.push((stage, command.name(), caller));
                }
            }
        }
    }
    // On time; what pokes do when somebody is late is in `stages.rs`.
    assert_eq!(allowed, [
        (Stage::Requested, "claim_job", WORKERS[0]),
        (Stage::Requested, "claim_job", WORKERS[1]),
        (Stage::Requested, "cancel_job", USERS[0]),
        (Stage::Claimed, "commit_head", WORKERS[0]),
        (Stage::HeadCommitted, "send_features", USERS[0]),
        (Stage::HeadCommitted, "cancel_job", USERS[0]),
        (Stage::FeaturesSent, "commit_result", CREATORS[0]),
        (Stage::FeaturesSent, "refuse_features", CREATORS[0]),
        (Stage::ResultCommitted, "accept_result", USERS[0]),
    ]);
}

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
        assert_eq!(world.call(caller, SetParams { params: params() }), Err(refused));
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
    world.call(WORKERS[0], ClaimJob { job }).unwrap();
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
    let first = world.commitment(0, job);
    let other = world.requested();
    world.call(WORKERS[0], ClaimJob { job: other }).unwrap();
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

#[test]
fn a_worker_without_a_place_or_stake_or_time_takes_no_job() {
    let mut world = World::new();
    let (job, first) = (world.requested(), world.requested());
    world.call(WORKERS[0], SetCapacity { capacity: 1 }).unwrap();
    world.call(WORKERS[0], ClaimJob { job: first }).unwrap();
    let full = Err(Refusal::CapacityFull { in_flight: 1, capacity: 1 });
    assert_eq!(world.call(WORKERS[0], ClaimJob { job }), full);
    world.call(WORKERS[1], AskStake { amount: Plancks(38_000) }).unwrap();
    let poor = Err(Refusal::FreeStakeTooSmall { found: Plancks(2_000), wanted: Plancks(3_406) });
    assert_eq!(world.call(WORKERS[1], ClaimJob { job }), poor);
    // Until the last block of the head window and one more.
    let expires_at = world.worker(2).expires_at;
    world.block = expires_at.0 - params().windows.head.0;
    let late = world.requested();
    let wanted = expires_at;
    let short = Err(Refusal::RegistrationEndsTooSoon { expires_at, wanted });
    assert_eq!(world.call(WORKERS[2], ClaimJob { job: late }), short);
    world.block -= 1;
    let in_time = world.requested();
    world.call(WORKERS[2], ClaimJob { job: in_time }).unwrap();
    let unknown = Err(Refusal::UnknownWorker { worker: STRANGER });
    assert_eq!(world.call(STRANGER, ClaimJob { job: in_time }), Err(Refusal::WrongStage {
        found: Stage::Claimed,
        wanted: Stage::Requested
    }));
    assert_eq!(world.call(STRANGER, ClaimJob { job: late }), unknown);
}

#[test]
fn a_bond_that_does_not_cover_the_job_refuses_it() {
    let mut world = World::new();
    let model = encompute_protocol::ModelId(1);
    // 2555 a job: leaving 5100 of 60000 is above the floor of 5003 for one job, not for two.
    world.call(CREATORS[0], AskBond { model, amount: Plancks(54_900) }).unwrap();
    world.requested();
    let message = world.request_message(VersionId(1), SplitIndex(0));
    let refused = world.send_request(USERS[0], message.clone());
    assert_eq!(refused, Err(Refusal::FreeBondTooSmall { found: Plancks(2_545), wanted: Plancks(2_555) }));
    world.call(CREATORS[0], AskBond { model, amount: Plancks(55_000) }).unwrap();
    let refused = world.send_request(USERS[0], message);
    assert_eq!(refused, Err(Refusal::BondBelowFloor { found: Plancks(5_000), wanted: Plancks(5_003) }));
}

#[test]
fn stake_and_bond_leave_only_when_free_and_after_their_time() {
    let mut world = World::new();
    let job = world.claimed();
    let free = Plancks(40_000 - 3_406);
    let found = Plancks(free.0 + 1);
    let refused = world.call(WORKERS[0], AskStake { amount: found });
    assert_eq!(refused, Err(Refusal::AskedTooMuch { found, free }));
    world.call(WORKERS[0], AskStake { amount: free }).unwrap();
    let leaves_at = BlockNumber(world.block + params().unbonding.0);
    let block = BlockNumber(leaves_at.0 - 1);
    world.block = block.0;
    assert_eq!(world.call(WORKERS[0], TakeStake {}), Err(Refusal::NotYetLeaving { leaves_at, block }));
    world.block += 1;
    assert_eq!(world.call(WORKERS[0], TakeStake {}), Ok(free));
    assert_eq!(world.call(WORKERS[0], TakeStake {}), Err(Refusal::NothingLeaving));
    // What the job held is still there to be slashed.
    assert_eq!(world.worker(0).stake, world.progress(job).stake_held);
    let model = encompute_protocol::ModelId(1);
    let refused = world.call(CREATORS[0], AskBond { model, amount: Plancks(60_000) });
    assert_eq!(refused, Err(Refusal::AskedTooMuch { found: Plancks(60_000), free: Plancks(60_000 - 2_555) }));
}

#[test]
fn a_registration_wants_a_fresh_nonce_a_new_quote_an_allowed_measurement_and_its_own_key() {
    let mut world = World::new();
    let good = world.registration(0, world.block + 100);
    let mut register = |world: &mut World, message: &RegisterWorker| {
        let mut world = world.clone();
        world.pay(WORKERS[0], Plancks(1), message.clone())
    };
    assert_eq!(register(&mut world, &good), Err(Refusal::NoNonce));
    world.call(WORKERS[0], BeginRegistration {}).unwrap();
    assert_eq!(register(&mut world, &good), Ok(()));
    let quote = world.worker(0).quote;
    assert_eq!(register(&mut world, &RegisterWorker { quote, ..good.clone() }), Err(Refusal::QuoteReused));
    let measurement = encompute_protocol::MeasurementId([9; 32]);
    let unknown = register(&mut world, &RegisterWorker { measurement, ..good.clone() });
    assert_eq!(unknown, Err(Refusal::UnknownMeasurement));
    let forged = register(&mut world, &RegisterWorker { payout: STRANGER, ..good.clone() });
    assert!(matches!(forged, Err(Refusal::WrongSigner { .. })), "{forged:?}");
    let url = Text::new("ftp://example").unwrap();
    assert_eq!(register(&mut world, &RegisterWorker { url, ..good.clone() }), Err(Refusal::UrlScheme));
    let (from, to) = (BlockNumber(world.block + 1), BlockNumber(world.block + params().registration_limit.0));
    for expires_at in [BlockNumber(world.block), BlockNumber(to.0 + 1), BlockNumber(0)] {
        let message = world.registration(0, expires_at.0);
        assert_eq!(register(&mut world, &message), Err(Refusal::RegistrationLength { expires_at, from, to }));
    }
    let job = world.claimed();
    assert_eq!(register(&mut world, &good), Err(Refusal::JobsInFlight { found: 1 }));
    let message = world.commitment(0, job);
    world.call(WORKERS[0], message).unwrap();
    assert_eq!(register(&mut world, &good), Ok(()));
}

#[test]
fn no_two_nonces_of_an_account_are_the_same_even_in_one_block() {
    let mut world = World::new();
    let mut seen = std::collections::BTreeSet::<Nonce>::new();
    for _ in 0..3 {
        assert!(seen.insert(world.call(WORKERS[0], BeginRegistration {}).unwrap()));
        assert!(seen.insert(world.call(WORKERS[0], BeginRegistration {}).unwrap()));
        let message = world.registration(0, world.block + 100);
        world.pay(WORKERS[0], Plancks(1), message).unwrap();
        assert!(seen.contains(&world.worker(0).nonce));
    }
    let elsewhere = Context { contract: Default::default(), ..world.at(WORKERS[0], Plancks::ZERO) };
    assert!(seen.insert(world.market.execute(&elsewhere, &BeginRegistration {}).unwrap()));
}

#[test]
fn a_measurement_waits_for_its_delay_and_stays_revoked() {
    let mut world = World::new();
    let measurement = encompute_protocol::MeasurementId([9; 32]);
    world.call(GOVERNOR, AllowMeasurement { measurement }).unwrap();
    world.call(WORKERS[0], BeginRegistration {}).unwrap();
    let message = RegisterWorker { measurement, ..world.registration(0, world.block + 100) };
    let (valid_from, block) = (BlockNumber(world.block + 3), BlockNumber(world.block));
    let early = world.call(WORKERS[0], message.clone());
    assert_eq!(early, Err(Refusal::MeasurementNotYet { valid_from, block }));
    world.block += 3;
    world.call(WORKERS[0], message).unwrap();
    world.call(GOVERNOR, RevokeMeasurement { measurement }).unwrap();
    let revoked = Err(Refusal::MeasurementRevoked { revoked_at: BlockNumber(world.block) });
    assert_eq!(world.call(GOVERNOR, AllowMeasurement { measurement }), revoked);
    assert_eq!(world.call(GOVERNOR, RevokeMeasurement { measurement }), revoked);
}

#[test]
fn parameters_outside_their_bounds_are_refused() {
    let good = params();
    check_params(&good).unwrap();
    check_params(&price::default_params(TREASURY)).unwrap();
    let refused = |change: &dyn Fn(&mut encompute_protocol::Params)| {
        let mut params = good;
        change(&mut params);
        match check_params(&params).unwrap_err() {
            Refusal::ParamOutOfBounds { param, .. } | Refusal::ShareTooLarge { param, .. } => param,
            other => panic!("{other}"),
        }
    };
    assert_eq!(refused(&|params| params.protocol_fee = BasisPoints(1_001)), Param::ProtocolFee);
    assert_eq!(refused(&|params| params.stop_fee = BasisPoints(10_001)), Param::StopFee);
    assert_eq!(refused(&|params| params.fail_slash = BasisPoints(10_001)), Param::FailSlash);
    assert_eq!(refused(&|params| params.windows.claim = Blocks(1)), Param::ClaimWindow);
    assert_eq!(refused(&|params| params.windows.accept = Blocks(100_801)), Param::AcceptWindow);
    assert_eq!(refused(&|params| params.registration_limit = Blocks(21)), Param::RegistrationLimit);
    assert_eq!(refused(&|params| params.unbonding = Blocks(100)), Param::Unbonding);
    assert_eq!(refused(&|params| params.head_fee_base = Plancks(0)), Param::HeadFeeBase);
    assert_eq!(refused(&|params| params.head_fee_per_unit = Plancks(u128::MAX)), Param::HeadFeePerUnit);
    let nobody = encompute_protocol::Params { treasury: Address::default(), ..good };
    assert_eq!(check_params(&nobody), Err(Refusal::Missing { field: Field::Treasury }));
}

#[test]
fn new_parameters_govern_new_jobs_only() {
    let mut world = World::new();
    let old = world.requested();
    let mut params = params();
    params.head_fee_base = Plancks(5_000);
    params.windows.head = Blocks(40);
    world.call(GOVERNOR, SetParams { params }).unwrap();
    world.call(WORKERS[0], ClaimJob { job: old }).unwrap();
    assert_eq!(world.progress(old).deadline, BlockNumber(world.block + 20));
    let new = world.requested();
    assert_eq!(world.terms(new).fees.head, Plancks(5_700));
}

#[test]
fn invariant_22_no_message_touches_more_items_than_its_own_splits() {
    let mut world = World::new();
    let split = SplitOffer { ..a_split() };
    let (model, manifest) = (encompute_protocol::ModelId(1), VersionHash([9; 32]));
    let publish = |count: usize| PublishVersion { model, manifest, splits: vec![split; count] };
    for count in [0, SPLITS_LIMIT + 1] {
        let refused = Err(Refusal::SplitCount { found: count as u32, limit: SPLITS_LIMIT as u32 });
        assert_eq!(world.call(CREATORS[0], publish(count)), refused);
    }
    let at = world.at(CREATORS[0], Plancks::ZERO);
    let changes = world.market.execute_command(&at, &publish(SPLITS_LIMIT).into()).unwrap();
    assert_eq!(changes.writes.len(), SPLITS_LIMIT + 2);
    // However many jobs there are, ending one writes the same few items.
    let mut counts = Vec::new();
    for _ in 0..20 {
        let job = world.answered();
        let at = world.at(USERS[0], Plancks::ZERO);
        let changes = world.market.execute_command(&at, &AcceptResult { job }.into()).unwrap();
        counts.push((changes.writes.len(), changes.events.len()));
    }
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

fn a_split() -> SplitOffer {
    SplitOffer {
        mode: encompute_protocol::Mode::Linear,
        head: encompute_protocol::HeadDigest([1; 32]),
        tail: Default::default(),
        cost: Default::default(),
        tail_fee: Plancks(1),
        policies: 1,
    }
}

#[test]
fn a_command_reads_back_from_its_calldata_only_when_whole() {
    let command = Command::from(SendFeatures { job: JobId(7), policy: PolicyId(2), features: BlobDigest([3; 32]) });
    let calldata = command.calldata();
    assert_eq!(Command::from_calldata(&calldata), Some(command));
    assert_eq!(Command::from_calldata(&calldata[..calldata.len() - 1]), None);
    assert_eq!(Command::from_calldata(&[calldata, vec![0]].concat()), None);
    assert_eq!(Command::from_calldata(&[0xff; 40]), None);
}

#[test]
fn refusals_say_what_was_found_and_what_was_wanted() {
    let words = [
        (
            Refusal::EscrowMismatch { found: Plancks(1_000_000_000_000), wanted: Plancks(2_500_000_000_000) },
            "1 UNIT was sent, the escrow is 2.5 UNIT",
        ),
        (
            Refusal::WrongStage { found: Stage::Claimed, wanted: Stage::Requested },
            "the job is Claimed, not Requested",
        ),
        (
            Refusal::WrongSigner { found: None, wanted: Default::default() },
            "signed by nobody, the registered key is 0x0000000000000000000000000000000000000000",
        ),
    ];
    for (refusal, text) in words {
        assert_eq!(refusal.to_string(), text);
    }
}
