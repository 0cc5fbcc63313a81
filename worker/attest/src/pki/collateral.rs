//! Collateral of the development PKI: the same documents that Intel's service signs.

use super::certificates::{self, Certified};
use super::platform::{PckAuthority, Platform, PlatformTraits};
use super::terms::{Authority, CollateralTerms, LevelStatus, ModuleTerms, SvnLevel, TcbLevelTerms};
use super::{DevelopmentPki, PkiError};
use crate::collateral::Collateral;
use crate::platform::{AdvisoryId, Fmspc};
use dcap_qvl::QuoteCollateralV3;
use encompute_protocol::statement::TeeKind;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Intel's modules are signed by an all-zero MRSIGNER; development ones say the same.
pub(super) const MODULE_SIGNER: [u8; 48] = [0; 48];
/// Initialized, 64-bit, provisioning key: as Intel's quoting enclaves.
pub(super) const QE_ATTRIBUTES: [u8; 16] = [0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
pub(super) const QE_SVN: u16 = 4;

const TCB_DATE: &str = "2025-01-01T00:00:00Z";

/// The two enclaves that quote: one for domains, one for enclaves.
#[derive(Clone, Copy)]
pub(super) struct QuotingEnclave {
    id: &'static str,
    product: u16,
    signer: &'static [u8],
}

impl QuotingEnclave {
    pub(super) fn of(tee: TeeKind) -> Self {
        match tee {
            TeeKind::Tdx => Self { id: "TD_QE", product: 2, signer: b"encompute development quoting enclave signer" },
            TeeKind::Sgx => Self { id: "QE", product: 1, signer: b"encompute development SGX quoting enclave signer" },
        }
    }

    pub(super) fn product(self) -> u16 {
        self.product
    }

    pub(super) fn signer(self) -> [u8; 32] {
        Sha256::digest(self.signer).into()
    }
}

/// A signed JSON document: its exact bytes, and `r ‖ s` over them.
pub(crate) struct SignedDocument {
    pub(crate) body: String,
    pub(crate) signature: [u8; 64],
}

/// Who signs TCB info and enclave identity.
#[derive(Clone, Copy)]
pub enum DocumentSigner<'a> {
    /// Whose task it is.
    TcbSigner,
    /// An authority that certifies machines: no signer of documents.
    PckAuthority,
    /// A machine: certified, too, but for something else.
    Platform(&'a Platform),
}

/// Collateral before it is signed.
pub struct CollateralDraft<'a> {
    /// The judgement over platforms.
    pub tcb_info: Value,
    /// What the quoting enclave looks like.
    pub qe_identity: Value,
    /// Who signs both.
    pub signer: DocumentSigner<'a>,
    /// Whose machines the revocation list is about.
    pub authority: PckAuthority,
    terms: CollateralTerms,
}

impl DevelopmentPki {
    /// Everything needed to judge a TDX quote of a platform with these traits.
    ///
    /// # Errors
    /// [`PkiError`] when the terms cannot be put into certificates (an end before the start).
    pub fn collateral(&self, traits: &PlatformTraits, terms: &CollateralTerms) -> Result<Collateral, PkiError> {
        self.collateral_for(TeeKind::Tdx, traits, terms)
    }

    /// Everything needed to judge a quote of this kind of a platform with these traits.
    ///
    /// # Errors
    /// As [`Self::collateral`].
    pub fn collateral_for(
        &self,
        tee: TeeKind,
        traits: &PlatformTraits,
        terms: &CollateralTerms,
    ) -> Result<Collateral, PkiError> {
        self.sign_collateral(&self.collateral_draft(tee, traits, terms))
    }

    /// Collateral before it is signed.
    pub fn collateral_draft(
        &self,
        tee: TeeKind,
        traits: &PlatformTraits,
        terms: &CollateralTerms,
    ) -> CollateralDraft<'static> {
        CollateralDraft {
            tcb_info: tcb_info(tee, traits, terms),
            qe_identity: qe_identity(tee, terms),
            signer: DocumentSigner::TcbSigner,
            authority: traits.authority,
            terms: terms.clone(),
        }
    }

    /// Signs what a draft says, whatever it says.
    ///
    /// # Errors
    /// As [`Self::collateral`].
    pub fn sign_collateral(&self, draft: &CollateralDraft<'_>) -> Result<Collateral, PkiError> {
        let chain = match draft.signer {
            DocumentSigner::TcbSigner => self.tcb_issuer_chain(),
            DocumentSigner::PckAuthority => self.pck_crl_issuer_chain(PckAuthority::Platform),
            DocumentSigner::Platform(platform) => platform.chain_pem.clone(),
        };
        let signer = match draft.signer {
            DocumentSigner::TcbSigner => &self.tcb_signer,
            DocumentSigner::PckAuthority => &self.platform_ca,
            DocumentSigner::Platform(platform) => &platform.pck,
        };
        let (tcb_info, qe_identity) = (sign(signer, &draft.tcb_info), sign(signer, &draft.qe_identity));
        Ok(Collateral(QuoteCollateralV3 {
            pck_crl_issuer_chain: self.pck_crl_issuer_chain(draft.authority),
            root_ca_crl: self.root_crl(&draft.terms)?,
            pck_crl: self.pck_crl(draft.authority, &draft.terms)?,
            tcb_info_issuer_chain: chain.clone(),
            tcb_info: tcb_info.body,
            tcb_info_signature: tcb_info.signature.to_vec(),
            qe_identity_issuer_chain: chain,
            qe_identity: qe_identity.body,
            qe_identity_signature: qe_identity.signature.to_vec(),
            pck_certificate_chain: None,
        }))
    }

    pub(crate) fn pck_crl_issuer_chain(&self, authority: PckAuthority) -> String {
        [self.authority(authority).pem.as_str(), &self.root.pem].concat()
    }

    pub(crate) fn tcb_issuer_chain(&self) -> String {
        [self.tcb_signer.pem.as_str(), &self.root.pem].concat()
    }

    pub(crate) fn root_crl(&self, terms: &CollateralTerms) -> Result<Vec<u8>, PkiError> {
        let serial = |authority: &Authority| match authority {
            Authority::Platform => self.platform_ca.serial(),
            Authority::Processor => self.processor_ca.serial(),
            Authority::TcbSigner => self.tcb_signer.serial(),
        };
        let revoked: Vec<_> = terms.revoked_authorities.iter().map(serial).collect();
        certificates::revocation_list(&self.root, &revoked, terms.issued_at, terms.next_update)
    }

    pub(crate) fn pck_crl(&self, authority: PckAuthority, terms: &CollateralTerms) -> Result<Vec<u8>, PkiError> {
        certificates::revocation_list(self.authority(authority), &terms.revoked, terms.issued_at, terms.next_update)
    }

    pub(crate) fn tcb_info(&self, tee: TeeKind, traits: &PlatformTraits, terms: &CollateralTerms) -> SignedDocument {
        sign(&self.tcb_signer, &tcb_info(tee, traits, terms))
    }

    pub(crate) fn qe_identity(&self, tee: TeeKind, terms: &CollateralTerms) -> SignedDocument {
        sign(&self.tcb_signer, &qe_identity(tee, terms))
    }
}

