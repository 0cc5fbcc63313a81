//! The money that a user stakes on a dispute: what it takes, and who has it in the end.

use crate::outcome::{Line, Party, Settlement};
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
    /// Nobody can say: too few workers to draw from, or too few of them agreed. The default, because nothing is
    /// shown: what was committed stands, and the deposit goes back.
    Unresolved,
}

/// Part of what a user loses by a dispute without ground that goes to the other side.
const TO_OTHER_SIDE: BasisPoints = BasisPoints(5_000);

/// What a user stakes on a dispute: a head fee, and for a head another, which pays the committee; for witnesses a head
/// fee each. Nothing where the chain itself knows. `None` on overflow, which a price rules out.
pub fn deposit(terms: &JobTerms, kind: DisputeKind) -> Option<Plancks> {
    match kind {
        DisputeKind::Head => terms.fees.head.checked_mul(2),
        DisputeKind::Missing | DisputeKind::Result => Some(terms.fees.head),
        DisputeKind::Attestation => Some(Plancks::ZERO),
        DisputeKind::Witness => terms.fees.head.checked_mul(COMMITTEE as u128),
    }
}

/// Who must answer for what was committed when a dispute was opened at `from`.
pub fn other_side(from: Stage) -> Party {
    match from {
        Stage::ResultCommitted => Party::Creator,
        _ => Party::Worker,
    }
}

/// Who gets the deposit: the user, all of it, unless the dispute was without ground. Then a committee has a head fee,
/// the other side half of the rest, the treasury what is left. Witnesses have a head fee each for what they found to be
/// right, and the user what is left. `None` on overflow.
pub fn deposit_lines(terms: &JobTerms, kind: DisputeKind, from: Stage, ruling: Ruling) -> Option<Vec<Line>> {
    let all = deposit(terms, kind)?;
    let mut settlement = Settlement::default();
    match ruling {
        Ruling::Upheld | Ruling::Unresolved => settlement.owe(Party::User, all, Cause::Deposit),
        Ruling::Rejected { winners } if kind == DisputeKind::Witness => {
            let fees = terms.fees.head.checked_mul(winners.into())?;
            let paid = settlement.pay_committee(fees, winners, Cause::Deposit)?;
            settlement.owe(Party::User, all.checked_sub(paid)?, Cause::Deposit);
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
