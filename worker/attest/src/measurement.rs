//! What code runs: the registers of a quote that a policy pins, and their one digest.

use codec::{Decode, Encode, MaxEncodedLen};
use core::fmt;
use dcap_qvl::quote::{EnclaveReport, Report, TDReport10};
use encompute_protocol::{MeasurementId, digest::keccak_256};

/// Separates measurement ids from every other Keccak-256 digest of the protocol.
const TAG: &[u8] = b"encompute/measurement/v1";

/// SHA-384 of something measured at start: a firmware, a kernel, a command line.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Encode, Decode, MaxEncodedLen)]
pub struct Register(pub [u8; 48]);

/// SHA-256 of a dstack app's `app-compose.json`: the name of the software inside.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Encode, Decode, MaxEncodedLen)]
pub struct ComposeHash(pub [u8; 32]);

/// `MR_CONFIG_ID`: the launch configuration that the machine was started for. dstack writes
/// `01 ‖ compose hash ‖ zeros` (V1) or `02 ‖ hash over compose hash, app id and key provider ‖ zeros` (V2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Encode, Decode, MaxEncodedLen)]
pub struct MrConfigId(pub [u8; 48]);

/// The measured registers of a TDX quote that do not change from one start to the next.
/// RTMR3 is left out: dstack extends it with the instance id, so no list could hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, MaxEncodedLen)]
pub struct TdxMeasurement {
    /// Virtual firmware.
    pub mr_td: Register,
    /// Virtual hardware; differs with the number of CPUs and the memory size.
    pub rtmr0: Register,
    /// Kernel.
    pub rtmr1: Register,
    /// Command line (with the root filesystem's hash) and initrd.
    pub rtmr2: Register,
    /// Launch configuration: names the software.
    pub mr_config_id: MrConfigId,
    /// Debug, migration and feature bits, little endian.
    pub td_attributes: [u8; 8],
    /// CPU state that the domain may use, little endian.
    pub xfam: [u8; 8],
}

/// The identity of an SGX enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, MaxEncodedLen)]
pub struct SgxMeasurement {
    /// SHA-256 of the enclave's pages.
    pub mr_enclave: [u8; 32],
    /// SHA-256 of its signer's key.
    pub mr_signer: [u8; 32],
    /// Product number given by the signer.
    pub isv_prod_id: u16,
    /// Security version given by the signer.
    pub isv_svn: u16,
    /// Attributes, with the debug bit.
    pub attributes: [u8; 16],
}

/// What a policy allows or refuses: code, with the platform settings that could undermine it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, MaxEncodedLen)]
pub enum Measurement {
    /// A TDX domain.
    #[codec(index = 0)]
    Tdx(TdxMeasurement),
    /// An SGX enclave.
    #[codec(index = 1)]
    Sgx(SgxMeasurement),
}

impl Register {
    /// What it becomes when something of this digest is measured into it.
    pub fn extended(&self, digest: &[u8; 48]) -> Self {
        use sha2::{Digest, Sha384};
        Self(Sha384::new().chain_update(self.0).chain_update(digest).finalize().into())
    }
}

impl ComposeHash {
    /// The hash of an `app-compose.json` as deployed, byte for byte.
    pub fn of_file(app_compose: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        Self(Sha256::digest(app_compose).into())
    }

    /// The `MR_CONFIG_ID` that dstack writes for this app in its first format.
    pub fn config_id_v1(self) -> MrConfigId {
        let mut bytes = [0; 48];
        bytes[0] = 1;
        bytes[1..33].copy_from_slice(&self.0);
        MrConfigId(bytes)
    }
}

impl MrConfigId {
    /// True when nothing was configured: dstack accepts that for old images, policies here never do.
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 48]
    }

    /// The compose hash, when the first format is used.
    pub fn compose_hash(&self) -> Option<ComposeHash> {
        let [1, rest @ ..] = self.0 else { return None };
        let (hash, padding) = rest.split_first_chunk::<32>()?;
        padding.iter().all(|byte| *byte == 0).then_some(ComposeHash(*hash))
    }
}

impl Measurement {
    /// Keccak-256 over the tag and the SCALE bytes: what allow-lists hold.
    pub fn id(&self) -> MeasurementId {
        MeasurementId(keccak_256(&[TAG, &self.encode()]))
    }

