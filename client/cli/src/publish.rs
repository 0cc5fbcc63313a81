//! From a model's folder to a version on sale: measure, seal, upload, list.

use crate::{
    commands::{
        market::{self, plancks},
        versions::find_own_model,
    },
    context::blob_failure,
    encrypted::{self, EncryptedFigures},
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain, exit_of_store},
    judged::judged,
};
use encompute_chain::{Account, Client, Signer};
use encompute_envelope::{ContentKey, lock};
use encompute_model::{
    Bench, BenchError, BenchSplit, Package, Publication as Sealed, PublishedAttack, card::PreambleCard,
    report::Verdicts,
};
use encompute_networks::{Network, Token};
use encompute_protocol::{
    BlobDigest, Plancks, ReleasePolicy, SplitIndex, Text, VersionId, VersionManifest, Witnesses,
    call::{ActivateVersion, ListModel, PublishVersion, ReadModel, ReadVersion, SplitOffer},
    wire::Message,
};
use encompute_release::{CheckedPolicy, obfuscate};
use encompute_store::{Blobs, GatewayClient};
use encompute_tail::{SplitMaterial, Vault, VersionMaterial};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Bond of a model on a development market, in tokens.
const DEVELOPMENT_BOND: &str = "100";

/// What a creator asks for.
pub struct Publication {
    /// Folder with model.toml.
    pub folder: PathBuf,
    /// Folder of the creator's secrets.
    pub vault: PathBuf,
    /// Where the creator's service is reached.
    pub creator_url: String,
    /// The model's bond.
    pub bond: Plancks,
    /// Whether splits of grade D are listed, too.
    pub list_grade_d: bool,
    /// Whether buyers get the best linear attack, to try it.
    pub publish_attack: bool,
    /// How many witnesses every job wants; none where that is left to users.
    pub witnesses: Option<Witnesses>,
}

/// A version that is ready to be sent.
pub struct Prepared {
    manifest: VersionManifest,
    sealed: Vec<Vec<u8>>,
    keys: Vec<ContentKey>,
    package: Package,
    verdicts: Verdicts,
    attack: Option<Vec<u8>>,
    vault: Vault,
    tail_fee: Plancks,
    bond: Plancks,
}

/// The release that users run, for measuring: open samples, a fixed seed, so that figures repeat.
pub fn measuring() -> impl FnMut(&ReleasePolicy, &[i64]) -> Vec<i16> {
    let mut rng = ChaCha20Rng::from_seed(*b"encompute/held-out release/v1...");
    move |policy, features| match CheckedPolicy::new(unmeasured(policy)) {
        Ok(policy) => obfuscate(features, &policy, &mut rng),
        // A policy that users would refuse releases nothing; publishing says so by its own check.
        Err(_) => vec![0; features.len()],
    }
}

/// While a policy is being measured its promise is not known yet, and may not hinder measuring.
fn unmeasured(policy: &ReleasePolicy) -> ReleasePolicy {
    ReleasePolicy { information_millibits: 0, ..policy.clone() }
}

impl Publication {
    /// Quantises, compiles, measures and seals; nothing is sent.
    ///
    /// # Errors
    /// With what the model's folder lacks; [`Exit::Usage`] for a fee in another token than the network's.
    pub async fn prepare(self, creator: encompute_protocol::Address, token: &Token) -> Outcome<Prepared> {
        let token = token.clone();
        // Measuring takes seconds of arithmetic: on a thread of its own, so that a stop is heard meanwhile.
        let prepared = tokio::task::spawn_blocking(move || self.prepare_here(creator, &token)).await;
        prepared.doing(Exit::Failed, "package the model")?
    }

    fn prepare_here(&self, creator: encompute_protocol::Address, token: &Token) -> Outcome<Prepared> {
        let doing = format!("package {}", self.folder.display());
        let package = Package::build(&self.folder, &mut measuring()).doing(Exit::Failed, &doing)?;
        let verdicts = judged(&self.folder, self.list_grade_d, &doing)?;
        let tail_fee = token.price(&package.tail_fee.to_string()).doing(Exit::Usage, &format!("{doing}: fees.tail"))?;
        for split in &package.splits {
            for policy in &split.policies {
                CheckedPolicy::new(policy.clone()).doing(Exit::Privacy, &format!("split {}", split.name))?;
            }
        }
        let vault = Vault::open(&self.vault).doing(Exit::Failed, "open the vault")?;
        let key = vault.creator_key().doing(Exit::Failed, "open the vault")?;
        let mut sealed = Vec::new();
        let mut keys = Vec::new();
        for split in &package.splits {
            let (bytes, key) = lock(&split.weights.to_bytes()).doing(Exit::Failed, "seal the weights")?;
            sealed.push(bytes);
            keys.push(key);
        }
        let attack = match self.publish_attack {
            true => Some(attack(&self.folder, &doing)?),
            false => None,
        };
        let publication = Sealed {
            creator,
            creator_key: key.public().to_bytes().to_vec(),
            creator_url: self.creator_url.clone(),
            sealed_weights: sealed.iter().map(|bytes| (BlobDigest::of(bytes), bytes.len() as u64)).collect(),
            disclosure: Some(package.disclosure(&verdicts, attack.as_deref()).doing(Exit::Failed, &doing)?),
            witnesses: self.witnesses,
        };
        let manifest = package.manifest(&publication).doing(Exit::Failed, &doing)?;
        Ok(Prepared { manifest, sealed, keys, package, verdicts, attack, vault, tail_fee, bond: self.bond })
    }
}

