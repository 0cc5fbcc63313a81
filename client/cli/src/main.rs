//! The one command, `encompute`: a thin shell over the crates that know.

mod args;
mod commands;
mod context;
mod deployment;
mod ear;
mod encrypted;
mod ethereum_keystore;
mod failure;
mod input;
mod judged;
mod named;
mod npz;
mod output;
mod plot;
mod preview;
mod publish;
mod rail;
mod supervise;

use args::{Arguments, Command};
use clap::Parser;
use failure::{Exit, Failure, Outcome};
use std::process::ExitCode;

fn main() -> ExitCode {
    quiet_caught_panics();
    let arguments = Arguments::parse();
    let subscriber = tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_env_filter(
        tracing_subscriber::EnvFilter::try_from_env("ENCOMPUTE_LOG").unwrap_or_else(|_| log_level(&arguments).into()),
    );
    subscriber.init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::of(Exit::Failed, "start the runtime", &error)),
    };
    let common = arguments.common.clone();
    let outcome = runtime.block_on(run(arguments));
    // A blocked stdin read or a hung peer must not keep a finished command alive.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    outcome.map_or_else(|failure| report(&in_tokens(failure, &common)), |()| ExitCode::SUCCESS)
}

/// A picture decoder that panics is stopped there, and the command says that the file is damaged.
fn quiet_caught_panics() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !encompute_model::preamble::inside_decoder() {
            loud(info);
        }
    }));
}

/// Services log what they do; commands for people speak for themselves.
fn log_level(arguments: &Arguments) -> &'static str {
    match arguments.command {
        Command::Gateway(_)
        | Command::Creator(commands::creator::Creator::Serve(_))
        | Command::Dev(commands::dev::Dev::Attest(_)) => "info",
        _ => "off",
    }
}

async fn run(arguments: Arguments) -> Outcome {
    let common = arguments.common;
    match arguments.command {
        Command::Demo(command) => command.run(&common).await,
        Command::Dev(command) => command.run(&common).await,
        Command::Doctor(command) => command.run(&common).await,
        Command::Model(command) => command.run(&common).await,
        Command::Job(command) => command.run(&common).await,
        Command::Session(command) => command.run(&common).await,
        Command::Creator(command) => command.run(&common).await,
        Command::Worker(command) => command.run(&common).await,
        Command::Audit(command) => command.run(&common).await,
        Command::Bench(command) => command.run(&common).await,
        Command::Wallet(command) => command.run(&common).await,
        Command::Gateway(command) => command.run(&common).await,
        Command::Govern(command) => command.run(&common).await,
        Command::Web(command) => command.run(&common).await,
        Command::Config(command) => command.run(&common).await,
    }
}

/// Libraries name amounts in plancks, for they know no network; here it is known which token they are of.
fn in_tokens(failure: Failure, common: &args::Common) -> Failure {
    match context::Context::load(common) {
        Ok(context) => Failure { text: context.token().show_all_in(&failure.text), ..failure },
        Err(_) => failure,
    }
}

fn report(failure: &Failure) -> ExitCode {
    eprintln!("encompute: error: {}", failure.text);
    if let Some(hint) = &failure.hint {
        eprintln!("encompute: hint: {hint}");
    }
    ExitCode::from(failure.exit as u8)
}
