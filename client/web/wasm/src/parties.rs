//! Who takes part: workers, and what the chain says of one account as user, creator and worker.

use crate::{
    failure::{Doing, Outcome, refused},
    page::{Page, all},
    wallet::unhex,
};
use encompute_chain::Block;
use encompute_job::market::{event_json, job_json, plancks};
use encompute_protocol::{
    Address, BlockNumber, JobProgress, JobTerms, ModelId, Plancks, Stage, VersionId, VersionStatus,
    call::{ReadCounts, ReadCredit, ReadModel, ReadVersion, ReadWorker, ReadWorkerAt, WithdrawCredit},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use wasm_bindgen::prelude::wasm_bindgen;

/// Most workers and models that are listed.
const LISTED: u32 = 200;
/// How many of the newest jobs figures are taken of.
const NEWEST_JOBS: u32 = 60;
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

    /// What the chain says of one account: its credit, its models with all their versions, its registration as a worker.
    ///
    /// # Errors
    /// For an address that is none; when the chain cannot be read.
    pub async fn party(&self, address: &str) -> Outcome {
        let account = address_of(address)?;
        let head = self.client.head().await.told()?;
        let counts = self.client.read_at(ReadCounts {}, head.hash).await.told()?;
        let credit = self.client.read_at(ReadCredit { account }, head.hash).await.told()?;
        let listed = (1..=counts.models.min(LISTED)).map(|id| async move {
            Ok((id, self.client.read_at(ReadModel { model: ModelId(id) }, head.hash).await.told()?))
        });
        let found = all(listed).await?.into_iter().filter_map(|(id, found)| Some((id, found?)));
        let own: Vec<_> = found.filter(|(_, (record, _))| record.creator == account).collect();
        let mut versions: BTreeMap<ModelId, Vec<Value>> = BTreeMap::new();
        if !own.is_empty() {
            let read = (1..=counts.versions.min(LISTED)).map(|id| async move {
                Ok((id, self.client.read_at(ReadVersion { version: VersionId(id) }, head.hash).await.told()?))
            });
            for (id, found) in all(read).await?.into_iter().rev() {
                let Some(record) = found else { continue };
                let version = json!({ "id": id, "status": status_name(record.status), "splits": record.splits,
                                      "published_at": record.published_at.0, "changed_at": record.changed_at.0 });
                versions.entry(record.model).or_default().push(version);
            }
        }
        let models = own.into_iter().map(|(id, (record, name))| {
            let rated = record.ratings;
            json!({
                "id": id, "name": name.as_str(), "version": record.current.map(|version| version.0),
                "bond": plancks(record.bond), "locked": plancks(record.bond_locked),
                "leaving": plancks(record.bond_leaving), "open_jobs": record.open_jobs,
                "rated": { "count": rated.count, "mean": rated.mean_hundredths().map(|mean| f64::from(mean) / 100.0) },
                "versions": versions.remove(&ModelId(id)).unwrap_or_default(),
            })
        });
        let models: Vec<Value> = models.collect();
        let worker = self.worker(account, head).await?;
        Ok(json!({ "address": account.to_string(), "block": head.number.0, "credit": plancks(credit), "models": models,
                   "worker": worker })
        .to_string())
    }

    /// The jobs that an account has a part in, the newest first, among `limit` numbers below `before`, or among the newest
    /// where that is not given; and the lowest number that was looked at.
    ///
    /// # Errors
    /// For an address that is none; when the chain cannot be read.
    pub async fn parts(&self, address: &str, limit: u32, before: Option<u64>) -> Outcome {
        let account = address_of(address)?;
        let head = self.client.head().await.told()?;
        let (from, found) = self.jobs_before(head, limit, before).await?;
        let pruned = found.iter().filter(|(_, found)| found.is_none()).count();
        let found: Vec<_> = found.into_iter().filter_map(|(id, found)| found.map(|found| (id, found))).collect();
        let models: BTreeSet<ModelId> = found.iter().map(|(_, (terms, _))| terms.model).collect();
        let read = models
            .into_iter()
            .map(|model| async move { Ok((model, self.client.read_at(ReadModel { model }, head.hash).await.told()?)) });
        let own = all(read)
            .await?
            .into_iter()
            .filter(|(_, found)| matches!(found, Some((record, _)) if record.creator == account));
        let own: BTreeSet<ModelId> = own.map(|(model, _)| model).collect();
        let mut jobs = Vec::new();
        for (id, (terms, progress)) in found {
            let roles = [
                ("user", terms.user == account),
                ("sponsor", terms.sponsor == Some(account)),
                ("creator", own.contains(&terms.model)),
                ("worker", progress.worker == Some(account)),
            ];
            for (role, _) in roles.iter().filter(|(_, is)| *is) {
                let mut job = job_json(id, &terms, &progress);
                job["role"] = (*role).into();
                job["earned"] = plancks(earned(role, &terms, &progress));
                jobs.push(job);
            }
        }
        Ok(json!({ "from": from, "jobs": jobs, "pruned": pruned }).to_string())
    }

    /// Blocks from request to end of the newest settled jobs, by version: how many, the median, 95 of 100.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub async fn paces(&self) -> Outcome {
        let head = self.client.head().await.told()?;
        let mut blocks: BTreeMap<VersionId, Vec<u32>> = BTreeMap::new();
        let (_, newest) = self.jobs_before(head, NEWEST_JOBS, None).await?;
        for (terms, progress) in newest.into_iter().filter_map(|(_, found)| found) {
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
            "heads": record.heads_committed, "timeouts": record.timeouts, "mismatches": record.mismatches,
            "score": f64::from(record.reputation.score().share().0) / 10_000.0,
        })))
    }
}

fn address_of(text: &str) -> Outcome<Address> {
    text.strip_prefix("0x").and_then(unhex).map(Address).map_or_else(|| refused("that is no address"), Ok)
}

fn status_name(status: VersionStatus) -> &'static str {
    match status {
        VersionStatus::Draft => "draft",
        VersionStatus::Active => "on sale",
        VersionStatus::Deprecated => "no longer sold",
        VersionStatus::Revoked => "revoked",
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
