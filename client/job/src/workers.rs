//! Finding a worker: registered, attested by the network's word, and willing.

use crate::{custody::Sealing, error::JobError};
use encompute_attest::{HpkeKey, RegistrationEvidence, RegistrationFacts, appraise_registration};
use encompute_audit::Judge;
use encompute_chain::ReadMarket;
use encompute_envelope::RecipientPublic;
use encompute_host::clock;
use encompute_networks::Network;
use encompute_protocol::{
    Address, BlockNumber, Bytes, Offer, WorkerRecord,
    call::{ReadCounts, ReadMeasurement, ReadPlatform, ReadWorker, ReadWorkerAt},
    receipt::{CustodyCall, OfferCall, SignedOffer},
    reputation::Score,
    wire::Message,
};
use encompute_store::{Blobs, ByteLimit, GatewayClient};
use futures::StreamExt;
use std::{pin::pin, time::Duration};

/// Most bytes of a registration's evidence.
const EVIDENCE_LIMIT: ByteLimit = ByteLimit(512 * 1024);
/// Most workers that are asked for one job.
const ASKED_LIMIT: u32 = 32;
/// How long one worker may take to answer.
const OFFER_WITHIN: Duration = Duration::from_secs(10);

/// A worker of which everything was checked that can be checked before it works.
#[derive(Clone, Debug)]
pub struct CheckedWorker {
    /// Its account.
    pub account: Address,
    /// Its registration.
    pub record: WorkerRecord,
    /// Its attested key: what is sealed to it, only that enclave opens.
    pub hpke: HpkeKey,
    /// Where it serves.
    pub url: String,
}

/// A worker's registration at a block, its evidence verified under the network's root and policy. It serves where it says
/// today.
///
/// # Errors
/// [`JobError::Unattested`] with the first check that fails; unreachable is its own error, and so is a node that no longer
/// knows a registration which was renewed since.
pub async fn checked_worker<M: ReadMarket>(
    market: &M,
    blobs: &GatewayClient,
    network: &Network,
    account: Address,
    at: BlockNumber,
) -> Result<CheckedWorker, JobError> {
    let refused = |check, expected: &str, actual: String| JobError::Unattested {
        worker: account,
        check,
        expected: expected.into(),
        actual,
    };
    let unregistered = || refused("registration", "a registered worker", "none".into());
    let found = market.read(ReadWorker { worker: account }).await.map_err(JobError::Read)?;
    let (mut record, url) = found.ok_or_else(unregistered)?;
    if record.registered_at > at {
        record = registration_at(market, account, at).await?.ok_or_else(unregistered)?;
    }
    let measurement = market.read(ReadMeasurement { measurement: record.measurement }).await.map_err(JobError::Read)?;
    let allowed = measurement.is_some_and(|entry| entry.is_usable_at(at));
    if !allowed {
        return Err(refused("measurement", "on the contract's allow-list", record.measurement.to_string()));
    }
    let platform = market.read(ReadPlatform { platform: record.platform }).await.map_err(JobError::Read)?;
    let allowed = platform.is_some_and(|entry| entry.is_usable_at(at));
    if !allowed {
        return Err(refused(
            "platform",
            "a machine on the contract's list, under whose key the chain verified the quote",
            record.platform.to_string(),
        ));
    }
    let judge = Judge::of(&network.trust, [record.measurement])?;
    let evidence = blobs.get(record.evidence, EVIDENCE_LIMIT).await;
    let evidence = evidence.map_err(|source| JobError::Fetch {
        what: "the worker's evidence",
        digest: record.evidence,
        source,
    })?;
    let contract = market.contract().ok_or_else(|| refused("contract", "one in the network file", "none".into()))?;
    let facts = RegistrationFacts { genesis: market.genesis(), contract, account, record: &record, at };
    let appraisal = appraise_registration(&evidence, &facts, &judge.root, &judge.policy, clock::now().into());
    if let Some(check) = appraisal.checks.iter().find(|check| !check.pass) {
        return Err(refused(check.id, &check.expected, check.actual.clone()));
    }
    // Its digest is among the checks.
    let hpke = RegistrationEvidence::from_wire(&evidence).map(|evidence| evidence.hpke_key);
    let hpke = hpke.map_err(|source| JobError::Message { what: "the worker's evidence", source })?;
    Ok(CheckedWorker { account, record, hpke, url: url.as_str().to_owned() })
}

/// A worker's record as of a block that may be long past.
async fn registration_at<M: ReadMarket>(
    market: &M,
    worker: Address,
    at: BlockNumber,
) -> Result<Option<WorkerRecord>, JobError> {
    let forgotten = |source| JobError::Forgotten { worker, at, source };
    let block = market.block(at).await.map_err(forgotten)?;
    let found = market.read_at(ReadWorker { worker }, block.hash).await.map_err(forgotten)?;
    Ok(found.map(|(record, _)| record))
}

/// What workers are asked for.
pub(crate) struct Wanted<'a> {
    /// The run.
    pub(crate) call: OfferCall,
    /// What goes with it where the worker is to act for the user.
    pub(crate) custody: Option<&'a Sealing>,
}

