//! Everything that is neither a service nor a library: builds the contract and the page, holds the house rules,
//! checks golden vectors, breaks a market on purpose.

mod contract;
mod fuzz;
mod repository;
mod sequences;
mod tidy;
mod vectors;
mod web;

use clap::{Parser, Subcommand};
use std::{error::Error, process::ExitCode};

/// Builds the contract, holds the house rules, checks golden vectors, breaks a market on purpose.
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo run -p encompute-xtask --", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The contract: its code, metadata, imports and weights.
    #[command(subcommand)]
    Contract(contract::Task),
    /// Checks the house rules: edges between crates, lengths, words that must not appear, the hash of SPEC.md.
    Tidy(tidy::Arguments),
    /// Runs every decoder of strangers' bytes under a fuzzer and prints what came of it.
    Fuzz(fuzz::Arguments),
    /// Checks the golden vectors; with --write, makes them anew.
    Vectors(vectors::Arguments),
    /// The page: builds it, runs its tests.
    #[command(subcommand)]
    Web(web::Task),
    /// Runs random sequences over the market's rules, a million, and every invariant after each of their steps.
    Sequences(sequences::Arguments),
    /// Runs jobs while processes are killed at every step; says where jobs and money end.
    Drill(encompute_drill::Arguments),
    /// Runs many jobs at once; says how fast, with how much memory, and where jobs and money end.
    Load(encompute_drill::LoadArguments),
    /// Runs jobs at a steady pace for an hour; says whether memory and open files stay as they were.
    Soak(encompute_drill::SoakArguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Contract(task) => contract::run(task).map_err(Into::into),
        Task::Tidy(arguments) => tidy::run(arguments).map_err(Into::<Box<dyn Error>>::into),
        Task::Fuzz(arguments) => fuzz::run(&arguments).map_err(Into::into),
        Task::Vectors(arguments) => vectors::run(arguments).map_err(Into::into),
        Task::Sequences(arguments) => sequences::run(&arguments).map_err(Into::into),
        Task::Web(task) => web::run(task).map_err(Into::into),
        Task::Drill(arguments) => encompute_drill::drill(&arguments).map_err(Into::into),
        Task::Soak(arguments) => encompute_drill::soak(&arguments).map_err(Into::into),
        Task::Load(arguments) => encompute_drill::load(&arguments).map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// Prints an error and its sources on one line.
fn report(error: &dyn Error) {
    eprint!("xtask: error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprint!(": {cause}");
        source = cause.source();
    }
    eprintln!();
}
