//! A quote before it is signed, in each form that there is: honest as it comes, and open to every alteration that a
//! drill or a test wants signed.

use super::collateral::{self, QuotingEnclave};
use super::keys::Key;
use super::platform::PlatformTraits;
use crate::claims::ReportData;
use crate::measurement::{Register, SgxMeasurement, TdxMeasurement};
use codec::Encode;
use dcap_qvl::INTEL_QE_VENDOR_ID;
use dcap_qvl::quote::{
    AuthData, AuthDataV3, AuthDataV4, CertificationData, Data, EnclaveReport, Header, QEReportCertificationData, Quote,
    Report, TDReport10, TDReport15, TDReport15Ex,
};
use encompute_protocol::statement::TeeKind;
use sha2::{Digest, Sha256, Sha384};

const KEY_TYPE_ECDSA_P256: u16 = 2;
const TEE_TYPE_SGX: u32 = 0;
const TEE_TYPE_TDX: u32 = 0x81;
const CERTIFICATION_QE_REPORT: u16 = 6;
const CERTIFICATION_PCK_CHAIN: u16 = 5;

/// The forms that a TDX quote comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TdxForm {
    /// Version 4, body of TDX 1.0.
    V4,
    /// Version 5, body of TDX 1.0.
    V5,
    /// Version 5, body of TDX 1.5: with the module's current security versions.
    V5Td15,
    /// Version 5, extended body of TDX 1.5: with service domains and the domain's own id.
    V5Td15Ex,
}

/// Everything that a quote says before anybody signs it.
#[derive(Clone, Debug)]
pub struct QuoteDraft {
    /// Version, kind of key, kind of enclave, vendor.
    pub header: Header,
    /// What is attested.
    pub report: Report,
    /// The attestation key, `x ‖ y`.
    pub attestation_key: [u8; 64],
    /// The quoting enclave's own report: it vouches for the attestation key.
    pub qe_report: EnclaveReport,
    /// What the quoting enclave bound beside the key.
    pub qe_auth_data: Vec<u8>,
    /// Kind of what certifies the quoting enclave's report: 6 where a version has it.
    pub outer_certification: u16,
    /// Kind of the certificates: 5 for a chain.
    pub certification: u16,
    /// The certificates, as PEM.
    pub chain_pem: String,
}

impl QuoteDraft {
    pub(super) fn tdx(
        traits: &PlatformTraits,
        form: TdxForm,
        measurement: &TdxMeasurement,
        rtmr3: Register,
        report_data: ReportData,
    ) -> Self {
        let body = td_body(traits, measurement, rtmr3, report_data);
        let body15 = TDReport15 { base: body, tee_tcb_svn2: traits.current_tee_tcb_svn, mr_service_td: [0; 48] };
        let (version, report) = match form {
            TdxForm::V4 => (4, Report::TD10(body)),
            TdxForm::V5 => (5, Report::TD10(body)),
            TdxForm::V5Td15 => (5, Report::TD15(body15)),
            TdxForm::V5Td15Ex => (5, Report::TD15Ex(extended(body15))),
        };
        Self::new(traits, version, TeeKind::Tdx, report)
    }

    pub(super) fn sgx(traits: &PlatformTraits, measurement: &SgxMeasurement, report_data: ReportData) -> Self {
        let report = EnclaveReport {
            cpu_svn: traits.cpu_svn,
            attributes: measurement.attributes,
            mr_enclave: measurement.mr_enclave,
            mr_signer: measurement.mr_signer,
            isv_prod_id: measurement.isv_prod_id,
            isv_svn: measurement.isv_svn,
            report_data: report_data.0,
            ..empty_report()
        };
        Self::new(traits, 3, TeeKind::Sgx, Report::SgxEnclave(report))
    }

    fn new(traits: &PlatformTraits, version: u16, tee: TeeKind, report: Report) -> Self {
        let enclave = QuotingEnclave::of(tee);
        let tee_type = match tee {
            TeeKind::Sgx => TEE_TYPE_SGX,
            TeeKind::Tdx => TEE_TYPE_TDX,
        };
        Self {
            header: Header {
                version,
                attestation_key_type: KEY_TYPE_ECDSA_P256,
                tee_type,
                qe_svn: 0,
                pce_svn: 0,
                qe_vendor_id: INTEL_QE_VENDOR_ID,
                user_data: [0; 20],
            },
            report,
            attestation_key: [0; 64],
            qe_report: EnclaveReport {
                cpu_svn: traits.cpu_svn,
                attributes: collateral::QE_ATTRIBUTES,
                mr_enclave: Sha256::digest(b"development quoting enclave").into(),
                mr_signer: enclave.signer(),
                isv_prod_id: enclave.product(),
                isv_svn: collateral::QE_SVN,
                ..empty_report()
            },
            qe_auth_data: Vec::new(),
            outer_certification: CERTIFICATION_QE_REPORT,
            certification: CERTIFICATION_PCK_CHAIN,
            chain_pem: String::new(),
        }
    }

