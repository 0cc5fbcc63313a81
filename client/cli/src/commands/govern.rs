//! `encompute govern`: puts the contract on a chain, and says which code may register as a worker, on which machines.

use crate::{
    args::{Common, Identity},
    commands::{inspect::Inspect, params::Parameters},
    context::Context,
    deployment,
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::{Args, Subcommand};
use encompute_protocol::{
    BlockNumber, MeasurementId, Plancks, PlatformId,
    call::{ReadGovernance, ReadMeasurement, ReadPlatform, RevokeMeasurement, RevokePlatform, SetGovernor, SetPaused},
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
    /// Announce a measurement: from `notice_blocks` on, workers with that code may register
    #[command(after_help = "Examples:\n  encompute govern allow 0xae9e…7a87 --wallet governor")]
    Allow(Measured),
    /// Revoke a measurement at once: its workers take no new jobs
    #[command(after_help = "Examples:\n  encompute govern revoke 0xae9e…7a87 --wallet governor")]
    Revoke(Measured),
    /// Announce a platform: from `notice_blocks` on, that machine's quotes may register workers
    #[command(
        after_help = "Examples:\n  encompute govern inspect quote.json\n  encompute govern allow-platform 0x51c0…9e0d --wallet governor"
    )]
    AllowPlatform(Machine),
    /// Say what a quote attests: the platform and the measurement to announce, verified up to the network's root
    #[command(
        after_help = "Examples:\n  encompute govern inspect quote.json\n  encompute govern inspect quote.json --compose app-compose.json\n  encompute govern inspect quote.bin --network mine.toml --json"
    )]
    Inspect(Inspect),
    /// Parameters of new jobs, and how they change; jobs that exist keep theirs
    #[command(subcommand)]
    Params(Parameters),
    /// Stop new jobs; those that exist go on, and everybody gets everything out
    #[command(after_help = "Examples:\n  encompute govern pause --wallet governor")]
    Pause(Governing),
    /// Let new jobs come again
    #[command(after_help = "Examples:\n  encompute govern resume --wallet governor")]
    Resume(Governing),
    /// Hand the governor's role to another account, for good
    #[command(after_help = "Examples:\n  encompute govern hand-over 5Grw…utQY --wallet governor")]
    HandOver {
        /// Who governs then: an address, an account id or //Name
        to: String,
        /// Who signs: the governor
        #[command(flatten)]
        identity: Identity,
    },
    /// Revoke a platform at once: its workers take no new jobs, and jobs without a head are given back
    #[command(after_help = "Examples:\n  encompute govern revoke-platform 0x51c0…9e0d --wallet governor")]
    RevokePlatform(Machine),
}

/// Who governs.
#[derive(Args)]
pub struct Governing {
    /// Who signs: the governor
    #[command(flatten)]
    identity: Identity,
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
            Self::Params(params) => params.run(&context, common).await,
            Self::Pause(governing) => governing.pause(&context, true, common).await,
            Self::Resume(governing) => governing.pause(&context, false, common).await,
            Self::HandOver { to, identity } => {
                let governor = deployment::parse_address(&to)?;
                let account = context.account(&identity).await?;
                let sent = account.submit(SetGovernor { governor }, Plancks::ZERO).await;
                sent.map_err(|error| {
                    Failure::of(exit_of_chain(error.class()), "hand the governor's role over", &error)
                })?;
                show_governance(&account, common).await
            }
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

impl Governing {
    async fn pause(self, context: &Context, paused: bool, common: &Common) -> Outcome {
        let account = context.account(&self.identity).await?;
        let sent = account.submit(SetPaused { paused }, Plancks::ZERO).await;
        sent.map_err(|error| Failure::of(exit_of_chain(error.class()), "stop or resume new jobs", &error))?;
        show_governance(&account, common).await
    }
}

/// Who governs, and whether new jobs are stopped.
async fn show_governance(account: &encompute_chain::Account, common: &Common) -> Outcome {
    let (governor, paused) = crate::commands::market::read(account.client(), ReadGovernance {}).await?;
    if common.json {
        return output::json(&json!({ "governor": governor.to_string(), "paused": paused }));
    }
    let jobs = if paused { "new jobs are stopped" } else { "new jobs are taken" };
    output::text(&format!("governed by {governor}; {jobs}"))
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
