//! Every form of quote that there is, at every patch level that collateral can name.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Form, NOW, pki, platform, policy};
use encompute_attest::pki::{
    Authority, CollateralTerms, LevelStatus, ModuleTerms, PckAuthority, PlatformTraits, SvnLevel, TcbLevelTerms,
    TdxForm,
};
use encompute_attest::{
    AdvisoryId, Claims, PlatformSetting, QuoteKind, Refusal, RootKind, TcbEvaluationNumber, TcbStatus, TrustRoot,
    authenticate, quote_identity, verify,
};
use std::collections::BTreeSet;

const TD15: Form = Form::Tdx(TdxForm::V5Td15);

/// What a machine with these traits claims under collateral for `listed` machines.
fn claimed(
    form: Form,
    machine: PlatformTraits,
    listed: &PlatformTraits,
    terms: &CollateralTerms,
) -> Result<Claims, Refusal> {
    let pki = pki();
    let quote = form.quote(&pki.platform("worker-1", machine).unwrap());
    let collateral = pki.collateral_for(form.tee(), listed, terms).unwrap();
    authenticate(&quote, &collateral, pki.trust_root(), NOW)
}

fn terms() -> CollateralTerms {
    CollateralTerms::current(NOW)
}

fn svn_level(isv_svn: u16, status: LevelStatus, advisory: &str) -> SvnLevel {
    SvnLevel { isv_svn, status, advisories: vec![AdvisoryId::new(advisory)] }
}

const OUT_OF_DATE: LevelStatus = LevelStatus::Known(TcbStatus::OutOfDate);

#[test]
fn every_form_passes_under_its_root_and_says_what_it_is() {
    let pki = pki();
    let platform = platform(&pki);
    for form in Form::ALL {
        let quote = form.quote(&platform);
        let collateral = form.collateral(&pki, &platform, &terms());
        let verdict = verify(&quote, &collateral, pki.trust_root(), &policy(), NOW).unwrap();
        assert_eq!(verdict.claims.kind, form.kind());
        assert_eq!(verdict.claims.measurement, form.measurement());
        assert_eq!(verdict.claims.tcb_status, TcbStatus::UpToDate);
        assert_eq!(verdict.claims.root.kind, RootKind::Development);
        assert_eq!(&verdict.claims.ppid, platform.ppid());
        let under_intel = authenticate(&quote, &collateral, &TrustRoot::intel(), NOW);
        assert!(matches!(under_intel, Err(Refusal::Chain { root: RootKind::Intel, .. })), "{form:?}: {under_intel:?}");
    }
}

#[test]
fn a_kind_of_quote_needs_the_policys_word() {
    let pki = pki();
    let platform = platform(&pki);
    for form in Form::ALL {
        let mut policy = policy();
        policy.kinds.remove(&form.kind());
        let allowed: Vec<_> = policy.kinds.iter().copied().collect();
        let collateral = form.collateral(&pki, &platform, &terms());
        let refused = verify(&form.quote(&platform), &collateral, pki.trust_root(), &policy, NOW);
        assert_eq!(refused, Err(Refusal::Kind { found: form.kind(), allowed }));
    }
    assert_eq!(Form::ALL.map(Form::kind).into_iter().collect::<BTreeSet<_>>(), QuoteKind::ALL.into());
}

#[test]
fn quotes_of_all_forms_over_the_same_words_have_different_identities() {
    let platform = platform(&pki());
    let identities: Vec<_> = Form::ALL.iter().map(|form| quote_identity(&form.quote(&platform)).unwrap()).collect();
    for (index, identity) in identities.iter().enumerate() {
        assert!(!identities[..index].contains(identity));
    }
}

#[test]
fn a_machine_has_the_verdict_of_the_highest_level_that_it_reaches() {
    let listed = PlatformTraits::default();
    let level = |svn, pce_svn, status| TcbLevelTerms { cpu_svn: [svn; 16], pce_svn, ..TcbLevelTerms::any(status) };
    let hardening = LevelStatus::Known(TcbStatus::SwHardeningNeeded);
    let configuration = LevelStatus::Known(TcbStatus::ConfigurationNeeded);
    // Written lowest first: the order of the document does not matter.
    let lower_levels = vec![
        level(0, 0, OUT_OF_DATE),
        level(1, 11, configuration),
        level(2, 12, hardening),
        level(3, 12, configuration),
    ];
    let terms = CollateralTerms { lower_levels, ..terms() };
    for form in Form::ALL {
        for (svn, pce_svn, expected) in [
            (3, 13, TcbStatus::UpToDate),
            (3, 12, TcbStatus::ConfigurationNeeded),
            (2, 13, TcbStatus::SwHardeningNeeded),
            (2, 11, TcbStatus::ConfigurationNeeded),
            (1, 10, TcbStatus::OutOfDate),
        ] {
            let machine = PlatformTraits { cpu_svn: [svn; 16], pce_svn, ..listed.clone() };
            let claims = claimed(form, machine, &listed, &terms).unwrap();
            assert_eq!(claims.tcb_status, expected, "{form:?} at {svn}, {pce_svn}");
        }
    }
}