    /// True when an operator could read or change the running code: TDX bits 0..=7 ("under debug"),
    /// SGX attribute bit 1.
    pub fn is_debug(&self) -> bool {
        match self {
            Self::Tdx(tdx) => tdx.td_attributes[0] != 0,
            Self::Sgx(sgx) => sgx.attributes[0] & 0b10 != 0,
        }
    }

    /// True when the quote names no software: a TDX quote with a zero `MR_CONFIG_ID`.
    pub fn names_no_software(&self) -> bool {
        matches!(self, Self::Tdx(tdx) if tdx.mr_config_id.is_zero())
    }

    pub(crate) fn of_report(report: &Report) -> Option<Self> {
        match (report.as_td10(), report.as_sgx()) {
            (Some(tdx), _) => Some(Self::Tdx(TdxMeasurement::of_report(tdx))),
            (None, Some(sgx)) => Some(Self::Sgx(SgxMeasurement::of_report(sgx))),
            (None, None) => None,
        }
    }
}

impl TdxMeasurement {
    /// The id under which allow-lists hold it.
    pub fn id(&self) -> MeasurementId {
        Measurement::Tdx(*self).id()
    }

    fn of_report(report: &TDReport10) -> Self {
        Self {
            mr_td: Register(report.mr_td),
            rtmr0: Register(report.rt_mr0),
            rtmr1: Register(report.rt_mr1),
            rtmr2: Register(report.rt_mr2),
            mr_config_id: MrConfigId(report.mr_config_id),
            td_attributes: report.td_attributes,
            xfam: report.xfam,
        }
    }
}

impl SgxMeasurement {
    fn of_report(report: &EnclaveReport) -> Self {
        Self {
            mr_enclave: report.mr_enclave,
            mr_signer: report.mr_signer,
            isv_prod_id: report.isv_prod_id,
            isv_svn: report.isv_svn,
            attributes: report.attributes,
        }
    }
}

macro_rules! shown_as_hex {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}

shown_as_hex!(Register, ComposeHash, MrConfigId);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn measurement() -> TdxMeasurement {
        TdxMeasurement {
            mr_td: Register([1; 48]),
            rtmr0: Register([2; 48]),
            rtmr1: Register([3; 48]),
            rtmr2: Register([4; 48]),
            mr_config_id: ComposeHash([5; 32]).config_id_v1(),
            td_attributes: [0, 0, 0, 0x10, 0, 0, 0, 0],
            xfam: [0xe7, 2, 6, 0, 0, 0, 0, 0],
        }
    }

    #[test]
    fn the_id_of_a_measurement_is_fixed_for_ever() {
        // On-chain allow-lists hold these ids: a change here orphans every listed measurement.
        let id = Measurement::Tdx(measurement()).id().to_string();
        assert_eq!(id, "0x6e661776391f073ec637e60496b01443a3b0e1a6990aea43f836c886b1b2ee65");
    }

    #[test]
    fn every_pinned_register_moves_the_id() {
        let honest = Measurement::Tdx(measurement()).id();
        let bytes = Measurement::Tdx(measurement()).encode();
        for at in 1..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            let altered = Measurement::decode(&mut altered.as_slice()).unwrap();
            assert_ne!(altered.id(), honest, "byte {at} is not pinned");
        }
    }

    #[test]
    fn the_config_id_gives_back_the_compose_hash() {
        let id = ComposeHash([9; 32]).config_id_v1();
        assert_eq!(id.compose_hash(), Some(ComposeHash([9; 32])));
        assert!(!id.is_zero());
        assert_eq!(MrConfigId([0; 48]).compose_hash(), None);
        let mut padded = id;
        padded.0[47] = 1;
        assert_eq!(padded.compose_hash(), None, "the first format ends in zeros");
    }

    #[test]
    fn debug_bits_are_seen_in_both_kinds() {
        let mut tdx = measurement();
        assert!(!Measurement::Tdx(tdx).is_debug());
        tdx.td_attributes[0] = 1;
        assert!(Measurement::Tdx(tdx).is_debug());
        let mut sgx =
            SgxMeasurement { mr_enclave: [1; 32], mr_signer: [2; 32], isv_prod_id: 1, isv_svn: 1, attributes: [0; 16] };
        sgx.attributes[0] = 0b100;
        assert!(!Measurement::Sgx(sgx).is_debug());
        sgx.attributes[0] = 0b110;
        assert!(Measurement::Sgx(sgx).is_debug());
    }
}
