//! What several commands read of the market, with its failures in words.

use crate::{
    args::Common,
    context::blob_failure,
    failure::{Exit, Failure, Outcome, exit_of_chain},
    output,
};
use encompute_chain::{Client, Fact};
use encompute_job::market::{self, ListingError};
pub use encompute_job::market::{
    Listing, Quote, STOPPED, disclosed_json, job_json, judged, judged_words, mode_name, plancks, policy_json,
    reason_words, stage_name,
};
use encompute_networks::Token;
use encompute_protocol::{
    JobId, JobProgress, JobTerms, Reason, ReleasePolicy, SessionId, SessionRecord, SplitIndex, Stage, VersionId,
    call::{ReadJob, ReadPrunedJob, ReadSession},
};
use encompute_store::GatewayClient;

/// One fact of the chain.
///
/// # Errors
/// With the class of the chain's failure.
pub async fn read<C: Fact>(client: &Client, call: C) -> Outcome<C::Answer> {
    client.read(call).await.map_err(|error| Failure::of(exit_of_chain(error.class()), "read the chain", &error))
}

/// A listing that could not be had, as a command's failure.
fn failure(error: ListingError) -> Failure {
    let words = error.to_string();
    match error {
        ListingError::Read(error) => Failure::of(exit_of_chain(error.class()), "read the chain", &error),
        ListingError::Fetch { source, .. } => blob_failure(&words, &source),
        ListingError::Manifest { source, .. } => Failure::of(Exit::Verification, &words, &source),
        ListingError::NoSplits => Failure::new(Exit::Verification, words),
        ListingError::NoModel { known, .. } => {
            let known = if known.is_empty() { "none is".into() } else { known.join(", ") };
            Failure::new(Exit::NotFound, words).hint(format!("on sale: {known}"))
        }
        ListingError::NoPart { known, .. } => {
            Failure::new(Exit::NotFound, words).hint(format!("it has: {}", known.join(", ")))
        }
        _ => Failure::new(Exit::NotFound, words),
    }
}

/// The version with its manifest.
///
/// # Errors
/// [`Exit::NotFound`] for an unknown version, [`Exit::Verification`] for a manifest that cannot be read.
pub async fn of_version(client: &Client, blobs: &GatewayClient, version: VersionId) -> Outcome<Listing> {
    market::of_version(client, blobs, version).await.map_err(failure)
}

/// Every version, in order.
///
/// # Errors
/// As [`of_version`].
pub async fn all(client: &Client, blobs: &GatewayClient) -> Outcome<Vec<Listing>> {
    market::all(client, blobs).await.map_err(failure)
}

/// The newest active version of a model, by its id or name.
///
/// # Errors
/// [`Exit::NotFound`], with the names that are on sale.
pub async fn find(client: &Client, blobs: &GatewayClient, model: &str) -> Outcome<Listing> {
    market::find(client, blobs, model).await.map_err(failure)
}

/// Split and policy by name; the first of each if not given.
///
/// # Errors
/// [`Exit::NotFound`], with the names there are.
pub fn choose(listing: &Listing, split: Option<&str>, policy: Option<&str>) -> Outcome<(SplitIndex, ReleasePolicy)> {
    listing.choose(split, policy).map_err(failure)
}

/// Reads what one run costs now.
///
/// # Errors
/// [`Exit::NotFound`] when the split is not on sale.
pub async fn quote(client: &Client, listing: &Listing, split: Option<&str>, policy: Option<&str>) -> Outcome<Quote> {
    market::quote(client, listing, split, policy).await.map_err(failure)
}

/// A quote in words, amounts in the network's token.
pub fn quote_words(quote: &Quote, token: &Token) -> String {
    let Quote { model, split, policy, fees, .. } = quote;
    let asked = quote.wanted_witnesses.map_or("if you ask for three".into(), |wanted| {
        format!("for three: its creator wants {wanted} of them to find what the worker committed before anything is released")
    });
    let show = |amount| token.show(amount);
    let mut rows = vec![["if the job ends", "you have back"].map(String::from).to_vec()];
    rows.extend(quote.refunds().into_iter().map(|(outcome, back)| vec![outcome.to_owned(), show(back)]));
    format!(
        "{} / {} ({}), release policy {}\n  price      {} (head {}, tail {}, protocol {})\n  witnesses  {} more, {asked}\n  work       {:.1} ms estimated, {} bytes up, {} down, \
         {} of evaluation key\n  exact      wrong with probability at most 2^-{}\n  tells      at most {:.1} bits about the input; {}\n  accuracy   {:.2} % released, \
         {:.2} % float, over {} held-out samples\n\n{}",
        model,
        split.name,
        mode_name(split.mode),
        policy.name,
        show(fees.total().unwrap_or_default()),
        show(fees.head),
        show(fees.tail),
        show(fees.protocol),
        show(quote.witnesses()),
        split.cost.micros as f64 / 1000.0,
        split.cost.bytes_up,
        split.cost.bytes_down,
        split.cost.key_bytes,
        split.failure_bits,
        f64::from(policy.information_millibits) / 1000.0,
        judged_words(quote.judged),
        f64::from(policy.accuracy.0) / 100.0,
        f64::from(split.accuracy.float.0) / 100.0,
        split.accuracy.samples,
        output::table(&rows),
    )
}

/// A job's records.
///
/// # Errors
/// [`Exit::NotFound`] without such a job, and where its records were removed.
pub async fn job_of(client: &Client, job: JobId) -> Outcome<(JobTerms, JobProgress)> {
    if let Some(found) = read(client, ReadJob { job }).await? {
        return Ok(found);
    }
    Err(not_there(client, "job", job).await?)
}

/// Why a job, or the session that begins with it, has no records: they were removed, or there is none.
async fn not_there(client: &Client, kind: &str, job: JobId) -> Outcome<Failure> {
    Ok(match read(client, ReadPrunedJob { job }).await? {
        Some(record) => Failure::new(
            Exit::NotFound,
            format!("{kind} {job} ended long ago and was pruned in block {}", record.pruned_at),
        )
        .hint(format!("its digest is on chain, and so are its events: encompute audit {kind} {job}")),
        None => Failure::new(Exit::NotFound, format!("there is no {kind} {job}")),
    })
}

/// A session's record.
///
/// # Errors
/// [`Exit::NotFound`] without such a session, and where its record was removed.
pub async fn session_of(client: &Client, session: SessionId) -> Outcome<SessionRecord> {
    if let Some(found) = read(client, ReadSession { session }).await? {
        return Ok(found);
    }
    Err(not_there(client, "session", session.first()).await?)
}

/// Prints where a job stands.
///
/// # Errors
/// [`Exit::NotFound`] without such a job.
pub async fn state_of(client: &Client, job: JobId, common: &Common) -> Outcome {
    let (terms, progress) = job_of(client, job).await?;
    let value = job_json(job, &terms, &progress);
    if common.json {
        return output::json(&value);
    }
    let reason = progress.reason.map(|reason| format!(", {}", reason_words(reason))).unwrap_or_default();
    let (stage, since) = (stage_name(progress.stage), progress.changed_at);
    let is_ruled = matches!(progress.stage, Stage::Disputed(_)) && progress.reason == Some(Reason::HeadMismatch);
    let appeal = format!("; its worker may appeal until block {}", progress.deadline);
    let appeal = if is_ruled { appeal } else { String::new() };
    output::text(&format!("job {job}: {stage} since block {since}{reason}{appeal}"))
}
