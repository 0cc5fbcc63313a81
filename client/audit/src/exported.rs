//! A job in a file: everything that its audit reads, for an auditor without network.
//!
//! Blobs are named by their digests, which are taken anew when the file is read. What the file says of the chain is its
//! writer's word: an auditor with a node holds it against the node's, one without is told that nobody did.

use crate::{
    job::{JobBundle, ReadAt, audit_job},
    report::{Checks, Report},
};
use codec::{Decode, Encode};
use encompute_attest::{UnixSeconds, network::Judge};
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, Bytes, ContractAddress, GenesisHash, JobId, JobProgress, JobTerms, Params,
    PrunedRecord, SplitRecord, Text, VersionRecord, WorkerRecord,
    event::Event,
    market::{MeasurementRecord, PlatformRecord},
    wire::{self, DecodeError, Message},
};
use std::collections::BTreeMap;

/// Most bytes of a file that is read.
pub const EXPORT_LIMIT_BYTES: usize = 260 * 1024 * 1024;
/// Most bytes of one blob in it.
const BLOB_LIMIT_BYTES: u32 = 48 * 1024 * 1024;
/// Most events of one job. The longest life of one has some twenty.
const EVENTS_LIMIT: u32 = 4_096;
/// Most treasuries that were named while a job ran.
const TREASURIES_LIMIT: u32 = 256;
/// Most payouts of its worker and of those that judged its disputes.
const PAYOUTS_LIMIT: u32 = 1_024;
/// Most blobs: a manifest, a request, evidence, transcript, features, result, and a thousand responses.
const BLOBS_LIMIT: u32 = 2_048;

type EventName = Text<64>;
type EventData = Bytes<4_096>;

/// A file that is no exported job, or a job that is too large for one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Not the bytes of one.
    #[error("not an exported job: {0}")]
    Bytes(DecodeError),
    /// An event that this program does not know, or that is not its encoding.
    #[error("not an exported job: event {0} cannot be read")]
    Event(String),
    /// Blobs, treasuries or payouts that are not in order, or twice: a file has one encoding.
    #[error("not an exported job: {0} are not in order")]
    Order(&'static str),
    /// The job does not fit.
    #[error("the job does not fit into a file: {0}")]
    TooLarge(String),
}

#[derive(Encode, Decode)]
struct File {
    read_at: ReadAt,
    genesis: GenesisHash,
    contract: ContractAddress,
    job: JobId,
    terms: JobTerms,
    progress: JobProgress,
    events: Vec<(BlockNumber, EventName, EventData)>,
    version: VersionRecord,
    split: SplitRecord,
    creator: Address,
    params: Params,
    params_unsure: bool,
    treasuries: Vec<Address>,
    worker: Option<(Address, WorkerRecord)>,
    payouts: Vec<(Address, Address)>,
    measurement: Option<MeasurementRecord>,
    platform: Option<PlatformRecord>,
    counted_at: Option<u64>,
    quoted_at: Option<u64>,
    drawing_hash: Option<[u8; 32]>,
    unread_events: u32,
    blobs: Vec<Bytes<BLOB_LIMIT_BYTES>>,
}

impl Message for File {
    const VERSION: u8 = 6;
    const LIMIT_BYTES: usize = EXPORT_LIMIT_BYTES;

    fn check_counts(mut value: &[u8]) -> Result<(), DecodeError> {
        let rest = &mut value;
        wire::skip::<(ReadAt, GenesisHash, ContractAddress, JobId, JobTerms, JobProgress)>(rest)?;
        for _ in 0..wire::count(rest, "events", EVENTS_LIMIT)? {
            wire::skip::<(BlockNumber, EventName, EventData)>(rest)?;
        }
        wire::skip::<(VersionRecord, SplitRecord, Address, Params, bool)>(rest)?;
        for _ in 0..wire::count(rest, "treasuries", TREASURIES_LIMIT)? {
            wire::skip::<Address>(rest)?;
        }
        wire::skip::<Option<(Address, WorkerRecord)>>(rest)?;
        for _ in 0..wire::count(rest, "payouts", PAYOUTS_LIMIT)? {
            wire::skip::<(Address, Address)>(rest)?;
        }
        wire::skip::<(Option<MeasurementRecord>, Option<PlatformRecord>)>(rest)?;
        wire::skip::<(Option<u64>, Option<u64>, Option<[u8; 32]>, u32)>(rest)?;
        wire::count(rest, "blobs", BLOBS_LIMIT).map(drop)
    }
}

