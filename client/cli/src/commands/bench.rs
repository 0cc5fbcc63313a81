//! `encompute bench`: measures on this machine.

use super::{attest::Attest, sentences::Sentences};
use crate::{
    args::Common,
    failure::{Doing, Exit, Failure, Outcome},
    output,
    plot::{self, Bar},
};
use clap::Subcommand;
use encompute_fhe::{
    AccumulatorBits, BlindingKey, BootstrapSet, CodePath, EncryptedFeatures, EncryptedTensor, EvaluationKey,
    InputLayout, OutputLayout,
};
use encompute_head::{
    exactness::{self, Compared, Kind},
    measure::{self, OwnerError, TensorOwner},
};
use encompute_keys::{SecretKey, VerifiedResponse};
use serde_json::json;
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

/// Runs a row is the median of.
const RUNS: usize = 51;

/// Measure on this machine
#[derive(Subcommand)]
pub enum Bench {
    /// Encrypted layers: time, bytes, exactness
    #[command(
        after_help = "Examples:\n  encompute bench head\n  encompute bench head --only dense-784x64 --json\n  encompute bench head --cores 2 --plot heads.svg\n  encompute bench head --only conv-3x3-28x28-pbs   # minutes"
    )]
    Head {
        /// This row alone, by its name; may be given several times
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
        /// Threads that a layer has
        #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
        cores: NonZeroUsize,
        /// Also draw the times into this SVG file
        #[arg(long, value_name = "FILE")]
        plot: Option<PathBuf>,
    },
    /// Random layers of every kind: each decrypted output against the layer's definition
    #[command(
        after_help = "Examples:\n  encompute bench exact\n  encompute bench exact --outputs 1000000 --lookups 100000 --json"
    )]
    Exact {
        /// Outputs to compare, of each kind of linear layer
        #[arg(long, value_name = "N", default_value_t = 100_000)]
        outputs: u64,
        /// Look-ups by bootstraps to compare: some 200 a second on two cores
        #[arg(long, value_name = "N", default_value_t = 2_000)]
        lookups: u64,
        /// Chooses layers, weights and inputs; keys are fresh
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
    },
    /// A published sentence encoder, every projection encrypted: cosine with the float model, time, traffic
    #[command(
        after_help = "Examples:\n  encompute bench sentences --model minilm --text /usr/share/common-licenses/GPL-3\n  encompute bench sentences --model minilm --text book.txt --tokens 128 --count 20 --json"
    )]
    Sentences(Sentences),
    /// Quotes of every form and receipts: how many one core judges in a second
    #[command(after_help = "Examples:\n  encompute bench attest\n  encompute bench attest --quotes 2000 --json")]
    Attest(Attest),
    /// Noise of a dense layer's outputs, against the proof's variance
    #[command(after_help = "Examples:\n  encompute bench noise\n  encompute bench noise --encryptions 100000 --json")]
    Noise {
        /// Requests to encrypt and run
        #[arg(long, value_name = "N", default_value_t = 10_000)]
        encryptions: u64,
    },
}