#[test]
fn one_component_below_a_level_is_below_the_level() {
    let listed = PlatformTraits::default();
    for form in Form::ALL {
        for component in 0..16 {
            let mut machine = listed.clone();
            machine.cpu_svn[component] -= 1;
            assert_eq!(claimed(form, machine, &listed, &terms()).unwrap().tcb_status, TcbStatus::OutOfDate);
        }
    }
}

#[test]
fn a_machine_below_every_level_has_no_verdict() {
    let listed = PlatformTraits::default();
    let terms = CollateralTerms { lower_levels: Vec::new(), ..terms() };
    for form in Form::ALL {
        let machine = PlatformTraits { pce_svn: 12, ..listed.clone() };
        assert!(matches!(claimed(form, machine, &listed, &terms), Err(Refusal::Chain { .. })), "{form:?}");
    }
}

#[test]
fn a_level_whose_keys_are_compromised_is_refused() {
    let listed = PlatformTraits::default();
    let terms = CollateralTerms { lower_levels: vec![TcbLevelTerms::any(LevelStatus::Revoked)], ..terms() };
    for form in Form::ALL {
        let machine = PlatformTraits { pce_svn: 12, ..listed.clone() };
        assert_eq!(claimed(form, machine, &listed, &terms), Err(Refusal::Revoked), "{form:?}");
    }
}

#[test]
fn an_old_module_makes_a_domain_out_of_date_and_an_enclave_not() {
    let listed = PlatformTraits::default();
    let levels = vec![SvnLevel::up_to_date(6), svn_level(4, OUT_OF_DATE, "INTEL-SA-01192")];
    let terms = CollateralTerms { modules: Some(vec![ModuleTerms { version: 1, levels }]), ..terms() };
    for form in Form::ALL {
        let claims = claimed(form, listed.clone(), &listed, &terms).unwrap();
        let (status, advisories) = match form {
            Form::Sgx => (TcbStatus::UpToDate, vec![]),
            Form::Tdx(_) => (TcbStatus::OutOfDate, vec![AdvisoryId::new("INTEL-SA-01192")]),
        };
        assert_eq!((claims.tcb_status, claims.advisories), (status, advisories), "{form:?}");
    }
}

#[test]
fn a_module_that_nobody_knows_is_refused() {
    let listed = PlatformTraits::default();
    let modules = Some(vec![ModuleTerms { version: 3, levels: vec![SvnLevel::up_to_date(0)] }]);
    let terms = CollateralTerms { modules, ..terms() };
    for form in [Form::Tdx(TdxForm::V4), Form::Tdx(TdxForm::V5), TD15] {
        let refused = claimed(form, listed.clone(), &listed, &terms).unwrap_err();
        assert!(matches!(&refused, Refusal::Chain { detail, .. } if detail.contains("TDX_01")), "{refused}");
    }
}

#[test]
fn a_module_below_every_level_is_refused() {
    let listed = PlatformTraits::default();
    let modules = Some(vec![ModuleTerms { version: 1, levels: vec![SvnLevel::up_to_date(6)] }]);
    let refused = claimed(TD15, listed.clone(), &listed, &CollateralTerms { modules, ..terms() }).unwrap_err();
    assert!(matches!(&refused, Refusal::Chain { detail, .. } if detail.contains("ISVSVN 5")), "{refused}");
}

/// A domain that was started on an old module, on a machine whose module has been updated since.
fn updated_under_the_domain() -> (PlatformTraits, CollateralTerms) {
    let mut traits = PlatformTraits::default();
    traits.current_tee_tcb_svn[0] = 7;
    let levels = vec![SvnLevel::up_to_date(7), svn_level(0, OUT_OF_DATE, "INTEL-SA-01192")];
    (traits, CollateralTerms { modules: Some(vec![ModuleTerms { version: 1, levels }]), ..terms() })
}

#[test]
fn a_domain_that_outlived_its_module_should_be_started_again() {
    let (traits, mut terms) = updated_under_the_domain();
    let claims = claimed(TD15, traits.clone(), &traits, &terms).unwrap();
    assert_eq!(claims.tcb_status, TcbStatus::TdRelaunchAdvised);
    terms.status = TcbStatus::ConfigurationNeeded;
    let claims = claimed(TD15, traits.clone(), &traits, &terms).unwrap();
    assert_eq!(claims.tcb_status, TcbStatus::TdRelaunchAdvisedConfigurationNeeded);
    // A body of TDX 1.0 does not say what the module is now.
    terms.status = TcbStatus::UpToDate;
    let claims = claimed(Form::Tdx(TdxForm::V5), traits.clone(), &traits, &terms).unwrap();
    assert_eq!(claims.tcb_status, TcbStatus::OutOfDate);
}

