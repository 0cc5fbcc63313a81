//! Who takes part: workers, and what the chain says of one account as user, creator and worker.

use crate::{
    failure::{Doing, Outcome, refused},
    page::{Page, all},
    wallet::unhex,
};
use encompute_chain::Block;
use encompute_job::market::{event_json, job_json, plancks};
use encompute_protocol::{
    Address, BlockNumber, JobId, JobProgress, JobTerms, ModelId, Plancks, Stage, VersionId,
    call::{ReadCounts, ReadCredit, ReadJob, ReadModel, ReadWorker, ReadWorkerAt, WithdrawCredit},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wasm_bindgen::prelude::wasm_bindgen;

/// Most workers and models that are listed.
const LISTED: u32 = 200;
/// How many of the newest jobs figures are taken of, and an account's are looked for among.
const NEWEST_JOBS: u64 = 60;
/// Most blocks whose events are read at once.
const BLOCKS_LIMIT: u32 = 500;

#[wasm_bindgen]
impl Page {
    /// Every worker that ever registered, the first first.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub async fn workers(&self) -> Outcome {
        let head = self.client.head().await.told()?;
        let counts = self.client.read_at(ReadCounts {}, head.hash).await.told()?;
        let workers = (0..counts.workers.min(LISTED)).map(|index| async move {
            match self.client.read_at(ReadWorkerAt { index }, head.hash).await.told()? {
                Some(worker) => self.worker(worker, head).await,
                None => Ok(None),
            }
        });
        Ok(Value::from(all(workers).await?.into_iter().flatten().collect::<Vec<_>>()).to_string())
    }

    /// What the chain says of one account: its credit, its models, its registration as a worker, and those of the newest
    /// jobs that it has a part in.
    ///
    /// # Errors
    /// For an address that is none; when the chain cannot be read.
    pub async fn party(&self, address: &str) -> Outcome {
        let Some(account) = address.strip_prefix("0x").and_then(unhex).map(Address) else {
            return refused("that is no address");
        };
        let head = self.client.head().await.told()?;
        let counts = self.client.read_at(ReadCounts {}, head.hash).await.told()?;
        let credit = self.client.read_at(ReadCredit { account }, head.hash).await.told()?;
        let (mut models, mut creators) = (Vec::new(), BTreeMap::new());
        let listed = (1..=counts.models.min(LISTED)).map(|id| async move {
            Ok((id, self.client.read_at(ReadModel { model: ModelId(id) }, head.hash).await.told()?))
        });
        for (id, found) in all(listed).await? {
            let Some((record, name)) = found else { continue };
            creators.insert(id, record.creator);
            if record.creator == account {
                models.push(json!({
                    "id": id, "name": name.as_str(), "version": record.current.map(|version| version.0),
                    "bond": plancks(record.bond), "locked": plancks(record.bond_locked),
                    "leaving": plancks(record.bond_leaving), "open_jobs": record.open_jobs,
                }));
            }
        }
        let mut jobs = Vec::new();
        for (id, terms, progress) in self.newest_jobs(head, counts.jobs).await? {
            let creator = creators.get(&terms.model.0) == Some(&account);
            let roles =
                [("user", terms.user == account), ("creator", creator), ("worker", progress.worker == Some(account))];
            for (role, _) in roles.iter().filter(|(_, is)| *is) {
                let mut job = job_json(id, &terms, &progress);
                job["role"] = (*role).into();
                job["earned"] = plancks(earned(role, &terms, &progress));
                jobs.push(job);
            }
        }
        let worker = self.worker(account, head).await?;
        Ok(json!({ "address": account.to_string(), "block": head.number.0, "credit": plancks(credit), "models": models,
                   "worker": worker, "jobs": jobs, "looked_at": counts.jobs.min(NEWEST_JOBS) })
        .to_string())
    }

    /// Blocks from request to end of the newest settled jobs, by version: how many, the median, 95 of 100.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub async fn paces(&self) -> Outcome {
        let head = self.client.head().await.told()?;
        let counts = self.client.read_at(ReadCounts {}, head.hash).await.told()?;
        let mut blocks: BTreeMap<VersionId, Vec<u32>> = BTreeMap::new();
        for (_, terms, progress) in self.newest_jobs(head, counts.jobs).await? {
            if progress.stage == Stage::Settled {
                let took = progress.changed_at.0.saturating_sub(terms.requested_at.0);
                blocks.entry(terms.version).or_default().push(took);
            }
        }
        let paces = blocks.into_iter().map(|(version, mut took)| {
            took.sort_unstable();
            // The least that so many of a hundred do not exceed.
            let of_hundred = |share: usize| took.get((took.len() * share).div_ceil(100).saturating_sub(1)).copied();
            json!({ "version": version.0, "jobs": took.len(), "median": of_hundred(50), "most": of_hundred(95) })
        });
        Ok(Value::from(paces.collect::<Vec<_>>()).to_string())
    }

    /// What the contract said in a range of blocks, the newest first; at most the last 500 of them.
    ///
    /// # Errors
    /// When the chain cannot be read, or no longer has those blocks.
    pub async fn events(&self, from: u32, to: u32) -> Outcome {
        let from = from.max(to.saturating_sub(BLOCKS_LIMIT - 1)).max(1);
        let said = encompute_job::said(&self.client, BlockNumber(from)..=BlockNumber(to)).await.told()?;
        let events: Vec<Value> = said.events.iter().rev().map(|(block, event)| event_json(*block, event)).collect();
        Ok(json!({ "from": from, "to": to, "events": events, "unread": said.unread }).to_string())
    }

    /// Takes the credit of whoever signs out of the contract.
    ///
    /// # Errors
    /// Without an account; as the contract refuses, which is so when there is no credit.
    pub async fn withdraw(&self) -> Outcome<()> {
        self.signed()?.submit(WithdrawCredit { to: None }, Plancks::ZERO).await.told().map(drop)
    }
}

impl Page {
    async fn worker(&self, worker: Address, at: Block) -> Outcome<Option<Value>> {
        let found = self.client.read_at(ReadWorker { worker }, at.hash).await.told()?;
        let Some((record, url)) = found else { return Ok(None) };
        Ok(Some(json!({
            "address": worker.to_string(), "url": url.as_str(), "measurement": record.measurement.to_string(),
            "payout": record.payout.to_string(), "registered_at": record.registered_at.0, "expires_at": record.expires_at.0,
            "holds": at.number < record.expires_at, "stake": plancks(record.stake), "locked": plancks(record.stake_locked),
            "leaving": plancks(record.stake_leaving), "capacity": record.capacity, "in_flight": record.in_flight,
        })))
    }

    async fn newest_jobs(&self, at: Block, jobs: u64) -> Outcome<Vec<(JobId, JobTerms, JobProgress)>> {
        let newest = (1..=jobs).rev().take(NEWEST_JOBS as usize).map(JobId);
        let read = newest.map(|job| async move { Ok((job, self.client.read_at(ReadJob { job }, at.hash).await.told()?)) });
        let found = all(read).await?.into_iter();
        Ok(found.filter_map(|(job, found)| found.map(|(terms, progress)| (job, terms, progress))).collect())
    }
}

/// What a settled job paid this role.
fn earned(role: &str, terms: &JobTerms, progress: &JobProgress) -> Plancks {
    match (role, progress.stage) {
        ("creator", Stage::Settled) => terms.fees.tail,
        ("worker", Stage::Settled) => terms.fees.head.checked_add(terms.fees.tip).unwrap_or_default(),
        _ => Plancks::ZERO,
    }
}