impl Bench {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        match self {
            Self::Head { only, cores, plot } => Self::head(&only, cores, plot.as_deref(), common),
            Self::Exact { outputs, lookups, seed } => Self::exact(outputs, lookups, seed, common),
            Self::Sentences(sentences) => sentences.run(common.json),
            Self::Attest(attest) => attest.run(common.json),
            Self::Noise { encryptions } => Self::noise(encryptions, common),
        }
    }

    fn exact(outputs: u64, lookups: u64, seed: u64, common: &Common) -> Outcome {
        let mut rows = Vec::new();
        for kind in Kind::ALL {
            let outputs = if kind == Kind::Lookup { lookups } else { outputs };
            output::say(&format!("comparing {outputs} outputs of random {} layers …", kind.name()));
            let fresh = || Owner(SecretKey::generate(measure::PARAMETER_SET));
            let compared = exactness::compare(kind, outputs, seed, fresh).doing(Exit::Failed, "compare")?;
            rows.push((kind, compared));
        }
        if common.json {
            let row = |(kind, Compared { heads, outputs, mismatches }): &(Kind, Compared)| json!({ "name": kind.name(), "heads": heads, "outputs": outputs, "mismatches": mismatches });
            let rows: Vec<_> = rows.iter().map(row).collect();
            output::json(&json!({ "seed": seed, "code_path": CodePath::fastest().name(), "rows": rows }))?;
        } else {
            let head = ["layer", "heads", "outputs", "not equal"].map(String::from).to_vec();
            let words = rows.iter().map(|(kind, Compared { heads, outputs, mismatches })| {
                vec![kind.name().to_owned(), heads.to_string(), outputs.to_string(), mismatches.to_string()]
            });
            output::text(&output::table(&std::iter::once(head).chain(words).collect::<Vec<_>>()))?;
        }
        let mismatches: u64 = rows.iter().map(|(_, compared)| compared.mismatches).sum();
        match mismatches {
            0 => Ok(()),
            _ => Err(Failure::new(Exit::Failed, format!("{mismatches} outputs are not what the layers say"))),
        }
    }

    fn noise(encryptions: u64, common: &Common) -> Outcome {
        output::say(&format!("reading the noise of {encryptions} encrypted runs …"));
        let fresh = || Owner(SecretKey::generate(measure::PARAMETER_SET));
        let found = exactness::noise(encryptions, 1, fresh).doing(Exit::Failed, "measure")?;
        let of_expected = found.measured_variance / found.expected_variance;
        let of_proved = found.measured_variance / found.proved_variance;
        if common.json {
            return output::json(&json!({
                "encryptions": found.encryptions, "outputs": found.outputs, "measured_variance": found.measured_variance,
                "expected_variance": found.expected_variance, "proved_variance": found.proved_variance,
                "measured_of_expected": of_expected, "measured_of_proved": of_proved,
                "largest_of_margin": found.largest_of_margin,
            }));
        }
        output::text(&format!(
            "{} outputs of {} encryptions, in units of 2^-64\n\
             measured variance  2^{:.3}\n\
             the proof's formula for an average key  2^{:.3}: measured is {of_expected:.4} of it\n\
             what the proof assumes  2^{:.3}: measured is {of_proved:.4} of it\n\
             largest noise  {:.4} of the margin within which it is rounded away",
            found.outputs,
            found.encryptions,
            found.measured_variance.log2(),
            found.expected_variance.log2(),
            found.proved_variance.log2(),
            found.largest_of_margin,
        ))
    }

    fn head(only: &[String], cores: NonZeroUsize, plotted: Option<&Path>, common: &Common) -> Outcome {
        let heads = chosen(only)?;
        plotted.map_or(Ok(()), output::has_folder)?;
        let owner = Owner(SecretKey::generate(measure::PARAMETER_SET));
        let mut rows = Vec::new();
        for head in heads {
            output::say(&format!("measuring {} …", head.name));
            rows.push(head.measure(&owner, RUNS, cores).doing(Exit::Failed, "measure")?);
        }
        let machine = machine();
        if let Some(file) = plotted {
            let bars: Vec<_> =
                rows.iter().map(|row| Bar { name: row.name.to_owned(), length: row.ms_median }).collect();
            let title = format!("Encrypted heads, {machine}, {cores} used");
            let svg = plot::bars(&title, "milliseconds, logarithmic", &bars).doing(Exit::Failed, "draw the plot")?;
            output::file(file, svg.as_bytes())?;
        }
        if common.json {
            let rows: Vec<_> = rows
                .iter()
                .map(|row| {
                    json!({
                        "name": row.name, "ms_median": row.ms_median, "bytes_up": row.bytes_up,
                        "bytes_down": row.bytes_down, "key_bytes": row.key_bytes, "exact": row.exact,
                        "ms_unblinded": row.ms_unblinded, "ms_bytes_to_bytes": row.ms_bytes_to_bytes,
                        "blinding_key_bytes": row.blinding_key_bytes, "bootstraps": row.bootstraps,
                        "ms_per_bootstrap": row.ms_per_bootstrap(), "misrounded_share": row.misrounded_share,
                    })
                })
                .collect();
            let build = if cfg!(debug_assertions) { "dev" } else { "release" };
            return output::json(&json!({
                "machine": machine, "cores_used": cores, "code_path": CodePath::fastest().name(), "build": build,
                "rows": rows,
            }));
        }
        let head = [
            "layer",
            "ms (median)",
            "unblinded",
            "bytes to bytes",
            "bytes up",
            "bytes down",
            "key bytes",
            "ms a bootstrap",
            "exact",
        ];
        let head = head.map(String::from).to_vec();
        let or_dash = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.3}"));
        let rows = rows.iter().map(|row| {
            vec![
                row.name.to_string(),
                format!("{:.3}", row.ms_median),
                or_dash(row.ms_unblinded),
                format!("{:.3}", row.ms_bytes_to_bytes),
                row.bytes_up.to_string(),
                row.bytes_down.to_string(),
                row.key_bytes.to_string(),
                or_dash(row.ms_per_bootstrap()),
                match (row.exact, row.misrounded_share) {
                    (false, _) => "NO".to_owned(),
                    (true, 0.0) => "yes".to_owned(),
                    (true, share) => format!("{:.1} % a bin off", 100.0 * share),
                },
            ]
        });
        output::text(&format!(
            "{machine}, {cores} used\n\n{}",
            output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
        ))
    }
}

/// The rows that were asked for; if none was, all that do not take minutes.
fn chosen(only: &[String]) -> Result<Vec<measure::Measured>, Failure> {
    let all = measure::heads();
    if let Some(unknown) = only.iter().find(|name| all.iter().all(|head| head.name != **name)) {
        let names: Vec<_> = all.iter().map(|head| head.name).collect();
        return Err(Failure::new(Exit::Usage, format!("there is no row `{unknown}`; there are {}", names.join(", "))));
    }
    let wanted = |head: &measure::Measured| match only.is_empty() {
        true => !head.takes_minutes,
        false => only.iter().any(|name| name == head.name),
    };
    Ok(all.into_iter().filter(wanted).collect())
}

/// Processor and cores, as the system names them.
pub(crate) fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name").and_then(|rest| rest.split_once(':')));
    let model = model.map_or(std::env::consts::ARCH, |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores")
}

/// The user's side of a measurement: responses were made in this very process.
pub(crate) struct Owner(pub(crate) SecretKey);

impl TensorOwner for Owner {
    fn encrypt(
        &self,
        values: &[i64],
        layout: &InputLayout,
        bits: AccumulatorBits,
    ) -> Result<EncryptedTensor, OwnerError> {
        Ok(self.0.encrypt(values, layout, bits)?)
    }

    fn decrypt(
        &self,
        features: &EncryptedFeatures,
        layout: &OutputLayout,
        bits: AccumulatorBits,
    ) -> Result<Vec<i64>, OwnerError> {
        let permission = VerifiedResponse::after_receipt_verification(features.digest());
        Ok(self.0.decrypt(features, layout, bits, &permission)?.expose_to_client_run().to_vec())
    }

    fn blinding_key(&self) -> &BlindingKey {
        self.0.blinding_key()
    }

    fn evaluation_key(&self, set: BootstrapSet) -> Result<EvaluationKey, OwnerError> {
        Ok(self.0.evaluation_key(set)?)
    }
}
