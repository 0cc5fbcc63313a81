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
    /// Development key such as //Alice, or //Alith of Ethereum's kind; on development networks only.
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
    /// Pay once for many runs: open, submit, status, close
    #[command(subcommand)]
    Session(commands::session::Session),
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
    /// Keys that sign, and the money of their accounts
    #[command(subcommand)]
    Wallet(commands::wallet::Wallet),
    /// The blob gateway
    #[command(subcommand)]
    Gateway(commands::gateway::Gateway),
    /// Put the contract on a chain, and govern it
    #[command(subcommand)]
    Govern(commands::govern::Govern),
    /// Serve the page: choose a model, drop a file, watch the job, check the proof
    Web(commands::web::Web),
    /// What is configured, and where it comes from
    #[command(subcommand)]
    Config(commands::config::Config),
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::failure::Exit;
    use clap::{CommandFactory, error::ErrorKind};

    /// Every verb, with its words from the program's name on.
    fn verbs() -> Vec<(String, clap::Command)> {
        fn walk(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
            let mut verbs = command.get_subcommands().filter(|verb| verb.get_name() != "help").peekable();
            if verbs.peek().is_none() {
                found.push((path.to_owned(), command.clone()));
            }
            verbs.for_each(|verb| walk(verb, &format!("{path} {}", verb.get_name()), found));
        }
        let mut root = Arguments::command();
        root.build();
        let mut found = Vec::new();
        walk(&root, "encompute", &mut found);
        found
    }

    /// The example lines of a help text. A remark stands in parentheses, three blanks after its line.
    fn examples(help: &str) -> Vec<String> {
        let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
        lines.map(|line| line.trim().split("   ").next().unwrap_or_default().to_owned()).collect()
    }

    fn is_understood(example: &str) -> bool {
        let shown = |kind| matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        let words = |(at, part): (usize, &'_ str)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()], // between quotes
        };
        let words = example.split('"').enumerate().flat_map(words);
        Arguments::try_parse_from(words).map_or_else(|error| shown(error.kind()), |_| true)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_verb_of_the_market_is_there() {
        let found: Vec<String> = verbs().into_iter().map(|(path, _)| path).collect();
        let promised = "demo, dev up, doctor, model list, model show, model publish, job quote, job submit, job watch, \
                        job result, job cancel, job resume, job list, creator serve, creator earnings, creator withdraw, \
                        worker run, worker status, audit job, audit ledger, bench head, wallet new, wallet import, \
                        wallet show, wallet balance, wallet map, wallet withdraw, web, config show";
        for verb in promised.split(", ") {
            assert!(found.contains(&format!("encompute {verb}")), "{verb} is not among {found:?}");
        }
    }

    #[test]
    fn every_verb_takes_json_and_shows_examples_that_it_understands() {
        for (path, verb) in verbs() {
            assert!(verb.get_arguments().any(|argument| argument.get_long() == Some("json")), "{path} takes no --json");
            let help = verb.get_after_help().unwrap_or_else(|| panic!("{path} has no examples")).to_string();
            let own =
                examples(&help).into_iter().filter(|example| example.starts_with("encompute ")).collect::<Vec<_>>();
            assert!(own.iter().any(|example| example.starts_with(&path)), "{path} has no example of itself: {own:?}");
            own.iter().for_each(|example| assert!(is_understood(example), "{path} shows what fails: {example}"));
        }
        examples(AFTER).iter().for_each(|example| assert!(is_understood(example), "{example}"));
    }

    #[test]
    fn every_exit_code_is_documented_where_everybody_looks() {
        let readme = include_str!("../../../README.md");
        for exit in [
            Exit::Failed,
            Exit::Usage,
            Exit::NotFound,
            Exit::Unreachable,
            Exit::Verification,
            Exit::TimedOut,
            Exit::Privacy,
        ] {
            let code = exit as u8;
            assert!(AFTER.contains(&format!(" {code} ")) && readme.contains(&format!("| {code} | ")), "{exit:?}");
        }
    }

    #[test]
    fn what_every_command_takes_can_stand_before_or_after_its_verb() {
        for line in ["encompute --json job list", "encompute job list --json", "encompute job --json list"] {
            assert!(Arguments::try_parse_from(line.split(' ')).unwrap().common.json, "{line}");
        }
    }
}
