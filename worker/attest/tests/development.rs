//! Development quotes: they go the whole way, and count only where both root and policy say so.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{NOW, collateral, measurement, pki, platform, policy, quote};
use encompute_attest::pki::{CollateralTerms, DevelopmentPki, DevelopmentSeed, PlatformTraits};
use encompute_attest::{
    AdvisoryId, Collateral, CollateralError, ComposeHash, Measurement, MrConfigId, Permission, PlatformSetting,
    QUOTE_LIMIT_BYTES, Refusal, ReportData, RootKind, TcbEvaluationNumber, TcbStatus, TrustRoot, UnixSeconds,
    authenticate, quote_identity, verify,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::LazyLock;

/// One honest quote with its collateral, for properties over what others make of it.
static HONEST: LazyLock<(DevelopmentPki, Vec<u8>, Collateral)> = LazyLock::new(|| {
    let pki = pki();
    let platform = platform(&pki);
    let (quote, collateral) = (quote(&platform, &measurement()), collateral(&pki, &platform));
    (pki, quote, collateral)
});

/// Judges a quote of the usual machine with terms that differ from the usual ones.
fn under(
    terms: impl FnOnce(&mut CollateralTerms),
    policy: &encompute_attest::Policy,
) -> Result<encompute_attest::Verdict, Refusal> {
    let pki = pki();
    let platform = platform(&pki);
    let mut altered = CollateralTerms::current(NOW);
    terms(&mut altered);
    let collateral = pki.collateral(platform.traits(), &altered).unwrap();
    verify(&quote(&platform, &measurement()), &collateral, pki.trust_root(), policy, NOW)
}

#[test]
fn a_development_quote_passes_under_its_root_and_says_that_it_is_one() {
    let pki = pki();
    let platform = platform(&pki);
    let quote = quote(&platform, &measurement());
    let verdict = verify(&quote, &collateral(&pki, &platform), pki.trust_root(), &policy(), NOW).unwrap();
    assert_eq!(verdict.claims.root.kind, RootKind::Development);
    assert_eq!(verdict.claims.root.fingerprint, pki.trust_root().fingerprint());
    assert_eq!(verdict.measurement_id, Measurement::Tdx(measurement()).id());
    assert_eq!(verdict.claims.report_data, ReportData([7; 64]));
    assert_eq!(&verdict.claims.ppid, platform.ppid());
    assert_eq!(verdict.claims.tcb_evaluation, CollateralTerms::EVALUATION);
    assert_eq!(verdict.claims.quote, quote_identity(&quote).unwrap());
    assert!(verdict.claims.root.to_string().starts_with("DEVELOPMENT"));
}

#[test]
fn a_development_quote_is_refused_under_intels_root() {
    let pki = pki();
    let platform = platform(&pki);
    let quote = quote(&platform, &measurement());
    let refusal = verify(&quote, &collateral(&pki, &platform), &TrustRoot::intel(), &policy(), NOW).unwrap_err();
    assert!(matches!(refusal, Refusal::Chain { root: RootKind::Intel, .. }), "{refusal}");
}

#[test]
fn a_development_quote_is_refused_under_the_root_of_another_seed() {
    let pki = pki();
    let platform = platform(&pki);
    let other = DevelopmentPki::from_seed(DevelopmentSeed::from_label("somebody else")).unwrap();
    let quote = quote(&platform, &measurement());
    let refusal = verify(&quote, &collateral(&pki, &platform), other.trust_root(), &policy(), NOW).unwrap_err();
    assert!(matches!(refusal, Refusal::Chain { root: RootKind::Development, .. }), "{refusal}");
}

#[test]
fn a_policy_without_the_word_refuses_the_development_root() {
    let mut policy = policy();
    policy.development_root = Permission::Refused;
    assert_eq!(under(|_| {}, &policy), Err(Refusal::DevelopmentRoot));
}

#[test]
fn every_process_derives_the_same_root_from_one_seed() {
    assert_eq!(pki().trust_root().der(), pki().trust_root().der());
    // Fixed for ever: network files and instantiated contracts name this fingerprint.
    let fingerprint = pki().trust_root().fingerprint().to_string();
    assert_eq!(fingerprint, "9b56388b494cde8567b020f4fc0d9490b1e735e7ced1eee5c1bade7cb774fa88");
}

#[test]
fn the_common_names_of_the_pki_say_development() {
    let der = pki().trust_root().der().to_vec();
    let text = String::from_utf8_lossy(&der);
    assert!(text.contains("DEVELOPMENT Root CA (worthless)") && text.contains("NOT INTEL"));
}

#[test]
fn two_machines_have_two_ppids_and_never_the_same_quote() {
    let pki = pki();
    let (first, second) = (platform(&pki), pki.platform("worker-2", PlatformTraits::default()).unwrap());
    assert_ne!(first.ppid(), second.ppid());
    let collateral = collateral(&pki, &first);
    let verdict = verify(&quote(&second, &measurement()), &collateral, pki.trust_root(), &policy(), NOW).unwrap();
    assert_eq!(&verdict.claims.ppid, second.ppid());
}

#[test]
fn a_flipped_bit_in_signed_collateral_is_refused() {
    let pki = pki();
    let platform = platform(&pki);
    let quote = quote(&platform, &measurement());
    let json = collateral(&pki, &platform).to_json();
    let honest: serde_json::Value = serde_json::from_slice(&json).unwrap();
    for field in ["tcb_info", "qe_identity"] {
        let mut altered = honest.clone();
        let text = altered[field].as_str().unwrap().replace("UpToDate", "OutOfDate");
        altered[field] = text.into();
        let altered = Collateral::from_json(altered.to_string().as_bytes()).unwrap();
        let refusal = authenticate(&quote, &altered, pki.trust_root(), NOW).unwrap_err();
        assert!(matches!(refusal, Refusal::Chain { .. }), "{field}: {refusal}");
    }
}

#[test]
fn trailing_bytes_make_no_second_identity() {
    let pki = pki();
    let platform = platform(&pki);
    let honest = quote(&platform, &measurement());
    let padded = [honest.as_slice(), &[0; 70]].concat();
    assert_eq!(quote_identity(&padded), quote_identity(&honest));
    let collateral = collateral(&pki, &platform);
    let of = |quote: &[u8]| authenticate(quote, &collateral, pki.trust_root(), NOW);
    assert_eq!(of(&padded), of(&honest));
    let extended = [honest.as_slice(), &[1]].concat();
    assert_eq!(of(&extended), Err(Refusal::QuoteTrailing { bytes: 1 }));
}

#[test]
fn bytes_that_are_no_quote_are_refused_before_they_are_read_far() {
    let pki = pki();
    let collateral = collateral(&pki, &platform(&pki));
    let of = |quote: &[u8]| authenticate(quote, &collateral, pki.trust_root(), NOW);
    assert_eq!(of(&[]), Err(Refusal::QuoteMalformed));
    assert_eq!(of(&[4; 700]), Err(Refusal::QuoteMalformed));
    let found_bytes = QUOTE_LIMIT_BYTES + 1;
    assert_eq!(of(&vec![4; found_bytes]), Err(Refusal::QuoteTooLong { found_bytes, limit_bytes: QUOTE_LIMIT_BYTES }));
    assert!(matches!(Collateral::from_json(b"{}"), Err(CollateralError::Malformed(_))));
    assert!(matches!(Collateral::from_json(&vec![b' '; 1 << 20]), Err(CollateralError::TooLong { .. })));
}

#[test]
fn unknown_software_is_refused_by_its_measurement() {
    let mut policy = policy();
    policy.measurements =
        [Measurement::Tdx(encompute_attest::pki::development_measurement(ComposeHash([6; 32]))).id()].into();
    let found = Measurement::Tdx(measurement()).id();
    assert_eq!(under(|_| {}, &policy), Err(Refusal::Measurement { found, listed: 1 }));
    policy.measurements.clear();
    assert_eq!(under(|_| {}, &policy), Err(Refusal::Measurement { found, listed: 0 }));
}

#[test]
fn a_machine_in_debug_mode_is_refused_even_when_its_measurement_is_listed() {
    let pki = pki();
    let platform = platform(&pki);
    let mut debug = measurement();
    debug.td_attributes[0] = 1;
    let mut policy = policy();
    policy.measurements.insert(Measurement::Tdx(debug).id());
    let refusal = verify(&quote(&platform, &debug), &collateral(&pki, &platform), pki.trust_root(), &policy, NOW);
    assert_eq!(refusal, Err(Refusal::Debug));
}

#[test]
fn a_zero_config_id_is_refused_even_when_its_measurement_is_listed() {
    let pki = pki();
    let platform = platform(&pki);
    let mut nameless = measurement();
    nameless.mr_config_id = MrConfigId([0; 48]);
    let mut policy = policy();
    policy.measurements.insert(Measurement::Tdx(nameless).id());
    let refusal = verify(&quote(&platform, &nameless), &collateral(&pki, &platform), pki.trust_root(), &policy, NOW);
    assert_eq!(refusal, Err(Refusal::ZeroConfigId));
}

#[test]
fn expired_and_future_collateral_are_refused_as_such() {
    let pki = pki();
    let platform = platform(&pki);
    let quote = quote(&platform, &measurement());
    let collateral = collateral(&pki, &platform);
    let month = 30 * 24 * 60 * 60;
    for now in [UnixSeconds(NOW.0 + month), UnixSeconds(NOW.0 - month)] {
        let refusal = verify(&quote, &collateral, pki.trust_root(), &policy(), now).unwrap_err();
        assert!(matches!(refusal, Refusal::CollateralExpired { .. }), "{refusal}");
    }
}

#[test]
fn a_revoked_machine_is_refused() {
    let pki = pki();
    let serial = platform(&pki).serial();
    assert_eq!(under(|terms| terms.revoked = vec![serial], &policy()), Err(Refusal::Revoked));
}

#[test]
fn an_out_of_date_machine_needs_the_policys_word() {
    let allowed = vec![TcbStatus::UpToDate];
    let refusal = under(|terms| terms.status = TcbStatus::SwHardeningNeeded, &policy());
    assert_eq!(refusal, Err(Refusal::TcbStatus { found: TcbStatus::SwHardeningNeeded, allowed }));
    let mut lenient = policy();
    lenient.tcb_statuses.insert(TcbStatus::OutOfDate);
    let verdict = under(|terms| terms.status = TcbStatus::OutOfDate, &lenient).unwrap();
    assert_eq!(verdict.claims.tcb_status, TcbStatus::OutOfDate);
}

#[test]
fn a_machine_below_the_listed_level_is_out_of_date() {
    let pki = pki();
    let old = PlatformTraits { cpu_svn: [2; 16], ..PlatformTraits::default() };
    let platform = pki.platform("old", old).unwrap();
    let collateral = pki.collateral(&PlatformTraits::default(), &CollateralTerms::current(NOW)).unwrap();
    let claims = authenticate(&quote(&platform, &measurement()), &collateral, pki.trust_root(), NOW).unwrap();
    assert_eq!(claims.tcb_status, TcbStatus::OutOfDate);
}

#[test]
fn a_denied_advisory_is_refused() {
    let advisory = AdvisoryId::new("INTEL-SA-00999");
    let mut policy = policy();
    let with_advisory = |terms: &mut CollateralTerms| terms.advisories = vec![AdvisoryId::new("INTEL-SA-00999")];
    assert_eq!(under(with_advisory, &policy).unwrap().claims.advisories, std::slice::from_ref(&advisory));
    policy.denied_advisories.insert(advisory.clone());
    assert_eq!(under(with_advisory, &policy), Err(Refusal::Advisory(advisory)));
}

#[test]
fn an_old_judgement_is_refused_after_a_recovery() {
    let mut policy = policy();
    policy.min_tcb_evaluation = TcbEvaluationNumber(20);
    let found = CollateralTerms::EVALUATION;
    assert_eq!(under(|_| {}, &policy), Err(Refusal::TcbEvaluation { found, minimum: TcbEvaluationNumber(20) }));
    let judged_again = |terms: &mut CollateralTerms| {
        (terms.evaluation, terms.enclave_evaluation) = (TcbEvaluationNumber(20), TcbEvaluationNumber(20));
    };
    assert!(under(judged_again, &policy).is_ok());
}

#[test]
fn each_weakening_setting_needs_its_own_word() {
    let pki = pki();
    for setting in [PlatformSetting::DynamicPlatform, PlatformSetting::CachedKeys, PlatformSetting::Smt] {
        let traits = PlatformTraits { settings: vec![setting], ..PlatformTraits::default() };
        let platform = pki.platform("cloud", traits).unwrap();
        let quote = quote(&platform, &measurement());
        let collateral = collateral(&pki, &platform);
        let mut policy = policy();
        let judge = |policy: &encompute_attest::Policy| verify(&quote, &collateral, pki.trust_root(), policy, NOW);
        assert_eq!(judge(&policy), Err(Refusal::Setting(setting)));
        match setting {
            PlatformSetting::DynamicPlatform => policy.dynamic_platform = Permission::Allowed,
            PlatformSetting::CachedKeys => policy.cached_keys = Permission::Allowed,
            PlatformSetting::Smt => policy.smt = Permission::Allowed,
        }
        assert!(judge(&policy).is_ok(), "{setting}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_quote_with_bytes_of_strangers_in_it_never_panics(at in 0usize..5000, bytes in vec(any::<u8>(), 1..64), cut in 0usize..5000) {
        let (pki, honest, collateral) = &*HONEST;
        let mut altered = honest.clone();
        let at = at % altered.len();
        let end = altered.len().min(at + bytes.len());
        altered[at..end].copy_from_slice(&bytes[..end - at]);
        altered.truncate(altered.len() - cut % 64);
        if let Ok(claims) = authenticate(&altered, collateral, pki.trust_root(), NOW) {
            // Outside the signed part there are bytes that no signature covers; they change nothing.
            prop_assert_eq!(Ok(claims.quote), quote_identity(honest));
        }
    }

    #[test]
    fn bytes_that_are_no_quote_never_panic(bytes in vec(any::<u8>(), 0..2000), version in 3u8..6) {
        let (pki, honest, collateral) = &*HONEST;
        prop_assert!(authenticate(&bytes, collateral, pki.trust_root(), NOW).is_err());
        let mut headed = [&honest[..48], &bytes].concat();
        headed[0] = version;
        prop_assert!(authenticate(&headed, collateral, pki.trust_root(), NOW).is_err());
    }
}
