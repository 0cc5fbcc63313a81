//! `encompute doctor`: finds what is broken, and says what to do.

use crate::{
    args::Common,
    commands::market,
    context::{Context, bare_home},
    failure::{Exit, Failure, Outcome},
    output,
    supervise::sibling,
};
use clap::Args;
use encompute_audit::Judge;
use encompute_protocol::call::{ReadCounts, ReadWorker, ReadWorkerAt};
use encompute_store::Blobs;
use serde::Serialize;
use serde_json::json;
use std::{io::Write, path::Path};

/// Find what is broken, and say what to do
#[derive(Args)]
#[command(after_help = "Examples:\n  encompute doctor\n  encompute doctor --network paseo-hub --json")]
pub struct Doctor {}

#[derive(Serialize)]
struct Finding {
    id: &'static str,
    pass: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Doctor {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        let mut findings = vec![home(&bare_home(common)?), programs()];
        match Context::load(common) {
            Ok(context) => {
                findings.extend([trust(&context), gateway(&context).await]);
                chain(&context, &mut findings).await;
            }
            // No market was ever started here: a finding like another.
            Err(Failure { exit: Exit::Unreachable, text, hint }) => {
                findings.push(bad("network", text, &hint.unwrap_or_default()));
            }
            Err(failure) => return Err(failure),
        }
        let broken = findings.iter().filter(|finding| !finding.pass).count();
        if common.json {
            output::json(&json!({ "healthy": broken == 0, "findings": findings }))?;
        } else {
            for finding in &findings {
                let mark = if finding.pass { "ok  " } else { "FAIL" };
                output::text(&format!("{mark}  {:<12} {}", finding.id, finding.found))?;
                if let Some(advice) = &finding.advice {
                    output::text(&format!("                   → {advice}"))?;
                }
            }
        }
        match broken {
            0 => Ok(()),
            count => Err(Failure::new(Exit::Failed, format!("{count} of {} checks failed", findings.len()))),
        }
    }
}

fn good(id: &'static str, found: impl Into<String>) -> Finding {
    Finding { id, pass: true, found: found.into(), advice: None }
}

fn bad(id: &'static str, found: impl Into<String>, advice: &str) -> Finding {
    Finding { id, pass: false, found: found.into(), advice: Some(advice.into()) }
}

fn home(home: &Path) -> Finding {
    let probe = home.join(".doctor");
    let written = std::fs::create_dir_all(home)
        .and_then(|()| std::fs::File::create(&probe)?.write_all(b"ok"))
        .and_then(|()| std::fs::remove_file(&probe));
    match written {
        Ok(()) => good("home", format!("{} can be written", home.display())),
        Err(error) => {
            bad("home", format!("{}: {error}", home.display()), "make it writable, free some space, or give --home")
        }
    }
}

fn programs() -> Finding {
    for name in ["encompute-worker", "encompute-devchain"] {
        if let Err(failure) = sibling(name) {
            return bad("programs", failure.text, "cargo build -p encompute-node -p encompute-devchain");
        }
    }
    good("programs", "worker and embedded chain are beside this program")
}

fn trust(context: &Context) -> Finding {
    match Judge::of(&context.network().trust, []) {
        Ok(judge) if context.network().is_development() => {
            good("trust", format!("DEVELOPMENT root {}: proves nothing about a machine", judge.root.fingerprint()))
        }
        Ok(judge) => good("trust", format!("root {}", judge.root.fingerprint())),
        Err(error) => bad(
            "trust",
            Failure::of(Exit::Failed, "network file", &error).text,
            "mend the network file: encompute config show",
        ),
    }
}

async fn gateway(context: &Context) -> Finding {
    let client = match context.gateway() {
        Ok(client) => client,
        Err(failure) => return bad("gateway", failure.text, "give --gateway URL or name one in the network file"),
    };
    match client.has(encompute_protocol::BlobDigest::of(b"doctor")).await {
        Ok(_) => good("gateway", "answers"),
        Err(error) => {
            bad("gateway", Failure::of(Exit::Failed, "ask", &error).text, "start one: encompute gateway serve")
        }
    }
}

async fn chain(context: &Context, findings: &mut Vec<Finding>) {
    let client = match context.chain().await {
        Ok(client) => client,
        Err(failure) => {
            let advice = failure.hint.unwrap_or_default();
            return findings.push(bad("chain", failure.text, &advice));
        }
    };
    match client.head().await {
        Ok(head) => findings.push(good("chain", format!("block {}, genesis {}", head.number, client.genesis()))),
        Err(error) => {
            return findings.push(bad(
                "chain",
                Failure::of(Exit::Unreachable, "read", &error).text,
                "look at the node's log",
            ));
        }
    }
    let counts = match market::read(&client, ReadCounts {}).await {
        Ok(counts) => counts,
        Err(failure) => {
            return findings.push(bad("contract", failure.text, "check `chain.contract` in the network file"));
        }
    };
    findings.push(good(
        "contract",
        format!(
            "{} models, {} versions, {} workers, {} jobs",
            counts.models, counts.versions, counts.workers, counts.jobs
        ),
    ));
    let mut registered = 0;
    let now = client.head().await.map(|head| head.number).unwrap_or_default();
    for index in 0..counts.workers.min(100) {
        let Ok(Some(worker)) = market::read(&client, ReadWorkerAt { index }).await else { continue };
        if let Ok(Some((record, _))) = market::read(&client, ReadWorker { worker }).await {
            registered += u32::from(record.expires_at > now && record.capacity > 0);
        }
    }
    findings.push(match registered {
        0 => bad("workers", "no worker is registered now", "start one: encompute worker run --help"),
        count => good("workers", format!("{count} registered")),
    });
}
