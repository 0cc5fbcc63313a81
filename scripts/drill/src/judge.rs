//! What became of a job and its money, from the contract's events alone.

use encompute_lifecycle::{
    Settlement,
    dispute::Heard,
    outcome::{Outcome as Row, Party},
};
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

/// Judges a job by its events: every stage change earns somebody what the refund table says, every dispute what its ruling
/// does, and exactly that must have been credited. What was sent along for removed records is held against its sum.
pub fn judge<'a>(
    job: JobId,
    terms: &JobTerms,
    parties: &Parties,
    events: impl IntoIterator<Item = &'a Event>,
) -> Judgement {
    let (mut wanted, mut found) = (Book::new(), Book::new());
    let mut last: Option<&JobStageChanged> = None;
    let events: Vec<&Event> = events.into_iter().filter(|event| event.job() == Some(job)).collect();
    let disputes = Heard::all(events.iter().copied());
    let winners = disputes.last().map(Heard::winners).unwrap_or_default();
    for event in events {
        match event {
            Event::JobStageChanged(change) => {
                last = Some(change);
                if let Some(row) = row_of(change, disputes.last()) {
                    let settlement = Settlement::of(terms, row).unwrap_or_default();
                    let worker = change.worker.unwrap_or_default();
                    owe(&mut wanted, terms, parties, &settlement, Actors { worker, by: change.by, winners: &winners });
                }
            }
            Event::Credited(credit) => {
                let account = if credit.cause == Cause::Storage { Address::default() } else { credit.account };
                *found.entry((account, credit.cause)).or_default() += credit.amount.0;
            }
            // For whom is not in the event, so all of it stands under nobody.
            Event::JobPruned(pruned) if !pruned.returned.is_zero() => {
                *wanted.entry((Address::default(), Cause::Storage)).or_default() += pruned.returned.0;
            }
            _ => {}
        }
    }
    let worker = last.and_then(|change| change.worker).unwrap_or_default();
    for heard in &disputes {
        let Some((_, by)) = heard.ended else { continue };
        let settlement = heard.settlement(terms).unwrap_or_default();
        owe(&mut wanted, terms, parties, &settlement, Actors { worker, by, winners: &heard.named() });
    }
    let keys: BTreeSet<_> = wanted.keys().chain(found.keys()).copied().collect();
    let of = |book: &Book, key| book.get(key).copied().unwrap_or(0);
    let lost = keys.iter().map(|key| of(&wanted, key).saturating_sub(of(&found, key))).sum();
    let double_payments = keys.iter().filter(|key| of(&found, key) > of(&wanted, key)).count() as u32;
    let (outcome, reason) = match last.map(|change| (change.to, change.reason)) {
        Some((Stage::Settled, _)) => (Outcome::Settled, None),
        Some((Stage::Failed | Stage::Cancelled, reason)) => (Outcome::Refunded, reason),
        _ => (Outcome::Stuck, None),
    };
    Judgement { outcome, reason, lost: Plancks(lost), double_payments }
}

/// The row of the refund table that a stage change means; none where no money moves.
fn row_of(change: &JobStageChanged, dispute: Option<&Heard>) -> Option<Row> {
    use Reason::{
        BlobMissing, CreatorRefused, CreatorTimeout, HeadMismatch, MeasurementRevoked, NoWorker, PlatformRevoked,
        QuoteMissing, ResultMismatch, ResultWithheld, UserNoShow, VersionRevoked, WorkerTimeout,
    };
    match (change.to, change.reason) {
        (Stage::Settled, _) => Some(Row::Settled),
        (Stage::Requested, Some(WorkerTimeout)) => Some(Row::Retried),
        (Stage::Failed, Some(WorkerTimeout | BlobMissing)) => Some(Row::TimedOut),
        (Stage::Failed, Some(NoWorker | VersionRevoked | MeasurementRevoked | PlatformRevoked)) => Some(Row::Refunded),
        (Stage::Failed, Some(HeadMismatch)) => dispute.map(Heard::head_wrong),
        (Stage::Failed, Some(QuoteMissing)) => dispute.map(|heard| Row::QuoteMissing { stake: heard.stake }),
        (Stage::Failed, Some(ResultMismatch)) => Some(Row::TailRefunded),
        (Stage::Failed, Some(UserNoShow)) => Some(Row::Stopped),
        (Stage::Failed, Some(CreatorTimeout | CreatorRefused | ResultWithheld)) => Some(Row::CreatorFailed),
        (Stage::Cancelled, _) if change.from == Some(Stage::Requested) => Some(Row::Refunded),
        (Stage::Cancelled, _) => Some(Row::Stopped),
        _ => None,
    }
}

/// Who was there when money moved.
#[derive(Clone, Copy)]
struct Actors<'a> {
    worker: Address,
    by: Address,
    /// Of a committee, those of most's opinion.
    winners: &'a [Address],
}

fn owe(book: &mut Book, terms: &JobTerms, parties: &Parties, settlement: &Settlement, actors: Actors<'_>) {
    for line in &settlement.lines {
        let account = match line.party {
            Party::User => terms.user,
            Party::Payer => terms.payer(),
            // Workers of the drill are paid on the account that they work with.
            Party::Worker => actors.worker,
            Party::Creator => parties.creator,
            Party::Treasury => parties.treasury,
            Party::Poker => actors.by,
            Party::Challenger => actors.winners.first().copied().unwrap_or_default(),
            Party::Juror(at) => actors.winners.get(usize::from(at)).copied().unwrap_or_default(),
        };
        *book.entry((account, line.cause)).or_default() += line.amount.0;
    }
}
