//! What a contract is shown of a quote, checked by the contract's own rules: real quotes and development ones.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{intel_sample, measurement, pki, platform};
use encompute_attest::{
    Measurement, Refusal, Register, ReportData, compact, quote_identity, unverified_measurement, unverified_report_data,
};
use encompute_lifecycle::{Host, Software, attested, attested::Expected};
use encompute_protocol::{MeasurementId, Nonce};

/// What the contract expects if the quote binds just this.
fn expected(quote: &[u8]) -> Expected {
    let ReportData(data) = unverified_report_data(quote).unwrap();
    let (statement, nonce) = data.split_at(32);
    let tee = compact(quote).unwrap().0.read().unwrap().tee();
    Expected { statement: statement.try_into().unwrap(), nonce: Nonce(nonce.try_into().unwrap()), tee: Some(tee) }
}

#[test]
fn the_signatures_of_real_quotes_hold_by_the_contracts_rules() {
    for name in ["sgx_quote", "tdx_quote", "tdx_quote_td15ex"] {
        let (quote, _) = intel_sample(name);
        let (parts, key) = compact(&quote).unwrap();
        attested::vouches_for(&Software, &key).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let body = parts.read().unwrap();
        let digest = Software.sha_256(parts.signed.as_slice()).unwrap();
        assert!(Software.p256_verify(&digest, &parts.signature, &parts.attestation_key), "{name}");
        let id = MeasurementId(Software.keccak_256(&body.measurement_preimage()));
        let measured = unverified_measurement(&quote).unwrap();
        assert_eq!(id, measured.id(), "{name}: one code has one identity on chain and off it");
        assert_eq!(attested::quote_identity(&Software, &parts), quote_identity(&quote).unwrap(), "{name}");
        assert_eq!(body.is_debug(), measured.is_debug(), "{name}");
        assert_eq!(body.names_no_software(), measured.names_no_software(), "{name}");
        assert_eq!(body.report_data(), unverified_report_data(&quote).unwrap().0, "{name}");
    }
}

#[test]
fn a_development_quote_holds_by_the_contracts_rules() {
    let machine = platform(&pki());
    let quote = machine.quote(&measurement(), Register([9; 48]), ReportData([7; 64]));
    let (parts, key) = compact(&quote).unwrap();
    attested::vouches_for(&Software, &key).unwrap();
    let found = attested::attested(&Software, &parts, &expected(&quote)).unwrap();
    assert_eq!(found.measurement, Measurement::Tdx(measurement()).id());
    assert_eq!(found.quote, quote_identity(&quote).unwrap());
    assert_eq!(key.platform(), machine.platform_id().unwrap());
}

#[test]
fn two_machines_are_two_platforms_and_one_is_always_the_same() {
    let pki = pki();
    let machine = |name| pki.platform(name, Default::default()).unwrap().platform_id().unwrap();
    assert_eq!(machine("worker-1"), machine("worker-1"));
    assert_ne!(machine("worker-1"), machine("worker-2"));
}

#[test]
fn a_quote_without_its_machines_certificate_is_refused() {
    let quote = common::quote(&platform(&pki()), &measurement());
    let mut other = quote.clone();
    for at in 0..quote.len() - 11 {
        if quote[at..].starts_with(b"-----BEGIN ") {
            other[at..at + 5].copy_from_slice(b"xxxxx");
        }
    }
    assert_eq!(compact(&other).unwrap_err(), Refusal::PckCertificate);
    assert_eq!(compact(&quote[..600]).unwrap_err(), Refusal::QuoteMalformed);
}
