//! The money of every outcome: one pure table for the contract, the auditor and the README.
//!
//! Parties get floors; the treasury gets what rounding leaves. Every line is exact to the planck.

use alloc::vec::Vec;
use encompute_protocol::{BasisPoints, DisputeKind, JobTerms, Plancks, event::Cause};

/// How a job ends, or goes back to be claimed again, as far as money goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everybody did their part: worker, creator and treasury are paid.
    Settled,
    /// It ended before a head, by nobody's fault: everything back. (`NoWorker`, `VersionRevoked`,
    /// `MeasurementRevoked`, `PlatformRevoked`, cancelled while requested.)
    Refunded,
    /// The worker was late and the job is offered again: a small slash, the escrow stays.
    Retried,
    /// The worker was late for the last time: everything back and a slash.
    TimedOut,
    /// The user stopped after the head, by word or by silence.
    Stopped,
    /// The creator was late or refused, or withheld its result: the worker is paid, who paid is made whole from the
    /// bond.
    CreatorFailed,
    /// Most of a committee found the head wrong: everything back, and all of the job's stake, of which the `winners` of
    /// the committee have a head fee.
    HeadWrong {
        /// How many of the committee were of this opinion.
        winners: u8,
    },
    /// Most of the witnesses found the head wrong: everything back, and all of the job's stake, of which each of the
    /// `winners` has a head fee as for a right head, as far as the stake goes.
    WitnessedWrong {
        /// How many of the witnesses were of this opinion.
        winners: u8,
    },
    /// An audit found the head wrong: everything back, and what the job holds of the worker's stake, half of it the user's;
    /// each of the `winners` has up to a head fee of the other half, and the rest of it from the treasury's deposit.
    AuditedWrong {
        /// How many of the committee were of this opinion.
        winners: u8,
        /// What the job holds: all of its stake, or as much as there was after it had been released.
        stake: Plancks,
    },
    /// The worker showed no quote that was demanded: everything back and a slash as of [`Outcome::TimedOut`], as far as
    /// the stake goes.
    QuoteMissing {
        /// What the job holds: all of its stake.
        stake: Plancks,
    },
    /// The creator did not answer for a result that opens to nothing: no tail fee, and no slash.
    TailRefunded,
}

impl Outcome {
    /// How a job ends whose head a committee of this kind found wrong, while the job held `stake`.
    pub(crate) fn head_wrong(kind: DisputeKind, winners: u8, stake: Plancks) -> Self {
        match kind {
            DisputeKind::Audit => Self::AuditedWrong { winners, stake },
            DisputeKind::Witness => Self::WitnessedWrong { winners },
            _ => Self::HeadWrong { winners },
        }
    }
}

/// Who is credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// Who bought the job: to it a part of what is slashed, for it was wronged, and what it staked on a dispute.
    User,
    /// Who paid the escrow: the user's sponsor, or else the user. To it what comes back of the escrow, and of a bond what
    /// makes it whole for a head fee: the money that is gone was its own. What a fault costs beyond that is not.
    Payer,
    /// The payout account of the worker that holds or held it.
    Worker,
    /// The model's creator.
    Creator,
    /// The treasury.
    Treasury,
    /// Who made the call that ended it.
    Poker,
    /// One of a committee that was of most's opinion, by its place among them.
    Juror(u8),
    /// Who demanded a quote.
    Challenger,
}

/// One credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who is owed.
    pub party: Party,
    /// How much; never zero.
    pub amount: Plancks,
    /// What for. [`Cause::Slash`] is paid from stake or bond, [`Cause::Deposit`] from what was staked on a dispute,
    /// everything else from the escrow.
    pub cause: Cause,
}

/// The money of one outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// Credits, in the order of their events.
    pub lines: Vec<Line>,
    /// Taken from the stake that the job holds.
    pub stake_slashed: Plancks,
    /// Taken from the bond that the job holds.
    pub bond_slashed: Plancks,
}

