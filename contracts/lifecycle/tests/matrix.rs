//! Invariant 16: every message, by everybody, at every stage: allowed or refused as the tables here say.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{Command, ReadState};
use encompute_protocol::{
    Address, BasisPoints, DisputeKind, JobId, MeasurementId, ModelId, Plancks, PlatformId, PolicyId, Rating,
    RatingReason, SplitIndex, Stage, Text, VersionId, call::*,
};
use std::collections::BTreeSet;
use world::*;

const EVERYBODY: [Address; 9] =
    [GOVERNOR, TREASURY, USERS[0], USERS[1], CREATORS[0], CREATORS[1], WORKERS[0], WORKERS[1], STRANGER];

/// Every message about a job, as an honest caller would send it now.
fn about(world: &mut World, job: JobId) -> Vec<Command> {
    let commit = world.commitment(0, job);
    let (features, result) = (world.digest(), world.digest());
    let open = |kind| OpenDispute { job, kind, evidence: None }.into();
    vec![
        ClaimJob { job }.into(),
        commit.into(),
        SendFeatures { job, policy: PolicyId(1), features }.into(),
        CommitResult { job, result }.into(),
        AcceptResult { job }.into(),
        CancelJob { job }.into(),
        RefuseFeatures { job }.into(),
        PokeJob { job }.into(),
        open(DisputeKind::Head),
        open(DisputeKind::Missing),
        open(DisputeKind::Result),
        open(DisputeKind::Attestation),
        open(DisputeKind::Witness),
        open(DisputeKind::Audit),
        world.seal_message(1, job, disputes::RIGHT).into(),
        RevealVerdict { job, verdict: disputes::RIGHT, salt: disputes::SALT }.into(),
        AppealRuling { job }.into(),
        world.posting(job).into(),
        world.quote_for(job).into(),
        RateJob { job, rating: Rating { grade: 3, why: RatingReason::General } }.into(),
        PruneJob { job }.into(),
    ]
}

/// Who of everybody may send which of them.
fn allowed(world: &mut World, job: JobId) -> Vec<(&'static str, Address)> {
    let mut allowed = Vec::new();
    for command in about(world, job) {
        for caller in EVERYBODY {
            let value = match &command {
                Command::OpenDispute(message) => world.to_send(job, message.kind),
                Command::AppealRuling(_) => world.appeal_deposit(job),
                Command::PruneJob(_) => world.owed_for_pruning(caller, job).unwrap(),
                _ => Plancks::ZERO,
            };
            let at = world.at(caller, value);
            if world.market.clone().execute_command(&at, &command).is_ok() {
                allowed.push((command.name(), caller));
            }
        }
    }
    allowed
}

/// Who may do what about a job of the first user, stage by stage.
fn who_acts(beginning: &World) -> Vec<(Stage, &'static str, Address)> {
    let mut found = Vec::new();
    for stage in STAGES {
        let mut world = beginning.clone();
        let job = world.at_stage(stage);
        if let Some(draw) = world.turns(job) {
            // Whose turn it is before that is in `draws.rs`.
            world.block = draw.open_from.0;
        }
        found.extend(allowed(&mut world, job).into_iter().map(|(name, caller)| (stage, name, caller)));
    }
    found
}

