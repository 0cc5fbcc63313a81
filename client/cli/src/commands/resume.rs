//! `encompute job resume`: whatever was begun goes on from where it stands.

use crate::{
    args::{Common, Identity},
    commands::{
        job::{print_ending, runner},
        market::{self, Listing},
    },
    context::Context,
    failure::{Doing, Exit, Failure, Outcome, failure_of_job},
    output,
    preview::Wish,
    rail::Rail,
};
use clap::Args;
use encompute_chain::Account;
use encompute_job::{Journal, Record, Runner};
use encompute_protocol::{JobId, Stage, call::ReadJob};
use std::time::Duration;

/// Which jobs to go on with.
#[derive(Args)]
pub struct Resume {
    /// The job
    id: Option<u64>,
    /// Who signs
    #[command(flatten)]
    identity: Identity,
    /// How long to follow each
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    patience: u64,
    /// Whether to look before sending
    #[command(flatten)]
    look: Wish,
    /// Release although too few witnesses have found what the worker committed
    #[arg(long, requires = "id")]
    without_witnesses: bool,
}

impl Resume {
    /// Runs it.
    ///
    /// # Errors
    /// With the exit code of what failed; the job goes on with the next call.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        if self.look.preview.is_some() && self.id.is_none() {
            return Err(Failure::new(Exit::Usage, "a preview is of one job: name it"));
        }
        let account = context.account(&self.identity).await?;
        let (genesis, contract) = (account.client().genesis(), account.client().contract());
        let records = Journal::list(context.home()).doing(Exit::Failed, "read the jobs of this home")?;
        let ours = records.into_iter().filter(|record| {
            record.genesis == genesis && Some(record.contract) == contract && record.user == account.address()
        });
        // A home that was cut off while it paid does not know the job's number yet, but its input.
        let input = match self.id {
            Some(id) => market::read(account.client(), ReadJob { job: JobId(id) }).await?.map(|(terms, _)| terms.input),
            None => None,
        };
        let asked = |record: &Record| match record.job {
            Some(job) => Some(job.0) == self.id,
            None => Some(record.input) == input,
        };
        let wanted: Vec<_> = ours.filter(|record| self.id.is_none() || asked(record)).collect();
        if let (true, Some(id)) = (wanted.is_empty(), self.id) {
            return Err(Failure::new(Exit::NotFound, format!("this home has no job {id} of this account")));
        }
        let runner = runner(context, account, true)?;
        let (mut resumed, mut first_failure) = (0, None);
        for record in wanted {
            // What has ended needs nobody, unless it was asked for.
            if self.id.is_none() && has_ended(&runner, &record).await? {
                continue;
            }
            resumed += 1;
            match self.one(context, common, &runner, &record).await {
                Ok(()) => {}
                Err(failure) if self.id.is_some() => return Err(failure),
                // The others can still go on.
                Err(failure) => {
                    output::say(&failure.text);
                    first_failure.get_or_insert(failure);
                }
            }
        }
        if resumed == 0 {
            output::say("no job of this account waits for anything; their answers: encompute job result ID");
        }
        first_failure.map_or(Ok(()), Err)
    }

    async fn one(&self, context: &Context, common: &Common, runner: &Runner<Account>, record: &Record) -> Outcome {
        let mut rail = Rail::new();
        let mut journal =
            Journal::open_input(context.home(), &record.input).doing(Exit::Failed, "open the job's journal")?;
        if self.look.is_wanted() && record.features.is_none() {
            let listing = of_record(runner, record).await?;
            rail.shows(self.look.prepare(context, &listing, (record.split, record.policy), None).await?);
        } else if self.look.preview.is_some() {
            return Err(Failure::new(Exit::Usage, "this job's numbers are released: there is nothing left to preview"));
        }
        if self.without_witnesses {
            let listing = of_record(runner, record).await?;
            if let Some(wanted) = listing.manifest.witnesses {
                let found =
                    format!("the version asks for {wanted} witnesses of every job: nothing is released without them");
                return Err(Failure::new(Exit::Usage, found));
            }
            journal.update(|record| record.witnesses = None).doing(Exit::Failed, "write the job's journal")?;
        }
        let run = async {
            runner.request(&mut journal, &mut rail).await?;
            runner.drive(&mut journal, Duration::from_secs(self.patience), &mut rail).await
        };
        let ending = run.await.map_err(|error| failure_of_job(&error))?;
        print_ending(&ending, &of_record(runner, record).await?, &rail, common)
    }
}

async fn of_record(runner: &Runner<Account>, record: &Record) -> Outcome<Listing> {
    market::of_version(runner.services.market.client(), &runner.services.blobs, record.version).await
}

/// True for a job of which nothing is left to do: it has ended, and a result that was paid for is opened.
async fn has_ended(runner: &Runner<Account>, record: &Record) -> Outcome<bool> {
    let Some(job) = record.job else { return Ok(false) };
    let found = market::read(runner.services.market.client(), ReadJob { job }).await?;
    // Of a session's job, and of one that was pruned, the chain knows nothing: nobody waits for it.
    Ok(found.is_none_or(|(_, progress)| match progress.stage {
        Stage::Settled => record.scores.is_some() || progress.result.is_none(),
        stage => stage.is_terminal(),
    }))
}
