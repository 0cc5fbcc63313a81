//! What a run costs, what it locks, and what parameters may be.

use crate::refusal::{Field, Param, Refusal};
use encompute_protocol::{
    Address, BasisPoints, Blocks, Fees, Params, Plancks, SplitRecord, StoragePrice, Windows,
    market::{LONGEST_REGISTRATION, LONGEST_WINDOW, SHORTEST_WINDOW},
};

/// Longest time from asking a stake or bond back to having it: no parameter may hold money longer.
pub const LONGEST_UNBONDING: Blocks = Blocks(20 * LONGEST_WINDOW.0);

/// Largest price parameter: 10¹⁸ UNIT, so that no quote of any split overflows.
pub const LARGEST_PRICE: Plancks = Plancks(1_000_000_000_000_000_000_000_000_000_000);

/// What one run costs and what it locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// The escrow, part by part.
    pub fees: Fees,
    /// Stake that a claim locks: the larger of twice the head fee and the floor.
    pub job_stake: Plancks,
    /// Bond that the job locks: the head fee and its margin, rounded up.
    pub job_bond: Plancks,
}

impl Price {
    /// The price of one run of `split` now.
    ///
    /// # Errors
    /// [`Refusal::AmountTooLarge`] where a later share of it could not be computed; so no transition
    /// of a job that was priced can fail for that.
    pub fn of(params: &Params, split: &SplitRecord, tip: Plancks) -> Result<Self, Refusal> {
        Self::compute(params, split, tip).ok_or(Refusal::AmountTooLarge)
    }

    fn compute(params: &Params, split: &SplitRecord, tip: Plancks) -> Option<Self> {
        let head = params.head_fee_base.checked_add(params.head_fee_per_unit.checked_mul(split.cost.0.into())?)?;
        let tail = split.tail_fee;
        let protocol = head.checked_add(tail)?.share_ceil(params.protocol_fee)?;
        let fees = Fees { head, tail, protocol, tip };
        let job_stake = head.checked_mul(2)?.max(params.job_stake_floor);
        let job_bond = head.checked_add(head.share_ceil(params.bond_margin)?)?;
        // Every later share is of one of these.
        fees.total()?.checked_mul(BasisPoints::ONE)?;
        job_stake.checked_mul(BasisPoints::ONE)?;
        Some(Self { fees, job_stake, job_bond })
    }
}

/// Parameters with the windows of a chain of 6-second blocks: a job's head has two minutes, its user
/// an hour, its creator half an hour. What the chain takes for storage is for whoever deploys to ask of it.
pub fn default_params(treasury: Address) -> Params {
    const MILLI_UNIT: u128 = 1_000_000_000;
    Params {
        treasury,
        protocol_fee: BasisPoints(250),
        stop_fee: BasisPoints(1_000),
        head_fee_base: Plancks(100 * MILLI_UNIT),
        head_fee_per_unit: Plancks(MILLI_UNIT),
        job_stake_floor: Plancks(1_000 * MILLI_UNIT),
        retry_slash: BasisPoints(500),
        fail_slash: BasisPoints(2_000),
        bond_margin: BasisPoints(5_000),
        worker_stake_floor: Plancks(10_000 * MILLI_UNIT),
        model_bond_floor: Plancks(10_000 * MILLI_UNIT),
        registration_limit: Blocks(14_400),
        unbonding: Blocks(43_200),
        notice: Blocks(600),
        windows: Windows {
            claim: Blocks(10),
            head: Blocks(20),
            challenge: Blocks(50),
            features: Blocks(600),
            creator: Blocks(300),
            accept: Blocks(600),
            dispute: Blocks(600),
        },
        storage: StoragePrice::default(),
        audit_share: BasisPoints(100),
    }
}

/// Windows that the disputes of one job take at most, each dispute once: draw, seal and reveal for its head, its ruling to
/// be appealed, and draw, seal and reveal once more; the same for its witnesses and its audit; a transcript, a result and
/// its opening to be posted; a quote to be shown.
const DISPUTE_WINDOWS: u64 = 25;
/// How often a job goes on after a dispute, each time for two blocks at least.
const RESUMED: u64 = 7;

