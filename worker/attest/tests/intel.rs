//! Real quotes: they verify under Intel's root as of their day, and under no other.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{JUNE_2025, NOW, development_root, intel_sample, policy};
use encompute_attest::{
    AdvisoryId, Measurement, Permission, PlatformSetting, QuoteKind, Refusal, RootKind, TcbStatus, TrustRoot,
    UnixSeconds, authenticate, quote_identity, verify,
};
use std::collections::BTreeSet;

const OCTOBER_2026: UnixSeconds = UnixSeconds(1_792_108_800);

#[test]
fn a_real_tdx_quote_verifies_under_intels_root_as_of_its_day() {
    let (quote, collateral) = intel_sample("tdx_quote");
    let claims = authenticate(&quote, &collateral, &TrustRoot::intel(), JUNE_2025).unwrap();
    assert_eq!(claims.root.kind, RootKind::Intel);
    assert_eq!(claims.kind, QuoteKind::TdxV4);
    assert_eq!(claims.tcb_status, TcbStatus::UpToDate);
    assert_eq!(claims.fmspc.to_string(), "b0c06f000000");
    assert!(matches!(claims.measurement, Measurement::Tdx(_)));
    // A cloud's machine: what a production policy has to allow in so many words.
    assert_eq!(claims.settings, [PlatformSetting::DynamicPlatform, PlatformSetting::CachedKeys, PlatformSetting::Smt]);
    assert_eq!(
        claims.collateral_expires_at,
        UnixSeconds(1_752_919_235),
        "2025-07-19T10:00:35Z, the PCK revocation list"
    );
}

#[test]
fn a_real_tdx_quote_of_version_5_verifies_under_intels_root_as_of_its_day() {
    let (quote, collateral) = intel_sample("tdx_quote_td15ex");
    let claims = authenticate(&quote, &collateral, &TrustRoot::intel(), OCTOBER_2026).unwrap();
    assert_eq!(claims.kind, QuoteKind::TdxV5);
    assert_eq!(claims.tcb_status, TcbStatus::UpToDate);
}

#[test]
fn a_real_sgx_quote_verifies_with_its_advisories() {
    let (quote, collateral) = intel_sample("sgx_quote");
    let claims = authenticate(&quote, &collateral, &TrustRoot::intel(), JUNE_2025).unwrap();
    assert!(matches!(claims.measurement, Measurement::Sgx(_)));
    assert_eq!(claims.kind, QuoteKind::SgxV3);
    assert_eq!(claims.tcb_status, TcbStatus::ConfigurationAndSwHardeningNeeded);
    assert_eq!(claims.advisories, [AdvisoryId::new("INTEL-SA-00289"), AdvisoryId::new("INTEL-SA-00615")]);

    let mut policy = policy();
    policy.measurements.insert(claims.measurement.id());
    let allowed = vec![TcbStatus::UpToDate];
    let refusal = verify(&quote, &collateral, &TrustRoot::intel(), &policy, JUNE_2025).unwrap_err();
    assert_eq!(refusal, Refusal::TcbStatus { found: TcbStatus::ConfigurationAndSwHardeningNeeded, allowed });

    policy.tcb_statuses.insert(TcbStatus::ConfigurationAndSwHardeningNeeded);
    policy.min_tcb_evaluation = claims.tcb_evaluation;
    let verdict = verify(&quote, &collateral, &TrustRoot::intel(), &policy, JUNE_2025).unwrap();
    assert_eq!(verdict.claims, claims);

    policy.denied_advisories = BTreeSet::from([AdvisoryId::new("intel-sa-00615")]);
    let refusal = verify(&quote, &collateral, &TrustRoot::intel(), &policy, JUNE_2025).unwrap_err();
    assert_eq!(refusal, Refusal::Advisory(AdvisoryId::new("INTEL-SA-00615")));
}

#[test]
fn real_quotes_are_refused_under_a_development_root() {
    for (name, now) in [("tdx_quote", JUNE_2025), ("sgx_quote", JUNE_2025), ("tdx_quote_td15ex", OCTOBER_2026)] {
        let (quote, collateral) = intel_sample(name);
        assert!(authenticate(&quote, &collateral, &TrustRoot::intel(), now).is_ok());
        let refusal = authenticate(&quote, &collateral, &development_root(), now).unwrap_err();
        assert!(matches!(refusal, Refusal::Chain { root: RootKind::Development, .. }), "{name}: {refusal}");
    }
}

#[test]
fn a_real_quote_with_last_years_collateral_is_refused_as_expired() {
    let (quote, collateral) = intel_sample("tdx_quote");
    let refusal = authenticate(&quote, &collateral, &TrustRoot::intel(), NOW).unwrap_err();
    assert!(matches!(refusal, Refusal::CollateralExpired { .. }), "{refusal}");
}

#[test]
fn a_policy_for_intels_root_needs_no_word_about_development() {
    let (quote, collateral) = intel_sample("sgx_quote");
    let mut policy = policy();
    policy.development_root = Permission::Refused;
    // Refused for its measurement, not for its root.
    let refusal = verify(&quote, &collateral, &TrustRoot::intel(), &policy, JUNE_2025).unwrap_err();
    assert!(matches!(refusal, Refusal::Measurement { listed: 2, .. }), "{refusal}");
}

#[test]
fn a_real_tdx_quote_without_a_config_id_names_no_software() {
    let (quote, collateral) = intel_sample("tdx_quote");
    let claims = authenticate(&quote, &collateral, &TrustRoot::intel(), JUNE_2025).unwrap();
    let mut policy = policy();
    policy.measurements.insert(claims.measurement.id());
    policy.smt = Permission::Allowed;
    policy.dynamic_platform = Permission::Allowed;
    policy.cached_keys = Permission::Allowed;
    let refusal = verify(&quote, &collateral, &TrustRoot::intel(), &policy, JUNE_2025).unwrap_err();
    assert_eq!(refusal, Refusal::ZeroConfigId);
}

#[test]
fn the_padding_that_linux_adds_makes_no_second_identity() {
    let (quote, _) = intel_sample("tdx_quote");
    let unpadded = &quote[..quote.len() - 70];
    assert_eq!(quote_identity(unpadded), quote_identity(&quote));
    let mut altered = quote.clone();
    *altered.last_mut().unwrap() = 1;
    assert_eq!(quote_identity(&altered), Err(Refusal::QuoteTrailing { bytes: 70 }));
}

#[test]
fn our_intel_root_and_the_verifiers_own_are_one() {
    let (quote, collateral) = intel_sample("tdx_quote");
    let collateral = serde_json::from_slice(&collateral.to_json()).unwrap();
    let theirs = dcap_qvl::verify::QuoteVerifier::new_prod();
    let ours = dcap_qvl::verify::QuoteVerifier::new(TrustRoot::intel().der().to_vec());
    let policy = dcap_qvl::QuotePolicy::claims_only(JUNE_2025.0);
    let collateral: dcap_qvl::QuoteCollateralV3 = collateral;
    let theirs = theirs.verify_with_policy(&quote, &collateral, JUNE_2025.0, &policy).unwrap();
    let ours = ours.verify_with_policy(&quote, &collateral, JUNE_2025.0, &policy).unwrap();
    assert_eq!(theirs.platform.root_key_id, ours.platform.root_key_id);
    assert_eq!(theirs, ours);
}
