//! `encompute audit`: checks what others say they did.

use crate::{
    args::Common,
    commands::rerun,
    context::Context,
    deployment::parse_address,
    ear,
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::{Args, Subcommand};
use encompute_attest::{TrustRoot, UnixSeconds};
use encompute_audit::{
    EXPORT_LIMIT_BYTES, JobBundle, Judge, LedgerReport, Own, Report, Severity, audit_exported, audit_job, audit_ledger,
    audit_session, audit_version, audit_worker, export, import,
};
use encompute_chain::{Client, ReadError};
use encompute_job::{
    GatherError, Said, gather, gather_requests, gather_session, gather_version, gather_worker, own_of, said,
};
use encompute_networks::{OsImage, Token};
use encompute_protocol::{BlobDigest, BlockNumber, JobId, MeasurementId, SessionId, VersionId, call::ReadTotals};
use serde_json::json;
use std::{
    io::Read,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// What audits take.
#[derive(Args)]
pub struct Judging {
    /// Judge quotes under this root instead of the network's: `intel`, `development` for the network's own where it is
    /// one, or a DER file of a development root
    #[arg(long, value_name = "intel|development|FILE")]
    trust_root: Option<String>,
    /// Name the image that a worker's machine booted by this table, instead of the network file's: TOML, `[[images]]` for each with name,
    /// mr_td, rtmr0 (one for each shape of machine), rtmr1, rtmr2
    #[arg(long, value_name = "FILE")]
    images: Option<PathBuf>,
    /// Also write the verdict as one page for people into this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Also write the verdict as an attestation result (EAR), a signed token that other verifiers' relying parties read
    #[arg(long, value_name = "FILE", requires = "ear_key")]
    ear: Option<PathBuf>,
    /// The auditor's own P-256 key, PKCS#8 in PEM, that signs it: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256
    #[arg(long, value_name = "FILE", requires = "ear")]
    ear_key: Option<PathBuf>,
}

/// By whose words quotes are judged, where not by the network's.
#[derive(Clone, Copy, Default)]
struct By<'a> {
    root: Option<&'a str>,
    images: Option<&'a Path>,
}

impl Judging {
    fn by(&self) -> By<'_> {
        By { root: self.trust_root.as_deref(), images: self.images.as_deref() }
    }
}

/// Check what others say they did
#[derive(Subcommand)]
pub enum Audit {
    /// One job: chain, blobs and quotes held against each other; exit code 5 if anything does not hold
    #[command(
        after_help = "Examples:\n  encompute audit job 7\n  encompute audit job 7 --json\n  encompute audit job 7 --trust-root intel\n  encompute audit job 7 --html verdict.html\n  encompute audit job 7 --ear verdict.jwt --ear-key auditor.pem\n  encompute audit job 7 --rerun creator/vault\n  encompute audit job 7 --rerun scripts/models/digits"
    )]
    Job {
        /// The job
        id: u64,
        /// Also run its head again: from a creator's vault, or the folder of a model whose head is open
        #[arg(long, value_name = "FOLDER")]
        rerun: Option<PathBuf>,
        #[command(flatten)]
        judging: Judging,
    },
    /// One worker: its registration, evidence and allow-list entry as of now; exit code 5 if anything does not hold
    #[command(
        after_help = "Examples:\n  encompute audit worker 0x… --json\n  encompute audit worker 5Grw… --html worker.html\n  encompute audit worker 5Grw… --images images.toml"
    )]
    Worker {
        /// Its account
        address: String,
        #[command(flatten)]
        judging: Judging,
    },
    /// One version: its manifest held against what the contract lists and prices; exit code 5 if anything does not hold
    #[command(after_help = "Examples:\n  encompute audit version 1\n  encompute audit version 1 --json")]
    Version {
        /// The version
        id: u32,
        #[command(flatten)]
        judging: Judging,
    },
    /// One session: its money held against its vouchers' numbers, one of its jobs against the root on chain; exit code 5 if
    /// anything does not hold
    #[command(
        after_help = "Examples:\n  encompute audit session 7\n  encompute audit session 7 --job 3 --json   (in the home that paid)"
    )]
    Session {
        /// The session
        id: u64,
        /// Also prove that this job is in it, from 0: its way up to the root on chain, and the worker's receipt
        #[arg(long, value_name = "INDEX")]
        job: Option<u32>,
        #[command(flatten)]
        judging: Judging,
    },
    /// Write everything that a job's audit reads into one file, for an auditor elsewhere
    #[command(after_help = "Examples:\n  encompute audit export 7 --out job-7.audit")]
    Export {
        /// The job
        id: u64,
        /// The file; refused where one is
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// One job out of a file: what it says of the chain is held against your own node, or taken as its word (--offline)
    #[command(
        after_help = "Examples:\n  encompute audit bundle job-7.audit\n  encompute audit bundle job-7.audit --offline --trust-root intel --json"
    )]
    Bundle {
        /// The file
        file: PathBuf,
        /// Ask nobody: facts of the chain are the file's word then, and the report says so
        #[arg(long)]
        offline: bool,
        #[command(flatten)]
        judging: Judging,
    },
    /// All money: every balance rebuilt from events alone; exit code 5 if the books do not balance
    #[command(after_help = "Examples:\n  encompute audit ledger --json")]
    Ledger,
}

