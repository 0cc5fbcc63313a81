//! Policies, machines and quotes for the tests.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use encompute_attest::pki::{
    CollateralTerms, DevelopmentPki, DevelopmentSeed, Platform, PlatformTraits, QuoteDraft, TdxForm,
    development_enclave, development_measurement,
};
use encompute_attest::{
    Collateral, ComposeHash, Measurement, Permission, Policy, QuoteKind, Register, ReportData, SgxMeasurement,
    TcbEvaluationNumber, TcbStatus, TdxMeasurement, TrustRoot, UnixSeconds,
};
use encompute_protocol::statement::TeeKind;
use std::collections::BTreeSet;

/// 2026-11-22T12:00:00Z.
pub const NOW: UnixSeconds = UnixSeconds(1_795_348_800);
/// 2025-06-28T00:00:00Z, when the real quotes of 2025 were current.
pub const JUNE_2025: UnixSeconds = UnixSeconds(1_751_068_800);

pub fn measurement() -> TdxMeasurement {
    development_measurement(ComposeHash([5; 32]))
}

pub fn enclave() -> SgxMeasurement {
    development_enclave(2)
}

/// Every form of quote that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Sgx,
    Tdx(TdxForm),
}

impl Form {
    pub const ALL: [Self; 5] = [
        Self::Sgx,
        Self::Tdx(TdxForm::V4),
        Self::Tdx(TdxForm::V5),
        Self::Tdx(TdxForm::V5Td15),
        Self::Tdx(TdxForm::V5Td15Ex),
    ];

    pub fn tee(self) -> TeeKind {
        match self {
            Self::Sgx => TeeKind::Sgx,
            Self::Tdx(_) => TeeKind::Tdx,
        }
    }

    pub fn kind(self) -> QuoteKind {
        match self {
            Self::Sgx => QuoteKind::SgxV3,
            Self::Tdx(TdxForm::V4) => QuoteKind::TdxV4,
            Self::Tdx(_) => QuoteKind::TdxV5,
        }
    }

    /// Bytes of header and body, the part under the quote's signature.
    pub fn signed_bytes(self) -> usize {
        48 + match self {
            Self::Sgx => 384,
            Self::Tdx(TdxForm::V4) => 584,
            Self::Tdx(TdxForm::V5) => 6 + 584,
            Self::Tdx(TdxForm::V5Td15) => 6 + 648,
            Self::Tdx(TdxForm::V5Td15Ex) => 6 + 885,
        }
    }

    pub fn measurement(self) -> Measurement {
        match self {
            Self::Sgx => Measurement::Sgx(enclave()),
            Self::Tdx(_) => Measurement::Tdx(measurement()),
        }
    }

    pub fn draft(self, platform: &Platform) -> QuoteDraft {
        match self {
            Self::Sgx => platform.sgx_draft(&enclave(), ReportData([7; 64])),
            Self::Tdx(form) => platform.tdx_draft(form, &measurement(), Register([9; 48]), ReportData([7; 64])),
        }
    }

    pub fn quote(self, platform: &Platform) -> Vec<u8> {
        platform.sign(&self.draft(platform))
    }

    pub fn collateral(self, pki: &DevelopmentPki, platform: &Platform, terms: &CollateralTerms) -> Collateral {
        pki.collateral_for(self.tee(), platform.traits(), terms).unwrap()
    }
}

pub fn pki() -> DevelopmentPki {
    DevelopmentPki::from_seed(DevelopmentSeed::from_label("tests")).unwrap()
}

pub fn platform(pki: &DevelopmentPki) -> Platform {
    pki.platform("worker-1", PlatformTraits::default()).unwrap()
}

pub fn quote(platform: &Platform, measurement: &TdxMeasurement) -> Vec<u8> {
    platform.quote(measurement, Register([9; 48]), ReportData([7; 64]))
}

pub fn collateral(pki: &DevelopmentPki, platform: &Platform) -> Collateral {
    pki.collateral(platform.traits(), &CollateralTerms::current(NOW)).unwrap()
}

/// Takes [`measurement`] and [`enclave`] on an up-to-date machine under any root.
pub fn policy() -> Policy {
    Policy {
        kinds: QuoteKind::ALL.into(),
        measurements: BTreeSet::from([measurement().id(), Measurement::Sgx(enclave()).id()]),
        tcb_statuses: BTreeSet::from([TcbStatus::UpToDate]),
        denied_advisories: BTreeSet::new(),
        min_tcb_evaluation: TcbEvaluationNumber(17),
        dynamic_platform: Permission::Refused,
        cached_keys: Permission::Refused,
        smt: Permission::Refused,
        development_root: Permission::Allowed,
    }
}

pub fn intel_sample(name: &str) -> (Vec<u8>, Collateral) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/intel/");
    let quote = std::fs::read(format!("{folder}{name}")).unwrap();
    let collateral = std::fs::read(format!("{folder}{name}_collateral.json")).unwrap();
    (quote, Collateral::from_json(&collateral).unwrap())
}

pub fn development_root() -> TrustRoot {
    pki().trust_root().clone()
}
