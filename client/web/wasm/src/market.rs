//! What anybody may read: models, prices, jobs, audits.

use crate::{
    failure::{Doing, Outcome, refused, words},
    input,
    page::{Page, all},
};
use encompute_audit::{Judge, audit_job, export};
use encompute_chain::{Block, BlockHash};
use encompute_host::clock;
use encompute_job::{
    gather, history,
    market::{self, Listing, ListingError, job_json, mode_name, plancks, policy_json},
    offered,
};
use encompute_model::Preamble;
use encompute_protocol::{
    BlockNumber, JobId, JobProgress, JobTerms, SplitIndex, VersionId, VersionStatus,
    call::{QuoteJob, ReadCounts, ReadJob, ReadModel, ReadPrunedJob},
    event::Event,
    wire::Message,
};
use encompute_store::{Blobs, ByteLimit, Class, GetError};
use js_sys::Uint8Array;
use serde_json::{Value, json};
use std::rc::Rc;
use wasm_bindgen::prelude::wasm_bindgen;

/// Most bytes of a ciphertext that the page shows a part of.
const SHOWN_LIMIT: ByteLimit = ByteLimit(34 * 1024 * 1024);

#[wasm_bindgen]
impl Page {
    /// Every version on sale whose manifest can be had, without what may change: [`Self::prices`] gives that.
    ///
    /// # Errors
    /// When chain or gateway cannot be read.
    pub async fn models(&self) -> Outcome {
        let counts = self.client.read(ReadCounts {}).await.told()?;
        let listings = all((1..=counts.versions).map(|version| self.on_sale(VersionId(version)))).await?;
        let models = listings.iter().flatten().map(|listing| listing_json(listing));
        Ok(Value::from(models.collect::<Outcome<Vec<_>>>()?).to_string())
    }