/// The file of a job.
///
/// # Errors
/// [`ExportError::TooLarge`].
pub fn export(bundle: &JobBundle) -> Result<Vec<u8>, ExportError> {
    let large = |what: &str| ExportError::TooLarge(what.to_owned());
    let event = |(block, event): &(BlockNumber, Event)| {
        let name = EventName::new(event.name()).map_err(|_| large("an event's name"))?;
        let data = EventData::new(event.data()).map_err(|_| large("an event"))?;
        Ok((*block, name, data))
    };
    let blob = |bytes: &Vec<u8>| Bytes::new(bytes.clone()).map_err(|_| large("a blob"));
    let file = File {
        read_at: bundle.read_at,
        genesis: bundle.genesis,
        contract: bundle.contract,
        job: bundle.job,
        terms: bundle.terms,
        progress: bundle.progress,
        events: bundle.events.iter().map(event).collect::<Result<_, _>>()?,
        version: bundle.version,
        split: bundle.split,
        creator: bundle.creator,
        params: bundle.params,
        params_unsure: bundle.params_unsure,
        treasuries: bundle.treasuries.iter().copied().collect(),
        worker: bundle.worker,
        payouts: bundle.payouts.iter().copied().collect(),
        measurement: bundle.measurement,
        platform: bundle.platform,
        counted_at: bundle.counted_at.map(|time| time.0),
        quoted_at: bundle.quoted_at.map(|time| time.0),
        drawing_hash: bundle.drawing_hash,
        unread_events: bundle.unread_events,
        blobs: bundle.blobs.values().map(blob).collect::<Result<_, _>>()?,
    };
    let bytes = file.to_wire();
    match bytes.len() {
        0..=EXPORT_LIMIT_BYTES => Ok(bytes),
        found => Err(ExportError::TooLarge(format!("{found} bytes, at most {EXPORT_LIMIT_BYTES} are read"))),
    }
}

/// The job in a file. Nothing in it has been checked yet, except that blobs have the digests under which they stand.
///
/// # Errors
/// [`ExportError`].
pub fn import(bytes: &[u8]) -> Result<JobBundle, ExportError> {
    let file = File::from_wire(bytes).map_err(ExportError::Bytes)?;
    let event = |(block, name, data): &(BlockNumber, EventName, EventData)| {
        let event = Event::decode(name.as_str(), data.as_slice());
        event.map(|event| (*block, event)).ok_or_else(|| ExportError::Event(name.as_str().to_owned()))
    };
    let in_order = |ordered, what| if ordered { Ok(()) } else { Err(ExportError::Order(what)) };
    in_order(file.treasuries.is_sorted_by(|first, second| first < second), "treasuries")?;
    in_order(file.payouts.is_sorted_by(|first, second| first < second), "payouts")?;
    let blobs: Vec<_> =
        file.blobs.into_iter().map(|blob| (BlobDigest::of(blob.as_slice()), blob.as_slice().to_vec())).collect();
    in_order(blobs.is_sorted_by(|(first, _), (second, _)| first < second), "blobs")?;
    Ok(JobBundle {
        read_at: file.read_at,
        genesis: file.genesis,
        contract: file.contract,
        job: file.job,
        terms: file.terms,
        progress: file.progress,
        events: file.events.iter().map(event).collect::<Result<_, _>>()?,
        version: file.version,
        split: file.split,
        creator: file.creator,
        params: file.params,
        params_unsure: file.params_unsure,
        treasuries: file.treasuries.into_iter().collect(),
        worker: file.worker,
        payouts: file.payouts.into_iter().collect(),
        measurement: file.measurement,
        platform: file.platform,
        counted_at: file.counted_at.map(UnixSeconds),
        quoted_at: file.quoted_at.map(UnixSeconds),
        drawing_hash: file.drawing_hash,
        unread_events: file.unread_events,
        pruned: None,
        blobs: blobs.into_iter().collect::<BTreeMap<_, _>>(),
    })
}

