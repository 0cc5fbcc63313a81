//! The command line and its meaning.

use clap::{ArgGroup, Parser};
use encompute_devchain::{
    Config, Endowments, Place, Seal,
    runtime::{AccountId, Balance, UNIT},
};
use sp_core::crypto::Ss58Codec;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

const EXAMPLES: &str = "\
Examples:
  encompute-devchain --state ./chain
      Keep the chain in ./chain, answer on ws://127.0.0.1:9944, seal at most every 100 ms.
  encompute-devchain --in-memory --listen 127.0.0.1:0 --seal instant --block-time 0s
      A throw-away chain on a free port that makes blocks only when transactions ask for them.
  encompute-devchain --state ./chain --fund 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY=250.5
      A new chain on which that account owns 250.5 UNIT more.
  encompute-devchain --state ./chain --verify
      Execute every stored block again and report how many there are.

Exit codes: 0 done, 1 failed (port or folder taken, …), 2 wrong usage, 5 a stored block does not re-execute.
Logs go to stderr, at the level of ENCOMPUTE_LOG (e.g. debug).";

/// A development chain with smart contracts, in one process.
#[derive(Debug, Parser)]
#[command(name = "encompute-devchain", version, after_help = EXAMPLES)]
#[command(group(ArgGroup::new("place").required(true).args(["state", "in_memory"])))]
pub struct Arguments {
    /// Where to answer JSON-RPC over HTTP and WebSocket; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9944")]
    listen: SocketAddr,

    /// Folder of the chain's state, made if absent
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// Keep the chain in memory; it is gone when the process ends
    #[arg(long)]
    in_memory: bool,

    /// When to make a block: `instant`, or `tick:DURATION` for at most one per DURATION
    #[arg(long, value_name = "WHEN", default_value = "tick:100ms", value_parser = seal)]
    seal: Seal,

    /// Make an empty block after so long without one; 0s for never
    #[arg(long, value_name = "DURATION", default_value = "6s", value_parser = duration)]
    block_time: Duration,

    /// Pause between the `inBlock` and `finalized` notices of a watched transaction
    #[arg(long, value_name = "DURATION", default_value = "150ms", value_parser = duration)]
    finality_gap: Duration,

    /// Give an account UNIT at genesis, beside the million each of Alice to Ferdie own; may be repeated
    #[arg(long, value_name = "ADDRESS=AMOUNT", value_parser = endowment)]
    fund: Vec<(AccountId, Balance)>,

    /// Map accounts for contracts only when they ask for it (revive.map_account), as most public chains do
    #[arg(long)]
    explicit_mapping: bool,

    /// Stop when stdin ends, too: whoever started this process is gone
    #[arg(long)]
    pub stop_with_stdin: bool,

    /// Execute every stored block again, report, and exit
    #[arg(long, requires = "state")]
    pub verify: bool,
}

impl Arguments {
    /// The configuration they mean.
    pub fn into_config(self) -> Config {
        let endowments = (!self.fund.is_empty()).then(|| {
            let mut endowments = Endowments::development();
            for (account, plancks) in self.fund {
                endowments.add(account, plancks);
            }
            endowments
        });
        Config {
            listen: self.listen,
            place: self.state.map_or(Place::Memory, Place::Folder),
            seal: self.seal,
            heartbeat: (!self.block_time.is_zero()).then_some(self.block_time),
            endowments,
            explicit_mapping: self.explicit_mapping,
            finality_gap: self.finality_gap,
            ..Config::in_memory()
        }
    }
}

fn seal(text: &str) -> Result<Seal, String> {
    match text.split_once(':') {
        None if text == "instant" => Ok(Seal::Instant),
        Some(("tick", pause)) => duration(pause).map(Seal::Tick),
        _ => Err("expected `instant` or `tick:DURATION`, e.g. tick:100ms".into()),
    }
}

/// `250ms`, `6s`, `2m`; at most a day.
fn duration(text: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_secs(86_400);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u32 =
        digits.parse().map_err(|_| "expected a whole number and a unit, e.g. 250ms, 6s, 2m".to_owned())?;
    let duration = match &text[digits.len()..] {
        "ms" => Duration::from_millis(number.into()),
        "s" => Duration::from_secs(number.into()),
        "m" => Duration::from_secs(u64::from(number) * 60),
        unit => return Err(format!("unknown unit `{unit}`: use ms, s or m")),
    };
    if duration > DAY { Err("at most a day (1440m)".into()) } else { Ok(duration) }
}

fn endowment(text: &str) -> Result<(AccountId, Balance), String> {
    let (address, amount) = text.split_once('=').ok_or("expected ADDRESS=AMOUNT")?;
    let account = AccountId::from_string(address).map_err(|_| format!("`{address}` is no account address"))?;
    Ok((account, plancks(amount)?))
}

/// UNIT with up to 12 decimals, as plancks. At most a thousand million UNIT.
fn plancks(text: &str) -> Result<Balance, String> {
    const LIMIT_UNITS: Balance = 1_000_000_000;
    const EXPECTED: &str = "expected UNIT with up to 12 decimals, e.g. 250.5";
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 12 || !digits(whole) || !digits(part) {
        return Err(EXPECTED.into());
    }
    let whole: Balance = whole.parse().map_err(|_| EXPECTED.to_owned())?;
    let part: Balance = format!("{part:0<12}").parse().map_err(|_| EXPECTED.to_owned())?;
    if whole >= LIMIT_UNITS {
        return Err(format!("{whole} UNIT asked for, the limit is {LIMIT_UNITS}"));
    }
    Ok(whole * UNIT + part)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn amounts_are_exact_to_the_planck() {
        assert_eq!(plancks("250.5"), Ok(250_500_000_000_000));
        assert_eq!(plancks("0.000000000001"), Ok(1));
        for wrong in ["", ".5", "1.0000000000001", "-1", "1e3", "+1", "1000000000"] {
            assert!(plancks(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["100", "1h", "-1s", "s", "1441m"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_place_must_be_chosen() {
        assert!(Arguments::try_parse_from(["encompute-devchain"]).is_err());
        assert!(Arguments::try_parse_from(["encompute-devchain", "--in-memory", "--state", "x"]).is_err());
    }

    #[test]
    fn the_defaults_are_those_of_the_library() {
        let config = Arguments::try_parse_from(["encompute-devchain", "--in-memory"]).unwrap().into_config();
        let library = Config::in_memory();
        assert_eq!((config.seal, config.heartbeat), (library.seal, library.heartbeat));
        assert_eq!(config.finality_gap, library.finality_gap);
        assert_eq!(config.listen.port(), 9944);
    }
}
