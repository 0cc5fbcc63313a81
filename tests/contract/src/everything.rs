//! One market in which everything happens.

use crate::world::{sponsors::SPONSOR, *};
use encompute_protocol::{
    ContractAddress, DisputeKind, ModelId, Plancks, Rating, RatingReason, SplitIndex, Stage, VersionId,
    call::{
        AddBond, AddStake, AnnounceParams, AskBond, AskStake, CancelJob, DeprecateVersion, PokeJob, PokeSession,
        PostBlob, RateJob, RefuseFeatures, RequestJob, RevokeMeasurement, RevokePlatform, RevokeVersion, SetCapacity,
        SetGovernor, SetPaused, TakeBond, TakeStake, WithdrawCredit, WithdrawParams,
    },
    dispute::PART_LIMIT_BYTES,
};

/// Calls every message that changes something, once at least with success.
pub fn everything(contract: ContractAddress) -> World {
    let mut world = World::at_contract(contract);
    let mut offered = world.request_message(VersionId(1), SplitIndex(0));
    offered.offer = Some(world.offer(1, USERS[1], &offered));
    world.send_request(USERS[1], offered).unwrap();
    for stage in STAGES {
        world.at_stage(stage);
    }
    world.allow(SPONSOR, USERS[0], Plancks(100_000)).unwrap();
    let paid_for = RequestJob { sponsor: Some(SPONSOR), ..world.request_message(VersionId(1), SplitIndex(0)) };
    let job = world.send_request(USERS[0], paid_for).unwrap();
    world.call(USERS[0], CancelJob { job }).unwrap();
    world.end(SPONSOR, USERS[0]).unwrap();
    world.call(SPONSOR, WithdrawCredit { to: None }).unwrap();
    world.allow(SPONSOR, USERS[1], Plancks(1)).unwrap();
    let refused = world.sent();
    world.call(CREATORS[0], RefuseFeatures { job: refused }).unwrap();
    let late = world.claimed();
    world.past_deadline(late);
    world.call(STRANGER, PokeJob { job: late }).unwrap();
    let stopped = world.committed();
    world.call(USERS[0], CancelJob { job: stopped }).unwrap();
    world.call(PAYOUTS[0], WithdrawCredit { to: None }).unwrap();
    world.call(CREATORS[0], WithdrawCredit { to: Some(STRANGER) }).unwrap();
    world.call(CREATORS[0], WithdrawCredit { to: None }).unwrap_err();
    world.call(USERS[0], WithdrawCredit { to: Some(STRANGER) }).unwrap();
    // Wrong heads cost it more than it came with.
    world.pay(WORKERS[0], Plancks(60_000), AddStake {}).unwrap();
    for verdict in disputes::VERDICTS {
        world.judged([verdict, disputes::RIGHT, verdict]);
        world.judged_by(DisputeKind::Witness, [verdict, disputes::RIGHT, verdict]);
    }
    for (from, verdict) in
        [Stage::HeadCommitted, Stage::FeaturesSent, Stage::ResultCommitted].into_iter().zip(disputes::VERDICTS)
    {
        world.audited_and_heard(from, [verdict, disputes::RIGHT, verdict]);
        world.audited_and_heard(from, [disputes::RIGHT, disputes::WRONG, disputes::WRONG_OTHERWISE]);
    }
    appeals(&mut world);
    let posted = world.disputed(DisputeKind::Missing);
    let message = world.posting(posted);
    world.call(WORKERS[0], PostBlob { job: posted, at: 0, part: vec![7; PART_LIMIT_BYTES], last: false }).unwrap();
    world.call(WORKERS[0], message).unwrap();
    let doubted = world.demanded(Stage::HeadCommitted);
    let message = world.quote_for(doubted);
    world.call(WORKERS[0], message).unwrap();
    let withheld = world.disputed(DisputeKind::Result);
    world.past_deadline(withheld);
    world.call(STRANGER, PokeJob { job: withheld }).unwrap();
    let session = world.opened(5);
    world.show(USERS[0], session, (1, 0, 1)).unwrap();
    world.show(WORKERS[0], session, (2, 1, 1)).unwrap();
    world.past_session(session);
    world.call(STRANGER, PokeSession { session }).unwrap();
    let full = world.opened(1_000);
    world.show(STRANGER, full, (1_000, 0, 0)).unwrap();
    let agreed = world.opened(5);
    world.agree(agreed, (2, 1, 0)).unwrap();
    let rated = world.settled();
    let rating = Rating { grade: 5, why: RatingReason::Answer };
    world.call(USERS[0], RateJob { job: rated, rating }).unwrap();
    let model = ModelId(2);
    world.past_keeping(rated);
    world.prune(STRANGER, rated).unwrap();
    world.prune(USERS[0], stopped).unwrap();
    world.pay(CREATORS[1], Plancks(77), AddBond { model }).unwrap();
    world.call(CREATORS[1], AskBond { model, amount: Plancks(50) }).unwrap();
    world.pay(WORKERS[2], Plancks(99), AddStake {}).unwrap();
    world.call(WORKERS[2], AskStake { amount: Plancks(60) }).unwrap();
    world.call(WORKERS[2], SetCapacity { capacity: 1 }).unwrap();
    world.block += params().unbonding.0;
    world.call(CREATORS[1], TakeBond { model }).unwrap();
    world.call(WORKERS[2], TakeStake {}).unwrap();
    world.register(2, Plancks(1)).unwrap();
    world.call(CREATORS[1], DeprecateVersion { version: VersionId(2) }).unwrap();
    world.call(GOVERNOR, RevokeVersion { version: VersionId(2) }).unwrap();
    world.call(GOVERNOR, RevokeMeasurement { measurement: MEASUREMENTS[1] }).unwrap();
    world.call(GOVERNOR, RevokePlatform { platform: PLATFORMS[1] }).unwrap();
    world.call(GOVERNOR, AnnounceParams { params: params() }).unwrap();
    world.call(GOVERNOR, WithdrawParams {}).unwrap();
    world.govern(params());
    world.call(GOVERNOR, SetPaused { paused: true }).unwrap();
    world.call(GOVERNOR, SetPaused { paused: false }).unwrap();
    world.call(GOVERNOR, SetGovernor { governor: STRANGER }).unwrap();
    world
}

/// Rulings of every kind of committee that a second one confirms, overturns, and says nothing about.
fn appeals(world: &mut World) {
    use disputes::{RIGHT, WRONG, WRONG_OTHERWISE};
    *world = world.clone().with_more();
    // Jobs that go on hold what it came with.
    world.pay(CREATORS[0], Plancks(60_000), AddBond { model: ModelId(1) }).unwrap();
    for kind in [DisputeKind::Head, DisputeKind::Witness, DisputeKind::Audit] {
        for verdicts in [[WRONG, RIGHT, WRONG], [RIGHT; 3], [RIGHT, WRONG, WRONG_OTHERWISE]] {
            let (job, _) = world.ruled(kind, Stage::FeaturesSent, [WRONG, RIGHT, WRONG]);
            world.appeal(job).unwrap();
            world.draw(job);
            world.say_all(job, verdicts);
        }
    }
}
