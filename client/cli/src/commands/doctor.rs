//! `encompute doctor`: finds what is broken, and says what to do.

use crate::{
    args::Common,
    commands::{market, wallet},
    context::{Context, bare_home, under},
    deployment::PARTS_OF_PLANCK,
    failure::{Exit, Failure, Outcome},
    output,
    supervise::sibling,
};
use clap::Args;
use core::fmt::Display;
use encompute_audit::Judge;
use encompute_chain::{AccountId, Client};
use encompute_job::Journal;
use encompute_networks::Token;
use encompute_protocol::call::{ReadCounts, ReadModel, ReadVersion, ReadWorker, ReadWorkerAt};
use encompute_protocol::wire::Message;
use encompute_protocol::{BlobDigest, BlockNumber, ModelId, VersionManifest, VersionStatus};
use encompute_store::{Blobs, ByteLimit, GatewayClient, http_client};
use serde::Serialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, io::Write, os::unix::fs::PermissionsExt, path::Path, time::Duration};

/// How long a service may take to say how it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long the chain may take to describe itself.
const CHAIN_WITHIN: Duration = Duration::from_secs(10);
/// Most workers, and most models, that are asked.
const ASKED: u32 = 100;
/// Of a gateway's room, in percent: from here on it is as good as full.
const NEARLY_FULL_PERCENT: u64 = 95;

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
            Ok(context) => examine(&context, &mut findings).await,
            // No market was ever started here, or a file is broken: findings like others.
            Err(failure) => {
                let id = if failure.exit == Exit::Unreachable { "network" } else { "config" };
                let advice = failure.hint.unwrap_or_else(|| "mend the file or the option that it names".to_owned());
                findings.push(bad(id, failure.text, &advice));
            }
        }
        print(&findings, common.json)?;
        match findings.iter().filter(|finding| !finding.pass).count() {
            0 => Ok(()),
            count => Err(Failure::new(Exit::Failed, format!("{count} of {} checks failed", findings.len()))),
        }
    }
}

async fn examine(context: &Context, findings: &mut Vec<Finding>) {
    findings.extend([secrets(context), trust(context)]);
    let gateway = context.gateway().ok();
    let answers = store(context, gateway.as_ref()).await;
    // A gateway that says nothing would be waited for by every look-up.
    let gateway = gateway.filter(|_| answers.pass);
    findings.push(answers);
    if let Some(client) = chain(context, findings).await {
        findings.push(token(context, &client).await);
        findings.push(accounts(context, &client).await);
        market(&client, gateway.as_ref(), findings).await;
    }
    findings.push(jobs(context));
}