fn sign(signer: &Certified, document: &Value) -> SignedDocument {
    let body = document.to_string();
    SignedDocument { signature: signer.key.sign_raw(body.as_bytes()), body }
}

fn tcb_info(tee: TeeKind, traits: &PlatformTraits, terms: &CollateralTerms) -> Value {
    let own = TcbLevelTerms {
        cpu_svn: traits.cpu_svn,
        pce_svn: traits.pce_svn,
        tee_tcb_svn: traits.tee_tcb_svn,
        status: LevelStatus::Known(terms.status),
        advisories: terms.advisories.clone(),
    };
    let levels: Vec<_> = [&own].into_iter().chain(&terms.lower_levels).map(|terms| level(tee, terms)).collect();
    let mut document = json!({
        "id": match tee { TeeKind::Tdx => "TDX", TeeKind::Sgx => "SGX" },
        "version": 3,
        "issueDate": terms.issued_at.to_string(),
        "nextUpdate": terms.next_update.to_string(),
        "fmspc": fmspc_word(traits.fmspc),
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": terms.evaluation.0,
        "tcbLevels": levels,
    });
    if tee == TeeKind::Tdx {
        let [svn, version, ..] = traits.tee_tcb_svn;
        let own = || vec![ModuleTerms { version, levels: vec![SvnLevel::up_to_date(u16::from(svn))] }];
        let modules = terms.modules.clone().unwrap_or_else(own);
        document["tdxModule"] = json!({
            "mrsigner": hex::encode_upper(MODULE_SIGNER),
            "attributes": "0000000000000000",
            "attributesMask": "FFFFFFFFFFFFFFFF",
        });
        document["tdxModuleIdentities"] = modules.iter().map(module).collect();
    }
    document
}

fn module(terms: &ModuleTerms) -> Value {
    json!({
        "id": format!("TDX_{:02X}", terms.version),
        "mrsigner": hex::encode_upper(MODULE_SIGNER),
        "attributes": "0000000000000000",
        "attributesMask": "FFFFFFFFFFFFFFFF",
        "tcbLevels": svn_levels(&terms.levels),
    })
}

fn qe_identity(tee: TeeKind, terms: &CollateralTerms) -> Value {
    let enclave = QuotingEnclave::of(tee);
    json!({
        "id": enclave.id,
        "version": 2,
        "issueDate": terms.issued_at.to_string(),
        "nextUpdate": terms.next_update.to_string(),
        "tcbEvaluationDataNumber": terms.enclave_evaluation.0,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": hex::encode_upper(QE_ATTRIBUTES),
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": hex::encode_upper(enclave.signer()),
        "isvprodid": enclave.product,
        "tcbLevels": svn_levels(&terms.enclave_levels),
    })
}

fn level(tee: TeeKind, terms: &TcbLevelTerms) -> Value {
    let components = |svns: [u8; 16]| svns.iter().map(|svn| json!({ "svn": svn })).collect::<Vec<_>>();
    let mut tcb = json!({ "sgxtcbcomponents": components(terms.cpu_svn), "pcesvn": terms.pce_svn });
    if tee == TeeKind::Tdx {
        tcb["tdxtcbcomponents"] = components(terms.tee_tcb_svn).into();
    }
    json!({
        "tcb": tcb,
        "tcbDate": TCB_DATE,
        "tcbStatus": terms.status.to_string(),
        "advisoryIDs": advisories(&terms.advisories),
    })
}

fn svn_levels(levels: &[SvnLevel]) -> Value {
    let level = |level: &SvnLevel| {
        json!({
            "tcb": { "isvsvn": level.isv_svn },
            "tcbDate": TCB_DATE,
            "tcbStatus": level.status.to_string(),
            "advisoryIDs": advisories(&level.advisories),
        })
    };
    levels.iter().map(level).collect()
}

fn advisories(ids: &[AdvisoryId]) -> Vec<String> {
    ids.iter().map(AdvisoryId::to_string).collect()
}

/// An FMSPC as collateral writes it: upper-case hexadecimal.
pub(crate) fn fmspc_word(fmspc: Fmspc) -> String {
    hex::encode_upper(fmspc.0)
}
