//! The command line of a worker's program, with a custodian or without.

use crate::args::{Arguments, Command, Key, Place, Relay as Options, Run, Status};
use crate::custody::MakeCustodian;
use crate::keys::WorkerKeys;
use crate::registration::RegisterError;
use crate::relay::Relay;
use crate::world::AttestError;
use crate::{HealthReport, Ready, RunError, Speaker, WorkerConfig, run};
use clap::{CommandFactory, FromArgMatches};
use encompute_chain::{Class, Client, Signer};
use encompute_networks::{Flags, Network, resolve};
use encompute_protocol::Text;
use encompute_store::{HttpLimits, StateDir, serve_http};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use zeroize::Zeroizing;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 4;
const NOT_VERIFIED: u8 = 5;

/// One sentence for the operator, and the exit code.
struct Failure(u8, String);

/// Does what the command line says, as the program of this name; with `custodian`, keys are taken in custody.
pub fn main(name: &'static str, custodian: Option<MakeCustodian>) -> ExitCode {
    let after = crate::args::AFTER.replace("encompute-worker", name);
    let matches = Arguments::command().name(name).after_help(after).get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let done = match arguments.command {
        Command::Run(options) => start(options, custodian),
        Command::Status(options) => status(&options),
        Command::Key(options) => key(&options),
        Command::Relay(options) => relay(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(code, words)) => {
            eprintln!("{name}: error: {words}");
            ExitCode::from(code)
        }
    }
}

/// An error with all its causes, in one sentence.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

fn usage(error: impl ToString) -> Failure {
    Failure(USAGE, error.to_string())
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|error| Failure(FAILED, format!("start threads: {error}")))
}

fn start(options: Run, custodian: Option<MakeCustodian>) -> Result<(), Failure> {
    log_to_stderr();
    let leashed = options.stop_with_stdin;
    let config = WorkerConfig { custodian, ..configuration(options)? };
    let runtime = runtime()?;
    let ended = runtime.block_on(run(config, announce, stopped(leashed)));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended.map_err(|error| Failure(exit_code(&error), words(&error)))
}

/// Whose money it is, as the options say.
struct Payer<'a> {
    suri: &'a Option<String>,
    account: &'a Option<PathBuf>,
    password_file: &'a Option<PathBuf>,
}

impl Payer<'_> {
    fn signer(&self, network: &Network) -> Result<Signer, Failure> {
        match (self.suri, self.account, self.password_file) {
            (Some(_), ..) if !network.is_development() => {
                Err(usage("--suri is for development networks; use --account with a polkadot.js JSON file"))
            }
            (Some(suri), ..) => Signer::from_suri(suri).map_err(|error| usage(words(&error))),
            (None, Some(account), Some(password)) => {
                let json = std::fs::read_to_string(account)
                    .map_err(|error| usage(format!("read {}: {error}", account.display())))?;
                let read = std::fs::read_to_string(password).map(Zeroizing::new);
                let read = read.map_err(|error| usage(format!("read {}: {error}", password.display())))?;
                Signer::from_json(&json, read.trim_end_matches(['\r', '\n'])).map_err(|error| usage(words(&error)))
            }
            _ => Err(usage("who pays? give --suri or --account with --password-file")),
        }
    }
}

fn settled(place: &Place) -> Result<Network, Failure> {
    let Place { network, home, rpc } = place;
    let flags = Flags { home: home.clone(), network: network.clone(), rpc: rpc.clone(), ..Flags::default() };
    let settings = resolve(&flags, &|key| std::env::var(key).ok()).map_err(|error| usage(words(&error)))?;
    Ok(settings.network)
}

fn configuration(options: Run) -> Result<WorkerConfig, Failure> {
    let Run { suri, account, password_file, anchor, relay, .. } = &options;
    let network = settled(&options.place)?;
    let speaker = match (anchor, relay) {
        (Some(anchor), Some(relay)) => Speaker::Anchor { anchor: *anchor, relay: relay.clone() },
        _ => Speaker::Account(Payer { suri, account, password_file }.signer(&network)?),
    };
    let url = options.url.map(Text::new).transpose().map_err(|error| usage(format!("--url: {error}")))?;
    let stake = options.stake.map(|text| network.token.amount(&text)).transpose();
    let stake = stake.map_err(|error| usage(format!("--stake: {error}")))?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    Ok(WorkerConfig {
        network,
        speaker,
        state: options.state,
        listen: options.listen,
        url,
        guest_agent: options.guest_agent,
        collateral: options.pcs,
        capacity: options.capacity,
        stake,
        payout: None,
        cost_limit: options.cost_limit,
        threads: options.threads.unwrap_or((cores / 2).max(1)),
        custodian: None,
    })
}

