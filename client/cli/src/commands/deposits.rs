//! Deposits of creators and workers: what lies there, more, and back again.

use super::{market, versions::own_model};
use crate::{
    args::{Common, Identity},
    context::Context,
    failure::{Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::{Args, Subcommand};
use encompute_chain::{Account, Client};
use encompute_protocol::{
    Address, BlockNumber, ModelId, Plancks,
    call::{AddBond, AddStake, AskBond, AskStake, ReadModel, ReadWorker, TakeBond, TakeStake},
};
use serde_json::json;

/// A model's bond: users are paid from it when its creator fails them
#[derive(Subcommand)]
pub enum Bond {
    /// What lies there, what jobs hold of it, what is on its way back
    #[command(after_help = "Examples:\n  encompute creator bond show digits --suri //Charlie --json")]
    Show(OfModel),
    /// Adds to it: more open jobs at once
    #[command(after_help = "Examples:\n  encompute creator bond add digits 50 --suri //Charlie")]
    Add(AmountOfModel),
    /// Asks some of it back: jobs hold their part, the rest leaves after the unbonding time
    #[command(
        after_help = "Examples:\n  encompute creator bond ask digits 50 --suri //Charlie --dry-run\n  encompute creator bond ask digits 0 --suri //Charlie"
    )]
    Ask(AmountOfModel),
    /// Takes what was asked back, when its time has come
    #[command(after_help = "Examples:\n  encompute creator bond take digits --suri //Charlie")]
    Take(OfModel),
}

/// A worker's stake: users are paid from it when the worker fails them
#[derive(Subcommand)]
pub enum Stake {
    /// What lies there, what jobs hold of it, what is on its way back
    #[command(after_help = "Examples:\n  encompute worker stake show --suri //Bob --json")]
    Show(Own),
    /// Adds to it: more jobs at once
    #[command(after_help = "Examples:\n  encompute worker stake add 50 --suri //Bob")]
    Add(Amount),
    /// Asks some of it back: jobs hold their part, the rest leaves after the unbonding time
    #[command(
        after_help = "Examples:\n  encompute worker stake ask 50 --suri //Bob --dry-run\n  encompute worker stake ask 0 --suri //Bob"
    )]
    Ask(Amount),
    /// Takes what was asked back, when its time has come
    #[command(after_help = "Examples:\n  encompute worker stake take --suri //Bob")]
    Take(Own),
}

/// Whose, and whether anything is sent.
#[derive(Args)]
pub struct Own {
    /// Who signs
    #[command(flatten)]
    identity: Identity,
    /// Show what is there and would be sent; send nothing
    #[arg(long)]
    dry_run: bool,
}

/// How much of one's own.
#[derive(Args)]
pub struct Amount {
    /// In the network's token. Asking replaces what was asked before; 0 withdraws it
    amount: String,
    /// Whose
    #[command(flatten)]
    own: Own,
}

/// One of the creator's models.
#[derive(Args)]
pub struct OfModel {
    /// Model of this account, by name or number
    model: String,
    /// Whose
    #[command(flatten)]
    own: Own,
}

/// How much of a model's bond.
#[derive(Args)]
pub struct AmountOfModel {
    /// Model of this account, by name or number
    model: String,
    /// How much
    #[command(flatten)]
    amount: Amount,
}

/// What lies somewhere.
struct Deposit {
    /// Whose, in words.
    of: String,
    all: Plancks,
    /// By jobs.
    held: Plancks,
    leaving: Plancks,
    leaves_at: BlockNumber,
}

/// Whose deposit it is.
#[derive(Clone, Copy)]
enum Place {
    Bond(ModelId),
    Stake(Address),
}

/// What is done to it.
#[derive(Clone, Copy)]
enum Move {
    Nothing,
    Add(Plancks),
    Ask(Plancks),
    Take,
}

impl Bond {
    /// Runs it.
    ///
    /// # Errors
    /// When the contract refuses, such as for bond that open jobs hold; nothing has moved then.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        let (model, own, wanted) = match self {
            Self::Show(OfModel { model, own }) => (model, own, Move::Nothing),
            Self::Take(OfModel { model, own }) => (model, own, Move::Take),
            Self::Add(AmountOfModel { model, amount: Amount { amount, own } }) => {
                (model, own, Move::Add(context.amount("the bond to add", &amount)?))
            }
            Self::Ask(AmountOfModel { model, amount: Amount { amount, own } }) => {
                (model, own, Move::Ask(context.amount("the bond to ask back", &amount)?))
            }
        };
        let account = context.account(&own.identity).await?;
        let model = own_model(&account, &model).await?;
        own.carried_out(&account, Place::Bond(model), wanted, (context, common)).await
    }
}

