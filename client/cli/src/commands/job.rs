//! `encompute job`: buy a run and take it to its end.

use crate::{
    args::{Common, Identity},
    commands::audit_job::{AUDIT_HELP, AuditJob},
    commands::dispute::{DISPUTE_HELP, Dispute},
    commands::job_list::List,
    commands::market::{self, Listing},
    commands::prune::{PRUNE_HELP, Prune},
    commands::rate::Rate,
    commands::resume::Resume,
    commands::sponsor,
    context::{Context, under},
    deployment,
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain, failure_of_job},
    input, output,
    preview::Wish,
    rail::Rail,
};
use clap::{Args, Subcommand};
use encompute_chain::Account;
use encompute_job::{CaseName, Ending, Finding, Journal, Order, Runner, Services};
use encompute_keys::MachineSecret;
use encompute_model::preamble::SliceNumber;
use encompute_protocol::{
    JobId, Plancks, PolicyId, Stage, Witnesses,
    call::{CancelJob, PokeJob},
};
use encompute_release::{Ledger, ReleaseSecret, Releaser};
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};
use zeroize::Zeroizing;

/// What one input may give away in all, in thousandths of a bit: as much as any one policy may.
const BUDGET_MILLIBITS: u32 = encompute_release::policy::INFORMATION_LIMIT_MILLIBITS;

/// Buy a run: quote, submit, watch, result
#[derive(Subcommand)]
pub enum Job {
    /// Price, time, bytes and the refund table of one run; nothing is sent
    #[command(
        after_help = "Examples:\n  encompute job quote --model digits\n  encompute job quote --model digits --policy private --json"
    )]
    Quote(Choice),
    /// Encrypt a file, pay for one run, and take it to its result
    #[command(
        after_help = "Examples:\n  encompute job submit --model digits --input 7.png --suri //Dave\n  encompute job submit --model brain-regions --input scan.nii.gz --slice 90 --suri //Dave\n  encompute job submit --model breast-cancer --input row.csv --wallet anna --dry-run\n  encompute job submit --model diagnoses --input diagnosis.txt --suri //Dave\n  encompute job submit --model digits --input 7.png --witnesses 2 --suri //Dave\n  encompute job submit --model digits --input 7.png --fresh-quote --suri //Dave\n  encompute job submit --model digits --input 7.png --sponsor //Eve --suri //Dave\n  encompute job submit --model digits --input 7.png --custody --suri //Dave"
    )]
    Submit(Submit),
    /// Follow a job until it ends
    #[command(after_help = "Examples:\n  encompute job watch 7\n  encompute job watch 7 --json")]
    Watch(One),
    /// The answer of a job of this home
    #[command(after_help = "Examples:\n  encompute job result 7 --json")]
    Result(One),
    /// End a job where that is allowed; the refund table says what it costs
    #[command(after_help = "Examples:\n  encompute job cancel 7 --suri //Dave")]
    Cancel(Signed),
    /// Move an overdue job on; anybody may
    #[command(after_help = "Examples:\n  encompute job poke 7 --suri //Eve")]
    Poke(Signed),
    /// Say that what was committed is wrong or missing, and stake a deposit on it; the job waits for the ruling
    #[command(after_help = DISPUTE_HELP)]
    Dispute(Dispute),
    /// Say that a job was drawn for an audit: its head is run again, and the treasury pays; anybody may
    #[command(after_help = AUDIT_HELP)]
    Audit(AuditJob),
    /// Rate a settled job; the model's mean weighs what was paid
    #[command(
        after_help = "Examples:\n  encompute job rate 7 --grade 5 --suri //Dave\n  encompute job rate 7 --grade 2 --why time --suri //Dave"
    )]
    Rate(Rate),
    /// Remove the records of a job that ended long ago, and give their deposit back; anybody may
    #[command(after_help = PRUNE_HELP)]
    Prune(Prune),
    /// Go on with a job after a crash or Ctrl-C; without an id, with every job of this home that has not ended
    #[command(
        after_help = "Examples:\n  encompute job resume 7 --suri //Dave\n  encompute job resume 7 --suri //Dave --preview rebuilt.png\n  encompute job resume --suri //Dave"
    )]
    Resume(Resume),
    /// Jobs on chain, the newest first
    #[command(after_help = "Examples:\n  encompute job list\n  encompute job list --user //Dave --json")]
    List(List),
}

