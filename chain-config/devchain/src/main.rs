//! `encompute-devchain`: the embedded chain as a process.

mod arguments;

use arguments::Arguments;
use clap::Parser;
use encompute_devchain::{
    Config, DevChain, Running, StartError, Store, genesis::GenesisError, inside_runtime, store::StoreError, verify,
};
use serde_json::json;
use std::{error::Error, io::Write, panic, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

const FAILED: u8 = 1;
const VERIFICATION_FAILED: u8 = 5;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter =
        EnvFilter::try_from_env("ENCOMPUTE_LOG").unwrap_or_else(|_| EnvFilter::new("warn,encompute_devchain=info"));
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).init();
    quiet_caught_panics();
    let (check_only, leashed) = (arguments.verify, arguments.stop_with_stdin);
    let outcome = if check_only { check(arguments.into_config()) } else { run(arguments.into_config(), leashed) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("encompute-devchain: error: {}", failure.words);
            if let Some(hint) = failure.hint {
                eprintln!("encompute-devchain: hint: {hint}");
            }
            ExitCode::from(failure.code)
        }
    }
}

struct Failure {
    words: String,
    hint: Option<&'static str>,
    code: u8,
}

impl Failure {
    fn new(error: &dyn Error, hint: Option<&'static str>, code: u8) -> Self {
        let mut words = error.to_string();
        let mut next = error.source();
        while let Some(source) = next {
            words.push_str(": ");
            words.push_str(&source.to_string());
            next = source.source();
        }
        Self { words, hint, code }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let hint = match &error {
            StartError::PortTaken { .. } => Some("choose another --listen, or 127.0.0.1:0 for any free port"),
            StartError::Genesis(GenesisError::Store(error)) => store_hint(error),
            StartError::Genesis(GenesisError::OtherEndowments) => {
                Some("leave --fund out to go on with that chain, or choose another --state")
            }
            StartError::Genesis(GenesisError::OtherRuntime { .. }) => {
                Some("choose another --state, or use the program that wrote it")
            }
            _ => None,
        };
        Self::new(&error, hint, FAILED)
    }
}

fn store_hint(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::Taken { .. } => Some("stop that process, or choose another --state"),
        _ => None,
    }
}

fn run(config: Config, leashed: bool) -> Result<(), Failure> {
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(&error, None, FAILED))?;
    executor.block_on(async {
        // Before the ready line: whoever reads it may send a signal at once.
        let stopped = |kind| signal(kind).map_err(|error| Failure::new(&error, None, FAILED));
        let (mut interrupt, mut terminate) = (stopped(SignalKind::interrupt())?, stopped(SignalKind::terminate())?);
        let running = DevChain::start(config)?;
        announce(&running);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = stdin_ended(), if leashed => {}
            fault = running.ended() => {
                let words = fault.map_or_else(|| "it ended".to_owned(), StoreError::words);
                let words = format!("the chain cannot go on after block {}: {words}", running.chain().head().header.number);
                let hint = fault.map(|_| "every block up to that one is kept; free the disk of --state, then start it again");
                return Err(Failure { words, hint, code: FAILED });
            }
        }
        running.stop();
        tracing::info!("stopped, everything is written");
        Ok(())
    })
}

/// Resolves when stdin ends: whoever started this process holds its other end, and is gone.
async fn stdin_ended() {
    let (ended, wait) = tokio::sync::oneshot::channel::<()>();
    // No thread of the runtime's: nobody waits for this one when the process stops otherwise.
    std::thread::spawn(move || {
        // What is said there is for nobody, and an error is an end, too.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        drop(ended);
    });
    // The sender is only ever dropped.
    drop(wait.await);
}

fn announce(running: &Running) {
    let head = running.chain().head();
    let line = json!({
        "ready": true,
        "service": "chain",
        "listen": running.url(),
        "genesis": running.genesis(),
        "block": head.header.number,
    });
    print_line(&line);
}

fn check(config: Config) -> Result<(), Failure> {
    let store = Store::open(&config.place).map_err(|error| Failure::new(&error, store_hint(&error), FAILED))?;
    let verified = verify(&store).map_err(|error| Failure::new(&error, None, VERIFICATION_FAILED))?;
    print_line(&json!({ "verified": true, "blocks": verified.blocks, "newest": verified.newest }));
    Ok(())
}

fn print_line(line: &serde_json::Value) {
    let mut stdout = std::io::stdout();
    // Nobody may be reading, e.g. when the output is closed; the chain runs all the same.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// The runtime refuses malformed input by panicking. Those panics are caught and answered; they are no news here.
fn quiet_caught_panics() {
    let loud = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if inside_runtime() {
            tracing::debug!("the runtime refused a call: {info}");
        } else {
            loud(info);
        }
    }));
}
