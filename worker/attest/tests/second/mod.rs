//! A second verifier, for the tests alone: written from Intel's documents ("Quote Generation, Quote Verification, and
//! Attestation with Intel SGX DCAP", "TDX DCAP Quoting Library", PCS API version 4, TDX module ABI) and sharing no code with the
//! first one: other parsers of certificates, lists, quotes and documents; of the signatures only the curve is the same.
#![allow(dead_code)]

mod certificates;
mod documents;
mod quote;

use certificates::{Chain, Lists, Machine};
use documents::{Identity, TcbInfo};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use quote::{Body, Quote};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What the second verifier makes of a quote.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub status: String,
    pub advisories: Vec<String>,
    pub evaluation: u32,
    pub ppid: Vec<u8>,
    pub fmspc: [u8; 6],
    /// Dynamic platform, cached keys, SMT: those declared on.
    pub settings: [bool; 3],
    pub report_data: [u8; 64],
    /// Bytes of header and body.
    pub signed: usize,
}

pub type Answer<T> = Result<T, String>;

pub fn refuse<T>(why: impl Into<String>) -> Answer<T> {
    Err(why.into())
}

/// `r ‖ s` over a message by a key given as `x ‖ y`.
pub fn signed_by(key: &[u8], message: &[u8], signature: &[u8]) -> Answer<()> {
    let key = VerifyingKey::from_sec1_bytes(&[&[4], key].concat()).map_err(|_| "no point of the curve")?;
    let signature = Signature::from_slice(signature).map_err(|_| "no signature")?;
    key.verify(message, &signature).map_err(|_| "a signature does not hold".to_owned())
}

/// Judges a quote under a root as of a time; `collateral` is the JSON that evidence carries.
pub fn judge(bytes: &[u8], collateral: &[u8], root: &[u8], now: u64) -> Answer<Found> {
    let collateral: Value = serde_json::from_slice(collateral).map_err(|error| error.to_string())?;
    let text = |name: &str| collateral[name].as_str().ok_or_else(|| format!("no {name}"));
    let octets = |name: &str| hex::decode(text(name)?).map_err(|_| format!("{name} is not hexadecimal"));
    let quote = Quote::read(bytes)?;
    sane(&quote.body)?;

    let lists = Lists::read(&octets("root_ca_crl")?, &octets("pck_crl")?, root, now)?;
    let signer = |name: &str| -> Answer<Vec<u8>> {
        let chain = Chain::read(text(name)?.as_bytes())?;
        let leaf = chain.verify(root, &lists, now)?;
        if leaf.depth != 1 { refuse("documents are not signed by whom the root named") } else { Ok(leaf.key) }
    };
    let (info, identity) = (text("tcb_info")?, text("qe_identity")?);
    signed_by(&signer("tcb_info_issuer_chain")?, info.as_bytes(), &octets("tcb_info_signature")?)?;
    signed_by(&signer("qe_identity_issuer_chain")?, identity.as_bytes(), &octets("qe_identity_signature")?)?;
    let info = TcbInfo::read(info, quote.body.is_domain(), now)?;
    let identity = Identity::read(identity, quote.body.is_domain(), now)?;

    let chain = match collateral["pck_certificate_chain"].as_str() {
        Some(beside) => beside.as_bytes().to_vec(),
        None if quote.certification == 5 => quote.certificates.to_vec(),
        None => return refuse("no chain of certificates"),
    };
    let leaf = Chain::read(&chain)?.verify(root, &lists, now)?;
    let machine = Machine::read(&leaf)?;
    signed_by(&leaf.key, quote.qe_report, quote.qe_signature)?;
    if quote.auth_data.len() != 32 {
        return refuse("not 32 bytes beside the attestation key");
    }
    let binding = Sha256::new().chain_update(quote.attestation_key).chain_update(quote.auth_data).finalize();
    if quote.qe_report[320..352] != binding[..] {
        return refuse("the attestation key is not the quoting enclave's");
    }
    let enclave = identity.level(quote.qe_report)?;
    signed_by(quote.attestation_key, quote.signed, quote.signature)?;

    if machine.fmspc != info.fmspc {
        return refuse("collateral is about other machines");
    }
    let (status, mut advisories) = documents::converge(&info, &machine, &quote.body, &enclave)?;
    advisories.extend(enclave.advisories);
    advisories.sort();
    advisories.dedup();
    Ok(Found {
        status,
        advisories,
        evaluation: info.evaluation.min(identity.evaluation),
        ppid: machine.ppid,
        fmspc: machine.fmspc,
        settings: machine.settings,
        report_data: quote.body.report_data(),
        signed: quote.signed.len(),
    })
}

/// What no platform may attest to, whatever else holds.
fn sane(body: &Body<'_>) -> Answer<()> {
    match body {
        Body::Enclave(report) if report[48] & 2 != 0 => refuse("an enclave in debug mode"),
        Body::Enclave(_) => Ok(()),
        Body::Domain { report, service, .. } => {
            let attributes = u64::from_le_bytes(report[120..128].try_into().map_err(|_| "short")?);
            let bits = |from: u32, to: u32| (from..=to).fold(0u64, |mask, bit| mask | 1 << bit);
            // Debug and profiling, reserved, SERVTD_EXT, MIGRATABLE.
            let forbidden = bits(0, 15) | bits(17, 17) | bits(23, 26) | bits(29, 29) | bits(32, 61);
            if attributes & forbidden != 0 || attributes & bits(28, 28) == 0 {
                return refuse("attributes of a domain that is not isolated");
            }
            match service.iter().all(|byte| *byte == 0) {
                true => Ok(()),
                false => refuse("a domain under service domains"),
            }
        }
    }
}
