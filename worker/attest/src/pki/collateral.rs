//! Collateral of the development PKI: the same documents that Intel's service signs.

use super::certificates::{self, PckSerial};
use super::platform::PlatformTraits;
use super::{DevelopmentPki, PkiError};
use crate::collateral::Collateral;
use crate::platform::{AdvisoryId, Fmspc, TcbEvaluationNumber, TcbStatus, UnixSeconds};
use dcap_qvl::QuoteCollateralV3;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Intel's modules are signed by an all-zero MRSIGNER; development ones say the same.
pub(super) const MODULE_SIGNER: [u8; 48] = [0; 48];
/// Initialized, 64-bit, provisioning key: as Intel's TD quoting enclave.
pub(super) const QE_ATTRIBUTES: [u8; 16] = [0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
pub(super) const QE_PRODUCT: u16 = 2;
pub(super) const QE_SVN: u16 = 4;

pub(super) fn qe_signer() -> [u8; 32] {
    Sha256::digest(b"encompute development quoting enclave signer").into()
}

/// What the development PKI says about a platform, for how long: the knobs of a drill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollateralTerms {
    /// When it was issued.
    pub issued_at: UnixSeconds,
    /// When it runs out. Intel gives 30 days.
    pub next_update: UnixSeconds,
    /// Its verdict over a platform with the traits given; any lower platform is out of date.
    pub status: TcbStatus,
    /// Advisories that come with the verdict.
    pub advisories: Vec<AdvisoryId>,
    /// Age of the judgement.
    pub evaluation: TcbEvaluationNumber,
    /// Platforms whose certificates are revoked.
    pub revoked: Vec<PckSerial>,
}

impl CollateralTerms {
    /// The number that development collateral carries.
    pub const EVALUATION: TcbEvaluationNumber = TcbEvaluationNumber(19);

    /// Up to date, nothing revoked, good from a day before `now` to 29 days after it.
    pub fn current(now: UnixSeconds) -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            issued_at: UnixSeconds(now.0.saturating_sub(DAY)),
            next_update: UnixSeconds(now.0.saturating_add(29 * DAY)),
            status: TcbStatus::UpToDate,
            advisories: Vec::new(),
            evaluation: Self::EVALUATION,
            revoked: Vec::new(),
        }
    }
}

/// A signed JSON document: its exact bytes, and `r ‖ s` over them.
pub(crate) struct SignedDocument {
    pub(crate) body: String,
    pub(crate) signature: [u8; 64],
}

impl DevelopmentPki {
    /// Everything needed to judge a quote of a platform with these traits.
    ///
    /// # Errors
    /// [`PkiError`] when the terms cannot be put into certificates (an end before the start).
    pub fn collateral(&self, traits: &PlatformTraits, terms: &CollateralTerms) -> Result<Collateral, PkiError> {
        let tcb_info = self.tcb_info(traits, terms);
        let qe_identity = self.qe_identity(terms);
        Ok(Collateral(QuoteCollateralV3 {
            pck_crl_issuer_chain: self.pck_crl_issuer_chain(),
            root_ca_crl: self.root_crl(terms)?,
            pck_crl: self.pck_crl(terms)?,
            tcb_info_issuer_chain: self.tcb_issuer_chain(),
            tcb_info: tcb_info.body,
            tcb_info_signature: tcb_info.signature.to_vec(),
            qe_identity_issuer_chain: self.tcb_issuer_chain(),
            qe_identity: qe_identity.body,
            qe_identity_signature: qe_identity.signature.to_vec(),
            pck_certificate_chain: None,
        }))
    }

    pub(crate) fn pck_crl_issuer_chain(&self) -> String {
        [self.pck_ca.pem.as_str(), &self.root.pem].concat()
    }

    pub(crate) fn tcb_issuer_chain(&self) -> String {
        [self.tcb_signer.pem.as_str(), &self.root.pem].concat()
    }