/// What buyers may try, in bytes.
fn attack(folder: &Path, doing: &str) -> Outcome<Vec<u8>> {
    let bench = Bench::open(folder).doing(Exit::Failed, doing)?;
    let learnt = PublishedAttack::learn(&bench, &mut measuring());
    Ok(learnt.doing(Exit::Failed, &format!("{doing}: learn the attack that buyers may try"))?.to_wire())
}

impl Prepared {
    /// Keeps the secrets, uploads, lists and activates.
    ///
    /// # Errors
    /// With what was refused; run again, nothing is listed twice but by a new version.
    pub async fn send(self, account: &Account, blobs: &GatewayClient) -> Outcome<(VersionId, Value)> {
        let summary = self.summary(None);
        let tails = self.package.splits.iter().map(|split| split.tail.clone());
        let splits =
            self.keys.into_iter().zip(tails).map(|(content_key, tail)| SplitMaterial { content_key, tail }).collect();
        // Secrets are kept before anything public refers to them.
        self.vault
            .add(&VersionMaterial { manifest: self.manifest.clone(), splits })
            .doing(Exit::Failed, "keep the version's secrets")?;
        // The manifest last: whoever finds it finds what it names.
        let open = self
            .package
            .preamble_blob
            .into_iter()
            .chain(self.attack)
            .chain([self.verdicts.report, self.manifest.to_wire()]);
        for bytes in self.sealed.into_iter().chain(open) {
            let put = blobs.put(bytes.into()).await;
            put.map_err(|error| Failure::of(exit_of_store(error.class()), "upload", &error))?;
        }
        let refused = |doing: &'static str| {
            move |error: encompute_chain::SubmitError| Failure::of(exit_of_chain(error.class()), doing, &error)
        };
        let model = match find_own_model(account, self.manifest.name.as_str()).await? {
            Some(model) => model,
            None => {
                let name: Text<64> = self.manifest.name.clone();
                account.submit(ListModel { name }, self.bond).await.map_err(refused("list the model"))?.answer
            }
        };
        let splits = self.manifest.splits.iter().map(|split| SplitOffer {
            mode: split.mode,
            head: split.head,
            tail: split.tail,
            cost: split.cost.units,
            tail_fee: self.tail_fee,
            policies: u8::try_from(split.policies.len()).unwrap_or(u8::MAX),
        });
        let call = PublishVersion { model, manifest: self.manifest.hash(), splits: splits.collect() };
        let version = account.submit(call, Plancks::ZERO).await.map_err(refused("publish the version"))?.answer;
        account.submit(ActivateVersion { version }, Plancks::ZERO).await.map_err(refused("activate the version"))?;
        let mut summary = summary;
        summary["version"] = version.0.into();
        summary["model"] = model.0.into();
        Ok((version, summary))
    }

    /// What would be, or was, published.
    pub fn summary(&self, version: Option<VersionId>) -> Value {
        let splits: Vec<Value> = (0..)
            .map(SplitIndex)
            .zip(&self.manifest.splits)
            .map(|(index, split)| {
                let policies: Vec<Value> = split
                    .policies
                    .iter()
                    .map(|policy| market::policy_json(&self.manifest, index, split, policy))
                    .collect();
                json!({ "name": split.name.as_str(), "mode": market::mode_name(split.mode), "cost_units": split.cost.units.0,
                        "failure_bits": split.failure_bits, "sealed_bytes": split.sealed_weights_bytes, "policies": policies })
            })
            .collect();
        json!({
            "name": self.manifest.name.as_str(), "hash": self.manifest.hash().to_string(), "version": version.map(|version| version.0),
            "creator": self.manifest.creator.to_string(), "creator_url": self.manifest.creator_url.as_str(),
            "tail_fee": plancks(self.tail_fee), "bond": plancks(self.bond), "splits": splits,
            "leakage": market::disclosed_json(&self.manifest),
        })
    }

    /// The same in words.
    pub fn words(&self, token: &Token) -> String {
        let mut lines = vec![format!(
            "{}: version hash {}, tail fee {}, bond {}",
            self.manifest.name,
            self.manifest.hash(),
            token.show(self.tail_fee),
            token.show(self.bond)
        )];
        for (index, split) in (0..).map(SplitIndex).zip(&self.manifest.splits) {
            lines.push(format!(
                "  split {} ({}): {} cost units, wrong with probability at most 2^-{}",
                split.name,
                market::mode_name(split.mode),
                split.cost.units.0,
                split.failure_bits
            ));
            for policy in &split.policies {
                let accuracy = f64::from(policy.accuracy.0) / 100.0;
                lines.push(format!(
                    "    {}: at most {:.1} bits, {}, {accuracy:.2} % right",
                    policy.name,
                    f64::from(policy.information_millibits) / 1000.0,
                    market::judged_words(market::judged(&self.manifest, index, policy)),
                ));
            }
        }
        if let Some(attack) = &self.attack {
            lines.push(format!("  buyers may try an attack on their own input, {:.0} KB", attack.len() as f64 / 1e3));
        }
        lines.join("\n")
    }
}

