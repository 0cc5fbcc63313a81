//! The command line's words.

use clap::{Args, Parser, Subcommand};
use encompute_protocol::{ContractAddress, CostUnits};
use std::net::SocketAddr;
use std::path::PathBuf;

pub(crate) const AFTER: &str = "\
Exit codes: 0 done, 1 failed, 2 usage, 4 chain unreachable, 5 attestation refused.

Examples:
  encompute-worker run --network local --suri //Bob --state ./worker --guest-agent http://127.0.0.1:8600
  encompute-worker run --network paseo-hub --account worker.json --password-file pw --state /data --listen 0.0.0.0:8500 --url https://worker.example
  encompute-worker run --network local --anchor 0x… --relay http://127.0.0.1:8400 --state ./worker
  encompute-worker relay --network local --suri //Bob --anchor 0x… --listen 127.0.0.1:8400
  encompute-worker key --state ./worker
  encompute-worker status --url http://127.0.0.1:8500 --json";

/// Runs heads on encrypted data, inside an enclave, and earns their fees.
#[derive(Parser)]
#[command(name = "encompute-worker", version, max_term_width = 120)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What a worker does.
#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "parsed once")]
pub enum Command {
    /// Attest, register, and serve until SIGTERM or Ctrl-C; one JSON line on stdout says when it is ready
    Run(Run),
    /// What a running worker says of itself
    Status(Status),
    /// The public key of a worker's state folder, made there if it has none: what the owner of an anchor names
    Key(Key),
    /// Send what workers behind anchors have signed, and pay for it, until SIGTERM or Ctrl-C
    Relay(Relay),
}

/// Which network, and where it is written down.
#[derive(Args)]
pub struct Place {
    /// Network: a name or the path of its TOML file [env: ENCOMPUTE_NETWORK]
    #[arg(long, value_name = "NAME|FILE")]
    pub network: Option<String>,
    /// Folder of networks and configuration [default: ~/.encompute] [env: ENCOMPUTE_HOME]
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// The chain's RPC address, instead of the network file's [env: ENCOMPUTE_RPC]
    #[arg(long, value_name = "URL")]
    pub rpc: Option<String>,
}

/// How to run.
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    pub place: Place,
    /// Account that stakes and is credited, as a development key such as //Bob; on development networks only
    #[arg(long, value_name = "//NAME", required_unless_present_any = ["account", "anchor"])]
    pub suri: Option<String>,
    /// Account that stakes and is credited, as a polkadot.js JSON file
    #[arg(long, value_name = "FILE", conflicts_with = "suri", requires = "password_file")]
    pub account: Option<PathBuf>,
    /// File with the account's password
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Anchor that is the worker's account, instead of one of its own: it needs no money then
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["suri", "account"], requires = "relay")]
    pub anchor: Option<ContractAddress>,
    /// Relayer that sends what the worker signs for its anchor
    #[arg(long, value_name = "URL", requires = "anchor")]
    pub relay: Option<String>,
    /// Folder of the worker's keys and journal; in an enclave, on its own encrypted disk
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// Address to listen on; port 0 takes the one of the last start, else any free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Where clients reach the worker [default: http:// and the address listened on]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// dstack guest agent: a socket or an URL [default: as dstack's clients look for it]
    #[arg(long, value_name = "SOCKET|URL")]
    pub guest_agent: Option<String>,
    /// Collateral service [default: the network's]
    #[arg(long, value_name = "URL")]
    pub pcs: Option<String>,
    /// Most jobs held at once
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub capacity: u16,
    /// Least stake in the network's token, e.g. 100 or 12.5 [default: the contract's floor and one job's stake for each place]
    #[arg(long, value_name = "AMOUNT")]
    pub stake: Option<String>,
    /// Costliest head that is run, in cost units
    #[arg(long, default_value = "1000000", value_name = "UNITS", value_parser = units)]
    pub cost_limit: CostUnits,
    /// Rounds computed at once [default: half the cores, at least one]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Stop when stdin ends, too: whoever started this process is gone
    #[arg(long)]
    pub stop_with_stdin: bool,
    /// Accepted for scripts: the ready line on stdout is JSON in any case
    #[arg(long)]
    pub json: bool,
}

/// Whose key.
#[derive(Args)]
pub struct Key {
    /// Folder of the worker's keys and journal
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
}

/// Who pays, and for whom.
#[derive(Args)]
pub struct Relay {
    #[command(flatten)]
    pub place: Place,
    /// Account that pays, as a development key such as //Bob; on development networks only
    #[arg(long, value_name = "//NAME", required_unless_present = "account")]
    pub suri: Option<String>,
    /// Account that pays, as a polkadot.js JSON file
    #[arg(long, value_name = "FILE", conflicts_with = "suri", requires = "password_file")]
    pub account: Option<PathBuf>,
    /// File with the account's password
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Anchor that is served; give it once for each
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub anchor: Vec<ContractAddress>,
    /// Address to listen on; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Stop when stdin ends, too: whoever started this process is gone
    #[arg(long)]
    pub stop_with_stdin: bool,
    /// Accepted for scripts: the ready line on stdout is JSON in any case
    #[arg(long)]
    pub json: bool,
}

/// Whom to ask.
#[derive(Args)]
pub struct Status {
    /// The worker's address
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// Print one JSON value instead of text
    #[arg(long)]
    pub json: bool,
}

fn units(text: &str) -> Result<CostUnits, String> {
    text.parse().map(CostUnits).map_err(|_| "a whole number of cost units".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
