//! `encompute job prune` and `session prune`: the records of what ended long ago are removed from the chain.

use crate::{
    args::{Common, Identity},
    commands::market,
    context::Context,
    failure::{Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::Args;
use encompute_audit::{Paid, Parties, kept_until, session_kept_until};
use encompute_chain::{Account, Client};
use encompute_protocol::{
    BlockNumber, JobId, SessionId, SessionStage,
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

/// What `session prune --help` says at its end.
pub const PRUNE_SESSION_HELP: &str = "\
Once a session has been over for as long as it could have lived, anybody may remove its record; what its user paid for it comes
back. A digest stays, and so do the events.

Examples:
  encompute session prune 7 --suri //Dave --dry-run
  encompute session prune 7 --wallet anna --json";

/// A job or a session that ended long ago.
#[derive(Args)]
pub struct Prune {
    /// Its number
    id: u64,
    /// Who signs
    #[command(flatten)]
    identity: Identity,
    /// Show what is sent along, and from when on it may be done; send nothing
    #[arg(long)]
    dry_run: bool,
}

/// What is over, and what removing its records takes.
struct Over {
    /// "job 7".
    what: String,
    /// None if it does not fit a number.
    paid: Option<Paid>,
    parties: Parties,
    kept_until: BlockNumber,
}

impl Over {
    async fn job(client: &Client, job: JobId) -> Outcome<Self> {
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
        Ok(Self {
            what: format!("job {job}"),
            paid: Paid::of(&params.storage, &terms, &progress, rating.as_ref()),
            parties: Parties::of(&terms, &progress, model.creator),
            kept_until: kept_until(&terms, &progress),
        })
    }

    async fn session(client: &Client, session: SessionId) -> Outcome<Self> {
        let record = market::session_of(client, session).await?;
        if record.stage != SessionStage::Closed {
            return Err(Failure::new(Exit::Failed, format!("session {session} is not over"))
                .hint(format!("end it: encompute session close {session}")));
        }
        let params = market::read(client, ReadParams {}).await?;
        Ok(Self {
            what: format!("session {session}"),
            paid: Paid::of_session(&params.storage, &record),
            parties: Parties::of_session(&record),
            kept_until: session_kept_until(&record),
        })
    }
}

impl Prune {
    /// Removes a job's records.
    ///
    /// # Errors
    /// When the contract refuses, such as for a job that runs or ended a short time ago.
    pub async fn job(self, context: &Context, common: &Common) -> Outcome {
        let account = context.account(&self.identity).await?;
        let over = Over::job(account.client(), JobId(self.id)).await?;
        self.run(&account, over, context, common).await
    }

    /// Removes a session's record.
    ///
    /// # Errors
    /// When the contract refuses, such as for a session that is not over or ended a short time ago.
    pub async fn session(self, context: &Context, common: &Common) -> Outcome {
        let account = context.account(&self.identity).await?;
        let over = Over::session(account.client(), SessionId(self.id)).await?;
        self.run(&account, over, context, common).await
    }

    async fn run(self, account: &Account, over: Over, context: &Context, common: &Common) -> Outcome {
        // A session has the number of its first job.
        let (client, job) = (account.client(), JobId(self.id));
        let Over { what, paid, parties, kept_until } = over;
        let mut credits = BTreeMap::new();
        for account in [parties.user, parties.worker, parties.creator] {
            credits.insert(account, market::read(client, ReadCredit { account }).await?);
        }
        let credit_of = |account| credits.get(&account).copied().unwrap_or_default();
        let value = paid.and_then(|paid| paid.owed(account.address(), parties, credit_of)).map(|owed| owed.sum);
        let value =
            value.ok_or_else(|| Failure::new(Exit::Failed, "the price of storage is too large to compute with"))?;
        let from = kept_until.0.saturating_add(1);
        if !self.dry_run {
            let sent = account.submit(PruneJob { job }, value).await;
            sent.map_err(|error| Failure::of(exit_of_chain(error.class()), &format!("prune {what}"), &error))?;
        }
        let left = market::read(client, ReadPrunedJob { job }).await?;
        if common.json {
            return output::json(&json!({
                "id": self.id, "value": market::plancks(value), "from_block": from, "sent": !self.dry_run,
                "digest": left.map(|record| record.digest.to_string()),
                "pruned_at": left.map(|record| record.pruned_at.0),
            }));
        }
        let value = context.token().show(value);
        match left {
            Some(record) => output::text(&format!(
                "{what}: records removed in block {}, {value} given back to those who paid for them; digest {}",
                record.pruned_at, record.digest
            )),
            None => output::text(&format!(
                "{what}: may be pruned from block {from} on, with {value} for those who paid\nnothing was sent"
            )),
        }
    }
}