impl Stake {
    /// Runs it.
    ///
    /// # Errors
    /// When the contract refuses, such as for stake that jobs hold; nothing has moved then.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        let (own, wanted) = match self {
            Self::Show(own) => (own, Move::Nothing),
            Self::Take(own) => (own, Move::Take),
            Self::Add(Amount { amount, own }) => (own, Move::Add(context.amount("the stake to add", &amount)?)),
            Self::Ask(Amount { amount, own }) => (own, Move::Ask(context.amount("the stake to ask back", &amount)?)),
        };
        let account = context.account(&own.identity).await?;
        let place = Place::Stake(account.address());
        own.carried_out(&account, place, wanted, (context, common)).await
    }
}

impl Own {
    async fn carried_out(
        &self,
        account: &Account,
        place: Place,
        wanted: Move,
        (context, common): (&Context, &Common),
    ) -> Outcome {
        let token = context.token();
        let before = place.read(account.client()).await?;
        let words = match wanted {
            Move::Nothing => None,
            Move::Add(amount) => Some(format!("add {}", token.show(amount))),
            Move::Ask(Plancks::ZERO) => Some("leave everything where it is".to_owned()),
            Move::Ask(amount) => Some(format!("ask {} back", token.show(amount))),
            Move::Take => Some(format!("take {}", token.show(before.leaving))),
        };
        let sent = words.filter(|_| !self.dry_run).is_some();
        if sent {
            place.moved(account, wanted).await?;
        }
        let now = if sent { place.read(account.client()).await? } else { before };
        if common.json {
            return output::json(&json!({
                "of": now.of, "all": market::plancks(now.all), "held": market::plancks(now.held),
                "leaving": market::plancks(now.leaving), "leaves_at": now.leaves_at.0, "sent": sent,
            }));
        }
        output::text(&format!("{}: {}, {} of it held by jobs", now.of, token.show(now.all), token.show(now.held)))?;
        if !now.leaving.is_zero() {
            let (leaving, block) = (token.show(now.leaving), now.leaves_at);
            output::text(&format!("  {leaving} were asked back and may be taken from block {block} on"))?;
        }
        match (wanted, sent) {
            (Move::Nothing, _) | (_, true) => Ok(()),
            _ => output::text("nothing was sent"),
        }
    }
}

impl Place {
    async fn read(self, client: &Client) -> Outcome<Deposit> {
        let missing = |text: String| Failure::new(Exit::NotFound, text);
        match self {
            Self::Bond(model) => {
                let record = market::read(client, ReadModel { model }).await?;
                let (record, name) = record.ok_or_else(|| missing(format!("there is no model {model}")))?;
                Ok(Deposit {
                    of: format!("bond of model {model} {name}"),
                    all: record.bond,
                    held: record.bond_locked,
                    leaving: record.bond_leaving,
                    leaves_at: record.bond_leaves_at,
                })
            }
            Self::Stake(worker) => {
                let record = market::read(client, ReadWorker { worker }).await?;
                let (record, _) = record.ok_or_else(|| missing(format!("{worker} never registered as a worker")))?;
                Ok(Deposit {
                    of: format!("stake of {worker}"),
                    all: record.stake,
                    held: record.stake_locked,
                    leaving: record.stake_leaving,
                    leaves_at: record.stake_leaves_at,
                })
            }
        }
    }

    async fn moved(self, account: &Account, wanted: Move) -> Outcome {
        let none = Plancks::ZERO;
        let done = match (self, wanted) {
            (_, Move::Nothing) => Ok(()),
            (Self::Bond(model), Move::Add(value)) => account.submit(AddBond { model }, value).await.map(drop),
            (Self::Bond(model), Move::Ask(amount)) => account.submit(AskBond { model, amount }, none).await.map(drop),
            (Self::Bond(model), Move::Take) => account.submit(TakeBond { model }, none).await.map(drop),
            (Self::Stake(_), Move::Add(value)) => account.submit(AddStake {}, value).await.map(drop),
            (Self::Stake(_), Move::Ask(amount)) => account.submit(AskStake { amount }, none).await.map(drop),
            (Self::Stake(_), Move::Take) => account.submit(TakeStake {}, none).await.map(drop),
        };
        done.map_err(|error| Failure::of(exit_of_chain(error.class()), "move the deposit", &error))
    }
}