fn print(findings: &[Finding], json: bool) -> Outcome {
    if json {
        let healthy = findings.iter().all(|finding| finding.pass);
        return output::json(&json!({ "healthy": healthy, "findings": findings }));
    }
    findings.iter().try_for_each(|finding| {
        let mark = if finding.pass { "ok  " } else { "FAIL" };
        output::text(&format!("{mark}  {:<12} {}", finding.id, finding.found))?;
        finding.advice.iter().try_for_each(|advice| output::text(&format!("                   → {advice}")))
    })
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

/// Files that open what others are not to see, where they exist.
fn secrets(context: &Context) -> Finding {
    let mut open = Vec::new();
    let names = ["machine.secret", "release.secret", "worker/keys", "creator/creator-key"];
    for path in names.iter().map(|name| under(context.home(), &[name])) {
        if let Ok(found) = std::fs::metadata(&path)
            && found.permissions().mode() & 0o077 != 0
        {
            open.push(path.display().to_string());
        }
    }
    match open.is_empty() {
        true => good("secrets", "no secret of this home is readable by others"),
        false => bad("secrets", format!("others may read {}", open.join(", ")), "chmod -R go-rwx what is named"),
    }
}

fn programs() -> Finding {
    for name in ["encompute-worker", "encompute-custodian", "encompute-devchain"] {
        if let Err(failure) = sibling(name) {
            return bad(
                "programs",
                failure.text,
                "cargo build -p encompute-node -p encompute-custody -p encompute-devchain",
            );
        }
    }
    good("programs", "workers and embedded chain are beside this program")
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

async fn store(context: &Context, gateway: Option<&GatewayClient>) -> Finding {
    let Some(client) = gateway else {
        let why = context.gateway().err().map_or_else(String::new, |failure| failure.text);
        return bad("gateway", why, "give --gateway URL or name one in the network file");
    };
    let advice = "start one: encompute gateway serve; or give the --gateway that runs";
    match tokio::time::timeout(ANSWER_WITHIN, client.has(BlobDigest::of(b"doctor"))).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return bad("gateway", Failure::of(Exit::Failed, "ask", &error).text, advice),
        Err(_) => return bad("gateway", format!("{} says nothing", client.url()), advice),
    }
    let Ok(health) = ask(client.url()).await else { return good("gateway", "answers") };
    let number = |name: &str| health[name].as_u64().unwrap_or(0);
    let (used, quota) = (number("used_bytes"), number("quota_bytes"));
    if quota > 0 && used / (quota / 100).max(1) >= NEARLY_FULL_PERCENT {
        let advice = "raise --quota of the gateway, or let it forget blobs that nobody names: --forget-unnamed HOURS";
        return bad("gateway", format!("{used} of {quota} bytes are used"), advice);
    }
    good("gateway", format!("answers; {used} of {quota} bytes are used"))
}

/// What a service of the house says of itself; or why it says nothing.
async fn ask(url: &str) -> Result<Value, String> {
    let words = |error: &(dyn std::error::Error + 'static)| Failure::of(Exit::Unreachable, url, error).text;
    let http = http_client().map_err(|error| words(&error))?;
    let health = format!("{}/v1/health", url.trim_end_matches('/'));
    let answer = http.get(health).timeout(ANSWER_WITHIN).send().await.map_err(|error| words(&error))?;
    let status = answer.status();
    match status.is_success() {
        true => answer.json().await.map_err(|error| words(&error)),
        false => Err(format!("{url}: answers with status {status}")),
    }
}

/// The chain, if it answers and holds the contract.
async fn chain(context: &Context, findings: &mut Vec<Finding>) -> Option<Client> {
    let client = match tokio::time::timeout(CHAIN_WITHIN, context.chain()).await {
        Ok(Ok(client)) => client,
        Ok(Err(failure)) => {
            findings.push(bad("chain", failure.text, &failure.hint.unwrap_or_default()));
            return None;
        }
        Err(_) => {
            let found = format!("{} says nothing", context.network().chain.rpc);
            findings.push(bad("chain", found, "look at the node's log; a local one comes back with: encompute dev up"));
            return None;
        }
    };
    match client.head().await {
        Ok(head) => findings.push(good("chain", format!("block {}, genesis {}", head.number, client.genesis()))),
        Err(error) => {
            let text = Failure::of(Exit::Unreachable, "read", &error).text;
            findings.push(bad("chain", text, "look at the node's log"));
            return None;
        }
    }
    Some(client)
}

/// Whether amounts mean on the chain what the network file makes of them.
async fn token(context: &Context, client: &Client) -> Finding {
    let facts = match client.constants().await {
        Ok(facts) => facts,
        Err(error) => {
            let text = Failure::of(Exit::Unreachable, "read", &error).text;
            return bad("token", text, "look at the node's log");
        }
    };
    let Token { symbol, decimals, .. } = context.token();
    let wrong = |what: &str, found: &dyn Display, says: &dyn Display| {
        let advice = format!("mend `token.{what}` in the network file, then read every amount in it again");
        bad("token", format!("its {what} are {found} on the chain, and {says} in the network file"), &advice)
    };
    match (facts.token_decimals, &facts.token_symbol) {
        (Some(found), _) if found != *decimals => wrong("decimals", &found, decimals),
        (_, Some(found)) if found != symbol => wrong("symbol", found, symbol),
        _ if facts.parts_of_planck != PARTS_OF_PLANCK => {
            let found = facts.parts_of_planck;
            let text = format!("the chain counts {found} parts a planck, this program's contract {PARTS_OF_PLANCK}");
            bad("token", text, "deploy a contract that is built for the chain: worker/node/OPERATIONS.md, \"Contract\"")
        }
        (None, _) => good("token", format!("{symbol} with {decimals} decimals; the node does not say which it has")),
        (Some(_), _) => good("token", format!("{symbol} with {decimals} decimals")),
    }
}

/// The wallets of this home: whether they have money, and whether contracts know them.
async fn accounts(context: &Context, client: &Client) -> Finding {
    let wallets = wallet::accounts(context.home());
    let (mut unknown, mut poor) = (Vec::new(), Vec::new());
    for (name, account) in &wallets {
        let Ok(account) = account.parse::<AccountId>() else {
            let advice = "put a copy in its place, or import its phrase again: encompute wallet import --help";
            return bad("wallets", format!("wallet {name} is damaged"), advice);
        };
        let (has, mapped) = match (client.balance(&account).await, client.is_mapped(&account).await) {
            (Ok(has), Ok(mapped)) => (has, mapped),
            (Err(error), _) | (_, Err(error)) => {
                let text = Failure::of(Exit::Unreachable, "read", &error).text;
                return bad("wallets", text, "look at the node's log");
            }
        };
        match (has.free.is_zero(), mapped) {
            (true, _) => poor.push(name.as_str()),
            (false, false) => unknown.push(name.as_str()),
            (false, true) => {}
        }
    }
    let words = match poor.as_slice() {
        [] => format!("{} in this home", wallets.len()),
        poor => format!("{} in this home, no money yet in {}", wallets.len(), poor.join(", ")),
    };
    match unknown.as_slice() {
        [] => good("wallets", words),
        [first, ..] => {
            let found = format!("{words}; contracts do not know {}, and cannot pay it", unknown.join(", "));
            bad("wallets", found, &format!("map it once: encompute wallet map --wallet {first}"))
        }
    }
}

async fn market(client: &Client, gateway: Option<&GatewayClient>, findings: &mut Vec<Finding>) {
    let counts = match market::read(client, ReadCounts {}).await {
        Ok(counts) => counts,
        Err(failure) => {
            let advice = "check `chain.contract` in the network file; on a local market: encompute dev up";
            return findings.push(bad("contract", failure.text, advice));
        }
    };
    let (models, versions) = (counts.models, counts.versions);
    let words = format!("{models} models, {versions} versions, {} workers, {} jobs", counts.workers, counts.jobs);
    findings.push(good("contract", words));
    findings.push(workers(client, counts.workers).await);
    findings.push(creators(client, gateway, counts.models).await);
}

/// Which registered workers answer and take jobs.
async fn workers(client: &Client, count: u32) -> Finding {
    let now = client.head().await.map_or(BlockNumber(0), |head| head.number);
    let (mut urls, mut expired) = (Vec::new(), 0_u32);
    for index in 0..count.min(ASKED) {
        let Ok(Some(worker)) = market::read(client, ReadWorkerAt { index }).await else { continue };
        if let Ok(Some((record, url))) = market::read(client, ReadWorker { worker }).await {
            match record.expires_at > now && record.capacity > 0 {
                true => urls.push(url.to_string()),
                false => expired += 1,
            }
        }
    }
    if urls.is_empty() {
        let found = format!("no worker is registered now ({expired} were, until their registration ran out)");
        return bad("workers", found, "start one: encompute worker run --help");
    }
    let (mut ready, mut troubles) = (0, Vec::new());
    for url in &urls {
        match ask(url).await {
            Ok(health) if health["ready"] == true => ready += 1,
            Ok(_) => troubles.push(format!("{url}: takes no new jobs")),
            Err(why) => troubles.push(why),
        }
    }
    let words = format!("{ready} of {} registered workers take jobs", urls.len());
    match troubles.is_empty() {
        true => good("workers", words),
        false => {
            let advice = "its operator has to look: encompute worker status --url URL, then the worker's log";
            let found = format!("{words}; {}", troubles.join("; "));
            Finding { pass: ready > 0, ..bad("workers", found, advice) }
        }
    }
}

/// Which creators' services answer: without one a job on their model ends in a refund.
async fn creators(client: &Client, gateway: Option<&GatewayClient>, models: u32) -> Finding {
    // What is on sale stands in manifests, and those are behind the gateway: its finding says enough.
    let Some(gateway) = gateway else { return good("models", "not looked at, for no gateway answers") };
    let mut sold: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut troubles = Vec::new();
    for model in (1..=models.min(ASKED)).map(ModelId) {
        let Ok(Some((record, name))) = market::read(client, ReadModel { model }).await else { continue };
        let Some(version) = record.current else { continue };
        let Ok(Some(version)) = market::read(client, ReadVersion { version }).await else { continue };
        if version.status != VersionStatus::Active {
            continue;
        }
        let digest = BlobDigest(version.manifest.0);
        match manifest(gateway, digest).await {
            Ok(manifest) => sold.entry(manifest.creator_url.to_string()).or_default().push(name.to_string()),
            Err(why) => troubles.push(format!("manifest of {name}: {why}")),
        }
    }
    for (url, names) in &sold {
        if let Err(why) = ask(url).await {
            troubles.push(format!("{}: {why}", names.join(", ")));
        }
    }
    match (troubles.is_empty(), sold.is_empty()) {
        (false, _) => bad("models", troubles.join("; "), "their creator has to look: encompute creator serve --help"),
        (true, true) => bad("models", "no model is on sale", "list one: encompute model publish --help"),
        (true, false) => good("models", format!("{} on sale, their creators answer", sold.values().flatten().count())),
    }
}

async fn manifest(gateway: &GatewayClient, digest: BlobDigest) -> Result<VersionManifest, String> {
    let bytes = gateway.get(digest, ByteLimit(VersionManifest::LIMIT_BYTES as u64)).await;
    VersionManifest::from_wire(&bytes.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

/// Jobs of this home that are not over: money of theirs may wait.
fn jobs(context: &Context) -> Finding {
    match Journal::list(context.home()) {
        Ok(records) => {
            let unfinished = records.iter().filter(|record| record.scores.is_none()).count();
            match unfinished {
                0 => good("jobs", format!("{} in this home, all with their answer", records.len())),
                count => Finding {
                    advice: Some(
                        "go on with them, or see how they ended: encompute job resume; encompute job list".into(),
                    ),
                    ..good("jobs", format!("{count} of {} in this home have no answer yet", records.len()))
                },
            }
        }
        Err(error) => {
            let text = Failure::of(Exit::Failed, "read the jobs", &error).text;
            bad("jobs", text, "move the job's folder that it names away; its money is safe, its key is in there")
        }
    }
}
