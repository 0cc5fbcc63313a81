//! `encompute bench`: measures on this machine.

use crate::{
    args::Common,
    failure::{Doing, Exit, Outcome},
    output,
};
use clap::Subcommand;
use serde_json::json;

/// Measure on this machine
#[derive(Subcommand)]
pub enum Bench {
    /// Encrypted layers: time on one core, bytes, exactness
    #[command(after_help = "Examples:\n  encompute bench head\n  encompute bench head --json")]
    Head,
}

impl Bench {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        let Self::Head = self;
        output::say("measuring, a few seconds a row …");
        let rows = encompute_head::measure::rows().doing(Exit::Failed, "measure")?;
        let machine = machine();
        if common.json {
            let rows: Vec<_> = rows
                .iter()
                .map(|row| {
                    json!({
                        "name": row.name, "ms_median": row.ms_median, "bytes_up": row.bytes_up,
                        "bytes_down": row.bytes_down, "key_bytes": row.key_bytes, "exact": row.exact,
                    })
                })
                .collect();
            return output::json(&json!({ "machine": machine, "rows": rows }));
        }
        let head = ["layer", "ms (median)", "bytes up", "bytes down", "key bytes", "exact"].map(String::from).to_vec();
        let rows = rows.iter().map(|row| {
            vec![
                row.name.to_string(),
                format!("{:.3}", row.ms_median),
                row.bytes_up.to_string(),
                row.bytes_down.to_string(),
                row.key_bytes.to_string(),
                if row.exact { "yes" } else { "NO" }.to_owned(),
            ]
        });
        output::text(&format!("{machine}\n\n{}", output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())))
    }
}

/// Processor and cores, as the system names them.
fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name").and_then(|rest| rest.split_once(':')));
    let model = model.map_or(std::env::consts::ARCH, |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores")
}
