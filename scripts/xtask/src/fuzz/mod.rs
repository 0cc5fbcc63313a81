//! Runs every fuzz target for a while and says what came of it.

mod report;

use crate::repository;
use report::{Outcome, Table};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Arguments of `fuzz`.
#[derive(clap::Args)]
pub struct Arguments {
    /// How long each target runs, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many inputs each target gets at most [default: no limit]
    #[arg(long, value_name = "COUNT")]
    executions: Option<u64>,
    /// Only these targets
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Targets that run at once [default: one a core]
    #[arg(long)]
    at_once: Option<usize>,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Why fuzzing could not be done, or what it found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FuzzError {
    #[error("{doing} {path}")]
    File {
        doing: &'static str,
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("start {program}")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("the targets cannot be built ({0})")]
    Build(ExitStatus),
    #[error("`decoders` failed ({status}): {words}")]
    Seeds { status: ExitStatus, words: String },
    #[error("there is no target {found:?}; there are {known}")]
    NoTarget { found: String, known: String },
    #[error("target {target} is not among the decoders of tests/decoders")]
    NoLimits { target: String },
    #[error("{0} targets crashed; the inputs lie under target/fuzz/artifacts")]
    Crashed(u64),
}

/// The triple has to be named, or build scripts would be instrumented, too.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Memory of libFuzzer itself and of what it has found, besides what a decoder may take.
const OWN_MEMORY_MIB: u64 = 512;
/// How long one input may take before it counts as a crash: a decoder's second, on a machine that is busy.
const INPUT_SECONDS: u32 = 10;

/// What the seeds' program says of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    longest_bytes: u64,
    memory_kib: u64,
}

/// Builds the targets, runs each, prints a table.
///
/// # Errors
/// [`FuzzError`]; a target that crashes does not stop the others.
pub fn run(arguments: &Arguments) -> Result<(), FuzzError> {
    let targets = chosen(&arguments.target)?;
    let folder = repository::root().join("target/fuzz");
    build(&folder)?;
    let limits = write_seeds(&folder)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let at_once = arguments.at_once.unwrap_or(cores).max(1);
    let (waiting, done) = (Mutex::new(targets.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(target) = next else { return };
                    let outcome = fuzz(&target, limits.get(&target).copied(), &folder, arguments);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    let outcomes = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let table = Table::of(outcomes.into_iter().collect::<Result<Vec<_>, _>>()?);
    match arguments.json {
        true => println!("{}", table.json()),
        false => print!("{}", table.text()),
    }
    match table.crashed() {
        0 => Ok(()),
        count => Err(FuzzError::Crashed(count)),
    }
}

/// Every target, or those that were asked for.
fn chosen(wanted: &[String]) -> Result<Vec<String>, FuzzError> {
    let folder = repository::root().join("tests/fuzz/fuzz_targets");
    let files = repository::files(&folder, &|path| path.extension().is_some_and(|ending| ending == "rs"));
    let files = files.map_err(|source| file_error("list", &folder, source))?;
    let names = files.iter().filter_map(|file| file.file_stem()).map(|name| name.to_string_lossy().into_owned());
    let known: Vec<String> = names.collect();
    if let Some(found) = wanted.iter().find(|name| !known.contains(name)) {
        return Err(FuzzError::NoTarget { found: found.clone(), known: known.join(", ") });
    }
    Ok(if wanted.is_empty() { known } else { wanted.to_vec() })
}

fn build(folder: &Path) -> Result<(), FuzzError> {
    let mut cargo = repository::cargo();
    cargo
        .args(["build", "--release", "--locked", "--bins", "--target", TRIPLE, "--target-dir"])
        .arg(folder)
        .args(["--manifest-path", "tests/fuzz/Cargo.toml"])
        .env("RUSTC_WRAPPER", repository::root().join("tests/fuzz/rustc"));
    run_cargo(&mut cargo)
}

fn run_cargo(cargo: &mut Command) -> Result<(), FuzzError> {
    let status = cargo.status().map_err(|source| FuzzError::Start { program: "cargo".to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(FuzzError::Build(status)) }
}

/// Every target's seeds under `target/fuzz/seeds`, and the limits of each by its name.
fn write_seeds(folder: &Path) -> Result<BTreeMap<String, Limits>, FuzzError> {
    let mut cargo = repository::cargo();
    // The whole workspace is resolved, so that what is built already fits.
    run_cargo(cargo.args(["build", "--locked", "--workspace", "--bin", "decoders"]))?;
    let words = decoders("seeds", &folder.join("seeds"))?;
    Ok(words.lines().filter_map(limits_in).collect())
}

/// What `decoders`, which lies beside this program, says of a folder.
fn decoders(act: &str, folder: &Path) -> Result<String, FuzzError> {
    let ours = std::env::current_exe().unwrap_or_default();
    let program = ours.with_file_name("decoders");
    let ran = Command::new(&program).arg(act).arg(folder).output();
    let ran = ran.map_err(|source| FuzzError::Start { program: program.display().to_string(), source })?;
    if !ran.status.success() {
        let words = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        return Err(FuzzError::Seeds { status: ran.status, words });
    }
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
}

/// `name longest-bytes memory-kib`
fn limits_in(line: &str) -> Option<(String, Limits)> {
    let mut words = line.split(' ');
    let name = words.next()?.to_owned();
    let mut number = || words.next()?.parse().ok();
    Some((name, Limits { longest_bytes: number()?, memory_kib: number()? }))
}

/// One target, for its time. What it finds is kept for the next run.
fn fuzz(target: &str, limits: Option<Limits>, folder: &Path, arguments: &Arguments) -> Result<Outcome, FuzzError> {
    let Limits { longest_bytes, memory_kib } =
        limits.ok_or_else(|| FuzzError::NoLimits { target: target.to_owned() })?;
    let found = made(folder.join("found").join(target))?;
    let artifacts = made(folder.join("artifacts").join(target))?;
    let program = folder.join(TRIPLE).join("release").join(target);
    let started = Instant::now();
    let ran = Command::new(&program)
        .arg(found)
        .arg(folder.join("seeds").join(target))
        .arg(format!("-max_total_time={}", arguments.seconds))
        .args(arguments.executions.map(|count| format!("-runs={count}")))
        .arg(format!("-max_len={longest_bytes}"))
        .arg(format!("-rss_limit_mb={}", OWN_MEMORY_MIB + memory_kib / 1_024))
        .arg(format!("-timeout={INPUT_SECONDS}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-print_final_stats=1", "-verbosity=1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|source| FuzzError::Start { program: program.display().to_string(), source })?;
    let words = String::from_utf8_lossy(&ran.stderr);
    Ok(Outcome::read(target, &words, ran.status.success(), started.elapsed()))
}

fn made(folder: PathBuf) -> Result<PathBuf, FuzzError> {
    std::fs::create_dir_all(&folder).map_err(|source| file_error("make", &folder, source))?;
    Ok(folder)
}

fn file_error(doing: &'static str, path: &Path, source: io::Error) -> FuzzError {
    FuzzError::File { doing, path: repository::name(path), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_from_a_line_of_the_seeds_program() {
        let limits = Limits { longest_bytes: 8_192, memory_kib: 64 };
        assert_eq!(limits_in("requests 8192 64"), Some(("requests".to_owned(), limits)));
        assert_eq!(limits_in("requests 8192"), None);
    }
}
