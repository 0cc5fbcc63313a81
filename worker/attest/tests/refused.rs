//! What is refused, and in which words.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
mod defects;

use common::{Form, NOW, pki, platform};
use defects::{Scene, cases};
use encompute_attest::pki::{CollateralTerms, TdxForm};
use encompute_attest::{authenticate, quote_identity, verify};
use std::collections::BTreeSet;

#[test]
fn every_defect_is_refused_for_what_it_is() {
    let (mut tried, mut wrong) = (0, Vec::new());
    for case in cases() {
        for form in case.on {
            let scene = Scene::with(*form, case.alter);
            let judged = verify(&scene.quote, &scene.collateral, &scene.root, &scene.policy, scene.now);
            let found = judged.map_or_else(|refusal| refusal.to_string(), |_| "passed".to_owned());
            if found == "passed" || !found.contains(case.expected) {
                wrong.push(format!("{form:?} with {}: {found}", case.name));
            }
            tried += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases().count() >= 120 && tried >= 450, "{} defects, {tried} tried", cases().count());
}

#[test]
fn no_two_defects_have_one_name() {
    assert_eq!(cases().map(|case| case.name).collect::<BTreeSet<_>>().len(), cases().count());
}

#[test]
fn the_scene_without_a_defect_passes() {
    for form in Form::ALL {
        let scene = Scene::with(form, &[]);
        assert!(verify(&scene.quote, &scene.collateral, &scene.root, &scene.policy, scene.now).is_ok(), "{form:?}");
    }
}

/// Flips one bit in every other byte of a part of a quote; with `ENCOMPUTE_EVERY_BIT` set every bit, one at a time:
/// 38,688 in all the tests below, two minutes of a core.
fn flip(form: Form, part: impl Fn(Form) -> std::ops::Range<usize>) {
    let pki = pki();
    let platform = platform(&pki);
    let honest = form.quote(&platform);
    let collateral = form.collateral(&pki, &platform, &CollateralTerms::current(NOW));
    assert!(authenticate(&honest, &collateral, pki.trust_root(), NOW).is_ok());
    let mut altered = honest.clone();
    let every = std::env::var_os("ENCOMPUTE_EVERY_BIT").is_some();
    for at in part(form).step_by(if every { 1 } else { 2 }) {
        let bits = if every { 0..8 } else { at / 2 % 8..at / 2 % 8 + 1 };
        for bit in bits {
            altered[at] ^= 1 << bit;
            let judged = authenticate(&altered, &collateral, pki.trust_root(), NOW);
            assert!(judged.is_err(), "{form:?}: byte {at}, bit {bit}");
            altered[at] = honest[at];
        }
    }
}

fn header_and_body(form: Form) -> std::ops::Range<usize> {
    0..form.signed_bytes()
}

/// Signature and attestation key, then the quoting enclave's report, its signature and the data beside the key; the
/// framing between them is signed by nobody.
fn signatures_and_quoting_enclave(form: Form) -> Vec<std::ops::Range<usize>> {
    let start = form.signed_bytes() + 4;
    let enclave = start + 128 + if form == Form::Sgx { 0 } else { 6 };
    vec![start..start + 128, enclave..enclave + 384 + 64, enclave + 450..enclave + 450 + 32]
}

macro_rules! every_bit {
    ($($name:ident: $form:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn of_header_and_body() {
                flip($form, header_and_body);
            }

            #[test]
            fn of_signatures_and_the_quoting_enclaves_report() {
                for part in signatures_and_quoting_enclave($form) {
                    flip($form, |_| part.clone());
                }
            }
        }
    )*};
}

// Names of their own, so that they run beside each other.
every_bit! {
    a_quote_with_a_flipped_bit_is_refused_sgx_v3: Form::Sgx;
    a_quote_with_a_flipped_bit_is_refused_tdx_v4: Form::Tdx(TdxForm::V4);
    a_quote_with_a_flipped_bit_is_refused_tdx_v5_of_1_0: Form::Tdx(TdxForm::V5);
    a_quote_with_a_flipped_bit_is_refused_tdx_v5_of_1_5: Form::Tdx(TdxForm::V5Td15);
}

/// What anybody can alter without a key makes another file of a quote, and must not make another quote.
#[test]
fn unsigned_parts_make_no_second_identity() {
    let pki = pki();
    let platform = platform(&pki);
    for form in Form::ALL {
        let honest = form.quote(&platform);
        let collateral = form.collateral(&pki, &platform, &CollateralTerms::current(NOW));
        let identity = quote_identity(&honest).unwrap();
        let mut accepted = 0;
        for at in form.signed_bytes()..honest.len() {
            let mut altered = honest.clone();
            altered[at] ^= 1 << (at % 8);
            // Certificate text is tried for every eleventh byte: there are four thousand.
            if at > form.signed_bytes() + 800 && !at.is_multiple_of(11) {
                continue;
            }
            if let Ok(claims) = authenticate(&altered, &collateral, pki.trust_root(), NOW) {
                assert_eq!(claims.quote, identity, "{form:?}: byte {at}");
                accepted += 1;
            }
        }
        assert!(accepted > 0, "{form:?}: else this test shows nothing");
        let mirrored = mirrored(&honest, form.signed_bytes() + 4);
        assert_ne!(mirrored, honest);
        let claims = authenticate(&mirrored, &collateral, pki.trust_root(), NOW).unwrap();
        assert_eq!(claims.quote, identity, "the other signature that ECDSA allows");
    }
}

/// `(r, n − s)` verifies wherever `(r, s)` does.
fn mirrored(quote: &[u8], at: usize) -> Vec<u8> {
    let signature = p256::ecdsa::Signature::from_slice(&quote[at..at + 64]).unwrap();
    let (r, s) = signature.split_scalars();
    let mirrored = p256::ecdsa::Signature::from_scalars(r, -s).unwrap();
    let mut quote = quote.to_vec();
    quote[at..at + 64].copy_from_slice(&mirrored.to_bytes());
    quote
}
