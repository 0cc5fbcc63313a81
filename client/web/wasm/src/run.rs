//! Jobs of this home: prepared, paid for, taken to their ends.

use crate::{
    failure::{Doing, Outcome, refused},
    home::ROOT,
    page::Page,
    watch::Teller,
};
use encompute_chain::Account;
use encompute_job::{Ending, Journal, Order, Record, Runner, Services, market};
use encompute_keys::MachineSecret;
use encompute_protocol::{
    BlobDigest, JobId, Plancks,
    call::{CancelJob, PokeJob},
};
use encompute_release::{Ledger, ReleaseSecret, Releaser, policy::INFORMATION_LIMIT_MILLIBITS};
use js_sys::Function;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use wasm_bindgen::prelude::wasm_bindgen;
use zeroize::Zeroizing;

/// How long a job is followed before the page looks after it anew.
const PATIENCE: Duration = Duration::from_secs(3600);

#[wasm_bindgen]
impl Page {
    /// Encrypts the file that was read last, writes down everything that a later run needs, uploads the request. Gives
    /// the job's name in this home. Nothing has been paid yet.
    ///
    /// # Errors
    /// Without an input, an account or a home; as `encompute job submit` has them.
    pub async fn prepare(&self, split: String, policy: String, watch: Function) -> Outcome {
        let Some((version, tensor)) =
            self.input.borrow().as_ref().map(|input| (input.version, Zeroizing::new(input.values.to_vec())))
        else {
            return refused("there is no file yet");
        };
        let listing = self.listing(version.0).await?;
        let (split, policy) = listing.choose(Some(&split), Some(&policy)).told()?;
        let manifest = listing.manifest.clone();
        let order = Order { version, manifest, split, policy: policy.id, tip: Plancks::ZERO, case: None, tensor };
        let journal = self.runner(self.signed()?)?.prepare(&order, &mut Teller::new(watch)).await.told()?;
        Ok(journal.record().input.to_string())
    }

    /// Pays for a prepared job if that has not been done, and takes it on from wherever it stands until it ends.
    ///
    /// # Errors
    /// As `encompute job resume` has them; the job stays where it is and a later call goes on.
    pub async fn go_on(&self, name: String, watch: Function) -> Outcome {
        let Ok(input) = name.parse::<BlobDigest>() else { return refused("that is no job's name") };
        let runner = self.runner(self.signed()?)?;
        let mut journal = Journal::open_input(Path::new(ROOT), &input).told()?;
        let mut watch = Teller::new(watch);
        runner.request(&mut journal, &mut watch).await.told()?;
        let ending = runner.drive(&mut journal, PATIENCE, &mut watch).await.told()?;
        let listing = self.listing(journal.record().version.0).await?;
        let Ending { job, stage, reason, answer, bytes } = ending;
        Ok(json!({
            "id": job.0, "model": listing.manifest.name.as_str(), "stage": market::stage_name(stage),
            "reason": reason.map(market::reason_words),
            "prediction": answer.map(|answer| listing.prediction(&answer.scores)),
            "bytes": { "up": bytes.up, "down": bytes.down },
        })
        .to_string())
    }

    /// Every job of this home on this chain, the newest first, with its answer where it has one.
    ///
    /// # Errors
    /// When the home cannot be read.
    pub async fn mine(&self) -> Outcome {
        let (genesis, contract) = (self.client.genesis(), self.client.contract());
        let here = |record: &Record| record.genesis == genesis && Some(record.contract) == contract;
        let mut jobs = Vec::new();
        for record in Journal::list(Path::new(ROOT)).told()?.into_iter().rev().filter(here) {
            let listing = self.listing(record.version.0).await?;
            jobs.push(json!({
                "name": record.input.to_string(), "id": record.job.map(|job| job.0), "model": record.model,
                "version": record.version.0, "user": record.user.to_string(), "rounds": record.rounds.len(),
                "prediction": record.scores.as_ref().map(|scores| listing.prediction(scores)),
            }));
        }
        Ok(Value::from(jobs).to_string())
    }

    /// Moves an overdue job on; anybody may.
    ///
    /// # Errors
    /// Without an account; as the contract refuses.
    pub async fn poke(&self, id: u64) -> Outcome<()> {
        self.signed()?.submit(PokeJob { job: JobId(id) }, Plancks::ZERO).await.told().map(drop)
    }

    /// Ends a job where that is allowed; the refund table says what it costs.
    ///
    /// # Errors
    /// Without an account; as the contract refuses.
    pub async fn cancel(&self, id: u64) -> Outcome<()> {
        self.signed()?.submit(CancelJob { job: JobId(id) }, Plancks::ZERO).await.told().map(drop)
    }
}

impl Page {
    /// Everything that drives jobs of an account: the command line's, over this home.
    fn runner(&self, account: Account) -> Outcome<Runner<Account>> {
        let root = Path::new(ROOT);
        let secret = ReleaseSecret::open_or_create(&root.join("release.secret")).told()?;
        let ledger = Ledger::open(&root.join("ledger")).told()?;
        let machine = MachineSecret::open_or_create(&root.join("machine.secret")).told()?;
        let services = Services {
            market: account,
            blobs: self.blobs.clone(),
            http: encompute_store::http_client().told()?,
            network: self.network.clone(),
        };
        let releaser = Releaser::new(secret, ledger, INFORMATION_LIMIT_MILLIBITS);
        Ok(Runner { services, releaser, machine, home: root.to_owned(), accept: true })
    }
}
