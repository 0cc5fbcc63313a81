//! `encompute creator`: serve a model's tail, and earn.

use super::creator_jobs::Jobs;
use crate::{
    args::{Common, Identity, Leash},
    commands::{credit::Withdraw, deposits::Bond, market, versions::models_of},
    context::{Context, stopped, under},
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::{Args, Subcommand};
use encompute_protocol::{
    Plancks,
    call::{ReadCredit, TakeSessions},
};
use serde_json::json;
use std::{net::SocketAddr, path::PathBuf};

/// Serve a model's tail and earn its fees
#[derive(Subcommand)]
pub enum Creator {
    /// Release head keys to attested workers, finish jobs, until stopped
    #[command(
        after_help = "Examples:\n  encompute creator serve --suri //Charlie\n  encompute creator serve --wallet clinic --listen 0.0.0.0:8700"
    )]
    Serve(Serve),
    /// What an account has earned: credit, bonds, open jobs
    #[command(after_help = "Examples:\n  encompute creator earnings --suri //Charlie --json")]
    Earnings {
        /// Whose
        #[command(flatten)]
        identity: Identity,
    },
    /// Take what was earned out of the contract
    #[command(
        after_help = "Examples:\n  encompute creator withdraw --suri //Charlie\n  encompute creator withdraw --suri //Charlie --to //Ferdie"
    )]
    Withdraw(Withdraw),
    /// Jobs on this account's models: where they stand, what they bring
    #[command(
        after_help = "Examples:\n  encompute creator jobs --suri //Charlie --watch\n  encompute creator jobs --wallet clinic --limit 100 --json"
    )]
    Jobs(Jobs),
    /// How many runs a session of a version may have; 0 takes no new sessions
    #[command(
        after_help = "Examples:\n  encompute creator sessions --model digits --jobs 1000 --suri //Charlie\n  encompute creator sessions --model digits --jobs 0 --suri //Charlie"
    )]
    Sessions {
        /// Model, by name or id
        #[arg(long)]
        model: String,
        /// Most runs of one session
        #[arg(long, value_name = "N")]
        jobs: u32,
        /// Who signs: the model's creator
        #[command(flatten)]
        identity: Identity,
    },
    /// A model's bond: users are paid from it when its creator fails them
    #[command(subcommand)]
    Bond(Bond),
}

/// How to serve.
#[derive(Args)]
pub struct Serve {
    /// Who signs
    #[command(flatten)]
    identity: Identity,
    /// Address to listen on; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Folder of weights, tails and keys, as `model publish` left it [default: HOME/creator]
    #[arg(long, value_name = "DIR")]
    vault: Option<PathBuf>,
    /// When to stop
    #[command(flatten)]
    leash: Leash,
}

impl Creator {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        let context = Context::load(common)?;
        match self {
            Self::Serve(serve) => serve.run(&context).await,
            Self::Earnings { identity } => earnings(&context, &identity, common).await,
            Self::Withdraw(withdraw) => withdraw.run(&context, common).await,
            Self::Jobs(jobs) => jobs.run(&context, common).await,
            Self::Sessions { model, jobs, identity } => sessions(&context, &model, jobs, &identity, common).await,
            Self::Bond(bond) => bond.run(&context, common).await,
        }
    }
}

impl Serve {
    async fn run(self, context: &Context) -> Outcome {
        let config = encompute_tail::ServeConfig {
            network: context.network().clone(),
            signer: context.signer(&self.identity)?,
            vault: self.vault.unwrap_or_else(|| under(context.home(), &["creator"])),
            listen: self.listen,
        };
        let ready = |ready: &encompute_tail::Ready| {
            let line = json!({
                "ready": true, "service": "creator", "listen": format!("http://{}", ready.listen), "account": ready.account.to_string(),
                "creator_key": ready.creator_key.to_string(), "versions": ready.versions,
            });
            // Nobody reads a closed stdout; the service serves all the same.
            let _ = output::json(&line);
        };
        encompute_tail::serve(config, ready, stopped(self.leash)).await.doing(Exit::Failed, "serve tails")
    }
}

async fn sessions(context: &Context, model: &str, jobs: u32, identity: &Identity, common: &Common) -> Outcome {
    let account = context.account(identity).await?;
    let listing = market::find(account.client(), &context.gateway()?, model).await?;
    let version = listing.version;
    let sent = account.submit(TakeSessions { version, jobs }, Plancks::ZERO).await;
    sent.map_err(|error| Failure::of(exit_of_chain(error.class()), "say how many runs a session may have", &error))?;
    match (common.json, jobs) {
        (true, _) => output::json(&json!({ "version": version.0, "jobs": jobs })),
        (false, 0) => output::text(&format!("version {version} takes no new sessions")),
        (false, _) => output::text(&format!("version {version} takes sessions of up to {jobs} runs")),
    }
}

async fn earnings(context: &Context, identity: &Identity, common: &Common) -> Outcome {
    let account = context.signer(identity)?.address();
    let client = context.chain().await?;
    let credit = market::read(&client, ReadCredit { account }).await?;
    let models = models_of(&client, account).await?;
    if common.json {
        let models: Vec<_> = models
            .iter()
            .map(|(model, record, name)| {
                json!({ "id": model.0, "name": name.as_str(), "bond": market::plancks(record.bond), "bond_locked": market::plancks(record.bond_locked), "open_jobs": record.open_jobs })
            })
            .collect();
        return output::json(
            &json!({ "account": account.to_string(), "credit": market::plancks(credit), "models": models }),
        );
    }
    let token = context.token();
    output::text(&format!("{account} may withdraw {}", token.show(credit)))?;
    models.iter().try_for_each(|(model, record, name)| {
        output::text(&format!(
            "  model {model} {name}: bond {}, {} of it held by {} open jobs",
            token.show(record.bond),
            token.show(record.bond_locked),
            record.open_jobs
        ))
    })
}
