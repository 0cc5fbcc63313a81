//! Policies, machines and quotes for the tests.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use encompute_attest::pki::{
    CollateralTerms, DevelopmentPki, DevelopmentSeed, Platform, PlatformTraits, development_measurement,
};
use encompute_attest::{
    Collateral, ComposeHash, Permission, Policy, Register, ReportData, TcbEvaluationNumber, TcbStatus, TdxMeasurement,
    TrustRoot, UnixSeconds,
};
use std::collections::BTreeSet;

/// 2026-11-22T12:00:00Z.
pub const NOW: UnixSeconds = UnixSeconds(1_795_348_800);
/// 2025-06-28T00:00:00Z, when the real quotes of 2025 were current.
pub const JUNE_2025: UnixSeconds = UnixSeconds(1_751_068_800);

pub fn measurement() -> TdxMeasurement {
    development_measurement(ComposeHash([5; 32]))
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

/// Takes [`measurement`] on an up-to-date machine under any root.
pub fn policy() -> Policy {
    Policy {
        measurements: BTreeSet::from([measurement().id()]),
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