/// Publishes every model of a folder, unless this creator's newest version of it serves from the same place. One with
/// a published encoder takes minutes, and its files may have to be fetched first: it must be among `named`.
///
/// # Errors
/// With the model that could not be published.
pub async fn publish_all(
    network: &Network,
    (models, named): (&Path, &[String]),
    suri: &str,
    vault: &Path,
    creator_url: &str,
) -> Outcome<Vec<Value>> {
    let connected = Client::connect(network).await;
    let client =
        connected.map_err(|error| Failure::of(exit_of_chain(error.class()), "connect to the chain", &error))?;
    let account = client.signed_by(Signer::from_suri(suri).doing(Exit::Failed, "read the creator's key")?);
    let gateway = network.gateway.as_ref().ok_or_else(|| Failure::new(Exit::Usage, "the network names no gateway"))?;
    let blobs = GatewayClient::new(gateway.as_str()).doing(Exit::Failed, "open the gateway")?;
    let mut published = Vec::new();
    for folder in folders(models)? {
        let bond = network.token.amount(DEVELOPMENT_BOND).doing(Exit::Failed, "read the bond")?;
        let card =
            encompute_model::ModelCard::read(&folder).doing(Exit::Failed, &format!("read {}", folder.display()))?;
        if matches!(card.preamble, PreambleCard::Text(_)) && !named.iter().any(|name| name == card.name.as_str()) {
            continue;
        }
        if let Some((version, manifest)) = on_sale(&account, &blobs, card.name.as_str()).await?
            && manifest.creator_url.as_str() == creator_url
        {
            published.push(json!({ "name": card.name.as_str(), "version": version.0 }));
            continue;
        }
        crate::output::say(&format!("publishing {}: quantise, compile, measure, seal …", card.name));
        let publication = Publication {
            folder,
            vault: vault.to_owned(),
            creator_url: creator_url.to_owned(),
            bond,
            // A development market is for trying: what is listed says its grade.
            list_grade_d: true,
            // An attack on a text is none that anybody could look at.
            publish_attack: !matches!(card.preamble, PreambleCard::Text(_)),
            witnesses: None,
        };
        published.push(publication.prepare(account.address(), &network.token).await?.send(&account, &blobs).await?.1);
    }
    Ok(published)
}

async fn on_sale(
    account: &Account,
    blobs: &GatewayClient,
    name: &str,
) -> Outcome<Option<(VersionId, VersionManifest)>> {
    let Some(model) = find_own_model(account, name).await? else { return Ok(None) };
    let record = market::read(account.client(), ReadModel { model }).await?;
    let Some(version) = record.and_then(|(record, _)| record.current) else { return Ok(None) };
    let Some(record) = market::read(account.client(), ReadVersion { version }).await? else { return Ok(None) };
    let limit = encompute_store::ByteLimit(VersionManifest::LIMIT_BYTES as u64);
    let bytes = blobs
        .get(BlobDigest(record.manifest.0), limit)
        .await
        .map_err(|error| blob_failure("fetch a manifest", &error))?;
    let manifest = VersionManifest::from_wire(&bytes).doing(Exit::Verification, "read a manifest")?;
    Ok(Some((version, manifest)))
}

/// Folders with a model.toml, by name.
fn folders(models: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = std::fs::read_dir(models).doing(Exit::NotFound, &format!("read the models in {}", models.display()));
    let entries = entries.map_err(|failure| failure.hint("run from the repository's root, or give --models DIR"))?;
    let mut folders: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.join("model.toml").is_file()).collect();
    folders.sort();
    match folders.is_empty() {
        true => Err(Failure::new(Exit::NotFound, format!("{} has no model folders", models.display()))),
        false => Ok(folders),
    }
}

