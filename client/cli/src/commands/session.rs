//! `encompute session`: pay once for many runs.

use crate::{
    args::{Common, Identity},
    commands::{
        job::{Choice, runner},
        market,
        prune::{PRUNE_SESSION_HELP, Prune},
    },
    context::Context,
    failure::{Doing, Exit, Failure, Outcome, failure_of_job},
    input, output,
    preview::Wish,
    rail::Rail,
};
use clap::{Args, Subcommand};
use encompute_chain::Account;
use encompute_job::{Book, Finding, Order, Runner, SessionAsked, SessionJobEnded};
use encompute_model::preamble::SliceNumber;
use encompute_protocol::{Blocks, Plancks, PolicyId, SessionId, SessionRecord, SessionStage};
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};
use zeroize::Zeroizing;

/// Pay once for many runs: open, submit, status, close, prune
#[derive(Subcommand)]
pub enum Session {
    /// Find a worker and pay for so many runs of one model; what is not used comes back
    #[command(
        after_help = "Examples:\n  encompute session open --model digits --jobs 10 --suri //Dave\n  encompute session open --model digits --jobs 10 --suri //Dave --dry-run"
    )]
    Open(Open),
    /// Run one file or more, one after the other, without a transaction
    #[command(
        after_help = "Examples:\n  encompute session submit 7 --input 7.png --suri //Dave\n  encompute session submit 7 --input 7.png --input 3.png --suri //Dave --json"
    )]
    Submit(Submit),
    /// Where a session stands, and what was done in it
    #[command(after_help = "Examples:\n  encompute session status 7\n  encompute session status 7 --json")]
    Status {
        /// The session
        id: u64,
    },
    /// End a session: at once if worker and creator agree, else by a window in which a higher voucher wins
    #[command(after_help = "Examples:\n  encompute session close 7 --suri //Dave")]
    Close(Close),
    /// Remove the record of a session that ended long ago; its user gets the deposit back
    #[command(after_help = PRUNE_SESSION_HELP)]
    Prune(Prune),
}

/// What to open.
#[derive(Args)]
pub struct Open {
    /// What to buy
    #[command(flatten)]
    choice: Choice,
    /// How many runs at most
    #[arg(long, value_name = "N")]
    jobs: u32,
    /// For how many blocks at most; the worker may offer fewer
    #[arg(long, default_value_t = 3_600, value_name = "N")]
    blocks: u32,
    /// Who pays
    #[command(flatten)]
    identity: Identity,
    /// Show the price; send nothing
    #[arg(long)]
    dry_run: bool,
}

/// What to run.
#[derive(Args)]
pub struct Submit {
    /// The session
    id: u64,
    /// A file, as the model says; may be named several times
    #[arg(long, value_name = "FILE", required = true)]
    input: Vec<PathBuf>,
    /// Of a scan: which slice or frame, from 1; the middle one if not given
    #[arg(long, value_name = "N")]
    slice: Option<u32>,
    /// Who paid
    #[command(flatten)]
    identity: Identity,
    /// How long each may take
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    patience: u64,
    /// Whether to look before sending
    #[command(flatten)]
    look: Wish,
}

/// What to close.
#[derive(Args)]
pub struct Close {
    /// The session
    id: u64,
    /// Who paid
    #[command(flatten)]
    identity: Identity,
    /// How long to wait for worker and creator to agree
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    patience: u64,
}

impl Session {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        let context = Context::load(common)?;
        match self {
            Self::Open(open) => open.run(&context, common).await,
            Self::Submit(submit) => submit.run(&context, common).await,
            Self::Status { id } => status(&context, SessionId(id), common).await,
            Self::Close(close) => close.run(&context, common).await,
            Self::Prune(prune) => prune.session(&context, common).await,
        }
    }
}

impl Open {
    async fn run(self, context: &Context, common: &Common) -> Outcome {
        let client = context.chain().await?;
        let listing = market::find(&client, &context.gateway()?, &self.choice.model).await?;
        let (split, policy) = market::choose(&listing, self.choice.split.as_deref(), self.choice.policy.as_deref())?;
        if self.dry_run {
            let quote =
                market::quote(&client, &listing, self.choice.split.as_deref(), self.choice.policy.as_deref()).await?;
            let escrow = quote.fees.total().and_then(|one| one.checked_mul(self.jobs.into())).unwrap_or_default();
            return match common.json {
                true => {
                    output::json(&json!({ "jobs": self.jobs, "each": quote.json(), "escrow": market::plancks(escrow) }))
                }
                false => {
                    output::text(&market::quote_words(&quote, context.token()))?;
                    output::text(&format!("{} runs: {} in all, paid at once", self.jobs, context.token().show(escrow)))
                }
            };
        }
        let account = client.signed_by(context.signer(&self.identity)?);
        let runner = runner(context, account, true)?;
        let asked = SessionAsked {
            version: listing.version,
            manifest: listing.manifest.clone(),
            split,
            policy: PolicyId(policy.id.0),
            jobs: self.jobs,
            length: Blocks(self.blocks),
        };
        let book = runner.open_session(&asked).await.map_err(|error| failure_of_job(&error))?;
        let record = read(context, book.session()).await?;
        print(context, book.session(), &record, common)
    }
}