#[test]
fn invariant_16_no_one_but_the_stages_actor_does_anything_at_any_stage() {
    let found = who_acts(&World::new());
    // On time; what pokes do when somebody is late is in `stages.rs`, what a committee does in `disputes.rs`.
    assert_eq!(
        found,
        [
            (Stage::Requested, "claim_job", WORKERS[0]),
            (Stage::Requested, "claim_job", WORKERS[1]),
            (Stage::Requested, "cancel_job", USERS[0]),
            (Stage::Claimed, "commit_head", WORKERS[0]),
            (Stage::HeadCommitted, "send_features", USERS[0]),
            (Stage::HeadCommitted, "cancel_job", USERS[0]),
            (Stage::HeadCommitted, "open_dispute", USERS[0]),
            (Stage::HeadCommitted, "open_dispute", USERS[0]),
            (Stage::HeadCommitted, "open_dispute", USERS[0]),
            (Stage::FeaturesSent, "commit_result", CREATORS[0]),
            (Stage::FeaturesSent, "refuse_features", CREATORS[0]),
            (Stage::ResultCommitted, "accept_result", USERS[0]),
            (Stage::ResultCommitted, "open_dispute", USERS[0]),
            (Stage::ResultCommitted, "open_dispute", USERS[0]),
            (Stage::Settled, "rate_job", USERS[0]),
            (Stage::Disputed(DisputeKind::Missing), "post_blob", WORKERS[0]),
            (Stage::Disputed(DisputeKind::Result), "post_blob", CREATORS[0]),
            (Stage::Disputed(DisputeKind::Quote), "show_quote", WORKERS[0]),
        ]
    );
}

#[test]
fn invariant_16_a_sponsor_does_nothing_about_the_job_that_it_pays_for() {
    let unsponsored = who_acts(&World::new());
    for sponsor in [GOVERNOR, TREASURY, USERS[1], STRANGER] {
        assert_eq!(who_acts(&World::new().with_sponsor(sponsor)), unsponsored, "{sponsor}");
    }
}

#[test]
fn invariant_16_once_it_is_known_that_a_job_was_drawn_anybody_opens_its_audit_at_any_stage_after_its_head() {
    for stage in [Stage::HeadCommitted, Stage::FeaturesSent, Stage::ResultCommitted] {
        let mut world = World::new();
        let job = world.drawn_at(stage);
        let open = OpenDispute { job, kind: DisputeKind::Audit, evidence: None };
        let may = |caller: &Address| {
            let at = world.at(*caller, Plancks::ZERO);
            world.market.clone().execute(&at, &open).is_ok()
        };
        assert_eq!(EVERYBODY.into_iter().filter(may).collect::<Vec<_>>(), EVERYBODY, "{stage:?}");
    }
}

#[test]
fn invariant_16_between_the_head_and_the_features_anybody_who_stakes_the_deposit_demands_a_quote() {
    for stage in STAGES {
        // Where no job is audited a demand waits for nothing; one that is being audited is disputed.
        let is_audited = stage == Stage::Disputed(DisputeKind::Audit);
        let mut world = if is_audited { World::new() } else { World::auditing(BasisPoints(0)) };
        let job = world.at_stage(stage);
        let (value, kind) = (world.to_send(job, DisputeKind::Quote), DisputeKind::Quote);
        let demand = OpenDispute { job, kind, evidence: Some(demands::UNGUESSED) };
        let may = |caller: &Address| world.market.clone().execute(&world.at(*caller, value), &demand).is_ok();
        let wanted: &[Address] = match stage {
            Stage::HeadCommitted => &EVERYBODY,
            _ => &[],
        };
        assert_eq!(EVERYBODY.into_iter().filter(may).collect::<Vec<_>>(), wanted, "{stage:?}");
    }
}

#[test]
fn invariant_16_while_a_ruling_waits_the_jobs_worker_appeals_and_nobody_does_anything_else() {
    for kind in [DisputeKind::Head, DisputeKind::Witness, DisputeKind::Audit] {
        let mut world = World::new();
        let (job, _) = world.ruled(kind, Stage::HeadCommitted, [disputes::WRONG; 3]);
        assert_eq!(allowed(&mut world, job), [("appeal_ruling", WORKERS[0])], "{kind:?}");
        world.past_deadline(job);
        let pokes: Vec<_> = EVERYBODY.into_iter().map(|caller| ("poke_job", caller)).collect();
        assert_eq!(allowed(&mut world, job), pokes, "{kind:?}");
    }
}

