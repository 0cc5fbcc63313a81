//! `encompute audit`: checks what others say they did.

use crate::{
    args::Common,
    context::Context,
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::Subcommand;
use encompute_attest::{TrustRoot, UnixSeconds};
use encompute_audit::{Counted, JobBundle, Judge, LedgerReport, Report, audit_job, audit_ledger};
use encompute_chain::{BlockEvents, BlockHash, Client, Fact, ReadError};
use encompute_networks::Token;
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, JobId, Params, Transcript,
    call::{ReadJob, ReadMeasurement, ReadModel, ReadParams, ReadSplit, ReadTotals, ReadVersion, ReadWorker},
    event::Event,
    wire::Message,
};
use encompute_store::{Blobs, ByteLimit, GatewayClient, GetError};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

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

/// Most bytes of one blob that an audit fetches.
const BLOB_LIMIT_BYTES: u64 = 48 * 1024 * 1024;
/// Most bytes of all of them: a worker's transcript may name a thousand responses. They come last, and
/// the report says which were not compared.
const JOB_LIMIT_BYTES: u64 = 256 * 1024 * 1024;

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
    let bundle = gather(client, &context.gateway()?, job).await?;
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

fn reading(what: &'static str) -> impl Fn(ReadError) -> Failure {
    move |error| Failure::of(exit_of_chain(error.class()), what, &error)
}

/// What the contract said in a range of blocks.
struct Said {
    /// Events in order, each with its block.
    events: Vec<(BlockNumber, Event)>,
    /// How many more there are that this program cannot read.
    unread: u32,
}

async fn said(client: &Client, first: BlockNumber, last: BlockNumber) -> Outcome<Said> {
    let blocks = client.events_in(first..=last).await.map_err(reading("read the events"))?;
    let unread = blocks.iter().map(|block| block.unread).sum();
    let of_block = |block: BlockEvents| {
        let number = block.block.number;
        block.events.into_iter().map(move |emitted| (number, emitted.event))
    };
    Ok(Said { events: blocks.into_iter().flat_map(of_block).collect(), unread })
}

/// Parameters over the life of a job.
struct ParamsThen {
    /// Those that priced it.
    params: Params,
    /// True where they changed in the block of the request, before or after it.
    unsure: bool,
    /// Every treasury from then to its end.
    treasuries: BTreeSet<Address>,
}

async fn params_then(
    client: &Client,
    requested_at: BlockNumber,
    events: &[(BlockNumber, Event)],
) -> Outcome<ParamsThen> {
    let params = read_in(client, hash_of(client, requested_at).await?, ReadParams {}).await?;
    let changes = events.iter().filter_map(|(block, event)| match event {
        Event::ParamsChanged(changed) => Some((*block, changed.params.treasury)),
        _ => None,
    });
    let unsure = changes.clone().any(|(block, _)| block == requested_at);
    let treasuries = changes.map(|(_, treasury)| treasury).chain([params.treasury]).collect();
    Ok(ParamsThen { params, unsure, treasuries })
}

async fn hash_of(client: &Client, block: BlockNumber) -> Outcome<BlockHash> {
    client.block(block).await.map(|block| block.hash).map_err(reading("look a block up"))
}

/// What the contract answered at a block.
async fn read_in<C: Fact>(client: &Client, block: BlockHash, call: C) -> Outcome<C::Answer> {
    client.read_at(call, block).await.map_err(reading("read the chain"))
}

async fn gather(client: &Client, blobs: &GatewayClient, job: JobId) -> Outcome<JobBundle> {
    let missing = |what: &str| Failure::new(Exit::NotFound, format!("there is no {what}"));
    // Facts and events up to one block: a job that runs goes on meanwhile.
    let head = client.head().await.map_err(reading("read the chain"))?;
    let found = read_in(client, head.hash, ReadJob { job }).await?;
    let (terms, progress) = found.ok_or_else(|| missing(&format!("job {job}")))?;
    let version = read_in(client, head.hash, ReadVersion { version: terms.version }).await?;
    let version = version.ok_or_else(|| missing("such version"))?;
    let split = read_in(client, head.hash, ReadSplit { version: terms.version, split: terms.split }).await?;
    let split = split.ok_or_else(|| missing("such split"))?;
    let model = read_in(client, head.hash, ReadModel { model: terms.model }).await?;
    let (model, _) = model.ok_or_else(|| missing("such model"))?;
    // Nothing happens to a job after its end, so an old one is audited as fast as a new one.
    let last = if progress.stage.is_terminal() { progress.changed_at } else { head.number };
    let Said { events, unread } = said(client, terms.requested_at, last).await?;
    let ParamsThen { params, unsure, treasuries } = params_then(client, terms.requested_at, &events).await?;
    let events: Vec<_> = events.into_iter().filter(|(_, event)| event.job() == Some(job)).collect();
    let (worker, measurement) = match progress.worker {
        None => (None, None),
        Some(account) => {
            let claimed = hash_of(client, progress.claimed_at).await?;
            let found = read_in(client, claimed, ReadWorker { worker: account }).await?;
            let (record, _) = found.ok_or_else(|| missing("such worker"))?;
            let measurement = ReadMeasurement { measurement: record.measurement };
            (Some((account, record)), read_in(client, head.hash, measurement).await?)
        }
    };
    let counted_at = match Counted::of(&events) {
        None => None,
        Some(counted) => {
            let time = client.time_of(hash_of(client, counted.block).await?).await;
            Some(time.map_err(reading("read the time of a block"))?.into())
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
        params_unsure: unsure,
        treasuries,
        worker,
        measurement,
        counted_at,
        unread_events: unread,
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
    let (mut next, mut left) = (0, JOB_LIMIT_BYTES);
    while let Some(digest) = wanted.get(next).copied() {
        next += 1;
        if bundle.blobs.contains_key(&digest) {
            continue;
        }
        match blobs.get(digest, ByteLimit(left.min(BLOB_LIMIT_BYTES))).await {
            Ok(bytes) => {
                left = left.saturating_sub(bytes.len() as u64);
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
    let stated = read_in(client, head.hash, ReadTotals {}).await?;
    let balance = client.payable_at(contract, head.hash).await;
    let balance = balance.map_err(reading("read the contract's balance"))?;
    let Said { events, unread } = said(client, BlockNumber(1), head.number).await?;
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
