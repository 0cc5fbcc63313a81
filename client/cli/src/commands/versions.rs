//! A creator's versions after they were published: no new jobs, or none at all.

use super::market;
use crate::{
    args::{Common, Identity},
    context::Context,
    failure::{Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::Args;
use encompute_chain::{Account, Client};
use encompute_protocol::{
    Address, ModelId, ModelRecord, Plancks, Text, VersionId, VersionStatus,
    call::{DeprecateVersion, ReadCounts, ReadModel, ReadVersion, RevokeVersion},
};
use serde_json::json;

/// A published version.
#[derive(Args)]
pub struct Published {
    /// Version, by number; the newest of this account's model if it is a name
    version: String,
    /// Who signs
    #[command(flatten)]
    identity: Identity,
    /// Show what would change; send nothing
    #[arg(long)]
    dry_run: bool,
}

/// What is to become of it.
#[derive(Clone, Copy, PartialEq)]
pub enum Change {
    /// No new jobs; those that run end as they would.
    Deprecate,
    /// No new jobs, and those whose head is not committed get their money back.
    Revoke,
}

impl Published {
    /// Runs it.
    ///
    /// # Errors
    /// When the account does not own the version, or its state does not allow the change; nothing has changed then.
    pub async fn run(self, change: Change, context: &Context, common: &Common) -> Outcome {
        let account = context.account(&self.identity).await?;
        let version = self.find(&account).await?;
        let missing = || Failure::new(Exit::NotFound, format!("there is no version {version}"));
        let before = market::read(account.client(), ReadVersion { version }).await?.ok_or_else(missing)?;
        if !self.dry_run {
            let sent = match change {
                Change::Deprecate => account.submit(DeprecateVersion { version }, Plancks::ZERO).await.map(drop),
                Change::Revoke => account.submit(RevokeVersion { version }, Plancks::ZERO).await.map(drop),
            };
            let doing = if change == Change::Deprecate { "deprecate the version" } else { "revoke the version" };
            sent.map_err(|error| Failure::of(exit_of_chain(error.class()), doing, &error))?;
        }
        let now = market::read(account.client(), ReadVersion { version }).await?.unwrap_or(before);
        let model = market::read(account.client(), ReadModel { model: now.model }).await?;
        let (open_jobs, name) = model.map(|(record, name)| (record.open_jobs, name.to_string())).unwrap_or_default();
        if common.json {
            return output::json(&json!({
                "version": version.0, "model": name, "before": status_name(before.status), "status": status_name(now.status),
                "open_jobs": open_jobs, "sent": !self.dry_run,
            }));
        }
        let (was, is) = (status_name(before.status), status_name(now.status));
        output::text(&match self.dry_run {
            true => format!("version {version} of {name} is {is}; nothing was sent"),
            false => format!("version {version} of {name} was {was}, is {is}"),
        })?;
        output::text(match change {
            Change::Deprecate => "  no new jobs; those that run end as they would",
            Change::Revoke => {
                "  no new jobs; those whose head is not committed yet end with everything back to their users"
            }
        })?;
        output::text(&format!("  open jobs of the model: {open_jobs}"))
    }

    async fn find(&self, account: &Account) -> Outcome<VersionId> {
        if let Ok(number) = self.version.parse() {
            return Ok(VersionId(number));
        }
        let model = own_model(account, &self.version).await?;
        let record = market::read(account.client(), ReadModel { model }).await?;
        let none = || Failure::new(Exit::NotFound, format!("{} has no version that was ever on sale", self.version));
        record.and_then(|(record, _)| record.current).ok_or_else(none)
    }
}

/// As commands and their JSON name it.
pub fn status_name(status: VersionStatus) -> &'static str {
    match status {
        VersionStatus::Draft => "draft",
        VersionStatus::Active => "active",
        VersionStatus::Deprecated => "deprecated",
        VersionStatus::Revoked => "revoked",
    }
}

/// The account's model of that number, or its newest of that name.
///
/// # Errors
/// [`Exit::NotFound`].
pub async fn own_model(account: &Account, wanted: &str) -> Outcome<ModelId> {
    if let Ok(number) = wanted.parse()
        && let Some((record, _)) = market::read(account.client(), ReadModel { model: ModelId(number) }).await?
        && record.creator == account.address()
    {
        return Ok(ModelId(number));
    }
    find_own_model(account, wanted).await?.ok_or_else(|| {
        let text = format!("{} has no model {wanted:?}", account.address());
        Failure::new(Exit::NotFound, text).hint("its models: encompute creator earnings")
    })
}

/// The account's newest model of that name.
///
/// # Errors
/// When the chain cannot be read.
pub async fn find_own_model(account: &Account, name: &str) -> Outcome<Option<ModelId>> {
    let models = models_of(account.client(), account.address()).await?;
    Ok(models.into_iter().rev().find(|(_, _, found)| found.as_str() == name).map(|(model, _, _)| model))
}

/// Every model of a creator, the first first.
///
/// # Errors
/// When the chain cannot be read.
pub async fn models_of(client: &Client, creator: Address) -> Outcome<Vec<(ModelId, ModelRecord, Text<64>)>> {
    let counts = market::read(client, ReadCounts {}).await?;
    let mut models = Vec::new();
    for id in 1..=counts.models {
        let model = ModelId(id);
        if let Some((record, name)) = market::read(client, ReadModel { model }).await?
            && record.creator == creator
        {
            models.push((model, record, name));
        }
    }
    Ok(models)
}
