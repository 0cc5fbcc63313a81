//! `encompute job prune`: the records of a job that ended long ago are removed from the chain.

use crate::{
    args::{Common, Identity},
    commands::market,
    context::Context,
    failure::{Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::Args;
use encompute_audit::{Paid, Parties, kept_until};
use encompute_protocol::{
    JobId,
    call::{PruneJob, ReadCredit, ReadModel, ReadParams, ReadPrunedJob, ReadRating},
};
use serde_json::json;
use std::collections::BTreeMap;

/// What `--help` says at its end.
pub const PRUNE_HELP: &str = "\
Once a job has been over for as long as it could have lived, anybody may remove its records. The chain pays their deposit to
whoever does; what others paid of it is sent along, and is a credit of theirs. A digest stays, and so do the events: export
the job first if you may want to prove it to somebody whose node keeps no old states.

Examples:
  encompute job prune 7 --suri //Dave --dry-run
  encompute audit export 7 --out job-7.audit
  encompute job prune 7 --wallet anna --json";

/// A job that ended long ago.
#[derive(Args)]
pub struct Prune {
    /// The job
    id: u64,
    /// Who signs
    #[command(flatten)]
    identity: Identity,
    /// Show what is sent along, and from when on it may be done; send nothing
    #[arg(long)]
    dry_run: bool,
}

impl Prune {
    /// Runs it.
    ///
    /// # Errors
    /// When the contract refuses, such as for a job that runs or ended a short time ago.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        let job = JobId(self.id);
        let account = context.account(&self.identity).await?;
        let client = account.client();
        let (terms, progress) = market::job_of(client, job).await?;
        if !progress.stage.is_terminal() {
            let stage = market::stage_name(progress.stage);
            return Err(Failure::new(Exit::Failed, format!("job {job} has not ended: {stage}"))
                .hint(format!("follow it: encompute job watch {job}")));
        }
        let params = market::read(client, ReadParams {}).await?;
        let rating = market::read(client, ReadRating { job }).await?;
        let model = market::read(client, ReadModel { model: terms.model }).await?;
        let (model, _) =
            model.ok_or_else(|| Failure::new(Exit::NotFound, format!("there is no model {}", terms.model)))?;
        let parties = Parties::of(&terms, &progress, model.creator);
        let mut credits = BTreeMap::new();
        for account in [parties.user, parties.worker, parties.creator] {
            credits.insert(account, market::read(client, ReadCredit { account }).await?);
        }
        let credit_of = |account| credits.get(&account).copied().unwrap_or_default();
        let paid = Paid::of(&params.storage, &terms, &progress, rating.as_ref());
        let value = paid.and_then(|paid| paid.owed(account.address(), parties, credit_of)).map(|owed| owed.sum);
        let value =
            value.ok_or_else(|| Failure::new(Exit::Failed, "the price of storage is too large to compute with"))?;
        let from = kept_until(&terms, &progress).0.saturating_add(1);
        if !self.dry_run {
            let sent = account.submit(PruneJob { job }, value).await;
            sent.map_err(|error| Failure::of(exit_of_chain(error.class()), "prune the job", &error))?;
        }
        let left = market::read(client, ReadPrunedJob { job }).await?;
        if common.json {
            return output::json(&json!({
                "id": job.0, "value": market::plancks(value), "from_block": from, "sent": !self.dry_run,
                "digest": left.map(|record| record.digest.to_string()),
                "pruned_at": left.map(|record| record.pruned_at.0),
            }));
        }
        let value = context.token().show(value);
        match left {
            Some(record) => output::text(&format!(
                "job {job}: records removed in block {}, {value} given back to those who paid for them; digest {}",
                record.pruned_at, record.digest
            )),
            None => output::text(&format!(
                "job {job}: may be pruned from block {from} on, with {value} for those who paid\nnothing was sent"
            )),
        }
    }
}