#[test]
fn invariant_16_long_after_its_end_anybody_prunes_a_job_and_only_its_user_rates_it() {
    for stage in [Stage::Settled, Stage::Failed, Stage::Cancelled] {
        let mut world = World::new();
        let job = world.at_stage(stage);
        world.past_keeping(job);
        let mut wanted: Vec<_> = EVERYBODY.into_iter().map(|caller| ("prune_job", caller)).collect();
        if stage == Stage::Settled {
            wanted.insert(0, ("rate_job", USERS[0]));
        }
        assert_eq!(allowed(&mut world, job), wanted, "{stage:?}");
    }
}

/// A market in which each message outside of jobs could do something: a draft, deposits that may be taken, a nonce, an
/// announcement whose notice is over, credits.
fn ready() -> (World, Vec<(Plancks, Command)>) {
    let mut world = World::new();
    world.settled();
    // A session whose deadline is over, and one that runs.
    world.call(CREATORS[0], TakeSessions { version: VersionId(1), jobs: 9 }).unwrap();
    let message = world.session_message(2, USERS[0], 2);
    let late = world.pay(USERS[0], world.session_escrow(2), message).unwrap();
    let (model, amount) = (ModelId(1), Plancks(10));
    let draft = world.publish(CREATORS[0], model).unwrap();
    world.call(CREATORS[0], AskBond { model, amount }).unwrap();
    world.call(WORKERS[0], AskStake { amount }).unwrap();
    world.block += params().unbonding.0;
    world.call(GOVERNOR, AnnounceParams { params: params() }).unwrap();
    world.block += params().notice.0;
    world.call(WORKERS[0], BeginRegistration {}).unwrap();
    world.register(1, Plancks::ZERO).unwrap();
    let message = world.session_message(1, USERS[1], 3);
    let session = world.pay(USERS[1], world.session_escrow(3), message).unwrap();
    let registration = world.registration(0, world.block + 1_000);
    world.allow(CREATORS[1], USERS[1], Plancks(1_000_000)).unwrap();
    let sponsored = RequestJob { sponsor: Some(CREATORS[1]), ..world.request_message(VersionId(1), SplitIndex(0)) };
    let request = world.request_message(VersionId(1), SplitIndex(0));
    let escrow = world.escrow(request.version, request.split, request.tip).unwrap();
    let name = Text::new("another").unwrap();
    let splits = vec![SplitOffer {
        mode: encompute_protocol::Mode::Linear,
        head: encompute_protocol::HeadDigest([1; 32]),
        tail: encompute_protocol::TailDigest([2; 32]),
        cost: encompute_protocol::CostUnits(1),
        tail_fee: Plancks(1),
        policies: 1,
    }];
    let manifest = encompute_protocol::VersionHash([3; 32]);
    let (measurement, platform) = (MeasurementId([0x77; 32]), PlatformId([0x78; 32]));
    let version = VersionId(1);
    let none = Plancks::ZERO;
    let commands = vec![
        (escrow, request.into()),
        (none, sponsored.into()),
        (amount, SponsorUser { user: USERS[1] }.into()),
        (none, EndSponsoring { user: USERS[1] }.into()),
        (none, WithdrawCredit { to: None }.into()),
        (Plancks(5_003), ListModel { name }.into()),
        (none, PublishVersion { model, manifest, splits }.into()),
        (none, ActivateVersion { version: draft }.into()),
        (none, DeprecateVersion { version }.into()),
        (none, RevokeVersion { version }.into()),
        (amount, AddBond { model }.into()),
        (none, AskBond { model, amount }.into()),
        (none, TakeBond { model }.into()),
        (none, BeginRegistration {}.into()),
        (none, registration.into()),
        (amount, AddStake {}.into()),
        (none, AskStake { amount }.into()),
        (none, TakeStake {}.into()),
        (none, SetCapacity { capacity: 3 }.into()),
        (none, CertifyKey { key: MACHINES[0].parts.clone() }.into()),
        (none, AllowMeasurement { measurement }.into()),
        (none, RevokeMeasurement { measurement: MEASUREMENTS[0] }.into()),
        (none, AllowPlatform { platform }.into()),
        (none, RevokePlatform { platform: PLATFORMS[0] }.into()),
        (none, AnnounceParams { params: params() }.into()),
        (none, WithdrawParams {}.into()),
        (none, EnactParams {}.into()),
        (none, TakeSessions { version, jobs: 9 }.into()),
        (world.session_escrow(2), world.session_message(1, USERS[0], 2).into()),
        (
            none,
            CloseSession { signed: world.voucher(session, &sessions::leaves(session, 1, 0, 0)), agreed: None }.into(),
        ),
        (none, PokeSession { session: late }.into()),
        (none, SetPaused { paused: true }.into()),
        (none, SetGovernor { governor: STRANGER }.into()),
    ];
    (world, commands)
}

