//! How a network is written down. The types here are the file's; [`Network`] is what they mean.

use crate::amount::{format_amount, parse_amount};
use crate::error::{NetworkError, WriteNetworkError};
use crate::images::{ImageFile, images};
use crate::network::{Chain, Deployment, Network, Root, Token, Trust};
use crate::words::{
    AdvisoryName, DEVELOPMENT_WORDS, NetworkName, ParameterName, QuoteKindName, RpcUrl, ServiceUrl, TcbStatusName,
};
use core::fmt::Display;
use core::str::FromStr;
use encompute_protocol::{Address, BasisPoints, Blocks, Params, Plancks, StoragePrice, Windows};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::Path;

/// Longest network file read, in bytes.
const FILE_LIMIT_BYTES: u64 = 64 * 1024;
/// Longest certificate taken as a root, in bytes.
const ROOT_LIMIT_BYTES: usize = 4_096;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct NetworkFile {
    name: String,
    chain: ChainFile,
    token: TokenFile,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<GatewayFile>,
    trust: TrustFile,
    parameters: ParametersFile,
    deployment: DeploymentFile,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ChainFile {
    rpc: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    genesis: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    symbol: String,
    decimals: u8,
    ss58_prefix: u16,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct GatewayFile {
    url: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct TrustFile {
    root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    development_root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    development_certificate: Option<String>,
    #[serde(default = "tdx_quotes")]
    quotes: Vec<String>,
    tcb_statuses: Vec<String>,
    dynamic_platform: bool,
    cached_keys: bool,
    smt: bool,
    collateral: String,
    measurements: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    denied_advisories: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    min_tcb_evaluation: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    images: Vec<ImageFile>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What files that do not say it meant when they were written: workers are TDX domains.
fn tdx_quotes() -> Vec<String> {
    ["tdx-v4", "tdx-v5"].map(str::to_owned).to_vec()
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ParametersFile {
    sets: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DeploymentFile {
    protocol_fee_bp: u16,
    stop_fee_bp: u16,
    head_fee_base: String,
    head_fee_per_unit: String,
    job_stake_floor: String,
    retry_slash_bp: u16,
    fail_slash_bp: u16,
    bond_margin_bp: u16,
    audit_share_bp: u16,
    worker_stake_floor: String,
    model_bond_floor: String,
    registration_limit_blocks: u32,
    unbonding_blocks: u32,
    notice_blocks: u32,
    claim_window_blocks: u32,
    head_window_blocks: u32,
    challenge_window_blocks: u32,
    features_window_blocks: u32,
    creator_window_blocks: u32,
    accept_window_blocks: u32,
    dispute_window_blocks: u32,
}

impl Network {
    /// The network in a file.
    ///
    /// # Errors
    /// [`NetworkError`], with the file and, where it has one, the key.
    pub fn load(file: &Path) -> Result<Self, NetworkError> {
        Self::parse(&read_text(file)?, file)
    }

    /// The network in `text`. `file` is for messages, and its folder is where a certificate with a
    /// relative path is looked for.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, NetworkError> {
        let written: NetworkFile = shaped(text, file)?;
        let at = Keys { file };
        let token = at.token(written.token)?;
        Ok(Self {
            name: at.word("name", written.name, NetworkName::new)?,
            chain: Chain {
                rpc: at.word("chain.rpc", written.chain.rpc, RpcUrl::new)?,
                genesis: at.optional("chain.genesis", written.chain.genesis)?,
                contract: at.optional("chain.contract", written.chain.contract)?,
            },
            gateway: match written.gateway {
                None => None,
                Some(gateway) => Some(at.word("gateway.url", gateway.url, ServiceUrl::new)?),
            },
            parameters: at.parameters(written.parameters, &written.trust.root)?,
            trust: at.trust(written.trust)?,
            deployment: Deployment { params: at.params(written.deployment, token.decimals)? },
            token,
        })
    }

    /// The network as its file says it.
    pub fn to_toml(&self) -> String {
        let written = NetworkFile {
            name: self.name.to_string(),
            chain: ChainFile {
                rpc: self.chain.rpc.to_string(),
                genesis: self.chain.genesis.map(|genesis| genesis.to_string()),
                contract: self.chain.contract.map(|contract| contract.to_string()),
            },
            token: TokenFile {
                symbol: self.token.symbol.clone(),
                decimals: self.token.decimals,
                ss58_prefix: self.token.ss58_prefix,
            },
            gateway: self.gateway.as_ref().map(|url| GatewayFile { url: url.to_string() }),
            trust: trust_file(&self.trust),
            parameters: ParametersFile { sets: self.parameters.iter().map(ToString::to_string).collect() },
            deployment: deployment_file(&self.deployment.params, self.token.decimals),
        };
        toml::to_string(&written).expect("the file's types hold nothing that TOML cannot say; qed")
    }

    /// Writes the network to a file, whole or not at all; a file there is replaced.
    ///
    /// # Errors
    /// [`WriteNetworkError`]; the file is as it was then.
    pub fn write(&self, file: &Path) -> Result<(), WriteNetworkError> {
        let refused = |source| WriteNetworkError { file: file.to_owned(), source };
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(refused)?;
        }
        let beside = file.with_extension(format!("toml.{}", std::process::id()));
        std::fs::write(&beside, self.to_toml()).map_err(refused)?;
        std::fs::rename(&beside, file).map_err(refused)
    }
}

/// What `text` says, if it has the shape of a `T`.
pub(crate) fn shaped<T: DeserializeOwned>(text: &str, file: &Path) -> Result<T, NetworkError> {
    let shape = |error: toml::de::Error| NetworkError::Shape {
        file: file.to_owned(),
        reason: error.to_string().trim_end().to_owned(),
    };
    toml::from_str(text).map_err(shape)
}

pub(crate) fn read_text(file: &Path) -> Result<String, NetworkError> {
    let unreadable = |source| NetworkError::Unreadable { file: file.to_owned(), source };
    let found_bytes = std::fs::metadata(file).map_err(unreadable)?.len();
    if found_bytes > FILE_LIMIT_BYTES {
        return Err(NetworkError::TooLong { file: file.to_owned(), found_bytes, limit_bytes: FILE_LIMIT_BYTES });
    }
    std::fs::read_to_string(file).map_err(unreadable)
}

/// Turns what a file says into what it means; every refusal names the file and the key.
struct Keys<'a> {
    file: &'a Path,
}

impl Keys<'_> {
    fn refuse(&self, key: &'static str, found: impl Display, allowed: impl Display) -> NetworkError {
        NetworkError::value(self.file, key, found, allowed)
    }

    fn word<T>(
        &self,
        key: &'static str,
        found: String,
        read: impl FnOnce(String) -> Result<T, &'static str>,
    ) -> Result<T, NetworkError> {
        read(found.clone()).map_err(|allowed| self.refuse(key, found, allowed))
    }

    fn words<T>(
        &self,
        key: &'static str,
        found: Vec<String>,
        read: impl Fn(String) -> Result<T, &'static str>,
    ) -> Result<Vec<T>, NetworkError> {
        if found.is_empty() {
            return Err(self.refuse(key, "[]", "a list with at least one entry"));
        }
        found.into_iter().map(|word| self.word(key, word, &read)).collect()
    }

    fn hexadecimal<T: FromStr<Err: Display>>(&self, key: &'static str, found: &str) -> Result<T, NetworkError> {
        found.parse().map_err(|why| self.refuse(key, found, format!("a hexadecimal digest ({why})")))
    }

    fn optional<T: FromStr<Err: Display>>(
        &self,
        key: &'static str,
        found: Option<String>,
    ) -> Result<Option<T>, NetworkError> {
        found.map(|text| self.hexadecimal(key, &text)).transpose()
    }

    fn token(&self, found: TokenFile) -> Result<Token, NetworkError> {
        if found.decimals > 18 {
            return Err(self.refuse("token.decimals", found.decimals, "0 to 18"));
        }
        if found.ss58_prefix > 16_383 {
            return Err(self.refuse("token.ss58_prefix", found.ss58_prefix, "0 to 16383"));
        }
        let fits = (1..=12).contains(&found.symbol.len()) && found.symbol.chars().all(|c| c.is_ascii_alphanumeric());
        if !fits {
            return Err(self.refuse("token.symbol", found.symbol, "1 to 12 letters and digits"));
        }
        Ok(Token { symbol: found.symbol, decimals: found.decimals, ss58_prefix: found.ss58_prefix })
    }

    fn trust(&self, found: TrustFile) -> Result<Trust, NetworkError> {
        let root = match (found.root.as_str(), found.development_root, found.development_certificate) {
            ("intel", None, None) => Root::Intel,
            ("intel", Some(words), _) => {
                return Err(self.refuse("trust.development_root", words, "nothing where root is \"intel\""));
            }
            ("intel", None, Some(certificate)) => {
                return Err(self.refuse(
                    "trust.development_certificate",
                    certificate,
                    "nothing where root is \"intel\"",
                ));
            }
            ("development", words, certificate) => self.development_root(words, certificate)?,
            (other, ..) => return Err(self.refuse("trust.root", other, "\"intel\" or \"development\"")),
        };
        let measurement = |text: &String| self.hexadecimal("trust.measurements", text);
        Ok(Trust {
            root,
            quotes: self.words("trust.quotes", found.quotes, QuoteKindName::new)?,
            tcb_statuses: self.words("trust.tcb_statuses", found.tcb_statuses, TcbStatusName::new)?,
            dynamic_platform: found.dynamic_platform,
            cached_keys: found.cached_keys,
            smt: found.smt,
            collateral: self.word("trust.collateral", found.collateral, ServiceUrl::new)?,
            measurements: found.measurements.iter().map(measurement).collect::<Result<_, _>>()?,
            denied_advisories: (found.denied_advisories.into_iter())
                .map(|id| self.word("trust.denied_advisories", id, AdvisoryName::new))
                .collect::<Result<_, _>>()?,
            min_tcb_evaluation: found.min_tcb_evaluation,
            images: images(found.images, "trust.images", self.file)?,
        })
    }

    fn development_root(&self, words: Option<String>, certificate: Option<String>) -> Result<Root, NetworkError> {
        let words = words.unwrap_or_default();
        if words != DEVELOPMENT_WORDS {
            let allowed = format!("{DEVELOPMENT_WORDS:?}, because root is \"development\"");
            return Err(self.refuse("trust.development_root", words, allowed));
        }
        let key = "trust.development_certificate";
        let certificate = certificate.unwrap_or_default();
        let der = match certificate.strip_prefix("0x") {
            Some(digits) => hex::decode(digits).map_err(|why| self.refuse(key, &certificate, why))?,
            None if certificate.is_empty() => {
                return Err(self.refuse(key, "", "the root certificate: a DER file, or 0x and its bytes"));
            }
            None => {
                let file = self.file.parent().unwrap_or(Path::new("")).join(&certificate);
                std::fs::read(&file).map_err(|source| NetworkError::Unreadable { file, source })?
            }
        };
        // Whether it is a certificate is for the verifier to say; a length is enough here.
        if der.is_empty() || der.len() > ROOT_LIMIT_BYTES {
            return Err(self.refuse(key, format!("{} bytes", der.len()), format!("1 to {ROOT_LIMIT_BYTES} bytes")));
        }
        Ok(Root::development(der))
    }

    fn parameters(&self, found: ParametersFile, root: &str) -> Result<Vec<ParameterName>, NetworkError> {
        let sets = self.words("parameters.sets", found.sets, ParameterName::new)?;
        match sets.iter().find(|set| !set.is_production() && root != "development") {
            Some(toy) => {
                Err(self.refuse("parameters.sets", toy, "sets that protect something, as root is not \"development\""))
            }
            None => Ok(sets),
        }
    }

    fn amount(&self, key: &'static str, found: &str, decimals: u8) -> Result<Plancks, NetworkError> {
        parse_amount(found, decimals)
            .map_err(|why| self.refuse(key, found, format!("whole tokens with a point ({why})")))
    }

    fn params(&self, found: DeploymentFile, decimals: u8) -> Result<Params, NetworkError> {
        let share = |key, found: u16, most: u16| match found <= most {
            true => Ok(BasisPoints(found)),
            false => Err(self.refuse(key, found, format!("0 to {most} basis points"))),
        };
        let amount = |key, found: &str| self.amount(key, found, decimals);
        let window = |key, found: u32| self.window(key, found);
        Ok(Params {
            treasury: Address::default(),
            protocol_fee: share("deployment.protocol_fee_bp", found.protocol_fee_bp, Params::PROTOCOL_FEE_CAP.0)?,
            stop_fee: share("deployment.stop_fee_bp", found.stop_fee_bp, 10_000)?,
            head_fee_base: amount("deployment.head_fee_base", &found.head_fee_base)?,
            head_fee_per_unit: amount("deployment.head_fee_per_unit", &found.head_fee_per_unit)?,
            job_stake_floor: amount("deployment.job_stake_floor", &found.job_stake_floor)?,
            retry_slash: share("deployment.retry_slash_bp", found.retry_slash_bp, 10_000)?,
            fail_slash: share("deployment.fail_slash_bp", found.fail_slash_bp, 10_000)?,
            bond_margin: share("deployment.bond_margin_bp", found.bond_margin_bp, 10_000)?,
            // A market may begin with more than a change may set.
            audit_share: share("deployment.audit_share_bp", found.audit_share_bp, 10_000)?,
            worker_stake_floor: amount("deployment.worker_stake_floor", &found.worker_stake_floor)?,
            model_bond_floor: amount("deployment.model_bond_floor", &found.model_bond_floor)?,
            registration_limit: Blocks(found.registration_limit_blocks),
            unbonding: Blocks(found.unbonding_blocks),
            notice: Blocks(found.notice_blocks),
            windows: Windows {
                claim: window("deployment.claim_window_blocks", found.claim_window_blocks)?,
                head: window("deployment.head_window_blocks", found.head_window_blocks)?,
                challenge: window("deployment.challenge_window_blocks", found.challenge_window_blocks)?,
                features: window("deployment.features_window_blocks", found.features_window_blocks)?,
                creator: window("deployment.creator_window_blocks", found.creator_window_blocks)?,
                accept: window("deployment.accept_window_blocks", found.accept_window_blocks)?,
                dispute: window("deployment.dispute_window_blocks", found.dispute_window_blocks)?,
            },
            // The chain says what it takes, to whoever deploys.
            storage: StoragePrice::default(),
        })
    }

    fn window(&self, key: &'static str, found: u32) -> Result<Blocks, NetworkError> {
        use encompute_protocol::market::{LONGEST_WINDOW, SHORTEST_WINDOW};
        match (SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&Blocks(found)) {
            true => Ok(Blocks(found)),
            false => Err(self.refuse(key, found, format!("{SHORTEST_WINDOW} to {LONGEST_WINDOW} blocks"))),
        }
    }
}

fn trust_file(trust: &Trust) -> TrustFile {
    let (root, development_root, development_certificate) = match &trust.root {
        Root::Intel => ("intel", None, None),
        Root::Development { der, .. } => {
            ("development", Some(DEVELOPMENT_WORDS.to_owned()), Some(format!("0x{}", hex::encode(der))))
        }
    };
    TrustFile {
        root: root.to_owned(),
        development_root,
        development_certificate,
        quotes: trust.quotes.iter().map(ToString::to_string).collect(),
        tcb_statuses: trust.tcb_statuses.iter().map(ToString::to_string).collect(),
        dynamic_platform: trust.dynamic_platform,
        cached_keys: trust.cached_keys,
        smt: trust.smt,
        collateral: trust.collateral.to_string(),
        measurements: trust.measurements.iter().map(ToString::to_string).collect(),
        denied_advisories: trust.denied_advisories.iter().map(ToString::to_string).collect(),
        min_tcb_evaluation: trust.min_tcb_evaluation,
        images: trust.images.iter().map(ImageFile::of).collect(),
    }
}

fn deployment_file(params: &Params, decimals: u8) -> DeploymentFile {
    let amount = |amount| format_amount(amount, decimals);
    DeploymentFile {
        protocol_fee_bp: params.protocol_fee.0,
        stop_fee_bp: params.stop_fee.0,
        head_fee_base: amount(params.head_fee_base),
        head_fee_per_unit: amount(params.head_fee_per_unit),
        job_stake_floor: amount(params.job_stake_floor),
        retry_slash_bp: params.retry_slash.0,
        fail_slash_bp: params.fail_slash.0,
        bond_margin_bp: params.bond_margin.0,
        audit_share_bp: params.audit_share.0,
        worker_stake_floor: amount(params.worker_stake_floor),
        model_bond_floor: amount(params.model_bond_floor),
        registration_limit_blocks: params.registration_limit.0,
        unbonding_blocks: params.unbonding.0,
        notice_blocks: params.notice.0,
        claim_window_blocks: params.windows.claim.0,
        head_window_blocks: params.windows.head.0,
        challenge_window_blocks: params.windows.challenge.0,
        features_window_blocks: params.windows.features.0,
        creator_window_blocks: params.windows.creator.0,
        accept_window_blocks: params.windows.accept.0,
        dispute_window_blocks: params.windows.dispute.0,
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
