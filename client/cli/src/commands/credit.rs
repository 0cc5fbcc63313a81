//! What the contract owes an account, whatever it earned it as, and how it comes out.

use crate::{
    args::{Common, Identity},
    commands::market,
    context::Context,
    failure::{Failure, Outcome, exit_of_chain},
    output,
};
use clap::Args;
use encompute_protocol::{
    Plancks,
    call::{ReadCredit, WithdrawCredit},
};
use serde_json::json;

/// Take a credit out of the contract.
#[derive(Args)]
pub struct Withdraw {
    /// Whose
    #[command(flatten)]
    identity: Identity,
    /// Where to; the account itself if not given
    #[arg(long, value_name = "ACCOUNT")]
    to: Option<String>,
}

impl Withdraw {
    /// Runs it.
    ///
    /// # Errors
    /// When the contract refuses, such as for an account that is owed nothing; nothing has moved then.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        let to = self.to.as_deref().map(crate::deployment::parse_address).transpose()?;
        let account = context.account(&self.identity).await?;
        let taken = account.submit(WithdrawCredit { to }, Plancks::ZERO).await;
        let taken = taken.map_err(|error| Failure::of(exit_of_chain(error.class()), "withdraw", &error))?;
        if common.json {
            return output::json(
                &json!({ "withdrawn": market::plancks(taken.answer), "fee": market::plancks(taken.fee), "block": taken.block.number.0 }),
            );
        }
        output::text(&format!(
            "withdrew {} in block {}; the transaction cost {}",
            taken.answer, taken.block.number, taken.fee
        ))
    }
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
    if common.json {
        return output::json(&json!({
            "account": address.to_string(), "free": market::plancks(has.free), "held": market::plancks(has.held),
            "credit": market::plancks(credit),
        }));
    }
    output::text(&format!("{address} has {}, {} of it held for deposits", has.free, has.held))?;
    match credit {
        Plancks::ZERO => output::text("the contract owes it nothing"),
        credit => output::text(&format!("the contract owes it {credit}; take it out: encompute wallet withdraw")),
    }
}
