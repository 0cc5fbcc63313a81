//! On which accounts the workers of a job were paid.

use crate::gather::{GatherError, hash_of, read_in};
use encompute_audit::Heard;
use encompute_chain::Client;
use encompute_protocol::{Address, BlockNumber, call::ReadWorker, event::Event};
use std::collections::BTreeSet;

/// The job's worker and those that judged its disputes, each with its payout as of every block in which the job's events
/// say that somebody was credited. As of the block before, too: one that registers anew in such a block may have been
/// paid before or after.
///
/// # Errors
/// [`GatherError::Read`], also where the node no longer keeps the state of such a block: then it keeps that of the request
/// no longer either, without which there is no audit.
pub(crate) async fn payouts(
    client: &Client,
    worker: Option<Address>,
    events: &[(BlockNumber, Event)],
) -> Result<BTreeSet<(Address, Address)>, GatherError> {
    let heard = Heard::all(events.iter().map(|(_, event)| event));
    let workers: BTreeSet<Address> = heard.into_iter().flat_map(|heard| heard.jurors).chain(worker).collect();
    let credits = events.iter().filter(|(_, event)| matches!(event, Event::Credited(_)));
    let blocks: BTreeSet<u32> = credits.flat_map(|(block, _)| [block.0.saturating_sub(1), block.0]).collect();
    let mut payouts = BTreeSet::new();
    for block in blocks {
        let hash = hash_of(client, BlockNumber(block)).await?;
        for &worker in &workers {
            let found = read_in(client, hash, ReadWorker { worker }).await?;
            payouts.extend(found.map(|(record, _)| (worker, record.payout)));
        }
    }
    Ok(payouts)
}
