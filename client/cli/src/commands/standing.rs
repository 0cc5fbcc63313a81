//! `encompute worker list` and `show`: who is registered, and what the chain has counted of each.

use crate::{
    args::Common,
    commands::market,
    context::Context,
    failure::{Exit, Failure, Outcome},
    output,
};
use encompute_chain::Client;
use encompute_protocol::{
    Address, BasisPoints, WorkerRecord,
    call::{ReadCounts, ReadWorker, ReadWorkerAt},
    reputation::Took,
};
use serde_json::{Value, json};

const HALF: BasisPoints = BasisPoints(5_000);
const MOST: BasisPoints = BasisPoints(9_500);

/// Lists workers, in order of first registration.
///
/// # Errors
/// When the chain cannot be read.
pub async fn list(context: &Context, common: &Common) -> Outcome {
    let client = context.chain().await?;
    let mut workers = Vec::new();
    for index in 0..market::read(&client, ReadCounts {}).await?.workers {
        let Some(account) = market::read(&client, ReadWorkerAt { index }).await? else { continue };
        if let Some(found) = market::read(&client, ReadWorker { worker: account }).await? {
            workers.push((account, found.0, found.1.as_str().to_owned()));
        }
    }
    if common.json {
        let workers: Vec<Value> =
            workers.iter().map(|(account, record, url)| worker_json(*account, record, url)).collect();
        return output::json(&json!({ "workers": workers }));
    }
    if workers.is_empty() {
        return output::text("no worker is registered yet");
    }
    let head = ["worker", "score", "heads", "timeouts", "wrong", "half in", "95 % in", "stake", "jobs"];
    let mut rows = vec![head.map(String::from).to_vec()];
    rows.extend(workers.iter().map(|(account, record, _)| {
        vec![
            account.to_string(),
            share(record),
            record.heads_committed.to_string(),
            record.timeouts.to_string(),
            record.mismatches.to_string(),
            took_words(record.latency.of_share(HALF)),
            took_words(record.latency.of_share(MOST)),
            context.token().show(record.stake).to_string(),
            format!("{} of {}", record.in_flight, record.capacity),
        ]
    }));
    output::text(&output::table(&rows))
}

/// Shows one worker.
///
/// # Errors
/// [`Exit::NotFound`] for an account that never registered.
pub async fn show(context: &Context, account: Address, common: &Common) -> Outcome {
    let client: Client = context.chain().await?;
    let found = market::read(&client, ReadWorker { worker: account }).await?;
    let (record, url) = found.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("{account} is not registered as a worker"))
            .hint("those that are: encompute worker list")
    })?;
    if common.json {
        return output::json(&worker_json(account, &record, url.as_str()));
    }
    let token = context.token();
    output::text(&format!(
        "{account} serves at {url}, registered until block {}\n\
         score {} of 1, from {} heads committed, {} claims that ran out, {} heads found wrong\n\
         from claim to receipt: half of its heads in {}, 95 % in {}\n\
         stake {}, of which jobs hold {} and {} is leaving; {} of {} places taken\n\
         what it runs: encompute audit worker {account}",
        record.expires_at,
        share(&record),
        record.heads_committed,
        record.timeouts,
        record.mismatches,
        took_words(record.latency.of_share(HALF)),
        took_words(record.latency.of_share(MOST)),
        token.show(record.stake),
        token.show(record.stake_locked),
        token.show(record.stake_leaving),
        record.in_flight,
        record.capacity,
    ))
}

/// The score as a share of one.
fn share(record: &WorkerRecord) -> String {
    let share = record.reputation.score().share().0;
    format!("0.{share:04}")
}

fn took_words(took: Option<Took>) -> String {
    match took {
        None => "none yet".to_owned(),
        Some(Took::Within(blocks)) => format!("{blocks} blocks"),
        Some(Took::Beyond(blocks)) => format!("over {blocks} blocks"),
    }
}

fn took_json(took: Option<Took>) -> Value {
    match took {
        None => Value::Null,
        Some(Took::Within(blocks)) => json!({ "at_most_blocks": blocks.0 }),
        Some(Took::Beyond(blocks)) => json!({ "more_than_blocks": blocks.0 }),
    }
}

fn worker_json(account: Address, record: &WorkerRecord, url: &str) -> Value {
    json!({
        "worker": account.to_string(), "url": url, "payout": record.payout.to_string(),
        "expires_at": record.expires_at.0, "stake": market::plancks(record.stake), "locked": market::plancks(record.stake_locked),
        "leaving": market::plancks(record.stake_leaving), "capacity": record.capacity, "in_flight": record.in_flight,
        "score": f64::from(record.reputation.score().share().0) / 10_000.0, "heads": record.heads_committed,
        "timeouts": record.timeouts, "mismatches": record.mismatches,
        "latency": { "half": took_json(record.latency.of_share(HALF)), "most": took_json(record.latency.of_share(MOST)) },
    })
}
