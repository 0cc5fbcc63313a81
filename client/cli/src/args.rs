//! The command line's words.

use crate::commands;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const AFTER: &str = "\
Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 chain unreachable, 5 verification failed, 6 timed out, 7 refused for privacy.

Examples:
  encompute demo                              everything at once, on an embedded chain
  encompute dev up                            a local market to play with; then, in another shell:
  encompute job submit --model digits --input 7.png --suri //Dave
  encompute audit job 1 --json";

/// Run somebody else's model on data that nobody else may see.
#[derive(Parser)]
#[command(name = "encompute", version, after_help = AFTER, max_term_width = 120)]
pub struct Arguments {
    /// What everything shares.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Print one JSON value on stdout instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// Folder of keys, jobs and networks [default: ~/.encompute] [env: ENCOMPUTE_HOME]
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Network: a name or the path of its TOML file [env: ENCOMPUTE_NETWORK]
    #[arg(long, global = true, value_name = "NAME|FILE")]
    pub network: Option<String>,
    /// The chain's RPC address, instead of the network file's [env: ENCOMPUTE_RPC]
    #[arg(long, global = true, value_name = "URL")]
    pub rpc: Option<String>,
    /// The blob gateway, instead of the network file's [env: ENCOMPUTE_GATEWAY]
    #[arg(long, global = true, value_name = "URL")]
    pub gateway: Option<String>,
    /// The contract, instead of the network file's [env: ENCOMPUTE_CONTRACT]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub contract: Option<String>,
}

/// Who signs.
#[derive(Args, Clone, Debug, Default)]
pub struct Identity {
    /// Development key such as //Alice; on development networks only.
    #[arg(long, value_name = "//NAME", conflicts_with = "wallet")]
    pub suri: Option<String>,
    /// Wallet made by `encompute wallet new` [env: ENCOMPUTE_WALLET]
    #[arg(long, value_name = "NAME", env = "ENCOMPUTE_WALLET", hide_env = true)]
    pub wallet: Option<String>,
    /// File that holds the wallet's password, for use without a terminal [env: ENCOMPUTE_PASSWORD_FILE]
    #[arg(long, value_name = "FILE", env = "ENCOMPUTE_PASSWORD_FILE", hide_env = true)]
    pub password_file: Option<PathBuf>,
}

/// When a service stops besides Ctrl-C and SIGTERM.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Leash {
    /// Stop when stdin ends, too: whoever started this process is gone
    #[arg(long)]
    pub stop_with_stdin: bool,
}

/// Every command.
#[derive(Subcommand)]
pub enum Command {
    /// Run two real jobs end to end on an embedded chain, and show what everybody saw and earned
    Demo(commands::demo::Demo),
    /// A local market for development
    #[command(subcommand)]
    Dev(commands::dev::Dev),
    /// Find what is broken, and say what to do
    Doctor(commands::doctor::Doctor),
    /// Models on sale, and a creator's bench
    #[command(subcommand)]
    Model(commands::model::Model),
    /// Buy a run: quote, submit, watch, result
    #[command(subcommand)]
    Job(commands::job::Job),
    /// Serve a model's tail and earn its fees
    #[command(subcommand)]
    Creator(commands::creator::Creator),
    /// Run heads on encrypted data and earn their fees
    #[command(subcommand)]
    Worker(commands::worker::Worker),
    /// Check what others say they did
    #[command(subcommand)]
    Audit(commands::audit::Audit),
    /// Measure on this machine
    #[command(subcommand)]
    Bench(commands::bench::Bench),
    /// Keys that sign
    #[command(subcommand)]
    Wallet(commands::wallet::Wallet),
    /// The blob gateway
    #[command(subcommand)]
    Gateway(commands::gateway::Gateway),
    /// What is configured, and where it comes from
    #[command(subcommand)]
    Config(commands::config::Config),
}