    /// What a run of each split of the versions that [`Self::models`] gave costs now, what their creators stand in for
    /// them with, and how payers rated them.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub async fn prices(&self) -> Outcome {
        let listings: Vec<_> = self.listings.borrow().values().filter(|listing| is_on_sale(listing)).cloned().collect();
        let head = self.client.head().await.told()?;
        Ok(Value::from(all(listings.iter().map(|listing| self.price_json(listing, head.hash))).await?).to_string())
    }

    /// What one run of a split under a policy costs now, and what comes back if it ends early; why this program runs no
    /// such split, where it does not.
    ///
    /// # Errors
    /// For a version that is not on sale, a split or a policy that it does not have.
    pub async fn quote(&self, version: u32, split: String, policy: String) -> Outcome {
        let listing = self.listing(version).await?;
        let quote = market::quote(&self.client, &listing, Some(&split), Some(&policy)).await.told()?;
        let (index, policy) = listing.choose(Some(&split), Some(&policy)).told()?;
        let refused = offered(&listing.manifest, index, policy.id, &self.network).err();
        let mut told = quote.json();
        told["refused"] = refused.map(|error| words(&error)).into();
        Ok(told.to_string())
    }

    /// Jobs of the market, the newest first: at most `limit` numbers are looked at, those below `before` where it is given.
    /// Of a pruned one there is only its number.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub async fn jobs(&self, limit: u32, before: Option<u64>) -> Outcome {
        let head = self.client.head().await.told()?;
        let (from, found) = self.jobs_before(head, limit, before).await?;
        let jobs = found.into_iter().map(|(job, found)| match found {
            Some((terms, progress)) => job_json(job, &terms, &progress),
            None => json!({ "id": job.0, "stage": "pruned" }),
        });
        Ok(json!({ "from": from, "jobs": jobs.collect::<Vec<_>>() }).to_string())
    }

    /// One job: where it stands, how it came there, who was credited what. Of a pruned job what is kept of it, and what
    /// the node still knows of the block before.
    ///
    /// # Errors
    /// For a job that is not there; when the chain cannot be read.
    pub async fn job(&self, id: u64) -> Outcome {
        let job = JobId(id);
        let head = self.client.head().await.told()?;
        let (terms, progress, pruned) = match self.client.read_at(ReadJob { job }, head.hash).await.told()? {
            Some((terms, progress)) => (terms, progress, Value::Null),
            None => {
                let Some(left) = self.client.read_at(ReadPrunedJob { job }, head.hash).await.told()? else {
                    return refused(&format!("there is no job {id}"));
                };
                let pruned = json!({ "block": left.pruned_at.0, "digest": left.digest.to_string() });
                match self.job_before(job, left.pruned_at).await {
                    Some((terms, progress)) => (terms, progress, pruned),
                    None => return Ok(json!({ "id": id, "stage": null, "pruned": pruned }).to_string()),
                }
            }
        };
        let known = self.histories.borrow().get(&job).cloned().unwrap_or_default();
        let events = history(&self.client, job, (&terms, &progress), &known).await.told()?;
        let (mut stages, mut credits) = (Vec::new(), Vec::new());
        for (block, event) in &events {
            match event {
                Event::JobStageChanged(changed) => stages.push(json!({
                    "stage": market::stage_name(changed.to), "block": block.0, "deadline": changed.deadline.0,
                })),
                Event::Credited(credited) => credits.push(json!({
                    "account": credited.account.to_string(), "amount": plancks(credited.amount),
                    "cause": format!("{:?}", credited.cause), "block": block.0,
                })),
                _ => {}
            }
        }
        self.histories.borrow_mut().insert(job, events);
        let mut value = job_json(job, &terms, &progress);
        let named = self.listing(terms.version.0).await;
        value["name"] = named.map_or_else(
            |_| format!("version {}", terms.version).into(),
            |listing| listing.manifest.name.as_str().into(),
        );
        value["reason_words"] = progress.reason.map(market::reason_words).into();
        value["input"] = terms.input.to_string().into();
        value["block"] = head.number.0.into();
        value["pruned"] = pruned;
        value["stages"] = stages.into();
        value["credits"] = credits.into();
        Ok(value.to_string())
    }

    /// The first bytes of what a job's user sent to the worker: all that a worker, or anybody, sees of the input.
    ///
    /// # Errors
    /// When the store does not have it.
    pub async fn ciphertext(&self, id: u64, bytes: usize) -> Outcome<Uint8Array> {
        let Some((terms, _)) = self.client.read(ReadJob { job: JobId(id) }).await.told()? else {
            return refused(&format!("there is no job {id}, or not any more"));
        };
        let request = self.blobs.get(terms.input, SHOWN_LIMIT).await.told()?;
        let request = encompute_protocol::JobRequest::from_wire(&request).told()?;
        let tensor = request.tensor.as_slice();
        Ok(Uint8Array::from(&tensor[tensor.len().saturating_sub(bytes)..]))
    }

    /// Everything about a job held against each other: the report of `encompute audit job`.
    ///
    /// # Errors
    /// For a job that is not there; when chain or store cannot be read. A check that fails is in the report.
    pub async fn audit(&self, id: u64) -> Outcome {
        let bundle = gather(&self.client, &self.blobs, JobId(id)).await.told()?;
        let measurements = bundle.worker.iter().map(|(_, record)| record.measurement);
        let judge = Judge::of(&self.network.trust, measurements).told()?;
        serde_json::to_string(&audit_job(&bundle, &judge, clock::now().into())).told()
    }

    /// Everything that the audit of a job reads, in one file: `encompute audit bundle` judges it elsewhere.
    ///
    /// # Errors
    /// As [`Self::audit`]; for more than such a file may hold.
    pub async fn evidence(&self, id: u64) -> Outcome<Uint8Array> {
        let bundle = gather(&self.client, &self.blobs, JobId(id)).await.told()?;
        Ok(Uint8Array::from(&*export(&bundle).told()?))
    }
}

/// True where the store has no such blob, or has other bytes in its place; false where it could not be asked.
fn is_gone(error: &GetError) -> bool {
    matches!(error.class(), Class::NotFound | Class::Unverified)
}

fn is_on_sale(listing: &Listing) -> bool {
    listing.status == VersionStatus::Active
}

