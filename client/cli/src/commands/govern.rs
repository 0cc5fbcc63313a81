//! `encompute govern`: puts the contract on a chain, and says which code may register as a worker, on which machines.

use crate::{
    args::{Common, Identity},
    commands::inspect::Inspect,
    context::Context,
    deployment,
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::{Args, Subcommand};
use encompute_protocol::{
    BlockNumber, MeasurementId, Plancks, PlatformId,
    call::{ReadMeasurement, ReadPlatform, RevokeMeasurement, RevokePlatform},
};
use serde_json::json;

/// Put the contract on a chain, and govern it
#[derive(Subcommand)]
pub enum Govern {
    /// Deploy the contract with the network file's parameters; whoever signs becomes governor and treasury
    #[command(
        after_help = "Examples:\n  encompute govern deploy --network mine.toml --wallet governor\n  encompute govern deploy --network mine.toml --wallet governor --json"
    )]
    Deploy {
        /// Who signs and governs
        #[command(flatten)]
        identity: Identity,
    },
    /// Announce a measurement: from `measurement_delay_blocks` on, workers with that code may register
    #[command(after_help = "Examples:\n  encompute govern allow 0xae9e…7a87 --wallet governor")]
    Allow(Measured),
    /// Revoke a measurement at once: its workers take no new jobs
    #[command(after_help = "Examples:\n  encompute govern revoke 0xae9e…7a87 --wallet governor")]
    Revoke(Measured),
    /// Announce a platform: from `measurement_delay_blocks` on, that machine's quotes may register workers
    #[command(
        after_help = "Examples:\n  encompute govern inspect quote.json\n  encompute govern allow-platform 0x51c0…9e0d --wallet governor"
    )]
    AllowPlatform(Machine),
    /// Say what a quote attests: the platform and the measurement to announce, verified up to the network's root
    #[command(
        after_help = "Examples:\n  encompute govern inspect quote.json\n  encompute govern inspect quote.bin --network mine.toml --json"
    )]
    Inspect(Inspect),
    /// Revoke a platform at once: its workers take no new jobs, and jobs without a head are given back
    #[command(after_help = "Examples:\n  encompute govern revoke-platform 0x51c0…9e0d --wallet governor")]
    RevokePlatform(Machine),
}

/// One measurement.
#[derive(Args)]
pub struct Measured {
    /// Identity of the worker's code, as its ready line and `worker status` show it
    measurement: String,
    /// Who signs: the governor
    #[command(flatten)]
    identity: Identity,
}

/// One machine.
#[derive(Args)]
pub struct Machine {
    /// Identity of the machine's attestation, as a worker that may not register and `worker status` show it
    platform: String,
    /// Who signs: the governor
    #[command(flatten)]
    identity: Identity,
}

impl Govern {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        let context = Context::load(common)?;
        match self {
            Self::Deploy { identity } => deploy(&context, &identity, common).await,
            Self::Allow(measured) => measured.allow(&context, common).await,
            Self::Revoke(measured) => measured.revoke(&context, common).await,
            Self::Inspect(inspect) => return inspect.run(common).await,
            Self::AllowPlatform(machine) => machine.allow(&context, common).await,
            Self::RevokePlatform(machine) => machine.revoke(&context, common).await,
        }
    }
}

async fn deploy(context: &Context, identity: &Identity, common: &Common) -> Outcome {
    if let Some(contract) = context.network().chain.contract {
        let text = format!("network {} names contract {contract} already", context.network().name);
        return Err(Failure::new(Exit::Usage, text).hint("take `contract` out of the network file to deploy another"));
    }
    let account = context.account(identity).await?;
    let (genesis, governor) = (account.client().genesis(), account.address());
    let contract = deployment::deploy(&account, context.network().deployment.params).await?;
    if common.json {
        return output::json(&json!({
            "contract": contract.to_string(), "genesis": genesis.to_string(), "governor": governor.to_string(),
        }));
    }
    output::text(&format!("contract {contract} on genesis {genesis}, governed by {governor}"))?;
    output::text("write both into [chain] of the network file, for everybody who uses it:")?;
    output::text(&format!("genesis = \"{genesis}\"\ncontract = \"{contract}\""))
}

impl Measured {
    fn id(&self) -> Outcome<MeasurementId> {
        self.measurement.parse().doing(Exit::Usage, &format!("read measurement {:?}", self.measurement))
    }

    async fn allow(self, context: &Context, common: &Common) -> Outcome {
        let measurement = self.id()?;
        let account = context.account(&self.identity).await?;
        deployment::allow(&account, measurement).await?;
        show(&account, measurement, common).await
    }

    async fn revoke(self, context: &Context, common: &Common) -> Outcome {
        let measurement = self.id()?;
        let account = context.account(&self.identity).await?;
        let revoked = account.submit(RevokeMeasurement { measurement }, Plancks::ZERO).await;
        revoked.map_err(|error| Failure::of(exit_of_chain(error.class()), "revoke the measurement", &error))?;
        show(&account, measurement, common).await
    }
}

impl Machine {
    fn id(&self) -> Outcome<PlatformId> {
        self.platform.parse().doing(Exit::Usage, &format!("read platform {:?}", self.platform))
    }

    async fn allow(self, context: &Context, common: &Common) -> Outcome {
        let platform = self.id()?;
        let account = context.account(&self.identity).await?;
        deployment::allow_platform(&account, platform).await?;
        show_platform(&account, platform, common).await
    }

    async fn revoke(self, context: &Context, common: &Common) -> Outcome {
        let platform = self.id()?;
        let account = context.account(&self.identity).await?;
        let revoked = account.submit(RevokePlatform { platform }, Plancks::ZERO).await;
        revoked.map_err(|error| Failure::of(exit_of_chain(error.class()), "revoke the platform", &error))?;
        show_platform(&account, platform, common).await
    }
}

/// What the contract's list says of a measurement now.
async fn show(account: &encompute_chain::Account, measurement: MeasurementId, common: &Common) -> Outcome {
    let entry = crate::commands::market::read(account.client(), ReadMeasurement { measurement }).await?;
    let entry = entry.map(|entry| (entry.valid_from, entry.revoked_at));
    show_entry("measurement", &measurement.to_string(), entry, common)
}

/// What the contract's list says of a platform now.
async fn show_platform(account: &encompute_chain::Account, platform: PlatformId, common: &Common) -> Outcome {
    let entry = crate::commands::market::read(account.client(), ReadPlatform { platform }).await?;
    let entry = entry.map(|entry| (entry.valid_from, entry.revoked_at));
    show_entry("platform", &platform.to_string(), entry, common)
}

fn show_entry(what: &str, id: &str, entry: Option<(BlockNumber, Option<BlockNumber>)>, common: &Common) -> Outcome {
    let (from, revoked) = (entry.map(|(from, _)| from.0), entry.and_then(|(_, revoked)| revoked));
    if common.json {
        let revoked_at = revoked.map(|block| block.0);
        return output::json(&json!({ what: id, "valid_from": from, "revoked_at": revoked_at }));
    }
    match (from, revoked) {
        (_, Some(block)) => output::text(&format!("{id} is revoked since block {block}")),
        (Some(block), None) => output::text(&format!("{id} is valid from block {block} on")),
        (None, None) => output::text(&format!("{id} is not on the list")),
    }
}
