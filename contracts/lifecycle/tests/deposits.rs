//! What holds workers, creators and the governor to their word: places, stakes, bonds,
//! registrations, measurements, parameters.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{
    Command, Context, Refusal,
    price::{self, check_params},
    refusal::{Field, Param},
};
use encompute_protocol::{
    Address, BasisPoints, BlobDigest, BlockNumber, Blocks, JobId, Nonce, Plancks, PolicyId, SplitIndex, Stage, Text,
    VersionHash, VersionId, call::*,
};
use world::{
    quotes::{OTHER_CODE, measurement_of},
    *,
};

#[test]
fn a_worker_without_a_place_or_stake_or_time_takes_no_job() {
    let mut world = World::new();
    let (job, first) = (world.requested(), world.requested());
    world.call(WORKERS[0], SetCapacity { capacity: 1 }).unwrap();
    world.claim(0, first).unwrap();
    let full = Err(Refusal::CapacityFull { in_flight: 1, capacity: 1 });
    assert_eq!(world.claim(0, job), full);
    world.call(WORKERS[1], AskStake { amount: Plancks(38_000) }).unwrap();
    let poor = Err(Refusal::FreeStakeTooSmall { found: Plancks(2_000), wanted: Plancks(3_406) });
    assert_eq!(world.claim(1, job), poor);
    // Until the last block of the head window and one more.
    let expires_at = world.worker(2).expires_at;
    let claimed_in = expires_at.0 - params().windows.head.0;
    world.block = claimed_in - params().windows.claim.0;
    let (late, in_time) = (world.requested(), world.requested());
    world.block = claimed_in;
    let wanted = expires_at;
    let short = Err(Refusal::RegistrationEndsTooSoon { expires_at, wanted });
    assert_eq!(world.claim(2, late), short);
    world.block -= 1;
    world.claim(2, in_time).unwrap();
    let unknown = Err(Refusal::UnknownWorker { worker: STRANGER });
    assert_eq!(
        world.call(STRANGER, ClaimJob { job: in_time }),
        Err(Refusal::WrongStage { found: Stage::Claimed, wanted: Stage::Requested })
    );
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
fn a_registration_wants_a_fresh_nonce_an_allowed_measurement_and_its_own_key() {
    let mut world = World::new();
    let good = world.registration(0, world.block + 100);
    let register = |world: &mut World, message: &RegisterWorker| {
        let mut world = world.clone();
        world.pay(WORKERS[0], Plancks(1), message.clone())
    };
    assert_eq!(register(&mut world, &good), Err(Refusal::NoNonce));
    world.call(WORKERS[0], BeginRegistration {}).unwrap();
    let good = world.registration(0, world.block + 100);
    assert_eq!(register(&mut world, &good), Ok(()));
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
    let measurement = measurement_of(OTHER_CODE);
    world.call(GOVERNOR, AllowMeasurement { measurement }).unwrap();
    world.call(WORKERS[0], BeginRegistration {}).unwrap();
    let message = world.registration_of(OTHER_CODE, 0, world.block + 100);
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
    assert_eq!(refused(&|params| params.registration_limit = Blocks(14_401)), Param::RegistrationLimit);
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
    world.govern(params);
    world.claim(0, old).unwrap();
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
            "1000000000000 plancks was sent, the escrow is 2500000000000 plancks",
        ),
        (
            Refusal::AllowanceTooSmall { found: Plancks(7), wanted: Plancks(9) },
            "the sponsor allows 7 plancks, the escrow is 9 plancks",
        ),
        (Refusal::WrongStage { found: Stage::Claimed, wanted: Stage::Requested }, "the job is Claimed, not Requested"),
        (
            Refusal::WrongSigner { found: None, wanted: Default::default() },
            "signed by nobody, the registered key is 0x0000000000000000000000000000000000000000",
        ),
    ];
    for (refusal, text) in words {
        assert_eq!(refusal.to_string(), text);
    }
}