/// Accuracy over the whole held-out set.
#[derive(Serialize)]
pub struct Figures {
    model: String,
    split: String,
    samples: usize,
    float: f64,
    quantised: f64,
    released: f64,
    policy: String,
    information_bits: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted: Option<EncryptedFigures>,
}

/// How often every sample is released when the release is measured.
const DRAWS: usize = 1;

/// A model's folder: of that name in the models folder, or the folder itself.
///
/// # Errors
/// [`Exit::NotFound`] if neither has a card.
pub fn model_folder(models: &Path, model: &str) -> Outcome<PathBuf> {
    let mut folders = [models.join(model), PathBuf::from(model)].into_iter();
    let none = || Failure::new(Exit::NotFound, format!("there is no model {model:?} in {}", models.display()));
    folders.find(|folder| folder.join("model.toml").is_file()).ok_or_else(none)
}

/// A split of a model by its name, the first if none is given.
///
/// # Errors
/// [`Exit::NotFound`], naming those that there are.
pub fn split_index(bench: &Bench, split: Option<&str>) -> Outcome<usize> {
    let names: Vec<&str> = bench.card().splits.iter().map(|split| split.name.as_str()).collect();
    let place = split.map_or(Some(0), |split| names.iter().position(|name| *name == split));
    let none = || Failure::new(Exit::NotFound, format!("the model has no split {:?}", split.unwrap_or_default()));
    place.ok_or_else(|| none().hint(format!("it has: {}", names.join(", "))))
}

/// A split's policy by its name, the default if none is given.
///
/// # Errors
/// [`Exit::NotFound`], naming those that there are.
pub fn policy_named(split: &BenchSplit, policy: Option<&str>) -> Outcome<ReleasePolicy> {
    let policies = split.policies();
    let known: Vec<_> = policies.iter().map(|policy| policy.name.as_str().to_owned()).collect();
    let chosen = policies.into_iter().find(|found| policy.is_none_or(|name| found.name.as_str() == name));
    chosen.ok_or_else(|| {
        let words = format!("split {} has no policy {:?}", split.card.name, policy.unwrap_or_default());
        Failure::new(Exit::NotFound, words).hint(format!("it has: {}", known.join(", ")))
    })
}

/// Measures a split, the first if none is named, of a model of the models folder, or of a folder of its own; the first `encrypted` samples under encryption,
/// too.
///
/// # Errors
/// [`Exit::NotFound`] for a model, split or policy that is not there.
pub fn evaluate(
    models: &Path,
    model: &str,
    (split, policy): (Option<&str>, Option<&str>),
    encrypted: Option<usize>,
) -> Outcome<Figures> {
    let folder = model_folder(models, model)?;
    let failed = |error: BenchError| Failure::of(Exit::Failed, &format!("evaluate {model}"), &error);
    let bench = Bench::open(&folder).map_err(failed)?;
    let held_out = bench.held_out().map_err(failed)?;
    let split = bench.split(split_index(&bench, split)?).map_err(failed)?;
    let measured = bench.measure(&split, &held_out).map_err(failed)?;
    let chosen = policy_named(&split, policy)?;
    let evaluation = measured.evaluation(&chosen, DRAWS, &mut measuring()).map_err(failed)?;
    let encrypted = encrypted.map(|count| encrypted::evaluate(&split, &held_out, &measured, count)).transpose()?;
    Ok(Figures {
        model: bench.card().name.as_str().to_owned(),
        split: split.card.name.clone(),
        samples: evaluation.samples,
        float: evaluation.float,
        quantised: evaluation.quantised,
        released: evaluation.released,
        policy: evaluation.policy,
        information_bits: measured.information(&chosen).bits(),
        encrypted,
    })
}

impl Figures {
    /// Whether any number under encryption was another than in clear.
    pub fn differs(&self) -> bool {
        self.encrypted.as_ref().is_some_and(EncryptedFigures::differs)
    }

    /// In words.
    pub fn words(&self) -> String {
        let encrypted = self.encrypted.as_ref().map(|figures| format!("\n  encrypted  {}", figures.words()));
        format!(
            "{} (split {}), {} held-out samples\n  float      {:.2} %\n  quantised  {:.2} %\n  released   {:.2} % (policy {}, at most {:.1} bits){}",
            self.model,
            self.split,
            self.samples,
            self.float * 100.0,
            self.quantised * 100.0,
            self.released * 100.0,
            self.policy,
            self.information_bits,
            encrypted.unwrap_or_default(),
        )
    }
}
