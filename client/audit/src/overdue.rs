//! What a poke of an overdue job brings whom: for accounts that collect what nobody has settled.

use encompute_lifecycle::{Outcome, Settlement, outcome::Party};
use encompute_protocol::{Address, BlockNumber, JobProgress, JobTerms, Params, Plancks, Stage};

/// Accounts of a job's parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payees {
    /// Where the worker that holds or held it is paid; none without one.
    pub worker: Option<Address>,
    /// Whose model it runs.
    pub creator: Address,
    /// The protocol's.
    pub treasury: Address,
}

/// How one poke in `block` ends a job whose actor is late: a result that nobody has accepted settles. None for a job that is
/// not late, that would be offered again, or whose dispute has its own rules.
pub fn overdue(progress: &JobProgress, has_tail: bool, block: BlockNumber) -> Option<Outcome> {
    if block <= progress.deadline {
        return None;
    }
    match progress.stage {
        Stage::Requested => Some(Outcome::Refunded),
        Stage::Claimed => (progress.timeouts >= Params::RETRIES).then_some(Outcome::TimedOut),
        Stage::HeadCommitted if has_tail => Some(Outcome::Stopped),
        Stage::HeadCommitted | Stage::ResultCommitted => Some(Outcome::Settled),
        Stage::FeaturesSent => Some(Outcome::CreatorFailed),
        Stage::Disputed(_) | Stage::Settled | Stage::Failed | Stage::Cancelled => None,
    }
}

/// What of an outcome is `account`'s as one of the parties, whoever pokes. `None` only if an amount overflows.
pub fn owed_by(outcome: Outcome, terms: &JobTerms, payees: &Payees, account: Address) -> Option<Plancks> {
    let settlement = Settlement::of(terms, outcome)?;
    let parties = [
        (Party::User, Some(terms.user)),
        (Party::Payer, Some(terms.payer())),
        (Party::Worker, payees.worker),
        (Party::Creator, Some(payees.creator)),
        (Party::Treasury, Some(payees.treasury)),
    ];
    let own = parties.into_iter().filter(|(_, payee)| *payee == Some(account));
    own.map(|(party, _)| settlement.of_party(party)).try_fold(Plancks::ZERO, |sum, amount| sum.checked_add(amount?))
}