impl Wanted<'_> {
    /// Route and body of the call to one worker.
    fn call_to(&self, worker: &CheckedWorker) -> Result<(&'static str, Vec<u8>), String> {
        let Some(sealing) = self.custody else { return Ok(("offers", self.call.to_wire())) };
        let key = RecipientPublic::from_bytes(&worker.hpke.0).map_err(|error| error.to_string())?;
        let envelope = Bytes::new(sealing.to(&key)?).map_err(|error| error.to_string())?;
        Ok(("custody", CustodyCall { call: self.call, envelope }.to_wire()))
    }
}

/// Asks workers in turn for an offer; none if nobody offers, and why each did not.
///
/// # Errors
/// When the chain cannot be read. A worker that is away, full or unattested is passed over.
pub async fn find_offer<M: ReadMarket>(
    market: &M,
    blobs: &GatewayClient,
    http: &reqwest::Client,
    network: &Network,
    wanted: &Wanted<'_>,
) -> Result<(Option<(CheckedWorker, SignedOffer)>, Vec<String>), JobError> {
    let mut passed_over = Vec::new();
    let at = market.head().await.map_err(JobError::Read)?.number;
    let counts = market.read(ReadCounts {}).await.map_err(JobError::Read)?;
    // Start somewhere else for each input, so that one worker is not asked first by everybody.
    let workers = counts.workers.min(ASKED_LIMIT);
    let first = u32::from(wanted.call.input.0[0]) % workers.max(1);
    let mut asked = Vec::new();
    for turn in 0..workers {
        let index = (first + turn) % workers;
        let Some(account) = market.read(ReadWorkerAt { index }).await.map_err(JobError::Read)? else { continue };
        let found = market.read(ReadWorker { worker: account }).await.map_err(JobError::Read)?;
        // Who has failed more than it has done is asked only where nobody else offers.
        asked.push((found.is_none_or(|(record, _)| record.reputation.score() < Score::PRIOR), account));
    }
    asked.sort_by_key(|(doubtful, _)| *doubtful);
    for (_, account) in asked {
        let worker = match checked_worker(market, blobs, network, account, at).await {
            Ok(worker) => worker,
            Err(error @ (JobError::Unattested { .. } | JobError::Fetch { .. })) => {
                passed_over.push(error.to_string());
                continue;
            }
            Err(error) => return Err(error),
        };
        if worker.record.in_flight >= worker.record.capacity || worker.record.expires_at <= at {
            passed_over.push(format!("worker {account} is full or its registration has run out"));
            continue;
        }
        match ask(http, &worker, wanted, market.genesis(), market.contract(), at).await {
            Ok(offer) => return Ok((Some((worker, offer)), passed_over)),
            Err(reason) => passed_over.push(format!("worker {account}: {reason}")),
        }
    }
    Ok((None, passed_over))
}

async fn ask(
    http: &reqwest::Client,
    worker: &CheckedWorker,
    wanted: &Wanted<'_>,
    genesis: encompute_protocol::GenesisHash,
    contract: Option<encompute_protocol::ContractAddress>,
    at: BlockNumber,
) -> Result<SignedOffer, String> {
    let (route, body) = wanted.call_to(worker)?;
    let url = format!("{}/v1/{route}", worker.url.trim_end_matches('/'));
    let request = http.post(url).timeout(OFFER_WITHIN).header("content-type", "application/octet-stream").body(body);
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = read_limited(answer, 4096).await.map_err(|error| error.to_string())?;
    if !status.is_success() {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body).trim()));
    }
    let signed = SignedOffer::from_wire(&body).map_err(|error| format!("offer: {error}"))?;
    let call = &wanted.call;
    let expected = Offer {
        genesis,
        contract: contract.ok_or("no contract")?,
        worker: worker.account,
        user: call.user,
        version: call.version,
        split: call.split,
        input: call.input,
        expires_at: signed.offer.expires_at,
        custody: wanted.custody.is_some(),
    };
    let holds = signed.offer == expected && signed.offer.expires_at > at;
    match holds && signed.signature.is_by(&worker.record.signing, &signed.offer) {
        true => Ok(signed),
        false => Err("its offer is for something else or not signed by its registered key".into()),
    }
}

/// A body that was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It has more bytes than it may have; no more than those were read.
    #[error("its answer has {found} bytes or more, {limit} are allowed")]
    TooLong {
        /// Bytes announced, or read so far.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// It broke off.
    #[error("its answer breaks off: {0}")]
    BrokenOff(reqwest::Error),
}

/// At most `limit` bytes of a body.
///
/// # Errors
/// [`ReadError`].
pub async fn read_limited(answer: reqwest::Response, limit: usize) -> Result<Vec<u8>, ReadError> {
    let too_long = |found| ReadError::TooLong { found, limit };
    if let Some(announced) = answer.content_length().filter(|announced| *announced > limit as u64) {
        return Err(too_long(usize::try_from(announced).unwrap_or(usize::MAX)));
    }
    let mut body = Vec::new();
    let mut chunks = pin!(answer.bytes_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(ReadError::BrokenOff)?;
        if body.len() + chunk.len() > limit {
            return Err(too_long(body.len() + chunk.len()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
