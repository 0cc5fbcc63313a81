//! An audit's verdict as an EAT attestation result (draft-ietf-rats-ear-04), signed by the auditor: for programs that
//! know nothing of this market and read what every verifier writes.
//!
//! The claims are written here: the crate `ear` reads the same bytes, but builds a C library or, from 0.6 on, fetches files
//! of its own while it is built.
//!
//! Claims are AR4SI's. A quote that ends in a development root is unrecognised hardware, whatever else holds: such a
//! result is contraindicated, and no relying party takes a simulation for a machine.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use encompute_attest::UnixSeconds;
use encompute_audit::{CheckLine, Report, Severity};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    pkcs8::DecodePrivateKey,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// The format, by its own name.
const PROFILE: &str = "tag:ietf.org,2026:rats/ear#04";
/// Names the rules of an audit, for relying parties that pin them.
const POLICY: &str = "encompute/audit/v1";
/// Begins the names of checks that are about the worker.
const WORKER: &str = "worker-";

/// Claims of AR4SI's trustworthiness vector.
mod claim {
    pub const TRUSTWORTHY_INSTANCE: i8 = 2;
    pub const UNRECOGNIZED_INSTANCE: i8 = 97;
    pub const APPROVED_RUNTIME: i8 = 2;
    pub const UNRECOGNIZED_RUNTIME: i8 = 33;
    pub const GENUINE_HARDWARE: i8 = 2;
    pub const UNRECOGNIZED_HARDWARE: i8 = 97;
    pub const ENCRYPTED_MEMORY: i8 = 2;
}

/// How far something may be trusted, better first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustTier {
    /// Every check holds.
    Affirming,
    /// A proof is incomplete.
    Warning,
    /// Something is not so.
    Contraindicated,
}

/// An attestation result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ear {
    eat_profile: String,
    iat: u64,
    ear_verifier_id: VerifierId,
    ear_status: TrustTier,
    submods: BTreeMap<String, Appraisal>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct VerifierId {
    build: String,
    developer: String,
}