    /// Names the machine's keys: the quoting enclave's report vouches for the attestation key, the chain for the
    /// key that signs that report.
    pub(super) fn bound_to(mut self, (key, auth_data, chain_pem): (&Key, [u8; 32], &str)) -> Self {
        self.attestation_key = key.coordinates();
        self.qe_auth_data = auth_data.to_vec();
        self.chain_pem = chain_pem.to_owned();
        self.bind_key();
        self
    }

    /// Makes the quoting enclave's report vouch for the attestation key and the data beside it.
    pub fn bind_key(&mut self) {
        let binding = Sha256::new().chain_update(self.attestation_key).chain_update(&self.qe_auth_data);
        self.qe_report.report_data = [0; 64];
        self.qe_report.report_data[..32].copy_from_slice(&binding.finalize());
    }

    pub(super) fn signed(&self, attestation_key: &Key, pck_key: &Key) -> Vec<u8> {
        let mut qe_report = [0; 384];
        qe_report.copy_from_slice(&self.qe_report.encode());
        let auth = AuthDataV3 {
            ecdsa_signature: [0; 64],
            ecdsa_attestation_key: self.attestation_key,
            qe_report,
            qe_report_signature: pck_key.sign_raw(&qe_report),
            qe_auth_data: Data::new(self.qe_auth_data.clone()),
            certification_data: CertificationData {
                cert_type: self.certification,
                body: Data::new(self.chain_pem.as_bytes().to_vec()),
            },
        };
        let quote = |auth: AuthDataV3| {
            let auth_data = if self.header.version == 3 { AuthData::V3(auth) } else { self.wrapped(auth) };
            Quote { header: self.header, report: self.report.clone(), auth_data }
        };
        let unsigned = quote(auth.clone());
        let bytes = unsigned.encode();
        let signed =
            bytes.get(..unsigned.signed_length()).expect("an encoded quote holds its own header and body; qed");
        quote(AuthDataV3 { ecdsa_signature: attestation_key.sign_raw(signed), ..auth }).encode()
    }

    /// As versions 4 and 5 carry it: the quoting enclave's report inside certification data of its own.
    fn wrapped(&self, auth: AuthDataV3) -> AuthData {
        AuthData::V4(AuthDataV4 {
            ecdsa_signature: auth.ecdsa_signature,
            ecdsa_attestation_key: auth.ecdsa_attestation_key,
            // The encoder fills the body from `qe_report_data`.
            certification_data: CertificationData { cert_type: self.outer_certification, body: Data::new(Vec::new()) },
            qe_report_data: QEReportCertificationData {
                qe_report: auth.qe_report,
                qe_report_signature: auth.qe_report_signature,
                qe_auth_data: auth.qe_auth_data,
                certification_data: auth.certification_data,
            },
        })
    }
}

fn empty_report() -> EnclaveReport {
    EnclaveReport {
        cpu_svn: [0; 16],
        misc_select: 0,
        reserved1: [0; 28],
        attributes: [0; 16],
        mr_enclave: [0; 32],
        reserved2: [0; 32],
        mr_signer: [0; 32],
        reserved3: [0; 96],
        isv_prod_id: 0,
        isv_svn: 0,
        reserved4: [0; 60],
        report_data: [0; 64],
    }
}

fn td_body(
    traits: &PlatformTraits,
    measurement: &TdxMeasurement,
    rtmr3: Register,
    report_data: ReportData,
) -> TDReport10 {
    TDReport10 {
        tee_tcb_svn: traits.tee_tcb_svn,
        mr_seam: Sha384::digest(b"development TDX module").into(),
        mr_signer_seam: collateral::MODULE_SIGNER,
        seam_attributes: [0; 8],
        td_attributes: measurement.td_attributes,
        xfam: measurement.xfam,
        mr_td: measurement.mr_td.0,
        mr_config_id: measurement.mr_config_id.0,
        mr_owner: [0; 48],
        mr_owner_config: [0; 48],
        rt_mr0: measurement.rtmr0.0,
        rt_mr1: measurement.rtmr1.0,
        rt_mr2: measurement.rtmr2.0,
        rt_mr3: rtmr3.0,
        report_data: report_data.0,
    }
}

/// Without service domains: what Intel's quoting enclave fills in then.
fn extended(base: TDReport15) -> TDReport15Ex {
    TDReport15Ex {
        vmid: 0,
        td_id: Sha256::digest(base.base.rt_mr3).into(),
        dev_info: [0; 48],
        init_service_td_hash: [0; 48],
        init_service_td_attributes: [0; 8],
        init_cpu_svn: [0; 16],
        init_tee_tcb_svn: base.base.tee_tcb_svn,
        init_tee_fmspc: [0; 12],
        cur_service_td_hash: [0; 48],
        cur_service_td_attributes: [0; 8],
        base,
    }
}
