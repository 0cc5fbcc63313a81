//! `encompute govern params`: what new jobs cost and how long everybody has, changed with notice.

use crate::{
    args::{Common, Identity},
    commands::market,
    context::Context,
    failure::{Failure, Outcome, exit_of_chain},
    output,
};
use clap::Subcommand;
use encompute_chain::{Account, Act, Client};
use encompute_networks::Network;
use encompute_protocol::{
    AnnouncedParams, Params, Plancks,
    call::{AnnounceParams, EnactParams, ReadAnnouncedParams, ReadParams, WithdrawParams},
};
use serde_json::{Map, Value, json};

/// Parameters of new jobs, and how they change; jobs that exist keep theirs
#[derive(Subcommand)]
pub enum Parameters {
    /// What is in force, what is announced, and from which block on
    #[command(after_help = "Examples:\n  encompute govern params show\n  encompute govern params show --json")]
    Show,
    /// Announce `[deployment]` of the network file; it may be put in force after `notice_blocks` of the present one
    #[command(
        after_help = "Examples:\n  encompute govern params announce --network mine.toml --wallet governor --dry-run\n  encompute govern params announce --network mine.toml --wallet governor"
    )]
    Announce {
        /// Who signs: the governor
        #[command(flatten)]
        identity: Identity,
        /// Show what would change; send nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Take back what is announced
    #[command(after_help = "Examples:\n  encompute govern params withdraw --wallet governor")]
    Withdraw {
        /// Who signs: the governor
        #[command(flatten)]
        identity: Identity,
    },
    /// Put in force what is announced, once its notice is over; anybody may
    #[command(after_help = "Examples:\n  encompute govern params enact --wallet anna")]
    Enact {
        /// Who signs
        #[command(flatten)]
        identity: Identity,
    },
}

impl Parameters {
    /// Runs it.
    ///
    /// # Errors
    /// When the contract refuses, such as for parameters outside their bounds or whose notice is not over.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        match self {
            Self::Show => show(context, &context.chain().await?, None, common).await,
            Self::Announce { identity, dry_run } => {
                let account = context.account(&identity).await?;
                let params = wanted(context, account.client()).await?;
                if dry_run {
                    return show(context, account.client(), Some(params), common).await;
                }
                send(&account, AnnounceParams { params }, "announce parameters").await?;
                show(context, account.client(), None, common).await
            }
            Self::Withdraw { identity } => {
                let account = context.account(&identity).await?;
                send(&account, WithdrawParams {}, "take the announcement back").await?;
                show(context, account.client(), None, common).await
            }
            Self::Enact { identity } => {
                let account = context.account(&identity).await?;
                send(&account, EnactParams {}, "put the parameters in force").await?;
                show(context, account.client(), None, common).await
            }
        }
    }
}

async fn send<C: Act>(account: &Account, call: C, doing: &'static str) -> Outcome {
    let sent = account.submit(call, Plancks::ZERO).await;
    sent.map(drop).map_err(|error| Failure::of(exit_of_chain(error.class()), doing, &error))
}

/// The network file's parameters, with the present treasury and the chain's own price of storage.
async fn wanted(context: &Context, client: &Client) -> Outcome<Params> {
    let facts = client.constants().await;
    let facts = facts.map_err(|error| Failure::of(exit_of_chain(error.class()), "read the chain", &error))?;
    let treasury = market::read(client, ReadParams {}).await?.treasury;
    Ok(Params { treasury, storage: facts.storage, ..context.network().deployment.params })
}

/// As a network file names them, with the two that none has.
fn named(network: &Network, params: &Params) -> Vec<(String, String)> {
    let mut network = network.clone();
    network.deployment.params = *params;
    let text = network.to_toml();
    let section = text.lines().skip_while(|line| *line != "[deployment]").skip(1);
    let pairs = section.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once(" = "));
    let mut all: Vec<_> = pairs.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned())).collect();
    all.push(("treasury".to_owned(), params.treasury.to_string()));
    let storage = params.storage;
    all.push(("storage_item_plancks".to_owned(), storage.item.to_string()));
    all.push(("storage_byte_plancks".to_owned(), storage.byte.to_string()));
    all
}

/// Prints what is in force, and what is announced or would be.
async fn show(context: &Context, client: &Client, trial: Option<Params>, common: &Common) -> Outcome {
    let network = context.network();
    let now = named(network, &market::read(client, ReadParams {}).await?);
    let announced = market::read(client, ReadAnnouncedParams {}).await?;
    let next = trial.or(announced.map(|announced| announced.params)).map(|params| named(network, &params));
    let valid_from = announced.map(|AnnouncedParams { valid_from, .. }| valid_from.0);
    if common.json {
        let object = |pairs: &[(String, String)]| -> Map<String, Value> {
            pairs.iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))).collect()
        };
        return output::json(&json!({
            "in_force": object(&now), "next": next.as_deref().map(object), "valid_from": valid_from,
            "announced": announced.is_some(),
        }));
    }
    let next = next.unwrap_or_else(|| now.clone());
    let mut rows = vec![["parameter", "in force", "next"].map(String::from).to_vec()];
    rows.extend(now.iter().zip(&next).map(|((key, now), (_, next))| {
        let next = if now == next { String::new() } else { next.clone() };
        vec![key.clone(), now.clone(), next]
    }));
    output::text(&output::table(&rows))?;
    match (trial, valid_from) {
        (Some(_), _) => output::text("nothing was sent"),
        (None, Some(block)) => output::text(&format!("announced; may be put in force from block {block} on")),
        (None, None) => output::text("nothing is announced"),
    }
}