    pub(crate) fn root_crl(&self, terms: &CollateralTerms) -> Result<Vec<u8>, PkiError> {
        certificates::revocation_list(&self.root, &[], terms.issued_at, terms.next_update)
    }

    pub(crate) fn pck_crl(&self, terms: &CollateralTerms) -> Result<Vec<u8>, PkiError> {
        certificates::revocation_list(&self.pck_ca, &terms.revoked, terms.issued_at, terms.next_update)
    }

    pub(crate) fn tcb_info(&self, traits: &PlatformTraits, terms: &CollateralTerms) -> SignedDocument {
        let module = json!({
            "mrsigner": hex::encode_upper(MODULE_SIGNER),
            "attributes": "0000000000000000",
            "attributesMask": "FFFFFFFFFFFFFFFF",
        });
        let identity = json!({
            "id": format!("TDX_{:02X}", traits.tee_tcb_svn[1]),
            "mrsigner": hex::encode_upper(MODULE_SIGNER),
            "attributes": "0000000000000000",
            "attributesMask": "FFFFFFFFFFFFFFFF",
            "tcbLevels": [{ "tcb": { "isvsvn": traits.tee_tcb_svn[0] }, "tcbDate": TCB_DATE, "tcbStatus": "UpToDate" }],
        });
        self.sign(json!({
            "id": "TDX",
            "version": 3,
            "issueDate": terms.issued_at.to_string(),
            "nextUpdate": terms.next_update.to_string(),
            "fmspc": fmspc_word(traits.fmspc),
            "pceId": "0000",
            "tcbType": 0,
            "tcbEvaluationDataNumber": terms.evaluation.0,
            "tdxModule": module,
            "tdxModuleIdentities": [identity],
            "tcbLevels": [
                level(traits.cpu_svn, traits.pce_svn, traits.tee_tcb_svn, &terms.status.to_string(), &terms.advisories),
                level([0; 16], 0, [0; 16], "OutOfDate", &[]),
            ],
        }))
    }

    pub(crate) fn qe_identity(&self, terms: &CollateralTerms) -> SignedDocument {
        self.sign(json!({
            "id": "TD_QE",
            "version": 2,
            "issueDate": terms.issued_at.to_string(),
            "nextUpdate": terms.next_update.to_string(),
            "tcbEvaluationDataNumber": terms.evaluation.0,
            "miscselect": "00000000",
            "miscselectMask": "FFFFFFFF",
            "attributes": hex::encode_upper(QE_ATTRIBUTES),
            "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
            "mrsigner": hex::encode_upper(qe_signer()),
            "isvprodid": QE_PRODUCT,
            "tcbLevels": [{ "tcb": { "isvsvn": QE_SVN }, "tcbDate": TCB_DATE, "tcbStatus": "UpToDate" }],
        }))
    }

    fn sign(&self, document: Value) -> SignedDocument {
        let body = document.to_string();
        SignedDocument { signature: self.tcb_signer.key.sign_raw(body.as_bytes()), body }
    }
}

const TCB_DATE: &str = "2025-01-01T00:00:00Z";

fn level(sgx: [u8; 16], pce_svn: u16, tdx: [u8; 16], status: &str, advisories: &[AdvisoryId]) -> Value {
    let components = |svns: [u8; 16]| svns.iter().map(|svn| json!({ "svn": svn })).collect::<Vec<_>>();
    json!({
        "tcb": { "sgxtcbcomponents": components(sgx), "pcesvn": pce_svn, "tdxtcbcomponents": components(tdx) },
        "tcbDate": TCB_DATE,
        "tcbStatus": status,
        "advisoryIDs": advisories.iter().map(AdvisoryId::to_string).collect::<Vec<_>>(),
    })
}

/// An FMSPC as collateral writes it: upper-case hexadecimal.
pub(crate) fn fmspc_word(fmspc: Fmspc) -> String {
    hex::encode_upper(fmspc.0)
}
