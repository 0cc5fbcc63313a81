//! The head of a job, as an auditor holds it: in a creator's vault, or in the folder of a model that is open.

use crate::{
    context::blob_failure,
    failure::{Doing, Exit, Failure, Outcome},
};
use encompute_audit::JobBundle;
use encompute_envelope::unlock;
use encompute_fhe::EvaluationKey;
use encompute_head::{CompileOptions, CompiledHead, HeadPlan, HeadWeights, compile};
use encompute_model::Bench;
use encompute_protocol::{JobRequest, manifest::EVALUATION_KEY_PART_BYTES, wire::Message};
use encompute_store::{Blobs, ByteLimit, GatewayClient, GetError};
use encompute_tail::Vault;
use std::path::Path;

/// Opens and compiles the head that a job bought.
///
/// # Errors
/// [`Exit::NotFound`] where the folder holds neither a model nor this version, or the sealed weights are in no store.
pub async fn open(folder: &Path, bundle: &JobBundle, blobs: &GatewayClient) -> Outcome<CompiledHead> {
    if folder.join("model.toml").is_file() {
        return from_model(folder, bundle);
    }
    if folder.join("versions").is_dir() {
        return from_vault(folder, bundle, blobs).await;
    }
    let found = format!("{} holds neither a model (model.toml) nor a creator's versions", folder.display());
    Err(Failure::new(Exit::NotFound, found))
}

/// The evaluation key that a job's request names; none where it names none, or where a part of it is in no store.
///
/// # Errors
/// Where the store cannot be read, or has what is no key.
pub async fn evaluation_key(bundle: &JobBundle, blobs: &GatewayClient) -> Outcome<Option<EvaluationKey>> {
    let request = bundle.blobs.get(&bundle.terms.input).and_then(|bytes| JobRequest::from_wire(bytes).ok());
    let parts = request.map(|request| request.evaluation_key).unwrap_or_default();
    if parts.is_empty() {
        return Ok(None);
    }
    let mut whole = Vec::new();
    for part in parts {
        match blobs.get(part, ByteLimit(EVALUATION_KEY_PART_BYTES as u64)).await {
            Ok(bytes) => whole.extend_from_slice(&bytes),
            Err(GetError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(blob_failure("fetch the evaluation key", &error)),
        }
    }
    EvaluationKey::from_bytes(&whole).doing(Exit::Verification, "read the evaluation key").map(Some)
}

fn from_model(folder: &Path, bundle: &JobBundle) -> Outcome<CompiledHead> {
    let doing = format!("cut {}", folder.display());
    let bench = Bench::open(folder).doing(Exit::Usage, &doing)?;
    let split = bench.split(usize::from(bundle.terms.split.0)).doing(Exit::Usage, &doing)?;
    Ok(split.compiled)
}

async fn from_vault(folder: &Path, bundle: &JobBundle, blobs: &GatewayClient) -> Outcome<CompiledHead> {
    let (hash, index) = (bundle.version.manifest, usize::from(bundle.terms.split.0));
    let vault = Vault::open(folder).doing(Exit::Failed, "open the vault")?;
    let material = vault.find(hash).doing(Exit::Failed, "read the vault")?;
    let found = material.as_ref().and_then(|found| found.manifest.splits.get(index).zip(found.splits.get(index)));
    let Some((published, secrets)) = found else {
        let held: Vec<_> = vault.versions().unwrap_or_default().iter().map(ToString::to_string).collect();
        let held = if held.is_empty() { "none".to_owned() } else { held.join(", ") };
        let words = format!("{} does not hold version {hash}; it holds {held}", folder.display());
        return Err(Failure::new(Exit::NotFound, words));
    };
    let limit = ByteLimit(published.sealed_weights_bytes);
    let sealed = blobs.get(published.sealed_weights, limit).await;
    let sealed = sealed.map_err(|error| blob_failure("fetch the sealed weights", &error))?;
    let opened = unlock(&secrets.content_key, &sealed, HeadWeights::LIMIT_BYTES);
    let opened = opened.doing(Exit::Verification, "open the sealed weights")?;
    let plan = HeadPlan::from_bytes(published.plan.as_slice()).doing(Exit::Verification, "read the plan")?;
    let weights = HeadWeights::from_bytes(&opened).doing(Exit::Verification, "read the weights")?;
    let allow_toy_parameters = !plan.parameter_set().is_production();
    let options = CompileOptions { allow_toy_parameters, ..CompileOptions::default() };
    compile(plan, weights, &options).doing(Exit::Verification, "compile the head")
}
