//! `encompute wallet sponsor`: what an account pays for another's jobs.

use crate::{
    args::{Common, Identity},
    commands::market,
    context::Context,
    deployment,
    failure::{Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::Args;
use encompute_chain::Client;
use encompute_protocol::{
    Address, Plancks, SplitIndex, VersionId,
    call::{EndSponsoring, QuoteJob, ReadAllowance, SponsorUser},
};
use serde_json::json;

/// What `--help` says at its end.
pub const SPONSOR_HELP: &str = "\
What is allowed pays for jobs that USER submits with --sponsor, one after the other, to the last planck: price and tip. What
comes back of a job's price is a credit of yours, and so is what --end takes back; wallet withdraw pays it out. Slashed money
that a job earns is the user's, who was wronged. USER chooses the jobs: allow no more than you would give.

Examples:
  encompute wallet sponsor //Dave --amount 2.5 --suri //Eve
  encompute wallet sponsor 5DAAnrj7VHTznn2AWBemMuyBwZWs6FNFjdyVXUeYum3PTXFy --suri //Eve --json
  encompute wallet sponsor //Dave --end --wallet clinic";

/// Pay for another's jobs.
#[derive(Args)]
pub struct Sponsor {
    /// Whose jobs; without --amount and --end, what is left for them is shown
    #[arg(value_name = "USER")]
    user: String,
    /// Who pays
    #[command(flatten)]
    identity: Identity,
    /// Allow so much more, in the network's token
    #[arg(long, value_name = "AMOUNT")]
    amount: Option<String>,
    /// Allow nothing any more: what is left becomes a credit of yours
    #[arg(long, conflicts_with = "amount")]
    end: bool,
}

impl Sponsor {
    /// Runs it.
    ///
    /// # Errors
    /// Usage for an account or an amount that is none; when the contract refuses, nothing has moved.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        let user = deployment::parse_address(&self.user)?;
        if !self.end && self.amount.is_none() {
            let sponsor = context.signer(&self.identity)?.address();
            let client = context.chain().await?;
            let left = market::read(&client, ReadAllowance { sponsor, user }).await?;
            return say(context, common, (sponsor, user), left, None);
        }
        let amount = self.amount.as_deref().map(|amount| context.amount("--amount", amount)).transpose()?;
        if amount == Some(Plancks::ZERO) {
            return Err(Failure::new(
                Exit::Usage,
                "--amount is 0: allow more than nothing, or take it back with --end",
            ));
        }
        let account = context.account(&self.identity).await?;
        let sponsor = account.address();
        let failed = |doing: &'static str| {
            move |error: encompute_chain::SubmitError| Failure::of(exit_of_chain(error.class()), doing, &error)
        };
        let ended = match amount {
            Some(amount) => {
                account.submit(SponsorUser { user }, amount).await.map_err(failed("allow more"))?;
                None
            }
            None => Some(
                account
                    .submit(EndSponsoring { user }, Plancks::ZERO)
                    .await
                    .map_err(failed("take back what is left"))?
                    .answer,
            ),
        };
        let left = market::read(account.client(), ReadAllowance { sponsor, user }).await?;
        say(context, common, (sponsor, user), left, ended)
    }
}

/// Refuses a job that costs more than its sponsor allows its user, before anything is encrypted.
///
/// # Errors
/// With what is allowed and what the job costs.
pub async fn must_cover(
    context: &Context,
    client: &Client,
    (sponsor, user): (Address, Address),
    (version, split): (VersionId, SplitIndex),
    tip: Plancks,
) -> Outcome {
    let left = market::read(client, ReadAllowance { sponsor, user }).await?;
    let quoted = market::read(client, QuoteJob { version, split }).await?;
    let price = quoted.and_then(|(fees, _)| fees.total()?.checked_add(tip)).unwrap_or_default();
    if left >= price {
        return Ok(());
    }
    let show = |amount| context.token().show(amount);
    let found = format!("{}, this one costs {}", allows(context, sponsor, user, left), show(price));
    let hint = format!("it allows more with: encompute wallet sponsor {user} --amount AMOUNT");
    Err(Failure::new(Exit::Failed, found).hint(hint))
}

/// What is left, and what was taken back.
fn say(
    context: &Context,
    common: &Common,
    (sponsor, user): (Address, Address),
    left: Plancks,
    ended: Option<Plancks>,
) -> Outcome {
    if common.json {
        return output::json(&json!({
            "sponsor": sponsor.to_string(), "user": user.to_string(), "left": market::plancks(left),
            "ended": ended.map(market::plancks),
        }));
    }
    let show = |amount| context.token().show(amount);
    match ended {
        Some(ended) => output::text(&format!(
            "{sponsor} pays for no job of {user} any more; {} are its credit, take them out: encompute wallet withdraw",
            show(ended)
        )),
        None => output::text(&allows(context, sponsor, user, left)),
    }
}

/// What somebody's jobs may cost a sponsor still.
fn allows(context: &Context, sponsor: Address, user: Address, left: Plancks) -> String {
    if left == Plancks::ZERO {
        return format!("{sponsor} pays for no job of {user}");
    }
    format!("{sponsor} pays up to {} for jobs of {user}", context.token().show(left))
}
