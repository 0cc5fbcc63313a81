//! `encompute audit`: checks what others say they did.

use crate::{
    args::Common,
    commands::market::read,
    context::Context,
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::Subcommand;
use encompute_attest::{TrustRoot, UnixSeconds};
use encompute_audit::{JobBundle, Judge, LedgerReport, Report, audit_job, audit_ledger};
use encompute_chain::{AccountId, Client};
use encompute_protocol::{
    BlobDigest, BlockNumber, ContractAddress, JobId, Plancks, Transcript,
    call::{ReadJob, ReadMeasurement, ReadModel, ReadParams, ReadSplit, ReadTotals, ReadVersion, ReadWorker},
    event::Event,
    wire::Message,
};
use encompute_store::{Blobs, ByteLimit, GatewayClient, GetError};
use std::{collections::BTreeMap, path::PathBuf};

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

/// Largest blob that an audit fetches.
const BLOB_LIMIT: ByteLimit = ByteLimit(48 * 1024 * 1024);

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
                let failed: Vec<_> =
                    report.checks.iter().filter(|check| !check.pass).map(|check| check.id.as_str()).collect();
                match failed.is_empty() {
                    true => Ok(()),
                    false => {
                        Err(Failure::new(Exit::Verification, format!("job {id} does not hold: {}", failed.join(", "))))
                    }
                }
            }
            Self::Ledger => {
                let report = ledger(&client).await?;
                match common.json {
                    true => output::json(&report)?,
                    false => print_ledger(&report)?,
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

/// Gathers everything about a job and judges it.
///
/// # Errors
/// [`Exit::NotFound`] without such a job; a check that fails is no error here but in the report.
pub async fn judge_job(context: &Context, client: &Client, job: JobId, trust_root: Option<&str>) -> Outcome<Report> {
    let bundle = gather(client, &context.gateway()?, job).await?;
    let measurements = bundle.worker.iter().map(|(_, record)| record.measurement);
    let mut judge =
        Judge::of_network(context.network(), measurements).doing(Exit::Usage, "read the network's trust")?;
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

fn concerns(event: &Event, job: JobId) -> bool {
    match event {
        Event::JobRequested(event) => event.job == job,
        Event::JobStageChanged(event) => event.job == job,
        Event::HeadCommitted(event) => event.job == job,
        Event::FeaturesSent(event) => event.job == job,
        Event::ResultCommitted(event) => event.job == job,
        Event::Credited(event) => event.job == job,
        Event::StakeMoved(event) => event.job == Some(job),
        Event::BondMoved(event) => event.job == Some(job),
        _ => false,
    }
}

/// Events of a range of blocks, in order.
async fn events(client: &Client, first: BlockNumber, last: BlockNumber) -> Outcome<Vec<(BlockNumber, Event)>> {
    let blocks = client
        .events_in(first..=last)
        .await
        .map_err(|error| Failure::of(exit_of_chain(error.class()), "read the events", &error))?;
    Ok(blocks
        .into_iter()
        .flat_map(|block| block.events.into_iter().map(move |emitted| (block.block.number, emitted.event)))
        .collect())
}

async fn gather(client: &Client, blobs: &GatewayClient, job: JobId) -> Outcome<JobBundle> {
    let missing = |what: &str| Failure::new(Exit::NotFound, format!("there is no {what}"));
    let (terms, progress) = read(client, ReadJob { job }).await?.ok_or_else(|| missing(&format!("job {job}")))?;
    let version = read(client, ReadVersion { version: terms.version }).await?.ok_or_else(|| missing("such version"))?;
    let split = read(client, ReadSplit { version: terms.version, split: terms.split })
        .await?
        .ok_or_else(|| missing("such split"))?;
    let (model, _) = read(client, ReadModel { model: terms.model }).await?.ok_or_else(|| missing("such model"))?;
    let params = read(client, ReadParams {}).await?;
    // From the request on, for parameters may have changed after it; a job's own events end with it.
    let head =
        client.head().await.map_err(|error| Failure::of(exit_of_chain(error.class()), "read the chain", &error))?;
    let all = events(client, terms.requested_at, head.number).await?;
    let params_changed_at =
        all.iter().rev().find(|(_, event)| matches!(event, Event::ParamsChanged(_))).map(|(block, _)| *block);
    let events: Vec<_> = all.into_iter().filter(|(_, event)| concerns(event, job)).collect();
    let (worker, measurement) = match progress.worker {
        None => (None, None),
        Some(account) => {
            // The registration as it was when the worker committed, or now while it has not.
            let committed =
                events.iter().find(|(_, event)| matches!(event, Event::HeadCommitted(_))).map(|(block, _)| *block);
            let at = client.block(committed.unwrap_or(head.number)).await;
            let at = at.map_err(|error| Failure::of(exit_of_chain(error.class()), "read the chain", &error))?;
            let record = client.read_at(ReadWorker { worker: account }, at.hash).await;
            let record =
                record.map_err(|error| Failure::of(exit_of_chain(error.class()), "read the worker", &error))?;
            let record = record.map(|(record, _)| record).ok_or_else(|| missing("such worker"))?;
            (Some((account, record)), read(client, ReadMeasurement { measurement: record.measurement }).await?)
        }
    };
    let mut bundle = JobBundle {
        genesis: client.genesis(),
        contract: client.contract().unwrap_or_default(),
        job,
        terms,
        progress,
        events,
        version,
        split,
        creator: model.creator,
        params,
        params_changed_at,
        worker,
        measurement,
        blobs: BTreeMap::new(),
    };
    fetch(&mut bundle, blobs).await?;
    Ok(bundle)
}

/// Fetches what the bundle names; what is not there stays missing, and the report says so.
async fn fetch(bundle: &mut JobBundle, blobs: &GatewayClient) -> Outcome {
    let mut wanted = vec![BlobDigest(bundle.version.manifest.0), bundle.terms.input];
    wanted.extend(bundle.worker.iter().map(|(_, record)| record.evidence));
    wanted.extend([bundle.progress.output, bundle.progress.features, bundle.progress.result].into_iter().flatten());
    let mut next = 0;
    while let Some(digest) = wanted.get(next).copied() {
        next += 1;
        match blobs.get(digest, BLOB_LIMIT).await {
            Ok(bytes) => {
                // Responses are named by the transcript alone.
                if Some(digest) == bundle.progress.output
                    && let Ok(transcript) = Transcript::from_wire(&bytes)
                {
                    wanted.extend(transcript.rounds.iter().map(|(receipt, _)| receipt.response));
                }
                bundle.blobs.insert(digest, bytes.to_vec());
            }
            Err(GetError::NotFound { .. } | GetError::Damaged { .. } | GetError::TooLarge { .. }) => {}
            Err(error) => return Err(crate::context::blob_failure("fetch the job's blobs", &error)),
        }
    }
    Ok(())
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
    let root = &report.trust_root;
    output::text(&format!(
        "\njob {job}: {} ({} checks), under {} ({})",
        report.verdict,
        report.checks.len(),
        root.name,
        root.fingerprint
    ))
}

/// What the platform keeps of an account's free balance; not the contract's to pay out.
async fn contract_balance(client: &Client, contract: ContractAddress) -> Outcome<Plancks> {
    let fail = |error: encompute_chain::ReadError| {
        Failure::of(exit_of_chain(error.class()), "read the contract's balance", &error)
    };
    // An address without an account of its own is mapped to its 20 bytes and twelve times 0xee.
    let mut account = [0xee; 32];
    account[..20].copy_from_slice(&contract.0);
    let free = client.balance(&AccountId(account)).await.map_err(fail)?.free;
    let deposit = client.constants().await.map_err(fail)?.existential_deposit;
    Ok(free.checked_sub(deposit).unwrap_or_default())
}

async fn ledger(client: &Client) -> Outcome<LedgerReport> {
    let fail = |error: encompute_chain::ReadError| Failure::of(exit_of_chain(error.class()), "read the chain", &error);
    let contract = client.contract().ok_or_else(|| Failure::new(Exit::Usage, "the network names no contract"))?;
    // The balance is the last block's: read again when a block came between.
    loop {
        let head = client.head().await.map_err(fail)?;
        let stated = client.read_at(ReadTotals {}, head.hash).await.map_err(fail)?;
        let balance = contract_balance(client, contract).await?;
        if client.head().await.map_err(fail)?.number != head.number {
            continue;
        }
        let events = events(client, BlockNumber(1), head.number).await?;
        return Ok(audit_ledger(&events, head.number, &stated, balance));
    }
}

fn print_ledger(report: &LedgerReport) -> Outcome {
    let rows: Vec<_> = report
        .totals
        .iter()
        .map(|(name, amount)| {
            vec![
                (*name).to_owned(),
                amount.parse().map(|plancks| encompute_protocol::Plancks(plancks).to_string()).unwrap_or_default(),
            ]
        })
        .collect();
    output::text(&output::table(&rows))?;
    report.differences.iter().try_for_each(|difference| output::text(&format!("DIFFERS  {difference}")))?;
    let verdict = if report.balanced { "balanced" } else { "NOT BALANCED" };
    output::text(&format!("\n{verdict}: {} jobs over {} blocks, rebuilt from events alone", report.jobs, report.blocks))
}