/// Part of a slashed stake that goes to the wronged user.
pub const SLASH_TO_USER: BasisPoints = BasisPoints(5_000);
/// Part of a slashed stake that goes to who made the call; what is left is the treasury's.
pub const SLASH_TO_POKER: BasisPoints = BasisPoints(2_000);

/// What each of an audit's `winners` has of the worker's stake: an equal part of the half that is not the user's, a head
/// fee at most. `None` without any.
pub(crate) fn audit_wage(terms: &JobTerms, winners: u8, stake: Plancks) -> Option<Plancks> {
    let half = stake.checked_sub(stake.share_floor(SLASH_TO_USER)?)?;
    Some(Plancks(half.0.checked_div(winners.into())?).min(terms.fees.head))
}

impl Settlement {
    /// Who gets what when a job with these terms has this outcome. `None` only if an amount
    /// overflows, which [`crate::price::Price::of`] rules out for every job that was ever requested.
    pub fn of(terms: &JobTerms, outcome: Outcome) -> Option<Self> {
        let fees = &terms.fees;
        let mut settlement = Self::default();
        match outcome {
            Outcome::Settled => {
                settlement.owe(Party::Worker, fees.head, Cause::HeadFee);
                settlement.owe(Party::Worker, fees.tip, Cause::Tip);
                settlement.owe(Party::Creator, fees.tail, Cause::TailFee);
                settlement.owe(Party::Treasury, fees.protocol, Cause::ProtocolFee);
            }
            Outcome::Refunded => settlement.owe(Party::Payer, fees.total()?, Cause::Refund),
            Outcome::Retried => settlement.slash_stake(terms.job_stake.share_floor(terms.retry_slash)?)?,
            Outcome::TimedOut => {
                settlement.owe(Party::Payer, fees.total()?, Cause::Refund);
                settlement.slash_stake(terms.job_stake.share_floor(terms.fail_slash)?)?;
            }
            Outcome::Stopped => {
                let stop = fees.tail.share_floor(terms.stop_fee)?;
                let paid = fees.head.checked_add(stop)?;
                // Rounded up on less than was quoted, so never more than was quoted.
                let protocol = paid.share_ceil(terms.protocol_fee)?;
                let kept = paid.checked_add(protocol)?;
                settlement.owe(Party::Worker, fees.head, Cause::HeadFee);
                settlement.owe(Party::Creator, stop, Cause::StopFee);
                settlement.owe(Party::Treasury, protocol, Cause::ProtocolFee);
                settlement.owe(Party::Payer, fees.total()?.checked_sub(kept)?, Cause::Refund);
            }
            Outcome::CreatorFailed => {
                settlement.owe(Party::Worker, fees.head, Cause::HeadFee);
                settlement.owe(Party::Payer, fees.total()?.checked_sub(fees.head)?, Cause::Refund);
                settlement.owe(Party::Payer, fees.head, Cause::Slash);
                settlement.owe(Party::Treasury, terms.job_bond.checked_sub(fees.head)?, Cause::Slash);
                settlement.bond_slashed = terms.job_bond;
            }
            Outcome::HeadWrong { winners } => {
                settlement.owe(Party::Payer, fees.total()?, Cause::Refund);
                // The stake is twice the head fee at least: a half for the user leaves a head fee for the committee.
                let user = terms.job_stake.share_floor(SLASH_TO_USER)?;
                settlement.owe(Party::User, user, Cause::Slash);
                let paid = settlement.pay_committee(fees.head, winners, Cause::Slash)?;
                settlement.owe(Party::Treasury, terms.job_stake.checked_sub(user)?.checked_sub(paid)?, Cause::Slash);
                settlement.stake_slashed = terms.job_stake;
            }
            Outcome::WitnessedWrong { winners } => {
                settlement.owe(Party::Payer, fees.total()?, Cause::Refund);
                let stake = terms.job_stake;
                let wages = fees.head.checked_mul(winners.into())?.min(stake);
                let paid = settlement.pay_committee(wages, winners, Cause::Slash)?;
                let rest = stake.checked_sub(paid)?;
                let user = stake.share_floor(SLASH_TO_USER)?.min(rest);
                settlement.owe(Party::User, user, Cause::Slash);
                settlement.owe(Party::Treasury, rest.checked_sub(user)?, Cause::Slash);
                settlement.stake_slashed = stake;
            }
            Outcome::AuditedWrong { winners, stake } => {
                settlement.owe(Party::Payer, fees.total()?, Cause::Refund);
                let user = stake.share_floor(SLASH_TO_USER)?;
                settlement.owe(Party::User, user, Cause::Slash);
                let wages = audit_wage(terms, winners, stake)?.checked_mul(winners.into())?;
                let paid = settlement.pay_committee(wages, winners, Cause::Slash)?;
                settlement.owe(Party::Treasury, stake.checked_sub(user)?.checked_sub(paid)?, Cause::Slash);
                settlement.stake_slashed = stake;
            }
            Outcome::QuoteMissing { stake } => {
                settlement.owe(Party::Payer, fees.total()?, Cause::Refund);
                settlement.slash_stake(terms.job_stake.share_floor(terms.fail_slash)?.min(stake))?;
            }
            Outcome::TailRefunded => {
                let protocol = fees.head.share_ceil(terms.protocol_fee)?;
                let kept = fees.head.checked_add(protocol)?;
                settlement.owe(Party::Worker, fees.head, Cause::HeadFee);
                settlement.owe(Party::Treasury, protocol, Cause::ProtocolFee);
                settlement.owe(Party::Payer, fees.total()?.checked_sub(kept)?, Cause::Refund);
            }
        }
        Some(settlement)
    }

