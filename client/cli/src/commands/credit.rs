//! What the contract owes an account, whatever it earned it as, and how it comes out.

use crate::{
    args::{Common, Identity},
    commands::{
        market,
        overdue::{self, Taken},
    },
    context::Context,
    deployment::{self, Payee},
    failure::{Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::Args;
use encompute_chain::{AccountId, Client, Mapping};
use encompute_protocol::{
    Plancks,
    call::{ReadCredit, WithdrawCredit},
};
use serde_json::json;

/// Take a credit out of the contract, and settle before that what is overdue.
#[derive(Args)]
pub struct Withdraw {
    /// Whose
    #[command(flatten)]
    identity: Identity,
    /// Where to; the account itself if not given
    #[arg(long, value_name = "ACCOUNT")]
    to: Option<String>,
    /// Look through so many of the newest jobs for results that nobody has accepted in time, and other jobs that are overdue:
    /// those that owe this account something are settled in the same transaction. 0 settles none
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    look_back: u64,
}

impl Withdraw {
    /// Runs it.
    ///
    /// # Errors
    /// When the contract refuses, such as for an account that is owed nothing; nothing has moved then.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        let to = self.to.as_deref().map(deployment::parse_payee).transpose()?;
        let account = context.account(&self.identity).await?;
        if let Some(Payee::Account(id)) = &to
            && !is_mapped(account.client(), id).await?
        {
            let text = format!(
                "contracts cannot pay {id}: it is not mapped on this chain, and what they pay to its address would not be its own"
            );
            return Err(Failure::new(Exit::Failed, text).hint("as that account: encompute wallet map"));
        }
        let to = to.map(|payee| payee.address());
        let owing = match self.look_back {
            0 => Vec::new(),
            jobs => overdue::owing(account.client(), account.address(), jobs).await?,
        };
        if !owing.is_empty() {
            let taken = overdue::settle_and_withdraw(&account, &owing, to).await?;
            return say_settled(context, common, &taken);
        }
        let taken = account.submit(WithdrawCredit { to }, Plancks::ZERO).await;
        let taken = taken.map_err(|error| Failure::of(exit_of_chain(error.class()), "withdraw", &error))?;
        if common.json {
            return output::json(
                &json!({ "withdrawn": market::plancks(taken.answer), "fee": market::plancks(taken.fee), "block": taken.block.number.0, "settled": [], "transactions": 1 }),
            );
        }
        output::text(&format!(
            "withdrew {} in block {}; the transaction cost {}",
            context.token().show(taken.answer),
            taken.block.number,
            context.token().show(taken.fee)
        ))
    }
}

fn say_settled(context: &Context, common: &Common, taken: &Taken) -> Outcome {
    if common.json {
        let settled: Vec<u64> = taken.settled.iter().map(|job| job.0).collect();
        return output::json(&json!({
            "withdrawn": market::plancks(taken.amount), "fee": market::plancks(taken.fee), "block": taken.block.0,
            "settled": settled, "transactions": taken.transactions,
        }));
    }
    if !taken.settled.is_empty() {
        let jobs: Vec<String> = taken.settled.iter().map(ToString::to_string).collect();
        output::text(&format!("settled overdue jobs: {}", jobs.join(", ")))?;
    }
    let (amount, fee) = (context.token().show(taken.amount), context.token().show(taken.fee));
    let transactions = taken.transactions;
    let sent = if transactions == 1 { "the transaction".to_owned() } else { format!("{transactions} transactions") };
    output::text(&format!("withdrew {amount} in block {}; {sent} cost {fee}", taken.block))
}

/// Prints what an account has, and what the contract owes it: refunds, fees, shares of slashed deposits.
///
/// # Errors
/// When the account cannot be opened or the chain not be read.
pub async fn balance(context: &Context, identity: &Identity, common: &Common) -> Outcome {
    let signer = context.signer(identity)?;
    let (account, address) = (signer.account(), signer.address());
    let client = context.chain().await?;
    let has = client.balance(&account).await;
    let has = has.map_err(|error| Failure::of(exit_of_chain(error.class()), "read the balance", &error))?;
    let credit = market::read(&client, ReadCredit { account: address }).await?;
    let mapped = is_mapped(&client, &account).await?;
    if common.json {
        return output::json(&json!({
            "account": address.to_string(), "mapped": mapped, "free": market::plancks(has.free), "held": market::plancks(has.held),
            "credit": market::plancks(credit),
        }));
    }
    let token = context.token();
    let (free, held) = (token.show(has.free), token.show(has.held));
    output::text(&format!("{address} has {free} free, and {held} held for deposits"))?;
    if !mapped {
        output::text("contracts do not know it yet; its first call maps it, or: encompute wallet map")?;
    }
    match credit {
        Plancks::ZERO => output::text("the contract owes it nothing"),
        credit => output::text(&format!(
            "the contract owes it {}; take it out: encompute wallet withdraw",
            token.show(credit)
        )),
    }
}

/// Makes contracts know an account, where the chain does not do so by itself.
///
/// # Errors
/// When the account cannot be opened, has no money for fee and deposit, or the chain cannot be reached.
pub async fn map(context: &Context, identity: &Identity, common: &Common) -> Outcome {
    let account = context.account(identity).await?;
    let mapping = account.map().await;
    let mapping = mapping.map_err(|error| Failure::of(exit_of_chain(error.class()), "map the account", &error))?;
    let address = account.address();
    match (mapping, common.json) {
        (Mapping::Known, true) => output::json(&json!({ "account": address.to_string(), "mapped": "before" })),
        (Mapping::Known, false) => output::text(&format!("{address} was mapped before; nothing was sent")),
        (Mapping::Made(sent), true) => output::json(&json!({
            "account": address.to_string(), "mapped": "now", "block": sent.block.number.0, "fee": market::plancks(sent.fee),
        })),
        (Mapping::Made(sent), false) => {
            let fee = context.token().show(sent.fee);
            output::text(&format!("{address} is mapped since block {}; the transaction cost {fee}", sent.block.number))
        }
    }
}

/// True where contracts know the account.
///
/// # Errors
/// When the chain cannot be read.
pub async fn is_mapped(client: &Client, account: &AccountId) -> Outcome<bool> {
    let mapped = client.is_mapped(account).await;
    mapped.map_err(|error| Failure::of(exit_of_chain(error.class()), "read whether the account is mapped", &error))
}
