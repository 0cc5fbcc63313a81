//! A pretended machine: its certificate, its quoting enclave, and the quotes it issues.

use super::certificates::{self, Certified, PckSerial};
use super::keys::{DevelopmentSeed, Key};
use super::{DevelopmentPki, PkiError, collateral};
use crate::claims::ReportData;
use crate::measurement::{ComposeHash, Register, TdxMeasurement};
use crate::platform::{Fmspc, PlatformSetting, Ppid};
use codec::Encode;
use dcap_qvl::INTEL_QE_VENDOR_ID;
use dcap_qvl::quote::{
    AuthData, AuthDataV4, CertificationData, Data, EnclaveReport, Header, QEReportCertificationData, Quote, Report,
    TDReport10,
};
use sha2::{Digest, Sha256, Sha384};

const QUOTE_VERSION: u16 = 4;
const KEY_TYPE_ECDSA_P256: u16 = 2;
const TEE_TYPE_TDX: u32 = 0x81;
const CERTIFICATION_QE_REPORT: u16 = 6;
const CERTIFICATION_PCK_CHAIN: u16 = 5;

/// How a pretended machine is built and patched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformTraits {
    /// Which TCB info applies to it.
    pub fmspc: Fmspc,
    /// Security versions of microcode and firmware.
    pub cpu_svn: [u8; 16],
    /// Security version of the provisioning enclave.
    pub pce_svn: u16,
    /// Security versions of the TDX module (its own at 0, its major version at 1).
    pub tee_tcb_svn: [u8; 16],
    /// Weakening settings that are on.
    pub settings: Vec<PlatformSetting>,
}

impl Default for PlatformTraits {
    /// Fully patched, with every weakening setting off.
    fn default() -> Self {
        Self {
            fmspc: Fmspc(*b"\xEEdevel"),
            cpu_svn: [3; 16],
            pce_svn: 13,
            tee_tcb_svn: [5, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            settings: Vec::new(),
        }
    }
}

impl PlatformTraits {
    pub(super) fn ppid(&self, seed: &DevelopmentSeed, platform: &str) -> [u8; 16] {
        let mut ppid = [0; 16];
        ppid.copy_from_slice(&seed.bytes("ppid", platform)[..16]);
        ppid
    }
}

/// A pretended machine under a [`DevelopmentPki`]. Machines of different names have different
/// PPIDs and keys, as real ones do.
pub struct Platform {
    traits: PlatformTraits,
    ppid: Ppid,
    serial: PckSerial,
    pck: Certified,
    attestation_key: Key,
    qe_auth_data: [u8; 32],
    /// PCK leaf, PCK CA, root: as quotes carry them.
    chain_pem: String,
}

impl Platform {
    pub(super) fn new(pki: &DevelopmentPki, name: &str, traits: PlatformTraits) -> Result<Self, PkiError> {
        let seed = &pki.seed;
        let (pck, serial) = certificates::pck(seed, name, &traits, &pki.pck_ca)?;
        Ok(Self {
            ppid: Ppid(traits.ppid(seed, name).to_vec()),
            serial,
            attestation_key: Key::derive(seed, "attestation-key", name)?,
            qe_auth_data: seed.bytes("qe-auth-data", name),
            chain_pem: [pck.pem.as_str(), &pki.pck_ca.pem, &pki.root.pem].concat(),
            pck,
            traits,
        })
    }

    /// Which machine this pretends to be.
    pub fn ppid(&self) -> &Ppid {
        &self.ppid
    }

    /// How it is built.
    pub fn traits(&self) -> &PlatformTraits {
        &self.traits
    }

    /// Its certificate's serial number, for revocation drills.
    pub fn serial(&self) -> PckSerial {
        self.serial
    }

