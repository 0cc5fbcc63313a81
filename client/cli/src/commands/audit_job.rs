//! `encompute job audit`: a job was drawn, and its head is to be run again at the treasury's cost.

use crate::{
    args::{Common, Identity},
    commands::market,
    context::Context,
    failure::{Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::Args;
use encompute_audit::{Software, drawing_block, is_drawn};
use encompute_chain::Client;
use encompute_protocol::{
    BlockNumber, ContractAddress, DisputeKind, JobId, JobProgress, JobTerms, Plancks,
    call::{OpenDispute, ReadCredit, ReadJob, ReadParams},
    dispute::AUDIT_BLOCKS,
};
use serde_json::json;

/// What `--help` says at its end.
pub const AUDIT_HELP: &str = "\
Workers do this by themselves. A job is drawn by the hash of the block after its head was committed, and may be audited once,
within 200 blocks of it, until it ends. It costs whoever says so the transaction's fee; the treasury pays the committee.

Examples:
  encompute job audit 7 --dry-run
  encompute job audit 7 --suri //Eve";

/// A job, and who says that it was drawn.
#[derive(Args)]
pub struct AuditJob {
    /// The job
    id: u64,
    /// Who signs
    #[command(flatten)]
    identity: Identity,
    /// Show whether the job was drawn, and what it would cost the treasury; send nothing
    #[arg(long)]
    dry_run: bool,
}

/// Whether a job was drawn, as far as the chain still tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drawn {
    Yes,
    No,
    /// Its head is not committed, the block after is not there yet, or its hash is forgotten.
    Unknown,
}

impl AuditJob {
    /// Runs it.
    ///
    /// # Errors
    /// [`Exit::NotFound`] without such a job; when the contract refuses, nothing has moved.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        let id = JobId(self.id);
        let client = context.chain().await?;
        let found = market::read(&client, ReadJob { job: id }).await?;
        let (terms, progress) = found.ok_or_else(|| Failure::new(Exit::NotFound, format!("there is no job {id}")))?;
        if !self.dry_run {
            let account = context.account(&self.identity).await?;
            let message = OpenDispute { job: id, kind: DisputeKind::Audit, evidence: None };
            let opened = account.submit(message, Plancks::ZERO).await;
            opened.map_err(|error| Failure::of(exit_of_chain(error.class()), "open the audit", &error))?;
            return market::state_of(&client, id, common).await;
        }
        let contract = client.contract().unwrap_or_default();
        let drawn = drawn(&client, contract, id, &terms, &progress).await?;
        let deposit = encompute_audit::deposit(&terms, DisputeKind::Audit)
            .ok_or_else(|| Failure::new(Exit::Failed, "the deposit cannot be reckoned"))?;
        let treasury = market::read(&client, ReadParams {}).await?.treasury;
        let credit = market::read(&client, ReadCredit { account: treasury }).await?;
        let until = BlockNumber(progress.committed_at.0.saturating_add(AUDIT_BLOCKS.0));
        if common.json {
            let drawn = match drawn {
                Drawn::Yes => Some(true),
                Drawn::No => Some(false),
                Drawn::Unknown => None,
            };
            return output::json(&json!({
                "id": id.0, "drawn": drawn, "share_bp": terms.audit_share.0, "deposit": market::plancks(deposit),
                "treasury_credit": market::plancks(credit), "until_block": progress.output.map(|_| until.0),
            }));
        }
        let show = |amount| context.token().show(amount);
        let words = match drawn {
            Drawn::Yes => format!("drawn; it may be audited until block {until}, or its end"),
            Drawn::No => "not drawn".to_owned(),
            Drawn::Unknown => "not known: the head is not committed, or its block is too new or too old".to_owned(),
        };
        output::text(&format!(
            "job {id}    {words}\nshare      {} of 10000 jobs\ndeposit    {}, of the treasury's credit of {}\nnothing was sent",
            terms.audit_share.0,
            show(deposit),
            show(credit),
        ))
    }
}

async fn drawn(
    client: &Client,
    contract: ContractAddress,
    job: JobId,
    terms: &JobTerms,
    progress: &JobProgress,
) -> Outcome<Drawn> {
    let unread =
        |error: encompute_chain::ReadError| Failure::of(exit_of_chain(error.class()), "read the chain", &error);
    let head = client.head().await.map_err(unread)?;
    let Some(decides) = drawing_block(progress).filter(|decides| *decides < head.number) else {
        return Ok(Drawn::Unknown);
    };
    let hash = client.contract_hash_of(decides, head.hash).await.map_err(unread)?;
    Ok(match hash.map(|hash| is_drawn(&Software, &hash, contract, job, terms.audit_share)) {
        Some(true) => Drawn::Yes,
        Some(false) => Drawn::No,
        None => Drawn::Unknown,
    })
}