/// One part's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Appraisal {
    ear_status: TrustTier,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ear_trustworthiness_vector: Option<Vector>,
    ear_appraisal_policy_ids: Vec<String>,
    ear_verifier_claims: VerifierClaims,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Vector {
    instance_identity: i8,
    executables: i8,
    hardware: i8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runtime_opaque: Option<i8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct VerifierClaims {
    subject: String,
    trust_root: String,
    checks: usize,
    failed: Vec<String>,
}

/// A verdict that cannot be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EarError {
    /// Not a key on P-256.
    #[error("the auditor's key is no P-256 key in PKCS#8 PEM: {0}")]
    Key(String),
    /// The result does not fit its own format.
    #[error("write the attestation result")]
    Claims(#[from] serde_json::Error),
}

/// The verdict as claims: submodule `worker` for the machine that ran the head, where the audit looked at one, and
/// `record` for everything else.
pub fn claims(report: &Report, at: UnixSeconds) -> Ear {
    let (worker, record): (Vec<_>, Vec<_>) = report.checks.iter().partition(|check| check.id.starts_with(WORKER));
    let mut submods = BTreeMap::from([("record".to_owned(), appraisal(report, &record))]);
    if !worker.is_empty() {
        submods.insert("worker".to_owned(), machine(report, &worker));
    }
    let worst = submods.values().map(|appraisal| appraisal.ear_status).max();
    Ear {
        eat_profile: PROFILE.to_owned(),
        iat: at.0,
        ear_verifier_id: VerifierId {
            build: concat!("encompute ", env!("CARGO_PKG_VERSION")).to_owned(),
            developer: "Encompute".to_owned(),
        },
        ear_status: worst.unwrap_or(TrustTier::Warning),
        submods,
    }
}

/// The claims as a JSON web token (RFC 7515), signed with ES256.
///
/// # Errors
/// [`EarError::Key`].
pub fn sign(claims: &Ear, key_pem: &str) -> Result<String, EarError> {
    let key = SigningKey::from_pkcs8_pem(key_pem).map_err(|error| EarError::Key(error.to_string()))?;
    let part = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
    let header = part(serde_json::to_vec(&json!({ "alg": "ES256", "typ": "JWT" }))?);
    let signed = format!("{header}.{}", part(serde_json::to_vec(claims)?));
    let signature: Signature = key.sign(signed.as_bytes());
    Ok(format!("{signed}.{}", part(signature.to_bytes().to_vec())))
}

/// What the checks say of the machine.
fn machine(report: &Report, checks: &[&CheckLine]) -> Appraisal {
    let mut appraisal = appraisal(report, checks);
    let holds = |names: &[&str]| {
        let mut about =
            checks.iter().filter(|check| names.iter().any(|name| check.id[WORKER.len()..].starts_with(name)));
        about.clone().next().is_some() && about.all(|check| check.pass)
    };
    let value = |holds, good, bad| if holds { good } else { bad };
    let genuine = holds(&["quote"]) && holds(&["platform"]) && !report.trust_root.development;
    let itself = holds(&["statement", "nonce", "registration", "evidence"]);
    let vector = Vector {
        instance_identity: value(itself, claim::TRUSTWORTHY_INSTANCE, claim::UNRECOGNIZED_INSTANCE),
        executables: value(holds(&["measurement"]), claim::APPROVED_RUNTIME, claim::UNRECOGNIZED_RUNTIME),
        hardware: value(genuine, claim::GENUINE_HARDWARE, claim::UNRECOGNIZED_HARDWARE),
        runtime_opaque: genuine.then_some(claim::ENCRYPTED_MEMORY),
    };
    let known = itself && genuine;
    appraisal.ear_status = if known { appraisal.ear_status } else { TrustTier::Contraindicated };
    appraisal.ear_trustworthiness_vector = Some(vector);
    appraisal
}

/// The tier that the checks make, and what they are.
fn appraisal(report: &Report, checks: &[&CheckLine]) -> Appraisal {
    let tier = |severity| match severity {
        Severity::Ok => TrustTier::Affirming,
        Severity::Missing => TrustTier::Warning,
        Severity::Contradiction => TrustTier::Contraindicated,
    };
    Appraisal {
        ear_status: checks.iter().map(|check| tier(check.severity)).max().unwrap_or(TrustTier::Warning),
        ear_trustworthiness_vector: None,
        ear_appraisal_policy_ids: vec![POLICY.to_owned()],
        ear_verifier_claims: VerifierClaims {
            subject: report.subject.clone(),
            trust_root: report.trust_root.fingerprint.clone(),
            checks: checks.len(),
            failed: checks.iter().filter(|check| !check.pass).map(|check| check.id.clone()).collect(),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use encompute_audit::RootLine;
    use p256::{ecdsa::signature::Verifier, pkcs8::EncodePrivateKey};

    const AT: UnixSeconds = UnixSeconds(1_795_348_800);

    fn check(id: &str, severity: Severity) -> CheckLine {
        let words = String::new;
        CheckLine {
            id: id.to_owned(),
            pass: severity == Severity::Ok,
            expected: words(),
            actual: words(),
            source: words(),
            severity,
        }
    }

    /// A job whose checks all hold but one.
    fn a_report(development: bool, but: Option<(&str, Severity)>) -> Report {
        let ids = ["worker-quote", "worker-platform", "worker-platform-allowed", "worker-measurement"];
        let ids = ids.into_iter().chain(["worker-statement-account", "worker-nonce", "receipt-signature", "price"]);
        let severity = |id| but.filter(|(named, _)| *named == id).map_or(Severity::Ok, |(_, severity)| severity);
        Report {
            subject: "job 7".to_owned(),
            verdict: "pass",
            trust_root: RootLine { name: "a root".to_owned(), development, fingerprint: "0x01".to_owned() },
            judged: None,
            checks: ids.map(|id| check(id, severity(id))).collect(),
            limits: vec![],
        }
    }

    fn tiers(report: &Report) -> (TrustTier, TrustTier, TrustTier) {
        let ear = claims(report, AT);
        (ear.ear_status, ear.submods["worker"].ear_status, ear.submods["record"].ear_status)
    }

    #[test]
    fn the_worst_check_makes_the_tier_of_its_part_and_of_the_whole() {
        use TrustTier::{Affirming, Contraindicated, Warning};
        assert_eq!(tiers(&a_report(false, None)), (Affirming, Affirming, Affirming));
        let price = |severity| tiers(&a_report(false, Some(("price", severity))));
        assert_eq!(price(Severity::Missing), (Warning, Affirming, Warning));
        assert_eq!(price(Severity::Contradiction), (Contraindicated, Affirming, Contraindicated));
        let nonce = tiers(&a_report(false, Some(("worker-nonce", Severity::Contradiction))));
        assert_eq!(nonce, (Contraindicated, Contraindicated, Affirming));
    }

    #[test]
    fn every_claim_about_the_machine_rests_on_its_own_checks() {
        let values = |report: &Report| {
            let vector = claims(report, AT).submods["worker"].ear_trustworthiness_vector.unwrap();
            [vector.hardware, vector.executables, vector.instance_identity, vector.runtime_opaque.unwrap_or_default()]
        };
        assert_eq!(values(&a_report(false, None)), [2, 2, 2, 2]);
        let but = |id| values(&a_report(false, Some((id, Severity::Contradiction))));
        assert_eq!(but("worker-quote"), [97, 2, 2, 0]);
        assert_eq!(but("worker-platform-allowed"), [97, 2, 2, 0]);
        assert_eq!(but("worker-measurement"), [2, 33, 2, 2]);
        assert_eq!(but("worker-statement-account"), [2, 2, 97, 2]);
    }

    #[test]
    fn a_simulated_machine_is_contraindicated_whatever_else_holds() {
        let report = a_report(true, None);
        assert_eq!(tiers(&report).1, TrustTier::Contraindicated);
        let vector = claims(&report, AT).submods["worker"].ear_trustworthiness_vector.unwrap();
        assert_eq!((vector.hardware, vector.runtime_opaque), (claim::UNRECOGNIZED_HARDWARE, None));
    }

    #[test]
    fn the_token_reads_back_and_its_signature_is_the_auditors() {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let pem = key.to_pkcs8_pem(Default::default()).unwrap();
        let ear = claims(&a_report(false, Some(("price", Severity::Missing))), AT);
        let token = sign(&ear, &pem).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let [header, payload, signature] = parts[..] else { unreachable!("three parts") };
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        assert_eq!(bytes(header), br#"{"alg":"ES256","typ":"JWT"}"#);
        assert_eq!(serde_json::from_slice::<Ear>(&bytes(payload)).unwrap(), ear);
        let signature = Signature::from_slice(&bytes(signature)).unwrap();
        key.verifying_key().verify(format!("{header}.{payload}").as_bytes(), &signature).unwrap();
        assert!(matches!(sign(&ear, "no key"), Err(EarError::Key(_))));
    }
}