/// What to buy.
#[derive(Args, Clone)]
pub struct Choice {
    /// Model, by name or id
    #[arg(long)]
    pub model: String,
    /// Split, by name; the model's first if not given
    #[arg(long)]
    pub split: Option<String>,
    /// Release policy, by name; the split's default if not given
    #[arg(long)]
    pub policy: Option<String>,
}

/// What to buy, for what, by whom.
#[derive(Args, Clone)]
pub struct Submit {
    /// What to buy
    #[command(flatten)]
    pub choice: Choice,
    /// The file: a picture (PNG, JPEG), a scan (DICOM, NIfTI), a table row (CSV) or a text (UTF-8), as the model says; - for
    /// standard input
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// Of a scan: which slice or frame, from 1; the middle one if not given
    #[arg(long, value_name = "N")]
    pub slice: Option<u32>,
    /// Who pays
    #[command(flatten)]
    pub identity: Identity,
    /// Who pays, out of what it allows this account (wallet sponsor): the escrow comes from there and goes back to there; the
    /// transactions' fees and deposits of disputes stay yours
    #[arg(long, value_name = "ACCOUNT")]
    pub sponsor: Option<String>,
    /// To the worker on top, in the network's token, e.g. 0.05
    #[arg(long, default_value = "0", value_name = "AMOUNT")]
    pub tip: String,
    /// For splits that need an evaluation key: jobs of one case share one, and can be told to belong together
    #[arg(long, value_name = "NAME")]
    pub case: Option<CaseName>,
    /// Before anything is released, have three workers on machines of their own run the head again, for a head fee each;
    /// so many of them, 2 or 3, must find what the worker committed
    #[arg(long, value_name = "N")]
    pub witnesses: Option<Witnesses>,
    /// Before anything is released, have the worker show a quote over its receipt that was made since you demanded it, and judge
    /// it here; for a head fee, of which the worker has half and the treasury half
    #[arg(long)]
    pub fresh_quote: bool,
    /// Ask no worker for an offer: the chain draws who may claim the job, by stake and score and the hash of the block after
    /// the request, which nobody can choose. One transaction more, and some blocks
    #[arg(long)]
    pub draw: bool,
    /// Seal the job's FHE key to the worker's attested enclave and leave: the enclave decrypts, releases under the policy and
    /// sends the features; `job resume` opens the result. You trust that enclave with the input, which it can read; without
    /// this nobody but you can. Jobs with witnesses or a fresh quote, sessions and --draw have no custody
    #[arg(long, conflicts_with_all = ["draw", "witnesses", "fresh_quote", "preview", "case"])]
    pub custody: bool,
    /// Show price and fee; send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Leave the result to its window: one transaction less. Worker and creator are paid later, once anybody settles the job
    /// after the window (`wallet withdraw` does, for whoever is owed); until then you can dispute the result, or accept it
    /// (`job resume`)
    #[arg(long)]
    pub no_accept: bool,
    /// How long to follow the job before leaving it to `job resume`
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    pub patience: u64,
    /// Whether to look before sending
    #[command(flatten)]
    pub look: Wish,
}

/// One job.
#[derive(Args)]
pub struct One {
    /// The job
    id: u64,
    /// How long to follow
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    patience: u64,
}

/// One job, and who signs.
#[derive(Args)]
pub struct Signed {
    /// The job
    id: u64,
    /// Who signs
    #[command(flatten)]
    identity: Identity,
}

impl Job {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        let context = Context::load(common)?;
        match self {
            Self::Quote(choice) => quote(&context, &choice, common).await,
            Self::Submit(submit) => {
                let mut rail = Rail::new();
                let (ending, listing) = submit.run(&context, &mut rail).await?;
                match ending {
                    Some(ending) => print_ending(&ending, &listing, &rail, common),
                    None => quote(&context, &submit.choice, common).await,
                }
            }
            Self::Watch(one) => watch(&context, one, common).await,
            Self::Result(one) => result(&context, JobId(one.id), common).await,
            Self::Cancel(signed) => {
                let account = context.account(&signed.identity).await?;
                let job = JobId(signed.id);
                sent(account.submit(CancelJob { job }, Plancks::ZERO).await, "cancel the job")?;
                market::state_of(account.client(), job, common).await
            }
            Self::Dispute(dispute) => dispute.run(&context, common).await,
            Self::Audit(audit) => audit.run(&context, common).await,
            Self::Prune(prune) => prune.job(&context, common).await,
            Self::Rate(rate) => rate.run(&context, common).await,
            Self::Poke(signed) => {
                let account = context.account(&signed.identity).await?;
                let job = JobId(signed.id);
                sent(account.submit(PokeJob { job }, Plancks::ZERO).await, "poke the job")?;
                market::state_of(account.client(), job, common).await
            }
            Self::Resume(resume) => resume.run(&context, common).await,
            Self::List(list) => list.run(&context, common).await,
        }
    }
}

