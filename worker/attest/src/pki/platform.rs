//! A pretended machine: its certificate, its quoting enclave, and the quotes it issues.

use super::certificates::{self, Certified, PckSerial};
use super::draft::{QuoteDraft, TdxForm};
use super::keys::{DevelopmentSeed, Key};
use super::{DevelopmentPki, PkiError};
use crate::claims::ReportData;
use crate::measurement::{ComposeHash, Register, SgxMeasurement, TdxMeasurement};
use crate::platform::{Fmspc, PlatformSetting, Ppid};
use sha2::{Digest, Sha256, Sha384};

/// Which of the two intermediate authorities certifies a machine's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PckAuthority {
    /// Machines of several packages: their certificates say how they are set up.
    #[default]
    Platform,
    /// Machines of one package: their certificates know no such settings.
    Processor,
}

/// How a pretended machine is built and patched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformTraits {
    /// Which TCB info applies to it.
    pub fmspc: Fmspc,
    /// Who certifies its key.
    pub authority: PckAuthority,
    /// Security versions of microcode and firmware.
    pub cpu_svn: [u8; 16],
    /// Security version of the provisioning enclave.
    pub pce_svn: u16,
    /// Security versions of the TDX module (its own at 0, its major version at 1) when a domain was started.
    pub tee_tcb_svn: [u8; 16],
    /// The same now; differs after the module was updated under running domains. Reports of TDX 1.5 carry it.
    pub current_tee_tcb_svn: [u8; 16],
    /// Weakening settings that are on. Certificates of the processor authority cannot say so.
    pub settings: Vec<PlatformSetting>,
}

impl Default for PlatformTraits {
    /// Fully patched, with every weakening setting off.
    fn default() -> Self {
        const TEE_TCB_SVN: [u8; 16] = [5, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Self {
            fmspc: Fmspc(*b"\xEEdevel"),
            authority: PckAuthority::Platform,
            cpu_svn: [3; 16],
            pce_svn: 13,
            tee_tcb_svn: TEE_TCB_SVN,
            current_tee_tcb_svn: TEE_TCB_SVN,
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
    pub(super) pck: Certified,
    attestation_key: Key,
    qe_auth_data: [u8; 32],
    /// PCK leaf, PCK CA, root: as quotes carry them.
    pub(super) chain_pem: String,
}

impl Platform {
    pub(super) fn new(pki: &DevelopmentPki, name: &str, traits: PlatformTraits) -> Result<Self, PkiError> {
        let seed = &pki.seed;
        let authority = pki.authority(traits.authority);
        let (pck, serial) = certificates::pck(seed, name, &traits, authority)?;
        Ok(Self {
            ppid: Ppid(traits.ppid(seed, name).to_vec()),
            serial,
            attestation_key: Key::derive(seed, "attestation-key", name)?,
            qe_auth_data: seed.bytes("qe-auth-data", name),
            chain_pem: [pck.pem.as_str(), &authority.pem, &pki.root.pem].concat(),
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

    /// A TDX quote of version 4 over `measurement` and `report_data`: what dstack's machines give today.
    /// `rtmr3` holds the launch events, which no policy pins.
    pub fn quote(&self, measurement: &TdxMeasurement, rtmr3: Register, report_data: ReportData) -> Vec<u8> {
        self.tdx_quote(TdxForm::V4, measurement, rtmr3, report_data)
    }

    /// A TDX quote of any form.
    pub fn tdx_quote(
        &self,
        form: TdxForm,
        measurement: &TdxMeasurement,
        rtmr3: Register,
        report_data: ReportData,
    ) -> Vec<u8> {
        self.sign(&self.tdx_draft(form, measurement, rtmr3, report_data))
    }

    /// An SGX quote of version 3.
    pub fn sgx_quote(&self, measurement: &SgxMeasurement, report_data: ReportData) -> Vec<u8> {
        self.sign(&self.sgx_draft(measurement, report_data))
    }

    /// A TDX quote before it is signed.
    pub fn tdx_draft(
        &self,
        form: TdxForm,
        measurement: &TdxMeasurement,
        rtmr3: Register,
        report_data: ReportData,
    ) -> QuoteDraft {
        QuoteDraft::tdx(&self.traits, form, measurement, rtmr3, report_data).bound_to(self.binding())
    }

    /// An SGX quote before it is signed.
    pub fn sgx_draft(&self, measurement: &SgxMeasurement, report_data: ReportData) -> QuoteDraft {
        QuoteDraft::sgx(&self.traits, measurement, report_data).bound_to(self.binding())
    }

    /// Signs a draft with this machine's keys, whatever it says: the quoting enclave's report with the
    /// certified key, header and body with the attestation key.
    pub fn sign(&self, draft: &QuoteDraft) -> Vec<u8> {
        draft.signed(&self.attestation_key, &self.pck.key)
    }

    fn binding(&self) -> (&Key, [u8; 32], &str) {
        (&self.attestation_key, self.qe_auth_data, &self.chain_pem)
    }
}

/// What a pretended machine measures into RTMR0, RTMR1 and RTMR2, one thing each.
pub(crate) const MEASURED: [&[u8]; 3] =
    [b"encompute development hardware", b"encompute development kernel", b"encompute development command line"];

/// What a pretended machine measures when it runs the app of this compose hash: registers that no
/// real image has, attributes and CPU state as on today's TDX machines.
pub fn development_measurement(compose_hash: ComposeHash) -> TdxMeasurement {
    let digest = |label: &[u8]| Sha384::digest(label).into();
    let [rtmr0, rtmr1, rtmr2] = MEASURED.map(|label| Register([0; 48]).extended(&digest(label)));
    TdxMeasurement {
        mr_td: Register(digest(b"encompute development firmware")),
        rtmr0,
        rtmr1,
        rtmr2,
        mr_config_id: compose_hash.config_id_v1(),
        // SEPT_VE_DISABLE alone, which the verifier demands.
        td_attributes: [0, 0, 0, 0x10, 0, 0, 0, 0],
        xfam: [0xe7, 0x02, 0x06, 0, 0, 0, 0, 0],
    }
}

/// What a pretended enclave measures that its signer has given this security version.
pub fn development_enclave(isv_svn: u16) -> SgxMeasurement {
    let digest = |label: &[u8]| <[u8; 32]>::from(Sha256::digest(label));
    SgxMeasurement {
        mr_enclave: digest(b"encompute development enclave"),
        mr_signer: digest(b"encompute development enclave signer"),
        isv_prod_id: 1,
        isv_svn,
        // Initialized, 64-bit; x87 and SSE state.
        attributes: [0x05, 0, 0, 0, 0, 0, 0, 0, 0x03, 0, 0, 0, 0, 0, 0, 0],
    }
}
