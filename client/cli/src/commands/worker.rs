//! `encompute worker`: starts the worker's own binary, which never links the user's keys.

use super::{
    anchor::Anchor,
    appeal::{APPEAL_HELP, Appeal},
    deposits::Stake,
    inspect::Measure,
    standing,
};
use crate::{
    args::Common,
    context::Context,
    failure::{Doing, Exit, Failure, Outcome},
    supervise::sibling,
};
use clap::{Args, Subcommand};

/// Run heads on encrypted data and earn their fees
#[derive(Subcommand)]
pub enum Worker {
    /// Attest, register, and serve until stopped (starts `encompute-worker run`)
    #[command(
        after_help = "Examples:\n  encompute worker run --network local --suri //Bob --state ./worker\n  encompute-worker run --help\n  encompute-custodian run --help   (a worker that takes keys in custody: another program, another measurement)"
    )]
    Run(PassOn),
    /// Every registered worker: its score, what it has done and failed to do, how quick it is
    #[command(after_help = "Examples:\n  encompute worker list\n  encompute worker list --json")]
    List,
    /// One registered worker: the same, in words
    #[command(after_help = "Examples:\n  encompute worker show //Bob\n  encompute worker show 0x… --json")]
    Show {
        /// Its account: an address, an account id or //Name
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    /// What a running worker says of itself (starts `encompute-worker status`)
    #[command(after_help = "Examples:\n  encompute worker status --url http://127.0.0.1:8500")]
    Status(PassOn),
    /// What this machine attests: the measurement and the platform that a network should announce, verified up to its root
    #[command(
        after_help = "Examples:\n  encompute worker measure --network network.toml\n  encompute worker measure --guest-agent /var/run/dstack.sock --compose app-compose.json --json"
    )]
    Measure(Measure),
    /// A worker's stake: users are paid from it when the worker fails them
    #[command(subcommand)]
    Stake(Stake),
    /// Have three others hear a head of yours that a committee has found wrong
    #[command(after_help = APPEAL_HELP)]
    Appeal(Appeal),
    /// An anchor: a worker's account that speaks the off-chain rollup protocol, so that the worker needs no money
    #[command(subcommand)]
    Anchor(Anchor),
    /// Pay for what workers behind anchors have signed (starts `encompute-worker relay`)
    #[command(after_help = "Examples:\n  encompute worker relay --network local --suri //Bob --anchor 0x…")]
    Relay(PassOn),
}

/// Options that are handed on as they are.
#[derive(Args)]
pub struct PassOn {
    /// Options of `encompute-worker`; see its --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

impl Worker {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        let (verb, options) = match self {
            Self::Run(options) => ("run", options.options),
            Self::Status(options) => ("status", options.options),
            Self::Relay(options) => ("relay", options.options),
            Self::Measure(measure) => return measure.run(common).await,
            Self::List => return standing::list(&Context::load(common)?, common).await,
            Self::Show { account } => {
                let account = crate::deployment::parse_address(&account)?;
                return standing::show(&Context::load(common)?, account, common).await;
            }
            Self::Anchor(anchor) => return anchor.run(&Context::load(common)?, common).await,
            Self::Appeal(appeal) => return appeal.run(&Context::load(common)?, common).await,
            Self::Stake(stake) => return stake.run(&Context::load(common)?, common).await,
        };
        let mut arguments = vec![verb.to_owned()];
        if let (Some(network), true) = (&common.network, verb != "status") {
            arguments.extend(["--network".to_owned(), network.clone()]);
        }
        if common.json && verb == "status" {
            arguments.push("--json".to_owned());
        }
        arguments.extend(options);
        let mut child = tokio::process::Command::new(sibling("encompute-worker")?)
            .args(&arguments)
            .spawn()
            .doing(Exit::Failed, "start encompute-worker")?;
        // Ctrl-C reaches both; the worker drains and ends, and this command ends with it.
        let status = loop {
            tokio::select! {
                status = child.wait() => break status.doing(Exit::Failed, "wait for encompute-worker")?,
                () = crate::context::stop_signal() => {}
            }
        };
        match status.code() {
            Some(0) => Ok(()),
            Some(code) => std::process::exit(code),
            None => Err(Failure::new(Exit::Failed, format!("encompute-worker ended: {status}"))),
        }
    }
}
