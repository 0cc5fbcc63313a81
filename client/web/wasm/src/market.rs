//! What anybody may read: models, prices, jobs, audits.

use crate::{
    failure::{Doing, Outcome, refused},
    input,
    page::Page,
};
use encompute_audit::{Judge, audit_job};
use encompute_host::clock;
use encompute_job::{
    gather,
    market::{self, Listing, ListingError, job_json, mode_name, plancks, policy_json},
};
use encompute_model::Preamble;
use encompute_protocol::{
    BlockNumber, JobId, SplitIndex, VersionId, VersionStatus,
    call::{QuoteJob, ReadCounts, ReadJob, ReadModel, ReadVersion},
    event::Event,
    wire::Message,
};
use encompute_store::{Blobs, ByteLimit, Class, GetError};
use js_sys::Uint8Array;
use serde_json::{Value, json};
use wasm_bindgen::prelude::wasm_bindgen;

/// Most bytes of a ciphertext that the page shows a part of.
const SHOWN_LIMIT: ByteLimit = ByteLimit(34 * 1024 * 1024);

#[wasm_bindgen]
impl Page {
    /// Every version on sale whose manifest can be had.
    ///
    /// # Errors
    /// When chain or gateway cannot be read.
    pub async fn models(&self) -> Outcome {
        let counts = self.client.read(ReadCounts {}).await.told()?;
        let mut models = Vec::new();
        for version in 1..=counts.versions {
            // A manifest is its creator's, in somebody's store: one that is gone hides its version, not the market.
            let listing = match self.read_listing(VersionId(version)).await {
                Err(ListingError::Manifest { .. }) => continue,
                Err(ListingError::Fetch { source, .. }) if is_gone(&source) => continue,
                listing => listing.told()?,
            };
            if listing.status == VersionStatus::Active {
                models.push(self.listing_json(&listing).await?);
            }
        }
        Ok(Value::from(models).to_string())
    }

    /// What one run of a split under a policy costs now, and what comes back if it ends early.
    ///
    /// # Errors
    /// For a version that is not on sale, a split or a policy that it does not have.
    pub async fn quote(&self, version: u32, split: String, policy: String) -> Outcome {
        let listing = self.listing(version).await?;
        let quote = market::quote(&self.client, &listing, Some(&split), Some(&policy)).await.told()?;
        Ok(quote.json().to_string())
    }

    /// The newest jobs of the market, at most `limit`.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub async fn jobs(&self, limit: u32) -> Outcome {
        let counts = self.client.read(ReadCounts {}).await.told()?;
        let mut jobs = Vec::new();
        for id in (1..=counts.jobs).rev().take(limit as usize) {
            if let Some((terms, progress)) = self.client.read(ReadJob { job: JobId(id) }).await.told()? {
                jobs.push(job_json(JobId(id), &terms, &progress));
            }
        }
        Ok(Value::from(jobs).to_string())
    }

    /// One job: where it stands, how it came there, who was credited what.
    ///
    /// # Errors
    /// For a job that is not there; when the chain cannot be read.
    pub async fn job(&self, id: u64) -> Outcome {
        let job = JobId(id);
        let head = self.client.head().await.told()?;
        let Some((terms, progress)) = self.client.read_at(ReadJob { job }, head.hash).await.told()? else {
            return refused(&format!("there is no job {id}"));
        };
        let last = if progress.stage.is_terminal() { progress.changed_at } else { head.number };
        let events = self.events_of(terms.requested_at, last).await?;
        let (mut stages, mut credits) = (Vec::new(), Vec::new());
        for (block, event) in events.iter().filter(|(_, event)| event.job() == Some(job)) {
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
        let mut value = job_json(job, &terms, &progress);
        let named = self.listing(terms.version.0).await;
        value["name"] = named.map_or_else(
            |_| format!("version {}", terms.version).into(),
            |listing| listing.manifest.name.as_str().into(),
        );
        value["reason_words"] = progress.reason.map(market::reason_words).into();
        value["input"] = terms.input.to_string().into();
        value["block"] = head.number.0.into();
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
            return refused(&format!("there is no job {id}"));
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
}

/// True where the store has no such blob, or has other bytes in its place; false where it could not be asked.
fn is_gone(error: &GetError) -> bool {
    matches!(error.class(), Class::NotFound | Class::Unverified)
}

impl Page {
    /// Everything that the contract said in these blocks. Blocks are final, so one that was read is not asked for again.
    async fn events_of(&self, from: BlockNumber, to: BlockNumber) -> Outcome<Vec<(BlockNumber, Event)>> {
        let (begins, ends) = self.read_blocks.get();
        if from.0 < begins || from.0 > ends {
            self.read_blocks.set((from.0, from.0));
            self.read_events.borrow_mut().clear();
        }
        let (begins, next) = self.read_blocks.get();
        if to.0 >= next {
            let said = encompute_job::said(&self.client, BlockNumber(next)..=to).await.told()?;
            // Another page of this tab may have read on meanwhile.
            if self.read_blocks.get() == (begins, next) {
                self.read_events.borrow_mut().extend(said.events);
                self.read_blocks.set((begins, to.0 + 1));
            } else {
                return Ok(encompute_job::said(&self.client, from..=to).await.told()?.events);
            }
        }
        let events = self.read_events.borrow();
        Ok(events.iter().filter(|(block, _)| (from..=to).contains(block)).cloned().collect())
    }

    /// A version as cards and its own page show it, with what a run costs now and what its creator stands in for.
    async fn listing_json(&self, listing: &Listing) -> Outcome<Value> {
        let Listing { version, manifest, .. } = listing;
        let preamble = Preamble::from_wire(manifest.preamble.as_slice()).told()?;
        let mut splits = Vec::new();
        for (index, split) in (0..).map(SplitIndex).zip(&manifest.splits) {
            let quoted = self.client.read(QuoteJob { version: *version, split: index }).await.told()?;
            let policies = split.policies.iter().map(|policy| policy_json(manifest, index, split, policy));
            let policies: Vec<Value> = policies.collect();
            splits.push(json!({
                "name": split.name.as_str(), "mode": mode_name(split.mode), "features": split.features,
                "ms": split.cost.micros as f64 / 1000.0, "failure_bits": split.failure_bits,
                "price": quoted.and_then(|(fees, _)| fees.total()).map(plancks),
                "bytes": { "up": split.cost.bytes_up, "down": split.cost.bytes_down, "key": split.cost.key_bytes },
                "policies": policies,
            }));
        }
        let model = self.client.read(ReadVersion { version: *version }).await.told()?.map(|record| record.model);
        let record = match model {
            Some(model) => self.client.read(ReadModel { model }).await.told()?,
            None => None,
        };
        Ok(json!({
            "version": version.0, "name": manifest.name.as_str(), "task": manifest.task.as_str(),
            "creator": manifest.creator.to_string(), "bond": record.map(|(record, _)| plancks(record.bond)),
            "limits": manifest.limits.as_str(), "report": manifest.disclosure.is_some(),
            "labels": manifest.labels.iter().map(|label| label.as_str()).collect::<Vec<_>>(),
            "input": input::kind(&preamble), "splits": splits,
        }))
    }
}
