//! `encompute job dispute`: what was committed is wrong or missing.

use crate::{
    args::{Common, Identity},
    commands::{job, market},
    context::Context,
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain, failure_of_job},
    output,
};
use clap::{Args, ValueEnum};
use encompute_job::{Journal, unguessed};
use encompute_protocol::{
    DisputeKind, JobId, JobProgress, JobTerms, Plancks, Stage,
    call::{OpenDispute, ReadJob},
};
use serde_json::json;

/// What `--help` says at its end.
pub const DISPUTE_HELP: &str = "\
A dispute is opened once for each kind, while the stage that it disputes lasts; by the job's user, but a quote is demanded by
anybody, from the worker's receipt on until features are sent. Its deposit comes back unless the dispute
is without ground; then a committee, the other side and the treasury have it. Follow it with: encompute job watch ID

Examples:
  encompute job dispute 7 --kind head --suri //Dave --dry-run
  encompute job dispute 7 --kind missing --suri //Dave
  encompute job dispute 7 --kind quote --suri //Eve
  encompute job dispute 7 --kind result --wallet anna --json";

/// What is wrong.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// The head gives something else than the worker committed: three other workers run it again
    Head,
    /// The transcript or the sealed result is in no store: whoever committed it must post it on chain
    Missing,
    /// The sealed result opens to nothing: its creator must post it on chain, or has no tail fee
    Result,
    /// The worker's code or machine has been revoked since it committed: everything back at once, no deposit
    Attestation,
    /// Nothing is wrong yet: three workers on machines of their own run the head again before you decrypt
    Witness,
    /// Nothing is said to be wrong: the worker must show a quote over its receipt, made since you demanded it, or is slashed
    Quote,
}

impl From<Kind> for DisputeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Head => Self::Head,
            Kind::Missing => Self::Missing,
            Kind::Result => Self::Result,
            Kind::Attestation => Self::Attestation,
            Kind::Witness => Self::Witness,
            Kind::Quote => Self::Quote,
        }
    }
}

/// A job, what is wrong with it, and who says so.
#[derive(Args)]
pub struct Dispute {
    /// The job
    id: u64,
    /// What is wrong
    #[arg(long, value_enum)]
    kind: Kind,
    /// Who signs
    #[command(flatten)]
    identity: Identity,
    /// Show the deposit and what becomes of it; send nothing
    #[arg(long)]
    dry_run: bool,
}

impl Dispute {
    /// Runs it.
    ///
    /// # Errors
    /// [`Exit::NotFound`] without such a job; when the contract refuses, nothing has moved.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        let (id, kind) = (JobId(self.id), DisputeKind::from(self.kind));
        let client = context.chain().await?;
        let found = market::read(&client, ReadJob { job: id }).await?;
        let (terms, progress) = found.ok_or_else(|| Failure::new(Exit::NotFound, format!("there is no job {id}")))?;
        let deposit = encompute_audit::deposit(&terms, kind)
            .ok_or_else(|| Failure::new(Exit::Failed, "the deposit cannot be reckoned"))?;
        let back = outcomes(context, &terms, kind, &progress, deposit);
        if self.dry_run {
            return match common.json {
                true => output::json(&json!({
                    "id": id.0, "kind": market::stage_name(Stage::Disputed(kind)), "deposit": market::plancks(deposit),
                    "window_blocks": terms.windows.dispute.0, "outcomes": back,
                })),
                false => output::text(&back.join("\n")),
            };
        }
        back.iter().for_each(|line| output::say(line));
        let account = context.account(&self.identity).await?;
        let runner = job::runner(context, account, true)?;
        let evidence = match (kind, progress.worker) {
            (DisputeKind::Head | DisputeKind::Witness, Some(worker)) => {
                let records = Journal::list(context.home()).doing(Exit::Failed, "read the jobs of this home")?;
                match records.into_iter().find(|record| record.input == terms.input) {
                    Some(record) => {
                        let journal = Journal::open_input(context.home(), &record.input);
                        let journal = journal.doing(Exit::Failed, "open the job's journal")?;
                        runner.show_rounds(&journal, worker).await.map_err(|error| failure_of_job(&error))?
                    }
                    None => None,
                }
            }
            (DisputeKind::Quote, _) => Some(unguessed()),
            _ => None,
        };
        let opened = runner.services.market.submit(OpenDispute { job: id, kind, evidence }, deposit).await;
        opened.map_err(|error| Failure::of(exit_of_chain(error.class()), "open the dispute", &error))?;
        market::state_of(&client, id, common).await
    }
}

/// The deposit, and what becomes of it and of the job, a line each.
fn outcomes(
    context: &Context,
    terms: &JobTerms,
    kind: DisputeKind,
    progress: &JobProgress,
    deposit: Plancks,
) -> Vec<String> {
    let show = |amount| context.token().show(amount);
    let total = terms.fees.total().unwrap_or_default();
    let all = show(total.checked_add(deposit).unwrap_or_default());
    let after_head = total.checked_sub(terms.fees.head).unwrap_or_default();
    let late = match (kind, progress.stage) {
        (DisputeKind::Attestation, _) => return vec![format!("no deposit; you have back {}, at once", show(total))],
        (DisputeKind::Head, _) => {
            format!("if two of three workers find it wrong: you have back {all}, and half of the worker's stake")
        }
        (DisputeKind::Witness, _) => {
            format!(
                "if two of three workers find it wrong: you have back {all}, and what the worker's stake leaves of a half"
            )
        }
        (DisputeKind::Quote, _) => {
            format!(
                "if the worker shows none in time: you have back {}, who paid for the job {}, its user half of what the worker is \
                 slashed, and whoever ends it a fifth",
                show(deposit),
                show(total)
            )
        }
        // Nobody stakes on it here: [`super::audit_job`] says what becomes of it.
        (DisputeKind::Audit, _) => return Vec::new(),
        (DisputeKind::Result, _) => {
            format!(
                "if its creator posts nothing in time: you have back {} at most",
                show(after_head.checked_add(deposit).unwrap_or_default())
            )
        }
        (DisputeKind::Missing, _) => {
            format!("if it is not posted in time: you have back {all}, and part of what was staked on it")
        }
    };
    vec![
        format!("deposit    {}, staked until the ruling", show(deposit)),
        late,
        match kind {
            DisputeKind::Head => "if two find it right: the deposit is lost, and the job goes on; if no two agree, or too few workers are there: it comes back, and the job goes on".to_owned(),
            DisputeKind::Witness => "if two find it right: each that does has a head fee of the deposit, the rest comes back, and the job goes on; if no two agree, they are shown too little, or too few machines are there: all of it comes back".to_owned(),
            DisputeKind::Quote => "if it shows one: the deposit is lost, half of it to the worker, and the job goes on; what was shown: encompute audit job".to_owned(),
            _ => "if it is posted: the deposit is lost, and the job goes on".to_owned(),
        },
    ]
}