#[test]
fn advisories_of_the_current_module_count_too() {
    let mut traits = PlatformTraits::default();
    traits.current_tee_tcb_svn[0] = 4;
    let levels = vec![SvnLevel::up_to_date(5), svn_level(0, OUT_OF_DATE, "INTEL-SA-01192")];
    let terms = CollateralTerms { modules: Some(vec![ModuleTerms { version: 1, levels }]), ..terms() };
    let claims = claimed(TD15, traits.clone(), &traits, &terms).unwrap();
    assert_eq!(claims.advisories, [AdvisoryId::new("INTEL-SA-01192")]);
}

#[test]
fn an_old_quoting_enclave_makes_every_form_out_of_date() {
    let listed = PlatformTraits::default();
    let enclave_levels = vec![SvnLevel::up_to_date(5), svn_level(3, OUT_OF_DATE, "INTEL-SA-00615")];
    let old = CollateralTerms { enclave_levels, ..terms() };
    let revoked = CollateralTerms {
        enclave_levels: vec![SvnLevel::up_to_date(5), svn_level(3, LevelStatus::Revoked, "INTEL-SA-00615")],
        ..terms()
    };
    let unknown = CollateralTerms { enclave_levels: vec![SvnLevel::up_to_date(5)], ..terms() };
    for form in Form::ALL {
        let claims = claimed(form, listed.clone(), &listed, &old).unwrap();
        assert_eq!(claims.tcb_status, TcbStatus::OutOfDate);
        assert_eq!(claims.advisories, [AdvisoryId::new("INTEL-SA-00615")]);
        assert_eq!(claimed(form, listed.clone(), &listed, &revoked), Err(Refusal::Revoked));
        assert!(matches!(claimed(form, listed.clone(), &listed, &unknown), Err(Refusal::Chain { .. })));
    }
}

#[test]
fn the_older_of_two_judgements_counts() {
    let listed = PlatformTraits::default();
    for form in Form::ALL {
        for (evaluation, enclave_evaluation) in [(20, 18), (18, 20)] {
            let terms = CollateralTerms {
                evaluation: TcbEvaluationNumber(evaluation),
                enclave_evaluation: TcbEvaluationNumber(enclave_evaluation),
                ..terms()
            };
            let claims = claimed(form, listed.clone(), &listed, &terms).unwrap();
            assert_eq!(claims.tcb_evaluation, TcbEvaluationNumber(18));
        }
    }
}

#[test]
fn a_revoked_authority_takes_its_machines_and_documents_with_it() {
    let listed = PlatformTraits::default();
    for form in Form::ALL {
        for (authority, refused) in
            [(Authority::Platform, true), (Authority::TcbSigner, true), (Authority::Processor, false)]
        {
            let terms = CollateralTerms { revoked_authorities: vec![authority], ..terms() };
            let found = claimed(form, listed.clone(), &listed, &terms);
            assert_eq!(found == Err(Refusal::Revoked), refused, "{form:?}, {authority:?}");
        }
    }
}

#[test]
fn a_revoked_machine_is_refused_whatever_it_quotes() {
    let pki = pki();
    let platform = platform(&pki);
    let terms = CollateralTerms { revoked: vec![platform.serial()], ..terms() };
    for form in Form::ALL {
        let collateral = form.collateral(&pki, &platform, &terms);
        assert_eq!(authenticate(&form.quote(&platform), &collateral, pki.trust_root(), NOW), Err(Refusal::Revoked));
    }
}

#[test]
fn machines_of_one_package_have_no_settings_to_declare() {
    let settings = vec![PlatformSetting::DynamicPlatform, PlatformSetting::CachedKeys, PlatformSetting::Smt];
    for form in Form::ALL {
        for (authority, expected) in [(PckAuthority::Platform, settings.clone()), (PckAuthority::Processor, Vec::new())]
        {
            let traits = PlatformTraits { authority, settings: settings.clone(), ..PlatformTraits::default() };
            let claims = claimed(form, traits.clone(), &traits, &terms()).unwrap();
            assert_eq!(claims.settings, expected, "{form:?}, {authority:?}");
        }
    }
}

#[test]
fn a_revocation_list_of_the_other_authority_says_nothing_about_a_machine() {
    let processor = PlatformTraits { authority: PckAuthority::Processor, ..PlatformTraits::default() };
    for form in Form::ALL {
        let refused = claimed(form, processor.clone(), &PlatformTraits::default(), &terms()).unwrap_err();
        assert!(matches!(refused, Refusal::Chain { .. }), "{refused}");
    }
}
