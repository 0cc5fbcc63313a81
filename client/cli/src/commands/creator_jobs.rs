//! `encompute creator jobs`: who runs a creator's models, where it stands, what it brings.

use super::{market, versions::models_of};
use crate::{
    args::{Common, Identity},
    context::{Context, stop_signal},
    failure::{Failure, Outcome, exit_of_chain},
    output,
};
use clap::Args;
use encompute_chain::Client;
use encompute_protocol::{
    Address, JobId, JobProgress, JobTerms, Plancks, Stage,
    call::{ReadCounts, ReadCredit, ReadJob},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, io::IsTerminal};

/// Which jobs.
#[derive(Args)]
pub struct Jobs {
    /// Whose models
    #[command(flatten)]
    identity: Identity,
    /// Show them again with every block that changes one, until stopped
    #[arg(long)]
    watch: bool,
    /// Newest jobs at most
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
}

/// What is shown.
#[derive(PartialEq)]
struct Table {
    credit: Plancks,
    jobs: Vec<(JobId, String, JobTerms, JobProgress)>,
}

impl Jobs {
    /// Runs it.
    ///
    /// # Errors
    /// When the account cannot be opened or the chain not be read.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        let creator = context.signer(&self.identity)?.address();
        let client = context.chain().await?;
        let read =
            |error: &encompute_chain::ReadError| Failure::of(exit_of_chain(error.class()), "follow the chain", error);
        let from = client.head().await.map_err(|error| read(&error))?;
        let mut follow = client.follow(from.number);
        let mut shown = None;
        loop {
            let table = self.table(&client, creator).await?;
            if shown.as_ref() != Some(&table) {
                table.show(context, common, self.watch)?;
                shown = Some(table);
            }
            if !self.watch {
                return Ok(());
            }
            tokio::select! {
                next = follow.next() => next.map(drop).map_err(|error| read(&error))?,
                () = stop_signal() => return Ok(()),
            }
        }
    }

    async fn table(&self, client: &Client, creator: Address) -> Outcome<Table> {
        let counts = market::read(client, ReadCounts {}).await?;
        let models = models_of(client, creator).await?;
        let names: BTreeMap<_, _> = models.into_iter().map(|(model, _, name)| (model, name.to_string())).collect();
        let mut jobs = Vec::new();
        for id in (1..=counts.jobs).rev() {
            if jobs.len() >= self.limit || names.is_empty() {
                break;
            }
            let job = JobId(id);
            let Some((terms, progress)) = market::read(client, ReadJob { job }).await? else { continue };
            if let Some(name) = names.get(&terms.model) {
                jobs.push((job, name.clone(), terms, progress));
            }
        }
        Ok(Table { credit: market::read(client, ReadCredit { account: creator }).await?, jobs })
    }
}

impl Table {
    fn show(&self, context: &Context, common: &Common, again: bool) -> Outcome {
        if common.json {
            let job = |(job, name, terms, progress): &(JobId, String, JobTerms, JobProgress)| {
                let mut value = market::job_json(*job, terms, progress);
                value["model"] = Value::from(name.as_str());
                value["tail_fee"] = market::plancks(terms.fees.tail);
                value
            };
            let jobs: Vec<Value> = self.jobs.iter().map(job).collect();
            return output::json(&json!({ "credit": market::plancks(self.credit), "jobs": jobs }));
        }
        if again && std::io::stdout().is_terminal() {
            // Over the table before.
            output::text("\x1b[H\x1b[2J")?;
        }
        let token = context.token();
        output::text(&format!("may be withdrawn: {}", token.show(self.credit)))?;
        if self.jobs.is_empty() {
            return output::text("no jobs yet");
        }
        let mut rows = vec![["job", "model", "stage", "by block", "tail fee"].map(String::from).to_vec()];
        rows.extend(self.jobs.iter().map(|(job, name, terms, progress)| {
            let due = if progress.stage.is_terminal() { String::new() } else { progress.deadline.to_string() };
            let stage = match (progress.stage, progress.reason) {
                (Stage::FeaturesSent, _) => "features sent: yours to answer".to_owned(),
                (stage, Some(reason)) if stage.is_terminal() => {
                    format!("{}: {}", market::stage_name(stage), market::reason_words(reason))
                }
                (stage, _) => market::stage_name(stage).to_owned(),
            };
            vec![job.to_string(), name.clone(), stage, due, token.show(terms.fees.tail).to_string()]
        }));
        output::text(&output::table(&rows))
    }
}