/// The one line on stdout. Whoever started this process may have gone away, which is no failure.
fn announce(ready: &Ready) {
    let line = json!({
        "ready": true,
        "service": "worker",
        "listen": format!("http://{}", ready.listen),
        "url": ready.url.as_str(),
        "account": ready.account.to_string(),
        "signing_key": ready.record.signing.to_string(),
        "measurement": ready.record.measurement.to_string(),
        "platform": ready.record.platform.to_string(),
        "registered_until": ready.record.expires_at.0,
        "development_root": ready.development,
    });
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// A signal; if the process is on a leash, the end of stdin as well.
async fn stopped(leashed: bool) {
    tokio::select! {
        () = stop_signal() => {}
        () = encompute_store::stdin_ended(), if leashed => {}
    }
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
        }
        // Without a handler SIGTERM ends the process, which the journal survives.
        Err(_) => drop(interrupt.await),
    }
}

fn exit_code(error: &RunError) -> u8 {
    match error {
        RunError::Connect(error) if error.class() == Class::Unreachable => UNREACHABLE,
        RunError::Read(error) if error.class() == Class::Unreachable => UNREACHABLE,
        RunError::Register(RegisterError::Attest(
            AttestError::Refused(_) | AttestError::Measurement { .. } | AttestError::Platform { .. },
        )) => NOT_VERIFIED,
        RunError::Custody(_) | RunError::NoContract | RunError::NoGateway | RunError::Url | RunError::Trust(_) => USAGE,
        _ => FAILED,
    }
}

fn key(options: &Key) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| Failure(FAILED, format!("read the worker's keys: {}", words(error)));
    let state = StateDir::hold(&options.state).map_err(|error| failed(&error))?;
    let keys = WorkerKeys::open(&state).map_err(|error| failed(&error))?;
    let line = keys.public_key().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    writeln!(std::io::stdout().lock(), "0x{line}").map_err(|error| failed(&error))
}

fn relay(options: &Options) -> Result<(), Failure> {
    log_to_stderr();
    let network = settled(&options.place)?;
    let Options { suri, account, password_file, .. } = options;
    let signer = Payer { suri, account, password_file }.signer(&network)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let client = Client::connect(&network).await.map_err(|error| {
            let code = if error.class() == Class::Unreachable { UNREACHABLE } else { FAILED };
            Failure(code, format!("connect to the chain: {}", words(&error)))
        })?;
        let failed = |what: &str, error: &dyn std::error::Error| Failure(FAILED, format!("{what}: {}", words(error)));
        let listener = tokio::net::TcpListener::bind(options.listen)
            .await
            .map_err(|error| failed(&format!("listen on {}", options.listen), &error))?;
        let listen = listener.local_addr().map_err(|error| failed("read the address listened on", &error))?;
        let payer = signer.account();
        let routes = Relay::new(client.signed_by(signer), options.anchor.iter().copied()).router();
        let line = json!({
            "ready": true, "service": "relay", "listen": format!("http://{listen}"), "account": payer.to_string(),
        });
        let _ = writeln!(std::io::stdout().lock(), "{line}");
        let limits = HttpLimits { idle: crate::relay::IDLE, ..HttpLimits::default() };
        serve_http(listener, routes, limits, stopped(options.stop_with_stdin)).await;
        Ok(())
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ENCOMPUTE_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_env_filter(filter).init();
}

fn status(options: &Status) -> Result<(), Failure> {
    let url = format!("{}/v1/health", options.url.trim_end_matches('/'));
    let failed = |error: &dyn std::error::Error| Failure(FAILED, format!("ask {url}: {}", words(error)));
    let report: HealthReport = runtime()?.block_on(async {
        let http = encompute_store::http_client().map_err(|error| failed(&error))?;
        let answer = http
            .get(&url)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| failed(&error))?;
        answer.json().await.map_err(|error| failed(&error))
    })?;
    let text = if options.json {
        serde_json::to_string(&report).map_err(|error| failed(&error))?
    } else {
        let heads: Vec<_> = report.heads.iter().map(|head| format!("{}/{}", head.version, head.split)).collect();
        format!(
            "worker      {}\nurl         {}\ntakes jobs  {}\nregistered  until block {} (now {})\nin hand     {} of {} jobs, {} offers out, {} rounds waiting\nheads       {}\nmeasurement {}\nplatform    {}",
            report.account,
            report.url,
            if report.ready { "yes" } else { "no" },
            report.registered_until,
            report.block,
            report.jobs_in_hand,
            report.capacity,
            report.offers,
            report.rounds_waiting,
            if heads.is_empty() { "none yet".to_owned() } else { heads.join(", ") },
            report.measurement,
            report.platform,
        )
    };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}").map_err(|error| failed(&error))
}
