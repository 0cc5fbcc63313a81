//! What became of a job and its money, from the contract's events alone.

use encompute_lifecycle::{Settlement, outcome::Outcome as Row, outcome::Party};
use encompute_protocol::{
    Address, JobId, JobTerms, Plancks, Reason, Stage,
    event::{Cause, Event, JobStageChanged},
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everybody was paid, the user has the result.
    Settled,
    /// It ended otherwise, by the refund table.
    Refunded,
    /// It did not end.
    Stuck,
}

/// Who is who in a market with one creator.
#[derive(Clone, Copy, Debug)]
pub struct Parties {
    /// Is paid for tails.
    pub creator: Address,
    /// Receives fees and the rest of slashes.
    pub treasury: Address,
}

/// What became of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// How it ended.
    pub outcome: Outcome,
    /// Why, where it did not settle.
    pub reason: Option<Reason>,
    /// Plancks that somebody should have been credited and was not.
    pub lost: Plancks,
    /// Credits above what the table gives.
    pub double_payments: u32,
}

/// Credited to whom, for what.
type Book = BTreeMap<(Address, Cause), u128>;

/// Judges a job by its events: every stage change earns somebody what the refund table says, and exactly
/// that must have been credited.
pub fn judge<'a>(
    job: JobId,
    terms: &JobTerms,
    parties: &Parties,
    events: impl IntoIterator<Item = &'a Event>,
) -> Judgement {
    let (mut wanted, mut found) = (Book::new(), Book::new());
    let mut last: Option<(Stage, Option<Reason>)> = None;
    for event in events {
        match event {
            Event::JobStageChanged(change) if change.job == job => {
                last = Some((change.to, change.reason));
                if let Some(row) = row_of(change) {
                    owe(&mut wanted, terms, parties, change, row);
                }
            }
            Event::Credited(credit) if credit.job == job => {
                *found.entry((credit.account, credit.cause)).or_default() += credit.amount.0;
            }
            _ => {}
        }
    }
    let keys: BTreeSet<_> = wanted.keys().chain(found.keys()).copied().collect();
    let of = |book: &Book, key| book.get(key).copied().unwrap_or(0);
    let lost = keys.iter().map(|key| of(&wanted, key).saturating_sub(of(&found, key))).sum();
    let double_payments = keys.iter().filter(|key| of(&found, key) > of(&wanted, key)).count() as u32;
    let (outcome, reason) = match last {
        Some((Stage::Settled, _)) => (Outcome::Settled, None),
        Some((Stage::Failed | Stage::Cancelled, reason)) => (Outcome::Refunded, reason),
        _ => (Outcome::Stuck, None),
    };
    Judgement { outcome, reason, lost: Plancks(lost), double_payments }
}

/// The row of the refund table that a stage change means; none where no money moves.
fn row_of(change: &JobStageChanged) -> Option<Row> {
    use Reason::{
        CreatorRefused, CreatorTimeout, MeasurementRevoked, NoWorker, PlatformRevoked, UserNoShow, VersionRevoked,
        WorkerTimeout,
    };
    match (change.to, change.reason) {
        (Stage::Settled, _) => Some(Row::Settled),
        (Stage::Requested, Some(WorkerTimeout)) => Some(Row::Retried),
        (Stage::Failed, Some(WorkerTimeout)) => Some(Row::TimedOut),
        (Stage::Failed, Some(NoWorker | VersionRevoked | MeasurementRevoked | PlatformRevoked)) => Some(Row::Refunded),
        (Stage::Failed, Some(UserNoShow)) => Some(Row::Stopped),
        (Stage::Failed, Some(CreatorTimeout | CreatorRefused)) => Some(Row::CreatorFailed),
        (Stage::Cancelled, _) if change.from == Some(Stage::Requested) => Some(Row::Refunded),
        (Stage::Cancelled, _) => Some(Row::Stopped),
        _ => None,
    }
}

fn owe(book: &mut Book, terms: &JobTerms, parties: &Parties, change: &JobStageChanged, row: Row) {
    for line in Settlement::of(terms, row).unwrap_or_default().lines {
        let account = match line.party {
            Party::User => terms.user,
            // Workers of the drill are paid on the account that they work with.
            Party::Worker => change.worker.unwrap_or_default(),
            Party::Creator => parties.creator,
            Party::Treasury => parties.treasury,
            Party::Poker => change.by,
            // Nobody of the drill disputes anything.
            Party::Juror(_) => continue,
        };
        *book.entry((account, line.cause)).or_default() += line.amount.0;
    }
}