impl Audit {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        let context = Context::load(common)?;
        match self {
            Self::Job { id, rerun, judging } => {
                let client = context.chain().await?;
                let (mut bundle, mut report) = gather_and_judge(&context, &client, JobId(id), judging.by()).await?;
                if let Some(folder) = &rerun {
                    let blobs = context.gateway()?;
                    let head = rerun::open(folder, &bundle, &blobs).await?;
                    gather_requests(&mut bundle, &blobs).await.map_err(gathering("gather the rounds' requests"))?;
                    let key = rerun::evaluation_key(&bundle, &blobs).await?;
                    report = encompute_audit::rerun(report, &bundle, &head, key.as_ref());
                }
                finish(&report, &judging, common)
            }
            Self::Worker { address, judging } => {
                let account = parse_address(&address)?;
                let client = context.chain().await?;
                let bundle = gather_worker(&client, &context.gateway()?, account).await;
                let bundle = bundle.map_err(gathering("gather the worker"))?;
                let judge = judge(&context, [bundle.record.measurement], judging.by())?;
                finish(&audit_worker(&bundle, &judge), &judging, common)
            }
            Self::Version { id, judging } => {
                let client = context.chain().await?;
                let bundle = gather_version(&client, &context.gateway()?, VersionId(id)).await;
                let bundle = bundle.map_err(gathering("gather the version"))?;
                let judge = judge(&context, [], judging.by())?;
                finish(&audit_version(&bundle, &judge.root), &judging, common)
            }
            Self::Session { id, job, judging } => {
                let client = context.chain().await?;
                let bundle = gather_session(&client, &context.gateway()?, context.home(), SessionId(id), job).await;
                let bundle = bundle.map_err(gathering("gather the session"))?;
                let judge = judge(&context, [], judging.by())?;
                finish(&audit_session(&bundle, &judge.root), &judging, common)
            }
            Self::Export { id, out } => export_job(&context, JobId(id), &out, common).await,
            Self::Bundle { file, offline, judging } => {
                let report = judge_file(&context, &file, offline, judging.by()).await?;
                finish(&report, &judging, common)
            }
            Self::Ledger => {
                let report = ledger(&context.chain().await?).await?;
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

/// Shows a report, and makes its verdict the command's outcome.
fn finish(report: &Report, judging: &Judging, common: &Common) -> Outcome {
    if let (Some(file), Some(key)) = (&judging.ear, &judging.ear_key) {
        let key_pem = std::fs::read_to_string(key).map(Zeroizing::new);
        let key_pem = key_pem.doing(Exit::NotFound, &format!("read {}", key.display()))?;
        let token = ear::sign(&ear::claims(report, UnixSeconds::now()), &key_pem);
        let token = token.doing(Exit::Usage, "sign the attestation result")?;
        output::file(file, token.as_bytes())?;
    }
    if let Some(file) = &judging.html {
        output::file(file, encompute_audit::html::page(report).as_bytes())?;
    }
    match common.json {
        true => output::json(report)?,
        false => print(report)?,
    }
    verdict(report)
}

/// The report's verdict as the command's outcome.
fn verdict(report: &Report) -> Outcome {
    let failed: Vec<_> = report.checks.iter().filter(|check| !check.pass).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = failed.iter().map(|check| check.id.as_str()).collect();
    let failure = Failure::new(Exit::Verification, format!("{} does not hold: {}", report.subject, names.join(", ")));
    // A blob that nobody keeps any more proves nothing, but it does not say that somebody lied either.
    match failed.iter().all(|check| check.severity == Severity::Missing) {
        true => Err(failure
            .hint("nothing contradicts it, but its proof is incomplete; another store may have it: --gateway URL")),
        false => Err(failure),
    }
}

/// Gathers everything about a job and judges it.
///
/// # Errors
/// [`Exit::NotFound`] without such a job; a check that fails is no error here but in the report.
pub async fn judge_job(context: &Context, client: &Client, job: JobId) -> Outcome<Report> {
    gather_and_judge(context, client, job, By::default()).await.map(|(_, report)| report)
}

async fn gather_and_judge(context: &Context, client: &Client, job: JobId, by: By<'_>) -> Outcome<(JobBundle, Report)> {
    let bundle = gather(client, &context.gateway()?, job).await.map_err(gathering("gather the job"))?;
    let judge = judge(context, bundle.worker.iter().map(|(_, record)| record.measurement), by)?;
    let report = audit_job(&bundle, &judge, UnixSeconds::now());
    Ok((bundle, report))
}

/// The network's judge, or one under another root or with another table of images.
fn judge(context: &Context, measurements: impl IntoIterator<Item = MeasurementId>, by: By<'_>) -> Outcome<Judge> {
    let mut judge = Judge::of(&context.network().trust, measurements).doing(Exit::Usage, "read the network's trust")?;
    if let Some(file) = by.images {
        judge.images = OsImage::load(file).doing(Exit::Usage, &format!("read {}", file.display()))?;
    }
    match by.root {
        None => {}
        Some("intel") => judge.root = TrustRoot::intel(),
        Some("development") if judge.root.kind().is_development() => {}
        Some("development") => {
            let name = &context.network().name;
            return Err(Failure::new(Exit::Usage, format!("network {name} has no development root"))
                .hint("name its certificate: --trust-root FILE"));
        }
        Some(file) => {
            let der = std::fs::read(file).doing(Exit::NotFound, &format!("read {}", PathBuf::from(file).display()))?;
            judge.root = TrustRoot::development(der).doing(Exit::Usage, &format!("read {file}"))?;
        }
    }
    Ok(judge)
}

async fn export_job(context: &Context, job: JobId, out: &Path, common: &Common) -> Outcome {
    output::is_free(out)?;
    let bundle = gather(&context.chain().await?, &context.gateway()?, job).await;
    let bundle = bundle.map_err(gathering("gather the job"))?;
    let bytes = export(&bundle).doing(Exit::Failed, "write the job into a file")?;
    output::file(out, &bytes)?;
    let (blobs, block) = (bundle.blobs.len(), bundle.read_at.block);
    match common.json {
        true => output::json(&json!({
            "job": job.0, "file": out, "bytes": bytes.len(), "blobs": blobs, "block": block.0,
            "digest": BlobDigest::of(&bytes).to_string(),
        })),
        false => output::text(&format!(
            "job {job} as of block {block}: {blobs} blobs, {} bytes in {}",
            bytes.len(),
            out.display()
        )),
    }
}

async fn judge_file(context: &Context, file: &Path, offline: bool, by: By<'_>) -> Outcome<Report> {
    let doing = format!("read {}", file.display());
    let opened = std::fs::File::open(file).doing(Exit::NotFound, &doing)?;
    let mut bytes = Vec::new();
    // One byte more than is allowed, so that a file that is too long is told from one that is not.
    opened.take(EXPORT_LIMIT_BYTES as u64 + 1).read_to_end(&mut bytes).doing(Exit::Failed, &doing)?;
    let bundle = import(&bytes).doing(Exit::Verification, &doing)?;
    let own = match offline {
        true => Own::Nothing,
        false => {
            let asked = own_of(&context.chain().await?, &bundle).await;
            asked.map_err(gathering("ask the node about the job in the file"))?
        }
    };
    let judge = judge(context, bundle.worker.iter().map(|(_, record)| record.measurement), by)?;
    Ok(audit_exported(&bundle, &own, &judge, UnixSeconds::now()))
}

fn gathering(doing: &'static str) -> impl Fn(GatherError) -> Failure {
    move |error| match &error {
        GatherError::Read { source, .. } => Failure::of(exit_of_chain(source.class()), doing, &error),
        GatherError::Forgotten { .. } => Failure::of(Exit::NotFound, doing, &error)
            .hint("ask a node that keeps old states (--rpc URL), or audit a file: encompute audit bundle FILE"),
        GatherError::NotFound(_) => Failure::new(Exit::NotFound, error.to_string()),
        GatherError::Fetch(source) => crate::context::blob_failure("fetch blobs", source),
        _ => Failure::of(Exit::Failed, doing, &error),
    }
}

fn reading(what: &'static str) -> impl Fn(ReadError) -> Failure {
    move |error| Failure::of(exit_of_chain(error.class()), what, &error)
}

fn print(report: &Report) -> Outcome {
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
        "\n{}: {} ({} checks), under {} ({})",
        report.subject,
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
