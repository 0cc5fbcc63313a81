//! `encompute job list`: jobs on chain.

use crate::{args::Common, commands::market, context::Context, failure::Outcome, output};
use clap::Args;
use encompute_protocol::{
    JobId, Plancks,
    call::{ReadCounts, ReadJob},
};
use serde_json::{Value, json};

/// Which jobs to list.
#[derive(Args)]
pub struct List {
    /// Only jobs of this account: an address, an account id or //Name
    #[arg(long, value_name = "ACCOUNT")]
    user: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
}

impl List {
    /// Runs it. Jobs whose records were removed are left out.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        let client = context.chain().await?;
        let user = self.user.as_deref().map(crate::deployment::parse_address).transpose()?;
        let counts = market::read(&client, ReadCounts {}).await?;
        let mut jobs = Vec::new();
        for id in (1..=counts.jobs).rev() {
            if jobs.len() as u64 >= self.limit {
                break;
            }
            let Some((terms, progress)) = market::read(&client, ReadJob { job: JobId(id) }).await? else { continue };
            if user.is_none_or(|user| user == terms.user) {
                jobs.push(market::job_json(JobId(id), &terms, &progress));
            }
        }
        if common.json {
            return output::json(&json!({ "jobs": jobs }));
        }
        if jobs.is_empty() {
            output::say("no jobs yet; buy a run: encompute job submit --model digits --input FILE --suri //Dave");
            return Ok(());
        }
        let head = ["id", "version", "stage", "reason", "escrow", "changed at"].map(String::from).to_vec();
        let cell = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
        };
        let rows = jobs.iter().map(|job| {
            let escrow = job["escrow"].as_str().and_then(|plancks| plancks.parse().ok()).map(Plancks);
            let escrow = escrow.map(|escrow| context.token().show(escrow)).unwrap_or_default();
            let [id, version, stage, reason, changed_at] =
                ["id", "version", "stage", "reason", "changed_at"].map(|key| cell(&job[key]));
            vec![id, version, stage, reason, escrow, changed_at]
        });
        output::text(&output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))
    }
}