fn sent<T>(outcome: Result<T, encompute_chain::SubmitError>, doing: &str) -> Outcome<T> {
    outcome.map_err(|error| Failure::of(exit_of_chain(error.class()), doing, &error))
}

/// Everything that drives jobs of an account.
///
/// # Errors
/// When secrets cannot be read or made, or services are not configured.
pub fn runner(context: &Context, account: Account, accept: bool) -> Outcome<Runner<Account>> {
    let home = context.home();
    let secret = ReleaseSecret::open_or_create(&under(home, &["release.secret"]))
        .doing(Exit::Failed, "open the release secret")?;
    let ledger = Ledger::open(&under(home, &["ledger"])).doing(Exit::Failed, "open the release ledger")?;
    // Job keys are sealed under it; made at first use, for its owner alone.
    let machine = MachineSecret::open_or_create(&under(home, &["machine.secret"]))
        .doing(Exit::Failed, "open the machine secret")?;
    let services = Services {
        market: account,
        blobs: context.gateway()?,
        http: encompute_store::http_client().doing(Exit::Failed, "make an HTTP client")?,
        network: context.network().clone(),
    };
    Ok(Runner {
        services,
        releaser: Releaser::new(secret, ledger, BUDGET_MILLIBITS),
        machine,
        home: home.to_owned(),
        accept,
    })
}

impl Submit {
    fn finding(&self) -> Finding {
        match (self.draw, self.custody) {
            (true, _) => Finding::Draw,
            (false, true) => Finding::Custody,
            (false, false) => Finding::Offer,
        }
    }

    /// Runs the whole job, or up to the claim where it is left in custody; none for a dry run.
    ///
    /// # Errors
    /// With the exit code of what failed; the job goes on with `job resume`.
    pub async fn run(&self, context: &Context, rail: &mut Rail) -> Outcome<(Option<Ending>, Listing)> {
        let tip = context.amount("--tip", &self.tip)?;
        let sponsor = self.sponsor.as_deref().map(deployment::parse_address).transpose()?;
        let client = context.chain().await?;
        let listing = market::find(&client, &context.gateway()?, &self.choice.model).await?;
        let (split, policy) = market::choose(&listing, self.choice.split.as_deref(), self.choice.policy.as_deref())?;
        let tensor = input::read(context, &listing, &self.input, self.slice.map(SliceNumber)).await?;
        if self.dry_run {
            return Ok((None, listing));
        }
        if let Some(sponsor) = sponsor {
            let user = context.signer(&self.identity)?.address();
            sponsor::must_cover(context, &client, (sponsor, user), (listing.version, split), tip).await?;
        }
        if !self.custody {
            rail.shows(self.look.prepare(context, &listing, (split, PolicyId(policy.id.0)), Some(&tensor)).await?);
        }
        let account = client.signed_by(context.signer(&self.identity)?);
        let runner = runner(context, account, !self.no_accept)?;
        let order = Order {
            version: listing.version,
            manifest: listing.manifest.clone(),
            split,
            policy: PolicyId(policy.id.0),
            tip,
            case: self.case.clone(),
            witnesses: self.witnesses,
            quote: self.fresh_quote,
            sponsor,
            finding: self.finding(),
            tensor: Zeroizing::new(tensor),
        };
        let patience = Duration::from_secs(self.patience);
        let run = async {
            let mut journal = runner.prepare(&order, rail).await?;
            let job = runner.request(&mut journal, rail).await?;
            match self.custody {
                true => runner.left_in_custody(job).await,
                false => runner.drive(&mut journal, patience, rail).await,
            }
        };
        let ending = tokio::select! {
            ending = run => ending.map_err(|error| failure_of_job(&error))?,
            () = crate::context::stop_signal() => {
                return Err(Failure::new(Exit::Failed, "stopped; nothing is lost").hint("go on with: encompute job resume"));
            }
        };
        Ok((Some(ending), listing))
    }
}