impl Submit {
    async fn run(self, context: &Context, common: &Common) -> Outcome {
        let (runner, mut book) = opened(context, &self.identity, SessionId(self.id)).await?;
        let client = runner.services.market.client().clone();
        let listing = market::of_version(&client, &runner.services.blobs, book.record().version).await?;
        let (split, policy) = (book.record().split, book.record().policy);
        let mut answers = Vec::new();
        for file in &self.input {
            let mut rail = Rail::new();
            let tensor = input::read(context, &listing, file, self.slice.map(SliceNumber)).await?;
            rail.shows(self.look.prepare(context, &listing, (split, policy), Some(&tensor)).await?);
            let order = Order {
                version: listing.version,
                manifest: listing.manifest.clone(),
                split,
                policy,
                tip: Plancks::ZERO,
                case: None,
                witnesses: None,
                quote: false,
                sponsor: None,
                finding: Finding::Offer,
                tensor: Zeroizing::new(tensor),
            };
            let patience = Duration::from_secs(self.patience);
            let ended = tokio::select! {
                ended = runner.run_in_session(&mut book, &order, patience, &mut rail) => ended,
                () = crate::context::stop_signal() => {
                    return Err(Failure::new(Exit::Failed, "stopped; nothing is lost")
                        .hint(format!("go on with the same file: encompute session submit {} --input …", self.id)));
                }
            };
            let SessionJobEnded { job, answer, leaf } = ended.map_err(|error| failure_of_job(&error))?;
            if common.json {
                answers.push(json!({
                    "id": job.0, "file": file, "prediction": listing.prediction(&answer.scores), "steps_ms": rail.steps_ms(),
                    "receipt": leaf.receipt.to_string(), "result": leaf.result.to_string(),
                }));
            } else {
                output::text(&format!("job {job}: {}", listing.prediction_words(&answer.scores)))?;
            }
        }
        match common.json {
            true => output::json(&json!({ "session": self.id, "jobs": answers })),
            false => Ok(()),
        }
    }
}

impl Close {
    async fn run(self, context: &Context, common: &Common) -> Outcome {
        let (runner, mut book) = opened(context, &self.identity, SessionId(self.id)).await?;
        let ending = runner.close_session(&mut book, Duration::from_secs(self.patience)).await;
        let ending = ending.map_err(|error| failure_of_job(&error))?;
        if let Some(found) = &ending.waits {
            output::say(&format!(
                "it ends after block {}: {found}; then: encompute session close {}",
                ending.record.deadline, self.id
            ));
        }
        print(context, book.session(), &ending.record, common)
    }
}

/// The book of a session of this home, and who drives it.
async fn opened(context: &Context, identity: &Identity, session: SessionId) -> Outcome<(Runner<Account>, Book)> {
    let account = context.account(identity).await?;
    let runner = runner(context, account, true)?;
    let book = runner.find_session(session).await.map_err(|error| failure_of_job(&error))?;
    Ok((runner, book))
}

async fn read(context: &Context, session: SessionId) -> Outcome<SessionRecord> {
    market::session_of(&context.chain().await?, session).await
}

async fn status(context: &Context, session: SessionId, common: &Common) -> Outcome {
    let record = read(context, session).await?;
    print(context, session, &record, common)
}

fn stage_name(stage: SessionStage) -> &'static str {
    match stage {
        SessionStage::Open => "open",
        SessionStage::Closing => "closing",
        SessionStage::Closed => "closed",
    }
}

/// What this home has counted, if the session is its.
fn counted(context: &Context, record: &SessionRecord) -> Outcome<Option<Value>> {
    let books = Book::list(context.home()).doing(Exit::Failed, "read the sessions of this home")?;
    let ours = books.iter().find(|book| book.count.name().key == record.key);
    Ok(ours.map(|book| {
        let voucher = book.count.present();
        json!({
            "done": voucher.done, "heads": voucher.heads, "tails": voucher.tails, "root": voucher.root.to_string(),
            "in_hand": book.current.is_some(), "taken_by_worker": book.told.0, "taken_by_creator": book.told.1,
        })
    }))
}

fn print(context: &Context, session: SessionId, record: &SessionRecord, common: &Common) -> Outcome {
    let escrow = record.fees.total().and_then(|one| one.checked_mul(record.jobs.into())).unwrap_or_default();
    let ours = counted(context, record)?;
    if common.json {
        return output::json(&json!({
            "session": session.0, "stage": stage_name(record.stage), "jobs": record.jobs, "first_job": session.0,
            "user": record.user.to_string(), "worker": record.worker.to_string(), "version": record.version.0,
            "split": record.split.0, "policy": record.policy.0, "escrow": market::plancks(escrow),
            "opened_at": record.opened_at.0, "deadline": record.deadline.0, "changed_at": record.changed_at.0,
            "done": record.done, "heads": record.heads, "tails": record.tails, "root": record.root.to_string(),
            "counted": ours,
        }));
    }
    output::text(&format!(
        "session {session}: {}, {} runs for {}, until block {}; on chain {} heads and {} tails of {} jobs",
        stage_name(record.stage),
        record.jobs,
        context.token().show(escrow),
        record.deadline,
        record.heads,
        record.tails,
        record.done
    ))?;
    match ours {
        Some(ours) => output::text(&format!(
            "  counted here: {} jobs, {} heads, {} tails",
            ours["done"], ours["heads"], ours["tails"]
        )),
        None => Ok(()),
    }
}