/// The longest that a job with these windows lives, its disputes among it, in blocks.
pub fn longest_job(windows: &Windows) -> u64 {
    let tries = u64::from(Params::RETRIES) + 1;
    let head = u64::from(windows.features.0).max(windows.challenge.0.into());
    tries * (u64::from(windows.claim.0) + u64::from(windows.head.0))
        + head
        + u64::from(windows.creator.0)
        + u64::from(windows.accept.0)
        + DISPUTE_WINDOWS * u64::from(windows.dispute.0)
        + RESUMED * u64::from(SHORTEST_WINDOW.0)
}

/// Checks what a change of parameters may not set, although a market may begin with it: whoever comes to one that audits
/// every job knows.
///
/// # Errors
/// Those of [`check_params`], and [`Refusal::ParamOutOfBounds`] for audits above their cap.
pub fn check_change(params: &Params) -> Result<(), Refusal> {
    check_params(params)?;
    within(Param::AuditShare, params.audit_share.0.into(), 0, Params::AUDIT_SHARE_CAP.0.into())
}

fn within(param: Param, found: u128, lowest: u128, highest: u128) -> Result<(), Refusal> {
    if (lowest..=highest).contains(&found) {
        Ok(())
    } else {
        Err(Refusal::ParamOutOfBounds { param, found, lowest, highest })
    }
}

/// Checks parameters against their bounds.
///
/// # Errors
/// [`Refusal::Missing`] without a treasury, [`Refusal::ParamOutOfBounds`] and
/// [`Refusal::ShareTooLarge`] with the first parameter that is wrong.
pub fn check_params(params: &Params) -> Result<(), Refusal> {
    if params.treasury == Address::default() {
        return Err(Refusal::Missing { field: Field::Treasury });
    }
    let cap = Params::PROTOCOL_FEE_CAP.0;
    within(Param::ProtocolFee, params.protocol_fee.0.into(), 0, cap.into())?;
    for (param, found) in [
        (Param::StopFee, params.stop_fee),
        (Param::RetrySlash, params.retry_slash),
        (Param::FailSlash, params.fail_slash),
        (Param::BondMargin, params.bond_margin),
        (Param::AuditShare, params.audit_share),
    ] {
        if u128::from(found.0) > BasisPoints::ONE {
            return Err(Refusal::ShareTooLarge { param, found });
        }
    }
    // A head that a worker's own creator then fails would else cost them less than the protocol's fee, and scores with it.
    let (margin, fee) = (params.bond_margin.0.into(), params.protocol_fee.0.into());
    within(Param::BondMargin, margin, fee, BasisPoints::ONE)?;
    for (param, found) in [
        (Param::HeadFeeBase, params.head_fee_base),
        (Param::HeadFeePerUnit, params.head_fee_per_unit),
        (Param::JobStakeFloor, params.job_stake_floor),
        (Param::StorageItem, params.storage.item),
        (Param::StorageByte, params.storage.byte),
    ] {
        // A head fee of zero would make heads free to request and workers free to fail.
        within(param, found.0, u128::from(param == Param::HeadFeeBase), LARGEST_PRICE.0)?;
    }
    let windows = &params.windows;
    for (param, found) in [
        (Param::ClaimWindow, windows.claim),
        (Param::HeadWindow, windows.head),
        (Param::ChallengeWindow, windows.challenge),
        (Param::FeaturesWindow, windows.features),
        (Param::CreatorWindow, windows.creator),
        (Param::AcceptWindow, windows.accept),
        (Param::DisputeWindow, windows.dispute),
    ] {
        within(param, found.0.into(), SHORTEST_WINDOW.0.into(), LONGEST_WINDOW.0.into())?;
    }
    let longest = LONGEST_UNBONDING.0.into();
    // A registration must outlive one head, or nobody could claim, and a verdict, or nobody could be drawn.
    within(
        Param::RegistrationLimit,
        params.registration_limit.0.into(),
        u128::from(windows.head.0).max(2 * u128::from(windows.dispute.0)) + 2,
        LONGEST_REGISTRATION.0.into(),
    )?;
    // Longer than any job, so that nobody leaves under work that may still be judged.
    within(Param::Unbonding, params.unbonding.0.into(), u128::from(longest_job(windows)) + 1, longest)?;
    within(Param::Notice, params.notice.0.into(), 0, LONGEST_WINDOW.0.into())
}
