//! `encompute audit`: checks what others say they did.

use crate::{
    args::Common,
    context::Context,
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::Subcommand;
use encompute_attest::{TrustRoot, UnixSeconds};
use encompute_audit::{Judge, LedgerReport, Report, audit_job, audit_ledger};
use encompute_chain::{Client, ReadError};
use encompute_job::{GatherError, Said, gather, said};
use encompute_networks::Token;
use encompute_protocol::{BlockNumber, JobId, call::ReadTotals};
use std::path::PathBuf;

/// Check what others say they did
#[derive(Subcommand)]
pub enum Audit {
    /// One job: chain, blobs and quotes held against each other; exit code 5 if anything does not hold
    #[command(
        after_help = "Examples:\n  encompute audit job 7\n  encompute audit job 7 --json\n  encompute audit job 7 --trust-root intel"
    )]
    Job {
        /// The job
        id: u64,
        /// Judge quotes under this root instead of the network's: `intel`, or a DER file of a development root
        #[arg(long, value_name = "intel|FILE")]
        trust_root: Option<String>,
    },
    /// All money: every balance rebuilt from events alone; exit code 5 if the books do not balance
    #[command(after_help = "Examples:\n  encompute audit ledger --json")]
    Ledger,
}

impl Audit {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        let context = Context::load(common)?;
        let client = context.chain().await?;
        match self {
            Self::Job { id, trust_root } => {
                let report = judge_job(&context, &client, JobId(id), trust_root.as_deref()).await?;
                match common.json {
                    true => output::json(&report)?,
                    false => print(&report, JobId(id))?,
                }
                verdict(&report, JobId(id))
            }
            Self::Ledger => {
                let report = ledger(&client).await?;
                match common.json {
                    true => output::json(&report)?,
                    false => print_ledger(&report, context.token())?,
                }
                match report.balanced {
                    true => Ok(()),
                    false => Err(Failure::new(
                        Exit::Verification,
                        format!("the books do not balance: {}", report.differences.join("; ")),
                    )),
                }
            }
        }
    }
}

/// The report's verdict as the command's outcome.
fn verdict(report: &Report, job: JobId) -> Outcome {
    let failed: Vec<_> = report.checks.iter().filter(|check| !check.pass).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = failed.iter().map(|check| check.id.as_str()).collect();
    let failure = Failure::new(Exit::Verification, format!("job {job} does not hold: {}", names.join(", ")));
    // A blob that nobody keeps any more proves nothing, but it does not say that somebody lied either.
    match failed.iter().all(|check| check.actual == encompute_audit::MISSING) {
        true => Err(failure
            .hint("nothing contradicts it, but its proof is incomplete; another store may have it: --gateway URL")),
        false => Err(failure),
    }
}

/// Gathers everything about a job and judges it.
///
/// # Errors
/// [`Exit::NotFound`] without such a job; a check that fails is no error here but in the report.
pub async fn judge_job(context: &Context, client: &Client, job: JobId, trust_root: Option<&str>) -> Outcome<Report> {
    let bundle = gather(client, &context.gateway()?, job).await.map_err(gathering)?;
    let measurements = bundle.worker.iter().map(|(_, record)| record.measurement);
    let mut judge = Judge::of(&context.network().trust, measurements).doing(Exit::Usage, "read the network's trust")?;
    match trust_root {
        None => {}
        Some("intel") => judge.root = TrustRoot::intel(),
        Some(file) => {
            let der = std::fs::read(file).doing(Exit::NotFound, &format!("read {}", PathBuf::from(file).display()))?;
            judge.root = TrustRoot::development(der).doing(Exit::Usage, &format!("read {file}"))?;
        }
    }
    Ok(audit_job(&bundle, &judge, UnixSeconds::now()))
}

fn gathering(error: GatherError) -> Failure {
    match &error {
        GatherError::Read { source, .. } => Failure::of(exit_of_chain(source.class()), "gather the job", &error),
        GatherError::NotFound(_) => Failure::new(Exit::NotFound, error.to_string()),
        GatherError::Fetch(source) => crate::context::blob_failure("fetch the job's blobs", source),
        _ => Failure::of(Exit::Failed, "gather the job", &error),
    }
}

fn reading(what: &'static str) -> impl Fn(ReadError) -> Failure {
    move |error| Failure::of(exit_of_chain(error.class()), what, &error)
}

fn print(report: &Report, job: JobId) -> Outcome {
    let mut rows = vec![["", "check", "expected", "found", "from"].map(String::from).to_vec()];
    let short = |text: &str| {
        if text.chars().count() > 44 {
            format!("{}…", text.chars().take(43).collect::<String>())
        } else {
            text.to_owned()
        }
    };
    rows.extend(report.checks.iter().map(|check| {
        let mark = if check.pass { "ok" } else { "FAIL" };
        // A failure is shown whole: it is what the auditor came for.
        let cell = |text: &str| if check.pass { short(text) } else { text.to_owned() };
        vec![mark.to_owned(), check.id.clone(), cell(&check.expected), cell(&check.actual), check.source.clone()]
    }));
    output::text(&output::table(&rows))?;
    output::text("")?;
    report.limits.iter().try_for_each(|limit| output::text(&format!("  {limit}")))?;
    if let Some(judged) = &report.judged {
        output::text(&format!("\nevidence judged as of {}, block {}: {}", judged.time, judged.block, judged.why))?;
    }
    let root = &report.trust_root;
    output::text(&format!(
        "\njob {job}: {} ({} checks), under {} ({})",
        report.verdict,
        report.checks.len(),
        root.name,
        root.fingerprint
    ))
}

async fn ledger(client: &Client) -> Outcome<LedgerReport> {
    let contract = client.contract().ok_or_else(|| Failure::new(Exit::Usage, "the network names no contract"))?;
    // Sums, balance and events of one block: the chain goes on meanwhile.
    let head = client.head().await.map_err(reading("read the chain"))?;
    let stated = client.read_at(ReadTotals {}, head.hash).await.map_err(reading("read the chain"))?;
    let balance = client.payable_at(contract, head.hash).await;
    let balance = balance.map_err(reading("read the contract's balance"))?;
    let Said { events, unread } =
        said(client, BlockNumber(1)..=head.number).await.map_err(reading("read the events"))?;
    Ok(audit_ledger(&events, unread, head.number, &stated, balance))
}

fn print_ledger(report: &LedgerReport, token: &Token) -> Outcome {
    let rows: Vec<_> = report
        .totals
        .iter()
        .map(|(name, amount)| {
            vec![
                (*name).to_owned(),
                amount.parse().map(|plancks| token.show(encompute_protocol::Plancks(plancks))).unwrap_or_default(),
            ]
        })
        .collect();
    output::text(&output::table(&rows))?;
    report.differences.iter().try_for_each(|difference| output::text(&format!("DIFFERS  {difference}")))?;
    let verdict = if report.balanced { "balanced" } else { "NOT BALANCED" };
    output::text(&format!("\n{verdict}: {} jobs over {} blocks, rebuilt from events alone", report.jobs, report.blocks))
}
