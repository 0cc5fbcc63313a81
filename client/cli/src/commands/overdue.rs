//! Jobs that nobody has settled although their window is over: found for whom they owe something.

use crate::{
    commands::market,
    failure::{Failure, Outcome, exit_of_chain},
};
use encompute_audit::{Payees, overdue, owed_by};
use encompute_chain::{Account, Act, Client, Entry, SubmitError, Submitted};
use encompute_protocol::{
    Address, BlockNumber, JobId, Params, Plancks,
    call::{PokeJob, ReadCounts, ReadJob, ReadModel, ReadParams, ReadSplit, ReadWorker, WithdrawCredit},
};
use futures::{StreamExt, TryStreamExt};

/// Jobs that are settled in one transaction. A poke takes up to 560 KB of a block's proof, and a withdrawal behind it is
/// given a mebibyte, of 7.5 MiB.
pub const BATCHED: usize = 10;
/// Reads under way at once.
const READS: usize = 16;

/// What has come out of the contract.
#[derive(Default)]
pub struct Taken {
    /// Jobs that these transactions settled; others may have been faster with some.
    pub settled: Vec<JobId>,
    /// To whoever it was for.
    pub amount: Plancks,
    /// What all transactions cost.
    pub fee: Plancks,
    /// The block of the last one.
    pub block: BlockNumber,
    /// Transactions sent.
    pub transactions: usize,
}

impl Taken {
    fn add(&mut self, fee: Plancks, block: BlockNumber) {
        self.fee = self.fee.checked_add(fee).unwrap_or(self.fee);
        self.block = block;
        self.transactions += 1;
    }
}

/// Of the newest `jobs` those that are overdue and owe `account` something once they are poked, the oldest first.
///
/// # Errors
/// When the chain cannot be read.
pub async fn owing(client: &Client, account: Address, jobs: u64) -> Outcome<Vec<JobId>> {
    let head = client.head().await;
    let now = head.map_err(|error| Failure::of(exit_of_chain(error.class()), "read the chain", &error))?.number;
    let params = market::read(client, ReadParams {}).await?;
    let newest = market::read(client, ReadCounts {}).await?.jobs;
    let ids = (newest.saturating_sub(jobs) + 1..=newest).map(JobId);
    let found: Vec<Option<JobId>> = futures::stream::iter(ids)
        .map(|job| owes(client, job, account, now, &params))
        .buffered(READS)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

async fn owes(
    client: &Client,
    job: JobId,
    account: Address,
    now: BlockNumber,
    params: &Params,
) -> Outcome<Option<JobId>> {
    let Some((terms, progress)) = market::read(client, ReadJob { job }).await? else { return Ok(None) };
    // Most are over or on time, and nothing more is read of them.
    if overdue(&progress, true, now).is_none() {
        return Ok(None);
    }
    let split = market::read(client, ReadSplit { version: terms.version, split: terms.split }).await?;
    let has_tail = split.is_none_or(|split| !split.tail.is_zero());
    let Some(outcome) = overdue(&progress, has_tail, now) else { return Ok(None) };
    let worker = match progress.worker {
        Some(worker) => market::read(client, ReadWorker { worker }).await?.map(|(record, _)| record.payout),
        None => None,
    };
    let Some((model, _)) = market::read(client, ReadModel { model: terms.model }).await? else { return Ok(None) };
    let payees = Payees { worker, creator: model.creator, treasury: params.treasury };
    let owed = owed_by(outcome, &terms, &payees, account);
    Ok(owed.filter(|owed| !owed.is_zero()).map(|_| job))
}

/// Settles jobs and withdraws, in as few transactions as blocks have room for: the withdrawal is in the last of them.
///
/// # Errors
/// When a transaction is refused: nothing of it has happened then, and those before it have.
pub async fn settle_and_withdraw(account: &Account, jobs: &[JobId], to: Option<Address>) -> Outcome<Taken> {
    let failed =
        |error: SubmitError| Failure::of(exit_of_chain(error.class()), "settle overdue jobs and withdraw", &error);
    let withdraw = WithdrawCredit { to };
    let mut taken = Taken::default();
    let batches = jobs.chunks(BATCHED);
    let last = batches.len().saturating_sub(1);
    let mut withdrawn = None;
    for (index, batch) in batches.enumerate() {
        let behind = (index == last).then_some(&withdraw);
        let Some((settled, sent)) = settle(account, batch, behind).await.map_err(failed)? else { continue };
        taken.add(sent.fee, sent.block.number);
        taken.settled.extend(settled);
        withdrawn = withdraw.outcome(account.address(), &sent.events);
    }
    taken.amount = match withdrawn {
        Some(amount) => amount,
        // Others settled all of the last ones: what they owed is there.
        None => {
            let sent = account.submit(withdraw, Plancks::ZERO).await.map_err(failed)?;
            taken.add(sent.fee, sent.block.number);
            sent.answer
        }
    };
    Ok(taken)
}

/// One transaction: those of a batch that nobody has settled yet, and the withdrawal behind them. If somebody else is
/// faster with one, all of it fails; then it is made again without that one. Nothing when none is left.
async fn settle(
    account: &Account,
    batch: &[JobId],
    withdraw: Option<&WithdrawCredit>,
) -> Result<Option<(Vec<JobId>, Submitted<()>)>, SubmitError> {
    let mut tries_left = batch.len();
    loop {
        let (mut settled, mut entries) = (Vec::new(), Vec::new());
        for job in batch {
            match Entry::call(account, &PokeJob { job: *job }, Plancks::ZERO).await {
                Ok(entry) => {
                    entries.push(entry);
                    settled.push(*job);
                }
                Err(error) if error.refusal().is_some() => {}
                Err(error) => return Err(error),
            }
        }
        if settled.is_empty() {
            return Ok(None);
        }
        if let Some(withdraw) = withdraw {
            // There may be nothing to withdraw before the jobs are settled, so it cannot be tried now.
            entries.push(Entry::following(account, withdraw, Plancks::ZERO, Plancks::ZERO)?);
        }
        match account.batch(entries).await {
            Err(SubmitError::Overtaken { .. }) if tries_left > 0 => tries_left -= 1,
            sent => return sent.map(|sent| Some((settled, sent))),
        }
    }
}