    /// A TDX quote of version 4 over `measurement` and `report_data`. `rtmr3` holds the launch
    /// events, which no policy pins.
    pub fn quote(&self, measurement: &TdxMeasurement, rtmr3: Register, report_data: ReportData) -> Vec<u8> {
        let mut quote = Quote {
            header: Header {
                version: QUOTE_VERSION,
                attestation_key_type: KEY_TYPE_ECDSA_P256,
                tee_type: TEE_TYPE_TDX,
                qe_svn: 0,
                pce_svn: 0,
                qe_vendor_id: INTEL_QE_VENDOR_ID,
                user_data: [0; 20],
            },
            report: Report::TD10(self.body(measurement, rtmr3, report_data)),
            auth_data: AuthData::V4(self.unsigned_auth_data()),
        };
        let unsigned = quote.encode();
        let signed =
            unsigned.get(..quote.signed_length()).expect("an encoded quote holds its own header and body; qed");
        if let AuthData::V4(auth) = &mut quote.auth_data {
            auth.ecdsa_signature = self.attestation_key.sign_raw(signed);
        }
        quote.encode()
    }

    fn body(&self, measurement: &TdxMeasurement, rtmr3: Register, report_data: ReportData) -> TDReport10 {
        TDReport10 {
            tee_tcb_svn: self.traits.tee_tcb_svn,
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

    fn unsigned_auth_data(&self) -> AuthDataV4 {
        let qe_report = self.qe_report().encode();
        let mut qe_report_bytes = [0; 384];
        qe_report_bytes.copy_from_slice(&qe_report);
        AuthDataV4 {
            ecdsa_signature: [0; 64],
            ecdsa_attestation_key: self.attestation_key.coordinates(),
            // The encoder fills the body from `qe_report_data`.
            certification_data: CertificationData { cert_type: CERTIFICATION_QE_REPORT, body: Data::new(Vec::new()) },
            qe_report_data: QEReportCertificationData {
                qe_report: qe_report_bytes,
                qe_report_signature: self.pck.key.sign_raw(&qe_report_bytes),
                qe_auth_data: Data::new(self.qe_auth_data.to_vec()),
                certification_data: CertificationData {
                    cert_type: CERTIFICATION_PCK_CHAIN,
                    body: Data::new(self.chain_pem.as_bytes().to_vec()),
                },
            },
        }
    }

    /// The quoting enclave's own report: it vouches for the attestation key.
    fn qe_report(&self) -> EnclaveReport {
        let mut report_data = [0; 64];
        let binding = Sha256::new().chain_update(self.attestation_key.coordinates()).chain_update(self.qe_auth_data);
        report_data[..32].copy_from_slice(&binding.finalize());
        EnclaveReport {
            cpu_svn: self.traits.cpu_svn,
            misc_select: 0,
            reserved1: [0; 28],
            attributes: collateral::QE_ATTRIBUTES,
            mr_enclave: Sha256::digest(b"development quoting enclave").into(),
            reserved2: [0; 32],
            mr_signer: collateral::qe_signer(),
            reserved3: [0; 96],
            isv_prod_id: collateral::QE_PRODUCT,
            isv_svn: collateral::QE_SVN,
            reserved4: [0; 60],
            report_data,
        }
    }
}

/// What a pretended machine measures when it runs the app of this compose hash: registers that no
/// real image has, attributes and CPU state as on today's TDX machines.
pub fn development_measurement(compose_hash: ComposeHash) -> TdxMeasurement {
    let register = |label: &[u8]| Register(Sha384::digest(label).into());
    TdxMeasurement {
        mr_td: register(b"encompute development firmware"),
        rtmr0: register(b"encompute development hardware"),
        rtmr1: register(b"encompute development kernel"),
        rtmr2: register(b"encompute development command line"),
        mr_config_id: compose_hash.config_id_v1(),
        // SEPT_VE_DISABLE alone, which the verifier demands.
        td_attributes: [0, 0, 0, 0x10, 0, 0, 0, 0],
        xfam: [0xe7, 0x02, 0x06, 0, 0, 0, 0, 0],
    }
}