#[test]
fn invariant_16_outside_of_jobs_everybody_does_what_is_theirs() {
    let (world, commands) = ready();
    let governor = vec![GOVERNOR];
    let creator = vec![CREATORS[0]];
    let wanted: Vec<(&str, Vec<Address>)> = vec![
        ("request_job", EVERYBODY.to_vec()),
        // What a sponsor allows one user is no other's.
        ("request_job", vec![USERS[1]]),
        ("sponsor_user", EVERYBODY.into_iter().filter(|who| *who != USERS[1]).collect()),
        ("end_sponsoring", vec![CREATORS[1]]),
        ("withdraw_credit", vec![TREASURY, CREATORS[0]]),
        ("list_model", EVERYBODY.to_vec()),
        ("publish_version", creator.clone()),
        ("activate_version", creator.clone()),
        ("deprecate_version", creator.clone()),
        ("revoke_version", vec![GOVERNOR, CREATORS[0]]),
        ("add_bond", EVERYBODY.to_vec()),
        ("ask_bond", creator.clone()),
        ("take_bond", creator),
        ("begin_registration", EVERYBODY.to_vec()),
        ("register_worker", vec![WORKERS[0]]),
        ("add_stake", vec![WORKERS[0], WORKERS[1]]),
        ("ask_stake", vec![WORKERS[0], WORKERS[1]]),
        ("take_stake", vec![WORKERS[0]]),
        ("set_capacity", vec![WORKERS[0], WORKERS[1]]),
        ("certify_key", EVERYBODY.to_vec()),
        ("allow_measurement", governor.clone()),
        ("revoke_measurement", governor.clone()),
        ("allow_platform", governor.clone()),
        ("revoke_platform", governor.clone()),
        ("announce_params", governor.clone()),
        ("withdraw_params", governor.clone()),
        ("enact_params", EVERYBODY.to_vec()),
        ("take_sessions", vec![CREATORS[0]]),
        // A worker's promise is to one user; a voucher is its bearer's.
        ("open_session", vec![USERS[0]]),
        ("close_session", EVERYBODY.to_vec()),
        ("poke_session", EVERYBODY.to_vec()),
        ("set_paused", governor.clone()),
        ("set_governor", governor),
    ];
    let found: Vec<_> = commands
        .iter()
        .map(|(value, command)| {
            let may = |caller: &Address| {
                let at = world.at(*caller, *value);
                world.market.clone().execute_command(&at, command).is_ok()
            };
            (command.name(), EVERYBODY.into_iter().filter(may).collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn every_message_that_changes_something_is_in_a_table() {
    let mut world = World::new();
    let job = world.requested();
    let of_jobs: Vec<_> = about(&mut world, job).iter().map(Command::name).collect();
    let (_, commands) = ready();
    let named: BTreeSet<&str> = of_jobs.into_iter().chain(commands.iter().map(|(_, command)| command.name())).collect();
    let all: BTreeSet<&str> =
        MESSAGES.iter().filter(|(_, selector, _)| selector.0[3] < 0x80).map(|(name, ..)| *name).collect();
    assert_eq!(named, all);
    assert!(world.market.counts().jobs > 0);
}
