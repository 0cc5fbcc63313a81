//! Jobs of this home: prepared, paid for, taken to their ends.

use crate::{
    failure::{Doing, Outcome, refused},
    home::ROOT,
    offline,
    page::Page,
    watch::Teller,
};
use encompute_chain::Account;
use encompute_job::{Ending, Journal, Order, Record, Runner, Services, market};
use encompute_keys::MachineSecret;
use encompute_protocol::{
    BlobDigest, JobId, Plancks, Rating, RatingReason,
    call::{CancelJob, PokeJob, RateJob, ReadRating},
};
use encompute_release::{Ledger, ReleaseSecret, Releaser, policy::INFORMATION_LIMIT_MILLIBITS};
use js_sys::Function;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use wasm_bindgen::prelude::wasm_bindgen;
use zeroize::Zeroizing;

/// How long a job is followed before the page looks after it anew.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What a job may be rated for.
const RATED_FOR: [(&str, RatingReason); 5] = [
    ("general", RatingReason::General),
    ("answer", RatingReason::Answer),
    ("time", RatingReason::Time),
    ("description", RatingReason::Description),
    ("price", RatingReason::Price),
];

#[wasm_bindgen]
impl Page {
    /// Encrypts the file that was read last, writes down everything that a later run needs, uploads the request. Gives
    /// the job's name in this home. Nothing has been paid yet. `looks` where the user will want to see what could be
    /// rebuilt: an attack that is published and cannot be had is found out here then.
    ///
    /// # Errors
    /// Without an input, an account or a home; as `encompute job submit` has them.
    pub async fn prepare(&self, split: String, policy: String, looks: bool, watch: Function) -> Outcome {
        let Some((version, tensor)) =
            self.input.borrow().as_ref().map(|input| (input.version, Zeroizing::new(input.values.to_vec())))
        else {
            return refused("there is no file yet");
        };
        let listing = self.listing(version.0).await?;
        let (split, policy) = listing.choose(Some(&split), Some(&policy)).told()?;
        if looks && let Some(Err(fault)) = self.attack_on(&listing, (split, policy.id)).await {
            return refused(&format!(
                "what could be rebuilt of your file cannot be shown before it is sent ({fault}); you may say on the account \
                 page that you do not want to see it"
            ));
        }
        let manifest = listing.manifest.clone();
        let kept = tensor.clone();
        let order = Order { version, manifest, split, policy: policy.id, tip: Plancks::ZERO, case: None, witnesses: None, quote: false, sponsor: None, finding: encompute_job::Finding::Offer, tensor };
        let journal = self.runner(self.signed()?)?.prepare(&order, &mut Teller::new(watch)).await.told()?;
        let name = journal.record().input.to_string();
        self.encrypted.borrow_mut().insert(name.clone(), kept);
        Ok(name)
    }

    /// Pays for a prepared job if that has not been done, and takes it on from wherever it stands until it ends. Before a
    /// release of a version that publishes an attack is sent, `watch` is told what that makes of it; `ask`, where there is
    /// one, gives a promise of whether it may be sent.
    ///
    /// # Errors
    /// As `encompute job resume` has them; the job stays where it is and a later call goes on.
    pub async fn go_on(&self, name: String, watch: Function, ask: Option<Function>) -> Outcome {
        let Ok(input) = name.parse::<BlobDigest>() else { return refused("that is no job's name") };
        let runner = self.runner(self.signed()?)?;
        let mut journal = Journal::open_input(Path::new(ROOT), &input).told()?;
        let listing = self.listing(journal.record().version.0).await?;
        let release = (journal.record().split, journal.record().policy);
        let encrypted = self.encrypted.borrow().get(&name).cloned();
        let look = self.look(&listing, release, encrypted, ask).await?;
        let mut watch = Teller::looking(watch, look);
        runner.request(&mut journal, &mut watch).await.told()?;
        let ending = runner.drive(&mut journal, PATIENCE, &mut watch).await.told()?;
        self.encrypted.borrow_mut().remove(&name);
        let Ending { job, stage, reason, answer, bytes, .. } = ending;
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
            let split = listing.split(record.split);
            let policy = split.and_then(|split| split.policies.iter().find(|policy| policy.id == record.policy));
            let job = json!({
                "name": record.input.to_string(), "id": record.job.map(|job| job.0), "model": record.model,
                "version": record.version.0, "user": record.user.to_string(), "rounds": record.rounds.len(),
                "split": split.map(|split| split.name.as_str()), "policy": policy.map(|policy| policy.name.as_str()),
                "sent": record.features.is_some(),
                "prediction": record.scores.as_ref().map(|scores| listing.prediction(scores)),
            });
            if record.scores.is_some() {
                // To be read while the network is away.
                offline::keep(&record.input.to_string(), &job)?;
            }
            jobs.push(job);
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

    /// Says for good what the user of a settled job thinks of the model: 1, the worst, to 5, the best, and what for.
    ///
    /// # Errors
    /// Without an account; for another grade or reason; as the contract refuses.
    pub async fn rate(&self, id: u64, grade: u8, why: &str) -> Outcome<()> {
        let Some((_, why)) = RATED_FOR.into_iter().find(|(name, _)| *name == why) else {
            return refused("a rating is for something else than that");
        };
        if !(1..=Rating::BEST).contains(&grade) {
            return refused(&format!("a grade is 1 to {}, not {grade}", Rating::BEST));
        }
        let call = RateJob { job: JobId(id), rating: Rating { grade, why } };
        self.signed()?.submit(call, Plancks::ZERO).await.told().map(drop)
    }

    /// What the user of a job thought of it; `null` where it has not said.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub async fn rating(&self, id: u64) -> Outcome {
        let found = self.client.read(ReadRating { job: JobId(id) }).await.told()?;
        Ok(json!(found.map(|rating| rating.grade)).to_string())
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
    /// What this home has written down of a job.
    pub(crate) fn record(&self, name: &str) -> Outcome<Record> {
        let found = Journal::list(Path::new(ROOT)).told()?.into_iter().find(|record| record.input.to_string() == name);
        found.map_or_else(|| refused("this browser has no such job"), Ok)
    }

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