    /// What becomes of a member of a committee that said nothing or what most did not: a share of the job's stake that
    /// is locked of its own, to the user who waits, to who made the call, and to the treasury.
    pub fn of_juror(terms: &JobTerms, share: BasisPoints) -> Option<Self> {
        let mut settlement = Self::default();
        settlement.slash_stake(terms.job_stake.share_floor(share)?)?;
        Some(settlement)
    }

    /// One `fee` for all of a committee's `winners`, in equal parts, rounded down. Gives what it comes to.
    pub(crate) fn pay_committee(&mut self, fee: Plancks, winners: u8, cause: Cause) -> Option<Plancks> {
        let each = Plancks(fee.0.checked_div(winners.into())?);
        (0..winners).for_each(|at| self.owe(Party::Juror(at), each, cause));
        each.checked_mul(winners.into())
    }

    /// What leaves the escrow: the sum of every line that is neither of a slash nor of a deposit. `None` on overflow.
    pub fn from_escrow(&self) -> Option<Plancks> {
        self.sum(|line| !matches!(line.cause, Cause::Slash | Cause::Deposit))
    }

    /// What `party` gets in all. `None` on overflow.
    pub fn of_party(&self, party: Party) -> Option<Plancks> {
        self.sum(|line| line.party == party)
    }

    fn sum(&self, wanted: impl Fn(&Line) -> bool) -> Option<Plancks> {
        self.lines.iter().filter(|line| wanted(line)).try_fold(Plancks::ZERO, |sum, line| sum.checked_add(line.amount))
    }

    pub(crate) fn owe(&mut self, party: Party, amount: Plancks, cause: Cause) {
        if !amount.is_zero() {
            self.lines.push(Line { party, amount, cause });
        }
    }

    fn slash_stake(&mut self, amount: Plancks) -> Option<()> {
        let user = amount.share_floor(SLASH_TO_USER)?;
        let poker = amount.share_floor(SLASH_TO_POKER)?;
        self.owe(Party::User, user, Cause::Slash);
        self.owe(Party::Poker, poker, Cause::Slash);
        self.owe(Party::Treasury, amount.checked_sub(user)?.checked_sub(poker)?, Cause::Slash);
        self.stake_slashed = amount;
        Some(())
    }
}
