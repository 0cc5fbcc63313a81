//! Everything that an audit of a session reads, gathered from chain, store and this home.

use super::Book;
use crate::gather::{GatherError, Said, said};
use encompute_audit::{SessionBundle, SessionProof};
use encompute_chain::{Block, Client};
use encompute_protocol::{
    BlockNumber, PrunedRecord, SessionId, SessionRecord, SessionStage, Transcript,
    call::{ReadModel, ReadParams, ReadPrunedJob, ReadSession, ReadWorker},
    event::Event,
    session::tree::path,
    wire::Message,
};
use encompute_store::{Blobs, ByteLimit, GatewayClient};
use std::{collections::BTreeSet, path::Path};

fn reading(doing: &'static str) -> impl Fn(encompute_chain::ReadError) -> GatherError {
    move |source| GatherError::Read { doing, source }
}

/// Everything about a session, and about the job of index `index` if one is named: of that the proof is in the home that
/// paid for it.
///
/// # Errors
/// [`GatherError`]; a receipt or transcript that is not there is missing in the bundle.
pub async fn gather_session(
    client: &Client,
    blobs: &GatewayClient,
    home: &Path,
    session: SessionId,
    index: Option<u32>,
) -> Result<SessionBundle, GatherError> {
    let head = client.head().await.map_err(reading("read the chain"))?;
    let (record, pruned) = record_of(client, session, head).await?;
    let last = if record.stage == SessionStage::Closed { record.changed_at } else { head.number };
    let Said { events, unread } = said(client, record.opened_at..=last).await.map_err(reading("read the events"))?;
    let opened = client.block(record.opened_at).await.map_err(reading("look a block up"))?;
    let params = client.read_at(ReadParams {}, opened.hash).await.map_err(reading("read the chain"))?;
    let treasuries: BTreeSet<_> = events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::ParamsChanged(changed) => Some(changed.params.treasury),
            _ => None,
        })
        .chain([params.treasury])
        .collect();
    let events = events.into_iter().filter(|(_, event)| {
        event.session() == Some(session)
            || matches!(event, Event::Credited(credited) if credited.job == session.first())
    });
    let worker = client.read_at(ReadWorker { worker: record.worker }, opened.hash).await;
    let worker = worker.map_err(reading("read the worker"))?;
    let (worker, _) = worker.ok_or_else(|| GatherError::NotFound("such worker".to_owned()))?;
    let model =
        client.read_at(ReadModel { model: record.model }, head.hash).await.map_err(reading("read the model"))?;
    let (model, _) = model.ok_or_else(|| GatherError::NotFound("such model".to_owned()))?;
    let job = match index {
        None => None,
        Some(index) => Some(proof(blobs, home, (session, &record), index).await?),
    };
    Ok(SessionBundle {
        genesis: client.genesis(),
        contract: client.contract().unwrap_or_default(),
        session,
        record,
        pruned,
        events: events.collect(),
        unread_events: unread,
        signing: worker.signing,
        payout: worker.payout,
        creator: model.creator,
        treasuries,
        job,
    })
}

/// A session's record, with what is left of it where it was removed: then as it stood in the block before that.
async fn record_of(
    client: &Client,
    session: SessionId,
    head: Block,
) -> Result<(SessionRecord, Option<PrunedRecord>), GatherError> {
    let read = async |block: Block| {
        let found = client.read_at(ReadSession { session }, block.hash).await.map_err(reading("read the session"))?;
        found.ok_or_else(|| GatherError::NotFound(format!("session {session}")))
    };
    let unknown = match read(head).await {
        Ok(record) => return Ok((record, None)),
        Err(error @ GatherError::NotFound(_)) => error,
        Err(error) => return Err(error),
    };
    let left = client.read_at(ReadPrunedJob { job: session.first() }, head.hash).await;
    let Some(left) = left.map_err(reading("read the session"))? else { return Err(unknown) };
    let before = BlockNumber(left.pruned_at.0.saturating_sub(1));
    let forgotten = |source| {
        let what = format!("session {session}");
        GatherError::Forgotten { what, pruned_at: left.pruned_at, source: Box::new(source) }
    };
    let before = client.block(before).await.map_err(reading("look a block up")).map_err(forgotten)?;
    Ok((read(before).await.map_err(forgotten)?, Some(left)))
}

async fn proof(
    blobs: &GatewayClient,
    home: &Path,
    (session, record): (SessionId, &SessionRecord),
    index: u32,
) -> Result<SessionProof, GatherError> {
    let none = |found: &str| GatherError::NotFound(format!("job {index} of session {session}: {found}"));
    let book = Book::open(home, &record.key).map_err(|error| none(&format!("this home has no book of it: {error}")))?;
    let mut leaves = book.leaves().map_err(|error| none(&error.to_string()))?;
    // The root on chain is over the jobs that were over when the last voucher was shown.
    leaves.truncate(usize::try_from(record.done).unwrap_or(usize::MAX));
    let leaf = leaves.get(usize::try_from(index).unwrap_or(usize::MAX)).copied();
    let leaf =
        leaf.ok_or_else(|| none(&format!("{} jobs are over by the vouchers that the chain has seen", record.done)))?;
    let path = path(&leaves, index).unwrap_or_default();
    let receipt = book.receipt(index);
    let limit = ByteLimit(Transcript::LIMIT_BYTES as u64);
    let transcript = match &receipt {
        Some(signed) => blobs.get(signed.receipt.output, limit).await.ok().map(|bytes| bytes.to_vec()),
        None => None,
    };
    Ok(SessionProof { index, leaf, path, receipt, transcript })
}