async fn quote(context: &Context, choice: &Choice, common: &Common) -> Outcome {
    let client = context.chain().await?;
    let listing = market::find(&client, &context.gateway()?, &choice.model).await?;
    let quote = market::quote(&client, &listing, choice.split.as_deref(), choice.policy.as_deref()).await?;
    if common.json {
        return output::json(&quote.json());
    }
    output::text(&market::quote_words(&quote, context.token()))
}

async fn watch(context: &Context, one: One, common: &Common) -> Outcome {
    let client = context.chain().await?;
    let job = JobId(one.id);
    let mut rail = Rail::new();
    let until = tokio::time::Instant::now() + Duration::from_secs(one.patience);
    let head =
        client.head().await.map_err(|error| Failure::of(exit_of_chain(error.class()), "read the chain", &error))?;
    let mut follow = client.follow(head.number);
    loop {
        let (_, progress) = market::job_of(&client, job).await?;
        rail.stands(job, progress.stage, progress.changed_at, progress.deadline);
        if progress.stage.is_terminal() {
            return market::state_of(&client, job, common).await;
        }
        match tokio::time::timeout_at(until, follow.next()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Failure::of(exit_of_chain(error.class()), "follow the chain", &error)),
            Err(_) => {
                return Err(Failure::new(
                    Exit::TimedOut,
                    format!("job {job} is still {:?} after {} s", progress.stage, one.patience),
                ));
            }
        }
    }
}

async fn result(context: &Context, job: JobId, common: &Common) -> Outcome {
    let client = context.chain().await?;
    let records = Journal::list(context.home()).doing(Exit::Failed, "read the jobs of this home")?;
    let here = |record: &&encompute_job::Record| {
        record.genesis == client.genesis() && Some(record.contract) == client.contract()
    };
    let record = records.iter().filter(here).find(|record| record.job == Some(job));
    let record = record.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("this home has no job {job}"))
            .hint("results are with the home that submitted: --home")
    })?;
    let Some(scores) = &record.scores else {
        return Err(Failure::new(Exit::NotFound, format!("job {job} has no result yet"))
            .hint(format!("go on with: encompute job resume {job}")));
    };
    let listing = market::of_version(&client, &context.gateway()?, record.version).await?;
    let prediction = listing.prediction(scores);
    match common.json {
        true => output::json(&json!({ "id": job.0, "model": record.model, "prediction": prediction })),
        false => output::text(&listing.prediction_words(scores)),
    }
}

/// Prints how a job ended, or where it was left.
///
/// # Errors
/// [`Exit::Failed`] for a job that failed, with why.
pub fn print_ending(ending: &Ending, listing: &Listing, rail: &Rail, common: &Common) -> Outcome {
    if common.json {
        output::json(&ending_json(ending, listing, rail))?;
    } else if let Some(answer) = &ending.answer {
        output::text(&listing.prediction_words(&answer.scores))?;
    } else if ending.stage != Stage::Failed {
        output::text(&format!("job {}: {}", ending.job, market::stage_name(ending.stage)))?;
    }
    if ending.in_custody && !ending.stage.is_terminal() && ending.answer.is_none() {
        output::say(&format!(
            "The worker's enclave has the job's key and acts for you: you may go away. Its result is sealed to this home: \
             encompute job resume {}",
            ending.job
        ));
    }
    if ending.stage != Stage::Failed {
        return Ok(());
    }
    let why = ending.reason.map_or("no reason is known".into(), market::reason_words);
    Err(Failure::new(Exit::Failed, format!("job {} failed: {why}", ending.job))
        .hint("what comes back is a credit; take it out: encompute wallet withdraw --suri … or --wallet …"))
}

/// The ending of a job as `--json` has it.
pub fn ending_json(ending: &Ending, listing: &Listing, rail: &Rail) -> Value {
    json!({
        "id": ending.job.0,
        "model": listing.manifest.name.as_str(),
        "stage": market::stage_name(ending.stage),
        "reason": ending.reason.map(|reason| reason.number()),
        "custody": ending.in_custody,
        "prediction": ending.answer.as_ref().map(|answer| listing.prediction(&answer.scores)),
        "steps_ms": rail.steps_ms(),
        "stages": rail.stages_json(),
        "bytes": { "up": ending.bytes.up, "down": ending.bytes.down },
    })
}