/// What an auditor's own node says of a job that is in a file.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one for each file")]
pub enum Own {
    /// Nobody was asked.
    Nothing,
    /// Everything, as of the file's block.
    Facts(JobBundle),
    /// The digest of records that were removed since; what the chain said before, this node keeps no longer.
    Digest(PrunedRecord),
}

/// Audits a job out of a file, held against what the auditor's own node says of it. Facts of the chain that it does not
/// say are the file's word, and the report says so first.
pub fn audit_exported(bundle: &JobBundle, own: &Own, judge: &Judge, now: UnixSeconds) -> Report {
    let pruned = match own {
        Own::Digest(record) => Some(*record),
        Own::Nothing | Own::Facts(_) => None,
    };
    let mut report = audit_job(&JobBundle { pruned, ..bundle.clone() }, judge, now);
    let ReadAt { block, hash } = bundle.read_at;
    report.subject.push_str(", from a file");
    match own {
        Own::Nothing => report.limits.insert(
            0,
            format!(
                "cannot check: that the chain says what the file says of it; it was asked as of block {block}, {}",
                BlobDigest(hash)
            ),
        ),
        Own::Digest(record) => report.limits.insert(
            0,
            format!(
                "cannot check: facts of the chain beside the job's terms and end, whose digest it keeps; its records were \
                 removed in block {}, and your node does not keep the blocks before",
                record.pruned_at
            ),
        ),
        Own::Facts(own) => {
            let mut checks = Checks::default();
            facts(bundle, own, &mut checks);
            checks.0.append(&mut report.checks);
            report.checks = checks.0;
            if !report.holds() {
                report.verdict = "fail";
            }
        }
    }
    report
}

/// Every fact of the chain, by the digest of its encoding.
fn facts(bundle: &JobBundle, own: &JobBundle, checks: &mut Checks) {
    let source = format!("the auditor's own node, block {}", own.read_at.block);
    let mut same = |what: &str, expected: Vec<u8>, actual: Vec<u8>| {
        checks.same(&format!("facts-{what}"), BlobDigest::of(&expected), BlobDigest::of(&actual), &source);
    };
    let of_events = |bundle: &JobBundle| {
        let events = bundle.events.iter().map(|(block, event)| (*block, event.name(), event.data()));
        (events.collect::<Vec<_>>(), bundle.unread_events).encode()
    };
    let of_worker = |bundle: &JobBundle| {
        let times = [bundle.counted_at, bundle.quoted_at].map(|time| time.map(|time| time.0));
        let payouts: Vec<_> = bundle.payouts.iter().collect();
        (bundle.worker, bundle.measurement, bundle.platform, payouts, times).encode()
    };
    // A node that keeps no old state says nothing of it, as in the job's own audit.
    let hash = own.drawing_hash.or(bundle.drawing_hash);
    let of_params = |bundle: &JobBundle| {
        let treasuries: Vec<_> = bundle.treasuries.iter().collect();
        (bundle.params, bundle.params_unsure, treasuries).encode()
    };
    let of_version = |bundle: &JobBundle| (bundle.version, bundle.split, bundle.creator).encode();
    let of_chain = |bundle: &JobBundle| (bundle.read_at, bundle.genesis, bundle.contract).encode();
    same("chain", of_chain(own), of_chain(bundle));
    same("terms", (own.job, own.terms).encode(), (bundle.job, bundle.terms).encode());
    same("progress", own.progress.encode(), bundle.progress.encode());
    same("events", of_events(own), of_events(bundle));
    same("version", of_version(own), of_version(bundle));
    same("params", of_params(own), of_params(bundle));
    same("worker", of_worker(own), of_worker(bundle));
    same("draw", hash.encode(), bundle.drawing_hash.encode());
}
