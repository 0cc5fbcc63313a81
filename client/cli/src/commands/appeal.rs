//! `encompute worker appeal`: another committee hears a head that one has found wrong.

use crate::{
    args::{Common, Identity},
    commands::market,
    context::Context,
    failure::{Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::Args;
use encompute_audit::appeal_deposit;
use encompute_protocol::{JobId, call::AppealRuling};
use serde_json::json;

/// What `--help` says at its end.
pub const APPEAL_HELP: &str = "\
Where two of three workers find a head wrong, nothing is taken for a dispute window: the worker that committed it may have three
others hear it, once, for a head fee for each of them. If most of those find it right, the deposit comes back and the job goes on;
if they find it wrong, they are paid from the deposit; if too few workers are there or no two agree, it comes back and the first
ruling holds. A running worker that finds its head right again appeals by itself.

Examples:
  encompute worker appeal 7 --suri //Bob --dry-run
  encompute worker appeal 7 --suri //Bob";

/// A job, and the worker that committed its head.
#[derive(Args)]
pub struct Appeal {
    /// The job
    id: u64,
    /// The worker's account
    #[command(flatten)]
    identity: Identity,
    /// Show the deposit and the last block for it; send nothing
    #[arg(long)]
    dry_run: bool,
}

impl Appeal {
    /// Runs it.
    ///
    /// # Errors
    /// [`Exit::NotFound`] without such a job; when the contract refuses, nothing has moved.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        let id = JobId(self.id);
        let client = context.chain().await?;
        let (terms, progress) = market::job_of(&client, id).await?;
        let deposit =
            appeal_deposit(&terms).ok_or_else(|| Failure::new(Exit::Failed, "the deposit cannot be reckoned"))?;
        if self.dry_run {
            return match common.json {
                true => output::json(&json!({
                    "id": id.0, "stage": market::stage_name(progress.stage), "deposit": market::plancks(deposit),
                    "deadline": progress.deadline.0,
                })),
                false => output::text(&format!(
                    "deposit    {}, until block {}; job {id}: {}",
                    context.token().show(deposit),
                    progress.deadline,
                    market::stage_name(progress.stage)
                )),
            };
        }
        let account = context.account(&self.identity).await?;
        let sent = account.submit(AppealRuling { job: id }, deposit).await;
        sent.map_err(|error| Failure::of(exit_of_chain(error.class()), "appeal", &error))?;
        market::state_of(&client, id, common).await
    }
}
