//! Intel's provisioning certification service, or anything that speaks like it: a PCCS cache, the
//! development service. One client for all, because a second one would be the untested one.

use super::http::{self, Answer, AskError};
use crate::claims::QUOTE_LIMIT_BYTES;
use crate::collateral::{COLLATERAL_LIMIT_BYTES, Collateral};
use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::intel::{quote_ca, quote_fmspc};
use dcap_qvl::quote::Quote;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Intel's own service.
pub const INTEL_PCS: &str = "https://api.trustedservices.intel.com";

/// Where Intel publishes the root's revocation list: the distribution point in its certificate.
/// Written down here so that no certificate decides which address is asked.
const INTEL_ROOT_CRL: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";

/// A service that hands out collateral. What it says is signed: it can withhold, not lie.
pub struct CollateralService {
    http: reqwest::Client,
    base: String,
}

/// No collateral could be had. Says nothing about the quote, except for
/// [`FetchError::NoPlatform`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The quote's certificate does not say which platform it is from.
    #[error("quote names no platform whose collateral could be fetched")]
    NoPlatform,
    /// The service could not be asked or answered something else.
    #[error("collateral cannot be fetched")]
    Ask(#[from] AskError),
}

#[derive(Deserialize)]
struct TcbInfoAnswer<'a> {
    #[serde(borrow, rename = "tcbInfo")]
    document: &'a RawValue,
    signature: String,
}

#[derive(Deserialize)]
struct IdentityAnswer<'a> {
    #[serde(borrow, rename = "enclaveIdentity")]
    document: &'a RawValue,
    signature: String,
}

impl CollateralService {
    /// The service at this base URL, e.g. [`INTEL_PCS`] or a PCCS.
    ///
    /// # Errors
    /// [`FetchError::Ask`] when no client can be built. Nothing is asked yet.
    pub fn at(url: &str) -> Result<Self, FetchError> {
        Ok(Self { http: http::client(None)?, base: url.trim_end_matches('/').to_owned() })
    }

    /// Today's collateral for the platform that issued `quote`.
    ///
    /// # Errors
    /// [`FetchError`]. Nothing is verified here: signatures are checked with the quote.
    pub async fn fetch(&self, quote: &[u8]) -> Result<Collateral, FetchError> {
        let quote = quote.get(..quote.len().min(QUOTE_LIMIT_BYTES)).unwrap_or_default();
        let parsed = Quote::parse(quote).map_err(|_| FetchError::NoPlatform)?;
        let fmspc = quote_fmspc(&parsed).map_err(|_| FetchError::NoPlatform)?;
        let ca = quote_ca(&parsed).map_err(|_| FetchError::NoPlatform)?.as_id_str();
        let tee = if parsed.header.is_sgx() { "sgx" } else { "tdx" };

        let pck_crl = self.ask("sgx", &format!("pckcrl?ca={ca}&encoding=der")).await?;
        let tcb = self.ask(tee, &format!("tcb?fmspc={}&update=standard", hex::encode_upper(fmspc))).await?;
        let identity = self.ask(tee, "qe/identity?update=standard").await?;
        let root_ca_crl = self.root_crl().await?;

        let TcbInfoAnswer { document: tcb_info, signature: tcb_signature } =
            serde_json::from_slice(&tcb.body).map_err(|_| tcb.wrong("TCB info and its signature"))?;
        let IdentityAnswer { document: qe_identity, signature: qe_signature } =
            serde_json::from_slice(&identity.body).map_err(|_| identity.wrong("enclave identity and its signature"))?;
        Ok(Collateral(QuoteCollateralV3 {
            pck_crl_issuer_chain: chain(&pck_crl, &["SGX-PCK-CRL-Issuer-Chain"])?,
            root_ca_crl,
            tcb_info_issuer_chain: chain(&tcb, &["TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain"])?,
            tcb_info: tcb_info.get().to_owned(),
            tcb_info_signature: hex::decode(tcb_signature).map_err(|_| tcb.wrong("a hexadecimal signature"))?,
            qe_identity_issuer_chain: chain(&identity, &["SGX-Enclave-Identity-Issuer-Chain"])?,
            qe_identity: qe_identity.get().to_owned(),
            qe_identity_signature: hex::decode(qe_signature).map_err(|_| identity.wrong("a hexadecimal signature"))?,
            pck_crl: pck_crl.body,
            pck_certificate_chain: None,
        }))
    }

    /// PCCS caches give the root's list in hexadecimal; Intel itself publishes it elsewhere, as DER.
    async fn root_crl(&self) -> Result<Vec<u8>, FetchError> {
        if self.base == INTEL_PCS {
            return Ok(http::ask(self.http.get(INTEL_ROOT_CRL), INTEL_ROOT_CRL, COLLATERAL_LIMIT_BYTES).await?.body);
        }
        let answer = self.ask("sgx", "rootcacrl").await?;
        Ok(hex::decode(answer.body.trim_ascii()).map_err(|_| answer.wrong("a hexadecimal revocation list"))?)
    }

    async fn ask(&self, tee: &str, call: &str) -> Result<Answer, AskError> {
        let url = format!("{}/{tee}/certification/v4/{call}", self.base);
        http::ask(self.http.get(&url), &url, COLLATERAL_LIMIT_BYTES).await
    }
}

/// A certificate chain travels as percent-encoded PEM in a header.
fn chain(answer: &Answer, names: &[&str]) -> Result<String, AskError> {
    let value = names.iter().find_map(|name| answer.headers.get(*name));
    let value = value.and_then(|value| value.to_str().ok()).ok_or_else(|| answer.wrong("the issuer chain header"))?;
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    decoded.map(|pem| pem.into_owned()).map_err(|_| answer.wrong("a readable issuer chain"))
}
