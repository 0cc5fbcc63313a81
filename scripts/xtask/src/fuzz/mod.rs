//! Runs every fuzz target for a while and says what came of it.

mod report;
mod seeds;

use crate::repository;
use report::{Outcome, Table};
use std::{
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
    #[error("read the vectors in {path}")]
    Vectors {
        path: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("start {program}")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("the targets cannot be built ({0})")]
    Build(ExitStatus),
    #[error("there is no target {found:?}; there are {known}")]
    NoTarget { found: String, known: String },
    #[error("{0} targets crashed; the inputs lie under target/fuzz/artifacts")]
    Crashed(usize),
}

/// Coverage by LLVM's own pass, as cargo-fuzz asks for it. No `--cfg fuzzing`: what runs here is what runs elsewhere.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// The triple has to be named, or build scripts would be instrumented, too.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Memory that one target may take: twice the largest that a decoder may allocate for its longest input.
const MEMORY_MIB: u32 = 2_048;
/// How long one input may take before it counts as a crash.
const INPUT_SECONDS: u32 = 20;

/// Builds the targets, runs each, prints a table.
///
/// # Errors
/// [`FuzzError`]; a target that crashes does not stop the others.
pub fn run(arguments: &Arguments) -> Result<(), FuzzError> {
    let targets = chosen(&arguments.target)?;
    let folder = repository::root().join("target/fuzz");
    build(&folder)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let at_once = arguments.at_once.unwrap_or(cores).max(1);
    let (waiting, done) = (Mutex::new(targets.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(target) = next else { return };
                    let outcome = fuzz(&target, &folder, arguments.seconds);
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
        .args(["build", "--release", "--locked", "--bins", "--quiet", "--target", TRIPLE, "--target-dir"])
        .arg(folder)
        .args(["--manifest-path", "tests/fuzz/Cargo.toml"])
        .env("RUSTFLAGS", FLAGS.join(" "));
    let status = cargo.status().map_err(|source| FuzzError::Start { program: "cargo".to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(FuzzError::Build(status)) }
}

/// One target, for its time. What it finds is kept for the next run.
fn fuzz(target: &str, folder: &Path, seconds: u64) -> Result<Outcome, FuzzError> {
    let found = made(folder.join("found").join(target))?;
    let seeds = made(folder.join("seeds").join(target))?;
    let artifacts = made(folder.join("artifacts").join(target))?;
    seeds::write(target, &seeds)?;
    let program = folder.join(TRIPLE).join("release").join(target);
    let started = Instant::now();
    let ran = Command::new(&program)
        .arg(found)
        .arg(seeds)
        .args(seeds::checked_in(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-timeout={INPUT_SECONDS}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-max_len=65536", "-print_final_stats=1", "-verbosity=1"])
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