impl Page {
    /// Jobs by number, the newest first: at most `limit` numbers below `before`; and the lowest number that was looked at.
    pub(crate) async fn jobs_before(
        &self,
        at: Block,
        limit: u32,
        before: Option<u64>,
    ) -> Outcome<(u64, Vec<(JobId, Option<(JobTerms, JobProgress)>)>)> {
        let counts = self.client.read_at(ReadCounts {}, at.hash).await.told()?;
        let last = before.map_or(counts.jobs, |before| counts.jobs.min(before.saturating_sub(1)));
        let from = last.saturating_sub(limit.into()).saturating_add(1);
        let jobs = (from..=last).rev().map(JobId);
        let read =
            jobs.map(|job| async move { Ok((job, self.client.read_at(ReadJob { job }, at.hash).await.told()?)) });
        Ok((from, all(read).await?))
    }

    /// A job's records in the last block that had them; none where the node has forgotten it.
    async fn job_before(&self, job: JobId, pruned_at: BlockNumber) -> Option<(JobTerms, JobProgress)> {
        let before = self.client.block(BlockNumber(pruned_at.0.saturating_sub(1))).await.ok()?;
        self.client.read_at(ReadJob { job }, before.hash).await.ok()?
    }

    /// A version if it is on sale. A manifest is its creator's, in somebody's store: one that is gone hides its version,
    /// not the market.
    async fn on_sale(&self, version: VersionId) -> Outcome<Option<Rc<Listing>>> {
        match self.read_listing(version).await {
            Err(ListingError::Manifest { .. }) => Ok(None),
            Err(ListingError::Fetch { source, .. }) if is_gone(&source) => Ok(None),
            listing => Ok(Some(listing.told()?).filter(|listing| is_on_sale(listing))),
        }
    }

    async fn price_json(&self, listing: &Listing, at: BlockHash) -> Outcome<Value> {
        let Listing { version, model, manifest, .. } = listing;
        let splits = (0..).map(SplitIndex).zip(&manifest.splits);
        let quoted = all(splits.map(|(split, _)| async move {
            self.client.read_at(QuoteJob { version: *version, split }, at).await.told()
        }));
        let record = async { self.client.read_at(ReadModel { model: *model }, at).await.told() };
        let (quoted, record) = futures::try_join!(quoted, record)?;
        let prices = quoted.into_iter().map(|quoted| quoted.and_then(|(fees, _)| fees.total()).map(plancks));
        let rated = record.as_ref().map(|(record, _)| record.ratings);
        Ok(json!({
            "version": version.0, "prices": prices.collect::<Vec<_>>(),
            "bond": record.map(|(record, _)| plancks(record.bond)),
            "rated": rated.map(|rated| json!({ "count": rated.count, "mean": rated.mean_hundredths().map(|mean| f64::from(mean) / 100.0) })),
        }))
    }
}

/// A version as cards and its own page show it: what it pins, which never changes.
fn listing_json(listing: &Listing) -> Outcome<Value> {
    let Listing { version, manifest, .. } = listing;
    let preamble = Preamble::from_wire(manifest.preamble.as_slice()).told()?;
    let splits = (0..).map(SplitIndex).zip(&manifest.splits).map(|(index, split)| {
        let policies = split.policies.iter().map(|policy| policy_json(manifest, index, split, policy));
        json!({
            "name": split.name.as_str(), "mode": mode_name(split.mode), "features": split.features,
            "ms": split.cost.micros as f64 / 1000.0, "failure_bits": split.failure_bits,
            "bytes": { "up": split.cost.bytes_up, "down": split.cost.bytes_down, "key": split.cost.key_bytes },
            "policies": policies.collect::<Vec<_>>(),
        })
    });
    Ok(json!({
        "version": version.0, "name": manifest.name.as_str(), "task": manifest.task.as_str(),
        "creator": manifest.creator.to_string(),
        "limits": manifest.limits.as_str(), "report": manifest.disclosure.is_some(),
        "witnesses": manifest.witnesses.map(|wanted| wanted.count()),
        "attack": manifest.disclosure.as_ref().is_some_and(|told| told.attack.is_some()),
        "labels": manifest.labels.iter().map(|label| label.as_str()).collect::<Vec<_>>(),
        "input": input::kind(&preamble), "splits": splits.collect::<Vec<_>>(),
    }))
}
