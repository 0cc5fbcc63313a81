//! Parameters change with notice, for new jobs alone; a pause keeps nobody from leaving.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{ReadState, Refusal, View, refusal::Param};
use encompute_protocol::{
    BlockNumber, Blocks, Params, Plancks, SplitIndex, VersionId,
    call::{
        AnnounceParams, CancelJob, EnactParams, PokeJob, QuoteJob, ReadAnnouncedParams, SetGovernor, SetPaused,
        WithdrawParams,
    },
};
use world::*;

fn dearer() -> Params {
    Params { head_fee_base: Plancks(2_003), ..params() }
}

#[test]
fn announced_parameters_come_in_force_after_their_notice_and_by_anybodys_call() {
    let mut world = World::new();
    let valid_from = BlockNumber(world.block + params().notice.0);
    world.call(GOVERNOR, AnnounceParams { params: dearer() }).unwrap();
    let announced = ReadAnnouncedParams {}.view(&world.market).unwrap();
    assert_eq!((announced.params, announced.valid_from), (dearer(), valid_from));
    assert_eq!(world.market.params(), params(), "not before");
    world.block = valid_from.0 - 1;
    let early = Err(Refusal::NoticeRuns { valid_from, block: BlockNumber(world.block) });
    assert_eq!(world.call(GOVERNOR, EnactParams {}), early, "the governor waits like everybody");
    world.block += 1;
    world.call(STRANGER, EnactParams {}).unwrap();
    assert_eq!((world.market.params(), world.market.announced_params()), (dearer(), None));
    assert_eq!(world.call(STRANGER, EnactParams {}), Err(Refusal::NothingAnnounced));
}

#[test]
fn an_announcement_is_taken_back_or_replaced_and_its_notice_begins_anew() {
    let mut world = World::new();
    assert_eq!(world.call(GOVERNOR, WithdrawParams {}), Err(Refusal::NothingAnnounced));
    world.call(GOVERNOR, AnnounceParams { params: dearer() }).unwrap();
    world.call(GOVERNOR, WithdrawParams {}).unwrap();
    world.block += 10;
    assert_eq!(world.call(STRANGER, EnactParams {}), Err(Refusal::NothingAnnounced));
    world.call(GOVERNOR, AnnounceParams { params: dearer() }).unwrap();
    world.block += params().notice.0;
    let other = Params { head_fee_base: Plancks(3_001), ..params() };
    world.call(GOVERNOR, AnnounceParams { params: other }).unwrap();
    let refused = world.call(STRANGER, EnactParams {});
    assert!(matches!(refused, Err(Refusal::NoticeRuns { .. })), "{refused:?}");
    world.block += params().notice.0;
    world.call(STRANGER, EnactParams {}).unwrap();
    assert_eq!(world.market.params(), other);
}

#[test]
fn a_shorter_notice_is_announced_with_the_longer_one() {
    let mut world = World::new();
    let hasty = Params { notice: Blocks(0), ..params() };
    world.call(GOVERNOR, AnnounceParams { params: hasty }).unwrap();
    let refused = world.call(GOVERNOR, EnactParams {});
    assert!(matches!(refused, Err(Refusal::NoticeRuns { .. })), "{refused:?}");
}

#[test]
fn parameters_outside_their_bounds_are_refused_when_they_are_announced() {
    let mut world = World::new();
    let dear = Params { protocol_fee: encompute_protocol::BasisPoints(1_001), ..params() };
    let refused = world.call(GOVERNOR, AnnounceParams { params: dear });
    assert!(matches!(refused, Err(Refusal::ParamOutOfBounds { param: Param::ProtocolFee, .. })), "{refused:?}");
    assert_eq!(world.market.announced_params(), None);
}

#[test]
fn a_running_job_ends_by_the_parameters_of_its_request_and_the_next_one_by_the_new() {
    let mut world = World::new();
    let (old, fee) = (world.claimed(), HEAD);
    let harsh = Params { fail_slash: encompute_protocol::BasisPoints(10_000), ..dearer() };
    world.govern(Params { windows: encompute_protocol::Windows { head: Blocks(2), ..harsh.windows }, ..harsh });
    assert_eq!(world.terms(old).fees.head, Plancks(fee));
    let (fees, windows) = QuoteJob { version: VersionId(1), split: SplitIndex(0) }.view(&world.market).unwrap();
    assert_eq!((fees.head, windows.head), (Plancks(fee + 1_000), Blocks(2)));
    assert!(matches!(world.call(STRANGER, PokeJob { job: old }), Err(Refusal::NotYetLate { .. })));
    world.past_deadline(old);
    let stake = world.worker(0).stake.0;
    world.call(USERS[0], CancelJob { job: old }).unwrap();
    // 33.31 % of a stake of twice the old head fee, not all of it.
    assert_eq!(stake - world.worker(0).stake.0, 2 * fee * 3_331 / 10_000);
    let next = world.requested();
    assert_eq!(world.terms(next).fees.head, Plancks(fee + 1_000));
}

#[test]
fn a_paused_market_is_governed_and_its_parameters_still_change() {
    let mut world = World::new();
    world.call(GOVERNOR, SetPaused { paused: true }).unwrap();
    world.govern(dearer());
    world.call(GOVERNOR, SetGovernor { governor: STRANGER }).unwrap();
    assert_eq!(world.call(STRANGER, SetPaused { paused: false }), Ok(()));
    assert!(!world.market.paused());
}
