//! Everything that an audit of a job reads, gathered from chain and store.

use crate::payouts::payouts;
use encompute_attest::UnixSeconds;
use encompute_audit::{Counted, Heard, JobBundle, Own, ReadAt, VersionBundle, WorkerBundle, drawing_block, shown_in};
use encompute_chain::{Block, BlockEvents, BlockHash, Client, Fact, ReadError};
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, JobId, JobProgress, JobTerms, Params, PrunedRecord, SplitIndex, Transcript,
    VersionId, VersionManifest,
    call::{
        ReadJob, ReadMeasurement, ReadModel, ReadParams, ReadPlatform, ReadPrunedJob, ReadSplit, ReadVersion,
        ReadWorker,
    },
    event::Event,
    wire::Message,
};
use encompute_store::{Blobs, ByteLimit, GatewayClient, GetError};
use futures::future::try_join_all;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

/// Most bytes of one blob that an audit fetches.
const BLOB_LIMIT_BYTES: u64 = 48 * 1024 * 1024;
/// Most bytes of all of them: a worker's transcript may name a thousand responses. They come last, and
/// the report says which were not compared.
const JOB_LIMIT_BYTES: u64 = 256 * 1024 * 1024;

/// Why a job cannot be audited: nothing is said about it then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatherError {
    /// The chain could not be read.
    #[error("{doing}")]
    Read {
        /// What was asked for.
        doing: &'static str,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// The chain does not know it.
    #[error("there is no {0}")]
    NotFound(String),
    /// Its records were removed, and this node does not keep the state in which they were.
    #[error("{what} was pruned in block {pruned_at}, and this node keeps no state of the block before")]
    Forgotten {
        /// A job or a session, by its number.
        what: String,
        /// When they were removed.
        pruned_at: BlockNumber,
        /// Why the state cannot be read.
        #[source]
        source: Box<GatherError>,
    },
    /// The store could not be read; a blob that it does not have is none.
    #[error("fetch the job's blobs")]
    Fetch(#[source] GetError),
}

fn reading(doing: &'static str) -> impl Fn(ReadError) -> GatherError {
    move |source| GatherError::Read { doing, source }
}

/// What the contract said in a range of blocks.
pub struct Said {
    /// Events in order, each with its block.
    pub events: Vec<(BlockNumber, Event)>,
    /// How many more there are that this program cannot read.
    pub unread: u32,
}

/// What the contract said in a range of blocks.
///
/// # Errors
/// [`ReadError`].
pub async fn said(client: &Client, blocks: RangeInclusive<BlockNumber>) -> Result<Said, ReadError> {
    let blocks = client.events_in(blocks).await?;
    let unread = blocks.iter().map(|block| block.unread).sum();
    let of_block = |block: BlockEvents| {
        let number = block.block.number;
        block.events.into_iter().map(move |emitted| (number, emitted.event))
    };
    Ok(Said { events: blocks.into_iter().flat_map(of_block).collect(), unread })
}

/// What the contract said in the blocks in which a job's stage changed, the last of them first known: `known` is what an
/// earlier call gave, and is gone on from.
///
/// The contract keeps the block of a job's last change; in the state before that block stands the change before it. So
/// one fact is read for each change, however many blocks lie between two. Of a node that forgot such a state every block
/// since is read.
///
/// # Errors
/// [`ReadError`].
pub async fn history(
    client: &Client,
    job: JobId,
    (terms, progress): (&JobTerms, &JobProgress),
    known: &[(BlockNumber, Event)],
) -> Result<Vec<(BlockNumber, Event)>, ReadError> {
    let seen = known.last().map(|(block, _)| *block);
    let (mut changes, mut changed) = (Vec::new(), progress.changed_at);
    while Some(changed) != seen {
        changes.push(changed);
        if changed <= terms.requested_at {
            break;
        }
        let before = client.block(BlockNumber(changed.0.saturating_sub(1))).await?;
        match client.read_at(ReadJob { job }, before.hash).await {
            Ok(Some((_, progress))) if progress.changed_at < changed => changed = progress.changed_at,
            _ => {
                let every = said(client, terms.requested_at..=progress.changed_at).await?.events;
                return Ok(of_job(job, every));
            }
        }
    }
    let blocks = changes.iter().rev().map(|block| said(client, *block..=*block));
    let mut events = known.to_vec();
    events.extend(try_join_all(blocks).await?.into_iter().flat_map(|said| said.events));
    Ok(of_job(job, events))
}

fn of_job(job: JobId, events: Vec<(BlockNumber, Event)>) -> Vec<(BlockNumber, Event)> {
    events.into_iter().filter(|(_, event)| event.job() == Some(job)).collect()
}

/// Parameters over the life of a job.
struct ParamsThen {
    /// Those that priced it.
    params: Params,
    /// True where they changed in the block of the request, before or after it.
    unsure: bool,
    /// Every treasury from then to its end.
    treasuries: BTreeSet<Address>,
}

async fn params_then(
    client: &Client,
    requested_at: BlockNumber,
    events: &[(BlockNumber, Event)],
) -> Result<ParamsThen, GatherError> {
    let params = read_in(client, hash_of(client, requested_at).await?, ReadParams {}).await?;
    let changes = events.iter().filter_map(|(block, event)| match event {
        Event::ParamsChanged(changed) => Some((*block, changed.params.treasury)),
        _ => None,
    });
    let unsure = changes.clone().any(|(block, _)| block == requested_at);
    let treasuries = changes.map(|(_, treasury)| treasury).chain([params.treasury]).collect();
    Ok(ParamsThen { params, unsure, treasuries })
}

pub(crate) async fn hash_of(client: &Client, block: BlockNumber) -> Result<BlockHash, GatherError> {
    client.block(block).await.map(|block| block.hash).map_err(reading("look a block up"))
}

/// What the contract answered at a block.
pub(crate) async fn read_in<C: Fact>(client: &Client, block: BlockHash, call: C) -> Result<C::Answer, GatherError> {
    client.read_at(call, block).await.map_err(reading("read the chain"))
}

/// Everything about a job, with the blobs that its gateway has.
///
/// # Errors
/// [`GatherError`]; blobs that are not there, or not whole, are no error here, but missing in the bundle.
pub async fn gather(client: &Client, blobs: &GatewayClient, job: JobId) -> Result<JobBundle, GatherError> {
    // Facts and events up to one block: a job that runs goes on meanwhile.
    let head = client.head().await.map_err(reading("read the chain"))?;
    let mut bundle = match facts(client, job, head).await {
        Err(GatherError::NotFound(what)) => match read_in(client, head.hash, ReadPrunedJob { job }).await? {
            Some(record) => before_pruning(client, job, record).await?,
            None => return Err(GatherError::NotFound(what)),
        },
        found => found?,
    };
    fetch(&mut bundle, blobs).await?;
    Ok(bundle)
}

/// What the chain said about a job in the last block in which it had its records.
async fn before_pruning(client: &Client, job: JobId, record: PrunedRecord) -> Result<JobBundle, GatherError> {
    let pruned_at = record.pruned_at;
    let forgotten = |source| GatherError::Forgotten { what: format!("job {job}"), pruned_at, source: Box::new(source) };
    // The first block has no contract in it, so no job is pruned there.
    let before = block_of(client, BlockNumber(pruned_at.0.saturating_sub(1))).await?;
    let bundle = facts(client, job, before).await.map_err(forgotten)?;
    Ok(JobBundle { pruned: Some(record), ..bundle })
}

/// What the auditor's own node says of a job in a file: everything as of the file's block, or what is left of a job that
/// was pruned since, where the node keeps no state of that block.
///
/// # Errors
/// [`GatherError`].
pub async fn own_of(client: &Client, bundle: &JobBundle) -> Result<Own, GatherError> {
    let job = bundle.job;
    let block = block_of(client, bundle.read_at.block).await?;
    match facts(client, job, block).await {
        Ok(own) => Ok(Own::Facts(own)),
        Err(error) => {
            let head = client.head().await.map_err(reading("read the chain"))?;
            let record = read_in(client, head.hash, ReadPrunedJob { job }).await?;
            record.map(Own::Digest).ok_or(error)
        }
    }
}

/// The hash that says whether a job is audited, as of the block after it; none before that, and of a node that does not keep
/// the block's state.
async fn drawing_hash(client: &Client, progress: &JobProgress, head: Block) -> Option<[u8; 32]> {
    let decides = drawing_block(progress)?;
    let after = BlockNumber(decides.0.checked_add(1)?);
    if after > head.number {
        return None;
    }
    let after = hash_of(client, after).await.ok()?;
    client.contract_hash_of(decides, after).await.ok().flatten()
}

/// What the chain says about a job as of a block; no blobs.
///
/// # Errors
/// [`GatherError`]; [`GatherError::Read`], too, where the node no longer keeps the block's state.
async fn facts(client: &Client, job: JobId, head: Block) -> Result<JobBundle, GatherError> {
    let missing = |what: &str| GatherError::NotFound(what.to_owned());
    let found = read_in(client, head.hash, ReadJob { job }).await?;
    let (terms, progress) = found.ok_or_else(|| missing(&format!("job {job}")))?;
    let version = read_in(client, head.hash, ReadVersion { version: terms.version }).await?;
    let version = version.ok_or_else(|| missing("such version"))?;
    let split = read_in(client, head.hash, ReadSplit { version: terms.version, split: terms.split }).await?;
    let split = split.ok_or_else(|| missing("such split"))?;
    let model = read_in(client, head.hash, ReadModel { model: terms.model }).await?;
    let (model, _) = model.ok_or_else(|| missing("such model"))?;
    // Nothing happens to a job after its end, so an old one is audited as fast as a new one.
    let last = if progress.stage.is_terminal() { progress.changed_at } else { head.number };
    let Said { events, unread } = said(client, terms.requested_at..=last).await.map_err(reading("read the events"))?;
    let ParamsThen { params, unsure, treasuries } = params_then(client, terms.requested_at, &events).await?;
    let events = of_job(job, events);
    let (worker, measurement, platform) = match progress.worker {
        None => (None, None, None),
        Some(account) => {
            let claimed = hash_of(client, progress.claimed_at).await?;
            let found = read_in(client, claimed, ReadWorker { worker: account }).await?;
            let (record, _) = found.ok_or_else(|| missing("such worker"))?;
            let measurement = ReadMeasurement { measurement: record.measurement };
            let measurement = read_in(client, head.hash, measurement).await?;
            let platform = read_in(client, head.hash, ReadPlatform { platform: record.platform }).await?;
            (Some((account, record)), measurement, platform)
        }
    };
    let payouts = payouts(client, progress.worker, &events).await?;
    let counted_at = time_of(client, Counted::of(&events).map(|counted| counted.block)).await?;
    let quoted_at = time_of(client, shown_in(&events)).await?;
    let drawing_hash = drawing_hash(client, &progress, head).await;
    Ok(JobBundle {
        read_at: ReadAt { block: head.number, hash: head.hash.0 },
        genesis: client.genesis(),
        contract: client.contract().unwrap_or_default(),
        job,
        terms,
        progress,
        events,
        version,
        split,
        creator: model.creator,
        params,
        params_unsure: unsure,
        treasuries,
        worker,
        measurement,
        platform,
        payouts,
        counted_at,
        quoted_at,
        drawing_hash,
        unread_events: unread,
        pruned: None,
        blobs: BTreeMap::new(),
    })
}

/// The time of a block, by the chain's own clock; none of no block.
async fn time_of(client: &Client, block: Option<BlockNumber>) -> Result<Option<UnixSeconds>, GatherError> {
    let Some(block) = block else { return Ok(None) };
    let time = client.time_of(hash_of(client, block).await?).await;
    Ok(Some(time.map_err(reading("read the time of a block"))?.into()))
}

/// A block of the auditor's own node.
///
/// # Errors
/// [`GatherError::Read`].
async fn block_of(client: &Client, number: BlockNumber) -> Result<Block, GatherError> {
    client.block(number).await.map_err(reading("look a block up"))
}

/// Everything about a worker's registration as of now.
///
/// # Errors
/// [`GatherError`]; evidence that is not there is missing in the bundle.
pub async fn gather_worker(
    client: &Client,
    blobs: &GatewayClient,
    account: Address,
) -> Result<WorkerBundle, GatherError> {
    let head = client.head().await.map_err(reading("read the chain"))?;
    let found = read_in(client, head.hash, ReadWorker { worker: account }).await?;
    let (record, _) = found.ok_or_else(|| GatherError::NotFound(format!("worker {account}")))?;
    let measurement = read_in(client, head.hash, ReadMeasurement { measurement: record.measurement }).await?;
    let platform = read_in(client, head.hash, ReadPlatform { platform: record.platform }).await?;
    let time = client.time_of(head.hash).await.map_err(reading("read the time of a block"))?;
    Ok(WorkerBundle {
        genesis: client.genesis(),
        contract: client.contract().unwrap_or_default(),
        account,
        record,
        measurement,
        platform,
        at: head.number,
        time: time.into(),
        evidence: whole(blobs, record.evidence, ByteLimit(BLOB_LIMIT_BYTES)).await?,
    })
}

/// Everything about a version as of now.
///
/// # Errors
/// [`GatherError`]; a manifest that is not there is missing in the bundle.
pub async fn gather_version(
    client: &Client,
    blobs: &GatewayClient,
    version: VersionId,
) -> Result<VersionBundle, GatherError> {
    let head = client.head().await.map_err(reading("read the chain"))?;
    let record = read_in(client, head.hash, ReadVersion { version }).await?;
    let record = record.ok_or_else(|| GatherError::NotFound(format!("version {version}")))?;
    let model = read_in(client, head.hash, ReadModel { model: record.model }).await?;
    let (model, name) = model.ok_or_else(|| GatherError::NotFound("such model".to_owned()))?;
    let mut splits = Vec::new();
    for split in 0..record.splits {
        splits.push(read_in(client, head.hash, ReadSplit { version, split: SplitIndex(split) }).await?);
    }
    let manifest = whole(blobs, BlobDigest(record.manifest.0), ByteLimit(BLOB_LIMIT_BYTES)).await?;
    let told = manifest.as_ref().and_then(|bytes| VersionManifest::from_wire(bytes).ok()?.disclosure);
    let (report, attack) = match told {
        None => (None, None),
        Some(told) => {
            let attack = match told.attack {
                Some(attack) => whole(blobs, attack.digest(), ByteLimit(attack.bytes().into())).await?,
                None => None,
            };
            (whole(blobs, told.report.digest(), ByteLimit(told.report.bytes().into())).await?, attack)
        }
    };
    Ok(VersionBundle {
        version,
        record,
        splits,
        creator: model.creator,
        name: name.as_str().to_owned(),
        params: read_in(client, head.hash, ReadParams {}).await?,
        manifest,
        report,
        attack,
    })
}

/// Fetches the requests of a job's later rounds into its bundle: what a rerun takes, and nothing else. The first round's
/// is in the job's own request.
///
/// # Errors
/// [`GatherError::Fetch`]; a request that is not there stays missing.
pub async fn gather_requests(bundle: &mut JobBundle, blobs: &GatewayClient) -> Result<(), GatherError> {
    let transcript = bundle.progress.output.and_then(|output| bundle.blobs.get(&output));
    let Some(Ok(transcript)) = transcript.map(|bytes| Transcript::from_wire(bytes)) else { return Ok(()) };
    let mut left = JOB_LIMIT_BYTES;
    for (receipt, _) in transcript.rounds.iter().skip(1) {
        if bundle.blobs.contains_key(&receipt.request) {
            continue;
        }
        let limit = ByteLimit(left.min(BLOB_LIMIT_BYTES));
        let Some(bytes) = whole(blobs, receipt.request, limit).await? else { continue };
        left = left.saturating_sub(bytes.len() as u64);
        bundle.blobs.insert(receipt.request, bytes);
    }
    Ok(())
}

/// Fetches what the bundle names; what is not there stays missing, and the report says so.
async fn fetch(bundle: &mut JobBundle, blobs: &GatewayClient) -> Result<(), GatherError> {
    let mut wanted = vec![BlobDigest(bundle.version.manifest.0), bundle.terms.input];
    wanted.extend(bundle.worker.iter().map(|(_, record)| record.evidence));
    let heard = Heard::all(bundle.events.iter().map(|(_, event)| event));
    wanted.extend(heard.iter().filter_map(|heard| heard.quote).map(|(_, evidence)| evidence));
    wanted.extend([bundle.progress.output, bundle.progress.features, bundle.progress.result].into_iter().flatten());
    let (mut next, mut left) = (0, JOB_LIMIT_BYTES);
    while let Some(digest) = wanted.get(next).copied() {
        next += 1;
        if bundle.blobs.contains_key(&digest) {
            continue;
        }
        let Some(bytes) = whole(blobs, digest, ByteLimit(left.min(BLOB_LIMIT_BYTES))).await? else { continue };
        left = left.saturating_sub(bytes.len() as u64);
        // Responses are named by the transcript alone.
        if Some(digest) == bundle.progress.output
            && let Ok(transcript) = Transcript::from_wire(&bytes)
        {
            wanted.extend(transcript.rounds.iter().map(|(receipt, _)| receipt.response));
        }
        bundle.blobs.insert(digest, bytes);
    }
    Ok(())
}

/// A blob; none where the gateway has none that is whole.
async fn whole(blobs: &GatewayClient, digest: BlobDigest, limit: ByteLimit) -> Result<Option<Vec<u8>>, GatherError> {
    let mut got = blobs.get(digest, limit).await;
    // A gateway that finds its copy damaged breaks off, of a short one before the answer's head has left, and throws the
    // copy out: asked again, it says that it has none. One that is away is as far away the second time.
    if matches!(got, Err(GetError::Truncated { .. } | GetError::Unreachable { .. })) {
        got = blobs.get(digest, limit).await;
    }
    match got {
        Ok(bytes) => Ok(Some(bytes.to_vec())),
        Err(
            GetError::NotFound { .. }
            | GetError::Damaged { .. }
            | GetError::TooLarge { .. }
            | GetError::Truncated { .. },
        ) => Ok(None),
        Err(error) => Err(GatherError::Fetch(error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use encompute_store::{BlobStore, GatewayLimits};
    use std::fs;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        sync::oneshot,
    };

    const LIMIT: ByteLimit = ByteLimit(1_000);

    async fn listen() -> (TcpListener, GatewayClient) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (listener, GatewayClient::new(&url).unwrap())
    }

    #[tokio::test]
    async fn a_blob_that_lies_damaged_is_none_and_a_gateway_that_is_away_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (listener, blobs) = listen().await;
        let (stop, stopped) = oneshot::channel::<()>();
        let store = BlobStore::in_folder(folder.path()).unwrap();
        let stopped = async move { drop(stopped.await) };
        let served = tokio::spawn(encompute_store::serve(listener, store, GatewayLimits::default(), stopped));
        let digest = blobs.put(vec![6; 1_000].into()).await.unwrap();
        assert_eq!(whole(&blobs, digest, LIMIT).await.unwrap(), Some(vec![6; 1_000]));

        let name = digest.to_string().trim_start_matches("0x").to_owned();
        fs::write(folder.path().join(&name[..2]).join(&name), vec![9; 1_000]).unwrap();
        assert_eq!(whole(&blobs, digest, LIMIT).await.unwrap(), None);

        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
        let away = whole(&blobs, digest, LIMIT).await;
        assert!(matches!(away, Err(GatherError::Fetch(GetError::Unreachable { .. }))), "{away:?}");
    }

    #[tokio::test]
    async fn a_blob_that_breaks_off_each_time_is_none() {
        let (listener, blobs) = listen().await;
        let asked = tokio::spawn(async move {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4_096];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
            }
        });
        assert_eq!(whole(&blobs, BlobDigest::of(b"half of it"), LIMIT).await.unwrap(), None);
        asked.await.unwrap();
    }
}
