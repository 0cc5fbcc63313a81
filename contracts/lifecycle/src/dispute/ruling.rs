//! The money that a user stakes on a dispute: what it takes, and who has it in the end.

use crate::outcome::{Line, Party, Settlement, audit_wage};
use alloc::vec::Vec;
use encompute_protocol::{BasisPoints, DisputeKind, JobTerms, Plancks, Stage, dispute::COMMITTEE, event::Cause};

/// How a dispute ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It was right, or the other side said nothing.
    Upheld,
    /// It was without ground; of witnesses: they found what was committed.
    Rejected {
        /// How many of a committee were of this opinion; none where there is no committee.
        winners: u8,
    },
    /// An audit found the head wrong.
    Found {
        /// How many of its committee were of this opinion.
        winners: u8,
        /// What the job held of its worker's stake then, and slashed.
        stake: Plancks,
    },
    /// Nobody can say: too few workers to draw from, or too few of them agreed. The default, because nothing is
    /// shown: what was committed stands, and the deposit goes back.
    Unresolved,
}

impl Ruling {
    /// That of a committee of this kind that found a head wrong, while the job held `stake`.
    pub(crate) fn head_wrong(kind: DisputeKind, winners: u8, stake: Plancks) -> Self {
        match kind {
            DisputeKind::Audit => Self::Found { winners, stake },
            _ => Self::Upheld,
        }
    }
}

/// Part of what a user loses by a dispute without ground that goes to the other side.
const TO_OTHER_SIDE: BasisPoints = BasisPoints(5_000);

/// What is staked on a dispute: a head fee, and for a head another, which pays the committee; for witnesses and audits a
/// head fee each. Nothing where the chain itself knows. `None` on overflow, which a price rules out.
pub fn deposit(terms: &JobTerms, kind: DisputeKind) -> Option<Plancks> {
    match kind {
        DisputeKind::Head => terms.fees.head.checked_mul(2),
        DisputeKind::Missing | DisputeKind::Result | DisputeKind::Quote => Some(terms.fees.head),
        DisputeKind::Attestation => Some(Plancks::ZERO),
        DisputeKind::Witness | DisputeKind::Audit => terms.fees.head.checked_mul(COMMITTEE as u128),
    }
}

/// What who opens a dispute sends along: the deposit, or nothing where the treasury stakes it. `None` on overflow.
pub fn sent(terms: &JobTerms, kind: DisputeKind) -> Option<Plancks> {
    match kind {
        DisputeKind::Audit => Some(Plancks::ZERO),
        _ => deposit(terms, kind),
    }
}

/// Who must answer for what was committed when a dispute was opened at `from`.
pub fn other_side(from: Stage) -> Party {
    match from {
        Stage::ResultCommitted => Party::Creator,
        _ => Party::Worker,
    }
}

/// Who gets the deposit: who staked it, all of it, unless the dispute was without ground. Then a committee has a head fee,
/// the other side half of the rest, the treasury what is left. Witnesses have a head fee each for what they found to be
/// right, and the user what is left. Of an audit each who agreed has a head fee whatever they found, of a wrong head
/// only what the stake does not pay of it, and the treasury what is left. `None` on overflow.
pub fn deposit_lines(terms: &JobTerms, kind: DisputeKind, from: Stage, ruling: Ruling) -> Option<Vec<Line>> {
    let all = deposit(terms, kind)?;
    let mut settlement = Settlement::default();
    let stakes = match kind {
        DisputeKind::Audit => Party::Treasury,
        DisputeKind::Quote => Party::Challenger,
        _ => Party::User,
    };
    match ruling {
        Ruling::Upheld | Ruling::Unresolved => settlement.owe(stakes, all, Cause::Deposit),
        Ruling::Found { winners, stake } => {
            let left = terms.fees.head.checked_sub(audit_wage(terms, winners, stake)?)?;
            let paid = settlement.pay_committee(left.checked_mul(winners.into())?, winners, Cause::Deposit)?;
            settlement.owe(stakes, all.checked_sub(paid)?, Cause::Deposit);
        }
        Ruling::Rejected { winners } if matches!(kind, DisputeKind::Witness | DisputeKind::Audit) => {
            let fees = terms.fees.head.checked_mul(winners.into())?;
            let paid = settlement.pay_committee(fees, winners, Cause::Deposit)?;
            settlement.owe(stakes, all.checked_sub(paid)?, Cause::Deposit);
        }
        Ruling::Rejected { winners } => {
            let (paid, rest) = match kind {
                DisputeKind::Head => (
                    settlement.pay_committee(terms.fees.head, winners, Cause::Deposit)?,
                    all.checked_sub(terms.fees.head)?,
                ),
                _ => (Plancks::ZERO, all),
            };
            let other = rest.share_floor(TO_OTHER_SIDE)?;
            settlement.owe(other_side(from), other, Cause::Deposit);
            settlement.owe(Party::Treasury, all.checked_sub(paid)?.checked_sub(other)?, Cause::Deposit);
        }
    }
    Some(settlement.lines)
}
